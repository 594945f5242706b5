/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of the host's link, in place of ports/link.c: it hands bodies
 * over and takes what is put, and knows what the wire (ports/README.md) says of
 * each number.  Every frame that comes is looked at as a whole, and has to be
 * one that may come now.
 */
#include "config.h"

#include "fuzz/host_parts.h"

#include <unistd.h>

#include "ports/call_private.h"

/* Numbers are small, but for one of each sort. */
#define SMALL 512

/* GONE: the process that asked has ended, and need not be answered. */
enum asked { NEVER, ASKED, OPENED, CLOSED, ANSWERED, CANCELLED, GONE };

struct conversation {
	enum asked state;
	int64_t may_send, may_receive;
};

struct request {
	enum asked state;
	bool bytes;
};

struct link {
	const struct link_events *events;
	void *context;
	bool full, hung_up;
};

static struct link the_link;
static struct conversation outlets[SMALL + 1];
static struct request requests[SMALL + 1];
static struct {
	enum asked state;
	uint64_t call;
} monitors[SMALL];
static uint64_t last_outlet, first_monitor, last_monitor;

/* The frame that the host looks at, and what it says is wrong with it. */
static struct wire_frame now;
static int wrong;

static struct conversation *outlet(uint64_t id)
{
	return id < SMALL	  ? &outlets[id]
	       : id == UINT64_MAX ? &outlets[SMALL]
				  : NULL;
}

static struct request *request(uint64_t id)
{
	return id < SMALL	  ? &requests[id]
	       : id == UINT64_MAX ? &requests[SMALL]
				  : NULL;
}

static enum asked *monitor(uint64_t id)
{
	return id > first_monitor && id - first_monitor < SMALL
		       ? &monitors[id - first_monitor].state
		       : NULL;
}

uint64_t end_last_outlet(void)
{
	return last_outlet;
}

uint64_t end_last_monitor(void)
{
	return last_monitor;
}

/* RECLAIM_FUZZ_SHOW in the environment: what goes each way, in numbers. */
static void show(const char *way, const unsigned char *body, size_t len)
{
	static const char *wanted = "?";
	struct wire_frame frame;
	int what = wire_read(body, len, &frame);

	if (wanted && *wanted == '?')
		wanted = getenv("RECLAIM_FUZZ_SHOW");
	if (wanted)
		fprintf(stderr, "%s %d (%d): %#llx %#llx %#llx, %zu: %.*s\n",
			way, (int)frame.type, what,
			(unsigned long long)frame.field[0],
			(unsigned long long)frame.field[1],
			(unsigned long long)frame.field[2], frame.len,
			(int)(frame.len < 60 ? frame.len : 60),
			frame.len ? (const char *)frame.rest : "");
}

bool end_may_be_gone(uint64_t call)
{
	return request(call) && request(call)->state == GONE;
}

/* ---- what comes from the host ---- */

/* One that is known, and has not been closed. */
static struct conversation *open_one(uint64_t id)
{
	struct conversation *one = outlet(id);

	holds(one && (one->state == ASKED || one->state == OPENED));
	return one;
}

static void is_term(const unsigned char *bytes, size_t len, bool atom)
{
	char text[RECLAIM_ATOM_SIZE];
	struct reclaim_reader reader;

	holds(reclaim_reader_init(&reader, bytes, len) == 0);
	holds(!atom || reclaim_get_atom(&reader, text) == 0);
	holds(atom || reclaim_get_skip(&reader) == 0);
	holds(reclaim_get_end(&reader) == 0);
}

static void is_utf8(const unsigned char *at, size_t len)
{
	const unsigned char *end = at + len;

	while (at < end) {
		unsigned more = *at < 0x80   ? 0
				: *at < 0xc2 ? 4
				: *at < 0xe0 ? 1
				: *at < 0xf0 ? 2
				: *at < 0xf5 ? 3
					     : 4;

		holds(more < 4 && at + more < end);
		for (at++; more--; at++)
			holds((*at & 0xc0) == 0x80);
	}
}

