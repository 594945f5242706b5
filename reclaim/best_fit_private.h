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
 *
 * What is done with each allocation is in fit_lengths_private.h, to be inlined.
 */
#ifndef BEST_FIT_PRIVATE_H
#define BEST_FIT_PRIVATE_H

#include "reclaim/pages_private.h"

#define REGION_PAGES ((size_t)4)
#define REGION	     (REGION_PAGES * PAGE_GRANULES) /* also the first long */

/* Less than 16 TiB: regions have numbers of 32 bits, from 1. */
#define BEST_FIT_MOST_REGIONS UINT32_MAX

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

/* ---- holes of REGION granules or more ---- */

/* Their number is that of their region, from 1. */
void best_fit_add_long(struct best_fit *fit, uint32_t i);
void best_fit_remove_long(struct best_fit *fit, uint32_t i);
/* The best for so many granules; of no length: there is none. */
struct hole best_fit_find_long(const struct best_fit *fit, size_t granules);

/* The longest of all. */
size_t best_fit_longest(const struct best_fit *fit);

#endif
