/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/best_fit_private.h"

#define REGION_PAGES ((size_t)4)
#define REGION	     (REGION_PAGES * PAGE_GRANULES) /* also the first long */

static size_t regions_of(size_t pages)
{
	return (pages + REGION_PAGES - 1) / REGION_PAGES;
}

size_t best_fit_bytes(size_t pages, bool any)
{
	size_t regions = regions_of(pages);

	return bitmap_words(regions * REGION) * sizeof(uint64_t) +
	       regions * sizeof(struct long_hole) +
	       (any ? REGION * sizeof(uint32_t) : 0);
}

void best_fit_begin(struct best_fit *fit, size_t pages, bool any, void *memory)
{
	size_t regions = regions_of(pages);
	uint64_t *words = memory;

	fit->regions = regions;
	bitmap_begin(&fit->lengths, regions * REGION, words);
	words += bitmap_words(regions * REGION);
	fit->of = (void *)words;
	fit->root = 0;
	fit->latest = any ? (void *)(fit->of + regions) : NULL;
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

static void add_long(struct best_fit *fit, uint32_t i)
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

static void remove_long(struct best_fit *fit, uint32_t i)
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

static size_t find_long(const struct best_fit *fit, size_t granules)
{
	uint32_t i = fit->root, found = 0;

	while (i) {
		if (long_hole(fit, i)->key / REGION >= granules) {
			found = i;
			i = long_hole(fit, i)->left;
		} else {
			i = long_hole(fit, i)->right;
		}
	}
	return found ? (found - 1) * REGION +
			       long_hole(fit, found)->key % REGION
		     : SIZE_MAX;
}

/* ---- all ---- */

void best_fit_add(struct best_fit *fit, const struct hole *hole)
{
	size_t region = hole->at / REGION;

	if (hole->length >= REGION) {
		fit->of[region].key = hole->length * REGION + hole->at % REGION;
		add_long(fit, (uint32_t)region + 1);
		return;
	}
	bitmap_add(&fit->lengths, hole->length * fit->regions + region);
	if (fit->latest)
		fit->latest[hole->length] = (uint32_t)region;
}

static size_t find_in(const struct pages *pages, size_t region, size_t length)
{
	return pages_find(pages, region * REGION_PAGES, REGION_PAGES, length);
}

void best_fit_remove(struct best_fit *fit, const struct pages *pages,
		     const struct hole *hole)
{
	size_t region = hole->at / REGION;

	if (hole->length >= REGION)
		remove_long(fit, (uint32_t)region + 1);
	else if (find_in(pages, region, hole->length) == SIZE_MAX)
		bitmap_remove(&fit->lengths,
			      hole->length * fit->regions + region);
}

/* Whether there is one of this length where the latest was. */
static bool is_latest_there(const struct best_fit *fit, size_t length)
{
	size_t number = length * fit->regions + fit->latest[length];

	return bitmap_next(&fit->lengths, number) == number;
}

size_t best_fit_find(const struct best_fit *fit, const struct pages *pages,
		     size_t granules)
{
	size_t number, length;

	if (granules >= REGION)
		return find_long(fit, granules);
	number = bitmap_next(&fit->lengths, granules * fit->regions);
	if (number == BITMAP_NONE)
		return find_long(fit, REGION);
	length = number / fit->regions;
	if (fit->latest && is_latest_there(fit, length))
		return find_in(pages, fit->latest[length], length);
	return find_in(pages, number % fit->regions, length);
}

size_t best_fit_longest(const struct best_fit *fit)
{
	size_t last = fit->regions * REGION - 1;
	uint32_t i = fit->root;

	if (i) {
		while (long_hole(fit, i)->right)
			i = long_hole(fit, i)->right;
		return long_hole(fit, i)->key / REGION;
	}
	last = bitmap_previous(&fit->lengths, last);
	return last == BITMAP_NONE ? 0 : last / fit->regions;
}
