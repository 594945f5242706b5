/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory: each allocation of each function of reclaim/ is made to fail
 * in turn, over and over while the tables grow.  Where the function fails it
 * says so and nothing has changed; and whatever gives things back needs no
 * memory at all.
 *
 * The linker puts this file between the library and libc (-Wl,--wrap=NAME for
 * each of oom_calls in Makefile.am).  Everything that a thread calls fails,
 * while it is armed: Check as well, so nothing is asserted then.
 */
#include "config.h"

#include "tests/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reclaim/arena_private.h"
#include "reclaim/message.h"
#include "reclaim/place_private.h"

/* Enough for every table to grow several times. */
#define TIMES 400

/* ---- what fails, and when ---- */

static __thread unsigned countdown; /* 1: the next call; 0: none */
static __thread bool always;
static __thread unsigned failures;

static bool fails(int error)
{
	if (!always && (countdown == 0 || --countdown > 0))
		return false;
	failures++;
	errno = error;
	return true;
}

#define WRAP(type, name, parameters, arguments, error, failure) \
	type __real_##name parameters;                          \
	type __wrap_##name parameters;                          \
	type __wrap_##name parameters                           \
	{                                                       \
		if (fails(error))                               \
			return failure;                         \
		return __real_##name arguments;                 \
	}

WRAP(void *, malloc, (size_t n), (n), ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), ENOMEM, NULL)
WRAP(int, posix_memalign, (void **p, size_t a, size_t n), (p, a, n), ENOMEM,
     ENOMEM)
WRAP(void *, aligned_alloc, (size_t a, size_t n), (a, n), ENOMEM, NULL)
WRAP(struct chunk *, chunk_get, (unsigned order), (order), ENOMEM, NULL)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *),
      void *arg),
     (thread, attr, run, arg), EAGAIN, EAGAIN)
WRAP(int, pthread_setspecific, (pthread_key_t key, const void *value),
     (key, value), ENOMEM, ENOMEM)
WRAP(int, pthread_attr_init, (pthread_attr_t * attr), (attr), ENOMEM, ENOMEM)
WRAP(FILE *, open_memstream, (char **text, size_t *size), (text, size), ENOMEM,
     NULL)

/* ---- each in turn ---- */

static reclaim_tid task;

static void enter_task(void)
{
	task = task_called("task");
	work_for(task);
}

static void end_task_with_nothing(void)
{
	always = true;
	reclaim_leave();
	reclaim_end(task, 0);
	always = false;
}

static struct reclaim_task_info here(void)
{
	struct reclaim_task_info found;

	ck_works(reclaim_task_info(reclaim_self(), &found));
	return found;
}

static void expect_same(const struct reclaim_task_info *then)
{
	struct reclaim_task_info now = here();

	ck_assert_uint_eq(now.tid, then->tid);
	ck_assert_uint_eq(now.bytes, then->bytes);
	ck_assert_uint_eq(now.peak_bytes, then->peak_bytes);
	ck_assert_uint_eq(now.blocks, then->blocks);
	ck_assert_uint_eq(now.handles, then->handles);
	ck_assert_uint_eq(now.actions, then->actions);
	ck_assert_uint_eq(now.children, then->children);
}

/* act() returns 0, or -1 with errno ENOMEM or `error`. */
static unsigned fail_each_once(int (*act)(void), int error)
{
	struct reclaim_task_info then;
	unsigned n, failed;
	int result, its_errno;

	for (n = 1;; n++) {
		then = here();
		failures = 0;
		countdown = n;
		result = act();
		its_errno = errno;
		countdown = 0;
		failed = failures;
		if (!failed)
			break;
		if (result == 0)
			continue; /* it did without */
		ck_assert_msg(its_errno == ENOMEM || its_errno == error,
			      "errno is %d", its_errno);
		expect_same(&then);
	}
	ck_assert_int_eq(result, 0);
	return n - 1;
}

