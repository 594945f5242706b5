/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/message.h - tasks that talk: messages, monitors, links, names
 *
 * Each task has a queue of messages.  Any thread may send to it; the threads
 * that work for the task receive, one at a time.  A message behaves as if it
 * were copied: the sender may change its own at once.  What one task sends
 * another arrives in the order in which it was sent, and what is sent to a task
 * that has not ended arrives, unless its queue was bounded and full.
 *
 * What is received lives until the next receive of the task, or, once kept,
 * until save_free() or the task's end.
 *
 * When a task ends, after everything that it held was released, its name is
 * free again, what it has not received goes, those that monitor it are told,
 * and those that are linked to it are told or end.  Its last messages are
 * before that.
 *
 * All functions may be called from any thread, none in a signal handler.
 * Where nothing else is said they return 0, or -1 with errno set.
 * Source: Erlang's signals, and LING's msg_queue.
 */
#ifndef RECLAIM_MESSAGE_H
#define RECLAIM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <reclaim/binary.h>
#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* reclaim_msg.type */
enum {
	RECLAIM_MSG_DATA = 1, /* of reclaim_send, or of a bare timer */
	RECLAIM_MSG_BIN,      /* of reclaim_send_bin */
	RECLAIM_MSG_DOWN,     /* a task that was monitored ended */
	RECLAIM_MSG_EXIT,     /* a linked one did */
	RECLAIM_MSG_TIMEOUT   /* a timer with an envelope fired */
};

struct reclaim_msg {
	int type;
	int status;	  /* DOWN, EXIT: of the task, or RECLAIM_NOPROC */
	reclaim_tid from; /* who sent it, set the timer, or ended */
	uint64_t ref;	  /* DOWN, TIMEOUT: of the monitor, of the timer */
	const void *data; /* aligned to 16 bytes, but for a slice; never NULL */
	size_t len;
	struct reclaim_bin *bin; /* BIN */
};

/* ---- sending ---- */

/*
 * Send a copy of `len` bytes, or a binary without copying it.  What waits to be
 * received is counted by max_messages, not by max_bytes.
 * ESRCH where there is no such task, or it has ended; EAGAIN where its
 * queue is full (max_messages in struct reclaim_task_opts); ENOMEM; EINVAL
 * without data, or where bin is none.
 */
RECLAIM_API int reclaim_send(reclaim_tid to, const void *data, size_t len);
RECLAIM_API int reclaim_send_bin(reclaim_tid to, struct reclaim_bin *bin);

/* ---- receiving ---- */

/*
 * Take the oldest message to the current task out of its queue, and wait for
 * one if there is none; timeout_ms: -1 for ever, 0 only look.
 * 1 with *msg filled; 0 where the time is over; -1: EBUSY where another thread
 * of the task receives, or in a match function; ECANCELED where it would wait
 * and the task, which the thread has entered, was asked to end; ENOMEM.
 * A cancellation point where it waits.
 */
RECLAIM_API int reclaim_receive(struct reclaim_msg *msg, int timeout_ms);

/*
 * Selective receive: the oldest message for which match(msg, arg) is not zero,
 * from the current one on (below), which is the oldest if nothing else was
 * said.  The others stay, in their order, and are not looked at again in the
 * same call.  match must not receive, nor leave the task.
 */
RECLAIM_API int
reclaim_receive_match(int (*match)(const struct reclaim_msg *msg, void *arg),
		      void *arg, struct reclaim_msg *msg, int timeout_ms);

/*
 * Keep what was received last beyond the next receive.  Of a binary it is the
 * reference, as by reclaim_bin_retain; of any other the bytes, in a block of
 * the current task's memory for save_free(), where msg->data points to from
 * now on.  Returns what is kept.
 * NULL: EINVAL where it is not what was received last; ENOMEM, EMFILE.
 */
RECLAIM_API void *reclaim_msg_keep(struct reclaim_msg *msg);

/* ---- the queue ---- */

