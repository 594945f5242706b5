/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random use of a block against a model: a list of what lies in it, in the
 * order of addresses, which says where the next allocation has to be.
 *
 * After each step the block has what the list has, in the same places, and its
 * figures are those of the list; no two holes are side by side.  Contents stay
 * until they are freed.  Between steps it is asked what any pointer is.
 *
 * RECLAIM_TEST_SEED repeats a run, and RECLAIM_TEST_OPS says how many steps
 * there are in all.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/area.h"

/* Where each step is slow there are fewer. */
#define OPS		240000
#define OPS_SANITIZED	60000
#define OPS_IN_VALGRIND 45000

#define SPANS	6000 /* at most; more are had only by those of no size */
#define SURVEY	500  /* steps between two looks at all contents */
#define ENDS	256  /* bytes at either end that are painted */
#define ZEROS	((size_t)1 << 20) /* more are not all looked at */
#define KIB	((size_t)1 << 10)
#define MIB	((size_t)1 << 20)
#define NO_SPAN SIZE_MAX

/* Every assertion of Check's costs more than a step. */
#define holds(condition, ...)                      \
	do {                                       \
		if (!(condition))                  \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)

/* ---- what is played, and where ---- */

static const struct scene {
	size_t size;
	unsigned offset; /* of the area */
	unsigned bits;	 /* sizes are below 2^bits, small ones as often */
	bool zeroed;
} scenes[] = {
	{BLOCK_LEAST, 0, 12, true},	 {BLOCK_LEAST + 1, 16, 9, false},
	{100 * KIB + 11, 48, 14, true},	 {MIB, 0, 11, false},
	{MIB + 12345, 32, 18, true},	 {5 * MIB + 1, 0, 15, true},
	{16 * MIB - 16, 16, 23, true},	 {200 * MIB, 0, 27, true},
	{200 * MIB + 333, 32, 28, true}, {700 * MIB, 48, 30, true},
};
#define SCENES ((int)(sizeof(scenes) / sizeof(scenes[0])))

/* Granules: words, pages, regions, and what 16 bits can say. */
static const size_t edges[] = {1,    2,	    63,	   64,	  65,	 127,	128,
			       129,  255,   256,   257,	  1023,	 1024,	4095,
			       4096, 65534, 65535, 65536, 65537, 131072};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

/* ---- the model ---- */

struct span {
	char *at;
	size_t bytes;
	bool hole;
	size_t asked;
	uint64_t mark; /* what its contents are made of */
};

static struct {
	struct area area;
	struct block *block;
	const struct scene *scene;
	uint64_t state;
	bool growing; /* rather than shrinking */

	struct span spans[SPANS];
	size_t count;
	size_t served, allocated, peak, blocks, holes;
} model;

static size_t roll(size_t sides)
{
	return fixture_random(&model.state) % sides;
}

/* Room for n more, before a span. */
static void make_room(size_t i, size_t n)
{
	memmove(&model.spans[i + n], &model.spans[i],
		(model.count - i) * sizeof(model.spans[0]));
	model.count += n;
}

static void lose(size_t i)
{
	model.count--;
	memmove(&model.spans[i], &model.spans[i + 1],
		(model.count - i) * sizeof(model.spans[0]));
}

static bool is_hole_there(size_t i)
{
	return i < model.count && model.spans[i].hole;
}

static void count_allocated(size_t more, size_t less)
{
	model.allocated += more - less;
	if (model.allocated > model.peak)
		model.peak = model.allocated;
}

static void insert_hole(size_t i, char *at, size_t bytes)
{
	if (bytes == 0)
		return;
	make_room(i, 1);
	model.spans[i] = (struct span){.at = at, .bytes = bytes, .hole = true};
	model.holes++;
}

/* Of a hole, a part is an allocation; returns which. */
static size_t divide(size_t i, char *at, size_t bytes)
{
	struct span hole = model.spans[i];
	size_t before = (size_t)(at - hole.at);

	model.spans[i] = (struct span){.at = at, .bytes = bytes};
	model.holes--;
	model.blocks++;
	count_allocated(bytes, 0);
	insert_hole(i + 1, at + bytes, hole.bytes - before - bytes);
	insert_hole(i, hole.at, before);
	return i + (before > 0);
}

