/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tasks send each other: how it arrives, how long it lives, in which order
 * it is received, and what becomes of it when a task, a thread or a process
 * ends.
 *
 * Each test acts in a task of its own, whose queue is new.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim/message.h"
#include "reclaim/queue_private.h"
#include "reclaim/task_private.h"
#include "reclaim/timer.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* ---- where a test acts ---- */

static reclaim_tid self;
static struct reclaim_msg msg;

static void enter_task(void)
{
	self = task_called("receiver");
	work_for(self);
	memset(&msg, 0, sizeof(msg));
}

static void end_the_task(void)
{
	work_no_longer();
	end_task(self);
	ck_assert_msg(reports() == 0, "%s", last_report());
}

static reclaim_tid bounded(uint32_t most)
{
	struct reclaim_task_opts opts = {.max_messages = most};
	reclaim_tid tid = reclaim_task_new(&opts);

	ck_assert_uint_ne(tid, 0);
	return tid;
}

/* ---- numbers, as messages ---- */

static int send_number(reclaim_tid to, int number)
{
	return reclaim_send(to, &number, sizeof(number));
}

static void send_numbers(reclaim_tid to, int first, int last)
{
	for (; first <= last; first++)
		must(send_number(to, first) == 0);
}

static int number_in(const struct reclaim_msg *of)
{
	must(of->type == RECLAIM_MSG_DATA && of->len == sizeof(int));
	return *(const int *)of->data;
}

/* What receive() gives, or less than zero. */
static int received(int timeout_ms)
{
	int found = reclaim_receive(&msg, timeout_ms);

	return found == 1 ? number_in(&msg) : found - 1;
}

#define NOTHING (-1)

static void step(void)
{
	ck_assert_int_eq(reclaim_msgq_next(), 1);
}

static void expect_numbers(int first, int last)
{
	for (; first <= last; first++)
		ck_assert_int_eq(received(0), first);
	ck_assert_int_eq(received(0), NOTHING);
}

/* Matching; what it was asked is counted. */
static unsigned looks;

static int is_number(const struct reclaim_msg *of, void *wanted)
{
	looks++;
	return of->type == RECLAIM_MSG_DATA && number_in(of) == *(int *)wanted;
}

static int match_number(int number, int timeout_ms)
{
	return reclaim_receive_match(is_number, &number, &msg, timeout_ms);
}

static int match_none(const struct reclaim_msg *of, void *arg)
{
	(void)of;
	(void)arg;
	looks++;
	return 0;
}

/* ---- threads ---- */

static bool sleeps(reclaim_tid tid)
{
	struct queue *queue = queue_find(tid);

	return queue && atomic_load(&queue->sleeps);
}

static void until_it_sleeps(reclaim_tid tid)
{
	while (!sleeps(tid))
		sched_yield();
}

/* To the task as soon as it waits: each of them, then a zero. */
static int to_send[3];

static void *send_as_it_sleeps(void *arg)
{
	int i;

	for (i = 0; to_send[i]; i++) {
		until_it_sleeps(self);
		must(send_number(self, to_send[i]) == 0);
	}
	return arg;
}

static pthread_t begin_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	ck_works(pthread_create(&thread, NULL, run, arg));
	return thread;
}

static void join(pthread_t thread)
{
	ck_works(pthread_join(thread, NULL));
}

static pthread_t begin_sender(int first, int second)
{
	to_send[0] = first;
	to_send[1] = second;
	to_send[2] = 0;
	return begin_thread(send_as_it_sleeps, NULL);
}

/* ---- sending ---- */

START_TEST(a_message_says_what_it_is)
{
	struct reclaim_msg all;

	memset(&all, 0xff, sizeof(all));
	ck_works(reclaim_send(self, "words", 6));
	ck_assert_int_eq(reclaim_receive(&all, 0), 1);
	ck_assert_int_eq(all.type, RECLAIM_MSG_DATA);
	ck_assert_int_eq(all.status, 0);
	ck_assert_uint_eq(all.from, self);
	ck_assert_uint_eq(all.ref, 0);
	ck_assert_uint_eq(all.len, 6);
	ck_assert_str_eq(all.data, "words");
	ck_assert_ptr_null(all.bin);
}
END_TEST

START_TEST(it_is_from_the_task_that_sent_it)
{
	reclaim_tid other = task_called("sender");

	work_for(other);
	send_numbers(self, 1, 1);
	work_no_longer();
	end_task(other);
	ck_assert_int_eq(received(0), 1);
	ck_assert_uint_eq(msg.from, other);
}
END_TEST

/* Each as long as it is, with contents that tell it from others. */
static const size_t sizes[] = {
	0,	  1,
	15,	  16,
	17,	  100,
	127,	  128,
	1007,	  1008,
	1009,	  4000,
	8 * KIB,  16 * KIB - 64,
	16 * KIB, 16 * KIB + 1,
	64 * KIB, 100 * KIB,
	MIB - 1,  MIB,
	MIB + 1,  5 * MIB,
	32 * MIB, 32 * MIB + 1,
	40 * MIB,
};
#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

static unsigned char *painted(size_t size)
{
	unsigned char *bytes = malloc(size + 1);
	size_t i;

	ck_assert_ptr_nonnull(bytes);
	for (i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 251 + size);
	return bytes;
}

START_TEST(any_size_arrives_whole_and_aligned)
{
	size_t size = sizes[_i];
	unsigned char *bytes = painted(size);

	ck_works(reclaim_send(self, bytes, size));
	ck_works(reclaim_send(self, bytes, size));
	memset(bytes, 0, size);
	free(bytes);
	bytes = painted(size);
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	ck_assert_uint_eq(msg.len, size);
	ck_assert_ptr_nonnull(msg.data);
	ck_assert_uint_eq((uintptr_t)msg.data % 16, 0);
	ck_assert(memcmp(msg.data, bytes, size) == 0);
	free(bytes);
}
END_TEST

START_TEST(small_ones_do_not_touch_each_other)
{
	unsigned char bytes[300];
	int i;

	for (i = 0; i < 300; i++) {
		memset(bytes, i, sizeof(bytes));
		ck_works(reclaim_send(self, bytes, (size_t)i));
	}
	for (i = 0; i < 300; i++) {
		memset(bytes, i, sizeof(bytes));
		ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
		ck_assert_uint_eq(msg.len, (size_t)i);
		ck_assert_uint_eq((uintptr_t)msg.data % 16, 0);
		ck_assert(memcmp(msg.data, bytes, (size_t)i) == 0);
	}
}
END_TEST

START_TEST(an_empty_one_needs_no_data)
{
	ck_works(reclaim_send(self, NULL, 0));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	ck_assert_uint_eq(msg.len, 0);
	ck_assert_ptr_nonnull(msg.data);
	ck_fails(reclaim_send(self, NULL, 1), -1, EINVAL);
	ck_fails(reclaim_send_bin(self, NULL), -1, EINVAL);
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
}
END_TEST

static volatile size_t absurd[] = {
	(size_t)1 << 60,	 PTRDIFF_MAX / 2, PTRDIFF_MAX,
	(size_t)PTRDIFF_MAX + 1, SIZE_MAX - 63,	  SIZE_MAX,
};

/* Valgrind takes PTRDIFF_MAX and a bit for a mistake. */
START_TEST(there_is_no_memory_for_an_absurd_one)
{
	if (absurd[_i] == PTRDIFF_MAX && under_valgrind())
		return;
	ck_fails(reclaim_send(self, "x", absurd[_i]), -1, ENOMEM);
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
	send_numbers(self, 1, 2);
	expect_numbers(1, 2);
}
END_TEST

static int return_at_once(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	return 7;
}

