/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fds - who owns each descriptor of the process
 *
 * One table for all tasks: descriptor to the entry that holds it (a plain fd, a
 * FILE or a DIR), which knows its owner.  An entry and its place in the table
 * know each other or neither.  So a descriptor that was closed behind the
 * wrappers, and handed out again, is noticed when its next user passes by: the
 * older entry then holds nothing, and never closes the number for its new
 * owner.  What is noticed is told, once the tables are unlocked, by fds_tell.
 *
 * The table is `tables`-locked like the ledgers.
 */
#ifndef FDS_PRIVATE_H
#define FDS_PRIVATE_H

#include <stdatomic.h>

#include "reclaim/ledger_private.h"

extern const struct kind fd_kind;

extern struct descriptors {
	struct table holders; /* of struct entry * */
	uint32_t highest;     /* descriptor that was ever held */
	atomic_bool has_news; /* for fds_tell_news */
} descriptors;

/* Room for a descriptor.  -1 with ENOMEM. */
static inline int fds_cover(int fd)
{
	return (uint32_t)fd < descriptors.holders.limit
		       ? 0
		       : table_cover(&descriptors.holders, (uint32_t)fd);
}

/*
 * Room for descriptors as they come.  They are handed out lowest first: with
 * room for twice the highest one seen, only a program that opens as many again
 * behind the wrappers outruns it, and then fds_cover finds out.
 */
static inline int fds_reserve(void)
{
	return fds_cover((int)(2 * descriptors.highest + 64));
}

/* Who holds a descriptor, or NULL. */
static inline struct entry *fds_find(int fd)
{
	if ((uint32_t)fd >= descriptors.holders.limit)
		return NULL;
	return *(struct entry **)table_at(&descriptors.holders, (uint32_t)fd);
}

/* `entry` holds `fd` now, which is covered; and nobody does any more. */
void fds_set(int fd, struct entry *entry);
void fds_clear(struct entry *entry);

/*
 * The fd of an entry has gone from under it: a plain one leaves its ledger, a
 * FILE or DIR stays, without.
 */
void fds_lose(struct entry *entry);

/*
 * Whether the fd of an entry that was removed is its to close.  Not if it lost
 * it; nor, with RECLAIM_FDS=verify, if fstat(2) says that it is something
 * else by now, which is told.  The tables are not locked.
 */
bool fds_may_close(const struct entry *held);

/* Tell of what was noticed while the tables were locked. */
void fds_tell_news(void);

static inline void fds_tell(void)
{
	if (atomic_load_explicit(&descriptors.has_news, memory_order_relaxed))
		fds_tell_news();
}

#endif
