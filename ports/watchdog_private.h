/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog - names a callback that blocks
 *
 * A thread that looks, while callbacks run at all, whether the one that ran
 * when it last looked still does.  It costs a callback a few stores, and sleeps
 * for good while none runs.  It also ends a process whose callback blocks while
 * the emulator has closed the port.
 */
#ifndef RECLAIM_WATCHDOG_PRIVATE_H
#define RECLAIM_WATCHDOG_PRIVATE_H

#include "ports/outlet_private.h"

/* Every so many milliseconds; 0 is never.  in: hung up, it ends the process. */
int watchdog_start(int every_ms, int in);
void watchdog_stop(void);

void watchdog_wake(void);

/* The callback that runs: who reads it may see the next one's outlet. */
struct watched {
	_Atomic uint64_t serial; /* odd while one runs */
	_Atomic(const char *) callback;
	_Atomic(const char *) driver;
	_Atomic uint64_t outlet;
	atomic_bool asleep;
};

extern struct watched watched;

static inline void watchdog_begin(const struct reclaim_outlet *outlet,
				  const char *callback)
{
	uint64_t serial =
		atomic_load_explicit(&watched.serial, memory_order_relaxed);

	atomic_store_explicit(&watched.callback, callback,
			      memory_order_relaxed);
	atomic_store_explicit(&watched.driver, outlet->driver->name,
			      memory_order_relaxed);
	atomic_store_explicit(&watched.outlet, outlet->id,
			      memory_order_relaxed);
	atomic_store_explicit(&watched.serial, serial + 1,
			      memory_order_release);
	if (atomic_load_explicit(&watched.asleep, memory_order_relaxed))
		watchdog_wake();
}

static inline void watchdog_end(void)
{
	uint64_t serial =
		atomic_load_explicit(&watched.serial, memory_order_relaxed);

	atomic_store_explicit(&watched.serial, serial + 1,
			      memory_order_release);
}

#endif
