/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of messages: what a receiver is done with comes back to who sent
 * it, and not before.
 *
 * Nothing is asserted in a thread other than the test's: results are kept.
 */
#include "config.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

#include "reclaim/mail_private.h"
#include "reclaim/memory_private.h"
#include "reclaim/message.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"
#include "tests/fixture.h"

/* Many runs of blocks; no fewer are in the first areas of a heap. */
#define MANY 2000

static reclaim_tid task;
static pthread_barrier_t turn;
static size_t length;
static size_t held; /* by the sender's messages, blocks */
static int failed;

static size_t blocks_of_mail(void)
{
	struct heap_figures figures = {.blocks = 0};
	struct thread *self = thread_self();

	if (self->mail)
		heap_figures(self->mail, &figures);
	return figures.blocks;
}

static void send_all(void)
{
	unsigned char bytes[512];

	for (size_t i = 0; i < MANY; i++) {
		memset(bytes, (int)(i & 255), sizeof(bytes));
		if (reclaim_send(task, bytes, length) != 0)
			failed++;
	}
}

/* Before its last turn the receiver has looked, and found no more. */
static void *send_and_look(void *arg)
{
	size_t before;

	send_all();
	before = blocks_of_mail();
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	if (!memory_is_libcs && before < MANY)
		failed++;
	held = blocks_of_mail();
	return arg;
}

static void *send_at_once(void *arg)
{
	send_all();
	return arg;
}

static void expect_in_order(size_t from, size_t to, int timeout_ms)
{
	struct reclaim_msg msg;
	unsigned char bytes[512];

	for (size_t i = from; i < to; i++) {
		ck_assert_int_eq(reclaim_receive(&msg, timeout_ms), 1);
		ck_assert_uint_eq(msg.len, length);
		memset(bytes, (int)(i & 255), length);
		ck_assert_mem_eq(msg.data, bytes, length);
	}
}

static pthread_t begin(void *(*send)(void *), size_t bytes)
{
	pthread_t thread;

	length = bytes;
	failed = 0;
	pthread_barrier_init(&turn, NULL, 2);
	task = reclaim_task_new(NULL);
	ck_assert_int_eq(reclaim_enter(task), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, send, NULL), 0);
	return thread;
}

static void end(pthread_t thread)
{
	pthread_join(thread, NULL);
	ck_assert_int_eq(reclaim_leave(), 0);
	ck_assert_int_eq(reclaim_end(task, 0), 0);
	pthread_barrier_destroy(&turn);
	ck_assert_int_eq(failed, 0);
}

static const size_t lengths[] = {1, 64, 300, 512};

START_TEST(what_was_received_comes_back_when_there_is_no_more)
{
	pthread_t thread = begin(send_and_look, lengths[_i]);
	struct reclaim_msg msg;

	pthread_barrier_wait(&turn);
	expect_in_order(0, MANY, 0);
	ck_assert_int_eq(reclaim_receive(&msg, 0), 0);
	pthread_barrier_wait(&turn);
	end(thread);
	ck_assert_uint_eq(held, 0);
}
END_TEST

START_TEST(what_a_task_did_not_receive_comes_back_at_its_end)
{
	pthread_t thread = begin(send_and_look, lengths[_i]);

	pthread_barrier_wait(&turn);
	expect_in_order(0, MANY / 3, 0);
	ck_assert_int_eq(reclaim_leave(), 0);
	ck_assert_int_eq(reclaim_end(task, 0), 0);
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&turn);
	ck_assert_int_eq(failed, 0);
	ck_assert_uint_eq(held, 0);
}
END_TEST

/* Who sends takes the memory again while others are received. */
START_TEST(what_is_received_is_whole_while_more_is_sent)
{
	for (int i = 0; i < 10; i++) {
		pthread_t thread = begin(send_at_once, lengths[_i]);

		expect_in_order(0, MANY, -1);
		end(thread);
	}
}
END_TEST

/* The sender is gone, and its memory is taken by another thread meanwhile. */
START_TEST(the_memory_of_a_thread_that_is_gone_is_used_again)
{
	pthread_t thread = begin(send_at_once, lengths[_i]);

	pthread_join(thread, NULL);
	expect_in_order(0, MANY / 2, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_at_once, NULL), 0);
	expect_in_order(MANY / 2, MANY, 0);
	expect_in_order(0, MANY, -1);
	end(thread);
}
END_TEST

int main(void)
{
	const int n = sizeof(lengths) / sizeof(*lengths);
	Suite *suite = suite_create("mail");
	TCase *tcase = tcase_create("back");

	fixture_add(tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase,
			    what_was_received_comes_back_when_there_is_no_more,
			    0, n);
	tcase_add_loop_test(
		tcase, what_a_task_did_not_receive_comes_back_at_its_end, 0, n);
	tcase_add_loop_test(tcase, what_is_received_is_whole_while_more_is_sent,
			    0, n);
	tcase_add_loop_test(
		tcase, the_memory_of_a_thread_that_is_gone_is_used_again, 0, n);
	suite_add_tcase(suite, tcase);
	return fixture_run(suite);
}
