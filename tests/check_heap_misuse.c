/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong use of memory: each kind of it is told once, in the right words and
 * with the right tasks, and has no effect.  The blocks and the counts stay as
 * they were, and everything goes on.
 *
 * A loop of a test is a sort of block in a task without a limit or with one.
 * Where libc's memory is behind the tasks (heap_is_used) what libc would have
 * to find out is left out.
 *
 * Places are kept where the environment says so when the program starts: so
 * the program runs itself once more, all of it, with RECLAIM_PLACES=1.
 */
#include "config.h"

#include "tests/stage.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim/heap_private.h"
#include "reclaim/place_private.h"
#include "reclaim/tools_private.h"

/* As the library decides it; heaps_are_where_they_are_expected compares. */
static bool heap_is_used(void)
{
	const char *wanted = getenv("RECLAIM_MALLOC");

	if (wanted && strcmp(wanted, "system") == 0)
		return false;
	if (wanted && strcmp(wanted, "heap") == 0)
		return true;
	return !tools_here();
}

/* ---- sorts of blocks ---- */

#define MIB ((size_t)1 << 20)

enum {
	IN_AREA, /* among the first of a task */
	IN_RUN,	 /* as small, but later */
	PAGES,	 /* in a run as well */
	LARGE,
	RECORDED, /* libc's, with a record */
	SORTS
};

static const size_t size_of[SORTS] = {
	[IN_AREA] = 100,  [IN_RUN] = 100,	 [PAGES] = 5000,
	[LARGE] = 100000, [RECORDED] = 40 * MIB,
};

/* Loops: of each sort, and of those that are a heap's, with limit or without */
#define EACH	   (2 * SORTS)
#define EACH_HEAPS (2 * RECORDED)

/* So many small ones it has before its blocks come in runs. */
#define OUTGROWN 205

static reclaim_tid task, other;
static int sort;
static size_t size;
static char *block, *beside[2]; /* the one to be used wrongly, others */

static struct reclaim_task_info info(reclaim_tid tid)
{
	struct reclaim_task_info found;

	ck_works(reclaim_task_info(tid, &found));
	return found;
}

/* Of a block only the ends are filled: some are tens of MiB. */
static void mark(char *ptr, size_t bytes, char with)
{
	size_t part = bytes < 64 ? bytes : 64;

	memset(ptr, with, part);
	memset(ptr + bytes - part, with, part);
}

static bool is_marked(const char *ptr, size_t bytes, char with)
{
	size_t part = bytes < 64 ? bytes : 64, i;

	for (i = 0; i < part; i++)
		if (ptr[i] != with || ptr[bytes - 1 - i] != with)
			return false;
	return true;
}

static int line_of_make;

static char *make_one(void)
{
	char *made;

	made = save_malloc(size), line_of_make = __LINE__;

	ck_assert_ptr_nonnull(made);
	return made;
}

static char *make(char with)
{
	char *made = make_one();

	mark(made, size, with);
	return made;
}

static int sort_of(const char *ptr)
{
	unsigned class;

	if (!arena_has(ptr))
		return RECORDED;
	class = arena_run(ptr)->class;
	if (class >= CLASS_COUNT)
		return class == RUN_BUMP ? IN_AREA : LARGE;
	return arena_run(ptr)->size < 1024 ? IN_RUN : PAGES;
}

static void *outgrown[OUTGROWN];

static void outgrow(void)
{
	int i;

	for (i = 0; i < OUTGROWN; i++) {
		outgrown[i] = sort == IN_AREA ? NULL : save_malloc(100);
		ck_assert(sort == IN_AREA || outgrown[i]);
	}
}

/*
 * The block is beside the first of the others, so that a run has a free block
 * before it when both are freed.
 */
static void make_blocks(void)
{
	int tries = 0;

	block = make('b');
	do {
		beside[0] = block;
		block = make('b');
	} while ((sort == IN_RUN || sort == PAGES) && heap_is_used() &&
		 arena_run(beside[0]) != arena_run(block) && ++tries < 10);
	mark(beside[0], size, 'a');
	ck_assert_int_lt(tries, 10);
	beside[1] = make('c');
	if (heap_is_used())
		ck_assert_int_eq(sort_of(block), sort);
}

/* `task` has the block, and is worked for. */
static void begin(int loop)
{
	struct reclaim_task_opts opts = {
		.name = "task",
		.max_bytes = loop % 2 ? 1024 * MIB : 0,
	};

	sort = loop / 2;
	size = size_of[sort];
	task = reclaim_task_new(&opts);
	ck_assert_uint_ne(task, 0);
	other = task_called("other");
	work_for(task);
	outgrow();
	make_blocks();
}

static void forget_tasks(void)
{
	task = other = 0;
}

static void end_tasks(void)
{
	struct reclaim_task_info found;

	while (reclaim_leave() == 0)
		;
	if (reclaim_task_info(task, &found) == 0)
		end_task(task);
	if (reclaim_task_info(other, &found) == 0)
		end_task(other);
	set_reclaim_free_function(NULL);
}

/* ---- what is told ---- */

static const char *const words_of[] = {
	[RECLAIM_DOUBLE_FREE] = "freed before",
	[RECLAIM_FOREIGN_FREE] = "nobody allocated",
	[RECLAIM_INTERIOR_FREE] = "within a block",
	[RECLAIM_WRONG_FAMILY] = "wrong family",
	[RECLAIM_STRANGERS] = "unrelated task's",
};
#define KINDS (sizeof(words_of) / sizeof(words_of[0]))

