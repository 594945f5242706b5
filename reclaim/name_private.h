/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name - what a task is registered as
 *
 * Threads: under `tables`.
 */
#ifndef NAME_PRIVATE_H
#define NAME_PRIVATE_H

struct task;

/* A task that ends has none any more. */
void name_forget(struct task *task);

#endif
