/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ending - how tasks end, and how one waits for it
 */
#include "config.h"

#include "reclaim/task_private.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "reclaim/bonds_private.h"
#include "reclaim/mail_private.h"
#include "reclaim/message_private.h"
#include "reclaim/name_private.h"
#include "reclaim/report_private.h"
#include "reclaim/thread_private.h"
#include "reclaim/timer_private.h"

/* ---- asking, and taking apart ---- */

void task_wake(struct task *task)
{
	task->slept_on = false;
	pthread_cond_broadcast(&task->changed);
}

static struct task *newest_leaf(struct task *task)
{
	while (task->newest_child)
		task = task->newest_child;
	return task;
}

static bool is_busy(const struct task *task)
{
	return task->own || task->entered;
}

/* One that asked for its own end goes on; this is somebody else's asking. */
static RARE void stop_threads(const struct task *task)
{
	if (task->own && task->own != thread_self())
		pthread_cancel(task->pthread);
	if (task->ledger.threads)
		ledger_stop(task);
}

static inline void ask_one(struct task *task, int status)
{
	if (task->state == TASK_LIVE) {
		task->state = TASK_DYING;
		task->status = status;
	}
	if (task->state != TASK_DYING)
		return;
	if (task->own || task->ledger.threads)
		stop_threads(task);
	if (task->queue)
		queue_interrupt(task->queue);
	/* Who waits for it may have to see that it need not. */
	task_changed(task);
}

static RARE void ask_below(const struct task *top)
{
	struct task *task;

	for (task = top->newest_child; task; task = task_next(task, top))
		ask_one(task, RECLAIM_KILLED);
}

void task_ask(struct task *top, int status)
{
	ask_one(top, status);
	if (top->newest_child)
		ask_below(top);
}

void task_obey(const struct task *top)
{
	const struct task *mine = thread_self()->works_for;

	if (mine->state == TASK_DYING && task_is_below(mine, top))
		pthread_cancel(pthread_self());
}

/* Nobody will ask for its status any more. */
static void put_if_unwanted(struct task *task)
{
	if (!task->waiters)
		task_put(task);
}

static RARE void drop_ended_children(struct task *task)
{
	struct task *child, *next;

	for (child = task->ended_child; child; child = next) {
		next = child->older;
		child->parent = NULL;
		put_if_unwanted(child);
	}
	task->ended_child = NULL;
}

/* Out of the tree; false: the process exits, and gave up on it. */
static inline bool take_out(struct task *task)
{
	if (task->state == TASK_ENDED)
		return false;
	if (task->ended_child)
		drop_ended_children(task);
	task_unlink(task);
	task->state = TASK_ENDED;
	task_changed(task);
	task_changed(task->parent);
	return true;
}

static void bury(struct task *task)
{
	bonds_depart(task);
	if (!take_out(task))
		return;
	task->parent = NULL;
	put_if_unwanted(task);
}

/* Its status is kept, for its parent to find. */
static void keep_status(struct task *task)
{
	struct task *parent = task->parent;

	bonds_depart(task);
	if (!take_out(task))
		return;
	task->newer = NULL;
	task->older = parent->ended_child;
	if (task->older)
		task->older->newer = task;
	parent->ended_child = task;
	parent->children++;
}

/* An ended task whose status has been fetched. */
static void forget_status(struct task *task)
{
	if (task->older)
		task->older->newer = task->newer;
	if (task->newer)
		task->newer->older = task->older;
	else
		task->parent->ended_child = task->older;
	task->parent->children--;
	task->parent = NULL;
}

/* It has memory at most, in heaps.  The tables are locked. */
static bool is_bare(const struct task *task)
{
	return !task->ledger.newest && !task->queue && !task->registered &&
	       !records_any(&task->memory.records);
}

/* How many there were. */
static size_t free_messages(struct message *message)
{
	struct message *next;
	size_t n = 0;

	for (; message; message = next, n++) {
		message_was_fetched(message);
		next = message->next;
		__builtin_prefetch(next);
		message_free(message);
	}
	mail_return();
	return n;
}

/* Nothing reaches it any more, and it has no name.  Unlocked. */
static void fall_silent(struct task *task)
{
	struct message *messages = NULL;
	struct queue *queue;

	lock_take(&tables);
	queue = task->queue;
	task->silent = true;
	task->queue = NULL;
	if (queue)
		messages = queue_close(queue);
	name_forget(task);
	lock_drop(&tables);
	if (!queue)
		return;
	timer_end_all(queue, slot_id(&task->slot));
	queue_count_removed(queue, free_messages(messages));
}

