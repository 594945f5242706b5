/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fds - who owns each descriptor of the process
 *
 * One table for all tasks, with a record for each number: who holds it.  That
 * is a FILE or a DIR, whose entry is elsewhere, or nothing but a task; then the
 * record is itself the entry in the task's ledger.  So a descriptor is recorded
 * by linking its record in and forgotten by linking it out, and nothing is
 * allocated or looked for.
 *
 * An entry and its descriptor know each other or neither.  So one that was
 * closed behind the wrappers, and handed out again, is noticed when its next
 * user passes by: the older entry then holds nothing, and never closes the
 * number for its new owner.  What is noticed is told, once the tables are
 * unlocked, by fds_tell.
 *
 * The table is `tables`-locked like the ledgers.  Only where there is one
 * thread, and nothing to do but to link (`quick`), no lock is taken: see
 * wrappers/acquire.h.
 */
#ifndef FDS_PRIVATE_H
#define FDS_PRIVATE_H

#include <stdatomic.h>

#include "reclaim/ledger_private.h"
#include "reclaim/task_private.h"

extern const struct kind fd_kind;

struct descriptor {
	struct entry own;     /* comes first: a plain one's */
	struct entry *holder; /* `own`, a FILE's or a DIR's; or NULL */
};

extern struct descriptors {
	struct table records; /* of struct descriptor */
	uint32_t seen;	      /* every number that was held is below */
	bool quick;	      /* room for as many again; no places, no verify */
	bool verify;	      /* RECLAIM_FDS=verify */
	atomic_bool has_news; /* for fds_tell_news */
} descriptors __attribute__((visibility("hidden")));

/* What the environment says, before the first descriptor is recorded. */
void fds_start(void);

/* ---- records ---- */

/*
 * Room for descriptors as they come.  They are handed out lowest first: with
 * room for twice as many as were seen, only a program that opens as many again
 * behind the wrappers outruns it, and then fds_cover finds out.  -1 with
 * ENOMEM.
 */
int fds_make_room(void);

/* The record of a number that was seen. */
static inline struct descriptor *fds_at(int fd)
{
	size_t within;
	struct descriptor *chunk =
		table_chunk(&descriptors.records, (uint32_t)fd, &within);

	return &chunk[within];
}

/* The record of any; NULL with ENOMEM. */
struct descriptor *fds_cover(int fd);

/* Who holds a descriptor, or NULL. */
static inline struct entry *fds_find(int fd)
{
	return (uint32_t)fd < descriptors.seen ? fds_at(fd)->holder : NULL;
}

static inline bool fd_is_plain(const struct entry *entry)
{
	return entry->kind == &fd_kind.kind;
}

/* ---- holding ---- */

/*
 * A task holds a descriptor from now on, plainly.  It is nobody's, and counted
 * among the handles of the task already.
 */
static inline void fds_hold(struct descriptor *descriptor, int fd,
			    struct task *task)
{
	struct entry *own = &descriptor->own;

	descriptor->holder = own;
	own->task = task;
	own->kind = &fd_kind.kind;
	own->id = (void *)(intptr_t)fd;
	own->fd = fd;
	ledger_link_newest(&task->ledger, own);
}

/* The same, with what one may want to know of it later. */
void fds_hold_noted(struct descriptor *descriptor, int fd, struct task *task,
		    void *place);

/* A FILE or a DIR holds it, which is covered. */
void fds_set(int fd, struct entry *entry);

/* A plain one leaves its ledger. */
static inline void fds_drop(struct descriptor *descriptor)
{
	struct entry *own = &descriptor->own;

	descriptor->holder = NULL;
	ledger_unlink(&own->task->ledger, own);
	own->task->ledger.handles--;
}

/*
 * The fd of an entry has gone from under it: a plain one leaves its ledger, a
 * FILE or DIR stays, without.  And the same where that is news.
 */
void fds_lose(struct entry *entry);
void fds_lose_stale(struct entry *entry);

/* ---- closing ---- */

/*
 * Whether the fd that an entry holds is still what was acquired; with
 * RECLAIM_FDS=verify fstat(2) may say that it is not, which is news.
 */
bool fds_is_same(const struct entry *entry);

/*
 * Whether the fd of an entry that was removed is its to close: it did not lose
 * it, and it is the same.  If not that is told.  The tables are not locked.
 */
bool fds_may_close(const struct entry *held);

/*
 * Close what comes first as a ledger is released down to `at`, as long as it is
 * plain descriptors and quick.  The tables are not locked.
 */
void fds_close_newest(const struct ledger *ledger, uint64_t at);

/* Tell of what was noticed while the tables were locked. */
void fds_tell_news(void);

static inline void fds_tell(void)
{
	if (atomic_load_explicit(&descriptors.has_news, memory_order_relaxed))
		fds_tell_news();
}

#endif
