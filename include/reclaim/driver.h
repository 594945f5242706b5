/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/driver.h - drivers: many conversations over one port
 *
 * A driver is a constant table of callbacks.  An outlet is one open instance of
 * it: the C end of a conversation with an Erlang process, its owner.  Many
 * outlets, of many drivers, share one port and one operating-system process,
 * and one thread, the loop's, which calls the callbacks: so they must not
 * block.  What takes long is a job, on a thread of its own.
 *
 *	static void echo(struct reclaim_outlet *outlet, const void *data,
 *			 size_t len)
 *	{
 *		reclaim_outlet_output(outlet, data, len);
 *	}
 *
 *	static const struct reclaim_driver driver = {
 *		RECLAIM_DRIVER_ABI, .name = "echo", .output = echo,
 *	};
 *
 *	int main(int argc, char **argv)
 *	{
 *		return reclaim_port_main(argc, argv, RECLAIM_DRIVERS(&driver));
 *	}
 *
 * The scope ladder.  Each of these is a task below the one before it, and ends
 * with it, and everything that it holds:
 *
 *	host	the process; the root of the tree of tasks
 *	client	an Erlang process that has outlets open
 *	outlet	from `start` to after `stop`
 *	call	from a call to its answer, or the end of who called
 *	job	work on another thread
 *
 * A callback runs with the right one entered: `call`, `control`, and
 * `ready_async` of a job below a call, with the call's task; all others with
 * the outlet's.  So what a handler of a call allocates or opens goes when the
 * call is answered.  What is to stay is made with the outlet's task entered:
 * reclaim_enter(reclaim_outlet_task(outlet)).
 *
 * An outlet ends when its owner closes it or dies, when the driver closes it,
 * and with the host: its jobs are cancelled, and once the last of them is over
 * `stop` is called, where `start` had succeeded; then its task ends.
 *
 * The root's messages are the host's: a thread of a driver's own, which works
 * for the root unless it enters a task, is not to receive.
 *
 * reclaim_outlet_ functions are for the loop's thread, in callbacks: EPERM
 * elsewhere.  reclaim_call_ functions and reclaim_log may be called from any
 * thread.  Where nothing else is said they return 0, or -1 with errno.
 * Source: OTP's erl_driver, LING's outlets.
 */
#ifndef RECLAIM_DRIVER_H
#define RECLAIM_DRIVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <reclaim/task.h>
#include <reclaim/term.h>

