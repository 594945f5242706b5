/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes through outlets and what they wait for: data and its credit, both
 * ways, timers and descriptors; and what becomes of an outlet whose task
 * somebody else ends.
 */
#include "config.h"

#include "tests/speaker.h"

#include <reclaim/message.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* ---- echo, and a driver that does as it is told ---- */

static void echo_output(struct reclaim_outlet *outlet, const void *data,
			size_t len)
{
	must(reclaim_outlet_output(outlet, data, len) >= 0 ||
	     errno == ESHUTDOWN);
}

static const struct reclaim_driver echo = {
	RECLAIM_DRIVER_ABI,
	.name = "echo",
	.output = echo_output,
};

static void output_pieces(struct reclaim_outlet *outlet)
{
	char a[] = "one ", b[] = "two ", c[] = "three";
	const struct iovec pieces[17] = {{a, 4}, {NULL, 0}, {b, 4}, {c, 5}};

	must(reclaim_outlet_outputv(outlet, pieces, 4) == 0);
	must(reclaim_outlet_outputv(outlet, pieces, 16) == 0);
	must(reclaim_outlet_outputv(outlet, pieces, 0) == 0);
	must(reclaim_outlet_outputv(outlet, pieces, 17) < 0 && errno == EINVAL);
	must(reclaim_outlet_outputv(outlet, pieces, -1) < 0 && errno == EINVAL);
}

/* A frame of 4 KiB has room for 4,087.  And what read(2) says may be -1. */
static void output_too_much(struct reclaim_outlet *outlet)
{
	static char much[5000];
	const struct iovec all[] = {{much, SIZE_MAX - 10}, {much, 20}};

	must(reclaim_outlet_output(outlet, much, sizeof(much)) < 0 &&
	     errno == EMSGSIZE);
	must(reclaim_outlet_output(outlet, much, 4088) < 0 &&
	     errno == EMSGSIZE);
	must(reclaim_outlet_output(outlet, much, (size_t)-1) < 0 &&
	     errno == EMSGSIZE);
	must(reclaim_outlet_outputv(outlet, all, 2) < 0 && errno == EMSGSIZE);
	must(reclaim_outlet_output(outlet, much, 4087) == 0);
	jot("emsgsize ");
}

/* Where 256 KiB may wait that is soon. */
static void output_nothing(struct reclaim_outlet *outlet)
{
	int n = 0;

	while (reclaim_outlet_output(outlet, "", 0) == 0)
		must(n++ < 5000);
	jot("enough ");
}

/* 10 bytes at a time, until it is to stop: so many are sent at all. */
static void output_until_high(struct reclaim_outlet *outlet)
{
	int n = 1;

	must(reclaim_outlet_watermarks(outlet, 30, 20) < 0 && errno == EINVAL);
	must(reclaim_outlet_watermarks(outlet, 2 * (10 + WIRE_COST),
				       4 * (10 + WIRE_COST)) == 0);
	while (reclaim_outlet_output(outlet, "0123456789", 10) == 0)
		n++;
	jot("%d ", n);
}

static void busy_on(struct reclaim_outlet *outlet)
{
	must(reclaim_outlet_busy(outlet, 1) == 0);
	must(reclaim_outlet_timer(outlet, 50, NULL) != 0);
}

static void close_with_backlog(struct reclaim_outlet *outlet)
{
	char reason[65];

	memset(reason, 'x', 64);
	reason[64] = '\0';
	must(reclaim_outlet_close(outlet, reason) < 0 && errno == EINVAL);
	must(reclaim_outlet_close(outlet, "\377") < 0 && errno == EINVAL);
	must(reclaim_outlet_output(outlet, "last words", 10) == 0);
	must(reclaim_outlet_timer(outlet, 0, NULL) != 0);
	must(reclaim_outlet_close(outlet, "done") == 0);
}

static void many_timers(struct reclaim_outlet *outlet)
{
	uint64_t refs[100];
	unsigned i;

	for (i = 0; i < 100; i++)
		refs[i] = reclaim_outlet_timer(outlet, i, NULL);
	for (i = 0; i < 100; i++)
		must(refs[i] != 0 && (i == 0 || refs[i] != refs[i - 1]));
	for (i = 0; i < 100; i += 2)
		must(reclaim_outlet_cancel_timer(outlet, refs[i]) == 0);
	must(reclaim_outlet_cancel_timer(outlet, refs[0]) < 0 &&
	     errno == ENOENT);
	must(reclaim_outlet_cancel_timer(outlet, 0) < 0 && errno == ENOENT);
}

static uint64_t shared_timer;

static void slow_timer(struct reclaim_outlet *outlet)
{
	shared_timer = reclaim_outlet_timer(outlet, 1000000, NULL);
	must(shared_timer != 0);
}

static void cancel_others_timer(struct reclaim_outlet *outlet)
{
	must(reclaim_outlet_cancel_timer(outlet, shared_timer) < 0);
	jot("%s ", reclaim_errno_name(errno));
}

/* ---- descriptors ---- */

static int read_end, write_end;

