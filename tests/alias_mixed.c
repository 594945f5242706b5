/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias_mixed - plain names and save_ names together give no false warning
 *
 * glibc says of its functions which other one gives back what they return; a
 * name and its save_ name are the same here.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void memory(const char *text);
void streams(const char *path);
void descriptors(const char *path);

void memory(const char *text)
{
	char *a = (char *)malloc(10), *b;

	if (a) {
		b = (char *)realloc(a, 20);
		free(b ? b : a);
	}
	a = save_strdup(text);
	free(a);
	a = strndup(text, 3);
	save_free(a);
	free(save_malloc(4));
	save_free(calloc(2, 2));
	free(plain_malloc(3));
}

void streams(const char *path)
{
	FILE *stream = fopen(path, "r");
	DIR *directory;

	if (stream)
		save_fclose(stream);
	stream = save_fopen(path, "r");
	if (stream)
		fclose(stream);
	stream = popen(path, "r");
	if (stream)
		save_pclose(stream);
	directory = save_opendir(path);
	if (directory)
		closedir(directory);
	directory = opendir(path);
	if (directory)
		save_closedir(directory);
}

void descriptors(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd >= 0)
		save_close(fd);
	fd = save_open(path, O_RDONLY);
	if (fd >= 0)
		close(fd);
}
