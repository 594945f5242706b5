/* SPDX-License-Identifier: Apache-2.0 */
/*
 * term_port - answers each term with the same one, read and written anew
 *
 * What is no term has an empty frame for an answer.
 */
#include "config.h"

#include <reclaim/port.h>
#include <reclaim/term.h>

#include <stdio.h>

#include "tests/terms.h"

static int answer(struct reclaim_port *port, const void *data, size_t len)
{
	struct reclaim_reader reader;
	struct reclaim_writer writer;
	int result;

	if (reclaim_reader_init(&reader, data, len) < 0)
		return reclaim_port_write(port, "", 0);
	reclaim_writer_init(&writer, NULL, 0);
	copy_term(&reader, &writer);
	result = reclaim_get_end(&reader);
	if (result == 0)
		result = reclaim_writer_done(&writer);
	if (result == 0)
		result = reclaim_port_write(port, writer.data, writer.len);
	reclaim_writer_end(&writer);
	return result;
}

int main(void)
{
	struct reclaim_port *port = reclaim_port_open(NULL);
	const void *frame;
	ssize_t len;

	if (!port)
		return 1;
	while ((len = reclaim_port_read(port, &frame)) >= 0)
		if (answer(port, frame, (size_t)len) < 0) {
			perror("term_port: a term that was read is not copied");
			return 1;
		}
	return reclaim_port_close(port);
}
