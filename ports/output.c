/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/output_private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ports/pipes_private.h"
#include "reclaim.h"

#define OUTPUT_SIZE ((size_t)64 << 10)

/* Room is kept to this when nothing waits. */
#define OUTPUT_KEPT ((size_t)2 << 20)

/* A body that is not copied if that can be helped: a pipe's default capacity.
 */
#define LARGE ((size_t)64 << 10)

/* A large body of more pieces is copied; in general it is one. */
#define PIECES_MAX 14

static int resize(struct output *output, size_t size)
{
	char *bytes = save_realloc(output->bytes, size);

	if (!bytes)
		return -1;
	output->bytes = bytes;
	output->size = size;
	return 0;
}

int output_init(struct output *output, int fd, bool is_socket)
{
	*output = (struct output){.fd = fd, .is_socket = is_socket};
	return resize(output, OUTPUT_SIZE);
}

void output_end(struct output *output)
{
	save_free(output->bytes);
	output->bytes = NULL;
}

size_t output_waiting(const struct output *output)
{
	return output->end - output->start;
}

/* The first n bytes are gone. */
static void drop(struct output *output, size_t n)
{
	output->start += n;
	if (output->start == output->end)
		output->start = output->end = 0;
}

static void give_back(struct output *output)
{
	if (!output_waiting(output) && output->size > OUTPUT_KEPT)
		resize(output, OUTPUT_SIZE);
}

/* What is moved is no more than what was written since it last was. */
static int make_room(struct output *output, size_t more)
{
	size_t held = output_waiting(output), size = output->size;

	if (output->end + more <= size)
		return 0;
	if (held + more > size || held > output->start) {
		size = held + more > 2 * size ? held + more : 2 * size;
		if (resize(output, size) < 0)
			return -1;
	}
	memmove(output->bytes, output->bytes + output->start, held);
	output->start = 0;
	output->end = held;
	return 0;
}

/* ---- writing ---- */

static ssize_t write_some(const struct output *output, struct iovec *iov,
			  int count)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};

	if (output->is_socket)
		return sendmsg(output->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (count == 1)
		return write(output->fd, iov->iov_base, iov->iov_len);
	return writev(output->fd, iov, count);
}

/* What was taken of so many bytes; -1 where it is broken now. */
static ssize_t try(struct output *output, struct iovec *iov, int count,
		   size_t total)
{
	ssize_t n;

	do
		n = write_some(output, iov, count);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		n = 0;
	output->blocked = n >= 0 && (size_t)n < total;
	if (n < 0) {
		output->broken = errno;
		drop(output, output_waiting(output));
	}
	return n;
}

int output_write(struct output *output)
{
	size_t waiting = output_waiting(output);
	struct iovec iov = {output->bytes + output->start, waiting};
	ssize_t n;

	if (output->broken) {
		errno = output->broken;
		return -1;
	}
	if (!waiting)
		return 0;
	n = try(output, &iov, 1, waiting);
	if (n < 0)
		return -1;
	drop(output, (size_t)n);
	give_back(output);
	return 0;
}

/* ---- putting ---- */

static void append(struct output *output, const struct iovec *iov, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!iov[i].iov_len)
			continue;
		memcpy(output->bytes + output->end, iov[i].iov_base,
		       iov[i].iov_len);
		output->end += iov[i].iov_len;
	}
}

/* iov[0] is what waits. */
static int put_large(struct output *output, struct iovec *iov, int count,
		     size_t total)
{
	size_t waiting = output_waiting(output), taken;
	ssize_t n;

	iov[0] = (struct iovec){output->bytes + output->start, waiting};
	n = try(output, iov, count, waiting + total);
	if (n < 0)
		return -1;
	taken = (size_t)n < waiting ? (size_t)n : waiting;
	drop(output, taken);
	iov = pipes_advance(iov, &count, (size_t)n);
	if (taken < waiting) { /* of the frame itself nothing was */
		iov++;
		count--;
	}
	append(output, iov, count);
	give_back(output);
	return 0;
}

int output_put(struct output *output, const unsigned char prefix[4],
	       const struct iovec *pieces, int count)
{
	struct iovec iov[PIECES_MAX + 2];
	const struct iovec head = {(void *)prefix, 4};
	size_t total = 4;
	int i;

	if (output->broken) {
		errno = output->broken;
		return -1;
	}
	for (i = 0; i < count; i++)
		total += pieces[i].iov_len;
	if (make_room(output, total) < 0)
		return -1;
	if (total < LARGE || count > PIECES_MAX) {
		append(output, &head, 1);
		append(output, pieces, count);
		return 0;
	}
	iov[1] = head;
	memcpy(iov + 2, pieces, (size_t)count * sizeof(*pieces));
	return put_large(output, iov, count + 2, total);
}
