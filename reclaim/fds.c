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

struct descriptors descriptors = {.holders.item = sizeof(struct entry *)};

static bool verify;

__attribute__((constructor)) static void read_environment(void)
{
	const char *value = getenv("RECLAIM_FDS");

	verify = value && strcmp(value, "verify") == 0;
}

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

/* ---- the table ---- */

static void remember_identity(struct entry *entry)
{
	struct stat st;

	if (fstat(entry->fd, &st) == 0) {
		entry->dev = st.st_dev;
		entry->ino = st.st_ino;
	}
}

void fds_lose(struct entry *entry)
{
	fds_clear(entry);
	entry->fd = -1;
	if (entry->kind == &fd_kind.kind)
		ledger_remove(entry);
}

void fds_set(int fd, struct entry *entry)
{
	struct entry *stale = fds_find(fd);

	if (stale) {
		notice(stale);
		fds_lose(stale);
	}
	if ((uint32_t)fd > descriptors.highest)
		descriptors.highest = (uint32_t)fd;
	entry->fd = fd;
	*(struct entry **)table_at(&descriptors.holders, (uint32_t)fd) = entry;
	if (verify)
		remember_identity(entry);
}

void fds_clear(struct entry *entry)
{
	if (entry->fd >= 0)
		*(struct entry **)table_at(&descriptors.holders,
					   (uint32_t)entry->fd) = NULL;
}

/* Whether the fd is still what was acquired, as far as one may ask. */
static bool is_same(const struct entry *held)
{
	struct stat st;

	if (!verify)
		return true;
	return fstat(held->fd, &st) == 0 && st.st_dev == held->dev &&
	       st.st_ino == held->ino;
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
