/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_blocks - allocating, resizing and freeing, in one thread
 *
 * Without an owner, what "released with the owner" means is to free each
 * block, in the order in which they were allocated.
 */
#include "config.h"

#include "bench/harness.h"
#include "bench/peers.h"

#define BLOCKS_MAX 100000

static uint32_t size[BLOCKS_MAX]; /* 16..512 */
static uint32_t order10k[10000], order100k[BLOCKS_MAX];
static void *block[BLOCKS_MAX];

/* ---- one block after the other ---- */

TEMPLATE void pair(struct batch *batch, const struct peer *peer)
{
	void *owner = owner_begin(peer);

	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++)
		peer->free(owner, block_alloc(peer, owner, 64));
	batch_stop(batch, batch->times);
	owner_end(peer, owner, NULL, 0);
}

CONTENDERS(pair, PEERS_THAT_FREE);

/* ---- many, then freed ---- */

TEMPLATE void fill(const struct peer *peer, void *owner, size_t n)
{
	for (size_t i = 0; i < n; i++)
		block[i] = block_alloc(peer, owner, size[i]);
}

TEMPLATE void freed_at_random(struct batch *batch, const struct peer *peer)
{
	const uint32_t *order = batch->n > 10000 ? order100k : order10k;

	for (size_t t = 0; t < batch->times; t++) {
		void *owner = owner_begin(peer);

		batch_start(batch);
		fill(peer, owner, batch->n);
		for (size_t i = 0; i < batch->n; i++)
			peer->free(owner, block[order[i]]);
		batch_stop(batch, batch->n);
		owner_end(peer, owner, NULL, 0);
	}
}

CONTENDERS(freed_at_random, PEERS_THAT_FREE);

TEMPLATE void freed_in_order(struct batch *batch, const struct peer *peer)
{
	for (size_t t = 0; t < batch->times; t++) {
		void *owner = owner_begin(peer);

		batch_start(batch);
		fill(peer, owner, batch->n);
		for (size_t i = 0; i < batch->n; i++)
			peer->free(owner, block[i]);
		batch_stop(batch, batch->n);
		owner_end(peer, owner, NULL, 0);
	}
}

CONTENDERS(freed_in_order, PEERS_THAT_FREE);

TEMPLATE void released(struct batch *batch, const struct peer *peer)
{
	for (size_t t = 0; t < batch->times; t++) {
		void *owner = owner_begin(peer);

		fill(peer, owner, batch->n);
		batch_start(batch);
		owner_end(peer, owner, block, batch->n);
		batch_stop(batch, batch->n);
	}
}

CONTENDERS(released, PEERS);

/* ---- growing ---- */

#define GROWN 65536

TEMPLATE void *resized(const struct peer *peer, void *owner, void *ptr,
		       size_t to)
{
	ptr = peer->resize(owner, ptr, to);
	if (!ptr)
		bench_die("%s: no memory", peer->name);
	((volatile char *)ptr)[to - 1] = 1;
	return ptr;
}

TEMPLATE void grown_alone(struct batch *batch, const struct peer *peer)
{
	void *owner = owner_begin(peer);

	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		void *ptr = block_alloc(peer, owner, 16);

		for (size_t to = 32; to <= GROWN; to *= 2)
			ptr = resized(peer, owner, ptr, to);
		peer->free(owner, ptr);
	}
	batch_stop(batch, batch->times);
	owner_end(peer, owner, NULL, 0);
}

CONTENDERS(grown_alone, PEERS_THAT_RESIZE);

/* Each time, what is allocated next may lie where it would grow. */
TEMPLATE void grown_blocked(struct batch *batch, const struct peer *peer)
{
	void *owner = owner_begin(peer), *neighbour[16];

	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		void *ptr = block_alloc(peer, owner, 16);
		size_t n = 0;

		for (size_t to = 32; to <= GROWN; to *= 2) {
			neighbour[n++] = block_alloc(peer, owner, 32);
			ptr = resized(peer, owner, ptr, to);
		}
		peer->free(owner, ptr);
		while (n > 0)
			peer->free(owner, neighbour[--n]);
	}
	batch_stop(batch, batch->times);
	owner_end(peer, owner, NULL, 0);
}

CONTENDERS(grown_blocked, PEERS_THAT_RESIZE);

