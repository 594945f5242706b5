/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "ports/term_private.h"

/* ---- the next term ---- */

/*
 * A string is read as the list that it is: its bytes as integers, and then an
 * end, which are not in the input as such.
 */
static bool look(const struct reclaim_reader *reader, struct head *head)
{
	if (reader->error)
		return false;
	if (!reader->string && !reader->tail)
		return term_look(reader->at, reader->end, head);
	*head = (struct head){.tag = TAG_NIL, .sort = RECLAIM_TERM_LIST};
	if (reader->string)
		*head = (struct head){
			.tag = TAG_SMALL_INTEGER,
			.sort = RECLAIM_TERM_INTEGER,
			.body = reader->at,
			.size = 1,
		};
	return true;
}

static void take(struct reclaim_reader *reader, const struct head *head)
{
	reader->at += head->size;
	if (reader->string)
		reader->tail = --reader->string == 0;
	else
		reader->tail = false;
}

static int refuse(struct reclaim_reader *reader, int why)
{
	return term_fail(&reader->error, why);
}

/* The next one, which is to be of this sort; it is not yet taken. */
static int expect(struct reclaim_reader *reader, enum reclaim_sort sort,
		  struct head *head)
{
	return look(reader, head) && head->sort == sort
		       ? 0
		       : refuse(reader, EINVAL);
}

int reclaim_reader_init(struct reclaim_reader *reader, const void *data,
			size_t len)
{
	const unsigned char *at = data;

	*reader = (struct reclaim_reader){.at = at, .end = at};
	if (len < 2 || at[0] != TERM_VERSION ||
	    term_end(at + 1, at + len) != at + len)
		return refuse(reader, EBADMSG);
	reader->at = at + 1;
	reader->end = at + len;
	return 0;
}

/* ---- integers ---- */

/* Sign and magnitude of any integer; false: the magnitude is beyond 64 bits. */
static bool integer(const struct head *head, bool *negative,
		    uint64_t *magnitude)
{
	const unsigned char *at = head->body;
	size_t len = head->count;
	int32_t small;

	*negative = false;
	if (head->tag == TAG_SMALL_INTEGER) {
		*magnitude = at[0];
		return true;
	}
	if (head->tag == TAG_INTEGER) {
		small = (int32_t)term_number(at, 4);
		*negative = small < 0;
		*magnitude = *negative ? -(uint64_t)small : (uint64_t)small;
		return true;
	}
	*negative = at[0] != 0;
	while (len && at[len] == 0)
		len--;
	if (len > 8)
		return false;
	for (*magnitude = 0; len; len--)
		*magnitude = *magnitude << 8 | at[len];
	return true;
}

static bool is_integer(const struct head *head)
{
	return head->sort == RECLAIM_TERM_INTEGER ||
	       head->sort == RECLAIM_TERM_BIG;
}

static bool fits_int64(bool negative, uint64_t magnitude)
{
	return magnitude <= (uint64_t)INT64_MAX + negative;
}

enum reclaim_sort reclaim_reader_sort(const struct reclaim_reader *reader)
{
	struct head head;
	uint64_t magnitude;
	bool negative;

	if (!look(reader, &head))
		return RECLAIM_TERM_NONE;
	if (head.sort == RECLAIM_TERM_BIG &&
	    integer(&head, &negative, &magnitude) &&
	    (!negative || fits_int64(negative, magnitude)))
		return RECLAIM_TERM_INTEGER;
	return head.sort;
}

static int get_integer(struct reclaim_reader *reader, struct head *head,
		       bool *negative, uint64_t *magnitude)
{
	if (!look(reader, head) || !is_integer(head))
		return refuse(reader, EINVAL);
	return integer(head, negative, magnitude) ? 0 : refuse(reader, ERANGE);
}

int reclaim_get_int64(struct reclaim_reader *reader, int64_t *value)
{
	struct head head;
	uint64_t magnitude;
	bool negative;

	if (get_integer(reader, &head, &negative, &magnitude) < 0)
		return -1;
	if (!fits_int64(negative, magnitude))
		return refuse(reader, ERANGE);
	*value = (int64_t)(negative ? -magnitude : magnitude);
	take(reader, &head);
	return 0;
}

int reclaim_get_uint64(struct reclaim_reader *reader, uint64_t *value)
{
	struct head head;
	uint64_t magnitude;
	bool negative;

	if (get_integer(reader, &head, &negative, &magnitude) < 0)
		return -1;
	if (negative && magnitude)
		return refuse(reader, ERANGE);
	*value = magnitude;
	take(reader, &head);
	return 0;
}

