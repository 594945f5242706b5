/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys_alloc - the process's block: how it is set, served from and looked at
 *
 * Source: OTP's erl_set_memory_block(3) for VxWorks.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "reclaim.h"
#include "reclaim/library_private.h"
#include "reclaim/memory_private.h"
#include "reclaim/picture_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/sys_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

/* ---- how it was set ---- */

/* Against others that set and end it; who only allocates takes no lock. */
static struct lock setting = LOCK_INIT;
LOCK_HELD_OVER_FORK(setting)

static struct {
	bool running;  /* set, and not ended since */
	bool obtained; /* not given */
	/* These may change while others allocate: a given block stays. */
	atomic_bool warn_mixed_malloc, realloc_always_moves, use_reclaim;
	atomic_bool recorded; /* what is in it may have records */
} set;

/* Of the next; -1: as the environment says. */
static atomic_int policy = -1;

static atomic_size_t front; /* of the next */

void reclaim_block_front(size_t bytes)
{
	front = bytes;
}

static struct block *current(void)
{
	return atomic_load_explicit(&sys_block, memory_order_acquire);
}

int reclaim_block_policy(const char *name)
{
	int wanted = name ? block_policy(name) : -1;

	if (wanted < 0) {
		errno = EINVAL;
		return -1;
	}
	policy = wanted;
	return 0;
}

static enum block_policy wanted_policy(void)
{
	const char *name = getenv("RECLAIM_BLOCK_POLICY");
	int wanted = policy;

	if (wanted < 0 && name && *name) {
		wanted = block_policy(name);
		if (wanted < 0)
			reclaim_say(RECLAIM_WARNING,
				    "RECLAIM_BLOCK_POLICY=%s is none of "
				    "\"aoff\", \"aobf\" and \"bf\": ignored",
				    name);
	}
	return wanted < 0 ? BLOCK_AOFF : (enum block_policy)wanted;
}

/* ---- setting ---- */

/* What keeps an area from being one, in words; or NULL. */
static const char *flaw(size_t size, const void *ptr)
{
	if (size == 0)
		return "it has to have a size";
	if (size < BLOCK_LEAST)
		return "it has to have 64 KiB at least";
	if ((uintptr_t)ptr % GRANULE)
		return "it is not aligned to 16 bytes";
	if (size > UINTPTR_MAX - (uintptr_t)ptr || size > PTRDIFF_MAX)
		return "there are not so many addresses behind its beginning";
	return NULL;
}

/* What was given before, and stayed, is this. */
static bool is_same(const struct block *block, size_t size, const void *ptr)
{
	return block && block->area == ptr && block->area_size == size;
}

static int refuse(int error, const char *why)
{
	reclaim_say(RECLAIM_ERROR, "erl_set_memory_block: %s: nothing is set",
		    why);
	errno = error;
	return -1;
}

static void *obtain(size_t size)
{
	void *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return area == MAP_FAILED ? NULL : area;
}

/* The one before is empty, and goes.  The new one serves nobody yet. */
static struct block *replace(struct block *before, void *area, size_t size,
			     enum block_policy by, bool zeroed)
{
	struct block *block;

	if (before)
		block_end(before);
	block = block_begin(area, size, by, zeroed);
	block_front(block, front);
	set.recorded = false;
	return block;
}

static bool is_empty(struct block *block)
{
	struct block_figures figures;

	block_figures(block, &figures);
	return figures.blocks == 0;
}

/* Why not, in words, and the error; or NULL, and the block that is to serve. */
static const char *set_block(size_t size, void *ptr, enum block_policy by,
			     struct block **block, int *error)
{
	struct block *before = current();
	void *area = ptr;

	*error = EBUSY;
	if (set.running)
		return "a block is in use (reclaim_block_end ends that)";
	*block = before;
	if (ptr && is_same(before, size, ptr))
		return NULL;
	if (before && !is_empty(before))
		return "the block that was given before is another, and "
		       "something is allocated in it";
	if (!block_may_have(by, size)) {
		*error = EINVAL;
		return "with its policy it has to have less than 16 TiB";
	}
	if (!ptr && !(area = obtain(size))) {
		*error = ENOMEM;
		return "there is not so much memory";
	}
	*block = replace(before, area, size, by, !ptr);
	return NULL;
}

