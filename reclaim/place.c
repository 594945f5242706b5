/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/place_private.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/lock_private.h"

bool place_kept;

void place_start(void)
{
	const char *value = getenv("RECLAIM_PLACES");

	place_kept = value && strcmp(value, "") != 0 && strcmp(value, "0") != 0;
}

/* The caller, not the return address behind its call. */
static uintptr_t call_of(const void *place)
{
	return (uintptr_t)place - 1;
}

#ifdef HAVE_LIBDWFL
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * libdw is not linked but loaded when the first place is described: a port
 * program that has nothing to report needs libc alone.
 */
static struct {
	bool tried;
	Dwfl *dwfl;
	__typeof__(&dwfl_begin) begin;
	__typeof__(&dwfl_linux_proc_report) report;
	__typeof__(&dwfl_report_begin) report_begin;
	__typeof__(&dwfl_report_end) report_end;
	__typeof__(&dwfl_addrmodule) module;
	__typeof__(&dwfl_module_getsrc) line_of;
	__typeof__(&dwfl_lineinfo) line_info;
	__typeof__(&dwfl_linux_proc_find_elf) find_elf;
	__typeof__(&dwfl_standard_find_debuginfo) find_debuginfo;
} dw;

static struct lock lock = LOCK_INIT;

static bool find_symbols(void *lib)
{
	static const char *const names[] = {
		"dwfl_begin",
		"dwfl_linux_proc_report",
		"dwfl_report_begin",
		"dwfl_report_end",
		"dwfl_addrmodule",
		"dwfl_module_getsrc",
		"dwfl_lineinfo",
		"dwfl_linux_proc_find_elf",
		"dwfl_standard_find_debuginfo",
	};
	void **pointers = (void **)&dw.begin;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pointers[i] = dlsym(lib, names[i]);
		if (!pointers[i])
			return false;
	}
	return true;
}

/* What libdw opens it keeps open; it is for no program that is started. */
static int close_on_exec(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static int find_elf(Dwfl_Module *module, void **data, const char *name,
		    Dwarf_Addr base, char **file, Elf **elf)
{
	return close_on_exec(dw.find_elf(module, data, name, base, file, elf));
}

static int find_debuginfo(Dwfl_Module *module, void **data, const char *name,
			  Dwarf_Addr base, const char *file, const char *link,
			  GElf_Word crc, char **found)
{
	return close_on_exec(dw.find_debuginfo(module, data, name, base, file,
					       link, crc, found));
}

static void load(void)
{
	static Dwfl_Callbacks callbacks;
	static char *no_path;
	void *lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

	dw.tried = true;
	if (!lib || !find_symbols(lib))
		return;
	callbacks = (Dwfl_Callbacks){
		.find_elf = find_elf,
		.find_debuginfo = find_debuginfo,
		.debuginfo_path = &no_path,
	};
	dw.dwfl = dw.begin(&callbacks);
}

static bool describe_line(uintptr_t address, char *buf, size_t len)
{
	Dwfl_Module *module;
	Dwfl_Line *line;
	const char *file, *base;
	int number;

	if (!dw.tried)
		load();
	if (!dw.dwfl)
		return false;
	/* Libraries come and go: look at what is mapped now. */
	dw.report_begin(dw.dwfl);
	if (dw.report(dw.dwfl, getpid()) != 0 ||
	    dw.report_end(dw.dwfl, NULL, NULL) != 0)
		return false;
	module = dw.module(dw.dwfl, address);
	line = module ? dw.line_of(module, address) : NULL;
	file = line ? dw.line_info(line, NULL, &number, NULL, NULL, NULL)
		    : NULL;
	if (!file)
		return false;
	base = strrchr(file, '/');
	snprintf(buf, len, "%s:%d", base ? base + 1 : file, number);
	return true;
}

static bool describe_source(uintptr_t address, char *buf, size_t len)
{
	bool found;

	lock_take(&lock);
	found = describe_line(address, buf, len);
	lock_drop(&lock);
	return found;
}

void place_lock(void)
{
	lock_take(&lock);
}

void place_unlock(void)
{
	lock_drop(&lock);
}
#else
void place_lock(void)
{
}

void place_unlock(void)
{
}

static bool describe_source(uintptr_t address, char *buf, size_t len)
{
	(void)address, (void)buf, (void)len;
	return false;
}
#endif

static void describe_symbol(uintptr_t address, char *buf, size_t len)
{
	Dl_info info;
	const char *base;

	if (!dladdr((void *)address, &info) || !info.dli_fname) {
		snprintf(buf, len, "%#lx", (unsigned long)address);
		return;
	}
	base = strrchr(info.dli_fname, '/');
	base = base ? base + 1 : info.dli_fname;
	if (info.dli_sname)
		snprintf(buf, len, "%s+%#lx (%s)", info.dli_sname,
			 (unsigned long)(address - (uintptr_t)info.dli_saddr),
			 base);
	else
		snprintf(buf, len, "%s+%#lx", base,
			 (unsigned long)(address - (uintptr_t)info.dli_fbase));
}

char *place_describe(const void *place, char *buf, size_t len)
{
	if (!place)
		buf[0] = '\0';
	else if (!describe_source(call_of(place), buf, len))
		describe_symbol(call_of(place), buf, len);
	return buf;
}
