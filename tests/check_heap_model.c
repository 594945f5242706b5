/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random use of a task's memory against a model: what must be live, where,
 * how large, with which contents and whose.
 *
 * An actor allocates, resizes, gives and frees, makes tasks, enters, leaves
 * and ends them.  No new block may touch a live one, contents stay until they
 * are freed, and a task has exactly the blocks that the model says.  One actor
 * alone does this in the root; then a crowd does: workers of one task and tasks
 * with threads of their own, which hand blocks to each other through a queue,
 * so that one frees what another allocated.  Threads come anew in each round,
 * while blocks stay.
 *
 * RECLAIM_TEST_SEED repeats the choices of a run, if not its timing, and
 * RECLAIM_TEST_OPS says how many there are in all.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Where each step is slow there are fewer. */
#define OPS		1000000
#define OPS_SANITIZED	250000
#define OPS_IN_VALGRIND 50000

#define WORKERS	    4
#define ACTORS	    (WORKERS + 2) /* the others are tasks of their own */
#define ROUND_STEPS 2500	  /* of each actor */
#define ALONE_STEPS 5000	  /* between two comparisons */
#define LIVE	    2000	  /* blocks that an actor knows of, at most */
#define TASKS	    8		  /* that an actor has made, at most */
#define DEPTH	    6		  /* of tasks entered by one actor */
#define QUEUE	    256		  /* blocks on their way to another actor */

/*
 * The lock of the model orders what the thread sanitizer should see in
 * disorder; there is no model of places for it.
 */
#ifdef __SANITIZE_THREAD__
#define PLACES_KNOWN false
#else
#define PLACES_KNOWN true
#endif

/* ---- what was found wrong: the first of it, told by the test itself ---- */

static pthread_mutex_t model = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool failed;
static char failure[200];

__attribute__((format(printf, 1, 2))) static void accuse(const char *format,
							 ...)
{
	va_list args;

	pthread_mutex_lock(&model);
	if (!atomic_load(&failed)) {
		va_start(args, format);
		vsnprintf(failure, sizeof(failure), format, args);
		va_end(args);
		atomic_store(&failed, true);
	}
	pthread_mutex_unlock(&model);
}

/* The model's own memory is never that of a task. */
static void *make(size_t size)
{
	void *made = calloc(1, size);

	if (!made)
		abort();
	return made;
}

/* ---- owners: tasks, as the model sees them ---- */

struct owner {
	struct owner *parent;
	reclaim_tid tid;
	bool lasting;	  /* until all is over: others may have its blocks */
	unsigned entered; /* by the actor that made it */
	size_t blocks_before;
	atomic_size_t blocks, bytes; /* that were asked for */
};

static struct owner *owner_of(reclaim_tid tid, struct owner *parent)
{
	struct owner *owner = make(sizeof(*owner));
	struct reclaim_task_info info = {.blocks = 0};

	if (reclaim_task_info(tid, &info) != 0)
		accuse("a task that was made is not there");
	owner->parent = parent;
	owner->tid = tid;
	owner->blocks_before = info.blocks;
	return owner;
}

static bool is_below(const struct owner *owner, const struct owner *top)
{
	while (owner && owner != top)
		owner = owner->parent;
	return owner;
}

static bool are_kin(const struct owner *a, const struct owner *b)
{
	return is_below(a, b) || is_below(b, a);
}

/* While nobody else changes what it has. */
static void compare(const struct owner *owner)
{
	size_t blocks = owner->blocks_before + atomic_load(&owner->blocks);
	size_t bytes = atomic_load(&owner->bytes);
	struct reclaim_task_info info;

	if (reclaim_task_info(owner->tid, &info) != 0)
		accuse("a task is gone");
	else if (info.blocks != blocks)
		accuse("a task has %zu blocks, not %zu", info.blocks, blocks);
	else if (info.bytes < bytes)
		accuse("a task has %zu bytes, less than %zu", info.bytes,
		       bytes);
	else if (info.peak_bytes < info.bytes)
		accuse("a task's peak of %zu bytes is less than its %zu",
		       info.peak_bytes, info.bytes);
}

/* ---- blocks ---- */

