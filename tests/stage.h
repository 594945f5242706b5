/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage - where the tests of the wrappers act
 *
 *	START_TEST(is_closed_with_the_task)
 *	{
 *		in_task(open_a_file);
 *		ck_assert(!is_open(fd));
 *	}
 *
 * A TCase of stage_case() has the fixture, a folder of its own that is empty
 * when a test begins, and an ear for what the library reports.
 *
 * Tests call the system by its plain names and the library by the save_ names.
 */
#ifndef STAGE_H
#define STAGE_H

#ifndef RECLAIM_NO_ALIAS
#define RECLAIM_NO_ALIAS 1
#endif
#include "reclaim.h"

#include <stdbool.h>

#include "tests/fixture.h"

/* A TCase of the suite, with all of it. */
TCase *stage_case(Suite *suite, const char *name);

/* What a whole program is: its TCases were added by `fill`. */
int stage_run(const char *name, void (*fill)(Suite *suite));

/* ---- tasks ---- */

/* act() in a task, entered by the caller, that ends afterwards. */
void in_task(void (*act)(void));
void in_task_with(const struct reclaim_task_opts *opts, void (*act)(void));

/* The same in a task with a thread of its own; its status. */
int in_thread_of_task(void (*act)(void));

/* A task to enter and leave, below the current one; and its end. */
reclaim_tid task_called(const char *name);
void work_for(reclaim_tid tid);
void work_no_longer(void);
void end_task(reclaim_tid tid);

/* Handles and deferred actions of the current task. */
unsigned held(void);
unsigned held_by(reclaim_tid tid);
unsigned deferred(void);

/* ---- the system ---- */

bool is_open(int fd);
bool is_process(pid_t pid); /* a child of ours, waited for or not */
bool is_mapped(const void *at);

/* In a forked child that ends by exit: it is looked at for leaks as well. */
void stage_is_child(void);

/* Where each step takes a hundred times as long. */
bool under_valgrind(void);

/* A file in the folder; one of eight buffers of the thread.  write_file makes
 * one. */
char *path_of(const char *name);
char *write_file(const char *name, const char *text);

/* What a file holds, at most 255 bytes; "" where there is none. */
const char *text_of(const char *path);

/* ---- the order in which things are released ---- */

/* Defer noting a letter; what was noted since the test began. */
void note_later(char letter);
void note(char letter);
const char *noted(void);

/* ---- reports ---- */

/* How many came since the test began, and the latest. */
unsigned reports(void);
const char *last_report(void);
void forget_reports(void);

/* Exactly one came, by an unrelated task, with all of these words in it. */
void expect_stranger(const char *did, const char *owner, const char *other);

/* ---- assertions ---- */

/* -1, or whatever stands for it, and errno. */
#define ck_fails(call, failure, error)                                        \
	do {                                                                  \
		errno = 0;                                                    \
		ck_assert_msg((call) == (failure), "%s did not fail", #call); \
		ck_assert_msg(errno == (error), "%s: errno is %d, not %s",    \
			      #call, errno, #error);                          \
	} while (0)

/*
 * Where a thread may be cancelled, or forks among others: Check takes a lock
 * for each of its assertions, which would stay taken.
 */
#define must(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#define ck_works(call) ck_assert_msg((call) == 0, "%s: %m", #call)

#endif
