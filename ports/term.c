/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/term_private.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a tag says ---- */

/*
 * Behind the tag: a count of so many bytes, so many atoms, then `fixed` bytes
 * and `unit` for each that is counted; and then `more` terms, and `within` for
 * each.
 */
static const struct shape {
	uint8_t sort, count, atoms, fixed, unit, more, within;
} shapes[256] = {
	[TAG_SMALL_INTEGER] = {.sort = RECLAIM_TERM_INTEGER, .fixed = 1},
	[TAG_INTEGER] = {.sort = RECLAIM_TERM_INTEGER, .fixed = 4},
	[TAG_SMALL_BIG] = {.sort = RECLAIM_TERM_BIG,
			   .count = 1,
			   .fixed = 1,
			   .unit = 1},
	[TAG_LARGE_BIG] = {.sort = RECLAIM_TERM_BIG,
			   .count = 4,
			   .fixed = 1,
			   .unit = 1},
	[TAG_NEW_FLOAT] = {.sort = RECLAIM_TERM_FLOAT, .fixed = 8},
	[TAG_FLOAT] = {.sort = RECLAIM_TERM_FLOAT, .fixed = 31},
	[TAG_ATOM] = {.sort = RECLAIM_TERM_ATOM, .count = 2, .unit = 1},
	[TAG_SMALL_ATOM] = {.sort = RECLAIM_TERM_ATOM, .count = 1, .unit = 1},
	[TAG_ATOM_UTF8] = {.sort = RECLAIM_TERM_ATOM, .count = 2, .unit = 1},
	[TAG_SMALL_ATOM_UTF8] = {.sort = RECLAIM_TERM_ATOM,
				 .count = 1,
				 .unit = 1},
	[TAG_BINARY] = {.sort = RECLAIM_TERM_BINARY, .count = 4, .unit = 1},
	[TAG_BITS] = {.sort = RECLAIM_TERM_BITS,
		      .count = 4,
		      .fixed = 1,
		      .unit = 1},
	[TAG_SMALL_TUPLE] = {.sort = RECLAIM_TERM_TUPLE,
			     .count = 1,
			     .within = 1},
	[TAG_LARGE_TUPLE] = {.sort = RECLAIM_TERM_TUPLE,
			     .count = 4,
			     .within = 1},
	[TAG_NIL] = {.sort = RECLAIM_TERM_LIST},
	[TAG_STRING] = {.sort = RECLAIM_TERM_LIST, .count = 2, .unit = 1},
	[TAG_LIST] = {.sort = RECLAIM_TERM_LIST,
		      .count = 4,
		      .within = 1,
		      .more = 1},
	[TAG_MAP] = {.sort = RECLAIM_TERM_MAP, .count = 4, .within = 2},
	[TAG_PID] = {.sort = RECLAIM_TERM_PID, .atoms = 1, .fixed = 9},
	[TAG_NEW_PID] = {.sort = RECLAIM_TERM_PID, .atoms = 1, .fixed = 12},
	[TAG_PORT] = {.sort = RECLAIM_TERM_PORT, .atoms = 1, .fixed = 5},
	[TAG_NEW_PORT] = {.sort = RECLAIM_TERM_PORT, .atoms = 1, .fixed = 8},
	[TAG_V4_PORT] = {.sort = RECLAIM_TERM_PORT, .atoms = 1, .fixed = 12},
	[TAG_REFERENCE] = {.sort = RECLAIM_TERM_REFERENCE,
			   .atoms = 1,
			   .fixed = 5},
	[TAG_NEW_REFERENCE] = {.sort = RECLAIM_TERM_REFERENCE,
			       .count = 2,
			       .atoms = 1,
			       .fixed = 1,
			       .unit = 4},
	[TAG_NEWER_REFERENCE] = {.sort = RECLAIM_TERM_REFERENCE,
				 .count = 2,
				 .atoms = 1,
				 .fixed = 4,
				 .unit = 4},
	[TAG_EXPORT] = {.sort = RECLAIM_TERM_FUN, .atoms = 2, .fixed = 2},
	[TAG_NEW_FUN] = {.sort = RECLAIM_TERM_FUN, .count = 4, .fixed = 25},
	[TAG_LOCAL] = {.sort = RECLAIM_TERM_LOCAL},
};

