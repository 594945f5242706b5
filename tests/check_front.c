/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread keeps of what it freed in a block: it has it again, it counts
 * as free, it is found when it is freed twice, and it goes back to the block
 * whenever that is wanted.
 *
 * Where a tool listens there are no fronts, and nothing to test but that.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/area.h"

#define SIZE ((size_t)4 << 20)
#define KEEP ((size_t)64 << 10)

static struct area area;
static struct block *block;
static bool on; /* else a tool listens */

static void begin(void)
{
	area_make(&area, SIZE, 0);
	block = area_block(&area, BLOCK_AOFF, true);
	on = !block->guard;
	ck_assert(block_front(block, KEEP) == on);
}

static void end(void)
{
	block_front(block, 0);
	block_end(block);
	area_drop(&area);
}

static struct block_figures now(void)
{
	struct block_figures figures;

	block_figures(block, &figures);
	return figures;
}

static void *take(size_t size)
{
	void *ptr = block_alloc(block, size, GRANULE);

	must(ptr);
	return memset(ptr, 1, size);
}

static void put(void *ptr)
{
	must(block_free(block, ptr) == BLOCK_ALLOCATED);
}

/* ---- one thread ---- */

START_TEST(what_was_freed_last_is_had_again)
{
	char *first = take(100), *second = take(100), *third = take(100);

	put(second);
	put(first);
	if (on) {
		ck_assert_ptr_eq(take(100), first);
		ck_assert_ptr_eq(take(97), second);
	}
	put(third);
}
END_TEST

START_TEST(it_is_had_by_its_own_length_only)
{
	char *freed = take(100);

	take(16);
	put(freed);
	if (on) {
		ck_assert_ptr_ne(take(50), freed);
		ck_assert_ptr_ne(take(200), freed);
		ck_assert_ptr_eq(take(112), freed);
	}
}
END_TEST

START_TEST(without_fronts_the_lowest_place_is_had)
{
	char *low = take(100), *high;

	take(16);
	high = take(100);
	take(16);
	block_front(block, 0);
	put(low);
	put(high);
	ck_assert_ptr_eq(take(100), low);
}
END_TEST

START_TEST(what_is_kept_counts_as_free)
{
	struct block_figures before, after;
	char *ptr;

	put(take(500)); /* the front itself is made */
	before = now();
	ptr = take(500);
	ck_assert_uint_eq(now().blocks, before.blocks + 1);
	ck_assert_uint_gt(now().allocated, before.allocated);
	put(ptr);
	after = now();
	ck_assert_uint_eq(after.blocks, 0);
	ck_assert_uint_eq(after.allocated, 0);
	ck_assert_uint_eq(after.free, before.free);
	ck_assert_uint_eq(after.kept + after.allocated + after.free,
			  after.total);
	if (on)
		ck_assert_uint_eq(after.fronts, 512);
}
END_TEST

START_TEST(no_more_is_kept_than_was_said)
{
	void *ptr[2000];
	int i;

	for (i = 0; i < 2000; i++)
		ptr[i] = take(200);
	for (i = 0; i < 2000; i++) {
		put(ptr[i]);
		ck_assert_uint_le(now().fronts, KEEP + 1024);
	}
	ck_assert_uint_eq(now().allocated, 0);
}
END_TEST

START_TEST(it_is_zero_where_that_is_asked_for)
{
	char *ptr = take(300);

	memset(ptr, 0xff, 300);
	put(ptr);
	ptr = block_calloc(block, 300);
	ck_assert(all_bytes_are(ptr, 0, 300));
}
END_TEST

START_TEST(an_alignment_is_kept_to)
{
	size_t align;

	for (align = 32; align <= 4096; align *= 2) {
		put(take(64));
		ck_assert_uint_eq(
			(uintptr_t)block_alloc(block, 64, align) % align, 0);
	}
}
END_TEST

START_TEST(what_is_kept_and_freed_again_is_found)
{
	char *ptr = take(100), *other = take(100);
	struct block_figures before;

	put(ptr);
	before = now();
	ck_assert_int_eq(block_free(block, ptr), BLOCK_HOLE);
	ck_assert_int_eq(block_find(block, ptr), BLOCK_HOLE);
	put(other);
	ck_assert_int_eq(block_free(block, ptr), BLOCK_HOLE);
	ck_assert_uint_eq(now().blocks, before.blocks - 1);
}
END_TEST

