/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place - where in the program something happened
 *
 * A place is a return address.  Places are kept with RECLAIM_PLACES=1 in the
 * environment, and made readable only when something is reported: file and
 * line by elfutils' libdw, loaded for the purpose, or symbol and offset.
 */
#ifndef PLACE_PRIVATE_H
#define PLACE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

extern bool place_kept __attribute__((visibility("hidden")));

/* RECLAIM_PLACES, from the environment. */
void place_start(void);

/* In a public function: where it was called from. */
#define PLACE (place_kept ? __builtin_return_address(0) : NULL)

/* The words for a place, cut to len; "" for NULL.  Returns buf. */
char *place_describe(const void *place, char *buf, size_t len);

/* Around fork. */
void place_lock(void);
void place_unlock(void);

#endif
