/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver - a target by random changes of a small corpus, without libFuzzer
 *
 * So it runs as a test, with any compiler and sanitizer.  RECLAIM_FUZZ_INPUTS
 * says how many inputs, RECLAIM_TEST_SEED repeats a run; arguments are files,
 * which are the inputs instead.  What an input does not survive is written to
 * the file fuzz.<pid> at once.
 */
#include "config.h"

#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Of the target's own, where it says so. */
#ifdef FUZZ_CORPUS
#include FUZZ_CORPUS
#else
#include "fuzz/corpus.h"
#define LONGEST 400
#endif

#ifndef FUZZ_INPUTS
#define FUZZ_INPUTS 1000000
#endif

#define KEPT 64

static uint64_t state;
static const uint8_t *current;
static size_t current_len;

/* xorshift64* */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static size_t below(size_t bound)
{
	return (size_t)((draw() >> 16) % bound);
}

/* ---- one input ---- */

static void keep_input(int sig)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "fuzz.%d", (int)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd >= 0 && write(fd, current, current_len) >= 0)
		close(fd);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* A block of just its size shows a step too far. */
static void try(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	holds(copy);
	memcpy(copy, bytes, len);
	current = copy;
	current_len = len;
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

/* ---- changes ---- */

struct input {
	uint8_t bytes[LONGEST];
	size_t len;
};

static struct input pool[KEPT];
static size_t pooled;

static void add(struct input *input, size_t at, const uint8_t *bytes,
		size_t len)
{
	if (len > LONGEST - input->len)
		len = LONGEST - input->len;
	memmove(input->bytes + at + len, input->bytes + at, input->len - at);
	memcpy(input->bytes + at, bytes, len);
	input->len += len;
}

static void cut(struct input *input, size_t at, size_t len)
{
	if (len > input->len - at)
		len = input->len - at;
	memmove(input->bytes + at, input->bytes + at + len,
		input->len - at - len);
	input->len -= len;
}

/* Bytes that decide: tags, and the ends of ranges. */
static uint8_t telling(void)
{
	static const char bytes[] = "dsvwabnoFcmMhijkltgXfYxerZqpy"
				    "\0\1\2\3\4\177\200\376\377";

	return (uint8_t)bytes[below(sizeof(bytes) - 1)];
}

static void mix(struct input *input, size_t at)
{
	const struct input *other = &pool[below(pooled)];
	uint8_t bytes[LONGEST];
	size_t from = below(other->len + 1);
	size_t len = below(other->len - from + 1);

	memcpy(bytes, other->bytes + from, len);
	add(input, at, bytes, len);
}

static void change(struct input *input)
{
	size_t at = below(input->len + 1);
	uint8_t byte = telling();

	if (at == input->len || below(6) == 0) {
		add(input, at, &byte, 1);
		return;
	}
	switch (below(6)) {
	case 0:
		input->bytes[at] = (uint8_t)draw();
		return;
	case 1:
		input->bytes[at] ^= (uint8_t)(1 << below(8));
		return;
	case 2:
		input->bytes[at] = byte;
		return;
	case 3:
		cut(input, at, 1 + below(8));
		return;
	case 4:
		input->bytes[at] =
			(uint8_t)(input->bytes[at] + 1 - 2 * (int)below(2));
		return;
	default:
		mix(input, at);
	}
}

static void fill_pool(void)
{
	for (; pooled < CORPUS; pooled++) {
		pool[pooled].len = corpus[pooled].len;
		memcpy(pool[pooled].bytes, corpus[pooled].bytes,
		       corpus[pooled].len);
	}
	while (pooled < KEPT)
		pool[pooled++] = pool[below(CORPUS)];
}

static unsigned long tried(unsigned long inputs)
{
	return &fuzz_frames ? fuzz_frames : inputs;
}

static void try_many(unsigned long count)
{
	struct input input;
	size_t changes, mine;
	unsigned long i;

	fill_pool();
	for (i = 0; i < CORPUS; i++)
		try(pool[i].bytes, pool[i].len);
	for (i = 0; tried(i) < count; i++) {
		mine = below(KEPT);
		input = pool[mine];
		for (changes = 1 + below(3); changes; changes--)
			change(&input);
		try(input.bytes, input.len);
		/* It wanders, beside what it began with. */
		if (mine >= CORPUS)
			pool[mine] = below(5) ? input : pool[below(CORPUS)];
	}
}

/* ---- the program ---- */

static int try_file(const char *name)
{
	static uint8_t bytes[1 << 20];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -1;
	len = read(fd, bytes, sizeof(bytes));
	close(fd);
	if (len >= 0)
		try(bytes, (size_t)len);
	return len >= 0 ? 0 : -1;
}

static unsigned long long setting(const char *name, unsigned long long none)
{
	const char *value = getenv(name);

	return value && *value ? strtoull(value, NULL, 10) : none;
}

int main(int argc, char **argv)
{
	unsigned long count;
	int i;

	signal(SIGABRT, keep_input);
	signal(SIGSEGV, keep_input);
	for (i = 1; i < argc; i++)
		if (try_file(argv[i]) < 0) {
			perror(argv[i]);
			return 1;
		}
	if (argc > 1)
		return 0;
	count = (unsigned long)setting("RECLAIM_FUZZ_INPUTS", FUZZ_INPUTS);
	state = setting("RECLAIM_TEST_SEED",
			(unsigned long long)time(NULL) << 20 |
				(unsigned long long)getpid());
	printf("RECLAIM_TEST_SEED=%llu\n", (unsigned long long)state);
	fflush(stdout);
	state |= 1;
	try_many(count);
	printf("PASS: %lu %s\n", count, &fuzz_frames ? "frames" : "inputs");
	return 0;
}
