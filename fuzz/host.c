/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host, by a program: each byte of the input is a frame to send, those
 * behind it say which and how it is spoiled.  Most are what an emulator could
 * send.  Then every client goes down, and nothing is left: no task, memory,
 * descriptor, timer, entry in a table, and no question without its answer.
 *
 * One host lives as long as the process; its frames are what is counted.
 */
#include "config.h"

#include "fuzz/host_parts.h"

#include <fcntl.h>
#include <unistd.h>

#include "fuzz/corpus.h"
#include "ports/call_private.h"
#include "ports/outlet_private.h"

unsigned long fuzz_frames;

/* ---- the input, read as a program ---- */

struct program {
	const uint8_t *at, *end;
	uint64_t calls; /* numbers of which have been used */
	unsigned spoil; /* the next frame, in this way */
};

static uint8_t next(struct program *program)
{
	return program->at < program->end ? *program->at++ : 0;
}

static uint64_t next_of(struct program *program, const uint64_t *list,
			size_t count)
{
	return list[next(program) % count];
}

#define NEXT_OF(program, list) \
	next_of(program, list, sizeof(list) / sizeof((list)[0]))

/* Mostly one that was opened. */
static uint64_t next_outlet(struct program *program)
{
	static const uint64_t odd[] = {0, 1, UINT64_MAX, UINT64_C(1) << 32};
	uint64_t last = end_last_outlet();
	uint8_t byte = next(program);

	if (byte >= 0xf0 || !last)
		return byte % 5 < 4 ? odd[byte % 5] : last + 1;
	return last - byte % (last < 16 ? last : 16);
}

/* Mostly a new one; others may be in use. */
static uint64_t next_call(struct program *program)
{
	uint8_t byte = next(program);
	uint64_t call = byte;

	if (byte >= 0xfc)
		call = byte % 2 ? UINT64_MAX : 0;
	else if (byte >= 0xe0)
		call = program->calls - byte % (program->calls + 1);
	else if (program->calls < 500)
		call = ++program->calls;
	return end_may_be_gone(call) ? 0 : call;
}

static uint64_t next_used_call(struct program *program)
{
	return program->calls - next(program) % (program->calls + 1);
}

static uint64_t next_client(struct program *program)
{
	static const uint64_t clients[] = {1, 2, 3, 4, UINT64_MAX, 1, 2,
					   3, 1, 2, 3, 4,	   1, 0};

	return NEXT_OF(program, clients);
}

static uint64_t next_size(struct program *program)
{
	static const uint64_t sizes[] = {
		0,	    1,		 2,	      7,      100,  100,
		WINDOW / 2, WINDOW - 65, WINDOW - 64, WINDOW, 1000, 20000,
	};

	return NEXT_OF(program, sizes);
}

/* ---- frames: none that ends an input is counted ---- */

/* Room for the longest head before the term that is 10^6 deep. */
#define DEEP 1000000
static unsigned char deep[WIRE_HEAD_MAX + 2 + 2 * DEEP];
static unsigned char frame[32 << 10];
static size_t frame_len;

static void make_deep(void)
{
	unsigned char *at = deep + WIRE_HEAD_MAX;

	*at++ = 131;
	for (; at < deep + sizeof(deep) - 1; at += 2) {
		at[0] = 'h';
		at[1] = 1;
	}
	*at = 'j';
}

static void begin_frame(enum wire_type type, uint64_t first, uint64_t second,
			uint64_t third)
{
	frame_len = wire_head(frame, type, first, second, third);
}

static void add(const void *bytes, size_t len)
{
	holds(len <= sizeof(frame) - frame_len);
	if (len)
		memcpy(frame + frame_len, bytes, len);
	frame_len += len;
}

static void add_next(struct program *program, size_t most)
{
	size_t len = next(program), left = (size_t)(program->end - program->at);

	len = len < most ? len : most;
	len = len < left ? len : left;
	add(program->at, len);
	program->at += len;
}

/* What no term may begin with; the first is an atom that is too long. */
static const struct {
	const char *bytes;
	size_t len;
} bad_terms[] = {
#define THIS_BAD(text)                 \
	{                              \
		text, sizeof(text) - 1 \
	}
	THIS_BAD("\203v\1\0"),
	THIS_BAD("\203m\377\377\377\377"),
	THIS_BAD("\203l\377\377\377\377a\1"),
	THIS_BAD("\203t\200\0\0\0a\1a\2"),
	THIS_BAD("\203o\377\377\377\377\0"),
};

