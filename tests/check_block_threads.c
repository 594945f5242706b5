/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that use one block at once.  Each knows what it has, and that nobody
 * else writes there; what one allocated another may free.  Whoever looks in
 * between sees a block that is whole, and so does a forked child.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/area.h"

#define STEPS		  40000 /* of each worker */
#define STEPS_SANITIZED	  8000
#define STEPS_IN_VALGRIND 600
#define FORKS		  20

#define WORKERS 4
#define HELD	200 /* by each worker, at most */
#define SHELF	64  /* on their way to another */
#define SIZE	((size_t)1 << 20)

/* ---- who has what ---- */

struct held {
	char *at;
	size_t size;
	char mark;
};

struct worker {
	pthread_t thread;
	uint64_t state;
	struct held held[HELD];
	size_t count;
};

static struct area area;
static struct block *block;
static struct worker workers[WORKERS];
static unsigned long steps;
static atomic_bool stop;
static atomic_uint working;

static struct {
	pthread_mutex_t mutex;
	struct held held[SHELF];
	size_t count;
} shelf = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t roll(struct worker *worker, size_t sides)
{
	return fixture_random(&worker->state) % sides;
}

/* ---- what a worker does ---- */

static size_t any_size(struct worker *worker)
{
	return roll(worker, (size_t)1 << roll(worker, 15));
}

static void paint(struct worker *worker, struct held *held)
{
	held->mark = (char)roll(worker, 256);
	memset(held->at, held->mark, held->size);
}

static void expect_painted(const struct held *held, size_t size)
{
	must(all_bytes_are(held->at, held->mark, size));
}

static char *call_alloc(struct worker *worker, size_t size)
{
	size_t align = (size_t)1 << roll(worker, 10);
	char *ptr;

	switch (roll(worker, 8)) {
	case 0:
		ptr = block_calloc(block, size);
		must(!ptr || all_bytes_are(ptr, 0, size));
		return ptr;
	case 1:
		ptr = block_alloc(block, size, align);
		must((uintptr_t)ptr % align == 0);
		return ptr;
	default:
		return block_alloc(block, size, GRANULE);
	}
}

static void allocate(struct worker *worker)
{
	struct held held = {.size = any_size(worker)};

	if (worker->count == HELD)
		return;
	held.at = call_alloc(worker, held.size);
	if (!held.at) {
		must(errno == ENOMEM);
		return;
	}
	must(block_size(block, held.at) >= held.size);
	paint(worker, &held);
	worker->held[worker->count++] = held;
}

static bool take_any(struct worker *worker, struct held *held)
{
	size_t i;

	if (worker->count == 0)
		return false;
	i = roll(worker, worker->count);
	*held = worker->held[i];
	worker->held[i] = worker->held[--worker->count];
	return true;
}

static void give_back(const struct held *held)
{
	expect_painted(held, held->size);
	must(block_find(block, held->at) == BLOCK_ALLOCATED);
	must(!held->size || block_free(block, held->at + 1) == BLOCK_INSIDE);
	must(block_free(block, held->at) == BLOCK_ALLOCATED);
}

static void release(struct worker *worker)
{
	struct held held;

	if (take_any(worker, &held))
		give_back(&held);
}

static void resize(struct worker *worker)
{
	size_t size = any_size(worker), kept;
	struct held held;

	if (!take_any(worker, &held))
		return;
	if (block_resize(block, held.at, size)) {
		kept = size < held.size ? size : held.size;
		expect_painted(&held, kept);
		held.size = size;
		must(block_size(block, held.at) >= size);
		paint(worker, &held);
	} else {
		must(size > held.size);
		expect_painted(&held, held.size);
	}
	worker->held[worker->count++] = held;
}

static void hand_over(struct worker *worker)
{
	struct held held;

	pthread_mutex_lock(&shelf.mutex);
	if (shelf.count < SHELF && take_any(worker, &held))
		shelf.held[shelf.count++] = held;
	pthread_mutex_unlock(&shelf.mutex);
}

