/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks with a thread of their own, and threads that work for a task: however
 * they end, the same things are released, in the same order, and whoever
 * waits is told the same.
 *
 * Nothing is asserted in a thread other than the test's: results are kept.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Long enough that only a hang gets there. */
#define LONG_MS 60000

typedef int entry(int argc, char **argv, char **envp);

static sem_t there, go, go_on;

static void make_semaphores(void)
{
	sem_init(&there, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&go_on, 0, 0);
}

static void destroy_semaphores(void)
{
	sem_destroy(&there);
	sem_destroy(&go);
	sem_destroy(&go_on);
}

static struct reclaim_task_info info(reclaim_tid tid)
{
	struct reclaim_task_info found;

	ck_works(reclaim_task_info(tid, &found));
	return found;
}

static bool exists(reclaim_tid tid)
{
	struct reclaim_task_info found;

	return reclaim_task_info(tid, &found) == 0;
}

static reclaim_tid spawn_with(const struct reclaim_task_opts *opts, entry *run)
{
	reclaim_tid tid = reclaim_spawn(opts, run, NULL);

	ck_assert_uint_ne(tid, 0);
	return tid;
}

static reclaim_tid spawn(entry *run)
{
	return spawn_with(NULL, run);
}

static int status_of(reclaim_tid tid)
{
	int status = INT_MIN;

	ck_works(reclaim_wait(tid, &status, LONG_MS));
	return status;
}

static int end_of(entry *run)
{
	return status_of(spawn(run));
}

static void note_arg(void *arg)
{
	note(*(const char *)arg);
}

/* As note_later, where it may fail but not be asserted. */
static void defer_note(const char *letter)
{
	reclaim_defer(note_arg, (void *)letter, NULL);
}

#define ENTRY(name)                                          \
	static int name(int argc __attribute__((unused)),    \
			char **argv __attribute__((unused)), \
			char **envp __attribute__((unused)))

/* Not pause(2): in a system call the thread sanitizer overlooks the end. */
static pthread_mutex_t never_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void unlock_never(void *arg)
{
	(void)arg;
	pthread_mutex_unlock(&never_mutex);
}

static int sleep_for_ever(void)
{
	pthread_mutex_lock(&never_mutex);
	pthread_cleanup_push(unlock_never, NULL);
	for (;;)
		pthread_cond_wait(&never, &never_mutex);
	pthread_cleanup_pop(0);
	return 0;
}

ENTRY(be_there_for_ever)
{
	defer_note("k");
	sem_post(&there);
	return sleep_for_ever();
}

/* Killed, it first has to be let go. */
ENTRY(be_deaf_until_let_go)
{
	defer_note("d");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&there);
	while (sem_wait(&go) != 0)
		;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	return 5;
}

/* ---- how it ends ---- */

ENTRY(return_7)
{
	defer_note("r");
	return 7;
}

START_TEST(what_it_returns_is_its_status)
{
	ck_assert_int_eq(end_of(return_7), 7);
	ck_assert_str_eq(noted(), "r");
}
END_TEST

ENTRY(return_minus_7)
{
	return -7;
}

START_TEST(a_status_may_be_negative)
{
	ck_assert_int_eq(end_of(return_minus_7), -7);
}
END_TEST

static void exit_deep_down(int depth)
{
	static void (*const volatile leave)(int) = save_exit;
	char room[1000];

	memset(room, depth, sizeof(room));
	if (depth > 0)
		exit_deep_down(depth - 1);
	leave(room[0] + 3);
}

ENTRY(exit_3)
{
	defer_note("e");
	exit_deep_down(10);
	return 0;
}

START_TEST(exit_is_its_own)
{
	ck_assert_int_eq(end_of(exit_3), 3);
	ck_assert_str_eq(noted(), "e");
}
END_TEST

ENTRY(reclaim_exit_4)
{
	defer_note("x");
	reclaim_exit(4);
}

START_TEST(reclaim_exit_is_the_same)
{
	ck_assert_int_eq(end_of(reclaim_exit_4), 4);
	ck_assert_str_eq(noted(), "x");
}
END_TEST

ENTRY(leave_by_pthread_exit)
{
	defer_note("p");
	pthread_exit(NULL);
}

START_TEST(pthread_exit_ends_it_with_0)
{
	ck_assert_int_eq(end_of(leave_by_pthread_exit), 0);
	ck_assert_str_eq(noted(), "p");
}
END_TEST

START_TEST(killed_it_ends_at_a_cancellation_point)
{
	reclaim_tid tid = spawn(be_there_for_ever);

	sem_wait(&there);
	ck_works(reclaim_kill(tid));
	ck_assert_int_eq(status_of(tid), RECLAIM_KILLED);
	ck_assert_str_eq(noted(), "k");
}
END_TEST

START_TEST(killed_before_it_began_it_ends_as_well)
{
	int i;

	for (i = 0; i < 100; i++) {
		reclaim_tid tid = spawn(be_there_for_ever);

		ck_works(reclaim_kill(tid));
		ck_assert_int_eq(status_of(tid), RECLAIM_KILLED);
	}
}
END_TEST

START_TEST(ended_it_has_the_status_it_was_given)
{
	reclaim_tid tid = spawn(be_there_for_ever);

	sem_wait(&there);
	ck_works(reclaim_end(tid, 9));
	ck_assert_str_eq(noted(), "k");
	ck_fails(reclaim_wait(tid, NULL, 0), -1, ESRCH);
}
END_TEST

START_TEST(nothing_is_released_while_it_runs)
{
	reclaim_tid tid = spawn(be_deaf_until_let_go);

	sem_wait(&there);
	ck_works(reclaim_kill(tid));
	ck_fails(reclaim_wait(tid, NULL, 10), -1, ETIMEDOUT);
	ck_assert_int_eq(info(tid).state, RECLAIM_ENDING);
	ck_assert_uint_eq(info(tid).actions, 1);
	ck_assert_str_eq(noted(), "");
	sem_post(&go);
	ck_assert_int_eq(status_of(tid), RECLAIM_KILLED);
	ck_assert_str_eq(noted(), "d");
}
END_TEST

ENTRY(return_5_when_let_go)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&there);
	while (sem_wait(&go) != 0)
		;
	return 5;
}

START_TEST(killed_its_own_status_comes_too_late)
{
	reclaim_tid tid = spawn(return_5_when_let_go);

	sem_wait(&there);
	ck_works(reclaim_kill(tid));
	sem_post(&go);
	ck_assert_int_eq(status_of(tid), RECLAIM_KILLED);
}
END_TEST

static void handle_cleanup(void *arg)
{
	/* Memory of the task, and the task still current. */
	note(*(char *)arg);
	defer_note("2");
}

