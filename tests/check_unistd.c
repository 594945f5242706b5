/* SPDX-License-Identifier: Apache-2.0 */
/* close, dup and its sisters, pipe, fd. */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int open_null(void)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* ---- close ---- */

START_TEST(close_refuses_what_is_not_open)
{
	int fd = open_null();

	ck_works(save_close(fd));
	ck_fails(save_close(fd), -1, EBADF);
	ck_fails(save_close(-1), -1, EBADF);
	ck_fails(save_close(INT_MIN), -1, EBADF);
	ck_fails(save_close(INT_MAX), -1, EBADF);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(close_takes_what_was_never_tracked)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_works(save_close(fd));
	ck_assert(!is_open(fd));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static int shared;

static void open_shared(void)
{
	shared = open_null();
}

START_TEST(close_of_a_strangers_is_refused)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	open_shared();
	work_no_longer();
	work_for(other);
	ck_fails(save_close(shared), -1, EBADF);
	expect_stranger("close", "owner <", "other <");
	work_no_longer();
	ck_assert(is_open(shared));
	end_task(other);
	ck_assert(is_open(shared));
	end_task(owner);
	ck_assert(!is_open(shared));
}
END_TEST

START_TEST(the_roots_may_be_closed_by_any_task)
{
	open_shared();
	work_for(task_called("any"));
	ck_works(save_close(shared));
	end_task(reclaim_self());
	work_no_longer();
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- dup ---- */

START_TEST(dup_is_tracked_by_itself)
{
	int fd = open_null(), other = save_dup(fd);

	ck_assert_uint_eq(held(), 2);
	ck_works(save_close(fd));
	ck_assert(is_open(other));
	ck_works(save_close(other));
	ck_fails(save_dup(fd), -1, EBADF);
	ck_fails(save_dup(-1), -1, EBADF);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(dup2_of_one_to_itself_changes_nothing)
{
	int fd = open_null();

	ck_assert_int_eq(save_dup2(fd, fd), fd);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(fd));
	ck_fails(save_dup2(fd, fd), -1, EBADF);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(dup2_takes_over_what_was_there)
{
	int fd = open_null(), other = open_null();

	ck_assert_int_eq(save_dup2(fd, other), other);
	ck_assert_uint_eq(held(), 2);
	ck_works(save_close(other));
	ck_works(save_close(fd));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(dup2_that_fails_takes_nothing)
{
	int fd = open_null();

	ck_fails(save_dup2(-1, fd), -1, EBADF);
	ck_fails(save_dup3(-1, fd, 0), -1, EBADF);
	ck_fails(save_dup3(fd, fd, 0), -1, EINVAL);
	ck_fails(save_dup3(0, fd, 1 << 30), -1, EINVAL);
	ck_fails(save_dup2(fd, -1), -1, EBADF);
	ck_fails(save_dup2(fd, INT_MAX), -1, EBADF);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(fd));
}
END_TEST

START_TEST(dup3_sets_its_flags)
{
	int fd = open_null(), other = open("/dev/zero", O_RDONLY);

	ck_assert_int_eq(save_dup3(fd, other, O_CLOEXEC), other);
	ck_assert_int_eq(fcntl(other, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(held(), 2);
	ck_works(save_close(other));
	ck_works(save_close(fd));
}
END_TEST

START_TEST(dup2_over_a_strangers_is_refused)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	open_shared();
	work_no_longer();
	work_for(other);
	ck_fails(save_dup2(0, shared), -1, EBADF);
	expect_stranger("dup2", "owner <", "other <");
	forget_reports();
	ck_fails(save_dup3(0, shared, 0), -1, EBADF);
	expect_stranger("dup3", "owner <", "other <");
	ck_assert_uint_eq(held(), 0);
	work_no_longer();
	end_task(other);
	end_task(owner);
	ck_assert(!is_open(shared));
}
END_TEST

/* A stream loses its descriptor, and does not close its successor. */
START_TEST(dup2_over_a_stream_leaves_the_stream_without)
{
	FILE *stream = save_fopen("/dev/null", "re");
	int fd = fileno(stream);

	ck_assert_int_eq(save_dup2(0, fd), fd);
	ck_assert_uint_eq(held(), 2);
	ck_assert_int_eq(save_fclose(stream), EOF);
	ck_assert(is_open(fd));
	ck_works(save_close(fd));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- pipe ---- */

START_TEST(pipe_ends_are_two_handles)
{
	char c = 'x';
	int ends[2];

	ck_works(save_pipe(ends));
	ck_assert_uint_eq(held(), 2);
	ck_assert_int_eq(write(ends[1], &c, 1), 1);
	ck_assert_int_eq(read(ends[0], &c, 1), 1);
	ck_works(save_close(ends[0]));
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(ends[1]));
}
END_TEST

START_TEST(pipe2_sets_its_flags_or_fails)
{
	int ends[2] = {-7, -7};

	ck_fails(save_pipe2(ends, 1 << 30), -1, EINVAL);
	ck_assert_int_eq(ends[0], -7);
	ck_works(save_pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	ck_assert_int_eq(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
	ck_works(save_close(ends[0]));
	ck_works(save_close(ends[1]));
}
END_TEST

static void make_pipes_at_the_limit(void)
{
	int ends[2] = {-7, -7}, fd = open_null();

	ck_fails(save_pipe(ends), -1, EMFILE);
	ck_fails(save_pipe2(ends, 0), -1, EMFILE);
	ck_fails(save_socketpair(AF_UNIX, SOCK_STREAM, 0, ends), -1, EMFILE);
	ck_assert_int_eq(ends[0], -7);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(fd));
	ck_works(save_pipe(ends));
}

START_TEST(half_a_pipe_is_not_made)
{
	struct reclaim_task_opts opts = {.max_handles = 2};

	in_task_with(&opts, make_pipes_at_the_limit);
}
END_TEST

/* ---- fd ---- */

static void adopt_shared(void)
{
	ck_assert_int_eq(save_fd(shared), shared);
	ck_assert_int_eq(save_fd(shared), shared);
	ck_assert_uint_eq(held(), 1);
}

START_TEST(fd_tracks_what_came_from_elsewhere)
{
	shared = open("/dev/null", O_RDONLY);
	in_task(adopt_shared);
	ck_assert(!is_open(shared));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(fd_refuses_what_is_not_open)
{
	int fd = open_null();

	ck_works(save_close(fd));
	ck_fails(save_fd(fd), -1, EBADF);
	ck_fails(save_fd(-1), -1, EBADF);
	ck_fails(save_fd(INT_MAX), -1, EBADF);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static void adopt_at_the_limit(void)
{
	open_null();
	ck_fails(save_fd(shared), -1, EMFILE);
}

START_TEST(fd_that_fails_leaves_it_open)
{
	struct reclaim_task_opts opts = {.max_handles = 1};

	shared = open("/dev/null", O_RDONLY);
	in_task_with(&opts, adopt_at_the_limit);
	ck_assert(is_open(shared));
	close(shared);
}
END_TEST

START_TEST(fd_of_a_strangers_is_refused)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	open_shared();
	work_no_longer();
	work_for(other);
	ck_fails(save_fd(shared), -1, EBADF);
	expect_stranger("fd", "owner <", "other <");
	work_no_longer();
	end_task(other);
	ck_assert(is_open(shared));
	ck_assert_uint_eq(held_by(owner), 1);
	end_task(owner);
}
END_TEST

/* ---- how many ---- */

static void ask_for_the_most(void)
{
	ck_assert_int_eq(reclaim_max_files(), 3);
}

START_TEST(max_files_is_the_lower_of_both_limits)
{
	struct reclaim_task_opts opts = {.max_handles = 3};

	ck_assert_int_gt(reclaim_max_files(), 3);
	in_task_with(&opts, ask_for_the_most);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "close");

	tcase_add_test(tcase, close_refuses_what_is_not_open);
	tcase_add_test(tcase, close_takes_what_was_never_tracked);
	tcase_add_test(tcase, close_of_a_strangers_is_refused);
	tcase_add_test(tcase, the_roots_may_be_closed_by_any_task);
	tcase = stage_case(suite, "dup");
	tcase_add_test(tcase, dup_is_tracked_by_itself);
	tcase_add_test(tcase, dup2_of_one_to_itself_changes_nothing);
	tcase_add_test(tcase, dup2_takes_over_what_was_there);
	tcase_add_test(tcase, dup2_that_fails_takes_nothing);
	tcase_add_test(tcase, dup3_sets_its_flags);
	tcase_add_test(tcase, dup2_over_a_strangers_is_refused);
	tcase_add_test(tcase, dup2_over_a_stream_leaves_the_stream_without);
	tcase = stage_case(suite, "pipe");
	tcase_add_test(tcase, pipe_ends_are_two_handles);
	tcase_add_test(tcase, pipe2_sets_its_flags_or_fails);
	tcase_add_test(tcase, half_a_pipe_is_not_made);
	tcase = stage_case(suite, "fd");
	tcase_add_test(tcase, fd_tracks_what_came_from_elsewhere);
	tcase_add_test(tcase, fd_refuses_what_is_not_open);
	tcase_add_test(tcase, fd_that_fails_leaves_it_open);
	tcase_add_test(tcase, fd_of_a_strangers_is_refused);
	tcase = stage_case(suite, "max files");
	tcase_add_test(tcase, max_files_is_the_lower_of_both_limits);
}

int main(void)
{
	return stage_run("unistd", fill);
}
