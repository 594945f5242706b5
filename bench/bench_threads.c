/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_threads - steady use by one thread and by two, blocks freed by another
 * thread, and tasks with threads of their own
 *
 * The first row comes before there is a second thread: glibc is quicker then.
 */
#include "config.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/harness.h"
#include "bench/peers.h"

#define LIVE   10000
#define VICTIM 65536 /* numbers, used again and again */

static uint32_t size[VICTIM]; /* 16..512 */
static uint32_t victim[VICTIM];
static uint32_t order[LIVE];

/* ---- any of many live blocks replaced, in a thread's own owner ---- */

TEMPLATE void replace_some(const struct peer *peer, void *owner, void **live,
			   size_t n)
{
	for (size_t i = 0; i < n; i++) {
		void **at = &live[victim[i % VICTIM]];

		peer->free(owner, *at);
		*at = block_alloc(peer, owner, size[i % VICTIM]);
	}
}

TEMPLATE void replace(struct batch *batch, const struct peer *peer)
{
	void *owner = owner_begin(peer), *live[LIVE];

	for (size_t i = 0; i < LIVE; i++)
		live[i] = block_alloc(peer, owner, size[i]);
	replace_some(peer, owner, live, 4 * (size_t)LIVE);
	batch_start(batch);
	replace_some(peer, owner, live, batch->times);
	batch_stop(batch, batch->times);
	owner_end(peer, owner, live, LIVE);
}

CONTENDERS(replace, PEERS_THAT_FREE);

/* ---- two threads at once; each on a processor ---- */

struct side {
	pthread_t thread;
	struct batch batch;
	work_fn *work;
	unsigned cpu;
};

static void *work_aside(void *arg)
{
	struct side *side = arg;

	bench_pin(side->cpu);
	side->work(&side->batch);
	return NULL;
}

static void in_two(struct batch *batch, work_fn *work)
{
	pthread_barrier_t gate;
	struct side side[2];

	pthread_barrier_init(&gate, NULL, 2);
	for (unsigned i = 0; i < 2; i++) {
		side[i] =
			(struct side){.batch = *batch, .work = work, .cpu = i};
		side[i].batch.gate = &gate;
		if (pthread_create(&side[i].thread, NULL, work_aside,
				   &side[i]) != 0)
			bench_die("no thread");
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(side[i].thread, NULL);
		batch->spent += side[i].batch.spent;
		batch->ops += side[i].batch.ops;
	}
	pthread_barrier_destroy(&gate);
}

#define IN_TWO(template, who)                         \
	static void in_two_##who(struct batch *batch) \
	{                                             \
		in_two(batch, template##_##who);      \
	}
#define IN_TWO_CONTENDER(template, who) \
	{.peer = &peer_##who, .work = in_two_##who},

PEERS_THAT_FREE(IN_TWO, replace)
static const struct contender in_two_by[] = {
	PEERS_THAT_FREE(IN_TWO_CONTENDER, replace){.name = NULL}};

/* ---- allocated here, freed by another thread ---- */

/*
 * The two take turns, so that each is timed alone and a peer without locks
 * can take part.  The other thread works for the process's own task, above
 * the one that owns the blocks.
 */
struct other {
	void *owner;
	void *block[LIVE];
	size_t times;
	pthread_barrier_t turn;
	struct batch batch;
};

TEMPLATE void free_all(struct other *other, const struct peer *peer)
{
	bench_pin(0);
	for (size_t t = 0; t < other->times; t++) {
		pthread_barrier_wait(&other->turn);
		batch_start(&other->batch);
		for (size_t i = 0; i < LIVE; i++)
			peer->free(other->owner, other->block[order[i]]);
		batch_stop(&other->batch, LIVE);
		pthread_barrier_wait(&other->turn);
	}
}

TEMPLATE void pass_on(struct batch *batch, const struct peer *peer,
		      void *(*freeing)(void *))
{
	static struct other other;
	pthread_t thread;

	other.owner = owner_begin(peer);
	other.times = batch->times;
	other.batch = (struct batch){.times = batch->times};
	pthread_barrier_init(&other.turn, NULL, 2);
	if (pthread_create(&thread, NULL, freeing, &other) != 0)
		bench_die("no thread");
	for (size_t t = 0; t < batch->times; t++) {
		batch_start(batch);
		for (size_t i = 0; i < LIVE; i++)
			other.block[i] =
				block_alloc(peer, other.owner, size[i]);
		batch_stop(batch, LIVE);
		pthread_barrier_wait(&other.turn);
		pthread_barrier_wait(&other.turn);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&other.turn);
	batch->spent += other.batch.spent;
	owner_end(peer, other.owner, NULL, 0);
}

#define PASS_ON(template, who)                               \
	static void *freeing_##who(void *arg)                \
	{                                                    \
		free_all(arg, &peer_##who);                  \
		return NULL;                                 \
	}                                                    \
	static void template##_##who(struct batch *batch)    \
	{                                                    \
		template(batch, &peer_##who, freeing_##who); \
	}

PEERS_THAT_FREE(PASS_ON, pass_on)
static const struct contender pass_on_by[] = {
	PEERS_THAT_FREE(TIMED_CONTENDER, pass_on){.name = NULL}};

/* ---- something of its own to run in, from beginning to end ---- */

static int nothing(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	return 0;
}

static void task_thread(struct batch *batch)
{
	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		reclaim_tid task = reclaim_spawn(NULL, nothing, NULL);

		if (task == 0 || reclaim_wait(task, NULL, -1) != 0)
			bench_die("reclaim_spawn: %s", strerror(errno));
	}
	batch_stop(batch, batch->times);
}

static void process(struct batch *batch)
{
	char name[] = "true", *const argv[] = {name, NULL};
	char *const envp[] = {NULL};

	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, envp) ||
		    waitpid(pid, NULL, 0) != pid)
			bench_die("/bin/true was not run");
	}
	batch_stop(batch, batch->times);
}

static void *nothing_at_all(void *arg)
{
	return arg;
}

static void plain_thread(struct batch *batch)
{
	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, nothing_at_all, NULL) ||
		    pthread_join(thread, NULL))
			bench_die("no thread");
	}
	batch_stop(batch, batch->times);
}

static const struct contender spawn_by[] = {
	{.name = "libreclaim", .work = task_thread},
	{.name = "posix_spawn of /bin/true", .work = process},
	{.name = "pthread_create and join", .work = plain_thread},
	{.name = NULL}};

static const struct row rows[] = {
	{.what = "10k live, random replace, one thread",
	 .must = 0.52,
	 .aim = 0.38,
	 .contenders = replace_by},
	{.what = "10k live each, random replace, two threads",
	 .must = 0.52,
	 .aim = 0.34,
	 .elapsed = true,
	 .contenders = in_two_by},
	{.what = "allocated in one thread, freed at random in another",
	 .must = 1.0,
	 .elapsed = true,
	 .contenders = pass_on_by},
	{.what = "begin and end of a task with a thread",
	 .must = 1.0 / 16,
	 .aim = 1.0 / 90,
	 .elapsed = true,
	 .contenders = spawn_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "threads that allocate, free and end");
	random_numbers(size, VICTIM, 16, 512);
	random_numbers(victim, VICTIM, 0, LIVE - 1);
	random_order(order, LIVE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
