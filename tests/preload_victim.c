/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload_victim - a program whose malloc is in a block; see preload.sh
 *
 *	preload_victim inside|outside WHAT
 *
 * It is linked with nothing of the library, and asks for the block's figures
 * as whoever is curious would, by dlsym.  Outside everything has to hold in the
 * same way, but for where memory is: libc is what the block is compared with.
 * A status of 0: all is as it should be.
 */
#define _GNU_SOURCE
#include <reclaim/block.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool in_block; /* we were told that we are */

__attribute__((noreturn)) static void failed(int line, const char *what)
{
	fprintf(stderr, "preload_victim:%d: not so: %s (%m)\n", line, what);
	_exit(3);
}
#define NEED(condition) ((condition) ? (void)0 : failed(__LINE__, #condition))

/* ---- where memory is ---- */

static int (*ask)(struct reclaim_block_info *);

static struct reclaim_block_info info_now(void)
{
	struct reclaim_block_info info;

	NEED(ask && ask(&info) == 0);
	return info;
}

static bool is_in_block(const void *ptr)
{
	static struct reclaim_block_info info;

	if (!info.area && ask)
		info = info_now();
	return (uintptr_t)ptr - (uintptr_t)info.area < info.total;
}

static bool is_aligned(const void *ptr, size_t align)
{
	return (uintptr_t)ptr % align == 0;
}

static bool all_are(const void *ptr, int what, size_t many)
{
	const unsigned char *at = ptr;

	while (many > 0 && at[many - 1] == what)
		many--;
	return many == 0;
}

/* Where it should be, for so many bytes, which are written. */
static void *got_at(int line, void *ptr, size_t size, size_t align)
{
	if (!ptr)
		failed(line, "there is memory");
	if (!is_aligned(ptr, align))
		failed(line, "it is aligned");
	if (in_block && !is_in_block(ptr))
		failed(line, "it is in the block");
	if (malloc_usable_size(ptr) < size)
		failed(line, "it is as large");
	memset(ptr, 0xa5, size);
	return ptr;
}
#define GOT(ptr, size)		     got_at(__LINE__, (ptr), (size), 16)
#define GOT_ALIGNED(ptr, size, algn) got_at(__LINE__, (ptr), (size), (algn))

/* The compiler is not to know them, nor that they cannot succeed. */
static volatile size_t all = SIZE_MAX, most = PTRDIFF_MAX, none = 0,
		       wide = (size_t)1 << 33;

#define REFUSED(call) (errno = 0, NEED(!(call)), NEED(errno == ENOMEM))

static const size_t sizes[] = {1,    7,	    8,	   15,	    16,
			       17,   24,    100,   1000,    4096,
			       4097, 65536, 70000, 1 << 20, 5000001};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---- each function of malloc(3) ---- */

static void of_malloc(void)
{
	char *got[SIZES];
	size_t i;

	for (i = 0; i < SIZES; i++)
		got[i] = memset(GOT(malloc(sizes[i]), sizes[i]), (int)i,
				sizes[i]);
	for (i = 0; i < SIZES; i++) {
		NEED(all_are(got[i], (int)i, sizes[i]));
		free(got[i]);
	}
	REFUSED(malloc(all));
	REFUSED(malloc(all - 15));
	REFUSED(malloc(most));
	REFUSED(malloc(most + 1));
}

static void of_no_size(void)
{
	char *one = malloc(none), *two = malloc(none);

	GOT(one, 0);
	GOT(two, 0);
	NEED(one != two);
	free(one);
	free(two);
	free(GOT(calloc(none, 1), 0));
	free(GOT(calloc(1, none), 0));
	free(GOT(calloc(none, all), 0));
	free(GOT(realloc(NULL, none), 0));
	free(GOT(aligned_alloc(64, none), 0));
	free(GOT(memalign(64, none), 0));
	free(GOT(valloc(none), 0));
	free(GOT(pvalloc(none), 0));
}

