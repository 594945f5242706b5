/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms as bytes, by hand: what is read of them, and what is written.  Inputs
 * are in blocks of just their size, so that Valgrind and the sanitizer see a
 * step too far.
 */
#include "config.h"

#include <reclaim/term.h>

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stage.h"
#include "tests/terms.h"

static struct reclaim_reader reader;
static struct reclaim_writer writer;
static unsigned char *input;

/* ---- an input, and what is written ---- */

static int read_bytes(const void *bytes, size_t len)
{
	free(input);
	input = malloc(len ? len : 1);
	if (len)
		memcpy(input, bytes, len);
	return reclaim_reader_init(&reader, input, len);
}

static void forget_input(void)
{
	free(input);
	input = NULL;
}

/* Of a literal, without its NUL. */
#define reads(text)   ck_assert_int_eq(read_bytes(text, sizeof(text) - 1), 0)
#define refuses(text) ck_error(EBADMSG, read_bytes(text, sizeof(text) - 1))

#define ck_error(why, call)                   \
	do {                                  \
		errno = 0;                    \
		ck_assert_int_eq(call, -1);   \
		ck_assert_int_eq(errno, why); \
	} while (0)

static void ends(void)
{
	ck_assert_int_eq(reclaim_get_end(&reader), 0);
	ck_assert_int_eq(reclaim_reader_sort(&reader), RECLAIM_TERM_NONE);
	ck_assert_ptr_eq(reader.at, reader.end);
}

static void write_one(void)
{
	reclaim_writer_init(&writer, NULL, 0);
}

static void wrote_bytes(const void *bytes, size_t len)
{
	ck_assert_int_eq(reclaim_writer_done(&writer), 0);
	ck_assert_uint_eq(writer.len, len);
	ck_assert_mem_eq(writer.data, bytes, len);
	reclaim_writer_end(&writer);
}

#define wrote(text) wrote_bytes(text, sizeof(text) - 1)

/* ---- a term of each tag, and how it is written anew ---- */

