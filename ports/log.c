/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/log_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ports/job_private.h"

#define TEXT_MAX 4000

/* So many wait for a loop that is held up; and while the port is full none. */
#define POSTED_MAX 256

static atomic_uint posted, dropped;

/* A frame of a log, as it is sent and as it waits. */
struct entry {
	struct post post;
	int level;
	uint64_t outlet;
	reclaim_tid task;
	char name[RECLAIM_NAME_MAX];
	char text[TEXT_MAX];
};

static void write_stderr(const char *text)
{
	char line[TEXT_MAX + 16];
	int n = snprintf(line, sizeof(line), "reclaim: %s\n", text);

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* there is nobody left to tell */
}

static void tell_dropped(void)
{
	char rest[64];
	unsigned n = atomic_exchange(&dropped, 0);

	if (!n)
		return;
	rest[0] = 0;
	snprintf(rest + 1, sizeof(rest) - 1, "%u lines of the log were dropped",
		 n);
	host_send(WIRE_LOG, RECLAIM_LOG_WARNING, 0, 0, rest,
		  1 + strlen(rest + 1));
}

static void send_entry(const struct entry *entry)
{
	char rest[1 + RECLAIM_NAME_MAX + TEXT_MAX];
	size_t name = strlen(entry->name), text = strlen(entry->text);

	if (!host.greeted || host.ended || host.options->plain) {
		write_stderr(entry->text);
		return;
	}
	if (link_is_full(host.link)) {
		dropped++;
		return;
	}
	tell_dropped();
	rest[0] = (char)name;
	memcpy(rest + 1, entry->name, name);
	memcpy(rest + 1 + name, entry->text, text);
	if (host_send(WIRE_LOG, (uint64_t)entry->level, entry->outlet,
		      entry->task, rest, 1 + name + text) < 0)
		write_stderr(entry->text);
}

static void send_posted(struct post *post)
{
	posted--;
	send_entry((struct entry *)post);
	free(post);
}

static void post_entry(const struct entry *entry)
{
	struct entry *copy = NULL;

	if (posted < POSTED_MAX)
		copy = malloc(sizeof(*copy));
	if (!copy) {
		dropped++;
		return;
	}
	posted++;
	*copy = *entry;
	copy->post.done = send_posted;
	if (host_post(&copy->post))
		return;
	write_stderr(copy->text);
	posted--;
	free(copy);
}

static void name_task(struct entry *entry, reclaim_tid task)
{
	struct reclaim_task_info info;

	entry->task = task;
	entry->name[0] = '\0';
	if (reclaim_task_info(task, &info) == 0)
		memcpy(entry->name, info.name, sizeof(entry->name));
}

/* A character that the end of the text has cut goes. */
static void drop_cut(char *text)
{
	size_t len = strlen(text), at = len;

	if (len < TEXT_MAX - 1)
		return;
	while (at > 0 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at > 0 && (unsigned char)text[at - 1] >= 0xc0)
		text[at - 1] = '\0';
}

__attribute__((format(printf, 4, 0))) static void
say(int level, uint64_t outlet, reclaim_tid task, const char *format,
    va_list args)
{
	struct entry entry = {.level = level, .outlet = outlet};

	vsnprintf(entry.text, sizeof(entry.text), format, args);
	drop_cut(entry.text);
	name_task(&entry, task);
	if (host_is_here())
		send_entry(&entry);
	else
		post_entry(&entry);
}

void log_say(int level, const struct reclaim_outlet *outlet, const char *format,
	     ...)
{
	va_list args;

	va_start(args, format);
	say(level, outlet ? outlet->id : 0,
	    outlet ? outlet->task : reclaim_self(), format, args);
	va_end(args);
}

void log_say_blocked(uint64_t outlet, const char *format, ...)
{
	struct entry entry = {.level = RECLAIM_LOG_WARNING, .outlet = outlet};
	va_list args;

	va_start(args, format);
	vsnprintf(entry.text, sizeof(entry.text), format, args);
	va_end(args);
	name_task(&entry, reclaim_self());
	write_stderr(entry.text);
	post_entry(&entry);
}

void reclaim_log(int level, const char *format, ...)
{
	va_list args;

	if (level < RECLAIM_LOG_ERROR)
		level = RECLAIM_LOG_ERROR;
	if (level > RECLAIM_LOG_DEBUG)
		level = RECLAIM_LOG_DEBUG;
	va_start(args, format);
	say(level, host_is_here() ? host.running : job_outlet(), reclaim_self(),
	    format, args);
	va_end(args);
}

/* ---- what the library reports ---- */

static int level_of(int severity)
{
	switch (severity) {
	case RECLAIM_ERROR:
		return RECLAIM_LOG_ERROR;
	case RECLAIM_WARNING:
		return RECLAIM_LOG_WARNING;
	default:
		return RECLAIM_LOG_NOTICE;
	}
}

static void report(int severity, const char *text, void *unused)
{
	(void)unused;
	reclaim_log(level_of(severity), "%s", text);
}

void log_take_reports(bool on)
{
	reclaim_on_report(on ? report : NULL, NULL);
}