static void hear_opened(const struct wire_frame *frame)
{
	struct conversation *one = open_one(frame->field[0]);

	holds(one->state == ASKED);
	holds(frame->field[1] == WINDOW && !frame->len);
	one->state = OPENED;
}

static void hear_closed(const struct wire_frame *frame)
{
	is_term(frame->rest, frame->len, true);
	open_one(frame->field[0])->state = CLOSED;
}

static void hear_data(const struct wire_frame *frame)
{
	struct conversation *one = open_one(frame->field[0]);

	holds(one->may_receive > 0);
	one->may_receive -= (int64_t)(frame->len + WIRE_COST);
}

static void hear_credit(const struct wire_frame *frame)
{
	struct conversation *one = open_one(frame->field[0]);

	holds(frame->field[1] >= WINDOW / 2 && !frame->len);
	one->may_send += (int64_t)frame->field[1];
	holds(one->may_send <= WINDOW);
}

static void hear_reply(const struct wire_frame *frame)
{
	struct request *one = request(frame->field[0]);

	holds(one && (one->state == ASKED || one->state == GONE));
	one->state = ANSWERED;
	if (frame->field[1] == WIRE_REFUSED) {
		is_term(frame->rest, frame->len, true);
		return;
	}
	holds(frame->field[1] == (one->bytes ? WIRE_OK_BYTES : WIRE_OK));
	if (!one->bytes)
		is_term(frame->rest, frame->len, false);
}

static void hear_monitor(const struct wire_frame *frame)
{
	struct request *one = request(frame->field[1]);

	holds(frame->field[0] == last_monitor + 1 && !frame->len);
	holds(one && (one->state == ASKED || one->state == GONE));
	last_monitor++;
	if (!monitor(last_monitor))
		return;
	*monitor(last_monitor) = ASKED;
	monitors[last_monitor - first_monitor].call = frame->field[1];
}

static void hear_demonitor(const struct wire_frame *frame)
{
	enum asked *one = monitor(frame->field[0]);

	holds(frame->field[0] > first_monitor);
	holds(frame->field[0] <= last_monitor && !frame->len);
	holds(!one || *one == ASKED);
	if (one)
		*one = CLOSED;
}

static void hear_log(const struct wire_frame *frame)
{
	holds(frame->field[0] >= RECLAIM_LOG_ERROR);
	holds(frame->field[0] <= RECLAIM_LOG_DEBUG);
	if (frame->field[1])
		open_one(frame->field[1]);
	holds(frame->len >= 1 && frame->rest[0] < frame->len);
	is_utf8(frame->rest + 1 + frame->rest[0],
		frame->len - 1 - frame->rest[0]);
}

/* At most one to a frame, and of that frame. */
static void hear_error(const struct wire_frame *frame)
{
	holds(!wrong && frame->field[0]);
	holds(frame->field[1] == (now.type & 0xff));
	holds(frame->field[2] == now.field[0]);
	is_utf8(frame->rest, frame->len);
	wrong = (int)frame->field[0];
}

static void hear_hello(const unsigned char *body, size_t len)
{
	struct wire_hello hello;

	holds(now.type == WIRE_HELLO);
	holds(wire_read_hello(body, len, &hello) == 0);
	holds(hello.version == WIRE_VERSION && hello.max_frame == MAX_FRAME);
	is_term(body + WIRE_HELLO_SIZE, len - WIRE_HELLO_SIZE, false);
}

