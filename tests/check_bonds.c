/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Monitors and links: who is told of a task's end, when, and with what; and
 * who ends by it.  The order among other messages is in check_signals.c.
 */
#include "config.h"

#include "tests/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static reclaim_tid a, b, c;
static uint64_t ref;
static sem_t gate, there;

static void close_gates(void)
{
	sem_init(&gate, 0, 0);
	sem_init(&there, 0, 0);
}

static void destroy_gates(void)
{
	sem_destroy(&gate);
	sem_destroy(&there);
}

static int receive_for_ever(int argc, char **argv, char **envp)
{
	struct reclaim_msg any;

	(void)argc;
	(void)argv;
	(void)envp;
	sem_post(&there);
	while (reclaim_receive(&any, -1) == 1)
		;
	return 99;
}

static pthread_t other;

static void start_other(void *(*run)(void *))
{
	ck_works(pthread_create(&other, NULL, run, NULL));
}

static void join_other(void)
{
	ck_works(pthread_join(other, NULL));
}

/* ---- each way to end ---- */

static int return_7(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	sem_wait(&gate);
	return 7;
}

static int exit_7(int argc, char **argv, char **envp)
{
	return_7(argc, argv, envp);
	reclaim_exit(7);
}

static int save_exit_7(int argc, char **argv, char **envp)
{
	return_7(argc, argv, envp);
	save_exit(7);
}

static int exit_thread(int argc, char **argv, char **envp)
{
	return_7(argc, argv, envp);
	pthread_exit(NULL);
}

static int end_oneself(int argc, char **argv, char **envp)
{
	return_7(argc, argv, envp);
	reclaim_end(reclaim_self(), 7);
	return 8;
}

static void open_gate(reclaim_tid tid)
{
	(void)tid;
	sem_post(&gate);
}

static void end_with_7(reclaim_tid tid)
{
	ck_works(reclaim_end(tid, 7));
}

static void kill_it(reclaim_tid tid)
{
	ck_works(reclaim_kill(tid));
}

static void end_parent(reclaim_tid tid)
{
	struct reclaim_task_info info;

	ck_works(reclaim_task_info(tid, &info));
	ck_works(reclaim_end(info.parent, 7));
}

static const struct {
	int (*entry)(int argc, char **argv, char **envp); /* NULL: no thread */
	void (*end)(reclaim_tid tid);
	int status;
} ways[] = {
	{return_7, open_gate, 7},
	{exit_7, open_gate, 7},
	{save_exit_7, open_gate, 7},
	{exit_thread, open_gate, 0},
	{end_oneself, open_gate, 7},
	{receive_for_ever, end_with_7, 7},
	{receive_for_ever, kill_it, RECLAIM_KILLED},
	{receive_for_ever, end_parent, RECLAIM_KILLED},
	{return_7, end_parent, RECLAIM_KILLED},
	{NULL, end_with_7, 7},
	{NULL, kill_it, RECLAIM_KILLED},
	{NULL, end_parent, RECLAIM_KILLED},
};

#define WAYS ((int)(sizeof(ways) / sizeof(ways[0])))

/* A child of `b`. */
static void make_one(int way)
{
	b = task_called("parent");
	work_for(b);
	a = ways[way].entry ? spawned(ways[way].entry) : below(0);
	work_no_longer();
}

START_TEST(each_way_to_end_is_told)
{
	make_one(_i);
	ref = monitor(a);
	ways[_i].end(a);
	expect_down(ref, a, ways[_i].status);
	ck_assert(!exists(a));
	reclaim_end(b, 0);
	expect_nothing();
}
END_TEST

START_TEST(each_way_to_end_breaks_a_link)
{
	make_one(_i);
	c = task_called("linked");
	link_from(c, a);
	ref = monitor(ways[_i].status ? c : a);
	ways[_i].end(a);
	expect_down(ref, ways[_i].status ? c : a, ways[_i].status);
	if (!ways[_i].status) {
		ck_assert_int_eq(reclaim_links(c, NULL, 0), 0);
		end_task(c);
	}
	reclaim_end(b, 0);
	expect_nothing();
}
END_TEST

/* ---- monitors ---- */

START_TEST(each_monitor_is_told)
{
	uint64_t second;

	a = task_called("a");
	ref = monitor(a);
	second = monitor(a);
	ck_assert_uint_ne(ref, second);
	end_with_7(a);
	receive_next();
	ck_assert(msg.ref == ref || msg.ref == second);
	expect_down(ref + second - msg.ref, a, 7);
	expect_nothing();
}
END_TEST

START_TEST(a_reference_is_not_used_again)
{
	uint64_t before = 0;
	int i;

	a = task_called("a");
	for (i = 0; i < 100; i++) {
		ref = monitor(a);
		ck_assert_uint_ne(ref, before);
		ck_works(reclaim_demonitor(ref, 0));
		ck_fails(reclaim_demonitor(ref, 1), -1, ENOENT);
		before = ref;
	}
	end_task(a);
}
END_TEST

