/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/monitor_private.h"

#include <errno.h>
#include <stdlib.h>

#include "ports/call_private.h"

struct process_monitor {
	uint64_t ref;
	struct reclaim_outlet *outlet;
	uint64_t cancels; /* this call; 0: the driver is told */
	LIST_ENTRY(process_monitor) of_outlet;
	UT_hash_handle hh;
};

static struct process_monitor *monitors;

/* Is always there, so that the table is: 0 is no monitor's. */
static struct process_monitor nobody_s;

static uint64_t last_ref;

static struct process_monitor *find(uint64_t ref)
{
	struct process_monitor *monitor;

	if (!ref)
		return NULL;
	HASH_FIND(hh, monitors, &ref, sizeof(ref), monitor);
	return monitor;
}

static void end(struct process_monitor *monitor)
{
	HASH_DEL(monitors, monitor);
	LIST_REMOVE(monitor, of_outlet);
	free(monitor);
}

static void take_back(struct process_monitor *monitor)
{
	host_send(WIRE_DEMONITOR, monitor->ref, 0, 0, NULL, 0);
	end(monitor);
}

void monitor_end_all(struct reclaim_outlet *outlet)
{
	struct process_monitor *monitor;

	while ((monitor = LIST_FIRST(&outlet->monitors)))
		take_back(monitor);
}

void monitor_process_down(uint64_t ref)
{
	struct process_monitor *monitor = find(ref);
	struct reclaim_outlet *outlet;
	uint64_t call;

	if (!monitor)
		return; /* demonitored meanwhile */
	outlet = monitor->outlet;
	call = monitor->cancels;
	end(monitor);
	if (call) {
		call_cancel(call);
	} else if (!outlet->driver->process_exit) {
		outlet_misses(outlet, "process_exit");
	} else if (outlet_enter(outlet, outlet->task, "process_exit")) {
		outlet->driver->process_exit(outlet, ref);
		outlet_leave(outlet);
	}
}

static struct process_monitor *add(struct reclaim_outlet *outlet)
{
	struct process_monitor *monitor = calloc(1, sizeof(*monitor));

	if (!monitor)
		return NULL;
	monitor->ref = ++last_ref;
	monitor->outlet = outlet;
	if (!HASH_RESERVE(monitors, &nobody_s, ref, sizeof(nobody_s.ref)) ||
	    !HASH_TRY(hh, monitors, ref, monitor)) {
		free(monitor);
		errno = ENOMEM;
		return NULL;
	}
	LIST_INSERT_HEAD(&outlet->monitors, monitor, of_outlet);
	return monitor;
}

static struct process_monitor *begin(const struct call *call)
{
	struct process_monitor *monitor = add(call->outlet);

	if (!monitor)
		return NULL;
	if (host_send(WIRE_MONITOR, monitor->ref, call->id, 0, NULL, 0) == 0)
		return monitor;
	end(monitor);
	errno = ENOMEM;
	return NULL;
}

uint64_t monitor_caller(const struct call *call)
{
	struct process_monitor *monitor = begin(call);

	if (!monitor)
		return 0;
	monitor->cancels = call->id;
	return monitor->ref;
}

void monitor_take_back(uint64_t ref)
{
	struct process_monitor *monitor = find(ref);

	if (monitor)
		take_back(monitor);
}

uint64_t reclaim_call_monitor(uint64_t id)
{
	struct process_monitor *monitor = NULL;
	const struct call *call;

	if (!host_is_here()) {
		errno = EPERM;
		return 0;
	}
	/* Once it was answered the other end knows its process no more. */
	call = call_find(id);
	if (!call || call->answered)
		errno = ENOENT;
	else if (host.options->plain)
		errno = ENOTSUP;
	else
		monitor = begin(call);
	return monitor ? monitor->ref : 0;
}

int reclaim_outlet_demonitor(struct reclaim_outlet *outlet, uint64_t ref)
{
	struct process_monitor *monitor;

	if (!host_is_here()) {
		errno = EPERM;
		return -1;
	}
	monitor = find(ref);
	if (!monitor || monitor->outlet != outlet || monitor->cancels) {
		errno = ENOENT;
		return -1;
	}
	take_back(monitor);
	return 0;
}
