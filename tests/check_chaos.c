/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call that a wrapper makes is made to fail: the first, and then the
 * second, until none of those it makes has not failed once.  After each
 * failure the wrapper has told it and nothing was acquired, recorded or lost;
 * and after all of them it works.
 *
 * The linker puts this file between the library and libc (-Wl,--wrap=NAME for
 * each name in CALLS below), which works under Valgrind and the sanitizers,
 * too.  Only what the library calls, in the thread that is armed, fails.
 */
#include "config.h"

#include "tests/acquirers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "reclaim/fds_private.h"
#include "reclaim/ledger_private.h"

/* ---- what fails, and when ---- */

static __thread unsigned countdown; /* 1: the next call; 0: none */
static __thread const char *failed; /* the call that did */
static __thread int failed_with;
static __thread const char *only; /* NULL: any; or this one, always */

static bool fails(const char *name, int error)
{
	if (only) {
		if (strcmp(only, name) != 0)
			return false;
	} else if (countdown == 0 || --countdown > 0) {
		return false;
	}
	failed = name;
	failed_with = errno = error;
	return true;
}

static void arm(unsigned n)
{
	failed = NULL;
	countdown = n;
}

static void disarm(void)
{
	countdown = 0;
	only = NULL;
}

#define WRAP(type, name, parameters, arguments, error, failure) \
	type __real_##name parameters;                          \
	type __wrap_##name parameters;                          \
	type __wrap_##name parameters                           \
	{                                                       \
		if (fails(#name, error))                        \
			return failure;                         \
		return __real_##name arguments;                 \
	}

WRAP(void *, malloc, (size_t n), (n), ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), ENOMEM, NULL)
WRAP(int, posix_memalign, (void **p, size_t a, size_t n), (p, a, n), ENOMEM,
     ENOMEM)
WRAP(int, creat, (const char *path, mode_t mode), (path, mode), EIO, -1)
WRAP(int, dup, (int fd), (fd), EMFILE, -1)
WRAP(int, dup2, (int old, int fd), (old, fd), EBUSY, -1)
WRAP(int, dup3, (int old, int fd, int flags), (old, fd, flags), EBUSY, -1)
WRAP(int, pipe, (int fds[2]), (fds), ENFILE, -1)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), ENFILE, -1)
WRAP(int, socket, (int d, int t, int p), (d, t, p), ENOBUFS, -1)
WRAP(int, socketpair, (int d, int t, int p, int fds[2]), (d, t, p, fds),
     ENOBUFS, -1)
WRAP(int, accept, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n),
     ECONNABORTED, -1)
WRAP(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
     (fd, a, n, flags), ECONNABORTED, -1)
WRAP(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), EINTR,
     -1)
WRAP(int, mkstemp, (char *name), (name), ENOSPC, -1)
WRAP(char *, mkdtemp, (char *name), (name), ENOSPC, NULL)
WRAP(int, epoll_create1, (int flags), (flags), ENFILE, -1)
WRAP(int, eventfd, (unsigned n, int flags), (n, flags), ENFILE, -1)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), ENFILE, -1)
WRAP(int, signalfd, (int fd, const sigset_t *mask, int flags),
     (fd, mask, flags), ENFILE, -1)
WRAP(int, inotify_init1, (int flags), (flags), EMFILE, -1)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags),
     ENFILE, -1)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), EIO,
     NULL)
WRAP(FILE *, fdopen, (int fd, const char *mode), (fd, mode), EMFILE, NULL)
WRAP(FILE *, tmpfile, (void), (), ENOSPC, NULL)
WRAP(FILE *, fmemopen, (void *buf, size_t n, const char *mode), (buf, n, mode),
     ENOMEM, NULL)
WRAP(FILE *, fopencookie,
     (void *cookie, const char *mode, cookie_io_functions_t io),
     (cookie, mode, io), ENOMEM, NULL)
WRAP(DIR *, opendir, (const char *path), (path), EIO, NULL)
WRAP(DIR *, fdopendir, (int fd), (fd), ENOTDIR, NULL)
WRAP(void *, mmap,
     (void *at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset), ENFILE, MAP_FAILED)
WRAP(int, munmap, (void *at, size_t n), (at, n), ENOMEM, -1)
WRAP(void *, dlopen, (const char *file, int flags), (file, flags), 0, NULL)
WRAP(pid_t, fork, (void), (), EAGAIN, -1)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options),
     (pid, status, options), EINTR, -1)
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
     (type, id, info, options), EINTR, -1)
WRAP(int, posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *f,
      const posix_spawnattr_t *a, char *const argv[], char *const envp[]),
     (pid, path, f, a, argv, envp), ENFILE, ENFILE)
