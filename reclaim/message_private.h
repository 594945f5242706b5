/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message - what tasks send each other
 */
#ifndef MESSAGE_PRIVATE_H
#define MESSAGE_PRIVATE_H

#include "reclaim/message.h"
#include "reclaim/queue_private.h"

/* A new one with these bytes; NULL with EINVAL, ENOMEM. */
struct message *message_of(int type, const void *data, size_t len);

/* Whether the current task has just received this reference; and it is its
 * own from now on, with the message's memory. */
bool message_has(const struct reclaim_bin *bin);
void message_yield(void);

/* The calling thread leaves for good what match functions it is in. */
void message_abandon(void);

/* Drop what has come to the current task of this type and reference: whether
 * there was anything.  -1 with EBUSY. */
int message_flush(int type, uint64_t ref);

#endif
