/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host from hello to the end of its input: what it says to which frames, whom
 * outlets belong to, and that nothing is left whenever it ends.
 */
#include "config.h"

#include "tests/speaker.h"

#include <reclaim/message.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- drivers ---- */

static const char *letters_of(const struct reclaim_outlet *outlet)
{
	return reclaim_outlet_state(outlet);
}

static void echo_output(struct reclaim_outlet *outlet, const void *data,
			size_t len)
{
	must(reclaim_outlet_output(outlet, data, len) >= 0);
}

static void echo_call(struct reclaim_outlet *outlet, uint64_t call,
		      struct reclaim_reader *request)
{
	struct reclaim_writer term;
	const void *raw;
	size_t len;

	(void)outlet;
	reclaim_get_raw(request, &raw, &len);
	reclaim_writer_init(&term, NULL, 0);
	reclaim_put_raw(&term, raw, len);
	reclaim_call_reply(call, &term);
}

static const struct reclaim_driver echo = {
	RECLAIM_DRIVER_ABI,
	.name = "echo",
	.output = echo_output,
	.call = echo_call,
};

/* Says what becomes of it: its name is a letter that `start` is given. */
static void note_end(void *letter)
{
	jot("released(%s) ", (char *)letter);
	free(letter);
}

static int teller_start(struct reclaim_outlet *outlet,
			struct reclaim_reader *args)
{
	char letter[2] = {(char)('a' + strlen(jotted()) % 7), '\0'};

	(void)args;
	jot("start ");
	reclaim_outlet_set_state(outlet, strdup(letter));
	must(reclaim_self() == reclaim_outlet_task(outlet));
	must(reclaim_defer(note_end, reclaim_outlet_state(outlet), NULL) == 0);
	return 0;
}

static void teller_stop(struct reclaim_outlet *outlet)
{
	must(reclaim_self() == reclaim_outlet_task(outlet));
	must(reclaim_outlet_output(outlet, "late", 4) < 0 &&
	     errno == ESHUTDOWN);
	jot("stop(%s) ", letters_of(outlet));
}

static void teller_output(struct reclaim_outlet *outlet, const void *data,
			  size_t len)
{
	must(reclaim_self() == reclaim_outlet_task(outlet));
	jot("output(%.*s) ", (int)len, (const char *)data);
	if (len == 5 && !memcmp(data, "close", 5))
		must(reclaim_outlet_close(outlet, "enough") == 0);
	if (len == 4 && !memcmp(data, "stop", 4))
		must(reclaim_outlet_close(outlet, NULL) == 0);
}

static const struct reclaim_driver teller = {
	RECLAIM_DRIVER_ABI,  .name = "teller",	      .start = teller_start,
	.stop = teller_stop, .output = teller_output,
};

/* Fails with what its arguments say; not before it has acquired things. */
static void note_release(void *unused)
{
	(void)unused;
	jot("released(it) ");
}

static int failing_start(struct reclaim_outlet *outlet,
			 struct reclaim_reader *args)
{
	(void)outlet;
	(void)args;
	reclaim_defer(note_release, NULL, NULL);
	if (!save_malloc(1000) || save_open("/dev/null", O_RDWR) < 0)
		abort();
	jot("start ");
	errno = ENOENT;
	return -1;
}

static const struct reclaim_driver failing = {
	RECLAIM_DRIVER_ABI,
	.name = "failing",
	.start = failing_start,
	.stop = teller_stop,
};

/* ---- hello ---- */

START_TEST(hello_is_answered)
{
	const struct wire_frame *frame;
	struct reclaim_reader reader;
	char pid[32], atom[RECLAIM_ATOM_SIZE];
	uint32_t pairs, drivers;
	int64_t number;

	start_host(RECLAIM_DRIVERS(&echo, &teller), "--max-frame 5M");
	say_hello(1, 1 << 20);
	frame = next_frame();
	ck_assert_int_eq(frame->type, WIRE_HELLO);
	ck_assert_uint_gt(frame->len, 13);
	ck_assert_mem_eq(frame->rest, "reclaim\0\1\0\120\0\0", 13);
	ck_works(reclaim_reader_init(&reader, frame->rest + 13,
				     frame->len - 13));
	ck_works(reclaim_get_map(&reader, &pairs));
	ck_assert_uint_eq(pairs, 3);
	ck_works(reclaim_get_this_atom(&reader, "drivers"));
	ck_works(reclaim_get_list(&reader, &drivers));
	ck_assert_uint_eq(drivers, 2);
	ck_works(reclaim_get_atom(&reader, atom));
	ck_assert_str_eq(atom, "echo");
	ck_works(reclaim_get_this_atom(&reader, "teller"));
	ck_works(reclaim_get_end(&reader));
	ck_works(reclaim_get_this_atom(&reader, "version"));
	ck_works(reclaim_get_skip(&reader));
	ck_works(reclaim_get_this_atom(&reader, "pid"));
	ck_works(reclaim_get_int64(&reader, &number));
	ck_works(reclaim_get_end(&reader));
	snprintf(pid, sizeof(pid), "%d", (int)host_process());
	ck_assert_int_eq(number, host_process());
	leave_host();
}
END_TEST

START_TEST(another_version_ends_it)
{
	start_host(RECLAIM_DRIVERS(&echo), NULL);
	say_hello(2, 1 << 20);
	expect("error 1 1 0");
	expect_no_more();
	expect_status(1);
	expect_said("version");
}
END_TEST

START_TEST(another_version_ends_it_though_the_emulator_goes_at_once)
{
	start_host(RECLAIM_DRIVERS(&echo), NULL);
	say_hello(2, 1 << 20);
	hang_up();
	expect_status(1);
}
END_TEST

