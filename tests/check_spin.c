/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decides is told of waits, hits, misses and switches; no test waits or
 * looks at a clock.
 */
#include "config.h"

#include "tests/stage.h"

#include <sched.h>
#include <unistd.h>

#include "ports/spin_private.h"

static struct spin spin;
static long switches;

static void begin(void)
{
	spin_init(&spin, 0, 2);
	switches = 100;
}

/* Waits that sleep before the next that looks. */
static unsigned skipped(void)
{
	unsigned many = 0;

	if (spin_is_due(&spin))
		spin_judge(&spin, switches);
	while (!spin_may(&spin))
		many++;
	if (spin.switches < 0)
		spin.switches = switches;
	return many;
}

/* So many hits, with a switch in each `every`th. */
static void hit(unsigned many, unsigned every)
{
	for (unsigned i = 1; i <= many; i++) {
		ck_assert_uint_eq(skipped(), 0);
		switches += every && i % every == 0;
		spin_hit(&spin);
	}
}

START_TEST(looks_while_it_pays)
{
	begin();
	hit(1000, 0);
	ck_assert_uint_eq(skipped(), 0);
}
END_TEST

START_TEST(misses_in_a_row_skip_twice_as_many)
{
	static const unsigned expected[] = {1, 3, 7, 15, 31, 63, 63, 63};

	begin();
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		skipped();
		spin_missed(&spin);
		ck_assert_uint_eq(skipped(), expected[i]);
	}
}
END_TEST

START_TEST(a_hit_forgives_misses)
{
	begin();
	for (int i = 0; i < 5; i++) {
		skipped();
		spin_missed(&spin);
	}
	skipped();
	spin_hit(&spin);
	ck_assert_uint_eq(skipped(), 0);
	spin_missed(&spin);
	ck_assert_uint_eq(skipped(), 1);
}
END_TEST

START_TEST(a_switch_in_eight_hits_is_too_many)
{
	begin();
	hit(16, 8);
	ck_assert_uint_eq(skipped(), 32);
}
END_TEST

START_TEST(a_switch_in_sixteen_is_not)
{
	begin();
	hit(16 * 16, 16);
	ck_assert_uint_eq(skipped(), 0);
	ck_assert_uint_eq(spin.penalty, 0);
}
END_TEST

START_TEST(penalties_double_up_to_a_limit)
{
	unsigned expected = 32;

	begin();
	hit(16, 1);
	for (int i = 0; i < 10; i++) {
		ck_assert_uint_eq(skipped(), expected);
		switches++;
		spin_hit(&spin);
		expected = expected < 4096 ? 2 * expected : 4096;
	}
	ck_assert_uint_eq(expected, 4096);
	ck_assert_uint_eq(skipped(), 4096);
}
END_TEST

START_TEST(switches_while_it_slept_do_not_count)
{
	begin();
	hit(16, 1);
	switches += 1000;
	ck_assert_uint_eq(skipped(), 32);
	hit(16, 0);
	ck_assert_uint_eq(skipped(), 0);
}
END_TEST

START_TEST(a_penalty_is_forgiven_when_it_pays_again)
{
	begin();
	hit(16, 1);
	skipped();
	switches++;
	spin_hit(&spin);
	ck_assert_uint_eq(skipped(), 64);
	hit(16, 0);
	hit(16, 1);
	ck_assert_uint_eq(skipped(), 32);
}
END_TEST

/* As where another thread goes on with it. */
START_TEST(switches_that_went_back_are_none)
{
	begin();
	hit(15, 0);
	switches = 0;
	hit(1, 0);
	ck_assert_uint_eq(skipped(), 0);
}
END_TEST

START_TEST(with_one_processor_it_never_looks)
{
	spin_init(&spin, 0, 1);
	ck_assert(!spin_may(&spin));
	spin_init(&spin, 50, 0);
	ck_assert(!spin_may(&spin));
}
END_TEST

START_TEST(by_option_it_never_looks_or_longer)
{
	spin_init(&spin, -1, 2);
	ck_assert(!spin_may(&spin));
	spin_init(&spin, 70, 2);
	ck_assert(spin.ns == 70000);
	spin_init(&spin, 0, 2);
	ck_assert(spin.ns == SPIN_US * 1000);
}
END_TEST

