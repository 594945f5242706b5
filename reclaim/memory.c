/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/memory_private.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/hold_private.h"
#include "reclaim/place_private.h"
#include "reclaim/sys_private.h"
#include "reclaim/tail_private.h"
#include "reclaim/task_private.h"
#include "reclaim/tools_private.h"

/* ---- how the process wants it ---- */

bool tools_told;
bool memory_is_libcs; /* a record for each block, and no heaps */

void memory_start(void)
{
	const char *wanted = getenv("RECLAIM_MALLOC");

	memory_is_libcs = tools_here();
	if (wanted && strcmp(wanted, "system") == 0)
		memory_is_libcs = true;
	else if (wanted && strcmp(wanted, "heap") == 0)
		memory_is_libcs = false;
	else if (wanted && *wanted)
		reclaim_say(RECLAIM_WARNING,
			    "RECLAIM_MALLOC=%s is neither \"heap\" nor "
			    "\"system\": ignored",
			    wanted);
	tools_told = !memory_is_libcs && tools_listen();
	tail_labels = tools_told || place_kept;
}

/* ---- the calling thread's heap ---- */

/* It has the quick path where nothing has to be done beside that. */
static void take_heap(struct thread *self)
{
	struct seat *seat = self->seat;
	struct memory *memory = &seat->task->memory;

	seat->heap = heap_adopt(&memory->heaps, seat->task, self);
	if (!tail_size(memory))
		self->heap = seat->quick = seat->heap;
}

/* At the very end of a thread there is none: nobody would leave it. */
static inline struct heap *heap_of(struct thread *self)
{
	if (!self->seat->heap && !self->finished && thread_watch(self) == 0)
		take_heap(self);
	return self->seat->heap;
}

/* ---- allocating ---- */

/* Whether it is as the system gave it, but for its tail. */
static bool is_zero(const void *ptr, size_t size)
{
	return size > CLASS_MOST && !tools_told && chunk_of(ptr)->zero;
}

static void *alloc_in_heap(struct thread *self, struct task *task, size_t size,
			   size_t align, size_t room)
{
	bool mine = task == self->current;
	struct heap *heap = mine ? heap_of(self)
				 : heap_adopt(&task->memory.heaps, task, self);
	void *ptr;

	if (!heap)
		return NULL;
	ptr = heap_alloc(heap, size + tail_size(&task->memory), align, room);
	if (heap->freed_twice && mine)
		hold_tell_twice(heap);
	if (!mine)
		heap_leave(heap);
	return ptr;
}

/* Of a task that was charged for it. */
static void *alloc_charged(struct thread *self, struct task *task, size_t size,
			   size_t align, bool zero, size_t room, void *place)
{
	struct memory *memory = &task->memory;
	struct pointer block;
	void *ptr = NULL;

	if (!memory_is_libcs && size <= CHUNK_MOST - tail_size(memory) &&
	    align <= CHUNK_MOST)
		ptr = alloc_in_heap(self, task, size, align, room);
	if (!ptr)
		return record_alloc(task, size, align, zero, place);
	if (tail_size(memory)) {
		pointer_find(ptr, &block);
		tail_begin(&block, memory, size, zero, place);
	}
	return zero && !is_zero(ptr, size) ? memset(ptr, 0, size) : ptr;
}

static void *alloc(size_t size, size_t align, bool zero, void *place)
{
	struct thread *self = thread_self();
	struct task *task = self->current;
	void *ptr;

	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	if (!memory_charge(&task->memory, size))
		return NULL;
	ptr = alloc_charged(self, task, size, align, zero, 0, place);
	if (ptr)
		memory_remember(&task->memory);
	else
		memory_uncharge(&task->memory, size);
	return ptr;
}

void *memory_refill(size_t size, void *place)
{
	struct thread *self = thread_self();
	void *ptr = NULL;

	if (size - 1 >= QUICK_MOST)
		return memory_alloc(size, HEAP_ALIGN, place);
	if (self->heap)
		ptr = heap_take_more(self->heap, size);
	else if (!memory_is_libcs && heap_of(self) && self->heap)
		ptr = heap_take(self->heap, size); /* the task's first */
	return ptr ? ptr : memory_alloc(size, HEAP_ALIGN, place);
}

void *memory_alloc(size_t size, size_t align, void *place)
{
	struct thread *self = thread_self();
	void *ptr = NULL;

	/* Where there is a quick path a block is no more than its bytes. */
	if (self->heap && size <= CLASS_MOST)
		ptr = heap_alloc(self->heap, size, align, 0);
	if (!ptr)
		return alloc(size, align, false, place);
	if (self->heap->freed_twice)
		hold_tell_twice(self->heap);
	return ptr;
}

void *memory_calloc(size_t n, size_t size, void *place)
{
	size_t bytes;
	void *ptr;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	ptr = memory_quick_alloc(bytes);
	return ptr ? memset(ptr, 0, bytes)
		   : alloc(bytes, HEAP_ALIGN, true, place);
}

