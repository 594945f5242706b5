/* SPDX-License-Identifier: Apache-2.0 */
/* open, openat, creat, fcntl: as the system's own, and what is different. */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- the same as the plain calls ---- */

struct opening {
	const char *path;
	int flags;
};

static const struct opening openings[] = {
	{"/dev/null", O_RDWR},
	{"/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC},
	{"/", O_RDONLY | O_DIRECTORY},
	{"/", O_WRONLY},
	{"/", O_PATH},
	{"/nonexistent/file", O_RDONLY},
	{"/dev/null/file", O_RDONLY},
	{"/dev/null", O_RDONLY | O_DIRECTORY},
	{"/dev/null", O_CREAT | O_EXCL | O_WRONLY},
	{"/dev/null", O_RDONLY | O_TMPFILE},
	{"", O_RDONLY},
	{"/proc/self/mem", O_RDONLY | O_NOFOLLOW | O_NONBLOCK},
	{"/proc/self/exe", O_RDWR},
	{"/proc/self/cwd", O_RDONLY | O_NOFOLLOW},
};

static void compare(const char *path, int flags, int theirs, int error,
		    int ours, int our_error)
{
	ck_assert_msg((ours < 0) == (theirs < 0), "%s %x: %d, not %d", path,
		      (unsigned)flags, ours, theirs);
	if (theirs < 0)
		ck_assert_msg(our_error == error, "%s %x: errno %d, not %d",
			      path, (unsigned)flags, our_error, error);
	if (theirs < 0)
		return;
	ck_assert_int_eq(fcntl(ours, F_GETFD), fcntl(theirs, F_GETFD));
	ck_assert_int_eq(fcntl(ours, F_GETFL), fcntl(theirs, F_GETFL));
	ck_works(save_close(ours));
	ck_works(close(theirs));
}

START_TEST(open_is_as_the_plain_call)
{
	const struct opening *o = &openings[_i];
	int theirs, error, ours;

	errno = 0;
	theirs = open(o->path, o->flags, 0600);
	error = errno;
	errno = 0;
	ours = save_open(o->path, o->flags, 0600);
	compare(o->path, o->flags, theirs, error, ours, errno);
}
END_TEST

START_TEST(openat_is_as_the_plain_call)
{
	const struct opening *o = &openings[_i];
	int theirs, error, ours;

	errno = 0;
	theirs = openat(-1, o->path, o->flags, 0600);
	error = errno;
	errno = 0;
	ours = save_openat(-1, o->path, o->flags, 0600);
	compare(o->path, o->flags, theirs, error, ours, errno);
}
END_TEST

START_TEST(openat_begins_at_its_folder)
{
	int folder = open(path_of(""), O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	write_file("here", "found");
	ck_fails(save_openat(folder, "there", O_RDONLY), -1, ENOENT);
	fd = save_openat(folder, "here", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_works(save_close(fd));
	ck_fails(save_openat(fd, "here", O_RDONLY), -1, EBADF);
	close(folder);
}
END_TEST

START_TEST(a_new_file_has_the_mode_that_was_asked_for)
{
	struct stat st;
	int fd;

	umask(022);
	fd = save_open(path_of("open"), O_CREAT | O_EXCL | O_RDWR, 0640);
	ck_works(fstat(fd, &st));
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_works(save_close(fd));
	fd = save_openat(AT_FDCWD, path_of("openat"), O_CREAT | O_RDWR, 0400);
	ck_works(fstat(fd, &st));
	ck_assert_uint_eq(st.st_mode & 07777, 0400);
	ck_works(save_close(fd));
	fd = save_open(path_of(""), O_TMPFILE | O_RDWR, 0604);
	ck_works(fstat(fd, &st));
	ck_assert_uint_eq(st.st_mode & 07777, 0604);
	ck_works(save_close(fd));
}
END_TEST

START_TEST(creat_truncates)
{
	char *path = write_file("full", "text");
	struct stat st;
	int fd = save_creat(path, 0600);

	ck_works(fstat(fd, &st));
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	ck_works(save_close(fd));
	ck_fails(save_creat("/nonexistent/file", 0600), -1, ENOENT);
}
END_TEST

/* ---- limits ---- */

static void make_a_file_at_the_limit(void)
{
	int fd = save_open("/dev/null", O_RDONLY);

	ck_fails(save_open(path_of("made"), O_CREAT | O_WRONLY, 0600), -1,
		 EMFILE);
	ck_fails(save_openat(AT_FDCWD, path_of("made"), O_CREAT, 0600), -1,
		 EMFILE);
	ck_fails(save_creat(path_of("made"), 0600), -1, EMFILE);
	ck_fails(access(path_of("made"), F_OK), -1, ENOENT);
	ck_works(save_close(fd));
	ck_assert_int_eq(save_creat(path_of("made"), 0600), fd);
}

START_TEST(no_file_is_made_at_the_limit)
{
	struct reclaim_task_opts opts = {.max_handles = 1};

	in_task_with(&opts, make_a_file_at_the_limit);
}
END_TEST

static void lower_the_limit(struct rlimit *before, rlim_t most)
{
	struct rlimit limit;

	ck_works(getrlimit(RLIMIT_NOFILE, before));
	limit = *before;
	limit.rlim_cur = most;
	ck_works(setrlimit(RLIMIT_NOFILE, &limit));
}

START_TEST(the_processs_limit_is_told_as_such)
{
	struct rlimit before;
	int next = dup(0);

	close(next);
	lower_the_limit(&before, (rlim_t)next);
	ck_fails(save_open("/dev/null", O_RDONLY), -1, EMFILE);
	ck_fails(save_fcntl(0, F_DUPFD, 0), -1, EMFILE);
	ck_fails(save_dup(0), -1, EMFILE);
	ck_works(setrlimit(RLIMIT_NOFILE, &before));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- fcntl ---- */

START_TEST(fcntl_duplicates_and_tracks)
{
	int fd = save_fcntl(0, F_DUPFD, 50), other;

	ck_assert_int_ge(fd, 50);
	ck_assert_uint_eq(held(), 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	other = save_fcntl(0, F_DUPFD_CLOEXEC, 50);
	ck_assert_int_eq(fcntl(other, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(held(), 2);
	ck_works(save_close(other));
	ck_works(save_close(fd));
}
END_TEST

START_TEST(fcntl_passes_all_else_on)
{
	struct flock lock = {.l_type = F_WRLCK};
	int fd = save_creat(path_of("file"), 0600);

	ck_works(save_fcntl(fd, F_SETFD, FD_CLOEXEC));
	ck_assert_int_eq(save_fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_works(save_fcntl(fd, F_SETFL, O_APPEND));
	ck_assert_int_eq(save_fcntl(fd, F_GETFL) & O_APPEND, O_APPEND);
	ck_works(save_fcntl(fd, F_SETLK, &lock));
	ck_works(save_fcntl(fd, F_GETLK, &lock));
	ck_assert_int_eq(lock.l_type, F_UNLCK);
	ck_fails(save_fcntl(fd, 12345), -1, EINVAL);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(fd));
	ck_fails(save_fcntl(fd, F_GETFD), -1, EBADF);
	ck_fails(save_fcntl(fd, F_DUPFD, 0), -1, EBADF);
	ck_fails(save_fcntl(0, F_DUPFD, -1), -1, EINVAL);
	ck_fails(save_fcntl(0, F_DUPFD_CLOEXEC, 1 << 30), -1, EINVAL);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "open");
	int n = sizeof(openings) / sizeof(openings[0]);

	tcase_add_loop_test(tcase, open_is_as_the_plain_call, 0, n);
	tcase_add_loop_test(tcase, openat_is_as_the_plain_call, 0, n);
	tcase_add_test(tcase, openat_begins_at_its_folder);
	tcase_add_test(tcase, a_new_file_has_the_mode_that_was_asked_for);
	tcase_add_test(tcase, creat_truncates);
	tcase = stage_case(suite, "limits");
	tcase_add_test(tcase, no_file_is_made_at_the_limit);
	tcase_add_test(tcase, the_processs_limit_is_told_as_such);
	tcase = stage_case(suite, "fcntl");
	tcase_add_test(tcase, fcntl_duplicates_and_tracks);
	tcase_add_test(tcase, fcntl_passes_all_else_on);
}

int main(void)
{
	return stage_run("fcntl", fill);
}
