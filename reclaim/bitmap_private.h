/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bitmap - a set of numbers, and the next one in it
 *
 * Words of 64 bits; above them words that say which of those are not zero, and
 * so on, at least once, until one word says it all.  Whatever there is, adding,
 * removing and finding the next or the previous number look at two words of
 * each level at most.
 *
 * Memory: the caller's, cleared.  Threads: one changes it at a time; another
 * may meanwhile ask for the next number after one that stays, if what it is to
 * find stays as well.
 */
#ifndef BITMAP_PRIVATE_H
#define BITMAP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reclaim/rare_private.h"

#define BITMAP_LEVELS 7 /* of 64 each: any number that a block needs */
#define BITMAP_NONE   SIZE_MAX

struct bitmap {
	unsigned levels;
	uint64_t *level[BITMAP_LEVELS];
};

/* The words that one of numbers below n needs. */
size_t bitmap_words(size_t n);
/* `words`: so many, all zero. */
void bitmap_begin(struct bitmap *bitmap, size_t n, uint64_t *words);

/* The least number from `from` on, the greatest up to `from`; or none. */
size_t bitmap_next(const struct bitmap *bitmap, size_t from);
size_t bitmap_previous(const struct bitmap *bitmap, size_t from);

static INLINE uint64_t bits_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static INLINE void bits_store(uint64_t *word, uint64_t bits)
{
	__atomic_store_n(word, bits, __ATOMIC_RELAXED);
}

static INLINE unsigned bits_first(uint64_t bits)
{
	return (unsigned)__builtin_ctzll(bits);
}

static INLINE unsigned bits_last(uint64_t bits)
{
	return 63 - (unsigned)__builtin_clzll(bits);
}

/* Without the first. */
static INLINE uint64_t less_one(uint64_t bits)
{
	return bits & (bits - 1);
}

/* What is to be done above the second level is rare. */
void bitmap_add_above(struct bitmap *bitmap, size_t number);
void bitmap_remove_above(struct bitmap *bitmap, size_t number);

/*
 * Whether it was not there.  Whether the second level changes, too, would often
 * be guessed wrong: it is written each time.
 */
static INLINE bool bitmap_add(struct bitmap *bitmap, size_t number)
{
	uint64_t *word = &bitmap->level[0][number / 64];
	uint64_t *above = &bitmap->level[1][number / 64 / 64];
	uint64_t before = *word, was = *above;

	bits_store(word, before | (uint64_t)1 << number % 64);
	bits_store(above, was | (uint64_t)1 << number / 64 % 64);
	if (__builtin_expect(!was, 0))
		bitmap_add_above(bitmap, number / 64 / 64);
	return !(before >> number % 64 & 1);
}

/* Whether it was there. */
static INLINE bool bitmap_remove(struct bitmap *bitmap, size_t number)
{
	uint64_t *word = &bitmap->level[0][number / 64];
	uint64_t *above = &bitmap->level[1][number / 64 / 64];
	uint64_t before = *word, after, left;

	after = before & ~((uint64_t)1 << number % 64);
	left = *above & ~((uint64_t)!after << number / 64 % 64);
	bits_store(word, after);
	bits_store(above, left);
	if (__builtin_expect(!left, 0))
		bitmap_remove_above(bitmap, number / 64 / 64);
	return before >> number % 64 & 1;
}

#endif
