/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: what it says, what is wrong with it, and what is printed.
 * What is printed goes to files in the test's folder; where a terminal is
 * wanted there is a pseudo-terminal.
 */
#include "config.h"

#include "ports/options_private.h"
#include "tests/stage.h"

#include <reclaim/frame.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct host_options options;
static int kept[3]; /* fds 0 to 2 */

/* ---- standard streams that are files ---- */

static void redirect(void)
{
	int i, fd;

	fflush(stdout);
	for (i = 0; i < 3; i++)
		kept[i] = dup(i);
	fd = open("/dev/null", O_RDONLY);
	ck_assert_int_ge(dup2(fd, 0), 0);
	close(fd);
	for (i = 1; i < 3; i++) {
		fd = open(path_of(i == 1 ? "out" : "err"),
			  O_WRONLY | O_CREAT | O_TRUNC, 0600);
		ck_assert_int_ge(dup2(fd, i), 0);
		close(fd);
	}
}

static void restore(void)
{
	int i;

	fflush(stdout);
	for (i = 0; i < 3; i++) {
		dup2(kept[i], i);
		close(kept[i]);
	}
}

static const char *whole(const char *name)
{
	static char text[8192];
	FILE *file = fopen(path_of(name), "r");
	size_t len = fread(text, 1, sizeof(text) - 1, file);

	text[len] = 0;
	fclose(file);
	return text;
}

/* The words of a command line, with spaces between them. */
static int read_with(int in, const char *line)
{
	static char copy[512];
	static char *argv[32];
	int argc = 0, result;
	char *word, *rest = copy;

	snprintf(copy, sizeof(copy), "/usr/bin/reclaim-host %s", line);
	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	argv[argc] = NULL;
	redirect();
	if (in >= 0)
		dup2(in, 0);
	result = options_read(&options, argc, argv);
	restore();
	return result;
}

static int reading(const char *line)
{
	return read_with(-1, line);
}

static void end_options(void)
{
	options_end(&options);
}

/* ---- what is right ---- */

START_TEST(nothing_means_the_defaults)
{
	ck_assert_int_eq(reading(""), -1);
	ck_assert_ptr_null(options.directories);
	ck_assert_uint_eq(options.max_outlets, 65536);
	ck_assert_uint_eq(options.max_calls, 4096);
	ck_assert_uint_eq(options.window, 256 << 10);
	ck_assert_uint_eq(options.max_frame, RECLAIM_MAX_FRAME);
	ck_assert_uint_ge(options.jobs, 4);
	ck_assert_uint_eq(options.watchdog_ms, 1000);
	ck_assert(!options.plain && !options.nouse_stdio && !options.list);
	ck_assert_str_eq(whole("out"), "");
	ck_assert_str_eq(whole("err"), "");
}
END_TEST

START_TEST(each_number_has_its_place)
{
	ck_assert_int_eq(
		reading("--outlets 1 --client-bytes 2K --client-handles 3 "
			"--bytes 4M --handles=5 --calls 6 --window 7K "
			"--max-frame 1G --jobs 9 --spin 10 --watchdog 11"),
		-1);
	ck_assert_uint_eq(options.max_outlets, 1);
	ck_assert_uint_eq(options.client.bytes, 2 << 10);
	ck_assert_uint_eq(options.client.handles, 3);
	ck_assert_uint_eq(options.outlet.bytes, 4 << 20);
	ck_assert_uint_eq(options.outlet.handles, 5);
	ck_assert_uint_eq(options.max_calls, 6);
	ck_assert_uint_eq(options.window, 7 << 10);
	ck_assert_uint_eq(options.max_frame, 1 << 30);
	ck_assert_uint_eq(options.jobs, 9);
	ck_assert_uint_eq(options.spin_us, 10);
	ck_assert_uint_eq(options.watchdog_ms, 11);
}
END_TEST

START_TEST(the_last_word_counts)
{
	ck_assert_int_eq(reading("--jobs 2 --jobs 3 --bytes 0"), -1);
	ck_assert_uint_eq(options.jobs, 3);
	ck_assert_uint_eq(options.outlet.bytes, 0);
}
END_TEST

START_TEST(directories_keep_their_order)
{
	ck_assert_int_eq(reading("--drivers /a --list --drivers=/b/c"), -1);
	ck_assert_str_eq(options.directories[0], "/a");
	ck_assert_str_eq(options.directories[1], "/b/c");
	ck_assert_ptr_null(options.directories[2]);
	ck_assert(options.list);
}
END_TEST

START_TEST(plain_may_have_a_name)
{
	ck_assert_int_eq(reading("--plain --nouse-stdio"), -1);
	ck_assert(options.plain && options.nouse_stdio);
	ck_assert_ptr_null(options.plain_driver);
	ck_assert_int_eq(reading("--plain=echo"), -1);
	ck_assert(options.plain && !options.nouse_stdio);
	ck_assert_str_eq(options.plain_driver, "echo");
}
END_TEST

START_TEST(a_name_may_be_shortened)
{
	ck_assert_int_eq(reading("--wa 5"), -1);
	ck_assert_uint_eq(options.watchdog_ms, 5);
}
END_TEST

static void right(Suite *suite)
{
	TCase *tcase = stage_case(suite, "right");

	tcase_add_checked_fixture(tcase, NULL, end_options);
	tcase_add_test(tcase, nothing_means_the_defaults);
	tcase_add_test(tcase, each_number_has_its_place);
	tcase_add_test(tcase, the_last_word_counts);
	tcase_add_test(tcase, directories_keep_their_order);
	tcase_add_test(tcase, plain_may_have_a_name);
	tcase_add_test(tcase, a_name_may_be_shortened);
}

