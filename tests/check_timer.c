/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: what they send, when at the earliest, and in which order; what
 * cancels them; and the thread that serves them, which is there while it is
 * wanted.
 *
 * That something comes late is no defect, so nothing is said of it.  When a
 * timer is due is known to lie between two looks at the clock.
 */
#include "config.h"

#include "tests/talk.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reclaim/queue_private.h"
#include "reclaim/slots_private.h"

#define MS   UINT64_C(1000000)
#define HOUR (3600 * 1000 * MS)

/* ---- threads are counted, and may be refused ---- */

static atomic_uint threads_made;
static atomic_bool no_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg)
{
	if (no_threads)
		return EAGAIN;
	atomic_fetch_add(&threads_made, 1);
	return __real_pthread_create(thread, attr, run, arg);
}

/* ---- timers, and when they are due ---- */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

struct timed {
	uint64_t ref;
	uint64_t earliest, latest; /* when it is due */
};

static struct timed set(uint64_t after, reclaim_tid dst, const char *text,
			int enveloped)
{
	struct timed timed;

	timed.earliest = now() + after;
	timed.ref = reclaim_timer_add(after, dst, text, strlen(text) + 1,
				      enveloped);
	timed.latest = now() + after;
	ck_assert_msg(timed.ref != 0, "no timer: %m");
	return timed;
}

static uint64_t set_far(reclaim_tid dst)
{
	return set(HOUR, dst, "far", 1).ref;
}

static void expect_timeout(const struct timed *timed, const char *text)
{
	receive_next();
	ck_assert_uint_ge(now(), timed->earliest);
	ck_assert_int_eq(msg.type, RECLAIM_MSG_TIMEOUT);
	ck_assert_uint_eq(msg.ref, timed->ref);
	ck_assert_str_eq(msg.data, text);
	ck_assert_uint_eq(msg.len, strlen(text) + 1);
}

static void expect_gone(uint64_t ref)
{
	int64_t left = -7;

	ck_fails(reclaim_timer_read(ref, &left), -1, ENOENT);
	ck_fails(reclaim_timer_cancel(ref, &left), -1, ENOENT);
	ck_fails(reclaim_timer_cancel(ref, NULL), -1, ENOENT);
	ck_assert_int_eq(left, -7);
}

/* ---- one ---- */

static const uint64_t delays[] = {
	0, 1, 1000, 77777, 1 * MS, 3 * MS + 1, 20 * MS, 50 * MS,
};

START_TEST(a_timer_is_never_early)
{
	struct timed timed;
	int i;

	for (i = 0; i < 10; i++) {
		timed = set(delays[_i], root, "due", 1);
		expect_timeout(&timed, "due");
		ck_assert_uint_eq(msg.from, root);
		expect_gone(timed.ref);
	}
	expect_nothing();
}
END_TEST

START_TEST(a_bare_one_is_a_message)
{
	struct timed timed = set(delays[_i], root, "bare", 0);

	expect_text("bare");
	ck_assert_uint_ge(now(), timed.earliest);
	ck_assert_uint_eq(msg.from, root);
	ck_assert_uint_eq(msg.ref, 0);
	expect_gone(timed.ref);
}
END_TEST

START_TEST(bytes_are_copied)
{
	static unsigned char bytes[100000];
	size_t sizes[] = {0, 1, 16, 1000, sizeof(bytes)}, i;

	for (i = 0; i < 5; i++) {
		memset(bytes, 'a', sizeof(bytes));
		ck_assert(reclaim_timer_add(MS, root, bytes, sizes[i], 1));
		memset(bytes, 'b', sizeof(bytes));
		receive_next();
		ck_assert_uint_eq(msg.len, sizes[i]);
		ck_assert_ptr_nonnull(msg.data);
		ck_assert_uint_eq((uintptr_t)msg.data % 16, 0);
		memset(bytes, 'a', sizeof(bytes));
		ck_assert_int_eq(memcmp(msg.data, bytes, sizes[i]), 0);
	}
}
END_TEST

