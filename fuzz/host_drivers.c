/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers that do, in each callback, some of what a driver can: each has a set
 * of acts, of which it draws.  What an act is answered with is seldom looked
 * at: most of them are wrong at the time.
 */
#include "config.h"

#include "fuzz/host_parts.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "reclaim.h"

enum act {
	OUTPUT,
	OUTPUT_MUCH,
	BUSY,
	MARKS,
	CLOSE,
	TIMER,
	TIMER_LATE,
	TIMER_CANCEL,
	SELECT,
	SELECT_GONE,
	MONITOR,
	DEMONITOR,
	JOB,
	JOB_ENDLESS,
	KEEP,
	ANSWER,
	ANSWER_ERROR,
	ANSWER_OTHER,
	LEAK,
	LEAK_OUTLET,
	LOG,
	ENTER,
	LEAVE,
	KILL_CALL,
	KILL_OUTLET,
	KILL_CLIENT,
	ACTS
};

#define DO(act) (UINT64_C(1) << (act))

/* ---- chance ---- */

static uint64_t state;

static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d >> 16;
}

static size_t below(size_t bound)
{
	return (size_t)(draw() % bound);
}

/* ---- what they know ---- */

/* As many as are kept at a time; older ones are forgotten. */
#define KNOWN 8

struct numbers {
	uint64_t list[KNOWN];
	size_t count;
};

static struct numbers calls, timers, monitors;
static int fds[KNOWN];
static size_t fds_count;

static void add(struct numbers *numbers, uint64_t number)
{
	if (number)
		numbers->list[numbers->count++ % KNOWN] = number;
}

static uint64_t any(const struct numbers *numbers)
{
	size_t count = numbers->count < KNOWN ? numbers->count : KNOWN;

	return count ? numbers->list[below(count)] : draw();
}

void drivers_begin(uint64_t seed)
{
	state = seed | 1;
	calls.count = timers.count = monitors.count = 0;
	fds_count = 0;
}

/* ---- jobs ---- */

/* In memory of the outlet's task, which lives longer. */
struct work {
	uint64_t call;
	int fd;
	atomic_bool stop;
	bool answers, leaks;
};

static void answer(uint64_t call, bool bytes)
{
	struct reclaim_writer writer;

	if (bytes) {
		reclaim_call_data(call, "bytes", 5);
		return;
	}
	reclaim_writer_init(&writer, NULL, 0);
	reclaim_put_tuple(&writer, 2);
	reclaim_put_atom(&writer, "it");
	reclaim_put_uint64(&writer, call);
	reclaim_call_reply(call, &writer);
	reclaim_writer_end(&writer);
}

static void do_work(struct work *work)
{
	if (work->leaks)
		holds(save_malloc(100) || errno == ENOMEM);
	if (work->answers) {
		answer(work->call, false);
		answer(work->call, true);
	}
}

static int run_short(void *arg)
{
	do_work(arg);
	return 1;
}

static int run_until_asked(void *arg)
{
	struct work *work = arg;

	do_work(work);
	while (!atomic_load(&work->stop))
		usleep(50);
	return 2;
}

static void ask(void *arg)
{
	struct work *work = arg;

	atomic_store(&work->stop, true);
}

/* Until its thread is cancelled. */
static int run_for_ever(void *arg)
{
	do_work(arg);
	for (;;)
		pause();
	return 0;
}

static const struct reclaim_job jobs[] = {
	{.name = "short", .run = run_short, .cancel = ask},
	{"in order", run_short, ask, RECLAIM_JOB_ORDERED},
	{"wrong", run_short, ask, 2},
};

/*
 * gcc's thread sanitizer sees no locks in a thread that is being cancelled; and
 * takes it for a race where a descriptor that was closed is polled no more
 * while another thread closes a new one of that number.
 */
#ifdef __SANITIZE_THREAD__
#define ENDLESS_JOBS 2
#define SLOW_END     0
#else
#define ENDLESS_JOBS 3
#define SLOW_END     RECLAIM_DRIVER_SLOW_END
#endif

static const struct reclaim_job endless_jobs[] = {
	{.name = "asked", .run = run_until_asked, .cancel = ask},
	{"asked, in order", run_until_asked, ask, RECLAIM_JOB_ORDERED},
	{.name = "cancelled", .run = run_for_ever},
};

