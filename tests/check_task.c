/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of tasks: what makes one, who may enter it, how it ends, in which
 * order, and what those who wait are told.  Tasks with threads of their own
 * are in check_thread.c.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Long enough that only a hang gets there. */
#define LONG_MS 60000

static reclaim_tid root, a, b, c, d;

static struct reclaim_task_info info(reclaim_tid tid)
{
	struct reclaim_task_info found;

	ck_works(reclaim_task_info(tid, &found));
	return found;
}

static bool exists(reclaim_tid tid)
{
	struct reclaim_task_info found;

	return reclaim_task_info(tid, &found) == 0;
}

static reclaim_tid below(reclaim_tid parent)
{
	struct reclaim_task_opts opts = {.parent = parent};
	reclaim_tid tid = reclaim_task_new(&opts);

	ck_assert_uint_ne(tid, 0);
	return tid;
}

/* A task that notes a letter when it ends. */
static reclaim_tid noting(reclaim_tid parent, char letter)
{
	reclaim_tid tid = below(parent);

	work_for(tid);
	note_later(letter);
	work_no_longer();
	return tid;
}

static void remember_root(void)
{
	root = reclaim_self();
}

/* ---- another thread, that works for the root ---- */

static struct {
	pthread_t pthread;
	void (*act)(void);
	sem_t there, go;
	int error;
} other;

static void *run_other(void *arg)
{
	other.act();
	return arg;
}

static void start_other(void (*act)(void))
{
	sem_init(&other.there, 0, 0);
	sem_init(&other.go, 0, 0);
	other.act = act;
	other.error = 0;
	ck_works(pthread_create(&other.pthread, NULL, run_other, NULL));
}

static void join_other(void)
{
	ck_works(pthread_join(other.pthread, NULL));
	sem_destroy(&other.there);
	sem_destroy(&other.go);
}

static void be_in_a(void)
{
	reclaim_enter(a);
	sem_post(&other.there);
	sem_wait(&other.go);
	reclaim_leave();
}

static void start_other_in_a(void)
{
	start_other(be_in_a);
	sem_wait(&other.there);
}

static void let_other_leave(void)
{
	sem_post(&other.go);
	join_other();
}

/* ---- making ---- */

START_TEST(a_thread_works_for_the_root_at_first)
{
	struct reclaim_task_info found = info(reclaim_self());

	ck_assert_uint_eq(found.tid, reclaim_self());
	ck_assert_uint_eq(found.parent, 0);
	ck_assert_str_eq(found.name, "process");
	ck_assert_int_eq(found.state, RECLAIM_LIVE);
}
END_TEST

static void remember_b(void)
{
	b = reclaim_self();
}

START_TEST(so_does_any_other_thread)
{
	start_other(remember_b);
	join_other();
	ck_assert_uint_eq(b, root);
}
END_TEST

START_TEST(a_new_task_is_below_the_current_one)
{
	a = reclaim_task_new(NULL);
	ck_assert_uint_ne(a, 0);
	ck_assert_uint_eq(info(a).parent, root);
	work_for(a);
	b = reclaim_task_new(NULL);
	work_no_longer();
	ck_assert_uint_eq(info(b).parent, a);
	ck_assert_uint_eq(info(a).children, 1);
	end_task(a);
}
END_TEST

START_TEST(a_parent_may_be_named)
{
	a = below(0);
	b = below(a);
	c = below(b);
	ck_assert_uint_eq(info(a).parent, root);
	ck_assert_uint_eq(info(b).parent, a);
	ck_assert_uint_eq(info(c).parent, b);
	end_task(a);
}
END_TEST

START_TEST(a_name_is_copied)
{
	char name[] = "reader";
	struct reclaim_task_opts opts = {.name = name};

	a = reclaim_task_new(&opts);
	name[0] = 'l';
	ck_assert_str_eq(info(a).name, "reader");
	end_task(a);
}
END_TEST

START_TEST(a_long_name_is_cut)
{
	a = task_called("0123456789012345678901234567890123456789");
	ck_assert_str_eq(info(a).name, "0123456789012345678901234567890");
	ck_assert_uint_eq(strlen(info(a).name), RECLAIM_NAME_MAX - 1);
	end_task(a);
}
END_TEST

START_TEST(no_name_is_empty)
{
	a = task_called("first");
	end_task(a);
	a = reclaim_task_new(NULL);
	ck_assert_str_eq(info(a).name, "");
	end_task(a);
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
	struct reclaim_task_opts opts = {.flags = RECLAIM_DETACHED << 1};

	ck_fails(reclaim_task_new(&opts), 0, EINVAL);
	opts.flags = 1u << 31;
	ck_fails(reclaim_task_new(&opts), 0, EINVAL);
}
END_TEST

START_TEST(no_such_parent_is_refused)
{
	struct reclaim_task_opts opts;

	a = below(0);
	end_task(a);
	opts = (struct reclaim_task_opts){.parent = a};
	ck_fails(reclaim_task_new(&opts), 0, ESRCH);
	opts.parent = UINT64_MAX;
	ck_fails(reclaim_task_new(&opts), 0, ESRCH);
}
END_TEST

START_TEST(a_parent_that_is_ending_is_refused)
{
	a = below(0);
	work_for(a);
	end_task(a);
	ck_fails(reclaim_task_new(NULL), 0, ESRCH);
	work_no_longer();
}
END_TEST

static int by_tid(const void *left, const void *right)
{
	const reclaim_tid *x = left, *y = right;

	return (*x > *y) - (*x < *y);
}

START_TEST(tids_are_never_used_again)
{
	static reclaim_tid tids[2000];
	size_t i, n = sizeof(tids) / sizeof(tids[0]);

	for (i = 0; i < n; i++) {
		tids[i] = below(0);
		if (i % 3)
			end_task(tids[i]);
	}
	for (i = 0; i < n; i += 3)
		end_task(tids[i]);
	qsort(tids, n, sizeof(tids[0]), by_tid);
	for (i = 1; i < n; i++)
		ck_assert_uint_ne(tids[i], tids[i - 1]);
}
END_TEST

