/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

int save_socket(int domain, int type, int protocol)
{
	struct acquisition a;

	if (acquire(&a, &fd_kind, PLACE) < 0)
		return -1;
	return acquired_fd(&a, socket(domain, type, protocol));
}

int save_socketpair(int domain, int type, int protocol, int fds[2])
{
	struct acquisition a[2];

	if (acquire_two(a, PLACE) < 0)
		return -1;
	return acquired_two(a, socketpair(domain, type, protocol, fds), fds);
}

/*
 * Accepting runs with cancellation disabled, so the waiting is done before it,
 * where a thread can be cancelled.  With a single thread there is nobody to
 * cancel it, and a socket that does not block needs no waiting.
 * -1 with EINTR, as accept(2); whatever else is wrong, accept will say.
 */
static int wait_for_connection(int fd)
{
	struct pollfd listening = {.fd = fd, .events = POLLIN};
	int flags;

	if (__libc_single_threaded)
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_NONBLOCK)
		return 0;
	return poll(&listening, 1, -1) < 0 ? -1 : 0;
}

int save_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	struct acquisition a;

	if (wait_for_connection(fd) < 0)
		return -1;
	if (acquire(&a, &fd_kind, PLACE) < 0)
		return -1;
	return acquired_fd(&a, accept4(fd, address, len, flags));
}

int save_accept(int fd, struct sockaddr *address, socklen_t *len)
{
	struct acquisition a;

	if (wait_for_connection(fd) < 0)
		return -1;
	if (acquire(&a, &fd_kind, PLACE) < 0)
		return -1;
	return acquired_fd(&a, accept(fd, address, len));
}
