/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipes - the descriptors that the emulator gave, for either style of a port
 *
 * Nothing here keeps anything.  What is opened is a handle of the current task.
 */
#ifndef RECLAIM_PIPES_PRIVATE_H
#define RECLAIM_PIPES_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* As much room in the pipe as can be had, to 1 MiB. */
void pipes_enlarge(int fd);

/*
 * Take what is moved elsewhere from its place: fd 0 is `null` afterwards and
 * fd 1 is fd 2, or `null`; others are closed.  `null` is closed.
 */
void pipes_leave(int null, int in, int out);

/* EPIPE instead of SIGPIPE, unless the program has its own way with it. */
void pipes_catch_sigpipe(void);

/*
 * A descriptor of the same pipe that alone may become non-blocking, and is:
 * its own description where there can be one, else a duplicate.  `flags`:
 * O_RDONLY or O_WRONLY.  A duplicate of a socket is left as it is and
 * *is_socket set: recv and send are to be told each time.  -1 with errno.
 */
int pipes_open(int fd, int flags, bool *is_socket);

/* What is left of so many pieces behind their first n bytes. */
struct iovec *pipes_advance(struct iovec *iov, int *count, size_t n);

#endif
