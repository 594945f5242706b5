/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_endings - the end of a task that many things are for: messages,
 * monitors, timers
 *
 * That it takes no longer for each where there are more, and that nobody else
 * waits for it.
 */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <reclaim/message.h>
#include <reclaim/timer.h>

#include "bench/harness.h"
#include "bench/peers.h"

#define HOURS_NS UINT64_C(3600000000000)
#define AFTER	 65536 /* numbers, used again and again */

static uint32_t after[AFTER];

static reclaim_tid new_task(void)
{
	reclaim_tid tid = reclaim_task_new(NULL);

	if (!tid)
		bench_die("no task");
	return tid;
}

/* ---- what is for a task: n of them ---- */

static void messages_for(reclaim_tid tid, size_t n)
{
	const char bytes[64] = {1};

	for (size_t i = 0; i < n; i++)
		if (reclaim_send(tid, bytes, sizeof(bytes)) != 0)
			bench_die("reclaim_send: %s", strerror(errno));
}

/* All by one task. */
static void monitors_for(reclaim_tid tid, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!reclaim_monitor(tid))
			bench_die("reclaim_monitor: %s", strerror(errno));
}

static void timers_for(reclaim_tid tid, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!reclaim_timer_add(HOURS_NS + after[i % AFTER], tid, "", 0,
				       false))
			bench_die("reclaim_timer_add: %s", strerror(errno));
}

static void receive_all(void)
{
	struct reclaim_msg msg;

	while (reclaim_receive(&msg, 0) == 1)
		;
}

/* ---- the end of it ---- */

static void end_with(struct batch *batch, void (*fill)(reclaim_tid, size_t),
		     size_t n)
{
	for (size_t t = 0; t < batch->times; t++) {
		reclaim_tid tid = new_task();

		fill(tid, n);
		batch_start(batch);
		reclaim_end(tid, 0);
		batch_stop(batch, n);
		receive_all();
	}
}

#define END_WITH(what, number, n)                        \
	static void what##_##number(struct batch *batch) \
	{                                                \
		end_with(batch, what##_for, n);          \
	}
#define LINEAR(what, least, middle, most)                                    \
	END_WITH(what, least, 1##least)                                      \
	END_WITH(what, middle, 1##middle)                                    \
	END_WITH(what, most, 1##most)                                        \
	static const struct contender what##_by[] = {                        \
		{.name = "libreclaim", .work = what##_##most},               \
		{.name = "libreclaim, a hundredth", .work = what##_##least}, \
		{.name = "libreclaim, a tenth", .work = what##_##middle},    \
		{.name = NULL}}

LINEAR(messages, 000, 0000, 00000);
LINEAR(monitors, 00, 000, 0000);
LINEAR(timers, 00, 000, 0000);

/* ---- the others meanwhile ---- */

/*
 * A thread sends itself a message, and monitors a task, over and over; the
 * longest that took while another task ended, or while nothing did for as long.
 * Whatever else happens on the machine adds to it, and so the least of some
 * times counts.
 */
#define TRIALS 7

struct other {
	pthread_t thread;
	void (*act)(reclaim_tid self, reclaim_tid watched);
	reclaim_tid watched;
	_Atomic bool running, done;
	uint64_t longest;
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void send_to_oneself(reclaim_tid self, reclaim_tid watched)
{
	struct reclaim_msg msg;

	(void)watched;
	if (reclaim_send(self, "", 1) != 0 || reclaim_receive(&msg, 0) != 1)
		bench_die("no message: %s", strerror(errno));
}

static void watch(reclaim_tid self, reclaim_tid watched)
{
	(void)self;
	if (reclaim_demonitor(reclaim_monitor(watched), 0) != 0)
		bench_die("no monitor: %s", strerror(errno));
}

static void *act_on(void *arg)
{
	struct other *other = arg;
	reclaim_tid self = new_task();
	uint64_t now, before;

	bench_pin(0);
	reclaim_enter(self);
	for (unsigned i = 0; i < 1000; i++)
		other->act(self, other->watched);
	other->running = true;
	for (before = clock_ns(); !other->done; before = now) {
		other->act(self, other->watched);
		now = clock_ns();
		if (now - before > other->longest)
			other->longest = now - before;
	}
	reclaim_leave();
	reclaim_end(self, 0);
	return NULL;
}

static void fill(reclaim_tid tid)
{
	messages_for(tid, 100000);
	monitors_for(tid, 10000);
	timers_for(tid, 10000);
}

/* As long as ending one takes. */
static void do_nothing(uint64_t ns)
{
	uint64_t until = clock_ns() + ns;

	while (clock_ns() < until)
		;
}

/* The longest, in us; *ns is how long ending a task takes: 0, and it is. */
static double trial(struct other other, uint64_t *ns)
{
	reclaim_tid tid = new_task();
	uint64_t began;

	other.watched = new_task();
	if (*ns == 0)
		fill(tid);
	if (pthread_create(&other.thread, NULL, act_on, &other) != 0)
		bench_die("no thread");
	while (!other.running)
		sched_yield();
	began = clock_ns();
	if (*ns)
		do_nothing(*ns);
	else
		reclaim_end(tid, 0);
	*ns = clock_ns() - began;
	other.done = true;
	pthread_join(other.thread, NULL);
	reclaim_end(other.watched, 0);
	reclaim_end(tid, 0);
	receive_all();
	return (double)other.longest / 1000;
}

static double least_of_trials(void (*act)(reclaim_tid, reclaim_tid), bool ends)
{
	double least = 0, longest;
	static uint64_t took;

	for (unsigned i = 0; i < TRIALS; i++) {
		uint64_t ns = ends ? 0 : took;

		longest = trial((struct other){.act = act}, &ns);
		took = ns;
		if (i == 0 || longest < least)
			least = longest;
	}
	return least;
}

#define MEANWHILE(act)                                            \
	static double act##_meanwhile(size_t n)                   \
	{                                                         \
		(void)n;                                          \
		return least_of_trials(act, true);                \
	}                                                         \
	static double act##_alone(size_t n)                       \
	{                                                         \
		(void)n;                                          \
		return least_of_trials(act, false);               \
	}                                                         \
	static const struct contender act##_by[] = {              \
		{.name = "libreclaim", .value = act##_meanwhile}, \
		{.name = "nothing ends", .value = act##_alone},   \
		{.name = NULL}}

MEANWHILE(send_to_oneself);
MEANWHILE(watch);

static const struct row rows[] = {
	{.what = "end of a task with 10^5 messages, each, to one with 10^3",
	 .most = 5,
	 .must = 2.0,
	 .contenders = messages_by},
	{.what = "end of a task with 10^4 monitors on it, each, to one with "
		 "10^2",
	 .most = 5,
	 .must = 2.0,
	 .contenders = monitors_by},
	{.what = "end of a task with 10^4 timers for it, each, to one with "
		 "10^2",
	 .most = 5,
	 .must = 2.0,
	 .contenders = timers_by},
	{.what = "longest send to oneself while a task with all that ends",
	 .unit = "us",
	 .most = 5,
	 .contenders = send_to_oneself_by},
	{.what = "longest monitor and demonitor while a task with all that "
		 "ends",
	 .unit = "us",
	 .most = 5,
	 .contenders = watch_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "the ends of tasks that much is for");
	random_numbers(after, AFTER, 0, UINT32_MAX - 1);
	libreclaim_begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