START_TEST(a_monitor_is_one_way)
{
	a = task_called("a");
	b = task_called("b");
	work_for(a);
	monitor(b);
	end_with_7(b);
	work_no_longer();
	ck_assert(exists(a));
	b = task_called("b");
	work_for(a);
	monitor(b);
	work_no_longer();
	end_with_7(a);
	ck_assert(exists(b));
	ck_assert_int_eq(reclaim_monitored_by(b, NULL, 0), 0);
	end_task(b);
}
END_TEST

static reclaim_tid never_was(void)
{
	return root + (UINT64_C(1) << 40);
}

START_TEST(what_never_was_is_told_at_once)
{
	ref = monitor(never_was());
	expect_down(ref, never_was(), RECLAIM_NOPROC);
	ref = monitor(0);
	expect_down(ref, 0, RECLAIM_NOPROC);
	ck_fails(reclaim_demonitor(ref, 1), -1, ENOENT);
	expect_nothing();
}
END_TEST

START_TEST(what_is_gone_is_told_at_once)
{
	a = task_called("a");
	end_with_7(a);
	b = task_called("b, maybe in its place");
	ref = monitor(a);
	expect_down(ref, a, RECLAIM_NOPROC);
	end_task(b);
}
END_TEST

START_TEST(what_has_but_a_status_is_gone)
{
	struct reclaim_task_info info;

	a = reclaim_spawn(NULL, return_7, NULL);
	ref = monitor(a);
	sem_post(&gate);
	expect_down(ref, a, 7);
	ck_works(reclaim_task_info(a, &info));
	ck_assert_int_eq(info.state, RECLAIM_ENDED);
	ref = monitor(a);
	expect_down(ref, a, RECLAIM_NOPROC);
	ck_fails(reclaim_link(a), -1, ESRCH);
	ck_fails(reclaim_monitors(a, NULL, 0), -1, ESRCH);
	ck_works(reclaim_wait(a, NULL, -1));
}
END_TEST

START_TEST(one_may_monitor_oneself)
{
	reclaim_tid list[2];

	a = task_called("a");
	work_for(a);
	ref = monitor(a);
	ck_assert_int_eq(reclaim_monitors(a, list, 2), 1);
	ck_assert_uint_eq(list[0], a);
	ck_assert_int_eq(reclaim_monitored_by(a, list, 2), 1);
	ck_works(reclaim_demonitor(ref, 0));
	monitor(a);
	work_no_longer();
	end_with_7(a);
	ref = monitor(root);
	expect_nothing();
	ck_works(reclaim_demonitor(ref, 0));
}
END_TEST

static int fd, childs_fd;

static void *end_a(void *arg)
{
	must(reclaim_end(a, 7) == 0);
	return arg;
}

/* The status may come before the end of the thread that ended it. */
START_TEST(all_was_released_when_it_is_told)
{
	a = task_called("a");
	work_for(a);
	fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_ptr_nonnull(save_malloc(100));
	note_later('a');
	c = task_called("child");
	work_for(c);
	childs_fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	note_later('c');
	work_no_longer();
	work_no_longer();
	ck_works(reclaim_register("all", a));
	ref = monitor(a);
	start_other(end_a);
	expect_down(ref, a, 7);
	ck_assert(!is_open(fd));
	ck_assert(!is_open(childs_fd));
	ck_assert_str_eq(noted(), "ca");
	ck_assert(!exists(a));
	ck_fails(reclaim_whereis("all"), 0, ENOENT);
	join_other();
}
END_TEST

static void open_gates_once(void *arg)
{
	(void)arg;
	sem_post(&there);
	sem_wait(&gate);
}

START_TEST(one_that_is_ending_has_not_ended)
{
	a = task_called("a");
	work_for(a);
	ck_works(reclaim_defer(open_gates_once, NULL, NULL));
	work_no_longer();
	b = task_called("b");
	start_other(end_a);
	sem_wait(&there);
	ref = monitor(a);
	link_from(b, a);
	expect_nothing();
	ck_works(reclaim_send(a, "x", 2));
	sem_post(&gate);
	expect_down(ref, a, 7);
	join_other();
	ck_assert(!exists(b));
}
END_TEST

START_TEST(demonitor_before_the_end)
{
	a = task_called("a");
	ck_works(reclaim_demonitor(monitor(a), 0));
	ck_works(reclaim_demonitor(monitor(a), 1));
	ck_assert_int_eq(reclaim_monitored_by(a, NULL, 0), 0);
	end_with_7(a);
	expect_nothing();
}
END_TEST

START_TEST(demonitor_takes_away_one)
{
	uint64_t second;

	a = task_called("a");
	ref = monitor(a);
	second = monitor(a);
	ck_works(reclaim_demonitor(ref, 0));
	end_with_7(a);
	expect_down(second, a, 7);
	expect_nothing();
}
END_TEST

START_TEST(demonitor_after_the_end)
{
	a = task_called("a");
	ref = monitor(a);
	end_with_7(a);
	ck_fails(reclaim_demonitor(ref, 0), -1, ENOENT);
	expect_down(ref, a, 7);
	ck_fails(reclaim_demonitor(ref, 0), -1, ENOENT);
	ck_fails(reclaim_demonitor(ref, 1), -1, ENOENT);
}
END_TEST