START_TEST(without_hello_it_ends)
{
	start_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 1, "echo");
	expect("error 2 2 0");
	expect_no_more();
	expect_status(1);
	expect_said("hello");
}
END_TEST

START_TEST(what_is_no_hello_ends_it)
{
	static const unsigned char wrong[][14] = {"\1recluse\0\1\0\0\4\0",
						  "\1reclaim\0\1\0\0\4"};
	unsigned i;

	for (i = 0; i < 2; i++) {
		start_host(RECLAIM_DRIVERS(&echo), NULL);
		say_bytes(wrong[i], i ? 13 : 14);
		say_open(1, 1, "echo");
		expect("error 2 1 0");
		hang_up();
		expect_status(1);
	}
}
END_TEST

START_TEST(an_empty_frame_is_no_hello)
{
	start_host(RECLAIM_DRIVERS(&echo), NULL);
	say_bytes("", 0);
	expect("error 2 0 0");
	expect_status(1);
}
END_TEST

START_TEST(hello_comes_once)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_hello(1, 1 << 20);
	expect("error 3 1 0");
	say_open(1, 1, "echo");
	expect("opened 1 262144");
	leave_host();
}
END_TEST

START_TEST(it_ends_well_where_nobody_says_anything)
{
	start_host(RECLAIM_DRIVERS(&echo), NULL);
	leave_host();
}
END_TEST

START_TEST(fds_3_and_4_may_be_the_port)
{
	meet_host(RECLAIM_DRIVERS(&echo), "--nouse-stdio");
	say_open(1, 1, "echo");
	expect("opened 1 262144");
	leave_host();
}
END_TEST

START_TEST(a_frame_over_max_frame_ends_it)
{
	static const char long_frame[2000];

	meet_host(RECLAIM_DRIVERS(&echo), "--max-frame 1K");
	say_bytes(long_frame, sizeof(long_frame));
	expect_no_more();
	expect_status(1);
	expect_said("reclaim:");
}
END_TEST

START_TEST(input_that_ends_within_a_frame_is_a_failure)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	expect("opened 1 262144");
	say_raw("\0\0\0\5abc", 7);
	end_input();
	expect_no_more();
	expect_status(1);
	expect_said("reclaim:");
}
END_TEST

/* ---- errors ---- */

START_TEST(an_unknown_frame_is_told)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_bytes("\200abc", 4);
	expect("error 3 128 0");
	say_bytes("\0", 1);
	expect("error 3 0 0");
	say(WIRE_OPENED, 9, 5, 0, NULL, 0);
	expect("error 3 3 9");
	say(WIRE_REPLY, 7, 0, 0, NULL, 0);
	expect("error 3 8 7");
	leave_host();
}
END_TEST

START_TEST(a_short_frame_is_told_wherever_it_ends)
{
	static const unsigned char open[21] = {WIRE_OPEN};
	size_t len;

	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_bytes("", 0);
	expect("error 4 0 0");
	for (len = 1; len < sizeof(open); len++) {
		say_bytes(open, len);
		expect("error 4 2 0");
	}
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(frames_to_what_never_was_are_told)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_data(3, "x");
	expect("error 5 4 3");
	say(WIRE_CREDIT, 3, 10, 0, NULL, 0);
	expect("error 5 5 3");
	say_one(WIRE_CLOSE, 3);
	expect("error 5 10 3");
	say(WIRE_GIVE, 3, 4, 0, "label", 5);
	expect("error 5 12 3");
	say_call(3, 8, "a");
	expect("reply 8 error noproc");
	say(WIRE_REGISTER, 3, 9, 0, "name", 4);
	expect("reply 9 error noproc");
	leave_host();
}
END_TEST

START_TEST(frames_to_what_is_over_are_dropped_or_answered)
{
	meet_host(RECLAIM_DRIVERS(&teller), NULL);
	say_open(3, 1, "teller");
	expect("opened 3 262144");
	say_one(WIRE_CLOSE, 3);
	expect("closed 3 normal");
	say_data(3, "x");
	say(WIRE_CREDIT, 3, 10, 0, NULL, 0);
	say_one(WIRE_CLOSE, 3);
	say(WIRE_GIVE, 3, 4, 0, "label", 5);
	say_one(WIRE_CANCEL, 99);
	say_one(WIRE_PROCESS_DOWN, 99);
	say_one(WIRE_CLIENT_DOWN, 99);
	expect_silence();
	say_call(3, 8, "a");
	expect("reply 8 error closed");
	say_control(3, 10, 1, "");
	expect("reply 10 error closed");
	say(WIRE_REGISTER, 3, 9, 0, "name", 4);
	expect("reply 9 error closed");
	leave_host();
}
END_TEST

/* ---- opening ---- */

START_TEST(an_outlet_is_opened)
{
	meet_host(RECLAIM_DRIVERS(&echo), "--window 2K");
	say_open(1, 7, "echo");
	expect("opened 1 2048");
	say_data(1, "hello");
	expect("data 1 hello");
	leave_host();
}
END_TEST

START_TEST(who_wants_no_such_driver_is_told)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "other");
	expect("closed 1 enodriver");
	say_open(2, 7, "../echo");
	expect("closed 2 enodriver");
	leave_host();
}
END_TEST

START_TEST(what_start_acquired_is_released_where_it_fails)
{
	meet_host(RECLAIM_DRIVERS(&failing), NULL);
	say_open(1, 7, "failing");
	expect("closed 1 enoent");
	expect_jotted("start released(it) ");
	say(WIRE_STATISTICS, 50, WIRE_OF_TASKS, 0, NULL, 0);
	ck_assert_int_eq(next_frame()->type, WIRE_REPLY);
	leave_host();
	expect_jotted("start released(it) ");
}
END_TEST

