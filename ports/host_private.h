/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - what serves a port: clients, outlets, calls and jobs
 *
 * One host a process, and one thread, the loop's, which does everything but
 * jobs.  What comes (a frame, a time, a descriptor that is ready, something
 * posted by another thread) is an event.  Callbacks run within events; what
 * follows from them, such as the end of an outlet, is done when the event's
 * callbacks have returned, by host_settle: so nothing that a callback was
 * called with is gone before it returns.
 *
 * Structs here are libc's memory, not a task's: they outlive what they describe
 * by an event.  What a driver holds is the tasks'.
 */
#ifndef RECLAIM_HOST_PRIVATE_H
#define RECLAIM_HOST_PRIVATE_H

#include <pthread.h>
#include <reclaim/driver.h>
#include <reclaim/message.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "ports/drivers_private.h"
#include "ports/link_private.h"
#include "ports/options_private.h"
#include "ports/wire_private.h"
#include "reclaim/hash_private.h"

/* Add to a table; false where there is no memory for it. */
#define HASH_TRY(handle, head, field, element)                          \
	({                                                              \
		bool hash_failed = false;                               \
                                                                        \
		HASH_ADD(handle, head, field, sizeof((element)->field), \
			 element);                                      \
		!hash_failed;                                           \
	})

/* What a callback has to return in, after a hang-up. */
#define HANGUP_MS 5000

struct client;
struct reclaim_outlet;

/* Something that another thread wants done in the loop's. */
struct post {
	void (*done)(struct post *post);
	STAILQ_ENTRY(post) next;
};

struct host {
	uv_loop_t loop;
	struct link *link;
	const struct host_options *options;
	struct drivers *drivers;
	size_t max_frame; /* that the other end takes */
	bool greeted;
	bool ended; /* nothing is sent any more */
	int status; /* what the program returns */
	pthread_t thread;

	uint64_t last_outlet;
	uint64_t running; /* the outlet whose callback runs, or 0 */
	struct reclaim_outlet *outlets;	   /* by their numbers */
	struct reclaim_outlet *last_found; /* of them, or NULL */
	struct reclaim_outlet *by_down;	   /* by monitors of their tasks */
	struct client *clients;
	TAILQ_HEAD(, reclaim_outlet) touched; /* to be settled */
	/* With output for a link that is full. */
	TAILQ_HEAD(, reclaim_outlet) waiting;
	SLIST_HEAD(, reclaim_outlet) finished; /* to be freed */

	pthread_mutex_t posting; /* guards: */
	bool takes_posts;
	STAILQ_HEAD(, post) posts;
	uv_async_t posted;

	uv_poll_t tasks_ended; /* the root's queue */
};

extern struct host host;

static inline bool host_is_here(void)
{
	return pthread_equal(pthread_self(), host.thread);
}

/* Serve the port to its end; the program's status. */
int host_run(const struct host_options *options, struct drivers *drivers);

/*
 * What it does before its loop and after it.  -1: it cannot begin; said why.
 * Once in a process.
 */
int host_begin(const struct host_options *options, struct drivers *drivers);
void host_end(void);

/* After each event's callbacks. */
void host_settle(void);

/*
 * From another thread; the post is the host's until `done` is called.  False:
 * there is no host yet, or no more; for as long as jobs run there is.
 */
bool host_post(struct post *post);

/* A frame for the other end; dropped where there is nobody, or no memory. */
int host_send(enum wire_type type, uint64_t first, uint64_t second,
	      uint64_t third, const void *rest, size_t len);

/* Answer a request of the emulator's, of whatever sort. */
int host_reply(uint64_t call, enum wire_status status, const void *data,
	       size_t len);
int host_reply_error(uint64_t call, const char *reason);

#endif