static void of_calloc(void)
{
	char *ptr;
	size_t i;

	for (i = 0; i < 2 * SIZES; i++) { /* also what was written before */
		ptr = calloc(1, sizes[i % SIZES]);
		NEED(ptr && all_are(ptr, 0, sizes[i % SIZES]));
		free(GOT(ptr, sizes[i % SIZES]));
	}
	ptr = calloc(1000, 1000);
	NEED(ptr && all_are(ptr, 0, 1000000));
	free(GOT(ptr, 1000000));
	REFUSED(calloc(all, 2));
	REFUSED(calloc(all / 2 + 1, 2));
	REFUSED(calloc(wide, wide));
	REFUSED(calloc(1, all));
	REFUSED(calloc(most, 1));
}

static void of_realloc(void)
{
	char *ptr = NULL, *between;
	size_t i, from;

	for (i = 0; i < SIZES; i++) {
		from = i ? sizes[i - 1] : 0;
		ptr = realloc(ptr, sizes[i]);
		NEED(ptr && all_are(ptr, 'x', from));
		memset(GOT(ptr, sizes[i]), 'x', sizes[i]);
		between = malloc(10); /* so that some have to move */
		if (i % 2)
			free(between);
	}
	while (i-- > 0) {
		ptr = realloc(ptr, sizes[i]);
		NEED(ptr && all_are(ptr, 'x', sizes[i]));
		memset(GOT(ptr, sizes[i]), 'x', sizes[i]);
	}
	ptr = realloc(ptr, 100);
	memset(ptr, 'x', 100);
	REFUSED(realloc(ptr, all));
	REFUSED(realloc(ptr, most));
	NEED(all_are(ptr, 'x', 100));
	NEED(realloc(ptr, none) == NULL);
	between = GOT(malloc(100), 100); /* what it had is there again */
	free(between);
}

/* What a realloc to nothing frees is free. */
static void of_realloc_to_nothing(void)
{
	size_t i;

	for (i = 0; i < 100000; i++)
		NEED(realloc(malloc(10000), none) == NULL);
}

static void of_reallocarray(void)
{
	char *ptr = reallocarray(NULL, 10, 100);

	memset(GOT(ptr, 1000), 'r', 1000);
	ptr = reallocarray(ptr, 1000, 100);
	NEED(ptr && all_are(ptr, 'r', 1000));
	memset(GOT(ptr, 100000), 'r', 100000);
	REFUSED(reallocarray(ptr, all, 2));
	REFUSED(reallocarray(ptr, wide, wide / 2));
	NEED(all_are(ptr, 'r', 100000));
	free(ptr);
	free(GOT(reallocarray(NULL, none, 8), 0));
}

static void of_alignment(void)
{
	void *ptr, *got[24];
	size_t align, i;
	unsigned n = 0;

	for (align = 8; align <= 1 << 20; align <<= 1) {
		ptr = NULL;
		NEED(posix_memalign(&ptr, align, 100) == 0);
		got[n++] = GOT_ALIGNED(ptr, 100, align);
		for (i = 0; i < SIZES; i++) {
			free(GOT_ALIGNED(aligned_alloc(align, sizes[i]),
					 sizes[i], align));
			free(GOT_ALIGNED(memalign(align, sizes[i]), sizes[i],
					 align));
		}
	}
	while (n-- > 0) {
		NEED(all_are(got[n], 0xa5, 100));
		free(got[n]);
	}
	free(GOT_ALIGNED(memalign(48, 100), 100, 64)); /* rounded up */
	free(GOT_ALIGNED(memalign(1, 100), 100, 16));
	ptr = GOT_ALIGNED(memalign(4096, 100), 100, 4096);
	ptr = realloc(ptr, 9000);
	NEED(ptr && all_are(ptr, 0xa5, 100));
	free(GOT(ptr, 9000));
	REFUSED(aligned_alloc(64, all));
	REFUSED(aligned_alloc(all / 4 + 1, 100));
	REFUSED(memalign(64, all));
	REFUSED(memalign(64, most));
}

static void of_posix_memalign(void)
{
	void *ptr = &ptr;

	errno = EDOM;
	NEED(posix_memalign(&ptr, 0, 1) == EINVAL);
	NEED(posix_memalign(&ptr, 4, 1) == EINVAL);
	NEED(posix_memalign(&ptr, 24, 1) == EINVAL);
	NEED(posix_memalign(&ptr, 65537, 1) == EINVAL);
	NEED(ptr == &ptr);
	NEED(posix_memalign(&ptr, 64, all) == ENOMEM);
	NEED(posix_memalign(&ptr, 64, most) == ENOMEM);
	NEED(ptr == &ptr);
	if (in_block) /* libc's own does touch it */
		NEED(errno == EDOM);
	NEED(posix_memalign(&ptr, 64, none) == 0);
	free(GOT_ALIGNED(ptr, 0, 64));
}

