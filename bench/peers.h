/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers - whom libreclaim is measured against, all alike
 *
 * A peer is a constant that says how it begins an owner, allocates, resizes,
 * frees, and ends the owner with all that it still has.  Work is written once,
 * as a template that takes a peer, and compiled once for each: so that a call
 * of the peer is a call through the linker's table, as in a program that uses
 * it, and not one through a pointer in ours.
 *
 * The libraries are loaded by name, each with its names to itself: mimalloc
 * and jemalloc would else take the place of libc's malloc, on which others
 * here stand.  Before anything is measured each peer is seen to serve what is
 * asked of it, by its own account.  One that is not installed is left out, and
 * the head of the table says so.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <reclaim.h>

#include "bench/harness.h"
#include "bench/trackers.h"

/* Where there are no owners `begin` and `end` are NULL; all may be but alloc */
struct peer {
	const char *name;
	const bool *here; /* NULL: always */
	void *(*begin)(void);
	void *(*alloc)(void *owner, size_t size);
	void *(*resize)(void *owner, void *ptr, size_t size);
	void (*free)(void *owner, void *ptr);
	void (*leave)(void *owner); /* work for it no more, but keep it */
	void (*end)(void *owner);   /* after leaving */
};

/* Load them, try them, and write who they are, or why not, to `to`. */
void peers_begin(FILE *to);

#define TEMPLATE static inline __attribute__((always_inline))

/* ---- libreclaim: a task, entered ---- */

TEMPLATE void *libreclaim_begin(void)
{
	reclaim_tid task = reclaim_task_new(NULL);

	if (task == 0 || reclaim_enter(task) != 0)
		bench_die("no task");
	return (void *)(uintptr_t)task;
}

TEMPLATE void *libreclaim_alloc(void *owner, size_t size)
{
	(void)owner;
	return save_malloc(size);
}

TEMPLATE void *libreclaim_resize(void *owner, void *ptr, size_t size)
{
	(void)owner;
	return save_realloc(ptr, size);
}

TEMPLATE void libreclaim_free(void *owner, void *ptr)
{
	(void)owner;
	save_free(ptr);
}

TEMPLATE void libreclaim_leave(void *owner)
{
	(void)owner;
	reclaim_leave();
}

TEMPLATE void libreclaim_end(void *owner)
{
	reclaim_end((reclaim_tid)(uintptr_t)owner, 0);
}

static const struct peer peer_libreclaim = {
	.name = "libreclaim",
	.begin = libreclaim_begin,
	.alloc = libreclaim_alloc,
	.resize = libreclaim_resize,
	.free = libreclaim_free,
	.leave = libreclaim_leave,
	.end = libreclaim_end,
};

/* ---- glibc: no owners ---- */

TEMPLATE void *glibc_alloc(void *owner, size_t size)
{
	(void)owner;
	return malloc(size);
}

TEMPLATE void *glibc_resize(void *owner, void *ptr, size_t size)
{
	(void)owner;
	return realloc(ptr, size);
}

TEMPLATE void glibc_free(void *owner, void *ptr)
{
	(void)owner;
	free(ptr);
}

static const struct peer peer_glibc = {
	.name = "glibc",
	.alloc = glibc_alloc,
	.resize = glibc_resize,
	.free = glibc_free,
};

/* ---- mimalloc: as a malloc, and with a heap of its own for each owner ---- */

extern struct mimalloc {
	bool here;
	void *(*malloc)(size_t size);
	void *(*realloc)(void *ptr, size_t size);
	void (*free)(void *ptr);
	void *(*heap_new)(void);
	void *(*heap_malloc)(void *heap, size_t size);
	void *(*heap_realloc)(void *heap, void *ptr, size_t size);
	void (*heap_destroy)(void *heap);
	bool (*is_in_heap_region)(const void *ptr);
	bool (*heap_contains_block)(void *heap, const void *ptr);
	int (*version)(void);
} mimalloc;

TEMPLATE void *mimalloc_alloc(void *owner, size_t size)
{
	(void)owner;
	return mimalloc.malloc(size);
}

TEMPLATE void *mimalloc_resize(void *owner, void *ptr, size_t size)
{
	(void)owner;
	return mimalloc.realloc(ptr, size);
}

TEMPLATE void mimalloc_free(void *owner, void *ptr)
{
	(void)owner;
	mimalloc.free(ptr);
}

