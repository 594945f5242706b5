/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection - a database that is open, and its transaction
 *
 * Both are handles of the outlet's task, which releases the newest first: so a
 * transaction is rolled back after the statements that were prepared in it are
 * finalised, and before the connection is closed, however the outlet ends.
 *
 * Failures to open are those of open(2), as far as SQLite says.
 */
#define RECLAIM_NO_ALIAS
#include "sqlite_driver.h"

#include <errno.h>
#include <reclaim.h>
#include <stdio.h>
#include <string.h>

/* Longer ones come from nobody's hands; SQLite would take 1 GB. */
#define MAX_SQL (1 << 20)

/* ---- the kinds ---- */

/* Statements that a job was about to hand over may be left. */
static void close_connection(void *id)
{
	sqlite3_stmt *left;

	while ((left = sqlite3_next_stmt(id, NULL)))
		sqlite3_finalize(left);
	sqlite3_close(id);
}

static int describe_connection(const void *id, char *buf, size_t len)
{
	const char *path = sqlite3_db_filename((sqlite3 *)id, "main");

	return snprintf(buf, len, "%s", path && *path ? path : "in memory");
}

static const struct reclaim_kind connection_kind = {
	.name = "sqlite connection",
	.release = close_connection,
	.describe = describe_connection,
};

/* SQLite may have rolled back by itself: when its disk is full, for one. */
static void roll_back(void *id)
{
	if (!sqlite3_get_autocommit(id))
		sqlite3_exec(id, "ROLLBACK", NULL, NULL, NULL);
}

static const struct reclaim_kind transaction_kind = {
	.name = "sqlite transaction",
	.release = roll_back,
};

/*
 * However it began or ended, as by SQL of the client's.  One that cannot be
 * recorded is rolled back.
 */
int connection_notice(struct connection *connection)
{
	bool open = !sqlite3_get_autocommit(connection->db);

	if (!open && connection->transaction) {
		reclaim_undefer(connection->transaction, 0);
		connection->transaction = 0;
	}
	if (!open || connection->transaction)
		return 0;
	if (reclaim_track(&transaction_kind, connection->db,
			  &connection->transaction) == 0)
		return 0;
	roll_back(connection->db);
	return -1;
}

/* ---- opening ---- */

/* Somebody else has the lock: SQLite asks whether to try again. */
static int wait_for_lock(void *arg, int tries)
{
	enum { STEP_MS = 10 };
	const struct connection *connection = arg;

	if (tries * STEP_MS >= connection->busy_ms ||
	    atomic_load(&connection->running->cancelled))
		return 0;
	sqlite3_sleep(STEP_MS);
	return 1;
}

struct settings {
	char path[4096];
	int flags;
	int64_t busy_ms;
};

static int take_path(struct settings *settings, struct reclaim_reader *args)
{
	const void *data;
	size_t len;

	if (reclaim_get_binary(args, &data, &len) < 0)
		return -1;
	if (len >= sizeof(settings->path) || memchr(data, 0, len))
		return -1;
	memcpy(settings->path, data, len);
	settings->path[len] = 0;
	return 0;
}

static int take_mode(struct settings *settings, struct reclaim_reader *args)
{
	char mode[RECLAIM_ATOM_SIZE];

	if (reclaim_get_atom(args, mode) < 0)
		return -1;
	if (!strcmp(mode, "create"))
		settings->flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	else if (!strcmp(mode, "write"))
		settings->flags = SQLITE_OPEN_READWRITE;
	else if (!strcmp(mode, "read"))
		settings->flags = SQLITE_OPEN_READONLY;
	else
		return -1;
	return 0;
}

static int take_option(struct settings *settings, struct reclaim_reader *args)
{
	char key[RECLAIM_ATOM_SIZE];

	if (reclaim_get_atom(args, key) < 0)
		return -1;
	if (!strcmp(key, "mode"))
		return take_mode(settings, args);
	if (strcmp(key, "busy_timeout") != 0 ||
	    reclaim_get_int64(args, &settings->busy_ms) < 0)
		return -1;
	return settings->busy_ms >= 0 && settings->busy_ms <= INT32_MAX ? 0
									: -1;
}

/* {Path, #{mode => create | write | read, busy_timeout => Milliseconds}} */
static int take_settings(struct settings *settings, struct reclaim_reader *args)
{
	uint32_t arity, pairs;

	settings->flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	settings->busy_ms = 2000;
	if (reclaim_get_tuple(args, &arity) < 0 || arity != 2 ||
	    take_path(settings, args) < 0 || reclaim_get_map(args, &pairs) < 0)
		return -1;
	while (pairs--)
		if (take_option(settings, args) < 0)
			return -1;
	return 0;
}

static int error_of(sqlite3 *db, int code)
{
	int error = db ? sqlite3_system_errno(db) : 0;

	if (code == SQLITE_NOMEM)
		return ENOMEM;
	return error ? error : EIO;
}

/* A handle from here on, or closed. */
static sqlite3 *open_database(const struct settings *settings)
{
	sqlite3 *db;
	int code = sqlite3_open_v2(settings->path, &db,
				   settings->flags | SQLITE_OPEN_NOMUTEX |
					   SQLITE_OPEN_EXRESCODE,
				   NULL);

	if (code != SQLITE_OK)
		errno = error_of(db, code & 0xff);
	else if (reclaim_track(&connection_kind, db, NULL) == 0)
		return db;
	sqlite3_close(db);
	return NULL;
}

struct connection *connection_open(struct reclaim_reader *args)
{
	struct settings settings;
	struct connection *connection;

	if (take_settings(&settings, args) < 0) {
		errno = EINVAL;
		return NULL;
	}
	connection = save_calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->db = open_database(&settings);
	if (!connection->db)
		return NULL;
	connection->busy_ms = (int)settings.busy_ms;
	sqlite3_limit(connection->db, SQLITE_LIMIT_SQL_LENGTH, MAX_SQL);
	sqlite3_busy_handler(connection->db, wait_for_lock, connection);
	return connection;
}
