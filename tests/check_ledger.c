/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a task holds besides memory: each release runs once, in exact reverse
 * order of acquisition, whatever is done to the ledger meanwhile, and even
 * from within a release.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static reclaim_tid task, other;

static struct reclaim_task_info info(reclaim_tid tid)
{
	struct reclaim_task_info found;

	ck_works(reclaim_task_info(tid, &found));
	return found;
}

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
	if (reclaim_task_info(other, &found) == 0)
		end_task(other);
}

static void leave_and_end(void)
{
	work_no_longer();
	end_task(task);
}

static void note_arg(void *arg)
{
	note(*(const char *)arg);
}

static reclaim_token defer(const char *letter)
{
	reclaim_token token;

	ck_works(reclaim_defer(note_arg, (void *)letter, &token));
	return token;
}

static const struct reclaim_kind letters = {.name = "letter",
					    .release = note_arg};

static reclaim_token track(const char *letter)
{
	reclaim_token token;

	ck_works(reclaim_track(&letters, (void *)letter, &token));
	return token;
}

/* ---- the order ---- */

START_TEST(actions_run_newest_first)
{
	defer("1");
	defer("2");
	defer("3");
	leave_and_end();
	ck_assert_str_eq(noted(), "321");
}
END_TEST

START_TEST(handles_and_actions_are_in_one_order)
{
	defer("1");
	track("2");
	defer("3");
	track("4");
	track("5");
	leave_and_end();
	ck_assert_str_eq(noted(), "54321");
}
END_TEST

START_TEST(what_is_taken_out_leaves_the_rest_in_order)
{
	reclaim_token first, middle, last;

	first = defer("1");
	defer("2");
	middle = track("3");
	defer("4");
	last = track("5");
	ck_works(reclaim_undefer(middle, 0));
	ck_works(reclaim_undefer(last, 0));
	ck_works(reclaim_undefer(first, 0));
	track("6");
	leave_and_end();
	ck_assert_str_eq(noted(), "642");
}
END_TEST

static int read_end;

static void read_byte(void *arg)
{
	char byte = '?';

	(void)arg;
	if (read(read_end, &byte, 1) == 1)
		note(byte);
}

