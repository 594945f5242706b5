/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - the program: its loop, the frames that come, the beginning and the end
 */
#include "config.h"

#include "ports/host_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ports/call_private.h"
#include "ports/client_private.h"
#include "ports/clock_private.h"
#include "ports/job_private.h"
#include "ports/log_private.h"
#include "ports/monitor_private.h"
#include "ports/outlet_private.h"
#include "ports/pipes_private.h"
#include "ports/statistics_private.h"
#include "ports/watch_private.h"
#include "ports/watchdog_private.h"
#include "reclaim.h"

/* What jobs have to end in, and output to be read, after the end of input. */
#define LAST_MS 2000

/* A frame that is longer may fail, and be tried again or replaced. */
#define SMALL 4096

/* The only outlet of a plain port. */
#define PLAIN_ID 1

struct host host = {.posting = PTHREAD_MUTEX_INITIALIZER};

/* ---- frames to the other end ---- */

static void fail(void)
{
	host.ended = true;
	host.status = 1;
	uv_stop(&host.loop);
}

/*
 * A frame that has to be sent, and cannot be: the other end is to know.  What
 * is said then is no frame of the log any more.
 */
static void give_up(void)
{
	fail();
	reclaim_say(RECLAIM_ERROR,
		    "no memory is left to tell the emulator anything: the "
		    "program ends");
}

int host_send(enum wire_type type, uint64_t first, uint64_t second,
	      uint64_t third, const void *rest, size_t len)
{
	unsigned char head[WIRE_HEAD_MAX];
	struct iovec frame[] = {
		{head, wire_head(head, type, first, second, third)},
		{(void *)rest, len},
	};

	if (host.ended || host.options->plain)
		return 0;
	if (len > host.max_frame - frame[0].iov_len) {
		errno = EMSGSIZE;
		return -1;
	}
	if (link_put(host.link, frame, 2) == 0)
		return 0;
	if (errno == ENOMEM && len <= SMALL)
		give_up();
	return -1;
}

int host_reply(uint64_t call, enum wire_status status, const void *data,
	       size_t len)
{
	return host_send(WIRE_REPLY, call, status, 0, data, len);
}

int host_reply_error(uint64_t call, const char *reason)
{
	unsigned char text[RECLAIM_ATOM_SIZE + 8];
	struct reclaim_writer term;

	reclaim_writer_init(&term, text, sizeof(text));
	reclaim_put_atom(&term, reason);
	return host_reply(call, WIRE_REFUSED, term.data, term.len);
}

static void send_error(enum wire_error code, const struct wire_frame *frame,
		       const char *text)
{
	host_send(WIRE_ERROR, code, frame->type, frame->field[0], text,
		  strlen(text));
}

/* ---- settling ---- */

/* Of outlets; nobody else sends to the root in a host. */
static void hear_of_ends(void)
{
	struct reclaim_msg msg;

	while (reclaim_receive(&msg, 0) > 0)
		if (msg.type == RECLAIM_MSG_DOWN)
			outlet_task_ended(msg.ref);
}

static void free_finished(void)
{
	struct reclaim_outlet *outlet;

	while ((outlet = SLIST_FIRST(&host.finished))) {
		SLIST_REMOVE_HEAD(&host.finished, to_free);
		if (outlet->touched)
			TAILQ_REMOVE(&host.touched, outlet, to_settle);
		free(outlet->registered);
		free(outlet);
	}
}

/* A plain port has no credit: its pipe is what makes the emulator wait. */
static void hold_plain(void)
{
	const struct reclaim_outlet *outlet = outlet_find(PLAIN_ID);

	/* With output left at the end of input that would not be sent. */
	link_hold(host.link, outlet && (outlet->busy || outlet->is_waiting));
}

void host_settle(void)
{
	struct reclaim_outlet *outlet;
	bool ended = false;

	do {
		while ((outlet = TAILQ_FIRST(&host.touched))) {
			TAILQ_REMOVE(&host.touched, outlet, to_settle);
			outlet->touched = false;
			outlet_settle(outlet);
			ended |= outlet->stage >= OUTLET_STOPPED;
		}
		if (ended)
			hear_of_ends();
		ended = false;
	} while (!TAILQ_EMPTY(&host.touched));
	free_finished();
	if (host.options->plain)
		hold_plain();
}