static void must_tell(const char *words)
{
	ck_assert_msg(strstr(last_report(), words), "\"%s\" is not in: %s",
		      words, last_report());
}

static void must_not_tell(const char *words)
{
	ck_assert_msg(!strstr(last_report(), words), "\"%s\" is in: %s", words,
		      last_report());
}

/*
 * Told since the last look: once, and as that.  `owner` is the task that is
 * named; "" says that none is, NULL that it may be no other than `task`.
 */
static void expect(const char *did, size_t what, const char *owner)
{
	char words[80];
	size_t i;

	ck_assert_msg(reports() == 1, "%u reports, the last: %s", reports(),
		      last_report());
	snprintf(words, sizeof(words), "%s of ", did);
	ck_assert_ptr_eq(strstr(last_report(), words), last_report());
	for (i = 0; i < KINDS; i++)
		(i == what ? must_tell : must_not_tell)(words_of[i]);
	snprintf(words, sizeof(words), ", in task %s <",
		 info(reclaim_self()).name);
	must_tell(words);
	snprintf(words, sizeof(words), "acquired in task %s <",
		 owner ? owner : "task");
	if (owner && *owner)
		must_tell(words);
	else if (!owner && strstr(last_report(), "acquired in task"))
		must_tell(words);
	else if (owner)
		must_not_tell("acquired in task");
	forget_reports();
}

/* Of a block that was freed it is known as long as its heap keeps the place. */
static const char *owner_of_freed(void)
{
	return sort <= IN_RUN ? "task" : NULL;
}

/* ---- what stays as it was ---- */

static struct reclaim_task_info before[2];

static void look(void)
{
	before[0] = info(task);
	before[1] = info(other);
	forget_reports();
}

static void same_figures(const struct reclaim_task_info *then)
{
	struct reclaim_task_info now = info(then->tid);

	ck_assert_uint_eq(now.blocks, then->blocks);
	ck_assert_uint_eq(now.bytes, then->bytes);
	ck_assert_uint_eq(now.peak_bytes, then->peak_bytes);
	ck_assert_uint_eq(now.handles, then->handles);
}

static void nothing_changed(void)
{
	same_figures(&before[0]);
	same_figures(&before[1]);
	ck_assert(is_marked(beside[0], size, 'a'));
	ck_assert(is_marked(beside[1], size, 'c'));
}

/* New blocks of many sizes, each for itself, and gone again. */
static void goes_on(void)
{
	static const size_t sizes[] = {0, 16, 40, 100, 300, 1000, 5000, 30000};
	struct reclaim_task_info then = info(reclaim_self()), now;
	char *made[32], with;
	size_t many, i;

	for (i = 0; i < 32; i++) {
		many = i % 9 < 8 ? sizes[i % 9] : size;
		made[i] = save_malloc(many + 1);
		ck_assert_ptr_nonnull(made[i]);
		mark(made[i], many + 1, (char)('A' + i));
	}
	for (i = 0; i < 32; i++) {
		many = i % 9 < 8 ? sizes[i % 9] : size;
		with = (char)('A' + i);
		ck_assert(is_marked(made[i], many + 1, with));
		if (i % 2)
			made[i] = save_realloc(made[i], many + 300);
		ck_assert(made[i][0] == with);
	}
	now = info(reclaim_self());
	ck_assert_uint_eq(now.blocks, then.blocks + 32);
	for (i = 0; i < 32; i++)
		save_free(made[i]);
	now = info(reclaim_self());
	ck_assert_uint_eq(now.blocks, then.blocks);
	ck_assert_uint_eq(now.bytes, then.bytes);
	ck_assert_msg(reports() == 0, "%s", last_report());
}

/* After wrong use of a block that is live: it is, and can be used. */
static void still_live(void)
{
	nothing_changed();
	ck_assert(is_marked(block, size, 'b'));
	if (reclaim_self() != task)
		work_no_longer();
	goes_on();
	ck_assert(is_marked(block, size, 'b'));
	block = save_realloc(block, size + 10);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq(info(task).blocks, before[0].blocks);
	save_free(block);
	ck_assert_uint_eq(info(task).blocks, before[0].blocks - 1);
	ck_assert_uint_eq(reports(), 0);
}

/* ---- freed before ---- */

START_TEST(freed_twice_at_once)
{
	begin(_i);
	save_free(block);
	look();
	errno = 77;
	save_free(block);
	ck_assert_int_eq(errno, 77);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	goes_on();
}
END_TEST

START_TEST(the_last_one_is_freed_twice)
{
	begin(_i);
	save_free(beside[1]);
	look();
	save_free(beside[1]);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	same_figures(&before[0]);
	goes_on();
}
END_TEST

START_TEST(every_one_is_freed_twice)
{
	begin(_i);
	save_free(block);
	save_free(beside[0]);
	save_free(beside[1]);
	look();
	save_free(beside[0]);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	save_free(beside[1]);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	same_figures(&before[0]);
	goes_on();
}
END_TEST

