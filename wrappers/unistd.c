/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "reclaim.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"
#include "wrappers/acquire.h"
#include "wrappers/child_private.h"

static __attribute__((noinline)) int close_slowly(int fd, void *place)
{
	struct departure d;
	int result;

	if (let_go_fd(&d, fd, "close", place) < 0)
		return -1;
	result = close(fd);
	gone(&d);
	return result;
}

int save_close(int fd)
{
	return let_go_fd_quickly(fd) ? close(fd) : close_slowly(fd, PLACE);
}

static bool is_held(int fd, const struct task *by)
{
	struct entry *entry;
	bool is;

	lock_take(&tables);
	entry = fds_find(fd);
	is = entry && (!by || entry->task == by);
	lock_drop(&tables);
	return is;
}

/* What a task above or below holds is given to the current one. */
int save_fd(int fd)
{
	struct acquisition a;

	if (fcntl(fd, F_GETFD) < 0)
		return -1;
	if (is_held(fd, task_self()))
		return fd;
	if (acquire_fd(&a, PLACE) < 0 || acquire_over(&a, fd, "fd", PLACE) < 0)
		return -1;
	if (!is_held(fd, NULL))
		return acquired_fd(&a, fd);
	acquire_cancel(&a);
	return reclaim_give_fd(fd, reclaim_self()) < 0 ? -1 : fd;
}

int save_dup(int fd)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, dup(fd));
}

int save_dup2(int old, int fd)
{
	struct acquisition a;

	if (old == fd)
		return dup2(old, fd);
	if (acquire_fd(&a, PLACE) < 0 ||
	    acquire_over(&a, fd, "dup2", PLACE) < 0)
		return -1;
	return acquired_fd(&a, dup2(old, fd));
}

int save_dup3(int old, int fd, int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0 ||
	    acquire_over(&a, fd, "dup3", PLACE) < 0)
		return -1;
	return acquired_fd(&a, dup3(old, fd, flags));
}

int save_pipe2(int fds[2], int flags)
{
	struct acquisition a[2];

	if (acquire_two(a, PLACE) < 0)
		return -1;
	return acquired_two(a, pipe2(fds, flags), fds);
}

int save_pipe(int fds[2])
{
	struct acquisition a[2];

	if (acquire_two(a, PLACE) < 0)
		return -1;
	return acquired_two(a, pipe(fds), fds);
}

pid_t save_fork(void)
{
	struct acquisition a;
	pid_t pid;

	if (task_self() == task_root)
		return fork();
	if (acquire(&a, &child_kind, PLACE) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		/* The room is the parent's; this is its copy. */
		acquire_cancel(&a);
		return 0;
	}
	acquired(&a, pid < 0 ? NULL : (void *)(intptr_t)pid);
	return pid;
}
