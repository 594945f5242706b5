/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: on which threads and in which tasks they run, in which order, and how
 * they end before their time.  A call's atom, or what is output, says which
 * job.
 */
#include "config.h"

#include "tests/speaker.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- what jobs do ---- */

/* Memory of the call's or the outlet's task. */
struct work {
	struct reclaim_outlet *outlet;
	uint64_t call;
	reclaim_tid above;
	atomic_int stop;
	char *result;
	char name;
};

static pthread_t loops;

static int reply_text(uint64_t call, const char *text)
{
	unsigned char bytes[512];
	struct reclaim_writer term;

	reclaim_writer_init(&term, bytes, sizeof(bytes));
	reclaim_put_atom(&term, text);
	return reclaim_call_reply(call, &term);
}

static void look_around(const struct work *work)
{
	struct reclaim_task_info info;

	must(!pthread_equal(pthread_self(), loops));
	must(reclaim_task_info(reclaim_self(), &info) == 0);
	must(info.parent == work->above);
}

static int run_short(void *arg)
{
	look_around(arg);
	return 42;
}

/* Its answer is the client's when it is over. */
static int run_reply(void *arg)
{
	struct work *work = arg;

	must(reply_text(work->call, "from_job") == 0);
	must(reply_text(work->call, "again") < 0 && errno == ENOENT);
	jot("replied ");
	pass_gate(0);
	return 0;
}

/* Memory of the job's own task. */
static int run_result(void *arg)
{
	struct work *work = arg;

	work->result = save_strdup("result");
	return work->result ? 7 : -1;
}

static int run_gate(void *arg)
{
	struct work *work = arg;

	jot("+%c", work->name);
	pass_gate(1);
	jot("-%c ", work->name);
	return 0;
}

static void note_release(void *unused)
{
	(void)unused;
	jot("released ");
}

static void note_cleanup(void *unused)
{
	(void)unused;
	jot("cleanup ");
}

static int run_until_cancelled(void *unused)
{
	(void)unused;
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	pthread_cleanup_push(note_cleanup, NULL);
	jot("runs ");
	pass_gate(3); /* which nobody opens */
	pthread_cleanup_pop(1);
	return 0;
}

/* Asked twice before it listens. */
static int run_until_asked(void *arg)
{
	struct work *work = arg;

	must(reclaim_defer(note_release, NULL, NULL) == 0);
	jot("runs ");
	while (atomic_load(&work->stop) < 2)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return 0;
}

static void ask_in_vain(void *arg)
{
	(void)arg;
}

static void ask(void *arg)
{
	struct work *work = arg;

	must(pthread_equal(pthread_self(), loops));
	jot("ask ");
	atomic_fetch_add(&work->stop, 1);
}

/* The loop is not told that it is over before it has to ask once more. */
static int run_until_asked_once(void *arg)
{
	struct work *work = arg;

	jot("runs ");
	while (!atomic_load(&work->stop))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return 0;
}

static void ask_slowly(void *arg)
{
	struct work *work = arg;

	/* Read, so that memory that has gone is noticed. */
	if (atomic_fetch_add(&work->stop, 1) == 0)
		nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
}

static int run_thread_exit(void *arg)
{
	(void)arg;
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	pthread_exit(NULL);
}

static int run_task_exit(void *arg)
{
	(void)arg;
	must(reclaim_defer(note_release, NULL, NULL) == 0);
	reclaim_exit(3);
}

static int run_log(void *arg)
{
	(void)arg;
	reclaim_log(RECLAIM_LOG_NOTICE, "at work");
	return 0;
}

/* Where it is cancelled it has just woken the loop, or is about to. */
static int run_chatty(void *arg)
{
	int i;

	(void)arg;
	jot("runs ");
	for (i = 0;; i++) {
		reclaim_log(RECLAIM_LOG_DEBUG, "again");
		if (i % 1000 == 999)
			pthread_testcancel();
	}
	return 0;
}

