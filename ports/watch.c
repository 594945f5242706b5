/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/watch_private.h"

#include <errno.h>
#include <stdlib.h>

struct watch {
	int fd;
	int wanted;
	struct reclaim_outlet *outlet;
	uv_poll_t poll;
	LIST_ENTRY(watch) of_outlet;
	UT_hash_handle hh;
};

static struct watch *watches; /* by descriptor */

static void free_watch(uv_handle_t *poll)
{
	free(poll->data);
}

static void end(struct watch *watch)
{
	HASH_DEL(watches, watch);
	LIST_REMOVE(watch, of_outlet);
	uv_close((uv_handle_t *)&watch->poll, free_watch);
}

void watch_end_all(struct reclaim_outlet *outlet)
{
	while (!LIST_EMPTY(&outlet->watches))
		end(LIST_FIRST(&outlet->watches));
}

static void tell(struct reclaim_outlet *outlet, int fd,
		 void (*callback)(struct reclaim_outlet *, int),
		 const char *name)
{
	if (!callback) {
		outlet_misses(outlet, name);
	} else if (outlet_enter(outlet, outlet->task, name)) {
		callback(outlet, fd);
		outlet_leave(outlet);
	}
}

/* An error is for both: what the driver then calls says which it is. */
static void ready(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct reclaim_outlet *outlet = watch->outlet;
	int fd = watch->fd, got = status < 0 ? watch->wanted : 0;

	if (events & (UV_READABLE | UV_DISCONNECT))
		got |= RECLAIM_READ;
	if (events & UV_WRITABLE)
		got |= RECLAIM_WRITE;
	got &= watch->wanted;
	if (got & RECLAIM_READ)
		tell(outlet, fd, outlet->driver->ready_input, "ready_input");
	/* That may have been its end. */
	if (got & RECLAIM_WRITE && !uv_is_closing((uv_handle_t *)poll) &&
	    watch->wanted & RECLAIM_WRITE)
		tell(outlet, fd, outlet->driver->ready_output, "ready_output");
	host_settle();
}

static int start(struct watch *watch, int wanted)
{
	int events = 0, error;

	if (wanted & RECLAIM_READ)
		events |= UV_READABLE;
	if (wanted & RECLAIM_WRITE)
		events |= UV_WRITABLE;
	watch->wanted = wanted;
	error = uv_poll_start(&watch->poll, events, ready);
	errno = -error;
	return error ? -1 : 0;
}

static struct watch *make(struct reclaim_outlet *outlet, int fd)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return NULL;
	watch->fd = fd;
	watch->outlet = outlet;
	error = uv_poll_init(&host.loop, &watch->poll, fd);
	if (error) {
		free(watch);
		errno = -error;
		return NULL;
	}
	watch->poll.data = watch;
	if (!HASH_TRY(hh, watches, fd, watch)) {
		uv_close((uv_handle_t *)&watch->poll, free_watch);
		errno = ENOMEM;
		return NULL;
	}
	LIST_INSERT_HEAD(&outlet->watches, watch, of_outlet);
	return watch;
}

int reclaim_outlet_select(struct reclaim_outlet *outlet, int fd, int wanted)
{
	struct watch *watch;

	if (outlet_look(outlet) < 0)
		return -1;
	if (wanted & ~(RECLAIM_READ | RECLAIM_WRITE)) {
		errno = EINVAL;
		return -1;
	}
	HASH_FIND(hh, watches, &fd, sizeof(fd), watch);
	if (watch && watch->outlet != outlet) {
		errno = EEXIST;
		return -1;
	}
	if (!wanted) {
		if (watch)
			end(watch);
		return 0;
	}
	if (!watch)
		watch = make(outlet, fd);
	return watch ? start(watch, wanted) : -1;
}
