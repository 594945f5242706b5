/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library says, where, and when: the hook, the policy, and the
 * report of what a task holds.
 *
 * Places are kept where the environment says so when the program starts.  So
 * the tests of those run in another process of this same program.
 */
#include "config.h"

#include "tests/stage.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim/place_private.h"

static reclaim_tid task, other;

static void enter_task(void)
{
	task = task_called("task");
	other = task_called("other");
	work_for(task);
}

static void end_tasks(void)
{
	work_no_longer();
	end_task(task);
	end_task(other);
}

/* ---- in another process, with what it writes to stderr ---- */

struct outcome {
	int status;
	char text[4000];
};

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
}

static struct outcome in_child(void (*act)(void))
{
	struct outcome outcome;
	int fds[2];
	pid_t pid;

	fflush(NULL);
	ck_works(pipe(fds));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		act();
		_exit(0);
	}
	close(fds[1]);
	read_all(fds[0], outcome.text, sizeof(outcome.text));
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &outcome.status, 0), pid);
	return outcome;
}

/* ---- the hook ---- */

static struct {
	int severity, calls;
	char text[1100];
	void *arg;
} heard;

static void hear(int severity, const char *text, void *arg)
{
	heard.severity = severity;
	heard.arg = arg;
	heard.calls++;
	snprintf(heard.text, sizeof(heard.text), "%s", text);
}

static void hear_anew(void)
{
	memset(&heard, 0, sizeof(heard));
	reclaim_on_report(hear, &heard);
}

START_TEST(the_hook_hears_what_is_said)
{
	errno = 77;
	reclaim_say(RECLAIM_ERROR, "%s is %d", "this", 5);
	ck_assert_int_eq(errno, 77);
	ck_assert_int_eq(heard.severity, RECLAIM_ERROR);
	ck_assert_ptr_eq(heard.arg, &heard);
	ck_assert_str_eq(heard.text, "this is 5");
	reclaim_say(RECLAIM_NOTE, "note");
	ck_assert_int_eq(heard.severity, RECLAIM_NOTE);
	ck_assert_int_eq(heard.calls, 2);
}
END_TEST

START_TEST(a_long_line_is_cut)
{
	char line[3000];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	reclaim_say(RECLAIM_NOTE, "%s", line);
	ck_assert_uint_eq(strlen(heard.text), 1023);
}
END_TEST

static void say_to_stderr(void)
{
	reclaim_on_report(NULL, NULL);
	reclaim_say(RECLAIM_WARNING, "to %s", "stderr");
}

START_TEST(without_a_hook_stderr_is_written)
{
	struct outcome outcome = in_child(say_to_stderr);

	ck_assert_str_eq(outcome.text, "reclaim: to stderr\n");
	ck_assert_int_eq(heard.calls, 0);
}
END_TEST

static void use_the_library(int severity, const char *text, void *arg)
{
	void *block = save_malloc(10);

	(void)severity;
	(void)text;
	(void)arg;
	if (heard.calls++ == 0)
		reclaim_say(RECLAIM_NOTE, "again");
	reclaim_on_report(use_the_library, NULL);
	save_free(block);
}

START_TEST(the_hook_may_use_the_library)
{
	void *block = save_malloc(10);

	reclaim_on_report(use_the_library, NULL);
	work_for(other);
	save_free(block);
	work_no_longer();
	ck_assert_int_eq(heard.calls, 2);
}
END_TEST

/* ---- the policy ---- */

static void *of_task;

static void make_block(void)
{
	of_task = save_malloc(16);
}

/* A stranger's free. */
static void do_wrong(void)
{
	work_for(other);
	save_free(of_task);
	work_no_longer();
}

static void do_another_wrong(void)
{
	save_free2(of_task, free);
}

START_TEST(wrong_use_is_told_each_time)
{
	make_block();
	do_wrong();
	do_wrong();
	do_another_wrong();
	ck_assert_int_eq(heard.calls, 3);
	ck_assert_int_eq(heard.severity, RECLAIM_WARNING);
}
END_TEST