#ifdef __cplusplus
extern "C" {
#endif

struct reclaim_outlet;

/* What this header describes; struct reclaim_driver begins with it. */
#define RECLAIM_DRIVER_ABI 1u

/* What a callback may be asked for, and reclaim_outlet_select. */
#define RECLAIM_READ  1
#define RECLAIM_WRITE 2

/*
 * A driver.  Constant; lives as long as the process.  `name` is 1 to 63
 * letters, digits and underscores.  Any callback may be missing: what would
 * call it is answered with {error, enotsup}, or is dropped and told in the log
 * once.
 */
struct reclaim_driver {
	unsigned abi; /* RECLAIM_DRIVER_ABI */
	const char *name;

	/*
	 * A new outlet, with the arguments of reclaim:open/3, a term.  0; or -1
	 * with errno: the client gets {error, that} as an atom, such as enoent,
	 * and what was acquired is given back.  Without it arguments are
	 * ignored.
	 */
	int (*start)(struct reclaim_outlet *outlet,
		     struct reclaim_reader *args);
	/*
	 * The outlet ends: the last that is called, once, before what it holds
	 * is released.  Handles release themselves: often there is nothing to
	 * do.  Nothing can be sent any more.
	 */
	void (*stop)(struct reclaim_outlet *outlet);

	/* What reclaim:command/2 sent.  Bytes lent until this returns. */
	void (*output)(struct reclaim_outlet *outlet, const void *data,
		       size_t len);
	/*
	 * reclaim:call/3 asks; the term is lent until this returns.  Answer
	 * with reclaim_call_reply or reclaim_call_error, here or later.  Where
	 * this returns with the call neither answered, nor kept
	 * (reclaim_call_keep), nor with a job under way, the client gets
	 * {error, no_answer}.
	 */
	void (*call)(struct reclaim_outlet *outlet, uint64_t call,
		     struct reclaim_reader *request);
	/* The same for reclaim:control/3, with bytes. */
	void (*control)(struct reclaim_outlet *outlet, uint64_t call,
			uint32_t operation, const void *data, size_t len);

	/* A descriptor of reclaim_outlet_select has something. */
	void (*ready_input)(struct reclaim_outlet *outlet, int fd);
	void (*ready_output)(struct reclaim_outlet *outlet, int fd);
	/*
	 * A job is over, and was not cancelled; `result` is what it returned,
	 * `arg` what reclaim_job_start was given.  What the job's task holds is
	 * released after this.  call: 0 where it was the outlet's.
	 */
	void (*ready_async)(struct reclaim_outlet *outlet, uint64_t call,
			    void *arg, int result);
	/* A timer of reclaim_outlet_timer is over, and gone. */
	void (*timeout)(struct reclaim_outlet *outlet, uint64_t timer,
			void *arg);
	/* A process of reclaim_call_monitor has ended. */
	void (*process_exit)(struct reclaim_outlet *outlet, uint64_t monitor);
	/* What was output has gone below the low watermark. */
	void (*drained)(struct reclaim_outlet *outlet);
	/*
	 * The owner closes the outlet (it has not died).  0: go on to `stop`
	 * once the output has been sent; 1: not before the driver calls
	 * reclaim_outlet_close, or five seconds are over.
	 */
	int (*flush)(struct reclaim_outlet *outlet);

	unsigned flags; /* 0, or: */
};

/*
 * What an outlet holds may take long to release, as a transaction does that is
 * rolled back.  It is done on another thread, after `stop`, and the loop goes
 * on meanwhile; kinds and deferred actions of the outlet's task are run there.
 */
#define RECLAIM_DRIVER_SLOW_END 1u

/* ---- outlets ---- */

/* What the driver keeps for an outlet; NULL at first. */
RECLAIM_API void *reclaim_outlet_state(const struct reclaim_outlet *outlet);
RECLAIM_API void reclaim_outlet_set_state(struct reclaim_outlet *outlet,
					  void *state);

/* Its task, and that of its client. */
RECLAIM_API reclaim_tid
reclaim_outlet_task(const struct reclaim_outlet *outlet);
RECLAIM_API reclaim_tid
reclaim_outlet_client(const struct reclaim_outlet *outlet);

/*
 * Send bytes to the owner: {reclaim, Outlet, {data, Bytes}}.  They are copied,
 * and wait in the outlet until the owner has given credit for more.
 * 0; 1 where more than the high watermark waits now: go on after `drained`.
 * -1: EMSGSIZE (longer than the port's frames can be), ENOMEM (also at the
 * outlet's limit: nothing was sent), ESHUTDOWN (it ends).
 */
RECLAIM_API int reclaim_outlet_output(struct reclaim_outlet *outlet,
				      const void *data, size_t len);
/* The same of several pieces, at most 16 (EINVAL), as one. */
RECLAIM_API int reclaim_outlet_outputv(struct reclaim_outlet *outlet,
				       const struct iovec *pieces, int count);

/*
 * When output waits (bytes, and 64 for each frame, as for credit): at first 64
 * KiB and 256 KiB.  EINVAL: low > high.
 */
RECLAIM_API int reclaim_outlet_watermarks(struct reclaim_outlet *outlet,
					  size_t low, size_t high);

/*
 * Whether the outlet takes no more input.  While it is busy `output` is not
 * called; what comes waits, and the owner soon gets no credit for more:
 * reclaim:command waits, or is {error, busy}.  Calls are not held up.
 */
RECLAIM_API int reclaim_outlet_busy(struct reclaim_outlet *outlet, int on);

/*
 * Close it, with a reason for the owner: {reclaim, Outlet, {closed, Reason}},
 * an atom, NULL for `normal`.  Output that waits is sent before, as far as
 * there is credit.  No callback but `stop` is called once the current one
 * returns.  EALREADY: it ends already; EINVAL: no atom, or one of more than 63
 * bytes.
 */
RECLAIM_API int reclaim_outlet_close(struct reclaim_outlet *outlet,
				     const char *reason);

/*
 * Tell the driver when `fd` can be read (RECLAIM_READ), written
 * (RECLAIM_WRITE), both, or no more (0).  It stays the driver's to close, after
 * 0 was said; at the outlet's end that is done.  Level-triggered.
 * EBADF, EPERM (a file that cannot be polled), EEXIST (another outlet's),
 * ENOMEM, EINVAL.
 */
RECLAIM_API int reclaim_outlet_select(struct reclaim_outlet *outlet, int fd,
				      int wanted);

/*
 * Call `timeout` in so many milliseconds; any number of timers.  A reference,
 * or 0: ENOMEM; EINVAL, the driver has no `timeout`.  cancel: ENOENT where it
 * is over or another outlet's.
 */
RECLAIM_API uint64_t reclaim_outlet_timer(struct reclaim_outlet *outlet,
					  uint64_t after_ms, void *arg);
RECLAIM_API int reclaim_outlet_cancel_timer(struct reclaim_outlet *outlet,
					    uint64_t timer);

/* ---- calls: named by tokens, which are never used again ---- */

/*
 * Answer: with a term, and then it is reclaim:call's {ok, Term}; with bytes,
 * reclaim:control's {ok, Bytes}; or with {error, Reason}, an atom.  A call is
 * answered once.  It ends then: its task, and jobs that are left of it.  What a
 * job of the call says is sent when that job is over.
 * ENOENT: no such call, or it was answered, or nobody waits any more; EINVAL:
 * no whole term, no atom, or a term where bytes are asked for; EMSGSIZE: the
 * client got {error, emsgsize}; ENOMEM: the call is as it was.
 */
RECLAIM_API int reclaim_call_reply(uint64_t call,
				   const struct reclaim_writer *term);
RECLAIM_API int reclaim_call_data(uint64_t call, const void *data, size_t len);
RECLAIM_API int reclaim_call_error(uint64_t call, const char *reason);

/* The name of an errno as Erlang's `file` has it, such as "enoent". */
RECLAIM_API const char *reclaim_errno_name(int error);

/* It will be answered later, from any thread.  ENOENT. */
RECLAIM_API int reclaim_call_keep(uint64_t call);

/* Its task, as long as it lives; 0 with ENOENT. */
RECLAIM_API reclaim_tid reclaim_call_task(uint64_t call);

/*
 * Have `process_exit` called when the process that called has ended, at once
 * where it has.  A reference; 0: ENOENT, ENOMEM; ENOTSUP without Erlang's
 * application at the other end; EPERM.  It lasts until then, until it is taken
 * back (ENOENT: there is none), or the outlet ends; not only as long as the
 * call.
 */
RECLAIM_API uint64_t reclaim_call_monitor(uint64_t call);
RECLAIM_API int reclaim_outlet_demonitor(struct reclaim_outlet *outlet,
					 uint64_t monitor);

/* ---- jobs ---- */

/* reclaim_job.flags */
/*
 * One at a time and in order, in its outlet: the next begins when ready_async
 * of the one before has returned, and its task has ended.
 */
#define RECLAIM_JOB_ORDERED 1u

/*
 * Work for another thread.  Constant.  `run` has a task of its own entered,
 * below the call's or the outlet's; it may block.
 *
 * A job is cancelled when the call or the outlet that it belongs to ends.  One
 * that has not begun never does.  Of one that runs `cancel` is called, in the
 * loop's thread, now and every 100 ms until it is over, to make it return: as
 * sqlite3_interrupt does.  Without `cancel` its thread is cancelled at the next
 * cancellation point: pthread_cleanup_push() is honoured, the task's resources
 * are released.  So leave `cancel` out only where nothing that `run` calls
 * would mind; one that does nothing will do for work that is always short.
 */
struct reclaim_job {
	const char *name;
	int (*run)(void *arg);
	void (*cancel)(void *arg);
	unsigned flags;
};

/*
 * Start a job of a call, or, where that is 0, of an outlet.  It waits its turn
 * where all threads are at work (reclaim-host's --jobs).  arg has to live as
 * long as the job: memory of the call's or the outlet's task does.
 * ENOENT: no such call; EINVAL; ENOMEM; EAGAIN: no more threads; ESHUTDOWN.
 */
RECLAIM_API int reclaim_job_start(struct reclaim_outlet *outlet, uint64_t call,
				  const struct reclaim_job *job, void *arg);

/* ---- the log ---- */

/*
 * Say something in Erlang's logger, with the current task's name, and that of
 * the outlet where it is one's.  Levels are syslog's.  Cut at 4,000 bytes.
 */
enum {
	RECLAIM_LOG_ERROR = 3,
	RECLAIM_LOG_WARNING = 4,
	RECLAIM_LOG_NOTICE = 5,
	RECLAIM_LOG_INFO = 6,
	RECLAIM_LOG_DEBUG = 7
};
RECLAIM_API void reclaim_log(int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the program ---- */

#define RECLAIM_DRIVERS(...) \
	((const struct reclaim_driver *const[]){__VA_ARGS__, NULL})

/*
 * A driver that reclaim-host loads is a shared object NAME.so, in a directory
 * of --drivers, that defines this; .name is NAME.  It is found by its symbol,
 * and stays loaded.
 *	const struct reclaim_driver reclaim_driver = {
 *		RECLAIM_DRIVER_ABI, .name = "echo", .output = echo,
 *	};
 */
#define RECLAIM_DRIVER_SYMBOL "reclaim_driver"
extern RECLAIM_API const struct reclaim_driver reclaim_driver;

/*
 * Serve the port with these drivers (NULL-terminated) until the emulator closes
 * it; what a program's main is to be.  Its options are reclaim-host(1)'s.
 * Returns what main should: 0 at the clean end of input, when everything has
 * been sent and every task has ended; 1 where the port's input was beyond
 * repair; 2 for wrong options or drivers (told on stderr); 143 after SIGTERM,
 * which it obeys in the same way, where it had its default.
 */
RECLAIM_API int reclaim_port_main(int argc, char **argv,
				  const struct reclaim_driver *const *drivers);

#ifdef __cplusplus
}
#endif

#endif
