/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointer - what a pointer is, and freeing it on any path but the quick one
 */
#include "config.h"

#include "reclaim/heap_private.h"

#include <sys/mman.h>

/* ---- finding ---- */

/* No run is known there: the middle of a large block, or nobody's. */
static void find_in_chunk(struct pointer *block)
{
	struct chunk *chunk = chunk_of(block->ptr);
	struct run *run;

	if (!chunk) {
		if (!arena_handed_out(block->ptr))
			block->state = POINTER_NOT_ONE;
		return;
	}
	run = arena_run(chunk_memory(chunk));
	if (run->class != RUN_LARGE)
		return;
	block->run = run;
	block->heap = run_heap(run);
	block->start = chunk_memory(chunk);
	block->size = run->bytes;
	block->state = POINTER_INSIDE;
}

static uint64_t bit_of(const struct pointer *block)
{
	uint64_t offset = (uint64_t)(block->ptr - run_memory(block->run));

	return (uint64_t)1 << (offset * block->run->reciprocal >> 32);
}

static void find_in_run(struct pointer *block)
{
	const struct run *run = block->run;
	size_t offset = (size_t)(block->ptr - run_memory(run));
	uint64_t bit;

	block->size = run->size;
	if (offset >= (size_t)run->count * run->size) {
		block->state = POINTER_NOT_ONE;
		return;
	}
	block->start = block->ptr - offset % run->size;
	bit = bit_of(block);
	if (offset % run->size)
		block->state = POINTER_INSIDE;
	else if (!((run_free_blocks(run) | heap_load(&run->remote)) & bit))
		block->state = POINTER_LIVE;
}

void pointer_find(void *ptr, struct pointer *block)
{
	struct run *run = arena_run(ptr);

	*block = (struct pointer){
		.state = POINTER_FREE,
		.run = run,
		.heap = run_heap(run),
		.ptr = ptr,
	};
	if (!block->heap) {
		find_in_chunk(block);
	} else if (run->class == RUN_BUMP) {
		bump_find(run->bump, block);
	} else if (run->class == RUN_LARGE) {
		block->start = run_memory(run);
		block->size = run->bytes;
		block->state = block->ptr == block->start ? POINTER_LIVE
							  : POINTER_INSIDE;
	} else {
		find_in_run(block);
	}
}

/* ---- freeing ---- */

/* Of two that free a large block at once, the lock tells who is first. */
static bool put_large(const struct pointer *block)
{
	struct chunk *chunk;
	bool first;

	lock_take(&heaps);
	chunk = chunk_of(block->ptr);
	first = chunk && arena_run(block->ptr) == block->run &&
		run_heap(block->run) == block->heap;
	if (first) {
		heap_unlink(block->heap, chunk);
		chunk_forget(chunk);
		chunk_put(chunk);
		arena_tick();
	}
	lock_drop(&heaps);
	return first;
}

bool heap_put_by_run(struct heap *heap, struct run *run, void *ptr)
{
	uint64_t product, bit;

	if (run_heap(run) != heap)
		return false;
	if (run->class == RUN_BUMP)
		return bump_put(heap, run->bump, ptr);
	product = (uint64_t)((char *)ptr - run_memory(run)) * run->reciprocal;
	bit = (uint64_t)1 << (product >> 32);
	if ((uint32_t)product >= run->reciprocal ||
	    (run_free_blocks(run) | heap_load(&run->remote)) & bit)
		return false;
	heap_uncount(heap, heap_unit(run->size));
	run_free(heap, run, bit);
	return true;
}

bool pointer_free(const struct pointer *block)
{
	if (block->run->class != RUN_LARGE)
		return heap_put_by_run(block->heap, block->run, block->ptr);
	if (!put_large(block))
		return false;
	/* From here on the run may be another's. */
	heap_uncount(block->heap, heap_unit(block->size));
	return true;
}

static void publish(struct heap *heap, struct run *run)
{
	struct run *first =
		atomic_load_explicit(&heap->remote, memory_order_relaxed);

	do
		run->next_remote = first;
	while (!atomic_compare_exchange_weak_explicit(&heap->remote, &first,
						      run, memory_order_release,
						      memory_order_relaxed));
}

static void count_remote(struct heap *heap, size_t size)
{
	atomic_fetch_add_explicit(&heap->remote_held, heap_unit(size),
				  memory_order_relaxed);
}

/* Nothing has to be folded in but the count. */
static void count_remote_large(struct heap *heap, size_t size)
{
	atomic_fetch_add_explicit(&heap->remote_large, heap_unit(size),
				  memory_order_relaxed);
	count_remote(heap, size);
}

/* Once a run is published, it may be any other before the next line. */
bool pointer_free_remote(const struct pointer *block)
{
	struct run *run = block->run;
	bool in_bump = run->class == RUN_BUMP;
	uint64_t bit, before;

	if (run->class == RUN_LARGE) {
		if (!put_large(block))
			return false;
		count_remote_large(block->heap, block->size);
		return true;
	}
	if (in_bump && !bump_free_remote(run->bump, block->ptr))
		return false;
	bit = in_bump ? 1 : bit_of(block);
	before = atomic_fetch_or_explicit(&run->remote, bit,
					  memory_order_acq_rel);
	if (!in_bump && before & bit)
		return false;
	count_remote(block->heap, block->size);
	if (!before)
		publish(block->heap, run);
	return true;
}

void run_free_remote(struct run *run, uint64_t blocks)
{
	struct heap *heap = run_heap(run);
	uint64_t units =
		heap_unit(run->size) * (uint64_t)__builtin_popcountll(blocks);
	uint64_t before = atomic_fetch_or_explicit(&run->remote, blocks,
						   memory_order_acq_rel);

	atomic_fetch_add_explicit(&heap->remote_held, units,
				  memory_order_relaxed);
	if (!before)
		publish(heap, run);
}

