/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/memory_private.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/hash_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/task_private.h"
#include "reclaim/tools_private.h"

/* ---- how the process wants it ---- */

bool tools_told;
static bool system_only; /* a record for each block, and no heaps */

/*
 * Behind each block, where places are kept or tools are told.  To the tools
 * it is closed, and what runs over the block's end runs into it.
 */
struct label {
	void *acquired, *freed; /* places */
	size_t size;		/* as asked for */
	size_t unused;
};

static size_t label_size; /* 0: there is none */

/*
 * In a task with a limit what was asked for is counted to the byte: without a
 * label the end of a block says how much less that was.
 */
typedef uint16_t slack_t;

static size_t tail_size(const struct memory *memory)
{
	if (label_size)
		return label_size;
	return memory->max_bytes ? sizeof(slack_t) : 0;
}

void memory_start(void)
{
	const char *wanted = getenv("RECLAIM_MALLOC");

	system_only = tools_here();
	if (wanted && strcmp(wanted, "system") == 0)
		system_only = true;
	else if (wanted && strcmp(wanted, "heap") == 0)
		system_only = false;
	else if (wanted && *wanted)
		reclaim_say(RECLAIM_WARNING,
			    "RECLAIM_MALLOC=%s is neither \"heap\" nor "
			    "\"system\": ignored",
			    wanted);
	tools_told = !system_only && tools_listen();
	if (tools_told || place_kept)
		label_size = sizeof(struct label);
}

/* ---- labels ---- */

static struct label *label_of(const struct block *block)
{
	struct label *label = (void *)(block->start + block->size);

	return --label;
}

static struct label read_label(const struct block *block)
{
	struct label *label = label_of(block), copy;

	tools_open(label, sizeof(*label));
	copy = *label;
	tools_close(label, sizeof(*label));
	return copy;
}

static void write_label(const struct block *block, const struct label *copy)
{
	struct label *label = label_of(block);

	tools_open(label, sizeof(*label));
	*label = *copy;
	tools_close(label, sizeof(*label));
}

static void write_slack(const struct block *block, size_t size)
{
	slack_t slack = (slack_t)(block->size - size);

	memcpy(block->start + block->size - sizeof(slack), &slack,
	       sizeof(slack));
}

/* What the program asked for, as far as that is known. */
static size_t asked_for(const struct block *block, const struct memory *memory)
{
	slack_t slack;

	if (label_size)
		return read_label(block).size;
	if (!memory->max_bytes)
		return block->size;
	memcpy(&slack, block->start + block->size - sizeof(slack),
	       sizeof(slack));
	return slack <= block->size ? block->size - slack : 0;
}

/* ---- the calling thread's heap ---- */

void memory_seat(struct thread *self)
{
	bool quick = !label_size && !self->current->memory.max_bytes;

	self->heap = quick ? *self->seat : NULL;
}

static struct heap *heap_of(struct thread *self)
{
	struct task *task = self->current;

	if (!*self->seat && thread_watch() == 0) {
		*self->seat = heap_adopt(&task->memory.heaps, task, self);
		memory_seat(self);
	}
	return *self->seat;
}

void memory_leave(struct heap **heap)
{
	if (*heap)
		heap_leave(*heap);
	*heap = NULL;
}

/* ---- wrong use ---- */

static void name_owner(const struct block *block, struct misuse *misuse)
{
	struct task *task;

	if (!block->heap)
		return;
	lock_take(&tables);
	task = atomic_load_explicit(&block->heap->task, memory_order_relaxed);
	if (task)
		report_label(task, misuse->owner, sizeof(misuse->owner));
	lock_drop(&tables);
}

static void name_thing(const struct block *block, struct misuse *misuse)
{
	struct label label = {.size = block->size};

	if (block->start && label_size)
		label = read_label(block);
	misuse->acquired = label.acquired;
	if (block->state == BLOCK_FREE)
		misuse->freed = label.freed;
	if (block->state == BLOCK_NOT_ONE || !block->start)
		snprintf(misuse->thing, sizeof(misuse->thing), "pointer %p",
			 block->ptr);
	else if (block->state == BLOCK_INSIDE)
		snprintf(misuse->thing, sizeof(misuse->thing),
			 "pointer %p, %zu bytes behind the beginning of block "
			 "%p of %zu bytes",
			 block->ptr, (size_t)(block->ptr - block->start),
			 block->start, label.size);
	else
		snprintf(misuse->thing, sizeof(misuse->thing),
			 "block %p of %zu bytes", block->ptr, label.size);
}

static void tell(int what, const char *did, const struct block *block,
		 void *place)
{
	struct misuse misuse = {.what = what, .did = did, .place = place};

	name_thing(block, &misuse);
	name_owner(block, &misuse);
	report_misuse(&misuse);
}

