/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/record_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/task.h"
#include "reclaim/hash_private.h"
#include "reclaim/hold_private.h"
#include "reclaim/lock_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/sys_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

struct record {
	void *ptr; /* the key */
	size_t size;
	struct task *task;
	struct record *older, *newer;
	void *place;
	enum family family;
	UT_hash_handle hh;
};

static struct lock table = LOCK_INIT;
static struct record *by_ptr;
static atomic_bool any; /* was there ever */
static void (*free_of[])(void *) = {
	[FAMILY_LIBC] = free,
	[FAMILY_CALLERS] = free,
	[FAMILY_BLOCK] = sys_give_back,
};

/* ---- records; all under the lock ---- */

static struct record *find(const void *ptr)
{
	struct record *record;

	HASH_FIND_PTR(by_ptr, &ptr, record);
	return record;
}

static void count(struct records *records, size_t size)
{
	records->bytes += size;
	records->blocks++;
}

/* There is nothing to remember of an allocation that failed. */
static void remember_peak(struct memory *memory)
{
	struct records *records = &memory->records;

	if (records->bytes > records->peak_bytes)
		records->peak_bytes = records->bytes;
	memory_remember(memory);
}

static void uncount(struct records *records, size_t size)
{
	records->bytes -= size;
	records->blocks--;
}

/* Room for a block of a task, which was charged for it; it counts from here. */
static struct record *reserve(struct task *task, size_t size, void *place)
{
	static struct record first;
	struct record *record = NULL;

	if (HASH_RESERVE(by_ptr, &first, ptr, sizeof(first.ptr)))
		record = malloc(sizeof(*record));
	if (!record) {
		errno = ENOMEM;
		return NULL;
	}
	*record = (struct record){.size = size, .task = task, .place = place};
	count(&task->memory.records, size);
	atomic_store_explicit(&any, true, memory_order_relaxed);
	return record;
}

static void cancel(struct record *record)
{
	uncount(&record->task->memory.records, record->size);
	free(record);
}

static void link_newest(struct record *record)
{
	struct records *all = &record->task->memory.records;

	record->newer = NULL;
	record->older = all->newest;
	if (record->older)
		record->older->newer = record;
	all->newest = record;
	remember_peak(&record->task->memory);
}

static void unlink_record(struct record *record)
{
	if (record->older)
		record->older->newer = record->newer;
	if (record->newer)
		record->newer->older = record->older;
	else
		record->task->memory.records.newest = record->older;
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
	memory_uncharge(&record->task->memory, record->size);
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
	lock_drop(&table);
	report_misuse(&misuse);
	return false;
}

/*
 * ---- blocks of libc ----
 *
 * Allocated and freed with the lock held, which a fork holds too: so the child
 * has each block recorded or free, and nobody was within libc's allocator.
 */

