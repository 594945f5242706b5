/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_fds - what it costs to know who owns a descriptor
 *
 * Two trackers written for comparison.  Both know the owner of each descriptor
 * and refuse to close what the caller's does not own.
 *
 * bitmap         a bit for each descriptor, in the owner
 * mutexed table  one table for all, locked, its entries in their owner's list
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/peers.h"

#define FDS_MAX 1024
#define HELD	100
#define APART	__attribute__((noinline))

/* ---- bitmap ---- */

struct bitmap {
	uint64_t bits[FDS_MAX / 64];
};

static struct bitmap bitmap_owner;
static _Thread_local struct bitmap *bitmap = &bitmap_owner;

static APART int bitmap_open(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		return fd;
	if (fd >= FDS_MAX) {
		close(fd);
		errno = EMFILE;
		return -1;
	}
	bitmap->bits[fd / 64] |= UINT64_C(1) << fd % 64;
	return fd;
}

static APART int bitmap_close(int fd)
{
	uint64_t *bits = &bitmap->bits[fd / 64], bit = UINT64_C(1) << fd % 64;

	if ((unsigned)fd >= FDS_MAX || !(*bits & bit)) {
		errno = EBADF;
		return -1;
	}
	*bits &= ~bit;
	return close(fd);
}

/* ---- mutexed table ---- */

struct holder {
	struct holder *older, *newer, *owner;
};

static struct holder table[FDS_MAX];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct holder table_owner = {&table_owner, &table_owner, NULL};
static _Thread_local struct holder *table_current = &table_owner;

static APART int table_open(const char *path, int flags)
{
	int fd = open(path, flags);
	struct holder *holder;

	if (fd < 0)
		return fd;
	if (fd >= FDS_MAX) {
		close(fd);
		errno = EMFILE;
		return -1;
	}
	pthread_mutex_lock(&table_lock);
	holder = &table[fd];
	holder->owner = table_current;
	holder->newer = table_current;
	holder->older = table_current->older;
	holder->older->newer = holder;
	table_current->older = holder;
	pthread_mutex_unlock(&table_lock);
	return fd;
}

static APART int table_close(int fd)
{
	struct holder *holder = &table[fd];
	bool ours = false;

	pthread_mutex_lock(&table_lock);
	if ((unsigned)fd < FDS_MAX && holder->owner == table_current) {
		holder->older->newer = holder->newer;
		holder->newer->older = holder->older;
		holder->owner = NULL;
		ours = true;
	}
	pthread_mutex_unlock(&table_lock);
	if (!ours) {
		errno = EBADF;
		return -1;
	}
	return close(fd);
}

/* ---- open and close ---- */

#define OPEN_AND_CLOSE(who, open_one, close_one)                              \
	static void with_##who(struct batch *batch)                           \
	{                                                                     \
		batch_start(batch);                                           \
		for (size_t t = 0; t < batch->times; t++) {                   \
			int fd = open_one("/dev/null", O_RDONLY | O_CLOEXEC); \
                                                                              \
			if (fd < 0 || close_one(fd) != 0)                     \
				bench_die(#who ": not opened and closed");    \
		}                                                             \
		batch_stop(batch, batch->times);                              \
	}

OPEN_AND_CLOSE(save, save_open, save_close)
OPEN_AND_CLOSE(plain, open, close)
OPEN_AND_CLOSE(bitmap, bitmap_open, bitmap_close)
OPEN_AND_CLOSE(table, table_open, table_close)

static void with_libreclaim(struct batch *batch)
{
	void *task = libreclaim_begin();

	with_save(batch);
	libreclaim_leave(task);
	libreclaim_end(task);
}

static const struct contender open_and_close_by[] = {
	{.name = "libreclaim", .work = with_libreclaim},
	{.name = "open(2) and close(2)", .work = with_plain},
	{.name = "bitmap", .work = with_bitmap},
	{.name = "mutexed table", .work = with_table},
	{.name = NULL}};

/* ---- a task that ends with descriptors ---- */

static void end_task(struct batch *batch)
{
	for (size_t t = 0; t < batch->times; t++) {
		void *task = libreclaim_begin();

		for (size_t i = 0; i < HELD; i++)
			if (save_open("/dev/null", O_RDONLY) < 0)
				bench_die("not %d files", HELD);
		libreclaim_leave(task);
		batch_start(batch);
		libreclaim_end(task);
		batch_stop(batch, 1);
	}
}

static void close_each(struct batch *batch)
{
	int fd[HELD];

	for (size_t t = 0; t < batch->times; t++) {
		for (size_t i = 0; i < HELD; i++) {
			fd[i] = open("/dev/null", O_RDONLY);
			if (fd[i] < 0)
				bench_die("not %d files", HELD);
		}
		batch_start(batch);
		for (size_t i = HELD; i-- > 0;)
			close(fd[i]);
		batch_stop(batch, 1);
	}
}

static const struct contender end_by[] = {
	{.name = "libreclaim", .work = end_task},
	{.name = "100 close(2) calls", .work = close_each},
	{.name = NULL}};

static const struct row rows[] = {
	{.what = "fd tracking, instructions on open+close",
	 .unit = "instr.",
	 .count = 8,
	 .beyond = true,
	 .most = 3,
	 .must = 110,
	 .aim = 60,
	 .contenders = open_and_close_by},
	{.what = "fd tracking, time of open+close",
	 .contenders = open_and_close_by},
	{.what = "end of a task with 100 fds",
	 .must = 1.05,
	 .contenders = end_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "what tracking descriptors costs");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