static void tell_of_state(const struct block *block, const char *did,
			  void *place)
{
	static const int what[] = {
		[BLOCK_FREE] = RECLAIM_DOUBLE_FREE,
		[BLOCK_INSIDE] = RECLAIM_INTERIOR_FREE,
		[BLOCK_NOT_ONE] = RECLAIM_FOREIGN_FREE,
	};

	tell(what[block->state], did, block, place);
}

/* Freed by its own thread and by another: seen when that is folded in. */
static void tell_of_twice(struct thread *self, struct heap *heap)
{
	struct block block;

	block_find(heap->freed_twice, self, &block);
	heap->freed_twice = NULL;
	block.state = BLOCK_FREE;
	tell(RECLAIM_DOUBLE_FREE, "free", &block, NULL);
}

/*
 * Nothing that libc allocated: not aligned as it aligns, in an object that
 * is loaded, or nowhere.
 */
static bool is_foreign(void *ptr)
{
#ifdef HAVE__DL_FIND_OBJECT
	struct dl_find_object object;

	if (_dl_find_object(ptr, &object) == 0)
		return true;
#endif
	return (uintptr_t)ptr % (2 * sizeof(void *)) != 0;
}

static bool may_be_libcs(void *ptr, const char *did, void *place)
{
	struct block block = {.state = BLOCK_NOT_ONE, .ptr = ptr};

	if (system_only || record_has(ptr) || !is_foreign(ptr))
		return true;
	tell_of_state(&block, did, place);
	return false;
}

bool memory_may_be_callers(void *ptr, const char *did, void *place)
{
	struct block block;

	if (!arena_has(ptr))
		return true;
	block_find(ptr, thread_self(), &block);
	if (block.state == BLOCK_LIVE || block.state == BLOCK_MAY_BE)
		tell(RECLAIM_WRONG_FAMILY, did, &block, place);
	else
		tell_of_state(&block, did, place);
	return false;
}

/* ---- whose a block is ---- */

static bool is_mine(const struct thread *self, const struct block *block)
{
	return atomic_load_explicit(&block->heap->owner,
				    memory_order_relaxed) == self;
}

static struct task *task_of(const struct block *block)
{
	return block->heap ? atomic_load_explicit(&block->heap->task,
						  memory_order_relaxed)
			   : NULL;
}

static bool is_live(const struct block *block)
{
	return block->state == BLOCK_LIVE || block->state == BLOCK_MAY_BE;
}

/* The current task, or one above it: which cannot end before it. */
static bool stays(const struct task *task)
{
	const struct task *mine = task_self();

	while (mine && mine != task)
		mine = mine->parent;
	return mine;
}

/*
 * A block is held while something is done to it: what belongs to a task below
 * could be released meanwhile, unless the tables are locked.
 */
struct held {
	struct block block;
	struct task *task;
	bool locked;
};

enum { HELD, GONE, REFUSED };

static void let_go(struct held *held)
{
	if (held->locked)
		lock_drop(&tables);
	held->locked = false;
}

/* What a task below has.  One that is being released goes with its memory. */
static int hold_below(struct thread *self, void *ptr, struct held *held)
{
	struct task *task;

	lock_take(&tables);
	held->locked = true;
	block_find(ptr, self, &held->block);
	held->task = task = task_of(&held->block);
	if (!is_live(&held->block) || !task)
		return REFUSED;
	if (!task_is_below(task, self->current) && !stays(task))
		return REFUSED;
	return task->state < TASK_ENDING || stays(task) ? HELD : GONE;
}

/* Refuses, and says so, what `self` may not touch. */
static int hold(struct thread *self, void *ptr, const char *did, void *place,
		struct held *held)
{
	int result = HELD;

	held->locked = false;
	block_find(ptr, self, &held->block);
	held->task = task_of(&held->block);
	if (!is_live(&held->block) || !held->task)
		result = REFUSED;
	else if (!stays(held->task))
		result = hold_below(self, ptr, held);
	if (result == HELD)
		return HELD;
	let_go(held);
	if (result == GONE)
		return GONE;
	if (is_live(&held->block) && held->task)
		tell(RECLAIM_STRANGERS, did, &held->block, place);
	else {
		if (is_live(&held->block))
			held->block.state = BLOCK_FREE;
		tell_of_state(&held->block, did, place);
	}
	return REFUSED;
}

/* ---- allocating ---- */

