/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_block - one large block: what it costs, what it holds, how it grows
 *
 * The work is random replace: any of the live blocks is freed, and another of
 * random size allocated in its place.  Sizes are 16..512 bytes, or those of an
 * emulator: 16 B to 16 KiB, each doubling as likely as any other.  A row's n is
 * how full the block is, in percent, or how many are live; the others have just
 * as many live.
 */
#include "config.h"

#include <math.h>

#include "bench/harness.h"
#include "bench/peers.h"
#include "bench/served.h"

#define MIB    ((size_t)1 << 20)
#define BLOCK  (64 * MIB)
#define VICTIM 65536 /* numbers, used again and again */
#define FRONT  ((size_t)256 << 10)

static uint32_t small[VICTIM];	  /* 16..512 */
static uint32_t emulator[VICTIM]; /* 16..16384, log-uniform */
static uint32_t victim[VICTIM];	  /* any 31 bits */

/* ---- who serves ---- */

#define SERVED(who, policy, front)                         \
	static void *who##_begin(void)                     \
	{                                                  \
		return served_begin(policy, BLOCK, front); \
	}                                                  \
	static const struct peer peer_##who = {            \
		.name = "libreclaim " policy,              \
		.begin = who##_begin,                      \
		.alloc = served_alloc,                     \
		.free = served_free,                       \
		.end = served_end,                         \
	};

SERVED(aoff, "aoff", 0)
SERVED(aobf, "aobf", 0)
SERVED(bf, "bf", 0)
SERVED(front, "aoff", FRONT)

/* ---- a steady state, kept from turn to turn ---- */

/* A contender's in a row: another row makes another. */
struct state {
	size_t n;
	void *owner;
	void **live;
	size_t count; /* live */
	size_t at;    /* in the random numbers */
};

/* A nearly full block may have no room now and then: done without. */
TEMPLATE void replace_some(const struct peer *peer, struct state *state,
			   const uint32_t *size, size_t n)
{
	for (; n > 0; n--, state->at++) {
		size_t r = victim[state->at % VICTIM] * (uint64_t)7919 +
			   state->at / VICTIM;
		void **at = &state->live[r % state->count];

		if (*at)
			peer->free(state->owner, *at);
		*at = peer->alloc(
			state->owner,
			size[(state->at + state->at / VICTIM) % VICTIM]);
		if (*at)
			*(volatile char *)*at = 1;
	}
}

/* How many make a block n percent full; more than 100 is how many. */
static size_t count_for(size_t n, const uint32_t *size)
{
	size_t bytes = BLOCK / 100 * n, count = 0;

	if (n > 100)
		return n;
	for (size_t sum = 0; sum < bytes; count++)
		sum += (size[count % VICTIM] + 15) & ~(size_t)15;
	return count;
}

TEMPLATE void state_end(const struct peer *peer, struct state *state)
{
	if (!state->live)
		return;
	owner_end(peer, state->owner, state->live, state->count);
	free(state->live);
	*state = (struct state){.n = 0};
}

TEMPLATE void state_begin(const struct peer *peer, struct state *state,
			  size_t n, const uint32_t *size)
{
	*state = (struct state){.n = n, .count = count_for(n, size)};
	state->owner = owner_begin(peer);
	state->live = malloc(state->count * sizeof(*state->live));
	for (size_t i = 0; i < state->count; i++)
		state->live[i] =
			block_alloc(peer, state->owner, size[i % VICTIM]);
	replace_some(peer, state, size, 3 * state->count);
}

TEMPLATE void replace(struct batch *batch, const struct peer *peer,
		      struct state *state, const uint32_t *size)
{
	if (state->n != batch->n) {
		state_end(peer, state);
		state_begin(peer, state, batch->n, size);
	}
	/* What others did meanwhile to the cache is not counted. */
	replace_some(peer, state, size, 1000);
	batch_start(batch);
	replace_some(peer, state, size, batch->times);
	batch_stop(batch, batch->times);
}