START_TEST(a_client_has_so_many_outlets)
{
	meet_host(RECLAIM_DRIVERS(&echo), "--outlets 2");
	say_open(1, 7, "echo");
	say_open(2, 7, "echo");
	say_open(3, 7, "echo");
	say_open(4, 8, "echo");
	expect("opened 1 262144");
	expect("opened 2 262144");
	expect("closed 3 system_limit");
	expect("opened 4 262144");
	say_one(WIRE_CLOSE, 1);
	expect("closed 1 normal");
	say_open(5, 7, "echo");
	expect("opened 5 262144");
	leave_host();
}
END_TEST

START_TEST(what_is_no_request_is_badarg)
{
	static const char *const wrong[] = {
		"",
		"\203",
		"\203\150\0",
		"\203\150\3\141\1\152\155\0\0\0\0", /* {1, [], <<>>} */
		"\203\150\2\167\4echo\152",	    /* {echo, []} */
		"\203\150\3\167\4echo\152\152",	    /* {echo, [], []} */
		"\203\150\4\167\4echo\152\155\0\0\0\0\152",
	};
	static const size_t lens[] = {0, 1, 3, 11, 10, 11, 16};
	uint64_t i;

	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	for (i = 0; i < 7; i++) {
		say(WIRE_OPEN, i + 1, 1, WINDOW, wrong[i], lens[i]);
		expect("closed %" PRIu64 " badarg", i + 1);
	}
	leave_host();
}
END_TEST

START_TEST(numbers_of_outlets_rise)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(5, 7, "echo");
	expect("opened 5 262144");
	say_open(5, 7, "echo");
	expect("error 5 2 5");
	say_open(4, 7, "echo");
	expect("error 5 2 4");
	say_open(0, 7, "echo");
	expect("error 5 2 0");
	say_open(6, 0, "echo");
	expect("error 5 2 6");
	say_open(6, 1, "echo");
	expect("opened 6 262144");
	say_open(UINT64_MAX, 1, "echo");
	expect("opened %" PRIu64 " 262144", UINT64_MAX);
	leave_host();
}
END_TEST

/* Its arguments are a term of their own, and nothing behind it. */
static int reading_start(struct reclaim_outlet *outlet,
			 struct reclaim_reader *args)
{
	(void)outlet;
	reclaim_get_list(args, &(uint32_t){0});
	jot("%d ", reclaim_get_end(args));
	jot("%d ", reclaim_get_end(args));
	jot("%d ", reclaim_get_skip(args));
	return 0;
}

static const struct reclaim_driver reading = {
	RECLAIM_DRIVER_ABI,
	.name = "reading",
	.start = reading_start,
};

START_TEST(start_sees_its_arguments_alone)
{
	meet_host(RECLAIM_DRIVERS(&reading), NULL);
	say_open(1, 7, "reading");
	expect("opened 1 262144");
	expect_jotted("0 0 -1 ");
	leave_host();
}
END_TEST

/* ---- closing ---- */

START_TEST(stop_runs_once_and_before_the_release)
{
	meet_host(RECLAIM_DRIVERS(&teller), NULL);
	say_open(1, 7, "teller");
	expect("opened 1 262144");
	say_one(WIRE_CLOSE, 1);
	say_one(WIRE_CLOSE, 1);
	expect("closed 1 normal");
	expect_jotted("start stop(a) released(a) ");
	leave_host();
	expect_jotted("start stop(a) released(a) ");
}
END_TEST

START_TEST(a_driver_closes_its_outlet_with_a_reason)
{
	meet_host(RECLAIM_DRIVERS(&teller), NULL);
	say_open(1, 7, "teller");
	expect("opened 1 262144");
	say_data(1, "close");
	expect("closed 1 enough");
	say_data(1, "more");
	expect_silence();
	say_open(2, 7, "teller");
	expect("opened 2 262144");
	say_data(2, "stop");
	expect("closed 2 normal");
	leave_host();
	ck_assert_ptr_null(strstr(jotted(), "more"));
}
END_TEST

START_TEST(a_clients_end_is_that_of_its_outlets_newest_first)
{
	meet_host(RECLAIM_DRIVERS(&teller), NULL);
	say_open(1, 7, "teller");
	say_open(2, 7, "teller");
	say_open(3, 8, "teller");
	say_open(4, 7, "teller");
	expect("opened 1 262144");
	expect("opened 2 262144");
	expect("opened 3 262144");
	expect("opened 4 262144");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 4 client_down");
	expect("closed 2 client_down");
	expect("closed 1 client_down");
	expect_silence();
	say_one(WIRE_CLIENT_DOWN, 7);
	expect_silence();
	leave_host();
}
END_TEST

static int wait_for_more(struct reclaim_outlet *outlet)
{
	must(reclaim_self() == reclaim_outlet_task(outlet));
	jot("flush ");
	return 1;
}

static int wait_no_longer(struct reclaim_outlet *outlet)
{
	jot("flush ");
	reclaim_outlet_output(outlet, "last", 4);
	return 0;
}

static void answer_and_close(struct reclaim_outlet *outlet, uint64_t call,
			     uint32_t operation, const void *data, size_t len)
{
	(void)operation;
	reclaim_outlet_output(outlet, data, len);
	reclaim_call_data(call, "", 0);
}

