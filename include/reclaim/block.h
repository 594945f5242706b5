/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/block.h - one large memory block, and all that is allocated in it
 *
 * erl_set_memory_block() makes a block of memory that was given, or obtained
 * for it; sys_alloc(), sys_realloc() and sys_free() then serve any task from
 * it: always the lowest place that is large enough (policy "aoff"), so that it
 * stays compact for as long as the program runs.  It is of one size, and does
 * not grow.  With no block set they are save_malloc(), save_realloc() and
 * save_free().
 *
 * A program that knows nothing of this gets its whole malloc from a block when
 * libreclaim-block.so is preloaded: reclaim-run(1), reclaim-erl(1).
 *
 * What is kept of a block lies at its beginning, less than 3 % of one of 1 MiB
 * or more, up to 7 % of a small one; nothing lies between allocations.
 *
 * All functions may be called from any thread, none in a signal handler.
 * Source: OTP's erl_set_memory_block(3) for VxWorks.
 */
#ifndef RECLAIM_BLOCK_H
#define RECLAIM_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Have a block of `size` bytes from here on: the memory at ptr, or, where ptr
 * is NULL, memory that is obtained for it.  Memory that is given stays the
 * caller's; it is aligned to 16 bytes, was not allocated by sys_alloc, and
 * nobody else uses it as long as it is the block: see reclaim_block_end().
 *
 *   warn_mixed_malloc     say so when sys_free or sys_realloc gets what
 *                         is not in the block (it is done all the same)
 *   realloc_always_moves  sys_realloc never resizes a block where it is
 *   use_reclaim           what a task allocates with sys_alloc goes with it
 *
 * What follows is ignored.  Returns 0, or -1 with errno and a report, and
 * nothing has changed: EBUSY while a block is in use, EINVAL where the size is
 * 0, less than 64 KiB or more than there are addresses behind ptr, or with
 * "aobf" or "bf" 16 TiB or more, or ptr is misaligned; ENOMEM.
 */
RECLAIM_API int erl_set_memory_block(size_t size, void *ptr,
				     int warn_mixed_malloc,
				     int realloc_always_moves, int use_reclaim,
				     ...);

/*
 * No more block.  One that was obtained goes as a whole, with all that was
 * allocated in it.  One that was given stays, and goes on serving: what was
 * allocated is still there, and may be freed; and erl_set_memory_block() with
 * the same memory takes it up again, as it is then.  With other memory it lets
 * go of the old, if nothing is allocated in there any more (else EBUSY); only
 * then is the old the caller's alone.  Nobody allocates or frees meanwhile, nor
 * while a block that was obtained ends.
 * 0, or -1 with errno EINVAL where no block is in use.
 */
RECLAIM_API int reclaim_block_end(void);

/*
 * The policy of the next block: "aoff" (address-order first fit: the lowest
 * place that is large enough), "aobf" (address-order best fit: the smallest,
 * and of those the lowest) or "bf" (best fit: the smallest).  Before this was
 * called the environment's RECLAIM_BLOCK_POLICY says, else it is aoff.
 * 0, or -1 with errno EINVAL.
 */
RECLAIM_API int reclaim_block_policy(const char *name);

/*
 * Of the next block each thread may keep so many bytes of what it freed in it,
 * to have them again without waiting for other threads: a front.  What it has
 * again is not where the policy would have gone.  0: none, as at first.
 * What is kept is free to all figures but the peak and the longest.  It goes
 * back when the block has no room for something, and as the thread ends; while
 * seven eighths of the block are allocated nothing more is kept.  A second free
 * of what is kept is found while its first 16 bytes are as they were.
 */
RECLAIM_API void reclaim_block_front(size_t bytes);

/*
 * As malloc, realloc and free: aligned to 16 bytes; no size gives a pointer of
 * its own; sys_realloc(p, 0) frees.  NULL with ENOMEM where the block is full.
 * With use_reclaim what an unrelated task allocated may not be freed or
 * resized.  What was freed before, and a pointer into an allocation, are told
 * (reclaim_policy) and nothing happens; sys_realloc then: NULL, EINVAL.
 */
RECLAIM_API void *sys_alloc(size_t size);
RECLAIM_API void *sys_realloc(void *ptr, size_t size);
RECLAIM_API void sys_free(void *ptr);

/*
 * Print to standard output how the block was set, a table, and a map of it as
 * a row of cells, the darker the fuller.  Arguments are ignored.  0.
 */
#if defined __cplusplus || \
	(defined __STDC_VERSION__ && __STDC_VERSION__ >= 202311L)
RECLAIM_API int erl_memory_show(...);
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
RECLAIM_API int erl_memory_show();
#pragma GCC diagnostic pop
#endif

/*
 * The block's figures, in VxWorks's names; bytes are as served, in units of
 * 16.  0, or -1 with errno EINVAL, and *stats as it was: there is no block.
 */
#ifndef RECLAIM_HAVE_MEM_PART_STATS /* where VxWorks's own are declared */
typedef struct {
	unsigned long numBytesFree;
	unsigned long numBlocksFree;
	unsigned long maxBlockSizeFree;
	unsigned long numBytesAlloc;
	unsigned long numBlocksAlloc;
} MEM_PART_STATS;
#endif
RECLAIM_API int erl_mem_info_get(MEM_PART_STATS *stats);

/*
 * All there is to know of the process's block, in one snapshot; bytes, and how
 * many.  total = kept + allocated + free.  0, or -1 with errno EINVAL: there
 * is no block.  Where libreclaim-block.so is preloaded it answers for its own.
 */
struct reclaim_block_info {
	void *area; /* where it begins */
	size_t total;
	size_t kept;	  /* what is known of the block, and its beginning */
	size_t allocated; /* as served, in units of 16 bytes */
	size_t peak;	  /* the most that was ever allocated */
	size_t free;
	size_t longest; /* the largest that could be allocated now */
	size_t blocks;	/* allocations */
	size_t holes;
	size_t spilled;	       /* bytes outside, since the block was full */
	size_t spilled_blocks; /* (of libreclaim-block.so) */
	char policy[8];
	size_t fronts; /* bytes that are free, and kept by threads */
};
RECLAIM_API int reclaim_block_info(struct reclaim_block_info *info);

/*
 * Draw the block as an SVG picture: what is allocated, by task where they are
 * known (use_reclaim), what is free, and what is kept.  0, or -1 with errno
 * EINVAL: there is no block; or as writing failed.
 */
RECLAIM_API int reclaim_block_svg(FILE *to);

#ifdef __cplusplus
}
#endif

#endif
