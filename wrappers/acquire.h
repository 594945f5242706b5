/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acquire - reserve, call, commit
 *
 *	struct acquisition a;
 *
 *	if (acquire_fd(&a, PLACE) < 0)
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
 *
 * A plain descriptor is quick where the process has one thread, which nobody
 * cancels and which needs no lock, where there is room, and where no more is to
 * be noted of it than whose it is.  That is all in this header; whatever else
 * there is, is found out before anything is done, and done by acquire.c.
 */
#ifndef ACQUIRE_H
#define ACQUIRE_H

#include <stdio.h>

#include "reclaim/fds_private.h"
#include "reclaim/ledger_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/thread_private.h"

struct acquisition {
	struct task *quick; /* whose it will be; or NULL, and what follows */
	struct task *task;
	void *place;
	struct entry *entry; /* reserved; NULL for a descriptor */
	int replaced;	     /* the fd that the call takes over, or -1 */
	int cancel;
};

/* ---- a descriptor ---- */

static inline bool acquire_quickly(struct acquisition *a)
{
	struct task *self = thread_of_caller.current;

	if (!__libc_single_threaded || !descriptors.quick || !self ||
	    self->ledger.max_handles)
		return false;
	self->ledger.handles++;
	a->quick = self;
	return true;
}

/*
 * Room for one: -1 with ENOMEM or EMFILE.  It is a macro so that its place is
 * looked up only where it is noted.
 */
#define acquire_fd(a, place) \
	(acquire_quickly(a) ? 0 : acquire_fd_slowly(a, place))
int acquire_fd_slowly(struct acquisition *a, void *place);

/* The descriptor, or -1.  It is closed again where it can have no record. */
int acquired_fd_slowly(struct acquisition *a, int fd);

static inline int acquired_fd(struct acquisition *a, int fd)
{
	struct descriptor *descriptor;

	if (!a->quick || !__libc_single_threaded ||
	    (uint32_t)fd >= descriptors.seen)
		return acquired_fd_slowly(a, fd);
	descriptor = fds_at(fd);
	if (descriptor->holder)
		return acquired_fd_slowly(a, fd);
	fds_hold(descriptor, fd, a->quick);
	return fd;
}

/* The same for calls that make two: `result` is 0 or -1, as theirs. */
int acquire_two(struct acquisition a[2], void *place);
int acquired_two(struct acquisition a[2], int result, const int fds[2]);

/* ---- anything else ---- */

/* -1 with ENOMEM or EMFILE. */
int acquire(struct acquisition *a, const struct kind *kind, void *place);

/* The id of the thing, or NULL where the call failed. */
void *acquired(struct acquisition *a, void *id);

/* A thing that holds descriptor `fd`, or -1 for none: a FILE, a DIR. */
void *acquired_with_fd(struct acquisition *a, void *id, int fd);

/* ---- either ---- */

/*
 * After `acquire`, for calls that take `fd` over, as dup2 and fdopen do:
 * whoever holds it loses it when that has happened.  -1 with EBADF where it is
 * a stranger's, and then nothing is acquired.  Where it is open its record is
 * sure, so that nothing is lost for want of one: else -1 with ENOMEM.
 */
int acquire_over(struct acquisition *a, int fd, const char *did, void *place);

/* The call was not made after all. */
void acquire_cancel(struct acquisition *a);

/* ---- giving back ---- */

/*
 * Take what is to be given back out of the ledger, with cancellation disabled
 * until `gone`: whose entry it was goes to *held, all zero where nobody's.
 * -1 with EINVAL, or EBADF where it has a descriptor, if it is a stranger's: it
 * stays.  `did` is for the report.
 */
struct departure {
	struct entry held; /* kind NULL: not tracked */
	int cancel;
};
int let_go(struct departure *d, const struct kind *kind, const void *id,
	   const char *did, void *place);
void gone(const struct departure *d);

/*
 * The same for a descriptor, of which nothing goes to *held.  -1 also where it
 * is something else by now, and not the caller's to close.
 */
int let_go_fd(struct departure *d, int fd, const char *did, void *place);

/* Whether that was quick, and wants no `gone`; else nothing has been done. */
static inline bool let_go_fd_quickly(int fd)
{
	struct descriptor *descriptor;

	if (!__libc_single_threaded || !descriptors.quick ||
	    (uint32_t)fd >= descriptors.seen)
		return false;
	descriptor = fds_at(fd);
	if (descriptor->holder != &descriptor->own ||
	    descriptor->own.task != thread_of_caller.current)
		return false;
	fds_drop(descriptor);
	return true;
}

/*
 * Whether the current task may give back what an entry holds.  If not, errno
 * is set and *misuse is what to tell once the tables, which are locked here,
 * no longer are.
 */
bool may_give_back(const struct entry *entry, const char *did, void *place,
		   struct misuse *misuse);

#endif
