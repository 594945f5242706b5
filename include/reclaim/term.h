/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/term.h - Erlang's external term format: reading and writing
 *
 * The reader is a cursor over one term as term_to_binary/1 makes it, version
 * byte and all.  Beginning checks the whole of it: every length and tag, the
 * atoms' UTF-8, and how deep it is.  After that each reclaim_get_ takes the
 * next term, depth first, or fails where it is another sort of term; then the
 * reader stays where it is, and every later call fails, too: a driver reads
 * all that it wants and looks at the last result, or at `error`.  Nothing is
 * copied that can be lent: binaries are in place, as long as the input is.
 * A reader may be copied, to go back to.
 *
 * The writer fills a buffer, the caller's or one that grows, and counts the
 * terms: what is not one whole term is an error.  Its errors stay as well.
 *
 *	struct reclaim_reader r;
 *	int64_t width, height;
 *	uint32_t arity;
 *
 *	reclaim_reader_init(&r, data, len);
 *	reclaim_get_tuple(&r, &arity);
 *	reclaim_get_this_atom(&r, "resize");
 *	reclaim_get_int64(&r, &width);
 *	reclaim_get_int64(&r, &height);
 *	if (reclaim_get_end(&r) < 0 || arity != 3)
 *		...
 *
 * Both are pure: no I/O, and no memory but of a writer that grows.  They may be
 * used without the rest of the library, each by one thread at a time.
 * Where nothing else is said: 0, or -1 with errno.
 * Source: OTP's External Term Format; every tag that OTP 25 to 27 emit, and the
 * older ones that they accept.  Compressed terms are not read.
 */
#ifndef RECLAIM_TERM_H
#define RECLAIM_TERM_H

#include <stddef.h>
#include <stdint.h>

#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sorts of terms.  What the format has several tags for is one. */
enum reclaim_sort {
	RECLAIM_TERM_NONE, /* the end, or after an error */
	RECLAIM_TERM_ATOM,
	RECLAIM_TERM_INTEGER, /* that int64_t or uint64_t can hold */
	RECLAIM_TERM_BIG,
	RECLAIM_TERM_FLOAT,
	RECLAIM_TERM_BINARY,
	RECLAIM_TERM_BITS, /* a bitstring that is no binary */
	RECLAIM_TERM_TUPLE,
	RECLAIM_TERM_LIST, /* with an element, or the empty one */
	RECLAIM_TERM_MAP,
	RECLAIM_TERM_PID,
	RECLAIM_TERM_PORT,
	RECLAIM_TERM_REFERENCE,
	RECLAIM_TERM_FUN,
	RECLAIM_TERM_LOCAL /* the emulator's own: a whole input, opaque */
};

/* How deep a term may be, and the most that an atom takes, with its NUL. */
#define RECLAIM_TERM_DEPTH 256
#define RECLAIM_ATOM_SIZE  (255 * 4 + 1)

/* ---- reading ---- */

struct reclaim_reader {
	const unsigned char *at, *end;
	int error;	 /* 0, or what the first failure was */
	uint32_t string; /* elements left of a string that is read as a list */
	int tail;	 /* and its end is to come */
	unsigned char lent[2]; /* such an element, as a term */
};

/*
 * Begin with `len` bytes.  EBADMSG: truncated, more behind the term, an
 * unknown tag or version, a length that cannot be, a bad atom, or too deep.
 */
RECLAIM_API int reclaim_reader_init(struct reclaim_reader *reader,
				    const void *data, size_t len);

/* What comes next. */
RECLAIM_API enum reclaim_sort
reclaim_reader_sort(const struct reclaim_reader *reader);

/*
 * Each takes one term.  EINVAL: the next one is of another sort; ERANGE: an
 * integer that does not fit; or the reader's error.
 *
 * atom       as UTF-8, NUL-terminated; EINVAL: it has a NUL in it
 * this_atom  that atom and no other
 * bool       `true` or `false`: 1 or 0
 * double     a float, or an integer
 * binary     where it is in the input
 * bits       the same of any bitstring; of the last byte the highest bits count
 * tuple      its elements follow
 * list       its elements follow, and then what reclaim_get_end takes; of the
 *            empty list, too.  Where it is improper, any other term, and where
 *            it was made in pieces, a list.  A string is a list of integers
 * map        so many pairs follow, keys and values in turn, equal keys, too
 * big        sign (1: negative) and magnitude, least significant byte first; of
 *            any integer that is encoded so
 * raw        any one term with all in it, for reclaim_put_raw; where it is in
 *            the input, but an element of a string is in the reader, until the
 *            next call
 * end        the end of a list, or of the input
 * skip       any one term
 */
