/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/ledger_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/fds_private.h"
#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

struct lock tables = LOCK_INIT;

/* ---- found by token ---- */

static struct slots entries = {.table.item = sizeof(struct numbered)};

static struct numbered *numbered(const struct entry *entry)
{
	return (struct numbered *)((char *)entry -
				   offsetof(struct numbered, entry));
}

reclaim_token ledger_token(const struct entry *entry)
{
	return slot_id(&numbered(entry)->slot);
}

struct entry *ledger_find_token(reclaim_token token)
{
	struct numbered *found = slots_find(&entries, token);

	return found ? &found->entry : NULL;
}

/* ---- found by kind and id ---- */

#define KEY_LENGTH (offsetof(struct entry, u) - offsetof(struct entry, kind))

static struct numbered *by_id;

static int reserve_by_id(void)
{
	static struct numbered first;

	if (HASH_RESERVE(by_id, &first, entry.kind, KEY_LENGTH))
		return 0;
	errno = ENOMEM;
	return -1;
}

static int kinship(const struct task *self, const struct task *owner)
{
	return self == owner ? 2 : task_is_kin(self, owner);
}

struct entry *ledger_find(const struct reclaim_kind *kind, const void *id)
{
	struct {
		const struct reclaim_kind *kind;
		const void *id;
	} key = {kind, id};
	struct task *self = task_self();
	struct numbered *first;
	struct UT_hash_handle *hh;
	struct entry *best;

	HASH_FIND(hh, by_id, &key, KEY_LENGTH, first);
	if (!first)
		return NULL;
	best = &first->entry;
	for (hh = first->hh.hh_next; hh; hh = hh->hh_next) {
		struct numbered *other = ELMT_FROM_HH(by_id->hh.tbl, hh);
		struct entry *e = &other->entry;

		if (e->kind == kind && e->id == id &&
		    kinship(self, e->task) > kinship(self, best->task))
			best = e;
	}
	return best;
}

static void add_by_id(struct entry *entry)
{
	struct numbered *added = numbered(entry);

	HASH_COMMIT(by_id, entry.kind, KEY_LENGTH, added);
}

static void take_by_id(struct entry *entry)
{
	struct numbered *taken = numbered(entry);

	HASH_DEL(by_id, taken);
}

/* ---- the list ---- */

static void link_newest(struct entry *entry, struct task *task)
{
	entry->task = task;
	ledger_link_newest(&task->ledger, entry);
}

static void unlink_entry(struct entry *entry)
{
	ledger_unlink(&entry->task->ledger, entry);
}

static bool is_action(const struct entry *entry)
{
	return entry->kind->fork & KIND_IS_ACTION;
}

int ledger_count_handle(struct task *task)
{
	struct ledger *ledger = &task->ledger;

	if (ledger->max_handles && ledger->handles >= ledger->max_handles) {
		errno = EMFILE;
		return -1;
	}
	ledger->handles++;
	return 0;
}

static int count(struct task *task, const struct entry *entry)
{
	if (!is_action(entry))
		return ledger_count_handle(task);
	task->ledger.actions++;
	return 0;
}

static void uncount(const struct entry *entry)
{
	if (is_action(entry))
		entry->task->ledger.actions--;
	else
		entry->task->ledger.handles--;
}

/* ---- entries ---- */

struct entry *ledger_reserve(struct task *task, const struct reclaim_kind *kind,
			     void *place)
{
	struct numbered *taken;
	struct entry *entry;

	if ((kind->fork & KIND_FOUND_BY_ID && reserve_by_id() < 0) ||
	    fds_make_room() < 0)
		return NULL;
	taken = slots_take(&entries);
	if (!taken)
		return NULL;
	entry = &taken->entry;
	entry->task = task;
	entry->kind = kind;
	entry->place = place;
	memset(&entry->u, 0, sizeof(entry->u));
	entry->fd = -1;
	entry->private_to_process = entry->shielded = false;
	if (count(task, entry) < 0) {
		slots_put(&entries, &taken->slot);
		return NULL;
	}
	return entry;
}