struct block {
	unsigned char *at;
	size_t size;
	uint64_t mark; /* what its contents begin with */
	struct owner *owner;
};

#define WORD sizeof(uint64_t)

static void paint(const struct block *block)
{
	uint64_t word = block->mark;
	size_t i;

	for (i = 0; i + WORD <= block->size; i += WORD, word++)
		memcpy(block->at + i, &word, WORD);
	memcpy(block->at + i, &word, block->size - i);
}

static bool is_painted(const struct block *block, size_t size)
{
	uint64_t word = block->mark;
	size_t i;

	for (i = 0; i + WORD <= size; i += WORD, word++)
		if (memcmp(block->at + i, &word, WORD) != 0)
			return false;
	return memcmp(block->at + i, &word, size - i) == 0;
}

static void expect_painted(const struct block *block, size_t size,
			   const char *when)
{
	if (!is_painted(block, size))
		accuse("%s, %zu bytes of a block of %zu at %p have changed",
		       when, size, block->size, (void *)block->at);
}

static bool is_zero(const struct block *block)
{
	size_t i;

	for (i = 0; i < block->size; i++)
		if (block->at[i])
			return false;
	return true;
}

/* ---- places: a tree of blocks, in which those are equal that touch ---- */

static void *places;

static uintptr_t beyond(const struct block *block)
{
	/* One of no size has a place of its own as well. */
	return (uintptr_t)block->at + (block->size ? block->size : 1);
}

static int by_place(const void *left, const void *right)
{
	const struct block *a = left, *b = right;

	if (beyond(a) <= (uintptr_t)b->at)
		return -1;
	return beyond(b) <= (uintptr_t)a->at;
}

/* A block is where the library said that it is. */
static void place(struct block *block, size_t align)
{
	struct block *there = block, **node;

	if ((uintptr_t)block->at % align)
		accuse("a block of %zu bytes at %p is not aligned to %zu",
		       block->size, (void *)block->at, align);
	if (!PLACES_KNOWN)
		return;
	pthread_mutex_lock(&model);
	node = tsearch(block, &places, by_place);
	if (!node)
		abort();
	there = *node;
	pthread_mutex_unlock(&model);
	if (there != block)
		accuse("a new block of %zu bytes at %p is in one of %zu at %p",
		       block->size, (void *)block->at, there->size,
		       (void *)there->at);
}

/* Before the library has it, who may give its place to another. */
static void displace(struct block *block)
{
	if (!PLACES_KNOWN)
		return;
	pthread_mutex_lock(&model);
	tdelete(block, &places, by_place);
	pthread_mutex_unlock(&model);
}

static void count(struct block *block, struct owner *owner)
{
	block->owner = owner;
	atomic_fetch_add(&owner->blocks, 1);
	atomic_fetch_add(&owner->bytes, block->size);
}

static void uncount(const struct block *block)
{
	atomic_fetch_sub(&block->owner->blocks, 1);
	atomic_fetch_sub(&block->owner->bytes, block->size);
}

/* ---- the queue ---- */

static struct {
	pthread_mutex_t mutex;
	struct block *blocks[QUEUE];
	unsigned first, count;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool queue_put(struct block *block)
{
	bool fits;

	pthread_mutex_lock(&queue.mutex);
	fits = queue.count < QUEUE;
	if (fits)
		queue.blocks[(queue.first + queue.count++) % QUEUE] = block;
	pthread_mutex_unlock(&queue.mutex);
	return fits;
}

/* The first, where `to` may free it. */
static struct block *queue_take(const struct owner *to)
{
	struct block *block = NULL;

