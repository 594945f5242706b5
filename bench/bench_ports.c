/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ports - messages between the emulator and a port program
 *
 * Two emulators run ports.erl, one on all processors and one on one; each is
 * told what to measure with whom, a line at a time, and answers with a number.
 * Contestants are echo programs:
 *
 * tutorial        reads exactly, writes twice (tutorial_port.c)
 * blocking style  reclaim_port_read and _write (blocking_port.c)
 * libreclaim      a link on libuv's loop (loop_port.c)
 *
 * and, compared with the last, outlets of reclaim-host, by the functions of the
 * application: command, call and control; and its echo driver on a plain port.
 *
 * Run in the folder where it was built.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"

/* Of one turn; a quarter more before it, to warm up. */
#define MS 100

/* ---- two emulators ---- */

enum { TWO, ONE };

static struct emulator {
	FILE *to, *from;
} emulators[2];

static void start(struct emulator *emulator, int processors)
{
	int in[2], out[2];

	if (pipe(in) != 0 || pipe(out) != 0)
		bench_die("no pipe");
	if (fork() == 0) {
		bench_unpin();
		if (processors == ONE)
			bench_pin(0);
		dup2(in[0], 0);
		dup2(out[1], 1);
		closefrom(3);
		execlp("erl", "erl", "-noshell", "-pa", "bench", "erlang/ebin",
		       "-run", "ports", "main", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	emulator->to = fdopen(in[1], "we");
	emulator->from = fdopen(out[0], "re");
}

/* The emulators end with their input. */
static double ask(int processors, const char *work, const char *contestant)
{
	struct emulator *emulator = &emulators[processors];
	double value;

	if (!emulator->to)
		start(emulator, processors);
	fprintf(emulator->to, "%s %s %d\n", work, contestant, MS);
	fflush(emulator->to);
	if (fscanf(emulator->from, "%lf", &value) != 1)
		bench_die("the emulator did not do its work, in the folder "
			  "where it was built: apt install erlang-base");
	return value;
}

/* ---- contestants: one more is a line in each table here, and in ports.erl --
 */

#define ASK(work, processors, contestant)                          \
	static double work##_##processors##_##contestant(size_t n) \
	{                                                          \
		(void)n;                                           \
		return ask(processors, #work, #contestant);        \
	}

#define WORK(work, processors)                                                 \
	ASK(work, processors, loop)                                            \
	ASK(work, processors, tutorial)                                        \
	ASK(work, processors, blocking)                                        \
	static const struct contender work##_##processors[] = {                \
		{.name = "libreclaim", .value = work##_##processors##_loop},   \
		{.name = "tutorial", .value = work##_##processors##_tutorial}, \
		{.name = "blocking style",                                     \
		 .value = work##_##processors##_blocking},                     \
		{.name = NULL}};

WORK(call, TWO)
WORK(call, ONE)
WORK(many, TWO)
WORK(many, ONE)
WORK(calls, ONE)
WORK(echo64k, TWO)
WORK(echo64k4, TWO)
WORK(echo1m, TWO)
WORK(sink, TWO)

/* ---- through a host ---- */

#define HOST_WORK(work, processors)                                            \
	ASK(work, processors, outlet)                                          \
	ASK(work, processors, plain)                                           \
	static const struct contender work##_##processors##_host[] = {         \
		{.name = "libreclaim", .value = work##_##processors##_outlet}, \
		{.name = "bare loop", .value = work##_##processors##_loop},    \
		{.name = "driver, plain port",                                 \
		 .value = work##_##processors##_plain},                        \
		{.name = "blocking style",                                     \
		 .value = work##_##processors##_blocking},                     \
		{.name = NULL}};

HOST_WORK(call, TWO)
HOST_WORK(call, ONE)
HOST_WORK(many, TWO)
HOST_WORK(many, ONE)
HOST_WORK(echo64k4, TWO)
HOST_WORK(echo1m, TWO)

ASK(call, TWO, caller)
ASK(call, TWO, control)
ASK(call, TWO, beside)
ASK(many, TWO, beside)
ASK(opened, TWO, outlet)
ASK(opened, TWO, tutorial)
ASK(memory, TWO, outlet)
ASK(idle, TWO, outlet)

static const struct contender asked[] = {
	{.name = "libreclaim", .value = call_TWO_caller},
	{.name = "bare loop", .value = call_TWO_loop},
	{.name = "control", .value = call_TWO_control},
	{.name = NULL}};

static const struct contender call_beside[] = {
	{.name = "libreclaim", .value = call_TWO_beside},
	{.name = "without it", .value = call_TWO_outlet},
	{.name = NULL}};

static const struct contender many_beside[] = {
	{.name = "libreclaim", .value = many_TWO_beside},
	{.name = "without it", .value = many_TWO_outlet},
	{.name = NULL}};

static const struct contender opened[] = {
	{.name = "libreclaim", .value = opened_TWO_outlet},
	{.name = "a process", .value = opened_TWO_tutorial},
	{.name = NULL}};

static const struct contender memory[] = {
	{.name = "libreclaim", .value = memory_TWO_outlet}, {.name = NULL}};

static const struct contender idle[] = {
	{.name = "libreclaim", .value = idle_TWO_outlet}, {.name = NULL}};

/* Ratios of time: 1 / 12 is twelve times as fast. */
static const struct row rows[] = {
	{.what = "port: 64 B, call and answer, two processors",
	 .must = 1 / 12.0,
	 .aim = 1 / 14.0,
	 .contenders = call_TWO},
	{.what = "port: 64 B, call and answer, one processor",
	 .must = 1 / 0.95,
	 .aim = 1 / 1.05,
	 .contenders = call_ONE},
	{.what = "port: 64 B, 1,000 calls under way, two processors",
	 .must = 1 / 3.0,
	 .aim = 1 / 3.7,
	 .contenders = many_TWO},
	{.what = "port: 64 B, 1,000 calls under way, one processor",
	 .must = 1 / 1.5,
	 .aim = 1 / 1.65,
	 .contenders = many_ONE},
	{.what = "port: 64 B, 1,000 calls under way, one processor, "
		 "system calls for each",
	 .unit = "calls",
	 .must = 0.25,
	 .aim = 0.1,
	 .contenders = calls_ONE},
	{.what = "port: 64 KiB echoed, two processors",
	 .must = 1 / 3.6,
	 .aim = 1 / 4.4,
	 .contenders = echo64k_TWO},
	{.what = "port: 64 KiB echoed, four under way, two processors",
	 .must = 1 / 3.6,
	 .aim = 1 / 4.4,
	 .contenders = echo64k4_TWO},
	{.what = "port: 1 MiB echoed, two processors",
	 .must = 1 / 4.1,
	 .aim = 1 / 4.9,
	 .contenders = echo1m_TWO},
	{.what = "port: 64 B to the port only, two processors",
	 .must = 1 / 0.8,
	 .aim = 1.0,
	 .contenders = sink_TWO},
	{.what = "outlet: 64 B, command and answer, two processors",
	 .must = 1.25,
	 .contenders = call_TWO_host},
	{.what = "outlet: 64 B, command and answer, one processor",
	 .must = 1.25,
	 .contenders = call_ONE_host},
	{.what = "outlet: 64 B, reclaim:call, two processors",
	 .must = 1.25,
	 .contenders = asked},
	{.what = "outlet: 64 B, 1,000 commands under way, two processors",
	 .must = 1.25,
	 .contenders = many_TWO_host},
	{.what = "outlet: 64 B, 1,000 commands under way, one processor",
	 .must = 1.25,
	 .contenders = many_ONE_host},
	{.what = "outlet: 64 KiB echoed, four under way, two processors",
	 .must = 1.25,
	 .contenders = echo64k4_TWO_host},
	{.what = "outlet: 1 MiB echoed, two processors",
	 .must = 1.25,
	 .contenders = echo1m_TWO_host},
	{.what = "outlet: 64 B, command and answer, beside one that never "
		 "reads",
	 .must = 1.05,
	 .contenders = call_beside},
	{.what = "outlet: 64 B, 1,000 commands under way, beside one that "
		 "never reads",
	 .must = 1.05,
	 .contenders = many_beside},
	{.what = "outlet: opened, one echo, closed",
	 .must = 1 / 20.0,
	 .aim = 1 / 50.0,
	 .contenders = opened},
	{.what = "outlet: each of 10,000, memory of the host",
	 .unit = "B",
	 .must = 4096,
	 .most = 3,
	 .contenders = memory},
	{.what = "host: 10,000 outlets, context switches in 10 s of idleness",
	 .unit = "switches",
	 .most = 1,
	 .contenders = idle},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "messages between the emulator and a port");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
