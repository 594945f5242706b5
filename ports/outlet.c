/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/outlet_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ports/call_private.h"
#include "ports/client_private.h"
#include "ports/clock_private.h"
#include "ports/job_private.h"
#include "ports/limits_private.h"
#include "ports/log_private.h"
#include "ports/monitor_private.h"
#include "ports/program_private.h"
#include "ports/watch_private.h"
#include "ports/watchdog_private.h"
#include "reclaim.h"

/* What an owner that closes an outlet waits for its output, and `flush`. */
#define CLOSING_MS 5000

/* When a driver is asked to send no more, until it says otherwise. */
#define LOW_WATERMARK  ((size_t)64 << 10)
#define HIGH_WATERMARK ((size_t)256 << 10)

/* Frames often come one after another for the same. */
struct reclaim_outlet *outlet_find(uint64_t id)
{
	struct reclaim_outlet *outlet = host.last_found;

	if (outlet && outlet->id == id)
		return outlet;
	HASH_FIND(hh, host.outlets, &id, sizeof(id), outlet);
	host.last_found = outlet;
	return outlet;
}

void outlet_touch(struct reclaim_outlet *outlet)
{
	if (outlet->touched)
		return;
	outlet->touched = true;
	TAILQ_INSERT_TAIL(&host.touched, outlet, to_settle);
}

/* ---- callbacks ---- */

bool outlet_try_enter(struct reclaim_outlet *outlet, reclaim_tid task,
		      const char *callback)
{
	if (reclaim_enter(task) < 0)
		return false;
	outlet->inside++;
	host.running = outlet->id;
	watchdog_begin(outlet, callback);
	return true;
}

bool outlet_enter(struct reclaim_outlet *outlet, reclaim_tid task,
		  const char *callback)
{
	if (outlet->stage == OUTLET_DRAINING)
		return false;
	if (outlet_try_enter(outlet, task, callback))
		return true;
	outlet_end(outlet,
		   errno == ESRCH ? "killed" : reclaim_errno_name(errno));
	return false;
}

/* Whatever else the callback entered and did not leave is left as well. */
void outlet_leave(struct reclaim_outlet *outlet)
{
	watchdog_end();
	while (reclaim_leave() == 0)
		continue;
	host.running = 0;
	outlet->inside--;
	outlet_touch(outlet);
	limits_look_soon();
}

void outlet_misses(struct reclaim_outlet *outlet, const char *callback)
{
	if (outlet->missed)
		return;
	outlet->missed = true;
	log_say(RECLAIM_LOG_WARNING, outlet, "driver %s has no callback `%s`",
		outlet->driver->name, callback);
}

/* ---- opening ---- */

/* Out of {Driver, Args, Label}; `args` ends where they do. */
struct request {
	char driver[RECLAIM_ATOM_SIZE];
	char label[RECLAIM_NAME_MAX];
	struct reclaim_reader args;
};

static int read_request(const struct wire_frame *frame, struct request *request)
{
	struct reclaim_reader reader;
	const void *label = "";
	size_t len = 0;
	uint32_t arity;

	if (reclaim_reader_init(&reader, frame->rest, frame->len) < 0)
		return -1;
	reclaim_get_tuple(&reader, &arity);
	reclaim_get_atom(&reader, request->driver);
	request->args = reader;
	reclaim_get_skip(&reader);
	request->args.end = reader.at;
	reclaim_get_binary(&reader, &label, &len);
	if (reclaim_get_end(&reader) < 0 || arity != 3)
		return -1;
	snprintf(request->label, sizeof(request->label), "%.*s", (int)len,
		 (const char *)label);
	return 0;
}

/* One that was never added. */
static void discard(struct reclaim_outlet *outlet)
{
	if (outlet->down)
		reclaim_demonitor(outlet->down, 1);
	if (outlet->task)
		reclaim_kill(outlet->task);
	free(outlet);
}

static bool add(struct reclaim_outlet *outlet)
{
	if (!HASH_TRY(hh, host.outlets, id, outlet))
		return false;
	if (HASH_TRY(by_down, host.by_down, down, outlet))
		return true;
	HASH_DEL(host.outlets, outlet);
	return false;
}

