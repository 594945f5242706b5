/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc - a whole program's memory in one block
 *
 * Preloaded into a program that knows nothing of it, this is its malloc.  The
 * block is made when memory is first asked for, as the environment says
 * (reclaim-run(1)); the settings are then taken out of it, so that what the
 * program starts is outside.  What was allocated before there was an
 * environment, or since the block is full, is libc's.
 *
 * Safe before constructors, from any thread, and in the child of a fork, which
 * goes on in a copy of the block.
 *
 * Source: OTP's erl_set_memory_block(3), by which all of the emulator's memory
 * was in one block; malloc(3).
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/settings_private.h"
#include "reclaim/block.h"
#include "reclaim/picture_private.h"

/* libc's own, by the names that it has for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *ptr);

/* The lock of its list of streams, which is taken before one for memory. */
void _IO_list_lock(void);
void _IO_list_unlock(void);
void _IO_list_resetlock(void);

#define EXPORT __attribute__((visibility("default")))

static struct block *block; /* set once, with `where` */
static pid_t whole; /* the process that began; what it forks is no program */

static enum {
	UNKNOWN, /* nobody has asked for memory, or there is no environment */
	OUTSIDE, /* not this program */
	INSIDE,
} where;

/* ---- the block ---- */

static void lock_before_fork(void);
static void unlock_in_parent(void);
static void unlock_in_child(void);

static void begin(void)
{
	size_t size = settings_size();
	enum block_policy policy;
	void *area;

	if (!size)
		return;
	policy = settings_policy();
	if (!block_may_have(policy, size)) {
		say("a block of 16T or more has to be aoff, not %s: the "
		    "program runs outside of one",
		    block_policy_name(policy));
		return;
	}
	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED) {
		say("there is no room for a block of %zu bytes: the program "
		    "runs outside of one",
		    size);
		return;
	}
	settings_read();
	block = block_begin(area, size, policy, true);
	block_front(block, settings.front);
	where = INSIDE;
	/* As soon as can be, so that few handlers of others run while the block
	 * is locked for a fork; they may still (FORKING). */
	pthread_atfork(lock_before_fork, unlock_in_parent, unlock_in_child);
}

/* Nobody made a thread yet: that would have asked for memory. */
static bool is_inside(void)
{
	int saved;

	if (__builtin_expect(where != UNKNOWN, 1))
		return where == INSIDE;
	if (!environ)
		return false;
	saved = errno;
	where = OUTSIDE;
	settings.meant = settings_mean_this();
	if (settings.meant)
		begin();
	errno = saved;
	return where == INSIDE;
}

static bool has(const void *ptr)
{
	return block &&
	       (size_t)((const char *)ptr - block->area) < block->area_size;
}

/* ---- where a signal must not look ---- */

/*
 * What the block or a thread's front of it is in the middle of, is a thread
 * that is in here, or another one, which goes on.
 */
static __thread enum within {
	NOT,
	WITHIN,
	FORKING, /* with the block locked, while others' handlers run */
} within __attribute__((tls_model("initial-exec")));
static atomic_bool wanted; /* figures, by a signal that came meanwhile */

static void tell_figures(void);

static enum within enter(void)
{
	enum within before = within;

	within = WITHIN;
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(before == FORKING, 0))
		block_unlock(block);
	return before;
}

static void leave(enum within before)
{
	if (__builtin_expect(before == FORKING, 0))
		block_lock(block);
	atomic_signal_fence(memory_order_seq_cst);
	within = before;
	if (__builtin_expect(
		    atomic_load_explicit(&wanted, memory_order_relaxed), 0) &&
	    !before && atomic_exchange(&wanted, false))
		tell_figures();
}

/* ---- figures ---- */

static atomic_size_t spilled, spilled_blocks;

EXPORT int reclaim_block_info(struct reclaim_block_info *info)
{
	enum within before;

	if (!block || !info) {
		errno = EINVAL;
		return -1;
	}
	before = enter();
	block_inform(block, info);
	leave(before);
	info->spilled = atomic_load(&spilled);
	info->spilled_blocks = atomic_load(&spilled_blocks);
	return 0;
}

/* One is taken at a time. */
static struct picture picture;
static pthread_mutex_t drawing = PTHREAD_MUTEX_INITIALIZER;

