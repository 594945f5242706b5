/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes: posix_spawn, waitpid, popen and pclose, system, fork; and what
 * becomes of them when their task ends.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

static pid_t child;

/* `sh -c command` in the current task. */
static pid_t run(const char *command)
{
	const char *argv[] = {"sh", "-c", command, NULL};
	pid_t pid = -1;

	ck_assert_int_eq(save_posix_spawn(&pid, "/bin/sh", NULL, NULL,
					  (char **)argv, environ),
			 0);
	return pid;
}

static int status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(save_waitpid(pid, &status, 0), pid);
	return status;
}

static bool is_exit(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* ---- posix_spawn ---- */

START_TEST(spawn_runs_a_program)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"exit $X", NULL};
	char *envp[] = {(char *)"X=5", NULL};
	pid_t pid;

	ck_works(save_posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, envp));
	ck_assert_uint_eq(held(), 1);
	ck_assert(is_exit(status_of(pid), 5));
	ck_assert_uint_eq(held(), 0);
	ck_works(save_posix_spawnp(&pid, "sh", NULL, NULL, argv, envp));
	ck_assert(is_exit(status_of(pid), 5));
	ck_works(save_posix_spawn(NULL, "/bin/sh", NULL, NULL, argv, envp));
	ck_assert_int_gt(save_waitpid(-1, NULL, 0), 0);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(spawn_fails_as_the_plain_call)
{
	char *argv[] = {(char *)"x", NULL};
	pid_t pid = -7;

	ck_assert_int_eq(save_posix_spawn(&pid, "/nonexistent", NULL, NULL,
					  argv, environ),
			 ENOENT);
	ck_assert_int_eq(save_posix_spawn(&pid, "/", NULL, NULL, argv, environ),
			 EACCES);
	ck_assert_int_eq(save_posix_spawnp(&pid, "no-such-program", NULL, NULL,
					   argv, environ),
			 ENOENT);
	ck_assert_int_eq(pid, -7);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- at the task's end ---- */

static void run_and_keep(void)
{
	child = run("exec sleep 1000");
}

START_TEST(a_child_is_ended_with_its_task)
{
	in_task(run_and_keep);
	ck_assert(!is_process(child));
	in_thread_of_task(run_and_keep);
	ck_assert(!is_process(child));
}
END_TEST

static void run_and_stop(void)
{
	int status;

	child = run("kill -STOP $$; exec sleep 1000");
	ck_assert_int_eq(save_waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
}

START_TEST(a_stopped_child_is_ended_as_well)
{
	in_task(run_and_stop);
	ck_assert(!is_process(child));
}
END_TEST

static void wait_until_it_ignores_term(void)
{
	while (access(path_of("ready"), F_OK) < 0)
		usleep(1000);
}

static void run_a_stubborn_one(void)
{
	char command[400];

	snprintf(command, sizeof(command),
		 "trap '' TERM; : >'%s'; exec sleep 1000", path_of("ready"));
	child = run(command);
	wait_until_it_ignores_term();
}

START_TEST(a_child_that_ignores_term_is_killed)
{
	in_task(run_a_stubborn_one);
	ck_assert(!is_process(child));
}
END_TEST

static void run_and_reap_behind(void)
{
	child = run("exit 0");
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_uint_eq(held(), 1);
}

START_TEST(a_child_that_was_reaped_behind_is_nobodys)
{
	in_task(run_and_reap_behind);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static void run_and_detach(void)
{
	run_and_keep();
	ck_works(reclaim_child_detach(child));
	ck_fails(reclaim_child_detach(child), -1, ECHILD);
	ck_fails(reclaim_child_detach(-1), -1, ECHILD);
	ck_assert_uint_eq(held(), 0);
}

START_TEST(a_detached_child_is_let_go)
{
	in_task(run_and_detach);
	ck_assert(is_process(child));
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

START_TEST(a_strangers_child_is_not_detached)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	run_and_keep();
	work_no_longer();
	work_for(other);
	ck_fails(reclaim_child_detach(child), -1, EINVAL);
	expect_stranger("detach", "owner <", "other <");
	work_no_longer();
	end_task(other);
	ck_assert(is_process(child));
	end_task(owner);
	ck_assert(!is_process(child));
}
END_TEST

static void fork_and_keep(void)
{
	child = save_fork();
	if (child == 0)
		for (;;)
			pause();
	ck_assert_uint_eq(held(), 1);
}

START_TEST(a_forked_child_is_ended_with_its_task)
{
	in_task(fork_and_keep);
	ck_assert(!is_process(child));
	in_thread_of_task(fork_and_keep);
	ck_assert(!is_process(child));
}
END_TEST

START_TEST(what_the_root_forks_is_its_own_affair)
{
	child = save_fork();
	if (child == 0)
		_exit(3);
	ck_assert_uint_eq(held(), 0);
	ck_assert(is_exit(status_of(child), 3));
}
END_TEST

/* ---- what a program inherits ---- */

static int its_fd;

static bool inherits(int fd)
{
	char command[100];
	int status;

	snprintf(command, sizeof(command), "[ -e /proc/self/fd/%d ]", fd);
	status = status_of(run(command));
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	return WEXITSTATUS(status) == 0;
}

static bool system_inherits(int fd)
{
	char command[100];

	snprintf(command, sizeof(command), "[ -e /proc/self/fd/%d ]", fd);
	return save_system(command) == 0;
}

static bool popen_inherits(int fd)
{
	char command[100];
	FILE *stream;

	snprintf(command, sizeof(command), "[ -e /proc/self/fd/%d ]", fd);
	stream = save_popen(command, "r");
	return save_pclose(stream) == 0;
}

/* High, and so out of the shells' own way. */
static int open_inheritable(void)
{
	int fd = save_fcntl(0, F_DUPFD, 40);

	ck_assert_int_ge(fd, 40);
	return fd;
}

static void expect_inherits(int fd, bool expected)
{
	ck_assert_int_eq(inherits(fd), expected);
	ck_assert_int_eq(system_inherits(fd), expected);
	ck_assert_int_eq(popen_inherits(fd), expected);
}

START_TEST(a_program_inherits_its_tasks_and_those_above)
{
	reclaim_tid above = task_called("above"), own;
	int of_root = open_inheritable(), of_above;

	work_for(above);
	of_above = open_inheritable();
	own = task_called("own");
	work_for(own);
	its_fd = open_inheritable();
	expect_inherits(its_fd, true);
	expect_inherits(of_above, true);
	expect_inherits(of_root, true);
	ck_works(fcntl(its_fd, F_SETFD, FD_CLOEXEC));
	ck_assert(!system_inherits(its_fd));
	ck_assert_int_eq(fcntl(its_fd, F_GETFD), FD_CLOEXEC);
	work_no_longer();
	expect_inherits(its_fd = open_inheritable(), true);
	work_no_longer();
	end_task(above);
	ck_works(save_close(of_root));
}
END_TEST

START_TEST(a_program_does_not_inherit_what_others_hold)
{
	reclaim_tid owner = task_called("owner"), below;
	reclaim_tid other = task_called("other");
	int of_below;

	work_for(owner);
	its_fd = open_inheritable();
	below = task_called("below");
	work_for(below);
	of_below = open_inheritable();
	work_no_longer();
	expect_inherits(its_fd, true);
	expect_inherits(of_below, false);
	work_no_longer();
	work_for(other);
	expect_inherits(its_fd, false);
	work_no_longer();
	end_task(other);
	end_task(owner);
}
END_TEST

/* POSIX wants it so: else a reader would not see the end. */
START_TEST(a_process_does_not_inherit_other_processes_streams)
{
	FILE *one = save_popen("cat", "w"), *two = save_popen("cat", "w");

	ck_assert(!popen_inherits(fileno(one)));
	ck_assert_int_eq(save_pclose(one), 0);
	ck_assert_int_eq(save_pclose(two), 0);
}
END_TEST

/* ---- waitpid ---- */

static const struct {
	const char *command;
	int status;
} programs[] = {
	{"exit 0", 0},
	{"exit 255", 255 << 8},
	{"kill -KILL $$", SIGKILL},
	{"kill -TERM $$", SIGTERM},
};

START_TEST(waitpid_tells_the_status)
{
	child = run(programs[_i].command);
	ck_assert_int_eq(status_of(child), programs[_i].status);
	ck_assert_uint_eq(held(), 0);
	ck_fails(save_waitpid(child, NULL, 0), -1, ECHILD);
}
END_TEST

START_TEST(waitpid_for_any_forgets_the_one_it_finds)
{
	pid_t one = run("exit 1"), two = run("exit 2"), found;
	int status;

	found = save_waitpid(-1, &status, 0);
	ck_assert(found == one || found == two);
	ck_assert(is_exit(status, found == one ? 1 : 2));
	ck_assert_uint_eq(held(), 1);
	ck_assert_int_eq(save_waitpid(0, NULL, 0), found == one ? two : one);
	ck_assert_uint_eq(held(), 0);
	ck_fails(save_waitpid(-1, &status, 0), -1, ECHILD);
	ck_fails(save_waitpid(-1, &status, WNOHANG), -1, ECHILD);
}
END_TEST

static pid_t run_in_a_group(const char *command)
{
	const char *argv[] = {"sh", "-c", command, NULL};
	posix_spawnattr_t attributes;
	pid_t pid;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	ck_works(save_posix_spawn(&pid, "/bin/sh", NULL, &attributes,
				  (char **)argv, environ));
	posix_spawnattr_destroy(&attributes);
	return pid;
}

START_TEST(waitpid_for_a_group_finds_its_own)
{
	pid_t other = run("exit 1");
	int status;

	child = run_in_a_group("exit 4");
	ck_assert_int_eq(save_waitpid(-child, &status, 0), child);
	ck_assert(is_exit(status, 4));
	ck_fails(save_waitpid(-child, &status, 0), -1, ECHILD);
	ck_assert_int_eq(save_waitpid(other, NULL, 0), other);
}
END_TEST

START_TEST(waitpid_does_not_wait_where_it_should_not)
{
	int status = 12345;

	child = run("exec sleep 1000");
	ck_assert_int_eq(save_waitpid(child, &status, WNOHANG), 0);
	ck_assert_int_eq(status, 12345);
	ck_assert_int_eq(save_waitpid(-1, &status, WNOHANG), 0);
	ck_assert_uint_eq(held(), 1);
	kill(child, SIGKILL);
	ck_assert(WIFSIGNALED(status_of(child)));
}
END_TEST

START_TEST(waitpid_tells_of_stops_and_keeps_the_child)
{
	int status;

	child = run("kill -STOP $$; exit 7");
	ck_assert_int_eq(save_waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	ck_assert_int_eq(save_waitpid(child, &status, WUNTRACED | WNOHANG), 0);
	ck_assert_uint_eq(held(), 1);
	kill(child, SIGCONT);
	ck_assert_int_eq(save_waitpid(child, &status, WCONTINUED), child);
	ck_assert(WIFCONTINUED(status) || is_exit(status, 7));
	if (WIFCONTINUED(status))
		ck_assert(is_exit(status_of(child), 7));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(waitpid_fails_as_the_plain_call)
{
	static const struct {
		pid_t pid;
		int options;
	} calls[] = {
		{-1, WNOWAIT},	{-1, WEXITED}, {-1, 1 << 20},	 {1, 0},
		{INT_MAX, 0},	{INT_MIN, 0},  {INT_MIN + 1, 0}, {0, WNOHANG},
		{-1, __WCLONE}, {-1, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int error;

		ck_assert_int_eq(waitpid(calls[i].pid, NULL, calls[i].options),
				 -1);
		error = errno;
		ck_fails(save_waitpid(calls[i].pid, NULL, calls[i].options), -1,
			 error);
	}
}
END_TEST

/* Also with a child that could be reaped: it would be busy for ever. */
START_TEST(waitpid_refuses_what_waitid_would_take)
{
	siginfo_t info;

	child = run("exit 0");
	ck_works(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	ck_fails(save_waitpid(-1, NULL, WEXITED), -1, EINVAL);
	ck_fails(save_waitpid(-1, NULL, WNOWAIT), -1, EINVAL);
	ck_assert_int_eq(save_waitpid(child, NULL, __WALL), child);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(waiting_for_the_wrong_sort_forgets_no_child)
{
	child = run("exit 0");
	ck_fails(save_waitpid(child, NULL, __WCLONE), -1, ECHILD);
	ck_assert_uint_eq(held(), 1);
	ck_assert_int_eq(save_waitpid(child, NULL, 0), child);
}
END_TEST

static void wait_for_ever(void)
{
	run_and_keep();
	save_waitpid(child, NULL, 0);
}

static int wait_in_task(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	wait_for_ever();
	return 0;
}

START_TEST(waiting_can_be_ended)
{
	reclaim_tid tid;
	int status;

	child = 0;
	tid = reclaim_spawn(NULL, wait_in_task, NULL);
	ck_fails(reclaim_wait(tid, &status, 20), -1, ETIMEDOUT);
	ck_works(reclaim_kill(tid));
	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, RECLAIM_KILLED);
	ck_assert(child == 0 || !is_process(child));
}
END_TEST

/* ---- SIGCHLD ---- */

static void run_while_ignoring(void)
{
	FILE *stream;

	child = run("exit 0");
	ck_fails(save_waitpid(child, NULL, 0), -1, ECHILD);
	ck_assert_uint_eq(held(), 0);
	ck_fails(save_system("exit 0"), -1, ECHILD);
	ck_assert_uint_eq(held(), 0);
	stream = save_popen("exit 0", "r");
	ck_fails(save_pclose(stream), -1, ECHILD);
	ck_assert_uint_eq(held(), 0);
	run_and_keep();
}

START_TEST(children_are_forgotten_where_sigchld_is_ignored)
{
	signal(SIGCHLD, SIG_IGN);
	in_task(run_while_ignoring);
	signal(SIGCHLD, SIG_DFL);
	ck_assert(!is_process(child));
}
END_TEST

static volatile sig_atomic_t children_seen;

/* As many programs have it. */
static void reap_all(int signo)
{
	int saved = errno;

	(void)signo;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		children_seen++;
	errno = saved;
}

static void run_three(void)
{
	int i;

	for (i = 0; i < 3; i++)
		run("exit 0");
	while (children_seen < 3)
		usleep(1000);
	run_and_keep();
}

START_TEST(a_handler_of_sigchld_may_reap_all)
{
	struct sigaction action = {.sa_handler = reap_all,
				   .sa_flags = SA_RESTART};

	children_seen = 0;
	ck_works(sigaction(SIGCHLD, &action, NULL));
	in_task(run_three);
	signal(SIGCHLD, SIG_DFL);
	ck_assert(!is_process(child));
}
END_TEST

/* ---- popen ---- */

START_TEST(popen_reads_what_is_written)
{
	FILE *stream = save_popen("echo text; exit 9", "r");
	char line[10] = "";

	ck_assert_uint_eq(held(), 2);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), stream));
	ck_assert_str_eq(line, "text\n");
	ck_assert_int_eq(fcntl(fileno(stream), F_GETFD), 0);
	ck_assert(is_exit(save_pclose(stream), 9));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(popen_writes_what_is_read)
{
	char command[300];
	FILE *stream;

	snprintf(command, sizeof(command), "cat >'%s'", path_of("out"));
	stream = save_popen(command, "we");
	ck_assert_int_eq(fcntl(fileno(stream), F_GETFD), FD_CLOEXEC);
	ck_assert_int_ge(fputs("text", stream), 0);
	ck_assert_int_eq(save_pclose(stream), 0);
	ck_assert_str_eq(text_of(path_of("out")), "text");
}
END_TEST

static const char *const popen_modes[] = {
	"r", "w", "re", "we", "er", "", "e", "rw", "wr", "x", "r+", "rb", "rr",
};

START_TEST(popen_takes_the_modes_of_the_plain_call)
{
	FILE *theirs, *ours;

	errno = 0;
	theirs = popen("cat >/dev/null", popen_modes[_i]);
	if (theirs) {
		pclose(theirs);
		ours = save_popen("cat >/dev/null", popen_modes[_i]);
		ck_assert_ptr_nonnull(ours);
		ck_assert_int_eq(save_pclose(ours), 0);
	} else {
		ck_assert_int_eq(errno, EINVAL);
		ck_fails(save_popen("cat", popen_modes[_i]), NULL, EINVAL);
	}
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static FILE *process;

static void popen_and_keep(void)
{
	process = save_popen("exec sleep 1000", "r");
	ck_assert_uint_eq(held(), 2);
}

START_TEST(a_process_is_ended_with_its_task)
{
	in_task(popen_and_keep);
	in_thread_of_task(popen_and_keep);
}
END_TEST

static void write_more_than_is_read(void)
{
	char block[4096] = "";
	int fd;

	process = save_popen("exec sleep 1000", "w");
	fd = fileno(process);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, block, sizeof(block)) > 0)
		;
	fcntl(fd, F_SETFL, 0);
	ck_assert_int_ge(fputs("more", process), 0);
}

START_TEST(a_process_that_does_not_read_is_ended)
{
	in_task(write_more_than_is_read);
}
END_TEST

static void wait_and_pclose(void)
{
	process = save_popen("exit 0", "r");
	ck_assert_int_gt(save_waitpid(-1, NULL, 0), 0);
	ck_fails(save_pclose(process), -1, ECHILD);
	ck_assert_uint_eq(held(), 0);
}

START_TEST(pclose_of_one_that_was_waited_for_tells_so)
{
	in_task(wait_and_pclose);
}
END_TEST

START_TEST(pclose_takes_what_was_never_tracked)
{
	ck_assert(is_exit(save_pclose(popen("exit 3", "r")), 3));
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

START_TEST(fclose_of_a_process_leaves_the_child)
{
	process = save_popen("exit 3", "r");
	ck_works(save_fclose(process));
	ck_assert_uint_eq(held(), 1);
	ck_assert_int_gt(save_waitpid(-1, NULL, 0), 0);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(a_process_stays_one_when_its_stream_is_reopened)
{
	process = save_popen("exit 3", "r");
	ck_assert_ptr_eq(save_freopen("/dev/null", "r", process), process);
	ck_assert(is_exit(save_pclose(process), 3));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(pclose_of_a_strangers_is_refused)
{
	reclaim_tid owner = task_called("owner");
	reclaim_tid other = task_called("other");

	work_for(owner);
	popen_and_keep();
	work_no_longer();
	work_for(other);
	ck_fails(save_pclose(process), -1, EBADF);
	expect_stranger("pclose", "owner <", "other <");
	work_no_longer();
	end_task(other);
	ck_assert_uint_eq(held_by(owner), 2);
	end_task(owner);
}
END_TEST

/* The pipe's own ends are then among the standard ones. */
START_TEST(popen_works_without_standard_descriptors)
{
	int saved = fcntl(_i, F_DUPFD_CLOEXEC, 10);
	char line[10] = "";

	close(_i);
	process = save_popen("echo text", "r");
	ck_assert_ptr_nonnull(process);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), process));
	ck_assert_int_eq(save_pclose(process), 0);
	process = save_popen("read line && [ $line = text ]", "w");
	ck_assert_int_ge(fputs("text\n", process), 0);
	ck_assert_int_eq(save_pclose(process), 0);
	dup2(saved, _i);
	close(saved);
	ck_assert_str_eq(line, "text\n");
}
END_TEST

/* ---- system ---- */

static const char *const commands[] = {
	"exit 0", "exit 3", "kill -KILL $$", "kill -INT $$", "no-such-command",
	"",	  "  ",	    "exit 127",
};

START_TEST(system_is_as_the_plain_call)
{
	int saved = fcntl(2, F_DUPFD_CLOEXEC, 10);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), theirs, ours;

	dup2(null, 2);
	theirs = system(commands[_i]);
	ours = save_system(commands[_i]);
	dup2(saved, 2);
	close(saved);
	close(null);
	ck_assert_int_eq(ours, theirs);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(system_says_whether_there_is_a_shell)
{
	ck_assert_int_eq(!save_system(NULL), !system(NULL));
}
END_TEST

static struct sigaction disposition(int signo)
{
	struct sigaction action;

	ck_works(sigaction(signo, NULL, &action));
	return action;
}

static void do_nothing(int signo)
{
	(void)signo;
}

START_TEST(system_ignores_interrupts_meanwhile)
{
	char command[200];

	signal(SIGINT, do_nothing);
	signal(SIGQUIT, SIG_DFL);
	snprintf(command, sizeof(command),
		 "kill -QUIT %d; kill -INT %d; exit 4", (int)getpid(),
		 (int)getpid());
	ck_assert(is_exit(save_system(command), 4));
	ck_assert(disposition(SIGINT).sa_handler == do_nothing);
	ck_assert(disposition(SIGQUIT).sa_handler == SIG_DFL);
	signal(SIGINT, SIG_DFL);
}
END_TEST

START_TEST(a_command_ignores_what_the_caller_ignores)
{
	signal(SIGINT, SIG_IGN);
	ck_assert(is_exit(save_system("kill -INT $$; exit 4"), 4));
	signal(SIGINT, SIG_DFL);
	ck_assert_int_eq(save_system("kill -INT $$; exit 4"), SIGINT);
}
END_TEST

START_TEST(a_commands_signals_are_as_the_callers)
{
	sigset_t mask, now;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	ck_works(sigprocmask(SIG_BLOCK, &mask, NULL));
	ck_assert(is_exit(save_system("kill -USR1 $$; exit 4"), 4));
	ck_works(sigprocmask(SIG_UNBLOCK, &mask, &now));
	ck_assert(!sigismember(&now, SIGCHLD));
	ck_assert(sigismember(&now, SIGUSR1));
	ck_assert_int_eq(save_system("kill -USR1 $$; exit 4"), SIGUSR1);
}
END_TEST

#define COMMANDS 8

static atomic_int wrong;

static void *run_commands(void *arg)
{
	int i;

	for (i = 0; i < 4; i++)
		if (!is_exit(save_system("exit 5"), 5))
			atomic_fetch_add(&wrong, 1);
	return arg;
}

START_TEST(many_may_be_in_system_at_once)
{
	pthread_t threads[COMMANDS];
	int i;

	signal(SIGINT, do_nothing);
	for (i = 0; i < COMMANDS; i++)
		ck_works(save_pthread_create(&threads[i], NULL, run_commands,
					     NULL));
	for (i = 0; i < COMMANDS; i++)
		ck_works(save_pthread_join(threads[i], NULL));
	ck_assert_int_eq(atomic_load(&wrong), 0);
	ck_assert(disposition(SIGINT).sa_handler == do_nothing);
	signal(SIGINT, SIG_DFL);
}
END_TEST

static int run_system(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)envp;
	return save_system(argv[0]);
}

START_TEST(system_can_be_ended)
{
	char command[400], *argv[] = {command, NULL};
	reclaim_tid tid;
	int status;

	snprintf(command, sizeof(command), ": >'%s'; exec sleep 1000",
		 path_of("ready"));
	signal(SIGINT, do_nothing);
	tid = reclaim_spawn(NULL, run_system, argv);
	wait_until_it_ignores_term();
	ck_works(reclaim_kill(tid));
	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, RECLAIM_KILLED);
	ck_assert(disposition(SIGINT).sa_handler == do_nothing);
	signal(SIGINT, SIG_DFL);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void add_spawn(Suite *suite)
{
	TCase *tcase = stage_case(suite, "spawn");

	tcase_add_test(tcase, spawn_runs_a_program);
	if (!under_valgrind()) /* which tells of no error */
		tcase_add_test(tcase, spawn_fails_as_the_plain_call);
	tcase = stage_case(suite, "end");
	tcase_add_test(tcase, a_child_is_ended_with_its_task);
	tcase_add_test(tcase, a_stopped_child_is_ended_as_well);
	tcase_add_test(tcase, a_child_that_ignores_term_is_killed);
	tcase_add_test(tcase, a_child_that_was_reaped_behind_is_nobodys);
	tcase_add_test(tcase, a_detached_child_is_let_go);
	tcase_add_test(tcase, a_strangers_child_is_not_detached);
	tcase_add_test(tcase, a_forked_child_is_ended_with_its_task);
	tcase_add_test(tcase, what_the_root_forks_is_its_own_affair);
	tcase = stage_case(suite, "inherit");
	tcase_add_test(tcase, a_program_inherits_its_tasks_and_those_above);
	tcase_add_test(tcase, a_program_does_not_inherit_what_others_hold);
	tcase_add_test(tcase,
		       a_process_does_not_inherit_other_processes_streams);
}

static void add_wait(Suite *suite)
{
	TCase *tcase = stage_case(suite, "wait");

	tcase_add_loop_test(tcase, waitpid_tells_the_status, 0,
			    COUNT(programs));
	tcase_add_test(tcase, waitpid_for_any_forgets_the_one_it_finds);
	tcase_add_test(tcase, waitpid_for_a_group_finds_its_own);
	tcase_add_test(tcase, waitpid_does_not_wait_where_it_should_not);
	tcase_add_test(tcase, waitpid_tells_of_stops_and_keeps_the_child);
	tcase_add_test(tcase, waitpid_fails_as_the_plain_call);
	tcase_add_test(tcase, waitpid_refuses_what_waitid_would_take);
	tcase_add_test(tcase, waiting_for_the_wrong_sort_forgets_no_child);
	tcase_add_test(tcase, waiting_can_be_ended);
	tcase = stage_case(suite, "sigchld");
	tcase_add_test(tcase, children_are_forgotten_where_sigchld_is_ignored);
	tcase_add_test(tcase, a_handler_of_sigchld_may_reap_all);
}

static void add_popen(Suite *suite)
{
	TCase *tcase = stage_case(suite, "popen");

	tcase_add_test(tcase, popen_reads_what_is_written);
	tcase_add_test(tcase, popen_writes_what_is_read);
	tcase_add_loop_test(tcase, popen_takes_the_modes_of_the_plain_call, 0,
			    COUNT(popen_modes));
	tcase_add_test(tcase, a_process_is_ended_with_its_task);
	tcase_add_test(tcase, a_process_that_does_not_read_is_ended);
	tcase_add_test(tcase, pclose_of_one_that_was_waited_for_tells_so);
	tcase_add_test(tcase, pclose_takes_what_was_never_tracked);
	tcase_add_test(tcase, fclose_of_a_process_leaves_the_child);
	tcase_add_test(tcase, a_process_stays_one_when_its_stream_is_reopened);
	tcase_add_test(tcase, pclose_of_a_strangers_is_refused);
	tcase_add_loop_test(tcase, popen_works_without_standard_descriptors, 0,
			    2);
}

static void add_system(Suite *suite)
{
	TCase *tcase = stage_case(suite, "system");

	tcase_add_loop_test(tcase, system_is_as_the_plain_call, 0,
			    COUNT(commands));
	tcase_add_test(tcase, system_says_whether_there_is_a_shell);
	tcase_add_test(tcase, system_ignores_interrupts_meanwhile);
	tcase_add_test(tcase, a_command_ignores_what_the_caller_ignores);
	tcase_add_test(tcase, a_commands_signals_are_as_the_callers);
	tcase_add_test(tcase, many_may_be_in_system_at_once);
	tcase_add_test(tcase, system_can_be_ended);
}

static void fill(Suite *suite)
{
	add_spawn(suite);
	add_wait(suite);
	add_popen(suite);
	add_system(suite);
}

int main(void)
{
	return stage_run("spawn", fill);
}
