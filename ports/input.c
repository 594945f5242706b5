/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/input_private.h"

#include <errno.h>
#include <string.h>

#include "reclaim.h"

/* So many small frames in a row, and no large one is to be expected. */
#define SMALL_MANY 64

static int resize(struct input *input, size_t size)
{
	char *bytes = save_realloc(input->bytes, size);

	if (!bytes)
		return -1;
	input->bytes = bytes;
	input->size = size;
	return 0;
}

int input_init(struct input *input, enum reclaim_framing framing,
	       size_t max_frame)
{
	*input = (struct input){.wanted = 1};
	if (reclaim_decoder_init(&input->decoder, framing, max_frame) < 0)
		return -1;
	return resize(input, INPUT_SIZE);
}

void input_end(struct input *input)
{
	save_free(input->bytes);
	input->bytes = NULL;
}

size_t input_held(const struct input *input)
{
	return input->end - input->start;
}

static void move_to_front(struct input *input)
{
	size_t held = input_held(input);

	memmove(input->bytes, input->bytes + input->start, held);
	input->start = 0;
	input->end = held;
}

/* Give the last frame's bytes back, and the room that only such need. */
static void drop_lent(struct input *input)
{
	input->start += input->lent;
	if (input->start == input->end)
		input->start = input->end = 0;
	if (input->lent > INPUT_SIZE)
		input->small = 0;
	else if (input->lent)
		input->small++;
	input->lent = 0;
	if (input->size > INPUT_SIZE && input_held(input) <= INPUT_SIZE &&
	    (input->size > INPUT_KEPT || input->small >= SMALL_MANY)) {
		move_to_front(input);
		resize(input, INPUT_SIZE);
	}
}

int input_next(struct input *input, struct reclaim_frame *frame)
{
	int found;

	drop_lent(input);
	found = reclaim_decode(&input->decoder, input->bytes + input->start,
			       input_held(input), frame, &input->wanted);
	if (found > 0)
		input->lent = frame->used;
	return found;
}

static int make_room(struct input *input)
{
	size_t wanted = input->wanted;

	if (input->start + wanted <= input->size)
		return 0;
	move_to_front(input);
	if (wanted <= input->size)
		return 0;
	/* Lines tell their length byte by byte. */
	if (wanted == input->size + 1)
		wanted = 2 * input->size;
	return resize(input, wanted);
}

int input_room(struct input *input, char **at, size_t *len)
{
	size_t limit = INPUT_SIZE;

	if (make_room(input) < 0)
		return -1;
	if (input->wanted > limit)
		limit = input->decoder.framing == RECLAIM_LINES ? input->size
								: input->wanted;
	*at = input->bytes + input->end;
	*len = limit - input_held(input);
	if (*len > input->size - input->end)
		*len = input->size - input->end;
	return 0;
}

void input_add(struct input *input, size_t n)
{
	input->end += n;
}

void input_rest(struct input *input, struct reclaim_frame *frame)
{
	size_t held = input_held(input);

	*frame =
		(struct reclaim_frame){input->bytes + input->start, held, held};
	input->lent = held;
}

void input_complain(const struct input *input, int why)
{
	const unsigned char *head =
		(unsigned char *)input->bytes + input->start;

	if (why == EMSGSIZE)
		reclaim_say(RECLAIM_ERROR,
			    "a frame on the port is longer than the %zu bytes "
			    "allowed (it begins %02x %02x): does {packet, N} "
			    "of open_port match the program's framing?",
			    input->decoder.max_frame, head[0], head[1]);
	else if (why == EBADMSG)
		reclaim_say(RECLAIM_ERROR,
			    "the port's input ended within a frame, after %zu "
			    "bytes of it",
			    input_held(input));
	else
		reclaim_say(RECLAIM_ERROR, "reading the port failed: %s",
			    strerror(why));
}
