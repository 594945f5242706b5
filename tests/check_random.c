/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random lives of tasks, from several threads at once, against a model: what
 * was acquired is released once, and in reverse order.
 *
 * In each round threads make tasks below an arena, enter, spawn, kill, end and
 * wait for any that they know of; half of the rounds somebody kills the arena
 * itself in the middle.  When the arena has ended nothing may be left.
 *
 * RECLAIM_TEST_SEED repeats the choices of a run, if not its timing, and
 * RECLAIM_TEST_ROUNDS makes it longer.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS	     4
#define ROUNDS	     60
#define STEPS	     60 /* of each thread in a round */
#define STEPS_WITHIN 12 /* at most, of a life in a task */
#define KNOWN	     24 /* tids that all threads know */
#define DEPTH	     4	/* of tasks entered by one thread */

/* ---- the model ---- */

/*
 * One life of a task, as what holds things sees it.  Only the thread in the
 * task acquires, and takes back: so its items are a stack, and the one that is
 * released is on top of it.
 */
struct item {
	struct item *below; /* acquired before it */
	struct life *life;
	reclaim_token token;
	int number;
};

struct life {
	struct life *next; /* of all lives */
	struct item *top;
	reclaim_tid tid;
};

/* Anything that must happen once, whoever makes it happen. */
struct event {
	struct event *next; /* of all events */
	reclaim_token token;
	atomic_int happened;
};

static struct {
	pthread_mutex_t mutex;
	struct life *lives;
	struct event *events;
	const char *failure;
} model = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static atomic_int items_left, spawned, entered, released;

static void accuse(const char *what)
{
	pthread_mutex_lock(&model.mutex);
	if (!model.failure)
		model.failure = what;
	pthread_mutex_unlock(&model.mutex);
}

/* The model's own memory is never that of a task. */
static void *make(size_t size)
{
	void *made = calloc(1, size);

	if (!made)
		abort();
	return made;
}

static struct life *life_of(reclaim_tid tid)
{
	struct life *life;

	pthread_mutex_lock(&model.mutex);
	for (life = model.lives; life && life->tid != tid; life = life->next)
		;
	if (!life) {
		life = make(sizeof(*life));
		life->tid = tid;
		life->next = model.lives;
		model.lives = life;
	}
	pthread_mutex_unlock(&model.mutex);
	return life;
}

static void push(struct item *item)
{
	item->below = item->life->top;
	item->life->top = item;
	atomic_fetch_add(&items_left, 1);
}

static void pop(struct item *item)
{
	if (item->life->top != item)
		accuse("a release was not that of the newest");
	else
		item->life->top = item->below;
	atomic_fetch_sub(&items_left, 1);
	atomic_fetch_add(&released, 1);
	free(item);
}

static void release_item(void *arg)
{
	struct item *item = arg;

	if (reclaim_self() != item->life->tid)
		accuse("a release ran in another task");
	pop(item);
}

static const struct reclaim_kind items = {.name = "item",
					  .release = release_item};

static void happen(void *arg)
{
	struct event *event = arg;

	atomic_fetch_add(&event->happened, 1);
}

/* ---- what a thread does ---- */

struct actor {
	uint64_t state;
	int depth;	    /* tasks that it is in */
	bool is_waited_for; /* by who may be inside anything */
};

static reclaim_tid arena;
static _Atomic reclaim_tid known[KNOWN];

static unsigned roll(struct actor *actor, unsigned sides)
{
	return (unsigned)(fixture_random(&actor->state) % sides);
}

static reclaim_tid any_task(struct actor *actor)
{
	return atomic_load(&known[roll(actor, KNOWN)]);
}

static void learn(struct actor *actor, reclaim_tid tid)
{
	if (tid)
		atomic_store(&known[roll(actor, KNOWN)], tid);
}

static void expect_error(int result, const char *what, int allowed, int other)
{
	if (result != 0 && errno != allowed && errno != other)
		accuse(what);
}

/* As the newest of the current task, in one of two ways. */
static void acquire_item(struct actor *actor)
{
	struct item *item = make(sizeof(*item));
	int result;

	item->life = life_of(reclaim_self());
	push(item);
	if (roll(actor, 2))
		result = reclaim_defer(release_item, item, &item->token);
	else
		result = reclaim_track(&items, item, &item->token);
	if (result != 0)
		accuse("an item was not acquired");
}