static const struct peer peer_mimalloc = {
	.name = "mimalloc",
	.here = &mimalloc.here,
	.alloc = mimalloc_alloc,
	.resize = mimalloc_resize,
	.free = mimalloc_free,
};

TEMPLATE void *mimalloc_heap_begin(void)
{
	return mimalloc.heap_new();
}

TEMPLATE void *mimalloc_heap_alloc(void *owner, size_t size)
{
	return mimalloc.heap_malloc(owner, size);
}

TEMPLATE void *mimalloc_heap_resize(void *owner, void *ptr, size_t size)
{
	return mimalloc.heap_realloc(owner, ptr, size);
}

TEMPLATE void mimalloc_heap_end(void *owner)
{
	mimalloc.heap_destroy(owner);
}

static const struct peer peer_mimalloc_heap = {
	.name = "mimalloc heap",
	.here = &mimalloc.here,
	.begin = mimalloc_heap_begin,
	.alloc = mimalloc_heap_alloc,
	.resize = mimalloc_heap_resize,
	.free = mimalloc_free,
	.end = mimalloc_heap_end,
};

/* ---- jemalloc: no owners ---- */

extern struct jemalloc {
	bool here;
	void *(*malloc)(size_t size);
	void *(*realloc)(void *ptr, size_t size);
	void (*free)(void *ptr);
	int (*mallctl)(const char *name, void *old, size_t *old_len, void *new,
		       size_t new_len);
} jemalloc;

TEMPLATE void *jemalloc_alloc(void *owner, size_t size)
{
	(void)owner;
	return jemalloc.malloc(size);
}

TEMPLATE void *jemalloc_resize(void *owner, void *ptr, size_t size)
{
	(void)owner;
	return jemalloc.realloc(ptr, size);
}

TEMPLATE void jemalloc_free(void *owner, void *ptr)
{
	(void)owner;
	jemalloc.free(ptr);
}

static const struct peer peer_jemalloc = {
	.name = "jemalloc",
	.here = &jemalloc.here,
	.alloc = jemalloc_alloc,
	.resize = jemalloc_resize,
	.free = jemalloc_free,
};

/* ---- talloc: what its macros expand to ---- */

extern struct talloc {
	bool here;
	void *(*named_const)(const void *parent, size_t size, const char *name);
	void *(*realloc)(const void *parent, void *ptr, size_t size,
			 const char *name);
	int (*free)(void *ptr, const char *place);
	void *(*parent)(const void *ptr);
	size_t (*get_size)(const void *ptr);
	int (*version_major)(void);
	int (*version_minor)(void);
} talloc;

TEMPLATE void *talloc_begin(void)
{
	return talloc.named_const(NULL, 0, "owner");
}

TEMPLATE void *talloc_alloc(void *owner, size_t size)
{
	return talloc.named_const(owner, size, "block");
}

TEMPLATE void *talloc_resize(void *owner, void *ptr, size_t size)
{
	return talloc.realloc(owner, ptr, size, "block");
}

TEMPLATE void talloc_free(void *owner, void *ptr)
{
	(void)owner;
	talloc.free(ptr, "bench");
}

TEMPLATE void talloc_end(void *owner)
{
	talloc.free(owner, "bench");
}

static const struct peer peer_talloc = {
	.name = "talloc",
	.here = &talloc.here,
	.begin = talloc_begin,
	.alloc = talloc_alloc,
	.resize = talloc_resize,
	.free = talloc_free,
	.end = talloc_end,
};

/* ---- APR pools: a block goes with its pool only ---- */

extern struct apr {
	bool here;
	int (*initialize)(void);
	int (*pool_create)(void **pool, void *parent, void *abort,
			   void *allocator);
	void *(*palloc)(void *pool, size_t size);
	void (*pool_destroy)(void *pool);
	const char *(*version_string)(void);
} apr;

TEMPLATE void *apr_begin(void)
{
	void *pool;

	if (apr.pool_create(&pool, NULL, NULL, NULL) != 0)
		bench_die("no APR pool");
	return pool;
}

TEMPLATE void *apr_alloc(void *owner, size_t size)
{
	return apr.palloc(owner, size);
}

TEMPLATE void apr_end(void *owner)
{
	apr.pool_destroy(owner);
}

static const struct peer peer_apr = {
	.name = "APR pool",
	.here = &apr.here,
	.begin = apr_begin,
	.alloc = apr_alloc,
	.end = apr_end,
};