START_TEST(demonitor_flushes_its_message_alone)
{
	uint64_t second;

	a = task_called("a");
	ref = monitor(a);
	second = monitor(a);
	end_with_7(a);
	ck_works(reclaim_send(root, "between", 8));
	ck_works(reclaim_demonitor(ref, 1));
	ck_fails(reclaim_demonitor(ref, 1), -1, ENOENT);
	expect_down(second, a, 7);
	expect_text("between");
	ref = monitor(never_was());
	ck_works(reclaim_demonitor(ref, 1));
	expect_nothing();
}
END_TEST

START_TEST(only_its_own_task_demonitors)
{
	a = task_called("a");
	b = task_called("b");
	ref = monitor(a);
	work_for(b);
	ck_fails(reclaim_demonitor(ref, 0), -1, EPERM);
	ck_fails(reclaim_demonitor(ref, 1), -1, EPERM);
	work_no_longer();
	end_with_7(a);
	work_for(b);
	ck_fails(reclaim_demonitor(ref, 1), -1, ENOENT);
	work_no_longer();
	expect_down(ref, a, 7);
	end_task(b);
}
END_TEST

START_TEST(no_reference_is_none)
{
	uint64_t timer = reclaim_timer_add(UINT64_MAX, root, "", 1, 1);

	ck_fails(reclaim_demonitor(0, 0), -1, ENOENT);
	ck_fails(reclaim_demonitor(0, 1), -1, ENOENT);
	ck_fails(reclaim_demonitor(UINT64_MAX, 1), -1, ENOENT);
	ck_fails(reclaim_demonitor(timer, 1), -1, ENOENT);
	ref = monitor(root);
	ck_fails(reclaim_timer_cancel(ref, NULL), -1, ENOENT);
	ck_works(reclaim_demonitor(ref, 0));
	ck_works(reclaim_timer_cancel(timer, NULL));
}
END_TEST

static int look_for_long(const struct reclaim_msg *seen, void *arg)
{
	(void)seen;
	(void)arg;
	sem_post(&there);
	sem_wait(&gate);
	return 0;
}

static void *receive_with_match(void *arg)
{
	struct reclaim_msg none;

	must(reclaim_receive_match(look_for_long, NULL, &none, 0) == 0);
	return arg;
}

START_TEST(a_flush_is_a_receive)
{
	a = task_called("a");
	ref = monitor(a);
	end_with_7(a);
	start_other(receive_with_match);
	sem_wait(&there);
	ck_fails(reclaim_demonitor(ref, 1), -1, EBUSY);
	ck_fails(reclaim_demonitor(ref, 0), -1, ENOENT);
	sem_post(&gate);
	join_other();
	expect_down(ref, a, 7);
}
END_TEST

START_TEST(a_watcher_that_ends_first_leaves_nothing)
{
	int i;

	b = task_called("b");
	for (i = 0; i < 1000; i++) {
		a = task_called("a");
		work_for(a);
		monitor(b);
		monitor(b);
		work_no_longer();
		ck_assert_int_eq(reclaim_monitored_by(b, NULL, 0), 2);
		end_with_7(a);
		ck_assert_int_eq(reclaim_monitored_by(b, NULL, 0), 0);
	}
	end_with_7(b);
	expect_nothing();
}
END_TEST

/* More than are told at once. */
START_TEST(a_thousand_watchers_are_told)
{
	uint64_t refs[1000];
	bool told[1000] = {false};
	int i, n;

	a = task_called("a");
	for (i = 0; i < 1000; i++)
		refs[i] = monitor(a);
	end_with_7(a);
	for (n = 0; n < 1000; n++) {
		receive_next();
		for (i = 0; refs[i] != msg.ref; i++)
			ck_assert_int_lt(i, 999);
		ck_assert(!told[i]);
		told[i] = true;
	}
	expect_nothing();
}
END_TEST

/* ---- the lists ---- */

static void expect_list(int (*of)(reclaim_tid, reclaim_tid *, size_t),
			reclaim_tid tid, int count, const reclaim_tid *tids)
{
	reclaim_tid list[5] = {1, 1, 1, 1, 1};
	int most, i;

	for (most = 0; most <= 4; most++) {
		ck_assert_int_eq(of(tid, list, (size_t)most), count);
		for (i = 0; i < most && i < count; i++)
			ck_assert_uint_eq(list[i], tids[i]);
		for (; i < 5; i++)
			ck_assert_uint_eq(list[i], 1);
	}
	ck_assert_int_eq(of(tid, NULL, 0), count);
}

