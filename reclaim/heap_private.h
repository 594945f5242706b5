/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap - memory that one thread uses for one task
 *
 * Good for: what is allocated and freed by its own thread, without a lock or
 * an atomic operation; and for release as a whole, chunk by chunk, however
 * many blocks there are.
 *
 * How: the first blocks are laid one behind the other into a chunk of 4 KiB
 * and then one of 8 KiB, the bump areas, with a tag beside each; what comes
 * later is put into runs of equal blocks, from chunks that double up to 1 MiB.
 * What is larger than 16 KiB has a chunk to itself.
 *
 * Threads: whoever has it (heap_adopt, heap_leave) does everything.  Others
 * may free in it: they mark the block, and put its run on a list that the
 * owner folds in when it next looks for memory.
 *
 * Errors: NULL with ENOMEM.  What is no live block is found out.
 */
#ifndef HEAP_PRIVATE_H
#define HEAP_PRIVATE_H

#include <string.h>

#include "reclaim/arena_private.h"

struct task;
struct thread;

/* Every block is aligned so, if not to more. */
#define HEAP_ALIGN 16

/* The quick path's most: what a tag can tell, in granules of 16 bytes. */
#define QUICK_MOST 1008

/*
 * Blocks of any size one behind the other.  The tag of a block's first 16
 * bytes is its length in such, and whether it is free.
 */
struct bump {
	char *at, *end; /* what was not used */
	char *base;
	uint8_t *tags;
	bool holes; /* a block was freed: there may be more to use */
};

#define TAG_FREE   0x40
#define TAG_REMOTE 0x80 /* freed by another thread */

/* 4 KiB, and 8: a task of 32 blocks of 264 bytes needs no runs. */
#define NURSERY_ORDER	0
#define SECOND_ORDER	1
#define GRANULES(order) ((size_t)256 << (order))
#define NURSERY_SIZE	(16 * GRANULES(NURSERY_ORDER))

struct heap {
	struct bump *bump; /* the one in use */
	struct run *const *current;
	/* Blocks and their bytes, as heap_unit has them. */
	_Atomic uint64_t held, peak;

	struct chunk *chunks; /* of runs and large blocks; under `heaps` */
	struct classes *classes;
	struct second *second;
	struct heap *next; /* of its task's, or of those that are nobody's */
	_Atomic(struct thread *) owner;
	_Atomic(struct task *) task;
	unsigned uses;	   /* by its owner: places that it has it from */
	char *freed_twice; /* here and by another: to be told */
	bool given_up;	   /* its owner went in the middle of it: a fork */

	/* Of other threads. */
	_Atomic(struct run *) remote;
	_Atomic uint64_t remote_held;  /* of what is held, freed by them */
	_Atomic uint64_t remote_large; /* of that, large blocks */

	struct bump nursery;
	uint8_t nursery_tags[GRANULES(NURSERY_ORDER)];
};

struct second {
	struct bump bump;
	uint8_t tags[GRANULES(SECOND_ORDER)];
};

/* ---- the quick path ---- */

static inline uint64_t heap_load(const _Atomic uint64_t *what)
{
	return atomic_load_explicit(what, memory_order_relaxed);
}

static inline void heap_store(_Atomic uint64_t *what, uint64_t value)
{
	atomic_store_explicit(what, value, memory_order_relaxed);
}

/*
 * A block of so many bytes, as `held` counts it: one, and its granules above
 * that.  There is room for 512 GiB, in 268 million blocks.
 */
#define UNIT_BITS 28

static inline uint64_t heap_unit(size_t bytes)
{
	return ((uint64_t)bytes << (UNIT_BITS - 4)) + 1;
}

static inline void heap_count(struct heap *heap, uint64_t units)
{
	heap_store(&heap->held, heap_load(&heap->held) + units);
}

static inline void heap_uncount(struct heap *heap, uint64_t units)
{
	uint64_t held = heap_load(&heap->held);

	if (held > heap_load(&heap->peak))
		heap_store(&heap->peak, held);
	heap_store(&heap->held, held - units);
}

/* The next block of a bump area with room up to `next` for it. */
static inline void *bump_take(struct heap *heap, struct bump *bump,
			      uintptr_t next, size_t bytes)
{
	char *ptr = bump->at;

	bump->tags[(size_t)(ptr - bump->base) / 16] = (uint8_t)(bytes / 16);
	bump->at = (char *)next;
	heap_count(heap, heap_unit(bytes));
	if (!ptr)
		__builtin_unreachable();
	return ptr;
}

