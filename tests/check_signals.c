/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals between tasks: in which order they come, as Erlang documents it for
 * its processes; what may become of each that meets its receiver's end; and
 * that nothing is left of many lives of tasks that send all of them.
 *
 * RECLAIM_TEST_SEED repeats the choices of a run, if not its timing.
 */
#include "config.h"

#include "tests/talk.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static reclaim_tid a, b, c;
static uint64_t ref;

static void send_from(reclaim_tid from, reclaim_tid to, const char *text)
{
	work_for(from);
	ck_works(reclaim_send(to, text, strlen(text) + 1));
	work_no_longer();
}

static void send_number(reclaim_tid to, uint32_t number)
{
	must(reclaim_send(to, &number, sizeof(number)) == 0);
}

static uint32_t number_of(const struct reclaim_msg *got)
{
	uint32_t number;

	must(got->len == sizeof(number));
	memcpy(&number, got->data, sizeof(number));
	return number;
}

static void three_tasks(void)
{
	a = task_called("a");
	b = task_called("b");
	c = task_called("c");
}

static void end_all_three(void)
{
	reclaim_end(a, 0);
	reclaim_end(b, 0);
	reclaim_end(c, 0);
}

/* ---- between two ---- */

START_TEST(messages_come_in_the_order_sent)
{
	uint32_t i, count = times(100000, 5000);

	for (i = 0; i < count; i++)
		send_number(root, i);
	for (i = 0; i < count; i++) {
		receive_next();
		ck_assert_uint_eq(number_of(&msg), i);
	}
}
END_TEST

/* With bytes in one message, in another a binary, in a third neither. */
START_TEST(so_do_messages_of_all_kinds)
{
	uint32_t i;
	struct reclaim_bin *bin;

	for (i = 0; i < 300; i += 3) {
		send_number(root, i);
		bin = reclaim_bin_new(&i, sizeof(i));
		ck_works(reclaim_send_bin(root, bin));
		ck_works(reclaim_bin_release(bin));
		ref = monitor(0);
	}
	for (i = 0; i < 300; i += 3) {
		receive_next();
		ck_assert_int_eq(msg.type, RECLAIM_MSG_DATA);
		ck_assert_uint_eq(number_of(&msg), i);
		receive_next();
		ck_assert_int_eq(msg.type, RECLAIM_MSG_BIN);
		ck_assert_uint_eq(number_of(&msg), i);
		receive_next();
		ck_assert_int_eq(msg.type, RECLAIM_MSG_DOWN);
	}
	ck_assert_uint_eq(msg.ref, ref);
}
END_TEST

START_TEST(a_message_comes_before_the_exit)
{
	let_trap(b);
	link_from(a, b);
	send_from(a, b, "last");
	ck_works(reclaim_end(a, 5));
	work_for(b);
	expect_text("last");
	expect_exit(a, 5);
	expect_nothing();
	work_no_longer();
}
END_TEST

START_TEST(a_message_comes_before_the_down)
{
	ref = monitor(a);
	send_from(a, root, "last");
	ck_works(reclaim_end(a, 5));
	expect_text("last");
	expect_down(ref, a, 5);
}
END_TEST

static void send_last(void *arg)
{
	must(reclaim_send(root, arg, 5) == 0);
}

START_TEST(a_message_of_the_last_action_does_too)
{
	ref = monitor(a);
	ck_works(reclaim_link(a));
	work_for(a);
	ck_works(reclaim_defer(send_last, (void *)"last", NULL));
	work_no_longer();
	ck_works(reclaim_kill(a));
	expect_text("last");
	receive_next();
	ck_assert_int_ne(msg.type, RECLAIM_MSG_DATA);
	receive_next();
	ck_assert_int_ne(msg.type, RECLAIM_MSG_DATA);
	expect_nothing();
}
END_TEST

