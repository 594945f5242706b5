/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_free - blocks of a heap that other threads free
 *
 * Follows reclaim/pointer.c: find_in_run, heap_put_by_run,
 * pointer_free_remote, publish, fold_run; reclaim/heap.c: heap_try,
 * heap_leave, heap_drain; reclaim/run.c: fill, run_free, run_emptied, retire;
 * of reclaim/memory.c memory_free_block.  A step here is an atomic operation
 * there.  Of a run there are its bits, whose it is, and its place on the list;
 * of a heap the list, and how many others freed.
 *
 * Proved, for a heap of RUNS runs of two blocks, whose owner allocates ALLOCS
 * times, frees, leaves the heap and has it again, and for FREERS other threads
 * that free what they are given:
 *
 *  - No block is handed out that somebody has.
 *  - A block that is freed becomes free once, and the next drain after all
 *    have freed finds every one of them: none is lost from the list.
 *  - No run is put on the list that is on it, or whose place in it is still
 *    to be read.
 *  - What is counted as freed by others comes to nothing.
 *
 * With -DTWICE one block is freed by two at once, the owner or another, while
 * nothing is allocated: one of them is told, or the drain tells; the rest
 * holds, and in the end each block is handed out once.
 *
 * Not so with -DTWICE -DREFILL=true -DALLOCS=5, where the program is wrong and
 * memory is allocated meanwhile: another thread has marked the block that the
 * owner freed as well, and not yet published its run; the run goes as empty
 * and is filled anew, which clears the mark; a block of it that is freed from
 * outside then publishes it, and so does the first, once more.
 *
 * Not here: memory that is not sequentially consistent; bump areas, whose tags
 * are the bits there; large blocks, which are freed under a lock; ends of
 * heaps; a block that is freed again when it has been handed out again, which
 * nobody can tell from the right free.
 */
#ifndef RUNS
#define RUNS 2
#endif
#ifndef ALLOCS
#define ALLOCS 4
#endif
#ifndef FREERS
#define FREERS 2
#endif

#define ALL	   3	/* the bits of a run's blocks */
#define NONE	   0	/* no run, no block */
#define block(r, b) (2 * (r) + (b) - 3)	/* b is 1 or 2, r from 1 */
#define BLOCKS	   (2 * RUNS)

/* Where a block freed twice may be handed out between, only the list holds. */
#ifndef REFILL
#define REFILL	   false
#endif

#define is_free(r) (free[r] == ALL && (!remote[r] || !mine[r]))
#if RUNS == 1
#define no_live	 (!live[0] && !live[1])
#define all_free is_free(1)
#else
#define no_live	 (!live[0] && !live[1] && !live[2] && !live[3])
#define all_free (is_free(1) && is_free(2))
#endif

/* ---- the heap ---- */

byte free[RUNS + 1];
byte remote[RUNS + 1];
bool mine[RUNS + 1];		/* run->heap */
byte next_remote[RUNS + 1];
byte list;
short remote_held;
byte current;
bool had;			/* somebody has the heap */

/* ghost */
bool live[BLOCKS];		/* the program has it */
bool due[BLOCKS];		/* it was freed, and is not free yet */
bool listed[RUNS + 1];
byte told;			/* that a block is freed twice */
byte doubles;
byte gone;			/* of those, not told */
byte busy;			/* of those given, not freed */

/* A block to free, of each of the others. */
chan given[FREERS] = [1] of { byte, byte };

/* ghost: the program frees it. */
inline let_go(r, b)
{
	live[block(r, b)] = false;
	due[block(r, b)] = true
}

/* ghost: the bits of `set` become free. */
inline becomes_free(r, set)
{
	if
	:: set & 1 -> assert(REFILL || due[block(r, 1)]); due[block(r, 1)] = false
	:: else -> skip
	fi;
	if
	:: set & 2 -> assert(REFILL || due[block(r, 2)]); due[block(r, 2)] = false
	:: else -> skip
	fi
}

/* ---- by whoever has the heap ---- */

/* run_free, run_emptied, retire: nobody else writes any of it. */
inline run_free(r, set)
{
	d_step {
		becomes_free(r, set);
		free[r] = free[r] | set;
		if
		:: free[r] == ALL && r != current -> mine[r] = false
		:: else -> skip
		fi
	}
}

/* heap_put_by_run */
inline put_by_run(r, b)
{
	if
	:: !mine[r] || ((free[r] | remote[r]) & b) -> told++
	:: else -> run_free(r, b)
	fi
}

#define count(set) (((set) & 1) + ((set) >> 1))

inline heap_drain()
{
	units = 0;
	d_step { r = list; list = NONE };
	do
	:: r == NONE -> break
	:: else ->
#ifndef BUG_NEXT_LATE
		then = next_remote[r];
#endif
		/* fold_run */
		if
		:: !mine[r] ->
			/* What was freed twice has gone with its run. */
			d_step {
				listed[r] = false;
				gone = gone + count(remote[r])
			}
		:: else ->
#ifdef BUG_NO_EXCHANGE
			bits = remote[r];
			d_step { remote[r] = 0; listed[r] = false };
#else
			d_step {
				bits = remote[r];
				remote[r] = 0;
				listed[r] = false
			};
#endif
			/* Freed here already: told, and not counted twice. */
			d_step {
#ifdef BUG_FOLD_BLIND
				b = 0;
#else
				b = bits & free[r];
#endif
				remote_held = remote_held - count(b);
				told = told + count(b);
				bits = bits & (ALL - b);
				units = units + count(bits);
				b = NONE
			};
			if
			:: bits != 0 -> run_free(r, bits)
			:: else -> skip
			fi
		fi;
#ifdef BUG_NEXT_LATE
		then = next_remote[r];
#endif
		r = then
	od;
	remote_held = remote_held - units;
	d_step { units = 0; bits = 0; then = 0 }
}

