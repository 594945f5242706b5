/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <reclaim/frame.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fixture.h"

static struct reclaim_decoder decoder;
static struct reclaim_frame frame;
static size_t wanted;

static void begin(enum reclaim_framing framing, size_t max_frame)
{
	ck_assert_int_eq(reclaim_decoder_init(&decoder, framing, max_frame), 0);
}

static int decode(const void *input, size_t len)
{
	return reclaim_decode(&decoder, input, len, &frame, &wanted);
}

static void expect_frame(const void *input, size_t len, const char *body,
			 size_t body_len, size_t used)
{
	ck_assert_int_eq(decode(input, len), 1);
	ck_assert_uint_eq(frame.len, body_len);
	ck_assert_uint_eq(frame.used, used);
	ck_assert_mem_eq(frame.data, body, body_len);
}

START_TEST(finds_each_prefix)
{
	begin(RECLAIM_PACKET_1, 0);
	expect_frame("\003abcX", 5, "abc", 3, 4);
	begin(RECLAIM_PACKET_2, 0);
	expect_frame("\000\003abcX", 6, "abc", 3, 5);
	begin(RECLAIM_PACKET_4, 0);
	expect_frame("\000\000\000\003abcX", 8, "abc", 3, 7);
}
END_TEST

START_TEST(lends_the_input_itself)
{
	const char input[] = "\003abc";

	begin(RECLAIM_PACKET_1, 0);
	ck_assert_int_eq(decode(input, 4), 1);
	ck_assert_ptr_eq(frame.data, input + 1);
}
END_TEST

START_TEST(a_frame_may_be_empty)
{
	begin(RECLAIM_PACKET_1, 0);
	expect_frame("\000", 1, "", 0, 1);
	begin(RECLAIM_PACKET_2, 0);
	expect_frame("\000\000", 2, "", 0, 2);
	begin(RECLAIM_PACKET_4, 0);
	expect_frame("\000\000\000\000", 4, "", 0, 4);
	begin(RECLAIM_LINES, 0);
	expect_frame("\n", 1, "", 0, 1);
}
END_TEST

START_TEST(says_how_much_it_wants)
{
	begin(RECLAIM_PACKET_4, 0);
	ck_assert_int_eq(decode("", 0), 0);
	ck_assert_uint_eq(wanted, 4);
	ck_assert_int_eq(decode("\000\000\001", 3), 0);
	ck_assert_uint_eq(wanted, 4);
	ck_assert_int_eq(decode("\000\000\001\001x", 5), 0);
	ck_assert_uint_eq(wanted, 4 + 257);
	begin(RECLAIM_LINES, 0);
	ck_assert_int_eq(decode("ab", 2), 0);
	ck_assert_uint_eq(wanted, 3);
	begin(RECLAIM_STREAM, 0);
	ck_assert_int_eq(decode("", 0), 0);
	ck_assert_uint_eq(wanted, 1);
}
END_TEST

START_TEST(the_longest_body_of_each_prefix_passes)
{
	char *input = calloc(1, 4 + 65536);

	ck_assert_ptr_nonnull(input);
	input[0] = '\377';
	begin(RECLAIM_PACKET_1, 0);
	ck_assert_int_eq(decode(input, 256), 1);
	ck_assert_uint_eq(frame.len, 255);
	input[1] = '\377';
	begin(RECLAIM_PACKET_2, 0);
	ck_assert_int_eq(decode(input, 2 + 65535), 1);
	ck_assert_uint_eq(frame.len, 65535);
	free(input);
}
END_TEST

