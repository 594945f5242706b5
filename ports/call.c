/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/call_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ports/job_private.h"
#include "ports/monitor_private.h"
#include "reclaim.h"

/* Any thread may look one up; only the loop's adds and removes. */
static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;
static struct call *calls;

/* Is always there, so that the table is: 0 is no call's number. */
static struct call nobody_s;

static struct call *find(uint64_t id)
{
	struct call *call;

	if (!id)
		return NULL;
	HASH_FIND(hh, calls, &id, sizeof(id), call);
	return call;
}

struct call *call_find(uint64_t id)
{
	/* Nobody else changes the table. */
	return find(id);
}

/* ---- beginning and end ---- */

static bool add(struct call *call)
{
	bool added;

	pthread_mutex_lock(&calls_lock);
	added = HASH_RESERVE(calls, &nobody_s, id, sizeof(nobody_s.id)) &&
		HASH_TRY(hh, calls, id, call);
	pthread_mutex_unlock(&calls_lock);
	return added;
}

static struct call *begin(struct reclaim_outlet *outlet, uint64_t id,
			  bool bytes)
{
	const struct reclaim_task_opts opts = {
		.name = outlet->driver->name,
		.parent = outlet->task,
		.max_bytes = host.options->outlet.bytes,
		.max_handles = host.options->outlet.handles,
	};
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	*call = (struct call){.id = id, .outlet = outlet, .bytes = bytes};
	call->task = reclaim_task_new(&opts);
	if (!call->task)
		goto failed;
	if (!add(call)) {
		errno = ENOMEM;
		goto failed;
	}
	LIST_INSERT_HEAD(&outlet->calls, call, of_outlet);
	outlet->calls_count++;
	return call;
failed:
	if (call->task)
		reclaim_kill(call->task); /* preserves errno */
	free(call);
	return NULL;
}

/* What its jobs were given may be its task's: that goes with the last. */
static void forget(struct call *call)
{
	reclaim_kill(call->task);
	free(call);
}

/* Nobody finds it any more. */
static void end(struct call *call)
{
	struct reclaim_outlet *outlet = call->outlet;

	pthread_mutex_lock(&calls_lock);
	HASH_DEL(calls, call);
	pthread_mutex_unlock(&calls_lock);
	LIST_REMOVE(call, of_outlet);
	outlet->calls_count--;
	job_cancel_call(call);
	if (call->monitor)
		monitor_take_back(call->monitor);
	call->over = true;
	if (LIST_EMPTY(&call->jobs) && !call->inside)
		forget(call);
}

/* Something that held it has let go. */
static void look_at(struct call *call)
{
	if (call->inside)
		return;
	if (call->over) {
		if (LIST_EMPTY(&call->jobs))
			forget(call);
	} else if (call->answered) {
		end(call);
	} else if (!call->kept && !call->claimed && LIST_EMPTY(&call->jobs)) {
		host_reply_error(call->id, "no_answer");
		end(call);
	} else if (!call->monitor) {
		call->monitor = monitor_caller(call);
	}
}

void call_end_all(struct reclaim_outlet *outlet)
{
	struct call *call, *next;

	for (call = LIST_FIRST(&outlet->calls); call; call = next) {
		next = LIST_NEXT(call, of_outlet);
		if (!call->answered)
			host_reply_error(call->id, "closed");
		end(call);
	}
}

void call_cancel(uint64_t id)
{
	struct call *call = find(id);

	if (call)
		end(call);
}

bool call_enter(struct call *call, const char *callback)
{
	if (call->outlet->stage == OUTLET_DRAINING)
		return false;
	if (outlet_try_enter(call->outlet, call->task, callback)) {
		call->inside++;
		return true;
	}
	if (!call->answered)
		host_reply_error(call->id, "killed");
	end(call);
	return false;
}

void call_leave(struct call *call)
{
	outlet_leave(call->outlet);
	call->inside--;
	look_at(call);
}

/* ---- requests ---- */

/* It may begin; else it has been answered. */
static struct call *admit(struct reclaim_outlet *outlet, uint64_t id,
			  bool has_callback, bool bytes)
{
	struct call *call = NULL;
	const char *why = NULL;

	if (!outlet || outlet->stage != OUTLET_OPEN)
		why = "closed";
	else if (!has_callback)
		why = "enotsup";
	else if (outlet->calls_count >= host.options->max_calls)
		why = "system_limit";
	else if (!(call = begin(outlet, id, bytes)))
		why = errno == ENOMEM ? "enomem" : "closed";
	if (why)
		host_reply_error(id, why);
	return call;
}

void call_request(struct reclaim_outlet *outlet, const struct wire_frame *frame)
{
	struct reclaim_reader request;
	struct call *call;

	if (reclaim_reader_init(&request, frame->rest, frame->len) < 0) {
		host_reply_error(frame->field[1], "badarg");
		return;
	}
	call = admit(outlet, frame->field[1], outlet && outlet->driver->call,
		     false);
	if (!call || !call_enter(call, "call"))
		return;
	outlet->driver->call(outlet, call->id, &request);
	call_leave(call);
}

void call_control(struct reclaim_outlet *outlet, const struct wire_frame *frame)
{
	struct call *call = admit(outlet, frame->field[1],
				  outlet && outlet->driver->control, true);

	if (!call || !call_enter(call, "control"))
		return;
	outlet->driver->control(outlet, call->id, (uint32_t)frame->field[2],
				frame->rest, frame->len);
	call_leave(call);
}

