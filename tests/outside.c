/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outside - a program of somebody else's, as installed.sh compiles it
 *
 * It knows nothing of the library but `-include reclaim.h`: in thousands of
 * tasks it takes memory, descriptors, a FILE, a DIR and a socket pair by their
 * plain names, gives none of them back, and ends in one of four ways.
 * Afterwards no descriptor is open that was not open before, and the process
 * has not grown: a leak of two KiB a task would show.
 */
#include <reclaim/task.h>

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TASKS	 6000
#define TOGETHER 4    /* at a time, one for each way to end */
#define WARM_UP	 1000 /* tasks, until caches have what they keep */
#define MARGIN	 8192 /* KiB: libc keeps stacks and arenas, as they come */

enum { BY_RETURN, BY_EXIT, BY_RECLAIM_EXIT, BY_KILL };

static sem_t holding;

static void need(int condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	abort();
}

static void acquire(void)
{
	int sockets[2], size;
	char *text = strdup("held");

	need(text != NULL, "strdup");
	for (size = 16; size <= 65536; size *= 4) {
		char *block = malloc((size_t)size);

		need(block != NULL, "malloc");
		memset(block, 1, (size_t)size);
	}
	need(open("/dev/null", O_RDONLY) >= 0, "open");
	need(fopen("/dev/zero", "r") != NULL, "fopen");
	need(opendir("/") != NULL, "opendir");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
}

static int entry(int argc, char **argv, char **envp)
{
	int way = atoi(argv[argc - 1]);

	(void)envp;
	acquire();
	sem_post(&holding);
	if (way == BY_EXIT)
		exit(way);
	if (way == BY_RECLAIM_EXIT)
		reclaim_exit(way);
	if (way == BY_KILL)
		for (;;)
			pause();
	return way;
}

static void run_one_of_each(void)
{
	reclaim_tid tids[TOGETHER];
	int way, status;

	for (way = 0; way < TOGETHER; way++) {
		char number[2] = {(char)('0' + way), '\0'};
		char *argv[] = {number, NULL};

		tids[way] = reclaim_spawn(NULL, entry, argv);
		need(tids[way] != 0, "reclaim_spawn");
	}
	for (way = 0; way < TOGETHER; way++)
		sem_wait(&holding);
	need(reclaim_kill(tids[BY_KILL]) == 0, "reclaim_kill");
	for (way = 0; way < TOGETHER; way++) {
		need(reclaim_wait(tids[way], &status, 10000) == 0,
		     "reclaim_wait");
		need(status == (way == BY_KILL ? RECLAIM_KILLED : way),
		     "the status");
	}
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	need(dir != NULL, "/proc/self/fd");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	need(file && fscanf(file, "%*d %ld", &pages) == 1, "statm");
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(void)
{
	int done, fds, fds_end;
	long kib = 0, kib_end;

	sem_init(&holding, 0, 0);
	fds = count_fds();
	for (done = 0; done < TASKS; done += TOGETHER) {
		if (done == WARM_UP)
			kib = resident_kib();
		run_one_of_each();
	}
	fds_end = count_fds();
	kib_end = resident_kib();
	printf("%d tasks: %d fds before, %d after; %ld KiB warm, %ld after\n",
	       done, fds, fds_end, kib, kib_end);
	return fds_end != fds || kib_end > kib + MARGIN;
}
