/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_port - an echo on an event loop: a link and nothing else
 *
 * A link is no public name: it is linked with the library's own.
 *
 * usage: loop_port [sink]; with sink frames that begin with 0 are taken and
 * not answered
 */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "ports/link_private.h"

static bool sink;
static struct link *port;
static int status;

static void answer(void *context, const unsigned char *body, size_t len)
{
	const struct iovec piece = {(void *)body, len};

	(void)context;
	if (sink && len && body[0] == 0)
		return;
	if (link_put(port, &piece, 1) != 0)
		status = 1;
}

static void end(void *context, int why)
{
	(void)context;
	status |= why != 0;
	link_close(port);
}

int main(int argc, char **argv)
{
	static const struct link_events events = {.frame = answer,
						  .ended = end};
	const struct link_opts opts = {.in = 0, .out = 1, .events = &events};
	uv_loop_t loop;

	sink = argc > 1 && strcmp(argv[1], "sink") == 0;
	if (uv_loop_init(&loop) != 0 || !(port = link_open(&loop, &opts)))
		return 1;
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return status;
}
