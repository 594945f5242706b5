/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bonds - who is told when a task ends: monitors and links
 *
 * Each monitor and each link is on a list of either task that it is between, so
 * that whichever ends first finds it.  The message that it will send is made
 * with it, so that telling cannot fail.
 *
 * A task that ends is taken out of the tree first, and its bonds dissolved
 * after that, some at a time, with the tables unlocked in between.  Who is to
 * end by that is asked to, and left for the caller to take apart: a chain of
 * links is as deep as it is long.
 *
 * Threads: all under `tables`.
 */
#ifndef BONDS_PRIVATE_H
#define BONDS_PRIVATE_H

#include "reclaim/message.h"

struct bonds;
struct task;

/* A task is about to leave the tree: its bonds are to be dissolved. */
void bonds_depart(struct task *task);

/*
 * Dissolve them, with the tables unlocked at times.  Returns who was asked to
 * end by that, for the caller to reap, one at a time; 0: nobody any more.
 */
reclaim_tid bonds_settle(void);

#endif
