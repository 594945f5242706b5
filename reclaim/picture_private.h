/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picture - what a block looks like
 *
 * Cells of equal size, from the block's beginning to its end: how much of each
 * is kept, allocated, and allocated by whom.
 *
 * Memory: the caller's; nothing is allocated here but by stdio.
 */
#ifndef PICTURE_PRIVATE_H
#define PICTURE_PRIVATE_H

#include <stdio.h>

#include "reclaim/block_private.h"

#define PICTURE_COLUMNS 96
#define PICTURE_ROWS	48
#define PICTURE_CELLS	(PICTURE_COLUMNS * PICTURE_ROWS)
#define PICTURE_OWNERS \
	12 /* more than that are one: there are no more colours */

struct cell {
	size_t kept, allocated;
	size_t owned; /* of that by `owner`, who has the most so far */
	unsigned char owner;
};

struct owner {
	char name[64];
	const void *key;
	size_t bytes;
};

struct picture {
	size_t cell_bytes;
	struct block_figures figures;
	enum block_policy policy;
	char *area;
	struct cell cells[PICTURE_CELLS];
	struct owner owners[PICTURE_OWNERS];
	unsigned owner_count;
};

/* Look at a block. */
void picture_take(struct picture *picture, struct block *block);

/* An allocation in it is somebody's; `key` tells them apart. */
void picture_own(struct picture *picture, const char *at, size_t bytes,
		 const void *key, const char *name);

/* A row of at most `columns` cells of three bytes (UTF-8), and a zero. */
void picture_row(const struct picture *picture, unsigned columns, char *row);

/* As SVG; 0, or -1 with errno. */
int picture_svg(const struct picture *picture, FILE *to);

#endif
