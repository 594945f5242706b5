/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: who answers them, when, in which task, and what the client gets where
 * nobody does.  A call's atom says what the driver is to do about it.
 */
#include "config.h"

#include "tests/speaker.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the driver ---- */

static struct reclaim_outlet *outlet_of_clerk;

static int reply_atom(uint64_t call, const char *atom)
{
	unsigned char bytes[512];
	struct reclaim_writer term;

	reclaim_writer_init(&term, bytes, sizeof(bytes));
	reclaim_put_atom(&term, atom);
	return reclaim_call_reply(call, &term);
}

static void note_release(void *unused)
{
	(void)unused;
	jot("released ");
}

static void answer_now(uint64_t call)
{
	must(reply_atom(call, "done") == 0);
}

static void answer_nothing(uint64_t call)
{
	(void)call;
}

static void answer_twice(uint64_t call)
{
	must(reply_atom(call, "first") == 0);
	must(reply_atom(call, "second") < 0 && errno == ENOENT);
	must(reclaim_call_error(call, "third") < 0 && errno == ENOENT);
}

/* What is refused may be answered still. */
static void answer_wrongly(uint64_t call)
{
	struct reclaim_writer term;
	unsigned char bytes[16];

	must(reclaim_call_data(call, "bytes", 5) < 0 && errno == EINVAL);
	reclaim_writer_init(&term, bytes, sizeof(bytes));
	must(reclaim_call_reply(call, &term) < 0 && errno == EINVAL);
	reclaim_put_tuple(&term, 2);
	must(reclaim_call_reply(call, &term) < 0 && errno == EINVAL);
	must(reclaim_call_error(call, NULL) < 0 && errno == EINVAL);
	must(reclaim_call_error(call, "\377") < 0 && errno == EINVAL);
	must(reclaim_call_error(call, "enough") == 0);
}

static void answer_by_timer(uint64_t call)
{
	uint64_t *arg = malloc(sizeof(call));

	*arg = call;
	must(reclaim_call_keep(call) == 0);
	must(reclaim_outlet_timer(outlet_of_clerk, 1, arg) != 0);
}

static void *answer_from_here(void *arg)
{
	uint64_t call = *(uint64_t *)arg;

	free(arg);
	pass_gate(0);
	must(reclaim_outlet_output(outlet_of_clerk, "x", 1) < 0 &&
	     errno == EPERM);
	must(reclaim_call_monitor(call) == 0 && errno == EPERM);
	jot("%s ", reply_atom(call, "foreign") == 0 ? "answered"
		   : errno == ENOENT		    ? "enoent"
						    : "failed");
	return NULL;
}

static void on_a_thread(uint64_t call, void *(*answer)(void *))
{
	uint64_t *arg = malloc(sizeof(call));
	pthread_t thread;

	*arg = call;
	must(reclaim_call_keep(call) == 0);
	must(pthread_create(&thread, NULL, answer, arg) == 0);
	pthread_detach(thread);
}

static void answer_by_thread(uint64_t call)
{
	on_a_thread(call, answer_from_here);
}

static void keep(uint64_t call)
{
	must(reclaim_call_keep(call) == 0);
	must(reclaim_defer(note_release, NULL, NULL) == 0);
}

static void acquire(uint64_t call)
{
	int fd = save_open("/dev/null", O_RDWR | O_CLOEXEC);

	must(reclaim_self() == reclaim_call_task(call));
	must(reclaim_self() != reclaim_outlet_task(outlet_of_clerk));
	must(fd >= 0 && save_malloc(100000));
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	jot("%d ", fd);
	answer_now(call);
	must(fcntl(fd, F_GETFD) >= 0);
	jot("still ");
}

/* Too long for the other end. */
static void answer_at_length(uint64_t call)
{
	static char long_text[5000];
	struct reclaim_writer term;

	reclaim_writer_init(&term, NULL, 0);
	reclaim_put_binary(&term, long_text, sizeof(long_text));
	must(reclaim_call_reply(call, &term) < 0 && errno == EMSGSIZE);
	must(reply_atom(call, "short") < 0 && errno == ENOENT);
}