START_TEST(off_is_silent)
{
	make_block();
	ck_assert_int_eq(reclaim_policy(RECLAIM_STRANGERS, RECLAIM_OFF),
			 RECLAIM_WARN);
	do_wrong();
	ck_assert_int_eq(heard.calls, 0);
	ck_assert_uint_eq(reclaim_policy(RECLAIM_STRANGERS, RECLAIM_WARN),
			  RECLAIM_OFF);
	/* It had no effect all the same. */
	save_free(of_task);
	ck_assert_int_eq(heard.calls, 0);
}
END_TEST

START_TEST(once_is_once_for_each_kind)
{
	make_block();
	reclaim_policy(RECLAIM_ALL_CHECKS, RECLAIM_WARN_ONCE);
	do_wrong();
	do_wrong();
	ck_assert_int_eq(heard.calls, 1);
	do_another_wrong();
	do_another_wrong();
	ck_assert_int_eq(heard.calls, 2);
	/* Said anew, it is heard anew. */
	reclaim_policy(RECLAIM_STRANGERS, RECLAIM_WARN_ONCE);
	do_wrong();
	do_another_wrong();
	ck_assert_int_eq(heard.calls, 3);
}
END_TEST

static void abort_on_wrong_use(void)
{
	const struct sigaction plain = {.sa_handler = SIG_DFL};

	sigaction(SIGABRT, &plain, NULL);
	reclaim_on_report(NULL, NULL);
	reclaim_policy(RECLAIM_STRANGERS, RECLAIM_ABORT);
	do_another_wrong();
	do_wrong();
}

START_TEST(abort_tells_and_aborts)
{
	struct outcome outcome;

	make_block();
	outcome = in_child(abort_on_wrong_use);
	ck_assert(WIFSIGNALED(outcome.status));
	ck_assert_int_eq(WTERMSIG(outcome.status), SIGABRT);
	ck_assert_ptr_nonnull(strstr(outcome.text, "wrong family"));
	ck_assert_ptr_nonnull(strstr(outcome.text, "unrelated"));
}
END_TEST

START_TEST(all_at_once_gives_the_level_before)
{
	ck_assert_int_eq(reclaim_policy(RECLAIM_ALL_CHECKS, RECLAIM_OFF),
			 RECLAIM_WARN);
	ck_assert_int_eq(reclaim_policy(RECLAIM_ALL_CHECKS, RECLAIM_WARN),
			 RECLAIM_OFF);
	ck_assert_int_eq(reclaim_policy(RECLAIM_STALE_FD, RECLAIM_WARN),
			 RECLAIM_WARN);
}
END_TEST

START_TEST(an_unknown_policy_is_refused)
{
	ck_fails(reclaim_policy(-1, RECLAIM_WARN), -1, EINVAL);
	ck_fails(reclaim_policy(RECLAIM_ALL_CHECKS + 1, RECLAIM_WARN), -1,
		 EINVAL);
	ck_fails(reclaim_policy(RECLAIM_STRANGERS, -1), -1, EINVAL);
	ck_fails(reclaim_policy(RECLAIM_STRANGERS, RECLAIM_ABORT + 1), -1,
		 EINVAL);
}
END_TEST

START_TEST(wrong_use_names_both_tasks)
{
	make_block();
	errno = 77;
	do_wrong();
	ck_assert_int_eq(errno, 77);
	ck_assert_ptr_nonnull(
		strstr(heard.text, "which is an unrelated task's"));
	ck_assert_ptr_nonnull(strstr(heard.text, "16 bytes"));
	ck_assert_ptr_nonnull(strstr(heard.text, "in task other <"));
	ck_assert_ptr_nonnull(strstr(heard.text, "acquired in task task <"));
	if (!place_kept)
		ck_assert_ptr_nonnull(
			strstr(heard.text, "RECLAIM_PLACES=1 tells where"));
}
END_TEST

/* ---- the report of what is held ---- */