ENTRY(have_a_cleanup_handler)
{
	char *mine = save_strdup("c");

	defer_note("1");
	pthread_cleanup_push(handle_cleanup, mine);
	sem_post(&there);
	sleep_for_ever();
	pthread_cleanup_pop(0);
	return 0;
}

START_TEST(cleanup_handlers_run_in_the_task)
{
	reclaim_tid tid = spawn(have_a_cleanup_handler);

	sem_wait(&there);
	ck_works(reclaim_end(tid, 0));
	ck_assert_str_eq(noted(), "c21");
}
END_TEST

static void exit_6(void *arg)
{
	(void)arg;
	note('c');
	save_exit(6);
}

ENTRY(exit_in_a_cleanup_handler)
{
	defer_note("1");
	pthread_cleanup_push(exit_6, NULL);
	pthread_exit(NULL);
	pthread_cleanup_pop(0);
	return 0;
}

START_TEST(exit_in_a_cleanup_handler_ends_it)
{
	ck_assert_int_eq(end_of(exit_in_a_cleanup_handler), 6);
	ck_assert_str_eq(noted(), "c1");
}
END_TEST

static pthread_key_t key;
static int rounds;

static void use_and_free(void *mine)
{
	note(*(char *)mine);
	if (--rounds > 0)
		pthread_setspecific(key, mine);
	else
		save_free(mine);
	defer_note("2");
}

ENTRY(have_a_destructor)
{
	defer_note("1");
	pthread_setspecific(key, save_strdup("d"));
	return 0;
}

ENTRY(have_a_destructor_and_exit)
{
	have_a_destructor(0, NULL, NULL);
	save_exit(0);
	return 0;
}

ENTRY(have_a_destructor_and_be_there)
{
	have_a_destructor(0, NULL, NULL);
	return be_there_for_ever(0, NULL, NULL);
}

static void with_a_key(void)
{
	ck_works(pthread_key_create(&key, use_and_free));
	rounds = 1;
}

static void without_a_key(void)
{
	pthread_key_delete(key);
}

START_TEST(thread_specific_destructors_use_the_tasks_memory)
{
	with_a_key();
	ck_assert_int_eq(end_of(have_a_destructor), 0);
	without_a_key();
	ck_assert_str_eq(noted(), "d21");
}
END_TEST

START_TEST(so_do_they_in_a_second_round)
{
	with_a_key();
	rounds = 2;
	ck_assert_int_eq(end_of(have_a_destructor), 0);
	without_a_key();
	ck_assert_str_eq(noted(), "dd221");
}
END_TEST

/* The handles went at the exit; memory goes with the thread. */
START_TEST(so_do_they_after_exit)
{
	with_a_key();
	ck_assert_int_eq(end_of(have_a_destructor_and_exit), 0);
	without_a_key();
	ck_assert_str_eq(noted(), "1d2");
}
END_TEST

START_TEST(so_do_they_when_it_was_killed)
{
	reclaim_tid tid;

	with_a_key();
	tid = spawn(have_a_destructor_and_be_there);
	sem_wait(&there);
	ck_works(reclaim_end(tid, 0));
	without_a_key();
	ck_assert_str_eq(noted(), "d2k1");
}
END_TEST

ENTRY(exit_with_an_action_on_the_stack)
{
	char letter = 's';

	reclaim_defer(note_arg, &letter, NULL);
	save_exit(0);
	return 0;
}

START_TEST(at_exit_the_stack_is_still_there_for_the_actions)
{
	ck_assert_int_eq(end_of(exit_with_an_action_on_the_stack), 0);
	ck_assert_str_eq(noted(), "s");
}
END_TEST

ENTRY(hold_everything)
{
	int fds[2];

	if (!save_malloc(1000) || !save_fopen("/dev/null", "re") ||
	    save_pipe2(fds, O_CLOEXEC) != 0 || !reclaim_task_new(NULL))
		return 1;
	return 0;
}

START_TEST(all_that_it_held_is_gone)
{
	ck_assert_int_eq(end_of(hold_everything), 0);
}
END_TEST

static reclaim_tid entered;

ENTRY(exit_in_an_entered_task)
{
	entered = reclaim_task_new(NULL);
	defer_note("1");
	reclaim_enter(entered);
	defer_note("2");
	save_exit(8);
	return 0;
}

START_TEST(exit_leaves_what_was_entered)
{
	ck_assert_int_eq(end_of(exit_in_an_entered_task), 8);
	ck_assert_str_eq(noted(), "21");
	ck_assert(!exists(entered));
}
END_TEST

static reclaim_tid outside;

ENTRY(end_while_in_another_task)
{
	return reclaim_enter(outside);
}

START_TEST(its_end_leaves_what_was_entered)
{
	outside = reclaim_task_new(NULL);
	ck_assert_int_eq(end_of(end_while_in_another_task), 0);
	work_for(outside);
	work_no_longer();
	end_task(outside);
}
END_TEST

/* ---- it asks for its own end ---- */

ENTRY(kill_itself)
{
	defer_note("k");
	reclaim_kill(reclaim_self());
	return sleep_for_ever();
}

START_TEST(it_may_kill_itself)
{
	ck_assert_int_eq(end_of(kill_itself), RECLAIM_KILLED);
	ck_assert_str_eq(noted(), "k");
}
END_TEST

ENTRY(kill_its_parent)
{
	struct reclaim_task_info mine;

	defer_note("c");
	reclaim_task_info(reclaim_self(), &mine);
	reclaim_kill(mine.parent);
	return sleep_for_ever();
}

START_TEST(it_may_kill_its_parent)
{
	reclaim_tid parent = reclaim_task_new(NULL);
	struct reclaim_task_opts opts = {.parent = parent};

	work_for(parent);
	note_later('p');
	work_no_longer();
	spawn_with(&opts, kill_its_parent);
	while (exists(parent))
		sched_yield();
	ck_assert_str_eq(noted(), "cp");
}
END_TEST

static int kept_result, kept_error;

static void keep(int result)
{
	kept_error = errno;
	kept_result = result;
}

ENTRY(end_itself)
{
	defer_note("e");
	keep(reclaim_end(reclaim_self(), 6));
	note('-');
	return 7;
}

START_TEST(it_may_end_itself_and_return)
{
	ck_assert_int_eq(end_of(end_itself), 6);
	ck_assert_int_eq(kept_result, 0);
	ck_assert_str_eq(noted(), "-e");
}
END_TEST

ENTRY(end_itself_and_stay)
{
	defer_note("e");
	reclaim_end(reclaim_self(), 6);
	sem_post(&there);
	return sleep_for_ever();
}

