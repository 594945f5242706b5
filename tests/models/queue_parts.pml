/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue_parts - what both models of the queue are made of
 *
 * Each inline is the function of reclaim/queue.c that it is called after; what
 * is `ghost` is not there, but known to whoever looks at all of it.
 */

/* ---- the head ---- */

#define EMPTY	0
#define AWAITED 1
#define CLOSED	2
#define FIRST	3	/* messages are numbered from there */

#ifndef MESSAGES
#define MESSAGES (SENDERS * SENDS)
#endif

/* Of 20 bits, these are what TASKS want. */
#ifdef BUG_NO_LIFE
#define life_of(tid) 0
#else
#define life_of(tid) (tid)
#endif

byte life, top;		/* one word: each step reads or writes both */
byte owner;
byte sent, removed;
bool sleeps;
byte arrived;		/* the semaphore */

/* ---- tasks ---- */

bool tables;		/* locked */
byte newest;		/* tid of the task that the slot has or had; 0: none */
bool silent;		/* so has that task fallen */
bool opened;		/* task->queue */
bool dying;

#define has_ended(tid) (tid < newest || silent)

inline take_tables()
{
	atomic { !tables -> tables = true }
}

inline drop_tables()
{
	tables = false
}

/* ---- messages ---- */

#define NOBODYS	 0
#define MADE	 1
#define PUSHED	 2
#define RECEIVED 3

byte older[FIRST + MESSAGES];
/* ghost */
byte state[FIRST + MESSAGES];
byte from[FIRST + MESSAGES];
byte number[FIRST + MESSAGES];
byte to[FIRST + MESSAGES];
byte pushed[SENDERS];	/* by each sender to this task */
byte taken[SENDERS];	/* of them */
byte waits;		/* pushed and not taken */

/* Who receives has them, oldest first. */
chan list = [MESSAGES] of { byte };

/* Memory is used again at once: the lowest that is free. */
inline make(m, me, tid)
{
	d_step {
		m = FIRST;
		do
		:: state[m] != NOBODYS -> m++
		:: else -> break
		od;
		assert(m < FIRST + MESSAGES);
		state[m] = MADE;
		from[m] = me;
		to[m] = tid
	}
}

inline release(m)
{
	d_step {
		assert(state[m] == MADE || state[m] == RECEIVED);
		state[m] = NOBODYS;
		from[m] = 0;
		to[m] = 0;
		number[m] = 0;
		older[m] = 0
	}
}

/* ghost: m was pushed. */
inline goes(m)
{
	assert(state[m] == MADE);
	assert(to[m] == newest && opened);
	pushed[from[m]]++;
	number[m] = pushed[from[m]];
	state[m] = PUSHED;
	waits++;
	assert(MOST == 0 || waits <= MOST)
}

/* ghost: m is received by tid, or freed at its end. */
inline got(m, tid)
{
	assert(state[m] == PUSHED && to[m] == tid);
	taken[from[m]]++;
	assert(number[m] == taken[from[m]]);
	state[m] = RECEIVED;
	older[m] = 0;
	waits--
}

/* ---- opening and closing ---- */

inline queue_open(tid)
{
	if
	:: opened -> skip
	:: else ->
#ifdef BUG_OWNER_FIRST
		atomic { opened = true; owner = tid };
		d_step { life = life_of(tid); top = EMPTY }
#else
		d_step { opened = true; life = life_of(tid); top = EMPTY };
		owner = tid
#endif
	fi
}

/* queue_of: queue_find, and else open_for. */
inline queue_of(tid, found)
{
	if
	:: owner == tid -> found = true
	:: else ->
		if
		:: atomic {
			!tables && newest == tid && !silent ->
			found = true;
			tables = true
		   };
		   queue_open(tid);
		   drop_tables()
		:: atomic { !tables && has_ended(tid) -> found = false }
		fi
	fi
}

/* The stack, oldest first, behind what is in the list already. */
inline turn_around(newest_one)
{
	i = 0;
	do
	:: newest_one > CLOSED ->
		turned[i] = newest_one;
		i++;
		newest_one = older[newest_one]
	:: else -> break
	od;
#ifdef BUG_NO_TURN
	m = i;
	i = 0;
	do
	:: i < m -> list ! turned[i]; turned[i] = 0; i++
	:: else -> break
	od;
	m = 0;
	i = 0
#else
	do
	:: i > 0 -> i--; list ! turned[i]; turned[i] = 0
	:: else -> break
	od
#endif
}

byte turned[MESSAGES];

/*
 * queue_fetch.  Between the load and the exchange others only push, so they are
 * one step; what comes after them is the receiver's alone.
 */
inline fetch(my_top)
{
	d_step {
		if
		:: len(list) == 0 && top > CLOSED ->
			my_top = top;
			top = EMPTY;
			turn_around(my_top);
			my_top = 0
		:: else -> skip
		fi
	}
}

inline be_awaited(armed)
{
	d_step {
		if
		:: top == EMPTY -> top = AWAITED
		:: else -> skip
		fi;
		armed = (top == AWAITED)
	}
}

inline begin_task(tid)
{
	d_step {
		newest = tid;
		silent = false;
		opened = false;
		dying = false
	}
}

/* fall_silent with queue_close; close_fd is what it does to the descriptor. */
inline fall_silent()
{
	atomic { take_tables(); silent = true };
	if
	:: opened ->
#ifdef BUG_CLOSE_STORE
		my_top = top;
		d_step {
			opened = false;
			top = CLOSED;
			turn_around(my_top);
			my_top = 0
		};
#else
		d_step {
			opened = false;
			my_top = top;
			top = CLOSED;
			turn_around(my_top);
			my_top = 0
		};
#endif
		close_fd();
		owner = 0;
		removed = removed + len(list);
		d_step { sleeps = false; tables = false }
	:: else -> drop_tables()
	fi;
	/* All messages, and the latest received; then nobody knows of them. */
	d_step {
		if
		:: received -> release(received); received = 0
		:: else -> skip
		fi;
		do
		:: len(list) > 0 -> list ? m; got(m, t); release(m); m = 0
		:: else -> break
		od;
		/* ghost: what was pushed to this task is accounted for. */
		i = 0;
		do
		:: i < SENDERS ->
			assert(taken[i] == pushed[i]);
			taken[i] = 0;
			pushed[i] = 0;
			i++
		:: else -> break
		od;
		i = 0;
		assert(waits == 0)
	}
}

/* ---- pushing ---- */

#ifdef BUG_NO_OWNER
#define is_stranger(tid) false
#else
#define is_stranger(tid) (owner != tid)
#endif

/* queue_push, counted already; my_top: what was there before. */
inline push(m, tid, my_life, my_top, is_pushed)
{
	d_step { my_life = life; my_top = top };
	do
	:: atomic {
		is_stranger(tid) || my_top == CLOSED ->
		is_pushed = false;
		break
	   }
	:: else ->
	   d_step {
		older[m] = (my_top > CLOSED -> my_top : 0);
		if
		:: life == my_life && top == my_top ->
			goes(m);
			top = m;
			is_pushed = true
		:: else ->
			my_life = life;
			my_top = top;
			is_pushed = false
		fi
	   };
	   if
	   :: is_pushed -> break
	   :: else -> skip
	   fi
	od
}

inline wake_sleeper(was)
{
	d_step { was = sleeps; sleeps = false };
	if
	:: was -> d_step { arrived++; was = false }
	:: else -> skip
	fi
}
