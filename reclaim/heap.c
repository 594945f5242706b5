/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/heap_private.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/task.h"
#include "reclaim/hash_private.h"
#include "reclaim/lock_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

enum family { LIBC, CALLERS };

struct record {
	void *ptr; /* the key */
	size_t size;
	struct task *task;
	struct record *older, *newer;
	void *place;
	enum family family;
	UT_hash_handle hh;
};

static struct lock heaps = LOCK_INIT;
static struct record *by_ptr;
static void (*free2)(void *) = free;

/* ---- records; all under the lock ---- */

static struct record *find(const void *ptr)
{
	struct record *record;

	HASH_FIND_PTR(by_ptr, &ptr, record);
	return record;
}

/* Whether a heap may grow by so much. */
static bool has_room(const struct heap *heap, size_t more)
{
	return !heap->max_bytes || (heap->bytes <= heap->max_bytes &&
				    more <= heap->max_bytes - heap->bytes);
}

static void count(struct heap *heap, size_t size)
{
	heap->bytes += size;
	heap->blocks++;
}

/* There is nothing to remember of an allocation that failed. */
static void remember_peak(struct heap *heap)
{
	if (heap->bytes > heap->peak_bytes)
		heap->peak_bytes = heap->bytes;
}

static void uncount(struct heap *heap, size_t size)
{
	heap->bytes -= size;
	heap->blocks--;
}

/* Room for a block of a task; it counts from here on. */
static struct record *reserve(struct task *task, size_t size, void *place)
{
	static struct record first;
	struct record *record = NULL;

	if (has_room(&task->heap, size) &&
	    HASH_RESERVE(by_ptr, &first, ptr, sizeof(first.ptr)))
		record = malloc(sizeof(*record));
	if (!record) {
		errno = ENOMEM;
		return NULL;
	}
	*record = (struct record){.size = size, .task = task, .place = place};
	count(&task->heap, size);
	return record;
}

static void cancel(struct record *record)
{
	uncount(&record->task->heap, record->size);
	free(record);
}

static void link_newest(struct record *record)
{
	struct heap *heap = &record->task->heap;

	record->newer = NULL;
	record->older = heap->newest;
	if (record->older)
		record->older->newer = record;
	heap->newest = record;
	remember_peak(heap);
}

static void unlink_record(struct record *record)
{
	if (record->older)
		record->older->newer = record->newer;
	if (record->newer)
		record->newer->older = record->older;
	else
		record->task->heap.newest = record->older;
}

static void commit(struct record *record, void *ptr)
{
	record->ptr = ptr;
	HASH_COMMIT(by_ptr, ptr, sizeof(record->ptr), record);
	link_newest(record);
}

static void forget(struct record *record)
{
	HASH_DEL(by_ptr, record);
	unlink_record(record);
	cancel(record);
}

/* ---- who may ---- */

/*
 * Whether `self` may do `did` to a block as one of `family`.  If not, says so
 * with the lock dropped for it; it is dropped on return in that case.
 */
static bool may(struct task *self, const struct record *record,
		enum family family, const char *did, void *place)
{
	struct misuse misuse = {.did = did, .place = place};

	if (record->family != family)
		misuse.what = RECLAIM_WRONG_FAMILY;
	else if (!task_is_kin(self, record->task))
		misuse.what = RECLAIM_STRANGERS;
	else
		return true;
	misuse.acquired = record->place;
	snprintf(misuse.thing, sizeof(misuse.thing), "block %p of %zu bytes",
		 record->ptr, record->size);
	report_label(record->task, misuse.owner, sizeof(misuse.owner));
	lock_drop(&heaps);
	report_misuse(&misuse);
	return false;
}

/* ---- blocks of libc ---- */

static void *allocate(struct task *self, size_t size, size_t align, bool zero,
		      void *place)
{
	struct record *record;
	void *ptr = NULL;

	lock_take(&heaps);
	record = reserve(self, size, place);
	if (record) {
		if (zero)
			ptr = calloc(1, size);
		else if (align <= HEAP_ALIGN)
			ptr = malloc(size);
		else if (posix_memalign(&ptr, align, size) != 0)
			ptr = NULL;
		if (ptr)
			commit(record, ptr);
		else
			cancel(record);
	}
	lock_drop(&heaps);
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

void *heap_alloc(struct task *self, size_t size, size_t align, void *place)
{
	return allocate(self, size, align, false, place);
}

void *heap_calloc(struct task *self, size_t n, size_t size, void *place)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return allocate(self, bytes, HEAP_ALIGN, true, place);
}