#define BAD_TERMS (sizeof(bad_terms) / sizeof(bad_terms[0]))

/* With its version, or without. */
static void add_term(struct program *program, bool version)
{
	size_t which = next(program) % (CORPUS + BAD_TERMS + 4);
	size_t skip = version ? 0 : 1;

	if (which < CORPUS) {
		add(corpus[which].bytes + skip, corpus[which].len - skip);
		return;
	}
	which -= CORPUS;
	if (which < BAD_TERMS)
		add(bad_terms[which].bytes + skip, bad_terms[which].len - skip);
	if (which == 0)
		add(deep, 256);
	else if (which == BAD_TERMS)
		add_next(program, 60);
	else if (which == BAD_TERMS + 1)
		add(deep + WIRE_HEAD_MAX + skip, 400); /* cut */
	else if (which > BAD_TERMS + 1)
		add(&"\203j"[skip], 2 - skip);
}

/* In a block of just that size. */
static void say(const unsigned char *bytes, size_t len)
{
	unsigned char *body = malloc(len ? len : 1);

	holds(body);
	if (len)
		memcpy(body, bytes, len);
	end_says(body, len);
	free(body);
}

static void spoil(struct program *program)
{
	size_t at = next(program) % frame_len;
	uint8_t byte = next(program);

	switch (program->spoil % 4) {
	case 0: /* what holds numbers stays within those that are known */
		at = at < 25 && frame_len > 25 ? frame_len - 1 : at;
		if (at >= 25)
			frame[at] ^= byte;
		break;
	case 1:
		frame_len = at;
		break;
	case 2:
		if (sizeof(frame) - frame_len > 1)
			frame[frame_len++] = byte;
		break;
	default:
		frame[0] = (unsigned char)(byte % 5 ? 0 : byte);
	}
}

static void send_frame(struct program *program)
{
	if (program->spoil)
		spoil(program);
	program->spoil = 0;
	fuzz_frames++;
	say(frame, frame_len);
}

static void add_request(struct program *program)
{
	const char *name =
		fuzz_drivers[next(program) % fuzz_drivers_count]->name;
	unsigned char atom[2] = {119, (unsigned char)strlen(name)};
	unsigned how = next(program);

	add("\203h", 2);
	add(how == 7 ? "\4" : "\3", 1);
	if (how == 9) {
		add("w\377", 2);
		add(deep, 255);
	} else if (how == 10) {
		add("w\7unknown", 9);
	} else {
		add(atom, 2);
		add(name, atom[1]);
	}
	add_term(program, false);
	if (how == 11) {
		add("m\0\0\0\4\377\0%s", 9);
	} else if (how == 12) {
		add("m\0\0\17\240", 5);
		add(deep, 4000);
	} else {
		add("m\0\0\0\7<0.9.0>", 12);
	}
}

static void open_one(struct program *program)
{
	static const uint64_t windows[] = {
		1 << 20, 1 << 20, UINT32_MAX, 4096, 1000, 65, 64, 1, 0};
	uint64_t id = end_last_outlet() + 1, client;

	if (next(program) >= 0xf8)
		id = next_outlet(program);
	client = next_client(program);
	if (id >= 500 && id != UINT64_MAX)
		return;
	begin_frame(WIRE_OPEN, id, client, NEXT_OF(program, windows));
	add_request(program);
	send_frame(program);
}

static void send_bytes(struct program *program, enum wire_type type)
{
	static const unsigned char bytes[20000];
	uint64_t id = next_outlet(program), call = 0;

	if (type == WIRE_CONTROL)
		call = next_call(program);
	begin_frame(type, id, call, call ? next(program) : 0);
	add(bytes, next_size(program));
	send_frame(program);
}

static void send_deep(struct program *program)
{
	unsigned char head[WIRE_HEAD_MAX];
	uint64_t id = next_outlet(program);
	size_t len = wire_head(head, WIRE_CALL, id, next_call(program), 0);
	unsigned char *body = deep + WIRE_HEAD_MAX - len;

	memcpy(body, head, len);
	fuzz_frames++;
	end_says(body, len + 2 + 2 * DEEP);
}

