/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_block_victim - one wrong use of memory in a block, for a tool to find;
 * see tools.sh
 *
 *	tools_block_victim SORT MISTAKE
 *
 * SORT is where the block is made: in an area of malloc's, in one that the
 * system gave, or in the program's own.  Without a MISTAKE of those below
 * nothing is wrong: "nothing".  Where the mistake was made and nobody saw it,
 * the status is 0.
 *
 * A block's interface is the library's own; its static library has it.
 */
#include "config.h"

#include "reclaim/block_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define AREA ((size_t)1 << 20)

/* Of granules, so that nothing is between an allocation and its guard. */
#define SIZE 96

/* What a compiler may neither see through nor leave out. */
static char *volatile ptr;
static volatile size_t size = SIZE;
static volatile char sink;

static struct block *block;
static char *before, *after;

static const char *sort;
static char *area;
static char own[AREA] __attribute__((aligned(64)));

static void need(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "tools_block_victim: %s\n", what);
	exit(3);
}

/* ---- the block ---- */

static void obtain(void)
{
	if (strcmp(sort, "malloc") == 0)
		area = malloc(AREA);
	else if (strcmp(sort, "own") == 0)
		area = own;
	else
		area = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(area && area != MAP_FAILED, "no area");
}

static void give_away(void)
{
	block_end(block);
	if (strcmp(sort, "malloc") == 0)
		free(area);
}

/* Functions of their own, which a tool can name. */
__attribute__((noinline)) static char *allocate_before(void)
{
	return block_alloc(block, SIZE, 1);
}

__attribute__((noinline)) static char *allocate_it(void)
{
	return block_alloc(block, SIZE, 1);
}

__attribute__((noinline)) static char *allocate_after(void)
{
	return block_alloc(block, SIZE, 1);
}

static void begin(void)
{
	obtain();
	block = block_begin(area, AREA, BLOCK_AOFF,
			    strcmp(sort, "malloc") != 0);
	need(block != NULL, "no block");
	before = allocate_before();
	ptr = allocate_it();
	after = allocate_after();
	need(before && ptr && after, "no allocation");
	memset(before, 'a', SIZE);
	memset(ptr, 'b', SIZE);
	memset(after, 'c', SIZE);
}

static void release(char *which)
{
	need(block_free(block, which) == BLOCK_ALLOCATED, "free");
}

static void resize(char *which, size_t to)
{
	need(block_resize(block, which, to), "resize");
}

/* ---- the mistakes; each reads or writes one byte ---- */

static void overrun(void)
{
	ptr[size] = 'x';
}

static void overread(void)
{
	sink = ptr[size + 7];
}

static void underrun(void)
{
	ptr[-1] = 'x';
}

static void read_freed(void)
{
	release(ptr);
	sink = ptr[size / 2];
}

static void write_freed(void)
{
	release(ptr);
	ptr[size / 2] = 'x';
}

/* Its hole is one with what was before it and behind. */
static void read_merged(void)
{
	release(before);
	release(after);
	release(ptr);
	sink = ptr[size - 1];
}

static void read_shrunk(void)
{
	resize(ptr, size - 8);
	sink = ptr[size - 8];
}

static void overrun_grown(void)
{
	release(after);
	resize(ptr, size + 10);
	ptr[size + 9] = 'x';
	ptr[size + 10] = 'x';
}

/* What nobody ever had. */
static void read_hole(void)
{
	sink = after[4096];
}

static void write_kept(void)
{
	need(block_free(block, ptr + 1) == BLOCK_INSIDE, "inside");
	ptr[size + 3] = 'x';
}

static void read_ended(void)
{
	give_away();
	sink = ptr[size / 2];
}

static void write_ended(void)
{
	give_away();
	ptr[size / 2] = 'x';
}

static void use(void)
{
	if (ptr[size / 2] == 'x')
		puts("it happens to be x");
}

static void use_undefined(void)
{
	ptr = block_alloc(block, size, 1);
	use();
}

static void use_undefined_again(void)
{
	release(ptr);
	ptr = block_alloc(block, size, 1);
	use();
}

static void use_undefined_grown(void)
{
	release(after);
	resize(ptr, size * 2);
	ptr += size;
	use();
}

static int all_are(const char *at, char what, size_t many)
{
	while (many > 0 && at[many - 1] == what)
		many--;
	return many == 0;
}

static void use_many(void)
{
	static char *many[200];
	size_t i;

	for (i = 0; i < 200; i++) {
		many[i] = block_alloc(block, i * 7, (size_t)1 << i % 9);
		memset(many[i], 'm', i * 7);
	}
	for (i = 0; i < 200; i += 2)
		release(many[i]);
	for (i = 1; i < 200; i += 2) {
		resize(many[i], i * 3);
		need(all_are(many[i], 'm', i * 3), "many");
	}
	need(block_size(block, many[9]) == 27, "size");
}

/* Everything that is right. */
static void nothing(void)
{
	char *zeros = block_calloc(block, 5000);

	need(all_are(zeros, 0, 5000), "calloc of what nobody had");
	memset(zeros, 'z', 5000);
	release(zeros);
	zeros = block_calloc(block, 7000);
	need(all_are(zeros, 0, 7000), "calloc of what somebody had");
	resize(zeros, 9000);
	memset(zeros, 'z', 9000);
	resize(zeros, 100);
	resize(zeros, 200);
	memset(zeros, 'z', 200);
	use_many();
	need(all_are(ptr, 'b', SIZE), "it");
	need(block_free(block, zeros + 1) == BLOCK_INSIDE, "inside");
	release(ptr);
	need(block_free(block, ptr) == BLOCK_HOLE, "freed twice");
	block_end(block);
	memset(area, 'e', AREA);
	block = block_begin(area, AREA, BLOCK_BF, false);
	need(block != NULL, "no second block");
	ptr = block_calloc(block, AREA / 2);
	need(all_are(ptr, 0, AREA / 2), "calloc in a second block");
	give_away();
}

static const struct mistake {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{"nothing", nothing},
	{"overrun", overrun},
	{"overread", overread},
	{"underrun", underrun},
	{"read-freed", read_freed},
	{"write-freed", write_freed},
	{"read-merged", read_merged},
	{"read-shrunk", read_shrunk},
	{"overrun-grown", overrun_grown},
	{"read-hole", read_hole},
	{"write-kept", write_kept},
	{"read-ended", read_ended},
	{"write-ended", write_ended},
	{"use-undefined", use_undefined},
	{"use-undefined-again", use_undefined_again},
	{"use-undefined-grown", use_undefined_grown},
};

int main(int argc, char **argv)
{
	size_t i;

	need(argc == 3, "SORT MISTAKE");
	sort = argv[1];
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		if (strcmp(argv[2], mistakes[i].name) == 0) {
			begin();
			mistakes[i].make();
			return 0;
		}
	need(0, argv[2]);
	return 3;
}
