/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocator - memory of an allocator that the caller names, tracked
 *
 * The names of OTP's reclaim_private.h, by which the emulator tracked what it
 * allocated from its own block.
 */
#include "config.h"

#include <errno.h>

#include "reclaim.h"
#include "reclaim/memory_private.h"
#include "reclaim/place_private.h"
#include "reclaim/thread_private.h"

void *save_malloc2(size_t size, void *(*alloc)(size_t))
{
	return record_alloc2(task_self(), size, alloc, FAMILY_CALLERS, PLACE);
}

void *save_calloc2(size_t n, size_t size, void *(*alloc)(size_t, size_t))
{
	return record_calloc2(task_self(), n, size, alloc, PLACE);
}

void *save_realloc2(void *ptr, size_t size, void *(*resize)(void *, size_t))
{
	return record_realloc2(task_self(), ptr, size, resize, FAMILY_CALLERS,
			       PLACE);
}

void save_free2(void *ptr, void (*give_back)(void *))
{
	record_free2(task_self(), ptr, give_back, FAMILY_CALLERS, PLACE);
}

void set_reclaim_free_function(void (*give_back)(void *))
{
	record_set_free2(give_back);
}

/* It returns nothing, so that a failure can only be told. */
void save_delete_hook(void (*fn)(void *), void *arg)
{
	if (reclaim_defer(fn, arg, NULL) < 0)
		reclaim_say(RECLAIM_ERROR,
			    "save_delete_hook: no memory to record the hook: "
			    "it will not run (reclaim_defer tells by its "
			    "result)");
}
