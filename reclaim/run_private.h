/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run - equal blocks side by side, and which of them are free
 *
 * A run is some KiB of a chunk, cut into at most 63 blocks of one size, and
 * described by 64 bytes elsewhere.  A bit for each block is all that tracks
 * it.  Where a block is in its run, and that a pointer is the beginning of
 * one, is told by one multiplication with the reciprocal of the size.
 *
 * What is not a run of blocks is described in the same way: a bump area, a
 * large block that has its chunk to itself, and KiBs that are nobody's.
 * Their reciprocal is 0, by which the quick path leaves them to the slow one.
 *
 * The runs of a heap of one size are the current one, from which blocks are
 * taken; those with some blocks free, first in, first out; and full ones,
 * which nothing lists.  A run whose blocks are all free is merged with free
 * neighbours, and becomes a run of any size, or goes with its chunk.
 *
 * Threads: the thread that has the heap; others look, and write `remote`.
 */
#ifndef RUN_PRIVATE_H
#define RUN_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bump;
struct chunk;
struct heap;

/*
 * Sizes: steps of 16 to 128, then four to a doubling, so that a block is at
 * most a quarter larger than what was asked for.
 */
#define CLASS_COUNT 36
#define CLASS_MOST  16384 /* bytes */

enum { RUN_BUMP = CLASS_COUNT, RUN_LARGE, RUN_EMPTY };

struct run {
	union {
		_Atomic uint64_t free; /* blocks, see below */
		uint64_t bytes;	       /* of a large one */
	};
	_Atomic uint64_t remote; /* blocks that other threads freed */
	_Atomic(struct heap *) heap;
	union {
		struct run *next; /* in one of the heap's lists */
		struct bump *bump;
	};
	struct run *prev;
	struct run *next_remote; /* of those that others freed in */
	uint32_t reciprocal;
	uint32_t offset; /* in its arena; of a spare one, the next */
	uint16_t size;	 /* bytes */
	uint16_t kibs;
	uint8_t class;
	uint8_t count; /* blocks */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct run) == 64, "a run is described by a cache line");

/*
 * The offset of a block times the reciprocal has the block's number before the
 * point, in the upper half, and behind it less than the reciprocal; any other
 * offset has more there.  Exact as long as (count + 1) * size <= reciprocal:
 * 63 blocks of 1 KiB, four of 16 KiB.
 */
static inline uint32_t run_reciprocal(size_t size)
{
	return (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
}

/*
 * In `free` the bits beyond the blocks are set, always at least one: nothing
 * need be known of a run to see that the number of its first free block is no
 * block's, or that a block of that number is not live, or that all are free.
 */
#define RUN_BLOCKS 63

/* Written by the heap's thread alone; others look whether a block is free. */
static inline uint64_t run_free_blocks(const struct run *run)
{
	return atomic_load_explicit(&run->free, memory_order_relaxed);
}

static inline void run_set_free(struct run *run, uint64_t free)
{
	atomic_store_explicit(&run->free, free, memory_order_relaxed);
}

static inline bool run_is_empty(const struct run *run)
{
	return run_free_blocks(run) == ~(uint64_t)0;
}

/*
 * The mark of a full run is on its heap, so that it looks like another's: the
 * quick path leaves it to the slow one, which lists the run again.
 */
#define RUN_FULL ((uintptr_t)1)

static inline struct heap *run_heap(const struct run *run)
{
	uintptr_t heap = (uintptr_t)atomic_load_explicit(&run->heap,
							 memory_order_acquire);

	return (struct heap *)(heap & ~RUN_FULL);
}

extern const uint16_t class_size[CLASS_COUNT];
extern const uint8_t class_of_granules[65]; /* of 16 bytes: to 1 KiB */

static inline unsigned class_of(size_t size)
{
	unsigned doubling;

	if (size <= 1024)
		return class_of_granules[(size + 15) / 16];
	doubling = 63 - (unsigned)__builtin_clzll((uint64_t)size - 1);
	return (doubling - 7) * 4 + 4 +
	       (unsigned)((size - 1) >> (doubling - 2));
}

static inline size_t run_kib(const struct run *run)
{
	return run->offset >> 10;
}

/* Lists of runs, oldest first. */
struct runs {
	struct run *first, *last;
};

/* Lengths of free runs: a list for each doubling from 1 KiB to 1 MiB. */
#define RUN_LENGTHS 11

/* What a heap needs when it has outgrown its first chunks. */
struct classes {
	struct run *current[CLASS_COUNT];
	struct runs partial[CLASS_COUNT];
	struct runs empty[RUN_LENGTHS];
	unsigned lengths; /* a bit for each list of those that has some */
	unsigned order;	  /* of the next chunk */
	size_t kibs;	  /* of its chunks */
	unsigned refills;
};

/* The only run of a chunk, a bump area or a large block; or none at all. */
struct run *chunk_describe(struct chunk *chunk, struct heap *heap,
			   unsigned class, struct bump *bump);
void chunk_forget(struct chunk *chunk);

extern struct run *const no_current[CLASS_COUNT]; /* runs without a block */

void classes_reset(struct classes *classes);

/* A run of a class with free blocks, made the current one; NULL, ENOMEM. */
struct run *run_refill(struct heap *heap, unsigned class);

/* A block of a run that has some free ones, if that is all there is to do. */
void *run_take_partial(struct heap *heap, unsigned class);

/* Blocks of a run of the heap's are free from now on. */
void run_free(struct heap *heap, struct run *run, uint64_t blocks);

/* All of its blocks are free. */
void run_emptied(struct heap *heap, struct run *run);

#endif