START_TEST(having_asked_for_its_end_it_may_be_killed)
{
	reclaim_tid tid = spawn(end_itself_and_stay);

	sem_wait(&there);
	ck_fails(reclaim_wait(tid, NULL, 1), -1, ETIMEDOUT);
	ck_works(reclaim_kill(tid));
	ck_assert_int_eq(status_of(tid), 6);
	ck_assert_str_eq(noted(), "e");
}
END_TEST

ENTRY(wait_for_itself)
{
	keep(reclaim_wait(reclaim_self(), NULL, -1));
	return 0;
}

START_TEST(to_wait_for_itself_is_refused)
{
	ck_assert_int_eq(end_of(wait_for_itself), 0);
	ck_assert_int_eq(kept_result, -1);
	ck_assert_int_eq(kept_error, EDEADLK);
}
END_TEST

ENTRY(enter_itself)
{
	keep(reclaim_enter(reclaim_self()));
	return 0;
}

START_TEST(nobody_enters_it)
{
	reclaim_tid tid;

	ck_assert_int_eq(end_of(enter_itself), 0);
	ck_assert_int_eq(kept_error, EBUSY);
	tid = spawn(be_there_for_ever);
	ck_fails(reclaim_enter(tid), -1, EBUSY);
	sem_wait(&there);
	ck_works(reclaim_end(tid, 0));
}
END_TEST

/* ---- what it is given ---- */

static char *arguments[3];
static int argument_count;
static bool right_environment;

static int keep_arguments(int argc, char **argv, char **envp)
{
	int i;

	while (sem_wait(&go) != 0)
		;
	argument_count = argc;
	for (i = 0; i < 3 && i < argc; i++)
		arguments[i] = strdup(argv[i]);
	right_environment = envp == environ && !argv[argc];
	return 0;
}

START_TEST(its_arguments_are_copied)
{
	char first[] = "one", second[] = "", third[] = "three";
	char *argv[] = {first, second, third, NULL};
	reclaim_tid tid = reclaim_spawn(NULL, keep_arguments, argv);
	int i;

	memset(first, 'x', sizeof(first) - 1);
	memset(third, 'x', sizeof(third) - 1);
	memset(argv, 0, sizeof(argv));
	sem_post(&go);
	ck_assert_int_eq(status_of(tid), 0);
	ck_assert_int_eq(argument_count, 3);
	ck_assert(right_environment);
	ck_assert_str_eq(arguments[0], "one");
	ck_assert_str_eq(arguments[1], "");
	ck_assert_str_eq(arguments[2], "three");
	for (i = 0; i < 3; i++)
		free(arguments[i]);
}
END_TEST

START_TEST(no_arguments_are_none)
{
	sem_post(&go);
	ck_assert_int_eq(end_of(keep_arguments), 0);
	ck_assert_int_eq(argument_count, 0);
	ck_assert(right_environment);
}
END_TEST

static size_t stack_size;

ENTRY(measure_stack)
{
	pthread_attr_t attr;
	void *base;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &base, &stack_size);
	pthread_attr_destroy(&attr);
	return 0;
}

START_TEST(its_stack_is_as_large_as_asked)
{
	struct reclaim_task_opts opts = {.stack_size = 3 * 1024 * 1024 + 1};

	ck_assert_int_eq(status_of(spawn_with(&opts, measure_stack)), 0);
	/* Or larger: libc keeps the stacks of threads that are gone. */
	ck_assert_uint_ge(stack_size, 3 * 1024 * 1024);
}
END_TEST

START_TEST(a_tiny_stack_is_made_large_enough)
{
	struct reclaim_task_opts opts = {.stack_size = 1};

	ck_assert_int_eq(status_of(spawn_with(&opts, return_7)), 7);
}
END_TEST

START_TEST(an_absurd_stack_is_refused)
{
	struct reclaim_task_opts opts = {.stack_size = SIZE_MAX};

	ck_assert_uint_eq(reclaim_spawn(&opts, return_7, NULL), 0);
	ck_assert(errno == EINVAL || errno == EAGAIN || errno == ENOMEM);
	opts.stack_size = SIZE_MAX / 4;
	ck_assert_uint_eq(reclaim_spawn(&opts, return_7, NULL), 0);
	ck_assert(errno == EINVAL || errno == EAGAIN || errno == ENOMEM);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
	struct reclaim_task_opts opts = {.flags = 2};

	ck_fails(reclaim_spawn(NULL, NULL, NULL), 0, EINVAL);
	ck_fails(reclaim_spawn(&opts, return_7, NULL), 0, EINVAL);
	opts = (struct reclaim_task_opts){.parent = UINT64_MAX};
	ck_fails(reclaim_spawn(&opts, return_7, NULL), 0, ESRCH);
}
END_TEST

ENTRY(hit_the_limits)
{
	bool small = save_malloc(100), large = save_malloc(1000);
	int first = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	keep(save_open("/dev/null", O_RDONLY | O_CLOEXEC));
	return small && !large && first >= 0;
}

START_TEST(its_limits_are_kept)
{
	struct reclaim_task_opts opts = {.max_bytes = 1000, .max_handles = 1};

	ck_assert_int_eq(status_of(spawn_with(&opts, hit_the_limits)), 1);
	ck_assert_int_eq(kept_error, EMFILE);
}
END_TEST

/* ---- its status ---- */

static void await_ended(reclaim_tid tid)
{
	while (info(tid).state != RECLAIM_ENDED)
		sched_yield();
}

START_TEST(a_status_is_kept_until_it_is_fetched)
{
	reclaim_tid root = reclaim_self(), tid = spawn(return_7);

	await_ended(tid);
	ck_assert_uint_eq(info(root).children, 1);
	ck_assert_uint_eq(info(tid).parent, root);
	ck_assert_int_eq(info(tid).status, 7);
	ck_assert_uint_eq(info(tid).actions, 0);
	ck_assert_int_eq(status_of(tid), 7);
	ck_assert_uint_eq(info(root).children, 0);
	ck_fails(reclaim_wait(tid, NULL, 0), -1, ESRCH);
	ck_assert(!exists(tid));
}
END_TEST

START_TEST(a_status_may_be_thrown_away)
{
	reclaim_tid tid = spawn(return_7);

	ck_works(reclaim_wait(tid, NULL, -1));
	ck_assert(!exists(tid));
}
END_TEST

