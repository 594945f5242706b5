/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drivers - those that a program has, by name
 *
 * Some are built in; others are found, when they are first asked for, as
 * NAME.so in directories that the program was told.  What is in such a file
 * runs in this process, so nobody but root and the user that it runs as may
 * have written it, or be able to exchange it: a directory is refused, with the
 * reason, where it, or one above it, belongs to anybody else or can be written
 * by a group or by others.  Above it one that is sticky, as /tmp is, will do:
 * there what is below stays its owner's.
 *
 * A driver is loaded once and stays: outlets, jobs and threads have pointers
 * into it.  All of it belongs to one thread, the loop's.
 */
#ifndef RECLAIM_DRIVERS_PRIVATE_H
#define RECLAIM_DRIVERS_PRIVATE_H

#include <reclaim/driver.h>
#include <stdio.h>

struct drivers;

/*
 * With those built in: an array that ends with NULL, or NULL for none.  It is
 * used as long as the drivers are.
 * NULL: EINVAL (another ABI, a name that is none, two of one name; told by
 * reclaim_say), ENOMEM.
 */
struct drivers *drivers_new(const struct reclaim_driver *const *built_in);

/*
 * Once no outlet is left, or never: what was loaded is unloaded, which the
 * process's end does as well.  NULL is none.
 */
void drivers_end(struct drivers *drivers);

/*
 * Look there, too, after the directories that are known.  `path` is absolute.
 * EINVAL: it is not; EPERM: somebody else could put a driver there; ENOTDIR,
 * ENOENT and others of open(2); ENOMEM.  The reason is told by reclaim_say.
 */
int drivers_add_directory(struct drivers *drivers, const char *path);

/*
 * The driver of that name: built in, loaded before, or loaded now.  NULL, and
 * `why` says it in words: ENOENT (there is none, or that is no name), EPERM (a
 * file that is no regular one, or that somebody else can write), ELIBBAD (it
 * cannot be loaded, or is not that driver), ENOMEM, EMFILE and others of
 * open(2).
 */
const struct reclaim_driver *
drivers_find(struct drivers *drivers, const char *name, char *why, size_t len);

/*
 * The entry of the program of that name, found in the same way: the function in
 * NAME.so that is called NAME.  Errors as of drivers_find.
 */
typedef int reclaim_entry(int argc, char **argv, char **envp);

reclaim_entry *drivers_find_program(struct drivers *drivers, const char *name,
				    char *why, size_t len);

/* Those that are built in or loaded: the nth, NULL after the last. */
const struct reclaim_driver *drivers_nth(const struct drivers *drivers,
					 size_t n);

/*
 * Write all that can be found, a line each, to `to`, having loaded them.  0, or
 * 1 where some could not be: why is written in their lines.
 */
int drivers_list(struct drivers *drivers, FILE *to);

#endif
