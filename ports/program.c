/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/program_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ports/host_private.h"
#include "ports/input_private.h"
#include "ports/log_private.h"
#include "ports/outlet_private.h"
#include "ports/output_private.h"
#include "ports/streams_private.h"
#include "reclaim.h"

#define LINE_MAX_SIZE 4096
#define WORDS_MAX     64

/* What waits for a program that does not read: the driver is busy then. */
#define LOW  ((size_t)64 << 10)
#define HIGH ((size_t)256 << 10)

__thread struct streams streams;

/* One that runs. */
struct program {
	int in, out; /* our ends: what it reads, what it writes */
	int ends;    /* the descriptor of its task's end */
	struct output output;
	struct input input;
	bool closes; /* it is to read the end of input */
	bool is_read, has_ended;
	int status;
};

/* ---- its command line ---- */

struct command {
	char text[LINE_MAX_SIZE];
	char *words[WORDS_MAX + 1];
	int count;
};

/* Words are parted by spaces, where these are not between quotes. */
static char *cut_word(char *at, char **rest)
{
	char *to, *word, quote = '\0';

	while (*at == ' ' || *at == '\t')
		at++;
	for (word = to = at; *at && (quote || (*at != ' ' && *at != '\t'));
	     at++) {
		if (quote ? *at == quote : *at == '"' || *at == '\'')
			quote = quote ? '\0' : *at;
		else
			*to++ = *at;
	}
	*rest = *at ? at + 1 : at;
	if (at == word)
		return NULL;
	*to = '\0';
	return word;
}

static int read_command(struct reclaim_reader *args, struct command *command)
{
	char *rest = command->text, *word;
	size_t len;

	if (reclaim_get_iodata(args, rest, sizeof(command->text) - 1, &len) <
		    0 ||
	    len >= sizeof(command->text) || memchr(rest, '\0', len)) {
		errno = EINVAL;
		return -1;
	}
	rest[len] = '\0';
	for (command->count = 0; (word = cut_word(rest, &rest));) {
		if (command->count == WORDS_MAX) {
			errno = E2BIG;
			return -1;
		}
		command->words[command->count++] = word;
	}
	command->words[command->count] = NULL;
	errno = EINVAL;
	return command->count ? 0 : -1;
}

/* ---- its thread ---- */

/* What a spawned task is told is text: the entry and the streams, and then. */
struct arguments {
	char entry[24], in[12], out[12];
	char *words[3 + WORDS_MAX + 1];
};

static void write_arguments(struct arguments *arguments,
			    const struct command *command, reclaim_entry *entry,
			    int in, int out)
{
	snprintf(arguments->entry, sizeof(arguments->entry), "%p",
		 (void *)entry);
	snprintf(arguments->in, sizeof(arguments->in), "%d", in);
	snprintf(arguments->out, sizeof(arguments->out), "%d", out);
	arguments->words[0] = arguments->entry;
	arguments->words[1] = arguments->in;
	arguments->words[2] = arguments->out;
	memcpy(arguments->words + 3, command->words,
	       sizeof(command->words[0]) * (size_t)(command->count + 1));
}

/* The streams are its own from here on, and close with it. */
static int run(int argc, char **argv, char **envp)
{
	void *entry = NULL;

	if (sscanf(argv[0], "%p", &entry) != 1)
		return 1;
	streams = (struct streams){
		.are_set = true,
		.in = atoi(argv[1]),
		.out = atoi(argv[2]),
	};
	if (reclaim_give_fd(streams.in, reclaim_self()) < 0 ||
	    reclaim_give_fd(streams.out, reclaim_self()) < 0)
		return 1;
	return ((reclaim_entry *)entry)(argc - 3, argv + 3, envp);
}

/* ---- starting ---- */

static reclaim_entry *find(const char *name)
{
	reclaim_entry *entry;
	char why[512];
	int saved;

	entry = drivers_find_program(host.drivers, name, why, sizeof(why));
	saved = errno;
	if (!entry)
		log_say(RECLAIM_LOG_ERROR, NULL, "program %s: %s", name, why);
	errno = saved;
	return entry;
}

/* The task, of which the outlet's hears when it ends. */
static reclaim_tid spawn(const struct command *command, reclaim_entry *entry,
			 int in, int out)
{
	const struct reclaim_task_opts opts = {
		.name = command->words[0],
		.max_bytes = host.options->outlet.bytes,
		.max_handles = host.options->outlet.handles,
	};
	struct arguments arguments;
	reclaim_tid task;

	write_arguments(&arguments, command, entry, in, out);
	task = reclaim_spawn(&opts, run, arguments.words);
	if (!task || reclaim_monitor(task))
		return task;
	reclaim_kill(task);
	return 0;
}

static struct program *prepare(int in, int out)
{
	struct program *program = save_calloc(1, sizeof(*program));

	if (!program)
		return NULL;
	program->in = in;
	program->out = out;
	program->ends = reclaim_msgq_fd();
	if (program->ends < 0 || output_init(&program->output, in, false) < 0 ||
	    input_init(&program->input, RECLAIM_PACKET_4,
		       host.options->max_frame) < 0)
		return NULL; /* the outlet's task has what there is of it */
	return program;
}

