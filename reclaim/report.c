/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/report_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reclaim/hash_private.h"
#include "reclaim/place_private.h"
#include "reclaim/queue_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

/* ---- speaking ---- */

static struct {
	void (*hook)(int severity, const char *text, void *arg);
	void *arg;
} listener;

int reclaim_on_report(void (*hook)(int severity, const char *text, void *arg),
		      void *arg)
{
	lock_take(&tables);
	listener.hook = hook;
	listener.arg = arg;
	lock_drop(&tables);
	return 0;
}

/* One write, so that lines of several processes do not mix. */
static void write_stderr(const char *text)
{
	char line[1100];
	int n = snprintf(line, sizeof(line), "reclaim: %s\n", text);

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* there is nobody left to tell */
}

void reclaim_say(int severity, const char *format, ...)
{
	void (*hook)(int severity, const char *text, void *arg);
	int saved = errno, cancel = cancel_off();
	char text[1024];
	void *arg;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lock_take(&tables);
	hook = listener.hook;
	arg = listener.arg;
	lock_drop(&tables);
	if (hook)
		hook(severity, text, arg);
	else
		write_stderr(text);
	cancel_on(cancel);
	errno = saved;
}

void report_label(const struct task *task, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s<%u.%u>", task->name, task->name[0] ? " " : "",
		 slot_index(&task->slot), slot_generation(&task->slot));
}

/* ---- wrong use ---- */

static atomic_int policy[RECLAIM_ALL_CHECKS] = {
	[0 ... RECLAIM_ALL_CHECKS - 1] = RECLAIM_WARN,
};
static atomic_bool told[RECLAIM_ALL_CHECKS];

int reclaim_policy(int what, int level)
{
	int i, before;

	if (what < 0 || what > RECLAIM_ALL_CHECKS || level < RECLAIM_OFF ||
	    level > RECLAIM_ABORT) {
		errno = EINVAL;
		return -1;
	}
	if (what < RECLAIM_ALL_CHECKS) {
		atomic_store(&told[what], false);
		return atomic_exchange(&policy[what], level);
	}
	before = atomic_load(&policy[0]);
	for (i = 0; i < RECLAIM_ALL_CHECKS; i++)
		reclaim_policy(i, level);
	return before;
}

static bool wants_telling(int what, int level)
{
	if (level == RECLAIM_OFF)
		return false;
	return !(atomic_exchange(&told[what], true) &&
		 level == RECLAIM_WARN_ONCE);
}

static const char *const wrong_use[RECLAIM_ALL_CHECKS] = {
	[RECLAIM_DOUBLE_FREE] = "which was freed before",
	[RECLAIM_FOREIGN_FREE] = "which nobody allocated",
	[RECLAIM_INTERIOR_FREE] = "which is within a block",
	[RECLAIM_WRONG_FAMILY] = "which is of the wrong family",
	[RECLAIM_STRANGERS] = "which is an unrelated task's",
	[RECLAIM_STALE_FD] = "found out",
};

void report_misuse(const struct misuse *misuse)
{
	int level = atomic_load(&policy[misuse->what]);
	char self[64], here[256], there[256], before[256];
	const char *at = misuse->owner[0] ? " at " : ", acquired at ";
	int saved = errno, cancel;

	if (!wants_telling(misuse->what, level))
		return;
	cancel = cancel_off();
	report_label(task_self(), self, sizeof(self));
	place_describe(misuse->place, here, sizeof(here));
	place_describe(misuse->acquired, there, sizeof(there));
	place_describe(misuse->freed, before, sizeof(before));
	reclaim_say(level == RECLAIM_ABORT ? RECLAIM_ERROR : RECLAIM_WARNING,
		    "%s of %s, %s, in task %s%s%s%s%s%s%s%s%s%s", misuse->did,
		    misuse->thing, wrong_use[misuse->what], self,
		    here[0] ? " at " : "", here,
		    misuse->owner[0] ? ", acquired in task " : "",
		    misuse->owner, there[0] ? at : "", there,
		    before[0] ? ", freed at " : "", before,
		    place_kept ? "" : "; RECLAIM_PLACES=1 tells where");
	if (level == RECLAIM_ABORT)
		abort();
	cancel_on(cancel);
	errno = saved;
}