START_TEST(no_bytes_need_no_data)
{
	ck_assert(reclaim_timer_add(0, root, NULL, 0, 0));
	receive_next();
	ck_assert_uint_eq(msg.len, 0);
	ck_fails(reclaim_timer_add(0, root, NULL, 1, 0), 0, EINVAL);
	ck_fails(reclaim_timer_add(HOUR, root, NULL, 1, 1), 0, EINVAL);
	ck_fails(reclaim_timer_add(HOUR, root, "", SIZE_MAX, 1), 0, ENOMEM);
	ck_fails(reclaim_timer_add(HOUR, root, "", SIZE_MAX / 2 - 8, 1), 0,
		 ENOMEM);
	expect_nothing();
}
END_TEST

START_TEST(a_timer_outlives_who_set_it)
{
	struct timed timed;
	reclaim_tid a = task_called("a");

	work_for(a);
	timed = set(5 * MS, root, "from a", 1);
	work_no_longer();
	end_task(a);
	expect_timeout(&timed, "from a");
	ck_assert_uint_eq(msg.from, a);
}
END_TEST

START_TEST(a_timer_is_anothers)
{
	struct timed timed;
	reclaim_tid a = task_called("a");

	timed = set(MS, a, "to a", 1);
	work_for(a);
	expect_timeout(&timed, "to a");
	ck_assert_uint_eq(msg.from, root);
	work_no_longer();
	expect_nothing();
	end_task(a);
}
END_TEST

START_TEST(a_full_queue_is_none)
{
	static const struct reclaim_task_opts opts = {.max_messages = 1};
	reclaim_tid a = reclaim_task_new(&opts);
	struct timed timed;

	ck_works(reclaim_send(a, "one", 4));
	ck_fails(reclaim_send(a, "two", 4), -1, EAGAIN);
	timed = set(0, a, "late", 1);
	work_for(a);
	expect_text("one");
	expect_timeout(&timed, "late");
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(who_polls_is_told)
{
	struct timed timed;
	struct pollfd polled = {.events = POLLIN};
	reclaim_tid a = task_called("a");

	work_for(a);
	polled.fd = reclaim_msgq_fd();
	ck_assert_int_ge(polled.fd, 0);
	expect_nothing();
	timed = set(5 * MS, a, "poll", 1);
	ck_assert_int_eq(poll(&polled, 1, LONG_MS), 1);
	ck_assert_uint_ge(now(), timed.earliest);
	ck_assert_int_eq(reclaim_receive(&msg, 0), 1);
	work_no_longer();
	end_task(a);
}
END_TEST

START_TEST(nobody_has_no_timer)
{
	reclaim_tid a = task_called("a");

	end_task(a);
	ck_fails(reclaim_timer_add(0, a, "", 1, 0), 0, ESRCH);
	ck_fails(reclaim_timer_add(0, 0, "", 1, 0), 0, ESRCH);
	ck_fails(reclaim_timer_add(0, root + (UINT64_C(1) << 40), "", 1, 0), 0,
		 ESRCH);
	ck_fails(reclaim_timer_cancel_by_receiver(a), -1, ESRCH);
	ck_fails(reclaim_timer_cancel_by_receiver(0), -1, ESRCH);
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
}
END_TEST

/* ---- how long still ---- */

static void expect_left(int64_t left, const struct timed *timed, uint64_t then)
{
	uint64_t later = now();

	ck_assert_int_ge(left, 0);
	ck_assert_uint_ge((uint64_t)left + later, timed->earliest);
	ck_assert_uint_le((uint64_t)left + then, timed->latest);
}

START_TEST(time_left_is_told)
{
	struct timed timed = set(HOUR, root, "far", 1);
	int64_t left, last = (int64_t)HOUR;
	uint64_t then;
	int i;

	for (i = 0; i < 100; i++) {
		then = now();
		ck_works(reclaim_timer_read(timed.ref, &left));
		expect_left(left, &timed, then);
		ck_assert_int_le(left, last);
		last = left;
		ck_works(reclaim_timer_read(timed.ref, NULL));
	}
	then = now();
	ck_works(reclaim_timer_cancel(timed.ref, &left));
	expect_left(left, &timed, then);
	ck_assert_int_le(left, last);
	expect_gone(timed.ref);
}
END_TEST

/* At any moment around the time that it fires. */
START_TEST(time_left_is_not_negative)
{
	struct timed timed;
	int64_t left;
	unsigned i;

	for (i = 0; i < 200; i++) {
		timed = set(i * 1000, root, "near", 1);
		while (reclaim_timer_read(timed.ref, &left) == 0) {
			ck_assert_int_ge(left, 0);
			ck_assert_int_le(left, i * 1000);
		}
		expect_timeout(&timed, "near");
	}
}
END_TEST

START_TEST(closest_is_the_first_to_fire)
{
	struct timed first, second;
	uint64_t then, left;

	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
	second = set(2 * HOUR, root, "second", 1);
	first = set(HOUR, root, "first", 1);
	then = now();
	left = reclaim_timer_closest();
	expect_left((int64_t)left, &first, then);
	ck_works(reclaim_timer_cancel(first.ref, NULL));
	then = now();
	left = reclaim_timer_closest();
	expect_left((int64_t)left, &second, then);
	ck_works(reclaim_timer_cancel(second.ref, NULL));
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
}
END_TEST

START_TEST(for_ever_is_long)
{
	static const uint64_t longest[] = {
		UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 1};
	uint64_t refs[4], left;
	struct timed near;
	int64_t time;
	int i;

	for (i = 0; i < 4; i++) {
		refs[i] = reclaim_timer_add(longest[i], root, "", 1, 1);
		ck_assert_uint_ne(refs[i], 0);
		ck_works(reclaim_timer_read(refs[i], &time));
		ck_assert_int_gt(time, (int64_t)(1000000 * HOUR));
	}
	left = reclaim_timer_closest();
	ck_assert_uint_gt(left, 1000000 * HOUR);
	ck_assert_uint_lt(left, UINT64_MAX);
	/* Whoever sleeps until then is woken for a nearer one. */
	near = set(MS, root, "near", 1);
	expect_timeout(&near, "near");
	for (i = 0; i < 4; i++)
		ck_works(reclaim_timer_cancel(refs[i], NULL));
}
END_TEST

/* ---- cancelling ---- */

START_TEST(what_is_cancelled_does_not_come)
{
	struct timed timed;
	uint64_t ref = set(20 * MS, root, "never", 1).ref;

	ck_works(reclaim_timer_cancel(ref, NULL));
	expect_gone(ref);
	timed = set(20 * MS, root, "ever", 1);
	ck_assert_uint_ne(timed.ref, ref);
	expect_gone(ref);
	expect_timeout(&timed, "ever");
	expect_nothing();
}
END_TEST

START_TEST(no_reference_is_none)
{
	uint64_t ref = set_far(root);

	expect_gone(0);
	expect_gone(UINT64_MAX);
	expect_gone(ref + 1);
	expect_gone(ref ^ UINT64_C(1) << 63);
	ck_works(reclaim_timer_cancel(ref, NULL));
}
END_TEST

static void *cancel_one(void *arg)
{
	must(reclaim_timer_cancel(*(uint64_t *)arg, NULL) == 0);
	return arg;
}

/* The slot of the only timer there is begins it, and is the next one's. */
START_TEST(a_reference_is_one_however_many_there_were)
{
	struct slot *slot;

	set_far(root);
	slot = (struct slot *)queue_find(root)->timers;
	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(root), 1);
	slot->id = slot_index(slot) | (uint64_t)INT32_MAX << 32;
	ck_works(reclaim_timer_cancel(set_far(root), NULL));
}
END_TEST

