/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio - streams as handles
 *
 * A stream holds its descriptor.  Where that was closed from under it, the
 * number may be another's by now, and fclose must not close it: glibc keeps
 * the number in the stream, where it can be taken out.
 *
 * A stream into memory that is released at its task's end drops what it has
 * not written yet: the buffer may have been on a stack that is gone.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reclaim.h"
#include "reclaim/memory_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"
#include "wrappers/child_private.h"

/* One in memory has none, which is no error here. */
static int descriptor_of(FILE *stream)
{
	int saved = errno, fd = fileno(stream);

	errno = saved;
	return fd;
}

/* At once, that is: no task's end waits for a reader that does not come. */
static bool can_flush(FILE *stream)
{
	struct pollfd fd = {.fd = descriptor_of(stream), .events = POLLOUT};

	return !__fpending(stream) || poll(&fd, 1, 0) != 0;
}

static void release_stream(const struct entry *held)
{
	FILE *stream = held->id;

	if (descriptor_of(stream) >= 0 && !fds_may_close(held))
		stream->_fileno = -1;
	if (descriptor_of(stream) < 0 || !can_flush(stream))
		__fpurge(stream);
	fclose(stream);
}

static int describe_stream(const void *id, char *buf, size_t len)
{
	int fd = descriptor_of((FILE *)id);

	if (fd < 0)
		return snprintf(buf, len, "in memory");
	return fd_kind.kind.describe((void *)(intptr_t)fd, buf, len);
}

static const struct kind stream_kind = {
	.kind = {.name = "FILE",
		 .describe = describe_stream,
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN | KIND_FOUND_BY_ID |
			 KIND_IS_UNIQUE},
	.release = release_stream,
};

static FILE *acquired_stream(struct acquisition *a, FILE *stream)
{
	return acquired_with_fd(a, stream, stream ? descriptor_of(stream) : -1);
}

/* ---- opening ---- */

FILE *save_fopen(const char *path, const char *mode)
{
	struct acquisition a;

	if (acquire(&a, &stream_kind, PLACE) < 0)
		return NULL;
	return acquired_stream(&a, fopen(path, mode));
}

FILE *save_fdopen(int fd, const char *mode)
{
	struct acquisition a;

	if (acquire(&a, &stream_kind, PLACE) < 0 ||
	    acquire_over(&a, fd, "fdopen", PLACE) < 0)
		return NULL;
	return acquired_stream(&a, fdopen(fd, mode));
}

FILE *save_tmpfile(void)
{
	struct acquisition a;

	if (acquire(&a, &stream_kind, PLACE) < 0)
		return NULL;
	return acquired_stream(&a, tmpfile());
}

FILE *save_fmemopen(void *buf, size_t size, const char *mode)
{
	struct acquisition a;

	if (acquire(&a, &stream_kind, PLACE) < 0)
		return NULL;
	return acquired_stream(&a, fmemopen(buf, size, mode));
}

/* ---- a stream that writes a block of the task's ---- */

struct growing {
	char **text; /* the caller's */
	size_t *len;
	char *block;
	size_t room, end, at;
};

static int grow(struct growing *g, size_t needed)
{
	size_t room = g->room ? g->room : 1;
	char *block;

	if (needed <= g->room)
		return 0;
	while (room < needed)
		room = room < SIZE_MAX / 2 ? room * 2 : needed;
	block = save_realloc(g->block, room);
	if (!block)
		return -1;
	memset(block + g->room, 0, room - g->room);
	g->block = block;
	g->room = room;
	return 0;
}

static void show(struct growing *g)
{
	*g->text = g->block;
	*g->len = g->at < g->end ? g->at : g->end;
}

static ssize_t write_growing(void *cookie, const char *data, size_t n)
{
	struct growing *g = cookie;
	size_t needed;

	/* And a zero behind it, which is not counted. */
	if (__builtin_add_overflow(g->at, n + 1, &needed) ||
	    grow(g, needed) < 0)
		return 0;
	memcpy(g->block + g->at, data, n);
	g->at += n;
	if (g->at > g->end) {
		g->end = g->at;
		g->block[g->end] = '\0';
	}
	show(g);
	return (ssize_t)n;
}

static int seek_growing(void *cookie, off64_t *offset, int whence)
{
	struct growing *g = cookie;
	off64_t base = 0, target;

	if (whence == SEEK_CUR)
		base = (off64_t)g->at;
	else if (whence == SEEK_END)
		base = (off64_t)g->end;
	if (__builtin_add_overflow(base, *offset, &target) || target < 0) {
		errno = EINVAL;
		return -1;
	}
	g->at = (size_t)target;
	*offset = target;
	show(g);
	return 0;
}

/*
 * The text ends where the stream is, which may be before what was written.
 * The caller's variables were told, and may be gone.
 */
static int close_growing(void *cookie)
{
	struct growing *g = cookie;

	if (g->at < g->end)
		g->block[g->at] = '\0';
	free(g);
	return 0;
}