static int send_many(int argc, char **argv, char **envp)
{
	uint32_t i;

	(void)argc;
	(void)argv;
	(void)envp;
	for (i = 0; i < 1000; i++)
		send_number(root, i);
	return 5;
}

/* And each of many, from a thread that ends as soon as it has sent them. */
START_TEST(a_thousand_messages_come_before_the_down)
{
	uint32_t i;
	int round;

	for (round = 0; round < 20; round++) {
		reclaim_tid tid = spawned(send_many);

		ref = reclaim_monitor(tid);
		for (i = 0; i < 1000; i++) {
			receive_next();
			if (msg.type == RECLAIM_MSG_DOWN) {
				/* It had ended before it was monitored. */
				ck_assert_int_eq(msg.status, RECLAIM_NOPROC);
				ck_assert_uint_eq(msg.ref, ref);
				ref = 0;
				receive_next();
			}
			ck_assert_uint_eq(number_of(&msg), i);
			ck_assert_uint_eq(msg.from, tid);
		}
		if (ref) {
			receive_next();
			ck_assert_int_eq(msg.type, RECLAIM_MSG_DOWN);
			ck_assert_uint_eq(msg.ref, ref);
		}
		expect_nothing();
	}
}
END_TEST

START_TEST(a_link_counts_at_once)
{
	link_from(a, b);
	ck_works(reclaim_end(a, 5));
	ck_assert(!exists(b));
}
END_TEST

START_TEST(nothing_comes_after_unlink)
{
	let_trap(b);
	link_from(a, b);
	work_for(_i ? a : b);
	ck_works(reclaim_unlink(_i ? b : a));
	work_no_longer();
	ck_works(reclaim_end(a, 5));
	work_for(b);
	expect_nothing();
	work_no_longer();
}
END_TEST

START_TEST(what_came_before_unlink_stays)
{
	let_trap(b);
	link_from(a, b);
	ck_works(reclaim_end(a, 5));
	work_for(b);
	ck_works(reclaim_unlink(a));
	expect_exit(a, 5);
	work_no_longer();
}
END_TEST

START_TEST(one_link_gives_one_exit)
{
	let_trap(b);
	link_from(a, b);
	link_from(b, a);
	work_for(b);
	ck_works(reclaim_unlink(a));
	ck_works(reclaim_link(a));
	ck_works(reclaim_link(a));
	work_no_longer();
	ck_works(reclaim_end(a, 5));
	work_for(b);
	expect_exit(a, 5);
	expect_nothing();
	work_no_longer();
}
END_TEST

START_TEST(nothing_comes_after_demonitor)
{
	ref = monitor(a);
	ck_works(reclaim_demonitor(ref, _i));
	ck_works(reclaim_end(a, 5));
	expect_nothing();
}
END_TEST

START_TEST(nothing_is_left_after_a_flush)
{
	ref = monitor(a);
	send_from(a, root, "last");
	ck_works(reclaim_end(a, 5));
	ck_works(reclaim_demonitor(ref, 1));
	expect_text("last");
	expect_nothing();
}
END_TEST

START_TEST(two_monitors_give_two_downs)
{
	uint64_t second;

	ref = monitor(a);
	second = monitor(a);
	ck_works(reclaim_end(a, 5));
	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_DOWN);
	ck_assert(msg.ref == ref || msg.ref == second);
	expect_down(ref + second - msg.ref, a, 5);
	expect_nothing();
}
END_TEST

START_TEST(a_link_and_a_monitor_give_both)
{
	let_trap(b);
	link_from(b, a);
	work_for(b);
	ref = monitor(a);
	work_no_longer();
	send_from(a, b, "last");
	ck_works(reclaim_end(a, 5));
	work_for(b);
	expect_text("last");
	receive_next();
	if (msg.type == RECLAIM_MSG_DOWN) {
		expect_exit(a, 5);
	} else {
		ck_assert_int_eq(msg.type, RECLAIM_MSG_EXIT);
		expect_down(ref, a, 5);
	}
	expect_nothing();
	work_no_longer();
}
END_TEST