START_TEST(anybody_may_cancel)
{
	reclaim_tid a = task_called("a");
	uint64_t ref = set_far(root);
	pthread_t thread;

	work_for(a);
	ck_works(reclaim_timer_cancel(ref, NULL));
	work_no_longer();
	ref = set_far(a);
	ck_works(pthread_create(&thread, NULL, cancel_one, &ref));
	ck_works(pthread_join(thread, NULL));
	expect_gone(ref);
	end_task(a);
}
END_TEST

START_TEST(those_for_one_task_are_cancelled)
{
	reclaim_tid a = task_called("a"), b = task_called("b");
	uint64_t for_a[10], for_b[10];
	int i;

	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(a), 0);
	for (i = 0; i < 10; i++) {
		for_a[i] = set_far(a);
		for_b[i] = set_far(b);
	}
	ck_works(reclaim_timer_cancel(for_a[0], NULL));
	ck_works(reclaim_timer_cancel(for_a[5], NULL));
	ck_works(reclaim_timer_cancel(for_a[9], NULL));
	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(a), 7);
	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(a), 0);
	for (i = 0; i < 10; i++) {
		expect_gone(for_a[i]);
		ck_works(reclaim_timer_read(for_b[i], NULL));
	}
	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(b), 10);
	end_task(a);
	end_task(b);
}
END_TEST

