/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaky_port - a port program that gives nothing back
 *
 * Each call takes up to five descriptors and 16 KiB of memory, frees and closes
 * none of it, and every tenth call exits in the middle.  It is written with
 * the plain names (malloc, open, exit), and built twice from this source:
 *
 *   leaky_port         with -include reclaim.h and the libraries.  A call is a
 *                      task; what it took goes when it ends.
 *   leaky_port_plain   with -DWITHOUT_RECLAIM and nothing else.  A call is a
 *                      function call; what it took stays for good.
 *
 * The request is the number of the call, as text; so is the answer: "ok",
 * "exit 200" or "error: Too many open files".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EARLY 200 /* the status of a call that exits in the middle */
#define WORK  8192

static int call(int argc, char **argv, char **envp);
static int answer(int status, char *text, size_t size);

#ifndef WITHOUT_RECLAIM
#include <reclaim/port.h>

int main(void)
{
	struct reclaim_port *port = reclaim_port_open(NULL);
	char name[] = "call", number[16], text[64];
	char *argv[] = {name, number, NULL};
	const void *frame;
	reclaim_tid task;
	ssize_t len;
	int status;

	if (port == NULL)
		return 1;
	while ((len = reclaim_port_read(port, &frame)) >= 0) {
		snprintf(number, sizeof(number), "%.*s", (int)len,
			 (const char *)frame);
		task = reclaim_spawn(NULL, call, argv);
		if (task == 0 || reclaim_wait(task, &status, -1) != 0)
			status = errno;
		len = answer(status, text, sizeof(text));
		reclaim_port_write(port, text, len);
	}
	return reclaim_port_close(port);
}
#else
#include <arpa/inet.h>

/* exit() would end the program, so here a call leaves by returning. */
#define exit(status) return (status)

static int read_exactly(void *to, size_t len)
{
	for (ssize_t n; len > 0; to = (char *)to + n, len -= n)
		if ((n = read(0, to, len)) <= 0)
			return -1;
	return 0;
}

static int write_exactly(const void *from, size_t len)
{
	for (ssize_t n; len > 0; from = (const char *)from + n, len -= n)
		if ((n = write(1, from, len)) <= 0)
			return -1;
	return 0;
}

int main(void)
{
	char name[] = "call", number[16], text[64];
	char *argv[] = {name, number, NULL};
	uint32_t head, len;

	while (read_exactly(&head, 4) == 0) {
		len = ntohl(head);
		if (len >= sizeof(number) || read_exactly(number, len) != 0)
			return 1;
		number[len] = '\0';
		len = answer(call(2, argv, NULL), text, sizeof(text));
		head = htonl(len);
		if (write_exactly(&head, 4) != 0 ||
		    write_exactly(text, len) != 0)
			return 1;
	}
	return 0;
}
#endif

/* One call: take, use, give nothing back. */
static int call(int argc, char **argv, char **envp)
{
	char *request = strdup(argv[1]), *work = malloc(WORK);
	char *line = malloc(WORK);
	int pair[2];

	(void)argc, (void)envp;
	if (request == NULL || work == NULL || line == NULL)
		return ENOMEM;
	memset(work, 'x', WORK - 1);
	work[WORK - 1] = '\0';
	snprintf(line, WORK, "%s: %s", request, work);
	if (open("/dev/null", O_RDWR) < 0 || fopen("/dev/zero", "r") == NULL)
		return errno;
	if (atoi(request) % 10 == 0)
		exit(EARLY);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
	    opendir("/") == NULL)
		return errno;
	return 0;
}

/* What the emulator is told of a status; its length. */
static int answer(int status, char *text, size_t size)
{
	if (status == 0)
		return snprintf(text, size, "ok");
	if (status == EARLY)
		return snprintf(text, size, "exit %d", status);
	return snprintf(text, size, "error: %s", strerror(status));
}
