/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz/host.c has found in a host: each as the shortest conversation that
 * showed it.
 */
#include "config.h"

#include "tests/speaker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "reclaim.h"

static void answer_ok(uint64_t call)
{
	struct reclaim_writer term;

	reclaim_writer_init(&term, NULL, 0);
	reclaim_put_atom(&term, "ok");
	must(reclaim_call_reply(call, &term) == 0);
	reclaim_writer_end(&term);
}

/* ---- descriptors that are polled and closed ---- */

/* In the call's task, with which it goes before it was polled once. */
static void poll_a_call_s(struct reclaim_outlet *outlet, uint64_t call,
			  struct reclaim_reader *request)
{
	int fd = save_eventfd(1, EFD_CLOEXEC);

	(void)request;
	must(fd >= 0);
	must(reclaim_outlet_select(outlet, fd, RECLAIM_READ) == 0);
	answer_ok(call);
}

static void never_ready(struct reclaim_outlet *outlet, int fd)
{
	(void)outlet;
	jot("%d is ready ", fd);
}

static const struct reclaim_driver forgetful = {
	RECLAIM_DRIVER_ABI,
	.name = "forgetful",
	.call = poll_a_call_s,
	.ready_input = never_ready,
};

START_TEST(what_is_polled_may_go_with_its_task)
{
	meet_host(RECLAIM_DRIVERS(&forgetful), NULL);
	say_open(1, 1, "forgetful");
	expect("opened 1 262144");
	say_open(2, 2, "forgetful");
	expect("opened 2 262144");
	/* The same number again, for the same outlet and for another. */
	say_call(1, 1, "go");
	expect("reply 1 ok ok");
	say_call(1, 2, "go");
	expect("reply 2 ok ok");
	say_call(2, 3, "go");
	expect("reply 3 ok ok");
	expect_jotted("");
	leave_host();
}
END_TEST

/* Its number is that of a file then, which cannot be polled. */
static void poll_in_place(struct reclaim_outlet *outlet, const void *data,
			  size_t len)
{
	int fd = save_eventfd(1, EFD_CLOEXEC), file;

	(void)data;
	(void)len;
	must(fd >= 0);
	must(reclaim_outlet_select(outlet, fd, RECLAIM_READ) == 0);
	must(save_close(fd) == 0);
	file = save_open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	must(file == fd);
	must(reclaim_outlet_select(outlet, file, RECLAIM_READ) < 0);
	jot("%s ", reclaim_errno_name(errno));
	must(save_close(file) == 0);
	must(reclaim_outlet_select(outlet, file, RECLAIM_READ) < 0);
	jot("%s ", reclaim_errno_name(errno));
}

static const struct reclaim_driver careless = {
	RECLAIM_DRIVER_ABI,
	.name = "careless",
	.output = poll_in_place,
	.ready_input = never_ready,
};

START_TEST(what_is_polled_may_be_closed)
{
	meet_host(RECLAIM_DRIVERS(&careless), NULL);
	say_open(1, 1, "careless");
	expect("opened 1 262144");
	say_data(1, "go");
	expect_jotted("eperm ebadf ");
	say_one(WIRE_CLOSE, 1);
	expect("closed 1 normal");
	leave_host();
}
END_TEST

/* ---- numbers, and what cannot be answered ---- */

static void keep(struct reclaim_outlet *outlet, uint64_t call,
		 struct reclaim_reader *request)
{
	(void)outlet;
	(void)request;
	must(reclaim_call_keep(call) == 0);
}

static const struct reclaim_driver keeper = {
	RECLAIM_DRIVER_ABI,
	.name = "keeper",
	.call = keep,
};

START_TEST(statistics_have_a_number_of_their_own)
{
	meet_host(RECLAIM_DRIVERS(&keeper), NULL);
	say_open(1, 1, "keeper");
	expect("opened 1 262144");
	say_call(1, 7, "go");
	expect("monitor 1 7");
	say(WIRE_STATISTICS, 7, WIRE_OF_HOST, 0, NULL, 0);
	expect("error 5 18 7");
	say(WIRE_STATISTICS, 0, WIRE_OF_HOST, 0, NULL, 0);
	expect("error 5 18 0");
	leave_host();
}
END_TEST

START_TEST(who_takes_no_answer_is_not_served)
{
	start_host(RECLAIM_DRIVERS(&keeper), NULL);
	say_hello(WIRE_VERSION, WIRE_LEAST_FRAME - 1);
	expect("error 4 1 0");
	expect_no_more();
	expect_status(1);
	expect_said("1,024");
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = speaker_case(suite, "polled");

	tcase_add_test(tcase, what_is_polled_may_go_with_its_task);
	tcase_add_test(tcase, what_is_polled_may_be_closed);

	tcase = speaker_case(suite, "refused");
	tcase_add_test(tcase, statistics_have_a_number_of_their_own);
	tcase_add_test(tcase, who_takes_no_answer_is_not_served);
}

int main(void)
{
	return stage_run("host_input", fill);
}
