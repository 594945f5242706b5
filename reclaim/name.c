/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/name_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/hash_private.h"
#include "reclaim/message.h"
#include "reclaim/task_private.h"

struct name {
	struct task *task;
	UT_hash_handle hh;
	char text[];
};

static struct name *names;

/* The empty one is the table's own. */
static struct name *find(const char *text)
{
	struct name *name = NULL;

	if (text && *text)
		HASH_FIND_STR(names, text, name);
	return name;
}

static struct name *make(const char *text, size_t len)
{
	static struct name first;
	struct name *name = NULL;

	if (HASH_RESERVE(names, &first, text, 0))
		name = malloc(sizeof(*name) + len + 1);
	if (name)
		memcpy(name->text, text, len + 1);
	return name;
}

static int give(const char *text, size_t len, reclaim_tid tid)
{
	struct task *task = task_find(tid);
	struct name *name;

	if (!task || task->silent)
		return ESRCH;
	if (task->registered || find(text))
		return EEXIST;
	name = make(text, len);
	if (!name)
		return ENOMEM;
	name->task = task;
	task->registered = name;
	HASH_COMMIT(names, text, len, name);
	return 0;
}

int reclaim_register(const char *text, reclaim_tid tid)
{
	size_t len = text ? strnlen(text, RECLAIM_REGISTER_MAX + 1) : 0;
	int error = EINVAL;

	thread_self();
	if (len > 0 && len <= RECLAIM_REGISTER_MAX) {
		lock_take(&tables);
		error = give(text, len, tid);
		lock_drop(&tables);
	}
	return errno_result(error);
}

void name_forget(struct task *task)
{
	struct name *name = task->registered;

	if (!name)
		return;
	task->registered = NULL;
	HASH_DEL(names, name);
	free(name);
}

int reclaim_unregister(const char *text)
{
	struct name *name;

	thread_self();
	lock_take(&tables);
	name = find(text);
	if (name)
		name_forget(name->task);
	lock_drop(&tables);
	return errno_result(name ? 0 : ENOENT);
}

reclaim_tid reclaim_whereis(const char *text)
{
	struct name *name;
	reclaim_tid tid;

	thread_self();
	lock_take(&tables);
	name = find(text);
	tid = name ? slot_id(&name->task->slot) : 0;
	lock_drop(&tables);
	if (!tid)
		errno = ENOENT;
	return tid;
}