START_TEST(there_is_nobody_to_send_to)
{
	reclaim_tid child = task_called("child");
	reclaim_tid others[] = {0,
				UINT64_MAX,
				UINT32_MAX,
				self + ((uint64_t)1 << 32),
				self + ((uint64_t)1 << 52),
				self + 60000};
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ck_fails(send_number(others[i], 1), -1, ESRCH);
	end_task(child);
	ck_fails(send_number(child, 1), -1, ESRCH);
	child = task_called("another");
	send_numbers(child, 1, 1);
	end_task(child);
	ck_fails(send_number(child, 1), -1, ESRCH);
}
END_TEST

START_TEST(a_status_alone_receives_nothing)
{
	reclaim_tid tid = reclaim_spawn(NULL, return_at_once, NULL);
	struct reclaim_task_info info;
	int status;

	do
		ck_works(reclaim_task_info(tid, &info));
	while (info.state != RECLAIM_ENDED);
	ck_fails(send_number(tid, 1), -1, ESRCH);
	ck_works(reclaim_wait(tid, &status, -1));
	ck_fails(send_number(tid, 1), -1, ESRCH);
}
END_TEST

START_TEST(nothing_of_a_task_comes_to_the_next)
{
	reclaim_tid tid;
	int i;

	for (i = 0; i < 100; i++) {
		tid = task_called("short");
		work_for(tid);
		ck_assert_uint_eq(reclaim_msgq_len(), 0);
		send_numbers(tid, 1, 3);
		ck_assert_int_eq(received(0), 1);
		if (i % 2)
			step();
		work_no_longer();
		send_numbers(tid, 4, 5);
		end_task(tid);
	}
}
END_TEST

/* ---- how long it lives ---- */

START_TEST(it_lives_until_the_next_receive)
{
	char text[100];
	const char *first;
	int i;

	ck_works(reclaim_send(self, "the first", 10));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	first = msg.data;
	memset(text, 'x', sizeof(text));
	for (i = 0; i < 1000; i++)
		ck_works(reclaim_send(self, text, (size_t)i % 100));
	step();
	ck_works(reclaim_msgq_reset());
	ck_assert_uint_eq(reclaim_msgq_len(), 1000);
	ck_assert_str_eq(first, "the first");
}
END_TEST

START_TEST(other_tasks_may_receive_meanwhile)
{
	reclaim_tid other = task_called("other");
	const char *first;
	int i;

	ck_works(reclaim_send(self, "the first", 10));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	first = msg.data;
	work_for(other);
	for (i = 0; i < 100; i++) {
		ck_works(reclaim_send(other, "another", 8));
		ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	}
	work_no_longer();
	end_task(other);
	ck_assert_str_eq(first, "the first");
}
END_TEST

static size_t bytes_here(void)
{
	struct reclaim_task_info info;

	ck_works(reclaim_task_info(reclaim_self(), &info));
	return info.bytes;
}

