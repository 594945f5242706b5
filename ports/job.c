/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/job_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "ports/log_private.h"

/* How often a job that is cancelled is asked again to return. */
#define CANCEL_MS 100

enum job_state { JOB_WAITS, JOB_RUNS, JOB_OVER };

struct job {
	struct post post; /* when it is over */
	const struct reclaim_job *what;
	void *arg;
	struct reclaim_outlet *outlet;
	struct call *call; /* or NULL */
	uint64_t call_id, outlet_id;
	reclaim_tid task;
	int result;
	struct answer *answer;
	bool cancelled;
	bool is_stubborn;     /* in that list */
	bool begun;	      /* it has been the pool's */
	bool in_run;	      /* guarded by `asked` */
	enum job_state state; /* guarded by the pool's lock, as are: */
	bool thread_cancelled;
	pthread_t thread;
	TAILQ_ENTRY(job) in_queue; /* the pool's, or the outlet's ordered */
	LIST_ENTRY(job) of_outlet, of_call;
	LIST_ENTRY(job) of_cancelled;
};

/*
 * What has the end of an outlet's task done, and no job of its.  More threads
 * than --jobs may do it, so that it does not wait for jobs that take long: what
 * is held until then, as a lock is, may be what these wait for.
 */
static const struct reclaim_job ending = {.name = "end"};
#define MORE_FOR_ENDS 4

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	TAILQ_HEAD(, job) queue;
	unsigned waiting, threads, idle;
	unsigned ending; /* of the threads */
	bool ends;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.queue = TAILQ_HEAD_INITIALIZER(pool.queue),
};

/* Cancelled ones that run and have a `cancel`: the loop's. */
static LIST_HEAD(, job) stubborn = LIST_HEAD_INITIALIZER(stubborn);
static uv_timer_t asking;
static bool asking_is_made;

static __thread struct job *current;

struct answer **job_answer_of(uint64_t call)
{
	return current && current->call && current->call_id == call
		       ? &current->answer
		       : NULL;
}

uint64_t job_outlet(void)
{
	return current ? current->outlet_id : 0;
}

/* ---- its thread ---- */

static void over(struct job *job);
static void leave_pool(void);

static bool is_ending(const struct job *job)
{
	return job->what == &ending;
}

/* The lock is held.  Whether the thread has to end: it has been cancelled. */
static bool finish(struct job *job)
{
	current = NULL;
	pool.ending -= is_ending(job);
	job->state = JOB_OVER;
	return job->thread_cancelled;
}

static void post_over(struct post *post)
{
	over((struct job *)post);
	host_settle();
}

/*
 * Held while a job is asked to return, whose `cancel` may end others.  Outside
 * `run` none is: what `arg` points to may have gone with the tasks above.
 */
static pthread_mutex_t asked = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static int enter(struct job *job)
{
	int result;

	pthread_mutex_lock(&asked);
	result = reclaim_enter(job->task);
	job->in_run = result == 0;
	pthread_mutex_unlock(&asked);
	return result;
}

static void leave(struct job *job)
{
	pthread_mutex_lock(&asked);
	job->in_run = false;
	pthread_mutex_unlock(&asked);
	while (reclaim_leave() == 0)
		continue;
}

static void ask(struct job *job)
{
	pthread_mutex_lock(&asked);
	if (job->in_run)
		job->what->cancel(job->arg);
	pthread_mutex_unlock(&asked);
}

/* Its thread was cancelled, or called pthread_exit: it goes on no further. */
static void abandon(void *arg)
{
	struct job *job = arg;

	leave(job);
	pthread_mutex_lock(&pool.lock);
	finish(job);
	job->result = -1;
	pthread_mutex_unlock(&pool.lock);
	host_post(&job->post);
	leave_pool();
}

static void run(struct job *job)
{
	current = job;
	if (is_ending(job)) {
		reclaim_kill(job->task);
		return;
	}
	if (enter(job) < 0) {
		job->result = -1; /* somebody ended it */
		return;
	}
	pthread_cleanup_push(abandon, job);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	job->result = job->what->run(job->arg);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cleanup_pop(0);
	leave(job);
}

/*
 * How many threads there may be for what comes next: those that end something
 * are not there for jobs.  The lock is held.
 */
static unsigned most_for(const struct job *next)
{
	unsigned more = next && is_ending(next) ? MORE_FOR_ENDS : pool.ending;

	return host.options->jobs +
	       (more < MORE_FOR_ENDS ? more : MORE_FOR_ENDS);
}

/* Ends come first in the queue. */
static bool is_one_too_many(void)
{
	return pool.threads > most_for(TAILQ_FIRST(&pool.queue));
}

static int make_thread(const struct job *next);

/* NULL: the thread is to end.  The lock is held. */
static struct job *next_job(void)
{
	struct job *job;

