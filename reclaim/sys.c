/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/sys_private.h"

_Atomic(struct block *) sys_block;

/* Who frees anything asks for it, while the block may be going. */
static atomic_uintptr_t area;
static atomic_size_t size;

void sys_set(struct block *block)
{
	atomic_store(&size, 0);
	atomic_store(&area, block ? (uintptr_t)block->area : 0);
	atomic_store(&size, block ? block->area_size : 0);
	atomic_store(&sys_block, block);
}

static struct block *current(void)
{
	return atomic_load_explicit(&sys_block, memory_order_acquire);
}

bool sys_has(const void *ptr)
{
	return (uintptr_t)ptr -
		       atomic_load_explicit(&area, memory_order_relaxed) <
	       atomic_load_explicit(&size, memory_order_relaxed);
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