START_TEST(what_is_kept_is_the_tasks)
{
	size_t before = bytes_here();
	char *kept;

	ck_works(reclaim_send(self, "keep me", 8));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	ck_assert_uint_eq(bytes_here(), before);
	kept = reclaim_msg_keep(&msg);
	ck_assert_ptr_nonnull(kept);
	ck_assert_ptr_eq(msg.data, kept);
	ck_assert_uint_eq(msg.len, 8);
	ck_assert_uint_eq((uintptr_t)kept % 16, 0);
	ck_assert_uint_gt(bytes_here(), before);
	send_numbers(self, 1, 3);
	expect_numbers(1, 3);
	ck_assert_str_eq(kept, "keep me");
	save_free(kept);
	ck_assert_uint_eq(bytes_here(), before);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(what_is_kept_goes_with_the_task)
{
	reclaim_tid other = task_called("other");
	char big[3000] = "big";

	work_for(other);
	ck_works(reclaim_send(other, big, sizeof(big)));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	ck_assert_ptr_nonnull(reclaim_msg_keep(&msg));
	ck_assert_uint_ge(bytes_here(), sizeof(big));
	work_no_longer();
	end_task(other);
}
END_TEST

START_TEST(only_the_latest_can_be_kept)
{
	struct reclaim_msg first, second;

	ck_fails(reclaim_msg_keep(&msg), NULL, EINVAL);
	ck_works(reclaim_send(self, "one", 4));
	ck_works(reclaim_send(self, "two", 4));
	ck_assert_int_eq(reclaim_receive(&first, 0), 1);
	ck_assert_int_eq(reclaim_receive(&second, 0), 1);
	ck_fails(reclaim_msg_keep(&first), NULL, EINVAL);
	ck_assert_str_eq(reclaim_msg_keep(&second), "two");
	ck_fails(reclaim_msg_keep(&second), NULL, EINVAL);
	ck_assert_int_eq(reclaim_receive(&msg, 0), 0);
	ck_fails(reclaim_msg_keep(&second), NULL, EINVAL);
}
END_TEST

START_TEST(only_what_was_taken_out_can_be_kept)
{
	ck_works(reclaim_send(self, "one", 4));
	ck_assert_int_eq(reclaim_msgq_current(&msg), 1);
	ck_fails(reclaim_msg_keep(&msg), NULL, EINVAL);
	ck_works(reclaim_msgq_drop());
	ck_assert_str_eq(reclaim_msg_keep(&msg), "one");
}
END_TEST

START_TEST(even_an_empty_one_can_be_kept)
{
	void *kept;

	ck_works(reclaim_send(self, NULL, 0));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	kept = reclaim_msg_keep(&msg);
	ck_assert_ptr_nonnull(kept);
	ck_assert_ptr_eq(kept, msg.data);
	save_free(kept);
}
END_TEST

static void keep_beyond_the_limit(void)
{
	char big[5000] = "big";

	ck_works(reclaim_send(reclaim_self(), big, sizeof(big)));
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	ck_fails(reclaim_msg_keep(&msg), NULL, ENOMEM);
	ck_assert_str_eq(msg.data, "big");
	ck_fails(reclaim_msg_keep(&msg), NULL, ENOMEM);
}

START_TEST(a_task_without_room_cannot_keep_it)
{
	struct reclaim_task_opts opts = {.max_bytes = 4000};

	in_task_with(&opts, keep_beyond_the_limit);
}
END_TEST

/* ---- waiting ---- */

START_TEST(zero_only_looks)
{
	ck_assert_int_eq(received(0), NOTHING);
	send_numbers(self, 1, 2);
	expect_numbers(1, 2);
}
END_TEST

START_TEST(the_time_is_over)
{
	ck_assert_int_eq(received(1), NOTHING);
	ck_assert_int_eq(received(20), NOTHING);
	send_numbers(self, 1, 2);
	ck_assert_int_eq(received(20), 1);
	ck_assert_int_eq(received(INT_MAX), 2);
	ck_assert_int_eq(received(1), NOTHING);
}
END_TEST

START_TEST(what_comes_ends_the_waiting)
{
	const int timeouts[] = {-1, 600000, INT_MAX};
	pthread_t thread;
	int i;

	for (i = 0; i < 30; i++) {
		thread = begin_sender(5 + i, 0);
		ck_assert_int_eq(received(timeouts[i % 3]), 5 + i);
		join(thread);
	}
	ck_assert_int_eq(received(0), NOTHING);
}
END_TEST

START_TEST(what_is_there_needs_no_waiting)
{
	send_numbers(self, 1, 2);
	ck_assert_int_eq(received(-1), 1);
	ck_assert_int_eq(received(-1), 2);
}
END_TEST

#define SERVES (under_valgrind() ? 500 : 20000)

static int echo(int argc, char **argv, char **envp)
{
	struct reclaim_msg ball;
	int n;

	(void)argc;
	(void)argv;
	(void)envp;
	do {
		must(reclaim_receive(&ball, -1) == 1);
		n = number_in(&ball);
		must(send_number(ball.from, n) == 0);
	} while (n);
	return 0;
}

START_TEST(no_wake_is_lost)
{
	reclaim_tid tid = reclaim_spawn(NULL, echo, NULL);
	int i, status;

	for (i = SERVES; i >= 0; i--) {
		ck_works(send_number(tid, i));
		must(received(i % 2 ? -1 : 600000) == i);
	}
	ck_works(reclaim_wait(tid, &status, -1));
}
END_TEST

/* ---- a selective receive ---- */

START_TEST(the_oldest_that_matches_is_received)
{
	send_numbers(self, 1, 5);
	send_numbers(self, 3, 3);
	ck_assert_int_eq(match_number(3, 0), 1);
	ck_assert_int_eq(number_in(&msg), 3);
	ck_assert_uint_eq(reclaim_msgq_len(), 5);
	ck_assert_int_eq(match_number(9, 0), 0);
	ck_assert_int_eq(match_number(1, -1), 1);
	ck_assert_int_eq(received(0), 2);
	ck_assert_int_eq(received(0), 4);
	ck_assert_int_eq(received(0), 5);
	expect_numbers(3, 3);
}
END_TEST

START_TEST(each_is_looked_at_once)
{
	pthread_t thread;

	send_numbers(self, 1, 5);
	looks = 0;
	thread = begin_sender(6, 7);
	ck_assert_int_eq(match_number(7, -1), 1);
	join(thread);
	ck_assert_uint_eq(looks, 7);
	looks = 0;
	ck_assert_int_eq(match_number(9, 0), 0);
	ck_assert_uint_eq(looks, 6);
	ck_assert_int_eq(match_number(9, 20), 0);
	ck_assert_uint_eq(looks, 12);
	expect_numbers(1, 6);
}
END_TEST

START_TEST(no_match_is_any)
{
	send_numbers(self, 1, 1);
	ck_assert_int_eq(reclaim_receive_match(NULL, NULL, &msg, 0), 1);
	ck_assert_int_eq(number_in(&msg), 1);
	ck_assert_int_eq(reclaim_receive_match(NULL, NULL, &msg, 0), 0);
}
END_TEST

static void expect_busy(void)
{
	struct reclaim_msg other;

	ck_fails(reclaim_receive(&other, -1), -1, EBUSY);
	ck_fails(reclaim_receive_match(match_none, NULL, &other, 0), -1, EBUSY);
	ck_fails(reclaim_msgq_len(), 0, EBUSY);
	ck_fails(reclaim_msgq_current(&other), -1, EBUSY);
	ck_fails(reclaim_msgq_next(), -1, EBUSY);
	ck_fails(reclaim_msgq_reset(), -1, EBUSY);
	ck_fails(reclaim_msgq_drop(), -1, EBUSY);
	ck_fails(reclaim_msgq_mark(), 0, EBUSY);
	ck_fails(reclaim_msgq_restore(0), -1, EBUSY);
	ck_fails(reclaim_msgq_fd(), -1, EBUSY);
}

static int receive_within(const struct reclaim_msg *of, void *arg)
{
	(void)arg;
	expect_busy();
	if (number_in(of) < 3)
		ck_works(send_number(self, number_in(of) + 1));
	return number_in(of) == 3;
}

START_TEST(a_match_may_send_but_not_receive)
{
	send_numbers(self, 1, 1);
	ck_assert_int_eq(reclaim_receive_match(receive_within, NULL, &msg, -1),
			 1);
	ck_assert_int_eq(number_in(&msg), 3);
	expect_numbers(1, 2);
}
END_TEST

static void *receive_as_well(void *arg)
{
	until_it_sleeps(self);
	expect_busy();
	send_numbers(self, 4, 4);
	return arg;
}

START_TEST(one_thread_receives_at_a_time)
{
	pthread_t thread;

	send_numbers(self, 1, 1);
	ck_works(save_pthread_create(&thread, NULL, receive_as_well, NULL));
	ck_assert_int_eq(match_number(4, -1), 1);
	ck_works(save_pthread_join(thread, NULL));
	expect_numbers(1, 1);
}
END_TEST

static void *receive_one(void *number)
{
	must(received(-1) == *(int *)number);
	return NULL;
}

START_TEST(threads_of_a_task_take_turns)
{
	pthread_t thread;
	int i;

	send_numbers(self, 1, 4);
	for (i = 1; i < 5; i++) {
		ck_works(save_pthread_create(&thread, NULL, receive_one, &i));
		ck_works(save_pthread_join(thread, NULL));
	}
	ck_assert_int_eq(received(0), NOTHING);
}
END_TEST

/* ---- walking ---- */

static int current(void)
{
	int found = reclaim_msgq_current(&msg);

	return found == 1 ? number_in(&msg) : found - 1;
}

START_TEST(a_walk_sees_each_and_takes_none)
{
	int i;

	send_numbers(self, 1, 4);
	for (i = 1; i < 5; i++) {
		ck_assert_int_eq(current(), i);
		ck_assert_int_eq(current(), i);
		ck_assert_int_eq(reclaim_msgq_next(), i < 4);
	}
	ck_assert_int_eq(current(), NOTHING);
	ck_assert_int_eq(reclaim_msgq_next(), 0);
	ck_assert_uint_eq(reclaim_msgq_len(), 4);
	ck_works(reclaim_msgq_reset());
	ck_assert_int_eq(current(), 1);
	expect_numbers(1, 4);
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
}
END_TEST

START_TEST(an_empty_queue_has_no_current_one)
{
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
	ck_assert_int_eq(current(), NOTHING);
	ck_assert_int_eq(reclaim_msgq_next(), 0);
	ck_works(reclaim_msgq_reset());
	ck_fails(reclaim_msgq_drop(), -1, ENOENT);
	send_numbers(self, 1, 1);
	ck_assert_int_eq(current(), 1);
	expect_numbers(1, 1);
}
END_TEST

START_TEST(behind_the_last_is_what_comes_next)
{
	send_numbers(self, 1, 2);
	ck_assert_int_eq(reclaim_msgq_next(), 1);
	ck_assert_int_eq(reclaim_msgq_next(), 0);
	ck_fails(reclaim_msgq_drop(), -1, ENOENT);
	send_numbers(self, 3, 4);
	ck_assert_uint_eq(reclaim_msgq_len(), 4);
	ck_assert_int_eq(current(), 3);
	ck_assert_int_eq(reclaim_msgq_next(), 1);
	ck_assert_int_eq(current(), 4);
}
END_TEST

START_TEST(a_dropped_one_lives_until_the_next)
{
	const char *text;

	ck_works(reclaim_send(self, "first", 6));
	ck_works(reclaim_send(self, "second", 7));
	ck_works(reclaim_send(self, "third", 6));
	step();
	ck_assert_int_eq(reclaim_msgq_current(&msg), 1);
	text = msg.data;
	ck_works(reclaim_msgq_drop());
	ck_assert_uint_eq(reclaim_msgq_len(), 2);
	ck_assert_str_eq(text, "second");
	ck_assert_int_eq(reclaim_msgq_current(&msg), 1);
	ck_assert_str_eq(msg.data, "third");
	ck_works(reclaim_msgq_drop());
	ck_fails(reclaim_msgq_drop(), -1, ENOENT);
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	ck_assert_str_eq(msg.data, "first");
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
}
END_TEST

START_TEST(any_receive_goes_back_to_the_oldest)
{
	send_numbers(self, 1, 5);
	step();
	ck_assert_int_eq(received(0), 1);
	ck_assert_int_eq(current(), 2);
	step();
	ck_assert_int_eq(match_number(9, 0), 0);
	ck_assert_int_eq(current(), 2);
	step();
	ck_assert_int_eq(match_number(4, 0), 1);
	ck_assert_int_eq(current(), 2);
}
END_TEST

START_TEST(a_selective_receive_begins_at_the_current_one)
{
	send_numbers(self, 1, 3);
	send_numbers(self, 1, 3);
	step();
	step();
	looks = 0;
	ck_assert_int_eq(match_number(1, 0), 1);
	ck_assert_uint_eq(looks, 2);
	step();
	ck_assert_int_eq(match_number(1, 0), 0);
	ck_assert_int_eq(match_number(1, 0), 1);
	ck_assert_int_eq(received(0), 2);
	ck_assert_int_eq(received(0), 3);
	expect_numbers(2, 3);
}
END_TEST

/* ---- marks ---- */

START_TEST(what_is_before_a_mark_is_not_looked_at)
{
	int many = under_valgrind() ? 10000 : 100000, i;
	uint64_t mark;

	send_numbers(self, 1, many);
	mark = reclaim_msgq_mark();
	ck_assert_uint_ne(mark, 0);
	send_numbers(self, -2, 0);
	for (i = 0; i < 2; i++) {
		ck_works(reclaim_msgq_restore(mark));
		looks = 0;
		ck_assert_int_eq(match_number(-1 + i, 0), 1);
		ck_assert_uint_eq(looks, 2);
	}
	ck_works(reclaim_msgq_restore(mark));
	looks = 0;
	ck_assert_int_eq(match_number(7, 0), 0);
	ck_assert_uint_eq(looks, 1);
	ck_assert_int_eq(match_number(7, 0), 1);
	ck_assert_uint_eq(reclaim_msgq_len(), (size_t)many);
}
END_TEST

START_TEST(a_reply_to_come_is_the_first_looked_at)
{
	pthread_t thread;
	uint64_t mark;

	send_numbers(self, 1, 50);
	mark = reclaim_msgq_mark();
	ck_works(reclaim_msgq_restore(mark));
	looks = 0;
	thread = begin_sender(51, 52);
	ck_assert_int_eq(match_number(52, -1), 1);
	join(thread);
	ck_assert_uint_eq(looks, 2);
	expect_numbers(1, 51);
}
END_TEST

START_TEST(any_number_of_marks)
{
	uint64_t marks[40];
	int i;

	for (i = 0; i < 40; i++) {
		marks[i] = reclaim_msgq_mark();
		if (i % 3 != 2) /* two at the same place */
			send_numbers(self, i, i);
	}
	for (i = 38; i >= 0; i--) {
		ck_works(reclaim_msgq_restore(marks[i]));
		ck_assert_int_eq(current(), i % 3 == 2 ? i + 1 : i);
	}
	ck_works(reclaim_msgq_restore(marks[39]));
	ck_assert_int_eq(current(), 39);
	ck_assert_int_eq(reclaim_msgq_next(), 0);
}
END_TEST

START_TEST(a_mark_outlives_what_is_around_it)
{
	uint64_t mark;

	send_numbers(self, 1, 2);
	mark = reclaim_msgq_mark();
	send_numbers(self, 3, 4);
	ck_assert_int_eq(received(0), 1);
	ck_assert_int_eq(received(0), 2);
	ck_works(reclaim_msgq_restore(mark));
	ck_assert_int_eq(current(), 3);
	ck_assert_int_eq(received(0), 3);
	ck_works(reclaim_msgq_restore(mark));
	ck_assert_int_eq(current(), 4);
	ck_assert_int_eq(received(0), 4);
	ck_works(reclaim_msgq_restore(mark));
	ck_assert_int_eq(current(), NOTHING);
	send_numbers(self, 5, 5);
	ck_works(reclaim_msgq_restore(mark));
	ck_assert_int_eq(current(), 5);
	ck_works(reclaim_msgq_restore(0));
	expect_numbers(5, 5);
}
END_TEST

/* A queue serves one task after the other, and never counts anew. */
START_TEST(a_mark_is_good_however_much_was_received)
{
	uint64_t mark;

	send_numbers(self, 1, 1);
	queue_find(self)->fetches = UINT32_MAX - 1;
	mark = reclaim_msgq_mark();
	ck_assert_uint_ne(mark, 0);
	send_numbers(self, 2, 2);
	ck_assert_uint_eq(reclaim_msgq_len(), 2);
	ck_works(reclaim_msgq_restore(mark));
	ck_assert_int_eq(current(), 2);
	ck_assert_uint_ne(reclaim_msgq_mark(), 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(a_queue_is_full_at_its_limit)
{
	uint32_t most = (uint32_t)(_i ? 10 * _i : 1), i;
	reclaim_tid tid = bounded(most);

	for (i = 0; i < most; i++)
		ck_works(send_number(tid, (int)i));
	ck_fails(send_number(tid, 99), -1, EAGAIN);
	ck_fails(send_number(tid, 99), -1, EAGAIN);
	ck_works(send_number(self, 1));
	work_for(tid);
	ck_assert_int_eq(received(0), 0);
	ck_works(send_number(tid, (int)most));
	ck_fails(send_number(tid, 99), -1, EAGAIN);
	ck_works(reclaim_msgq_drop());
	ck_works(send_number(tid, (int)most + 1));
	ck_fails(send_number(tid, 99), -1, EAGAIN);
	ck_assert_uint_eq(reclaim_msgq_len(), most);
	expect_numbers(2, (int)most + 1);
	work_no_longer();
	end_task(tid);
}
END_TEST

START_TEST(a_refused_binary_is_not_lost)
{
	reclaim_tid tid = bounded(1);
	struct reclaim_bin *bin = reclaim_bin_new("bin", 4);

	ck_works(reclaim_send_bin(tid, bin));
	ck_fails(reclaim_send_bin(tid, bin), -1, EAGAIN);
	ck_works(reclaim_bin_release(bin));
	end_task(tid);
}
END_TEST

static void *send_many(void *tid)
{
	int i, sent = 0;

	for (i = 0; i < 200; i++)
		sent += send_number(*(reclaim_tid *)tid, i) == 0;
	return (void *)(intptr_t)sent;
}

static void push_late(struct queue *queue, reclaim_tid tid)
{
	struct message *late = message_new(RECLAIM_MSG_DATA, 4);

	errno = 0;
	ck_assert_int_eq(queue_push(queue, tid, late, false), PUSH_NOT);
	ck_assert_int_eq(errno, ESRCH);
	message_free(late);
}

/* As where it ends between two steps of sending to it. */
START_TEST(who_comes_too_late_takes_no_room)
{
	reclaim_tid late = bounded(2), next;
	struct queue *queue;
	int i;

	send_numbers(late, 1, 2);
	queue = queue_find(late);
	end_task(late);
	for (i = 0; i < 3; i++)
		push_late(queue, late);
	next = bounded(2);
	send_numbers(next, 1, 1);
	ck_assert_ptr_eq(queue_find(next), queue);
	push_late(queue, late);
	send_numbers(next, 2, 2);
	ck_fails(send_number(next, 3), -1, EAGAIN);
	work_for(next);
	expect_numbers(1, 2);
	work_no_longer();
	end_task(next);
}
END_TEST

START_TEST(many_at_once_do_not_pass_the_limit)
{
	reclaim_tid tid = bounded(301);
	pthread_t threads[4];
	intptr_t sent = 0;
	void *by_one;
	int i;

	for (i = 0; i < 4; i++)
		threads[i] = begin_thread(send_many, &tid);
	for (i = 0; i < 4; i++) {
		ck_works(pthread_join(threads[i], &by_one));
		sent += (intptr_t)by_one;
	}
	ck_assert_int_eq(sent, 301);
	work_for(tid);
	ck_assert_uint_eq(reclaim_msgq_len(), 301);
	work_no_longer();
	end_task(tid);
}
END_TEST

static void expect_type(int type)
{
	ck_assert_int_eq(reclaim_receive(&msg, 600000), 1);
	ck_assert_int_eq(msg.type, type);
}

START_TEST(a_full_queue_has_room_for_the_librarys_own)
{
	reclaim_tid full = bounded(1), other = task_called("other");
	uint64_t timer;

	work_for(full);
	ck_assert_int_eq(reclaim_trap_exit(1), 0);
	ck_works(send_number(full, 1));
	ck_assert_uint_ne(reclaim_monitor(other), 0);
	ck_works(reclaim_link(other));
	end_task(other);
	timer = reclaim_timer_add(0, full, "t", 2, 1);
	ck_assert_uint_ne(timer, 0);
	while (reclaim_msgq_len() < 4)
		sched_yield();
	ck_fails(send_number(full, 2), -1, EAGAIN);
	ck_assert_int_eq(received(0), 1);
	ck_fails(send_number(full, 2), -1, EAGAIN);
	expect_type(RECLAIM_MSG_DOWN);
	expect_type(RECLAIM_MSG_EXIT);
	ck_fails(send_number(full, 2), -1, EAGAIN);
	expect_type(RECLAIM_MSG_TIMEOUT);
	ck_assert_uint_eq(msg.ref, timer);
	ck_works(send_number(full, 2));
	work_no_longer();
	end_task(full);
}
END_TEST

/* ---- the descriptor ---- */

static bool readable(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};
	int n = poll(&look, 1, 0);

	must(n == 0 || (n == 1 && look.revents == POLLIN));
	return n == 1;
}

START_TEST(the_descriptor_is_readable_until_nothing_is_found)
{
	int fd = reclaim_msgq_fd();

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(reclaim_msgq_fd(), fd);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(!readable(fd));
	send_numbers(self, 1, 2);
	ck_assert(readable(fd));
	ck_assert_int_eq(received(0), 1);
	ck_assert(readable(fd));
	ck_assert_int_eq(received(0), 2);
	send_numbers(self, 3, 3);
	ck_assert(readable(fd));
	ck_assert_int_eq(received(0), 3);
	ck_assert_int_eq(received(0), NOTHING);
	ck_assert(!readable(fd));
	send_numbers(self, 4, 4);
	ck_assert(readable(fd));
	ck_assert_int_eq(received(-1), 4);
	ck_assert_int_eq(received(1), NOTHING);
	ck_assert(!readable(fd));
}
END_TEST

START_TEST(a_descriptor_that_comes_late_tells_of_what_is_there)
{
	int fd;

	send_numbers(self, 1, 1);
	if (_i)
		ck_assert_int_eq(current(), 1);
	fd = reclaim_msgq_fd();
	ck_assert(readable(fd));
	expect_numbers(1, 1);
	ck_assert(!readable(fd));
}
END_TEST

START_TEST(a_walk_to_the_end_quiets_it_as_well)
{
	int fd = reclaim_msgq_fd();

	send_numbers(self, 1, 2);
	ck_assert_int_eq(current(), 1);
	ck_assert_int_eq(reclaim_msgq_next(), 1);
	ck_assert(readable(fd));
	ck_assert_int_eq(reclaim_msgq_next(), 0);
	ck_assert(!readable(fd));
	ck_assert_int_eq(current(), NOTHING);
	ck_assert(!readable(fd));
	send_numbers(self, 3, 3);
	ck_assert(readable(fd));
	ck_assert_int_eq(current(), 3);
	ck_assert_int_eq(match_number(9, 0), 0);
	ck_assert(!readable(fd));
	expect_numbers(1, 3);
}
END_TEST

START_TEST(epoll_tells_of_each_that_comes_to_a_quiet_queue)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd = reclaim_msgq_fd(), i;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	ck_works(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
	for (i = 0; i < 10; i++) {
		send_numbers(self, 1, 2);
		ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 1);
		ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
		expect_numbers(1, 2);
	}
	close(epoll);
}
END_TEST

static int polling(int argc, char **argv, char **envp)
{
	int fd = reclaim_msgq_fd(), n = -1;
	struct pollfd look = {.fd = fd, .events = POLLIN};

	(void)argc;
	(void)argv;
	(void)envp;
	while (n) {
		must(poll(&look, 1, -1) == 1);
		while (reclaim_receive(&msg, 0) == 1) {
			n = number_in(&msg);
			must(send_number(msg.from, n) == 0);
		}
	}
	return 0;
}

START_TEST(who_polls_misses_none)
{
	reclaim_tid tid = reclaim_spawn(NULL, polling, NULL);
	struct reclaim_msg reply;
	int i, status;

	for (i = SERVES / 2; i >= 0; i--) {
		ck_works(send_number(tid, i));
		must(reclaim_receive(&reply, -1) == 1);
		must(number_in(&reply) == i);
	}
	ck_works(reclaim_wait(tid, &status, -1));
}
END_TEST

START_TEST(the_descriptor_goes_with_the_task)
{
	reclaim_tid other = task_called("other");
	int fd;

	work_for(other);
	fd = reclaim_msgq_fd();
	ck_assert(is_open(fd));
	ck_assert_uint_eq(held(), 0);
	work_no_longer();
	send_numbers(other, 1, 1);
	end_task(other);
	ck_assert(!is_open(fd));
	other = task_called("next");
	send_numbers(other, 1, 1);
	ck_assert(!is_open(fd));
	work_for(other);
	fd = reclaim_msgq_fd();
	expect_numbers(1, 1);
	ck_assert(!readable(fd));
	send_numbers(other, 2, 2);
	ck_assert(readable(fd));
	work_no_longer();
	end_task(other);
}
END_TEST

START_TEST(there_may_be_no_descriptor)
{
	struct rlimit limit, none;

	ck_works(getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	ck_works(setrlimit(RLIMIT_NOFILE, &none));
	errno = 0;
	ck_assert(reclaim_msgq_fd() == -1 && errno == EMFILE);
	ck_works(setrlimit(RLIMIT_NOFILE, &limit));
	send_numbers(self, 1, 1);
	ck_assert(readable(reclaim_msgq_fd()));
	expect_numbers(1, 1);
}
END_TEST

/* ---- ends ---- */

static reclaim_tid outer;

static void *end_it(void *arg)
{
	until_it_sleeps(self);
	must(reclaim_kill(outer) == 0);
	return arg;
}

/* The task itself, or the one above it. */
START_TEST(who_entered_a_task_that_is_to_end_waits_no_longer)
{
	int timeout = _i % 2 ? -1 : 600000;
	pthread_t thread;

	outer = self;
	if (_i >= 2) {
		self = task_called("inner");
		work_for(self);
	}
	thread = begin_thread(end_it, NULL);
	ck_fails(reclaim_receive(&msg, timeout), -1, ECANCELED);
	join(thread);
	ck_fails(match_number(1, timeout), -1, ECANCELED);
	ck_assert_int_eq(received(0), NOTHING);
	send_numbers(self, 1, 2);
	ck_assert_int_eq(received(-1), 1);
	ck_fails(match_number(1, -1), -1, ECANCELED);
	ck_assert_int_eq(current(), 2);
	if (_i >= 2)
		work_no_longer();
	work_no_longer();
	ck_fails(send_number(self, 1), -1, ESRCH);
	enter_task();
}
END_TEST

static int wait_for_ever(int argc, char **argv, char **envp)
{
	struct reclaim_msg mine;
	int fd = reclaim_msgq_fd();

	(void)argc;
	(void)argv;
	(void)envp;
	must(fd >= 0);
	send_numbers(reclaim_self(), 1, 5);
	must(reclaim_receive(&mine, 0) == 1);
	must(reclaim_msg_keep(&mine));
	reclaim_receive_match(match_none, NULL, &mine, -1);
	abort();
}

START_TEST(a_spawned_task_is_killed_as_it_waits)
{
	reclaim_tid tid;
	int i, status;

	for (i = 0; i < 20; i++) {
		tid = reclaim_spawn(NULL, wait_for_ever, NULL);
		if (i % 4)
			until_it_sleeps(tid);
		send_number(tid, 6);
		ck_works(reclaim_kill(tid));
		ck_works(reclaim_wait(tid, &status, -1));
		ck_assert_int_eq(status, RECLAIM_KILLED);
	}
}
END_TEST

static atomic_bool matching;

static int match_for_ever(const struct reclaim_msg *of, void *arg)
{
	(void)arg;
	if (number_in(of) == 2)
		atomic_store(&matching, true);
	while (number_in(of) == 2)
		pthread_testcancel();
	return 0;
}

static void *match_in_thread(void *arg)
{
	struct reclaim_msg mine;

	reclaim_receive_match(match_for_ever, NULL, &mine, -1);
	return arg;
}

static void *receive_in_thread(void *arg)
{
	struct reclaim_msg mine;

	reclaim_receive_match(match_none, NULL, &mine, -1);
	return arg;
}

static void cancel_and_join(pthread_t thread)
{
	void *result;

	ck_works(pthread_cancel(thread));
	ck_works(save_pthread_join(thread, &result));
	ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

START_TEST(a_thread_that_is_cancelled_leaves_the_queue_usable)
{
	pthread_t thread;

	send_numbers(self, 1, 3);
	atomic_store(&matching, false);
	ck_works(save_pthread_create(&thread, NULL, match_in_thread, NULL));
	while (!atomic_load(&matching))
		sched_yield();
	cancel_and_join(thread);
	ck_assert_int_eq(current(), 1);
	ck_works(save_pthread_create(&thread, NULL, receive_in_thread, NULL));
	until_it_sleeps(self);
	cancel_and_join(thread);
	ck_assert(!sleeps(self));
	ck_assert_int_eq(current(), 1);
	thread = begin_sender(4, 0);
	ck_assert_int_eq(match_number(4, -1), 1);
	join(thread);
	expect_numbers(1, 3);
}
END_TEST

static reclaim_tid farewell_to;

static void say_farewell(void *arg)
{
	struct reclaim_msg mine;
	int sum = 0;

	(void)arg;
	must(send_number(reclaim_self(), 100) == 0);
	while (reclaim_receive(&mine, 0) == 1)
		sum += number_in(&mine);
	must(send_number(farewell_to, sum) == 0);
}

static int leave_a_word(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	send_numbers(reclaim_self(), 1, 3);
	must(reclaim_defer(say_farewell, NULL, NULL) == 0);
	return 0;
}

START_TEST(deferred_actions_send_and_receive)
{
	reclaim_tid other = task_called("other");
	int status;

	farewell_to = self;
	work_for(other);
	leave_a_word(0, NULL, NULL);
	work_no_longer();
	ck_works(send_number(other, 10));
	end_task(other);
	ck_assert_int_eq(received(0), 116);
	ck_assert_uint_eq(msg.from, other);
	other = reclaim_spawn(NULL, leave_a_word, NULL);
	ck_works(reclaim_wait(other, &status, -1));
	ck_assert_int_eq(received(0), 106);
}
END_TEST

static int exit_within(const struct reclaim_msg *of, void *arg)
{
	(void)of;
	(void)arg;
	reclaim_exit(7);
}

static void exit_in_action(void *arg)
{
	reclaim_receive_match(exit_within, arg, &msg, -1);
}

static int exit_in_match(int argc, char **argv, char **envp)
{
	leave_a_word(argc, argv, envp);
	if (argc)
		must(reclaim_defer(exit_in_action, NULL, NULL) == 0);
	else
		exit_in_action(NULL);
	return 7;
}

START_TEST(who_exits_in_a_match_receives_no_longer)
{
	char *argv[] = {(char *)"by an action", NULL};
	reclaim_tid tid;
	int status;

	farewell_to = self;
	tid = reclaim_spawn(NULL, exit_in_match, _i ? argv : NULL);
	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, 7);
	ck_assert_int_eq(received(0), 106);
}
END_TEST

static void run_now(void (*action)(void *))
{
	reclaim_token token;

	must(reclaim_defer(action, NULL, &token) == 0);
	must(reclaim_undefer(token, 1) == 0);
}

static int end_after_an_exit(int argc, char **argv, char **envp)
{
	(void)argc, (void)argv, (void)envp;
	must(send_number(reclaim_self(), 1) == 0);
	run_now(exit_in_action);
	must(received(0) == 1);
	pthread_exit(NULL);
}

/* What the end of a thread calls is not what was there in the action. */
START_TEST(a_thread_may_end_after_an_action_exited_in_a_match)
{
	int status = -1;

	ck_works(reclaim_wait(reclaim_spawn(NULL, end_after_an_exit, NULL),
			      &status, -1));
	ck_assert_int_eq(status, 0);
}
END_TEST

static void exit_at_once(void *arg)
{
	(void)arg;
	reclaim_exit(0);
}

static int run_what_exits(const struct reclaim_msg *of, void *arg)
{
	(void)of;
	(void)arg;
	run_now(exit_at_once);
	expect_busy();
	return 1;
}

START_TEST(a_match_goes_on_after_an_action_that_exits)
{
	send_numbers(self, 1, 1);
	ck_assert_int_eq(reclaim_receive_match(run_what_exits, NULL, &msg, -1),
			 1);
	expect_numbers(1, 0);
}
END_TEST

static int exit_elsewhere(const struct reclaim_msg *of, void *arg)
{
	(void)of;
	(void)arg;
	work_for(farewell_to);
	reclaim_exit(0);
}

static void exit_from_elsewhere(void *arg)
{
	reclaim_receive_match(exit_elsewhere, arg, &msg, -1);
}

START_TEST(who_exits_from_another_task_receives_no_longer)
{
	farewell_to = task_called("elsewhere");
	send_numbers(self, 1, 1);
	run_now(exit_from_elsewhere);
	expect_numbers(1, 1);
	end_task(farewell_to);
}
END_TEST

static void *send_and_end(void *number)
{
	char big[2000] = "";
	int i;

	for (i = 0; i < 50; i++) {
		memcpy(big, number, sizeof(int));
		must(reclaim_send(self, big, (size_t)(i % 2 ? 4 : 2000)) == 0);
	}
	return NULL;
}

/* Their memory is another thread's to give back. */
START_TEST(what_a_thread_sent_outlives_it)
{
	pthread_t thread;
	int i, n;

	for (n = 0; n < 20; n++) {
		thread = begin_thread(send_and_end, &n);
		join(thread);
		if (n % 3 == 2) /* the next may have its memory already */
			for (i = 0; i < 50; i++)
				must(reclaim_receive(&msg, 0) == 1);
	}
	for (n = 6; n < 20; n++)
		for (i = 0; i < 50; i++) {
			must(reclaim_receive(&msg, 0) == 1);
			must(*(const int *)msg.data == n);
		}
	ck_assert_int_eq(received(0), NOTHING);
}
END_TEST

/* ---- threads ---- */

#define SENDERS 8

static int each_sends(void)
{
	return under_valgrind() ? 300 : 5000;
}

static void *send_in_order(void *number)
{
	int mine[2] = {(int)(intptr_t)number, 0};

	for (; mine[1] < each_sends(); mine[1]++)
		must(reclaim_send(self, mine, sizeof(mine)) == 0);
	return NULL;
}

static void receive_in_order(int senders)
{
	int next[SENDERS] = {0}, left = senders * each_sends();

	for (; left; left--) {
		const int *its;

		must(reclaim_receive(&msg, -1) == 1);
		its = msg.data;
		must(msg.len == 2 * sizeof(int) && next[its[0]] == its[1]);
		next[its[0]]++;
	}
}

START_TEST(the_order_of_each_sender_is_kept)
{
	pthread_t threads[SENDERS];
	int senders = _i, i;

	for (i = 0; i < senders; i++)
		threads[i] = begin_thread(send_in_order, (void *)(intptr_t)i);
	receive_in_order(senders);
	for (i = 0; i < senders; i++)
		join(threads[i]);
	ck_assert_int_eq(received(0), NOTHING);
}
END_TEST

/* Who sends first to a task does so while others do. */
static _Atomic reclaim_tid fresh;
static atomic_int ready;

static void *send_to_fresh(void *arg)
{
	reclaim_tid last = 0, tid;

	while ((tid = atomic_load(&fresh)) != UINT64_MAX) {
		if (tid == last) {
			sched_yield();
			continue;
		}
		must(send_number(tid, 1) == 0);
		last = tid;
		atomic_fetch_add(&ready, 1);
	}
	return arg;
}

static void expect_ones(size_t n)
{
	work_for(atomic_load(&fresh));
	ck_assert_uint_eq(reclaim_msgq_len(), n);
	work_no_longer();
	end_task(atomic_load(&fresh));
}

START_TEST(the_first_to_send_are_many)
{
	pthread_t threads[3];
	int i, rounds = under_valgrind() ? 100 : 3000;

	atomic_store(&fresh, 0);
	atomic_store(&ready, 0);
	for (i = 0; i < 3; i++)
		threads[i] = begin_thread(send_to_fresh, NULL);
	for (i = 0; i < rounds; i++) {
		atomic_store(&fresh, task_called("fresh"));
		while (atomic_load(&ready) < 3)
			sched_yield();
		atomic_store(&ready, 0);
		expect_ones(3);
	}
	atomic_store(&fresh, UINT64_MAX);
	for (i = 0; i < 3; i++)
		join(threads[i]);
}
END_TEST

/* ---- fork ---- */

static void expect_child_of(pid_t pid)
{
	int status;

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(save_waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "the child's status is %#x",
		      (unsigned)status);
}

static void in_child(void (*act)(void))
{
	pid_t pid = save_fork();

	if (pid == 0) {
		act();
		reclaim_leave();
		reclaim_end(self, 0);
		exit(0);
	}
	expect_child_of(pid);
}

static void receive_and_end(void *arg)
{
	(void)arg;
	_exit(reclaim_receive(&msg, 0) == 1 ? 0 : 3);
}

static int exit_the_process(const struct reclaim_msg *of, void *arg)
{
	(void)of;
	(void)arg;
	exit(4);
}

static void exit_as_it_matches(void)
{
	must(reclaim_defer(receive_and_end, NULL, NULL) == 0);
	send_numbers(self, 1, 1);
	reclaim_receive_match(exit_the_process, NULL, &msg, -1);
}

START_TEST(a_process_may_exit_in_a_match)
{
	in_child(exit_as_it_matches);
}
END_TEST

static void receive_four(void)
{
	int i;

	must(current() == 1 && reclaim_msgq_len() == 3);
	for (i = 1; i < 4; i++)
		must(received(0) == i);
	must(received(1) == NOTHING);
	send_numbers(self, 4, 4);
	must(received(-1) == 4);
}

START_TEST(a_child_has_the_messages_that_were_there)
{
	send_numbers(self, 1, 2);
	ck_assert_uint_eq(reclaim_msgq_len(), 2);
	send_numbers(self, 3, 3);
	in_child(receive_four);
	ck_works(send_number(self, 4));
	expect_numbers(1, 4);
}
END_TEST

static int fd_before;

static void empty_it(void)
{
	int fd = reclaim_msgq_fd();

	must(fd == fd_before);
	must(readable(fd));
	must(received(0) == 1 && received(0) == NOTHING);
	must(!readable(fd));
	send_numbers(self, 2, 2);
	must(readable(fd));
	must(received(0) == 2);
}

static void fill_it(void)
{
	send_numbers(self, 1, 1);
	must(readable(fd_before));
	must(received(0) == 1);
}

START_TEST(a_child_has_a_descriptor_of_its_own)
{
	fd_before = reclaim_msgq_fd();
	send_numbers(self, 1, 1);
	in_child(empty_it);
	ck_assert(readable(fd_before));
	expect_numbers(1, 1);
	ck_assert(!readable(fd_before));
	in_child(fill_it);
	ck_assert(!readable(fd_before));
}
END_TEST

static void receive_it(void)
{
	must(readable(fd_before));
	must(received(0) == 1 && received(0) == NOTHING);
	must(!readable(fd_before));
}

/* With each number below the limit in use; but for its own, if it is given. */
START_TEST(a_child_has_one_where_there_are_no_more)
{
	struct rlimit limit, full;

	fd_before = reclaim_msgq_fd();
	send_numbers(self, 1, 1);
	ck_works(getrlimit(RLIMIT_NOFILE, &limit));
	full = limit;
	full.rlim_cur = (rlim_t)dup(fd_before);
	ck_works(close((int)full.rlim_cur));
	ck_works(setrlimit(RLIMIT_NOFILE, &full));
	in_child(receive_it);
	ck_works(setrlimit(RLIMIT_NOFILE, &limit));
	ck_assert(readable(fd_before));
	expect_numbers(1, 1);
}
END_TEST

static void send_up_to_the_limit(void)
{
	send_numbers(self, 1, 3);
	must(send_number(self, 4) == -1 && errno == EAGAIN);
	must(received(0) == 1 && received(0) == 2 && received(-1) == 3);
	must(received(0) == NOTHING);
}

/*
 * What it was in the middle of receiving is gone, and takes no room; Valgrind
 * would call it lost.
 */
START_TEST(a_child_has_not_the_thread_that_received)
{
	struct reclaim_task_opts opts = {.max_messages = 3};
	int listed = under_valgrind() ? 0 : 2;
	pthread_t thread;

	end_the_task();
	self = reclaim_task_new(&opts);
	work_for(self);
	send_numbers(self, 1, listed);
	ck_works(save_pthread_create(&thread, NULL, receive_in_thread, NULL));
	until_it_sleeps(self);
	in_child(send_up_to_the_limit);
	cancel_and_join(thread);
	expect_numbers(1, listed);
}
END_TEST

/* Valgrind would call it lost: so much for a queue that nobody has read. */
static reclaim_tid ending;

static void use_its_slot(void)
{
	reclaim_tid next;

	must(reclaim_end(ending, 0) == 0);
	next = bounded(2);
	must((uint32_t)next == (uint32_t)ending);
	send_numbers(next, 1, 2);
	must(send_number(next, 3) == -1 && errno == EAGAIN);
	must(reclaim_end(next, 0) == 0);
}

/* As where another thread frees at the moment what it has not received. */
START_TEST(a_child_does_not_count_what_another_thread_was_freeing)
{
	struct queue *queue;

	ending = bounded(2);
	queue = queue_of(ending);
	lock_take(&tables);
	task_find(ending)->queue = NULL;
	task_find(ending)->silent = true;
	ck_assert_ptr_null(queue_close(queue));
	lock_drop(&tables);
	atomic_fetch_add(&queue->sent, 2);
	in_child(use_its_slot);
	queue_count_removed(queue, 2);
	end_task(ending);
}
END_TEST

static void leave_some_to_the_root(void)
{
	struct reclaim_task_info info;

	must(reclaim_task_info(self, &info) == 0);
	send_numbers(info.parent, 1, 3);
}

START_TEST(what_the_root_has_not_received_goes_at_the_exit)
{
	in_child(leave_some_to_the_root);
}
END_TEST

static int fork_within(const struct reclaim_msg *of, void *arg)
{
	pid_t *pid = arg;

	if (number_in(of) != 2)
		return 0;
	*pid = save_fork();
	return 1;
}

START_TEST(a_match_may_fork)
{
	pid_t pid = -1;

	send_numbers(self, 1, 3);
	ck_assert_int_eq(reclaim_receive_match(fork_within, &pid, &msg, 0), 1);
	if (pid == 0) {
		must(number_in(&msg) == 2);
		must(received(0) == 1 && received(0) == 3);
		must(received(0) == NOTHING);
		reclaim_leave();
		reclaim_end(self, 0);
		exit(0);
	}
	expect_child_of(pid);
	ck_assert_int_eq(received(0), 1);
	expect_numbers(3, 3);
}
END_TEST

/* ---- all of them ---- */

static TCase *message_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, enter_task, end_the_task);
	tcase_set_timeout(tcase, 120);
	return tcase;
}

