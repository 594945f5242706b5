/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_messages - 64 bytes from one thread to another, and back; a binary to
 * many
 *
 * A channel is two ways, each with an end in either thread, which have a
 * processor each.  Whoever sends does not wait for whoever receives, unless
 * the channel makes it; what is timed ends with the last message received.
 *
 * mutex queue  a list under a mutex, with a condition to wait for; each message
 *              is copied into a block of malloc's
 *
 * The emulator is a child that runs messages.erl.  Run in the folder where it
 * was built.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <reclaim/message.h>

#include "bench/harness.h"
#include "bench/peers.h"

#define LENGTH 64

/* The two ends; a channel's `to` and `at` are those. */
enum { HERE, THERE };

struct channel {
	void (*open)(void);
	void (*begin)(unsigned at); /* in the thread that is there */
	void (*send)(unsigned to, const void *bytes);
	void (*receive)(unsigned at, void *bytes);
	void (*end)(unsigned at);
	void (*close)(void);
};

/* What a thread does with what it received in place: look at it. */
TEMPLATE void look(void *bytes, const void *received)
{
	*(volatile uint64_t *)bytes = *(const volatile uint64_t *)received;
}

/* ---- libreclaim ---- */

static reclaim_tid task[2];

static void tasks_open(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (!(task[i] = reclaim_task_new(NULL)))
			bench_die("no task");
}

static void tasks_begin(unsigned at)
{
	if (reclaim_enter(task[at]) != 0)
		bench_die("no task is entered");
}

TEMPLATE void tasks_send(unsigned to, const void *bytes)
{
	if (reclaim_send(task[to], bytes, LENGTH) != 0)
		bench_die("reclaim_send: %s", strerror(errno));
}

TEMPLATE void tasks_receive(unsigned at, void *bytes)
{
	struct reclaim_msg msg;

	(void)at;
	if (reclaim_receive(&msg, -1) != 1)
		bench_die("reclaim_receive: %s", strerror(errno));
	look(bytes, msg.data);
}

static void tasks_end(unsigned at)
{
	(void)at;
	reclaim_leave();
}

static void tasks_close(void)
{
	reclaim_end(task[HERE], 0);
	reclaim_end(task[THERE], 0);
}

static const struct channel tasks = {
	tasks_open,    tasks_begin, tasks_send,
	tasks_receive, tasks_end,   tasks_close,
};

/* ---- pipes ---- */

static int fds[2][2];

static void pipes_open(void)
{
	if (pipe(fds[HERE]) != 0 || pipe(fds[THERE]) != 0)
		bench_die("no pipe");
}

static void nothing_to_do(unsigned at)
{
	(void)at;
}

TEMPLATE void pipes_send(unsigned to, const void *bytes)
{
	if (write(fds[to][1], bytes, LENGTH) != LENGTH)
		bench_die("not written: %s", strerror(errno));
}

TEMPLATE void pipes_receive(unsigned at, void *bytes)
{
	if (read(fds[at][0], bytes, LENGTH) != LENGTH)
		bench_die("not read: %s", strerror(errno));
}

static void pipes_close(void)
{
	for (unsigned i = 0; i < 4; i++)
		close(fds[i / 2][i % 2]);
}

static const struct channel pipes = {
	pipes_open,    nothing_to_do, pipes_send,
	pipes_receive, nothing_to_do, pipes_close,
};

/* ---- mutex queues ---- */

struct node {
	struct node *next;
	unsigned char bytes[LENGTH];
};

static struct locked {
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct node *first, **last;
} locked[2];

static void locked_open(void)
{
	for (unsigned i = 0; i < 2; i++) {
		pthread_mutex_init(&locked[i].lock, NULL);
		pthread_cond_init(&locked[i].arrived, NULL);
		locked[i].first = NULL;
		locked[i].last = &locked[i].first;
	}
}