START_TEST(monitors_are_listed_newest_first)
{
	reclaim_tid of_a[3], of_b[3];

	a = task_called("a");
	b = task_called("b");
	c = task_called("c");
	work_for(a);
	monitor(b);
	ref = monitor(c);
	monitor(b);
	work_no_longer();
	work_for(c);
	monitor(b);
	work_no_longer();
	of_a[0] = of_a[2] = b;
	of_a[1] = c;
	of_b[0] = c;
	of_b[1] = of_b[2] = a;
	expect_list(reclaim_monitors, a, 3, of_a);
	expect_list(reclaim_monitored_by, b, 3, of_b);
	expect_list(reclaim_monitors, b, 0, NULL);
	expect_list(reclaim_monitored_by, a, 0, NULL);
	work_for(a);
	ck_works(reclaim_demonitor(ref, 0));
	work_no_longer();
	of_a[1] = b;
	expect_list(reclaim_monitors, a, 2, of_a);
	end_task(c);
	expect_list(reclaim_monitored_by, b, 2, of_b + 1);
	end_task(b);
	expect_list(reclaim_monitors, a, 0, NULL);
	end_task(a);
}
END_TEST

START_TEST(links_are_listed_on_both_sides)
{
	reclaim_tid of_a[2];

	a = task_called("a");
	b = task_called("b");
	c = task_called("c");
	link_from(a, b);
	link_from(c, a);
	of_a[0] = c;
	of_a[1] = b;
	expect_list(reclaim_links, a, 2, of_a);
	expect_list(reclaim_links, b, 1, &a);
	expect_list(reclaim_links, c, 1, &a);
	end_task(b);
	expect_list(reclaim_links, a, 1, of_a);
	end_task(a);
	expect_list(reclaim_links, c, 0, NULL);
	end_task(c);
}
END_TEST

START_TEST(who_is_gone_has_no_lists)
{
	reclaim_tid list[1];

	a = task_called("a");
	end_task(a);
	ck_fails(reclaim_monitors(a, list, 1), -1, ESRCH);
	ck_fails(reclaim_monitored_by(a, list, 1), -1, ESRCH);
	ck_fails(reclaim_links(a, list, 1), -1, ESRCH);
	ck_fails(reclaim_monitors(0, list, 1), -1, ESRCH);
	ck_fails(reclaim_monitored_by(never_was(), list, 1), -1, ESRCH);
	ck_fails(reclaim_links(never_was(), list, 1), -1, ESRCH);
}
END_TEST

/* ---- links ---- */

START_TEST(a_link_is_both_ways)
{
	int i;

	for (i = 0; i < 2; i++) {
		a = task_called("a");
		b = task_called("b");
		link_from(a, b);
		ref = monitor(i ? a : b);
		end_with_7(i ? b : a);
		expect_down(ref, i ? a : b, 7);
		ck_assert(!exists(a) && !exists(b));
	}
}
END_TEST

START_TEST(links_do_not_add_up)
{
	a = task_called("a");
	b = task_called("b");
	link_from(a, b);
	link_from(a, b);
	link_from(b, a);
	expect_list(reclaim_links, a, 1, &b);
	expect_list(reclaim_links, b, 1, &a);
	work_for(b);
	ck_works(reclaim_unlink(a));
	work_no_longer();
	expect_list(reclaim_links, a, 0, NULL);
	expect_list(reclaim_links, b, 0, NULL);
	end_with_7(a);
	ck_assert(exists(b));
	end_task(b);
}
END_TEST

START_TEST(unlink_where_there_is_none)
{
	a = task_called("a");
	ck_works(reclaim_unlink(a));
	end_task(a);
	ck_works(reclaim_unlink(a));
	ck_works(reclaim_unlink(0));
	ck_works(reclaim_unlink(root));
	ck_works(reclaim_unlink(never_was()));
	expect_nothing();
}
END_TEST

START_TEST(unlink_takes_away_its_own_alone)
{
	a = task_called("a");
	b = task_called("b");
	c = task_called("c");
	link_from(a, b);
	link_from(a, c);
	work_for(a);
	ck_works(reclaim_unlink(b));
	work_no_longer();
	end_with_7(a);
	ck_assert(exists(b));
	ck_assert(!exists(c));
	end_task(b);
}
END_TEST

START_TEST(the_children_of_who_is_linked_end_with_it)
{
	reclaim_tid child;
	uint64_t second;

	a = task_called("a");
	b = task_called("b");
	child = below(b);
	link_from(a, b);
	ref = monitor(b);
	second = monitor(child);
	end_with_7(a);
	expect_down(second, child, RECLAIM_KILLED);
	expect_down(ref, b, 7);
}
END_TEST

START_TEST(an_end_without_error_ends_nobody)
{
	a = task_called("a");
	b = task_called("b");
	link_from(a, b);
	end_task(a);
	ck_assert(exists(b));
	ck_assert_int_eq(reclaim_links(b, NULL, 0), 0);
	work_for(b);
	expect_nothing();
	work_no_longer();
	end_task(b);
}
END_TEST

static const int statuses[] = {0, 7, -1, -2, INT32_MIN, INT32_MAX};