/* ---- names ---- */

static void forget_name(struct reclaim_outlet *outlet)
{
	if (outlet->registered)
		reclaim_unregister(outlet->registered);
	free(outlet->registered);
	outlet->registered = NULL;
}

static int take_name(struct reclaim_outlet *outlet, const char *name,
		     size_t len)
{
	char *copy;

	if (!len) {
		forget_name(outlet);
		return 0;
	}
	if (memchr(name, '\0', len)) {
		errno = EINVAL;
		return -1;
	}
	copy = strndup(name, len);
	if (!copy || reclaim_register(copy, outlet->task) < 0) {
		free(copy);
		return -1;
	}
	outlet->registered = copy;
	return 0;
}

static void register_outlet(struct reclaim_outlet *outlet,
			    const struct wire_frame *frame)
{
	static const unsigned char ok[] = {131, 119, 2, 'o', 'k'};
	uint64_t call = frame->field[1];

	if (!outlet || !outlet_is_live(outlet))
		host_reply_error(call, "closed");
	else if (take_name(outlet, (const char *)frame->rest, frame->len) < 0)
		host_reply_error(call, reclaim_errno_name(errno));
	else
		host_reply(call, WIRE_OK, ok, sizeof(ok));
}

/* ---- frames from the other end ---- */

static bool was_given_out(uint64_t id)
{
	return id && id <= host.last_outlet;
}

/* Of frames that nobody waits for an answer to. */
static void take_for_outlet(struct reclaim_outlet *outlet,
			    const struct wire_frame *frame)
{
	switch (frame->type) {
	case WIRE_DATA:
		outlet_receive(outlet, frame->rest, frame->len);
		break;
	case WIRE_CREDIT:
		outlet_credit(outlet, frame->field[1]);
		break;
	case WIRE_CLOSE:
		outlet_close(outlet, "normal");
		break;
	default:
		if (frame->field[1])
			client_give(outlet, frame);
		else
			send_error(WIRE_NUMBER, frame, "0 is no client");
	}
}

static void take_open(const struct wire_frame *frame)
{
	if (frame->field[0] <= host.last_outlet || !frame->field[1])
		send_error(WIRE_NUMBER, frame,
			   "an outlet's number is above all before it");
	else
		outlet_open(frame);
}

static bool may_be_asked(uint64_t call, const struct wire_frame *frame)
{
	if (call && !call_find(call))
		return true;
	send_error(WIRE_NUMBER, frame, "that call's number is in use");
	return false;
}

static void take_request(const struct wire_frame *frame)
{
	struct reclaim_outlet *outlet = outlet_find(frame->field[0]);
	uint64_t call = frame->field[1];

	if (!may_be_asked(call, frame))
		return;
	if (!outlet && !was_given_out(frame->field[0]))
		host_reply_error(call, "noproc");
	else if (frame->type == WIRE_CALL)
		call_request(outlet, frame);
	else if (frame->type == WIRE_CONTROL)
		call_control(outlet, frame);
	else
		register_outlet(outlet, frame);
}

static void take_data(const struct wire_frame *frame)
{
	struct reclaim_outlet *outlet = outlet_find(frame->field[0]);

	if (outlet && outlet_is_live(outlet))
		take_for_outlet(outlet, frame);
	else if (!outlet && !was_given_out(frame->field[0]))
		send_error(WIRE_NUMBER, frame, "no such outlet was opened");
}

static void take_client_down(const struct wire_frame *frame)
{
	struct client *client = client_find(frame->field[0]);

	if (client)
		client_end(client, "client_down");
}

static void take(const struct wire_frame *frame)
{
	switch (frame->type) {
	case WIRE_OPEN:
		take_open(frame);
		break;
	case WIRE_DATA:
	case WIRE_CREDIT:
	case WIRE_CLOSE:
	case WIRE_GIVE:
		take_data(frame);
		break;
	case WIRE_CALL:
	case WIRE_CONTROL:
	case WIRE_REGISTER:
		take_request(frame);
		break;
	case WIRE_CANCEL:
		call_cancel(frame->field[0]);
		break;
	case WIRE_CLIENT_DOWN:
		take_client_down(frame);
		break;
	case WIRE_PROCESS_DOWN:
		monitor_process_down(frame->field[0]);
		break;
	case WIRE_STATISTICS:
		if (may_be_asked(frame->field[0], frame))
			statistics_reply(frame);
		break;
	default:
		send_error(WIRE_UNKNOWN, frame, "that is for a host to say");
	}
}

