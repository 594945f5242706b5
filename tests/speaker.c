/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/speaker.h"

#include <reclaim/message.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* What a machine that is busy may take, under Valgrind, too. */
#define PATIENCE_MS 40000

/* The host's tests of itself are begun there by the emulator. */
#define ARGS_MAX 32

struct body {
	STAILQ_ENTRY(body) next;
	size_t len;
	unsigned char bytes[];
};

STAILQ_HEAD(bodies, body);

static pid_t process;
static int to_host = -1, from_host = -1;
static unsigned char *input;
static size_t input_len, input_size;
static bool input_ended;
static struct bodies frames, logs;
static struct body *lent;
static uint64_t last_question;

static struct shared {
	sem_t gates[GATES];
	atomic_size_t used;
	char text[16384];
} * shared;

/* ---- time ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---- what both see ---- */

void jot(const char *format, ...)
{
	char text[256];
	va_list args;
	size_t at, len;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	len = strlen(text);
	at = atomic_fetch_add(&shared->used, len);
	if (at + len < sizeof(shared->text))
		memcpy(shared->text + at, text, len);
}

const char *jotted(void)
{
	return shared->text;
}

void expect_jotted(const char *text)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (strcmp(shared->text, text) != 0 && now_ms() < until) {
		ck_assert_msg(
			strncmp(shared->text, text, strlen(shared->text)) == 0,
			"jotted: \"%s\", not \"%s\"", shared->text, text);
		pause_a_little();
	}
	ck_assert_str_eq(shared->text, text);
}

void await_jot(const char *words)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (!strstr(shared->text, words) && now_ms() < until)
		pause_a_little();
	ck_assert_msg(strstr(shared->text, words) != NULL,
		      "\"%s\" was not jotted down: \"%s\"; stderr: %s", words,
		      shared->text, host_said());
}

/*
 * A thread may be cancelled here.  The thread sanitizer knows none again that
 * was cancelled within a call that blocks.
 */
void pass_gate(unsigned nth)
{
#ifdef __SANITIZE_THREAD__
	while (sem_trywait(&shared->gates[nth]) < 0) {
		pthread_testcancel();
		sched_yield();
	}
#else
	while (sem_wait(&shared->gates[nth]) < 0 && errno == EINTR)
		continue;
#endif
}

void open_gate(unsigned nth)
{
	sem_post(&shared->gates[nth]);
}

/* ---- the host's process ---- */

