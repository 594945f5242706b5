/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim_block_nif - what the preloaded block tells, as terms
 *
 * Asks whatever in this process has a block: libreclaim-block.so, which was
 * preloaded, is found by name.  Nothing of libreclaim is linked.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <erl_nif.h>

#include "reclaim/block.h"

static int (*info_of_block)(struct reclaim_block_info *);
static int (*svg_of_block)(FILE *);

static ERL_NIF_TERM atom(ErlNifEnv *env, const char *name)
{
	return enif_make_atom(env, name);
}

static ERL_NIF_TERM block(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	struct reclaim_block_info info;
	ERL_NIF_TERM map;

	(void)argc;
	(void)argv;
	if (!info_of_block || info_of_block(&info) < 0)
		return atom(env, "none");
	map = enif_make_new_map(env);
	enif_make_map_put(env, map, atom(env, "policy"), atom(env, info.policy),
			  &map);
#define PUT(field)                                     \
	enif_make_map_put(env, map, atom(env, #field), \
			  enif_make_uint64(env, info.field), &map)
	PUT(total);
	PUT(kept);
	PUT(allocated);
	PUT(peak);
	PUT(free);
	PUT(fronts);
	PUT(longest);
	PUT(blocks);
	PUT(holes);
	PUT(spilled);
	PUT(spilled_blocks);
#undef PUT
	return map;
}

/* erl_errno_id is the driver interface's; a few names are enough here. */
static ERL_NIF_TERM error(ErlNifEnv *env, int number)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EACCES, "eacces"}, {EISDIR, "eisdir"}, {ENOENT, "enoent"},
		{ENOMEM, "enomem"}, {ENOSPC, "enospc"}, {ENOTDIR, "enotdir"},
		{EROFS, "erofs"},
	};
	const char *name = "eio";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			name = names[i].name;
	return enif_make_tuple2(env, atom(env, "error"), atom(env, name));
}

/* The path ends in a zero byte. */
static ERL_NIF_TERM draw(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	ErlNifBinary path;
	int result, number;
	FILE *to;

	(void)argc;
	if (!enif_inspect_binary(env, argv[0], &path) ||
	    memchr(path.data, '\0', path.size) != path.data + path.size - 1)
		return enif_make_badarg(env);
	if (!svg_of_block)
		return atom(env, "none");
	to = fopen((const char *)path.data, "we");
	if (!to)
		return error(env, errno);
	result = svg_of_block(to);
	number = errno;
	if (fclose(to) != 0 && result == 0) {
		result = -1;
		number = errno;
	}
	if (result == 0)
		return atom(env, "ok");
	return number == EINVAL ? atom(env, "none") : error(env, number);
}

/* The module asks where the block is, by its first and last address. */
static ERL_NIF_TERM area(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	struct reclaim_block_info info = {.total = 0};

	(void)argc;
	(void)argv;
	if (info_of_block)
		info_of_block(&info);
	return enif_make_tuple2(
		env, enif_make_uint64(env, (uintptr_t)info.area),
		enif_make_uint64(env, (uintptr_t)info.area + info.total));
}

static int load(ErlNifEnv *env, void **data, ERL_NIF_TERM arg)
{
	void *symbol;

	(void)env;
	(void)data;
	(void)arg;
	symbol = dlsym(RTLD_DEFAULT, "reclaim_block_info");
	memcpy(&info_of_block, &symbol, sizeof(symbol));
	symbol = dlsym(RTLD_DEFAULT, "reclaim_block_svg");
	memcpy(&svg_of_block, &symbol, sizeof(symbol));
	return 0;
}

/* A new version of the module is served by the same functions. */
static int upgrade(ErlNifEnv *env, void **data, void **old, ERL_NIF_TERM arg)
{
	(void)old;
	return load(env, data, arg);
}

/* Walking a large block takes milliseconds: not in a scheduler's own time. */
static ErlNifFunc functions[] = {
	{"block", 0, block, 0},
	{"area", 0, area, 0},
	{"draw", 1, draw, ERL_NIF_DIRTY_JOB_IO_BOUND},
};

ERL_NIF_INIT(reclaim_block, functions, load, NULL, upgrade, NULL)
