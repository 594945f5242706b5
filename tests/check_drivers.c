/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers: which are taken, which files are loaded, and who may have written
 * them.  What is loaded was made of tests/driver.c, and is copied into a folder
 * of the test's own.
 */
#include "config.h"

#include "ports/drivers_private.h"
#include "tests/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct drivers *drivers;
static char why[400];

static const struct reclaim_driver echo = {RECLAIM_DRIVER_ABI, .name = "echo"};
static const struct reclaim_driver upper = {RECLAIM_DRIVER_ABI,
					    .name = "Upper_2"};

static void have_drivers(void)
{
	static const struct reclaim_driver *const array[] = {&echo, NULL};

	drivers = drivers_new(array);
	ck_assert_ptr_nonnull(drivers);
	why[0] = 0;
}

static void end_drivers(void)
{
	drivers_end(drivers);
}

/* ---- files ---- */

/* A folder that drivers may be in. */
static char *folder(const char *name)
{
	char *path = path_of(name);

	ck_works(mkdir(path, 0700));
	return path;
}

static void copy(const char *from, const char *to)
{
	char *text = NULL;
	size_t size = 0;
	ssize_t len;
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");

	ck_assert_msg(in && out, "%s to %s: %m", from, to);
	while ((len = getline(&text, &size, in)) > 0)
		fwrite(text, 1, (size_t)len, out);
	fclose(in);
	ck_works(fclose(out));
	free(text);
	ck_works(chmod(to, 0644));
}

/* Of what the build made. */
static void install(const char *made, const char *to)
{
	char from[1024];

	snprintf(from, sizeof(from), "%s/%s.so", TEST_DRIVERS, made);
	copy(from, to);
}

static const struct reclaim_driver *find(const char *name)
{
	why[0] = 0;
	return drivers_find(drivers, name, why, sizeof(why));
}

static void expect_why(const char *words)
{
	ck_assert_msg(strstr(why, words), "\"%s\" is not in: %s", words, why);
}

/* In a folder of its own, which is looked into. */
static void have(const char *made)
{
	char *path = folder("drivers");
	char file[64];

	snprintf(file, sizeof(file), "drivers/%s.so", made);
	install(made, path_of(file));
	ck_works(drivers_add_directory(drivers, path));
}

/* ---- built in ---- */

START_TEST(a_built_in_one_is_found)
{
	ck_assert_ptr_eq(find("echo"), &echo);
	ck_assert_ptr_eq(drivers_nth(drivers, 0), &echo);
	ck_assert_ptr_null(drivers_nth(drivers, 1));
}
END_TEST

START_TEST(there_may_be_none)
{
	struct drivers *none = drivers_new(NULL);

	ck_assert_ptr_nonnull(none);
	ck_assert_ptr_null(drivers_nth(none, 0));
	ck_fails(drivers_find(none, "echo", why, sizeof(why)), NULL, ENOENT);
	drivers_end(none);
	none = drivers_new(RECLAIM_DRIVERS(&upper, &echo));
	ck_assert_ptr_eq(drivers_nth(none, 1), &echo);
	drivers_end(none);
	drivers_end(NULL);
}
END_TEST

static void refused(const struct reclaim_driver *const *wrong,
		    const char *words)
{
	unsigned before = reports();

	ck_fails(drivers_new(wrong), NULL, EINVAL);
	ck_assert_uint_eq(reports(), before + 1);
	ck_assert_msg(strstr(last_report(), words), "%s", last_report());
}

START_TEST(a_wrong_one_is_refused)
{
	static const struct reclaim_driver old = {.abi = 0, .name = "old"};
	static const struct reclaim_driver future = {
		.abi = RECLAIM_DRIVER_ABI + 1, .name = "future"};
	static const struct reclaim_driver again = {RECLAIM_DRIVER_ABI,
						    .name = "echo"};

	static const struct reclaim_driver flags = {
		RECLAIM_DRIVER_ABI, .name = "flags", .flags = 6};

	refused(RECLAIM_DRIVERS(&flags), "(flags)");
	refused(RECLAIM_DRIVERS(&flags), "flags that are none: 0x6");
	refused(RECLAIM_DRIVERS(&echo, &old), "driver 2 (?)");
	refused(RECLAIM_DRIVERS(&future), "compile it anew");
	refused(RECLAIM_DRIVERS(&echo, &upper, &again), "two of that name");
}
END_TEST

