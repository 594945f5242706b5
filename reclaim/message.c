/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/message_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reclaim/place_private.h"
#include "reclaim/task_private.h"

/* ---- sending ---- */

struct message *message_of(int type, const void *data, size_t len)
{
	struct message *message;

	if (len && !data) {
		errno = EINVAL;
		return NULL;
	}
	message = message_new(type, len);
	if (message && len)
		memcpy(message->data, data, len);
	return message;
}

static int post(struct queue *queue, reclaim_tid to, struct message *message)
{
	switch (queue_push(queue, to, message, false)) {
	case PUSHED_WAKE:
		queue_wake(queue, to);
		return 0;
	case PUSHED:
		return 0;
	default:
		message_free(message);
		return -1;
	}
}

int reclaim_send(reclaim_tid to, const void *data, size_t len)
{
	struct queue *queue = queue_of(to);
	struct message *message =
		queue ? message_of(RECLAIM_MSG_DATA, data, len) : NULL;

	return message ? post(queue, to, message) : -1;
}

/* The receiver's reference is in the message, where others have their data. */
int reclaim_send_bin(reclaim_tid to, struct reclaim_bin *bin)
{
	struct queue *queue = bin_is_one(bin) ? queue_of(to) : NULL;
	struct message *message =
		queue ? message_new(RECLAIM_MSG_BIN, sizeof(*bin)) : NULL;

	if (!message)
		return -1;
	message->bin = (struct reclaim_bin *)message->data;
	bin_refer(bin, message->bin, message);
	return post(queue, to, message);
}

/* ---- receiving ---- */

/* The current task's queue, for the caller alone; NULL and errno. */
static struct queue *claim(void)
{
	struct queue *queue = queue_of(slot_id(&task_self()->slot));

	return queue && queue_claim(queue) == 0 ? queue : NULL;
}

static void show(const struct message *message, struct reclaim_msg *msg)
{
	const struct reclaim_bin *bin = message->bin;

	*msg = (struct reclaim_msg){
		.type = message->type,
		.status = message->status,
		.from = message->from,
		.ref = message->ref,
		.data = bin ? bin->data : message->data,
		.len = bin ? bin->size : message->len,
		.bin = message->bin,
	};
}

/* What a message is to be, or any. */
struct wanted {
	int (*match)(const struct reclaim_msg *msg, void *arg);
	void *arg;
};

static bool is_wanted(const struct message *message,
		      const struct wanted *wanted)
{
	struct reclaim_msg msg;

	if (!wanted->match)
		return true;
	show(message, &msg);
	return wanted->match(&msg, wanted->arg);
}

/* The first from the current one on that is wanted, which is current then. */
static struct message *look(struct queue *queue, const struct wanted *wanted)
{
	struct message *message;

	while ((message = queue_current(queue))) {
		if (is_wanted(message, wanted))
			return message;
		queue->current = message->next;
	}
	return NULL;
}

static void start_over(struct queue *queue)
{
	queue->current = queue->first;
}

/* A match function may run what looks in another task's queue. */
static void begin_looking(struct queue *queue)
{
	struct thread *self = thread_self();

	queue->outer = self->looks_in;
	self->looks_in = queue;
}

static void looked(struct queue *queue)
{
	thread_self()->looks_in = queue->outer;
}

static void stopped_receiving(void *arg)
{
	struct queue *queue = arg;

	looked(queue);
	atomic_store(&queue->sleeps, false);
	start_over(queue);
	queue_unclaim(queue);
}

/* What is not there yet: 0, or ETIMEDOUT, ECANCELED. */
static int await(struct queue *queue, const struct wanted *wanted,
		 int timeout_ms, struct message **found)
{
	struct timespec deadline;
	int error;

	if (timeout_ms > 0)
		deadline_after(timeout_ms, &deadline);
	while (timeout_ms != 0 || !queue_arm(queue)) {
		error = timeout_ms
				? queue_await(queue,
					      timeout_ms > 0 ? &deadline : NULL)
				: 0;
		if (error == ETIMEDOUT)
			timeout_ms = 0; /* a last look */
		else if (error)
			return error;
		*found = look(queue, wanted);
		if (*found)
			return 0;
	}
	return ETIMEDOUT;
}

static int look_or_await(struct queue *queue, const struct wanted *wanted,
			 int timeout_ms, struct message **found)
{
	*found = look(queue, wanted);
	return *found ? 0 : await(queue, wanted, timeout_ms, found);
}

static int find_wanted(struct queue *queue, const struct wanted *wanted,
		       int timeout_ms, struct message **found)
{
	int error;

	begin_looking(queue);
	pthread_cleanup_push(stopped_receiving, queue);
	error = look_or_await(queue, wanted, timeout_ms, found);
	pthread_cleanup_pop(0);
	looked(queue);
	return error;
}

