/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/arena_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "reclaim/tools_private.h"

struct lock heaps = LOCK_INIT;
uint8_t arena_is_ours[ARENAS_MOST];

static struct arena *arenas; /* the newest first */

/* Free chunks: those never written since the system gave them, and the rest. */
enum { CLEAN, DIRTY };
static struct free_chunks {
	struct chunk *of_order[CHUNK_ORDERS];
	unsigned orders; /* a bit for each that has some */
	size_t bytes;
} free_chunks[2];

/* ---- lists of free chunks ---- */

static void list_free(struct chunk *chunk, int kind)
{
	struct free_chunks *list = &free_chunks[kind];
	struct chunk **first = &list->of_order[chunk->order];

	chunk->state = kind == CLEAN ? CHUNK_CLEAN : CHUNK_DIRTY;
	chunk->prev = NULL;
	chunk->next = *first;
	if (chunk->next)
		chunk->next->prev = chunk;
	*first = chunk;
	list->orders |= 1u << chunk->order;
	list->bytes += chunk_size(chunk);
}

static void unlist_free(struct chunk *chunk)
{
	struct free_chunks *list =
		&free_chunks[chunk->state == CHUNK_CLEAN ? CLEAN : DIRTY];

	if (chunk->next)
		chunk->next->prev = chunk->prev;
	if (chunk->prev)
		chunk->prev->next = chunk->next;
	else
		list->of_order[chunk->order] = chunk->next;
	if (!list->of_order[chunk->order])
		list->orders &= ~(1u << chunk->order);
	list->bytes -= chunk_size(chunk);
	chunk->state = CHUNK_PART;
}

static size_t page_number(const struct chunk *chunk)
{
	return (size_t)(chunk - arena_of(chunk)->chunks);
}

static struct chunk *buddy_of(const struct chunk *chunk)
{
	size_t page = page_number(chunk) ^ ((size_t)1 << chunk->order);

	return &arena_of(chunk)->chunks[page];
}

/* What is clean stays so: only chunks of one kind are merged. */
static void free_merged(struct chunk *chunk, int kind)
{
	uint8_t state = kind == CLEAN ? CHUNK_CLEAN : CHUNK_DIRTY;
	struct chunk *buddy;

	while (chunk->order < CHUNK_ORDERS - 1) {
		buddy = buddy_of(chunk);
		if (buddy->state != state || buddy->order != chunk->order)
			break;
		unlist_free(buddy);
		chunk->state = CHUNK_PART;
		if (buddy < chunk)
			chunk = buddy;
		chunk->order++;
	}
	list_free(chunk, kind);
}

static struct chunk *take_free(unsigned order, int kind)
{
	struct free_chunks *list = &free_chunks[kind];
	unsigned orders = list->orders >> order;
	struct chunk *chunk, *half;

	if (!orders)
		return NULL;
	chunk = list->of_order[order + (unsigned)__builtin_ctz(orders)];
	unlist_free(chunk);
	while (chunk->order > order) {
		chunk->order--;
		half = buddy_of(chunk);
		half->order = chunk->order;
		list_free(half, kind);
	}
	chunk->zero = kind == CLEAN;
	return chunk;
}

/* ---- from the system ---- */

/* Whole pages of any system's, of 64 KiB at most. */
#define SYSTEM_PAGES 16
#define WHOLE(pages) (((pages) + SYSTEM_PAGES - 1) & -(size_t)SYSTEM_PAGES)
#define FIRST_PAGE   WHOLE((sizeof(struct arena) >> PAGE_BITS) + 1)

/* So many at a time, at least: 1 MiB. */
#define EXTENSION_LEAST 256

