/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/talk.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

reclaim_tid root;
struct reclaim_msg msg;

void receive_next(void)
{
	ck_assert_msg(reclaim_receive(&msg, LONG_MS) == 1,
		      "no message came: %m");
}

void expect_down(uint64_t ref, reclaim_tid from, int status)
{
	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_DOWN);
	ck_assert_uint_eq(msg.ref, ref);
	ck_assert_uint_eq(msg.from, from);
	ck_assert_int_eq(msg.status, status);
	ck_assert_uint_eq(msg.len, 0);
}

void expect_exit(reclaim_tid from, int status)
{
	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_EXIT);
	ck_assert_uint_eq(msg.from, from);
	ck_assert_int_eq(msg.status, status);
	ck_assert_uint_eq(msg.len, 0);
}

void expect_text(const char *text)
{
	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_DATA);
	ck_assert_uint_eq(msg.len, strlen(text) + 1);
	ck_assert_str_eq(msg.data, text);
}

void expect_nothing(void)
{
	int got = reclaim_receive(&msg, 0);

	ck_assert_msg(got == 0, "a message of type %d came", msg.type);
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
}

uint64_t monitor(reclaim_tid tid)
{
	uint64_t ref = reclaim_monitor(tid);

	ck_assert_uint_ne(ref, 0);
	return ref;
}

void link_from(reclaim_tid tid, reclaim_tid to)
{
	work_for(tid);
	ck_works(reclaim_link(to));
	work_no_longer();
}

void let_trap(reclaim_tid tid)
{
	work_for(tid);
	ck_assert_int_eq(reclaim_trap_exit(1), 0);
	work_no_longer();
}

int status_at_end(reclaim_tid tid)
{
	uint64_t ref = monitor(tid);

	receive_next();
	ck_assert_int_eq(msg.type, RECLAIM_MSG_DOWN);
	ck_assert_uint_eq(msg.ref, ref);
	reclaim_wait(tid, NULL, 0);
	return msg.status;
}

reclaim_tid below(reclaim_tid parent)
{
	struct reclaim_task_opts opts = {.parent = parent};
	reclaim_tid tid = reclaim_task_new(&opts);

	ck_assert_uint_ne(tid, 0);
	return tid;
}

/* Whose status nobody needs to fetch. */
reclaim_tid spawned(int (*entry)(int argc, char **argv, char **envp))
{
	static const struct reclaim_task_opts opts = {
		.flags = RECLAIM_DETACHED,
	};
	reclaim_tid tid = reclaim_spawn(&opts, entry, NULL);

	ck_assert_uint_ne(tid, 0);
	return tid;
}

bool exists(reclaim_tid tid)
{
	struct reclaim_task_info found;

	return reclaim_task_info(tid, &found) == 0;
}

unsigned times(unsigned most, unsigned under)
{
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
	return most > 10 * under ? 10 * under : most;
#else
	return under_valgrind() ? under : most;
#endif
}

void let_others(void)
{
	sched_yield();
}

/* ---- nothing is left ---- */

static void before(void)
{
	root = reclaim_self();
}

static void after(void)
{
	ck_assert_uint_eq(reclaim_self(), root);
	ck_assert_uint_eq(reclaim_msgq_len(), 0);
	reclaim_receive(&msg, 0); /* it lets go of the latest */
	ck_assert_int_eq(reclaim_monitors(root, NULL, 0), 0);
	ck_assert_int_eq(reclaim_monitored_by(root, NULL, 0), 0);
	ck_assert_int_eq(reclaim_links(root, NULL, 0), 0);
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
	ck_assert_int_eq(reclaim_trap_exit(0), 0);
}

TCase *talk_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, before, after);
	return tcase;
}
