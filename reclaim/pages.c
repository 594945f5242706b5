/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/pages_private.h"

/* The two around those that are served, and one that is only looked at. */
#define MORE_PAGES 3

size_t pages_bytes(size_t served)
{
	size_t all = served + MORE_PAGES;

	return all * sizeof(struct page) + bitmap_words(all) * sizeof(uint64_t);
}

void pages_begin(struct pages *pages, size_t served, void *memory)
{
	size_t all = served + MORE_PAGES;

	pages->page = memory;
	pages->end = FIRST_GRANULE + served * PAGE_GRANULES;
	bitmap_begin(&pages->in_use, all, (void *)(pages->page + all));
	start_at(pages, FIRST_GRANULE - 1, true);
	start_at(pages, pages->end, true);
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

size_t pages_longest(const struct pages *pages, size_t page)
{
	uint64_t holes = bits_load(&pages->page[page].holes);
	size_t longest = 0, length;

	for (; holes; holes &= holes - 1) {
		length = length_at(pages,
				   page * PAGE_GRANULES + bits_first(holes));
		longest = length > longest ? length : longest;
	}
	return longest;
}

size_t pages_find(const struct pages *pages, size_t page, size_t count,
		  size_t length)
{
	size_t last = pages->end / PAGE_GRANULES, at;
	uint64_t holes;

	for (; count > 0 && page < last; count--, page++) {
		holes = bits_load(&pages->page[page].holes);
		for (; holes; holes &= holes - 1) {
			at = page * PAGE_GRANULES + bits_first(holes);
			if (length_at(pages, at) == length)
				return at;
		}
	}
	return SIZE_MAX;
}
