/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_memory - resident memory
 *
 * Each measurement is made in a forked child of a process that has hardly used
 * any contender.  What is counted is the child's anonymous resident memory, to
 * the page.  What this program needs itself is resident before.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <reclaim/message.h>

#include "bench/harness.h"
#include "bench/peers.h"

#define BLOCKS_MAX 524288
#define KIB	   1024.0
#define MIB	   (1024.0 * 1024)

static uint32_t size[BLOCKS_MAX];
static uint32_t order[BLOCKS_MAX];
static void *block[BLOCKS_MAX];
static uint32_t held[BLOCKS_MAX]; /* the sizes of blocks */

/*
 * Bytes, by the kernel's walk through the page tables.  What was given back
 * with MADV_FREE is the kernel's to take.
 */
static double resident(void)
{
	FILE *from = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	double kib = -1, lazy = 0;

	while (from && fgets(line, sizeof(line), from)) {
		sscanf(line, "Anonymous: %lf", &kib);
		sscanf(line, "LazyFree: %lf", &lazy);
	}
	if (kib < 0)
		bench_die("/proc/self/smaps_rollup does not tell");
	fclose(from);
	return (kib - lazy) * KIB;
}

static double in_a_child(double (*measure)(size_t n), size_t n)
{
	double value;
	int fds[2], status;
	pid_t pid;

	fflush(NULL);
	if (pipe(fds) != 0 || (pid = fork()) < 0)
		bench_die("no child process");
	if (pid == 0) {
		memset(block, 1, sizeof(block));
		memset(held, 1, sizeof(held));
		resident();
		value = measure(n);
		_exit(write(fds[1], &value, sizeof(value)) != sizeof(value));
	}
	close(fds[1]);
	if (read(fds[0], &value, sizeof(value)) != sizeof(value))
		bench_die("a child did not answer");
	close(fds[0]);
	waitpid(pid, &status, 0);
	return value;
}

/* ---- what is measured: template(peer, n) ---- */

TEMPLATE double beside(const struct peer *peer, size_t n)
{
	void *owner = owner_begin(peer);
	double before = resident();

	for (size_t i = 0; i < n; i++)
		memset(block_alloc(peer, owner, 64), 1, 64);
	return (resident() - before) / (double)n - 64;
}

/* To the payload: what is resident when many times as much has come and gone */
TEMPLATE double steady(const struct peer *peer, size_t n)
{
	double before = resident(), payload = 0;
	void *owner = owner_begin(peer);
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		held[i] = size[i];
		block[i] = block_alloc(peer, owner, held[i]);
		memset(block[i], 1, held[i]);
	}
	for (size_t i = 0; i < 100 * n; i++) {
		at = (at + order[i % BLOCKS_MAX]) % n;
		peer->free(owner, block[at]);
		held[at] = size[i % BLOCKS_MAX];
		block[at] = block_alloc(peer, owner, held[at]);
		memset(block[at], 1, held[at]);
	}
	for (size_t i = 0; i < n; i++)
		payload += held[i];
	return (resident() - before) / payload;
}

/* Some have to be used, and some time to pass, before they give back. */
TEMPLATE void go_on(const struct peer *peer, void *owner)
{
	const struct timespec while_idle = {.tv_nsec = 50000000};
	void *some[1000];

	for (int i = 0; i < 10; i++) {
		nanosleep(&while_idle, NULL);
		for (size_t j = 0; j < 1000; j++)
			some[j] = block_alloc(peer, owner, size[j]);
		for (size_t j = 0; j < 1000; j++)
			peer->free(owner, some[j]);
	}
}

TEMPLATE double spike(const struct peer *peer, size_t n)
{
	double before = resident();
	void *owner = owner_begin(peer);

	for (size_t i = 0; i < n; i++) {
		block[i] = block_alloc(peer, owner, size[i]);
		memset(block[i], 1, size[i]);
	}
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		if (order[i] < n)
			peer->free(owner, block[order[i]]);
	go_on(peer, owner);
	return (resident() - before) / MIB;
}