START_TEST(an_old_tid_is_of_no_task)
{
	a = below(0);
	end_task(a);
	b = below(0);
	ck_assert(!exists(a));
	ck_fails(reclaim_enter(a), -1, ESRCH);
	ck_fails(reclaim_end(a, 0), -1, ESRCH);
	ck_fails(reclaim_kill(a), -1, ESRCH);
	ck_fails(reclaim_wait(a, NULL, 0), -1, ESRCH);
	end_task(b);
}
END_TEST

START_TEST(zero_is_of_no_task)
{
	ck_fails(reclaim_task_info(0, &(struct reclaim_task_info){0}), -1,
		 ESRCH);
	ck_fails(reclaim_enter(0), -1, ESRCH);
	ck_fails(reclaim_end(0, 0), -1, ESRCH);
	ck_fails(reclaim_kill(0), -1, ESRCH);
	ck_fails(reclaim_wait(0, NULL, 0), -1, ESRCH);
}
END_TEST

/* ---- entering ---- */

START_TEST(entering_makes_a_task_current)
{
	a = below(0);
	work_for(a);
	ck_assert_uint_eq(reclaim_self(), a);
	work_no_longer();
	ck_assert_uint_eq(reclaim_self(), root);
	end_task(a);
}
END_TEST

START_TEST(entering_nests)
{
	a = below(0);
	b = below(0);
	work_for(a);
	work_for(b);
	work_for(a);
	ck_assert_uint_eq(reclaim_self(), a);
	work_no_longer();
	ck_assert_uint_eq(reclaim_self(), b);
	work_no_longer();
	ck_assert_uint_eq(reclaim_self(), a);
	work_no_longer();
	ck_assert_uint_eq(reclaim_self(), root);
	end_task(a);
	end_task(b);
}
END_TEST

START_TEST(leaving_nothing_is_refused)
{
	ck_fails(reclaim_leave(), -1, EPERM);
	a = below(0);
	work_for(a);
	work_no_longer();
	ck_fails(reclaim_leave(), -1, EPERM);
	end_task(a);
}
END_TEST

START_TEST(too_deep_is_refused)
{
	int i;

	a = below(0);
	for (i = 0; i < RECLAIM_ENTER_MAX; i++)
		work_for(a);
	ck_fails(reclaim_enter(a), -1, ENOBUFS);
	ck_assert_uint_eq(reclaim_self(), a);
	for (i = 0; i < RECLAIM_ENTER_MAX; i++)
		work_no_longer();
	ck_fails(reclaim_leave(), -1, EPERM);
	end_task(a);
}
END_TEST

