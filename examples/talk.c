/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk - tasks that talk
 *
 * A supervisor sends one binary, a text, to three workers.  Each looks for a
 * letter in it, tells a task with a name how often it is there, and ends; one
 * finds none, and fails.  The supervisor monitors them, then asks for the
 * total by a call that has a timeout; and asks a task that never answers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <reclaim/message.h>
#include <reclaim/timer.h>

enum { WORKERS = 3, NOT_FOUND = 2 };

#define MS UINT64_C(1000000) /* in nanoseconds */

static const char text[] = "all the tasks that talk are told of one that ends";

struct request {
	uint64_t ref; /* of the call; 0: it wants no answer */
	int found;
};

struct answer {
	uint64_t ref;
	int total;
};

/* Adds up what it is told. */
static int tally(int argc, char **argv, char **envp)
{
	struct answer answer = {0};
	struct reclaim_msg msg;

	(void)argc, (void)argv, (void)envp;
	while (reclaim_receive(&msg, -1) == 1) {
		const struct request *request = msg.data;

		answer.ref = request->ref;
		answer.total += request->found;
		if (request->ref)
			reclaim_send(msg.from, &answer, sizeof(answer));
	}
	return errno;
}

/* Receives, and that is all. */
static int mute(int argc, char **argv, char **envp)
{
	struct reclaim_msg msg;

	(void)argc, (void)argv, (void)envp;
	while (reclaim_receive(&msg, -1) == 1)
		;
	return errno;
}

/* Counts the letter argv[1] in what it is sent; a note goes to the sender. */
static int worker(int argc, char **argv, char **envp)
{
	struct request request = {0};
	struct reclaim_msg msg;
	size_t i;

	(void)argc, (void)envp;
	if (reclaim_receive(&msg, -1) < 0)
		return errno;
	for (i = 0; i < msg.len; i++)
		request.found += ((const char *)msg.data)[i] == *argv[1];
	if (!request.found)
		return NOT_FOUND;
	reclaim_send(reclaim_whereis("tally"), &request, sizeof(request));
	reclaim_send(msg.from, argv[1], 1);
	return 0;
}

/* Monitored before it has something to do: it cannot have ended yet. */
static uint64_t start_worker(char *letter, struct reclaim_bin *bin)
{
	char name[] = "worker", *argv[] = {name, letter, NULL};
	reclaim_tid tid = reclaim_spawn(NULL, worker, argv);
	uint64_t monitor = reclaim_monitor(tid);

	reclaim_send_bin(tid, bin); /* no bytes are copied */
	return monitor;
}

static int is_down(const struct reclaim_msg *msg, void *monitor)
{
	return msg->type == RECLAIM_MSG_DOWN &&
	       msg->ref == *(uint64_t *)monitor;
}

static int is_answer(const struct reclaim_msg *msg, void *ref)
{
	const struct answer *answer = msg->data;

	if (msg->type == RECLAIM_MSG_TIMEOUT)
		return msg->ref == *(uint64_t *)ref;
	return msg->type == RECLAIM_MSG_DATA && msg->len == sizeof(*answer) &&
	       answer->ref == *(uint64_t *)ref;
}

/*
 * The total, or -1 where it does not come in time.  Nothing that was in the
 * queue before the mark is looked at.
 */
static int call(reclaim_tid server, uint64_t timeout_ns)
{
	uint64_t mark = reclaim_msgq_mark();
	struct request request = {0};
	struct reclaim_msg msg;
	int total = -1;

	request.ref = reclaim_timer_add(timeout_ns, reclaim_self(), NULL, 0, 1);
	if (!request.ref)
		return -1;
	reclaim_send(server, &request, sizeof(request));
	reclaim_msgq_restore(mark);
	if (reclaim_receive_match(is_answer, &request.ref, &msg, -1) == 1 &&
	    msg.type == RECLAIM_MSG_DATA) {
		total = ((const struct answer *)msg.data)->total;
		if (reclaim_timer_cancel(request.ref, NULL) < 0) {
			/* It fired just now: out with its message. */
			reclaim_msgq_restore(mark);
			reclaim_receive_match(is_answer, &request.ref, &msg, 0);
		}
	}
	return total;
}

static int supervise(int argc, char **argv, char **envp)
{
	static char letters[WORKERS][2] = {"a", "x", "t"};
	struct reclaim_bin *bin = reclaim_bin_new(text, strlen(text));
	uint64_t monitors[WORKERS];
	struct reclaim_msg msg;
	int i;

	(void)argc, (void)argv, (void)envp;
	if (reclaim_register("tally", reclaim_spawn(NULL, tally, NULL)) < 0)
		return errno;
	for (i = 0; i < WORKERS; i++)
		monitors[i] = start_worker(letters[i], bin);
	for (i = 0; i < WORKERS; i++) {
		reclaim_receive_match(is_down, &monitors[i], &msg, -1);
		printf("worker %s ended with status %d\n", letters[i],
		       msg.status);
	}
	printf("found in all: %d\n",
	       call(reclaim_whereis("tally"), 60000 * MS));
	printf("the mute one said: %d\n",
	       call(reclaim_spawn(NULL, mute, NULL), 10 * MS));
	printf("notes in the queue: %zu\n", reclaim_msgq_len());
	return 0; /* and with it go tally, the mute one, the binary */
}

int main(void)
{
	int status;

	if (reclaim_wait(reclaim_spawn(NULL, supervise, NULL), &status, -1) < 0)
		return 1;
	printf("the supervisor ended with status %d\n", status);
	return status;
}
