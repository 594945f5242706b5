/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node - 32 lengths of 16 bits, side by side in one line of the cache
 *
 * Which of them are enough, one that becomes another, and the greatest of all:
 * for processors that have AVX-512, or AVX2, for the other x86-64, and for all
 * else.  `struct node_ways` is one of these; what is written for any of them is
 * inlined for each, in functions of NODE_AVX512 and NODE_AVX2.
 *
 * A node is written as wide as it is read: a processor hands on what has just
 * been written to who reads just that.
 */
#ifndef NODE_PRIVATE_H
#define NODE_PRIVATE_H

#include "reclaim/bitmap_private.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define NODE_CHILDREN 32
#define NODE_MOST     UINT16_MAX

struct node_ways {
	/* A bit for each that is enough. */
	uint32_t (*enough)(const uint16_t *node, uint16_t least);
	/* One becomes this, or stays what it was, if that is greater. */
	void (*put)(uint16_t *node, size_t i, uint16_t longest);
	void (*raise)(uint16_t *node, size_t i, uint16_t longest);
	uint16_t (*greatest)(const uint16_t *node);
	/* The greatest of all but one. */
	uint16_t (*others)(const uint16_t *node, size_t i);
};

#ifdef __SSE2__

#define FOR_AVX512 \
	__attribute__((target("avx512f,avx512bw,avx512vl,avx2,bmi,bmi2")))
#define FOR_AVX2 __attribute__((target("avx2,bmi,bmi2")))

/* ---- a line at a time ---- */

FOR_AVX512 static INLINE uint32_t enough_avx512(const uint16_t *node,
						uint16_t least)
{
	return _mm512_cmpge_epu16_mask(_mm512_load_si512((const void *)node),
				       _mm512_set1_epi16((short)least));
}

FOR_AVX512 static INLINE void put_avx512(uint16_t *node, size_t i,
					 uint16_t longest)
{
	__m512i all = _mm512_load_si512((const void *)node);

	all = _mm512_mask_set1_epi16(all, (uint32_t)1 << i, (short)longest);
	_mm512_store_si512((void *)node, all);
}

FOR_AVX512 static INLINE void raise_avx512(uint16_t *node, size_t i,
					   uint16_t longest)
{
	__m512i it = _mm512_maskz_set1_epi16((uint32_t)1 << i, (short)longest);

	_mm512_store_si512(
		(void *)node,
		_mm512_max_epu16(_mm512_load_si512((const void *)node), it));
}

/* The greatest lacks least: of that there is an instruction. */
FOR_AVX2 static INLINE uint16_t greatest_of_16(__m256i max)
{
	__m128i lacking = _mm_max_epu16(_mm256_castsi256_si128(max),
					_mm256_extracti128_si256(max, 1));

	lacking = _mm_minpos_epu16(_mm_xor_si128(lacking, _mm_set1_epi16(-1)));
	return (uint16_t)~_mm_cvtsi128_si32(lacking);
}

FOR_AVX512 static INLINE uint16_t greatest_of_32(__m512i all)
{
	return greatest_of_16(
		_mm256_max_epu16(_mm512_castsi512_si256(all),
				 _mm512_extracti64x4_epi64(all, 1)));
}

FOR_AVX512 static INLINE uint16_t greatest_avx512(const uint16_t *node)
{
	return greatest_of_32(_mm512_load_si512((const void *)node));
}

FOR_AVX512 static INLINE uint16_t others_avx512(const uint16_t *node, size_t i)
{
	__m512i all = _mm512_load_si512((const void *)node);

	return greatest_of_32(_mm512_maskz_mov_epi16(~((uint32_t)1 << i), all));
}

/* ---- half a line at a time ---- */

static const uint16_t node_window[32] = {[16] = UINT16_MAX};

FOR_AVX2 static INLINE __m256i enough_of_16(__m256i of, __m256i wanted)
{
	return _mm256_cmpeq_epi16(_mm256_max_epu16(of, wanted), of);
}

FOR_AVX2 static INLINE uint32_t enough_avx2(const uint16_t *node,
					    uint16_t least)
{
	const __m256i *half = (const void *)node;
	__m256i wanted = _mm256_set1_epi16((short)least);
	__m256i both = _mm256_packs_epi16(enough_of_16(half[0], wanted),
					  enough_of_16(half[1], wanted));

	/* Packed within 16 bytes: the inner quarters want to be swapped. */
	both = _mm256_permute4x64_epi64(both, 0xd8);
	return (uint32_t)_mm256_movemask_epi8(both);
}

FOR_AVX2 static INLINE void put_avx2(uint16_t *node, size_t i, uint16_t longest)
{
	__m256i *half = (void *)&node[i & 16];
	__m256i here =
		_mm256_loadu_si256((const void *)&node_window[16 - i % 16]);

	*half = _mm256_blendv_epi8(*half, _mm256_set1_epi16((short)longest),
				   here);
}

