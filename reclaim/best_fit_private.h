/* SPDX-License-Identifier: Apache-2.0 */
/*
 * best fit - the shortest hole that is long enough, and the lowest of those
 *
 * Holes of less than 4 KiB are found by a bitmap: for each length, and each
 * region of 4 KiB of the block, whether such a hole begins there.  Of which
 * lengths there are any, a few words say; and of each length, in how many
 * regions, and before which region there is none.  Where in its region the
 * hole is, the block's pages say.
 *
 * Longer holes, of which no more than one begins in a region, are nodes of a
 * treap by length and address, whose priorities are a hash of the region.
 */
#ifndef BEST_FIT_PRIVATE_H
#define BEST_FIT_PRIVATE_H

#include "reclaim/pages_private.h"

#define REGION_PAGES ((size_t)4)
#define REGION	     (REGION_PAGES * PAGE_GRANULES) /* also the first long */

struct long_hole {
	uint32_t left, right; /* regions, from 1; 0: none */
	uint64_t key;	      /* length, and where in its region it begins */
};

/* The holes of one length. */
struct of_length {
	uint32_t regions; /* in which there are some */
	uint32_t from;	  /* no region before; any: the latest */
};

struct best_fit {
	bool any;
	size_t regions;
	uint64_t some[REGION / 64]; /* lengths of which there are holes */
	struct of_length *of_length;
	struct bitmap lengths;
	struct long_hole *of; /* of each region */
	uint32_t root;
};

/* `any`: of holes of one length the latest is better than the lowest. */
size_t best_fit_bytes(size_t pages);
/* `memory`: so many bytes, zero, at a multiple of 8. */
void best_fit_begin(struct best_fit *fit, size_t pages, bool any, void *memory);

/* A hole, and whether another of its length begins in its region. */
struct best_found {
	struct hole hole;
	bool more;
};

/* The best hole for so many granules; of no length: there is none. */
struct best_found best_fit_choose(struct best_fit *fit,
				  const struct pages *pages, size_t granules);
/* What was chosen is used, but for its end. */
void best_fit_use(struct best_fit *fit, const struct best_found *found,
		  const struct hole *rest);

/* A hole is there; it is no more, nor is it in the block's pages. */
void best_fit_add(struct best_fit *fit, const struct hole *hole);
void best_fit_remove(struct best_fit *fit, const struct pages *pages,
		     const struct hole *hole);
void best_fit_join(struct best_fit *fit, const struct pages *pages,
		   const struct joined *joined);

/* The longest of all. */
size_t best_fit_longest(const struct best_fit *fit);

#endif