/* Unlocked. */
static RARE void release(struct task *task)
{
	struct thread_scope scope;

	thread_work_for(task, &scope);
	ledger_release_after(task, 0);
	memory_end(task);
	fall_silent(task);
	thread_work_done(&scope);
}

static struct task *dying_top(struct task *task)
{
	while (!task->out_of_turn && task->parent &&
	       task->parent->state == TASK_DYING)
		task = task->parent;
	return task;
}

/* The thread that must be done before anything else of a task can end. */
static const struct thread *holder(struct task *task)
{
	struct task *leaf;

	if (task->state == TASK_DYING)
		task = dying_top(task);
	leaf = newest_leaf(task);
	if (leaf->own)
		return leaf->own;
	if (leaf->entered || leaf->state == TASK_ENDING)
		return leaf->inside;
	return NULL;
}

/* It was cancelled with the task that it works for, and will hear of it. */
static bool is_stopping(const struct thread *thread)
{
	return thread->works_for->state == TASK_DYING && !thread->deaf;
}

/* What a holder waits for before it goes on, or NULL. */
static struct task *awaited_by(const struct thread *thread)
{
	if (!thread || !thread->awaits || is_stopping(thread))
		return NULL;
	return thread->awaits;
}

/* A leaf has come to hold up all that is dying around it. */
static RARE void tell_holder(struct task *leaf)
{
	struct task *awaited = awaited_by(holder(leaf));

	/* Its own thread may be waiting for its turn. */
	task_changed(leaf);
	/* Or whoever is in it waits for what now waits for it. */
	if (awaited)
		task_changed(awaited);
}

/* A leaf of a dying tree that this thread may take apart. */
static bool is_ripe(const struct task *task, const struct thread *self)
{
	return task->state == TASK_DYING && !is_busy(task) &&
	       task != task_root && task != self->works_for;
}

static void end_leaf(struct task *leaf, struct thread *self)
{
	struct heap *first;

	leaf->state = TASK_ENDING;
	leaf->inside = self;
	leaf->silent = is_bare(leaf);
	if (!leaf->silent) {
		lock_drop(&tables);
		release(leaf);
		lock_take(&tables);
	} else if ((first = memory_take_heaps(&leaf->memory))) {
		lock_drop(&tables);
		memory_end_heaps(first, self);
		lock_take(&tables);
	}
	bury(leaf);
}

static void reap_one(struct task *task)
{
	struct thread *self = thread_self();
	struct task *leaf;

	do {
		leaf = newest_leaf(dying_top(task));
		if (!is_ripe(leaf, self)) {
			tell_holder(leaf);
			return;
		}
		task = leaf->parent;
		end_leaf(leaf, self);
	} while (task->state == TASK_DYING);
}

/* Those who were bound to a task that has ended are told, or end in turn. */
static void settle(void)
{
	struct task *task;
	reclaim_tid tid;

	while ((tid = bonds_settle())) {
		task = task_find(tid);
		if (task && task->state == TASK_DYING)
			reap_one(task);
	}
}

void task_reap_dying(struct task *task)
{
	reap_one(task);
	settle();
}

/* Wait, with the tables locked, until something changed; ETIMEDOUT. */
static int wait_change(struct task *task, const struct timespec *deadline)
{
	if (tables.elided) {
		/* The only thread: nobody holds the mutex. */
		tables.elided = false;
		lock_take_real(&tables);
	}
	task->slept_on = true;
	return lock_wait(&tables, &task->changed, deadline);
}

/*
 * The process's end.  A thread that never comes to a cancellation point must
 * not keep a process from ending; one that does comes to it within its
 * longest computation: they have this long to stop, all together.
 */
#define EXIT_GRACE_MS 2000

static bool exiting;
static pthread_t exiting_thread;
static struct timespec exit_deadline;
static bool gave_up; /* what still runs is left as it is */

int task_await_change(struct task *task)
{
	return wait_change(task, exiting ? &exit_deadline : NULL);
}

/*
 * All below it has ended, and all that is newer in a tree that ends; or it had
 * its turn, at its exit, before that tree began to end.
 */
static bool is_its_turn(struct task *task)
{
	if (task->state == TASK_ENDING)
		return true;
	task_reap(task);
	return newest_leaf(dying_top(task)) == task;
}

void task_finish(struct task *task, int status)
{
	struct thread_scope scope;
	int cancel = cancel_off();

	lock_take(&tables);
	task_ask(task, status);
	task->parked = true;
	while (gave_up || !is_its_turn(task))
		wait_change(task, NULL);
	task->parked = false;
	task->state = TASK_ENDING;
	lock_drop(&tables);
	thread_work_for(task, &scope);
	ledger_release_after(task, 0);
	thread_work_done(&scope);
	cancel_on(cancel);
}

