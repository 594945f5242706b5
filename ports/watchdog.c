/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/watchdog_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ports/log_private.h"

struct watched watched;

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool runs, stops;
	int every_ms;
	int in;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what it says ---- */

static void tell(int for_ms)
{
	log_say_blocked(atomic_load(&watched.outlet),
			"callback `%s` of driver %s has been running for %d ms "
			"and holds up every other outlet: what takes long is "
			"for a job",
			atomic_load(&watched.callback),
			atomic_load(&watched.driver), for_ms);
}

static bool was_hung_up(void)
{
	struct pollfd in = {.fd = dog.in, .events = POLLRDHUP};

	return poll(&in, 1, 0) > 0 && in.revents & (POLLRDHUP | POLLHUP);
}

static void end_process(void)
{
	reclaim_say(RECLAIM_NOTE,
		    "the emulator closed the port %d ms ago and callback `%s` "
		    "still runs: ending the program",
		    HANGUP_MS, atomic_load(&watched.callback));
	exit(0);
}

/* ---- looking ---- */

struct look {
	uint64_t serial;
	int for_ms;  /* that this serial has been seen for */
	int told_ms; /* when it is told of next */
	int hung_up_ms;
};

/* The same callback as when it last looked. */
static void look_at_blocked(struct look *look)
{
	look->for_ms += dog.every_ms;
	if (look->for_ms >= look->told_ms) {
		tell(look->for_ms);
		look->told_ms = 2 * look->for_ms;
	}
	if (!was_hung_up())
		look->hung_up_ms = 0;
	else if ((look->hung_up_ms += dog.every_ms) >= HANGUP_MS)
		end_process();
}

/* Until it is stopped; the lock is held, but not while it speaks. */
static void look_once(struct look *look)
{
	uint64_t serial = atomic_load(&watched.serial);
	bool is_same = serial == look->serial;

	if (!is_same)
		*look = (struct look){serial, 0, dog.every_ms, 0};
	if (is_same && serial % 2) {
		pthread_mutex_unlock(&dog.lock);
		look_at_blocked(look);
		pthread_mutex_lock(&dog.lock);
	}
	if (!is_same || serial % 2)
		return;
	/*
	 * Nothing has run: until something does.  What begins now may not see
	 * yet that it is to wake: look once more before sleeping for good.
	 */
	if (!atomic_exchange(&watched.asleep, true))
		return;
	while (!dog.stops && atomic_load(&watched.asleep) &&
	       atomic_load(&watched.serial) == serial)
		pthread_cond_wait(&dog.woken, &dog.lock);
	atomic_store(&watched.asleep, false);
}

static void sleep_for(int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (!dog.stops && pthread_cond_timedwait(&dog.woken, &dog.lock,
						    &until) != ETIMEDOUT)
		continue;
}

static void *watch(void *unused)
{
	struct look look = {.serial = UINT64_MAX};

	pthread_mutex_lock(&dog.lock);
	while (!dog.stops) {
		look_once(&look);
		sleep_for(dog.every_ms);
	}
	pthread_mutex_unlock(&dog.lock);
	return unused;
}

/* ---- beginning and end ---- */

void watchdog_wake(void)
{
	pthread_mutex_lock(&dog.lock);
	atomic_store(&watched.asleep, false);
	pthread_cond_signal(&dog.woken);
	pthread_mutex_unlock(&dog.lock);
}

int watchdog_start(int every_ms, int in)
{
	pthread_condattr_t monotonic;
	sigset_t all, mask;
	int error;

	if (!every_ms)
		return 0;
	dog.every_ms = every_ms;
	dog.in = in;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&dog.woken, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &mask);
	error = pthread_create(&dog.thread, NULL, watch, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	dog.runs = !error;
	errno = error;
	return error ? -1 : 0;
}

void watchdog_stop(void)
{
	if (!dog.runs)
		return;
	pthread_mutex_lock(&dog.lock);
	dog.stops = true;
	pthread_cond_signal(&dog.woken);
	pthread_mutex_unlock(&dog.lock);
	pthread_join(dog.thread, NULL);
	dog.runs = false;
}
