/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of each size: all up to half a page, then what lies around each power
 * of two and its quarters, where classes of sizes meet, then doubles.  A block
 * has all the bytes that were asked for, touches none beside it, and is one
 * block to its task whatever became of its size.
 */
#include "config.h"

#include "tests/stage.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EACH	  2100		      /* every size up to this one */
#define SIZES	  (EACH + 1 + 6 * 12) /* and the edges beyond it */
#define LAST_EDGE ((size_t)65536)
#define HUGE_ONE  ((size_t)256 << 20)

static size_t sizes[SIZES];
static size_t count;

/* The first that does not hold, with its size; Check is slow where all do. */
#define holds(condition, size)                                   \
	do {                                                     \
		if (!(condition))                                \
			ck_abort_msg("%s: size %zu", #condition, \
				     (size_t)(size));            \
	} while (0)

/* ---- the sizes ---- */

/* In order, and each once. */
static void add_size(size_t size)
{
	if (count && size <= sizes[count - 1])
		return;
	ck_assert_uint_lt(count, SIZES);
	sizes[count++] = size;
}

static void list_sizes(void)
{
	size_t power, quarters, size;

	count = 0;
	for (size = 0; size <= EACH; size++)
		add_size(size);
	for (power = 2048; power <= LAST_EDGE; power *= 2)
		for (quarters = 4; quarters < 8; quarters++) {
			add_size(power / 4 * quarters - 1);
			add_size(power / 4 * quarters);
			add_size(power / 4 * quarters + 1);
		}
}

/* act(size) for each of them, in a task of its own each time. */
static void (*act_with)(size_t size);
static size_t size_now;

static void act_now(void)
{
	act_with(size_now);
}

static void with_each_size(void (*act)(size_t size))
{
	size_t i;

	list_sizes();
	act_with = act;
	for (i = 0; i < count; i++) {
		size_now = sizes[i];
		in_task(act_now);
	}
}

/* In one task, which has seen the others. */
static void with_all_sizes(void (*act)(size_t size))
{
	size_t i;

	list_sizes();
	for (i = 0; i < count; i++)
		act(sizes[i]);
}

/* ---- blocks ---- */

static size_t blocks(void)
{
	struct reclaim_task_info info;

	ck_works(reclaim_task_info(reclaim_self(), &info));
	return info.blocks;
}

static bool is_filled(const unsigned char *block, int with, size_t size)
{
	/* All bytes are as the first, and that is as it should be. */
	return size == 0 ||
	       (block[0] == with && memcmp(block, block + 1, size - 1) == 0);
}

static unsigned char *filled(size_t size, int with)
{
	unsigned char *block = save_malloc(size);

	holds(block != NULL, size);
	holds((uintptr_t)block % 16 == 0, size);
	memset(block, with, size);
	return block;
}

static void free_filled(unsigned char *block, int with, size_t size)
{
	holds(is_filled(block, with, size), size);
	save_free(block);
}

/* ---- each size ---- */

static void use_three(size_t size)
{
	unsigned char *left, *one, *right;

	left = filled(size, 'l');
	one = filled(size, '1');
	right = filled(size, 'r');
	holds(left != one && one != right && left != right, size);
	holds(is_filled(one, '1', size), size);
	holds(blocks() == 3, size);
	save_free(one);
	holds(blocks() == 2, size);
	one = filled(size, '2');
	holds(blocks() == 3, size);
	free_filled(left, 'l', size);
	free_filled(one, '2', size);
	free_filled(right, 'r', size);
	holds(blocks() == 0, size);
}

START_TEST(each_size_is_the_first_of_a_task)
{
	with_each_size(use_three);
}
END_TEST

static void use_three_of_all(void)
{
	with_all_sizes(use_three);
	/* Once more, of what is there. */
	with_all_sizes(use_three);
}

START_TEST(each_size_follows_the_others)
{
	in_task(use_three_of_all);
}
END_TEST

static unsigned char *kept[SIZES];

static int letter_of(size_t i)
{
	return (int)('A' + i % 61);
}

static void keep_all(void)
{
	size_t i;

	list_sizes();
	for (i = 0; i < count; i++)
		kept[i] = filled(sizes[i], letter_of(i));
	holds(blocks() == count, count);
	for (i = 0; i < count; i += 2)
		free_filled(kept[i], letter_of(i), sizes[i]);
	holds(blocks() == count / 2, count);
	for (i = 0; i < count; i += 2)
		kept[i] = filled(sizes[i], letter_of(i));
	for (i = count; i-- > 0;)
		free_filled(kept[i], letter_of(i), sizes[i]);
	holds(blocks() == 0, count);
}

START_TEST(all_sizes_live_side_by_side)
{
	in_task(keep_all);
}
END_TEST

