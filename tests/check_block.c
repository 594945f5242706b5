/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a block promises, each in a small picture; what any sequence of steps
 * comes to is check_block_model's.
 *
 * Most tests run once for each policy.  Where a tool listens an allocation has
 * a guard: room_for() says what it takes then.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/area.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define TIB ((size_t)1 << 40)

static struct area area;
static struct block *block;

static void begin_with(size_t size, enum block_policy policy)
{
	area_make(&area, size, 0);
	block = area_block(&area, policy, true);
}

static void end(void)
{
	block_end(block);
	area_drop(&area);
}

static void *allocate(size_t size)
{
	void *ptr = block_alloc(block, size, GRANULE);

	ck_assert_msg(ptr != NULL, "no %zu bytes: %m", size);
	return ptr;
}

static void give_back(void *ptr)
{
	ck_assert_int_eq(block_free(block, ptr), BLOCK_ALLOCATED);
}

static struct block_figures figures(void)
{
	struct block_figures now;

	block_figures(block, &now);
	return now;
}

/* The size of an allocation that takes so many bytes of room. */
static size_t filling(size_t room)
{
	return room - block->guard;
}

static void expect_one_hole(void)
{
	struct block_figures now = figures();

	ck_assert_uint_eq(now.holes, 1);
	ck_assert_uint_eq(now.blocks, 0);
	ck_assert_uint_eq(now.allocated, 0);
	ck_assert_uint_eq(now.longest, filling(now.free));
}

/* ---- that nothing changes ---- */

struct look {
	struct block_figures figures;
	uint64_t layout;
};

static void mix(char *at, size_t bytes, bool hole, void *arg)
{
	uint64_t *layout = arg;

	*layout = (*layout ^ (uintptr_t)at ^ bytes << 20 ^ (uint64_t)hole) *
		  0x9e3779b97f4a7c15u;
}

static struct look look(void)
{
	struct look now = {.figures = figures()};

	block_each(block, &(struct block_figures){0}, mix, &now.layout);
	return now;
}

static void expect_same(const struct look *before, const char *after)
{
	struct look now = look();

	ck_assert_msg(memcmp(&now, before, sizeof(now)) == 0,
		      "%s has changed the block", after);
}

/* ---- to begin ---- */

START_TEST(a_policy_has_a_name)
{
	ck_assert_int_eq(block_policy("aoff"), BLOCK_AOFF);
	ck_assert_int_eq(block_policy("aobf"), BLOCK_AOBF);
	ck_assert_int_eq(block_policy("bf"), BLOCK_BF);
	ck_assert_str_eq(block_policy_name(BLOCK_AOFF), "aoff");
	ck_assert_str_eq(block_policy_name(BLOCK_AOBF), "aobf");
	ck_assert_str_eq(block_policy_name(BLOCK_BF), "bf");
}
END_TEST

