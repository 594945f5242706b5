/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - the tasks below one
 *
 * Other threads end tasks as they like: what was found may be gone when it is
 * looked at.
 */
#ifndef RECLAIM_TREE_PRIVATE_H
#define RECLAIM_TREE_PRIVATE_H

#include <reclaim/task.h>

struct tree {
	reclaim_tid *tids;
	size_t count, size;
};

/* `top` and all below it, each behind its parent.  -1: ENOMEM. */
int tree_find(struct tree *tree, reclaim_tid top);
void tree_end(struct tree *tree);

/* What they hold together; nothing where there is no memory to find out. */
struct tree_sums {
	uint64_t tasks, bytes, handles;
};

struct tree_sums tree_sum_up(reclaim_tid top);

#endif
