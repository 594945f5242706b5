/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a forked child has: memory and descriptors, but no deferred action, no
 * process and no thread of any task; so nothing is done twice, and its exit is
 * the process's.
 *
 * Whatever a process does leaves a letter in a file that parent and child
 * share.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- letters ---- */

static char letters[256];

static void leave_letter(void *letter)
{
	char c = (char)(intptr_t)letter;
	int fd = open(letters, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, &c, 1), 1);
	close(fd);
}

static void later(char letter)
{
	ck_works(reclaim_defer(leave_letter, (void *)(intptr_t)letter, NULL));
}

static void begin(void)
{
	snprintf(letters, sizeof(letters), "%s", path_of("letters"));
}

static const char *left(void)
{
	return text_of(letters);
}

/* ---- children ---- */

static int status_of(pid_t pid)
{
	int status;

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(save_waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_exit(pid_t pid, int code)
{
	int status = status_of(pid);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code,
		      "the child's status is %#x, not an exit with %d",
		      (unsigned)status, code);
}

/* The two ways to fork: what holds for one holds for the other. */
static pid_t (*fork_by)(void);

static void choose(int i)
{
	fork_by = i ? fork : save_fork;
	begin();
}

/* act() in a child, which ends by exit(3). */
static void in_child(void (*act)(void))
{
	pid_t pid = fork_by();

	if (pid == 0) {
		act();
		exit(0);
	}
	expect_exit(pid, 0);
}

static void do_nothing(void)
{
}

/* ---- in the root ---- */

static reclaim_token of_root;

static void see_what_is_dropped(void)
{
	ck_assert_uint_eq(deferred(), 0);
	ck_fails(reclaim_undefer(of_root, 0), -1, ENOENT);
}

START_TEST(the_child_has_none_of_the_roots_actions)
{
	choose(_i);
	ck_works(reclaim_defer(leave_letter, (void *)'r', &of_root));
	in_child(see_what_is_dropped);
	ck_assert_str_eq(left(), "");
	ck_works(reclaim_undefer(of_root, 1));
	ck_assert_str_eq(left(), "r");
}
END_TEST

static int fd;

static void use_and_close(void)
{
	char c;

	ck_assert_uint_eq(held(), 1);
	ck_assert_int_eq(read(fd, &c, 1), 1);
	ck_works(save_close(fd));
	ck_assert_uint_eq(held(), 0);
}

START_TEST(the_child_has_the_descriptors)
{
	choose(_i);
	fd = save_open("/dev/zero", O_RDONLY | O_CLOEXEC);
	in_child(use_and_close);
	ck_assert(is_open(fd));
	ck_works(save_close(fd));
}
END_TEST

static void defer_anew(void)
{
	later('c');
}

START_TEST(what_the_child_defers_is_run_at_its_exit)
{
	choose(_i);
	in_child(defer_anew);
	ck_assert_str_eq(left(), "c");
	ck_assert_uint_eq(deferred(), 0);
}
END_TEST

/* ---- in a task that was entered ---- */

static void fork_in_task(void)
{
	unsigned before;

	later('a');
	fd = save_open("/dev/zero", O_RDONLY | O_CLOEXEC);
	before = held();
	in_child(do_nothing);
	ck_assert_uint_eq(held(), before);
	ck_assert_str_eq(left(), "");
}

START_TEST(an_entered_tasks_actions_are_the_parents)
{
	choose(_i);
	in_task(fork_in_task);
	ck_assert_str_eq(left(), "a");
}
END_TEST

static void go_on_in_task(void)
{
	reclaim_tid tid = reclaim_self();

	ck_assert_uint_eq(deferred(), 0);
	later('x');
	later('y');
	work_no_longer();
	end_task(tid);
	ck_assert_str_eq(left(), "yx");
	ck_fails(save_close(fd), -1, EBADF);
}

static void fork_and_go_on(void)
{
	later('a');
	fd = save_open("/dev/zero", O_RDONLY | O_CLOEXEC);
	in_child(go_on_in_task);
	ck_assert(is_open(fd));
}

START_TEST(the_child_may_go_on_in_the_task_and_end_it)
{
	choose(_i);
	in_task(fork_and_go_on);
	ck_assert_str_eq(left(), "yxa");
}
END_TEST

/* ---- in a task with a thread of its own ---- */

static int fork_and_return(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	later('s');
	fd = fork_by();
	if (fd > 0)
		expect_exit(fd, 41);
	return fd == 0 ? 41 : 7;
}

static void child_exits(void)
{
	exit(42);
}

static void child_exits_from_its_task(void)
{
	reclaim_exit(43);
}

static void child_ends_its_thread(void)
{
	pthread_exit(NULL);
}

static const struct {
	void (*end)(void);
	int code;
} ends[] = {
	{child_exits, 42},
	{child_exits_from_its_task, 43},
	{child_ends_its_thread, 0},
};

static int how;

static int fork_and_end(int argc, char **argv, char **envp)
{
	pid_t pid;

	(void)argc;
	(void)argv;
	(void)envp;
	later('s');
	pid = fork_by();
	if (pid == 0)
		ends[how].end();
	expect_exit(pid, ends[how].code);
	return 7;
}

static void expect_seven(int (*entry)(int, char **, char **))
{
	reclaim_tid tid = reclaim_spawn(NULL, entry, NULL);
	int status;

	ck_assert_uint_ne(tid, 0);
	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, 7);
	ck_assert_str_eq(left(), "s");
}