static const struct reclaim_job jobs[] = {
	{"short", run_short, NULL, 0},
	{"reply", run_reply, NULL, 0},
	{"result", run_result, NULL, 0},
	{"gate", run_gate, NULL, 0},
	{"stubborn", run_gate, ask_in_vain, 0},
	{"ordered", run_gate, NULL, RECLAIM_JOB_ORDERED},
	{"cancelled", run_until_cancelled, NULL, 0},
	{"asked", run_until_asked, ask, 0},
	{"slowly", run_until_asked_once, ask_slowly, 0},
	{"thread_exit", run_thread_exit, NULL, 0},
	{"task_exit", run_task_exit, NULL, 0},
	{"log", run_log, NULL, 0},
	{"chatty", run_chatty, NULL, 0},
};

/* ---- the driver ---- */

static const struct reclaim_job *job_called(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		if (!strcmp(jobs[i].name, name))
			return &jobs[i];
	abort();
}

static struct work *work_of(struct reclaim_outlet *outlet, uint64_t call)
{
	struct work *work = save_calloc(1, sizeof(*work));

	loops = pthread_self();
	must(work != NULL);
	work->outlet = outlet;
	work->call = call;
	work->above =
		call ? reclaim_call_task(call) : reclaim_outlet_task(outlet);
	return work;
}

static void boss_call(struct reclaim_outlet *outlet, uint64_t call,
		      struct reclaim_reader *request)
{
	char atom[RECLAIM_ATOM_SIZE];

	must(reclaim_get_atom(request, atom) == 0);
	must(reclaim_job_start(outlet, call, job_called(atom),
			       work_of(outlet, call)) == 0);
}

static void start_wrongly(struct reclaim_outlet *outlet)
{
	static const struct reclaim_job no_run = {.name = "no_run"};
	static const struct reclaim_job flags = {.run = run_short, .flags = 8};

	must(reclaim_job_start(outlet, 0, NULL, NULL) < 0 && errno == EINVAL);
	must(reclaim_job_start(outlet, 0, &no_run, NULL) < 0 &&
	     errno == EINVAL);
	must(reclaim_job_start(outlet, 0, &flags, NULL) < 0 && errno == EINVAL);
	must(reclaim_job_start(outlet, 999, job_called("short"), NULL) < 0 &&
	     errno == ENOENT);
	jot("refused ");
}

/* NAME:LETTERS, a job for each letter. */
static void boss_output(struct reclaim_outlet *outlet, const void *data,
			size_t len)
{
	char text[64], *letter;

	snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)data);
	letter = strchr(text, ':');
	if (!letter) {
		start_wrongly(outlet);
		return;
	}
	for (*letter++ = '\0'; *letter; letter++) {
		struct work *work = work_of(outlet, 0);

		work->name = *letter;
		must(reclaim_job_start(outlet, 0, job_called(text), work) == 0);
	}
}

static void boss_ready(struct reclaim_outlet *outlet, uint64_t call, void *arg,
		       int result)
{
	struct work *work = arg;

	must(pthread_equal(pthread_self(), loops));
	must(reclaim_self() ==
	     (call ? reclaim_call_task(call) : reclaim_outlet_task(outlet)));
	must(work->call == call);
	if (work->result)
		jot("%s=", work->result);
	jot("%d ", result);
	if (call)
		reply_text(call, "ready");
}

static void boss_stop(struct reclaim_outlet *outlet)
{
	(void)outlet;
	jot("stop ");
}

static const struct reclaim_driver boss = {
	RECLAIM_DRIVER_ABI,	   .name = "boss",
	.call = boss_call,	   .output = boss_output,
	.ready_async = boss_ready, .stop = boss_stop,
};

static void end_slowly(void *unused)
{
	(void)unused;
	jot("ends ");
	pass_gate(2);
}

static int slow_start(struct reclaim_outlet *outlet,
		      struct reclaim_reader *args)
{
	(void)outlet;
	(void)args;
	return reclaim_defer(end_slowly, NULL, NULL);
}

static const struct reclaim_driver slow = {
	RECLAIM_DRIVER_ABI,
	.name = "slow",
	.start = slow_start,
	.flags = RECLAIM_DRIVER_SLOW_END,
};

static void meet_boss(const char *options)
{
	meet_host(RECLAIM_DRIVERS(&boss), options);
	say_open(1, 7, "boss");
	expect("opened 1 262144");
}

static unsigned times(const char *words)
{
	const char *at = jotted();
	unsigned n = 0;

	for (; (at = strstr(at, words)); at++)
		n++;
	return n;
}

