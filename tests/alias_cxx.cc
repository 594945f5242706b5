// SPDX-License-Identifier: Apache-2.0
//
// alias_cxx - the aliases in C++
//
// Compiled, not run.  std::free is free, and save_free.  Members and functions
// of other namespaces that have such a name, new, delete and the standard
// library stay what they are.
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <vector>

namespace mine
{
int open(int number);
int free(int number);
} // namespace mine

using std::malloc;

class Door
{
      public:
	int open(const char *how)
	{
		return ::open(how, O_RDONLY);
	}
	void close();
	virtual ~Door();
	virtual int dup(int times);
};

static_assert(std::is_same<decltype(&std::free), decltype(&free)>::value, "");

typedef std::unique_ptr<char, decltype(&std::free)> text_ptr;

char *own_text(Door &door, std::size_t n)
{
	text_ptr text(static_cast<char *>(malloc(n)), &std::free);
	text_ptr copy(strdup("copy"), free);
	std::vector<std::string> words(n, copy.get());
	std::ifstream file;

	file.open(words[0]);
	file.close();
	std::thread([&door] { door.close(); }).join();
	delete new Door(door);
	std::FILE *stream = std::fopen("x", "r");
	if (stream)
		std::fclose(stream);
	if (mine::open(1) + mine::free(2) + door.open("x") + door.dup(2) < 0)
		std::exit(1);
	return static_cast<char *>(std::realloc(copy.release(), n));
}
