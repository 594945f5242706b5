/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dlfcn.h>

#include "reclaim.h"
#include "wrappers/acquire.h"

static void release_library(const struct entry *held)
{
	dlclose(held->id);
}

static const struct kind library_kind = {
	.kind = {.name = "library",
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN | KIND_FOUND_BY_ID},
	.release = release_library,
};

void *save_dlopen(const char *file, int flags)
{
	struct acquisition a;
	void *library;

	if (acquire(&a, &library_kind, PLACE) < 0) {
		/* So that dlerror(3) has something to say. */
		dlsym(NULL, "reclaim: no room to record a library");
		return NULL;
	}
	library = dlopen(file, flags);
	return acquired(&a, library);
}

int save_dlclose(void *library)
{
	struct departure d;
	int result;

	if (let_go(&d, &library_kind, library, "dlclose", PLACE) < 0)
		return -1;
	result = dlclose(library);
	gone(&d);
	return result;
}
