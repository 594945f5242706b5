/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/statistics_private.h"

#include <errno.h>
#include <string.h>

#include "ports/call_private.h"
#include "ports/client_private.h"
#include "ports/tree_private.h"

static void put_number(struct reclaim_writer *term, const char *key,
		       uint64_t value)
{
	reclaim_put_atom(term, key);
	reclaim_put_uint64(term, value);
}

static void put_text(struct reclaim_writer *term, const char *key,
		     const char *value)
{
	reclaim_put_atom(term, key);
	reclaim_put_binary(term, value, strlen(value));
}

static void put_word(struct reclaim_writer *term, const char *key,
		     const char *value)
{
	reclaim_put_atom(term, key);
	reclaim_put_atom(term, value);
}

/* ---- tasks ---- */

#define TASK_PAIRS 13

static const char *state_of(const struct reclaim_task_info *info)
{
	switch (info->state) {
	case RECLAIM_LIVE:
		return "live";
	case RECLAIM_ENDING:
		return "ending";
	default:
		return "ended";
	}
}

static void put_task(struct reclaim_writer *term,
		     const struct reclaim_task_info *info)
{
	reclaim_put_map(term, TASK_PAIRS);
	put_number(term, "task", info->tid);
	put_number(term, "parent", info->parent);
	put_text(term, "name", info->name);
	put_word(term, "state", state_of(info));
	put_number(term, "bytes", info->bytes);
	put_number(term, "peak_bytes", info->peak_bytes);
	put_number(term, "blocks", info->blocks);
	put_number(term, "max_bytes", info->max_bytes);
	put_number(term, "handles", info->handles);
	put_number(term, "max_handles", info->max_handles);
	put_number(term, "actions", info->actions);
	put_number(term, "children", info->children);
	put_number(term, "messages", info->messages);
}

/* One that has gone meanwhile was ended by another thread: it is left out. */
static void put_tasks(struct reclaim_writer *term)
{
	struct reclaim_task_info info;
	struct tree tree;
	size_t i;

	if (tree_find(&tree, reclaim_self()) < 0)
		term->error = ENOMEM;
	/* A list in pieces: how long it is is known at its end. */
	for (i = 0; i < tree.count; i++) {
		if (reclaim_task_info(tree.tids[i], &info) < 0)
			continue;
		reclaim_put_list(term, 1);
		put_task(term, &info);
	}
	reclaim_put_list(term, 0);
	reclaim_put_end(term);
	tree_end(&tree);
}

/* ---- outlets ---- */

#define OUTLET_PAIRS 14

static const char *stage_of(const struct reclaim_outlet *outlet)
{
	static const char *const names[] = {
		[OUTLET_OPEN] = "open",		[OUTLET_CLOSING] = "closing",
		[OUTLET_FLUSHING] = "flushing", [OUTLET_DRAINING] = "draining",
		[OUTLET_ENDING] = "ending",	[OUTLET_STOPPED] = "stopped",
		[OUTLET_GONE] = "gone",
	};

	return names[outlet->stage];
}

static void put_outlet(struct reclaim_writer *term,
		       const struct reclaim_outlet *outlet)
{
	/* With what the tasks of its calls and jobs hold. */
	struct tree_sums sums = tree_sum_up(outlet->task);

	reclaim_put_map(term, OUTLET_PAIRS);
	put_number(term, "outlet", outlet->id);
	put_word(term, "driver", outlet->driver->name);
	put_word(term, "state", stage_of(outlet));
	put_number(term, "client", outlet->client->id);
	put_number(term, "task", outlet->task);
	put_number(term, "tasks", sums.tasks);
	put_number(term, "bytes", sums.bytes);
	put_number(term, "handles", sums.handles);
	put_number(term, "calls", outlet->calls_count);
	put_number(term, "jobs", outlet->jobs_count);
	put_number(term, "input", outlet->input.bytes);
	put_number(term, "output", outlet->output.bytes);
	reclaim_put_atom(term, "credit");
	reclaim_put_int64(term, outlet->may_send);
	reclaim_put_atom(term, "busy");
	reclaim_put_bool(term, outlet->busy);
}

static void put_outlets(struct reclaim_writer *term)
{
	const struct reclaim_outlet *outlet, *next;

	reclaim_put_list(term, HASH_CNT(hh, host.outlets));
	HASH_ITER (hh, host.outlets, outlet, next)
		put_outlet(term, outlet);
	reclaim_put_end(term);
}

/* ---- the host ---- */

#define HOST_PAIRS 7

static void put_host(struct reclaim_writer *term)
{
	const struct reclaim_outlet *outlet, *next;
	struct reclaim_task_info info = {0};
	uint64_t calls = 0, jobs = 0;

	HASH_ITER (hh, host.outlets, outlet, next) {
		calls += outlet->calls_count;
		jobs += outlet->jobs_count;
	}
	reclaim_task_info(reclaim_self(), &info);
	reclaim_put_map(term, HOST_PAIRS);
	put_number(term, "clients", HASH_CNT(hh, host.clients));
	put_number(term, "outlets", HASH_CNT(hh, host.outlets));
	put_number(term, "calls", calls);
	put_number(term, "jobs", jobs);
	put_number(term, "queued", link_queued(host.link));
	put_number(term, "bytes", info.bytes);
	put_number(term, "handles", info.handles);
}

/* ---- the answer ---- */

static const char *put_what(struct reclaim_writer *term,
			    const struct wire_frame *frame)
{
	const struct reclaim_outlet *outlet;

	switch (frame->field[1]) {
	case WIRE_OF_HOST:
		put_host(term);
		return NULL;
	case WIRE_OF_TASKS:
		put_tasks(term);
		return NULL;
	case WIRE_OF_OUTLETS:
		put_outlets(term);
		return NULL;
	case WIRE_OF_OUTLET:
		outlet = outlet_find(frame->field[2]);
		if (!outlet)
			return "closed";
		put_outlet(term, outlet);
		return NULL;
	default:
		return "enotsup";
	}
}

void statistics_reply(const struct wire_frame *frame)
{
	uint64_t call = frame->field[0];
	struct reclaim_writer term;
	const char *why;

	reclaim_writer_init(&term, NULL, 0);
	why = put_what(&term, frame);
	if (!why && reclaim_writer_done(&term) < 0)
		why = reclaim_errno_name(errno);
	if (why)
		host_reply_error(call, why);
	else if (host_reply(call, WIRE_OK, term.data, term.len) < 0)
		host_reply_error(call, reclaim_errno_name(errno));
	reclaim_writer_end(&term);
}