/* Its end is to come from a timer. */
static void close_later(struct reclaim_outlet *outlet, const void *data,
			size_t len)
{
	(void)data;
	(void)len;
	must(reclaim_outlet_timer(outlet, 1, NULL) != 0);
}

static void close_now(struct reclaim_outlet *outlet, uint64_t timer, void *arg)
{
	(void)timer;
	(void)arg;
	if (!strstr(jotted(), "flush")) {
		must(reclaim_outlet_timer(outlet, 1, NULL) != 0);
		return;
	}
	must(reclaim_outlet_output(outlet, "last", 4) == 0);
	must(reclaim_outlet_close(outlet, "other") == 0);
	errno = 0;
	must(reclaim_outlet_close(outlet, "third") < 0 && errno == EALREADY);
	jot("closed ");
}

static const struct reclaim_driver waits_at_end = {
	RECLAIM_DRIVER_ABI,	.name = "waits",
	.start = teller_start,	.stop = teller_stop,
	.output = close_later,	.control = answer_and_close,
	.flush = wait_for_more, .timeout = close_now,
};

START_TEST(a_driver_may_wait_before_its_outlet_is_closed)
{
	meet_host(RECLAIM_DRIVERS(&waits_at_end), NULL);
	say_open(1, 7, "waits");
	expect("opened 1 262144");
	say_data(1, "x");
	say_one(WIRE_CLOSE, 1);
	expect("data 1 last");
	expect("closed 1 normal");
	expect_jotted("start flush closed stop(a) released(a) ");
	leave_host();
}
END_TEST

START_TEST(a_driver_waits_no_longer_than_five_seconds)
{
	meet_host(RECLAIM_DRIVERS(&waits_at_end), NULL);
	say_open(1, 7, "waits");
	expect("opened 1 262144");
	say_one(WIRE_CLOSE, 1);
	expect("closed 1 normal");
	expect_log(RECLAIM_LOG_WARNING, 1, "not come to its end");
	expect_jotted("start flush stop(a) released(a) ");
	leave_host();
}
END_TEST

START_TEST(what_flush_outputs_is_sent)
{
	struct reclaim_driver driver = waits_at_end;

	driver.flush = wait_no_longer;
	meet_host(RECLAIM_DRIVERS(&driver), NULL);
	say_open(1, 7, "waits");
	expect("opened 1 262144");
	say_one(WIRE_CLOSE, 1);
	expect("data 1 last");
	expect("closed 1 normal");
	leave_host();
}
END_TEST

START_TEST(no_flush_where_the_client_has_died)
{
	meet_host(RECLAIM_DRIVERS(&waits_at_end), NULL);
	say_open(1, 7, "waits");
	expect("opened 1 262144");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	expect_jotted("start stop(a) released(a) ");
	leave_host();
}
END_TEST

/* ---- clients ---- */

START_TEST(an_outlet_is_given_away)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	say_open(2, 7, "echo");
	expect("opened 1 262144");
	expect("opened 2 262144");
	say(WIRE_GIVE, 1, 8, 0, "<0.8.0>", 7);
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 2 client_down");
	say_data(1, "still here");
	expect("data 1 still here");
	say_one(WIRE_CLIENT_DOWN, 8);
	expect("closed 1 client_down");
	leave_host();
}
END_TEST

START_TEST(an_outlet_is_given_to_its_own_client)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	expect("opened 1 262144");
	say(WIRE_GIVE, 1, 7, 0, "<0.7.0>", 7);
	say_data(1, "still here");
	expect("data 1 still here");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	leave_host();
}
END_TEST

START_TEST(the_only_outlet_of_a_client_is_given_to_and_fro)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	expect("opened 1 262144");
	say(WIRE_GIVE, 1, 8, 0, "<0.8.0>", 7);
	say(WIRE_GIVE, 1, 7, 0, "<0.7.0>", 7);
	say_one(WIRE_CLIENT_DOWN, 8);
	say_data(1, "still here");
	expect("data 1 still here");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	leave_host();
}
END_TEST

START_TEST(who_has_all_outlets_is_given_none)
{
	meet_host(RECLAIM_DRIVERS(&echo), "--outlets 1");
	say_open(1, 7, "echo");
	say_open(2, 8, "echo");
	expect("opened 1 262144");
	expect("opened 2 262144");
	say(WIRE_GIVE, 1, 8, 0, "<0.8.0>", 7);
	expect("closed 1 system_limit");
	say_data(2, "still here");
	expect("data 2 still here");
	say_one(WIRE_CLIENT_DOWN, 8);
	expect("closed 2 client_down");
	leave_host();
}
END_TEST

START_TEST(nobody_is_no_client_to_give_to)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	expect("opened 1 262144");
	say(WIRE_GIVE, 1, 0, 0, "", 0);
	expect("error 5 12 1");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	leave_host();
}
END_TEST

static void where_is(struct reclaim_outlet *outlet, const void *data,
		     size_t len)
{
	char name[64];
	reclaim_tid tid;

	snprintf(name, sizeof(name), "%.*s", (int)len, (const char *)data);
	tid = reclaim_whereis(name);
	jot("%s:%s ", name,
	    !tid				 ? "none"
	    : tid == reclaim_outlet_task(outlet) ? "me"
						 : "other");
	reclaim_outlet_output(outlet, "", 0);
}

static const struct reclaim_driver finder = {
	RECLAIM_DRIVER_ABI,
	.name = "finder",
	.output = where_is,
};

static void say_register(uint64_t outlet, uint64_t call, const char *name)
{
	say(WIRE_REGISTER, outlet, call, 0, name, strlen(name));
}