/* A hole may have holes beside it. */
static void join(size_t i)
{
	if (is_hole_there(i + 1)) {
		model.spans[i].bytes += model.spans[i + 1].bytes;
		lose(i + 1);
		model.holes--;
	}
	if (i > 0 && is_hole_there(i - 1)) {
		model.spans[i - 1].bytes += model.spans[i].bytes;
		lose(i);
		model.holes--;
	}
}

static void vacate(size_t i)
{
	count_allocated(0, model.spans[i].bytes);
	model.spans[i].hole = true;
	model.blocks--;
	model.holes++;
	join(i);
}

/* It is longer or shorter now, at its end. */
static void stretch(size_t i, size_t bytes)
{
	struct span *span = &model.spans[i];
	size_t all = span->bytes;

	count_allocated(bytes, all);
	if (bytes > all) {
		all += model.spans[i + 1].bytes;
		lose(i + 1);
		model.holes--;
	}
	span->bytes = bytes;
	insert_hole(i + 1, span->at + bytes, all - bytes);
	if (all > bytes)
		join(i + 1);
}

/* The hole that the policy wants; the first of those where any will do. */
static size_t best_hole(size_t bytes)
{
	size_t i, best = NO_SPAN;

	for (i = 0; i < model.count; i++) {
		if (!model.spans[i].hole || model.spans[i].bytes < bytes)
			continue;
		if (model.block->policy == BLOCK_AOFF)
			return i;
		if (best == NO_SPAN ||
		    model.spans[i].bytes < model.spans[best].bytes)
			best = i;
	}
	return best;
}

