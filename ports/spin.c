/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/spin_private.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* At most one wait in 2^this looks in vain; then a burst begins slowly. */
#define MISSES_MAX 6

#define PENALTY_MIN 32u
#define PENALTY_MAX 4096u

/* A switch in so many hits is too many... */
#define HITS_A_SWITCH 8

/* ...among so many, for a stray one is nothing. */
#define HITS_JUDGED 16

/* So many frames in one wait are a burst, for others would send few... */
#define FRAMES_MANY 8

/* ...and it is over when so many waits in a row bring one or none. */
#define FEW_MAX 2

void spin_init(struct spin *spin, int us, unsigned processors)
{
	if (us == 0)
		us = SPIN_US;
	*spin = (struct spin){
		.ns = us > 0 && processors > 1 ? (uint64_t)us * 1000 : 0,
		.switches = -1,
		.never = us < 0,
	};
}

bool spin_may(struct spin *spin)
{
	if (!spin->ns)
		return false;
	if (!spin->skip)
		return true;
	spin->skip--;
	return false;
}

void spin_missed(struct spin *spin)
{
	if (spin->misses < MISSES_MAX)
		spin->misses++;
	spin->skip = (1u << spin->misses) - 1;
}

void spin_hit(struct spin *spin)
{
	spin->misses = 0;
	spin->hits++;
}

/* After a penalty each hit is looked at, until it is known to pay again. */
bool spin_is_due(const struct spin *spin)
{
	return spin->hits >= (spin->penalty ? 1 : HITS_JUDGED);
}

static void penalise(struct spin *spin)
{
	spin->penalty = spin->penalty ? 2 * spin->penalty : PENALTY_MIN;
	if (spin->penalty > PENALTY_MAX)
		spin->penalty = PENALTY_MAX;
	spin->skip = spin->penalty;
	spin->hits = 0;
	spin->switches = -1;
}

void spin_judge(struct spin *spin, long switches)
{
	long since = switches - spin->switches;

	if (since > 0 && since * HITS_A_SWITCH >= (long)spin->hits) {
		penalise(spin);
	} else if (spin->hits >= HITS_JUDGED) {
		spin->penalty = 0;
		spin->hits = 0;
		spin->switches = switches;
	}
}

bool spin_may_gather(struct spin *spin, unsigned frames)
{
	if (spin->never)
		return false;
	if (!spin->gathers)
		return frames >= FRAMES_MANY;
	spin->few = frames > 1 ? 0 : spin->few + 1;
	return spin->few < FEW_MAX;
}

/* ---- processors ---- */

/* A cgroup's quota in processors, rounded down; UINT_MAX where it has none. */
static unsigned quota_of(const char *folder)
{
	char path[PATH_MAX + 64], quota[32];
	unsigned long period;
	unsigned processors = UINT_MAX;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", folder);
	file = fopen(path, "re");
	if (!file)
		return UINT_MAX;
	if (fscanf(file, "%31s %lu", quota, &period) == 2 && period &&
	    strcmp(quota, "max") != 0)
		processors = (unsigned)(strtoul(quota, NULL, 10) / period);
	fclose(file);
	return processors;
}

/* The folder of this process's cgroup, of the unified hierarchy. */
static void find_cgroup(char folder[PATH_MAX])
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];

	folder[0] = '\0';
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "0::", 3) == 0)
			strcpy(folder, line + 3);
	if (file)
		fclose(file);
	folder[strcspn(folder, "\n")] = '\0';
}

/* The least of its own and of those above. */
static unsigned quota(void)
{
	unsigned least = UINT_MAX, here;
	char folder[PATH_MAX], *last;

	find_cgroup(folder);
	for (;;) {
		here = quota_of(folder);
		if (here < least)
			least = here;
		last = strrchr(folder, '/');
		if (!last)
			return least;
		*last = '\0';
	}
}

unsigned spin_processors(void)
{
	unsigned by_quota = quota(), given;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return by_quota;
	given = (unsigned)CPU_COUNT(&set);
	return given < by_quota ? given : by_quota;
}

/* ---- looking ---- */

static long switches_so_far(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The switches since the last wait are in the last hit's. */
bool spin_begin(struct spin *spin)
{
	if (spin_is_due(spin))
		spin_judge(spin, switches_so_far());
	if (!spin_may(spin))
		return false;
	if (spin->switches < 0)
		spin->switches = switches_so_far();
	spin->until = now_ns() + spin->ns;
	return true;
}

bool spin_on(struct spin *spin)
{
	if (now_ns() < spin->until)
		return true;
	spin_missed(spin);
	return false;
}

/*
 * Programs that are started meanwhile are not to inherit it.  That flag stays:
 * it takes a privilege to clear it.
 */
static bool set_policy(int from, int to)
{
	const struct sched_param none = {0};

	return (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == from &&
	       sched_setscheduler(0, to | SCHED_RESET_ON_FORK, &none) == 0;
}

void spin_sleep(struct spin *spin, unsigned frames)
{
	bool gathers = spin_may_gather(spin, frames);

	if (gathers == spin->gathers)
		return;
	spin->few = 0;
	spin->gathers = gathers;
	if (gathers)
		spin->gives_way = set_policy(SCHED_OTHER, SCHED_BATCH);
	else
		spin_end(spin);
}

void spin_end(struct spin *spin)
{
	if (spin->gives_way)
		set_policy(SCHED_BATCH, SCHED_OTHER);
	spin->gives_way = false;
}