static void of_pages(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	free(GOT_ALIGNED(valloc(1), 1, page));
	free(GOT_ALIGNED(valloc(page + 1), page + 1, page));
	free(GOT_ALIGNED(pvalloc(1), page, page));
	free(GOT_ALIGNED(pvalloc(page + 1), 2 * page, page));
	REFUSED(valloc(all));
	REFUSED(valloc(most));
	REFUSED(pvalloc(all));
	REFUSED(pvalloc(all - page));
	REFUSED(pvalloc(most));
}

static void of_usable_size(void)
{
	size_t i, usable;
	char *ptr;

	NEED(malloc_usable_size(NULL) == 0);
	for (i = 0; i < SIZES; i++) {
		ptr = malloc(sizes[i]);
		usable = malloc_usable_size(ptr);
		NEED(usable >= sizes[i] && usable < sizes[i] + 8192);
		memset(GOT(ptr, usable), 'u', usable);
		NEED(malloc_usable_size(ptr) == usable);
		ptr = realloc(ptr, usable + 1);
		NEED(all_are(ptr, 'u', usable));
		free(ptr);
	}
}

static void of_free(void)
{
	void *ptr = GOT(malloc(100), 100), *large = GOT(malloc(5000000), 1);

	errno = EDOM;
	free(NULL);
	free(ptr);
	free(large);
	NEED(errno == EDOM);
}

/* libc asks for memory on behalf of who calls it. */
static void of_libc(void)
{
	FILE *stream;
	char *text, *line = NULL;
	size_t len = 0;

	free(GOT(strdup("text"), 5));
	NEED(asprintf(&text, "%0500d", 1) == 500);
	free(GOT(text, 500));
	stream = open_memstream(&text, &len);
	NEED(stream && fprintf(stream, "%05000d", 1) == 5000);
	NEED(fclose(stream) == 0 && len == 5000);
	free(GOT(text, 5000));
	stream = fopen("/proc/self/status", "r");
	NEED(stream && is_in_block(stream) == in_block);
	len = 0;
	NEED(getline(&line, &len, stream) > 0);
	free(GOT(line, len));
	fclose(stream);
	text = realpath("/usr/./lib/..", NULL);
	NEED(text && strcmp(text, "/usr") == 0);
	free(GOT(text, 5));
}

/* ---- before main ---- */

static char *early;

__attribute__((constructor)) static void construct(void)
{
	early = malloc(1000);
	memset(early, 'e', 1000);
}

static void in_a_constructor(void)
{
	NEED(all_are(early, 'e', 1000));
	free(GOT(early, 1000));
}

/* ---- figures ---- */

static void figures(void)
{
	struct reclaim_block_info before = info_now(), with, after;
	void *ptr;

	NEED(before.total == before.kept + before.allocated + before.free);
	NEED(before.kept <= before.total / 100 * 3);
	NEED(before.longest <= before.free);
	NEED(before.spilled == 0 && before.spilled_blocks == 0);
	ptr = malloc(3 << 20);
	with = info_now();
	NEED(with.total == with.kept + with.allocated + with.free);
	NEED(with.allocated - before.allocated == 3 << 20);
	NEED(with.blocks == before.blocks + 1);
	NEED(with.peak >= with.allocated);
	free(ptr);
	after = info_now();
	NEED(after.allocated == before.allocated);
	NEED(after.blocks == before.blocks);
	NEED(after.peak == with.peak);
	errno = 0;
	NEED(ask(NULL) == -1 && errno == EINVAL);
}

/*
 * From low to high a hole of 300 KiB, one of 200, another of 200, and then the
 * rest: where 200 KiB go.  Large, so that nothing else is in the way.
 */
