/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data - what goes through outlets, both ways
 *
 * Each direction of each outlet has a credit in bytes: what may be sent until
 * the other end has given some back.  Input that comes while the driver is busy
 * waits, and gives no credit back; output waits while there is no credit, or
 * the port itself is full.  So a slow owner or a busy driver holds up nobody
 * else, and nothing grows without a bound.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ports/outlet_private.h"

#define PIECES_MAX 16

struct piece {
	STAILQ_ENTRY(piece) next;
	size_t len;
	unsigned char bytes[];
};

/* ---- what waits ---- */

/* SIZE_MAX where it is more than that. */
static size_t total_of(const struct iovec *pieces, int count)
{
	size_t total = 0;

	while (count--)
		if (__builtin_add_overflow(total, pieces[count].iov_len,
					   &total))
			return SIZE_MAX;
	return total;
}

static struct piece *copy(const struct iovec *pieces, int count)
{
	struct piece *piece = malloc(sizeof(*piece) + total_of(pieces, count));
	size_t at = 0;
	int i;

	if (!piece)
		return NULL;
	for (i = 0; i < count; at += pieces[i++].iov_len)
		if (pieces[i].iov_len)
			memcpy(piece->bytes + at, pieces[i].iov_base,
			       pieces[i].iov_len);
	piece->len = at;
	return piece;
}

/* Frames that are empty take memory, too. */
static size_t weight(const struct waiting *waiting)
{
	return waiting->bytes + waiting->frames * WIRE_COST;
}

/* libc's memory: whoever ends the task may do so at any time. */
static int hold(struct waiting *waiting, const struct iovec *pieces, int count)
{
	size_t limit = host.options->outlet.bytes;
	struct piece *piece = NULL;

	if (!limit ||
	    weight(waiting) + total_of(pieces, count) + WIRE_COST <= limit)
		piece = copy(pieces, count);
	if (!piece) {
		errno = ENOMEM;
		return -1;
	}
	STAILQ_INSERT_TAIL(&waiting->pieces, piece, next);
	waiting->bytes += piece->len;
	waiting->frames++;
	return 0;
}

static struct piece *take(struct waiting *waiting)
{
	struct piece *piece = STAILQ_FIRST(&waiting->pieces);

	STAILQ_REMOVE_HEAD(&waiting->pieces, next);
	waiting->bytes -= piece->len;
	waiting->frames--;
	return piece;
}

void outlet_drop_waiting(struct reclaim_outlet *outlet)
{
	while (!STAILQ_EMPTY(&outlet->input.pieces))
		free(take(&outlet->input));
	while (!STAILQ_EMPTY(&outlet->output.pieces))
		free(take(&outlet->output));
	if (outlet->is_waiting)
		TAILQ_REMOVE(&host.waiting, outlet, to_send);
	outlet->is_waiting = false;
}

/* ---- input ---- */

static void give_credit(struct reclaim_outlet *outlet, size_t cost)
{
	outlet->consumed += cost;
	if (outlet->consumed < host.options->window / 2 ||
	    !outlet_is_live(outlet) || host.options->plain)
		return;
	host_send(WIRE_CREDIT, outlet->id, outlet->consumed, 0, NULL, 0);
	outlet->may_receive += (int64_t)outlet->consumed;
	outlet->consumed = 0;
}

static void deliver(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	if (!outlet->driver->output) {
		outlet_misses(outlet, "output");
	} else if (outlet_enter(outlet, outlet->task, "output")) {
		outlet->driver->output(outlet, data, len);
		outlet_leave(outlet);
	}
	give_credit(outlet, len + WIRE_COST);
}

/*
 * Those who share the other end's credit may write in another order than they
 * took of it: what comes when it is overdrawn has been taken before, as long as
 * it is no more than a window.
 */
static bool is_overdrawn(struct reclaim_outlet *outlet, size_t cost)
{
	outlet->late = outlet->may_receive > 0 ? 0 : outlet->late + cost;
	outlet->may_receive -= (int64_t)cost;
	return outlet->late > host.options->window;
}

void outlet_receive(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	const struct iovec all = {(void *)data, len};

	if (outlet->stage != OUTLET_OPEN)
		return;
	if (is_overdrawn(outlet, len + WIRE_COST)) {
		outlet_end(outlet, "credit");
		return;
	}
	if (!outlet->busy && STAILQ_EMPTY(&outlet->input.pieces))
		deliver(outlet, data, len);
	else if (hold(&outlet->input, &all, 1) < 0)
		outlet_end(outlet, "enomem");
}

