/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call - what a client asks an outlet, until it is answered
 *
 * A call is a task below its outlet's, entered by its handler.  It is over when
 * it is answered, cancelled, who called has died, or its outlet ends; where its
 * handler has returned, does not keep it, and no job of it is left, it is
 * answered for it: no_answer. One that is over is forgotten; its memory stays
 * while jobs of it run.
 */
#ifndef RECLAIM_CALL_PRIVATE_H
#define RECLAIM_CALL_PRIVATE_H

#include "ports/outlet_private.h"

struct call {
	uint64_t id;
	struct reclaim_outlet *outlet;
	reclaim_tid task;
	bool bytes; /* that is what it wants */
	atomic_bool kept;
	atomic_bool claimed; /* somebody answers, or has */
	bool answered;
	bool over;	  /* only jobs hold it */
	uint64_t monitor; /* of who called, if it takes longer; or 0 */
	unsigned inside;
	LIST_HEAD(, job) jobs;
	LIST_ENTRY(call) of_outlet;
	UT_hash_handle hh;
};

/* Frames. */
void call_request(struct reclaim_outlet *outlet,
		  const struct wire_frame *frame);
void call_control(struct reclaim_outlet *outlet,
		  const struct wire_frame *frame);
void call_cancel(uint64_t id);

/* Its outlet ends. */
void call_end_all(struct reclaim_outlet *outlet);

/* The one that is under way, or NULL; in the loop's thread. */
struct call *call_find(uint64_t id);

/* Around callbacks that work for it. */
bool call_enter(struct call *call, const char *callback);
void call_leave(struct call *call);

/* One of its jobs is over, with an answer or without. */
struct answer {
	enum wire_status status;
	size_t len;
	unsigned char bytes[];
};
void call_job_over(struct call *call, const struct answer *answer);

#endif
