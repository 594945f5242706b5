/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a task: what malloc and its kin promise, whose a block is,
 * who may free it, and how much there may be.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reclaim/memory_private.h"
#include "reclaim/tools_private.h"

static reclaim_tid task, other;

static struct reclaim_task_info info(reclaim_tid tid)
{
	struct reclaim_task_info found;

	ck_works(reclaim_task_info(tid, &found));
	return found;
}

static size_t bytes(void)
{
	return info(reclaim_self()).bytes;
}

static size_t blocks(void)
{
	return info(reclaim_self()).blocks;
}

/*
 * So much was asked for, in a few blocks: each may be a quarter larger, and 48
 * at least where tools watch.
 */
#define ck_holds(found, asked)                                          \
	do {                                                            \
		size_t holds = (found), wanted = (asked);               \
                                                                        \
		ck_assert_uint_ge(holds, wanted);                       \
		ck_assert_uint_le(holds, wanted + wanted / 4 + 6 * 48); \
	} while (0)

/* Each test works for `task`, and has another beside it. */
static void enter_task(void)
{
	task = task_called("task");
	other = task_called("other");
	work_for(task);
}

static void end_tasks(void)
{
	struct reclaim_task_info found;

	if (reclaim_self() == task)
		work_no_longer();
	if (reclaim_task_info(task, &found) == 0)
		end_task(task);
	end_task(other);
	set_reclaim_free_function(NULL);
}

/* What a compiler would otherwise refuse, knowing better. */
static size_t huge(size_t less)
{
	volatile size_t most = SIZE_MAX;

	return most - less;
}

static bool is_filled(const char *block, char with, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (block[i] != with)
			return false;
	return true;
}

/* ---- as malloc(3) says ---- */

