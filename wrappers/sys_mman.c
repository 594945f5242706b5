/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys_mman - mappings as handles
 *
 * munmap(2) may take a part of a mapping, or several, and MAP_FIXED and
 * mremap(2) do the same on the way: the records are cut to what is left.
 * Taking exactly what was mapped is O(1); taking a part looks through all
 * mappings.  A lock of their own is held over the system call and the record.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reclaim.h"
#include "reclaim/library_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"
#include "wrappers/acquire.h"

static void release_mapping(const struct entry *held)
{
	munmap(held->id, held->u.size);
}

static const struct kind mapping_kind = {
	.kind = {.name = "mapping",
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN | KIND_FOUND_BY_ID |
			 KIND_IS_UNIQUE},
	.release = release_mapping,
};

static struct lock mappings = LOCK_INIT;

LOCK_HELD_OVER_FORK(mappings)

struct range {
	uintptr_t start, end;
};

static struct range range_of(const void *start, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)start;

	return (struct range){from, from + ((len + page - 1) & -page)};
}

static struct range range_of_entry(const struct entry *entry)
{
	return range_of(entry->id, entry->u.size);
}

/* ---- cutting records; with the tables locked ---- */

static void set_range(struct entry *entry, struct range range)
{
	ledger_change_id(entry, (void *)range.start);
	entry->u.size = range.end - range.start;
}

/*
 * Take a range out of one record.  `spare`, of the same task, is for the part
 * behind it where it is cut in two.
 */
static void cut(struct entry *entry, struct range taken, struct entry **spare)
{
	struct range had = range_of_entry(entry);
	struct range before = {had.start, taken.start};
	struct range behind = {taken.end, had.end};

	if (taken.start <= had.start && taken.end >= had.end) {
		ledger_remove(entry);
	} else if (taken.start <= had.start) {
		set_range(entry, behind);
	} else {
		set_range(entry, before);
		if (taken.end < had.end) {
			(*spare)->u.size = behind.end - behind.start;
			ledger_commit(*spare, (void *)behind.start);
			*spare = NULL;
		}
	}
}

static bool overlaps(const struct entry *entry, struct range range)
{
	struct range had;

	if (entry->kind != &mapping_kind.kind)
		return false;
	had = range_of_entry(entry);
	return had.start < range.end && range.start < had.end;
}

/* Do something to every mapping in a range; stop where that returns false. */
static bool for_each_in(struct range range,
			bool (*act)(struct entry *, struct range, void *),
			void *arg)
{
	struct entry *entry, *older;
	struct task *task;

	entry = ledger_find(&mapping_kind.kind, (void *)range.start);
	if (entry && range_of_entry(entry).end == range.end)
		return act(entry, range, arg);
	for (task = task_root; task; task = task_next(task, task_root))
		for (entry = task->ledger.newest; entry; entry = older) {
			older = entry->older;
			if (overlaps(entry, range) && !act(entry, range, arg))
				return false;
		}
	return true;
}

static bool cut_one(struct entry *entry, struct range range, void *spare)
{
	cut(entry, range, spare);
	return true;
}

/* Who takes a range, and what is to be told, unlocked, where it may not. */
struct attempt {
	const char *did;
	void *place;
	bool refused;
	struct misuse misuse;
};

static void settle(const struct attempt *attempt)
{
	if (attempt->refused)
		report_misuse(&attempt->misuse);
}

/* What taking a range needs: nobody's else, and room where it cuts in two. */
struct plan {
	struct attempt *attempt;
	struct task *owner; /* of what is there; NULL where nothing tracked */
	struct entry *spare;
	int error;
};

static bool plan_one(struct entry *entry, struct range range, void *arg)
{
	struct range had = range_of_entry(entry);
	struct plan *plan = arg;

	if (!may_give_back(entry, plan->attempt->did, plan->attempt->place,
			   &plan->attempt->misuse)) {
		plan->attempt->refused = true;
		plan->error = errno;
		return false;
	}
	plan->owner = entry->task;
	if (had.start < range.start && range.end < had.end) {
		plan->spare = ledger_reserve(entry->task, &mapping_kind.kind,
					     entry->place);
		if (!plan->spare)
			plan->error = errno;
	}
	return !plan->error;
}

/* ---- around the system calls; with the mappings locked ---- */

