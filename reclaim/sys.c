/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/sys_private.h"

_Atomic(struct block *) sys_block;

static struct block *current(void)
{
	return atomic_load_explicit(&sys_block, memory_order_acquire);
}

bool sys_has(const void *ptr)
{
	const struct block *block = current();

	return block &&
	       (size_t)((const char *)ptr - block->area) < block->area_size;
}

void sys_give_back(void *ptr)
{
	struct block *block = current();

	if (block)
		block_free(block, ptr);
}

void sys_lock(void)
{
	struct block *block = current();

	if (block)
		block_lock(block);
}

void sys_unlock(void)
{
	struct block *block = current();

	if (block)
		block_unlock(block);
}
