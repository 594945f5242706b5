/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/bonds_private.h"

#include <errno.h>
#include <stdlib.h>

#include "reclaim/hash_private.h"
#include "reclaim/message_private.h"
#include "reclaim/task_private.h"

/* ---- lists, whose items take themselves out ---- */

struct bond {
	struct bond *next, **back;
	reclaim_tid other; /* the task at the far end, which may have ended */
	void *whole;	   /* the monitor, the link */
};

static void add(struct bond **list, struct bond *bond)
{
	bond->next = *list;
	bond->back = list;
	if (bond->next)
		bond->next->back = &bond->next;
	*list = bond;
}

static void take_out(struct bond *bond)
{
	*bond->back = bond->next;
	if (bond->next)
		bond->next->back = bond->back;
}

struct bonds {
	struct bond *monitors; /* that the task has on others */
	struct bond *watchers; /* others' on it */
	struct bond *links;
	/* Of a task that has ended, and they are told next. */
	struct bonds *next;
	reclaim_tid tid;
	int status;
};

/* From watcher to watched, and back. */
struct monitor {
	struct slot slot; /* the reference */
	struct bond made, of;
	struct message *down;
};

/* Each end is on the list of one task, and says which is the other. */
struct link {
	reclaim_tid tids[2]; /* the lower, the higher: the key */
	struct bond ends[2]; /* on the lists of those */
	struct message *exit;
	struct link *next_struck;
	UT_hash_handle hh;
};

static struct slots monitors = {.table.item = sizeof(struct monitor)};
static struct link *links;

static struct bonds *bonds_of(struct task *task)
{
	if (!task->bonds)
		task->bonds = calloc(1, sizeof(*task->bonds));
	return task->bonds;
}

/* What is sent to it will arrive.  False: ENOMEM, ESRCH. */
static bool can_be_told(struct task *task)
{
	return queue_open(task) && bonds_of(task);
}

static void bind(struct bond *bond, struct bond **list,
		 const struct task *other, void *whole)
{
	bond->other = slot_id(&other->slot);
	bond->whole = whole;
	add(list, bond);
}

static void tell(reclaim_tid tid, struct message *message)
{
	struct queue *queue = queue_find(tid);

	switch (queue ? queue_push(queue, tid, message, true) : PUSH_NOT) {
	case PUSHED_WAKE:
		queue_wake_locked(queue, tid);
		break;
	case PUSHED:
		break;
	default:
		message_free(message);
	}
}

/* ---- monitors ---- */

/* Off both lists; its message is the caller's. */
static struct message *drop_monitor(struct monitor *monitor)
{
	take_out(&monitor->made);
	take_out(&monitor->of);
	slots_put(&monitors, &monitor->slot);
	return monitor->down;
}

static struct monitor *make_monitor(struct message *down)
{
	struct monitor *monitor = slots_take(&monitors);

	if (!monitor)
		return NULL;
	monitor->down = down;
	down->ref = slot_id(&monitor->slot);
	return monitor;
}

static uint64_t monitor(struct task *self, reclaim_tid tid,
			struct message *down)
{
	struct task *watched = task_find(tid);
	struct monitor *made;

	if (!can_be_told(self) || (watched && !bonds_of(watched)))
		return 0;
	made = make_monitor(down);
	if (!made)
		return 0;
	down->from = tid;
	if (watched) {
		bind(&made->made, &self->bonds->monitors, watched, made);
		bind(&made->of, &watched->bonds->watchers, self, made);
	} else {
		down->status = RECLAIM_NOPROC;
		slots_put(&monitors, &made->slot);
		tell(slot_id(&self->slot), down);
	}
	return slot_id(&made->slot);
}

uint64_t reclaim_monitor(reclaim_tid tid)
{
	struct task *self = task_self();
	struct message *down = message_new(RECLAIM_MSG_DOWN, 0);
	uint64_t ref;

	if (!down)
		return 0;
	lock_take(&tables);
	ref = monitor(self, tid, down);
	lock_drop(&tables);
	if (!ref)
		message_free(down);
	return ref;
}

/* Take a monitor away; its message, or NULL and an error. */
static struct message *demonitor(struct task *self, uint64_t ref, int *error)
{
	struct monitor *monitor = slots_find(&monitors, ref);