static void read_pipe(struct reclaim_outlet *outlet)
{
	int ends[2];

	must(save_pipe2(ends, O_CLOEXEC) == 0);
	read_end = ends[0];
	write_end = ends[1];
	must(reclaim_outlet_select(outlet, read_end, RECLAIM_READ) == 0);
	must(write(write_end, "x", 1) == 1);
}

static void write_pipe(struct reclaim_outlet *outlet)
{
	int ends[2];

	must(save_pipe2(ends, O_CLOEXEC) == 0);
	must(reclaim_outlet_select(outlet, ends[1], RECLAIM_WRITE) == 0);
}

static void select_wrongly(struct reclaim_outlet *outlet)
{
	int file = save_open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	must(file >= 0);
	must(reclaim_outlet_select(outlet, file, RECLAIM_READ) < 0 &&
	     errno == EPERM);
	must(reclaim_outlet_select(outlet, 1000, RECLAIM_READ) < 0 &&
	     errno == EBADF);
	must(reclaim_outlet_select(outlet, file, 4) < 0 && errno == EINVAL);
	must(reclaim_outlet_select(outlet, file, 0) == 0);
	jot("refused ");
}

static void select_others(struct reclaim_outlet *outlet)
{
	must(reclaim_outlet_select(outlet, read_end, RECLAIM_READ) < 0);
	jot("%s ", reclaim_errno_name(errno));
}

/* ---- its task ---- */

static void note_release(void *unused)
{
	(void)unused;
	jot("released ");
}

static void end_own_task(struct reclaim_outlet *outlet)
{
	(void)outlet;
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	must(reclaim_kill(reclaim_self()) == 0);
	jot("on ");
}

static void *end_from_here(void *arg)
{
	must(reclaim_kill((reclaim_tid)(uintptr_t)arg) == 0);
	return NULL;
}

static void end_by_thread(struct reclaim_outlet *outlet)
{
	pthread_t thread;

	must(reclaim_defer(note_release, NULL, NULL) == 0);
	must(pthread_create(&thread, NULL, end_from_here,
			    (void *)(uintptr_t)reclaim_outlet_task(outlet)) ==
	     0);
	pthread_detach(thread);
}

static void end_client(struct reclaim_outlet *outlet)
{
	must(reclaim_kill(reclaim_outlet_client(outlet)) == 0);
}

static void exit_here(struct reclaim_outlet *outlet)
{
	(void)outlet;
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	reclaim_exit(5);
}

static void enter_and_stay(struct reclaim_outlet *outlet)
{
	must(reclaim_enter(reclaim_outlet_task(outlet)) == 0);
	must(reclaim_enter(reclaim_outlet_client(outlet)) == 0);
	must(reclaim_enter(reclaim_outlet_task(outlet)) == 0);
}

static void leave_too_often(struct reclaim_outlet *outlet)
{
	(void)outlet;
	must(reclaim_leave() == 0);
	must(reclaim_leave() < 0);
}

static void who_am_i(struct reclaim_outlet *outlet)
{
	struct reclaim_task_info mine, clients;

	must(reclaim_self() == reclaim_outlet_task(outlet));
	must(reclaim_task_info(reclaim_self(), &mine) == 0);
	must(mine.parent == reclaim_outlet_client(outlet));
	must(reclaim_task_info(mine.parent, &clients) == 0);
	jot("%s under %s ", mine.name, clients.name);
}

static void block(struct reclaim_outlet *outlet)
{
	(void)outlet;
	jot("blocks ");
	pass_gate(0);
}

static void say_something(struct reclaim_outlet *outlet)
{
	(void)outlet;
	reclaim_log(RECLAIM_LOG_INFO, "%s %d", "number", 7);
	reclaim_log(99, "deep");
	reclaim_log(-1, "high");
	reclaim_say(RECLAIM_WARNING, "of the library");
}

/* Characters of two bytes, one of which the limit would cut. */
static void say_at_length(struct reclaim_outlet *outlet)
{
	char text[6001];
	size_t i;

	(void)outlet;
	text[0] = 'x';
	for (i = 1; i < 5999; i += 2)
		memcpy(text + i, "\303\244", 2);
	text[i] = '\0';
	reclaim_log(RECLAIM_LOG_INFO, "%s", text);
}

static void close_with_long_reason(struct reclaim_outlet *outlet)
{
	char text[63];

	memset(text, 'r', 62);
	text[62] = '\0';
	must(reclaim_outlet_close(outlet, text) == 0);
}

static void hold_much(struct reclaim_outlet *outlet)
{
	(void)outlet;
	must(save_malloc(3 << 20) != NULL);
}

