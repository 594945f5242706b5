/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that work for the task that made them. */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int state;
static _Atomic reclaim_tid its_task;
static pthread_t thread;

static void wait_until(int wanted)
{
	while (atomic_load(&state) < wanted)
		sched_yield();
}

static void start(void *(*entry)(void *), void *arg)
{
	atomic_store(&state, 0);
	ck_works(save_pthread_create(&thread, NULL, entry, arg));
}

/* ---- as the plain calls ---- */

static void *return_arg(void *arg)
{
	its_task = reclaim_self();
	return arg;
}

static void start_and_join(void)
{
	void *result = NULL;

	start(return_arg, &state);
	ck_assert_uint_eq(held(), 1);
	ck_works(save_pthread_join(thread, &result));
	ck_assert_ptr_eq(result, &state);
	ck_assert_uint_eq(held(), 0);
	ck_assert_uint_eq(its_task, reclaim_self());
}

START_TEST(a_thread_works_for_its_makers_task)
{
	start_and_join();
	in_task(start_and_join);
	in_thread_of_task(start_and_join);
}
END_TEST

static void *wait_for_ever(void *arg)
{
	sem_t nothing;

	sem_init(&nothing, 0, 0);
	atomic_store(&state, 1);
	sem_wait(&nothing);
	return arg;
}

START_TEST(a_cancelled_thread_says_so)
{
	void *result;

	start(wait_for_ever, NULL);
	ck_works(pthread_cancel(thread));
	ck_works(save_pthread_join(thread, &result));
	ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}
END_TEST

static void *end_by_pthread_exit(void *arg)
{
	pthread_exit(arg);
}

START_TEST(pthread_exit_ends_the_thread_alone)
{
	void *result;

	start(end_by_pthread_exit, &state);
	ck_works(save_pthread_join(thread, &result));
	ck_assert_ptr_eq(result, &state);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(what_fails_is_told_as_by_the_plain_calls)
{
	pthread_attr_t attr;
	struct sched_param param = {.sched_priority = 1};

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	if (pthread_attr_setschedparam(&attr, &param) == 0)
		ck_assert_int_eq(
			save_pthread_create(&thread, &attr, return_arg, NULL),
			EINVAL);
	ck_assert_uint_eq(held(), 0);
	pthread_attr_destroy(&attr);
	ck_assert_int_eq(save_pthread_join(pthread_self(), NULL), EDEADLK);
}
END_TEST

START_TEST(attributes_are_the_callers)
{
	pthread_attr_t attr, its;
	size_t size;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 20);
	ck_works(save_pthread_create(&thread, &attr, wait_for_ever, NULL));
	ck_works(pthread_getattr_np(thread, &its));
	pthread_attr_getstacksize(&its, &size);
	ck_assert_uint_ge(size, 1 << 20);
	ck_assert_uint_le(size, 3 << 20);
	pthread_attr_destroy(&its);
	pthread_attr_destroy(&attr);
	pthread_cancel(thread);
	ck_works(save_pthread_join(thread, NULL));
}
END_TEST

START_TEST(a_thread_made_behind_the_wrappers_can_be_joined)
{
	ck_works(pthread_create(&thread, NULL, return_arg, NULL));
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- detached ---- */

static void *end_when_told(void *arg)
{
	atomic_store(&state, 1);
	wait_until(2);
	return arg;
}

static void wait_until_nothing_is_held(void)
{
	while (held() > 0)
		sched_yield();
}

START_TEST(a_detached_thread_is_forgotten_at_its_end)
{
	start(end_when_told, NULL);
	wait_until(1);
	ck_works(save_pthread_detach(thread));
	ck_assert_uint_eq(held(), 1);
	atomic_store(&state, 2);
	wait_until_nothing_is_held();
}
END_TEST

START_TEST(one_made_detached_is_forgotten_at_its_end)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_store(&state, 0);
	ck_works(save_pthread_create(&thread, &attr, end_when_told, NULL));
	pthread_attr_destroy(&attr);
	wait_until(1);
	ck_assert_uint_eq(held(), 1);
	atomic_store(&state, 2);
	wait_until_nothing_is_held();
}
END_TEST

START_TEST(one_that_has_ended_can_be_detached)
{
	start(return_arg, NULL);
	while (its_task != reclaim_self())
		sched_yield();
	usleep(1000);
	ck_works(save_pthread_detach(thread));
	wait_until_nothing_is_held();
}
END_TEST

static void detach_oneself(void)
{
	ck_assert_int_eq(save_pthread_detach(pthread_self()), EINVAL);
}

START_TEST(a_tasks_own_thread_is_not_detached)
{
	ck_assert_int_eq(in_thread_of_task(detach_oneself), 0);
}
END_TEST

