/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/trackers.h"

#include <stdlib.h>

#include <uthash.h>

/* ---- list ---- */

/* 32 bytes: what follows is aligned as malloc's. */
struct header {
	struct header *older, *newer;
	struct header *owner;
	size_t size;
};

/* An owner is a header without a block: both ends of its ring. */
void *list_begin(void)
{
	struct header *owner = malloc(sizeof(*owner));

	if (owner)
		owner->older = owner->newer = owner;
	return owner;
}

static void link_in(struct header *owner, struct header *header, size_t size)
{
	header->owner = owner;
	header->size = size;
	header->newer = owner;
	header->older = owner->older;
	header->older->newer = header;
	owner->older = header;
}

static void link_out(struct header *header)
{
	header->older->newer = header->newer;
	header->newer->older = header->older;
}

void *list_alloc(void *owner, size_t size)
{
	struct header *header = malloc(sizeof(*header) + size);

	if (!header)
		return NULL;
	link_in(owner, header, size);
	return header + 1;
}

void *list_resize(void *owner, void *ptr, size_t size)
{
	struct header *header = (struct header *)ptr - 1, *moved;

	link_out(header);
	moved = realloc(header, sizeof(*header) + size);
	link_in(owner, moved ? moved : header, moved ? size : header->size);
	return moved ? moved + 1 : NULL;
}

void list_free(void *owner, void *ptr)
{
	struct header *header = (struct header *)ptr - 1;

	(void)owner;
	link_out(header);
	free(header);
}

void list_end(void *owner)
{
	struct header *end = owner, *header = end->older, *older;

	for (; header != end; header = older) {
		older = header->older;
		free(header);
	}
	free(end);
}

/* ---- side ---- */

struct record {
	void *ptr; /* the key */
	size_t size;
	UT_hash_handle hh;
};

struct side {
	struct record *by_ptr;
};

void *side_begin(void)
{
	return calloc(1, sizeof(struct side));
}

void *side_alloc(void *owner, size_t size)
{
	struct side *side = owner;
	struct record *record = malloc(sizeof(*record));

	if (!record)
		return NULL;
	record->ptr = malloc(size);
	record->size = size;
	if (!record->ptr) {
		free(record);
		return NULL;
	}
	HASH_ADD_PTR(side->by_ptr, ptr, record);
	return record->ptr;
}

void *side_resize(void *owner, void *ptr, size_t size)
{
	struct side *side = owner;
	struct record *record;
	void *moved;

	HASH_FIND_PTR(side->by_ptr, &ptr, record);
	if (!record)
		return NULL;
	HASH_DEL(side->by_ptr, record);
	moved = realloc(ptr, size);
	if (moved) {
		record->ptr = moved;
		record->size = size;
	}
	HASH_ADD_PTR(side->by_ptr, ptr, record);
	return moved;
}

void side_free(void *owner, void *ptr)
{
	struct side *side = owner;
	struct record *record;

	HASH_FIND_PTR(side->by_ptr, &ptr, record);
	if (!record)
		return;
	HASH_DEL(side->by_ptr, record);
	free(record->ptr);
	free(record);
}

void side_end(void *owner)
{
	struct side *side = owner;
	struct record *record = side->by_ptr, *next;

	HASH_CLEAR(hh, side->by_ptr); /* the table; the records stay linked */
	for (; record; record = next) {
		next = record->hh.next;
		free(record->ptr);
		free(record);
	}
	free(side);
}

/* ---- chain ---- */

struct link {
	void *block;
	struct link *older;
};

void *chain_begin(void)
{
	return calloc(1, sizeof(struct link *));
}

void *chain_alloc(void *owner, size_t size)
{
	struct link **newest = owner, *link;
	char *block;

	size = (size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	block = malloc(size + sizeof(*link));
	if (!block)
		return NULL;
	link = (struct link *)(block + size);
	link->block = block;
	link->older = *newest;
	*newest = link;
	return block;
}

void chain_free(void *owner, void *ptr)
{
	struct link **at = owner;

	while (*at && (*at)->block != ptr)
		at = &(*at)->older;
	if (!*at)
		return;
	*at = (*at)->older;
	free(ptr);
}

void chain_end(void *owner)
{
	struct link **newest = owner, *link = *newest, *older;

	for (; link; link = older) {
		older = link->older;
		free(link->block);
	}
	free(newest);
}