START_TEST(an_action_may_use_older_handles)
{
	int fds[2];

	ck_works(save_pipe2(fds, O_CLOEXEC));
	read_end = fds[0];
	ck_assert_int_eq(write(fds[1], "p", 1), 1);
	ck_works(reclaim_defer(read_byte, NULL, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "p");
	ck_assert(!is_open(fds[0]));
}
END_TEST

static int newer_fd;

static void look_at_newer_fd(void *arg)
{
	(void)arg;
	note(is_open(newer_fd) ? 'o' : 'c');
}

START_TEST(newer_handles_are_gone_when_an_action_runs)
{
	ck_works(reclaim_defer(look_at_newer_fd, NULL, NULL));
	newer_fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	leave_and_end();
	ck_assert_str_eq(noted(), "c");
}
END_TEST

/* ---- tokens ---- */

START_TEST(undefer_takes_an_action_back)
{
	reclaim_token token = defer("1");

	ck_assert_uint_ne(token, 0);
	ck_works(reclaim_undefer(token, 0));
	ck_assert_uint_eq(deferred(), 0);
	leave_and_end();
	ck_assert_str_eq(noted(), "");
}
END_TEST

START_TEST(undefer_may_run_it)
{
	ck_works(reclaim_undefer(defer("1"), 1));
	ck_assert_str_eq(noted(), "1");
	ck_works(reclaim_undefer(track("2"), 1));
	ck_assert_str_eq(noted(), "12");
	leave_and_end();
	ck_assert_str_eq(noted(), "12");
}
END_TEST

START_TEST(a_token_is_good_once)
{
	reclaim_token token = defer("1");

	ck_works(reclaim_undefer(token, 1));
	ck_fails(reclaim_undefer(token, 1), -1, ENOENT);
	ck_fails(reclaim_undefer(token, 0), -1, ENOENT);
	ck_assert_str_eq(noted(), "1");
}
END_TEST

START_TEST(a_token_is_not_good_after_the_end)
{
	reclaim_token token = defer("1");

	leave_and_end();
	ck_fails(reclaim_undefer(token, 1), -1, ENOENT);
	ck_assert_str_eq(noted(), "1");
}
END_TEST

START_TEST(nobodys_tokens_are_refused)
{
	ck_fails(reclaim_undefer(0, 0), -1, ENOENT);
	ck_fails(reclaim_undefer(UINT64_MAX, 0), -1, ENOENT);
	ck_fails(reclaim_undefer(UINT32_MAX, 0), -1, ENOENT);
}
END_TEST

static int by_value(const void *left, const void *right)
{
	const reclaim_token *x = left, *y = right;

	return (*x > *y) - (*x < *y);
}

START_TEST(tokens_are_never_used_again)
{
	static reclaim_token tokens[3000];
	size_t i, n = sizeof(tokens) / sizeof(tokens[0]);

	for (i = 0; i < n; i++) {
		tokens[i] = defer("1");
		if (i % 4)
			ck_works(reclaim_undefer(tokens[i], 0));
	}
	for (i = 0; i < n; i += 4)
		ck_works(reclaim_undefer(tokens[i], 0));
	qsort(tokens, n, sizeof(tokens[0]), by_value);
	for (i = 1; i < n; i++)
		ck_assert_uint_ne(tokens[i], tokens[i - 1]);
}
END_TEST

START_TEST(a_parent_and_a_child_may_take_back)
{
	struct reclaim_task_opts opts = {.parent = task};
	reclaim_token token = defer("1");
	reclaim_tid child = reclaim_task_new(&opts);

	work_for(child);
	ck_works(reclaim_undefer(token, 0));
	token = defer("2");
	work_no_longer();
	ck_works(reclaim_undefer(token, 1));
	ck_assert_str_eq(noted(), "2");
}
END_TEST

START_TEST(a_stranger_may_not)
{
	reclaim_token token = defer("1");

	work_for(other);
	ck_fails(reclaim_undefer(token, 0), -1, EPERM);
	ck_fails(reclaim_undefer(token, 1), -1, EPERM);
	work_no_longer();
	ck_works(reclaim_undefer(token, 1));
	ck_assert_str_eq(noted(), "1");
}
END_TEST

static void drop_token(void *arg)
{
	struct reclaim_task_info found = info(task);

	note(reclaim_undefer(*(reclaim_token *)arg, 0) == 0 ? 'y' : 'n');
	note((char)('0' + found.actions));
}

START_TEST(an_action_may_take_an_older_one_back)
{
	reclaim_token first;

	first = defer("1");
	defer("2");
	ck_works(reclaim_defer(drop_token, &first, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "y22");
}
END_TEST

static reclaim_token own_token;

START_TEST(an_action_cannot_take_itself_back)
{
	ck_works(reclaim_defer(drop_token, &own_token, &own_token));
	leave_and_end();
	ck_assert_str_eq(noted(), "n0");
}
END_TEST

static void run_token(void *arg)
{
	note('(');
	reclaim_undefer(*(reclaim_token *)arg, 1);
	note(')');
}

START_TEST(an_action_may_run_an_older_one)
{
	reclaim_token first;

	first = defer("1");
	defer("2");
	ck_works(reclaim_defer(run_token, &first, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "(1)2");
}
END_TEST

/* Each one runs the one before: nothing runs twice. */
START_TEST(actions_that_run_each_other_run_once)
{
	static reclaim_token tokens[10];
	int i;

	tokens[0] = defer("!");
	for (i = 1; i < 10; i++)
		ck_works(reclaim_defer(run_token, &tokens[i - 1], &tokens[i]));
	leave_and_end();
	ck_assert_str_eq(noted(), "(((((((((!)))))))))");
}
END_TEST

/* ---- wrong arguments ---- */

START_TEST(no_action_is_refused)
{
	ck_fails(reclaim_defer(NULL, NULL, NULL), -1, EINVAL);
	ck_assert_uint_eq(deferred(), 0);
}
END_TEST

START_TEST(a_kind_without_a_release_is_refused)
{
	static const struct reclaim_kind nothing = {.name = "nothing"};
	static const struct reclaim_kind strange = {
		.name = "strange", .release = note_arg, .fork = 1 << 8};

	ck_fails(reclaim_track(NULL, NULL, NULL), -1, EINVAL);
	ck_fails(reclaim_track(&nothing, NULL, NULL), -1, EINVAL);
	ck_fails(reclaim_track(&strange, NULL, NULL), -1, EINVAL);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(the_same_thing_may_be_tracked_twice)
{
	reclaim_token first, second;

	first = track("1");
	second = track("1");
	ck_assert_uint_ne(first, second);
	leave_and_end();
	ck_assert_str_eq(noted(), "11");
}
END_TEST

/* ---- savepoints ---- */

START_TEST(release_to_goes_back_to_a_mark)
{
	reclaim_mark mark;

	defer("1");
	track("2");
	mark = reclaim_mark_here();
	defer("3");
	track("4");
	ck_works(reclaim_release_to(mark));
	ck_assert_str_eq(noted(), "43");
	ck_works(reclaim_release_to(mark));
	ck_assert_str_eq(noted(), "43");
	defer("5");
	leave_and_end();
	ck_assert_str_eq(noted(), "43521");
}
END_TEST

START_TEST(marks_nest)
{
	reclaim_mark outer, inner;

	outer = reclaim_mark_here();
	defer("1");
	inner = reclaim_mark_here();
	defer("2");
	ck_works(reclaim_release_to(inner));
	ck_assert_str_eq(noted(), "2");
	defer("3");
	ck_works(reclaim_release_to(outer));
	ck_assert_str_eq(noted(), "231");
	ck_works(reclaim_release_to(inner));
}
END_TEST

START_TEST(a_mark_outlives_what_was_before_it)
{
	reclaim_token token = defer("1");
	reclaim_mark mark = reclaim_mark_here();

	ck_works(reclaim_undefer(token, 0));
	defer("2");
	ck_works(reclaim_release_to(mark));
	ck_assert_str_eq(noted(), "2");
}
END_TEST

START_TEST(memory_stays_at_a_mark)
{
	reclaim_mark mark = reclaim_mark_here();
	char *block = save_strdup("stays");

	ck_works(reclaim_release_to(mark));
	ck_assert_str_eq(block, "stays");
}
END_TEST

START_TEST(a_mark_of_another_task_is_refused)
{
	reclaim_mark mark = reclaim_mark_here();

	defer("1");
	work_for(other);
	ck_fails(reclaim_release_to(mark), -1, EINVAL);
	work_no_longer();
	ck_assert_str_eq(noted(), "");
	ck_fails(reclaim_release_to((reclaim_mark){0}), -1, EINVAL);
}
END_TEST

START_TEST(the_root_has_savepoints_too)
{
	reclaim_mark mark;

	work_no_longer();
	mark = reclaim_mark_here();
	defer("1");
	ck_works(reclaim_release_to(mark));
	ck_assert_str_eq(noted(), "1");
	work_for(task);
}
END_TEST

/* ---- actions that do something ---- */

static void defer_another(void *arg)
{
	note('a');
	defer(arg);
}

START_TEST(what_an_action_defers_runs_next)
{
	defer("1");
	ck_works(reclaim_defer(defer_another, (void *)"2", NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "a21");
}
END_TEST

static void defer_itself(void *arg)
{
	int *left = arg;

	note((char)('0' + *left));
	if (--*left > 0)
		ck_works(reclaim_defer(defer_itself, left, NULL));
}

START_TEST(an_action_may_defer_itself_again)
{
	int left = 5;

	ck_works(reclaim_defer(defer_itself, &left, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "54321");
}
END_TEST

static int fd_of_action;

static void acquire_things(void *arg)
{
	(void)arg;
	fd_of_action = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	note(fd_of_action >= 0 ? 'o' : '?');
	note(save_malloc(100) ? 'm' : '?');
	note(save_fopen("/dev/null", "re") ? 'f' : '?');
	track("t");
}

START_TEST(what_an_action_acquires_is_released)
{
	ck_works(reclaim_defer(acquire_things, NULL, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "omft");
	ck_assert(!is_open(fd_of_action));
}
END_TEST

START_TEST(so_it_is_when_run_by_undefer)
{
	reclaim_token token;

	ck_works(reclaim_defer(acquire_things, NULL, &token));
	ck_works(reclaim_undefer(token, 1));
	ck_assert_str_eq(noted(), "omf");
	ck_assert_uint_eq(held(), 3);
	leave_and_end();
	ck_assert_str_eq(noted(), "omft");
}
END_TEST

static void exit_now(void *arg)
{
	note_arg(arg);
	save_exit(3);
}

static void reclaim_exit_now(void *arg)
{
	note_arg(arg);
	reclaim_exit(3);
}

START_TEST(exit_in_an_action_ends_it_alone)
{
	defer("1");
	ck_works(reclaim_defer(exit_now, (void *)"2", NULL));
	ck_works(reclaim_defer(reclaim_exit_now, (void *)"3", NULL));
	defer("4");
	leave_and_end();
	ck_assert_str_eq(noted(), "4321");
}
END_TEST

START_TEST(exit_in_a_release_of_a_kind_ends_it_alone)
{
	static const struct reclaim_kind exits = {.name = "exits",
						  .release = exit_now};

	defer("1");
	ck_works(reclaim_track(&exits, (void *)"2", NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "21");
}
END_TEST

START_TEST(exit_in_an_action_that_undefer_runs_ends_it_alone)
{
	reclaim_token token;

	ck_works(reclaim_defer(exit_now, (void *)"1", &token));
	ck_works(reclaim_undefer(token, 1));
	note('-');
	ck_assert_uint_eq(reclaim_self(), task);
	leave_and_end();
	ck_assert_str_eq(noted(), "1-");
}
END_TEST

static void end_other_and_exit(void *arg)
{
	(void)arg;
	reclaim_end(other, 0);
	note('!');
	save_exit(0);
}

START_TEST(exit_ends_the_innermost_action)
{
	work_for(other);
	ck_works(reclaim_defer(exit_now, (void *)"o", NULL));
	work_no_longer();
	defer("1");
	ck_works(reclaim_defer(end_other_and_exit, NULL, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "o!1");
}
END_TEST

static void note_task(void *arg)
{
	(void)arg;
	note(reclaim_self() == task    ? 't'
	     : reclaim_self() == other ? 'o'
				       : '?');
}

START_TEST(an_action_runs_with_its_task_current)
{
	ck_works(reclaim_defer(note_task, NULL, NULL));
	work_no_longer();
	work_for(other);
	end_task(task);
	ck_assert_uint_eq(reclaim_self(), other);
	work_no_longer();
	ck_assert_str_eq(noted(), "t");
}
END_TEST

static void note_cancellation(void *arg)
{
	int state;

	(void)arg;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	note(state == PTHREAD_CANCEL_DISABLE ? 'd' : 'e');
	pthread_setcancelstate(state, NULL);
}

static void *note_cancellations(void *arg)
{
	reclaim_token token;
	reclaim_mark mark;

	reclaim_enter(task);
	mark = reclaim_mark_here();
	reclaim_defer(note_cancellation, NULL, NULL);
	reclaim_release_to(mark);
	reclaim_defer(note_cancellation, NULL, &token);
	reclaim_undefer(token, 1);
	reclaim_defer(note_cancellation, NULL, NULL);
	reclaim_leave();
	reclaim_end(task, 0);
	note_cancellation(NULL);
	return arg;
}

START_TEST(releases_run_with_cancellation_disabled)
{
	pthread_t thread;

	work_no_longer();
	ck_works(pthread_create(&thread, NULL, note_cancellations, NULL));
	ck_works(pthread_join(thread, NULL));
	ck_assert_str_eq(noted(), "ddde");
}
END_TEST

static void enter_other(void *arg)
{
	reclaim_enter(other);
	note_arg(arg);
}

START_TEST(a_task_that_an_action_entered_is_left)
{
	reclaim_token token;

	ck_works(reclaim_defer(enter_other, (void *)"1", &token));
	ck_works(reclaim_undefer(token, 1));
	ck_assert_uint_eq(reclaim_self(), task);
	leave_and_end();
}
END_TEST

START_TEST(many_are_released)
{
	int i;

	for (i = 0; i < 50000; i++)
		ck_works(reclaim_track(&letters, (void *)"x", NULL));
	ck_assert_uint_eq(held(), 50000);
	leave_and_end();
	ck_assert_uint_eq(strlen(noted()), 255); /* as many as are kept */
}
END_TEST

/* ---- giving ---- */

START_TEST(a_gift_is_the_receivers_newest)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	newer_fd = fd;
	work_for(other);
	defer("1");
	ck_works(reclaim_defer(look_at_newer_fd, NULL, NULL));
	work_no_longer();
	ck_works(reclaim_give_fd(fd, other));
	ck_assert_uint_eq(held(), 0);
	ck_assert_uint_eq(held_by(other), 1);
	leave_and_end();
	ck_assert(is_open(fd));
	end_task(other);
	ck_assert(!is_open(fd));
	ck_assert_str_eq(noted(), "c1");
}
END_TEST

START_TEST(a_file_goes_with_its_fd)
{
	FILE *file = save_fopen("/dev/null", "re");
	int fd = fileno(file);

	ck_works(reclaim_give_fd(fd, other));
	leave_and_end();
	ck_assert(is_open(fd));
	work_for(other);
	ck_works(save_fclose(file));
	work_no_longer();
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(only_what_is_tracked_is_given)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_fails(reclaim_give_fd(fd, other), -1, EBADF);
	ck_fails(reclaim_give_fd(-1, other), -1, EBADF);
	ck_fails(reclaim_give_fd(1000000, other), -1, EBADF);
	close(fd);
}
END_TEST

START_TEST(nobody_gives_a_strangers)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	work_for(other);
	ck_fails(reclaim_give_fd(fd, other), -1, EPERM);
	work_no_longer();
	ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(a_childs_may_be_taken)
{
	struct reclaim_task_opts opts = {.parent = task};
	reclaim_tid child = reclaim_task_new(&opts);
	int fd;

	work_for(child);
	fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	work_no_longer();
	ck_works(reclaim_give_fd(fd, task));
	end_task(child);
	ck_assert(is_open(fd));
	ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(a_receiver_has_to_exist)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	reclaim_tid gone = task_called("gone");

	end_task(gone);
	ck_fails(reclaim_give_fd(fd, gone), -1, ESRCH);
	ck_fails(reclaim_give_fd(fd, 0), -1, ESRCH);
	ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(a_receiver_may_be_full)
{
	struct reclaim_task_opts opts = {.max_handles = 1};
	reclaim_tid full = reclaim_task_new(&opts);
	int fds[2];

	ck_works(save_pipe2(fds, O_CLOEXEC));
	ck_works(reclaim_give_fd(fds[0], full));
	ck_fails(reclaim_give_fd(fds[1], full), -1, EMFILE);
	ck_assert_uint_eq(held(), 1);
	ck_assert_uint_eq(held_by(full), 1);
}
END_TEST

START_TEST(giving_to_oneself_needs_no_room)
{
	struct reclaim_task_opts opts = {.max_handles = 2};
	reclaim_tid full = reclaim_task_new(&opts);

	work_for(full);
	newer_fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	track("t");
	ck_works(reclaim_give_fd(newer_fd, full));
	ck_works(reclaim_defer(look_at_newer_fd, NULL, NULL));
	ck_works(reclaim_give_fd(newer_fd, full));
	ck_assert_uint_eq(held(), 2);
	work_no_longer();
	end_task(full);
	ck_assert_str_eq(noted(), "ct");
}
END_TEST

/* ---- giving to what is about to be gone ---- */

static sem_t releasing, released;
static int give_error;

static void be_slow(void *arg)
{
	(void)arg;
	sem_post(&releasing);
	while (sem_wait(&released) != 0)
		;
}

static void *end_other_slowly(void *arg)
{
	reclaim_end(other, 0);
	return arg;
}

START_TEST(what_is_being_released_is_given_nothing_more)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	void *block = save_malloc(10);
	pthread_t thread;

	sem_init(&releasing, 0, 0);
	sem_init(&released, 0, 0);
	work_for(other);
	ck_works(reclaim_defer(be_slow, NULL, NULL));
	work_no_longer();
	ck_works(pthread_create(&thread, NULL, end_other_slowly, NULL));
	while (sem_wait(&releasing) != 0)
		;
	ck_fails(reclaim_give_fd(fd, other), -1, ESRCH);
	ck_fails(reclaim_give(block, other), NULL, ESRCH);
	sem_post(&released);
	ck_works(pthread_join(thread, NULL));
	ck_assert_uint_eq(held(), 1);
	sem_destroy(&releasing);
	sem_destroy(&released);
}
END_TEST

static void rescue(void *arg)
{
	give_error = reclaim_give_fd(*(int *)arg, task);
	note(give_error ? '?' : 'g');
}

START_TEST(an_action_may_give_away_what_its_task_holds)
{
	int fd;

	work_for(other);
	fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_works(reclaim_defer(rescue, &fd, NULL));
	work_no_longer();
	end_task(other);
	ck_assert_str_eq(noted(), "g");
	ck_assert(is_open(fd));
	ck_assert_uint_eq(held(), 1);
}
END_TEST

static int fd_of_child;

static void take_from_child(void *arg)
{
	(void)arg;
	note(reclaim_give_fd(fd_of_child, task) == 0 ? 'y' : 'n');
	note(reclaim_give(save_malloc(10), task) ? 'y' : 'n');
}

START_TEST(an_action_may_give_to_its_own_task)
{
	fd_of_child = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_works(reclaim_defer(take_from_child, NULL, NULL));
	leave_and_end();
	ck_assert_str_eq(noted(), "yy");
	ck_assert(!is_open(fd_of_child));
}
END_TEST

/* ---- from several threads ---- */

#define TOKENS 400

static reclaim_token raced[TOKENS];
static unsigned char runs[TOKENS];
static unsigned taken[4];

static void count_run(void *arg)
{
	__atomic_add_fetch((unsigned char *)arg, 1, __ATOMIC_RELAXED);
}

static void *take_all(void *arg)
{
	unsigned *mine = arg;
	int i;

	for (i = 0; i < TOKENS; i++)
		if (reclaim_undefer(raced[i], 1) == 0)
			++*mine;
	return NULL;
}

START_TEST(threads_that_race_for_a_token_run_it_once)
{
	pthread_t threads[4];
	unsigned all = 0;
	int i;

	for (i = 0; i < TOKENS; i++)
		ck_works(reclaim_defer(count_run, &runs[i], &raced[i]));
	memset(taken, 0, sizeof(taken));
	for (i = 0; i < 4; i++)
		ck_works(
			pthread_create(&threads[i], NULL, take_all, &taken[i]));
	leave_and_end();
	for (i = 0; i < 4; i++) {
		ck_works(pthread_join(threads[i], NULL));
		all += taken[i];
	}
	ck_assert_uint_le(all, TOKENS);
	for (i = 0; i < TOKENS; i++) {
		ck_assert_uint_eq(runs[i], 1);
		runs[i] = 0;
	}
}
END_TEST

static TCase *ledger_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, enter_task, end_tasks);
	return tcase;
}

static void fill(Suite *suite)
{
	TCase *tcase = ledger_case(suite, "order");

	tcase_add_test(tcase, actions_run_newest_first);
	tcase_add_test(tcase, handles_and_actions_are_in_one_order);
	tcase_add_test(tcase, what_is_taken_out_leaves_the_rest_in_order);
	tcase_add_test(tcase, an_action_may_use_older_handles);
	tcase_add_test(tcase, newer_handles_are_gone_when_an_action_runs);
	tcase_add_test(tcase, many_are_released);

	tcase = ledger_case(suite, "tokens");
	tcase_add_test(tcase, undefer_takes_an_action_back);
	tcase_add_test(tcase, undefer_may_run_it);
	tcase_add_test(tcase, a_token_is_good_once);
	tcase_add_test(tcase, a_token_is_not_good_after_the_end);
	tcase_add_test(tcase, nobodys_tokens_are_refused);
	tcase_add_test(tcase, tokens_are_never_used_again);
	tcase_add_test(tcase, a_parent_and_a_child_may_take_back);
	tcase_add_test(tcase, a_stranger_may_not);
	tcase_add_test(tcase, an_action_may_take_an_older_one_back);
	tcase_add_test(tcase, an_action_cannot_take_itself_back);
	tcase_add_test(tcase, an_action_may_run_an_older_one);
	tcase_add_test(tcase, actions_that_run_each_other_run_once);
	tcase_add_test(tcase, threads_that_race_for_a_token_run_it_once);

	tcase = ledger_case(suite, "wrong arguments");
	tcase_add_test(tcase, no_action_is_refused);
	tcase_add_test(tcase, a_kind_without_a_release_is_refused);
	tcase_add_test(tcase, the_same_thing_may_be_tracked_twice);

	tcase = ledger_case(suite, "savepoints");
	tcase_add_test(tcase, release_to_goes_back_to_a_mark);
	tcase_add_test(tcase, marks_nest);
	tcase_add_test(tcase, a_mark_outlives_what_was_before_it);
	tcase_add_test(tcase, memory_stays_at_a_mark);
	tcase_add_test(tcase, a_mark_of_another_task_is_refused);
	tcase_add_test(tcase, the_root_has_savepoints_too);

	tcase = ledger_case(suite, "actions");
	tcase_add_test(tcase, what_an_action_defers_runs_next);
	tcase_add_test(tcase, an_action_may_defer_itself_again);
	tcase_add_test(tcase, what_an_action_acquires_is_released);
	tcase_add_test(tcase, so_it_is_when_run_by_undefer);
	tcase_add_test(tcase, exit_in_an_action_ends_it_alone);
	tcase_add_test(tcase, exit_in_a_release_of_a_kind_ends_it_alone);
	tcase_add_test(tcase,
		       exit_in_an_action_that_undefer_runs_ends_it_alone);
	tcase_add_test(tcase, exit_ends_the_innermost_action);
	tcase_add_test(tcase, an_action_runs_with_its_task_current);
	tcase_add_test(tcase, releases_run_with_cancellation_disabled);
	tcase_add_test(tcase, a_task_that_an_action_entered_is_left);

	tcase = ledger_case(suite, "giving");
	tcase_add_test(tcase, a_gift_is_the_receivers_newest);
	tcase_add_test(tcase, a_file_goes_with_its_fd);
	tcase_add_test(tcase, only_what_is_tracked_is_given);
	tcase_add_test(tcase, nobody_gives_a_strangers);
	tcase_add_test(tcase, a_childs_may_be_taken);
	tcase_add_test(tcase, a_receiver_has_to_exist);
	tcase_add_test(tcase, a_receiver_may_be_full);
	tcase_add_test(tcase, giving_to_oneself_needs_no_room);
	tcase_add_test(tcase, what_is_being_released_is_given_nothing_more);
	tcase_add_test(tcase, an_action_may_give_away_what_its_task_holds);
	tcase_add_test(tcase, an_action_may_give_to_its_own_task);
}

int main(void)
{
	return stage_run("ledger", fill);
}
