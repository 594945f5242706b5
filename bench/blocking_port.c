/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocking_port - an echo in the blocking style
 *
 * usage: blocking_port [sink]; with sink frames that begin with 0 are taken
 * and not answered
 */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include <reclaim/port.h>

int main(int argc, char **argv)
{
	bool sink = argc > 1 && strcmp(argv[1], "sink") == 0;
	struct reclaim_port *port = reclaim_port_open(NULL);
	const void *frame;
	ssize_t len;

	if (!port)
		return 1;
	while ((len = reclaim_port_read(port, &frame)) >= 0)
		if (!sink || len == 0 || *(const char *)frame != 0)
			reclaim_port_write(port, frame, (size_t)len);
	return reclaim_port_close(port);
}
