/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a process: deferred actions and handles of every task are run, in
 * order, and once; whatever its threads are doing, it does end.
 *
 * Each scenario is a forked child.  What it does shows in the letters that it
 * writes to a pipe, up to the end of its last holder, and in how it exits.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The children may have threads, and end with them. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0:report_thread_leaks=0:atexit_sleep_ms=0";
}

static int letters_fd;

static void write_text(const char *text)
{
	if (write(letters_fd, text, strlen(text)) < 0)
		_exit(99);
}

static void write_arg(void *text)
{
	write_text(text);
}

static void write_report(int severity, const char *text, void *arg)
{
	(void)severity;
	(void)arg;
	write_text("{");
	write_text(text);
	write_text("}");
}

static void defer(const char *letter)
{
	if (reclaim_defer(write_arg, (void *)letter, NULL) != 0)
		_exit(98);
}

struct outcome {
	bool exited;
	int status; /* or the signal */
	char text[4000];
};

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1) {
		n = read(fd, text + len, size - 1 - len);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
}

static struct outcome outcome_of(void (*scenario)(void))
{
	struct outcome outcome;
	int fds[2], status;
	pid_t pid;

	fflush(NULL);
	ck_works(pipe2(fds, O_CLOEXEC));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fds[0]);
		letters_fd = fds[1];
		reclaim_on_report(write_report, NULL);
		scenario();
		write_text("?");
		_exit(97);
	}
	close(fds[1]);
	read_all(fds[0], outcome.text, sizeof(outcome.text));
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	outcome.exited = WIFEXITED(status);
	outcome.status =
		outcome.exited ? WEXITSTATUS(status) : WTERMSIG(status);
	return outcome;
}

static void expect(void (*scenario)(void), int status, const char *text)
{
	struct outcome outcome = outcome_of(scenario);

	ck_assert_str_eq(outcome.text, text);
	ck_assert_msg(outcome.exited, "signal %d", outcome.status);
	ck_assert_int_eq(outcome.status, status);
}

/* ---- what a scenario is made of ---- */

static sem_t there;

static void await_there(void)
{
	while (sem_wait(&there) != 0)
		;
}

static reclaim_tid task_with(reclaim_tid parent, const char *letter)
{
	struct reclaim_task_opts opts = {.name = letter, .parent = parent};
	reclaim_tid tid = reclaim_task_new(&opts);

	reclaim_enter(tid);
	defer(letter);
	reclaim_leave();
	return tid;
}

typedef int entry(int argc, char **argv, char **envp);

static reclaim_tid spawn_below(reclaim_tid parent, const char *letter,
			       entry *run)
{
	struct reclaim_task_opts opts = {.name = letter, .parent = parent};
	char *argv[] = {(char *)letter, NULL};
	reclaim_tid tid = reclaim_spawn(&opts, run, argv);

	if (!tid)
		_exit(96);
	return tid;
}

static void start_thread(void *(*run)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, NULL) != 0)
		_exit(95);
}

/* Not pause(2): in a system call the thread sanitizer overlooks the end. */
static pthread_mutex_t never_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void unlock_never(void *arg)
{
	(void)arg;
	pthread_mutex_unlock(&never_mutex);
}

static void sleep_for_ever(void)
{
	pthread_mutex_lock(&never_mutex);
	pthread_cleanup_push(unlock_never, NULL);
	for (;;)
		pthread_cond_wait(&never, &never_mutex);
	pthread_cleanup_pop(0);
}

/* argv[0] outlives the thread's actions, being a copy of its own. */
#define ENTRY(name)                                                    \
	static int name(int argc __attribute__((unused)), char **argv, \
			char **envp __attribute__((unused)))

ENTRY(be_there)
{
	defer(argv[0]);
	sem_post(&there);
	sleep_for_ever();
	return 0;
}

static void spawn_there(reclaim_tid parent, const char *letter)
{
	spawn_below(parent, letter, be_there);
	await_there();
}

ENTRY(be_deaf)
{
	defer(argv[0]);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&there);
	sleep_for_ever();
	return 0;
}

static void spawn_deaf(reclaim_tid parent, const char *letter)
{
	spawn_below(parent, letter, be_deaf);
	await_there();
}