START_TEST(an_exit_overtakes_what_is_unread)
{
	int i;

	link_from(a, b);
	for (i = 0; i < 1000; i++)
		send_from(a, b, "unread");
	ref = monitor(b);
	ck_works(reclaim_end(a, 5));
	expect_down(ref, b, 5);
}
END_TEST

START_TEST(a_message_comes_before_an_exit_through_others)
{
	let_trap(c);
	link_from(a, b);
	link_from(b, c);
	send_from(a, c, "first");
	send_from(b, c, "second");
	ck_works(reclaim_end(a, 5));
	work_for(c);
	expect_text("first");
	expect_text("second");
	expect_exit(b, 5);
	expect_nothing();
	work_no_longer();
}
END_TEST

START_TEST(after_the_down_nothing_arrives)
{
	ref = monitor(a);
	ck_works(reclaim_end(a, 5));
	expect_down(ref, a, 5);
	ck_fails(reclaim_send(a, "", 1), -1, ESRCH);
	ck_fails(reclaim_timer_add(0, a, "", 1, 1), 0, ESRCH);
	ck_fails(reclaim_link(a), -1, ESRCH);
	ck_fails(reclaim_register("a", a), -1, ESRCH);
}
END_TEST

START_TEST(a_child_is_heard_of_before_its_parent)
{
	reclaim_tid child = below(a), second = below(a);
	uint64_t of_child, of_second;

	ref = monitor(a);
	of_child = monitor(child);
	of_second = monitor(second);
	ck_works(reclaim_end(a, 5));
	expect_down(of_second, second, RECLAIM_KILLED);
	expect_down(of_child, child, RECLAIM_KILLED);
	expect_down(ref, a, 5);
}
END_TEST

START_TEST(a_name_leads_to_whose_it_is)
{
	ck_works(reclaim_register("server", a));
	send_from(c, reclaim_whereis("server"), "to a");
	work_for(a);
	expect_text("to a");
	work_no_longer();
	ck_works(reclaim_end(a, 5));
	ck_fails(reclaim_send(reclaim_whereis("server"), "", 1), -1, ESRCH);
	ck_works(reclaim_register("server", b));
	send_from(c, reclaim_whereis("server"), "to b");
	work_for(b);
	expect_text("to b");
	expect_nothing();
	work_no_longer();
}
END_TEST

/* ---- from many ---- */

#define SENDERS		   4
#define FROM_EACH	   20000
#define NUMBERS_OF(sender) ((uint32_t)(sender) << 24)

static uint32_t from_each;

static void *send_numbers(void *arg)
{
	uint32_t i;

	for (i = 0; i < from_each; i++)
		send_number(root, NUMBERS_OF((uintptr_t)arg) | i);
	return arg;
}

START_TEST(from_many_each_order_is_kept)
{
	uint32_t next[SENDERS] = {0}, n, number;
	pthread_t threads[SENDERS];
	uintptr_t t;

	from_each = times(FROM_EACH, 1000);
	for (t = 0; t < SENDERS; t++)
		ck_works(pthread_create(&threads[t], NULL, send_numbers,
					(void *)t));
	for (n = 0; n < SENDERS * from_each; n++) {
		if (reclaim_receive(&msg, LONG_MS) != 1)
			ck_abort_msg("a message was lost: %m");
		number = number_of(&msg);
		must(number >> 24 < SENDERS);
		must((number & 0xffffff) == next[number >> 24]++);
	}
	for (t = 0; t < SENDERS; t++)
		ck_works(pthread_join(threads[t], NULL));
	expect_nothing();
}
END_TEST

static reclaim_tid bounded;