static void fill_sending(Suite *suite)
{
	TCase *tcase = message_case(suite, "sending");

	tcase_add_test(tcase, a_message_says_what_it_is);
	tcase_add_test(tcase, it_is_from_the_task_that_sent_it);
	tcase_add_loop_test(tcase, any_size_arrives_whole_and_aligned, 0,
			    SIZES);
	tcase_add_test(tcase, small_ones_do_not_touch_each_other);
	tcase_add_test(tcase, an_empty_one_needs_no_data);
	tcase_add_loop_test(tcase, there_is_no_memory_for_an_absurd_one, 0, 6);
	tcase_add_test(tcase, there_is_nobody_to_send_to);
	tcase_add_test(tcase, a_status_alone_receives_nothing);
	tcase_add_test(tcase, nothing_of_a_task_comes_to_the_next);

	tcase = message_case(suite, "keeping");
	tcase_add_test(tcase, it_lives_until_the_next_receive);
	tcase_add_test(tcase, other_tasks_may_receive_meanwhile);
	tcase_add_test(tcase, what_is_kept_is_the_tasks);
	tcase_add_test(tcase, what_is_kept_goes_with_the_task);
	tcase_add_test(tcase, only_the_latest_can_be_kept);
	tcase_add_test(tcase, only_what_was_taken_out_can_be_kept);
	tcase_add_test(tcase, even_an_empty_one_can_be_kept);
	tcase_add_test(tcase, a_task_without_room_cannot_keep_it);
}