static void make_there(void)
{
	sem_init(&there, 0, 0);
}

static void destroy_there(void)
{
	sem_destroy(&there);
}

/* ---- the order ---- */

static void hold_and_exit(void)
{
	reclaim_tid a;

	defer("1");
	a = task_with(0, "a");
	defer("2");
	task_with(a, "b");
	task_with(a, "c");
	task_with(0, "d");
	exit(5);
}

START_TEST(every_task_ends_in_order)
{
	expect(hold_and_exit, 5, "dcba21");
}
END_TEST

static void exit_from_within(void)
{
	reclaim_tid a = task_with(0, "a"), b = task_with(a, "b");

	task_with(0, "c");
	reclaim_enter(a);
	reclaim_enter(b);
	defer("2");
	exit(0);
}

START_TEST(what_was_entered_is_left)
{
	expect(exit_from_within, 0, "c2ba");
}
END_TEST

static void exit_by_save_exit(void)
{
	task_with(0, "a");
	defer("1");
	save_exit(6);
}

START_TEST(save_exit_in_the_root_is_exit)
{
	expect(exit_by_save_exit, 6, "a1");
}
END_TEST

static void exit_by_reclaim_exit(void)
{
	reclaim_enter(task_with(0, "a"));
	reclaim_exit(7);
}

START_TEST(reclaim_exit_in_an_entered_task_is_exit)
{
	expect(exit_by_reclaim_exit, 7, "a");
}
END_TEST

static char *still_there;

static void write_memory(void *arg)
{
	(void)arg;
	write_text(still_there);
}

static void exit_with_memory(void)
{
	reclaim_tid a = reclaim_task_new(NULL);

	reclaim_defer(write_memory, NULL, NULL);
	still_there = save_strdup("m");
	reclaim_enter(a);
	reclaim_defer(write_memory, NULL, NULL);
	exit(0);
}

START_TEST(memory_is_there_for_the_actions)
{
	expect(exit_with_memory, 0, "mm");
}
END_TEST

static int kept_fd;

static void look_at_fd(void *arg)
{
	(void)arg;
	write_text(fcntl(kept_fd, F_GETFD) < 0 ? "c" : "o");
}

static void exit_with_handles(void)
{
	static const struct reclaim_kind kind = {.name = "letter",
						 .release = write_arg};

	reclaim_defer(look_at_fd, NULL, NULL);
	kept_fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	reclaim_defer(look_at_fd, NULL, NULL);
	reclaim_track(&kind, (void *)"k", NULL);
	exit(0);
}

START_TEST(handles_are_released)
{
	expect(exit_with_handles, 0, "koc");
}
END_TEST

static void exit_3(void *arg)
{
	write_arg(arg);
	save_exit(3);
}

static void have_actions_that_exit(void)
{
	defer("1");
	reclaim_defer(exit_3, (void *)"2", NULL);
	reclaim_enter(reclaim_task_new(NULL));
	defer("3");
	reclaim_defer(exit_3, (void *)"4", NULL);
	exit(0);
}

START_TEST(actions_that_exit_end_alone)
{
	expect(have_actions_that_exit, 0, "4321");
}
END_TEST

static void make_things(void *arg)
{
	write_text(reclaim_task_new(NULL) ? "?" : "n");
	write_text(save_malloc(10) ? "m" : "?");
	defer(arg);
}

static void have_actions_that_acquire(void)
{
	reclaim_defer(make_things, (void *)"1", NULL);
	reclaim_enter(reclaim_task_new(NULL));
	reclaim_defer(make_things, (void *)"2", NULL);
	exit(0);
}

START_TEST(what_actions_defer_is_run)
{
	expect(have_actions_that_acquire, 0, "nm2nm1");
}
END_TEST

static void write_at_exit(void)
{
	write_text(reclaim_task_new(NULL) ? "e" : "?");
	defer("2");
}

static void exit_with_atexit(void)
{
	atexit(write_at_exit);
	defer("1");
	exit(0);
}

START_TEST(exit_handlers_come_before)
{
	expect(exit_with_atexit, 0, "e21");
}
END_TEST

static void exit_quickly(void)
{
	defer("1");
	_exit(4);
}

START_TEST(_exit_releases_nothing)
{
	expect(exit_quickly, 4, "");
}
END_TEST

