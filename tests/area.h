/* SPDX-License-Identifier: Apache-2.0 */
/*
 * area - memory for a block to be made of, and what lies around it
 *
 * Good for: the tests of blocks.  On both sides there are bytes that nobody may
 * change; area_drop() fails the test where somebody did.  What nobody writes
 * costs no memory, however large it is.
 */
#ifndef AREA_H
#define AREA_H

#include <stddef.h>

#include "reclaim/block_private.h"

struct area {
	char *at;
	size_t size;
	char *map;
	size_t map_size;
};

/* All zero, `offset` bytes behind a multiple of 4096. */
void area_make(struct area *area, size_t size, size_t offset);

/* No byte of it is zero any more. */
void area_soil(struct area *area);

void area_drop(struct area *area);

/* A block of all of it, which the test wants. */
struct block *area_block(struct area *area, enum block_policy policy,
			 bool zeroed);

/* What an allocation takes of a block: granules, and what a tool wants. */
size_t room_for(const struct block *block, size_t size);

/* Where what it serves begins. */
char *first_served(struct block *block);

bool all_bytes_are(const char *at, char what, size_t size);

#endif
