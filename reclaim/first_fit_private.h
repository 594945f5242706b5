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
 *
 * What is done with each allocation is here, to be inlined.
 */
#ifndef FIRST_FIT_PRIVATE_H
#define FIRST_FIT_PRIVATE_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "reclaim/pages_private.h"

#define FIT_CHILDREN 32 /* of 16 bits: a line of the cache */
#define FIT_LEVELS   10 /* 32^10 pages: more than there are addresses */
#define FIT_MOST     UINT16_MAX

struct first_fit {
	bool wide;	 /* the processor has AVX2 */
	unsigned levels; /* two at least */
	uint16_t *level[FIT_LEVELS];
	/* Of 2^n MiBs, the root is 1, the children of i are 2i and 2i + 1. */
	size_t mibs;
	size_t *longest;
};

size_t first_fit_bytes(size_t pages);
/* `memory`: so many bytes, zero, at a multiple of 64. */
void first_fit_begin(struct first_fit *fit, size_t pages, void *memory);

/* The lowest page that has a hole of so many granules, or SIZE_MAX. */
size_t first_fit_find(const struct first_fit *fit, size_t granules);

/* The longest of all. */
size_t first_fit_longest(const struct first_fit *fit);

/* ---- keeping ---- */

/* A page's longest hole is as long as this now; all that is above follows. */
void first_fit_set(struct first_fit *fit, size_t page, uint16_t longest);
/* A hole of FIT_MOST granules or more begins in a MiB; 0: no more. */
void first_fit_set_mib(struct first_fit *fit, size_t mib, size_t longest);

static inline uint16_t fit_told(size_t length)
{
	return length < FIT_MOST ? (uint16_t)length : FIT_MOST;
}

static inline void fit_set_if_long(struct first_fit *fit,
				   const struct hole *hole, size_t length)
{
	if (__builtin_expect(hole->length >= FIT_MOST, 0))
		first_fit_set_mib(fit, hole->at / (1024 * PAGE_GRANULES),
				  length);
}

/*
 * A page's longest is as long as this, if it was not longer.  Nodes are read
 * with vectors, perhaps right after this: a processor hands on what has just
 * been written, if it was as wide.
 */
#ifdef __SSE2__
extern const uint16_t fit_window[16]; /* all bits of the ninth, from 0 on */

static inline void fit_put_greater(uint16_t *node, size_t i, uint16_t longest)
{
	__m128i *at = (__m128i *)(void *)&node[i & ~(size_t)7];
	__m128i here = _mm_loadu_si128(
		(const __m128i *)(const void *)&fit_window[8 - i % 8]);
	__m128i it = _mm_and_si128(here, _mm_set1_epi16((short)longest));

	*at = _mm_add_epi16(_mm_subs_epu16(it, *at), *at);
}
#else
static inline void fit_put_greater(uint16_t *node, size_t i, uint16_t longest)
{
	node[i] = longest > node[i] ? longest : node[i];
}
#endif

static inline void fit_raise(struct first_fit *fit, size_t page,
			     uint16_t longest)
{
	if (__builtin_expect(longest > fit->level[1][page / FIT_CHILDREN], 0))
		first_fit_set(fit, page, longest);
	else
		fit_put_greater(fit->level[0], page, longest);
}

/* ---- the holes of a page ---- */

struct first_found {
	struct hole hole;
	size_t others; /* the longest of the others that begin in its page */
};

/* The first of some of a page's holes, if any: the one that is looked for? */
static inline void first_look(const struct pages *pages, size_t page,
			      uint64_t holes, size_t granules,
			      struct first_found *found)
{
	const struct page *at = &pages->page[page];
	const uint64_t top = (uint64_t)1 << 63; /* of nothing is no first */
	unsigned i = bits_first(holes | top);
	uint64_t behind = at[0].starts >> i >> 1 | at[1].starts << (63 - i);
	size_t begin = page * PAGE_GRANULES + i, length;
	bool is;

	length = bits_first(behind | top) + 1;
	if (__builtin_expect(!behind && holes, 0))
		length = length_at(pages, begin);
	length = n_if(holes != 0, length);
	is = (length >= granules) & !found->hole.length;
	found->hole.at += n_if(is, begin);
	found->hole.length += n_if(is, length);
	length = n_if(!is, length);
	found->others = length > found->others ? length : found->others;
}

/*
 * The first that is long enough: of none all are others.  Most pages have one
 * hole or two; to look twice costs less than to guess.
 */
static inline struct first_found first_in_page(const struct pages *pages,
					       size_t page, size_t granules)
{
	uint64_t holes = pages->page[page].holes;
	struct first_found found = {.others = 0};

	do {
		first_look(pages, page, holes, granules, &found);
		holes &= holes - 1;
		first_look(pages, page, holes, granules, &found);
		holes &= holes - 1;
	} while (__builtin_expect(holes != 0, 0));
	return found;
}

/* ---- what a block asks ---- */

/* The lowest hole that is long enough; of no length: there is none. */
static inline struct first_found first_fit_choose(const struct first_fit *fit,
						  const struct pages *pages,
						  size_t granules)
{
	size_t page = first_fit_find(fit, granules);

	if (page == SIZE_MAX)
		return (struct first_found){.others = 0};
	return first_in_page(pages, page, granules);
}

/* What was chosen is used, but for its end. */
static inline void first_fit_use(struct first_fit *fit,
				 const struct first_found *found,
				 const struct hole *rest)
{
	size_t page = found->hole.at / PAGE_GRANULES;
	bool same = rest->at / PAGE_GRANULES == page;
	size_t here = n_if(same, rest->length);

	fit_set_if_long(fit, &found->hole, 0);
	here = here > found->others ? here : found->others;
	first_fit_set(fit, page, fit_told(here));
	fit_raise(fit, rest->at / PAGE_GRANULES, fit_told(rest->length));
	fit_set_if_long(fit, rest, rest->length);
}

static inline void first_fit_add(struct first_fit *fit, const struct hole *hole)
{
	fit_raise(fit, hole->at / PAGE_GRANULES, fit_told(hole->length));
	fit_set_if_long(fit, hole, hole->length);
}

/* It is in the block's pages no more. */
static inline void first_fit_remove(struct first_fit *fit,
				    const struct pages *pages,
				    const struct hole *hole)
{
	size_t page = hole->at / PAGE_GRANULES;

	if (fit->level[0][page] == fit_told(hole->length))
		first_fit_set(
			fit, page,
			fit_told(first_in_page(pages, page, SIZE_MAX).others));
	fit_set_if_long(fit, hole, 0);
}

/* Where the one behind began in the same page, there is a longer one now. */
static inline void first_fit_join(struct first_fit *fit,
				  const struct pages *pages,
				  const struct joined *joined)
{
	const struct hole *behind = &joined->behind;
	bool same =
		behind->at / PAGE_GRANULES == joined->all.at / PAGE_GRANULES;

	if (behind->length & -(size_t)!same)
		first_fit_remove(fit, pages, behind);
	first_fit_add(fit, &joined->all);
}

#endif