static void be_killed(void)
{
	defer("1");
	raise(SIGKILL);
}

START_TEST(a_signal_releases_nothing)
{
	struct outcome outcome = outcome_of(be_killed);

	ck_assert(!outcome.exited);
	ck_assert_int_eq(outcome.status, SIGKILL);
	ck_assert_str_eq(outcome.text, "");
}
END_TEST

/* ---- processes ---- */

static void leave_a_plain_child(void)
{
	pid_t pid;
	char text[32];

	reclaim_enter(task_with(0, "a"));
	pid = fork();
	if (pid == 0) {
		close(letters_fd);
		sleep_for_ever();
	}
	snprintf(text, sizeof(text), "%d ", (int)pid);
	write_text(text);
	exit(0);
}

START_TEST(a_plain_child_is_left_alone)
{
	struct outcome outcome;
	int pid = 0;

	ck_works(prctl(PR_SET_CHILD_SUBREAPER, 1));
	outcome = outcome_of(leave_a_plain_child);
	ck_assert_int_eq(sscanf(outcome.text, "%d a", &pid), 1);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ck_works(kill(pid, SIGKILL));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_works(prctl(PR_SET_CHILD_SUBREAPER, 0));
}
END_TEST

static void leave_a_tasks_child(void)
{
	pid_t pid;
	char text[32];

	reclaim_enter(task_with(0, "a"));
	pid = save_fork();
	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		sleep_for_ever();
	}
	snprintf(text, sizeof(text), "%d ", (int)pid);
	write_text(text);
	exit(0);
}

START_TEST(a_tasks_child_ends)
{
	/* It holds the pipe: that this returns is the proof. */
	struct outcome outcome = outcome_of(leave_a_tasks_child);
	int pid = 0;

	ck_assert_int_eq(sscanf(outcome.text, "%d a", &pid), 1);
	ck_fails(kill(pid, 0), -1, ESRCH);
}
END_TEST

static void exit_in_a_forked_child(void)
{
	int status;
	pid_t pid;

	defer("1");
	reclaim_enter(task_with(0, "a"));
	pid = fork();
	if (pid == 0) {
		defer("2");
		exit(3);
	}
	waitpid(pid, &status, 0);
	write_text(WIFEXITED(status) && WEXITSTATUS(status) == 3 ? "+" : "?");
	exit(0);
}

START_TEST(a_forked_child_runs_its_own_actions_alone)
{
	expect(exit_in_a_forked_child, 0, "2+a1");
}
END_TEST

static void *fork_in_thread(void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		defer("3");
		exit(2);
	}
	waitpid(pid, &status, 0);
	write_text(WIFEXITED(status) && WEXITSTATUS(status) == 2 ? "+" : "?");
	sem_post(&there);
	return arg;
}

static void fork_beside_tasks(void)
{
	spawn_there(task_with(0, "a"), "b");
	defer("1");
	start_thread(fork_in_thread);
	await_there();
	exit(0);
}

START_TEST(a_child_forked_beside_threads_exits_at_once)
{
	expect(fork_beside_tasks, 0, "3+ba1");
}
END_TEST

/* ---- threads ---- */

static void exit_with_threads(void)
{
	reclaim_tid a = task_with(0, "a");

	spawn_there(a, "b");
	spawn_there(a, "c");
	spawn_there(0, "d");
	exit(0);
}

START_TEST(threads_are_stopped_and_end_in_order)
{
	expect(exit_with_threads, 0, "dcba");
}
END_TEST

static void exit_with_a_deaf_one(void)
{
	spawn_there(0, "a");
	task_with(0, "b");
	spawn_deaf(0, "c");
	spawn_there(0, "d");
	exit(0);
}

START_TEST(a_deaf_thread_is_given_up)
{
	struct outcome outcome = outcome_of(exit_with_a_deaf_one);

	ck_assert_int_eq(outcome.status, 0);
	ck_assert(outcome.exited);
	ck_assert_msg(strncmp(outcome.text, "d{the process exits while task c",
			      32) == 0,
		      "%s", outcome.text);
	ck_assert_str_eq(strchr(outcome.text, '}'), "}ba");
}
END_TEST

static pthread_key_t key;
static sem_t go;