RECLAIM_API int reclaim_get_atom(struct reclaim_reader *reader,
				 char text[RECLAIM_ATOM_SIZE]);
RECLAIM_API int reclaim_get_this_atom(struct reclaim_reader *reader,
				      const char *text);
RECLAIM_API int reclaim_get_bool(struct reclaim_reader *reader, int *value);
RECLAIM_API int reclaim_get_int64(struct reclaim_reader *reader,
				  int64_t *value);
RECLAIM_API int reclaim_get_uint64(struct reclaim_reader *reader,
				   uint64_t *value);
RECLAIM_API int reclaim_get_double(struct reclaim_reader *reader,
				   double *value);
RECLAIM_API int reclaim_get_binary(struct reclaim_reader *reader,
				   const void **data, size_t *len);
RECLAIM_API int reclaim_get_bits(struct reclaim_reader *reader,
				 const void **data, size_t *bits);
RECLAIM_API int reclaim_get_tuple(struct reclaim_reader *reader,
				  uint32_t *arity);
RECLAIM_API int reclaim_get_list(struct reclaim_reader *reader,
				 uint32_t *length);
RECLAIM_API int reclaim_get_map(struct reclaim_reader *reader, uint32_t *pairs);
RECLAIM_API int reclaim_get_big(struct reclaim_reader *reader, int *negative,
				const void **magnitude, size_t *len);
RECLAIM_API int reclaim_get_raw(struct reclaim_reader *reader,
				const void **data, size_t *len);
RECLAIM_API int reclaim_get_end(struct reclaim_reader *reader);
RECLAIM_API int reclaim_get_skip(struct reclaim_reader *reader);

/*
 * Flatten iodata: a binary, or a list of bytes, binaries and such lists.  At
 * most `size` bytes go to buf; *len is how many there are, which may be more.
 */
RECLAIM_API int reclaim_get_iodata(struct reclaim_reader *reader, void *buf,
				   size_t size, size_t *len);

/* ---- writing ---- */

struct reclaim_writer {
	unsigned char *data; /* what was written, from the version byte on */
	size_t len;	     /* how much that is, or would be */
	size_t size;
	int error;
	int grows;
	uint64_t wanted; /* terms that are still to come */
};

/*
 * Begin in a buffer, or, where that is NULL, in memory of the current task
 * that grows; reclaim_writer_end gives that back, and so does the task's end.
 * What a buffer is too short for is counted all the same, as snprintf(3) does.
 */
RECLAIM_API void reclaim_writer_init(struct reclaim_writer *writer, void *buf,
				     size_t size);
RECLAIM_API void reclaim_writer_end(struct reclaim_writer *writer);

/*
 * Whether `data` holds one whole term of `len` bytes.  ENOSPC: the buffer is
 * shorter than `len`; EINVAL: too many terms or too few, or an impossible one;
 * ENOMEM.
 */
RECLAIM_API int reclaim_writer_done(const struct reclaim_writer *writer);

/*
 * Each writes one term, in the shortest form; tuple, list and map only their
 * head: so many elements, or pairs, are to follow, and after a list's (of none,
 * too) reclaim_put_end, or for an improper one any other term.  Text is UTF-8.
 * EINVAL: an atom that is none, raw bytes that are no term; or the writer's
 * error.
 */
RECLAIM_API int reclaim_put_atom(struct reclaim_writer *writer,
				 const char *text);
RECLAIM_API int reclaim_put_bool(struct reclaim_writer *writer, int value);
RECLAIM_API int reclaim_put_int64(struct reclaim_writer *writer, int64_t value);
RECLAIM_API int reclaim_put_uint64(struct reclaim_writer *writer,
				   uint64_t value);
RECLAIM_API int reclaim_put_double(struct reclaim_writer *writer, double value);
RECLAIM_API int reclaim_put_binary(struct reclaim_writer *writer,
				   const void *data, size_t len);
RECLAIM_API int reclaim_put_bits(struct reclaim_writer *writer,
				 const void *data, size_t bits);
/* A list of bytes. */
RECLAIM_API int reclaim_put_string(struct reclaim_writer *writer,
				   const char *text);
RECLAIM_API int reclaim_put_tuple(struct reclaim_writer *writer,
				  uint32_t arity);
RECLAIM_API int reclaim_put_list(struct reclaim_writer *writer,
				 uint32_t length);
RECLAIM_API int reclaim_put_map(struct reclaim_writer *writer, uint32_t pairs);
RECLAIM_API int reclaim_put_big(struct reclaim_writer *writer, int negative,
				const void *magnitude, size_t len);
RECLAIM_API int reclaim_put_raw(struct reclaim_writer *writer, const void *data,
				size_t len);
RECLAIM_API int reclaim_put_end(struct reclaim_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
