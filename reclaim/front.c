/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/front_private.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "reclaim/block_private.h"

__thread struct front_mine front_mine;

/* The block that has fronts; its number is 0 while there is none. */
static struct {
	struct block *block;
	uint64_t number;
	uint64_t last;
} served;

/* ---- a thread's end ---- */

/* Against a block that goes while threads end; before the block's own. */
static pthread_mutex_t ending = PTHREAD_MUTEX_INITIALIZER;

void front_lock(void)
{
	pthread_mutex_lock(&ending);
}

void front_unlock(void)
{
	pthread_mutex_unlock(&ending);
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

/* Those of other destructors may still free something. */
static void thread_ends(void *arg)
{
	struct front *front = front_mine.front;
	uint64_t number = front_mine.number;

	(void)arg;
	front_mine = (struct front_mine){.over = true};
	if (!front)
		return;
	front_lock();
	if (number == __atomic_load_n(&served.number, __ATOMIC_ACQUIRE))
		block_front_ends(served.block, front);
	front_unlock();
}

static void make_key(void)
{
	have_key = pthread_key_create(&key, thread_ends) == 0;
}

/* What pthread_setspecific allocates comes from the block, as from anywhere. */
bool front_may_have(void)
{
	static const char any;
	bool may;

	if (front_mine.over || !have_key)
		return false;
	front_mine.over = true;
	may = pthread_setspecific(key, &any) == 0;
	front_mine.over = !may;
	return may;
}

/* ---- all of a block's ---- */

bool front_open(struct block *block, struct fronts *fronts)
{
	if (__atomic_load_n(&served.number, __ATOMIC_ACQUIRE))
		return served.number == fronts->number;
	pthread_once(&once, make_key);
	served.block = block;
	fronts->number = ++served.last;
	__atomic_store_n(&served.number, fronts->number, __ATOMIC_RELEASE);
	return true;
}

void front_close(struct fronts *fronts)
{
	front_lock();
	if (fronts->number && fronts->number == served.number)
		__atomic_store_n(&served.number, 0, __ATOMIC_RELEASE);
	fronts->number = 0;
	front_unlock();
}

/* ---- one ---- */

void front_begin(struct fronts *fronts, struct front *front)
{
	front->next = fronts->first;
	fronts->first = front;
	front_mine = (struct front_mine){fronts->number, front, false};
}

/*
 * Its thread has it for some instructions only, unless it is not running; and
 * it may have to wait for this one, which is more urgent.
 */
void front_wait(struct front *front)
{
	const struct timespec moment = {.tv_nsec = 50000};
	int tries = 0;

	while (!front_try(front))
		if (++tries < 100)
			sched_yield();
		else
			nanosleep(&moment, NULL);
}

/*
 * Some of what is kept, in a list, until no more than so many granules are.  A
 * list that somebody wrote over may have ended early: then nothing is left.
 */
struct kept *front_let_go(struct front *front, size_t down_to)
{
	struct kept *gone = NULL, *kept;
	unsigned empty = 0;

	front_wait(front);
	while (front->granules > down_to) {
		kept = front->of[front->turn];
		if (!kept) {
			front->turn = front->turn % FRONT_MOST + 1;
			if (++empty <= FRONT_MOST)
				continue;
			front->granules = front->blocks = 0;
			break;
		}
		empty = 0;
		front->of[front->turn] = kept->next;
		front->granules -= front->turn;
		front->blocks--;
		kept->next = gone;
		kept->key = 0;
		gone = kept;
	}
	front_drop(front);
	return gone;
}

static bool has(struct front *front, const void *ptr, size_t granules)
{
	const struct kept *kept;

	front_wait(front);
	kept = front->of[granules];
	while (kept && kept != ptr)
		kept = kept->next;
	front_drop(front);
	return kept;
}

bool front_has(struct fronts *fronts, const void *ptr, size_t granules)
{
	struct front *front;

	if (granules > FRONT_MOST ||
	    ((const struct kept *)ptr)->key != front_key(fronts))
		return false;
	for (front = fronts->first; front; front = front->next)
		if (has(front, ptr, granules))
			return true;
	return false;
}
