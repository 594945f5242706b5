/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of tasks where it comes to an end: no more of it in the process,
 * no more of it for the task, a fork or the end of the task in the middle of
 * its use, threads that come and go.
 *
 * Nothing is lost, what is given back can be had again, and a failure is
 * ENOMEM.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* They map what they like, and look for leaks at the end of each process. */
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* As must(), and says so: in a child nobody sees where it ended. */
#define holds(condition)                                                 \
	do {                                                             \
		if (!(condition)) {                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, \
				__LINE__, #condition);                   \
			abort();                                         \
		}                                                        \
	} while (0)

static bool is_watched(void)
{
	return SANITIZED || under_valgrind();
}

static int repeats(int most, int when_watched)
{
	return is_watched() ? when_watched : most;
}

static struct reclaim_task_info info_now(void)
{
	struct reclaim_task_info info;

	holds(reclaim_task_info(reclaim_self(), &info) == 0);
	return info;
}

static void expect_none_left(void)
{
	ck_assert_uint_eq(info_now().blocks, 0);
	ck_assert_uint_eq(info_now().bytes, 0);
}

/* The number in a file of /proc that follows `after`, read without memory. */
static size_t number_in(const char *path, const char *after)
{
	char text[4096], *at;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	holds(len > 0);
	close(fd);
	text[len] = '\0';
	at = strstr(text, after);
	holds(at);
	return strtoull(at + strlen(after), NULL, 10);
}

static size_t mapped(void)
{
	return number_in("/proc/self/statm", "") * (size_t)getpagesize();
}

static size_t resident(void)
{
	return number_in("/proc/self/statm", " ") * (size_t)getpagesize();
}

static size_t writable(void)
{
	return number_in("/proc/self/status", "VmData:") * 1024;
}

/* ---- children ---- */

