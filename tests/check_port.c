/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests are the emulator: they hold the other ends of the port's pipes.
 * Most run the port in this process, on descriptors of their own; what concerns
 * fds 0 to 4, or ends the process, is seen in a child.
 */
#include "config.h"

#include "tests/stage.h"

#include <reclaim/port.h>

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/time.h>

/* ---- a port in this process ---- */

static int to_port, from_port; /* the emulator's ends */
static struct reclaim_port *port;

static void pipes(int *near_in, int *near_out)
{
	int in[2], out[2];

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	to_port = in[1];
	from_port = out[0];
	*near_in = in[0];
	*near_out = out[1];
}

static void open_port(const struct reclaim_port_opts *given)
{
	struct reclaim_port_opts opts = *given;

	opts.flags |= RECLAIM_PORT_FDS;
	pipes(&opts.in_fd, &opts.out_fd);
	port = reclaim_port_open(&opts);
	ck_assert_ptr_nonnull(port);
}

static void hang_up(void)
{
	close(to_port);
}

static void close_port(int expected)
{
	ck_assert_int_eq(reclaim_port_close(port), expected);
	close(from_port);
}

static void feed(const void *bytes, size_t len)
{
	ck_assert_int_eq(write(to_port, bytes, len), (ssize_t)len);
}

static void expect_read(const char *body, size_t len)
{
	const void *frame;

	ck_assert_int_eq(reclaim_port_read(port, &frame), (ssize_t)len);
	ck_assert_mem_eq(frame, body, len);
}

static void expect_end(int why)
{
	const void *frame;

	errno = -1;
	ck_assert_int_eq(reclaim_port_read(port, &frame), -1);
	ck_assert_int_eq(errno, why);
}

static void expect_sent(const void *bytes, size_t len)
{
	char got[256];

	ck_assert_uint_le(len, sizeof(got));
	ck_assert_int_eq(read(from_port, got, sizeof(got)), (ssize_t)len);
	ck_assert_mem_eq(got, bytes, len);
}

static const struct reclaim_port_opts defaults;

START_TEST(reads_and_answers)
{
	open_port(&defaults);
	feed("\0\0\0\3abc", 7);
	expect_read("abc", 3);
	ck_assert_int_eq(reclaim_port_write(port, "de", 2), 0);
	ck_assert_int_eq(reclaim_port_flush(port), 0);
	expect_sent("\0\0\0\2de", 6);
	hang_up();
	expect_end(0);
	expect_end(0);
	close_port(0);
}
END_TEST

START_TEST(an_empty_frame_goes_both_ways)
{
	const struct reclaim_port_opts opts = {.framing = RECLAIM_PACKET_2};

	open_port(&opts);
	feed("\0\0\0\0", 4);
	expect_read("", 0);
	expect_read("", 0);
	ck_assert_int_eq(reclaim_port_write(port, NULL, 0), 0);
	ck_assert_int_eq(reclaim_port_flush(port), 0);
	expect_sent("\0\0", 2);
	hang_up();
	close_port(0);
}
END_TEST

/* Interruptions are for the port alone. */
static void block_alarm(void)
{
	sigset_t alarm;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
}

static void *feed_slowly(void *bytes)
{
	const char *at = bytes;
	int i;

	block_alarm();
	for (i = 0; i < 11; i++) {
		usleep(2000);
		if (write(to_port, at + i, 1) != 1)
			return bytes;
	}
	hang_up();
	return NULL;
}

START_TEST(a_byte_at_a_time_is_enough)
{
	char bytes[] = "\0\0\0\3abc\0\0\0";
	pthread_t feeder;
	void *failed;

	open_port(&defaults);
	ck_assert_int_eq(pthread_create(&feeder, NULL, feed_slowly, bytes), 0);
	expect_read("abc", 3);
	expect_read("", 0);
	expect_end(0);
	pthread_join(feeder, &failed);
	ck_assert_ptr_null(failed);
	close_port(0);
}
END_TEST

