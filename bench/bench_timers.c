/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_timers - timers set and cancelled among few others and many, and
 * timers that fire
 *
 * Those that are armed are due in one to two hours, at random.  libuv's are the
 * loop's own thread's, without a lock or a message; they have milliseconds.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <reclaim/message.h>
#include <reclaim/timer.h>

#include "bench/harness.h"
#include "bench/peers.h"

#define FEW    1000
#define MANY   1000000
#define VICTIM 65536 /* numbers, used again and again */
#define HOUR   3600000u
#define MS     UINT64_C(1000000)

static uint32_t due[VICTIM]; /* ms */
static uint32_t victim[VICTIM];

/* ---- libreclaim ---- */

static uint64_t reference[MANY];
static size_t armed; /* of those */

static uint64_t set(uint32_t after_ms)
{
	uint64_t ref =
		reclaim_timer_add(after_ms * MS, reclaim_self(), "", 0, true);

	if (!ref)
		bench_die("reclaim_timer_add: %s", strerror(errno));
	return ref;
}

static void cancel(uint64_t ref)
{
	if (reclaim_timer_cancel(ref, NULL) != 0)
		bench_die("reclaim_timer_cancel: %s", strerror(errno));
}

/* They stay from batch to batch; another number is another contender's. */
static void arm(size_t n)
{
	if (armed > n) {
		reclaim_timer_cancel_by_receiver(reclaim_self());
		armed = 0;
	}
	for (; armed < n; armed++)
		reference[armed] = set(due[armed % VICTIM]);
}

static void add_and_cancel(struct batch *batch)
{
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++)
		cancel(set(due[i % VICTIM]));
	batch_stop(batch, batch->times);
}

static void replace(struct batch *batch)
{
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++) {
		uint64_t *at = &reference[victim[i % VICTIM] % armed];

		cancel(*at);
		*at = set(due[i % VICTIM]);
	}
	batch_stop(batch, batch->times);
}

/* ---- libuv ---- */

static void *loop;
static char *handles; /* one more than may be armed */
static size_t handle_size, uv_armed;

static void *handle(size_t i)
{
	return handles + i * handle_size;
}

static void uv_begin(void)
{
	if (loop)
		return;
	loop = malloc(libuv.loop_size());
	handle_size = libuv.handle_size(LIBUV_TIMER);
	handles = malloc((MANY + 1) * handle_size);
	if (!loop || !handles || libuv.loop_init(loop) != 0)
		bench_die("no libuv loop");
	for (size_t i = 0; i <= MANY; i++)
		libuv.timer_init(loop, handle(i));
}

static void not_yet(void *timer)
{
	(void)timer;
	bench_die("a timer fired");
}

static void uv_set(size_t i, uint32_t after_ms)
{
	if (libuv.timer_start(handle(i), not_yet, after_ms, 0) != 0)
		bench_die("uv_timer_start");
}

static void uv_arm(size_t n)
{
	uv_begin();
	while (uv_armed > n)
		libuv.timer_stop(handle(--uv_armed));
	for (; uv_armed < n; uv_armed++)
		uv_set(uv_armed, due[uv_armed % VICTIM]);
}

static void uv_add_and_cancel(struct batch *batch)
{
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++) {
		uv_set(MANY, due[i % VICTIM]);
		libuv.timer_stop(handle(MANY));
	}
	batch_stop(batch, batch->times);
}

static void uv_replace(struct batch *batch)
{
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++) {
		size_t at = victim[i % VICTIM] % uv_armed;

		libuv.timer_stop(handle(at));
		uv_set(at, due[i % VICTIM]);
	}
	batch_stop(batch, batch->times);
}

static const struct peer peer_libuv = {
	.name = "libuv",
	.here = &libuv.here,
};
static const struct peer peer_libuv_few = {
	.name = "libuv, 1,000 armed",
	.here = &libuv.here,
};

#define AMONG(doing, number, n)                                \
	static void doing##_##number(struct batch *batch)      \
	{                                                      \
		arm(n);                                        \
		doing(batch);                                  \
	}                                                      \
	static void uv_##doing##_##number(struct batch *batch) \
	{                                                      \
		uv_arm(n);                                     \
		uv_##doing(batch);                             \
	}