START_TEST(there_is_no_other_policy)
{
	static const char *const names[] = {
		"",   "a",  "aof", "aoffs", "AOFF",	 "b",
		"gf", "af", " bf", "aoff ", "ageffcaoff"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_int_eq(block_policy(names[i]), -1);
}
END_TEST

START_TEST(too_small_an_area_is_refused)
{
	static const size_t sizes[] = {
		0, 1, 64, 4096, BLOCK_LEAST - 16, BLOCK_LEAST - 1};
	size_t i;

	area_make(&area, BLOCK_LEAST, 0);
	area_soil(&area);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ck_fails(block_begin(area.at, sizes[i], _i, false), NULL,
			 EINVAL);
	ck_assert(all_bytes_are(area.at, *area.at, area.size));
	block = area_block(&area, _i, false);
	expect_one_hole();
	ck_assert_uint_gt(figures().free, BLOCK_LEAST / 2);
	end();
}
END_TEST

START_TEST(a_misaligned_area_is_refused)
{
	size_t offset;

	area_make(&area, MIB, 0);
	area_soil(&area);
	for (offset = 1; offset < 2 * GRANULE; offset++)
		if (offset != GRANULE)
			ck_fails(block_begin(area.at + offset, MIB / 2, _i,
					     false),
				 NULL, EINVAL);
	ck_assert(all_bytes_are(area.at, *area.at, area.size));
	area_drop(&area);
}
END_TEST

START_TEST(an_area_beyond_all_addresses_is_refused)
{
	uintptr_t at;
	size_t size;

	area_make(&area, MIB, 0);
	area_soil(&area);
	at = (uintptr_t)area.at;
	ck_fails(block_begin(area.at, SIZE_MAX, _i, false), NULL, EINVAL);
	ck_fails(block_begin(area.at, -at, _i, false), NULL, EINVAL);
	ck_fails(block_begin(area.at, -at + MIB, _i, false), NULL, EINVAL);
	for (size = SIZE_MAX; size > -at; size -= size / 8)
		ck_fails(block_begin(area.at, size, _i, false), NULL, EINVAL);
	ck_assert(all_bytes_are(area.at, *area.at, area.size));
	area_drop(&area);
}
END_TEST

START_TEST(more_than_best_fit_can_number_is_refused)
{
	area_make(&area, MIB, 0);
	area_soil(&area);
	ck_fails(block_begin(area.at, 16 * TIB, _i, false), NULL, EINVAL);
	ck_fails(block_begin(area.at, 64 * TIB, _i, true), NULL, EINVAL);
	ck_assert(all_bytes_are(area.at, *area.at, area.size));
	area_drop(&area);
}
END_TEST

/*
 * Nothing of it is written.  So many addresses are not always to be had, and
 * the tools would write something for each.
 */
static bool begin_huge(size_t size, enum block_policy policy)
{
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
	return false;
#endif
	if (under_valgrind())
		return false;
	area.at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area.at == MAP_FAILED)
		return false;
	block = block_begin(area.at, size, policy, true);
	ck_assert_ptr_nonnull(block);
	return true;
}

START_TEST(the_largest_is_served_to_its_end)
{
	const size_t size = (_i == BLOCK_AOFF ? 17 : 16) * TIB - 4096;
	char *first, *middle, *last;

	if (!begin_huge(size, _i))
		return;
	first = allocate(size / 3);
	middle = allocate(size / 3);
	last = allocate(filling(figures().longest));
	ck_assert_ptr_eq(middle, first + room_for(block, size / 3));
	ck_assert_ptr_eq(last, middle + room_for(block, size / 3));
	ck_assert_uint_eq(figures().free, 0);
	give_back(middle);
	ck_assert_ptr_eq(allocate(100), middle);
	give_back(first);
	give_back(last);
	ck_assert_uint_eq(figures().holes, 2);
	ck_assert_ptr_eq(allocate(size / 2), middle + room_for(block, 100));
	ck_assert_ptr_eq(allocate(size / 4), first);
	block_end(block);
	ck_assert_int_eq(munmap(area.at, size), 0);
}
END_TEST

/* Whatever can be had is had and written to. */
static void write_everywhere(void)
{
	size_t size;
	char *ptr;

	for (size = area.size; size > 0; size /= 2)
		while ((ptr = block_alloc(block, size, 1)) != NULL)
			memset(ptr, 'w', size);
	ck_assert_uint_eq(figures().longest, 0);
}

START_TEST(what_is_around_it_stays)
{
	static const size_t sizes[] = {BLOCK_LEAST,	    BLOCK_LEAST + 1,
				       BLOCK_LEAST + 15,    BLOCK_LEAST + 1023,
				       100 * KIB + 48,	    MIB - 1,
				       MIB + MIB / 64 + 16, 2 * MIB + 3 * KIB};
	size_t i, offset;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (offset = 0; offset < 64; offset += GRANULE) {
			area_make(&area, sizes[i], offset);
			area_soil(&area);
			block = area_block(&area, _i, false);
			write_everywhere();
			end();
		}
}
END_TEST

START_TEST(all_of_it_is_served_or_kept)
{
	size_t size;

	for (size = BLOCK_LEAST; size < 100 * MIB; size += size / 3 + 7) {
		struct block_figures now;

		begin_with(size, _i);
		now = figures();
		ck_assert_uint_eq(now.total, size);
		ck_assert_uint_eq(now.kept + now.free, size);
		ck_assert(first_served(block) >= area.at);
		ck_assert(first_served(block) + now.free <= area.at + size);
		end();
	}
}
END_TEST