/* A new block: what is behind it, and what the tools are told. */
static void dress(struct thread *self, const struct memory *memory, void *ptr,
		  size_t size, bool zero, void *place)
{
	struct label label = {.acquired = place, .size = size};
	struct block block;

	if (tail_size(memory)) {
		block_find(ptr, self, &block);
		if (label_size)
			write_label(&block, &label);
		else
			write_slack(&block, size);
	}
	tools_allocated(ptr, size, zero);
}

/* Whether it is as the system gave it, but for what dress wrote. */
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
		tell_of_twice(self, heap);
	if (!mine)
		heap_leave(heap);
	return ptr;
}

/* Of a task that was charged for it. */
static void *alloc_charged(struct thread *self, struct task *task, size_t size,
			   size_t align, bool zero, size_t room, void *place)
{
	struct memory *memory = &task->memory;
	void *ptr = NULL;

	if (!system_only && size <= CHUNK_MOST - tail_size(memory) &&
	    align <= CHUNK_MOST)
		ptr = alloc_in_heap(self, task, size, align, room);
	if (!ptr)
		return record_alloc(task, size, align, zero, place);
	dress(self, memory, ptr, size, zero, place);
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
	if (!ptr)
		memory_uncharge(&task->memory, size);
	return ptr;
}

void *memory_refill(size_t size, void *place)
{
	struct heap *heap = thread_of_caller.heap;
	void *ptr = NULL;

	if (heap && size <= QUICK_MOST)
		ptr = run_take_partial(heap,
				       class_of_granules[(size + 15) / 16]);
	return ptr ? ptr : memory_alloc(size, HEAP_ALIGN, place);
}

