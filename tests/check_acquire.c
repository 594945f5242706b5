/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for every wrapper that acquires, whatever it wraps: each test
 * here is run once for each line of the table in acquirers.c.
 */
#include "config.h"

#include "tests/acquirers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct acquirer *a;
static struct got got;

static size_t blocks(void)
{
	struct reclaim_task_info info;

	ck_works(reclaim_task_info(reclaim_self(), &info));
	return info.blocks;
}

/* ---- recorded, and forgotten ---- */

static void get_and_undo(void)
{
	unsigned before = held();

	acquirer_get(a, &got);
	ck_assert_uint_eq(held(), before + a->handles);
	ck_assert_uint_ge(blocks(), a->blocks);
	ck_assert_msg(a->undo(&got) == 0, "undoing %s: %m", a->name);
	ck_assert_uint_eq(held(), before);
	ck_assert_uint_eq(blocks(), 0);
	acquirer_tidy(a, &got);
	ck_assert_uint_eq(reports(), 0);
}

START_TEST(is_recorded_and_forgotten)
{
	a = &acquirers[_i];
	in_task(get_and_undo);
}
END_TEST

START_TEST(is_recorded_and_forgotten_in_a_thread)
{
	a = &acquirers[_i];
	ck_assert_int_eq(in_thread_of_task(get_and_undo), 0);
}
END_TEST

START_TEST(is_recorded_in_the_root)
{
	a = &acquirers[_i];
	if (strcmp(a->name, "fork") == 0)
		return; /* that is a plain program's own affair */
	get_and_undo();
}
END_TEST

/* ---- cancellation, which is disabled in between ---- */

static void get_and_undo_cancellably(void)
{
	int state;

	get_and_undo();
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	ck_assert_int_eq(state, PTHREAD_CANCEL_ENABLE);
}

START_TEST(leaves_cancellation_enabled)
{
	a = &acquirers[_i];
	ck_assert_int_eq(in_thread_of_task(get_and_undo_cancellably), 0);
}
END_TEST

/* ---- released ---- */

static void get_and_forget(void)
{
	acquirer_get(a, &got);
}

static void tidy_after_the_task(void)
{
	got.size = 0; /* what is the task's has gone with it */
	if (strcmp(a->name, "mkdtemp") == 0)
		rmdir(got.ptr);
	acquirer_tidy(a, &got);
	ck_assert_uint_eq(reports(), 0);
}

START_TEST(is_released_with_the_task)
{
	a = &acquirers[_i];
	in_task(get_and_forget);
	if (!(a->flags & HOLDS_NO_FD) && got.fds[0] >= 0)
		ck_assert(!is_open(got.fds[0]));
	if (a->flags & RUNS_A_PROGRAM && got.pid)
		ck_assert(!is_process(got.pid));
	tidy_after_the_task();
}
END_TEST

START_TEST(is_released_with_the_thread)
{
	a = &acquirers[_i];
	ck_assert_int_eq(in_thread_of_task(get_and_forget), 0);
	tidy_after_the_task();
}
END_TEST

/* ---- in the order of acquisition, backwards ---- */

static struct {
	struct got got;
	unsigned held;
} in_order[100];

static void see_what_is_held(void *arg)
{
	unsigned expected = in_order[(intptr_t)arg].held;

	ck_assert_msg(held() == expected, "before \"%s\": %u handles, not %u",
		      acquirers[(intptr_t)arg].name, held(), expected);
	note('.');
}

static void get_all(void)
{
	int i;

	for (i = 0; i < acquirer_count; i++) {
		if (acquirers[i].flags & SLOW_TO_END)
			continue;
		acquirer_get(&acquirers[i], &in_order[i].got);
		in_order[i].held = held();
		ck_works(reclaim_defer(see_what_is_held, (void *)(intptr_t)i,
				       NULL));
	}
}

START_TEST(are_released_in_reverse_order)
{
	int i, expected = 0;

	in_task(get_all);
	for (i = 0; i < acquirer_count; i++) {
		if (acquirers[i].flags & SLOW_TO_END)
			continue;
		a = &acquirers[i];
		got = in_order[i].got;
		tidy_after_the_task();
		expected++;
	}
	ck_assert_int_eq((int)strlen(noted()), expected);
}
END_TEST

/* ---- errno ---- */

static void get_with_errno_set(void)
{
	acquirer_prepare(a, &got);
	errno = EXDEV;
	ck_assert_msg(a->acquire(&got) == 0, "%s: %m", a->name);
	ck_assert_msg(errno == EXDEV, "%s works and sets errno to %m", a->name);
	ck_assert_int_eq(a->undo(&got), 0);
	acquirer_tidy(a, &got);
}

START_TEST(leaves_errno_alone)
{
	a = &acquirers[_i];
	if (!(a->flags & SETS_ERRNO))
		in_task(get_with_errno_set);
}
END_TEST

/* ---- limits ---- */

static void do_nothing(void *id)
{
	(void)id;
}

static const struct reclaim_kind filler = {.name = "filler",
					   .release = do_nothing};

/* Have the task hold so much that there is room for `room` more. */
static void fill_all_but(unsigned room)
{
	reclaim_token tokens[64];
	unsigned n = 0;

	while (reclaim_track(&filler, NULL, &tokens[n]) == 0)
		n++;
	ck_assert_int_eq(errno, EMFILE);
	while (room--)
		ck_works(reclaim_undefer(tokens[--n], 0));
}