#define REPLACE(sizes, who)                                 \
	static void sizes##_##who(struct batch *batch)      \
	{                                                   \
		static struct state state;                  \
                                                            \
		replace(batch, &peer_##who, &state, sizes); \
	}
#define BY(sizes, who)	 {.peer = &peer_##who, .work = sizes##_##who},
#define OTHERS(X, sizes) X(sizes, glibc) X(sizes, mimalloc) X(sizes, jemalloc)

#define ALL(X, sizes) \
	X(sizes, aoff) X(sizes, aobf) X(sizes, bf) OTHERS(X, sizes)
ALL(REPLACE, small)
ALL(REPLACE, emulator)
REPLACE(small, front)

#define CONTEST(sizes, who)                                  \
	static const struct contender sizes##_by_##who[] = { \
		BY(sizes, who) OTHERS(BY, sizes){.name = NULL}};

CONTEST(small, aoff)
CONTEST(small, aobf)
CONTEST(small, bf)
CONTEST(small, front)
CONTEST(emulator, aoff)
CONTEST(emulator, aobf)
CONTEST(emulator, bf)

/* ---- two threads, one block, each with what it keeps ---- */

struct side {
	pthread_t thread;
	struct batch batch;
	void *owner;
	unsigned cpu;
};

static void *work_aside(void *arg)
{
	struct side *side = arg;
	struct state state = {.owner = side->owner,
			      .count = count_for(37, small)};

	bench_pin(side->cpu);
	state.live = malloc(state.count * sizeof(*state.live));
	for (size_t i = 0; i < state.count; i++)
		state.live[i] = block_alloc(&peer_front, state.owner,
					    small[i % VICTIM]);
	replace_some(&peer_front, &state, small, state.count);
	batch_start(&side->batch);
	replace_some(&peer_front, &state, small, side->batch.times);
	batch_stop(&side->batch, side->batch.times);
	for (size_t i = 0; i < state.count; i++)
		if (state.live[i])
			served_free(state.owner, state.live[i]);
	free(state.live);
	return NULL;
}

static void by_threads(struct batch *batch, unsigned count)
{
	void *owner = front_begin();
	pthread_barrier_t gate;
	struct side side[2];

	pthread_barrier_init(&gate, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		side[i] = (struct side){
			.batch = *batch, .owner = owner, .cpu = i};
		side[i].batch.gate = &gate;
		if (pthread_create(&side[i].thread, NULL, work_aside, &side[i]))
			bench_die("no thread");
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(side[i].thread, NULL);
		batch->spent += side[i].batch.spent;
		batch->ops += side[i].batch.ops;
	}
	pthread_barrier_destroy(&gate);
	served_end(owner);
}

static void one_thread(struct batch *batch)
{
	by_threads(batch, 1);
}

static void two_threads(struct batch *batch)
{
	by_threads(batch, 2);
}

static const struct contender two_to_one[] = {
	{.name = "two threads", .work = two_threads},
	{.name = "one thread", .work = one_thread},
	{.name = NULL}};

/* ---- what it holds ---- */

/* Any of those that serve from a block, called through pointers. */
struct server {
	void *(*begin)(void);
	void *(*alloc)(void *owner, size_t size);
	void (*free)(void *owner, void *ptr);
	void (*end)(void *owner);
	struct served_state (*look)(void *owner);
};

static void *plain_here(void)
{
	return plain_list_begin(BLOCK);
}

static const struct server aoff = {aoff_begin, served_alloc, served_free,
				   served_end, served_look};
static const struct server aobf = {aobf_begin, served_alloc, served_free,
				   served_end, served_look};
static const struct server bf = {bf_begin, served_alloc, served_free,
				 served_end, served_look};
static const struct server plain = {plain_here, plain_list_alloc,
				    plain_list_free, plain_list_end,
				    plain_list_look};

#define MOST (BLOCK / 256)

static double percent(size_t part, size_t whole)
{
	return 100 * (double)part / (double)whole;
}

/*
 * For each that is added two others are replaced, until an allocation fails:
 * the part of the block that was not asked for at that moment.
 */
static double lost(const struct server *server)
{
	static void *live[MOST];
	static uint32_t size[MOST];
	size_t count = 0, payload = 0, at, i;
	void *owner = server->begin();

	for (i = 0;; i++) {
		at = i % 3 ? victim[i % VICTIM] * (i / VICTIM * 2 + 1) % count
			   : count;
		if (at < count) {
			server->free(owner, live[at]);
			payload -= size[at];
		}
		size[at] = emulator[(i + i / VICTIM) % VICTIM];
		live[at] = server->alloc(owner, size[at]);
		if (!live[at])
			break;
		payload += size[at];
		count += at == count;
	}
	server->end(owner);
	return percent(BLOCK - payload, BLOCK);
}

