/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim.h - the drop-in: the C library's names, whose results die with the
 * task that asked for them
 *
 * Each save_ function takes the arguments and gives the results and the errno
 * of the function that it is named after (and sends its reader there), and
 * records what it acquired as held by the calling thread's current task.  In
 * addition it may fail with ENOMEM where there is no room for the record, and
 * with EMFILE or ENOMEM at the task's limits; then nothing was acquired.
 *
 * Compile a program with `-include reclaim.h`, or include it before anything
 * else, and the plain names mean the save_ names: open() is save_open().  The
 * aliases are of symbols, not words; see <reclaim/alias.h>.  Define
 * RECLAIM_NO_ALIAS to have the save_ names alone.  Feature macros such as
 * _GNU_SOURCE then go on the command line, too: the system headers are read
 * before the first line of the file.  With gcc's -flto add
 * -fno-optimize-strlen, with its --coverage -fno-builtin-fork: else libc's
 * calloc and fork are called in places.
 *
 * What belongs to a task above or below the current one may be freed and
 * closed; it leaves its owner's ledger.  What an unrelated task holds may not:
 * that is told (reclaim_policy in <reclaim/task.h>) and refused, and stays.
 *
 * All are safe from any thread, none in a signal handler.  They acquire with
 * cancellation disabled, so that a cancelled thread loses nothing; where they
 * wait they can be cancelled, except in opening a FIFO, which can only wait
 * within the system call.
 *
 * Source: OTP's reclaim.h for VxWorks, and POSIX.
 */
#if !defined RECLAIM_H && !defined __ASSEMBLER__
#define RECLAIM_H

#ifndef RECLAIM_NO_ALIAS
#include <reclaim/alias.h>
#else
#include <reclaim/shadowed.h>
#endif

#include <stdarg.h>

#include <reclaim/block.h>
#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Optional: the library starts by itself.  0, or -1 with EALREADY where this
 * was called before.
 */
RECLAIM_API int reclaim_init(void);

/* ---- memory: gone with the task ---- */

/*
 * From the task's heap: libc's own free and realloc, as a library calls them
 * that was compiled without this header, must not be given a block of it.
 * Aligned to 16 bytes at least.  A request of zero bytes gives a pointer of its
 * own; save_realloc(p, 0) frees, as glibc's does.  save_realloc leaves a block
 * where it is if it can; what it moves is aligned to 16 bytes.  save_free and
 * save_realloc pass what libc allocated behind the wrappers on to libc.
 * save_getline's line is the task's as well.
 * What was freed before, a pointer into a block, and what nobody allocated are
 * wrong use, told and refused; so are blocks of save_malloc2, which are of
 * another family (below); save_realloc of one: NULL, EINVAL.
 * A thread takes no lock to allocate and free its own blocks of up to 16 KiB,
 * unless its heap gets or loses a chunk; what another thread frees is used
 * again when the owner next looks for memory.
 */
