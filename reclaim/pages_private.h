/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - what begins where in a block
 *
 * A block is seen as granules of 16 bytes and pages of 64 of those.  Of each
 * page there are two words: a bit says that something begins at a granule, an
 * allocation or a hole; and that it is a hole.  How long either is, is the
 * distance to what begins next.  No hole is beside another.
 *
 * Granules are numbered from the second page on: in the one before and in the
 * one behind all that is served something begins that is no hole, so that each
 * search ends.  What is done most is here, to be inlined.
 *
 * Threads: one changes them at a time.  Whoever has an allocation may meanwhile
 * ask where it ends, for that stays.
 */
#ifndef PAGES_PRIVATE_H
#define PAGES_PRIVATE_H

#include "reclaim/bitmap_private.h"

#define GRANULE	      ((size_t)16)
#define PAGE_GRANULES ((size_t)64)

struct page {
	uint64_t starts, holes;
};

struct pages {
	struct page *page;
	struct bitmap in_use; /* those where something begins */
	size_t end;	      /* the granule behind the last one */
};

/* In granules. */
struct hole {
	size_t at, length;
};

#define FIRST_GRANULE PAGE_GRANULES

/*
 * For so many pages that are served, the last of them perhaps in part; `memory`
 * is zero, at a multiple of 16.
 */
size_t pages_bytes(size_t served);
void pages_begin(struct pages *pages, size_t served, size_t granules,
		 void *memory);

size_t pages_far_next(const struct pages *pages, size_t at);
size_t pages_far_previous(const struct pages *pages, size_t at);

static inline struct page *page_of(const struct pages *pages, size_t at)
{
	return &pages->page[at / PAGE_GRANULES];
}

static inline uint64_t bit_of(size_t at)
{
	return (uint64_t)1 << at % PAGE_GRANULES;
}

static inline bool is_start(const struct pages *pages, size_t at)
{
	return bits_load(&page_of(pages, at)->starts) & bit_of(at);
}

static inline bool is_hole(const struct pages *pages, size_t at)
{
	return bits_load(&page_of(pages, at)->holes) >> at % PAGE_GRANULES & 1;
}

/*
 * Where something begins behind `at`: most often within the next 64 granules,
 * which two words tell without asking in which of them.
 */
static inline size_t next_start(const struct pages *pages, size_t at)
{
	const struct page *page = page_of(pages, at);
	size_t i = at % PAGE_GRANULES;
	uint64_t behind = bits_load(&page[0].starts) >> i >> 1 |
			  bits_load(&page[1].starts) << (63 - i);

	if (__builtin_expect(behind != 0, 1))
		return at + 1 + bits_first(behind);
	return pages_far_next(pages, at);
}

/* Before it, in the same way. */
static inline size_t previous_start(const struct pages *pages, size_t at)
{
	const struct page *page = page_of(pages, at);
	size_t i = at % PAGE_GRANULES;
	uint64_t before = bits_load(&page[0].starts) << 1 << (63 - i) |
			  bits_load(&page[-1].starts) >> i;

	if (__builtin_expect(before != 0, 1))
		return at - 64 + bits_last(before);
	return pages_far_previous(pages, at);
}

static inline size_t length_at(const struct pages *pages, size_t at)
{
	return next_start(pages, at) - at;
}

/*
 * n if it is so, or else 0.  What is so half of the time is better not guessed;
 * compilers make a branch of a conditional all the same.
 */
static inline size_t n_if(bool is, size_t n)
{
	return n & -(size_t)is;
}

/* `now`: or else nothing is changed; guessing that would often be wrong. */
static inline void start_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *starts = &page_of(pages, at)->starts, before = *starts;

	bits_store(starts, before | (uint64_t)now << at % PAGE_GRANULES);
	if (__builtin_expect(!before, 0) && now)
		bitmap_add(&pages->in_use, at / PAGE_GRANULES);
}

static inline void no_start_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *starts = &page_of(pages, at)->starts, before = *starts;
	uint64_t after = before & ~((uint64_t)now << at % PAGE_GRANULES);

	bits_store(starts, after);
	if (__builtin_expect(!after, 0) && before)
		bitmap_remove(&pages->in_use, at / PAGE_GRANULES);
}

static inline void hole_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *holes = &page_of(pages, at)->holes;

	bits_store(holes, *holes | (uint64_t)now << at % PAGE_GRANULES);
}

static inline void no_hole_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *holes = &page_of(pages, at)->holes;

	bits_store(holes, *holes & ~((uint64_t)now << at % PAGE_GRANULES));
}

/* A hole begins later, if there is anything left of it, which is the result. */
static inline struct hole pages_shorten(struct pages *pages,
					const struct hole *hole, size_t from)
{
	struct hole rest = {from, hole->at + hole->length - from};

	no_hole_at(pages, hole->at, true);
	hole_at(pages, from, rest.length > 0);
	start_at(pages, from, true);
	return rest;
}

/* A hole, and those that it was joined from; of no length: it was none. */
struct joined {
	struct hole before, behind, all;
};

/* Wherever it and those beside it are. */
struct joined pages_join_far(struct pages *pages, size_t at, size_t end);

/*
 * What begins at `at` and ends at `end` is a hole, with those beside it.  The
 * words of its page and of those beside it are shifted so that they begin
 * behind it, and end before it: what lies further away than 64 granules is
 * rare.
 */
static inline struct joined pages_join(struct pages *pages, size_t at,
				       size_t end)
{
	struct page *page = page_of(pages, at), *far;
	unsigned i = at % PAGE_GRANULES, before, behind;
	uint64_t ahead = page[0].starts >> i >> 1 | page[1].starts << (63 - i);
	uint64_t holes = page[0].holes >> i >> 1 | page[1].holes << (63 - i);
	uint64_t back = page[0].starts << 1 << (63 - i) | page[-1].starts >> i;
	uint64_t on, from_before, rest;
	struct joined joined;

	/* The next one is passed over if it is a hole. */
	rest = ahead - (ahead & -ahead & holes);
	if (__builtin_expect(!rest || !back, 0))
		return pages_join_far(pages, at, end);
	on = holes >> (end - at - 1) & 1;
	behind = bits_first(rest) + 1;
	before = 64 - bits_last(back);
	from_before = is_hole(pages, at - before);

	bits_store(&page->holes, page->holes | (from_before ^ 1) << i);
	no_start_at(pages, at, from_before);
	no_start_at(pages, end, on);
	far = page_of(pages, end);
	bits_store(&far->holes, far->holes & ~(on << end % PAGE_GRANULES));

	joined.before.at = joined.all.at = at - n_if(from_before, before);
	joined.before.length = n_if(from_before, before);
	joined.behind.at = end;
	joined.behind.length = at + behind - end;
	joined.all.length = at + behind - joined.all.at;
	return joined;
}

#endif
