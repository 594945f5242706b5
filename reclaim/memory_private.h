/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory - the memory of one task
 *
 * Everything that is allocated in a task belongs to it, and goes with it as a
 * whole: the heaps that its threads have in it, one each, and beside them
 * what is remembered block by block.  This header is all that the rest of the
 * library knows of memory.
 *
 * Who may free: the owner, and tasks above or below it; a stranger is told
 * so, and the block stays.  What was freed before, is inside a block, or was
 * never allocated is told, with both places where they are kept.  A pointer
 * that may be libc's is passed on to libc.
 *
 * Limits: beyond max_bytes ENOMEM.  In a task with one, what it has is counted
 * as it was asked for; in others as blocks are, up to a quarter larger.
 * Threads: any, at any time, for the calling thread's current task.  `place`
 * is where it was called from.
 * Errors: NULL or -1 with errno, and nothing has changed.
 */
#ifndef MEMORY_PRIVATE_H
#define MEMORY_PRIVATE_H

#include <errno.h>

#include "reclaim/heap_private.h"
#include "reclaim/record_private.h"
#include "reclaim/thread_private.h"

struct memory {
	_Atomic(struct heap *) heaps;
	struct records records;
	size_t max_bytes; /* 0: no limit */
	/* Where there is one: what was asked for. */
	_Atomic size_t charged, peak_charged;
};

/* Each block is libc's, with a record. */
extern bool memory_is_libcs;

/* RECLAIM_MALLOC, from the environment or as the tools have it. */
void memory_start(void);

/* ---- the quick path; what it cannot do the functions below it can ---- */

static inline void *memory_quick_alloc(size_t size)
{
	struct heap *heap = thread_of_caller.heap;

	return heap && size - 1 < QUICK_MOST ? heap_take(heap, size) : NULL;
}

void memory_free(void *ptr, void *place);
void memory_free_by_run(struct heap *heap, struct run *run, void *ptr);

static inline bool memory_quick_free(void *ptr)
{
	struct heap *heap = thread_of_caller.heap;
	struct run *run;
	enum put put = heap ? heap_put(heap, ptr, &run) : PUT_NOT;

	if (put == PUT_BY_RUN)
		memory_free_by_run(heap, run, ptr);
	return put != PUT_NOT;
}

/* Free a live block of whatever heap: false where somebody else was first. */
bool memory_free_block(struct thread *self, const struct pointer *block,
		       void *place);

/* For what memory_quick_alloc had none. */
void *memory_refill(size_t size, void *place);

void *memory_alloc(size_t size, size_t align, void *place);
void *memory_calloc(size_t n, size_t size, void *place);
void *memory_realloc(void *ptr, size_t size, void *place);

/* ---- limits ---- */

static inline void memory_charge_anyway(struct memory *memory, size_t size)
{
	if (memory->max_bytes)
		atomic_fetch_add(&memory->charged, size);
}

/* Never below nothing, even where two threads free a block at once. */
static inline void memory_uncharge(struct memory *memory, size_t size)
{
	size_t charged;

	if (!memory->max_bytes)
		return;
	charged = atomic_load(&memory->charged);
	while (!atomic_compare_exchange_weak(&memory->charged, &charged,
					     charged > size ? charged - size
							    : 0))
		;
}

/* Nothing is remembered of what was charged and not got. */
static inline void memory_remember(struct memory *memory)
{
	size_t charged, peak;

	if (!memory->max_bytes)
		return;
	charged = atomic_load(&memory->charged);
	peak = atomic_load(&memory->peak_charged);
	while (charged > peak && !atomic_compare_exchange_weak(
					 &memory->peak_charged, &peak, charged))
		;
}

/* Whether so much may be added; then it is. */
static inline bool memory_charge(struct memory *memory, size_t size)
{
	size_t charged;

	if (!memory->max_bytes)
		return true;
	charged = atomic_load(&memory->charged);
	do {
		if (charged > memory->max_bytes ||
		    size > memory->max_bytes - charged) {
			errno = ENOMEM;
			return false;
		}
	} while (!atomic_compare_exchange_weak(&memory->charged, &charged,
					       charged + size));
	return true;
}

/* With the tables locked.  EPERM for a stranger's, EINVAL for no block. */
void *memory_give(void *ptr, struct task *to);

/* ---- all of a task's ---- */

/* Release it.  The caller works for the task, and nobody else uses it. */
void memory_end(struct task *task);

/*
 * The same where there are heaps and nothing else: nobody finds them any more,
 * as soon as they were taken with the tables locked; then all in them is free.
 */
static inline struct heap *memory_take_heaps(struct memory *memory)
{
	struct heap *first =
		atomic_load_explicit(&memory->heaps, memory_order_relaxed);

	atomic_store_explicit(&memory->heaps, NULL, memory_order_relaxed);
	return first;
}
void memory_end_heaps(struct heap *first, struct thread *self);

/* The calling thread lets go of the heap that it has at a seat. */
static inline void memory_leave(struct seat *seat)
{
	if (seat->heap)
		heap_leave(seat->heap);
	seat->heap = seat->quick = NULL;
}

void memory_figures(struct memory *memory, struct heap_figures *figures);

/* Each block of which that is known: where it was allocated, and its bytes. */
void memory_each(struct memory *memory,
		 void (*fn)(void *place, size_t bytes, void *arg), void *arg);

/* Around fork; and in the child, for each task. */
void memory_lock(void);
void memory_unlock(void);
void memory_forked(struct memory *memory);

#endif