void outlet_take_input(struct reclaim_outlet *outlet)
{
	struct piece *piece;

	while (outlet_is_live(outlet) && !outlet->busy &&
	       !STAILQ_EMPTY(&outlet->input.pieces)) {
		piece = take(&outlet->input);
		deliver(outlet, piece->bytes, piece->len);
		free(piece);
	}
}

/* ---- output ---- */

static bool may_send(const struct reclaim_outlet *outlet)
{
	return outlet->may_send > 0 && !link_is_full(host.link);
}

static int send_now(struct reclaim_outlet *outlet, const struct iovec *pieces,
		    int count, size_t len)
{
	unsigned char head[WIRE_HEAD_MAX];
	struct iovec frame[1 + PIECES_MAX] = {{.iov_base = head}};
	int i;

	if (!host.options->plain)
		frame[0].iov_len = wire_head(head, WIRE_DATA, outlet->id, 0, 0);
	for (i = 0; i < count; i++)
		frame[1 + i] = pieces[i];
	if (link_put(host.link, frame, 1 + count) < 0) {
		if (errno == EPIPE)
			errno = ESHUTDOWN; /* as all outlets do now */
		return -1;
	}
	outlet->may_send -= (int64_t)(len + WIRE_COST);
	return 0;
}

/* It waits for the port, or else for credit alone. */
static void wait_for_link(struct reclaim_outlet *outlet)
{
	bool waits =
		!STAILQ_EMPTY(&outlet->output.pieces) && outlet->may_send > 0;

	if (waits && !outlet->is_waiting)
		TAILQ_INSERT_TAIL(&host.waiting, outlet, to_send);
	else if (!waits && outlet->is_waiting)
		TAILQ_REMOVE(&host.waiting, outlet, to_send);
	outlet->is_waiting = waits;
}

static int output(struct reclaim_outlet *outlet, const struct iovec *pieces,
		  int count, size_t len)
{
	if (STAILQ_EMPTY(&outlet->output.pieces) && may_send(outlet))
		return send_now(outlet, pieces, count, len);
	if (hold(&outlet->output, pieces, count) < 0)
		return -1;
	wait_for_link(outlet);
	if (weight(&outlet->output) <= outlet->high)
		return 0;
	outlet->over = true;
	return 1;
}

static void tell_drained(struct reclaim_outlet *outlet)
{
	outlet->over = false;
	if (!outlet->driver->drained ||
	    !outlet_enter(outlet, outlet->task, "drained"))
		return;
	outlet->driver->drained(outlet);
	outlet_leave(outlet);
}

void outlet_send_waiting(struct reclaim_outlet *outlet)
{
	struct waiting *waiting = &outlet->output;

	while (!STAILQ_EMPTY(&waiting->pieces) && may_send(outlet)) {
		struct piece *piece = STAILQ_FIRST(&waiting->pieces);
		const struct iovec all = {piece->bytes, piece->len};

		/* What nobody is there to read any more is as good as sent. */
		if (send_now(outlet, &all, 1, piece->len) < 0 &&
		    errno != ESHUTDOWN)
			break; /* no memory: later */
		free(take(waiting));
	}
	wait_for_link(outlet);
	if (outlet->over && weight(waiting) <= outlet->low)
		tell_drained(outlet);
}

void outlet_credit(struct reclaim_outlet *outlet, uint64_t bytes)
{
	if (outlet->may_send < INT64_MAX / 2)
		outlet->may_send += (int64_t)bytes;
	if (!STAILQ_EMPTY(&outlet->output.pieces))
		outlet_touch(outlet);
}

/* ---- the driver's side ---- */

/* What a frame has room for. */
static size_t most(void)
{
	return host.options->plain ? host.max_frame
				   : host.max_frame - WIRE_DATA_HEAD;
}

int reclaim_outlet_outputv(struct reclaim_outlet *outlet,
			   const struct iovec *pieces, int count)
{
	size_t len;

	if (outlet_look(outlet) < 0)
		return -1;
	if (count < 0 || count > PIECES_MAX) {
		errno = EINVAL;
		return -1;
	}
	len = total_of(pieces, count);
	if (len > most()) {
		errno = EMSGSIZE;
		return -1;
	}
	return output(outlet, pieces, count, len);
}

int reclaim_outlet_output(struct reclaim_outlet *outlet, const void *data,
			  size_t len)
{
	const struct iovec all = {(void *)data, len};

	return reclaim_outlet_outputv(outlet, &all, 1);
}