/* After long replacing at 75 %: free memory that is not in the longest hole. */
static double scattered(const struct server *server)
{
	size_t count = count_for(75, emulator), i;
	void **live = malloc(count * sizeof(*live)), *owner = server->begin();
	struct served_state state;

	for (i = 0; i < 10 * count; i++) {
		size_t at = i < count ? i
				      : victim[i % VICTIM] *
						(i / VICTIM * 2 + 1) % count;

		if (i >= count)
			server->free(owner, live[at]);
		live[at] = server->alloc(owner,
					 emulator[(i + i / VICTIM) % VICTIM]);
		if (!live[at])
			bench_die("a block of 75 %% is full");
	}
	state = server->look(owner);
	server->end(owner);
	free(live);
	return percent(state.free - state.longest, state.free);
}

static double kept(const struct server *server)
{
	void *owner = server->begin();
	struct served_state state = server->look(owner);

	server->end(owner);
	return percent(state.kept, BLOCK);
}

#define VALUE(of, who)                     \
	static double of##_##who(size_t n) \
	{                                  \
		(void)n;                   \
		return of(&who);           \
	}
#define WORTH(of, who)                            \
	{                                         \
		.name = #who, .value = of##_##who \
	}
#define VALUES(of) \
	VALUE(of, aoff) VALUE(of, aobf) VALUE(of, bf) VALUE(of, plain)
VALUES(lost)
VALUE(scattered, aoff)
VALUE(scattered, aobf)
VALUE(scattered, bf)
VALUE(kept, aoff)
VALUE(kept, aobf)
VALUE(kept, bf)

static const struct contender lost_aoff_by[] = {
	WORTH(lost, aoff), WORTH(lost, plain), WORTH(lost, bf), {.name = NULL}};
static const struct contender lost_aobf_by[] = {
	WORTH(lost, aobf), WORTH(lost, plain), {.name = NULL}};
static const struct contender scattered_by[] = {WORTH(scattered, aoff),
						WORTH(scattered, aobf),
						WORTH(scattered, bf),
						{.name = NULL}};
static const struct contender kept_by[] = {
	WORTH(kept, aoff), WORTH(kept, aobf), WORTH(kept, bf), {.name = NULL}};

/* ---- how it grows: with a million live, and with a thousand */

#define LIVE_MOST 1000000

TEMPLATE void grow_to(struct state *state, const struct peer *peer,
		      const char *policy, size_t count)
{
	state->owner = served_begin(policy, count * 400 + MIB, 0);
	state->count = count;
	state->live = malloc(count * sizeof(*state->live));
	for (size_t i = 0; i < count; i++)
		state->live[i] = served_alloc(state->owner, small[i % VICTIM]);
	replace_some(peer, state, small, 2 * count);
}

TEMPLATE void grown(struct batch *batch, const struct peer *peer,
		    struct state *state)
{
	batch_start(batch);
	replace_some(peer, state, small, batch->times);
	batch_stop(batch, batch->times);
}

