/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias_run - each plain name, called, ends in the ledger
 *
 * alias.sh compiles it with -include reclaim.h in several ways, as C and C++,
 * and runs it.  In a task of its own each name must change what the task
 * holds, and what gives it back must change that again.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
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

extern char **environ;
#ifdef __cplusplus
extern "C"
#endif
	void
	cfree(void *ptr);

static int failures;

static struct reclaim_task_info info(void)
{
	struct reclaim_task_info now;

	reclaim_task_info(reclaim_self(), &now);
	return now;
}

/* What the task holds since the last look. */
static void expect(const char *what, int handles, int blocks)
{
	static struct reclaim_task_info last;
	struct reclaim_task_info now = info();
	int more_handles = (int)now.handles - (int)last.handles;
	int more_blocks = (int)now.blocks - (int)last.blocks;

	if (what && (more_handles != handles || more_blocks != blocks)) {
		printf("%s: %+d handles and %+d blocks, not %+d and %+d\n",
		       what, more_handles, more_blocks, handles, blocks);
		failures++;
	}
	last = now;
}

/* Blocks that nobody looks at are optimised away. */
static void *volatile seen;

#define TAKES(n, call) ((void)(call), expect(#call, (n), 0))
#define GIVES(n, call) ((void)(call), expect(#call, -(n), 0))
#define KEEPS(call)    ((void)(call), expect(#call, 0, 0))
#define TAKES_BLOCK(block, call) \
	((void)(call), seen = (block), expect(#call, 0, 1))
#define GIVES_BLOCK(call) ((void)(call), expect(#call, 0, -1))

static int print(char **text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(text, format, args);
	va_end(args);
	return len;
}

/* gcc makes one calloc of the two. */
static char *zeroes(size_t n)
{
	char *block = (char *)malloc(n);

	if (block)
		memset(block, 0, n);
	return block;
}

static void memory(void)
{
	void (*give_back)(void *) = free;
	void *volatile none = NULL;
	void *block = NULL;
	char *text = NULL;
	size_t room = 0;
	FILE *stream;

	TAKES_BLOCK(block, block = malloc(10));
	KEEPS(block = realloc(block, 2000));
	KEEPS(block = reallocarray(block, 40, 100));
	GIVES_BLOCK(give_back(block));
	TAKES_BLOCK(block, block = realloc(NULL, 10));
	GIVES_BLOCK(free(block));
	TAKES_BLOCK(block, block = realloc(none, 10));
	GIVES_BLOCK(cfree(block));
	TAKES_BLOCK(block, block = zeroes(100));
	GIVES_BLOCK(free(block));
	TAKES_BLOCK(block, block = calloc(3, 4));
	GIVES_BLOCK(free(block));
	TAKES_BLOCK(block, block = aligned_alloc(64, 64));
	GIVES_BLOCK(free(block));
	TAKES_BLOCK(block, failures += posix_memalign(&block, 64, 64) != 0);
	GIVES_BLOCK(free(block));
	TAKES_BLOCK(text, text = strdup("text"));
	GIVES_BLOCK(free(text));
	TAKES_BLOCK(text, text = strndup("text", 2));
	GIVES_BLOCK(free(text));
	TAKES_BLOCK(text, failures += asprintf(&text, "%d", 1) != 1);
	GIVES_BLOCK(free(text));
	TAKES_BLOCK(text, failures += print(&text, "%d", 1) != 1);
	GIVES_BLOCK(free(text));
	TAKES(1, stream = fopen("/proc/self/status", "r"));
	text = NULL;
	TAKES_BLOCK(text, failures += getline(&text, &room, stream) < 1);
	GIVES(1, fclose(stream));
	GIVES_BLOCK(free(text));
}

/* A name for mkstemp. */
static char *temporary(char *name)
{
	strcpy(name, "/tmp/alias-XXXXXX");
	return name;
}

static void files(void)
{
	int flags = O_RDWR | O_CREAT;
	char name[32];
	int fd, copy;

	TAKES(1, fd = mkstemp(temporary(name)));
	GIVES(1, close(fd));
	TAKES(1, fd = open(name, O_RDONLY));
	TAKES(1, copy = dup(fd));
	GIVES(1, close(copy));
	TAKES(1, copy = fcntl(fd, F_DUPFD, 0));
	KEEPS(dup2(fd, copy));
	KEEPS(dup3(fd, copy, O_CLOEXEC));
	GIVES(1, close(copy));
	GIVES(1, close(fd));
	TAKES(1, fd = open(name, flags, 0600));
	GIVES(1, close(fd));
	TAKES(1, fd = openat(AT_FDCWD, name, O_RDONLY));
	GIVES(1, close(fd));
	TAKES(1, fd = openat(AT_FDCWD, name, flags, 0600));
	GIVES(1, close(fd));
	TAKES(1, fd = creat(name, 0600));
	GIVES(1, close(fd));
	unlink(name);
	KEEPS(failures += !mkdtemp(temporary(name)));
	rmdir(name);
}

#ifdef __USE_LARGEFILE64
static void large_files(void)
{
	char name[32];
	FILE *stream;
	void *mapping;
	int fd, copy;

	TAKES(1, fd = mkstemp64(temporary(name)));
	TAKES(1, copy = fcntl64(fd, F_DUPFD, 0));
	GIVES(1, close(copy));
	GIVES(1, close(fd));
	TAKES(1, fd = open64(name, O_RDONLY));
	GIVES(1, close(fd));
	TAKES(1, fd = openat64(AT_FDCWD, name, O_RDWR | O_CREAT, 0600));
	GIVES(1, close(fd));
	TAKES(1, fd = creat64(name, 0600));
	GIVES(1, close(fd));
	TAKES(1, stream = fopen64(name, "r"));
	KEEPS(stream = freopen64(name, "w", stream));
	GIVES(1, fclose(stream));
	TAKES(1, stream = tmpfile64());
	GIVES(1, fclose(stream));
	TAKES(1, mapping = mmap64(NULL, 4096, PROT_READ,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	GIVES(1, munmap(mapping, 4096));
	unlink(name);
}
#endif

static void give_two(int fds[2])
{
	GIVES(1, close(fds[0]));
	GIVES(1, close(fds[1]));
}

static void connect_and_accept(void)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	int listening, caller, fd, four;

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	TAKES(1, listening = socket(AF_INET, SOCK_STREAM, 0));
	bind(listening, (struct sockaddr *)&address, sizeof(address));
	listen(listening, 4);
	getsockname(listening, (struct sockaddr *)&address, &len);
	for (four = 0; four < 2; four++) {
		TAKES(1, caller = socket(AF_INET, SOCK_STREAM, 0));
		connect(caller, (struct sockaddr *)&address, sizeof(address));
		if (four)
			TAKES(1, fd = accept4(listening, NULL, NULL, 0));
		else
			TAKES(1, fd = accept(listening, NULL, NULL));
		GIVES(1, close(fd));
		GIVES(1, close(caller));
	}
	GIVES(1, close(listening));
}

static void descriptors(void)
{
	sigset_t mask;
	int fds[2], fd;

	TAKES(2, failures += pipe(fds) < 0);
	give_two(fds);
	TAKES(2, failures += pipe2(fds, O_CLOEXEC) < 0);
	give_two(fds);
	TAKES(2, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	give_two(fds);
	connect_and_accept();
	TAKES(1, fd = epoll_create1(0));
	GIVES(1, close(fd));
	TAKES(1, fd = eventfd(0, 0));
	GIVES(1, close(fd));
	TAKES(1, fd = timerfd_create(CLOCK_MONOTONIC, 0));
	GIVES(1, close(fd));
	sigemptyset(&mask);
	TAKES(1, fd = signalfd(-1, &mask, 0));
	GIVES(1, close(fd));
	TAKES(1, fd = inotify_init1(0));
	GIVES(1, close(fd));
	TAKES(1, fd = memfd_create("alias", 0));
	GIVES(1, close(fd));
}

static void streams(void)
{
	char buf[16], *text = NULL;
	size_t size = 0;
	FILE *stream;
	DIR *directory;
	int fd;

	TAKES(1, stream = fopen("/dev/null", "r"));
	KEEPS(stream = freopen("/dev/zero", "r", stream));
	GIVES(1, fclose(stream));
	TAKES(1, fd = open("/dev/null", O_RDONLY));
	KEEPS(stream = fdopen(fd, "r"));
	GIVES(1, fclose(stream));
	TAKES(1, stream = tmpfile());
	GIVES(1, fclose(stream));
	TAKES(1, stream = fmemopen(buf, sizeof(buf), "w"));
	GIVES(1, fclose(stream));
	stream = open_memstream(&text, &size);
	expect("open_memstream", 1, 1);
	GIVES(1, fclose(stream));
	GIVES_BLOCK(free(text));
	TAKES(1, directory = opendir("/"));
	GIVES(1, closedir(directory));
	TAKES(1, fd = open("/", O_RDONLY));
	KEEPS(directory = fdopendir(fd));
	GIVES(1, closedir(directory));
	TAKES(2, stream = popen("exit 3", "r"));
	GIVES(2, failures += WEXITSTATUS(pclose(stream)) != 3);
}

static void mappings(void)
{
	void *mapping, *library;

	TAKES(1, mapping = mmap(NULL, 4096, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	KEEPS(mapping = mremap(mapping, 4096, 8192, MREMAP_MAYMOVE));
	GIVES(1, munmap(mapping, 8192));
	TAKES(1, library = dlopen("libm.so.6", RTLD_NOW));
	GIVES(1, dlclose(library));
}

static void *wait_for_end(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *return_at_once(void *arg)
{
	return arg;
}

static void processes(void)
{
	char name[] = "true", path[] = "/bin/true";
	char *argv[] = {name, NULL};
	pthread_t thread;
	int status;
	pid_t pid;

	expect(NULL, 0, 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	expect("fork", 1, 0);
	GIVES(1, waitpid(pid, &status, 0));
	TAKES(1, posix_spawn(&pid, path, NULL, NULL, argv, environ));
	GIVES(1, waitpid(pid, &status, 0));
	TAKES(1, posix_spawnp(&pid, name, NULL, NULL, argv, environ));
	GIVES(1, waitpid(pid, &status, 0));
	KEEPS(failures += WEXITSTATUS(system("exit 3")) != 3);
	TAKES(1, pthread_create(&thread, NULL, return_at_once, NULL));
	GIVES(1, pthread_join(thread, NULL));
	/* One that is detached stays a handle while it runs. */
	TAKES(1, pthread_create(&thread, NULL, wait_for_end, NULL));
	KEEPS(failures += pthread_detach(thread) != 0);
}

static int in_thread(int argc, char **argv, char **envp)
{
	(void)argc, (void)argv, (void)envp;
	exit(7);
}

int main(void)
{
	reclaim_tid task = reclaim_task_new(NULL);
	int status = 0;

	if (!task || reclaim_enter(task) < 0)
		return 2;
	expect(NULL, 0, 0);
	memory();
	files();
#ifdef __USE_LARGEFILE64
	large_files();
#endif
	descriptors();
	streams();
	mappings();
	processes();
	reclaim_leave();
	reclaim_end(task, 0);
	task = reclaim_spawn(NULL, in_thread, NULL);
	if (reclaim_wait(task, &status, 10000) < 0 || status != 7) {
		printf("exit(7) in a task gave it status %d\n", status);
		failures++;
	}
	return failures != 0;
}