START_TEST(a_task_that_ends_takes_its_timers)
{
	reclaim_tid a = task_called("a"), b = task_called("b");
	uint64_t for_a[100], for_b;
	int i;

	for_b = set_far(b);
	for (i = 0; i < 100; i++)
		for_a[i] = set((uint64_t)i * MS, a, "late", i % 2).ref;
	end_task(a);
	for (i = 0; i < 100; i++)
		expect_gone(for_a[i]);
	ck_assert_uint_gt(reclaim_timer_closest(), 100 * MS);
	ck_works(reclaim_timer_read(for_b, NULL));
	end_task(b);
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
	expect_gone(for_b);
}
END_TEST

/* Also where its slot is another's at once. */
START_TEST(the_next_task_has_none_of_them)
{
	reclaim_tid a;
	int i;

	for (i = 0; i < 200; i++) {
		a = task_called("a");
		work_for(a);
		expect_nothing();
		work_no_longer();
		ck_assert_int_eq(reclaim_timer_cancel_by_receiver(a), 0);
		set((uint64_t)i * 1000, a, "late", 0);
		end_task(a);
	}
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
}
END_TEST

/* ---- many ---- */

#define MANY 10000

/* Who is sure to be due before another comes before it. */
START_TEST(they_come_in_their_order)
{
	uint64_t state = fixture_seed(), after, latest_seen = 0;
	unsigned i, n, count = times(MANY, 1000);
	struct timed *timed = calloc(count, sizeof(*timed));

	for (i = 0; i < count; i++) {
		after = fixture_random(&state) % 4
				? fixture_random(&state) % (60 * MS)
				: 30 * MS;
		timed[i].earliest = now() + after;
		timed[i].ref =
			reclaim_timer_add(after, root, &i, sizeof(i), i % 2);
		timed[i].latest = now() + after;
		ck_assert_uint_ne(timed[i].ref, 0);
	}
	for (n = 0; n < count; n++) {
		receive_next();
		ck_assert_uint_eq(msg.len, sizeof(i));
		memcpy(&i, msg.data, sizeof(i));
		ck_assert_uint_lt(i, count);
		ck_assert_uint_ne(timed[i].ref, 0);
		ck_assert_uint_eq(msg.ref, i % 2 ? timed[i].ref : 0);
		timed[i].ref = 0;
		ck_assert_uint_ge(now(), timed[i].earliest);
		ck_assert_uint_ge(timed[i].latest, latest_seen);
		if (timed[i].earliest > latest_seen)
			latest_seen = timed[i].earliest;
	}
	expect_nothing();
	free(timed);
}
END_TEST

/* The closest is what a list of all says. */
#define LIVE 150

static void expect_closest(const struct timed *timed)
{
	uint64_t earliest = UINT64_MAX, latest = UINT64_MAX, then, left;
	int i;

	then = now();
	left = reclaim_timer_closest();
	for (i = 0; i < LIVE; i++) {
		if (!timed[i].ref)
			continue;
		if (timed[i].earliest < earliest)
			earliest = timed[i].earliest;
		if (timed[i].latest < latest)
			latest = timed[i].latest;
	}
	if (latest == UINT64_MAX) {
		ck_assert_uint_eq(left, UINT64_MAX);
		return;
	}
	ck_assert_uint_le(left + then, latest);
	ck_assert_uint_ge(left + now(), earliest);
}

START_TEST(the_closest_is_known_after_any_step)
{
	uint64_t state = fixture_seed();
	unsigned step, steps = times(50000, 5000), at;
	struct timed timed[LIVE] = {{0}};

	for (step = 0; step < steps; step++) {
		at = (unsigned)(fixture_random(&state) % LIVE);
		if (timed[at].ref) {
			ck_works(reclaim_timer_cancel(timed[at].ref, NULL));
			timed[at].ref = 0;
		} else {
			timed[at] = set(HOUR + fixture_random(&state) % HOUR,
					root, "far", 1);
		}
		expect_closest(timed);
	}
	for (at = 0; at < LIVE; at++)
		if (timed[at].ref)
			ck_works(reclaim_timer_cancel(timed[at].ref, NULL));
}
END_TEST