FOR_AVX2 static INLINE void raise_avx2(uint16_t *node, size_t i,
				       uint16_t longest)
{
	__m256i *half = (void *)&node[i & 16];
	__m256i here =
		_mm256_loadu_si256((const void *)&node_window[16 - i % 16]);

	*half = _mm256_max_epu16(
		*half,
		_mm256_and_si256(here, _mm256_set1_epi16((short)longest)));
}

FOR_AVX2 static INLINE uint16_t greatest_avx2(const uint16_t *node)
{
	const __m256i *half = (const void *)node;

	return greatest_of_16(_mm256_max_epu16(half[0], half[1]));
}

FOR_AVX2 static INLINE uint16_t others_avx2(const uint16_t *node, size_t i)
{
	const __m256i *half = (const void *)&node[i & 16];
	const __m256i *other = (const void *)&node[~i & 16];
	__m256i here =
		_mm256_loadu_si256((const void *)&node_window[16 - i % 16]);

	return greatest_of_16(
		_mm256_max_epu16(_mm256_andnot_si256(here, *half), *other));
}

/* ---- 16 bytes at a time: unsigned words want some care ---- */

static INLINE __m128i greater_sse2(__m128i a, __m128i b)
{
	return _mm_add_epi16(_mm_subs_epu16(a, b), b);
}

static INLINE uint32_t enough_of_two(const __m128i *of, __m128i wanted)
{
	__m128i zero = _mm_setzero_si128();

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(
		_mm_cmpeq_epi16(_mm_subs_epu16(wanted, of[0]), zero),
		_mm_cmpeq_epi16(_mm_subs_epu16(wanted, of[1]), zero)));
}

static INLINE uint32_t enough_any(const uint16_t *node, uint16_t least)
{
	const __m128i *eights = (const void *)node;
	__m128i wanted = _mm_set1_epi16((short)least);

	return enough_of_two(eights, wanted) | enough_of_two(eights + 2, wanted)
						       << 16;
}

static INLINE __m128i here_any(size_t i)
{
	return _mm_loadu_si128((const void *)&node_window[16 - i % 8]);
}

static INLINE void put_any(uint16_t *node, size_t i, uint16_t longest)
{
	__m128i *at = (void *)&node[i & ~(size_t)7], here = here_any(i);

	*at = _mm_or_si128(_mm_and_si128(here, _mm_set1_epi16((short)longest)),
			   _mm_andnot_si128(here, *at));
}

static INLINE void raise_any(uint16_t *node, size_t i, uint16_t longest)
{
	__m128i *at = (void *)&node[i & ~(size_t)7];

	*at = greater_sse2(
		_mm_and_si128(here_any(i), _mm_set1_epi16((short)longest)),
		*at);
}

static INLINE uint16_t greatest_any(const uint16_t *node)
{
	const __m128i *eights = (const void *)node;
	__m128i max = greater_sse2(greater_sse2(eights[0], eights[1]),
				   greater_sse2(eights[2], eights[3]));

	max = greater_sse2(max, _mm_srli_si128(max, 8));
	max = greater_sse2(max, _mm_srli_si128(max, 4));
	max = greater_sse2(max, _mm_srli_si128(max, 2));
	return (uint16_t)_mm_extract_epi16(max, 0);
}

static INLINE uint16_t others_any(const uint16_t *node, size_t i)
{
	uint16_t all[NODE_CHILDREN] __attribute__((aligned(64)));
	const __m128i *from = (const void *)node;
	__m128i *to = (void *)all;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
	put_any(all, i, 0);
	return greatest_any(all);
}

static const struct node_ways node_avx512 = {enough_avx512, put_avx512,
					     raise_avx512, greatest_avx512,
					     others_avx512};
static const struct node_ways node_avx2 = {enough_avx2, put_avx2, raise_avx2,
					   greatest_avx2, others_avx2};

#else

static INLINE uint32_t enough_any(const uint16_t *node, uint16_t least)
{
	uint32_t bits = 0;
	unsigned i;

	for (i = 0; i < NODE_CHILDREN; i++)
		bits |= (uint32_t)(node[i] >= least) << i;
	return bits;
}

static INLINE void put_any(uint16_t *node, size_t i, uint16_t longest)
{
	node[i] = longest;
}

static INLINE void raise_any(uint16_t *node, size_t i, uint16_t longest)
{
	node[i] = longest > node[i] ? longest : node[i];
}

static INLINE uint16_t greatest_any(const uint16_t *node)
{
	uint16_t max = 0;
	unsigned i;

	for (i = 0; i < NODE_CHILDREN; i++)
		max = node[i] > max ? node[i] : max;
	return max;
}

static INLINE uint16_t others_any(const uint16_t *node, size_t i)
{
	uint16_t max = 0;
	unsigned j;

	for (j = 0; j < NODE_CHILDREN; j++)
		max = node[j] > max && j != i ? node[j] : max;
	return max;
}

/* Never asked for. */
#define FOR_AVX512
#define FOR_AVX2
#define node_avx512 node_any
#define node_avx2   node_any

#endif

static const struct node_ways node_any = {enough_any, put_any, raise_any,
					  greatest_any, others_any};

#endif