START_TEST(returning_from_the_entry_ends_the_child)
{
	choose(_i);
	expect_seven(fork_and_return);
}
END_TEST

START_TEST(however_the_child_ends_it_is_its_process_that_does)
{
	choose(_i / 3);
	how = _i % 3;
	expect_seven(fork_and_end);
}
END_TEST

/* ---- in a thread of a task, and in an action ---- */

static void *fork_in_a_thread(void *arg)
{
	later('t');
	in_child(do_nothing);
	return arg;
}

static void fork_in_its_thread(void)
{
	pthread_t thread;

	ck_works(save_pthread_create(&thread, NULL, fork_in_a_thread, NULL));
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_str_eq(left(), "");
}

START_TEST(a_thread_of_a_task_may_fork)
{
	choose(_i);
	in_task(fork_in_its_thread);
	ck_assert_str_eq(left(), "t");
}
END_TEST

static void fork_in_an_action(void *arg)
{
	(void)arg;
	in_child(do_nothing);
	leave_letter((void *)'f');
}

static void defer_forking(void)
{
	later('1');
	ck_works(reclaim_defer(fork_in_an_action, NULL, NULL));
	later('2');
}

START_TEST(an_action_may_fork)
{
	choose(_i);
	in_task(defer_forking);
	ck_assert_str_eq(left(), "2f1");
}
END_TEST

/* ---- kinds of handles ---- */

static const struct reclaim_kind kept = {
	.name = "kept",
	.release = leave_letter,
	.fork = RECLAIM_FORK_KEEP,
};

static const struct reclaim_kind dropped = {
	.name = "dropped",
	.release = leave_letter,
	.fork = RECLAIM_FORK_DROP,
};

static void see_what_is_kept(void)
{
	ck_assert_uint_eq(held(), 2);
}

static void fork_with_kinds(void)
{
	ck_works(reclaim_track(&kept, (void *)'k', NULL));
	ck_works(reclaim_track(&dropped, (void *)'d', NULL));
	ck_works(reclaim_track(&kept, (void *)'l', NULL));
	in_child(see_what_is_kept);
	ck_assert_str_eq(left(), "lk");
}

START_TEST(a_kind_says_what_becomes_of_it)
{
	choose(_i);
	in_task(fork_with_kinds);
	ck_assert_str_eq(left(), "lkldk");
}
END_TEST

static pid_t sibling;
static pthread_t thread;
static atomic_bool stop;

static void *wait_to_be_told(void *arg)
{
	while (!atomic_load(&stop))
		usleep(500);
	return arg;
}

static void see_no_threads_nor_processes(void)
{
	pthread_t mine;

	ck_assert_uint_eq(held(), 0);
	ck_fails(save_waitpid(sibling, NULL, WNOHANG), -1, ECHILD);
	atomic_store(&stop, true);
#ifndef __SANITIZE_THREAD__ /* which has no threads after such a fork */
	ck_works(save_pthread_create(&mine, NULL, wait_to_be_told, NULL));
	ck_assert_uint_eq(held(), 1);
	ck_works(save_pthread_join(mine, NULL));
#else
	(void)mine;
#endif
	ck_assert_uint_eq(held(), 0);
}

