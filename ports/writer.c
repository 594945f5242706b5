/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RECLAIM_NO_ALIAS 1
#include "reclaim.h"

#include "ports/term_private.h"

/* ---- the buffer ---- */

static int refuse(struct reclaim_writer *writer, int why)
{
	return term_fail(&writer->error, why);
}

#define FIRST_SIZE 64

static bool grow(struct reclaim_writer *writer, size_t len)
{
	size_t size = writer->size ? writer->size : FIRST_SIZE;
	unsigned char *grown;

	while (size < len)
		if (__builtin_mul_overflow(size, 2, &size))
			return false;
	grown = save_realloc(writer->data, size);
	if (!grown)
		return false;
	writer->data = grown;
	writer->size = size;
	return true;
}

/*
 * Room for so many bytes more; they count, even where there is none.  NULL
 * then, and only what does not grow may go on.
 */
static unsigned char *room(struct reclaim_writer *writer, size_t bytes)
{
	size_t at = writer->len, len;

	if (writer->error)
		return NULL;
	if (__builtin_add_overflow(at, bytes, &len)) {
		refuse(writer, ENOMEM);
		return NULL;
	}
	if (writer->grows && len > writer->size && !grow(writer, len)) {
		refuse(writer, ENOMEM);
		return NULL;
	}
	writer->len = len;
	return len <= writer->size ? writer->data + at : NULL;
}

static void put_number(unsigned char *at, uint64_t value, size_t bytes)
{
	for (; bytes--; value >>= 8)
		at[bytes] = (unsigned char)value;
}

/* A tag and what it counts. */
static void put_head(struct reclaim_writer *writer, enum tag tag,
		     uint64_t count, size_t count_bytes)
{
	unsigned char *at = room(writer, 1 + count_bytes);

	if (!at)
		return;
	*at = (unsigned char)tag;
	put_number(at + 1, count, count_bytes);
}

static void put_bytes(struct reclaim_writer *writer, const void *data,
		      size_t len)
{
	unsigned char *at = room(writer, len);

	if (at && len)
		memcpy(at, data, len);
}

/* One term is there, and `more` belong to it. */
static int count_term(struct reclaim_writer *writer, uint64_t more)
{
	if (writer->error)
		return refuse(writer, writer->error);
	if (!writer->wanted--)
		return refuse(writer, EINVAL);
	if (__builtin_add_overflow(writer->wanted, more, &writer->wanted))
		return refuse(writer, EINVAL);
	return 0;
}

void reclaim_writer_init(struct reclaim_writer *writer, void *buf, size_t size)
{
	static const unsigned char version = TERM_VERSION;

	*writer = (struct reclaim_writer){
		.data = buf,
		.size = buf ? size : 0,
		.grows = !buf,
		.wanted = 1,
	};
	put_bytes(writer, &version, 1);
}

void reclaim_writer_end(struct reclaim_writer *writer)
{
	if (writer->grows)
		save_free(writer->data);
	*writer = (struct reclaim_writer){.error = EINVAL};
}

int reclaim_writer_done(const struct reclaim_writer *writer)
{
	int error = writer->error;

	if (!error && writer->wanted)
		error = EINVAL;
	if (!error && writer->len > writer->size)
		error = ENOSPC;
	return error ? term_fail(&error, error) : 0;
}

/* ---- atoms ---- */

int reclaim_put_atom(struct reclaim_writer *writer, const char *text)
{
	size_t len = strlen(text), characters;

	if (!term_is_utf8((const unsigned char *)text, len, &characters) ||
	    characters > 255)
		return refuse(writer, EINVAL);
	if (len < 256)
		put_head(writer, TAG_SMALL_ATOM_UTF8, len, 1);
	else
		put_head(writer, TAG_ATOM_UTF8, len, 2);
	put_bytes(writer, text, len);
	return count_term(writer, 0);
}

int reclaim_put_bool(struct reclaim_writer *writer, int value)
{
	return reclaim_put_atom(writer, value ? "true" : "false");
}

/* ---- numbers ---- */

/* Least significant byte first, without zeros behind. */
static int put_magnitude(struct reclaim_writer *writer, unsigned char sign,
			 const unsigned char *bytes, size_t len)
{
	if (len < 256)
		put_head(writer, TAG_SMALL_BIG, len, 1);
	else
		put_head(writer, TAG_LARGE_BIG, len, 4);
	put_bytes(writer, &sign, 1);
	put_bytes(writer, bytes, len);
	return count_term(writer, 0);
}