/* ---- answers ---- */

/*
 * In the loop's thread.  -1 with ENOMEM: the call is as it was and may be
 * answered again; in any other case it may have gone.
 */
static int send_answer(struct call *call, enum wire_status status,
		       const void *data, size_t len)
{
	int result = host_reply(call->id, status, data, len), error = errno;

	if (result < 0 && error == ENOMEM) {
		call->claimed = false;
		return -1;
	}
	if (result < 0 && error == EMSGSIZE)
		host_reply_error(call->id, "emsgsize");
	call->answered = true;
	look_at(call);
	errno = error;
	return result;
}

/* One that nobody is there to try again. */
static void send_last_answer(struct call *call, const struct answer *answer)
{
	if (send_answer(call, answer->status, answer->bytes, answer->len) ==
		    0 ||
	    errno != ENOMEM)
		return;
	host_reply_error(call->id, "enomem");
	end(call);
}

/* An answer of another thread, on its way to the loop's. */
struct late {
	struct post post;
	uint64_t call;
	struct answer answer;
};

static void send_late(struct post *post)
{
	struct late *late = (struct late *)post;
	struct call *call = find(late->call);

	if (call)
		send_last_answer(call, &late->answer);
	free(late);
}

static void fill(struct answer *answer, enum wire_status status,
		 const void *data, size_t len)
{
	answer->status = status;
	answer->len = len;
	if (len)
		memcpy(answer->bytes, data, len);
}

/* A length such as -1 is longer than anything. */
static void *room_for(size_t head, size_t len)
{
	if (__builtin_add_overflow(head, len, &len)) {
		errno = ENOMEM;
		return NULL;
	}
	return malloc(len);
}

/* Of a job: with the job. */
static int keep_answer(struct answer **kept, enum wire_status status,
		       const void *data, size_t len)
{
	*kept = room_for(sizeof(**kept), len);
	if (!*kept)
		return -1;
	fill(*kept, status, data, len);
	return 0;
}

static int post_answer(uint64_t id, enum wire_status status, const void *data,
		       size_t len)
{
	struct answer **kept = job_answer_of(id);
	struct late *late;

	if (kept)
		return keep_answer(kept, status, data, len);
	late = room_for(sizeof(*late), len);
	if (!late)
		return -1;
	late->post.done = send_late;
	late->call = id;
	fill(&late->answer, status, data, len);
	if (host_post(&late->post))
		return 0;
	free(late);
	errno = ENOENT; /* the last call has ended, too */
	return -1;
}

void call_job_over(struct call *call, const struct answer *answer)
{
	if (answer && !call->over)
		send_last_answer(call, answer);
	else
		look_at(call);
}

/* From here on it is this answer's. */
static int claim(uint64_t id, enum wire_status status, struct call **call)
{
	int error = 0;

	pthread_mutex_lock(&calls_lock);
	*call = find(id);
	if (!*call || (*call)->claimed)
		error = ENOENT;
	else if (status != WIRE_REFUSED &&
		 (*call)->bytes != (status == WIRE_OK_BYTES))
		error = EINVAL;
	else
		(*call)->claimed = true;
	pthread_mutex_unlock(&calls_lock);
	errno = error;
	return error ? -1 : 0;
}

static void unclaim(uint64_t id)
{
	struct call *call;

	pthread_mutex_lock(&calls_lock);
	call = find(id);
	if (call)
		call->claimed = false;
	pthread_mutex_unlock(&calls_lock);
}

static int answer(uint64_t id, enum wire_status status, const void *data,
		  size_t len)
{
	struct call *call;

	if (claim(id, status, &call) < 0)
		return -1;
	if (host_is_here())
		return send_answer(call, status, data, len);
	if (post_answer(id, status, data, len) == 0)
		return 0;
	unclaim(id); /* preserves errno */
	return -1;
}

int reclaim_call_reply(uint64_t call, const struct reclaim_writer *term)
{
	if (reclaim_writer_done(term) < 0) {
		errno = errno == ENOMEM ? ENOMEM : EINVAL;
		return -1;
	}
	return answer(call, WIRE_OK, term->data, term->len);
}

int reclaim_call_data(uint64_t call, const void *data, size_t len)
{
	return answer(call, WIRE_OK_BYTES, data, len);
}

int reclaim_call_error(uint64_t call, const char *reason)
{
	unsigned char text[RECLAIM_ATOM_SIZE + 8];
	struct reclaim_writer term;

	reclaim_writer_init(&term, text, sizeof(text));
	if (!reason || reclaim_put_atom(&term, reason) < 0) {
		errno = EINVAL;
		return -1;
	}
	return answer(call, WIRE_REFUSED, term.data, term.len);
}

/* ---- what else there is to a call ---- */

int reclaim_call_keep(uint64_t id)
{
	struct call *call;

	pthread_mutex_lock(&calls_lock);
	call = find(id);
	if (call)
		call->kept = true;
	pthread_mutex_unlock(&calls_lock);
	errno = call ? errno : ENOENT;
	return call ? 0 : -1;
}

reclaim_tid reclaim_call_task(uint64_t id)
{
	struct call *call;
	reclaim_tid task;

	pthread_mutex_lock(&calls_lock);
	call = find(id);
	task = call ? call->task : 0;
	pthread_mutex_unlock(&calls_lock);
	if (!task)
		errno = ENOENT;
	return task;
}