/*
 * The current task's queue, to be walked without receiving.  One message is the
 * current one: the oldest at first, and after any receive.
 *
 * len      how many messages there are; 0 with EBUSY as in receive
 * current  the current message in *msg: 1, or 0 where there is none beyond the
 *          last; one that comes then is the current one.  It lives until it is
 *          received or dropped
 * next     the one behind it is current: 1, or 0 where there is none yet
 * reset    the oldest is
 * drop     take the current one out; it lives until the next receive or drop,
 *          and the one behind it is current.  ENOENT where there is none
 * mark     the end of the queue, as it is now; 0 with errno as in receive
 * restore  what came first after a mark is current
 *
 * A call that waits for its own reply marks before it sends, restores before it
 * receives with a match, and does not look at what had been there before.  Any
 * number of marks may be had, and none needs giving back.
 */
RECLAIM_API size_t reclaim_msgq_len(void);
RECLAIM_API int reclaim_msgq_current(struct reclaim_msg *msg);
RECLAIM_API int reclaim_msgq_next(void);
RECLAIM_API int reclaim_msgq_reset(void);
RECLAIM_API int reclaim_msgq_drop(void);
RECLAIM_API uint64_t reclaim_msgq_mark(void);
RECLAIM_API int reclaim_msgq_restore(uint64_t mark);

/*
 * A descriptor for poll(2), epoll and event loops: readable as soon as there
 * may be a message, until a receive, or a walk, has found no more.  It is the
 * queue's, the same for each call, closed with the task; only poll it.
 * -1: EMFILE, ENFILE, ENOMEM; EBUSY.
 */
RECLAIM_API int reclaim_msgq_fd(void);

/* ---- monitors: one way ---- */

/*
 * Have a RECLAIM_MSG_DOWN sent to the current task when `tid` ends, once for
 * each monitor.  Where it has ended, or never was, that is sent at once, with
 * status RECLAIM_NOPROC.  Returns a reference, which is in the message; 0 with
 * ENOMEM.
 */
RECLAIM_API uint64_t reclaim_monitor(reclaim_tid tid);

/*
 * No longer monitor: from here on no message with this reference comes.  With
 * `flush` one that has come is dropped, too.
 * ENOENT where there is no such monitor (with flush: nor such a message), as
 * after its message; EPERM where it is another task's; EBUSY as in receive.
 */
RECLAIM_API int reclaim_demonitor(uint64_t ref, int flush);

/*
 * Whom a task monitors, and who monitors it, newest first, one entry for each
 * monitor; and whom it is linked to.  At most `most` go to list[].  Returns how
 * many there are, which may be more; -1 with ESRCH.
 */
RECLAIM_API int reclaim_monitors(reclaim_tid tid, reclaim_tid *list,
				 size_t most);
RECLAIM_API int reclaim_monitored_by(reclaim_tid tid, reclaim_tid *list,
				     size_t most);
RECLAIM_API int reclaim_links(reclaim_tid tid, reclaim_tid *list, size_t most);

/* ---- links: both ways ---- */

/*
 * Link the current task and `tid`; there is one link between two tasks, however
 * often it was made.  When one ends, the other gets an exit signal: it ends as
 * by reclaim_kill, with the same status, unless that is 0.  One that traps
 * exits gets a RECLAIM_MSG_EXIT instead, whatever the status.  The root always
 * does: it ends with the process only.
 * Where there is no task `tid`, or it has ended: ESRCH, or, after
 * reclaim_trap_exit(1), 0 and that message with status RECLAIM_NOPROC.
 * ENOMEM.
 */
RECLAIM_API int reclaim_link(reclaim_tid tid);

/*
 * Take the link away; from here on no exit signal comes from it.  0 also where
 * there was none.
 */
RECLAIM_API int reclaim_unlink(reclaim_tid tid);

/* Whether the current task traps exits, from here on; returns 1 if it did. */
RECLAIM_API int reclaim_trap_exit(int on);

/* ---- names ---- */

/*
 * Give a task a name, of 1 to RECLAIM_REGISTER_MAX bytes; unregister takes it
 * away, and so does the task's end.  Any task may do either.
 * register: EINVAL; ESRCH; EEXIST where the name is a task's, or the task has
 * one; ENOMEM.  unregister, whereis: ENOENT.
 */
#define RECLAIM_REGISTER_MAX 255
RECLAIM_API int reclaim_register(const char *name, reclaim_tid tid);
RECLAIM_API int reclaim_unregister(const char *name);
RECLAIM_API reclaim_tid reclaim_whereis(const char *name); /* 0: none */

#ifdef __cplusplus
}
#endif

#endif