static void start_job(struct reclaim_outlet *outlet, uint64_t call,
		      const struct reclaim_job *job)
{
	reclaim_tid task = reclaim_outlet_task(outlet);
	bool entered = reclaim_self() != task && reclaim_enter(task) == 0;
	struct work *work = NULL;

	if (reclaim_self() == task)
		work = save_calloc(1, sizeof(*work));
	if (work) {
		work->call = call;
		work->answers = below(2);
		work->leaks = below(2);
		reclaim_job_start(outlet, below(4) ? call : any(&calls), job,
				  work);
	}
	if (entered)
		reclaim_leave();
}

/* ---- acts ---- */

static void output(struct reclaim_outlet *outlet, size_t len)
{
	static char bytes[20000];
	struct iovec pieces[17];
	int i, count = (int)below(18);

	if (below(2)) {
		reclaim_outlet_output(outlet, bytes, len);
		return;
	}
	for (i = 0; i < count && i < 17; i++)
		pieces[i] = (struct iovec){bytes, below(40)};
	reclaim_outlet_outputv(outlet, pieces, count);
}

static void close_it(struct reclaim_outlet *outlet)
{
	static const char *const reasons[] = {
		NULL,
		"normal",
		"",
		"done",
		"an odd \377 reason",
		"a reason that is longer than what a reason is ever thought to "
		"be, and goes on, and on, \342\202\254",
	};

	reclaim_outlet_close(outlet, reasons[below(6)]);
}

/* In the current task, which may be the call's: then it goes with it. */
static void select_new(struct reclaim_outlet *outlet, bool gone)
{
	int fd = save_eventfd((unsigned)below(2), EFD_CLOEXEC);

	if (fd < 0)
		return;
	fds[fds_count++ % KNOWN] = fd;
	reclaim_outlet_select(outlet, fd, (int)below(4));
	if (gone)
		save_close(fd);
}

static void select_again(struct reclaim_outlet *outlet)
{
	size_t count = fds_count < KNOWN ? fds_count : KNOWN;

	if (count)
		reclaim_outlet_select(outlet, fds[below(count)], (int)below(4));
	else
		reclaim_outlet_select(outlet, (int)below(3) - 1 ? 4000 : -1,
				      (int)below(5));
}

static void leak(struct reclaim_outlet *outlet, bool in_outlet)
{
	reclaim_tid task = reclaim_outlet_task(outlet);
	bool entered = in_outlet && reclaim_enter(task) == 0;

	if (save_malloc(1 + below(3000)))
		save_eventfd(0, EFD_CLOEXEC);
	if (entered)
		reclaim_leave();
}

static void kill_task(reclaim_tid task)
{
	if (task)
		reclaim_kill(task);
}

/* false: nothing more is to be done in this callback. */
static bool act(struct reclaim_outlet *outlet, uint64_t call, enum act what)
{
	switch (what) {
	case OUTPUT:
		output(outlet, below(200));
		break;
	case OUTPUT_MUCH:
		output(outlet, below(20000));
		break;
	case BUSY:
		reclaim_outlet_busy(outlet, (int)below(2));
		break;
	case MARKS:
		reclaim_outlet_watermarks(outlet, below(500), below(1000));
		break;
	case CLOSE:
		close_it(outlet);
		break;
	case TIMER:
		add(&timers, reclaim_outlet_timer(outlet, 0, outlet));
		break;
	case TIMER_LATE:
		add(&timers,
		    reclaim_outlet_timer(outlet, below(2) ? UINT64_MAX : 60000,
					 NULL));
		break;
	case TIMER_CANCEL:
		reclaim_outlet_cancel_timer(outlet, any(&timers));
		break;
	case SELECT:
		if (below(2))
			select_new(outlet, false);
		else
			select_again(outlet);
		break;
	case SELECT_GONE:
		select_new(outlet, true);
		break;
	case MONITOR:
		add(&monitors, reclaim_call_monitor(call ? call : any(&calls)));
		break;
	case DEMONITOR:
		reclaim_outlet_demonitor(outlet, any(&monitors));
		break;
	case JOB:
		start_job(outlet, call, &jobs[below(3)]);
		break;
	case JOB_ENDLESS:
		start_job(outlet, call, &endless_jobs[below(ENDLESS_JOBS)]);
		break;
	case KEEP:
		if (reclaim_call_keep(call) == 0)
			add(&calls, call);
		break;
	case ANSWER:
		answer(call, below(2));
		break;
	case ANSWER_ERROR:
		reclaim_call_error(call, below(4) ? "no" : "\377");
		break;
	case ANSWER_OTHER:
		answer(any(&calls), below(2));
		break;
	case LEAK:
		leak(outlet, false);
		break;
	case LEAK_OUTLET:
		leak(outlet, true);
		break;
	case LOG:
		reclaim_log((int)below(10), "%0*d", (int)below(5000), 7);
		break;
	case ENTER:
		return reclaim_enter(reclaim_outlet_task(outlet)) == 0;
	case LEAVE:
		reclaim_leave();
		return false; /* what it left is not its own any more */
	case KILL_CALL:
		kill_task(call ? reclaim_call_task(call)
			       : reclaim_outlet_task(outlet));
		break;
	case KILL_OUTLET:
		kill_task(reclaim_outlet_task(outlet));
		break;
	case KILL_CLIENT:
		kill_task(reclaim_outlet_client(outlet));
		break;
	default:
		break;
	}
	return true;
}

