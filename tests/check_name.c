/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: what may be one, whose it is, and when it is free again.
 */
#include "config.h"

#include "tests/talk.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static reclaim_tid a, b;
static sem_t gate;

static void expect_free(const char *name)
{
	ck_fails(reclaim_whereis(name), 0, ENOENT);
	ck_fails(reclaim_unregister(name), -1, ENOENT);
}

static void have_tasks(void)
{
	a = task_called("a");
	b = task_called("b");
	sem_init(&gate, 0, 0);
}

static void end_tasks(void)
{
	reclaim_end(a, 0);
	reclaim_end(b, 0);
	sem_destroy(&gate);
}

/* ---- one name ---- */

START_TEST(a_name_is_found)
{
	expect_free("reader");
	ck_works(reclaim_register("reader", a));
	ck_assert_uint_eq(reclaim_whereis("reader"), a);
	ck_works(reclaim_unregister("reader"));
	expect_free("reader");
}
END_TEST

START_TEST(a_name_is_copied)
{
	char name[] = "reader";

	ck_works(reclaim_register(name, a));
	name[0] = 'l';
	ck_assert_uint_eq(reclaim_whereis("reader"), a);
	expect_free("leader");
}
END_TEST

START_TEST(a_name_is_compared_as_a_whole)
{
	ck_works(reclaim_register("reader", a));
	expect_free("reade");
	expect_free("reader ");
	expect_free("Reader");
	ck_works(reclaim_register("readers", b));
	ck_assert_uint_eq(reclaim_whereis("reader"), a);
	ck_assert_uint_eq(reclaim_whereis("readers"), b);
}
END_TEST

START_TEST(a_name_is_one_tasks)
{
	ck_works(reclaim_register("reader", a));
	ck_fails(reclaim_register("reader", b), -1, EEXIST);
	ck_fails(reclaim_register("reader", a), -1, EEXIST);
	ck_assert_uint_eq(reclaim_whereis("reader"), a);
	ck_works(reclaim_register("writer", b));
}
END_TEST

START_TEST(a_task_has_one_name)
{
	ck_works(reclaim_register("reader", a));
	ck_fails(reclaim_register("writer", a), -1, EEXIST);
	expect_free("writer");
	ck_works(reclaim_unregister("reader"));
	ck_works(reclaim_register("writer", a));
	expect_free("reader");
}
END_TEST

START_TEST(what_is_no_name)
{
	char longest[RECLAIM_REGISTER_MAX + 2];
	int i;

	/* Before there is any name, and where there is one. */
	for (i = 0; i < 2; i++) {
		ck_fails(reclaim_register(NULL, b), -1, EINVAL);
		ck_fails(reclaim_register("", b), -1, EINVAL);
		expect_free(NULL);
		expect_free("");
		reclaim_register("reader", a);
	}
	memset(longest, 'n', sizeof(longest));
	longest[RECLAIM_REGISTER_MAX + 1] = '\0';
	ck_assert_uint_eq(strlen(longest), 256);
	ck_fails(reclaim_register(longest, b), -1, EINVAL);
	expect_free(longest);
	longest[RECLAIM_REGISTER_MAX] = '\0';
	ck_works(reclaim_register(longest, b));
	ck_assert_uint_eq(reclaim_whereis(longest), b);
	longest[RECLAIM_REGISTER_MAX] = 'n';
	expect_free(longest);
}
END_TEST

START_TEST(any_bytes_are_a_name)
{
	static const char *const names[] = {"\x01", " ", "\xff\xfe", "a\nb",
					    "gr\xc3\xbc\xc3\x9f"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_works(reclaim_register(names[i], a));
		ck_assert_uint_eq(reclaim_whereis(names[i]), a);
		ck_works(reclaim_unregister(names[i]));
	}
}
END_TEST