static void hold_things(struct reclaim_outlet *outlet)
{
	(void)outlet;
	must(save_malloc(1000) != NULL);
	must(save_open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
}

static void do_nothing(struct reclaim_outlet *outlet)
{
	(void)outlet;
}

static const struct {
	const char *name;
	void (*act)(struct reclaim_outlet *outlet);
} acts[] = {
	{"pieces", output_pieces},
	{"too_much", output_too_much},
	{"until_high", output_until_high},
	{"nothing_often", output_nothing},
	{"busy", busy_on},
	{"close_with_backlog", close_with_backlog},
	{"many_timers", many_timers},
	{"slow_timer", slow_timer},
	{"cancel_others_timer", cancel_others_timer},
	{"read_pipe", read_pipe},
	{"write_pipe", write_pipe},
	{"select_wrongly", select_wrongly},
	{"select_others", select_others},
	{"end_own_task", end_own_task},
	{"end_by_thread", end_by_thread},
	{"end_client", end_client},
	{"exit", exit_here},
	{"enter_and_stay", enter_and_stay},
	{"leave_too_often", leave_too_often},
	{"who", who_am_i},
	{"block", block},
	{"say", say_something},
	{"say_at_length", say_at_length},
	{"long_reason", close_with_long_reason},
	{"hold", hold_things},
	{"hold_much", hold_much},
	{"nothing", do_nothing},
};

static void puppet_output(struct reclaim_outlet *outlet, const void *data,
			  size_t len)
{
	size_t i;

	must(reclaim_self() == reclaim_outlet_task(outlet));
	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strlen(acts[i].name) == len &&
		    !memcmp(acts[i].name, data, len)) {
			acts[i].act(outlet);
			return;
		}
	jot("(%.*s) ", (int)len, (const char *)data);
}

static void puppet_timeout(struct reclaim_outlet *outlet, uint64_t timer,
			   void *arg)
{
	must(timer != 0 && !arg);
	must(reclaim_self() == reclaim_outlet_task(outlet));
	must(reclaim_outlet_cancel_timer(outlet, timer) < 0 && errno == ENOENT);
	jot("t");
	reclaim_outlet_busy(outlet, 0);
}

static void puppet_drained(struct reclaim_outlet *outlet)
{
	must(reclaim_self() == reclaim_outlet_task(outlet));
	jot("drained ");
}

static void puppet_ready_input(struct reclaim_outlet *outlet, int fd)
{
	char byte;

	must(fd == read_end && read(fd, &byte, 1) == 1);
	must(reclaim_self() == reclaim_outlet_task(outlet));
	jot("input ");
	reclaim_outlet_output(outlet, &byte, 1);
}

/* It could be written for ever. */
static void puppet_ready_output(struct reclaim_outlet *outlet, int fd)
{
	jot("output ");
	if (strlen(jotted()) < 14)
		return;
	must(reclaim_outlet_select(outlet, fd, 0) == 0);
	must(save_close(fd) == 0);
	reclaim_outlet_output(outlet, "w", 1);
}

static void puppet_stop(struct reclaim_outlet *outlet)
{
	must(reclaim_outlet_timer(outlet, 1, NULL) == 0 && errno == ESHUTDOWN);
	must(reclaim_outlet_select(outlet, 0, RECLAIM_READ) < 0 &&
	     errno == ESHUTDOWN);
	must(reclaim_outlet_busy(outlet, 1) < 0 && errno == ESHUTDOWN);
	must(reclaim_outlet_close(outlet, NULL) < 0 && errno == EALREADY);
	jot("stop ");
}

static const struct reclaim_driver puppet = {
	RECLAIM_DRIVER_ABI,
	.name = "puppet",
	.output = puppet_output,
	.timeout = puppet_timeout,
	.drained = puppet_drained,
	.ready_input = puppet_ready_input,
	.ready_output = puppet_ready_output,
	.stop = puppet_stop,
};

static void meet_both(const char *options, uint32_t window)
{
	meet_host(RECLAIM_DRIVERS(&puppet, &echo), options);
	say_open_with(1, 7, "puppet", window);
	ck_assert_int_eq(next_frame()->type, WIRE_OPENED);
}

/* ---- data ---- */

START_TEST(data_come_back)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	expect("opened 1 262144");
	say_data(1, "hello");
	expect("data 1 hello");
	say_data(1, "");
	expect("data 1 ");
	leave_host();
}
END_TEST

START_TEST(a_mebibyte_comes_back)
{
	unsigned char *bytes = malloc(MIB);
	const struct wire_frame *frame;
	uint64_t state = fixture_seed();
	size_t i;

	for (i = 0; i < MIB; i++)
		bytes[i] = (unsigned char)fixture_random(&state);
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open(1, 7, "echo");
	expect("opened 1 262144");
	say(WIRE_DATA, 1, 0, 0, bytes, MIB);
	frame = next_frame();
	ck_assert_int_eq(frame->type, WIRE_DATA);
	ck_assert_uint_eq(frame->len, MIB);
	ck_assert(memcmp(frame->rest, bytes, MIB) == 0);
	expect("credit 1 %zu", MIB + WIRE_COST);
	free(bytes);
	leave_host();
}
END_TEST

START_TEST(pieces_are_one)
{
	meet_both(NULL, WINDOW);
	say_data(1, "pieces");
	expect("data 1 one two three");
	expect("data 1 one two three");
	expect("data 1 ");
	leave_host();
}
END_TEST

