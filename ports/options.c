/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the command line of reclaim-host
 *
 * Each option is a row of a table: its name, what follows it, what it is for,
 * and for a number where that goes and what it may be.  --help is made of the
 * same rows, so that what it says of defaults is so.
 */
#include "config.h"

#include "ports/options_private.h"

#include <reclaim/frame.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

struct option_row {
	const char *name;
	const char *value; /* what follows is called so; NULL: nothing does */
	const char *help;  /* its lines */
	/* A number goes to a field of so many bytes, there. */
	size_t size, offset;
	uint64_t min, max;
	bool has_unit; /* K, M or G may follow it */
	bool is_optional;
};

/* clang-format off */
#define FIELD(field, least, most)                                              \
	.size = sizeof(((struct host_options *)0)->field),                     \
	.offset = offsetof(struct host_options, field),                        \
	.min = (least), .max = (most), .is_optional = false
#define NUMBER(...) FIELD(__VA_ARGS__), .has_unit = false
#define SIZE(...)   FIELD(__VA_ARGS__), .has_unit = true
/* clang-format on */

static const struct option_row rows[] = {
	{
		.name = "drivers",
		.value = "DIR",
		.help = "load drivers, NAME.so, from there; may be repeated",
	},
	{
		.name = "plain",
		.value = "DRIVER",
		.help = "one outlet of DRIVER, or of the first built in: each\n"
			"frame is data, as for a program made for one port",
		.is_optional = true,
	},
	{
		.name = "nouse-stdio",
		.help = "fds 3 and 4 are the port, as with open_port's\n"
			"nouse_stdio",
	},
	{.name = "list", .help = "write what drivers there are, and end"},
	{"outlets", "N", "of a client at once",
	 NUMBER(max_outlets, 1, UINT32_MAX)},
	{"client-bytes", "SIZE", "memory of a client, with its outlets'",
	 SIZE(client.bytes, 0, SIZE_MAX / 2)},
	{"client-handles", "N", "handles of a client, with its outlets'",
	 NUMBER(client.handles, 0, UINT32_MAX)},
	{"bytes", "SIZE", "memory of an outlet",
	 SIZE(outlet.bytes, 0, SIZE_MAX / 2)},
	{"handles", "N", "handles of an outlet",
	 NUMBER(outlet.handles, 0, UINT32_MAX)},
	{"calls", "N", "calls under way in an outlet",
	 NUMBER(max_calls, 1, UINT32_MAX)},
	{"window", "SIZE", "data sent to an outlet and not yet taken",
	 SIZE(window, 1 * KIB, 1024 * MIB)},
	{"max-frame", "SIZE", "the longest frame, either way",
	 SIZE(max_frame, 1 * KIB, INT_MAX)},
	{"jobs", "N", "threads that run jobs", NUMBER(jobs, 1, 1024)},
	{"spin", "US", "look for more so long before sleeping; 0: never",
	 NUMBER(spin_us, 0, 1000000)},
	{"watchdog", "MS", "tell of a callback that takes longer; 0: never",
	 NUMBER(watchdog_ms, 0, INT_MAX)},
	{.name = "version", .help = "which one this is"},
	{.name = "help", .help = "this"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

enum { UNKNOWN = '?', MISSING = ':', FIRST_ROW = 256 };

/* ---- defaults ---- */

/* Processors that this process may use. */
static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0
		       ? (unsigned)CPU_COUNT(&set)
		       : 1;
}

/*
 * Four jobs, or as many as there are processors: most of what they do is to
 * wait.
 */
static void set_defaults(struct host_options *options)
{
	unsigned n = processors();

	*options = (struct host_options){
		.client = {4096 * MIB, 65536},
		.outlet = {1024 * MIB, 4096},
		.max_outlets = 65536,
		.max_calls = 4096,
		.window = 256 * KIB,
		.max_frame = RECLAIM_MAX_FRAME,
		.jobs = n > 4 ? n : 4,
		.spin_us = 50,
		.watchdog_ms = 1000,
	};
}

/* ---- numbers ---- */

static uint64_t get_number(const struct host_options *options,
			   const struct option_row *row)
{
	const char *at = (const char *)options + row->offset;
	uint32_t small;
	uint64_t large;

	if (row->size == sizeof(small)) {
		memcpy(&small, at, sizeof(small));
		return small;
	}
	memcpy(&large, at, sizeof(large));
	return large;
}

static void set_number(struct host_options *options,
		       const struct option_row *row, uint64_t value)
{
	char *at = (char *)options + row->offset;
	uint32_t small = (uint32_t)value;

	if (row->size == sizeof(small))
		memcpy(at, &small, sizeof(small));
	else
		memcpy(at, &value, sizeof(value));
}

_Static_assert(sizeof(unsigned) == 4, "a number's field has 4 bytes or 8");
_Static_assert(sizeof(size_t) == 8, "a number's field has 4 bytes or 8");

/* How far its unit shifts a number; -1: that is none. */
static int shift_of(const char *unit)
{
	static const char *const units[] = {"", "K", "M", "G"};
	int i;

	for (i = 0; i < 4; i++)
		if (!strcmp(unit, units[i]))
			return 10 * i;
	return -1;
}

static bool read_number(const char *text, bool has_unit, uint64_t *value)
{
	char *end;
	int shift;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	shift = shift_of(end);
	if (errno || shift < 0 || (shift && !has_unit) ||
	    *value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

/* 256K rather than 262144, where it is a size. */
static void write_number(char *buf, size_t len, const struct option_row *row,
			 uint64_t value)
{
	int i = 0;

	while (row->has_unit && value && value % KIB == 0 && i < 3) {
		value /= KIB;
		i++;
	}
	snprintf(buf, len, "%" PRIu64 "%.*s", value, i > 0,
		 &"KMG"[i - (i > 0)]);
}

/* ---- what is said ---- */

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "reclaim-host";
}

static void __attribute__((format(printf, 2, 3)))
complain(const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", name);
	vfprintf(stderr, format, args);
	fprintf(stderr, "; %s --help says more\n", name);
	va_end(args);
}

static void complain_of_number(const char *name, const struct option_row *row,
			       const char *text)
{
	char min[32], max[32];

	write_number(min, sizeof(min), row, row->min);
	write_number(max, sizeof(max), row, row->max);
	complain(name, "--%s %s: a number from %s to %s is wanted%s", row->name,
		 text, min, max,
		 row->has_unit ? ", with K, M or G behind it if you like" : "");
}

static void print_default(const struct host_options *defaults,
			  const struct option_row *row)
{
	uint64_t value = get_number(defaults, row);
	char text[32];

	write_number(text, sizeof(text), row, value);
	printf(" (%s)", text);
}

static void print_row(const struct host_options *defaults,
		      const struct option_row *row)
{
	char left[32];
	const char *line = row->help, *end;

	snprintf(left, sizeof(left), "--%s%s%s%s", row->name,
		 row->is_optional ? "[="
		 : row->value	  ? " "
				  : "",
		 row->value ? row->value : "", row->is_optional ? "]" : "");
	printf("  %-21s ", left);
	while ((end = strchr(line, '\n'))) {
		printf("%.*s\n%24s", (int)(end - line), line, "");
		line = end + 1;
	}
	fputs(line, stdout);
	if (row->size)
		print_default(defaults, row);
	putchar('\n');
}

static void print_help(const char *name)
{
	struct host_options defaults;
	size_t i;

	set_defaults(&defaults);
	printf("usage: %s [OPTION ...]\n\n"
	       "Serves many conversations with the Erlang processes of one "
	       "emulator over one\nport; each ends with the process that "
	       "opened "
	       "it, and all that it holds.  It is\nstarted by the emulator:\n\n"
	       "    {ok, Host} = reclaim:start_host(#{program => \"%s\"})\n\n",
	       name, name);
	for (i = 0; i < ROWS; i++)
		print_row(&defaults, &rows[i]);
	fputs("\nIn parentheses: what is meant where nothing is said.  SIZE is "
	      "in bytes, or in\nK, M or G of 1024.  0 for bytes or handles: no "
	      "limit.\n",
	      stdout);
}

/* Somebody started it by hand, and would wait for ever. */
static void explain(const char *name)
{
	fprintf(stderr,
		"%s: an Erlang emulator is to start this program, as a port; "
		"its input is a terminal.\n\n"
		"In Erlang:\n\n"
		"    {ok, Host} = reclaim:start_host(#{program => \"%s\"}),\n"
		"    {ok, Outlet} = reclaim:open(Host, echo, []).\n\n"
		"What it can do: %s --help, and %s --list for its drivers.\n",
		name, name, name, name);
}

/* ---- the command line ---- */

static int add_directory(struct host_options *options, const char *path)
{
	size_t count = 0;
	const char **grown;

	while (options->directories && options->directories[count])
		count++;
	grown = reallocarray(options->directories, count + 2, sizeof(*grown));
	if (!grown)
		return -1;
	grown[count] = path;
	grown[count + 1] = NULL;
	options->directories = grown;
	return 0;
}

/* -1: go on; else an exit status. */
static int take_number(struct host_options *options, const char *name,
		       const struct option_row *row, const char *text)
{
	uint64_t value;

	if (!read_number(text, row->has_unit, &value) || value < row->min ||
	    value > row->max) {
		complain_of_number(name, row, text);
		return 2;
	}
	set_number(options, row, value);
	return -1;
}

static int take_word(struct host_options *options, const char *name,
		     const char *word, const char *value)
{
	if (!strcmp(word, "help")) {
		print_help(name);
		return 0;
	}
	if (!strcmp(word, "version")) {
		printf("%s (%s)\n", name, PACKAGE_STRING);
		return 0;
	}
	if (!strcmp(word, "drivers") && add_directory(options, value) < 0) {
		complain(name, "--drivers %s: %s", value, strerror(errno));
		return 2;
	}
	if (!strcmp(word, "plain")) {
		options->plain = true;
		options->plain_driver = value;
	}
	options->nouse_stdio |= !strcmp(word, "nouse-stdio");
	options->list |= !strcmp(word, "list");
	return -1;
}

static void make_table(struct option table[ROWS + 1])
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		table[i] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].is_optional ? optional_argument
				   : rows[i].value     ? required_argument
						       : no_argument,
			.val = FIRST_ROW + (int)i,
		};
	table[ROWS] = (struct option){NULL, 0, NULL, 0};
}

