/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <spawn.h>

#include "reclaim.h"
#include "wrappers/child_private.h"

static int spawn_tracked(pid_t *pid, posix_spawn_call *spawn,
			 const struct spawn_arguments *arguments, void *place)
{
	struct acquisition a;
	pid_t child;
	int error;

	if (acquire(&a, &child_kind, place) < 0)
		return errno;
	error = child_spawn(&a, spawn, arguments, &child);
	if (!error && pid)
		*pid = child;
	return error;
}

int save_posix_spawn(pid_t *pid, const char *path,
		     const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attributes, char *const argv[],
		     char *const envp[])
{
	struct spawn_arguments arguments = {path, actions, attributes, argv,
					    envp};

	return spawn_tracked(pid, posix_spawn, &arguments, PLACE);
}

int save_posix_spawnp(pid_t *pid, const char *file,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attributes, char *const argv[],
		      char *const envp[])
{
	struct spawn_arguments arguments = {file, actions, attributes, argv,
					    envp};

	return spawn_tracked(pid, posix_spawnp, &arguments, PLACE);
}