/* Of other sizes.  Whether the place of the block was used for them. */
static bool do_something_else(void)
{
	bool used = false;
	char *small[8];
	int i;

	for (i = 0; i < 8; i++)
		small[i] = save_calloc(1, (size_t)i * 5 + 1);
	for (i = 0; i < 8; i += 2)
		save_free(small[i]);
	for (i = 1; i < 8; i += 2) {
		small[i] = save_realloc(small[i], 60);
		used |= small[i] == block;
	}
	end_task(task_called("short"));
	return used;
}

START_TEST(freed_twice_later)
{
	begin(_i);
	save_free(block);
	if (do_something_else()) {
		ck_assert_int_eq(sort, LARGE);
		return;
	}
	look();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	goes_on();
}
END_TEST

/*
 * The new block takes the place of another that was freed.  A large one may
 * take this one's: then nobody can tell.
 */
START_TEST(freed_twice_with_another_of_its_size_between)
{
	char *new;

	begin(_i);
	save_free(block);
	save_free(beside[0]);
	beside[0] = make('a');
	new = make('n');
	if (sort >= LARGE && (new == block || beside[0] == block))
		return;
	if (new == block) {
		save_free(new);
		new = NULL;
	}
	ck_assert_ptr_ne(beside[0], block);
	look();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	ck_assert(!new || is_marked(new, size, 'n'));
	goes_on();
}
END_TEST

START_TEST(resized_after_it_was_freed)
{
	static const size_t to[] = {0, 1, 1000, 200000};
	size_t i;

	begin(_i);
	save_free(block);
	look();
	for (i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		ck_fails(save_realloc(block, to[i]), NULL, EINVAL);
		expect("realloc", RECLAIM_DOUBLE_FREE, owner_of_freed());
		nothing_changed();
	}
	ck_fails(save_reallocarray(block, 10, 10), NULL, EINVAL);
	expect("realloc", RECLAIM_DOUBLE_FREE, owner_of_freed());
	goes_on();
}
END_TEST

START_TEST(freed_after_it_moved)
{
	char *moved;

	begin(_i);
	moved = save_realloc(block, size * 4);
	ck_assert_ptr_nonnull(moved);
	if (moved == block)
		return; /* a large one had room */
	look();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	ck_assert_int_eq(moved[0], 'b');
	goes_on();
}
END_TEST

START_TEST(freed_after_realloc_to_nothing)
{
	begin(_i);
	ck_assert_ptr_null(save_realloc(block, 0));
	look();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	goes_on();
}
END_TEST

START_TEST(what_was_freed_is_given_to_nobody)
{
	begin(_i);
	save_free(block);
	look();
	ck_fails(reclaim_give(block, other), NULL, EINVAL);
	ck_assert_uint_eq(reports(), 0);
	nothing_changed();
	goes_on();
}
END_TEST

START_TEST(freed_after_its_task_has_ended)
{
	begin(_i);
	work_no_longer();
	end_task(task);
	work_for(other);
	before[1] = info(other);
	forget_reports();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, "");
	save_free(beside[1]);
	expect("free", RECLAIM_DOUBLE_FREE, "");
	ck_fails(save_realloc(block, 10), NULL, EINVAL);
	expect("realloc", RECLAIM_DOUBLE_FREE, "");
	save_free2(block, free);
	expect("free", RECLAIM_DOUBLE_FREE, "");
	same_figures(&before[1]);
	goes_on();
}
END_TEST

/* The same, with the places of those blocks taken by another task's. */
START_TEST(freed_after_another_task_came)
{
	char *old[3];
	int i;

	begin(_i);
	memcpy(old, (char *[]){block, beside[0], beside[1]}, sizeof(old));
	work_no_longer();
	end_task(task);
	task = task_called("task");
	work_for(task);
	outgrow();
	make_blocks();
	look();
	work_for(other);
	for (i = 0; i < 3; i++) {
		forget_reports();
		save_free(old[i]);
		ck_assert_uint_eq(reports(), 1);
		ck_fails(save_realloc(old[i], 10), NULL, EINVAL);
		ck_assert_uint_eq(reports(), 2);
	}
	forget_reports();
	still_live();
}
END_TEST

/* ---- within a block ---- */

/* Unaligned pointers first: all that is found of what libc has. */
static size_t inside(int which)
{
	const size_t offsets[] = {1,  17, size / 2 + 1,		 size - 1,
				  16, 48, size / 2 & -(size_t)16};

	return offsets[which];
}

START_TEST(a_pointer_into_a_block)
{
	bool libcs;
	char words[80];
	int i;

	begin(_i);
	libcs = sort == RECORDED;
	look();
	for (i = 0; i < (libcs ? 4 : 7); i++) {
		char *ptr = block + inside(i);

		save_free(ptr);
		snprintf(words, sizeof(words), "%p", (void *)ptr);
		must_tell(words);
		snprintf(words, sizeof(words),
			 "%zu bytes behind the beginning of block %p",
			 inside(i), (void *)block);
		if (!libcs)
			must_tell(words);
		expect("free",
		       libcs ? RECLAIM_FOREIGN_FREE : RECLAIM_INTERIOR_FREE,
		       libcs ? "" : "task");
		ck_fails(save_realloc(ptr, 10), NULL, EINVAL);
		expect("realloc",
		       libcs ? RECLAIM_FOREIGN_FREE : RECLAIM_INTERIOR_FREE,
		       libcs ? "" : "task");
		ck_fails(reclaim_give(ptr, other), NULL, EINVAL);
		ck_assert_uint_eq(reports(), 0);
		nothing_changed();
	}
	still_live();
}
END_TEST

