/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/harness.h"

#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/peers.h"
#include "bench/steps.h"

#define CONTENDERS_MAX 16
#define ROUNDS_MAX     99
#define TURNS	       3   /* of each contender, in a round */
#define BATCH_NS       5e6 /* the least: long against a tick and a clock */

static const char *program;
static unsigned rounds = 9;
static uint64_t seed = 1;
static bool with_head = true;
static const char *only = ""; /* rows that hold this */
static cpu_set_t given;	      /* processors */

void bench_die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program ? program : "bench");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- random numbers ---- */

/* Steele, Lea and Flood's SplitMix64. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void random_numbers(uint32_t *to, size_t n, uint32_t lo, uint32_t hi)
{
	uint64_t state = seed;

	for (size_t i = 0; i < n; i++)
		to[i] = lo + (uint32_t)(next_random(&state) % (hi - lo + 1));
}

void random_order(uint32_t *to, size_t n)
{
	uint64_t state = ~seed;

	for (size_t i = 0; i < n; i++) {
		size_t j = next_random(&state) % (i + 1);

		to[i] = to[j];
		to[j] = (uint32_t)i;
	}
}

/* ---- one batch ---- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t reading(const struct batch *batch)
{
	if (batch->in == STEPS)
		return steps_counted();
	return clock_ns(batch->in == USED ? CLOCK_THREAD_CPUTIME_ID
					  : CLOCK_MONOTONIC);
}

void batch_start(struct batch *batch)
{
	if (batch->gate)
		pthread_barrier_wait(batch->gate);
	batch->began = reading(batch);
	if (batch->in == STEPS)
		steps_on();
}

void batch_stop(struct batch *batch, uint64_t ops)
{
	if (batch->in == STEPS)
		steps_off();
	batch->spent += reading(batch) - batch->began;
	batch->ops += ops;
}

/* An eighth first, to warm up; then as often as it takes. */
static double batch_time(work_fn *work, struct batch as, size_t *times)
{
	struct batch batch = as;
	double more;

	batch.times = *times / 8 + 1;
	work(&batch);
	while (*times == 0 || batch.times != *times ||
	       (double)batch.spent < BATCH_NS) {
		if (*times == 0 || batch.times == *times) {
			more = 1.3 * BATCH_NS / (double)(batch.spent + 1);
			more = more > 16 ? 16 : more;
			*times = (size_t)((double)batch.times * more) + 1;
		}
		batch = as;
		batch.times = *times;
		work(&batch);
	}
	return (double)batch.spent / (double)batch.ops;
}

double bench_time(work_fn *work, size_t n, size_t *times)
{
	return batch_time(work, (struct batch){.n = n, .in = USED}, times);
}

/* What beginning and ending an owner takes is in both counts, and cancels. */
static double count(work_fn *work, size_t n, size_t times)
{
	struct batch warm = {.n = n, .times = times};
	struct batch some = {.n = n, .times = times, .in = STEPS};
	struct batch twice = {.n = n, .times = 2 * times, .in = STEPS};

	work(&warm);
	work(&some);
	work(&twice);
	return (double)(twice.spent - some.spent) /
	       (double)(twice.ops - some.ops);
}

/* ---- a row's results ---- */

struct result {
	const char *name;
	const struct contender *by;
	size_t times;		  /* of a batch */
	double value[ROUNDS_MAX]; /* as measured */
	double shown[ROUNDS_MAX]; /* the ratio, or the value itself */
	double median, least, most;
};