/* What is kept needs the same room however little is left of a page. */
START_TEST(nothing_is_served_beyond_it)
{
	size_t size, offset;

	area_make(&area, BLOCK_LEAST + 2 * KIB, 0);
	for (size = BLOCK_LEAST; size < BLOCK_LEAST + KIB; size += GRANULE)
		for (offset = 0; offset < 64; offset += GRANULE) {
			block = block_begin(area.at + offset, size, _i, false);
			ck_assert_ptr_nonnull(block);
			ck_assert(first_served(block) + figures().free <=
				  area.at + offset + size);
			block_end(block);
		}
	area_drop(&area);
}
END_TEST

/* Bits, and an index of the holes. */
START_TEST(three_percent_are_kept_at_most)
{
	size_t size;

	for (size = MIB; size <= GIB; size += size / 4 * 3 + size / 4) {
		struct block_figures now;

		begin_with(size, _i);
		now = figures();
		ck_assert_msg(now.kept <= size / 100 * 3,
			      "of %zu bytes %zu are kept", size, now.kept);
		end();
	}
}
END_TEST

/* ---- to allocate ---- */

START_TEST(an_allocation_is_at_least_as_large_as_asked)
{
	static char *ptrs[600];
	size_t size;

	begin_with(MIB, _i);
	for (size = 0; size < 600; size++) {
		ptrs[size] = allocate(size);
		ck_assert_uint_eq((uintptr_t)ptrs[size] % GRANULE, 0);
		ck_assert_uint_ge(block_size(block, ptrs[size]), size);
		ck_assert_uint_lt(block_size(block, ptrs[size]),
				  size + GRANULE + !size);
		memset(ptrs[size], (int)size, size);
	}
	for (size = 0; size < 600; size++) {
		ck_assert(all_bytes_are(ptrs[size], (char)size, size));
		give_back(ptrs[size]);
	}
	expect_one_hole();
	end();
}
END_TEST

START_TEST(those_of_no_size_have_places_of_their_own)
{
	char *one, *other;

	begin_with(MIB, _i);
	one = allocate(0);
	other = allocate(0);
	ck_assert_ptr_ne(one, other);
	ck_assert_int_eq(block_find(block, one), BLOCK_ALLOCATED);
	give_back(one);
	ck_assert_int_eq(block_find(block, other), BLOCK_ALLOCATED);
	give_back(other);
	end();
}
END_TEST

START_TEST(what_is_too_large_is_refused)
{
	size_t size, beyond;
	struct look before;

	begin_with(MIB, _i);
	allocate(100);
	before = look();
	beyond = figures().longest + 1;
	for (size = beyond; size < SIZE_MAX / 4 * 3; size += size / 4)
		ck_fails(block_alloc(block, size, 16), NULL, ENOMEM);
	for (size = 0; size < 100; size++) {
		ck_fails(block_alloc(block, SIZE_MAX - size, 16), NULL, ENOMEM);
		ck_fails(block_calloc(block, beyond + size), NULL, ENOMEM);
		ck_fails(block_calloc(block, SIZE_MAX - size), NULL, ENOMEM);
		ck_fails(block_alloc(block, area.size + size, 16), NULL,
			 ENOMEM);
	}
	expect_same(&before, "a refusal");
	end();
}
END_TEST

START_TEST(too_great_an_alignment_is_refused)
{
	struct look before;
	size_t align;

	begin_with(MIB, _i);
	before = look();
	for (align = MIB; align; align *= 2) {
		ck_fails(block_alloc(block, 0, align), NULL, ENOMEM);
		ck_fails(block_alloc(block, MIB / 2, align), NULL, ENOMEM);
		ck_fails(block_alloc(block, SIZE_MAX, align), NULL, ENOMEM);
	}
	expect_same(&before, "a refusal");
	end();
}
END_TEST

START_TEST(the_longest_is_what_can_be_had)
{
	size_t kept, size;

	for (kept = 0; kept < 40; kept += 3) {
		begin_with(BLOCK_LEAST + kept * 100 * KIB, _i);
		for (size = 0; size < kept; size++)
			allocate(size * 777);
		size = figures().longest;
		ck_fails(block_alloc(block, size + 1, 16), NULL, ENOMEM);
		allocate(size);
		ck_assert_uint_eq(figures().holes, 0);
		ck_assert_uint_eq(figures().free, 0);
		ck_assert_uint_eq(figures().longest, 0);
		ck_fails(block_alloc(block, 0, 1), NULL, ENOMEM);
		end();
	}
}
END_TEST