/*
 * Blocks are often taken in order, and then written: what comes so many later
 * is fetched meanwhile.  Memory that is not in the cache is filled in two
 * thirds of the time, other in a tenth less; two or four gain less than three.
 */
#define AHEAD 3

/* The first of the free blocks of a run; or there is none. */
static inline void *run_take(struct heap *heap, struct run *run)
{
	uint64_t free = run_free_blocks(run);
	unsigned number = (unsigned)__builtin_ctzll(free), size = run->size;
	char *ptr;

	if (__builtin_expect(number >= run->count, 0))
		return NULL;
	run_set_free(run, free & (free - 1));
	heap_count(heap, heap_unit(size));
	ptr = run_memory(run) + number * size;
	__builtin_prefetch(ptr + (size_t)AHEAD * size, 1);
	if (!ptr)
		__builtin_unreachable();
	return ptr;
}

/* A block of 1 to QUICK_MOST bytes, or NULL: ask heap_alloc. */
static inline void *heap_take(struct heap *heap, size_t size)
{
	struct bump *bump = heap->bump;
	size_t bytes = (size + 15) & ~(size_t)15;

	uintptr_t next = (uintptr_t)bump->at + bytes;

	if (__builtin_expect(next <= (uintptr_t)bump->end, 1))
		return bump_take(heap, bump, next, bytes);
	return run_take(heap, heap->current[class_of_granules[bytes / 16]]);
}

/* Free a block of this bump area, if it is a live one; no other has a tag. */
static inline bool bump_put(struct heap *heap, struct bump *bump, char *ptr)
{
	uintptr_t away = (uintptr_t)ptr ^ (uintptr_t)bump->base;
	/* Rotated: what is no multiple of 16 becomes more than there are. */
	size_t granule = away >> 4 | away << (sizeof(away) * 8 - 4), granules;
	uint8_t *tag;

	if (granule >= GRANULES(SECOND_ORDER))
		return false;
	tag = &bump->tags[granule];
	granules = __atomic_load_n(tag, __ATOMIC_RELAXED);
	if (granules - 1 >= TAG_FREE - 1)
		return false;
	heap_uncount(heap, heap_unit(granules * 16));
	bump->holes = true;
	if (ptr + granules * 16 == bump->at) {
		__atomic_store_n(tag, 0, __ATOMIC_RELAXED);
		bump->at = ptr;
	} else {
		__atomic_store_n(tag, granules | TAG_FREE, __ATOMIC_RELAXED);
	}
	return true;
}

/*
 * Free a block of this heap's, if that is quick; else its run, which was found,
 * is full or another heap's; or ptr is anything.  What is no live block of a
 * run has a rest, or a bit that is set.
 */
enum put { PUT_DONE, PUT_BY_RUN, PUT_NOT };

static inline enum put heap_put(struct heap *heap, void *ptr,
				struct run **found)
{
	uintptr_t away = (uintptr_t)ptr ^ (uintptr_t)heap->nursery.base;
	uint64_t product, bit, free;
	struct run *run;

	/* Areas and arenas are aligned to their sizes. */
	if (away < NURSERY_SIZE)
		return bump_put(heap, &heap->nursery, ptr) ? PUT_DONE : PUT_NOT;
	if (__builtin_expect(away >= ARENA_SIZE && !arena_has(ptr), 0))
		return PUT_NOT;
	*found = run = arena_run(ptr);
	if (__builtin_expect(atomic_load_explicit(&run->heap,
						  memory_order_relaxed) != heap,
			     0))
		return PUT_BY_RUN;
	product = (uint64_t)(arena_offset(ptr) - run->offset) * run->reciprocal;
	free = run_free_blocks(run);
	bit = (uint64_t)1 << (product >> 32);
	if ((uint32_t)product >= run->reciprocal)
		return run->class == RUN_BUMP && bump_put(heap, run->bump, ptr)
			       ? PUT_DONE
			       : PUT_NOT;
	if (__builtin_expect((free | heap_load(&run->remote)) & bit, 0))
		return PUT_NOT;
	heap_uncount(heap, heap_unit(run->size));
	run_set_free(run, free | bit);
	if (__builtin_expect((free | bit) == ~(uint64_t)0, 0))
		run_emptied(heap, run);
	return PUT_DONE;
}

/* ---- the slow path ---- */

