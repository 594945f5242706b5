/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fds - who owns each descriptor of the process
 *
 * One table for all tasks: descriptor to the token of the entry that holds it
 * (a plain fd, a FILE or a DIR).  A token is an owner and a generation, so a
 * descriptor that was closed behind the wrappers, and perhaps handed out
 * again, is noticed when either user passes by: the older entry then holds
 * nothing and never closes the number for its new owner.  What is noticed is
 * told, once the tables are unlocked, by fds_tell.
 *
 * The table is `tables`-locked like the ledgers.
 */
#ifndef FDS_PRIVATE_H
#define FDS_PRIVATE_H

#include "reclaim/ledger_private.h"

extern const struct kind fd_kind;

/*
 * Room for descriptors as they come.  Descriptors are handed out lowest
 * first: with room for twice the highest one seen, only a program that
 * opens as many again behind the wrappers outruns it, and then fds_cover
 * finds out.  Both: -1 with ENOMEM.
 */
int fds_reserve(void);
int fds_cover(int fd);

/* `entry` holds `fd` now, which is covered; and nobody does any more. */
void fds_set(int fd, struct entry *entry);
void fds_clear(struct entry *entry);

/*
 * The fd of an entry has gone from under it: a plain one leaves its ledger, a
 * FILE or DIR stays, without.
 */
void fds_lose(struct entry *entry);

/* Who holds a descriptor, or NULL. */
struct entry *fds_find(int fd);

/*
 * Whether the fd of an entry that was removed is its to close.  Not if it lost
 * it; nor, with RECLAIM_FDS=verify, if fstat(2) says that it is something
 * else by now, which is told.  The tables are not locked.
 */
bool fds_may_close(const struct entry *held);

/* Tell of what was noticed while the tables were locked. */
void fds_tell(void);

#endif