	pthread_mutex_lock(&queue.mutex);
	if (queue.count) {
		block = queue.blocks[queue.first];
		queue.first = (queue.first + 1) % QUEUE;
		queue.count--;
		if (!are_kin(to, block->owner)) {
			queue.blocks[(queue.first + queue.count++) % QUEUE] =
				block;
			block = NULL;
		}
	}
	pthread_mutex_unlock(&queue.mutex);
	return block;
}

/* ---- an actor, and what it knows ---- */

struct actor {
	uint64_t state;
	unsigned steps;
	bool alone;   /* nobody else changes what its base has */
	bool growing; /* rather than shrinking */
	struct block *blocks[LIVE];
	unsigned block_count;
	struct owner *base;	   /* that its thread works for */
	struct owner *common;	   /* where to put what others may have */
	struct owner *made[TASKS]; /* children after their parents */
	unsigned made_count;
	struct owner *entered[DEPTH];
	unsigned depth;
};

static unsigned roll(struct actor *actor, unsigned sides)
{
	return (unsigned)(fixture_random(&actor->state) % sides);
}

static struct owner *current(const struct actor *actor)
{
	return actor->depth ? actor->entered[actor->depth - 1] : actor->base;
}

static struct owner *any_owner(struct actor *actor)
{
	unsigned i = roll(actor, actor->made_count + 1);

