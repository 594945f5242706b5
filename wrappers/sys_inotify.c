/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/inotify.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

int save_inotify_init1(int flags)
{
	struct acquisition a;

	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, inotify_init1(flags));
}