#define GROW(who, count)                                           \
	static struct state state_##who##_##count;                 \
	static void who##_##count(struct batch *batch)             \
	{                                                          \
		grown(batch, &peer_##who, &state_##who##_##count); \
	}
#define GROW_TO(who, count) \
	grow_to(&state_##who##_##count, &peer_##who, #who, count)
GROW(aoff, 1000000)
GROW(aoff, 1000)
GROW(aobf, 1000000)
GROW(aobf, 1000)

static const struct contender aoff_growth[] = {
	{.name = "aoff, 10^6 live", .work = aoff_1000000},
	{.name = "aoff, 10^3 live", .work = aoff_1000},
	{.name = NULL}};
static const struct contender aobf_growth[] = {
	{.name = "aobf, 10^6 live", .work = aobf_1000000},
	{.name = "aobf, 10^3 live", .work = aobf_1000},
	{.name = NULL}};

#define TIMES(text, percents, must_be, may_be, by)                           \
	{                                                                    \
		.what = text, .n = percents, .must = must_be, .aim = may_be, \
		.contenders = by                                             \
	}

static const struct row rows[] = {
	TIMES("aoff, 50 % full, 16..512 B", 50, 1.3, 0, small_by_aoff),
	TIMES("aoff, 75 % full", 75, 1.0, 0, small_by_aoff),
	TIMES("aoff, 85 % full", 85, 1.0, 0, small_by_aoff),
	TIMES("aobf, 50 % full", 50, 1.2, 1.0, small_by_aobf),
	TIMES("aobf, 75 % full", 75, 0.9, 0.8, small_by_aobf),
	TIMES("aobf, 85 % full", 85, 0.9, 0.8, small_by_aobf),
	TIMES("aobf, 90 % full", 90, 0.9, 0.7, small_by_aobf),
	TIMES("bf, 75 % full", 75, 0, 0, small_by_bf),
	TIMES("aoff, 50 % full, 16 B..16 KiB", 50, 1.3, 0, emulator_by_aoff),
	TIMES("same, 75 % full", 75, 1.0, 0, emulator_by_aoff),
	TIMES("same, 85 % full", 85, 1.0, 0, emulator_by_aoff),
	TIMES("aobf, 50 % full, 16 B..16 KiB", 50, 1.2, 1.0, emulator_by_aobf),
	TIMES("same, 75 % full", 75, 0.9, 0.8, emulator_by_aobf),
	TIMES("same, 85 % full", 85, 0.9, 0.8, emulator_by_aobf),
	TIMES("same, 90 % full", 90, 0.9, 0.7, emulator_by_aobf),
	TIMES("bf, 75 % full, 16 B..16 KiB", 75, 0, 0, emulator_by_bf),
	TIMES("aoff, 10^3 live, 16..512 B", 1000, 3, 0, small_by_aoff),
	TIMES("aoff, 10^4 live", 10000, 3, 0, small_by_aoff),
	TIMES("aoff, 10^5 live", 100000, 0, 0, small_by_aoff),
	TIMES("aobf, 10^3 live", 1000, 3, 0, small_by_aobf),
	TIMES("aobf, 10^4 live", 10000, 3, 0, small_by_aobf),
	TIMES("aobf, 10^5 live", 100000, 0, 0, small_by_aobf),
	{.what = "aoff, 10^6 live to 10^3, misses of the cache included",
	 .n = 1,
	 .contenders = aoff_growth},
	{.what = "aobf, 10^6 live to 10^3, misses of the cache included",
	 .n = 1,
	 .contenders = aobf_growth},
	{.what = "aoff, 75 % full, each thread keeping 256 KiB: two threads to "
		 "one",
	 .n = 1,
	 .most = 5,
	 .must = 1.3,
	 .elapsed = true,
	 .contenders = two_to_one},
	TIMES("aoff, 50 % full, each thread keeping 256 KiB", 50, 0, 0.8,
	      small_by_front),
	TIMES("aoff, 75 % full, each thread keeping 256 KiB", 75, 0, 0.8,
	      small_by_front),
	{.what = "not payload when an allocation fails: aoff",
	 .unit = "%",
	 .most = 1,
	 .must = 100 - 90.5,
	 .contenders = lost_aoff_by},
	{.what = "not payload when an allocation fails: aobf",
	 .unit = "%",
	 .most = 1,
	 .must = 100 - 95.5,
	 .aim = 100 - 96,
	 .contenders = lost_aobf_by},
	{.what = "free memory outside the longest hole",
	 .unit = "%",
	 .most = 1,
	 .contenders = scattered_by},
	{.what = "what describes the block, of the block",
	 .unit = "%",
	 .most = 1,
	 .must = 3,
	 .contenders = kept_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "one large block, against other allocators");
	random_numbers(small, VICTIM, 16, 512);
	random_numbers(victim, VICTIM, 0, INT32_MAX);
	random_numbers(emulator, VICTIM, 0, 1000000);
	for (size_t i = 0; i < VICTIM; i++)
		emulator[i] = (uint32_t)(16 * exp2(emulator[i] * 1e-5));
	GROW_TO(aoff, 1000);
	GROW_TO(aoff, 1000000);
	GROW_TO(aobf, 1000);
	GROW_TO(aobf, 1000000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
