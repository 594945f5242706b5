/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow - a driver whose outlets take as long to end as the test wants
 *
 * start's argument is the path of a FIFO.  What the outlet holds is released
 * when somebody writes it.  A call never ends, and keeps a thread.
 */
#include <reclaim.h>
#include <reclaim/driver.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void wait_for_writer(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
}

static const struct reclaim_kind fifo_kind = {
	.name = "fifo",
	.release = wait_for_writer,
};

static int start(struct reclaim_outlet *outlet, struct reclaim_reader *args)
{
	const void *data;
	char *path;
	size_t len;

	(void)outlet;
	if (reclaim_get_binary(args, &data, &len) < 0)
		return -1;
	path = save_strndup(data, len);
	return path ? reclaim_track(&fifo_kind, path, NULL) : -1;
}

static int wait_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

static const struct reclaim_job job = {.name = "for ever",
				       .run = wait_for_ever};

static void call(struct reclaim_outlet *outlet, uint64_t token,
		 struct reclaim_reader *request)
{
	(void)request;
	if (reclaim_job_start(outlet, token, &job, NULL) < 0)
		reclaim_call_error(token, reclaim_errno_name(errno));
}

const struct reclaim_driver reclaim_driver = {
	.abi = RECLAIM_DRIVER_ABI,
	.name = "slow",
	.start = start,
	.call = call,
	.flags = RECLAIM_DRIVER_SLOW_END,
};