START_TEST(who_traps_is_told)
{
	a = task_called("a");
	b = task_called("b");
	let_trap(b);
	link_from(a, b);
	ck_works(reclaim_end(a, statuses[_i]));
	work_for(b);
	expect_exit(a, statuses[_i]);
	expect_nothing();
	ck_assert_int_eq(reclaim_links(b, NULL, 0), 0);
	work_no_longer();
	end_task(b);
}
END_TEST

START_TEST(the_root_is_told_without_trapping)
{
	a = task_called("a");
	ck_works(reclaim_link(a));
	ck_works(reclaim_end(a, statuses[_i]));
	expect_exit(a, statuses[_i]);
	a = task_called("a");
	link_from(a, root);
	ck_works(reclaim_end(a, statuses[_i]));
	expect_exit(a, statuses[_i]);
	expect_nothing();
}
END_TEST

START_TEST(a_kill_is_told_as_one)
{
	a = task_called("a");
	ck_works(reclaim_link(a));
	ck_works(reclaim_kill(a));
	expect_exit(a, RECLAIM_KILLED);
}
END_TEST

START_TEST(trap_exit_says_what_was)
{
	a = task_called("a");
	work_for(a);
	ck_assert_int_eq(reclaim_trap_exit(0), 0);
	ck_assert_int_eq(reclaim_trap_exit(2), 0);
	ck_assert_int_eq(reclaim_trap_exit(1), 1);
	ck_assert_int_eq(reclaim_trap_exit(0), 1);
	ck_assert_int_eq(reclaim_trap_exit(0), 0);
	work_no_longer();
	end_task(a);
}
END_TEST

/* It counts when the signal comes, not when the link is made. */
START_TEST(trapping_is_up_to_the_end)
{
	a = task_called("a");
	b = task_called("b");
	link_from(a, b);
	let_trap(b);
	end_with_7(a);
	ck_assert(exists(b));
	c = a;
	a = task_called("a");
	link_from(a, b);
	work_for(b);
	expect_exit(c, 7);
	ck_assert_int_eq(reclaim_trap_exit(0), 1);
	work_no_longer();
	end_with_7(a);
	ck_assert(!exists(b));
}
END_TEST

START_TEST(a_link_to_nobody)
{
	a = task_called("a");
	b = task_called("b");
	end_task(b);
	ck_fails(reclaim_link(b), -1, ESRCH);
	ck_fails(reclaim_link(never_was()), -1, ESRCH);
	ck_fails(reclaim_link(0), -1, ESRCH);
	let_trap(a);
	work_for(a);
	ck_works(reclaim_link(b));
	expect_exit(b, RECLAIM_NOPROC);
	ck_works(reclaim_link(never_was()));
	expect_exit(never_was(), RECLAIM_NOPROC);
	ck_assert_int_eq(reclaim_links(a, NULL, 0), 0);
	expect_nothing();
	work_no_longer();
	end_task(a);
	expect_nothing();
}
END_TEST

START_TEST(a_link_to_oneself_is_none)
{
	a = task_called("a");
	link_from(a, a);
	ck_assert_int_eq(reclaim_links(a, NULL, 0), 0);
	end_with_7(a);
	ck_works(reclaim_link(root));
	ck_assert_int_eq(reclaim_links(root, NULL, 0), 0);
	expect_nothing();
}
END_TEST

START_TEST(a_parent_and_its_child_may_be_linked)
{
	a = task_called("parent");
	b = below(a);
	link_from(b, a);
	ref = monitor(a);
	end_with_7(b);
	expect_down(ref, a, 7);
	a = task_called("parent");
	b = below(a);
	link_from(b, a);
	let_trap(b);
	ref = monitor(b);
	end_with_7(a);
	expect_down(ref, b, RECLAIM_KILLED);
	expect_nothing();
}
END_TEST

START_TEST(the_first_status_stays)
{
	a = task_called("a");
	b = task_called("b");
	c = task_called("c");
	link_from(b, a);
	link_from(b, c);
	work_for(b);
	ck_works(reclaim_end(b, 3)); /* as soon as it is left */
	end_with_7(a);
	ref = monitor(b);
	ck_assert(exists(b));
	work_no_longer();
	ck_assert(!exists(c));
	expect_nothing();
}
END_TEST

/* ---- many ---- */

/* So deep a recursion, of however little, would not fit. */
#define SMALL_STACK ((size_t)512 << 10)

static void *end_first(void *arg)
{
	must(reclaim_end(a, 7) == 0);
	return arg;
}

static void with_small_stack(void *(*run)(void *))
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	ck_works(pthread_attr_setstacksize(&attr, SMALL_STACK));
	ck_works(pthread_create(&other, &attr, run, NULL));
	pthread_attr_destroy(&attr);
	join_other();
}

START_TEST(a_long_chain_ends)
{
	reclaim_tid last, next;
	unsigned i, count = times(100000, 5000);

	a = last = task_called("first");
	for (i = 1; i < count; i++) {
		next = task_called("link");
		if (i % 2)
			link_from(next, last);
		else
			link_from(last, next);
		last = next;
	}
	ref = monitor(last);
	with_small_stack(end_first);
	expect_down(ref, last, 7);
}
END_TEST

