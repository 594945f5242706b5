/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outlet - one open instance of a driver
 *
 *	OPEN -----> CLOSING ----> FLUSHING ----> DRAINING ---> ENDING ---> gone
 *	       asked, while     `flush` said     output     jobs are
 *	       input waits      to wait          waits      cancelled
 *
 * Each arrow is taken by outlet_settle, and any of them may be skipped; a death
 * goes to ENDING at once.  From DRAINING on no callback is called but `stop`.
 */
#ifndef RECLAIM_OUTLET_PRIVATE_H
#define RECLAIM_OUTLET_PRIVATE_H

#include "ports/host_private.h"

enum stage {
	OUTLET_OPEN,
	OUTLET_CLOSING,
	OUTLET_FLUSHING,
	OUTLET_DRAINING,
	OUTLET_ENDING,
	OUTLET_STOPPED, /* and its task has been asked to end */
	OUTLET_GONE
};

/* What waits, not more than an outlet may have. */
struct waiting {
	STAILQ_HEAD(, piece) pieces;
	size_t bytes, frames;
};

struct call;
struct job;
struct watch;
struct clock;
struct process_monitor;

#define REASON_MAX 64

struct reclaim_outlet {
	uint64_t id;
	const struct reclaim_driver *driver;
	struct client *client;
	reclaim_tid task;
	void *state;
	enum stage stage;
	bool started;
	bool touched, is_waiting; /* in the host's lists */
	bool busy;
	bool over;	 /* more than `high` waits */
	bool missed;	 /* a callback that its driver has not; and told so */
	bool has_status; /* a program's, told before `closed` */
	int status;
	unsigned inside; /* callbacks under way */
	char reason[REASON_MAX];

	int64_t may_send;    /* credit */
	int64_t may_receive; /* the other end's */
	size_t consumed;     /* and not yet given back */
	size_t late;	     /* that has come while the other end had none */
	struct waiting input, output;
	size_t low, high;

	unsigned calls_count, jobs_count;
	LIST_HEAD(, call) calls;
	LIST_HEAD(, job) jobs;
	TAILQ_HEAD(, job) ordered; /* behind the one that runs */
	bool ordered_runs;
	LIST_HEAD(, watch) watches;
	LIST_HEAD(, clock) clocks;
	LIST_HEAD(, process_monitor) monitors;
	char *registered;
	uint64_t down; /* the root's monitor of its task, as long as there is
			  one */

	LIST_ENTRY(reclaim_outlet) of_client;
	TAILQ_ENTRY(reclaim_outlet) to_settle, to_send;
	SLIST_ENTRY(reclaim_outlet) to_free;
	UT_hash_handle hh, by_down;
};

/* ---- its life ---- */

/* A frame asks for one; answered with opened or closed. */
void outlet_open(const struct wire_frame *frame);

/* The only one of a plain port; -1: said why. */
int outlet_open_plain(uint64_t id, const char *driver);

/* The one of that number, or NULL. */
struct reclaim_outlet *outlet_find(uint64_t id);

/* With a name for the owner: in order, or at once. */
void outlet_close(struct reclaim_outlet *outlet, const char *reason);
void outlet_end(struct reclaim_outlet *outlet, const char *reason);

/* Something has happened to it: host_settle is to look at it. */
void outlet_touch(struct reclaim_outlet *outlet);
void outlet_settle(struct reclaim_outlet *outlet);

/* Its task has ended, as the root's monitor `ref` tells. */
void outlet_task_ended(uint64_t ref);

/* ---- callbacks ---- */

/*
 * Around each: whether it may be called and the task was entered.  That cannot
 * be where somebody ended it, or is in it: the outlet ends then.  A call's own
 * task is tried.
 */
bool outlet_try_enter(struct reclaim_outlet *outlet, reclaim_tid task,
		      const char *callback);
bool outlet_enter(struct reclaim_outlet *outlet, reclaim_tid task,
		  const char *callback);
void outlet_leave(struct reclaim_outlet *outlet);

/* Its driver has no such callback: said once. */
void outlet_misses(struct reclaim_outlet *outlet, const char *callback);

/* ---- data ---- */

void outlet_receive(struct reclaim_outlet *outlet, const void *data,
		    size_t len);
void outlet_take_input(struct reclaim_outlet *outlet);
void outlet_credit(struct reclaim_outlet *outlet, uint64_t bytes);
void outlet_send_waiting(struct reclaim_outlet *outlet);
void outlet_drop_waiting(struct reclaim_outlet *outlet);

/* A driver may use it: in the loop's thread, until it ends.  EPERM, ESHUTDOWN.
 */
int outlet_look(const struct reclaim_outlet *outlet);

static inline bool outlet_is_live(const struct reclaim_outlet *outlet)
{
	return outlet->stage < OUTLET_ENDING;
}

#endif
