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

/* ---- what others sent ---- */

/*
 * Who sends takes from a run as who receives frees in it: each time that a
 * block is marked the line that describes the run goes from one processor to
 * the other, and back.  So what is freed is kept here until it is of another
 * run, the run is done with, or there is nothing more to receive.
 */
void mail_return(void)
{
	struct aside *aside = &thread_self()->aside;

	if (aside->blocks)
		run_free_remote(aside->run, aside->blocks);
	*aside = (struct aside){.bytes = 0};
}

static inline bool put_aside(struct aside *aside, const void *ptr)
{
	size_t offset = (size_t)((const char *)ptr - aside->memory);

	if (offset >= aside->bytes)
		return false;
	aside->blocks |= (uint64_t)1
			 << ((uint64_t)offset * aside->reciprocal >> 32);
	return true;
}

/* Small blocks only: of others much would be kept. */
static bool is_for_aside(const struct thread *self, const struct run *run)
{
	struct heap *heap = run_heap(run);
	struct thread *owner = heap ? atomic_load(&heap->owner) : NULL;

	return owner && owner != self && self->watched && !tail_labels &&
	       run->class < CLASS_COUNT && run->size <= QUICK_MOST;
}

static bool begin_aside(struct thread *self, void *ptr)
{
	struct run *run = arena_run(ptr);

	if (!is_for_aside(self, run))
		return false;
	mail_return();
	self->aside = (struct aside){
		.memory = run_memory(run),
		.bytes = (size_t)run->count * run->size,
		.run = run,
		.reciprocal = run->reciprocal,
	};
	return put_aside(&self->aside, ptr);
}

static void free_with_care(struct thread *self, void *ptr)
{
	struct pointer block;
	int saved = errno;

	if (arena_has(ptr)) {
		if (begin_aside(self, ptr))
			return;
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

	if (!ptr || put_aside(&self->aside, ptr))
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
	mail_return();
	if (self->mail)
		heap_leave(self->mail);
	self->mail = NULL;
}

void mail_forked(void)
{
	heap_forked(atomic_load(&mail.heaps), thread_self());
}