/* That it is too long is found out later: the client is told. */
static void *answer_at_length_from_here(void *arg)
{
	static char long_text[5000];
	uint64_t call = *(uint64_t *)arg;

	free(arg);
	must(reclaim_call_data(call, long_text, (size_t)-1) < 0 &&
	     errno == ENOMEM);
	must(reclaim_call_data(call, long_text, sizeof(long_text)) == 0);
	return NULL;
}

static void answer_unknown(uint64_t call)
{
	must(reply_atom(call + 1000, "x") < 0 && errno == ENOENT);
	must(reclaim_call_keep(call + 1000) < 0 && errno == ENOENT);
	must(reclaim_call_task(call + 1000) == 0 && errno == ENOENT);
	must(reclaim_call_monitor(call + 1000) == 0 && errno == ENOENT);
	answer_now(call);
}

static void end_its_task(uint64_t call)
{
	(void)call;
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	must(reclaim_kill(reclaim_self()) == 0);
	jot("on ");
}

static void close_outlet(uint64_t call)
{
	(void)call;
	must(reclaim_outlet_close(outlet_of_clerk, "enough") == 0);
}

static void monitor(uint64_t call)
{
	uint64_t ref = reclaim_call_monitor(call);

	must(ref != 0);
	jot("%" PRIu64 " ", ref);
	answer_now(call);
}

static void demonitor(uint64_t call)
{
	uint64_t ref = strtoull(jotted(), NULL, 10);
	int result = reclaim_outlet_demonitor(outlet_of_clerk, ref);

	jot("%s ", result == 0 ? "taken" : reclaim_errno_name(errno));
	answer_now(call);
}

static const struct {
	const char *name;
	void (*act)(uint64_t call);
} acts[] = {
	{"now", answer_now},
	{"nothing", answer_nothing},
	{"twice", answer_twice},
	{"wrongly", answer_wrongly},
	{"timer", answer_by_timer},
	{"thread", answer_by_thread},
	{"keep", keep},
	{"acquire", acquire},
	{"at_length", answer_at_length},
	{"unknown", answer_unknown},
	{"end_task", end_its_task},
	{"close", close_outlet},
	{"monitor", monitor},
	{"demonitor", demonitor},
};

static void clerk_call(struct reclaim_outlet *outlet, uint64_t call,
		       struct reclaim_reader *request)
{
	char atom[RECLAIM_ATOM_SIZE];
	size_t i;

	outlet_of_clerk = outlet;
	must(reclaim_get_atom(request, atom) == 0);
	must(reclaim_get_end(request) == 0);
	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (!strcmp(atom, acts[i].name))
			acts[i].act(call);
}

static void clerk_control(struct reclaim_outlet *outlet, uint64_t call,
			  uint32_t operation, const void *data, size_t len)
{
	(void)outlet;
	must(reclaim_self() == reclaim_call_task(call));
	if (operation == 1)
		must(reply_atom(call, "term") < 0 && errno == EINVAL);
	if (operation == 2)
		must(reclaim_call_error(call, "no") == 0);
	else if (operation == 4)
		on_a_thread(call, answer_at_length_from_here);
	else if (operation < 3 || operation == UINT32_MAX)
		must(reclaim_call_data(call, data, len) == 0);
}

static void clerk_timeout(struct reclaim_outlet *outlet, uint64_t timer,
			  void *arg)
{
	uint64_t call = *(uint64_t *)arg;

	(void)timer;
	free(arg);
	must(reclaim_self() == reclaim_outlet_task(outlet));
	must(reply_atom(call, "late") == 0 || errno == ENOENT);
}

static void clerk_process_exit(struct reclaim_outlet *outlet, uint64_t ref)
{
	must(reclaim_self() == reclaim_outlet_task(outlet));
	jot("exit(%" PRIu64 ") ", ref);
}

static const struct reclaim_driver clerk = {
	RECLAIM_DRIVER_ABI,	  .name = "clerk",
	.call = clerk_call,	  .control = clerk_control,
	.timeout = clerk_timeout, .process_exit = clerk_process_exit,
};

