/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link, by a byte stream cut at any places: over a socket pair or two pipes
 * it hands over just the frames that a decoder by the book finds, and ends when
 * and as that does.  The first bytes of an input say how it is cut.
 */
#include "config.h"

#include "fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ports/link_private.h"

#define MAX_FRAME 300

/* What is to come, and how far it has. */
struct heard {
	const uint8_t *at, *end;
	unsigned frames;
	unsigned echoed; /* bytes that have to come back */
	int why;	 /* -1: it has not ended */
	struct link *link;
};

static size_t length_at(const uint8_t *at)
{
	return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 |
	       at[3];
}

/* The next frame of the stream, and no other. */
static void hear_frame(void *context, const unsigned char *body, size_t len)
{
	const struct iovec pieces[] = {
		{(void *)body, len / 2},
		{(void *)(body + len / 2), len - len / 2}};
	struct heard *heard = context;

	holds(heard->why < 0 && heard->end - heard->at >= 4);
	holds(len == length_at(heard->at) && len <= MAX_FRAME);
	heard->at += 4;
	holds((size_t)(heard->end - heard->at) >= len);
	holds(memcmp(body, heard->at, len) == 0);
	heard->at += len;
	heard->frames++;
	if (link_put(heard->link, pieces, 2) == 0)
		heard->echoed += 4 + (unsigned)len;
}

static void hear_end(void *context, int why)
{
	struct heard *heard = context;

	holds(heard->why < 0);
	heard->why = why;
}

static const struct link_events events = {
	.frame = hear_frame,
	.ended = hear_end,
};

/* ---- its other ends ---- */

struct ends {
	int near_in, near_out, far_in, far_out;
};

static void make_ends(struct ends *ends, bool sockets)
{
	int pair[2], in[2], out[2];

	if (sockets) {
		holds(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				 pair) == 0);
		*ends = (struct ends){pair[0], pair[0], pair[1], pair[1]};
		return;
	}
	holds(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	*ends = (struct ends){in[0], out[1], out[0], in[1]};
}

static void close_both(int one, int other)
{
	close(one);
	if (other != one)
		close(other);
}

/* ---- one input ---- */

static void send_in_pieces(uv_loop_t *loop, int to, const uint8_t *data,
			   size_t len, uint64_t cuts)
{
	size_t piece;

	while (len) {
		piece = 1 + (cuts % 4 ? cuts >> 2 & 7 : cuts >> 2 & 0xff);
		cuts = cuts * UINT64_C(6364136223846793005) + 1;
		cuts = cuts << 31 | cuts >> 33;
		piece = piece < len ? piece : len;
		if (send(to, data, piece, MSG_NOSIGNAL) < 0 &&
		    (errno != ENOTSOCK || write(to, data, piece) < 0))
			return; /* it has ended there */
		data += piece;
		len -= piece;
		uv_run(loop, UV_RUN_NOWAIT);
	}
}

/* By the book: what is left where no frame is whole any more. */
static int why_it_ends(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= 4) {
		size_t len = length_at(at);

		if (len > MAX_FRAME)
			return EMSGSIZE;
		if ((size_t)(end - at - 4) < len)
			return EBADMSG;
		at += 4 + len;
	}
	return at == end ? 0 : EBADMSG;
}

static unsigned count_bytes(int from)
{
	unsigned total = 0;
	char bytes[4096];
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		total += (unsigned)n;
	return total;
}

static void say_nothing(int severity, const char *text, void *unused)
{
	(void)severity;
	(void)text;
	(void)unused;
}

static void run(struct heard *heard, const uint8_t *data, size_t len,
		uint64_t cuts)
{
	struct link_opts opts = {
		.max_frame = MAX_FRAME,
		.low = 100,
		.high = 200 + (size_t)(cuts & 0xff),
		.spin_us = -1,
		.events = &events,
		.context = heard,
	};
	struct ends ends;
	uv_loop_t loop;

	make_ends(&ends, cuts & 1);
	opts.in = ends.near_in;
	opts.out = ends.near_out;
	holds(uv_loop_init(&loop) == 0);
	heard->link = link_open(&loop, &opts);
	holds(heard->link);
	close_both(ends.near_in, ends.near_out);
	send_in_pieces(&loop, ends.far_out, data, len, cuts);
	if (cuts & 1)
		shutdown(ends.far_out, SHUT_WR);
	else
		close(ends.far_out);
	while (heard->why < 0)
		uv_run(&loop, UV_RUN_ONCE);
	link_flush(heard->link, 1000);
	link_close(heard->link);
	holds(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	holds(uv_loop_close(&loop) == 0);
	holds(count_bytes(ends.far_in) == heard->echoed);
	close(ends.far_in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct heard heard = {.why = -1};
	uint64_t cuts = 0;
	int before = dup(0);

	reclaim_on_report(say_nothing, NULL);
	for (; len && cuts < UINT64_C(1) << 24; len--)
		cuts = cuts << 8 | *data++ | (cuts ? 0 : 1 << 8);
	heard.at = data;
	heard.end = data + len;
	run(&heard, data, len, cuts);
	holds(heard.why == why_it_ends(data, data + len));
	holds(heard.why || heard.at == heard.end);
	close(before);
	holds(dup(0) == before);
	close(before);
	return 0;
}