static const struct sample {
	const char *bytes;
	size_t len;
	const char *again;
	size_t again_len;
	enum reclaim_sort sort;
} samples[] = {
#define AS(sort, text, other)                                     \
	{                                                         \
		text, sizeof(text) - 1, other, sizeof(other) - 1, \
			RECLAIM_TERM_##sort                       \
	}
#define IS(sort, text) AS(sort, text, text)
#define A	       "w\1a"
	AS(ATOM, "\203d\0\2ok", "\203w\2ok"),
	AS(ATOM, "\203s\2ok", "\203w\2ok"),
	AS(ATOM, "\203s\1\344", "\203w\2\303\244"),
	AS(ATOM, "\203v\0\2ok", "\203w\2ok"),
	IS(ATOM, "\203w\2ok"),
	IS(ATOM, "\203w\0"),
	IS(ATOM, "\203w\3a\0b"),
	IS(ATOM, "\203w\4\364\217\277\277"),
	IS(INTEGER, "\203a\0"),
	IS(INTEGER, "\203a\377"),
	AS(INTEGER, "\203b\0\0\0\1", "\203a\1"),
	IS(INTEGER, "\203b\377\377\377\377"),
	AS(INTEGER, "\203n\0\0", "\203a\0"),
	AS(INTEGER, "\203n\0\1", "\203a\0"),
	IS(INTEGER, "\203n\4\1\1\0\0\200"),
	IS(INTEGER, "\203n\10\0\377\377\377\377\377\377\377\377"),
	AS(INTEGER, "\203n\11\0\1\0\0\0\0\0\0\0\0", "\203a\1"),
	AS(INTEGER, "\203o\0\0\0\1\1\5", "\203b\377\377\377\373"),
	IS(BIG, "\203n\10\1\1\0\0\0\0\0\0\200"),
	IS(BIG, "\203n\11\1\1\2\3\4\5\6\7\10\11"),
	AS(BIG, "\203o\0\0\0\12\1\1\2\3\4\5\6\7\10\11\0",
	   "\203n\11\1\1\2\3\4\5\6\7\10\11"),
	IS(FLOAT, "\203F\77\370\0\0\0\0\0\0"),
	IS(FLOAT, "\203F\200\0\0\0\0\0\0\0"),
	AS(FLOAT, "\203c1.50000000000000000000e+00\0\0\0\0\0",
	   "\203F\77\370\0\0\0\0\0\0"),
	AS(FLOAT, "\203c-1.50000000000000000000000e+000",
	   "\203F\277\370\0\0\0\0\0\0"),
	IS(BINARY, "\203m\0\0\0\0"),
	IS(BINARY, "\203m\0\0\0\3abc"),
	AS(BINARY, "\203M\0\0\0\2\10ab", "\203m\0\0\0\2ab"),
	AS(BINARY, "\203M\0\0\0\0\0", "\203m\0\0\0\0"),
	IS(BITS, "\203M\0\0\0\1\1\200"),
	AS(BITS, "\203M\0\0\0\2\7a\377", "\203M\0\0\0\2\7a\376"),
	IS(TUPLE, "\203h\0"),
	IS(TUPLE, "\203h\2a\1a\2"),
	AS(TUPLE, "\203i\0\0\0\1a\1", "\203h\1a\1"),
	IS(LIST, "\203j"),
	AS(LIST, "\203k\0\0", "\203j"),
	AS(LIST, "\203k\0\2ab", "\203l\0\0\0\2aaabj"),
	AS(LIST, "\203l\0\0\0\0j", "\203j"),
	AS(LIST, "\203l\0\0\0\0a\1", "\203a\1"),
	IS(LIST, "\203l\0\0\0\1a\1j"),
	IS(LIST, "\203l\0\0\0\1a\1a\2"),
	AS(LIST, "\203l\0\0\0\1a\1k\0\1a", "\203l\0\0\0\1a\1l\0\0\0\1aaj"),
	AS(LIST, "\203l\0\0\0\1a\1k\0\0", "\203l\0\0\0\1a\1j"),
	IS(MAP, "\203t\0\0\0\0"),
	IS(MAP, "\203t\0\0\0\1a\1h\1j"),
	IS(PID, "\203g" A "\0\0\0\1\0\0\0\2\3"),
	IS(PID, "\203X" A "\0\0\0\1\0\0\0\2\0\0\0\3"),
	IS(PORT, "\203f" A "\0\0\0\1\2"),
	IS(PORT, "\203Y" A "\0\0\0\1\0\0\0\2"),
	IS(PORT, "\203x" A "\0\0\0\0\0\0\0\1\0\0\0\2"),
	IS(REFERENCE, "\203e" A "\0\0\0\1\2"),
	IS(REFERENCE, "\203r\0\1" A "\1\0\0\0\1"),
	IS(REFERENCE, "\203Z\0\3" A "\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0\3"),
	IS(FUN, "\203q" A A "a\2"),
#define UNIQ "0123456789abcdef"
#define OLD  A "a\1b\0\0\0\2g" A "\0\0\0\1\0\0\0\2\3"
	IS(FUN, "\203p\0\0\0\64\1" UNIQ "\0\0\0\1\0\0\0\0" OLD),
	IS(FUN, "\203p\0\0\0\71\1" UNIQ "\0\0\0\1\0\0\0\2" OLD "a\1h\1j"),
	IS(LOCAL, "\203y"),
	IS(LOCAL, "\203ywhatever it is"),
	IS(TUPLE, "\203h\3p\0\0\0\66\1" UNIQ "\0\0\0\1\0\0\0\1" OLD
		  "a\1t\0\0\0\1" A "m\0\0\0\1xl\0\0\0\1F\77\370\0\0\0\0\0\0M"
		  "\0\0\0\1\3\340"),
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

START_TEST(each_tag_is_read_and_written_anew)
{
	const struct sample *sample = &samples[_i];

	ck_assert_int_eq(read_bytes(sample->bytes, sample->len), 0);
	ck_assert_int_eq(reclaim_reader_sort(&reader), sample->sort);
	write_one();
	ck_assert_int_eq(copy_term(&reader, &writer), 0);
	ends();
	wrote_bytes(sample->again, sample->again_len);
}
END_TEST

START_TEST(each_tag_is_skipped_and_lent)
{
	const struct sample *sample = &samples[_i];
	const void *data;
	size_t len;

	read_bytes(sample->bytes, sample->len);
	ck_assert_int_eq(reclaim_get_skip(&reader), 0);
	ends();
	read_bytes(sample->bytes, sample->len);
	ck_assert_int_eq(reclaim_get_raw(&reader, &data, &len), 0);
	ends();
	ck_assert_ptr_eq(data, input + 1);
	ck_assert_uint_eq(len, sample->len - 1);
	write_one();
	ck_assert_int_eq(reclaim_put_raw(&writer, data, len), 0);
	wrote_bytes(sample->bytes, sample->len);
}
END_TEST

/* ---- one that is asked for, where there is another ---- */

static union {
	char atom[RECLAIM_ATOM_SIZE];
	unsigned char bytes[8];
	int truth;
	int64_t int64;
	uint64_t uint64;
	double number;
	uint32_t count;
} got;

static const void *lent;
static size_t lent_len;

static int get_atom(void)
{
	return reclaim_get_atom(&reader, got.atom);
}

static int get_this_atom(void)
{
	return reclaim_get_this_atom(&reader, "ok");
}

static int get_bool(void)
{
	return reclaim_get_bool(&reader, &got.truth);
}

static int get_int64(void)
{
	return reclaim_get_int64(&reader, &got.int64);
}

static int get_uint64(void)
{
	return reclaim_get_uint64(&reader, &got.uint64);
}

static int get_double(void)
{
	return reclaim_get_double(&reader, &got.number);
}

static int get_binary(void)
{
	return reclaim_get_binary(&reader, &lent, &lent_len);
}

static int get_bits(void)
{
	return reclaim_get_bits(&reader, &lent, &lent_len);
}

static int get_tuple(void)
{
	return reclaim_get_tuple(&reader, &got.count);
}

static int get_list(void)
{
	return reclaim_get_list(&reader, &got.count);
}

static int get_map(void)
{
	return reclaim_get_map(&reader, &got.count);
}

static int get_big(void)
{
	return reclaim_get_big(&reader, &got.truth, &lent, &lent_len);
}

static int get_iodata(void)
{
	return reclaim_get_iodata(&reader, got.bytes, sizeof(got.bytes),
				  &lent_len);
}

#define SORT(name) (1u << RECLAIM_TERM_##name)

/* Which sorts each may find; never another. */
static const struct getter {
	int (*get)(void);
	unsigned sorts;
} getters[] = {
	{get_atom, SORT(ATOM)},
	{get_this_atom, SORT(ATOM)},
	{get_bool, SORT(ATOM)},
	{get_int64, SORT(INTEGER)},
	{get_uint64, SORT(INTEGER)},
	{get_double, SORT(INTEGER) | SORT(BIG) | SORT(FLOAT)},
	{get_binary, SORT(BINARY)},
	{get_bits, SORT(BINARY) | SORT(BITS)},
	{get_tuple, SORT(TUPLE)},
	{get_list, SORT(LIST)},
	{get_map, SORT(MAP)},
	{get_big, SORT(BIG) | SORT(INTEGER)},
	{get_iodata, SORT(BINARY) | SORT(LIST)},
};

#define GETTERS (sizeof(getters) / sizeof(getters[0]))

static void nothing_more(int why)
{
	const unsigned char *at = reader.at;
	size_t i;

	for (i = 0; i < GETTERS; i++)
		ck_error(why, getters[i].get());
	ck_error(why, reclaim_get_skip(&reader));
	ck_error(why, reclaim_get_end(&reader));
	ck_error(why, reclaim_get_raw(&reader, &lent, &lent_len));
	ck_assert_int_eq(reclaim_reader_sort(&reader), RECLAIM_TERM_NONE);
	ck_assert_int_eq(reader.error, why);
	ck_assert_ptr_eq(reader.at, at);
}

START_TEST(another_sort_is_an_error_that_stays)
{
	const struct sample *sample = &samples[_i];
	const struct getter *getter;
	const unsigned char *at;

	for (getter = getters; getter < getters + GETTERS; getter++) {
		read_bytes(sample->bytes, sample->len);
		if (getter->sorts & 1u << sample->sort)
			continue;
		at = reader.at;
		errno = 0;
		ck_assert_int_eq(getter->get(), -1);
		/* A larger one is an integer all the same. */
		ck_assert_int_eq(errno,
				 sample->sort == RECLAIM_TERM_BIG &&
						 getter->sorts & SORT(INTEGER)
					 ? ERANGE
					 : EINVAL);
		ck_assert_ptr_eq(reader.at, at);
		nothing_more(errno);
	}
}
END_TEST

START_TEST(the_first_error_stays)
{
	ck_error(EBADMSG, read_bytes("", 0));
	nothing_more(EBADMSG);
	ck_error(EBADMSG, reclaim_reader_init(&reader, NULL, 0));
	nothing_more(EBADMSG);
	reads("\203n\10\0\377\377\377\377\377\377\377\377");
	ck_error(ERANGE, get_int64());
	nothing_more(ERANGE);
	reads("\203a\1");
	ck_error(EINVAL, reclaim_get_end(&reader));
	nothing_more(EINVAL);
	reads("\203a\1");
	ck_assert_int_eq(get_int64(), 0);
	ends();
	ends();
	ck_error(EINVAL, get_int64());
	nothing_more(EINVAL);
}
END_TEST

START_TEST(a_copy_of_the_reader_goes_back)
{
	struct reclaim_reader before;

	reads("\203h\2a\1k\0\2ab");
	get_tuple();
	before = reader;
	ck_error(EINVAL, get_atom());
	reader = before;
	ck_assert_int_eq(get_int64(), 0);
	get_list();
	get_int64();
	before = reader;
	reclaim_get_skip(&reader);
	ends();
	reader = before;
	ck_assert_int_eq(get_int64(), 0);
	ck_assert_int_eq(got.int64, 'b');
	ends();
}
END_TEST

/* ---- integers ---- */

#define SOME (-77)

static const struct integer {
	const char *bytes;
	size_t len;
	int is_int64, is_uint64;
	int64_t int64;
	uint64_t uint64;
} integers[] = {
#define INT(text, ...)                              \
	{                                           \
		text, sizeof(text) - 1, __VA_ARGS__ \
	}
	INT("\203a\0", 1, 1, 0, 0),
	INT("\203a\377", 1, 1, 255, 255),
	INT("\203b\0\0\1\0", 1, 1, 256, 256),
	INT("\203b\177\377\377\377", 1, 1, INT32_MAX, INT32_MAX),
	INT("\203b\200\0\0\0", 1, 0, INT32_MIN, 0),
	INT("\203b\377\377\377\377", 1, 0, -1, 0),
	INT("\203n\4\0\0\0\0\200", 1, 1, 1LL << 31, 1ULL << 31),
	INT("\203n\4\1\1\0\0\200", 1, 0, -1 - (1LL << 31), 0),
	INT("\203n\4\0\377\377\377\377", 1, 1, UINT32_MAX, UINT32_MAX),
	INT("\203n\5\0\0\0\0\0\1", 1, 1, 1LL << 32, 1ULL << 32),
	INT("\203n\10\0\377\377\377\377\377\377\377\177", 1, 1, INT64_MAX,
	    INT64_MAX),
	INT("\203n\10\0\0\0\0\0\0\0\0\200", 0, 1, 0, 1ULL << 63),
	INT("\203n\10\1\0\0\0\0\0\0\0\200", 1, 0, INT64_MIN, 0),
	INT("\203n\10\1\1\0\0\0\0\0\0\200", 0, 0, 0, 0),
	INT("\203n\10\0\377\377\377\377\377\377\377\377", 0, 1, 0, UINT64_MAX),
	INT("\203n\10\1\377\377\377\377\377\377\377\377", 0, 0, 0, 0),
	INT("\203n\11\0\0\0\0\0\0\0\0\0\1", 0, 0, 0, 0),
};

#define INTEGERS (sizeof(integers) / sizeof(integers[0]))

static void reads_integer(const struct integer *integer, const void *bytes,
			  size_t len)
{
	ck_assert_int_eq(read_bytes(bytes, len), 0);
	ck_assert_int_eq(reclaim_reader_sort(&reader),
			 integer->is_int64 || integer->is_uint64
				 ? RECLAIM_TERM_INTEGER
				 : RECLAIM_TERM_BIG);
	if (integer->is_int64) {
		ck_assert_int_eq(get_int64(), 0);
		ck_assert_int_eq(got.int64, integer->int64);
		ends();
	} else {
		ck_error(ERANGE, get_int64());
	}
	read_bytes(bytes, len);
	if (integer->is_uint64) {
		ck_assert_int_eq(get_uint64(), 0);
		ck_assert_uint_eq(got.uint64, integer->uint64);
		ends();
	} else {
		ck_error(ERANGE, get_uint64());
	}
}

START_TEST(integers_are_read_where_they_fit)
{
	reads_integer(&integers[_i], integers[_i].bytes, integers[_i].len);
}
END_TEST

/* The same as a large big with 300 zeros in front, for the eye. */
START_TEST(zeros_in_front_of_a_big_do_not_count)
{
	const struct integer *integer = &integers[_i];
	unsigned char bytes[400] = "\203o\0\0";
	size_t digits = (unsigned char)integer->bytes[2];

	if (integer->bytes[1] != 'n')
		return;
	bytes[4] = (unsigned char)((digits + 300) >> 8);
	bytes[5] = (unsigned char)(digits + 300);
	memcpy(bytes + 6, integer->bytes + 3, digits + 1);
	reads_integer(integer, bytes, 6 + 1 + digits + 300);
}
END_TEST

START_TEST(integers_are_written_in_the_shortest_form)
{
	const struct integer *integer = &integers[_i];

	if (integer->is_int64) {
		write_one();
		reclaim_put_int64(&writer, integer->int64);
		wrote_bytes(integer->bytes, integer->len);
	}
	if (integer->is_uint64) {
		write_one();
		reclaim_put_uint64(&writer, integer->uint64);
		wrote_bytes(integer->bytes, integer->len);
	}
	if (integer->bytes[1] == 'n') {
		write_one();
		reclaim_put_big(&writer, integer->bytes[3], integer->bytes + 4,
				integer->len - 4);
		wrote_bytes(integer->bytes, integer->len);
	}
}
END_TEST

START_TEST(bigs_of_255_and_256_bytes_have_their_tags)
{
	unsigned char digits[257], expected[300];
	size_t len;

	memset(digits, 7, sizeof(digits));
	digits[256] = 0;
	memset(expected, 7, sizeof(expected));
	memcpy(expected, "\203n\377\1", 4);
	write_one();
	reclaim_put_big(&writer, 5, digits, 255);
	wrote_bytes(expected, 4 + 255);
	memcpy(expected, "\203o\0\0\1\0\0", 7);
	write_one();
	reclaim_put_big(&writer, 0, digits, 257);
	wrote_bytes(expected, 7 + 256);
	read_bytes(expected, 7 + 256);
	ck_assert_int_eq(reclaim_get_big(&reader, &got.truth, &lent, &len), 0);
	ck_assert_int_eq(got.truth, 0);
	ck_assert_uint_eq(len, 256);
	ck_assert_mem_eq(lent, digits, 256);
	ends();
}
END_TEST

START_TEST(no_bytes_at_all_are_zero)
{
	write_one();
	reclaim_put_big(&writer, 1, NULL, 0);
	wrote("\203a\0");
}
END_TEST

/* ---- floats ---- */

static void reads_double(double value)
{
	ck_assert_int_eq(get_double(), 0);
	ck_assert(memcmp(&got.number, &value, sizeof(value)) == 0);
	ends();
}

START_TEST(floats_are_read_as_they_were_written)
{
	static const double values[] = {0.0,	 -0.0,	  1.5,	       -1e300,
					DBL_MAX, DBL_MIN, DBL_MIN / 4, 0.1};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		write_one();
		ck_assert_int_eq(reclaim_put_double(&writer, values[i]), 0);
		read_bytes(writer.data, writer.len);
		reclaim_writer_end(&writer);
		reads_double(values[i]);
	}
}
END_TEST

