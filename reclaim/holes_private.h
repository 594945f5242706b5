/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holes - how a block's holes are used and left
 *
 * By its policy, and in the ways of the processor: what is done with each
 * allocation is compiled for each of them, as one function.
 *
 * Threads: with the block's lock held.
 */
#ifndef HOLES_PRIVATE_H
#define HOLES_PRIVATE_H

#include "reclaim/block_private.h"

/* The block's pages are one hole. */
void holes_begin(struct block *block);

/* An allocation where the policy's hole was for so many granules, or NULL. */
char *holes_use(struct block *block, size_t granules);

/* An allocation is a hole, with those beside it. */
void holes_leave(struct block *block, size_t at, size_t end);

/*
 * The same of what is certainly a live allocation, and no long one.  False:
 * perhaps it is none.
 */
bool holes_leave_live(struct block *block, const void *ptr);

/* A hole that was not chosen by the policy begins later. */
void holes_shorten(struct block *block, const struct hole *hole, size_t from);

/* In granules. */
size_t holes_longest(const struct block *block);

#endif