static void fork_with_company(void)
{
	char *argv[] = {(char *)"sleep", (char *)"1000", NULL};

	atomic_store(&stop, false);
	ck_works(save_posix_spawnp(&sibling, "sleep", NULL, NULL, argv,
				   environ));
	ck_works(save_pthread_create(&thread, NULL, wait_to_be_told, NULL));
	in_child(see_no_threads_nor_processes);
	ck_assert_uint_eq(held(), 2);
	ck_assert_int_eq(save_waitpid(sibling, NULL, WNOHANG), 0);
	atomic_store(&stop, true);
	ck_works(save_pthread_join(thread, NULL));
}

START_TEST(threads_and_processes_are_the_parents)
{
	choose(_i);
	in_task(fork_with_company);
	ck_assert(!is_process(sibling));
}
END_TEST

/* ---- other tasks ---- */

static reclaim_tid other;
static atomic_bool ready;

static int hold_and_wait(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	later('o');
	ck_works(reclaim_track(&kept, (void *)'k', NULL));
	atomic_store(&ready, true);
	for (;;)
		pause();
	return 0;
}

static void end_the_other(void)
{
	ck_assert_uint_eq(held_by(other), 1);
	ck_works(reclaim_end(other, 0));
	ck_assert_str_eq(left(), "k");
}

static void kill_the_other(void)
{
	ck_works(reclaim_kill(other));
	ck_assert_str_eq(left(), "k");
}

static void (*const ways_to_end[])(void) = {end_the_other, kill_the_other,
					    do_nothing};

/* Its thread is not in the child, and nothing waits for it there. */
START_TEST(a_task_without_its_thread_ends_in_the_child)
{
	choose(_i / 3);
	atomic_store(&ready, false);
	other = reclaim_spawn(NULL, hold_and_wait, NULL);
	while (!atomic_load(&ready))
		sched_yield();
	in_child(ways_to_end[_i % 3]);
	ck_assert_str_eq(left(), "k");
	ck_works(reclaim_end(other, 0));
	ck_assert_str_eq(left(), "kko");
}
END_TEST

static void fork_again(void)
{
	in_child(do_nothing);
	later('g');
}

static void fork_twice(void)
{
	later('a');
	in_child(fork_again);
}

START_TEST(children_may_fork)
{
	choose(_i);
	in_task(fork_twice);
	ck_assert_str_eq(left(), "ga");
}
END_TEST

/* ---- streams ---- */

static FILE *stream;

/* Not even Valgrind has libc flush what it holds before this. */
static void end_without_flushing(void)
{
	execl("/bin/true", "true", NULL);
}

static void print_and_fork(void)
{
	stream = save_fopen(path_of("text"), "we");
	ck_assert_int_ge(fputs("text", stream), 0);
	in_child(end_without_flushing);
}

START_TEST(a_stream_is_flushed_once_where_the_child_does_not)
{
	choose(_i);
	in_task(print_and_fork);
	ck_assert_str_eq(text_of(path_of("text")), "text");
}
END_TEST

static void print_and_fork_both(void)
{
	stream = save_fopen(path_of("text"), "ae");
	ck_assert_int_ge(fputs("text", stream), 0);
	in_child(do_nothing);
}

/* As in any program that forks with a full buffer. */
START_TEST(a_stream_is_flushed_by_both_as_in_any_program)
{
	choose(_i);
	in_task(print_and_fork_both);
	ck_assert_str_eq(text_of(path_of("text")), "texttext");
}
END_TEST

static void print_more(void)
{
	ck_assert_int_ge(fputs("child", stream), 0);
	ck_works(save_fclose(stream));
}

static void flush_and_fork(void)
{
	stream = save_fopen(path_of("text"), "ae");
	ck_assert_int_ge(fputs("text", stream), 0);
	ck_works(fflush(stream));
	in_child(print_more);
	ck_assert_int_ge(fputs("parent", stream), 0);
}

START_TEST(a_stream_can_be_used_in_both)
{
	choose(_i);
	in_task(flush_and_fork);
	ck_assert_str_eq(text_of(path_of("text")), "textchildparent");
}
END_TEST

/* ---- memory ---- */

static char *block;

static void use_and_free(void)
{
	ck_assert_str_eq(block, "text");
	block = save_realloc(block, 100000);
	ck_assert_str_eq(block, "text");
	save_free(block);
	ck_assert_ptr_nonnull(save_malloc(100));
}

static void fork_with_memory(void)
{
	block = save_strdup("text");
	in_child(use_and_free);
	ck_assert_str_eq(block, "text");
}