START_TEST(nobody_gets_no_name)
{
	ck_fails(reclaim_register("nobody", 0), -1, ESRCH);
	ck_fails(reclaim_register("nobody", a + (UINT64_C(1) << 40)), -1,
		 ESRCH);
	end_task(a);
	ck_fails(reclaim_register("nobody", a), -1, ESRCH);
	expect_free("nobody");
}
END_TEST

START_TEST(the_root_may_have_one)
{
	ck_works(reclaim_register("root", root));
	ck_assert_uint_eq(reclaim_whereis("root"), root);
	ck_works(reclaim_send(reclaim_whereis("root"), "hello", 6));
	expect_text("hello");
	ck_works(reclaim_unregister("root"));
}
END_TEST

START_TEST(any_task_may_give_and_take_it)
{
	work_for(a);
	ck_works(reclaim_register("b", b));
	work_no_longer();
	ck_assert_uint_eq(reclaim_whereis("b"), b);
	work_for(a);
	ck_works(reclaim_unregister("b"));
	work_no_longer();
	expect_free("b");
}
END_TEST

/* ---- the end ---- */

static int wait_at_gate(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	sem_wait(&gate);
	return 7;
}

START_TEST(a_name_is_free_at_the_end)
{
	ck_works(reclaim_register("reader", a));
	end_task(a);
	expect_free("reader");
	ck_works(reclaim_register("reader", b));
	ck_assert_uint_eq(reclaim_whereis("reader"), b);
}
END_TEST

START_TEST(a_name_is_free_before_its_end_is_told)
{
	reclaim_tid tid = spawned(wait_at_gate);
	uint64_t ref = monitor(tid);

	ck_works(reclaim_register("reader", tid));
	sem_post(&gate);
	expect_down(ref, tid, 7);
	expect_free("reader");
	ck_works(reclaim_register("reader", b));
}
END_TEST

START_TEST(who_keeps_a_status_has_no_name)
{
	reclaim_tid tid = reclaim_spawn(NULL, wait_at_gate, NULL);
	uint64_t ref = monitor(tid);

	ck_works(reclaim_register("reader", tid));
	sem_post(&gate);
	expect_down(ref, tid, 7);
	expect_free("reader");
	ck_fails(reclaim_register("reader", tid), -1, ESRCH);
	ck_works(reclaim_wait(tid, NULL, -1));
}
END_TEST

static void find_oneself(void *arg)
{
	(void)arg;
	must(reclaim_whereis("reader") == reclaim_self());
	note('f');
}

START_TEST(its_last_actions_find_it)
{
	ck_works(reclaim_register("reader", a));
	work_for(a);
	ck_works(reclaim_defer(find_oneself, NULL, NULL));
	work_no_longer();
	end_task(a);
	ck_assert_str_eq(noted(), "f");
	expect_free("reader");
}
END_TEST

static void register_late(void *arg)
{
	(void)arg;
	must(reclaim_register("late", reclaim_self()) == 0);
}

START_TEST(what_is_registered_last_is_free_too)
{
	work_for(a);
	ck_works(reclaim_defer(register_late, NULL, NULL));
	work_no_longer();
	end_task(a);
	expect_free("late");
}
END_TEST

/* ---- many ---- */

#define NAMES 10000

static const char *name_of(unsigned i)
{
	static __thread char name[32];

	snprintf(name, sizeof(name), "%s-%u", i % 2 ? "odd" : "even", i);
	return name;
}

START_TEST(ten_thousand_names)
{
	unsigned i, count = times(NAMES, 1000);
	reclaim_tid *tids = calloc(count, sizeof(*tids));

	for (i = 0; i < count; i++) {
		tids[i] = task_called("named");
		ck_works(reclaim_register(name_of(i), tids[i]));
	}
	for (i = 0; i < count; i++)
		ck_assert_uint_eq(reclaim_whereis(name_of(i)), tids[i]);
	for (i = 0; i < count; i += 2)
		end_task(tids[i]);
	for (i = 1; i < count; i += 4)
		ck_works(reclaim_unregister(name_of(i)));
	for (i = 0; i < count; i++)
		ck_assert_uint_eq(reclaim_whereis(name_of(i)),
				  i % 4 == 3 ? tids[i] : 0);
	for (i = 1; i < count; i += 2)
		end_task(tids[i]);
	for (i = 0; i < count; i++)
		expect_free(name_of(i));
	free(tids);
}
END_TEST