START_TEST(floats_as_text_are_read_in_any_locale)
{
	char text[64] = "\203c";
	static const double values[] = {0.0, -1.5, DBL_MAX, DBL_MIN, 0.1};
	size_t i;

	/* Where it is not there, this tests the plain one again. */
	setlocale(LC_NUMERIC, "de_DE.UTF-8");
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setlocale(LC_NUMERIC, "C");
		snprintf(text + 2, 32, "%.20e", values[i]);
		setlocale(LC_NUMERIC, "de_DE.UTF-8");
		ck_assert_int_eq(read_bytes(text, 33), 0);
		reads_double(values[i]);
	}
	setlocale(LC_NUMERIC, "C");
}
END_TEST

#define N30 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

START_TEST(what_is_no_float_is_refused)
{
	refuses("\203F\177\360\0\0\0\0\0\0");
	refuses("\203F\377\360\0\0\0\0\0\0");
	refuses("\203F\177\370\0\0\0\0\0\0");
	refuses("\203c\0" N30);
	refuses("\203c1" N30);
	refuses("\203c1.0e+999\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	refuses("\203c0x1.0p+3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	refuses("\203c1.0.0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	refuses("\203c "
		"1.0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	refuses("\203cinf\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		"\0");
	refuses("\203c"
		"1234567890123456789012345678901");
	refuses("\203c"
		".......... .......... ..........");
	refuses("\203c1.00000000000000000000e+00\0\0\0\0");
	write_one();
	ck_error(EINVAL, reclaim_put_double(&writer, INFINITY));
	ck_error(EINVAL, reclaim_put_double(&writer, 1.0));
	ck_error(EINVAL, reclaim_writer_done(&writer));
	reclaim_writer_end(&writer);
	write_one();
	ck_error(EINVAL, reclaim_put_double(&writer, (double)NAN));
	reclaim_writer_end(&writer);
}
END_TEST

START_TEST(an_integer_may_be_had_as_a_float)
{
	reads("\203a\7");
	reads_double(7.0);
	reads("\203b\377\377\377\376");
	reads_double(-2.0);
	reads("\203n\10\0\0\0\0\0\0\0\0\200");
	reads_double(9223372036854775808.0);
	reads("\203n\11\0\0\0\0\0\0\0\0\0\1");
	ck_error(ERANGE, get_double());
}
END_TEST

/* ---- atoms ---- */

/* The head, and so many times the character. */
static size_t repeat(unsigned char *at, const char *head, size_t head_len,
		     const char *character, size_t times)
{
	size_t len = strlen(character), i;

	memcpy(at, head, head_len);
	for (i = 0; i < times; i++)
		memcpy(at + head_len + i * len, character, len);
	return head_len + times * len;
}

static void reads_atom_of(const char *head, const char *character,
			  const char *utf8)
{
	unsigned char bytes[1100];
	char expected[RECLAIM_ATOM_SIZE];
	size_t len;

	len = repeat(bytes, head, 4, character, 255);
	repeat((unsigned char *)expected, "", 0, utf8, 255);
	expected[255 * strlen(utf8)] = '\0';
	ck_assert_int_eq(read_bytes(bytes, len), 0);
	ck_assert_int_eq(reclaim_get_this_atom(&reader, expected), 0);
	ends();
	read_bytes(bytes, len);
	ck_assert_int_eq(get_atom(), 0);
	ck_assert_str_eq(got.atom, expected);
	ends();
	write_one();
	ck_assert_int_eq(reclaim_put_atom(&writer, expected), 0);
	ck_assert_int_eq(reclaim_writer_done(&writer), 0);
	read_bytes(writer.data, writer.len);
	ck_assert_int_eq(reclaim_get_this_atom(&reader, expected), 0);
	reclaim_writer_end(&writer);
}

START_TEST(atoms_of_255_characters)
{
	reads_atom_of("\203d\0\377", "\377", "\303\277");
	reads_atom_of("\203d\0\377", "x", "x");
	reads_atom_of("\203v\0\377", "y", "y");
	reads_atom_of("\203v\1\376", "\303\277", "\303\277");
	reads_atom_of("\203v\2\375", "\342\202\254", "\342\202\254");
	reads_atom_of("\203v\3\374", "\364\217\277\277", "\364\217\277\277");
}
END_TEST

START_TEST(atoms_of_256_characters_are_none)
{
	unsigned char bytes[1100];
	char text[1100];
	size_t len;

	len = repeat(bytes, "\203d\1\0", 4, "\377", 256);
	ck_error(EBADMSG, read_bytes(bytes, len));
	len = repeat(bytes, "\203v\1\0", 4, "x", 256);
	ck_error(EBADMSG, read_bytes(bytes, len));
	len = repeat(bytes, "\203v\4\0", 4, "\360\220\200\200", 256);
	ck_error(EBADMSG, read_bytes(bytes, len));
	len = repeat((unsigned char *)text, "", 0, "x", 256);
	text[len] = '\0';
	write_one();
	ck_error(EINVAL, reclaim_put_atom(&writer, text));
	reclaim_writer_end(&writer);
}
END_TEST

START_TEST(an_atom_of_255_bytes_is_small_and_of_256_not)
{
	char text[257];
	unsigned char expected[300];
	size_t len;

	/* 127 of two bytes and one; 128 of two. */
	len = repeat(expected, "\203w\377", 3, "\303\277", 127);
	expected[len++] = 'x';
	memcpy(text, expected + 3, 255);
	text[255] = '\0';
	write_one();
	reclaim_put_atom(&writer, text);
	wrote_bytes(expected, len);
	len = repeat(expected, "\203v\1\0", 4, "\303\277", 128);
	memcpy(text, expected + 4, 256);
	text[256] = '\0';
	write_one();
	reclaim_put_atom(&writer, text);
	wrote_bytes(expected, len);
}
END_TEST

static const char *const no_utf8[] = {
	"\200",
	"\277",
	"\300\200",
	"\301\277",
	"\302",
	"\302a",
	"\302\300",
	"\340\237\277",
	"\340\240",
	"\355\240\200",
	"\355\277\277",
	"\357\277",
	"\360\217\277\277",
	"\360\220\200",
	"\364\220\200\200",
	"\365\200\200\200",
	"\377",
};

START_TEST(text_that_is_no_utf8_is_refused)
{
	const char *text = no_utf8[_i];
	unsigned char bytes[16] = "\203h\2w";
	size_t len = strlen(text);

	bytes[4] = (unsigned char)len;
	memcpy(bytes + 5, text, len);
	memcpy(bytes + 5 + len, "j", 1);
	ck_error(EBADMSG, read_bytes(bytes, 6 + len));
	write_one();
	ck_error(EINVAL, reclaim_put_atom(&writer, text));
	reclaim_writer_end(&writer);
}
END_TEST

START_TEST(an_atom_with_a_nul_is_not_the_shorter_one)
{
	reads("\203w\5true\0");
	ck_error(EINVAL, get_atom());
	reads("\203w\5true\0");
	ck_error(EINVAL, get_bool());
	reads("\203d\0\3ok\0");
	ck_error(EINVAL, get_this_atom());
}
END_TEST

START_TEST(true_and_false_are_what_is_true_and_false)
{
	reads("\203h\2w\4trued\0\5false");
	get_tuple();
	ck_assert_int_eq(get_bool(), 0);
	ck_assert_int_eq(got.truth, 1);
	ck_assert_int_eq(get_bool(), 0);
	ck_assert_int_eq(got.truth, 0);
	ends();
	reads("\203w\5true ");
	ck_error(EINVAL, get_bool());
	write_one();
	reclaim_put_tuple(&writer, 2);
	reclaim_put_bool(&writer, 7);
	reclaim_put_bool(&writer, 0);
	wrote("\203h\2w\4truew\5false");
}
END_TEST

/* ---- bytes and bits ---- */

START_TEST(binaries_are_lent_in_place)
{
	reads("\203h\2m\0\0\0\2abM\0\0\0\2\10cd");
	get_tuple();
	ck_assert_int_eq(get_binary(), 0);
	ck_assert_ptr_eq(lent, input + 8);
	ck_assert_uint_eq(lent_len, 2);
	ck_assert_int_eq(get_binary(), 0);
	ck_assert_ptr_eq(lent, input + 16);
	ck_assert_uint_eq(lent_len, 2);
	ends();
}
END_TEST

START_TEST(bits_are_counted)
{
	reads("\203h\4M\0\0\0\2\3a\340M\0\0\0\1\1\200m\0\0\0\1bM\0\0\0\0\0");
	get_tuple();
	ck_assert_int_eq(get_bits(), 0);
	ck_assert_uint_eq(lent_len, 11);
	ck_assert_mem_eq(lent, "a\340", 2);
	ck_assert_int_eq(get_bits(), 0);
	ck_assert_uint_eq(lent_len, 1);
	ck_assert_int_eq(get_bits(), 0);
	ck_assert_uint_eq(lent_len, 8);
	ck_assert_mem_eq(lent, "b", 1);
	ck_assert_int_eq(get_bits(), 0);
	ck_assert_uint_eq(lent_len, 0);
	ends();
	refuses("\203M\0\0\0\1\0a");
	refuses("\203M\0\0\0\1\11a");
	refuses("\203M\0\0\0\0\1");
	write_one();
	reclaim_put_tuple(&writer, 3);
	reclaim_put_bits(&writer, NULL, 0);
	reclaim_put_bits(&writer, "a\377", 11);
	reclaim_put_bits(&writer, "ab", 16);
	wrote("\203h\3m\0\0\0\0M\0\0\0\2\3a\340m\0\0\0\2ab");
}
END_TEST

/* ---- terms with terms in them ---- */

START_TEST(a_string_is_the_list_that_it_is)
{
	static const struct {
		const char *bytes;
		size_t len;
	} both[] = {{"\203h\2k\0\2a\377j", 9},
		    {"\203h\2l\0\0\0\2aaa\377jj", 14}};
	int i;

	for (i = 0; i < 2; i++) {
		read_bytes(both[i].bytes, both[i].len);
		get_tuple();
		ck_assert_int_eq(get_list(), 0);
		ck_assert_uint_eq(got.count, 2);
		ck_assert_int_eq(get_int64(), 0);
		ck_assert_int_eq(got.int64, 'a');
		ck_assert_int_eq(reclaim_reader_sort(&reader),
				 RECLAIM_TERM_INTEGER);
		reclaim_get_raw(&reader, &lent, &lent_len);
		ck_assert_uint_eq(lent_len, 2);
		ck_assert_mem_eq(lent, "a\377", 2);
		reclaim_get_raw(&reader, &lent, &lent_len);
		ck_assert_uint_eq(lent_len, 1);
		ck_assert_mem_eq(lent, "j", 1);
		ck_assert_int_eq(get_list(), 0);
		ck_assert_uint_eq(got.count, 0);
		ck_assert_int_eq(reclaim_get_end(&reader), 0);
		ends();
	}
}
END_TEST

START_TEST(a_string_is_not_left_before_its_end)
{
	reads("\203k\0\2ab");
	get_list();
	ck_error(EINVAL, reclaim_get_end(&reader));
	reads("\203k\0\2ab");
	get_list();
	ck_error(EINVAL, get_binary());
	reads("\203k\0\1a");
	get_list();
	get_int64();
	ck_error(EINVAL, get_int64());
	reads("\203k\0\1a");
	get_list();
	ck_assert_int_eq(get_double(), 0);
	ck_assert_int_eq(reclaim_reader_sort(&reader), RECLAIM_TERM_LIST);
	ck_assert_int_eq(reclaim_get_skip(&reader), 0);
	ends();
}
END_TEST

START_TEST(a_list_may_end_in_any_term)
{
	reads("\203h\2l\0\0\0\1a\1w\2okl\0\0\0\1a\1k\0\1b");
	get_tuple();
	get_list();
	get_int64();
	ck_assert_int_eq(get_this_atom(), 0);
	get_list();
	get_int64();
	ck_assert_int_eq(get_list(), 0);
	ck_assert_uint_eq(got.count, 1);
	get_int64();
	ck_assert_int_eq(reclaim_get_end(&reader), 0);
	ends();
	reads("\203l\0\0\0\1a\1w\2ok");
	get_list();
	get_int64();
	ck_error(EINVAL, reclaim_get_end(&reader));
	write_one();
	reclaim_put_list(&writer, 1);
	reclaim_put_int64(&writer, 1);
	reclaim_put_atom(&writer, "ok");
	wrote("\203l\0\0\0\1a\1w\2ok");
	write_one();
	reclaim_put_list(&writer, 0);
	reclaim_put_end(&writer);
	wrote("\203j");
}
END_TEST

START_TEST(a_tuple_of_255_is_small_and_of_256_not)
{
	unsigned char expected[300];
	size_t len, arity, i;

	for (arity = 255; arity <= 256; arity++) {
		write_one();
		reclaim_put_tuple(&writer, (uint32_t)arity);
		for (i = 0; i < arity; i++)
			reclaim_put_end(&writer);
		len = arity == 255
			      ? repeat(expected, "\203h\377", 3, "j", 255)
			      : repeat(expected, "\203i\0\0\1\0", 6, "j", 256);
		wrote_bytes(expected, len);
		read_bytes(expected, len);
		ck_assert_int_eq(get_tuple(), 0);
		ck_assert_uint_eq(got.count, arity);
	}
}
END_TEST

START_TEST(a_string_of_65535_is_one_and_of_65536_a_list)
{
	static char text[65537];
	size_t len, i;

	memset(text, 0xe4, sizeof(text));
	for (len = 65535; len <= 65536; len++) {
		text[65536] = '\0';
		text[len] = '\0';
		write_one();
		ck_assert_int_eq(reclaim_put_string(&writer, text), 0);
		ck_assert_int_eq(reclaim_writer_done(&writer), 0);
		ck_assert_uint_eq(writer.len,
				  len == 65535 ? 4 + len : 6 + 2 * len + 1);
		read_bytes(writer.data, writer.len);
		reclaim_writer_end(&writer);
		ck_assert_int_eq(get_list(), 0);
		ck_assert_uint_eq(got.count, len);
		for (i = 0; i < len; i++) {
			get_int64();
			ck_assert_int_eq(got.int64, 0xe4);
		}
		ck_assert_int_eq(reclaim_get_end(&reader), 0);
		ends();
		text[len] = (char)0xe4;
	}
	write_one();
	reclaim_put_string(&writer, "");
	wrote("\203j");
}
END_TEST

/* ---- iodata ---- */

static void flattens_bytes(const void *bytes, size_t len, const char *flat)
{
	size_t flat_len = strlen(flat), size;
	char buf[32];

	for (size = 0; size < sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		read_bytes(bytes, len);
		ck_assert_int_eq(reclaim_get_iodata(&reader, size ? buf : NULL,
						    size, &lent_len),
				 0);
		ends();
		ck_assert_uint_eq(lent_len, flat_len);
		ck_assert_mem_eq(buf, flat, size < flat_len ? size : flat_len);
		ck_assert_int_eq(buf[size < flat_len ? size : flat_len], '#');
	}
}

#define flattens(text, flat) flattens_bytes(text, sizeof(text) - 1, flat)

START_TEST(iodata_is_flattened)
{
	flattens("\203m\0\0\0\3abc", "abc");
	flattens("\203M\0\0\0\3\10abc", "abc");
	flattens("\203j", "");
	flattens("\203k\0\0", "");
	flattens("\203k\0\3abc", "abc");
	flattens("\203l\0\0\0\1aaj", "a");
	flattens("\203l\0\0\0\1aam\0\0\0\2bc", "abc");
	flattens("\203l\0\0\0\1aak\0\2bc", "abc");
	flattens("\203l\0\0\0\3k\0\2abl\0\0\0\1jjm\0\0\0\1cj", "abc");
	flattens("\203l\0\0\0\1aal\0\0\0\1abl\0\0\0\1acj", "abc");
	flattens("\203l\0\0\0\0m\0\0\0\1a", "a");
	flattens("\203l\0\0\0\1n\1\0aj", "a");
}
END_TEST

#define no_iodata(text)                                                    \
	do {                                                               \
		reads(text);                                               \
		ck_error(EINVAL,                                           \
			 reclaim_get_iodata(&reader, NULL, 0, &lent_len)); \
		nothing_more(EINVAL);                                      \
	} while (0)

START_TEST(what_is_no_iodata_is_refused)
{
	no_iodata("\203a\1");
	no_iodata("\203w\2ok");
	no_iodata("\203M\0\0\0\1\7\2");
	no_iodata("\203l\0\0\0\1b\0\0\1\0j");
	no_iodata("\203l\0\0\0\1aaab");
	no_iodata("\203l\0\0\0\1w\1aj");
	no_iodata("\203l\0\0\0\1h\0j");
	no_iodata("\203l\0\0\0\1aaM\0\0\0\1\7\2");
	reads("\203l\0\0\0\1b\377\377\377\377j");
	ck_error(ERANGE, reclaim_get_iodata(&reader, NULL, 0, &lent_len));
}
END_TEST

/* ---- how deep ---- */

/* The head so many times, a term, and the tail so many times. */
static int read_nested(const char *head, size_t head_len, const char *tail,
		       size_t depth)
{
	size_t tail_len = strlen(tail), len, i;
	unsigned char *bytes, *at;
	int result;

	len = 1 + depth * (head_len + tail_len) + 1;
	at = bytes = malloc(len);
	*at++ = 131;
	for (i = 0; i < depth; i++, at += head_len)
		memcpy(at, head, head_len);
	*at++ = 'j';
	for (i = 0; i < depth; i++, at += tail_len)
		memcpy(at, tail, tail_len);
	result = read_bytes(bytes, len);
	free(bytes);
	return result;
}

static const struct {
	const char *head;
	size_t len;
	const char *tail;
} nests[] = {
	{"h\1", 2, ""},	       {"h\2j", 3, ""},	      {"h\2", 2, "j"},
	{"i\0\0\0\1", 5, ""},  {"l\0\0\0\1", 5, "j"}, {"l\0\0\0\1j", 6, ""},
	{"t\0\0\0\1j", 6, ""}, {"t\0\0\0\1", 5, "j"},
};

START_TEST(as_deep_as_256_and_no_deeper)
{
	const char *head = nests[_i].head, *tail = nests[_i].tail;
	size_t len = nests[_i].len;

	ck_assert_int_eq(read_nested(head, len, tail, 255), 0);
	ck_assert_int_eq(read_nested(head, len, tail, 256), 0);
	write_one();
	ck_assert_int_eq(copy_term(&reader, &writer), 0);
	ck_assert_int_eq(reclaim_reader_init(&reader, writer.data, writer.len),
			 0);
	reclaim_writer_end(&writer);
	ck_error(EBADMSG, read_nested(head, len, tail, 257));
	ck_error(EBADMSG, read_nested(head, len, tail, 1000000));
}
END_TEST

START_TEST(a_string_is_as_deep_as_a_list)
{
	unsigned char bytes[600];
	size_t len;

	len = repeat(bytes, "\203", 1, "h\1", 255);
	memcpy(bytes + len, "k\0\1a", 4);
	ck_assert_int_eq(read_bytes(bytes, len + 4), 0);
	len = repeat(bytes, "\203", 1, "h\1", 256);
	memcpy(bytes + len, "k\0\1a", 4);
	ck_error(EBADMSG, read_bytes(bytes, len + 4));
	memcpy(bytes + len, "k\0\0", 3);
	ck_assert_int_eq(read_bytes(bytes, len + 3), 0);
}
END_TEST

/* A fun whose one variable is a fun, and so on; each counts its bytes. */
static int read_funs(size_t depth)
{
	static const char head[] = "p\0\0\0\0\1" UNIQ "\0\0\0\1\0\0\0\1" OLD;
	size_t each = sizeof(head) - 1, len = 1 + depth * each + 1, i, count;
	unsigned char *bytes = malloc(len);
	int result;

	bytes[0] = 131;
	bytes[len - 1] = 'j';
	for (i = 0; i < depth; i++) {
		memcpy(bytes + 1 + i * each, head, each);
		count = (depth - i) * each; /* and a variable, less the tag */
		bytes[1 + i * each + 1] = (unsigned char)(count >> 24);
		bytes[1 + i * each + 2] = (unsigned char)(count >> 16);
		bytes[1 + i * each + 3] = (unsigned char)(count >> 8);
		bytes[1 + i * each + 4] = (unsigned char)count;
	}
	result = read_bytes(bytes, len);
	free(bytes);
	return result;
}

START_TEST(funs_are_as_deep)
{
	ck_assert_int_eq(read_funs(1), 0);
	ck_assert_int_eq(read_funs(256), 0);
	ck_error(EBADMSG, read_funs(257));
	ck_error(EBADMSG, read_funs(1000000));
}
END_TEST

START_TEST(a_fun_is_as_long_as_it_says)
{
	refuses("\203p\0\0\0\63\1" UNIQ "\0\0\0\1\0\0\0\0" OLD);
	refuses("\203p\0\0\0\65\1" UNIQ "\0\0\0\1\0\0\0\0" OLD);
	refuses("\203h\2p\0\0\0\65\1" UNIQ "\0\0\0\1\0\0\0\0" OLD "j");
	refuses("\203p\0\0\0\0\1" UNIQ "\0\0\0\1\0\0\0\0" OLD);
	refuses("\203p\377\377\377\377\1" UNIQ "\0\0\0\1\0\0\0\0" OLD);
	refuses("\203p\0\0\0\65\1" UNIQ "\0\0\0\1\377\377\377\377" OLD "j");
	refuses("\203p\0\0\0\64\1" UNIQ "\0\0\0\1\0\0\0\1" OLD);
	/* The parts in another order. */
	refuses("\203p\0\0\0\64\1" UNIQ "\0\0\0\1\0\0\0\0"
		"a\1b\0\0\0\2g" A "\0\0\0\1\0\0\0\2\3" A);
}
END_TEST

START_TEST(the_emulators_own_is_no_part)
{
	refuses("\203h\1ywhatever");
	refuses("\203l\0\0\0\1jywhatever");
	write_one();
	reclaim_put_tuple(&writer, 1);
	ck_error(EINVAL, reclaim_put_raw(&writer, "ywhatever", 9));
	reclaim_writer_end(&writer);
}
END_TEST

/* ---- what is no term ---- */

START_TEST(each_cut_of_a_term_is_refused)
{
	const struct sample *sample = &samples[_i];
	size_t len;

	if (sample->sort == RECLAIM_TERM_LOCAL)
		return;
	for (len = 0; len < sample->len; len++)
		ck_error(EBADMSG, read_bytes(sample->bytes, len));
}
END_TEST

START_TEST(more_behind_a_term_is_refused)
{
	const struct sample *sample = &samples[_i];
	unsigned char bytes[256];

	if (sample->sort == RECLAIM_TERM_LOCAL)
		return;
	memcpy(bytes, sample->bytes, sample->len);
	bytes[sample->len] = 'j';
	ck_error(EBADMSG, read_bytes(bytes, sample->len + 1));
}
END_TEST

/* Whatever is taken can be copied, and the copy is its own copy. */
static void copies_to_itself(void)
{
	struct reclaim_writer first, second;

	reclaim_writer_init(&first, NULL, 0);
	ck_assert_int_eq(copy_term(&reader, &first), 0);
	ends();
	ck_assert_int_eq(reclaim_writer_done(&first), 0);
	ck_assert_int_eq(reclaim_reader_init(&reader, first.data, first.len),
			 0);
	reclaim_writer_init(&second, NULL, 0);
	ck_assert_int_eq(copy_term(&reader, &second), 0);
	ends();
	ck_assert_uint_eq(second.len, first.len);
	ck_assert_mem_eq(second.data, first.data, first.len);
	reclaim_writer_end(&first);
	reclaim_writer_end(&second);
}

START_TEST(any_byte_changed_to_any_other_does_no_harm)
{
	const struct sample *sample = &samples[_i];
	unsigned char bytes[256];
	size_t at, getter;
	int value;

	for (at = 0; at < sample->len; at++) {
		memcpy(bytes, sample->bytes, sample->len);
		for (value = 0; value < 256;
		     value += under_valgrind() ? 5 : 1) {
			bytes[at] = (unsigned char)value;
			if (read_bytes(bytes, sample->len) < 0) {
				ck_assert_int_eq(errno, EBADMSG);
				continue;
			}
			copies_to_itself();
			getter = (size_t)value % GETTERS;
			read_bytes(bytes, sample->len);
			getters[getter].get();
		}
	}
}
END_TEST

/* As many as can be said, and close to where 32 and 64 bits end. */
START_TEST(lengths_that_cannot_be_are_refused)
{
	static const char tags[] = "mMoilptk";
	static const uint32_t counts[] = {
		0x7fffffff, 0x80000000, 0x80000001, 0xfffffff8, 0xfffffffb,
		0xfffffffc, 0xfffffffe, 0xffffffff, 0x01000000, 0x10000};
	unsigned char bytes[64];
	const char *tag;
	size_t i, len;
	int shift;

	for (tag = tags; *tag; tag++)
		for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			memset(bytes, 'j', sizeof(bytes));
			bytes[0] = 131;
			bytes[1] = (unsigned char)*tag;
			for (shift = 0; shift < 4; shift++)
				bytes[2 + shift] =
					(unsigned char)(counts[i] >>
							(24 - 8 * shift));
			if (*tag == 'k')
				memset(bytes + 2, 0xff, 2);
			for (len = 6; len <= sizeof(bytes); len++)
				ck_error(EBADMSG, read_bytes(bytes, len));
		}
	refuses("\203r\0\0" A "\1");
	refuses("\203r\0\6" A "\1"
		"1234123412341234123412341234");
	refuses("\203r\377\377" A "\1\0\0\0\1");
	refuses("\203Z\377\377" A "\0\0\0\1\0\0\0\1");
}
END_TEST

