/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue - messages from several threads to the tasks of one slot
 *
 * Follows reclaim/queue.c: queue_find, queue_of, queue_open, queue_close,
 * count_sent, queue_push, wake_sleeper, queue_interrupt, queue_fetch,
 * queue_take, be_awaited, is_to_leave, queue_await; of reclaim/message.c
 * post, receive and await; of reclaim/ending.c ask_one, fall_silent.  A step
 * here is an atomic operation there, or what a thread does with nobody
 * looking; where `tables` is locked, that is a step of its own, too.
 *
 * Proved, within each of the bounds in models.sh, for SENDERS threads that send
 * SENDS messages each (LESS: all but the first), to a task that they once knew,
 * and TASKS tasks, one after the other in the same slot, that receive as often
 * as they like and, with -DASKED, may be asked to end:
 *
 *  - What was pushed is received once, or freed at the task's end, and never
 *    by a later task; each message is freed once, and none is left over.
 *  - Those of one thread are received in its order.
 *  - No push succeeds after the close; none fails with ESRCH before.
 *  - A sleeping thread is woken: where nothing else goes on it has neither a
 *    message nor been asked to end.
 *  - No more than MOST messages wait at once; EAGAIN is only said where so
 *    many were sent, or about to be, at some time during the call.
 *
 * Not here: memory that is not sequentially consistent; weak operations that
 * fail without a reason; selective receiving, which goes through a list that
 * is the receiver's alone; cancellation; fork; the 2^20 lives after which
 * one comes again.  Descriptors are in queue_fd.pml.
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
#ifndef MOST
#define MOST 2
#endif

#define close_fd() skip
#include "queue_parts.pml"

/* ---- who sends ---- */

#define full (sent - removed >= MOST)

#ifdef BUG_UNSIGNED
#define fits(seen) (seen >= removed && seen - removed < MOST)
#else
#define fits(seen) (seen - removed < MOST)
#endif

/* Of whom it is known that there was no room, at some time during the call. */
bool was_full[SENDERS];

inline note_full()
{
	i = 0;
	do
	:: i < SENDERS -> was_full[i] = was_full[i] || full; i++
	:: else -> break
	od;
	i = 0
}

proctype sender(byte me)
{
	byte tid, n, m, seen, my_life, my_top, i;
	bool is_found;

	do
	:: n == sends(me) -> break
	:: atomic {
		n < sends(me) && newest != 0 ->
		n++;
		/* The task that there is now, or one of which was known. */
		if
		:: tid = newest
		:: tid != 0 && tid != newest -> skip
		fi
	   };
		/* reclaim_send: queue_of, message_new */
		queue_of(tid, is_found);
		if
		:: !is_found -> goto over	/* ESRCH: it has ended */
		:: else -> skip
		fi;
		/* count_sent */
#if MOST == 0
		d_step { make(m, me, tid); sent++ };
#else
		d_step {
			make(m, me, tid);
			was_full[me] = full;
			seen = sent
		};
count:
		if
		:: fits(seen) -> skip
		:: atomic {
			else ->		/* EAGAIN */
			assert(was_full[me]);
			release(m);
			goto over
		   }
		fi;
#ifndef BUG_COUNT_LATE
		d_step {
			if
			:: sent == seen -> sent++; note_full(); is_found = true
			:: else -> seen = sent; is_found = false
			fi
		};
		if
		:: is_found -> was_full[me] = false
		:: else -> goto count
		fi;
#endif
#endif
		/* queue_push */
		push(m, tid, my_life, my_top, is_found);
#ifdef BUG_COUNT_LATE
		sent++;
#endif
		if
		:: d_step {
			!is_found ->	/* ESRCH */
			assert(has_ended(tid));
			sent--;
			release(m)
		   }
		:: is_found && my_top == AWAITED ->
			/* post: queue_wake */
			wake_sleeper(is_found)
		:: else -> skip
		fi;
over:		skip;
		d_step {
			m = 0; seen = 0; my_life = 0; my_top = 0; is_found = 0;
			was_full[me] = false
		}
	od
}

/* ---- who asks the task to end ---- */

proctype asker()
{
	bool was;

	newest != 0;
	if
	:: true
	:: newest == TASKS
	:: goto done	/* nobody asks */
	fi;
	/* ask_one */
	atomic {
		take_tables();
		if
		:: !silent -> dying = true
		:: else -> skip
		fi
	};
	/* queue_interrupt */
	if
	:: dying && opened -> wake_sleeper(was)
	:: else -> skip
	fi;
	drop_tables();
done:	skip
}

/* ---- who receives ---- */

proctype receiver()
{
	byte t, m, i, my_top, received;
	bool is_found, last_look;

	do
	:: t == TASKS -> break
	:: atomic { else -> t++; begin_task(t) };
		if
		:: goto end_it	/* before it has received anything */
		:: queue_of(t, is_found); assert(is_found)	/* claim */
		fi;
begin:		/* receive: queue_forget_received */
		d_step {
			if
			:: received -> release(received); received = 0
			:: else -> skip
			fi
		};
look:		/* queue_current */
		fetch(my_top);
		if
		:: len(list) > 0 ->
			/* queue_take */
			d_step {
				list ? m;
				removed++;
				got(m, t);
				received = m;
				m = 0;
				last_look = false
			};
			if
			:: goto begin
			:: goto end_it
			fi
		:: len(list) == 0 && last_look ->
			last_look = false;
			if
			:: goto begin
			:: goto end_it
			fi
		:: else -> skip
		fi;
		/* queue_await */
#ifdef BUG_ASK_EARLY
		atomic { !tables -> is_found = dying };
		if
		:: is_found -> goto end_it
		:: else -> skip
		fi;
#endif
#ifdef BUG_SLEEPS_LATE
		be_awaited(is_found);
		sleeps = true;
#else
		sleeps = true;
		be_awaited(is_found);
#endif
#ifndef BUG_NO_RECHECK
		if
		:: !is_found -> sleeps = false; goto look
		:: else -> skip
		fi;
#endif
		/* is_to_leave */
#ifndef BUG_ASK_EARLY
		atomic { !tables -> is_found = dying };
		if
		:: is_found -> sleeps = false; goto end_it	/* ECANCELED */
		:: else -> skip
		fi;
#endif
		/* sleep_until; with a deadline, or for ever */
		if
		:: last_look = true	/* ETIMEDOUT */
		:: true ->
			if
			:: arrived > 0 -> arrived--
			:: timeout ->
				/* It sleeps, and nothing else goes on. */
				assert(top == AWAITED && !dying);
				goto end_it
			fi
		fi;
		sleeps = false;
		goto look;
end_it:		is_found = false;
		fall_silent()
	od;
	/* All others are done, as well. */
	_nr_pr == 2 ->
	assert(sent == removed);
	for (i : FIRST .. FIRST + MESSAGES - 1) {
		assert(state[i] == NOBODYS)
	}
}

init {
	byte i;

	atomic {
		run receiver();
#ifdef ASKED
		run asker();
#endif
		for (i : 0 .. SENDERS - 1) {
			run sender(i)
		}
	}
}