/* What is not undone here goes with the outlet's task. */
static int start(struct reclaim_outlet *outlet, struct reclaim_reader *args)
{
	int to_it[2], from_it[2];
	struct program *program;
	struct command command;
	reclaim_entry *entry;

	if (read_command(args, &command) < 0)
		return -1;
	entry = find(command.words[0]);
	if (!entry || save_pipe2(to_it, O_CLOEXEC) < 0 ||
	    save_pipe2(from_it, O_CLOEXEC) < 0 ||
	    fcntl(to_it[1], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(from_it[0], F_SETFL, O_NONBLOCK) < 0)
		return -1;
	program = prepare(to_it[1], from_it[0]);
	if (!program ||
	    reclaim_outlet_select(outlet, program->ends, RECLAIM_READ) < 0 ||
	    reclaim_outlet_select(outlet, program->out, RECLAIM_READ) < 0 ||
	    !spawn(&command, entry, to_it[0], from_it[1]))
		return -1;
	reclaim_outlet_set_state(outlet, program);
	return 0;
}

/* ---- to it ---- */

static void close_in(struct reclaim_outlet *outlet, struct program *program)
{
	reclaim_outlet_select(outlet, program->in, 0);
	save_close(program->in);
	program->in = -1;
}

/* One that reads no more still writes, and ends. */
static void write_some(struct reclaim_outlet *outlet, struct program *program)
{
	size_t waiting;

	if (program->in < 0)
		return;
	if (output_write(&program->output) < 0) {
		close_in(outlet, program);
		return;
	}
	waiting = output_waiting(&program->output);
	if (program->closes && !waiting) {
		close_in(outlet, program);
		return;
	}
	reclaim_outlet_select(outlet, program->in, waiting ? RECLAIM_WRITE : 0);
	if (waiting > HIGH)
		reclaim_outlet_busy(outlet, 1);
	else if (waiting <= LOW)
		reclaim_outlet_busy(outlet, 0);
}

static void output(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	struct program *program = reclaim_outlet_state(outlet);
	const struct iovec body = {(void *)data, len};
	unsigned char prefix[4];

	if (program->in < 0)
		return;
	reclaim_encode(RECLAIM_PACKET_4, len, prefix);
	if (output_put(&program->output, prefix, &body, 1) < 0 &&
	    !program->output.broken)
		reclaim_outlet_close(outlet, "enomem");
	write_some(outlet, program);
}

static void ready_output(struct reclaim_outlet *outlet, int fd)
{
	(void)fd;
	write_some(outlet, reclaim_outlet_state(outlet));
}

static int flush(struct reclaim_outlet *outlet)
{
	struct program *program = reclaim_outlet_state(outlet);

	program->closes = true;
	write_some(outlet, program);
	return 1;
}

/* ---- from it ---- */

/* Its status waits for whatever else has its output open. */
static void look_whether_done(struct reclaim_outlet *outlet,
			      const struct program *program)
{
	if (!program->is_read || !program->has_ended)
		return;
	outlet->has_status = true;
	outlet->status = program->status;
	reclaim_outlet_close(outlet, NULL);
}

static void stop_reading(struct reclaim_outlet *outlet, struct program *program,
			 const char *why)
{
	if (why)
		reclaim_outlet_close(outlet, why);
	reclaim_outlet_select(outlet, program->out, 0);
	program->is_read = true;
	look_whether_done(outlet, program);
}

/* 1: the owner is to read some of it first.  Nothing is left out. */
static int hand_over(struct reclaim_outlet *outlet, struct program *program)
{
	struct reclaim_frame frame;
	int found = 0, result = 0;

	while (result >= 0 && (found = input_next(&program->input, &frame)) > 0)
		result |= reclaim_outlet_output(outlet, frame.data, frame.len);
	if (result < 0 || found < 0)
		stop_reading(outlet, program, reclaim_errno_name(errno));
	return result;
}

static void read_some(struct reclaim_outlet *outlet, struct program *program)
{
	size_t len;
	ssize_t n;
	char *at;

	if (input_room(&program->input, &at, &len) < 0) {
		stop_reading(outlet, program, "enomem");
		return;
	}
	n = read(program->out, at, len);
	if (n == 0)
		stop_reading(outlet, program, NULL);
	if (n <= 0)
		return;
	input_add(&program->input, (size_t)n);
	if (hand_over(outlet, program) > 0)
		reclaim_outlet_select(outlet, program->out, 0);
}

static void hear_of_end(struct reclaim_outlet *outlet, struct program *program)
{
	struct reclaim_msg msg;

	while (reclaim_receive(&msg, 0) > 0) {
		if (msg.type != RECLAIM_MSG_DOWN)
			continue;
		/* It may have ended before it was monitored. */
		if (reclaim_wait(msg.from, &program->status, 0) < 0)
			program->status = msg.status;
		program->has_ended = true;
		look_whether_done(outlet, program);
	}
}

static void ready_input(struct reclaim_outlet *outlet, int fd)
{
	struct program *program = reclaim_outlet_state(outlet);

	if (fd == program->ends)
		hear_of_end(outlet, program);
	else
		read_some(outlet, program);
}

static void drained(struct reclaim_outlet *outlet)
{
	struct program *program = reclaim_outlet_state(outlet);

	if (!program->is_read)
		reclaim_outlet_select(outlet, program->out, RECLAIM_READ);
}

const struct reclaim_driver program_driver = {
	.abi = RECLAIM_DRIVER_ABI,
	.name = "program",
	.start = start,
	.output = output,
	.ready_input = ready_input,
	.ready_output = ready_output,
	.drained = drained,
	.flush = flush,
};
