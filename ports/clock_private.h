/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - a time that an outlet waits for: its driver's, or its own
 *
 * Each is a timer of libuv's, which it takes back by a callback; only then the
 * memory goes.
 */
#ifndef RECLAIM_CLOCK_PRIVATE_H
#define RECLAIM_CLOCK_PRIVATE_H

#include "ports/outlet_private.h"

struct clock {
	uint64_t ref;
	struct reclaim_outlet *outlet;
	void (*rings)(struct clock *clock);
	void *arg;
	uv_timer_t timer;
	LIST_ENTRY(clock) of_outlet;
	UT_hash_handle hh;
};

/* Once, in so many milliseconds; it is gone when `rings` returns. */
struct clock *clock_add(struct reclaim_outlet *outlet, uint64_t after_ms,
			void (*rings)(struct clock *clock), void *arg);
void clock_end_all(struct reclaim_outlet *outlet);

#endif
