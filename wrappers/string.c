/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "reclaim.h"
#include "reclaim/memory_private.h"
#include "reclaim/place_private.h"
#include "reclaim/thread_private.h"

static char *copy(const char *text, size_t len, void *place)
{
	char *block = memory_alloc(len + 1, HEAP_ALIGN, place);

	if (!block)
		return NULL;
	memcpy(block, text, len);
	block[len] = '\0';
	return block;
}

char *save_strdup(const char *text)
{
	return copy(text, strlen(text), PLACE);
}

char *save_strndup(const char *text, size_t most)
{
	return copy(text, strnlen(text, most), PLACE);
}