TEMPLATE void locked_send(unsigned to, const void *bytes)
{
	struct locked *queue = &locked[to];
	struct node *node = malloc(sizeof(*node));
	bool was_empty;

	if (!node)
		bench_die("no memory");
	node->next = NULL;
	memcpy(node->bytes, bytes, LENGTH);
	pthread_mutex_lock(&queue->lock);
	was_empty = !queue->first;
	*queue->last = node;
	queue->last = &node->next;
	pthread_mutex_unlock(&queue->lock);
	if (was_empty)
		pthread_cond_signal(&queue->arrived);
}

TEMPLATE void locked_receive(unsigned at, void *bytes)
{
	struct locked *queue = &locked[at];
	struct node *node;

	pthread_mutex_lock(&queue->lock);
	while (!queue->first)
		pthread_cond_wait(&queue->arrived, &queue->lock);
	node = queue->first;
	queue->first = node->next;
	if (!node->next)
		queue->last = &queue->first;
	pthread_mutex_unlock(&queue->lock);
	look(bytes, node->bytes);
	free(node);
}

static void locked_close(void)
{
}

static const struct channel mutexed = {
	locked_open,	nothing_to_do, locked_send,
	locked_receive, nothing_to_do, locked_close,
};

/* ---- ZeroMQ: a pair of sockets in the process, without a limit ---- */

static void *context, *socket_at[2];

static void *new_socket(void)
{
	void *made = zeromq.socket(context, ZEROMQ_PAIR);
	const int none = 0;

	if (!made ||
	    zeromq.setsockopt(made, ZEROMQ_SNDHWM, &none, sizeof(none)) != 0 ||
	    zeromq.setsockopt(made, ZEROMQ_RCVHWM, &none, sizeof(none)) != 0)
		bench_die("no ZeroMQ socket");
	return made;
}

static void zeromq_open(void)
{
	context = zeromq.ctx_new();
	if (!context || zeromq.ctx_set(context, ZEROMQ_IO_THREADS, 0) != 0)
		bench_die("no ZeroMQ context");
	socket_at[HERE] = new_socket();
	socket_at[THERE] = new_socket();
	if (zeromq.bind(socket_at[HERE], "inproc://bench") != 0 ||
	    zeromq.connect(socket_at[THERE], "inproc://bench") != 0)
		bench_die("no pair of ZeroMQ sockets");
}

TEMPLATE void zeromq_send(unsigned to, const void *bytes)
{
	if (zeromq.send(socket_at[!to], bytes, LENGTH, 0) != LENGTH)
		bench_die("zmq_send: %s", strerror(errno));
}

TEMPLATE void zeromq_receive(unsigned at, void *bytes)
{
	if (zeromq.recv(socket_at[at], bytes, LENGTH, 0) != LENGTH)
		bench_die("zmq_recv: %s", strerror(errno));
}

static void zeromq_close(void)
{
	zeromq.close(socket_at[HERE]);
	zeromq.close(socket_at[THERE]);
	zeromq.ctx_term(context);
}

static const struct channel zeromqs = {
	zeromq_open,	nothing_to_do, zeromq_send,
	zeromq_receive, nothing_to_do, zeromq_close,
};

static const struct peer peer_zeromq = {
	.name = "ZeroMQ inproc",
	.here = &zeromq.here,
};

/* ---- two threads ---- */

struct other {
	pthread_t thread;
	pthread_barrier_t gate;
	size_t times;
};

static void other_begin(struct other *other, struct batch *batch,
			void *(*work)(void *))
{
	other->times = batch->times;
	pthread_barrier_init(&other->gate, NULL, 2);
	batch->gate = &other->gate;
	if (pthread_create(&other->thread, NULL, work, other) != 0)
		bench_die("no thread");
}

static void other_end(struct other *other, struct batch *batch)
{
	pthread_join(other->thread, NULL);
	pthread_barrier_destroy(&other->gate);
	batch->gate = NULL;
}

TEMPLATE void *send_all(struct other *other, const struct channel *channel)
{
	const uint64_t bytes[LENGTH / 8] = {1};

	bench_pin(0);
	channel->begin(THERE);
	pthread_barrier_wait(&other->gate);
	for (size_t i = 0; i < other->times; i++)
		channel->send(HERE, bytes);
	channel->end(THERE);
	return NULL;
}