/* Each below the one before: nested as deep as it is long. */
START_TEST(a_long_chain_of_children_ends)
{
	reclaim_tid last, next;
	unsigned i, count = times(2000, 300);

	a = last = task_called("first");
	b = task_called("others");
	for (i = 1; i < count; i++) {
		next = below(i % 2 ? b : a);
		link_from(last, next);
		last = next;
	}
	ref = monitor(last);
	with_small_stack(end_first);
	receive_next();
	ck_assert_uint_eq(msg.ref, ref);
	end_task(b);
}
END_TEST

START_TEST(a_circle_ends)
{
	reclaim_tid ring[600];
	int i;

	for (i = 0; i < 600; i++)
		ring[i] = task_called("ring");
	for (i = 0; i < 600; i++)
		link_from(ring[i], ring[(i + 1) % 600]);
	for (i = 0; i < 600; i++)
		link_from(ring[i], ring[(i + 7) % 600]);
	ref = monitor(ring[300]);
	end_with_7(ring[0]);
	expect_down(ref, ring[300], 7);
	for (i = 0; i < 600; i++)
		ck_assert(!exists(ring[i]));
}
END_TEST

START_TEST(all_around_one_end)
{
	reclaim_tid around[1000];
	int i, live = 0;

	a = task_called("hub");
	for (i = 0; i < 1000; i++) {
		around[i] = task_called("around");
		link_from(i % 2 ? around[i] : a, i % 2 ? a : around[i]);
		if (i % 3 == 0)
			let_trap(around[i]);
	}
	ck_assert_int_eq(reclaim_links(a, NULL, 0), 1000);
	end_with_7(a);
	for (i = 0; i < 1000; i++) {
		ck_assert(exists(around[i]) == (i % 3 == 0));
		if (i % 3)
			continue;
		work_for(around[i]);
		expect_exit(a, 7);
		work_no_longer();
		end_task(around[i]);
		live++;
	}
	ck_assert_int_eq(live, 334);
}
END_TEST

static int link_to_next(int argc, char **argv, char **envp)
{
	must(argc == 1);
	must(reclaim_link(strtoull(argv[0], NULL, 0)) == 0);
	return receive_for_ever(0, argv, envp);
}

START_TEST(a_chain_of_threads_ends)
{
	static const struct reclaim_task_opts detached = {
		.flags = RECLAIM_DETACHED,
	};
	char text[24], *argv[] = {text, NULL};
	reclaim_tid last;
	int i;

	a = last = spawned(receive_for_ever);
	sem_wait(&there);
	for (i = 1; i < 50; i++) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)last);
		last = reclaim_spawn(&detached, link_to_next, argv);
		ck_assert_uint_ne(last, 0);
		sem_wait(&there);
	}
	ref = monitor(last);
	end_with_7(a);
	expect_down(ref, last, 7);
}
END_TEST

/* ---- what who is linked is just doing ---- */

START_TEST(one_that_receives_ends)
{
	a = task_called("a");
	b = spawned(receive_for_ever);
	sem_wait(&there);
	link_from(a, b);
	ref = monitor(b);
	end_with_7(a);
	expect_down(ref, b, 7);
}
END_TEST

static int wait_for_c(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	sem_post(&there);
	reclaim_wait(c, NULL, -1);
	return 99;
}

START_TEST(one_that_waits_ends)
{
	a = task_called("a");
	c = task_called("c");
	b = spawned(wait_for_c);
	sem_wait(&there);
	link_from(a, b);
	ref = monitor(b);
	end_with_7(a);
	expect_down(ref, b, 7);
	ck_assert(exists(c));
	end_task(c);
}
END_TEST

static void *receive_in_b(void *arg)
{
	struct reclaim_msg any;

	must(reclaim_enter(b) == 0);
	sem_post(&there);
	must(reclaim_receive(&any, -1) == -1);
	must(errno == ECANCELED);
	must(reclaim_self() == b);
	sem_wait(&gate);
	must(reclaim_leave() == 0);
	return arg;
}

START_TEST(one_that_was_entered_ends_when_it_is_left)
{
	a = task_called("a");
	b = task_called("b");
	start_other(receive_in_b);
	sem_wait(&there);
	ck_works(reclaim_link(b));
	ck_works(reclaim_unlink(b));
	link_from(a, b);
	ref = monitor(b);
	end_with_7(a);
	expect_nothing();
	ck_assert(exists(b));
	sem_post(&gate);
	expect_down(ref, b, 7);
	join_other();
}
END_TEST

static void *worker_waits(void *arg)
{
	struct reclaim_msg any;

	sem_post(&there);
	reclaim_receive(&any, -1);
	return arg;
}

static int have_worker(int argc, char **argv, char **envp)
{
	pthread_t worker;

	must(save_pthread_create(&worker, NULL, worker_waits, NULL) == 0);
	return return_7(argc, argv, envp);
}

START_TEST(one_with_workers_ends)
{
	a = task_called("a");
	b = spawned(have_worker);
	sem_wait(&there);
	link_from(a, b);
	ref = monitor(b);
	end_with_7(a);
	expect_down(ref, b, 7);
}
END_TEST

