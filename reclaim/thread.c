/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/thread_private.h"

#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reclaim/library_private.h"
#include "reclaim/mail_private.h"
#include "reclaim/memory_private.h"
#include "reclaim/message_private.h"
#include "reclaim/task_private.h"

__thread struct thread thread_of_caller;

/* ---- which task ---- */

void thread_attach(void)
{
	library_start();
	thread_of_caller.floor.task = thread_of_caller.works_for = task_root;
	thread_seat(&thread_of_caller);
}

void thread_work_for(struct task *task, struct thread_scope *scope)
{
	struct thread *self = thread_self();

	scope->outer = self->scope;
	scope->floor = self->floor;
	scope->floor_depth = self->floor_depth;
	scope->cancel = cancel_off();
	self->scope = scope;
	self->floor = (struct seat){.task = task};
	self->floor_depth = self->depth;
	thread_seat(self);
}

void thread_leave_to(unsigned depth)
{
	struct thread *self = thread_self();

	if (self->depth <= depth)
		return;
	lock_take(&tables);
	while (self->depth > depth)
		task_leave(self);
	lock_drop(&tables);
}

void thread_leave_all(void)
{
	thread_leave_to(thread_self()->floor_depth);
}

void thread_work_done(const struct thread_scope *scope)
{
	struct thread *self = thread_self();

	thread_leave_all();
	memory_leave(&self->floor);
	self->scope = scope->outer;
	self->floor = scope->floor;
	self->floor_depth = scope->floor_depth;
	thread_seat(self);
	cancel_on(scope->cancel);
}

/* ---- the end of a thread ---- */

static pthread_key_t key;

/*
 * The program's own destructors go first: they may use the task.  glibc makes
 * four rounds; the sanitizers use the last for themselves.
 */
#define LAST_ROUND 3

