/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wrappers/child_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"
#include "wrappers/acquire.h"

/* ---- the end of a child ---- */

/*
 * From TERM to KILL.  Long enough for a program that tidies up after itself;
 * a task that ends waits for it.
 */
#define TERM_GRACE_MS 2000

/* Reaped now, or before: then it is nobody's. */
static bool is_gone(pid_t pid)
{
	pid_t reaped;

	do
		reaped = waitpid(pid, NULL, WNOHANG);
	while (reaped < 0 && errno == EINTR);
	return reaped != 0;
}

/* No descriptor is needed for this, and no signal handler. */
static bool is_gone_within(pid_t pid, int ms)
{
	struct timespec pause = {.tv_nsec = 1000000};
	int slept = 0;

	while (!is_gone(pid)) {
		if (slept >= ms)
			return false;
		nanosleep(&pause, NULL);
		slept += (int)(pause.tv_nsec / 1000000);
		if (pause.tv_nsec < 32000000)
			pause.tv_nsec *= 2;
	}
	return true;
}

static void release_child(const struct entry *held)
{
	pid_t pid = (pid_t)(intptr_t)held->id;

	if (is_gone(pid))
		return;
	kill(pid, SIGTERM);
	kill(pid, SIGCONT); /* a stopped one obeys as well */
	if (is_gone_within(pid, TERM_GRACE_MS))
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void abandon_child(const struct entry *entry)
{
	pid_t pid = (pid_t)(intptr_t)entry->id;

	if (!is_gone(pid))
		kill(pid, SIGKILL);
}

static int describe_child(const void *id, char *buf, size_t len)
{
	return snprintf(buf, len, "%d", (int)(intptr_t)id);
}

const struct kind child_kind = {
	.kind = {.name = "process",
		 .describe = describe_child,
		 .fork = RECLAIM_FORK_DROP | KIND_BUILTIN | KIND_FOUND_BY_ID |
			 KIND_IS_UNIQUE},
	.release = release_child,
	.abandon = abandon_child,
};

int reclaim_child_detach(int pid)
{
	struct departure d;

	if (let_go(&d, &child_kind, (void *)(intptr_t)pid, "detach", PLACE) < 0)
		return -1;
	gone(&d);
	if (d.held.kind)
		return 0;
	errno = ECHILD;
	return -1;
}

/* ---- the start of a program ---- */

static void close_on_exec(struct entry *entry)
{
	int flags = fcntl(entry->fd, F_GETFD);

	if (flags < 0 || flags & FD_CLOEXEC)
		return;
	entry->shielded = fcntl(entry->fd, F_SETFD, flags | FD_CLOEXEC) == 0;
}

static void restore(struct entry *entry)
{
	int flags = fcntl(entry->fd, F_GETFD);

	entry->shielded = false;
	if (flags >= 0)
		fcntl(entry->fd, F_SETFD, flags & ~FD_CLOEXEC);
}

/*
 * posix_spawn takes no list of descriptors to be closed after the caller's own
 * file actions; a flag on each for the while does the same.
 */
static void for_strangers(void (*act)(struct entry *), bool shielded)
{
	struct task *self = task_self(), *task;
	struct entry *entry;

	for (task = task_root; task; task = task_next(task, task_root))
		for (entry = task->ledger.newest; entry; entry = entry->older) {
			if (entry->fd < 0 || entry->shielded != shielded)
				continue;
			if (shielded || entry->private_to_process ||
			    !task_is_below(self, task))
				act(entry);
		}
}

int child_spawn(struct acquisition *a, posix_spawn_call *spawn,
		const struct spawn_arguments *arguments, pid_t *pid)
{
	int error;

	lock_take(&tables);
	for_strangers(close_on_exec, false);
	error = spawn(pid, arguments->program, arguments->actions,
		      arguments->attributes, arguments->argv, arguments->envp);
	for_strangers(restore, true);
	lock_drop(&tables);
	acquired(a, error ? NULL : (void *)(intptr_t)*pid);
	return error;
}

int child_spawn_shell(struct acquisition *a, const char *command,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attributes, pid_t *pid)
{
	const char *argv[] = {"sh", "-c", "--", command, NULL};
	struct spawn_arguments arguments = {"/bin/sh", actions, attributes,
					    (char **)argv, environ};

	return child_spawn(a, posix_spawn, &arguments, pid);
}

/* ---- waiting for one ---- */

/* What waitpid(2) takes; waitid(2) would take more. */
#define WAIT_OPTIONS \
	(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | __WCLONE)

/* Wait until one has changed, and leave it as it is. */
static int peek(pid_t pid, int options, pid_t *found)
{
	siginfo_t info = {.si_pid = 0};
	idtype_t type = pid > 0 ? P_PID : pid == -1 ? P_ALL : P_PGID;
	id_t id = pid > 0 ? (id_t)pid : pid == -1 ? 0 : -(id_t)pid;

	/* WUNTRACED is WSTOPPED. */
	if (waitid(type, id, &info, options | WNOWAIT | WEXITED) < 0)
		return -1;
	*found = info.si_pid;
	return 0;
}

static reclaim_token find(pid_t pid)
{
	struct entry *entry;
	reclaim_token token;

	lock_take(&tables);
	entry = ledger_find(&child_kind.kind, (void *)(intptr_t)pid);
	token = entry ? ledger_token(entry) : 0;
	lock_drop(&tables);
	return token;
}

static void forget(reclaim_token token)
{
	struct entry *entry;

	lock_take(&tables);
	entry = token ? ledger_find_token(token) : NULL;
	if (entry)
		ledger_remove(entry);
	lock_drop(&tables);
}

/*
 * Where waiting has failed because there is no such child any more, others
 * have reaped it, or the kernel did as SIGCHLD is ignored.
 */
static void forget_if_gone(pid_t pid, reclaim_token token)
{
	int saved = errno;
	siginfo_t info;

	if (token && waitid(P_PID, (id_t)pid, &info,
			    WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		forget(token);
	errno = saved;
}

/* Reap what is known to have changed; 0 where it has not. */
static pid_t reap(pid_t pid, int *status, int options)
{
	int cancel = cancel_off(), its_status = 0;
	reclaim_token token = find(pid);
	pid_t reaped = waitpid(pid, &its_status, options | WNOHANG);

	if (reaped > 0) {
		if (WIFEXITED(its_status) || WIFSIGNALED(its_status))
			forget(token);
		if (status)
			*status = its_status;
	}
	cancel_on(cancel);
	return reaped;
}

/*
 * Wait without reaping, so that cancellation loses nothing; then reap without
 * waiting.  What was found may have been reaped by others meanwhile: then
 * there may be another.
 */
pid_t child_wait(pid_t pid, int *status, int options)
{
	reclaim_token token = pid > 0 ? find(pid) : 0;
	pid_t found, reaped;

	if (options & ~WAIT_OPTIONS || pid == INT_MIN)
		return waitpid(pid, status, options); /* says what is wrong */
	for (;;) {
		if (peek(pid, options, &found) < 0) {
			forget_if_gone(pid, token);
			return -1;
		}
		if (found == 0)
			return 0; /* WNOHANG */
		reaped = reap(found, status, options);
		if (reaped > 0 || (reaped < 0 && errno != ECHILD))
			return reaped;
	}
}