static int end_what_one_is_linked_to(int argc, char **argv, char **envp)
{
	struct reclaim_msg any;

	(void)argc;
	(void)argv;
	(void)envp;
	must(reclaim_link(a) == 0);
	reclaim_end(a, 7);
	reclaim_receive(&any, -1);
	return 99;
}

START_TEST(one_that_ends_what_it_is_linked_to_ends)
{
	a = task_called("a");
	b = spawned(end_what_one_is_linked_to);
	ck_assert(status_at_end(b) == 7 || msg.status == RECLAIM_NOPROC);
	ck_assert(!exists(a));
}
END_TEST

static void end_a_now(void *arg)
{
	(void)arg;
	must(reclaim_end(a, 7) == 0);
	note('n');
}

START_TEST(a_link_breaks_as_ones_own_actions_run)
{
	a = task_called("a");
	b = task_called("b");
	link_from(b, a);
	work_for(b);
	note_later('l');
	ck_works(reclaim_defer(end_a_now, NULL, NULL));
	note_later('f');
	work_no_longer();
	ref = monitor(b);
	ck_works(reclaim_end(b, 3));
	expect_down(ref, b, 3);
	ck_assert_str_eq(noted(), "fnl");
	ck_assert(!exists(a));
}
END_TEST

static void link_and_watch(void *arg)
{
	(void)arg;
	must(reclaim_link(a) == 0);
	must(reclaim_monitor(a) != 0);
	must(reclaim_trap_exit(1) == 0);
}

START_TEST(actions_may_make_bonds)
{
	a = task_called("a");
	b = task_called("b");
	work_for(b);
	ck_works(reclaim_defer(link_and_watch, NULL, NULL));
	work_no_longer();
	ck_works(reclaim_end(b, 0));
	ck_assert_int_eq(reclaim_links(a, NULL, 0), 0);
	ck_assert_int_eq(reclaim_monitored_by(a, NULL, 0), 0);
	end_task(a);
}
END_TEST

/*
 * A thread ends what its own task and another are linked to.  While it runs an
 * action of the other's, somebody else finds that its own is to end.
 */
static int end_both(int argc, char **argv, char **envp)
{
	struct reclaim_msg any;

	(void)argc;
	(void)argv;
	(void)envp;
	must(reclaim_link(a) == 0);
	reclaim_end(a, 7);
	sem_post(&there);
	reclaim_receive(&any, -1);
	return 99;
}

START_TEST(one_ends_by_whoever_finds_that_it_is_to)
{
	a = task_called("a");
	c = task_called("c");
	work_for(c);
	ck_works(reclaim_defer(open_gates_once, NULL, NULL));
	ck_works(reclaim_link(a));
	work_no_longer();
	b = spawned(end_both);
	ref = monitor(b);
	sem_wait(&there);
	end_task(task_called("any"));
	sem_post(&gate);
	expect_down(ref, b, 7);
}
END_TEST

/* ---- fork ---- */

static void wait_for_child(pid_t pid)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the child's status is %#x", (unsigned)status);
}

static void see_bonds_in_child(void)
{
	struct reclaim_msg got;

	must(reclaim_monitored_by(a, NULL, 0) == 1);
	must(reclaim_links(b, NULL, 0) == 1);
	must(reclaim_end(a, 7) == 0);
	must(reclaim_receive(&got, 0) == 1);
	must(got.type == RECLAIM_MSG_DOWN && got.ref == ref);
	must(got.from == a && got.status == 7);
	must(!exists(b));
	must(reclaim_receive(&got, 0) == 0);
}

START_TEST(a_child_has_bonds_of_its_own)
{
	pid_t pid;

	a = task_called("a");
	b = task_called("b");
	link_from(a, b);
	ref = monitor(a);
	pid = fork();
	if (pid == 0) {
		see_bonds_in_child();
		_exit(0);
	}
	wait_for_child(pid);
	expect_nothing();
	end_with_7(a);
	expect_down(ref, a, 7);
	ck_assert(!exists(b));
}
END_TEST

/* In the child nobody goes on with it, but who ends a task next. */
#define WATCHERS 5000

static void see_all_in_child(void)
{
	int n;

	must(reclaim_end(c, 0) == 0);
	n = (int)reclaim_msgq_len();
	must(n == WATCHERS);
	must(reclaim_monitors(root, NULL, 0) == 0);
}

START_TEST(a_fork_loses_nobody_who_is_being_told)
{
	pid_t pid;
	int i, round;
	bool ended = false;

	c = task_called("any");
	for (round = 0; round < 20; round++, ended = false) {
		a = task_called("a");
		for (i = 0; i < WATCHERS; i++)
			monitor(a);
		start_other(end_a);
		while (!ended) {
			ended = reclaim_monitors(root, NULL, 0) < WATCHERS;
			pid = ended ? fork() : 1;
			if (pid == 0) {
				see_all_in_child();
				_exit(0);
			}
		}
		wait_for_child(pid);
		join_other();
		for (i = 0; i < WATCHERS; i++)
			receive_next();
	}
	end_task(c);
}
END_TEST