static void *map_aligned(void)
{
	char *base = mmap(NULL, 2 * ARENA_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before, after;

	if (base == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)base & (ARENA_SIZE - 1);
	after = ARENA_SIZE - before;
	if (before)
		munmap(base, before);
	if (after)
		munmap(base + before + ARENA_SIZE, after);
	return base + before;
}

/* Where the kernel puts it beside the last one it may be aligned already. */
static void *map_arena(void)
{
	char *base = mmap(NULL, ARENA_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (((uintptr_t)base & (ARENA_SIZE - 1)) == 0)
		return base;
	munmap(base, ARENA_SIZE);
	return map_aligned();
}

static struct arena *new_arena(void)
{
	struct arena *arena = map_arena();
	size_t number = (uintptr_t)arena >> ARENA_BITS;

	if (!arena)
		return NULL;
	if (number >= ARENAS_MOST || mprotect(arena, FIRST_PAGE << PAGE_BITS,
					      PROT_READ | PROT_WRITE) != 0) {
		munmap(arena, ARENA_SIZE);
		return NULL;
	}
	arena->pages = FIRST_PAGE;
	arena->next = arenas;
	arenas = arena;
	__atomic_store_n(&arena_is_ours[number], 1, __ATOMIC_RELEASE);
	return arena;
}

static void free_pages(struct arena *arena, size_t from, size_t to)
{
	struct chunk *chunk;
	unsigned order;

	while (from < to) {
		order = (unsigned)__builtin_ctzl(from);
		while (from + ((size_t)1 << order) > to ||
		       order >= CHUNK_ORDERS)
			order--;
		chunk = &arena->chunks[from];
		chunk->order = (uint8_t)order;
		free_merged(chunk, CLEAN);
		from += (size_t)1 << order;
	}
}

static bool make_usable(struct arena *arena, size_t to)
{
	size_t from = arena->pages;

	if (mprotect((char *)arena + (from << PAGE_BITS),
		     (to - from) << PAGE_BITS, PROT_READ | PROT_WRITE) != 0)
		return false;
	arena->pages = (uint32_t)to;
	free_pages(arena, from, to);
	return true;
}

/* As much again as there is, so that it is done rarely; or what is needed. */
static bool extend(struct arena *arena, unsigned order)
{
	size_t chunk = (size_t)1 << order;
	size_t least = WHOLE(((arena->pages + chunk - 1) & -chunk) + chunk);
	size_t more = arena->pages - FIRST_PAGE, most;

	if (least > ARENA_PAGES)
		return false;
	most = arena->pages + (more < EXTENSION_LEAST ? EXTENSION_LEAST : more);
	if (most > ARENA_PAGES)
		most = ARENA_PAGES;
	return (most > least && make_usable(arena, most)) ||
	       make_usable(arena, least);
}

static bool more_from_system(unsigned order)
{
	struct arena *arena;

	for (arena = arenas; arena; arena = arena->next)
		if (extend(arena, order))
			return true;
	if (arenas && arenas->pages == FIRST_PAGE)
		return false; /* what is wanting is not address space */
	arena = new_arena();
	return arena && extend(arena, order);
}

/* ---- back to the system ---- */

/*
 * An epoch is long beside what a program does again and again, and short
 * beside what its operator sees.  Nobody looked for as long: nothing is known
 * of what will be needed, and a part goes.  More than IDLE_MOST is never kept;
 * a task of 100,000 blocks of 264 bytes comes and goes below it.
 */
#define EPOCH_MS   100
#define IDLE_MOST  ((size_t)36 << 20)
#define QUIET_PART 8

static uint64_t epoch_began, looked; /* ms */
static size_t least_idle;	     /* in this epoch */

/* Whole pages of the system's, or a neighbour's memory would go with it. */
static bool is_whole(const struct chunk *chunk)
{
	static long page;

	if (page == 0)
		page = sysconf(_SC_PAGESIZE);
	return chunk_size(chunk) >= (size_t)page;
}

/* Few and large chunks first, and no more than was asked for. */
static struct chunk *take_for_purge(size_t bytes)
{
	unsigned most = 31 - (unsigned)__builtin_clz(free_chunks[DIRTY].orders);
	unsigned order = chunk_order(bytes);

	return take_free(order < most ? order : most, DIRTY);
}

static void purge(size_t bytes)
{
	struct free_chunks *dirty = &free_chunks[DIRTY];
	size_t until = dirty->bytes - bytes;
	struct chunk *chunk;
	int saved = errno;

	while (dirty->bytes > until) {
		chunk = take_for_purge(dirty->bytes - until);
		if (!is_whole(chunk) ||
		    madvise(chunk_memory(chunk), chunk_size(chunk),
			    MADV_DONTNEED) != 0) {
			free_merged(chunk, DIRTY);
			break;
		}
		free_merged(chunk, CLEAN);
	}
	errno = saved;
	if (least_idle > dirty->bytes)
		least_idle = dirty->bytes;
}

bool arena_tick(void)
{
	struct timespec time;
	uint64_t now;
	bool quiet;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	now = (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
	quiet = now - looked >= EPOCH_MS;
	looked = now;
	if (!quiet && now - epoch_began < EPOCH_MS)
		return false;
	purge(quiet ? free_chunks[DIRTY].bytes / QUIET_PART : least_idle);
	epoch_began = now;
	least_idle = free_chunks[DIRTY].bytes;
	return true;
}

/* ---- chunks ---- */

unsigned chunk_order(size_t size)
{
	if (size <= (size_t)1 << PAGE_BITS)
		return 0;
	return (unsigned)(sizeof(size_t) * 8) - PAGE_BITS -
	       (unsigned)__builtin_clzl(size - 1);
}

bool arena_handed_out(const void *ptr)
{
	size_t page = arena_offset(ptr) >> PAGE_BITS;

	return page >= FIRST_PAGE && page < arena_of(ptr)->pages;
}

struct chunk *chunk_of(const void *ptr)
{
	struct arena *arena = arena_of(ptr);
	size_t page = arena_offset(ptr) >> PAGE_BITS;
	unsigned order = arena->order_of_page[page];
	struct chunk *chunk = &arena->chunks[page & -((size_t)1 << order)];

	/* An order from before is that of a chunk there, or of none. */
	return chunk->state == CHUNK_USED && chunk->order == order ? chunk
								   : NULL;
}

struct chunk *chunk_get(unsigned order)
{
	struct chunk *chunk = take_free(order, DIRTY);

	if (!chunk)
		chunk = take_free(order, CLEAN);
	if (!chunk && more_from_system(order))
		chunk = take_free(order, CLEAN);
	if (!chunk) {
		errno = ENOMEM;
		return NULL;
	}
	if (least_idle > free_chunks[DIRTY].bytes)
		least_idle = free_chunks[DIRTY].bytes;
	chunk->state = CHUNK_USED;
	chunk->described = 0;
	chunk->spare = 0;
	tools_close(chunk_memory(chunk), chunk_size(chunk));
	memset(&arena_of(chunk)->order_of_page[page_number(chunk)], (int)order,
	       (size_t)1 << order);
	return chunk;
}

void chunk_put(struct chunk *chunk)
{
	free_merged(chunk, DIRTY);
	if (free_chunks[DIRTY].bytes > IDLE_MOST)
		purge(free_chunks[DIRTY].bytes - IDLE_MOST * 3 / 4);
}
