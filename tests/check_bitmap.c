/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of numbers, by itself, against an array with a byte for each: what a
 * block asks of it has to hold on both sides of every word and level.
 */
#include "config.h"

#include "tests/stage.h"

#include <stdlib.h>
#include <string.h>

#include "reclaim/bitmap_private.h"

#define LEVEL_3	   ((size_t)64 * 64 * 64) /* that three levels can hold */
#define STEPS	   3000
#define STEPS_SLOW 300
#define BEHIND	   4 /* words that are not the bitmap's */
#define UNTOUCHED  0x5a5a5a5a5a5a5a5au

/* On both sides of where a word, and then a level, is full. */
static const size_t sizes[] = {
	1,
	2,
	63,
	64,
	65,
	127,
	128,
	129,
	1000,
	64 * 64 - 1,
	64 * 64,
	64 * 64 + 1,
	LEVEL_3 - 1,
	LEVEL_3,
	LEVEL_3 + 1,
	3 * LEVEL_3 + 777,
	64 * LEVEL_3 - 1,
	64 * LEVEL_3,
	64 * LEVEL_3 + 1,
};
#define SIZES	    ((int)(sizeof(sizes) / sizeof(sizes[0])))
#define SIZES_SMALL 12 /* each number of which can be asked for */
#define SIZES_LARGE 4  /* the last of them; too slow in Valgrind */

static struct bitmap bitmap;
static uint64_t *words;
static size_t n, word_count;
static unsigned char *model; /* 1 for each number that is in it */

static void begin_with(size_t size)
{
	n = size;
	word_count = bitmap_words(n);
	words = calloc(word_count + BEHIND, sizeof(*words));
	model = calloc(n, 1);
	ck_assert(words && model);
	memset(words + word_count, UNTOUCHED & 0xff, BEHIND * sizeof(*words));
	bitmap_begin(&bitmap, n, words);
}

static void end(void)
{
	size_t i;

	for (i = 0; i < BEHIND; i++)
		ck_assert_uint_eq(words[word_count + i], UNTOUCHED);
	free(words);
	free(model);
}

/* ---- both ---- */

static void add(size_t number)
{
	bitmap_add(&bitmap, number);
	model[number] = 1;
}

static void take_away(size_t number)
{
	bitmap_remove(&bitmap, number);
	model[number] = 0;
}

static size_t index_of(const unsigned char *at)
{
	return at ? (size_t)(at - model) : BITMAP_NONE;
}

static void compare_at(size_t from)
{
	size_t next = index_of(memchr(model + from, 1, n - from));
	size_t previous = index_of(memrchr(model, 1, from + 1));

	if (bitmap_next(&bitmap, from) != next)
		ck_abort_msg("of %zu, next from %zu is %zu, not %zu", n, from,
			     bitmap_next(&bitmap, from), next);
	if (bitmap_previous(&bitmap, from) != previous)
		ck_abort_msg("of %zu, previous from %zu is %zu, not %zu", n,
			     from, bitmap_previous(&bitmap, from), previous);
}

static void compare_near(size_t number)
{
	compare_at(number);
	if (number > 0)
		compare_at(number - 1);
	if (number + 1 < n)
		compare_at(number + 1);
}

static void compare_all(void)
{
	size_t from, step = under_valgrind() && n > 1000 ? 13 : 1;

	for (from = 0; from < n; from += step)
		compare_at(from);
}

/* One near to where a word or a level begins, as often as any other. */
static size_t any_number(uint64_t *state)
{
	size_t number = fixture_random(state) % n;
	size_t edge = (size_t)1 << 6 * (fixture_random(state) % 5);

	if (fixture_random(state) % 2)
		number = number / edge * edge - fixture_random(state) % 2;
	return number < n ? number : 0;
}

/* ---- tests; each for every size ---- */

START_TEST(an_empty_one_has_no_number)
{
	begin_with(sizes[_i]);
	ck_assert_uint_eq(bitmap_next(&bitmap, 0), BITMAP_NONE);
	ck_assert_uint_eq(bitmap_next(&bitmap, n - 1), BITMAP_NONE);
	ck_assert_uint_eq(bitmap_previous(&bitmap, 0), BITMAP_NONE);
	ck_assert_uint_eq(bitmap_previous(&bitmap, n - 1), BITMAP_NONE);
	end();
}
END_TEST