static void *detach_and_go_on(void *arg)
{
	ck_works(save_pthread_detach(pthread_self()));
	atomic_store(&state, 1);
	return arg;
}

START_TEST(a_thread_may_detach_itself)
{
	start(detach_and_go_on, NULL);
	wait_until(1);
	wait_until_nothing_is_held();
}
END_TEST

/* ---- the task's end ---- */

static void note_the_end(void *arg)
{
	(void)arg;
	note('t');
	atomic_store(&state, 2);
}

static void *wait_and_note(void *arg)
{
	pthread_cleanup_push(note_the_end, NULL);
	wait_for_ever(arg);
	pthread_cleanup_pop(0);
	return NULL;
}

static void keep_a_thread(void)
{
	note_later('a');
	start(wait_and_note, NULL);
	note_later('b');
	wait_until(1);
}

START_TEST(the_task_stops_its_threads_and_waits)
{
	in_task(keep_a_thread);
	ck_assert_int_eq(atomic_load(&state), 2);
	ck_assert_ptr_nonnull(strchr(noted(), 't'));
}
END_TEST

START_TEST(the_task_with_a_thread_of_its_own_does_as_well)
{
	ck_assert_int_eq(in_thread_of_task(keep_a_thread), 0);
	ck_assert_int_eq(atomic_load(&state), 2);
}
END_TEST

static void keep_a_detached_thread(void)
{
	keep_a_thread();
	ck_works(save_pthread_detach(thread));
}

START_TEST(a_detached_thread_is_waited_for_as_well)
{
	in_task(keep_a_detached_thread);
	ck_assert_int_eq(atomic_load(&state), 2);
	ck_assert_int_eq(in_thread_of_task(keep_a_detached_thread), 0);
	ck_assert_int_eq(atomic_load(&state), 2);
}
END_TEST

/* An action that is newer than the handles is run first: the polite way. */
static void tell_to_end(void *arg)
{
	(void)arg;
	atomic_store(&state, 2);
}

static void *end_when_told_only(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return end_when_told(arg);
}

static void keep_a_thread_that_is_told(void)
{
	ck_assert_int_ge(save_dup(0), 0);
	start(end_when_told_only, NULL);
	wait_until(1);
	ck_works(reclaim_defer(tell_to_end, NULL, NULL));
}

START_TEST(an_action_may_tell_a_thread_to_end)
{
	in_task(keep_a_thread_that_is_told);
	ck_assert_int_eq(in_thread_of_task(keep_a_thread_that_is_told), 0);
}
END_TEST

static void *start_another(void *arg)
{
	pthread_t other;

	must(save_pthread_create(&other, NULL, wait_for_ever, NULL) == 0);
	return arg;
}

static void keep_what_a_thread_started(void)
{
	start(start_another, NULL);
	wait_until(1);
}

START_TEST(threads_of_threads_are_the_tasks)
{
	in_task(keep_what_a_thread_started);
	ck_assert_int_eq(in_thread_of_task(keep_what_a_thread_started), 0);
}
END_TEST

/* Nothing is taken from a thread that uses it: nor what it acquired itself. */
static void *use_what_is_newer(void *arg)
{
	FILE *stream = save_fopen("/dev/null", "we");
	int fd = save_open("/dev/null", O_WRONLY | O_CLOEXEC);
	char *block = save_mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_nonnull(stream);
	for (;;) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		ck_assert_int_gt(fprintf(stream, "%d", fd), 0);
		ck_works(fflush(stream));
		ck_assert_int_eq(write(fd, "x", 1), 1);
		block[0] = 'x';
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		atomic_store(&state, 1);
		pthread_testcancel();
	}
	return arg;
}

static void keep_one_that_uses_things(void)
{
	start(use_what_is_newer, NULL);
	wait_until(1);
	usleep(500);
}

START_TEST(nothing_is_released_while_a_thread_runs)
{
	int i;

	for (i = 0; i < 5; i++) {
		in_task(keep_one_that_uses_things);
		ck_assert_int_eq(in_thread_of_task(keep_one_that_uses_things),
				 0);
	}
}
END_TEST

/* A thread that has entered a task below is asked to leave it, too. */
static void *enter_and_wait(void *arg)
{
	work_for(task_called("below"));
	return wait_for_ever(arg);
}

static void keep_one_that_has_entered(void)
{
	start(enter_and_wait, NULL);
	wait_until(1);
}

START_TEST(a_thread_inside_a_task_below_is_stopped)
{
	in_task(keep_one_that_has_entered);
	ck_assert_int_eq(in_thread_of_task(keep_one_that_has_entered), 0);
}
END_TEST

