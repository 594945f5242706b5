/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/task_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/queue_private.h"
#include "reclaim/report_private.h"
#include "reclaim/thread_private.h"

struct slots tasks = {.table.item = sizeof(struct task)};

struct task *task_root;

/* ---- the tree ---- */

static RARE struct task *none(void)
{
	errno = ESRCH;
	return NULL;
}

struct task *task_find_any(reclaim_tid tid)
{
	struct task *task = slots_find(&tasks, tid);

	return task ? task : none();
}

struct task *task_find(reclaim_tid tid)
{
	struct task *task = slots_find(&tasks, tid);

	return task && task->state != TASK_ENDED ? task : none();
}

struct task *task_find_receiver(reclaim_tid tid)
{
	struct task *task = task_find(tid);

	if (task && task->state == TASK_ENDING && task != task_self()) {
		errno = ESRCH;
		return NULL;
	}
	return task;
}

bool task_is_below(const struct task *task, const struct task *top)
{
	while (task->depth > top->depth)
		task = task->parent;
	return task == top;
}

bool task_is_related(const struct task *a, const struct task *b)
{
	return a->depth >= b->depth ? task_is_below(a, b) : task_is_below(b, a);
}

static void link_child(struct task *task, struct task *parent)
{
	task->parent = parent;
	task->depth = parent->depth + 1;
	task->newer = NULL;
	task->older = parent->newest_child;
	if (task->older)
		task->older->newer = task;
	parent->newest_child = task;
	parent->children++;
}

struct task *task_next(const struct task *task, const struct task *top)
{
	if (task->newest_child)
		return task->newest_child;
	for (; task != top; task = task->parent)
		if (task->older)
			return task->older;
	return NULL;
}

/* ---- making ---- */

static void set_options(struct task *task, const struct reclaim_task_opts *opts)
{
	task->flags = opts->flags;
	task->memory.max_bytes = opts->max_bytes;
	task->ledger.max_handles = opts->max_handles;
	task->max_messages = opts->max_messages;
	if (opts->name)
		strncpy(task->name, opts->name, sizeof(task->name) - 1);
}

/* By stores side by side: gcc's rep stos, or a memset, would take longer. */
static inline void clear(struct task *task)
{
	size_t at;

#pragma GCC unroll 32
	for (at = sizeof(task->slot); at < sizeof(*task); at += 16)
		memset((char *)task + at, 0, 16);
}

_Static_assert((sizeof(struct task) - sizeof(struct slot)) % 16 == 0,
	       "what is cleared of a task is no more than that");

static inline struct task *take_task(void)
{
	struct task *task = slots_take(&tasks);

	if (!task)
		return NULL;
	clear(task);
	task->state = TASK_LIVE;
	task->changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	return task;
}

static inline struct task *make_below(struct task *parent,
				      const struct reclaim_task_opts *opts)
{
	struct task *task;

	if (parent->state != TASK_LIVE)
		return none();
	task = take_task();
	if (!task)
		return NULL;
	if (opts)
		set_options(task, opts);
	link_child(task, parent);
	return task;
}

static struct task *make_as(struct thread *self,
			    const struct reclaim_task_opts *opts)
{
	struct task *parent = self->current;

	if (opts->flags & ~RECLAIM_DETACHED) {
		errno = EINVAL;
		return NULL;
	}
	if (opts->parent)
		parent = task_find(opts->parent);
	return parent ? make_below(parent, opts) : NULL;
}

static inline struct task *make(struct thread *self,
				const struct reclaim_task_opts *opts)
{
	return opts ? make_as(self, opts) : make_below(self->current, NULL);
}

struct task *task_make(const struct reclaim_task_opts *opts)
{
	return make(thread_self(), opts);
}

void task_make_root(void)
{
	task_root = take_task();
	if (!task_root)
		abort(); /* no memory for a first page: no process */
	strcpy(task_root->name, "process");
}

/* ---- the public side ---- */

reclaim_tid reclaim_self(void)
{
	return slot_id(&task_self()->slot);
}