static char *report_of(reclaim_tid tid)
{
	static char *text;
	size_t size = 0;
	FILE *to;

	free(text);
	text = NULL;
	to = open_memstream(&text, &size);
	ck_works(reclaim_report(tid, to));
	fclose(to);
	return text;
}

/* The words are in the text, in this order. */
static void expect_in_order(const char *text, const char *const words[])
{
	const char *at = text;

	for (; *words; words++) {
		at = strstr(at, *words);
		ck_assert_msg(at, "\"%s\" is not where it should be in:\n%s",
			      *words, text);
	}
}

static void release_nothing(void *id)
{
	(void)id;
}

static int describe_number(const void *id, char *buf, size_t len)
{
	return snprintf(buf, len, "number %d", *(const int *)id);
}

START_TEST(a_report_tells_what_is_held_newest_first)
{
	static const struct reclaim_kind numbers = {.name = "integer",
						    .release = release_nothing,
						    .describe =
							    describe_number};
	static const struct reclaim_kind plain = {.name = "plain thing",
						  .release = release_nothing};
	const char *const words[] = {
		"task task <",	     "48 bytes in 2 blocks",
		"3 handles",	     "1 deferred action",
		"plain thing 0x",    "deferred action",
		"integer number 42", "fd ",
		"/dev/null",	     NULL};
	static int number = 42;
	char name[16];

	ck_assert_ptr_nonnull(save_malloc(16));
	ck_assert_ptr_nonnull(save_malloc(32));
	ck_assert_int_ge(save_open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	ck_works(reclaim_track(&numbers, &number, NULL));
	ck_works(reclaim_defer(release_nothing, NULL, NULL));
	ck_works(reclaim_track(&plain, name, NULL));
	expect_in_order(report_of(task), words);
}
END_TEST

START_TEST(a_report_tells_of_those_below)
{
	const char *const words[] = {"task task <", "task younger <",
				     "task grandchild <", "task older <", NULL};
	reclaim_tid younger;

	task_called("older");
	younger = task_called("younger");
	work_for(younger);
	task_called("grandchild");
	work_no_longer();
	expect_in_order(report_of(task), words);
	ck_assert_ptr_null(strstr(report_of(task), "task other <"));
}
END_TEST

START_TEST(a_report_of_the_root_tells_of_all)
{
	const char *const words[] = {"task process <", "task other <",
				     "task task <", NULL};

	work_no_longer();
	expect_in_order(report_of(reclaim_self()), words);
	work_for(task);
}
END_TEST

START_TEST(a_report_tells_that_a_task_is_ending)
{
	const char *const words[] = {"task task <", "(ending)", NULL};

	ck_works(reclaim_kill(task));
	expect_in_order(report_of(task), words);
	work_no_longer();
	task = task_called("another");
	work_for(task);
}
END_TEST

START_TEST(there_is_no_report_of_no_task)
{
	FILE *to = fopen("/dev/null", "we");

	ck_fails(reclaim_report(0, to), -1, ESRCH);
	ck_fails(reclaim_report(UINT64_MAX, to), -1, ESRCH);
	fclose(to);
}
END_TEST

START_TEST(a_report_that_cannot_be_written_fails)
{
	FILE *to = fopen("/dev/full", "we");

	setvbuf(to, NULL, _IONBF, 0);
	ck_fails(reclaim_report(task, to), -1, ENOSPC);
	fclose(to);
}
END_TEST

START_TEST(a_report_goes_to_a_tracked_stream)
{
	FILE *to = save_fopen(path_of("report"), "we");

	ck_works(reclaim_report(task, to));
	ck_works(save_fclose(to));
	ck_assert_ptr_nonnull(strstr(text_of(path_of("report")), "task task"));
}
END_TEST

/* ---- places: in a process of their own ---- */

#define PLACES_TEST "RECLAIM_TEST_PLACES"

/* Under Valgrind the link itself leads to Valgrind. */
static void run_again(void)
{
	char path[4096] = "";

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		_exit(126);
	setenv("RECLAIM_PLACES", "1", 1);
	setenv(PLACES_TEST, "1", 1);
	execl(path, "check_report", (char *)NULL);
	_exit(127);
}

static int line_of_defer, line_of_block;

static void hold_things(void)
{
	reclaim_defer(release_nothing, NULL, NULL), line_of_defer = __LINE__;
	of_task = save_malloc(100), line_of_block = __LINE__;
}

/* What the other process does: everything that has a place, to stderr. */
static int tell_places(void)
{
	task = reclaim_task_new(NULL);
	other = reclaim_task_new(NULL);
	reclaim_enter(task);
	hold_things();
	reclaim_report(task, stderr);
	reclaim_enter(other);
	save_free(of_task);
	reclaim_leave();
	reclaim_leave();
	fprintf(stderr, "defer %d block %d\n", line_of_defer, line_of_block);
	return 0;
}

static bool have_libdw(void)
{
#ifdef HAVE_LIBDWFL
	void *lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

	if (lib)
		dlclose(lib);
	return lib != NULL;
#else
	return false;
#endif
}

START_TEST(places_are_told_by_file_and_line_or_by_symbol)
{
	struct outcome outcome = in_child(run_again);
	char defer[64], block[64], *lines = strstr(outcome.text, "defer ");
	const char *const words[] = {"deferred action",
				     defer,
				     "memory 100 bytes",
				     block,
				     "free of",
				     "check_report",
				     "acquired in task",
				     block,
				     NULL};

	ck_assert_int_eq(outcome.status, 0);
	ck_assert_msg(lines && sscanf(lines, "defer %d block %d",
				      &line_of_defer, &line_of_block) == 2,
		      "%s", outcome.text);
	snprintf(defer, sizeof(defer), " at check_report.c:%d", line_of_defer);
	snprintf(block, sizeof(block), " at check_report.c:%d", line_of_block);
	if (!have_libdw()) {
		strcpy(defer, "check_report");
		strcpy(block, "check_report");
	}
	expect_in_order(outcome.text, words);
	ck_assert_ptr_null(strstr(outcome.text, "tells where"));
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "hook");

	tcase_add_checked_fixture(tcase, enter_task, end_tasks);
	tcase_add_checked_fixture(tcase, hear_anew, NULL);
	tcase_add_test(tcase, the_hook_hears_what_is_said);
	tcase_add_test(tcase, a_long_line_is_cut);
	tcase_add_test(tcase, without_a_hook_stderr_is_written);
	tcase_add_test(tcase, the_hook_may_use_the_library);

	tcase = stage_case(suite, "policy");
	tcase_add_checked_fixture(tcase, enter_task, end_tasks);
	tcase_add_checked_fixture(tcase, hear_anew, NULL);
	tcase_add_test(tcase, wrong_use_is_told_each_time);
	tcase_add_test(tcase, off_is_silent);
	tcase_add_test(tcase, once_is_once_for_each_kind);
	tcase_add_test(tcase, abort_tells_and_aborts);
	tcase_add_test(tcase, all_at_once_gives_the_level_before);
	tcase_add_test(tcase, an_unknown_policy_is_refused);
	tcase_add_test(tcase, wrong_use_names_both_tasks);

	tcase = stage_case(suite, "held");
	tcase_add_checked_fixture(tcase, enter_task, end_tasks);
	tcase_add_test(tcase, a_report_tells_what_is_held_newest_first);
	tcase_add_test(tcase, a_report_tells_of_those_below);
	tcase_add_test(tcase, a_report_of_the_root_tells_of_all);
	tcase_add_test(tcase, a_report_tells_that_a_task_is_ending);
	tcase_add_test(tcase, there_is_no_report_of_no_task);
	tcase_add_test(tcase, a_report_that_cannot_be_written_fails);
	tcase_add_test(tcase, a_report_goes_to_a_tracked_stream);
	tcase_add_test(tcase, places_are_told_by_file_and_line_or_by_symbol);
}

int main(void)
{
	if (getenv(PLACES_TEST))
		return tell_places();
	return stage_run("report", fill);
}