/* ---- hello ---- */

static void write_hello(struct reclaim_writer *term)
{
	const struct reclaim_driver *driver;
	uint32_t count = 0;

	while (drivers_nth(host.drivers, count))
		count++;
	reclaim_put_map(term, 3);
	reclaim_put_atom(term, "drivers");
	reclaim_put_list(term, count);
	for (count = 0; (driver = drivers_nth(host.drivers, count)); count++)
		reclaim_put_atom(term, driver->name);
	reclaim_put_end(term);
	reclaim_put_atom(term, "version");
	reclaim_put_binary(term, PACKAGE_VERSION, strlen(PACKAGE_VERSION));
	reclaim_put_atom(term, "pid");
	reclaim_put_int64(term, getpid());
}

static void answer_hello(void)
{
	unsigned char head[WIRE_HELLO_SIZE];
	struct reclaim_writer term;
	struct iovec frame[2];

	reclaim_writer_init(&term, NULL, 0);
	write_hello(&term);
	frame[0].iov_base = head;
	frame[0].iov_len = wire_hello(head, host.options->max_frame);
	frame[1].iov_base = term.data;
	frame[1].iov_len = term.len;
	if (reclaim_writer_done(&term) < 0 ||
	    (link_put(host.link, frame, 2) < 0 && errno != EPIPE)) {
		fail();
		reclaim_say(RECLAIM_ERROR, "hello cannot be answered: %s",
			    strerror(errno));
	}
	reclaim_writer_end(&term);
}

/* The program cannot go on; why is said at both ends. */
static void refuse(enum wire_error code, const struct wire_frame *frame,
		   const char *why)
{
	reclaim_say(RECLAIM_ERROR, "%s", why);
	send_error(code, frame, why);
	fail();
}

static void greet(const unsigned char *body, size_t len)
{
	struct wire_frame frame = {.type = len ? body[0] : 0};
	struct wire_hello hello;

	host.max_frame = host.options->max_frame;
	if (wire_read_hello(body, len, &hello) != 0) {
		refuse(WIRE_NO_HELLO, &frame,
		       "the port's first frame is no hello: this program is "
		       "for reclaim:start_host, or plain frames with --plain");
	} else if (hello.version != WIRE_VERSION) {
		refuse(WIRE_NO_VERSION, &frame,
		       "the emulator's side speaks a version of the wire that "
		       "this program does not");
	} else if (hello.max_frame && hello.max_frame < WIRE_LEAST_FRAME) {
		refuse(WIRE_MALFORMED, &frame,
		       "the emulator's side takes no frames of 1,024 bytes: "
		       "it could not be answered");
	} else {
		if (hello.max_frame && hello.max_frame < host.max_frame)
			host.max_frame = hello.max_frame;
		host.greeted = true;
		answer_hello();
	}
}

/* ---- events of the link ---- */

static void on_frame(void *unused, const unsigned char *body, size_t len)
{
	struct wire_frame frame;

	(void)unused;
	if (host.ended)
		return;
	if (!host.greeted) {
		greet(body, len);
		return;
	}
	switch (wire_read(body, len, &frame)) {
	case 0:
		take(&frame);
		break;
	case WIRE_UNKNOWN:
		send_error(WIRE_UNKNOWN, &frame, "there is no such frame");
		break;
	default:
		send_error(WIRE_MALFORMED, &frame, "the frame is too short");
	}
	host_settle();
}

/* The link has room again: each that waits for it has a turn. */
static void on_drained(void *unused)
{
	struct reclaim_outlet *outlet;
	size_t turns = 0;

	(void)unused;
	TAILQ_FOREACH (outlet, &host.waiting, to_send)
		turns++;
	while (turns-- && (outlet = TAILQ_FIRST(&host.waiting)) &&
	       !link_is_full(host.link)) {
		TAILQ_REMOVE(&host.waiting, outlet, to_send);
		outlet->is_waiting = false;
		outlet_touch(outlet);
		outlet_send_waiting(outlet);
	}
	host_settle();
}

