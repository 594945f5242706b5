/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/slots_private.h"

#include <errno.h>
#include <stdlib.h>

int table_cover(struct table *table, uint32_t index)
{
	while (index >= table->limit) {
		uint64_t n = (uint64_t)table->limit + (1u << TABLE_FIRST_BITS);
		unsigned chunk =
			63 - (unsigned)__builtin_clzll(n) - TABLE_FIRST_BITS;

		if (chunk >= TABLE_CHUNKS - 1) {
			errno = ENOMEM;
			return -1;
		}
		table->chunks[chunk] = calloc(n, table->item);
		if (!table->chunks[chunk])
			return -1;
		table->limit += (uint32_t)n;
	}
	return 0;
}

void *slots_take_new(struct slots *slots)
{
	struct slot *slot;

	if (table_cover(&slots->table, slots->used) < 0)
		return NULL;
	slot = table_at(&slots->table, slots->used);
	slot->id = SLOT_GENERATION | slots->used++;
	slot->next_free = slot;
	return slot;
}
