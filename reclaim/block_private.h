/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block - one large memory block, and what is allocated in it
 *
 * Good for: all memory of a program, or of some tasks of one, in one place:
 * of a size that is known, in address order, so that it stays compact for as
 * long as the program runs, and given back as a whole.
 *
 * How: nothing is kept beside what is allocated.  Bits say where something
 * begins (pages), and an index of the holes, by address or by length, where a
 * request goes (first fit, best fit).  All of it lies at the block's beginning.
 *
 * Allocating and freeing take time O(log n), for long holes of the best fit on
 * average.  A hole has no hole beside it.  What is no live allocation is found
 * out, from the bits.
 *
 * Threads: any, at any time; a block has one lock.  The size of an allocation
 * is read without it, and what a thread keeps in a front is its own.
 * Errors: NULL with ENOMEM, and nothing has changed.
 */
#ifndef BLOCK_PRIVATE_H
#define BLOCK_PRIVATE_H

#include <stdbool.h>

#include "reclaim/best_fit_private.h"
#include "reclaim/first_fit_private.h"
#include "reclaim/front_private.h"
#include "reclaim/lock_private.h"

enum block_policy {
	BLOCK_AOFF, /* address-order first fit: the lowest hole that fits */
	BLOCK_AOBF, /* the shortest that fits, the lowest of those */
	BLOCK_BF,   /* the shortest that fits */
};
#define BLOCK_POLICIES 3

/* What a processor has: each can do what those before it can. */
enum block_processor { PROCESSOR_ANY, PROCESSOR_AVX2, PROCESSOR_AVX512 };

struct block {
	/* What stays, and is read without the lock. */
	enum block_policy policy;
	enum block_processor processor;
	bool zeroed; /* what was never allocated is all zero */
	char *area;
	size_t area_size;
	char *base; /* of granule 0 */
	/* Bytes behind each allocation that are closed, where a tool listens;
	 * the last word of them is how many were asked for. */
	size_t guard;
	struct pages pages;
	struct fronts fronts;

	/* What changes has lines of the cache of its own, or else threads that
	 * need no lock would wait for those that have it. */
	struct lock lock __attribute__((aligned(64)));
	size_t untouched;  /* from this granule on it was never allocated */
	size_t live, peak; /* granules allocated */
	size_t blocks, holes;
	union {
		struct first_fit first;
		struct best_fit best;
	} fit;
};

/* Whether a block of this policy may be as large. */
bool block_may_have(enum block_policy policy, size_t size);

/*
 * Make a block of an area.  zeroed: it is all zero, as the system gave it.
 * NULL with EINVAL: it is less than BLOCK_LEAST, more than its policy may have,
 * or not aligned to 16 bytes.
 */
#define BLOCK_LEAST ((size_t)64 << 10)
struct block *block_begin(void *area, size_t size, enum block_policy policy,
			  bool zeroed);

/* Its memory is somebody else's again. */
void block_end(struct block *block);

/*
 * Let each thread keep so many bytes of what it frees, to have them again
 * without the lock; 0: none, as at first.  Then what is allocated again is not
 * where the policy would have gone.  Not while the block is nearly full, nor
 * where a tool listens.  False: another block has this at the moment.
 */
bool block_front(struct block *block, size_t bytes);
/* A thread's is flushed, and is no more. */
void block_front_ends(struct block *block, struct front *front);

/* The policy of a name, "aoff"; -1 if there is none.  And the name of one. */
int block_policy(const char *name);
const char *block_policy_name(enum block_policy policy);

/* align: a power of two. */
void *block_alloc(struct block *block, size_t size, size_t align);
void *block_calloc(struct block *block, size_t size);

/* What a pointer is to a block. */
enum block_found {
	BLOCK_ALLOCATED, /* the beginning of a live allocation */
	BLOCK_INSIDE,	 /* within one */
	BLOCK_HOLE,	 /* free: it was freed before, or never allocated */
	BLOCK_ELSEWHERE, /* not in what this block serves */
};
enum block_found block_find(struct block *block, const void *ptr);

/* Free a live allocation; of anything else only says what it is. */
enum block_found block_free(struct block *block, void *ptr);

/* Of a live allocation, the bytes that may be used. */
size_t block_size(const struct block *block, const void *ptr);

/* Resize one where it is, if that goes. */
bool block_resize(struct block *block, void *ptr, size_t size);

/* What there is of it. */
struct block_figures {
	size_t total;		/* bytes, what is kept of them included */
	size_t kept;		/* bytes */
	size_t allocated, peak; /* bytes */
	size_t free;		/* bytes, what threads keep included */
	size_t fronts;		/* bytes that threads keep */
	size_t longest;		/* bytes: the largest that could be allocated */
	size_t blocks, holes;
};
void block_figures(struct block *block, struct block_figures *figures);

/* For who is outside of the library. */
struct reclaim_block_info;
void block_inform(struct block *block, struct reclaim_block_info *info);

/* The same, and everything in it, in the order of addresses, in one look. */
void block_each(struct block *block, struct block_figures *figures,
		void (*fn)(char *at, size_t bytes, bool hole, void *arg),
		void *arg);

/* Around fork. */
void block_lock(struct block *block);
void block_unlock(struct block *block);

#endif
