/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

/*
 * gcc 12's address sanitizer takes the stack of a cancelled thread for broken
 * where its frames are real ones, and fails now and then as it follows the
 * thread-local storage of libraries that come and go.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=1:intercept_tls_get_addr=0:"
	       "allocator_may_return_null=1";
}

/*
 * A forked child has not the stacks of its parent's threads, so that what is
 * known there alone looks lost.
 */
static pid_t tester;

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return tester && getpid() != tester;
}

void stage_is_child(void)
{
	if (tester)
		tester = getpid();
}

/*
 * Nor does it wait for races that may come yet, or join threads that it has
 * not; those that a test leaves the fixture sees.  A test may want more.
 */
__attribute__((weak)) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "atexit_sleep_ms=0:report_thread_leaks=0:"
	       "allocator_may_return_null=1";
}

/* ---- the folder: made and removed outside of the tests' processes ---- */

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	return where->level > 0 ? remove(path) : 0;
}

static void empty_folder(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/reclaim-check-XXXXXX");
	if (!mkdtemp(folder))
		abort();
}

static void remove_folder(void)
{
	empty_folder();
	rmdir(folder);
}

char *path_of(const char *name)
{
	static __thread char paths[8][256];
	static __thread unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

char *write_file(const char *name, const char *text)
{
	char *path = path_of(name);
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	return path;
}

const char *text_of(const char *path)
{
	static char text[256];
	FILE *file = fopen(path, "re");
	size_t n = 0;

	if (file) {
		n = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	return text;
}

/* ---- reports and notes ---- */

static atomic_uint report_count;
static char report_text[1024];
static char notes[256];
static atomic_size_t note_count;

static void hear(int severity, const char *text, void *arg)
{
	(void)severity;
	(void)arg;
	snprintf(report_text, sizeof(report_text), "%s", text);
	atomic_fetch_add(&report_count, 1);
}

unsigned reports(void)
{
	return atomic_load(&report_count);
}

const char *last_report(void)
{
	return report_text;
}

void forget_reports(void)
{
	atomic_store(&report_count, 0);
	report_text[0] = '\0';
}

void expect_stranger(const char *did, const char *owner, const char *other)
{
	const char *words[] = {did, "unrelated", owner, other};
	size_t i;

	ck_assert_uint_eq(reports(), 1);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		ck_assert_msg(strstr(report_text, words[i]),
			      "\"%s\" is not in: %s", words[i], report_text);
}

void note(char letter)
{
	size_t n = atomic_fetch_add(&note_count, 1);

	if (n < sizeof(notes) - 1)
		notes[n] = letter;
}

static void note_letter(void *letter)
{
	note((char)(intptr_t)letter);
}

void note_later(char letter)
{
	ck_works(reclaim_defer(note_letter, (void *)(intptr_t)letter, NULL));
}

const char *noted(void)
{
	return notes;
}

static void listen_anew(void)
{
	/* Check's handlers end the test as well, and restart no calls. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	tester = getpid();
	signal(SIGALRM, SIG_DFL);
	empty_folder();
	forget_reports();
	memset(notes, 0, sizeof(notes));
	atomic_store(&note_count, 0);
	reclaim_policy(RECLAIM_ALL_CHECKS, RECLAIM_WARN);
	reclaim_on_report(hear, NULL);
}

static void listen_no_more(void)
{
	reclaim_on_report(NULL, NULL);
}

TCase *stage_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	fixture_add(tcase);
	tcase_add_unchecked_fixture(tcase, make_folder, remove_folder);
	tcase_add_checked_fixture(tcase, listen_anew, listen_no_more);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int stage_run(const char *name, void (*fill)(Suite *suite))
{
	Suite *suite = suite_create(name);

	fill(suite);
	return fixture_run(suite);
}

/* ---- tasks ---- */

reclaim_tid task_called(const char *name)
{
	struct reclaim_task_opts opts = {.name = name};
	reclaim_tid tid = reclaim_task_new(&opts);

	ck_assert_uint_ne(tid, 0);
	return tid;
}

void work_for(reclaim_tid tid)
{
	ck_works(reclaim_enter(tid));
}

void work_no_longer(void)
{
	ck_works(reclaim_leave());
}

void end_task(reclaim_tid tid)
{
	ck_works(reclaim_end(tid, 0));
}

void in_task_with(const struct reclaim_task_opts *opts, void (*act)(void))
{
	reclaim_tid tid = reclaim_task_new(opts);

	ck_assert_uint_ne(tid, 0);
	work_for(tid);
	act();
	work_no_longer();
	end_task(tid);
}

void in_task(void (*act)(void))
{
	in_task_with(NULL, act);
}

static void (*act_in_thread)(void);

static int run_act(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	act_in_thread();
	return 0;
}

int in_thread_of_task(void (*act)(void))
{
	reclaim_tid tid;
	int status;

	act_in_thread = act;
	tid = reclaim_spawn(NULL, run_act, NULL);
	ck_assert_uint_ne(tid, 0);
	ck_works(reclaim_wait(tid, &status, -1));
	return status;
}

static struct reclaim_task_info info_of(reclaim_tid tid)
{
	struct reclaim_task_info info;

	ck_works(reclaim_task_info(tid, &info));
	return info;
}

unsigned held_by(reclaim_tid tid)
{
	return info_of(tid).handles;
}

unsigned held(void)
{
	return held_by(reclaim_self());
}

unsigned deferred(void)
{
	return info_of(reclaim_self()).actions;
}

/* ---- the system ---- */

bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

bool is_process(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) ==
	       0;
}

bool under_valgrind(void)
{
#if __has_include(<valgrind/valgrind.h>)
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

bool is_mapped(const void *at)
{
	unsigned char there;

	return mincore((void *)at, 1, &there) == 0;
}