START_TEST(unknown_tags_and_versions_are_refused)
{
	static const char known[] = "dsvwabnoFcmMhijkltgXfYxerZqpy";
	unsigned char bytes[64] = {131};
	int tag;

	for (tag = 0; tag < 256; tag++)
		if (!tag || !strchr(known, tag)) {
			bytes[1] = (unsigned char)tag;
			ck_error(EBADMSG, read_bytes(bytes, 2));
			ck_error(EBADMSG, read_bytes(bytes, sizeof(bytes)));
		}
	refuses("j");
	refuses("\202j");
	refuses("\204j");
	refuses("\203");
	refuses("\203\203j");
	/* Parts that are no atoms. */
	refuses("\203g"
		"a\1"
		"\0\0\0\1\0\0\0\2\3");
	refuses("\203q" A "ja\2");
	refuses("\203q" A A "b\2");
	refuses("\203gg" A "\0\0\0\1\0\0\0\2\3\0\0\0\1\0\0\0\2\3");
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
	static const char tags[] = "dsvwabnoFcmMhijkltgXfYxerZqpyhhllt";
	unsigned char bytes[48];
	uint64_t state = fixture_seed();
	size_t len, i;
	int round, rounds = under_valgrind() ? 5000 : 200000;

	for (round = 0; round < rounds; round++) {
		len = 1 + fixture_random(&state) % (sizeof(bytes) - 1);
		for (i = 0; i < len; i++)
			bytes[i] = (unsigned char)(fixture_random(&state) % 4);
		for (i = 1; i < len; i += 1 + fixture_random(&state) % 7)
			bytes[i] = (unsigned char)tags[fixture_random(&state) %
						       (sizeof(tags) - 1)];
		bytes[0] = 131;
		if (read_bytes(bytes, len) == 0)
			copies_to_itself();
	}
}
END_TEST