/* ---- any one of n live blocks freed, and another allocated ---- */

#define LIVE_MAX 16384

TEMPLATE void one_of(struct batch *batch, const struct peer *peer)
{
	static uint32_t victim[4096];
	void *owner = owner_begin(peer);

	random_numbers(victim, 4096, 0, (uint32_t)batch->n - 1);
	for (size_t i = 0; i < batch->n; i++)
		block[i] = block_alloc(peer, owner, 64);
	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		void **at = &block[victim[t % 4096]];

		peer->free(owner, *at);
		*at = block_alloc(peer, owner, 64);
	}
	batch_stop(batch, batch->times);
	owner_end(peer, owner, block, batch->n);
}

#define PEERS_OF_THE_CHAIN(X, work) \
	X(work, libreclaim) X(work, chain) X(work, glibc) X(work, list)

CONTENDERS(one_of, PEERS_OF_THE_CHAIN);

#define GROWTH(template, who)                                          \
	static double growth_##who(size_t n)                           \
	{                                                              \
		static size_t times, few;                              \
		double all = bench_time(template##_##who, n, &times);  \
                                                                       \
		return all / bench_time(template##_##who, 1024, &few); \
	}
#define GROWTH_CONTENDER(template, who) \
	{.peer = &peer_##who, .value = growth_##who},

PEERS_OF_THE_CHAIN(GROWTH, one_of)
static const struct contender growth_by[] = {
	PEERS_OF_THE_CHAIN(GROWTH_CONTENDER, one_of){.name = NULL}};

/* ---- rows ---- */

static const struct row rows[] = {
	{.what = "alloc+free pair, 64 B",
	 .must = 0.75,
	 .aim = 0.57,
	 .contenders = pair_by},
	{.what = "alloc+free pair, 64 B, instructions",
	 .unit = "instr.",
	 .count = 16,
	 .most = 3,
	 .contenders = pair_by},
	{.what = "10k of 16..512 B, freed at random",
	 .n = 10000,
	 .must = 0.16,
	 .aim = 0.10,
	 .contenders = freed_at_random_by},
	{.what = "100k of 16..512 B, freed at random",
	 .n = 100000,
	 .must = 0.10,
	 .aim = 0.08,
	 .contenders = freed_at_random_by},
	{.what = "10k of 16..512 B, freed in order",
	 .n = 10000,
	 .must = 0.25,
	 .aim = 0.20,
	 .contenders = freed_in_order_by},
	{.what = "100k of 16..512 B, freed in order",
	 .n = 100000,
	 .must = 0.18,
	 .aim = 0.09,
	 .contenders = freed_in_order_by},
	{.what = "10k of 16..512 B, released with the owner, per block",
	 .n = 10000,
	 .must = 0.01,
	 .aim = 0.003,
	 .contenders = released_by},
	{.what = "100k of 16..512 B, released with the owner, per block",
	 .n = 100000,
	 .must = 0.01,
	 .aim = 0.003,
	 .contenders = released_by},
	{.what = "realloc from 16 B to 64 KiB, doubling",
	 .must = 1.5,
	 .contenders = grown_alone_by},
	{.what = "realloc from 16 B to 64 KiB, a block allocated before each",
	 .must = 0.5,
	 .contenders = grown_blocked_by},
	{.what = "OTP's list: one of 1k live freed, one allocated",
	 .n = 1024,
	 .contenders = one_of_by},
	{.what = "OTP's list: one of 2k", .n = 2048, .contenders = one_of_by},
	{.what = "OTP's list: one of 4k", .n = 4096, .contenders = one_of_by},
	{.what = "OTP's list: one of 8k", .n = 8192, .contenders = one_of_by},
	{.what = "OTP's list: one of 16k", .n = 16384, .contenders = one_of_by},
	{.what = "OTP's list: the time for 16k to that for 1k "
		 "(flat: at most 1.5)",
	 .unit = "times",
	 .n = LIVE_MAX,
	 .most = 5,
	 .must = 1.5,
	 .aim = 1.5,
	 .contenders = growth_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "allocating and freeing blocks in one thread");
	random_numbers(size, BLOCKS_MAX, 16, 512);
	random_order(order10k, 10000);
	random_order(order100k, BLOCKS_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
