/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk_port - a driver that acquires something in every callback, and can be
 * held at each step
 *
 * reclaim:open(Host, walk, {Dir, Mode}).  Each callback acquires a descriptor,
 * memory, a temporary file in Dir, which a deferred action removes, and a child
 * process: whatever of it is left can be seen from outside.  A step that is to
 * be held makes the file Dir/at when it is reached; those that block go on when
 * there is a file Dir/go.
 */
#include <reclaim.h>
#include <reclaim/driver.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 512

struct state {
	char dir[PATH_SIZE / 2];
	int flush_waits;
	int is_bare; /* it acquires nothing */
	int outputs;
};

/* ---- what is seen from outside ---- */

static void path_in(const struct state *s, const char *name, char *path)
{
	snprintf(path, PATH_SIZE, "%s/%s", s->dir, name);
}

static void reached(const struct state *s, const char *name)
{
	char path[PATH_SIZE];
	int fd;

	path_in(s, name, path);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static void pause_ms(long ms)
{
	const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* It blocks, as a callback must not. */
static void hold(const struct state *s)
{
	char path[PATH_SIZE];

	reached(s, "at");
	path_in(s, "go", path);
	while (access(path, F_OK) < 0)
		pause_ms(2);
}

/* ---- what is acquired ---- */

static void remove_file(void *path)
{
	unlink(path);
}

static int acquire_file(const struct state *s)
{
	char *path = malloc(PATH_SIZE);

	if (!path)
		return -1;
	path_in(s, "tmp.XXXXXX", path);
	if (mkstemp(path) < 0)
		return -1;
	return reclaim_defer(remove_file, path, NULL);
}

/* The child ends with what it reads from: also where no one ends it. */
static int acquire(const struct state *s)
{
	if (s->is_bare)
		return 0;
	if (open("/dev/null", O_RDONLY) < 0 || !malloc(1000) ||
	    acquire_file(s) < 0 || !popen("exec cat >/dev/null", "w"))
		return -1;
	return 0;
}

/* ---- the outlet ---- */

/* What the loop is to look at, too: a descriptor that is never ready. */
static int wait_for_nothing(struct reclaim_outlet *outlet)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0 || reclaim_outlet_select(outlet, fd, RECLAIM_READ) < 0)
		return -1;
	return reclaim_outlet_timer(outlet, 3600000, NULL) ? 0 : -1;
}

static int start(struct reclaim_outlet *outlet, struct reclaim_reader *args)
{
	struct state *s = calloc(1, sizeof(*s));
	char mode[RECLAIM_ATOM_SIZE] = "";
	const void *dir = "";
	uint32_t arity;
	size_t len = 0;

	if (!s)
		return -1;
	reclaim_outlet_set_state(outlet, s);
	reclaim_get_tuple(args, &arity);
	reclaim_get_binary(args, &dir, &len);
	if (reclaim_get_atom(args, mode) < 0) {
		errno = EINVAL;
		return -1;
	}
	snprintf(s->dir, sizeof(s->dir), "%.*s", (int)len, (const char *)dir);
	s->flush_waits = !strcmp(mode, "linger");
	s->is_bare = !strcmp(mode, "bare");
	if (acquire(s) < 0 || wait_for_nothing(outlet) < 0)
		return -1;
	if (!strcmp(mode, "slow"))
		hold(s);
	errno = ENOENT;
	return strcmp(mode, "refuse") ? 0 : -1;
}

static void stop(struct reclaim_outlet *outlet)
{
	acquire(reclaim_outlet_state(outlet));
}

/* A child for each message would be slow. */
static void output(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	struct state *s = reclaim_outlet_state(outlet);

	if (s->outputs++ < 3)
		acquire(s);
	reclaim_outlet_output(outlet, data, len);
}

static int flush(struct reclaim_outlet *outlet)
{
	struct state *s = reclaim_outlet_state(outlet);

	acquire(s);
	reached(s, "flush");
	return s->flush_waits;
}

static void process_exit(struct reclaim_outlet *outlet, uint64_t monitor)
{
	(void)monitor;
	reached(reclaim_outlet_state(outlet), "process_exit");
}

/* Neither ever comes. */
static void timeout(struct reclaim_outlet *outlet, uint64_t timer, void *arg)
{
	(void)timer;
	(void)arg;
	reclaim_outlet_close(outlet, "timeout");
}

static void ready_input(struct reclaim_outlet *outlet, int fd)
{
	(void)fd;
	reclaim_outlet_close(outlet, "ready_input");
}