int reclaim_get_big(struct reclaim_reader *reader, int *negative,
		    const void **magnitude, size_t *len)
{
	struct head head;

	if (expect(reader, RECLAIM_TERM_BIG, &head) < 0)
		return -1;
	*negative = head.body[0] != 0;
	*magnitude = head.body + 1;
	*len = head.count;
	take(reader, &head);
	return 0;
}

/* ---- floats ---- */

static double double_of_bits(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

int reclaim_get_double(struct reclaim_reader *reader, double *value)
{
	struct head head;
	uint64_t magnitude;
	bool negative;

	if (look(reader, &head) && head.tag == TAG_NEW_FLOAT) {
		*value = double_of_bits(term_number(head.body, 8));
	} else if (look(reader, &head) && head.tag == TAG_FLOAT) {
		term_text_is_float(head.body, value);
	} else {
		if (get_integer(reader, &head, &negative, &magnitude) < 0)
			return -1;
		*value = negative ? -(double)magnitude : (double)magnitude;
	}
	take(reader, &head);
	return 0;
}

/* ---- atoms ---- */

static size_t latin1_to_utf8(const unsigned char *from, size_t len, char *to)
{
	char *start = to;

	for (; len; len--, from++) {
		if (*from >= 0x80)
			*to++ = (char)(0xc0 | *from >> 6);
		*to++ = (char)(*from < 0x80 ? *from : 0x80 | (*from & 0x3f));
	}
	return (size_t)(to - start);
}

static size_t copy_atom(const struct head *head, char text[RECLAIM_ATOM_SIZE])
{
	size_t len = head->count;

	if (term_is_latin1(head->tag))
		len = latin1_to_utf8(head->body, len, text);
	else
		memcpy(text, head->body, len);
	text[len] = '\0';
	return len;
}

int reclaim_get_atom(struct reclaim_reader *reader,
		     char text[RECLAIM_ATOM_SIZE])
{
	struct head head;

	if (expect(reader, RECLAIM_TERM_ATOM, &head) < 0)
		return -1;
	/* It would pass for another one. */
	if (memchr(head.body, '\0', head.count))
		return refuse(reader, EINVAL);
	copy_atom(&head, text);
	take(reader, &head);
	return 0;
}

static bool is_this_atom(const struct head *head, const char *text)
{
	char copy[RECLAIM_ATOM_SIZE];
	size_t len = copy_atom(head, copy);

	return len == strlen(text) && memcmp(copy, text, len) == 0;
}

int reclaim_get_this_atom(struct reclaim_reader *reader, const char *text)
{
	struct head head;

	if (expect(reader, RECLAIM_TERM_ATOM, &head) < 0)
		return -1;
	if (!is_this_atom(&head, text))
		return refuse(reader, EINVAL);
	take(reader, &head);
	return 0;
}

int reclaim_get_bool(struct reclaim_reader *reader, int *value)
{
	struct head head;

	if (expect(reader, RECLAIM_TERM_ATOM, &head) < 0)
		return -1;
	if (is_this_atom(&head, "true"))
		*value = 1;
	else if (is_this_atom(&head, "false"))
		*value = 0;
	else
		return refuse(reader, EINVAL);
	take(reader, &head);
	return 0;
}

/* ---- bytes ---- */

/* How many bits of them are the last byte's, a bitstring says first. */
static const void *bytes_of(const struct head *head)
{
	return head->body + (head->tag == TAG_BITS);
}

int reclaim_get_binary(struct reclaim_reader *reader, const void **data,
		       size_t *len)
{
	struct head head;

	if (expect(reader, RECLAIM_TERM_BINARY, &head) < 0)
		return -1;
	*data = bytes_of(&head);
	*len = head.count;
	take(reader, &head);
	return 0;
}

int reclaim_get_bits(struct reclaim_reader *reader, const void **data,
		     size_t *bits)
{
	struct head head;

	if (!look(reader, &head) || (head.sort != RECLAIM_TERM_BINARY &&
				     head.sort != RECLAIM_TERM_BITS))
		return refuse(reader, EINVAL);
	if (head.count > SIZE_MAX / 8)
		return refuse(reader, ERANGE);
	*data = bytes_of(&head);
	*bits = head.count * 8;
	if (head.sort == RECLAIM_TERM_BITS)
		*bits -= 8u - head.body[0];
	take(reader, &head);
	return 0;
}

/* ---- terms with terms in them ---- */

static int get_head(struct reclaim_reader *reader, enum reclaim_sort sort,
		    uint32_t *count)
{
	struct head head;

	if (expect(reader, sort, &head) < 0)
		return -1;
	*count = (uint32_t)head.count;
	take(reader, &head);
	return 0;
}

int reclaim_get_tuple(struct reclaim_reader *reader, uint32_t *arity)
{
	return get_head(reader, RECLAIM_TERM_TUPLE, arity);
}

int reclaim_get_map(struct reclaim_reader *reader, uint32_t *pairs)
{
	return get_head(reader, RECLAIM_TERM_MAP, pairs);
}

int reclaim_get_list(struct reclaim_reader *reader, uint32_t *length)
{
	struct head head;

	if (expect(reader, RECLAIM_TERM_LIST, &head) < 0)
		return -1;
	*length = (uint32_t)head.count;
	if (head.tag == TAG_NIL)
		return 0; /* it is the end, too */
	if (head.tag == TAG_STRING)
		head.size = (size_t)(head.body - reader->at);
	take(reader, &head);
	if (head.tag == TAG_STRING)
		reader->string = *length;
	return 0;
}

int reclaim_get_end(struct reclaim_reader *reader)
{
	struct head head;

	if (!reader->error && !reader->tail && !reader->string &&
	    reader->at == reader->end)
		return 0;
	if (!look(reader, &head) || head.tag != TAG_NIL)
		return refuse(reader, EINVAL);
	take(reader, &head);
	return 0;
}

/* ---- any term ---- */

/* Of a string the bytes are no terms: they are written as such. */
static void lend_small(struct reclaim_reader *reader, const struct head *head,
		       const void **data, size_t *len)
{
	reader->lent[0] = (unsigned char)head->tag;
	reader->lent[1] = head->size ? *head->body : 0;
	*data = reader->lent;
	*len = 1 + head->size;
	take(reader, head);
}

int reclaim_get_raw(struct reclaim_reader *reader, const void **data,
		    size_t *len)
{
	const unsigned char *end;
	struct head head;

	if (!look(reader, &head))
		return refuse(reader, EINVAL);
	if (reader->string || reader->tail) {
		lend_small(reader, &head, data, len);
		return 0;
	}
	end = term_end(reader->at, reader->end);
	if (!end)
		return refuse(reader, EINVAL);
	*data = reader->at;
	*len = (size_t)(end - reader->at);
	reader->at = end;
	return 0;
}

int reclaim_get_skip(struct reclaim_reader *reader)
{
	const void *data;
	size_t len;

	return reclaim_get_raw(reader, &data, &len);
}

/* ---- iodata ---- */

struct flat {
	unsigned char *at;
	size_t size, len;
};

static void append(struct flat *flat, const void *data, size_t len)
{
	size_t room = flat->len < flat->size ? flat->size - flat->len : 0;

	if (room)
		memcpy(flat->at + flat->len, data, len < room ? len : room);
	flat->len += len;
}

static int append_byte(struct reclaim_reader *reader, struct flat *flat)
{
	unsigned char byte;
	uint64_t value;

	if (reclaim_get_uint64(reader, &value) < 0)
		return -1;
	if (value > 255)
		return refuse(reader, EINVAL);
	byte = (unsigned char)value;
	append(flat, &byte, 1);
	return 0;
}

static int append_binary(struct reclaim_reader *reader, struct flat *flat)
{
	const void *data;
	size_t len;

	if (reclaim_get_binary(reader, &data, &len) < 0)
		return -1;
	append(flat, data, len);
	return 0;
}

static int append_list(struct reclaim_reader *reader, struct flat *flat);

static int append_element(struct reclaim_reader *reader, struct flat *flat)
{
	switch (reclaim_reader_sort(reader)) {
	case RECLAIM_TERM_INTEGER:
		return append_byte(reader, flat);
	case RECLAIM_TERM_LIST:
		return append_list(reader, flat);
	default:
		return append_binary(reader, flat);
	}
}

/* An end, a binary, or a list: it is one list with that. */
static int append_tail(struct reclaim_reader *reader, struct flat *flat)
{
	struct head head;

	if (!look(reader, &head))
		return refuse(reader, EINVAL);
	if (head.tag == TAG_NIL)
		return reclaim_get_end(reader);
	return head.sort == RECLAIM_TERM_LIST ? append_list(reader, flat)
					      : append_binary(reader, flat);
}

/* Lists in lists: as deep as the whole was found to be. */
static int append_list(struct reclaim_reader *reader, struct flat *flat)
{
	uint32_t left;

	if (reclaim_get_list(reader, &left) < 0)
		return -1;
	while (left--)
		if (append_element(reader, flat) < 0)
			return -1;
	return append_tail(reader, flat);
}

int reclaim_get_iodata(struct reclaim_reader *reader, void *buf, size_t size,
		       size_t *len)
{
	struct flat flat = {.at = buf, .size = size};
	int result = reclaim_reader_sort(reader) == RECLAIM_TERM_LIST
			     ? append_list(reader, &flat)
			     : append_binary(reader, &flat);

	*len = flat.len;
	return result;
}