/* Only what has the thread's own task is sure to be there still. */
static void take_back_item(struct actor *actor)
{
	struct life *life = life_of(reclaim_self());
	struct item *item = life->top;
	bool run = roll(actor, 2);

	if (!item)
		return;
	if (reclaim_undefer(item->token, run) != 0)
		accuse("an item could not be taken back");
	else if (!run)
		pop(item);
}

/* Anybody of kin may take it back, at any time. */
static void acquire_event(void)
{
	struct event *event = make(sizeof(*event));

	if (reclaim_defer(happen, event, &event->token) != 0)
		accuse("an event was not deferred");
	pthread_mutex_lock(&model.mutex);
	event->next = model.events;
	model.events = event;
	pthread_mutex_unlock(&model.mutex);
}

static void take_back_event(struct actor *actor)
{
	struct event *event;
	unsigned steps = roll(actor, 30);
	bool run = roll(actor, 2);

	pthread_mutex_lock(&model.mutex);
	event = model.events;
	while (event && event->next && steps--)
		event = event->next;
	pthread_mutex_unlock(&model.mutex);
	if (!event)
		return;
	if (reclaim_undefer(event->token, run) == 0) {
		if (!run)
			happen(event);
	} else if (errno != ENOENT && errno != EPERM) {
		accuse("an event was refused for no reason");
	}
}

static void use_memory(struct actor *actor)
{
	char *block = save_malloc(1 + roll(actor, 500));

	if (!block) {
		accuse("there was no memory");
		return;
	}
	block[0] = 'x';
	switch (roll(actor, 4)) {
	case 0:
		save_free(block);
		break;
	case 1:
		block = save_realloc(block, 1 + roll(actor, 5000));
		block[0] = 'y';
		break;
	case 2:
		/* Where it fails it stays ours. */
		if (reclaim_give(block, any_task(actor)))
			break;
		expect_error(-1, "a gift was refused", ESRCH, 0);
		break;
	default:
		break;
	}
}

static void use_fd(struct actor *actor)
{
	int fd = save_open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		accuse("there was no fd");
		return;
	}
	switch (roll(actor, 3)) {
	case 0:
		if (save_close(fd) != 0)
			accuse("an fd was not closed");
		break;
	case 1:
		expect_error(reclaim_give_fd(fd, any_task(actor)),
			     "an fd was not given", ESRCH, 0);
		break;
	default:
		break;
	}
}

static void use_mark(struct actor *actor)
{
	reclaim_mark mark = reclaim_mark_here();
	unsigned n;

	for (n = roll(actor, 4); n; n--)
		acquire_item(actor);
	if (reclaim_release_to(mark) != 0)
		accuse("a mark was refused");
}

static void look_around(struct actor *actor)
{
	struct reclaim_task_info info;
	reclaim_tid tid = any_task(actor);

	if (reclaim_task_info(tid, &info) == 0 && info.tid != tid)
		accuse("a task is another");
}

static void act_anywhere(struct actor *actor);
static void act_within(struct actor *actor);

static int live(int argc, char **argv, char **envp)
{
	struct actor actor = {.depth = 0};
	unsigned end;

	(void)argc;
	(void)envp;
	actor.state = strtoull(argv[0], NULL, 0);
	act_within(&actor);
	end = roll(&actor, 5);
	if (end == 0)
		save_exit(1);
	if (end == 1)
		pthread_exit(NULL);
	if (end == 2)
		reclaim_kill(reclaim_self());
	return 0;
}

static struct reclaim_task_opts options(struct actor *actor)
{
	reclaim_tid parent = roll(actor, 3) ? arena : any_task(actor);

	return (struct reclaim_task_opts){
		.parent = parent ? parent : arena,
		.flags = roll(actor, 4) ? 0 : RECLAIM_DETACHED,
	};
}