START_TEST(a_pointer_into_an_allocation_is_not_kept)
{
	char *ptr = take(200);

	ck_assert_int_eq(block_free(block, ptr + 16), BLOCK_INSIDE);
	ck_assert_int_eq(block_free(block, ptr + 1), BLOCK_INSIDE);
	ck_assert_int_eq(block_free(block, area.at), BLOCK_ELSEWHERE);
	ck_assert_int_eq(block_free(block, area.at - 64), BLOCK_ELSEWHERE);
	put(ptr);
}
END_TEST

/* The key that is left in what was kept says nothing by itself. */
START_TEST(what_looks_as_if_it_was_kept_is_looked_for)
{
	struct kept *ptr = take(100);

	ptr->key = front_key(&block->fronts);
	put(ptr);
	ck_assert_uint_eq(now().blocks, 0);
}
END_TEST

/* What is kept in small pieces is needed as a whole. */
START_TEST(it_is_given_back_before_anything_fails)
{
	size_t count = 0;
	void *ptr[40000], *last;

	while (count < 40000 &&
	       (ptr[count] = block_alloc(block, 1000, GRANULE)))
		count++;
	ck_assert_uint_lt(count, 40000);
	last = ptr[--count];
	put(last);
	put(ptr[--count]);
	ck_assert_ptr_nonnull(block_alloc(block, 2000 - block->guard, GRANULE));
	errno = 0;
	ck_assert_ptr_null(block_alloc(block, SIZE, GRANULE));
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(a_block_that_is_nearly_full_keeps_nothing)
{
	void *ptr[40000];
	size_t count = 0;

	while (now().free > SIZE / 16)
		ptr[count++] = take(1000);
	put(ptr[--count]);
	ck_assert_uint_eq(now().fronts, 0);
	while (count > 0)
		put(ptr[--count]);
	if (on)
		ck_assert_uint_gt(now().fronts, 0);
}
END_TEST

START_TEST(switching_off_gives_all_back)
{
	char *ptr = take(100);

	put(ptr);
	block_front(block, 0);
	ck_assert_uint_eq(now().fronts, 0);
	ck_assert_int_eq(block_free(block, ptr), BLOCK_HOLE);
	put(take(100));
	ck_assert_uint_eq(now().fronts, 0);
}
END_TEST

/* Only one block has fronts; the next may when that is over. */
START_TEST(one_block_at_a_time)
{
	struct area other_area;
	struct block *other;

	area_make(&other_area, SIZE, 0);
	other = area_block(&other_area, BLOCK_AOFF, true);
	put(take(100));
	ck_assert(!block_front(other, KEEP));
	ck_assert(block_front(other, 0));
	ck_assert_ptr_nonnull(block_alloc(other, 100, GRANULE));
	block_end(other);
	area_drop(&other_area);
}
END_TEST

/* In the same memory, and this thread remembers its front of before. */
START_TEST(the_next_block_begins_anew)
{
	put(take(100));
	block_end(block);
	block = area_block(&area, BLOCK_AOFF, false);
	ck_assert(block_front(block, KEEP) == on);
	ck_assert_uint_eq(now().fronts, 0);
	put(take(100));
	if (on)
		ck_assert_uint_eq(now().fronts, 112);
	ck_assert_uint_eq(now().blocks, 0);
}
END_TEST

/* ---- many ---- */

#define THREADS 4
#define HELD	64

static int steps(void)
{
	return under_valgrind() ? 500 : 20000;
}

static void *_Atomic passed[HELD];

/* Some is freed by the thread that has it, some by whoever gets it. */
static void *replace_and_pass(void *arg)
{
	uint64_t state = fixture_seed() + (uintptr_t)arg;
	void *held[HELD] = {NULL};
	int i;

	for (i = 0; i < steps(); i++) {
		size_t at = fixture_random(&state) % HELD;
		void *ptr = take(1 + fixture_random(&state) % 900);

		if (fixture_random(&state) % 3 == 0) {
			ptr = atomic_exchange(&passed[at], ptr);
		} else {
			void *before = held[at];

			held[at] = ptr;
			ptr = before;
		}
		if (ptr)
			put(ptr);
	}
	for (i = 0; i < HELD; i++)
		if (held[i])
			put(held[i]);
	return NULL;
}

static void let_all_go(void)
{
	void *ptr;
	int i;

	for (i = 0; i < HELD; i++) {
		ptr = atomic_exchange(&passed[i], NULL);
		if (ptr)
			put(ptr);
	}
}

static void start(pthread_t *threads, void *(*run)(void *))
{
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		ck_works(pthread_create(&threads[i], NULL, run, (void *)i));
}

static void join(const pthread_t *threads)
{
	int i;

	for (i = 0; i < THREADS; i++)
		ck_works(pthread_join(threads[i], NULL));
}

START_TEST(threads_that_end_leave_nothing)
{
	pthread_t threads[THREADS];

	start(threads, replace_and_pass);
	join(threads);
	let_all_go();
	block_front(block, 0);
	ck_assert_uint_eq(now().blocks, 0);
	ck_assert_uint_eq(now().allocated, 0);
	/* This thread's own front is there yet. */
	ck_assert_uint_le(now().holes, 2);
}
END_TEST

/* Others look, flush and want all that there is meanwhile. */
START_TEST(they_may_be_flushed_at_any_time)
{
	pthread_t threads[THREADS];
	int i;

	start(threads, replace_and_pass);
	for (i = 0; i < 200; i++) {
		must(!block_alloc(block, SIZE, GRANULE));
		must(now().kept + now().allocated + now().free <= 2 * SIZE);
		sched_yield();
	}
	join(threads);
	let_all_go();
	block_front(block, 0);
	ck_assert_uint_eq(now().blocks, 0);
}
END_TEST

static sem_t kept_there, looked;

static void *keep_one(void *arg)
{
	put(arg);
	sem_post(&kept_there);
	sem_wait(&looked);
	return NULL;
}

START_TEST(what_another_thread_keeps_is_found_when_freed_again)
{
	void *ptr = take(100);
	pthread_t thread;

	sem_init(&kept_there, 0, 0);
	sem_init(&looked, 0, 0);
	ck_works(pthread_create(&thread, NULL, keep_one, ptr));
	sem_wait(&kept_there);
	ck_assert_int_eq(block_free(block, ptr), BLOCK_HOLE);
	sem_post(&looked);
	ck_works(pthread_join(thread, NULL));
	ck_assert_int_eq(block_free(block, ptr), BLOCK_HOLE);
	ck_assert_uint_eq(now().blocks, 0);
}
END_TEST

/* It ends as another program: the thread sanitizer would miss the threads. */
static void use_in_child(void)
{
	void *ptr[100];
	int i;

	for (i = 0; i < 100; i++)
		ptr[i] = take((size_t)i * 10 + 1);
	for (i = 0; i < 100; i++)
		put(ptr[i]);
	must(!block_alloc(block, SIZE, GRANULE));
	execl("/bin/true", "true", (char *)NULL);
	abort();
}

START_TEST(a_child_goes_on_with_its_own)
{
	int i, status, forks = under_valgrind() ? 3 : 20;
	pthread_t threads[THREADS];
	pid_t pid;

	start(threads, replace_and_pass);
	for (i = 0; i < forks; i++) {
		block_lock(block);
		pid = fork();
		block_unlock(block);
		must(pid >= 0);
		if (pid == 0)
			use_in_child();
		must(waitpid(pid, &status, 0) == pid && status == 0);
	}
	join(threads);
	let_all_go();
}
END_TEST

static TCase *front_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, begin, end);
	return tcase;
}