	return i == actor->made_count ? actor->base : actor->made[i];
}

static void learn(struct actor *actor, struct block *block)
{
	actor->blocks[actor->block_count++] = block;
	if (actor->block_count == LIVE)
		actor->growing = false;
}

static void unlearn(struct actor *actor, unsigned i)
{
	actor->blocks[i] = actor->blocks[--actor->block_count];
	if (actor->block_count == 0)
		actor->growing = true;
}

/* One of those that the current task may free; LIVE where none was found. */
static unsigned any_block(struct actor *actor)
{
	unsigned i, tries;

	for (tries = 0; tries < 4 && actor->block_count; tries++) {
		i = roll(actor, actor->block_count);
		if (are_kin(current(actor), actor->blocks[i]->owner))
			return i;
	}
	return LIVE;
}

/* ---- what it does with memory ---- */

static size_t any_size(struct actor *actor)
{
	unsigned kind = roll(actor, 2000);

	if (kind < 1300)
		return roll(actor, 65);
	if (kind < 1840)
		return roll(actor, 513);
	if (kind < 1997)
		return roll(actor, 32769) >> roll(actor, 6);
	return roll(actor, 4u << 20) >> roll(actor, 4);
}

static void *allocate_zeros(struct actor *actor, struct block *block)
{
	size_t n = 1 + roll(actor, 8);

	block->size -= block->size % n;
	block->at = save_calloc(n, block->size / n);
	if (block->at && !is_zero(block))
		accuse("calloc gave %zu bytes that are not zero", block->size);
	return block->at;
}

static void *allocate_aligned(struct actor *actor, size_t size, size_t align)
{
	void *at = NULL;

	if (roll(actor, 2))
		return save_aligned_alloc(align, size);
	return save_posix_memalign(&at, align, size) == 0 ? at : NULL;
}

static void allocate(struct actor *actor)
{
	struct block *block;
	unsigned kind = roll(actor, 20);
	size_t align = 16;

	if (actor->block_count == LIVE)
		return;
	block = make(sizeof(*block));
	block->size = any_size(actor);
	if (kind < 4) {
		allocate_zeros(actor, block);
	} else if (kind < 5) {
		align <<= roll(actor, 13);
		block->at = allocate_aligned(actor, block->size, align);
	} else {
		block->at = save_malloc(block->size);
	}
	if (!block->at) {
		accuse("there were no %zu bytes", block->size);
		free(block);
		return;
	}
	block->mark = fixture_random(&actor->state);
	place(block, align);
	paint(block);
	count(block, current(actor));
	learn(actor, block);
}

static void give_back(struct block *block)
{
	expect_painted(block, block->size, "when freed");
	uncount(block);
	displace(block);
	save_free(block->at);
	free(block);
}

static void free_one(struct actor *actor)
{
	unsigned i = any_block(actor);
	struct block *block;

	if (i == LIVE)
		return;
	block = actor->blocks[i];
	unlearn(actor, i);
	give_back(block);
}

static void allocate_or_free(struct actor *actor)
{
	if (roll(actor, 1000) == 0)
		actor->growing = !actor->growing;
	if (actor->growing)
		allocate(actor);
	else
		free_one(actor);
}

/* As large as any, or somewhat more or less than it was. */
static size_t next_size(struct actor *actor, size_t size)
{
	switch (roll(actor, 4)) {
	case 0:
		return size / (1 + roll(actor, 4));
	case 1:
		return size + roll(actor, 100);
	case 2:
		return size < 1u << 20 ? size * 2 : size;
	default:
		return any_size(actor);
	}
}

static void resize(struct actor *actor)
{
	unsigned i = any_block(actor);
	struct block *block;
	size_t size, kept;

	if (i == LIVE)
		return;
	block = actor->blocks[i];
	size = next_size(actor, block->size);
	kept = size < block->size ? size : block->size;
	uncount(block);
	displace(block);
	block->at = save_realloc(block->at, size);
	block->size = size;
	if (!block->at) {
		if (size)
			accuse("realloc found no %zu bytes", size);
		unlearn(actor, i);
		free(block);
		return;
	}
	expect_painted(block, kept, "when resized");
	place(block, 16);
	paint(block);
	count(block, block->owner);
}

/* ---- what passes from one to another ---- */

static bool give_to(struct block *block, struct owner *to)
{
	void *at;

	displace(block);
	at = reclaim_give(block->at, to->tid);
	if (!at) {
		accuse("a block of %zu bytes was not given", block->size);
		return false;
	}
	block->at = at;
	uncount(block);
	count(block, to);
	place(block, 16);
	expect_painted(block, block->size, "when given");
	return true;
}

static void give(struct actor *actor)
{
	unsigned i = any_block(actor);

	if (i < LIVE)
		give_to(actor->blocks[i], any_owner(actor));
}

static void hand_over(struct actor *actor)
{
	unsigned i = any_block(actor);
	struct block *block;

	if (i == LIVE || !actor->common)
		return;
	block = actor->blocks[i];
	if (!block->owner->lasting && !give_to(block, actor->common))
		return;
	if (queue_put(block))
		unlearn(actor, i);
}

static void take_over(struct actor *actor)
{
	struct block *block;

	if (!actor->common || actor->block_count == LIVE)
		return;
	block = queue_take(actor->base);
	if (!block)
		return;
	expect_painted(block, block->size, "when received");
	learn(actor, block);
}

/* ---- what it does with tasks ---- */

static void make_task(struct actor *actor)
{
	struct owner *parent = any_owner(actor);
	struct reclaim_task_opts opts = {.parent = parent->tid};
	reclaim_tid tid;

	if (actor->made_count == TASKS)
		return;
	tid = reclaim_task_new(&opts);
	if (tid)
		actor->made[actor->made_count++] = owner_of(tid, parent);
	else
		accuse("a task was not made: %s", strerror(errno));
}

static void enter(struct actor *actor)
{
	struct owner *owner = any_owner(actor);

	if (owner == actor->base || actor->depth == DEPTH)
		return;
	if (reclaim_enter(owner->tid) != 0) {
		accuse("a task was not entered: %s", strerror(errno));
		return;
	}
	owner->entered++;
	actor->entered[actor->depth++] = owner;
}

static void leave(struct actor *actor)
{
	if (!actor->depth)
		return;
	if (reclaim_leave() != 0)
		accuse("a task was not left: %s", strerror(errno));
	actor->entered[--actor->depth]->entered--;
}

static void leave_all(struct actor *actor)
{
	while (actor->depth)
		leave(actor);
}

/* Once the library has them, their places may be given to others. */
static void forget_blocks_below(struct actor *actor, const struct owner *top)
{
	struct block *block;
	unsigned i = 0;

	while (i < actor->block_count) {
		block = actor->blocks[i];
		if (!is_below(block->owner, top)) {
			i++;
			continue;
		}
		expect_painted(block, block->size, "when its task ended");
		uncount(block);
		displace(block);
		unlearn(actor, i);
		free(block);
	}
}

/* Newest first: is_below() reads those above. */
static void forget_tasks_below(struct actor *actor, const struct owner *top)
{
	struct owner *gone[TASKS];
	unsigned i, kept = 0, lost = 0;

	for (i = 0; i < actor->made_count; i++)
		if (is_below(actor->made[i], top))
			gone[lost++] = actor->made[i];
		else
			actor->made[kept++] = actor->made[i];
	actor->made_count = kept;
	while (lost)
		free(gone[--lost]);
}

static unsigned times_entered(const struct actor *actor,
			      const struct owner *top)
{
	unsigned i, times = 0;

	for (i = 0; i < actor->made_count; i++)
		if (is_below(actor->made[i], top))
			times += actor->made[i]->entered;
	return times;
}

/* From outside, or from within as it is left. */
static void end_task_of(struct actor *actor, struct owner *owner)
{
	unsigned inside = times_entered(actor, owner);
	struct reclaim_task_info info;
	int result;

	if (owner->lasting || inside > 1 || (inside && current(actor) != owner))
		return;
	forget_blocks_below(actor, owner);
	if (roll(actor, 2))
		result = reclaim_end(owner->tid, 0);
	else
		result = reclaim_kill(owner->tid);
	if (result != 0)
		accuse("a task was not ended: %s", strerror(errno));
	if (inside)
		leave(actor);
	if (reclaim_task_info(owner->tid, &info) == 0)
		accuse("a task that was ended is there");
	forget_tasks_below(actor, owner);
}

static void end_one(struct actor *actor)
{
	struct owner *owner = any_owner(actor);

	if (owner != actor->base)
		end_task_of(actor, owner);
}

/* ---- steps ---- */

static const struct {
	unsigned weight;
	void (*act)(struct actor *actor);
} acts[] = {
	{280, allocate}, {280, free_one}, {200, allocate_or_free},
	{140, resize},	 {20, give},	  {20, hand_over},
	{20, take_over}, {6, make_task},  {20, enter},
	{20, leave},	 {5, end_one},
};

#define ACTS (sizeof(acts) / sizeof(acts[0]))

static void step(struct actor *actor)
{
	unsigned i, at, all = 0;

	for (i = 0; i < ACTS; i++)
		all += acts[i].weight;
	at = roll(actor, all);
	for (i = 0; at >= acts[i].weight; i++)
		at -= acts[i].weight;
	acts[i].act(actor);
}

static void survey(const struct actor *actor)
{
	unsigned i;

	for (i = 0; i < actor->block_count; i++)
		expect_painted(actor->blocks[i], actor->blocks[i]->size,
			       "meanwhile");
	for (i = 0; i < actor->made_count; i++)
		if (!actor->made[i]->lasting)
			compare(actor->made[i]);
	if (actor->alone)
		compare(actor->base);
}

static void act(struct actor *actor)
{
	unsigned i;

	for (i = 0; i < actor->steps && !atomic_load(&failed); i++)
		step(actor);
	survey(actor);
}

static unsigned long ops(void)
{
	const char *given = getenv("RECLAIM_TEST_OPS");

	if (given)
		return strtoul(given, NULL, 0);
	if (under_valgrind())
		return OPS_IN_VALGRIND;
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
	return OPS_SANITIZED;
#else
	return OPS;
#endif
}

static void begin(void)
{
	failure[0] = '\0';
	atomic_store(&failed, false);
	places = NULL;
	queue.first = queue.count = 0;
}

static void expect_no_failure(void)
{
	ck_assert_msg(!atomic_load(&failed), "%s", failure);
	ck_assert_msg(reports() == 0, "%s", last_report());
}

static void expect_nothing_left(void)
{
	expect_no_failure();
	ck_assert_ptr_null(places);
	ck_assert_uint_eq(queue.count, 0);
}

/* ---- alone ---- */

static void free_all(struct actor *actor)
{
	while (actor->block_count) {
		give_back(actor->blocks[0]);
		unlearn(actor, 0);
	}
}

static void end_all(struct actor *actor)
{
	leave_all(actor);
	while (actor->made_count)
		end_task_of(actor, actor->made[0]);
	free_all(actor);
}

START_TEST(one_thread_alone_finds_what_the_model_says)
{
	struct actor *actor = make(sizeof(*actor));
	unsigned long left = ops() * 2 / 5;

	begin();
	actor->state = fixture_seed();
	actor->base = owner_of(reclaim_self(), NULL);
	actor->base->lasting = true;
	actor->alone = true;
	while (left && !atomic_load(&failed)) {
		actor->steps = left < ALONE_STEPS ? left : ALONE_STEPS;
		left -= actor->steps;
		act(actor);
	}
	expect_no_failure();
	end_all(actor);
	survey(actor);
	free(actor->base);
	free(actor);
	expect_nothing_left();
}
END_TEST

/* ---- in a crowd ---- */

static struct owner *arena;
static struct actor *actors[ACTORS];

static void *work(void *arg)
{
	act(arg);
	leave_all(arg);
	return NULL;
}

/* Some of the worker's blocks are in a task that all others may see. */
static struct actor *make_worker(uint64_t state)
{
	struct reclaim_task_opts opts = {.name = "lasting"};
	struct actor *actor = make(sizeof(*actor));
	reclaim_tid tid = reclaim_task_new(&opts);

