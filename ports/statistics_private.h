/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statistics - what there is in the host, as terms
 */
#ifndef RECLAIM_STATISTICS_PRIVATE_H
#define RECLAIM_STATISTICS_PRIVATE_H

#include "ports/outlet_private.h"

void statistics_reply(const struct wire_frame *frame);

#endif
