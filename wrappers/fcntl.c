/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

/* Whether open takes a mode.  O_TMPFILE is O_DIRECTORY, and a bit beside. */
static bool makes_file(int flags)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY));
}

/* The mode of an open, in the function whose last parameter `flags` is. */
#define MODE_ARGUMENT(flags)                          \
	({                                            \
		mode_t mode_ = 0;                     \
		va_list args;                         \
                                                      \
		if (makes_file(flags)) {              \
			va_start(args, flags);        \
			mode_ = va_arg(args, mode_t); \
			va_end(args);                 \
		}                                     \
		mode_;                                \
	})

int save_open(const char *path, int flags, ...)
{
	mode_t mode = MODE_ARGUMENT(flags);
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, open(path, flags, mode));
}

int save_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = MODE_ARGUMENT(flags);
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, openat(dir, path, flags, mode));
}

/*
 * What a fortified open without a mode becomes.  glibc ends the program where
 * one was needed.
 */
int __open_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);

int save_open_2(const char *path, int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, __open_2(path, flags));
}

int save_openat_2(int dir, const char *path, int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, __openat_2(dir, path, flags));
}

int save_creat(const char *path, mode_t mode)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, creat(path, mode));
}

/* Every command takes one argument of a word, or ignores it. */
int save_fcntl(int fd, int command, ...)
{
	struct acquisition a;
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
		return fcntl(fd, command, arg);
	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, fcntl(fd, command, (int)(intptr_t)arg));
}
