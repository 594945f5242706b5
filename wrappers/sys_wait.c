/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <sys/wait.h>

#include "reclaim.h"
#include "wrappers/child_private.h"

pid_t save_waitpid(pid_t pid, int *status, int options)
{
	return child_wait(pid, status, options);
}