static void end_loop(int status)
{
	host.ended = true;
	if (status)
		host.status = status;
	uv_stop(&host.loop);
}

static void on_ended(void *unused, int why)
{
	(void)unused;
	end_loop(why ? 1 : 0);
}

static const struct link_events events = {
	.frame = on_frame,
	.drained = on_drained,
	.ended = on_ended,
};

/* ---- a plain port: one outlet, whose data are the frames ---- */

static void on_plain_frame(void *unused, const unsigned char *body, size_t len)
{
	struct reclaim_outlet *outlet = outlet_find(PLAIN_ID);

	(void)unused;
	if (outlet)
		outlet_receive(outlet, body, len);
	host_settle();
}

static void on_still_busy(struct clock *clock)
{
	log_say(RECLAIM_LOG_WARNING, clock->outlet,
		"the emulator closed the port %d ms ago and driver %s is still "
		"busy: ending the program",
		HANGUP_MS, clock->outlet->driver->name);
	on_ended(NULL, 0);
}

/* Its driver is busy, and may be for ever. */
static void on_plain_hang_up(void *unused)
{
	struct reclaim_outlet *outlet = outlet_find(PLAIN_ID);

	if (!outlet || !clock_add(outlet, HANGUP_MS, on_still_busy, NULL))
		on_ended(unused, 0);
}

static const struct link_events plain_events = {
	.frame = on_plain_frame,
	.hung_up = on_plain_hang_up,
	.drained = on_drained,
	.ended = on_ended,
};

/* ---- SIGTERM: the same as the end of input, but for the status ---- */

static volatile sig_atomic_t terminated;
static pid_t host_pid;

/*
 * A child that was forked has the handler, and the loop's descriptor, until it
 * execs: it is to die of the signal.  The second time we do, too.
 */
static void on_sigterm(int sig)
{
	int error = errno;

	if (getpid() == host_pid) {
		terminated = 1;
		uv_async_send(&host.posted); /* may be called here */
	} else {
		raise(sig);
	}
	errno = error;
}

static void catch_sigterm(void)
{
	struct sigaction action;

	if (sigaction(SIGTERM, NULL, &action) < 0 ||
	    action.sa_flags & SA_SIGINFO || action.sa_handler != SIG_DFL)
		return;
	host_pid = getpid();
	action = (struct sigaction){
		.sa_handler = on_sigterm,
		.sa_flags = SA_RESTART | (int)SA_RESETHAND,
	};
	sigaction(SIGTERM, &action, NULL);
}

static void leave_sigterm(void)
{
	if (host_pid)
		signal(SIGTERM, SIG_DFL);
}

/* ---- what other threads want done ---- */

/*
 * libuv writes to a descriptor, where a thread may be cancelled: then it would
 * never wake the loop again, for anybody.
 */
bool host_post(struct post *post)
{
	bool taken;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&host.posting);
	taken = host.takes_posts;
	if (taken) {
		STAILQ_INSERT_TAIL(&host.posts, post, next);
		uv_async_send(&host.posted);
	}
	pthread_mutex_unlock(&host.posting);
	pthread_setcancelstate(cancel, NULL);
	return taken;
}

/* Drivers may have threads of their own, from before to after the host. */
static void take_posts(bool on)
{
	pthread_mutex_lock(&host.posting);
	host.takes_posts = on;
	pthread_mutex_unlock(&host.posting);
}

static struct post *take_post(void)
{
	struct post *post;

	pthread_mutex_lock(&host.posting);
	post = STAILQ_FIRST(&host.posts);
	if (post)
		STAILQ_REMOVE_HEAD(&host.posts, next);
	pthread_mutex_unlock(&host.posting);
	return post;
}

static void on_posted(uv_async_t *async)
{
	struct post *post;

	(void)async;
	if (terminated && !host.ended)
		end_loop(128 + SIGTERM);
	while ((post = take_post()))
		post->done(post);
	host_settle();
}

static void on_tasks_ended(uv_poll_t *poll, int status, int which)
{
	(void)poll;
	(void)status;
	(void)which;
	hear_of_ends();
	host_settle();
}

/* ---- beginning ---- */