static int kept_alive(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	keep_a_thread();
	for (;;)
		pause();
	return 0;
}

START_TEST(kill_stops_the_threads_of_a_task)
{
	reclaim_tid tid;
	int status;

	atomic_store(&state, 0);
	tid = reclaim_spawn(NULL, kept_alive, NULL);
	ck_assert_uint_ne(tid, 0);
	wait_until(1);
	ck_works(reclaim_kill(tid));
	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, RECLAIM_KILLED);
	ck_assert_int_eq(atomic_load(&state), 2);
}
END_TEST

/* ---- a task ended by its own thread ---- */

static void *end_its_task(void *arg)
{
	its_task = reclaim_self();
	ck_works(reclaim_end(its_task, 7));
	atomic_store(&state, 1);
	return arg;
}

START_TEST(a_thread_may_end_its_task)
{
	reclaim_tid tid = task_called("ended");
	int status = 0;

	work_for(tid);
	note_later('e');
	start(end_its_task, NULL);
	wait_until(1);
	ck_assert_str_eq(noted(), "");
	work_no_longer();
	while (reclaim_wait(tid, &status, -1) == 0)
		sched_yield();
	ck_assert_int_eq(errno, ESRCH);
	ck_assert_str_eq(noted(), "e");
}
END_TEST

static void *end_its_task_alone(void *arg)
{
	wait_until(1);
	end_its_task(arg);
	return arg;
}

/* Nobody else is inside: it is released by the thread, as its last act. */
START_TEST(the_last_thread_of_a_task_releases_it)
{
	reclaim_tid tid = task_called("ended");

	work_for(tid);
	note_later('e');
	start(end_its_task_alone, NULL);
	work_no_longer();
	atomic_store(&state, 1);
	while (reclaim_wait(tid, NULL, 10) == 0 || errno == ETIMEDOUT)
		sched_yield();
	ck_assert_str_eq(noted(), "e");
}
END_TEST

static void *end_by_exit(void *arg)
{
	save_exit((int)(intptr_t)arg);
}

static int start_one_that_exits(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	start(end_by_exit, (void *)9);
	for (;;)
		pause();
	return 1;
}

START_TEST(exit_in_a_thread_ends_the_task)
{
	reclaim_tid tid = reclaim_spawn(NULL, start_one_that_exits, NULL);
	int status;

	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, 9);
}
END_TEST

/* ---- threads that hand things to each other ---- */

static struct {
	void *block;
	int fd;
	FILE *stream;
	DIR *directory;
	void *mapping;
} things;

