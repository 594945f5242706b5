/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/port.h - a port program as a plain loop
 *
 *	struct reclaim_port *port = reclaim_port_open(NULL);
 *	const void *frame;
 *	ssize_t len;
 *
 *	while ((len = reclaim_port_read(port, &frame)) >= 0)
 *		reclaim_port_write(port, frame, len);
 *	return reclaim_port_close(port);
 *
 * The blocking style: read a frame, answer, read the next.  What is written
 * is kept back and sent together just before the next read would wait.
 *
 * Opening the port moves its two descriptors out of harm's way (close-on-exec,
 * above fd 2), points fd 0 at /dev/null and fd 1 at stderr, so that a stray
 * printf() cannot corrupt the stream; fd 2, which is the emulator's too, is
 * left alone.  No O_NONBLOCK is set on anything.  SIGPIPE is caught, so a
 * program that is exec'd gets the default disposition back, as it should.
 *
 * The emulator ends a port by closing it, or by dying.  The program then
 * reads what was queued, gets end of file, and ends.  Should it not come to
 * read, because it is busy, it is ended all the same: a hang-up is watched
 * for by a thread of its own, and reclaim_port_opts.hangup_ms later the
 * process is made to exit(0), which ends every task.
 *
 * Before it sleeps a read looks for a frame for up to 50 us, where that has
 * paid lately and there is more than one processor; and where frames come in
 * bursts it lets the emulator go on (SCHED_BATCH, for the reading thread,
 * until the burst is over).
 *
 * One port is used by one thread at a time.  Functions return -1 with errno
 * where they fail.  EINTR is never among the reasons.
 */
#ifndef RECLAIM_PORT_H
#define RECLAIM_PORT_H

#include <sys/types.h>

#include <reclaim/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* reclaim_port_opts.flags */
#define RECLAIM_PORT_NOUSE_STDIO 1u /* fds 3 and 4, as by `nouse_stdio` */
#define RECLAIM_PORT_NO_WATCH	 2u /* do not watch for hang-up when busy */
#define RECLAIM_PORT_FDS	 4u /* in_fd and out_fd say which */

/* Zero in a field, or NULL for the whole, means the default. */
struct reclaim_port_opts {
	int framing; /* an enum reclaim_framing; 0: RECLAIM_PACKET_4 */
	unsigned flags;
	size_t max_frame; /* bytes of a body; 0: RECLAIM_MAX_FRAME */
	size_t max_queue; /* bytes kept back before a write sends them;
			     0: 64 KiB */
	int hangup_ms;	  /* from hang-up to the end of a busy program;
			     0: 5000 */
	int in_fd;	  /* with RECLAIM_PORT_FDS */
	int out_fd;
};

struct reclaim_port;

/*
 * Take over the port's descriptors, as above.  They and the port are handles
 * of the calling thread's current task, closed when that ends.
 * NULL: EINVAL (unknown flag or framing, a cap over 2^31 - 1, a negative time),
 * EBADF (a descriptor is missing: the program was not started as a port; a
 * message says so), ENOMEM, EMFILE, EAGAIN.  On failure no descriptor has
 * moved.
 */
RECLAIM_API struct reclaim_port *
reclaim_port_open(const struct reclaim_port_opts *opts);

/*
 * The next frame: *frame borrows it until the next read or close; returns its
 * length, which may be 0 (never without framing).  Sends what was written
 * before it waits.
 * -1 at the end of input: errno 0 (a clean end), EMSGSIZE (a frame longer
 * than max_frame), EBADMSG (the input ended within a frame), ENOMEM, or
 * read(2)'s.
 * All but the clean end are told through the report hook as well.  The end
 * stays: further reads give the same.  A cancellation point.
 */
RECLAIM_API ssize_t reclaim_port_read(struct reclaim_port *port,
				      const void **frame);

/*
 * Queue one frame for the emulator; sends when max_queue bytes are queued, and
 * a body that large straight from where it is.  EMSGSIZE: longer than the
 * prefix can say or than max_frame (nothing was queued; the port is as good
 * as before); EPIPE: the emulator is gone; and write(2)'s.
 */
RECLAIM_API int reclaim_port_write(struct reclaim_port *port, const void *data,
				   size_t len);

/* Send what is queued.  EPIPE and write(2)'s.  A cancellation point. */
RECLAIM_API int reclaim_port_flush(struct reclaim_port *port);

/*
 * Flush, close and free the port; it is gone even where this fails.  Returns
 * what main should: 0 where the input ended cleanly or was not yet at its
 * end, and all was sent (a reader that went away first is no failure at the
 * end of input); 1 else.
 */
RECLAIM_API int reclaim_port_close(struct reclaim_port *port);

#ifdef __cplusplus
}
#endif

#endif
