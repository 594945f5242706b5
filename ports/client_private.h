/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - an Erlang process that has outlets here
 *
 * A task, from its first outlet to its last.
 */
#ifndef RECLAIM_CLIENT_PRIVATE_H
#define RECLAIM_CLIENT_PRIVATE_H

#include "ports/host_private.h"

struct client {
	uint64_t id;
	reclaim_tid task;
	unsigned count;
	LIST_HEAD(, reclaim_outlet) outlets; /* newest first */
	UT_hash_handle hh;
};

struct client *client_find(uint64_t id);

/* The client of a number, made where it is new; gone with its last outlet. */
struct client *client_get(uint64_t id, const char *label);
void client_put(struct client *client);

/* All of its outlets end. */
void client_end(struct client *client, const char *reason);
void client_end_all(const char *reason);

/* A frame gives an outlet to another. */
void client_give(struct reclaim_outlet *outlet, const struct wire_frame *frame);

#endif