static void expect_success(pid_t pid)
{
	int status;

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(save_waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the child's status is %#x", (unsigned)status);
}

static void in_child(pid_t (*fork_by)(void), void (*act)(void))
{
	pid_t pid;

	pid = fork_by();
	if (pid == 0) {
		act();
		exit(0);
	}
	expect_success(pid);
}

/* ---- no more memory in the process ---- */

#define LARGE ((size_t)1 << 20)
#define SMALL ((size_t)64)
#define ROOM  (64 * MIB)

/* Blocks that know each other. */
struct piece {
	struct piece *next;
	unsigned char rest[];
};

static void check_piece(const struct piece *piece, size_t size, int with)
{
	size_t i;

	for (i = 0; i < size - sizeof(*piece); i++)
		holds(piece->rest[i] == with);
}

static struct piece *take_one(size_t size, int with, struct piece *next)
{
	struct piece *piece;

	errno = 0;
	piece = save_malloc(size);
	holds(piece || errno == ENOMEM);
	if (piece) {
		memset(piece->rest, with, size - sizeof(*piece));
		piece->next = next;
	}
	return piece;
}

/* As many as there are. */
static size_t take_all(struct piece **pieces, size_t size, int with)
{
	struct piece *piece;
	size_t count = 0;

	while ((piece = take_one(size, with, *pieces))) {
		*pieces = piece;
		count++;
	}
	return count;
}

static void free_pieces(struct piece **pieces, size_t size, int with)
{
	struct piece *piece;

	while ((piece = *pieces)) {
		check_piece(piece, size, with);
		*pieces = piece->next;
		save_free(piece);
	}
}

static size_t free_every_other(struct piece *pieces, size_t size, int with)
{
	struct piece *piece;
	size_t count = 0;

	for (; pieces && (piece = pieces->next); pieces = pieces->next) {
		check_piece(piece, size, with);
		pieces->next = piece->next;
		save_free(piece);
		count++;
	}
	return count;
}

#define fails_for_want(call)                              \
	do {                                              \
		errno = 0;                                \
		holds((call) == NULL && errno == ENOMEM); \
	} while (0)

static void fail_in_every_way(struct piece *small)
{
	struct piece *next = small->next;
	size_t blocks = info_now().blocks;
	void *block = small;

	fails_for_want(save_malloc(LARGE));
	fails_for_want(save_calloc(16, LARGE / 16));
	fails_for_want(save_realloc(NULL, LARGE));
	fails_for_want(save_realloc(small, LARGE));
	fails_for_want(save_aligned_alloc(4096, LARGE));
	errno = 0;
	holds(save_posix_memalign(&block, 4096, LARGE) == ENOMEM);
	holds(errno == 0 && block == small && small->next == next);
	check_piece(small, SMALL, 's');
	holds(info_now().blocks == blocks);
}

static void use_up_and_recover(void)
{
	struct piece *large = NULL, *small = NULL;
	size_t larges = take_all(&large, LARGE, 'l'), smalls;

	holds(larges >= ROOM / LARGE / 4);
	smalls = take_all(&small, SMALL, 's');
	holds(smalls > 0);
	holds(info_now().blocks == larges + smalls);
	holds(info_now().bytes >= larges * LARGE + smalls * SMALL);
	fail_in_every_way(small);

	smalls -= free_every_other(small, SMALL, 's');
	larges -= free_every_other(large, LARGE, 'l');
	holds(info_now().blocks == larges + smalls);
	holds(take_all(&large, LARGE, 'l') > 0);
	free_pieces(&small, SMALL, 's');
	free_pieces(&large, LARGE, 'l');
	holds(info_now().blocks == 0 && info_now().bytes == 0);
}

static int resource;

/* Room for so much more; ends the child where the system does not care. */
static void limit_room(size_t used)
{
	struct rlimit limit = {.rlim_cur = used + ROOM,
			       .rlim_max = used + ROOM};

	holds(setrlimit(resource, &limit) == 0);
	if (mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		exit(0);
}

static void live_with_little(void)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	struct piece *left = NULL;

	holds(tid && reclaim_enter(tid) == 0);
	limit_room(resource == RLIMIT_AS ? mapped() : writable());
	use_up_and_recover();
	use_up_and_recover();
	take_all(&left, LARGE, 'l');
	take_all(&left, SMALL, 's');
	/* It ends as well with all that there is. */
	holds(reclaim_leave() == 0);
	holds(reclaim_end(tid, 0) == 0);
	left = NULL;
	holds(take_all(&left, LARGE, 'l') >= ROOM / LARGE / 4);
	free_pieces(&left, LARGE, 'l');
}

START_TEST(without_address_space_there_is_enomem)
{
	resource = RLIMIT_AS;
	if (!is_watched())
		in_child(fork, live_with_little);
}
END_TEST

START_TEST(without_room_for_data_there_is_enomem)
{
	resource = RLIMIT_DATA;
	if (!is_watched())
		in_child(fork, live_with_little);
}
END_TEST

/* ---- no more memory for the task ---- */

#define THREADS 4
#define LIMIT	MIB
#define MINE	400 /* blocks of one thread, at most */

static struct reclaim_task_opts limited = {.max_bytes = LIMIT};
static atomic_size_t asked; /* no more than what the library counts */
static atomic_int refused;

static void count_asked(size_t size)
{
	holds(atomic_fetch_add(&asked, size) + size <= LIMIT);
}

struct pieces {
	uint64_t state;
	char *at[MINE];
	size_t size[MINE];
};

static size_t roll(struct pieces *mine, size_t sides)
{
	return fixture_random(&mine->state) % sides;
}

static void put_back(struct pieces *mine, size_t i)
{
	atomic_fetch_sub(&asked, mine->size[i]);
	save_free(mine->at[i]);
	mine->at[i] = NULL;
	mine->size[i] = 0;
}

/* To another size, which nothing has as well. */
static void take_instead(struct pieces *mine, size_t i)
{
	size_t size = 1 + roll(mine, 8000);
	char *at;

	atomic_fetch_sub(&asked, mine->size[i]);
	errno = 0;
	at = save_realloc(mine->at[i], size);
	holds(at || errno == ENOMEM);
	if (at) {
		mine->at[i] = at;
		mine->size[i] = size;
		at[0] = at[size - 1] = 'x';
	} else {
		atomic_fetch_add(&refused, 1);
	}
	count_asked(mine->size[i]);
}

static void *press_against_the_limit(void *arg)
{
	struct pieces *mine = calloc(1, sizeof(*mine));
	int i, steps = repeats(20000, 2000);

	holds(mine);
	mine->state = fixture_seed() + (uintptr_t)arg;
	for (i = 0; i < steps; i++) {
		if (roll(mine, 3))
			take_instead(mine, roll(mine, MINE));
		else
			put_back(mine, roll(mine, MINE));
		if (i % 16 == 0)
			holds(info_now().bytes <= LIMIT);
	}
	for (i = 0; i < MINE; i++)
		put_back(mine, (size_t)i);
	free(mine);
	return NULL;
}

static void press_together(void)
{
	pthread_t threads[THREADS];
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		ck_works(save_pthread_create(
			&threads[i], NULL, press_against_the_limit, (void *)i));
	for (i = 0; i < THREADS; i++)
		ck_works(save_pthread_join(threads[i], NULL));
	expect_none_left();
	ck_assert_uint_le(info_now().peak_bytes, LIMIT);
}

START_TEST(threads_never_exceed_the_limit_together)
{
	atomic_store(&asked, 0);
	atomic_store(&refused, 0);
	in_task_with(&limited, press_together);
	ck_assert_int_gt(atomic_load(&refused), 0);
}
END_TEST

#define FULL   (LIMIT / 32)
#define ROUNDS 30

static void *full[FULL];
static size_t full_count;
static sem_t filled, emptied;

static size_t size_in_round(int round)
{
	static const size_t sizes[] = {64, 100, 1000, 5000, 70000};

	return sizes[(size_t)round % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void *fill_up(void *arg)
{
	size_t size = (uintptr_t)arg;
	void *block;

	full_count = 0;
	for (;;) {
		errno = 0;
		block = save_malloc(size);
		if (!block)
			break;
		holds(full_count < FULL);
		full[full_count++] = block;
	}
	holds(errno == ENOMEM);
	return NULL;
}

static void *empty(void *arg)
{
	size_t i;

	for (i = 0; i < full_count; i++)
		save_free(full[i]);
	return arg;
}

/* Of the size in that round the limit leaves room for nearly as many. */
static void expect_full(int round)
{
	size_t most = LIMIT / size_in_round(round);

	ck_assert_uint_gt(full_count, most / 2);
	ck_assert_uint_le(full_count, most);
	ck_assert_uint_eq(info_now().blocks, full_count);
	ck_assert_uint_le(info_now().bytes, LIMIT);
}

static void *empty_when_full(void *arg)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		while (sem_wait(&filled) != 0)
			;
		empty(NULL);
		sem_post(&emptied);
	}
	return arg;
}

static void fill_what_another_empties(void)
{
	pthread_t thread;
	int round;

	ck_works(save_pthread_create(&thread, NULL, empty_when_full, NULL));
	for (round = 0; round < ROUNDS; round++) {
		fill_up((void *)size_in_round(round));
		expect_full(round);
		sem_post(&filled);
		while (sem_wait(&emptied) != 0)
			;
		expect_none_left();
	}
	ck_works(save_pthread_join(thread, NULL));
}

static void work_in_thread(void *(*work)(void *), void *arg)
{
	pthread_t thread;

	ck_works(save_pthread_create(&thread, NULL, work, arg));
	ck_works(save_pthread_join(thread, NULL));
}

/* Who filled it is gone when it is emptied, and who emptied it as well. */
static void fill_and_empty_in_turn(void)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		work_in_thread(fill_up, (void *)size_in_round(round));
		expect_full(round);
		if (round % 2)
			work_in_thread(empty, NULL);
		else
			empty(NULL);
		expect_none_left();
	}
}