static const struct reclaim_driver deaf = {
	RECLAIM_DRIVER_ABI,
	.name = "deaf",
};

static void meet_clerk(const char *options)
{
	meet_host(RECLAIM_DRIVERS(&clerk, &deaf), options);
	say_open(1, 7, "clerk");
	ck_assert_int_eq(next_frame()->type, WIRE_OPENED);
}

/* ---- answers ---- */

START_TEST(a_call_is_answered_at_once)
{
	meet_clerk(NULL);
	say_call(1, 5, "now");
	expect("reply 5 ok done");
	leave_host();
}
END_TEST

START_TEST(a_control_is_answered_with_bytes)
{
	meet_clerk(NULL);
	say_control(1, 5, 0, "some bytes");
	expect("reply 5 bytes some bytes");
	say_control(1, 6, UINT32_MAX, "");
	expect("reply 6 bytes ");
	leave_host();
}
END_TEST

START_TEST(a_control_is_not_answered_with_a_term)
{
	meet_clerk(NULL);
	say_control(1, 5, 1, "x");
	expect("reply 5 bytes x");
	say_control(1, 6, 2, "x");
	expect("reply 6 error no");
	leave_host();
}
END_TEST

START_TEST(no_answer_is_one)
{
	meet_clerk(NULL);
	say_call(1, 5, "nothing");
	expect("reply 5 error no_answer");
	say_control(1, 6, 3, "");
	expect("reply 6 error no_answer");
	leave_host();
}
END_TEST

