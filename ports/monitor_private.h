/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor - the end of a process that called, as an outlet wants to hear of it
 *
 * The process is known at the other end alone: the call's number names it.
 */
#ifndef RECLAIM_MONITOR_PRIVATE_H
#define RECLAIM_MONITOR_PRIVATE_H

#include "ports/outlet_private.h"

void monitor_process_down(uint64_t ref);
void monitor_end_all(struct reclaim_outlet *outlet);

#endif
