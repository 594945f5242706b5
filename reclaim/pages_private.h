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
 * is zero, at a multiple of 8.
 */
size_t pages_bytes(size_t served);
void pages_begin(struct pages *pages, size_t served, size_t granules,
		 void *memory);

/* Something begins in a page, or nothing any more. */
void pages_begin_use(struct pages *pages, size_t page);
void pages_end_use(struct pages *pages, size_t page);

size_t pages_far_next(const struct pages *pages, size_t at);
size_t pages_far_previous(const struct pages *pages, size_t at);

static INLINE struct page *page_of(const struct pages *pages, size_t at)
{
	return &pages->page[at / PAGE_GRANULES];
}

static INLINE uint64_t bit_of(size_t at)
{
	return (uint64_t)1 << at % PAGE_GRANULES;
}

static INLINE bool is_start(const struct pages *pages, size_t at)
{
	return bits_load(&page_of(pages, at)->starts) & bit_of(at);
}

static INLINE bool is_hole(const struct pages *pages, size_t at)
{
	return bits_load(&page_of(pages, at)->holes) >> at % PAGE_GRANULES & 1;
}

/* It is the beginning of an allocation. */
static INLINE bool is_live(const struct pages *pages, size_t at)
{
	const struct page *page = page_of(pages, at);

	return (bits_load(&page->starts) & ~bits_load(&page->holes)) >>
		       at % PAGE_GRANULES &
	       1;
}

/*
 * Where something begins behind `at`: most often within the next 64 granules,
 * which two words tell without asking in which of them.
 */
static INLINE size_t next_start(const struct pages *pages, size_t at)
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
static INLINE size_t previous_start(const struct pages *pages, size_t at)
{
	const struct page *page = page_of(pages, at);
	size_t i = at % PAGE_GRANULES;
	uint64_t before = bits_load(&page[0].starts) << 1 << (63 - i) |
			  bits_load(&page[-1].starts) >> i;

	if (__builtin_expect(before != 0, 1))
		return at - 64 + bits_last(before);
	return pages_far_previous(pages, at);
}

static INLINE size_t length_at(const struct pages *pages, size_t at)
{
	return next_start(pages, at) - at;
}

/*
 * n if it is so, or else 0.  What is so half of the time is better not guessed;
 * compilers make a branch of a conditional all the same.
 */
static INLINE size_t n_if(bool is, size_t n)
{
	return n & -(size_t)is;
}

/* `now`: or else nothing is changed; guessing that would often be wrong. */
static INLINE void start_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *starts = &page_of(pages, at)->starts, before = *starts;

	bits_store(starts, before | (uint64_t)now << at % PAGE_GRANULES);
	if (__builtin_expect(!before, 0) && now)
		pages_begin_use(pages, at / PAGE_GRANULES);
}

static INLINE void no_start_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *starts = &page_of(pages, at)->starts, before = *starts;
	uint64_t after = before & ~((uint64_t)now << at % PAGE_GRANULES);

	bits_store(starts, after);
	if (__builtin_expect(!after, 0) && before)
		pages_end_use(pages, at / PAGE_GRANULES);
}

static INLINE void hole_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *holes = &page_of(pages, at)->holes;

	bits_store(holes,
		   bits_load(holes) | (uint64_t)now << at % PAGE_GRANULES);
}

static INLINE void no_hole_at(struct pages *pages, size_t at, bool now)
{
	uint64_t *holes = &page_of(pages, at)->holes;

	bits_store(holes,
		   bits_load(holes) & ~((uint64_t)now << at % PAGE_GRANULES));
}

/* A hole begins later, if there is anything left of it, which is the result. */
static INLINE struct hole pages_shorten(struct pages *pages,
					const struct hole *hole, size_t from)
{
	struct hole rest = {from, hole->at + hole->length - from};

	no_hole_at(pages, hole->at, true);
	hole_at(pages, from, rest.length > 0);
	start_at(pages, from, true);
	return rest;
}

/* A hole, and those that it is joined from; of no length: it is none. */
struct joined {
	struct hole before, behind, all;
};

/* What begins around something, in words shifted so that they meet there. */
struct around {
	uint64_t ahead, holes; /* behind its beginning: from the next granule */
	uint64_t back;	       /* the granules before it, the nearest last */
};

static INLINE struct around pages_around(const struct pages *pages, size_t at)
{
	const struct page *page = page_of(pages, at);
	unsigned i = at % PAGE_GRANULES;

	return (struct around){
		.ahead = bits_load(&page[0].starts) >> i >> 1 |
			 bits_load(&page[1].starts) << (63 - i),
		.holes = bits_load(&page[0].holes) >> i >> 1 |
			 bits_load(&page[1].holes) << (63 - i),
		.back = bits_load(&page[0].starts) << 1 << (63 - i) |
			bits_load(&page[-1].starts) >> i,
	};
}

/* Whether all that is around something is near: not so is rare. */
static INLINE bool is_near(const struct around *around)
{
	uint64_t next = around->ahead & -around->ahead;

	return around->back && around->ahead - (next & around->holes);
}

/* What is from `at` to `end` could be a hole with those beside it. */
static INLINE struct joined pages_meet_near(const struct pages *pages,
					    size_t at, size_t end,
					    const struct around *around)
{
	size_t before = 64 - bits_last(around->back), behind;
	/* The next one is passed over if it is a hole. */
	uint64_t next = around->ahead & -around->ahead;
	struct joined joined;

	behind = bits_first(around->ahead - (next & around->holes)) + 1;
	before = n_if(is_hole(pages, at - before), before);
	joined.before.at = joined.all.at = at - before;
	joined.before.length = before;
	joined.behind.at = end;
	joined.behind.length = at + behind - end;
	joined.all.length = before + behind;
	return joined;
}

/* Wherever it and those beside it are. */
struct joined pages_meet_far(const struct pages *pages, size_t at, size_t end);

static INLINE struct joined pages_meet(const struct pages *pages, size_t at,
				       size_t end)
{
	struct around around = pages_around(pages, at);

	if (__builtin_expect(is_near(&around), 1))
		return pages_meet_near(pages, at, end, &around);
	return pages_meet_far(pages, at, end);
}

/* Now it is. */
static INLINE void pages_join(struct pages *pages, const struct joined *joined)
{
	bool from_before = joined->before.length, on = joined->behind.length;
	size_t at = joined->before.at + joined->before.length;
	size_t end = joined->behind.at;

	hole_at(pages, at, !from_before);
	no_start_at(pages, at, from_before);
	no_start_at(pages, end, on);
	no_hole_at(pages, end, on);
}

#endif
