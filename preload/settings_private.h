/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - what the environment says of the block (reclaim-run(1))
 *
 * Read once, without memory.  What is not known is told, and the default is
 * meant; but a size that is none means no block.
 */
#ifndef SETTINGS_PRIVATE_H
#define SETTINGS_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "reclaim/block_private.h"

enum misuse { MISUSE_OFF, MISUSE_WARN, MISUSE_ABORT };

struct settings {
	bool meant;		 /* this program is */
	size_t front;		 /* bytes that a thread may keep */
	bool spill;		 /* when it is full, to libc */
	bool at_exit, on_signal; /* tell the figures */
	enum misuse misuse;
	char svg[PATH_MAX];
	char program[64];
};

extern struct settings settings;

/* Whether this program is meant; its name is known then. */
bool settings_mean_this(void);

/* Of the block, before all else: bytes, 0 where there is to be none. */
size_t settings_size(void);
enum block_policy settings_policy(void);

/* All others. */
void settings_read(void);

/* Unless programs that this one starts are to have a block, too. */
void settings_take_out(void);

/* A line on stderr, in one piece and without memory. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Some programs close it before they end, to see whether all was written. */
void settings_keep_stderr(void);

#endif