START_TEST(what_is_longer_than_a_frame_is_refused)
{
	meet_both("--max-frame 4K", WINDOW);
	say_data(1, "too_much");
	ck_assert_uint_eq(next_frame()->len, 4087);
	expect_silence();
	expect_jotted("emsgsize ");
	leave_host();
}
END_TEST

/* What waits is copied. */
START_TEST(what_is_longer_than_a_frame_is_refused_while_output_waits)
{
	meet_both("--max-frame 4K", 0);
	say_data(1, "too_much");
	expect_silence();
	expect_jotted("emsgsize ");
	say(WIRE_CREDIT, 1, 1, 0, NULL, 0);
	ck_assert_uint_eq(next_frame()->len, 4087);
	leave_host();
}
END_TEST

START_TEST(frames_of_nothing_wait_within_bounds)
{
	meet_both(NULL, 0);
	say_data(1, "nothing_often");
	expect_silence();
	expect_jotted("enough ");
	leave_host();
}
END_TEST

START_TEST(a_callback_has_its_outlets_task)
{
	meet_both(NULL, WINDOW);
	say_data(1, "who");
	expect_jotted("puppet under <0.7.0> ");
	leave_host();
}
END_TEST

/* ---- credit ---- */

START_TEST(who_overdraws_is_closed)
{
	static const char much[1024];

	meet_both("--window 1K", WINDOW);
	say_data(1, "busy");
	say(WIRE_DATA, 1, 0, 0, much, 1024);
	expect_silence();
	/* A window may come late, and no more. */
	say(WIRE_DATA, 1, 0, 0, much, 1024 - WIRE_COST);
	expect_silence();
	say_data(1, "nothing");
	expect("closed 1 credit");
	leave_host();
	ck_assert_ptr_nonnull(strstr(jotted(), "stop "));
}
END_TEST

START_TEST(credit_is_given_back_by_halves)
{
	char half[512 - WIRE_COST];

	memset(half, 'x', sizeof(half));
	meet_both("--window 1K", WINDOW);
	say(WIRE_DATA, 1, 0, 0, half, sizeof(half) - 1);
	expect_silence();
	say_data(1, "");
	expect("credit 1 575");
	leave_host();
}
END_TEST

START_TEST(what_a_busy_driver_is_sent_waits)
{
	meet_both("--window 1K", WINDOW);
	say_data(1, "busy");
	say_data(1, "a");
	say_data(1, "b");
	say_data(1, "nothing");
	say_data(1, "c");
	say_data(1, "d");
	say_data(1, "e");
	say_data(1, "f");
	say_data(1, "g");
	expect("credit 1 529");
	expect_jotted("t(a) (b) (c) (d) (e) (f) (g) ");
	leave_host();
}
END_TEST

START_TEST(output_waits_for_credit)
{
	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open_with(1, 7, "echo", 0);
	expect("opened 1 262144");
	say_data(1, "first");
	say_data(1, "second");
	expect_silence();
	say(WIRE_CREDIT, 1, 1, 0, NULL, 0);
	expect("data 1 first");
	expect_silence();
	say(WIRE_CREDIT, 1, 5 + WIRE_COST - 1, 0, NULL, 0);
	expect_silence();
	say(WIRE_CREDIT, 1, 1, 0, NULL, 0);
	expect("data 1 second");
	leave_host();
}
END_TEST

START_TEST(a_driver_is_told_above_and_below_its_watermarks)
{
	int i;

	meet_both(NULL, 0);
	say_data(1, "until_high");
	expect_silence();
	expect_jotted("5 ");
	for (i = 0; i < 2; i++) {
		say(WIRE_CREDIT, 1, 10 + WIRE_COST, 0, NULL, 0);
		expect("data 1 0123456789");
	}
	expect_silence();
	ck_assert_str_eq(jotted(), "5 ");
	say(WIRE_CREDIT, 1, 10 + WIRE_COST, 0, NULL, 0);
	expect("data 1 0123456789");
	expect_silence();
	expect_jotted("5 drained ");
	leave_host();
}
END_TEST

START_TEST(an_outlet_that_is_not_read_holds_up_no_other)
{
	int i;

	meet_host(RECLAIM_DRIVERS(&echo), NULL);
	say_open_with(1, 7, "echo", 10);
	say_open_with(2, 7, "echo", 1 << 20);
	expect("opened 1 262144");
	expect("opened 2 262144");
	say_data(1, "sent");
	expect("data 1 sent");
	for (i = 0; i < 100; i++) {
		say_data(1, "waits");
		say_data(2, "goes");
		expect("data 2 goes");
	}
	leave_host();
}
END_TEST

