/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue - the messages to one task
 *
 * Many push and one takes.  What was pushed is a stack, whose head is one word:
 * the newest message, and a few bits of the tid that it is for.  So a push
 * is one compare-and-swap, which fails where the task has ended meanwhile,
 * even if another has its queue already.  Who receives takes the whole stack at
 * once, turns it around, and goes through that list without anybody else.
 *
 *	push     head -> 7 -> 6 -> 5        -> older
 *	receive  first -> 1 -> 2 -> 3 -> 4  <- last
 *
 * Order: of two pushes the one that came first is received first, so those of
 * one thread are received in its order.
 *
 * A queue is found by its tid without a lock, is opened when the task is first
 * sent to or receives, and closed at the task's end.  Its memory is never
 * freed, but serves the next task with that slot.
 *
 * Threads: push from any; open and close with `tables` locked; the rest by
 * whoever has claimed it.
 * Errors: ENOMEM, in opening; ESRCH and EAGAIN in pushing, and the message is
 * still the caller's.
 */
#ifndef QUEUE_PRIVATE_H
#define QUEUE_PRIVATE_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "reclaim/binary_private.h"

struct task;
struct thread;
struct timer;

struct message {
	struct message *next; /* pushed: the older; received: the newer */
	struct message *prev;
	uint64_t number; /* of the fetch that it came with */
	reclaim_tid from;
	uint64_t ref;
	int type, status;
	size_t len; /* of data */
	struct reclaim_bin *bin;
	_Alignas(16) unsigned char data[];
};

struct queue {
	/* A line that goes from those who push to who receives, and back. */
	_Alignas(64) _Atomic uint64_t head;
	_Atomic uint32_t sent; /* or about to be: who counts has the line */

	/* Read at each push, and hardly ever written. */
	_Alignas(64) _Atomic reclaim_tid owner; /* 0: it is closed */
	_Atomic uint32_t most; /* waiting at once; 0: no limit */
	_Atomic int fd;	       /* an eventfd for those who poll, or -1 */
	bool told;	       /* it is readable; under `tables` */

	/* Of who receives; others' lines are left alone. */
	_Alignas(64) _Atomic(struct thread *) claimed;
	_Atomic uint32_t removed; /* of those sent: received, dropped, freed */
	unsigned patience;
	struct message *first, *last; /* oldest to newest */
	struct message *current;      /* NULL: behind the last */
	struct message *received;     /* the latest, until the next */
	uint64_t fetches;
	size_t count; /* from first to last */

	_Alignas(64) sem_t arrived;
	_Atomic bool sleeps; /* who receives waits for it */
	struct queue *outer; /* where its claimer looks besides, or NULL */

	/* Of the timers, under their lock: those for this task. */
	struct timer *timers;
};

/* The queue of a task that has not ended; opened.  NULL: ENOMEM, ESRCH. */
struct queue *queue_open(struct task *task);

/* The same by tid, unlocked; and only if it is open. */
struct queue *queue_of(reclaim_tid tid);
struct queue *queue_find(reclaim_tid tid);

/*
 * Who takes it has all messages, linked by `next`; and counts them, before the
 * task's slot is another's.
 */
struct message *queue_close(struct queue *queue);
void queue_count_removed(struct queue *queue, size_t n);

/* ---- pushing ---- */

/* Whether `message` is pushed, and whether somebody is to be woken then. */
enum pushed { PUSH_NOT, PUSHED, PUSHED_WAKE };

/* What the library itself sends always fits. */
enum pushed queue_push(struct queue *queue, reclaim_tid tid,
		       struct message *message, bool always);

/* After PUSHED_WAKE; the first with `tables` locked. */
void queue_wake_locked(struct queue *queue, reclaim_tid tid);
void queue_wake(struct queue *queue, reclaim_tid tid);

/* How many are waiting; any thread. */
uint32_t queue_count(const struct queue *queue);

/* Have the thread that waits, if one does, look again. */
void queue_interrupt(struct queue *queue);

/* ---- receiving ---- */

/* EBUSY where somebody else does. */
int queue_claim(struct queue *queue);

static inline void queue_unclaim(struct queue *queue)
{
	atomic_store_explicit(&queue->claimed, NULL, memory_order_release);
}

/* Append what was pushed to the list: whether there was anything. */
bool queue_fetch(struct queue *queue);

/* Where the next message becomes the current one as it comes. */
static inline struct message *queue_current(struct queue *queue)
{
	if (!queue->current)
		queue_fetch(queue);
	return queue->current;
}

/* Take one out of the list; which is the latest received. */
void queue_remove(struct queue *queue, struct message *message);
void queue_take(struct queue *queue, struct message *message);

/* The number of those that come next. */
static inline uint64_t queue_mark(const struct queue *queue)
{
	return queue->fetches + 1;
}

/* Let go of the latest received. */
void queue_forget_received(struct queue *queue);

/* Those who poll are to be told of what comes next: false: it has come. */
bool queue_arm(struct queue *queue);

/*
 * Wait, with nothing to fetch, until there may be something or the deadline
 * (NULL: for ever) is over: 0, ETIMEDOUT, ECANCELED.  A cancellation point.
 */
int queue_await(struct queue *queue, const struct timespec *deadline);

int queue_fd(struct queue *queue);

/* In a forked child, whose only thread is `self`: of a task, open or not. */
void queue_forked(reclaim_tid tid, const struct thread *self);

/* ---- messages ---- */

/*
 * What lock_private.h says of the thread sanitizer and threads that were
 * cancelled: these may have waited here, and are told of, or tell, at their
 * end.
 */
#define message_is_pushed(message)   lock_is_dropped(message)
#define message_was_fetched(message) lock_was_taken(message)

struct message *message_new(int type, size_t len);
void message_free(struct message *message);

#endif