/* ---- text ---- */

/* The length of a character by its first byte; 0: it is none. */
static size_t sequence(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf5 ? 4 : 0;
}

/* Neither longer than need be, nor a surrogate, nor beyond 0x10ffff. */
static bool is_character(const unsigned char *at, size_t len)
{
	size_t i;

	for (i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return false;
	if (len == 3)
		return !(at[0] == 0xe0 && at[1] < 0xa0) &&
		       !(at[0] == 0xed && at[1] >= 0xa0);
	if (len == 4)
		return !(at[0] == 0xf0 && at[1] < 0x90) &&
		       !(at[0] == 0xf4 && at[1] >= 0x90);
	return true;
}

bool term_is_utf8(const unsigned char *text, size_t len, size_t *characters)
{
	const unsigned char *end = text + len;
	size_t bytes;

	for (*characters = 0; text < end; ++*characters, text += bytes) {
		bytes = sequence(*text);
		if (!bytes || bytes > (size_t)(end - text) ||
		    !is_character(text, bytes))
			return false;
	}
	return true;
}

static bool is_atom(enum tag tag, const unsigned char *text, size_t len)
{
	size_t characters = len;

	return (term_is_latin1(tag) || term_is_utf8(text, len, &characters)) &&
	       characters <= 255;
}

/* As "%.20e" has them, in any locale, and NULs behind. */
bool term_text_is_float(const unsigned char text[31], double *value)
{
	char copy[32] = {0}, *end;
	locale_t plain;
	size_t len;

	memcpy(copy, text, 31);
	len = strlen(copy);
	if (len == 0 || strspn(copy, "+-.0123456789e") < len ||
	    !strchr(copy, '.'))
		return false;
	/* libc has it already: nothing is allocated. */
	plain = newlocale(LC_ALL_MASK, "C", NULL);
	if (!plain)
		return false;
	*value = strtod_l(copy, &end, plain);
	freelocale(plain);
	return *end == '\0' && isfinite(*value);
}

/* ---- one head ---- */

/*
 * A term of this sort that comes right behind the head and is part of it.
 * Only such as hold no terms are asked for: whatever else it is, it is not
 * looked into.
 */
static bool pass(const unsigned char *at, const unsigned char *end,
		 enum reclaim_sort sort, struct head *head)
{
	struct head part;

	at += head->size;
	if (at >= end || shapes[*at].sort != sort || !term_look(at, end, &part))
		return false;
	head->size += part.size;
	return true;
}

static bool pass_atoms(const unsigned char *at, const unsigned char *end,
		       unsigned atoms, struct head *head)
{
	while (atoms--)
		if (!pass(at, end, RECLAIM_TERM_ATOM, head))
			return false;
	return true;
}

/*
 * Arity (1 byte), uniq (16), index (4) and how many free variables (4) are
 * passed; module, old index, old uniq and pid belong to the head, the variables
 * follow.  What is counted is all of these bytes, and those of the count.
 */
static bool pass_fun(const unsigned char *at, const unsigned char *end,
		     struct head *head)
{
	if (!pass(at, end, RECLAIM_TERM_ATOM, head) ||
	    !pass(at, end, RECLAIM_TERM_INTEGER, head) ||
	    !pass(at, end, RECLAIM_TERM_INTEGER, head) ||
	    !pass(at, end, RECLAIM_TERM_PID, head) ||
	    head->count >= (uint64_t)(end - at))
		return false;
	head->within = term_number(head->body + 21, 4);
	head->until = at + 1 + head->count;
	return head->within <= (uint64_t)(end - at) - head->size;
}

/* What the shape does not say. */
static bool is_sound(const struct head *head)
{
	double value;

	switch (head->tag) {
	case TAG_ATOM:
	case TAG_SMALL_ATOM:
	case TAG_ATOM_UTF8:
	case TAG_SMALL_ATOM_UTF8:
		return is_atom(head->tag, head->body, head->count);
	case TAG_NEW_FLOAT:
		return (term_number(head->body, 8) >> 52 & 0x7ff) != 0x7ff;
	case TAG_FLOAT:
		return term_text_is_float(head->body, &value);
	case TAG_BITS:
		return head->count ? head->body[0] >= 1 && head->body[0] <= 8
				   : head->body[0] == 0;
	case TAG_NEW_REFERENCE:
	case TAG_NEWER_REFERENCE:
		return head->count >= 1 && head->count <= 5;
	case TAG_EXPORT:
		return head->body[head->size - 3] == TAG_SMALL_INTEGER;
	default:
		return true;
	}
}

/* Odd encodings of what has a plainer one. */
static void settle(struct head *head)
{
	if (head->tag == TAG_BITS && (!head->count || head->body[0] == 8))
		head->sort = RECLAIM_TERM_BINARY;
	if (head->tag == TAG_STRING && !head->count)
		head->tag = TAG_NIL;
}

bool term_look(const unsigned char *at, const unsigned char *end,
	       struct head *head)
{
	const struct shape *shape;
	uint64_t left, rest;

	if (at >= end)
		return false;
	shape = &shapes[*at];
	left = (uint64_t)(end - at);
	if (shape->sort == RECLAIM_TERM_NONE || left < 1u + shape->count)
		return false;
	*head = (struct head){
		.tag = *at,
		.sort = shape->sort,
		.count = term_number(at + 1, shape->count),
		.body = at + 1 + shape->count,
		.size = 1u + shape->count,
	};
	if (!pass_atoms(at, end, shape->atoms, head))
		return false;
	left -= head->size;
	rest = shape->fixed + shape->unit * head->count;
	if (head->sort == RECLAIM_TERM_LOCAL)
		rest = left;
	head->within = shape->within * head->count + shape->more;
	/* Each of those takes a byte at least. */
	if (rest > left || head->within > left - rest)
		return false;
	head->size += rest;
	if (!is_sound(head))
		return false;
	settle(head);
	return head->tag != TAG_NEW_FUN || pass_fun(at, end, head);
}

/* ---- one whole term ---- */

/* Terms to come, and where the last of them has to end; NULL: anywhere. */
struct level {
	uint64_t left;
	const unsigned char *until;
};

static bool is_where(const unsigned char *at, const unsigned char *until)
{
	return !until || at == until;
}

/* A string is the list that it is read as, and as deep. */
static bool is_leaf(const struct head *head)
{
	return head->within == 0 && head->tag != TAG_STRING;
}

/*
 * Not a recursive one: how deep it goes is the input's choice.  The emulator's
 * own has no end but the input's, and so nothing around it.
 */
const unsigned char *term_end(const unsigned char *at, const unsigned char *end)
{
	struct level levels[RECLAIM_TERM_DEPTH + 1], *level = levels;
	struct head head;

	*level = (struct level){.left = 1};
	for (;;) {
		for (; level->left == 0; level--) {
			if (!is_where(at, level->until))
				return NULL;
			if (level == levels)
				return at;
		}
		level->left--;
		if (!term_look(at, end, &head) ||
		    (head.sort == RECLAIM_TERM_LOCAL && level > levels))
			return NULL;
		at += head.size;
		if (is_leaf(&head) && is_where(at, head.until))
			continue;
		if (is_leaf(&head) || level == levels + RECLAIM_TERM_DEPTH)
			return NULL;
		*++level = (struct level){head.within, head.until};
	}
}
