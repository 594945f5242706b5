/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link - the port's two descriptors on an event loop
 *
 * A link cuts what the emulator sends into {packet, 4} frames and hands them
 * over one by one; what is put into it goes out in the order in which it was
 * put.  It never blocks: what the pipe does not take waits in a queue, and is
 * gathered: one writev(2) for all that a burst of frames was answered with.
 *
 * Between the messages of a burst it does not sleep: after input it looks for
 * more, for some microseconds, before the loop may wait, where that pays
 * (struct spin); what else the loop waits for ends that, and so does a
 * millisecond, until the loop has been round.  While more than `high` bytes
 * wait to be written nothing is read, and so the emulator is slowed down, until
 * `low` are left; what a pipe still holds after a hang-up is read all the same.
 *
 * The descriptors are its own: private, non-blocking descriptions of the same
 * pipes, so that nobody else's become non-blocking.  One thread, the loop's.
 */
#ifndef RECLAIM_LINK_PRIVATE_H
#define RECLAIM_LINK_PRIVATE_H

#include <reclaim/frame.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <uv.h>

struct link;

/* What a link calls, with the `context` of its options. */
struct link_events {
	/* A frame's body, lent until this returns. */
	void (*frame)(void *context, const unsigned char *body, size_t len);
	/*
	 * All frames that were there are handed over, and what was put is about
	 * to be written.  May be NULL.
	 */
	void (*idle)(void *context);
	/*
	 * The queue has come down to `low`, also where it was dropped, for it
	 * cannot be written any more.  May be NULL.
	 */
	void (*drained)(void *context);
	/*
	 * The emulator has hung up while the link is held and nothing waits to
	 * be written: `ended` would come only when it is held no more.  Once.
	 * May be NULL.
	 */
	void (*hung_up)(void *context);
	/*
	 * Nothing more comes.  0: the emulator closed the port, also where that
	 * is noticed by writing first; EBADMSG: within a frame; EMSGSIZE: a
	 * frame over max_frame; ENOMEM: no room for a frame; EPIPE and others:
	 * it could not be read or written.  All but 0 have been told to the
	 * report hook.  Called once and by the loop alone, never within
	 * link_put or link_flush; what is queued may still be written.
	 */
	void (*ended)(void *context, int why);
};

/* Zero in a field is its default. */
struct link_opts {
	int in, out;	  /* duplicated, and still the caller's to close */
	size_t max_frame; /* of a body, either way; RECLAIM_MAX_FRAME */
	size_t low, high; /* watermarks of the queue in bytes; 256 KiB, 1 MiB */
	int spin_us;	  /* to look for more before sleeping; 50, -1: never */
	const struct link_events *events;
	void *context;
};

/*
 * NULL with errno: EINVAL (max_frame), EBADF, EPERM (a file that cannot be
 * polled), ENOMEM, EMFILE; the loop may have to be turned before it is closed.
 * Descriptors and memory are handles of the current task, and stay its own
 * whichever is current later: open it where none is entered.
 */
struct link *link_open(uv_loop_t *loop, const struct link_opts *opts);

/*
 * Put one frame whose body are these pieces, one behind the other; they are
 * the caller's again at once.  Written at the latest when the burst is over.
 * -1: EMSGSIZE; ENOMEM; EPIPE after `ended`, or once writing has failed.
 */
int link_put(struct link *link, const struct iovec *pieces, int count);

/* Bytes that wait to be written; whether that is above `high`. */
size_t link_queued(const struct link *link);
bool link_is_full(const struct link *link);

/* To poll for a hang-up. */
int link_fd(const struct link *link);

/* Hand over nothing until it is said again; `hung_up` is told all the same. */
void link_hold(struct link *link, bool on);

/*
 * Write what waits, for at most so long: 0, or -1 where something is left
 * (ETIMEDOUT) or was dropped since it cannot be written.
 */
int link_flush(struct link *link, int timeout_ms);

/* Stop; the loop forgets it at its next turn, and then the memory goes. */
void link_close(struct link *link);

#endif
