/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program - the driver whose outlets are port programs, each a task
 *
 * A port program in a host is a shared object whose entry has the object's own
 * name.  It runs in a thread of its own, as a task below its outlet's, with a
 * pair of pipes for what would be its standard streams: reclaim_port_open takes
 * them.  The outlet's data are its frames.  When it ends the owner is told its
 * status; when the outlet is closed it reads the end of input, and when its
 * owner dies it is killed.
 * Source: port programs as VxWorks tasks.
 */
#ifndef RECLAIM_PROGRAM_PRIVATE_H
#define RECLAIM_PROGRAM_PRIVATE_H

#include <reclaim/driver.h>

/* The arguments of an outlet: a command line, the first word of it the name. */
extern const struct reclaim_driver program_driver;

#endif