START_TEST(the_end_within_a_frame_is_told)
{
	open_port(&defaults);
	feed("\0\0\0\3ab", 6);
	hang_up();
	expect_end(EBADMSG);
	expect_end(EBADMSG);
	ck_assert_ptr_nonnull(strstr(last_report(), "within a frame"));
	close_port(1);
}
END_TEST

START_TEST(the_end_within_a_prefix_is_told)
{
	open_port(&defaults);
	feed("\0\0", 2);
	hang_up();
	expect_end(EBADMSG);
	close_port(1);
}
END_TEST

START_TEST(a_frame_above_the_cap_ends_the_port)
{
	const struct reclaim_port_opts opts = {.max_frame = 16};

	open_port(&opts);
	feed("\0\0\0\20abcdefghijklmnop", 20);
	expect_read("abcdefghijklmnop", 16);
	feed("\0\0\0\21", 4);
	expect_end(EMSGSIZE);
	expect_end(EMSGSIZE);
	ck_assert_ptr_nonnull(
		strstr(last_report(), "longer than the 16 bytes"));
	hang_up();
	close_port(1);
}
END_TEST

START_TEST(a_frame_too_long_to_write_is_not_queued)
{
	const struct reclaim_port_opts opts = {.framing = RECLAIM_PACKET_1};
	char body[256] = {0};

	open_port(&opts);
	ck_assert_int_eq(reclaim_port_write(port, body, 256), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(reclaim_port_write(port, "a", 1), 0);
	ck_assert_int_eq(reclaim_port_flush(port), 0);
	expect_sent("\001a", 2);
	hang_up();
	close_port(0);
}
END_TEST

START_TEST(lines_come_and_go_without_their_newline)
{
	const struct reclaim_port_opts opts = {.framing = RECLAIM_LINES};

	open_port(&opts);
	feed("one\n\nlast", 9);
	hang_up();
	expect_read("one", 3);
	ck_assert_int_eq(reclaim_port_write(port, "answer", 6), 0);
	expect_read("", 0);
	expect_read("last", 4);
	expect_end(0);
	expect_sent("answer\n", 7);
	close_port(0);
}
END_TEST

START_TEST(a_stream_is_lent_as_it_comes)
{
	const struct reclaim_port_opts opts = {.framing = RECLAIM_STREAM};

	open_port(&opts);
	feed("any bytes", 9);
	expect_read("any bytes", 9);
	ck_assert_int_eq(reclaim_port_write(port, "thing", 5), 0);
	hang_up();
	expect_end(0);
	expect_sent("thing", 5);
	close_port(0);
}
END_TEST

/* Nothing has arrived at the emulator yet. */
static bool is_quiet(void)
{
	struct pollfd fd = {.fd = from_port, .events = POLLIN};

	return poll(&fd, 1, 0) == 0;
}

START_TEST(answers_are_sent_together_before_it_waits)
{
	open_port(&defaults);
	feed("\0\0\0\1a\0\0\0\1b", 10);
	expect_read("a", 1);
	ck_assert_int_eq(reclaim_port_write(port, "A", 1), 0);
	expect_read("b", 1);
	ck_assert_int_eq(reclaim_port_write(port, "B", 1), 0);
	ck_assert(is_quiet());
	hang_up();
	expect_end(0);
	expect_sent("\0\0\0\1A\0\0\0\1B", 10);
	close_port(0);
}
END_TEST

START_TEST(a_full_queue_is_sent)
{
	const struct reclaim_port_opts opts = {.max_queue = 8};

	open_port(&opts);
	ck_assert_int_eq(reclaim_port_write(port, "ab", 2), 0);
	ck_assert(is_quiet());
	ck_assert_int_eq(reclaim_port_write(port, "cd", 2), 0);
	expect_sent("\0\0\0\2ab\0\0\0\2cd", 12);
	hang_up();
	close_port(0);
}
END_TEST

/* ---- large frames ---- */

#define LARGE (3 << 20)

struct transfer {
	int fd;
	char *bytes;
	size_t len;
	bool done;
};

static void *feed_all(void *arg)
{
	struct transfer *t = arg;
	size_t at = 0;
	ssize_t n = 1;

	for (; at < t->len && n > 0; at += (size_t)n)
		n = write(t->fd, t->bytes + at, t->len - at);
	t->done = at == t->len;
	return NULL;
}

static void *drain_all(void *arg)
{
	struct transfer *t = arg;
	size_t at = 0;
	ssize_t n = 1;

	for (; at < t->len && n > 0; at += (size_t)n)
		n = read(t->fd, t->bytes + at, t->len - at);
	t->done = at == t->len;
	return NULL;
}

static char *large_frame(uint64_t *state)
{
	unsigned char *bytes = malloc(4 + LARGE);
	int i;

	ck_assert_ptr_nonnull(bytes);
	reclaim_encode(RECLAIM_PACKET_4, LARGE, bytes);
	for (i = 0; i < LARGE; i += 4096)
		memset(bytes + 4 + i, (int)fixture_random(state), 4096);
	return (char *)bytes;
}

/* A large frame there and back, while others feed and drain. */
static void echo_large(uint64_t *state)
{
	struct transfer in = {.fd = to_port, .len = 4 + LARGE};
	struct transfer out = {.fd = from_port, .len = 4 + LARGE};
	pthread_t feeder, drainer;
	const void *frame;

	in.bytes = large_frame(state);
	out.bytes = malloc(out.len);
	ck_assert_int_eq(pthread_create(&feeder, NULL, feed_all, &in), 0);
	ck_assert_int_eq(pthread_create(&drainer, NULL, drain_all, &out), 0);
	ck_assert_int_eq(reclaim_port_read(port, &frame), LARGE);
	ck_assert_int_eq(reclaim_port_write(port, frame, LARGE), 0);
	pthread_join(feeder, NULL);
	pthread_join(drainer, NULL);
	ck_assert(in.done && out.done);
	ck_assert(memcmp(in.bytes, out.bytes, in.len) == 0);
	free(in.bytes);
	free(out.bytes);
}

START_TEST(a_frame_may_be_larger_than_any_pipe)
{
	uint64_t state = fixture_seed();

	open_port(&defaults);
	echo_large(&state);
	hang_up();
	expect_end(0);
	close_port(0);
}
END_TEST

static size_t bytes_held(void)
{
	struct reclaim_task_info info;

	ck_assert_int_eq(reclaim_task_info(reclaim_self(), &info), 0);
	return info.bytes;
}

START_TEST(room_for_a_large_frame_is_given_back)
{
	uint64_t state = fixture_seed();
	struct transfer in = {.bytes = large_frame(&state), .len = 4 + LARGE};
	pthread_t feeder;
	const void *frame;
	size_t before;

	open_port(&defaults);
	before = bytes_held();
	in.fd = to_port;
	ck_assert_int_eq(pthread_create(&feeder, NULL, feed_all, &in), 0);
	ck_assert_int_eq(reclaim_port_read(port, &frame), LARGE);
	ck_assert_uint_gt(bytes_held(), before + LARGE / 2);
	pthread_join(feeder, NULL);
	feed("\0\0\0\1a", 5);
	expect_read("a", 1);
	ck_assert_uint_eq(bytes_held(), before);
	hang_up();
	close_port(0);
	free(in.bytes);
}
END_TEST

/* ---- signals and a reader that went away ---- */

static volatile sig_atomic_t ticks;

static void tick(int signo)
{
	(void)signo;
	ticks++;
}

static void interrupt_every(long us)
{
	struct sigaction action = {.sa_handler = us ? tick : SIG_IGN};
	struct itimerval timer = {{0, us}, {0, us}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

START_TEST(interruptions_are_not_seen)
{
	char bytes[] = "\0\0\0\3abc\0\0\0";
	pthread_t feeder;
	void *failed;

	open_port(&defaults);
	ck_assert_int_eq(pthread_create(&feeder, NULL, feed_slowly, bytes), 0);
	interrupt_every(1000);
	expect_read("abc", 3);
	expect_read("", 0);
	expect_end(0);
	interrupt_every(0);
	pthread_join(feeder, &failed);
	ck_assert_ptr_null(failed);
	ck_assert_int_gt(ticks, 0);
	close_port(0);
}
END_TEST

START_TEST(a_reader_that_went_away_is_epipe)
{
	open_port(&defaults);
	close(from_port);
	ck_assert_int_eq(reclaim_port_write(port, "a", 1), 0);
	ck_assert_int_eq(reclaim_port_flush(port), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(reclaim_port_write(port, "a", 1), 0);
	ck_assert_int_eq(reclaim_port_flush(port), -1);
	ck_assert_int_eq(errno, EPIPE);
	hang_up();
	ck_assert_int_eq(reclaim_port_close(port), 1);
}
END_TEST

START_TEST(at_the_end_of_input_it_is_no_failure)
{
	open_port(&defaults);
	close(from_port);
	hang_up();
	ck_assert_int_eq(reclaim_port_write(port, "a", 1), 0);
	expect_end(0);
	ck_assert_int_eq(reclaim_port_close(port), 0);
}
END_TEST

START_TEST(sigpipe_is_caught_and_an_own_handler_left_alone)
{
	struct sigaction action = {.sa_handler = SIG_IGN}, seen;

	sigaction(SIGPIPE, &action, NULL);
	open_port(&defaults);
	sigaction(SIGPIPE, NULL, &seen);
	ck_assert(seen.sa_handler != SIG_IGN && seen.sa_handler != SIG_DFL);
	hang_up();
	close_port(0);
	action.sa_handler = tick;
	sigaction(SIGPIPE, &action, NULL);
	open_port(&defaults);
	sigaction(SIGPIPE, NULL, &seen);
	ck_assert(seen.sa_handler == tick);
	hang_up();
	close_port(0);
}
END_TEST

/* ---- whose it is ---- */

static void open_and_leave(void)
{
	open_port(&defaults);
	ck_assert_int_eq(reclaim_port_write(port, "bye", 3), 0);
}

START_TEST(a_port_ends_with_its_task_and_says_what_was_queued)
{
	in_task(open_and_leave);
	expect_sent("\0\0\0\3bye", 7);
	ck_assert_int_eq(read(from_port, &port, 1), 0);
	close(from_port);
	hang_up();
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused)
{
	static const struct reclaim_port_opts wrong[] = {
		{.framing = 3},	    {.flags = 1u << 31},
		{.hangup_ms = -1},  {.max_frame = (size_t)1 << 31},
		{.framing = 0x105}, {.max_queue = (size_t)1 << 40},
	};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		ck_assert_ptr_null(reclaim_port_open(&wrong[i]));
		ck_assert_int_eq(errno, EINVAL);
	}
}
END_TEST

START_TEST(a_missing_descriptor_is_told)
{
	struct reclaim_port_opts opts = {
		.flags = RECLAIM_PORT_FDS, .in_fd = 900, .out_fd = 1};

	ck_assert_ptr_null(reclaim_port_open(&opts));
	ck_assert_int_eq(errno, EBADF);
	ck_assert_ptr_nonnull(strstr(last_report(), "fd 900 is not open"));
	opts.in_fd = 0;
	opts.out_fd = 901;
	ck_assert_ptr_null(reclaim_port_open(&opts));
	ck_assert_int_eq(errno, EBADF);
	ck_assert_ptr_nonnull(strstr(last_report(), "fd 901 is not open"));
}
END_TEST

/* ---- a port program, seen from outside ---- */

static int errors; /* its fd 2 */

/* A child with pipes as its fds 0 to 2, or 3 and 4, that runs body(). */
static pid_t start_program(int in_fd, int out_fd, int (*body)(void))
{
	int in, out, err[2];
	pid_t pid;

	pipes(&in, &out);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		reclaim_on_report(NULL, NULL);
		fcntl(in, F_DUPFD, 50);
		dup2(err[1], 2);
		in = fcntl(in, F_DUPFD_CLOEXEC, 50);
		out = fcntl(out, F_DUPFD_CLOEXEC, 50);
		close(to_port);
		close(from_port);
		close(err[0]);
		dup2(in, in_fd);
		dup2(out, out_fd);
		for (in = 5; in < 100; in++)
			close(in);
		exit(body());
	}
	close(in);
	close(out);
	close(err[1]);
	errors = err[0];
	return pid;
}

static int finish_program(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	close(from_port);
	close(errors);
	return WEXITSTATUS(status);
}

static int echo(const struct reclaim_port_opts *opts)
{
	struct reclaim_port *p = reclaim_port_open(opts);
	const void *frame;
	ssize_t len;

	if (!p)
		return 3;
	printf("stray\n");
	fflush(stdout);
	while ((len = reclaim_port_read(p, &frame)) >= 0)
		reclaim_port_write(p, frame, (size_t)len);
	return reclaim_port_close(p);
}

static int echo_on_stdio(void)
{
	return echo(NULL);
}

START_TEST(a_stray_printf_goes_to_stderr)
{
	pid_t pid = start_program(0, 1, echo_on_stdio);
	char line[16] = "";

	feed("\0\0\0\2ab", 6);
	expect_sent("\0\0\0\2ab", 6);
	ck_assert_int_eq(read(errors, line, sizeof(line)), 6);
	ck_assert_str_eq(line, "stray\n");
	hang_up();
	ck_assert_int_eq(finish_program(pid), 0);
}
END_TEST

static int echo_on_3_and_4(void)
{
	const struct reclaim_port_opts opts = {
		.flags = RECLAIM_PORT_NOUSE_STDIO};

	return echo(&opts);
}

START_TEST(nouse_stdio_talks_on_3_and_4)
{
	pid_t pid = start_program(3, 4, echo_on_3_and_4);

	feed("\0\0\0\2ab", 6);
	expect_sent("\0\0\0\2ab", 6);
	hang_up();
	ck_assert_int_eq(finish_program(pid), 0);
}
END_TEST

static int look_at_fds(void)
{
	int flags = fcntl(2, F_GETFL);
	struct reclaim_port *p = reclaim_port_open(NULL);
	char target[64] = "";
	int wrong = 0;

	if (!p)
		return 3;
	wrong |= fcntl(2, F_GETFL) != flags;
	wrong |= (fcntl(2, F_GETFD) != 0) << 1;
	if (readlink("/proc/self/fd/0", target, sizeof(target) - 1) < 0)
		return 4;
	wrong |= (strcmp(target, "/dev/null") != 0) << 2;
	reclaim_port_close(p);
	return wrong;
}

START_TEST(fd_2_is_left_alone_and_fd_0_reads_nothing)
{
	pid_t pid = start_program(0, 1, look_at_fds);

	ck_assert_int_eq(finish_program(pid), 0);
	hang_up();
}
END_TEST

static int without_stdin(void)
{
	close(0);
	return reclaim_port_open(NULL) ? 0 : errno;
}

static int without_stdout(void)
{
	close(1);
	return reclaim_port_open(NULL) ? 0 : errno;
}

static int without_stderr(void)
{
	close(2);
	return echo(NULL);
}

START_TEST(without_stdin_or_stdout_it_says_what_is_wrong)
{
	char text[256] = "";
	pid_t pid;

	pid = start_program(0, 1, without_stdin);
	ck_assert_int_gt(read(errors, text, sizeof(text) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text, "fd 0 is not open"));
	ck_assert_int_eq(finish_program(pid), EBADF);
	hang_up();
	pid = start_program(0, 1, without_stdout);
	ck_assert_int_gt(read(errors, text, sizeof(text) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text, "fd 1 is not open"));
	ck_assert_int_eq(finish_program(pid), EBADF);
	hang_up();
}
END_TEST

START_TEST(without_stderr_a_stray_printf_goes_nowhere)
{
	pid_t pid = start_program(0, 1, without_stderr);

	feed("\0\0\0\2ab", 6);
	expect_sent("\0\0\0\2ab", 6);
	hang_up();
	ck_assert_int_eq(finish_program(pid), 0);
}
END_TEST

static void say_released(void *arg)
{
	(void)arg;
	if (write(2, "released\n", 9) != 9)
		abort();
}

static int compute_for_ever(int argc, char **argv, char **envp)
{
	(void)argc, (void)argv, (void)envp;
	reclaim_defer(say_released, NULL, NULL);
	pause();
	return 0;
}

static int too_busy_to_read(void)
{
	const struct reclaim_port_opts opts = {.hangup_ms = 50};
	struct reclaim_port *p = reclaim_port_open(&opts);
	const void *frame;
	reclaim_tid task;

	if (!p || reclaim_port_read(p, &frame) < 0)
		return 3;
	task = reclaim_spawn(NULL, compute_for_ever, NULL);
	reclaim_port_write(p, "busy", 4);
	reclaim_port_flush(p);
	reclaim_wait(task, NULL, -1);
	return 4;
}

START_TEST(a_hang_up_ends_a_busy_program_and_its_tasks)
{
	pid_t pid = start_program(0, 1, too_busy_to_read);
	char text[512] = "";
	size_t len = 0;
	ssize_t n;

	feed("\0\0\0\0", 4);
	expect_sent("\0\0\0\4busy", 8);
	hang_up();
	while ((n = read(errors, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	ck_assert_ptr_nonnull(strstr(text, "still busy"));
	ck_assert_ptr_nonnull(strstr(text, "released\n"));
	ck_assert_int_eq(finish_program(pid), 0);
}
END_TEST

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int open_at_a_limit(void)
{
	struct reclaim_task_opts opts = {.max_handles = 1};
	struct reclaim_port *p;
	int error;

	reclaim_enter(reclaim_task_new(&opts));
	p = reclaim_port_open(NULL);
	error = p ? 0 : errno;
	if (!is_pipe(0) || !is_pipe(1))
		return 99;
	return error;
}

START_TEST(at_a_limit_nothing_has_moved)
{
	pid_t pid = start_program(0, 1, open_at_a_limit);

	ck_assert_int_eq(finish_program(pid), EMFILE);
	hang_up();
}
END_TEST

static void fill(Suite *suite)
{
	TCase *reading = stage_case(suite, "frames");
	TCase *large = stage_case(suite, "large");
	TCase *peers = stage_case(suite, "peers");
	TCase *opening = stage_case(suite, "open");
	TCase *programs = stage_case(suite, "programs");

	tcase_add_test(reading, reads_and_answers);
	tcase_add_test(reading, an_empty_frame_goes_both_ways);
	tcase_add_test(reading, a_byte_at_a_time_is_enough);
	tcase_add_test(reading, the_end_within_a_frame_is_told);
	tcase_add_test(reading, the_end_within_a_prefix_is_told);
	tcase_add_test(reading, a_frame_above_the_cap_ends_the_port);
	tcase_add_test(reading, a_frame_too_long_to_write_is_not_queued);
	tcase_add_test(reading, lines_come_and_go_without_their_newline);
	tcase_add_test(reading, a_stream_is_lent_as_it_comes);
	tcase_add_test(reading, answers_are_sent_together_before_it_waits);
	tcase_add_test(reading, a_full_queue_is_sent);
	tcase_add_test(large, a_frame_may_be_larger_than_any_pipe);
	tcase_add_test(large, room_for_a_large_frame_is_given_back);
	tcase_add_test(large, interruptions_are_not_seen);
	tcase_add_test(peers, a_reader_that_went_away_is_epipe);
	tcase_add_test(peers, at_the_end_of_input_it_is_no_failure);
	tcase_add_test(peers, sigpipe_is_caught_and_an_own_handler_left_alone);
	tcase_add_test(peers,
		       a_port_ends_with_its_task_and_says_what_was_queued);
	tcase_add_test(opening, options_that_make_no_sense_are_refused);
	tcase_add_test(opening, a_missing_descriptor_is_told);
	tcase_add_test(opening, at_a_limit_nothing_has_moved);
	tcase_add_test(programs, a_stray_printf_goes_to_stderr);
	tcase_add_test(programs, nouse_stdio_talks_on_3_and_4);
	tcase_add_test(programs, fd_2_is_left_alone_and_fd_0_reads_nothing);
	tcase_add_test(programs, without_stdin_or_stdout_it_says_what_is_wrong);
	tcase_add_test(programs, without_stderr_a_stray_printf_goes_nowhere);
	tcase_add_test(programs, a_hang_up_ends_a_busy_program_and_its_tasks);
}

int main(void)
{
	return stage_run("port", fill);
}
