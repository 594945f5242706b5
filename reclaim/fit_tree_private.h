/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fit tree - first fit, for each allocation and each hole
 *
 * To be inlined, in the ways of a processor (node), into one function for each
 * of them (holes).
 *
 * Down to a page, what the other children of each node have at most is found on
 * the way, beside the path: so what has changed in the page goes up again with
 * no more than a comparison at each level, and without a branch.
 */
#ifndef FIT_TREE_PRIVATE_H
#define FIT_TREE_PRIVATE_H

#include "reclaim/first_fit_private.h"
#include "reclaim/node_private.h"
#include "reclaim/pages_private.h"

static inline uint16_t fit_told(size_t length)
{
	return length < NODE_MOST ? (uint16_t)length : NODE_MOST;
}

static inline void fit_set_if_long(struct first_fit *fit,
				   const struct hole *hole, size_t length)
{
	if (__builtin_expect(hole->length >= NODE_MOST, 0))
		first_fit_set_mib(fit, hole->at / (1024 * PAGE_GRANULES),
				  length);
}

/* ---- the tree ---- */

static INLINE uint16_t *fit_node(const struct first_fit *fit, unsigned level,
				 size_t i)
{
	return &fit->level[level][i & -(size_t)NODE_CHILDREN];
}

/* A page's longest is as long as this, if it was not longer. */
static INLINE void fit_raise(struct first_fit *fit, size_t page,
			     uint16_t longest, const struct node_ways *ways)
{
	unsigned l;

	for (l = 0; l <= fit->top; l++) {
		ways->raise(fit_node(fit, l, page), page % NODE_CHILDREN,
			    longest);
		page /= NODE_CHILDREN;
	}
}

/*
 * What is found on the way to a page: of each node but the root the greatest of
 * all but the one that leads there.
 */
struct fit_way {
	uint16_t others[FIT_LEVELS];
};

/* A page's longest is as long as this now. */
static INLINE void fit_set(struct first_fit *fit, size_t page,
			   const struct fit_way *way, uint16_t longest,
			   const struct node_ways *ways)
{
	unsigned l;

	for (l = 0; l < fit->top; l++) {
		ways->put(fit_node(fit, l, page), page % NODE_CHILDREN,
			  longest);
		longest = way->others[l] > longest ? way->others[l] : longest;
		page /= NODE_CHILDREN;
	}
	ways->put(fit_node(fit, l, page), page % NODE_CHILDREN, longest);
}

/* The way to a page that is known. */
static INLINE void fit_look(const struct first_fit *fit, size_t page,
			    struct fit_way *way, const struct node_ways *ways)
{
	unsigned l;

	for (l = 0; l < fit->top; l++) {
		way->others[l] = ways->others(fit_node(fit, l, page),
					      page % NODE_CHILDREN);
		page /= NODE_CHILDREN;
	}
}

/* The lowest page that has a hole of so many granules, or SIZE_MAX. */
static INLINE size_t fit_find(const struct first_fit *fit, size_t granules,
			      struct fit_way *way, const struct node_ways *ways)
{
	const uint16_t *node = fit->level[fit->top];
	uint16_t least = fit_told(granules);
	unsigned l = fit->top, i;
	uint64_t enough;
	size_t page;

	enough = ways->enough(node, least) |
		 (uint64_t)ways->enough(node + NODE_CHILDREN, least)
			 << NODE_CHILDREN;
	if (__builtin_expect(!enough, 0))
		return SIZE_MAX;
	page = bits_first(enough);
	while (l-- > 0) {
		node = &fit->level[l][page * NODE_CHILDREN];
		i = bits_first(ways->enough(node, least));
		way->others[l] = ways->others(node, i);
		page = page * NODE_CHILDREN + i;
	}
	return page;
}

/* ---- the holes of a page ---- */

struct first_found {
	struct hole hole;
	size_t others; /* the longest of the others that begin in its page */
};

/*
 * The first of some holes of a page: its length, and which granule of the page
 * it begins at, in one word; 0: there is none.
 */
#define FOUND_LENGTH PAGE_GRANULES

