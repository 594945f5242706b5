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

static struct hole find_long(const struct best_fit *fit, size_t granules)
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

/* ---- the holes of a region ---- */

/* Those of a page behind which something begins at just this distance. */
static uint64_t seeming(const struct page *page, size_t length)
{
	const struct page *there = page + length / PAGE_GRANULES;
	unsigned shift = length % PAGE_GRANULES;

	return page->holes & (there[0].starts >> shift |
			      there[1].starts << 1 << (63 - shift));
}

/*
 * The first hole of this length in a region.  Of those that seem so nearly all
 * are: each is asked all the same whether nothing else begins within it.
 */
static struct best_found find_in(const struct pages *pages, size_t region,
				 size_t length)
{
	struct best_found found = {.more = false};
	size_t page = region * REGION_PAGES, at;
	uint64_t bits[REGION_PAGES];
	unsigned some = 0, i;

	for (i = 0; i < REGION_PAGES; i++) {
		bits[i] = seeming(&pages->page[page + i], length);
		some |= (unsigned)!!bits[i] << i;
	}
	for (; some; some &= some - 1) {
		i = (unsigned)__builtin_ctz(some);
		for (; bits[i]; bits[i] &= bits[i] - 1) {
			at = (page + i) * PAGE_GRANULES + bits_first(bits[i]);
			if (length_at(pages, at) != length)
				continue;
			found.more = found.hole.length;
			if (found.more)
				return found;
			found.hole = (struct hole){at, length};
		}
	}
	return found;
}

/* ---- those of one length ---- */

static size_t number_of(const struct best_fit *fit, size_t length,
			size_t region)
{
	return length * fit->regions + region;
}

static void add_short(struct best_fit *fit, size_t length, size_t region)
{
	struct of_length *of = &fit->of_length[length];

	if (!bitmap_add(&fit->lengths, number_of(fit, length, region)))
		return;
	if (fit->any || region < of->from || !of->regions)
		of->from = (uint32_t)region;
	of->regions++;
	fit->some[length / 64] |= (uint64_t)1 << length % 64;
}

/* Of two that were joined the other may have taken it already. */
static void remove_short(struct best_fit *fit, size_t length, size_t region)
{
	struct of_length *of = &fit->of_length[length];

	if (!bitmap_remove(&fit->lengths, number_of(fit, length, region)))
		return;
	of->regions--;
	fit->some[length / 64] &= ~((uint64_t)!of->regions << length % 64);
}

/* The shortest length of which there is a hole, or REGION. */
static size_t length_for(const struct best_fit *fit, size_t granules)
{
	size_t i = granules / 64;
	uint64_t bits = fit->some[i] & ~(uint64_t)0 << granules % 64;

	while (!bits && ++i < REGION / 64)
		bits = fit->some[i];
	return bits ? i * 64 + bits_first(bits) : REGION;
}

/* There is one: from the region that is noted on, or from the first. */
static size_t region_for(struct best_fit *fit, size_t length)
{
	struct of_length *of = &fit->of_length[length];
	size_t first = number_of(fit, length, 0);
	size_t region = bitmap_next(&fit->lengths, first + of->from) - first;

	if (region >= fit->regions)
		region = bitmap_next(&fit->lengths, first) - first;
	of->from = (uint32_t)region;
	return region;
}

/* ---- all ---- */

struct best_found best_fit_choose(struct best_fit *fit,
				  const struct pages *pages, size_t granules)
{
	size_t length = granules < REGION ? length_for(fit, granules) : REGION;

	if (length < REGION)
		return find_in(pages, region_for(fit, length), length);
	return (struct best_found){.hole = find_long(fit, granules)};
}

static void add(struct best_fit *fit, const struct hole *hole)
{
	size_t region = hole->at / REGION;

	if (hole->length < REGION) {
		add_short(fit, hole->length, region);
		return;
	}
	fit->of[region].key = hole->length * REGION + hole->at % REGION;
	add_long(fit, (uint32_t)region + 1);
}

void best_fit_add(struct best_fit *fit, const struct hole *hole)
{
	add(fit, hole);
}

static void remove_one(struct best_fit *fit, const struct hole *hole, bool more)
{
	size_t region = hole->at / REGION;

	if (hole->length >= REGION)
		remove_long(fit, (uint32_t)region + 1);
	else if (!more)
		remove_short(fit, hole->length, region);
}

void best_fit_remove(struct best_fit *fit, const struct pages *pages,
		     const struct hole *hole)
{
	bool more = hole->length < REGION &&
		    find_in(pages, hole->at / REGION, hole->length).hole.length;

	remove_one(fit, hole, more);
}

void best_fit_use(struct best_fit *fit, const struct best_found *found,
		  const struct hole *rest)
{
	remove_one(fit, &found->hole, found->more);
	if (rest->length)
		add(fit, rest);
}

void best_fit_join(struct best_fit *fit, const struct pages *pages,
		   const struct joined *joined)
{
	if (joined->before.length)
		best_fit_remove(fit, pages, &joined->before);
	if (joined->behind.length)
		best_fit_remove(fit, pages, &joined->behind);
	add(fit, &joined->all);
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
