/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - what is said in Erlang's logger
 *
 * Log frames, from any thread.  On stderr instead where there is nobody who
 * reads frames: in a plain port, before hello, and after the end.
 */
#ifndef RECLAIM_LOG_PRIVATE_H
#define RECLAIM_LOG_PRIVATE_H

#include "ports/outlet_private.h"

/* Of an outlet, or of the host where that is NULL. */
void log_say(int level, const struct reclaim_outlet *outlet, const char *format,
	     ...) __attribute__((format(printf, 3, 4)));

/* A warning while the loop's thread is stuck: on stderr as well. */
void log_say_blocked(uint64_t outlet, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What the library itself reports is said here from now on, or no more. */
void log_take_reports(bool on);

#endif
