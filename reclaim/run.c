/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/heap_private.h"

#include <string.h>

/* ---- sizes ---- */

#define FOUR(from, step) \
	(from), (from) + (step), (from) + 2 * (step), (from) + 3 * (step)

const uint16_t class_size[CLASS_COUNT] = {
	FOUR(16, 16),	 FOUR(80, 16),	   FOUR(160, 32),
	FOUR(320, 64),	 FOUR(640, 128),   FOUR(1280, 256),
	FOUR(2560, 512), FOUR(5120, 1024), FOUR(10240, 2048),
};

#define TIMES2(class) (class), (class)
#define TIMES4(class) TIMES2(class), TIMES2(class)
#define TIMES8(class) TIMES4(class), TIMES4(class)

const uint8_t class_of_granules[65] = {
	0,	    0,		1,	    2,		3,	    4,
	5,	    6,		7,	    TIMES2(8),	TIMES2(9),  TIMES2(10),
	TIMES2(11), TIMES4(12), TIMES4(13), TIMES4(14), TIMES4(15), TIMES8(16),
	TIMES8(17), TIMES8(18), TIMES8(19),
};

static struct run no_run = {.free = ~(uint64_t)0, .class = RUN_EMPTY};
struct run *const no_current[CLASS_COUNT] = {
	[0 ... CLASS_COUNT - 1] = &no_run,
};

/* ---- lists ---- */

static void append(struct runs *runs, struct run *run)
{
	run->next = NULL;
	run->prev = runs->last;
	if (runs->last)
		runs->last->next = run;
	else
		runs->first = run;
	runs->last = run;
}

static void remove_run(struct runs *runs, struct run *run)
{
	if (run->prev)
		run->prev->next = run->next;
	else
		runs->first = run->next;
	if (run->next)
		run->next->prev = run->prev;
	else
		runs->last = run->prev;
}

static unsigned length_of(size_t kibs)
{
	return 63 - (unsigned)__builtin_clzll((uint64_t)kibs);
}

static void list_empty(struct classes *classes, struct run *run)
{
	unsigned length = length_of(run->kibs);

	append(&classes->empty[length], run);
	classes->lengths |= 1u << length;
}

static void unlist_empty(struct classes *classes, struct run *run)
{
	unsigned length = length_of(run->kibs);

	remove_run(&classes->empty[length], run);
	if (!classes->empty[length].first)
		classes->lengths &= ~(1u << length);
}

/* ---- descriptions ---- */

/*
 * A chunk has as many as it has KiBs, four for each page, and most use few of
 * them.  So the first ones of 64 pages lie side by side, then their second
 * ones, and so on: the many small chunks of small tasks share pages of
 * descriptions.  And large chunks begin with another of their pages each, so
 * that what is in use does not fall on few lines of the cache.
 */
#define ROW		   64
#define COLOUR(first_page) (((first_page) >> 8) * 48)

static struct run *description(const struct chunk *chunk, size_t n)
{
	size_t first = chunk_first_kib(chunk) >> 2;
	size_t pages = (size_t)1 << chunk->order;
	size_t page = first + ((n + COLOUR(first)) & (pages - 1));
	size_t row = page / ROW * 4 + (n >> chunk->order);

	return &arena_of(chunk)->runs[row * ROW + page % ROW];
}

static struct run *describe(struct chunk *chunk)
{
	struct run *run;

	if (!chunk->spare)
		return description(chunk, chunk->described++);
	run = &arena_of(chunk)->runs[chunk->spare];
	chunk->spare = (uint16_t)run->offset;
	return run;
}

static void undescribe(struct chunk *chunk, struct run *run)
{
	run->offset = chunk->spare;
	chunk->spare = (uint16_t)(run - arena_of(chunk)->runs);
}

static void map_kibs(struct arena *arena, size_t from, size_t n, uint16_t run)
{
	size_t i;

	for (i = from; i < from + n; i++)
		__atomic_store_n(&arena->run_of_kib[i], run, __ATOMIC_RELAXED);
}

static void map_run(const struct run *run)
{
	struct arena *arena = arena_of(run);

	map_kibs(arena, run_kib(run), run->kibs, (uint16_t)(run - arena->runs));
}

struct run *chunk_describe(struct chunk *chunk, struct heap *heap,
			   unsigned class, struct bump *bump)
{
	struct run *run = describe(chunk);

	*run = (struct run){
		.class = (uint8_t) class,
		.offset = (uint32_t)chunk_first_kib(chunk) << 10,
		/* What is in the middle of a large one is found by chunk. */
		.kibs = class == RUN_LARGE
				? 1
				: (uint16_t)(chunk_size(chunk) >> 10),
	};
	run->bump = bump;
	/* Last: whoever sees whose it is sees the rest. */
	atomic_store_explicit(&run->heap, heap, memory_order_release);
	map_run(run);
	return run;
}

void chunk_forget(struct chunk *chunk)
{
	struct arena *arena = arena_of(chunk);
	size_t first = chunk_first_kib(chunk), kibs = chunk_size(chunk) >> 10;

	if (arena_run(chunk_memory(chunk))->class == RUN_LARGE)
		kibs = 1;
	memset(&arena->run_of_kib[first], 0,
	       kibs * sizeof(arena->run_of_kib[0]));
}