/* What the one that is entered does; the state is its set of acts. */
static void act_some(struct reclaim_outlet *outlet, uint64_t call)
{
	const uint64_t *set = reclaim_outlet_state(outlet);
	size_t tries = 4 + below(30);
	bool more = true;

	while (set && more && tries--) {
		enum act what = (enum act)below(ACTS);

		if (*set & DO(what))
			more = act(outlet, call, what);
	}
}

/* ---- callbacks ---- */

static int start_with(struct reclaim_outlet *outlet, const uint64_t *acts)
{
	reclaim_outlet_set_state(outlet, (void *)(uintptr_t)acts);
	return 0;
}

static void take_output(struct reclaim_outlet *outlet, const void *data,
			size_t len)
{
	(void)data;
	(void)len;
	act_some(outlet, 0);
}

static void echo(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	reclaim_outlet_output(outlet, data, len);
}

static void take_call(struct reclaim_outlet *outlet, uint64_t call,
		      struct reclaim_reader *request)
{
	holds(reclaim_get_skip(request) == 0);
	act_some(outlet, call);
}

static void echo_call(struct reclaim_outlet *outlet, uint64_t call,
		      struct reclaim_reader *request)
{
	struct reclaim_writer writer;

	(void)outlet;
	reclaim_writer_init(&writer, NULL, 0);
	reclaim_put_raw(&writer, request->at,
			(size_t)(request->end - request->at));
	if (reclaim_call_reply(call, &writer) < 0)
		reclaim_call_error(call, reclaim_errno_name(errno));
	reclaim_writer_end(&writer);
}

static void take_control(struct reclaim_outlet *outlet, uint64_t call,
			 uint32_t operation, const void *data, size_t len)
{
	(void)operation;
	(void)data;
	(void)len;
	act_some(outlet, call);
}

static void echo_control(struct reclaim_outlet *outlet, uint64_t call,
			 uint32_t operation, const void *data, size_t len)
{
	(void)outlet;
	(void)operation;
	reclaim_call_data(call, data, len);
}

static void is_ready(struct reclaim_outlet *outlet, int fd)
{
	if (below(2))
		reclaim_outlet_select(outlet, fd, 0);
	act_some(outlet, 0);
}

static void job_is_over(struct reclaim_outlet *outlet, uint64_t call, void *arg,
			int result)
{
	const struct work *work = arg;

	holds(result == -1 || result == 1 || result == 2);
	holds(work->call == work->call);
	act_some(outlet, call);
}

static void time_is_over(struct reclaim_outlet *outlet, uint64_t timer,
			 void *arg)
{
	holds(arg == outlet);
	holds(reclaim_outlet_cancel_timer(outlet, timer) < 0);
	act_some(outlet, 0);
}

static void process_has_ended(struct reclaim_outlet *outlet, uint64_t monitor)
{
	holds(reclaim_outlet_demonitor(outlet, monitor) < 0);
	act_some(outlet, 0);
}

static void is_drained(struct reclaim_outlet *outlet)
{
	act_some(outlet, 0);
}

static int never_flush(struct reclaim_outlet *outlet)
{
	act_some(outlet, 0);
	return 1;
}

