/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams - the port of a program that runs as a task
 *
 * What fds 0 and 1 are to a process of its own: where reclaim_port_open, in the
 * thread that runs the program, finds its port if it is not told.  They are the
 * task's handles, and moved into the port as fds 0 and 1 would be: there is one
 * port of them.
 */
#ifndef RECLAIM_STREAMS_PRIVATE_H
#define RECLAIM_STREAMS_PRIVATE_H

#include <stdbool.h>

struct streams {
	bool are_set, are_taken;
	int in, out;
};

extern __thread struct streams streams;

#endif
