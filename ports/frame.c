/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <reclaim/frame.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool is_known(enum reclaim_framing framing)
{
	switch (framing) {
	case RECLAIM_PACKET_1:
	case RECLAIM_PACKET_2:
	case RECLAIM_PACKET_4:
	case RECLAIM_STREAM:
	case RECLAIM_LINES:
		return true;
	}
	return false;
}

/* Bytes of the length prefix. */
static size_t prefix_size(enum reclaim_framing framing)
{
	return framing <= RECLAIM_PACKET_4 ? (size_t)framing : 0;
}

/* The longest body that a prefix can tell of; the emulator's own limit. */
static size_t longest_body(enum reclaim_framing framing)
{
	switch (framing) {
	case RECLAIM_PACKET_1:
		return 0xff;
	case RECLAIM_PACKET_2:
		return 0xffff;
	default:
		return 0x7fffffff;
	}
}

int reclaim_decoder_init(struct reclaim_decoder *decoder,
			 enum reclaim_framing framing, size_t max_frame)
{
	size_t longest;

	if (!is_known(framing) || max_frame > 0x7fffffff) {
		errno = EINVAL;
		return -1;
	}
	if (!max_frame)
		max_frame = RECLAIM_MAX_FRAME;
	longest = longest_body(framing);
	*decoder = (struct reclaim_decoder){
		.framing = framing,
		.max_frame = max_frame < longest ? max_frame : longest,
	};
	return 0;
}

static int too_long(void)
{
	errno = EMSGSIZE;
	return -1;
}

static int decode_prefixed(const struct reclaim_decoder *decoder,
			   const unsigned char *input, size_t len,
			   struct reclaim_frame *frame, size_t *needed)
{
	size_t prefix = prefix_size(decoder->framing), body = 0, i;

	*needed = prefix;
	if (len < prefix)
		return 0;
	for (i = 0; i < prefix; i++)
		body = body << 8 | input[i];
	if (body > decoder->max_frame)
		return too_long();
	*needed = prefix + body;
	if (len < *needed)
		return 0;
	*frame = (struct reclaim_frame){input + prefix, body, prefix + body};
	return 1;
}

static int decode_line(struct reclaim_decoder *decoder,
		       const unsigned char *input, size_t len,
		       struct reclaim_frame *frame, size_t *needed)
{
	size_t from = decoder->scanned;
	const unsigned char *newline = NULL;
	size_t body;

	if (from < len)
		newline = memchr(input + from, '\n', len - from);
	body = newline ? (size_t)(newline - input) : len;
	if (body > decoder->max_frame)
		return too_long();
	decoder->scanned = newline ? 0 : len;
	*needed = len + 1;
	if (!newline)
		return 0;
	*frame = (struct reclaim_frame){input, body, body + 1};
	return 1;
}

/* As much as there is, in pieces that keep to the cap. */
static int decode_stream(const struct reclaim_decoder *decoder,
			 const unsigned char *input, size_t len,
			 struct reclaim_frame *frame, size_t *needed)
{
	size_t piece = len < decoder->max_frame ? len : decoder->max_frame;

	*needed = 1;
	if (!len)
		return 0;
	*frame = (struct reclaim_frame){input, piece, piece};
	return 1;
}

int reclaim_decode(struct reclaim_decoder *decoder, const void *input,
		   size_t len, struct reclaim_frame *frame, size_t *wanted)
{
	size_t needed;
	int found;

	if (decoder->framing == RECLAIM_STREAM)
		found = decode_stream(decoder, input, len, frame, &needed);
	else if (decoder->framing == RECLAIM_LINES)
		found = decode_line(decoder, input, len, frame, &needed);
	else
		found = decode_prefixed(decoder, input, len, frame, &needed);
	if (found == 0 && wanted)
		*wanted = needed;
	return found;
}

int reclaim_encode(enum reclaim_framing framing, size_t len,
		   unsigned char prefix[4])
{
	size_t size = prefix_size(framing), i;

	if (!is_known(framing)) {
		errno = EINVAL;
		return -1;
	}
	if (len > longest_body(framing))
		return too_long();
	for (i = 0; i < size; i++)
		prefix[i] = (unsigned char)(len >> 8 * (size - 1 - i));
	return (int)size;
}
