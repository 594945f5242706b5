/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port - a program's end of the emulator's pipes, in the blocking style
 *
 * Input is read into one buffer, out of which frames are lent.  It is read in
 * large pieces, but beyond its first size only to the end of a frame, and goes
 * back to that size afterwards.  Output is gathered in another and sent when
 * that is full or the input would have to be waited for.
 *
 * The watcher is a thread that only ever looks for a hang-up.  It is stopped
 * through an eventfd; what it shares with the port is one flag.
 */
#include "config.h"

#include <reclaim/port.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ports/input_private.h"
#include "ports/pipes_private.h"
#include "ports/spin_private.h"
#include "ports/streams_private.h"
#include "reclaim.h"

/* A pipe's default capacity: one write fills it. */
#define QUEUE_SIZE ((size_t)64 << 10)

struct watcher {
	pthread_t thread;
	pid_t process; /* that it runs in; a forked child has none */
	int in;
	int stop; /* an eventfd */
	int hangup_ms;
	atomic_bool ended; /* the reader has seen the end of input */
};

struct reclaim_port {
	int in, out; /* ours, moved away */
	struct input input;
	struct spin spin;
	unsigned frames; /* since it last slept */
	bool at_end;	 /* read(2) gave 0 */
	bool ended;	 /* and reclaim_port_read has said so */
	int why;	 /* with `ended`: an errno, 0 for a clean end */
	char *queue;
	size_t queued, max_queue;
	int broken; /* errno of the write that failed */
	struct watcher watcher;
	reclaim_token token;
};

/* ---- hang-up ---- */

