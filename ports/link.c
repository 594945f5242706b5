/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/link_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ports/input_private.h"
#include "ports/output_private.h"
#include "ports/pipes_private.h"
#include "ports/spin_private.h"
#include "reclaim.h"

#define LOW  ((size_t)256 << 10)
#define HIGH ((size_t)1 << 20)

/* For so long the loop's other handles may have to wait. */
#define TURN_NS 1000000

/* Looks at what else there is after so many, which take 16 us: not while an
 * answer that comes at once is on its way. */
#define LOOKS_BETWEEN 64

/* The emulator closes its two pipes one after the other. */
#define OTHER_PIPE_MS 10

/* A descriptor, and what the loop watches it for. */
struct end {
	uv_poll_t poll;
	int fd;
	bool is_socket;
	int watched;
};

struct link {
	uv_loop_t *loop;
	const struct link_events *events;
	void *context;
	struct end in, out;
	uv_prepare_t later; /* what was put in no burst is seen to */
	uv_idle_t again;    /* the turn was over, the burst is not */
	unsigned handles;   /* of the loop */
	struct input input;
	struct output output;
	size_t max_frame, low, high;
	struct spin spin;
	bool is_busy;	/* in a turn, which sees to everything itself */
	bool is_full;	/* not read, from `high` down to `low` */
	bool is_held;	/* nor while somebody says so */
	bool hung_up;	/* what the pipe holds is all that comes */
	bool told;	/* that it has, while it was held */
	bool has_ended; /* and it was told */
	bool is_closed;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- what the loop watches ---- */

static void in_is_ready(uv_poll_t *poll, int status, int events);
static void out_is_ready(uv_poll_t *poll, int status, int events);

static void watch(struct end *end, int events, uv_poll_cb ready)
{
	if (end->watched == events)
		return;
	end->watched = events;
	if (events)
		uv_poll_start(&end->poll, events, ready);
	else
		uv_poll_stop(&end->poll);
}

/* After a hang-up all is read: there is but one pipe of it. */
static bool is_read(const struct link *link)
{
	return !link->has_ended && !link->is_closed && !link->is_held &&
	       (!link->is_full || link->hung_up);
}

/* That it has hung up would be told again and again. */
static int wanted_of_in(const struct link *link)
{
	if (is_read(link))
		return UV_READABLE;
	return link->has_ended || link->hung_up ? 0 : UV_DISCONNECT;
}

static void watch_both(struct link *link)
{
	watch(&link->in, wanted_of_in(link), in_is_ready);
	watch(&link->out, link->output.blocked ? UV_WRITABLE : 0, out_is_ready);
}

/* ---- the end ---- */

static void complain(const struct link *link, int why)
{
	if (why == link->output.broken)
		reclaim_say(RECLAIM_ERROR, "writing the port failed: %s",
			    strerror(why));
	else
		input_complain(&link->input, why);
}

static void end_link(struct link *link, int why)
{
	if (link->has_ended || link->is_closed)
		return;
	link->has_ended = true;
	if (why)
		complain(link, why);
	link->events->ended(link->context, why);
}

static bool hangs_up(const struct link *link)
{
	struct pollfd in = {.fd = link->in.fd, .events = POLLRDHUP};

	return poll(&in, 1, OTHER_PIPE_MS) > 0;
}

/* An emulator that closed the port reads no answers: that is no failure. */
static void see_to_broken(struct link *link)
{
	if (!link->output.broken || link->hung_up || link->has_ended)
		return;
	if (link->output.broken == EPIPE && hangs_up(link))
		link->hung_up = true;
	else
		end_link(link, link->output.broken);
}

/* ---- reading ---- */

static ssize_t read_some(const struct end *end, char *at, size_t len)
{
	ssize_t n;

	do
		n = end->is_socket ? recv(end->fd, at, len, MSG_DONTWAIT)
				   : read(end->fd, at, len);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Whether there is more at once: unknown, nothing came, some or all of it. */
enum more { NOTHING, SOME, FULL };

static enum more fill(struct link *link)
{
	size_t len;
	ssize_t n;
	char *at;

	if (input_room(&link->input, &at, &len) < 0) {
		end_link(link, errno);
		return SOME;
	}
	n = read_some(&link->in, at, len);
	if (n < 0 && errno == EAGAIN)
		return NOTHING;
	if (n > 0)
		input_add(&link->input, (size_t)n);
	else if (n == 0)
		end_link(link, input_held(&link->input) ? EBADMSG : 0);
	else
		end_link(link, errno);
	return n == (ssize_t)len ? FULL : SOME;
}

static void flush(struct link *link)
{
	if (!link->output.blocked)
		output_write(&link->output);
	see_to_broken(link);
}

/* Stop reading above `high`, unless it can be written. */
static void look_whether_full(struct link *link)
{
	if (link->is_full || output_waiting(&link->output) <= link->high)
		return;
	flush(link);
	link->is_full = output_waiting(&link->output) > link->high;
}

/* All frames that are there; how many. */
static unsigned hand_over(struct link *link)
{
	struct reclaim_frame frame;
	unsigned many = 0;
	int found = 1;

	while (is_read(link) &&
	       (found = input_next(&link->input, &frame)) > 0) {
		many++;
		link->events->frame(link->context, frame.data, frame.len);
		look_whether_full(link);
	}
	if (found < 0)
		end_link(link, errno);
	return many;
}

/* ---- a turn: one burst, or a millisecond of it ---- */

static bool is_wanted_elsewhere(const struct link *link)
{
	struct pollfd loop = {.fd = uv_backend_fd(link->loop),
			      .events = POLLIN};

	return poll(&loop, 1, 0) > 0;
}

/* What comes while it looks.  NOTHING: it is the loop's turn. */
static enum more look(struct link *link)
{
	enum more more;
	unsigned tries = 0;

	if (!spin_begin(&link->spin))
		return NOTHING;
	do {
		more = fill(link);
		if (more != NOTHING) {
			spin_hit(&link->spin);
			return more;
		}
		if (link->output.blocked)
			output_write(&link->output);
		if (++tries % LOOKS_BETWEEN == 0 && is_wanted_elsewhere(link))
			return fill(link);
	} while (spin_on(&link->spin));
	return NOTHING;
}

static void go_on_later(uv_idle_t *idle);

static void answer(struct link *link)
{
	if (link->events->idle && !link->is_closed)
		link->events->idle(link->context);
	if (link->is_closed)
		return;
	link->output.blocked = false; /* some time has passed */
	flush(link);
}

/* Hand over what there is, and write what that was answered with. */
static unsigned pass_on(struct link *link)
{
	unsigned many = hand_over(link);

	if (many)
		answer(link);
	return many;
}

/* A reading of the clock is a hundredth of a message: not where none looks. */
static bool is_over(const struct link *link, enum more more, uint64_t *until)
{
	uint64_t now;

	if (!link->spin.ns && more != FULL)
		return false;
	now = now_ns();
	if (!*until)
		*until = now + TURN_NS;
	return now >= *until;
}

/* Frames that were left when it was full come before what is read. */
static void take_turn(struct link *link)
{
	unsigned many = pass_on(link);
	uint64_t until = 0;
	enum more more;

	if (!is_read(link))
		return;
	for (more = fill(link); more != NOTHING;
	     more = more == FULL ? fill(link) : look(link)) {
		many += pass_on(link);
		if (!is_read(link))
			return;
		if (is_over(link, more, &until)) {
			uv_idle_start(&link->again, go_on_later);
			return;
		}
	}
	spin_sleep(&link->spin, many);
}

static bool has_come_down(const struct link *link)
{
	return link->is_full && output_waiting(&link->output) <= link->low;
}

/* Whether it is to be read again. */
static bool come_down(struct link *link)
{
	if (!has_come_down(link))
		return false;
	link->is_full = false;
	if (link->events->drained && !link->is_closed)
		link->events->drained(link->context);
	return true;
}

static void tell_of_hang_up(struct link *link)
{
	if (!link->hung_up || !link->is_held || link->told || link->has_ended ||
	    output_waiting(&link->output))
		return;
	link->told = true;
	if (link->events->hung_up)
		link->events->hung_up(link->context);
}

/* Whatever the loop calls ends up here. */
static void turn(struct link *link, bool readable)
{
	link->is_busy = true;
	flush(link);
	if (come_down(link) || readable)
		take_turn(link);
	if (!link->is_closed) {
		flush(link);
		look_whether_full(link);
	}
	if (!link->is_closed)
		tell_of_hang_up(link);
	if (!link->is_closed)
		watch_both(link);
	/* Full and written all the same: nothing else would tell of it. */
	if (!link->is_closed && has_come_down(link))
		uv_idle_start(&link->again, go_on_later);
	link->is_busy = false;
}

static void in_is_ready(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;

	if (status < 0)
		link->in.watched = 0; /* and the loop has stopped it */
	if (status < 0 || events & UV_DISCONNECT)
		link->hung_up = true;
	turn(link, true);
}

static void out_is_ready(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;

	(void)events;
	if (status < 0)
		link->out.watched = 0;
	link->output.blocked = false;
	turn(link, false);
}

static void go_on_later(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	turn(idle->data, true);
}

/* What was put while no input came. */
static void see_to_put(uv_prepare_t *prepare)
{
	uv_prepare_stop(prepare);
	turn(prepare->data, false);
}

/* ---- what others call ---- */

static void see_to_it_later(struct link *link)
{
	if (!link->is_busy && !link->is_closed)
		uv_prepare_start(&link->later, see_to_put);
}

int link_put(struct link *link, const struct iovec *pieces, int count)
{
	unsigned char prefix[4];
	size_t total = 0;
	int i, result;

	if (link->has_ended || link->is_closed || link->output.broken) {
		errno = EPIPE;
		return -1;
	}
	for (i = 0; i < count; i++) {
		if (pieces[i].iov_len > link->max_frame - total) {
			errno = EMSGSIZE;
			return -1;
		}
		total += pieces[i].iov_len;
	}
	reclaim_encode(RECLAIM_PACKET_4, total, prefix);
	result = output_put(&link->output, prefix, pieces, count);
	see_to_it_later(link);
	if (result < 0 && link->output.broken)
		errno = EPIPE;
	return result;
}

size_t link_queued(const struct link *link)
{
	return output_waiting(&link->output);
}

bool link_is_full(const struct link *link)
{
	return output_waiting(&link->output) > link->high;
}

int link_fd(const struct link *link)
{
	return link->in.fd;
}

void link_hold(struct link *link, bool on)
{
	if (link->is_held == on || link->is_closed)
		return;
	link->is_held = on;
	if (!on)
		uv_idle_start(&link->again, go_on_later);
}

int link_flush(struct link *link, int timeout_ms)
{
	uint64_t until = now_ns() + (uint64_t)timeout_ms * 1000000u, now;
	struct pollfd out = {.fd = link->out.fd, .events = POLLOUT};

	see_to_it_later(link);
	while (output_write(&link->output) == 0) {
		if (!output_waiting(&link->output))
			return 0;
		now = now_ns();
		if (now >= until) {
			errno = ETIMEDOUT;
			return -1;
		}
		poll(&out, 1, (int)((until - now + 999999) / 1000000));
	}
	return -1;
}

/* ---- opening and closing ---- */

static void free_link(struct link *link)
{
	if (link->in.fd >= 0)
		save_close(link->in.fd);
	if (link->out.fd >= 0)
		save_close(link->out.fd);
	spin_end(&link->spin);
	input_end(&link->input);
	output_end(&link->output);
	save_free(link);
}

static void handle_has_gone(uv_handle_t *handle)
{
	struct link *link = handle->data;

	if (--link->handles == 0)
		free_link(link);
}

static void close_handle(struct link *link, uv_handle_t *handle)
{
	if (handle->data == link)
		uv_close(handle, handle_has_gone);
}

void link_close(struct link *link)
{
	if (link->is_closed)
		return;
	link->is_closed = true;
	if (!link->handles) {
		free_link(link);
		return;
	}
	close_handle(link, (uv_handle_t *)&link->in.poll);
	close_handle(link, (uv_handle_t *)&link->out.poll);
	close_handle(link, (uv_handle_t *)&link->later);
	close_handle(link, (uv_handle_t *)&link->again);
}

static struct link *make_link(uv_loop_t *loop, const struct link_opts *opts)
{
	struct link *link = save_calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->loop = loop;
	link->events = opts->events;
	link->context = opts->context;
	link->low = opts->low ? opts->low : LOW;
	link->high = opts->high ? opts->high : HIGH;
	link->in.fd = link->out.fd = -1;
	spin_init(&link->spin, opts->spin_us, spin_processors());
	return link;
}

/* libuv makes what it polls non-blocking: a socket is others' as well. */
static int open_end(struct link *link, struct end *end, int fd, int flags)
{
	int result, before;

	end->fd = pipes_open(fd, flags, &end->is_socket);
	if (end->fd < 0)
		return -1;
	pipes_enlarge(end->fd);
	before = fcntl(end->fd, F_GETFL);
	result = uv_poll_init(link->loop, &end->poll, end->fd);
	if (end->is_socket)
		fcntl(end->fd, F_SETFL, before);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	end->poll.data = link;
	link->handles++;
	return 0;
}

static void add_handles(struct link *link)
{
	uv_prepare_init(link->loop, &link->later);
	uv_idle_init(link->loop, &link->again);
	link->later.data = link->again.data = link;
	link->handles += 2;
}

struct link *link_open(uv_loop_t *loop, const struct link_opts *opts)
{
	struct link *link = make_link(loop, opts);
	int error;

	if (!link)
		return NULL;
	if (input_init(&link->input, RECLAIM_PACKET_4, opts->max_frame) < 0 ||
	    open_end(link, &link->in, opts->in, O_RDONLY) < 0 ||
	    open_end(link, &link->out, opts->out, O_WRONLY) < 0 ||
	    output_init(&link->output, link->out.fd, link->out.is_socket) < 0) {
		error = errno;
		link_close(link);
		errno = error;
		return NULL;
	}
	link->max_frame = link->input.decoder.max_frame;
	add_handles(link);
	pipes_catch_sigpipe();
	watch_both(link);
	return link;
}