START_TEST(alignment_costs_nothing_that_is_not_free_again)
{
	size_t align, size = 1000;
	char *one, *ptr;

	begin_with(4 * MIB, _i);
	for (align = 1; align <= MIB; align *= 2) {
		one = allocate(1);
		ptr = block_alloc(block, size, align);
		ck_assert_ptr_nonnull(ptr);
		ck_assert_uint_eq((uintptr_t)ptr % align, 0);
		ck_assert_uint_eq(figures().allocated,
				  room_for(block, 1) + room_for(block, size));
		memset(ptr, 'p', size);
		give_back(one);
		give_back(ptr);
		expect_one_hole();
	}
	end();
}
END_TEST

/* ---- to fill it ---- */

#define MANY 40000

static char *ptrs[MANY];

static size_t fill_with(size_t size)
{
	size_t n = 0;

	while (n < MANY && (ptrs[n] = block_alloc(block, size, 1)) != NULL)
		n++;
	ck_assert_uint_lt(n, MANY);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_eq(figures().blocks, n);
	ck_assert_uint_lt(figures().longest, size ? size : 1);
	return n;
}

static void in_order(size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		give_back(ptrs[i]);
}

static void in_reverse(size_t n)
{
	while (n-- > 0)
		give_back(ptrs[n]);
}

/* Most holes first, and then each joins two. */
static void every_other_first(size_t n)
{
	size_t i;

	for (i = 0; i < n; i += 2)
		give_back(ptrs[i]);
	ck_assert_uint_ge(figures().holes, n / 2);
	for (i = 1; i < n; i += 2)
		give_back(ptrs[i]);
}

static void at_random(size_t n)
{
	uint64_t state = fixture_seed();
	size_t i;

	for (; n > 0; ptrs[i] = ptrs[--n]) {
		i = fixture_random(&state) % n;
		give_back(ptrs[i]);
	}
}

START_TEST(full_it_is_as_new_when_all_is_freed)
{
	static void (*const orders[])(size_t n) = {
		in_order, in_reverse, every_other_first, at_random};
	static const size_t sizes[] = {0, 16, 100, 1000, 4096, 70000, 300000};
	size_t i, k, n, first;

	begin_with(under_valgrind() ? 96 * KIB : MIB / 2 + 77, _i);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (k = 0, first = 0; k < 4; k++) {
			n = fill_with(sizes[i]);
			ck_assert(!first || n == first);
			first = n;
			orders[k](n);
			expect_one_hole();
		}
	end();
}
END_TEST

START_TEST(what_is_freed_when_full_can_be_had_again)
{
	size_t n, i;

	begin_with(MIB, _i);
	n = fill_with(500);
	for (i = 0; i < n; i += 7) {
		give_back(ptrs[i]);
		ck_assert_ptr_eq(allocate(500), ptrs[i]);
	}
	end();
}
END_TEST

/* ---- which hole ---- */

/* In units of a test's scale; behind them all is the longest. */
static const size_t lengths[] = {5, 3, 8, 3, 4};
#define HOLES	   5
#define BEHIND_ALL HOLES
#define ALL_UNITS  ((size_t)5 + 3 + 8 + 3 + 4)

static const struct {
	size_t units;
	int by_address, by_length, or_else;
} choices[] = {
	{1, 0, 1, 3}, {3, 0, 1, 3}, {4, 0, 4, 4},
	{5, 0, 0, 0}, {6, 2, 2, 2}, {9, BEHIND_ALL, BEHIND_ALL, BEHIND_ALL},
};
#define CHOICES (sizeof(choices) / sizeof(choices[0]))

/* 13107 times 5 is where an index begins to say "or more". */
static const size_t scales[] = {1, 16, 64, 85, 256, 13107, 65536, 17 * 65536};
#define SCALES (sizeof(scales) / sizeof(scales[0]))

static char *holes[HOLES + 1];

static void make_holes(size_t unit)
{
	int i;

	for (i = 0; i < HOLES; i++) {
		holes[i] = allocate(filling(lengths[i] * unit));
		holes[i + 1] = (char *)allocate(1) + room_for(block, 1);
	}
	for (i = 0; i < HOLES; i++)
		give_back(holes[i]);
	ck_assert_uint_eq(figures().holes, HOLES + 1);
}

