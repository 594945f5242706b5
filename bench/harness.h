/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harness - measure contenders in turn and print a row of the table for each
 * piece of work
 *
 * A row is a piece of work and the contenders that do it: libreclaim first,
 * then the one that all are compared with, then the rest.  In every round each
 * contender has three turns, and who begins rotates; its least time counts, for
 * what disturbs a turn only adds to it.  A ratio is taken within a round, and
 * what is printed is the median of the rounds, with the least and the most.
 * Lower is better in every row.
 *
 * The work brackets what counts with batch_start and batch_stop.  It does not
 * know whether it is timed, in batches long enough to time, or whether its
 * instructions are counted.  The time of work in one thread is the processor's
 * time for that thread: what else runs on the machine is not in it.
 *
 * The table goes to stdout, progress to stderr.  What cannot be measured ends
 * the program with a message.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;

struct batch {
	size_t n;     /* the row's */
	size_t times; /* to do the work */
	uint64_t ops; /* done: what is spent is spent on these */
	uint64_t spent;
	uint64_t began;
	enum { ELAPSED, USED, STEPS } in; /* ns, ns of this thread, instr. */
	pthread_barrier_t *gate;	  /* to start together, or NULL */
};

typedef void work_fn(struct batch *batch);

/* One of `work` and `value` is given, and one of `name` and `peer`. */
struct contender {
	const char *name;
	const struct peer *peer;
	work_fn *work;
	double (*value)(size_t n); /* in the row's unit */
};

struct row {
	const char *what;
	const char *unit; /* of values, which are shown; NULL: show ratios */
	size_t n;
	size_t count;  /* instructions, of so many times; 0: time it */
	bool beyond;   /* show what is spent beyond the compared one's */
	bool elapsed;  /* time is what a clock on the wall shows */
	unsigned most; /* rounds, where one takes long; 0: as many as asked */
	double must, aim;		    /* 0: none */
	const struct contender *contenders; /* ends with an empty one */
};

/*
 * Options, peers, the processor to run on, and the head of the table.  `about`
 * is what --help says that the program measures.
 */
void bench_begin(int argc, char **argv, const char *about);
void bench_row(const struct row *row);

/*
 * Nanoseconds of this thread for each operation, in a batch of 5 ms.  *times is
 * how often the work was done for that, 0 at first.
 */
double bench_time(work_fn *work, size_t n, size_t *times);

void bench_die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/* Work only on the i-th of the processors that this process was given. */
void bench_pin(unsigned i);
/* On all of them. */
void bench_unpin(void);

void batch_start(struct batch *batch);
void batch_stop(struct batch *batch, uint64_t ops);

/* ---- random numbers: the same in each run with the same --seed ---- */

/* `to` gets n numbers of lo..hi, or 0..n-1 in random order. */
void random_numbers(uint32_t *to, size_t n, uint32_t lo, uint32_t hi);
void random_order(uint32_t *to, size_t n);

#endif
