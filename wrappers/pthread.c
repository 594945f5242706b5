/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pthread - threads that work for the task that made them
 *
 * Such a thread is a handle of its task: asked to stop and waited for in its
 * turn when the task ends.  Its own end releases nothing.  One that was
 * detached is not joined but waited for all the same.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "reclaim.h"
#include "reclaim/place_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

struct worker {
	struct task *task;
	void *(*entry)(void *);
	void *arg;
	reclaim_token token;
	pthread_t pthread;
	bool detached;
	bool orphan; /* has no entry: it frees this itself */
	bool done;   /* nothing of the program runs in it any more */
};

static void worker_gone(struct thread *self)
{
	struct worker *worker = self->arguments;
	struct task *task = worker->task;
	struct entry *entry;
	bool unwanted = false;

	thread_begin(task_root, NULL, NULL);
	lock_take(&tables);
	if (self->exits)
		worker->detached = true; /* there is no joining it */
	worker->done = true;
	task->ledger.threads--;
	unwanted = worker->orphan;
	if (worker->detached) {
		entry = ledger_find_token(worker->token);
		if (entry) {
			ledger_remove(entry);
			unwanted = true;
		}
	}
	task_changed(task);
	task_reap(task);
	lock_drop(&tables);
	if (unwanted)
		free(worker);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct thread *self = thread_begin(worker->task, worker_gone, worker);
	void *volatile result = NULL;
	jmp_buf here;

	self->handle = worker->token;
	self->start = &here;
	pthread_cleanup_push(thread_forget_start, self);
	if (_setjmp(here) == 0)
		result = worker->entry(worker->arg);
	pthread_cleanup_pop(1);
	return result;
}

/* Not for ever at the process's end, nor for oneself. */
static int await(struct worker *worker)
{
	int error = 0;

	lock_take_real(&tables);
	while (!worker->done && !error)
		error = pthread_equal(worker->pthread, pthread_self())
				? EDEADLK
				: task_await_change(worker->task);
	worker->orphan = error;
	lock_drop(&tables);
	return error;
}

static bool is_self(const struct worker *worker)
{
	return pthread_equal(worker->pthread, pthread_self());
}

/* Whoever stops the others goes on itself. */
static bool stop_worker(const struct entry *entry)
{
	struct worker *worker = entry->u.record;

	if (worker->done || is_self(worker))
		return true;
	pthread_cancel(worker->pthread);
	return false;
}

static void release_worker(const struct entry *held)
{
	struct worker *worker = held->u.record;
	bool gone;

	lock_take(&tables);
	stop_worker(held);
	lock_drop(&tables);
	gone = await(worker) == 0;
	if (is_self(worker))
		pthread_detach(worker->pthread);
	else if (gone && !worker->detached)
		pthread_join(worker->pthread, NULL);
	if (gone)
		free(worker); /* else it still runs, and needs its record */
}

/* The worker that forked is still one, if nobody's, and knows its record. */
static void drop_worker(const struct entry *entry)
{
	if (!is_self(entry->u.record))
		free(entry->u.record);
}

static const struct kind worker_kind = {
	.kind = {.name = "thread",
		 .fork = RECLAIM_FORK_DROP | KIND_BUILTIN | KIND_FOUND_BY_ID},
	.release = release_worker,
	.stop = stop_worker,
	.drop = drop_worker,
};

static bool is_detached(const pthread_attr_t *attr)
{
	int state = PTHREAD_CREATE_JOINABLE;

	if (attr)
		pthread_attr_getdetachstate(attr, &state);
	return state == PTHREAD_CREATE_DETACHED;
}

/* Where an id is given anew, its thread was joined behind the wrappers. */
static void forget_stale(pthread_t thread)
{
	struct entry *stale = ledger_find(&worker_kind.kind, (void *)thread);

	if (!stale)
		return;
	free(stale->u.record);
	ledger_remove(stale);
}

/* With the tables locked for real, and room reserved. */
static int start_worker(struct entry *entry, struct worker *worker,
			const pthread_attr_t *attr)
{
	int error = pthread_create(&worker->pthread, attr, worker_main, worker);

	if (error) {
		ledger_cancel(entry);
		return error;
	}
	forget_stale(worker->pthread);
	worker->token = ledger_token(entry);
	entry->u.record = worker;
	worker->task->ledger.threads++;
	ledger_commit(entry, (void *)worker->pthread);
	return 0;
}

int save_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			void *(*start)(void *), void *arg)
{
	struct task *self = thread_self()->current;
	int error, cancel = cancel_off();
	struct worker *worker;
	struct entry *entry;

	thread_load_unwinder();
	worker = malloc(sizeof(*worker));
	if (!worker) {
		cancel_on(cancel);
		return EAGAIN;
	}
	*worker = (struct worker){.task = self,
				  .entry = start,
				  .arg = arg,
				  .detached = is_detached(attr)};
	lock_take_real(&tables);
	entry = ledger_reserve(self, &worker_kind.kind, PLACE);
	error = entry ? start_worker(entry, worker, attr) : EAGAIN;
	if (!error)
		*thread = worker->pthread;
	lock_drop(&tables);
	if (error)
		free(worker);
	cancel_on(cancel);
	return error;
}

/* Forget a thread that nobody can join any more. */
static void forget(reclaim_token token)
{
	struct worker *worker = NULL;
	struct entry *entry;

	lock_take(&tables);
	entry = ledger_find_token(token);
	if (entry) {
		worker = entry->u.record;
		if (worker->done)
			ledger_remove(entry);
		else
			worker = NULL;
	}
	lock_drop(&tables);
	free(worker);
}

/* Its token, found while its id is still its own; 0: none of ours. */
static reclaim_token find(pthread_t thread, bool detach)
{
	struct entry *entry;
	reclaim_token token = 0;

	lock_take(&tables);
	entry = ledger_find(&worker_kind.kind, (void *)thread);
	if (entry) {
		token = ledger_token(entry);
		if (detach)
			((struct worker *)entry->u.record)->detached = true;
	}
	lock_drop(&tables);
	return token;
}

int save_pthread_join(pthread_t thread, void **result)
{
	reclaim_token token = find(thread, false);
	int error = pthread_join(thread, result);

	if (!error && token)
		forget(token);
	return error;
}

int save_pthread_detach(pthread_t thread)
{
	reclaim_token token;

	if (thread_self()->own && pthread_equal(thread, pthread_self()))
		return EINVAL; /* a task's own thread is the library's */
	token = find(thread, true);
	if (token)
		forget(token);
	return pthread_detach(thread);
}