static bool make_task(struct reclaim_outlet *outlet)
{
	const struct reclaim_task_opts opts = {
		.name = outlet->driver->name,
		.parent = outlet->client->task,
		.max_bytes = host.options->outlet.bytes,
		.max_handles = host.options->outlet.handles,
	};

	outlet->task = reclaim_task_new(&opts);
	if (outlet->task)
		outlet->down = reclaim_monitor(outlet->task);
	return outlet->down != 0;
}

static struct reclaim_outlet *
make(uint64_t id, const struct reclaim_driver *driver, struct client *client)
{
	struct reclaim_outlet *outlet = calloc(1, sizeof(*outlet));

	if (!outlet)
		return NULL;
	outlet->id = id;
	outlet->driver = driver;
	outlet->client = client;
	outlet->may_receive = (int64_t)host.options->window;
	outlet->low = LOW_WATERMARK;
	outlet->high = HIGH_WATERMARK;
	STAILQ_INIT(&outlet->input.pieces);
	STAILQ_INIT(&outlet->output.pieces);
	TAILQ_INIT(&outlet->ordered);
	if (!make_task(outlet) || !add(outlet)) {
		discard(outlet);
		return NULL;
	}
	client->count++;
	LIST_INSERT_HEAD(&client->outlets, outlet, of_client);
	return outlet;
}

static int start(struct reclaim_outlet *outlet, struct reclaim_reader *args)
{
	int result = 0, error = 0;

	if (!outlet->driver->start)
		return 0;
	if (!outlet_enter(outlet, outlet->task, "start"))
		return -1;
	errno = 0;
	result = outlet->driver->start(outlet, args);
	error = errno ? errno : EINVAL;
	outlet_leave(outlet);
	if (result < 0)
		outlet_end(outlet, reclaim_errno_name(error));
	return result < 0 ? -1 : 0;
}

static void refuse(uint64_t id, const char *reason)
{
	unsigned char text[RECLAIM_ATOM_SIZE + 8];
	struct reclaim_writer term;

	reclaim_writer_init(&term, text, sizeof(text));
	if (reclaim_put_atom(&term, reason) < 0) {
		reclaim_writer_init(&term, text, sizeof(text));
		reclaim_put_atom(&term, "error");
	}
	host_send(WIRE_CLOSED, id, 0, 0, term.data, term.len);
}

static const struct reclaim_driver *find_driver(const char *name,
						const char **reason)
{
	const struct reclaim_driver *driver;
	char why[512];

	if (!strcmp(name, program_driver.name))
		return &program_driver;
	driver = drivers_find(host.drivers, name, why, sizeof(why));
	if (driver)
		return driver;
	*reason = errno == ENOENT ? "enodriver" : reclaim_errno_name(errno);
	log_say(RECLAIM_LOG_ERROR, NULL, "driver %s: %s", name, why);
	return NULL;
}

static struct reclaim_outlet *admit(uint64_t id, uint64_t client_id,
				    const struct request *request,
				    const char **reason)
{
	const struct reclaim_driver *driver =
		find_driver(request->driver, reason);
	struct reclaim_outlet *outlet = NULL;
	struct client *client;

	if (!driver)
		return NULL;
	client = client_get(client_id, request->label);
	*reason = "enomem";
	if (!client)
		return NULL;
	if (client->count >= host.options->max_outlets)
		*reason = "system_limit";
	else
		outlet = make(id, driver, client);
	if (!outlet)
		client_put(client);
	return outlet;
}

void outlet_open(const struct wire_frame *frame)
{
	struct reclaim_outlet *outlet;
	struct request request;
	const char *reason;

	host.last_outlet = frame->field[0];
	if (read_request(frame, &request) < 0) {
		refuse(frame->field[0], "badarg");
		return;
	}
	outlet = admit(frame->field[0], frame->field[1], &request, &reason);
	if (!outlet) {
		refuse(frame->field[0], reason);
		return;
	}
	if (start(outlet, &request.args) < 0)
		return;
	outlet->started = true;
	if (!outlet_is_live(outlet))
		return;
	host_send(WIRE_OPENED, outlet->id, host.options->window, 0, NULL, 0);
	/* What `start` has output comes behind that. */
	outlet_credit(outlet, frame->field[2]);
}

