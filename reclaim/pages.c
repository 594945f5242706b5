/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/pages_private.h"

/*
 * The two around those that are served; and those that are only looked at, by
 * next_start and by best fit, which reads a region to its end and as much again
 * behind it, and one more.
 */
#define MORE_PAGES (2 + 3 + 4 + 1)

size_t pages_bytes(size_t served)
{
	size_t all = served + MORE_PAGES;

	return all * sizeof(struct page) + bitmap_words(all) * sizeof(uint64_t);
}

void pages_begin(struct pages *pages, size_t served, size_t granules,
		 void *memory)
{
	size_t all = served + MORE_PAGES;

	pages->page = memory;
	pages->end = FIRST_GRANULE + granules;
	bitmap_begin(&pages->in_use, all, (void *)(pages->page + all));
	start_at(pages, FIRST_GRANULE - 1, true);
	start_at(pages, pages->end, true);
}

void pages_begin_use(struct pages *pages, size_t page)
{
	bitmap_add(&pages->in_use, page);
}

void pages_end_use(struct pages *pages, size_t page)
{
	bitmap_remove(&pages->in_use, page);
}

size_t pages_far_next(const struct pages *pages, size_t at)
{
	size_t page = bitmap_next(&pages->in_use, at / PAGE_GRANULES + 1);

	return page * PAGE_GRANULES +
	       bits_first(bits_load(&pages->page[page].starts));
}

size_t pages_far_previous(const struct pages *pages, size_t at)
{
	size_t page = bitmap_previous(&pages->in_use, at / PAGE_GRANULES - 1);

	return page * PAGE_GRANULES +
	       bits_last(bits_load(&pages->page[page].starts));
}

struct joined pages_meet_far(const struct pages *pages, size_t at, size_t end)
{
	size_t before = previous_start(pages, at);
	size_t first = is_hole(pages, before) ? before : at;
	size_t last = is_hole(pages, end) ? next_start(pages, end) : end;

	return (struct joined){
		.before = {first, at - first},
		.behind = {end, last - end},
		.all = {first, last - first},
	};
}
