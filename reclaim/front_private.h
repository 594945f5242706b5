/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front - what a thread keeps of what it freed in a block, to have it again
 *
 * Good for: threads that would wait for each other, and for a processor's
 * cache.  What is kept is of one length in granules each, and handed out to
 * that length only.  It is not where the policy would have gone: that is the
 * price.
 *
 * How: lists through what is kept, one for each length.  To the block it is
 * all allocated still.  The memory of a front is the block's own.
 *
 * Threads: a front is its thread's; others that flush it or look for something
 * in it hold the block's lock and make it busy, and its thread then goes to the
 * block.  So nobody waits for a front who does not hold the block's lock, and
 * nobody who has a front asks for that.
 *
 * One block has fronts at any time.  A thread's end empties its front.
 */
#ifndef FRONT_PRIVATE_H
#define FRONT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/single_threaded.h>

struct block;

/*
 * In granules: 4 KiB, as the heaps of an emulator's processes.  What is larger
 * is used for longer, and would push out many smaller ones.
 */
#define FRONT_MOST 256

/* In the memory that is kept.  The key only says where a search is worth it. */
struct kept {
	struct kept *next;
	uintptr_t key;
};

struct front {
	struct front *next; /* of all that the block has */
	int busy;
	unsigned turn;		 /* the length to be flushed next */
	size_t granules, blocks; /* kept */
	struct kept *of[FRONT_MOST + 1];
};

/* Of a block. */
struct fronts {
	size_t most; /* granules that each thread may keep; 0: none */
	size_t gate; /* nor more than these allocated in all */
	uint64_t number;
	struct front *first;
};

/* A thread's. */
struct front_mine {
	uint64_t number; /* whose: numbers are not used again */
	struct front *front;
	bool over; /* the thread is about to end */
};

extern __thread struct front_mine front_mine
	__attribute__((tls_model("initial-exec")));

/* Take them up for a block, or give them up; false: another has them. */
bool front_open(struct block *block, struct fronts *fronts);
void front_close(struct fronts *fronts);

/*
 * Memory that is all zero becomes the thread's front.  False, and it does not:
 * the thread is about to end, or nothing would tell of that.
 */
bool front_may_have(void);
void front_begin(struct fronts *fronts, struct front *front);

/* With the block's lock held. */
struct kept *front_let_go(struct front *front, size_t down_to);
bool front_has(struct fronts *fronts, const void *ptr, size_t granules);

/* Only one is at it; with one thread that needs no atomic operation. */
static inline bool front_try(struct front *front)
{
	return __libc_single_threaded ||
	       !__atomic_exchange_n(&front->busy, 1, __ATOMIC_ACQUIRE);
}

void front_wait(struct front *front);

/* No thread's end, and no block's, is in the middle of it: around fork. */
void front_lock(void);
void front_unlock(void);

static inline void front_drop(struct front *front)
{
	__atomic_store_n(&front->busy, 0, __ATOMIC_RELEASE);
}

/* The caller's, or NULL. */
static inline struct front *front_own(const struct fronts *fronts)
{
	return fronts->most && front_mine.number == fronts->number
		       ? front_mine.front
		       : NULL;
}

/* Any address will do that no other block has. */
static inline uintptr_t front_key(const struct fronts *fronts)
{
	return ~(uintptr_t)fronts;
}

/* Kept memory of just this length, or NULL. */
static inline void *front_take(const struct fronts *fronts, size_t granules)
{
	struct front *front = front_own(fronts);
	struct kept *kept;

	if (!front || granules > FRONT_MOST || !front_try(front))
		return NULL;
	kept = front->of[granules];
	if (kept) {
		front->of[granules] = kept->next;
		front->granules -= granules;
		front->blocks--;
		kept->key = 0;
	}
	front_drop(front);
	return kept;
}

/* Keep it.  *full: there is more now than there should be. */
static inline bool front_keep(const struct fronts *fronts, void *ptr,
			      size_t granules, bool *full)
{
	struct front *front = front_own(fronts);
	struct kept *kept = ptr;

	if (!front || !front_try(front))
		return false;
	kept->next = front->of[granules];
	kept->key = front_key(fronts);
	front->of[granules] = kept;
	front->granules += granules;
	front->blocks++;
	*full = front->granules > fronts->most;
	front_drop(front);
	return true;
}

#endif