static void *send_to_bounded(void *arg)
{
	struct reclaim_task_info info;
	uint32_t i;

	for (i = 0; i < from_each; i++) {
		must(reclaim_send(bounded, &i, sizeof(i)) == 0);
		must(reclaim_task_info(bounded, &info) == 0);
		must(info.messages <= SENDERS * from_each);
		let_others();
	}
	return arg;
}

/* However little of what is sent is there at a time. */
START_TEST(what_is_not_full_is_not_called_so)
{
	struct reclaim_task_opts opts = {.max_messages = SENDERS * FROM_EACH};
	pthread_t threads[SENDERS];
	uint32_t n;
	int round, t;

	from_each = times(FROM_EACH, 1000);
	for (round = 0; round < 5; round++) {
		bounded = reclaim_task_new(&opts);
		for (t = 0; t < SENDERS; t++)
			ck_works(pthread_create(&threads[t], NULL,
						send_to_bounded, NULL));
		work_for(bounded);
		for (n = 0; n < SENDERS * from_each; n++)
			must(reclaim_receive(&msg, LONG_MS) == 1);
		work_no_longer();
		for (t = 0; t < SENDERS; t++)
			ck_works(pthread_join(threads[t], NULL));
		end_task(bounded);
	}
}
END_TEST

/* ---- what meets the receiver's end ---- */

static struct {
	reclaim_tid victim, actor; /* the caller is in `actor` */
	struct reclaim_bin *bin;
	uint64_t ref;
	unsigned round;
	bool works; /* what race.act did */
	int error;
} met;

static uint64_t race_state;

static int receive_for_ever(int argc, char **argv, char **envp)
{
	struct reclaim_msg any;

	(void)argc;
	(void)argv;
	(void)envp;
	while (reclaim_receive(&any, -1) == 1)
		if (any.bin)
			reclaim_bin_retain(any.bin);
	return 99;
}

static void note_result(bool works)
{
	met.works = works;
	met.error = works ? 0 : errno;
}

static void expect_result(int error)
{
	ck_assert_msg(met.works || met.error == error, "errno is %d",
		      met.error);
}

static void send_it(void)
{
	note_result(reclaim_send(met.victim, "race", 5) == 0);
}

static void make_bin(void)
{
	met.bin = reclaim_bin_new("race", 5);
}

static void send_bin_twice(void)
{
	reclaim_send_bin(met.victim, met.bin);
	note_result(reclaim_send_bin(met.victim, met.bin) == 0);
	must(memcmp(reclaim_bin_data(met.bin), "race", 5) == 0);
}

static void ends_or_esrch(void)
{
	expect_result(ESRCH);
	expect_nothing();
}

static void link_it(void)
{
	note_result(reclaim_link(met.victim) == 0);
}

/* It is not left before it was looked at. */
static void linked_ends(void)
{
	struct reclaim_task_info info;

	expect_result(ESRCH);
	ck_works(reclaim_task_info(met.actor, &info));
	ck_assert_int_eq(info.state, met.works ? RECLAIM_ENDING : RECLAIM_LIVE);
	if (met.works)
		ck_assert_int_eq(info.status, 5);
	ck_assert_int_eq(reclaim_links(met.actor, NULL, 0), 0);
}

static void trap(void)
{
	reclaim_trap_exit(1);
}

static void exit_came(void)
{
	ck_assert(met.works);
	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_EXIT);
	ck_assert_uint_eq(msg.from, met.victim);
	ck_assert(msg.status == 5 || msg.status == RECLAIM_NOPROC);
	expect_nothing();
}

static void trap_and_link(void)
{
	reclaim_trap_exit(1);
	link_it();
}

static bool came_by_then;

static void unlink_it(void)
{
	note_result(reclaim_unlink(met.victim) == 0);
	came_by_then = reclaim_msgq_len();
}

static void no_exit_came_later(void)
{
	ck_assert(met.works);
	ck_assert_uint_eq(reclaim_msgq_len(), came_by_then);
	if (came_by_then)
		expect_exit(met.victim, 5);
	expect_nothing();
}

