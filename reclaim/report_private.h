/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - where the library speaks, and what it says of wrong use
 *
 * No lock may be held: the hook is the program's, and may call back.
 */
#ifndef REPORT_PRIVATE_H
#define REPORT_PRIVATE_H

#include "reclaim/task.h"

struct entry;
struct task;

/*
 * Wrong use of sort `what`: told, or not, or fatal, as the policy says.
 * Both tasks and both places, as far as known.  errno is preserved.
 */
struct misuse {
	int what;	 /* RECLAIM_DOUBLE_FREE ... */
	const char *did; /* "free", "close" */
	char thing[128]; /* "block 0x1230 of 64 bytes", "fd 7 /dev/null" */
	char owner[64];	 /* task, as task_label writes it; or "" */
	void *acquired;	 /* place, or NULL */
	void *freed;	 /* the same: where it was freed before */
	void *place;	 /* where it was done */
};
void report_misuse(const struct misuse *misuse);

/* What an entry holds, in words.  The tables are locked. */
void report_thing(const struct entry *entry, char *buf, size_t len);

/* "name <index.generation>", or without the name where it has none */
void report_label(const struct task *task, char *buf, size_t len);

#endif