WRAP(int, posix_spawnp,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *f,
      const posix_spawnattr_t *a, char *const argv[], char *const envp[]),
     (pid, path, f, a, argv, envp), ENFILE, ENFILE)
WRAP(int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t * f), (f),
     ENOMEM, ENOMEM)
WRAP(int, posix_spawn_file_actions_adddup2,
     (posix_spawn_file_actions_t * f, int fd, int to), (f, fd, to), ENOMEM,
     ENOMEM)
WRAP(int, posix_spawnattr_init, (posix_spawnattr_t * a), (a), ENOMEM, ENOMEM)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *),
      void *arg),
     (thread, attr, start, arg), EAGAIN, EAGAIN)

/* These take arguments of which the library passes all. */
int __real_openat(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (fails("openat", EIO))
		return -1;
	return __real_openat(dir, path, flags, mode);
}

int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
	if (fails("open", EIO))
		return -1;
	return __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, void *arg);
int __wrap_fcntl(int fd, int command, void *arg);
int __wrap_fcntl(int fd, int command, void *arg)
{
	if (fails("fcntl", EMFILE))
		return -1;
	return __real_fcntl(fd, command, arg);
}

void *__real_mremap(void *old, size_t n, size_t to, int flags, void *at);
void *__wrap_mremap(void *old, size_t n, size_t to, int flags, void *at);
void *__wrap_mremap(void *old, size_t n, size_t to, int flags, void *at)
{
	if (fails("mremap", EAGAIN))
		return MAP_FAILED;
	return __real_mremap(old, n, to, flags, at);
}

/* It closes all the same. */
FILE *__real_freopen(const char *path, const char *mode, FILE *stream);
FILE *__wrap_freopen(const char *path, const char *mode, FILE *stream);
FILE *__wrap_freopen(const char *path, const char *mode, FILE *stream)
{
	if (!fails("freopen", EIO))
		return __real_freopen(path, mode, stream);
	__real_freopen("/nonexistent/file", mode, stream);
	errno = EIO;
	return NULL;
}

/* The one by which tables grow. */
static size_t entries_grown_by;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	if (fails("calloc", ENOMEM))
		return NULL;
	if (size == sizeof(struct numbered))
		entries_grown_by = n;
	return __real_calloc(n, size);
}

/* ---- one way to acquire, its calls failing in turn ---- */

static const struct acquirer *a;
static struct fixture_view *view;
static unsigned held_before;

static void look(void)
{
	fixture_forget(view);
	view = fixture_look();
	held_before = held();
}

static void expect_no_difference(const char *when)
{
	char *found = fixture_compare(view);

	ck_assert_msg(!found || a->flags & CLOSES_ALL_THE_SAME,
		      "%s, when %s %s:%s", a->name, failed ? failed : "nothing",
		      when, found);
	free(found);
	ck_assert_msg(held() == held_before,
		      "%s, when %s %s: %u handles, not %u", a->name,
		      failed ? failed : "nothing", when, held(), held_before);
}

static void expect_told(int error)
{
	bool is_told =
		error == failed_with || error == ENOMEM || error == EAGAIN;

	if (!(a->flags & SAYS_NO_ERRNO))
		ck_assert_msg(is_told, "%s, when %s failed with %s: errno %d",
			      a->name, failed, strerror(failed_with), error);
}

/* The n-th call fails; false where there is no such call. */
static bool fail_the(unsigned n)
{
	struct got got;
	int result, error;

	acquirer_prepare(a, &got);
	look();
	arm(n);
	errno = 0;
	result = a->acquire(&got);
	error = errno;
	disarm();
	if (result < 0) {
		ck_assert_msg(failed, "%s fails by itself: %s", a->name,
			      strerror(error));
		expect_told(error);
		expect_no_difference("failed");
	} else {
		ck_assert_msg(a->undo(&got) == 0, "undoing %s: %m", a->name);
	}
	acquirer_tidy(a, &got);
	return failed != NULL;
}

static void fail_each(void)
{
	unsigned n = 1, before = held();

	while (fail_the(n))
		n++;
	ck_assert_uint_eq(held(), before);
	ck_assert_uint_eq(reports(), 0);
	fixture_forget(view);
	view = NULL;
}

START_TEST(each_call_fails_in_turn)
{
	a = &acquirers[_i];
	in_task(fail_each);
}
END_TEST

START_TEST(each_call_fails_in_turn_in_a_thread)
{
	a = &acquirers[_i];
	ck_assert_int_eq(in_thread_of_task(fail_each), 0);
}
END_TEST

START_TEST(each_call_fails_in_turn_in_the_root)
{
	a = &acquirers[_i];
	fail_each();
}
END_TEST

/* ---- the same when the tables are full and have to grow ---- */

static void do_nothing(void *id)
{
	(void)id;
}