static const char *const wrong_names[] = {
	"",
	".",
	"..",
	"../x",
	"/etc/passwd",
	"a/b",
	"a.so",
	"a b",
	"a-b",
	"a\n",
	"\xc3\xa4",
	"n234567890123456789012345678901234567890123456789012345678901234",
};

START_TEST(a_wrong_name_is_refused)
{
	struct reclaim_driver named = {RECLAIM_DRIVER_ABI,
				       .name = wrong_names[_i]};

	refused(RECLAIM_DRIVERS(&named), "letters, digits and underscores");
}
END_TEST

START_TEST(the_longest_name_will_do)
{
	const struct reclaim_driver named = {RECLAIM_DRIVER_ABI,
					     .name = wrong_names[11] + 1};
	struct drivers *one = drivers_new(RECLAIM_DRIVERS(&named));

	ck_assert_uint_eq(strlen(named.name), 63);
	ck_assert_ptr_nonnull(one);
	ck_assert_ptr_eq(drivers_find(one, named.name, why, sizeof(why)),
			 &named);
	drivers_end(one);
}
END_TEST

static void built_in(Suite *suite)
{
	TCase *tcase = stage_case(suite, "built in");

	tcase_add_checked_fixture(tcase, have_drivers, end_drivers);
	tcase_add_test(tcase, a_built_in_one_is_found);
	tcase_add_test(tcase, there_may_be_none);
	tcase_add_test(tcase, a_wrong_one_is_refused);
	tcase_add_loop_test(tcase, a_wrong_name_is_refused, 0,
			    sizeof(wrong_names) / sizeof(wrong_names[0]));
	tcase_add_test(tcase, the_longest_name_will_do);
}

/* ---- loading ---- */

START_TEST(a_file_is_loaded_once)
{
	const struct reclaim_driver *right;

	have("right");
	right = find("right");
	ck_assert_msg(right != NULL, "%s", why);
	ck_assert_str_eq(right->name, "right");
	ck_assert_ptr_eq(drivers_nth(drivers, 1), right);
	ck_works(unlink(path_of("drivers/right.so")));
	ck_assert_ptr_eq(find("right"), right);
	ck_assert_ptr_null(drivers_nth(drivers, 2));
}
END_TEST

START_TEST(built_in_comes_first)
{
	have("right");
	install("right", path_of("drivers/echo.so"));
	ck_assert_ptr_eq(find("echo"), &echo);
}
END_TEST

START_TEST(directories_are_looked_at_in_their_order)
{
	have("other_name");
	install("right", path_of("drivers/first.so"));
	folder("second");
	install("right", path_of("second/right.so"));
	install("right", path_of("second/first.so"));
	ck_works(drivers_add_directory(drivers, path_of("second")));
	ck_assert_ptr_nonnull(find("right"));
	ck_fails(find("first"), NULL, ELIBBAD);
	expect_why("drivers/first.so: its driver's name is right");
}
END_TEST

START_TEST(there_is_no_such_driver)
{
	have("right");
	ck_fails(find("wrong"), NULL, ENOENT);
	expect_why("no driver wrong in 1 directory");
}
END_TEST

/* One that a path would lead to is there. */
START_TEST(a_name_that_is_none_finds_nothing)
{
	have("right");
	install("right", path_of("a.so"));
	ck_works(chmod(path_of("drivers"), 0000));
	ck_fails(find(wrong_names[_i]), NULL, ENOENT);
	expect_why("letters, digits and underscores");
	ck_works(chmod(path_of("drivers"), 0700));
}
END_TEST

static const struct {
	const char *made, *words;
} bad[] = {
	{"other_abi", "compile it anew"},
	{"other_name", "its driver's name is another"},
	{"no_symbol", "no `const struct reclaim_driver reclaim_driver'"},
	{"borrowed", "no `const struct reclaim_driver reclaim_driver'"},
	{"function", "no `const struct reclaim_driver reclaim_driver'"},
	{"short_table", "no `const struct reclaim_driver reclaim_driver'"},
	{"undefined", "nobody_has_this"},
	{"not_elf", "file too short"},
};