static void take_over(struct worker *worker)
{
	pthread_mutex_lock(&shelf.mutex);
	if (shelf.count && worker->count < HELD)
		worker->held[worker->count++] = shelf.held[--shelf.count];
	pthread_mutex_unlock(&shelf.mutex);
}

static void step(struct worker *worker)
{
	size_t kind = roll(worker, 20);

	if (kind < 8)
		allocate(worker);
	else if (kind < 14)
		release(worker);
	else if (kind < 18)
		resize(worker);
	else if (kind < 19)
		hand_over(worker);
	else
		take_over(worker);
}

static void *work(void *arg)
{
	unsigned long i;

	for (i = 0; i < steps && !atomic_load(&stop); i++)
		step(arg);
	atomic_fetch_sub(&working, 1);
	return NULL;
}

/* ---- what anybody may see ---- */

struct seen {
	char *end; /* of the latest */
	bool hole;
	size_t blocks, holes;
};

static void see(char *at, size_t bytes, bool hole, void *arg)
{
	struct seen *seen = arg;

	must(at == seen->end || !seen->end);
	must(bytes > 0 && bytes % GRANULE == 0);
	must(!hole || !seen->hole);
	seen->end = at + bytes;
	seen->hole = hole;
	seen->holes += hole;
	seen->blocks += !hole;
}

static void expect_whole(void)
{
	struct seen seen = {.end = NULL};
	struct block_figures now;

	block_each(block, &(struct block_figures){0}, see, &seen);
	must(seen.end > area.at && seen.end <= area.at + area.size);
	block_figures(block, &now);
	must(now.allocated + now.free + now.kept == now.total);
	must(now.peak >= now.allocated);
	must(now.longest <= now.free);
}

/* While nobody changes it. */
static void expect_exact(size_t allocated, size_t blocks)
{
	struct seen seen = {.end = NULL};
	struct block_figures now;

	block_each(block, &(struct block_figures){0}, see, &seen);
	block_figures(block, &now);
	ck_assert_uint_eq(now.blocks, seen.blocks);
	ck_assert_uint_eq(now.holes, seen.holes);
	ck_assert_uint_eq(now.blocks, blocks);
	ck_assert_uint_eq(now.allocated, allocated);
}

static size_t room_of(const struct held *held, size_t count)
{
	size_t i, room = 0;

	for (i = 0; i < count; i++)
		room += room_for(block, held[i].size);
	return room;
}

static void expect_all_known(void)
{
	size_t room = room_of(shelf.held, shelf.count), i;
	size_t count = shelf.count;

	for (i = 0; i < WORKERS; i++) {
		room += room_of(workers[i].held, workers[i].count);
		count += workers[i].count;
	}
	expect_exact(room, count);
}

/* ---- a run ---- */

static unsigned long steps_here(void)
{
	if (under_valgrind())
		return STEPS_IN_VALGRIND;
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
	return STEPS_SANITIZED;
#else
	return STEPS;
#endif
}

static void begin(enum block_policy policy)
{
	uint64_t state = fixture_seed();
	size_t i;

	memset(workers, 0, sizeof(workers));
	shelf.count = 0;
	area_make(&area, SIZE, 0);
	block = area_block(&area, policy, true);
	for (i = 0; i < WORKERS; i++)
		workers[i].state = fixture_random(&state);
}

static void start(unsigned long how_many)
{
	size_t i;

	steps = how_many;
	atomic_store(&stop, false);
	atomic_store(&working, WORKERS);
	for (i = 0; i < WORKERS; i++)
		must(pthread_create(&workers[i].thread, NULL, work,
				    &workers[i]) == 0);
}

static void join(void)
{
	size_t i;

	for (i = 0; i < WORKERS; i++)
		must(pthread_join(workers[i].thread, NULL) == 0);
}