/* ---- writing ---- */

static void write_some(void)
{
	reclaim_put_tuple(&writer, 9);
	reclaim_put_atom(&writer, "resize");
	reclaim_put_int64(&writer, -1);
	reclaim_put_uint64(&writer, UINT64_MAX);
	reclaim_put_double(&writer, 1.5);
	reclaim_put_binary(&writer, "binary", 6);
	reclaim_put_bits(&writer, "\200", 1);
	reclaim_put_string(&writer, "string");
	reclaim_put_map(&writer, 1);
	reclaim_put_bool(&writer, 1);
	reclaim_put_big(&writer, 1, "\1\2\3\4\5\6\7\10\11", 9);
	reclaim_put_list(&writer, 1);
	reclaim_put_raw(&writer, "h\1j", 3);
	reclaim_put_end(&writer);
}

#define THAT                                                             \
	"\203h\11w\6resizeb\377\377\377\377n\10\0\377\377\377\377\377"   \
	"\377\377\377F\77\370\0\0\0\0\0\0m\0\0\0\6binaryM\0\0\0\1\1\200" \
	"k\0\6stringt\0\0\0\1w\4truen\11\1\1\2\3\4\5\6\7\10\11l\0\0\0\1" \
	"h\1jj"
#define THAT_LEN (sizeof(THAT) - 1)