static bool is_chosen(size_t i, const char *ptr)
{
	switch (block->policy) {
	case BLOCK_AOFF:
		return ptr == holes[choices[i].by_address];
	case BLOCK_AOBF:
		return ptr == holes[choices[i].by_length];
	default:
		return ptr == holes[choices[i].by_length] ||
		       ptr == holes[choices[i].or_else];
	}
}

/* A hole of less, and a hole of just so much, is meant. */
static void choose(size_t i, size_t unit, size_t less)
{
	size_t size = filling(choices[i].units * unit - less);
	char *ptr = allocate(size);

	ck_assert_msg(is_chosen(i, ptr), "%zu bytes are at %p", size,
		      (void *)ptr);
	give_back(ptr);
}

START_TEST(the_hole_is_what_the_policy_says)
{
	enum block_policy policy = _i % BLOCK_POLICIES;
	size_t unit = scales[_i / BLOCK_POLICIES] * GRANULE, i;

	begin_with(BLOCK_LEAST + unit * ALL_UNITS * 2, policy);
	if (block->guard && unit <= block->guard)
		unit *= 3;
	make_holes(unit);
	for (i = 0; i < CHOICES; i++) {
		choose(i, unit, 0);
		if (unit > 2 * GRANULE)
			choose(i, unit, GRANULE);
	}
	ck_assert_uint_eq(figures().holes, HOLES + 1);
	end();
}
END_TEST

/* When the lowest is gone the next is the lowest, and so on. */
START_TEST(equal_holes_are_taken_upwards)
{
	size_t n, i, size;

	for (size = 100; size <= 100000; size *= 10) {
		begin_with(MIB, _i);
		n = fill_with(size);
		for (i = n; i-- > 0;)
			if (i % 2)
				give_back(ptrs[i]);
		for (i = 1; i < n; i += 2)
			ck_assert_ptr_eq(allocate(size), ptrs[i]);
		end();
	}
}
END_TEST

/* ---- to resize ---- */

START_TEST(it_grows_into_the_hole_behind)
{
	char *ptr, *behind, *wall;
	size_t all;

	begin_with(MIB, _i);
	ptr = allocate(1000);
	behind = allocate(2000);
	wall = allocate(10);
	ck_assert(wall > behind);
	memset(ptr, 'p', 1000);
	give_back(behind);
	all = filling((size_t)(wall - ptr));
	ck_assert(!block_resize(block, ptr, all + 1));
	ck_assert(block_resize(block, ptr, 1500));
	ck_assert(all_bytes_are(ptr, 'p', 1000));
	memset(ptr, 'q', 1500);
	ck_assert(block_resize(block, ptr, all));
	memset(ptr, 'r', all);
	ck_assert_uint_eq(figures().holes, 1);
	ck_assert_uint_eq(figures().blocks, 2);
	ck_assert_uint_eq(block_size(block, ptr), all);
	give_back(ptr);
	give_back(wall);
	expect_one_hole();
	end();
}
END_TEST

START_TEST(it_does_not_grow_over_another)
{
	struct look before;
	size_t size;
	char *ptr;

	begin_with(MIB, _i);
	ptr = allocate(filling(1600));
	allocate(10);
	before = look();
	ck_assert(block_resize(block, ptr, filling(1600)));
	for (size = filling(1601); size < SIZE_MAX / 4 * 3; size += size / 3)
		ck_assert(!block_resize(block, ptr, size));
	for (size = 0; size < 100; size++) {
		ck_assert(!block_resize(block, ptr, SIZE_MAX - size));
		ck_assert(!block_resize(block, ptr, area.size + size));
	}
	expect_same(&before, "a refusal");
	end();
}
END_TEST

START_TEST(the_last_grows_to_the_end_and_no_further)
{
	size_t most;
	char *ptr;

	begin_with(3 * MIB, _i);
	most = figures().longest;
	ptr = allocate(100);
	ck_assert(!block_resize(block, ptr, most + 1));
	ck_assert(block_resize(block, ptr, most));
	memset(ptr, 'p', most);
	ck_assert_uint_eq(figures().holes, 0);
	ck_assert(!block_resize(block, ptr, most + 1));
	ck_assert(block_resize(block, ptr, 100));
	ck_assert(all_bytes_are(ptr, 'p', 100));
	give_back(ptr);
	expect_one_hole();
	end();
}
END_TEST

