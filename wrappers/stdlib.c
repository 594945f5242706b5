/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "reclaim.h"
#include "reclaim/memory_private.h"
#include "reclaim/library_private.h"
#include "reclaim/thread_private.h"
#include "wrappers/child_private.h"

/* ---- memory ---- */

void *save_malloc(size_t size)
{
	void *ptr = memory_quick_alloc(size);

	return ptr ? ptr : memory_refill(size, PLACE);
}

void *save_calloc(size_t n, size_t size)
{
	return memory_calloc(n, size, PLACE);
}

void *save_realloc(void *ptr, size_t size)
{
	return memory_realloc(ptr, size, PLACE);
}

void *save_reallocarray(void *ptr, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return memory_realloc(ptr, bytes, PLACE);
}

static bool is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

void *save_aligned_alloc(size_t align, size_t size)
{
	if (!is_power_of_two(align)) {
		errno = EINVAL;
		return NULL;
	}
	return memory_alloc(size, align, PLACE);
}

int save_posix_memalign(void **ptr, size_t align, size_t size)
{
	int saved = errno;
	void *block;

	if (!is_power_of_two(align) || align % sizeof(void *) != 0)
		return EINVAL;
	block = memory_alloc(size, align, PLACE);
	errno = saved;
	if (!block)
		return ENOMEM;
	*ptr = block;
	return 0;
}

void save_free(void *ptr)
{
	if (!memory_quick_free(ptr))
		memory_free(ptr, PLACE);
}

void save_cfree(void *ptr)
{
	memory_free(ptr, PLACE);
}

void *plain_malloc(size_t size)
{
	return malloc(size);
}

void *plain_realloc(void *ptr, size_t size)
{
	return realloc(ptr, size);
}

void plain_free(void *ptr)
{
	free(ptr);
}

/* ---- temporary files ---- */

int save_mkstemp(char *template)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, mkstemp(template));
}

char *save_mkdtemp(char *template)
{
	return mkdtemp(template);
}

/* ---- programs ---- */

void save_exit(int status)
{
	reclaim_exit(status);
}

/*
 * While any thread is in system(), the process ignores INT and QUIT: the first
 * in sees to it, the last out restores them.
 */
static struct {
	struct lock lock;
	int users;
	struct sigaction interrupt, quit;
} ignored = {.lock = LOCK_INIT};

LOCK_HELD_OVER_FORK(ignored.lock)

static void ignore_interrupts(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	lock_take(&ignored.lock);
	if (ignored.users++ == 0) {
		sigaction(SIGINT, &ignore, &ignored.interrupt);
		sigaction(SIGQUIT, &ignore, &ignored.quit);
	}
	lock_drop(&ignored.lock);
}

/* What a thread changes for the time of a system(). */
struct shell_scope {
	sigset_t mask;
};

static void leave_shell(void *arg)
{
	struct shell_scope *scope = arg;

	lock_take(&ignored.lock);
	if (--ignored.users == 0) {
		sigaction(SIGINT, &ignored.interrupt, NULL);
		sigaction(SIGQUIT, &ignored.quit, NULL);
	}
	lock_drop(&ignored.lock);
	pthread_sigmask(SIG_SETMASK, &scope->mask, NULL);
}

static void enter_shell(struct shell_scope *scope)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	ignore_interrupts();
	pthread_sigmask(SIG_BLOCK, &child, &scope->mask);
}

/* The shell's signals are as the caller's were. */
static int start_shell(struct acquisition *a, const char *command,
		       const struct shell_scope *scope, pid_t *pid)
{
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int error;

	sigemptyset(&defaults);
	lock_take(&ignored.lock);
	if (ignored.interrupt.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGINT);
	if (ignored.quit.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGQUIT);
	lock_drop(&ignored.lock);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setsigmask(&attributes, &scope->mask);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK);
	error = child_spawn_shell(a, command, NULL, &attributes, pid);
	posix_spawnattr_destroy(&attributes);
	return error;
}

int save_system(const char *command)
{
	struct shell_scope scope;
	struct acquisition a;
	int status = -1, error;
	pid_t pid;

	if (!command)
		return system(NULL);
	if (acquire(&a, &child_kind, PLACE) < 0)
		return -1;
	enter_shell(&scope);
	pthread_cleanup_push(leave_shell, &scope);
	error = start_shell(&a, command, &scope, &pid);
	if (error)
		status = 127 << 8; /* as when sh itself cannot be run */
	else
		while (child_wait(pid, &status, 0) < 0 && errno == EINTR)
			;
	pthread_cleanup_pop(1);
	return status;
}
