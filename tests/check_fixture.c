/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixture that never fails proves nothing: here each thing that it watches
 * is left behind on purpose, and has to be named.
 */
#include "config.h"

#include "tests/fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim.h"

static struct fixture_view *view;

static void look(void)
{
	fixture_forget(view);
	view = fixture_look();
}

static void forget(void)
{
	fixture_forget(view);
	view = NULL;
}

static void expect(const char *words)
{
	char *found = fixture_compare(view);

	ck_assert_msg(found, "nothing was noticed, not \"%s\"", words);
	ck_assert_msg(strstr(found, words), "\"%s\" is not in:%s", words,
		      found);
	free(found);
}

static void expect_nothing(void)
{
	char *found = fixture_compare(view);

	ck_assert_msg(!found, "there is a difference:%s", found);
}

START_TEST(notices_nothing_where_there_is_nothing)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	close(fd);
	expect_nothing();
}
END_TEST

START_TEST(notices_an_open_fd)
{
	char words[64];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	snprintf(words, sizeof(words), "descriptor %d is new: /dev/zero", fd);
	expect(words);
	close(fd);
	expect_nothing();
}
END_TEST

START_TEST(notices_a_closed_fd)
{
	char words[64];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	look();
	close(fd);
	snprintf(words, sizeof(words), "descriptor %d is missing: /dev/zero",
		 fd);
	expect(words);
}
END_TEST

START_TEST(notices_another_file_in_the_same_fd)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(other, 0);
	look();
	ck_assert_int_eq(dup2(other, fd), fd);
	expect("now is: /dev/null");
	close(other);
	close(fd);
}
END_TEST

START_TEST(notices_a_child)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	expect("running");
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	expect_nothing();
}
END_TEST

START_TEST(notices_a_zombie)
{
	siginfo_t info;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	expect("not waited for");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	expect_nothing();
}
END_TEST

static void *wait_for(void *arg)
{
	sem_wait(arg);
	return NULL;
}

START_TEST(notices_a_thread)
{
	pthread_t thread;
	sem_t go;

	sem_init(&go, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for, &go), 0);
	expect("thread ");
	sem_post(&go);
	pthread_join(thread, NULL);
	sem_destroy(&go);
	expect_nothing();
}
END_TEST

START_TEST(notices_memory)
{
	void *block = save_malloc(100);

	ck_assert_ptr_nonnull(block);
	expect("blocks, had");
	save_free(block);
	expect_nothing();
}
END_TEST

START_TEST(notices_a_task)
{
	reclaim_tid tid = reclaim_task_new(NULL);

	ck_assert_uint_ne(tid, 0);
	expect("children, had");
	ck_assert_int_eq(reclaim_end(tid, 0), 0);
	expect_nothing();
}
END_TEST

static void act(void *arg)
{
	(void)arg;
}

START_TEST(notices_an_action)
{
	reclaim_token token;

	ck_assert_int_eq(reclaim_defer(act, NULL, &token), 0);
	expect("actions, had");
	ck_assert_int_eq(reclaim_undefer(token, 0), 0);
	expect_nothing();
}
END_TEST

START_TEST(notices_a_handle)
{
	static const struct reclaim_kind kind = {.name = "thing",
						 .release = act};
	reclaim_token token;

	ck_assert_int_eq(reclaim_track(&kind, NULL, &token), 0);
	expect("handles, had");
	ck_assert_int_eq(reclaim_undefer(token, 0), 0);
	expect_nothing();
}
END_TEST

START_TEST(repeats_what_a_seed_gives)
{
	uint64_t one = fixture_seed(), two = fixture_seed(), first;

	first = fixture_random(&one);
	ck_assert_uint_eq(fixture_random(&two), first);
	ck_assert_uint_ne(fixture_random(&two), first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fixture");
	TCase *tcase = tcase_create("notices");

	fixture_add(tcase);
	tcase_add_checked_fixture(tcase, look, forget);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, notices_nothing_where_there_is_nothing);
	tcase_add_test(tcase, notices_an_open_fd);
	tcase_add_test(tcase, notices_a_closed_fd);
	tcase_add_test(tcase, notices_another_file_in_the_same_fd);
	tcase_add_test(tcase, notices_a_child);
	tcase_add_test(tcase, notices_a_zombie);
	tcase_add_test(tcase, notices_a_thread);
	tcase_add_test(tcase, notices_memory);
	tcase_add_test(tcase, notices_a_task);
	tcase_add_test(tcase, notices_an_action);
	tcase_add_test(tcase, notices_a_handle);
	tcase_add_test(tcase, repeats_what_a_seed_gives);
	suite_add_tcase(suite, tcase);
	return fixture_run(suite);
}
