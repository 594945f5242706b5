/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_host - a host that does what a real one cannot be brought to do
 *
 *	fake_host [HOW]
 *
 * For the tests of the emulator's side.  HOW it says hello: "good" (as without
 * it), "silent", "text", "garbage", "long", "version" (one that there is none
 * of), "refuse" (error 1, status 1), "part" (half a frame), "exit" (status 7 at
 * once), "crash" (a signal), "notmap".
 *
 * After a good hello it knows nothing of drivers.  Each outlet is opened with a
 * window of 4096, each call and control answered with itself.  Frames of the
 * emulator's other than data are repeated to the outlet that was opened last.
 * What data says is done:
 *
 *	+BYTES		written as they are: frames, or parts of some
 *	xN		exit with status N
 *	k		SIGKILL
 *	s		read no more; sleep until the end of the pipe
 *	zN		read nothing for N milliseconds
 *	q, Q		leave calls unanswered, or answer them again
 *	r, R		stop repeating, or begin again
 *
 * anything else is echoed.  One thread, blocking; ends at the end of its input.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPEN = 2,
	OPENED = 3,
	DATA = 4,
	CALL = 6,
	CONTROL = 7,
	REPLY = 8,
	CLOSE = 10,
	CLOSED = 11,
	REGISTER = 17,
	STATISTICS = 18
};

static unsigned char frame[1 << 24];
static unsigned char last_outlet[8];
static int quiet, hush;

static void must(int is_so)
{
	if (!is_so)
		_exit(3);
}

static void put(const void *data, size_t len)
{
	const char *bytes = data;

	while (len > 0) {
		ssize_t n = write(1, bytes, len);

		must(n > 0);
		bytes += n;
		len -= (size_t)n;
	}
}

static int get(void *data, size_t len)
{
	char *bytes = data;

	while (len > 0) {
		ssize_t n = read(0, bytes, len);

		if (n <= 0)
			return 0;
		bytes += n;
		len -= (size_t)n;
	}
	return 1;
}

static void put_length(size_t len)
{
	unsigned char head[4] = {(unsigned char)(len >> 24),
				 (unsigned char)(len >> 16),
				 (unsigned char)(len >> 8), (unsigned char)len};

	put(head, 4);
}

/* TYPE, eight bytes of a number, and whatever follows. */
static void put_frame(int type, const void *number, const void *data,
		      size_t len)
{
	unsigned char first = (unsigned char)type;

	put_length(9 + len);
	put(&first, 1);
	put(number, 8);
	put(data, len);
}

/* A map without anything in it; a version that is none. */
static void hello(const char *how)
{
	static const char good[] =
		"\x01reclaim\x00\x01\x00\x10\x00\x00\x83t\0\0\0";
	static const char version[] =
		"\x01reclaim\x00\x02\x00\x10\x00\x00\x83t\0\0\0";
	static const char notmap[] = "\x01reclaim\x00\x01\x00\x10\x00\x00\x83j";
	static const char refusal[] = "\x14\x01\x01\0\0\0\0\0\0\0\0we differ";

	if (strcmp(how, "good") == 0) {
		put_length(sizeof(good));
		put(good, sizeof(good));
	} else if (strcmp(how, "version") == 0) {
		put_length(sizeof(version));
		put(version, sizeof(version));
	} else if (strcmp(how, "notmap") == 0) {
		put_length(sizeof(notmap) - 1);
		put(notmap, sizeof(notmap) - 1);
	} else if (strcmp(how, "refuse") == 0) {
		put_length(sizeof(refusal) - 1);
		put(refusal, sizeof(refusal) - 1);
		_exit(1);
	} else if (strcmp(how, "garbage") == 0) {
		put_length(5);
		put("hello", 5);
	} else if (strcmp(how, "long") == 0) {
		put_length(sizeof(good) - 1 + 20000);
		put(good, sizeof(good) - 1);
		put(frame, 20000);
	} else if (strcmp(how, "text") == 0) {
		put("\0me", 3);
		_exit(0);
	} else if (strcmp(how, "part") == 0) {
		put_length(sizeof(good));
		put(good, 9);
		_exit(4);
	}
}

static void sleep_until_hangup(void)
{
	struct pollfd end = {.fd = 1, .events = 0};

	poll(&end, 1, -1);
	_exit(0);
}

static void data(const unsigned char *bytes, size_t len)
{
	const unsigned char *said = bytes + 9;

	len -= 9;
	switch (len > 0 ? said[0] : 0) {
	case '+':
		put(said + 1, len - 1);
		break;
	case 'x':
		_exit(atoi((const char *)said + 1));
	case 'k':
		raise(SIGKILL);
		break;
	case 's':
		sleep_until_hangup();
		break;
	case 'z':
		poll(NULL, 0, atoi((const char *)said + 1));
		break;
	case 'q':
	case 'Q':
		quiet = said[0] == 'q';
		break;
	case 'r':
	case 'R':
		hush = said[0] == 'r';
		break;
	default:
		put_frame(DATA, bytes + 1, said, len);
	}
}

static void repeat(const unsigned char *bytes, size_t len)
{
	if (!hush)
		put_frame(DATA, last_outlet, bytes, len);
}

/* Status and what follows: the term itself, or the bytes. */
static void reply(const unsigned char *call, int status,
		  const unsigned char *bytes, size_t len)
{
	unsigned char first = (unsigned char)status;

	if (quiet)
		return;
	put_length(10 + len);
	put("\x08", 1);
	put(call, 8);
	put(&first, 1);
	put(bytes, len);
}

static void serve(const unsigned char *bytes, size_t len)
{
	switch (bytes[0]) {
	case OPEN:
		memcpy(last_outlet, bytes + 1, 8);
		put_frame(OPENED, bytes + 1, "\0\0\x10\0", 4);
		break;
	case DATA:
		data(bytes, len);
		return;
	case CALL:
		reply(bytes + 9, 0, bytes + 17, len - 17);
		break;
	case CONTROL:
		reply(bytes + 9, 1, bytes + 21, len - 21);
		break;
	case REGISTER:
		reply(bytes + 9, 0, (const unsigned char *)"\x83j", 2);
		break;
	case STATISTICS:
		reply(bytes + 1, 0, (const unsigned char *)"\x83t\0\0\0", 6);
		break;
	case CLOSE:
		put_frame(CLOSED, bytes + 1, "\x83w\x06normal", 9);
		return;
	}
	repeat(bytes, len);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "good";
	unsigned char head[4];

	if (strcmp(how, "exit") == 0)
		return 7;
	if (strcmp(how, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(how, "silent") == 0)
		sleep_until_hangup();
	for (int first = 1; get(head, 4); first = 0) {
		size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
			     (size_t)head[2] << 8 | head[3];

		must(len > 0 && len <= sizeof(frame) - 1);
		if (!get(frame, len))
			break;
		frame[len] = '\0';
		if (first)
			hello(how);
		else
			serve(frame, len);
	}
	return 0;
}