START_TEST(a_million_are_armed_and_cancelled)
{
	enum { WINDOW = 1000 };
	uint64_t state = fixture_seed(), refs[WINDOW] = {0};
	unsigned i, count = times(1000000, 10000);

	for (i = 0; i < count + WINDOW; i++) {
		uint64_t *ref = &refs[i % WINDOW];

		if (*ref)
			must(reclaim_timer_cancel(*ref, NULL) == 0);
		*ref = 0;
		if (i >= count)
			continue;
		*ref = reclaim_timer_add(HOUR + fixture_random(&state) % HOUR,
					 root, &i, sizeof(i), i % 2);
		must(*ref);
	}
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
	expect_nothing();
}
END_TEST

/* ---- cancelling while they fire ---- */

#define THREADS	 4
#define CONTESTS 2000

static _Atomic uint64_t contested[CONTESTS];
static atomic_int cancelled[CONTESTS];
static unsigned contests;

static void *cancel_any(void *arg)
{
	uint64_t state = fixture_seed() + (uintptr_t)arg, ref;
	unsigned i, n;

	for (n = 0; n < 10 * contests; n++) {
		i = (unsigned)(fixture_random(&state) % contests);
		ref = contested[i];
		if (ref && reclaim_timer_cancel(ref, NULL) == 0)
			atomic_fetch_add(&cancelled[i], 1);
	}
	return arg;
}

static unsigned receive_all_due(int *arrived)
{
	unsigned n = 0, i;

	while (reclaim_receive(&msg, 0) == 1) {
		memcpy(&i, msg.data, sizeof(i));
		arrived[i]++;
		n++;
	}
	return n;
}

START_TEST(each_is_cancelled_or_comes)
{
	static int arrived[CONTESTS];
	uint64_t state = fixture_seed();
	pthread_t threads[THREADS];
	uintptr_t t;
	unsigned i;

	contests = times(CONTESTS, 300);
	memset(arrived, 0, sizeof(arrived));
	for (i = 0; i < contests; i++) {
		contested[i] = 0;
		cancelled[i] = 0;
	}
	for (t = 0; t < THREADS; t++)
		ck_works(pthread_create(&threads[t], NULL, cancel_any,
					(void *)t));
	for (i = 0; i < contests; i++)
		contested[i] =
			reclaim_timer_add(fixture_random(&state) % (5 * MS),
					  root, &i, sizeof(i), 1);
	for (t = 0; t < THREADS; t++)
		ck_works(pthread_join(threads[t], NULL));
	while (reclaim_timer_closest() != UINT64_MAX)
		let_others();
	receive_all_due(arrived);
	for (i = 0; i < contests; i++) {
		ck_assert_int_eq(cancelled[i] + arrived[i], 1);
		expect_gone(contested[i]);
	}
}
END_TEST

static int has_ref(const struct reclaim_msg *seen, void *ref)
{
	return seen->type == RECLAIM_MSG_TIMEOUT &&
	       seen->ref == *(uint64_t *)ref;
}

/* Who finds that a timer is gone finds its message. */
static void *cancel_ones_own(void *arg)
{
	uint64_t state = fixture_seed() + (uintptr_t)arg, ref;
	unsigned i, count = times(5000, 300);
	reclaim_tid tid = reclaim_task_new(NULL);
	struct reclaim_msg got;
	bool fired;

	must(reclaim_enter(tid) == 0);
	for (i = 0; i < count; i++) {
		ref = reclaim_timer_add(fixture_random(&state) % 60000, tid, "",
					1, 1);
		must(ref);
		while (fixture_random(&state) % 32)
			let_others();
		fired = reclaim_timer_cancel(ref, NULL) != 0;
		must(reclaim_receive_match(has_ref, &ref, &got, 0) == fired);
	}
	must(reclaim_msgq_len() == 0);
	must(reclaim_leave() == 0);
	must(reclaim_end(tid, 0) == 0);
	return arg;
}

START_TEST(what_was_not_cancelled_is_there)
{
	pthread_t threads[THREADS];
	uintptr_t t;

	for (t = 0; t < THREADS; t++)
		ck_works(pthread_create(&threads[t], NULL, cancel_ones_own,
					(void *)t));
	for (t = 0; t < THREADS; t++)
		ck_works(pthread_join(threads[t], NULL));
}
END_TEST

/* ---- the thread ---- */

static void expect_thread_gone(const struct fixture_view *before)
{
	char *found = fixture_compare(before);

	ck_assert_msg(!found, "%s", found);
}

