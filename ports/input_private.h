/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input - the bytes that came, and the frames in them
 *
 * Whoever reads asks for room, reads into it and says how much came; frames
 * are then lent out of it one by one, each until the next is asked for.  There
 * is room for INPUT_SIZE; beyond that only to the end of the frame under way.
 * What such a frame needed is kept while more of them come, to INPUT_KEPT.
 *
 * The memory is the task's that was current at input_init.  One thread.
 */
#ifndef RECLAIM_INPUT_PRIVATE_H
#define RECLAIM_INPUT_PRIVATE_H

#include <reclaim/frame.h>

/* A pipe's default capacity, 64 KiB, and the prefix of a frame that large. */
#define INPUT_SIZE ((size_t)68 << 10)
#define INPUT_KEPT ((size_t)2 << 20)

struct input {
	struct reclaim_decoder decoder;
	char *bytes;
	size_t size, start, end;
	size_t lent;	/* bytes that the last frame borrows */
	size_t wanted;	/* by the frame under way */
	unsigned small; /* frames since one that needed more than INPUT_SIZE */
};

/* -1: EINVAL, ENOMEM. */
int input_init(struct input *input, enum reclaim_framing framing,
	       size_t max_frame);
void input_end(struct input *input);

/* 1 and the frame; 0: more has to be read; -1: EMSGSIZE. */
int input_next(struct input *input, struct reclaim_frame *frame);

/* Where to read to and how much, at least a byte, after a 0.  -1: ENOMEM. */
int input_room(struct input *input, char **at, size_t *len);
void input_add(struct input *input, size_t n);

/* Bytes that no frame has taken yet. */
size_t input_held(const struct input *input);

/* All of them, as the last frame. */
void input_rest(struct input *input, struct reclaim_frame *frame);

/* Report why there will be no more; `why` is an errno, not 0. */
void input_complain(const struct input *input, int why);

#endif
