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
#include <limits.h>
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

static int take_path(struct reclaim_reader *args, char path[PATH_MAX])
{
	const void *data;
	size_t len;

	if (reclaim_get_binary(args, &data, &len) < 0 || len >= PATH_MAX ||
	    memchr(data, 0, len))
		return -1;
	memcpy(path, data, len);
	path[len] = 0;
	return 0;
}

static int take_mode(struct reclaim_reader *args, int *flags)
{
	char mode[RECLAIM_ATOM_SIZE];

	if (reclaim_get_atom(args, mode) < 0)
		return -1;
	if (!strcmp(mode, "create"))
		*flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	else if (!strcmp(mode, "write"))
		*flags = SQLITE_OPEN_READWRITE;
	else if (!strcmp(mode, "read"))
		*flags = SQLITE_OPEN_READONLY;
	else
		return -1;
	return 0;
}

/* {Path, create | write | read} */
static int take_args(struct reclaim_reader *args, char path[PATH_MAX],
		     int *flags)
{
	uint32_t arity;

	if (reclaim_get_tuple(args, &arity) == 0 && arity == 2 &&
	    take_path(args, path) == 0 && take_mode(args, flags) == 0)
		return 0;
	errno = EINVAL;
	return -1;
}

static int error_of(sqlite3 *db, int code)
{
	int error = db ? sqlite3_system_errno(db) : 0;

	if (code == SQLITE_NOMEM)
		return ENOMEM;
	return error ? error : EIO;
}

/*
 * A handle from here on, or closed.  Only one thread at a time uses it, so it
 * has no mutex.
 */
static sqlite3 *open_database(const char *path, int flags)
{
	sqlite3 *db;
	int code = sqlite3_open_v2(
		path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
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
	struct connection *connection;
	char path[PATH_MAX];
	int flags;

	if (take_args(args, path, &flags) < 0)
		return NULL;
	connection = save_calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->db = open_database(path, flags);
	if (!connection->db)
		return NULL;
	sqlite3_limit(connection->db, SQLITE_LIMIT_SQL_LENGTH, MAX_SQL);
	return connection;
}