reclaim_tid reclaim_task_new(const struct reclaim_task_opts *opts)
{
	struct thread *self = thread_self();
	struct task *task;
	reclaim_tid tid;

	lock_take(&tables);
	task = make(self, opts);
	/* Unlocked it might be gone already, with its parent. */
	tid = task ? slot_id(&task->slot) : 0;
	lock_drop(&tables);
	return tid;
}

static int enter(struct thread *self, struct task *task)
{
	struct seat *seat = &self->entered[self->depth];

	if (!task || task->state != TASK_LIVE)
		return ESRCH;
	if (task->own || task == task_root ||
	    (task->entered && task->inside != self))
		return EBUSY;
	if (self->depth == RECLAIM_ENTER_MAX)
		return ENOBUFS;
	task->inside = self;
	task->entered++;
	self->depth++;
	*seat = (struct seat){.task = task};
	thread_sit(self, seat);
	return 0;
}

int reclaim_enter(reclaim_tid tid)
{
	struct thread *self = thread_self();
	int error;

	if (thread_watch(self) < 0)
		return -1;
	lock_take(&tables);
	error = enter(self, slots_find(&tasks, tid));
	lock_drop(&tables);
	return errno_result(error);
}

int reclaim_leave(void)
{
	struct thread *self = thread_self();

	if (self->depth == self->floor_depth) {
		errno = EPERM;
		return -1;
	}
	lock_take(&tables);
	task_leave(self);
	lock_drop(&tables);
	return 0;
}

/* ---- moving ---- */

static void settle_depths(struct task *top)
{
	struct task *task;

	for (task = top; task; task = task_next(task, top))
		task->depth = task->parent->depth + 1;
}

static int move(struct task *task, struct task *to, const struct task *mover)
{
	if (!task || !to || task->state != TASK_LIVE || to->state != TASK_LIVE)
		return ESRCH;
	if (task_is_below(to, task))
		return EINVAL;
	if (task == mover || !task_is_below(task, mover) ||
	    !task_is_below(to, mover))
		return EPERM;
	task_unlink(task);
	link_child(task, to);
	settle_depths(task);
	return 0;
}

int reclaim_give_task(reclaim_tid tid, reclaim_tid to)
{
	struct task *mover = task_self();
	int error;

	lock_take(&tables);
	error = move(slots_find(&tasks, tid), slots_find(&tasks, to), mover);
	lock_drop(&tables);
	return errno_result(error);
}

/* ---- what there is ---- */

int reclaim_children(reclaim_tid tid, reclaim_tid *list, size_t most)
{
	const struct task *child;
	struct task *task;
	size_t n = 0;

	lock_take(&tables);
	task = task_find(tid);
	for (child = task ? task->newest_child : NULL; child;
	     child = child->older, n++)
		if (n < most)
			list[n] = slot_id(&child->slot);
	lock_drop(&tables);
	return task ? (int)n : -1;
}

static int public_state(const struct task *task)
{
	switch (task->state) {
	case TASK_LIVE:
		return RECLAIM_LIVE;
	case TASK_ENDED:
		return RECLAIM_ENDED;
	default:
		return RECLAIM_ENDING;
	}
}

static void fill_info(struct task *task, struct reclaim_task_info *info)
{
	struct heap_figures memory;

	memory_figures(&task->memory, &memory);
	*info = (struct reclaim_task_info){
		.tid = slot_id(&task->slot),
		.parent = task->parent ? slot_id(&task->parent->slot) : 0,
		.state = public_state(task),
		.status = task->status,
		.bytes = memory.bytes,
		.peak_bytes = memory.peak_bytes,
		.blocks = memory.blocks,
		.max_bytes = task->memory.max_bytes,
		.handles = task->ledger.handles,
		.max_handles = task->ledger.max_handles,
		.actions = task->ledger.actions,
		.children = task->children,
		.messages = task->queue ? queue_count(task->queue) : 0,
	};
	memcpy(info->name, task->name, sizeof(info->name));
}

int reclaim_task_info(reclaim_tid tid, struct reclaim_task_info *info)
{
	struct task *task;

	lock_take(&tables);
	task = task_find_any(tid);
	if (task)
		fill_info(task, info);
	lock_drop(&tables);
	return task ? 0 : -1;
}