void task_bury_own(struct task *task)
{
	struct task *parent = task->parent;

	release(task);
	lock_take(&tables);
	task->own = NULL;
	if (task->flags & RECLAIM_DETACHED)
		bury(task);
	else
		keep_status(task);
	task_reap(parent);
	settle();
	lock_drop(&tables);
}

/* ---- waiting ---- */

/* No longer wait for a task; the last to do so lets go of it. */
static void stop_waiting(struct task *task)
{
	task->waiters--;
	if (task->state == TASK_ENDED && !task->parent)
		put_if_unwanted(task);
}

static void cancelled_waiting(void *task)
{
	thread_self()->awaits = NULL;
	stop_waiting(task);
	lock_drop(&tables);
}

/* Whether the calling thread works for something in this tree. */
static bool caller_is_inside(const struct task *top)
{
	const struct thread *self = thread_self();
	const struct thread_scope *scope;
	unsigned i;

	if (task_is_below(self->floor.task, top) ||
	    task_is_below(self->works_for, top))
		return true;
	for (i = 0; i < self->depth; i++)
		if (task_is_below(self->entered[i].task, top))
			return true;
	for (scope = self->scope; scope; scope = scope->outer)
		if (task_is_below(scope->floor.task, top))
			return true;
	return false;
}

/*
 * Whether the caller would wait for itself: whoever holds the task up may wait
 * for what the caller is in, as when two end each other's tasks.  The last to
 * wait finds out, or whom task_reap wakes.  Nobody nests so deep that a longer
 * chain is not a circle of others, who are about to be told.
 */
#define LONGEST_CHAIN 64

static bool leads_back(struct task *task)
{
	const struct thread *thread;
	int links;

	for (links = 0; task && links < LONGEST_CHAIN; links++) {
		thread = holder(task);
		if (thread == thread_self() || caller_is_inside(task))
			return true;
		task = awaited_by(thread);
	}
	return false;
}

/*
 * Who waits for a task from inside the tree that it ends with would wait for
 * its own end: so the task does not wait for its turn.
 */
static void hurry(struct task *task)
{
	if (task->state != TASK_DYING || caller_is_inside(task) ||
	    !caller_is_inside(dying_top(task)))
		return;
	task->out_of_turn = true;
	task_reap(task);
}

/*
 * A thread of the process's own that waits for a task as the process exits has
 * nothing to come back to: main would return, and exit a second time.
 */
static void stay_if_exiting(void)
{
	while (exiting && thread_self()->works_for == task_root &&
	       !thread_self()->scope &&
	       !pthread_equal(pthread_self(), exiting_thread))
		wait_change(task_root, NULL);
}

/* Wait where others see it; what a deadline ends is no deadlock. */
static int wait_for_end(struct task *task, const struct timespec *deadline)
{
	struct thread *self = thread_self();
	int error, state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	self->deaf = state == PTHREAD_CANCEL_DISABLE;
	self->awaits = deadline ? NULL : task;
	pthread_setcancelstate(state, NULL);
	error = wait_change(task, deadline);
	self->awaits = NULL;
	return error;
}

/* Until it has ended: 0; or ETIMEDOUT, EDEADLK. */
static int await_end(struct task *task, const struct timespec *deadline)
{
	int error = 0;

	while (hurry(task), task->state != TASK_ENDED && !error) {
		if (leads_back(task))
			return EDEADLK;
		error = wait_for_end(task, deadline);
	}
	stay_if_exiting();
	return task->state == TASK_ENDED ? 0 : error;
}

/* With the tables locked. */
static int wait_ended(struct task *task, int *status, int timeout_ms)
{
	struct timespec deadline;
	int error;

	if (timeout_ms >= 0)
		deadline_after(timeout_ms, &deadline);
	task->waiters++;
	pthread_cleanup_push(cancelled_waiting, task);
	error = await_end(task, timeout_ms < 0 ? NULL : &deadline);
	pthread_cleanup_pop(0);
	if (!error) {
		if (status)
			*status = task->status;
		if (task->parent)
			forget_status(task);
	}
	stop_waiting(task);
	return error;
}

int reclaim_wait(reclaim_tid tid, int *status, int timeout_ms)
{
	struct task *task;
	int error;

	thread_self();
	lock_take(&tables);
	task = task_find_any(tid);
	error = task ? wait_ended(task, status, timeout_ms) : ESRCH;
	lock_drop(&tables);
	return errno_result(error);
}