static void fill_receiving(Suite *suite)
{
	TCase *tcase = message_case(suite, "waiting");

	tcase_add_test(tcase, zero_only_looks);
	tcase_add_test(tcase, the_time_is_over);
	tcase_add_test(tcase, what_comes_ends_the_waiting);
	tcase_add_test(tcase, what_is_there_needs_no_waiting);
	tcase_add_test(tcase, no_wake_is_lost);

	tcase = message_case(suite, "selective receive");
	tcase_add_test(tcase, the_oldest_that_matches_is_received);
	tcase_add_test(tcase, each_is_looked_at_once);
	tcase_add_test(tcase, no_match_is_any);
	tcase_add_test(tcase, a_match_may_send_but_not_receive);
	tcase_add_test(tcase, one_thread_receives_at_a_time);
	tcase_add_test(tcase, threads_of_a_task_take_turns);
}

static void fill_walking(Suite *suite)
{
	TCase *tcase = message_case(suite, "walking");

	tcase_add_test(tcase, a_walk_sees_each_and_takes_none);
	tcase_add_test(tcase, an_empty_queue_has_no_current_one);
	tcase_add_test(tcase, behind_the_last_is_what_comes_next);
	tcase_add_test(tcase, a_dropped_one_lives_until_the_next);
	tcase_add_test(tcase, any_receive_goes_back_to_the_oldest);
	tcase_add_test(tcase, a_selective_receive_begins_at_the_current_one);

	tcase = message_case(suite, "marks");
	tcase_add_test(tcase, what_is_before_a_mark_is_not_looked_at);
	tcase_add_test(tcase, a_reply_to_come_is_the_first_looked_at);
	tcase_add_test(tcase, any_number_of_marks);
	tcase_add_test(tcase, a_mark_outlives_what_is_around_it);
	tcase_add_test(tcase, a_mark_is_good_however_much_was_received);
}

