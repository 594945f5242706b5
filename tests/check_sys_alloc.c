/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erl_set_memory_block: each parameter does what the manual says, for memory
 * that was given and memory that was obtained; what is wrong is refused, and
 * changes nothing; and what tasks allocate goes with them, if that is wanted.
 */
#include "config.h"

#include "reclaim/record_private.h"
#include "reclaim/sys_private.h"
#include "tests/stage.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static void *kept;
static char area[MIB] __attribute__((aligned(16)));
static char other_area[MIB] __attribute__((aligned(16)));

static bool is_in(const void *ptr, const void *from, size_t size)
{
	return (size_t)((const char *)ptr - (const char *)from) < size;
}

static bool is_given(const void *ptr)
{
	return is_in(ptr, area, sizeof(area));
}

static struct reclaim_block_info info_now(void)
{
	struct reclaim_block_info info;

	ck_works(reclaim_block_info(&info));
	return info;
}

static size_t allocations(void)
{
	return info_now().blocks;
}

static void obtain(size_t size)
{
	ck_works(erl_set_memory_block(size, NULL, 0, 0, 0));
}

static void give(void)
{
	ck_works(erl_set_memory_block(sizeof(area), area, 0, 0, 0));
}

static void end(void)
{
	ck_works(reclaim_block_end());
}

/* A given block would stay, for the next test in the same process. */
static void end_whatever_there_is(void)
{
	struct block *block;

	reclaim_block_end();
	records_forget_family(FAMILY_BLOCK);
	block = atomic_load(&sys_block);
	sys_set(NULL);
	if (block)
		block_end(block);
}

static void expect_report(const char *word)
{
	ck_assert_uint_eq(reports(), 1);
	ck_assert_msg(strstr(last_report(), word), "\"%s\" is not in: %s", word,
		      last_report());
	forget_reports();
}

static void expect_refused(size_t size, void *ptr, int error, const char *word)
{
	ck_fails(erl_set_memory_block(size, ptr, 0, 0, 0), -1, error);
	expect_report(word);
}

/* ---- size ---- */

START_TEST(a_block_has_the_size_that_was_asked_for)
{
	struct reclaim_block_info info;

	obtain(3 * MIB + 4096);
	info = info_now();
	ck_assert_uint_eq(info.total, 3 * MIB + 4096);
	ck_assert_uint_eq(info.kept + info.allocated + info.free, info.total);
	ck_assert_uint_le(info.kept * 100, info.total * 3);
	ck_assert_uint_eq(info.blocks, 0);
	ck_assert_uint_eq(info.holes, 1);
}
END_TEST

START_TEST(a_size_has_to_be_given)
{
	expect_refused(0, NULL, EINVAL, "size");
	expect_refused(0, area, EINVAL, "size");
	ck_fails(reclaim_block_info(&(struct reclaim_block_info){0}), -1,
		 EINVAL);
}
END_TEST

START_TEST(what_is_too_small_or_too_large_is_refused)
{
	expect_refused(65535, NULL, EINVAL, "64 KiB");
	expect_refused(1, area, EINVAL, "64 KiB");
	expect_refused(SIZE_MAX, NULL, EINVAL, "addresses");
	expect_refused(SIZE_MAX - 4096, area, EINVAL, "addresses");
	expect_refused(PTRDIFF_MAX - 4095, NULL, ENOMEM, "memory");
	ck_works(erl_set_memory_block(65536, NULL, 0, 0, 0));
	ck_assert_ptr_nonnull(sys_alloc(1000));
}
END_TEST

