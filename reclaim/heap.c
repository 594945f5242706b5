/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/heap_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/thread_private.h"

/* ---- heaps that are nobody's ---- */

/*
 * An idle heap keeps its bump areas, 12 KiB, ready for the next task: a few in
 * each thread, which take no lock, and some for all.  The rest are bare.
 */
#define SPARES_MOST 8
#define IDLE_HEAPS  64

static struct heap *idle, *bare; /* under `heaps` */
static unsigned idles;

static struct heap *pop(struct heap **list)
{
	struct heap *heap = *list;

	if (heap)
		*list = heap->next;
	return heap;
}

static void push(struct heap **list, struct heap *heap)
{
	heap->next = *list;
	*list = heap;
}

static void put_idle(struct heap *heap)
{
	if (idles < IDLE_HEAPS) {
		push(&idle, heap);
		idles++;
		return;
	}
	bump_close(&heap->nursery);
	if (heap->second)
		bump_close(&heap->second->bump);
	push(&bare, heap);
}

static struct heap *make_heap(void)
{
	struct heap *heap = aligned_alloc(64, (sizeof(*heap) + 63) & -64u);

	if (!heap)
		return NULL;
	memset(heap, 0, sizeof(*heap));
	heap->nursery.tags = heap->nursery_tags;
	heap->bump = &heap->nursery;
	heap->current = no_current;
	return heap;
}

/* One that was put_idle, or is as good. */
static RARE struct heap *get_idle(void)
{
	struct heap *heap;

	lock_take(&heaps);
	heap = pop(&idle);
	if (heap)
		idles--;
	else
		heap = pop(&bare);
	if (!heap)
		heap = make_heap();
	if (heap && !bump_open(heap, &heap->nursery, NURSERY_ORDER)) {
		push(&bare, heap);
		heap = NULL;
	}
	lock_drop(&heaps);
	return heap;
}

static inline struct heap *get_heap(struct thread *self)
{
	struct heap *heap = pop(&self->spare_heaps);

	if (!heap)
		return get_idle();
	self->spares--;
	return heap;
}

static RARE void put_all_idle(struct heap *list)
{
	struct heap *heap;

	lock_take(&heaps);
	while ((heap = pop(&list)))
		put_idle(heap);
	lock_drop(&heaps);
}

static inline void put_heap(struct heap *heap, struct thread *self)
{
	if (self->spares < SPARES_MOST && self->watched) {
		push(&self->spare_heaps, heap);
		self->spares++;
	} else {
		heap->next = NULL;
		put_all_idle(heap);
	}
}

void heap_thread_gone(struct thread *self)
{
	put_all_idle(self->spare_heaps);
	self->spare_heaps = NULL;
	self->spares = 0;
}

/* ---- having one ---- */

bool heap_try(struct heap *heap, struct thread *self)
{
	struct thread *owner =
		atomic_load_explicit(&heap->owner, memory_order_acquire);

	if (owner && owner != self)
		return false;
	if (!owner && (heap->given_up || !atomic_compare_exchange_strong(
						 &heap->owner, &owner, self)))
		return false;
	lock_was_taken(heap);
	heap->uses++;
	return true;
}

static void add(_Atomic(struct heap *) *list, struct heap *first,
		struct heap *heap)
{
	heap->next = first;
	if (__libc_single_threaded)
		atomic_store_explicit(list, heap, memory_order_relaxed);
	else
		while (!atomic_compare_exchange_weak(list, &first, heap))
			heap->next = first;
}

static RARE struct heap *try_each(struct heap *first, struct thread *self)
{
	struct heap *heap;

	for (heap = first; heap; heap = heap->next)
		if (heap_try(heap, self))
			return heap;
	return NULL;
}

struct heap *heap_adopt(_Atomic(struct heap *) *list, struct task *task,
			struct thread *self)
{
	struct heap *first = atomic_load(list);
	struct heap *heap = first ? try_each(first, self) : NULL;

	if (heap)
		return heap;
	heap = get_heap(self);
	if (!heap)
		return NULL;
	heap->uses = 1;
	atomic_store_explicit(&heap->task, task, memory_order_relaxed);
	atomic_store_explicit(&heap->owner, self, memory_order_relaxed);
	add(list, first, heap);
	return heap;
}

void heap_forked(struct heap *list, const struct thread *self)
{
	struct heap *heap;
	struct thread *owner;

	for (heap = list; heap; heap = heap->next) {
		owner = atomic_load_explicit(&heap->owner,
					     memory_order_relaxed);
		if (!owner || owner == self)
			continue;
		heap->given_up = true;
		atomic_store_explicit(&heap->owner, NULL, memory_order_relaxed);
	}
}

/* ---- chunks ---- */

void heap_link(struct heap *heap, struct chunk *chunk)
{
	chunk->prev = NULL;
	chunk->next = heap->chunks;
	if (chunk->next)
		chunk->next->prev = chunk;
	heap->chunks = chunk;
}

void heap_unlink(struct heap *heap, struct chunk *chunk)
{
	if (chunk->next)
		chunk->next->prev = chunk->prev;
	if (chunk->prev)
		chunk->prev->next = chunk->next;
	else
		heap->chunks = chunk->next;
}

/* ---- allocating ---- */

/* What serves a block: a class, or CLASS_COUNT for a chunk of its own. */
static unsigned class_for(size_t size, size_t align)
{
	unsigned class;

	if (size > CLASS_MOST || align > 1024)
		return CLASS_COUNT;
	if (align <= HEAP_ALIGN)
		return class_of(size);
	/* Runs begin at a KiB; so blocks of a multiple are aligned. */
	class = class_of(size > align ? size : align);
	while (class < CLASS_COUNT && class_size[class] & (align - 1))
		class ++;
	return class;
}