/* ---- what is held ---- */

void report_thing(const struct entry *entry, char *buf, size_t len)
{
	char what[512] = "";

	if (entry->kind->describe)
		entry->kind->describe(entry->id, what, sizeof(what));
	else
		snprintf(what, sizeof(what), "%p", entry->id);
	snprintf(buf, len, "%s %s", entry->kind->name, what);
}

static void print_entry(const struct entry *entry, FILE *out)
{
	char what[600], where[256];

	report_thing(entry, what, sizeof(what));
	place_describe(entry->place, where, sizeof(where));
	fprintf(out, "  %s%s%s\n", what, where[0] ? " at " : "", where);
}

/* Blocks of memory, by the place that allocated them. */
struct tally {
	void *place; /* the key */
	size_t bytes, blocks;
	UT_hash_handle hh;
};

static int most_bytes_first(const struct tally *a, const struct tally *b)
{
	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static void add_to_tally(void *place, size_t bytes, void *arg)
{
	struct tally **tallies = arg, *tally;
	bool hash_failed = false;

	HASH_FIND_PTR(*tallies, &place, tally);
	if (!tally) {
		tally = calloc(1, sizeof(*tally));
		if (!tally)
			return;
		tally->place = place;
		HASH_ADD_PTR(*tallies, place, tally);
		if (hash_failed) {
			free(tally);
			return;
		}
	}
	tally->bytes += bytes;
	tally->blocks++;
}

static void print_memory(struct task *task, FILE *out)
{
	struct tally *tallies = NULL, *tally, *next;
	char where[256];

	memory_each(&task->memory, add_to_tally, &tallies);
	HASH_SORT(tallies, most_bytes_first);
	HASH_ITER (hh, tallies, tally, next) {
		place_describe(tally->place, where, sizeof(where));
		fprintf(out, "  memory %zu bytes in %zu blocks at %s\n",
			tally->bytes, tally->blocks, where);
		HASH_DEL(tallies, tally);
		free(tally);
	}
}

static void print_task(struct task *task, FILE *out)
{
	const struct entry *entry;
	struct heap_figures memory;
	char label[64];

	report_label(task, label, sizeof(label));
	memory_figures(&task->memory, &memory);
	fprintf(out,
		"task %s%s: %zu bytes in %zu blocks, %u handles, %u deferred "
		"actions, %u children, %u messages\n",
		label, task->state == TASK_LIVE ? "" : " (ending)",
		memory.bytes, memory.blocks, task->ledger.handles,
		task->ledger.actions, task->children,
		task->queue ? queue_count(task->queue) : 0);
	for (entry = task->ledger.newest; entry; entry = entry->older)
		print_entry(entry, out);
	if (place_kept)
		print_memory(task, out);
}

/* Into memory first: `to` may be a stream that blocks, or is tracked. */
int reclaim_report(reclaim_tid tid, FILE *to)
{
	int cancel = cancel_off(), error = 0;
	struct task *top, *task;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	out = open_memstream(&text, &len);
	if (!out) {
		cancel_on(cancel);
		return -1;
	}
	lock_take(&tables);
	top = task_find(tid);
	if (!top)
		error = ESRCH;
	for (task = top; task; task = task_next(task, top))
		print_task(task, out);
	lock_drop(&tables);
	if (fclose(out) != 0)
		error = ENOMEM;
	if (!error && fwrite(text, 1, len, to) != len)
		error = errno;
	free(text);
	cancel_on(cancel);
	if (!error)
		return 0;
	errno = error;
	return -1;
}
