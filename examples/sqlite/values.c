/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values - terms into SQLite's values, and back
 *
 *	Erlang				SQLite		and back
 *	integer of 64 bits		INTEGER		integer
 *	float				REAL		float
 *	binary				TEXT		binary
 *	{blob, binary}			BLOB		{blob, binary}
 *	null, nil, undefined		NULL		null
 *	true, false			INTEGER 1, 0	integer
 *
 * A REAL that Erlang has no float for is `infinity' or `'-infinity''.
 */
#include "sqlite_driver.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* ---- into SQLite: each gives SQLite's code, or -1 where it has no such ----
 */

static int bind_integer(sqlite3_stmt *statement, int i,
			struct reclaim_reader *from)
{
	int64_t value;

	if (reclaim_get_int64(from, &value) < 0)
		return -1;
	return sqlite3_bind_int64(statement, i, value);
}

static int bind_float(sqlite3_stmt *statement, int i,
		      struct reclaim_reader *from)
{
	double value;

	if (reclaim_get_double(from, &value) < 0)
		return -1;
	return sqlite3_bind_double(statement, i, value);
}

/* Copied: the statement outlives the request. */
static int bind_text(sqlite3_stmt *statement, int i,
		     struct reclaim_reader *from)
{
	const void *data;
	size_t len;

	if (reclaim_get_binary(from, &data, &len) < 0)
		return -1;
	return sqlite3_bind_text64(statement, i, data, len, SQLITE_TRANSIENT,
				   SQLITE_UTF8);
}

static int bind_blob(sqlite3_stmt *statement, int i,
		     struct reclaim_reader *from)
{
	const void *data;
	uint32_t arity;
	size_t len;

	reclaim_get_tuple(from, &arity);
	reclaim_get_this_atom(from, "blob");
	if (reclaim_get_binary(from, &data, &len) < 0 || arity != 2)
		return -1;
	return sqlite3_bind_blob64(statement, i, data, len, SQLITE_TRANSIENT);
}

static int bind_atom(sqlite3_stmt *statement, int i,
		     struct reclaim_reader *from)
{
	char name[RECLAIM_ATOM_SIZE];

	if (reclaim_get_atom(from, name) < 0)
		return -1;
	if (!strcmp(name, "null") || !strcmp(name, "nil") ||
	    !strcmp(name, "undefined"))
		return sqlite3_bind_null(statement, i);
	if (!strcmp(name, "true") || !strcmp(name, "false"))
		return sqlite3_bind_int(statement, i, name[0] == 't');
	return -1;
}

static int bind(sqlite3_stmt *statement, int i, struct reclaim_reader *from)
{
	switch (reclaim_reader_sort(from)) {
	case RECLAIM_TERM_INTEGER:
		return bind_integer(statement, i, from);
	case RECLAIM_TERM_FLOAT:
		return bind_float(statement, i, from);
	case RECLAIM_TERM_BINARY:
		return bind_text(statement, i, from);
	case RECLAIM_TERM_TUPLE:
		return bind_blob(statement, i, from);
	case RECLAIM_TERM_ATOM:
		return bind_atom(statement, i, from);
	default:
		return -1;
	}
}

int values_bind(struct request *request, sqlite3_stmt *statement,
		struct reclaim_reader *values)
{
	int i, code, wanted = sqlite3_bind_parameter_count(statement);
	uint32_t given;

	if (reclaim_get_list(values, &given) < 0)
		return answer_refused(request, "badarg",
				      "the values are to be a list");
	if (given != (uint32_t)wanted)
		return answer_refused(request, "range",
				      "%d values are wanted, not %u", wanted,
				      given);
	for (i = 1; i <= wanted; i++) {
		code = bind(statement, i, values);
		if (code < 0)
			return answer_refused(
				request, "badarg",
				"value %d is none that SQLite has", i);
		if (code != SQLITE_OK)
			return answer_failed(request, code);
	}
	return 0;
}

/* ---- and back ---- */

static void put_float(struct reclaim_writer *to, double value)
{
	if (isfinite(value))
		reclaim_put_double(to, value);
	else
		reclaim_put_atom(to, value > 0 ? "infinity" : "-infinity");
}

static void put(struct reclaim_writer *to, sqlite3_stmt *statement, int i)
{
	const void *data;

	switch (sqlite3_column_type(statement, i)) {
	case SQLITE_INTEGER:
		reclaim_put_int64(to, sqlite3_column_int64(statement, i));
		break;
	case SQLITE_FLOAT:
		put_float(to, sqlite3_column_double(statement, i));
		break;
	case SQLITE_TEXT:
		data = sqlite3_column_text(statement, i);
		reclaim_put_binary(to, data,
				   (size_t)sqlite3_column_bytes(statement, i));
		break;
	case SQLITE_BLOB:
		data = sqlite3_column_blob(statement, i);
		reclaim_put_tuple(to, 2);
		reclaim_put_atom(to, "blob");
		reclaim_put_binary(to, data,
				   (size_t)sqlite3_column_bytes(statement, i));
		break;
	default:
		reclaim_put_atom(to, "null");
	}
}

void values_put_row(struct reclaim_writer *to, sqlite3_stmt *statement)
{
	int i, count = sqlite3_data_count(statement);

	reclaim_put_list(to, (uint32_t)count);
	for (i = 0; i < count; i++)
		put(to, statement, i);
	reclaim_put_end(to);
}

void values_put_names(struct reclaim_writer *to, sqlite3_stmt *statement)
{
	int i, count = sqlite3_column_count(statement);

	reclaim_put_list(to, (uint32_t)count);
	for (i = 0; i < count; i++) {
		const char *name = sqlite3_column_name(statement, i);

		reclaim_put_binary(to, name, name ? strlen(name) : 0);
	}
	reclaim_put_end(to);
}
