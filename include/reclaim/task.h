/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/task.h - tasks, and what they hold
 *
 * A task owns resources: memory, handles (everything tracked that is not
 * memory) and deferred actions.  When it ends, however it ends, all of them
 * are released: its child tasks first, newest first; then its handles and
 * deferred actions in exact reverse order of acquisition; then its memory in
 * bulk.  Tasks form a tree whose root is the process's own task.
 *
 * Every thread works for one current task.  A thread made by reclaim_spawn()
 * is its task's own.  One made by save_pthread_create() works for the task
 * that made it.  Any other thread works for the root.  reclaim_enter() makes
 * a thread work for a task without a thread, until reclaim_leave().
 *
 * Every function here may be called from any thread and is not safe in a
 * signal handler.  Where nothing else is said, a function returns 0, or -1
 * with errno set and nothing changed.
 */
#ifndef RECLAIM_TASK_H
#define RECLAIM_TASK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RECLAIM_API	 __attribute__((visibility("default")))
#define RECLAIM_NORETURN __attribute__((noreturn))

#ifdef __cplusplus
extern "C" {
#endif

/* A task's identifier.  0 is none; never reused within a process. */
typedef uint64_t reclaim_tid;

/* Names one entry of a ledger.  0 is none; never reused within a process. */
typedef uint64_t reclaim_token;

/* A point in the order of one task's acquisitions. */
typedef struct {
	reclaim_tid task;
	uint64_t at;
} reclaim_mark;

/*
 * Statuses of tasks that gave none themselves.  The first to ask a task to end
 * says what its status is: one that was killed stays RECLAIM_KILLED, whatever
 * it returns.
 */
#define RECLAIM_KILLED (-1) /* ended by reclaim_kill or its parent's end */
#define RECLAIM_NOPROC (-2) /* there was no such task */

/* reclaim_task_opts.flags */
#define RECLAIM_DETACHED 1u /* nobody will wait: keep no status */

/*
 * What a new task is to be.  Zero in a field, or a null pointer in place of
 * the whole, means the default.  Unknown flags are refused with EINVAL.
 */
struct reclaim_task_opts {
	const char *name;     /* copied, up to RECLAIM_NAME_MAX - 1 bytes */
	reclaim_tid parent;   /* 0: the calling thread's current task */
	size_t max_bytes;     /* of memory; 0: no limit; beyond it ENOMEM */
	uint32_t max_handles; /* 0: no limit; beyond it EMFILE */
	size_t stack_size;    /* bytes, of a spawned task's thread */
	uint32_t flags;
	uint32_t max_messages; /* waiting for it; 0: no limit; beyond it EAGAIN
				  for who sends */
};

#define RECLAIM_NAME_MAX 32

/* reclaim_task_info.state */
enum {
	RECLAIM_LIVE = 1,
	RECLAIM_ENDING, /* asked to end; something in it still runs */
	RECLAIM_ENDED	/* only its status is left */
};

/*
 * Memory is counted as it is served: a request is rounded up to 16 bytes, and
 * above 128 to at most a quarter more; an alignment beyond 16 and, with
 * RECLAIM_PLACES, the place beside each block take more.  In a task with
 * max_bytes, and with RECLAIM_MALLOC=system, it is counted as asked for, and a
 * block that was given as its giver counted it.  A block that somebody frees no
 * longer counts, whoever did.
 */
struct reclaim_task_info {
	reclaim_tid tid;
	reclaim_tid parent; /* 0: this is the root */
	char name[RECLAIM_NAME_MAX];
	int state;
	int status;	      /* meaningful once it ends */
	size_t bytes;	      /* of live memory */
	size_t peak_bytes;    /* the most of it; of several threads, summed */
	size_t blocks;	      /* live allocations */
	size_t max_bytes;     /* 0: no limit */
	uint32_t handles;     /* held now */
	uint32_t max_handles; /* 0: no limit */
	uint32_t actions;     /* deferred and not yet run */
	uint32_t children;    /* tasks right below, ended ones included */
	uint32_t messages;    /* sent to it, and not yet received */
};

/*
 * The calling thread's current task.  Never 0, never fails.
 */
RECLAIM_API reclaim_tid reclaim_self(void);

/*
 * A new task without a thread: enter it to work for it, end it when done.
 * opts->stack_size does not apply.
 * Returns 0 with errno ESRCH (no such parent, or it is ending), EINVAL,
 * ENOMEM.
 */
RECLAIM_API reclaim_tid reclaim_task_new(const struct reclaim_task_opts *opts);

/*
 * reclaim_enter makes `tid` the calling thread's current task;
 * reclaim_leave returns to the one before.  They nest, at most
 * RECLAIM_ENTER_MAX deep, and a thread may enter what it is in already.
 * enter: ESRCH; EBUSY where the task has a thread of its own, as the root has,
 * or another thread is in it; ENOBUFS too deep; ENOMEM.  leave: EPERM where
 * nothing was entered.
 * A task that was asked to end meanwhile is ended by the leave that empties
 * it.
 */
#define RECLAIM_ENTER_MAX 32
RECLAIM_API int reclaim_enter(reclaim_tid tid);
RECLAIM_API int reclaim_leave(void);

/*
 * End a task and all below it, with `status` for it and RECLAIM_KILLED for
 * those below, and wait until that is done.  Threads in them are asked to
 * stop as by reclaim_kill; nothing is released while they run.
 * Where the caller is itself inside (its current task is the one or below
 * it, or it runs one of its deferred actions) there is nothing to wait for:
 * the end is noted, the call returns 0 and the task ends as soon as the caller
 * has left it.  The same where the thread that holds the task up waits in turn,
 * without a timeout, for what the caller is inside or holds up: as where two
 * end each other's tasks.  A task that has ended, and keeps its status, loses
 * it.
 * ESRCH; EALREADY in place of 0 where the task is being released already, as
 * from one of its own deferred actions.  The root ends with the process only:
 * EPERM.  A cancellation point.
 */
RECLAIM_API int reclaim_end(reclaim_tid tid, int status);

/*
 * A new task with a thread of its own, which calls entry(argc, argv, environ)
 * and ends the task when that returns, or at save_exit(), reclaim_exit() or
 * pthread_exit() (status 0) in it.  exit() is save_exit() where <reclaim.h>
 * makes it so; libc's own ends the process.  argv (NULL-terminated; NULL means
 * none) and its strings are copied before the call returns, and live as long as
 * the thread. The task's status is what entry returned or what exit was given.
 * Returns 0 with errno ESRCH, EINVAL, ENOMEM, EAGAIN (no more threads).
 * Source: port programs as VxWorks tasks, `int name(int argc, char **argv,
 * char **envp)`.
 */
RECLAIM_API reclaim_tid reclaim_spawn(const struct reclaim_task_opts *opts,
				      int (*entry)(int argc, char **argv,
						   char **envp),
				      char *const argv[]);

/*
 * End the task that the calling thread belongs to, never to return.  In a
 * spawned task's own thread handles and deferred actions are released here,
 * on top of the stack as it is; it is not unwound, as with exit(3).  In a
 * thread made by save_pthread_create the whole task is asked to end, and this
 * thread ends.  In a deferred action it ends that action alone; the others
 * still run, and the status stays.  Everywhere else it is exit(3).
 */
RECLAIM_API RECLAIM_NORETURN void reclaim_exit(int status);

/*
 * Ask a task and all below it to end, and do not wait.  Threads in it obey at
 * their next cancellation point (pthreads(7)); a thread that entered it obeys
 * when it leaves.  A task with nothing running in it has ended when this
 * returns: the caller has released what it held, and run its actions.  ESRCH;
 * EPERM for the root.
 */
RECLAIM_API int reclaim_kill(reclaim_tid tid);

/*
 * Wait until a task has ended and everything it held is released; its status
 * goes to *status unless that is NULL.  timeout_ms: -1 for ever, 0 only look.
 * A spawned task's status is kept until the first wait or its parent's end;
 * one of reclaim_task_new keeps none, but whoever waits while it ends is told.
 * ESRCH; ETIMEDOUT; EDEADLK for the caller's own task or one above it, and for
 * one that waits for the caller, where reclaim_end would not wait either.
 * A cancellation point.
 */
RECLAIM_API int reclaim_wait(reclaim_tid tid, int *status, int timeout_ms);

/* What a task is and how much it holds.  ESRCH. */
RECLAIM_API int reclaim_task_info(reclaim_tid tid,
				  struct reclaim_task_info *info);

/*
 * Deferred actions: fn(arg) is run when the current task ends, in its turn
 * among the handles, in the thread that ends the task, with the task current
 * and cancellation disabled.  It may use the task's memory and its older
 * handles, acquire, and defer more (what is deferred then runs next).
 * *token, unless token is NULL, names it for reclaim_undefer.  ENOMEM; EINVAL
 * without fn.
 */
RECLAIM_API int reclaim_defer(void (*fn)(void *), void *arg,
			      reclaim_token *token);

/*
 * Take back a deferred action, or give up a handle of reclaim_track; with
 * `run` it is run (released) first, in the calling thread and its current
 * task.  O(1).
 * ENOENT where it ran already or was taken back: so it happens once.
 * EPERM where it is a stranger's (neither the current task's, nor of one
 * above or below it).
 */
RECLAIM_API int reclaim_undefer(reclaim_token token, int run);

/* reclaim_kind.fork: what becomes of a handle in a forked child */
enum {
	RECLAIM_FORK_DROP = 0, /* forgotten there, never released */
	RECLAIM_FORK_KEEP = 1  /* the child's as well, released in both */
};

/*
 * What a handle is.  Constant; lives as long as any handle of the kind.
 * `release` gives the thing back; it runs once, with cancellation disabled
 * and the handle forgotten already, and need not preserve errno.
 * `describe`, which may be NULL, writes a few words into buf as snprintf
 * does; it must not call this library.
 */
struct reclaim_kind {
	const char *name;
	void (*release)(void *id);
	int (*describe)(const void *id, char *buf, size_t len);
	int fork;
};

/*
 * Record a handle of a kind of the caller's own in the current task.  On
 * failure nothing is recorded and the thing is still the caller's.  Reserve
 * first where that matters: reclaim_defer before, or release by hand after.
 * EINVAL (no kind, it has no release, or an unknown `fork`); EMFILE; ENOMEM.
 */
RECLAIM_API int reclaim_track(const struct reclaim_kind *kind, void *id,
			      reclaim_token *token);

/*
 * Give what one task holds to another, as its newest acquisition.  The giver
 * must be its owner, or above or below it (else EPERM).
 * give_fd moves whatever holds the descriptor: a FILE goes with its fd.
 * EBADF where it is not tracked; EMFILE at the receiver's limit.
 * give may move the block, as realloc does, to where it is aligned to 16 bytes
 * at least, and returns where it is now; NULL where it failed, and then it is
 * where it was: ENOMEM, also at the receiver's limit, or EINVAL where ptr is no
 * live block.  Both: ESRCH.
 */
RECLAIM_API int reclaim_give_fd(int fd, reclaim_tid to);
RECLAIM_API void *reclaim_give(void *ptr, reclaim_tid to);

/*
 * Move a task, with all that is below it, from its parent to `to`, as the
 * newest child there.  ESRCH: one of them is not there, or is ending; EPERM:
 * the caller's current task is not above both; EINVAL: `to` is the task, or
 * below it.
 */
RECLAIM_API int reclaim_give_task(reclaim_tid tid, reclaim_tid to);

/*
 * The tasks right below one, newest first, without those of which only the
 * status is left.  At most `most` go to list[].  Returns how many there are,
 * which may be more; -1 with ESRCH.
 */
RECLAIM_API int reclaim_children(reclaim_tid tid, reclaim_tid *list,
				 size_t most);

/*
 * A savepoint in the current task, and going back to it: handles and deferred
 * actions acquired since are released, newest first.  Memory is not (use a
 * child task).  EINVAL for a mark of another task; EDEADLK where the calling
 * thread is itself a handle that would be released.
 */
RECLAIM_API reclaim_mark reclaim_mark_here(void);
RECLAIM_API int reclaim_release_to(reclaim_mark mark);

/*
 * Where the library speaks: hook(severity, text, arg) in place of stderr.
 * text is one line without its newline.  NULL restores stderr.  The hook may be
 * called from any thread, and may use the library.
 */
enum { RECLAIM_NOTE, RECLAIM_WARNING, RECLAIM_ERROR };
RECLAIM_API int reclaim_on_report(void (*hook)(int severity, const char *text,
					       void *arg),
				  void *arg);

/*
 * Speak as the library does, for kinds and drivers of the caller's own: one
 * line, as printf would have it, up to 1023 bytes.  Preserves errno.
 */
RECLAIM_API void reclaim_say(int severity, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * What wrong use is, and what to do about it.  What is found out does not take
 * effect: what was to be freed or closed stays as it was.  The policy says only
 * whether it is told.
 * The first three are of memory.  What a pointer into the library's heaps is,
 * is known without reading what it points to; a block that was freed is known
 * as such until its memory is used again, and where its own thread and another
 * free it, that may be told later.  Elsewhere, what lies in a loaded object,
 * or is aligned as no block of libc's, is foreign; any other pointer that was
 * never recorded is libc's to judge, and with RECLAIM_MALLOC=system every one.
 * Returns the level before, or -1 with errno EINVAL.
 */
enum {
	RECLAIM_DOUBLE_FREE,   /* of memory that was freed before */
	RECLAIM_FOREIGN_FREE,  /* of what nobody allocated */
	RECLAIM_INTERIOR_FREE, /* of a pointer into a block */
	RECLAIM_WRONG_FAMILY,  /* save_free of save_malloc2's, and so on */
	RECLAIM_STRANGERS,     /* of what an unrelated task owns */
	RECLAIM_STALE_FD,      /* closed or reopened behind the wrappers */
	RECLAIM_ALL_CHECKS     /* every one of them */
};
enum {
	RECLAIM_OFF,
	RECLAIM_WARN_ONCE, /* of each kind */
	RECLAIM_WARN,	   /* the default */
	RECLAIM_ABORT
};
RECLAIM_API int reclaim_policy(int what, int level);

/*
 * Write what a task and those below it hold to `to`, newest first, and where
 * each was acquired (with RECLAIM_PLACES=1 in the environment).  ESRCH.
 */
RECLAIM_API int reclaim_report(reclaim_tid tid, FILE *to);

/*
 * Let a child process of the current task go: it is no longer a handle, and
 * neither ended nor reaped at the task's end.  ECHILD; EINVAL for a child of
 * an unrelated task.
 */
RECLAIM_API int reclaim_child_detach(int pid);

#ifdef __cplusplus
}
#endif

#endif
