/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/timer.h - messages that come later
 *
 * A timer sends one message to a task when its time is over, never before, and
 * is gone then.  It belongs to the task that it is for, and goes when that
 * ends; whoever set it may have ended.  While no timer is set nothing runs.
 *
 * Times are in nanoseconds of CLOCK_MONOTONIC.
 * All functions may be called from any thread, none in a signal handler.  In a
 * forked child no timer is set.
 * Source: LING's etimer, and Erlang's erlang:start_timer and send_after.
 */
#ifndef RECLAIM_TIMER_H
#define RECLAIM_TIMER_H

#include <stddef.h>
#include <stdint.h>

#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Send `len` bytes, copied now, to `dst` in after_ns from now.  With
 * `enveloped` they come as RECLAIM_MSG_TIMEOUT with the timer's reference; else
 * as RECLAIM_MSG_DATA.  Either is from the current task.  What a timer sends
 * comes even to a queue that is full.
 * Returns the reference; 0: ESRCH where there is no such task, EINVAL without
 * data, ENOMEM, EAGAIN (no more threads).
 */
RECLAIM_API uint64_t reclaim_timer_add(uint64_t after_ns, reclaim_tid dst,
				       const void *data, size_t len,
				       int enveloped);

/*
 * Cancel a timer, or look at it; how long it still had goes to *left_ns,
 * unless that is NULL.  0, or -1 with ENOENT where it has fired, then its
 * message has been sent, or was cancelled.
 */
RECLAIM_API int reclaim_timer_cancel(uint64_t ref, int64_t *left_ns);
RECLAIM_API int reclaim_timer_read(uint64_t ref, int64_t *left_ns);

/* How long until the next timer fires; UINT64_MAX where none is set. */
RECLAIM_API uint64_t reclaim_timer_closest(void);

/* Cancel all that are for a task.  How many there were; -1: ESRCH, ENOMEM. */
RECLAIM_API int reclaim_timer_cancel_by_receiver(reclaim_tid tid);

#ifdef __cplusplus
}
#endif

#endif
