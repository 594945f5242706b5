/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port programs in a host: data both ways, arguments, the status they end with,
 * and how they end before their time.  tests/program.c is what they do.
 */
#include "config.h"

#include "tests/speaker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <reclaim/port.h>

/* What programs want of the program that they are loaded into. */
extern const void *const wanted[];
const void *const wanted[] = {
	reclaim_port_open,  reclaim_port_read,
	reclaim_port_write, reclaim_port_close,
	reclaim_defer,	    save_exit,
	save_fork,	    jot,
	pass_gate,
};

/* ---- a host that may run them ---- */

static void copy(const char *from, const char *to)
{
	char bytes[4096];
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");
	size_t len;

	ck_assert_msg(in && out, "%s to %s: %m", from, to);
	while ((len = fread(bytes, 1, sizeof(bytes), in)) > 0)
		ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	fclose(in);
	ck_works(fclose(out));
	ck_works(chmod(to, 0600));
}

/* The build's folder may be one that others can write. */
static void meet_programs(const char *more)
{
	char options[1024];

	ck_works(mkdir(path_of("programs"), 0700));
	copy(TEST_PROGRAM, path_of("programs/port_test.so"));
	copy(TEST_PROGRAM, path_of("programs/other_name.so"));
	write_file("programs/no_object.so", "no object");
	ck_works(chmod(path_of("programs/no_object.so"), 0600));
	snprintf(options, sizeof(options), "--drivers %s %s",
		 path_of("programs"), more ? more : "");
	meet_host(RECLAIM_DRIVERS(NULL), options);
}

static void say_program(uint64_t outlet, uint64_t client, const char *line,
			uint32_t window)
{
	struct reclaim_writer term;

	reclaim_writer_init(&term, NULL, 0);
	reclaim_put_tuple(&term, 3);
	reclaim_put_atom(&term, "program");
	reclaim_put_binary(&term, line, strlen(line));
	reclaim_put_binary(&term, "<0.7.0>", 7);
	ck_works(reclaim_writer_done(&term));
	say(WIRE_OPEN, outlet, client, window, term.data, term.len);
	reclaim_writer_end(&term);
}

static void run(const char *line)
{
	say_program(1, 7, line, WINDOW);
	expect("opened 1 262144");
}

static void expect_end(int status)
{
	expect("exit_status 1 %d", status);
	expect("closed 1 normal");
	leave_host();
}

/* ---- to its end ---- */

START_TEST(data_go_both_ways)
{
	static char much[100000];
	const struct wire_frame *frame;

	meet_programs(NULL);
	run("port_test echo");
	say_data(1, "");
	expect("data 1 ");
	say_data(1, "to and fro");
	expect("data 1 to and fro");
	memset(much, 'x', sizeof(much));
	say(WIRE_DATA, 1, 0, 0, much, sizeof(much));
	frame = next_frame();
	ck_assert_int_eq(frame->type, WIRE_DATA);
	ck_assert_uint_eq(frame->len, sizeof(much));
	ck_assert(memcmp(frame->rest, much, sizeof(much)) == 0);
	say_one(WIRE_CLOSE, 1);
	expect_end(3);
}
END_TEST

START_TEST(what_was_sent_is_read_before_the_end_of_input)
{
	int i;

	meet_programs(NULL);
	run("port_test echo");
	for (i = 0; i < 100; i++)
		say_data(1, "one");
	say_one(WIRE_CLOSE, 1);
	for (i = 0; i < 100; i++)
		expect("data 1 one");
	expect_end(100);
}
END_TEST

START_TEST(arguments_are_words)
{
	meet_programs(NULL);
	run(" port_test  'a b' \"c 'd\" e\"f g\"h '' \t last ");
	expect("data 1 port_test");
	expect("data 1 a b");
	expect("data 1 c 'd");
	expect("data 1 ef gh");
	expect("data 1 ");
	expect("data 1 last");
	expect_end(6);
}
END_TEST

START_TEST(one_that_never_opens_its_port_has_a_status)
{
	meet_programs(NULL);
	run("port_test mute");
	expect_end(3);
}
END_TEST

START_TEST(exit_ends_the_program_alone)
{
	meet_programs(NULL);
	run("port_test exit");
	expect("exit_status 1 4");
	expect("closed 1 normal");
	say_program(2, 7, "port_test mute", WINDOW);
	expect("opened 2 262144");
	expect("exit_status 2 3");
	expect("closed 2 normal");
	leave_host();
}
END_TEST

START_TEST(one_that_reads_no_more_still_ends)
{
	static char much[100000];

	meet_programs("--window 1M");
	say_program(1, 7, "port_test read_one", WINDOW);
	expect("opened 1 1048576");
	say_data(1, "one");
	await_jot("closed");
	say(WIRE_DATA, 1, 0, 0, much, sizeof(much));
	say(WIRE_DATA, 1, 0, 0, much, sizeof(much));
	expect_silence();
	open_gate(0);
	expect_end(6);
}
END_TEST