static unsigned fail_many(int (*act)(void), int error)
{
	unsigned calls = 0;
	int i;

	for (i = 0; i < TIMES; i++)
		calls += fail_each_once(act, error);
	return calls;
}

static void fail_each(int (*act)(void), int error)
{
	ck_assert_uint_gt(fail_many(act, error), 0);
}

/* ---- tasks and threads ---- */

static int make_task(void)
{
	return reclaim_task_new(NULL) ? 0 : -1;
}

START_TEST(reclaim_task_new_fails_whole)
{
	fail_each(make_task, ENOMEM);
}
END_TEST

static int return_7(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	return 7;
}

static reclaim_tid last_spawned;

static int spawn(void)
{
	char *argv[] = {(char *)"one", (char *)"two", NULL};

	last_spawned = reclaim_spawn(NULL, return_7, argv);
	return last_spawned ? 0 : -1;
}

START_TEST(reclaim_spawn_fails_whole)
{
	int i, status;

	for (i = 0; i < TIMES / 4; i++) {
		ck_assert_uint_gt(fail_each_once(spawn, EAGAIN), 0);
		ck_works(reclaim_wait(last_spawned, &status, -1));
		ck_assert_int_eq(status, 7);
	}
}
END_TEST

static void *do_nothing(void *arg)
{
	return arg;
}

static int make_worker(void)
{
	pthread_t thread;
	int error = save_pthread_create(&thread, NULL, do_nothing, NULL);

	if (error) {
		errno = error;
		return -1;
	}
	return save_pthread_join(thread, NULL);
}

START_TEST(save_pthread_create_fails_whole)
{
	int i;

	for (i = 0; i < TIMES / 4; i++)
		ck_assert_uint_gt(fail_each_once(make_worker, EAGAIN), 0);
}
END_TEST

static int enter_errno;

/* A thread is watched from its first enter on. */
static void *enter_first(void *arg)
{
	countdown = 1;
	enter_errno = reclaim_enter(task) == 0 ? 0 : errno;
	countdown = 0;
	if (reclaim_leave() == 0 || errno != EPERM ||
	    reclaim_enter(task) != 0 || reclaim_leave() != 0)
		enter_errno = 0;
	return arg;
}

START_TEST(reclaim_enter_fails_whole)
{
	pthread_t thread;

	work_no_longer();
	ck_works(pthread_create(&thread, NULL, enter_first, NULL));
	ck_works(pthread_join(thread, NULL));
	ck_assert_int_eq(enter_errno, ENOMEM);
	work_for(task);
}
END_TEST

/* ---- ledgers ---- */

static unsigned released;

static void count_release(void *arg)
{
	(void)arg;
	released++;
}

static const struct reclaim_kind kind = {.name = "thing",
					 .release = count_release};

static int defer(void)
{
	return reclaim_defer(count_release, NULL, NULL);
}

static int track(void)
{
	return reclaim_track(&kind, NULL, NULL);
}

static void expect_released(unsigned number)
{
	released = 0;
	end_task_with_nothing();
	ck_assert_uint_eq(released, number);
	enter_task();
}

START_TEST(reclaim_defer_and_track_fail_whole)
{
	fail_each(defer, ENOMEM);
	fail_each(track, ENOMEM);
	ck_assert_uint_eq(deferred(), TIMES);
	expect_released(2 * TIMES);
}
END_TEST

static int open_one(void)
{
	return save_open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0;
}

START_TEST(a_descriptor_fails_whole)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	fail_each(open_one, ENOMEM);
	end_task_with_nothing();
	close(fd);
	enter_task();
}
END_TEST

static const struct reclaim_task_opts one_handle = {.max_handles = 1};

static void fill_up(void)
{
	ck_works(track());
	ck_fails(track(), -1, EMFILE);
	ck_fails(open_one(), -1, EMFILE);
	ck_works(defer());
}

START_TEST(a_limit_is_no_lack_of_memory)
{
	in_task_with(&one_handle, fill_up);
}
END_TEST

/* ---- memory ---- */

/* Of many sizes, and so much that memory has to be got for it. */
static size_t next_size;

