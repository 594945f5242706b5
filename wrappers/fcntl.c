/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

/* Whether open takes a mode. */
static bool makes_file(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

static int open_tracked(int dir, const char *path, int flags, mode_t mode,
			void *place)
{
	struct acquisition a;

	if (acquire(&a, &fd_kind, place) < 0)
		return -1;
	return acquired_fd(&a, openat(dir, path, flags, mode));
}

static mode_t mode_argument(int flags, va_list args)
{
	return makes_file(flags) ? va_arg(args, mode_t) : 0;
}

int save_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_argument(flags, args);
	va_end(args);
	return open_tracked(AT_FDCWD, path, flags, mode, PLACE);
}

int save_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_argument(flags, args);
	va_end(args);
	return open_tracked(dir, path, flags, mode, PLACE);
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

	if (acquire(&a, &fd_kind, PLACE) < 0)
		return -1;
	return acquired_fd(&a, __open_2(path, flags));
}

int save_openat_2(int dir, const char *path, int flags)
{
	struct acquisition a;

	if (acquire(&a, &fd_kind, PLACE) < 0)
		return -1;
	return acquired_fd(&a, __openat_2(dir, path, flags));
}

int save_creat(const char *path, mode_t mode)
{
	return open_tracked(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode,
			    PLACE);
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
	if (acquire(&a, &fd_kind, PLACE) < 0)
		return -1;
	return acquired_fd(&a, fcntl(fd, command, (int)(intptr_t)arg));
}
