/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/block_private.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "reclaim/tools_private.h"

#define LINE ((size_t)64) /* of the cache */

/* ---- policies ---- */

static const char *const policy_names[BLOCK_POLICIES] = {
	[BLOCK_AOFF] = "aoff",
	[BLOCK_AOBF] = "aobf",
	[BLOCK_BF] = "bf",
};

int block_policy(const char *name)
{
	int i;

	for (i = 0; i < BLOCK_POLICIES; i++)
		if (strcmp(policy_names[i], name) == 0)
			return i;
	return -1;
}

const char *block_policy_name(enum block_policy policy)
{
	return policy_names[policy];
}

/* ---- the index ---- */

static uint16_t told(size_t length)
{
	return length < FIT_MOST ? (uint16_t)length : FIT_MOST;
}

static void set_if_long(struct first_fit *fit, const struct hole *hole,
			size_t length)
{
	if (__builtin_expect(hole->length >= FIT_MOST, 0))
		first_fit_set_mib(fit, hole->at / (1024 * PAGE_GRANULES),
				  length);
}

/* If it was the longest of its page, another is. */
static void forget_by_address(struct block *block, const struct hole *hole)
{
	struct first_fit *fit = &block->fit.first;
	size_t page = hole->at / PAGE_GRANULES;

	if (first_fit_get(fit, page) == told(hole->length))
		first_fit_set(fit, page,
			      told(pages_longest(&block->pages, page)));
	set_if_long(fit, hole, 0);
}

static void note_by_address(struct block *block, const struct hole *hole)
{
	struct first_fit *fit = &block->fit.first;
	size_t page = hole->at / PAGE_GRANULES;

	if (first_fit_get(fit, page) < told(hole->length))
		first_fit_set(fit, page, told(hole->length));
	set_if_long(fit, hole, hole->length);
}

/* A hole has gone from the pages already. */
static void forget(struct block *block, const struct hole *hole)
{
	block->holes--;
	if (block->policy == BLOCK_AOFF)
		forget_by_address(block, hole);
	else
		best_fit_remove(&block->fit.best, &block->pages, hole);
}

/* It has come. */
static void note(struct block *block, const struct hole *hole)
{
	block->holes++;
	if (block->policy == BLOCK_AOFF)
		note_by_address(block, hole);
	else
		best_fit_add(&block->fit.best, hole);
}

/* In a page there is one that is long enough. */
static size_t first_enough(const struct pages *pages, size_t page,
			   size_t granules)
{
	uint64_t holes = bits_load(&pages->page[page].holes);
	size_t at;

	for (;; holes &= holes - 1) {
		at = page * PAGE_GRANULES + bits_first(holes);
		if (length_at(pages, at) >= granules)
			return at;
	}
}

static size_t find_hole(const struct block *block, size_t granules)
{
	size_t page;

	if (block->policy != BLOCK_AOFF)
		return best_fit_find(&block->fit.best, &block->pages, granules);
	page = first_fit_find(&block->fit.first, granules);
	return page == SIZE_MAX ? page
				: first_enough(&block->pages, page, granules);
}

/* ---- allocating and freeing, in granules ---- */

/* A hole begins later, if there is anything left of it. */
static void shorten(struct block *block, const struct hole *hole, size_t from)
{
	struct hole rest = {from, hole->at + hole->length - from};
	struct pages *pages = &block->pages;

	no_hole_at(pages, hole->at, true);
	start_at(pages, from, true);
	hole_at(pages, from, rest.length > 0);
	forget(block, hole);
	if (rest.length)
		note(block, &rest);
	if (from > block->untouched)
		block->untouched = from;
}

/* What begins at `at` and ends at `end` is a hole, with those beside it. */
static void leave(struct block *block, size_t at, size_t end)
{
	struct pages *pages = &block->pages;
	size_t before = previous_start(pages, at);
	bool from_before = is_hole(pages, before), on = is_hole(pages, end);
	struct hole previous = {before, at - before}, next = {.at = end}, all;

	if (on)
		next.length = length_at(pages, end);
	all.at = from_before ? before : at;
	all.length = end + next.length - all.at;
	no_start_at(pages, at, from_before);
	hole_at(pages, all.at, true);
	no_start_at(pages, end, on);
	no_hole_at(pages, end, on);
	if (from_before)
		forget(block, &previous);
	if (on)
		forget(block, &next);
	note(block, &all);
}