START_TEST(what_others_free_is_there_again)
{
	sem_init(&filled, 0, 0);
	sem_init(&emptied, 0, 0);
	in_task_with(&limited, fill_what_another_empties);
	in_task_with(&limited, fill_and_empty_in_turn);
	sem_destroy(&filled);
	sem_destroy(&emptied);
}
END_TEST

/* ---- use without end ---- */

#define HELD 64

struct churn {
	uint64_t state;
	unsigned char *at[HELD];
	size_t size[HELD];
};

static size_t any_size(uint64_t *state)
{
	uint64_t kind = fixture_random(state) % 64;

	if (kind == 0)
		return fixture_random(state) % 200000;
	return fixture_random(state) % (kind < 16 ? 4000 : 200);
}

static void fill_with(unsigned char *block, size_t i, size_t size)
{
	holds(block);
	memset(block, (int)i & 0xff, size);
}

static void check_filled(const unsigned char *block, size_t i, size_t size)
{
	size_t at;

	for (at = 0; at < size; at++)
		holds(block[at] == (i & 0xff));
}

static void churn_once(struct churn *churn)
{
	size_t i = fixture_random(&churn->state) % HELD;
	size_t size = any_size(&churn->state);

	if (churn->at[i]) {
		check_filled(churn->at[i], i, churn->size[i]);
		save_free(churn->at[i]);
		churn->at[i] = NULL;
		return;
	}
	churn->at[i] = save_malloc(size);
	churn->size[i] = size;
	fill_with(churn->at[i], i, size);
}