/* More than pipe and queue take: it waits, and comes in order. */
START_TEST(output_waits_for_a_port_that_is_full)
{
	enum { BLOCK = 100000, BLOCKS = 40 };
	static unsigned char block[BLOCK];
	unsigned i, outlet, next[3] = {0};

	meet_host(RECLAIM_DRIVERS(&echo), "--window 8M");
	say_open_with(1, 7, "echo", UINT32_MAX);
	say_open_with(2, 7, "echo", UINT32_MAX);
	expect("opened 1 8388608");
	expect("opened 2 8388608");
	for (i = 0; i < BLOCKS; i++) {
		unsigned char head[9 + BLOCK];

		wire_head(head, WIRE_DATA, 1 + i % 2, 0, 0);
		memset(head + 9, (int)(i / 2), BLOCK);
		if (!say_patiently(head, sizeof(head)))
			break;
	}
	ck_assert_uint_lt(i, BLOCKS);
	ck_assert_uint_gt(i, 10);
	for (unsigned k = 0; k <= i; k++) {
		const struct wire_frame *frame;

		if (k == i)
			say_rest();
		frame = next_frame();
		ck_assert_int_eq(frame->type, WIRE_DATA);
		ck_assert_uint_eq(frame->len, BLOCK);
		outlet = (unsigned)frame->field[0];
		memset(block, (int)next[outlet]++, BLOCK);
		ck_assert(memcmp(frame->rest, block, BLOCK) == 0);
	}
	leave_host();
}
END_TEST

START_TEST(the_end_of_input_while_output_waits)
{
	static char block[700000];
	int i;

	meet_host(RECLAIM_DRIVERS(&echo), "--window 64M");
	say_open_with(1, 7, "echo", 1000);
	say_open_with(2, 7, "echo", UINT32_MAX);
	expect("opened 1 67108864");
	expect("opened 2 67108864");
	say_data(1, "sent");
	for (i = 0; i < 2; i++) {
		say(WIRE_DATA, 1, 0, 0, block, sizeof(block));
		say(WIRE_DATA, 2, 0, 0, block, sizeof(block));
	}
	hang_up();
	expect_status(0);
}
END_TEST

/* ---- closing ---- */

START_TEST(output_is_sent_before_closed)
{
	meet_both(NULL, 0);
	say_data(1, "close_with_backlog");
	expect_silence();
	say(WIRE_CREDIT, 1, 100, 0, NULL, 0);
	expect("data 1 last words");
	expect("closed 1 done");
	/* Neither the timer nor `drained`. */
	expect_jotted("stop ");
	leave_host();
}
END_TEST

START_TEST(a_reason_may_be_long)
{
	meet_both(NULL, WINDOW);
	say_data(1, "long_reason");
	expect("closed 1 rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
	       "rrrrrrrr");
	leave_host();
}
END_TEST

static int start_and_output(struct reclaim_outlet *outlet,
			    struct reclaim_reader *args)
{
	(void)args;
	must(reclaim_outlet_output(outlet, "first", 5) == 0);
	return 0;
}

static int start_and_close(struct reclaim_outlet *outlet,
			   struct reclaim_reader *args)
{
	start_and_output(outlet, args);
	must(reclaim_outlet_close(outlet, "at_once") == 0);
	return 0;
}

START_TEST(what_start_outputs_comes_behind_opened)
{
	struct reclaim_driver driver = puppet;

	driver.start = start_and_output;
	meet_host(RECLAIM_DRIVERS(&driver), NULL);
	say_open(1, 7, "puppet");
	expect("opened 1 262144");
	expect("data 1 first");
	leave_host();
	expect_jotted("stop ");
}
END_TEST

START_TEST(an_outlet_may_be_closed_by_its_start)
{
	struct reclaim_driver driver = puppet;

	driver.start = start_and_close;
	meet_host(RECLAIM_DRIVERS(&driver), NULL);
	say_open(1, 7, "puppet");
	expect("opened 1 262144");
	expect("data 1 first");
	expect("closed 1 at_once");
	expect_jotted("stop ");
	leave_host();
}
END_TEST

START_TEST(a_client_that_holds_too_much_is_closed)
{
	meet_both("--client-bytes 2M", WINDOW);
	say_open(2, 7, "echo");
	say_open(3, 8, "echo");
	expect("opened 2 262144");
	expect("opened 3 262144");
	say_data(1, "hold_much");
	expect("closed 2 limit");
	expect("closed 1 limit");
	say_data(3, "still here");
	expect("data 3 still here");
	expect_log(RECLAIM_LOG_ERROR, 0, "--client-bytes");
	leave_host();
}
END_TEST

START_TEST(what_waits_for_a_busy_driver_comes_before_the_end)
{
	meet_both(NULL, WINDOW);
	say_data(1, "busy");
	say_data(1, "a");
	say_one(WIRE_CLOSE, 1);
	say_data(1, "b");
	expect("closed 1 normal");
	expect_jotted("t(a) stop ");
	leave_host();
}
END_TEST

/* ---- timers ---- */

START_TEST(timers_run_once_unless_cancelled)
{
	meet_both(NULL, WINDOW);
	say_data(1, "many_timers");
	expect_jotted("tttttttttttttttttttttttttttttttttttttttttttttttttt");
	say_data(1, "");
	leave_host();
	expect_jotted("tttttttttttttttttttttttttttttttttttttttttttttttttt"
		      "() stop ");
}
END_TEST