START_TEST(statuses_are_fetched_in_any_order)
{
	reclaim_tid tids[20];
	int i;

	for (i = 0; i < 20; i++)
		tids[i] = spawn(return_7);
	for (i = 0; i < 20; i++)
		await_ended(tids[i]);
	for (i = 0; i < 20; i += 3)
		ck_assert_int_eq(status_of(tids[i]), 7);
	for (i = 19; i >= 0; i--)
		if (i % 3)
			ck_assert_int_eq(status_of(tids[i]), 7);
}
END_TEST

START_TEST(what_has_ended_may_be_ended_or_killed)
{
	reclaim_tid tid = spawn(return_7);

	await_ended(tid);
	ck_works(reclaim_kill(tid));
	ck_assert_int_eq(info(tid).status, 7);
	ck_works(reclaim_end(tid, 3));
	ck_assert(!exists(tid));
}
END_TEST

START_TEST(what_has_ended_takes_no_children_and_no_gifts)
{
	reclaim_tid tid = spawn(return_7);
	struct reclaim_task_opts opts = {.parent = tid};
	void *block = save_malloc(10);

	await_ended(tid);
	ck_fails(reclaim_task_new(&opts), 0, ESRCH);
	ck_fails(reclaim_enter(tid), -1, ESRCH);
	ck_fails(reclaim_give(block, tid), NULL, ESRCH);
	save_free(block);
	ck_assert_int_eq(status_of(tid), 7);
}
END_TEST

START_TEST(a_status_goes_with_the_parent)
{
	reclaim_tid parent = reclaim_task_new(NULL);
	struct reclaim_task_opts opts = {.parent = parent};
	reclaim_tid tid = spawn_with(&opts, return_7);

	await_ended(tid);
	end_task(parent);
	ck_fails(reclaim_wait(tid, NULL, 0), -1, ESRCH);
}
END_TEST

START_TEST(a_detached_one_keeps_no_status)
{
	struct reclaim_task_opts opts = {.flags = RECLAIM_DETACHED};
	reclaim_tid tid = spawn_with(&opts, return_7);

	while (exists(tid))
		sched_yield();
	ck_assert_uint_eq(info(reclaim_self()).children, 0);
}
END_TEST

static int ended_with(reclaim_tid tid)
{
	int status = 0;

	return reclaim_wait(tid, &status, LONG_MS) == 0 ? status : -errno;
}

static void *wait_for(void *tid)
{
	return (void *)(intptr_t)ended_with(*(reclaim_tid *)tid);
}

/* A waiter sleeps where it cannot be seen: it may also have come too late. */
static void expect_told(pthread_t waiter, int status)
{
	void *told;

	ck_works(pthread_join(waiter, &told));
	ck_assert((intptr_t)told == status || (intptr_t)told == -ESRCH);
}

START_TEST(a_detached_one_tells_who_waits_already)
{
	struct reclaim_task_opts opts = {.flags = RECLAIM_DETACHED};
	reclaim_tid tid = spawn_with(&opts, be_deaf_until_let_go);
	pthread_t waiter;

	sem_wait(&there);
	ck_works(pthread_create(&waiter, NULL, wait_for, &tid));
	usleep(1000);
	sem_post(&go);
	expect_told(waiter, 5);
	ck_assert(!exists(tid));
}
END_TEST

START_TEST(several_who_wait_are_told)
{
	reclaim_tid tid = spawn(be_deaf_until_let_go);
	pthread_t waiters[6];
	int i;

	sem_wait(&there);
	for (i = 0; i < 6; i++)
		ck_works(pthread_create(&waiters[i], NULL, wait_for, &tid));
	usleep(1000);
	sem_post(&go);
	for (i = 0; i < 6; i++)
		expect_told(waiters[i], 5);
	ck_assert(!exists(tid));
}
END_TEST

START_TEST(a_cancelled_waiter_leaves_the_status)
{
	reclaim_tid tid = spawn(be_deaf_until_let_go);
	pthread_t waiter;
	void *told;

	sem_wait(&there);
	ck_works(pthread_create(&waiter, NULL, wait_for, &tid));
	pthread_cancel(waiter);
	ck_works(pthread_join(waiter, &told));
	ck_assert_ptr_eq(told, PTHREAD_CANCELED);
	sem_post(&go);
	ck_assert_int_eq(status_of(tid), 5);
}
END_TEST

static void *end_it(void *tid)
{
	return (void *)(intptr_t)reclaim_end(*(reclaim_tid *)tid, 1);
}

START_TEST(a_cancelled_ender_has_asked_for_the_end)
{
	reclaim_tid tid = spawn(be_deaf_until_let_go);
	pthread_t ender;
	void *told;

	sem_wait(&there);
	ck_works(pthread_create(&ender, NULL, end_it, &tid));
	while (info(tid).state == RECLAIM_LIVE)
		sched_yield();
	pthread_cancel(ender);
	ck_works(pthread_join(ender, &told));
	ck_assert_ptr_eq(told, PTHREAD_CANCELED);
	sem_post(&go);
	ck_assert_int_eq(status_of(tid), 1);
}
END_TEST

/* ---- children ---- */

ENTRY(have_children)
{
	struct reclaim_task_opts opts = {.name = "idle"};

	defer_note("p");
	entered = reclaim_task_new(&opts);
	reclaim_enter(entered);
	defer_note("1");
	reclaim_leave();
	if (!reclaim_spawn(NULL, be_there_for_ever, NULL))
		return -1;
	return 0;
}

START_TEST(its_children_end_first)
{
	ck_assert_int_eq(end_of(have_children), 0);
	/* The one with a thread may not have begun when it was killed. */
	ck_assert_msg(strcmp(noted(), "k1p") == 0 || strcmp(noted(), "1p") == 0,
		      "%s", noted());
}
END_TEST

static atomic_int next_letter;

ENTRY(be_there_by_letter)
{
	static char letters[] = "abcdefgh";

	reclaim_defer(note_arg, &letters[atomic_fetch_add(&next_letter, 1)],
		      NULL);
	sem_post(&there);
	return sleep_for_ever();
}

START_TEST(children_with_threads_end_newest_first)
{
	reclaim_tid parent;
	struct reclaim_task_opts opts;
	int i, round;

	for (round = 0; round < 20; round++) {
		parent = reclaim_task_new(NULL);
		opts = (struct reclaim_task_opts){.parent = parent};
		next_letter = 0;
		for (i = 0; i < 4; i++) {
			spawn_with(&opts, be_there_by_letter);
			sem_wait(&there);
		}
		end_task(parent);
		ck_assert_str_eq(noted() + 4 * round, "dcba");
	}
}
END_TEST