static void hear(const unsigned char *body, size_t len)
{
	struct wire_frame frame;

	show("<-", body, len);
	holds(wire_read(body, len, &frame) == 0);
	switch (frame.type) {
	case WIRE_HELLO:
		hear_hello(body, len);
		break;
	case WIRE_OPENED:
		hear_opened(&frame);
		break;
	case WIRE_DATA:
		hear_data(&frame);
		break;
	case WIRE_CREDIT:
		hear_credit(&frame);
		break;
	case WIRE_REPLY:
		hear_reply(&frame);
		break;
	case WIRE_CLOSED:
		hear_closed(&frame);
		break;
	case WIRE_MONITOR:
		hear_monitor(&frame);
		break;
	case WIRE_DEMONITOR:
		hear_demonitor(&frame);
		break;
	case WIRE_LOG:
		hear_log(&frame);
		break;
	case WIRE_ERROR:
		hear_error(&frame);
		break;
	default:
		holds(!"a frame that is for the host to say");
	}
}

/* ---- what is said to it ---- */

static bool is_pending(uint64_t id)
{
	struct request *one = request(id);

	return one && one->state == ASKED;
}

/* Wrong, or dropped: of an outlet that ends and has not been closed yet. */
#define NUMBER_OR_OVER (-2)

/* Whether the number of a request may be that of one. */
static int ask(uint64_t id, bool bytes)
{
	struct request *one = request(id);

	if (!id || is_pending(id))
		return WIRE_NUMBER;
	holds(one);
	*one = (struct request){.state = ASKED, .bytes = bytes};
	return 0;
}

static int ask_open(const struct wire_frame *frame)
{
	struct conversation *one = outlet(frame->field[0]);

	if (!frame->field[1] || frame->field[0] <= last_outlet)
		return WIRE_NUMBER;
	holds(one && one->state == NEVER);
	last_outlet = frame->field[0];
	*one = (struct conversation){
		.state = ASKED,
		.may_send = WINDOW,
		.may_receive = (int64_t)frame->field[2],
	};
	return 0;
}

static int name_outlet(const struct wire_frame *frame)
{
	struct conversation *one = outlet(frame->field[0]);

	if (!frame->field[0] || frame->field[0] > last_outlet)
		return WIRE_NUMBER;
	if (!one || (one->state != ASKED && one->state != OPENED))
		return 0;
	if (frame->type == WIRE_GIVE && !frame->field[1])
		return NUMBER_OR_OVER;
	if (frame->type == WIRE_CREDIT)
		one->may_receive += (int64_t)frame->field[1];
	if (frame->type == WIRE_DATA)
		one->may_send -= (int64_t)(frame->len + WIRE_COST);
	return 0;
}

static void cancel(uint64_t id)
{
	if (is_pending(id))
		request(id)->state = CANCELLED;
}

static void tell_process_down(uint64_t id)
{
	enum asked *one = monitor(id);
	struct request *caller;

	if (!one || *one != ASKED)
		return;
	*one = CLOSED;
	caller = request(monitors[id - first_monitor].call);
	if (caller->state == ASKED)
		caller->state = GONE;
}

/* What the host has to say is wrong with it, 0 for nothing. */
static int expect(const struct wire_frame *frame)
{
	switch (frame->type) {
	case WIRE_OPEN:
		return ask_open(frame);
	case WIRE_DATA:
	case WIRE_CREDIT:
	case WIRE_CLOSE:
	case WIRE_GIVE:
		return name_outlet(frame);
	case WIRE_CALL:
	case WIRE_REGISTER:
		return ask(frame->field[1], false);
	case WIRE_CONTROL:
		return ask(frame->field[1], true);
	case WIRE_STATISTICS:
		return ask(frame->field[0], false);
	case WIRE_CANCEL:
		cancel(frame->field[0]);
		return 0;
	case WIRE_PROCESS_DOWN:
		tell_process_down(frame->field[0]);
		return 0;
	case WIRE_CLIENT_DOWN:
		return 0;
	default:
		return WIRE_UNKNOWN;
	}
}

