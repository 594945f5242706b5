/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/tail_private.h"

#include <string.h>

#include "reclaim/place_private.h"
#include "reclaim/task_private.h"
#include "reclaim/tools_private.h"

bool tail_labels;

/* ---- labels ---- */

static struct label *label_of(const struct pointer *block)
{
	struct label *label = (void *)(block->start + block->size);

	return --label;
}

struct label tail_label(const struct pointer *block)
{
	struct label *label, copy = {.size = 0};
	size_t most = block->size - sizeof(copy);

	if (!tail_labels)
		return copy;
	label = label_of(block);
	tools_open(label, sizeof(*label));
	copy = *label;
	tools_close(label, sizeof(*label));
	if (copy.size > most)
		copy.size = most;
	return copy;
}

static void write_label(const struct pointer *block, const struct label *copy)
{
	struct label *label = label_of(block);

	tools_open(label, sizeof(*label));
	*label = *copy;
	tools_close(label, sizeof(*label));
}

/* ---- labels of what was freed ---- */

/*
 * At a second free the block's memory may be anybody's: so, where places are
 * kept, the labels of what was freed last are here as well, by address, until
 * that is allocated again.  Two that fall on one line: the later one stays, in
 * most cases for as long as 4096 frees.
 */
#define FREED_BITS 13

static struct {
	_Atomic(char *) ptr; /* NULL while the rest is written */
	_Atomic(void *) acquired, freed;
	_Atomic size_t size;
	_Atomic reclaim_tid owner;
} last_freed[1 << FREED_BITS];

static size_t line_of(const char *ptr)
{
	uint64_t mixed = (uint64_t)(uintptr_t)ptr * 0x9e3779b97f4a7c15u;

	return (size_t)(mixed >> (64 - FREED_BITS));
}

static void keep(const struct pointer *block, const struct label *label)
{
	size_t line = line_of(block->ptr);
	struct task *owner = atomic_load(&block->heap->task);

	last_freed[line].ptr = NULL;
	last_freed[line].acquired = label->acquired;
	last_freed[line].freed = label->freed;
	last_freed[line].size = label->size;
	last_freed[line].owner = owner ? slot_id(&owner->slot) : 0;
	last_freed[line].ptr = block->ptr;
}

static void forget(const char *ptr)
{
	size_t line = line_of(ptr);

	if (last_freed[line].ptr == ptr)
		last_freed[line].ptr = NULL;
}

bool tail_freed(const char *ptr, struct label *label, reclaim_tid *owner)
{
	size_t line = line_of(ptr);

	if (!place_kept || last_freed[line].ptr != ptr)
		return false;
	label->acquired = last_freed[line].acquired;
	label->freed = last_freed[line].freed;
	label->size = last_freed[line].size;
	*owner = last_freed[line].owner;
	return true;
}

/* ---- slack ---- */

static void write_slack(const struct pointer *block, size_t size)
{
	slack_t slack = (slack_t)(block->size - size);

	memcpy(block->start + block->size - sizeof(slack), &slack,
	       sizeof(slack));
}

static size_t without_slack(const struct pointer *block)
{
	slack_t slack;

	memcpy(&slack, block->start + block->size - sizeof(slack),
	       sizeof(slack));
	return slack >= sizeof(slack) && slack <= block->size
		       ? block->size - slack
		       : 0;
}

/* ---- either ---- */

size_t tail_asked(const struct pointer *block, const struct memory *memory)
{
	if (tail_labels)
		return tail_label(block).size;
	return memory->max_bytes ? without_slack(block) : block->size;
}

void tail_resize(const struct pointer *block, const struct memory *memory,
		 size_t size, void *acquired)
{
	struct label label = {.acquired = acquired, .size = size};

	if (tail_labels)
		write_label(block, &label);
	else if (memory->max_bytes)
		write_slack(block, size);
}

void tail_begin(const struct pointer *block, const struct memory *memory,
		size_t size, bool zero, void *acquired)
{
	if (place_kept)
		forget(block->ptr);
	tail_resize(block, memory, size, acquired);
	tools_allocated(block->ptr, size, zero);
}

void tail_end(const struct pointer *block, void *freed)
{
	struct label label;

	if (!tail_labels)
		return;
	label = tail_label(block);
	tools_freed(block->ptr, label.size);
	label.freed = freed;
	write_label(block, &label);
	if (place_kept)
		keep(block, &label);
}