static void linger(void *arg)
{
	(void)arg;
	sem_post(&there);
	while (sem_wait(&go) != 0)
		;
}

ENTRY(exit_and_linger)
{
	defer(argv[0]);
	pthread_setspecific(key, &key);
	save_exit(0);
}

static void let_go(int severity, const char *text, void *arg)
{
	write_report(severity, text, arg);
	sem_post(&go);
	usleep(20000);
}

static void exit_with_one_that_lingers(void)
{
	sem_init(&go, 0, 0);
	pthread_key_create(&key, linger);
	reclaim_on_report(let_go, NULL);
	spawn_below(0, "a", exit_and_linger);
	await_there();
	spawn_deaf(0, "b");
	exit(0);
}

/* It waits for the process's end by the time that it is looked at. */
START_TEST(one_that_had_exited_is_no_hindrance)
{
	struct outcome outcome = outcome_of(exit_with_one_that_lingers);

	ck_assert(outcome.exited);
	ck_assert_int_eq(outcome.status, 0);
	ck_assert_int_eq(outcome.text[0], 'a');
}
END_TEST

static void exit_with_a_deaf_child_below(void)
{
	reclaim_tid a = task_with(0, "a");

	spawn_deaf(a, "b");
	task_with(a, "c");
	exit(0);
}

START_TEST(those_above_and_beside_it_end_all_the_same)
{
	struct outcome outcome = outcome_of(exit_with_a_deaf_child_below);

	ck_assert(outcome.exited);
	ck_assert_int_eq(outcome.text[0], 'c');
	ck_assert_str_eq(strchr(outcome.text, '}'), "}a");
}
END_TEST

static reclaim_tid entered;

static void *be_in_it(void *arg)
{
	reclaim_enter(entered);
	sem_post(&there);
	sleep_for_ever();
	return arg;
}

static void exit_with_somebody_inside(void)
{
	task_with(0, "a");
	entered = task_with(0, "b");
	start_thread(be_in_it);
	await_there();
	exit(0);
}

START_TEST(a_task_that_a_stranger_is_in_is_given_up)
{
	struct outcome outcome = outcome_of(exit_with_somebody_inside);

	ck_assert(outcome.exited);
	ck_assert_str_eq(strchr(outcome.text, '}'), "}a");
}
END_TEST

static void exit_with_a_child_in_there(void)
{
	entered = task_with(0, "a");
	reclaim_enter(entered);
	if (save_fork() == 0) {
		signal(SIGTERM, SIG_IGN);
		sleep_for_ever();
	}
	reclaim_leave();
	start_thread(be_in_it);
	await_there();
	exit(0);
}

/* It holds the pipe: that this returns is the proof. */
START_TEST(a_child_does_not_outlive_the_process)
{
	struct outcome outcome = outcome_of(exit_with_a_child_in_there);

	ck_assert(outcome.exited);
	ck_assert_str_eq(strchr(outcome.text, '}'), "}");
}
END_TEST

static void *deaf_worker(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&there);
	sleep_for_ever();
	return arg;
}

static void exit_with_a_deaf_worker(void)
{
	pthread_t thread;

	reclaim_enter(task_with(0, "a"));
	save_pthread_create(&thread, NULL, deaf_worker, NULL);
	await_there();
	reclaim_leave();
	defer("1");
	exit(0);
}

START_TEST(a_deaf_worker_is_given_up)
{
	expect(exit_with_a_deaf_worker, 0, "a1");
}
END_TEST

static void *worker_that_listens(void *letter)
{
	pthread_cleanup_push(write_arg, letter);
	sem_post(&there);
	sleep_for_ever();
	pthread_cleanup_pop(0);
	return NULL;
}

static void start_worker(const char *letter)
{
	pthread_t thread;

	save_pthread_create(&thread, NULL, worker_that_listens, (void *)letter);
	await_there();
}

static void exit_with_workers(void)
{
	defer("1");
	start_worker("r");
	defer("2");
	reclaim_enter(task_with(0, "a"));
	start_worker("w");
	exit(0);
}

static bool is_before(const char *text, char first, char second)
{
	const char *a = strchr(text, first), *b = strchr(text, second);

	return a && b && a < b;
}

