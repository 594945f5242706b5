/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/served.h"

#include <string.h>
#include <sys/mman.h>

#include "bench/harness.h"
#include "reclaim/block_private.h"

static void *memory(size_t bytes)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		bench_die("no memory for a block of %zu bytes", bytes);
	return memset(area, 1, bytes);
}

/* ---- libreclaim ---- */

void *served_begin(const char *policy, size_t bytes, size_t front)
{
	struct block *block =
		block_begin(memory(bytes), bytes,
			    (enum block_policy)block_policy(policy), false);

	if (!block || (front && !block_front(block, front)))
		bench_die("no block");
	return block;
}

void *served_alloc(void *served, size_t size)
{
	return block_alloc(served, size, GRANULE);
}

void served_free(void *served, void *ptr)
{
	if (block_free(served, ptr) != BLOCK_ALLOCATED)
		bench_die("what was allocated was not found");
}

void served_end(void *served)
{
	struct block *block = served;
	size_t bytes = block->area_size;
	void *area = block->area;

	block_front(block, 0);
	block_end(block);
	munmap(area, bytes);
}

struct served_state served_look(void *served)
{
	struct block_figures figures;

	block_figures(served, &figures);
	return (struct served_state){figures.kept, figures.free,
				     figures.longest};
}

/* ---- the plain list ---- */

struct piece {
	size_t size; /* the header included */
	struct piece *next;
};

/* The first is of no size, so that each has one before it. */
struct plain {
	struct piece first;
	size_t bytes;
};

void *plain_list_begin(size_t bytes)
{
	struct plain *plain = memory(bytes);
	struct piece *all = (struct piece *)(plain + 1);

	*all = (struct piece){bytes - sizeof(*plain), NULL};
	*plain = (struct plain){.first = {0, all}, .bytes = bytes};
	return plain;
}

void *plain_list_alloc(void *plain, size_t size)
{
	size_t wanted =
		(size + 2 * sizeof(struct piece) - 1) & -sizeof(struct piece);
	struct piece **link = &((struct plain *)plain)->first.next, *piece;

	while (*link && (*link)->size < wanted)
		link = &(*link)->next;
	piece = *link;
	if (!piece)
		return NULL;
	if (piece->size == wanted) {
		*link = piece->next;
	} else {
		*link = (struct piece *)((char *)piece + wanted);
		**link = (struct piece){piece->size - wanted, piece->next};
		piece->size = wanted;
	}
	return piece + 1;
}

static void join(struct piece *piece)
{
	struct piece *next = piece->next;

	if ((char *)piece + piece->size != (char *)next)
		return;
	piece->size += next->size;
	piece->next = next->next;
}

void plain_list_free(void *plain, void *ptr)
{
	struct piece *piece = (struct piece *)ptr - 1;
	struct piece *before = &((struct plain *)plain)->first;

	while (before->next && before->next < piece)
		before = before->next;
	piece->next = before->next;
	before->next = piece;
	join(piece);
	join(before);
}

void plain_list_end(void *plain)
{
	munmap(plain, ((struct plain *)plain)->bytes);
}

struct served_state plain_list_look(void *plain)
{
	struct served_state state = {.kept = sizeof(struct plain)};
	struct piece *piece = ((struct plain *)plain)->first.next;

	for (; piece; piece = piece->next) {
		state.free += piece->size;
		if (piece->size > state.longest)
			state.longest = piece->size;
	}
	return state;
}