static void expect_refusal(int error)
{
	struct fixture_view *view = fixture_look();
	unsigned before = held();
	char *difference;

	errno = 0;
	ck_assert_msg(a->acquire(&got) < 0, "%s went beyond", a->name);
	if (!(a->flags & SAYS_NO_ERRNO))
		ck_assert_msg(errno == error || errno == EAGAIN, "%s: %m",
			      a->name);
	ck_assert_uint_eq(held(), before);
	difference = fixture_compare(view);
	ck_assert_msg(!difference, "%s:%s", a->name, difference);
	fixture_forget(view);
}

/* In how much room it does not fit: all that is less than it takes. */
static unsigned room_it_takes;

static void measure_room(void)
{
	unsigned prepared;

	acquirer_prepare(a, &got);
	prepared = held();
	ck_assert_msg(a->acquire(&got) == 0, "%s: %m", a->name);
	room_it_takes = held() > prepared ? held() - prepared : 1;
	ck_assert_int_eq(a->undo(&got), 0);
	acquirer_tidy(a, &got);
}

static void get_beyond_the_limit(void)
{
	acquirer_prepare(a, &got);
	fill_all_but(room_it_takes - 1);
	expect_refusal(EMFILE);
	acquirer_tidy(a, &got);
}

START_TEST(is_refused_at_the_limit_of_handles)
{
	struct reclaim_task_opts opts = {.max_handles = 40};

	a = &acquirers[_i];
	if (a->handles == 0)
		return;
	for (in_task(measure_room); room_it_takes > 0; room_it_takes--)
		in_task_with(&opts, get_beyond_the_limit);
}
END_TEST

static void get_beyond_the_bytes(void)
{
	acquirer_prepare(a, &got);
	expect_refusal(ENOMEM);
	acquirer_tidy(a, &got);
}

START_TEST(is_refused_at_the_limit_of_bytes)
{
	struct reclaim_task_opts opts = {.max_bytes = 1};

	a = &acquirers[_i];
	if (a->prepare && strcmp(a->name, "getline") != 0)
		opts.max_bytes = 101; /* realloc, of what is there */
	if (a->blocks)
		in_task_with(&opts, get_beyond_the_bytes);
}
END_TEST

/* ---- who may give back ---- */

static void tidy_and_end(reclaim_tid tid)
{
	end_task(tid);
	tidy_after_the_task();
}

/* Its refusal is told with both tasks' names, and nothing is lost. */
START_TEST(is_not_for_strangers_to_give_back)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid stranger = task_called("stranger");
	unsigned before;

	a = &acquirers[_i];
	work_for(owner);
	acquirer_get(a, &got);
	before = held();
	work_no_longer();
	work_for(stranger);
	if (!(a->flags & NOT_BY_FOREIGN)) {
		errno = 0;
		ck_assert_int_lt(a->undo(&got), 0);
		ck_assert_msg(errno == EBADF || errno == EINVAL, "%s: %m",
			      a->name);
		ck_assert_uint_ge(reports(), 1);
		ck_assert_ptr_nonnull(strstr(last_report(), "owner <"));
		ck_assert_ptr_nonnull(strstr(last_report(), "stranger <"));
		forget_reports();
	}
	work_no_longer();
	ck_assert_uint_eq(held_by(owner), before);
	end_task(stranger);
	tidy_and_end(owner);
}
END_TEST

static void give_back_in(reclaim_tid tid)
{
	work_for(tid);
	ck_assert_msg(a->undo(&got) == 0, "undoing %s: %m", a->name);
	work_no_longer();
}

START_TEST(is_for_those_above_to_give_back)
{
	reclaim_tid above = task_called("above"), owner;

	a = &acquirers[_i];
	work_for(above);
	owner = task_called("owner");
	work_for(owner);
	acquirer_get(a, &got);
	work_no_longer();
	work_no_longer();
	give_back_in(above);
	ck_assert_uint_eq(held_by(owner), 0);
	ck_assert_uint_eq(held_by(above), 0);
	tidy_and_end(above);
}
END_TEST

START_TEST(is_for_those_below_to_give_back)
{
	reclaim_tid owner = task_called("owner"), below;

	a = &acquirers[_i];
	work_for(owner);
	acquirer_get(a, &got);
	below = task_called("below");
	work_no_longer();
	give_back_in(below);
	ck_assert_uint_eq(held_by(owner), 0);
	ck_assert_uint_eq(held_by(below), 0);
	tidy_and_end(owner);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "each");
	int n = acquirer_count;

	tcase_add_loop_test(tcase, is_recorded_and_forgotten, 0, n);
	tcase_add_loop_test(tcase, is_recorded_and_forgotten_in_a_thread, 0, n);
	tcase_add_loop_test(tcase, is_recorded_in_the_root, 0, n);
	tcase_add_loop_test(tcase, leaves_cancellation_enabled, 0, n);
	tcase_add_loop_test(tcase, is_released_with_the_task, 0, n);
	tcase_add_loop_test(tcase, is_released_with_the_thread, 0, n);
	tcase_add_loop_test(tcase, leaves_errno_alone, 0, n);
	tcase_add_loop_test(tcase, is_refused_at_the_limit_of_handles, 0, n);
	tcase_add_loop_test(tcase, is_refused_at_the_limit_of_bytes, 0, n);
	tcase_add_loop_test(tcase, is_not_for_strangers_to_give_back, 0, n);
	tcase_add_loop_test(tcase, is_for_those_above_to_give_back, 0, n);
	tcase_add_loop_test(tcase, is_for_those_below_to_give_back, 0, n);
	tcase = stage_case(suite, "all");
	tcase_add_test(tcase, are_released_in_reverse_order);
}

int main(void)
{
	return stage_run("acquire", fill);
}
