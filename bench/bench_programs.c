/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_programs - whole programs, with their malloc in a block and without
 *
 * Programs that know nothing of libreclaim, from their start to their end, by
 * a clock on the wall and on all processors.  Outside the block malloc is
 * glibc's; the emulator has +Mea min both times, so that malloc serves all of
 * its allocators.  Run in the folder where it was built.
 */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"

#define BLOCK "--block=1G"

static const char sql[] =
	"create table t(a integer primary key, b text, c real);"
	"with recursive n(i) as (select 1 union all select i + 1 from n "
	"where i < 60000) insert into t select i, hex(randomblob(i % 60)), "
	"i * 0.5 from n;"
	"create index by_b on t(b);"
	"select count(*), sum(c) from t where b > 'A' group by length(b);"
	"delete from t where a % 3 = 0;"
	"select b from t order by b desc, c;";

static const char python[] =
	"d = {}\n"
	"for i in range(150000):\n"
	"    d['key%d' % (i % 40000)] = [str(i) * (i % 7), (i, i + 1)]\n"
	"print(sum(len(v[0]) for v in d.values()), len(repr(d)))\n";

static const char perl[] =
	"my %h; for my $i (1 .. 200000) { $h{$i % 50000} = [ 'x' x ($i % 300), "
	"{ n => $i } ]; } my $n = 0; $n += length $_->[0] for values %h; "
	"print join(',', sort map { $_->[1]{n} } values %h), $n;";

/* ---- running ---- */

static posix_spawn_file_actions_t nowhere;

static void run_once(struct batch *batch, const char *const argv[])
{
	pid_t pid;
	int status, error;

	batch_start(batch);
	error = posix_spawnp(&pid, argv[0], &nowhere, NULL,
			     (char *const *)(uintptr_t)argv, environ);
	if (error || waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("%s did not do its work: apt install erlang-base "
			  "sqlite3 python3-minimal perl",
			  argv[0]);
	batch_stop(batch, 1);
}

static void run(struct batch *batch, const char *const argv[])
{
	bench_unpin();
	for (size_t t = 0; t < batch->times; t++)
		run_once(batch, argv);
}

#define ARGV(...) ((const char *[]){__VA_ARGS__, NULL})
#define IN_BLOCK(policy, ...)                                        \
	ARGV("preload/reclaim-run", BLOCK, "--policy=" policy, "--", \
	     __VA_ARGS__)

/* Without what threads keep. */
#define EXACT(...) \
	ARGV("preload/reclaim-run", BLOCK, "--front=0", "--", __VA_ARGS__)

#define EMULATOR(rounds) \
	"-noshell", "-pa", "bench", "-run", "mixed", "main", rounds

#define BY(who)                                                \
	static const struct contender who##_by[] = {           \
		{.name = "aoff", .work = who##_aoff},          \
		{.name = "outside", .work = who##_outside},    \
		{.name = "aobf", .work = who##_aobf},          \
		{.name = "aoff exactly", .work = who##_exact}, \
		{.name = NULL}}

#define PROGRAM(who, ...)                                  \
	static void who##_outside(struct batch *batch)     \
	{                                                  \
		run(batch, ARGV(__VA_ARGS__));             \
	}                                                  \
	static void who##_aoff(struct batch *batch)        \
	{                                                  \
		run(batch, IN_BLOCK("aoff", __VA_ARGS__)); \
	}                                                  \
	static void who##_aobf(struct batch *batch)        \
	{                                                  \
		run(batch, IN_BLOCK("aobf", __VA_ARGS__)); \
	}                                                  \
	static void who##_exact(struct batch *batch)       \
	{                                                  \
		run(batch, EXACT(__VA_ARGS__));            \
	}                                                  \
	BY(who)

PROGRAM(sqlite, "sqlite3", ":memory:", sql);
PROGRAM(python, "/usr/bin/python3", "-c", python);
PROGRAM(perl, "perl", "-e", perl);

static void emulator_outside(struct batch *batch)
{
	run(batch, ARGV("erl", "+Mea", "min", EMULATOR("8")));
}

static void emulator_aoff(struct batch *batch)
{
	run(batch, ARGV("preload/reclaim-erl", BLOCK, "--", EMULATOR("8")));
}

static void emulator_aobf(struct batch *batch)
{
	run(batch, ARGV("preload/reclaim-erl", BLOCK, "--policy=aobf", "--",
			EMULATOR("8")));
}

static void emulator_exact(struct batch *batch)
{
	run(batch, ARGV("preload/reclaim-erl", BLOCK, "--front=0", "--",
			EMULATOR("8")));
}

BY(emulator);

static const struct row rows[] = {
	{.what = "the emulator in a block: ets, binaries, processes, messages",
	 .elapsed = true,
	 .most = 7,
	 .must = 1.10,
	 .contenders = emulator_by},
	{.what = "sqlite3 in a block: tables, an index, sorting",
	 .elapsed = true,
	 .most = 7,
	 .contenders = sqlite_by},
	{.what = "python3 in a block: dicts, lists, strings",
	 .elapsed = true,
	 .most = 7,
	 .contenders = python_by},
	{.what = "perl in a block: hashes, arrays, strings",
	 .elapsed = true,
	 .most = 7,
	 .contenders = perl_by},
};

/* From the folder where all was built, and not yet installed. */
static void find_parts(void)
{
	char here[PATH_MAX - 64], path[PATH_MAX];

	if (!getcwd(here, sizeof(here)))
		bench_die("the folder has no name: %m");
	snprintf(path, sizeof(path), "%s/.libs/libreclaim-block.so", here);
	if (access(path, R_OK) != 0)
		bench_die("%s: %m; run it in the folder where it was built",
			  path);
	setenv("RECLAIM_BLOCK_LIBRARY", path, 1);
	snprintf(path, sizeof(path), "%s/erlang/ebin", here);
	setenv("RECLAIM_BLOCK_MODULES", path, 1);
	unsetenv("GLIBC_TUNABLES");
	posix_spawn_file_actions_init(&nowhere);
	posix_spawn_file_actions_addopen(&nowhere, STDOUT_FILENO, "/dev/null",
					 O_WRONLY, 0);
}

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "whole programs in a block");
	find_parts();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
