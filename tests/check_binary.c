/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binaries: whose a reference is, how long the bytes stay, and that nobody
 * copies them.
 *
 * Each test acts in a task of its own.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim/binary.h"
#include "reclaim/message.h"

#define MIB ((size_t)1 << 20)

static reclaim_tid self;
static struct reclaim_msg msg;

static void enter_task(void)
{
	self = task_called("self");
	work_for(self);
	memset(&msg, 0, sizeof(msg));
}

static void end_the_task(void)
{
	work_no_longer();
	end_task(self);
	ck_assert_msg(reports() == 0, "%s", last_report());
}

static struct reclaim_bin *make(const char *text)
{
	struct reclaim_bin *bin = reclaim_bin_new(text, strlen(text) + 1);

	ck_assert_ptr_nonnull(bin);
	return bin;
}

static void release(struct reclaim_bin *bin)
{
	ck_works(reclaim_bin_release(bin));
}

static void expect_text(const struct reclaim_bin *bin, const char *text)
{
	ck_assert_uint_eq(reclaim_bin_size(bin), strlen(text) + 1);
	ck_assert_str_eq(reclaim_bin_data(bin), text);
}

/* What was freed is used again, for all sizes that these tests have. */
static void use_again(void)
{
	struct reclaim_bin *bins[128];
	unsigned i;

	for (i = 0; i < 128; i++) {
		bins[i] = reclaim_bin_new(NULL, i % 32);
		memset(reclaim_bin_data(bins[i]), '?', i % 32);
	}
	for (i = 0; i < 128; i++)
		release(bins[i]);
}

/* The message, and the reference in it. */
static struct reclaim_bin *receive_bin(void)
{
	must(reclaim_receive(&msg, 0) == 1);
	must(msg.type == RECLAIM_MSG_BIN && msg.bin);
	must(msg.data == reclaim_bin_data(msg.bin));
	must(msg.len == reclaim_bin_size(msg.bin));
	return msg.bin;
}

static void receive_nothing(void)
{
	ck_assert_int_eq(reclaim_receive(&msg, 0), 0);
}

/* ---- making ---- */

static const size_t sizes[] = {0,   1,	  15,	 16,  17,
			       999, 1008, 16384, MIB, 40 * MIB};
#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