START_TEST(a_pointer_into_a_strangers_block)
{
	begin(_i);
	look();
	work_for(other);
	save_free(block + 16);
	expect("free", RECLAIM_INTERIOR_FREE, "task");
	save_free(block + 1);
	expect("free", RECLAIM_INTERIOR_FREE, "task");
	still_live();
}
END_TEST

/* ---- strangers ---- */

START_TEST(a_stranger)
{
	begin(_i);
	look();
	work_for(other);
	save_free(block);
	expect("free", RECLAIM_STRANGERS, "task");
	ck_fails(save_realloc(block, 10), NULL, EINVAL);
	expect("realloc", RECLAIM_STRANGERS, "task");
	ck_fails(save_realloc(block, 0), NULL, EINVAL);
	expect("realloc", RECLAIM_STRANGERS, "task");
	ck_fails(reclaim_give(block, other), NULL, EPERM);
	ck_assert_uint_eq(reports(), 0);
	still_live();
}
END_TEST

/* ---- the wrong family ---- */

static int freed, resized;

static void my_free(void *ptr)
{
	freed++;
	free(ptr);
}

static void *my_realloc(void *ptr, size_t bytes)
{
	resized++;
	return realloc(ptr, bytes);
}

START_TEST(the_callers_allocator_for_another_block)
{
	begin(_i);
	freed = resized = 0;
	look();
	save_free2(block, my_free);
	expect("free", RECLAIM_WRONG_FAMILY, "task");
	ck_fails(save_realloc2(block, 10, my_realloc), NULL, EINVAL);
	expect("realloc", RECLAIM_WRONG_FAMILY, "task");
	nothing_changed();
	work_for(other);
	save_free2(block, my_free);
	ck_assert_uint_eq(reports(), 1);
	forget_reports();
	ck_assert_int_eq(freed, 0);
	ck_assert_int_eq(resized, 0);
	still_live();
}
END_TEST

START_TEST(another_allocator_for_the_callers_block)
{
	char *two;

	begin(_i);
	freed = resized = 0;
	two = save_malloc2(size, malloc);
	mark(two, size, '2');
	look();
	save_free(two);
	expect("free", RECLAIM_WRONG_FAMILY, "task");
	ck_fails(save_realloc(two, 10), NULL, EINVAL);
	expect("realloc", RECLAIM_WRONG_FAMILY, "task");
	ck_assert(is_marked(two, size, '2'));
	nothing_changed();
	work_for(other);
	save_free2(two, my_free);
	expect("free", RECLAIM_STRANGERS, "task");
	ck_fails(save_realloc2(two, 10, my_realloc), NULL, EINVAL);
	expect("realloc", RECLAIM_STRANGERS, "task");
	ck_assert_int_eq(freed + resized, 0);
	work_no_longer();
	save_free2(two, my_free);
	ck_assert_int_eq(freed, 1);
	ck_assert_uint_eq(info(task).blocks, before[0].blocks - 1);
	before[0] = info(task);
	still_live();
}
END_TEST

START_TEST(the_callers_allocator_for_what_was_freed)
{
	begin(_i);
	freed = resized = 0;
	save_free(block);
	look();
	save_free2(block, my_free);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	ck_fails(save_realloc2(block, 10, my_realloc), NULL, EINVAL);
	expect("realloc", RECLAIM_DOUBLE_FREE, owner_of_freed());
	save_free2(beside[0] + 16, my_free);
	expect("free", RECLAIM_INTERIOR_FREE, "task");
	ck_assert_int_eq(freed + resized, 0);
	nothing_changed();
	goes_on();
}
END_TEST

START_TEST(nothing_is_nobodys)
{
	begin(_i);
	freed = 0;
	look();
	save_free(NULL);
	save_free2(NULL, my_free);
	ck_fails(reclaim_give(NULL, other), NULL, EINVAL);
	ck_assert_int_eq(freed, 0);
	ck_assert_uint_eq(reports(), 0);
	still_live();
}
END_TEST

/* ---- what nobody allocated ---- */

static void expect_foreign(void *ptr)
{
	look();
	errno = 77;
	save_free(ptr);
	ck_assert_int_eq(errno, 77);
	expect("free", RECLAIM_FOREIGN_FREE, "");
	ck_fails(save_realloc(ptr, 10), NULL, EINVAL);
	expect("realloc", RECLAIM_FOREIGN_FREE, "");
	ck_fails(reclaim_give(ptr, other), NULL, EINVAL);
	ck_assert_uint_eq(reports(), 0);
	nothing_changed();
}

#ifdef HAVE__DL_FIND_OBJECT
static char data[64] __attribute__((aligned(16))) = "data", zeros[64];
static const char constant[64] __attribute__((aligned(16))) = "constant";

START_TEST(an_object_that_is_loaded)
{
	begin(_i);
	expect_foreign(data);
	expect_foreign(data + 16);
	expect_foreign(zeros);
	expect_foreign((void *)(uintptr_t)constant);
	expect_foreign((void *)(uintptr_t) "a string");
	expect_foreign((void *)(uintptr_t)forget_tasks);
	expect_foreign(dlsym(RTLD_DEFAULT, "qsort"));
	expect_foreign(stderr);
	ck_assert_str_eq(data, "data");
	ck_assert_str_eq(constant, "constant");
	still_live();
}
END_TEST
#endif