static void call_one(struct program *program)
{
	uint64_t id = next_outlet(program);

	begin_frame(WIRE_CALL, id, next_call(program), 0);
	add_term(program, true);
	send_frame(program);
}

static void give_one(struct program *program)
{
	uint64_t id = next_outlet(program);

	begin_frame(WIRE_GIVE, id, next_client(program), 0);
	add_next(program, 100);
	send_frame(program);
}

static void register_one(struct program *program)
{
	uint64_t id = next_outlet(program);

	begin_frame(WIRE_REGISTER, id, next_call(program), 0);
	if (next(program) < 200)
		add("name", next(program) % 5);
	else
		add_next(program, 100);
	send_frame(program);
}

static void ask_statistics(struct program *program)
{
	uint64_t call = next_call(program), what = next(program) % 6;

	begin_frame(WIRE_STATISTICS, call, what, next_outlet(program));
	send_frame(program);
}

static void give_credit(struct program *program)
{
	static const uint64_t credits[] = {0,	 1,	64,	   1000,
					   4096, 20000, UINT32_MAX};
	uint64_t id = next_outlet(program);

	begin_frame(WIRE_CREDIT, id, NEXT_OF(program, credits), 0);
	send_frame(program);
}

static void send_raw(struct program *program)
{
	frame_len = 0;
	add_next(program, 200);
	if (frame_len && frame[0] >= WIRE_OPEN && frame[0] < WIRE_TYPES)
		frame[0] = (unsigned char)(frame[0] + WIRE_TYPES);
	fuzz_frames++;
	say(frame, frame_len);
}

/* One that is for the host to say, or to be said first. */
static void send_wrong_way(struct program *program)
{
	static const uint64_t types[] = {
		WIRE_HELLO,  WIRE_OPENED,  WIRE_REPLY,
		WIRE_CLOSED, WIRE_MONITOR, WIRE_DEMONITOR,
		WIRE_LOG,    WIRE_ERROR,   WIRE_EXIT_STATUS,
	};
	enum wire_type type = (enum wire_type)NEXT_OF(program, types);
	uint64_t first = next_outlet(program), second = next(program);

	begin_frame(type, first, second, next(program));
	send_frame(program);
}

static void turn(struct program *program)
{
	uint8_t how = next(program);

	if (how >= 0xc0)
		end_is_full(how % 2);
	uv_run(&host.loop, UV_RUN_NOWAIT);
}

static void step(struct program *program)
{
	uint8_t what = next(program);

	switch (what % 32) {
	case 0 ... 3: /* a range is gcc's and clang's */
		open_one(program);
		break;
	case 4 ... 7:
		send_bytes(program, WIRE_DATA);
		break;
	case 8 ... 11:
		call_one(program);
		break;
	case 12 ... 14:
		send_bytes(program, WIRE_CONTROL);
		break;
	case 15 ... 16:
		give_credit(program);
		break;
	case 17:
		begin_frame(WIRE_CLOSE, next_outlet(program), 0, 0);
		send_frame(program);
		break;
	case 18:
		begin_frame(WIRE_CANCEL, next_used_call(program), 0, 0);
		send_frame(program);
		break;
	case 19:
		give_one(program);
		break;
	case 20:
		begin_frame(WIRE_CLIENT_DOWN, next_client(program), 0, 0);
		send_frame(program);
		break;
	case 21:
		begin_frame(WIRE_PROCESS_DOWN,
			    end_last_monitor() - next(program) % 4, 0, 0);
		send_frame(program);
		break;
	case 22:
		register_one(program);
		break;
	case 23:
		ask_statistics(program);
		break;
	case 24:
		send_raw(program);
		break;
	case 25:
		send_wrong_way(program);
		break;
	case 26 ... 27:
		program->spoil = 1 + next(program);
		break;
	case 28:
		if (what == 28)
			send_deep(program);
		break;
	default:
		turn(program);
	}
}

/* ---- a host for all of them ---- */