/* ---- what is wrong ---- */

static const struct {
	const char *line, *words;
} wrong[] = {
	{"--jobs", "--jobs: something is to follow it"},
	{"--drivers", "--drivers: something is to follow it"},
	{"--jobs 0", "--jobs 0: a number from 1 to 1024"},
	{"--jobs 1025", "a number from 1 to 1024"},
	{"--jobs 4K", "a number from 1 to 1024 is wanted;"},
	{"--jobs -1", "a number from 1 to 1024"},
	{"--jobs +1", "a number from 1 to 1024"},
	{"--jobs 1x", "a number from 1 to 1024"},
	{"--jobs=", "a number from 1 to 1024"},
	{"--outlets 4294967296", "--outlets 4294967296: a number from 1 to"},
	{"--window 1", "from 1K to 1G is wanted, with K, M or G behind it"},
	{"--window 1025M", "from 1K to 1G"},
	{"--bytes 1T", "with K, M or G behind it"},
	{"--bytes 100K", "--bytes is less than --window"},
	{"--bytes 1KK", "with K, M or G behind it"},
	{"--bytes 18446744073709551616", "a number from 0 to"},
	{"--bytes 99999999999999999G", "a number from 0 to"},
	{"--bytes 17179869185G", "a number from 0 to"},
	{"--max-frame 2G", "a number from 1K to 2147483647"},
	{"--list=yes", "--list=yes: nothing is to follow it"},
	{"--loud", "--loud: there is no such option"},
	{"--client 5", "--client: there is no such option, or several"},
	{"-x", "-x: there is no such option"},
	{"echo", "echo: only options are wanted"},
	{"--list -- echo", "echo: only options are wanted"},
};

START_TEST(what_is_wrong_is_told)
{
	ck_assert_int_eq(reading(wrong[_i].line), 2);
	ck_assert_msg(strstr(whole("err"), wrong[_i].words), "%s: %s",
		      wrong[_i].line, whole("err"));
	ck_assert_ptr_nonnull(strstr(whole("err"), "reclaim-host --help"));
	ck_assert_int_eq(strncmp(whole("err"), "reclaim-host: ", 14), 0);
	ck_assert_str_eq(whole("out"), "");
}
END_TEST

static void wrongs(Suite *suite)
{
	TCase *tcase = stage_case(suite, "wrong");

	tcase_add_checked_fixture(tcase, NULL, end_options);
	tcase_add_loop_test(tcase, what_is_wrong_is_told, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
}

/* ---- for who starts it by hand ---- */

START_TEST(help_is_all_of_it)
{
	static const char *const names[] = {
		"--drivers DIR",
		"--plain[=DRIVER]",
		"--nouse-stdio",
		"--list",
		"--outlets N",
		"--client-bytes SIZE",
		"--client-handles N",
		"--bytes SIZE",
		"--handles N",
		"--calls N",
		"--window SIZE",
		"--max-frame SIZE",
		"--jobs N",
		"--spin US",
		"--watchdog MS",
		"--version",
		"--help",
		"(256K)",
		"(64M)",
		"(1000)",
	};
	size_t i;

	ck_assert_int_eq(reading("--jobs 7 --help --loud"), 0);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(strstr(whole("out"), names[i]), "no %s in:\n%s",
			      names[i], whole("out"));
	ck_assert_str_eq(whole("err"), "");
}
END_TEST

START_TEST(help_has_80_columns)
{
	char *text, *line, *rest;

	ck_assert_int_eq(reading("--help"), 0);
	rest = text = strdup(whole("out"));
	while ((line = strsep(&rest, "\n")))
		ck_assert_msg(strlen(line) <= 80, "%s", line);
	free(text);
}
END_TEST

START_TEST(it_says_its_version)
{
	ck_assert_int_eq(reading("--version"), 0);
	ck_assert_str_eq(whole("out"), "reclaim-host (" PACKAGE_STRING ")\n");
}
END_TEST

START_TEST(from_a_terminal_it_says_what_it_is_for)
{
	int near = posix_openpt(O_RDWR | O_NOCTTY), far;

	ck_assert_int_ge(near, 0);
	ck_works(grantpt(near));
	ck_works(unlockpt(near));
	far = open(ptsname(near), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(far, 0);
	ck_assert_int_eq(read_with(far, ""), 2);
	ck_assert_ptr_nonnull(strstr(whole("err"), "reclaim:start_host("));
	ck_assert_ptr_nonnull(strstr(whole("err"), "is a terminal"));
	ck_assert_int_eq(read_with(far, "--list"), -1);
	ck_assert_int_eq(read_with(far, "--nouse-stdio"), -1);
	ck_assert_int_eq(read_with(far, "--help"), 0);
	close(far);
	close(near);
}
END_TEST

static void by_hand(Suite *suite)
{
	TCase *tcase = stage_case(suite, "by hand");

	tcase_add_checked_fixture(tcase, NULL, end_options);
	tcase_add_test(tcase, help_is_all_of_it);
	tcase_add_test(tcase, help_has_80_columns);
	tcase_add_test(tcase, it_says_its_version);
	tcase_add_test(tcase, from_a_terminal_it_says_what_it_is_for);
}

static void fill(Suite *suite)
{
	right(suite);
	wrongs(suite);
	by_hand(suite);
}

int main(void)
{
	return stage_run("options", fill);
}
