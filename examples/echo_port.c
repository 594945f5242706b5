/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo_port - answers each frame with the same frame
 *
 * A whole port program in the blocking style: open the port, read a frame,
 * answer, read the next.  What the options say must be what the emulator's
 * open_port/2 says: --packet 2 goes with {packet, 2}, --packet stream with
 * stream, --packet lines with {line, N}, --nouse-stdio with nouse_stdio.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reclaim/port.h>

static const char usage[] =
	"usage: echo_port [--packet 1|2|4|stream|lines] [--nouse-stdio]\n"
	"                 [--max-frame BYTES]\n"
	"Answers each frame on a port of the Erlang emulator with itself.\n"
	"  --packet       how frames are cut; 4 length bytes unless given\n"
	"  --nouse-stdio  talk on descriptors 3 and 4 instead of 0 and 1\n"
	"  --max-frame    the longest frame that is taken; 64 MiB unless "
	"given\n";

/* Say what to do instead, and end. */
static _Noreturn void refuse(const char *what)
{
	fprintf(stderr, "echo_port: %s\n%s", what, usage);
	exit(2);
}

static int framing(const char *name)
{
	static const struct {
		const char *name;
		int framing;
	} known[] = {
		{"1", RECLAIM_PACKET_1},  {"2", RECLAIM_PACKET_2},
		{"4", RECLAIM_PACKET_4},  {"stream", RECLAIM_STREAM},
		{"lines", RECLAIM_LINES},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].framing;
	refuse("--packet takes 1, 2, 4, stream or lines");
}

static size_t bytes(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n == 0)
		refuse("--max-frame takes a number of bytes, at least 1");
	return n;
}

static void read_options(int argc, char **argv, struct reclaim_port_opts *opts)
{
	static const struct option known[] = {
		{"packet", required_argument, NULL, 'p'},
		{"nouse-stdio", no_argument, NULL, 'n'},
		{"max-frame", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'p':
			opts->framing = framing(optarg);
			break;
		case 'n':
			opts->flags |= RECLAIM_PORT_NOUSE_STDIO;
			break;
		case 'm':
			opts->max_frame = bytes(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default: /* getopt_long has said what is wrong */
			refuse("use the options below");
		}
	}
	if (optind < argc)
		refuse("takes options alone, no arguments");
}

int main(int argc, char **argv)
{
	struct reclaim_port_opts opts = {0};
	struct reclaim_port *port;
	const void *frame;
	ssize_t len;

	read_options(argc, argv, &opts);
	port = reclaim_port_open(&opts);
	if (port == NULL) {
		perror("echo_port: cannot open the port");
		return 1;
	}
	while ((len = reclaim_port_read(port, &frame)) >= 0)
		reclaim_port_write(port, frame, len);
	return reclaim_port_close(port);
}