static void churn_end(struct churn *churn)
{
	size_t i;

	for (i = 0; i < HELD; i++)
		save_free(churn->at[i]);
}

/* ---- fork, while others allocate ---- */

#define FORKS	 50
#define BUSY	 3
#define OFFERED	 100
#define OFFERERS (BUSY + 2) /* the idle task and the one that forks, too */

static unsigned char *offered[OFFERERS][OFFERED];
static atomic_bool stop;
static atomic_int busy;
static reclaim_tid spawned, idle;

static size_t offered_size(size_t i)
{
	return i * i % 3001 + i;
}

static void offer(size_t who)
{
	size_t i;

	for (i = 0; i < OFFERED; i++) {
		offered[who][i] = save_malloc(offered_size(i));
		fill_with(offered[who][i], i, offered_size(i));
	}
}

static void check_offered(void)
{
	size_t who, i;

	for (who = 0; who < OFFERERS; who++)
		for (i = 0; i < OFFERED; i++)
			check_filled(offered[who][i], i, offered_size(i));
}

static void *offer_and_churn(void *arg)
{
	struct churn churn = {.state = fixture_seed() + (uintptr_t)arg};

	offer((uintptr_t)arg);
	atomic_fetch_add(&busy, 1);
	while (!atomic_load(&stop))
		churn_once(&churn);
	churn_end(&churn);
	return NULL;
}

static int offer_and_churn_in_a_task(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	offer_and_churn((void *)(BUSY - 1));
	/* The others free what is left here: not before they have. */
	while (atomic_load(&busy))
		usleep(500);
	return 0;
}

static void free_offered(void)
{
	size_t who, i;

	for (who = 0; who < OFFERERS; who++)
		for (i = 0; i < OFFERED; i++) {
			check_filled(offered[who][i], i, offered_size(i));
			save_free(offered[who][i]);
		}
}

static void resize_some_offered(void)
{
	size_t who, i;

	for (who = 0; who < OFFERERS; who++)
		for (i = 0; i < OFFERED; i += 3) {
			offered[who][i] = save_realloc(offered[who][i], 20000);
			holds(offered[who][i]);
			check_filled(offered[who][i], i, offered_size(i));
			fill_with(offered[who][i], i, 20000);
		}
}