static FILE *open_growing(char **text, size_t *len)
{
	cookie_io_functions_t io = {
		.write = write_growing,
		.seek = seek_growing,
		.close = close_growing,
	};
	struct growing *g = calloc(1, sizeof(*g));
	FILE *stream;

	if (!g)
		return NULL;
	*g = (struct growing){.text = text, .len = len, .room = 64};
	g->block = save_calloc(1, g->room);
	stream = g->block ? fopencookie(g, "w", io) : NULL;
	if (stream) {
		show(g);
		return stream;
	}
	save_free(g->block);
	free(g);
	return NULL;
}

FILE *save_open_memstream(char **text, size_t *len)
{
	struct acquisition a;

	if (acquire(&a, &stream_kind, PLACE) < 0)
		return NULL;
	return acquired_stream(&a, open_growing(text, len));
}

/* ---- closing and reopening ---- */

/*
 * The fd of a stream that is not in a ledger.  A plain entry for it is what
 * fdopen was given behind the wrappers, and goes with the stream; any other
 * is of one who has the number now.
 */
static void settle_untracked(FILE *stream)
{
	int fd = descriptor_of(stream);
	struct entry *entry;

	lock_take(&tables);
	entry = fds_find(fd);
	if (entry && entry->kind == &fd_kind.kind &&
	    task_is_kin(task_self(), entry->task))
		fds_lose(entry);
	else if (entry)
		stream->_fileno = -1;
	lock_drop(&tables);
}

/* Take a stream out of the ledger, and see to it that its fd is its own. */
static int let_go_stream(struct departure *d, FILE *stream, const char *did,
			 void *place)
{
	if (let_go(d, &stream_kind, stream, did, place) < 0)
		return -1;
	if (descriptor_of(stream) < 0)
		return 0;
	if (!d->held.kind)
		settle_untracked(stream);
	else if (!fds_may_close(&d->held))
		stream->_fileno = -1;
	if (descriptor_of(stream) < 0)
		errno = EBADF; /* which fclose will not say */
	return 0;
}

int save_fclose(FILE *stream)
{
	struct departure d;
	int result;

	if (let_go_stream(&d, stream, "fclose", PLACE) < 0)
		return EOF;
	result = fclose(stream);
	gone(&d);
	return result;
}

/*
 * Tracked or not, the stream stays what it was: stdout is the process's.  Where
 * it was tracked it becomes the current task's newest handle: also where it
 * could not be opened, and is closed, but not gone before fclose.
 */
FILE *save_freopen(const char *path, const char *mode, FILE *stream)
{
	struct acquisition a;
	struct departure d;
	FILE *reopened;

	if (acquire(&a, &stream_kind, PLACE) < 0)
		return NULL;
	if (let_go_stream(&d, stream, "freopen", PLACE) < 0) {
		acquire_cancel(&a);
		return NULL;
	}
	reopened = freopen(path, mode, stream);
	gone(&d);
	if (!d.held.kind) {
		acquire_cancel(&a);
		return reopened;
	}
	a.entry->u = d.held.u;
	a.entry->private_to_process = d.held.private_to_process;
	acquired_stream(&a, stream);
	return reopened;
}

/* ---- a process at the other end ---- */

struct popen_mode {
	bool reads;
	bool close_on_exec;
};

static int parse_mode(const char *text, struct popen_mode *mode)
{
	bool reads = strchr(text, 'r'), writes = strchr(text, 'w');

	mode->reads = reads;
	mode->close_on_exec = strchr(text, 'e');
	if (reads != writes && !text[strspn(text, "rwe")])
		return 0;
	errno = EINVAL;
	return -1;
}

/* The shell with `fd` as its standard input or output. */
static int start_shell(struct acquisition *a, const char *command, int fd,
		       int standard, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (!error) {
		error = posix_spawn_file_actions_adddup2(&actions, fd,
							 standard);
		if (!error)
			error = child_spawn_shell(a, command, &actions, NULL,
						  pid);
		else
			acquire_cancel(a);
		posix_spawn_file_actions_destroy(&actions);
	} else {
		acquire_cancel(a);
	}
	return error;
}

/* Both ends and the stream, or nothing. */
static FILE *open_pipe(const struct popen_mode *mode, int *theirs)
{
	FILE *stream;
	int ends[2], mine;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	mine = ends[!mode->reads];
	*theirs = ends[mode->reads];
	stream = fdopen(mine, mode->reads ? "r" : "w");
	if (!stream) {
		close(mine);
		close(*theirs);
	}
	return stream;
}

/* `child` is committed before the stream: it goes after it. */
static FILE *open_process(const char *command, const struct popen_mode *mode,
			  struct acquisition *child)
{
	FILE *stream;
	int theirs, error;
	pid_t pid;