START_TEST(a_pointer_that_libc_would_not_return)
{
	char local[64] __attribute__((aligned(16))) = "local";
	char *libcs = malloc(100);

	begin(_i);
	strcpy(libcs, "plain");
	expect_foreign(local + 1);
	expect_foreign(local + 8);
	expect_foreign(libcs + 1);
	expect_foreign((char *)(uintptr_t)1);
	expect_foreign((void *)(uintptr_t)-1);
	ck_assert_str_eq(local, "local");
	ck_assert_str_eq(libcs, "plain");
	save_free(libcs);
	still_live();
}
END_TEST

START_TEST(what_describes_the_memory)
{
	struct arena *arena;

	begin(_i);
	arena = arena_of(block);
	expect_foreign(arena);
	expect_foreign((char *)arena + 1);
	expect_foreign((char *)arena + 16);
	expect_foreign(arena->runs);
	expect_foreign(arena_run(block));
	expect_foreign(chunk_of(block));
	expect_foreign((char *)(arena + 1) - 1);
	still_live();
}
END_TEST

/* Memory that nobody uses, or ever used: in either word. */
START_TEST(what_is_nobodys)
{
	char *arena;
	char *ptrs[3];
	int i;

	begin(_i);
	arena = (char *)arena_of(block);
	ptrs[0] = arena + ARENA_SIZE - 4096;
	ptrs[1] = arena + ARENA_SIZE - 16;
	ptrs[2] = arena + ARENA_SIZE - 1;
	look();
	for (i = 0; i < 3; i++) {
		ck_assert_ptr_null(chunk_of(ptrs[i]));
		save_free(ptrs[i]);
		ck_assert_uint_eq(reports(), 1);
		must_not_tell("acquired");
		ck_fails(save_realloc(ptrs[i], 10), NULL, EINVAL);
		ck_assert_uint_eq(reports(), 2);
		forget_reports();
		nothing_changed();
	}
	still_live();
}
END_TEST

/* Of the memory that a task has taken, what is not in a block. */
START_TEST(what_is_left_of_an_area_or_a_run)
{
	struct run *run;
	size_t rest;
	char *ptr;

	begin(_i);
	run = arena_run(block);
	if (sort == IN_AREA)
		ptr = run_memory(run) + ((size_t)run->kibs << 10) - 16;
	else if (sort == LARGE)
		ptr = block + chunk_size(chunk_of(block)) - 16;
	else
		ptr = run_memory(run) + (size_t)run->count * run->size;
	rest = (size_t)(run_memory(run) + ((size_t)run->kibs << 10) - ptr);
	if (sort != LARGE && rest == 0)
		return; /* a run without any */
	look();
	save_free(ptr);
	ck_assert_uint_eq(reports(), 1);
	ck_fails(save_realloc(ptr, 10), NULL, EINVAL);
	ck_assert_uint_eq(reports(), 2);
	forget_reports();
	still_live();
}
END_TEST

/* ---- the policies ---- */

static char *freed_one;

static void free_twice(void)
{
	save_free(freed_one);
}

static void free_inside(void)
{
	save_free(block + 16);
}

static void free_foreign(void)
{
	save_free((char *)(uintptr_t)1);
}

static void free_in_wrong_family(void)
{
	save_free2(block, my_free);
}

static void free_as_stranger(void)
{
	work_for(other);
	save_free(block);
	work_no_longer();
}

static void (*const wrong[])(void) = {
	[RECLAIM_DOUBLE_FREE] = free_twice,
	[RECLAIM_FOREIGN_FREE] = free_foreign,
	[RECLAIM_INTERIOR_FREE] = free_inside,
	[RECLAIM_WRONG_FAMILY] = free_in_wrong_family,
	[RECLAIM_STRANGERS] = free_as_stranger,
};

/* With libc's memory it has to find out the first three itself. */
static int first_kind(void)
{
	return heap_is_used() ? 0 : RECLAIM_WRONG_FAMILY;
}

static void begin_policy(int loop)
{
	begin(loop);
	freed_one = save_malloc(size);
	ck_assert_ptr_nonnull(save_malloc(size));
	save_free(freed_one);
	look();
}

START_TEST(off_is_silent_and_the_others_are_not)
{
	size_t kind;
	int off;

	begin_policy(_i);
	for (off = first_kind(); off < (int)KINDS; off++) {
		ck_assert_int_eq(reclaim_policy(off, RECLAIM_OFF),
				 RECLAIM_WARN);
		for (kind = (size_t)first_kind(); kind < KINDS; kind++) {
			forget_reports();
			wrong[kind]();
			ck_assert_uint_eq(reports(), (int)kind != off);
			nothing_changed();
		}
		reclaim_policy(off, RECLAIM_WARN);
	}
	forget_reports();
	still_live();
}
END_TEST

START_TEST(all_off_is_silence)
{
	size_t kind;

	begin_policy(_i);
	reclaim_policy(RECLAIM_ALL_CHECKS, RECLAIM_OFF);
	for (kind = (size_t)first_kind(); kind < KINDS; kind++)
		wrong[kind]();
	ck_assert_uint_eq(reports(), 0);
	still_live();
}
END_TEST