/* ---- running ---- */

START_TEST(a_job_runs_below_its_call)
{
	meet_boss(NULL);
	say_call(1, 5, "short");
	expect("monitor 1 5");
	expect("reply 5 ok ready");
	expect("demonitor 1");
	expect_jotted("42 ");
	leave_host();
}
END_TEST

START_TEST(a_job_runs_below_its_outlet)
{
	meet_boss(NULL);
	say_data(1, "short:a");
	expect_jotted("42 ");
	leave_host();
}
END_TEST

START_TEST(what_a_job_replies_is_sent_when_it_is_over)
{
	meet_boss(NULL);
	say_call(1, 5, "reply");
	expect("monitor 1 5");
	await_jot("replied");
	expect_silence();
	open_gate(0);
	expect("reply 5 ok from_job");
	expect("demonitor 1");
	expect_jotted("replied 0 ");
	leave_host();
}
END_TEST

START_TEST(what_a_job_holds_is_there_for_its_result)
{
	meet_boss(NULL);
	say_data(1, "result:a");
	expect_jotted("result=7 ");
	leave_host();
}
END_TEST

START_TEST(more_jobs_than_threads_wait)
{
	int i;

	meet_boss("--jobs 2");
	say_data(1, "gate:abcdef");
	while (times("+") < 2)
		expect_silence();
	expect_silence();
	ck_assert_uint_eq(times("+"), 2);
	for (i = 0; i < 6; i++)
		open_gate(1);
	await_jot("-f");
	while (times("0 ") < 6)
		expect_silence();
	leave_host();
}
END_TEST

START_TEST(slow_ends_do_not_hold_up_jobs)
{
	uint64_t id;

	meet_host(RECLAIM_DRIVERS(&boss, &slow), "--jobs 1");
	say_open(1, 7, "boss");
	expect("opened 1 262144");
	for (id = 2; id < 4; id++) {
		say_open(id, 7, "slow");
		expect("opened %u 262144", (unsigned)id);
		say_one(WIRE_CLOSE, id);
	}
	while (times("ends ") < 2)
		expect_silence();
	say_data(1, "short:a");
	await_jot("42");
	open_gate(2);
	open_gate(2);
	ck_assert_int_eq(next_frame()->type, WIRE_CLOSED);
	ck_assert_int_eq(next_frame()->type, WIRE_CLOSED);
	leave_host();
}
END_TEST

START_TEST(ordered_jobs_run_one_by_one)
{
	int i;

	meet_boss("--jobs 4");
	say_data(1, "ordered:abc");
	say_data(1, "ordered:d");
	for (i = 0; i < 4; i++)
		open_gate(1);
	expect_jotted("+a-a 0 +b-b 0 +c-c 0 +d-d 0 ");
	leave_host();
}
END_TEST

START_TEST(ordered_jobs_do_not_hold_up_others)
{
	meet_boss("--jobs 4");
	say_open(2, 7, "boss");
	expect("opened 2 262144");
	say_data(1, "ordered:ab");
	say_data(2, "ordered:x");
	await_jot("+x");
	await_jot("+a");
	ck_assert_ptr_null(strstr(jotted(), "+b"));
	open_gate(1);
	open_gate(1);
	open_gate(1);
	await_jot("-b");
	leave_host();
}
END_TEST

START_TEST(what_is_no_job_is_refused)
{
	meet_boss(NULL);
	say_data(1, "wrong");
	expect_jotted("refused ");
	leave_host();
}
END_TEST

START_TEST(a_job_logs_with_its_task_and_outlet)
{
	meet_boss(NULL);
	say_data(1, "log:a");
	expect_log(RECLAIM_LOG_NOTICE, 1, "log: at work");
	expect_jotted("0 ");
	leave_host();
}
END_TEST

START_TEST(a_job_may_end_its_thread)
{
	meet_boss("--jobs 1");
	say_data(1, "thread_exit:a");
	expect_jotted("-1 released ");
	say_data(1, "short:a");
	expect_jotted("-1 released 42 ");
	leave_host();
}
END_TEST