START_TEST(an_outlet_is_registered)
{
	meet_host(RECLAIM_DRIVERS(&finder), NULL);
	say_open(1, 7, "finder");
	say_open(2, 7, "finder");
	expect("opened 1 262144");
	expect("opened 2 262144");
	say_register(1, 10, "disk");
	expect("reply 10 ok ok");
	say_data(1, "disk");
	expect("data 1 ");
	say_data(2, "disk");
	expect("data 2 ");
	say_register(2, 11, "disk");
	expect("reply 11 error eexist");
	say_register(1, 12, "");
	expect("reply 12 ok ok");
	say_data(1, "disk");
	expect("data 1 ");
	say_register(2, 13, "disk");
	expect("reply 13 ok ok");
	say_one(WIRE_CLOSE, 2);
	expect("closed 2 normal");
	say_data(1, "disk");
	expect("data 1 ");
	expect_jotted("disk:me disk:other disk:none disk:none ");
	leave_host();
}
END_TEST

START_TEST(an_outlet_has_one_name)
{
	meet_host(RECLAIM_DRIVERS(&finder), NULL);
	say_open(1, 7, "finder");
	expect("opened 1 262144");
	say_register(1, 10, "one");
	expect("reply 10 ok ok");
	say_register(1, 11, "two");
	expect("reply 11 error eexist");
	say_register(1, 12, "");
	expect("reply 12 ok ok");
	say_register(1, 13, "two");
	expect("reply 13 ok ok");
	say_register(1, 14, "");
	expect("reply 14 ok ok");
	say_register(1, 15, "");
	expect("reply 15 ok ok");
	leave_host();
}
END_TEST

START_TEST(what_is_no_name_is_refused)
{
	char long_name[4000];

	memset(long_name, 'n', sizeof(long_name));
	meet_host(RECLAIM_DRIVERS(&finder), NULL);
	say_open(1, 7, "finder");
	expect("opened 1 262144");
	say(WIRE_REGISTER, 1, 10, 0, "a\0b", 3);
	expect("reply 10 error einval");
	say(WIRE_REGISTER, 1, 11, 0, long_name, sizeof(long_name));
	expect("reply 11 error einval");
	leave_host();
}
END_TEST

/* ---- the end ---- */

START_TEST(the_end_of_input_ends_outlets)
{
	meet_host(RECLAIM_DRIVERS(&teller), NULL);
	say_open(1, 7, "teller");
	expect("opened 1 262144");
	leave_host();
	expect_jotted("start stop(a) released(a) ");
}
END_TEST

START_TEST(the_end_of_input_while_an_open_is_under_way)
{
	meet_host(RECLAIM_DRIVERS(&teller), NULL);
	say_open(1, 7, "teller");
	hang_up();
	expect_status(0);
	expect_jotted("start stop(a) released(a) ");
}
END_TEST

static int start_child(struct reclaim_outlet *outlet,
		       struct reclaim_reader *args)
{
	char sleep[] = "sleep", time[] = "1000";
	char *argv[] = {sleep, time, NULL};
	pid_t pid;

	(void)outlet;
	(void)args;
	must(save_posix_spawnp(&pid, "sleep", NULL, NULL, argv, environ) == 0);
	jot("%d", (int)pid);
	return 0;
}

static const struct reclaim_driver parent = {
	RECLAIM_DRIVER_ABI,
	.name = "parent",
	.start = start_child,
};

START_TEST(the_end_of_input_ends_child_processes)
{
	meet_host(RECLAIM_DRIVERS(&parent), NULL);
	say_open(1, 7, "parent");
	expect("opened 1 262144");
	ck_works(kill(atoi(jotted()), 0));
	leave_host();
	ck_fails(kill(atoi(jotted()), 0), -1, ESRCH);
}
END_TEST

/* Has something of everything under way. */
static int run_job(void *arg)
{
	pass_gate(0);
	return arg != NULL;
}

static const struct reclaim_job gate_job = {.name = "gate", .run = run_job};

static void begin_job(struct reclaim_outlet *outlet, uint64_t call,
		      uint32_t operation, const void *data, size_t len)
{
	(void)operation;
	(void)data;
	(void)len;
	must(reclaim_outlet_timer(outlet, 1000000, NULL) != 0);
	must(reclaim_job_start(outlet, call, &gate_job, NULL) == 0);
}

static void keep_call(struct reclaim_outlet *outlet, uint64_t call,
		      struct reclaim_reader *request)
{
	(void)outlet;
	(void)request;
	must(reclaim_call_keep(call) == 0);
	must(reclaim_call_monitor(call) != 0);
}

static void try_echo(struct reclaim_outlet *outlet, const void *data,
		     size_t len)
{
	must(reclaim_outlet_output(outlet, data, len) >= 0 ||
	     errno == ESHUTDOWN);
}

static void never(struct reclaim_outlet *outlet, uint64_t timer, void *arg)
{
	(void)outlet;
	(void)timer;
	(void)arg;
	abort();
}

static const struct reclaim_driver all = {
	RECLAIM_DRIVER_ABI, .name = "all",	  .output = try_echo,
	.call = keep_call,  .control = begin_job, .timeout = never,
};

static unsigned char spoken[1024];
static size_t spoken_len, ends_of_frames[32], frames_spoken;

static void speak(enum wire_type type, uint64_t first, uint64_t second,
		  uint64_t third, const char *rest, size_t len)
{
	unsigned char *at = spoken + spoken_len;
	size_t n = wire_head(at + 4, type, first, second, third);

	memcpy(at + 4 + n, rest, len);
	n += len;
	memset(at, 0, 4);
	at[3] = (unsigned char)n;
	spoken_len += 4 + n;
	ends_of_frames[frames_spoken++] = spoken_len;
}

