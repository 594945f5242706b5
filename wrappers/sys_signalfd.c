/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/signalfd.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

int save_signalfd(int fd, const sigset_t *mask, int flags)
{
	struct acquisition a;

	if (fd != -1)
		return signalfd(fd, mask, flags); /* the same one, changed */
	if (acquire_fd(&a, PLACE) < 0)
		return -1;
	return acquired_fd(&a, signalfd(fd, mask, flags));
}