	if (!monitor)
		*error = ENOENT;
	else if (monitor->of.other != slot_id(&self->slot))
		*error = EPERM;
	else
		return drop_monitor(monitor);
	return NULL;
}

int reclaim_demonitor(uint64_t ref, int flush)
{
	struct task *self = task_self();
	struct message *down;
	int error = 0, flushed;

	lock_take(&tables);
	down = demonitor(self, ref, &error);
	lock_drop(&tables);
	if (down)
		message_free(down);
	if (error == ENOENT && flush) {
		flushed = message_flush(RECLAIM_MSG_DOWN, ref);
		if (flushed)
			return flushed > 0 ? 0 : -1;
	}
	return errno_result(error);
}

/* ---- links ---- */

static struct link *find_link(reclaim_tid a, reclaim_tid b)
{
	reclaim_tid key[2] = {a < b ? a : b, a < b ? b : a};
	struct link *link;

	HASH_FIND(hh, links, key, sizeof(key), link);
	return link;
}

static void drop_link(struct link *link)
{
	HASH_DEL(links, link);
	take_out(&link->ends[0]);
	take_out(&link->ends[1]);
}

static bool has_room_for_link(void)
{
	static struct link first;

	return HASH_RESERVE(links, &first, tids, sizeof(first.tids));
}

static void bind_link(struct link *link, struct task *a, struct task *b)
{
	link->tids[0] = slot_id(&a->slot);
	link->tids[1] = slot_id(&b->slot);
	bind(&link->ends[0], &a->bonds->links, b, link);
	bind(&link->ends[1], &b->bonds->links, a, link);
	HASH_COMMIT(links, tids, sizeof(link->tids), link);
}

static int make_link(struct task *self, struct task *other)
{
	struct link *link;
	struct message *exit;

	if (!can_be_told(self) || !can_be_told(other) || !has_room_for_link())
		return errno == ESRCH ? ESRCH : ENOMEM;
	link = malloc(sizeof(*link));
	exit = message_new(RECLAIM_MSG_EXIT, 0);
	if (!link || !exit) {
		free(link);
		if (exit)
			message_free(exit);
		return ENOMEM;
	}
	link->exit = exit;
	if (slot_id(&self->slot) < slot_id(&other->slot))
		bind_link(link, self, other);
	else
		bind_link(link, other, self);
	return 0;
}

/* As from a task that was linked, and was gone at once. */
static int tell_noproc(struct task *self, reclaim_tid tid)
{
	struct message *exit;

	if (!self->traps)
		return ESRCH;
	exit = queue_open(self) ? message_new(RECLAIM_MSG_EXIT, 0) : NULL;
	if (!exit)
		return errno;
	exit->from = tid;
	exit->status = RECLAIM_NOPROC;
	tell(slot_id(&self->slot), exit);
	return 0;
}

static int link_to(struct task *self, reclaim_tid tid)
{
	struct task *other = task_find(tid);

	if (!other || other->silent)
		return tell_noproc(self, tid);
	if (other == self || find_link(slot_id(&self->slot), tid))
		return 0;
	return make_link(self, other);
}

int reclaim_link(reclaim_tid tid)
{
	struct task *self = task_self();
	int error;

	lock_take(&tables);
	error = link_to(self, tid);
	lock_drop(&tables);
	return errno_result(error);
}

int reclaim_unlink(reclaim_tid tid)
{
	struct task *self = task_self();
	struct link *link;

	lock_take(&tables);
	link = find_link(slot_id(&self->slot), tid);
	if (link)
		drop_link(link);
	lock_drop(&tables);
	if (link) {
		message_free(link->exit);
		free(link);
	}
	return 0;
}

int reclaim_trap_exit(int on)
{
	struct task *self = task_self();
	bool before;

	lock_take(&tables);
	before = self->traps;
	self->traps = on;
	lock_drop(&tables);
	return before;
}

/* ---- the lists ---- */

static int list_bonds(const struct bond *bond, reclaim_tid *tids, size_t most)
{
	int count = 0;

	for (; bond; bond = bond->next, count++)
		if ((size_t)count < most)
			tids[count] = bond->other;
	return count;
}