TEMPLATE void one_way(struct batch *batch, const struct channel *channel,
		      void *(*there)(void *))
{
	uint64_t bytes[LENGTH / 8];
	struct other other;

	channel->open();
	other_begin(&other, batch, there);
	channel->begin(HERE);
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++)
		channel->receive(HERE, bytes);
	batch_stop(batch, batch->times);
	other_end(&other, batch);
	channel->end(HERE);
	channel->close();
}

TEMPLATE void *echo(struct other *other, const struct channel *channel)
{
	uint64_t bytes[LENGTH / 8] = {1};

	bench_pin(0);
	channel->begin(THERE);
	pthread_barrier_wait(&other->gate);
	for (size_t i = 0; i < other->times; i++) {
		channel->receive(THERE, bytes);
		channel->send(HERE, bytes);
	}
	channel->end(THERE);
	return NULL;
}

TEMPLATE void round_trip(struct batch *batch, const struct channel *channel,
			 void *(*there)(void *))
{
	uint64_t bytes[LENGTH / 8] = {1};
	struct other other;

	channel->open();
	other_begin(&other, batch, there);
	channel->begin(HERE);
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++) {
		channel->send(THERE, bytes);
		channel->receive(HERE, bytes);
	}
	batch_stop(batch, batch->times);
	other_end(&other, batch);
	channel->end(HERE);
	channel->close();
}

/* ---- one ---- */

TEMPLATE void to_itself(struct batch *batch, const struct channel *channel)
{
	uint64_t bytes[LENGTH / 8] = {1};

	channel->open();
	channel->begin(HERE);
	batch_start(batch);
	for (size_t i = 0; i < batch->times; i++) {
		channel->send(HERE, bytes);
		channel->receive(HERE, bytes);
	}
	batch_stop(batch, batch->times);
	channel->end(HERE);
	channel->close();
}