static void place(const char *policy)
{
	char *hole[3], *between[3], *got;
	size_t i;

	NEED(strcmp(info_now().policy, policy) == 0);
	for (i = 0; i < 3; i++) {
		hole[i] = malloc((i ? 200 : 300) << 10);
		between[i] = malloc(100 << 10);
		NEED(hole[i] && hole[i] < between[i]);
	}
	for (i = 0; i < 3; i++)
		free(hole[i]);
	got = malloc(200 << 10);
	if (strcmp(policy, "aoff") == 0)
		NEED(got == hole[0]);
	else if (strcmp(policy, "aobf") == 0)
		NEED(got == hole[1]);
	else
		NEED(got == hole[1] || got == hole[2]);
}

static void place_aoff(void)
{
	place("aoff");
}

static void place_aobf(void)
{
	place("aobf");
}

static void place_bf(void)
{
	place("bf");
}

static void total(void)
{
	printf("%zu\n", info_now().total);
}

/* ---- when it is full; the block is of one MiB or two ---- */

#define MANY 4096
static char *taken[MANY];

static size_t take_until_refused(size_t size)
{
	size_t n;

	errno = 0;
	for (n = 0; n < MANY; n++) {
		taken[n] = malloc(size);
		if (!taken[n])
			break;
		memset(taken[n], (int)n, size);
	}
	return n;
}

static void give_back(size_t size, size_t n)
{
	while (n-- > 0) {
		NEED(all_are(taken[n], (int)n & 0xff, size));
		free(taken[n]);
	}
}

static void full(void)
{
	size_t n = take_until_refused(1024), rest;
	void *ptr = &ptr;

	NEED(errno == ENOMEM);
	NEED(n > 400 && n < MANY);
	REFUSED(calloc(1, 4096));
	REFUSED(realloc(taken[0], 4096));
	REFUSED(reallocarray(taken[0], 4, 1024));
	REFUSED(aligned_alloc(4096, 4096));
	NEED(posix_memalign(&ptr, 64, 4096) == ENOMEM && ptr == &ptr);
	NEED(info_now().spilled_blocks == 0);
	give_back(1024, n);
	rest = take_until_refused(1024);
	NEED(rest == n);
	give_back(1024, n);
	free(GOT(malloc(n * 1000), n * 1000)); /* as one again */
	puts("goes on");
}

static void overflowing(void)
{
	size_t n = take_until_refused(1024), inside = 0, i;
	struct reclaim_block_info info = info_now();
	char *ptr, *moved;

	NEED(n == MANY);
	for (i = 0; i < n; i++)
		inside += is_in_block(taken[i]);
	NEED(inside > 400 && inside < n);
	NEED(info.spilled_blocks == n - inside);
	NEED(info.spilled >= info.spilled_blocks * 1024);
	ptr = memset(malloc(20000), 'x', 20000);
	free(ptr);
	ptr = calloc(1, 20000); /* most likely what was written just now */
	NEED(ptr && !is_in_block(ptr) && all_are(ptr, 0, 20000));
	free(ptr);
	ptr = calloc(3, 100000);
	NEED(ptr && !is_in_block(ptr) && all_are(ptr, 0, 300000));
	ptr = realloc(ptr, 500000);
	NEED(ptr && all_are(ptr, 0, 300000));
	NEED(info_now().spilled >= info.spilled + 500000);
	NEED(malloc_usable_size(ptr) >= 500000);
	ptr = realloc(ptr, 5000);
	NEED(info_now().spilled < info.spilled + 300000);
	free(ptr);
	ptr = aligned_alloc(4096, 10000);
	NEED(ptr && !is_in_block(ptr) && is_aligned(ptr, 4096));
	free(ptr);
	moved = realloc(taken[0], 100000); /* out of the block */
	NEED(moved && !is_in_block(moved) && all_are(moved, 0, 1024));
	taken[0] = realloc(moved, 1024);
	REFUSED(malloc(most));
	give_back(1024, n);
	info = info_now();
	NEED(info.spilled == 0 && info.spilled_blocks == 0);
	free(GOT(malloc(inside * 1000), inside * 1000));
}

static void exhaust(void)
{
	take_until_refused(1024);
	take_until_refused(64);
	take_until_refused(16);
}

/* ---- wrong use ---- */

static void free_twice(void)
{
	char *ptr = malloc(100), *volatile again = ptr, *other = malloc(100);

	memset(other, 'o', 100);
	free(ptr);
	errno = EDOM;
	free(again);
	NEED(errno == EDOM);
	NEED(all_are(other, 'o', 100));
	free(other);
	puts("goes on");
}

