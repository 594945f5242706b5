/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/acquirers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#define PAGE 4096

/* ---- descriptors ---- */

static int is_fd(struct got *got, int fd)
{
	got->fds[0] = fd;
	return fd < 0 ? -1 : 0;
}

static int close_one(struct got *got)
{
	return save_close(got->fds[0]);
}

static int close_two(struct got *got)
{
	int first = save_close(got->fds[0]), second = save_close(got->fds[1]);

	return first < 0 || second < 0 ? -1 : 0;
}

static void need_fd(struct got *got)
{
	got->needs[0] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(got->needs[0], 0);
}

static void need_two(struct got *got)
{
	need_fd(got);
	got->needs[1] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(got->needs[1], 0);
}

static void close_needed(struct got *got)
{
	int i;

	for (i = 0; i < 2; i++)
		if (got->needs[i] >= 0)
			close(got->needs[i]);
}

/* What was taken over is not needed any more. */
static int took_over(struct got *got, int result)
{
	if (result == 0)
		got->needs[0] = -1;
	return result;
}

static int do_open(struct got *got)
{
	return is_fd(got, save_open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static int do_openat(struct got *got)
{
	return is_fd(got, save_openat(AT_FDCWD, "/dev", O_PATH | O_CLOEXEC));
}

static int do_open_unnamed(struct got *got)
{
	return is_fd(got,
		     save_open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int do_creat(struct got *got)
{
	return is_fd(got, save_creat(path_of("creat"), 0600));
}

static void remove_creat(struct got *got)
{
	(void)got;
	unlink(path_of("creat"));
}

static int do_fcntl(struct got *got)
{
	return is_fd(got, save_fcntl(got->needs[0], F_DUPFD, 5));
}

static int do_fcntl_cloexec(struct got *got)
{
	return is_fd(got, save_fcntl(got->needs[0], F_DUPFD_CLOEXEC, 5));
}

static int do_dup(struct got *got)
{
	return is_fd(got, save_dup(got->needs[0]));
}

static int do_dup2(struct got *got)
{
	return took_over(got,
			 is_fd(got, save_dup2(got->needs[1], got->needs[0])));
}

static int do_dup3(struct got *got)
{
	return took_over(got, is_fd(got, save_dup3(got->needs[1], got->needs[0],
						   O_CLOEXEC)));
}

static int do_fd(struct got *got)
{
	return took_over(got, is_fd(got, save_fd(got->needs[0])));
}

static int do_pipe(struct got *got)
{
	return save_pipe(got->fds);
}

static int do_pipe2(struct got *got)
{
	return save_pipe2(got->fds, O_CLOEXEC | O_NONBLOCK);
}

static int do_socket(struct got *got)
{
	return is_fd(got, save_socket(AF_UNIX, SOCK_STREAM, 0));
}

static int do_socketpair(struct got *got)
{
	return save_socketpair(AF_UNIX, SOCK_DGRAM, 0, got->fds);
}

/* An unnamed socket that listens, and one that was connected to it. */
static void need_connection(struct got *got)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(name);
	int *ends = got->needs;

	ends[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ends[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_works(bind(ends[0], (void *)&name, sizeof(name.sun_family)));
	ck_works(listen(ends[0], 5));
	ck_works(getsockname(ends[0], (void *)&name, &len));
	ck_works(connect(ends[1], (void *)&name, len));
}

static int do_accept(struct got *got)
{
	return is_fd(got, save_accept(got->needs[0], NULL, NULL));
}

static int do_accept4(struct got *got)
{
	return is_fd(got,
		     save_accept4(got->needs[0], NULL, NULL, SOCK_CLOEXEC));
}

static int do_mkstemp(struct got *got)
{
	char *path = path_of("mkstemp-XXXXXX");
	int result = is_fd(got, save_mkstemp(path));

	if (result == 0)
		unlink(path);
	return result;
}

static int do_epoll_create1(struct got *got)
{
	return is_fd(got, save_epoll_create1(EPOLL_CLOEXEC));
}

static int do_eventfd(struct got *got)
{
	return is_fd(got, save_eventfd(1, EFD_CLOEXEC));
}

static int do_timerfd_create(struct got *got)
{
	return is_fd(got, save_timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
}

static int do_signalfd(struct got *got)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	return is_fd(got, save_signalfd(-1, &mask, SFD_CLOEXEC));
}

static int do_inotify_init1(struct got *got)
{
	return is_fd(got, save_inotify_init1(IN_CLOEXEC));
}

static int do_memfd_create(struct got *got)
{
	return is_fd(got, save_memfd_create("check", MFD_CLOEXEC));
}

/* ---- streams and directories ---- */

static int is_ptr(struct got *got, void *ptr)
{
	got->ptr = ptr;
	return ptr ? 0 : -1;
}

static int close_stream(struct got *got)
{
	return save_fclose(got->ptr);
}

static int do_fopen(struct got *got)
{
	return is_ptr(got, save_fopen("/dev/null", "re"));
}

static int do_fdopen(struct got *got)
{
	return took_over(got, is_ptr(got, save_fdopen(got->needs[0], "r")));
}

static int do_tmpfile(struct got *got)
{
	return is_ptr(got, save_tmpfile());
}

static void need_stream(struct got *got)
{
	got->ptr = save_fopen("/dev/null", "re");
	ck_assert_ptr_nonnull(got->ptr);
}

/* Where it fails the stream is closed, but has its memory until fclose. */
static int do_freopen(struct got *got)
{
	FILE *stream = save_freopen("/dev/zero", "re", got->ptr);

	got->size = stream ? 0 : 1;
	return stream ? 0 : -1;
}

static void close_reopened(struct got *got)
{
	if (got->size)
		save_fclose(got->ptr);
}

static int do_fmemopen(struct got *got)
{
	return is_ptr(got,
		      save_fmemopen(got->buffer, sizeof(got->buffer), "w"));
}

static int do_open_memstream(struct got *got)
{
	return is_ptr(got, save_open_memstream(&got->text, &got->len));
}

static int close_memstream(struct got *got)
{
	int result = save_fclose(got->ptr);

	if (result == 0)
		save_free(got->text);
	return result;
}

static int do_opendir(struct got *got)
{
	return is_ptr(got, save_opendir("/"));
}

static void need_directory(struct got *got)
{
	got->needs[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(got->needs[0], 0);
}

static int do_fdopendir(struct got *got)
{
	return took_over(got, is_ptr(got, save_fdopendir(got->needs[0])));
}

static int close_directory(struct got *got)
{
	return save_closedir(got->ptr);
}

/* ---- mappings and libraries ---- */

static int is_mapping(struct got *got, void *at, size_t size)
{
	if (at == MAP_FAILED)
		return -1;
	got->ptr = at;
	got->size = size;
	return 0;
}

static void *map(void *at, size_t size, int flags)
{
	return save_mmap(at, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static int unmap(struct got *got)
{
	int result = save_munmap(got->ptr, got->size);

	if (result == 0)
		got->size = 0;
	return result;
}

static void unmap_if_there(struct got *got)
{
	if (got->size)
		ck_works(save_munmap(got->ptr, got->size));
}

static void need_mapping(struct got *got)
{
	ck_works(is_mapping(got, map(NULL, 3 * PAGE, 0), 3 * PAGE));
}

static int do_mmap(struct got *got)
{
	return is_mapping(got, map(NULL, 3 * PAGE, 0), 3 * PAGE);
}

/* Over the middle of another. */
static int do_mmap_fixed(struct got *got)
{
	char *middle = (char *)got->ptr + PAGE;

	return map(middle, PAGE, MAP_FIXED) == middle ? 0 : -1;
}

static int do_munmap_middle(struct got *got)
{
	return save_munmap((char *)got->ptr + PAGE, PAGE);
}

/* What was in between may be another thread's by now. */
static int unmap_around(struct got *got)
{
	int first = save_munmap(got->ptr, PAGE);
	int last = save_munmap((char *)got->ptr + 2 * PAGE, PAGE);

	if (first < 0 || last < 0)
		return -1;
	got->size = 0;
	return 0;
}

static int do_mremap(struct got *got)
{
	void *moved =
		save_mremap(got->ptr, 3 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);

	return is_mapping(got, moved, 64 * PAGE);
}

static int do_dlopen(struct got *got)
{
	return is_ptr(got, save_dlopen("libm.so.6", RTLD_NOW));
}

static int close_library(struct got *got)
{
	return save_dlclose(got->ptr);
}

/* ---- processes and threads ---- */

static int is_error(int error)
{
	if (!error)
		return 0;
	errno = error;
	return -1;
}

static int wait_for_child(struct got *got)
{
	int status;

	if (save_waitpid(got->pid, &status, 0) != got->pid)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? 0 : -1;
}

static char *const exit_three[] = {(char *)"sh", (char *)"-c", (char *)"exit 3",
				   NULL};

static int do_posix_spawn(struct got *got)
{
	return is_error(save_posix_spawn(&got->pid, "/bin/sh", NULL, NULL,
					 exit_three, environ));
}

static int do_posix_spawnp(struct got *got)
{
	return is_error(save_posix_spawnp(&got->pid, "sh", NULL, NULL,
					  exit_three, environ));
}

static int do_fork(struct got *got)
{
	got->pid = save_fork();
	if (got->pid == 0)
		_exit(3);
	return got->pid < 0 ? -1 : 0;
}

static int do_popen(struct got *got)
{
	return is_ptr(got, save_popen("exit 0", "r"));
}

static int close_process(struct got *got)
{
	return save_pclose(got->ptr);
}

static int do_system(struct got *got)
{
	(void)got;
	return save_system("exit 0") == 0 ? 0 : -1;
}

static int nothing_to_undo(struct got *got)
{
	(void)got;
	return 0;
}

static void *end_at_once(void *arg)
{
	return arg;
}

static int do_pthread_create(struct got *got)
{
	return is_error(
		save_pthread_create(&got->thread, NULL, end_at_once, NULL));
}

static int join_thread(struct got *got)
{
	return is_error(save_pthread_join(got->thread, NULL));
}

/* ---- memory ---- */

static int free_block(struct got *got)
{
	save_free(got->ptr);
	return 0;
}

static int do_malloc(struct got *got)
{
	return is_ptr(got, save_malloc(100));
}

static int do_calloc(struct got *got)
{
	return is_ptr(got, save_calloc(10, 10));
}

static void need_block(struct got *got)
{
	got->ptr = save_malloc(100);
	ck_assert_ptr_nonnull(got->ptr);
	got->size = 1;
}

static void free_if_there(struct got *got)
{
	if (got->size)
		save_free(got->ptr);
}

/* Where it fails the block stays. */
static int do_realloc(struct got *got)
{
	void *moved = save_realloc(got->ptr, 100000);

	if (!moved)
		return -1;
	got->size = 0;
	return is_ptr(got, moved);
}

static int do_realloc_of_nothing(struct got *got)
{
	return is_ptr(got, save_realloc(NULL, 100));
}

static int do_reallocarray(struct got *got)
{
	return is_ptr(got, save_reallocarray(NULL, 10, 10));
}

static int do_aligned_alloc(struct got *got)
{
	return is_ptr(got, save_aligned_alloc(256, 512));
}

static int do_posix_memalign(struct got *got)
{
	return is_error(save_posix_memalign(&got->ptr, 256, 512));
}

static int do_strdup(struct got *got)
{
	return is_ptr(got, save_strdup("text"));
}

static int do_strndup(struct got *got)
{
	return is_ptr(got, save_strndup("text", 2));
}

static int do_asprintf(struct got *got)
{
	char *text;
	int len = save_asprintf(&text, "%s %d", "text", 1);

	return len < 0 ? -1 : is_ptr(got, text);
}

static void need_line(struct got *got)
{
	static char text[] = "a line\nanother";

	got->source = fmemopen(text, sizeof(text), "r");
	ck_assert_ptr_nonnull(got->source);
}

static void close_line(struct got *got)
{
	fclose(got->source);
}

/* Where it fails it may have made room all the same, as getline does. */
static int do_getline(struct got *got)
{
	char *line = NULL;
	size_t room = 0;

	if (save_getline(&line, &room, got->source) >= 0)
		return is_ptr(got, line);
	save_free(line);
	return -1;
}

static int do_malloc2(struct got *got)
{
	return is_ptr(got, save_malloc2(100, malloc));
}

static int do_calloc2(struct got *got)
{
	return is_ptr(got, save_calloc2(10, 10, calloc));
}

static int do_realloc2(struct got *got)
{
	return is_ptr(got, save_realloc2(NULL, 100, realloc));
}

static int free_block2(struct got *got)
{
	save_free2(got->ptr, free);
	return 0;
}

static int do_mkdtemp(struct got *got)
{
	return is_ptr(got, save_mkdtemp(path_of("mkdtemp-XXXXXX")));
}

static int remove_directory(struct got *got)
{
	return rmdir(got->ptr);
}

/* ---- the table ---- */

#define PROGRAM (RUNS_A_PROGRAM | SLOW_TO_END | NOT_BY_FOREIGN | HOLDS_NO_FD)
#define MEMORY	(HOLDS_NO_FD | NOT_BY_FOREIGN)

const struct acquirer acquirers[] = {
	{"open", do_open, close_one, 1, 0, NULL, NULL, 0},
	{"openat", do_openat, close_one, 1, 0, NULL, NULL, 0},
	{"open unnamed", do_open_unnamed, close_one, 1, 0, NULL, NULL, 0},
	{"creat", do_creat, close_one, 1, 0, NULL, remove_creat, 0},
	{"fcntl dupfd", do_fcntl, close_one, 1, 0, need_fd, close_needed, 0},
	{"fcntl dupfd cloexec", do_fcntl_cloexec, close_one, 1, 0, need_fd,
	 close_needed, 0},
	{"dup", do_dup, close_one, 1, 0, need_fd, close_needed, 0},
	{"dup2", do_dup2, close_one, 1, 0, need_two, close_needed, 0},
	{"dup3", do_dup3, close_one, 1, 0, need_two, close_needed, 0},
	{"fd", do_fd, close_one, 1, 0, need_fd, close_needed, 0},
	{"pipe", do_pipe, close_two, 2, 0, NULL, NULL, 0},
	{"pipe2", do_pipe2, close_two, 2, 0, NULL, NULL, 0},
	{"socket", do_socket, close_one, 1, 0, NULL, NULL, 0},
	{"socketpair", do_socketpair, close_two, 2, 0, NULL, NULL, 0},
	{"accept", do_accept, close_one, 1, 0, need_connection, close_needed,
	 0},
	{"accept4", do_accept4, close_one, 1, 0, need_connection, close_needed,
	 0},
	{"mkstemp", do_mkstemp, close_one, 1, 0, NULL, NULL, 0},
	{"epoll_create1", do_epoll_create1, close_one, 1, 0, NULL, NULL, 0},
	{"eventfd", do_eventfd, close_one, 1, 0, NULL, NULL, 0},
	{"timerfd_create", do_timerfd_create, close_one, 1, 0, NULL, NULL, 0},
	{"signalfd", do_signalfd, close_one, 1, 0, NULL, NULL, 0},
	{"inotify_init1", do_inotify_init1, close_one, 1, 0, NULL, NULL, 0},
	{"memfd_create", do_memfd_create, close_one, 1, 0, NULL, NULL, 0},
	{"fopen", do_fopen, close_stream, 1, 0, NULL, NULL, 0},
	{"fdopen", do_fdopen, close_stream, 1, 0, need_fd, close_needed, 0},
	{"freopen", do_freopen, close_stream, 1, 0, need_stream, close_reopened,
	 CLOSES_ALL_THE_SAME},
	{"tmpfile", do_tmpfile, close_stream, 1, 0, NULL, NULL, 0},
	{"fmemopen", do_fmemopen, close_stream, 1, 0, NULL, NULL, HOLDS_NO_FD},
	{"open_memstream", do_open_memstream, close_memstream, 1, 1, NULL, NULL,
	 HOLDS_NO_FD},
	{"opendir", do_opendir, close_directory, 1, 0, NULL, NULL, 0},
	{"fdopendir", do_fdopendir, close_directory, 1, 0, need_directory,
	 close_needed, 0},
	{"mmap", do_mmap, unmap, 1, 0, NULL, NULL, HOLDS_NO_FD},
	{"mmap fixed", do_mmap_fixed, unmap, 3, 0, need_mapping, unmap_if_there,
	 HOLDS_NO_FD},
	{"munmap of a part", do_munmap_middle, unmap_around, 2, 0, need_mapping,
	 unmap_if_there, HOLDS_NO_FD},
	{"mremap", do_mremap, unmap, 1, 0, need_mapping, unmap_if_there,
	 HOLDS_NO_FD},
	{"dlopen", do_dlopen, close_library, 1, 0, NULL, NULL,
	 SAYS_NO_ERRNO | HOLDS_NO_FD},
	{"posix_spawn", do_posix_spawn, wait_for_child, 1, 0, NULL, NULL,
	 PROGRAM},
	{"posix_spawnp", do_posix_spawnp, wait_for_child, 1, 0, NULL, NULL,
	 PROGRAM | SETS_ERRNO},
	{"fork", do_fork, wait_for_child, 1, 0, NULL, NULL, PROGRAM},
	{"popen", do_popen, close_process, 2, 0, NULL, NULL,
	 RUNS_A_PROGRAM | SLOW_TO_END},
	{"system", do_system, nothing_to_undo, 0, 0, NULL, NULL,
	 PROGRAM | SAYS_NO_ERRNO},
	{"pthread_create", do_pthread_create, join_thread, 1, 0, NULL, NULL,
	 HOLDS_NO_FD | NOT_BY_FOREIGN},
	{"malloc", do_malloc, free_block, 0, 1, NULL, NULL, MEMORY},
	{"calloc", do_calloc, free_block, 0, 1, NULL, NULL, MEMORY},
	{"realloc", do_realloc, free_block, 0, 1, need_block, free_if_there,
	 MEMORY},
	{"realloc of nothing", do_realloc_of_nothing, free_block, 0, 1, NULL,
	 NULL, MEMORY},
	{"reallocarray", do_reallocarray, free_block, 0, 1, NULL, NULL, MEMORY},
	{"aligned_alloc", do_aligned_alloc, free_block, 0, 1, NULL, NULL,
	 MEMORY},
	{"posix_memalign", do_posix_memalign, free_block, 0, 1, NULL, NULL,
	 MEMORY},
	{"strdup", do_strdup, free_block, 0, 1, NULL, NULL, MEMORY},
	{"strndup", do_strndup, free_block, 0, 1, NULL, NULL, MEMORY},
	{"asprintf", do_asprintf, free_block, 0, 1, NULL, NULL, MEMORY},
	{"getline", do_getline, free_block, 0, 1, need_line, close_line,
	 MEMORY},
	{"malloc2", do_malloc2, free_block2, 0, 1, NULL, NULL, MEMORY},
	{"calloc2", do_calloc2, free_block2, 0, 1, NULL, NULL, MEMORY},
	{"realloc2", do_realloc2, free_block2, 0, 1, NULL, NULL, MEMORY},
	{"mkdtemp", do_mkdtemp, remove_directory, 0, 0, NULL, NULL, MEMORY},
};

const int acquirer_count = sizeof(acquirers) / sizeof(acquirers[0]);

void acquirer_prepare(const struct acquirer *a, struct got *got)
{
	*got = (struct got){.fds = {-1, -1}, .needs = {-1, -1}};
	if (a->prepare)
		a->prepare(got);
}

void acquirer_tidy(const struct acquirer *a, struct got *got)
{
	if (a->tidy)
		a->tidy(got);
}

void acquirer_get(const struct acquirer *a, struct got *got)
{
	acquirer_prepare(a, got);
	ck_assert_msg(a->acquire(got) == 0, "%s: %m", a->name);
}