static void say_figures(const struct block_figures *figures)
{
	say("block of %zu KiB, %s: %zu KiB allocated in %zu (%zu KiB at most), "
	    "%zu KiB free in %zu (largest %zu KiB), %zu KiB kept; outside %zu "
	    "KiB in %zu",
	    figures->total >> 10, block_policy_name(block->policy),
	    figures->allocated >> 10, figures->blocks, figures->peak >> 10,
	    figures->free >> 10, figures->holes, figures->longest >> 10,
	    figures->kept >> 10, atomic_load(&spilled) >> 10,
	    atomic_load(&spilled_blocks));
}

static void tell_figures(void)
{
	struct block_figures figures;
	enum within before = enter();
	char row[3 * 64 + 1];

	if (pthread_mutex_trylock(&drawing) == 0) {
		picture_take(&picture, block);
		picture_row(&picture, 64, row);
		figures = picture.figures;
		pthread_mutex_unlock(&drawing);
		say_figures(&figures);
		say("[%s]", row);
	}
	leave(before);
}

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	if (within)
		atomic_store(&wanted, true);
	else
		tell_figures();
	errno = saved;
}

EXPORT int reclaim_block_svg(FILE *to)
{
	struct picture *copy;
	enum within before;
	int result;

	if (!block) {
		errno = EINVAL;
		return -1;
	}
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -1;
	before = enter();
	picture_take(copy, block);
	leave(before);
	result = picture_svg(copy, to);
	free(copy);
	return result;
}

static void draw(void)
{
	FILE *to;

	settings.spill = true; /* it may be full */
	to = fopen(settings.svg, "we");
	if (!to || reclaim_block_svg(to) < 0)
		say("%s: %m", settings.svg);
	if (to)
		fclose(to);
}

/* ---- what is outside ---- */

static size_t size_outside(void *ptr)
{
	static size_t (*of_libc)(void *);

	if (!of_libc)
		of_libc = dlsym(RTLD_NEXT, "malloc_usable_size");
	return of_libc ? of_libc(ptr) : 0;
}

static void count_outside(void *ptr)
{
	if (!ptr || where != INSIDE)
		return;
	atomic_fetch_add(&spilled, size_outside(ptr));
	atomic_fetch_add(&spilled_blocks, 1);
}

/* What was allocated before there was a block was not counted. */
static void uncount_outside(void *ptr)
{
	size_t size;

	if (where != INSIDE || atomic_load(&spilled_blocks) == 0)
		return;
	size = size_outside(ptr);
	if (size > atomic_load(&spilled))
		return;
	atomic_fetch_sub(&spilled, size);
	atomic_fetch_sub(&spilled_blocks, 1);
}

static void *alloc_outside(size_t size, size_t align)
{
	void *ptr = align > GRANULE ? __libc_memalign(align, size)
				    : __libc_malloc(size);

	count_outside(ptr);
	return ptr;
}

static void free_outside(void *ptr)
{
	uncount_outside(ptr);
	__libc_free(ptr);
}

static void *realloc_outside(void *ptr, size_t size)
{
	void *moved;

	uncount_outside(ptr);
	moved = __libc_realloc(ptr, size);
	count_outside(moved ? moved : size ? ptr : NULL);
	return moved;
}

/* ---- what is inside ---- */

/*
 * Once: few programs tell why they end then, and some only crash.  What nobody
 * could give is asked for to be refused.
 */
static void tell_full(size_t size)
{
	static atomic_bool told;

	if (size < PTRDIFF_MAX && !atomic_exchange(&told, true))
		say("the block of %zu KiB has no room for %zu bytes",
		    block->area_size >> 10, size);
}

static void *alloc(size_t size, size_t align)
{
	enum within before;
	void *ptr;

	if (!is_inside())
		return alloc_outside(size, align);
	before = enter();
	ptr = block_alloc(block, size, align);
	leave(before);
	if (ptr)
		return ptr;
	if (settings.spill)
		return alloc_outside(size, align);
	if (align < block->area_size)
		tell_full(size);
	return NULL;
}

static void tell_misuse(enum block_found found, const char *did, void *ptr)
{
	static const char *const what[] = {
		[BLOCK_HOLE] = "was freed before",
		[BLOCK_INSIDE] = "is in the middle",
		[BLOCK_ELSEWHERE] = "was never allocated",
	};

	if (settings.misuse == MISUSE_OFF)
		return;
	say("%s of %p, which %s: nothing is done", did, ptr, what[found]);
	if (settings.misuse == MISUSE_ABORT)
		abort();
}