static void *alloc_large(struct heap *heap, size_t size, size_t least)
{
	unsigned order = chunk_order(least);
	struct chunk *chunk = NULL;
	struct run *run;

	lock_take(&heaps);
	if (least <= CHUNK_MOST)
		chunk = chunk_get(order);
	if (chunk)
		heap_link(heap, chunk);
	lock_drop(&heaps);
	if (!chunk) {
		errno = ENOMEM;
		return NULL;
	}
	run = chunk_describe(chunk, heap, RUN_LARGE, NULL);
	run->bytes = (size + 15) & ~(size_t)15;
	heap_count(heap, heap_unit(run->bytes));
	return chunk_memory(chunk);
}

static bool has_classes(struct heap *heap)
{
	if (heap->classes)
		return true;
	heap->classes = malloc(sizeof(*heap->classes));
	if (!heap->classes) {
		errno = ENOMEM;
		return false;
	}
	classes_reset(heap->classes);
	heap->current = heap->classes->current;
	return true;
}

static void *alloc_in_run(struct heap *heap, unsigned class)
{
	struct run *run;
	void *ptr;

	if (!has_classes(heap))
		return NULL;
	ptr = run_take(heap, heap->current[class]);
	if (ptr)
		return ptr;
	run = run_refill(heap, class);
	return run ? run_take(heap, run) : NULL;
}

void *heap_take_more(struct heap *heap, size_t size)
{
	if (heap_load(&heap->remote_held))
		return NULL;
	if (heap->classes)
		return run_take_partial(heap,
					class_of_granules[(size + 15) / 16]);
	return bump_next(heap) ? heap_take(heap, size) : NULL;
}

void *heap_alloc(struct heap *heap, size_t size, size_t align, size_t room)
{
	unsigned class = class_for(size, align);
	size_t least = size > align ? size : align;
	void *ptr = NULL;

	if (heap_load(&heap->remote_held))
		heap_drain(heap);
	if (room > least)
		return alloc_large(heap, size, room);
	if (class == CLASS_COUNT)
		return alloc_large(heap, size, least);
	if (align <= HEAP_ALIGN && least <= QUICK_MOST) {
		ptr = heap_take(heap, least);
		if (!ptr && bump_next(heap))
			ptr = heap_take(heap, least);
	}
	return ptr ? ptr : alloc_in_run(heap, class);
}

/* ---- the end ---- */

static RARE void put_chunks(struct heap *heap)
{
	struct chunk *chunk, *next;

	lock_take(&heaps);
	for (chunk = heap->chunks; chunk; chunk = next) {
		next = chunk->next;
		chunk_forget(chunk);
		chunk_put(chunk);
	}
	arena_tick();
	lock_drop(&heaps);
	heap->chunks = NULL;
	if (heap->classes)
		classes_reset(heap->classes);
}

/* What other threads freed and nobody folded in. */
static RARE void forget_others(struct heap *heap)
{
	atomic_store_explicit(&heap->remote, NULL, memory_order_relaxed);
	heap_store(&heap->remote_held, 0);
	heap_store(&heap->remote_large, 0);
	bump_forget_others(&heap->nursery);
	if (heap->second)
		bump_forget_others(&heap->second->bump);
}

/* Its thread may have been anywhere when it went. */
static RARE void renew(struct heap *heap)
{
	heap->given_up = false;
	bump_renew(&heap->nursery);
	if (heap->second)
		bump_renew(&heap->second->bump);
	if (heap->classes)
		classes_reset(heap->classes);
}

/* As one that was never used. */
static inline void retire(struct heap *heap)
{
	atomic_store_explicit(&heap->task, NULL, memory_order_relaxed);
	atomic_store_explicit(&heap->owner, NULL, memory_order_relaxed);
	if (heap->chunks)
		put_chunks(heap);
	if (heap_load(&heap->remote_held) ||
	    atomic_load_explicit(&heap->remote, memory_order_relaxed))
		forget_others(heap);
	heap_store(&heap->held, 0);
	heap_store(&heap->peak, 0);
	heap->freed_twice = NULL;
	if (heap->given_up)
		renew(heap);
	bump_reset(&heap->nursery);
	if (heap->second)
		bump_reset(&heap->second->bump);
	heap->bump = &heap->nursery;
}

void heap_end(struct heap *heap, struct thread *self)
{
	struct heap *next;

	for (; heap; heap = next) {
		next = heap->next;
		retire(heap);
		put_heap(heap, self);
	}
}

/* ---- figures ---- */

/*
 * What was freed by others may be folded in meanwhile; less than nothing for
 * good is what was freed twice at once.
 */
static uint64_t held_now(struct heap *heap)
{
	uint64_t held, remote;
	int tries = 0;

	do {
		if (++tries > 100)
			return 0;
		remote = atomic_load_explicit(&heap->remote_held,
					      memory_order_acquire);
		held = atomic_load_explicit(&heap->held, memory_order_acquire);
	} while ((int64_t)(held - remote) < 0);
	return held - remote;
}

void heap_figures(struct heap *heap, struct heap_figures *sum)
{
	uint64_t held = held_now(heap), peak = heap_load(&heap->peak);

	if (peak < held)
		peak = held;
	sum->blocks += (size_t)(held & (((uint64_t)1 << UNIT_BITS) - 1));
	sum->bytes += (size_t)(held >> UNIT_BITS) * 16;
	sum->peak_bytes += (size_t)(peak >> UNIT_BITS) * 16;
}
