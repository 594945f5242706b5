/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/timer_private.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reclaim/timer.h"
#include "reclaim/lock_private.h"
#include "reclaim/message_private.h"
#include "reclaim/slots_private.h"
#include "reclaim/task_private.h"

struct timer {
	struct slot slot; /* the reference, but for one bit */
	uint64_t deadline;
	uint32_t at;		    /* where in the heap */
	struct timer *next, **back; /* of those for the same queue */
	struct queue *queue;
	reclaim_tid dst;
	struct message *message;
};

static struct lock timers = LOCK_INIT; /* always taken for real */
static struct slots slots = {.table.item = sizeof(struct timer)};

/*
 * A monitor's reference is not a timer's.  No index comes to this bit; one of
 * the generation would make a reference 0 in time.
 */
#define REFERENCE ((uint64_t)1 << 31)

/* ---- a heap of all, the next on top ---- */

/*
 * Each has four below it, that lie in one line of the cache.  The deadline is
 * beside the pointer, so that what is compared is in that line, too.
 */
struct place {
	uint64_t deadline;
	struct timer *timer;
};

#define TOP		3
#define FIRST_BELOW(at) (4 * ((at)-2))
#define ABOVE(at)	((at) / 4 + 2)

static struct place *heap; /* TOP, and from there up to `end` */
static uint32_t end = TOP, room = TOP;

static void put(uint32_t at, struct place place)
{
	heap[at] = place;
	place.timer->at = at;
}

/* Move down from `at` what is later than `place`; it goes where that ends. */
static void sift_up(uint32_t at, struct place place)
{
	for (; at > TOP && place.deadline < heap[ABOVE(at)].deadline;
	     at = ABOVE(at))
		put(at, heap[ABOVE(at)]);
	put(at, place);
}

static uint32_t earliest_below(uint32_t at)
{
	uint32_t below = FIRST_BELOW(at), least = below, i;

	for (i = below + 1; i < below + 4 && i < end; i++)
		if (heap[i].deadline < heap[least].deadline)
			least = i;
	return least;
}

static void sift_down(uint32_t at, struct place place)
{
	while (FIRST_BELOW(at) < end) {
		uint32_t below = earliest_below(at);

		if (place.deadline <= heap[below].deadline)
			break;
		put(at, heap[below]);
		at = below;
	}
	put(at, place);
}

static int make_room(void)
{
	uint32_t more = room < 64 ? 64 : 2 * room;
	struct place *grown;

	if (end < room)
		return 0;
	grown = aligned_alloc(64, more * sizeof(*grown));
	if (!grown)
		return -1;
	if (heap)
		memcpy(grown, heap, end * sizeof(*grown));
	free(heap);
	heap = grown;
	room = more;
	return 0;
}

static void heap_add(struct timer *timer)
{
	sift_up(end++, (struct place){timer->deadline, timer});
}

static void heap_remove(struct timer *timer)
{
	uint32_t at = timer->at;
	struct place last = heap[--end];

	if (last.timer == timer)
		return;
	if (at > TOP && last.deadline < heap[ABOVE(at)].deadline)
		sift_up(at, last);
	else
		sift_down(at, last);
}

/* ---- timers ---- */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t reference(const struct timer *timer)
{
	return slot_id(&timer->slot) ^ REFERENCE;
}

static struct timer *find(uint64_t ref)
{
	return slots_find(&slots, ref ^ REFERENCE);
}

static int64_t time_left(const struct timer *timer)
{
	int64_t left = (int64_t)(timer->deadline - now());

	return left < 0 ? 0 : left;
}

/* It is gone; its message is the caller's. */
static struct message *take_out(struct timer *timer)
{
	heap_remove(timer);
	*timer->back = timer->next;
	if (timer->next)
		timer->next->back = timer->back;
	slots_put(&slots, &timer->slot);
	return timer->message;
}

static void link_to(struct timer *timer, struct queue *queue)
{
	timer->queue = queue;
	timer->next = queue->timers;
	timer->back = &queue->timers;
	if (timer->next)
		timer->next->back = &timer->next;
	queue->timers = timer;
}

/* ---- the thread that serves them ---- */

/*
 * It is there while a timer is, and for a moment after: long enough for a
 * program that sets one now and then not to make a thread each time.
 */
#define STAYS_NS UINT64_C(100000000)

/* Others have the lock now and then, however many are due. */
#define AT_ONCE 64

static bool serving;
static uint64_t sleeps_until; /* 0: it is awake */
static pthread_cond_t sooner = PTHREAD_COND_INITIALIZER;

static void sleep_until(uint64_t time)
{
	struct timespec deadline = {
		.tv_sec = (time_t)(time / 1000000000),
		.tv_nsec = (long)(time % 1000000000),
	};

	sleeps_until = time;
	lock_wait(&timers, &sooner, &deadline);
	sleeps_until = 0;
}

/*
 * The message is sent before the lock is dropped: who finds that a timer is
 * gone finds its message.  True: it was dropped.
 */
static bool fire(struct timer *timer)
{
	struct queue *queue = timer->queue;
	reclaim_tid dst = timer->dst;
	struct message *message = take_out(timer);

	switch (queue_push(queue, dst, message, true)) {
	case PUSHED_WAKE:
		lock_drop(&timers);
		queue_wake(queue, dst);
		lock_take_real(&timers);
		return true;
	case PUSHED:
		break;
	default:
		message_free(message);
	}
	return false;
}