	pool.idle++;
	while (TAILQ_EMPTY(&pool.queue) && !pool.ends && !is_one_too_many())
		pthread_cond_wait(&pool.changed, &pool.lock);
	pool.idle--;
	if (TAILQ_EMPTY(&pool.queue) || is_one_too_many())
		return NULL;
	job = TAILQ_FIRST(&pool.queue);
	TAILQ_REMOVE(&pool.queue, job, in_queue);
	pool.waiting--;
	job->state = JOB_RUNS;
	job->thread = pthread_self();
	if (is_ending(job)) {
		pool.ending++;
		if (!TAILQ_EMPTY(&pool.queue))
			make_thread(TAILQ_FIRST(&pool.queue));
	}
	return job;
}

static void *work(void *unused)
{
	bool ends = false;
	struct job *job;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_mutex_lock(&pool.lock);
	while (!ends && (job = next_job())) {
		pthread_mutex_unlock(&pool.lock);
		run(job);
		pthread_mutex_lock(&pool.lock);
		ends = finish(job);
		pthread_mutex_unlock(&pool.lock);
		host_post(&job->post);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
	leave_pool();
	return unused;
}

/*
 * The lock is held.  A thread more, if that helps and may be: those that are
 * idle may have been woken for what waits already.
 */
static int make_thread(const struct job *next)
{
	pthread_attr_t detached;
	sigset_t all, mask;
	pthread_t thread;
	int error;

	if (pool.idle > pool.waiting || pool.threads >= most_for(next))
		return 0;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &mask);
	error = pthread_create(&thread, &detached, work, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_attr_destroy(&detached);
	if (!error)
		pool.threads++;
	/* Fewer threads will do, but none will not. */
	return error && !pool.threads ? -1 : 0;
}

/*
 * The last that a thread does: until then the loop is there to post to.  What
 * was begun while it was on its way out may have counted on it.
 */
static void leave_pool(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.threads--;
	if (!TAILQ_EMPTY(&pool.queue))
		make_thread(TAILQ_FIRST(&pool.queue));
	pthread_cond_broadcast(&pool.changed);
	pthread_mutex_unlock(&pool.lock);
}

bool job_end_threads(int within_ms)
{
	struct timespec until;
	bool all;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += within_ms / 1000;
	pthread_mutex_lock(&pool.lock);
	pool.ends = true;
	pthread_cond_broadcast(&pool.changed);
	while (pool.threads && pthread_cond_timedwait(&pool.changed, &pool.lock,
						      &until) != ETIMEDOUT)
		continue;
	all = pool.threads == 0;
	pthread_mutex_unlock(&pool.lock);
	return all;
}

/* ---- beginning ---- */

/* To the threads. */
static int submit(struct job *job)
{
	int result;

	pthread_mutex_lock(&pool.lock);
	result = make_thread(job);
	if (result == 0) {
		if (is_ending(job))
			TAILQ_INSERT_HEAD(&pool.queue, job, in_queue);
		else
			TAILQ_INSERT_TAIL(&pool.queue, job, in_queue);
		pool.waiting++;
		pthread_cond_signal(&pool.changed);
	}
	pthread_mutex_unlock(&pool.lock);
	return result;
}

static void free_job(struct post *post)
{
	free(post);
}

/* That its task has ended the outlet is told by itself; it may be gone then. */
int job_end_task(const struct reclaim_outlet *outlet)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return -1;
	job->post.done = free_job;
	job->what = &ending;
	job->task = outlet->task;
	job->outlet_id = outlet->id;
	if (submit(job) == 0)
		return 0;
	free(job);
	return -1;
}

static bool is_ordered(const struct job *job)
{
	return job->what->flags & RECLAIM_JOB_ORDERED;
}

/* Now, or behind the ordered one that runs. */
static int begin(struct job *job)
{
	struct reclaim_outlet *outlet = job->outlet;

	if (is_ordered(job) && outlet->ordered_runs) {
		TAILQ_INSERT_TAIL(&outlet->ordered, job, in_queue);
		return 0;
	}
	if (submit(job) < 0) {
		errno = EAGAIN;
		return -1;
	}
	job->begun = true;
	if (is_ordered(job))
		outlet->ordered_runs = true;
	return 0;
}

static void begin_next_ordered(struct reclaim_outlet *outlet)
{
	struct job *job = TAILQ_FIRST(&outlet->ordered);

	outlet->ordered_runs = false;
	if (!job)
		return;
	TAILQ_REMOVE(&outlet->ordered, job, in_queue);
	if (begin(job) == 0)
		return;
	/* No thread is left, and none can be made: it has had its turn. */
	outlet->ordered_runs = true;
	job->begun = true;
	job->state = JOB_OVER;
	job->result = -1;
	host_post(&job->post);
}