/* Its list of chunks; under `heaps`. */
void heap_link(struct heap *heap, struct chunk *chunk);
void heap_unlink(struct heap *heap, struct chunk *chunk);

/* As heap_take, where that has none; NULL: there is more to do than this. */
void *heap_take_more(struct heap *heap, size_t size);

/* align: a power of two.  `room`: how large it may grow where it is. */
void *heap_alloc(struct heap *heap, size_t size, size_t align, size_t room);

/* Fold in what other threads freed. */
void heap_drain(struct heap *heap);

/* ---- blocks, from a pointer that arena_has ---- */

enum pointer_state {
	POINTER_LIVE,
	POINTER_FREE,	 /* freed, or released with its task */
	POINTER_INSIDE,	 /* a pointer into a block */
	POINTER_NOT_ONE, /* nobody was given that */
};

struct pointer {
	enum pointer_state state;
	struct run *run;
	struct heap *heap; /* NULL: nobody's */
	char *ptr, *start; /* NULL: of nothing that is known */
	size_t size;	   /* bytes that there are */
};

/* What a pointer is.  Two threads that free a block may both find it live. */
void pointer_find(void *ptr, struct pointer *block);

/* By the owner: whether ptr, of this run, was a live block, and is free now. */
bool heap_put_by_run(struct heap *heap, struct run *run, void *ptr);

/*
 * Free a block that was found to be live: by the heap's owner, or by another
 * thread.  False where somebody else was first.
 */
bool pointer_free(const struct pointer *block);
bool pointer_free_remote(const struct pointer *block);

/* By the owner: resize it where it is, if that goes. */
bool pointer_resize(const struct pointer *block, size_t size);

/* Each live block of a heap, as it may be while others use it. */
void heap_each(struct heap *heap, void (*fn)(struct pointer *, void *arg),
	       void *arg);

/* Give a large block to another heap as it is; false: it is none. */
bool pointer_move(const struct pointer *block, struct heap *to);

/* ---- bump areas ---- */

/* With `heaps` locked: get it a chunk; give that back. */
bool bump_open(struct heap *heap, struct bump *bump, unsigned order);
void bump_close(struct bump *bump);

/* All of it is free. */
static inline void bump_reset(struct bump *bump)
{
	uint8_t *tag = bump->tags;
	uint8_t *end = tag + (size_t)(bump->at - bump->base) / 16;

	/*
	 * Few, as a rule: a call of memset would take longer, and so would
	 * smaller steps, whose number is guessed wrong.
	 */
	for (; tag < end; tag += 128) {
		memset(tag, 0, 64);
		memset(tag + 64, 0, 64);
	}
	bump->at = bump->base;
	bump->holes = false;
}

/* What others freed is nobody's. */
void bump_forget_others(struct bump *bump);
/* As when it was opened, whatever it says of itself. */
void bump_renew(struct bump *bump);

/* Make room in one, and use it; or there is none. */
bool bump_next(struct heap *heap);

void bump_find(const struct bump *bump, struct pointer *block);
bool bump_free_remote(struct bump *bump, const char *ptr);
bool bump_resize(struct heap *heap, struct bump *bump, char *ptr, size_t size);
/* Make what others freed free; how much that is. */
uint64_t bump_fold(struct bump *bump);

/* ---- whole heaps ---- */

/*
 * Have a heap: one of `list` that nobody has, or a new one.  NULL, ENOMEM.
 * What was adopted once more is left once more.
 */
struct heap *heap_adopt(_Atomic(struct heap *) *list, struct task *task,
			struct thread *self);

static inline void heap_leave(struct heap *heap)
{
	if (--heap->uses == 0) {
		lock_is_dropped(heap); /* for the thread sanitizer alone */
		atomic_store_explicit(&heap->owner, NULL, memory_order_release);
	}
}

/* Have this one, if nobody else has it; to be left again. */
bool heap_try(struct heap *heap, struct thread *self);

/* Release every heap of a list at once.  Nobody else uses them any more. */
void heap_end(struct heap *list, struct thread *self);

/* What a thread keeps ready is anybody's, as it ends. */
void heap_thread_gone(struct thread *self);

/* Blocks and bytes live, and the most there were. */
struct heap_figures {
	size_t blocks, bytes, peak_bytes;
};
void heap_figures(struct heap *heap, struct heap_figures *sum);

/* What others have is nobody's in a forked child, and stays as it is. */
void heap_forked(struct heap *list, const struct thread *self);

#endif
