/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dirent.h>
#include <errno.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

/*
 * A directory whose descriptor was closed from under it cannot be closed
 * without closing whoever has the number now: its memory is lost instead.
 */
static void release_directory(const struct entry *held)
{
	if (fds_may_close(held))
		closedir(held->id);
}

static int describe_directory(const void *id, char *buf, size_t len)
{
	return fd_kind.kind.describe((void *)(intptr_t)dirfd((DIR *)id), buf,
				     len);
}

static const struct kind directory_kind = {
	.kind = {.name = "DIR",
		 .describe = describe_directory,
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN | KIND_FOUND_BY_ID},
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

	if (acquire_over(&a, &directory_kind, fd, "fdopendir", PLACE) < 0)
		return NULL;
	return acquired_directory(&a, fdopendir(fd));
}

int save_closedir(DIR *directory)
{
	struct departure d;
	int result = -1;

	if (let_go(&d, &directory_kind, directory, "closedir", PLACE) < 0)
		return -1;
	if (!d.held.kind || fds_may_close(&d.held))
		result = closedir(directory);
	else
		errno = EBADF;
	gone(&d);
	return result;
}
