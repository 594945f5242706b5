/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias_strict - what a program finds in every C there is, strict or not
 *
 * Compiled, not run.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int use(const char *path, int flags);

int use(const char *path, int flags)
{
	void *block = realloc(malloc(3), 5);
	FILE *stream = fopen(path, "r");
	int fd = open(path, flags);

	if (stream)
		fclose(stream);
	free(block);
	return close(fd);
}