static void monitor_it(void)
{
	met.ref = reclaim_monitor(met.victim);
	note_result(met.ref);
}

static void down_came(void)
{
	ck_assert(met.works);
	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_DOWN);
	ck_assert_uint_eq(msg.ref, met.ref);
	ck_assert_uint_eq(msg.from, met.victim);
	ck_assert(msg.status == 5 || msg.status == RECLAIM_NOPROC);
	expect_nothing();
}

static void demonitor_it(void)
{
	note_result(reclaim_demonitor(met.ref, 0) == 0);
}

static void down_came_unless_demonitored(void)
{
	expect_result(ENOENT);
	if (!met.works)
		expect_down(met.ref, met.victim, 5);
	expect_nothing();
}

static void demonitor_and_flush(void)
{
	note_result(reclaim_demonitor(met.ref, 1) == 0);
}

static void nothing_came(void)
{
	ck_assert(met.works);
	expect_nothing();
}

static void register_it(void)
{
	note_result(reclaim_register("victim", met.victim) == 0);
}

static void name_is_free(void)
{
	expect_result(ESRCH);
	ck_fails(reclaim_whereis("victim"), 0, ENOENT);
}

static void unregister_it(void)
{
	reclaim_tid found = reclaim_whereis("victim");

	must(!found || found == met.victim);
	note_result(reclaim_unregister("victim") == 0);
}

static void name_is_free_again(void)
{
	expect_result(ENOENT);
	ck_fails(reclaim_whereis("victim"), 0, ENOENT);
}

static void set_timers(void)
{
	uint64_t i;

	for (i = 0; i < 4; i++)
		must(reclaim_timer_add(i * 10000, met.victim, "", 1, i % 2));
}

static void add_timer(void)
{
	met.ref = reclaim_timer_add(met.round % 4 * 10000, met.victim, "", 1,
				    met.round % 2);
	note_result(met.ref);
}

static void no_timer_is_left(void)
{
	expect_result(ESRCH);
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
	if (met.works && met.ref)
		ck_fails(reclaim_timer_cancel(met.ref, NULL), -1, ENOENT);
}

static void cancel_them(void)
{
	note_result(reclaim_timer_cancel_by_receiver(met.victim) >= 0);
}

static void list_them(void)
{
	reclaim_tid list[2];
	int n = reclaim_monitored_by(met.victim, list, 2);

	must(n < 0 ? errno == ESRCH : n == 0 || list[0] == met.actor);
	note_result(true);
}

/*
 * before() and act() are in the actor, the victim ends during act(), after()
 * is in the actor again.
 */
static const struct race {
	void (*before)(void);
	void (*act)(void);
	void (*after)(void);
} races[] = {
	{NULL, send_it, ends_or_esrch},
	{make_bin, send_bin_twice, ends_or_esrch},
	{NULL, link_it, linked_ends},
	{trap, link_it, exit_came},
	{trap_and_link, unlink_it, no_exit_came_later},
	{NULL, monitor_it, down_came},
	{monitor_it, demonitor_it, down_came_unless_demonitored},
	{monitor_it, demonitor_and_flush, nothing_came},
	{NULL, register_it, name_is_free},
	{register_it, unregister_it, name_is_free_again},
	{set_timers, cancel_them, no_timer_is_left},
	{set_timers, send_it, no_timer_is_left},
	{NULL, add_timer, no_timer_is_left},
	{monitor_it, list_them, down_came},
};

#define RACES ((int)(sizeof(races) / sizeof(races[0])))

static pthread_barrier_t barrier;
static unsigned race_rounds;

static void dawdle(uint64_t *state)
{
	volatile unsigned n;

	for (n = (unsigned)(fixture_random(state) % 3000); n; n--)
		;
}

