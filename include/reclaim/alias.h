/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim/alias.h - the plain names mean the save_ names
 *
 * What is renamed are symbols, as the compiler hands them to the linker: a
 * struct member called open stays what it is, and &free is &save_free.  A name
 * that the program's feature macros hide stays hidden.
 *
 * The pragmas stand before the system headers, which is the one place that
 * both gcc and clang heed in C and in C++.  Hence this comes first in a file.
 */
#ifndef RECLAIM_ALIAS_H
#define RECLAIM_ALIAS_H

#include <features.h>

/* What was declared before keeps its name: quietly so in g++. */
#if defined _DIRENT_H || defined _DLFCN_H || defined _FCNTL_H ||          \
	defined _PTHREAD_H || defined _SPAWN_H || defined _STDIO_H ||     \
	defined _STDLIB_H || defined _STRING_H || defined _SYS_EPOLL_H || \
	defined _SYS_EVENTFD_H || defined _SYS_INOTIFY_H ||               \
	defined _SYS_MMAN_H || defined _SYS_SIGNALFD_H ||                 \
	defined _SYS_SOCKET_H || defined _SYS_TIMERFD_H ||                \
	defined _SYS_WAIT_H || defined _UNISTD_H
#error "reclaim.h comes before any system header: compile with -include reclaim.h"
#endif

#pragma redefine_extname reallocarray save_reallocarray
#pragma redefine_extname aligned_alloc save_aligned_alloc
#pragma redefine_extname posix_memalign save_posix_memalign
#pragma redefine_extname strdup save_strdup
#pragma redefine_extname strndup save_strndup
#pragma redefine_extname asprintf save_asprintf
#pragma redefine_extname vasprintf save_vasprintf
#pragma redefine_extname getdelim save_getdelim
#pragma redefine_extname getline save_getline
#pragma redefine_extname cfree save_cfree
#pragma redefine_extname open save_open
#pragma redefine_extname openat save_openat
#pragma redefine_extname creat save_creat
#pragma redefine_extname close save_close
#pragma redefine_extname dup save_dup
#pragma redefine_extname dup2 save_dup2
#pragma redefine_extname dup3 save_dup3
#pragma redefine_extname fcntl save_fcntl
#pragma redefine_extname pipe save_pipe
#pragma redefine_extname pipe2 save_pipe2
#pragma redefine_extname socket save_socket
#pragma redefine_extname socketpair save_socketpair
#pragma redefine_extname accept save_accept
#pragma redefine_extname accept4 save_accept4
#pragma redefine_extname mkstemp save_mkstemp
#pragma redefine_extname mkdtemp save_mkdtemp
#pragma redefine_extname epoll_create1 save_epoll_create1
#pragma redefine_extname eventfd save_eventfd
#pragma redefine_extname timerfd_create save_timerfd_create
#pragma redefine_extname signalfd save_signalfd
#pragma redefine_extname inotify_init1 save_inotify_init1
#pragma redefine_extname memfd_create save_memfd_create
#pragma redefine_extname fopen save_fopen
#pragma redefine_extname fdopen save_fdopen
#pragma redefine_extname freopen save_freopen
#pragma redefine_extname fclose save_fclose
#pragma redefine_extname tmpfile save_tmpfile
#pragma redefine_extname popen save_popen
#pragma redefine_extname pclose save_pclose
#pragma redefine_extname fmemopen save_fmemopen
#pragma redefine_extname open_memstream save_open_memstream
#pragma redefine_extname opendir save_opendir
#pragma redefine_extname fdopendir save_fdopendir
#pragma redefine_extname closedir save_closedir
#pragma redefine_extname mmap save_mmap
#pragma redefine_extname munmap save_munmap
#pragma redefine_extname mremap save_mremap
#pragma redefine_extname dlopen save_dlopen
#pragma redefine_extname dlclose save_dlclose
#pragma redefine_extname fork save_fork
#pragma redefine_extname posix_spawn save_posix_spawn
#pragma redefine_extname posix_spawnp save_posix_spawnp
#pragma redefine_extname system save_system
#pragma redefine_extname waitpid save_waitpid
#pragma redefine_extname exit save_exit
#pragma redefine_extname pthread_create save_pthread_create
#pragma redefine_extname pthread_join save_pthread_join
#pragma redefine_extname pthread_detach save_pthread_detach

/*
 * gcc makes calloc of malloc and memset, and malloc of realloc(NULL, n), by
 * declarations of its own.  In C those heed a label alone: see the end.
 */
#if defined __cplusplus || defined __clang__
#pragma redefine_extname malloc save_malloc
#pragma redefine_extname calloc save_calloc
#pragma redefine_extname realloc save_realloc
#pragma redefine_extname free save_free
#endif

/* The same, where file offsets have 64 bits. */
#pragma redefine_extname open64 save_open
#pragma redefine_extname openat64 save_openat
#pragma redefine_extname creat64 save_creat
#pragma redefine_extname fcntl64 save_fcntl
#pragma redefine_extname mkstemp64 save_mkstemp
#pragma redefine_extname fopen64 save_fopen
#pragma redefine_extname freopen64 save_freopen
#pragma redefine_extname tmpfile64 save_tmpfile
#pragma redefine_extname mmap64 save_mmap

/* What _FORTIFY_SOURCE, inline functions and old headers make of them. */
#pragma redefine_extname __open_2 save_open_2
#pragma redefine_extname __open64_2 save_open_2
#pragma redefine_extname __openat_2 save_openat_2
#pragma redefine_extname __openat64_2 save_openat_2
#pragma redefine_extname __asprintf_chk save_asprintf_chk
#pragma redefine_extname __vasprintf_chk save_vasprintf_chk
#pragma redefine_extname __getdelim save_getdelim
#pragma redefine_extname __strdup save_strdup
#pragma redefine_extname __strndup save_strndup

/*
 * Two things would slip past the pragmas: open and openat as inline functions
 * of a fortified <fcntl.h>, which call the symbol by a label; and, with
 * _FILE_OFFSET_BITS=64, labels on all names that take an offset.  Where long
 * has 64 bits those labels change nothing but the name.
 */
#ifdef __USE_FILE_OFFSET64
#ifndef __LP64__
#error "reclaim.h cannot alias names under _FILE_OFFSET_BITS=64 on this machine"
#endif
#pragma push_macro("__USE_FILE_OFFSET64")
#undef __USE_FILE_OFFSET64
#define RECLAIM_FILE_OFFSET64
#endif
#pragma push_macro("__USE_FORTIFY_LEVEL")
#undef __USE_FORTIFY_LEVEL
#define __USE_FORTIFY_LEVEL 0
#include <fcntl.h>
#pragma pop_macro("__USE_FORTIFY_LEVEL")
#include <reclaim/shadowed.h>
#ifdef RECLAIM_FILE_OFFSET64
#pragma pop_macro("__USE_FILE_OFFSET64")
#undef RECLAIM_FILE_OFFSET64
#endif

#if !defined __cplusplus && !defined __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
extern void *malloc(size_t) __asm__("save_malloc");
extern void *calloc(size_t, size_t) __asm__("save_calloc");
extern void *realloc(void *, size_t) __asm__("save_realloc");
extern void free(void *) __asm__("save_free");
#pragma GCC diagnostic pop
#endif

#endif
