/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trackers - three ways to know who owns a block of libc's, for comparison
 *
 * Each is the least that does its job: no checks, no locks, one thread at a
 * time.
 *
 * list   a header before each block, in a doubly-linked list of its owner's
 * side   a uthash table beside the blocks, from a pointer to its record
 * chain  what OTP did on VxWorks: a record behind each block in a
 *        singly-linked list, newest first, searched from its head to free
 */
#ifndef BENCH_TRACKERS_H
#define BENCH_TRACKERS_H

#include <stddef.h>

void *list_begin(void);
void *list_alloc(void *owner, size_t size);
void *list_resize(void *owner, void *ptr, size_t size);
void list_free(void *owner, void *ptr);
void list_end(void *owner);

void *side_begin(void);
void *side_alloc(void *owner, size_t size);
void *side_resize(void *owner, void *ptr, size_t size);
void side_free(void *owner, void *ptr);
void side_end(void *owner);

void *chain_begin(void);
void *chain_alloc(void *owner, size_t size);
void chain_free(void *owner, void *ptr);
void chain_end(void *owner);

#endif
