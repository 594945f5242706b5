/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload_cxx - memory that is had before main, and given back after it
 *
 * Compiled twice by preload.sh, as a library (-DLIBRARY), whose initialisers
 * run before all others, and as the program that is linked with it.
 */
#define _GNU_SOURCE 1
#include <reclaim/block.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

static bool is_in_block(const void *ptr)
{
	using ask_fn = int (*)(struct reclaim_block_info *);
	auto ask = reinterpret_cast<ask_fn>(
		dlsym(RTLD_DEFAULT, "reclaim_block_info"));
	struct reclaim_block_info info;

	return ask && ask(&info) == 0 &&
	       reinterpret_cast<uintptr_t>(ptr) -
			       reinterpret_cast<uintptr_t>(info.area) <
		       info.total;
}

static std::map<std::string, std::vector<int>> fill()
{
	std::map<std::string, std::vector<int>> table;

	for (int i = 0; i < 1000; i++)
		table["a name that is long enough " + std::to_string(i)] =
			std::vector<int>(static_cast<size_t>(i), i);
	return table;
}

/* As they are initialised, so they are where they should be. */
static const auto table = fill();
static const bool as_it_began = is_in_block(table.rbegin()->second.data()) &&
				is_in_block(&table.begin()->first);

static bool is_well()
{
	size_t sum = 0;

	for (const auto &row : table)
		sum += row.second.size();
	return as_it_began && sum == 999 * 1000 / 2;
}

#ifdef LIBRARY
bool library_is_well();
bool library_is_well()
{
	return is_well();
}
#else
bool library_is_well();

int main()
{
	if (!library_is_well() || !is_well())
		return 3;
	try {
		throw std::string("a text that is too long for itself alone");
	} catch (const std::string &text) {
		if (!is_in_block(text.data()))
			return 4;
	}
	std::puts("well");
	return 0;
}
#endif
