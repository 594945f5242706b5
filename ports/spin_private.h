/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spin - whether to look for more input before sleeping, and doing so
 *
 * An answer that comes while its reader still looks for it costs no wake-up,
 * which is most of what a message costs on two processors.  On one, looking
 * takes from the emulator the time in which it would answer.  So a wait begins
 * with looking only where that has paid lately:
 *
 * - after k waits in a row that looked in vain, 2^k - 1 sleep at once;
 * - where the kernel had to take the processor away to let others work, which
 *   counts as an involuntary context switch, in one hit of eight or more, 32
 *   waits sleep, then 64, to 4096.  Hits alone do not show that;
 * - with one processor, by affinity or by the cgroup, none looks.
 *
 * Before a wait that sleeps there is another question.  The kernel lets whoever
 * is woken go first, so that on one processor each message of a burst may stop
 * the emulator from sending the next.  After a wait that brought many frames
 * this thread gives that up (SCHED_BATCH) and finds more of them, until waits
 * bring one again: on calls one by one it would cost a tenth.
 *
 * Whoever looks does so with the read itself, for an answer that comes within
 * 4 us finds the emulator awake, and each system call on the way there is a
 * tenth of that:
 *
 *	if (spin_begin(spin))
 *		do {
 *			what came is a hit: spin_hit(spin), and out of here
 *		} while (spin_on(spin));
 *
 * What decides is a machine without clock and system calls: spin_judge where
 * spin_is_due, spin_may before a wait, then spin_missed or spin_hit.  Leaving
 *in another way is neither hit nor miss.  One thread's at a time.
 */
#ifndef RECLAIM_SPIN_PRIVATE_H
#define RECLAIM_SPIN_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

/* By default; answers of the emulator come within: 20 is too short for them,
 * 100 gains nothing. */
#define SPIN_US 50

struct spin {
	uint64_t ns;	  /* to look for; 0: never */
	uint64_t until;	  /* this wait looks */
	unsigned skip;	  /* waits that sleep */
	unsigned misses;  /* in a row */
	unsigned penalty; /* waits that slept when last it did not pay */
	unsigned hits;	  /* since `switches` was noted */
	long switches;	  /* -1: not noted */
	bool never;	  /* by option: neither look nor give way */
	bool gathers;	  /* many frames at a time */
	unsigned few;	  /* waits in a row that brought one or none, then */
	bool gives_way;	  /* and the thread's policy was changed for it */
};

/* For so many microseconds, 0 is SPIN_US and less is never. */
void spin_init(struct spin *spin, int us, unsigned processors);

/* Processors that this process may use at a time. */
unsigned spin_processors(void);

/* Whether this wait is to begin with looking; whether to look once more. */
bool spin_begin(struct spin *spin);
bool spin_on(struct spin *spin);

/* What was looked for has come. */
void spin_hit(struct spin *spin);

/* Before a wait that sleeps; so many frames have come since the last. */
void spin_sleep(struct spin *spin, unsigned frames);

/* No more waits: the thread is scheduled as it was. */
void spin_end(struct spin *spin);

/* ---- the machine ---- */

bool spin_may(struct spin *spin);
void spin_missed(struct spin *spin);

/* Whether the thread's involuntary switches so far are wanted. */
bool spin_is_due(const struct spin *spin);
void spin_judge(struct spin *spin, long switches);

/* Whether it is to give way in the next sleep. */
bool spin_may_gather(struct spin *spin, unsigned frames);

#endif
