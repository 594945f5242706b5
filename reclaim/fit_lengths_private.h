/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fit lengths - best fit, for each allocation and each hole
 *
 * To be inlined into one function for each kind of processor (holes).
 */
#ifndef FIT_LENGTHS_PRIVATE_H
#define FIT_LENGTHS_PRIVATE_H

#include "reclaim/best_fit_private.h"
#include "reclaim/pages_private.h"

/* ---- the holes of a region ---- */

/* Those of a page behind which something begins at just this distance. */
static INLINE uint64_t seeming(const struct page *page, size_t length)
{
	const struct page *there = page + length / PAGE_GRANULES;
	unsigned shift = length % PAGE_GRANULES;

	return bits_load(&page->holes) &
	       (bits_load(&there[0].starts) >> shift |
		bits_load(&there[1].starts) << 1 << (63 - shift));
}

/* A hole, and whether another of its length begins in its region. */
struct best_found {
	struct hole hole;
	bool more;
};

/*
 * The first hole of this length in a region.  Of those that seem so nearly all
 * are: each is asked all the same whether nothing else begins within it.
 */
static INLINE struct best_found find_in(const struct pages *pages,
					size_t region, size_t length)
{
	size_t first = region * REGION_PAGES, at;
	struct best_found found = {.more = false};
	uint64_t all[REGION_PAGES], bits;
	unsigned some = 0, i;

	for (i = 0; i < REGION_PAGES; i++) {
		all[i] = seeming(&pages->page[first + i], length);
		some |= (unsigned)!!all[i] << i;
	}
	for (; some; some &= some - 1) {
		i = bits_first(some);
		for (bits = all[i]; bits; bits = less_one(bits)) {
			at = (first + i) * PAGE_GRANULES + bits_first(bits);
			if (__builtin_expect(length_at(pages, at) != length, 0))
				continue;
			found.more = found.hole.length;
			if (found.more)
				return found;
			found.hole = (struct hole){at, length};
		}
	}
	return found;
}

/* Whether a hole that is in the pages still is not the only one like it. */
static INLINE bool has_more(const struct pages *pages, const struct hole *hole)
{
	return hole->length && hole->length < REGION &&
	       find_in(pages, hole->at / REGION, hole->length).more;
}

/* ---- those of one length ---- */

static INLINE size_t number_of(const struct best_fit *fit, size_t length,
			       size_t region)
{
	return length * fit->regions + region;
}

static INLINE void add_short(struct best_fit *fit, size_t length, size_t region)
{
	struct of_length *of = &fit->of_length[length];
	bool lower;

	if (!bitmap_add(&fit->lengths, number_of(fit, length, region)))
		return;
	lower = fit->any | (region < of->from) | !of->regions;
	of->from ^= (uint32_t)n_if(lower, of->from ^ region);
	of->regions++;
	fit->some[length / 64] |= (uint64_t)1 << length % 64;
}

/* Of two that were joined the other may have taken it already. */
static INLINE void remove_short(struct best_fit *fit, size_t length,
				size_t region)
{
	struct of_length *of = &fit->of_length[length];

	if (!bitmap_remove(&fit->lengths, number_of(fit, length, region)))
		return;
	of->regions--;
	fit->some[length / 64] &= ~((uint64_t)!of->regions << length % 64);
}

/* The shortest length of which there is a hole, or REGION. */
static INLINE size_t length_for(const struct best_fit *fit, size_t granules)
{
	size_t i = granules / 64;
	uint64_t bits = fit->some[i] & ~(uint64_t)0 << granules % 64;

	while (!bits && ++i < REGION / 64)
		bits = fit->some[i];
	return bits ? i * 64 + bits_first(bits) : REGION;
}

/* There is one: from the region that is noted on, or from the first. */
static INLINE size_t region_for(struct best_fit *fit, size_t length)
{
	struct of_length *of = &fit->of_length[length];
	size_t first = number_of(fit, length, 0);
	size_t region = bitmap_next(&fit->lengths, first + of->from) - first;

	if (__builtin_expect(region >= fit->regions, 0))
		region = bitmap_next(&fit->lengths, first) - first;
	of->from = (uint32_t)region;
	return region;
}

/* ---- all ---- */

/* The best hole for so many granules; of no length: there is none. */
static INLINE struct best_found best_fit_choose(struct best_fit *fit,
						const struct pages *pages,
						size_t granules)
{
	size_t length = granules < REGION ? length_for(fit, granules) : REGION;

	if (length < REGION)
		return find_in(pages, region_for(fit, length), length);
	return (struct best_found){.hole = best_fit_find_long(fit, granules)};
}

/* Those of no length are none. */
static INLINE void best_fit_add(struct best_fit *fit, const struct hole *hole)
{
	size_t region = hole->at / REGION;

	if (__builtin_expect(hole->length < REGION, 1)) {
		if (hole->length)
			add_short(fit, hole->length, region);
		return;
	}
	fit->of[region].key = hole->length * REGION + hole->at % REGION;
	best_fit_add_long(fit, (uint32_t)region + 1);
}

/* One is no more; more: but another like it. */
static INLINE void best_fit_remove(struct best_fit *fit,
				   const struct hole *hole, bool more)
{
	size_t region = hole->at / REGION;

	if (__builtin_expect(hole->length >= REGION, 0))
		best_fit_remove_long(fit, (uint32_t)region + 1);
	else if (!more && hole->length)
		remove_short(fit, hole->length, region);
}

#endif
