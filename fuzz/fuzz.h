/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz - a target: one input, whatever it is
 *
 * libFuzzer calls it, or fuzz/driver.c does.  It returns 0, and ends the
 * process where something does not hold.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reclaim/term.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What a target counts, where that is not inputs: what they are made of. */
extern unsigned long fuzz_frames __attribute__((weak));

#define holds(condition)                                                 \
	do {                                                             \
		if (!(condition)) {                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, \
				__LINE__, #condition);                   \
			abort();                                         \
		}                                                        \
	} while (0)

#endif