void *record_alloc(struct task *self, size_t size, size_t align, bool zero,
		   void *place)
{
	struct record *record;
	void *ptr = NULL;

	lock_take(&table);
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
	lock_drop(&table);
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

bool record_has(const void *ptr)
{
	bool has;

	if (!atomic_load_explicit(&any, memory_order_relaxed))
		return false;
	lock_take(&table);
	has = find(ptr);
	lock_drop(&table);
	return has;
}

void record_free(struct task *self, void *ptr, void *place)
{
	struct record *record;

	lock_take(&table);
	record = find(ptr);
	if (record) {
		if (!may(self, record, FAMILY_LIBC, "free", place))
			return;
		forget(record);
		free(ptr);
	}
	lock_drop(&table);
	if (!record)
		free(ptr);
}

/* Have a record count for another size; beyond the limit only if forced. */
static bool recount(struct record *record, size_t size, bool force)
{
	struct memory *memory = &record->task->memory;

	if (size < record->size)
		memory_uncharge(memory, record->size - size);
	else if (force)
		memory_charge_anyway(memory, size - record->size);
	else if (!memory_charge(memory, size - record->size))
		return false;
	uncount(&memory->records, record->size);
	record->size = size;
	count(&memory->records, size);
	return true;
}

/* With the lock held: a block keeps its record, under its new address. */
static void *resize(struct record *record, size_t size)
{
	size_t before = record->size;
	void *ptr;

	if (!recount(record, size, false))
		return NULL;
	HASH_DEL(by_ptr, record);
	ptr = realloc(record->ptr, size);
	if (ptr)
		record->ptr = ptr;
	else
		recount(record, before, true);
	HASH_COMMIT(by_ptr, ptr, sizeof(record->ptr), record);
	remember_peak(&record->task->memory);
	return ptr;
}

void *record_realloc(struct task *self, void *ptr, size_t size, void *place)
{
	struct record *record;

	if (!ptr)
		return record_alloc(self, size, HEAP_ALIGN, false, place);
	lock_take(&table);
	record = find(ptr);
	if (!record) {
		lock_drop(&table);
		return realloc(ptr, size);
	}
	if (!may(self, record, FAMILY_LIBC, "realloc", place)) {
		errno = EINVAL;
		return NULL;
	}
	if (size) {
		ptr = resize(record, size);
		lock_drop(&table);
		return ptr;
	}
	/* As in glibc: a free. */
	forget(record);
	free(ptr);
	lock_drop(&table);
	return NULL;
}

/* ---- blocks of an allocator that the caller names ---- */

/*
 * The caller's code runs with the lock dropped, and cancellation disabled, so
 * that nothing is lost between it and the record.
 */
static struct record *reserve2(struct task *self, size_t size,
			       enum family family, void *place)
{
	struct record *record;

	if (!memory_charge(&self->memory, size))
		return NULL;
	lock_take(&table);
	record = reserve(self, size, place);
	if (record)
		record->family = family;
	lock_drop(&table);
	if (!record)
		memory_uncharge(&self->memory, size);
	return record;
}

static void *commit2(struct record *record, void *ptr)
{
	lock_take(&table);
	if (ptr) {
		commit(record, ptr);
	} else {
		memory_uncharge(&record->task->memory, record->size);
		cancel(record);
	}
	lock_drop(&table);
	return ptr;
}

/* Take the record of a block out, while its memory is the caller's to move. */
static bool take2(struct task *self, void *ptr, enum family family,
		  const char *did, void *place, struct record **taken)
{
	struct record *record;

	lock_take(&table);
	record = find(ptr);
	*taken = record;
	if (record) {
		if (!may(self, record, family, did, place))
			return false;
		HASH_DEL(by_ptr, record);
		unlink_record(record);
	}
	lock_drop(&table);
	return record || family == FAMILY_BLOCK ||
	       hold_may_be_callers(ptr, did, place);
}

void *record_alloc2(struct task *self, size_t size, void *(*alloc)(size_t),
		    enum family family, void *place)
{
	int cancel = cancel_off();
	struct record *record = reserve2(self, size, family, place);
	void *ptr = record ? commit2(record, alloc(size)) : NULL;

	cancel_on(cancel);
	return ptr;
}

void *record_calloc2(struct task *self, size_t n, size_t size,
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
	record = reserve2(self, bytes, FAMILY_CALLERS, place);
	ptr = record ? commit2(record, alloc(n, size)) : NULL;
	cancel_on(cancel);
	return ptr;
}

static bool recount_taken(struct record *record, size_t size, bool force)
{
	bool fits;

	lock_take(&table);
	fits = recount(record, size, force);
	lock_drop(&table);
	return fits;
}

static void *resize_taken(struct record *record, void *ptr, size_t size,
			  void *(*resize2)(void *, size_t))
{
	size_t before = record->size;
	void *moved;

	if (!recount_taken(record, size, false)) {
		commit2(record, ptr);
		errno = ENOMEM;
		return NULL;
	}
	moved = resize2(ptr, size);
	if (moved || size == 0) {
		/* Nothing of no size: it was freed. */
		commit2(record, moved);
	} else {
		recount_taken(record, before, true);
		commit2(record, ptr);
	}
	return moved;
}

void *record_realloc2(struct task *self, void *ptr, size_t size,
		      void *(*resize2)(void *, size_t), enum family family,
		      void *place)
{
	int cancel = cancel_off();
	struct record *record;
	void *moved = NULL;

	if (!ptr) {
		record = reserve2(self, size, family, place);
		if (record)
			moved = commit2(record, resize2(NULL, size));
	} else if (take2(self, ptr, family, "realloc", place, &record)) {
		moved = record ? resize_taken(record, ptr, size, resize2)
			       : resize2(ptr, size);
	} else {
		errno = EINVAL;
	}
	cancel_on(cancel);
	return moved;
}

void record_free2(struct task *self, void *ptr, void (*give_back)(void *),
		  enum family family, void *place)
{
	struct record *record;
	int cancel;

	if (!ptr || !take2(self, ptr, family, "free", place, &record))
		return;
	if (record)
		commit2(record, NULL);
	cancel = cancel_off();
	give_back(ptr);
	cancel_on(cancel);
}

void record_set_free2(void (*give_back)(void *))
{
	lock_take(&table);
	free_of[FAMILY_CALLERS] = give_back ? give_back : free;
	lock_drop(&table);
}

/* ---- all of a task's ---- */

static int check_gift(struct task *self, const struct record *record,
		      struct task *to)
{
	if (!record)
		return EINVAL;
	if (!task_is_kin(self, record->task))
		return EPERM;
	if (record->task != to && !memory_charge(&to->memory, record->size))
		return ENOMEM;
	return 0;
}

void *record_give(struct task *self, void *ptr, struct task *to)
{
	struct record *record;
	int error;

	lock_take(&table);
	record = find(ptr);
	error = check_gift(self, record, to);
	if (!error && record->task != to) {
		unlink_record(record);
		memory_uncharge(&record->task->memory, record->size);
		uncount(&record->task->memory.records, record->size);
		record->task = to;
		count(&to->memory.records, record->size);
		link_newest(record);
	}
	lock_drop(&table);
	if (!error)
		return ptr;
	errno = error;
	return NULL;
}

bool records_any(const struct records *all)
{
	bool some;

	if (!atomic_load_explicit(&any, memory_order_relaxed))
		return false;
	lock_take(&table);
	some = all->blocks > 0;
	lock_drop(&table);
	return some;
}

/* The newest goes, if there is one; false if there is none. */
static bool end_newest(struct records *all)
{
	void (*give_back)(void *);
	struct record *record;
	void *ptr;

	lock_take(&table);
	record = all->newest;
	if (!record) {
		lock_drop(&table);
		return false;
	}
	ptr = record->ptr;
	give_back = free_of[record->family];
	forget(record);
	if (give_back == free) {
		free(ptr);
		lock_drop(&table);
	} else {
		lock_drop(&table);
		give_back(ptr);
	}
	return true;
}

void records_end(struct records *all)
{
	while (end_newest(all))
		;
}

void records_figures(const struct records *all, struct records *copy)
{
	lock_take(&table);
	*copy = *all;
	lock_drop(&table);
}

void records_each(const struct records *all,
		  void (*fn)(void *place, size_t bytes, void *arg), void *arg)
{
	const struct record *record;

	lock_take(&table);
	for (record = all->newest; record; record = record->older)
		fn(record->place, record->size, arg);
	lock_drop(&table);
}

/* ---- all of a family's ---- */

void records_of_family(enum family family,
		       void (*fn)(const void *ptr, size_t bytes,
				  const struct task *task, void *arg),
		       void *arg)
{
	struct record *record, *next;

	lock_take(&table);
	HASH_ITER (hh, by_ptr, record, next)
		if (record->family == family)
			fn(record->ptr, record->size, record->task, arg);
	lock_drop(&table);
}

void records_forget_family(enum family family)
{
	struct record *record, *next;

	lock_take(&table);
	HASH_ITER (hh, by_ptr, record, next)
		if (record->family == family)
			forget(record);
	lock_drop(&table);
}

/* ---- fork ---- */

void records_lock(void)
{
	lock_take(&table);
}

void records_unlock(void)
{
	lock_drop(&table);
}
