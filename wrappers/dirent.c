/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

/*
 * A directory whose descriptor was closed from under it cannot be closed
 * without closing whoever has the number now.  But for the number it is one
 * block of libc's.
 */
static int close_directory(const struct entry *held)
{
	if (fds_may_close(held))
		return closedir(held->id);
	free(held->id);
	errno = EBADF;
	return -1;
}

static void release_directory(const struct entry *held)
{
	close_directory(held);
}

static int describe_directory(const void *id, char *buf, size_t len)
{
	return fd_kind.kind.describe((void *)(intptr_t)dirfd((DIR *)id), buf,
				     len);
}

static const struct kind directory_kind = {
	.kind = {.name = "DIR",
		 .describe = describe_directory,
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN | KIND_FOUND_BY_ID |
			 KIND_IS_UNIQUE},
	.release = release_directory,
};

static DIR *acquired_directory(struct acquisition *a, DIR *directory)
{
	return acquired_with_fd(a, directory,
				directory ? dirfd(directory) : -1);
}

DIR *save_opendir(const char *path)
{
	struct acquisition a;

	if (acquire(&a, &directory_kind, PLACE) < 0)
		return NULL;
	return acquired_directory(&a, opendir(path));
}

DIR *save_fdopendir(int fd)
{
	struct acquisition a;

	if (acquire(&a, &directory_kind, PLACE) < 0 ||
	    acquire_over(&a, fd, "fdopendir", PLACE) < 0)
		return NULL;
	return acquired_directory(&a, fdopendir(fd));
}

int save_closedir(DIR *directory)
{
	struct departure d;
	int result;

	if (let_go(&d, &directory_kind, directory, "closedir", PLACE) < 0)
		return -1;
	result = d.held.kind ? close_directory(&d.held) : closedir(directory);
	gone(&d);
	return result;
}