static void *realloc_inside(void *ptr, size_t size)
{
	enum block_found found = block_find(block, ptr);
	size_t before;
	void *moved;

	if (found != BLOCK_ALLOCATED) {
		tell_misuse(found, "realloc", ptr);
		errno = EINVAL;
		return NULL;
	}
	if (size == 0) {
		block_free(block, ptr);
		return NULL;
	}
	if (block_resize(block, ptr, size))
		return ptr;
	before = block_size(block, ptr);
	moved = alloc(size, GRANULE);
	if (moved) {
		memcpy(moved, ptr, size < before ? size : before);
		block_free(block, ptr);
	}
	return moved;
}

/* ---- malloc(3) ---- */

EXPORT void *malloc(size_t size)
{
	return alloc(size, GRANULE);
}

EXPORT void free(void *ptr)
{
	enum block_found found;
	enum within before;

	if (!ptr)
		return;
	if (!has(ptr)) {
		free_outside(ptr);
		return;
	}
	before = enter();
	found = block_free(block, ptr);
	leave(before);
	if (__builtin_expect(found != BLOCK_ALLOCATED, 0))
		tell_misuse(found, "free", ptr);
}

EXPORT void *calloc(size_t n, size_t size)
{
	size_t bytes;
	void *ptr = NULL;
	enum within before;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	if (is_inside()) {
		before = enter();
		ptr = block_calloc(block, bytes);
		leave(before);
	}
	if (!ptr && (where != INSIDE || settings.spill)) {
		ptr = __libc_calloc(1, bytes);
		count_outside(ptr);
	} else if (!ptr) {
		tell_full(bytes);
	}
	return ptr;
}

EXPORT void *realloc(void *ptr, size_t size)
{
	enum within before;

	if (!ptr)
		return alloc(size, GRANULE);
	if (!has(ptr))
		return realloc_outside(ptr, size);
	before = enter();
	ptr = realloc_inside(ptr, size);
	leave(before);
	return ptr;
}

EXPORT void *reallocarray(void *ptr, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(ptr, bytes);
}

static bool is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (!is_power_of_two(align)) {
		errno = EINVAL;
		return NULL;
	}
	return alloc(size, align);
}

/* As glibc's, an alignment that is none is rounded up to one. */
EXPORT void *memalign(size_t align, size_t size)
{
	size_t rounded = GRANULE;

	while (rounded < align && rounded)
		rounded <<= 1;
	if (rounded)
		return alloc(size, rounded);
	errno = EINVAL;
	return NULL;
}

EXPORT int posix_memalign(void **ptr, size_t align, size_t size)
{
	int saved = errno, error = 0;
	void *at;

	if (!is_power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	at = alloc(size, align);
	if (at)
		*ptr = at;
	else
		error = ENOMEM;
	errno = saved;
	return error;
}

EXPORT void *valloc(size_t size)
{
	return alloc(size, (size_t)getpagesize());
}

EXPORT void *pvalloc(size_t size)
{
	size_t page = (size_t)getpagesize(), bytes;

	if (__builtin_add_overflow(size, page - 1, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return alloc(bytes & -page, page);
}

EXPORT size_t malloc_usable_size(void *ptr)
{
	if (!ptr)
		return 0;
	return has(ptr) ? block_size(block, ptr) : size_outside(ptr);
}

/* ---- the process's beginning, forks and end ---- */

static __thread enum within within_before_fork
	__attribute__((tls_model("initial-exec")));

/*
 * Who flushes all streams has the lock of their list, and may ask for memory;
 * fork takes it, too, but after this.
 */
static void lock_before_fork(void)
{
	_IO_list_lock();
	within_before_fork = enter();
	pthread_mutex_lock(&drawing);
	block_lock(block);
	within = FORKING;
}

static void unlock_in_parent(void)
{
	within = WITHIN;
	block_unlock(block);
	pthread_mutex_unlock(&drawing);
	leave(within_before_fork);
	_IO_list_unlock();
}

/* There fork itself has made the list's lock anew, if there were threads. */
static void unlock_in_child(void)
{
	within = WITHIN;
	block_unlock(block);
	pthread_mutex_unlock(&drawing);
	atomic_store(&wanted, false); /* of the parent */
	leave(within_before_fork);
	_IO_list_resetlock();
}

static void listen_for_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal,
				   .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR2, &action, NULL);
}

__attribute__((constructor)) static void start(void)
{
	is_inside();
	if (!settings.meant)
		return;
	settings_take_out();
	if (where != INSIDE)
		return;
	whole = getpid();
	if (settings.at_exit)
		settings_keep_stderr();
	if (settings.on_signal)
		listen_for_signal();
}

__attribute__((destructor)) static void finish(void)
{
	if (where != INSIDE || getpid() != whole)
		return;
	if (settings.at_exit)
		tell_figures();
	if (*settings.svg)
		draw();
}
