/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/first_fit_private.h"

/*
 * A node: 32 children, side by side in one line of the cache.  What is done
 * with one there is for the processors that have AVX2, for the other x86-64,
 * and for all else.
 *
 * A put writes as much at a time as is read, and tells the greatest of the node
 * from then on.
 */
#define CHILDREN FIT_CHILDREN

typedef unsigned first_of_fn(const uint16_t *node, uint16_t least);
typedef uint16_t put_fn(uint16_t *node, size_t i, uint16_t longest);

#ifdef __SSE2__

#include <immintrin.h>

const uint16_t fit_window[16] = {[8] = UINT16_MAX};

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

static inline uint16_t put(uint16_t *node, size_t i, uint16_t longest)
{
	__m128i *at = (void *)&node[i & ~(size_t)7];
	__m128i here = _mm_loadu_si128((const void *)&fit_window[8 - i % 8]);
	__m128i it = _mm_and_si128(here, _mm_set1_epi16((short)longest));

	*at = _mm_or_si128(it, _mm_andnot_si128(here, *at));
	return greatest_of(node);
}

/* ---- the same with AVX2: half a node at a time ---- */

#define AVX2 __attribute__((target("avx2,bmi")))

AVX2 static inline unsigned first_of_avx2(const uint16_t *node, uint16_t least)
{
	const __m256i *half = (const void *)node;
	__m256i wanted = _mm256_set1_epi16((short)least), a = half[0],
		b = half[1];
	__m256i both = _mm256_packs_epi16(
		_mm256_cmpeq_epi16(_mm256_max_epu16(a, wanted), a),
		_mm256_cmpeq_epi16(_mm256_max_epu16(b, wanted), b));

	/* Packed within 16 bytes: the inner quarters want to be swapped. */
	both = _mm256_permute4x64_epi64(both, 0xd8);
	return _tzcnt_u32((unsigned)_mm256_movemask_epi8(both));
}

static const uint16_t window[32] = {[16] = UINT16_MAX};

AVX2 static inline uint16_t put_avx2(uint16_t *node, size_t i, uint16_t longest)
{
	__m256i *half = (void *)&node[i & 16], *other = (void *)&node[~i & 16];
	__m256i here = _mm256_loadu_si256((const void *)&window[16 - i % 16]);
	__m256i it = _mm256_blendv_epi8(
		*half, _mm256_set1_epi16((short)longest), here);
	__m256i max = _mm256_max_epu16(it, *other);
	__m128i lacking;

	*half = it;
	/* The greatest lacks least: of that there is an instruction. */
	lacking = _mm_max_epu16(_mm256_castsi256_si128(max),
				_mm256_extracti128_si256(max, 1));
	lacking = _mm_minpos_epu16(_mm_xor_si128(lacking, _mm_set1_epi16(-1)));
	return (uint16_t)~_mm_cvtsi128_si32(lacking);
}

static bool have_wide(void)
{
	__builtin_cpu_init(); /* constructors may not have run */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
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

static inline uint16_t put(uint16_t *node, size_t i, uint16_t longest)
{
	node[i] = longest;
	return greatest_of(node);
}

static bool have_wide(void)
{
	return false;
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
	} while (n > 1 || nodes < 2);
	return nodes * CHILDREN * sizeof(uint16_t) +
	       2 * mibs_of(pages) * sizeof(size_t);
}

void first_fit_begin(struct first_fit *fit, size_t pages, void *memory)
{
	uint16_t *nodes = memory;
	size_t n = pages;

	fit->wide = have_wide();
	fit->levels = 0;
	do {
		fit->level[fit->levels++] = nodes;
		n = nodes_for(n);
		nodes += n * CHILDREN;
	} while (n > 1 || fit->levels < 2);
	fit->mibs = mibs_of(pages);
	fit->longest = (size_t *)(void *)nodes;
}

/* ---- keeping ---- */

#define INLINE inline __attribute__((always_inline))

/* Upwards, until it makes no difference to the one above. */
static INLINE void set(struct first_fit *fit, size_t page, uint16_t longest,
		       put_fn *put_in)
{
	size_t i = page;
	unsigned l;

	for (l = 0;; l++) {
		uint16_t *node = &fit->level[l][i & -(size_t)CHILDREN];

		longest = put_in(node, i % CHILDREN, longest);
		i /= CHILDREN;
		if (l + 1 == fit->levels || longest == fit->level[l + 1][i])
			return;
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
static INLINE size_t descend(const struct first_fit *fit, unsigned level,
			     size_t i, uint16_t least, first_of_fn *first)
{
	while (level-- > 0)
		i = i * CHILDREN +
		    first(&fit->level[level][i * CHILDREN], least);
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
	return descend(fit, 2, i - fit->mibs, FIT_MOST, first_of);
}

static INLINE size_t find(const struct first_fit *fit, size_t granules,
			  first_of_fn *first)
{
	unsigned top = fit->levels - 1, i;

	if (granules > FIT_MOST)
		return find_by_mib(fit, granules);
	i = first(fit->level[top], (uint16_t)granules);
	return i == CHILDREN ? SIZE_MAX
			     : descend(fit, top, i, (uint16_t)granules, first);
}

/* ---- for what processor ---- */

#ifdef AVX2

AVX2 static void set_wide(struct first_fit *fit, size_t page, uint16_t longest)
{
	set(fit, page, longest, put_avx2);
}

AVX2 static size_t find_wide(const struct first_fit *fit, size_t granules)
{
	return find(fit, granules, first_of_avx2);
}

#else

#define set_wide(fit, page, longest) set(fit, page, longest, put)
#define find_wide(fit, granules)     find(fit, granules, first_of)

#endif

void first_fit_set(struct first_fit *fit, size_t page, uint16_t longest)
{
	if (fit->wide)
		set_wide(fit, page, longest);
	else
		set(fit, page, longest, put);
}

size_t first_fit_find(const struct first_fit *fit, size_t granules)
{
	return fit->wide ? find_wide(fit, granules)
			 : find(fit, granules, first_of);
}

size_t first_fit_longest(const struct first_fit *fit)
{
	size_t longest = greatest_of(fit->level[fit->levels - 1]);

	return longest < FIT_MOST ? longest : fit->longest[1];
}