void ledger_cancel(struct entry *entry)
{
	uncount(entry);
	slots_put(&entries, &numbered(entry)->slot);
}

/* Where an id is given anew, what had it was given back behind the wrappers. */
static void forget_stale(const struct reclaim_kind *kind, const void *id)
{
	struct entry *stale = ledger_find(kind, id);

	if (stale)
		ledger_remove(stale);
}

void ledger_commit(struct entry *entry, void *id)
{
	if (entry->kind->fork & KIND_IS_UNIQUE)
		forget_stale(entry->kind, id);
	entry->id = id;
	link_newest(entry, entry->task);
	if (entry->kind->fork & KIND_FOUND_BY_ID)
		add_by_id(entry);
}

void ledger_remove(struct entry *entry)
{
	fds_lose(entry);
	if (fd_is_plain(entry))
		return;
	if (entry->kind->fork & KIND_FOUND_BY_ID)
		take_by_id(entry);
	unlink_entry(entry);
	ledger_cancel(entry);
}

void ledger_change_id(struct entry *entry, void *id)
{
	take_by_id(entry);
	entry->id = id;
	add_by_id(entry);
}

int ledger_move(struct entry *entry, struct task *to)
{
	if (entry->task != to) {
		if (count(to, entry) < 0)
			return -1;
		uncount(entry);
	}
	unlink_entry(entry);
	link_newest(entry, to);
	return 0;
}

/* ---- releasing ---- */

/* Where a thread was before an action. */
struct outside {
	jmp_buf *action;
	struct queue *looks_in;
};

static void come_back(void *arg)
{
	const struct outside *outside = arg;
	struct thread *self = thread_self();

	self->looks_in = outside->looks_in;
	if (self->action) /* else it forked, and exit() is the child's */
		self->action = outside->action;
}

void ledger_run(const struct entry *held)
{
	struct thread *self = thread_self();
	struct outside outside = {self->action, self->looks_in};
	unsigned depth = self->depth;
	jmp_buf here;

	if (held->kind->fork & KIND_BUILTIN && !is_action(held)) {
		((const struct kind *)held->kind)->release(held);
		return;
	}
	/*
	 * The program's own code may call exit(): that ends it, no more.  The
	 * cleanup handlers that it is in are forgotten with this one.
	 */
	self->action = &here;
	self->looks_in = NULL;
	pthread_cleanup_push(come_back, &outside);
	if (_setjmp(here) == 0) {
		if (is_action(held))
			held->u.action(held->id);
		else
			held->kind->release(held->id);
	}
	pthread_cleanup_pop(1);
	thread_leave_to(depth);
}

/* NULL for a kind of the program's, and for an action. */
static const struct kind *builtin_kind(const struct entry *entry)
{
	if (!(entry->kind->fork & KIND_BUILTIN) || is_action(entry))
		return NULL;
	return (const struct kind *)entry->kind;
}

bool ledger_stop(const struct task *task)
{
	bool stopped = true;
	const struct entry *entry;

	if (task->ledger.threads == 0)
		return true;
	for (entry = task->ledger.newest; entry; entry = entry->older) {
		const struct kind *kind = builtin_kind(entry);

		if (kind && kind->stop && !kind->stop(entry))
			stopped = false;
	}
	return stopped;
}

void ledger_abandon(const struct task *task)
{
	const struct entry *entry;

	for (entry = task->ledger.newest; entry; entry = entry->older) {
		const struct kind *kind = builtin_kind(entry);

		if (kind && kind->abandon)
			kind->abandon(entry);
	}
}

/*
 * As a task ends, no handle is taken from under a thread that may be using it.
 * Actions come before that: one may be what the thread waits for.
 */
static struct entry *newest_unused(struct task *task)
{
	while (task->ledger.newest && !is_action(task->ledger.newest) &&
	       !ledger_stop(task))
		if (task_await_change(task) != 0)
			break; /* the process exits, and waited long enough */
	return task->ledger.newest;
}