static int put_integer(struct reclaim_writer *writer, bool negative,
		       uint64_t magnitude)
{
	unsigned char bytes[8];
	size_t len;

	if (magnitude <= (uint64_t)INT32_MAX + negative) {
		if (magnitude < 256 && (!negative || !magnitude))
			put_head(writer, TAG_SMALL_INTEGER, magnitude, 1);
		else
			put_head(writer, TAG_INTEGER,
				 negative ? -magnitude : magnitude, 4);
		return count_term(writer, 0);
	}
	for (len = 0; magnitude; magnitude >>= 8)
		bytes[len++] = (unsigned char)magnitude;
	return put_magnitude(writer, negative, bytes, len);
}

int reclaim_put_int64(struct reclaim_writer *writer, int64_t value)
{
	return put_integer(writer, value < 0,
			   value < 0 ? -(uint64_t)value : (uint64_t)value);
}

int reclaim_put_uint64(struct reclaim_writer *writer, uint64_t value)
{
	return put_integer(writer, false, value);
}

int reclaim_put_big(struct reclaim_writer *writer, int negative,
		    const void *magnitude, size_t len)
{
	const unsigned char *bytes = magnitude;
	uint64_t small = 0;

	while (len && bytes[len - 1] == 0)
		len--;
	if (len > UINT32_MAX)
		return refuse(writer, EINVAL);
	if (len > sizeof(small))
		return put_magnitude(writer, negative != 0, bytes, len);
	while (len)
		small = small << 8 | bytes[--len];
	return put_integer(writer, negative != 0, small);
}

int reclaim_put_double(struct reclaim_writer *writer, double value)
{
	uint64_t bits;

	if (!isfinite(value))
		return refuse(writer, EINVAL);
	memcpy(&bits, &value, sizeof(bits));
	put_head(writer, TAG_NEW_FLOAT, bits, 8);
	return count_term(writer, 0);
}

/* ---- bytes ---- */

int reclaim_put_binary(struct reclaim_writer *writer, const void *data,
		       size_t len)
{
	if (len > UINT32_MAX)
		return refuse(writer, EINVAL);
	put_head(writer, TAG_BINARY, len, 4);
	put_bytes(writer, data, len);
	return count_term(writer, 0);
}

int reclaim_put_bits(struct reclaim_writer *writer, const void *data,
		     size_t bits)
{
	const unsigned char *bytes = data;
	size_t whole = bits / 8;
	unsigned char used = bits % 8, last;

	if (!used)
		return reclaim_put_binary(writer, data, whole);
	if (whole >= UINT32_MAX)
		return refuse(writer, EINVAL);
	put_head(writer, TAG_BITS, whole + 1, 4);
	put_bytes(writer, &used, 1);
	put_bytes(writer, bytes, whole);
	last = bytes[whole] & (unsigned char)(0xff << (8 - used));
	put_bytes(writer, &last, 1);
	return count_term(writer, 0);
}

int reclaim_put_string(struct reclaim_writer *writer, const char *text)
{
	size_t len = strlen(text), i;

	if (len > UINT32_MAX)
		return refuse(writer, EINVAL);
	if (len && len <= UINT16_MAX) {
		put_head(writer, TAG_STRING, len, 2);
		put_bytes(writer, text, len);
		return count_term(writer, 0);
	}
	reclaim_put_list(writer, (uint32_t)len);
	for (i = 0; i < len; i++)
		reclaim_put_int64(writer, (unsigned char)text[i]);
	return reclaim_put_end(writer);
}

/* ---- terms with terms in them ---- */

int reclaim_put_tuple(struct reclaim_writer *writer, uint32_t arity)
{
	if (arity < 256)
		put_head(writer, TAG_SMALL_TUPLE, arity, 1);
	else
		put_head(writer, TAG_LARGE_TUPLE, arity, 4);
	return count_term(writer, arity);
}

/* Of none it is its end. */
int reclaim_put_list(struct reclaim_writer *writer, uint32_t length)
{
	if (length)
		put_head(writer, TAG_LIST, length, 4);
	return count_term(writer, (uint64_t)length + 1);
}

int reclaim_put_end(struct reclaim_writer *writer)
{
	put_head(writer, TAG_NIL, 0, 0);
	return count_term(writer, 0);
}

int reclaim_put_map(struct reclaim_writer *writer, uint32_t pairs)
{
	put_head(writer, TAG_MAP, pairs, 4);
	return count_term(writer, 2 * (uint64_t)pairs);
}

int reclaim_put_raw(struct reclaim_writer *writer, const void *data, size_t len)
{
	const unsigned char *at = data;

	if (len == 0 || term_end(at, at + len) != at + len)
		return refuse(writer, EINVAL);
	/* The emulator's own is no part of a term. */
	if (at[0] == TAG_LOCAL && writer->len != 1)
		return refuse(writer, EINVAL);
	put_bytes(writer, data, len);
	return count_term(writer, 0);
}