START_TEST(the_outermost_are_found_from_the_other_end)
{
	begin_with(sizes[_i]);
	add(n - 1);
	ck_assert_uint_eq(bitmap_next(&bitmap, 0), n - 1);
	ck_assert_uint_eq(bitmap_previous(&bitmap, n - 1), n - 1);
	take_away(n - 1);
	ck_assert_uint_eq(bitmap_next(&bitmap, 0), BITMAP_NONE);
	add(0);
	ck_assert_uint_eq(bitmap_previous(&bitmap, n - 1), 0);
	ck_assert_uint_eq(bitmap_next(&bitmap, 0), 0);
	end();
}
END_TEST

START_TEST(each_number_alone_is_found_from_everywhere)
{
	uint64_t state = fixture_seed();
	unsigned i;

	begin_with(sizes[_i]);
	for (i = 0; i < 8; i++) {
		size_t number = any_number(&state);

		add(number);
		compare_all();
		take_away(number);
	}
	compare_all();
	end();
}
END_TEST

START_TEST(a_full_one_has_each_number)
{
	size_t i;

	begin_with(sizes[_i]);
	for (i = 0; i < n; i++)
		add(i);
	compare_all();
	for (i = 0; i < n; i += 2)
		take_away(i);
	compare_all();
	for (i = 1; i < n; i += 2)
		take_away(i);
	compare_all();
	for (i = 0; i < word_count; i++)
		ck_assert_uint_eq(words[i], 0);
	end();
}
END_TEST

START_TEST(to_add_or_remove_twice_makes_no_difference)
{
	size_t i;

	begin_with(sizes[_i]);
	add(n - 1);
	add(n / 2);
	add(n / 2);
	compare_near(n / 2);
	take_away(n / 2);
	take_away(n / 2);
	compare_near(n / 2);
	take_away(n - 1);
	for (i = 0; i < word_count; i++)
		ck_assert_uint_eq(words[i], 0);
	end();
}
END_TEST

/* More is added, then more is removed, and so on. */
START_TEST(it_is_what_an_array_is)
{
	uint64_t state = fixture_seed() + (uint64_t)_i;
	bool quick = sizes[_i] <= LEVEL_3 + 1 && !under_valgrind();
	unsigned i, steps = quick ? STEPS : STEPS_SLOW;
	bool growing = true;

	begin_with(sizes[_i]);
	for (i = 0; i < steps; i++) {
		size_t number = any_number(&state);

		if (fixture_random(&state) % 200 == 0)
			growing = !growing;
		if (growing == (fixture_random(&state) % 4 > 0)) {
			add(number);
		} else {
			number = bitmap_next(&bitmap, number);
			if (number == BITMAP_NONE)
				continue;
			take_away(number);
		}
		compare_near(number);
		compare_at(any_number(&state));
	}
	end();
}
END_TEST

/* A word for each 64, and for each 64 of those, at least once, up to one. */
START_TEST(its_memory_is_what_its_levels_need)
{
	static const struct {
		size_t n, words;
	} known[] = {
		{1, 1 + 1},
		{64, 1 + 1},
		{65, 2 + 1},
		{64 * 64, 64 + 1},
		{64 * 64 + 1, 65 + 2 + 1},
		{LEVEL_3, 64 * 64 + 64 + 1},
		{LEVEL_3 + 1, 64 * 64 + 1 + 65 + 2 + 1},
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ck_assert_uint_eq(bitmap_words(known[i].n), known[i].words);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "numbers");
	int count = SIZES - (under_valgrind() ? SIZES_LARGE : 0);

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, its_memory_is_what_its_levels_need);
	tcase_add_loop_test(tcase, an_empty_one_has_no_number, 0, count);
	tcase_add_loop_test(tcase, the_outermost_are_found_from_the_other_end,
			    0, count);
	tcase_add_loop_test(tcase, each_number_alone_is_found_from_everywhere,
			    0, SIZES_SMALL);
	tcase_add_loop_test(tcase, a_full_one_has_each_number, 0, SIZES_SMALL);
	tcase_add_loop_test(tcase, to_add_or_remove_twice_makes_no_difference,
			    0, count);
	tcase_add_loop_test(tcase, it_is_what_an_array_is, 0, count);
}

int main(void)
{
	return stage_run("bitmap", fill);
}