START_TEST(a_timer_is_its_outlets)
{
	meet_both(NULL, WINDOW);
	say_open(2, 7, "puppet");
	expect("opened 2 262144");
	say_data(1, "slow_timer");
	say_data(2, "cancel_others_timer");
	expect_jotted("enoent ");
	leave_host();
}
END_TEST

START_TEST(no_timer_runs_after_the_end)
{
	meet_both(NULL, WINDOW);
	say_data(1, "many_timers");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	leave_host();
	ck_assert_str_eq(strstr(jotted(), "stop "), "stop ");
}
END_TEST

/* ---- descriptors ---- */

START_TEST(a_pipe_is_read)
{
	meet_both(NULL, WINDOW);
	say_data(1, "read_pipe");
	expect("data 1 x");
	expect_silence();
	expect_jotted("input ");
	leave_host();
}
END_TEST

START_TEST(a_pipe_is_written_until_it_is_deselected)
{
	meet_both(NULL, WINDOW);
	say_data(1, "write_pipe");
	expect("data 1 w");
	expect_silence();
	expect_jotted("output output ");
	leave_host();
}
END_TEST

START_TEST(what_cannot_be_polled_is_refused)
{
	meet_both(NULL, WINDOW);
	say_data(1, "select_wrongly");
	expect_jotted("refused ");
	leave_host();
}
END_TEST

START_TEST(a_descriptor_is_one_outlets)
{
	meet_both(NULL, WINDOW);
	say_open(2, 7, "puppet");
	expect("opened 2 262144");
	say_data(1, "read_pipe");
	expect("data 1 x");
	say_data(2, "select_others");
	expect_jotted("input eexist ");
	leave_host();
}
END_TEST

START_TEST(descriptors_are_forgotten_with_their_outlet)
{
	int i;

	meet_both(NULL, WINDOW);
	for (i = 2; i < 6; i++) {
		say_open(i, 7, "puppet");
		expect("opened %d 262144", i);
		say_data(i, "read_pipe");
		expect("data %d x", i);
		say_one(WIRE_CLOSE, i);
		expect("closed %d normal", i);
	}
	leave_host();
}
END_TEST

/* ---- tasks that others end ---- */

START_TEST(an_outlet_that_ends_its_own_task_is_closed)
{
	meet_both(NULL, WINDOW);
	say_data(1, "end_own_task");
	expect("closed 1 killed");
	expect_jotted("on released ");
	say_open(2, 7, "puppet");
	expect("opened 2 262144");
	leave_host();
}
END_TEST

START_TEST(an_outlet_whose_task_a_thread_ends_is_closed)
{
	meet_both(NULL, WINDOW);
	say_data(1, "end_by_thread");
	expect("closed 1 killed");
	expect_jotted("released ");
	leave_host();
}
END_TEST

START_TEST(a_client_whose_task_is_ended_loses_its_outlets)
{
	meet_both(NULL, WINDOW);
	say_open(2, 7, "echo");
	expect("opened 2 262144");
	say_open(3, 8, "echo");
	expect("opened 3 262144");
	say_data(1, "end_client");
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(next_frame()->type, WIRE_CLOSED);
	say_data(3, "still here");
	expect("data 3 still here");
	say_open(4, 7, "puppet");
	expect("opened 4 262144");
	say_data(4, "who");
	expect_jotted("puppet under <0.7.0> ");
	leave_host();
}
END_TEST

START_TEST(reclaim_exit_in_a_callback_ends_the_program)
{
	meet_both(NULL, WINDOW);
	say_data(1, "exit");
	expect_no_more();
	expect_status(5);
}
END_TEST

START_TEST(what_a_callback_entered_is_left)
{
	meet_both(NULL, WINDOW);
	say_open(2, 8, "puppet");
	expect("opened 2 262144");
	say_data(1, "enter_and_stay");
	say_data(2, "who");
	expect_jotted("puppet under <0.8.0> ");
	say_one(WIRE_CLOSE, 1);
	expect("closed 1 normal");
	leave_host();
}
END_TEST

START_TEST(a_callback_may_leave_too_often)
{
	meet_both(NULL, WINDOW);
	say_data(1, "leave_too_often");
	say_data(1, "who");
	expect_jotted("puppet under <0.7.0> ");
	leave_host();
}
END_TEST

/* ---- what is said ---- */

START_TEST(what_is_logged_is_told_with_level_outlet_and_task)
{
	meet_both(NULL, WINDOW);
	say_data(1, "say");
	expect_log(RECLAIM_LOG_INFO, 1, "puppet: number 7");
	expect_log(RECLAIM_LOG_DEBUG, 1, "puppet: deep");
	expect_log(RECLAIM_LOG_ERROR, 1, "puppet: high");
	expect_log(RECLAIM_LOG_WARNING, 1, "puppet: of the library");
	leave_host();
}
END_TEST