START_TEST(where_another_thread_is_entering_is_refused)
{
	a = below(0);
	start_other_in_a();
	ck_fails(reclaim_enter(a), -1, EBUSY);
	let_other_leave();
	work_for(a);
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(the_root_cannot_be_entered)
{
	ck_fails(reclaim_enter(root), -1, EBUSY);
}
END_TEST

START_TEST(what_is_ending_cannot_be_entered)
{
	a = below(0);
	work_for(a);
	ck_works(reclaim_kill(a));
	ck_fails(reclaim_enter(a), -1, ESRCH);
	work_no_longer();
	ck_assert(!exists(a));
}
END_TEST

static void enter_and_forget(void)
{
	other.error = reclaim_enter(a) || reclaim_enter(b);
}

START_TEST(a_thread_that_ends_leaves_what_it_entered)
{
	a = below(0);
	b = below(a);
	start_other(enter_and_forget);
	join_other();
	ck_works(other.error);
	work_for(a);
	work_for(b);
	work_no_longer();
	work_no_longer();
	end_task(a);
}
END_TEST

static void enter_kill_and_forget(void)
{
	other.error = reclaim_enter(a) || reclaim_kill(a);
}

START_TEST(a_thread_that_ends_in_a_killed_task_ends_it)
{
	a = noting(0, 'a');
	start_other(enter_kill_and_forget);
	join_other();
	ck_works(other.error);
	ck_assert(!exists(a));
	ck_assert_str_eq(noted(), "a");
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* whose own last moment comes before */
static pthread_key_t key;

static void enter_late(void *arg)
{
	(void)arg;
	other.error = reclaim_enter(a);
}

static void have_a_late_destructor(void)
{
	pthread_setspecific(key, &key);
}

START_TEST(so_does_one_that_enters_in_its_last_moments)
{
	a = below(0);
	pthread_key_create(&key, enter_late);
	start_other(have_a_late_destructor);
	join_other();
	pthread_key_delete(key);
	ck_works(other.error);
	work_for(a);
	work_no_longer();
	end_task(a);
}
END_TEST
#endif

/* ---- what it is ---- */

static void release_nothing(void *id)
{
	(void)id;
}

static const struct reclaim_kind thing = {.name = "thing",
					  .release = release_nothing};

START_TEST(info_counts_what_is_held)
{
	struct reclaim_task_info found;
	void *block;
	int fd;

	a = below(0);
	work_for(a);
	block = save_malloc(112);
	ck_assert_ptr_nonnull(save_malloc(16));
	fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_works(reclaim_track(&thing, NULL, NULL));
	note_later('x');
	found = info(a);
	ck_assert_uint_eq(found.bytes, 128);
	ck_assert_uint_eq(found.blocks, 2);
	ck_assert_uint_eq(found.handles, 2);
	ck_assert_uint_eq(found.actions, 1);
	save_free(block);
	save_close(fd);
	found = info(a);
	ck_assert_uint_eq(found.bytes, 16);
	ck_assert_uint_eq(found.peak_bytes, 128);
	ck_assert_uint_eq(found.blocks, 1);
	ck_assert_uint_eq(found.handles, 1);
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(info_tells_the_limits)
{
	struct reclaim_task_opts opts = {.max_bytes = 1000, .max_handles = 10};
	struct reclaim_task_info found;

	a = reclaim_task_new(&opts);
	found = info(a);
	ck_assert_uint_eq(found.max_bytes, 1000);
	ck_assert_uint_eq(found.max_handles, 10);
	end_task(a);
}
END_TEST

START_TEST(info_tells_that_a_task_is_ending)
{
	a = below(0);
	work_for(a);
	ck_works(reclaim_end(a, 7));
	ck_assert_int_eq(info(a).state, RECLAIM_ENDING);
	ck_assert_int_eq(info(a).status, 7);
	work_no_longer();
}
END_TEST

START_TEST(handles_have_a_limit)
{
	struct reclaim_task_opts opts = {.max_handles = 2};
	reclaim_token token;

	a = reclaim_task_new(&opts);
	work_for(a);
	ck_works(reclaim_track(&thing, NULL, &token));
	ck_assert_int_ge(save_open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	ck_fails(reclaim_track(&thing, NULL, NULL), -1, EMFILE);
	ck_fails(save_open("/dev/null", O_RDONLY), -1, EMFILE);
	ck_works(reclaim_undefer(token, 0));
	ck_works(reclaim_track(&thing, NULL, NULL));
	ck_assert_uint_eq(info(a).handles, 2);
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(actions_are_no_handles)
{
	struct reclaim_task_opts opts = {.max_handles = 1};

	a = reclaim_task_new(&opts);
	work_for(a);
	note_later('x');
	note_later('y');
	ck_works(reclaim_track(&thing, NULL, NULL));
	work_no_longer();
	end_task(a);
	ck_assert_str_eq(noted(), "yx");
}
END_TEST

START_TEST(limits_are_a_tasks_own)
{
	struct reclaim_task_opts opts = {.max_handles = 1, .max_bytes = 10};

	a = reclaim_task_new(&opts);
	b = below(a);
	work_for(b);
	ck_works(reclaim_track(&thing, NULL, NULL));
	ck_works(reclaim_track(&thing, NULL, NULL));
	ck_assert_ptr_nonnull(save_malloc(100));
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(max_files_is_the_limit_of_handles)
{
	struct reclaim_task_opts opts = {.max_handles = 7};

	ck_assert_int_gt(reclaim_max_files(), 7);
	a = reclaim_task_new(&opts);
	work_for(a);
	ck_assert_int_eq(reclaim_max_files(), 7);
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(init_is_heard_once)
{
	int first = reclaim_init();

	ck_assert(first == 0 || errno == EALREADY);
	ck_fails(reclaim_init(), -1, EALREADY);
}
END_TEST

/* ---- ending ---- */

static char *still_there;

static void look_at_memory(void *arg)
{
	(void)arg;
	note(*still_there);
}

START_TEST(memory_goes_last)
{
	a = below(0);
	work_for(a);
	ck_works(reclaim_defer(look_at_memory, NULL, NULL));
	still_there = save_strdup("memory");
	work_no_longer();
	end_task(a);
	ck_assert_str_eq(noted(), "m");
	ck_assert(!exists(a));
}
END_TEST

START_TEST(children_go_first_newest_first)
{
	a = noting(0, 'a');
	noting(a, 'b');
	b = noting(a, 'c');
	noting(b, 'd');
	noting(b, 'e');
	noting(a, 'f');
	end_task(a);
	ck_assert_str_eq(noted(), "fedcba");
}
END_TEST

START_TEST(it_does_not_matter_what_came_between)
{
	a = below(0);
	work_for(a);
	note_later('1');
	b = noting(0, 'b');
	note_later('2');
	c = noting(0, 'c');
	note_later('3');
	work_no_longer();
	end_task(b);
	ck_assert_str_eq(noted(), "b");
	end_task(a);
	ck_assert_str_eq(noted(), "bc321");
}
END_TEST

START_TEST(siblings_stay)
{
	a = noting(0, 'a');
	b = noting(0, 'b');
	c = noting(0, 'c');
	end_task(b);
	ck_assert_str_eq(noted(), "b");
	ck_assert_int_eq(info(a).state, RECLAIM_LIVE);
	ck_assert_int_eq(info(c).state, RECLAIM_LIVE);
	end_task(a);
	end_task(c);
}
END_TEST

START_TEST(inside_it_ends_when_left)
{
	a = noting(0, 'a');
	work_for(a);
	work_for(a);
	end_task(a);
	ck_assert_str_eq(noted(), "");
	work_no_longer();
	ck_assert_str_eq(noted(), "");
	ck_assert_uint_eq(reclaim_self(), a);
	ck_assert_ptr_nonnull(save_malloc(10));
	note_later('x');
	work_no_longer();
	ck_assert_str_eq(noted(), "xa");
	ck_assert(!exists(a));
}
END_TEST

START_TEST(below_it_ends_when_left)
{
	a = noting(0, 'a');
	b = noting(a, 'b');
	c = noting(a, 'c');
	work_for(b);
	end_task(a);
	ck_assert_str_eq(noted(), "c");
	work_no_longer();
	ck_assert_str_eq(noted(), "cba");
}
END_TEST

START_TEST(a_newer_busy_child_holds_up_the_older)
{
	a = noting(0, 'a');
	b = noting(a, 'b');
	c = noting(a, 'c');
	work_for(c);
	ck_works(reclaim_kill(a));
	ck_assert_str_eq(noted(), "");
	work_no_longer();
	ck_assert_str_eq(noted(), "cba");
}
END_TEST

START_TEST(entered_beneath_another_counts_as_inside)
{
	a = noting(0, 'a');
	b = noting(0, 'b');
	work_for(a);
	work_for(b);
	end_task(a);
	ck_assert(exists(a));
	work_no_longer();
	work_no_longer();
	ck_assert(!exists(a));
	ck_assert_str_eq(noted(), "a");
	end_task(b);
}
END_TEST

static void end_a_slowly(void)
{
	sem_post(&other.there);
	other.error = reclaim_end(a, 3);
}

START_TEST(outside_the_end_waits_for_whoever_is_inside)
{
	a = noting(0, 'a');
	work_for(a);
	start_other(end_a_slowly);
	sem_wait(&other.there);
	while (info(a).state == RECLAIM_LIVE)
		sched_yield();
	ck_assert_str_eq(noted(), "");
	work_no_longer();
	join_other();
	ck_works(other.error);
	ck_assert_str_eq(noted(), "a");
}
END_TEST

START_TEST(a_killed_task_with_nobody_inside_has_ended)
{
	a = noting(0, 'a');
	noting(a, 'b');
	ck_works(reclaim_kill(a));
	ck_assert(!exists(a));
	ck_assert_str_eq(noted(), "ba");
}
END_TEST

START_TEST(a_killed_task_with_somebody_inside_ends_when_left)
{
	a = noting(0, 'a');
	start_other_in_a();
	ck_works(reclaim_kill(a));
	ck_assert_int_eq(info(a).state, RECLAIM_ENDING);
	ck_assert_int_eq(info(a).status, RECLAIM_KILLED);
	ck_assert_str_eq(noted(), "");
	let_other_leave();
	ck_assert(!exists(a));
	ck_assert_str_eq(noted(), "a");
}
END_TEST

START_TEST(asked_twice_the_first_status_stays)
{
	a = below(0);
	work_for(a);
	ck_works(reclaim_end(a, 3));
	ck_works(reclaim_end(a, 4));
	ck_works(reclaim_kill(a));
	ck_assert_int_eq(info(a).status, 3);
	work_no_longer();
}
END_TEST

START_TEST(asked_for_its_parent_as_well_it_ends_with_it)
{
	a = noting(0, 'a');
	b = noting(a, 'b');
	work_for(a);
	work_for(b);
	end_task(b);
	end_task(a);
	work_no_longer();
	ck_assert_str_eq(noted(), "b");
	work_no_longer();
	ck_assert_str_eq(noted(), "ba");
}
END_TEST

START_TEST(the_root_does_not_end)
{
	ck_fails(reclaim_end(root, 0), -1, EPERM);
	ck_fails(reclaim_kill(root), -1, EPERM);
}
END_TEST

START_TEST(ten_thousand_children_end)
{
	int i;

	a = noting(0, 'a');
	for (i = 0; i < 10000; i++)
		below(a);
	ck_assert_uint_eq(info(a).children, 10000);
	end_task(a);
	ck_assert_str_eq(noted(), "a");
}
END_TEST

START_TEST(a_deep_tree_ends)
{
	int i;

	a = b = noting(0, 'a');
	for (i = 0; i < 2000; i++)
		b = below(b);
	noting(b, 'z');
	end_task(a);
	ck_assert_str_eq(noted(), "za");
}
END_TEST

/* ---- ends within ends ---- */

static int errors[8];
static atomic_int error_count;

static void keep(int result)
{
	errors[error_count++ % 8] = result ? errno : 0;
}

static void end_a(void *arg)
{
	(void)arg;
	keep(reclaim_end(a, 0));
}

static void kill_a(void *arg)
{
	(void)arg;
	keep(reclaim_kill(a));
}

static void wait_for_a(void *arg)
{
	(void)arg;
	keep(reclaim_wait(a, NULL, -1));
}

static void do_in(reclaim_tid tid, void (*act)(void *))
{
	error_count = 0;
	work_for(tid);
	ck_works(reclaim_defer(act, NULL, NULL));
	work_no_longer();
}

START_TEST(a_task_that_is_releasing_cannot_end_itself_again)
{
	a = noting(0, 'a');
	do_in(a, end_a);
	end_task(a);
	ck_assert_int_eq(errors[0], EALREADY);
	ck_assert_str_eq(noted(), "a");
}
END_TEST

START_TEST(nor_wait_for_itself)
{
	a = below(0);
	do_in(a, wait_for_a);
	end_task(a);
	ck_assert_int_eq(errors[0], EDEADLK);
}
END_TEST

START_TEST(to_kill_itself_again_changes_nothing)
{
	a = noting(0, 'a');
	do_in(a, kill_a);
	end_task(a);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "a");
}
END_TEST

START_TEST(an_action_may_end_an_unrelated_task)
{
	a = noting(0, 'a');
	noting(a, 'c');
	b = noting(0, 'b');
	do_in(b, end_a);
	end_task(b);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "cab");
}
END_TEST

START_TEST(an_action_may_end_the_parent)
{
	a = noting(0, 'a');
	noting(a, 'b');
	c = noting(a, 'c');
	do_in(c, end_a);
	end_task(c);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "cba");
	ck_assert(!exists(a));
}
END_TEST

/* Both are dying; the newer goes first, but wants the older gone. */
START_TEST(an_action_may_end_an_older_sibling_that_ends_as_well)
{
	c = noting(0, 'c');
	a = noting(c, 'a');
	noting(a, 'x');
	b = noting(c, 'b');
	do_in(b, end_a);
	end_task(c);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "xabc");
}
END_TEST

START_TEST(an_action_may_wait_for_an_older_sibling_that_ends_as_well)
{
	c = noting(0, 'c');
	a = noting(c, 'a');
	b = noting(c, 'b');
	do_in(b, wait_for_a);
	end_task(c);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "abc");
}
END_TEST

START_TEST(an_action_may_wait_for_who_is_in_an_older_sibling)
{
	c = noting(0, 'c');
	a = noting(c, 'a');
	b = noting(c, 'b');
	do_in(b, end_a);
	start_other_in_a();
	sem_post(&other.go);
	end_task(c);
	join_other();
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "abc");
}
END_TEST

static void end_b(void *arg)
{
	(void)arg;
	keep(reclaim_end(b, 0));
}

static void wait_for_b(void *arg)
{
	(void)arg;
	keep(reclaim_wait(b, NULL, -1));
}

static void end_d(void *arg)
{
	(void)arg;
	keep(reclaim_end(d, 0));
}

START_TEST(so_may_an_action_within_the_action)
{
	c = noting(0, 'c');
	a = noting(c, 'a');
	b = noting(c, 'b');
	d = noting(0, 'd');
	do_in(d, end_a);
	do_in(b, end_d);
	end_task(c);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_int_eq(errors[1], 0);
	ck_assert_str_eq(noted(), "adbc");
}
END_TEST

START_TEST(two_tasks_may_end_each_other)
{
	a = noting(0, 'a');
	b = noting(0, 'b');
	do_in(a, end_b);
	do_in(b, end_a);
	end_task(a);
	ck_assert_int_eq(errors[0], EALREADY);
	ck_assert_int_eq(errors[1], 0);
	ck_assert_str_eq(noted(), "ba");
}
END_TEST

START_TEST(two_tasks_cannot_wait_for_each_other)
{
	a = noting(0, 'a');
	b = noting(0, 'b');
	do_in(a, wait_for_a);
	do_in(a, end_b);
	do_in(b, wait_for_a);
	end_task(a);
	ck_assert_int_eq(errors[0], EDEADLK);
	ck_assert_int_eq(errors[1], 0);
	ck_assert_int_eq(errors[2], EDEADLK);
}
END_TEST

static sem_t both;

/* Each of the two is being released when it goes on. */
static void meet(void *arg)
{
	(void)arg;
	sem_post(&other.there);
	while (sem_wait(&both) != 0)
		;
}

static void end_b_as_well(void)
{
	other.error = reclaim_end(b, 0);
}

static void end_both_at_once(void (*in_a)(void *), void (*in_b)(void *))
{
	int result;

	a = noting(0, 'a');
	b = noting(0, 'b');
	do_in(a, in_a);
	do_in(b, in_b);
	do_in(b, meet);
	sem_init(&both, 0, 0);
	start_other(end_b_as_well);
	sem_wait(&other.there);
	sem_post(&both);
	/* It may be gone by then. */
	result = reclaim_end(a, 0);
	ck_assert(result == 0 || errno == ESRCH);
	join_other();
	sem_destroy(&both);
	ck_works(other.error);
	ck_assert(!exists(a));
	ck_assert(!exists(b));
}

START_TEST(two_tasks_may_end_each_other_at_once)
{
	int i;

	for (i = 0; i < 100; i++) {
		end_both_at_once(end_b, end_a);
		ck_assert_uint_eq(strlen(noted()), 2 * (size_t)i + 2);
	}
}
END_TEST

START_TEST(two_tasks_cannot_wait_for_each_other_at_once)
{
	int i;

	for (i = 0; i < 100; i++) {
		end_both_at_once(wait_for_b, wait_for_a);
		ck_assert_uint_eq(strlen(noted()), 2 * (size_t)i + 2);
	}
}
END_TEST

static void be_in_a_and_end_b(void)
{
	reclaim_enter(a);
	sem_post(&other.there);
	sem_wait(&other.go);
	other.error = reclaim_end(b, 0);
	reclaim_leave();
}

START_TEST(two_threads_may_end_what_the_other_is_in)
{
	int i;

	for (i = 0; i < 100; i++) {
		a = below(0);
		b = below(0);
		start_other(be_in_a_and_end_b);
		sem_wait(&other.there);
		work_for(b);
		sem_post(&other.go);
		end_task(a);
		work_no_longer();
		join_other();
		ck_works(other.error);
		ck_assert(!exists(a));
		ck_assert(!exists(b));
	}
}
END_TEST

static void be_in_a_and_wait_a_little_for_b(void)
{
	reclaim_enter(a);
	sem_post(&other.there);
	reclaim_wait(b, NULL, 20);
	reclaim_leave();
}

START_TEST(who_waits_with_a_deadline_is_waited_for)
{
	a = below(0);
	b = below(0);
	start_other(be_in_a_and_wait_a_little_for_b);
	sem_wait(&other.there);
	work_for(b);
	usleep(1000);
	end_task(a);
	ck_assert(!exists(a));
	work_no_longer();
	join_other();
	end_task(b);
}
END_TEST

static void make_child(void *arg)
{
	(void)arg;
	keep(reclaim_task_new(NULL) ? 0 : -1);
}

START_TEST(an_action_cannot_make_a_child)
{
	a = below(0);
	do_in(a, make_child);
	end_task(a);
	ck_assert_int_eq(errors[0], ESRCH);
}
END_TEST

static void enter_b(void *arg)
{
	(void)arg;
	keep(reclaim_enter(b));
	ck_works(reclaim_defer(release_nothing, NULL, NULL));
}

static void note_current(void *arg)
{
	(void)arg;
	note(reclaim_self() == a ? 'a' : reclaim_self() == b ? 'b' : '?');
}

/* A task that an action entered and never left is left for it. */
START_TEST(each_action_begins_in_its_task)
{
	a = below(0);
	b = below(0);
	do_in(a, note_current);
	do_in(a, enter_b);
	do_in(a, note_current);
	end_task(a);
	ck_assert_int_eq(errors[0], 0);
	ck_assert_str_eq(noted(), "aa");
	ck_assert_uint_eq(reclaim_self(), root);
	ck_assert_uint_eq(info(b).actions, 1);
	end_task(b);
}
END_TEST

static void leave(void *arg)
{
	(void)arg;
	keep(reclaim_leave());
}

START_TEST(an_action_cannot_leave_for_whoever_ends_the_task)
{
	a = below(0);
	b = below(0);
	do_in(a, leave);
	work_for(b);
	end_task(a);
	ck_assert_int_eq(errors[0], EPERM);
	ck_assert_uint_eq(reclaim_self(), b);
	work_no_longer();
	end_task(b);
}
END_TEST

/* ---- waiting ---- */

START_TEST(a_live_task_times_out)
{
	int status = 77;

	a = below(0);
	ck_fails(reclaim_wait(a, &status, 0), -1, ETIMEDOUT);
	ck_fails(reclaim_wait(a, &status, 1), -1, ETIMEDOUT);
	ck_fails(reclaim_wait(a, NULL, 1001), -1, ETIMEDOUT);
	ck_assert_int_eq(status, 77);
	end_task(a);
}
END_TEST

START_TEST(to_wait_for_oneself_is_refused)
{
	a = below(0);
	b = below(a);
	ck_fails(reclaim_wait(root, NULL, -1), -1, EDEADLK);
	work_for(b);
	ck_fails(reclaim_wait(b, NULL, -1), -1, EDEADLK);
	ck_fails(reclaim_wait(a, NULL, -1), -1, EDEADLK);
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(to_wait_for_what_was_entered_before_is_refused)
{
	a = below(0);
	b = below(0);
	work_for(a);
	work_for(b);
	ck_fails(reclaim_wait(a, NULL, -1), -1, EDEADLK);
	work_no_longer();
	work_no_longer();
	end_task(a);
	end_task(b);
}
END_TEST

static int status_of_a;

static void wait_until_a_ended(void)
{
	sem_post(&other.there);
	other.error = reclaim_wait(a, &status_of_a, -1);
}

START_TEST(who_waits_is_told_the_status)
{
	a = below(0);
	work_for(a);
	start_other(wait_until_a_ended);
	sem_wait(&other.there);
	/* It may not wait yet: then there is no such task. */
	ck_works(reclaim_end(a, 42));
	work_no_longer();
	join_other();
	ck_assert(other.error == 0 ? status_of_a == 42 : other.error == -1);
}
END_TEST

struct waiter {
	pthread_t pthread;
	int result, error, status;
};

static void *wait_in_thread(void *arg)
{
	struct waiter *waiter = arg;

	sem_post(&other.there);
	waiter->result = reclaim_wait(a, &waiter->status, -1);
	waiter->error = errno;
	return NULL;
}

/* Certain that they all wait: it ends when the last was seen asleep. */
START_TEST(all_who_wait_are_told)
{
	struct waiter waiters[8];
	int i, told = 0;

	sem_init(&other.there, 0, 0);
	a = below(0);
	for (i = 0; i < 8; i++)
		ck_works(pthread_create(&waiters[i].pthread, NULL,
					wait_in_thread, &waiters[i]));
	for (i = 0; i < 8; i++)
		sem_wait(&other.there);
	usleep(1000);
	ck_works(reclaim_end(a, 5));
	for (i = 0; i < 8; i++) {
		pthread_join(waiters[i].pthread, NULL);
		if (waiters[i].result == 0) {
			ck_assert_int_eq(waiters[i].status, 5);
			told++;
		} else {
			ck_assert_int_eq(waiters[i].error, ESRCH);
		}
	}
	ck_assert(!exists(a));
	sem_destroy(&other.there);
	ck_assert_int_ge(told, 0);
}
END_TEST

START_TEST(a_cancelled_waiter_waits_no_more)
{
	a = below(0);
	start_other(wait_until_a_ended);
	sem_wait(&other.there);
	pthread_cancel(other.pthread);
	join_other();
	end_task(a);
	ck_assert(!exists(a));
}
END_TEST

START_TEST(a_waiter_cancelled_while_others_wait_keeps_nothing)
{
	struct waiter stays;

	a = below(0);
	start_other(wait_until_a_ended);
	sem_wait(&other.there);
	ck_works(pthread_create(&stays.pthread, NULL, wait_in_thread, &stays));
	sem_wait(&other.there);
	pthread_cancel(other.pthread);
	ck_works(pthread_join(other.pthread, NULL));
	end_task(a);
	pthread_join(stays.pthread, NULL);
	ck_assert(!exists(a));
}
END_TEST

static void *end_in_thread(void *arg)
{
	struct waiter *waiter = arg;

	waiter->result = reclaim_end(a, 0);
	waiter->error = errno;
	return NULL;
}

START_TEST(several_threads_may_end_one_task)
{
	struct waiter enders[4];
	int i, round, ended;

	for (round = 0; round < 100; round++) {
		a = below(0);
		b = below(a);
		work_for(b);
		ck_works(reclaim_defer(release_nothing, NULL, NULL));
		work_no_longer();
		ended = 0;
		for (i = 0; i < 4; i++)
			ck_works(pthread_create(&enders[i].pthread, NULL,
						end_in_thread, &enders[i]));
		for (i = 0; i < 4; i++) {
			pthread_join(enders[i].pthread, NULL);
			if (enders[i].result == 0)
				ended++;
			else
				ck_assert_int_eq(enders[i].error, ESRCH);
		}
		ck_assert_int_ge(ended, 1);
		ck_assert(!exists(a));
		ck_assert(!exists(b));
	}
}
END_TEST

/* ---- fork ---- */

/* Whether what `act` says in a forked child is true. */
static bool true_in_child(bool (*act)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(act() ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool tasks_work_as_before(void)
{
	reclaim_tid tid;

	if (reclaim_self() != a || reclaim_leave() != 0)
		return false;
	tid = reclaim_task_new(NULL);
	return reclaim_enter(tid) == 0 && save_malloc(10) &&
	       reclaim_leave() == 0 && reclaim_end(tid, 0) == 0 &&
	       reclaim_end(a, 0) == 0 && !exists(a);
}

START_TEST(a_forked_child_keeps_the_tasks)
{
	a = below(0);
	work_for(a);
	ck_assert(true_in_child(tasks_work_as_before));
	work_no_longer();
	end_task(a);
}
END_TEST

static bool no_action_is_left(void)
{
	reclaim_leave();
	reclaim_end(a, 0);
	return strcmp(noted(), "") == 0;
}

START_TEST(a_forked_child_drops_the_actions)
{
	a = noting(0, 'a');
	work_for(a);
	ck_assert(true_in_child(no_action_is_left));
	work_no_longer();
	end_task(a);
	ck_assert_str_eq(noted(), "a");
}
END_TEST

static int kept_fd;

static bool fd_is_closed_with_the_task(void)
{
	bool was_open = is_open(kept_fd);

	reclaim_leave();
	reclaim_end(a, 0);
	return was_open && !is_open(kept_fd);
}

START_TEST(a_forked_child_keeps_the_fds)
{
	a = below(0);
	work_for(a);
	kept_fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert(true_in_child(fd_is_closed_with_the_task));
	ck_assert(is_open(kept_fd));
	work_no_longer();
	end_task(a);
}
END_TEST

static void note_release(void *id)
{
	note(*(const char *)id);
}

static bool kept_kind_is_released_here(void)
{
	reclaim_leave();
	reclaim_end(a, 0);
	return strcmp(noted(), "k") == 0;
}

START_TEST(a_kind_says_what_a_forked_child_does)
{
	static const struct reclaim_kind kept = {.name = "kept",
						 .release = note_release,
						 .fork = RECLAIM_FORK_KEEP};
	static const struct reclaim_kind dropped = {.name = "dropped",
						    .release = note_release,
						    .fork = RECLAIM_FORK_DROP};

	a = below(0);
	work_for(a);
	ck_works(reclaim_track(&kept, (void *)"k", NULL));
	ck_works(reclaim_track(&dropped, (void *)"d", NULL));
	ck_assert(true_in_child(kept_kind_is_released_here));
	work_no_longer();
	end_task(a);
	ck_assert_str_eq(noted(), "dk");
}
END_TEST

static bool what_another_thread_was_in_is_free(void)
{
	return reclaim_enter(a) == 0 && reclaim_leave() == 0 &&
	       reclaim_end(a, 0) == 0 && !exists(a);
}

START_TEST(a_forked_child_has_nobody_inside)
{
	a = below(0);
	start_other_in_a();
	ck_assert(true_in_child(what_another_thread_was_in_is_free));
	let_other_leave();
	end_task(a);
}
END_TEST

/* ---- moving, and those below ---- */

START_TEST(children_are_listed_newest_first)
{
	reclaim_tid list[4] = {0};

	a = below(0);
	ck_assert_int_eq(reclaim_children(a, list, 4), 0);
	ck_assert_uint_eq(list[0], 0);
	b = below(a);
	c = below(a);
	d = below(c);
	ck_assert_int_eq(reclaim_children(a, list, 4), 2);
	ck_assert_uint_eq(list[0], c);
	ck_assert_uint_eq(list[1], b);
	ck_assert_int_eq(reclaim_children(c, list, 4), 1);
	ck_assert_uint_eq(list[0], d);
	end_task(a);
	ck_fails(reclaim_children(a, list, 4), -1, ESRCH);
	ck_fails(reclaim_children(0, list, 4), -1, ESRCH);
}
END_TEST

START_TEST(there_may_be_more_children_than_room)
{
	reclaim_tid list[2] = {0};

	a = below(0);
	b = below(a);
	c = below(a);
	ck_assert_int_eq(reclaim_children(a, list, 1), 2);
	ck_assert_uint_eq(list[0], c);
	ck_assert_uint_eq(list[1], 0);
	ck_assert_int_eq(reclaim_children(a, NULL, 0), 2);
	end_task(a);
}
END_TEST

static int return_at_once(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	return 9;
}

START_TEST(a_child_that_is_only_a_status_is_not_listed)
{
	struct reclaim_task_opts opts = {0};
	reclaim_tid list[1];
	int status;

	a = below(0);
	opts.parent = a;
	b = reclaim_spawn(&opts, return_at_once, NULL);
	ck_assert_uint_ne(b, 0);
	while (info(b).state != RECLAIM_ENDED)
		sched_yield();
	ck_assert_uint_eq(info(a).children, 1);
	ck_assert_int_eq(reclaim_children(a, list, 1), 0);
	ck_works(reclaim_wait(b, &status, -1));
	ck_assert_int_eq(status, 9);
	end_task(a);
}
END_TEST

START_TEST(a_task_moves_with_all_below_it)
{
	a = noting(0, 'a');
	b = noting(0, 'b');
	c = noting(a, 'c');
	d = noting(c, 'd');
	ck_works(reclaim_give_task(c, b));
	ck_assert_uint_eq(info(c).parent, b);
	ck_assert_uint_eq(info(d).parent, c);
	ck_assert_uint_eq(info(a).children, 0);
	ck_assert_uint_eq(info(b).children, 1);
	end_task(a);
	ck_assert_str_eq(noted(), "a");
	end_task(b);
	ck_assert_str_eq(noted(), "adcb");
	ck_assert(!exists(c));
}
END_TEST

START_TEST(a_moved_task_is_the_newest_child)
{
	reclaim_tid list[2];

	a = below(0);
	b = below(0);
	c = below(a);
	d = below(b);
	ck_works(reclaim_give_task(c, b));
	ck_assert_int_eq(reclaim_children(b, list, 2), 2);
	ck_assert_uint_eq(list[0], c);
	ck_works(reclaim_give_task(d, b));
	ck_assert_int_eq(reclaim_children(b, list, 2), 2);
	ck_assert_uint_eq(list[0], d);
	end_task(a);
	end_task(b);
}
END_TEST

START_TEST(a_task_moves_up_and_down)
{
	a = below(0);
	b = below(a);
	c = below(b);
	ck_works(reclaim_give_task(c, a));
	ck_assert_uint_eq(info(c).parent, a);
	ck_works(reclaim_give_task(b, c));
	ck_assert_uint_eq(info(b).parent, c);
	ck_works(reclaim_give_task(b, root));
	ck_assert_uint_eq(info(b).parent, root);
	end_task(a);
	ck_assert(!exists(c));
	ck_assert(exists(b));
	end_task(b);
}
END_TEST

START_TEST(no_task_moves_below_itself)
{
	a = below(0);
	b = below(a);
	c = below(b);
	ck_fails(reclaim_give_task(a, a), -1, EINVAL);
	ck_fails(reclaim_give_task(a, c), -1, EINVAL);
	ck_assert_uint_eq(info(a).parent, root);
	ck_assert_uint_eq(info(c).parent, b);
	end_task(a);
}
END_TEST

START_TEST(only_one_above_both_moves_a_task)
{
	a = below(0);
	b = below(0);
	c = below(a);
	work_for(a);
	ck_fails(reclaim_give_task(c, b), -1, EPERM);
	work_no_longer();
	work_for(c);
	ck_fails(reclaim_give_task(c, b), -1, EPERM);
	work_no_longer();
	ck_works(reclaim_give_task(c, b));
	end_task(a);
	end_task(b);
}
END_TEST

START_TEST(what_is_not_there_or_ends_does_not_move)
{
	a = below(0);
	b = below(0);
	c = below(a);
	end_task(c);
	ck_fails(reclaim_give_task(c, b), -1, ESRCH);
	ck_fails(reclaim_give_task(0, b), -1, ESRCH);
	ck_fails(reclaim_give_task(b, c), -1, ESRCH);
	start_other_in_a();
	ck_works(reclaim_kill(a));
	ck_fails(reclaim_give_task(a, b), -1, ESRCH);
	ck_fails(reclaim_give_task(b, a), -1, ESRCH);
	let_other_leave();
	ck_assert(!exists(a));
	end_task(b);
}
END_TEST

/* Somebody works for it all the while. */
START_TEST(a_task_that_somebody_is_in_moves)
{
	a = below(0);
	b = below(0);
	ck_works(reclaim_give_task(a, b));
	start_other_in_a();
	ck_works(reclaim_give_task(a, root));
	ck_works(reclaim_give_task(a, b));
	ck_works(reclaim_kill(b));
	ck_assert_int_eq(info(a).state, RECLAIM_ENDING);
	let_other_leave();
	ck_assert(!exists(a));
	ck_assert(!exists(b));
}
END_TEST

/* ---- the program ---- */

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "making");

	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, a_thread_works_for_the_root_at_first);
	tcase_add_test(tcase, so_does_any_other_thread);
	tcase_add_test(tcase, a_new_task_is_below_the_current_one);
	tcase_add_test(tcase, a_parent_may_be_named);
	tcase_add_test(tcase, a_name_is_copied);
	tcase_add_test(tcase, a_long_name_is_cut);
	tcase_add_test(tcase, no_name_is_empty);
	tcase_add_test(tcase, unknown_flags_are_refused);
	tcase_add_test(tcase, no_such_parent_is_refused);
	tcase_add_test(tcase, a_parent_that_is_ending_is_refused);
	tcase_add_test(tcase, tids_are_never_used_again);
	tcase_add_test(tcase, an_old_tid_is_of_no_task);
	tcase_add_test(tcase, zero_is_of_no_task);
	tcase_add_test(tcase, init_is_heard_once);

	tcase = stage_case(suite, "entering");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, entering_makes_a_task_current);
	tcase_add_test(tcase, entering_nests);
	tcase_add_test(tcase, leaving_nothing_is_refused);
	tcase_add_test(tcase, too_deep_is_refused);
	tcase_add_test(tcase, where_another_thread_is_entering_is_refused);
	tcase_add_test(tcase, the_root_cannot_be_entered);
	tcase_add_test(tcase, what_is_ending_cannot_be_entered);
	tcase_add_test(tcase, a_thread_that_ends_leaves_what_it_entered);
	tcase_add_test(tcase, a_thread_that_ends_in_a_killed_task_ends_it);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tcase, so_does_one_that_enters_in_its_last_moments);
