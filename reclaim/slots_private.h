/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots - arrays that grow and never move
 *
 * A table is a growing array of equal items, found by index.  Its chunks
 * double in size, so it needs few of them, an item keeps its address for
 * good, and finding one is arithmetic.  What is new is zero.
 *
 * Slots are a table of items that are taken and put back.  Each has an id,
 * index and generation, that is never used for another: an id that was kept
 * too long finds nothing.
 *
 * Good for: tasks and ledger entries, which others name by number.  Both
 * operations are O(1).  Memory is reused, not returned.
 * Threads: whoever owns the table locks it.
 * Errors: NULL or -1 with ENOMEM, and nothing has changed.
 */
#ifndef SLOTS_PRIVATE_H
#define SLOTS_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

/* 64 items in the first chunk: 26 chunks reach 2^32. */
#define TABLE_FIRST_BITS 6
#define TABLE_CHUNKS	 (32 - TABLE_FIRST_BITS)

struct table {
	size_t item;	/* bytes */
	uint32_t limit; /* items that there is room for */
	char *chunks[TABLE_CHUNKS];
};

/* Room for an item at `index`, and at every lower one. */
int table_cover(struct table *table, uint32_t index);

/* The chunk with an index that is covered, and where in it that is. */
static inline void *table_chunk(const struct table *table, uint32_t index,
				size_t *within)
{
	uint64_t n = (uint64_t)index + (1u << TABLE_FIRST_BITS);
	unsigned top = 63 ^ (unsigned)__builtin_clzll(n);

	*within = n ^ (uint64_t)1 << top;
	return table->chunks[top - TABLE_FIRST_BITS];
}

/* The item at an index that is covered. */
static inline void *table_at(const struct table *table, uint32_t index)
{
	size_t within;
	char *chunk = table_chunk(table, index, &within);

	return chunk + within * table->item;
}

/*
 * The head of each item.  An id is one number: its halves, written one by one
 * and soon read together, would keep the processor waiting.
 */
struct slot {
	uint64_t id;		/* generation, from 1, and index */
	struct slot *next_free; /* itself: it is taken */
};

#define SLOT_GENERATION ((uint64_t)1 << 32)

struct slots {
	struct table table;
	uint32_t used; /* items that were ever taken */
	struct slot *free;
};

/* One that was never taken; NULL with ENOMEM. */
void *slots_take_new(struct slots *slots);

/* An item that is nobody's.  All behind its head is as it was put back. */
static inline void *slots_take(struct slots *slots)
{
	struct slot *slot = slots->free;

	if (!slot)
		return slots_take_new(slots);
	slots->free = slot->next_free;
	slot->next_free = slot;
	slot->id += SLOT_GENERATION;
	return slot;
}

static inline void slots_put(struct slots *slots, struct slot *slot)
{
	slot->next_free = NULL;
	/* One that has had every generation is retired. */
	if (slot->id >= UINT64_MAX - UINT32_MAX)
		return;
	slot->next_free = slots->free;
	slots->free = slot;
}

static inline uint64_t slot_id(const struct slot *slot)
{
	return slot->id;
}

static inline uint32_t slot_index(const struct slot *slot)
{
	return (uint32_t)slot->id;
}

static inline uint32_t slot_generation(const struct slot *slot)
{
	return (uint32_t)(slot->id >> 32);
}

/* The item with this id, or NULL where it was put back. */
static inline void *slots_find(const struct slots *slots, uint64_t id)
{
	struct slot *slot;

	if ((uint32_t)id >= slots->used)
		return NULL;
	slot = table_at(&slots->table, (uint32_t)id);
	return slot->id == id && slot->next_free == slot ? slot : NULL;
}

#endif