START_TEST(what_it_no_longer_has_is_free)
{
	size_t size;
	char *ptr, *wall;

	begin_with(MIB, _i);
	ptr = allocate(5000);
	wall = allocate(10);
	memset(ptr, 'p', 5000);
	for (size = 5000; size > 0; size -= size / 8 + 1) {
		ck_assert(block_resize(block, ptr, size));
		ck_assert(all_bytes_are(ptr, 'p', size));
		ck_assert_uint_eq(figures().allocated,
				  room_for(block, size) + room_for(block, 10));
		ck_assert_uint_le(figures().holes, 2);
	}
	ck_assert(block_resize(block, ptr, 0));
	ck_assert_int_eq(block_find(block, ptr), BLOCK_ALLOCATED);
	ck_assert_int_eq(block_find(block, ptr + room_for(block, 0)),
			 BLOCK_HOLE);
	give_back(ptr);
	give_back(wall);
	expect_one_hole();
	end();
}
END_TEST

/* ---- zeros ---- */

static void expect_zeros(size_t size)
{
	char *ptr = block_calloc(block, size);

	ck_assert_ptr_nonnull(ptr);
	ck_assert_msg(all_bytes_are(ptr, 0, size), "%zu bytes are not zero",
		      size);
	memset(ptr, 'z', size);
}

START_TEST(zeros_are_had_of_an_area_that_has_other_bytes)
{
	size_t size;

	area_make(&area, MIB, 0);
	area_soil(&area);
	block = area_block(&area, _i, false);
	for (size = 1; size < MIB / 4; size *= 3)
		expect_zeros(size);
	end();
}
END_TEST

START_TEST(zeros_are_had_where_something_was)
{
	size_t size;
	char *ptr;

	for (size = 1; size < MIB / 4; size = size * 3 + 1) {
		begin_with(MIB, _i);
		ptr = allocate(size);
		memset(ptr, 'p', size);
		give_back(ptr);
		expect_zeros(size / 2);
		expect_zeros(size * 2);
		expect_zeros(1);
		end();
	}
}
END_TEST

START_TEST(zeros_are_had_where_one_has_grown)
{
	char *ptr;

	begin_with(MIB, _i);
	ptr = allocate(100);
	ck_assert(block_resize(block, ptr, 10000));
	memset(ptr, 'p', 10000);
	ck_assert(block_resize(block, ptr, 100));
	expect_zeros(20000);
	end();
}
END_TEST

/* Bytes of it that are memory by now. */
static size_t bytes_there(char *ptr, size_t size)
{
	static unsigned char there[64 * MIB / 4096];
	char *from = ptr + (-(uintptr_t)ptr & 4095);
	size_t i, n = (size - 4096) / 4096, count = 0;

	ck_works(mincore(from, n * 4096, there));
	for (i = 0; i < n; i++)
		count += there[i] & 1;
	return count * 4096;
}

/* A large page may have come with what is kept, but no more. */
START_TEST(zeros_that_are_there_cost_no_memory)
{
	char *ptr;

	begin_with(64 * MIB, _i);
	give_back(allocate(100));
	ptr = block_calloc(block, 48 * MIB);
	ck_assert_ptr_nonnull(ptr);
	if (!block->guard)
		ck_assert_uint_lt(bytes_there(ptr, 48 * MIB), 4 * MIB);
	end();
}
END_TEST

/* ---- what a pointer is ---- */

static char *live, *freed, *last;

static void make_picture(enum block_policy policy)
{
	begin_with(MIB, policy);
	live = allocate(100);
	freed = allocate(5000);
	last = allocate(filling(160));
	memset(live, 'l', 100);
	memset(last, 'l', filling(160));
	give_back(freed);
}

static void expect_to_be(void *ptr, enum block_found found)
{
	struct look before = look();

	ck_assert_msg(block_find(block, ptr) == found, "%p is not %d, but %d",
		      ptr, found, block_find(block, ptr));
	if (found == BLOCK_ALLOCATED)
		return;
	ck_assert_int_eq(block_free(block, ptr), found);
	expect_same(&before, "a pointer to nothing");
	ck_assert(all_bytes_are(live, 'l', 100));
	ck_assert(all_bytes_are(last, 'l', filling(160)));
}

