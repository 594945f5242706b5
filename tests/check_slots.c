/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arrays behind tids and tokens, by themselves: what is promised of ids
 * has to hold after more generations than a test can wait for.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <stdlib.h>

#include "reclaim/slots_private.h"

#define MANY 5000

struct thing {
	struct slot slot;
	int mine;
};

static struct slots slots;

static void begin(void)
{
	slots = (struct slots){.table.item = sizeof(struct thing)};
}

static void end(void)
{
	size_t i;

	for (i = 0; i < TABLE_CHUNKS; i++)
		free(slots.table.chunks[i]);
}

static struct thing *take(void)
{
	struct thing *thing = slots_take(&slots);

	ck_assert_ptr_nonnull(thing);
	return thing;
}

START_TEST(an_id_is_never_zero)
{
	ck_assert_uint_ne(slot_id(&take()->slot), 0);
	ck_assert_uint_ne(slot_id(&take()->slot), 0);
}
END_TEST

START_TEST(zero_finds_nothing)
{
	ck_assert_ptr_null(slots_find(&slots, 0));
	take();
	ck_assert_ptr_null(slots_find(&slots, 0));
}
END_TEST

START_TEST(an_id_finds_its_item)
{
	struct thing *things[MANY];
	int i;

	for (i = 0; i < MANY; i++)
		things[i] = take();
	for (i = 0; i < MANY; i++)
		ck_assert_ptr_eq(slots_find(&slots, slot_id(&things[i]->slot)),
				 things[i]);
}
END_TEST

START_TEST(an_id_that_was_put_back_finds_nothing)
{
	struct thing *thing = take();
	uint64_t id = slot_id(&thing->slot);

	slots_put(&slots, &thing->slot);
	ck_assert_ptr_null(slots_find(&slots, id));
	ck_assert_ptr_eq(take(), thing);
	ck_assert_ptr_null(slots_find(&slots, id));
	ck_assert_uint_ne(slot_id(&thing->slot), id);
}
END_TEST

START_TEST(an_id_that_is_yet_to_come_finds_nothing)
{
	struct thing *thing = take();
	uint64_t id = slot_id(&thing->slot) + SLOT_GENERATION;

	ck_assert_ptr_null(slots_find(&slots, id));
	slots_put(&slots, &thing->slot);
	ck_assert_ptr_null(slots_find(&slots, id));
	ck_assert_ptr_eq(take(), thing);
	ck_assert_ptr_eq(slots_find(&slots, id), thing);
}
END_TEST

START_TEST(an_id_of_an_index_beyond_finds_nothing)
{
	struct thing *thing = take();

	ck_assert_ptr_null(slots_find(&slots, slot_id(&thing->slot) + 1));
	ck_assert_ptr_null(slots_find(&slots, UINT64_MAX));
}
END_TEST

START_TEST(what_is_new_is_zero)
{
	int i;

	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(take()->mine, 0);
}
END_TEST

START_TEST(what_is_taken_again_is_as_it_was_put_back)
{
	struct thing *thing = take();

	thing->mine = 7;
	slots_put(&slots, &thing->slot);
	ck_assert_int_eq(take()->mine, 7);
}
END_TEST

START_TEST(items_keep_their_address)
{
	struct thing *first = take();
	uint64_t id = slot_id(&first->slot);
	int i;

	for (i = 0; i < MANY; i++)
		take();
	ck_assert_ptr_eq(slots_find(&slots, id), first);
}
END_TEST

START_TEST(memory_is_reused)
{
	int i;

	for (i = 0; i < MANY; i++)
		slots_put(&slots, &take()->slot);
	ck_assert_uint_eq(slots.used, 1);
}
END_TEST

START_TEST(a_slot_that_had_every_generation_is_retired)
{
	struct thing *thing = take(), *next;
	uint64_t id;

	thing->slot.id |= UINT64_MAX - UINT32_MAX;
	id = slot_id(&thing->slot);
	ck_assert_ptr_eq(slots_find(&slots, id), thing);
	slots_put(&slots, &thing->slot);
	ck_assert_ptr_null(slots_find(&slots, id));
	ck_assert_ptr_null(slots_find(&slots, (uint32_t)id));
	next = take();
	ck_assert_ptr_ne(next, thing);
	ck_assert_uint_ne(slot_index(&next->slot), (uint32_t)id);
}
END_TEST

START_TEST(a_table_covers_what_it_was_asked_to)
{
	uint32_t at;

	for (at = 0; at < 100000; at = at * 3 + 1) {
		ck_works(table_cover(&slots.table, at));
		ck_assert_uint_gt(slots.table.limit, at);
		((struct thing *)table_at(&slots.table, at))->mine = 1;
	}
}
END_TEST

START_TEST(neighbours_do_not_overlap)
{
	uint32_t at;

	ck_works(table_cover(&slots.table, MANY));
	for (at = 0; at < MANY; at++)
		((struct thing *)table_at(&slots.table, at))->mine = (int)at;
	for (at = 0; at < MANY; at++) {
		struct thing *thing = table_at(&slots.table, at);

		ck_assert_int_eq(thing->mine, (int)at);
	}
}
END_TEST

START_TEST(a_table_has_an_end)
{
	uint32_t most = (1u << 31) - (1u << TABLE_FIRST_BITS);

	slots.table.limit = most;
	ck_works(table_cover(&slots.table, most - 1));
	ck_fails(table_cover(&slots.table, most), -1, ENOMEM);
	ck_fails(table_cover(&slots.table, UINT32_MAX), -1, ENOMEM);
	ck_assert_uint_eq(slots.table.limit, most);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "ids");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, an_id_is_never_zero);
	tcase_add_test(tcase, zero_finds_nothing);
	tcase_add_test(tcase, an_id_finds_its_item);
	tcase_add_test(tcase, an_id_that_was_put_back_finds_nothing);
	tcase_add_test(tcase, an_id_that_is_yet_to_come_finds_nothing);
	tcase_add_test(tcase, an_id_of_an_index_beyond_finds_nothing);
	tcase_add_test(tcase, what_is_new_is_zero);
	tcase_add_test(tcase, what_is_taken_again_is_as_it_was_put_back);
	tcase_add_test(tcase, items_keep_their_address);
	tcase_add_test(tcase, memory_is_reused);
	tcase_add_test(tcase, a_slot_that_had_every_generation_is_retired);

	tcase = stage_case(suite, "tables");
	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, a_table_covers_what_it_was_asked_to);
	tcase_add_test(tcase, neighbours_do_not_overlap);
	tcase_add_test(tcase, a_table_has_an_end);
}

int main(void)
{
	return stage_run("slots", fill);
}
