/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads are ended at random moments while they acquire and give back at
 * random, some thousand times: nothing is lost between a system call and its
 * record.  What was acquired and not given back is the task's, and goes with
 * it.
 *
 * RECLAIM_TEST_CANCELS is how many are ended in place of 3,000: for where a
 * tool makes each of them slow.
 */
#include "config.h"

#include "tests/acquirers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CANCELS	 3000
#define TOGETHER 20 /* at a time */

/* A program is waited for at its task's end, which takes longer. */
#define CANCELS_OF_A_PROGRAM(cancels) ((cancels) / 50)

static int cancels(void)
{
	const char *given = getenv("RECLAIM_TEST_CANCELS");

	return given ? atoi(given) : CANCELS;
}

static bool is_called(const struct acquirer *a, const char *name)
{
	return strcmp(a->name, name) == 0;
}

static bool is_quick(const struct acquirer *a)
{
#ifdef __SANITIZE_THREAD__ /* it knows no thread again that was cancelled in \
			    */
	if (is_called(a, "pthread_create"))
		return false; /* pthread_join */
#endif
	return !(a->flags & RUNS_A_PROGRAM) && !is_called(a, "mkdtemp");
}

/* fork copies what the other threads are in the middle of. */
static bool is_program(const struct acquirer *a)
{
	return a->flags & RUNS_A_PROGRAM && !is_called(a, "fork");
}

static bool (*is_chosen)(const struct acquirer *a);

/* ---- what is ended ---- */

static atomic_uint_fast64_t next_seed;

struct attempt {
	const struct acquirer *a;
	struct got got;
};

static void tidy(void *arg)
{
	struct attempt *attempt = arg;

	acquirer_tidy(attempt->a, &attempt->got);
}

/*
 * What is prepared is the test's own, and made and tidied up with cancellation
 * disabled.
 */
static void acquire_one(const struct acquirer *a, bool gives_back)
{
	struct attempt attempt = {.a = a};
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	acquirer_prepare(a, &attempt.got);
	pthread_cleanup_push(tidy, &attempt);
	pthread_setcancelstate(state, NULL);
	if (a->acquire(&attempt.got) == 0 && gives_back)
		a->undo(&attempt.got);
	else
		attempt.got.size = 0; /* it stays, and is the task's */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cleanup_pop(1);
	pthread_setcancelstate(state, NULL);
	pthread_testcancel();
}

static void acquire_for_ever(void)
{
	uint64_t state = atomic_fetch_add(&next_seed, 1);

	for (;;) {
		uint64_t choice = fixture_random(&state);
		const struct acquirer *a =
			&acquirers[choice % (unsigned)acquirer_count];

		if (is_chosen(a))
			acquire_one(a, choice >> 32 & 3);
	}
}

static void *acquire_in_a_thread(void *arg)
{
	acquire_for_ever();
	return arg;
}

static int acquire_in_a_task(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	acquire_for_ever();
	return 0;
}

/* ---- who ends them ---- */

static uint64_t chance;

static void let_them_run(void)
{
	usleep((useconds_t)(fixture_random(&chance) % 500));
}

static void end_threads(void)
{
	pthread_t threads[TOGETHER];
	void *result;
	int i;

	for (i = 0; i < TOGETHER; i++)
		ck_works(save_pthread_create(&threads[i], NULL,
					     acquire_in_a_thread, NULL));
	let_them_run();
	for (i = 0; i < TOGETHER; i++)
		ck_works(pthread_cancel(threads[i]));
	for (i = 0; i < TOGETHER; i++) {
		ck_works(save_pthread_join(threads[i], &result));
		ck_assert_ptr_eq(result, PTHREAD_CANCELED);
	}
}

static void leave_threads_to_the_end(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < TOGETHER; i++)
		ck_works(save_pthread_create(&thread, NULL, acquire_in_a_thread,
					     NULL));
	let_them_run();
}

static void end_tasks(void)
{
	reclaim_tid tids[TOGETHER];
	int i, status;

	for (i = 0; i < TOGETHER; i++) {
		tids[i] = reclaim_spawn(NULL, acquire_in_a_task, NULL);
		ck_assert_uint_ne(tids[i], 0);
	}
	let_them_run();
	for (i = 0; i < TOGETHER; i++)
		ck_works(reclaim_kill(tids[i]));
	for (i = 0; i < TOGETHER; i++) {
		ck_works(reclaim_wait(tids[i], &status, -1));
		ck_assert_int_eq(status, RECLAIM_KILLED);
	}
}

static void end_so_many(int n, void (*end)(void))
{
	struct fixture_view *view = fixture_look();
	char *difference;

	chance = fixture_seed();
	atomic_store(&next_seed, fixture_seed());
	for (; n > 0; n -= TOGETHER)
		end();
	difference = fixture_compare(view);
	ck_assert_msg(!difference, "lost:%s", difference);
	ck_assert_uint_eq(reports(), 0);
	fixture_forget(view);
}

static void end_in_a_task(void)
{
	in_task(end_threads);
}

static void leave_in_a_task(void)
{
	in_task(leave_threads_to_the_end);
}

static void leave_in_a_spawned_task(void)
{
	ck_assert_int_eq(in_thread_of_task(leave_threads_to_the_end), 0);
}

START_TEST(cancelled_threads_lose_nothing)
{
	is_chosen = is_quick;
	end_so_many(cancels(), end_in_a_task);
}
END_TEST

START_TEST(killed_tasks_lose_nothing)
{
	is_chosen = is_quick;
	end_so_many(cancels(), end_tasks);
}
END_TEST

START_TEST(threads_that_end_with_their_task_lose_nothing)
{
	is_chosen = is_quick;
	end_so_many(cancels() / 2, leave_in_a_task);
	end_so_many(cancels() / 2, leave_in_a_spawned_task);
}
END_TEST

START_TEST(programs_are_not_lost_either)
{
	int n = CANCELS_OF_A_PROGRAM(cancels());

	is_chosen = is_program;
	end_so_many(n, end_in_a_task);
	end_so_many(n, end_tasks);
	end_so_many(n, leave_in_a_task);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "cancel");

	tcase_add_test(tcase, cancelled_threads_lose_nothing);
	tcase_add_test(tcase, killed_tasks_lose_nothing);
	tcase_add_test(tcase, threads_that_end_with_their_task_lose_nothing);
	tcase_add_test(tcase, programs_are_not_lost_either);
}

int main(void)
{
	return stage_run("cancel", fill);
}