START_TEST(the_beginning_of_an_allocation_is_known)
{
	make_picture(_i);
	expect_to_be(live, BLOCK_ALLOCATED);
	expect_to_be(last, BLOCK_ALLOCATED);
	end();
}
END_TEST

START_TEST(what_was_freed_is_a_hole)
{
	make_picture(_i);
	expect_to_be(freed, BLOCK_HOLE);
	give_back(live);
	ck_assert_int_eq(block_free(block, live), BLOCK_HOLE);
	ck_assert_int_eq(block_free(block, freed), BLOCK_HOLE);
	give_back(last);
	ck_assert_int_eq(block_free(block, last), BLOCK_HOLE);
	expect_one_hole();
	end();
}
END_TEST

START_TEST(within_an_allocation_is_inside)
{
	size_t i;

	make_picture(_i);
	for (i = 1; i < room_for(block, 100); i++)
		expect_to_be(live + i, BLOCK_INSIDE);
	for (i = 1; i < 160; i++)
		expect_to_be(last + i, BLOCK_INSIDE);
	end();
}
END_TEST

START_TEST(within_a_hole_is_a_hole)
{
	char *beyond;
	size_t i;

	make_picture(_i);
	beyond = first_served(block) + area.size - figures().kept;
	for (i = 1; i < room_for(block, 5000); i += i / 16 + 1)
		expect_to_be(freed + i, BLOCK_HOLE);
	for (i = 0; i < 100; i++)
		expect_to_be(last + 160 + i, BLOCK_HOLE);
	for (i = 1; i < 2000; i += i / 16 + 1)
		expect_to_be(beyond - i, BLOCK_HOLE);
	end();
}
END_TEST

START_TEST(what_is_not_served_is_elsewhere)
{
	char *beyond, *heap = malloc(1000), here;
	uintptr_t bit;
	size_t i;

	make_picture(_i);
	beyond = first_served(block) + area.size - figures().kept;
	expect_to_be(NULL, BLOCK_ELSEWHERE);
	expect_to_be(&here, BLOCK_ELSEWHERE);
	expect_to_be(heap, BLOCK_ELSEWHERE);
	expect_to_be(block, BLOCK_ELSEWHERE);
	for (i = 0; i < 3000; i += i / 16 + 1)
		expect_to_be(beyond + i, BLOCK_ELSEWHERE);
	for (i = 1; i < 3000; i += i / 16 + 1)
		expect_to_be(first_served(block) - i, BLOCK_ELSEWHERE);
	for (i = 1; i < 100; i++)
		expect_to_be((void *)-i, BLOCK_ELSEWHERE);
	for (bit = (uintptr_t)MIB * 2; bit; bit *= 2)
		expect_to_be((void *)((uintptr_t)live ^ bit), BLOCK_ELSEWHERE);
	free(heap);
	end();
}
END_TEST

/* Past the distance that one word of bits can see. */
START_TEST(within_a_large_one_is_inside)
{
	size_t i;
	char *ptr;

	begin_with(8 * MIB, _i);
	ptr = allocate(6 * MIB);
	for (i = 1; i < 6 * MIB; i = i * 3 + 1) {
		ck_assert_int_eq(block_free(block, ptr + i), BLOCK_INSIDE);
		ck_assert_int_eq(block_free(block, ptr + 6 * MIB - i),
				 BLOCK_INSIDE);
	}
	give_back(ptr);
	for (i = 1; i < 6 * MIB; i = i * 3 + 1)
		ck_assert_int_eq(block_free(block, ptr + i), BLOCK_HOLE);
	expect_one_hole();
	end();
}
END_TEST

/* ---- figures ---- */

START_TEST(figures_say_what_there_is)
{
	struct block_figures new, now;
	char *one, *two;

	begin_with(MIB, _i);
	expect_one_hole();
	new = figures();
	ck_assert_uint_eq(new.peak, 0);
	one = allocate(1000);
	two = allocate(3000);
	now = figures();
	ck_assert_uint_eq(now.blocks, 2);
	ck_assert_uint_eq(now.allocated,
			  room_for(block, 1000) + room_for(block, 3000));
	ck_assert_uint_eq(now.peak, now.allocated);
	ck_assert_uint_eq(now.free, new.free - now.allocated);
	ck_assert_uint_eq(now.kept, new.kept);
	ck_assert_uint_eq(now.longest, filling(now.free));
	give_back(one);
	ck_assert_uint_eq(figures().holes, 2);
	ck_assert_uint_eq(figures().peak, now.peak);
	ck_assert_uint_eq(figures().allocated, room_for(block, 3000));
	give_back(two);
	expect_one_hole();
	end();
}
END_TEST

