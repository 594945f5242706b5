/* SPDX-License-Identifier: Apache-2.0 */
/* opendir, fdopendir, closedir. */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <string.h>

static DIR *directory;
static int shared;

START_TEST(opendir_reads_the_entries)
{
	struct dirent *entry;
	unsigned found = 0;

	write_file("one", "");
	write_file("two", "");
	directory = save_opendir(path_of(""));
	ck_assert_ptr_nonnull(directory);
	ck_assert_int_eq(fcntl(dirfd(directory), F_GETFD), FD_CLOEXEC);
	while ((entry = readdir(directory)))
		found += entry->d_name[0] != '.';
	ck_assert_uint_eq(found, 2);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_closedir(directory));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(opendir_fails_as_the_plain_call)
{
	ck_fails(save_opendir("/nonexistent"), NULL, ENOENT);
	ck_fails(save_opendir(""), NULL, ENOENT);
	ck_fails(save_opendir("/dev/null"), NULL, ENOTDIR);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(fdopendir_takes_the_descriptor_over)
{
	int fd = save_open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	directory = save_fdopendir(fd);
	ck_assert_ptr_nonnull(directory);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_closedir(directory));
	ck_assert(!is_open(fd));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(fdopendir_that_fails_leaves_the_descriptor)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_fails(save_fdopendir(fd), NULL, ENOTDIR);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(fd));
	ck_fails(save_fdopendir(fd), NULL, EBADF);
	ck_fails(save_fdopendir(-1), NULL, EBADF);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(fdopendir_of_a_strangers_is_refused)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	shared = save_open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	work_no_longer();
	work_for(other);
	ck_fails(save_fdopendir(shared), NULL, EBADF);
	expect_stranger("fdopendir", "owner <", "other <");
	work_no_longer();
	end_task(other);
	end_task(owner);
	ck_assert(!is_open(shared));
}
END_TEST

START_TEST(closedir_takes_what_was_never_tracked)
{
	ck_works(save_closedir(opendir("/")));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* ---- the descriptor closed from under it ---- */

START_TEST(closedir_spares_the_next_owner_of_the_descriptor)
{
	int fd, other;

	directory = save_opendir("/");
	fd = dirfd(directory);
	close(fd);
	other = save_open("/dev/null", O_RDONLY);
	ck_assert_int_eq(other, fd);
	ck_assert_uint_eq(reports(), 1);
	ck_fails(save_closedir(directory), -1, EBADF);
	ck_assert(is_open(other));
	ck_works(save_close(other));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static void lose_the_descriptor(void)
{
	directory = save_opendir("/");
	shared = dirfd(directory);
	close(shared);
}

START_TEST(the_tasks_end_spares_the_next_owner_of_the_descriptor)
{
	reclaim_tid owner = task_called("owner");

	work_for(owner);
	lose_the_descriptor();
	work_no_longer();
	ck_assert_int_eq(save_open("/dev/null", O_RDONLY), shared);
	ck_assert_uint_eq(reports(), 1);
	end_task(owner);
	ck_assert(is_open(shared));
	ck_works(save_close(shared));
}
END_TEST

START_TEST(closedir_of_a_strangers_is_refused)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	directory = save_opendir("/");
	work_no_longer();
	work_for(other);
	ck_fails(save_closedir(directory), -1, EBADF);
	expect_stranger("closedir", "owner <", "other <");
	work_no_longer();
	ck_assert_ptr_nonnull(readdir(directory));
	end_task(other);
	end_task(owner);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "open");

	tcase_add_test(tcase, opendir_reads_the_entries);
	tcase_add_test(tcase, opendir_fails_as_the_plain_call);
	tcase_add_test(tcase, fdopendir_takes_the_descriptor_over);
	tcase_add_test(tcase, fdopendir_that_fails_leaves_the_descriptor);
	tcase_add_test(tcase, fdopendir_of_a_strangers_is_refused);
	tcase = stage_case(suite, "close");
	tcase_add_test(tcase, closedir_takes_what_was_never_tracked);
	tcase_add_test(tcase, closedir_of_a_strangers_is_refused);
	tcase_add_test(tcase, closedir_spares_the_next_owner_of_the_descriptor);
	tcase_add_test(tcase,
		       the_tasks_end_spares_the_next_owner_of_the_descriptor);
}

int main(void)
{
	return stage_run("dirent", fill);
}
