/* SPDX-License-Identifier: Apache-2.0 */
/* dlopen, dlclose. */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <string.h>

/* Of libc's own, and used by nothing else here. */
#define LIBRARY "libBrokenLocale.so.1"

static bool is_loaded(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOLOAD | RTLD_NOW);

	if (library)
		dlclose(library);
	return library;
}

static void load(void)
{
	void *library = save_dlopen(LIBRARY, RTLD_NOW);

	ck_assert_msg(library, "%s", dlerror());
	ck_assert_uint_eq(held(), 1);
	ck_assert(is_loaded());
}

static void load_and_unload(void)
{
	load();
	ck_works(save_dlclose(save_dlopen(LIBRARY, RTLD_NOW)));
	ck_assert_uint_eq(held(), 1);
	ck_assert(is_loaded());
}

START_TEST(a_library_is_unloaded_with_its_task)
{
	ck_assert(!is_loaded());
	in_task(load);
	ck_assert(!is_loaded());
	in_task(load_and_unload);
	ck_assert(!is_loaded());
}
END_TEST

START_TEST(two_tasks_hold_the_same_library_each)
{
	reclaim_tid one = task_called("one"), two = task_called("two");

	work_for(one);
	load();
	work_no_longer();
	work_for(two);
	load();
	work_no_longer();
	end_task(one);
	ck_assert(is_loaded());
	ck_assert_uint_eq(held_by(two), 1);
	end_task(two);
	ck_assert(!is_loaded());
}
END_TEST

/* Each closes its own, though the handle is the same. */
START_TEST(dlclose_takes_the_current_tasks)
{
	reclaim_tid one = task_called("one"), two = task_called("two");
	void *library;

	work_for(one);
	load();
	work_no_longer();
	work_for(two);
	library = save_dlopen(LIBRARY, RTLD_NOW);
	ck_works(save_dlclose(library));
	ck_assert_uint_eq(held(), 0);
	ck_assert_uint_eq(held_by(one), 1);
	ck_assert_int_eq(save_dlclose(library), -1);
	expect_stranger("dlclose", "one <", "two <");
	work_no_longer();
	ck_assert(is_loaded());
	end_task(two);
	end_task(one);
}
END_TEST

START_TEST(dlopen_that_fails_says_why)
{
	ck_assert_ptr_null(save_dlopen("/nonexistent.so", RTLD_NOW));
	ck_assert_ptr_nonnull(strstr(dlerror(), "/nonexistent.so"));
	ck_assert_ptr_null(save_dlopen("/dev/null", RTLD_NOW));
	ck_assert_ptr_nonnull(dlerror());
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static void load_at_the_limit(void)
{
	ck_works(save_close(save_dup(0)));
	ck_assert_int_ge(save_dup(0), 0);
	dlerror();
	ck_assert_ptr_null(save_dlopen(LIBRARY, RTLD_NOW));
	ck_assert_ptr_nonnull(strstr(dlerror(), "reclaim"));
	ck_assert(!is_loaded());
}

START_TEST(dlopen_at_the_limit_says_why)
{
	struct reclaim_task_opts opts = {.max_handles = 1};

	in_task_with(&opts, load_at_the_limit);
}
END_TEST

START_TEST(the_program_itself_can_be_opened)
{
	void *library = save_dlopen(NULL, RTLD_NOW);

	ck_assert_ptr_nonnull(library);
	ck_assert_ptr_nonnull(dlsym(library, "malloc"));
	ck_works(save_dlclose(library));
}
END_TEST

START_TEST(dlclose_takes_what_was_never_tracked)
{
	ck_works(save_dlclose(dlopen(LIBRARY, RTLD_NOW)));
	ck_assert(!is_loaded());
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "library");

	tcase_add_test(tcase, a_library_is_unloaded_with_its_task);
	tcase_add_test(tcase, two_tasks_hold_the_same_library_each);
	tcase_add_test(tcase, dlclose_takes_the_current_tasks);
	tcase_add_test(tcase, dlopen_that_fails_says_why);
	tcase_add_test(tcase, dlopen_at_the_limit_says_why);
	tcase_add_test(tcase, the_program_itself_can_be_opened);
	tcase_add_test(tcase, dlclose_takes_what_was_never_tracked);
}

int main(void)
{
	return stage_run("dlfcn", fill);
}
