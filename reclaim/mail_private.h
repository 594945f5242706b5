/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mail - the memory of what is between tasks
 *
 * Messages and binaries belong to no task while they are under way.  Their
 * memory comes from heaps like any task's, one for each thread, that are in no
 * task: allocated without a lock, and freed by whoever is done.
 *
 * Threads: any.
 * Errors: NULL with ENOMEM.
 */
#ifndef MAIL_PRIVATE_H
#define MAIL_PRIVATE_H

#include <stddef.h>

struct thread;

/* Aligned to 16 bytes. */
void *mail_alloc(size_t size);
void mail_free(void *ptr); /* or NULL; preserves errno */

/*
 * Some of what the calling thread freed may be known to it alone: until this,
 * which is for when it has nothing more to receive.
 */
void mail_return(void);

/* The end of a thread, and, in a forked child, of the others. */
void mail_leave(struct thread *self);
void mail_forked(void);

#endif
