/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/eventfd.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

int save_eventfd(unsigned value, int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, eventfd(value, flags));
}