static void speak_all(void)
{
	static const char open[] = "\203\150\3\167\3all\152\155\0\0\0\1x";
	const size_t len = sizeof(open) - 1;

	spoken_len = frames_spoken = 0;
	speak(WIRE_HELLO, 0, 0, 0, "reclaim\0\1\0\20\0\0", 13);
	speak(WIRE_OPEN, 1, 7, 100, open, len);
	speak(WIRE_OPEN, 2, 8, 0, open, len);
	speak(WIRE_DATA, 1, 0, 0, "hello", 5);
	speak(WIRE_DATA, 2, 0, 0, "waits", 5);
	speak(WIRE_CALL, 1, 5, 0, "\203\152", 2);
	speak(WIRE_CONTROL, 1, 6, 1, "", 0);
	speak(WIRE_CONTROL, 2, 9, 1, "", 0);
	speak(WIRE_REGISTER, 2, 10, 0, "name", 4);
	speak(WIRE_CREDIT, 2, 1000, 0, "", 0);
	speak(WIRE_GIVE, 1, 8, 0, "y", 1);
	speak(WIRE_CANCEL, 5, 0, 0, "", 0);
	speak(WIRE_PROCESS_DOWN, 1, 0, 0, "", 0);
	speak(WIRE_CLOSE, 2, 0, 0, "", 0);
	speak(WIRE_CLIENT_DOWN, 8, 0, 0, "", 0);
}

static bool is_end_of_frame(size_t at)
{
	size_t i;

	for (i = 0; i < frames_spoken; i++)
		if (ends_of_frames[i] == at)
			return true;
	return at == 0;
}

/* The emulator goes after any byte: within a frame that is told. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* Log frames are queued until the callback returns: there is no room for all.
 */
static void starve(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	const struct rlimit none = {4096, 4096};
	int i;

	(void)outlet;
	(void)data;
	(void)len;
	must(setrlimit(RLIMIT_AS, &none) == 0);
	while (save_malloc(1000))
		continue;
	for (i = 0; i < 9000; i++)
		reclaim_log(RECLAIM_LOG_NOTICE, "%9s", "");
}

static const struct reclaim_driver starving = {
	RECLAIM_DRIVER_ABI,
	.name = "starving",
	.output = starve,
};

START_TEST(without_memory_to_say_anything_it_ends)
{
	if (under_valgrind())
		return;
	meet_host(RECLAIM_DRIVERS(&starving), NULL);
	say_open(1, 7, "starving");
	expect("opened 1 262144");
	say_data(1, "");
	expect_status(1);
	expect_said("no memory is left");
}
END_TEST
#endif

/* As a thread of a driver's own does, and what a library does when loaded. */
static void *talk_to_nobody(void *words)
{
	reclaim_log(RECLAIM_LOG_NOTICE, "%s", (char *)words);
	must(reclaim_call_error(1, "nobody") < 0 && errno == ENOENT);
	return words;
}

static void *on_another_thread(void *(*run)(void *), char *words)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, run, words) == 0);
	must(pthread_join(thread, NULL) == 0);
	return words;
}

static void be_host_without_input(int in, int err)
{
	char name[] = "host", before[] = "before", after[] = "after";
	char *argv[] = {name, NULL};

	must(dup2(in, 0) == 0 && dup2(err, 1) == 1 && dup2(err, 2) == 2);
	reclaim_on_report(NULL, NULL);
	talk_to_nobody(before);
	on_another_thread(talk_to_nobody, before);
	must(reclaim_port_main(1, argv, RECLAIM_DRIVERS(&echo)) == 0);
	talk_to_nobody(after);
	on_another_thread(talk_to_nobody, after);
	_exit(0);
}

