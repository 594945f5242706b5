/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/fds_private.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reclaim/place_private.h"
#include "reclaim/report_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

struct descriptors descriptors = {
	.records.item = sizeof(struct descriptor),
};

/* ---- what was noticed, to be told later ---- */

/*
 * One at a time is enough: what is noticed while another waits to be told
 * has, almost always, the same cause.
 */
static struct misuse noticed;

static void notice(const struct entry *stale)
{
	if (atomic_load_explicit(&descriptors.has_news, memory_order_relaxed))
		return;
	noticed = (struct misuse){
		.what = RECLAIM_STALE_FD,
		.did = "close behind the wrappers",
		.acquired = stale->place,
	};
	snprintf(noticed.thing, sizeof(noticed.thing), "%s, fd %d",
		 stale->kind->name, stale->fd);
	report_label(stale->task, noticed.owner, sizeof(noticed.owner));
	atomic_store_explicit(&descriptors.has_news, true,
			      memory_order_relaxed);
}

void fds_tell_news(void)
{
	struct misuse copy;
	bool tell;

	lock_take(&tables);
	tell = atomic_load_explicit(&descriptors.has_news,
				    memory_order_relaxed);
	copy = noticed;
	atomic_store_explicit(&descriptors.has_news, false,
			      memory_order_relaxed);
	lock_drop(&tables);
	if (tell)
		report_misuse(&copy);
}

/* ---- records ---- */

#define TO_SPARE 64 /* for the first descriptors of a program */

static uint64_t wanted(void)
{
	return 2 * (uint64_t)descriptors.seen + TO_SPARE;
}

static void see_whether_quick(void)
{
	descriptors.quick = descriptors.records.limit >= wanted() &&
			    !descriptors.verify && !place_kept;
}

void fds_start(void)
{
	const char *value = getenv("RECLAIM_FDS");

	descriptors.verify = value && strcmp(value, "verify") == 0;
}

int fds_make_room(void)
{
	if (descriptors.records.limit >= wanted())
		return 0;
	if (table_cover(&descriptors.records, (uint32_t)wanted()) < 0)
		return -1;
	see_whether_quick();
	return 0;
}

struct descriptor *fds_cover(int fd)
{
	if ((uint32_t)fd >= descriptors.records.limit &&
	    table_cover(&descriptors.records, (uint32_t)fd) < 0)
		return NULL;
	if ((uint32_t)fd >= descriptors.seen) {
		descriptors.seen = (uint32_t)fd + 1;
		see_whether_quick();
	}
	return fds_at(fd);
}

/* ---- holding ---- */

static void remember_identity(struct entry *entry)
{
	struct stat st = {.st_dev = 0};

	if (!descriptors.verify)
		return;
	fstat(entry->fd, &st);
	entry->dev = st.st_dev;
	entry->ino = st.st_ino;
}

void fds_hold_noted(struct descriptor *descriptor, int fd, struct task *task,
		    void *place)
{
	fds_hold(descriptor, fd, task);
	descriptor->own.place = place;
	remember_identity(&descriptor->own);
}

void fds_set(int fd, struct entry *entry)
{
	struct descriptor *descriptor = fds_at(fd);

	if (descriptor->holder)
		fds_lose_stale(descriptor->holder);
	descriptor->holder = entry;
	entry->fd = fd;
	remember_identity(entry);
}

void fds_lose(struct entry *entry)
{
	if (fd_is_plain(entry)) {
		fds_drop((struct descriptor *)entry);
	} else if (entry->fd >= 0) {
		fds_at(entry->fd)->holder = NULL;
		entry->fd = -1;
	}
}

void fds_lose_stale(struct entry *entry)
{
	notice(entry);
	fds_lose(entry);
}

/* ---- closing ---- */

/* As far as one may ask. */
static bool is_same(const struct entry *entry)
{
	struct stat st;

	if (!descriptors.verify)
		return true;
	return fstat(entry->fd, &st) == 0 && st.st_dev == entry->dev &&
	       st.st_ino == entry->ino;
}

bool fds_is_same(const struct entry *entry)
{
	if (is_same(entry))
		return true;
	notice(entry);
	return false;
}

bool fds_may_close(const struct entry *held)
{
	if (held->fd < 0)
		return held->fd == FD_UNRECORDED;
	if (is_same(held))
		return true;
	lock_take(&tables);
	notice(held);
	lock_drop(&tables);
	fds_tell();
	return false;
}

void fds_close_newest(const struct ledger *ledger, uint64_t at)
{
	struct entry *newest;
	int fd;

	while (__libc_single_threaded && descriptors.quick &&
	       (newest = ledger->newest) && newest->at > at &&
	       fd_is_plain(newest)) {
		fd = newest->fd;
		fds_drop((struct descriptor *)newest);
		close(fd);
	}
}

/* ---- the kind ---- */

static void release_fd(const struct entry *held)
{
	if (fds_may_close(held))
		close(held->fd);
}

static int describe_fd(const void *id, char *buf, size_t len)
{
	char link[32], target[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", (int)(intptr_t)id);
	n = readlink(link, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	return snprintf(buf, len, "%d %s", (int)(intptr_t)id,
			n < 0 ? "(closed behind the wrappers)" : target);
}

const struct kind fd_kind = {
	.kind = {.name = "fd",
		 .describe = describe_fd,
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN},
	.release = release_fd,
};

/* ---- the public side ---- */

int reclaim_give_fd(int fd, reclaim_tid to)
{
	struct task *self = task_self(), *receiver;
	struct entry *entry;
	int result = -1;

	lock_take(&tables);
	entry = fds_find(fd);
	receiver = task_find_receiver(to);
	if (!entry)
		errno = EBADF;
	else if (!task_is_kin(self, entry->task))
		errno = EPERM;
	else if (receiver)
		result = ledger_move(entry, receiver);
	lock_drop(&tables);
	return result;
}
