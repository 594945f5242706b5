/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture - what every test program shares
 *
 *	int main(void)
 *	{
 *		Suite *suite = suite_create("heap");
 *		TCase *tcase = tcase_create("realloc");
 *
 *		fixture_add(tcase);
 *		tcase_add_test(tcase, grows_in_place);
 *		suite_add_tcase(suite, tcase);
 *		return fixture_run(suite);
 *	}
 *
 * A test leaves the process as it found it.  fixture_add() makes that part of
 * every test in a TCase: open descriptors, what the root task holds, child
 * processes and threads are noted before and compared after, and a test that
 * changed any of them fails with a list of what is new and what is missing.
 * Threads that have finished are given two seconds to disappear.
 *
 * It holds with CK_FORK=yes and CK_FORK=no, and under Valgrind and the
 * sanitizers.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <check.h>
#include <stdint.h>

/* Compare before and after each test of this TCase.  Added first, it also
 * sees what the TCase's other fixtures leave behind. */
void fixture_add(TCase *tcase);

/* Run a suite, print its counts, free it; returns what main() should. */
int fixture_run(Suite *suite);

/*
 * Where random tests begin: RECLAIM_TEST_SEED, or else the clock; the same in
 * the whole program, and printed.  fixture_random() steps a state that began
 * with it:
 *	uint64_t state = fixture_seed();
 *	size = fixture_random(&state) % 512;
 */
uint64_t fixture_seed(void);
uint64_t fixture_random(uint64_t *state);

/*
 * The same comparison by hand.  fixture_look() notes what there is now;
 * fixture_compare() looks again and returns what differs, a line for each
 * thing, or NULL where nothing does; free() it.
 */
struct fixture_view;
struct fixture_view *fixture_look(void);
char *fixture_compare(const struct fixture_view *before);
void fixture_forget(struct fixture_view *view);

#endif