/* ---- more of one size than fit where the first ones are ---- */

#define MANY  300
#define BYTES ((size_t)1 << 20) /* of one size, at most */

static void use_many(size_t size)
{
	size_t i, many = size * MANY > BYTES ? BYTES / size : MANY;

	for (i = 0; i < many; i++)
		kept[i] = filled(size, letter_of(i));
	for (i = 0; i < many; i += 3)
		free_filled(kept[i], letter_of(i), size);
	holds(blocks() == many - (many + 2) / 3, size);
	for (i = 0; i < many; i += 3)
		kept[i] = filled(size, letter_of(i + 1));
	holds(blocks() == many, size);
	for (i = 0; i < many; i++)
		free_filled(kept[i], letter_of(i % 3 ? i : i + 1), size);
	holds(blocks() == 0, size);
}

START_TEST(many_of_one_size_are_apart)
{
	with_each_size(use_many);
}
END_TEST

/* ---- zeros ---- */

#define DIRTY 8

static void zero_after_dirt(size_t size)
{
	size_t i, n;

	for (n = 1; n <= 4; n *= 2) {
		for (i = 0; i < DIRTY; i++)
			kept[i] = filled(size, 0xff);
		for (i = 0; i < DIRTY; i++)
			save_free(kept[i]);
		for (i = 0; i < DIRTY; i++) {
			kept[i] = save_calloc(n, size / n);
			holds(kept[i] != NULL, size);
			holds(is_filled(kept[i], 0, size / n * n), size);
			memset(kept[i], 0xff, size / n * n);
		}
		holds(blocks() == DIRTY, size);
		for (i = 0; i < DIRTY; i++)
			free_filled(kept[i], 0xff, size / n * n);
		holds(blocks() == 0, size);
	}
}

static void zero_all_after_dirt(void)
{
	with_all_sizes(zero_after_dirt);
}

START_TEST(calloc_gives_zeros_where_there_was_dirt)
{
	in_task(zero_all_after_dirt);
	with_each_size(zero_after_dirt);
}
END_TEST

/* What a task left is another's now. */
static void leave_dirt(size_t size)
{
	filled(size, 0xff);
	filled(size, 0xff);
}

static void find_zeros(size_t size)
{
	unsigned char *block = save_calloc(1, size);

	holds(is_filled(block, 0, size), size);
}

START_TEST(calloc_gives_zeros_where_a_task_ended)
{
	size_t i;

	list_sizes();
	for (i = 0; i < count; i++) {
		size_now = sizes[i];
		act_with = leave_dirt;
		in_task(act_now);
		act_with = find_zeros;
		in_task(act_now);
	}
}
END_TEST

/* ---- realloc ---- */

/* One that has `from` bytes of what it was filled with. */
static unsigned char *resized(unsigned char *block, size_t from, size_t to,
			      int with)
{
	block = save_realloc(block, to);
	holds(block != NULL, to);
	holds((uintptr_t)block % 16 == 0, to);
	holds(is_filled(block, with, from < to ? from : to), to);
	memset(block, with, to);
	holds(blocks() == 2, to);
	return block;
}

/* Two at once, so that neither can grow where it is for ever. */
static void go_through_all(size_t stride)
{
	unsigned char *one = filled(1, '1'), *two = filled(1, '2');
	size_t i, before = 1;

	for (i = 1; i < count; i += stride) {
		one = resized(one, before, sizes[i], '1');
		two = resized(two, before, sizes[i], '2');
		before = sizes[i];
	}
	for (i -= stride; i > stride; i -= stride) {
		two = resized(two, before, sizes[i], '2');
		one = resized(one, before, sizes[i], '1');
		before = sizes[i];
	}
	free_filled(one, '1', before);
	free_filled(two, '2', before);
	holds(blocks() == 0, before);
}

static void go_through_all_sizes(void)
{
	list_sizes();
	go_through_all(1);
	go_through_all(7);
	go_through_all(100);
}

START_TEST(realloc_keeps_contents_through_all_sizes)
{
	in_task(go_through_all_sizes);
}
END_TEST

static void resize_from_each(void)
{
	static const size_t others[] = {1, 40, 512, 4000, 33000, 400000};
	unsigned char *other = filled(10, 'o');
	size_t i, j;

	list_sizes();
	for (i = 1; i < count; i++)
		for (j = 0; j < sizeof(others) / sizeof(others[0]); j++) {
			unsigned char *one = filled(sizes[i], '1');

			one = resized(one, sizes[i], others[j], '1');
			one = resized(one, others[j], sizes[i], '1');
			free_filled(one, '1', sizes[i]);
		}
	free_filled(other, 'o', 10);
}

START_TEST(realloc_jumps_from_each_size)
{
	in_task(resize_from_each);
}
END_TEST