START_TEST(one_thread_serves_all)
{
	struct timed timed[10];
	uint64_t far;
	int i;

	threads_made = 0;
	far = set_far(root);
	for (i = 0; i < 10; i++)
		timed[i] = set((uint64_t)i * 3 * MS, root, "x", 1);
	for (i = 0; i < 10; i++)
		expect_timeout(&timed[i], "x");
	for (i = 0; i < 100; i++)
		ck_works(reclaim_timer_cancel(set_far(root), NULL));
	ck_works(reclaim_timer_cancel(far, NULL));
	ck_assert_uint_eq(threads_made, 1);
}
END_TEST

START_TEST(it_goes_and_comes_again)
{
	struct fixture_view *before = fixture_look();
	struct timed timed;
	int i;

	for (i = 0; i < 3; i++) {
		threads_made = 0;
		timed = set(MS, root, "x", 1);
		expect_timeout(&timed, "x");
		expect_thread_gone(before);
		ck_assert_uint_eq(threads_made, 1);
	}
	fixture_forget(before);
}
END_TEST

START_TEST(it_goes_when_the_last_is_cancelled)
{
	struct fixture_view *before = fixture_look();
	reclaim_tid a = task_called("a");

	ck_works(reclaim_timer_cancel(set_far(root), NULL));
	set_far(a);
	set_far(a);
	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(a), 2);
	set_far(a);
	end_task(a);
	expect_thread_gone(before);
	ck_works(reclaim_timer_cancel(set_far(root), NULL));
	expect_thread_gone(before);
	fixture_forget(before);
}
END_TEST

/* With a pause about as long as it stays: whichever it is, none is lost. */
START_TEST(none_is_lost_as_it_goes)
{
	struct timespec pause = {.tv_nsec = 0};
	struct timed timed;
	int i;

	for (i = 0; i < 12; i++) {
		pause.tv_nsec = (long)((99 + (unsigned)i % 4) * MS);
		timed = set(0, root, "x", 1);
		expect_timeout(&timed, "x");
		nanosleep(&pause, NULL);
	}
}
END_TEST

START_TEST(without_a_thread_there_is_none)
{
	struct timed timed;

	no_threads = true;
	ck_fails(reclaim_timer_add(0, root, "x", 2, 1), 0, EAGAIN);
	ck_fails(reclaim_timer_add(HOUR, root, "x", 2, 0), 0, EAGAIN);
	no_threads = false;
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
	ck_assert_int_eq(reclaim_timer_cancel_by_receiver(root), 0);
	timed = set(0, root, "y", 1);
	expect_timeout(&timed, "y");
	expect_nothing();
}
END_TEST

/* Signals are the program's threads' alone. */
static void count_signal(int signal)
{
	(void)signal;
	must(reclaim_timer_closest() != 0);
}

