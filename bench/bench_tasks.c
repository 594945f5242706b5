/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_tasks - an owner begun, some blocks, the owner ended
 *
 * Where there are no owners each block is freed.  APR, which frees no block
 * before its pool, frees none early.
 */
#include "config.h"

#include "bench/harness.h"
#include "bench/peers.h"

#define SIZES 4096

static uint32_t small[SIZES];  /* 16..128 */
static uint32_t medium[SIZES]; /* 16..512 */

TEMPLATE void task(struct batch *batch, const struct peer *peer)
{
	void *block[32];
	size_t at = 0;

	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		void *owner = owner_begin(peer);

		for (size_t i = 0; i < batch->n; i++)
			block[i] =
				block_alloc(peer, owner, small[at++ % SIZES]);
		owner_end(peer, owner, block, batch->n);
	}
	batch_stop(batch, batch->times);
}

CONTENDERS(task, PEERS);

TEMPLATE void task_half_freed(struct batch *batch, const struct peer *peer)
{
	void *kept[16], *freed[16];
	size_t at = 0;

	batch_start(batch);
	for (size_t t = 0; t < batch->times; t++) {
		void *owner = owner_begin(peer);

		for (size_t i = 0; i < 16; i++) {
			kept[i] =
				block_alloc(peer, owner, medium[at++ % SIZES]);
			freed[i] =
				block_alloc(peer, owner, medium[at++ % SIZES]);
		}
		for (size_t i = 0; peer->free && i < 16; i++)
			peer->free(owner, freed[i]);
		owner_end(peer, owner, kept, 16);
	}
	batch_stop(batch, batch->times);
}

CONTENDERS(task_half_freed, PEERS);

static const struct row rows[] = {
	{.what = "task: begin, 10 blocks of 16..128 B, end",
	 .n = 10,
	 .must = 0.55,
	 .aim = 0.45,
	 .contenders = task_by},
	{.what = "task: begin, 32 blocks of 16..128 B, end",
	 .n = 32,
	 .must = 0.45,
	 .aim = 0.34,
	 .contenders = task_by},
	{.what = "task: 32 blocks of 16..512 B, 16 freed, end",
	 .must = 0.70,
	 .aim = 0.43,
	 .contenders = task_half_freed_by},
	{.what = "task: begin, 10 blocks of 16..128 B, end, instructions",
	 .unit = "instr.",
	 .n = 10,
	 .count = 1,
	 .most = 3,
	 .contenders = task_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "beginning tasks, using and ending them");
	random_numbers(small, SIZES, 16, 128);
	random_numbers(medium, SIZES, 16, 512);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
