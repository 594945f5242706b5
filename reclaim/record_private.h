/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - blocks of other allocators, remembered one by one
 *
 * Each is found by its address in a hash table.  Nothing before a pointer is
 * read to find out whose it is; a pointer without a record is its
 * allocator's.
 *
 * Good for: blocks of an allocator that the caller names; what is too large
 * for a heap; and, with RECLAIM_MALLOC=system, all memory: tools that watch
 * malloc see every block.
 *
 * Who may free: the owner, and tasks above or below it; a stranger is told
 * so, and the block stays.
 * Threads: any, at any time; the table locks itself.  `self` is the calling
 * thread's current task, `place` where it was called from.
 * Errors: NULL or -1 with errno, and nothing has changed.
 */
#ifndef RECORD_PRIVATE_H
#define RECORD_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct record;
struct task;

/* Who allocated it, and so who may free it, and how. */
enum family {
	FAMILY_LIBC,
	FAMILY_CALLERS, /* save_malloc2 */
	FAMILY_BLOCK,	/* sys_alloc, with use_reclaim */
};

/* Those of one task. */
struct records {
	struct record *newest;
	size_t bytes, peak_bytes, blocks;
};

/* Blocks of libc; what record_alloc gets, the task was charged for. */
void *record_alloc(struct task *self, size_t size, size_t align, bool zero,
		   void *place);
void *record_realloc(struct task *self, void *ptr, size_t size, void *place);
void record_free(struct task *self, void *ptr, void *place);

/* Whether a pointer has a record; if not, it is for libc to free. */
bool record_has(const void *ptr);

/*
 * Blocks of an allocator that the caller names.  Each family is of its own:
 * only record_realloc2 and record_free2 of the same take them.
 */
void *record_alloc2(struct task *self, size_t size, void *(*alloc)(size_t),
		    enum family family, void *place);
void *record_calloc2(struct task *self, size_t n, size_t size,
		     void *(*alloc)(size_t, size_t), void *place);
void *record_realloc2(struct task *self, void *ptr, size_t size,
		      void *(*realloc)(void *, size_t), enum family family,
		      void *place);
void record_free2(struct task *self, void *ptr, void (*free)(void *),
		  enum family family, void *place);
/* How what is left of the callers' is freed; NULL is libc's free. */
void record_set_free2(void (*free)(void *));

/* EPERM for a stranger's, EINVAL for what has no record. */
void *record_give(struct task *self, void *ptr, struct task *to);

/* Whether a task has any; others may be taking or giving one at the moment. */
bool records_any(const struct records *records);

/* Release all of a task.  Nothing else uses them any more. */
void records_end(struct records *records);

/* A consistent copy of the figures. */
void records_figures(const struct records *records, struct records *copy);

/* Each block of a task: where it was allocated, and its bytes. */
void records_each(const struct records *records,
		  void (*fn)(void *place, size_t bytes, void *arg), void *arg);

/* With the tables locked: each block of a family, and whose it is. */
void records_of_family(enum family family,
		       void (*fn)(const void *ptr, size_t bytes,
				  const struct task *task, void *arg),
		       void *arg);

/* The memory of a family is gone as a whole: nothing is freed. */
void records_forget_family(enum family family);

/* Around fork. */
void records_lock(void);
void records_unlock(void);

#endif
