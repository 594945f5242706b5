/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/best_fit_private.h"

static size_t regions_of(size_t pages)
{
	return (pages + REGION_PAGES - 1) / REGION_PAGES;
}

size_t best_fit_bytes(size_t pages)
{
	size_t regions = regions_of(pages);

	return bitmap_words(regions * REGION) * sizeof(uint64_t) +
	       regions * sizeof(struct long_hole) +
	       REGION * sizeof(struct of_length);
}

void best_fit_begin(struct best_fit *fit, size_t pages, bool any, void *memory)
{
	size_t regions = regions_of(pages);
	uint64_t *words = memory;

	*fit = (struct best_fit){.any = any, .regions = regions};
	bitmap_begin(&fit->lengths, regions * REGION, words);
	words += bitmap_words(regions * REGION);
	fit->of = (void *)words;
	fit->of_length = (void *)(fit->of + regions);
}

/* ---- long holes ---- */

static struct long_hole *long_hole(const struct best_fit *fit, uint32_t i)
{
	return &fit->of[i - 1];
}

/* Any mixing will do; this one is Knuth's. */
static uint32_t priority(uint32_t i)
{
	uint32_t mixed = i * 2654435769u;

	return mixed ^ mixed >> 16;
}

static bool before(const struct best_fit *fit, uint32_t a, uint32_t b)
{
	uint64_t x = long_hole(fit, a)->key / REGION;
	uint64_t y = long_hole(fit, b)->key / REGION;

	return x < y || (x == y && a < b);
}

/* The link to a hole, or to where those of less priority begin. */
static uint32_t *link_of(struct best_fit *fit, uint32_t i)
{
	uint32_t *link = &fit->root;

	while (*link && *link != i && priority(*link) > priority(i))
		link = before(fit, i, *link) ? &long_hole(fit, *link)->left
					     : &long_hole(fit, *link)->right;
	return link;
}

void best_fit_add_long(struct best_fit *fit, uint32_t i)
{
	struct long_hole *hole = long_hole(fit, i);
	uint32_t *link = link_of(fit, i), *left = &hole->left,
		 *right = &hole->right, rest = *link;

	*link = i;
	while (rest) {
		if (before(fit, rest, i)) {
			*left = rest;
			left = &long_hole(fit, rest)->right;
			rest = *left;
		} else {
			*right = rest;
			right = &long_hole(fit, rest)->left;
			rest = *right;
		}
	}
	*left = *right = 0;
}

void best_fit_remove_long(struct best_fit *fit, uint32_t i)
{
	uint32_t *link = link_of(fit, i), left = long_hole(fit, i)->left,
		 right = long_hole(fit, i)->right;

	while (left && right) {
		if (priority(left) > priority(right)) {
			*link = left;
			link = &long_hole(fit, left)->right;
			left = *link;
		} else {
			*link = right;
			link = &long_hole(fit, right)->left;
			right = *link;
		}
	}
	*link = left ? left : right;
}

struct hole best_fit_find_long(const struct best_fit *fit, size_t granules)
{
	uint32_t i = fit->root, found = 0;
	uint64_t key;

	while (i) {
		if (long_hole(fit, i)->key / REGION >= granules) {
			found = i;
			i = long_hole(fit, i)->left;
		} else {
			i = long_hole(fit, i)->right;
		}
	}
	if (!found)
		return (struct hole){0, 0};
	key = long_hole(fit, found)->key;
	return (struct hole){(found - 1) * REGION + key % REGION, key / REGION};
}

size_t best_fit_longest(const struct best_fit *fit)
{
	uint32_t i = fit->root;
	size_t length;

	if (i) {
		while (long_hole(fit, i)->right)
			i = long_hole(fit, i)->right;
		return long_hole(fit, i)->key / REGION;
	}
	for (length = REGION - 1; length > 0; length--)
		if (fit->of_length[length].regions)
			break;
	return length;
}