AMONG(add_and_cancel, few, FEW)
AMONG(add_and_cancel, many, MANY)
AMONG(replace, few, FEW)
AMONG(replace, many, MANY)

#define GROWTH(doing)                                                     \
	static const struct contender doing##_growth_by[] = {             \
		{.name = "libreclaim", .work = doing##_many},             \
		{.name = "libreclaim, 1,000 armed", .work = doing##_few}, \
		{.peer = &peer_libuv, .work = uv_##doing##_many},         \
		{.peer = &peer_libuv_few, .work = uv_##doing##_few},      \
		{.name = NULL}}
#define AGAINST(doing, number)                                        \
	static const struct contender doing##_##number##_by[] = {     \
		{.name = "libreclaim", .work = doing##_##number},     \
		{.peer = &peer_libuv, .work = uv_##doing##_##number}, \
		{.name = NULL}}

GROWTH(add_and_cancel);
GROWTH(replace);
AGAINST(add_and_cancel, few);
AGAINST(add_and_cancel, many);
AGAINST(replace, few);
AGAINST(replace, many);

/* ---- firing ---- */

#define DUE	100000
#define LEAD_MS 200 /* long against what setting them takes */

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wait_until(uint64_t time)
{
	const struct timespec until = {
		.tv_sec = (time_t)(time / 1000000000),
		.tv_nsec = (long)(time % 1000000000),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
		;
}

/* Due within a millisecond, in random order; from when the first is. */
static void fire(struct batch *batch)
{
	struct reclaim_msg msg;

	arm(0);
	for (size_t t = 0; t < batch->times; t++) {
		uint64_t at = clock_ns() + LEAD_MS * MS, now;

		for (size_t i = 0; i < DUE; i++) {
			now = clock_ns();
			if (now > at ||
			    !reclaim_timer_add(at - now + due[i % VICTIM] % MS,
					       reclaim_self(), "", 0, true))
				bench_die("not set in time");
		}
		wait_until(at);
		batch_start(batch);
		for (size_t i = 0; i < DUE; i++)
			if (reclaim_receive(&msg, -1) != 1)
				bench_die("not fired");
		batch_stop(batch, DUE);
	}
}

static size_t fired;

static void count_fired(void *timer)
{
	(void)timer;
	fired++;
}

static void uv_fire(struct batch *batch)
{
	uv_arm(0);
	for (size_t t = 0; t < batch->times; t++) {
		libuv.update_time(loop);
		for (size_t i = 0; i < DUE; i++)
			libuv.timer_start(handle(i), count_fired,
					  1 + due[i % VICTIM] % 10, 0);
		wait_until(clock_ns() + 15 * MS);
		fired = 0;
		batch_start(batch);
		libuv.run(loop, LIBUV_RUN_NOWAIT);
		batch_stop(batch, DUE);
		if (fired != DUE)
			bench_die("%zu timers fired", fired);
	}
}

static const struct contender fire_by[] = {
	{.name = "libreclaim", .work = fire},
	{.peer = &peer_libuv, .work = uv_fire},
	{.name = NULL}};

static const struct row rows[] = {
	{.what = "a timer set and cancelled, among 10^6, to that among 10^3",
	 .most = 5,
	 .must = 2.0,
	 .contenders = add_and_cancel_growth_by},
	{.what = "a random timer replaced, among 10^6, to that among 10^3",
	 .most = 5,
	 .contenders = replace_growth_by},
	{.what = "a timer set and cancelled, among 10^3",
	 .contenders = add_and_cancel_few_by},
	{.what = "a timer set and cancelled, among 10^6",
	 .contenders = add_and_cancel_many_by},
	{.what = "a random timer replaced, among 10^3",
	 .contenders = replace_few_by},
	{.what = "a random timer replaced, among 10^6",
	 .contenders = replace_many_by},
	{.what = "10^5 timers that are due, fired and received",
	 .elapsed = true,
	 .most = 5,
	 .contenders = fire_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "timers");
	random_numbers(due, VICTIM, HOUR, 2 * HOUR);
	random_numbers(victim, VICTIM, 0, UINT32_MAX - 1);
	libreclaim_begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