START_TEST(an_older_child_waits_for_a_newer_one_that_is_deaf)
{
	reclaim_tid parent = reclaim_task_new(NULL), older, newer;
	struct reclaim_task_opts opts = {.parent = parent};

	older = spawn_with(&opts, be_there_for_ever);
	sem_wait(&there);
	newer = spawn_with(&opts, be_deaf_until_let_go);
	sem_wait(&there);
	ck_works(reclaim_kill(parent));
	ck_fails(reclaim_wait(older, NULL, 10), -1, ETIMEDOUT);
	ck_fails(reclaim_wait(newer, NULL, 0), -1, ETIMEDOUT);
	ck_assert_str_eq(noted(), "");
	sem_post(&go);
	while (exists(parent))
		sched_yield();
	ck_assert_str_eq(noted(), "dk");
}
END_TEST

static reclaim_tid sibling;

static void end_sibling(void *arg)
{
	(void)arg;
	keep(reclaim_end(sibling, 0));
}

ENTRY(end_sibling_at_the_end)
{
	defer_note("n");
	reclaim_defer(end_sibling, NULL, NULL);
	sem_post(&there);
	return sleep_for_ever();
}

START_TEST(a_newer_child_may_end_an_older_one_before_its_turn)
{
	reclaim_tid parent = reclaim_task_new(NULL);
	struct reclaim_task_opts opts = {.parent = parent};

	sibling = spawn_with(&opts, be_there_for_ever);
	sem_wait(&there);
	spawn_with(&opts, end_sibling_at_the_end);
	sem_wait(&there);
	end_task(parent);
	ck_assert_int_eq(kept_result, 0);
	ck_assert_str_eq(noted(), "kn");
}
END_TEST

ENTRY(wait_for_sibling)
{
	keep(reclaim_wait(sibling, NULL, -1));
	return kept_result;
}

START_TEST(a_child_that_waits_for_an_older_one_is_killed_all_the_same)
{
	reclaim_tid parent = reclaim_task_new(NULL);
	struct reclaim_task_opts opts = {.parent = parent};

	sibling = spawn_with(&opts, be_there_for_ever);
	sem_wait(&there);
	spawn_with(&opts, wait_for_sibling);
	end_task(parent);
	ck_assert_str_eq(noted(), "k");
}
END_TEST

static void *end_when_let_go(void *tid)
{
	reclaim_enter(*(reclaim_tid *)tid);
	sem_post(&there);
	while (sem_wait(&go) != 0)
		;
	keep(reclaim_end(sibling, 0));
	reclaim_leave();
	return NULL;
}

/* The one who is in the newer child wants the older one gone. */
START_TEST(who_is_in_a_newer_child_may_end_an_older_one)
{
	reclaim_tid parent = reclaim_task_new(NULL), newer;
	struct reclaim_task_opts opts = {.parent = parent};
	pthread_t thread;

	sibling = spawn_with(&opts, be_there_for_ever);
	sem_wait(&there);
	newer = reclaim_task_new(&opts);
	ck_works(pthread_create(&thread, NULL, end_when_let_go, &newer));
	sem_wait(&there);
	ck_works(reclaim_kill(parent));
	sem_post(&go);
	ck_works(pthread_join(thread, NULL));
	ck_assert_int_eq(kept_result, 0);
	while (exists(parent))
		sched_yield();
	ck_assert_str_eq(noted(), "k");
}
END_TEST

static void *wait_in(void *tid)
{
	reclaim_enter(*(reclaim_tid *)tid);
	sem_post(&there);
	keep(reclaim_wait(sibling, NULL, -1));
	reclaim_leave();
	return NULL;
}

/* It waits already when that becomes a reason not to. */
START_TEST(who_waits_in_a_newer_child_does_not_hold_up_the_older_one)
{
	reclaim_tid parent = reclaim_task_new(NULL), newer;
	struct reclaim_task_opts opts = {.parent = parent};
	pthread_t thread;

	sibling = spawn_with(&opts, be_there_for_ever);
	sem_wait(&there);
	newer = reclaim_task_new(&opts);
	ck_works(pthread_create(&thread, NULL, wait_in, &newer));
	sem_wait(&there);
	usleep(1000);
	ck_works(reclaim_kill(parent));
	ck_works(pthread_join(thread, NULL));
	ck_assert_int_eq(kept_result, 0);
	while (exists(parent))
		sched_yield();
	ck_assert_str_eq(noted(), "k");
}
END_TEST

static void wait_to_go(void *arg)
{
	(void)arg;
	sem_post(&there);
	while (sem_wait(&go) != 0)
		;
}

ENTRY(exit_and_stay_a_little)
{
	defer_note("e");
	pthread_setspecific(key, &key);
	save_exit(0);
	return 0;
}

static void *end_in(void *tid)
{
	reclaim_enter(*(reclaim_tid *)tid);
	sem_post(&there);
	while (sem_wait(&go_on) != 0)
		;
	sem_post(&go);
	keep(reclaim_end(sibling, 0));
	reclaim_leave();
	return NULL;
}

START_TEST(one_that_has_exited_has_had_its_turn)
{
	reclaim_tid parent = reclaim_task_new(NULL), newer;
	struct reclaim_task_opts opts = {.parent = parent};
	pthread_t thread;

	ck_works(pthread_key_create(&key, wait_to_go));
	sibling = spawn_with(&opts, exit_and_stay_a_little);
	sem_wait(&there);
	ck_assert_str_eq(noted(), "e");
	newer = reclaim_task_new(&opts);
	ck_works(pthread_create(&thread, NULL, end_in, &newer));
	sem_wait(&there);
	ck_works(reclaim_kill(parent));
	sem_post(&go_on);
	ck_works(pthread_join(thread, NULL));
	while (exists(parent))
		sched_yield();
	pthread_key_delete(key);
	ck_assert_int_eq(kept_result, 0);
}
END_TEST

/* ---- who waits for whom ---- */

START_TEST(who_is_waited_for_may_end_the_one_that_waits)
{
	reclaim_tid tid;

	sibling = reclaim_task_new(NULL);
	tid = spawn(wait_for_sibling);
	work_for(sibling);
	usleep(1000);
	ck_works(reclaim_end(tid, 0));
	ck_assert(!exists(tid));
	work_no_longer();
	end_task(sibling);
}
END_TEST

ENTRY(end_sibling_and_be_deaf)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&there);
	keep(reclaim_end(sibling, 0));
	return 0;
}

START_TEST(nor_does_it_wait_for_one_that_is_deaf)
{
	struct reclaim_task_opts opts = {.parent = reclaim_self()};
	reclaim_tid tid;

	sibling = reclaim_task_new(NULL);
	work_for(sibling);
	tid = spawn_with(&opts, end_sibling_and_be_deaf);
	sem_wait(&there);
	usleep(1000);
	ck_works(reclaim_end(tid, 7));
	work_no_longer();
	/* It may be gone by then. */
	ck_assert(reclaim_wait(tid, NULL, LONG_MS) == 0 || errno == ESRCH);
	ck_assert(!exists(sibling));
	ck_assert_int_eq(kept_result, 0);
}
END_TEST

