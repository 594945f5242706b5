/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms by OTP's own C library: what we write, ei reads and writes anew, piece
 * by piece; what it has written we read, and it is what it was.
 */
#include "config.h"

#include <reclaim/term.h>

#include <ei.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stage.h"
#include "tests/terms.h"

static uint64_t state;
static struct reclaim_writer writer;

static size_t random_below(size_t bound)
{
	return (size_t)(fixture_random(&state) % bound);
}

/* ---- a random term, as we write it ---- */

#define DEEP 40

static void put_any(unsigned depth);

/* Most are small. */
static size_t random_count(unsigned depth, size_t most)
{
	if (depth == 0)
		return 0;
	return random_below(50) ? random_below(4) : random_below(most);
}

static void put_some(unsigned depth, size_t count)
{
	/* The more there are, the shallower. */
	while (count--)
		put_any(count > 8 ? 0 : depth - 1);
}

static size_t put_character(char *at, unsigned long code)
{
	if (code < 0x80) {
		at[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		at[0] = (char)(0xc0 | code >> 6);
		at[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		at[0] = (char)(0xe0 | code >> 12);
		at[1] = (char)(0x80 | (code >> 6 & 0x3f));
		at[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	at[0] = (char)(0xf0 | code >> 18);
	at[1] = (char)(0x80 | (code >> 12 & 0x3f));
	at[2] = (char)(0x80 | (code >> 6 & 0x3f));
	at[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

static void put_some_atom(void)
{
	static const unsigned long most[] = {0x7f, 0xff, 0x7ff, 0xd7ff,
					     0x10ffff};
	char text[RECLAIM_ATOM_SIZE];
	size_t count = random_below(random_below(10) ? 12 : 256), len = 0;
	unsigned long bound = most[random_below(5)], code;

	while (count--) {
		code = 1 + random_below(bound);
		if (code >= 0xd800 && code < 0xe000)
			code = 0x10ffff;
		len += put_character(text + len, code);
	}
	text[len] = '\0';
	ck_works(reclaim_put_atom(&writer, text));
}

static void put_some_integer(void)
{
	unsigned bits = (unsigned)random_below(64);
	uint64_t value = fixture_random(&state) >> bits;

	if (random_below(2))
		ck_works(reclaim_put_uint64(&writer, value));
	else
		ck_works(reclaim_put_int64(&writer, (int64_t)value));
}

static void fill_random(unsigned char *bytes, size_t len)
{
	while (len--)
		*bytes++ = (unsigned char)fixture_random(&state);
}

static void put_some_big(void)
{
	unsigned char bytes[600];
	size_t len = 1 + random_below(random_below(10) ? 20 : sizeof(bytes));

	fill_random(bytes, len);
	ck_works(reclaim_put_big(&writer, (int)random_below(2), bytes, len));
}

static void put_some_double(void)
{
	uint64_t bits = fixture_random(&state);
	double value;

	memcpy(&value, &bits, sizeof(value));
	ck_works(reclaim_put_double(&writer, isfinite(value) ? value : -0.0));
}

static void put_some_bytes(void)
{
	unsigned char bytes[300];
	size_t len = random_below(sizeof(bytes));

	fill_random(bytes, sizeof(bytes));
	if (random_below(2))
		ck_works(reclaim_put_binary(&writer, bytes, len));
	else
		ck_works(reclaim_put_bits(&writer, bytes,
					  len * 8 + random_below(8)));
}

static void put_some_string(void)
{
	char text[300];
	size_t len = random_below(sizeof(text));

	fill_random((unsigned char *)text, sizeof(text));
	text[len] = '\0';
	ck_works(reclaim_put_string(&writer, text));
}

static void put_some_list(unsigned depth)
{
	size_t count = random_count(depth, 300);

	ck_works(reclaim_put_list(&writer, (uint32_t)count));
	put_some(depth, count);
	if (count && random_below(4) == 0)
		put_some_atom();
	else
		ck_works(reclaim_put_end(&writer));
}

static void put_some_opaque(void)
{
#define NODE "w\3n@h"
	static const struct {
		const char *bytes;
		size_t len;
	} opaque[] = {
#define THIS(text) {text, sizeof(text) - 1}
		THIS("X" NODE "\0\0\0\1\0\0\0\2\0\0\0\3"),
		THIS("Y" NODE "\0\0\0\1\0\0\0\2"),
		THIS("x" NODE "\1\0\0\0\0\0\0\1\0\0\0\2"),
		THIS("Z\0\3" NODE "\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0\3"),
		THIS("Z\0\5" NODE "\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4"
		     "\0\0\0\5"),
		THIS("qw\1mw\1fa\2"),
		THIS("p\0\0\0\70\1"
		     "0123456789abcdef\0\0\0\1\0\0\0\1w\1ma\1a\2X" NODE
		     "\0\0\0\1\0\0\0\2\0\0\0\3a\7"),
	};
	size_t one = random_below(sizeof(opaque) / sizeof(opaque[0]));

	ck_works(reclaim_put_raw(&writer, opaque[one].bytes, opaque[one].len));
}

static void put_any(unsigned depth)
{
	size_t count;

	switch (random_below(depth ? 11 : 8)) {
	case 0:
		return put_some_atom();
	case 1:
	case 2:
		return put_some_integer();
	case 3:
		return put_some_big();
	case 4:
		return put_some_double();
	case 5:
		return put_some_bytes();
	case 6:
		return put_some_string();
	case 7:
		return put_some_opaque();
	case 8:
		return put_some_list(depth);
	case 9:
		count = random_count(depth, 300);
		ck_works(reclaim_put_tuple(&writer, (uint32_t)count));
		return put_some(depth, count);
	default:
		count = random_count(depth, 50);
		ck_works(reclaim_put_map(&writer, (uint32_t)count));
		return put_some(depth, 2 * count);
	}
}

/* ---- ei reads it, and writes it anew ---- */

static const char *from;
static int at;
static ei_x_buff to;

#define ei_works(call) ck_assert_msg((call) == 0, "%s at %d", #call, at)

static void ei_copy(void);

static void ei_copies(int count)
{
	while (count--)
		ei_copy();
}

static void ei_copy_atom(void)
{
	char text[MAXATOMLEN_UTF8];

	ei_works(ei_decode_atom_as(from, &at, text, sizeof(text), ERLANG_UTF8,
				   NULL, NULL));
	ei_works(ei_x_encode_atom_as(&to, text, ERLANG_UTF8, ERLANG_UTF8));
}

static void ei_copy_big(int size)
{
	long long value;
	unsigned long long large;
	erlang_big *big;

	if (ei_decode_longlong(from, &at, &value) == 0) {
		ei_works(ei_x_encode_longlong(&to, value));
	} else if (ei_decode_ulonglong(from, &at, &large) == 0) {
		ei_works(ei_x_encode_ulonglong(&to, large));
	} else {
		big = ei_alloc_big((unsigned)size);
		ei_works(ei_decode_big(from, &at, big));
		ei_works(ei_x_encode_big(&to, big));
		ei_free_big(big);
	}
}

static void ei_copy_double(void)
{
	double value;

	ei_works(ei_decode_double(from, &at, &value));
	ei_works(ei_x_encode_double(&to, value));
}

static void ei_copy_binary(int size)
{
	char *bytes = malloc((size_t)size + 1);
	long len;

	ei_works(ei_decode_binary(from, &at, bytes, &len));
	ei_works(ei_x_encode_binary(&to, bytes, (int)len));
	free(bytes);
}

static void ei_copy_bits(void)
{
	const char *bytes;
	unsigned offset;
	size_t bits;

	ei_works(ei_decode_bitstring(from, &at, &bytes, &offset, &bits));
	ei_works(ei_x_encode_bitstring(&to, bytes, offset, bits));
}

static void ei_copy_string(int size)
{
	char *text = malloc((size_t)size + 1);

	ei_works(ei_decode_string(from, &at, text));
	ei_works(ei_x_encode_string_len(&to, text, size));
	free(text);
}

static void ei_copy_list(void)
{
	int arity;

	ei_works(ei_decode_list_header(from, &at, &arity));
	ei_works(ei_x_encode_list_header(&to, arity));
	/* Of one that is not empty the tail, too. */
	ei_copies(arity ? arity + 1 : 0);
}

static void ei_copy_tuple(void)
{
	int arity;

	ei_works(ei_decode_tuple_header(from, &at, &arity));
	ei_works(ei_x_encode_tuple_header(&to, arity));
	ei_copies(arity);
}

static void ei_copy_map(void)
{
	int arity;

	ei_works(ei_decode_map_header(from, &at, &arity));
	ei_works(ei_x_encode_map_header(&to, arity));
	ei_copies(2 * arity);
}

static void ei_copy_pid(void)
{
	erlang_pid pid;

	ei_works(ei_decode_pid(from, &at, &pid));
	ei_works(ei_x_encode_pid(&to, &pid));
}

static void ei_copy_port(void)
{
	erlang_port port;

	ei_works(ei_decode_port(from, &at, &port));
	ei_works(ei_x_encode_port(&to, &port));
}

static void ei_copy_ref(void)
{
	erlang_ref ref;

	ei_works(ei_decode_ref(from, &at, &ref));
	ei_works(ei_x_encode_ref(&to, &ref));
}

static void ei_copy_fun(void)
{
	erlang_fun fun;

	ei_works(ei_decode_fun(from, &at, &fun));
	ei_works(ei_x_encode_fun(&to, &fun));
	free_fun(&fun);
}

static void ei_copy(void)
{
	int type, size;

	ei_works(ei_get_type(from, &at, &type, &size));
	switch (type) {
	case ERL_ATOM_EXT:
	case ERL_SMALL_ATOM_EXT:
	case ERL_ATOM_UTF8_EXT:
	case ERL_SMALL_ATOM_UTF8_EXT:
		return ei_copy_atom();
	case ERL_SMALL_INTEGER_EXT:
	case ERL_INTEGER_EXT:
	case ERL_SMALL_BIG_EXT:
	case ERL_LARGE_BIG_EXT:
		return ei_copy_big(size);
	case ERL_FLOAT_EXT:
	case NEW_FLOAT_EXT:
		return ei_copy_double();
	case ERL_BINARY_EXT:
		return ei_copy_binary(size);
	case ERL_BIT_BINARY_EXT:
		return ei_copy_bits();
	case ERL_STRING_EXT:
		return ei_copy_string(size);
	case ERL_NIL_EXT:
	case ERL_LIST_EXT:
		return ei_copy_list();
	case ERL_SMALL_TUPLE_EXT:
	case ERL_LARGE_TUPLE_EXT:
		return ei_copy_tuple();
	case ERL_MAP_EXT:
		return ei_copy_map();
	case ERL_PID_EXT:
	case ERL_NEW_PID_EXT:
		return ei_copy_pid();
	case ERL_PORT_EXT:
	case ERL_NEW_PORT_EXT:
	case ERL_V4_PORT_EXT:
		return ei_copy_port();
	case ERL_REFERENCE_EXT:
	case ERL_NEW_REFERENCE_EXT:
	case ERL_NEWER_REFERENCE_EXT:
		return ei_copy_ref();
	case ERL_FUN_EXT:
	case ERL_NEW_FUN_EXT:
	case ERL_EXPORT_EXT:
		return ei_copy_fun();
	default:
		ck_abort_msg("ei says that %d comes", type);
	}
}

/* ---- there and back ---- */

static void ei_copies_all(const void *data, size_t len)
{
	int version, skipped;

	from = data;
	at = 0;
	ei_works(ei_decode_version(from, &at, &version));
	skipped = at;
	ei_works(ei_skip_term(from, &skipped));
	ck_assert_int_eq(skipped, (int)len);
	ei_works(ei_x_new_with_version(&to));
	ei_copy();
	ck_assert_int_eq(at, (int)len);
}

/* As copy_term has it: with it any encoding of a term is the same. */
static void rewrite(const void *data, size_t len, struct reclaim_writer *anew)
{
	struct reclaim_reader reader;

	ck_works(reclaim_reader_init(&reader, data, len));
	reclaim_writer_init(anew, NULL, 0);
	ck_works(copy_term(&reader, anew));
	ck_works(reclaim_get_end(&reader));
	ck_works(reclaim_writer_done(anew));
}

static void goes_there_and_back(unsigned depth)
{
	struct reclaim_writer ours, theirs;

	reclaim_writer_init(&writer, NULL, 0);
	put_any(depth);
	ck_works(reclaim_writer_done(&writer));
	rewrite(writer.data, writer.len, &ours);
	ei_copies_all(writer.data, writer.len);
	rewrite(to.buff, (size_t)to.index, &theirs);
	ck_assert_uint_eq(theirs.len, ours.len);
	ck_assert_mem_eq(theirs.data, ours.data, ours.len);
	ei_x_free(&to);
	reclaim_writer_end(&ours);
	reclaim_writer_end(&theirs);
	reclaim_writer_end(&writer);
}

START_TEST(ei_reads_what_we_write_and_we_what_it_writes)
{
	int round, rounds = under_valgrind() ? 500 : 20000;

	state = fixture_seed();
	for (round = 0; round < rounds; round++)
		goes_there_and_back(
			(unsigned)random_below(random_below(20) ? 5 : DEEP));
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "ei");

	ei_init();
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, ei_reads_what_we_write_and_we_what_it_writes);
}

int main(void)
{
	return stage_run("ei", fill);
}
