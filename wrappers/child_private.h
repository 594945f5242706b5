/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child - processes as handles
 *
 * A child ends with its task: TERM, a deadline, KILL, and it is reaped.  One
 * that was reaped behind the wrappers is no child of ours any more, which
 * the kernel says; nothing is signalled by a number that may be another's.
 *
 * A program that is started inherits what the caller's own flags say, except
 * what unrelated tasks hold.
 */
#ifndef CHILD_PRIVATE_H
#define CHILD_PRIVATE_H

#include <spawn.h>
#include <sys/types.h>

#include "wrappers/acquire.h"

extern const struct kind child_kind;

/* posix_spawn or posix_spawnp, and all but the pid that they are given. */
typedef int posix_spawn_call(pid_t *, const char *,
			     const posix_spawn_file_actions_t *,
			     const posix_spawnattr_t *, char *const[],
			     char *const[]);
struct spawn_arguments {
	const char *program;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
	char *const *argv, *const *envp;
};

/* Start a program, whose room was acquired.  Returns 0 or an error number. */
int child_spawn(struct acquisition *a, posix_spawn_call *spawn,
		const struct spawn_arguments *arguments, pid_t *pid);

/* The same for `sh -c`. */
int child_spawn_shell(struct acquisition *a, const char *command,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attributes, pid_t *pid);

/* As waitpid(2). */
pid_t child_wait(pid_t pid, int *status, int options);

#endif
