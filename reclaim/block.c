/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/block_private.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "reclaim/block.h"
#include "reclaim/holes_private.h"
#include "reclaim/rare_private.h"
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

/* ---- allocating and freeing, in granules ---- */

/* A live allocation is a hole. */
static void leave(struct block *block, size_t at)
{
	const void *ptr = block->base + at * GRANULE;

	if (!holes_leave_live(block, ptr))
		holes_leave(block, at, next_start(&block->pages, at));
}

/* Of an allocation so much from its beginning is still needed. */
static void cut(struct block *block, size_t at, size_t granules)
{
	size_t end = next_start(&block->pages, at);

	if (at + granules == end)
		return;
	start_at(&block->pages, at + granules, true);
	block->blocks++;
	holes_leave(block, at + granules, end);
}

/* It begins later; what was before is a hole. */
static void cut_before(struct block *block, size_t at, size_t from)
{
	if (at == from)
		return;
	start_at(&block->pages, from, true);
	block->blocks++;
	holes_leave(block, at, from);
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

/* Those that an index counts: from the one before all that is served on. */
static size_t pages_counted(size_t pages)
{
	return pages + 1;
}

static size_t index_bytes(size_t pages, enum block_policy policy)
{
	return policy == BLOCK_AOFF ? first_fit_bytes(pages_counted(pages))
				    : best_fit_bytes(pages_counted(pages));
}

static size_t bytes_kept(size_t pages, enum block_policy policy)
{
	return LINE + sizeof(struct block) + pages_bytes(pages) +
	       index_bytes(pages, policy) + LINE + GRANULE;
}

#define PAGE_BYTES (PAGE_GRANULES * GRANULE)

/* With what is kept of them, and of the last one something at least. */
static size_t pages_in(size_t size, enum block_policy policy)
{
	size_t pages = size / PAGE_BYTES, all;

	while (pages) {
		all = (pages - 1) * PAGE_BYTES + bytes_kept(pages, policy);
		if (all < size)
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
	char *at = align_up((char *)(block + 1)), *pages_at;
	size_t left;

	if (block->policy == BLOCK_AOFF)
		first_fit_begin(&block->fit.first, pages_counted(pages), at);
	else
		best_fit_begin(&block->fit.best, pages_counted(pages),
			       block->policy == BLOCK_BF, at);
	at += index_bytes(pages, block->policy);
	pages_at = at;
	/* Valgrind closes a granule before the first allocation, too. */
	at = align_up(at + pages_bytes(pages) + GRANULE);
	block->base = at - FIRST_GRANULE * GRANULE;
	left = (size_t)(block->area + block->area_size - at) / GRANULE;
	if (left > pages * PAGE_GRANULES)
		left = pages * PAGE_GRANULES;
	pages_begin(&block->pages, pages, left, pages_at);
}

bool block_may_have(enum block_policy policy, size_t size)
{
	return policy == BLOCK_AOFF ||
	       size / (REGION * GRANULE) <= BEST_FIT_MOST_REGIONS;
}

struct block *block_begin(void *area, size_t size, enum block_policy policy,
			  bool zeroed)
{
	struct block *block = align_up(area);
	size_t pages = pages_in(size, policy);

	if ((uintptr_t)area % GRANULE || size < BLOCK_LEAST ||
	    size > UINTPTR_MAX - (uintptr_t)area ||
	    !block_may_have(policy, size)) {
		errno = EINVAL;
		return NULL;
	}
	if (!zeroed)
		memset(area, 0, bytes_kept(pages, policy));
	*block = (struct block){
		.lock.mutex = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP,
		.policy = policy,
		.zeroed = zeroed,
		.area = area,
		.area_size = size,
	};
	lay_out(block, pages);
	holes_begin(block);
	if (tools_listen()) {
		block->guard = GRANULE;
		tools_pool_begin(block, memory_at(block, FIRST_GRANULE),
				 granules_in(block) * GRANULE);
	}
	return block;
}

void block_end(struct block *block)
{
	front_close(&block->fronts);
	if (block->guard)
		tools_pool_end(block, memory_at(block, FIRST_GRANULE),
			       granules_in(block) * GRANULE);
}

/* ---- granules, aligned ---- */

static size_t beyond(const struct block *block, size_t at, size_t align)
{
	uintptr_t address = (uintptr_t)memory_at(block, at);

	return (-address & (align - 1)) / GRANULE;
}

/* With room to begin at an aligned address, which is no allocation then. */
static char *alloc_aligned(struct block *block, size_t granules, size_t align)
{
	size_t peak = block->peak, at, from;
	char *ptr = holes_use(block, granules + align / GRANULE - 1);

	if (!ptr)
		return NULL;
	at = granule_of(block, ptr);
	from = at + beyond(block, at, align);
	cut_before(block, at, from);
	cut(block, from, granules);
	block->peak = block->live > peak ? block->live : peak;
	return memory_at(block, from);
}

static char *alloc_granules(struct block *block, size_t granules, size_t align)
{
	return align > GRANULE ? alloc_aligned(block, granules, align)
			       : holes_use(block, granules);
}

/* Valgrind closes what is on either side: the guard that is before it, too. */
static void tell_allocated(struct block *block, char *ptr, size_t size)
{
	note_asked(block, ptr, size);
	tools_pool_allocated(block, ptr, size);
}

/* ---- fronts ---- */

/* Of the fronts' own memory, which the block counts as an allocation. */
#define FRONT_GRANULES ((sizeof(struct front) + GRANULE - 1) / GRANULE)

/*
 * Beyond that much of the block, in eighths, nothing is kept: there what is
 * freed is wanted by all, and as one piece.
 */
#define FRONT_GATE 7

/* What is no allocation was freed by two threads at once, and is left alone. */
static void flush(struct block *block, struct front *front, size_t down_to)
{
	struct kept *kept = front_let_go(front, down_to), *next;
	size_t at;

	for (; kept; kept = next) {
		next = kept->next;
		at = granule_of(block, kept);
		if (at - FIRST_GRANULE < granules_in(block) &&
		    is_live(&block->pages, at))
			leave(block, at);
	}
}

/* Whether there was anything. */
static bool flush_all(struct block *block)
{
	size_t live = block->live;
	struct front *front;

	for (front = block->fronts.first; front; front = front->next)
		flush(block, front, 0);
	return block->live < live;
}

static char *alloc_or_flush(struct block *block, size_t granules, size_t align)
{
	char *ptr = alloc_granules(block, granules, align);

	if (!ptr && block->fronts.first && flush_all(block))
		ptr = alloc_granules(block, granules, align);
	return ptr;
}

static void make_front(struct block *block)
{
	char *ptr;

	if (!front_may_have())
		return;
	lock_take(&block->lock);
	ptr = alloc_granules(block, FRONT_GRANULES, GRANULE);
	if (ptr)
		front_begin(&block->fronts,
			    memset(ptr, 0, FRONT_GRANULES * GRANULE));
	lock_drop(&block->lock);
}

/*
 * Without the lock.  A hole is marked before it begins, and begins no more
 * before the mark goes: so it is looked at from both sides.
 */
static bool seems_live(const struct pages *pages, size_t at)
{
	const struct page *page = page_of(pages, at);
	uint64_t before = __atomic_load_n(&page->holes, __ATOMIC_ACQUIRE);
	uint64_t starts = __atomic_load_n(&page->starts, __ATOMIC_ACQUIRE);
	uint64_t after = bits_load(&page->holes);

	return starts & ~before & ~after & bit_of(at);
}

/*
 * Keep what certainly is an allocation, and not kept already.  What has the
 * bits of a live one may still be changed by others, if it is another's: then
 * its end is found to be anywhere, or far away.
 */
static bool keep(struct block *block, void *ptr)
{
	const struct fronts *fronts = &block->fronts;
	size_t offset = (size_t)((char *)ptr - block->base), length;
	size_t at = offset / GRANULE;
	bool full, kept;

	if (at - FIRST_GRANULE >= granules_in(block) || offset % GRANULE ||
	    !seems_live(&block->pages, at))
		return false;
	length = length_at(&block->pages, at);
	if (length > FRONT_MOST ||
	    ((struct kept *)ptr)->key == front_key(fronts) ||
	    __atomic_load_n(&block->live, __ATOMIC_RELAXED) > fronts->gate)
		return false;
	if (!front_own(fronts) && !front_mine.over)
		make_front(block);
	kept = front_keep(fronts, ptr, length, &full);
	if (kept && full) {
		lock_take(&block->lock);
		flush(block, front_mine.front, fronts->most / 4 * 3);
		lock_drop(&block->lock);
	}
	return kept;
}

bool block_front(struct block *block, size_t bytes)
{
	bool may;

	lock_take(&block->lock);
	may = !block->guard && (bytes || block->fronts.number) &&
	      front_open(block, &block->fronts);
	if (may) {
		block->fronts.most = bytes / GRANULE;
		block->fronts.gate = granules_in(block) / 8 * FRONT_GATE;
		if (!bytes)
			flush_all(block);
	}
	lock_drop(&block->lock);
	return may || !bytes;
}

void block_front_ends(struct block *block, struct front *front)
{
	struct front **link = &block->fronts.first;
	size_t at = granule_of(block, front);

	lock_take(&block->lock);
	flush(block, front, 0);
	while (*link != front)
		link = &(*link)->next;
	*link = front->next;
	leave(block, at);
	lock_drop(&block->lock);
}

/* ---- allocating ---- */

static void *alloc(struct block *block, size_t size, size_t align,
		   size_t *untouched)
{
	char *ptr = NULL;

	if (size <= block->area_size && align <= block->area_size) {
		lock_take(&block->lock);
		*untouched = block->untouched;
		ptr = alloc_or_flush(block, granules_for(block, size), align);
		if (block->guard && ptr)
			tell_allocated(block, ptr, size);
		lock_drop(&block->lock);
	}
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

/* What the thread itself has freed, if there is any of this length. */
static void *alloc_in_front(struct block *block, size_t size)
{
	return block->fronts.most && size <= FRONT_MOST * GRANULE
		       ? front_take(&block->fronts, granules_for(block, size))
		       : NULL;
}

/*
 * Nothing is to be done but what the policy does: no other thread, nothing
 * kept, no tool.
 */
static inline bool is_plain(const struct block *block)
{
	return __libc_single_threaded && !(block->guard | block->fronts.number);
}

static RARE void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static inline void *alloc_plain(struct block *block, size_t size)
{
	char *ptr = holes_use(block, (size + GRANULE - 1 + !size) / GRANULE);

	return __builtin_expect(ptr != NULL, 1) ? ptr : no_memory();
}

/* Not inlined, so that what is plain saves no registers for it. */
static __attribute__((noinline)) void *alloc_any(struct block *block,
						 size_t size, size_t align)
{
	void *ptr = align <= GRANULE ? alloc_in_front(block, size) : NULL;
	size_t untouched;

	return ptr ? ptr : alloc(block, size, align, &untouched);
}

void *block_alloc(struct block *block, size_t size, size_t align)
{
	if (__builtin_expect(is_plain(block) && align <= GRANULE &&
				     size <= block->area_size,
			     1))
		return alloc_plain(block, size);
	return alloc_any(block, size, align);
}

/* What nobody had before is zero already, and stays untouched. */
void *block_calloc(struct block *block, size_t size)
{
	char *ptr = alloc_in_front(block, size), *clean;
	size_t untouched, dirty;

	if (ptr)
		return memset(ptr, 0, size);
	ptr = alloc(block, size, GRANULE, &untouched);
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
	if (is_live(&block->pages, at))
		return offset % GRANULE ? BLOCK_INSIDE : BLOCK_ALLOCATED;
	if (!is_start(&block->pages, at))
		at = previous_start(&block->pages, at);
	return is_hole(&block->pages, at) ? BLOCK_HOLE : BLOCK_INSIDE;
}

/* What a thread keeps is free. */
static enum block_found find_live(struct block *block, const void *ptr)
{
	enum block_found found = find(block, ptr);

	if (found == BLOCK_ALLOCATED && block->fronts.first &&
	    front_has(&block->fronts, ptr,
		      length_at(&block->pages, granule_of(block, ptr))))
		return BLOCK_HOLE;
	return found;
}

enum block_found block_find(struct block *block, const void *ptr)
{
	enum block_found found;

	lock_take(&block->lock);
	found = find_live(block, ptr);
	lock_drop(&block->lock);
	return found;
}

static __attribute__((noinline)) enum block_found free_any(struct block *block,
							   void *ptr)
{
	size_t at = granule_of(block, ptr);
	enum block_found found;

	if (block->fronts.most && keep(block, ptr))
		return BLOCK_ALLOCATED;
	lock_take(&block->lock);
	found = find_live(block, ptr);
	if (found == BLOCK_ALLOCATED) {
		if (block->guard)
			tools_pool_freed(block, ptr, read_asked(block, ptr));
		leave(block, at);
	}
	lock_drop(&block->lock);
	return found;
}

enum block_found block_free(struct block *block, void *ptr)
{
	if (__builtin_expect(is_plain(block) && holes_leave_live(block, ptr),
			     1))
		return BLOCK_ALLOCATED;
	return free_any(block, ptr);
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
	holes_shorten(block, &hole, at + granules);
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
	if (fits && block->guard) {
		note_asked(block, ptr, size);
		tools_pool_resized(block, ptr, asked, size);
	}
	lock_drop(&block->lock);
	return fits;
}

/* ---- looking at it ---- */

/* What threads keep is free, what their fronts are in is the block's own. */
static void add_fronts(struct block *block, struct block_figures *figures)
{
	struct front *front;

	for (front = block->fronts.first; front; front = front->next) {
		front_wait(front);
		figures->fronts += front->granules * GRANULE;
		figures->blocks -= front->blocks + 1;
		front_drop(front);
		figures->kept += FRONT_GRANULES * GRANULE;
		figures->allocated -= FRONT_GRANULES * GRANULE;
	}
	figures->allocated -= figures->fronts;
	figures->free += figures->fronts;
}

/* With the lock held. */
static void look(struct block *block, struct block_figures *figures)
{
	size_t longest = holes_longest(block) * GRANULE;

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
	add_fronts(block, figures);
}

void block_figures(struct block *block, struct block_figures *figures)
{
	lock_take(&block->lock);
	look(block, figures);
	lock_drop(&block->lock);
}

void block_inform(struct block *block, struct reclaim_block_info *info)
{
	struct block_figures figures;

	block_figures(block, &figures);
	*info = (struct reclaim_block_info){
		.area = block->area,
		.total = figures.total,
		.kept = figures.kept,
		.allocated = figures.allocated,
		.peak = figures.peak,
		.free = figures.free,
		.fronts = figures.fronts,
		.longest = figures.longest,
		.blocks = figures.blocks,
		.holes = figures.holes,
	};
	stpcpy(info->policy, policy_names[block->policy]);
}

void block_each(struct block *block, struct block_figures *figures,
		void (*fn)(char *at, size_t bytes, bool hole, void *arg),
		void *arg)
{
	size_t at, next;

	lock_take(&block->lock);
	flush_all(block);
	look(block, figures);
	for (at = FIRST_GRANULE; at < block->pages.end; at = next) {
		next = next_start(&block->pages, at);
		fn(memory_at(block, at), (next - at) * GRANULE,
		   is_hole(&block->pages, at), arg);
	}
	lock_drop(&block->lock);
}

/* ---- fork ---- */

static void drop_fronts(struct front *front, const struct front *until)
{
	for (; front != until; front = front->next)
		front_drop(front);
}

void block_lock(struct block *block)
{
	struct front *front;

	front_lock();
	lock_take(&block->lock);
	for (front = block->fronts.first; front; front = front->next)
		front_wait(front);
}

void block_unlock(struct block *block)
{
	drop_fronts(block->fronts.first, NULL);
	lock_drop(&block->lock);
	front_unlock();
}