static void fill_monitors(Suite *suite)
{
	TCase *tcase = talk_case(suite, "ways to end");

	tcase_add_checked_fixture(tcase, close_gates, destroy_gates);
	tcase_add_loop_test(tcase, each_way_to_end_is_told, 0, WAYS);
	tcase_add_loop_test(tcase, each_way_to_end_breaks_a_link, 0, WAYS);

	tcase = talk_case(suite, "monitors");
	tcase_add_checked_fixture(tcase, close_gates, destroy_gates);
	tcase_add_test(tcase, each_monitor_is_told);
	tcase_add_test(tcase, a_reference_is_not_used_again);
	tcase_add_test(tcase, a_monitor_is_one_way);
	tcase_add_test(tcase, what_never_was_is_told_at_once);
	tcase_add_test(tcase, what_is_gone_is_told_at_once);
	tcase_add_test(tcase, what_has_but_a_status_is_gone);
	tcase_add_test(tcase, one_may_monitor_oneself);
	tcase_add_test(tcase, all_was_released_when_it_is_told);
	tcase_add_test(tcase, one_that_is_ending_has_not_ended);
	tcase_add_test(tcase, demonitor_before_the_end);
	tcase_add_test(tcase, demonitor_takes_away_one);
	tcase_add_test(tcase, demonitor_after_the_end);
	tcase_add_test(tcase, demonitor_flushes_its_message_alone);
	tcase_add_test(tcase, only_its_own_task_demonitors);
	tcase_add_test(tcase, no_reference_is_none);
	tcase_add_test(tcase, a_flush_is_a_receive);
	tcase_add_test(tcase, a_watcher_that_ends_first_leaves_nothing);
	tcase_add_test(tcase, a_thousand_watchers_are_told);
}

static void fill_links(Suite *suite)
{
	int count = (int)(sizeof(statuses) / sizeof(statuses[0]));
	TCase *tcase = talk_case(suite, "links");

	tcase_add_test(tcase, a_link_is_both_ways);
	tcase_add_test(tcase, links_do_not_add_up);
	tcase_add_test(tcase, unlink_where_there_is_none);
	tcase_add_test(tcase, unlink_takes_away_its_own_alone);
	tcase_add_test(tcase, the_children_of_who_is_linked_end_with_it);
	tcase_add_test(tcase, an_end_without_error_ends_nobody);
	tcase_add_loop_test(tcase, who_traps_is_told, 0, count);
	tcase_add_loop_test(tcase, the_root_is_told_without_trapping, 0, count);
	tcase_add_test(tcase, a_kill_is_told_as_one);
	tcase_add_test(tcase, trap_exit_says_what_was);
	tcase_add_test(tcase, trapping_is_up_to_the_end);
	tcase_add_test(tcase, a_link_to_nobody);
	tcase_add_test(tcase, a_link_to_oneself_is_none);
	tcase_add_test(tcase, a_parent_and_its_child_may_be_linked);
	tcase_add_test(tcase, the_first_status_stays);
}

static void fill(Suite *suite)
{
	TCase *tcase;

	fill_monitors(suite);

	tcase = talk_case(suite, "lists");
	tcase_add_test(tcase, monitors_are_listed_newest_first);
	tcase_add_test(tcase, links_are_listed_on_both_sides);
	tcase_add_test(tcase, who_is_gone_has_no_lists);

	fill_links(suite);

	tcase = talk_case(suite, "many links");
	tcase_add_checked_fixture(tcase, close_gates, destroy_gates);
	tcase_add_test(tcase, a_long_chain_ends);
	tcase_add_test(tcase, a_long_chain_of_children_ends);
	tcase_add_test(tcase, a_circle_ends);
	tcase_add_test(tcase, all_around_one_end);
	tcase_add_test(tcase, a_chain_of_threads_ends);

	tcase = talk_case(suite, "busy");
	tcase_add_checked_fixture(tcase, close_gates, destroy_gates);
	tcase_add_test(tcase, one_that_receives_ends);
	tcase_add_test(tcase, one_that_waits_ends);
	tcase_add_test(tcase, one_that_was_entered_ends_when_it_is_left);
	tcase_add_test(tcase, one_with_workers_ends);
	tcase_add_test(tcase, one_that_ends_what_it_is_linked_to_ends);
	tcase_add_test(tcase, a_link_breaks_as_ones_own_actions_run);
	tcase_add_test(tcase, actions_may_make_bonds);
	tcase_add_test(tcase, one_ends_by_whoever_finds_that_it_is_to);

	tcase = talk_case(suite, "fork");
	tcase_add_checked_fixture(tcase, close_gates, destroy_gates);
	tcase_add_test(tcase, a_child_has_bonds_of_its_own);
	tcase_add_test(tcase, a_fork_loses_nobody_who_is_being_told);
}

int main(void)
{
	return stage_run("bonds", fill);
}
