/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library - the process's beginning, forks and end, as the library sees them
 *
 * It starts by itself: when it is loaded, or, where another library's start
 * calls it sooner, then.
 */
#ifndef LIBRARY_PRIVATE_H
#define LIBRARY_PRIVATE_H

#include <pthread.h>

#include "reclaim/lock_private.h"

void library_start(void);

/*
 * A wrapper's own lock, which whoever forks takes before the library's: the
 * handlers of what starts later are run sooner.
 */
#define LOCK_HELD_OVER_FORK(lock)                                      \
	static void take_before_fork(void)                             \
	{                                                              \
		lock_take(&(lock));                                    \
	}                                                              \
                                                                       \
	static void drop_after_fork(void)                              \
	{                                                              \
		lock_drop(&(lock));                                    \
	}                                                              \
                                                                       \
	__attribute__((constructor)) static void guard_over_fork(void) \
	{                                                              \
		library_start();                                       \
		pthread_atfork(take_before_fork, drop_after_fork,      \
			       drop_after_fork);                       \
	}

#endif
