/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/first_fit_private.h"

/* ---- a node: 32 children, side by side in one line of the cache ---- */

#define CHILDREN 32

#ifdef __SSE2__
#include <emmintrin.h>

/* Eight of them: all bits of each that is enough. */
static inline __m128i enough(const uint16_t *of, __m128i wanted)
{
	__m128i lacking =
		_mm_subs_epu16(wanted, _mm_load_si128((const void *)of));

	return _mm_cmpeq_epi16(lacking, _mm_setzero_si128());
}

static inline unsigned sixteen(const uint16_t *of, __m128i wanted)
{
	return (unsigned)_mm_movemask_epi8(
		_mm_packs_epi16(enough(of, wanted), enough(of + 8, wanted)));
}

/* The first child that is enough, or CHILDREN. */
static inline unsigned first_of(const uint16_t *node, uint16_t least)
{
	__m128i wanted = _mm_set1_epi16((short)least);
	uint64_t bits = sixteen(node, wanted) |
			(uint64_t)sixteen(node + 16, wanted) << 16 |
			(uint64_t)1 << CHILDREN;

	return (unsigned)__builtin_ctzll(bits);
}

static inline __m128i greater(__m128i a, __m128i b)
{
	return _mm_add_epi16(_mm_subs_epu16(a, b), b);
}

static inline uint16_t greatest_of(const uint16_t *node)
{
	const __m128i *eights = (const void *)node;
	__m128i max = greater(greater(eights[0], eights[1]),
			      greater(eights[2], eights[3]));

	max = greater(max, _mm_srli_si128(max, 8));
	max = greater(max, _mm_srli_si128(max, 4));
	max = greater(max, _mm_srli_si128(max, 2));
	return (uint16_t)_mm_extract_epi16(max, 0);
}

#else

static inline unsigned first_of(const uint16_t *node, uint16_t least)
{
	unsigned i = 0;

	while (i < CHILDREN && node[i] < least)
		i++;
	return i;
}

static inline uint16_t greatest_of(const uint16_t *node)
{
	uint16_t max = 0;
	unsigned i;

	for (i = 0; i < CHILDREN; i++)
		max = node[i] > max ? node[i] : max;
	return max;
}

#endif

/* ---- memory ---- */

static size_t nodes_for(size_t n)
{
	return (n + CHILDREN - 1) / CHILDREN;
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
	size_t n = pages, nodes = 0;

	do {
		n = nodes_for(n);
		nodes += n;
	} while (n > 1);
	return nodes * CHILDREN * sizeof(uint16_t) +
	       2 * mibs_of(pages) * sizeof(size_t);
}

void first_fit_begin(struct first_fit *fit, size_t pages, void *memory)
{
	uint16_t *nodes = memory;
	size_t n = pages;

	fit->levels = 0;
	do {
		fit->level[fit->levels++] = nodes;
		n = nodes_for(n);
		nodes += n * CHILDREN;
	} while (n > 1);
	fit->mibs = mibs_of(pages);
	fit->longest = (size_t *)(void *)nodes;
}

/* ---- keeping ---- */

/* Upwards, until it makes no difference to the one above. */
void first_fit_set(struct first_fit *fit, size_t page, uint16_t longest)
{
	size_t i = page;
	unsigned l;

	for (l = 0;; l++, i /= CHILDREN) {
		uint16_t *at = &fit->level[l][i], before = *at, above;

		if (before == longest)
			return;
		*at = longest;
		if (l + 1 == fit->levels)
			return;
		above = fit->level[l + 1][i / CHILDREN];
		if (longest >= above)
			continue;
		if (before != above)
			return;
		longest = greatest_of(&fit->level[l][i & -(size_t)CHILDREN]);
	}
}

void first_fit_set_mib(struct first_fit *fit, size_t mib, size_t longest)
{
	size_t i = fit->mibs + mib, *of = fit->longest;

	of[i] = longest;
	for (i /= 2; i > 0; i /= 2)
		of[i] = of[2 * i] > of[2 * i + 1] ? of[2 * i] : of[2 * i + 1];
}

/* ---- finding ---- */

/* Down from one that is enough to the first of its pages. */
static size_t descend(const struct first_fit *fit, unsigned level, size_t i,
		      uint16_t least)
{
	while (level-- > 0)
		i = i * CHILDREN +
		    first_of(&fit->level[level][i * CHILDREN], least);
	return i;
}

/* A MiB is what one of the third level stands for: 32 times 32 pages. */
static size_t find_by_mib(const struct first_fit *fit, size_t granules)
{
	const size_t *longest = fit->longest;
	size_t i = 1;

	if (longest[1] < granules)
		return SIZE_MAX;
	while (i < fit->mibs)
		i = longest[2 * i] >= granules ? 2 * i : 2 * i + 1;
	return descend(fit, fit->levels == 1 ? 1 : 2, i - fit->mibs, FIT_MOST);
}

size_t first_fit_find(const struct first_fit *fit, size_t granules)
{
	unsigned top = fit->levels - 1, i;

	if (granules > FIT_MOST)
		return find_by_mib(fit, granules);
	i = first_of(fit->level[top], (uint16_t)granules);
	return i == CHILDREN ? SIZE_MAX
			     : descend(fit, top, i, (uint16_t)granules);
}

size_t first_fit_longest(const struct first_fit *fit)
{
	size_t longest = greatest_of(fit->level[fit->levels - 1]);

	return longest < FIT_MOST ? longest : fit->longest[1];
}