/* ---- what others freed ---- */

static uint64_t fold_run(struct heap *heap, struct run *run)
{
	uint64_t unit = heap_unit(run->size), before, bits, twice;

	/* One that was freed twice may have gone with its run. */
	if (run_heap(run) != heap)
		return 0;
	before = run_free_blocks(run);
	bits = atomic_exchange_explicit(&run->remote, 0, memory_order_acq_rel);
	if (run->class == RUN_BUMP)
		return bump_fold(run->bump);
	twice = bits & before;
	if (twice) {
		heap->freed_twice = run_memory(run) +
				    (size_t)__builtin_ctzll(twice) * run->size;
		atomic_fetch_sub(&heap->remote_held,
				 unit * (uint64_t)__builtin_popcountll(twice));
	}
	/* After that the run may be another's. */
	if (bits & ~before)
		run_free(heap, run, bits);
	return unit * (uint64_t)__builtin_popcountll(bits & ~before);
}

void heap_drain(struct heap *heap)
{
	struct run *run, *next;
	uint64_t units;

	units = atomic_exchange_explicit(&heap->remote_large, 0,
					 memory_order_relaxed);
	run = atomic_exchange_explicit(&heap->remote, NULL,
				       memory_order_acquire);
	for (; run; run = next) {
		next = run->next_remote;
		units += fold_run(heap, run);
	}
	heap_uncount(heap, units);
	atomic_fetch_sub_explicit(&heap->remote_held, units,
				  memory_order_release);
}

/* ---- resizing, and moving to another heap ---- */

/* As much as this is given back of a large block that shrinks. */
#define SHRINK_LEAST ((size_t)64 << 10)

static bool resize_large(const struct pointer *block, size_t size)
{
	struct chunk *chunk = chunk_of(block->ptr);
	size_t page = (size_t)1 << PAGE_BITS;
	size_t rounded = (size + 15) & ~(size_t)15;
	size_t used = (rounded + page - 1) & -page;

	if (size > chunk_size(chunk) ||
	    (size < CLASS_MOST / 2 && size < block->run->bytes))
		return false;
	heap_uncount(block->heap, heap_unit(block->run->bytes));
	heap_count(block->heap, heap_unit(rounded));
	if (block->run->bytes > used + SHRINK_LEAST)
		madvise(block->ptr + used, block->run->bytes - used,
			MADV_DONTNEED);
	block->run->bytes = rounded;
	return true;
}

bool pointer_resize(const struct pointer *block, size_t size)
{
	struct run *run = block->run;

	if (run->class == RUN_BUMP)
		return bump_resize(block->heap, run->bump, block->ptr, size);
	if (run->class == RUN_LARGE)
		return resize_large(block, size);
	return size <= run->size && size >= run->size / 2;
}

bool pointer_move(const struct pointer *block, struct heap *to)
{
	struct chunk *chunk;

	if (block->run->class != RUN_LARGE)
		return false;
	chunk = chunk_of(block->ptr);
	lock_take(&heaps);
	heap_unlink(block->heap, chunk);
	heap_link(to, chunk);
	count_remote_large(block->heap, block->size);
	atomic_store(&block->run->heap, to);
	lock_drop(&heaps);
	heap_count(to, heap_unit(block->size));
	return true;
}

/* ---- walking ---- */

static void each_in_run(struct run *run, struct pointer *block,
			void (*fn)(struct pointer *, void *arg), void *arg)
{
	uint64_t live = ~(run_free_blocks(run) | heap_load(&run->remote));

	block->size = run->size;
	for (; live; live &= live - 1) {
		block->ptr = run_memory(run) +
			     (size_t)__builtin_ctzll(live) * run->size;
		block->start = block->ptr;
		fn(block, arg);
	}
}

static void each_in_chunk(struct chunk *chunk, struct pointer *block,
			  void (*fn)(struct pointer *, void *arg), void *arg)
{
	char *at = chunk_memory(chunk), *end = at + chunk_size(chunk);

	while (at < end) {
		block->run = arena_run(at);
		block->ptr = block->start = at;
		at += block->run->kibs ? (size_t)block->run->kibs << 10 : 1024;
		if (block->run->class == RUN_LARGE) {
			block->size = block->run->bytes;
			fn(block, arg);
			return;
		}
		/* Whose it is is written last: a fork may be in the middle. */
		if (block->run->class < CLASS_COUNT &&
		    run_heap(block->run) == block->heap)
			each_in_run(block->run, block, fn, arg);
	}
}

static void each_in_area(struct bump *bump, struct pointer *block,
			 void (*fn)(struct pointer *, void *arg), void *arg)
{
	char *at;

	if (!bump->base)
		return;
	block->run = arena_run(bump->base);
	for (at = bump->base; at < bump->at; at += 16) {
		block->ptr = at;
		block->state = POINTER_FREE;
		bump_find(bump, block);
		if (block->state == POINTER_LIVE)
			fn(block, arg);
	}
}

void heap_each(struct heap *heap, void (*fn)(struct pointer *, void *arg),
	       void *arg)
{
	struct pointer block = {.heap = heap, .state = POINTER_LIVE};
	struct chunk *chunk;

	each_in_area(&heap->nursery, &block, fn, arg);
	if (heap->second)
		each_in_area(&heap->second->bump, &block, fn, arg);
	lock_take(&heaps);
	block.state = POINTER_LIVE;
	for (chunk = heap->chunks; chunk; chunk = chunk->next)
		each_in_chunk(chunk, &block, fn, arg);
	lock_drop(&heaps);
}