static INLINE uint64_t first_of(const struct pages *pages, size_t page,
				uint64_t holes)
{
	const uint64_t top = (uint64_t)1 << 63; /* of nothing is no first */
	const struct page *at = &pages->page[page];
	unsigned i = bits_first(holes | top);
	uint64_t behind = bits_load(&at[0].starts) >> i >> 1 |
			  bits_load(&at[1].starts) << (63 - i);
	size_t length = bits_first(behind | top) + 1;

	if (__builtin_expect(!behind && holes, 0))
		length = length_at(pages, page * PAGE_GRANULES + i);
	return n_if(holes != 0, length * FOUND_LENGTH + i);
}

/* Of all holes of a page. */
static inline size_t longest_in_page(const struct pages *pages, size_t page)
{
	uint64_t holes = pages->page[page].holes, longest = 0, one;

	for (; holes; holes = less_one(holes)) {
		one = first_of(pages, page, holes);
		longest = one > longest ? one : longest;
	}
	return longest / FOUND_LENGTH;
}

static INLINE void swap_if(bool is, uint64_t *a, uint64_t *b)
{
	uint64_t change = n_if(is, *a ^ *b);

	*a ^= change;
	*b ^= change;
}

struct first_found first_among(const struct pages *pages, size_t page,
			       size_t granules);

/*
 * The first that is long enough, if any, in a page that has some.  Most have
 * one or two: to look at so many, and to choose without a branch, costs less
 * than to guess.
 */
static INLINE struct first_found first_in_page(const struct pages *pages,
					       size_t page, size_t granules)
{
	uint64_t holes = bits_load(&pages->page[page].holes);
	uint64_t others = less_one(holes);
	uint64_t a = first_of(pages, page, holes);
	uint64_t b = first_of(pages, page, others);

	if (__builtin_expect(less_one(others) != 0, 0))
		return first_among(pages, page, granules);
	swap_if(a / FOUND_LENGTH < granules, &a, &b);
	return (struct first_found){
		.hole = {page * PAGE_GRANULES + a % FOUND_LENGTH,
			 a / FOUND_LENGTH},
		.others = b / FOUND_LENGTH,
	};
}

/* ---- what a block asks ---- */

/* What was chosen is used, but for its end. */
static INLINE void first_fit_use(struct first_fit *fit,
				 const struct fit_way *way,
				 const struct first_found *found,
				 const struct hole *rest,
				 const struct node_ways *ways)
{
	size_t page = found->hole.at / PAGE_GRANULES;
	size_t then = rest->at / PAGE_GRANULES;
	size_t here = n_if(then == page, rest->length);

	fit_set_if_long(fit, &found->hole, 0);
	here = here > found->others ? here : found->others;
	fit_set(fit, page, way, fit_told(here), ways);
	if (then != page && rest->length)
		fit_raise(fit, then, fit_told(rest->length), ways);
	fit_set_if_long(fit, rest, rest->length);
}

static INLINE void first_fit_add(struct first_fit *fit, const struct hole *hole,
				 const struct node_ways *ways)
{
	fit_raise(fit, hole->at / PAGE_GRANULES, fit_told(hole->length), ways);
	fit_set_if_long(fit, hole, hole->length);
}

/* It is in the block's pages no more. */
static INLINE void first_fit_remove(struct first_fit *fit,
				    const struct pages *pages,
				    const struct hole *hole,
				    const struct node_ways *ways)
{
	size_t page = hole->at / PAGE_GRANULES;
	struct fit_way way;

	if (fit->level[0][page] == fit_told(hole->length)) {
		fit_look(fit, page, &way, ways);
		fit_set(fit, page, &way, fit_told(longest_in_page(pages, page)),
			ways);
	}
	fit_set_if_long(fit, hole, 0);
}

/* Where the one behind began in the same page, there is a longer one now. */
static INLINE void first_fit_join(struct first_fit *fit,
				  const struct pages *pages,
				  const struct joined *joined,
				  const struct node_ways *ways)
{
	const struct hole *behind = &joined->behind;
	bool same =
		behind->at / PAGE_GRANULES == joined->all.at / PAGE_GRANULES;

	if (behind->length & -(size_t)!same)
		first_fit_remove(fit, pages, behind, ways);
	first_fit_add(fit, &joined->all, ways);
}

#endif