static void spawn(struct actor *actor)
{
	struct reclaim_task_opts opts = options(actor);
	char state[24], *argv[] = {state, NULL};
	reclaim_tid tid;

	snprintf(state, sizeof(state), "%" PRIu64,
		 fixture_random(&actor->state));
	tid = reclaim_spawn(&opts, live, argv);
	if (tid)
		atomic_fetch_add(&spawned, 1);
	else
		expect_error(-1, "a task was not spawned", ESRCH, EAGAIN);
	learn(actor, tid);
}

static void make_task(struct actor *actor)
{
	struct reclaim_task_opts opts = options(actor);
	reclaim_tid tid = reclaim_task_new(&opts);

	if (!tid)
		expect_error(-1, "a task was not made", ESRCH, 0);
	learn(actor, tid);
}

static void enter_any(struct actor *actor)
{
	if (actor->depth == DEPTH)
		return;
	if (reclaim_enter(any_task(actor)) != 0) {
		expect_error(-1, "a task was not entered", ESRCH, EBUSY);
		return;
	}
	actor->depth++;
	atomic_fetch_add(&entered, 1);
	act_within(actor);
	if (reclaim_leave() != 0)
		accuse("a task was not left");
	actor->depth--;
}

/* To end is to wait for whoever is inside: not for who waits for oneself. */
static void end_any(struct actor *actor)
{
	reclaim_tid tid = any_task(actor);

	if (!actor->is_waited_for)
		expect_error(reclaim_end(tid, 1), "a task was not ended", ESRCH,
			     EALREADY);
}

static void wait_for_any(struct actor *actor)
{
	int status, result;

	result = reclaim_wait(any_task(actor), &status, (int)roll(actor, 2));
	if (result != 0 && errno != EDEADLK)
		expect_error(result, "a wait went wrong", ESRCH, ETIMEDOUT);
}

static void kill_any(struct actor *actor)
{
	expect_error(reclaim_kill(any_task(actor)), "a task was not killed",
		     ESRCH, 0);
}

/* An action that does what it likes to others, when its task ends. */
static void disturb(void *arg)
{
	struct actor actor = {.state = (uintptr_t)arg};
	unsigned n;

	for (n = roll(&actor, 3); n; n--) {
		switch (roll(&actor, 5)) {
		case 0:
			kill_any(&actor);
			break;
		case 1:
			wait_for_any(&actor);
			break;
		case 2:
			use_memory(&actor);
			break;
		case 3:
			use_fd(&actor);
			break;
		default:
			take_back_event(&actor);
			break;
		}
	}
	if (roll(&actor, 4) == 0)
		save_exit(0);
}

static void defer_disturbance(struct actor *actor)
{
	uintptr_t seed = (uintptr_t)fixture_random(&actor->state);

	if (reclaim_defer(disturb, (void *)seed, NULL) != 0)
		accuse("an action was not deferred");
}

static void *work(void *arg)
{
	/* Who made it may wait for it. */
	struct actor actor = {.state = (uintptr_t)arg, .is_waited_for = true};

	/*
	 * Not items: those are the one's who is in the task, and who may go
	 * back to a mark at any time: what is acquired here may be gone.
	 */
	act_anywhere(&actor);
	use_memory(&actor);
	save_open("/dev/null", O_RDONLY | O_CLOEXEC);
	acquire_event();
	return NULL;
}

/* The thread sanitizer loses count where a join is cancelled. */
static int join(pthread_t thread)
{
	int state, error;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	error = save_pthread_join(thread, NULL);
	pthread_setcancelstate(state, NULL);
	return error;
}

static void start_worker(struct actor *actor)
{
	uintptr_t seed = (uintptr_t)fixture_random(&actor->state);
	pthread_t thread;
	int error;

	error = save_pthread_create(&thread, NULL, work, (void *)seed);
	if (error && error != EAGAIN)
		accuse("a worker was not made");
	else if (!error && roll(actor, 3) == 0 && join(thread) != 0)
		accuse("a worker was not joined");
}

static void act_anywhere(struct actor *actor)
{
	switch (roll(actor, 8)) {
	case 0:
	case 1:
		make_task(actor);
		break;
	case 2:
		spawn(actor);
		break;
	case 3:
		kill_any(actor);
		break;
	case 4:
		wait_for_any(actor);
		break;
	case 5:
		look_around(actor);
		break;
	case 6:
		take_back_event(actor);
		break;
	default:
		end_any(actor);
		break;
	}
}