#ifndef __SANITIZE_THREAD__
START_TEST(reclaim_exit_in_a_job_ends_the_program)
{
	meet_boss(NULL);
	say_data(1, "task_exit:a");
	expect_no_more();
	expect_status(3);
}
END_TEST
#endif

/* ---- cancelling ---- */

START_TEST(a_job_that_waits_never_begins)
{
	meet_boss("--jobs 1");
	say_data(1, "gate:a");
	await_jot("+a");
	say_call(1, 5, "gate");
	expect("monitor 1 5");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	open_gate(1);
	open_gate(1);
	expect_jotted("+a-a 0 ");
	say_data(1, "short:a");
	expect_jotted("+a-a 0 42 ");
	leave_host();
}
END_TEST

START_TEST(an_ordered_job_that_waits_never_begins)
{
	meet_boss("--jobs 4");
	say_data(1, "ordered:a");
	await_jot("+a");
	say_call(1, 5, "ordered");
	say_data(1, "ordered:c");
	expect("monitor 1 5");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	open_gate(1);
	open_gate(1);
	expect_jotted("+a-a 0 +c-c 0 ");
	leave_host();
}
END_TEST

START_TEST(a_job_without_cancel_is_stopped_where_it_waits)
{
	meet_boss(NULL);
	say_call(1, 5, "cancelled");
	expect("monitor 1 5");
	await_jot("runs");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	expect_jotted("runs cleanup released ");
	say_data(1, "short:a");
	expect_jotted("runs cleanup released 42 ");
	leave_host();
}
END_TEST

/* What comes while a cancelled thread is on its way out is run by the next. */
START_TEST(jobs_go_on_where_threads_are_cancelled)
{
	uint64_t i;

	meet_boss("--jobs 1");
	for (i = 1; i <= 20; i++) {
		say_call(1, i, "cancelled");
		expect("monitor %" PRIu64 " %" PRIu64, i, i);
		while (times("runs") < i)
			expect_silence();
		say_one(WIRE_CANCEL, i);
		say_data(1, "short:a");
		expect("demonitor %" PRIu64, i);
		while (times("42 ") < i)
			expect_silence();
	}
	leave_host();
}
END_TEST

START_TEST(a_job_that_talks_is_cancelled)
{
	meet_boss(NULL);
	say_data(1, "chatty:a");
	await_jot("runs");
	expect_silence();
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	say_open(2, 8, "boss");
	expect("opened 2 262144");
	say_data(2, "short:a");
	await_jot("42");
	leave_host();
}
END_TEST

START_TEST(a_job_with_cancel_is_asked_until_it_returns)
{
	meet_boss(NULL);
	say_call(1, 5, "asked");
	expect("monitor 1 5");
	await_jot("runs");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	expect_jotted("runs ask ask released ");
	say_data(1, "short:a");
	await_jot("42 ");
	leave_host();
}
END_TEST

START_TEST(what_a_job_was_given_is_there_as_long_as_it_is_asked)
{
	meet_boss(NULL);
	say_call(1, 5, "slowly");
	expect("monitor 1 5");
	await_jot("runs");
	say_one(WIRE_CANCEL, 5);
	expect("demonitor 1");
	expect_silence();
	say_data(1, "short:a");
	await_jot("42 ");
	leave_host();
}
END_TEST

START_TEST(a_job_ends_with_the_process_that_called)
{
	meet_boss(NULL);
	say_call(1, 5, "cancelled");
	expect("monitor 1 5");
	await_jot("runs");
	say_one(WIRE_PROCESS_DOWN, 1);
	expect_jotted("runs cleanup released ");
	leave_host();
}
END_TEST

START_TEST(stop_comes_after_the_last_job)
{
	meet_boss(NULL);
	say_data(1, "cancelled:a");
	say_data(1, "asked:b");
	while (times("runs") < 2)
		expect_silence();
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	ck_assert_uint_eq(times("released "), 2);
	ck_assert_str_eq(strstr(jotted(), "stop "), "stop ");
	leave_host();
}
END_TEST

START_TEST(ordered_jobs_that_wait_end_with_their_outlet)
{
	meet_boss(NULL);
	say_data(1, "ordered:abc");
	await_jot("+a");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("closed 1 client_down");
	expect_jotted("+astop ");
	leave_host();
}
END_TEST