START_TEST(the_child_has_the_memory)
{
	choose(_i);
	in_task(fork_with_memory);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* ---- while other threads hold locks ---- */

#define BUSY  6
#define FORKS 60

/* At the end of each process Valgrind looks for leaks, which takes seconds. */
#define FORKS_UNDER_VALGRIND 5

static void work_in_a_task(void)
{
	reclaim_tid tid = reclaim_task_new(NULL);

	must(reclaim_enter(tid) == 0);
	must(save_malloc(10) != NULL);
	must(reclaim_leave() == 0);
	must(reclaim_end(tid, 0) == 0);
}

static void acquire_all_sorts(void)
{
	char *text = save_strdup("text");
	FILE *file = save_fopen("/dev/null", "re");
	void *at = save_mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	int one = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	must(text && file && at != MAP_FAILED && one >= 0);
	work_in_a_task();
	must(save_close(one) == 0);
	must(save_munmap(at, 4096) == 0);
	must(save_fclose(file) == 0);
	save_free(text);
}

static void *acquire_until_told(void *arg)
{
	while (!atomic_load(&stop)) {
		acquire_all_sorts();
		must(save_system("") == 0);
	}
	return arg;
}

static void acquire_in_child(void)
{
	int i;

	for (i = 0; i < 3; i++)
		acquire_all_sorts();
	must(save_system("exit 0") == 0);
}

static void acquire_in_child_and_vanish(void)
{
	acquire_in_child();
	_exit(0);
}

static void fork_among_busy_threads(void)
{
	int i, forks = under_valgrind() ? FORKS_UNDER_VALGRIND : FORKS;
	pthread_t threads[BUSY];

	atomic_store(&stop, false);
	for (i = 0; i < BUSY; i++)
		ck_works(save_pthread_create(&threads[i], NULL,
					     acquire_until_told, NULL));
	for (i = 0; i < forks; i++)
		in_child(i % 2 ? acquire_in_child
			       : acquire_in_child_and_vanish);
	atomic_store(&stop, true);
	for (i = 0; i < BUSY; i++)
		ck_works(save_pthread_join(threads[i], NULL));
}

START_TEST(fork_finds_no_lock_taken)
{
	choose(_i);
	fork_among_busy_threads();
	in_task(fork_among_busy_threads);
}
END_TEST

static void add_tasks(Suite *suite)
{
	TCase *tcase = stage_case(suite, "root");

	tcase_add_loop_test(tcase, the_child_has_none_of_the_roots_actions, 0,
			    2);
	tcase_add_loop_test(tcase, the_child_has_the_descriptors, 0, 2);
	tcase_add_loop_test(tcase, what_the_child_defers_is_run_at_its_exit, 0,
			    2);
	tcase = stage_case(suite, "task");
	tcase_add_loop_test(tcase, an_entered_tasks_actions_are_the_parents, 0,
			    2);
	tcase_add_loop_test(tcase, the_child_may_go_on_in_the_task_and_end_it,
			    0, 2);
	tcase_add_loop_test(tcase, returning_from_the_entry_ends_the_child, 0,
			    2);
	tcase_add_loop_test(tcase,
			    however_the_child_ends_it_is_its_process_that_does,
			    0, 6);
	tcase_add_loop_test(tcase, a_thread_of_a_task_may_fork, 0, 2);
	tcase_add_loop_test(tcase, an_action_may_fork, 0, 2);
	tcase_add_loop_test(tcase, a_task_without_its_thread_ends_in_the_child,
			    0, 6);
	tcase_add_loop_test(tcase, children_may_fork, 0, 2);
}

static void add_things(Suite *suite)
{
	TCase *tcase = stage_case(suite, "things");

	tcase_add_loop_test(tcase, a_kind_says_what_becomes_of_it, 0, 2);
	tcase_add_loop_test(tcase, threads_and_processes_are_the_parents, 0, 2);
	tcase_add_loop_test(
		tcase, a_stream_is_flushed_once_where_the_child_does_not, 0, 2);
	tcase_add_loop_test(
		tcase, a_stream_is_flushed_by_both_as_in_any_program, 0, 2);
	tcase_add_loop_test(tcase, a_stream_can_be_used_in_both, 0, 2);
	tcase_add_loop_test(tcase, the_child_has_the_memory, 0, 2);
	tcase = stage_case(suite, "locks");
	tcase_add_loop_test(tcase, fork_finds_no_lock_taken, 0, 2);
}

static void fill(Suite *suite)
{
	add_tasks(suite);
	add_things(suite);
}

int main(void)
{
	return stage_run("fork", fill);
}