void *memory_alloc(size_t size, size_t align, void *place)
{
	struct thread *self = thread_self();
	void *ptr = NULL;

	if (!*self->seat && !system_only)
		heap_of(self);
	/* Where there is a quick path a block is no more than its bytes. */
	if (self->heap && size <= CLASS_MOST)
		ptr = heap_alloc(self->heap, size, align, 0);
	if (!ptr)
		return alloc(size, align, false, place);
	if (self->heap->freed_twice)
		tell_of_twice(self, self->heap);
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

/* The task stays charged for it. */
static bool free_block(struct thread *self, const struct block *block,
		       void *place)
{
	struct label label;

	if (label_size) {
		label = read_label(block);
		tools_freed(block->ptr, label.size);
		label.freed = place;
		write_label(block, &label);
	}
	return is_mine(self, block) ? block_free(block)
				    : block_free_remote(block);
}

static bool free_held(struct thread *self, const struct held *held, void *place)
{
	struct memory *memory = &held->task->memory;
	size_t size = asked_for(&held->block, memory);

	if (!free_block(self, &held->block, place))
		return false;
	memory_uncharge(memory, size);
	return true;
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
		let_go(&held);
		if (!freed) {
			held.block.state = BLOCK_FREE;
			tell_of_state(&held.block, "free", place);
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

static size_t room_for(const struct block *block, size_t size)
{
	if (size <= block->size || size < GROWING_FROM)
		return 0;
	return size < GROWING_ROOM ? GROWING_ROOM : size;
}

static void dress_anew(struct thread *self, const struct memory *memory,
		       struct block *block, size_t size, void *acquired)
{
	block_find(block->ptr, self, block);
	if (tail_size(memory))
		dress(self, memory, block->ptr, size, false, acquired);
}

/* A block of a class stays as it is; of others only their owner makes more. */
static bool resize_here(struct thread *self, struct held *held, size_t size)
{
	struct memory *memory = &held->task->memory;
	struct block *block = &held->block;
	size_t before = asked_for(block, memory);
	size_t more = size > before ? size - before : 0;
	void *acquired = label_size ? read_label(block).acquired : NULL;

	if (tools_told ||
	    (block->run->class >= CLASS_COUNT && !is_mine(self, block)) ||
	    !memory_charge(memory, more))
		return false;
	if (!block_resize(block, size + tail_size(memory))) {
		memory_uncharge(memory, more);
		return false;
	}
	memory_uncharge(memory, before + more - size);
	dress_anew(self, memory, block, size, acquired);
	return true;
}

static void *move(struct thread *self, struct held *held, size_t size,
		  void *place)
{
	struct memory *memory = &held->task->memory;
	struct block *block = &held->block;
	size_t before = asked_for(block, memory);
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
	free_block(self, block, place);
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
	let_go(&held);
	return ptr;
}

/* ---- giving ---- */

static void *give_copy(struct thread *self, struct held *held, struct task *to,
		       struct heap *heap, size_t size)
{
	struct block *block = &held->block;
	void *acquired = label_size ? read_label(block).acquired : NULL;
	char *given =
		heap_alloc(heap, size + tail_size(&to->memory), HEAP_ALIGN, 0);

	if (!given)
		return NULL;
	dress(self, &to->memory, given, size, false, acquired);
	memcpy(given, block->ptr, size);
	free_held(self, held, NULL);
	return given;
}

/* A large block stays where it is, if nothing is behind it. */
static void *give(struct thread *self, struct held *held, struct task *to)
{
	struct memory *from = &held->task->memory;
	size_t size = asked_for(&held->block, from);
	struct heap *heap;
	void *given = NULL;

	if (!memory_charge(&to->memory, size))
		return NULL;
	heap = heap_adopt(&to->memory.heaps, to, self);
	if (heap && tail_size(from) == tail_size(&to->memory) &&
	    block_move(&held->block, heap)) {
		memory_uncharge(from, size);
		given = held->block.ptr;
	} else if (heap) {
		given = give_copy(self, held, to, heap, size);
	}
	if (heap)
		heap_leave(heap);
	if (!given)
		memory_uncharge(&to->memory, size);
	return given;
}

void *memory_give(void *ptr, struct task *to)
{
	struct thread *self = thread_self();
	struct held held = {.locked = false};

	if (!ptr) {
		errno = EINVAL;
		return NULL;
	}
	if (!arena_has(ptr))
		return record_give(self->current, ptr, to);
	block_find(ptr, self, &held.block);
	held.task = task_of(&held.block);
	if (!is_live(&held.block) || !held.task ||
	    (held.task->state == TASK_ENDING && !stays(held.task))) {
		errno = EINVAL;
		return NULL;
	}
	if (!task_is_kin(self->current, held.task)) {
		errno = EPERM;
		return NULL;
	}
	if (held.task == to)
		return ptr;
	return give(self, &held, to);
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

static void tell_tools_freed(struct block *block, void *arg)
{
	(void)arg;
	tools_freed(block->ptr, read_label(block).size);
}

void memory_end(struct task *task)
{
	struct thread *self = thread_self();
	struct memory *memory = &task->memory;
	struct heap *first, *heap;

	lock_take(&tables); /* against those who look at it */
	first = atomic_load_explicit(&memory->heaps, memory_order_relaxed);
	atomic_store_explicit(&memory->heaps, NULL, memory_order_relaxed);
	lock_drop(&tables);
	for (heap = first; tools_told && heap; heap = heap->next)
		heap_each(heap, tell_tools_freed, NULL);
	heap_end(first, self);
	if (self->current == task) {
		*self->seat = NULL;
		self->heap = NULL;
	}
	if (memory->records.newest)
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

/* ---- the report: blocks by the place that allocated them ---- */

struct tally {
	void *place; /* the key */
	size_t bytes, blocks;
	UT_hash_handle hh;
};

static int most_bytes_first(const struct tally *a, const struct tally *b)
{
	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static void add_to_tally(void *place, size_t bytes, void *arg)
{
	struct tally **tallies = arg, *tally;
	bool hash_failed = false;

	HASH_FIND_PTR(*tallies, &place, tally);
	if (!tally) {
		tally = calloc(1, sizeof(*tally));
		if (!tally)
			return;
		tally->place = place;
		HASH_ADD_PTR(*tallies, place, tally);
		if (hash_failed) {
			free(tally);
			return;
		}
	}
	tally->bytes += bytes;
	tally->blocks++;
}

static void add_block(struct block *block, void *tallies)
{
	struct label label = read_label(block);

	add_to_tally(label.acquired, label.size, tallies);
}

static struct tally *tally_up(struct memory *memory)
{
	struct heap *heap = atomic_load(&memory->heaps);
	struct tally *tallies = NULL;

	for (; label_size && heap; heap = heap->next)
		heap_each(heap, add_block, &tallies);
	records_each(&memory->records, add_to_tally, &tallies);
	HASH_SORT(tallies, most_bytes_first);
	return tallies;
}

void memory_report(struct task *task, FILE *to)
{
	struct tally *tallies, *tally, *next;
	char where[256];

	if (!place_kept)
		return;
	tallies = tally_up(&task->memory);
	HASH_ITER (hh, tallies, tally, next) {
		place_describe(tally->place, where, sizeof(where));
		fprintf(to, "  memory %zu bytes in %zu blocks at %s\n",
			tally->bytes, tally->blocks, where);
		HASH_DEL(tallies, tally);
		free(tally);
	}
}

/* ---- fork ---- */

void memory_lock(void)
{
	lock_take(&heaps);
	records_lock();
}

void memory_unlock(void)
{
	records_unlock();
	lock_drop(&heaps);
}

void memory_forked(struct memory *memory)
{
	heap_forked(atomic_load(&memory->heaps), thread_self());
}
