/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: what is written is read, what is cut is refused wherever it is cut,
 * and each is, byte for byte, what both sides have agreed on (frames.golden).
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ports/wire_private.h"

/* ---- golden frames ---- */

struct golden {
	const char *name;
	enum wire_type type;
	uint64_t field[3];
	const char *rest; /* NULL: a term, which begins with its version */
};

/* What the head of frames.golden says of each. */
static const struct golden golden[] = {
	{"hello_emulator", WIRE_HELLO, {0}, NULL},
	{"hello_host", WIRE_HELLO, {0}, NULL},
	{"open", WIRE_OPEN, {1, 2, 262144}, NULL},
	{"opened", WIRE_OPENED, {1, 4096, 0}, ""},
	{"data", WIRE_DATA, {72623859790382856, 0, 0}, "hello"},
	{"credit", WIRE_CREDIT, {1, 131072, 0}, ""},
	{"call", WIRE_CALL, {1, 3, 0}, NULL},
	{"control", WIRE_CONTROL, {1, 3, UINT32_MAX}, "abc"},
	{"reply_term", WIRE_REPLY, {3, WIRE_OK, 0}, NULL},
	{"reply_bytes", WIRE_REPLY, {3, WIRE_OK_BYTES, 0}, "abc"},
	{"reply_error", WIRE_REPLY, {3, WIRE_REFUSED, 0}, NULL},
	{"cancel", WIRE_CANCEL, {3, 0, 0}, ""},
	{"close", WIRE_CLOSE, {1, 0, 0}, ""},
	{"closed", WIRE_CLOSED, {1, 0, 0}, NULL},
	{"give", WIRE_GIVE, {1, 4, 0}, "<0.10.0>"},
	{"client_down", WIRE_CLIENT_DOWN, {2, 0, 0}, ""},
	{"monitor", WIRE_MONITOR, {5, 3, 0}, ""},
	{"demonitor", WIRE_DEMONITOR, {5, 0, 0}, ""},
	{"process_down", WIRE_PROCESS_DOWN, {5, 0, 0}, ""},
	{"register", WIRE_REGISTER, {1, 3, 0}, "foo"},
	{"unregister", WIRE_REGISTER, {1, 3, 0}, ""},
	{"statistics_host", WIRE_STATISTICS, {3, WIRE_OF_HOST, 0}, ""},
	{"statistics_tasks", WIRE_STATISTICS, {3, WIRE_OF_TASKS, 0}, ""},
	{"statistics_outlets", WIRE_STATISTICS, {3, WIRE_OF_OUTLETS, 0}, ""},
	{"statistics_outlet", WIRE_STATISTICS, {3, WIRE_OF_OUTLET, 1}, ""},
	{"log", WIRE_LOG, {4, 1, 6}, "\4echoit is slow: \302\265s"},
	{"error", WIRE_ERROR, {WIRE_UNKNOWN, 99, 8}, "unknown frame"},
	{"exit_status", WIRE_EXIT_STATUS, {1, 0, 0}, ""},
	{"exit_status_negative", WIRE_EXIT_STATUS, {1, UINT32_MAX, 0}, ""},
};

#define GOLDEN (sizeof(golden) / sizeof(golden[0]))

static size_t bytes_of(const char *hex, unsigned char *bytes)
{
	size_t n = 0;
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		bytes[n++] = (unsigned char)byte;
	return n;
}

/* The body of that name; how long it is. */
static size_t read_golden(const char *name, unsigned char *body)
{
	const char *folder = getenv("srcdir");
	char path[4096], line[1024];
	size_t len = 0, n = strlen(name);
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/frames.golden",
		 folder ? folder : TEST_SOURCE);
	file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s: %m", path);
	while (!len && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, n) && line[n] == ':')
			len = bytes_of(line + n + 2, body);
	fclose(file);
	ck_assert_msg(len > 0, "there is no %s", name);
	return len;
}

START_TEST(golden_frames_are_read)
{
	const struct golden *want = &golden[_i];
	unsigned char body[512];
	size_t len = read_golden(want->name, body);
	struct wire_frame frame;

	ck_assert_int_eq(wire_read(body, len, &frame), 0);
	ck_assert_int_eq(frame.type, want->type);
	ck_assert_mem_eq(frame.field, want->field, sizeof(want->field));
	if (want->rest) {
		ck_assert_uint_eq(frame.len, strlen(want->rest));
		ck_assert(memcmp(frame.rest, want->rest, frame.len) == 0);
	} else if (want->type != WIRE_HELLO) {
		ck_assert_uint_gt(frame.len, 1);
		ck_assert_uint_eq(frame.rest[0], 131);
	}
}
END_TEST

START_TEST(golden_heads_are_written)
{
	const struct golden *want = &golden[_i];
	unsigned char body[512], head[WIRE_HEAD_MAX];
	size_t len = read_golden(want->name, body), n;

	n = wire_head(head, want->type, want->field[0], want->field[1],
		      want->field[2]);
	ck_assert_uint_le(n, len);
	ck_assert_mem_eq(head, body, n);
}
END_TEST