START_TEST(what_is_logged_without_a_host_goes_to_stderr)
{
	int in[2], err[2], status;
	char said[200] = "";
	pid_t child;

	ck_works(pipe(in));
	ck_works(pipe(err));
	close(in[1]);
	child = fork();
	if (!child)
		be_host_without_input(in[0], err[1]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_gt(read(err[0], said, sizeof(said) - 1), 0);
	ck_assert_str_eq(said, "reclaim: before\nreclaim: before\n"
			       "reclaim: after\nreclaim: after\n");
	close(in[0]);
	close(err[0]);
	close(err[1]);
}
END_TEST

START_TEST(the_end_of_input_wherever_it_comes)
{
	size_t cut, step = under_valgrind() ? 17 : 1;

	speak_all();
	start_host(RECLAIM_DRIVERS(&all), NULL);
	say_raw(spoken, spoken_len);
	expect("hello");
	expect("opened 1 262144");
	expect("opened 2 262144");
	expect("data 1 hello");
	expect("monitor 1 5");
	expect("monitor 2 5");
	expect("monitor 3 6");
	expect("monitor 4 9");
	expect("reply 10 ok ok");
	expect("data 2 waits");
	expect("demonitor 2");
	leave_host();
	for (cut = 0; cut <= spoken_len; cut += step) {
		start_host(RECLAIM_DRIVERS(&all), NULL);
		say_raw(spoken, cut);
		if (cut % 2)
			hang_up();
		else
			end_input();
		expect_status(is_end_of_frame(cut) ? 0 : 1);
	}
}
END_TEST

/* ---- a plain port ---- */

/* Takes no more while its owner does not read, as the built-in one. */
static void careful_output(struct reclaim_outlet *outlet, const void *data,
			   size_t len)
{
	int result = reclaim_outlet_output(outlet, data, len);

	must(result >= 0);
	if (result == 1)
		reclaim_outlet_busy(outlet, 1);
	if (len == 3 && !memcmp(data, "bye", 3))
		reclaim_outlet_close(outlet, "bye");
}

static void careful_drained(struct reclaim_outlet *outlet)
{
	jot("drained ");
	reclaim_outlet_busy(outlet, 0);
}

static const struct reclaim_driver careful = {
	RECLAIM_DRIVER_ABI,
	.name = "careful",
	.output = careful_output,
	.drained = careful_drained,
};

START_TEST(a_plain_port_is_one_outlet)
{
	start_host(RECLAIM_DRIVERS(&careful, &teller), "--plain");
	say_bytes("hello", 5);
	expect_body("hello", 5);
	say_bytes("", 0);
	expect_body("", 0);
	leave_host();
}
END_TEST

START_TEST(a_plain_port_may_name_its_driver)
{
	start_host(RECLAIM_DRIVERS(&careful, &teller), "--plain=teller");
	say_bytes("hello", 5);
	await_jot("output(hello)");
	leave_host();
	expect_jotted("start output(hello) stop(a) released(a) ");
}
END_TEST

START_TEST(a_plain_port_without_its_driver_fails)
{
	start_host(RECLAIM_DRIVERS(&careful), "--plain=other");
	expect_no_more();
	expect_status(1);
	expect_said("other");
}
END_TEST

START_TEST(a_plain_port_whose_driver_does_not_start_fails)
{
	start_host(RECLAIM_DRIVERS(&failing), "--plain");
	expect_no_more();
	expect_status(1);
	expect_said("enoent");
	expect_jotted("start released(it) ");
}
END_TEST

START_TEST(a_plain_port_ends_when_its_driver_closes)
{
	start_host(RECLAIM_DRIVERS(&careful), "--plain");
	say_bytes("bye", 3);
	expect_body("bye", 3);
	expect_no_more();
	expect_status(0);
}
END_TEST

/* More than the pipes, the link and the watermarks hold. */
START_TEST(a_plain_port_that_nobody_reads_is_not_read)
{
	enum { BLOCK = 60000, BLOCKS = 150 };
	static unsigned char block[BLOCK];
	unsigned i;

	start_host(RECLAIM_DRIVERS(&careful), "--plain");
	for (i = 0; i < BLOCKS; i++) {
		memset(block, 100 + (int)i, BLOCK);
		if (!say_patiently(block, BLOCK))
			break;
	}
	ck_assert_uint_lt(i, BLOCKS);
	for (unsigned k = 0; k < i; k++) {
		memset(block, 100 + (int)k, BLOCK);
		expect_body(block, BLOCK);
	}
	say_rest();
	memset(block, 100 + (int)i, BLOCK);
	expect_body(block, BLOCK);
	say_bytes("bye", 3);
	expect_body("bye", 3);
	expect_status(0);
}
END_TEST

/* Takes one at a time, and a moment for each. */
static void slow_output(struct reclaim_outlet *outlet, const void *data,
			size_t len)
{
	jot("%.*s ", (int)len, (const char *)data);
	must(reclaim_outlet_busy(outlet, 1) == 0);
	must(reclaim_outlet_timer(outlet, 1, NULL) != 0);
}

static void slow_timeout(struct reclaim_outlet *outlet, uint64_t timer,
			 void *arg)
{
	(void)timer;
	(void)arg;
	must(reclaim_outlet_busy(outlet, 0) == 0);
	reclaim_outlet_output(outlet, "done", 4);
}

static const struct reclaim_driver slow = {
	RECLAIM_DRIVER_ABI,
	.name = "slow",
	.output = slow_output,
	.timeout = slow_timeout,
};

static void stick(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	(void)data;
	(void)len;
	must(reclaim_outlet_output(outlet, "busy", 4) == 0);
	must(reclaim_outlet_busy(outlet, 1) == 0);
}

static const struct reclaim_driver stuck = {
	RECLAIM_DRIVER_ABI,
	.name = "stuck",
	.output = stick,
};

static void patient_output(struct reclaim_outlet *outlet, const void *data,
			   size_t len)
{
	if (reclaim_outlet_output(outlet, data, len) == 1)
		must(reclaim_outlet_busy(outlet, 1) == 0);
}

static void patient_drained(struct reclaim_outlet *outlet)
{
	must(reclaim_outlet_busy(outlet, 0) == 0);
}

static const struct reclaim_driver patient = {
	RECLAIM_DRIVER_ABI,
	.name = "patient",
	.output = patient_output,
	.drained = patient_drained,
};

/* More than pipes and queues take, for a driver that is busy therefore. */
static void fill_plain_port(void)
{
	enum { BLOCK = 60000, BLOCKS = 150 };
	static const unsigned char block[BLOCK];
	unsigned i;

	start_host(RECLAIM_DRIVERS(&patient), "--plain");
	for (i = 0; i < BLOCKS && say_patiently(block, BLOCK); i++)
		continue;
	ck_assert_uint_lt(i, BLOCKS);
}

START_TEST(a_plain_port_that_nobody_reads_ends_with_the_emulator)
{
	fill_plain_port();
	hang_up();
	expect_status(1); /* the last frame was cut */
}
END_TEST

START_TEST(a_plain_port_whose_driver_stays_busy_ends_with_the_emulator)
{
	start_host(RECLAIM_DRIVERS(&stuck), "--plain");
	say_bytes("a", 1);
	expect_body("busy", 4);
	hang_up();
	expect_status(0);
	expect_said("driver stuck is still busy");
}
END_TEST

/* Input has ended when there is still output in pipe, queue and outlet. */
START_TEST(a_plain_port_sends_all_after_the_end_of_input)
{
	static unsigned char block[1000];
	unsigned many, i;

	for (many = 2050; many <= 2300; many += 50) {
		start_host(RECLAIM_DRIVERS(&patient), "--plain");
		for (i = 0; i < many; i++)
			say_bytes(block, sizeof(block));
		end_input();
		/* Most likely it is as far as it comes. */
		nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
		for (i = 0; i < many; i++)
			expect_body(block, sizeof(block));
		expect_no_more();
		expect_status(0);
	}
}
END_TEST

START_TEST(a_plain_port_whose_driver_is_busy_goes_on)
{
	unsigned i;

	start_host(RECLAIM_DRIVERS(&slow), "--plain");
	for (i = 0; i < 5; i++)
		say_bytes(&"abcdef"[i], 1);
	for (i = 0; i < 5; i++)
		expect_body("done", 4);
	expect_jotted("a b c d e ");
	leave_host();
}
END_TEST

/* ---- a host ---- */

static void fill(Suite *suite)
{
	TCase *tcase = speaker_case(suite, "hello");

	tcase_add_test(tcase, hello_is_answered);
	tcase_add_test(tcase, another_version_ends_it);
	tcase_add_test(
		tcase,
		another_version_ends_it_though_the_emulator_goes_at_once);
	tcase_add_test(tcase, without_hello_it_ends);
	tcase_add_test(tcase, what_is_no_hello_ends_it);
	tcase_add_test(tcase, an_empty_frame_is_no_hello);
	tcase_add_test(tcase, hello_comes_once);
	tcase_add_test(tcase, it_ends_well_where_nobody_says_anything);
	tcase_add_test(tcase, fds_3_and_4_may_be_the_port);
	tcase_add_test(tcase, a_frame_over_max_frame_ends_it);
	tcase_add_test(tcase, input_that_ends_within_a_frame_is_a_failure);

	tcase = speaker_case(suite, "errors");
	tcase_add_test(tcase, an_unknown_frame_is_told);
	tcase_add_test(tcase, a_short_frame_is_told_wherever_it_ends);
	tcase_add_test(tcase, frames_to_what_never_was_are_told);
	tcase_add_test(tcase, frames_to_what_is_over_are_dropped_or_answered);

	tcase = speaker_case(suite, "opening");
	tcase_add_test(tcase, an_outlet_is_opened);
	tcase_add_test(tcase, who_wants_no_such_driver_is_told);
	tcase_add_test(tcase, what_start_acquired_is_released_where_it_fails);
	tcase_add_test(tcase, a_client_has_so_many_outlets);
	tcase_add_test(tcase, what_is_no_request_is_badarg);
	tcase_add_test(tcase, numbers_of_outlets_rise);
	tcase_add_test(tcase, start_sees_its_arguments_alone);

	tcase = speaker_case(suite, "closing");
	tcase_add_test(tcase, stop_runs_once_and_before_the_release);
	tcase_add_test(tcase, a_driver_closes_its_outlet_with_a_reason);
	tcase_add_test(tcase,
		       a_clients_end_is_that_of_its_outlets_newest_first);
	tcase_add_test(tcase, a_driver_may_wait_before_its_outlet_is_closed);
	tcase_add_test(tcase, a_driver_waits_no_longer_than_five_seconds);
	tcase_add_test(tcase, what_flush_outputs_is_sent);
	tcase_add_test(tcase, no_flush_where_the_client_has_died);

	tcase = speaker_case(suite, "clients");
	tcase_add_test(tcase, an_outlet_is_given_away);
	tcase_add_test(tcase, an_outlet_is_given_to_its_own_client);
	tcase_add_test(tcase, the_only_outlet_of_a_client_is_given_to_and_fro);
	tcase_add_test(tcase, who_has_all_outlets_is_given_none);
	tcase_add_test(tcase, nobody_is_no_client_to_give_to);

	tcase = speaker_case(suite, "names");
	tcase_add_test(tcase, an_outlet_is_registered);
	tcase_add_test(tcase, an_outlet_has_one_name);
	tcase_add_test(tcase, what_is_no_name_is_refused);

	tcase = speaker_case(suite, "end");
	tcase_add_test(tcase, the_end_of_input_ends_outlets);
	tcase_add_test(tcase, the_end_of_input_while_an_open_is_under_way);
	tcase_add_test(tcase, the_end_of_input_ends_child_processes);
	tcase_add_test(tcase, the_end_of_input_wherever_it_comes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test(tcase, without_memory_to_say_anything_it_ends);
#endif
	tcase_add_test(tcase, what_is_logged_without_a_host_goes_to_stderr);

	tcase = speaker_case(suite, "plain");
	tcase_add_test(tcase, a_plain_port_is_one_outlet);
	tcase_add_test(tcase, a_plain_port_may_name_its_driver);
	tcase_add_test(tcase, a_plain_port_without_its_driver_fails);
	tcase_add_test(tcase, a_plain_port_whose_driver_does_not_start_fails);
	tcase_add_test(tcase, a_plain_port_ends_when_its_driver_closes);
	tcase_add_test(tcase, a_plain_port_that_nobody_reads_is_not_read);
	tcase_add_test(tcase, a_plain_port_whose_driver_is_busy_goes_on);
	tcase_add_test(tcase,
		       a_plain_port_that_nobody_reads_ends_with_the_emulator);
	tcase_add_test(
		tcase,
		a_plain_port_whose_driver_stays_busy_ends_with_the_emulator);
	tcase_add_test(tcase, a_plain_port_sends_all_after_the_end_of_input);
}

int main(void)
{
	return stage_run("host", fill);
}
