/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock - a mutex that costs nothing while there is one thread
 *
 * libc tells when the process has a single thread; then nobody can be kept
 * out, and the mutex is left alone.  No thread may be made while it is held
 * so: lock_take_real is for that, and for waiting on a condition.
 *
 * Whoever forks holds every lock, so that the child finds them free.  Order: a
 * wrapper's own, tables, timers, heaps, that of records, the memory block's,
 * places.
 */
#ifndef LOCK_PRIVATE_H
#define LOCK_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/single_threaded.h>
#include <time.h>

struct lock {
	pthread_mutex_t mutex;
	bool elided;
};

#define LOCK_INIT                                  \
	{                                          \
		.mutex = PTHREAD_MUTEX_INITIALIZER \
	}

/*
 * gcc's thread sanitizer sees no call of a thread any more that was cancelled
 * in one that waits: it is told what the mutex does.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define lock_was_taken(lock)  __tsan_acquire(lock)
#define lock_is_dropped(lock) __tsan_release(lock)
#else
#define lock_was_taken(lock)  ((void)(lock))
#define lock_is_dropped(lock) ((void)(lock))
#endif

static inline void lock_take_real(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock_was_taken(lock);
}

/* So many milliseconds from now. */
static inline void deadline_after(int timeout_ms, struct timespec *deadline)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += timeout_ms / 1000;
	deadline->tv_nsec += timeout_ms % 1000 * 1000000L;
	if (deadline->tv_nsec >= 1000000000L) {
		deadline->tv_sec++;
		deadline->tv_nsec -= 1000000000L;
	}
}

/* Wait, with the lock taken for real; until CLOCK_MONOTONIC's deadline. */
static inline int lock_wait(struct lock *lock, pthread_cond_t *condition,
			    const struct timespec *deadline)
{
	int error;

	lock_is_dropped(lock);
	error = deadline ? pthread_cond_clockwait(condition, &lock->mutex,
						  CLOCK_MONOTONIC, deadline)
			 : pthread_cond_wait(condition, &lock->mutex);
	lock_was_taken(lock);
	return error;
}

static inline void lock_take(struct lock *lock)
{
	if (__libc_single_threaded)
		lock->elided = true;
	else
		lock_take_real(lock);
}

static inline void lock_drop(struct lock *lock)
{
	if (lock->elided) {
		lock->elided = false;
		return;
	}
	lock_is_dropped(lock);
	pthread_mutex_unlock(&lock->mutex);
}

/*
 * Disable cancellation, and restore it: around whatever must not be lost
 * between a system call and its record.  The only thread of a process has
 * nobody to cancel it.
 */
static inline int cancel_off(void)
{
	int old = -1;

	if (!__libc_single_threaded)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static inline void cancel_on(int old)
{
	if (old != -1)
		pthread_setcancelstate(old, NULL);
}

/* What a function returns that unlocked before it told of an error. */
static inline int errno_result(int error)
{
	if (!error)
		return 0;
	errno = error;
	return -1;
}

#endif