static void thread_gone(void *arg)
{
	struct thread *self = thread_self();

	self->scope = NULL; /* pthread_exit() in an action left them */
	if (++self->rounds < LAST_ROUND) {
		pthread_setspecific(key, arg);
		return;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	self->floor_depth = 0; /* it may have left from within an action */
	thread_leave_all();
	if (self->gone)
		self->gone(self);
	memory_leave(&self->floor);
	thread_seat(self);
	mail_leave(self);
	heap_thread_gone(self);
	self->watched = false;
	self->finished = true;
}

void thread_make_key(void)
{
	if (pthread_key_create(&key, thread_gone) != 0)
		abort();
}

int thread_watch_now(struct thread *self)
{
	int error = pthread_setspecific(key, self);

	self->watched = !error;
	return errno_result(error);
}

struct thread *thread_begin(struct task *task, void (*gone)(struct thread *),
			    void *arguments)
{
	struct thread *self = &thread_of_caller;

	lock_take_real(&tables); /* until whoever made the thread is done */
	memory_leave(&self->floor);
	self->floor.task = self->works_for = task;
	thread_seat(self);
	self->gone = gone;
	self->arguments = arguments;
	lock_drop(&tables);
	if (gone && thread_watch(self) < 0)
		abort(); /* the first 32 keys need no memory, and ours is one */
	return self;
}

void thread_forget_start(void *self)
{
	((struct thread *)self)->start = NULL;
}

/*
 * To end a thread glibc needs the unwinder, loads it when it first does, and
 * aborts where it cannot, as when no descriptor is left.  Load it while
 * things are well.
 */
void thread_load_unwinder(void)
{
	static atomic_bool loaded;
	void *frame;

	if (!atomic_load_explicit(&loaded, memory_order_relaxed))
		atomic_store_explicit(&loaded, backtrace(&frame, 1) > 0,
				      memory_order_relaxed);
}

/* ---- a task's own thread ---- */

struct start {
	struct task *task;
	int (*entry)(int argc, char **argv, char **envp);
	int argc;
	char *argv[];
};

static int run_task(struct start *start)
{
	struct thread *self = thread_self();
	jmp_buf here;
	volatile int status = 0;

	self->start = &here;
	pthread_cleanup_push(thread_forget_start, self);
	if (_setjmp(here) == 0)
		status = start->entry(start->argc, start->argv, environ);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cleanup_pop(1);
	return status;
}

static void task_gone(struct thread *self)
{
	struct task *task = self->own;

	task_finish(task, 0);
	task->start = NULL;
	free(self->arguments);
	self->own = NULL;
	thread_begin(task_root, NULL, NULL);
	task_bury_own(task);
}

static void *task_main(void *arg)
{
	struct start *start = arg;
	struct thread *self = thread_begin(start->task, task_gone, start);
	int status;

	lock_take(&tables);
	self->own = start->task;
	start->task->own = self;
	lock_drop(&tables);
	status = run_task(start);
	if (!self->own)
		exit(status); /* the entry forked, and this is the child */
	lock_take(&tables);
	task_ask(self->own, status);
	lock_drop(&tables);
	return NULL;
}

static struct start *copy_start(int (*entry)(int, char **, char **),
				char *const argv[])
{
	struct start *start;
	size_t argc = 0, bytes = 0, i;
	char *text;

	while (argv && argv[argc])
		bytes += strlen(argv[argc++]) + 1;
	start = malloc(sizeof(*start) + (argc + 1) * sizeof(char *) + bytes);
	if (!start)
		return NULL;
	start->entry = entry;
	start->argc = (int)argc;
	text = (char *)&start->argv[argc + 1];
	for (i = 0; i < argc; i++) {
		start->argv[i] = text;
		text = stpcpy(text, argv[i]) + 1;
	}
	start->argv[argc] = NULL;
	return start;
}

static int set_stack_size(pthread_attr_t *attr, size_t size)
{
	long page = sysconf(_SC_PAGESIZE),
	     least = sysconf(_SC_THREAD_STACK_MIN);

	if (!size)
		return 0;
	if (size < (size_t)least)
		size = (size_t)least;
	return pthread_attr_setstacksize(attr, (size + (size_t)page - 1) &
						       -(size_t)page);
}

/* Start the thread of a task, with the tables locked. */
static int start_thread(struct task *task, struct start *start, size_t stack)
{
	static struct thread starting; /* whoever it will be */
	pthread_attr_t attr;
	int error;

	start->task = task;
	task->start = start;
	task->own = &starting;
	error = pthread_attr_init(&attr);
	if (error)
		return error;
	/* Its status is what is waited for; the thread needs no joining. */
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = set_stack_size(&attr, stack);
	if (!error)
		error = pthread_create(&task->pthread, &attr, task_main, start);
	pthread_attr_destroy(&attr);
	return error;
}

reclaim_tid reclaim_spawn(const struct reclaim_task_opts *opts,
			  int (*entry)(int argc, char **argv, char **envp),
			  char *const argv[])
{
	struct start *start;
	struct task *task;
	reclaim_tid tid = 0;
	int error, cancel;

	thread_self();
	if (!entry) {
		errno = EINVAL;
		return 0;
	}
	cancel = cancel_off();
	thread_load_unwinder();
	start = copy_start(entry, argv);
	error = start ? 0 : errno;
	if (start) {
		lock_take_real(&tables);
		task = task_make(opts);
		error = task ? start_thread(task, start,
					    opts ? opts->stack_size : 0)
			     : errno;
		if (!error)
			tid = slot_id(&task->slot);
		else if (task) {
			task_unlink(task);
			task_put(task);
		}
		lock_drop(&tables);
		if (error)
			free(start);
	}
	cancel_on(cancel);
	if (error)
		errno = error;
	return tid;
}

void reclaim_exit(int status)
{
	struct thread *self = thread_self();

	message_abandon();
	if (self->action)
		longjmp(*self->action, 1);
	if (!self->start || self->works_for == task_root)
		exit(status);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	thread_leave_all();
	if (self->own) {
		task_finish(self->own, status);
	} else {
		lock_take(&tables);
		task_ask(self->works_for, status);
		lock_drop(&tables);
	}
	longjmp(*self->start, 1);
}

/* ---- fork ---- */

void thread_forked(void)
{
	struct thread *self = thread_self();

	self->own = NULL;
	self->works_for = task_root;
	self->gone = NULL;
	self->handle = 0;
	self->start = NULL;
	self->action = NULL;
}