static int receive(const struct wanted *wanted, struct reclaim_msg *msg,
		   int timeout_ms)
{
	struct queue *queue = claim();
	struct message *found = NULL;
	int error = 0;

	if (!queue)
		return -1;
	queue_forget_received(queue);
	if (!wanted->match) {
		start_over(queue);
		found = queue_current(queue);
	}
	if (!found)
		error = find_wanted(queue, wanted, timeout_ms, &found);
	if (found) {
		queue_take(queue, found);
		show(found, msg);
	}
	start_over(queue);
	queue_unclaim(queue);
	if (found || error == ETIMEDOUT)
		return found != NULL;
	errno = error;
	return -1;
}

int reclaim_receive(struct reclaim_msg *msg, int timeout_ms)
{
	static const struct wanted any;

	return receive(&any, msg, timeout_ms);
}

int reclaim_receive_match(int (*match)(const struct reclaim_msg *, void *),
			  void *arg, struct reclaim_msg *msg, int timeout_ms)
{
	struct wanted wanted = {.match = match, .arg = arg};

	return receive(&wanted, msg, timeout_ms);
}

/* ---- keeping ---- */

static struct queue *mine(void)
{
	return queue_find(slot_id(&task_self()->slot));
}

static struct message *received(void)
{
	struct queue *queue = mine();

	return queue ? queue->received : NULL;
}

bool message_has(const struct reclaim_bin *bin)
{
	struct message *message = received();

	return message && message->bin == bin;
}

void message_yield(void)
{
	mine()->received = NULL;
}

void message_abandon(void)
{
	const struct thread *self = thread_self();

	while (self->looks_in)
		stopped_receiving(self->looks_in);
}

void *reclaim_msg_keep(struct reclaim_msg *msg)
{
	const struct message *message = received();
	void *kept;

	if (!message || msg->bin != message->bin ||
	    (!msg->bin && msg->data != message->data)) {
		errno = EINVAL;
		return NULL;
	}
	if (msg->bin)
		return reclaim_bin_retain(msg->bin);
	kept = memory_alloc(msg->len, HEAP_ALIGN, PLACE);
	if (kept)
		msg->data = memcpy(kept, msg->data, msg->len);
	return kept;
}

/* ---- the queue ---- */

size_t reclaim_msgq_len(void)
{
	struct queue *queue = claim();
	size_t count;

	if (!queue)
		return 0;
	queue_fetch(queue);
	count = queue->count;
	queue_unclaim(queue);
	return count;
}

/* Where there is none, who polls is told of the next that comes. */
static struct message *current_or_quiet(struct queue *queue)
{
	struct message *message;

	do
		message = queue_current(queue);
	while (!message && !queue_arm(queue));
	return message;
}

int reclaim_msgq_current(struct reclaim_msg *msg)
{
	struct queue *queue = claim();
	struct message *message;

	if (!queue)
		return -1;
	message = current_or_quiet(queue);
	if (message)
		show(message, msg);
	queue_unclaim(queue);
	return message != NULL;
}

int reclaim_msgq_next(void)
{
	struct queue *queue = claim();
	bool more;

	if (!queue)
		return -1;
	if (queue_current(queue))
		queue->current = queue->current->next;
	more = current_or_quiet(queue);
	queue_unclaim(queue);
	return more;
}

int reclaim_msgq_reset(void)
{
	struct queue *queue = claim();

	if (!queue)
		return -1;
	start_over(queue);
	queue_unclaim(queue);
	return 0;
}

int reclaim_msgq_drop(void)
{
	struct queue *queue = claim();
	struct message *message;

	if (!queue)
		return -1;
	message = queue_current(queue);
	if (message)
		queue_take(queue, message);
	queue_unclaim(queue);
	return errno_result(message ? 0 : ENOENT);
}

uint64_t reclaim_msgq_mark(void)
{
	struct queue *queue = claim();
	uint64_t mark;

	if (!queue)
		return 0;
	queue_fetch(queue);
	mark = queue_mark(queue);
	queue_unclaim(queue);
	return mark;
}

/* From the end: what came since the mark is what is going to be looked at. */
int reclaim_msgq_restore(uint64_t mark)
{
	struct queue *queue = claim();
	struct message *message;

	if (!queue)
		return -1;
	queue_fetch(queue);
	queue->current = NULL;
	for (message = queue->last; message && message->number >= mark;
	     message = message->prev)
		queue->current = message;
	queue_unclaim(queue);
	return 0;
}

int reclaim_msgq_fd(void)
{
	struct queue *queue = claim();
	int fd;

	if (!queue)
		return -1;
	fd = queue_fd(queue);
	queue_unclaim(queue);
	return fd;
}

int message_flush(int type, uint64_t ref)
{
	struct queue *queue = claim();
	struct message *message;

	if (!queue)
		return -1;
	queue_fetch(queue);
	for (message = queue->first; message; message = message->next)
		if (message->type == type && message->ref == ref)
			break;
	if (message) {
		queue_remove(queue, message);
		message_free(message);
	}
	queue_unclaim(queue);
	return message != NULL;
}