static void free_interior(void)
{
	char *ptr = memset(malloc(100), 'p', 100), *volatile at = ptr;

	free(at + 16);
	free(at + 1);
	NEED(all_are(ptr, 'p', 100));
	free(ptr);
	puts("goes on");
}

static void realloc_freed(void)
{
	char *ptr = malloc(100), *volatile again = ptr;

	free(ptr);
	errno = 0;
	NEED(!realloc(again, 200) && errno == EINVAL);
	puts("goes on");
}

static void realloc_interior(void)
{
	char *ptr = memset(malloc(100), 'p', 100), *volatile at = ptr;

	errno = 0;
	NEED(!realloc(at + 16, 200) && errno == EINVAL);
	NEED(all_are(ptr, 'p', 100));
	free(ptr);
	puts("goes on");
}

/* ---- threads ---- */

#define THREADS 8
#define SLOTS	64
#define ROUNDS	20000

struct parcel {
	size_t size;
	unsigned char what;
	char rest[];
};

static _Atomic(struct parcel *) slots[SLOTS];

static void open_parcel(struct parcel *parcel)
{
	if (!parcel)
		return;
	NEED(all_are(parcel->rest, parcel->what,
		     parcel->size - sizeof(*parcel)));
	free(parcel);
}

static struct parcel *make_parcel(unsigned *seed)
{
	size_t size = sizeof(struct parcel) + (size_t)rand_r(seed) % 3000;
	struct parcel *parcel = malloc(size);

	NEED(parcel && (!in_block || is_in_block(parcel)));
	if (rand_r(seed) % 4 == 0) {
		size += 500;
		parcel = realloc(parcel, size);
		NEED(parcel);
	}
	parcel->size = size;
	parcel->what = (unsigned char)rand_r(seed);
	memset(parcel->rest, parcel->what, size - sizeof(*parcel));
	return parcel;
}

static void *exchange(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	int i;

	for (i = 0; i < ROUNDS; i++)
		open_parcel(
			atomic_exchange(&slots[(size_t)rand_r(&seed) % SLOTS],
					make_parcel(&seed)));
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		NEED(pthread_create(&thread[i], NULL, exchange, (void *)i) ==
		     0);
	for (i = 0; i < THREADS; i++)
		NEED(pthread_join(thread[i], NULL) == 0);
	for (i = 0; i < SLOTS; i++)
		open_parcel(slots[i]);
	if (!in_block)
		return;
	NEED(info_now().allocated < 1 << 20);
	NEED(info_now().total ==
	     info_now().kept + info_now().allocated + info_now().free);
}

/* ---- threads that are busy while something else happens ---- */

#define BUSY 4
static atomic_bool enough;
static atomic_uint begun;

static void *be_busy(void *arg)
{
	void *held[16] = {NULL};
	unsigned i = 0;

	(void)arg;
	for (; !enough; i++) {
		free(held[i % 16]);
		held[i % 16] = malloc(1 + i * 37 % 2000);
		if (i % 5 == 0)
			held[i % 16] = realloc(held[i % 16], i * 53 % 5000 + 1);
		if (i == 100)
			begun++;
	}
	for (i = 0; i < 16; i++)
		free(held[i]);
	return NULL;
}

/* stdio has locks of its own, and asks for memory with them. */
static void *be_busy_with_streams(void *arg)
{
	FILE *stream;
	size_t len;
	char *text;
	int i;

	(void)arg;
	for (begun++; !enough;) {
		stream = open_memstream(&text, &len);
		for (i = 0; i < 1000; i++)
			fprintf(stream, "%d and %d\n", i, i * 3);
		fflush(NULL);
		fclose(stream);
		free(text);
	}
	return NULL;
}

static void with_busy_threads(void *(*busy)(void *),
			      void (*act)(pthread_t *threads))
{
	pthread_t thread[BUSY];
	int i;

	for (i = 0; i < BUSY; i++)
		NEED(pthread_create(&thread[i], NULL, busy, NULL) == 0);
	while (begun < BUSY)
		usleep(1000);
	act(thread);
	enough = true;
	for (i = 0; i < BUSY; i++)
		NEED(pthread_join(thread[i], NULL) == 0);
}

