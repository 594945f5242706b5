/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/pipes_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reclaim.h"

/* What larger pipes are asked for; an unprivileged user's may be refused. */
#define PIPE_SIZE (1 << 20)

void pipes_enlarge(int fd)
{
	fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

void pipes_leave(int null, int in, int out)
{
	if (in > 2)
		save_close(in); /* it may be tracked */
	if (out > 2 && out != in)
		save_close(out);
	if (in == 0)
		dup2(null, 0);
	if (out == 1 && dup2(2, 1) < 0)
		dup2(null, 1);
	close(null);
}

static void caught(int sig)
{
	(void)sig;
}

/*
 * The emulator's children inherit SIGPIPE ignored, and would hand that on.  A
 * handler lets write(2) fail just the same, and exec(3) resets it.
 */
void pipes_catch_sigpipe(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) < 0 ||
	    action.sa_flags & SA_SIGINFO ||
	    (action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL))
		return;
	action = (struct sigaction){.sa_handler = caught,
				    .sa_flags = SA_RESTART};
	sigaction(SIGPIPE, &action, NULL);
}

/* Without /proc, or the right to it, O_NONBLOCK is set for all who share it. */
static int duplicate(int fd, bool is_socket)
{
	int copy = save_fcntl(fd, F_DUPFD_CLOEXEC, 3), flags;

	if (copy < 0 || is_socket)
		return copy;
	flags = fcntl(copy, F_GETFL);
	if (flags >= 0 && fcntl(copy, F_SETFL, flags | O_NONBLOCK) == 0)
		return copy;
	save_close(copy);
	return -1;
}

/* Above 2, as what fds 0 to 2 are has a meaning of its own. */
static int move_up(int fd)
{
	int copy;

	if (fd > 2)
		return fd;
	copy = save_fcntl(fd, F_DUPFD_CLOEXEC, 3);
	save_close(fd);
	return copy;
}

int pipes_open(int fd, int flags, bool *is_socket)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) < 0)
		return -1;
	*is_socket = S_ISSOCK(st.st_mode);
	if (*is_socket) /* cannot be opened */
		return duplicate(fd, true);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = save_open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (own >= 0)
		return move_up(own);
	if (errno == ENOMEM || errno == EMFILE || errno == ENFILE)
		return -1;
	return duplicate(fd, false);
}

struct iovec *pipes_advance(struct iovec *iov, int *count, size_t n)
{
	while (*count && n >= iov->iov_len) {
		n -= iov->iov_len;
		iov++;
		--*count;
	}
	if (*count) {
		iov->iov_base = (char *)iov->iov_base + n;
		iov->iov_len -= n;
	}
	return iov;
}