START_TEST(each_term_is_written)
{
	write_one();
	write_some();
	wrote(THAT);
}
END_TEST

START_TEST(a_buffer_that_is_short_is_counted_on)
{
	unsigned char buf[THAT_LEN + 1];
	size_t size;

	for (size = 0; size < sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		reclaim_writer_init(&writer, buf, size);
		write_some();
		ck_assert_int_eq(writer.error, 0);
		ck_assert_uint_eq(writer.len, THAT_LEN);
		ck_assert_int_eq(buf[size], '#');
		if (size < THAT_LEN) {
			ck_error(ENOSPC, reclaim_writer_done(&writer));
		} else {
			ck_assert_int_eq(reclaim_writer_done(&writer), 0);
			ck_assert_mem_eq(buf, THAT, THAT_LEN);
		}
		reclaim_writer_end(&writer);
	}
}
END_TEST

/* Each size up to some kilobytes, and one of a megabyte. */
START_TEST(a_writer_grows)
{
	static unsigned char bytes[1 << 20];
	size_t len;

	memset(bytes, 'b', sizeof(bytes));
	for (len = 0; len <= sizeof(bytes);
	     len = len == 3000 ? sizeof(bytes) : len + 1) {
		write_one();
		ck_assert_int_eq(reclaim_put_binary(&writer, bytes, len), 0);
		ck_assert_int_eq(reclaim_writer_done(&writer), 0);
		ck_assert_uint_eq(writer.len, 6 + len);
		ck_assert_uint_le(writer.len, writer.size);
		ck_assert_mem_eq(writer.data + 6, bytes, len);
		reclaim_writer_end(&writer);
	}
}
END_TEST