/* ---- forks ---- */

static char *of_parent;

static void in_child(void)
{
	void *got[100];
	int i;

	NEED(all_are(of_parent, 'p', 1000));
	for (i = 0; i < 100; i++)
		got[i] = GOT(malloc((size_t)i * 50), (size_t)i * 50);
	for (i = 0; i < 100; i++)
		free(got[i]);
	free(of_parent);
	of_parent = GOT(calloc(1, 100000), 100000);
	if (!in_block)
		return;
	NEED(info_now().total ==
	     info_now().kept + info_now().allocated + info_now().free);
}

static void fork_and_wait(bool exec)
{
	int status;
	pid_t pid = fork();

	NEED(pid >= 0);
	if (pid == 0) {
		in_child();
		if (exec)
			execl("/proc/self/exe", "preload_victim", "outside",
			      "nothing", (char *)NULL);
		_exit(exec ? 4 : 0);
	}
	NEED(waitpid(pid, &status, 0) == pid);
	NEED(status == 0);
}

static void fork_often(pthread_t *thread)
{
	int i;

	(void)thread;
	of_parent = memset(malloc(1000), 'p', 1000);
	for (i = 0; i < 100; i++)
		fork_and_wait(i % 10 == 0);
	NEED(all_are(of_parent, 'p', 1000));
	free(of_parent);
}

static void forks(void)
{
	fork_often(NULL);
}

static void forks_beside_threads(void)
{
	with_busy_threads(be_busy, fork_often);
}

static void forks_beside_streams(void)
{
	with_busy_threads(be_busy_with_streams, fork_often);
}

/* A program that was exec'd has nothing of ours in it. */
static void nothing(void)
{
	extern char **environ;
	char **at;

	for (at = environ; *at; at++)
		NEED(strncmp(*at, "RECLAIM_BLOCK_", 14) != 0);
	NEED(!getenv("LD_PRELOAD"));
	NEED(!ask);
}

/* ---- signals ---- */

static void signals_while_idle(void)
{
	int i;

	for (i = 0; i < 3; i++)
		NEED(raise(SIGUSR2) == 0);
}

static void signal_often(pthread_t *thread)
{
	int i;

	for (i = 0; i < 100; i++) {
		NEED(pthread_kill(thread[i % BUSY], SIGUSR2) == 0);
		usleep(1000);
	}
}

static void signals_while_busy(void)
{
	with_busy_threads(be_busy, signal_often);
}

/* ---- */

static const struct act {
	const char *name;
	void (*run)(void);
} acts[] = {
	{"malloc", of_malloc},
	{"no-size", of_no_size},
	{"calloc", of_calloc},
	{"realloc", of_realloc},
	{"realloc-to-nothing", of_realloc_to_nothing},
	{"reallocarray", of_reallocarray},
	{"alignment", of_alignment},
	{"posix_memalign", of_posix_memalign},
	{"pages", of_pages},
	{"malloc_usable_size", of_usable_size},
	{"free", of_free},
	{"libc", of_libc},
	{"constructor", in_a_constructor},
	{"figures", figures},
	{"place-aoff", place_aoff},
	{"place-aobf", place_aobf},
	{"place-bf", place_bf},
	{"total", total},
	{"full", full},
	{"overflowing", overflowing},
	{"exhaust", exhaust},
	{"free-twice", free_twice},
	{"free-interior", free_interior},
	{"realloc-freed", realloc_freed},
	{"realloc-interior", realloc_interior},
	{"threads", threads},
	{"forks", forks},
	{"forks-beside-threads", forks_beside_threads},
	{"forks-beside-streams", forks_beside_streams},
	{"nothing", nothing},
	{"signals-while-idle", signals_while_idle},
	{"signals-while-busy", signals_while_busy},
};

int main(int argc, char **argv)
{
	void *symbol = dlsym(RTLD_DEFAULT, "reclaim_block_info");
	size_t i;

	memcpy(&ask, &symbol, sizeof(symbol));
	NEED(argc == 3);
	in_block = strcmp(argv[1], "inside") == 0;
	NEED(in_block == (ask != NULL));
	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(argv[2], acts[i].name) == 0) {
			acts[i].run();
			return 0;
		}
	NEED(!"there is no such act");
	return 3;
}