int erl_set_memory_block(size_t size, void *ptr, int warn_mixed_malloc,
			 int realloc_always_moves, int use_reclaim, ...)
{
	const char *why = flaw(size, ptr);
	enum block_policy by;
	struct block *block;
	int error = EINVAL;

	if (why)
		return refuse(error, why);
	by = wanted_policy(); /* which may speak */
	lock_take(&setting);
	why = set_block(size, ptr, by, &block, &error);
	if (!why) {
		set.running = true;
		set.obtained = !ptr;
		set.warn_mixed_malloc = warn_mixed_malloc;
		set.realloc_always_moves = realloc_always_moves;
		set.use_reclaim = use_reclaim;
		if (use_reclaim)
			set.recorded = true;
		sys_set(block); /* from here on others allocate in it */
	}
	lock_drop(&setting);
	return why ? refuse(error, why) : 0;
}

/* It goes as a whole, and what was known of what is in it. */
static void give_up(struct block *block)
{
	char *area = block->area;
	size_t size = block->area_size;

	records_forget_family(FAMILY_BLOCK);
	sys_set(NULL);
	block_end(block);
	munmap(area, size);
}

int reclaim_block_end(void)
{
	bool was_running;

	lock_take(&setting);
	was_running = set.running;
	set.running = false;
	if (was_running && set.obtained)
		give_up(current());
	lock_drop(&setting);
	return errno_result(was_running ? 0 : EINVAL);
}

/* ---- allocating ---- */

static void *alloc_in_block(size_t size)
{
	return block_alloc(current(), size, GRANULE);
}

static void give_back(void *ptr)
{
	block_free(current(), ptr);
}

static void *resize_in_block(void *ptr, size_t size)
{
	struct block *block = current();
	size_t before = block_size(block, ptr);
	void *moved;

	if (!set.realloc_always_moves && block_resize(block, ptr, size))
		return ptr;
	moved = block_alloc(block, size, GRANULE);
	if (moved) {
		memcpy(moved, ptr, size < before ? size : before);
		block_free(block, ptr);
	}
	return moved;
}

static void tell(enum block_found found, const char *did, const void *ptr,
		 void *place)
{
	struct misuse misuse = {.did = did, .place = place};

	static const int what[] = {
		[BLOCK_HOLE] = RECLAIM_DOUBLE_FREE,
		[BLOCK_INSIDE] = RECLAIM_INTERIOR_FREE,
		[BLOCK_ELSEWHERE] = RECLAIM_FOREIGN_FREE,
	};

	misuse.what = what[found];
	snprintf(misuse.thing, sizeof(misuse.thing), "%p in the memory block",
		 ptr);
	report_misuse(&misuse);
}

static void warn_if_mixed(const void *ptr, const char *did)
{
	if (current() && set.warn_mixed_malloc)
		reclaim_say(RECLAIM_WARNING,
			    "%s of %p, which is not in the block: malloc and "
			    "sys_alloc are mixed",
			    did, ptr);
}

static void *alloc(size_t size, void *place)
{
	if (!current())
		return memory_alloc(size, HEAP_ALIGN, place);
	if (set.use_reclaim)
		return record_alloc2(task_self(), size, alloc_in_block,
				     FAMILY_BLOCK, place);
	return alloc_in_block(size);
}

static void free_in_block(void *ptr, void *place)
{
	bool recorded = set.recorded;
	enum block_found found = recorded ? block_find(current(), ptr)
					  : block_free(current(), ptr);

	if (found != BLOCK_ALLOCATED)
		tell(found, "free", ptr, place);
	else if (recorded)
		record_free2(task_self(), ptr, give_back, FAMILY_BLOCK, place);
}

static void *realloc_in_block(void *ptr, size_t size, void *place)
{
	enum block_found found = block_find(current(), ptr);

	if (found != BLOCK_ALLOCATED) {
		tell(found, "realloc", ptr, place);
		errno = EINVAL;
		return NULL;
	}
	if (size == 0) {
		free_in_block(ptr, place);
		return NULL;
	}
	if (!set.recorded)
		return resize_in_block(ptr, size);
	return record_realloc2(task_self(), ptr, size, resize_in_block,
			       FAMILY_BLOCK, place);
}

void *sys_alloc(size_t size)
{
	return alloc(size, PLACE);
}

void *sys_realloc(void *ptr, size_t size)
{
	if (!ptr)
		return alloc(size, PLACE);
	if (sys_has(ptr))
		return realloc_in_block(ptr, size, PLACE);
	warn_if_mixed(ptr, "sys_realloc");
	return memory_realloc(ptr, size, PLACE);
}