static void split(char *options, char **argv, int *argc)
{
	char *rest, *word;

	for (word = strtok_r(options, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		if (*argc == ARGS_MAX)
			abort();
		argv[(*argc)++] = word;
	}
}

static void place(int fd, int to)
{
	if (dup2(fd, to) < 0)
		abort();
}

/* The library's own, and libuv's, are made before it looks: they stay. */
static int serve(const struct reclaim_driver *const *drivers, int argc,
		 char **argv, int in, int out)
{
	bool stdio = true;
	uv_loop_t loop;
	int i;

	struct fixture_view *before;
	char *changes;
	int status;

	reclaim_on_report(NULL, NULL);
	reclaim_msgq_fd();
	must(uv_loop_init(&loop) == 0 && uv_loop_close(&loop) == 0);
	before = fixture_look();
	for (i = 1; i < argc; i++)
		stdio &= strcmp(argv[i], "--nouse-stdio") != 0;
	place(in, stdio ? 0 : 3);
	place(out, stdio ? 1 : 4);
	status = reclaim_port_main(argc, argv, drivers);
	for (i = 0; i < 5; i++)
		if (i != STDERR_FILENO)
			place(STDERR_FILENO, i);
	changes = fixture_compare(before);
	fixture_forget(before);
	if (changes) {
		fprintf(stderr, "the host leaves:\n%s", changes);
		status = HOST_CHANGED;
	}
	free(changes);
	return status;
}

/* Copies of the pipes stay open, so that the view can be the same. */
static void be_host(const struct reclaim_driver *const *drivers,
		    const char *options, int in, int out, int err)
{
	char words[1024] = "";
	char name[] = "host";
	char *argv[ARGS_MAX + 1] = {name};
	int argc = 1;

	stage_is_child();
	close(to_host);
	close(from_host);
	in = fcntl(in, F_DUPFD_CLOEXEC, 64);
	out = fcntl(out, F_DUPFD_CLOEXEC, 64);
	place(err, STDERR_FILENO);
	place(err, STDIN_FILENO);
	place(err, STDOUT_FILENO);
	place(err, 3);
	place(err, 4);
	snprintf(words, sizeof(words), "%s", options ? options : "");
	split(words, argv, &argc);
	exit(serve(drivers, argc, argv, in, out));
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void end_input(void)
{
	close_end(&to_host);
}

void hang_up(void)
{
	close_end(&to_host);
	close_end(&from_host);
}

void start_host(const struct reclaim_driver *const *drivers,
		const char *options)
{
	int in[2], out[2], err;

	ck_works(pipe2(in, O_CLOEXEC));
	ck_works(pipe2(out, O_CLOEXEC));
	hang_up(); /* where there was one before */
	err = open(path_of("stderr"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC,
		   0600);
	ck_assert_int_ge(err, 0);
	to_host = in[1];
	from_host = out[0];
	input_len = 0;
	input_ended = false;
	fflush(NULL);
	process = fork();
	ck_assert_int_ge(process, 0);
	if (!process)
		be_host(drivers, options, in[0], out[1], err);
	close(in[0]);
	close(out[1]);
	close(err);
}

pid_t host_process(void)
{
	return process;
}

const char *host_said(void)
{
	static char text[3000]; /* what Check takes */
	FILE *file = fopen(path_of("stderr"), "re");
	size_t n = 0;

	if (file) {
		n = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	return text;
}

void expect_said(const char *words)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (!strstr(host_said(), words) && now_ms() < until)
		pause_a_little();
	ck_assert_msg(strstr(host_said(), words) != NULL,
		      "\"%s\" is not in: %s", words, host_said());
}

/* What the host still says is read, or it could not end. */
static void drop_output(void)
{
	char dropped[4096];
	struct pollfd fd = {.fd = from_host, .events = POLLIN};

	if (from_host < 0)
		pause_a_little();
	else if (poll(&fd, 1, 1) > 0 &&
		 read(from_host, dropped, sizeof(dropped)) <= 0)
		pause_a_little();
}

void expect_status(int status)
{
	int64_t until = now_ms() + PATIENCE_MS;
	int raw, got;
	pid_t ended;

	while ((ended = waitpid(process, &raw, WNOHANG)) == 0 &&
	       now_ms() < until)
		drop_output();
	if (!ended) {
		kill(process, SIGKILL);
		waitpid(process, &raw, 0);
		process = 0;
		ck_abort_msg("the host did not end; stderr: %s", host_said());
	}
	process = 0;
	got = WIFSIGNALED(raw) ? 256 + WTERMSIG(raw) : WEXITSTATUS(raw);
	ck_assert_msg(got == status, "the host's status is %d, not %d: %s", got,
		      status, host_said());
}

void leave_host(void)
{
	end_input();
	expect_status(0);
}

/* ---- saying ---- */

static void send_all(const unsigned char *at, size_t len)
{
	while (len) {
		ssize_t n = write(to_host, at, len);

		ck_assert_msg(n > 0, "the host takes no more: %m; stderr: %s",
			      host_said());
		at += n;
		len -= (size_t)n;
	}
}

static void say_both(const void *head, size_t head_len, const void *rest,
		     size_t len)
{
	size_t total = head_len + len;
	unsigned char *frame = malloc(4 + total);
	int i;

	for (i = 0; i < 4; i++)
		frame[i] = (unsigned char)(total >> (24 - 8 * i));
	memcpy(frame + 4, head, head_len);
	if (len)
		memcpy(frame + 4 + head_len, rest, len);
	send_all(frame, 4 + total);
	free(frame);
}

void say_raw(const void *bytes, size_t len)
{
	send_all(bytes, len);
}

static unsigned char *unsaid;
static size_t unsaid_at, unsaid_len;

bool say_patiently(const void *body, size_t len)
{
	struct pollfd fd = {.fd = to_host, .events = POLLOUT};
	int flags = fcntl(to_host, F_GETFL);
	ssize_t n = 0;
	int i;

	unsaid = realloc(unsaid, 4 + len);
	for (i = 0; i < 4; i++)
		unsaid[i] = (unsigned char)(len >> (24 - 8 * i));
	memcpy(unsaid + 4, body, len);
	unsaid_at = 0;
	unsaid_len = 4 + len;
	fcntl(to_host, F_SETFL, flags | O_NONBLOCK);
	while (unsaid_at < unsaid_len && poll(&fd, 1, 100) > 0 &&
	       (n = write(to_host, unsaid + unsaid_at,
			  unsaid_len - unsaid_at)) > 0)
		unsaid_at += (size_t)n;
	fcntl(to_host, F_SETFL, flags);
	return unsaid_at == unsaid_len;
}

void say_rest(void)
{
	send_all(unsaid + unsaid_at, unsaid_len - unsaid_at);
	free(unsaid);
	unsaid = NULL;
}

void say_bytes(const void *body, size_t len)
{
	say_both(body, len, NULL, 0);
}

void say(enum wire_type type, uint64_t first, uint64_t second, uint64_t third,
	 const void *rest, size_t len)
{
	unsigned char head[WIRE_HEAD_MAX];

	say_both(head, wire_head(head, type, first, second, third), rest, len);
}

void say_one(enum wire_type type, uint64_t id)
{
	say(type, id, 0, 0, NULL, 0);
}

void say_hello(unsigned version, size_t max_frame)
{
	unsigned char hello[WIRE_HELLO_SIZE];

	wire_hello(hello, max_frame);
	hello[8] = (unsigned char)(version >> 8);
	hello[9] = (unsigned char)version;
	say_bytes(hello, sizeof(hello));
}

void say_open_with(uint64_t outlet, uint64_t client, const char *driver,
		   uint32_t window)
{
	unsigned char term[512];
	struct reclaim_writer writer;
	char label[32];

	snprintf(label, sizeof(label), "<0.%" PRIu64 ".0>", client);
	reclaim_writer_init(&writer, term, sizeof(term));
	reclaim_put_tuple(&writer, 3);
	reclaim_put_atom(&writer, driver);
	reclaim_put_list(&writer, 0);
	reclaim_put_end(&writer);
	reclaim_put_binary(&writer, label, strlen(label));
	ck_works(reclaim_writer_done(&writer));
	say(WIRE_OPEN, outlet, client, window, term, writer.len);
}

void say_open(uint64_t outlet, uint64_t client, const char *driver)
{
	say_open_with(outlet, client, driver, WINDOW);
}

void say_data(uint64_t outlet, const char *text)
{
	say(WIRE_DATA, outlet, 0, 0, text, strlen(text));
}

void say_call(uint64_t outlet, uint64_t call, const char *atom)
{
	unsigned char term[512];
	struct reclaim_writer writer;

	reclaim_writer_init(&writer, term, sizeof(term));
	reclaim_put_atom(&writer, atom);
	say(WIRE_CALL, outlet, call, 0, term, writer.len);
}

void say_control(uint64_t outlet, uint64_t call, uint32_t operation,
		 const char *text)
{
	say(WIRE_CONTROL, outlet, call, operation, text, strlen(text));
}

/* ---- hearing ---- */

static void cut_frames(void)
{
	size_t at = 0, len;

	while (input_len - at >= 4) {
		const unsigned char *p = input + at;
		struct body *body;

		len = (size_t)p[0] << 24 | (size_t)p[1] << 16 |
		      (size_t)p[2] << 8 | p[3];
		if (input_len - at < 4 + len)
			break;
		body = malloc(sizeof(*body) + len);
		body->len = len;
		memcpy(body->bytes, p + 4, len);
		if (len && p[4] == WIRE_LOG)
			STAILQ_INSERT_TAIL(&logs, body, next);
		else
			STAILQ_INSERT_TAIL(&frames, body, next);
		at += 4 + len;
	}
	input_len -= at;
	memmove(input, input + at, input_len);
}

static void read_more(void)
{
	ssize_t n;

	if (input_size - input_len < 65536) {
		input_size = 2 * input_size + 131072;
		input = realloc(input, input_size);
	}
	n = read(from_host, input + input_len, input_size - input_len);
	if (n > 0)
		input_len += (size_t)n;
	else if (n == 0)
		input_ended = true;
	cut_frames();
}

static void hear(struct bodies *wanted)
{
	int64_t until = now_ms() + PATIENCE_MS, left;
	struct pollfd fd = {.fd = from_host, .events = POLLIN};

	while (STAILQ_EMPTY(wanted) && !input_ended) {
		left = until - now_ms();
		if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
			break;
		read_more();
	}
}

static struct body *next_of(struct bodies *bodies)
{
	free(lent);
	hear(bodies);
	lent = STAILQ_FIRST(bodies);
	if (lent)
		STAILQ_REMOVE_HEAD(bodies, next);
	return lent;
}

const struct wire_frame *next_frame(void)
{
	static struct wire_frame frame;
	struct body *body = next_of(&frames);

	ck_assert_msg(body != NULL, "no frame came%s; stderr: %s",
		      input_ended ? ", the host ended" : "", host_said());
	ck_assert_int_eq(wire_read(body->bytes, body->len, &frame), 0);
	return &frame;
}

void expect_body(const void *bytes, size_t len)
{
	struct body *body = next_of(&frames);

	ck_assert_msg(body != NULL, "no frame came; stderr: %s", host_said());
	ck_assert_uint_eq(body->len, len);
	if (len)
		ck_assert_mem_eq(body->bytes, bytes, len);
}

void expect_no_more(void)
{
	next_of(&frames);
	ck_assert_msg(!lent, "a frame of type %d came", lent->bytes[0]);
	ck_assert(input_ended);
}

void next_log(struct wire_frame *frame)
{
	struct body *body = next_of(&logs);

	ck_assert_msg(body != NULL, "nothing was logged");
	ck_assert_int_eq(wire_read(body->bytes, body->len, frame), 0);
	ck_assert_uint_ge(frame->len, 1);
}

void expect_log(int level, uint64_t outlet, const char *words)
{
	struct wire_frame frame;
	size_t name;
	char text[4096];

	next_log(&frame);
	name = frame.rest[0];
	ck_assert_uint_ge(frame.len, 1 + name);
	snprintf(text, sizeof(text), "%.*s: %.*s", (int)name, frame.rest + 1,
		 (int)(frame.len - 1 - name), frame.rest + 1 + name);
	ck_assert_msg(strstr(text, words) != NULL, "\"%s\" is not in \"%s\"",
		      words, text);
	ck_assert_int_eq((int)frame.field[0], level);
	ck_assert_uint_eq(frame.field[1], outlet);
}

/* ---- frames as text ---- */

static void write_term(struct reclaim_reader *reader, FILE *to);

static void write_pairs(struct reclaim_reader *reader, FILE *to)
{
	uint32_t count;

	reclaim_get_map(reader, &count);
	fputs("#{", to);
	while (!reader->error && count--) {
		write_term(reader, to);
		fputs("=>", to);
		write_term(reader, to);
		fputs(count ? "," : "", to);
	}
	fputs("}", to);
}

static void write_elements(struct reclaim_reader *reader, FILE *to, bool list)
{
	uint32_t count;

	if (list)
		reclaim_get_list(reader, &count);
	else
		reclaim_get_tuple(reader, &count);
	fputs(list ? "[" : "{", to);
	while (!reader->error && count--) {
		write_term(reader, to);
		fputs(count ? "," : "", to);
	}
	if (list)
		reclaim_get_end(reader);
	fputs(list ? "]" : "}", to);
}

static void write_term(struct reclaim_reader *reader, FILE *to)
{
	char atom[RECLAIM_ATOM_SIZE];
	const void *data;
	int64_t number;
	size_t len;

	switch (reclaim_reader_sort(reader)) {
	case RECLAIM_TERM_ATOM:
		reclaim_get_atom(reader, atom);
		fputs(atom, to);
		break;
	case RECLAIM_TERM_INTEGER:
		reclaim_get_int64(reader, &number);
		fprintf(to, "%" PRId64, number);
		break;
	case RECLAIM_TERM_BINARY:
		reclaim_get_binary(reader, &data, &len);
		fprintf(to, "\"%.*s\"", (int)len, (const char *)data);
		break;
	case RECLAIM_TERM_TUPLE:
	case RECLAIM_TERM_LIST:
		write_elements(reader, to,
			       reclaim_reader_sort(reader) ==
				       RECLAIM_TERM_LIST);
		break;
	case RECLAIM_TERM_MAP:
		write_pairs(reader, to);
		break;
	default:
		fputs("?", to);
		reclaim_get_skip(reader);
	}
}

static void write_whole_term(const struct wire_frame *frame, FILE *to)
{
	struct reclaim_reader reader;

	ck_works(reclaim_reader_init(&reader, frame->rest, frame->len));
	write_term(&reader, to);
}

static void write_rest(const struct wire_frame *frame, FILE *to)
{
	switch (frame->type) {
	case WIRE_REPLY:
		if (frame->field[1] == WIRE_OK_BYTES) {
			fprintf(to, " bytes %.*s", (int)frame->len,
				(const char *)frame->rest);
			break;
		}
		fputs(frame->field[1] == WIRE_OK ? " ok " : " error ", to);
		write_whole_term(frame, to);
		break;
	case WIRE_CLOSED:
		fputs(" ", to);
		write_whole_term(frame, to);
		break;
	case WIRE_DATA:
		fprintf(to, " %.*s", (int)frame->len,
			(const char *)frame->rest);
		break;
	default:
		break;
	}
}

static const struct {
	const char *name;
	int numbers; /* that are written */
} types[WIRE_TYPES] = {
	[WIRE_HELLO] = {"hello", 0},
	[WIRE_OPENED] = {"opened", 2},
	[WIRE_DATA] = {"data", 1},
	[WIRE_CREDIT] = {"credit", 2},
	[WIRE_REPLY] = {"reply", 1},
	[WIRE_CLOSED] = {"closed", 1},
	[WIRE_MONITOR] = {"monitor", 2},
	[WIRE_DEMONITOR] = {"demonitor", 1},
	[WIRE_ERROR] = {"error", 3},
	[WIRE_EXIT_STATUS] = {"exit_status", 2},
};

static char *text_of_frame(const struct wire_frame *frame)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	int i;

	ck_assert_msg(types[frame->type].name != NULL,
		      "a frame of type %d is not for a host to say",
		      frame->type);
	fputs(types[frame->type].name, to);
	for (i = 0; i < types[frame->type].numbers; i++)
		fprintf(to, " %" PRIu64, frame->field[i]);
	write_rest(frame, to);
	fclose(to);
	return text;
}

void expect(const char *format, ...)
{
	const struct wire_frame *frame = next_frame();
	char *text = text_of_frame(frame), wanted[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(wanted, sizeof(wanted), format, args);
	va_end(args);
	ck_assert_msg(!strcmp(text, wanted), "\"%s\" came, not \"%s\"", text,
		      wanted);
	free(text);
}

/* A question that is answered at once. */
void expect_silence(void)
{
	say(WIRE_STATISTICS, --last_question, 99, 0, NULL, 0);
	expect("reply %" PRIu64 " error enotsup", last_question);
}

void meet_host(const struct reclaim_driver *const *drivers, const char *options)
{
	start_host(drivers, options);
	say_hello(WIRE_VERSION, 1 << 26);
	expect("hello");
}

/* ---- a TCase ---- */

static void set_up(void)
{
	int i;

	signal(SIGPIPE, SIG_IGN);
	STAILQ_INIT(&frames);
	STAILQ_INIT(&logs);
	input_ended = false;
	input_len = 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(shared != MAP_FAILED);
	for (i = 0; i < GATES; i++)
		sem_init(&shared->gates[i], 1, 0);
}

static void drop_all(struct bodies *bodies)
{
	while ((lent = STAILQ_FIRST(bodies))) {
		STAILQ_REMOVE_HEAD(bodies, next);
		free(lent);
	}
}

/* A test that does not see to its host's end leaves a child: that is told. */
static void tear_down(void)
{
	hang_up();
	free(lent);
	drop_all(&frames);
	drop_all(&logs);
	free(input);
	input = NULL;
	input_size = 0;
	munmap(shared, sizeof(*shared));
	signal(SIGPIPE, SIG_DFL);
}

TCase *speaker_case(Suite *suite, const char *name)
{
	TCase *tcase = stage_case(suite, name);

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	return tcase;
}
