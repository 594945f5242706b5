/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task - the tree of owners
 *
 * A task is LIVE until it is asked to end; then it is DYING, and so is all
 * below it, until nothing runs in it and no child is left.  Whoever makes the
 * last of that true (the thread that asked, or one that leaves) releases it:
 * ENDING.  Last it is gone, or, for a spawned one, ENDED: only its status is
 * left, for its parent to find.
 *
 * A dying tree is taken apart in one order, whoever works on it: always the
 * newest leaf.  A leaf that is busy stops the work; whoever leaves it last
 * goes on.  A task with a thread of its own is released by that thread alone,
 * which waits for its turn.  Only who waits for a task from inside the tree
 * that ends does not: it would wait for itself.
 *
 * Threads: all under `tables`.
 */
#ifndef TASK_PRIVATE_H
#define TASK_PRIVATE_H

#include "reclaim/ledger_private.h"
#include "reclaim/memory_private.h"

struct bonds;
struct name;
struct queue;
struct thread;

enum task_state { TASK_LIVE = 1, TASK_DYING, TASK_ENDING, TASK_ENDED };

struct task {
	struct slot slot; /* the tid */
	enum task_state state;
	int status;
	struct task *parent;
	struct task *newest_child; /* of those that have not ended */
	struct task *older, *newer;
	struct task *ended_child; /* those that have; linked by `older` */
	unsigned depth;		  /* below the root */
	uint32_t children;
	struct ledger ledger;
	struct memory memory;
	struct thread *own;    /* the thread that was spawned with it */
	pthread_t pthread;     /* of `own` */
	void *start;	       /* what `own` was started with */
	struct thread *inside; /* who entered it, or is releasing it */
	unsigned entered;      /* how many times */
	bool parked;	       /* its own thread waits to release it */
	bool out_of_turn;      /* ends by itself, before newer siblings */
	unsigned waiters;
	pthread_cond_t changed; /* it ended, or a child of it did */
	bool slept_on;		/* somebody waits for that */
	uint32_t flags;
	/* What it has to do with others, once it has. */
	struct queue *queue;
	struct bonds *bonds;
	struct name *registered;
	uint32_t max_messages; /* 0: no limit */
	bool traps;	       /* exits of others */
	bool silent;	       /* it ends, and nothing can be sent to it */
	char name[RECLAIM_NAME_MAX];
};

extern struct slots tasks;
extern struct task *task_root;
void task_make_root(void);

/* The task of this id that has not yet ended, or NULL with ESRCH. */
struct task *task_find(reclaim_tid tid);

/* The same, where one that has ended and keeps its status is as good. */
struct task *task_find_any(reclaim_tid tid);

/* The same where what it is given now is sure to be released with it. */
struct task *task_find_receiver(reclaim_tid tid);

/* Whether one is the other or below it; or either way.  No lock needed. */
bool task_is_below(const struct task *task, const struct task *top);
bool task_is_related(const struct task *a, const struct task *b);

static inline bool task_is_kin(const struct task *a, const struct task *b)
{
	return a == b || task_is_related(a, b);
}

/* A new task as `opts` says, LIVE and in the tree; NULL and errno. */
struct task *task_make(const struct reclaim_task_opts *opts);

/* Take a task out of its parent's children; and let go of it for good. */
static inline void task_unlink(struct task *task)
{
	if (task->older)
		task->older->newer = task->newer;
	if (task->newer)
		task->newer->older = task->older;
	else
		task->parent->newest_child = task->older;
	task->parent->children--;
}

static inline void task_put(struct task *task)
{
	slots_put(&tasks, &task->slot);
}

/* Wake those who wait for something to change. */
RARE void task_wake(struct task *task);

static inline void task_changed(struct task *task)
{
	if (task->slept_on)
		task_wake(task);
}

/* Ask a task and all below it to end. */
void task_ask(struct task *task, int status);

/* The caller, where it is of such a task, does as its other threads do. */
void task_obey(const struct task *top);

/* Take apart what is dying at and around `task`, as far as it goes. */
void task_reap_dying(struct task *task);

static inline void task_reap(struct task *task)
{
	if (task->state == TASK_DYING)
		task_reap_dying(task);
}

/* The thread leaves the task that it entered last. */
static inline void task_leave(struct thread *self)
{
	struct seat *seat = &self->entered[--self->depth];
	struct task *task = seat->task;

	memory_leave(seat);
	thread_seat(self);
	task->entered--;
	task_reap(task);
}

/*
 * Wait, with the tables locked for real, until a child of `task` has ended or
 * a thread of it; for ever, or, as the process exits, for a while: ETIMEDOUT.
 */
int task_await_change(struct task *task);

/*
 * The end of a spawned task, by its own thread, in two steps: children,
 * handles and actions; then memory and the task itself.  Unlocked.
 */
void task_finish(struct task *task, int status);
void task_bury_own(struct task *task);

/* The next task in the tree below `top`, parents first; NULL at the end. */
struct task *task_next(const struct task *task, const struct task *top);

/* How the tasks of a process end with it.  Unlocked. */
void task_end_process(void);

void task_forked(void);

#endif
