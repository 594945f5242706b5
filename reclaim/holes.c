/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/holes_private.h"

#include "reclaim/fit_lengths_private.h"
#include "reclaim/fit_tree_private.h"
#include "reclaim/rare_private.h"

/* ---- counting ---- */

/* Those who free look at it without the lock. */
static INLINE void set_live(struct block *block, size_t live)
{
	__atomic_store_n(&block->live, live, __ATOMIC_RELAXED);
}

static INLINE void count_used(struct block *block, size_t granules, size_t end,
			      bool rest)
{
	size_t live = block->live + granules;

	set_live(block, live);
	block->blocks++;
	block->holes -= !rest;
	if (__builtin_expect(live > block->peak, 0))
		block->peak = live;
	if (__builtin_expect(end > block->untouched, 0))
		block->untouched = end;
}

static INLINE void count_left(struct block *block, size_t granules,
			      const struct joined *joined)
{
	set_live(block, block->live - granules);
	block->blocks--;
	block->holes += 1 - (size_t)(joined->before.length > 0) -
			(joined->behind.length > 0);
}

/* ---- by any policy ---- */

/*
 * Whoever gets memory writes to its beginning, which is often not in the cache:
 * it is fetched while the rest is done.
 */
static INLINE void fetch(const void *memory)
{
	__builtin_prefetch(memory, 1);
}

/* The granule that a pointer is to the beginning of, or 0. */
static INLINE size_t granule_served(const struct block *block, const void *ptr)
{
	size_t offset = (size_t)((const char *)ptr - block->base);
	size_t at = offset / GRANULE;
	bool in = at - FIRST_GRANULE < block->pages.end - FIRST_GRANULE;

	return __builtin_expect(in && offset % GRANULE == 0, 1) ? at : 0;
}

/*
 * What a live allocation is joined with, where that is near; or false.  Of
 * anything else nothing is said.
 */
static INLINE bool meet_live(const struct block *block, const void *ptr,
			     struct joined *joined, size_t *granules)
{
	size_t at = granule_served(block, ptr);
	const struct pages *pages = &block->pages;
	struct around around;

	if (__builtin_expect(!at, 0))
		return false;
	around = pages_around(pages, at);
	if (__builtin_expect(!is_live(pages, at) || !is_near(&around), 0))
		return false;
	*granules = bits_first(around.ahead) + 1;
	*joined = pages_meet_near(pages, at, at + *granules, &around);
	return true;
}

/* ---- by address ---- */

static RARE size_t find_long(const struct first_fit *fit, size_t granules,
			     struct fit_way *way)
{
	size_t page = first_fit_find_long(fit, granules);

	if (page != SIZE_MAX)
		fit_look(fit, page, way, &node_any);
	return page;
}

static INLINE char *use_first(struct block *block, size_t granules,
			      const struct node_ways *ways)
{
	struct first_fit *fit = &block->fit.first;
	struct pages *pages = &block->pages;
	struct first_found found;
	struct fit_way way;
	struct hole rest;
	size_t page, end;
	char *memory;

	if (__builtin_expect(granules < NODE_MOST, 1))
		page = fit_find(fit, (uint16_t)granules, &way, ways);
	else
		page = find_long(fit, granules, &way);
	if (__builtin_expect(page == SIZE_MAX, 0))
		return NULL;
	found = first_in_page(pages, page, granules);
	memory = block->base + found.hole.at * GRANULE;
	fetch(memory);
	end = found.hole.at + granules;
	rest = pages_shorten(pages, &found.hole, end);
	first_fit_use(fit, &way, &found, &rest, ways);
	count_used(block, granules, end, rest.length > 0);
	return memory;
}

static INLINE bool leave_live_first(struct block *block, const void *ptr,
				    const struct node_ways *ways)
{
	struct joined joined;
	size_t granules;

	if (__builtin_expect(!meet_live(block, ptr, &joined, &granules), 0))
		return false;
	pages_join(&block->pages, &joined);
	first_fit_join(&block->fit.first, &block->pages, &joined, ways);
	count_left(block, granules, &joined);
	return true;
}

/*
 * None of these is a part of what chooses among them, or else that would save
 * registers for it.
 */
#define WAY static __attribute__((noinline))

FOR_AVX512 WAY char *use_avx512(struct block *block, size_t granules)
{
	return use_first(block, granules, &node_avx512);
}

FOR_AVX512 WAY bool leave_avx512(struct block *block, const void *ptr)
{
	return leave_live_first(block, ptr, &node_avx512);
}

FOR_AVX2 WAY char *use_avx2(struct block *block, size_t granules)
{
	return use_first(block, granules, &node_avx2);
}

FOR_AVX2 WAY bool leave_avx2(struct block *block, const void *ptr)
{
	return leave_live_first(block, ptr, &node_avx2);
}

WAY char *use_any(struct block *block, size_t granules)
{
	return use_first(block, granules, &node_any);
}

WAY bool leave_any(struct block *block, const void *ptr)
{
	return leave_live_first(block, ptr, &node_any);
}

static enum block_processor processor(void)
{
#ifdef __SSE2__
	__builtin_cpu_init(); /* constructors may not have run */
	if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") ||
	    !__builtin_cpu_supports("avx2"))
		return PROCESSOR_ANY;
	if (__builtin_cpu_supports("avx512f") &&
	    __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl"))
		return PROCESSOR_AVX512;
	return PROCESSOR_AVX2;
#else
	return PROCESSOR_ANY;
#endif
}

