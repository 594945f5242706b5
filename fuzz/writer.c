/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer, by a program: each byte of the input is what to write next, and
 * those behind it what of.  What it calls done is a term for the reader, and a
 * buffer of any size has as much of it as there is room for.
 */
#include "config.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

struct program {
	const uint8_t *at, *end;
	unsigned heads; /* at most so deep is what they make */
};

static uint64_t next(struct program *program, size_t bytes)
{
	uint64_t value = 0;

	while (bytes-- && program->at < program->end)
		value = value << 8 | *program->at++;
	return value;
}

static size_t next_bytes(struct program *program, const uint8_t **bytes)
{
	size_t len = (size_t)next(program, 1);
	size_t left = (size_t)(program->end - program->at);

	if (len > left)
		len = left;
	*bytes = program->at;
	program->at += len;
	return len;
}

static const char *next_text(struct program *program, char text[256])
{
	const uint8_t *bytes;
	size_t len = next_bytes(program, &bytes);

	memcpy(text, bytes, len);
	text[len] = '\0';
	return text;
}

static void step(struct program *program, struct reclaim_writer *writer)
{
	const uint8_t *bytes;
	uint64_t bits;
	double number;
	char text[256];
	size_t len;

	switch (next(program, 1) % 16) {
	case 0:
		reclaim_put_atom(writer, next_text(program, text));
		return;
	case 1:
		reclaim_put_bool(writer, (int)next(program, 1));
		return;
	case 2:
		reclaim_put_int64(writer, (int64_t)next(program, 8));
		return;
	case 3:
		reclaim_put_int64(writer, (int8_t)next(program, 1));
		return;
	case 4:
		reclaim_put_uint64(writer, next(program, 8));
		return;
	case 5:
		bits = next(program, 8);
		memcpy(&number, &bits, sizeof(number));
		reclaim_put_double(writer, number);
		return;
	case 6:
		len = next_bytes(program, &bytes);
		reclaim_put_binary(writer, bytes, len);
		return;
	case 7:
		len = next_bytes(program, &bytes) * 8;
		reclaim_put_bits(writer, bytes, len ? len - len / 8 % 8 : 0);
		return;
	case 8:
		reclaim_put_string(writer, next_text(program, text));
		return;
	case 9:
		len = next_bytes(program, &bytes);
		reclaim_put_big(writer, (int)next(program, 1), bytes, len);
		return;
	case 10:
		len = next_bytes(program, &bytes);
		if (++program->heads < RECLAIM_TERM_DEPTH / 2)
			reclaim_put_raw(writer, bytes, len);
		return;
	case 11:
		if (++program->heads < RECLAIM_TERM_DEPTH / 2)
			reclaim_put_tuple(writer,
					  (uint32_t)next(program, 1) % 40);
		return;
	case 12:
		if (++program->heads < RECLAIM_TERM_DEPTH / 2)
			reclaim_put_list(writer,
					 (uint32_t)next(program, 1) % 40);
		return;
	case 13:
		if (++program->heads < RECLAIM_TERM_DEPTH / 2)
			reclaim_put_map(writer,
					(uint32_t)next(program, 1) % 40);
		return;
	default:
		reclaim_put_end(writer);
	}
}

/* To its end, and then whatever is wanted still: all of it, or but one. */
static void run(const uint8_t *data, size_t len, struct reclaim_writer *writer)
{
	struct program program = {.at = data, .end = data + len};
	unsigned more = len ? data[len - 1] : 0;

	while (program.at < program.end && !writer->error && writer->wanted)
		step(&program, writer);
	while (!writer->error && writer->wanted > (more == 255))
		reclaim_put_end(writer);
	if (more == 254)
		reclaim_put_end(writer);
}

/* In a block of just that size. */
static void run_in(size_t size, const uint8_t *data, size_t len,
		   const struct reclaim_writer *whole)
{
	struct reclaim_writer writer;
	unsigned char *buf = malloc(size ? size : 1);

	holds(buf);
	reclaim_writer_init(&writer, buf, size);
	run(data, len, &writer);
	holds(writer.len == whole->len && writer.error == whole->error);
	holds(writer.wanted == whole->wanted);
	holds((reclaim_writer_done(&writer) == 0) ==
	      (reclaim_writer_done(whole) == 0 && size >= whole->len));
	if (reclaim_writer_done(&writer) == 0)
		holds(memcmp(buf, whole->data, whole->len) == 0);
	reclaim_writer_end(&writer);
	free(buf);
}

/* Raw bytes may be as deep as a term may be, within the heads. */
static void is_read(const struct reclaim_writer *writer)
{
	struct reclaim_reader reader;

	if (reclaim_reader_init(&reader, writer->data, writer->len) == 0) {
		holds(reclaim_get_skip(&reader) == 0);
		holds(reclaim_get_end(&reader) == 0);
	} else {
		holds(writer->len > RECLAIM_TERM_DEPTH);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reclaim_writer writer;
	size_t size;

	reclaim_writer_init(&writer, NULL, 0);
	run(data, len, &writer);
	if (reclaim_writer_done(&writer) == 0)
		is_read(&writer);
	size = writer.len * (len ? data[0] : 1) / 200;
	run_in(size, data, len, &writer);
	run_in(writer.len, data, len, &writer);
	run_in(writer.len - 1, data, len, &writer);
	reclaim_writer_end(&writer);
	return 0;
}