static void churn_in_a_task(void)
{
	reclaim_tid tid = reclaim_task_new(NULL);
	struct churn churn = {.state = fixture_seed()};
	int i;

	holds(tid && reclaim_enter(tid) == 0);
	for (i = 0; i < 300; i++)
		churn_once(&churn);
	holds(reclaim_leave() == 0);
	holds(reclaim_end(tid, 0) == 0);
}

/* What each child does with the memory that it finds. */
static void use_all_in_child(void)
{
	struct churn churn = {.state = fixture_seed()};
	int i;

	for (i = 0; i < 300; i++)
		churn_once(&churn);
	check_offered();
	resize_some_offered();
	churn_in_a_task();
	free_offered();
	holds(reclaim_end(idle, 0) == 0);
	holds(reclaim_end(spawned, 0) == 0);
	churn_in_a_task();
	churn_end(&churn);
}

/* As it is. */
static void end_all_in_child(void)
{
	holds(reclaim_end(spawned, 0) == 0);
	churn_in_a_task();
	holds(reclaim_end(idle, 0) == 0);
}

static void end_in_child_at_once(void)
{
	check_offered();
	_exit(0);
}

static void begin_idle(void)
{
	idle = task_called("idle");
	work_for(idle);
	offer(BUSY);
	work_no_longer();
}

static void fork_among_them(void)
{
	static void (*const acts[])(void) = {
		use_all_in_child,
		end_all_in_child,
		end_in_child_at_once,
	};
	int i, forks = under_valgrind() ? 6 : FORKS;

	for (i = 0; i < forks; i++) {
		in_child(i % 2 ? fork : save_fork, acts[i % 3]);
		check_offered();
	}
}

static void fork_while_others_allocate(void)
{
	pthread_t threads[BUSY - 1];
	uintptr_t i;

	atomic_store(&stop, false);
	atomic_store(&busy, 0);
	begin_idle();
	offer(BUSY + 1);
	spawned = reclaim_spawn(NULL, offer_and_churn_in_a_task, NULL);
	ck_assert_uint_ne(spawned, 0);
	for (i = 0; i < BUSY - 1; i++)
		ck_works(save_pthread_create(&threads[i], NULL, offer_and_churn,
					     (void *)i));
	while (atomic_load(&busy) < BUSY)
		sched_yield();
	fork_among_them();
	atomic_store(&stop, true);
	for (i = 0; i < BUSY - 1; i++)
		ck_works(save_pthread_join(threads[i], NULL));
	free_offered();
	atomic_store(&busy, 0);
	ck_works(reclaim_wait(spawned, NULL, -1));
	end_task(idle);
	expect_none_left();
}