static void fire_all_due(void)
{
	uint64_t time = now();
	unsigned n = 0;

	while (end > TOP && heap[TOP].deadline <= time)
		if (!fire(heap[TOP].timer) && ++n % AT_ONCE == 0) {
			lock_drop(&timers);
			lock_take_real(&timers);
		}
}

/* Until there has been none for a while. */
static void *serve(void *arg)
{
	uint64_t leaves;

	lock_take_real(&timers);
	do {
		while (end > TOP) {
			sleep_until(heap[TOP].deadline);
			fire_all_due();
		}
		leaves = now() + STAYS_NS;
		sleep_until(leaves);
		fire_all_due();
	} while (end > TOP || now() < leaves);
	serving = false;
	lock_drop(&timers);
	return arg;
}

/* The last one was cancelled: no need to sleep for that long. */
static void wake_if_idle(void)
{
	if (end == TOP && sleeps_until > now() + STAYS_NS)
		pthread_cond_signal(&sooner);
}

/* With no signal of the program's, and nobody to wait for it. */
static int start_serving(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return error;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attr, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	serving = !error;
	return error;
}

/* ---- the public side ---- */

static int arm(struct timer *timer, struct queue *queue)
{
	int error = serving ? 0 : start_serving();

	if (error)
		return error;
	link_to(timer, queue);
	heap_add(timer);
	if (timer->deadline < sleeps_until)
		pthread_cond_signal(&sooner);
	return 0;
}

/* A queue that was closed since it was found is nobody's, or another's. */
static int add(struct queue *queue, const struct timer *wanted, uint64_t *ref)
{
	struct timer *timer;
	int error;

	if (queue_find(wanted->dst) != queue)
		return ESRCH;
	timer = make_room() == 0 ? slots_take(&slots) : NULL;
	if (!timer)
		return ENOMEM;
	timer->deadline = wanted->deadline;
	timer->dst = wanted->dst;
	timer->message = wanted->message;
	*ref = reference(timer);
	if (timer->message->type == RECLAIM_MSG_TIMEOUT)
		timer->message->ref = *ref;
	error = arm(timer, queue);
	if (error)
		slots_put(&slots, &timer->slot);
	return error;
}

uint64_t reclaim_timer_add(uint64_t after_ns, reclaim_tid dst, const void *data,
			   size_t len, int enveloped)
{
	struct queue *queue = queue_of(dst);
	struct timer wanted = {.dst = dst};
	uint64_t ref = 0;
	int error;

	if (!queue)
		return 0;
	wanted.message = message_of(
		enveloped ? RECLAIM_MSG_TIMEOUT : RECLAIM_MSG_DATA, data, len);
	if (!wanted.message)
		return 0;
	if (__builtin_add_overflow(now(), after_ns, &wanted.deadline) ||
	    wanted.deadline > INT64_MAX)
		wanted.deadline = INT64_MAX;
	lock_take_real(&timers);
	error = add(queue, &wanted, &ref);
	lock_drop(&timers);
	if (!error)
		return ref;
	message_free(wanted.message);
	errno = error;
	return 0;
}

int reclaim_timer_cancel(uint64_t ref, int64_t *left_ns)
{
	struct message *message = NULL;
	struct timer *timer;

	lock_take_real(&timers);
	timer = find(ref);
	if (timer) {
		if (left_ns)
			*left_ns = time_left(timer);
		message = take_out(timer);
		wake_if_idle();
	}
	lock_drop(&timers);
	if (message)
		message_free(message);
	return errno_result(message ? 0 : ENOENT);
}

int reclaim_timer_read(uint64_t ref, int64_t *left_ns)
{
	struct timer *timer;

	lock_take_real(&timers);
	timer = find(ref);
	if (timer && left_ns)
		*left_ns = time_left(timer);
	lock_drop(&timers);
	return errno_result(timer ? 0 : ENOENT);
}

uint64_t reclaim_timer_closest(void)
{
	uint64_t left = UINT64_MAX;

	lock_take_real(&timers);
	if (end > TOP)
		left = (uint64_t)time_left(heap[TOP].timer);
	lock_drop(&timers);
	return left;
}

int timer_end_all(struct queue *queue, reclaim_tid tid)
{
	struct message *message;
	int n = 0;

	lock_take_real(&timers);
	while (queue->timers && queue->timers->dst == tid) {
		message = take_out(queue->timers);
		lock_drop(&timers);
		message_free(message);
		n++;
		lock_take_real(&timers);
	}
	wake_if_idle();
	lock_drop(&timers);
	return n;
}

int reclaim_timer_cancel_by_receiver(reclaim_tid tid)
{
	struct queue *queue = queue_of(tid);

	return queue ? timer_end_all(queue, tid) : -1;
}

/* ---- fork ---- */

void timers_lock(void)
{
	lock_take_real(&timers);
}

void timers_unlock(void)
{
	lock_drop(&timers);
}

void timers_forked(void)
{
	while (end > TOP)
		message_free(take_out(heap[TOP].timer));
	serving = false;
	sleeps_until = 0;
	sooner = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}