START_TEST(what_it_writes_is_not_cut_short)
{
	const struct wire_frame *frame;

	meet_programs("--max-frame 4K");
	run("port_test much 4088");
	frame = next_frame();
	ck_assert_int_eq(frame->type, WIRE_DATA);
	ck_assert_uint_eq(frame->len, 4087);
	expect("closed 1 emsgsize");
	leave_host();
}
END_TEST

/* ---- before its end ---- */

START_TEST(it_ends_with_its_owner)
{
	meet_programs(NULL);
	run("port_test sleep");
	await_jot("sleeps");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	expect_jotted("sleeps released ");
	leave_host();
}
END_TEST

START_TEST(it_ends_with_its_owner_while_it_writes)
{
	meet_programs(NULL);
	say_program(1, 7, "port_test write", 0);
	expect("opened 1 262144");
	await_jot("writes");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	expect_jotted("writes released ");
	leave_host();
}
END_TEST

/* Whether it has begun or not. */
START_TEST(it_ends_with_its_owner_while_it_starts)
{
	uint64_t id;

	meet_programs(NULL);
	for (id = 1; id <= 50; id++) {
		say_program(id, id, "port_test echo", WINDOW);
		say_one(WIRE_CLIENT_DOWN, id);
	}
	for (id = 1; id <= 50; id++)
		while (next_frame()->type != WIRE_CLOSED)
			continue;
	leave_host();
}
END_TEST

START_TEST(it_ends_with_the_input)
{
	meet_programs(NULL);
	run("port_test sleep");
	await_jot("sleeps");
	leave_host();
	expect_jotted("sleeps released ");
}
END_TEST

START_TEST(one_that_does_not_end_is_killed)
{
	meet_programs(NULL);
	run("port_test sleep");
	await_jot("sleeps");
	say_one(WIRE_CLOSE, 1);
	expect("closed 1 normal");
	expect_jotted("sleeps released ");
	leave_host();
}
END_TEST

/* Who has its output open has not ended. */
START_TEST(its_children_end_with_it)
{
	meet_programs(NULL);
	run("port_test fork");
	expect("exit_status 1 5");
	expect("closed 1 normal");
	ck_fails(kill(atoi(jotted()), 0), -1, ESRCH);
	leave_host();
}
END_TEST

/* ---- many, and none ---- */

#define MANY 100

START_TEST(there_may_be_many)
{
	unsigned ended[3 * MANY] = {0}, left = 3 * MANY;
	const struct wire_frame *frame;
	uint64_t id;

	meet_programs(NULL);
	for (id = 1; id <= MANY; id++) {
		say_program(id, 1 + id % 9, "port_test echo", WINDOW);
		say_data(id, "one");
		say_one(WIRE_CLOSE, id);
	}
	while (left--) {
		do
			frame = next_frame();
		while (frame->type == WIRE_OPENED);
		id = frame->field[0];
		ck_assert(id >= 1 && id <= MANY);
		if (frame->type == WIRE_EXIT_STATUS)
			ck_assert_uint_eq(frame->field[1], 1);
		ended[id]++;
	}
	for (id = 1; id <= MANY; id++)
		ck_assert_uint_eq(ended[id], 3);
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(what_is_no_program_is_refused)
{
	static const char *const lines[][2] = {
		{"no_such -x", "enoent"}, {"../port_test", "enoent"},
		{"no_object", "elibbad"}, {"other_name", "elibbad"},
		{"", "einval"},		  {"  ", "einval"},
	};
	uint64_t i;

	meet_programs(NULL);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		say_program(i + 1, 7, lines[i][0], WINDOW);
		expect("closed %" PRIu64 " %s", i + 1, lines[i][1]);
	}
	say_open(i + 1, 7, "program"); /* [], which is no text either */
	expect("closed %" PRIu64 " einval", i + 1);
	leave_host();
}
END_TEST

/* ---- the program ---- */

static void fill(Suite *suite)
{
	TCase *tcase = speaker_case(suite, "end");

	tcase_add_test(tcase, data_go_both_ways);
	tcase_add_test(tcase, what_was_sent_is_read_before_the_end_of_input);
	tcase_add_test(tcase, arguments_are_words);
	tcase_add_test(tcase, one_that_never_opens_its_port_has_a_status);
	tcase_add_test(tcase, exit_ends_the_program_alone);
	tcase_add_test(tcase, one_that_reads_no_more_still_ends);
	tcase_add_test(tcase, what_it_writes_is_not_cut_short);

	tcase = speaker_case(suite, "killed");
	tcase_add_test(tcase, it_ends_with_its_owner);
	tcase_add_test(tcase, it_ends_with_its_owner_while_it_writes);
	tcase_add_test(tcase, it_ends_with_its_owner_while_it_starts);
	tcase_add_test(tcase, it_ends_with_the_input);
	tcase_add_test(tcase, one_that_does_not_end_is_killed);
	tcase_add_test(tcase, its_children_end_with_it);

	tcase = speaker_case(suite, "many");
	tcase_add_test(tcase, there_may_be_many);
	tcase_add_test(tcase, what_is_no_program_is_refused);
}

int main(void)
{
	return stage_run("program", fill);
}