/* In `tid` a thread of its own ends the sibling, which the test is in. */
static pthread_t start_in_sibling(reclaim_tid *tid)
{
	pthread_t thread;

	sibling = reclaim_task_new(NULL);
	ck_works(pthread_create(&thread, NULL, end_when_let_go, tid));
	sem_wait(&there);
	work_for(sibling);
	return thread;
}

START_TEST(who_holds_up_an_older_one_may_wait_for_who_ends_it)
{
	reclaim_tid parent, older, newer;
	struct reclaim_task_opts opts;
	pthread_t thread;
	int i;

	for (i = 0; i < 100; i++) {
		parent = reclaim_task_new(NULL);
		opts = (struct reclaim_task_opts){.parent = parent};
		older = reclaim_task_new(&opts);
		newer = reclaim_task_new(&opts);
		thread = start_in_sibling(&newer);
		ck_works(reclaim_kill(parent));
		sem_post(&go);
		ck_works(reclaim_end(older, 0));
		work_no_longer();
		ck_works(pthread_join(thread, NULL));
		ck_assert_int_eq(kept_result, 0);
		ck_assert(!exists(sibling));
		ck_assert(!exists(parent));
	}
}
END_TEST

/* It waits already when all that is newer has ended, and only it is left. */
START_TEST(who_comes_to_hold_up_a_tree_may_wait_for_who_ends_it)
{
	reclaim_tid top = reclaim_task_new(NULL), older;
	struct reclaim_task_opts opts = {.parent = top};
	pthread_t thread;

	opts.parent = reclaim_task_new(&opts);
	older = reclaim_task_new(&opts);
	spawn_with(&opts, be_there_for_ever);
	sem_wait(&there);
	thread = start_in_sibling(&older);
	sem_post(&go);
	usleep(1000);
	ck_works(reclaim_end(top, 0));
	ck_assert(!exists(top));
	work_no_longer();
	ck_works(pthread_join(thread, NULL));
	ck_assert_int_eq(kept_result, 0);
	ck_assert(!exists(sibling));
}
END_TEST

ENTRY(spawn_when_killed)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&there);
	while (sem_wait(&go) != 0)
		;
	keep(reclaim_spawn(NULL, return_7, NULL) ? 0 : -1);
	return 0;
}

START_TEST(killed_it_has_no_more_children)
{
	reclaim_tid tid = spawn(spawn_when_killed);

	sem_wait(&there);
	ck_works(reclaim_kill(tid));
	sem_post(&go);
	ck_assert_int_eq(status_of(tid), RECLAIM_KILLED);
	ck_assert_int_eq(kept_error, ESRCH);
}
END_TEST

ENTRY(spawn_one_deeper)
{
	int depth = argc > 1 ? atoi(argv[1]) : 30;
	char text[16], *arguments_below[] = {text, text, NULL};
	int status = -1;

	if (depth == 0)
		return 1;
	snprintf(text, sizeof(text), "%d", depth - 1);
	reclaim_wait(reclaim_spawn(NULL, spawn_one_deeper, arguments_below),
		     &status, -1);
	return status + 1;
}

START_TEST(threads_nest)
{
	ck_assert_int_eq(end_of(spawn_one_deeper), 31);
}
END_TEST

START_TEST(a_thousand_come_and_go)
{
	int i;

	for (i = 0; i < 1000; i++) {
		entry *const entries[] = {return_minus_7, reclaim_exit_4,
					  leave_by_pthread_exit};
		const int statuses[] = {-7, 4, 0};

		ck_assert_int_eq(end_of(entries[i % 3]), statuses[i % 3]);
	}
}
END_TEST

/* ---- exit in an action ---- */

static void exit_5(void *arg)
{
	note(*(const char *)arg);
	save_exit(5);
}

ENTRY(have_actions_that_exit)
{
	defer_note("1");
	reclaim_defer(exit_5, (void *)"2", NULL);
	defer_note("3");
	reclaim_defer(exit_5, (void *)"4", NULL);
	return 9;
}

ENTRY(have_actions_that_exit_and_exit)
{
	have_actions_that_exit(0, NULL, NULL);
	save_exit(9);
	return 0;
}

START_TEST(exit_in_an_action_ends_the_action)
{
	ck_assert_int_eq(end_of(have_actions_that_exit), 9);
	ck_assert_str_eq(noted(), "4321");
}
END_TEST

START_TEST(exit_in_an_action_run_by_exit_ends_the_action)
{
	ck_assert_int_eq(end_of(have_actions_that_exit_and_exit), 9);
	ck_assert_str_eq(noted(), "4321");
}
END_TEST

/* ---- fork ---- */

/* What a child of fork(2) exited with. */
static int exit_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

ENTRY(fork_and_return)
{
	pid_t pid;

	defer_note("f");
	pid = fork();
	return pid == 0 ? 3 : exit_status(pid);
}

START_TEST(a_forked_child_that_returns_exits)
{
	ck_assert_int_eq(end_of(fork_and_return), 3);
	ck_assert_str_eq(noted(), "f");
}
END_TEST

ENTRY(fork_and_exit)
{
	pid_t pid;

	defer_note("f");
	pid = fork();
	if (pid == 0)
		save_exit(4);
	return exit_status(pid);
}

START_TEST(a_forked_child_that_exits_exits)
{
	ck_assert_int_eq(end_of(fork_and_exit), 4);
	ck_assert_str_eq(noted(), "f");
}
END_TEST

static void fork_in_action(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		save_exit(6);
	keep(exit_status(pid));
}

ENTRY(fork_in_an_action)
{
	reclaim_defer(fork_in_action, NULL, NULL);
	return 0;
}

START_TEST(a_child_forked_in_an_action_exits)
{
	ck_assert_int_eq(end_of(fork_in_an_action), 0);
	ck_assert_int_eq(kept_result, 6);
}
END_TEST

/* ---- workers: threads that work for a task ---- */

static reclaim_tid worked_for;
static char *made_by_worker;

static void *work(void *arg)
{
	worked_for = reclaim_self();
	made_by_worker = save_strdup("worker's");
	defer_note("w");
	return arg;
}

