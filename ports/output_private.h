/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output - the bytes that wait to be written to a descriptor that never blocks
 *
 * What is put is copied and waits until output_write, which makes one
 * writev(2); a large body is tried from where it is at once, behind what
 * waits, and only what is not taken of it is copied.  All of a frame is put or
 * nothing.
 *
 * Where writing fails that is final: what waits is dropped, and whatever is put
 * later fails in the same way.  The memory is the task's that was current at
 * output_init, whoever puts.  One thread.
 */
#ifndef RECLAIM_OUTPUT_PRIVATE_H
#define RECLAIM_OUTPUT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct output {
	int fd;
	bool is_socket;
	bool blocked; /* the last write was not taken as a whole */
	int broken;   /* errno of the write that failed */
	char *bytes;
	size_t size, start, end;
};

/* `fd` is lent.  -1: ENOMEM. */
int output_init(struct output *output, int fd, bool is_socket);
void output_end(struct output *output);

/* A frame, of a prefix and the body's pieces.  -1: ENOMEM, `broken`. */
int output_put(struct output *output, const unsigned char prefix[4],
	       const struct iovec *pieces, int count);

size_t output_waiting(const struct output *output);

/* 0, also where not all of it was taken; -1: broken, with errno. */
int output_write(struct output *output);

#endif
