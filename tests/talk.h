/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk - where the tests of tasks that talk act
 *
 * A TCase of talk_case() is one of stage_case() in whose tests the root, which
 * the tests work for, has to end with no message, monitor, link or timer.
 */
#ifndef TALK_H
#define TALK_H

#include "tests/stage.h"

#include "reclaim/message.h"
#include "reclaim/timer.h"

/* Long enough that only a hang gets there. */
#define LONG_MS 60000

TCase *talk_case(Suite *suite, const char *name);

/* The root; and the latest that was received. */
extern reclaim_tid root;
extern struct reclaim_msg msg;

/* The next message to the current task, to be waited for. */
void receive_next(void);
void expect_down(uint64_t ref, reclaim_tid from, int status);
void expect_exit(reclaim_tid from, int status);
void expect_text(const char *text);
void expect_nothing(void);

/* A monitor, which is there. */
uint64_t monitor(reclaim_tid tid);

/* Link `tid`, which has no thread, to another. */
void link_from(reclaim_tid tid, reclaim_tid to);

/* One that traps exits from now on. */
void let_trap(reclaim_tid tid);

/* Monitor it and wait until it has ended; its status. */
int status_at_end(reclaim_tid tid);

/* A task without a thread below another. */
reclaim_tid below(reclaim_tid parent);
reclaim_tid spawned(int (*entry)(int argc, char **argv, char **envp));

bool exists(reclaim_tid tid);

/* How many: fewer where each takes a hundred times as long. */
unsigned times(unsigned most, unsigned under_valgrind);

/* Where all that can be done is to let others go on. */
void let_others(void);

#endif
