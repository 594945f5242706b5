/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor - the end of a process that called
 *
 * An outlet may want to hear of it; and a call that is not answered at once
 * ends with whoever made it.  The process is known at the other end alone: the
 * call's number names it.
 */
#ifndef RECLAIM_MONITOR_PRIVATE_H
#define RECLAIM_MONITOR_PRIVATE_H

#include "ports/outlet_private.h"

struct call;

/* To cancel a call; 0 where that cannot be. */
uint64_t monitor_caller(const struct call *call);
void monitor_take_back(uint64_t ref);

void monitor_process_down(uint64_t ref);
void monitor_end_all(struct reclaim_outlet *outlet);

#endif