/* Of an allocation so much from its beginning is still needed. */
static void cut(struct block *block, size_t at, size_t granules)
{
	size_t end = next_start(&block->pages, at);

	if (at + granules == end)
		return;
	start_at(&block->pages, at + granules, true);
	leave(block, at + granules, end);
}

/* It begins later; what was before is a hole. */
static void cut_before(struct block *block, size_t at, size_t from)
{
	if (at == from)
		return;
	start_at(&block->pages, from, true);
	leave(block, at, from);
}

static void count(struct block *block, size_t granules)
{
	block->live += granules;
	if (block->live > block->peak)
		block->peak = block->live;
}

/* ---- granules and bytes ---- */

static size_t granules_for(const struct block *block, size_t size)
{
	return (size + block->guard + GRANULE - 1 + !size) / GRANULE;
}

static size_t granule_of(const struct block *block, const void *ptr)
{
	return (size_t)((const char *)ptr - block->base) / GRANULE;
}

static size_t granules_in(const struct block *block)
{
	return block->pages.end - FIRST_GRANULE;
}

static char *memory_at(const struct block *block, size_t at)
{
	return block->base + at * GRANULE;
}

/* ---- what the tools are told ---- */

/* The last word of the guard. */
static size_t *asked_of(const struct block *block, const void *ptr)
{
	size_t end = next_start(&block->pages, granule_of(block, ptr));

	return (size_t *)(void *)memory_at(block, end) - 1;
}

static size_t read_asked(const struct block *block, const void *ptr)
{
	size_t *at = asked_of(block, ptr), asked;

	tools_area_open(at, sizeof(*at));
	asked = *at;
	tools_area_close(at, sizeof(*at));
	return asked;
}

static void note_asked(const struct block *block, const void *ptr, size_t asked)
{
	size_t *at = asked_of(block, ptr);

	tools_area_open(at, sizeof(*at));
	*at = asked;
	tools_area_close(at, sizeof(*at));
}

/* ---- the block ---- */

static size_t index_bytes(size_t pages, enum block_policy policy)
{
	if (policy == BLOCK_AOFF)
		return first_fit_bytes(pages);
	return best_fit_bytes(pages, policy == BLOCK_BF);
}

static size_t bytes_kept(size_t pages, enum block_policy policy)
{
	return sizeof(struct block) + LINE + pages_bytes(pages) +
	       index_bytes(pages + 1, policy) + LINE;
}

#define PAGE_BYTES (PAGE_GRANULES * GRANULE)

/* As many as there is room for, with what is kept of them. */
static size_t pages_in(size_t size, enum block_policy policy)
{
	size_t pages = size / PAGE_BYTES, all;

	while (pages) {
		all = pages * PAGE_BYTES + bytes_kept(pages, policy);
		if (all <= size)
			break;
		pages -= (all - size) / (2 * PAGE_BYTES) + 1;
	}
	return pages;
}

static void *align_up(char *ptr)
{
	return ptr + (-(uintptr_t)ptr & (LINE - 1));
}

/* First the index, which wants whole lines of the cache. */
static void lay_out(struct block *block, size_t pages)
{
	char *at = align_up((char *)(block + 1));

	if (block->policy == BLOCK_AOFF)
		first_fit_begin(&block->fit.first, pages + 1, at);
	else
		best_fit_begin(&block->fit.best, pages + 1,
			       block->policy == BLOCK_BF, at);
	at += index_bytes(pages + 1, block->policy);
	pages_begin(&block->pages, pages, at);
	/* Valgrind closes a granule before the first allocation, too. */
	at = align_up(at + pages_bytes(pages) + GRANULE);
	block->base = at - FIRST_GRANULE * GRANULE;
}