START_TEST(a_worker_works_for_the_task_that_made_it)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;
	void *result;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, work, &worked_for));
	ck_assert_uint_eq(info(tid).handles, 1);
	ck_works(save_pthread_join(thread, &result));
	ck_assert_ptr_eq(result, &worked_for);
	ck_assert_uint_eq(info(tid).handles, 0);
	ck_assert_uint_eq(worked_for, tid);
	ck_assert_str_eq(made_by_worker, "worker's");
	ck_assert_str_eq(noted(), "");
	work_no_longer();
	end_task(tid);
	ck_assert_str_eq(noted(), "w");
}
END_TEST

START_TEST(a_worker_that_nobody_joined_is_joined)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, work, NULL));
	work_no_longer();
	end_task(tid);
}
END_TEST

static void note_stopped(void *arg)
{
	note_arg(arg);
}

static void *work_for_ever(void *arg)
{
	pthread_cleanup_push(note_stopped, (void *)"s");
	sem_post(&there);
	sleep_for_ever();
	pthread_cleanup_pop(0);
	return arg;
}

/* Asked to stop at once, it is waited for before what is older. */
START_TEST(a_worker_is_waited_for_in_its_turn)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	note_later('1');
	ck_works(save_pthread_create(&thread, NULL, work_for_ever, NULL));
	sem_wait(&there);
	note_later('2');
	work_no_longer();
	end_task(tid);
	ck_assert_msg(strcmp(noted(), "2s1") == 0 ||
			      strcmp(noted(), "s21") == 0,
		      "%s", noted());
}
END_TEST

START_TEST(a_detached_worker_is_stopped_as_well)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	note_later('1');
	ck_works(save_pthread_create(&thread, NULL, work_for_ever, NULL));
	ck_works(save_pthread_detach(thread));
	sem_wait(&there);
	work_no_longer();
	end_task(tid);
	ck_assert_str_eq(noted(), "s1");
}
END_TEST

START_TEST(a_detached_worker_that_is_done_is_forgotten)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	work_for(tid);
	ck_works(save_pthread_create(&thread, &attr, work, NULL));
	while (held())
		sched_yield();
	pthread_attr_destroy(&attr);
	work_no_longer();
	end_task(tid);
}
END_TEST

START_TEST(a_worker_that_is_done_is_forgotten_when_detached)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, work, NULL));
	ck_works(save_pthread_detach(thread));
	while (held())
		sched_yield();
	work_no_longer();
	end_task(tid);
}
END_TEST

START_TEST(a_worker_counts_as_a_handle)
{
	struct reclaim_task_opts opts = {.max_handles = 1};
	reclaim_tid tid = reclaim_task_new(&opts);
	pthread_t thread;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, work, NULL));
	ck_assert_int_eq(save_pthread_create(&thread, NULL, work, NULL),
			 EAGAIN);
	work_no_longer();
	end_task(tid);
}
END_TEST

static void *exit_7(void *arg)
{
	save_exit(7);
	return arg;
}

ENTRY(have_a_worker_that_exits)
{
	pthread_t thread;

	defer_note("t");
	save_pthread_create(&thread, NULL, exit_7, NULL);
	return sleep_for_ever();
}

START_TEST(exit_in_a_worker_ends_the_task)
{
	ck_assert_int_eq(end_of(have_a_worker_that_exits), 7);
	ck_assert_str_eq(noted(), "t");
}
END_TEST

START_TEST(exit_in_a_worker_ends_a_task_without_a_thread)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	note_later('t');
	ck_works(save_pthread_create(&thread, NULL, exit_7, NULL));
	work_no_longer();
	while (exists(tid))
		sched_yield();
	ck_assert_str_eq(noted(), "t");
}
END_TEST

static void *kill_its_task(void *arg)
{
	reclaim_kill(reclaim_self());
	sleep_for_ever();
	return arg;
}

START_TEST(a_worker_may_kill_its_task)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	note_later('t');
	ck_works(save_pthread_create(&thread, NULL, work_for_ever, NULL));
	ck_works(save_pthread_create(&thread, NULL, kill_its_task, NULL));
	sem_wait(&there);
	work_no_longer();
	while (exists(tid))
		sched_yield();
	ck_assert_str_eq(noted(), "st");
}
END_TEST

static void *end_its_task(void *arg)
{
	keep(reclaim_end(reclaim_self(), 0));
	note('-');
	return arg;
}

START_TEST(a_worker_may_end_its_task_and_return)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	note_later('t');
	ck_works(save_pthread_create(&thread, NULL, work_for_ever, NULL));
	sem_wait(&there);
	ck_works(save_pthread_create(&thread, NULL, end_its_task, NULL));
	work_no_longer();
	while (exists(tid))
		sched_yield();
	ck_assert_int_eq(kept_result, 0);
	ck_assert_uint_eq(strlen(noted()), 3);
	ck_assert_int_eq(noted()[2], 't');
}
END_TEST

static void *wait_for_its_task(void *arg)
{
	keep(reclaim_wait(reclaim_self(), NULL, -1));
	return arg;
}

START_TEST(a_worker_cannot_wait_for_its_task)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, wait_for_its_task, NULL));
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_int_eq(kept_error, EDEADLK);
	work_no_longer();
	end_task(tid);
}
END_TEST

static void *make_a_worker(void *arg)
{
	pthread_t thread;

	keep(save_pthread_create(&thread, NULL, work_for_ever, NULL));
	sleep_for_ever();
	return arg;
}

START_TEST(a_workers_worker_works_for_the_same_task)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, make_a_worker, NULL));
	sem_wait(&there);
	ck_assert_uint_eq(held(), 2);
	work_no_longer();
	end_task(tid);
	ck_assert_str_eq(noted(), "s");
}
END_TEST

static void *leave_by_pthread_exit_too(void *arg)
{
	pthread_exit(arg);
}

START_TEST(a_workers_result_may_come_from_pthread_exit)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	pthread_t thread;
	void *result;

	work_for(tid);
	ck_works(save_pthread_create(&thread, NULL, leave_by_pthread_exit_too,
				     &tid));
	ck_works(save_pthread_join(thread, &result));
	ck_assert_ptr_eq(result, &tid);
	work_no_longer();
	end_task(tid);
}
END_TEST

ENTRY(detach_itself)
{
	return save_pthread_detach(pthread_self());
}

START_TEST(a_tasks_own_thread_is_not_detached)
{
	ck_assert_int_eq(end_of(detach_itself), EINVAL);
}
END_TEST

static TCase *thread_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, make_semaphores, destroy_semaphores);
	return tcase;
}