START_TEST(once_is_once)
{
	unsigned told = 0;
	size_t kind;

	begin_policy(_i);
	reclaim_policy(RECLAIM_ALL_CHECKS, RECLAIM_WARN_ONCE);
	for (kind = (size_t)first_kind(); kind < KINDS; kind++) {
		wrong[kind]();
		ck_assert_uint_eq(reports(), ++told);
		must_tell(words_of[kind]);
		wrong[kind]();
		ck_assert_uint_eq(reports(), told);
	}
	forget_reports();
	still_live();
}
END_TEST

/* ---- two threads ---- */

static void *free_it(void *ptr)
{
	save_free(ptr);
	return NULL;
}

static void *resize_it(void *ptr)
{
	return save_realloc(ptr, 3000);
}

/* Another thread of the current task, which has done it on return. */
static void *elsewhere(void *(*act)(void *), void *ptr)
{
	pthread_t thread;
	void *result;

	ck_works(save_pthread_create(&thread, NULL, act, ptr));
	ck_works(save_pthread_join(thread, &result));
	return result;
}

/*
 * Told by now, or as the owner allocates: no block twice, and the figures are
 * right in the end.
 */
#define SOON 300

static void told_soon(void)
{
	static char *made[SOON];
	size_t blocks = before[0].blocks;
	int n = 0, i;

	for (; n < SOON && reports() == 0; n++)
		made[n] = make((char)n);
	expect("free", RECLAIM_DOUBLE_FREE, NULL);
	for (i = 0; i < n; i++)
		ck_assert(is_marked(made[i], size, (char)i));
	ck_assert_uint_eq(info(task).blocks, blocks + (size_t)n);
	for (i = 0; i < n; i++)
		save_free(made[i]);
	ck_assert_uint_eq(info(task).blocks, blocks);
	ck_assert_uint_eq(info(task).bytes, before[0].bytes);
	ck_assert(is_marked(beside[0], size, 'a'));
	ck_assert(is_marked(beside[1], size, 'c'));
	goes_on();
}

START_TEST(freed_here_and_then_there)
{
	begin(_i);
	save_free(block);
	look();
	elsewhere(free_it, block);
	told_soon();
}
END_TEST

START_TEST(freed_there_and_then_here)
{
	begin(_i);
	elsewhere(free_it, block);
	look();
	save_free(block);
	told_soon();
}
END_TEST

