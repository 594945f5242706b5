/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits - what a client may hold, with all that is below it
 *
 * Each task has limits of its own, which the library keeps to the byte.  Those
 * of a client are of a whole tree, and are looked at now and then while its
 * drivers do something: one that is over them loses its outlets.
 */
#ifndef RECLAIM_LIMITS_PRIVATE_H
#define RECLAIM_LIMITS_PRIVATE_H

/* Somebody's driver has run. */
void limits_look_soon(void);

#endif