struct block *block_begin(void *area, size_t size, enum block_policy policy,
			  bool zeroed)
{
	struct hole all = {.at = FIRST_GRANULE};
	struct block *block = area;
	size_t pages = pages_in(size, policy);

	if ((uintptr_t)area % GRANULE || size < BLOCK_LEAST ||
	    size > UINTPTR_MAX - (uintptr_t)area) {
		errno = EINVAL;
		return NULL;
	}
	if (!zeroed)
		memset(area, 0, bytes_kept(pages, policy));
	*block = (struct block){
		.lock = LOCK_INIT,
		.policy = policy,
		.zeroed = zeroed,
		.area = area,
		.area_size = size,
	};
	lay_out(block, pages);
	all.length = block->pages.end - all.at;
	start_at(&block->pages, all.at, true);
	hole_at(&block->pages, all.at, true);
	note(block, &all);
	block->untouched = all.at;
	if (tools_listen()) {
		block->guard = GRANULE;
		tools_pool_begin(block, memory_at(block, all.at),
				 all.length * GRANULE);
	}
	return block;
}

void block_end(struct block *block)
{
	if (block->guard)
		tools_pool_end(block, memory_at(block, FIRST_GRANULE),
			       granules_in(block) * GRANULE);
}

/* ---- allocating ---- */

static size_t beyond(const struct block *block, size_t at, size_t align)
{
	uintptr_t address = (uintptr_t)memory_at(block, at);

	return (-address & (align - 1)) / GRANULE;
}

/* With room to begin at an aligned address, if that is asked for. */
static size_t alloc_granules(struct block *block, size_t granules, size_t align)
{
	size_t room = granules + (align > GRANULE ? align / GRANULE - 1 : 0);
	size_t at = find_hole(block, room), from;
	struct hole hole = {.at = at};

	if (at == SIZE_MAX)
		return at;
	hole.length = length_at(&block->pages, at);
	shorten(block, &hole, at + room);
	block->blocks++;
	count(block, granules);
	if (room == granules)
		return at;
	from = at + beyond(block, at, align);
	cut_before(block, at, from);
	cut(block, from, granules);
	return from;
}

/* Valgrind closes what is on either side: the guard that is before it, too. */
static void tell_allocated(struct block *block, char *ptr, size_t size)
{
	note_asked(block, ptr, size);
	tools_pool_allocated(block, ptr, size);
}