void heap_free(struct task *self, void *ptr, void *place)
{
	struct record *record;

	if (!ptr)
		return;
	lock_take(&heaps);
	record = find(ptr);
	if (record) {
		if (!may(self, record, LIBC, "free", place))
			return;
		forget(record);
	}
	lock_drop(&heaps);
	free(ptr);
}

/* With the lock held: a block keeps its record, under its new address. */
static void *resize(struct record *record, size_t size)
{
	struct heap *heap = &record->task->heap;
	void *ptr;

	if (size > record->size && !has_room(heap, size - record->size)) {
		errno = ENOMEM;
		return NULL;
	}
	HASH_DEL(by_ptr, record);
	ptr = realloc(record->ptr, size);
	if (ptr) {
		uncount(heap, record->size);
		record->size = size;
		record->ptr = ptr;
		count(heap, size);
		remember_peak(heap);
	}
	HASH_COMMIT(by_ptr, ptr, sizeof(record->ptr), record);
	return ptr;
}

void *heap_realloc(struct task *self, void *ptr, size_t size, void *place)
{
	struct record *record;

	if (!ptr)
		return heap_alloc(self, size, HEAP_ALIGN, place);
	lock_take(&heaps);
	record = find(ptr);
	if (!record) {
		lock_drop(&heaps);
		return realloc(ptr, size);
	}
	if (!may(self, record, LIBC, "realloc", place)) {
		errno = EINVAL;
		return NULL;
	}
	if (size) {
		ptr = resize(record, size);
		lock_drop(&heaps);
		return ptr;
	}
	/* As in glibc: a free. */
	forget(record);
	lock_drop(&heaps);
	free(ptr);
	return NULL;
}

/* ---- blocks of an allocator that the caller names ---- */

/*
 * The caller's code runs with the lock dropped, and cancellation disabled, so
 * that nothing is lost between it and the record.
 */
static struct record *reserve2(struct task *self, size_t size, void *place)
{
	struct record *record;

	lock_take(&heaps);
	record = reserve(self, size, place);
	if (record)
		record->family = CALLERS;
	lock_drop(&heaps);
	return record;
}

static void *commit2(struct record *record, void *ptr)
{
	lock_take(&heaps);
	if (ptr)
		commit(record, ptr);
	else
		cancel(record);
	lock_drop(&heaps);
	return ptr;
}

/* Take the record of a block out, while its memory is the caller's to move. */
static bool take2(struct task *self, void *ptr, const char *did, void *place,
		  struct record **taken)
{
	struct record *record;

	lock_take(&heaps);
	record = find(ptr);
	*taken = record;
	if (record) {
		if (!may(self, record, CALLERS, did, place))
			return false;
		HASH_DEL(by_ptr, record);
		unlink_record(record);
	}
	lock_drop(&heaps);
	return true;
}

void *heap_alloc2(struct task *self, size_t size, void *(*alloc)(size_t),
		  void *place)
{
	int cancel = cancel_off();
	struct record *record = reserve2(self, size, place);
	void *ptr = record ? commit2(record, alloc(size)) : NULL;

	cancel_on(cancel);
	return ptr;
}

void *heap_calloc2(struct task *self, size_t n, size_t size,
		   void *(*alloc)(size_t, size_t), void *place)
{
	struct record *record;
	void *ptr;
	size_t bytes;
	int cancel;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	cancel = cancel_off();
	record = reserve2(self, bytes, place);
	ptr = record ? commit2(record, alloc(n, size)) : NULL;
	cancel_on(cancel);
	return ptr;
}

/* Have a record that was taken out count for another size. */
static bool recount(struct record *record, size_t size, bool within_limit)
{
	struct heap *heap = &record->task->heap;
	bool fits;

	lock_take(&heaps);
	fits = !within_limit || size <= record->size ||
	       has_room(heap, size - record->size);
	if (fits) {
		uncount(heap, record->size);
		record->size = size;
		count(heap, size);
	}
	lock_drop(&heaps);
	return fits;
}

static void *resize_taken(struct record *record, void *ptr, size_t size,
			  void *(*resize2)(void *, size_t))
{
	size_t before = record->size;
	void *moved;

	if (!recount(record, size, true)) {
		commit2(record, ptr);
		errno = ENOMEM;
		return NULL;
	}
	moved = resize2(ptr, size);
	if (moved || size == 0) {
		/* Nothing of no size: it was freed. */
		commit2(record, moved);
	} else {
		recount(record, before, false);
		commit2(record, ptr);
	}
	return moved;
}

