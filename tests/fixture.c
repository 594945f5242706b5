/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything is read from /proc and through the public interface, so that the
 * fixture cannot share a mistake with what it watches.  A view is sorted lists
 * of {number, words}; comparing two is one merge.
 *
 * Its own memory is libc's and never the root task's.
 */
#include "config.h"

#include "tests/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "reclaim/task.h"

/* How long a thread that was joined may still be listed by the kernel. */
#define PATIENCE_MS 2000

struct entry {
	long number;
	char words[120];
};

struct list {
	struct entry *entries;
	size_t count;
};

struct fixture_view {
	struct list fds;
	struct list children;
	struct list threads;
	struct reclaim_task_info root;
};

static struct fixture_view *before_test;

/* A thread that is cancelled within an assertion leaves what Check wrote. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:send_loc_info\n";
}

/* ---- lists ---- */

__attribute__((format(printf, 3, 4))) static void
list_add(struct list *list, long number, const char *format, ...)
{
	struct entry *entry;
	va_list args;

	list->entries = reallocarray(list->entries, list->count + 1,
				     sizeof(*list->entries));
	if (!list->entries)
		abort();
	entry = &list->entries[list->count++];
	entry->number = number;
	va_start(args, format);
	vsnprintf(entry->words, sizeof(entry->words), format, args);
	va_end(args);
}

static int by_number(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	return (a->number > b->number) - (a->number < b->number);
}

static void list_sort(struct list *list)
{
	if (list->count)
		qsort(list->entries, list->count, sizeof(*list->entries),
		      by_number);
}

/* Call visit() for each number that names something in a folder. */
static void each_number(const char *folder, struct list *list,
			void (*visit)(struct list *list, long number, int dir))
{
	DIR *dir = opendir(folder);
	struct dirent *item;

	if (!dir)
		return;
	while ((item = readdir(dir))) {
		char *end;
		long number = strtol(item->d_name, &end, 10);

		if (end != item->d_name && !*end)
			visit(list, number, dirfd(dir));
	}
	closedir(dir);
	list_sort(list);
}

/* The first line of a file in /proc; empty where it is gone. */
static void read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (!fgets(line, (int)size, file))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

/* ---- looking ---- */

/* Check's own file, which it opens anew between a test and its fixtures. */
static bool is_checks(const char *target)
{
	const char *name = strrchr(target, '/');

	return name && strncmp(name, "/check_", 7) == 0 &&
	       strstr(name, " (deleted)");
}

/* Beyond the limit are Valgrind's own: it lowers the one that we see. */
static bool is_valgrinds(long fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       (rlim_t)fd >= limit.rlim_cur;
}

static void see_fd(struct list *list, long fd, int dir)
{
	char path[64], target[100];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0 || fd == dir || is_valgrinds(fd))
		return;
	target[len] = '\0';
	if (!is_checks(target))
		list_add(list, fd, "%s", target);
}

static void see_child(struct list *list, long pid)
{
	char path[64], line[200], state = '?';
	const char *name = "?", *end;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	read_line(path, line, sizeof(line));
	end = strrchr(line, ')');
	if (end && strlen(end) > 2) {
		name = strchr(line, '(') + 1;
		state = end[2];
	}
	list_add(list, pid, "%.*s, %s", end ? (int)(end - name) : 1, name,
		 state == 'Z' ? "not waited for" : "running");
}

static void see_children_of(struct list *list, long tid, int dir)
{
	char path[64], line[4096], *at = line, *end;
	long pid;

	(void)dir;
	snprintf(path, sizeof(path), "/proc/self/task/%ld/children", tid);
	read_line(path, line, sizeof(line));
	for (; pid = strtol(at, &end, 10), end != at; at = end)
		see_child(list, pid);
}

static void see_thread(struct list *list, long tid, int dir)
{
	char path[64], name[32];

	(void)dir;
	snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", tid);
	read_line(path, name, sizeof(name));
	if (name[0])
		list_add(list, tid, "%s", name);
}

static reclaim_tid root(void)
{
	struct reclaim_task_info info;
	reclaim_tid tid = reclaim_self();

	while (reclaim_task_info(tid, &info) == 0 && info.parent)
		tid = info.parent;
	return tid;
}

struct fixture_view *fixture_look(void)
{
	struct fixture_view *view = calloc(1, sizeof(*view));

