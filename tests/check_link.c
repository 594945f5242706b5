/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests are the emulator: they hold the other ends of the link's pipes, and
 * turn its loop.  What the link tells is noted as letters: a frame, idle,
 * drained, ended.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ports/link_private.h"

static uv_loop_t loop;
static struct link *link_under_test;
static int to_link, from_link; /* the emulator's ends */
static int near_in, near_out;  /* what the link was given */

/* ---- what it tells ---- */

static unsigned frames, bursts, drains, ends;
static int end_reason;
static unsigned char *latest;
static size_t latest_len;
static void (*on_frame)(const unsigned char *body, size_t len);
static void (*on_idle)(void), (*on_drained)(void), (*on_ended)(void);

static void frame_came(void *context, const unsigned char *body, size_t len)
{
	ck_assert_ptr_eq(context, &loop);
	frames++;
	latest = realloc(latest, len + 1);
	memcpy(latest, body, len);
	latest_len = len;
	if (on_frame)
		on_frame(body, len);
}

static void burst_is_over(void *context)
{
	(void)context;
	bursts++;
	if (on_idle)
		on_idle();
}

static void queue_is_low(void *context)
{
	(void)context;
	drains++;
	if (on_drained)
		on_drained();
}

static void it_ended(void *context, int why)
{
	(void)context;
	ends++;
	end_reason = why;
	if (on_ended)
		on_ended();
}

static const struct link_events events = {
	.frame = frame_came,
	.idle = burst_is_over,
	.drained = queue_is_low,
	.ended = it_ended,
};

/* ---- opening, turning, closing ---- */

static void begin(void)
{
	frames = bursts = drains = ends = 0;
	end_reason = -1;
	latest = NULL;
	on_frame = NULL;
	on_idle = on_drained = on_ended = NULL;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static void open_link(const struct link_opts *given)
{
	struct link_opts opts = *given;

	opts.in = near_in;
	opts.out = near_out;
	opts.events = &events;
	opts.context = &loop;
	link_under_test = link_open(&loop, &opts);
	ck_assert_ptr_nonnull(link_under_test);
}

static void make_pipes(void)
{
	int in[2], out[2];

	ck_works(pipe2(in, O_CLOEXEC));
	ck_works(pipe2(out, O_CLOEXEC));
	near_in = in[0];
	to_link = in[1];
	near_out = out[1];
	from_link = out[0];
}

static void leave_near_ends(void)
{
	close(near_in);
	if (near_out != near_in)
		close(near_out);
}

static void open_on_pipes(const struct link_opts *given)
{
	begin();
	make_pipes();
	open_link(given);
	leave_near_ends();
}

static void open_on_socket(const struct link_opts *given)
{
	int both[2];

	begin();
	ck_works(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both));
	near_in = near_out = both[0];
	to_link = from_link = both[1];
	open_link(given);
	leave_near_ends();
}

