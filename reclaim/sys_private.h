/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys - the process's block, that sys_alloc serves from
 *
 * There is one at most.  It is set and ended by wrappers/sys_alloc.c; here is
 * what the rest of the library has to know of it.
 */
#ifndef SYS_PRIVATE_H
#define SYS_PRIVATE_H

#include <stdatomic.h>

#include "reclaim/block_private.h"

extern _Atomic(struct block *) sys_block; /* NULL: there is none */

/* Set it, or NULL: then nobody finds it any more. */
void sys_set(struct block *block);

/* Whether a pointer is into its area. */
bool sys_has(const void *ptr);

/* What is left of an ended task's goes back to it. */
void sys_give_back(void *ptr);

/* Around fork. */
void sys_lock(void);
void sys_unlock(void);

#endif