static void *alloc(struct block *block, size_t size, size_t align,
		   size_t *untouched)
{
	size_t at = SIZE_MAX;

	if (size <= block->area_size && align <= block->area_size) {
		lock_take(&block->lock);
		*untouched = block->untouched;
		at = alloc_granules(block, granules_for(block, size), align);
		if (block->guard && at != SIZE_MAX)
			tell_allocated(block, memory_at(block, at), size);
		lock_drop(&block->lock);
	}
	if (at == SIZE_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return memory_at(block, at);
}

void *block_alloc(struct block *block, size_t size, size_t align)
{
	size_t untouched;

	return alloc(block, size, align, &untouched);
}

/* What nobody had before is zero already, and stays untouched. */
void *block_calloc(struct block *block, size_t size)
{
	size_t untouched, dirty;
	char *ptr = alloc(block, size, GRANULE, &untouched), *clean;

	if (!ptr)
		return NULL;
	clean = memory_at(block, block->zeroed ? untouched : block->pages.end);
	if (ptr < clean) {
		dirty = (size_t)(clean - ptr);
		memset(ptr, 0, size < dirty ? size : dirty);
	}
	if (block->guard)
		tools_area_open(ptr, size);
	return ptr;
}

/* ---- finding, freeing, resizing ---- */

static enum block_found find(const struct block *block, const void *ptr)
{
	size_t offset = (size_t)((const char *)ptr - block->base);
	size_t at = offset / GRANULE;

	if (at - FIRST_GRANULE >= granules_in(block))
		return BLOCK_ELSEWHERE;
	if (is_start(&block->pages, at) && !is_hole(&block->pages, at))
		return offset % GRANULE ? BLOCK_INSIDE : BLOCK_ALLOCATED;
	if (!is_start(&block->pages, at))
		at = previous_start(&block->pages, at);
	return is_hole(&block->pages, at) ? BLOCK_HOLE : BLOCK_INSIDE;
}

enum block_found block_find(struct block *block, const void *ptr)
{
	enum block_found found;

	lock_take(&block->lock);
	found = find(block, ptr);
	lock_drop(&block->lock);
	return found;
}

enum block_found block_free(struct block *block, void *ptr)
{
	size_t at = granule_of(block, ptr), end;
	enum block_found found;

	lock_take(&block->lock);
	found = find(block, ptr);
	if (found == BLOCK_ALLOCATED) {
		if (block->guard)
			tools_pool_freed(block, ptr, read_asked(block, ptr));
		end = next_start(&block->pages, at);
		block->live -= end - at;
		block->blocks--;
		leave(block, at, end);
	}
	lock_drop(&block->lock);
	return found;
}

size_t block_size(const struct block *block, const void *ptr)
{
	size_t asked;

	if (block->guard) {
		lock_take((struct lock *)&block->lock);
		asked = read_asked(block, ptr);
		lock_drop((struct lock *)&block->lock);
		return asked;
	}
	return length_at(&block->pages, granule_of(block, ptr)) * GRANULE;
}

/* Into the hole behind, if that is enough. */
static bool grow(struct block *block, size_t at, size_t end, size_t granules)
{
	struct hole hole = {.at = end};

	if (!is_hole(&block->pages, end))
		return false;
	hole.length = length_at(&block->pages, end);
	if (end + hole.length < at + granules)
		return false;
	shorten(block, &hole, at + granules);
	no_start_at(&block->pages, end, true);
	return true;
}

bool block_resize(struct block *block, void *ptr, size_t size)
{
	size_t at = granule_of(block, ptr), end, granules, asked;
	bool fits = size <= block->area_size;

	if (!fits)
		return false;
	granules = granules_for(block, size);
	lock_take(&block->lock);
	end = next_start(&block->pages, at);
	asked = block->guard ? read_asked(block, ptr) : 0;
	if (at + granules <= end)
		cut(block, at, granules);
	else
		fits = grow(block, at, end, granules);
	if (fits)
		count(block, granules - (end - at));
	if (fits && block->guard) {
		note_asked(block, ptr, size);
		tools_pool_resized(block, ptr, asked, size);
	}
	lock_drop(&block->lock);
	return fits;
}

/* ---- looking at it ---- */

void block_figures(struct block *block, struct block_figures *figures)
{
	size_t longest;

	lock_take(&block->lock);
	longest = (block->policy == BLOCK_AOFF
			   ? first_fit_longest(&block->fit.first)
			   : best_fit_longest(&block->fit.best)) *
		  GRANULE;
	*figures = (struct block_figures){
		.total = block->area_size,
		.kept = block->area_size - granules_in(block) * GRANULE,
		.allocated = block->live * GRANULE,
		.peak = block->peak * GRANULE,
		.free = (granules_in(block) - block->live) * GRANULE,
		.longest = longest > block->guard ? longest - block->guard : 0,
		.blocks = block->blocks,
		.holes = block->holes,
	};
	lock_drop(&block->lock);
}

void block_each(struct block *block,
		void (*fn)(char *at, size_t bytes, bool hole, void *arg),
		void *arg)
{
	size_t at, next;

	lock_take(&block->lock);
	for (at = FIRST_GRANULE; at < block->pages.end; at = next) {
		next = next_start(&block->pages, at);
		fn(memory_at(block, at), (next - at) * GRANULE,
		   is_hole(&block->pages, at), arg);
	}
	lock_drop(&block->lock);
}

/* ---- fork and signals ---- */

bool block_try_lock(struct block *block)
{
	return lock_try(&block->lock);
}

void block_lock(struct block *block)
{
	lock_take(&block->lock);
}

void block_unlock(struct block *block)
{
	lock_drop(&block->lock);
}
