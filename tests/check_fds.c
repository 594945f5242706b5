/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns each descriptor: closed and reopened behind the wrappers, given
 * away, in any number.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "wrappers/acquire.h"

static int fd;

static void open_one(void)
{
	fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void expect_stale(const char *owner)
{
	ck_assert_uint_eq(reports(), 1);
	ck_assert_msg(strstr(last_report(), "closed behind the wrappers") ||
			      strstr(last_report(), "behind the wrappers"),
		      "%s", last_report());
	ck_assert_msg(strstr(last_report(), owner), "%s", last_report());
}

/* ---- closed behind ---- */

static void open_and_close_behind(void)
{
	open_one();
	close(fd);
}

START_TEST(one_that_was_closed_behind_is_no_error_at_the_end)
{
	in_task(open_and_close_behind);
}
END_TEST

START_TEST(close_of_one_that_was_closed_behind_fails)
{
	open_and_close_behind();
	ck_fails(save_close(fd), -1, EBADF);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- closed and reopened behind, and noticed by either ---- */

static reclaim_tid first;

static void have_first_lose_it(void)
{
	first = task_called("first");
	work_for(first);
	open_and_close_behind();
	work_no_longer();
}

START_TEST(the_next_owner_is_not_closed)
{
	have_first_lose_it();
	ck_assert_int_eq(save_open("/dev/zero", O_RDONLY), fd);
	expect_stale("first <");
	ck_assert_uint_eq(held_by(first), 0);
	end_task(first);
	ck_assert(is_open(fd));
	ck_works(save_close(fd));
}
END_TEST

START_TEST(adopting_it_is_noticed_too)
{
	have_first_lose_it();
	work_for(task_called("other"));
	ck_assert_int_eq(open("/dev/zero", O_RDONLY), fd);
	/* A stranger's, as far as one can know. */
	ck_fails(save_fd(fd), -1, EBADF);
	expect_stranger("fd", "first <", "other <");
	close(fd);
	end_task(reclaim_self());
	work_no_longer();
	end_task(first);
}
END_TEST

static reclaim_tid other;

static void reopen_in_other(void)
{
	other = task_called("other");
	work_for(other);
	ck_assert_int_eq(save_open("/dev/zero", O_RDONLY), fd);
	work_no_longer();
}

/* The first owner's close comes too late, and is a stranger's. */
START_TEST(a_late_close_is_refused)
{
	have_first_lose_it();
	reopen_in_other();
	forget_reports();
	work_for(first);
	ck_fails(save_close(fd), -1, EBADF);
	expect_stranger("close", "other <", "first <");
	work_no_longer();
	end_task(first);
	ck_assert(is_open(fd));
	end_task(other);
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(closing_it_above_is_legal)
{
	have_first_lose_it();
	reopen_in_other();
	ck_works(save_close(fd));
	ck_assert(!is_open(fd));
	end_task(other);
	end_task(first);
}
END_TEST

START_TEST(the_policy_says_whether_it_is_told)
{
	ck_assert_int_eq(reclaim_policy(RECLAIM_STALE_FD, RECLAIM_OFF),
			 RECLAIM_WARN);
	have_first_lose_it();
	ck_assert_int_eq(save_open("/dev/zero", O_RDONLY), fd);
	ck_assert_uint_eq(reports(), 0);
	ck_works(save_close(fd));
	end_task(first);
}
END_TEST

/* ---- with RECLAIM_FDS=verify ---- */

static void lose_and_reopen_behind(void)
{
	open_one();
	close(fd);
	ck_assert_int_eq(open("/dev/zero", O_RDONLY), fd);
}

static void close_it(void)
{
	lose_and_reopen_behind();
	ck_fails(save_close(fd), -1, EBADF);
	ck_assert(is_open(fd));
}

static FILE *stream;

static void lose_a_stream(void)
{
	stream = save_fopen("/dev/null", "re");
	fd = fileno(stream);
	close(fd);
	ck_assert_int_eq(open("/dev/zero", O_RDONLY), fd);
}

static void close_the_stream(void)
{
	lose_a_stream();
	ck_fails(save_fclose(stream), EOF, EBADF);
	ck_assert(is_open(fd));
}

static void lose_a_directory(void)
{
	DIR *directory = save_opendir("/");

	fd = dirfd(directory);
	close(fd);
	ck_assert_int_eq(open("/dev/zero", O_RDONLY), fd);
}

static void have_it_closed_by_nobody(void (*lose)(void))
{
	forget_reports();
	in_task(lose);
	ck_assert(is_open(fd));
	ck_assert_uint_eq(reports(), 1);
	close(fd);
}

static void change_it_in_place(void)
{
	open_one();
	ck_assert_int_eq(save_dup2(0, fd), fd);
	ck_works(save_close(fd));
	open_one();
	ck_works(save_close(save_fcntl(fd, F_DUPFD, 0)));
}

static void verify_all(void)
{
	void (*ways[])(void) = {lose_and_reopen_behind, close_it, lose_a_stream,
				close_the_stream, lose_a_directory};
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		have_it_closed_by_nobody(ways[i]);
	forget_reports();
	in_task(change_it_in_place);
	ck_assert_uint_eq(reports(), 0);
}

/* The environment is read at the start: the program runs itself anew. */
#define AGAIN "RECLAIM_TEST_VERIFIES"

START_TEST(verify_notices_what_no_save_name_saw)
{
	verify_all();
}
END_TEST

START_TEST(verify_runs_in_a_program_of_its_own)
{
	char self[PATH_MAX] = "", *argv[] = {self, NULL};
	posix_spawn_file_actions_t quiet;
	int status;
	pid_t pid;

	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);

	setenv("RECLAIM_FDS", "verify", 1);
	setenv(AGAIN, "1", 1);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, path_of("out"),
					 O_CREAT | O_WRONLY, 0600);
	ck_works(posix_spawn(&pid, self, &quiet, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&quiet);
	unsetenv("RECLAIM_FDS");
	unsetenv(AGAIN);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s", text_of(path_of("out")));
}
END_TEST

/* ---- giving ---- */

START_TEST(a_given_fd_is_the_receivers)
{
	reclaim_tid giver = task_called("giver"), taker = task_called("taker");

	work_for(giver);
	open_one();
	ck_works(reclaim_give_fd(fd, taker));
	ck_assert_uint_eq(held(), 0);
	ck_fails(save_close(fd), -1, EBADF);
	expect_stranger("close", "taker <", "giver <");
	work_no_longer();
	end_task(giver);
	ck_assert(is_open(fd));
	ck_assert_uint_eq(held_by(taker), 1);
	end_task(taker);
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(a_stream_goes_with_its_fd)
{
	reclaim_tid giver = task_called("giver"), taker = task_called("taker");

	work_for(giver);
	stream = save_fopen(path_of("file"), "we");
	ck_assert_int_ge(fputs("text", stream), 0);
	ck_works(reclaim_give_fd(fileno(stream), taker));
	work_no_longer();
	end_task(giver);
	ck_assert_str_eq(text_of(path_of("file")), "");
	end_task(taker);
	ck_assert_str_eq(text_of(path_of("file")), "text");
}
END_TEST

START_TEST(a_given_fd_is_the_receivers_newest)
{
	reclaim_tid taker = task_called("taker");

	open_one();
	work_for(taker);
	ck_assert_ptr_nonnull(save_fopen("/dev/null", "re"));
	work_no_longer();
	ck_works(reclaim_give_fd(fd, taker));
	work_for(taker);
	ck_works(reclaim_defer((void (*)(void *))free, NULL, NULL));
	work_no_longer();
	end_task(taker);
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(giving_fails_where_it_should)
{
	struct reclaim_task_opts opts = {.max_handles = 1};
	reclaim_tid full = reclaim_task_new(&opts);
	int before;

	work_for(full);
	open_one();
	work_no_longer();
	before = fd;
	open_one();
	ck_fails(reclaim_give_fd(fd, full), -1, EMFILE);
	ck_fails(reclaim_give_fd(fd, 0), -1, ESRCH);
	ck_fails(reclaim_give_fd(fd, (reclaim_tid)-1), -1, ESRCH);
	ck_fails(reclaim_give_fd(-1, full), -1, EBADF);
	ck_fails(reclaim_give_fd(INT_MAX, full), -1, EBADF);
	ck_fails(reclaim_give_fd(0, full), -1, EBADF);
	ck_assert_uint_eq(held(), 1);
	other = task_called("other");
	work_for(other);
	ck_fails(reclaim_give_fd(before, other), -1, EPERM);
	work_no_longer();
	end_task(other);
	end_task(full);
	ck_works(save_close(fd));
	ck_fails(reclaim_give_fd(fd, reclaim_self()), -1, EBADF);
}
END_TEST

/* ---- in any number ---- */

#define MOST 20000

static rlim_t room(void)
{
	struct rlimit limit;

	ck_works(getrlimit(RLIMIT_NOFILE, &limit));
	return limit.rlim_cur < MOST ? limit.rlim_cur : MOST;
}

static int opened;

static void open_all(void)
{
	struct rlimit limit, less;

	ck_works(getrlimit(RLIMIT_NOFILE, &limit));
	less = limit;
	less.rlim_cur = room();
	ck_works(setrlimit(RLIMIT_NOFILE, &less));
	for (opened = 0; (fd = save_dup(0)) >= 0; opened++)
		;
	ck_assert_int_eq(errno, EMFILE);
	ck_fails(save_open("/dev/null", O_RDONLY), -1, EMFILE);
	ck_fails(save_fopen("/dev/null", "r"), NULL, EMFILE);
	ck_fails(save_opendir("/"), NULL, EMFILE);
	ck_assert_uint_eq(held(), (unsigned)opened);
	ck_works(setrlimit(RLIMIT_NOFILE, &limit));
}

START_TEST(the_table_grows_up_to_the_limit)
{
	in_task(open_all);
	ck_assert_int_gt(opened, 100);
	in_thread_of_task(open_all);
}
END_TEST

static void open_the_highest(void)
{
	int highest = (int)room() - 1;

	fd = save_fcntl(0, F_DUPFD, highest);
	ck_assert_int_eq(fd, highest);
	ck_assert_int_eq(save_dup2(0, highest - 1), highest - 1);
	ck_assert_ptr_nonnull(save_fdopen(save_dup2(0, highest - 2), "r"));
	ck_assert_uint_eq(held(), 3);
}

START_TEST(the_highest_can_be_the_first)
{
	in_task(open_the_highest);
	ck_assert(!is_open(fd));
}
END_TEST

/* At random: open, close by either name, and give, among some tasks. */
#define TASKS 4
#define STEPS 3000

static reclaim_tid tasks[TASKS];

static bool is_tracked(int number)
{
	bool is;

	lock_take(&tables);
	is = fds_find(number) != NULL;
	lock_drop(&tables);
	return is;
}

static void step(uint64_t *seed)
{
	reclaim_tid to = tasks[fixture_random(seed) % TASKS];
	int number = 100 + (int)(fixture_random(seed) % 50);

	work_for(tasks[fixture_random(seed) % TASKS]);
	switch (fixture_random(seed) % 6) {
	case 0:
		close(number);
		break;
	case 1:
		save_close(number);
		break;
	case 2:
		reclaim_give_fd(number, to);
		break;
	case 3:
		save_dup2(0, number);
		break;
	default:
		save_fcntl(0, F_DUPFD, number);
	}
	work_no_longer();
}

static void do_at_random(void)
{
	uint64_t seed = fixture_seed();
	int i;

	for (i = 0; i < TASKS; i++)
		tasks[i] = task_called("one");
	for (i = 0; i < STEPS; i++)
		step(&seed);
	for (i = 0; i < TASKS; i++)
		end_task(tasks[i]);
	for (i = 100; i < 250; i++) {
		ck_assert(!is_tracked(i));
		ck_assert(!is_open(i));
	}
}

START_TEST(at_random_each_is_closed_once)
{
	do_at_random();
}
END_TEST

/* Where there is a second thread each step takes the longer way. */
START_TEST(at_random_in_a_thread)
{
	ck_assert_int_eq(in_thread_of_task(do_at_random), 0);
}
END_TEST

/* ---- the short way and the longer one, of a process with one thread ---- */

static struct acquisition acquisition;

static void reserve_one(void)
{
	ck_works(acquire_fd(&acquisition, NULL));
	ck_assert_uint_eq(held(), 1);
}

static void expect_one(void)
{
	fd = acquired_fd(&acquisition, open("/dev/null", O_RDONLY | O_CLOEXEC));
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(held(), 1);
	ck_assert(is_tracked(fd));
}

/* The thread sanitizer has a thread of its own. */
static bool is_alone(void)
{
	return __libc_single_threaded && !descriptors.verify && !place_kept;
}

static void take_room_for_one(void)
{
	open_one();
	ck_works(save_close(fd));
	reserve_one();
	ck_assert(is_alone() == (acquisition.quick != NULL));
	expect_one();
}

START_TEST(one_thread_takes_the_short_way)
{
	in_task(take_room_for_one);
	ck_assert(!is_open(fd));
}
END_TEST

static void give_room_back(void)
{
	reserve_one();
	errno = EISDIR;
	ck_assert_int_eq(acquired_fd(&acquisition, -1), -1);
	ck_assert_int_eq(errno, EISDIR);
	ck_assert_uint_eq(held(), 0);
	reserve_one();
	acquire_cancel(&acquisition);
	ck_assert_uint_eq(held(), 0);
}

START_TEST(room_is_given_back)
{
	in_task(give_room_back);
}
END_TEST

static sem_t may_end;

static void *wait_to_end(void *arg)
{
	while (sem_wait(&may_end) != 0)
		;
	return arg;
}

/* As where a signal handler does so while open waits. */
static void make_a_thread_meanwhile(void)
{
	pthread_t thread;

	reserve_one();
	ck_works(pthread_create(&thread, NULL, wait_to_end, NULL));
	expect_one();
	sem_post(&may_end);
	ck_works(pthread_join(thread, NULL));
}

START_TEST(a_thread_that_is_made_meanwhile_changes_nothing)
{
	sem_init(&may_end, 0, 0);
	in_task(make_a_thread_meanwhile);
	sem_destroy(&may_end);
	ck_assert(!is_open(fd));
}
END_TEST

static void use_up_the_limit(void)
{
	open_one();
	ck_fails(save_open("/dev/null", O_RDONLY), -1, EMFILE);
	ck_works(save_close(fd));
	open_one();
	ck_fails(save_dup(fd), -1, EMFILE);
	ck_assert_uint_eq(held(), 1);
}

START_TEST(a_limit_is_kept)
{
	struct reclaim_task_opts opts = {.max_handles = 1};
	reclaim_tid limited = reclaim_task_new(&opts);

	work_for(limited);
	use_up_the_limit();
	work_no_longer();
	end_task(limited);
	ck_assert(!is_open(fd));
}
END_TEST

/* What lies between descriptors is released in its turn. */
static int between[3];

static void look_at_all(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 3; i++)
		note(is_open(between[i]) ? 'o' : 'c');
}

static void open_with_actions_between(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		open_one();
		between[i] = fd;
		ck_works(reclaim_defer(look_at_all, NULL, NULL));
	}
	/* The oldest is the newest now. */
	ck_works(reclaim_give_fd(between[0], reclaim_self()));
}

START_TEST(descriptors_are_closed_in_their_turn)
{
	in_task(open_with_actions_between);
	ck_assert_str_eq(noted(), "coococccc");
}
END_TEST

static void add_behind(Suite *suite)
{
	TCase *tcase = stage_case(suite, "behind");

	tcase_add_test(tcase,
		       one_that_was_closed_behind_is_no_error_at_the_end);
	tcase_add_test(tcase, close_of_one_that_was_closed_behind_fails);
	tcase_add_test(tcase, the_next_owner_is_not_closed);
	tcase_add_test(tcase, adopting_it_is_noticed_too);
	tcase_add_test(tcase, a_late_close_is_refused);
	tcase_add_test(tcase, closing_it_above_is_legal);
	tcase_add_test(tcase, the_policy_says_whether_it_is_told);
	tcase_add_test(tcase, verify_runs_in_a_program_of_its_own);
}

static void fill(Suite *suite)
{
	TCase *tcase;

	if (getenv(AGAIN)) {
		tcase = stage_case(suite, "verify");
		tcase_add_test(tcase, verify_notices_what_no_save_name_saw);
		return;
	}
	add_behind(suite);
	tcase = stage_case(suite, "give");
	tcase_add_test(tcase, a_given_fd_is_the_receivers);
	tcase_add_test(tcase, a_stream_goes_with_its_fd);
	tcase_add_test(tcase, a_given_fd_is_the_receivers_newest);
	tcase_add_test(tcase, giving_fails_where_it_should);
	tcase = stage_case(suite, "many");
	tcase_add_test(tcase, the_table_grows_up_to_the_limit);
	tcase_add_test(tcase, the_highest_can_be_the_first);
	tcase_add_test(tcase, at_random_each_is_closed_once);
	tcase_add_test(tcase, at_random_in_a_thread);
	tcase = stage_case(suite, "ways");
	tcase_add_test(tcase, one_thread_takes_the_short_way);
	tcase_add_test(tcase, room_is_given_back);
	tcase_add_test(tcase, a_thread_that_is_made_meanwhile_changes_nothing);
	tcase_add_test(tcase, a_limit_is_kept);
	tcase_add_test(tcase, descriptors_are_closed_in_their_turn);
}

int main(void)
{
	return stage_run("fds", fill);
}