static void fill_limits(Suite *suite)
{
	TCase *tcase = message_case(suite, "limits");

	tcase_add_loop_test(tcase, a_queue_is_full_at_its_limit, 0, 4);
	tcase_add_test(tcase, a_refused_binary_is_not_lost);
	tcase_add_test(tcase, who_comes_too_late_takes_no_room);
	tcase_add_test(tcase, many_at_once_do_not_pass_the_limit);
	tcase_add_test(tcase, a_full_queue_has_room_for_the_librarys_own);

	tcase = message_case(suite, "descriptor");
	tcase_add_test(tcase,
		       the_descriptor_is_readable_until_nothing_is_found);
	tcase_add_loop_test(tcase,
			    a_descriptor_that_comes_late_tells_of_what_is_there,
			    0, 2);
	tcase_add_test(tcase, a_walk_to_the_end_quiets_it_as_well);
	tcase_add_test(tcase, epoll_tells_of_each_that_comes_to_a_quiet_queue);
	tcase_add_test(tcase, who_polls_misses_none);
	tcase_add_test(tcase, the_descriptor_goes_with_the_task);
	tcase_add_test(tcase, there_may_be_no_descriptor);
}

static void fill_ends(Suite *suite)
{
	TCase *tcase = message_case(suite, "ends");

	tcase_add_loop_test(
		tcase, who_entered_a_task_that_is_to_end_waits_no_longer, 0, 4);
	tcase_add_test(tcase, a_spawned_task_is_killed_as_it_waits);
	tcase_add_test(tcase,
		       a_thread_that_is_cancelled_leaves_the_queue_usable);
	tcase_add_test(tcase, deferred_actions_send_and_receive);
	tcase_add_loop_test(tcase, who_exits_in_a_match_receives_no_longer, 0,
			    2);
	tcase_add_test(tcase,
		       a_thread_may_end_after_an_action_exited_in_a_match);
	tcase_add_test(tcase, a_match_goes_on_after_an_action_that_exits);
	tcase_add_test(tcase, who_exits_from_another_task_receives_no_longer);
	tcase_add_test(tcase, what_a_thread_sent_outlives_it);

	tcase = message_case(suite, "threads");
	tcase_add_loop_test(tcase, the_order_of_each_sender_is_kept, 2,
			    SENDERS + 1);
	tcase_add_test(tcase, the_first_to_send_are_many);

	tcase = message_case(suite, "fork");
	tcase_add_test(tcase, a_child_has_the_messages_that_were_there);
	tcase_add_test(tcase, a_child_has_a_descriptor_of_its_own);
	tcase_add_test(tcase, a_child_has_one_where_there_are_no_more);
	tcase_add_test(tcase, a_child_has_not_the_thread_that_received);
	tcase_add_test(tcase, what_the_root_has_not_received_goes_at_the_exit);
	tcase_add_test(tcase,
		       a_child_does_not_count_what_another_thread_was_freeing);
	tcase_add_test(tcase, a_match_may_fork);
	tcase_add_test(tcase, a_process_may_exit_in_a_match);
}

static void fill(Suite *suite)
{
	fill_sending(suite);
	fill_receiving(suite);
	fill_walking(suite);
	fill_limits(suite);
	fill_ends(suite);
}

int main(void)
{
	return stage_run("message", fill);
}