static void *end_victims(void *arg)
{
	uint64_t state = race_state + 1;
	unsigned i;

	for (i = 0; i < race_rounds; i++) {
		pthread_barrier_wait(&barrier);
		dawdle(&state);
		must(reclaim_end(met.victim, 5) == 0);
		pthread_barrier_wait(&barrier);
	}
	return arg;
}

static void begin_round(void)
{
	int i;

	/* Each eighth has a thread, each other some memory. */
	met.victim = met.round % 8 == 0 ? spawned(receive_for_ever)
					: task_called("victim");
	if (met.round % 8 && met.round % 2) {
		work_for(met.victim);
		for (i = 0; i < 8; i++)
			ck_assert_ptr_nonnull(save_malloc(100000));
		work_no_longer();
	}
	met.actor = task_called("actor");
	met.ref = 0;
	work_for(met.actor);
}

static void run_round(const struct race *race)
{
	begin_round();
	if (race->before)
		race->before();
	pthread_barrier_wait(&barrier);
	dawdle(&race_state);
	race->act();
	pthread_barrier_wait(&barrier);
	race->after();
	work_no_longer();
	reclaim_end(met.actor, 0);
	ck_assert(!exists(met.victim));
	expect_nothing();
}

START_TEST(what_meets_an_end_has_one_of_its_outcomes)
{
	pthread_t ender;

	race_rounds = times(2000, 60);
	race_state = fixture_seed();
	pthread_barrier_init(&barrier, NULL, 2);
	ck_works(pthread_create(&ender, NULL, end_victims, NULL));
	for (met.round = 0; met.round < race_rounds; met.round++)
		run_round(&races[_i]);
	ck_works(pthread_join(ender, NULL));
	pthread_barrier_destroy(&barrier);
}
END_TEST

START_TEST(who_retains_may_end_at_any_time)
{
	unsigned i, n, rounds = times(500, 30);
	struct reclaim_bin *bin;
	reclaim_tid tid;

	for (i = 0; i < rounds; i++) {
		tid = spawned(receive_for_ever);
		bin = reclaim_bin_new(NULL, 1000);
		for (n = 0; n < 20; n++) {
			ck_works(reclaim_send_bin(tid, bin));
			if (n == 10 + i % 10)
				ck_works(reclaim_kill(tid));
			if (n >= 10 + i % 10)
				break;
		}
		ck_works(reclaim_bin_release(bin));
		status_at_end(tid);
	}
}
END_TEST

/* ---- random lives ---- */

#define LIVES	100000
#define WORKERS 4
#define KNOWN	32
#define NAMES	8

static reclaim_tid arena;
static _Atomic reclaim_tid known[KNOWN];
static _Atomic uint64_t known_refs[KNOWN];
static unsigned lives_of_each;
static atomic_uint came[RECLAIM_MSG_TIMEOUT + 1];

static unsigned roll(uint64_t *state, unsigned sides)
{
	return (unsigned)(fixture_random(state) % sides);
}

static reclaim_tid any(uint64_t *state)
{
	return known[roll(state, KNOWN)];
}

static const char *any_name(uint64_t *state)
{
	static const char *const names[NAMES] = {"n0", "n1", "n2", "n3",
						 "n4", "n5", "n6", "n7"};

	return names[roll(state, NAMES)];
}

static void allow(bool works, int error, int other)
{
	must(works || errno == error || errno == other);
}

static void talk(uint64_t *state)
{
	static const char bytes[5000];
	struct reclaim_bin *bin;

	switch (roll(state, 4)) {
	case 0:
		bin = reclaim_bin_new(NULL, roll(state, 3000));
		must(bin);
		allow(reclaim_send_bin(any(state), bin) == 0, ESRCH, 0);
		if (roll(state, 2))
			must(reclaim_bin_release(bin) == 0);
		break;
	case 1:
		known_refs[roll(state, KNOWN)] = reclaim_timer_add(
			roll(state, 300000), any(state), bytes,
			roll(state, 200), (int)roll(state, 2));
		break;
	default:
		allow(reclaim_send(any(state), bytes, roll(state, 5000)) == 0,
		      ESRCH, 0);
	}
}

