/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_test - the port program that check_program has a host run
 *
 * Its first argument says what it does.  jot and pass_gate are the test's.
 */
#include <reclaim.h>
#include <reclaim/port.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void jot(const char *format, ...);
extern void pass_gate(unsigned nth);
extern int port_test(int argc, char **argv, char **envp);

static struct reclaim_port *port;

static void note_release(void *unused)
{
	(void)unused;
	jot("released ");
}

/* Its status says how many frames came. */
static int echo(void)
{
	struct reclaim_port *mine = reclaim_port_open(NULL);
	const void *frame;
	ssize_t len;
	int frames = 0;

	if (!mine)
		return 100;
	if (reclaim_port_open(NULL) || errno != EBADF)
		return 103; /* there is no other */
	for (; (len = reclaim_port_read(mine, &frame)) >= 0; frames++)
		if (reclaim_port_write(mine, frame, (size_t)len) < 0)
			return 101;
	return reclaim_port_close(mine) < 0 ? 102 : frames;
}

static int write_arguments(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (reclaim_port_write(port, argv[i], strlen(argv[i])) < 0)
			return 100;
	return reclaim_port_close(port) < 0 ? 101 : argc;
}

/* A frame that the owner can have, one that it cannot, and one more. */
static int write_much(size_t len)
{
	static char much[1 << 20];

	reclaim_port_write(port, much, len - 1);
	reclaim_port_write(port, much, len);
	reclaim_port_write(port, "more", 4);
	return reclaim_port_close(port) < 0;
}

static int sleep_for_ever(void)
{
	if (reclaim_defer(note_release, NULL, NULL) < 0)
		return 100;
	jot("sleeps ");
	for (;;)
		poll(NULL, 0, -1);
}

static int write_for_ever(void)
{
	if (reclaim_defer(note_release, NULL, NULL) < 0)
		return 100;
	jot("writes ");
	while (reclaim_port_write(port, "", 0) == 0)
		continue;
	return 101;
}

static int fork_one_that_sleeps(void)
{
	pid_t child = fork();

	if (child < 0)
		return 100;
	while (!child)
		poll(NULL, 0, -1);
	jot("%d ", (int)child);
	return 5;
}

/* What it was sent cannot be read any more. */
static int read_one(void)
{
	const void *frame;

	if (reclaim_port_read(port, &frame) < 0)
		return 100;
	reclaim_port_close(port);
	jot("closed ");
	pass_gate(0);
	return 6;
}

int port_test(int argc, char **argv, char **envp)
{
	const char *what = argc > 1 ? argv[1] : "";

	(void)envp;
	if (!strcmp(what, "echo"))
		return echo();
	if (!strcmp(what, "mute"))
		return 3;
	if (!strcmp(what, "exit"))
		exit(4);
	if (!strcmp(what, "sleep"))
		return sleep_for_ever();
	if (!strcmp(what, "fork"))
		return fork_one_that_sleeps();
	port = reclaim_port_open(NULL);
	if (!port)
		return 100;
	if (!strcmp(what, "much"))
		return write_much(strtoul(argv[2], NULL, 10));
	if (!strcmp(what, "write"))
		return write_for_ever();
	if (!strcmp(what, "read_one"))
		return read_one();
	return write_arguments(argc, argv);
}
