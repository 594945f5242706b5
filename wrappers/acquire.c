/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wrappers/acquire.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "reclaim/report_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

/* ---- a descriptor ---- */

int acquire_fd_slowly(struct acquisition *a, void *place)
{
	struct task *self = task_self();
	int result;

	*a = (struct acquisition){.task = self,
				  .place = place,
				  .replaced = -1,
				  .cancel = cancel_off()};
	lock_take(&tables);
	result = fds_make_room();
	if (result == 0)
		result = ledger_count_handle(self);
	lock_drop(&tables);
	if (result < 0)
		cancel_on(a->cancel);
	return result;
}

/* One that was quick goes on like any other. */
static void slow_down(struct acquisition *a)
{
	if (a->quick)
		*a = (struct acquisition){
			.task = a->quick, .replaced = -1, .cancel = -1};
}

static void uncount_fd(const struct acquisition *a)
{
	lock_take(&tables);
	a->task->ledger.handles--;
	lock_drop(&tables);
}

/* That somebody still holds what was to be taken over is no news. */
static void displace(const struct acquisition *a, struct entry *holder)
{
	if (a->replaced >= 0)
		fds_lose(holder);
	else
		fds_lose_stale(holder);
}

/* Whether it can have a record. */
static bool record_fd(const struct acquisition *a, int fd)
{
	struct descriptor *descriptor;

	lock_take(&tables);
	descriptor = fds_cover(fd);
	if (descriptor) {
		if (descriptor->holder)
			displace(a, descriptor->holder);
		fds_hold_noted(descriptor, fd, a->task, a->place);
	}
	lock_drop(&tables);
	return descriptor;
}

int acquired_fd_slowly(struct acquisition *a, int fd)
{
	int saved = errno;

	slow_down(a);
	if (fd >= 0 && !record_fd(a, fd)) {
		close(fd);
		fd = -1;
		saved = ENOMEM;
	}
	if (fd < 0)
		uncount_fd(a);
	fds_tell();
	cancel_on(a->cancel);
	errno = saved;
	return fd;
}

static bool covers(int fd)
{
	bool fits;

	lock_take(&tables);
	fits = fds_cover(fd) != NULL;
	lock_drop(&tables);
	return fits;
}

int acquire_two(struct acquisition a[2], void *place)
{
	if (acquire_fd_slowly(&a[0], place) < 0)
		return -1;
	if (acquire_fd_slowly(&a[1], place) == 0) {
		/* The second to be committed restores cancellation. */
		a[1].cancel = a[0].cancel;
		a[0].cancel = -1;
		return 0;
	}
	acquire_cancel(&a[0]);
	return -1;
}

int acquired_two(struct acquisition a[2], int result, const int fds[2])
{
	bool fits;

	fits = result == 0 && covers(fds[0]) && covers(fds[1]);
	if (result == 0 && !fits) {
		close(fds[0]);
		close(fds[1]);
		errno = ENOMEM;
	}
	acquired_fd(&a[0], fits ? fds[0] : -1);
	acquired_fd(&a[1], fits ? fds[1] : -1);
	return fits ? 0 : -1;
}

/* ---- anything else ---- */

int acquire(struct acquisition *a, const struct kind *kind, void *place)
{
	struct task *self = task_self();

	*a = (struct acquisition){.replaced = -1, .cancel = cancel_off()};
	lock_take(&tables);
	a->entry = ledger_reserve(self, &kind->kind, place);
	lock_drop(&tables);
	if (a->entry)
		return 0;
	cancel_on(a->cancel);
	return -1;
}

static void finish(struct acquisition *a, void *id, int fd, bool commit)
{
	int saved = errno;

	lock_take(&tables);
	if (a->replaced >= 0 && commit && fds_find(fd))
		fds_lose(fds_find(fd));
	if (commit) {
		ledger_commit(a->entry, id);
		if (fd >= 0)
			fds_set(fd, a->entry);
	} else {
		ledger_cancel(a->entry);
	}
	lock_drop(&tables);
	fds_tell();
	cancel_on(a->cancel);
	errno = saved;
}

void *acquired(struct acquisition *a, void *id)
{
	finish(a, id, -1, id != NULL);
	return id;
}

void *acquired_with_fd(struct acquisition *a, void *id, int fd)
{
	/* Where its fd can have no record it is tracked by itself alone. */
	if (id && fd >= 0 && !covers(fd)) {
		a->entry->fd = FD_UNRECORDED;
		fd = -1;
	}
	finish(a, id, fd, id != NULL);
	return id;
}

void acquire_cancel(struct acquisition *a)
{
	if (!a->quick && a->entry)
		finish(a, NULL, -1, false);
	else
		acquired_fd_slowly(a, -1);
}

/* ---- giving back ---- */

bool may_give_back(const struct entry *entry, const char *did, void *place,
		   struct misuse *misuse)
{
	if (!entry || task_is_kin(task_self(), entry->task))
		return true;
	*misuse = (struct misuse){
		.what = RECLAIM_STRANGERS,
		.did = did,
		.acquired = entry->place,
		.place = place,
	};
	report_thing(entry, misuse->thing, sizeof(misuse->thing));
	report_label(entry->task, misuse->owner, sizeof(misuse->owner));
	errno = entry->fd != -1 ? EBADF : EINVAL;
	return false;
}

/* The same, which says so; then the tables are unlocked on return. */
static bool may(const struct entry *entry, const char *did, void *place)
{
	struct misuse misuse;

	if (may_give_back(entry, did, place, &misuse))
		return true;
	lock_drop(&tables);
	report_misuse(&misuse);
	return false;
}

int let_go(struct departure *d, const struct kind *kind, const void *id,
	   const char *did, void *place)
{
	struct entry *entry;

	thread_self();
	lock_take(&tables);
	entry = ledger_find(&kind->kind, id);
	if (!may(entry, did, place))
		return -1;
	d->cancel = cancel_off();
	d->held.kind = NULL;
	if (entry) {
		d->held = *entry;
		ledger_remove(entry);
	}
	lock_drop(&tables);
	return 0;
}

int let_go_fd(struct departure *d, int fd, const char *did, void *place)
{
	struct task *self = task_self();
	struct entry *entry;
	bool same = true;

	lock_take(&tables);
	entry = fds_find(fd);
	if (entry && entry->task != self && !may(entry, did, place))
		return -1;
	d->cancel = cancel_off();
	if (entry) {
		same = fds_is_same(entry);
		fds_lose(entry);
	}
	lock_drop(&tables);
	if (same)
		return 0;
	fds_tell();
	gone(d);
	errno = EBADF;
	return -1;
}

void gone(const struct departure *d)
{
	cancel_on(d->cancel);
}

/* What is open is not to be lost because it could have no record afterwards. */
static bool is_covered_if_open(int fd)
{
	int saved = errno;
	bool fits = fcntl(fd, F_GETFD) < 0 || fds_cover(fd);

	errno = fits ? saved : ENOMEM;
	return fits;
}

int acquire_over(struct acquisition *a, int fd, const char *did, void *place)
{
	bool fits;

	lock_take(&tables);
	if (!may(fds_find(fd), did, place)) {
		acquire_cancel(a);
		return -1;
	}
	fits = fds_find(fd) || is_covered_if_open(fd);
	lock_drop(&tables);
	if (!fits) {
		acquire_cancel(a);
		return -1;
	}
	slow_down(a);
	a->replaced = fd;
	return 0;
}
