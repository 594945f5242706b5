/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/clock_private.h"

#include <errno.h>
#include <stdlib.h>

static struct clock *clocks;
static uint64_t last_ref;

static void free_clock(uv_handle_t *timer)
{
	free(timer->data);
}

static void end(struct clock *clock)
{
	HASH_DEL(clocks, clock);
	LIST_REMOVE(clock, of_outlet);
	uv_close((uv_handle_t *)&clock->timer, free_clock);
}

void clock_end_all(struct reclaim_outlet *outlet)
{
	while (!LIST_EMPTY(&outlet->clocks))
		end(LIST_FIRST(&outlet->clocks));
}

/* Out of the tables before its callback, which may end all of them. */
static void ring(uv_timer_t *timer)
{
	struct clock *clock = timer->data;

	end(clock);
	clock->rings(clock);
	host_settle();
}

struct clock *clock_add(struct reclaim_outlet *outlet, uint64_t after_ms,
			void (*rings)(struct clock *clock), void *arg)
{
	struct clock *clock = calloc(1, sizeof(*clock));

	if (!clock)
		return NULL;
	clock->ref = ++last_ref;
	clock->outlet = outlet;
	clock->rings = rings;
	clock->arg = arg;
	if (!HASH_TRY(hh, clocks, ref, clock)) {
		free(clock);
		return NULL;
	}
	LIST_INSERT_HEAD(&outlet->clocks, clock, of_outlet);
	uv_timer_init(&host.loop, &clock->timer);
	clock->timer.data = clock;
	/* The loop's time may be that of an earlier event. */
	uv_update_time(&host.loop);
	uv_timer_start(&clock->timer, ring, after_ms, 0);
	return clock;
}

/* ---- the driver's side ---- */

static void tell_driver(struct clock *clock)
{
	struct reclaim_outlet *outlet = clock->outlet;

	if (!outlet_enter(outlet, outlet->task, "timeout"))
		return;
	outlet->driver->timeout(outlet, clock->ref, clock->arg);
	outlet_leave(outlet);
}

uint64_t reclaim_outlet_timer(struct reclaim_outlet *outlet, uint64_t after_ms,
			      void *arg)
{
	struct clock *clock = NULL;

	if (outlet_look(outlet) < 0)
		return 0;
	if (!outlet->driver->timeout)
		errno = EINVAL;
	else
		clock = clock_add(outlet, after_ms, tell_driver, arg);
	return clock ? clock->ref : 0;
}

int reclaim_outlet_cancel_timer(struct reclaim_outlet *outlet, uint64_t timer)
{
	struct clock *clock;

	if (!host_is_here()) {
		errno = EPERM;
		return -1;
	}
	HASH_FIND(hh, clocks, &timer, sizeof(timer), clock);
	if (!clock || clock->outlet != outlet || clock->rings != tell_driver) {
		errno = ENOENT;
		return -1;
	}
	end(clock);
	return 0;
}