START_TEST(bytes_are_copied_or_to_be_filled)
{
	size_t size = sizes[_i];
	char *bytes = malloc(size + 1);
	struct reclaim_bin *copied, *filled;

	memset(bytes, 'c', size);
	copied = reclaim_bin_new(bytes, size);
	filled = reclaim_bin_new(NULL, size);
	ck_assert_uint_eq(reclaim_bin_size(filled), size);
	ck_assert_uint_eq((uintptr_t)reclaim_bin_data(filled) % 16, 0);
	memset(reclaim_bin_data(filled), 'f', size);
	ck_assert_uint_eq(reclaim_bin_size(copied), size);
	ck_assert_uint_eq((uintptr_t)reclaim_bin_data(copied) % 16, 0);
	ck_assert(memcmp(reclaim_bin_data(copied), bytes, size) == 0);
	ck_assert_ptr_ne(reclaim_bin_data(copied), bytes);
	memset(bytes, 'f', size);
	ck_assert(memcmp(reclaim_bin_data(filled), bytes, size) == 0);
	ck_assert_uint_eq(held(), 2);
	free(bytes);
	release(copied);
	release(filled);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(they_are_not_counted_in_the_task)
{
	struct reclaim_task_info before, after;

	ck_works(reclaim_task_info(self, &before));
	ck_assert_ptr_nonnull(reclaim_bin_new(NULL, MIB));
	ck_works(reclaim_task_info(self, &after));
	ck_assert_uint_eq(after.bytes, before.bytes);
	ck_assert_uint_eq(after.blocks, before.blocks);
	ck_assert_uint_eq(after.handles, before.handles + 1);
}
END_TEST

static volatile size_t absurd[] = {(size_t)1 << 60, PTRDIFF_MAX / 2,
				   (size_t)PTRDIFF_MAX + 1, SIZE_MAX};

START_TEST(there_is_no_memory_for_an_absurd_one)
{
	ck_fails(reclaim_bin_new(NULL, absurd[_i]), NULL, ENOMEM);
	ck_fails(reclaim_bin_new("x", absurd[_i]), NULL, ENOMEM);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* As far as can be told: bytes that are there, and are none. */
START_TEST(what_is_none_is_refused)
{
	uint64_t none[16] = {0};
	struct reclaim_bin *wrong = _i ? (struct reclaim_bin *)none : NULL;

	ck_fails(reclaim_bin_data(wrong), NULL, EINVAL);
	ck_fails(reclaim_bin_size(wrong), 0, EINVAL);
	ck_fails(reclaim_bin_retain(wrong), NULL, EINVAL);
	ck_fails(reclaim_bin_release(wrong), -1, EINVAL);
	ck_fails(reclaim_bin_slice(wrong, 0, 0), NULL, EINVAL);
	ck_fails(reclaim_send_bin(self, wrong), -1, EINVAL);
}
END_TEST

/* ---- slices ---- */

START_TEST(a_slice_is_a_part_of_the_same_bytes)
{
	struct reclaim_bin *bin = make("0123456789");
	struct reclaim_bin *slice = reclaim_bin_slice(bin, 3, 4);
	struct reclaim_bin *inner = reclaim_bin_slice(slice, 1, 3);
	const char *data = reclaim_bin_data(bin);

	ck_assert_uint_eq(held(), 3);
	ck_assert_ptr_ne(slice, bin);
	ck_assert_ptr_eq(reclaim_bin_data(slice), data + 3);
	ck_assert_uint_eq(reclaim_bin_size(slice), 4);
	ck_assert_ptr_eq(reclaim_bin_data(inner), data + 4);
	ck_assert_uint_eq(reclaim_bin_size(inner), 3);
	release(bin);
	release(slice);
	use_again();
	ck_assert(memcmp(reclaim_bin_data(inner), "456", 3) == 0);
	release(inner);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(a_slice_may_be_all_or_nothing)
{
	struct reclaim_bin *bin = make("0123");
	struct reclaim_bin *all = reclaim_bin_slice(bin, 0, 5);
	struct reclaim_bin *none = reclaim_bin_slice(bin, 5, 0);

	expect_text(all, "0123");
	ck_assert_uint_eq(reclaim_bin_size(none), 0);
	ck_assert_ptr_nonnull(reclaim_bin_data(none));
	ck_assert_ptr_nonnull(reclaim_bin_slice(none, 0, 0));
	ck_fails(reclaim_bin_slice(none, 0, 1), NULL, ERANGE);
	ck_works(reclaim_send_bin(self, none));
	ck_assert_uint_eq(reclaim_bin_size(receive_bin()), 0);
	ck_assert_ptr_nonnull(msg.data);
}
END_TEST

START_TEST(a_slice_ends_with_the_bytes)
{
	struct reclaim_bin *bin = make("0123456789");
	struct reclaim_bin *slice = reclaim_bin_slice(bin, 2, 4);

	ck_fails(reclaim_bin_slice(bin, 12, 0), NULL, ERANGE);
	ck_fails(reclaim_bin_slice(bin, 11, 1), NULL, ERANGE);
	ck_fails(reclaim_bin_slice(bin, 0, 12), NULL, ERANGE);
	ck_fails(reclaim_bin_slice(bin, 1, SIZE_MAX), NULL, ERANGE);
	ck_fails(reclaim_bin_slice(bin, SIZE_MAX, 1), NULL, ERANGE);
	ck_fails(reclaim_bin_slice(slice, 0, 5), NULL, ERANGE);
	ck_fails(reclaim_bin_slice(slice, 4, 1), NULL, ERANGE);
	ck_assert_uint_eq(held(), 2);
}
END_TEST

/* ---- retaining and releasing ---- */

START_TEST(each_retain_wants_a_release)
{
	struct reclaim_bin *bin = make("counted"),
			   *slice = reclaim_bin_slice(bin, 0, 3);
	int i;

	for (i = 0; i < 5; i++)
		ck_assert_ptr_eq(reclaim_bin_retain(bin), bin);
	ck_assert_uint_eq(held(), 2);
	for (i = 0; i < 5; i++) {
		release(bin);
		expect_text(bin, "counted");
	}
	ck_assert_uint_eq(held(), 2);
	release(bin);
	ck_assert_uint_eq(held(), 1);
	/* Its memory is there, for the slice. */
	ck_fails(reclaim_bin_release(bin), -1, EINVAL);
	ck_fails(reclaim_bin_retain(bin), NULL, EINVAL);
	ck_fails(reclaim_bin_data(bin), NULL, EINVAL);
	ck_assert(memcmp(reclaim_bin_data(slice), "cou", 3) == 0);
}
END_TEST

/* So large that its memory goes back as it is freed. */
static struct reclaim_bin *large(int byte)
{
	struct reclaim_bin *bin = reclaim_bin_new(NULL, MIB / 10);

	ck_assert_ptr_nonnull(bin);
	memset(reclaim_bin_data(bin), byte, MIB / 10);
	return bin;
}

START_TEST(bytes_stay_for_the_last_reference)
{
	struct reclaim_bin *bin = large('a'), *slice, *others[4];
	int i;

	slice = reclaim_bin_slice(bin, MIB / 20, 3);
	if (_i)
		ck_works(reclaim_send_bin(self, bin));
	release(bin);
	if (_i)
		release(slice);
	for (i = 0; i < 4; i++)
		others[i] = large('b');
	if (_i)
		slice = reclaim_bin_slice(receive_bin(), MIB / 20, 3);
	ck_assert(memcmp(reclaim_bin_data(slice), "aaa", 3) == 0);
	for (i = 0; i < 4; i++)
		release(others[i]);
	ck_assert(memcmp(reclaim_bin_data(slice), "aaa", 3) == 0);
}
END_TEST

START_TEST(it_goes_with_the_task)
{
	int i;

	for (i = 0; i < 30; i++) {
		struct reclaim_bin *bin = make("going");

		ck_assert_ptr_nonnull(reclaim_bin_retain(bin));
		ck_assert_ptr_nonnull(reclaim_bin_slice(bin, 1, 2));
	}
	ck_assert_uint_eq(held(), 60);
	end_the_task();
	enter_task();
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(it_goes_back_to_a_savepoint)
{
	reclaim_mark mark = reclaim_mark_here();
	struct reclaim_bin *bin = make("after"), *slice;

	slice = reclaim_bin_slice(bin, 0, 1);
	release(bin);
	ck_works(reclaim_release_to(mark));
	ck_assert_uint_eq(held(), 0);
	(void)slice;
}
END_TEST

START_TEST(only_kin_may_release)
{
	struct reclaim_bin *bin = make("mine");
	reclaim_tid child = task_called("child"), other;

	work_for(child);
	ck_assert_ptr_nonnull(reclaim_bin_retain(bin));
	release(bin);
	work_no_longer();
	ck_assert_uint_eq(held(), 0);
	bin = make("mine");
	work_no_longer();
	other = task_called("stranger");
	work_for(other);
	ck_fails(reclaim_bin_release(bin), -1, EPERM);
	expect_text(bin, "mine");
	work_no_longer();
	end_task(other);
	work_for(self);
	release(bin);
}
END_TEST

START_TEST(another_task_has_another_reference)
{
	struct reclaim_bin *bin = make("shared"), *its;
	reclaim_tid child = task_called("child");
	const void *data = reclaim_bin_data(bin);

	work_for(child);
	its = reclaim_bin_retain(bin);
	ck_assert_ptr_nonnull(its);
	ck_assert_ptr_ne(its, bin);
	ck_assert_ptr_eq(reclaim_bin_data(its), data);
	ck_assert_uint_eq(held(), 1);
	ck_assert_ptr_eq(reclaim_bin_retain(its), its);
	ck_assert_uint_eq(held(), 1);
	work_no_longer();
	ck_assert_uint_eq(held(), 1);
	release(bin);
	use_again();
	expect_text(its, "shared");
	end_task(child);
}
END_TEST

/* ---- limits ---- */

static void fill_up(void)
{
	struct reclaim_bin *bin = make("one"), *slice;

	slice = reclaim_bin_slice(bin, 0, 1);
	ck_assert_ptr_nonnull(slice);
	ck_fails(reclaim_bin_new("two", 4), NULL, EMFILE);
	ck_fails(reclaim_bin_new(NULL, MIB), NULL, EMFILE);
	ck_fails(reclaim_bin_slice(bin, 0, 2), NULL, EMFILE);
	ck_assert_ptr_eq(reclaim_bin_retain(bin), bin);
	ck_works(reclaim_send_bin(reclaim_self(), bin));
	receive_bin();
	ck_fails(reclaim_bin_retain(msg.bin), NULL, EMFILE);
	ck_fails(reclaim_msg_keep(&msg), NULL, EMFILE);
	expect_text(msg.bin, "one");
	ck_assert_uint_eq(held(), 2);
	release(slice);
	ck_assert_ptr_eq(reclaim_msg_keep(&msg), msg.bin);
	release(bin);
	release(bin);
	expect_text(msg.bin, "one");
}

START_TEST(references_are_handles_and_so_limited)
{
	struct reclaim_task_opts opts = {.max_handles = 2};

	in_task_with(&opts, fill_up);
}
END_TEST

/* ---- in messages ---- */

#define MANY 20

START_TEST(many_have_the_same_bytes)
{
	struct reclaim_bin *bin = make("the same");
	const void *data = reclaim_bin_data(bin);
	reclaim_tid tids[MANY];
	int i;

	for (i = 0; i < MANY; i++) {
		tids[i] = task_called("receiver");
		ck_works(reclaim_send_bin(tids[i], bin));
	}
	release(bin);
	ck_assert_uint_eq(held(), 0);
	use_again();
	for (i = 0; i < MANY; i++) {
		work_for(tids[i]);
		expect_text(receive_bin(), "the same");
		ck_assert_ptr_eq(msg.data, data);
		ck_assert_uint_eq(msg.from, self);
		ck_assert_uint_eq(held(), 0);
		if (i % 3 == 0)
			receive_nothing();
		if (i % 3 == 1)
			ck_assert_ptr_eq(reclaim_bin_retain(msg.bin), msg.bin);
		work_no_longer();
	}
	for (i = 0; i < MANY; i++)
		end_task(tids[i]);
}
END_TEST

START_TEST(a_slice_is_sent_as_it_is)
{
	struct reclaim_bin *bin = make("0123456789");
	struct reclaim_bin *slice = reclaim_bin_slice(bin, 3, 4);
	const char *data = reclaim_bin_data(bin);

	ck_works(reclaim_send_bin(self, slice));
	release(slice);
	release(bin);
	receive_bin();
	ck_assert_ptr_eq(msg.data, data + 3);
	ck_assert_uint_eq(msg.len, 4);
	ck_assert(memcmp(msg.data, "3456", 4) == 0);
	slice = reclaim_bin_slice(msg.bin, 1, 2);
	receive_nothing();
	ck_assert(memcmp(reclaim_bin_data(slice), "45", 2) == 0);
}
END_TEST

START_TEST(what_is_received_goes_by_itself)
{
	struct reclaim_bin *bin = make("by itself");

	ck_works(reclaim_send_bin(self, bin));
	receive_bin();
	ck_assert_ptr_ne(msg.bin, bin);
	ck_assert_uint_eq(held(), 1);
	ck_fails(reclaim_bin_release(msg.bin), -1, EINVAL);
	release(bin);
	expect_text(msg.bin, "by itself");
	receive_nothing();
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* By retain, by keep, or by both. */
START_TEST(what_is_retained_stays)
{
	struct reclaim_bin *bin = make("to stay"), *its;
	const void *data = reclaim_bin_data(bin);

	ck_works(reclaim_send_bin(self, bin));
	release(bin);
	receive_bin();
	its = _i ? reclaim_msg_keep(&msg) : reclaim_bin_retain(msg.bin);
	ck_assert_ptr_eq(its, msg.bin);
	ck_assert_ptr_eq(msg.data, data);
	ck_assert_uint_eq(held(), 1);
	ck_assert_ptr_eq(reclaim_bin_retain(its), its);
	ck_assert_uint_eq(held(), 1);
	receive_nothing();
	receive_nothing();
	use_again();
	expect_text(its, "to stay");
	ck_works(reclaim_send_bin(self, its));
	release(its);
	release(its);
	ck_assert_uint_eq(held(), 0);
	expect_text(receive_bin(), "to stay");
}
END_TEST

START_TEST(only_what_was_received_last_is_kept)
{
	struct reclaim_bin *bin = make("early");
	struct reclaim_msg first;
	int i;

	/* All at once: what is sent later may lie where the first did. */
	for (i = 0; i < 3; i++)
		ck_works(reclaim_send_bin(self, bin));
	receive_bin();
	first = msg;
	receive_bin();
	ck_fails(reclaim_msg_keep(&first), NULL, EINVAL);
	receive_bin();
	ck_fails(reclaim_msg_keep(&first), NULL, EINVAL);
	ck_assert_uint_eq(held(), 1);
	ck_assert_ptr_nonnull(reclaim_msg_keep(&msg));
	ck_assert_uint_eq(held(), 2);
}
END_TEST

START_TEST(in_the_queue_it_is_nobodys_yet)
{
	struct reclaim_bin *bin = make("waiting"), *its;

	ck_works(reclaim_send_bin(self, bin));
	release(bin);
	ck_assert_int_eq(reclaim_msgq_current(&msg), 1);
	expect_text(msg.bin, "waiting");
	ck_fails(reclaim_bin_release(msg.bin), -1, EINVAL);
	its = reclaim_bin_retain(msg.bin);
	ck_assert_ptr_ne(its, msg.bin);
	ck_works(reclaim_msgq_drop());
	expect_text(msg.bin, "waiting");
	receive_nothing();
	use_again();
	expect_text(its, "waiting");
}
END_TEST

START_TEST(a_child_of_the_receiver_has_its_own)
{
	struct reclaim_bin *bin = make("for a child"), *its;
	reclaim_tid child = task_called("child");

	ck_works(reclaim_send_bin(self, bin));
	release(bin);
	receive_bin();
	work_for(child);
	its = reclaim_bin_retain(msg.bin);
	ck_assert_ptr_nonnull(its);
	ck_assert_ptr_ne(its, msg.bin);
	work_no_longer();
	receive_nothing();
	expect_text(its, "for a child");
	end_task(child);
}
END_TEST

START_TEST(the_sender_may_end_first)
{
	reclaim_tid sender = task_called("sender");
	struct reclaim_bin *bin;

	work_for(sender);
	bin = make("of the late");
	ck_works(reclaim_send_bin(self, bin));
	ck_works(reclaim_send_bin(self, reclaim_bin_slice(bin, 3, 9)));
	work_no_longer();
	end_task(sender);
	use_again();
	expect_text(receive_bin(), "of the late");
	ck_assert_uint_eq(msg.from, sender);
	expect_text(receive_bin(), "the late");
}
END_TEST

START_TEST(what_is_not_received_goes_with_the_task)
{
	reclaim_tid other = task_called("other");
	struct reclaim_bin *bin = make("unread");
	int i;

	for (i = 0; i < 5; i++)
		ck_works(reclaim_send_bin(other, bin));
	work_for(other);
	receive_bin();
	ck_assert_uint_eq(reclaim_msgq_len(), 4);
	work_no_longer();
	ck_works(reclaim_send_bin(other, bin));
	end_task(other);
	ck_fails(reclaim_send_bin(other, bin), -1, ESRCH);
	release(bin);
}
END_TEST

/* ---- threads ---- */

#define THREADS 4

static int rounds(void)
{
	return under_valgrind() ? 200 : 10000;
}

static void *retain_and_release(void *shared)
{
	struct reclaim_bin *mine;
	int i;

	for (i = 0; i < rounds(); i++) {
		mine = reclaim_bin_slice(shared, (size_t)i % 7, 1);
		must(mine &&
		     *(char *)reclaim_bin_data(mine) == "shared"[i % 7]);
		must(reclaim_send_bin(self, mine) == 0);
		must(reclaim_bin_release(mine) == 0);
	}
	return NULL;
}

START_TEST(threads_share_them)
{
	struct reclaim_bin *bin = make("shared");
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		ck_works(pthread_create(&threads[i], NULL, retain_and_release,
					bin));
	for (i = 0; i < THREADS * rounds(); i++) {
		must(reclaim_receive(&msg, -1) == 1 && msg.len == 1);
		if (i % 5 == 0)
			must(reclaim_msg_keep(&msg) == msg.bin);
		if (i % 10 == 0)
			must(reclaim_bin_release(msg.bin) == 0);
	}
	for (i = 0; i < THREADS; i++)
		ck_works(pthread_join(threads[i], NULL));
	expect_text(bin, "shared");
}
END_TEST

static struct reclaim_bin *of_thread;

static void *make_and_end(void *arg)
{
	of_thread = reclaim_bin_new("of a thread", 12);
	return arg;
}

START_TEST(it_outlives_the_thread_that_made_it)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 10; i++) {
		ck_works(
			save_pthread_create(&thread, NULL, make_and_end, NULL));
		ck_works(save_pthread_join(thread, NULL));
		expect_text(of_thread, "of a thread");
		if (i % 2)
			release(of_thread);
	}
}
END_TEST

/* ---- reports and forks ---- */

START_TEST(a_report_names_it)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(reclaim_bin_new(NULL, 12345));
	ck_works(reclaim_report(self, out));
	fclose(out);
	ck_assert_msg(strstr(text, "binary") && strstr(text, "12345 bytes"),
		      "no binary of 12345 bytes in: %s", text);
	free(text);
}
END_TEST

START_TEST(a_forked_child_has_it_too)
{
	struct reclaim_bin *bin = make("before");
	int status = -1;
	pid_t pid;

	ck_works(reclaim_send_bin(self, bin));
	pid = save_fork();
	if (pid == 0) {
		must(strcmp(reclaim_bin_data(bin), "before") == 0);
		*(char *)reclaim_bin_data(bin) = 'B';
		must(reclaim_bin_release(bin) == 0);
		must(strcmp(reclaim_bin_data(receive_bin()), "Before") == 0);
		must(reclaim_msg_keep(&msg) == msg.bin);
		reclaim_leave();
		reclaim_end(self, 0);
		exit(0);
	}
	ck_assert_int_eq(save_waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	release(bin);
	expect_text(receive_bin(), "before");
}
END_TEST

static TCase *binary_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, enter_task, end_the_task);
	return tcase;
}

static void fill_references(Suite *suite)
{
	TCase *tcase = binary_case(suite, "making");

	tcase_add_loop_test(tcase, bytes_are_copied_or_to_be_filled, 0, SIZES);
	tcase_add_test(tcase, they_are_not_counted_in_the_task);
	tcase_add_loop_test(tcase, there_is_no_memory_for_an_absurd_one, 0, 4);
	tcase_add_loop_test(tcase, what_is_none_is_refused, 0, 2);

	tcase = binary_case(suite, "slices");
	tcase_add_test(tcase, a_slice_is_a_part_of_the_same_bytes);
	tcase_add_test(tcase, a_slice_may_be_all_or_nothing);
	tcase_add_test(tcase, a_slice_ends_with_the_bytes);

	tcase = binary_case(suite, "references");
	tcase_add_test(tcase, each_retain_wants_a_release);
	tcase_add_loop_test(tcase, bytes_stay_for_the_last_reference, 0, 2);
	tcase_add_test(tcase, it_goes_with_the_task);
	tcase_add_test(tcase, it_goes_back_to_a_savepoint);
	tcase_add_test(tcase, only_kin_may_release);
	tcase_add_test(tcase, another_task_has_another_reference);
	tcase_add_test(tcase, references_are_handles_and_so_limited);
}

static void fill_messages(Suite *suite)
{
	TCase *tcase = binary_case(suite, "in messages");

	tcase_add_test(tcase, many_have_the_same_bytes);
	tcase_add_test(tcase, a_slice_is_sent_as_it_is);
	tcase_add_test(tcase, what_is_received_goes_by_itself);
	tcase_add_loop_test(tcase, what_is_retained_stays, 0, 2);
	tcase_add_test(tcase, only_what_was_received_last_is_kept);
	tcase_add_test(tcase, in_the_queue_it_is_nobodys_yet);
	tcase_add_test(tcase, a_child_of_the_receiver_has_its_own);
	tcase_add_test(tcase, the_sender_may_end_first);
	tcase_add_test(tcase, what_is_not_received_goes_with_the_task);

	tcase = binary_case(suite, "threads");
	tcase_add_test(tcase, threads_share_them);
	tcase_add_test(tcase, it_outlives_the_thread_that_made_it);

	tcase = binary_case(suite, "reports and forks");
	tcase_add_test(tcase, a_report_names_it);
	tcase_add_test(tcase, a_forked_child_has_it_too);
}

static void fill(Suite *suite)
{
	fill_references(suite);
	fill_messages(suite);
}

int main(void)
{
	return stage_run("binary", fill);
}
