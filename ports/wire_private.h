/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - what a host and the emulator's side say to each other
 *
 * A frame is a byte that says what it is, up to three numbers, and the rest:
 * see "The wire" in README.md, whose table `heads` in wire.c is.  This is pure:
 * it allocates nothing, does no I/O, and believes no length.
 */
#ifndef RECLAIM_WIRE_PRIVATE_H
#define RECLAIM_WIRE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define WIRE_MAGIC   "reclaim" /* without its NUL, first in a hello's rest */

/* A frame of data costs its bytes and this much of the credit. */
#define WIRE_COST 64

/* What the other end takes at least: each answer that says no is shorter. */
#define WIRE_LEAST_FRAME 1024

/* The numbers of each, in their order; what follows is the rest. */
enum wire_type {
	WIRE_HELLO = 1,	   /* the rest: magic, version, max_frame, and a term */
	WIRE_OPEN,	   /* outlet, client, window; a term */
	WIRE_OPENED,	   /* outlet, window */
	WIRE_DATA,	   /* outlet; bytes */
	WIRE_CREDIT,	   /* outlet, bytes */
	WIRE_CALL,	   /* outlet, call; a term */
	WIRE_CONTROL,	   /* outlet, call, operation; bytes */
	WIRE_REPLY,	   /* call, status; a term, or bytes */
	WIRE_CANCEL,	   /* call */
	WIRE_CLOSE,	   /* outlet */
	WIRE_CLOSED,	   /* outlet; a term */
	WIRE_GIVE,	   /* outlet, client; a label */
	WIRE_CLIENT_DOWN,  /* client */
	WIRE_MONITOR,	   /* monitor, call */
	WIRE_DEMONITOR,	   /* monitor */
	WIRE_PROCESS_DOWN, /* monitor */
	WIRE_REGISTER,	   /* outlet, call; a name */
	WIRE_STATISTICS,   /* call, what, outlet */
	WIRE_LOG,   /* level, outlet, task; its name's length, that, text */
	WIRE_ERROR, /* code, frame, id; text */
	WIRE_EXIT_STATUS, /* outlet, status */
	WIRE_TYPES
};

enum wire_status { WIRE_OK, WIRE_OK_BYTES, WIRE_REFUSED };

enum wire_statistics {
	WIRE_OF_HOST = 1,
	WIRE_OF_TASKS,
	WIRE_OF_OUTLETS,
	WIRE_OF_OUTLET
};

enum wire_error {
	WIRE_NO_VERSION = 1,
	WIRE_NO_HELLO,
	WIRE_UNKNOWN,
	WIRE_MALFORMED,
	WIRE_NUMBER
};

struct wire_frame {
	enum wire_type type;
	uint64_t field[3];
	const unsigned char *rest; /* in the frame's body */
	size_t len;
};

/* What follows the byte of a hello. */
struct wire_hello {
	unsigned version;
	size_t max_frame;
};

/* The longest head, one of data, and a hello's without its term. */
#define WIRE_HEAD_MAX	21
#define WIRE_DATA_HEAD	9
#define WIRE_HELLO_SIZE 14

/*
 * What a frame's body says.  0; WIRE_UNKNOWN, with `type` what it is, or
 * WIRE_MALFORMED where it is too short.  That its sender may send it, and that
 * the rest is what it should be, is the caller's to look at.
 */
int wire_read(const unsigned char *body, size_t len, struct wire_frame *frame);

/* WIRE_MALFORMED or WIRE_NO_HELLO. */
int wire_read_hello(const unsigned char *body, size_t len,
		    struct wire_hello *hello);

/* Writes a head; how long it is. */
size_t wire_head(unsigned char head[WIRE_HEAD_MAX], enum wire_type type,
		 uint64_t first, uint64_t second, uint64_t third);
size_t wire_hello(unsigned char head[WIRE_HELLO_SIZE], size_t max_frame);

#endif
