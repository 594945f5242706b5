/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first fit - the lowest hole that is large enough
 *
 * For each page of a block the length of its longest hole, 16 bits wide; above
 * 32 of them the greatest, and so on up to one node of at most 32.  The
 * leftmost child that is enough leads down to the lowest page that has such a
 * hole, with one look at each level.
 *
 * What 16 bits cannot say, a hole of a MiB, is said exactly by a second tree:
 * of those holes no more than one begins in any MiB.
 */
#ifndef FIRST_FIT_PRIVATE_H
#define FIRST_FIT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#define FIT_LEVELS 10 /* 32^10 pages: more than there are addresses */
#define FIT_MOST   UINT16_MAX

struct first_fit {
	unsigned levels;
	uint16_t *level[FIT_LEVELS];
	/* Of 2^n MiBs, the root is 1, the children of i are 2i and 2i + 1. */
	size_t mibs;
	size_t *longest;
};

size_t first_fit_bytes(size_t pages);
/* `memory`: so many bytes, zero, at a multiple of 64. */
void first_fit_begin(struct first_fit *fit, size_t pages, void *memory);

/* A page's longest hole, in granules; FIT_MOST for all beyond. */
static inline uint16_t first_fit_get(const struct first_fit *fit, size_t page)
{
	return fit->level[0][page];
}

void first_fit_set(struct first_fit *fit, size_t page, uint16_t longest);
/* A hole of FIT_MOST granules or more begins in a MiB; 0: no more. */
void first_fit_set_mib(struct first_fit *fit, size_t mib, size_t longest);

/* The lowest page that has a hole of so many granules, or SIZE_MAX. */
size_t first_fit_find(const struct first_fit *fit, size_t granules);

/* The longest of all. */
size_t first_fit_longest(const struct first_fit *fit);

#endif