/* ---- by length ---- */

static INLINE char *use_best(struct block *block, size_t granules)
{
	struct best_fit *fit = &block->fit.best;
	struct best_found found = best_fit_choose(fit, &block->pages, granules);
	size_t end = found.hole.at + granules;
	struct hole rest;
	char *memory;

	if (__builtin_expect(!found.hole.length, 0))
		return NULL;
	memory = block->base + found.hole.at * GRANULE;
	fetch(memory);
	rest = pages_shorten(&block->pages, &found.hole, end);
	best_fit_remove(fit, &found.hole, found.more);
	best_fit_add(fit, &rest);
	count_used(block, granules, end, rest.length > 0);
	return memory;
}

/* Of those that go it is asked first whether there are more like them. */
static INLINE void join_best(struct block *block, const struct joined *joined)
{
	const struct hole *before = &joined->before, *behind = &joined->behind;
	struct best_fit *fit = &block->fit.best;
	bool more_before = has_more(&block->pages, before);
	bool more_behind = has_more(&block->pages, behind);

	pages_join(&block->pages, joined);
	/* Each was one more for the other: the second one asks again. */
	if (__builtin_expect(more_before & more_behind, 0) &&
	    before->length == behind->length &&
	    before->at / REGION == behind->at / REGION)
		more_behind = find_in(&block->pages, behind->at / REGION,
				      behind->length)
				      .hole.length;
	best_fit_remove(fit, before, more_before);
	best_fit_remove(fit, behind, more_behind);
	best_fit_add(fit, &joined->all);
}

static INLINE bool leave_live_best(struct block *block, const void *ptr)
{
	struct joined joined;
	size_t granules;

	if (__builtin_expect(!meet_live(block, ptr, &joined, &granules), 0))
		return false;
	join_best(block, &joined);
	count_left(block, granules, &joined);
	return true;
}

FOR_AVX2 WAY char *use_best_avx2(struct block *block, size_t granules)
{
	return use_best(block, granules);
}

FOR_AVX2 WAY bool leave_best_avx2(struct block *block, const void *ptr)
{
	return leave_live_best(block, ptr);
}

WAY char *use_best_any(struct block *block, size_t granules)
{
	return use_best(block, granules);
}

WAY bool leave_best_any(struct block *block, const void *ptr)
{
	return leave_live_best(block, ptr);
}

/* ---- by the block's policy ---- */

char *holes_use(struct block *block, size_t granules)
{
	if (block->policy != BLOCK_AOFF)
		return block->processor >= PROCESSOR_AVX2
			       ? use_best_avx2(block, granules)
			       : use_best_any(block, granules);
	if (block->processor == PROCESSOR_AVX512)
		return use_avx512(block, granules);
	if (block->processor == PROCESSOR_AVX2)
		return use_avx2(block, granules);
	return use_any(block, granules);
}

bool holes_leave_live(struct block *block, const void *ptr)
{
	if (block->policy != BLOCK_AOFF)
		return block->processor >= PROCESSOR_AVX2
			       ? leave_best_avx2(block, ptr)
			       : leave_best_any(block, ptr);
	if (block->processor == PROCESSOR_AVX512)
		return leave_avx512(block, ptr);
	if (block->processor == PROCESSOR_AVX2)
		return leave_avx2(block, ptr);
	return leave_any(block, ptr);
}

void holes_leave(struct block *block, size_t at, size_t end)
{
	struct joined joined = pages_meet(&block->pages, at, end);

	if (block->policy == BLOCK_AOFF) {
		pages_join(&block->pages, &joined);
		first_fit_join(&block->fit.first, &block->pages, &joined,
			       &node_any);
	} else {
		join_best(block, &joined);
	}
	count_left(block, end - at, &joined);
}

void holes_shorten(struct block *block, const struct hole *hole, size_t from)
{
	bool more =
		block->policy != BLOCK_AOFF && has_more(&block->pages, hole);
	struct hole rest = pages_shorten(&block->pages, hole, from);

	block->blocks--;
	count_used(block, from - hole->at, from, rest.length > 0);
	if (block->policy == BLOCK_AOFF) {
		first_fit_remove(&block->fit.first, &block->pages, hole,
				 &node_any);
		if (rest.length)
			first_fit_add(&block->fit.first, &rest, &node_any);
	} else {
		best_fit_remove(&block->fit.best, hole, more);
		best_fit_add(&block->fit.best, &rest);
	}
}

size_t holes_longest(const struct block *block)
{
	return block->policy == BLOCK_AOFF
		       ? first_fit_longest(&block->fit.first)
		       : best_fit_longest(&block->fit.best);
}

void holes_begin(struct block *block)
{
	struct hole all = {FIRST_GRANULE, block->pages.end - FIRST_GRANULE};

	block->processor = processor();
	start_at(&block->pages, all.at, true);
	hole_at(&block->pages, all.at, true);
	if (block->policy == BLOCK_AOFF)
		first_fit_add(&block->fit.first, &all, &node_any);
	else
		best_fit_add(&block->fit.best, &all);
	block->holes = 1;
	block->untouched = all.at;
}