void ledger_release_after(struct task *task, uint64_t at)
{
	for (;;) {
		struct entry *newest, held;

		fds_close_newest(&task->ledger, at);
		lock_take(&tables);
		newest = at ? task->ledger.newest : newest_unused(task);
		if (!newest || newest->at <= at) {
			lock_drop(&tables);
			return;
		}
		held = *newest;
		ledger_remove(newest);
		lock_drop(&tables);
		ledger_run(&held);
	}
}

static void drop(struct entry *entry)
{
	const struct kind *kind = builtin_kind(entry);

	if (kind && kind->drop)
		kind->drop(entry);
	ledger_remove(entry);
}

void ledger_forked(struct task *task)
{
	struct entry *entry, *older;

	for (entry = task->ledger.newest; entry; entry = older) {
		older = entry->older;
		if (!(entry->kind->fork & RECLAIM_FORK_KEEP))
			drop(entry);
	}
	task->ledger.threads = 0;
}

/* ---- the public side ---- */

static const struct reclaim_kind action_kind = {
	.name = "deferred action",
	.fork = RECLAIM_FORK_DROP | KIND_BUILTIN | KIND_IS_ACTION,
};

static int record(const struct reclaim_kind *kind, void (*action)(void *),
		  void *id, reclaim_token *token, void *place)
{
	struct task *self = task_self();
	struct entry *entry;

	lock_take(&tables);
	entry = ledger_reserve(self, kind, place);
	if (entry) {
		entry->u.action = action;
		ledger_commit(entry, id);
		if (token)
			*token = ledger_token(entry);
	}
	lock_drop(&tables);
	return entry ? 0 : -1;
}

int reclaim_defer(void (*fn)(void *), void *arg, reclaim_token *token)
{
	if (!fn) {
		errno = EINVAL;
		return -1;
	}
	return record(&action_kind, fn, arg, token, PLACE);
}

int reclaim_track(const struct reclaim_kind *kind, void *id,
		  reclaim_token *token)
{
	if (!kind || !kind->release || kind->fork & ~RECLAIM_FORK_KEEP) {
		errno = EINVAL;
		return -1;
	}
	return record(kind, NULL, id, token, PLACE);
}

int reclaim_undefer(reclaim_token token, int run)
{
	struct task *self = task_self();
	struct entry *entry, held;
	int error = 0, cancel;

	lock_take(&tables);
	entry = ledger_find_token(token);
	if (!entry)
		error = ENOENT;
	else if (!task_is_kin(self, entry->task))
		error = EPERM;
	else {
		held = *entry;
		ledger_remove(entry);
	}
	lock_drop(&tables);
	if (!error && run) {
		cancel = cancel_off();
		ledger_run(&held);
		cancel_on(cancel);
	}
	return errno_result(error);
}

reclaim_mark reclaim_mark_here(void)
{
	struct task *self = task_self();
	reclaim_mark mark = {.task = slot_id(&self->slot)};

	lock_take(&tables);
	mark.at = self->ledger.clock;
	lock_drop(&tables);
	return mark;
}

/* Whether the calling thread is a handle of its task, newer than a mark. */
static bool includes_caller(const reclaim_mark *mark)
{
	struct thread *self = thread_self();
	struct entry *own;
	bool includes;

	lock_take(&tables);
	own = self->handle ? ledger_find_token(self->handle) : NULL;
	includes = own && own->task == self->current && own->at > mark->at;
	lock_drop(&tables);
	return includes;
}

int reclaim_release_to(reclaim_mark mark)
{
	struct task *self = task_self();
	int cancel;

	if (mark.task != slot_id(&self->slot)) {
		errno = EINVAL;
		return -1;
	}
	if (includes_caller(&mark)) {
		errno = EDEADLK;
		return -1;
	}
	cancel = cancel_off();
	ledger_release_after(self, mark.at);
	cancel_on(cancel);
	return 0;
}