/* All that is to be done now. */
static void turn(void)
{
	for (int i = 0; i < 4; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static void end_loop(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	free(latest);
}

static void close_all(void)
{
	if (link_under_test)
		link_close(link_under_test);
	end_loop();
	close(to_link);
	if (from_link != to_link)
		close(from_link);
}

static const struct link_opts defaults;

static void feed(const void *bytes, size_t len)
{
	ck_assert_int_eq(write(to_link, bytes, len), (ssize_t)len);
}

static int put(const void *body, size_t len)
{
	const struct iovec piece = {(void *)body, len};

	return link_put(link_under_test, &piece, 1);
}

static void expect_sent(const void *bytes, size_t len)
{
	char got[256];

	ck_assert_uint_le(len, sizeof(got));
	ck_assert_int_eq(read(from_link, got, sizeof(got)), (ssize_t)len);
	ck_assert_mem_eq(got, bytes, len);
}

static bool nothing_sent(void)
{
	struct pollfd fd = {.fd = from_link, .events = POLLIN};

	return poll(&fd, 1, 0) == 0;
}

static void expect_frame(unsigned nth, const char *body, size_t len)
{
	ck_assert_uint_eq(frames, nth);
	ck_assert_uint_eq(latest_len, len);
	ck_assert_mem_eq(latest, body, len);
}

static void expect_ended(int why)
{
	turn();
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(end_reason, why);
}

/* ---- frames ---- */

static void echo(const unsigned char *body, size_t len)
{
	ck_works(put(body, len));
}

static void frames_come_and_go(void)
{
	on_frame = echo;
	feed("\0\0\0\3abc\0\0\0\0\0\0\0\2de", 17);
	turn();
	expect_frame(3, "de", 2);
	expect_sent("\0\0\0\3abc\0\0\0\0\0\0\0\2de", 17);
	ck_assert_uint_eq(bursts, 1);
	close_all();
}

START_TEST(frames_come_and_go_by_pipes)
{
	open_on_pipes(&defaults);
	frames_come_and_go();
}
END_TEST

START_TEST(frames_come_and_go_by_a_socket)
{
	open_on_socket(&defaults);
	frames_come_and_go();
}
END_TEST

START_TEST(a_byte_at_a_time_is_enough)
{
	const char bytes[] = "\0\0\0\3abc\0\0\0\0\0\0\0\1d";

	open_on_pipes(&defaults);
	for (size_t i = 0; i < 16; i++) {
		feed(bytes + i, 1);
		turn();
		ck_assert_uint_eq(frames, (i >= 6) + (i >= 10) + (i >= 15));
	}
	expect_frame(3, "d", 1);
	close_all();
}
END_TEST

START_TEST(pieces_are_one_frame)
{
	const struct iovec pieces[] = {
		{(void *)"ab", 2}, {NULL, 0}, {(void *)"cde", 3}};

	open_on_pipes(&defaults);
	ck_works(link_put(link_under_test, pieces, 3));
	ck_works(link_put(link_under_test, NULL, 0));
	ck_assert_uint_eq(link_queued(link_under_test), 13);
	ck_assert(nothing_sent());
	turn();
	expect_sent("\0\0\0\5abcde\0\0\0\0", 13);
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	close_all();
}
END_TEST

/* Frames of random lengths, in one stream that is cut anywhere. */
static uint64_t came, expected_state;

static size_t random_len(uint64_t *state)
{
	uint64_t r = fixture_random(state);

	return r % 50 ? r % 300 : r % 200000;
}

static void compare_with_expected(const unsigned char *body, size_t len)
{
	ck_assert_uint_eq(len, random_len(&expected_state));
	for (size_t i = 0; i < len; i++)
		if (body[i] != (unsigned char)(came + i))
			ck_abort_msg("byte %zu of frame %lu", i,
				     (unsigned long)came);
	came++;
	ck_works(put(body, len));
}

static size_t put_random_frame(unsigned char *at, uint64_t *state, unsigned nth)
{
	size_t len = random_len(state);

	reclaim_encode(RECLAIM_PACKET_4, len, at);
	for (size_t i = 0; i < len; i++)
		at[4 + i] = (unsigned char)(nth + i);
	return 4 + len;
}

struct stream {
	unsigned char *bytes, *got;
	size_t len, fed, echoed;
};

/* Whatever goes now, either way. */
static void move_some(struct stream *stream, uint64_t *state)
{
	size_t piece = 1 + fixture_random(state) % 100000;
	ssize_t n;

	if (piece > stream->len - stream->fed)
		piece = stream->len - stream->fed;
	n = write(to_link, stream->bytes + stream->fed, piece);
	stream->fed += n > 0 ? (size_t)n : 0;
	turn();
	piece = 1 + fixture_random(state) % 80000;
	if (piece > stream->len - stream->echoed)
		piece = stream->len - stream->echoed;
	n = read(from_link, stream->got + stream->echoed, piece);
	stream->echoed += n > 0 ? (size_t)n : 0;
}

static void set_nonblocking(void)
{
	fcntl(to_link, F_SETFL, O_NONBLOCK);
	fcntl(from_link, F_SETFL, O_NONBLOCK);
}

static void echo_random_frames(void)
{
	struct stream stream = {.bytes = malloc(20 << 20)};
	uint64_t state = fixture_seed(), cuts = state ^ 1;

	expected_state = state;
	came = 0;
	on_frame = compare_with_expected;
	set_nonblocking();
	for (unsigned i = 0; stream.len < (16 << 20); i++)
		stream.len +=
			put_random_frame(stream.bytes + stream.len, &state, i);
	stream.got = malloc(stream.len);
	while (stream.echoed < stream.len)
		move_some(&stream, &cuts);
	ck_assert(memcmp(stream.got, stream.bytes, stream.len) == 0);
	free(stream.bytes);
	free(stream.got);
	close_all();
}

START_TEST(random_frames_are_echoed_by_pipes)
{
	open_on_pipes(&defaults);
	echo_random_frames();
}
END_TEST

START_TEST(random_frames_are_echoed_by_a_socket)
{
	open_on_socket(&defaults);
	echo_random_frames();
}
END_TEST

START_TEST(random_frames_are_echoed_without_looking)
{
	const struct link_opts opts = {.spin_us = -1};

	open_on_pipes(&opts);
	echo_random_frames();
}
END_TEST

START_TEST(random_frames_are_echoed_through_a_small_queue)
{
	const struct link_opts opts = {.low = 1, .high = 2};

	open_on_pipes(&opts);
	echo_random_frames();
	ck_assert_uint_gt(drains, 0);
}
END_TEST

START_TEST(bodies_larger_than_any_pipe_go_both_ways)
{
	const size_t len = (size_t)10 << 20;
	struct stream stream = {.bytes = calloc(1, 3 * len + 12),
				.got = malloc(3 * len + 12),
				.len = 3 * (len + 4)};
	uint64_t cuts = fixture_seed();

	open_on_pipes(&defaults);
	on_frame = echo;
	set_nonblocking();
	for (int i = 0; i < 3; i++) {
		reclaim_encode(RECLAIM_PACKET_4, len,
			       stream.bytes + (size_t)i * (len + 4));
		memset(stream.bytes + (size_t)i * (len + 4) + 4 + len / 2,
		       'a' + i, 1000);
	}
	while (stream.echoed < stream.len)
		move_some(&stream, &cuts);
	ck_assert(memcmp(stream.got, stream.bytes, stream.len) == 0);
	ck_assert_uint_eq(frames, 3);
	free(stream.bytes);
	free(stream.got);
	close_all();
}
END_TEST

/* Read and turn until so many have come. */
static void gather(unsigned char *got, size_t len)
{
	struct pollfd fd = {.fd = from_link, .events = POLLIN};
	ssize_t n;

	while (len) {
		ck_assert_int_eq(poll(&fd, 1, 0), 1);
		n = read(from_link, got, len);
		ck_assert_int_gt(n, 0);
		got += n;
		len -= (size_t)n;
		turn();
	}
}

START_TEST(a_large_body_is_sent_behind_what_waits)
{
	static unsigned char large[70000], got[70015];

	open_on_pipes(&defaults);
	ck_works(put("ab", 2));
	ck_works(put(large, sizeof(large)));
	ck_assert(!nothing_sent());
	ck_works(put("c", 1));
	turn();
	gather(got, sizeof(got));
	ck_assert_mem_eq(got, "\0\0\0\2ab\0\1\x11\x70\0\0", 12);
	ck_assert_mem_eq(got + 70009, "\0\0\0\0\1c", 6);
	ck_assert(nothing_sent());
	close_all();
}
END_TEST

/* ---- limits ---- */

START_TEST(a_frame_above_the_cap_is_not_put)
{
	const struct link_opts opts = {.max_frame = 16};
	const struct iovec pieces[] = {{(void *)"abcdefgh", 8},
				       {(void *)"ijklmnopq", 9}};

	open_on_pipes(&opts);
	ck_fails(link_put(link_under_test, pieces, 2), -1, EMSGSIZE);
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	ck_works(put("abcdefghijklmnop", 16));
	turn();
	expect_sent("\0\0\0\20abcdefghijklmnop", 20);
	close_all();
}
END_TEST

START_TEST(a_frame_above_the_cap_ends_it)
{
	const struct link_opts opts = {.max_frame = 16};

	open_on_pipes(&opts);
	feed("\0\0\0\1a\0\0\0\21", 9);
	expect_ended(EMSGSIZE);
	ck_assert_uint_eq(frames, 1);
	ck_assert_ptr_nonnull(
		strstr(last_report(), "longer than the 16 bytes"));
	ck_fails(put("a", 1), -1, EPIPE);
	close_all();
}
END_TEST

/* ---- a queue that fills ---- */

static const struct link_opts small = {.low = 1000, .high = 3000};
static char body[1000];

/* The pipe is full; what is put from here on waits. */
static size_t fill_pipe(void)
{
	size_t all = 0;

	while (link_queued(link_under_test) == 0) {
		ck_works(put(body, sizeof(body)));
		turn();
		all += sizeof(body) + 4;
	}
	return all;
}

static void take(size_t len)
{
	unsigned char *got = malloc(len);

	gather(got, len);
	free(got);
}

static void echo_body(const unsigned char *got, size_t len)
{
	(void)got;
	(void)len;
	ck_works(put(body, sizeof(body)));
}

START_TEST(nothing_is_read_while_the_queue_is_full)
{
	size_t all;

	open_on_pipes(&small);
	all = fill_pipe();
	on_frame = echo_body;
	for (int i = 0; i < 10; i++)
		feed("\0\0\0\1a", 5);
	turn();
	ck_assert_uint_lt(frames, 10);
	ck_assert_uint_gt(link_queued(link_under_test), 3000);
	ck_assert(link_is_full(link_under_test));
	ck_assert_uint_eq(drains, 0);
	feed("\0\0\0\1a", 5);
	turn();
	ck_assert_uint_lt(frames, 10);
	take(all + 11 * 1004);
	ck_assert_uint_eq(frames, 11);
	ck_assert_uint_ge(drains, 1);
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	ck_assert(!link_is_full(link_under_test));
	ck_assert(nothing_sent());
	close_all();
}
END_TEST

/* The emulator reads while the burst is not over. */
static void empty_the_pipe(void)
{
	static char got[1 << 20];

	ck_assert_int_gt(read(from_link, got, sizeof(got)), 0);
}

START_TEST(what_was_full_is_read_again_when_written_at_once)
{
	open_on_pipes(&small);
	fill_pipe();
	on_frame = echo_body;
	on_idle = empty_the_pipe;
	for (int i = 0; i < 20; i++)
		feed("\0\0\0\1a", 5);
	turn();
	turn();
	ck_assert_uint_eq(frames, 20);
	ck_assert_uint_ge(drains, 1);
	close_all();
}
END_TEST

static void fill_again(void)
{
	if (drains == 1)
		for (int i = 0; i < 5; i++)
			ck_works(put(body, sizeof(body)));
}

START_TEST(it_may_be_filled_again_when_drained)
{
	size_t all;

	open_on_pipes(&small);
	all = fill_pipe();
	on_drained = fill_again;
	for (int i = 0; i < 5; i++)
		ck_works(put(body, sizeof(body)));
	turn();
	take(all + 10 * 1004);
	ck_assert_uint_ge(drains, 1);
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	ck_assert(nothing_sent());
	close_all();
}
END_TEST

START_TEST(a_flush_that_times_out_says_so)
{
	open_on_pipes(&small);
	fill_pipe();
	ck_fails(link_flush(link_under_test, 5), -1, ETIMEDOUT);
	ck_assert_uint_gt(link_queued(link_under_test), 0);
	close_all();
}
END_TEST

static void *drain_all(void *arg)
{
	char got[1 << 12];
	size_t *len = arg;
	ssize_t n;

	for (; *len; *len -= (size_t)n) {
		n = read(from_link, got, sizeof(got));
		if (n <= 0)
			break;
	}
	return NULL;
}

START_TEST(a_flush_waits_until_all_is_written)
{
	pthread_t drainer;
	size_t all;

	open_on_pipes(&small);
	all = fill_pipe() + 10 * 1004;
	for (int i = 0; i < 10; i++)
		ck_works(put(body, sizeof(body)));
	turn();
	ck_works(pthread_create(&drainer, NULL, drain_all, &all));
	ck_works(link_flush(link_under_test, 10000));
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	pthread_join(drainer, NULL);
	ck_assert_uint_eq(all, 0);
	turn();
	ck_assert_uint_eq(drains, 1);
	close_all();
}
END_TEST

/* ---- the end ---- */

START_TEST(a_hang_up_is_the_end)
{
	open_on_pipes(&defaults);
	on_frame = echo;
	feed("\0\0\0\1a", 5);
	close(to_link);
	to_link = -1;
	expect_ended(0);
	ck_assert_uint_eq(frames, 1);
	expect_sent("\0\0\0\1a", 5);
	ck_assert_uint_eq(reports(), 0);
	ck_fails(put("a", 1), -1, EPIPE);
	close_all();
	ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(the_end_within_a_frame_is_told)
{
	open_on_pipes(&defaults);
	feed("\0\0\0\2a", 5);
	close(to_link);
	to_link = -1;
	expect_ended(EBADMSG);
	ck_assert_ptr_nonnull(strstr(last_report(), "within a frame"));
	close_all();
}
END_TEST

START_TEST(what_waits_is_written_after_the_end)
{
	size_t all;

	open_on_pipes(&defaults);
	all = fill_pipe();
	close(to_link);
	to_link = -1;
	expect_ended(0);
	ck_assert_uint_gt(link_queued(link_under_test), 0);
	take(all);
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	ck_assert(nothing_sent());
	close_all();
}
END_TEST

START_TEST(a_reader_that_went_away_is_epipe)
{
	open_on_pipes(&defaults);
	close(from_link);
	from_link = to_link;
	ck_works(put("a", 1));
	expect_ended(EPIPE);
	ck_assert_ptr_nonnull(strstr(last_report(), "writing the port failed"));
	ck_fails(put("a", 1), -1, EPIPE);
	ck_fails(link_flush(link_under_test, 10), -1, EPIPE);
	close_all();
}
END_TEST

START_TEST(a_closed_port_is_no_failure_to_write)
{
	open_on_pipes(&defaults);
	feed("\0\0\0\1a", 5);
	ck_works(put("a", 1));
	close(from_link);
	close(to_link);
	from_link = to_link = -1;
	expect_ended(0);
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(reports(), 0);
	close_all();
}
END_TEST

START_TEST(a_large_body_to_nobody_is_epipe)
{
	static char large[1 << 17];

	open_on_pipes(&defaults);
	close(from_link);
	from_link = to_link;
	ck_fails(put(large, sizeof(large)), -1, EPIPE);
	ck_assert_uint_eq(ends, 0);
	expect_ended(EPIPE);
	close_all();
}
END_TEST

/* Frames that nobody has read are handed over all the same. */
START_TEST(a_hang_up_is_seen_while_the_queue_is_full)
{
	open_on_pipes(&small);
	fill_pipe();
	on_frame = echo_body;
	for (int i = 0; i < 10; i++)
		feed("\0\0\0\1a", 5);
	turn();
	feed("\0\0\0\1a", 5);
	ck_assert_uint_lt(frames, 10);
	close(to_link);
	to_link = -1;
	expect_ended(0);
	ck_assert_uint_eq(frames, 11);
	ck_assert(link_is_full(link_under_test));
	close_all();
}
END_TEST

START_TEST(a_hang_up_is_seen_while_a_socket_is_full)
{
	open_on_socket(&small);
	fill_pipe();
	on_frame = echo_body;
	for (int i = 0; i < 10; i++)
		feed("\0\0\0\1a", 5);
	turn();
	ck_assert_uint_lt(frames, 10);
	ck_works(shutdown(to_link, SHUT_WR));
	expect_ended(0);
	ck_assert_uint_eq(frames, 10);
	close_all();
}
END_TEST

static void close_it(void)
{
	link_close(link_under_test);
	link_under_test = NULL;
}

static void close_it_at_once(const unsigned char *got, size_t len)
{
	echo(got, len);
	close_it();
}

START_TEST(it_may_be_closed_by_a_frame)
{
	open_on_pipes(&defaults);
	on_frame = close_it_at_once;
	feed("\0\0\0\1a\0\0\0\1b", 10);
	turn();
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(bursts, 0);
	close_all();
	ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(it_may_be_closed_at_the_end)
{
	open_on_pipes(&defaults);
	on_ended = close_it;
	close(to_link);
	to_link = -1;
	expect_ended(0);
	close_all();
}
END_TEST

START_TEST(it_may_be_closed_when_drained)
{
	size_t all;

	open_on_pipes(&small);
	on_drained = close_it;
	all = fill_pipe();
	for (int i = 0; i < 5; i++)
		ck_works(put(body, sizeof(body)));
	turn();
	take(all);
	ck_assert_uint_eq(drains, 1);
	ck_assert_ptr_null(link_under_test);
	close_all();
}
END_TEST

/* ---- whose things are whose ---- */

START_TEST(nobody_elses_pipes_become_non_blocking)
{
	begin();
	make_pipes();
	open_link(&defaults);
	turn();
	ck_assert_int_eq(fcntl(near_in, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(near_out, F_GETFL) & O_NONBLOCK, 0);
	leave_near_ends();
	close_all();
}
END_TEST

START_TEST(nobody_elses_socket_becomes_non_blocking)
{
	int both[2];

	begin();
	ck_works(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both));
	near_in = near_out = both[0];
	to_link = from_link = both[1];
	open_link(&defaults);
	turn();
	ck_assert_int_eq(fcntl(near_in, F_GETFL) & O_NONBLOCK, 0);
	leave_near_ends();
	close_all();
}
END_TEST

static void fill_and_put(void)
{
	fill_pipe();
	for (int i = 0; i < 1000; i++)
		ck_works(put(body, sizeof(body)));
}

START_TEST(what_a_task_puts_is_not_its_own)
{
	open_on_pipes(&defaults);
	in_task(fill_and_put);
	ck_assert_uint_gt(link_queued(link_under_test), 1000 * 1000);
	while (!nothing_sent())
		take(1004);
	ck_assert_uint_eq(link_queued(link_under_test), 0);
	close_all();
}
END_TEST

START_TEST(what_cannot_be_opened_leaves_nothing)
{
	struct link_opts opts = {.in = 900, .events = &events};

	begin();
	ck_fails(link_open(&loop, &opts), NULL, EBADF);
	make_pipes();
	opts.in = near_in;
	opts.out = 901;
	ck_fails(link_open(&loop, &opts), NULL, EBADF);
	opts.out = near_out;
	opts.max_frame = (size_t)1 << 31;
	ck_fails(link_open(&loop, &opts), NULL, EINVAL);
	end_loop();
	leave_near_ends();
	close(to_link);
	close(from_link);
}
END_TEST

static void open_in_vain(void)
{
	struct link_opts opts = {
		.in = near_in, .out = near_out, .events = &events};

	ck_fails(link_open(&loop, &opts), NULL, ENOMEM);
	end_loop();
}

START_TEST(without_memory_it_is_not_opened)
{
	for (size_t max = 1000; max <= 100000; max += 33000) {
		const struct reclaim_task_opts opts = {.max_bytes = max};

		begin();
		make_pipes();
		in_task_with(&opts, open_in_vain);
		leave_near_ends();
		close(to_link);
		close(from_link);
	}
}
END_TEST

static void put_in_vain(void)
{
	static char large[1 << 20];
	const struct iovec pieces[] = {{large, sizeof(large)}};

	open_on_pipes(&defaults);
	ck_works(put("a", 1));
	ck_fails(link_put(link_under_test, pieces, 1), -1, ENOMEM);
	ck_works(put("b", 1));
	turn();
	expect_sent("\0\0\0\1a\0\0\0\1b", 10);
	close_all();
}

START_TEST(without_memory_nothing_of_a_frame_is_put)
{
	const struct reclaim_task_opts opts = {.max_bytes = 400000};

	in_task_with(&opts, put_in_vain);
}
END_TEST

static void receive_in_vain(void)
{
	open_on_pipes(&defaults);
	feed("\0\x10\0\0", 4);
	turn();
	feed("a", 1);
	expect_ended(ENOMEM);
	ck_assert_uint_eq(reports(), 1);
	close_all();
}

START_TEST(without_memory_for_a_frame_it_ends)
{
	const struct reclaim_task_opts opts = {.max_bytes = 400000};

	in_task_with(&opts, receive_in_vain);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *framing = stage_case(suite, "frames");
	TCase *streams = stage_case(suite, "streams");
	TCase *filling = stage_case(suite, "queue");
	TCase *ending = stage_case(suite, "end");
	TCase *owning = stage_case(suite, "owners");

	tcase_add_test(framing, frames_come_and_go_by_pipes);
	tcase_add_test(framing, frames_come_and_go_by_a_socket);
	tcase_add_test(framing, a_byte_at_a_time_is_enough);
	tcase_add_test(framing, pieces_are_one_frame);
	tcase_add_test(framing, a_large_body_is_sent_behind_what_waits);
	tcase_add_test(framing, a_frame_above_the_cap_is_not_put);
	tcase_add_test(framing, a_frame_above_the_cap_ends_it);
	tcase_add_test(streams, random_frames_are_echoed_by_pipes);
	tcase_add_test(streams, random_frames_are_echoed_by_a_socket);
	tcase_add_test(streams, random_frames_are_echoed_without_looking);
	tcase_add_test(streams, random_frames_are_echoed_through_a_small_queue);
	tcase_add_test(streams, bodies_larger_than_any_pipe_go_both_ways);
	tcase_add_test(filling, nothing_is_read_while_the_queue_is_full);
	tcase_add_test(filling,
		       what_was_full_is_read_again_when_written_at_once);
	tcase_add_test(filling, it_may_be_filled_again_when_drained);
	tcase_add_test(filling, a_flush_that_times_out_says_so);
	tcase_add_test(filling, a_flush_waits_until_all_is_written);
	tcase_add_test(ending, a_hang_up_is_the_end);
	tcase_add_test(ending, the_end_within_a_frame_is_told);
	tcase_add_test(ending, what_waits_is_written_after_the_end);
	tcase_add_test(ending, a_reader_that_went_away_is_epipe);
	tcase_add_test(ending, a_closed_port_is_no_failure_to_write);
	tcase_add_test(ending, a_large_body_to_nobody_is_epipe);
	tcase_add_test(ending, a_hang_up_is_seen_while_the_queue_is_full);
	tcase_add_test(ending, a_hang_up_is_seen_while_a_socket_is_full);
	tcase_add_test(ending, it_may_be_closed_by_a_frame);
	tcase_add_test(ending, it_may_be_closed_at_the_end);
	tcase_add_test(ending, it_may_be_closed_when_drained);
	tcase_add_test(owning, nobody_elses_pipes_become_non_blocking);
	tcase_add_test(owning, nobody_elses_socket_becomes_non_blocking);
	tcase_add_test(owning, what_a_task_puts_is_not_its_own);
	tcase_add_test(owning, what_cannot_be_opened_leaves_nothing);
	tcase_add_test(owning, without_memory_it_is_not_opened);
	tcase_add_test(owning, without_memory_nothing_of_a_frame_is_put);
	tcase_add_test(owning, without_memory_for_a_frame_it_ends);
}

/* What libuv opens once for a process is not a test's. */
static void open_libuv(void)
{
	must(uv_loop_init(&loop) == 0 && uv_loop_close(&loop) == 0);
}

int main(void)
{
	open_libuv();
	return stage_run("link", fill);
}