/* ---- jobs ---- */

struct work {
	const struct state *s;
	int fd;
};

static int wait_for_cancel(void *arg)
{
	struct work *work = arg;
	uint64_t value;

	if (acquire(work->s) < 0)
		return -1;
	reached(work->s, "at");
	while (read(work->fd, &value, sizeof(value)) < 0)
		continue;
	return 0;
}

static void cancel(void *arg)
{
	const uint64_t one = 1;

	while (write(((struct work *)arg)->fd, &one, sizeof(one)) < 0)
		continue;
}

static int wait_for_ever(void *arg)
{
	struct work *work = arg;

	if (acquire(work->s) < 0)
		return -1;
	reached(work->s, "at");
	for (;;)
		pause_ms(1000000);
}

static const struct reclaim_job polite = {"polite", wait_for_cancel, cancel, 0};
static const struct reclaim_job ordered = {"ordered", wait_for_cancel, cancel,
					   RECLAIM_JOB_ORDERED};
static const struct reclaim_job hard = {"hard", wait_for_ever, NULL, 0};

static void begin(struct reclaim_outlet *outlet, uint64_t call,
		  const struct reclaim_job *job)
{
	struct work *work = malloc(sizeof(*work));

	if (!work)
		return;
	work->s = reclaim_outlet_state(outlet);
	work->fd = eventfd(0, EFD_CLOEXEC);
	if (work->fd < 0 || reclaim_job_start(outlet, call, job, work) < 0)
		reclaim_call_error(call, reclaim_errno_name(errno));
}

/* ---- calls ---- */

static void say_ok(uint64_t call)
{
	struct reclaim_writer term;

	reclaim_writer_init(&term, NULL, 0);
	reclaim_put_atom(&term, "ok");
	reclaim_call_reply(call, &term);
	reclaim_writer_end(&term);
}

static void pour(struct reclaim_outlet *outlet)
{
	static const char bytes[16384];
	int i;

	for (i = 0; i < 40; i++)
		reclaim_outlet_output(outlet, bytes, sizeof(bytes));
}

/* It is ended by SIGTERM, which the host catches for itself. */
static void fork_child(void)
{
	if (fork() == 0)
		for (;;)
			pause();
}

/* What is asked for by name; else the answer is ok. */
static void act(struct reclaim_outlet *outlet, uint64_t call, const char *what)
{
	struct state *s = reclaim_outlet_state(outlet);

	if (!strcmp(what, "hold"))
		hold(s);
	else if (!strcmp(what, "busy"))
		reclaim_outlet_busy(outlet, 1);
	else if (!strcmp(what, "ready"))
		reclaim_outlet_busy(outlet, 0);
	else if (!strcmp(what, "pour"))
		pour(outlet);
	else if (!strcmp(what, "fork"))
		fork_child();
	else if (!strcmp(what, "watch"))
		reclaim_call_monitor(call);
	say_ok(call);
}

static void call(struct reclaim_outlet *outlet, uint64_t call,
		 struct reclaim_reader *request)
{
	struct state *s = reclaim_outlet_state(outlet);
	char what[RECLAIM_ATOM_SIZE] = "";

	reclaim_get_atom(request, what);
	if (acquire(s) < 0)
		reclaim_call_error(call, reclaim_errno_name(errno));
	else if (!strcmp(what, "job"))
		begin(outlet, call, &polite);
	else if (!strcmp(what, "ordered"))
		begin(outlet, call, &ordered);
	else if (!strcmp(what, "hard"))
		begin(outlet, call, &hard);
	else if (strcmp(what, "keep"))
		act(outlet, call, what);
	else if (reclaim_call_keep(call) == 0)
		reached(s, "at");
}

static void control(struct reclaim_outlet *outlet, uint64_t call,
		    uint32_t operation, const void *data, size_t len)
{
	(void)operation;
	acquire(reclaim_outlet_state(outlet));
	reclaim_call_data(call, data, len);
}

static const struct reclaim_driver walk = {
	RECLAIM_DRIVER_ABI, .name = "walk",
	.start = start,	    .stop = stop,
	.output = output,   .call = call,
	.control = control, .process_exit = process_exit,
	.flush = flush,	    .ready_input = ready_input,
	.timeout = timeout,
};

int main(int argc, char **argv)
{
	return reclaim_port_main(argc, argv, RECLAIM_DRIVERS(&walk));
}
