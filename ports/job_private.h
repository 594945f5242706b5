/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job - work on other threads, as tasks below calls and outlets
 *
 * Threads are made when there is work and none is idle, up to --jobs of them,
 * and stay.  A job belongs to the loop's thread, but for what `pool` guards.
 */
#ifndef RECLAIM_JOB_PRIVATE_H
#define RECLAIM_JOB_PRIVATE_H

#include "ports/call_private.h"

/* Cancel those of an outlet, its calls' too, or only those of a call. */
void job_cancel_outlet(struct reclaim_outlet *outlet);
void job_cancel_call(struct call *call);

/* In a job of this call: where its answer is kept until it is over. */
struct answer **job_answer_of(uint64_t call);

/* The outlet that the calling thread works for, or 0. */
uint64_t job_outlet(void);

/* End an outlet's task on one of the threads.  -1: none can be had. */
int job_end_task(const struct reclaim_outlet *outlet);

/* End the threads; false where some still work after so many milliseconds. */
bool job_end_threads(int within_ms);

#endif