TEMPLATE double tasks(const struct peer *peer, size_t n)
{
	double before = resident();

	for (size_t i = 0; i < n; i++) {
		void *owner = owner_begin(peer);

		for (size_t j = 0; j < 10; j++)
			block_alloc(peer, owner, 16 + size[10 * i + j] % 113);
		owner_leave(peer, owner);
	}
	return (resident() - before) / (double)n / KIB;
}

/* A binary, or a small message, sent to tasks that have received before. */
static double sent(size_t n, size_t bytes)
{
	static const char small[64] = {1};
	reclaim_tid *to = (reclaim_tid *)block;
	struct reclaim_bin *bin;
	struct reclaim_msg msg;
	double before;

	for (size_t i = 0; i < n; i++) {
		to[i] = reclaim_task_new(NULL);
		reclaim_enter(to[i]);
		reclaim_receive(&msg, 0);
		reclaim_leave();
	}
	before = resident();
	bin = reclaim_bin_new(NULL, bytes);
	memset(reclaim_bin_data(bin), 1, bytes);
	for (size_t i = 0; i < n; i++)
		if ((bytes ? reclaim_send_bin(to[i], bin)
			   : reclaim_send(to[i], small, sizeof(small))) != 0)
			bench_die("not sent");
	return (resident() - before) / MIB;
}

static double binary_here(size_t n)
{
	return sent(n, (size_t)MIB);
}

static double binary(size_t n)
{
	return in_a_child(binary_here, n);
}

static double small_here(size_t n)
{
	return sent(n, 0);
}

static double small(size_t n)
{
	return in_a_child(small_here, n);
}

static const struct contender sent_by[] = {
	{.name = "libreclaim", .value = binary},
	{.name = "64 B copied to each", .value = small},
	{.name = NULL}};

#define VALUE(template, who)                                 \
	static double template##_here_##who(size_t n)        \
	{                                                    \
		return template(&peer_##who, n);             \
	}                                                    \
	static double template##_##who(size_t n)             \
	{                                                    \
		return in_a_child(template##_here_##who, n); \
	}
#define VALUE_CONTENDER(template, who) \
	{.peer = &peer_##who, .value = template##_##who},
#define VALUES(template, peers)                                           \
	peers(VALUE,                                                      \
	      template) static const struct contender template##_by[] = { \
		peers(VALUE_CONTENDER, template){.name = NULL}}

VALUES(beside, PEERS);
VALUES(steady, PEERS_THAT_FREE);
VALUES(spike, PEERS_THAT_FREE);
VALUES(tasks, PEERS);

/* 110 MB of blocks of 264 bytes, on average. */
static const struct row rows[] = {
	{.what = "resident beside the payload of a 64 B block",
	 .unit = "B",
	 .n = 200000,
	 .most = 3,
	 .must = 8,
	 .aim = 4,
	 .contenders = beside_by},
	{.what = "resident to payload, 10k live of 16..512 B, replaced at "
		 "random 1M times",
	 .unit = "times",
	 .n = 10000,
	 .most = 3,
	 .contenders = steady_by},
	{.what = "resident half a second after 110 MB of 16..512 B were freed "
		 "at random",
	 .unit = "MiB",
	 .n = 416667,
	 .most = 3,
	 .must = 40e6 / MIB,
	 .contenders = spike_by},
	{.what = "resident for each of 10k live tasks with ten blocks of "
		 "16..128 B",
	 .unit = "KiB",
	 .n = 10000,
	 .most = 3,
	 .must = 5,
	 .contenders = tasks_by},
	{.what = "resident of a binary of 1 MiB sent to 1,000 tasks",
	 .unit = "MiB",
	 .n = 1000,
	 .most = 3,
	 .must = 1.5,
	 .contenders = sent_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "resident memory");
	random_numbers(size, BLOCKS_MAX, 16, 512);
	random_order(order, BLOCKS_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