/* Its pipe is the only bound: no credit is asked for. */
int outlet_open_plain(uint64_t id, const char *driver)
{
	static const unsigned char nil[] = {131, 106};
	struct reclaim_outlet *outlet = NULL;
	struct request request = {.label = "port"};
	const char *reason = "there is none";

	reclaim_reader_init(&request.args, nil, sizeof(nil));
	if (driver) {
		snprintf(request.driver, sizeof(request.driver), "%s", driver);
		outlet = admit(id, 1, &request, &reason);
	}
	if (outlet && start(outlet, &request.args) == 0) {
		outlet->started = true;
		outlet->may_receive = INT64_MAX / 2;
		outlet_credit(outlet, INT64_MAX / 2);
		host_settle();
		return 0;
	}
	reclaim_say(RECLAIM_ERROR, "driver %s cannot be opened: %s",
		    driver ? driver : "", outlet ? outlet->reason : reason);
	return -1;
}

/* ---- closing ---- */

static void give_up_closing(struct clock *clock)
{
	struct reclaim_outlet *outlet = clock->outlet;

	log_say(RECLAIM_LOG_WARNING, outlet,
		"closed, though it has not come to its end in %d ms",
		CLOSING_MS);
	outlet_end(outlet, outlet->reason);
}

static void say_why(struct reclaim_outlet *outlet, const char *reason)
{
	snprintf(outlet->reason, sizeof(outlet->reason), "%s", reason);
}

void outlet_close(struct reclaim_outlet *outlet, const char *reason)
{
	if (outlet->stage != OUTLET_OPEN)
		return;
	say_why(outlet, reason);
	outlet->stage = OUTLET_CLOSING;
	outlet_touch(outlet);
	if (!clock_add(outlet, CLOSING_MS, give_up_closing, NULL))
		outlet_end(outlet, reason);
}

void outlet_end(struct reclaim_outlet *outlet, const char *reason)
{
	if (!outlet_is_live(outlet))
		return;
	if (reason != outlet->reason)
		say_why(outlet, reason);
	outlet->stage = OUTLET_ENDING;
	outlet_drop_waiting(outlet);
	watch_end_all(outlet);
	clock_end_all(outlet);
	monitor_end_all(outlet);
	call_end_all(outlet);
	job_cancel_outlet(outlet);
	outlet_touch(outlet);
}

static bool is_flushing(struct reclaim_outlet *outlet)
{
	int wait = 0;

	if (!outlet->driver->flush ||
	    !outlet_enter(outlet, outlet->task, "flush"))
		return false;
	wait = outlet->driver->flush(outlet);
	outlet_leave(outlet);
	return wait > 0;
}

/* As far on the way to its end as it can be now. */
static void proceed(struct reclaim_outlet *outlet)
{
	if (outlet->stage == OUTLET_CLOSING &&
	    STAILQ_EMPTY(&outlet->input.pieces)) {
		outlet->stage = OUTLET_FLUSHING;
		if (!is_flushing(outlet) && outlet->stage == OUTLET_FLUSHING)
			outlet->stage = OUTLET_DRAINING;
	}
	if (outlet->stage != OUTLET_DRAINING)
		return;
	watch_end_all(outlet); /* they are level-triggered */
	if (STAILQ_EMPTY(&outlet->output.pieces))
		outlet_end(outlet, outlet->reason);
}

static void bury(struct reclaim_outlet *outlet)
{
	outlet->stage = OUTLET_GONE;
	if (outlet->has_status)
		host_send(WIRE_EXIT_STATUS, outlet->id,
			  (uint32_t)outlet->status, 0, NULL, 0);
	refuse(outlet->id, outlet->reason);
	HASH_DEL(host.outlets, outlet);
	host.last_found = NULL;
	LIST_REMOVE(outlet, of_client);
	outlet->client->count--;
	client_put(outlet->client);
	if (host.options->plain)
		uv_stop(&host.loop);
	SLIST_INSERT_HEAD(&host.finished, outlet, to_free);
}