/* All that there is can be had, and no more. */
START_TEST(a_full_block_says_enomem_and_nothing_else)
{
	size_t count = 0, blocks;
	void *last = NULL, *next;

	obtain(MIB);
	errno = 0;
	while ((next = sys_alloc(1000))) {
		memset(next, (int)count++, 1000);
		last = next;
	}
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_gt(count, 900);
	blocks = allocations();
	ck_fails(sys_alloc(PTRDIFF_MAX), NULL, ENOMEM);
	ck_fails(sys_alloc(SIZE_MAX), NULL, ENOMEM);
	ck_fails(sys_realloc(last, MIB), NULL, ENOMEM);
	ck_assert_uint_eq(allocations(), blocks);
	sys_free(last);
	ck_assert_ptr_nonnull(sys_alloc(1000));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* ---- ptr ---- */

START_TEST(a_given_block_is_where_it_was_given)
{
	char *ptr;

	memset(area, 0xaa, sizeof(area));
	give();
	ptr = sys_alloc(100);
	ck_assert(is_given(ptr));
	ck_assert_ptr_eq(info_now().area, area);
	memset(ptr, 1, 100);
	sys_free(ptr);
}
END_TEST

START_TEST(an_obtained_block_goes_as_a_whole)
{
	obtain(MIB);
	ck_assert_ptr_nonnull(sys_alloc(100));
	end();
	ck_fails(reclaim_block_info(&(struct reclaim_block_info){0}), -1,
		 EINVAL);
	kept = sys_alloc(0);
	ck_assert(!is_given(kept));
	sys_free(kept);
}
END_TEST

static void keep_one(void)
{
	kept = sys_alloc(100);
	strcpy(kept, "still there");
}

START_TEST(a_given_block_goes_on_serving_after_its_end)
{
	void *later;

	give();
	keep_one();
	end();
	later = sys_alloc(100);
	ck_assert(is_given(later));
	ck_assert_uint_eq(allocations(), 2);
	sys_free(kept);
	sys_free(later);
	ck_assert_uint_eq(allocations(), 0);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(a_given_block_is_taken_up_again_as_it_is)
{
	give();
	keep_one();
	end();
	ck_works(erl_set_memory_block(sizeof(area), area, 1, 1, 1));
	ck_assert_str_eq(kept, "still there");
	ck_assert_uint_eq(allocations(), 1);
	ck_assert_ptr_ne(sys_realloc(kept, 100), kept);
	end();
	give();
	ck_assert_uint_eq(allocations(), 1);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(other_memory_has_to_wait_for_what_is_allocated)
{
	give();
	keep_one();
	end();
	expect_refused(sizeof(other_area), other_area, EBUSY, "another");
	expect_refused(MIB, NULL, EBUSY, "another");
	expect_refused(sizeof(area) / 2, area, EBUSY, "another");
	ck_assert_str_eq(kept, "still there");
	sys_free(kept);
	ck_works(erl_set_memory_block(sizeof(other_area), other_area, 0, 0, 0));
	kept = sys_alloc(1);
	ck_assert(is_in(kept, other_area, sizeof(other_area)));
	sys_free(kept);
}
END_TEST

START_TEST(misaligned_memory_is_refused)
{
	int i;

	for (i = 1; i < 16; i++)
		expect_refused(sizeof(area) - 16, area + i, EINVAL, "aligned");
}
END_TEST

START_TEST(memory_beyond_the_last_address_is_refused)
{
	expect_refused(sizeof(area), (void *)-(uintptr_t)4096, EINVAL,
		       "addresses");
}
END_TEST

START_TEST(a_call_while_a_block_is_in_use_changes_nothing)
{
	struct reclaim_block_info before, after;

	ck_works(erl_set_memory_block(sizeof(area), area, 0, 1, 0));
	keep_one();
	before = info_now();
	expect_refused(sizeof(area), area, EBUSY, "in use");
	expect_refused(MIB, NULL, EBUSY, "in use");
	after = info_now();
	ck_assert_mem_eq(&before, &after, sizeof(before));
	/* Nor was realloc_always_moves taken back. */
	ck_assert_ptr_ne(sys_realloc(kept, 90), kept);
}
END_TEST

START_TEST(what_was_never_set_cannot_end)
{
	ck_fails(reclaim_block_end(), -1, EINVAL);
	give();
	end();
	ck_fails(reclaim_block_end(), -1, EINVAL);
}
END_TEST

/* ---- warn_mixed_malloc ---- */

static void mix(void)
{
	void *ptr = save_malloc(10);

	ptr = sys_realloc(ptr, 20);
	ck_assert_ptr_nonnull(ptr);
	ck_assert(!is_given(ptr));
	sys_free(ptr);
	sys_free(plain_malloc(10));
}

START_TEST(mixed_malloc_is_told_if_wanted)
{
	ck_works(erl_set_memory_block(sizeof(area), area, 1, 0, 0));
	mix();
	ck_assert_uint_eq(reports(), 3);
	ck_assert_ptr_nonnull(strstr(last_report(), "sys_free of"));
	ck_assert_ptr_nonnull(strstr(last_report(), "mixed"));
}
END_TEST

START_TEST(mixed_malloc_is_not_told_otherwise)
{
	give();
	mix();
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(what_is_the_blocks_is_not_mixed)
{
	ck_works(erl_set_memory_block(sizeof(area), area, 1, 0, 0));
	sys_free(sys_realloc(sys_alloc(10), 1000));
	sys_free(NULL);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* It would be the wrong one's: refused, whatever the flags. */
START_TEST(save_free_does_not_take_what_is_the_blocks)
{
	void *ptr;

	give();
	ptr = sys_alloc(10);
	save_free(ptr);
	expect_report("wrong family");
	ck_fails(save_realloc(ptr, 20), NULL, EINVAL);
	expect_report("wrong family");
	ck_assert_uint_eq(allocations(), 1);
	sys_free(ptr);
}
END_TEST

/* ---- realloc_always_moves ---- */

START_TEST(realloc_stays_where_it_is_if_it_can)
{
	char *ptr;

	give();
	ptr = sys_alloc(100);
	strcpy(ptr, "text");
	ck_assert_ptr_eq(sys_realloc(ptr, 5000), ptr);
	ck_assert_ptr_eq(sys_realloc(ptr, 50), ptr);
	ck_assert_str_eq(ptr, "text");
	sys_free(ptr);
}
END_TEST

START_TEST(realloc_moves_always_if_wanted)
{
	char *ptr, *moved;
	size_t size;

	ck_works(erl_set_memory_block(sizeof(area), area, 0, 1, 0));
	ptr = sys_alloc(100);
	strcpy(ptr, "text");
	for (size = 20; size < 4000; size = size * 3 / 2) {
		moved = sys_realloc(ptr, size);
		ck_assert_ptr_ne(moved, ptr);
		ck_assert_str_eq(moved, "text");
		ptr = moved;
	}
	ck_assert_uint_eq(allocations(), 1);
	sys_free(ptr);
}
END_TEST

START_TEST(realloc_of_nothing_and_to_nothing)
{
	void *ptr;

	give();
	ptr = sys_realloc(NULL, 10);
	ck_assert(is_given(ptr));
	ck_assert_ptr_null(sys_realloc(ptr, 0));
	ck_assert_uint_eq(allocations(), 0);
	ptr = sys_alloc(0);
	ck_assert_ptr_nonnull(ptr);
	ck_assert_ptr_ne(sys_alloc(0), ptr);
	ck_assert_uint_eq(allocations(), 2);
}
END_TEST

/* ---- use_reclaim ---- */

static void allocate_some(void)
{
	int i;

	for (i = 0; i < 100; i++)
		ck_assert_ptr_nonnull(sys_alloc((size_t)i * 10));
	sys_free(sys_alloc(7));
	ck_assert_ptr_nonnull(sys_realloc(sys_alloc(7), 700));
	ck_assert_uint_eq(allocations(), 101);
}

START_TEST(what_a_task_allocates_goes_with_it)
{
	ck_works(erl_set_memory_block(sizeof(area), area, 0, 0, 1));
	in_task(allocate_some);
	ck_assert_uint_eq(allocations(), 0);
	ck_assert_uint_eq(info_now().holes, 1);
}
END_TEST

/* Which the original forgot. */
START_TEST(so_it_does_in_an_obtained_block)
{
	ck_works(erl_set_memory_block(MIB, NULL, 0, 0, 1));
	in_task(allocate_some);
	ck_assert_uint_eq(allocations(), 0);
	ck_assert_int_eq(in_thread_of_task(allocate_some), 0);
	ck_assert_uint_eq(allocations(), 0);
}
END_TEST

START_TEST(else_it_stays)
{
	give();
	in_task(allocate_some);
	ck_assert_uint_eq(allocations(), 101);
}
END_TEST

static void hold_when_the_block_goes(void)
{
	allocate_some();
	end();
}

START_TEST(a_block_that_goes_takes_what_tasks_hold_along)
{
	ck_works(erl_set_memory_block(MIB, NULL, 0, 0, 1));
	in_task(hold_when_the_block_goes);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static void use_up_the_limit(void)
{
	size_t count = 0;

	while (sys_alloc(1000))
		count++;
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_eq(count, 10);
}

START_TEST(a_tasks_limit_is_of_this_as_well)
{
	struct reclaim_task_opts opts = {.max_bytes = 10500};

	ck_works(erl_set_memory_block(MIB, NULL, 0, 0, 1));
	in_task_with(&opts, use_up_the_limit);
	ck_assert_uint_eq(allocations(), 0);
}
END_TEST

static void free_anothers(void)
{
	sys_free(kept);
	ck_assert_ptr_null(sys_realloc(kept, 200));
}

START_TEST(what_a_stranger_holds_stays)
{
	reclaim_tid owner;

	ck_works(erl_set_memory_block(sizeof(area), area, 0, 0, 1));
	owner = task_called("owner");
	work_for(owner);
	keep_one();
	work_no_longer();
	in_task(free_anothers);
	ck_assert_uint_eq(reports(), 2);
	ck_assert_str_eq(kept, "still there");
	ck_assert_uint_eq(allocations(), 1);
	end_task(owner);
	ck_assert_uint_eq(allocations(), 0);
}
END_TEST

static reclaim_tid receiver;

static void give_away(void)
{
	keep_one();
	ck_assert_ptr_eq(reclaim_give(kept, receiver), kept);
}

START_TEST(it_can_be_given_to_another_task)
{
	ck_works(erl_set_memory_block(sizeof(area), area, 0, 0, 1));
	receiver = task_called("receiver");
	in_task(give_away);
	ck_assert_uint_eq(allocations(), 1);
	ck_assert_str_eq(kept, "still there");
	end_task(receiver);
	ck_assert_uint_eq(allocations(), 0);
}
END_TEST

/* ---- whatever follows ---- */

START_TEST(more_arguments_are_ignored)
{
	ck_works(erl_set_memory_block(MIB, NULL, 0, 0, 0, 1, 2, 3, 4, 5));
	ck_assert_uint_eq(info_now().total, MIB);
}
END_TEST

/* ---- no block ---- */

static void use_without_a_block(void)
{
	struct reclaim_task_info info;
	void *ptr = sys_realloc(sys_alloc(10), 1000);

	ck_assert_ptr_nonnull(ptr);
	ck_works(reclaim_task_info(reclaim_self(), &info));
	ck_assert_uint_eq(info.blocks, 1);
	sys_free(ptr);
	ck_assert_ptr_nonnull(sys_alloc(10));
}

START_TEST(without_a_block_it_is_save_malloc)
{
	in_task(use_without_a_block);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* ---- policies ---- */

/* Holes of 320 and 160 bytes, in this order, and much behind them. */
static void make_two_holes(char **large, char **small)
{
	*large = sys_alloc(320);
	sys_alloc(16);
	*small = sys_alloc(160);
	sys_alloc(16);
	sys_free(*large);
	sys_free(*small);
}

static char *chosen_by(const char *policy, char **large, char **small)
{
	ck_works(reclaim_block_policy(policy));
	obtain(MIB);
	ck_assert_str_eq(info_now().policy, policy);
	make_two_holes(large, small);
	return sys_alloc(160);
}

START_TEST(each_policy_chooses_its_place)
{
	char *large, *small;

	ck_assert_ptr_eq(chosen_by("aoff", &large, &small), large);
	end();
	ck_assert_ptr_eq(chosen_by("aobf", &large, &small), small);
	end();
	ck_assert_ptr_eq(chosen_by("bf", &large, &small), small);
	ck_works(reclaim_block_policy("aoff"));
}
END_TEST

START_TEST(there_is_no_other_policy)
{
	ck_fails(reclaim_block_policy("worst"), -1, EINVAL);
	ck_fails(reclaim_block_policy(""), -1, EINVAL);
	ck_fails(reclaim_block_policy(NULL), -1, EINVAL);
}
END_TEST

START_TEST(what_its_policy_cannot_have_is_refused)
{
	ck_works(reclaim_block_policy("aobf"));
	expect_refused((size_t)16 << 40, NULL, EINVAL, "16 TiB");
	ck_works(reclaim_block_policy("bf"));
	expect_refused((size_t)16 << 40, area, EINVAL, "16 TiB");
	ck_works(reclaim_block_policy("aoff"));
}
END_TEST

static void use_policy_of_environment(const char *name, const char *expected)
{
	pid_t pid;
	int status;

	setenv("RECLAIM_BLOCK_POLICY", name, 1);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		must(erl_set_memory_block(MIB, NULL, 0, 0, 0) == 0);
		must(strcmp(info_now().policy, expected) == 0);
		must(reports() == (strcmp(name, expected) != 0));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	unsetenv("RECLAIM_BLOCK_POLICY");
}

/* In children: where reclaim_block_policy was called it counts no more. */
START_TEST(the_environment_may_name_the_policy)
{
	use_policy_of_environment("aobf", "aobf");
	use_policy_of_environment("bf", "bf");
	use_policy_of_environment("first", "aoff");
}
END_TEST

/* ---- fronts ---- */

static void *take_and_free_two(void)
{
	char *low = sys_alloc(100), *high = sys_alloc(100);

	sys_free(low);
	sys_free(high);
	return high;
}

/* To who asks what threads keep is nothing. */
START_TEST(a_given_block_with_fronts_can_be_let_go)
{
	reclaim_block_front(65536);
	give();
	sys_free(sys_alloc(100));
	end();
	ck_works(erl_set_memory_block(sizeof(other_area), other_area, 0, 0, 0));
	reclaim_block_front(0);
}
END_TEST

static pthread_barrier_t gate;

static void *keep_some_beyond_its_end(void *arg)
{
	sys_free(sys_alloc(100));
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	return arg;
}

START_TEST(a_thread_may_end_after_the_block)
{
	pthread_t thread;

	pthread_barrier_init(&gate, NULL, 2);
	reclaim_block_front(65536);
	obtain(MIB);
	ck_works(pthread_create(&thread, NULL, keep_some_beyond_its_end, NULL));
	pthread_barrier_wait(&gate);
	end();
	pthread_barrier_wait(&gate);
	ck_works(pthread_join(thread, NULL));
	reclaim_block_front(0);
	pthread_barrier_destroy(&gate);
}
END_TEST

static void *free_in_full_block(void *ptr)
{
	sys_free(ptr);
	return NULL;
}

/* Nor has every thread room for a front. */
START_TEST(a_thread_may_end_without_a_front)
{
	void *small, *ptr = NULL;
	pthread_t thread;

	reclaim_block_front(65536);
	obtain(MIB);
	small = sys_alloc(16);
	ck_assert_ptr_nonnull(small);
	while (sys_alloc(500))
		;
	while ((ptr = sys_alloc(16)))
		small = ptr;
	ck_works(pthread_create(&thread, NULL, free_in_full_block, small));
	ck_works(pthread_join(thread, NULL));
	end();
	reclaim_block_front(0);
}
END_TEST

START_TEST(what_a_thread_freed_it_may_have_again)
{
	void *high;

	reclaim_block_front(65536);
	obtain(MIB);
	high = take_and_free_two();
	ck_assert_uint_eq(info_now().blocks, 0);
	if (!atomic_load(&sys_block)->guard) { /* no tool listens */
		ck_assert_uint_eq(info_now().fronts, 224);
		ck_assert_ptr_eq(sys_alloc(100), high);
	}
	end();
	reclaim_block_front(0);
	obtain(MIB);
	high = take_and_free_two();
	ck_assert_uint_eq(info_now().fronts, 0);
	ck_assert_ptr_ne(sys_alloc(100), high);
}
END_TEST

/* ---- wrong use ---- */

START_TEST(what_is_no_allocation_is_told_and_left_alone)
{
	struct reclaim_block_info before, after;
	char *ptr, *freed;

	give();
	freed = sys_alloc(100);
	ptr = sys_alloc(100);
	sys_free(freed);
	before = info_now();
	sys_free(freed);
	expect_report("freed before");
	sys_free(ptr + 16);
	expect_report("within a block");
	sys_free(ptr + 1);
	expect_report("within a block");
	sys_free(area);
	ck_assert_uint_eq(reports(), 1);
	forget_reports();
	ck_fails(sys_realloc(freed, 10), NULL, EINVAL);
	expect_report("freed before");
	ck_fails(sys_realloc(ptr + 32, 10), NULL, EINVAL);
	expect_report("within a block");
	after = info_now();
	ck_assert_mem_eq(&before, &after, sizeof(before));
	sys_free(ptr);
}
END_TEST

/* ---- statistics ---- */

START_TEST(mem_part_stats_are_vxworkss)
{
	struct reclaim_block_info info;
	MEM_PART_STATS stats;
	void *first;

	obtain(MIB);
	first = sys_alloc(1000);
	sys_alloc(1000);
	sys_free(first);
	info = info_now();
	ck_works(erl_mem_info_get(&stats));
	ck_assert_uint_eq(stats.numBytesFree, info.free);
	ck_assert_uint_eq(stats.numBlocksFree, 2);
	ck_assert_uint_eq(stats.maxBlockSizeFree, info.longest);
	ck_assert_uint_eq(stats.numBytesAlloc, info.allocated);
	ck_assert_uint_eq(stats.numBlocksAlloc, 1);
	ck_assert_uint_ge(stats.numBytesAlloc, 1000);
	ck_assert_ptr_nonnull(sys_alloc(stats.maxBlockSizeFree));
	ck_fails(sys_alloc(stats.maxBlockSizeFree), NULL, ENOMEM);
}
END_TEST

START_TEST(without_a_block_every_field_is_left_alone)
{
	MEM_PART_STATS stats, before;

	memset(&stats, 0x5a, sizeof(stats));
	before = stats;
	ck_fails(erl_mem_info_get(&stats), -1, EINVAL);
	ck_assert_mem_eq(&stats, &before, sizeof(stats));
	obtain(MIB);
	ck_fails(erl_mem_info_get(NULL), -1, EINVAL);
}
END_TEST

static const char *shown(void)
{
	char *path = path_of("shown");
	int out;
	FILE *to;

	fflush(stdout);
	out = dup(STDOUT_FILENO);
	to = freopen(path, "w", stdout);
	ck_assert_ptr_nonnull(to);
	ck_assert_int_eq(erl_memory_show(1, "ignored", 3), 0);
	fflush(stdout);
	ck_assert_int_eq(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
	close(out);
	return text_of(path);
}

START_TEST(show_says_so_where_there_is_no_block)
{
	ck_assert_ptr_nonnull(strstr(shown(), "No memory block"));
}
END_TEST

START_TEST(show_prints_settings_and_figures)
{
	char expected[64];

	give();
	snprintf(expected, sizeof(expected), "of %zu bytes at %p", sizeof(area),
		 (void *)area);
	ck_assert_ptr_nonnull(strstr(shown(), expected));
	ck_assert_ptr_nonnull(strstr(shown(), "given, in use"));
	end();
	ck_assert_ptr_nonnull(strstr(shown(), "given, ended"));
}
END_TEST

static size_t count_in(FILE *file, const char *word)
{
	char line[1024];
	size_t count = 0;

	rewind(file);
	while (fgets(line, sizeof(line), file))
		count += strstr(line, word) != NULL;
	return count;
}

static void allocate_for_picture(void)
{
	FILE *svg = fopen(path_of("block.svg"), "w+");

	ck_assert_ptr_nonnull(sys_alloc(MIB / 4));
	ck_works(reclaim_block_svg(svg));
	ck_assert_uint_eq(count_in(svg, "<svg "), 1);
	ck_assert_uint_eq(count_in(svg, "</svg>"), 1);
	ck_assert_uint_ge(count_in(svg, "<rect "), 4608 / 4);
	ck_assert_uint_eq(count_in(svg, "&lt;1 &amp; 2>"), 1);
	ck_assert_uint_eq(count_in(svg, "<1"), 0);
	fclose(svg);
}

START_TEST(svg_draws_who_has_what)
{
	struct reclaim_task_opts opts = {.name = "<1 & 2>"};

	ck_works(erl_set_memory_block(sizeof(area), area, 0, 0, 1));
	in_task_with(&opts, allocate_for_picture);
}
END_TEST

START_TEST(svg_fails_with_its_file)
{
	FILE *full = fopen("/dev/full", "w");

	ck_fails(reclaim_block_svg(full), -1, EINVAL);
	obtain(MIB);
	ck_fails(reclaim_block_svg(full), -1, ENOSPC);
	fclose(full);
}
END_TEST

/* ---- threads and forks ---- */

#define THREADS 4
#define STEPS	20000

static void *replace_many(void *arg)
{
	uint64_t state = fixture_seed() + (uintptr_t)arg;
	int i, steps = under_valgrind() ? STEPS / 50 : STEPS;
	char *held[50] = {NULL};
	size_t size;

	for (i = 0; i < steps; i++) {
		size_t at = fixture_random(&state) % 50;

		must(!held[at] || held[at][0] == (char)at);
		size = 1 + fixture_random(&state) % 500;
		held[at] = i % 3 ? sys_realloc(held[at], size)
				 : (sys_free(held[at]), sys_alloc(size));
		must(held[at]);
		held[at][0] = (char)at;
	}
	for (i = 0; i < 50; i++)
		sys_free(held[i]);
	return NULL;
}

static void replace_in_threads(void)
{
	pthread_t threads[THREADS];
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		ck_works(save_pthread_create(&threads[i], NULL, replace_many,
					     (void *)i));
	for (i = 0; i < THREADS; i++)
		ck_works(save_pthread_join(threads[i], NULL));
	ck_assert_uint_eq(allocations(), 0);
	ck_assert_uint_eq(info_now().holes, 1);
}

START_TEST(threads_share_a_block)
{
	obtain(4 * MIB);
	replace_in_threads();
}
END_TEST

START_TEST(threads_of_a_task_share_one_with_records)
{
	ck_works(erl_set_memory_block(4 * MIB, NULL, 0, 0, 1));
	in_task(replace_in_threads);
}
END_TEST

/* It ends as another program: the thread sanitizer would miss the threads. */
static void use_the_copy(void)
{
	must(strcmp(kept, "still there") == 0);
	sys_free(kept);
	must(sys_alloc(100) != NULL);
	execl("/bin/true", "true", (char *)NULL);
	abort();
}

START_TEST(a_child_goes_on_in_a_copy)
{
	pthread_t thread;
	int status, i;
	pid_t pid;

	obtain(4 * MIB);
	keep_one();
	ck_works(save_pthread_create(&thread, NULL, replace_many, NULL));
	for (i = 0; i < 20; i++) {
		pid = fork();
		must(pid >= 0);
		if (pid == 0)
			use_the_copy();
		must(waitpid(pid, &status, 0) == pid && status == 0);
	}
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_str_eq(kept, "still there");
	sys_free(kept);
}
END_TEST

static TCase *block_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, NULL, end_whatever_there_is);
	return tcase;
}

static void fill(Suite *suite)
{
	TCase *tcase;

	tcase = block_case(suite, "size");
	tcase_add_test(tcase, a_block_has_the_size_that_was_asked_for);
	tcase_add_test(tcase, a_size_has_to_be_given);
	tcase_add_test(tcase, what_is_too_small_or_too_large_is_refused);
	tcase_add_test(tcase, a_full_block_says_enomem_and_nothing_else);

	tcase = block_case(suite, "ptr");
	tcase_add_test(tcase, a_given_block_is_where_it_was_given);
	tcase_add_test(tcase, an_obtained_block_goes_as_a_whole);
	tcase_add_test(tcase, a_given_block_goes_on_serving_after_its_end);
	tcase_add_test(tcase, a_given_block_is_taken_up_again_as_it_is);
	tcase_add_test(tcase, other_memory_has_to_wait_for_what_is_allocated);
	tcase_add_test(tcase, misaligned_memory_is_refused);
	tcase_add_test(tcase, memory_beyond_the_last_address_is_refused);
	tcase_add_test(tcase, a_call_while_a_block_is_in_use_changes_nothing);
	tcase_add_test(tcase, what_was_never_set_cannot_end);

	tcase = block_case(suite, "warn_mixed_malloc");
	tcase_add_test(tcase, mixed_malloc_is_told_if_wanted);
	tcase_add_test(tcase, mixed_malloc_is_not_told_otherwise);
	tcase_add_test(tcase, what_is_the_blocks_is_not_mixed);
	tcase_add_test(tcase, save_free_does_not_take_what_is_the_blocks);

	tcase = block_case(suite, "realloc_always_moves");
	tcase_add_test(tcase, realloc_stays_where_it_is_if_it_can);
	tcase_add_test(tcase, realloc_moves_always_if_wanted);
	tcase_add_test(tcase, realloc_of_nothing_and_to_nothing);

	tcase = block_case(suite, "use_reclaim");
	tcase_add_test(tcase, what_a_task_allocates_goes_with_it);
	tcase_add_test(tcase, so_it_does_in_an_obtained_block);
	tcase_add_test(tcase, else_it_stays);
	tcase_add_test(tcase, a_block_that_goes_takes_what_tasks_hold_along);
	tcase_add_test(tcase, a_tasks_limit_is_of_this_as_well);
	tcase_add_test(tcase, what_a_stranger_holds_stays);
	tcase_add_test(tcase, it_can_be_given_to_another_task);

	tcase = block_case(suite, "other arguments");
	tcase_add_test(tcase, more_arguments_are_ignored);
	tcase_add_test(tcase, without_a_block_it_is_save_malloc);

	tcase = block_case(suite, "policy");
	tcase_add_test(tcase, the_environment_may_name_the_policy);
	tcase_add_test(tcase, there_is_no_other_policy);
	tcase_add_test(tcase, each_policy_chooses_its_place);
	tcase_add_test(tcase, what_its_policy_cannot_have_is_refused);

	tcase = block_case(suite, "fronts");
	tcase_add_test(tcase, what_a_thread_freed_it_may_have_again);
	tcase_add_test(tcase, a_given_block_with_fronts_can_be_let_go);
	tcase_add_test(tcase, a_thread_may_end_after_the_block);
	tcase_add_test(tcase, a_thread_may_end_without_a_front);

	tcase = block_case(suite, "wrong use");
	tcase_add_test(tcase, what_is_no_allocation_is_told_and_left_alone);

	tcase = block_case(suite, "statistics");
	tcase_add_test(tcase, mem_part_stats_are_vxworkss);
	tcase_add_test(tcase, without_a_block_every_field_is_left_alone);
	tcase_add_test(tcase, show_says_so_where_there_is_no_block);
	tcase_add_test(tcase, show_prints_settings_and_figures);
	tcase_add_test(tcase, svg_draws_who_has_what);
	tcase_add_test(tcase, svg_fails_with_its_file);

	tcase = block_case(suite, "threads and forks");
	tcase_add_test(tcase, threads_share_a_block);
	tcase_add_test(tcase, threads_of_a_task_share_one_with_records);
	tcase_add_test(tcase, a_child_goes_on_in_a_copy);
}

int main(void)
{
	return stage_run("sys_alloc", fill);
}