START_TEST(a_text_is_cut_between_characters)
{
	struct wire_frame frame;
	size_t len;

	meet_both(NULL, WINDOW);
	say_data(1, "say_at_length");
	next_log(&frame);
	len = frame.len - 1 - frame.rest[0];
	ck_assert_uint_le(len, 4000);
	ck_assert_uint_ge(len, 3997);
	ck_assert_uint_eq(len % 2, 1);
	leave_host();
}
END_TEST

START_TEST(a_callback_that_is_missing_is_told_once)
{
	static const struct reclaim_driver none = {
		RECLAIM_DRIVER_ABI,
		.name = "none",
	};

	meet_host(RECLAIM_DRIVERS(&none), NULL);
	say_open(1, 7, "none");
	expect("opened 1 262144");
	say_data(1, "a");
	say_data(1, "b");
	expect_log(RECLAIM_LOG_WARNING, 1, "no callback `output`");
	say_open(2, 7, "none");
	expect("opened 2 262144");
	say_data(2, "c");
	expect_log(RECLAIM_LOG_WARNING, 2, "no callback `output`");
	leave_host();
}
END_TEST

START_TEST(a_callback_that_blocks_is_named)
{
	meet_both("--watchdog 10", WINDOW);
	say_data(1, "block");
	expect_said("callback `output` of driver puppet");
	open_gate(0);
	expect_log(RECLAIM_LOG_WARNING, 1,
		   "callback `output` of driver puppet");
	say_data(1, "who");
	expect_jotted("blocks puppet under <0.7.0> ");
	leave_host();
}
END_TEST

START_TEST(the_end_of_input_while_a_callback_blocks)
{
	meet_both("--watchdog 50", WINDOW);
	say_data(1, "block");
	await_jot("blocks ");
	hang_up();
	expect_status(0);
	expect_said("callback `output`");
}
END_TEST

/* ---- statistics ---- */

static void ask(uint64_t call, int what, uint64_t outlet)
{
	say(WIRE_STATISTICS, call, (uint64_t)what, outlet, NULL, 0);
}

/* The value of an atom, in the map that comes next. */
static int64_t value_of(struct reclaim_reader reader, const char *key)
{
	char atom[RECLAIM_ATOM_SIZE];
	uint32_t pairs;
	int64_t value = -1;

	ck_works(reclaim_get_map(&reader, &pairs));
	while (pairs--) {
		ck_works(reclaim_get_atom(&reader, atom));
		if (!strcmp(atom, key)) {
			ck_works(reclaim_get_int64(&reader, &value));
			return value;
		}
		ck_works(reclaim_get_skip(&reader));
	}
	ck_abort_msg("no %s", key);
	return -1;
}

static struct reclaim_reader answer_to(uint64_t call)
{
	const struct wire_frame *frame = next_frame();
	struct reclaim_reader reader;

	ck_assert_int_eq(frame->type, WIRE_REPLY);
	ck_assert_uint_eq(frame->field[0], call);
	ck_assert_uint_eq(frame->field[1], WIRE_OK);
	ck_works(reclaim_reader_init(&reader, frame->rest, frame->len));
	return reader;
}

START_TEST(statistics_of_the_host_are_true)
{
	struct reclaim_reader reader;

	meet_both(NULL, WINDOW);
	say_open(2, 8, "echo");
	expect("opened 2 262144");
	ask(5, WIRE_OF_HOST, 0);
	reader = answer_to(5);
	ck_assert_int_eq(value_of(reader, "clients"), 2);
	ck_assert_int_eq(value_of(reader, "outlets"), 2);
	ck_assert_int_eq(value_of(reader, "calls"), 0);
	ck_assert_int_eq(value_of(reader, "jobs"), 0);
	leave_host();
}
END_TEST

START_TEST(statistics_of_an_outlet_are_true)
{
	struct reclaim_reader reader;

	meet_both(NULL, 0);
	say_data(1, "hold");
	say_data(1, "pieces");
	ask(5, WIRE_OF_OUTLET, 1);
	reader = answer_to(5);
	ck_assert_int_eq(value_of(reader, "outlet"), 1);
	ck_assert_int_eq(value_of(reader, "client"), 7);
	ck_assert_int_eq(value_of(reader, "tasks"), 1);
	ck_assert_int_ge(value_of(reader, "bytes"), 1000);
	ck_assert_int_eq(value_of(reader, "handles"), 1);
	ck_assert_int_eq(value_of(reader, "output"), 26);
	ck_assert_int_eq(value_of(reader, "input"), 0);
	ck_assert_int_eq(value_of(reader, "credit"), 0);
	ask(6, WIRE_OF_OUTLET, 2);
	expect("reply 6 error closed");
	ask(7, 77, 0);
	expect("reply 7 error enotsup");
	leave_host();
}
END_TEST

START_TEST(statistics_of_outlets_are_of_each)
{
	struct reclaim_reader reader;
	uint32_t length;

	meet_both(NULL, WINDOW);
	ask(5, WIRE_OF_OUTLETS, 0);
	reader = answer_to(5);
	ck_works(reclaim_get_list(&reader, &length));
	ck_assert_uint_eq(length, 1);
	ck_assert_int_eq(value_of(reader, "outlet"), 1);
	leave_host();
}
END_TEST

