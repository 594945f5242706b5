/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls - count the system calls of a program by which it talks
 *
 * Preloaded; when the program ends their number is written to the file that
 * BENCH_CALLS names.  Unlike a tracer it does not slow the calls down, which
 * would let more messages come between two of them.  What is counted is what
 * the contestants of bench_ports call for each message or burst of them.
 */
#include "config.h"

#include <dlfcn.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned long counted;

#define COUNT(type, name, parameters, arguments)                            \
	type name parameters                                                \
	{                                                                   \
		static type(*real) parameters;                              \
		if (!real)                                                  \
			real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
		__atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);          \
		return real arguments;                                      \
	}

COUNT(ssize_t, read, (int fd, void *to, size_t len), (fd, to, len))
COUNT(ssize_t, write, (int fd, const void *from, size_t len), (fd, from, len))
COUNT(ssize_t, readv, (int fd, const struct iovec *iov, int count),
      (fd, iov, count))
COUNT(ssize_t, writev, (int fd, const struct iovec *iov, int count),
      (fd, iov, count))
COUNT(int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms))
COUNT(int, epoll_wait, (int fd, struct epoll_event *to, int max, int ms),
      (fd, to, max, ms))
COUNT(int, epoll_pwait,
      (int fd, struct epoll_event *to, int max, int ms, const sigset_t *mask),
      (fd, to, max, ms, mask))
COUNT(int, epoll_ctl, (int fd, int op, int of, struct epoll_event *event),
      (fd, op, of, event))
COUNT(ssize_t, preadv2,
      (int fd, const struct iovec *iov, int count, off_t at, int flags),
      (fd, iov, count, at, flags))
COUNT(int, sched_setscheduler,
      (pid_t pid, int policy, const struct sched_param *param),
      (pid, policy, param))
COUNT(int, getrusage, (__rusage_who_t who, struct rusage *usage), (who, usage))

__attribute__((destructor)) static void write_count(void)
{
	const char *path = getenv("BENCH_CALLS");
	FILE *file = path ? fopen(path, "w") : NULL;

	if (!file)
		return;
	fprintf(file, "%lu\n", counted);
	fclose(file);
}
