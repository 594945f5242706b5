/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/timerfd.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

int save_timerfd_create(int clock, int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, timerfd_create(clock, flags));
}