START_TEST(workers_are_waited_for_in_their_turn)
{
	struct outcome outcome = outcome_of(exit_with_workers);

	ck_assert(outcome.exited);
	ck_assert_uint_eq(strlen(outcome.text), 5);
	ck_assert(is_before(outcome.text, 'w', 'a'));
	ck_assert(is_before(outcome.text, 'a', '2'));
	ck_assert(is_before(outcome.text, '2', '1'));
	ck_assert(is_before(outcome.text, 'r', '1'));
}
END_TEST

ENTRY(exit_from_thread)
{
	task_with(0, "c");
	defer(argv[0]);
	exit(8);
}

static void exit_in_a_tasks_thread(void)
{
	reclaim_tid a = task_with(0, "a");

	defer("1");
	spawn_below(a, "b", exit_from_thread);
	sleep_for_ever();
}

START_TEST(exit_itself_in_a_tasks_thread_ends_the_process)
{
	expect(exit_in_a_tasks_thread, 8, "cba1");
}
END_TEST

static void *exit_from_worker(void *arg)
{
	defer("w");
	exit(9);
	return arg;
}

static void exit_in_a_worker(void)
{
	pthread_t thread;

	defer("1");
	reclaim_enter(task_with(0, "a"));
	save_pthread_create(&thread, NULL, exit_from_worker, NULL);
	reclaim_leave();
	sleep_for_ever();
}

START_TEST(exit_itself_in_a_worker_ends_the_process)
{
	expect(exit_in_a_worker, 9, "wa1");
}
END_TEST

static void *save_exit_from_worker(void *arg)
{
	defer("w");
	save_exit(9);
	return arg;
}

static void exit_in_a_worker_of_the_root(void)
{
	pthread_t thread;

	defer("1");
	save_pthread_create(&thread, NULL, save_exit_from_worker, NULL);
	sleep_for_ever();
}

START_TEST(save_exit_in_a_worker_of_the_root_ends_the_process)
{
	expect(exit_in_a_worker_of_the_root, 9, "w1");
}
END_TEST

static void exit_really(void *arg)
{
	write_arg(arg);
	exit(7);
}

static void exit_in_an_action(void)
{
	reclaim_tid a = reclaim_task_new(NULL);

	defer("1");
	task_with(0, "b");
	reclaim_enter(a);
	defer("2");
	reclaim_defer(exit_really, (void *)"3", NULL);
	defer("4");
	reclaim_leave();
	reclaim_end(a, 0);
}

START_TEST(exit_itself_in_an_action_goes_on_with_the_rest)
{
	expect(exit_in_an_action, 7, "43b21");
}
END_TEST

ENTRY(exit_in_an_action_of_its_own)
{
	defer("2");
	reclaim_defer(exit_really, (void *)"3", NULL);
	defer(argv[0]);
	return 0;
}

static void exit_in_an_action_of_a_thread(void)
{
	defer("1");
	spawn_below(0, "4", exit_in_an_action_of_its_own);
	sleep_for_ever();
}

START_TEST(so_it_does_in_a_tasks_thread)
{
	expect(exit_in_an_action_of_a_thread, 7, "4321");
}
END_TEST

#ifndef __SANITIZE_THREAD__
ENTRY(end_when_main_is_gone)
{
	defer(argv[0]);
	usleep(1000);
	return 0;
}

static void leave_main_by_pthread_exit(void)
{
	defer("1");
	reclaim_enter(task_with(0, "a"));
	spawn_below(0, "b", end_when_main_is_gone);
	pthread_exit(NULL);
}

START_TEST(main_may_leave_before_its_tasks)
{
	expect(leave_main_by_pthread_exit, 0, "ba1");
}
END_TEST
#endif

static void be_slow(void *arg)
{
	sem_post(&there);
	usleep(20000);
	write_arg(arg);
}

static void *end_slowly(void *arg)
{
	reclaim_end(entered, 0);
	return arg;
}

static void exit_while_another_ends_a_task(void)
{
	task_with(0, "a");
	entered = task_with(0, "b");
	reclaim_enter(entered);
	reclaim_defer(be_slow, (void *)"s", NULL);
	reclaim_leave();
	start_thread(end_slowly);
	await_there();
	exit(0);
}