START_TEST(the_end_of_input_ends_jobs)
{
	meet_boss(NULL);
	say_call(1, 5, "cancelled");
	say_data(1, "asked:b");
	expect("monitor 1 5");
	while (times("runs") < 2)
		expect_silence();
	leave_host();
	ck_assert_uint_eq(times("released "), 2);
}
END_TEST

START_TEST(the_end_of_input_while_jobs_wait)
{
	meet_boss("--jobs 1");
	say_data(1, "cancelled:a");
	say_data(1, "gate:bcd");
	await_jot("runs");
	hang_up();
	expect_status(0);
	expect_jotted("runs cleanup released stop ");
}
END_TEST

/* What it leaves is told, and it does not wait for ever. */
START_TEST(the_end_of_input_does_not_wait_for_a_job_that_does_not_end)
{
	meet_boss(NULL);
	say_data(1, "stubborn:a");
	await_jot("+a");
	hang_up();
	expect_status(HOST_CHANGED);
	expect_said("does not end, with 1 jobs");
	ck_assert_ptr_null(strstr(jotted(), "stop"));
}
END_TEST

START_TEST(an_outlet_waits_for_a_job_that_does_not_end)
{
	meet_boss(NULL);
	say_call(1, 5, "stubborn");
	expect("monitor 1 5");
	await_jot("+");
	say_one(WIRE_CLIENT_DOWN, 7);
	expect("demonitor 1");
	expect("reply 5 error closed");
	expect_silence();
	say_call(1, 6, "short");
	expect("reply 6 error closed");
	open_gate(1);
	expect("closed 1 client_down");
	leave_host();
	ck_assert_str_eq(strstr(jotted(), "stop "), "stop ");
}
END_TEST

/* ---- the program ---- */

static void fill(Suite *suite)
{
	TCase *tcase = speaker_case(suite, "running");

	tcase_add_test(tcase, a_job_runs_below_its_call);
	tcase_add_test(tcase, a_job_runs_below_its_outlet);
	tcase_add_test(tcase, what_a_job_replies_is_sent_when_it_is_over);
	tcase_add_test(tcase, what_a_job_holds_is_there_for_its_result);
	tcase_add_test(tcase, more_jobs_than_threads_wait);
	tcase_add_test(tcase, slow_ends_do_not_hold_up_jobs);
	tcase_add_test(tcase, ordered_jobs_run_one_by_one);
	tcase_add_test(tcase, ordered_jobs_do_not_hold_up_others);
	tcase_add_test(tcase, what_is_no_job_is_refused);
	tcase_add_test(tcase, a_job_logs_with_its_task_and_outlet);
	tcase_add_test(tcase, a_job_may_end_its_thread);
#ifndef __SANITIZE_THREAD__ /* the loop goes on as the program exits */
	tcase_add_test(tcase, reclaim_exit_in_a_job_ends_the_program);
#endif

	tcase = speaker_case(suite, "cancelling");
	tcase_add_test(tcase, a_job_that_waits_never_begins);
	tcase_add_test(tcase, an_ordered_job_that_waits_never_begins);
	tcase_add_test(tcase, a_job_without_cancel_is_stopped_where_it_waits);
	tcase_add_test(tcase, jobs_go_on_where_threads_are_cancelled);
	tcase_add_test(tcase, a_job_that_talks_is_cancelled);
	tcase_add_test(tcase, a_job_with_cancel_is_asked_until_it_returns);
	tcase_add_test(tcase,
		       what_a_job_was_given_is_there_as_long_as_it_is_asked);
	tcase_add_test(tcase, a_job_ends_with_the_process_that_called);
	tcase_add_test(tcase, stop_comes_after_the_last_job);
	tcase_add_test(tcase, ordered_jobs_that_wait_end_with_their_outlet);
	tcase_add_test(tcase, the_end_of_input_ends_jobs);
	tcase_add_test(tcase, the_end_of_input_while_jobs_wait);
	tcase_add_test(tcase, an_outlet_waits_for_a_job_that_does_not_end);
	tcase_add_test(
		tcase,
		the_end_of_input_does_not_wait_for_a_job_that_does_not_end);
}

int main(void)
{
	return stage_run("job", fill);
}
