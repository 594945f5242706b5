/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rare - what is seldom done, out of the way of what is done often
 *
 * A function that may go on to something long saves registers for that, even
 * where it does not.  So the long is a function of its own, and stays one.
 */
#ifndef RARE_PRIVATE_H
#define RARE_PRIVATE_H

#define RARE __attribute__((noinline, cold))

/* The opposite: a part of whatever does it, wherever that is. */
#define INLINE inline __attribute__((always_inline))

#endif