static void add_ends(Suite *suite)
{
	TCase *tcase = thread_case(suite, "how it ends");

	tcase_add_test(tcase, what_it_returns_is_its_status);
	tcase_add_test(tcase, a_status_may_be_negative);
	tcase_add_test(tcase, exit_is_its_own);
	tcase_add_test(tcase, reclaim_exit_is_the_same);
	tcase_add_test(tcase, pthread_exit_ends_it_with_0);
	tcase_add_test(tcase, killed_it_ends_at_a_cancellation_point);
	tcase_add_test(tcase, killed_before_it_began_it_ends_as_well);
	tcase_add_test(tcase, ended_it_has_the_status_it_was_given);
	tcase_add_test(tcase, nothing_is_released_while_it_runs);
	tcase_add_test(tcase, killed_its_own_status_comes_too_late);
	tcase_add_test(tcase, cleanup_handlers_run_in_the_task);
	tcase_add_test(tcase, exit_in_a_cleanup_handler_ends_it);
	tcase_add_test(tcase, thread_specific_destructors_use_the_tasks_memory);
	tcase_add_test(tcase, so_do_they_in_a_second_round);
	tcase_add_test(tcase, so_do_they_after_exit);
	tcase_add_test(tcase, so_do_they_when_it_was_killed);
	tcase_add_test(tcase, at_exit_the_stack_is_still_there_for_the_actions);
	tcase_add_test(tcase, all_that_it_held_is_gone);
	tcase_add_test(tcase, exit_leaves_what_was_entered);
	tcase_add_test(tcase, its_end_leaves_what_was_entered);
	tcase_add_test(tcase, a_thousand_come_and_go);

	tcase = thread_case(suite, "it asks for its own end");
	tcase_add_test(tcase, it_may_kill_itself);
	tcase_add_test(tcase, it_may_kill_its_parent);
	tcase_add_test(tcase, it_may_end_itself_and_return);
	tcase_add_test(tcase, having_asked_for_its_end_it_may_be_killed);
	tcase_add_test(tcase, to_wait_for_itself_is_refused);
	tcase_add_test(tcase, nobody_enters_it);
}

static void add_arguments_and_status(Suite *suite)
{
	TCase *tcase = thread_case(suite, "what it is given");

	tcase_add_test(tcase, its_arguments_are_copied);
	tcase_add_test(tcase, no_arguments_are_none);
	tcase_add_test(tcase, its_stack_is_as_large_as_asked);
	tcase_add_test(tcase, a_tiny_stack_is_made_large_enough);
	tcase_add_test(tcase, an_absurd_stack_is_refused);
	tcase_add_test(tcase, wrong_options_are_refused);
	tcase_add_test(tcase, its_limits_are_kept);

	tcase = thread_case(suite, "its status");
	tcase_add_test(tcase, a_status_is_kept_until_it_is_fetched);
	tcase_add_test(tcase, a_status_may_be_thrown_away);
	tcase_add_test(tcase, statuses_are_fetched_in_any_order);
	tcase_add_test(tcase, what_has_ended_may_be_ended_or_killed);
	tcase_add_test(tcase, what_has_ended_takes_no_children_and_no_gifts);
	tcase_add_test(tcase, a_status_goes_with_the_parent);
	tcase_add_test(tcase, a_detached_one_keeps_no_status);
	tcase_add_test(tcase, a_detached_one_tells_who_waits_already);
	tcase_add_test(tcase, several_who_wait_are_told);
	tcase_add_test(tcase, a_cancelled_waiter_leaves_the_status);
	tcase_add_test(tcase, a_cancelled_ender_has_asked_for_the_end);
}

static void add_children(Suite *suite)
{
	TCase *tcase = thread_case(suite, "children");

	tcase_add_test(tcase, its_children_end_first);
	tcase_add_test(tcase, children_with_threads_end_newest_first);
	tcase_add_test(tcase,
		       an_older_child_waits_for_a_newer_one_that_is_deaf);
	tcase_add_test(tcase,
		       a_newer_child_may_end_an_older_one_before_its_turn);
	tcase_add_test(
		tcase,
		a_child_that_waits_for_an_older_one_is_killed_all_the_same);
	tcase_add_test(tcase, who_is_in_a_newer_child_may_end_an_older_one);
	tcase_add_test(
		tcase,
		who_waits_in_a_newer_child_does_not_hold_up_the_older_one);
	tcase_add_test(tcase, one_that_has_exited_has_had_its_turn);
	tcase_add_test(tcase, who_is_waited_for_may_end_the_one_that_waits);
	tcase_add_test(tcase, nor_does_it_wait_for_one_that_is_deaf);
	tcase_add_test(tcase,
		       who_holds_up_an_older_one_may_wait_for_who_ends_it);
	tcase_add_test(tcase,
		       who_comes_to_hold_up_a_tree_may_wait_for_who_ends_it);
	tcase_add_test(tcase, killed_it_has_no_more_children);
	tcase_add_test(tcase, threads_nest);

	tcase = thread_case(suite, "exit and fork in it");
	tcase_add_test(tcase, exit_in_an_action_ends_the_action);
	tcase_add_test(tcase, exit_in_an_action_run_by_exit_ends_the_action);
	tcase_add_test(tcase, a_forked_child_that_returns_exits);
	tcase_add_test(tcase, a_forked_child_that_exits_exits);
	tcase_add_test(tcase, a_child_forked_in_an_action_exits);
}

static void add_workers(Suite *suite)
{
	TCase *tcase = thread_case(suite, "workers");

	tcase_add_test(tcase, a_worker_works_for_the_task_that_made_it);
	tcase_add_test(tcase, a_worker_that_nobody_joined_is_joined);
	tcase_add_test(tcase, a_worker_is_waited_for_in_its_turn);
	tcase_add_test(tcase, a_detached_worker_is_stopped_as_well);
	tcase_add_test(tcase, a_detached_worker_that_is_done_is_forgotten);
	tcase_add_test(tcase, a_worker_that_is_done_is_forgotten_when_detached);
	tcase_add_test(tcase, a_worker_counts_as_a_handle);
	tcase_add_test(tcase, exit_in_a_worker_ends_the_task);
	tcase_add_test(tcase, exit_in_a_worker_ends_a_task_without_a_thread);
	tcase_add_test(tcase, a_worker_may_kill_its_task);
	tcase_add_test(tcase, a_worker_may_end_its_task_and_return);
	tcase_add_test(tcase, a_worker_cannot_wait_for_its_task);
	tcase_add_test(tcase, a_workers_worker_works_for_the_same_task);
	tcase_add_test(tcase, a_workers_result_may_come_from_pthread_exit);
	tcase_add_test(tcase, a_tasks_own_thread_is_not_detached);
}

static void fill(Suite *suite)
{
	add_ends(suite);
	add_arguments_and_status(suite);
	add_children(suite);
	add_workers(suite);
}

int main(void)
{
	return stage_run("thread", fill);
}