START_TEST(what_another_thread_releases_is_waited_for)
{
	expect(exit_while_another_ends_a_task, 0, "sba");
}
END_TEST

static void *wait_for_it(void *arg)
{
	sem_post(&there);
	reclaim_wait(entered, NULL, -1);
	return arg;
}

static void exit_with_waiters(void)
{
	entered = task_with(0, "a");
	start_thread(wait_for_it);
	await_there();
	start_thread(wait_for_it);
	await_there();
	exit(0);
}

START_TEST(those_who_wait_are_no_hindrance)
{
	expect(exit_with_waiters, 0, "a");
}
END_TEST

static void *make_tasks(void *arg)
{
	int i;

	for (i = 0;; i++) {
		reclaim_tid tid = reclaim_task_new(NULL);

		if (i == 10)
			sem_post(&there);
		reclaim_enter(tid);
		reclaim_leave();
		if (i % 3)
			reclaim_end(tid, 0);
	}
	return arg;
}

static void exit_while_tasks_are_made(void)
{
	start_thread(make_tasks);
	await_there();
	defer("1");
	exit(0);
}

START_TEST(tasks_that_are_still_made_are_no_hindrance)
{
	int i;

	for (i = 0; i < 20; i++)
		expect(exit_while_tasks_are_made, 0, "1");
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "order");

	tcase_add_checked_fixture(tcase, make_there, destroy_there);
	tcase_add_test(tcase, every_task_ends_in_order);
	tcase_add_test(tcase, what_was_entered_is_left);
	tcase_add_test(tcase, save_exit_in_the_root_is_exit);
	tcase_add_test(tcase, reclaim_exit_in_an_entered_task_is_exit);
	tcase_add_test(tcase, memory_is_there_for_the_actions);
	tcase_add_test(tcase, handles_are_released);
	tcase_add_test(tcase, actions_that_exit_end_alone);
	tcase_add_test(tcase, what_actions_defer_is_run);
	tcase_add_test(tcase, exit_handlers_come_before);
	tcase_add_test(tcase, _exit_releases_nothing);
	tcase_add_test(tcase, a_signal_releases_nothing);

	tcase = stage_case(suite, "processes");
	tcase_add_checked_fixture(tcase, make_there, destroy_there);
	tcase_add_test(tcase, a_plain_child_is_left_alone);
	tcase_add_test(tcase, a_tasks_child_ends);
	tcase_add_test(tcase, a_forked_child_runs_its_own_actions_alone);
	tcase_add_test(tcase, a_child_forked_beside_threads_exits_at_once);

	tcase = stage_case(suite, "threads");
	tcase_add_checked_fixture(tcase, make_there, destroy_there);
	tcase_add_test(tcase, threads_are_stopped_and_end_in_order);
	tcase_add_test(tcase, a_deaf_thread_is_given_up);
	tcase_add_test(tcase, one_that_had_exited_is_no_hindrance);
	tcase_add_test(tcase, those_above_and_beside_it_end_all_the_same);
	tcase_add_test(tcase, a_task_that_a_stranger_is_in_is_given_up);
	tcase_add_test(tcase, a_child_does_not_outlive_the_process);
	tcase_add_test(tcase, a_deaf_worker_is_given_up);
	tcase_add_test(tcase, workers_are_waited_for_in_their_turn);
	tcase_add_test(tcase, exit_itself_in_a_tasks_thread_ends_the_process);
	tcase_add_test(tcase, exit_itself_in_a_worker_ends_the_process);
	tcase_add_test(tcase,
		       save_exit_in_a_worker_of_the_root_ends_the_process);
	tcase_add_test(tcase, exit_itself_in_an_action_goes_on_with_the_rest);
	tcase_add_test(tcase, so_it_does_in_a_tasks_thread);
#ifndef __SANITIZE_THREAD__ /* its own thread is left, then */
	tcase_add_test(tcase, main_may_leave_before_its_tasks);
#endif
	tcase_add_test(tcase, what_another_thread_releases_is_waited_for);
	tcase_add_test(tcase, those_who_wait_are_no_hindrance);
	tcase_add_test(tcase, tasks_that_are_still_made_are_no_hindrance);
}

int main(void)
{
	return stage_run("exit", fill);
}