static void start_and_leave(void)
{
	write_one();
	write_some();
}

START_TEST(its_memory_ends_with_the_task)
{
	in_task(start_and_leave);
}
END_TEST

static void fails_for_lack_of_memory(void)
{
	static const unsigned char bytes[4096];

	write_one();
	write_some();
	ck_error(ENOMEM, reclaim_put_binary(&writer, bytes, sizeof(bytes)));
	ck_error(ENOMEM, reclaim_put_end(&writer));
	ck_error(ENOMEM, reclaim_writer_done(&writer));
	reclaim_writer_end(&writer);
	ck_error(EINVAL, reclaim_writer_done(&writer));
	ck_error(EINVAL, reclaim_put_end(&writer));
	reclaim_writer_end(&writer);
}

START_TEST(no_memory_is_an_error_that_stays)
{
	struct reclaim_task_opts opts = {.max_bytes = 1};

	for (; opts.max_bytes < 4096; opts.max_bytes *= 2)
		in_task_with(&opts, fails_for_lack_of_memory);
}
END_TEST

static void wants(size_t how_many)
{
	while (how_many--) {
		ck_error(EINVAL, reclaim_writer_done(&writer));
		ck_assert_int_eq(reclaim_put_end(&writer), 0);
	}
	ck_assert_int_eq(reclaim_writer_done(&writer), 0);
	ck_error(EINVAL, reclaim_put_end(&writer));
	ck_error(EINVAL, reclaim_writer_done(&writer));
	reclaim_writer_end(&writer);
}

