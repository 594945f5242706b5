/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/queue_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "reclaim/mail_private.h"
#include "reclaim/task_private.h"

/* ---- the head: life and top ---- */

/*
 * Addresses have 48 bits, of which the lowest four are zero: that leaves 20 for
 * the generation of the tid.  A push that was begun for one task cannot succeed
 * for a later one, unless a million (2^20) tasks have had the slot between two
 * of its instructions, and the last has the same message on top.
 */
#define TOP_BITS 44
#define TOP_MASK (((uint64_t)1 << TOP_BITS) - 1)

/* In place of a message. */
enum { EMPTY, AWAITED, CLOSED };

static uint64_t life_of(reclaim_tid tid)
{
	return tid >> 32 << TOP_BITS;
}

static uint64_t top_of(uint64_t head)
{
	return head & TOP_MASK;
}

static uint64_t with_top(uint64_t head, uint64_t top)
{
	return (head & ~TOP_MASK) | top;
}

static uint64_t top_for(const struct message *message)
{
	return (uint64_t)(uintptr_t)message >> 4;
}

static struct message *message_at(uint64_t top)
{
	return top > CLOSED ? (struct message *)(uintptr_t)(top << 4) : NULL;
}

/* ---- messages ---- */

struct message *message_new(int type, size_t len)
{
	struct message *message = NULL;

	if (len <= PTRDIFF_MAX - sizeof(*message))
		message = mail_alloc(sizeof(*message) + len);
	if (!message) {
		errno = ENOMEM;
		return NULL;
	}
	message->from = slot_id(&task_self()->slot);
	message->ref = 0;
	message->type = type;
	message->status = 0;
	message->len = len;
	message->bin = NULL;
	return message;
}

void message_free(struct message *message)
{
	if (message->bin)
		bin_end(message->bin);
	mail_free(message);
}

/* ---- found by tid, without a lock ---- */

/* By the index of the task's slot, as tables are: chunks that double. */
static _Atomic(_Atomic(struct queue *) *) chunks[TABLE_CHUNKS + 1];

static _Atomic(struct queue *) *place_of(uint32_t index, size_t *chunk)
{
	uint64_t n = (uint64_t)index + (1u << TABLE_FIRST_BITS);
	unsigned top = 63 ^ (unsigned)__builtin_clzll(n);
	_Atomic(struct queue *) *first;

	*chunk = top - TABLE_FIRST_BITS;
	first = atomic_load_explicit(&chunks[*chunk], memory_order_acquire);
	return first ? first + (n ^ (uint64_t)1 << top) : NULL;
}

static struct queue *at(reclaim_tid tid)
{
	size_t chunk;
	_Atomic(struct queue *) *place = place_of((uint32_t)tid, &chunk);

	return place ? atomic_load_explicit(place, memory_order_acquire) : NULL;
}

static RARE struct queue *open_for(reclaim_tid tid)
{
	struct queue *queue = NULL;
	struct task *task;

	lock_take(&tables);
	task = task_find(tid);
	if (task)
		queue = queue_open(task);
	lock_drop(&tables);
	return queue;
}

struct queue *queue_find(reclaim_tid tid)
{
	struct queue *queue = at(tid);

	return queue && atomic_load_explicit(&queue->owner,
					     memory_order_acquire) == tid
		       ? queue
		       : NULL;
}

struct queue *queue_of(reclaim_tid tid)
{
	struct queue *queue = queue_find(tid);

	return queue ? queue : open_for(tid);
}

/* ---- opening and closing, with the tables locked ---- */

static struct queue *make(void)
{
	struct queue *queue =
		aligned_alloc(_Alignof(struct queue), sizeof(struct queue));

	if (!queue)
		return NULL;
	*queue = (struct queue){.fd = -1};
	sem_init(&queue->arrived, 0, 0);
	return queue;
}

static struct queue *queue_at(uint32_t index)
{
	size_t chunk;
	_Atomic(struct queue *) *place = place_of(index, &chunk);
	struct queue *queue;

	if (!place) {
		place = calloc((size_t)1 << (chunk + TABLE_FIRST_BITS),
			       sizeof(*place));
		if (!place)
			return NULL;
		atomic_store_explicit(&chunks[chunk], place,
				      memory_order_release);
		place = place_of(index, &chunk);
	}
	queue = atomic_load_explicit(place, memory_order_relaxed);
	if (!queue) {
		queue = make();
		atomic_store_explicit(place, queue, memory_order_release);
	}
	return queue;
}

struct queue *queue_open(struct task *task)
{
	reclaim_tid tid = slot_id(&task->slot);

