/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap - the memory of one task
 *
 * Everything that is allocated in a task belongs to its heap, and goes with
 * it as a whole.  This header is all that the rest of the library knows of
 * memory.
 *
 * Behind it each block is libc's, with a record in a hash table beside it:
 * tools that watch malloc see every block, and nothing before a pointer is
 * ever read to find out whose it is.  A pointer without a record is passed
 * on to libc.
 *
 * Who may free: the owner, and tasks above or below it; a stranger is told
 * so, and the block stays.  Limits: beyond max_bytes, ENOMEM.
 * Threads: any, at any time; the heap locks itself.  `self` is the calling
 * thread's current task, `place` where it was called from.
 * Errors: NULL or -1 with errno, and nothing has changed.
 */
#ifndef HEAP_PRIVATE_H
#define HEAP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct task;
struct record;

struct heap {
	struct record *newest;
	size_t bytes, peak_bytes, max_bytes;
	size_t blocks;
};

/* Every block is aligned so, if not to more. */
#define HEAP_ALIGN 16

void *heap_alloc(struct task *self, size_t size, size_t align, void *place);
void *heap_calloc(struct task *self, size_t n, size_t size, void *place);
void *heap_realloc(struct task *self, void *ptr, size_t size, void *place);
void heap_free(struct task *self, void *ptr, void *place);

/*
 * Blocks of an allocator that the caller names, recorded here.  They are a
 * family of their own: only heap_realloc2 and heap_free2 take them.
 */
void *heap_alloc2(struct task *self, size_t size, void *(*alloc)(size_t),
		  void *place);
void *heap_calloc2(struct task *self, size_t n, size_t size,
		   void *(*alloc)(size_t, size_t), void *place);
void *heap_realloc2(struct task *self, void *ptr, size_t size,
		    void *(*realloc)(void *, size_t), void *place);
void heap_free2(struct task *self, void *ptr, void (*free)(void *),
		void *place);
/* How those left over are freed; NULL is libc's free. */
void heap_set_free2(void (*free)(void *));

/* EPERM for a stranger's, EINVAL for what is no block. */
void *heap_give(struct task *self, void *ptr, struct task *to);

/* Release all at once.  Nothing else uses the heap any more. */
void heap_end(struct heap *heap);

/* A consistent copy of the figures. */
void heap_figures(const struct heap *heap, struct heap *copy);
void heap_report(struct task *task, FILE *to);

/* Around fork. */
void heap_lock(void);
void heap_unlock(void);

#endif
