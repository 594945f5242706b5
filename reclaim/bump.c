/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bump - a heap's first blocks, one behind the other
 *
 * What was freed at the end of the area is used again; what was freed before
 * it waits for that.
 */
#include "config.h"

#include "reclaim/heap_private.h"

#include <stdlib.h>
#include <string.h>

static uint8_t tag_at(const struct bump *bump, size_t granule)
{
	return __atomic_load_n(&bump->tags[granule], __ATOMIC_RELAXED);
}

/* ---- areas ---- */

static struct run *run_of_area(const struct bump *bump)
{
	return arena_run(bump->base);
}

bool bump_open(struct heap *heap, struct bump *bump, unsigned order)
{
	struct chunk *chunk;

	if (bump->base)
		return true;
	chunk = chunk_get(order);
	if (!chunk)
		return false;
	chunk_describe(chunk, heap, RUN_BUMP, bump);
	bump->base = bump->at = chunk_memory(chunk);
	bump->end = bump->base + chunk_size(chunk);
	return true;
}

void bump_close(struct bump *bump)
{
	struct chunk *chunk;

	if (!bump->base)
		return;
	chunk = chunk_of(bump->base);
	chunk_forget(chunk);
	chunk_put(chunk);
	bump->base = bump->at = bump->end = NULL;
}

void bump_renew(struct bump *bump)
{
	if (!bump->base)
		return;
	bump->at = bump->base;
	memset(bump->tags, 0, (size_t)(bump->end - bump->base) / 16);
}

void bump_forget_others(struct bump *bump)
{
	if (bump->base)
		atomic_store_explicit(&run_of_area(bump)->remote, 0,
				      memory_order_relaxed);
}

static bool open_second(struct heap *heap)
{
	bool open;

	if (!heap->second) {
		heap->second = calloc(1, sizeof(*heap->second));
		if (!heap->second)
			return false;
		heap->second->bump.tags = heap->second->tags;
	}
	lock_take(&heaps);
	open = bump_open(heap, &heap->second->bump, SECOND_ORDER);
	lock_drop(&heaps);
	return open;
}

/* Let go of what is free at the end. */
static bool retract(struct bump *bump)
{
	size_t granule = (size_t)(bump->at - bump->base) / 16, top = granule;
	uint8_t tag;

	if (!bump->holes)
		return false;
	bump->holes = false;
	while (granule > 0) {
		tag = tag_at(bump, --granule);
		if (tag == 0)
			continue;
		if ((tag & (TAG_FREE | TAG_REMOTE)) != TAG_FREE)
			break;
		bump->tags[granule] = 0;
		top = granule;
	}
	if (bump->base + top * 16 == bump->at)
		return false;
	bump->at = bump->base + top * 16;
	return true;
}

static size_t left(const struct bump *bump)
{
	return (size_t)(bump->end - bump->at);
}

bool bump_next(struct heap *heap)
{
	if (retract(heap->bump))
		return true;
	if (heap->bump != &heap->nursery) {
		/* The first may have been emptied meanwhile. */
		retract(&heap->nursery);
		if (left(&heap->nursery) <= left(heap->bump))
			return false;
		heap->bump = &heap->nursery;
		return true;
	}
	if (!open_second(heap))
		return false;
	heap->bump = &heap->second->bump;
	return true;
}

/* ---- blocks ---- */

/* By anybody: what is told of a live block was written before it was one. */
void bump_find(const struct bump *bump, struct pointer *block)
{
	size_t granule = (size_t)(block->ptr - bump->base) / 16;
	uint8_t tag = tag_at(bump, granule);

	if (!tag && block->ptr >= bump->at)
		return;
	while (!tag && granule > 0)
		tag = tag_at(bump, --granule);
	block->start = bump->base + granule * 16;
	block->size = (size_t)(tag & (TAG_FREE - 1)) * 16;
	if (block->ptr != block->start)
		block->state = POINTER_INSIDE;
	else if (!(tag & (TAG_FREE | TAG_REMOTE)))
		block->state = POINTER_LIVE;
}

bool bump_resize(struct heap *heap, struct bump *bump, char *ptr, size_t size)
{
	uint8_t *tag = &bump->tags[(size_t)(ptr - bump->base) / 16];
	size_t before = (size_t)*tag * 16;

	if (ptr + before != bump->at || size > QUICK_MOST ||
	    size > before + left(bump))
		return size <= before && size >= before / 2;
	size = (size + 15 + !size) & ~(size_t)15;
	heap_uncount(heap, heap_unit(before));
	heap_count(heap, heap_unit(size));
	*tag = (uint8_t)(size / 16);
	bump->at = ptr + size;
	return true;
}

/* Once it is marked, its owner may make anything of it. */
bool bump_free_remote(struct bump *bump, const char *ptr)
{
	uint8_t *at = &bump->tags[(size_t)(ptr - bump->base) / 16];
	uint8_t tag = __atomic_load_n(at, __ATOMIC_RELAXED);

	return !(tag & (TAG_FREE | TAG_REMOTE)) &&
	       __atomic_compare_exchange_n(at, &tag, tag | TAG_REMOTE, false,
					   __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

uint64_t bump_fold(struct bump *bump)
{
	size_t granule, n = (size_t)(bump->at - bump->base) / 16;
	uint64_t units = 0;
	uint8_t tag;

	for (granule = 0; granule < n; granule++) {
		tag = __atomic_load_n(&bump->tags[granule], __ATOMIC_ACQUIRE);
		if (!(tag & TAG_REMOTE))
			continue;
		tag &= TAG_FREE - 1;
		units += heap_unit((size_t)tag * 16);
		__atomic_store_n(&bump->tags[granule], tag | TAG_FREE,
				 __ATOMIC_RELAXED);
	}
	bump->holes = true;
	retract(bump);
	return units;
}