static size_t a_size(void)
{
	return next_size = (next_size + 701) % 5000;
}

static int check_block(void *block)
{
	if (!block)
		return -1;
	memset(block, 'b', next_size);
	return 0;
}

static int allocate(void)
{
	return check_block(save_malloc(a_size()));
}

static int allocate_zeros(void)
{
	return check_block(save_calloc(1, a_size()));
}

static int allocate_aligned(void)
{
	return check_block(save_aligned_alloc(64, a_size()));
}

static int allocate_text(void)
{
	static char text[3000];

	memset(text, 't', sizeof(text) - 1);
	return save_strdup(text) ? 0 : -1;
}

static int allocate_by_address(void)
{
	void *block = &block, *before = block;
	int error = save_posix_memalign(&block, 64, a_size());

	if (!error)
		return 0;
	if (block != before)
		abort();
	errno = error;
	return -1;
}

START_TEST(allocation_fails_whole)
{
	fail_each(allocate, ENOMEM);
	fail_each(allocate_zeros, ENOMEM);
	fail_each(allocate_aligned, ENOMEM);
	fail_each(allocate_text, ENOMEM);
	fail_each(allocate_by_address, ENOMEM);
}
END_TEST

static char *grown;
static size_t grown_size;

static int grow(void)
{
	char *moved = save_realloc(grown, grown_size + 50);
	size_t i;

	if (!moved)
		return -1;
	for (i = 0; i < grown_size; i++)
		if (moved[i] != 'g')
			abort();
	grown = moved;
	grown_size += 50;
	memset(grown, 'g', grown_size);
	return 0;
}

START_TEST(save_realloc_fails_whole)
{
	grown = NULL;
	grown_size = 0;
	fail_each(grow, ENOMEM);
	ck_assert_uint_eq(here().blocks, 1);
}
END_TEST

/* Called from here, they are those that fail. */
static void *my_malloc(size_t size)
{
	return malloc(size);
}

static void *my_calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

static void *my_realloc(void *ptr, size_t size)
{
	return realloc(ptr, size);
}

static int allocate_by_caller(void)
{
	return check_block(save_malloc2(next_size, my_malloc));
}

static int allocate_zeros_by_caller(void)
{
	return check_block(save_calloc2(1, next_size, my_calloc));
}

static int grow_by_caller(void)
{
	char *moved = save_realloc2(grown, grown_size + 10, my_realloc);

	if (!moved)
		return -1;
	grown = moved;
	grown_size += 10;
	memset(grown, 'g', grown_size);
	return 0;
}

START_TEST(allocation_by_the_caller_fails_whole)
{
	grown = NULL;
	grown_size = 0;
	fail_each(allocate_by_caller, ENOMEM);
	fail_each(allocate_zeros_by_caller, ENOMEM);
	fail_each(grow_by_caller, ENOMEM);
}
END_TEST

/* ---- messages and binaries ---- */

/*
 * What there is for messages stays with the process, so that a test may find
 * enough of it where others were before.
 */
static void fail_each_that_calls(int (*act)(void))
{
	fail_many(act, ENOMEM);
}

/* To a task that nobody has sent to yet; some of them stay. */
static int to_a_new_task(int (*act)(reclaim_tid to), bool stays)
{
	unsigned then = countdown;
	reclaim_tid to;
	int result, error;

	countdown = 0;
	to = task_called("receiver");
	countdown = then;
	result = act(to);
	error = errno;
	then = countdown;
	countdown = 0;
	if (result != 0 || !stays)
		end_task(to);
	countdown = then;
	errno = error;
	return result;
}

static int send_bytes(reclaim_tid to)
{
	static char bytes[5000];

	return reclaim_send(to, bytes, a_size());
}

static int send_first(void)
{
	return to_a_new_task(send_bytes, next_size % 3);
}

static struct reclaim_bin *binary;

static int send_binary(reclaim_tid to)
{
	a_size();
	return reclaim_send_bin(to, binary);
}