/* Nothing of it runs any more. */
static void stop(struct reclaim_outlet *outlet)
{
	outlet->stage = OUTLET_STOPPED;
	if (outlet->started && outlet->down && outlet->driver->stop &&
	    outlet_enter(outlet, outlet->task, "stop")) {
		outlet->driver->stop(outlet);
		outlet_leave(outlet);
	}
	if (!outlet->down)
		bury(outlet);
	else if (!(outlet->driver->flags & RECLAIM_DRIVER_SLOW_END) ||
		 job_end_task(outlet) < 0)
		reclaim_kill(outlet->task);
}

void outlet_task_ended(uint64_t ref)
{
	struct reclaim_outlet *outlet;

	HASH_FIND(by_down, host.by_down, &ref, sizeof(ref), outlet);
	if (!outlet)
		return;
	HASH_DELETE(by_down, host.by_down, outlet);
	outlet->down = 0;
	if (outlet->stage == OUTLET_STOPPED)
		bury(outlet);
	else
		outlet_end(outlet, "killed");
}

void outlet_settle(struct reclaim_outlet *outlet)
{
	if (outlet_is_live(outlet)) {
		outlet_take_input(outlet);
		outlet_send_waiting(outlet);
		proceed(outlet);
	}
	if (outlet->stage == OUTLET_ENDING && !outlet->jobs_count)
		stop(outlet);
}

/* ---- the driver's side ---- */

int outlet_look(const struct reclaim_outlet *outlet)
{
	if (!host_is_here())
		errno = EPERM;
	else if (!outlet_is_live(outlet))
		errno = ESHUTDOWN;
	else
		return 0;
	return -1;
}

void *reclaim_outlet_state(const struct reclaim_outlet *outlet)
{
	return outlet->state;
}

void reclaim_outlet_set_state(struct reclaim_outlet *outlet, void *state)
{
	outlet->state = state;
}

reclaim_tid reclaim_outlet_task(const struct reclaim_outlet *outlet)
{
	return outlet->task;
}

reclaim_tid reclaim_outlet_client(const struct reclaim_outlet *outlet)
{
	return outlet->client->task;
}

int reclaim_outlet_watermarks(struct reclaim_outlet *outlet, size_t low,
			      size_t high)
{
	if (outlet_look(outlet) < 0)
		return -1;
	if (low > high) {
		errno = EINVAL;
		return -1;
	}
	outlet->low = low;
	outlet->high = high;
	outlet_touch(outlet);
	return 0;
}

int reclaim_outlet_busy(struct reclaim_outlet *outlet, int on)
{
	if (outlet_look(outlet) < 0)
		return -1;
	outlet->busy = on;
	outlet_touch(outlet);
	return 0;
}

static bool is_reason(const char *reason)
{
	unsigned char text[REASON_MAX + 8];
	struct reclaim_writer term;

	reclaim_writer_init(&term, text, sizeof(text));
	return strlen(reason) < REASON_MAX &&
	       reclaim_put_atom(&term, reason) == 0;
}

int reclaim_outlet_close(struct reclaim_outlet *outlet, const char *reason)
{
	if (outlet_look(outlet) < 0) {
		errno = errno == ESHUTDOWN ? EALREADY : errno;
		return -1;
	}
	if (outlet->stage == OUTLET_DRAINING) {
		errno = EALREADY;
		return -1;
	}
	if (reason && !is_reason(reason)) {
		errno = EINVAL;
		return -1;
	}
	/* Of an owner that closes the reason stays. */
	if (outlet->stage == OUTLET_OPEN)
		outlet_close(outlet, reason ? reason : "normal");
	if (outlet_is_live(outlet))
		outlet->stage = OUTLET_DRAINING;
	outlet_touch(outlet);
	return 0;
}