START_TEST(a_call_is_answered_once)
{
	meet_clerk(NULL);
	say_call(1, 5, "twice");
	expect("reply 5 ok first");
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(what_is_no_answer_is_refused)
{
	meet_clerk(NULL);
	say_call(1, 5, "wrongly");
	expect("reply 5 error enough");
	leave_host();
}
END_TEST

START_TEST(a_call_is_answered_later)
{
	meet_clerk(NULL);
	say_call(1, 5, "timer");
	expect("monitor 1 5");
	expect("reply 5 ok late");
	expect("demonitor 1");
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(a_call_is_answered_by_another_thread)
{
	meet_clerk(NULL);
	say_call(1, 5, "thread");
	expect("monitor 1 5");
	expect_silence();
	open_gate(0);
	expect("reply 5 ok foreign");
	expect("demonitor 1");
	expect_jotted("answered ");
	leave_host();
}
END_TEST

START_TEST(what_a_call_holds_goes_when_it_is_answered)
{
	meet_clerk(NULL);
	say_call(1, 5, "acquire");
	expect("reply 5 ok done");
	await_jot("still released ");
	say(WIRE_STATISTICS, 6, WIRE_OF_OUTLET, 1, NULL, 0);
	ck_assert_int_eq(next_frame()->type, WIRE_REPLY);
	say_call(1, 7, "acquire");
	expect("reply 7 ok done");
	leave_host();
	/* The same descriptor once more: it had been closed. */
	ck_assert_int_eq(atoi(jotted()),
			 atoi(strstr(jotted(), "released ") + 9));
}
END_TEST

START_TEST(an_answer_that_is_too_long_is_an_error)
{
	start_host(RECLAIM_DRIVERS(&clerk), NULL);
	say_hello(1, 4096);
	expect("hello");
	say_open(1, 7, "clerk");
	expect("opened 1 262144");
	say_call(1, 5, "at_length");
	expect("reply 5 error emsgsize");
	say_control(1, 6, 4, "");
	expect("monitor 1 6");
	expect("reply 6 error emsgsize");
	expect("demonitor 1");
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(what_is_no_call_cannot_be_answered)
{
	meet_clerk(NULL);
	say_call(1, 5, "unknown");
	expect("reply 5 ok done");
	leave_host();
}
END_TEST

START_TEST(a_call_whose_task_is_ended_is_answered)
{
	meet_clerk(NULL);
	say_call(1, 5, "end_task");
	expect("reply 5 error no_answer");
	expect_jotted("on released ");
	say_call(1, 6, "now");
	expect("reply 6 ok done");
	leave_host();
}
END_TEST

START_TEST(a_term_that_is_none_is_badarg)
{
	static const char *const wrong[] = {"", "\203", "\203\150", "\202a",
					    "\203\167\4ab"};
	static const size_t lens[] = {0, 1, 2, 2, 5};
	uint64_t i;

	meet_clerk(NULL);
	for (i = 0; i < 5; i++) {
		say(WIRE_CALL, 1, 10 + i, 0, wrong[i], lens[i]);
		expect("reply %" PRIu64 " error badarg", 10 + i);
	}
	leave_host();
}
END_TEST

START_TEST(a_driver_without_the_callback_does_not_support_it)
{
	meet_clerk(NULL);
	say_open(2, 7, "deaf");
	expect("opened 2 262144");
	say_call(2, 5, "now");
	expect("reply 5 error enotsup");
	say_control(2, 6, 0, "");
	expect("reply 6 error enotsup");
	leave_host();
}
END_TEST

/* ---- numbers ---- */

START_TEST(a_number_in_use_is_told)
{
	meet_clerk(NULL);
	say_call(1, 5, "keep");
	expect("monitor 1 5");
	say_call(1, 5, "now");
	expect("error 5 6 1");
	say_control(1, 5, 0, "");
	expect("error 5 7 1");
	say(WIRE_REGISTER, 1, 5, 0, "name", 4);
	expect("error 5 17 1");
	say_call(1, 0, "now");
	expect("error 5 6 1");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	leave_host();
}
END_TEST

START_TEST(so_many_calls_are_under_way)
{
	meet_clerk("--calls 2");
	say_call(1, 5, "keep");
	say_call(1, 6, "keep");
	say_call(1, 7, "now");
	expect("monitor 1 5");
	expect("monitor 2 6");
	expect("reply 7 error system_limit");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	say_call(1, 8, "now");
	expect("reply 8 ok done");
	leave_host();
}
END_TEST

/* ---- the end of a call ---- */

START_TEST(a_cancelled_call_is_gone)
{
	meet_clerk(NULL);
	say_call(1, 5, "thread");
	expect("monitor 1 5");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	expect_silence();
	open_gate(0);
	expect_jotted("enoent ");
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(what_a_cancelled_call_holds_goes)
{
	meet_clerk(NULL);
	say_call(1, 5, "keep");
	expect("monitor 1 5");
	ck_assert_str_eq(jotted(), "");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	expect_jotted("released ");
	say_one(WIRE_CANCEL, 5);
	expect_silence();
	leave_host();
}
END_TEST

START_TEST(a_call_ends_with_the_process_that_made_it)
{
	meet_clerk(NULL);
	say_call(1, 5, "keep");
	expect("monitor 1 5");
	say_one(WIRE_PROCESS_DOWN, 1);
	expect_silence();
	expect_jotted("released ");
	leave_host();
}
END_TEST

START_TEST(calls_are_closed_with_their_outlet)
{
	meet_clerk(NULL);
	say_call(1, 5, "keep");
	say_call(1, 6, "keep");
	expect("monitor 1 5");
	expect("monitor 2 6");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("demonitor 2");
	expect("demonitor 1");
	expect("reply 6 error closed");
	expect("reply 5 error closed");
	expect("closed 1 client_down");
	expect_jotted("released released ");
	leave_host();
}
END_TEST

START_TEST(a_call_whose_handler_closes_the_outlet_is_answered)
{
	meet_clerk(NULL);
	say_call(1, 5, "close");
	expect("reply 5 error no_answer");
	expect("closed 1 enough");
	say_call(1, 6, "now");
	expect("reply 6 error closed");
	leave_host();
}
END_TEST

START_TEST(the_end_of_input_while_a_call_is_kept)
{
	meet_clerk(NULL);
	say_call(1, 5, "keep");
	expect("monitor 1 5");
	leave_host();
	expect_jotted("released ");
}
END_TEST

START_TEST(the_end_of_input_while_another_thread_answers)
{
	meet_clerk(NULL);
	say_call(1, 5, "thread");
	expect("monitor 1 5");
	hang_up();
	open_gate(0);
	expect_status(0);
}
END_TEST

/* ---- monitors ---- */

START_TEST(a_process_is_monitored)
{
	meet_clerk(NULL);
	say_call(1, 5, "monitor");
	expect("monitor 1 5");
	expect("reply 5 ok done");
	say_one(WIRE_PROCESS_DOWN, 1);
	expect_jotted("1 exit(1) ");
	say_one(WIRE_PROCESS_DOWN, 1);
	expect_silence();
	leave_host();
	expect_jotted("1 exit(1) ");
}
END_TEST

START_TEST(a_monitor_is_taken_back)
{
	meet_clerk(NULL);
	say_call(1, 5, "monitor");
	expect("monitor 1 5");
	expect("reply 5 ok done");
	say_call(1, 6, "demonitor");
	expect("demonitor 1");
	expect("reply 6 ok done");
	say_one(WIRE_PROCESS_DOWN, 1);
	say_call(1, 7, "demonitor");
	expect("reply 7 ok done");
	leave_host();
	expect_jotted("1 taken enoent ");
}
END_TEST

START_TEST(a_monitor_is_its_outlets)
{
	meet_clerk(NULL);
	say_open(2, 7, "clerk");
	expect("opened 2 262144");
	say_call(1, 5, "monitor");
	expect("monitor 1 5");
	expect("reply 5 ok done");
	say_call(2, 6, "demonitor");
	expect("reply 6 ok done");
	expect_jotted("1 enoent ");
	say_one(WIRE_CLOSE, 1);
	expect("demonitor 1");
	expect("closed 1 normal");
	leave_host();
}
END_TEST

/* ---- the program ---- */

static void fill(Suite *suite)
{
	TCase *tcase = speaker_case(suite, "answers");

	tcase_add_test(tcase, a_call_is_answered_at_once);
	tcase_add_test(tcase, a_control_is_answered_with_bytes);
	tcase_add_test(tcase, a_control_is_not_answered_with_a_term);
	tcase_add_test(tcase, no_answer_is_one);
	tcase_add_test(tcase, a_call_is_answered_once);
	tcase_add_test(tcase, what_is_no_answer_is_refused);
	tcase_add_test(tcase, a_call_is_answered_later);
	tcase_add_test(tcase, a_call_is_answered_by_another_thread);
	tcase_add_test(tcase, what_a_call_holds_goes_when_it_is_answered);
	tcase_add_test(tcase, an_answer_that_is_too_long_is_an_error);
	tcase_add_test(tcase, what_is_no_call_cannot_be_answered);
	tcase_add_test(tcase, a_call_whose_task_is_ended_is_answered);
	tcase_add_test(tcase, a_term_that_is_none_is_badarg);
	tcase_add_test(tcase,
		       a_driver_without_the_callback_does_not_support_it);

	tcase = speaker_case(suite, "numbers");
	tcase_add_test(tcase, a_number_in_use_is_told);
	tcase_add_test(tcase, so_many_calls_are_under_way);

	tcase = speaker_case(suite, "end");
	tcase_add_test(tcase, a_cancelled_call_is_gone);
	tcase_add_test(tcase, what_a_cancelled_call_holds_goes);
	tcase_add_test(tcase, a_call_ends_with_the_process_that_made_it);
	tcase_add_test(tcase, calls_are_closed_with_their_outlet);
	tcase_add_test(tcase,
		       a_call_whose_handler_closes_the_outlet_is_answered);
	tcase_add_test(tcase, the_end_of_input_while_a_call_is_kept);
	tcase_add_test(tcase, the_end_of_input_while_another_thread_answers);

	tcase = speaker_case(suite, "monitors");
	tcase_add_test(tcase, a_process_is_monitored);
	tcase_add_test(tcase, a_monitor_is_taken_back);
	tcase_add_test(tcase, a_monitor_is_its_outlets);
}

int main(void)
{
	return stage_run("call", fill);
}