/* The root, the clients, the outlets: above before below. */
START_TEST(statistics_of_tasks_are_of_all)
{
	struct reclaim_reader reader;
	unsigned tasks = 0;
	uint32_t length;
	int64_t root = 0, parent;

	meet_both(NULL, WINDOW);
	say_open(2, 8, "echo");
	expect("opened 2 262144");
	ask(5, WIRE_OF_TASKS, 0);
	reader = answer_to(5);
	while (reclaim_get_list(&reader, &length) == 0 && length) {
		while (length--) {
			parent = value_of(reader, "parent");
			if (!tasks++)
				root = value_of(reader, "task");
			ck_assert((tasks == 1) == (parent == 0));
			ck_assert((tasks == 2 || tasks == 3) ==
				  (parent == root));
			ck_works(reclaim_get_skip(&reader));
		}
		if (reclaim_reader_sort(&reader) != RECLAIM_TERM_LIST)
			break;
	}
	ck_assert_uint_eq(tasks, 5);
	leave_host();
}
END_TEST

/* ---- the program ---- */

static void fill(Suite *suite)
{
	TCase *tcase = speaker_case(suite, "data");

	tcase_add_test(tcase, data_come_back);
	tcase_add_test(tcase, a_mebibyte_comes_back);
	tcase_add_test(tcase, pieces_are_one);
	tcase_add_test(tcase, what_is_longer_than_a_frame_is_refused);
	tcase_add_test(
		tcase,
		what_is_longer_than_a_frame_is_refused_while_output_waits);
	tcase_add_test(tcase, a_callback_has_its_outlets_task);

	tcase = speaker_case(suite, "credit");
	tcase_add_test(tcase, who_overdraws_is_closed);
	tcase_add_test(tcase, credit_is_given_back_by_halves);
	tcase_add_test(tcase, what_a_busy_driver_is_sent_waits);
	tcase_add_test(tcase, output_waits_for_credit);
	tcase_add_test(tcase, a_driver_is_told_above_and_below_its_watermarks);
	tcase_add_test(tcase, frames_of_nothing_wait_within_bounds);
	tcase_add_test(tcase, an_outlet_that_is_not_read_holds_up_no_other);
	tcase_add_test(tcase, output_waits_for_a_port_that_is_full);
	tcase_add_test(tcase, the_end_of_input_while_output_waits);

	tcase = speaker_case(suite, "closing");
	tcase_add_test(tcase, output_is_sent_before_closed);
	tcase_add_test(tcase, a_reason_may_be_long);
	tcase_add_test(tcase, what_start_outputs_comes_behind_opened);
	tcase_add_test(tcase, an_outlet_may_be_closed_by_its_start);
	tcase_add_test(tcase, a_client_that_holds_too_much_is_closed);
	tcase_add_test(tcase,
		       what_waits_for_a_busy_driver_comes_before_the_end);

	tcase = speaker_case(suite, "timers");
	tcase_add_test(tcase, timers_run_once_unless_cancelled);
	tcase_add_test(tcase, a_timer_is_its_outlets);
	tcase_add_test(tcase, no_timer_runs_after_the_end);

	tcase = speaker_case(suite, "descriptors");
	tcase_add_test(tcase, a_pipe_is_read);
	tcase_add_test(tcase, a_pipe_is_written_until_it_is_deselected);
	tcase_add_test(tcase, what_cannot_be_polled_is_refused);
	tcase_add_test(tcase, a_descriptor_is_one_outlets);
	tcase_add_test(tcase, descriptors_are_forgotten_with_their_outlet);

	tcase = speaker_case(suite, "tasks");
	tcase_add_test(tcase, an_outlet_that_ends_its_own_task_is_closed);
	tcase_add_test(tcase, an_outlet_whose_task_a_thread_ends_is_closed);
	tcase_add_test(tcase, a_client_whose_task_is_ended_loses_its_outlets);
	tcase_add_test(tcase, reclaim_exit_in_a_callback_ends_the_program);
	tcase_add_test(tcase, what_a_callback_entered_is_left);
	tcase_add_test(tcase, a_callback_may_leave_too_often);

	tcase = speaker_case(suite, "log");
	tcase_add_test(tcase,
		       what_is_logged_is_told_with_level_outlet_and_task);
	tcase_add_test(tcase, a_text_is_cut_between_characters);
	tcase_add_test(tcase, a_callback_that_is_missing_is_told_once);
	tcase_add_test(tcase, a_callback_that_blocks_is_named);
	tcase_add_test(tcase, the_end_of_input_while_a_callback_blocks);

	tcase = speaker_case(suite, "statistics");
	tcase_add_test(tcase, statistics_of_the_host_are_true);
	tcase_add_test(tcase, statistics_of_an_outlet_are_true);
	tcase_add_test(tcase, statistics_of_outlets_are_of_each);
	tcase_add_test(tcase, statistics_of_tasks_are_of_all);
}

int main(void)
{
	return stage_run("outlet", fill);
}