/* ---- freeing ---- */

/*
 * Of a heap that nobody has at the moment, as one of a task that its thread has
 * left, it is the caller's for so long.  The task stays charged for the block.
 */
bool memory_free_block(struct thread *self, const struct pointer *block,
		       void *place)
{
	bool freed;

	tail_end(block, place);
	if (!heap_try(block->heap, self))
		return pointer_free_remote(block);
	freed = pointer_free(block);
	heap_leave(block->heap);
	return freed;
}

static bool free_held(struct thread *self, const struct held *held, void *place)
{
	struct memory *memory = &held->task->memory;
	size_t size = tail_asked(&held->block, memory);

	if (!memory_free_block(self, &held->block, place))
		return false;
	memory_uncharge(memory, size);
	return true;
}

/* Where all is libc's, it judges itself. */
static bool may_be_libcs(void *ptr, const char *did, void *place)
{
	return (memory_is_libcs && !sys_has(ptr)) ||
	       hold_may_be_libcs(ptr, did, place);
}

void memory_free(void *ptr, void *place)
{
	struct thread *self = thread_self();
	struct held held;
	int saved;
	bool freed;

	if (!ptr)
		return;
	saved = errno;
	if (!arena_has(ptr)) {
		if (may_be_libcs(ptr, "free", place))
			record_free(self->current, ptr, place);
	} else if (hold(self, ptr, "free", place, &held) == HELD) {
		freed = free_held(self, &held, place);
		hold_drop(&held);
		if (!freed) {
			held.block.state = POINTER_FREE;
			hold_refuse(&held.block, "free", place);
		}
	}
	errno = saved;
}

void memory_free_by_run(struct heap *heap, struct run *run, void *ptr)
{
	if (!heap_put_by_run(heap, run, ptr))
		memory_free(ptr, NULL);
}

/* ---- resizing ---- */

/*
 * What grows beyond this grows again: it gets room for that where it is, of
 * which only what is used is ever resident.
 */
#define GROWING_FROM 4096
#define GROWING_ROOM 65536

static size_t room_for(const struct pointer *block, size_t size)
{
	if (size <= block->size || size < GROWING_FROM)
		return 0;
	return size < GROWING_ROOM ? GROWING_ROOM : size;
}

static bool is_mine(const struct thread *self, const struct heap *heap)
{
	return atomic_load_explicit(&heap->owner, memory_order_relaxed) == self;
}

/* A block of a class stays as it is; of others only their owner makes more. */
static bool resize_here(struct thread *self, struct held *held, size_t size)
{
	struct memory *memory = &held->task->memory;
	struct pointer *block = &held->block;
	size_t before = tail_asked(block, memory);
	size_t more = size > before ? size - before : 0;
	void *acquired = tail_label(block).acquired;

	if (tools_told ||
	    (block->run->class >= CLASS_COUNT && !is_mine(self, block->heap)) ||
	    !memory_charge(memory, more))
		return false;
	if (!pointer_resize(block, size + tail_size(memory))) {
		memory_uncharge(memory, more);
		return false;
	}
	memory_uncharge(memory, before + more - size);
	pointer_find(block->ptr, block);
	tail_resize(block, memory, size, acquired);
	return true;
}

static void *move(struct thread *self, struct held *held, size_t size,
		  void *place)
{
	struct memory *memory = &held->task->memory;
	struct pointer *block = &held->block;
	size_t before = tail_asked(block, memory);
	size_t more = size > before ? size - before : 0;
	void *moved;

	if (!memory_charge(memory, more))
		return NULL;
	moved = alloc_charged(self, held->task, size, HEAP_ALIGN, false,
			      room_for(block, size), place);
	if (!moved) {
		memory_uncharge(memory, more);
		return NULL;
	}
	memcpy(moved, block->ptr, before < size ? before : size);
	if (memory_free_block(self, block, place))
		memory_uncharge(memory, before + more - size);
	return moved;
}

static void *realloc_outside(struct thread *self, void *ptr, size_t size,
			     void *place)
{
	if (may_be_libcs(ptr, "realloc", place))
		return record_realloc(self->current, ptr, size, place);
	errno = EINVAL;
	return NULL;
}

void *memory_realloc(void *ptr, size_t size, void *place)
{
	struct thread *self = thread_self();
	struct held held;

	if (!ptr)
		return memory_alloc(size, HEAP_ALIGN, place);
	if (!arena_has(ptr))
		return realloc_outside(self, ptr, size, place);
	if (hold(self, ptr, "realloc", place, &held) != HELD) {
		errno = EINVAL;
		return NULL;
	}
	if (size == 0) {
		/* As in glibc: a free. */
		free_held(self, &held, place);
		ptr = NULL;
	} else if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		ptr = NULL;
	} else if (!resize_here(self, &held, size)) {
		ptr = move(self, &held, size, place);
	}
	if (ptr)
		memory_remember(&held.task->memory);
	hold_drop(&held);
	return ptr;
}

