/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools - what Valgrind and the address sanitizer are told of heaps and blocks
 *
 * Either knows libc's malloc, and is content with RECLAIM_MALLOC=system.  For
 * the heap proper (RECLAIM_MALLOC=heap) they are told what is a block, and
 * what is closed to the program.
 */
#ifndef TOOLS_PRIVATE_H
#define TOOLS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef HAVE_VALGRIND_MEMCHECK_H
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND				   0
#define VALGRIND_MAKE_MEM_DEFINED(ptr, size)		   0
#define VALGRIND_MAKE_MEM_NOACCESS(ptr, size)		   ((void)0)
#define VALGRIND_MAKE_MEM_UNDEFINED(ptr, size)		   ((void)0)
#define VALGRIND_MALLOCLIKE_BLOCK(ptr, size, zone, zeroed) ((void)0)
#define VALGRIND_FREELIKE_BLOCK(ptr, zone)		   ((void)0)
#define VALGRIND_CREATE_MEMPOOL(pool, zone, zeroed)	   ((void)0)
#define VALGRIND_DESTROY_MEMPOOL(pool)			   ((void)0)
#define VALGRIND_MEMPOOL_ALLOC(pool, ptr, size)		   ((void)0)
#define VALGRIND_MEMPOOL_FREE(pool, ptr)		   ((void)0)
#define VALGRIND_MEMPOOL_CHANGE(pool, from, to, size)	   ((void)0)
#define VALGRIND_DISABLE_ERROR_REPORTING		   ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING			   ((void)0)
#endif

/* There if anything in the process was built with the sanitizer. */
void __asan_poison_memory_region(const volatile void *ptr, size_t size)
	__attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *ptr, size_t size)
	__attribute__((weak));

/* Whether there is one, and heaps are used all the same. */
extern bool tools_told;

static inline bool tools_here(void)
{
	return RUNNING_ON_VALGRIND || __asan_poison_memory_region;
}

/* Of Valgrind's tools memcheck alone answers. */
static inline bool tools_listen(void)
{
	static char any;

	return VALGRIND_MAKE_MEM_DEFINED(&any, 1) != 0 ||
	       __asan_poison_memory_region;
}

/* Not for the program, from here on. */
static inline void tools_area_close(void *ptr, size_t size)
{
	VALGRIND_MAKE_MEM_NOACCESS(ptr, size);
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(ptr, size);
}

/* For the library itself to look at. */
static inline void tools_area_open(void *ptr, size_t size)
{
	VALGRIND_MAKE_MEM_DEFINED(ptr, size);
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(ptr, size);
}

/* ---- of heaps, if at all ---- */

static inline void tools_close(void *ptr, size_t size)
{
	if (tools_told)
		tools_area_close(ptr, size);
}

static inline void tools_open(void *ptr, size_t size)
{
	if (tools_told)
		tools_area_open(ptr, size);
}

static inline void tools_allocated(void *ptr, size_t size, bool zeroed)
{
	if (!tools_told)
		return;
	VALGRIND_MALLOCLIKE_BLOCK(ptr, size, 0, zeroed);
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(ptr, size);
}

/* What follows may be told a second time. */
static inline void tools_may_know(bool begin)
{
	if (begin)
		VALGRIND_DISABLE_ERROR_REPORTING;
	else
		VALGRIND_ENABLE_ERROR_REPORTING;
}

static inline void tools_freed(void *ptr, size_t size)
{
	if (!tools_told)
		return;
	VALGRIND_FREELIKE_BLOCK(ptr, 0);
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(ptr, size);
}

/* ---- of a block: Valgrind's pools, whose allocations lie in an area ---- */

/*
 * Bytes on either side by which Valgrind knows whose end was overrun.  Between
 * two allocations are 16 at least, so that none is of either.
 */
#define POOL_MARGIN 8

static inline void tools_pool_begin(void *pool, void *area, size_t size)
{
	VALGRIND_CREATE_MEMPOOL(pool, POOL_MARGIN, 0);
	tools_area_close(area, size);
}

static inline void tools_pool_end(void *pool, void *area, size_t size)
{
	VALGRIND_DESTROY_MEMPOOL(pool);
	tools_area_open((char *)area - POOL_MARGIN, size + POOL_MARGIN);
}

static inline void tools_pool_allocated(void *pool, void *ptr, size_t size)
{
	VALGRIND_MEMPOOL_ALLOC(pool, ptr, size);
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(ptr, size);
}

static inline void tools_pool_freed(void *pool, void *ptr, size_t size)
{
	VALGRIND_MEMPOOL_FREE(pool, ptr);
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(ptr, size);
}

static inline void tools_pool_resized(void *pool, char *ptr, size_t before,
				      size_t size)
{
	if (size < before)
		tools_area_close(ptr + size, before - size);
	else
		VALGRIND_MAKE_MEM_UNDEFINED(ptr + before, size - before);
	VALGRIND_MEMPOOL_CHANGE(pool, ptr, ptr, size);
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(ptr, size);
}

#endif