START_TEST(too_few_and_too_many_terms_are_errors)
{
	write_one();
	wants(1);
	write_one();
	reclaim_put_tuple(&writer, 0);
	wants(0);
	write_one();
	reclaim_put_tuple(&writer, 3);
	wants(3);
	write_one();
	reclaim_put_list(&writer, 0);
	wants(1);
	write_one();
	reclaim_put_list(&writer, 3);
	wants(4);
	write_one();
	reclaim_put_map(&writer, 2);
	wants(4);
	write_one();
	reclaim_put_tuple(&writer, 2);
	reclaim_put_tuple(&writer, 2);
	reclaim_put_raw(&writer, "h\2jj", 4);
	wants(2);
}
END_TEST

START_TEST(raw_bytes_are_one_term)
{
	static const struct {
		const char *bytes;
		size_t len;
	} none[] = {{"", 0},  {NULL, 0},    {"j", 2},	 {"h\1", 2},
		    {"z", 1}, {"\203j", 2}, {"h\1jj", 4}};
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		write_one();
		ck_error(EINVAL,
			 reclaim_put_raw(&writer, none[i].bytes, none[i].len));
		ck_error(EINVAL, reclaim_writer_done(&writer));
		reclaim_writer_end(&writer);
	}
}
END_TEST

/* What is only counted is not looked at. */
START_TEST(counts_beyond_32_bits_are_refused)
{
	static unsigned char none[1];

	reclaim_writer_init(&writer, none, 0);
	ck_assert_int_eq(reclaim_put_binary(&writer, none, UINT32_MAX), 0);
	ck_assert_uint_eq(writer.len, 6 + (size_t)UINT32_MAX);
	ck_error(ENOSPC, reclaim_writer_done(&writer));
	reclaim_writer_init(&writer, none, 0);
	ck_error(EINVAL,
		 reclaim_put_binary(&writer, none, (size_t)UINT32_MAX + 1));
	reclaim_writer_init(&writer, none, 0);
	ck_error(EINVAL,
		 reclaim_put_bits(&writer, none, (size_t)UINT32_MAX * 8 + 1));
	reclaim_writer_init(&writer, none, 0);
	ck_assert_int_eq(reclaim_put_map(&writer, UINT32_MAX), 0);
	ck_assert_uint_eq(writer.wanted, 2 * (uint64_t)UINT32_MAX);
	reclaim_put_tuple(&writer, UINT32_MAX);
	reclaim_put_list(&writer, UINT32_MAX);
	ck_assert_int_eq(writer.error, 0);
	writer.wanted = UINT64_MAX;
	ck_error(EINVAL, reclaim_put_tuple(&writer, 2));
	reclaim_writer_init(&writer, none, 0);
	writer.len = SIZE_MAX - 3;
	ck_error(ENOMEM, reclaim_put_tuple(&writer, 256));
}
END_TEST

/* ---- the program ---- */

static TCase *term_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, NULL, forget_input);
	return tcase;
}

static void fill_reading(Suite *suite)
{
	TCase *tcase = term_case(suite, "tags");

	tcase_add_loop_test(tcase, each_tag_is_read_and_written_anew, 0,
			    SAMPLES);
	tcase_add_loop_test(tcase, each_tag_is_skipped_and_lent, 0, SAMPLES);
	tcase_add_loop_test(tcase, another_sort_is_an_error_that_stays, 0,
			    SAMPLES);
	tcase_add_test(tcase, the_first_error_stays);
	tcase_add_test(tcase, a_copy_of_the_reader_goes_back);

	tcase = term_case(suite, "numbers");
	tcase_add_loop_test(tcase, integers_are_read_where_they_fit, 0,
			    INTEGERS);
	tcase_add_loop_test(tcase, zeros_in_front_of_a_big_do_not_count, 0,
			    INTEGERS);
	tcase_add_loop_test(tcase, integers_are_written_in_the_shortest_form, 0,
			    INTEGERS);
	tcase_add_test(tcase, bigs_of_255_and_256_bytes_have_their_tags);
	tcase_add_test(tcase, no_bytes_at_all_are_zero);
	tcase_add_test(tcase, floats_are_read_as_they_were_written);
	tcase_add_test(tcase, floats_as_text_are_read_in_any_locale);
	tcase_add_test(tcase, what_is_no_float_is_refused);
	tcase_add_test(tcase, an_integer_may_be_had_as_a_float);

	tcase = term_case(suite, "atoms");
	tcase_add_test(tcase, atoms_of_255_characters);
	tcase_add_test(tcase, atoms_of_256_characters_are_none);
	tcase_add_test(tcase, an_atom_of_255_bytes_is_small_and_of_256_not);
	tcase_add_loop_test(tcase, text_that_is_no_utf8_is_refused, 0,
			    sizeof(no_utf8) / sizeof(no_utf8[0]));
	tcase_add_test(tcase, an_atom_with_a_nul_is_not_the_shorter_one);
	tcase_add_test(tcase, true_and_false_are_what_is_true_and_false);
}

static void fill_compounds(Suite *suite)
{
	TCase *tcase = term_case(suite, "compounds");

	tcase_add_test(tcase, binaries_are_lent_in_place);
	tcase_add_test(tcase, bits_are_counted);
	tcase_add_test(tcase, a_string_is_the_list_that_it_is);
	tcase_add_test(tcase, a_string_is_not_left_before_its_end);
	tcase_add_test(tcase, a_list_may_end_in_any_term);
	tcase_add_test(tcase, a_tuple_of_255_is_small_and_of_256_not);
	tcase_add_test(tcase, a_string_of_65535_is_one_and_of_65536_a_list);
	tcase_add_test(tcase, iodata_is_flattened);
	tcase_add_test(tcase, what_is_no_iodata_is_refused);

	tcase = term_case(suite, "depth");
	tcase_add_loop_test(tcase, as_deep_as_256_and_no_deeper, 0,
			    sizeof(nests) / sizeof(nests[0]));
	tcase_add_test(tcase, a_string_is_as_deep_as_a_list);
	tcase_add_test(tcase, funs_are_as_deep);
}

static void fill_hostile(Suite *suite)
{
	TCase *tcase = term_case(suite, "hostile");

	tcase_add_test(tcase, a_fun_is_as_long_as_it_says);
	tcase_add_test(tcase, the_emulators_own_is_no_part);
	tcase_add_loop_test(tcase, each_cut_of_a_term_is_refused, 0, SAMPLES);
	tcase_add_loop_test(tcase, more_behind_a_term_is_refused, 0, SAMPLES);
	tcase_add_loop_test(tcase, any_byte_changed_to_any_other_does_no_harm,
			    0, SAMPLES);
	tcase_add_test(tcase, lengths_that_cannot_be_are_refused);
	tcase_add_test(tcase, unknown_tags_and_versions_are_refused);
	tcase_add_test(tcase, random_bytes_do_no_harm);
}

static void fill(Suite *suite)
{
	TCase *tcase;

	fill_reading(suite);
	fill_compounds(suite);
	fill_hostile(suite);
	tcase = term_case(suite, "writing");
	tcase_add_test(tcase, each_term_is_written);
	tcase_add_test(tcase, a_buffer_that_is_short_is_counted_on);
	tcase_add_test(tcase, a_writer_grows);
	tcase_add_test(tcase, its_memory_ends_with_the_task);
	tcase_add_test(tcase, no_memory_is_an_error_that_stays);
	tcase_add_test(tcase, too_few_and_too_many_terms_are_errors);
	tcase_add_test(tcase, raw_bytes_are_one_term);
	tcase_add_test(tcase, counts_beyond_32_bits_are_refused);
}

int main(void)
{
	return stage_run("term", fill);
}
