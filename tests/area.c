/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/area.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/fixture.h"

#define AROUND ((size_t)4096) /* bytes on either side */
#define MARGIN ((size_t)256)  /* of them, those nearest, that are looked at */
#define THEIRS '\x3c'
#define SOIL   '\xa5'

void area_make(struct area *area, size_t size, size_t offset)
{
	area->size = size;
	area->map_size = size + 2 * AROUND + offset;
	area->map = mmap(NULL, area->map_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_msg(area->map != MAP_FAILED, "no %zu bytes: %m", size);
	area->at = area->map + AROUND + offset;
	memset(area->at - MARGIN, THEIRS, MARGIN);
	memset(area->at + size, THEIRS, MARGIN);
}

void area_soil(struct area *area)
{
	memset(area->at, SOIL, area->size);
}

void area_drop(struct area *area)
{
	bool before = all_bytes_are(area->at - MARGIN, THEIRS, MARGIN);
	bool behind = all_bytes_are(area->at + area->size, THEIRS, MARGIN);

	ck_assert_int_eq(munmap(area->map, area->map_size), 0);
	ck_assert_msg(before, "what is before the block has changed");
	ck_assert_msg(behind, "what is behind the block has changed");
}

struct block *area_block(struct area *area, enum block_policy policy,
			 bool zeroed)
{
	struct block *block = block_begin(area->at, area->size, policy, zeroed);

	ck_assert_msg(block != NULL, "no block of %zu bytes: %m", area->size);
	return block;
}

size_t room_for(const struct block *block, size_t size)
{
	return ((size ? size : 1) + block->guard + GRANULE - 1) / GRANULE *
	       GRANULE;
}

static void note_first(char *at, size_t bytes, bool hole, void *arg)
{
	char **first = arg;

	(void)bytes;
	(void)hole;
	if (!*first)
		*first = at;
}

char *first_served(struct block *block)
{
	char *first = NULL;

	block_each(block, &(struct block_figures){0}, note_first, &first);
	ck_assert_ptr_nonnull(first);
	return first;
}

bool all_bytes_are(const char *at, char what, size_t size)
{
	return size == 0 ||
	       (at[0] == what && memcmp(at, at + 1, size - 1) == 0);
}