/* The first frame decides whether there is a conversation at all. */
static void greet(const unsigned char *body, size_t len)
{
	struct wire_hello hello;
	int expected = wire_read_hello(body, len, &hello);

	now = (struct wire_frame){.type = len ? body[0] : 0};
	if (expected == 0 && hello.version != WIRE_VERSION)
		expected = WIRE_NO_VERSION;
	else if (expected == 0 && hello.max_frame < WIRE_LEAST_FRAME)
		expected = hello.max_frame ? WIRE_MALFORMED : 0;
	else if (expected != 0)
		expected = WIRE_NO_HELLO;
	the_link.events->frame(the_link.context, body, len);
	holds(wrong == expected);
	holds(host.greeted == !expected && host.ended == !!expected);
	holds(host.status == !!expected);
}

static void converse(const unsigned char *body, size_t len)
{
	int expected = wire_read(body, len, &now);

	if (!expected)
		expected = expect(&now);
	the_link.events->frame(the_link.context, body, len);
	if (expected == NUMBER_OR_OVER)
		expected = wrong ? WIRE_NUMBER : 0;
	holds(wrong == expected);
}

void end_says(const unsigned char *body, size_t len)
{
	if (host.ended)
		return;
	wrong = 0;
	show("->", body, len);
	if (host.greeted)
		converse(body, len);
	else
		greet(body, len);
	now = (struct wire_frame){0};
	wrong = -1; /* errors are for frames */
}

void end_is_full(bool full)
{
	bool was_full = the_link.full;

	the_link.full = full;
	if (was_full && !full)
		the_link.events->drained(the_link.context);
}

void end_hangs_up(void)
{
	the_link.hung_up = true;
	the_link.events->ended(the_link.context, 0);
}

/* ---- the beginning and the end of an input ---- */

void end_begins(void)
{
	memset(outlets, 0, sizeof(outlets));
	memset(requests, 0, sizeof(requests));
	memset(monitors, 0, sizeof(monitors));
	host.last_outlet = last_outlet = 0;
	first_monitor = last_monitor;
	the_link.full = false;
	wrong = -1;
}

void end_has_ended(void)
{
	size_t i;

	for (i = 0; i <= SMALL; i++) {
		holds(outlets[i].state == NEVER || outlets[i].state == CLOSED);
		holds(requests[i].state != ASKED);
	}
	for (i = 0; i < SMALL; i++)
		holds(monitors[i].state != ASKED);
}

/* ---- the link, as the host sees it ---- */

struct link *link_open(uv_loop_t *loop, const struct link_opts *opts)
{
	(void)loop;
	the_link.events = opts->events;
	the_link.context = opts->context;
	return &the_link;
}

int link_put(struct link *link, const struct iovec *pieces, int count)
{
	size_t len = 0;
	unsigned char *body;
	int i;

	holds(!link->hung_up && host_is_here());
	for (i = 0; i < count; i++)
		len += pieces[i].iov_len;
	holds(len <= host.max_frame || now.type == WIRE_HELLO);
	body = malloc(len);
	holds(body);
	for (i = 0, len = 0; i < count; len += pieces[i++].iov_len)
		if (pieces[i].iov_len)
			memcpy(body + len, pieces[i].iov_base,
			       pieces[i].iov_len);
	hear(body, len);
	free(body);
	return 0;
}

size_t link_queued(const struct link *link)
{
	return link->full;
}

bool link_is_full(const struct link *link)
{
	return link->full;
}

int link_fd(const struct link *link)
{
	(void)link;
	return -1;
}

void link_hold(struct link *link, bool on)
{
	(void)link;
	(void)on;
}

int link_flush(struct link *link, int timeout_ms)
{
	(void)link;
	(void)timeout_ms;
	return 0;
}

void link_close(struct link *link)
{
	link->events = NULL;
}

/* The program's own descriptors stay what they are. */
void __wrap_pipes_leave(int null, int in, int out);

void __wrap_pipes_leave(int null, int in, int out)
{
	(void)in;
	(void)out;
	close(null);
}