#endif

	tcase = stage_case(suite, "what it is");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, info_counts_what_is_held);
	tcase_add_test(tcase, info_tells_the_limits);
	tcase_add_test(tcase, info_tells_that_a_task_is_ending);
	tcase_add_test(tcase, handles_have_a_limit);
	tcase_add_test(tcase, actions_are_no_handles);
	tcase_add_test(tcase, limits_are_a_tasks_own);
	tcase_add_test(tcase, max_files_is_the_limit_of_handles);

	tcase = stage_case(suite, "moving");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, children_are_listed_newest_first);
	tcase_add_test(tcase, there_may_be_more_children_than_room);
	tcase_add_test(tcase, a_child_that_is_only_a_status_is_not_listed);
	tcase_add_test(tcase, a_task_moves_with_all_below_it);
	tcase_add_test(tcase, a_moved_task_is_the_newest_child);
	tcase_add_test(tcase, a_task_moves_up_and_down);
	tcase_add_test(tcase, no_task_moves_below_itself);
	tcase_add_test(tcase, only_one_above_both_moves_a_task);
	tcase_add_test(tcase, what_is_not_there_or_ends_does_not_move);
	tcase_add_test(tcase, a_task_that_somebody_is_in_moves);

	tcase = stage_case(suite, "ending");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, memory_goes_last);
	tcase_add_test(tcase, children_go_first_newest_first);
	tcase_add_test(tcase, it_does_not_matter_what_came_between);
	tcase_add_test(tcase, siblings_stay);
	tcase_add_test(tcase, inside_it_ends_when_left);
	tcase_add_test(tcase, below_it_ends_when_left);
	tcase_add_test(tcase, a_newer_busy_child_holds_up_the_older);
	tcase_add_test(tcase, entered_beneath_another_counts_as_inside);
	tcase_add_test(tcase, outside_the_end_waits_for_whoever_is_inside);
	tcase_add_test(tcase, a_killed_task_with_nobody_inside_has_ended);
	tcase_add_test(tcase,
		       a_killed_task_with_somebody_inside_ends_when_left);
	tcase_add_test(tcase, asked_twice_the_first_status_stays);
	tcase_add_test(tcase, asked_for_its_parent_as_well_it_ends_with_it);
	tcase_add_test(tcase, the_root_does_not_end);
	tcase_add_test(tcase, ten_thousand_children_end);
	tcase_add_test(tcase, a_deep_tree_ends);

	tcase = stage_case(suite, "ends within ends");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, a_task_that_is_releasing_cannot_end_itself_again);
	tcase_add_test(tcase, nor_wait_for_itself);
	tcase_add_test(tcase, to_kill_itself_again_changes_nothing);
	tcase_add_test(tcase, an_action_may_end_an_unrelated_task);
	tcase_add_test(tcase, an_action_may_end_the_parent);
	tcase_add_test(tcase,
		       an_action_may_end_an_older_sibling_that_ends_as_well);
	tcase_add_test(
		tcase,
		an_action_may_wait_for_an_older_sibling_that_ends_as_well);
	tcase_add_test(tcase,
		       an_action_may_wait_for_who_is_in_an_older_sibling);
	tcase_add_test(tcase, so_may_an_action_within_the_action);
	tcase_add_test(tcase, two_tasks_may_end_each_other);
	tcase_add_test(tcase, two_tasks_cannot_wait_for_each_other);
	tcase_add_test(tcase, two_tasks_may_end_each_other_at_once);
	tcase_add_test(tcase, two_tasks_cannot_wait_for_each_other_at_once);
	tcase_add_test(tcase, two_threads_may_end_what_the_other_is_in);
	tcase_add_test(tcase, who_waits_with_a_deadline_is_waited_for);
	tcase_add_test(tcase, an_action_cannot_make_a_child);
	tcase_add_test(tcase, each_action_begins_in_its_task);
	tcase_add_test(tcase, an_action_cannot_leave_for_whoever_ends_the_task);

	tcase = stage_case(suite, "waiting");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, a_live_task_times_out);
	tcase_add_test(tcase, to_wait_for_oneself_is_refused);
	tcase_add_test(tcase, to_wait_for_what_was_entered_before_is_refused);
	tcase_add_test(tcase, who_waits_is_told_the_status);
	tcase_add_test(tcase, all_who_wait_are_told);
	tcase_add_test(tcase, a_cancelled_waiter_waits_no_more);
	tcase_add_test(tcase,
		       a_waiter_cancelled_while_others_wait_keeps_nothing);
	tcase_add_test(tcase, several_threads_may_end_one_task);

	tcase = stage_case(suite, "fork");
	tcase_add_checked_fixture(tcase, remember_root, NULL);
	tcase_add_test(tcase, a_forked_child_keeps_the_tasks);
	tcase_add_test(tcase, a_forked_child_drops_the_actions);
	tcase_add_test(tcase, a_forked_child_keeps_the_fds);
	tcase_add_test(tcase, a_kind_says_what_a_forked_child_does);
	tcase_add_test(tcase, a_forked_child_has_nobody_inside);
}

int main(void)
{
	return stage_run("task", fill);
}