static const struct host_options options = {
	.client = {.bytes = 4 << 20, .handles = 400},
	.outlet = {.bytes = 64 << 10, .handles = 60},
	.max_outlets = 12,
	.max_calls = 20,
	.window = WINDOW,
	.max_frame = MAX_FRAME,
	.jobs = 2,
};

#define FDS 128

static struct drivers *drivers;
static struct reclaim_task_info at_first;
static unsigned handles_at_first;
static bool fd_was_open[FDS];

static void count_handle(uv_handle_t *handle, void *count)
{
	(void)handle;
	++*(unsigned *)count;
}

static unsigned loop_handles(void)
{
	unsigned count = 0;

	uv_walk(&host.loop, count_handle, &count);
	return count;
}

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void end_host(void)
{
	end_hangs_up();
	host_end();
	holds(host.status == 0 && !host.outlets);
	drivers_end(drivers);
}

static void begin_host(void)
{
	make_deep();
	drivers = drivers_new(fuzz_drivers);
	holds(drivers);
	holds(host_begin(&options, drivers) == 0);
	host.greeted = true;
	atexit(end_host);
	uv_run(&host.loop, UV_RUN_NOWAIT);
	holds(reclaim_task_info(reclaim_self(), &at_first) == 0);
	handles_at_first = loop_handles();
}

/* Each time: libFuzzer opens some, too. */
static void look_at_fds(void)
{
	int i;

	for (i = 0; i < FDS; i++)
		fd_was_open[i] = fd_is_open(i);
}

static void nothing_is_left(void)
{
	struct reclaim_task_info info;
	int i;

	end_has_ended();
	holds(!host.clients && !host.by_down && !host.running);
	holds(TAILQ_EMPTY(&host.touched) && TAILQ_EMPTY(&host.waiting));
	holds(SLIST_EMPTY(&host.finished));
	holds(reclaim_task_info(reclaim_self(), &info) == 0);
	holds(info.bytes == at_first.bytes && info.blocks == at_first.blocks);
	holds(info.handles == at_first.handles && !info.children);
	holds(info.actions == at_first.actions && !info.messages);
	for (i = 0; i < FDS; i++)
		holds(fd_is_open(i) == fd_was_open[i]);
}

/* Two timers are made when they are first wanted, and stay. */
static void close_loop_handles(void)
{
	unsigned turns = 0;

	while (loop_handles() > handles_at_first + 2 && turns++ < 1000)
		uv_run(&host.loop, UV_RUN_NOWAIT);
	holds(loop_handles() <= handles_at_first + 2);
}

static void end_clients(void)
{
	static const uint64_t clients[] = {1, 2, 3, 4, UINT64_MAX};
	size_t i;

	for (i = 0; host.clients && i < 5; i++) {
		begin_frame(WIRE_CLIENT_DOWN, clients[i], 0, 0);
		say(frame, frame_len);
	}
	uv_run(&host.loop, UV_RUN_NOWAIT);
	while (host.outlets)
		uv_run(&host.loop, UV_RUN_ONCE);
	close_loop_handles();
}

/* Some begin with the first frame of all, and may not come further. */
static void say_hello(struct program *program)
{
	static const uint64_t longest[] = {0, 1, 1023, 1024, 65536, UINT32_MAX};
	uint8_t how = next(program);

	host.greeted = how < 0xf0;
	host.ended = false;
	host.status = 0;
	host.max_frame = MAX_FRAME;
	if (host.greeted)
		return;
	frame_len = wire_hello(frame, NEXT_OF(program, longest));
	if (how % 2)
		add_next(program, 100);
	if (how % 4 == 2)
		frame[next(program) % frame_len] ^= next(program);
	if (how % 8 == 4)
		frame_len = next(program) % (frame_len + 1);
	fuzz_frames++;
	say(frame, frame_len);
}

static uint64_t hash(const uint8_t *data, size_t len)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	while (len--)
		value = (value ^ *data++) * UINT64_C(0x100000001b3);
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct program program = {.at = data, .end = data + len};

	if (!drivers)
		begin_host();
	look_at_fds();
	end_begins();
	drivers_begin(hash(data, len));
	say_hello(&program);
	while (program.at < program.end && !host.ended)
		step(&program);
	if (!host.ended)
		end_clients();
	nothing_is_left();
	return 0;
}