	if (!view)
		abort();
	each_number("/proc/self/task", &view->threads, see_thread);
	each_number("/proc/self/task", &view->children, see_children_of);
	each_number("/proc/self/fd", &view->fds, see_fd);
	if (reclaim_task_info(root(), &view->root) != 0)
		abort();
	return view;
}

void fixture_forget(struct fixture_view *view)
{
	if (!view)
		return;
	free(view->fds.entries);
	free(view->children.entries);
	free(view->threads.entries);
	free(view);
}

/* ---- comparing ---- */

static void tell(FILE *out, const char *what, const struct entry *entry,
		 const char *change)
{
	fprintf(out, "\n  %s %ld %s: %s", what, entry->number, change,
		entry->words);
}

static void compare_lists(FILE *out, const char *what, const struct list *then,
			  const struct list *now)
{
	size_t i = 0, j = 0;

	while (i < then->count || j < now->count) {
		const struct entry *old = &then->entries[i];
		const struct entry *new = &now->entries[j];

		if (j == now->count ||
		    (i < then->count && old->number < new->number)) {
			tell(out, what, old, "is missing");
			i++;
		} else if (i == then->count || new->number < old->number) {
			tell(out, what, new, "is new");
			j++;
		} else {
			if (strcmp(old->words, new->words) != 0) {
				tell(out, what, old, "was");
				tell(out, what, new, "now is");
			}
			i++;
			j++;
		}
	}
}

static void compare_count(FILE *out, const char *what, size_t then, size_t now)
{
	if (then != now)
		fprintf(out, "\n  the root task has %zu %s, had %zu", now, what,
			then);
}

static void compare_views(FILE *out, const struct fixture_view *then,
			  const struct fixture_view *now)
{
	compare_lists(out, "descriptor", &then->fds, &now->fds);
	compare_lists(out, "process", &then->children, &now->children);
	compare_lists(out, "thread", &then->threads, &now->threads);
	compare_count(out, "bytes", then->root.bytes, now->root.bytes);
	compare_count(out, "blocks", then->root.blocks, now->root.blocks);
	compare_count(out, "handles", then->root.handles, now->root.handles);
	compare_count(out, "actions", then->root.actions, now->root.actions);
	compare_count(out, "children", then->root.children, now->root.children);
}

/* Only finished threads get better by waiting. */
static struct fixture_view *look_when_quiet(const struct fixture_view *before)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct fixture_view *now = fixture_look();
	int waited;

	for (waited = 0; waited < PATIENCE_MS; waited++) {
		if (now->threads.count <= before->threads.count)
			break;
		fixture_forget(now);
		nanosleep(&ms, NULL);
		now = fixture_look();
	}
	return now;
}

char *fixture_compare(const struct fixture_view *before)
{
	struct fixture_view *now = look_when_quiet(before);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	compare_views(out, before, now);
	fixture_forget(now);
	if (fclose(out) != 0)
		abort();
	if (len == 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- in Check ---- */

#ifdef __SANITIZE_THREAD__
static void *nothing(void *arg)
{
	return arg;
}

/* The sanitizer's own thread comes with the first one of the process. */
static void settle(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, nothing, NULL) == 0)
		pthread_join(thread, NULL);
}
#else
static void settle(void)
{
}
#endif

static void before(void)
{
	settle();
	fixture_forget(before_test);
	before_test = fixture_look();
}

static void after(void)
{
	static char text[4000];
	char *found = fixture_compare(before_test);

	fixture_forget(before_test);
	before_test = NULL;
	if (!found)
		return;
	snprintf(text, sizeof(text), "%s", found);
	free(found);
	ck_abort_msg("the test left a difference behind:%s", text);
}

void fixture_add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, before, after);
}

int fixture_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	fixture_seed();
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- chance ---- */

static uint64_t choose_seed(void)
{
	const char *given = getenv("RECLAIM_TEST_SEED");
	struct timespec now;

	if (given)
		return strtoull(given, NULL, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
}

uint64_t fixture_seed(void)
{
	static uint64_t seed;
	static bool chosen;

	if (!chosen) {
		seed = choose_seed();
		chosen = true;
		printf("RECLAIM_TEST_SEED=%" PRIu64 "\n", seed);
		fflush(stdout);
	}
	return seed;
}

/* Steele, Lea and Flood's SplitMix64: any seed will do, zero included. */
uint64_t fixture_random(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15u;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
	return mixed ^ mixed >> 31;
}
