/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger - what one task holds besides memory, in order of acquisition
 *
 * An entry is a handle or a deferred action.  It is reserved before the system
 * call that acquires the thing, when failing is still free of consequences,
 * and committed after it, which cannot fail; or cancelled.  A ledger is a
 * list, oldest to newest; an entry is found by its token, by its descriptor
 * (fds), or by kind and id in one hash table for all tasks.  Every operation
 * is O(1).
 *
 * Entries are in two places.  A plain descriptor's is its record in the table
 * of descriptors (fds): there is one for each number, and it has no token, for
 * the number is enough to name it.  All others are numbered, here.
 *
 * Threads: one lock, `tables`, guards the ledgers, the descriptors and the
 * tree of tasks.  The kernel serialises the calls that make descriptors in
 * the same way, so it costs no scalability that there was.  All functions
 * here want it taken, where they do not say otherwise.
 */
#ifndef LEDGER_PRIVATE_H
#define LEDGER_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "reclaim/task.h"

#include "reclaim/hash_private.h"
#include "reclaim/lock_private.h"
#include "reclaim/slots_private.h"

struct task;
struct entry;

/*
 * The library's own kinds: their release sees the whole entry (a copy; the
 * ledger has forgotten it).  They have KIND_BUILTIN in kind.fork.
 */
struct kind {
	struct reclaim_kind kind;
	void (*release)(const struct entry *held);
	/* What runs is asked to stop: whether it has.  The tables are locked.
	 */
	bool (*stop)(const struct entry *entry);
	/*
	 * The process exits and its task cannot end: what is not to outlive
	 * the process is to go all the same.  The tables are locked.
	 */
	void (*abandon)(const struct entry *entry);
	/* In a forked child, where it is dropped: free its record. */
	void (*drop)(const struct entry *entry);
};
enum {
	KIND_BUILTIN = 1 << 8,
	KIND_FOUND_BY_ID = 1 << 9, /* in the hash table */
	KIND_IS_ACTION = 1 << 10,  /* deferred; no handle */
	KIND_IS_UNIQUE = 1 << 11   /* an id is of one thing at a time */
};

/* It has one, for which there was no memory to have a record: it is its own. */
#define FD_UNRECORDED -2

struct entry {
	struct entry *older, *newer;
	struct task *task;
	uint64_t at; /* in the order of the task's acquisitions */
	const struct reclaim_kind *kind;
	void *id; /* with kind: the key in the hash table */
	union {
		void (*action)(void *);
		size_t size;	    /* of a mapping */
		reclaim_token peer; /* the process behind a FILE */
		void *record;	    /* a kind's own, beside the id */
	} u;
	void *place;		 /* a return address, or NULL */
	int fd;			 /* that it holds, or -1, or FD_UNRECORDED */
	bool private_to_process; /* the fd is for no child, popen(3)'s */
	bool shielded;		 /* made close-on-exec for a moment */
	dev_t dev;		 /* with RECLAIM_FDS=verify: what the fd was */
	ino_t ino;
};

/* One that is not the record of a descriptor. */
struct numbered {
	struct slot slot; /* the token */
	struct entry entry;
	UT_hash_handle hh; /* with KIND_FOUND_BY_ID */
};

struct ledger {
	struct entry *newest;
	uint64_t clock; /* `at` of the latest acquisition */
	uint32_t handles, max_handles;
	uint32_t actions;
	uint32_t threads; /* handles that run */
};

static inline void ledger_link_newest(struct ledger *ledger,
				      struct entry *entry)
{
	entry->at = ++ledger->clock;
	entry->newer = NULL;
	entry->older = ledger->newest;
	if (entry->older)
		entry->older->newer = entry;
	ledger->newest = entry;
}

static inline void ledger_unlink(struct ledger *ledger, struct entry *entry)
{
	if (entry->older)
		entry->older->newer = entry->newer;
	if (entry->newer)
		entry->newer->older = entry->older;
	else
		ledger->newest = entry->older;
}

extern struct lock tables __attribute__((visibility("hidden")));

/*
 * Room for one more entry of a task, and for the descriptor that it may hold;
 * it counts as held from here on.  NULL: ENOMEM, EMFILE.
 */
struct entry *ledger_reserve(struct task *task, const struct reclaim_kind *kind,
			     void *place);
void ledger_commit(struct entry *entry, void *id);
void ledger_cancel(struct entry *entry);

/* One handle more of a task.  -1 with EMFILE. */
int ledger_count_handle(struct task *task);

/* Forget an entry: it is no longer anywhere, and its token finds nothing. */
void ledger_remove(struct entry *entry);

/* The thing is known by another id from now on. */
void ledger_change_id(struct entry *entry, void *id);

/* Move an entry, as the newest.  -1 with EMFILE. */
int ledger_move(struct entry *entry, struct task *to);

/* The token of an entry that is no plain descriptor's; and back, or NULL. */
reclaim_token ledger_token(const struct entry *entry);
struct entry *ledger_find_token(reclaim_token token);

/*
 * An entry by kind and id.  Where several tasks hold the thing (a library),
 * the current task's is preferred, then that of one above or below.
 */
struct entry *ledger_find(const struct reclaim_kind *kind, const void *id);

/*
 * Release, newest first, what was acquired after `at`, with the tables
 * not locked, the task current and cancellation disabled.
 */
void ledger_release_after(struct task *task, uint64_t at);

/* Ask the threads in a task to stop: whether they have. */
bool ledger_stop(const struct task *task);

/* The process exits, and this task does not end: see struct kind. */
void ledger_abandon(const struct task *task);

/* Run one release.  The tables are not locked; the entry was removed. */
void ledger_run(const struct entry *held);

/* In a forked child: forget what is not to be released there. */
void ledger_forked(struct task *task);

#endif
