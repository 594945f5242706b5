/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library - the process's beginning, forks and end, as the library sees them
 *
 * It starts by itself: when it is loaded, or, where another library's start
 * calls it sooner, then.
 */
#ifndef LIBRARY_PRIVATE_H
#define LIBRARY_PRIVATE_H

void library_start(void);

#endif