void *heap_realloc2(struct task *self, void *ptr, size_t size,
		    void *(*resize2)(void *, size_t), void *place)
{
	int cancel = cancel_off();
	struct record *record;
	void *moved = NULL;

	if (!ptr) {
		record = reserve2(self, size, place);
		if (record)
			moved = commit2(record, resize2(NULL, size));
	} else if (take2(self, ptr, "realloc", place, &record)) {
		moved = record ? resize_taken(record, ptr, size, resize2)
			       : resize2(ptr, size);
	} else {
		errno = EINVAL;
	}
	cancel_on(cancel);
	return moved;
}

void heap_free2(struct task *self, void *ptr, void (*give_back)(void *),
		void *place)
{
	struct record *record;
	int cancel;

	if (!ptr || !take2(self, ptr, "free", place, &record))
		return;
	if (record)
		commit2(record, NULL);
	cancel = cancel_off();
	give_back(ptr);
	cancel_on(cancel);
}

void heap_set_free2(void (*give_back)(void *))
{
	lock_take(&heaps);
	free2 = give_back ? give_back : free;
	lock_drop(&heaps);
}

/* ---- whole heaps ---- */

void *heap_give(struct task *self, void *ptr, struct task *to)
{
	struct record *record;
	int error = 0;

	lock_take(&heaps);
	record = ptr ? find(ptr) : NULL;
	if (!record)
		error = EINVAL;
	else if (!task_is_kin(self, record->task))
		error = EPERM;
	else if (record->task != to && !has_room(&to->heap, record->size))
		error = ENOMEM;
	else {
		unlink_record(record);
		uncount(&record->task->heap, record->size);
		record->task = to;
		count(&to->heap, record->size);
		link_newest(record);
	}
	lock_drop(&heaps);
	if (!error)
		return ptr;
	errno = error;
	return NULL;
}

void heap_end(struct heap *heap)
{
	void (*give_back)(void *);
	struct record *record;
	void *ptr;

	for (;;) {
		lock_take(&heaps);
		record = heap->newest;
		if (!record)
			break;
		ptr = record->ptr;
		give_back = record->family == LIBC ? free : free2;
		forget(record);
		lock_drop(&heaps);
		give_back(ptr);
	}
	lock_drop(&heaps);
}

void heap_figures(const struct heap *heap, struct heap *copy)
{
	lock_take(&heaps);
	*copy = *heap;
	lock_drop(&heaps);
}

/* ---- the report: blocks by the place that allocated them ---- */

struct tally {
	void *place; /* the key */
	size_t bytes, blocks;
	UT_hash_handle hh;
};

static int most_bytes_first(const struct tally *a, const struct tally *b)
{
	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static struct tally *tally_up(const struct heap *heap)
{
	struct tally *tallies = NULL, *tally;
	const struct record *record;
	bool hash_failed = false;

	for (record = heap->newest; record; record = record->older) {
		HASH_FIND_PTR(tallies, &record->place, tally);
		if (!tally) {
			tally = calloc(1, sizeof(*tally));
			if (!tally)
				break;
			tally->place = record->place;
			HASH_ADD_PTR(tallies, place, tally);
			if (hash_failed) {
				free(tally);
				break;
			}
		}
		tally->bytes += record->size;
		tally->blocks++;
	}
	HASH_SORT(tallies, most_bytes_first);
	return tallies;
}

void heap_report(struct task *task, FILE *to)
{
	struct tally *tallies, *tally, *next;
	char where[256];

	if (!place_kept)
		return;
	lock_take(&heaps);
	tallies = tally_up(&task->heap);
	lock_drop(&heaps);
	HASH_ITER (hh, tallies, tally, next) {
		place_describe(tally->place, where, sizeof(where));
		fprintf(to, "  memory %zu bytes in %zu blocks at %s\n",
			tally->bytes, tally->blocks, where);
		HASH_DEL(tallies, tally);
		free(tally);
	}
}

/* ---- fork ---- */

void heap_lock(void)
{
	lock_take(&heaps);
}

void heap_unlock(void)
{
	lock_drop(&heaps);
}

/* ---- the public side ---- */

void *reclaim_give(void *ptr, reclaim_tid to)
{
	struct task *self = task_self(), *receiver;
	void *given = NULL;

	lock_take(&tables);
	receiver = task_find_receiver(to);
	if (receiver)
		given = heap_give(self, ptr, receiver);
	lock_drop(&tables);
	return given;
}