	if (task->queue)
		return task->queue;
	if (task->silent) {
		errno = ESRCH;
		return NULL;
	}
	task->queue = queue_at(slot_index(&task->slot));
	if (!task->queue)
		return NULL;
	atomic_store_explicit(&task->queue->most, task->max_messages,
			      memory_order_relaxed);
	atomic_store_explicit(&task->queue->head, life_of(tid) | EMPTY,
			      memory_order_release);
	/* Last: whoever sees whose it is may push. */
	atomic_store_explicit(&task->queue->owner, tid, memory_order_release);
	return task->queue;
}

void queue_count_removed(struct queue *queue, size_t n)
{
	atomic_store_explicit(
		&queue->removed,
		atomic_load_explicit(&queue->removed, memory_order_relaxed) +
			(uint32_t)n,
		memory_order_relaxed);
}

struct message *queue_close(struct queue *queue)
{
	uint64_t head = atomic_exchange(
		&queue->head,
		with_top(atomic_load_explicit(&queue->head,
					      memory_order_relaxed),
			 CLOSED));
	struct message *pushed = message_at(top_of(head)), *all;
	int fd = atomic_exchange(&queue->fd, -1);

	atomic_store_explicit(&queue->owner, 0, memory_order_relaxed);
	all = queue->first;
	if (all)
		queue->last->next = pushed;
	else
		all = pushed;
	if (queue->received) {
		/* It has been counted. */
		queue_count_removed(queue, (size_t)-1);
		queue->received->next = all;
		all = queue->received;
	}
	queue->first = queue->last = queue->current = queue->received = NULL;
	queue->count = 0;
	queue->told = false;
	atomic_store_explicit(&queue->sleeps, false, memory_order_relaxed);
	queue_unclaim(queue);
	if (fd >= 0)
		close(fd);
	return all;
}

/* ---- pushing ---- */

/* `sent` may be old, and what came since be removed: then there are none. */
static uint32_t waiting(const struct queue *queue, uint32_t sent)
{
	uint32_t removed =
		atomic_load_explicit(&queue->removed, memory_order_relaxed);
	int32_t difference = (int32_t)(sent - removed);

	return difference < 0 ? 0 : (uint32_t)difference;
}

uint32_t queue_count(const struct queue *queue)
{
	return waiting(queue, atomic_load_explicit(&queue->sent,
						   memory_order_relaxed));
}

/* Count one more, if it may come. */
static bool count_sent(struct queue *queue, bool always)
{
	uint32_t most =
		atomic_load_explicit(&queue->most, memory_order_relaxed);
	uint32_t sent;

	if (always || !most) {
		atomic_fetch_add_explicit(&queue->sent, 1,
					  memory_order_relaxed);
		return true;
	}
	sent = atomic_load_explicit(&queue->sent, memory_order_relaxed);
	do
		if (waiting(queue, sent) >= most)
			return false;
	while (!atomic_compare_exchange_weak_explicit(
		&queue->sent, &sent, sent + 1, memory_order_relaxed,
		memory_order_relaxed));
	return true;
}

static RARE enum pushed push_not(int error)
{
	errno = error;
	return PUSH_NOT;
}

enum pushed queue_push(struct queue *queue, reclaim_tid tid,
		       struct message *message, bool always)
{
	uint64_t head;

	if (__builtin_expect(!count_sent(queue, always), 0))
		return push_not(EAGAIN);
	head = atomic_load_explicit(&queue->head, memory_order_acquire);
	do {
		if (atomic_load_explicit(&queue->owner, memory_order_relaxed) !=
			    tid ||
		    top_of(head) == CLOSED) {
			atomic_fetch_sub_explicit(&queue->sent, 1,
						  memory_order_relaxed);
			return push_not(ESRCH);
		}
		message->next = message_at(top_of(head));
		message_is_pushed(message);
	} while (!atomic_compare_exchange_weak(
		&queue->head, &head, with_top(head, top_for(message))));
	return top_of(head) == AWAITED ? PUSHED_WAKE : PUSHED;
}

void queue_interrupt(struct queue *queue)
{
	if (atomic_exchange(&queue->sleeps, false))
		sem_post(&queue->arrived);
}

/*
 * With the tables locked, so that the number is the queue's still, and is not
 * another file's meanwhile.
 */
static void tell_fd(struct queue *queue)
{
	static const uint64_t one = 1;
	int saved = errno, cancel = cancel_off();

	if (queue->fd >= 0 && !queue->told)
		queue->told = write(queue->fd, &one, sizeof(one)) > 0;
	cancel_on(cancel);
	errno = saved;
}

