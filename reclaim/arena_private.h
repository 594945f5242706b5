/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - address space for heaps, in chunks
 *
 * An arena is 64 MiB of address space, aligned to its size, so that the arena
 * of an address is the address with its low bits cleared, and whether there
 * is one is a byte in a table.  What describes the memory lies at the arena's
 * beginning, apart from the memory itself: for each KiB the run that it
 * belongs to, the runs, and the chunks.  No question about a pointer is
 * answered by reading what it points to.
 *
 * Chunks are powers of two of pages, from 4 KiB to 32 MiB, aligned to their
 * size, split and merged as buddies.  A heap takes few and large ones.
 *
 * Memory goes back to the system by low water: what was not needed at any
 * time of an epoch is given back at its end, so a spike is gone after the
 * second epoch of activity, and what comes and goes is kept.
 *
 * Good for: many owners, each released at once.  Address space is not given
 * back, and what describes it stays readable for good.
 * Threads: chunk_get and the like under the lock `heaps`; look-ups without.
 * Errors: NULL with ENOMEM.
 */
#ifndef ARENA_PRIVATE_H
#define ARENA_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reclaim/lock_private.h"
#include "reclaim/rare_private.h"
#include "reclaim/run_private.h"

#define ARENA_BITS  26
#define ARENA_SIZE  ((size_t)1 << ARENA_BITS)
#define ARENA_KIB   (ARENA_SIZE >> 10)
#define PAGE_BITS   12 /* of a chunk; the system's may be larger */
#define ARENA_PAGES (ARENA_SIZE >> PAGE_BITS)

/* Chunks of 4 KiB << order. */
#define CHUNK_ORDERS 14
#define CHUNK_MOST   ((size_t)1 << (PAGE_BITS + CHUNK_ORDERS - 1))

enum chunk_state { CHUNK_PART, CHUNK_USED, CHUNK_CLEAN, CHUNK_DIRTY };

/* One for each page; that of a chunk's first page describes it. */
struct chunk {
	struct chunk *next, *prev; /* of its heap, or of the free ones */
	uint8_t state;
	uint8_t order;
	uint16_t described; /* runs that were ever described in it */
	uint16_t spare;	    /* one of them that is none now; 0 is none */
	bool zero;	    /* its memory was never written */
};

struct arena {
	uint16_t run_of_kib[ARENA_KIB]; /* 0: none that is live */
	struct run runs[ARENA_KIB];	/* four for each page, see run.c */
	struct chunk chunks[ARENA_PAGES];
	uint8_t order_of_page[ARENA_PAGES]; /* of chunks in use */
	struct arena *next;
	uint32_t pages; /* up to here they may be touched */
};

/* Under it: chunks, their lists, and all heaps that nobody uses. */
extern struct lock heaps;

/* Bits of an address of user space, on any system with 64. */
#define ADDRESS_BITS (sizeof(void *) > 4 ? 48 : 32)
#define ARENAS_MOST  ((size_t)1 << (ADDRESS_BITS - ARENA_BITS))

extern uint8_t arena_is_ours[];

static inline bool arena_has(const void *ptr)
{
	size_t number = (uintptr_t)ptr >> ARENA_BITS;

	return number < ARENAS_MOST &&
	       __atomic_load_n(&arena_is_ours[number], __ATOMIC_RELAXED);
}

/* The arena of an address in it: of a block, a run or a chunk. */
static inline struct arena *arena_of(const void *ptr)
{
	return (struct arena *)((uintptr_t)ptr & -ARENA_SIZE);
}

static inline size_t arena_offset(const void *ptr)
{
	return (uintptr_t)ptr & (ARENA_SIZE - 1);
}

/* The run of an address in an arena; runs[0], of no heap, where none is. */
static inline struct run *arena_run(const void *ptr)
{
	struct arena *arena = arena_of(ptr);
	size_t kib = arena_offset(ptr) >> 10;
	size_t number =
		__atomic_load_n(&arena->run_of_kib[kib], __ATOMIC_RELAXED);

	return arena->runs + number;
}

static inline char *run_memory(const struct run *run)
{
	return (char *)arena_of(run) + run->offset;
}

static inline size_t chunk_first_kib(const struct chunk *chunk)
{
	size_t page = (size_t)(chunk - arena_of(chunk)->chunks);

	return page << (PAGE_BITS - 10);
}

static inline size_t chunk_size(const struct chunk *chunk)
{
	return (size_t)1 << (PAGE_BITS + chunk->order);
}

static inline char *chunk_memory(const struct chunk *chunk)
{
	return (char *)arena_of(chunk) + (chunk_first_kib(chunk) << 10);
}

/* The smallest order of so many bytes. */
unsigned chunk_order(size_t size);

/* Whether what an arena has there may have been part of a chunk before. */
bool arena_handed_out(const void *ptr);

/* The chunk in use that an address is in; NULL where there is none. */
struct chunk *chunk_of(const void *ptr);

/* All below with `heaps` locked. */
struct chunk *chunk_get(unsigned order);
void chunk_put(struct chunk *chunk);

/* Look at the clock, and whether an epoch has ended. */
bool arena_tick(void);

#endif