START_TEST(what_is_no_driver_is_told)
{
	have(bad[_i].made);
	ck_fails(find(bad[_i].made), NULL, ELIBBAD);
	expect_why(bad[_i].words);
	expect_why(bad[_i].made);
	ck_assert_ptr_null(drivers_nth(drivers, 1));
}
END_TEST

/* A wrong one's descriptor is closed, and the next one gets its number. */
START_TEST(a_wrong_one_is_not_in_the_way)
{
	have("other_abi");
	install("right", path_of("drivers/right.so"));
	ck_fails(find("other_abi"), NULL, ELIBBAD);
	ck_assert_msg(find("right") != NULL, "%s", why);
	ck_works(unlink(path_of("drivers/other_abi.so")));
	ck_fails(find("other_abi"), NULL, ENOENT);
}
END_TEST

START_TEST(all_are_listed)
{
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	have("right");
	install("not_elf", path_of("drivers/bad.so"));
	write_file("drivers/README", "no driver");
	write_file("drivers/no-name.so", "no driver");
	ck_assert_int_eq(drivers_list(drivers, to), 1);
	fclose(to);
	ck_assert_msg(strncmp(text, "echo\tbuilt in\nbad\tnot usable: ", 30) ==
			      0,
		      "%s", text);
	ck_assert_msg(strstr(text, "\nright\t/") != NULL, "%s", text);
	ck_assert_msg(!strstr(text, "no-name"), "%s", text);
	free(text);
}
END_TEST

START_TEST(a_list_of_usable_ones_is_good)
{
	FILE *to = fopen("/dev/null", "w");

	have("right");
	ck_assert_int_eq(drivers_list(drivers, to), 0);
	fclose(to);
}
END_TEST

static void loading(Suite *suite)
{
	TCase *tcase = stage_case(suite, "loading");

	tcase_add_checked_fixture(tcase, have_drivers, end_drivers);
	tcase_add_test(tcase, a_file_is_loaded_once);
	tcase_add_test(tcase, built_in_comes_first);
	tcase_add_test(tcase, directories_are_looked_at_in_their_order);
	tcase_add_test(tcase, there_is_no_such_driver);
	tcase_add_loop_test(tcase, a_name_that_is_none_finds_nothing, 0,
			    sizeof(wrong_names) / sizeof(wrong_names[0]));
	tcase_add_loop_test(tcase, what_is_no_driver_is_told, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tcase, a_wrong_one_is_not_in_the_way);
	tcase_add_test(tcase, all_are_listed);
	tcase_add_test(tcase, a_list_of_usable_ones_is_good);
}

/* ---- who could have written it ---- */

static void refused_directory(const char *path, int error, const char *words)
{
	unsigned before = reports();

	ck_fails(drivers_add_directory(drivers, path), -1, error);
	ck_assert_uint_eq(reports(), before + 1);
	ck_assert_msg(strstr(last_report(), words), "%s", last_report());
	ck_assert_msg(strstr(last_report(), path), "%s", last_report());
}

START_TEST(a_path_is_absolute)
{
	refused_directory("drivers", EINVAL, "begins with a /");
	refused_directory("", EINVAL, "begins with a /");
}
END_TEST

START_TEST(what_is_no_directory_is_refused)
{
	refused_directory(path_of("nothing"), ENOENT, "No such file");
	refused_directory(write_file("file", ""), ENOTDIR, "Not a directory");
}
END_TEST

START_TEST(others_may_not_write_a_directory)
{
	static const mode_t modes[] = {0720, 0702, 0777, 01777};
	char *path = folder("drivers");

	ck_works(chmod(path, modes[_i]));
	refused_directory(path, EPERM, "chmod go-w");
	ck_works(chmod(path, 0755));
	ck_works(drivers_add_directory(drivers, path));
}
END_TEST

