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
		execlp("erl", "erl", "-noshell", "-pa", "bench", "-run",
		       "ports", "main", (char *)NULL);
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
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "messages between the emulator and a port");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