static int plan_to_take(struct range range, struct plan *plan,
			struct attempt *attempt)
{
	*plan = (struct plan){.attempt = attempt};
	lock_take(&tables);
	for_each_in(range, plan_one, plan);
	lock_drop(&tables);
	if (!plan->error)
		return 0;
	errno = plan->error;
	return -1;
}

static void take(struct range range, struct plan *plan, bool happened)
{
	lock_take(&tables);
	if (happened)
		for_each_in(range, cut_one, &plan->spare);
	if (plan->spare)
		ledger_cancel(plan->spare);
	lock_drop(&tables);
}

static void *map_fixed(void *at, size_t len, int prot, int flags, int fd,
		       off_t offset, struct attempt *attempt)
{
	struct range range = range_of(at, len);
	struct plan plan;
	void *mapping;

	if (plan_to_take(range, &plan, attempt) < 0)
		return MAP_FAILED;
	mapping = mmap(at, len, prot, flags, fd, offset);
	take(range, &plan, mapping != MAP_FAILED);
	return mapping;
}

void *save_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	struct attempt attempt = {.did = "mmap", .place = PLACE};
	struct acquisition a;
	void *mapping;

	if (acquire(&a, &mapping_kind, PLACE) < 0)
		return MAP_FAILED;
	lock_take(&mappings);
	if (flags & MAP_FIXED)
		mapping = map_fixed(at, len, prot, flags, fd, offset, &attempt);
	else
		mapping = mmap(at, len, prot, flags, fd, offset);
	a.entry->u.size = len;
	acquired(&a, mapping == MAP_FAILED ? NULL : mapping);
	lock_drop(&mappings);
	settle(&attempt);
	return mapping;
}

int save_munmap(void *start, size_t len)
{
	struct attempt attempt = {.did = "munmap", .place = PLACE};
	struct range range = range_of(start, len);
	int result, cancel = cancel_off();
	struct plan plan;

	lock_take(&mappings);
	result = plan_to_take(range, &plan, &attempt);
	if (result == 0) {
		result = munmap(start, len);
		take(range, &plan, result == 0);
	}
	lock_drop(&mappings);
	settle(&attempt);
	cancel_on(cancel);
	return result;
}

struct remapping {
	void *old;
	size_t old_len, new_len;
	int flags;
	void *at; /* with MREMAP_FIXED */
	struct task *owner;
};

static void *remap(struct remapping *r, struct attempt *attempt)
{
	bool fixed = r->flags & MREMAP_FIXED, stays;
	struct range from = range_of(r->old, r->old_len ? r->old_len : 1);
	struct range to = range_of(r->at, r->new_len);
	struct plan leaves, lands = {0};
	void *moved = MAP_FAILED;

	if (plan_to_take(from, &leaves, attempt) < 0)
		return MAP_FAILED;
	if (!fixed || plan_to_take(to, &lands, attempt) == 0)
		moved = mremap(r->old, r->old_len, r->new_len, r->flags, r->at);
	stays = r->old_len == 0 || r->flags & MREMAP_DONTUNMAP;
	take(from, &leaves, moved != MAP_FAILED && !stays);
	if (fixed)
		take(to, &lands, moved != MAP_FAILED);
	r->owner = leaves.owner;
	return moved;
}

/* What was not tracked before is not afterwards; an owner stays the owner. */
void *save_mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	struct remapping r = {old, old_len, new_len, flags, NULL, NULL};
	struct attempt attempt = {.did = "mremap", .place = PLACE};
	struct task *self = task_self();
	struct acquisition a;
	va_list args;
	void *moved;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		r.at = va_arg(args, void *);
		va_end(args);
	}
	if (acquire(&a, &mapping_kind, PLACE) < 0)
		return MAP_FAILED;
	lock_take(&mappings);
	moved = remap(&r, &attempt);
	a.entry->u.size = new_len;
	acquired(&a, moved != MAP_FAILED && r.owner ? moved : NULL);
	if (moved != MAP_FAILED && r.owner && r.owner != self) {
		lock_take(&tables);
		ledger_move(a.entry, r.owner);
		lock_drop(&tables);
	}
	lock_drop(&mappings);
	settle(&attempt);
	return moved;
}

int save_memfd_create(const char *name, unsigned flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, memfd_create(name, flags));
}