/* 1 where the emulator hung up, 0 where the watcher is to stop. */
static bool saw_hangup(const struct watcher *watcher)
{
	struct pollfd fds[] = {
		{.fd = watcher->in, .events = POLLRDHUP},
		{.fd = watcher->stop, .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			return false;
		if (fds[0].revents)
			return true;
	}
}

static bool was_stopped_within(const struct watcher *watcher, int ms)
{
	struct pollfd stop = {.fd = watcher->stop, .events = POLLIN};

	return poll(&stop, 1, ms) != 0;
}

static void *watch(void *arg)
{
	struct watcher *watcher = arg;

	if (!saw_hangup(watcher) ||
	    was_stopped_within(watcher, watcher->hangup_ms) ||
	    atomic_load(&watcher->ended))
		return NULL;
	reclaim_say(RECLAIM_NOTE,
		    "the emulator closed the port %d ms ago and the program is "
		    "still busy: ending it",
		    watcher->hangup_ms);
	exit(0);
}

static int start_watcher(struct watcher *watcher)
{
	sigset_t all, mask;
	int error;

	watcher->stop = eventfd(0, EFD_CLOEXEC);
	if (watcher->stop < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &mask);
	error = pthread_create(&watcher->thread, NULL, watch, watcher);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	watcher->process = error ? 0 : getpid();
	if (!error)
		return 0;
	close(watcher->stop);
	errno = error;
	return -1;
}

static bool is_running(const struct watcher *watcher)
{
	return watcher->process == getpid();
}

/* It may be the watcher itself that ends the process, and the port. */
static bool is_watcher(const struct watcher *watcher)
{
	return is_running(watcher) &&
	       pthread_equal(watcher->thread, pthread_self());
}

static void stop_watcher(struct watcher *watcher)
{
	if (!is_running(watcher) || is_watcher(watcher))
		return;
	eventfd_write(watcher->stop, 1);
	pthread_join(watcher->thread, NULL);
	close(watcher->stop);
	watcher->process = 0;
}

/* ---- output ---- */

/* Somebody else may have made it non-blocking. */
static void wait_writable(int fd)
{
	struct pollfd out = {.fd = fd, .events = POLLOUT};

	poll(&out, 1, -1);
}

static int write_all(int fd, struct iovec *iov, int count)
{
	ssize_t n;

	while ((iov = pipes_advance(iov, &count, 0)), count) {
		n = writev(fd, iov, count);
		if (n >= 0)
			iov = pipes_advance(iov, &count, (size_t)n);
		else if (errno == EAGAIN)
			wait_writable(fd);
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

/* What is queued and then `iov`; the first element is kept for the queue. */
static int send_all(struct reclaim_port *port, struct iovec *iov, int count)
{
	if (port->broken) {
		errno = port->broken;
		return -1;
	}
	iov[0] = (struct iovec){port->queue, port->queued};
	port->queued = 0;
	if (write_all(port->out, iov, count) == 0)
		return 0;
	port->broken = errno;
	return -1;
}

int reclaim_port_flush(struct reclaim_port *port)
{
	struct iovec iov[1];

	return send_all(port, iov, 1);
}

int reclaim_port_write(struct reclaim_port *port, const void *data, size_t len)
{
	bool line = port->input.decoder.framing == RECLAIM_LINES;
	unsigned char prefix[4];
	size_t total;
	int size;

	size = reclaim_encode(port->input.decoder.framing, len, prefix);
	if (size < 0 || len > port->input.decoder.max_frame) {
		errno = EMSGSIZE;
		return -1;
	}
	total = (size_t)size + len + line;
	if (port->queued + total > port->max_queue) {
		struct iovec iov[] = {
			{NULL, 0},
			{prefix, (size_t)size},
			{(void *)data, len},
			{(void *)"\n", line},
		};

		return send_all(port, iov, 4);
	}
	memcpy(port->queue + port->queued, prefix, (size_t)size);
	port->queued += (size_t)size;
	if (len)
		memcpy(port->queue + port->queued, data, len);
	port->queued += len;
	if (line)
		port->queue[port->queued++] = '\n';
	return 0;
}

/* ---- input ---- */

static void wait_readable(int fd)
{
	struct pollfd in = {.fd = fd, .events = POLLIN};

	poll(&in, 1, -1);
}

/* What is there now, by a descriptor that would block: -1 EAGAIN if nothing. */
static ssize_t read_now(int fd, char *at, size_t len)
{
	struct iovec iov = {at, len};
	struct pollfd in = {.fd = fd, .events = POLLIN};
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n >= 0 || errno == EAGAIN)
		return n;
	/* Linux knows of pipes what it may do so since 6.4. */
	if (poll(&in, 1, 0) > 0)
		return read(fd, at, len);
	errno = EAGAIN;
	return -1;
}

/* -1 with errno EAGAIN where it is time to sleep. */
static ssize_t look(struct reclaim_port *port, char *at, size_t len)
{
	ssize_t n;

	errno = EAGAIN;
	if (!spin_begin(&port->spin))
		return -1;
	do {
		n = read_now(port->in, at, len);
		if (n < 0 && errno == EAGAIN)
			continue;
		spin_hit(&port->spin);
		return n;
	} while (spin_on(&port->spin));
	errno = EAGAIN;
	return -1;
}

/* Read once, at least a byte unless at the end. */
static int fill(struct reclaim_port *port)
{
	size_t len;
	ssize_t n;
	char *at;

	if (input_room(&port->input, &at, &len) < 0)
		return -1;
	n = look(port, at, len);
	if (n < 0 && errno == EAGAIN) {
		spin_sleep(&port->spin, port->frames);
		port->frames = 0;
		errno = EAGAIN;
	}
	while (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		n = read(port->in, at, len);
		if (n < 0 && errno == EAGAIN)
			wait_readable(port->in);
	}
	if (n < 0)
		return -1;
	input_add(&port->input, (size_t)n);
	port->at_end = n == 0;
	return 0;
}

static ssize_t end_input(struct reclaim_port *port, int why)
{
	port->ended = true;
	port->why = why;
	atomic_store(&port->watcher.ended, true);
	if (why)
		input_complain(&port->input, why);
	errno = why;
	return -1;
}

/* At the end of input: a last line needs no newline, any other frame is cut. */
static int finish_input(struct reclaim_port *port, struct reclaim_frame *frame)
{
	if (!input_held(&port->input))
		return 0;
	if (port->input.decoder.framing != RECLAIM_LINES) {
		errno = EBADMSG;
		return -1;
	}
	input_rest(&port->input, frame);
	return 1;
}

/* 1, or 0 at the end, or -1. */
static int next_frame(struct reclaim_port *port, struct reclaim_frame *frame)
{
	int found;

	while ((found = input_next(&port->input, frame)) == 0) {
		if (port->at_end)
			return finish_input(port, frame);
		/* A reader that went away is the writer's to find out. */
		if (port->queued)
			reclaim_port_flush(port);
		if (fill(port) < 0)
			return -1;
	}
	return found;
}

ssize_t reclaim_port_read(struct reclaim_port *port, const void **frame)
{
	struct reclaim_frame found;
	int result;

	if (port->ended) {
		errno = port->why;
		return -1;
	}
	result = next_frame(port, &found);
	if (result <= 0)
		return end_input(port, result < 0 ? errno : 0);
	port->frames++;
	*frame = found.data;
	return (ssize_t)found.len;
}

/* ---- the end of a port ---- */

/*
 * A task that ends must not wait for ever on an emulator that does not read.
 * A pipe that polls writable takes PIPE_BUF bytes without blocking.
 */
#define LAST_WRITE_MS 2000

static void flush_last(struct reclaim_port *port)
{
	struct pollfd out = {.fd = port->out, .events = POLLOUT};
	size_t sent = 0;
	ssize_t n;

	while (!port->broken && sent < port->queued) {
		size_t piece = port->queued - sent;

		if (poll(&out, 1, LAST_WRITE_MS) <= 0)
			return;
		n = write(port->out, port->queue + sent,
			  piece < PIPE_BUF ? piece : PIPE_BUF);
		if (n < 0)
			return;
		sent += (size_t)n;
	}
}

/* The descriptors and the memory are the task's, and go with it. */
static void release_port(void *id)
{
	struct reclaim_port *port = id;

	if (is_watcher(&port->watcher))
		return;
	stop_watcher(&port->watcher);
	flush_last(port);
}

static int describe_port(const void *id, char *buf, size_t len)
{
	const struct reclaim_port *port = id;

	return snprintf(buf, len, "in %d out %d", port->in, port->out);
}

static const struct reclaim_kind port_kind = {
	.name = "port",
	.release = release_port,
	.describe = describe_port,
	.fork = RECLAIM_FORK_DROP,
};

static void free_port(struct reclaim_port *port)
{
	save_close(port->in);
	if (port->out != port->in)
		save_close(port->out);
	save_free(port->queue);
	input_end(&port->input);
	save_free(port);
}

int reclaim_port_close(struct reclaim_port *port)
{
	bool clean = port->ended ? port->why == 0 : true;
	bool sent = reclaim_port_flush(port) == 0;

	spin_end(&port->spin);
	if (!sent && port->broken == EPIPE && port->ended)
		sent = true;
	port->queued = 0;
	reclaim_undefer(port->token, 1);
	free_port(port);
	return clean && sent ? 0 : 1;
}

/* ---- opening ---- */

static bool are_valid(const struct reclaim_port_opts *opts)
{
	return !(opts->flags & ~(RECLAIM_PORT_NOUSE_STDIO |
				 RECLAIM_PORT_NO_WATCH | RECLAIM_PORT_FDS)) &&
	       opts->hangup_ms >= 0 && opts->max_queue <= INT_MAX;
}

/* A program that runs as a task has its own; its end is its host's to see. */
static bool is_task_s(const struct reclaim_port_opts *opts)
{
	return streams.are_set && !(opts->flags & RECLAIM_PORT_FDS);
}

static void choose_fds(const struct reclaim_port_opts *opts, int *in, int *out)
{
	bool stdio = !(opts->flags & RECLAIM_PORT_NOUSE_STDIO);

	*in = stdio ? 0 : 3;
	*out = stdio ? 1 : 4;
	if (opts->flags & RECLAIM_PORT_FDS) {
		*in = opts->in_fd;
		*out = opts->out_fd;
	} else if (is_task_s(opts)) {
		*in = streams.in;
		*out = streams.out;
	}
}

static bool is_watched(const struct reclaim_port_opts *opts)
{
	return !(opts->flags & RECLAIM_PORT_NO_WATCH) && !is_task_s(opts);
}

/* Duplicates above fd 2 that no program inherits. */
static int duplicate(struct reclaim_port *port, int in, int out)
{
	port->in = save_fcntl(in, F_DUPFD_CLOEXEC, 3);
	if (port->in >= 0)
		port->out = save_fcntl(out, F_DUPFD_CLOEXEC, 3);
	if (port->in >= 0 && port->out >= 0)
		return 0;
	if (errno == EBADF)
		reclaim_say(RECLAIM_ERROR,
			    "fd %d is not open: a port program is started by "
			    "open_port, or with its input and output as fds "
			    "%d and %d",
			    port->in < 0 ? in : out, in, out);
	return -1;
}

static struct reclaim_port *make_port(const struct reclaim_port_opts *opts)
{
	struct reclaim_port *port = save_calloc(1, sizeof(*port));
	enum reclaim_framing framing =
		opts->framing ? (enum reclaim_framing)opts->framing
			      : RECLAIM_PACKET_4;

	if (!port)
		return NULL;
	port->in = port->out = -1;
	port->max_queue = opts->max_queue ? opts->max_queue : QUEUE_SIZE;
	port->watcher.hangup_ms = opts->hangup_ms ? opts->hangup_ms : 5000;
	spin_init(&port->spin, 0, spin_processors());
	if (input_init(&port->input, framing, opts->max_frame) < 0)
		goto failed;
	port->queue = save_malloc(port->max_queue);
	if (!port->queue)
		goto failed_queue;
	return port;
failed_queue:
	input_end(&port->input);
failed:
	save_free(port);
	return NULL;
}

static struct reclaim_port *open_port(const struct reclaim_port_opts *opts)
{
	struct reclaim_port *port;
	int in, out, null, saved;

	if (!are_valid(opts)) {
		errno = EINVAL;
		return NULL;
	}
	if (is_task_s(opts) && streams.are_taken) {
		errno = EBADF;
		return NULL;
	}
	choose_fds(opts, &in, &out);
	port = make_port(opts);
	if (!port)
		return NULL;
	null = -1;
	if (duplicate(port, in, out) < 0)
		goto failed;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		goto failed;
	port->watcher.in = port->in;
	if (is_watched(opts) && start_watcher(&port->watcher) < 0)
		goto failed;
	if (reclaim_track(&port_kind, port, &port->token) < 0)
		goto failed;
	pipes_enlarge(port->in);
	pipes_enlarge(port->out);
	pipes_leave(null, in, out);
	if (is_task_s(opts))
		streams.are_taken = true;
	pipes_catch_sigpipe();
	return port;
failed:
	saved = errno;
	stop_watcher(&port->watcher);
	if (null >= 0)
		close(null);
	free_port(port);
	errno = saved;
	return NULL;
}

/* Of what is opened on the way not all is the task's. */
struct reclaim_port *reclaim_port_open(const struct reclaim_port_opts *opts)
{
	static const struct reclaim_port_opts defaults;
	struct reclaim_port *port;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	port = open_port(opts ? opts : &defaults);
	pthread_setcancelstate(cancel, NULL);
	return port;
}
