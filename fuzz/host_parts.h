/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_parts - the three parts of the host's target
 *
 *	host.c		what is said to the host, by a program of bytes
 *	host_end.c	the other end: the link, and what was promised of it
 *	host_drivers.c	drivers that do all that they may, and some of the rest
 *
 * Numbers begin again with each input: it comes to the same, whatever was
 * before it, but for what threads do meanwhile.
 */
#ifndef HOST_PARTS_H
#define HOST_PARTS_H

#include "fuzz/fuzz.h"

#include "ports/host_private.h"

/* Small enough to be used up. */
#define WINDOW	  4096
#define MAX_FRAME ((size_t)4 << 20)

/* ---- the other end ---- */

void end_begins(void);

/* Hand a body to the host, and look at what follows at once. */
void end_says(const unsigned char *body, size_t len);

/* Whether the link is full; when it no longer is, that is told. */
void end_is_full(bool full);

/* The emulator closes the port. */
void end_hangs_up(void);

/* Each open and request was answered, nothing is known any more. */
void end_has_ended(void);

/* The highest number of an outlet that was asked for, and of a monitor. */
uint64_t end_last_outlet(void);
uint64_t end_last_monitor(void);

/* Whether a call is over is the host's alone to know: its process has ended. */
bool end_may_be_gone(uint64_t call);

/* ---- drivers ---- */

extern const struct reclaim_driver *const fuzz_drivers[];
extern const size_t fuzz_drivers_count;

/* What they draw is the input's. */
void drivers_begin(uint64_t seed);

#endif