static int send_binary_first(void)
{
	return to_a_new_task(send_binary, false);
}

static int receive_nothing(reclaim_tid to)
{
	int found, error;

	if (reclaim_enter(to) != 0)
		return -1;
	found = reclaim_receive(&msg, 0);
	error = errno;
	reclaim_leave();
	errno = error;
	return found;
}

static int receive_first(void)
{
	return to_a_new_task(receive_nothing, true);
}

static unsigned successes;

static int send_to_self(void)
{
	int result = send_bytes(task);

	successes += result == 0;
	return result;
}

START_TEST(sending_fails_whole)
{
	binary = reclaim_bin_new("binary", 7);
	fail_each(send_first, ENOMEM);
	fail_each_that_calls(send_binary_first);
	successes = 0;
	fail_each_that_calls(send_to_self);
	ck_assert_uint_eq(reclaim_msgq_len(), successes);
}
END_TEST

START_TEST(the_first_receive_fails_whole)
{
	fail_each_that_calls(receive_first);
}
END_TEST

static int make_binary(void)
{
	return reclaim_bin_new(NULL, a_size()) ? 0 : -1;
}

static int slice_binary(void)
{
	return reclaim_bin_slice(binary, 1, 2) ? 0 : -1;
}

static struct reclaim_msg in_hand;
static bool held_on;

/* What could not be kept is there, and goes by itself. */
static int keep_received(void)
{
	held_on = held_on || reclaim_msg_keep(&in_hand);
	return held_on ? 0 : -1;
}

static int retain_received(void)
{
	held_on = held_on || reclaim_bin_retain(in_hand.bin);
	return held_on ? 0 : -1;
}

static void have_in_hand(void)
{
	ck_assert_int_eq(reclaim_receive(&in_hand, 0), 1);
	held_on = false;
}

START_TEST(binaries_fail_whole)
{
	unsigned before;
	int i;

	binary = reclaim_bin_new("binary", 7);
	fail_each_that_calls(make_binary);
	fail_each_that_calls(slice_binary);
	before = held();
	for (i = 0; i < TIMES; i++) {
		ck_works(reclaim_send_bin(task, binary));
		have_in_hand();
		fail_each_once(i % 2 ? retain_received : keep_received, ENOMEM);
		ck_assert_str_eq(reclaim_bin_data(in_hand.bin), "binary");
	}
	ck_assert_uint_eq(held(), before + TIMES);
}
END_TEST

START_TEST(keeping_fails_whole)
{
	char text[2000] = "kept";
	int i;

	for (i = 0; i < TIMES; i++) {
		ck_works(reclaim_send(task, text, sizeof(text)));
		have_in_hand();
		fail_each_once(keep_received, ENOMEM);
		ck_assert_str_eq(in_hand.data, "kept");
	}
	ck_assert_uint_eq(here().blocks, TIMES);
}
END_TEST