START_TEST(a_forked_child_can_use_and_end_all_of_it)
{
	in_task(fork_while_others_allocate);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* ---- the end of a task that allocates ---- */

#define ENDS 200

static atomic_int progress;

static void *churn_for_ever(void *arg)
{
	struct churn churn = {.state = fixture_seed() + (uintptr_t)arg};

	for (;;) {
		churn_once(&churn);
		atomic_fetch_add(&progress, 1);
		pthread_testcancel();
	}
	return NULL;
}

static int churn_with_threads(int argc, char **argv, char **envp)
{
	uintptr_t i, others = (uintptr_t)argc;
	pthread_t thread;

	(void)argv;
	(void)envp;
	for (i = 0; i < others; i++)
		holds(save_pthread_create(&thread, NULL, churn_for_ever,
					  (void *)i) == 0);
	churn_for_ever((void *)i);
	return 0;
}

static void end_in_the_middle(int i)
{
	char *argv[] = {(char *)"one", (char *)"two", NULL};
	struct reclaim_task_info info;
	reclaim_tid tid;

	atomic_store(&progress, 0);
	tid = reclaim_spawn(NULL, churn_with_threads, argv + i % 3);
	ck_assert_uint_ne(tid, 0);
	while (atomic_load(&progress) < i * 7 % 500)
		sched_yield();
	if (i % 2) {
		ck_works(reclaim_kill(tid));
		ck_works(reclaim_wait(tid, NULL, -1));
	} else {
		ck_works(reclaim_end(tid, 0));
	}
	ck_fails(reclaim_task_info(tid, &info), -1, ESRCH);
}

static void expect_no_growth(size_t before)
{
	if (!is_watched())
		ck_assert_uint_le(resident(), before + 8 * MIB);
}

START_TEST(a_task_ends_while_it_allocates)
{
	int i, warm = repeats(ENDS / 4, 1), ends = repeats(ENDS, 30);
	size_t before = 0;

	for (i = 0; i < ends; i++) {
		if (i == warm)
			before = resident();
		end_in_the_middle(i);
	}
	expect_no_growth(before);
	ck_assert_uint_eq(reports(), 0);
}
END_TEST

/* ---- threads that come and go ---- */

#define COMERS 1000
#define LEFT   200

static unsigned char *left_by[2][LEFT];
static size_t left_size[2][LEFT];

static void *leave_half(void *arg)
{
	size_t i, comer = (uintptr_t)arg, set = comer % 2;
	uint64_t state = fixture_seed() + comer;

	for (i = 0; i < LEFT; i++) {
		left_size[set][i] = any_size(&state);
		left_by[set][i] = save_malloc(left_size[set][i]);
		fill_with(left_by[set][i], i, left_size[set][i]);
	}
	for (i = 0; i < LEFT; i += 2) {
		check_filled(left_by[set][i], i, left_size[set][i]);
		save_free(left_by[set][i]);
	}
	return NULL;
}

static void free_what_is_left(size_t set)
{
	size_t i;

	for (i = 1; i < LEFT; i += 2) {
		check_filled(left_by[set][i], i, left_size[set][i]);
		save_free(left_by[set][i]);
	}
}

/* What one has left is freed while the next is there. */
static void have_threads_come_and_go(void)
{
	size_t i, comers = (size_t)repeats(COMERS, 100), before = 0;
	pthread_t thread;

	for (i = 0; i < comers; i++) {
		if (i == comers / 10)
			before = resident();
		ck_works(save_pthread_create(&thread, NULL, leave_half,
					     (void *)i));
		if (i > 0)
			free_what_is_left((i - 1) % 2);
		ck_works(save_pthread_join(thread, NULL));
	}
	ck_assert_uint_eq(info_now().blocks, LEFT / 2);
	free_what_is_left((i - 1) % 2);
	expect_none_left();
	expect_no_growth(before);
}

START_TEST(a_task_does_not_grow_by_threads_that_are_gone)
{
	in_task(have_threads_come_and_go);
}
END_TEST

START_TEST(nor_does_the_root)
{
	have_threads_come_and_go();
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "process");

	tcase_add_test(tcase, without_address_space_there_is_enomem);
	tcase_add_test(tcase, without_room_for_data_there_is_enomem);
	tcase = stage_case(suite, "task");
	tcase_add_test(tcase, threads_never_exceed_the_limit_together);
	tcase_add_test(tcase, what_others_free_is_there_again);
	tcase = stage_case(suite, "fork");
	tcase_add_test(tcase, a_forked_child_can_use_and_end_all_of_it);
	tcase = stage_case(suite, "end");
	tcase_add_test(tcase, a_task_ends_while_it_allocates);
	tcase = stage_case(suite, "threads");
	tcase_add_test(tcase, a_task_does_not_grow_by_threads_that_are_gone);
	tcase_add_test(tcase, nor_does_the_root);
}

int main(void)
{
	return stage_run("heap_limits", fill);
}