/* ---- giving ---- */

static void *give_copy(struct thread *self, struct held *held, struct task *to,
		       size_t size)
{
	struct pointer *block = &held->block;
	void *given = alloc_charged(self, to, size, HEAP_ALIGN, false, 0,
				    tail_label(block).acquired);

	if (!given)
		return NULL;
	memcpy(given, block->ptr, size);
	free_held(self, held, NULL);
	return given;
}

/* A large block stays where it is, if nothing is behind it. */
static bool give_in_place(struct thread *self, struct held *held,
			  struct task *to)
{
	struct memory *from = &held->task->memory;
	struct heap *heap;
	bool moved;

	if (held->block.run->class != RUN_LARGE ||
	    tail_size(from) != tail_size(&to->memory))
		return false;
	heap = heap_adopt(&to->memory.heaps, to, self);
	if (!heap)
		return false;
	moved = pointer_move(&held->block, heap);
	heap_leave(heap);
	if (moved)
		memory_uncharge(from, tail_asked(&held->block, from));
	return moved;
}

static void *give(struct thread *self, struct held *held, struct task *to)
{
	size_t size = tail_asked(&held->block, &held->task->memory);
	void *given = held->block.ptr;

	if (!memory_charge(&to->memory, size))
		return NULL;
	if (!give_in_place(self, held, to))
		given = give_copy(self, held, to, size);
	if (given)
		memory_remember(&to->memory);
	else
		memory_uncharge(&to->memory, size);
	return given;
}

void *memory_give(void *ptr, struct task *to)
{
	struct thread *self = thread_self();
	struct held held;
	int error;

	if (ptr && !arena_has(ptr))
		return record_give(self->current, ptr, to);
	error = ptr ? hold_to_give(self, ptr, &held) : EINVAL;
	if (!error)
		return held.task == to ? ptr : give(self, &held, to);
	errno = error;
	return NULL;
}

void *reclaim_give(void *ptr, reclaim_tid to)
{
	struct task *receiver;
	void *given = NULL;

	thread_self();
	lock_take(&tables);
	receiver = task_find_receiver(to);
	if (receiver)
		given = memory_give(ptr, receiver);
	lock_drop(&tables);
	return given;
}

/* ---- all of a task's ---- */

static void tell_freed(struct pointer *block, void *arg)
{
	(void)arg;
	tools_freed(block->ptr, tail_label(block).size);
}

/* A thread that is not in a forked child may have been telling them itself. */
static RARE void tell_tools(struct heap *heap)
{
	for (; heap; heap = heap->next) {
		if (heap->given_up)
			tools_may_know(true);
		heap_each(heap, tell_freed, NULL);
		if (heap->given_up)
			tools_may_know(false);
	}
}

void memory_end_heaps(struct heap *first, struct thread *self)
{
	if (tools_told)
		tell_tools(first);
	heap_end(first, self);
}

void memory_end(struct task *task)
{
	struct thread *self = thread_self();
	struct memory *memory = &task->memory;
	struct heap *first;

	lock_take(&tables);
	first = memory_take_heaps(memory);
	lock_drop(&tables);
	memory_end_heaps(first, self);
	if (self->current == task) {
		self->seat->heap = self->seat->quick = NULL;
		self->heap = NULL;
	}
	if (records_any(&memory->records))
		records_end(&memory->records);
}

void memory_figures(struct memory *memory, struct heap_figures *figures)
{
	struct heap *heap = atomic_load(&memory->heaps);
	struct records records;

	records_figures(&memory->records, &records);
	*figures = (struct heap_figures){
		.blocks = records.blocks,
		.bytes = records.bytes,
		.peak_bytes = records.peak_bytes,
	};
	for (; heap; heap = heap->next)
		heap_figures(heap, figures);
	if (memory->max_bytes) {
		figures->bytes = atomic_load(&memory->charged);
		figures->peak_bytes = atomic_load(&memory->peak_charged);
	}
}

struct each {
	void (*fn)(void *place, size_t bytes, void *arg);
	void *arg;
};

static void each_block(struct pointer *block, void *arg)
{
	struct label label = tail_label(block);
	struct each *each = arg;

	each->fn(label.acquired, label.size, each->arg);
}

void memory_each(struct memory *memory,
		 void (*fn)(void *place, size_t bytes, void *arg), void *arg)
{
	struct heap *heap = atomic_load(&memory->heaps);
	struct each each = {.fn = fn, .arg = arg};

	for (; tail_labels && heap; heap = heap->next)
		heap_each(heap, each_block, &each);
	records_each(&memory->records, fn, arg);
}

/* ---- fork ---- */

void memory_lock(void)
{
	lock_take(&heaps);
	records_lock();
	sys_lock();
}

void memory_unlock(void)
{
	sys_unlock();
	records_unlock();
	lock_drop(&heaps);
}

void memory_forked(struct memory *memory)
{
	heap_forked(atomic_load(&memory->heaps), thread_self());
}