static struct job *make(struct reclaim_outlet *outlet, struct call *call,
			const struct reclaim_job *what, void *arg)
{
	const struct reclaim_task_opts opts = {
		.name = what->name,
		.parent = call ? call->task : outlet->task,
		.max_bytes = host.options->outlet.bytes,
		.max_handles = host.options->outlet.handles,
	};
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->post.done = post_over;
	job->what = what;
	job->arg = arg;
	job->outlet = outlet;
	job->outlet_id = outlet->id;
	job->call = call;
	job->call_id = call ? call->id : 0;
	job->task = reclaim_task_new(&opts);
	if (job->task)
		return job;
	errno = errno == ESRCH ? ESHUTDOWN : errno;
	free(job);
	return NULL;
}

int reclaim_job_start(struct reclaim_outlet *outlet, uint64_t id,
		      const struct reclaim_job *what, void *arg)
{
	struct call *call = NULL;
	struct job *job;

	if (outlet_look(outlet) < 0)
		return -1;
	if (!what || !what->run || what->flags & ~RECLAIM_JOB_ORDERED)
		errno = EINVAL;
	else if (id && (!(call = call_find(id)) || call->outlet != outlet ||
			call->answered))
		errno = ENOENT;
	else
		goto start;
	return -1;
start:
	job = make(outlet, call, what, arg);
	if (!job)
		return -1;
	if (begin(job) < 0) {
		reclaim_kill(job->task);
		free(job);
		errno = EAGAIN;
		return -1;
	}
	LIST_INSERT_HEAD(&outlet->jobs, job, of_outlet);
	outlet->jobs_count++;
	if (call)
		LIST_INSERT_HEAD(&call->jobs, job, of_call);
	return 0;
}

/* ---- its end ---- */

/* What it has left is the driver's until this returns. */
static void tell_driver(struct job *job)
{
	struct reclaim_outlet *outlet = job->outlet;

	if (!outlet->driver->ready_async || outlet->stage >= OUTLET_DRAINING)
		return;
	if (job->call ? !call_enter(job->call, "ready_async")
		      : !outlet_enter(outlet, outlet->task, "ready_async"))
		return;
	outlet->driver->ready_async(outlet, job->call_id, job->arg,
				    job->result);
	if (job->call)
		call_leave(job->call);
	else
		outlet_leave(outlet);
}

/* In the loop's thread; nothing of it runs any more. */
static void over(struct job *job)
{
	struct reclaim_outlet *outlet = job->outlet;

	if (job->is_stubborn)
		LIST_REMOVE(job, of_cancelled);
	LIST_REMOVE(job, of_outlet);
	if (!job->cancelled)
		tell_driver(job);
	reclaim_kill(job->task);
	outlet->jobs_count--;
	if (job->call) {
		LIST_REMOVE(job, of_call);
		call_job_over(job->call, job->answer);
	}
	if (is_ordered(job) && job->begun)
		begin_next_ordered(outlet);
	outlet_touch(outlet);
	free(job->answer);
	free(job);
}

/* ---- cancelling ---- */

static void ask_again(uv_timer_t *timer)
{
	struct job *job;

	if (LIST_EMPTY(&stubborn))
		uv_timer_stop(timer);
	LIST_FOREACH (job, &stubborn, of_cancelled)
		ask(job);
}

static void ask_stubborn(struct job *job)
{
	if (!asking_is_made)
		uv_timer_init(&host.loop, &asking);
	asking_is_made = true;
	job->is_stubborn = true;
	LIST_INSERT_HEAD(&stubborn, job, of_cancelled);
	uv_timer_start(&asking, ask_again, CANCEL_MS, CANCEL_MS);
	ask(job);
}

/* The lock is held.  One that has not begun is over; it is said so later. */
static void take_back(struct job *job)
{
	if (job->begun) {
		TAILQ_REMOVE(&pool.queue, job, in_queue);
		pool.waiting--;
	} else {
		TAILQ_REMOVE(&job->outlet->ordered, job, in_queue);
	}
	job->state = JOB_OVER;
}

static void cancel(struct job *job)
{
	enum job_state state;

	if (job->cancelled)
		return;
	job->cancelled = true;
	pthread_mutex_lock(&pool.lock);
	state = job->state;
	if (state == JOB_WAITS) {
		take_back(job);
	} else if (state == JOB_RUNS && !job->what->cancel) {
		job->thread_cancelled = true;
		pthread_cancel(job->thread);
	}
	pthread_mutex_unlock(&pool.lock);
	reclaim_kill(job->task);
	if (state == JOB_WAITS)
		host_post(&job->post);
	else if (state == JOB_RUNS && job->what->cancel)
		ask_stubborn(job);
}

void job_cancel_outlet(struct reclaim_outlet *outlet)
{
	struct job *job;

	LIST_FOREACH (job, &outlet->jobs, of_outlet)
		cancel(job);
}

void job_cancel_call(struct call *call)
{
	struct job *job;

	LIST_FOREACH (job, &call->jobs, of_call)
		cancel(job);
}