START_TEST(others_may_not_write_what_is_above)
{
	char *above = folder("above"), *path = folder("above/drivers");

	ck_works(chmod(above, 0770));
	refused_directory(path, EPERM, "one above it");
	ck_works(chmod(above, 01777));
	ck_works(drivers_add_directory(drivers, path));
	ck_works(chmod(above, 0711));
	ck_works(drivers_add_directory(drivers, path));
}
END_TEST

/* What it leads to is what is looked at. */
START_TEST(a_link_to_a_directory_does_not_hide_it)
{
	char *above = folder("above");

	folder("above/drivers");
	ck_works(symlink(path_of("above/drivers"), path_of("link")));
	ck_works(drivers_add_directory(drivers, path_of("link")));
	ck_works(chmod(above, 0777));
	refused_directory(path_of("link"), EPERM, "one above it");
}
END_TEST

/* Only root can make what is somebody else's. */
START_TEST(somebody_else_may_not_own_it)
{
	char *path = folder("drivers");

	if (geteuid() != 0)
		return;
	ck_works(chown(path, 12345, 0));
	refused_directory(path, EPERM, "user 12345's");
	ck_works(chown(path, 0, 0));
	install("right", path_of("drivers/right.so"));
	ck_works(chown(path_of("drivers/right.so"), 12345, 0));
	ck_works(drivers_add_directory(drivers, path));
	ck_fails(find("right"), NULL, EPERM);
	expect_why("user 12345's");
}
END_TEST

START_TEST(a_directory_is_looked_at_again)
{
	have("right");
	ck_works(chmod(path_of("drivers"), 0777));
	ck_fails(find("right"), NULL, EPERM);
	expect_why("chmod go-w");
}
END_TEST

START_TEST(others_may_not_write_a_file)
{
	have("right");
	ck_works(chmod(path_of("drivers/right.so"), 0664));
	ck_fails(find("right"), NULL, EPERM);
	expect_why("chmod go-w");
	ck_works(chmod(path_of("drivers/right.so"), 0444));
	ck_assert_ptr_nonnull(find("right"));
}
END_TEST

START_TEST(a_link_to_a_file_is_refused)
{
	have("right");
	ck_works(rename(path_of("drivers/right.so"), path_of("right.so")));
	ck_works(symlink(path_of("right.so"), path_of("drivers/right.so")));
	ck_fails(find("right"), NULL, EPERM);
	expect_why("a symbolic link");
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	have("right");
	ck_works(mkfifo(path_of("drivers/fifo.so"), 0600));
	ck_works(mkdir(path_of("drivers/folder.so"), 0700));
	ck_fails(find("fifo"), NULL, EPERM);
	expect_why("no regular file");
	ck_fails(find("folder"), NULL, EPERM);
	expect_why("no regular file");
}
END_TEST

START_TEST(words_that_are_too_long_are_cut)
{
	char few[8];

	have("not_elf");
	ck_fails(drivers_find(drivers, "not_elf", few, sizeof(few)), NULL,
		 ELIBBAD);
	ck_assert_uint_eq(strlen(few), sizeof(few) - 1);
}
END_TEST

static void trust(Suite *suite)
{
	TCase *tcase = stage_case(suite, "trust");

	tcase_add_checked_fixture(tcase, have_drivers, end_drivers);
	tcase_add_test(tcase, a_path_is_absolute);
	tcase_add_test(tcase, what_is_no_directory_is_refused);
	tcase_add_loop_test(tcase, others_may_not_write_a_directory, 0, 4);
	tcase_add_test(tcase, others_may_not_write_what_is_above);
	tcase_add_test(tcase, a_link_to_a_directory_does_not_hide_it);
	tcase_add_test(tcase, somebody_else_may_not_own_it);
	tcase_add_test(tcase, a_directory_is_looked_at_again);
	tcase_add_test(tcase, others_may_not_write_a_file);
	tcase_add_test(tcase, a_link_to_a_file_is_refused);
	tcase_add_test(tcase, what_is_no_file_is_refused);
	tcase_add_test(tcase, words_that_are_too_long_are_cut);
}

static void fill(Suite *suite)
{
	built_in(suite);
	loading(suite);
	trust(suite);
}

int main(void)
{
	return stage_run("drivers", fill);
}