static int list_of(reclaim_tid tid,
		   const struct bond *(*which)(const struct bonds *),
		   reclaim_tid *tids, size_t most)
{
	struct task *task;
	int count = -1;

	thread_self();
	lock_take(&tables);
	task = task_find(tid);
	if (task)
		count = task->bonds ? list_bonds(which(task->bonds), tids, most)
				    : 0;
	lock_drop(&tables);
	return count;
}

static const struct bond *monitors_of(const struct bonds *bonds)
{
	return bonds->monitors;
}

int reclaim_monitors(reclaim_tid tid, reclaim_tid *list, size_t most)
{
	return list_of(tid, monitors_of, list, most);
}

static const struct bond *watchers_of(const struct bonds *bonds)
{
	return bonds->watchers;
}

int reclaim_monitored_by(reclaim_tid tid, reclaim_tid *list, size_t most)
{
	return list_of(tid, watchers_of, list, most);
}

static const struct bond *links_of(const struct bonds *bonds)
{
	return bonds->links;
}

int reclaim_links(reclaim_tid tid, reclaim_tid *list, size_t most)
{
	return list_of(tid, links_of, list, most);
}

/* ---- a task has ended ---- */

/* Of those that have, to be dissolved; the first to end goes first. */
static struct bonds *departed, **last_departed = &departed;

static struct link *struck; /* its other end is to be reaped */

static void tell_watcher(struct monitor *monitor, int status)
{
	reclaim_tid watcher = monitor->of.other;
	struct message *down = drop_monitor(monitor);

	down->status = status;
	tell(watcher, down);
}

static bool is_told_of_exits(const struct task *task)
{
	return task->traps || task == task_root;
}

/* The tid of who is asked to end is left in the link. */
static void strike(struct link *link, struct task *task, int status)
{
	task_ask(task, status);
	task_obey(task);
	link->tids[0] = slot_id(&task->slot);
	link->next_struck = struck;
	struck = link;
}

static void break_link(struct link *link, reclaim_tid from, reclaim_tid to,
		       int status)
{
	struct task *task = task_find(to);

	drop_link(link);
	if (task && is_told_of_exits(task)) {
		link->exit->from = from;
		link->exit->status = status;
		tell(to, link->exit);
	} else {
		message_free(link->exit);
		if (task && status != 0) {
			strike(link, task, status);
			return;
		}
	}
	free(link);
}

/* One bond less; false: there is none. */
static bool dissolve_one(struct bonds *bonds)
{
	struct bond *bond;

	if ((bond = bonds->watchers))
		tell_watcher(bond->whole, bonds->status);
	else if ((bond = bonds->links))
		break_link(bond->whole, bonds->tid, bond->other, bonds->status);
	else if ((bond = bonds->monitors))
		message_free(drop_monitor(bond->whole));
	return bond;
}

void bonds_depart(struct task *task)
{
	struct bonds *bonds = task->bonds;

	if (!bonds)
		return;
	task->bonds = NULL;
	bonds->tid = slot_id(&task->slot);
	bonds->status = task->status;
	bonds->next = NULL;
	*last_departed = bonds;
	last_departed = &bonds->next;
}

static void forget_first_departed(void)
{
	struct bonds *bonds = departed;

	departed = bonds->next;
	if (!departed)
		last_departed = &departed;
	free(bonds);
}

/*
 * So many take some 60 microseconds, which others may have to wait.  Who is
 * woken by an unlocked mutex comes too late, if it is locked again at once: so
 * there is a pause, about as long.
 */
#define AT_ONCE 4096

static void let_others(void)
{
	static const struct timespec shortest = {.tv_nsec = 1};
	int saved = errno, cancel = cancel_off();

	lock_drop(&tables);
	if (!__libc_single_threaded)
		nanosleep(&shortest, NULL);
	lock_take(&tables);
	cancel_on(cancel);
	errno = saved;
}

/* What is not yet done is there for anybody to do, and for a forked child. */
static void dissolve(void)
{
	unsigned n = 0;

	while (departed) {
		if (!dissolve_one(departed))
			forget_first_departed();
		else if (++n % AT_ONCE == 0)
			let_others();
	}
}

reclaim_tid bonds_settle(void)
{
	struct link *link;
	reclaim_tid tid;

	dissolve();
	link = struck;
	if (!link)
		return 0;
	struck = link->next_struck;
	tid = link->tids[0];
	free(link);
	return tid;
}