#define WORK(who)                                         \
	static void *send_all_##who(void *other)          \
	{                                                 \
		return send_all(other, &who);             \
	}                                                 \
	static void one_way_##who(struct batch *batch)    \
	{                                                 \
		one_way(batch, &who, send_all_##who);     \
	}                                                 \
	static void *echo_##who(void *other)              \
	{                                                 \
		return echo(other, &who);                 \
	}                                                 \
	static void round_trip_##who(struct batch *batch) \
	{                                                 \
		round_trip(batch, &who, echo_##who);      \
	}                                                 \
	static void to_itself_##who(struct batch *batch)  \
	{                                                 \
		to_itself(batch, &who);                   \
	}

WORK(tasks)
WORK(pipes)
WORK(mutexed)
WORK(zeromqs)

/* ---- the emulator ---- */

static double emulator(const char *how)
{
	char command[128];
	double ns = 0;
	FILE *from;

	snprintf(command, sizeof(command),
		 "erl +S 2:2 -noshell -pa bench -run messages main %s", how);
	bench_unpin();
	from = popen(command, "r");
	if (!from || fscanf(from, "%lf", &ns) != 1 || pclose(from) != 0)
		bench_die("the emulator did not do its work, in the folder "
			  "where it was built: apt install erlang-base");
	bench_pin(1);
	return ns;
}

static double emulator_one_way(size_t n)
{
	(void)n;
	return emulator("one_way");
}

static double emulator_round_trip(size_t n)
{
	(void)n;
	return emulator("round_trip");
}

/* ---- contenders ---- */

#define EMULATOR(doing)                                           \
	{                                                         \
		.name = "the emulator", .value = emulator_##doing \
	}
#define PIPE(doing)                                   \
	{                                             \
		.name = "pipe", .work = doing##_pipes \
	}
#define THE_REST(doing)                                       \
	{.name = "mutex queue", .work = doing##_mutexed},     \
	{                                                     \
		.peer = &peer_zeromq, .work = doing##_zeromqs \
	}

#define LIBRECLAIM(doing)                                   \
	{                                                   \
		.name = "libreclaim", .work = doing##_tasks \
	}

static const struct contender one_way_by[] = {LIBRECLAIM(one_way),
					      EMULATOR(one_way),
					      PIPE(one_way),
					      THE_REST(one_way),
					      {.name = NULL}};
static const struct contender one_way_to_pipe_by[] = {
	LIBRECLAIM(one_way), PIPE(one_way), THE_REST(one_way), {.name = NULL}};
static const struct contender round_trip_by[] = {LIBRECLAIM(round_trip),
						 EMULATOR(round_trip),
						 PIPE(round_trip),
						 THE_REST(round_trip),
						 {.name = NULL}};
static const struct contender to_itself_by[] = {LIBRECLAIM(to_itself),
						PIPE(to_itself),
						THE_REST(to_itself),
						{.name = NULL}};

/* ---- one binary to many ---- */

#define MANY   1000
#define BINARY (1024 * 1024)

static reclaim_tid many[MANY];

static void receive_all(reclaim_tid tid)
{
	struct reclaim_msg msg;

	if (reclaim_enter(tid) != 0)
		bench_die("no task is entered");
	while (reclaim_receive(&msg, 0) == 1)
		;
	reclaim_leave();
}

/* Each has received before: that opens its queue. */
static void many_begin(void)
{
	for (size_t i = 0; i < MANY; i++) {
		many[i] = reclaim_task_new(NULL);
		receive_all(many[i]);
	}
}

static void many_end(void)
{
	for (size_t i = 0; i < MANY; i++)
		reclaim_end(many[i], 0);
}

static void send_to_many(struct batch *batch, struct reclaim_bin *bin)
{
	const char bytes[LENGTH] = {1};

	batch_start(batch);
	for (size_t i = 0; i < MANY; i++)
		if ((bin ? reclaim_send_bin(many[i], bin)
			 : reclaim_send(many[i], bytes, LENGTH)) != 0)
			bench_die("not sent: %s", strerror(errno));
	batch_stop(batch, MANY);
	for (size_t i = 0; i < MANY; i++)
		receive_all(many[i]);
}

static void binary_to_many(struct batch *batch)
{
	struct reclaim_bin *bin = reclaim_bin_new(NULL, BINARY);

	if (!bin)
		bench_die("no binary");
	memset(reclaim_bin_data(bin), 1, BINARY);
	many_begin();
	for (size_t t = 0; t < batch->times; t++)
		send_to_many(batch, bin);
	many_end();
	reclaim_bin_release(bin);
}

static void bytes_to_many(struct batch *batch)
{
	many_begin();
	for (size_t t = 0; t < batch->times; t++)
		send_to_many(batch, NULL);
	many_end();
}

static const struct contender binary_by[] = {
	{.name = "libreclaim", .work = binary_to_many},
	{.name = "64 B copied to each", .work = bytes_to_many},
	{.name = NULL}};

static const struct row rows[] = {
	{.what = "64 B from one thread to another, one way",
	 .elapsed = true,
	 .most = 5,
	 .must = 1.0 / 3,
	 .contenders = one_way_by},
	{.what = "64 B from one thread to another, one way, to a pipe",
	 .elapsed = true,
	 .must = 1.0 / 5,
	 .contenders = one_way_to_pipe_by},
	{.what = "64 B from one thread to another, and back",
	 .elapsed = true,
	 .most = 5,
	 .contenders = round_trip_by},
	{.what = "64 B sent to oneself and received, instructions",
	 .unit = "instr.",
	 .count = 8,
	 .most = 3,
	 .contenders = to_itself_by},
	{.what = "64 B sent to oneself and received, time",
	 .contenders = to_itself_by},
	{.what = "a binary of 1 MiB sent to 1,000 tasks",
	 .must = 1.0,
	 .contenders = binary_by},
};

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "messages between threads");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(&rows[i]);
	return 0;
}