static void fill(Suite *suite)
{
	TCase *tcase;

	tcase = front_case(suite, "one thread");
	tcase_add_test(tcase, what_was_freed_last_is_had_again);
	tcase_add_test(tcase, it_is_had_by_its_own_length_only);
	tcase_add_test(tcase, without_fronts_the_lowest_place_is_had);
	tcase_add_test(tcase, what_is_kept_counts_as_free);
	tcase_add_test(tcase, no_more_is_kept_than_was_said);
	tcase_add_test(tcase, it_is_zero_where_that_is_asked_for);
	tcase_add_test(tcase, an_alignment_is_kept_to);
	tcase_add_test(tcase, what_is_kept_and_freed_again_is_found);
	tcase_add_test(tcase, a_pointer_into_an_allocation_is_not_kept);
	tcase_add_test(tcase, what_looks_as_if_it_was_kept_is_looked_for);
	tcase_add_test(tcase, it_is_given_back_before_anything_fails);
	tcase_add_test(tcase, a_block_that_is_nearly_full_keeps_nothing);
	tcase_add_test(tcase, switching_off_gives_all_back);
	tcase_add_test(tcase, one_block_at_a_time);
	tcase_add_test(tcase, the_next_block_begins_anew);

	tcase = front_case(suite, "many");
	tcase_add_test(tcase, threads_that_end_leave_nothing);
	tcase_add_test(tcase, they_may_be_flushed_at_any_time);
	tcase_add_test(tcase,
		       what_another_thread_keeps_is_found_when_freed_again);
	tcase_add_test(tcase, a_child_goes_on_with_its_own);
}

int main(void)
{
	return stage_run("front", fill);
}
