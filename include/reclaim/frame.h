/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/frame.h - cutting a byte stream into frames
 *
 * A frame is what the emulator sends with one port command and gets as one
 * {data, _}: a length prefix of 1, 2 or 4 bytes, big-endian, and the body;
 * or a line; or, without framing, whatever has arrived.
 *
 * The decoder is a pure state machine: it does no I/O, allocates nothing, and
 * looks only at the bytes that it is shown.  It may be used without the rest
 * of the library.  One decoder belongs to one thread at a time.
 */
#ifndef RECLAIM_FRAME_H
#define RECLAIM_FRAME_H

#include <reclaim/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a stream is cut.  1, 2 and 4 are what {packet, N} means. */
enum reclaim_framing {
	RECLAIM_PACKET_1 = 1,
	RECLAIM_PACKET_2 = 2,
	RECLAIM_PACKET_4 = 4,
	RECLAIM_STREAM = 8, /* no framing: any bytes */
	RECLAIM_LINES = 16  /* up to a newline, which is left out */
};

/* The cap of a body where none is given: 64 MiB. */
#define RECLAIM_MAX_FRAME ((size_t)64 << 20)

/* The state between two calls.  Zero is no state: use _init. */
struct reclaim_decoder {
	enum reclaim_framing framing;
	size_t max_frame; /* bytes of body */
	size_t scanned;	  /* lines: bytes seen to hold no newline */
};

/* What reclaim_decode found. */
struct reclaim_frame {
	const void *data; /* the body, borrowed from the input */
	size_t len;	  /* of the body */
	size_t used;	  /* bytes of input that the frame took, all told */
};

/*
 * Begin a stream.  max_frame 0 is RECLAIM_MAX_FRAME; it is lowered to what the
 * length prefix can say.  EINVAL: unknown framing, max_frame over 2^31 - 1.
 */
RECLAIM_API int reclaim_decoder_init(struct reclaim_decoder *decoder,
				     enum reclaim_framing framing,
				     size_t max_frame);

/*
 * Find the next frame at the front of the input, which holds all that has
 * arrived and was not yet used.
 * Returns 1 and fills *frame; drop frame->used bytes before the next call.
 * Returns 0 where more input is needed; *wanted (unless NULL) is how many
 * bytes, all told, are known to be needed, at least one more than there are.
 * Call again with the same bytes and more behind them.
 * Returns -1 with errno EMSGSIZE where a frame is longer than the cap.
 * Zero-length frames are frames.
 */
RECLAIM_API int reclaim_decode(struct reclaim_decoder *decoder,
			       const void *input, size_t len,
			       struct reclaim_frame *frame, size_t *wanted);

/*
 * The length prefix for a body of `len` bytes goes to prefix[0..3]; returns
 * how many bytes it has, 0 to 4.  For lines the newline that follows the body
 * is the caller's to write.  -1 with errno EMSGSIZE where the prefix cannot
 * say so much, EINVAL for an unknown framing.
 */
RECLAIM_API int reclaim_encode(enum reclaim_framing framing, size_t len,
			       unsigned char prefix[4]);

#ifdef __cplusplus
}
#endif

#endif