/* ---- empty runs, known at their first and last KiB ---- */

static void map_ends(const struct run *run)
{
	struct arena *arena = arena_of(run);
	uint16_t number = (uint16_t)(run - arena->runs);

	map_kibs(arena, run_kib(run), 1, number);
	map_kibs(arena, run_kib(run) + run->kibs - 1u, 1, number);
}

static void make_empty(struct classes *classes, struct run *run, size_t kib,
		       size_t kibs)
{
	atomic_store_explicit(&run->heap, NULL, memory_order_relaxed);
	run->class = RUN_EMPTY;
	run->reciprocal = 0;
	run->offset = (uint32_t)kib << 10;
	run->kibs = (uint16_t)kibs;
	map_ends(run);
	list_empty(classes, run);
}

/* The empty run beside, that `kib` of a chunk is an end of. */
static struct run *empty_at(const struct chunk *chunk, size_t kib)
{
	struct arena *arena = arena_of(chunk);
	size_t first = chunk_first_kib(chunk);
	struct run *run;

	if (kib < first || kib >= first + (chunk_size(chunk) >> 10))
		return NULL;
	run = &arena->runs[arena->run_of_kib[kib]];
	return run->class == RUN_EMPTY ? run : NULL;
}

static void chunk_back(struct heap *heap, struct chunk *chunk)
{
	lock_take(&heaps);
	heap->classes->kibs -= chunk_size(chunk) >> 10;
	heap_unlink(heap, chunk);
	chunk_put(chunk);
	arena_tick();
	lock_drop(&heaps);
}

/* A run without a block is merged with those beside it. */
static void retire(struct heap *heap, struct run *run)
{
	struct chunk *chunk = chunk_of(run_memory(run));
	struct arena *arena = arena_of(chunk);
	size_t kib = run_kib(run), kibs = run->kibs;
	struct run *before = empty_at(chunk, kib - 1),
		   *after = empty_at(chunk, kib + kibs);

	map_kibs(arena, kib, kibs, 0);
	if (before) {
		unlist_empty(heap->classes, before);
		map_kibs(arena, kib - 1, 1, 0);
		kib = run_kib(before);
		kibs += before->kibs;
		undescribe(chunk, before);
	}
	if (after) {
		unlist_empty(heap->classes, after);
		map_kibs(arena, run_kib(after), 1, 0);
		map_kibs(arena, run_kib(after) + after->kibs - 1u, 1, 0);
		kibs += after->kibs;
		undescribe(chunk, after);
	}
	if (before)
		map_kibs(arena, kib, 1, 0);
	if (kibs << 10 == chunk_size(chunk)) {
		atomic_store_explicit(&run->heap, NULL, memory_order_relaxed);
		chunk_back(heap, chunk);
	} else {
		make_empty(heap->classes, run, kib, kibs);
	}
}

/* ---- runs of blocks ---- */

/* Chunks of runs, from 16 KiB on to 1 MiB. */
#define FIRST_ORDER 2
#define LAST_ORDER  8

/*
 * A run is the longer the more the heap has, to 63 blocks or 64 KiB: a small
 * heap of many sizes does not lose most of its memory to runs begun.
 */
#define LONGEST_KIBS 64
#define PART_OF_HEAP 8

static size_t wanted_kibs(const struct heap *heap, unsigned class)
{
	size_t size = class_size[class];
	size_t most = (RUN_BLOCKS * size + 1023) / 1024,
	       least = (2 * size + 1023) / 1024;
	size_t kibs = heap->classes->kibs / PART_OF_HEAP;

	if (most > LONGEST_KIBS)
		most = LONGEST_KIBS;
	if (kibs > most)
		kibs = most;
	return kibs < least ? least : kibs;
}

static bool new_chunk(struct heap *heap, size_t kibs)
{
	struct classes *classes = heap->classes;
	unsigned order = chunk_order(kibs << 10);
	struct chunk *chunk;

	if (order < classes->order)
		order = classes->order;
	lock_take(&heaps);
	arena_tick();
	chunk = chunk_get(order);
	if (!chunk && chunk_order(kibs << 10) < order)
		chunk = chunk_get(chunk_order(kibs << 10));
	if (chunk)
		heap_link(heap, chunk);
	lock_drop(&heaps);
	if (!chunk)
		return false;
	if (classes->order < LAST_ORDER)
		classes->order++;
	classes->kibs += chunk_size(chunk) >> 10;
	make_empty(classes, describe(chunk), chunk_first_kib(chunk),
		   chunk_size(chunk) >> 10);
	return true;
}

/*
 * An empty run of so many KiB or more, and else, while that is better than
 * another chunk, the longest of a quarter of it.
 */