START_TEST(affinity_is_looked_at)
{
	cpu_set_t all, one;

	ck_works(sched_getaffinity(0, sizeof(all), &all));
	ck_assert_uint_le(spin_processors(), (unsigned)CPU_COUNT(&all));
	CPU_ZERO(&one);
	for (unsigned i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	ck_works(sched_setaffinity(0, sizeof(one), &one));
	ck_assert_uint_le(spin_processors(), 1);
	ck_works(sched_setaffinity(0, sizeof(all), &all));
}
END_TEST

/* ---- giving way ---- */

START_TEST(many_frames_at_a_time_are_gathered)
{
	begin();
	ck_assert(!spin_may_gather(&spin, 0));
	ck_assert(!spin_may_gather(&spin, 7));
	ck_assert(spin_may_gather(&spin, 8));
}
END_TEST

START_TEST(gathering_ends_when_it_brings_one_twice)
{
	begin();
	spin.gathers = true;
	ck_assert(spin_may_gather(&spin, 2));
	ck_assert(spin_may_gather(&spin, 1));
	ck_assert(spin_may_gather(&spin, 2));
	ck_assert(spin_may_gather(&spin, 1));
	ck_assert(!spin_may_gather(&spin, 0));
}
END_TEST

START_TEST(by_option_it_never_gathers)
{
	spin_init(&spin, -1, 2);
	ck_assert(!spin_may_gather(&spin, 1000));
}
END_TEST

static int policy(void)
{
	return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

START_TEST(the_thread_gives_way_and_is_as_before)
{
	begin();
	spin_sleep(&spin, 1);
	ck_assert_int_eq(policy(), SCHED_OTHER);
	spin_sleep(&spin, 100);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	spin_sleep(&spin, 1);
	spin_sleep(&spin, 1);
	ck_assert_int_eq(policy(), SCHED_OTHER);
	spin_sleep(&spin, 100);
	spin_end(&spin);
	ck_assert_int_eq(policy(), SCHED_OTHER);
}
END_TEST

START_TEST(another_policy_is_left_alone)
{
	const struct sched_param none = {0};

	begin();
	ck_works(sched_setscheduler(0, SCHED_BATCH, &none));
	spin_sleep(&spin, 100);
	spin_sleep(&spin, 1);
	spin_sleep(&spin, 1);
	spin_end(&spin);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	ck_works(sched_setscheduler(0, SCHED_OTHER, &none));
}
END_TEST

/* ---- with the clock ---- */

START_TEST(in_vain_it_ends_and_is_a_miss)
{
	begin();
	ck_assert(spin_begin(&spin));
	while (spin_on(&spin))
		;
	ck_assert_uint_eq(spin.misses, 1);
	ck_assert(!spin_begin(&spin));
	ck_assert(spin_begin(&spin));
}
END_TEST

START_TEST(a_hit_is_no_miss)
{
	begin();
	spin.ns = UINT64_MAX / 2;
	ck_assert(spin_begin(&spin));
	ck_assert(spin_on(&spin));
	spin_hit(&spin);
	ck_assert(spin_begin(&spin));
	ck_assert_uint_eq(spin.misses, 0);
	ck_assert_uint_eq(spin.hits, 1);
}
END_TEST

START_TEST(the_threads_switches_are_looked_at)
{
	begin();
	ck_assert(spin_begin(&spin));
	ck_assert_int_ge(spin.switches, 0);
	spin.switches = -1000;
	for (int i = 0; i < 16; i++)
		spin_hit(&spin);
	ck_assert(!spin_begin(&spin));
	ck_assert_uint_eq(spin.penalty, 32);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *deciding = stage_case(suite, "deciding");
	TCase *gathering = stage_case(suite, "giving way");
	TCase *looking = stage_case(suite, "clock");

	tcase_add_test(deciding, looks_while_it_pays);
	tcase_add_test(deciding, misses_in_a_row_skip_twice_as_many);
	tcase_add_test(deciding, a_hit_forgives_misses);
	tcase_add_test(deciding, a_switch_in_eight_hits_is_too_many);
	tcase_add_test(deciding, a_switch_in_sixteen_is_not);
	tcase_add_test(deciding, penalties_double_up_to_a_limit);
	tcase_add_test(deciding, switches_while_it_slept_do_not_count);
	tcase_add_test(deciding, a_penalty_is_forgiven_when_it_pays_again);
	tcase_add_test(deciding, switches_that_went_back_are_none);
	tcase_add_test(deciding, with_one_processor_it_never_looks);
	tcase_add_test(deciding, by_option_it_never_looks_or_longer);
	tcase_add_test(deciding, affinity_is_looked_at);
	tcase_add_test(gathering, many_frames_at_a_time_are_gathered);
	tcase_add_test(gathering, gathering_ends_when_it_brings_one_twice);
	tcase_add_test(gathering, by_option_it_never_gathers);
	tcase_add_test(gathering, the_thread_gives_way_and_is_as_before);
	tcase_add_test(gathering, another_policy_is_left_alone);
	tcase_add_test(looking, in_vain_it_ends_and_is_a_miss);
	tcase_add_test(looking, a_hit_is_no_miss);
	tcase_add_test(looking, the_threads_switches_are_looked_at);
}

int main(void)
{
	return stage_run("spin", fill);
}
