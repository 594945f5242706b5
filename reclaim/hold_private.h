/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold - whose a block is, and whether the caller may touch it
 *
 * A block is held while something is done to it: what belongs to a task below
 * the caller's could be released meanwhile, unless the tables are locked.
 * What may not be touched is refused and told: a stranger's, one that is free
 * already, a pointer into one, or to none.
 */
#ifndef HOLD_PRIVATE_H
#define HOLD_PRIVATE_H

#include "reclaim/heap_private.h"

struct task;
struct thread;

struct held {
	struct pointer block;
	struct task *task;
	bool locked;
};

/* GONE: with a task that is being released, and nothing is left to do. */
enum { HELD, GONE, REFUSED };

/* Hold the block of a pointer that arena_has; `did` is what is being done. */
int hold(const struct thread *self, void *ptr, const char *did, void *place,
	 struct held *held);
void hold_drop(struct held *held);

/* The same for giving, with the tables locked: 0, EINVAL or EPERM, untold. */
int hold_to_give(const struct thread *self, void *ptr, struct held *held);

/* Say that a block is a stranger's, or not one to do this with. */
void hold_refuse(const struct pointer *block, const char *did, void *place);

/* Freed by its own thread and by another: seen when that was folded in. */
void hold_tell_twice(struct heap *heap);

/*
 * Whether a pointer outside the arenas may be libc's; or one without a record
 * that of an allocator which the caller names.  If not, says so.
 */
bool hold_may_be_libcs(void *ptr, const char *did, void *place);
bool hold_may_be_callers(void *ptr, const char *did, void *place);

#endif