	stream = open_pipe(mode, &theirs);
	if (!stream) {
		acquire_cancel(child);
		return NULL;
	}
	error = start_shell(child, command, theirs, mode->reads, &pid);
	close(theirs);
	if (error) {
		fclose(stream);
		errno = error;
		return NULL;
	}
	if (!mode->close_on_exec)
		fcntl(descriptor_of(stream), F_SETFD, 0);
	return stream;
}

FILE *save_popen(const char *command, const char *type)
{
	struct acquisition child, a;
	struct popen_mode mode;

	if (parse_mode(type, &mode) < 0)
		return NULL;
	if (acquire(&child, &child_kind, PLACE) < 0)
		return NULL;
	if (acquire(&a, &stream_kind, PLACE) < 0) {
		acquire_cancel(&child);
		return NULL;
	}
	a.cancel = child.cancel; /* restored when both are committed */
	child.cancel = -1;
	a.entry->u.peer = ledger_token(child.entry);
	a.entry->private_to_process = true;
	return acquired_stream(&a, open_process(command, &mode, &child));
}

/* The process behind a stream, unless it was waited for already: 0. */
static pid_t process_of(reclaim_token token)
{
	struct entry *entry;
	pid_t pid;

	lock_take(&tables);
	entry = ledger_find_token(token);
	pid = entry ? (pid_t)(intptr_t)entry->id : 0;
	lock_drop(&tables);
	return pid;
}

int save_pclose(FILE *stream)
{
	struct departure d;
	int status;
	pid_t pid;

	if (let_go_stream(&d, stream, "pclose", PLACE) < 0)
		return -1;
	if (!d.held.kind || !d.held.u.peer) {
		status = pclose(stream); /* not ours to know */
		gone(&d);
		return status;
	}
	fclose(stream);
	gone(&d);
	pid = process_of(d.held.u.peer);
	if (!pid) {
		errno = ECHILD;
		return -1;
	}
	while (child_wait(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* ---- text into a block of the task's ---- */

/* What libc printed, as the task's. */
static int take_text(char **text, char *printed, int len, void *place)
{
	char *block;

	if (len < 0)
		return -1;
	block = memory_alloc((size_t)len + 1, HEAP_ALIGN, place);
	if (block) {
		memcpy(block, printed, (size_t)len + 1);
		*text = block;
	}
	free(printed);
	return block ? len : -1;
}

int save_vasprintf(char **text, const char *format, va_list args)
{
	char *printed;
	int len = vasprintf(&printed, format, args);

	return take_text(text, printed, len, PLACE);
}

int save_asprintf(char **text, const char *format, ...)
{
	va_list args;
	char *printed;
	int len;

	va_start(args, format);
	len = vasprintf(&printed, format, args);
	va_end(args);
	return take_text(text, printed, len, PLACE);
}

/* What _FORTIFY_SOURCE makes of the two. */
int __vasprintf_chk(char **text, int flag, const char *format, va_list args);

int save_vasprintf_chk(char **text, int flag, const char *format, va_list args)
{
	char *printed;
	int len = __vasprintf_chk(&printed, flag, format, args);

	return take_text(text, printed, len, PLACE);
}

int save_asprintf_chk(char **text, int flag, const char *format, ...)
{
	va_list args;
	char *printed;
	int len;

	va_start(args, format);
	len = __vasprintf_chk(&printed, flag, format, args);
	va_end(args);
	return take_text(text, printed, len, PLACE);
}

static void unlock_stream(void *stream)
{
	funlockfile(stream);
}

/* The caller is cancelled where it reads: what it has is always current. */
static int grow_line(struct growing *g, size_t needed)
{
	if (grow(g, needed) < 0)
		return -1;
	*g->text = g->block;
	*g->len = g->room;
	return 0;
}

/* Up to `end`, with it; -1 at the end, or where memory is short. */
static ssize_t read_line(struct growing *g, int end, FILE *stream)
{
	int c;

	while ((c = getc_unlocked(stream)) != EOF) {
		if (grow_line(g, g->at + 2) < 0)
			return -1;
		g->block[g->at++] = (char)c;
		if (c == end)
			break;
	}
	if (g->at == 0)
		return -1;
	g->block[g->at] = '\0';
	return (ssize_t)g->at;
}

ssize_t save_getdelim(char **line, size_t *room, int end, FILE *stream)
{
	struct growing g = {.text = line, .len = room};
	volatile ssize_t len = -1; /* read after a cancellation scope */

	if (!line || !room) {
		errno = EINVAL;
		return -1;
	}
	flockfile(stream);
	pthread_cleanup_push(unlock_stream, stream);
	g.block = *line;
	g.room = *line ? *room : 0;
	if (grow_line(&g, 120) == 0)
		len = read_line(&g, end, stream);
	pthread_cleanup_pop(1);
	return len;
}

ssize_t save_getline(char **line, size_t *room, FILE *stream)
{
	return save_getdelim(line, room, '\n', stream);
}