void sys_free(void *ptr)
{
	if (!ptr)
		return;
	if (sys_has(ptr)) {
		free_in_block(ptr, PLACE);
		return;
	}
	warn_if_mixed(ptr, "sys_free");
	memory_free(ptr, PLACE);
}

/* ---- looking at it ---- */

/* With the lock that keeps it from going meanwhile. */
static struct block *take_block(void)
{
	struct block *block;

	lock_take(&setting);
	block = current();
	if (block)
		return block;
	lock_drop(&setting);
	errno = EINVAL;
	return NULL;
}

static int no_place(const void *to)
{
	return errno_result(to ? 0 : EINVAL);
}

int reclaim_block_info(struct reclaim_block_info *info)
{
	struct block *block = no_place(info) < 0 ? NULL : take_block();

	if (!block)
		return -1;
	block_inform(block, info);
	lock_drop(&setting);
	return 0;
}

int erl_mem_info_get(MEM_PART_STATS *stats)
{
	struct block *block = no_place(stats) < 0 ? NULL : take_block();
	struct block_figures figures;

	if (!block)
		return -1;
	block_figures(block, &figures);
	lock_drop(&setting);
	*stats = (MEM_PART_STATS){
		.numBytesFree = figures.free,
		.numBlocksFree = figures.holes,
		.maxBlockSizeFree = figures.longest,
		.numBytesAlloc = figures.allocated,
		.numBlocksAlloc = figures.blocks,
	};
	return 0;
}

static void own(const void *ptr, size_t bytes, const struct task *task,
		void *picture)
{
	size_t served = (bytes + GRANULE - 1) & -GRANULE;
	char name[64];

	report_label(task, name, sizeof(name));
	picture_own(picture, ptr, served, task, name);
}

/* Or NULL with EINVAL, where there is no block, or ENOMEM. */
static struct picture *take_picture(void)
{
	struct picture *picture = malloc(sizeof(*picture));
	struct block *block = picture ? take_block() : NULL;

	if (!block) {
		free(picture);
		return NULL;
	}
	picture_take(picture, block);
	lock_take(&tables);
	records_of_family(FAMILY_BLOCK, own, picture);
	lock_drop(&tables);
	lock_drop(&setting);
	return picture;
}

static void print_settings(const struct picture *picture)
{
	static const char *const on_off[] = {"off", "on"};

	printf("Memory block of %zu bytes at %p, %s, %s; policy %s\n",
	       picture->figures.total, (void *)picture->area,
	       set.obtained ? "obtained" : "given",
	       set.running ? "in use" : "ended",
	       block_policy_name(picture->policy));
	printf("Warnings of mixed malloc are %s, sys_realloc always moves is "
	       "%s,\nreclaiming at a task's end is %s\n",
	       on_off[set.warn_mixed_malloc], on_off[set.realloc_always_moves],
	       on_off[set.use_reclaim]);
}

static void print_row(const char *what, size_t bytes)
{
	printf("%-14s %16zu", what, bytes);
}

static void print_table(const struct block_figures *figures)
{
	printf("%-14s %16s %12s\n", "", "bytes", "blocks");
	print_row("total", figures->total);
	printf(" %12zu\n", figures->blocks + figures->holes);
	print_row("kept of it", figures->kept);
	printf(" %12s\n", "-");
	print_row("allocated", figures->allocated);
	printf(" %12zu\n", figures->blocks);
	print_row("at most", figures->peak);
	printf(" %12s\n", "-");
	print_row("free", figures->free);
	printf(" %12zu\n", figures->holes);
	print_row("largest free", figures->longest);
	printf(" %12s\n", "-");
}

/* Any arguments: what is called so has no prototype. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wold-style-definition"
int erl_memory_show()
{
	struct picture *picture = take_picture();
	char row[3 * 72 + 1];

	if (!picture) {
		puts(current() ? "There is no memory to look at the block."
			       : "No memory block is set: sys_alloc is "
				 "save_malloc.");
		return 0;
	}
	print_settings(picture);
	print_table(&picture->figures);
	picture_row(picture, 72, row);
	printf("[%s]\n", row);
	free(picture);
	return 0;
}
#pragma GCC diagnostic pop

int reclaim_block_svg(FILE *to)
{
	struct picture *picture = take_picture();
	int result;

	if (!picture)
		return -1;
	result = picture_svg(picture, to);
	free(picture);
	return result;
}
