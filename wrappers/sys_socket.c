/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "reclaim.h"
#include "reclaim/library_private.h"
#include "wrappers/acquire.h"

int save_socket(int domain, int type, int protocol)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
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

/* ---- accepting ---- */

/*
 * An accept that waits could not be cancelled without losing connections, now
 * and then.  So it is made when there is a connection, or something to say;
 * the waiting is done elsewhere.  Of several threads at one socket only one
 * takes a connection that all have seen: from looking to taking it holds this.
 */
static struct lock accepting = LOCK_INIT;

LOCK_HELD_OVER_FORK(accepting)

struct accepting_arguments {
	int fd;
	struct sockaddr *address;
	socklen_t *len;
	int flags;
};

static int accept_plain(const struct accepting_arguments *args)
{
	return accept4(args->fd, args->address, args->len, args->flags);
}

/* Whether it would not have waited, and what came of it. */
static bool accept_now(const struct accepting_arguments *args, int *accepted)
{
	struct pollfd listening = {.fd = args->fd, .events = POLLIN};
	bool now;

	lock_take(&accepting);
	now = poll(&listening, 1, 0) > 0;
	if (now)
		*accepted = accept_plain(args);
	lock_drop(&accepting);
	return now;
}

static bool would_wait(int fd)
{
	int listens = 0, flags = fcntl(fd, F_GETFL);
	socklen_t len = sizeof(listens);

	return flags >= 0 && !(flags & O_NONBLOCK) &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
	       listens;
}

/* A thread's own faults: whoever waits makes none. */
static bool is_fault(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE ||
	       signo == SIGILL || signo == SIGTRAP || signo == SIGABRT;
}

/* poll(2) is always interrupted; accept(2) only by handlers that want it. */
static bool handlers_restart(void)
{
	struct sigaction action;
	int signo;

	for (signo = 1; signo < _NSIG; signo++) {
		if (is_fault(signo) || sigaction(signo, NULL, &action) < 0 ||
		    action.sa_handler == SIG_DFL ||
		    action.sa_handler == SIG_IGN)
			continue;
		if (!(action.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

/* The socket's own timeout, in milliseconds, as poll wants it. */
static int patience(int fd)
{
	struct timeval time = {0};
	socklen_t len = sizeof(time);

	if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &len) < 0 ||
	    time.tv_sec > INT_MAX / 1000 - 1)
		return -1;
	if (time.tv_sec == 0 && time.tv_usec == 0)
		return -1;
	return (int)(time.tv_sec * 1000 + (time.tv_usec + 999) / 1000);
}

/* As accept(2) would: EINTR, EAGAIN. */
static int wait_for_connection(int fd)
{
	struct pollfd listening = {.fd = fd, .events = POLLIN};
	int ready;

	do
		ready = poll(&listening, 1, patience(fd));
	while (ready < 0 && errno == EINTR && handlers_restart());
	if (ready == 0)
		errno = EAGAIN;
	return ready > 0 ? 0 : -1;
}

static int accept_tracked(const struct accepting_arguments *args, void *place)
{
	struct acquisition a;
	int accepted;

	for (;;) {
		if (acquire_fd(&a, place) < 0)
			return -1;
		/* The only thread is not cancelled, and nobody is faster. */
		if (__libc_single_threaded)
			return acquired_fd(&a, accept_plain(args));
		if (accept_now(args, &accepted))
			return acquired_fd(&a, accepted);
		if (!would_wait(args->fd))
			return acquired_fd(&a, accept_plain(args));
		acquire_cancel(&a);
		if (wait_for_connection(args->fd) < 0)
			return -1;
	}
}

int save_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	struct accepting_arguments args = {fd, address, len, flags};

	return accept_tracked(&args, PLACE);
}

int save_accept(int fd, struct sockaddr *address, socklen_t *len)
{
	struct accepting_arguments args = {fd, address, len, 0};

	return accept_tracked(&args, PLACE);
}
