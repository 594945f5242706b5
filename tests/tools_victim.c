/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_victim - one wrong use of memory, for a tool to find; see tools.sh
 *
 *	tools_victim [limit] SORT MISTAKE
 *
 * SORT is where the block is: among a task's first, in a run of equal blocks,
 * or large.  Without a MISTAKE of those below nothing is wrong: "nothing".
 * Where the mistake was made and nobody saw it, the status is 0.
 */
#include <reclaim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a compiler may neither see through nor leave out. */
static char *volatile block;
static volatile size_t size;
static volatile char sink;

static reclaim_tid task;

static void need(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "tools_victim: %s\n", what);
	exit(3);
}

/* ---- the mistakes; each reads or writes one byte ---- */

static void overrun(void)
{
	block[size] = 'x';
}

static void overread(void)
{
	sink = block[size];
}

static void underrun(void)
{
	block[-1] = 'x';
}

static void read_freed(void)
{
	save_free(block);
	sink = block[size / 2];
}

static void write_freed(void)
{
	save_free(block);
	block[size / 2] = 'x';
}

static void read_moved(void)
{
	need(save_realloc(block, size * 4) != NULL, "realloc");
	sink = block[size / 2];
}

static void read_shrunk(void)
{
	block = save_realloc(block, size - 8);
	need(block != NULL, "realloc");
	sink = block[size - 8];
}

static void read_ended(void)
{
	reclaim_leave();
	reclaim_end(task, 0);
	sink = block[size / 2];
}

static void write_ended(void)
{
	reclaim_leave();
	reclaim_end(task, 0);
	block[size / 2] = 'x';
}

static void use_undefined(void)
{
	block = save_malloc(size);
	if (block[size / 2] == 'x')
		puts("it happens to be x");
}

/* What was freed and is had again is as new. */
static void use_undefined_again(void)
{
	int i;

	for (i = 0; i < 100; i++) {
		block = save_malloc(size);
		memset(block, 'x', size);
		save_free(block);
	}
	use_undefined();
}

static int all_are(const char *ptr, char what, size_t many)
{
	while (many > 0 && ptr[many - 1] == what)
		many--;
	return many == 0;
}

/* Everything that is right. */
static void nothing(void)
{
	char *other = save_calloc(1, size), *text = save_strdup("text");
	reclaim_tid receiver = reclaim_task_new(NULL);

	need(all_are(other, 0, size), "calloc");
	memset(other, 'o', size);
	other = save_realloc(other, size * 3);
	need(all_are(other, 'o', size), "realloc to more");
	memset(other, 'p', size * 3);
	other = save_realloc(other, size / 2);
	need(all_are(other, 'p', size / 2), "realloc to less");
	other = reclaim_give(other, receiver);
	need(all_are(other, 'p', size / 2), "give");
	reclaim_end(receiver, 0);
	need(strcmp(text, "text") == 0, "strdup");
	save_free(text);
	need(all_are(block, 'b', size), "the block");
	save_free(block);
	for (int i = 0; i < 200; i++) {
		block = save_aligned_alloc(64, size + (size_t)i);
		memset(block, 'b', size + (size_t)i);
		if (i % 3)
			save_free(block);
	}
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
	{"read-moved", read_moved},
	{"read-shrunk", read_shrunk},
	{"read-ended", read_ended},
	{"write-ended", write_ended},
	{"use-undefined", use_undefined},
	{"use-undefined-again", use_undefined_again},
};

/* ---- the block ---- */

/* Between two of its size: what runs over its ends runs into them. */
static void make_block(void)
{
	char *before = save_malloc(size), *after;

	block = save_malloc(size);
	after = save_malloc(size);
	need(before && block && after, "malloc");
	memset(before, 'a', size);
	memset(block, 'b', size);
	memset(after, 'c', size);
}

/* Of a multiple of 16 bytes, so that nothing is between it and the next. */
static void begin(const char *sort, int limited)
{
	struct reclaim_task_opts opts = {.name = "victim"};
	int i;

	opts.max_bytes = limited ? 100000000 : 0;
	size = strcmp(sort, "large") == 0 ? 100000 : 96;
	task = reclaim_task_new(&opts);
	need(task && reclaim_enter(task) == 0, "no task");
	for (i = 0; strcmp(sort, "run") == 0 && i < 400; i++)
		need(save_malloc(96) != NULL, "malloc");
	make_block();
}

int main(int argc, char **argv)
{
	int limited = argc > 1 && strcmp(argv[1], "limit") == 0;
	size_t i;

	argv += limited;
	argc -= limited;
	need(argc == 3, "SORT MISTAKE");
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		if (strcmp(argv[2], mistakes[i].name) == 0) {
			begin(argv[1], limited);
			mistakes[i].make();
			return 0;
		}
	need(0, argv[2]);
	return 3;
}