/* ---- of other work: ZeroMQ's sockets, libuv's timers ---- */

enum {
	ZEROMQ_PAIR = 0,
	ZEROMQ_IO_THREADS = 1,
	ZEROMQ_SNDHWM = 23,
	ZEROMQ_RCVHWM = 24
};

extern struct zeromq {
	bool here;
	void *(*ctx_new)(void);
	int (*ctx_set)(void *context, int option, int value);
	int (*ctx_term)(void *context);
	void *(*socket)(void *context, int type);
	int (*setsockopt)(void *socket, int option, const void *value,
			  size_t len);
	int (*bind)(void *socket, const char *address);
	int (*connect)(void *socket, const char *address);
	int (*send)(void *socket, const void *buf, size_t len, int flags);
	int (*recv)(void *socket, void *buf, size_t len, int flags);
	int (*close)(void *socket);
	void (*version)(int *major, int *minor, int *patch);
} zeromq;

enum { LIBUV_TIMER = 13, LIBUV_RUN_NOWAIT = 2 };

extern struct libuv {
	bool here;
	size_t (*loop_size)(void);
	size_t (*handle_size)(int type);
	int (*loop_init)(void *loop);
	void (*update_time)(void *loop);
	int (*run)(void *loop, int mode);
	int (*timer_init)(void *loop, void *timer);
	int (*timer_start)(void *timer, void (*fn)(void *timer),
			   uint64_t after_ms, uint64_t repeat_ms);
	int (*timer_stop)(void *timer);
	const char *(*version_string)(void);
} libuv;

/* ---- trackers written for comparison, on glibc's malloc ---- */

static const struct peer peer_list = {
	.name = "list header on glibc",
	.begin = list_begin,
	.alloc = list_alloc,
	.resize = list_resize,
	.free = list_free,
	.end = list_end,
};

static const struct peer peer_uthash = {
	.name = "uthash side table",
	.begin = side_begin,
	.alloc = side_alloc,
	.resize = side_resize,
	.free = side_free,
	.end = side_end,
};

static const struct peer peer_chain = {
	.name = "OTP's list",
	.begin = chain_begin,
	.alloc = chain_alloc,
	.free = chain_free,
	.end = chain_end,
};

/* ---- what work does with a peer ---- */

TEMPLATE void *owner_begin(const struct peer *peer)
{
	return peer->begin ? peer->begin() : NULL;
}

/* The block is written to, as it would be. */
TEMPLATE void *block_alloc(const struct peer *peer, void *owner, size_t size)
{
	void *ptr = peer->alloc(owner, size);

	if (!ptr)
		bench_die("%s: no memory", peer->name);
	*(volatile char *)ptr = 1;
	return ptr;
}

TEMPLATE void owner_leave(const struct peer *peer, void *owner)
{
	if (peer->leave)
		peer->leave(owner);
}

/* Give back the n blocks that are left: at once, where there is an owner. */
TEMPLATE void owner_end(const struct peer *peer, void *owner, void **block,
			size_t n)
{
	owner_leave(peer, owner);
	if (peer->end) {
		peer->end(owner);
		return;
	}
	for (size_t i = 0; i < n; i++)
		peer->free(owner, block[i]);
}

/* ---- contenders: libreclaim first, then whom all are compared with ---- */

#define PEERS_THAT_RESIZE(X, work) \
	X(work, libreclaim)        \
	X(work, glibc)             \
	X(work, mimalloc)          \
	X(work, mimalloc_heap)     \
	X(work, jemalloc)          \
	X(work, talloc)            \
	X(work, list)              \
	X(work, uthash)
#define PEERS_THAT_FREE PEERS_THAT_RESIZE
#define PEERS(X, work)	PEERS_THAT_FREE(X, work) X(work, apr)

#define TIMED(template, who)                              \
	static void template##_##who(struct batch *batch) \
	{                                                 \
		template(batch, &peer_##who);             \
	}
#define TIMED_CONTENDER(template, who) \
	{.peer = &peer_##who, .work = template##_##who},

/* Contenders that do the work of a template(batch, peer). */
#define CONTENDERS(template, peers)                                       \
	peers(TIMED,                                                      \
	      template) static const struct contender template##_by[] = { \
		peers(TIMED_CONTENDER, template){.name = NULL}}

#endif
