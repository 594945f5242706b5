/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drivers - by name, built in or loaded
 *
 * A directory is held open from when it was looked at: what its path means
 * later does not matter.  What is above it is found from it, by "..", and not
 * by its path, which may lead through links.
 *
 * A file is opened, looked at, and loaded through its descriptor in /proc, so
 * that what was looked at is what is loaded.  The descriptor stays open: to
 * dlopen(3) that path is the object's name, and a second object by a name that
 * it knows would be the first one.
 *
 * A symbol is believed when the object itself has it and it is large enough: a
 * file that is no driver is told from one, not run.
 */
#include "config.h"

#include "ports/drivers_private.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAME 63

/* Of why something is refused, as reclaim_say has it. */
#define WHY_SIZE 512

struct directory {
	int fd;
	char *path; /* as it was told */
};

/* A driver or a program. */
struct loaded {
	int fd;
	void *object; /* dlopen's */
	const struct reclaim_driver *driver;
	reclaim_entry *program;
	char name[MAX_NAME + 1];
};

struct objects {
	struct loaded *list;
	size_t count;
};

struct drivers {
	const struct reclaim_driver *const *built_in;
	size_t built_in_count;
	struct objects loaded, programs;
	struct directory *directories;
	size_t directory_count;
};

/* For the end of a function that fails with `error`, and says why. */
static int __attribute__((format(printf, 4, 5)))
refuse(int error, char *why, size_t len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, len, format, args);
	va_end(args);
	errno = error;
	return -1;
}

/* Where the words that are to follow this go. */
static size_t __attribute__((format(printf, 3, 4)))
begin(char *why, size_t len, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(why, len, format, args);
	va_end(args);
	return (size_t)n < len ? (size_t)n : len;
}

/* ---- names ---- */

static bool is_name(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++)
		if (i == MAX_NAME ||
		    (!isalnum((unsigned char)name[i]) && name[i] != '_') ||
		    !isascii((unsigned char)name[i]))
			return false;
	return i > 0;
}

static const struct reclaim_driver *known(const struct drivers *drivers,
					  const char *name)
{
	const struct reclaim_driver *driver;
	size_t n;

	for (n = 0; (driver = drivers_nth(drivers, n)); n++)
		if (!strcmp(driver->name, name))
			return driver;
	return NULL;
}

static int check_driver(const struct reclaim_driver *driver, char *why,
			size_t len)
{
	if (driver->abi != RECLAIM_DRIVER_ABI)
		return refuse(EINVAL, why, len,
			      "it was made for version %u of <reclaim/driver.h>"
			      " and this program is for version %u: compile it "
			      "anew",
			      driver->abi, RECLAIM_DRIVER_ABI);
	if (driver->flags & ~RECLAIM_DRIVER_SLOW_END)
		return refuse(EINVAL, why, len,
			      "it has flags that are none: 0x%x",
			      driver->flags);
	if (!driver->name || !is_name(driver->name))
		return refuse(EINVAL, why, len,
			      "its name is not 1 to %d letters, digits and "
			      "underscores",
			      MAX_NAME);
	return 0;
}

/* ---- those built in ---- */

static int take_built_in(struct drivers *drivers,
			 const struct reclaim_driver *driver)
{
	char why[WHY_SIZE];

	if (check_driver(driver, why, sizeof(why)) == 0) {
		if (!known(drivers, driver->name)) {
			drivers->built_in_count++;
			return 0;
		}
		refuse(EINVAL, why, sizeof(why), "there are two of that name");
	}
	reclaim_say(RECLAIM_ERROR, "driver %zu (%.*s) cannot be used: %s",
		    drivers->built_in_count + 1, MAX_NAME,
		    driver->abi == RECLAIM_DRIVER_ABI && driver->name
			    ? driver->name
			    : "?",
		    why);
	return -1;
}

struct drivers *drivers_new(const struct reclaim_driver *const *built_in)
{
	struct drivers *drivers = calloc(1, sizeof(*drivers));

	if (!drivers || !built_in)
		return drivers;
	for (drivers->built_in = built_in; *built_in; built_in++)
		if (take_built_in(drivers, *built_in) < 0) {
			free(drivers);
			errno = EINVAL;
			return NULL;
		}
	return drivers;
}

