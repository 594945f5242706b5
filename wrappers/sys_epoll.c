/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/epoll.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

int save_epoll_create1(int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, epoll_create1(flags));
}