static int take(struct host_options *options, const char *name, int found,
		char **argv)
{
	const struct option_row *row;

	if (found == UNKNOWN || found == MISSING) {
		complain(name,
			 found == MISSING ? "%s: something is to follow it"
			 : optopt >= FIRST_ROW
				 ? "%s: nothing is to follow it"
				 : "%s: there is no such option, or several",
			 argv[optind - 1]);
		return 2;
	}
	row = &rows[found - FIRST_ROW];
	return row->size ? take_number(options, name, row, optarg)
			 : take_word(options, name, row->name, optarg);
}

int options_read(struct host_options *options, int argc, char **argv)
{
	struct option table[ROWS + 1];
	const char *name = base_name(argc > 0 ? argv[0] : NULL);
	int found, result = -1;

	set_defaults(options);
	make_table(table);
	optind = 0; /* somebody may have used it before */
	opterr = 0;
	while (result < 0 &&
	       (found = getopt_long(argc, argv, "+:", table, NULL)) != -1)
		result = take(options, name, found, argv);
	if (result < 0 && argv[optind]) {
		complain(name, "%s: only options are wanted", argv[optind]);
		result = 2;
	}
	if (result < 0 && options->outlet.bytes &&
	    options->outlet.bytes < options->window) {
		complain(name, "--bytes is less than --window: what an outlet "
			       "may be sent is to have room in it");
		result = 2;
	}
	if (result < 0 && !options->list && !options->nouse_stdio &&
	    isatty(STDIN_FILENO)) {
		explain(name);
		result = 2;
	}
	return result;
}

void options_end(struct host_options *options)
{
	free(options->directories);
	options->directories = NULL;
}