static void bond(uint64_t *state)
{
	switch (roll(state, 6)) {
	case 0:
		allow(reclaim_link(any(state)) == 0, ESRCH, 0);
		break;
	case 1:
		must(reclaim_unlink(any(state)) == 0);
		break;
	case 2:
		reclaim_trap_exit((int)roll(state, 2));
		break;
	case 3:
		allow(reclaim_demonitor(known_refs[roll(state, KNOWN)],
					(int)roll(state, 2)) == 0,
		      ENOENT, EPERM);
		break;
	default:
		known_refs[roll(state, KNOWN)] = reclaim_monitor(any(state));
	}
}

static void look(uint64_t *state)
{
	reclaim_tid list[4];
	struct reclaim_msg got;

	switch (roll(state, 8)) {
	case 0:
		allow(reclaim_register(any_name(state), any(state)) == 0, ESRCH,
		      EEXIST);
		break;
	case 1:
		allow(reclaim_unregister(any_name(state)) == 0, ENOENT, 0);
		break;
	case 2:
		allow(reclaim_send(reclaim_whereis(any_name(state)), "", 1) ==
			      0,
		      ESRCH, 0);
		break;
	case 3:
		allow(reclaim_timer_cancel(known_refs[roll(state, KNOWN)],
					   NULL) == 0,
		      ENOENT, 0);
		break;
	case 4:
		allow(reclaim_links(any(state), list, 4) >= 0, ESRCH, 0);
		allow(reclaim_monitored_by(any(state), list, 4) >= 0, ESRCH, 0);
		break;
	default:
		while (reclaim_receive(&got, 0) == 1) {
			atomic_fetch_add(&came[got.type], 1);
			if (got.bin && roll(state, 2))
				must(reclaim_bin_retain(got.bin));
		}
	}
}

static void live_a_little(uint64_t *state)
{
	unsigned steps;

	for (steps = roll(state, 10); steps; steps--) {
		switch (roll(state, 4)) {
		case 0:
			talk(state);
			break;
		case 1:
			look(state);
			break;
		default:
			bond(state);
		}
	}
}

static int live(int argc, char **argv, char **envp)
{
	uint64_t state = strtoull(argv[0], NULL, 0);
	struct reclaim_msg got;

	(void)argc;
	(void)envp;
	live_a_little(&state);
	/* The thread sanitizer knows no thread again that was cancelled. */
#ifdef __SANITIZE_THREAD__
	reclaim_receive(&got, 0);
#else
	if (roll(&state, 3) == 0)
		reclaim_receive(&got, -1);
#endif
	if (roll(&state, 3) == 0)
		reclaim_exit((int)roll(&state, 3));
	return (int)roll(&state, 2);
}

static reclaim_tid begin_life(uint64_t *state)
{
	struct reclaim_task_opts opts = {
		.parent = roll(state, 3) ? arena : any(state),
		.flags = roll(state, 2) ? RECLAIM_DETACHED : 0,
		.max_messages = roll(state, 4) ? 0 : 10000,
	};
	char text[24], *argv[] = {text, NULL};
	reclaim_tid tid;

	if (!opts.parent)
		opts.parent = arena;
	snprintf(text, sizeof(text), "%" PRIu64, fixture_random(state));
	if (roll(state, 16) == 0)
		tid = reclaim_spawn(&opts, live, argv);
	else
		tid = reclaim_task_new(&opts);
	allow(tid, ESRCH, EAGAIN);
	return tid;
}

