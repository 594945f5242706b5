/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the command line of reclaim-host, and of any reclaim_port_main
 *
 * What is read is what reclaim-host(1) says.  What is wrong is told on stderr,
 * with what would be right.  No memory but `directories`.
 */
#ifndef RECLAIM_OPTIONS_PRIVATE_H
#define RECLAIM_OPTIONS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a task, as in struct reclaim_task_opts: 0 is no limit. */
struct host_limits {
	size_t bytes;
	uint32_t handles;
};

struct host_options {
	const char **directories; /* of --drivers; ends with NULL; or NULL */
	struct host_limits client, outlet;
	uint32_t max_outlets; /* of a client */
	uint32_t max_calls;   /* under way in an outlet */
	uint32_t window;      /* bytes of credit that an outlet gives */
	size_t max_frame;     /* bytes of a body */
	unsigned jobs;	      /* threads that run them */
	unsigned spin_us;     /* to look for more before sleeping; 0: never */
	unsigned watchdog_ms; /* that a callback may take; 0: any */
	bool plain;	      /* one outlet and no wire: */
	const char *plain_driver; /* NULL: the first one built in */
	bool nouse_stdio;	  /* fds 3 and 4 */
	bool list;		  /* write what drivers there are, and end */
};

/*
 * Read the command line.  -1: go on; else what main is to return, 0 after
 * --help and --version, 2 where something is wrong or stdin is a terminal.
 * `argv` is to stay, which `options` has pointers into.  options_end in any
 * case.
 */
int options_read(struct host_options *options, int argc, char **argv);
void options_end(struct host_options *options);

#endif