START_TEST(the_peak_counts_what_grows)
{
	size_t peak;
	char *ptr;

	begin_with(MIB, _i);
	ptr = allocate(100);
	ck_assert(block_resize(block, ptr, 50000));
	peak = figures().peak;
	ck_assert_uint_eq(peak, room_for(block, 50000));
	ck_assert(block_resize(block, ptr, 10));
	ck_assert_uint_eq(figures().peak, peak);
	ck_assert_uint_eq(figures().allocated, room_for(block, 10));
	give_back(block_alloc(block, 1000, 4096));
	ck_assert_uint_eq(figures().peak, peak);
	end();
}
END_TEST

/* ---- all ---- */

#define add_for_each(tcase, test) \
	tcase_add_loop_test(tcase, test, 0, BLOCK_POLICIES)

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "begin");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_policy_has_a_name);
	tcase_add_test(tcase, there_is_no_other_policy);
	add_for_each(tcase, too_small_an_area_is_refused);
	add_for_each(tcase, a_misaligned_area_is_refused);
	add_for_each(tcase, an_area_beyond_all_addresses_is_refused);
	tcase_add_loop_test(tcase, more_than_best_fit_can_number_is_refused,
			    BLOCK_AOBF, BLOCK_POLICIES);
	add_for_each(tcase, the_largest_is_served_to_its_end);
	add_for_each(tcase, what_is_around_it_stays);
	add_for_each(tcase, all_of_it_is_served_or_kept);
	add_for_each(tcase, nothing_is_served_beyond_it);
	add_for_each(tcase, three_percent_are_kept_at_most);

	tcase = stage_case(suite, "allocate");
	tcase_set_timeout(tcase, 60);
	add_for_each(tcase, an_allocation_is_at_least_as_large_as_asked);
	add_for_each(tcase, those_of_no_size_have_places_of_their_own);
	add_for_each(tcase, what_is_too_large_is_refused);
	add_for_each(tcase, too_great_an_alignment_is_refused);
	add_for_each(tcase, the_longest_is_what_can_be_had);
	add_for_each(tcase, alignment_costs_nothing_that_is_not_free_again);

	tcase = stage_case(suite, "fill");
	tcase_set_timeout(tcase, 60);
	add_for_each(tcase, full_it_is_as_new_when_all_is_freed);
	add_for_each(tcase, what_is_freed_when_full_can_be_had_again);

	tcase = stage_case(suite, "policy");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, the_hole_is_what_the_policy_says, 0,
			    (int)SCALES * BLOCK_POLICIES);
	tcase_add_loop_test(tcase, equal_holes_are_taken_upwards, BLOCK_AOFF,
			    BLOCK_AOBF + 1);

	tcase = stage_case(suite, "resize");
	add_for_each(tcase, it_grows_into_the_hole_behind);
	add_for_each(tcase, it_does_not_grow_over_another);
	add_for_each(tcase, the_last_grows_to_the_end_and_no_further);
	add_for_each(tcase, what_it_no_longer_has_is_free);

	tcase = stage_case(suite, "zeros");
	add_for_each(tcase, zeros_are_had_of_an_area_that_has_other_bytes);
	add_for_each(tcase, zeros_are_had_where_something_was);
	add_for_each(tcase, zeros_are_had_where_one_has_grown);
	add_for_each(tcase, zeros_that_are_there_cost_no_memory);

	tcase = stage_case(suite, "pointers");
	add_for_each(tcase, the_beginning_of_an_allocation_is_known);
	add_for_each(tcase, what_was_freed_is_a_hole);
	add_for_each(tcase, within_an_allocation_is_inside);
	add_for_each(tcase, within_a_hole_is_a_hole);
	add_for_each(tcase, what_is_not_served_is_elsewhere);
	add_for_each(tcase, within_a_large_one_is_inside);

	tcase = stage_case(suite, "figures");
	add_for_each(tcase, figures_say_what_there_is);
	add_for_each(tcase, the_peak_counts_what_grows);
}

int main(void)
{
	return stage_run("block", fill);
}
