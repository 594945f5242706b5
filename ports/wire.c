/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/wire_private.h"

#include <endian.h>
#include <string.h>

/* How many bytes each of a frame's numbers takes. */
static const unsigned char heads[WIRE_TYPES][3] = {
	[WIRE_HELLO] = {0},	     [WIRE_OPEN] = {8, 8, 4},
	[WIRE_OPENED] = {8, 4},	     [WIRE_DATA] = {8},
	[WIRE_CREDIT] = {8, 4},	     [WIRE_CALL] = {8, 8},
	[WIRE_CONTROL] = {8, 8, 4},  [WIRE_REPLY] = {8, 1},
	[WIRE_CANCEL] = {8},	     [WIRE_CLOSE] = {8},
	[WIRE_CLOSED] = {8},	     [WIRE_GIVE] = {8, 8},
	[WIRE_CLIENT_DOWN] = {8},    [WIRE_MONITOR] = {8, 8},
	[WIRE_DEMONITOR] = {8},	     [WIRE_PROCESS_DOWN] = {8},
	[WIRE_REGISTER] = {8, 8},    [WIRE_STATISTICS] = {8, 1, 8},
	[WIRE_LOG] = {1, 8, 8},	     [WIRE_ERROR] = {1, 1, 8},
	[WIRE_EXIT_STATUS] = {8, 4},
};

/* Widths are 1, 2, 4 and 8. */
static inline uint64_t get(const unsigned char *at, size_t width)
{
	uint64_t value = 0;

	if (width == 8) {
		memcpy(&value, at, 8);
		return be64toh(value);
	}
	while (width--)
		value = value << 8 | *at++;
	return value;
}

static inline void put(unsigned char *at, size_t width, uint64_t value)
{
	if (width == 8) {
		value = htobe64(value);
		memcpy(at, &value, 8);
		return;
	}
	for (; width--; value >>= 8)
		at[width] = (unsigned char)value;
}

int wire_read(const unsigned char *body, size_t len, struct wire_frame *frame)
{
	const unsigned char *at = body + 1, *end = body + len;
	size_t i;

	*frame = (struct wire_frame){.type = len ? body[0] : 0};
	if (!len)
		return WIRE_MALFORMED;
	if (frame->type == 0 || frame->type >= WIRE_TYPES)
		return WIRE_UNKNOWN;
	for (i = 0; i < 3 && heads[frame->type][i]; i++) {
		size_t width = heads[frame->type][i];

		if ((size_t)(end - at) < width)
			return WIRE_MALFORMED;
		frame->field[i] = get(at, width);
		at += width;
	}
	frame->rest = at;
	frame->len = (size_t)(end - at);
	return 0;
}

int wire_read_hello(const unsigned char *body, size_t len,
		    struct wire_hello *hello)
{
	const size_t magic = strlen(WIRE_MAGIC);

	if (len < 1 || body[0] != WIRE_HELLO)
		return WIRE_NO_HELLO;
	if (len < WIRE_HELLO_SIZE || memcmp(body + 1, WIRE_MAGIC, magic) != 0)
		return WIRE_MALFORMED;
	hello->version = (unsigned)get(body + 1 + magic, 2);
	hello->max_frame = get(body + 1 + magic + 2, 4);
	return 0;
}

size_t wire_head(unsigned char head[WIRE_HEAD_MAX], enum wire_type type,
		 uint64_t first, uint64_t second, uint64_t third)
{
	const uint64_t field[] = {first, second, third};
	unsigned char *at = head;
	size_t i;

	*at++ = (unsigned char)type;
	for (i = 0; i < 3 && heads[type][i]; i++) {
		put(at, heads[type][i], field[i]);
		at += heads[type][i];
	}
	return (size_t)(at - head);
}

size_t wire_hello(unsigned char head[WIRE_HELLO_SIZE], size_t max_frame)
{
	const size_t magic = strlen(WIRE_MAGIC);

	head[0] = WIRE_HELLO;
	memcpy(head + 1, WIRE_MAGIC, magic);
	put(head + 1 + magic, 2, WIRE_VERSION);
	put(head + 1 + magic + 2, 4, max_frame);
	return WIRE_HELLO_SIZE;
}