/* The span that has an address, or else the last before it. */
static size_t span_of(const char *at)
{
	size_t low = 0, high = model.count, middle;

	while (high - low > 1) {
		middle = (low + high) / 2;
		if (model.spans[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* An allocation, where there is one. */
static size_t any_allocation(void)
{
	size_t i;

	if (model.blocks == 0)
		return NO_SPAN;
	i = roll(model.count);
	if (model.spans[i].hole)
		i = i > 0 ? i - 1 : i + 1;
	return i;
}

/* ---- against the block ---- */

static void compare_span(char *at, size_t bytes, bool hole, void *arg)
{
	size_t *i = arg;
	const struct span *span = &model.spans[*i];

	holds(*i < model.count, "there is more than %zu spans", model.count);
	holds(at == span->at && bytes == span->bytes && hole == span->hole,
	      "span %zu: %zu bytes at %p, %d, not %zu at %p, %d", *i, bytes,
	      (void *)at, hole, span->bytes, (void *)span->at, span->hole);
	++*i;
}

static size_t longest_hole(void)
{
	size_t i, longest = 0;

	for (i = 0; i < model.count; i++)
		if (model.spans[i].hole && model.spans[i].bytes > longest)
			longest = model.spans[i].bytes;
	return longest ? longest - model.block->guard : 0;
}

#define holds_same(figures, field, expected)                             \
	holds((figures).field == (expected), "%s: %zu, not %zu", #field, \
	      (figures).field, (expected))

static void compare_figures(void)
{
	struct block_figures now;

	block_figures(model.block, &now);
	holds_same(now, total, model.area.size);
	holds_same(now, kept, model.area.size - model.served);
	holds_same(now, allocated, model.allocated);
	holds_same(now, peak, model.peak);
	holds_same(now, free, model.served - model.allocated);
	holds_same(now, longest, longest_hole());
	holds_same(now, blocks, model.blocks);
	holds_same(now, holes, model.holes);
}

static void compare(void)
{
	size_t i = 0;

	block_each(model.block, &(struct block_figures){0}, compare_span, &i);
	holds(i == model.count, "%zu spans, not %zu", i, model.count);
	compare_figures();
}

/* ---- contents: each byte says where it is, near the ends ---- */

static unsigned char byte_at(const struct span *span, size_t i)
{
	return (unsigned char)((span->mark + i) * 0x9e3779b97f4a7c15u >> 56);
}

static size_t skip(size_t i, size_t size)
{
	return i == ENDS && size > 2 * ENDS ? size - ENDS : i;
}

static void paint(struct span *span)
{
	size_t i;

	span->mark = fixture_random(&model.state);
	for (i = 0; i < span->asked; i = skip(i + 1, span->asked))
		span->at[i] = (char)byte_at(span, i);
}

/* So many of its bytes, where it had `before`. */
static void expect_painted(const struct span *span, size_t before, size_t size)
{
	size_t i;

	for (i = 0; i < size; i = skip(i + 1, before))
		holds((unsigned char)span->at[i] == byte_at(span, i),
		      "byte %zu of %zu at %p has changed", i, before,
		      (void *)span->at);
}

static void expect_unchanged(size_t i)
{
	const struct span *span;

	if (i >= model.count || model.spans[i].hole)
		return;
	span = &model.spans[i];
	expect_painted(span, span->asked, span->asked);
}

/* Those on either side of what has changed. */
static void look_around(size_t i)
{
	expect_unchanged(i - 1);
	expect_unchanged(i - 2);
	expect_unchanged(i + 1);
	expect_unchanged(i + 2);
}

static void survey(void)
{
	size_t i;

	for (i = 0; i < model.count; i++)
		expect_unchanged(i);
}

static void expect_zeros(const char *at, size_t size)
{
	size_t most = size < ZEROS ? size : ZEROS;

	holds(all_bytes_are(at, 0, most) &&
		      all_bytes_are(at + size - most, 0, most),
	      "%zu bytes at %p are not zero", size, (const void *)at);
}

/* ---- steps ---- */

static size_t any_size(void)
{
	size_t size = roll((size_t)1 << roll(model.scene->bits + 1));

	if (roll(8))
		return size;
	size = edges[roll(EDGES)] * GRANULE + roll(3) - 1;
	return size >> model.scene->bits ? 1 : size;
}

static size_t any_align(void)
{
	return roll(10) ? GRANULE : (size_t)1 << roll(15);
}

static char *aligned(char *at, size_t align)
{
	return at + (-(uintptr_t)at & (align - 1));
}

static char *call_alloc(size_t size, size_t *align)
{
	char *ptr;

	errno = 0;
	*align = any_align();
	if (roll(6) || size > 4 * MIB)
		return block_alloc(model.block, size, *align);
	*align = GRANULE;
	ptr = block_calloc(model.block, size);
	if (ptr)
		expect_zeros(ptr, size);
	return ptr;
}

/* A block that has any of the shortest holes says which it was. */
static size_t hole_taken(size_t hole, const char *ptr)
{
	size_t i = span_of(ptr);

	if (model.block->policy == BLOCK_BF && is_hole_there(i) &&
	    model.spans[i].bytes == model.spans[hole].bytes)
		return i;
	return hole;
}

static void allocate(void)
{
	size_t size = any_size(), bytes = room_for(model.block, size), align;
	size_t hole, i;
	char *ptr = call_alloc(size, &align);

	if (align < GRANULE)
		align = GRANULE;
	hole = best_hole(bytes + align - GRANULE);
	if (hole == NO_SPAN) {
		holds(!ptr && errno == ENOMEM, "%zu bytes at %p, errno %d",
		      size, (void *)ptr, errno);
		return;
	}
	hole = hole_taken(hole, ptr);
	holds(ptr == aligned(model.spans[hole].at, align),
	      "%zu bytes, aligned to %zu, at %p, not in %zu at %p", size, align,
	      (void *)ptr, model.spans[hole].bytes,
	      (void *)model.spans[hole].at);
	i = divide(hole, ptr, bytes);
	model.spans[i].asked = size;
	paint(&model.spans[i]);
	look_around(i);
}

static void release(size_t i)
{
	char *at = model.spans[i].at;
	enum block_found found;

	expect_unchanged(i);
	found = block_free(model.block, at);
	holds(found == BLOCK_ALLOCATED, "%p was %d", (void *)at, found);
	vacate(i);
	found = block_free(model.block, at);
	holds(found == BLOCK_HOLE, "freed, %p was %d", (void *)at, found);
	look_around(span_of(at));
}

static void release_one(void)
{
	size_t i = any_allocation();

	if (i != NO_SPAN)
		release(i);
}

static bool can_be(size_t i, size_t bytes)
{
	size_t all = model.spans[i].bytes;

	if (is_hole_there(i + 1))
		all += model.spans[i + 1].bytes;
	return bytes <= all;
}

static size_t next_size(size_t size)
{
	switch (roll(4)) {
	case 0:
		return size / (1 + roll(4));
	case 1:
		return size + roll(100);
	case 2:
		return size * 2;
	default:
		return any_size();
	}
}

static void resize(void)
{
	size_t i = any_allocation(), size, before, bytes;
	struct span *span;
	bool did;

	if (i == NO_SPAN)
		return;
	span = &model.spans[i];
	before = span->asked;
	size = next_size(before);
	bytes = room_for(model.block, size);
	did = block_resize(model.block, span->at, size);
	holds(did == can_be(i, bytes), "from %zu to %zu bytes: %d", before,
	      size, did);
	expect_painted(span, before, did && size < before ? size : before);
	if (!did)
		return;
	stretch(i, bytes);
	span->asked = size;
	paint(span);
	look_around(i);
}

/* ---- what is no allocation ---- */

static enum block_found found_in_model(const char *ptr)
{
	const struct span *span = &model.spans[span_of(ptr)];

	if (ptr < model.spans[0].at || ptr >= model.spans[0].at + model.served)
		return BLOCK_ELSEWHERE;
	if (span->hole)
		return BLOCK_HOLE;
	return ptr == span->at ? BLOCK_ALLOCATED : BLOCK_INSIDE;
}

static char *any_pointer(void)
{
	const struct span *span = &model.spans[roll(model.count)];

	switch (roll(4)) {
	case 0:
		return model.area.at + roll(model.area.size);
	case 1:
		return span->at + roll(span->bytes);
	case 2:
		return span->at + roll(span->bytes / GRANULE) * GRANULE;
	default:
		return span->at;
	}
}

static void ask(void)
{
	char *ptr = any_pointer();
	enum block_found expected = found_in_model(ptr);
	enum block_found found = block_find(model.block, ptr);
	const struct span *span = &model.spans[span_of(ptr)];
	size_t usable;

	holds(found == expected, "%p is %d, not %d", (void *)ptr, found,
	      expected);
	if (found != BLOCK_ALLOCATED) {
		found = block_free(model.block, ptr);
		holds(found == expected, "freed, %p is %d, not %d", (void *)ptr,
		      found, expected);
		return;
	}
	usable = block_size(model.block, ptr);
	holds(usable == (model.block->guard ? span->asked : span->bytes),
	      "%zu bytes of %zu may be used", usable, span->asked);
}

/* ---- all of it ---- */

static void step(void)
{
	size_t kind = roll(20);

	if (model.count > SPANS - 4)
		model.growing = false;
	else if (roll(400) == 0 || model.blocks == 0)
		model.growing = !model.growing || model.blocks == 0;
	if (kind < 6)
		allocate();
	else if (kind < 11)
		release_one();
	else if (kind < 14)
		resize();
	else if (model.growing)
		allocate();
	else
		release_one();
	ask();
	compare();
}

static unsigned long ops(void)
{
	const char *given = getenv("RECLAIM_TEST_OPS");

	if (given)
		return strtoul(given, NULL, 0);
	if (under_valgrind())
		return OPS_IN_VALGRIND;
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
	return OPS_SANITIZED;
#else
	return OPS;
#endif
}

/* What is written for others is tried where it can be. */
static void use_less_of_the_processor(void)
{
	enum block_processor less =
		(enum block_processor)roll(PROCESSOR_AVX512 + 1);

	if (less < model.block->processor)
		model.block->processor = less;
}

static void begin(const struct scene *scene, enum block_policy policy,
		  uint64_t seed)
{
	struct block_figures new;

	memset(&model, 0, sizeof(model));
	model.scene = scene;
	model.state = seed;
	model.growing = true;
	area_make(&model.area, scene->size, scene->offset);
	if (!scene->zeroed)
		area_soil(&model.area);
	model.block = area_block(&model.area, policy, scene->zeroed);
	use_less_of_the_processor();
	block_figures(model.block, &new);
	model.served = new.free;
	insert_hole(0, first_served(model.block), new.free);
	compare();
}

static void end(void)
{
	while (model.blocks) {
		release_one();
		compare_figures();
	}
	compare();
	ck_assert_uint_eq(model.count, 1);
	block_end(model.block);
	area_drop(&model.area);
}

START_TEST(it_does_what_the_model_says)
{
	const struct scene *scene = &scenes[_i / BLOCK_POLICIES];
	unsigned long i, steps = ops() / (unsigned)(SCENES * BLOCK_POLICIES);

	begin(scene, _i % BLOCK_POLICIES, fixture_seed() + (unsigned)_i);
	for (i = 1; i <= steps; i++) {
		step();
		if (i % SURVEY == 0)
			survey();
	}
	survey();
	end();
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "model");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, it_does_what_the_model_says, 0,
			    SCENES * BLOCK_POLICIES);
}

int main(void)
{
	return stage_run("block_model", fill);
}
