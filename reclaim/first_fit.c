/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/fit_tree_private.h"

/* ---- memory ---- */

static size_t nodes_for(size_t n)
{
	return (n + NODE_CHILDREN - 1) / NODE_CHILDREN;
}

static size_t mibs_of(size_t pages)
{
	size_t mibs = 1;

	while (mibs << 10 < pages)
		mibs <<= 1;
	return mibs;
}

size_t first_fit_bytes(size_t pages)
{
	size_t n = pages, nodes = FIT_ROOT / NODE_CHILDREN;

	do {
		n = nodes_for(n);
		nodes += n;
	} while (n > FIT_ROOT);
	return nodes * NODE_CHILDREN * sizeof(uint16_t) +
	       2 * mibs_of(pages) * sizeof(size_t);
}

void first_fit_begin(struct first_fit *fit, size_t pages, void *memory)
{
	uint16_t *nodes = memory;
	size_t n = pages;

	fit->top = 0;
	do {
		fit->level[fit->top++] = nodes;
		n = nodes_for(n);
		nodes += n * NODE_CHILDREN;
	} while (n > FIT_ROOT);
	fit->level[fit->top] = nodes;
	fit->mibs = mibs_of(pages);
	fit->longest = (size_t *)(void *)(nodes + FIT_ROOT);
}

/* ---- of a MiB and more ---- */

void first_fit_set_mib(struct first_fit *fit, size_t mib, size_t longest)
{
	size_t i = fit->mibs + mib, *of = fit->longest;

	of[i] = longest;
	for (i /= 2; i > 0; i /= 2)
		of[i] = of[2 * i] > of[2 * i + 1] ? of[2 * i] : of[2 * i + 1];
}

/* A MiB is what one of the third level stands for: 32 times 32 pages. */
size_t first_fit_find_long(const struct first_fit *fit, size_t granules)
{
	const size_t *longest = fit->longest;
	size_t i = 1, level;

	if (longest[1] < granules)
		return SIZE_MAX;
	while (i < fit->mibs)
		i = longest[2 * i] >= granules ? 2 * i : 2 * i + 1;
	i -= fit->mibs;
	for (level = 2; level-- > 0;)
		i = i * NODE_CHILDREN +
		    bits_first(enough_any(&fit->level[level][i * NODE_CHILDREN],
					  NODE_MOST));
	return i;
}

/* ---- a page ---- */

struct first_found first_among(const struct pages *pages, size_t page,
			       size_t granules)
{
	uint64_t holes = pages->page[page].holes, found = 0, others = 0, one;

	for (; holes; holes = less_one(holes)) {
		one = first_of(pages, page, holes);
		swap_if(!found && one / FOUND_LENGTH >= granules, &found, &one);
		others = one > others ? one : others;
	}
	return (struct first_found){
		.hole = {page * PAGE_GRANULES + found % FOUND_LENGTH,
			 found / FOUND_LENGTH},
		.others = others / FOUND_LENGTH,
	};
}

/* ---- all of it ---- */

size_t first_fit_longest(const struct first_fit *fit)
{
	const uint16_t *root = fit->level[fit->top];
	size_t a = greatest_any(root), b = greatest_any(root + NODE_CHILDREN);
	size_t longest = a > b ? a : b;

	return longest < NODE_MOST ? longest : fit->longest[1];
}
