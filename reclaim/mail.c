/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/mail_private.h"

#include <stdlib.h>

#include "reclaim/memory_private.h"
#include "reclaim/tail_private.h"

static struct memory mail; /* of no task */

static RARE struct heap *first_heap(struct thread *self)
{
	if (!memory_is_libcs && !self->finished && thread_watch(self) == 0)
		self->mail = heap_adopt(&mail.heaps, NULL, self);
	return self->mail;
}

static RARE void *alloc_with_care(struct thread *self, size_t size)
{
	struct heap *heap = self->mail ? self->mail : first_heap(self);
	size_t tail = tail_size(&mail);
	struct pointer block;
	void *ptr = NULL;

	if (heap && size <= CHUNK_MOST - tail)
		ptr = heap_alloc(heap, size + tail, HEAP_ALIGN, 0);
	if (!ptr)
		return malloc(size);
	if (tail) {
		pointer_find(ptr, &block);
		tail_begin(&block, &mail, size, false, NULL);
	}
	return ptr;
}

void *mail_alloc(size_t size)
{
	struct thread *self = thread_self();
	void *ptr = NULL;

	if (self->mail && size - 1 < QUICK_MOST && !tail_labels)
		ptr = heap_take(self->mail, size);
	return ptr ? ptr : alloc_with_care(self, size);
}

static void free_with_care(struct thread *self, void *ptr)
{
	struct pointer block;
	int saved = errno;

	if (arena_has(ptr)) {
		pointer_find(ptr, &block);
		memory_free_block(self, &block, NULL);
	} else {
		free(ptr);
	}
	errno = saved;
}

void mail_free(void *ptr)
{
	struct thread *self = thread_self();
	struct run *run;
	enum put put = PUT_NOT;

	if (!ptr)
		return;
	if (self->mail && !tail_labels)
		put = heap_put(self->mail, ptr, &run);
	if (put == PUT_BY_RUN && heap_put_by_run(self->mail, run, ptr))
		put = PUT_DONE;
	if (put != PUT_DONE)
		free_with_care(self, ptr);
}

void mail_leave(struct thread *self)
{
	if (self->mail)
		heap_leave(self->mail);
	self->mail = NULL;
}

void mail_forked(void)
{
	heap_forked(atomic_load(&mail.heaps), thread_self());
}