static void act_once_within(struct actor *actor)
{
	switch (roll(actor, 12)) {
	case 0:
	case 1:
		acquire_item(actor);
		break;
	case 2:
		take_back_item(actor);
		break;
	case 3:
		acquire_event();
		break;
	case 4:
	case 5:
		use_memory(actor);
		break;
	case 6:
		use_fd(actor);
		break;
	case 7:
		use_mark(actor);
		break;
	case 8:
		defer_disturbance(actor);
		break;
	case 9:
		if (roll(actor, 4) == 0)
			start_worker(actor);
		break;
	case 10:
		enter_any(actor);
		break;
	default:
		act_anywhere(actor);
		break;
	}
}

/* The one who is in the task; a spawned one may be killed at any wait. */
static void act_within(struct actor *actor)
{
	unsigned n;

	for (n = roll(actor, STEPS_WITHIN); n; n--)
		act_once_within(actor);
}

static void *act(void *arg)
{
	struct actor actor = {.state = *(uint64_t *)arg};
	int step;

	for (step = 0; step < STEPS; step++) {
		if (roll(&actor, 3))
			enter_any(&actor);
		else
			act_anywhere(&actor);
	}
	if (roll(&actor, 2 * THREADS) == 0)
		expect_error(reclaim_kill(arena), "no arena", ESRCH, 0);
	return NULL;
}

/* ---- rounds ---- */

static void forget_tasks(void)
{
	int i;

	for (i = 0; i < KNOWN; i++)
		atomic_store(&known[i], 0);
}

static void begin_round(void)
{
	struct reclaim_task_opts opts = {.name = "arena"};

	forget_tasks();
	arena = reclaim_task_new(&opts);
	ck_assert_uint_ne(arena, 0);
}

static void check_lives(void)
{
	struct reclaim_task_info info;
	struct life *life, *next;

	for (life = model.lives; life; life = next) {
		next = life->next;
		ck_assert_ptr_null(life->top);
		ck_fails(reclaim_task_info(life->tid, &info), -1, ESRCH);
		free(life);
	}
	model.lives = NULL;
	ck_assert_int_eq(atomic_load(&items_left), 0);
}

static void check_events(void)
{
	struct event *event, *next;

	for (event = model.events; event; event = next) {
		next = event->next;
		ck_assert_int_eq(atomic_load(&event->happened), 1);
		free(event);
	}
	model.events = NULL;
}

static void end_round(void)
{
	int result = reclaim_end(arena, 0);

	ck_assert(result == 0 || errno == ESRCH);
	ck_assert_msg(!model.failure, "%s", model.failure);
	check_lives();
	check_events();
}

static int rounds(void)
{
	const char *given = getenv("RECLAIM_TEST_ROUNDS");

	return given ? atoi(given) : ROUNDS;
}

START_TEST(whatever_happens_all_is_released_once)
{
	uint64_t state = fixture_seed(), seeds[THREADS];
	pthread_t threads[THREADS];
	int round, i;

	for (round = 0; round < rounds(); round++) {
		begin_round();
		for (i = 0; i < THREADS; i++) {
			seeds[i] = fixture_random(&state);
			ck_works(pthread_create(&threads[i], NULL, act,
						&seeds[i]));
		}
		for (i = 0; i < THREADS; i++)
			ck_works(pthread_join(threads[i], NULL));
		end_round();
	}
	/* It was worth it. */
	ck_assert_int_gt(atomic_load(&spawned), rounds());
	ck_assert_int_gt(atomic_load(&entered), rounds());
	ck_assert_int_gt(atomic_load(&released), rounds());
}
END_TEST

START_TEST(one_thread_alone_finds_the_same)
{
	uint64_t state = fixture_seed(), seed;
	int round;

	for (round = 0; round < rounds(); round++) {
		begin_round();
		seed = fixture_random(&state);
		act(&seed);
		end_round();
	}
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "lives");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, whatever_happens_all_is_released_once);
	tcase_add_test(tcase, one_thread_alone_finds_the_same);
}

int main(void)
{
	return stage_run("random", fill);
}