/* One of several has it at a time, and whoever is found had it. */
#define THREADS 4
#define SHARED	3

static atomic_uint taken[SHARED];
static atomic_uint won;

static void struggle(reclaim_tid tid, unsigned which)
{
	reclaim_tid found;

	if (reclaim_register(name_of(which), tid) != 0) {
		must(errno == EEXIST);
		return;
	}
	must(atomic_fetch_add(&taken[which], 1) == 0);
	found = reclaim_whereis(name_of(which));
	must(found == tid);
	must(reclaim_register("another", tid) == -1 && errno == EEXIST);
	atomic_fetch_sub(&taken[which], 1);
	must(reclaim_unregister(name_of(which)) == 0);
	atomic_fetch_add(&won, 1);
}

static void *struggle_often(void *arg)
{
	unsigned i, rounds = times(5000, 300);
	reclaim_tid tid;

	for (i = 0; i < rounds; i++) {
		tid = reclaim_task_new(NULL);
		struggle(tid, i % SHARED);
		if (i % 2)
			struggle(tid, (i + 1) % SHARED);
		must(reclaim_end(tid, 0) == 0);
	}
	return arg;
}

START_TEST(threads_never_share_one)
{
	pthread_t threads[THREADS];
	unsigned i;

	for (i = 0; i < THREADS; i++)
		ck_works(pthread_create(&threads[i], NULL, struggle_often,
					NULL));
	for (i = 0; i < THREADS; i++)
		ck_works(pthread_join(threads[i], NULL));
	ck_assert_uint_gt(won, 0);
	for (i = 0; i < SHARED; i++)
		expect_free(name_of(i));
	expect_free("another");
}
END_TEST

START_TEST(a_child_process_has_the_names)
{
	int status;
	pid_t pid;

	ck_works(reclaim_register("reader", a));
	pid = fork();
	if (pid == 0) {
		must(reclaim_whereis("reader") == a);
		must(reclaim_end(a, 0) == 0);
		must(reclaim_whereis("reader") == 0);
		must(reclaim_register("reader", b) == 0);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(reclaim_whereis("reader"), a);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = talk_case(suite, "one");

	tcase_add_checked_fixture(tcase, have_tasks, end_tasks);
	tcase_add_test(tcase, a_name_is_found);
	tcase_add_test(tcase, a_name_is_copied);
	tcase_add_test(tcase, a_name_is_compared_as_a_whole);
	tcase_add_test(tcase, a_name_is_one_tasks);
	tcase_add_test(tcase, a_task_has_one_name);
	tcase_add_test(tcase, what_is_no_name);
	tcase_add_test(tcase, any_bytes_are_a_name);
	tcase_add_test(tcase, nobody_gets_no_name);
	tcase_add_test(tcase, the_root_may_have_one);
	tcase_add_test(tcase, any_task_may_give_and_take_it);

	tcase = talk_case(suite, "end");
	tcase_add_checked_fixture(tcase, have_tasks, end_tasks);
	tcase_add_test(tcase, a_name_is_free_at_the_end);
	tcase_add_test(tcase, a_name_is_free_before_its_end_is_told);
	tcase_add_test(tcase, who_keeps_a_status_has_no_name);
	tcase_add_test(tcase, its_last_actions_find_it);
	tcase_add_test(tcase, what_is_registered_last_is_free_too);

	tcase = talk_case(suite, "many");
	tcase_add_checked_fixture(tcase, have_tasks, end_tasks);
	tcase_add_test(tcase, ten_thousand_names);
	tcase_add_test(tcase, threads_never_share_one);
	tcase_add_test(tcase, a_child_process_has_the_names);
}

int main(void)
{
	return stage_run("name", fill);
}