/* Nor does what takes a message out of a queue, or gives a reference back. */
START_TEST(receiving_needs_no_memory)
{
	struct reclaim_bin *made = reclaim_bin_new("made", 5);
	uint64_t mark;
	bool works;

	ck_works(reclaim_send(task, "one", 4));
	ck_works(reclaim_send(task, "two", 4));
	ck_works(reclaim_send_bin(task, made));
	always = true;
	failures = 0;
	mark = reclaim_msgq_mark();
	works = reclaim_receive(&msg, 0) == 1 && reclaim_msgq_drop() == 0 &&
		reclaim_msgq_restore(mark) == 0 && reclaim_msgq_reset() == 0 &&
		reclaim_receive(&msg, -1) == 1 &&
		reclaim_bin_retain(made) == made &&
		reclaim_bin_release(made) == 0 &&
		reclaim_bin_release(made) == 0 && reclaim_receive(&msg, 1) == 0;
	always = false;
	ck_assert(works);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* ---- tasks that talk ---- */

/* What a call may have left half done. */
struct bonds_seen {
	int monitors, watchers, links;
	size_t messages;
	bool timers;
};

static struct bonds_seen see_bonds(void)
{
	return (struct bonds_seen){
		.monitors = reclaim_monitors(task, NULL, 0),
		.watchers = reclaim_monitored_by(task, NULL, 0),
		.links = reclaim_links(task, NULL, 0),
		.messages = reclaim_msgq_len(),
		.timers = reclaim_timer_closest() != UINT64_MAX,
	};
}

/* Nothing of what was seen changes by a call that fails. */
static void expect_same_bonds(const struct bonds_seen *then)
{
	struct bonds_seen now = see_bonds();

	ck_assert_int_eq(now.monitors, then->monitors);
	ck_assert_int_eq(now.watchers, then->watchers);
	ck_assert_int_eq(now.links, then->links);
	ck_assert_uint_eq(now.messages, then->messages);
	ck_assert(now.timers == then->timers);
}

static reclaim_tid peer;
static uint64_t made;
static char peers_name[32];

/* act() fails at its first, second... allocation; its peer is new each time. */
static unsigned bond_each_once(int (*act)(void), int error)
{
	struct bonds_seen then;
	unsigned n, failed;
	int result, its_errno;

	for (n = 1;; n++) {
		peer = task_called("peer");
		then = see_bonds();
		failures = 0;
		errno = ESRCH; /* of whatever was before */
		countdown = n;
		result = act();
		its_errno = errno;
		countdown = 0;
		failed = failures;
		if (!failed)
			break;
		if (result == 0) { /* it did without */
			end_task(peer);
			while (reclaim_receive(&msg, 0) == 1)
				;
			continue;
		}
		ck_assert_msg(its_errno == ENOMEM || its_errno == error,
			      "errno is %d", its_errno);
		expect_same_bonds(&then);
		ck_assert_int_eq(reclaim_monitored_by(peer, NULL, 0), 0);
		ck_assert_int_eq(reclaim_links(peer, NULL, 0), 0);
		ck_assert_int_eq(reclaim_timer_cancel_by_receiver(peer), 0);
		end_task(peer);
	}
	ck_assert_int_eq(result, 0);
	return n - 1;
}

static int monitor_peer(void)
{
	made = reclaim_monitor(peer);
	return made ? 0 : -1;
}

static void hear_of_peer(int type, int status)
{
	ck_assert_int_eq(reclaim_receive(&msg, LONG_MS), 1);
	ck_assert_int_eq(msg.type, type);
	ck_assert_uint_eq(msg.from, peer);
	ck_assert_int_eq(msg.status, status);
}

START_TEST(reclaim_monitor_fails_whole)
{
	unsigned i, calls = 0;

	for (i = 0; i < TIMES; i++) {
		calls += bond_each_once(monitor_peer, ENOMEM);
		ck_assert_int_eq(reclaim_monitors(task, NULL, 0), 1);
		ck_works(reclaim_end(peer, 5));
		hear_of_peer(RECLAIM_MSG_DOWN, 5);
		ck_assert_uint_eq(msg.ref, made);
	}
	ck_assert_uint_gt(calls, 0);
}
END_TEST

static int monitor_nobody(void)
{
	made = reclaim_monitor(1);
	return made ? 0 : -1;
}

START_TEST(reclaim_monitor_of_nobody_fails_whole)
{
	bond_each_once(monitor_nobody, ENOMEM);
	end_task(peer);
	peer = 1;
	hear_of_peer(RECLAIM_MSG_DOWN, RECLAIM_NOPROC);
}
END_TEST

static int link_peer(void)
{
	return reclaim_link(peer);
}

START_TEST(reclaim_link_fails_whole)
{
	unsigned i, calls = 0;

	reclaim_trap_exit(1);
	for (i = 0; i < TIMES; i++) {
		calls += bond_each_once(link_peer, ENOMEM);
		ck_assert_int_eq(reclaim_links(task, NULL, 0), 1);
		ck_assert_int_eq(reclaim_links(peer, NULL, 0), 1);
		ck_works(reclaim_end(peer, 5));
		hear_of_peer(RECLAIM_MSG_EXIT, 5);
	}
	ck_assert_uint_gt(calls, 0);
}
END_TEST

static int link_nobody(void)
{
	return reclaim_link(1);
}

START_TEST(reclaim_link_to_nobody_fails_whole)
{
	reclaim_trap_exit(1);
	bond_each_once(link_nobody, ENOMEM);
	end_task(peer);
	peer = 1;
	hear_of_peer(RECLAIM_MSG_EXIT, RECLAIM_NOPROC);
}
END_TEST

static int register_peer(void)
{
	return reclaim_register(peers_name, peer);
}

START_TEST(reclaim_register_fails_whole)
{
	reclaim_tid named[TIMES];
	unsigned i, calls = 0;

	for (i = 0; i < TIMES; i++) {
		snprintf(peers_name, sizeof(peers_name), "peer-%u", i);
		ck_fails(reclaim_whereis(peers_name), 0, ENOENT);
		calls += bond_each_once(register_peer, ENOMEM);
		ck_assert_uint_eq(reclaim_whereis(peers_name), peer);
		named[i] = peer;
	}
	ck_assert_uint_gt(calls, 0);
	for (i = 0; i < TIMES; i++)
		end_task(named[i]);
	ck_fails(reclaim_whereis(peers_name), 0, ENOENT);
}
END_TEST

static int set_timer(void)
{
	made = reclaim_timer_add(UINT64_MAX, peer, "tick", 5, 1);
	return made ? 0 : -1;
}

START_TEST(reclaim_timer_add_fails_whole)
{
	reclaim_tid timed[TIMES];
	unsigned i, calls = 0;

	for (i = 0; i < TIMES; i++) {
		calls += bond_each_once(set_timer, EAGAIN);
		ck_works(reclaim_timer_read(made, NULL));
		timed[i] = peer;
	}
	ck_assert_uint_gt(calls, 0);
	for (i = 0; i < TIMES; i++)
		end_task(timed[i]);
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
}
END_TEST

/* However many are to be told, and may end by it. */
START_TEST(telling_needs_no_memory)
{
	reclaim_tid tids[TIMES];
	int i;

	for (i = 0; i < TIMES; i++) {
		tids[i] = task_called("bound");
		link_from(tids[i], task);
		monitor(tids[i]);
		ck_assert(reclaim_timer_add(UINT64_MAX, tids[i], "", 1, 1));
		snprintf(peers_name, sizeof(peers_name), "peer-%d", i);
		ck_works(reclaim_register(peers_name, tids[i]));
		if (i)
			link_from(tids[i], tids[i - 1]);
	}
	reclaim_trap_exit(1);
	always = true;
	failures = 0;
	reclaim_end(tids[0], 5);
	always = false;
	ck_assert_uint_eq(failures, 0);
	ck_assert_uint_eq(reclaim_msgq_len(), 2 * TIMES);
	ck_assert_uint_eq(reclaim_timer_closest(), UINT64_MAX);
}
END_TEST

/* ---- reports ---- */

static FILE *nowhere;

static int report(void)
{
	return reclaim_report(reclaim_self(), nowhere);
}

/* What is opened to describe places stays open: before the fixture looks. */
static void describe_a_place(void)
{
	char words[100];

	place_describe(__builtin_return_address(0), words, sizeof(words));
}

/* The tally by places is what it can do without. */
START_TEST(reclaim_report_fails_whole)
{
	bool kept = place_kept;
	int i;

	nowhere = fopen("/dev/null", "we");
	place_kept = true;
	for (i = 0; i < 20; i++) {
		ck_works(defer());
		ck_works(allocate());
		ck_works(allocate_zeros());
		ck_works(allocate_text());
		ck_assert_uint_gt(fail_each_once(report, ENOMEM), 0);
	}
	place_kept = kept;
	fclose(nowhere);
}
END_TEST

START_TEST(what_is_wrong_can_be_told)
{
	reclaim_tid other;
	void *block;

	block = save_malloc(10);
	work_no_longer();
	other = task_called("stranger");
	work_for(other);
	always = true;
	save_free(block);
	always = false;
	work_no_longer();
	end_task(other);
	work_for(task);
	ck_assert_uint_eq(reports(), 1);
}
END_TEST

/* ---- giving back needs none ---- */

static void hold_many(void)
{
	int i;

	for (i = 0; i < TIMES; i++) {
		ck_works(defer());
		ck_works(track());
		ck_works(allocate());
		ck_works(allocate_by_caller());
		ck_works(make_task());
	}
	ck_works(open_one());
}

START_TEST(the_end_needs_no_memory)
{
	hold_many();
	expect_released(2 * TIMES);
}
END_TEST

START_TEST(no_release_needs_memory)
{
	reclaim_mark mark = reclaim_mark_here();
	reclaim_tid child = reclaim_task_new(NULL);
	reclaim_token token;
	void *block = save_malloc(10);
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	bool works;

	ck_works(defer());
	ck_works(reclaim_defer(count_release, NULL, &token));
	always = true;
	failures = 0;
	save_free(block);
	works = reclaim_undefer(token, 1) == 0 &&
		reclaim_give_fd(fd, child) == 0 &&
		reclaim_release_to(mark) == 0 && reclaim_enter(child) == 0 &&
		reclaim_leave() == 0 && reclaim_wait(child, NULL, 0) == -1 &&
		errno == ETIMEDOUT && reclaim_kill(child) == 0;
	always = false;
	ck_assert(works);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

static TCase *oom_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, enter_task, end_task_with_nothing);
	return tcase;
}