static int open_link(void)
{
	const struct host_options *options = host.options;
	const bool stdio = !options->nouse_stdio;
	const struct link_opts opts = {
		.in = stdio ? 0 : 3,
		.out = stdio ? 1 : 4,
		.max_frame = options->max_frame,
		.spin_us = options->spin_us ? (int)options->spin_us : -1,
		.events = options->plain ? &plain_events : &events,
	};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -1;
	host.link = link_open(&host.loop, &opts);
	if (host.link)
		pipes_leave(null, opts.in, opts.out);
	else
		close(null);
	return host.link ? 0 : -1;
}

static int watch_tasks(void)
{
	int fd = reclaim_msgq_fd(), error;

	if (fd < 0)
		return -1;
	error = uv_poll_init(&host.loop, &host.tasks_ended, fd);
	if (!error)
		error = uv_poll_start(&host.tasks_ended, UV_READABLE,
				      on_tasks_ended);
	errno = -error;
	return error ? -1 : 0;
}

static void init_lists(void)
{
	TAILQ_INIT(&host.touched);
	TAILQ_INIT(&host.waiting);
	SLIST_INIT(&host.finished);
	STAILQ_INIT(&host.posts);
}

/* What a program cannot begin without; it is about to end where this fails. */
static int begin(void)
{
	int error;

	host.thread = pthread_self();
	host.max_frame = host.options->max_frame;
	init_lists();
	error = uv_loop_init(&host.loop);
	if (!error)
		error = uv_async_init(&host.loop, &host.posted, on_posted);
	errno = -error;
	if (error)
		return -1;
	take_posts(true);
	if (watch_tasks() < 0 || watch_begin() < 0 || open_link() < 0)
		return -1;
	catch_sigterm();
	return watchdog_start((int)host.options->watchdog_ms,
			      link_fd(host.link));
}

int host_begin(const struct host_options *options, struct drivers *drivers)
{
	host.options = options;
	host.drivers = drivers;
	if (begin() < 0) {
		reclaim_say(RECLAIM_ERROR, "the program cannot begin: %s",
			    strerror(errno));
		return -1;
	}
	log_take_reports(true);
	return 0;
}

static int open_plain(void)
{
	const struct reclaim_driver *driver = drivers_nth(host.drivers, 0);
	const char *name = host.options->plain_driver;

	if (!name && driver)
		name = driver->name;
	return outlet_open_plain(PLAIN_ID, name);
}

/* ---- the end ---- */

static void on_last_time(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* Until no outlet is left, or not for longer. */
static void end_outlets(void)
{
	uv_timer_t last;

	uv_timer_init(&host.loop, &last);
	uv_timer_start(&last, on_last_time, LAST_MS, 0);
	client_end_all("host_down");
	host_settle();
	while (host.outlets && uv_is_active((uv_handle_t *)&last))
		uv_run(&host.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&last, NULL);
	uv_run(&host.loop, UV_RUN_NOWAIT);
}

static void name_stubborn(void)
{
	struct reclaim_outlet *outlet, *next;

	HASH_ITER (hh, host.outlets, outlet, next)
		reclaim_say(RECLAIM_WARNING,
			    "an outlet of driver %s does not end, with %u jobs "
			    "under way: it is left to the end of the process",
			    outlet->driver->name, outlet->jobs_count);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* With jobs left their threads may still post. */
void host_end(void)
{
	host.ended = true;
	end_outlets();
	link_flush(host.link, LAST_MS);
	watchdog_stop();
	log_take_reports(false);
	if (host.outlets || !job_end_threads(LAST_MS)) {
		name_stubborn();
		return;
	}
	leave_sigterm();
	take_posts(false);
	on_posted(&host.posted); /* what came last */
	link_close(host.link);
	uv_walk(&host.loop, close_handle, NULL);
	uv_run(&host.loop, UV_RUN_DEFAULT);
	uv_loop_close(&host.loop);
	watch_end();
}

int host_run(const struct host_options *options, struct drivers *drivers)
{
	if (host_begin(options, drivers) < 0)
		return 1;
	if (options->plain && open_plain() < 0)
		host.status = 1;
	else
		uv_run(&host.loop, UV_RUN_DEFAULT);
	host_end();
	return host.status;
}