/* With the caller among those who wait for it already. */
static int end_awaited(struct task *task)
{
	int error;

	if (task->state == TASK_ENDED && !task->parent) {
		stop_waiting(task);
		return 0;
	}
	task->waiters--;
	error = wait_ended(task, NULL, -1);
	if (error == EDEADLK) /* noted, for when the caller has left */
		error = task->state == TASK_ENDING ? EALREADY : 0;
	return error;
}

/* The root ends with the process only. */
static int find_to_end(reclaim_tid tid, struct task **task)
{
	*task = task_find_any(tid);
	if (!*task)
		return ESRCH;
	return *task == task_root ? EPERM : 0;
}

int reclaim_end(reclaim_tid tid, int status)
{
	struct task *task;
	int error;

	thread_self();
	lock_take(&tables);
	error = find_to_end(tid, &task);
	if (!error) {
		task_ask(task, status);
		task->waiters++;
		task_reap(task);
		error = end_awaited(task);
	}
	lock_drop(&tables);
	return errno_result(error);
}

int reclaim_kill(reclaim_tid tid)
{
	struct task *task;
	int error;

	thread_self();
	lock_take(&tables);
	error = find_to_end(tid, &task);
	if (!error) {
		task_ask(task, RECLAIM_KILLED);
		task_obey(task);
		task_reap(task);
	}
	lock_drop(&tables);
	return errno_result(error);
}

/* ---- the process's end, and fork ---- */

/* Take out of the tree what still runs, so that the rest can end. */
static void give_up_on(struct task *task)
{
	char label[64];

	report_label(task, label, sizeof(label));
	ledger_abandon(task);
	task_unlink(task);
	task->state = TASK_ENDED;
	lock_drop(&tables);
	reclaim_say(RECLAIM_WARNING,
		    "the process exits while task %s still runs: its child "
		    "processes are killed, what else it holds is left to the "
		    "kernel",
		    label);
	lock_take(&tables);
}

static void end_all(void)
{
	struct task *leaf;

	exiting = true;
	exiting_thread = pthread_self();
	deadline_after(EXIT_GRACE_MS, &exit_deadline);
	task_ask(task_root, 0);
	while (task_reap(task_root), task_root->newest_child && !gave_up)
		gave_up = task_await_change(task_root) == ETIMEDOUT;
	while (task_reap(task_root), task_root->newest_child) {
		leaf = newest_leaf(task_root);
		if (leaf->parked) {
			leaf->own = NULL;	  /* its thread stays parked */
			leaf->state = TASK_DYING; /* even if it has exited */
		} else {
			give_up_on(leaf);
		}
	}
}

/*
 * exit(3) is called in the middle of anything.  The caller's own work is taken
 * over: what it released is released further, what it was in is left.
 */
static void take_over(struct thread *self)
{
	struct task *task;

	for (task = task_root; task; task = task_next(task, task_root)) {
		if (task->inside != self && task->own != self)
			continue;
		task->own = NULL;
		task->entered = 0;
		if (task->state == TASK_ENDING)
			task->state = TASK_DYING;
	}
	if (self->own)
		self->gone = NULL;
	self->own = NULL;
	self->depth = self->floor_depth = 0;
	self->scope = NULL;
	memory_leave(&self->floor);
	self->floor.task = self->works_for = task_root;
	thread_seat(self);
	self->action = NULL;
	message_abandon();
}

/* Where a thread of the process's own receives still, it is left as it is. */
static void silence_root(void)
{
	if (task_root->queue && queue_claim(task_root->queue) == 0)
		fall_silent(task_root);
}

void task_end_process(void)
{
	struct thread *self = thread_self();
	struct thread_scope scope;
	int cancel = cancel_off();

	lock_take(&tables);
	take_over(self);
	lock_drop(&tables);
	self->exits = true;
	if (self->gone)
		self->gone(self);
	lock_take(&tables);
	end_all();
	lock_drop(&tables);
	thread_work_for(task_root, &scope);
	ledger_release_after(task_root, 0);
	silence_root();
	thread_work_done(&scope);
	cancel_on(cancel);
}

void task_forked(void)
{
	struct thread *self = thread_self();
	struct task *task;

	for (task = task_root; task; task = task_next(task, task_root)) {
		task->changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
		if (task->own && task->own != self)
			free(task->start);
		task->own = NULL;
		task->waiters = 0;
		if (task->inside != self) {
			task->entered = 0;
			if (task->state == TASK_ENDING)
				task->state = TASK_DYING;
		}
		memory_forked(&task->memory);
		ledger_forked(task);
		queue_forked(slot_id(&task->slot), self);
	}
}
