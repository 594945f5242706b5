/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash - uthash, where adding cannot fail once there is room
 *
 * uthash allocates twice: to make a table for its first element, and to
 * double its buckets.  HASH_RESERVE sees to the first with an element that
 * stays; HASH_COMMIT does without the second where memory is short, and the
 * chains grow instead until a later addition doubles them.
 *
 * A table is used under its owner's lock.
 */
#ifndef HASH_PRIVATE_H
#define HASH_PRIVATE_H

#include <stdbool.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(element) (hash_failed = true)

/* Whether there is a table, for elements with a key `field` of `len` bytes. */
#define HASH_RESERVE(head, first, field, len)                  \
	({                                                     \
		bool hash_failed = false;                      \
                                                               \
		if (!(head))                                   \
			HASH_ADD(hh, head, field, len, first); \
		if (hash_failed)                               \
			(head) = NULL;                         \
		!hash_failed;                                  \
	})

#define HASH_COMMIT(head, field, len, element)                   \
	do {                                                     \
		bool hash_failed = false;                        \
                                                                 \
		HASH_ADD(hh, head, field, len, element);         \
		if (hash_failed) {                               \
			(head)->hh.tbl->noexpand = 1;            \
			HASH_ADD(hh, head, field, len, element); \
			(head)->hh.tbl->noexpand = 0;            \
		}                                                \
	} while (0)

#endif
