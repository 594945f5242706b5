/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer - messages that come later
 *
 * Threads: one lock, `timers`, below `tables`.
 */
#ifndef TIMER_PRIVATE_H
#define TIMER_PRIVATE_H

#include "reclaim/task.h"

struct queue;

/* Cancel those for a task, whose queue this is or was; how many.  Unlocked. */
int timer_end_all(struct queue *queue, reclaim_tid tid);

/* Around fork; and in the child, which has none. */
void timers_lock(void);
void timers_unlock(void);
void timers_forked(void);

#endif
