/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/binary.h - bytes that many tasks have and nobody copies
 *
 * A binary is an area of bytes that is counted: it goes when the last
 * reference to it does.  A reference, struct reclaim_bin, belongs to one task,
 * as a handle, and dies with it.  reclaim_send_bin() gives the receiver one of
 * its own, to the same bytes; a slice is one to a part of them.
 *
 * Bytes may be written by who made the binary, until the first time that it is
 * sent or sliced, or retained by another task; after that by nobody.
 *
 * All functions may be called from any thread, none in a signal handler.
 * What is no reference, or no longer, is refused with EINVAL as far as that
 * can be told.
 * Source: Erlang's reference-counted binaries.
 */
#ifndef RECLAIM_BINARY_H
#define RECLAIM_BINARY_H

#include <stddef.h>

#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

struct reclaim_bin;

/*
 * A binary of `len` bytes, copied from `data`; where that is NULL, to be
 * filled.  The current task has the one reference.  The bytes are aligned to 16
 * and are not counted in the task's; the reference counts as a handle.
 * NULL: ENOMEM; EMFILE at the task's limit of handles.
 */
RECLAIM_API struct reclaim_bin *reclaim_bin_new(const void *data, size_t len);

/*
 * One more reference for the current task, to be released once more, or with
 * the task.  Use what it returns: that is `bin`, if the task has it already
 * or has just received it, else another.
 * NULL: EINVAL, ENOMEM, EMFILE.
 */
RECLAIM_API struct reclaim_bin *reclaim_bin_retain(struct reclaim_bin *bin);

/*
 * One reference less.  0, or -1: EINVAL where there is none, as for one that
 * was received and not retained, which goes by itself; EPERM where it is an
 * unrelated task's.
 */
RECLAIM_API int reclaim_bin_release(struct reclaim_bin *bin);

/* The bytes, and how many.  NULL and 0 with EINVAL. */
RECLAIM_API void *reclaim_bin_data(const struct reclaim_bin *bin);
RECLAIM_API size_t reclaim_bin_size(const struct reclaim_bin *bin);

/*
 * A reference to `len` bytes from `offset` on, as from reclaim_bin_new, without
 * copying them.
 * NULL: ERANGE beyond the end; EINVAL, ENOMEM, EMFILE.
 */
RECLAIM_API struct reclaim_bin *reclaim_bin_slice(struct reclaim_bin *bin,
						  size_t offset, size_t len);

#ifdef __cplusplus
}
#endif

#endif
