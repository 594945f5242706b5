/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail - what a heap keeps behind a block, where it keeps anything
 *
 * A label, where places are kept or tools are told: where the block was
 * allocated and freed, and the bytes that were asked for.  To the tools it is
 * closed, and what runs over the block's end runs into it.  Else, in a task
 * with a limit, two bytes: how much less than the block's size was asked for,
 * so that the limit is kept to the byte.  Else nothing.
 *
 * What labels say of blocks that were freed is also kept apart, for a while.
 *
 * It lies in memory of the program's, and a forked child finds labels that were
 * about to be written.  So it is believed no more than that: at worst a figure
 * or a place is wrong.
 */
#ifndef TAIL_PRIVATE_H
#define TAIL_PRIVATE_H

#include "reclaim/memory_private.h"

struct label {
	void *acquired, *freed; /* places */
	size_t size;		/* as asked for */
	size_t unused;		/* blocks and labels are of granules */
};

typedef uint16_t slack_t; /* how much less */

extern bool tail_labels; /* every block has one */

static inline size_t tail_size(const struct memory *memory)
{
	if (tail_labels)
		return sizeof(struct label);
	return memory->max_bytes ? sizeof(slack_t) : 0;
}

/* What the program asked for; without a tail, what it got. */
size_t tail_asked(const struct pointer *block, const struct memory *memory);

/* Behind a new block.  The tools are told as well. */
void tail_begin(const struct pointer *block, const struct memory *memory,
		size_t size, bool zero, void *acquired);

/* The block stays, of another size. */
void tail_resize(const struct pointer *block, const struct memory *memory,
		 size_t size, void *acquired);

/* It is about to be freed.  The tools are told. */
void tail_end(const struct pointer *block, void *freed);

/* All zero where there is none. */
struct label tail_label(const struct pointer *block);

/* The label of what was freed there last, if known, and whose it was. */
bool tail_freed(const char *ptr, struct label *label, reclaim_tid *owner);

#endif