START_TEST(freed_there_twice)
{
	begin(_i);
	elsewhere(free_it, block);
	look();
	elsewhere(free_it, block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	goes_on();
}
END_TEST

START_TEST(freed_here_and_resized_there)
{
	begin(_i);
	save_free(block);
	look();
	ck_assert_ptr_null(elsewhere(resize_it, block));
	expect("realloc", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	goes_on();
}
END_TEST

START_TEST(a_pointer_into_a_block_there)
{
	begin(_i);
	look();
	elsewhere(free_it, block + 16);
	expect("free", RECLAIM_INTERIOR_FREE, "task");
	elsewhere(free_it, block + 1);
	expect("free", RECLAIM_INTERIOR_FREE, "task");
	ck_assert_ptr_null(elsewhere(resize_it, block + 16));
	expect("realloc", RECLAIM_INTERIOR_FREE, "task");
	still_live();
}
END_TEST

START_TEST(two_freed_here_and_then_there)
{
	begin(_i);
	save_free(block);
	save_free(beside[0]);
	look();
	elsewhere(free_it, block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	elsewhere(free_it, beside[0]);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	same_figures(&before[0]);
	goes_on();
}
END_TEST

/* Both at once: one frees it, the other is told. */
#define RACES 20

/* To the thread sanitizer that is a race; it is one. */
#ifdef __SANITIZE_THREAD__
#define RACING 0
#else
#define RACING EACH_HEAPS
#endif

static pthread_barrier_t start;

static void *race_to_free(void *ptr)
{
	pthread_barrier_wait(&start);
	save_free(ptr);
	return NULL;
}

START_TEST(freed_there_twice_at_once)
{
	pthread_t threads[2];
	int i;

	begin(_i);
	ck_works(pthread_barrier_init(&start, NULL, 2));
	for (i = 0; i < RACES; i++) {
		look();
		ck_works(save_pthread_create(&threads[0], NULL, race_to_free,
					     block));
		ck_works(save_pthread_create(&threads[1], NULL, race_to_free,
					     block));
		ck_works(save_pthread_join(threads[0], NULL));
		ck_works(save_pthread_join(threads[1], NULL));
		expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
		ck_assert_uint_eq(info(task).blocks, before[0].blocks - 1);
		block = make('b');
	}
	pthread_barrier_destroy(&start);
	goes_on();
}
END_TEST

/* ---- tasks above and below ---- */

/* Nobody has a task's heap while nobody works for it. */
START_TEST(freed_by_its_task_and_then_above)
{
	begin(_i);
	save_free(block);
	look();
	work_no_longer();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	work_for(task);
	goes_on();
}
END_TEST

START_TEST(freed_by_its_task_and_then_resized_above)
{
	begin(_i);
	save_free(block);
	look();
	work_no_longer();
	ck_fails(save_realloc(block, 3000), NULL, EINVAL);
	expect("realloc", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	work_for(task);
	goes_on();
}
END_TEST

/* With nothing else in the heap: what it has does not fall below nothing. */
START_TEST(the_only_one_is_freed_by_its_task_and_then_above)
{
	size_t blocks;
	int i;

	begin(_i);
	for (i = 0; i < OUTGROWN; i++)
		save_free(outgrown[i]);
	save_free(beside[0]);
	save_free(beside[1]);
	blocks = info(task).blocks;
	save_free(block);
	forget_reports();
	work_no_longer();
	save_free(block);
	ck_assert_uint_eq(info(task).blocks, blocks - 1);
	ck_assert_uint_eq(reports(), 1);
	work_for(task);
	forget_reports();
	goes_on();
}
END_TEST

START_TEST(freed_above_and_then_by_its_task)
{
	begin(_i);
	work_no_longer();
	save_free(block);
	work_for(task);
	look();
	save_free(block);
	told_soon();
}
END_TEST

START_TEST(freed_above_twice)
{
	begin(_i);
	work_no_longer();
	save_free(block);
	look();
	save_free(block);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
	work_for(task);
	goes_on();
}
END_TEST

/* ---- places ---- */

static bool have_libdw(void)
{
#ifdef HAVE_LIBDWFL
	void *lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

	if (lib)
		dlclose(lib);
	return lib != NULL;
#else
	return false;
#endif
}

static int line_of_free, line_of_wrong;

static void free_first(void)
{
	save_free(block), line_of_free = __LINE__;
}

static void free_wrongly(char *ptr)
{
	save_free(ptr), line_of_wrong = __LINE__;
}

/* By file and line, or by symbol where libdw is missing. */
static void must_tell_place(const char *what, int line)
{
	char words[80], *at = words + strlen(what);

	strcpy(words, what);
	if (have_libdw())
		sprintf(at, "check_heap_misuse.c:%d", line);
	must_tell(words);
}

START_TEST(both_places_are_told)
{
	begin(_i);
	free_first();
	look();
	free_wrongly(block);
	must_tell_place(" at ", line_of_wrong);
	must_tell_place(", freed at ", line_of_free);
	must_tell_place("> at ", line_of_make);
	must_not_tell("tells where");
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
	nothing_changed();
}
END_TEST

/* With all that was beside it: the run goes, too. */
START_TEST(both_places_are_told_when_others_are_free)
{
	begin(_i);
	free_first();
	save_free(beside[0]);
	save_free(beside[1]);
	look();
	free_wrongly(block);
	must_tell_place(", freed at ", line_of_free);
	must_tell_place("> at ", line_of_make);
	expect("free", RECLAIM_DOUBLE_FREE, "task");
}
END_TEST

START_TEST(both_places_are_told_when_the_task_has_ended)
{
	begin(_i);
	free_first();
	work_no_longer();
	end_task(task);
	work_for(other);
	forget_reports();
	free_wrongly(block);
	must_tell_place(", freed at ", line_of_free);
	must_tell_place(", acquired at ", line_of_make);
	expect("free", RECLAIM_DOUBLE_FREE, "");
}
END_TEST

/* Where it was freed the time before last says nothing. */
START_TEST(no_places_of_an_earlier_block_are_told)
{
	begin(_i);
	free_first();
	save_free(beside[0]);
	save_free(beside[1]);
	make_blocks();
	work_no_longer();
	end_task(task);
	work_for(other);
	forget_reports();
	free_wrongly(block);
	must_not_tell("freed at");
	expect("free", RECLAIM_DOUBLE_FREE, "");
}
END_TEST

START_TEST(both_places_are_told_of_another_threads)
{
	begin(_i);
	free_first();
	look();
	elsewhere(free_it, block);
	must_tell_place(", freed at ", line_of_free);
	expect("free", RECLAIM_DOUBLE_FREE, owner_of_freed());
}
END_TEST

START_TEST(the_place_of_a_live_block_is_told)
{
	begin(_i);
	look();
	free_wrongly(block + 1);
	must_tell_place(" at ", line_of_wrong);
	if (sort != RECORDED)
		must_tell_place("> at ", line_of_make);
	must_not_tell(", freed at ");
	forget_reports();
	work_for(other);
	free_wrongly(block);
	must_tell_place(" at ", line_of_wrong);
	must_tell_place("> at ", line_of_make);
	must_not_tell(", freed at ");
	forget_reports();
	still_live();
}
END_TEST

/* ---- once more, in another process ---- */

#define AGAIN "RECLAIM_TEST_AGAIN"

/* Under Valgrind the link itself leads to Valgrind. */
static void run_again(int to)
{
	char path[4096] = "";

	dup2(to, STDOUT_FILENO);
	dup2(to, STDERR_FILENO);
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		_exit(126);
	setenv("RECLAIM_PLACES", "1", 1);
	setenv("RECLAIM_MALLOC", heap_is_used() ? "heap" : "system", 1);
	setenv(AGAIN, "1", 1);
	execl(path, "check_heap_misuse", (char *)NULL);
	_exit(127);
}

START_TEST(the_same_where_places_are_kept)
{
	static char text[2000];
	FILE *said = tmpfile();
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_again(fileno(said));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (fseek(said, -(long)sizeof(text) + 1, SEEK_END) != 0)
		rewind(said);
	text[fread(text, 1, sizeof(text) - 1, said)] = '\0';
	fclose(said);
	ck_assert_msg(status == 0, "%s", text);
}
END_TEST

/* ---- all of them ---- */

START_TEST(heaps_are_where_they_are_expected)
{
	begin(_i);
	ck_assert_int_eq(arena_has(block), heap_is_used());
}
END_TEST

static TCase *misuse_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, forget_tasks, end_tasks);
	return tcase;
}

static void add_freed(Suite *suite)
{
	TCase *tcase = misuse_case(suite, "freed before");

	tcase_add_loop_test(tcase, freed_twice_at_once, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, the_last_one_is_freed_twice, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, every_one_is_freed_twice, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_twice_later, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_twice_with_another_of_its_size_between,
			    0, EACH_HEAPS);
	tcase_add_loop_test(tcase, resized_after_it_was_freed, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_after_it_moved, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_after_realloc_to_nothing, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, what_was_freed_is_given_to_nobody, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_after_its_task_has_ended, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_after_another_task_came, 0,
			    EACH_HEAPS);
}

static void add_never_allocated(Suite *suite)
{
	TCase *tcase = misuse_case(suite, "within a block");

	tcase_add_loop_test(tcase, a_pointer_into_a_block, 0, EACH);
	tcase_add_loop_test(tcase, a_pointer_into_a_strangers_block, 0,
			    EACH_HEAPS);

	tcase = misuse_case(suite, "nobody's");
#ifdef HAVE__DL_FIND_OBJECT
	tcase_add_loop_test(tcase, an_object_that_is_loaded, 0, EACH);
#endif
	tcase_add_loop_test(tcase, a_pointer_that_libc_would_not_return, 0,
			    EACH);
	tcase_add_loop_test(tcase, what_describes_the_memory, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, what_is_nobodys, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, what_is_left_of_an_area_or_a_run, 0,
			    EACH_HEAPS);
}

static void add_threads(Suite *suite)
{
	TCase *tcase = misuse_case(suite, "threads");

	tcase_add_loop_test(tcase, freed_here_and_then_there, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_there_and_then_here, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, two_freed_here_and_then_there, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_there_twice, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_here_and_resized_there, 0, EACH_HEAPS);
	tcase_add_loop_test(tcase, a_pointer_into_a_block_there, 0, EACH_HEAPS);
	/* Or the tool tells of it, by a look at what was freed meanwhile. */
	if (!tools_told)
		tcase_add_loop_test(tcase, freed_there_twice_at_once, 0,
				    RACING);

	tcase = misuse_case(suite, "above and below");
	tcase_add_loop_test(tcase, freed_by_its_task_and_then_above, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_by_its_task_and_then_resized_above, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase,
			    the_only_one_is_freed_by_its_task_and_then_above, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_above_and_then_by_its_task, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, freed_above_twice, 0, EACH_HEAPS);
}

static void add_places(Suite *suite)
{
	TCase *tcase = misuse_case(suite, "places");

	if (!place_kept) {
		tcase_set_timeout(tcase, 200);
		tcase_add_test(tcase, the_same_where_places_are_kept);
		return;
	}
	if (heap_is_used()) {
		tcase_add_loop_test(tcase, both_places_are_told, 0, EACH_HEAPS);
		tcase_add_loop_test(tcase,
				    both_places_are_told_when_others_are_free,
				    0, EACH_HEAPS);
		tcase_add_loop_test(
			tcase, both_places_are_told_when_the_task_has_ended, 0,
			EACH_HEAPS);
		tcase_add_loop_test(tcase,
				    no_places_of_an_earlier_block_are_told, 0,
				    EACH_HEAPS);
		tcase_add_loop_test(tcase,
				    both_places_are_told_of_another_threads, 0,
				    EACH_HEAPS);
		tcase_add_loop_test(tcase, the_place_of_a_live_block_is_told, 0,
				    EACH);
	}
}

static void fill(Suite *suite)
{
	TCase *tcase = misuse_case(suite, "whoever has the memory");

	tcase_add_loop_test(tcase, heaps_are_where_they_are_expected, 0,
			    EACH_HEAPS);
	tcase_add_loop_test(tcase, a_stranger, 0, EACH);
	tcase_add_loop_test(tcase, the_callers_allocator_for_another_block, 0,
			    EACH);
	tcase_add_loop_test(tcase, another_allocator_for_the_callers_block, 0,
			    EACH);
	tcase_add_loop_test(tcase, nothing_is_nobodys, 0, EACH);
	tcase_add_test(tcase, off_is_silent_and_the_others_are_not);
	tcase_add_test(tcase, all_off_is_silence);
	tcase_add_test(tcase, once_is_once);
	add_places(suite);
	if (!heap_is_used()) {
		puts("Memory is libc's: what only heaps find out is left out.");
		return;
	}
	add_freed(suite);
	add_never_allocated(suite);
	tcase = misuse_case(suite, "heaps");
	tcase_add_loop_test(tcase, the_callers_allocator_for_what_was_freed, 0,
			    EACH_HEAPS);
	add_threads(suite);
}

static void say_nothing(int severity, const char *text, void *arg)
{
	(void)severity;
	(void)text;
	(void)arg;
}

/* What libdw opens as the first place is described it keeps open. */
static void describe_a_place(void)
{
	void *ptr = save_malloc(1);

	reclaim_on_report(say_nothing, NULL);
	save_free2(ptr, free);
	reclaim_on_report(NULL, NULL);
	save_free(ptr);
}

int main(void)
{
	if (place_kept)
		describe_a_place();
	if (getenv(AGAIN) && !place_kept)
		return 126;
	return stage_run("heap misuse", fill);
}
