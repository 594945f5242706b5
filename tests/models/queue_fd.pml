/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue_fd - the descriptor of a queue, for those who poll
 *
 * Follows reclaim/queue.c: queue_fd, queue_arm, hush_fd, tell_fd, queue_wake
 * and queue_wake_locked, and the closing of it in queue_close; with the rest
 * of the queue as in queue.pml.  An eventfd is readable or not.
 *
 * Proved, for SENDERS threads that send SENDS messages each, to TASKS tasks of
 * one slot, which make the descriptor at any time, poll it, and look as often
 * as they like:
 *
 *  - Whoever polls is told: where nothing else goes on and it is not readable,
 *    there is no message that was not looked at.
 *  - Nothing is written to a descriptor that was closed.
 *  - It is not readable for ever where nothing comes (as a cycle without
 *    progress, under weak fairness): who looks, finds nothing and polls again
 *    comes to wait in the end.
 *
 * Not here: what queue.pml has; memory that is not sequentially consistent; a
 * write or a read that fails; a forked child.
 */
#ifndef SENDERS
#define SENDERS 2
#endif
#ifndef SENDS
#define SENDS 2
#endif
#ifndef LESS	/* so many does each but the first */
#define LESS SENDS
#endif
#define sends(me) (me == 0 -> SENDS : LESS)
#ifndef TASKS
#define TASKS 2
#endif
#define MOST 0

/* ---- the descriptor ---- */

byte fd;			/* of that task, or none */
bool told;
bool readable;			/* that of the newest task */
bool closed[TASKS + 1];		/* ghost; there was one */

#ifdef BUG_TOLD_KEPT
#define forget_told() skip
#else
#define forget_told() told = false
#endif

/* In queue_close: the number is nobody's first. */
inline close_fd()
{
	d_step {
		closed[fd] = (fd != 0);
		fd = 0;
		readable = false;
		forget_told()
	}
}

#include "queue_parts.pml"

inline tell_fd(to_fd)
{
	d_step {
		assert(!closed[to_fd]);
		if
		:: to_fd != 0 && !told -> readable = true; told = true
		:: else -> skip
		fi
	}
}

inline hush_fd()
{
#ifdef BUG_NO_HUSH
	skip
#else
	d_step {
		if
		:: told -> readable = false; told = false
		:: else -> skip
		fi
	}
#endif
}

/* ---- who sends ---- */

proctype sender(byte me)
{
	byte tid, n, m, my_life, my_top;
	bool is_found;

	do
	:: n == sends(me) -> break
	:: atomic {
		n < sends(me) && newest != 0 ->
		n++;
		if
		:: tid = newest
		:: tid != 0 && tid != newest -> skip
		fi
	   };
		queue_of(tid, is_found);
		if
		:: !is_found -> goto over
		:: else -> skip
		fi;
		d_step { make(m, me, tid); sent++ };
		push(m, tid, my_life, my_top, is_found);
		if
		:: d_step { !is_found -> sent--; release(m) };
			goto over
		:: is_found && my_top != AWAITED -> goto over
		:: else -> skip
		fi;
		/* queue_wake; nobody sleeps here */
		my_top = fd;
		if
		:: my_top == 0 -> goto over
		:: else -> skip
		fi;
		/* queue_wake_locked, tell_fd */
#ifdef BUG_TELL_UNLOCKED
		tell_fd(my_top);
#else
		atomic {
			!tables ->
			if
			:: owner == tid -> tell_fd(fd)
			:: else -> skip
			fi
		};
#endif
over:		skip;
		d_step { m = 0; my_life = 0; my_top = 0; is_found = false }
	od
}

/* ---- who receives, and polls ---- */

/* With the tables locked. */
inline make_fd()
{
	atomic { take_tables(); fd = t };
#ifndef BUG_NO_LOOK
	be_awaited(is_found);
	if
	:: d_step { len(list) > 0 || !is_found -> tell_fd(fd) }
	:: else -> skip
	fi;
#endif
	drop_tables()
}

inline arm(armed)
{
	if
	:: fd == 0 -> armed = true
	:: else ->
		take_tables();
		hush_fd();
#ifdef BUG_NO_RECHECK
		armed = true;
#else
		be_awaited(armed);
#endif
#ifndef BUG_NO_RETELL
		if
		:: !armed -> tell_fd(fd)
		:: else -> skip
		fi;
#endif
		drop_tables()
	fi
}

proctype receiver()
{
	byte t, m, i, my_top, received;
	bool is_found;

	do
	:: t == TASKS -> break
	:: atomic { else -> t++; begin_task(t) };
		queue_of(t, is_found);
look:		/* reclaim_receive, with no time to wait, or too little */
		d_step {
			if
			:: received -> release(received); received = 0
			:: else -> skip
			fi
		};
		fetch(my_top);
		if
		:: len(list) > 0 ->
progress_took:		d_step {
				list ? m;
				removed++;
				got(m, t);
				received = m;
				m = 0
			};
			if
			:: goto look
			:: goto wait	/* there may be more */
			:: goto end_it
			fi
		:: else -> skip
		fi;
		/* queue_await, whose time is over at once */
		if
		:: be_awaited(is_found);
			if
			:: !is_found -> goto look
			:: else -> skip
			fi
		:: skip
		fi;
		arm(is_found);
		if
		:: !is_found -> goto look
		:: else -> skip
		fi;
wait:		if
		:: fd == 0 -> make_fd()
		:: else -> skip
		fi;
		/* poll */
		if
		:: readable -> goto look
		:: timeout ->
			assert(len(list) == 0 && top <= AWAITED)
		fi;
end_it:		is_found = false;
		fall_silent()
	od;
	_nr_pr == 2 -> assert(sent == removed)
}

init {
	byte i;

	atomic {
		run receiver();
		for (i : 0 .. SENDERS - 1) {
			run sender(i)
		}
	}
}
