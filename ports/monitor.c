/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/monitor_private.h"

#include <errno.h>
#include <stdlib.h>

#include "ports/call_private.h"

struct process_monitor {
	uint64_t ref;
	struct reclaim_outlet *outlet;
	LIST_ENTRY(process_monitor) of_outlet;
	UT_hash_handle hh;
};

static struct process_monitor *monitors;
static uint64_t last_ref;

static struct process_monitor *find(uint64_t ref)
{
	struct process_monitor *monitor;

	HASH_FIND(hh, monitors, &ref, sizeof(ref), monitor);
	return monitor;
}

static void end(struct process_monitor *monitor)
{
	HASH_DEL(monitors, monitor);
	LIST_REMOVE(monitor, of_outlet);
	free(monitor);
}

void monitor_end_all(struct reclaim_outlet *outlet)
{
	struct process_monitor *monitor;

	while ((monitor = LIST_FIRST(&outlet->monitors))) {
		host_send(WIRE_DEMONITOR, monitor->ref, 0, 0, NULL, 0);
		end(monitor);
	}
}

void monitor_process_down(uint64_t ref)
{
	struct process_monitor *monitor = find(ref);
	struct reclaim_outlet *outlet;

	if (!monitor)
		return; /* demonitored meanwhile */
	outlet = monitor->outlet;
	end(monitor);
	if (!outlet->driver->process_exit) {
		outlet_misses(outlet, "process_exit");
	} else if (outlet_enter(outlet, outlet->task, "process_exit")) {
		outlet->driver->process_exit(outlet, ref);
		outlet_leave(outlet, outlet->task);
	}
}

static struct process_monitor *add(struct reclaim_outlet *outlet)
{
	struct process_monitor *monitor = calloc(1, sizeof(*monitor));

	if (!monitor)
		return NULL;
	monitor->ref = ++last_ref;
	monitor->outlet = outlet;
	if (!HASH_TRY(hh, monitors, ref, monitor)) {
		free(monitor);
		errno = ENOMEM;
		return NULL;
	}
	LIST_INSERT_HEAD(&outlet->monitors, monitor, of_outlet);
	return monitor;
}

uint64_t reclaim_call_monitor(uint64_t id)
{
	struct process_monitor *monitor = NULL;
	struct call *call;

	if (!host_is_here()) {
		errno = EPERM;
		return 0;
	}
	call = call_find(id);
	if (!call)
		errno = ENOENT;
	else
		monitor = add(call->outlet);
	if (!monitor)
		return 0;
	if (host_send(WIRE_MONITOR, monitor->ref, id, 0, NULL, 0) < 0) {
		end(monitor);
		errno = ENOMEM;
		return 0;
	}
	return monitor->ref;
}

int reclaim_outlet_demonitor(struct reclaim_outlet *outlet, uint64_t ref)
{
	struct process_monitor *monitor;

	if (!host_is_here()) {
		errno = EPERM;
		return -1;
	}
	monitor = find(ref);
	if (!monitor || monitor->outlet != outlet) {
		errno = ENOENT;
		return -1;
	}
	host_send(WIRE_DEMONITOR, ref, 0, 0, NULL, 0);
	end(monitor);
	return 0;
}
