/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tutorial_port - the echo program that a tutorial would have you write
 *
 * As OTP's interoperability tutorial teaches it: read exactly two length bytes
 * (four here, as for all contestants), then exactly the body; write the length,
 * then the body.  Four system calls for a frame, and a wake-up for each wait.
 *
 * usage: tutorial_port [sink]; with sink frames that begin with 0 are taken
 * and not answered
 */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_exactly(unsigned char *to, size_t len)
{
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = read(0, to + got, len - got);
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static bool write_exactly(const unsigned char *from, size_t len)
{
	size_t put = 0;
	ssize_t n;

	while (put < len) {
		n = write(1, from + put, len - put);
		if (n <= 0)
			return false;
		put += (size_t)n;
	}
	return true;
}

static size_t length_of(const unsigned char head[4])
{
	return (size_t)head[0] << 24 | (size_t)head[1] << 16 |
	       (size_t)head[2] << 8 | head[3];
}

int main(int argc, char **argv)
{
	bool sink = argc > 1 && strcmp(argv[1], "sink") == 0;
	unsigned char head[4], *body = NULL;
	size_t len, room = 0;

	while (read_exactly(head, 4)) {
		len = length_of(head);
		if (len > room) {
			free(body);
			body = malloc(room = len);
			if (!body)
				return 1;
		}
		if (!read_exactly(body, len))
			return 1;
		if (sink && len && body[0] == 0)
			continue;
		if (!write_exactly(head, 4) || !write_exactly(body, len))
			return 1;
	}
	free(body);
	return 0;
}
