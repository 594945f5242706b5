/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias_names - uses every name that reclaim.h gives an alias to, plainly
 *
 * Compiled, not run: alias.sh looks at the symbols that are left.  It is C and
 * C++ alike.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Words that are no functions are left alone. */
struct words {
	int (*open)(const char *path);
	void (*free)(void *ptr);
	int close, dup, socket;
};

extern int sum;
extern void *keep;
extern char *text;
extern FILE *stream;
extern int fds[2];
extern char *words[2];
extern sigset_t mask;

/* No header has it any more, but old programs do. */
void cfree(void *ptr);

void memory(struct words *w, size_t n);
void descriptors(struct words *w, int flags, mode_t mode);
void streams(int fd);
void processes(pthread_t *thread, void *(*start)(void *));
void print(const char *format, va_list args);
void large_files(int flags, mode_t mode);

void memory(struct words *w, size_t n)
{
	char *block = (char *)malloc(n);

	/* gcc likes to make one calloc of these. */
	if (block)
		memset(block, 0, n);
	keep = block;
	keep = malloc(n);
	keep = calloc(n, 2);
	keep = realloc(keep, n);
	/* ... and one malloc of this. */
	keep = realloc(NULL, n);
	keep = strdup(text);
	keep = strndup(text, n);
	sum += posix_memalign(&keep, 64, n);
#if defined __USE_ISOC11 || defined __cplusplus
	keep = aligned_alloc(64, n);
#endif
#ifdef __USE_MISC
	keep = reallocarray(keep, n, 2);
#endif
	w->free = free;
	w->free(keep);
	free(block);
	cfree(keep);
}

void descriptors(struct words *w, int flags, mode_t mode)
{
	sum += w->open(text) + w->close + w->dup + w->socket;
	sum += open(text, O_RDONLY) + open(text, flags, mode);
	sum += openat(fds[0], text, O_RDONLY) +
	       openat(fds[0], text, flags, mode);
	sum += creat(text, mode) + close(sum) + dup(sum) + dup2(sum, 3);
	sum += fcntl(sum, F_DUPFD, 3) + pipe(fds) + socket(1, 2, 3);
	sum += socketpair(1, 2, 3, fds) + accept(sum, NULL, NULL);
	sum += mkstemp(text);
	keep = mkdtemp(text);
	sum += epoll_create1(0) + eventfd(0, 0) + inotify_init1(0);
	sum += timerfd_create(CLOCK_MONOTONIC, 0) + signalfd(-1, &mask, 0);
#ifdef __USE_GNU
	sum += dup3(1, 2, 0) + pipe2(fds, 0) + memfd_create(text, 0);
	sum += accept4(sum, NULL, NULL, 0);
#endif
	keep = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, sum, 0);
	sum += munmap(keep, 4096);
#ifdef __USE_GNU
	keep = mremap(keep, 4096, 8192, MREMAP_MAYMOVE);
#endif
}

void streams(int fd)
{
	/* As a call it may be an inline one of getdelim. */
	ssize_t (*volatile get)(char **, size_t *, FILE *) = getline;
	size_t room = 0;
	DIR *directory = opendir(text);

	sum += closedir(directory) + closedir(fdopendir(fd));
	stream = fopen(text, "r");
	stream = fdopen(fd, "r");
	stream = freopen(text, "r", stream);
	stream = tmpfile();
	stream = fmemopen(text, 8, "r");
	stream = open_memstream(&text, &room);
	sum += (int)getline(&text, &room, stream);
	sum += (int)get(&text, &room, stream);
	sum += (int)getdelim(&text, &room, ':', stream);
	sum += fclose(stream);
	stream = popen(text, "r");
	sum += pclose(stream);
}

void processes(pthread_t *thread, void *(*start)(void *))
{
	keep = dlopen(text, RTLD_NOW);
	sum += dlclose(keep) + system(text);
	sum += fork() + waitpid(-1, NULL, 0);
	sum += posix_spawn(NULL, text, NULL, NULL, words, words);
	sum += posix_spawnp(NULL, text, NULL, NULL, words, words);
	sum += pthread_create(thread, NULL, start, NULL);
	sum += pthread_detach(*thread) + pthread_join(*thread, NULL);
	exit(sum);
}

void print(const char *format, va_list args)
{
#ifdef __USE_GNU
	sum += asprintf(&text, "%d", sum) + vasprintf(&text, format, args);
#else
	sum += vprintf(format, args);
#endif
}

void large_files(int flags, mode_t mode)
{
#ifdef __USE_LARGEFILE64
	sum += open64(text, O_RDONLY) + open64(text, flags, mode);
	sum += openat64(3, text, O_RDONLY) + openat64(3, text, flags, mode);
	sum += creat64(text, mode) + mkstemp64(text);
	stream = fopen64(text, "r");
	stream = freopen64(text, "r", stream);
	stream = tmpfile64();
	sum += fcntl64(sum, F_DUPFD, 3);
	keep = mmap64(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0);
#else
	sum += flags + (int)mode;
#endif
}

#ifdef __cplusplus
}
#endif
