/* SPDX-License-Identifier: Apache-2.0 */
/*
 * served - memory served from one block, by libreclaim and by a plain list
 *
 * A served block is of libreclaim's, by policy, with what each thread may keep;
 * these are the library's own names, not its public ones, and so the program
 * links it statically.  The plain list is the least there could be: a header
 * of 16 bytes before each piece, the free ones in a list by address, the first
 * that fits; freed to its place in the list, and joined there.  It makes no
 * checks and takes no lock.
 *
 * The memory is written to once, so that no page is missing later.
 */
#ifndef BENCH_SERVED_H
#define BENCH_SERVED_H

#include <stddef.h>

void *served_begin(const char *policy, size_t bytes, size_t front);
void *served_alloc(void *served, size_t size);
void served_free(void *served, void *ptr);
void served_end(void *served);

void *plain_list_begin(size_t bytes);
void *plain_list_alloc(void *plain, size_t size);
void plain_list_free(void *plain, void *ptr);
void plain_list_end(void *plain);

/* In bytes, of either. */
struct served_state {
	size_t kept; /* beside what could be allocated in an empty one */
	size_t free;
	size_t longest;
};
struct served_state served_look(void *served);
struct served_state plain_list_look(void *plain);

#endif