void queue_wake_locked(struct queue *queue, reclaim_tid tid)
{
	queue_interrupt(queue);
	if (atomic_load_explicit(&queue->owner, memory_order_relaxed) == tid)
		tell_fd(queue);
}

void queue_wake(struct queue *queue, reclaim_tid tid)
{
	queue_interrupt(queue);
	/* Who makes one looks at the head after that: one sees the other. */
	if (atomic_load(&queue->fd) < 0)
		return;
	lock_take(&tables);
	queue_wake_locked(queue, tid);
	lock_drop(&tables);
}

/* ---- receiving ---- */

int queue_claim(struct queue *queue)
{
	struct thread *nobody = NULL;

	if (atomic_compare_exchange_strong_explicit(
		    &queue->claimed, &nobody, thread_self(),
		    memory_order_acquire, memory_order_relaxed))
		return 0;
	errno = EBUSY;
	return -1;
}

static void append(struct queue *queue, struct message *oldest,
		   struct message *newest)
{
	oldest->prev = queue->last;
	if (queue->last)
		queue->last->next = oldest;
	else
		queue->first = oldest;
	queue->last = newest;
	if (!queue->current)
		queue->current = oldest;
}

bool queue_fetch(struct queue *queue)
{
	uint64_t head =
		atomic_load_explicit(&queue->head, memory_order_relaxed);
	struct message *newest, *message, *newer = NULL;
	uint32_t n = 0;

	if (top_of(head) <= CLOSED)
		return false;
	head = atomic_exchange_explicit(&queue->head, with_top(head, EMPTY),
					memory_order_acq_rel);
	newest = message_at(top_of(head));
	queue->fetches++;
	for (message = newest; message; n++) {
		struct message *older;

		__builtin_prefetch(message->data);
		message_was_fetched(message);
		older = message->next;
		message->next = newer;
		message->prev = older;
		message->number = queue->fetches;
		newer = message;
		message = older;
	}
	queue->count += n;
	append(queue, newer, newest);
	return true;
}

void queue_forget_received(struct queue *queue)
{
	struct message *received = queue->received;

	queue->received = NULL;
	if (received)
		message_free(received);
}

void queue_remove(struct queue *queue, struct message *message)
{
	if (message->prev)
		message->prev->next = message->next;
	else
		queue->first = message->next;
	if (message->next)
		message->next->prev = message->prev;
	else
		queue->last = message->prev;
	if (queue->current == message)
		queue->current = message->next;
	queue->count--;
	queue_count_removed(queue, 1);
}

void queue_take(struct queue *queue, struct message *message)
{
	queue_remove(queue, message);
	queue_forget_received(queue);
	queue->received = message;
}

/* ---- waiting ---- */

/* Who pushes next sees to it that this is noticed; false: it is too late. */
static bool be_awaited(struct queue *queue)
{
	uint64_t head = atomic_load(&queue->head);

	while (top_of(head) == EMPTY)
		if (atomic_compare_exchange_weak(&queue->head, &head,
						 with_top(head, AWAITED)))
			return true;
	return top_of(head) == AWAITED;
}

/* Nothing is there that was not looked at. */
static void hush_fd(struct queue *queue)
{
	uint64_t count;

	if (queue->told && read(queue->fd, &count, sizeof(count)) > 0)
		queue->told = false;
}

bool queue_arm(struct queue *queue)
{
	bool armed;
	int cancel;

	mail_return();
	if (atomic_load_explicit(&queue->fd, memory_order_relaxed) < 0)
		return true;
	cancel = cancel_off();
	lock_take(&tables);
	hush_fd(queue);
	armed = be_awaited(queue);
	if (!armed)
		tell_fd(queue);
	lock_drop(&tables);
	cancel_on(cancel);
	return armed;
}

/*
 * Before sleeping look again for a while: a sleep, and being woken, costs each
 * side some microseconds.  As long as that helps the more patience, up to
 * about ten.  With one processor there is nobody to wait for.
 */
#define PATIENCE_LEAST 8
#define PATIENCE_MOST  256

static bool one_processor(void)
{
	static _Atomic int processors;
	int n = atomic_load_explicit(&processors, memory_order_relaxed);
	cpu_set_t set;

	if (!n) {
		n = sched_getaffinity(0, sizeof(set), &set) == 0
			    ? CPU_COUNT(&set)
			    : 2;
		atomic_store_explicit(&processors, n, memory_order_relaxed);
	}
	return n == 1;
}

