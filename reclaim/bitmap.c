/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/bitmap_private.h"

static size_t words_for(size_t n)
{
	return n / 64 + (n % 64 != 0);
}

size_t bitmap_words(size_t n)
{
	size_t sum = 0, levels = 0;

	do {
		n = words_for(n);
		sum += n;
	} while (++levels < 2 || n > 1);
	return sum;
}

void bitmap_begin(struct bitmap *bitmap, size_t n, uint64_t *words)
{
	bitmap->levels = 0;
	do {
		bitmap->level[bitmap->levels++] = words;
		n = words_for(n);
		words += n;
	} while (bitmap->levels < 2 || n > 1);
}

void bitmap_add_above(struct bitmap *bitmap, size_t number)
{
	uint64_t *word, before = 0;
	unsigned i;

	for (i = 2; !before && i < bitmap->levels; i++) {
		word = &bitmap->level[i][number / 64];
		before = *word;
		bits_store(word, before | (uint64_t)1 << number % 64);
		number /= 64;
	}
}

void bitmap_remove_above(struct bitmap *bitmap, size_t number)
{
	uint64_t *word, after = 0;
	unsigned i;

	for (i = 2; !after && i < bitmap->levels; i++) {
		word = &bitmap->level[i][number / 64];
		after = *word & ~((uint64_t)1 << number % 64);
		bits_store(word, after);
		number /= 64;
	}
}

/* From what was found on one level down to the number. */
static size_t descend(const struct bitmap *bitmap, unsigned i, size_t number,
		      unsigned (*choose)(uint64_t))
{
	while (i-- > 0)
		number = number * 64 +
			 choose(bits_load(&bitmap->level[i][number]));
	return number;
}

/* Above the first level: what is behind, or before, the word just seen. */
size_t bitmap_next(const struct bitmap *bitmap, size_t from)
{
	uint64_t wanted = ~(uint64_t)0 << from % 64, bits;
	unsigned i;

	for (i = 0; i < bitmap->levels; i++) {
		bits = bits_load(&bitmap->level[i][from / 64]) & wanted;
		from /= 64;
		if (bits)
			return descend(bitmap, i, from * 64 + bits_first(bits),
				       bits_first);
		wanted = ~(uint64_t)1 << from % 64;
	}
	return BITMAP_NONE;
}

size_t bitmap_previous(const struct bitmap *bitmap, size_t from)
{
	uint64_t wanted = ~(uint64_t)0 >> (63 - from % 64), bits;
	unsigned i;

	for (i = 0; i < bitmap->levels; i++) {
		bits = bits_load(&bitmap->level[i][from / 64]) & wanted;
		from /= 64;
		if (bits)
			return descend(bitmap, i, from * 64 + bits_last(bits),
				       bits_last);
		wanted = ((uint64_t)1 << from % 64) - 1;
	}
	return BITMAP_NONE;
}
