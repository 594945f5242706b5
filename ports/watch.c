/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/watch_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* So many are told of before the loop sees to others. */
#define AT_ONCE 64

/*
 * All of them are in an epoll of their own, which the loop polls: libuv ends
 * the process where a descriptor that it is to poll has been closed, and that
 * is for drivers to do at any time, with a task or by mistake.
 */
static int inner = -1;
static uv_poll_t inner_poll;

struct watch {
	int fd;
	uint32_t serial; /* tells it from others of that descriptor */
	int wanted;
	struct reclaim_outlet *outlet;
	LIST_ENTRY(watch) of_outlet;
	UT_hash_handle hh;
};

static struct watch *watches; /* by descriptor */
static uint32_t last_serial;

static struct watch *find(int fd)
{
	struct watch *watch;

	HASH_FIND(hh, watches, &fd, sizeof(fd), watch);
	return watch;
}

static void end(struct watch *watch)
{
	int error = errno;

	HASH_DEL(watches, watch);
	LIST_REMOVE(watch, of_outlet);
	epoll_ctl(inner, EPOLL_CTL_DEL, watch->fd, NULL);
	free(watch);
	errno = error;
}

void watch_end_all(struct reclaim_outlet *outlet)
{
	while (!LIST_EMPTY(&outlet->watches))
		end(LIST_FIRST(&outlet->watches));
}

/* ---- what is ready ---- */

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

/* Unless it has ended since, or wants that no more. */
static void tell_of(int fd, uint32_t serial, int what)
{
	struct watch *watch = find(fd);
	struct reclaim_outlet *outlet;

	if (!watch || watch->serial != serial || !(watch->wanted & what))
		return;
	outlet = watch->outlet;
	if (what == RECLAIM_READ)
		tell(outlet, fd, outlet->driver->ready_input, "ready_input");
	else
		tell(outlet, fd, outlet->driver->ready_output, "ready_output");
}

/* An error is for both: what the driver then calls says which it is. */
static void tell_of_both(const struct epoll_event *event)
{
	int fd = (int)(uint32_t)event->data.u64;
	uint32_t serial = (uint32_t)(event->data.u64 >> 32);
	bool both = event->events & (EPOLLERR | EPOLLHUP);

	if (both || event->events & EPOLLIN)
		tell_of(fd, serial, RECLAIM_READ);
	if (both || event->events & EPOLLOUT)
		tell_of(fd, serial, RECLAIM_WRITE);
	host_settle();
}

static void some_are_ready(uv_poll_t *unused, int status, int which)
{
	struct epoll_event events[AT_ONCE];
	int i, count = epoll_wait(inner, events, AT_ONCE, 0);

	(void)unused;
	(void)status;
	(void)which;
	for (i = 0; i < count; i++)
		tell_of_both(&events[i]);
}

/* ---- the beginning and the end ---- */

int watch_begin(void)
{
	int error;

	inner = epoll_create1(EPOLL_CLOEXEC);
	if (inner < 0)
		return -1;
	error = uv_poll_init(&host.loop, &inner_poll, inner);
	if (!error)
		error = uv_poll_start(&inner_poll, UV_READABLE, some_are_ready);
	errno = -error;
	return error ? -1 : 0;
}

void watch_end(void)
{
	close(inner);
	inner = -1;
}

/* ---- the driver's side ---- */

static struct epoll_event event_of(const struct watch *watch)
{
	uint64_t serial = watch->serial;
	struct epoll_event event = {
		.data.u64 = serial << 32 | (uint32_t)watch->fd,
	};

	if (watch->wanted & RECLAIM_READ)
		event.events |= EPOLLIN;
	if (watch->wanted & RECLAIM_WRITE)
		event.events |= EPOLLOUT;
	return event;
}

/* What was closed is polled no more: not by that number either. */
static bool is_polled(const struct watch *watch)
{
	struct epoll_event event = event_of(watch);

	return epoll_ctl(inner, EPOLL_CTL_MOD, watch->fd, &event) == 0;
}

static int make(struct reclaim_outlet *outlet, int fd, int wanted)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	struct epoll_event event;

	if (!watch)
		return -1;
	watch->fd = fd;
	watch->serial = ++last_serial;
	watch->wanted = wanted;
	watch->outlet = outlet;
	event = event_of(watch);
	if (epoll_ctl(inner, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(watch);
		return -1;
	}
	if (!HASH_TRY(hh, watches, fd, watch)) {
		epoll_ctl(inner, EPOLL_CTL_DEL, fd, NULL);
		free(watch);
		errno = ENOMEM;
		return -1;
	}
	LIST_INSERT_HEAD(&outlet->watches, watch, of_outlet);
	return 0;
}

static int change(struct watch *watch, int wanted)
{
	watch->wanted = wanted;
	if (!wanted)
		end(watch);
	return !wanted || is_polled(watch) ? 0 : -1;
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
	watch = find(fd);
	if (watch && is_polled(watch)) {
		if (watch->outlet == outlet)
			return change(watch, wanted);
		errno = EEXIST;
		return -1;
	}
	if (watch)
		end(watch);
	return wanted ? make(outlet, fd, wanted) : 0;
}
