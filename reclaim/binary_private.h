/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binary - bytes that tasks share
 *
 * A body is counted, and goes with its last reference.  A reference is a handle
 * of its task's ledger, or lies in a message that is under way or has just been
 * received, and has no task yet: retaining it there makes it the task's, and
 * the message's memory with it.
 *
 * Threads: the count of a body is atomic; what a reference belongs to is under
 * `tables`.
 */
#ifndef BINARY_PRIVATE_H
#define BINARY_PRIVATE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "reclaim/binary.h"

struct bin_body;
struct message;
struct thread;

struct reclaim_bin {
	uint64_t magic;
	struct bin_body *body;
	unsigned char *data;
	size_t size;
	reclaim_token token; /* its entry in a ledger; 0: a message's */
	uint32_t count;	     /* how often it is to be released */
	uint32_t spare;	     /* counted in the body, for whom it is sent to */
	_Atomic(struct thread *) sender; /* who alone hands those out */
	void *memory; /* to free with it, or NULL: the body's */
};

/* Set in a reference as long as it is one. */
#define BIN_MAGIC UINT64_C(0x62696e617279c0de)

/*
 * References that are gone are in memory that may be looked at: the heaps'
 * stays mapped, and is overwritten first here.
 */
static inline bool bin_is_one(const struct reclaim_bin *bin)
{
	if (bin && bin->magic == BIN_MAGIC)
		return true;
	errno = EINVAL;
	return false;
}

/* One more reference, to be sent, at `to`, which lies in `memory`. */
void bin_refer(struct reclaim_bin *bin, struct reclaim_bin *to, void *memory);

/* The reference is gone; its memory is still there. */
void bin_end(struct reclaim_bin *bin);

#endif
