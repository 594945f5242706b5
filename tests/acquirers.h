/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acquirers - every way to acquire something, as a table
 *
 *	struct got got;
 *
 *	if (acquirer_prepare(a, &got) && a->acquire(&got) == 0)
 *		a->undo(&got);
 *	acquirer_tidy(a, &got);
 *
 * `prepare` gathers what the call needs, such as a connection to accept, and
 * `tidy` removes what is left of that; both, unlike `acquire` and `undo`, are
 * beside the point of a test.
 */
#ifndef ACQUIRERS_H
#define ACQUIRERS_H

#include "tests/stage.h"

/* What was acquired, and what for. */
struct got {
	int fds[2];
	void *ptr;
	size_t size;
	pid_t pid;
	pthread_t thread;
	char *text; /* of a stream into memory */
	size_t len;
	char buffer[8]; /* of another */
	int needs[2];	/* descriptors of the test's own, or -1 */
	FILE *source;	/* and a stream */
};

struct acquirer {
	const char *name;
	int (*acquire)(struct got *got); /* 0, or -1 and errno */
	int (*undo)(struct got *got);	 /* the same */
	unsigned handles;		 /* that it adds */
	unsigned blocks;		 /* of memory, at least */
	void (*prepare)(struct got *got);
	void (*tidy)(struct got *got);
	unsigned flags;
};

/* Flags. */
#define SAYS_NO_ERRNO	    1u /* when it fails */
#define RUNS_A_PROGRAM	    2u /* takes its time */
#define NOT_BY_FOREIGN	    4u /* a stranger's undo is not refused */
#define SLOW_TO_END	    8u /* the task's end waits for a program */
#define HOLDS_NO_FD	    16u
#define SETS_ERRNO	    32u /* also when it works, as libc's does */
#define CLOSES_ALL_THE_SAME 64u /* what it was given, when it fails */

extern const struct acquirer acquirers[];
extern const int acquirer_count;

void acquirer_prepare(const struct acquirer *a, struct got *got);
void acquirer_tidy(const struct acquirer *a, struct got *got);

/* acquire, which must work. */
void acquirer_get(const struct acquirer *a, struct got *got);

#endif