/* Who frees it is not who allocated it. */
static void end(void)
{
	struct block_figures now;
	size_t i;

	for (i = 0; i < WORKERS; i++)
		while (workers[i].count)
			release(&workers[i]);
	while (shelf.count)
		give_back(&shelf.held[--shelf.count]);
	expect_exact(0, 0);
	block_figures(block, &now);
	ck_assert_uint_eq(now.holes, 1);
	ck_assert_uint_eq(now.longest, now.free - block->guard);
	block_end(block);
	area_drop(&area);
}

START_TEST(each_has_what_it_allocated)
{
	begin(_i);
	start(steps_here());
	while (atomic_load(&working)) {
		expect_whole();
		sched_yield();
	}
	join();
	expect_all_known();
	end();
}
END_TEST

/* Others come when they are gone, to what they left. */
START_TEST(threads_come_and_go)
{
	int round;

	begin(_i);
	for (round = 0; round < 10; round++) {
		start(steps_here() / 40);
		join();
		expect_all_known();
	}
	end();
}
END_TEST

/* ---- one allocation, and all want to free it ---- */

#define ROUNDS 100

static char *wanted[ROUNDS];
static pthread_barrier_t together;
static atomic_uint freed;

static void *free_all(void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		enum block_found found;

		pthread_barrier_wait(&together);
		found = block_free(block, wanted[i]);
		must(found == BLOCK_ALLOCATED || found == BLOCK_HOLE);
		if (found == BLOCK_ALLOCATED)
			atomic_fetch_add(&freed, 1);
	}
	return NULL;
}

START_TEST(one_alone_can_free_it)
{
	pthread_t threads[WORKERS];
	size_t i;

	begin(_i);
	atomic_store(&freed, 0);
	for (i = 0; i < ROUNDS; i++)
		wanted[i] = block_alloc(block, 100, 1);
	must(pthread_barrier_init(&together, NULL, WORKERS) == 0);
	for (i = 0; i < WORKERS; i++)
		must(pthread_create(&threads[i], NULL, free_all, NULL) == 0);
	for (i = 0; i < WORKERS; i++)
		must(pthread_join(threads[i], NULL) == 0);
	must(pthread_barrier_destroy(&together) == 0);
	ck_assert_uint_eq(atomic_load(&freed), ROUNDS);
	end();
}
END_TEST

/* ---- fork ---- */

/* It cannot know what was under way, and adds to it. */
static _Noreturn void be_child(void)
{
	struct worker *child = &workers[0];
	int i;

	expect_whole();
	child->count = 0;
	for (i = 0; i < 100; i++) {
		allocate(child);
		resize(child);
	}
	expect_whole();
	while (child->count)
		release(child);
	expect_whole();
	block_end(block);
	_exit(0);
}

static void fork_one(void)
{
	int status;
	pid_t pid;

	block_lock(block);
	pid = fork();
	block_unlock(block);
	if (pid == 0)
		be_child();
	must(pid > 0);
	must(waitpid(pid, &status, 0) == pid);
	must(status == 0);
}

START_TEST(a_child_has_a_block_that_is_whole)
{
	int i;

	begin(_i);
	start(ULONG_MAX);
	for (i = 0; i < FORKS; i++)
		fork_one();
	atomic_store(&stop, true);
	join();
	expect_all_known();
	end();
}
END_TEST

START_TEST(a_child_of_the_only_thread_has_it_too)
{
	int i;

	begin(_i);
	for (i = 0; i < 100; i++)
		allocate(&workers[1]);
	for (i = 0; i < 3; i++)
		fork_one();
	expect_all_known();
	end();
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "crowd");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, each_has_what_it_allocated, 0,
			    BLOCK_POLICIES);
	tcase_add_loop_test(tcase, threads_come_and_go, 0, BLOCK_POLICIES);
	tcase_add_loop_test(tcase, one_alone_can_free_it, 0, BLOCK_POLICIES);

	tcase = stage_case(suite, "fork");
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, a_child_has_a_block_that_is_whole, 0,
			    BLOCK_POLICIES);
	tcase_add_loop_test(tcase, a_child_of_the_only_thread_has_it_too, 0,
			    BLOCK_POLICIES);
}

int main(void)
{
	return stage_run("block_threads", fill);
}