/* ---- alignments ---- */

static void *aligned(bool posix, size_t align, size_t size)
{
	void *block = NULL;

	if (!posix)
		return save_aligned_alloc(align, size);
	ck_assert_int_eq(save_posix_memalign(&block, align, size), 0);
	return block;
}

static void use_aligned(size_t align, size_t size, bool posix)
{
	unsigned char *left, *one, *right;

	left = aligned(posix, align, size);
	one = aligned(!posix, align, size);
	right = filled(size, 'r');
	holds(left && (uintptr_t)left % align == 0, align);
	holds(one && (uintptr_t)one % align == 0, align);
	memset(left, 'l', size);
	memset(one, '1', size);
	holds(blocks() == 3, size);
	one = save_realloc(one, size + 1000);
	holds(one && is_filled(one, '1', size), size);
	memset(one, '1', size + 1000);
	holds(blocks() == 3, size);
	free_filled(left, 'l', size);
	free_filled(one, '1', size + 1000);
	free_filled(right, 'r', size);
	holds(blocks() == 0, size);
}

static void use_all_aligned(void)
{
	static const size_t some[] = {0,    1,	  16,	17,    100,   512,
				      1000, 4096, 5000, 32768, 40000, 300000};
	size_t align, i;

	for (align = 16; align <= (size_t)1 << 20; align *= 2)
		for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
			use_aligned(align, some[i], false);
			use_aligned(align, some[i], true);
		}
}

START_TEST(every_alignment_is_kept)
{
	in_task(use_all_aligned);
	use_all_aligned();
}
END_TEST

/* ---- what is too large to be written ---- */

static void touch(unsigned char *block, size_t size, int with)
{
	holds(block != NULL, size);
	holds((uintptr_t)block % 16 == 0, size);
	block[0] = (unsigned char)with;
	block[size - 1] = (unsigned char)with;
}

static void free_touched(unsigned char *block, size_t size, int with)
{
	holds(block[0] == with && block[size - 1] == with, size);
	save_free(block);
}

static void touch_three(size_t size)
{
	unsigned char *left = save_malloc(size), *one, *right;

	touch(left, size, 'l');
	one = save_calloc(1, size);
	holds(one && one[0] == 0 && one[size - 1] == 0, size);
	touch(one, size, '1');
	right = save_malloc(size);
	touch(right, size, 'r');
	holds(blocks() == 3, size);
	one = save_realloc(one, size + size / 2);
	holds(one && one[0] == '1' && one[size - 1] == '1', size);
	touch(one, size + size / 2, '2');
	one = save_realloc(one, size);
	holds(one && one[0] == '2', size);
	touch(one, size, '1');
	holds(blocks() == 3, size);
	free_touched(left, size, 'l');
	free_touched(one, size, '1');
	free_touched(right, size, 'r');
	holds(blocks() == 0, size);
}

static void touch_large_ones(void)
{
	size_t size;

	for (size = LAST_EDGE; size <= HUGE_ONE; size *= 2) {
		touch_three(size - 1);
		touch_three(size);
		touch_three(size + 1);
	}
}

START_TEST(large_ones_have_a_first_and_a_last_byte)
{
	in_task(touch_large_ones);
}
END_TEST

/* They are given back as well where nobody frees them. */
static void leave_large_ones(void)
{
	size_t size;

	for (size = LAST_EDGE; size <= HUGE_ONE; size *= 2)
		touch(save_malloc(size), size, 'x');
}

START_TEST(large_ones_go_with_the_task)
{
	int i;

	for (i = 0; i < 30; i++)
		in_task(leave_large_ones);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "sizes");

	tcase_add_test(tcase, each_size_is_the_first_of_a_task);
	tcase_add_test(tcase, each_size_follows_the_others);
	tcase_add_test(tcase, all_sizes_live_side_by_side);
	tcase_add_test(tcase, many_of_one_size_are_apart);
	tcase = stage_case(suite, "zeros");
	tcase_add_test(tcase, calloc_gives_zeros_where_there_was_dirt);
	tcase_add_test(tcase, calloc_gives_zeros_where_a_task_ended);
	tcase = stage_case(suite, "realloc");
	tcase_add_test(tcase, realloc_keeps_contents_through_all_sizes);
	tcase_add_test(tcase, realloc_jumps_from_each_size);
	tcase = stage_case(suite, "alignments");
	tcase_add_test(tcase, every_alignment_is_kept);
	tcase = stage_case(suite, "large");
	tcase_add_test(tcase, large_ones_have_a_first_and_a_last_byte);
	tcase_add_test(tcase, large_ones_go_with_the_task);
}

int main(void)
{
	return stage_run("heap_sizes", fill);
}