START_TEST(it_takes_no_signals)
{
	sigset_t one, before;
	struct timespec none = {0};
	uint64_t ref;
	int i;

	signal(SIGUSR1, count_signal);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	ref = set_far(root);
	pthread_sigmask(SIG_BLOCK, &one, &before);
	for (i = 0; i < 10; i++) {
		kill(getpid(), SIGUSR1);
		ck_assert_int_eq(sigtimedwait(&one, NULL, &none), SIGUSR1);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	signal(SIGUSR1, SIG_DFL);
	ck_works(reclaim_timer_cancel(ref, NULL));
}
END_TEST

#ifndef __SANITIZE_THREAD__
/* ---- fork ---- */

static void use_timers_in_child(uint64_t ref)
{
	struct reclaim_msg got;
	uint64_t then = now();

	must(reclaim_timer_closest() == UINT64_MAX);
	must(reclaim_timer_cancel(ref, NULL) == -1 && errno == ENOENT);
	must(reclaim_timer_cancel_by_receiver(reclaim_self()) == 0);
	ref = reclaim_timer_add(20 * MS, reclaim_self(), "child", 6, 1);
	must(ref);
	must(reclaim_receive(&got, LONG_MS) == 1);
	must(now() >= then + 20 * MS);
	must(got.ref == ref && memcmp(got.data, "child", 6) == 0);
	must(reclaim_receive(&got, 0) == 0);
}

START_TEST(a_child_has_timers_of_its_own)
{
	struct timed timed;
	uint64_t far, others;
	reclaim_tid a = task_called("a");
	int status;
	pid_t pid;

	far = set_far(root);
	others = set_far(a);
	timed = set(10 * MS, root, "parent", 1);
	pid = fork();
	if (pid == 0) {
		must(reclaim_timer_read(others, NULL) == -1);
		use_timers_in_child(far);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_timeout(&timed, "parent");
	ck_works(reclaim_timer_cancel(far, NULL));
	ck_works(reclaim_timer_cancel(others, NULL));
	end_task(a);
}
END_TEST

/* While they fire. */
START_TEST(any_moment_is_good_for_a_fork)
{
	static int arrived[CONTESTS];
	unsigned i, n, forks = times(50, 5);
	int status;
	pid_t pid;

	memset(arrived, 0, sizeof(arrived));
	for (n = 0; n < forks; n++) {
		for (i = 0; i < 20; i++)
			ck_assert(reclaim_timer_add(i * 10000, root, &i,
						    sizeof(i), 1));
		pid = fork();
		if (pid == 0) {
			while (reclaim_receive(&msg, 0) == 1)
				;
			use_timers_in_child(0);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	while (reclaim_timer_closest() != UINT64_MAX)
		let_others();
	receive_all_due(arrived);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(arrived[i], (int)forks);
}
END_TEST
#endif

static void fill_one(Suite *suite)
{
	int count = (int)(sizeof(delays) / sizeof(delays[0]));
	TCase *tcase = talk_case(suite, "one");

	tcase_add_loop_test(tcase, a_timer_is_never_early, 0, count);
	tcase_add_loop_test(tcase, a_bare_one_is_a_message, 0, count);
	tcase_add_test(tcase, bytes_are_copied);
	tcase_add_test(tcase, no_bytes_need_no_data);
	tcase_add_test(tcase, a_timer_outlives_who_set_it);
	tcase_add_test(tcase, a_timer_is_anothers);
	tcase_add_test(tcase, a_full_queue_is_none);
	tcase_add_test(tcase, who_polls_is_told);
	tcase_add_test(tcase, nobody_has_no_timer);
}

static void fill_cancel(Suite *suite)
{
	TCase *tcase = talk_case(suite, "cancel");

	tcase_add_test(tcase, what_is_cancelled_does_not_come);
	tcase_add_test(tcase, no_reference_is_none);
	tcase_add_test(tcase, a_reference_is_one_however_many_there_were);
	tcase_add_test(tcase, anybody_may_cancel);
	tcase_add_test(tcase, those_for_one_task_are_cancelled);
	tcase_add_test(tcase, a_task_that_ends_takes_its_timers);
	tcase_add_test(tcase, the_next_task_has_none_of_them);
	tcase_add_test(tcase, each_is_cancelled_or_comes);
	tcase_add_test(tcase, what_was_not_cancelled_is_there);
}

static void fill(Suite *suite)
{
	TCase *tcase;

	fill_one(suite);

	tcase = talk_case(suite, "time left");
	tcase_add_test(tcase, time_left_is_told);
	tcase_add_test(tcase, time_left_is_not_negative);
	tcase_add_test(tcase, closest_is_the_first_to_fire);
	tcase_add_test(tcase, for_ever_is_long);

	fill_cancel(suite);

	tcase = talk_case(suite, "many");
	tcase_add_test(tcase, they_come_in_their_order);
	tcase_add_test(tcase, the_closest_is_known_after_any_step);
	tcase_add_test(tcase, a_million_are_armed_and_cancelled);

	tcase = talk_case(suite, "thread");
	tcase_add_test(tcase, one_thread_serves_all);
	tcase_add_test(tcase, it_goes_and_comes_again);
	tcase_add_test(tcase, it_goes_when_the_last_is_cancelled);
	tcase_add_test(tcase, none_is_lost_as_it_goes);
	tcase_add_test(tcase, without_a_thread_there_is_none);
	tcase_add_test(tcase, it_takes_no_signals);

#ifndef __SANITIZE_THREAD__ /* which has no threads after such a fork */
	tcase = talk_case(suite, "fork");
	tcase_add_test(tcase, a_child_has_timers_of_its_own);
	tcase_add_test(tcase, any_moment_is_good_for_a_fork);
#endif
}

int main(void)
{
	return stage_run("timer", fill);
}
