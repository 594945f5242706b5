/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch - a descriptor that an outlet wants to hear of
 */
#ifndef RECLAIM_WATCH_PRIVATE_H
#define RECLAIM_WATCH_PRIVATE_H

#include "ports/outlet_private.h"

/* Before the first of them, and when the loop has closed its handles. */
int watch_begin(void);
void watch_end(void);

void watch_end_all(struct reclaim_outlet *outlet);

#endif