	ck_assert_uint_ne(tid, 0);
	actor->state = state;
	actor->base = actor->common = arena;
	actor->made[actor->made_count++] = owner_of(tid, arena);
	actor->made[0]->lasting = true;
	return actor;
}

/* A task that is born, works and is gone, with whatever it has. */
static int live(int argc, char **argv, char **envp)
{
	struct actor *actor = actors[atoi(argv[0])];

	(void)argc;
	(void)envp;
	actor->base = owner_of(reclaim_self(), arena);
	actor->common = arena;
	actor->alone = true;
	act(actor);
	leave_all(actor);
	forget_blocks_below(actor, actor->base);
	free_all(actor);
	forget_tasks_below(actor, actor->base);
	free(actor->base);
	return 0;
}

static reclaim_tid spawn(int i)
{
	char number[12], *argv[] = {number, NULL};
	reclaim_tid tid;

	snprintf(number, sizeof(number), "%d", i);
	tid = reclaim_spawn(NULL, live, argv);
	ck_assert_uint_ne(tid, 0);
	return tid;
}

static void play_round(unsigned steps)
{
	pthread_t threads[WORKERS];
	reclaim_tid tids[ACTORS];
	int i, status;

	for (i = 0; i < ACTORS; i++)
		actors[i]->steps = steps;
	for (i = 0; i < WORKERS; i++)
		ck_works(save_pthread_create(&threads[i], NULL, work,
					     actors[i]));
	for (; i < ACTORS; i++)
		tids[i] = spawn(i);
	for (i = 0; i < WORKERS; i++)
		ck_works(save_pthread_join(threads[i], NULL));
	for (; i < ACTORS; i++)
		ck_works(reclaim_wait(tids[i], &status, -1));
	compare(arena);
	for (i = 0; i < WORKERS; i++)
		compare(actors[i]->made[0]);
}

static void begin_crowd(void)
{
	uint64_t state = fixture_seed() + 1;
	int i;

	begin();
	arena = owner_of(task_called("arena"), NULL);
	arena->lasting = true;
	work_for(arena->tid);
	for (i = 0; i < ACTORS; i++) {
		if (i < WORKERS) {
			actors[i] = make_worker(fixture_random(&state));
		} else {
			actors[i] = make(sizeof(*actors[i]));
			actors[i]->state = fixture_random(&state);
		}
	}
}

/* Half is freed by hand, by an ancestor, and half goes with the arena. */
static void end_crowd(void)
{
	struct block *block;
	int i;

	while ((block = queue_take(arena)))
		give_back(block);
	for (i = 0; i < WORKERS / 2; i++)
		free_all(actors[i]);
	compare(arena);
	for (i = 0; i < WORKERS; i++)
		forget_blocks_below(actors[i], arena);
	work_no_longer();
	end_task(arena->tid);
	for (i = 0; i < ACTORS; i++) {
		forget_tasks_below(actors[i], arena);
		free(actors[i]);
	}
	free(arena);
}

START_TEST(a_crowd_finds_what_the_model_says)
{
	unsigned long left = ops() * 3 / 5 / ACTORS;
	unsigned steps;

	begin_crowd();
	while (left && !atomic_load(&failed)) {
		steps = left < ROUND_STEPS ? left : ROUND_STEPS;
		left -= steps;
		play_round(steps);
	}
	expect_no_failure();
	end_crowd();
	expect_nothing_left();
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "model");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, one_thread_alone_finds_what_the_model_says);
	tcase_add_test(tcase, a_crowd_finds_what_the_model_says);
}

int main(void)
{
	return stage_run("heap_model", fill);
}
