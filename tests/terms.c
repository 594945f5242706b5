/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/terms.h"

static int copy_raw(struct reclaim_reader *reader,
		    struct reclaim_writer *writer)
{
	const void *data;
	size_t len;

	if (reclaim_get_raw(reader, &data, &len) < 0)
		return -1;
	return reclaim_put_raw(writer, data, len);
}

static int copy_atom(struct reclaim_reader *reader,
		     struct reclaim_writer *writer)
{
	struct reclaim_reader before = *reader;
	char text[RECLAIM_ATOM_SIZE];

	if (reclaim_get_atom(reader, text) == 0)
		return reclaim_put_atom(writer, text);
	*reader = before;
	return copy_raw(reader, writer);
}

static int copy_integer(struct reclaim_reader *reader,
			struct reclaim_writer *writer)
{
	struct reclaim_reader before = *reader;
	int64_t value;
	uint64_t large;

	if (reclaim_get_int64(reader, &value) == 0)
		return reclaim_put_int64(writer, value);
	*reader = before;
	if (reclaim_get_uint64(reader, &large) < 0)
		return -1;
	return reclaim_put_uint64(writer, large);
}

static int copy_big(struct reclaim_reader *reader,
		    struct reclaim_writer *writer)
{
	const void *magnitude;
	size_t len;
	int negative;

	if (reclaim_get_big(reader, &negative, &magnitude, &len) < 0)
		return -1;
	return reclaim_put_big(writer, negative, magnitude, len);
}

static int copy_double(struct reclaim_reader *reader,
		       struct reclaim_writer *writer)
{
	double value;

	if (reclaim_get_double(reader, &value) < 0)
		return -1;
	return reclaim_put_double(writer, value);
}

static int copy_binary(struct reclaim_reader *reader,
		       struct reclaim_writer *writer)
{
	const void *data;
	size_t len;

	if (reclaim_get_binary(reader, &data, &len) < 0)
		return -1;
	return reclaim_put_binary(writer, data, len);
}

static int copy_bits(struct reclaim_reader *reader,
		     struct reclaim_writer *writer)
{
	const void *data;
	size_t bits;

	if (reclaim_get_bits(reader, &data, &bits) < 0)
		return -1;
	return reclaim_put_bits(writer, data, bits);
}

static int copy_terms(struct reclaim_reader *reader,
		      struct reclaim_writer *writer, uint64_t count)
{
	while (count--)
		if (copy_term(reader, writer) < 0)
			return -1;
	return 0;
}

static int copy_tuple(struct reclaim_reader *reader,
		      struct reclaim_writer *writer)
{
	uint32_t arity;

	if (reclaim_get_tuple(reader, &arity) < 0 ||
	    reclaim_put_tuple(writer, arity) < 0)
		return -1;
	return copy_terms(reader, writer, arity);
}

static int copy_map(struct reclaim_reader *reader,
		    struct reclaim_writer *writer)
{
	uint32_t pairs;

	if (reclaim_get_map(reader, &pairs) < 0 ||
	    reclaim_put_map(writer, pairs) < 0)
		return -1;
	return copy_terms(reader, writer, 2 * (uint64_t)pairs);
}

static int copy_list(struct reclaim_reader *reader,
		     struct reclaim_writer *writer)
{
	struct reclaim_reader before;
	uint32_t length;

	if (reclaim_get_list(reader, &length) < 0 ||
	    reclaim_put_list(writer, length) < 0 ||
	    copy_terms(reader, writer, length) < 0)
		return -1;
	before = *reader;
	if (reclaim_get_end(reader) == 0)
		return reclaim_put_end(writer);
	*reader = before;
	return copy_term(reader, writer);
}

int copy_term(struct reclaim_reader *reader, struct reclaim_writer *writer)
{
	switch (reclaim_reader_sort(reader)) {
	case RECLAIM_TERM_ATOM:
		return copy_atom(reader, writer);
	case RECLAIM_TERM_INTEGER:
		return copy_integer(reader, writer);
	case RECLAIM_TERM_BIG:
		return copy_big(reader, writer);
	case RECLAIM_TERM_FLOAT:
		return copy_double(reader, writer);
	case RECLAIM_TERM_BINARY:
		return copy_binary(reader, writer);
	case RECLAIM_TERM_BITS:
		return copy_bits(reader, writer);
	case RECLAIM_TERM_TUPLE:
		return copy_tuple(reader, writer);
	case RECLAIM_TERM_LIST:
		return copy_list(reader, writer);
	case RECLAIM_TERM_MAP:
		return copy_map(reader, writer);
	default:
		return copy_raw(reader, writer);
	}
}
