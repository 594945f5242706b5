/* SPDX-License-Identifier: Apache-2.0 */
/*
 * term - the external term format: what a tag says, and whether bytes are a
 * term
 */
#ifndef TERM_PRIVATE_H
#define TERM_PRIVATE_H

#include <errno.h>
#include <stdbool.h>

#include "reclaim/term.h"

#define TERM_VERSION 131

enum tag {
	TAG_BITS = 77,
	TAG_NEW_FLOAT = 70,
	TAG_NEW_PID = 88,
	TAG_NEW_PORT = 89,
	TAG_NEWER_REFERENCE = 90,
	TAG_SMALL_INTEGER = 97,
	TAG_INTEGER = 98,
	TAG_FLOAT = 99,
	TAG_ATOM = 100,
	TAG_REFERENCE = 101,
	TAG_PORT = 102,
	TAG_PID = 103,
	TAG_SMALL_TUPLE = 104,
	TAG_LARGE_TUPLE = 105,
	TAG_NIL = 106,
	TAG_STRING = 107,
	TAG_LIST = 108,
	TAG_BINARY = 109,
	TAG_SMALL_BIG = 110,
	TAG_LARGE_BIG = 111,
	TAG_NEW_FUN = 112,
	TAG_EXPORT = 113,
	TAG_NEW_REFERENCE = 114,
	TAG_SMALL_ATOM = 115,
	TAG_MAP = 116,
	TAG_ATOM_UTF8 = 118,
	TAG_SMALL_ATOM_UTF8 = 119,
	TAG_V4_PORT = 120,
	TAG_LOCAL = 121
};

/* What is at a place, up to the terms within it. */
struct head {
	enum tag tag;
	enum reclaim_sort sort;
	uint64_t count;		    /* elements, bytes: what the tag counts */
	const unsigned char *body;  /* behind the count */
	size_t size;		    /* from the tag on */
	uint64_t within;	    /* terms that follow and belong to it */
	const unsigned char *until; /* where they have to end, or NULL */
};

/* False: an unknown tag, or more than there are bytes. */
bool term_look(const unsigned char *at, const unsigned char *end,
	       struct head *head);

/* The end of the one whole term that begins here; NULL: there is none. */
const unsigned char *term_end(const unsigned char *at,
			      const unsigned char *end);

bool term_is_utf8(const unsigned char *text, size_t len, size_t *characters);

static inline bool term_is_latin1(enum tag tag)
{
	return tag == TAG_ATOM || tag == TAG_SMALL_ATOM;
}

/* OTP's old floats are text; false where that is no number. */
bool term_text_is_float(const unsigned char text[31], double *value);

/* Numbers are most significant byte first. */
static inline uint64_t term_number(const unsigned char *at, size_t bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

/* The first error stays. */
static inline int term_fail(int *error, int why)
{
	if (!*error)
		*error = why;
	errno = *error;
	return -1;
}

#endif
