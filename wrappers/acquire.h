/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acquire - reserve, call, commit
 *
 *	struct acquisition a;
 *
 *	if (acquire(&a, &kind, PLACE) < 0)
 *		return -1;
 *	return acquired_fd(&a, open(path, flags, mode));
 *
 * `acquire` makes room in the current task's ledger and disables cancellation;
 * one of the `acquired` records what the call returned, or nothing if it
 * failed, restores cancellation, keeps the call's errno, and returns what it
 * was given.  Between the two nothing can be lost.
 *
 * Closing is the same backwards: `let_go` takes the entry out first, so that
 * the number or address may be handed out again at once.
 */
#ifndef ACQUIRE_H
#define ACQUIRE_H

#include <stdio.h>

#include "reclaim/fds_private.h"
#include "reclaim/ledger_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"

struct acquisition {
	struct entry *entry;
	int replaced; /* the fd that the call takes over, or -1 */
	int cancel;
};

/* -1 with ENOMEM or EMFILE. */
int acquire(struct acquisition *a, const struct kind *kind, void *place);

/*
 * The same for calls that take `fd` over, as dup2 and fdopen do: whoever holds
 * it loses it when that has happened.  Also EBADF, where it is a stranger's.
 * Where it is open its record is sure, so that nothing is lost for want of one.
 */
int acquire_over(struct acquisition *a, const struct kind *kind, int fd,
		 const char *did, void *place);

/* The id of the thing, or NULL where the call failed. */
void *acquired(struct acquisition *a, void *id);

/* A descriptor, or -1.  It is closed again where it can have no record. */
int acquired_fd(struct acquisition *a, int fd);

/* The same for calls that make two: `result` is 0 or -1, as theirs. */
int acquire_two(struct acquisition a[2], void *place);
int acquired_two(struct acquisition a[2], int result, const int fds[2]);

/* A thing that holds descriptor `fd`, or -1 for none: a FILE, a DIR. */
void *acquired_with_fd(struct acquisition *a, void *id, int fd);

/* The call was not made after all. */
void acquire_cancel(struct acquisition *a);

/*
 * Take what is to be given back out of the ledger, with cancellation disabled
 * until `gone`: whose entry it was goes to *held, all zero where nobody's.
 * -1 where it is a stranger's, with errno EBADF for an fd and EINVAL else: it
 * stays.  `did` is for the report.
 */
struct departure {
	struct entry held; /* kind NULL: not tracked */
	int cancel;
};
int let_go(struct departure *d, const struct kind *kind, const void *id,
	   const char *did, void *place);
int let_go_fd(struct departure *d, int fd, const char *did, void *place);
void gone(const struct departure *d);

/*
 * Whether the current task may give back what an entry holds.  If not, errno
 * is set and *misuse is what to tell once the tables, which are locked here,
 * no longer are.
 */
bool may_give_back(const struct entry *entry, const char *did, void *place,
		   struct misuse *misuse);

#endif
