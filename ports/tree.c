/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/tree_private.h"

#include <stdlib.h>

static int grow(struct tree *tree, size_t size)
{
	reclaim_tid *tids = reallocarray(tree->tids, size, sizeof(*tids));

	if (!tids)
		return -1;
	tree->tids = tids;
	tree->size = size;
	return 0;
}

static int add_children(struct tree *tree, reclaim_tid parent)
{
	size_t room = tree->size - tree->count;
	int found = reclaim_children(parent, tree->tids + tree->count, room);

	while (found > 0 && (size_t)found > room) {
		if (grow(tree, 2 * (tree->count + (size_t)found)) < 0)
			return -1;
		room = tree->size - tree->count;
		found = reclaim_children(parent, tree->tids + tree->count,
					 room);
	}
	if (found > 0)
		tree->count += (size_t)found;
	return 0;
}

int tree_find(struct tree *tree, reclaim_tid top)
{
	size_t i;

	*tree = (struct tree){0};
	if (grow(tree, 16) < 0)
		return -1;
	tree->tids[tree->count++] = top;
	for (i = 0; i < tree->count; i++)
		if (add_children(tree, tree->tids[i]) < 0)
			return -1;
	return 0;
}

void tree_end(struct tree *tree)
{
	free(tree->tids);
}

struct tree_sums tree_sum_up(reclaim_tid top)
{
	struct reclaim_task_info info;
	struct tree_sums sums = {0};
	struct tree tree;
	size_t i;

	if (tree_find(&tree, top) < 0)
		tree.count = 0;
	for (i = 0; i < tree.count; i++) {
		if (reclaim_task_info(tree.tids[i], &info) < 0)
			continue;
		sums.tasks++;
		sums.bytes += info.bytes;
		sums.handles += info.handles;
	}
	tree_end(&tree);
	return sums;
}