/* A block of the current run, of one with some free, or of a new one. */
inline heap_alloc()
{
	if
	:: current != NONE && free[current] != 0 -> r = current
	:: else ->
		r = 1;
		do
		:: r > RUNS -> r = 1; break
		:: r <= RUNS && mine[r] && free[r] != 0 -> break
		:: else -> r++
		od;
		do
		:: r > RUNS -> r = NONE; break
		:: r <= RUNS && mine[r] && free[r] != 0 -> break
		:: r <= RUNS && !mine[r] ->
			/* fill */
			free[r] = ALL;
			remote[r] = 0;
			mine[r] = true;
			break
		:: else -> r++
		od
	fi;
	if
	:: r == NONE -> skip	/* there is no memory */
	:: else ->
		current = r;
		b = (free[r] & 1 -> 1 : 2);
		free[r] = free[r] & (ALL - b);
		assert(REFILL || (!live[block(r, b)] && !due[block(r, b)]));
		live[block(r, b)] = true
	fi
}

/* ---- by another ---- */

/* pointer_free_remote, publish */
inline free_remote(r, b)
{
#ifdef BUG_NO_OR
	before = remote[r];
	remote[r] = before | b;
#else
	d_step { before = remote[r]; remote[r] = before | b };
#endif
	if
	:: before & b -> told++
	:: else ->
#ifdef BUG_COUNT_NEVER
		skip;
#else
		remote_held++;
#endif
#if defined BUG_PUBLISH_ALWAYS
		if
		:: true ->
#elif defined BUG_PUBLISH_FIRST
		if
		:: list == NONE ->
#else
		if
		:: before == 0 ->
#endif
			first = list;
			do
			:: next_remote[r] = first;
			   d_step {
				if
				:: list == first ->
					assert(!listed[r]);
					listed[r] = true;
					list = r;
					published = true
				:: else -> first = list
				fi
			   };
			   if
			   :: published -> break
			   :: else -> skip
			   fi
			od
		:: else -> skip
		fi
	fi
}

proctype freer(byte me)
{
	byte r, b, before, first;
	bool published;

end:	do
	:: given[me] ? r, b ->
		/* pointer_find */
		if
		:: !mine[r] || ((free[r] | remote[r]) & b) -> told++
		:: else ->
			/* heap_try, and else from outside */
			if
			:: d_step { !had -> had = true };
				put_by_run(r, b);
				had = false
			:: else -> free_remote(r, b)
			fi
		fi;
		busy--;
		d_step {
			r = 0; b = 0; before = 0; first = 0; published = false
		}
	od
}

/* ---- the owner ---- */

inline choose_live()
{
	if
	:: live[block(1, 1)] -> r = 1; b = 1
	:: live[block(1, 2)] -> r = 1; b = 2
#if RUNS > 1
	:: live[block(2, 1)] -> r = 2; b = 1
	:: live[block(2, 2)] -> r = 2; b = 2
#endif
	fi
}

inline give(k)
{
	d_step { empty(given[k]) && k < FREERS -> busy++; given[k] ! r, b }
}

inline give_any()
{
	if
	:: give(0)
#if FREERS > 1
	:: give(1)
#endif
	fi
}

#ifdef TWICE
#define may_free (n == ALLOCS || REFILL)
#else
#define may_free true
#endif

proctype owner()
{
	byte r, b, bits, then, units, n, i;

	do
	/* By the slow path, which drains first. */
	:: n < ALLOCS ->
		n++;
		if
		:: remote_held != 0 -> heap_drain()
		:: else -> skip
		fi;
		d_step { heap_alloc(); r = 0; b = 0 }
	/* Frees one, or has it freed. */
	:: atomic { may_free && !no_live -> choose_live(); let_go(r, b) };
		if
		:: put_by_run(r, b)
		:: give_any()
#ifdef TWICE
		:: doubles == 0 -> doubles++; give_any(); put_by_run(r, b)
#if FREERS > 1
		:: doubles == 0 -> doubles++; give(0); give(1)
#endif
#endif
		fi;
		d_step { r = 0; b = 0 }
	/* Leaves it, and comes again. */
	:: had = false;
		atomic { !had -> had = true }
	:: n == ALLOCS && no_live -> break
	od;
	had = false;
	atomic { busy == 0 && !had -> had = true };
	heap_drain();
	d_step {
		assert(list == NONE);
		assert(REFILL || (told + gone == doubles && all_free));
		assert(REFILL || remote_held == gone);
		n = 0;
		do
		:: n == BLOCKS -> break
		:: else -> n++; heap_alloc(); assert(REFILL || r != NONE)
		od;
		r = 0
	}
}

init {
	atomic {
		byte k;

		had = true;
		for (k : 1 .. RUNS) {
			free[k] = ALL
		}
		run owner();
		for (k : 0 .. FREERS - 1) {
			run freer(k)
		}
	}
}
