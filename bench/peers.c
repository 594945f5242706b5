/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/peers.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <string.h>

#include <reclaim/task.h>

struct mimalloc mimalloc;
struct jemalloc jemalloc;
struct talloc talloc;
struct apr apr;
struct zeromq zeromq;
struct libuv libuv;

/* ---- loading ---- */

struct name {
	const char *name;
	void *to; /* a pointer to a function */
};

struct library {
	const char *file;
	const char *package;
	bool *here;
	const struct name *names;
};

/*
 * ZeroMQ before jemalloc, which has its own of what C++ allocates with: whoever
 * comes first has libstdc++ look there.
 */
static const struct library libraries[] = {
	{"libzmq.so.5", "libzmq5", &zeromq.here,
	 (const struct name[]){
		 {"zmq_ctx_new", &zeromq.ctx_new},
		 {"zmq_ctx_set", &zeromq.ctx_set},
		 {"zmq_ctx_term", &zeromq.ctx_term},
		 {"zmq_socket", &zeromq.socket},
		 {"zmq_setsockopt", &zeromq.setsockopt},
		 {"zmq_bind", &zeromq.bind},
		 {"zmq_connect", &zeromq.connect},
		 {"zmq_send", &zeromq.send},
		 {"zmq_recv", &zeromq.recv},
		 {"zmq_close", &zeromq.close},
		 {"zmq_version", &zeromq.version},
		 {NULL, NULL},
	 }},
	{"libmimalloc.so.2", "libmimalloc2.0", &mimalloc.here,
	 (const struct name[]){
		 {"mi_malloc", &mimalloc.malloc},
		 {"mi_realloc", &mimalloc.realloc},
		 {"mi_free", &mimalloc.free},
		 {"mi_heap_new", &mimalloc.heap_new},
		 {"mi_heap_malloc", &mimalloc.heap_malloc},
		 {"mi_heap_realloc", &mimalloc.heap_realloc},
		 {"mi_heap_destroy", &mimalloc.heap_destroy},
		 {"mi_heap_contains_block", &mimalloc.heap_contains_block},
		 {"mi_is_in_heap_region", &mimalloc.is_in_heap_region},
		 {"mi_version", &mimalloc.version},
		 {NULL, NULL},
	 }},
	{"libjemalloc.so.2", "libjemalloc2", &jemalloc.here,
	 (const struct name[]){
		 {"malloc", &jemalloc.malloc},
		 {"realloc", &jemalloc.realloc},
		 {"free", &jemalloc.free},
		 {"mallctl", &jemalloc.mallctl},
		 {NULL, NULL},
	 }},
	{"libtalloc.so.2", "libtalloc2", &talloc.here,
	 (const struct name[]){
		 {"talloc_named_const", &talloc.named_const},
		 {"_talloc_realloc", &talloc.realloc},
		 {"_talloc_free", &talloc.free},
		 {"talloc_parent", &talloc.parent},
		 {"talloc_get_size", &talloc.get_size},
		 {"talloc_version_major", &talloc.version_major},
		 {"talloc_version_minor", &talloc.version_minor},
		 {NULL, NULL},
	 }},
	{"libapr-1.so.0", "libapr1", &apr.here,
	 (const struct name[]){
		 {"apr_initialize", &apr.initialize},
		 {"apr_pool_create_ex", &apr.pool_create},
		 {"apr_palloc", &apr.palloc},
		 {"apr_pool_destroy", &apr.pool_destroy},
		 {"apr_version_string", &apr.version_string},
		 {NULL, NULL},
	 }},
	{"libuv.so.1", "libuv1", &libuv.here,
	 (const struct name[]){
		 {"uv_loop_size", &libuv.loop_size},
		 {"uv_handle_size", &libuv.handle_size},
		 {"uv_loop_init", &libuv.loop_init},
		 {"uv_update_time", &libuv.update_time},
		 {"uv_run", &libuv.run},
		 {"uv_timer_init", &libuv.timer_init},
		 {"uv_timer_start", &libuv.timer_start},
		 {"uv_timer_stop", &libuv.timer_stop},
		 {"uv_version_string", &libuv.version_string},
		 {NULL, NULL},
	 }},
};

/* The name must be the library's own, not one that it uses. */
static void find(void *handle, const struct library *library,
		 const struct name *name)
{
	void *found = dlsym(handle, name->name);
	Dl_info info;

	if (!found || !dladdr(found, &info) ||
	    !strstr(info.dli_fname, library->file))
		bench_die("%s is not in %s", name->name, library->file);
	memcpy(name->to, &found, sizeof(found));
}

static void load(const struct library *library, FILE *to)
{
	void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
	const struct name *name;

	if (!handle) {
		fprintf(stderr, "bench: %s\n", dlerror());
		fprintf(to, " Without %s (apt install %s).", library->file,
			library->package);
		return;
	}
	for (name = library->names; name->name; name++)
		find(handle, library, name);
	*library->here = true;
}

