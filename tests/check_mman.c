/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmap, munmap, mremap: the records are cut to what the kernel does.
 *
 * A task maps, something happens to it in pieces, and the test asks two
 * things: how many records there are, and, once the task has ended, whether
 * all is unmapped that should be, and nothing else.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define PAGE ((size_t)4096)

static char *base;

static char *map_at(char *at, size_t pages, int flags)
{
	return save_mmap(at, pages * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static char *map(size_t pages)
{
	char *at = map_at(NULL, pages, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static char *page(size_t n)
{
	return base + n * PAGE;
}

/* Which of so many pages from base on are mapped: "x.x". */
static const char *mapped(size_t pages)
{
	static char map[64];
	size_t i;

	for (i = 0; i < pages; i++)
		map[i] = is_mapped(page(i)) ? 'x' : '.';
	map[i] = '\0';
	return map;
}

/* ---- whole mappings ---- */

static void map_and_keep(void)
{
	base = map(3);
	memset(base, 1, 3 * PAGE);
}

START_TEST(a_mapping_goes_with_its_task)
{
	in_task(map_and_keep);
	ck_assert_str_eq(mapped(3), "...");
}
END_TEST

START_TEST(a_mapping_of_a_file_has_its_text)
{
	int fd = open(write_file("file", "text"), O_RDONLY | O_CLOEXEC);
	char *text = save_mmap(NULL, 4, PROT_READ, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(text, MAP_FAILED);
	close(fd);
	ck_assert_int_eq(memcmp(text, "text", 4), 0);
	ck_works(save_munmap(text, 4));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(what_fails_is_told_as_by_the_plain_calls)
{
	int prot = PROT_READ, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	ck_fails(save_mmap(NULL, 0, prot, flags, -1, 0), MAP_FAILED, EINVAL);
	ck_fails(save_mmap(NULL, PAGE, prot, MAP_PRIVATE, -1, 0), MAP_FAILED,
		 EBADF);
	ck_fails(save_mmap(NULL, PAGE, prot, MAP_ANONYMOUS, -1, 0), MAP_FAILED,
		 EINVAL);
	if (!under_valgrind()) /* EINVAL */
		ck_fails(save_mmap(NULL, SIZE_MAX / 2, prot, flags, -1, 0),
			 MAP_FAILED, ENOMEM);
	ck_fails(save_mmap((void *)1, PAGE, prot, flags | MAP_FIXED, -1, 0),
		 MAP_FAILED, EINVAL);
	ck_fails(save_mmap(NULL, PAGE, prot, flags, -1, 1), MAP_FAILED, EINVAL);
	base = map(1);
	ck_fails(save_munmap(base, 0), -1, EINVAL);
	ck_fails(save_munmap(base + 1, PAGE), -1, EINVAL);
	ck_fails(save_mremap(base + 1, PAGE, PAGE, 0), MAP_FAILED, EINVAL);
	ck_fails(save_mremap(base, PAGE, 0, 0), MAP_FAILED, EINVAL);
	ck_fails(save_mremap(base, PAGE, PAGE, 1 << 20), MAP_FAILED, EINVAL);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_munmap(base, 1));	   /* rounded up */
	ck_works(save_munmap(base, PAGE)); /* nothing there: no error */
	ck_assert_uint_eq(held(), 0);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(what_is_not_there_is_not_taken)
{
	base = map(1);
	ck_fails(save_munmap(base, SIZE_MAX), -1, EINVAL);
	ck_fails(save_munmap(base, SIZE_MAX - 2 * PAGE), -1, EINVAL);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_munmap(base, PAGE));
	ck_fails(save_mremap(base, PAGE, 2 * PAGE, 0), MAP_FAILED, EFAULT);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- munmap of parts ---- */

struct cutting {
	size_t from, pages;
	unsigned held;
	const char *left;
};

static const struct cutting cuttings[] = {
	{0, 1, 1, ".xxxx"}, {4, 1, 1, "xxxx."}, {2, 1, 2, "xx.xx"},
	{1, 3, 2, "x...x"}, {0, 5, 0, "....."}, {0, 4, 1, "....x"},
};

static const struct cutting *cutting;

static void cut(void)
{
	base = map(5);
	ck_works(save_munmap(page(cutting->from), cutting->pages * PAGE));
	ck_assert_uint_eq(held(), cutting->held);
	ck_assert_str_eq(mapped(5), cutting->left);
}

START_TEST(munmap_leaves_the_rest)
{
	cutting = &cuttings[_i];
	in_task(cut);
	ck_assert_str_eq(mapped(5), ".....");
}
END_TEST

/* What was unmapped in the middle may be somebody else's by then. */
static void cut_in_the_middle(void)
{
	base = map(5);
	ck_works(save_munmap(page(2), PAGE));
}

START_TEST(the_rest_is_not_unmapped_as_a_whole)
{
	reclaim_tid owner = task_called("owner");

	work_for(owner);
	cut_in_the_middle();
	work_no_longer();
	ck_assert_ptr_eq(map_at(page(2), 1, MAP_FIXED), page(2));
	end_task(owner);
	ck_assert_str_eq(mapped(5), "..x..");
	ck_works(save_munmap(page(2), PAGE));
}
END_TEST

static void take_across(void)
{
	base = map(6);
	ck_works(save_munmap(base, 6 * PAGE));
	ck_assert_ptr_eq(map_at(page(0), 2, MAP_FIXED), page(0));
	ck_assert_ptr_eq(map_at(page(2), 2, MAP_FIXED), page(2));
	ck_assert_ptr_eq(map_at(page(4), 2, MAP_FIXED), page(4));
	ck_assert_uint_eq(held(), 3);
	ck_works(save_munmap(page(1), 4 * PAGE));
	ck_assert_uint_eq(held(), 2);
	ck_assert_str_eq(mapped(6), "x....x");
}

START_TEST(munmap_takes_several_at_once)
{
	in_task(take_across);
	ck_assert_str_eq(mapped(6), "......");
}
END_TEST

/* ---- MAP_FIXED ---- */

static void map_over_a_part(void)
{
	base = map(4);
	ck_assert_ptr_eq(map_at(page(1), 2, MAP_FIXED), page(1));
	ck_assert_uint_eq(held(), 3);
	ck_works(save_munmap(page(1), 2 * PAGE));
	ck_assert_uint_eq(held(), 2);
	ck_assert_str_eq(mapped(4), "x..x");
}

START_TEST(map_fixed_takes_what_is_there)
{
	in_task(map_over_a_part);
	ck_assert_str_eq(mapped(4), "....");
}
END_TEST

static void map_over_the_whole(void)
{
	base = map(2);
	base[0] = 'x';
	ck_assert_ptr_eq(map_at(page(0), 2, MAP_FIXED), page(0));
	ck_assert_int_eq(base[0], 0);
	ck_assert_uint_eq(held(), 1);
	if (!under_valgrind()) /* which takes the address for a wish */
		ck_fails(map_at(page(0), 2, MAP_FIXED_NOREPLACE), MAP_FAILED,
			 EEXIST);
	ck_assert_uint_eq(held(), 1);
}

START_TEST(map_fixed_over_the_whole_leaves_one)
{
	in_task(map_over_the_whole);
	ck_assert_str_eq(mapped(2), "..");
}
END_TEST

static void map_over_and_fail(void)
{
	base = map(3);
	ck_fails(save_mmap(page(1), PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
			   -1, 0),
		 MAP_FAILED, EBADF);
	ck_assert_uint_eq(held(), 1);
	ck_assert_str_eq(mapped(3), "xxx");
}

START_TEST(map_fixed_that_fails_takes_nothing)
{
	in_task(map_over_and_fail);
	ck_assert_str_eq(mapped(3), "...");
}
END_TEST

/* ---- mremap ---- */

static void grow(void)
{
	char *before = map(2);

	before[PAGE] = 'x';
	base = save_mremap(before, 2 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
	ck_assert_ptr_ne(base, MAP_FAILED);
	ck_assert_int_eq(base[PAGE], 'x');
	base[99 * PAGE] = 'y';
	ck_assert_uint_eq(held(), 1);
}

START_TEST(mremap_grows)
{
	in_task(grow);
	ck_assert_str_eq(mapped(3), "...");
	ck_assert(!is_mapped(page(99)));
}
END_TEST

static void shrink(void)
{
	base = map(4);
	ck_assert_ptr_eq(save_mremap(base, 4 * PAGE, PAGE, 0), base);
	ck_assert_str_eq(mapped(4), "x...");
	ck_assert_uint_eq(held(), 1);
}

START_TEST(mremap_shrinks)
{
	in_task(shrink);
	ck_assert_str_eq(mapped(4), "....");
}
END_TEST

/* Without leave to move it, and something in the way. */
static void fail_to_grow(void)
{
	base = map(3);
	ck_fails(save_mremap(base, PAGE, 2 * PAGE, 0), MAP_FAILED, ENOMEM);
	ck_assert_uint_eq(held(), 1);
	ck_assert_str_eq(mapped(3), "xxx");
}

START_TEST(mremap_that_fails_changes_nothing)
{
	in_task(fail_to_grow);
	ck_assert_str_eq(mapped(3), "...");
}
END_TEST

static void move_a_part(void)
{
	char *moved;

	base = map(8);
	moved = save_mremap(page(0), 2 * PAGE, 2 * PAGE,
			    MREMAP_MAYMOVE | MREMAP_FIXED, page(5));
	ck_assert_ptr_eq(moved, page(5));
	ck_assert_str_eq(mapped(8), "..xxxxxx");
	/* What was between, what was moved, and what is behind it. */
	ck_assert_uint_eq(held(), 3);
	ck_works(save_munmap(page(5), 2 * PAGE));
	ck_assert_uint_eq(held(), 2);
}

START_TEST(mremap_fixed_takes_what_is_there)
{
	in_task(move_a_part);
	ck_assert_str_eq(mapped(8), "........");
}
END_TEST

static void leave_the_old(void)
{
	char *moved;

	base = map(2);
	moved = save_mremap(base, 2 * PAGE, 2 * PAGE,
			    MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	if (moved == MAP_FAILED)
		return; /* an old kernel, or Valgrind */
	ck_assert_uint_eq(held(), 2);
	ck_assert_str_eq(mapped(2), "xx");
	ck_works(save_munmap(moved, 2 * PAGE));
	ck_assert_uint_eq(held(), 1);
}

START_TEST(mremap_dontunmap_leaves_the_old_one)
{
	in_task(leave_the_old);
	ck_assert_str_eq(mapped(2), "..");
}
END_TEST

static char *twin;

static void duplicate(void)
{
	base = save_mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	twin = save_mremap(base, 0, PAGE, MREMAP_MAYMOVE);
	ck_assert_ptr_ne(twin, MAP_FAILED);
	base[0] = 'x';
	ck_assert_int_eq(twin[0], 'x');
	ck_assert_uint_eq(held(), 2);
}

START_TEST(mremap_of_no_length_makes_another)
{
	in_task(duplicate);
	ck_assert(!is_mapped(base));
	ck_assert(!is_mapped(twin));
}
END_TEST

START_TEST(mremap_of_what_was_never_tracked_does_not_track_it)
{
	base = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	base = save_mremap(base, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	ck_assert_ptr_ne(base, MAP_FAILED);
	ck_assert_uint_eq(held(), 0);
	ck_works(munmap(base, 2 * PAGE));
}
END_TEST

START_TEST(mremap_below_leaves_the_owner)
{
	reclaim_tid owner = task_called("owner"), below;

	work_for(owner);
	base = map(1);
	below = task_called("below");
	work_for(below);
	base = save_mremap(base, PAGE, 9 * PAGE, MREMAP_MAYMOVE);
	ck_assert_ptr_ne(base, MAP_FAILED);
	ck_assert_uint_eq(held(), 0);
	work_no_longer();
	end_task(below);
	ck_assert_uint_eq(held(), 1);
	ck_assert(is_mapped(base));
	work_no_longer();
	end_task(owner);
	ck_assert(!is_mapped(base));
}
END_TEST

/* ---- strangers ---- */

START_TEST(what_is_a_strangers_stays_mapped)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	base = map(4);
	work_no_longer();
	work_for(other);
	ck_fails(save_munmap(page(1), PAGE), -1, EINVAL);
	expect_stranger("munmap", "owner <", "other <");
	forget_reports();
	ck_fails(map_at(page(1), 1, MAP_FIXED), MAP_FAILED, EINVAL);
	expect_stranger("mmap", "owner <", "other <");
	forget_reports();
	ck_fails(save_mremap(base, 4 * PAGE, PAGE, 0), MAP_FAILED, EINVAL);
	expect_stranger("mremap", "owner <", "other <");
	ck_assert_uint_eq(held(), 0);
	work_no_longer();
	end_task(other);
	ck_assert_str_eq(mapped(4), "xxxx");
	ck_assert_uint_eq(held_by(owner), 1);
	end_task(owner);
	ck_assert_str_eq(mapped(4), "....");
}
END_TEST

/* ---- behind the wrappers ---- */

static void lose_a_mapping(void)
{
	base = map(2);
	munmap(base, 2 * PAGE);
}

START_TEST(what_was_unmapped_behind_spares_the_next_owner)
{
	reclaim_tid owner = task_called("owner");
	char *other;

	work_for(owner);
	lose_a_mapping();
	work_no_longer();
	other = map_at(base, 2, MAP_FIXED_NOREPLACE);
	ck_assert_ptr_eq(other, base);
	end_task(owner);
	ck_assert_str_eq(mapped(2), "xx");
	ck_works(save_munmap(base, 2 * PAGE));
}
END_TEST

/* ---- at random, against a model of pages ---- */

/*
 * What is not the task's is the test's own, reserved and not readable, so that
 * nobody else is in between, and that too much taken shows as well.
 */
#define MODEL_PAGES 24
#define STEPS	    400

static uint64_t seed;
static bool model[MODEL_PAGES]; /* the task's */

static void reserve(size_t from, size_t n)
{
	ck_assert_ptr_eq(mmap(page(from), n * PAGE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 page(from));
}

static void give_back(size_t from, size_t n)
{
	size_t i;

	ck_works(save_munmap(page(from), n * PAGE));
	for (i = from; i < from + n; i++)
		ck_assert(!is_mapped(page(i)));
	reserve(from, n);
}

static void do_at_random(void)
{
	size_t from = fixture_random(&seed) % MODEL_PAGES;
	size_t n = 1 + fixture_random(&seed) % (MODEL_PAGES - from);
	bool maps = fixture_random(&seed) % 2;

	if (maps)
		ck_assert_ptr_eq(map_at(page(from), n, MAP_FIXED), page(from));
	else
		give_back(from, n);
	while (n--)
		model[from + n] = maps;
}

static bool is_readable(const void *at)
{
	char c;
	struct iovec here = {&c, 1}, there = {(void *)at, 1};

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

static void play_at_random(void)
{
	size_t n;
	int i;

	for (i = 0; i < STEPS; i++) {
		do_at_random();
		for (n = 0; n < MODEL_PAGES; n++)
			ck_assert(is_readable(page(n)) == model[n]);
	}
}

START_TEST(whatever_is_done_no_more_nor_less_is_unmapped)
{
	size_t n;

	seed = fixture_seed();
	base = mmap(NULL, MODEL_PAGES * PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	in_task(play_at_random);
	for (n = 0; n < MODEL_PAGES; n++) {
		ck_assert(is_mapped(page(n)) != model[n]);
		if (!model[n])
			munmap(page(n), PAGE);
	}
}
END_TEST

/* Valgrind and gcc's thread sanitizer do what they see before it fails. */
static bool kernel_is_asked(void)
{
#ifdef __SANITIZE_THREAD__
	return false;
#else
	return !under_valgrind();
#endif
}

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "whole");

	tcase_add_test(tcase, a_mapping_goes_with_its_task);
	tcase_add_test(tcase, a_mapping_of_a_file_has_its_text);
	tcase_add_test(tcase, what_fails_is_told_as_by_the_plain_calls);
	if (kernel_is_asked())
		tcase_add_test(tcase, what_is_not_there_is_not_taken);
	tcase = stage_case(suite, "munmap");
	tcase_add_loop_test(tcase, munmap_leaves_the_rest, 0,
			    sizeof(cuttings) / sizeof(cuttings[0]));
	tcase_add_test(tcase, the_rest_is_not_unmapped_as_a_whole);
	tcase_add_test(tcase, munmap_takes_several_at_once);
	tcase = stage_case(suite, "fixed");
	tcase_add_test(tcase, map_fixed_takes_what_is_there);
	tcase_add_test(tcase, map_fixed_over_the_whole_leaves_one);
	tcase_add_test(tcase, map_fixed_that_fails_takes_nothing);
	tcase = stage_case(suite, "mremap");
	tcase_add_test(tcase, mremap_grows);
	tcase_add_test(tcase, mremap_shrinks);
	tcase_add_test(tcase, mremap_that_fails_changes_nothing);
	tcase_add_test(tcase, mremap_fixed_takes_what_is_there);
	tcase_add_test(tcase, mremap_dontunmap_leaves_the_old_one);
	if (!under_valgrind()) /* which refuses it */
		tcase_add_test(tcase, mremap_of_no_length_makes_another);
	tcase_add_test(tcase,
		       mremap_of_what_was_never_tracked_does_not_track_it);
	tcase_add_test(tcase, mremap_below_leaves_the_owner);
	tcase = stage_case(suite, "others");
	tcase_add_test(tcase, what_is_a_strangers_stays_mapped);
	tcase_add_test(tcase, what_was_unmapped_behind_spares_the_next_owner);
	tcase = stage_case(suite, "random");
	tcase_add_test(tcase, whatever_is_done_no_more_nor_less_is_unmapped);
}

int main(void)
{
	return stage_run("mman", fill);
}
