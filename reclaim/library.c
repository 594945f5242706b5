/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/library_private.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "reclaim.h"
#include "reclaim/fds_private.h"
#include "reclaim/mail_private.h"
#include "reclaim/memory_private.h"
#include "reclaim/place_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"
#include "reclaim/timer_private.h"

/* Whoever forks holds every lock of the library, in their order. */
static void before_fork(void)
{
	lock_take(&tables);
	timers_lock();
	memory_lock();
	place_lock();
}

static void after_fork(void)
{
	place_unlock();
	memory_unlock();
	timers_unlock();
	lock_drop(&tables);
}

static void after_fork_in_child(void)
{
	after_fork();
	lock_take(&tables);
	thread_forked();
	mail_forked();
	task_forked();
	timers_forked();
	lock_drop(&tables);
}

/* There is one thread yet, or the dynamic linker holds the others back. */
__attribute__((constructor)) void library_start(void)
{
	if (task_root)
		return;
	place_start();
	fds_start();
	memory_start();
	task_make_root();
	thread_make_key();
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

__attribute__((destructor)) static void library_end(void)
{
	task_end_process();
}

int reclaim_init(void)
{
	static atomic_flag called = ATOMIC_FLAG_INIT;

	library_start();
	if (!atomic_flag_test_and_set(&called))
		return 0;
	errno = EALREADY;
	return -1;
}

int reclaim_max_files(void)
{
	uint32_t max_handles = task_self()->ledger.max_handles;
	struct rlimit limit;
	rlim_t files = INT_MAX;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < files)
		files = limit.rlim_cur;
	if (max_handles && max_handles < files)
		files = max_handles;
	return (int)files;
}