static struct run *find_empty(const struct classes *classes, size_t kibs,
			      size_t least)
{
	unsigned length = length_of(kibs);
	unsigned longer = classes->lengths >> length;
	struct run *run;

	if (longer & 1) {
		run = classes->empty[length].first;
		if (run->kibs >= kibs)
			return run;
	}
	longer &= ~1u;
	if (longer)
		return classes->empty[length + (unsigned)__builtin_ctz(longer)]
			.first;
	if (!classes->lengths)
		return NULL;
	run = classes->empty[length_of(classes->lengths)].first;
	return run->kibs >= least && run->kibs >= kibs / 4 ? run : NULL;
}

/* The first KiBs of an empty run, and no longer in its list. */
static struct run *cut(struct classes *classes, struct run *run, size_t kibs)
{
	struct chunk *chunk = chunk_of(run_memory(run));

	unlist_empty(classes, run);
	if (run->kibs > kibs)
		make_empty(classes, describe(chunk), run_kib(run) + kibs,
			   run->kibs - kibs);
	else
		kibs = run->kibs;
	run->kibs = (uint16_t)kibs;
	return run;
}

static void fill(struct heap *heap, struct run *run, unsigned class)
{
	size_t size = class_size[class];
	size_t count = ((size_t)run->kibs << 10) / size;

	run->class = (uint8_t) class;
	run->size = (uint16_t)size;
	run->count = (uint8_t)(count < RUN_BLOCKS ? count : RUN_BLOCKS);
	run->reciprocal = run_reciprocal(size);
	run_set_free(run, ~(uint64_t)0);
	atomic_store_explicit(&run->remote, 0, memory_order_relaxed);
	atomic_store_explicit(&run->heap, heap, memory_order_release);
	map_run(run);
}

static struct run *make_run(struct heap *heap, unsigned class)
{
	struct classes *classes = heap->classes;
	size_t kibs = wanted_kibs(heap, class);
	size_t least = ((size_t)class_size[class] + 1023) / 1024;
	struct run *run = find_empty(classes, kibs, least);

	if (!run) {
		if (!new_chunk(heap, kibs))
			return NULL;
		run = find_empty(classes, kibs, least);
	}
	run = cut(classes, run, kibs);
	fill(heap, run, class);
	return run;
}

static void trim(struct heap *heap)
{
	struct classes *classes = heap->classes;
	unsigned class;
	struct run *run;

	for (class = 0; class < CLASS_COUNT; class ++) {
		run = classes->current[class];
		if (run == &no_run || !run_is_empty(run))
			continue;
		classes->current[class] = &no_run;
		retire(heap, run);
	}
}

/*
 * Between chunks, too, time goes on; and a run that is only kept for the next
 * block of its size may be all that is in one.
 */
#define REFILLS_PER_LOOK 32

static void look_at_clock(struct heap *heap)
{
	bool ended;

	lock_take(&heaps);
	ended = arena_tick();
	lock_drop(&heaps);
	if (ended)
		trim(heap);
}

static void mark_full(struct run *run, struct heap *heap)
{
	if (run != &no_run)
		atomic_store_explicit(&run->heap,
				      (void *)((uintptr_t)heap | RUN_FULL),
				      memory_order_relaxed);
}

static bool unmark_full(struct run *run, struct heap *heap)
{
	bool full =
		atomic_load_explicit(&run->heap, memory_order_relaxed) != heap;

	atomic_store_explicit(&run->heap, heap, memory_order_relaxed);
	return full;
}

static void replace_current(struct heap *heap, unsigned class, struct run *run)
{
	mark_full(heap->classes->current[class], heap);
	heap->classes->current[class] = run;
}

static struct run *pop_partial(struct classes *classes, unsigned class)
{
	struct run *run = classes->partial[class].first;

	if (run)
		remove_run(&classes->partial[class], run);
	return run;
}

void *run_take_partial(struct heap *heap, unsigned class)
{
	struct classes *classes = heap->classes;
	struct run *run;

	if ((classes->refills + 1) % REFILLS_PER_LOOK == 0)
		return NULL;
	run = pop_partial(classes, class);
	if (!run)
		return NULL;
	classes->refills++;
	replace_current(heap, class, run);
	return run_take(heap, run);
}

struct run *run_refill(struct heap *heap, unsigned class)
{
	struct classes *classes = heap->classes;
	struct run *run;

	if (++classes->refills % REFILLS_PER_LOOK == 0)
		look_at_clock(heap);
	run = pop_partial(classes, class);
	if (!run)
		run = make_run(heap, class);
	if (run)
		replace_current(heap, class, run);
	return run;
}

void run_emptied(struct heap *heap, struct run *run)
{
	struct classes *classes = heap->classes;

	if (run == classes->current[run->class])
		return;
	remove_run(&classes->partial[run->class], run);
	retire(heap, run);
}

void run_free(struct heap *heap, struct run *run, uint64_t blocks)
{
	run_set_free(run, run_free_blocks(run) | blocks);
	if (unmark_full(run, heap))
		append(&heap->classes->partial[run->class], run);
	if (run_is_empty(run))
		run_emptied(heap, run);
}

void classes_reset(struct classes *classes)
{
	memset(classes, 0, sizeof(*classes));
	memcpy(classes->current, no_current, sizeof(no_current));
	classes->order = FIRST_ORDER;
}