static double measure(const struct row *row, struct result *result)
{
	const struct contender *by = result->by;
	struct batch as = {.n = row->n, .in = row->elapsed ? ELAPSED : USED};

	if (by->value)
		return by->value(row->n);
	if (row->count)
		return count(by->work, row->n, row->count);
	return batch_time(by->work, as, &result->times);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int by_median(const void *a, const void *b)
{
	return by_value(&((const struct result *)a)->median,
			&((const struct result *)b)->median);
}

static double median(double *value, unsigned n)
{
	qsort(value, n, sizeof(*value), by_value);
	return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

static void settle(struct result *result, const struct result *base,
		   const struct row *row, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		double value = result->value[i];

		if (!row->unit)
			value /= base->value[i];
		else if (row->beyond)
			value -= base->value[i];
		result->shown[i] = value;
	}
	result->median = median(result->shown, n);
	result->least = result->shown[0];
	result->most = result->shown[n - 1];
}

/* ---- the table ---- */

static void print_number(double value)
{
	double size = value < 0 ? -value : value;

	if (size >= 99.95)
		printf("%.0f", value);
	else if (size >= 9.995)
		printf("%.1f", value);
	else if (size >= 0.0995)
		printf("%.2f", value);
	else
		printf("%.2g", value);
}

static void print_time(double ns)
{
	const char *unit = " ns";

	if (ns >= 1e6) {
		ns /= 1e6;
		unit = " ms";
	} else if (ns >= 1e4) {
		ns /= 1e3;
		unit = " us";
	}
	print_number(ns);
	fputs(unit, stdout);
}

static void print_target(double target)
{
	printf(" | ");
	if (target != 0)
		print_number(target);
}

static void print_result(const struct row *row, struct result *result,
			 bool is_base, unsigned n)
{
	if (row->beyond && is_base) {
		printf("themselves ");
		print_number(median(result->value, n));
		printf(" %s", row->unit);
		return;
	}
	print_number(result->median);
	if (row->unit)
		printf(" %s", row->unit);
	if (result->most - result->least > 0.01 * result->median) {
		printf(" (");
		print_number(result->least);
		printf(" to ");
		print_number(result->most);
		putchar(')');
	}
	if (!row->unit) {
		printf(", ");
		print_time(median(result->value, n));
	}
}

static const char *reached(const struct row *row, double value)
{
	if (row->must == 0 && row->aim == 0)
		return "";
	if (row->aim != 0 && value <= row->aim)
		return "aim";
	return row->must != 0 && value <= row->must ? "must" : "no";
}

static void print_row(const struct row *row, struct result *result,
		      unsigned many, unsigned n)
{
	const char *base = result[1].name;

	printf("| %s | ", row->what);
	print_result(row, &result[0], false, n);
	print_target(row->must);
	print_target(row->aim);
	printf(" | %s | ", reached(row, result[0].median));
	qsort(result + 1, many - 1, sizeof(*result), by_median);
	for (unsigned i = 1; i < many; i++) {
		printf("%s%s ", i > 1 ? "; " : "", result[i].name);
		print_result(row, &result[i], result[i].name == base, n);
	}
	puts(" |");
	fflush(stdout);
}

/* Those that are here.  Returns how many. */
static unsigned enter(struct result *result, const struct contender *by)
{
	unsigned many = 0;

	for (; by->name || by->peer; by++) {
		if (by->peer && by->peer->here && !*by->peer->here)
			continue;
		result[many].by = by;
		result[many].name = by->peer ? by->peer->name : by->name;
		result[many++].times = 0;
	}
	return many;
}

static void one_round(const struct row *row, struct result *result,
		      unsigned many, unsigned round)
{
	unsigned turns = row->unit ? 1 : TURNS;

	for (unsigned i = 0; i < turns * many; i++) {
		struct result *in = &result[(round + i / many + i) % many];
		double value = measure(row, in);

		if (i < many || value < in->value[round])
			in->value[round] = value;
	}
}

void bench_row(const struct row *row)
{
	struct result result[CONTENDERS_MAX];
	unsigned n = row->most && row->most < rounds ? row->most : rounds;
	unsigned many = enter(result, row->contenders);
	uint64_t began = clock_ns(CLOCK_MONOTONIC);

	if (!strstr(row->what, only) || (row->count && !CAN_STEP))
		return;
	fprintf(stderr, "%s: %s ...", program, row->what);
	for (unsigned i = 0; i < n; i++)
		one_round(row, result, many, i);
	for (unsigned i = 0; i < many; i++)
		settle(&result[i], &result[1], row, n);
	fprintf(stderr, " %.1f s\n",
		(double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9);
	print_row(row, result, many, n);
}

/* ---- the head of the table: how it was measured ---- */

/* What follows "key" and a colon in a file of /proc, or "". */
static const char *field(const char *file, const char *key)
{
	static char line[256];
	FILE *from = fopen(file, "r");
	char *value = NULL;

	while (from && !value && fgets(line, sizeof(line), from))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strchr(line, ':');
	if (from)
		fclose(from);
	if (!value)
		return "";
	value += strspn(value, ": \t");
	value[strcspn(value, "\n")] = 0;
	return value;
}

static void print_machine(void)
{
	struct utsname os;
	char date[32];
	time_t t = time(NULL);
	double load = 0;

	uname(&os);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", gmtime(&t));
	getloadavg(&load, 1);
	printf("%s, %d processors (load %.1f at the beginning), %s %s;\n",
	       field("/proc/cpuinfo", "model name"), CPU_COUNT(&given), load,
	       os.sysname, os.release);
	printf("gcc %s, `%s`; %s.", __VERSION__, BENCH_COMPILER, date);
}

static void print_head(int argc, char **argv)
{
	const char *command = getenv("BENCH_COMMAND");

	printf("Measured by `%s", command ? command : program);
	for (int i = 1; i < argc && !command; i++)
		printf(" %s", argv[i]);
	printf("` on\n");
	print_machine();
	peers_begin(stdout);
	printf("\n\nContenders take turns, in one process; each has %d turns "
	       "of %.0f ms or more in\na round, the best of which counts, and "
	       "who begins rotates. Shown is the median\nof %u rounds (of 3, "
	       "or 5, where no time is shown), then the least and the most.\n"
	       "A number without a unit is the ratio to the peer with 1.00, "
	       "taken within a\nround. Time is the thread's own processor "
	       "time, where there is but one thread.\nLower is better "
	       "everywhere. Random seed %llu.\n\n",
	       TURNS, BATCH_NS / 1e6, rounds, (unsigned long long)seed);
	puts("| work | libreclaim | must | aim | reached | peers, best first "
	     "|\n|---|---|---|---|---|---|");
	fflush(stdout);
}

/* ---- beginning ---- */

void bench_pin(unsigned i)
{
	cpu_set_t one;

	i %= (unsigned)CPU_COUNT(&given);
	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &given) && i-- == 0)
			CPU_SET(cpu, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

void bench_unpin(void)
{
	pthread_setaffinity_np(pthread_self(), sizeof(given), &given);
}

/*
 * jemalloc wants 2.6 KiB of what threads have statically, more than the
 * dynamic loader keeps for libraries that come late, unless it is told to
 * before the program starts.
 */
static void keep_static_tls(char **argv)
{
	const char *before = getenv("GLIBC_TUNABLES");
	char all[512];

	if (before && strstr(before, "optional_static_tls"))
		return;
	snprintf(all, sizeof(all), "%s%sglibc.rtld.optional_static_tls=8192",
		 before ? before : "", before ? ":" : "");
	setenv("GLIBC_TUNABLES", all, 1);
	execv("/proc/self/exe", argv);
}

static void usage(const char *about)
{
	printf("usage: %s [OPTION...]\n\n"
	       "Measures %s.\n\n"
	       "  --rounds N   how many, 1 to %d [%u]\n"
	       "  --seed N     of random sizes and orders [%llu]\n"
	       "  --only TEXT  only rows with this in their name\n"
	       "  --no-head    only the rows of the table\n"
	       "  --help       this\n",
	       program, about, ROUNDS_MAX, rounds, (unsigned long long)seed);
	exit(0);
}

static void options(int argc, char **argv, const char *about)
{
	static const struct option known[] = {
		{"rounds", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"only", required_argument, NULL, 'o'},
		{"no-head", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'r':
			rounds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			only = optarg;
			break;
		case 'n':
			with_head = false;
			break;
		case 'h':
			usage(about);
			break;
		default:
			exit(2);
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || optind < argc) {
		fprintf(stderr, "%s: see --help\n", program);
		exit(2);
	}
}

void bench_begin(int argc, char **argv, const char *about)
{
	FILE *nowhere;

	program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	if (strncmp(program, "lt-", 3) == 0)
		program += 3;
	options(argc, argv, about);
	keep_static_tls(argv);
	sched_getaffinity(0, sizeof(given), &given);
	bench_pin((unsigned)CPU_COUNT(&given) - 1); /* the first has more to
						       do for the kernel */
	steps_begin();
	if (with_head) {
		print_head(argc, argv);
		return;
	}
	nowhere = fopen("/dev/null", "w");
	peers_begin(nowhere);
	fclose(nowhere);
}
