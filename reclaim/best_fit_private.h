/* SPDX-License-Identifier: Apache-2.0 */
/*
 * best fit - the shortest hole that is long enough, and the lowest of those
 *
 * Holes of less than 4 KiB are found by a bitmap: for each length, and each
 * region of 4 KiB of the block, whether such a hole begins there.  The next
 * bit from a length's first one on is the shortest and lowest; where in its
 * region the hole is, the block's pages say.
 *
 * Longer holes, of which no more than one begins in a region, are nodes of a
 * treap by length and address, whose priorities are a hash of the region.
 */
#ifndef BEST_FIT_PRIVATE_H
#define BEST_FIT_PRIVATE_H

#include "reclaim/pages_private.h"

struct long_hole {
	uint32_t left, right; /* regions, from 1; 0: none */
	uint64_t key;	      /* length, and where in its region it begins */
};

struct best_fit {
	size_t regions;
	struct bitmap lengths;
	struct long_hole *of; /* of each region */
	uint32_t root;
	/* Any of the shortest will do: the latest of each length, by region. */
	uint32_t *latest;
};

/* `any`: of holes of one length the latest is better than the lowest. */
size_t best_fit_bytes(size_t pages, bool any);
/* `memory`: so many bytes, zero, at a multiple of 8. */
void best_fit_begin(struct best_fit *fit, size_t pages, bool any, void *memory);

/* A hole is there; it is no more, nor is it in the block's pages. */
void best_fit_add(struct best_fit *fit, const struct hole *hole);
void best_fit_remove(struct best_fit *fit, const struct pages *pages,
		     const struct hole *hole);

/* Where the best hole for so many granules begins, or SIZE_MAX. */
size_t best_fit_find(const struct best_fit *fit, const struct pages *pages,
		     size_t granules);

/* The longest of all. */
size_t best_fit_longest(const struct best_fit *fit);

#endif
