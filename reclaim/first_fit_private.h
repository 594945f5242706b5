/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first fit - the lowest hole that is large enough
 *
 * For each page of a block the length of its longest hole, 16 bits wide; above
 * 32 of them the greatest, and so on up to a root of at most 64.  The leftmost
 * child that is enough leads down to the lowest page that has such a hole, with
 * one look at each level.
 *
 * What 16 bits cannot say, a hole of a MiB, is said exactly by a second tree:
 * of those holes no more than one begins in any MiB.
 *
 * What is done with each allocation is in fit_tree_private.h, to be inlined.
 */
#ifndef FIRST_FIT_PRIVATE_H
#define FIRST_FIT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#define FIT_ROOT   64
#define FIT_LEVELS 10 /* more than there are addresses */

struct first_fit {
	unsigned top; /* the root's level, 1 at least */
	uint16_t *level[FIT_LEVELS];
	/* Of 2^n MiBs, the root is 1, the children of i are 2i and 2i + 1. */
	size_t mibs;
	size_t *longest;
};

size_t first_fit_bytes(size_t pages);
/* `memory`: so many bytes, zero, at a multiple of 64. */
void first_fit_begin(struct first_fit *fit, size_t pages, void *memory);

/* The longest of all. */
size_t first_fit_longest(const struct first_fit *fit);

/* ---- of NODE_MOST granules or more, a MiB ---- */

/* The lowest page that has a hole of so many granules, or SIZE_MAX. */
size_t first_fit_find_long(const struct first_fit *fit, size_t granules);

/* One begins in a MiB, of this length; 0: no more. */
void first_fit_set_mib(struct first_fit *fit, size_t mib, size_t longest);

#endif