/* Nothing is taken from it any more. */
static void stop(struct reclaim_outlet *outlet)
{
	if (reclaim_outlet_state(outlet))
		leak(outlet, true);
	holds(reclaim_outlet_output(outlet, "x", 1) < 0);
	holds(reclaim_outlet_timer(outlet, 0, outlet) == 0);
	holds(reclaim_outlet_close(outlet, NULL) < 0);
}

/* ---- the drivers ---- */

#define CALLBACKS                                                   \
	.stop = stop, .output = take_output, .call = take_call,     \
	.control = take_control, .ready_input = is_ready,           \
	.ready_output = is_ready, .ready_async = job_is_over,       \
	.timeout = time_is_over, .process_exit = process_has_ended, \
	.drained = is_drained

#define ANSWERS (DO(ANSWER) | DO(ANSWER_ERROR) | DO(KEEP) | DO(ANSWER_OTHER))
#define ALL	(DO(ACTS) - 1)

#define DRIVER(word, acts, ...)                                           \
	static const uint64_t word##_acts = (acts);                       \
                                                                          \
	static int word##_start(struct reclaim_outlet *outlet,            \
				struct reclaim_reader *args)              \
	{                                                                 \
		(void)args;                                               \
		return start_with(outlet, &word##_acts);                  \
	}                                                                 \
                                                                          \
	static const struct reclaim_driver word##_driver = {              \
		RECLAIM_DRIVER_ABI, .name = #word, .start = word##_start, \
		CALLBACKS, __VA_ARGS__};

DRIVER(keeper, ANSWERS | DO(MONITOR) | DO(DEMONITOR) | DO(OUTPUT))
DRIVER(busy, DO(BUSY) | DO(OUTPUT) | DO(OUTPUT_MUCH) | DO(MARKS) | DO(ANSWER))
DRIVER(worker, DO(JOB) | DO(JOB_ENDLESS) | ANSWERS | DO(LOG))
DRIVER(timer, DO(TIMER) | DO(TIMER_LATE) | DO(TIMER_CANCEL) | ANSWERS)
DRIVER(closer, DO(CLOSE) | DO(OUTPUT) | ANSWERS | DO(TIMER))
DRIVER(killer, DO(KILL_CALL) | DO(KILL_OUTLET) | DO(KILL_CLIENT) | DO(LEAK) |
		       DO(TIMER) | DO(SELECT) | ANSWERS)
DRIVER(leaker, DO(LEAK) | DO(LEAK_OUTLET) | DO(LOG) | ANSWERS,
       .flags = SLOW_END)
DRIVER(watcher, DO(SELECT) | DO(SELECT_GONE) | ANSWERS | DO(CLOSE))
DRIVER(flusher, DO(OUTPUT_MUCH) | DO(CLOSE) | DO(BUSY), .flush = never_flush)
DRIVER(wild, ALL & ~DO(JOB_ENDLESS), .flush = never_flush)

static int fail_start(struct reclaim_outlet *outlet,
		      struct reclaim_reader *args)
{
	static const uint64_t acts = ALL & ~DO(LEAVE);

	(void)args;
	start_with(outlet, &acts);
	act_some(outlet, 0);
	errno = (int)below(140);
	return below(4) ? -1 : 0;
}

static const struct reclaim_driver failing_driver = {
	RECLAIM_DRIVER_ABI,
	.name = "failing",
	.start = fail_start,
	CALLBACKS,
};

static const struct reclaim_driver echo_driver = {
	RECLAIM_DRIVER_ABI, .name = "echo",	     .output = echo,
	.call = echo_call,  .control = echo_control,
};

static const struct reclaim_driver bare_driver = {
	RECLAIM_DRIVER_ABI,
	.name = "bare",
};

const struct reclaim_driver *const fuzz_drivers[] = {
	&echo_driver,	 &keeper_driver, &busy_driver,
	&worker_driver,	 &timer_driver,	 &closer_driver,
	&killer_driver,	 &leaker_driver, &watcher_driver,
	&flusher_driver, &wild_driver,	 &failing_driver,
	&bare_driver,	 NULL,
};

const size_t fuzz_drivers_count =
	sizeof(fuzz_drivers) / sizeof(fuzz_drivers[0]) - 1;