static void pause_a_moment(void)
{
#if defined __x86_64__ || defined __i386__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("isb");
#endif
}

static bool comes_soon(struct queue *queue)
{
	unsigned i;

	if (one_processor())
		return false;
	if (queue->patience < PATIENCE_LEAST)
		queue->patience = PATIENCE_LEAST;
	for (i = 0; i < queue->patience; i++) {
		if (top_of(atomic_load_explicit(
			    &queue->head, memory_order_relaxed)) > CLOSED) {
			if (queue->patience < PATIENCE_MOST)
				queue->patience *= 2;
			return true;
		}
		pause_a_moment();
	}
	queue->patience /= 2;
	return false;
}

/* Whoever has entered a task leaves it when it is asked to end. */
static bool is_to_leave(void)
{
	struct task *task = task_self();
	bool leave;

	lock_take(&tables);
	leave = task->state == TASK_DYING && task->entered;
	lock_drop(&tables);
	return leave;
}

#ifndef __SANITIZE_THREAD__
static int wait_for_arrival(sem_t *arrived, const struct timespec *deadline)
{
	return deadline ? sem_clockwait(arrived, CLOCK_MONOTONIC, deadline)
			: sem_wait(arrived);
}
#else
static bool is_sooner(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/*
 * gcc's sanitizer loses sight of a thread that is cancelled in such a call, for
 * all that it does at its end: so it is cancelled between two of them.
 */
static int wait_for_arrival(sem_t *arrived, const struct timespec *deadline)
{
	struct timespec soon;
	int failed, state;
	bool last;

	do {
		deadline_after(10, &soon);
		last = deadline && is_sooner(deadline, &soon);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
		failed = sem_clockwait(arrived, CLOCK_MONOTONIC,
				       last ? deadline : &soon);
		pthread_setcancelstate(state, NULL);
		pthread_testcancel();
	} while (failed && errno == ETIMEDOUT && !last);
	return failed;
}
#endif

static int sleep_until(struct queue *queue, const struct timespec *deadline)
{
	return wait_for_arrival(&queue->arrived, deadline) < 0 &&
			       errno == ETIMEDOUT
		       ? ETIMEDOUT
		       : 0;
}

int queue_await(struct queue *queue, const struct timespec *deadline)
{
	int error = 0;

	if (comes_soon(queue))
		return 0;
	mail_return();
	atomic_store(&queue->sleeps, true);
	if (be_awaited(queue)) {
		/* Who asks the task to end does so before it looks for us. */
		error = is_to_leave() ? ECANCELED
				      : sleep_until(queue, deadline);
	}
	atomic_store(&queue->sleeps, false);
	return error;
}

int queue_fd(struct queue *queue)
{
	int fd;

	if (queue->fd >= 0)
		return queue->fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -1;
	lock_take(&tables);
	queue->fd = fd;
	if (queue->first || !be_awaited(queue))
		tell_fd(queue);
	lock_drop(&tables);
	return fd;
}

/* ---- fork ---- */

/*
 * The parent's is the same description: the child gets its own behind it.
 * Where there are no more, its number is the one to be had.
 */
static void renew_fd(struct queue *queue)
{
	int wanted = queue->fd, fd;

	close(wanted);
	fd = eventfd(queue->told, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->fd = fd;
	if (fd >= 0 && fd != wanted) {
		queue->fd = dup3(fd, wanted, O_CLOEXEC);
		close(fd);
	}
	queue->told = queue->told && queue->fd >= 0;
}

/*
 * Those that other threads were about to push, had taken, or were freeing as
 * the task ends, do not count.
 */
static void count_anew(struct queue *queue)
{
	const struct message *pushed = message_at(top_of(queue->head));
	uint32_t n = (uint32_t)queue->count;

	for (; pushed; pushed = pushed->next)
		n++;
	queue->removed = queue->sent - n;
}

/* The list of a thread that is not there may be in the middle of anything. */
static void forget_list(struct queue *queue)
{
	queue->first = queue->last = queue->current = queue->received = NULL;
	queue->count = 0;
	queue_unclaim(queue);
}

void queue_forked(reclaim_tid tid, const struct thread *self)
{
	struct queue *queue = at(tid);
	struct thread *claimed;

	if (!queue)
		return;
	sem_init(&queue->arrived, 0, 0);
	queue->sleeps = false;
	if (queue->fd >= 0)
		renew_fd(queue);
	claimed = queue->claimed;
	if (claimed && claimed != self)
		forget_list(queue);
	count_anew(queue);
}
