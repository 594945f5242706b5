/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/hold_private.h"

#include <dlfcn.h>
#include <errno.h>

#include "reclaim/memory_private.h"
#include "reclaim/report_private.h"
#include "reclaim/sys_private.h"
#include "reclaim/tail_private.h"
#include "reclaim/task_private.h"

/* ---- wrong use ---- */

static struct task *task_of(const struct pointer *block)
{
	return block->heap ? atomic_load_explicit(&block->heap->task,
						  memory_order_relaxed)
			   : NULL;
}

/* The task of that id; without one, that whose memory it is. */
static void name_owner(const struct pointer *block, reclaim_tid owner,
		       struct misuse *misuse)
{
	struct task *task;

	if (!owner && !block->heap)
		return;
	lock_take(&tables);
	task = owner ? slots_find(&tasks, owner) : task_of(block);
	if (task)
		report_label(task, misuse->owner, sizeof(misuse->owner));
	lock_drop(&tables);
}

static void name_thing(const struct pointer *block, struct misuse *misuse)
{
	struct label label = {.size = block->size};
	reclaim_tid owner = 0;
	bool known = block->start;

	if (block->state == POINTER_FREE &&
	    tail_freed(block->ptr, &label, &owner))
		known = true;
	else if (known && tail_labels)
		label = tail_label(block);
	name_owner(block, owner, misuse);
	misuse->acquired = label.acquired;
	if (block->state == POINTER_FREE)
		misuse->freed = label.freed;
	if (block->state == POINTER_NOT_ONE || !known)
		snprintf(misuse->thing, sizeof(misuse->thing), "pointer %p",
			 block->ptr);
	else if (block->state == POINTER_INSIDE)
		snprintf(misuse->thing, sizeof(misuse->thing),
			 "pointer %p, %zu bytes behind the beginning of block "
			 "%p of %zu bytes",
			 block->ptr, (size_t)(block->ptr - block->start),
			 block->start, label.size);
	else
		snprintf(misuse->thing, sizeof(misuse->thing),
			 "block %p of %zu bytes", block->ptr, label.size);
}

static void tell(int what, const char *did, const struct pointer *block,
		 void *place)
{
	struct misuse misuse = {.what = what, .did = did, .place = place};

	name_thing(block, &misuse);
	report_misuse(&misuse);
}

void hold_refuse(const struct pointer *block, const char *did, void *place)
{
	static const int what[] = {
		[POINTER_LIVE] = RECLAIM_STRANGERS,
		[POINTER_FREE] = RECLAIM_DOUBLE_FREE,
		[POINTER_INSIDE] = RECLAIM_INTERIOR_FREE,
		[POINTER_NOT_ONE] = RECLAIM_FOREIGN_FREE,
	};

	tell(what[block->state], did, block, place);
}

void hold_tell_twice(struct heap *heap)
{
	struct pointer block;

	pointer_find(heap->freed_twice, &block);
	heap->freed_twice = NULL;
	block.state = POINTER_FREE;
	tell(RECLAIM_DOUBLE_FREE, "free", &block, NULL);
}

/*
 * Nothing that libc allocated: not aligned as it aligns, or in an object that
 * is loaded.
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

bool hold_may_be_libcs(void *ptr, const char *did, void *place)
{
	struct pointer block = {.state = POINTER_NOT_ONE, .ptr = ptr};

	if (record_has(ptr))
		return true;
	if (sys_has(ptr))
		tell(RECLAIM_WRONG_FAMILY, did, &block, place);
	else if (is_foreign(ptr))
		hold_refuse(&block, did, place);
	else
		return true;
	return false;
}

bool hold_may_be_callers(void *ptr, const char *did, void *place)
{
	struct pointer block = {.state = POINTER_NOT_ONE, .ptr = ptr};

	if (sys_has(ptr)) {
		tell(RECLAIM_WRONG_FAMILY, did, &block, place);
		return false;
	}
	if (!arena_has(ptr))
		return true;
	pointer_find(ptr, &block);
	if (block.state == POINTER_LIVE)
		tell(RECLAIM_WRONG_FAMILY, did, &block, place);
	else
		hold_refuse(&block, did, place);
	return false;
}

/* ---- whose a block is ---- */

/* Whether it is a live block of a task. */
static bool find(void *ptr, struct held *held)
{
	pointer_find(ptr, &held->block);
	held->task = task_of(&held->block);
	if (!held->task && held->block.state == POINTER_LIVE)
		held->block.state = POINTER_FREE; /* its task is just gone */
	return held->block.state == POINTER_LIVE;
}

/* The current task, or one above it: which cannot end before it. */
static bool stays(const struct task *task)
{
	const struct task *mine = task_self();

	while (mine && mine != task)
		mine = mine->parent;
	return mine;
}

void hold_drop(struct held *held)
{
	if (held->locked)
		lock_drop(&tables);
	held->locked = false;
}

/* What a task below has.  One that is being released goes with its memory. */
static int hold_below(const struct thread *self, void *ptr, struct held *held)
{
	lock_take(&tables);
	held->locked = true;
	if (!find(ptr, held) || !task_is_kin(self->current, held->task))
		return REFUSED;
	return held->task->state == TASK_ENDING && !stays(held->task) ? GONE
								      : HELD;
}

int hold(const struct thread *self, void *ptr, const char *did, void *place,
	 struct held *held)
{
	int result = HELD;

	held->locked = false;
	if (!find(ptr, held))
		result = REFUSED;
	else if (!stays(held->task))
		result = hold_below(self, ptr, held);
	if (result != HELD)
		hold_drop(held);
	if (result == REFUSED)
		hold_refuse(&held->block, did, place);
	return result;
}

int hold_to_give(const struct thread *self, void *ptr, struct held *held)
{
	held->locked = false;
	if (!find(ptr, held))
		return EINVAL;
	if (!task_is_kin(self->current, held->task))
		return EPERM;
	if (held->task->state == TASK_ENDING && !stays(held->task))
		return EINVAL;
	return 0;
}