static const struct reclaim_kind filler = {.name = "filler",
					   .release = do_nothing};

/* Further than this it takes too long: without fork the tables only grow. */
#define MOST_ENTRIES 5000

static bool fill_the_tables(void)
{
	static bool large;
	size_t i;

	/* Another table's items may be as large: what is counted is not kept.
	 */
	entries_grown_by = 0;
	while (!large && !entries_grown_by)
		ck_works(reclaim_track(&filler, NULL, NULL));
	large = large || entries_grown_by > MOST_ENTRIES;
	if (large)
		return false;
	for (i = 1; i < entries_grown_by; i++)
		ck_works(reclaim_track(&filler, NULL, NULL));
	return true;
}

/* No room for as many descriptors again; or it is beyond the system's limit. */
static void fill_the_descriptors(void)
{
	int middle = (int)(descriptors.records.limit / 2);

	if (save_fcntl(0, F_DUPFD_CLOEXEC, middle) >= 0)
		ck_assert(!descriptors.quick);
}

static void fail_each_when_full(void)
{
	if (!fill_the_tables())
		return;
	fill_the_descriptors();
	fail_each();
}

START_TEST(tables_fail_to_grow)
{
	a = &acquirers[_i];
	in_task(fail_each_when_full);
}
END_TEST

/* ---- descriptors beyond what the table covers ---- */

#define OPEN_BEHIND 600

static int behind[OPEN_BEHIND];

static void open_behind_the_wrappers(void)
{
	struct rlimit limit;
	int i;

	ck_works(getrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < OPEN_BEHIND && (rlim_t)i + 100 < limit.rlim_cur; i++)
		behind[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void close_behind_the_wrappers(void)
{
	int i;

	for (i = 0; i < OPEN_BEHIND && behind[i]; i++) {
		close(behind[i]);
		behind[i] = 0;
	}
}

static void fail_each_beyond(void)
{
	/* So that there is a table, which has to grow. */
	ck_works(save_close(save_dup(0)));
	open_behind_the_wrappers();
	fail_each();
	close_behind_the_wrappers();
}

START_TEST(descriptors_are_closed_again_where_they_can_have_no_record)
{
	a = &acquirers[_i];
	in_task(fail_each_beyond);
}
END_TEST

/* ---- the hash table, which cannot grow ---- */

#define MAPPINGS 3000

static void *mappings[MAPPINGS];

static void map_without_memory(void)
{
	int i;

	/* So that there is a table. */
	ck_works(save_fclose(save_fopen("/dev/null", "re")));
	for (i = 0; i < MAPPINGS; i++) {
		only = "malloc";
		/* Every other one elsewhere, so that they stay apart. */
		mappings[i] =
			save_mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		disarm();
		ck_assert_ptr_ne(mappings[i], MAP_FAILED);
	}
	ck_assert_uint_eq(held(), MAPPINGS);
	for (i = 0; i < MAPPINGS; i += 2)
		ck_works(save_munmap(mappings[i], 4096));
	ck_assert_uint_eq(held(), MAPPINGS / 2);
}

START_TEST(a_hash_table_does_without_memory_to_grow)
{
	int i;

	in_task(map_without_memory);
	for (i = 0; i < MAPPINGS; i++)
		ck_assert(!is_mapped(mappings[i]));
}
END_TEST

/* ---- this file itself ---- */

static unsigned count_calls(const char *name)
{
	unsigned i;

	for (i = 0; i < (unsigned)acquirer_count; i++)
		if (strcmp(acquirers[i].name, name) == 0)
			break;
	a = &acquirers[i];
	for (i = 1; fail_the(i); i++)
		;
	fixture_forget(view);
	view = NULL;
	return i - 1;
}

START_TEST(something_does_fail)
{
	ck_assert_uint_ge(count_calls("open"), 1);
	ck_assert_uint_ge(count_calls("popen"), 5);
	ck_assert_uint_ge(count_calls("pthread_create"), 2);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "itself");
	int n = acquirer_count;

	tcase_add_test(tcase, something_does_fail);
	tcase = stage_case(suite, "fails");
	tcase_add_loop_test(
		tcase,
		descriptors_are_closed_again_where_they_can_have_no_record, 0,
		n);
	tcase_add_loop_test(tcase, each_call_fails_in_turn, 0, n);
	tcase_add_loop_test(tcase, each_call_fails_in_turn_in_a_thread, 0, n);
	tcase_add_loop_test(tcase, each_call_fails_in_turn_in_the_root, 0, n);
	tcase_add_loop_test(tcase, tables_fail_to_grow, 0, n);
	tcase_add_test(tcase, a_hash_table_does_without_memory_to_grow);
}

int main(void)
{
	return stage_run("chaos", fill);
}