RECLAIM_API void *save_malloc(size_t size);
RECLAIM_API void *save_calloc(size_t n, size_t size);
RECLAIM_API void *save_realloc(void *ptr, size_t size);
RECLAIM_API void *save_reallocarray(void *ptr, size_t n, size_t size);
RECLAIM_API void *save_aligned_alloc(size_t align, size_t size);
RECLAIM_API int save_posix_memalign(void **ptr, size_t align, size_t size);
RECLAIM_API char *save_strdup(const char *text);
RECLAIM_API char *save_strndup(const char *text, size_t most);
RECLAIM_API int save_asprintf(char **text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
RECLAIM_API int save_vasprintf(char **text, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
RECLAIM_API ssize_t save_getline(char **line, size_t *size, FILE *stream);
RECLAIM_API ssize_t save_getdelim(char **line, size_t *size, int end,
				  FILE *stream);
RECLAIM_API void save_free(void *ptr);
RECLAIM_API void save_cfree(void *ptr);

/* libc's own, never tracked. */
RECLAIM_API void *plain_malloc(size_t size);
RECLAIM_API void *plain_realloc(void *ptr, size_t size);
RECLAIM_API void plain_free(void *ptr);

/*
 * Memory of an allocator that the caller names, tracked in the current task.
 * What is left of it at the task's end goes to the function that
 * set_reclaim_free_function named last, for all tasks; to libc's free where
 * none was or NULL.  save_realloc2 of a block that could not be resized leaves
 * it as it was.
 */
RECLAIM_API void *save_malloc2(size_t size, void *(*alloc)(size_t));
RECLAIM_API void *save_calloc2(size_t n, size_t size,
			       void *(*alloc)(size_t, size_t));
RECLAIM_API void *save_realloc2(void *ptr, size_t size,
				void *(*resize)(void *, size_t));
RECLAIM_API void save_free2(void *ptr, void (*give_back)(void *));
RECLAIM_API void set_reclaim_free_function(void (*give_back)(void *));

/* ---- descriptors: closed with the task ---- */

/*
 * Each descriptor is a handle of the current task.  save_dup2 and save_dup3
 * take the number over from whoever held it; EBADF where that is an unrelated
 * task.  save_fcntl makes a handle with F_DUPFD and F_DUPFD_CLOEXEC,
 * save_signalfd with fd -1.
 */
RECLAIM_API int save_open(const char *path, int flags, ...);
RECLAIM_API int save_openat(int dir, const char *path, int flags, ...);
RECLAIM_API int save_creat(const char *path, mode_t mode);
RECLAIM_API int save_dup(int fd);
RECLAIM_API int save_dup2(int old, int fd);
RECLAIM_API int save_dup3(int old, int fd, int flags);
RECLAIM_API int save_fcntl(int fd, int command, ...);
RECLAIM_API int save_pipe(int fds[2]);
RECLAIM_API int save_pipe2(int fds[2], int flags);
RECLAIM_API int save_socket(int domain, int type, int protocol);
RECLAIM_API int save_socketpair(int domain, int type, int protocol, int fds[2]);
RECLAIM_API int save_accept(int fd, struct sockaddr *address, socklen_t *len);
RECLAIM_API int save_accept4(int fd, struct sockaddr *address, socklen_t *len,
			     int flags);
RECLAIM_API int save_epoll_create1(int flags);
RECLAIM_API int save_eventfd(unsigned value, int flags);
RECLAIM_API int save_timerfd_create(clockid_t clock, int flags);
RECLAIM_API int save_signalfd(int fd, const sigset_t *mask, int flags);
RECLAIM_API int save_inotify_init1(int flags);
RECLAIM_API int save_memfd_create(const char *name, unsigned flags);

/* The descriptor is tracked; the file and the directory stay. */
RECLAIM_API int save_mkstemp(char *name);
RECLAIM_API char *save_mkdtemp(char *name);

/* EBADF also where the descriptor is an unrelated task's: it stays open. */
RECLAIM_API int save_close(int fd);

/*
 * Track a descriptor that came from elsewhere, as the current task's.
 * Returns it, or -1: EBADF, EMFILE, ENOMEM; then it is as it was.
 */
RECLAIM_API int save_fd(int fd);

/* How many descriptors the current task can have open at once. */
RECLAIM_API int reclaim_max_files(void);

/* ---- streams and directories: closed with the task ---- */

/*
 * A stream or directory takes its descriptor over.  Streams are flushed as
 * they are closed, at the task's end as far as that can be done at once, but
 * for those into memory: what was not flushed to a caller's buffer by the
 * task's end is dropped.  The text of save_open_memstream is memory of the
 * task.
 */
RECLAIM_API FILE *save_fopen(const char *path, const char *mode);
RECLAIM_API FILE *save_fdopen(int fd, const char *mode);
RECLAIM_API FILE *save_freopen(const char *path, const char *mode,
			       FILE *stream);
RECLAIM_API FILE *save_tmpfile(void);
RECLAIM_API FILE *save_fmemopen(void *buf, size_t size, const char *mode);
RECLAIM_API FILE *save_open_memstream(char **text, size_t *size);
RECLAIM_API int save_fclose(FILE *stream);
RECLAIM_API DIR *save_opendir(const char *path);
RECLAIM_API DIR *save_fdopendir(int fd);
RECLAIM_API int save_closedir(DIR *directory);

/* ---- mappings and libraries: unmapped and closed with the task ---- */

RECLAIM_API void *save_mmap(void *at, size_t len, int prot, int flags, int fd,
			    off_t offset);
RECLAIM_API void *save_mremap(void *old, size_t old_len, size_t len, int flags,
			      ...);
RECLAIM_API int save_munmap(void *start, size_t len);
RECLAIM_API void *save_dlopen(const char *file, int flags);
RECLAIM_API int save_dlclose(void *library);

/* ---- processes: ended and reaped with the task ---- */

/*
 * At the task's end a child gets TERM, two seconds, KILL, and is reaped;
 * reclaim_child_detach spares it.  Children of save_fork are the task's where
 * that is not the root: what a plain program forks is its own affair.  A
 * program that is started here inherits what the caller's flags say of what
 * its task and those above hold, and nothing that other tasks hold.
 */
RECLAIM_API pid_t save_fork(void);
RECLAIM_API int save_posix_spawn(pid_t *pid, const char *path,
				 const posix_spawn_file_actions_t *actions,
				 const posix_spawnattr_t *attributes,
				 char *const argv[], char *const envp[]);
RECLAIM_API int save_posix_spawnp(pid_t *pid, const char *file,
				  const posix_spawn_file_actions_t *actions,
				  const posix_spawnattr_t *attributes,
				  char *const argv[], char *const envp[]);
RECLAIM_API FILE *save_popen(const char *command, const char *type);
RECLAIM_API int save_pclose(FILE *stream);
RECLAIM_API int save_system(const char *command);
RECLAIM_API pid_t save_waitpid(pid_t pid, int *status, int options);

/* reclaim_exit: in a task's own thread the task ends, else the process. */
RECLAIM_API RECLAIM_NORETURN void save_exit(int status);

/* ---- threads: asked to stop and waited for with the task ---- */

/*
 * The thread works for the task that made it, and its own end releases nothing.
 * Where there is no room for the record: EAGAIN.  A task's own thread cannot
 * detach itself: EINVAL.
 */
RECLAIM_API int save_pthread_create(pthread_t *thread,
				    const pthread_attr_t *attr,
				    void *(*start)(void *), void *arg);
RECLAIM_API int save_pthread_join(pthread_t thread, void **result);
RECLAIM_API int save_pthread_detach(pthread_t thread);

/* ---- actions ---- */

/* reclaim_defer, for those who need no token; a failure is reported. */
RECLAIM_API void save_delete_hook(void (*fn)(void *), void *arg);

/* ---- what _FORTIFY_SOURCE makes of the names above ---- */

/*
 * As __open_2, __openat_2, __asprintf_chk and __vasprintf_chk of libc, which
 * end the process where a mode is missing or a %n is writable (flag above 0);
 * else as the names without the suffix.
 */

RECLAIM_API int save_open_2(const char *path, int flags);
RECLAIM_API int save_openat_2(int dir, const char *path, int flags);
RECLAIM_API int save_asprintf_chk(char **text, int flag, const char *format,
				  ...) __attribute__((format(printf, 3, 4)));
RECLAIM_API int save_vasprintf_chk(char **text, int flag, const char *format,
				   va_list args)
	__attribute__((format(printf, 3, 0)));

#ifdef __cplusplus
}
#endif

#endif
