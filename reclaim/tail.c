/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/tail_private.h"

#include <string.h>

#include "reclaim/tools_private.h"

bool tail_labels;

/* ---- labels ---- */

static struct label *label_of(const struct pointer *block)
{
	struct label *label = (void *)(block->start + block->size);

	return --label;
}

struct label tail_label(const struct pointer *block)
{
	struct label *label, copy = {.size = 0};
	size_t most = block->size - sizeof(copy);

	if (!tail_labels)
		return copy;
	label = label_of(block);
	tools_open(label, sizeof(*label));
	copy = *label;
	tools_close(label, sizeof(*label));
	if (copy.size > most)
		copy.size = most;
	return copy;
}

static void write_label(const struct pointer *block, const struct label *copy)
{
	struct label *label = label_of(block);

	tools_open(label, sizeof(*label));
	*label = *copy;
	tools_close(label, sizeof(*label));
}

/* ---- slack ---- */

static void write_slack(const struct pointer *block, size_t size)
{
	slack_t slack = (slack_t)(block->size - size);

	memcpy(block->start + block->size - sizeof(slack), &slack,
	       sizeof(slack));
}

static size_t without_slack(const struct pointer *block)
{
	slack_t slack;

	memcpy(&slack, block->start + block->size - sizeof(slack),
	       sizeof(slack));
	return slack >= sizeof(slack) && slack <= block->size
		       ? block->size - slack
		       : 0;
}

/* ---- either ---- */

size_t tail_asked(const struct pointer *block, const struct memory *memory)
{
	if (tail_labels)
		return tail_label(block).size;
	return memory->max_bytes ? without_slack(block) : block->size;
}

void tail_resize(const struct pointer *block, const struct memory *memory,
		 size_t size, void *acquired)
{
	struct label label = {.acquired = acquired, .size = size};

	if (tail_labels)
		write_label(block, &label);
	else if (memory->max_bytes)
		write_slack(block, size);
}

void tail_begin(const struct pointer *block, const struct memory *memory,
		size_t size, bool zero, void *acquired)
{
	tail_resize(block, memory, size, acquired);
	tools_allocated(block->ptr, size, zero);
}

void tail_end(const struct pointer *block, void *freed)
{
	struct label label;

	if (!tail_labels)
		return;
	label = tail_label(block);
	tools_freed(block->ptr, label.size);
	label.freed = freed;
	write_label(block, &label);
}
