/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "preload/settings_private.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VARIABLE     "RECLAIM_BLOCK_"
#define DEFAULT_SIZE ((size_t)1 << 30)

/*
 * Without, an emulator with two busy schedulers takes half as long again; with
 * a quarter of this a few hundredths longer.
 */
#define DEFAULT_FRONT ((size_t)256 << 10)

struct settings settings = {.misuse = MISUSE_WARN};

/* ---- saying ---- */

static int told_to = STDERR_FILENO;
static struct stat stderr_at_start;

/* Some programs close it before they end, to see whether all was written. */
void settings_keep_stderr(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);

	if (fd >= 0 && fstat(fd, &stderr_at_start) == 0)
		told_to = fd;
}

/* Whether the descriptor that was kept is the same file yet. */
static bool is_ours(int fd)
{
	struct stat now;

	return fd == STDERR_FILENO ||
	       (fstat(fd, &now) == 0 && now.st_dev == stderr_at_start.st_dev &&
		now.st_ino == stderr_at_start.st_ino);
}

/* A line on stderr, in one piece and without memory. */
void say(const char *format, ...)
{
	char line[512];
	int saved = errno, n;
	va_list args;

	n = snprintf(line, sizeof(line),
		     "reclaim-block: %s %d: ", settings.program, (int)getpid());
	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (!is_ours(told_to))
		told_to = STDERR_FILENO;
	/* write(2) would be a point of cancellation, within malloc. */
	syscall(SYS_write, told_to, line, (size_t)n);
	errno = saved;
}

/* ---- reading ---- */

/* A number of bytes, with K, M, G or T behind it. */
static bool is_bytes(const char *text, size_t *bytes)
{
	static const char units[] = "kmgt";
	unsigned long long value;
	const char *unit;
	char *end;

	value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (*text < '0' || *text > '9' || (*end && (!unit || end[1])))
		return false;
	for (; unit && unit >= units; unit--)
		if (__builtin_mul_overflow(value, 1024, &value))
			return false;
	*bytes = value;
	return true;
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

size_t settings_size(void)
{
	const char *text = setting(VARIABLE "SIZE");
	size_t size = DEFAULT_SIZE;

	if (!text || (is_bytes(text, &size) && size >= BLOCK_LEAST))
		return size;
	say("RECLAIM_BLOCK_SIZE=%s is no size of 64K or more: the program runs "
	    "outside of a block",
	    text);
	return 0;
}

static size_t wanted_front(void)
{
	const char *text = setting(VARIABLE "FRONT");
	size_t bytes = DEFAULT_FRONT;

	if (text && !is_bytes(text, &bytes))
		say("RECLAIM_BLOCK_FRONT=%s is no number of bytes: it is 256K",
		    text);
	return bytes;
}

enum block_policy settings_policy(void)
{
	const char *name = setting(VARIABLE "POLICY");
	int policy = name ? block_policy(name) : BLOCK_AOFF;

	if (policy >= 0)
		return (enum block_policy)policy;
	say("RECLAIM_BLOCK_POLICY=%s is none of \"aoff\", \"aobf\" and \"bf\": "
	    "it is aoff",
	    name);
	return BLOCK_AOFF;
}

/* The number of a variable's value among some, or of the default. */
static int choice(const char *name, const char *const values[], int otherwise)
{
	const char *value = setting(name);
	int i;

	for (i = 0; value && values[i]; i++)
		if (strcmp(values[i], value) == 0)
			return i;
	if (value)
		say("%s=%s is not known: it is %s", name, value,
		    values[otherwise]);
	return otherwise;
}

void settings_read(void)
{
	static const char *const full[] = {"fail", "spill", NULL};
	static const char *const misuse[] = {"off", "warn", "abort", NULL};
	static const char *const tell[] = {
		"none", "exit", "signal", "exit,signal", "signal,exit", NULL};
	int when = choice(VARIABLE "STATS", tell, 0);
	const char *svg = setting(VARIABLE "SVG");

	settings.front = wanted_front();
	settings.spill = choice(VARIABLE "FULL", full, 0);
	settings.misuse =
		(enum misuse)choice(VARIABLE "MISUSE", misuse, MISUSE_WARN);
	settings.at_exit = when == 1 || when > 2;
	settings.on_signal = when > 1;
	if (svg)
		snprintf(settings.svg, sizeof(settings.svg), "%s", svg);
}

/* RECLAIM_BLOCK_ONLY: a pattern for the name of the program that is meant. */
bool settings_mean_this(void)
{
	const char *pattern = setting(VARIABLE "ONLY"), *name;
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[len > 0 ? len : 0] = '\0';
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	snprintf(settings.program, sizeof(settings.program), "%.63s", name);
	return !pattern || fnmatch(pattern, name, 0) == 0;
}

/* ---- what is started by the program is outside ---- */

/* Without what asked for this library, and is a path that ends in its name. */
static void take_out_of_preload(void)
{
	static const char name[] = "libreclaim-block.so";
	char *value = getenv("LD_PRELOAD"), *from = value, *to = value, *last;
	size_t len;

	while (from && *from) {
		len = strcspn(from, ": ");
		last = memrchr(from, '/', len);
		last = last ? last + 1 : from;
		if (len && strncmp(last, name, sizeof(name) - 1) != 0) {
			if (to != value)
				*to++ = ':';
			memmove(to, from, len);
			to += len;
		}
		from += len + (from[len] != '\0');
	}
	if (to)
		*to = '\0';
	if (to && to == value)
		unsetenv("LD_PRELOAD");
}

static void take_out_settings(void)
{
	size_t len = sizeof(VARIABLE) - 1;
	char **from = environ, **to = environ;

	for (; from && *from; from++)
		if (strncmp(*from, VARIABLE, len) != 0)
			*to++ = *from;
	if (to)
		*to = NULL;
}

void settings_take_out(void)
{
	const char *inherit = setting(VARIABLE "INHERIT");

	if (inherit && strcmp(inherit, "1") == 0)
		return;
	take_out_of_preload();
	take_out_settings();
}