static void *live_many(void *arg)
{
	uint64_t state = fixture_seed() ^ (uintptr_t)arg << 32;
	reclaim_tid tid, before;
	unsigned i;

	for (i = 0; i < lives_of_each; i++) {
		tid = begin_life(&state);
		before = atomic_exchange(&known[roll(&state, KNOWN)], tid);
		if (reclaim_enter(tid) == 0) {
			live_a_little(&state);
			if (roll(&state, 50) == 0)
				reclaim_kill(any(&state));
			must(reclaim_leave() == 0);
		}
		if (roll(&state, 4))
			allow(reclaim_kill(before) == 0, ESRCH, 0);
		else
			allow(reclaim_end(before, (int)roll(&state, 3)) == 0,
			      ESRCH, EALREADY);
	}
	return arg;
}

static void forget_known(void)
{
	int i;

	for (i = 0; i < KNOWN; i++)
		known[i] = known_refs[i] = 0;
	memset((void *)came, 0, sizeof(came));
}

START_TEST(nothing_is_left_of_many_lives)
{
	pthread_t threads[WORKERS];
	uint64_t state = 1;
	uintptr_t t;
	int i;

	forget_known();
	lives_of_each = times(LIVES, 2000) / WORKERS;
	arena = task_called("arena");
	for (t = 0; t < WORKERS; t++)
		ck_works(pthread_create(&threads[t], NULL, live_many,
					(void *)t));
	for (t = 0; t < WORKERS; t++)
		ck_works(pthread_join(threads[t], NULL));
	ck_works(reclaim_end(arena, 0));
	ck_assert(!exists(arena));
	for (i = 0; i < 1000; i++)
		ck_fails(reclaim_whereis(any_name(&state)), 0, ENOENT);
	for (i = RECLAIM_MSG_DATA; i <= RECLAIM_MSG_TIMEOUT; i++)
		if (WORKERS * lives_of_each == LIVES)
			ck_assert_uint_gt(came[i], 0);
	expect_nothing();
}
END_TEST

static void fill_order(Suite *suite)
{
	TCase *tcase = talk_case(suite, "order");

	tcase_add_checked_fixture(tcase, three_tasks, end_all_three);
	tcase_add_test(tcase, messages_come_in_the_order_sent);
	tcase_add_test(tcase, so_do_messages_of_all_kinds);
	tcase_add_test(tcase, a_message_comes_before_the_exit);
	tcase_add_test(tcase, a_message_comes_before_the_down);
	tcase_add_test(tcase, a_message_of_the_last_action_does_too);
	tcase_add_test(tcase, a_thousand_messages_come_before_the_down);
	tcase_add_test(tcase, a_link_counts_at_once);
	tcase_add_loop_test(tcase, nothing_comes_after_unlink, 0, 2);
	tcase_add_test(tcase, what_came_before_unlink_stays);
	tcase_add_test(tcase, one_link_gives_one_exit);
	tcase_add_loop_test(tcase, nothing_comes_after_demonitor, 0, 2);
	tcase_add_test(tcase, nothing_is_left_after_a_flush);
	tcase_add_test(tcase, two_monitors_give_two_downs);
	tcase_add_test(tcase, a_link_and_a_monitor_give_both);
	tcase_add_test(tcase, an_exit_overtakes_what_is_unread);
	tcase_add_test(tcase, a_message_comes_before_an_exit_through_others);
	tcase_add_test(tcase, after_the_down_nothing_arrives);
	tcase_add_test(tcase, a_child_is_heard_of_before_its_parent);
	tcase_add_test(tcase, a_name_leads_to_whose_it_is);
	tcase_add_test(tcase, from_many_each_order_is_kept);
	tcase_add_test(tcase, what_is_not_full_is_not_called_so);
}

static void fill(Suite *suite)
{
	TCase *tcase;

	fill_order(suite);

	tcase = talk_case(suite, "races");
	tcase_add_loop_test(tcase, what_meets_an_end_has_one_of_its_outcomes, 0,
			    RACES);
	tcase_add_test(tcase, who_retains_may_end_at_any_time);

	tcase = talk_case(suite, "lives");
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, nothing_is_left_of_many_lives);
}

int main(void)
{
	return stage_run("signals", fill);
}