START_TEST(malloc_gives_what_can_be_written)
{
	size_t size;

	for (size = 1; size < 300000; size = size * 3 + 1) {
		char *block = save_malloc(size);

		ck_assert_ptr_nonnull(block);
		memset(block, 'm', size);
		ck_assert(is_filled(block, 'm', size));
		save_free(block);
	}
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(every_block_is_aligned_for_anything)
{
	size_t size;

	for (size = 0; size < 300; size++) {
		void *block = save_malloc(size), *zeroed = save_calloc(1, size);

		ck_assert_uint_eq((uintptr_t)block % HEAP_ALIGN, 0);
		ck_assert_uint_eq((uintptr_t)zeroed % HEAP_ALIGN, 0);
		block = save_realloc(block, size + 40);
		ck_assert_uint_eq((uintptr_t)block % HEAP_ALIGN, 0);
	}
}
END_TEST

START_TEST(blocks_of_no_size_are_different)
{
	void *a = save_malloc(0), *b = save_malloc(0);
	void *c = save_calloc(0, 10), *d = save_calloc(10, 0);
	void *e = save_realloc(NULL, 0), *f = save_reallocarray(NULL, 0, 0);
	void *all[] = {a, b, c, d, e, f};
	size_t i, j;

	for (i = 0; i < 6; i++) {
		ck_assert_ptr_nonnull(all[i]);
		for (j = 0; j < i; j++)
			ck_assert_ptr_ne(all[i], all[j]);
	}
	ck_assert_uint_eq(blocks(), 6);
	ck_holds(bytes(), 0);
	for (i = 0; i < 6; i++)
		save_free(all[i]);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(calloc_gives_zeros)
{
	char *block;
	int i;

	for (i = 0; i < 20; i++) {
		block = save_malloc(1000);
		memset(block, 'x', 1000);
		save_free(block);
		block = save_calloc(10, 100);
		ck_assert(is_filled(block, 0, 1000));
		memset(block, 'x', 1000);
		save_free(block);
	}
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
	void *block = save_strdup("stays");

	ck_fails(save_calloc(huge(0), 2), NULL, ENOMEM);
	ck_fails(save_calloc(2, huge(0) / 2 + 1), NULL, ENOMEM);
	ck_fails(save_reallocarray(NULL, huge(0) / 2 + 1, 2), NULL, ENOMEM);
	ck_fails(save_reallocarray(block, huge(0), huge(0)), NULL, ENOMEM);
	ck_assert_str_eq(block, "stays");
	ck_assert_uint_eq(blocks(), 1);
}
END_TEST

START_TEST(sizes_that_nobody_has_are_refused)
{
	void *block = save_strdup("stays");

	ck_fails(save_malloc(huge(0)), NULL, ENOMEM);
	ck_fails(save_malloc(huge(4096)), NULL, ENOMEM);
	ck_fails(save_malloc(huge(0) / 2), NULL, ENOMEM);
	ck_fails(save_calloc(1, huge(0)), NULL, ENOMEM);
	ck_fails(save_realloc(block, huge(0)), NULL, ENOMEM);
	ck_fails(save_realloc(block, huge(64)), NULL, ENOMEM);
	ck_fails(save_aligned_alloc(64, huge(10)), NULL, ENOMEM);
	ck_assert_str_eq(block, "stays");
	ck_assert_uint_eq(blocks(), 1);
	ck_holds(bytes(), 6);
	ck_holds(info(task).peak_bytes, 6);
}
END_TEST

START_TEST(realloc_keeps_what_was_there)
{
	char *block = NULL;
	size_t size;

	for (size = 1; size < 100000; size *= 2) {
		block = save_realloc(block, size);
		ck_assert(is_filled(block, 'r', size / 2));
		memset(block, 'r', size);
	}
	for (; size > 1; size /= 3) {
		block = save_realloc(block, size);
		ck_assert(is_filled(block, 'r', size < 65536 ? size : 65536));
	}
	ck_assert_uint_eq(blocks(), 1);
	save_free(block);
	ck_assert_uint_eq(bytes(), 0);
}
END_TEST

/* From 4 KiB on a block that grew has room for that. */
START_TEST(a_block_that_grows_stays_where_it_is)
{
	char *block = save_realloc(save_malloc(3000), 4096), *moved;
	size_t size, times = 0;

	for (size = 4128; size <= 65536 - 64; size += 32) {
		moved = save_realloc(block, size);
		times += moved != block;
		block = moved;
	}
	ck_assert_ptr_nonnull(block);
	/* With libc's memory, or where tools are told, it may move. */
	if (arena_has(block) && !tools_told)
		ck_assert_uint_le(times, 1);
}
END_TEST

START_TEST(realloc_to_nothing_frees)
{
	void *block = save_malloc(10);

	ck_assert_ptr_null(save_realloc(block, 0));
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(reallocarray_multiplies)
{
	int *numbers = save_reallocarray(NULL, 10, sizeof(int));

	numbers[9] = 9;
	ck_holds(bytes(), 40);
	numbers = save_reallocarray(numbers, 1000, sizeof(int));
	numbers[999] = 999;
	ck_assert_int_eq(numbers[9], 9);
	ck_holds(bytes(), 4000);
}
END_TEST

START_TEST(free_of_nothing_is_nothing)
{
	errno = 77;
	save_free(NULL);
	save_cfree(NULL);
	ck_assert_int_eq(errno, 77);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(free_preserves_errno)
{
	void *small = save_malloc(10), *large = save_malloc(10000000);

	errno = 77;
	save_free(small);
	save_free(large);
	ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(cfree_is_free)
{
	save_cfree(save_malloc(10));
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(aligned_alloc_aligns)
{
	size_t align, size;

	for (align = 1; align <= 65536; align *= 2)
		for (size = 0; size < 200; size += 37) {
			char *block = save_aligned_alloc(align, size);

			ck_assert_ptr_nonnull(block);
			ck_assert_uint_eq((uintptr_t)block % align, 0);
			memset(block, 'a', size);
			block = save_realloc(block, size + 100);
			ck_assert(is_filled(block, 'a', size));
			save_free(block);
		}
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(no_alignment_is_refused)
{
	ck_fails(save_aligned_alloc(0, 10), NULL, EINVAL);
	ck_fails(save_aligned_alloc(3, 10), NULL, EINVAL);
	ck_fails(save_aligned_alloc(48, 10), NULL, EINVAL);
}
END_TEST

START_TEST(posix_memalign_returns_its_error)
{
	void *block = &block, *before = block;

	errno = 77;
	ck_assert_int_eq(save_posix_memalign(&block, 3, 10), EINVAL);
	ck_assert_int_eq(save_posix_memalign(&block, 4, 10), EINVAL);
	ck_assert_int_eq(save_posix_memalign(&block, 0, 10), EINVAL);
	ck_assert_int_eq(save_posix_memalign(&block, 64, huge(0)), ENOMEM);
	ck_assert_ptr_eq(block, before);
	ck_assert_int_eq(save_posix_memalign(&block, 4096, 10), 0);
	ck_assert_int_eq(errno, 77);
	ck_assert_uint_eq((uintptr_t)block % 4096, 0);
	save_free(block);
}
END_TEST

START_TEST(strdup_and_strndup_copy)
{
	char *whole = save_strdup("reclaim"), *part = save_strndup("abc", 2);
	char *short_one = save_strndup("abc", 200), *empty = save_strdup("");

	ck_assert_str_eq(whole, "reclaim");
	ck_assert_str_eq(part, "ab");
	ck_assert_str_eq(short_one, "abc");
	ck_assert_str_eq(empty, "");
	ck_assert_uint_eq(blocks(), 4);
	ck_holds(bytes(), 8 + 3 + 4 + 1);
}
END_TEST

/* ---- figures and limits ---- */

START_TEST(the_peak_stays)
{
	void *first = save_malloc(1000), *second = save_malloc(500);

	save_free(first);
	first = save_malloc(200);
	ck_holds(info(task).peak_bytes, 1500);
	first = save_realloc(first, 2000);
	ck_holds(info(task).peak_bytes, 2500);
	ck_holds(bytes(), 2500);
	save_free(first);
	save_free(second);
	ck_holds(info(task).peak_bytes, 2500);
	ck_assert_uint_eq(bytes(), 0);
}
END_TEST

static void with_limit(size_t most, void (*act)(void))
{
	struct reclaim_task_opts opts = {.max_bytes = most};

	in_task_with(&opts, act);
}

static void fill_up(void)
{
	void *block = save_malloc(60);

	ck_assert_ptr_nonnull(block);
	ck_fails(save_malloc(41), NULL, ENOMEM);
	ck_fails(save_calloc(6, 7), NULL, ENOMEM);
	ck_fails(save_aligned_alloc(64, 41), NULL, ENOMEM);
	ck_fails(save_strdup("12345678901234567890123456789012345678901"), NULL,
		 ENOMEM);
	ck_assert_uint_eq(blocks(), 1);
	ck_assert_ptr_nonnull(save_malloc(40));
	ck_fails(save_malloc(1), NULL, ENOMEM);
	ck_assert_ptr_nonnull(save_malloc(0));
	save_free(block);
	ck_assert_ptr_nonnull(save_malloc(60));
	ck_assert_uint_eq(bytes(), 100);
}

START_TEST(beyond_the_limit_there_is_none)
{
	with_limit(100, fill_up);
}
END_TEST

static void resize_to_the_limit(void)
{
	char *block = save_malloc(60);

	memset(block, 'x', 60);
	ck_fails(save_realloc(block, 101), NULL, ENOMEM);
	ck_assert(is_filled(block, 'x', 60));
	ck_assert_uint_eq(bytes(), 60);
	block = save_realloc(block, 100);
	ck_assert_ptr_nonnull(block);
	block = save_realloc(block, 10);
	ck_assert_ptr_nonnull(block);
	ck_assert_ptr_nonnull(save_malloc(90));
}

static void ask_for_what_nobody_has(void)
{
	ck_assert_ptr_nonnull(save_malloc(100));
	ck_fails(save_malloc(huge(0) / 4), NULL, ENOMEM);
	ck_assert_uint_eq(info(reclaim_self()).peak_bytes, 100);
}

START_TEST(what_was_not_got_is_no_peak)
{
	with_limit(SIZE_MAX / 2, ask_for_what_nobody_has);
}
END_TEST

START_TEST(a_block_grows_to_the_limit)
{
	with_limit(100, resize_to_the_limit);
}
END_TEST

static void allocate_huge(void)
{
	ck_assert_ptr_nonnull(save_malloc(1));
	ck_fails(save_malloc(huge(0)), NULL, ENOMEM);
	ck_fails(save_malloc(huge(1)), NULL, ENOMEM);
	ck_assert_uint_eq(bytes(), 1);
}

START_TEST(a_limit_does_not_overflow)
{
	with_limit(100, allocate_huge);
	with_limit(SIZE_MAX, allocate_huge);
}
END_TEST

/* ---- whose it is ---- */

START_TEST(memory_goes_with_the_task)
{
	int i;

	for (i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(save_malloc((size_t)i));
	ck_assert_ptr_nonnull(save_aligned_alloc(4096, 10));
	ck_assert_ptr_nonnull(save_malloc(10000000));
	ck_assert_uint_eq(blocks(), 1002);
}
END_TEST

static void *allocated_below;

static void allocate(void)
{
	allocated_below = save_malloc(10);
}

static reclaim_tid child_that(void (*act)(void))
{
	struct reclaim_task_opts opts = {.name = "child"};
	reclaim_tid tid = reclaim_task_new(&opts);

	work_for(tid);
	act();
	work_no_longer();
	return tid;
}

START_TEST(an_ancestor_may_free_and_resize)
{
	reclaim_tid child = child_that(allocate);

	allocated_below = save_realloc(allocated_below, 100);
	ck_assert_ptr_nonnull(allocated_below);
	ck_holds(info(child).bytes, 100);
	ck_assert_uint_eq(bytes(), 0);
	save_free(allocated_below);
	ck_assert_uint_eq(info(child).blocks, 0);
	ck_assert_uint_eq(reports(), 0);
	end_task(child);
}
END_TEST

static void *allocated_above;

static void resize_and_free_above(void)
{
	allocated_above = save_realloc(allocated_above, 100);
	ck_assert_ptr_nonnull(allocated_above);
	ck_holds(info(task).bytes, 100);
	ck_assert_uint_eq(bytes(), 0);
	save_free(allocated_above);
	ck_assert_uint_eq(info(task).blocks, 0);
}

START_TEST(a_descendant_may_free_and_resize)
{
	allocated_above = save_malloc(10);
	end_task(child_that(resize_and_free_above));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static void resize_above_to_100(void)
{
	allocated_above = save_realloc(allocated_above, 100);
	ck_assert_ptr_nonnull(allocated_above);
}

START_TEST(what_a_descendant_resized_stays)
{
	allocated_above = save_malloc(10);
	end_task(child_that(resize_above_to_100));
	memset(allocated_above, 'x', 100);
	ck_holds(bytes(), 100);
}
END_TEST

START_TEST(a_stranger_may_not_free)
{
	void *block = save_strdup("mine");

	work_for(other);
	errno = 0;
	save_free(block);
	work_no_longer();
	expect_stranger("free", "task", "other");
	ck_assert_str_eq(block, "mine");
	ck_assert_uint_eq(blocks(), 1);
	save_free(block);
	ck_assert_uint_eq(reports(), 1);
}
END_TEST

START_TEST(a_stranger_may_not_resize)
{
	char *block = save_strdup("mine");

	work_for(other);
	ck_fails(save_realloc(block, 100), NULL, EINVAL);
	ck_fails(save_realloc(block, 0), NULL, EINVAL);
	work_no_longer();
	ck_assert_uint_eq(reports(), 2);
	ck_assert_ptr_nonnull(strstr(last_report(), "realloc"));
	ck_assert_str_eq(block, "mine");
}
END_TEST

START_TEST(a_plain_block_is_passed_on)
{
	char *block = malloc(10);

	strcpy(block, "plain");
	block = save_realloc(block, 100);
	ck_assert_str_eq(block, "plain");
	ck_assert_uint_eq(blocks(), 0);
	save_free(block);
	save_free(strdup("plain"));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(plain_memory_is_not_tracked)
{
	char *block = plain_malloc(10);

	block = plain_realloc(block, 20);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq(blocks(), 0);
	plain_free(block);
}
END_TEST

/* ---- giving ---- */

START_TEST(a_gift_goes_with_its_new_owner)
{
	char *block = save_strdup("gift");

	block = reclaim_give(block, other);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq(bytes(), 0);
	ck_holds(info(other).bytes, 5);
	ck_holds(info(other).peak_bytes, 5);
	work_no_longer();
	end_task(task);
	ck_assert_str_eq(block, "gift");
	work_for(other);
	save_free(block);
	work_no_longer();
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(a_gift_is_no_longer_the_givers)
{
	char *block = reclaim_give(save_strdup("gift"), other);

	save_free(block);
	ck_assert_uint_eq(reports(), 1);
	ck_assert_uint_eq(info(other).blocks, 1);
	ck_fails(reclaim_give(block, task), NULL, EPERM);
}
END_TEST

START_TEST(only_a_live_block_is_given)
{
	char *plain = malloc(10), *block = save_malloc(10);
	int local;

	ck_fails(reclaim_give(plain, other), NULL, EINVAL);
	ck_fails(reclaim_give(&local, other), NULL, EINVAL);
	ck_fails(reclaim_give(block + 1, other), NULL, EINVAL);
	ck_fails(reclaim_give(NULL, other), NULL, EINVAL);
	free(plain);
}
END_TEST

START_TEST(a_receiver_has_to_exist)
{
	reclaim_tid gone = task_called("gone");
	char *block = save_strdup("stays");

	end_task(gone);
	ck_fails(reclaim_give(block, gone), NULL, ESRCH);
	ck_assert_str_eq(block, "stays");
	ck_assert_uint_eq(blocks(), 1);
}
END_TEST

START_TEST(a_large_gift_counts_as_it_was_asked_for)
{
	struct reclaim_task_opts opts = {.max_bytes = (size_t)1 << 30};
	reclaim_tid limited = reclaim_task_new(&opts);
	char *block = save_malloc((size_t)32 << 20);

	block[0] = block[((size_t)32 << 20) - 1] = 'g';
	block = reclaim_give(block, limited);
	ck_assert_ptr_nonnull(block);
	ck_assert_int_eq(block[((size_t)32 << 20) - 1], 'g');
	ck_assert_uint_eq(info(limited).bytes, (size_t)32 << 20);
	ck_assert_uint_eq(blocks(), 0);
	end_task(limited);
}
END_TEST

START_TEST(a_receiver_may_be_full)
{
	struct reclaim_task_opts opts = {.max_bytes = 40};
	reclaim_tid full = reclaim_task_new(&opts);
	void *block = save_malloc(32), *more = save_malloc(16);

	block = reclaim_give(block, full);
	ck_assert_ptr_nonnull(block);
	ck_fails(reclaim_give(more, full), NULL, ENOMEM);
	ck_holds(bytes(), 16);
	ck_assert_uint_eq(info(full).bytes, 32);
	/* To itself it needs no room. */
	ck_assert_ptr_nonnull(reclaim_give(block, full));
	end_task(full);
}
END_TEST

/* ---- allocators of the caller's ---- */

static int allocated, resized, freed;

static void *my_malloc(size_t size)
{
	allocated++;
	return malloc(size);
}

static void *my_calloc(size_t n, size_t size)
{
	allocated++;
	return calloc(n, size);
}

static void *my_realloc(void *ptr, size_t size)
{
	resized++;
	return realloc(ptr, size);
}

static void my_free(void *ptr)
{
	freed++;
	free(ptr);
}

static void *no_malloc(size_t size)
{
	(void)size;
	return NULL;
}

static void *no_realloc(void *ptr, size_t size)
{
	(void)ptr;
	(void)size;
	return NULL;
}

static void forget_calls(void)
{
	allocated = resized = freed = 0;
	set_reclaim_free_function(my_free);
}

START_TEST(the_callers_allocator_is_used)
{
	char *block = save_malloc2(10, my_malloc);
	char *zeros = save_calloc2(10, 10, my_calloc);

	ck_assert_int_eq(allocated, 2);
	ck_assert(is_filled(zeros, 0, 100));
	ck_holds(bytes(), 110);
	strcpy(block, "two");
	block = save_realloc2(block, 1000, my_realloc);
	ck_assert_str_eq(block, "two");
	ck_assert_int_eq(resized, 1);
	ck_holds(bytes(), 1100);
	save_free2(block, my_free);
	save_free2(zeros, my_free);
	ck_assert_int_eq(freed, 2);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(what_is_left_goes_to_the_free_function)
{
	ck_assert_ptr_nonnull(save_malloc2(10, my_malloc));
	ck_assert_ptr_nonnull(save_calloc2(10, 10, my_calloc));
	ck_assert_ptr_nonnull(save_realloc2(NULL, 10, my_realloc));
	ck_assert_ptr_nonnull(save_malloc(10));
	work_no_longer();
	end_task(task);
	ck_assert_int_eq(freed, 3);
}
END_TEST

START_TEST(without_a_free_function_it_goes_to_free)
{
	set_reclaim_free_function(NULL);
	ck_assert_ptr_nonnull(save_malloc2(10, my_malloc));
	work_no_longer();
	end_task(task);
	ck_assert_int_eq(freed, 0);
}
END_TEST

START_TEST(an_allocator_may_fail)
{
	char *block = save_malloc2(10, my_malloc);

	strcpy(block, "stays");
	ck_assert_ptr_null(save_malloc2(10, no_malloc));
	ck_assert_ptr_null(save_realloc2(NULL, 10, no_realloc));
	ck_assert_ptr_null(save_realloc2(block, 100, no_realloc));
	ck_assert_ptr_null(save_realloc2(block, 5, no_realloc));
	ck_assert_uint_eq(blocks(), 1);
	ck_holds(bytes(), 10);
	ck_assert_str_eq(block, "stays");
	save_free2(block, my_free);
	ck_assert_int_eq(freed, 1);
}
END_TEST

START_TEST(an_allocators_realloc_to_nothing_frees)
{
	void *block = save_malloc2(10, my_malloc);

	ck_assert_ptr_null(save_realloc2(block, 0, my_realloc));
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(an_allocators_sizes_that_overflow_are_refused)
{
	ck_fails(save_calloc2(huge(0), 2, my_calloc), NULL, ENOMEM);
	ck_assert_int_eq(allocated, 0);
}
END_TEST

static void resize_two_to_the_limit(void)
{
	void *block = save_malloc2(60, my_malloc);

	ck_fails(save_malloc2(41, my_malloc), NULL, ENOMEM);
	ck_fails(save_calloc2(41, 1, my_calloc), NULL, ENOMEM);
	ck_fails(save_realloc2(NULL, 41, my_realloc), NULL, ENOMEM);
	ck_fails(save_realloc2(block, 101, my_realloc), NULL, ENOMEM);
	ck_assert_int_eq(allocated, 1);
	ck_assert_int_eq(resized, 0);
	block = save_realloc2(block, 100, my_realloc);
	ck_assert_ptr_nonnull(block);
	ck_holds(bytes(), 100);
}

START_TEST(an_allocators_blocks_grow_to_the_limit)
{
	with_limit(100, resize_two_to_the_limit);
	ck_assert_int_eq(freed, 1);
}
END_TEST

static void resize_and_free_two_above(void)
{
	allocated_above = save_realloc2(allocated_above, 100, my_realloc);
}

START_TEST(a_descendant_may_resize_and_ownership_stays)
{
	allocated_above = save_malloc2(10, my_malloc);
	end_task(child_that(resize_and_free_two_above));
	memset(allocated_above, 'x', 100);
	ck_holds(bytes(), 100);
	ck_assert_int_eq(freed, 0);
}
END_TEST

START_TEST(the_wrong_family_is_refused)
{
	char *block = save_malloc(10), *two = save_malloc2(10, my_malloc);

	save_free(two);
	ck_assert_uint_eq(reports(), 1);
	ck_assert_ptr_nonnull(strstr(last_report(), "wrong family"));
	save_free2(block, my_free);
	ck_assert_uint_eq(reports(), 2);
	ck_fails(save_realloc(two, 100), NULL, EINVAL);
	ck_fails(save_realloc2(block, 100, my_realloc), NULL, EINVAL);
	ck_assert_uint_eq(reports(), 4);
	ck_assert_int_eq(freed, 0);
	ck_assert_int_eq(resized, 0);
	ck_assert_uint_eq(blocks(), 2);
}
END_TEST

START_TEST(a_stranger_may_not_touch_an_allocators)
{
	void *block = save_malloc2(10, my_malloc);

	work_for(other);
	save_free2(block, my_free);
	ck_fails(save_realloc2(block, 100, my_realloc), NULL, EINVAL);
	work_no_longer();
	ck_assert_uint_eq(reports(), 2);
	ck_assert_int_eq(freed, 0);
	ck_assert_uint_eq(blocks(), 1);
}
END_TEST

START_TEST(an_unknown_block_is_the_allocators)
{
	void *block = malloc(10);

	block = save_realloc2(block, 100, my_realloc);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq(blocks(), 0);
	save_free2(block, my_free);
	ck_assert_int_eq(freed, 1);
	save_free2(NULL, my_free);
	ck_assert_int_eq(freed, 1);
}
END_TEST

START_TEST(an_allocators_block_is_given)
{
	void *block = reclaim_give(save_malloc2(10, my_malloc), other);

	ck_assert_ptr_nonnull(block);
	work_no_longer();
	end_task(task);
	ck_assert_int_eq(freed, 0);
	end_task(other);
	ck_assert_int_eq(freed, 1);
	other = task_called("other");
}
END_TEST

/* ---- an allocator in which a thread is killed ---- */

static sem_t in_allocator;

static void wait_a_little(void)
{
	sem_post(&in_allocator);
	usleep(2000); /* a cancellation point */
}

static void *slow_malloc(size_t size)
{
	void *block = malloc(size);

	wait_a_little();
	return block;
}

static void *slow_realloc(void *ptr, size_t size)
{
	void *block = realloc(ptr, size);

	wait_a_little();
	return block;
}

static void slow_free(void *ptr)
{
	wait_a_little();
	free(ptr);
}

static int use_slow_allocator(int argc, char **argv, char **envp)
{
	void *block;

	(void)argc;
	(void)argv;
	(void)envp;
	for (;;) {
		block = save_malloc2(10, slow_malloc);
		block = save_realloc2(block, 10000, slow_realloc);
		save_free2(block, slow_free);
		pthread_testcancel();
	}
	return 0;
}

START_TEST(killed_in_an_allocator_nothing_is_lost)
{
	int i, j;

	set_reclaim_free_function(free);
	for (i = 0; i < 12; i++) {
		reclaim_tid tid;

		sem_init(&in_allocator, 0, 0);
		tid = reclaim_spawn(NULL, use_slow_allocator, NULL);
		for (j = 0; j <= i % 3; j++)
			while (sem_wait(&in_allocator) != 0)
				;
		ck_works(reclaim_end(tid, 0));
		sem_destroy(&in_allocator);
	}
}
END_TEST

/* ---- from several threads ---- */

#define ROUNDS 3000

static void *allocate_and_free(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	char *mine[20] = {0};
	int i;

	reclaim_enter(other);
	for (i = 0; i < ROUNDS; i++) {
		size_t at = fixture_random(&state) % 20;

		mine[at] = save_realloc(mine[at],
					1 + fixture_random(&state) % 300);
		mine[at][0] = 'x';
		if (fixture_random(&state) % 4 == 0) {
			save_free(mine[at]);
			mine[at] = NULL;
		}
	}
	for (i = 0; i < 20; i++)
		save_free(mine[i]);
	return NULL;
}

START_TEST(threads_share_a_heap)
{
	pthread_t threads[4];
	uint64_t seeds[4];
	int i;

	for (i = 0; i < 4; i++) {
		seeds[i] = fixture_seed() + (uint64_t)i;
		/* Workers: they work for the current task. */
		ck_works(save_pthread_create(&threads[i], NULL,
					     allocate_and_free, &seeds[i]));
	}
	for (i = 0; i < 4; i++)
		ck_works(save_pthread_join(threads[i], NULL));
	ck_assert_uint_eq(blocks(), 0);
	ck_assert_uint_eq(bytes(), 0);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static void *queue[ROUNDS];
static sem_t filled;

static void *free_what_comes(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		while (sem_wait(&filled) != 0)
			;
		save_free(__atomic_load_n(&queue[i], __ATOMIC_ACQUIRE));
	}
	return arg;
}

START_TEST(one_thread_frees_what_another_allocated)
{
	pthread_t thread;
	int i;

	sem_init(&filled, 0, 0);
	ck_works(save_pthread_create(&thread, NULL, free_what_comes, NULL));
	for (i = 0; i < ROUNDS; i++) {
		__atomic_store_n(&queue[i], save_malloc(32), __ATOMIC_RELEASE);
		sem_post(&filled);
	}
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_uint_eq(blocks(), 0);
	sem_destroy(&filled);
}
END_TEST

static TCase *heap_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, enter_task, end_tasks);
	return tcase;
}

static void add_allocators(Suite *suite)
{
	TCase *tcase = heap_case(suite, "allocators");

	tcase_add_checked_fixture(tcase, forget_calls, NULL);
	tcase_add_test(tcase, the_callers_allocator_is_used);
	tcase_add_test(tcase, what_is_left_goes_to_the_free_function);
	tcase_add_test(tcase, without_a_free_function_it_goes_to_free);
	tcase_add_test(tcase, an_allocator_may_fail);
	tcase_add_test(tcase, an_allocators_realloc_to_nothing_frees);
	tcase_add_test(tcase, an_allocators_sizes_that_overflow_are_refused);
	tcase_add_test(tcase, an_allocators_blocks_grow_to_the_limit);
	tcase_add_test(tcase, a_descendant_may_resize_and_ownership_stays);
	tcase_add_test(tcase, the_wrong_family_is_refused);
	tcase_add_test(tcase, a_stranger_may_not_touch_an_allocators);
	tcase_add_test(tcase, an_unknown_block_is_the_allocators);
	tcase_add_test(tcase, an_allocators_block_is_given);
	tcase_add_test(tcase, killed_in_an_allocator_nothing_is_lost);
}

static void fill(Suite *suite)
{
	TCase *tcase = heap_case(suite, "malloc");

	tcase_add_test(tcase, malloc_gives_what_can_be_written);
	tcase_add_test(tcase, every_block_is_aligned_for_anything);
	tcase_add_test(tcase, blocks_of_no_size_are_different);
	tcase_add_test(tcase, calloc_gives_zeros);
	tcase_add_test(tcase, sizes_that_overflow_are_refused);
	tcase_add_test(tcase, sizes_that_nobody_has_are_refused);
	tcase_add_test(tcase, realloc_keeps_what_was_there);
	tcase_add_test(tcase, a_block_that_grows_stays_where_it_is);
	tcase_add_test(tcase, realloc_to_nothing_frees);
	tcase_add_test(tcase, reallocarray_multiplies);
	tcase_add_test(tcase, free_of_nothing_is_nothing);
	tcase_add_test(tcase, free_preserves_errno);
	tcase_add_test(tcase, cfree_is_free);
	tcase_add_test(tcase, aligned_alloc_aligns);
	tcase_add_test(tcase, no_alignment_is_refused);
	tcase_add_test(tcase, posix_memalign_returns_its_error);
	tcase_add_test(tcase, strdup_and_strndup_copy);

	tcase = heap_case(suite, "figures and limits");
	tcase_add_test(tcase, the_peak_stays);
	tcase_add_test(tcase, beyond_the_limit_there_is_none);
	tcase_add_test(tcase, a_block_grows_to_the_limit);
	tcase_add_test(tcase, what_was_not_got_is_no_peak);
	tcase_add_test(tcase, a_limit_does_not_overflow);

	tcase = heap_case(suite, "owners");
	tcase_add_test(tcase, memory_goes_with_the_task);
	tcase_add_test(tcase, an_ancestor_may_free_and_resize);
	tcase_add_test(tcase, a_descendant_may_free_and_resize);
	tcase_add_test(tcase, what_a_descendant_resized_stays);
	tcase_add_test(tcase, a_stranger_may_not_free);
	tcase_add_test(tcase, a_stranger_may_not_resize);
	tcase_add_test(tcase, a_plain_block_is_passed_on);
	tcase_add_test(tcase, plain_memory_is_not_tracked);

	tcase = heap_case(suite, "giving");
	tcase_add_test(tcase, a_gift_goes_with_its_new_owner);
	tcase_add_test(tcase, a_gift_is_no_longer_the_givers);
	tcase_add_test(tcase, only_a_live_block_is_given);
	tcase_add_test(tcase, a_receiver_has_to_exist);
	tcase_add_test(tcase, a_receiver_may_be_full);
	tcase_add_test(tcase, a_large_gift_counts_as_it_was_asked_for);

	add_allocators(suite);

	tcase = heap_case(suite, "threads");
	tcase_add_test(tcase, threads_share_a_heap);
	tcase_add_test(tcase, one_thread_frees_what_another_allocated);
}

int main(void)
{
	return stage_run("heap", fill);
}
