/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader, by any bytes: whatever they are it stays within them.  What is
 * taken as a term is copied, the copy is a term, and its own copy; and any
 * sequence of questions, most of them wrong, has an answer.
 */
#include "config.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

#include "tests/terms.h"

static void ask_wildly(const uint8_t *data, size_t len)
{
	char atom[RECLAIM_ATOM_SIZE];
	unsigned char flat[16];
	struct reclaim_reader reader, before;
	const void *bytes;
	int64_t int64;
	uint64_t uint64;
	uint32_t count;
	double number;
	size_t i, size, question;
	int truth;

	reclaim_reader_init(&reader, data, len);
	for (i = 0; i < 4 * len && !reader.error; i++) {
		before = reader;
		question = (data[i % len] + i / len * 5) % 14;
		switch (question) {
		case 0:
			reclaim_get_atom(&reader, atom);
			break;
		case 1:
			reclaim_get_this_atom(&reader, "ok");
			break;
		case 2:
			reclaim_get_bool(&reader, &truth);
			break;
		case 3:
			reclaim_get_int64(&reader, &int64);
			break;
		case 4:
			reclaim_get_uint64(&reader, &uint64);
			break;
		case 5:
			reclaim_get_double(&reader, &number);
			break;
		case 6:
			reclaim_get_binary(&reader, &bytes, &size);
			break;
		case 7:
			reclaim_get_bits(&reader, &bytes, &size);
			break;
		case 8:
			reclaim_get_tuple(&reader, &count);
			break;
		case 9:
			reclaim_get_list(&reader, &count);
			break;
		case 10:
			reclaim_get_map(&reader, &count);
			break;
		case 11:
			reclaim_get_big(&reader, &truth, &bytes, &size);
			break;
		case 12: /* it stays where it went wrong */
			reclaim_get_iodata(&reader, flat, sizeof(flat), &size);
			break;
		default:
			reclaim_get_end(&reader);
		}
		holds(reader.at >= before.at && reader.at <= reader.end);
		/* Go on with another question, or behind what it is. */
		if (reader.error) {
			holds(reader.at == before.at || question == 12);
			reader = before;
			if (i % 2)
				reclaim_get_skip(&reader);
		}
	}
}

static void copy(const void *data, size_t len, struct reclaim_writer *writer)
{
	struct reclaim_reader reader;

	holds(reclaim_reader_init(&reader, data, len) == 0);
	reclaim_writer_init(writer, NULL, 0);
	holds(copy_term(&reader, writer) == 0);
	holds(reclaim_get_end(&reader) == 0);
	holds(reader.at == reader.end);
	holds(reclaim_writer_done(writer) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reclaim_writer first, second;
	struct reclaim_reader reader;

	if (reclaim_reader_init(&reader, data, len) < 0) {
		holds(reclaim_reader_sort(&reader) == RECLAIM_TERM_NONE);
		holds(reclaim_get_skip(&reader) < 0);
		return 0;
	}
	holds(reclaim_get_skip(&reader) == 0);
	holds(reader.at == data + len);
	ask_wildly(data, len);
	copy(data, len, &first);
	copy(first.data, first.len, &second);
	holds(first.len == second.len);
	holds(memcmp(first.data, second.data, first.len) == 0);
	reclaim_writer_end(&first);
	reclaim_writer_end(&second);
	return 0;
}