static void acquire_things(void)
{
	things.block = save_malloc(100);
	things.fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	things.stream = save_fopen("/dev/null", "re");
	things.directory = save_opendir("/");
	things.mapping = save_mmap(NULL, 4096, PROT_READ,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void give_things_back(void)
{
	save_free(things.block);
	ck_works(save_close(things.fd));
	ck_works(save_fclose(things.stream));
	ck_works(save_closedir(things.directory));
	ck_works(save_munmap(things.mapping, 4096));
}

static void *acquire_in_thread(void *arg)
{
	acquire_things();
	return arg;
}

static void *give_back_in_thread(void *arg)
{
	give_things_back();
	return arg;
}

static void acquire_there_and_give_back_here(void)
{
	start(acquire_in_thread, NULL);
	ck_works(save_pthread_join(thread, NULL));
	give_things_back();
	ck_assert_uint_eq(held(), 0);
}

static void acquire_here_and_give_back_there(void)
{
	acquire_things();
	start(give_back_in_thread, NULL);
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_uint_eq(held(), 0);
}

START_TEST(what_one_thread_acquires_another_may_give_back)
{
	acquire_there_and_give_back_here();
	acquire_here_and_give_back_there();
	in_task(acquire_there_and_give_back_here);
	in_task(acquire_here_and_give_back_there);
	in_thread_of_task(acquire_there_and_give_back_here);
	in_thread_of_task(acquire_here_and_give_back_there);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static void acquire_there_and_end(void)
{
	start(acquire_in_thread, NULL);
	ck_works(save_pthread_join(thread, NULL));
	ck_assert_uint_eq(held(), 4);
}

START_TEST(what_a_thread_acquired_outlives_it)
{
	in_task(acquire_there_and_end);
	ck_assert(!is_open(things.fd));
	ck_assert(!is_mapped(things.mapping));
	ck_assert_int_eq(in_thread_of_task(acquire_there_and_end), 0);
	ck_assert(!is_open(things.fd));
}
END_TEST

static void *give_back_of_root(void *arg)
{
	its_task = reclaim_self();
	give_things_back();
	return arg;
}

/* A plain thread works for the root, and may have the root's things. */
START_TEST(a_plain_thread_gives_back_what_the_program_acquired)
{
	acquire_things();
	ck_works(pthread_create(&thread, NULL, give_back_of_root, NULL));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(its_task, reclaim_self());
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* ---- many at once ---- */

#define THREADS 12
#define ROUNDS	60

static void *acquire_and_give_back(void *arg)
{
	int i, ends[2];

	for (i = 0; i < ROUNDS; i++) {
		char *text = save_strdup("text");
		FILE *stream = save_fopen("/dev/null", "re");

		must(save_pipe(ends) == 0);
		must(save_close(ends[0]) == 0);
		must(save_fclose(stream) == 0);
		must(save_close(ends[1]) == 0);
		save_free(text);
	}
	return arg;
}

static void have_many_threads(void)
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		ck_works(save_pthread_create(&threads[i], NULL,
					     acquire_and_give_back, NULL));
	for (i = 0; i < THREADS; i += 2)
		ck_works(save_pthread_join(threads[i], NULL));
	for (i = 1; i < THREADS; i += 4)
		ck_works(save_pthread_detach(threads[i]));
}

START_TEST(many_threads_share_a_task)
{
	in_task(have_many_threads);
	in_thread_of_task(have_many_threads);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* Join, detach and the task's end, of threads that are just ending. */
static void *end_at_once(void *arg)
{
	return arg;
}

static void race_with_their_ends(void)
{
	uint64_t choice = fixture_seed();
	int i;

	for (i = 0; i < 200; i++) {
		ck_works(save_pthread_create(&thread, NULL, end_at_once, NULL));
		switch (fixture_random(&choice) % 3) {
		case 0:
			ck_works(save_pthread_join(thread, NULL));
			break;
		case 1:
			ck_works(save_pthread_detach(thread));
			break;
		}
	}
}

START_TEST(threads_may_end_at_any_time)
{
	in_task(race_with_their_ends);
	in_thread_of_task(race_with_their_ends);
}
END_TEST

static void add_single(Suite *suite)
{
	TCase *tcase = stage_case(suite, "thread");

	tcase_add_test(tcase, a_thread_works_for_its_makers_task);
	tcase_add_test(tcase, a_cancelled_thread_says_so);
	tcase_add_test(tcase, pthread_exit_ends_the_thread_alone);
	tcase_add_test(tcase, what_fails_is_told_as_by_the_plain_calls);
	tcase_add_test(tcase, attributes_are_the_callers);
	tcase_add_test(tcase, a_thread_made_behind_the_wrappers_can_be_joined);
	tcase = stage_case(suite, "detached");
	tcase_add_test(tcase, a_detached_thread_is_forgotten_at_its_end);
	tcase_add_test(tcase, one_made_detached_is_forgotten_at_its_end);
	tcase_add_test(tcase, one_that_has_ended_can_be_detached);
	tcase_add_test(tcase, a_tasks_own_thread_is_not_detached);
	tcase_add_test(tcase, a_thread_may_detach_itself);
}

static void add_end(Suite *suite)
{
	TCase *tcase = stage_case(suite, "end");

	tcase_add_test(tcase, the_task_stops_its_threads_and_waits);
	tcase_add_test(tcase, the_task_with_a_thread_of_its_own_does_as_well);
	tcase_add_test(tcase, a_detached_thread_is_waited_for_as_well);
	tcase_add_test(tcase, an_action_may_tell_a_thread_to_end);
	tcase_add_test(tcase, threads_of_threads_are_the_tasks);
	tcase_add_test(tcase, nothing_is_released_while_a_thread_runs);
	tcase_add_test(tcase, a_thread_inside_a_task_below_is_stopped);
	tcase_add_test(tcase, kill_stops_the_threads_of_a_task);
	tcase = stage_case(suite, "own end");
	tcase_add_test(tcase, a_thread_may_end_its_task);
	tcase_add_test(tcase, the_last_thread_of_a_task_releases_it);
	tcase_add_test(tcase, exit_in_a_thread_ends_the_task);
}

static void add_many(Suite *suite)
{
	TCase *tcase = stage_case(suite, "shared");

	tcase_add_test(tcase, what_one_thread_acquires_another_may_give_back);
	tcase_add_test(tcase, what_a_thread_acquired_outlives_it);
	tcase_add_test(tcase,
		       a_plain_thread_gives_back_what_the_program_acquired);
	tcase = stage_case(suite, "many");
	tcase_add_test(tcase, many_threads_share_a_task);
	tcase_add_test(tcase, threads_may_end_at_any_time);
}

static void fill(Suite *suite)
{
	add_single(suite);
	add_end(suite);
	add_many(suite);
}

int main(void)
{
	return stage_run("pthread", fill);
}