/* ---- trying: each knows its own block, and no other's ---- */

#define TRIED ((size_t)40000) /* bytes; less than what is mapped by itself */

static uint64_t glibc_use(void)
{
	return mallinfo2().uordblks;
}

static uint64_t jemalloc_use(void)
{
	uint64_t bytes;
	size_t len = sizeof(bytes);

	if (jemalloc.mallctl("thread.allocated", &bytes, &len, NULL, 0) != 0)
		bench_die("jemalloc: no thread.allocated");
	return bytes;
}

static uint64_t libreclaim_use(void)
{
	struct reclaim_task_info info;

	if (reclaim_task_info(reclaim_self(), &info) != 0)
		bench_die("no task information");
	return info.bytes;
}

static bool owns_mimalloc(void *owner, void *ptr)
{
	(void)owner;
	return mimalloc.is_in_heap_region(ptr);
}

static bool owns_mimalloc_heap(void *owner, void *ptr)
{
	return mimalloc.heap_contains_block(owner, ptr);
}

static bool owns_talloc(void *owner, void *ptr)
{
	return talloc.parent(ptr) == owner && talloc.get_size(ptr) == TRIED;
}

/*
 * By what a peer has in use, or by its answer whether a block is its own.  APR
 * has neither: that its functions are libapr's must do.
 */
static const struct trial {
	const struct peer *peer;
	uint64_t (*use)(void);
	bool (*owns)(void *owner, void *ptr);
} trials[] = {
	{&peer_libreclaim, libreclaim_use, NULL},
	{&peer_glibc, glibc_use, NULL},
	{&peer_mimalloc, NULL, owns_mimalloc},
	{&peer_mimalloc_heap, NULL, owns_mimalloc_heap},
	{&peer_jemalloc, jemalloc_use, NULL},
	{&peer_talloc, NULL, owns_talloc},
	{&peer_apr, NULL, NULL},
	{&peer_list, glibc_use, NULL},
	{&peer_uthash, glibc_use, NULL},
	{&peer_chain, glibc_use, NULL},
};

static bool served(const struct trial *trial, void *owner)
{
	uint64_t before = trial->use ? trial->use() : 0;
	void *ptr = block_alloc(trial->peer, owner, TRIED);
	bool ok = true;

	if (trial->use)
		ok = trial->use() - before - TRIED < TRIED / 2;
	if (trial->owns)
		ok = trial->owns(owner, ptr);
	owner_end(trial->peer, owner, &ptr, 1);
	return ok;
}

static void try(const struct trial *trial)
{
	if (trial->peer->here && !*trial->peer->here)
		return;
	if (!served(trial, owner_begin(trial->peer)))
		bench_die("%s: it is not who served the block",
			  trial->peer->name);
}

/* And glibc's is nobody else's. */
static void try_stranger(void)
{
	uint64_t before = jemalloc.here ? jemalloc_use() : 0;
	void *ptr = block_alloc(&peer_glibc, NULL, TRIED);
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)malloc, &info) ||
	    !strstr(info.dli_fname, "/libc.so"))
		bench_die("malloc is not libc's");
	if (mimalloc.here && mimalloc.is_in_heap_region(ptr))
		bench_die("malloc is mimalloc's");
	if (jemalloc.here && jemalloc_use() != before)
		bench_die("malloc is jemalloc's");
	free(ptr);
}

/* ---- who they are ---- */

static void name_zeromq(FILE *to)
{
	int version[3];

	zeromq.version(&version[0], &version[1], &version[2]);
	fprintf(to, "; ZeroMQ %d.%d.%d", version[0], version[1], version[2]);
}

static void name_versions(FILE *to)
{
	const char *version;
	size_t len = sizeof(version);

	fprintf(to, " Peers: glibc %s", gnu_get_libc_version());
	if (mimalloc.here)
		fprintf(to, ", mimalloc %d.%d.%d", mimalloc.version() / 100,
			mimalloc.version() / 10 % 10, mimalloc.version() % 10);
	if (jemalloc.here &&
	    jemalloc.mallctl("version", &version, &len, NULL, 0) == 0)
		fprintf(to, ", jemalloc %.*s", (int)strcspn(version, "-"),
			version);
	if (talloc.here)
		fprintf(to, ", talloc %d.%d", talloc.version_major(),
			talloc.version_minor());
	if (apr.here)
		fprintf(to, ", APR %s", apr.version_string());
	fputs(", each seen to serve its own blocks", to);
	if (zeromq.here)
		name_zeromq(to);
	if (libuv.here)
		fprintf(to, "; libuv %s", libuv.version_string());
	fputs(".", to);
}

void peers_begin(FILE *to)
{
	for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++)
		load(&libraries[i], to);
	if (apr.here && apr.initialize() != 0)
		bench_die("APR does not start");
	for (size_t i = 0; i < sizeof(trials) / sizeof(*trials); i++)
		try(&trials[i]);
	try_stranger();
	name_versions(to);
}