/* Each line is of a frame that is known here. */
START_TEST(all_golden_frames_are_known)
{
	const char *folder = getenv("srcdir");
	char path[4096], line[1024];
	unsigned lines = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/frames.golden",
		 folder ? folder : TEST_SOURCE);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		lines += line[0] != '#' && line[0] != '\n';
	fclose(file);
	ck_assert_uint_eq(lines, GOLDEN);
}
END_TEST

START_TEST(the_golden_hello_is_read_and_written)
{
	unsigned char body[512], hello[WIRE_HELLO_SIZE];
	struct wire_hello said;

	ck_assert_uint_eq(read_golden("hello_emulator", body), WIRE_HELLO_SIZE);
	ck_assert_int_eq(wire_read_hello(body, WIRE_HELLO_SIZE, &said), 0);
	ck_assert_uint_eq(said.version, 1);
	ck_assert_uint_eq(said.max_frame, 67108864);
	ck_assert_uint_eq(wire_hello(hello, 67108864), WIRE_HELLO_SIZE);
	ck_assert_mem_eq(hello, body, WIRE_HELLO_SIZE);
	read_golden("hello_host", body);
	wire_hello(hello, 1048576);
	ck_assert_mem_eq(hello, body, WIRE_HELLO_SIZE);
}
END_TEST

/* ---- any frame ---- */

/* Its numbers as wide as they can be are cut to what there is room for. */
static const uint64_t widest = 0x0123456789abcdef;

START_TEST(what_is_written_is_read)
{
	unsigned char body[WIRE_HEAD_MAX + 4], again[WIRE_HEAD_MAX];
	struct wire_frame frame;
	size_t n;

	n = wire_head(body, (enum wire_type)_i, widest, widest, widest);
	ck_assert_uint_le(n, WIRE_HEAD_MAX);
	memcpy(body + n, "rest", 4);
	ck_assert_int_eq(wire_read(body, n + 4, &frame), 0);
	ck_assert_int_eq(frame.type, _i);
	ck_assert_uint_eq(frame.len, 4);
	ck_assert_ptr_eq(frame.rest, body + n);
	ck_assert_uint_eq(wire_head(again, frame.type, frame.field[0],
				    frame.field[1], frame.field[2]),
			  n);
	ck_assert_mem_eq(again, body, n);
}
END_TEST

START_TEST(what_is_cut_is_refused_wherever_it_is_cut)
{
	unsigned char body[WIRE_HEAD_MAX], *cut;
	struct wire_frame frame;
	size_t n, len;

	n = wire_head(body, (enum wire_type)_i, widest, widest, widest);
	for (len = 0; len < n; len++) {
		/* Memory of its own: what is read beyond it is noticed. */
		cut = malloc(len ? len : 1);
		memcpy(cut, body, len);
		ck_assert_int_eq(wire_read(cut, len, &frame), WIRE_MALFORMED);
		if (len)
			ck_assert_int_eq(frame.type, _i);
		free(cut);
	}
	ck_assert_int_eq(wire_read(body, n, &frame), 0);
	ck_assert_uint_eq(frame.len, 0);
}
END_TEST

START_TEST(other_types_are_unknown)
{
	unsigned char body[32] = {0};
	struct wire_frame frame;
	unsigned type;

	for (type = WIRE_TYPES; type <= 256; type++) {
		body[0] = (unsigned char)type;
		ck_assert_int_eq(wire_read(body, sizeof(body), &frame),
				 WIRE_UNKNOWN);
		ck_assert_int_eq(frame.type, type % 256);
	}
}
END_TEST

/* ---- hello ---- */

START_TEST(what_is_no_hello_is_refused)
{
	unsigned char body[WIRE_HELLO_SIZE];
	struct wire_hello said;
	size_t i;

	wire_hello(body, UINT32_MAX);
	ck_assert_int_eq(wire_read_hello(body, 0, &said), WIRE_NO_HELLO);
	for (i = 1; i < WIRE_HELLO_SIZE; i++)
		ck_assert_int_eq(wire_read_hello(body, i, &said),
				 WIRE_MALFORMED);
	for (i = 0; i < 8; i++) {
		body[i] ^= 1;
		ck_assert_int_eq(wire_read_hello(body, sizeof(body), &said),
				 i ? WIRE_MALFORMED : WIRE_NO_HELLO);
		body[i] ^= 1;
	}
	ck_assert_int_eq(wire_read_hello(body, sizeof(body), &said), 0);
	ck_assert_uint_eq(said.max_frame, UINT32_MAX);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "golden");

	tcase_add_loop_test(tcase, golden_frames_are_read, 0, GOLDEN);
	tcase_add_loop_test(tcase, golden_heads_are_written, 0, GOLDEN);
	tcase_add_test(tcase, all_golden_frames_are_known);
	tcase_add_test(tcase, the_golden_hello_is_read_and_written);

	tcase = stage_case(suite, "frames");
	tcase_add_loop_test(tcase, what_is_written_is_read, 1, WIRE_TYPES);
	tcase_add_loop_test(tcase, what_is_cut_is_refused_wherever_it_is_cut, 1,
			    WIRE_TYPES);
	tcase_add_test(tcase, other_types_are_unknown);

	tcase = stage_case(suite, "hello");
	tcase_add_test(tcase, what_is_no_hello_is_refused);
}

int main(void)
{
	return stage_run("wire", fill);
}