const struct reclaim_driver *drivers_nth(const struct drivers *drivers,
					 size_t n)
{
	if (n < drivers->built_in_count)
		return drivers->built_in[n];
	n -= drivers->built_in_count;
	return n < drivers->loaded.count ? drivers->loaded.list[n].driver
					 : NULL;
}

static void unload(struct loaded *loaded)
{
	if (loaded->object)
		dlclose(loaded->object);
	close(loaded->fd);
}

static void unload_all(struct objects *objects)
{
	while (objects->count)
		unload(&objects->list[--objects->count]);
	free(objects->list);
}

void drivers_end(struct drivers *drivers)
{
	if (!drivers)
		return;
	unload_all(&drivers->loaded);
	unload_all(&drivers->programs);
	while (drivers->directory_count) {
		struct directory *last =
			&drivers->directories[--drivers->directory_count];

		close(last->fd);
		free(last->path);
	}
	free(drivers->directories);
	free(drivers);
}

/* ---- who may write what ---- */

static bool is_trusted(uid_t owner)
{
	return owner == 0 || owner == geteuid();
}

/* A directory or a file that only its owner can write, and whose is right. */
static int check_owner(const struct stat *st, bool sticky_will_do, char *why,
		       size_t len)
{
	bool kept = sticky_will_do && (st->st_mode & S_ISVTX);

	if (!is_trusted(st->st_uid))
		return refuse(EPERM, why, len,
			      "it is user %u's; root or user %u is to own it",
			      (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_mode & (S_IWGRP | S_IWOTH) && !kept)
		return refuse(EPERM, why, len,
			      "others than its owner can write it: chmod go-w");
	return 0;
}

/* 1: `up` is `fd`, which is the root; 0: all is well with it. */
static int check_up(int fd, int up, char *why, size_t len)
{
	struct stat st, below;
	size_t n;

	if (up < 0 || fstat(fd, &below) < 0 || fstat(up, &st) < 0)
		return refuse(errno, why, len, "%m");
	if (st.st_ino == below.st_ino && st.st_dev == below.st_dev)
		return 1;
	n = begin(why, len, "one above it: ");
	return check_owner(&st, true, why + n, len - n);
}

/*
 * From a directory to the root, which is above itself.  O_PATH: through one
 * that may not be listed one can go, too.
 */
static int check_above(int fd, char *why, size_t len)
{
	int up, result, saved, flags = O_PATH | O_DIRECTORY | O_CLOEXEC;

	for (fd = openat(fd, ".", flags);; fd = up) {
		up = fd < 0 ? -1 : openat(fd, "..", flags);
		result = check_up(fd, up, why, len);
		saved = errno;
		if (fd >= 0)
			close(fd);
		if (result)
			break;
	}
	if (up >= 0)
		close(up);
	errno = saved;
	return result < 0 ? -1 : 0;
}

/* ---- directories ---- */

static int check_directory(int fd, char *why, size_t len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse(errno, why, len, "%m");
	return check_owner(&st, false, why, len);
}

static int open_directory(const char *path, char *why, size_t len)
{
	int fd, saved;

	if (path[0] != '/')
		return refuse(EINVAL, why, len,
			      "give it from the root: a path that begins "
			      "with a /");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return refuse(errno, why, len, "%m");
	if (check_directory(fd, why, len) == 0 &&
	    check_above(fd, why, len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int append_directory(struct drivers *drivers, int fd, const char *path)
{
	struct directory *grown =
		reallocarray(drivers->directories, drivers->directory_count + 1,
			     sizeof(*grown));

	if (!grown)
		return -1;
	drivers->directories = grown;
	grown += drivers->directory_count;
	grown->fd = fd;
	grown->path = strdup(path);
	if (!grown->path)
		return -1;
	drivers->directory_count++;
	return 0;
}

int drivers_add_directory(struct drivers *drivers, const char *path)
{
	char why[WHY_SIZE];
	int fd = open_directory(path, why, sizeof(why));

	if (fd < 0) {
		int saved = errno;

		reclaim_say(RECLAIM_ERROR,
			    "the directory of drivers %s is refused: %s", path,
			    why);
		errno = saved;
		return -1;
	}
	if (append_directory(drivers, fd, path) == 0)
		return 0;
	close(fd);
	errno = ENOMEM;
	return -1;
}

/* ---- files ---- */

static int check_file(int fd, char *why, size_t len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse(errno, why, len, "%m");
	if (!S_ISREG(st.st_mode))
		return refuse(EPERM, why, len, "it is no regular file");
	return check_owner(&st, false, why, len);
}

/* What a link leads to may be anybody's to exchange: there are to be none. */
static int open_file(const struct directory *directory, const char *name,
		     char *why, size_t len)
{
	char file[MAX_NAME + sizeof(".so")];
	int fd, saved;

	if (check_directory(directory->fd, why, len) < 0)
		return -1;
	snprintf(file, sizeof(file), "%s.so", name);
	fd = openat(directory->fd, file,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ELOOP)
		return refuse(EPERM, why, len, "it is a symbolic link");
	if (fd < 0)
		return refuse(errno, why, len, "%m");
	if (check_file(fd, why, len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* How the object itself has a symbol; NULL where it has none of that type. */
static const void *find_symbol(const struct loaded *loaded, const char *name,
			       unsigned char type, size_t size)
{
	/* dlsym(3) also finds what another object has that this one needs. */
	const void *at = dlsym(loaded->object, name);
	struct link_map *object, *owner;
	const ElfW(Sym) * symbol;
	Dl_info info;

	if (at && dlinfo(loaded->object, RTLD_DI_LINKMAP, &object) == 0 &&
	    dladdr1(at, &info, (void **)&owner, RTLD_DL_LINKMAP) &&
	    object == owner &&
	    dladdr1(at, &info, (void **)&symbol, RTLD_DL_SYMENT) && symbol &&
	    ELF64_ST_TYPE(symbol->st_info) == type && symbol->st_size >= size)
		return at;
	return NULL;
}

static int open_object(struct loaded *loaded, char *why, size_t len)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", loaded->fd);
	loaded->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!loaded->object)
		return refuse(ELIBBAD, why, len, "%s", dlerror());
	return 0;
}

static int find_table(struct loaded *loaded, char *why, size_t len)
{
	loaded->driver = find_symbol(loaded, RECLAIM_DRIVER_SYMBOL, STT_OBJECT,
				     sizeof(struct reclaim_driver));
	if (!loaded->driver)
		return refuse(ELIBBAD, why, len,
			      "it has no `const struct reclaim_driver %s'",
			      RECLAIM_DRIVER_SYMBOL);
	if (check_driver(loaded->driver, why, len) < 0) {
		errno = ELIBBAD;
		return -1;
	}
	if (!strcmp(loaded->driver->name, loaded->name))
		return 0;
	return refuse(ELIBBAD, why, len, "its driver's name is %s",
		      loaded->driver->name);
}

static int find_entry(struct loaded *loaded, char *why, size_t len)
{
	const void *at = find_symbol(loaded, loaded->name, STT_FUNC, 0);

	if (!at)
		return refuse(ELIBBAD, why, len,
			      "it has no `int %s(int argc, char **argv, char "
			      "**envp)'",
			      loaded->name);
	memcpy(&loaded->program, &at, sizeof(at));
	return 0;
}

/* What is looked for in an object, and where it goes. */
struct wanted {
	const char *what;
	int (*find)(struct loaded *loaded, char *why, size_t len);
	struct objects *objects;
};

/* Room first: it cannot be missing once the object is there. */
static int reserve(struct objects *objects)
{
	struct loaded *grown =
		reallocarray(objects->list, objects->count + 1, sizeof(*grown));

	if (grown)
		objects->list = grown;
	return grown ? 0 : -1;
}

static const struct loaded *load_from(const struct wanted *wanted,
				      const struct directory *directory,
				      const char *name, char *why, size_t len)
{
	struct loaded *loaded;
	int saved;

	if (reserve(wanted->objects) < 0) {
		refuse(ENOMEM, why, len, "%s", strerror(ENOMEM));
		return NULL;
	}
	loaded = wanted->objects->list + wanted->objects->count;
	*loaded = (struct loaded){
		.fd = open_file(directory, name, why, len),
	};
	if (loaded->fd < 0)
		return NULL;
	strcpy(loaded->name, name);
	if (open_object(loaded, why, len) == 0 &&
	    wanted->find(loaded, why, len) == 0) {
		wanted->objects->count++;
		return loaded;
	}
	saved = errno;
	unload(loaded);
	errno = saved;
	return NULL;
}

/* The first directory that has the file decides. */
static const struct loaded *load(struct drivers *drivers,
				 const struct wanted *wanted, const char *name,
				 char *why, size_t len)
{
	const struct loaded *loaded;
	size_t i;

	for (i = 0; i < drivers->directory_count; i++) {
		const struct directory *directory = &drivers->directories[i];
		size_t n = begin(why, len, "%s/%s.so: ", directory->path, name);

		loaded = load_from(wanted, directory, name, why + n, len - n);
		if (loaded || errno != ENOENT)
			return loaded;
	}
	refuse(ENOENT, why, len, "there is no %s %s in %zu %s", wanted->what,
	       name, i, i == 1 ? "directory" : "directories");
	return NULL;
}

static int check_name(const char *name, const char *what, char *why, size_t len)
{
	if (is_name(name))
		return 0;
	return refuse(ENOENT, why, len,
		      "that is no name of a %s: 1 to %d letters, digits and "
		      "underscores",
		      what, MAX_NAME);
}

const struct reclaim_driver *
drivers_find(struct drivers *drivers, const char *name, char *why, size_t len)
{
	const struct wanted wanted = {"driver", find_table, &drivers->loaded};
	const struct reclaim_driver *driver;
	const struct loaded *loaded;

	if (check_name(name, wanted.what, why, len) < 0)
		return NULL;
	driver = known(drivers, name);
	if (driver)
		return driver;
	loaded = load(drivers, &wanted, name, why, len);
	return loaded ? loaded->driver : NULL;
}

reclaim_entry *drivers_find_program(struct drivers *drivers, const char *name,
				    char *why, size_t len)
{
	const struct wanted wanted = {"program", find_entry,
				      &drivers->programs};
	const struct objects *programs = &drivers->programs;
	const struct loaded *loaded;
	size_t i;

	if (check_name(name, wanted.what, why, len) < 0)
		return NULL;
	for (i = 0; i < programs->count; i++)
		if (!strcmp(programs->list[i].name, name))
			return programs->list[i].program;
	loaded = load(drivers, &wanted, name, why, len);
	return loaded ? loaded->program : NULL;
}

/* ---- a list of them ---- */

/* `name.so' as `name', or NULL. */
static char *driver_of(const char *file)
{
	const char *dot = strrchr(file, '.');
	char *name;

	if (!dot || strcmp(dot, ".so") != 0)
		return NULL;
	name = strndup(file, (size_t)(dot - file));
	if (name && is_name(name))
		return name;
	free(name);
	return NULL;
}

static int list_file(struct drivers *drivers, const struct directory *directory,
		     const char *name, FILE *to)
{
	char why[WHY_SIZE];

	if (known(drivers, name)) /* by a name that comes first */
		return 0;
	if (drivers_find(drivers, name, why, sizeof(why))) {
		fprintf(to, "%s\t%s/%s.so\n", name, directory->path, name);
		return 0;
	}
	fprintf(to, "%s\tnot usable: %s\n", name, why);
	return 1;
}

static int list_directory(struct drivers *drivers,
			  const struct directory *directory, FILE *to)
{
	struct dirent **entries;
	int count, i, result = 0;
	char *name;

	count = scandirat(directory->fd, ".", &entries, NULL, alphasort);
	if (count < 0) {
		fprintf(to, "%s: %s\n", directory->path, strerror(errno));
		return 1;
	}
	for (i = 0; i < count; i++) {
		name = driver_of(entries[i]->d_name);
		if (name && list_file(drivers, directory, name, to))
			result = 1;
		free(name);
		free(entries[i]);
	}
	free(entries);
	return result;
}

int drivers_list(struct drivers *drivers, FILE *to)
{
	int result = 0;
	size_t i;

	for (i = 0; i < drivers->built_in_count; i++)
		fprintf(to, "%s\tbuilt in\n", drivers->built_in[i]->name);
	for (i = 0; i < drivers->directory_count; i++)
		if (list_directory(drivers, &drivers->directories[i], to))
			result = 1;
	return result;
}