static void fill(Suite *suite)
{
	TCase *tcase = oom_case(suite, "tasks and threads");

	tcase_add_test(tcase, reclaim_task_new_fails_whole);
	tcase_add_test(tcase, reclaim_spawn_fails_whole);
	tcase_add_test(tcase, save_pthread_create_fails_whole);
	tcase_add_test(tcase, reclaim_enter_fails_whole);

	tcase = oom_case(suite, "ledgers");
	tcase_add_test(tcase, reclaim_defer_and_track_fail_whole);
	tcase_add_test(tcase, a_descriptor_fails_whole);
	tcase_add_test(tcase, a_limit_is_no_lack_of_memory);

	tcase = oom_case(suite, "memory");
	tcase_add_test(tcase, allocation_fails_whole);
	tcase_add_test(tcase, save_realloc_fails_whole);
	tcase_add_test(tcase, allocation_by_the_caller_fails_whole);

	tcase = oom_case(suite, "messages and binaries");
	tcase_add_test(tcase, sending_fails_whole);
	tcase_add_test(tcase, the_first_receive_fails_whole);
	tcase_add_test(tcase, binaries_fail_whole);
	tcase_add_test(tcase, keeping_fails_whole);
	tcase_add_test(tcase, receiving_needs_no_memory);
	tcase = oom_case(suite, "talk");
	tcase_add_test(tcase, reclaim_monitor_fails_whole);
	tcase_add_test(tcase, reclaim_monitor_of_nobody_fails_whole);
	tcase_add_test(tcase, reclaim_link_fails_whole);
	tcase_add_test(tcase, reclaim_link_to_nobody_fails_whole);
	tcase_add_test(tcase, reclaim_register_fails_whole);
	tcase_add_test(tcase, reclaim_timer_add_fails_whole);
	tcase_add_test(tcase, telling_needs_no_memory);

	tcase = oom_case(suite, "reports");
	tcase_add_unchecked_fixture(tcase, describe_a_place, NULL);
	tcase_add_test(tcase, reclaim_report_fails_whole);
	tcase_add_test(tcase, what_is_wrong_can_be_told);

	tcase = oom_case(suite, "giving back");
	tcase_add_test(tcase, the_end_needs_no_memory);
	tcase_add_test(tcase, no_release_needs_memory);
}

int main(void)
{
	return stage_run("oom", fill);
}