START_TEST(a_frame_at_the_cap_passes_and_one_above_does_not)
{
	begin(RECLAIM_PACKET_1, 3);
	expect_frame("\003abc", 4, "abc", 3, 4);
	ck_assert_int_eq(decode("\004", 1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	begin(RECLAIM_LINES, 3);
	expect_frame("abc\n", 4, "abc", 3, 4);
	ck_assert_int_eq(decode("abcd", 4), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
}
END_TEST

START_TEST(a_header_with_the_sign_bit_is_too_long)
{
	begin(RECLAIM_PACKET_4, 0x7fffffff);
	ck_assert_int_eq(decode("\377\377\377\377", 4), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(decode("\200\000\000\000", 4), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(decode("\177\377\377\377", 4), 0);
	ck_assert_uint_eq(wanted, (size_t)4 + 0x7fffffff);
}
END_TEST

START_TEST(the_default_cap_is_64_mib)
{
	begin(RECLAIM_PACKET_4, 0);
	ck_assert_int_eq(decode("\004\000\000\000", 4), 0);
	ck_assert_int_eq(decode("\004\000\000\001", 4), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
}
END_TEST

START_TEST(without_framing_all_there_is_is_a_frame)
{
	begin(RECLAIM_STREAM, 4);
	expect_frame("abc", 3, "abc", 3, 3);
	expect_frame("abcdef", 6, "abcd", 4, 4);
}
END_TEST

START_TEST(lines_are_not_searched_twice)
{
	char input[] = "abcdef\n";

	begin(RECLAIM_LINES, 0);
	ck_assert_int_eq(decode(input, 3), 0);
	input[1] = '\n'; /* where it has looked already */
	expect_frame(input, 7, "a\ncdef", 6, 7);
}
END_TEST

START_TEST(refuses_what_it_does_not_know)
{
	unsigned char prefix[4];

	ck_assert_int_eq(reclaim_decoder_init(&decoder, 3, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(reclaim_decoder_init(&decoder, 0, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(
		reclaim_decoder_init(&decoder, RECLAIM_PACKET_4, 0x80000000),
		-1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(reclaim_encode(3, 1, prefix), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(writes_each_prefix)
{
	unsigned char prefix[4];

	ck_assert_int_eq(reclaim_encode(RECLAIM_PACKET_1, 255, prefix), 1);
	ck_assert_mem_eq(prefix, "\377", 1);
	ck_assert_int_eq(reclaim_encode(RECLAIM_PACKET_2, 0x1234, prefix), 2);
	ck_assert_mem_eq(prefix, "\022\064", 2);
	ck_assert_int_eq(reclaim_encode(RECLAIM_PACKET_4, 0x12345678, prefix),
			 4);
	ck_assert_mem_eq(prefix, "\022\064\126\170", 4);
	ck_assert_int_eq(reclaim_encode(RECLAIM_STREAM, 9, prefix), 0);
	ck_assert_int_eq(reclaim_encode(RECLAIM_LINES, 9, prefix), 0);
}
END_TEST

START_TEST(a_prefix_does_not_lie)
{
	unsigned char prefix[4];

	ck_assert_int_eq(reclaim_encode(RECLAIM_PACKET_1, 256, prefix), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(reclaim_encode(RECLAIM_PACKET_2, 65536, prefix), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(reclaim_encode(RECLAIM_PACKET_4, 0x80000000, prefix),
			 -1);
	ck_assert_int_eq(errno, EMSGSIZE);
}
END_TEST

/* A stream of random frames, shown in random pieces. */
struct stream {
	unsigned char bytes[8192];
	size_t len, lens[64];
	int count;
};

static void make_stream(struct stream *stream, enum reclaim_framing framing,
			uint64_t *state)
{
	int i;

	stream->len = 0;
	stream->count = 64;
	for (i = 0; i < stream->count; i++) {
		size_t len = fixture_random(state) % 100;
		int size = reclaim_encode(framing, len,
					  stream->bytes + stream->len);

		ck_assert_int_ge(size, 0);
		stream->len += (size_t)size;
		memset(stream->bytes + stream->len, 'a' + i % 26, len);
		stream->len += len;
		if (framing == RECLAIM_LINES)
			stream->bytes[stream->len++] = '\n';
		stream->lens[i] = len;
	}
}

static void read_stream(const struct stream *stream, uint64_t *state)
{
	size_t start = 0, shown = 0;
	int found = 0;

	while (found < stream->count) {
		if (decode(stream->bytes + start, shown - start) == 0) {
			ck_assert_uint_gt(wanted, shown - start);
			shown += 1 + fixture_random(state) % 50;
			if (shown > stream->len)
				shown = stream->len;
			continue;
		}
		ck_assert_uint_eq(frame.len, stream->lens[found]);
		if (frame.len)
			ck_assert_int_eq(*(const char *)frame.data,
					 'a' + found % 26);
		start += frame.used;
		found++;
	}
	ck_assert_uint_eq(start, stream->len);
}

START_TEST(any_cut_of_a_stream_gives_its_frames)
{
	static const enum reclaim_framing framings[] = {
		RECLAIM_PACKET_1, RECLAIM_PACKET_2, RECLAIM_PACKET_4,
		RECLAIM_LINES};
	static struct stream stream;
	uint64_t state = fixture_seed();
	int round;

	for (round = 0; round < 400; round++) {
		begin(framings[round % 4], 0);
		make_stream(&stream, framings[round % 4], &state);
		read_stream(&stream, &state);
	}
}
END_TEST

START_TEST(random_bytes_never_lead_astray)
{
	unsigned char input[64];
	uint64_t state = fixture_seed();
	size_t len, i;
	int round, result;

	for (round = 0; round < 20000; round++) {
		begin((enum reclaim_framing)(1 << fixture_random(&state) % 5),
		      1 + fixture_random(&state) % 40);
		len = fixture_random(&state) % sizeof(input);
		for (i = 0; i < len; i++)
			input[i] = (unsigned char)(fixture_random(&state) % 50);
		result = decode(input, len);
		if (result == 0)
			ck_assert_uint_gt(wanted, len);
		if (result == 1) {
			ck_assert_uint_le(frame.used, len);
			ck_assert_uint_le(frame.len, decoder.max_frame);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame");
	TCase *decoding = tcase_create("decode");
	TCase *encoding = tcase_create("encode");
	TCase *streams = tcase_create("streams");

	fixture_add(decoding);
	tcase_add_test(decoding, finds_each_prefix);
	tcase_add_test(decoding, lends_the_input_itself);
	tcase_add_test(decoding, a_frame_may_be_empty);
	tcase_add_test(decoding, says_how_much_it_wants);
	tcase_add_test(decoding, the_longest_body_of_each_prefix_passes);
	tcase_add_test(decoding,
		       a_frame_at_the_cap_passes_and_one_above_does_not);
	tcase_add_test(decoding, a_header_with_the_sign_bit_is_too_long);
	tcase_add_test(decoding, the_default_cap_is_64_mib);
	tcase_add_test(decoding, without_framing_all_there_is_is_a_frame);
	tcase_add_test(decoding, lines_are_not_searched_twice);
	tcase_add_test(decoding, refuses_what_it_does_not_know);
	suite_add_tcase(suite, decoding);
	fixture_add(encoding);
	tcase_add_test(encoding, writes_each_prefix);
	tcase_add_test(encoding, a_prefix_does_not_lie);
	suite_add_tcase(suite, encoding);
	fixture_add(streams);
	tcase_add_test(streams, any_cut_of_a_stream_gives_its_frames);
	tcase_add_test(streams, random_bytes_never_lead_astray);
	suite_add_tcase(suite, streams);
	return fixture_run(suite);
}
