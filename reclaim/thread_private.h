/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread - which task a thread works for
 *
 * Three sorts: a spawned task's own thread; a worker, made in a task by
 * save_pthread_create; and any other, which works for the root.  Each may
 * enter tasks, and works for a task while it releases it.
 *
 * What a thread must do at its end it does in a thread-specific destructor,
 * after those of the program, which may still use its task.
 */
#ifndef THREAD_PRIVATE_H
#define THREAD_PRIVATE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>

#include "reclaim/task.h"

#include "reclaim/rare_private.h"

struct heap;
struct queue;
struct task;

/* A task that a thread works for, and the heap that it has there, or NULL. */
struct seat {
	struct task *task;
	struct heap *heap;
	struct heap *quick; /* the same, if it may take the quick path */
};

/* What this thread freed in a run of another's heap, and has not yet told. */
struct aside {
	char *memory; /* of the run; it lasts, for these are live still */
	size_t bytes; /* 0: there is none */
	uint64_t blocks;
	struct run *run;
	uint32_t reciprocal;
};

struct thread {
	struct task *current;
	struct heap *heap; /* of the current task, for the quick path */
	struct seat *seat; /* where both come from */
	struct seat floor; /* when nothing is entered */
	unsigned floor_depth;
	unsigned depth;
	struct seat entered[RECLAIM_ENTER_MAX];
	struct heap *spare_heaps; /* ready for the next task */
	unsigned spares;
	struct heap *mail;	/* what it sends comes from there */
	struct aside aside;	/* what it received and freed */
	struct task *works_for; /* when it is in none: whose thread it is */
	struct task *own;	/* the same, where it was spawned with it */
	reclaim_token handle;	/* its own, in the task that it works for */
	jmp_buf *start;		/* where exit() in it goes */
	jmp_buf *action;	/* where exit() in a deferred action goes */
	struct queue *looks_in; /* for a message; the innermost, or NULL */
	const struct thread_scope *scope; /* the innermost, or NULL */
	struct task *awaits; /* now, and without a deadline; or NULL */
	bool deaf;	     /* meanwhile to being cancelled */
	void (*gone)(struct thread *self); /* at its end */
	bool exits;	 /* it is in exit(3), and has no other end */
	void *arguments; /* of whoever made it */
	bool watched;	 /* its end will be noticed */
	bool finished;	 /* it was */
	unsigned rounds; /* of thread-specific destructors seen */
};

extern __thread struct thread thread_of_caller
	__attribute__((tls_model("initial-exec")));

/* First call in a thread: it works for the root. */
RARE void thread_attach(void);

static inline struct thread *thread_self(void)
{
	if (__builtin_expect(!thread_of_caller.current, 0))
		thread_attach();
	return &thread_of_caller;
}

static inline struct task *task_self(void)
{
	return thread_self()->current;
}

/*
 * First thing in a thread that the library makes, with the tables locked for
 * real by whoever makes it until that is recorded: it works for `task`.
 */
struct thread *thread_begin(struct task *task, void (*gone)(struct thread *),
			    void *arguments);
void thread_forget_start(void *self);

/* Before the first thread is made that may be cancelled. */
void thread_load_unwinder(void);

/* Have the calling thread noticed when it ends.  -1 with ENOMEM. */
RARE int thread_watch_now(struct thread *self);

static inline int thread_watch(struct thread *self)
{
	return self->watched ? 0 : thread_watch_now(self);
}

void thread_make_key(void);

/* Work for `task` to release it, and go back to what was before. */
struct thread_scope {
	const struct thread_scope *outer;
	struct seat floor; /* before it */
	unsigned floor_depth;
	int cancel;
};
void thread_work_for(struct task *task, struct thread_scope *scope);
void thread_work_done(const struct thread_scope *scope);

/* The current task is another. */
static inline void thread_sit(struct thread *self, struct seat *seat)
{
	self->seat = seat;
	self->current = seat->task;
	self->heap = seat->quick;
}

static inline void thread_seat(struct thread *self)
{
	thread_sit(self, self->depth > self->floor_depth
				 ? &self->entered[self->depth - 1]
				 : &self->floor);
}

/* Leave what was entered since there were `depth`, or since the floor. */
void thread_leave_to(unsigned depth);
void thread_leave_all(void);

void thread_forked(void);

#endif
