/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statement - statements, and their rows
 *
 * All of this runs in jobs.  A statement is a handle from when it is prepared:
 * of the job's task, with which it goes; or, where the client is to have it, of
 * the outlet's, from statement_keep on.  So no function here has to finalise
 * what it prepared, whatever fails.
 *
 * A client knows a statement by its number.  One that is none any more is
 * refused.
 */
#define RECLAIM_NO_ALIAS
#include "sqlite_driver.h"

#include <ctype.h>
#include <reclaim.h>
#include <stdio.h>
#include <string.h>

/* What one answer may hold; {step, Statement, Rows} gets more in pieces. */
#define MAX_ANSWER (16 << 20)

/* ---- the kind ---- */

static void finalize(void *id)
{
	sqlite3_finalize(id);
}

static int describe(const void *id, char *buf, size_t len)
{
	return snprintf(buf, len, "%s", sqlite3_sql((sqlite3_stmt *)id));
}

static const struct reclaim_kind statement_kind = {
	.name = "sqlite statement",
	.release = finalize,
	.describe = describe,
};

/* ---- preparing ---- */

static int get_sql(struct request *request, struct reclaim_reader *args,
		   const char **sql, size_t *len)
{
	const void *data;

	if (reclaim_get_binary(args, &data, len) < 0)
		return answer_refused(request, "badarg",
				      "the SQL is to be a binary");
	*sql = data;
	if (memchr(data, 0, *len))
		return answer_refused(request, "badarg",
				      "there is a zero byte in the SQL");
	return 0;
}

/*
 * The first of what is in `sql', which it takes away; NULL: it was blank.
 * SQLite's code.
 */
static int prepare_next(struct request *request, const char **sql, size_t *len,
			sqlite3_stmt **statement)
{
	const char *rest;
	int code = sqlite3_prepare_v2(request->connection->db, *sql, (int)*len,
				      statement, &rest);

	if (code != SQLITE_OK)
		return code;
	*len -= (size_t)(rest - *sql);
	*sql = rest;
	if (!*statement ||
	    reclaim_track(&statement_kind, *statement, &request->token) == 0)
		return SQLITE_OK;
	sqlite3_finalize(*statement);
	return SQLITE_NOMEM;
}

static bool is_blank(const char *sql, size_t len)
{
	while (len && (isspace((unsigned char)*sql) || *sql == ';')) {
		sql++;
		len--;
	}
	return len == 0;
}

/* Exactly one; or -1, answered. */
static int prepare(struct request *request, struct reclaim_reader *args,
		   sqlite3_stmt **statement)
{
	const char *sql;
	size_t len;
	int code;

	if (get_sql(request, args, &sql, &len) < 0)
		return -1;
	code = prepare_next(request, &sql, &len, statement);
	if (code != SQLITE_OK)
		return answer_failed(request, code);
	if (!*statement)
		return answer_refused(request, "badarg",
				      "there is no statement in the SQL");
	if (!is_blank(sql, len))
		return answer_refused(request, "badarg",
				      "more than one statement: exec takes "
				      "several");
	return 0;
}

/* In the outlet's task: no longer the job's. */
int statement_keep(struct request *request)
{
	struct connection *connection = request->connection;
	struct statement *statement = save_calloc(1, sizeof(*statement));

	if (!statement)
		return -1;
	if (reclaim_track(&statement_kind, request->prepared,
			  &statement->token) < 0) {
		save_free(statement);
		return -1;
	}
	reclaim_undefer(request->token, 0);
	statement->number = connection->last_number;
	statement->handle = request->prepared;
	statement->next = connection->statements;
	connection->statements = statement;
	return 0;
}

int statement_prepare(struct request *request, struct reclaim_reader *args)
{
	if (prepare(request, args, &request->prepared) < 0) {
		request->prepared = NULL;
		return -1;
	}
	return reclaim_put_uint64(answer_with(request),
				  ++request->connection->last_number);
}

/* ---- finding ---- */

/* Where it is linked.  A client has few: the outlet's limit of handles. */
static struct statement **find(struct request *request,
			       struct reclaim_reader *args)
{
	struct statement **at = &request->connection->statements;
	uint64_t number;

	if (reclaim_get_uint64(args, &number) < 0) {
		answer_refused(request, "badarg", "that is no statement");
		return NULL;
	}
	for (; *at; at = &(*at)->next)
		if ((*at)->number == number)
			return at;
	answer_refused(request, "no_statement",
		       "statement %llu was finalised, or never prepared",
		       (unsigned long long)number);
	return NULL;
}

static sqlite3_stmt *get(struct request *request, struct reclaim_reader *args)
{
	struct statement **at = find(request, args);

	return at ? (*at)->handle : NULL;
}

/* ---- rows ---- */

static int step(struct request *request, sqlite3_stmt *statement)
{
	if (atomic_load(&request->cancelled))
		return SQLITE_INTERRUPT;
	return sqlite3_step(statement);
}

/*
 * A list of at most so many rows, made in pieces of one each: how many there
 * will be nobody knows.  SQLITE_ROW where there may be more.
 */
static int put_rows(struct request *request, sqlite3_stmt *statement,
		    uint64_t most)
{
	struct reclaim_writer *to = &request->answer;
	int code = SQLITE_ROW;

	while (most-- && (code = step(request, statement)) == SQLITE_ROW) {
		if (to->len > MAX_ANSWER)
			return SQLITE_TOOBIG;
		reclaim_put_list(to, 1);
		values_put_row(to, statement);
	}
	reclaim_put_list(to, 0);
	reclaim_put_end(to);
	return code;
}

static int answer_rows(struct request *request, sqlite3_stmt *statement,
		       int code)
{
	if (code == SQLITE_ROW || code == SQLITE_DONE)
		return 0;
	answer_failed(request, code);
	sqlite3_reset(statement);
	return -1;
}

/* {query, Sql, Values} */
int statement_query(struct request *request, struct reclaim_reader *args)
{
	sqlite3_stmt *statement;

	if (prepare(request, args, &statement) < 0 ||
	    values_bind(request, statement, args) < 0)
		return -1;
	answer_with(request);
	return answer_rows(request, statement,
			   put_rows(request, statement, UINT64_MAX));
}

/* The first of what is in `sql', which it takes away when it is done. */
static int run_next(struct request *request, const char **sql, size_t *len)
{
	const char *rest = *sql;
	size_t left = *len;
	sqlite3_stmt *statement;
	int code = prepare_next(request, &rest, &left, &statement);

	if (code != SQLITE_OK)
		return code;
	while (statement && (code = step(request, statement)) == SQLITE_ROW)
		continue;
	if (statement && code != SQLITE_DONE)
		return code;
	if (statement)
		reclaim_undefer(request->token, 1);
	*sql = rest;
	*len = left;
	return SQLITE_OK;
}

int statement_run(struct request *request, const char *sql)
{
	size_t len = strlen(sql);
	int code = run_next(request, &sql, &len);

	return code == SQLITE_OK ? answer_ok(request)
				 : answer_failed(request, code);
}

/*
 * {exec, Sql}: any number of statements; their rows are dropped.  {busy, Done}:
 * so many bytes of it are done, and it was busy at the rest.
 */
int statement_exec(struct request *request, struct reclaim_reader *args)
{
	struct reclaim_writer *to;
	int code = SQLITE_OK;
	const char *sql, *at;
	size_t len;

	if (get_sql(request, args, &sql, &len) < 0)
		return -1;
	for (at = sql; code == SQLITE_OK && !is_blank(at, len);)
		code = run_next(request, &at, &len);
	if (code == SQLITE_OK)
		return answer_ok(request);
	if ((code & 0xff) != SQLITE_BUSY)
		return answer_failed(request, code);
	to = answer_anew(request);
	reclaim_put_tuple(to, 2);
	reclaim_put_atom(to, "busy");
	return reclaim_put_uint64(to, (uint64_t)(at - sql));
}

/* {bind, Statement, Values}: from the beginning again, with these. */
int statement_bind(struct request *request, struct reclaim_reader *args)
{
	sqlite3_stmt *statement = get(request, args);

	if (!statement)
		return -1;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	if (values_bind(request, statement, args) < 0)
		return -1;
	return answer_ok(request);
}

/* {step, Statement}: {ok, {row, Row}} or {ok, done} */
int statement_step(struct request *request, struct reclaim_reader *args)
{
	sqlite3_stmt *statement = get(request, args);
	struct reclaim_writer *to;
	int code;

	if (!statement)
		return -1;
	code = step(request, statement);
	to = answer_with(request);
	if (code == SQLITE_ROW) {
		reclaim_put_tuple(to, 2);
		reclaim_put_atom(to, "row");
		values_put_row(to, statement);
	} else {
		reclaim_put_atom(to, "done");
	}
	return answer_rows(request, statement, code);
}

/* {step, Statement, Most}: {ok, {Rows, IsDone}} */
int statement_rows(struct request *request, struct reclaim_reader *args)
{
	sqlite3_stmt *statement = get(request, args);
	uint64_t most;
	int code;

	if (!statement)
		return -1;
	if (reclaim_get_uint64(args, &most) < 0 || most == 0)
		return answer_refused(request, "badarg",
				      "how many rows, 1 at least?");
	reclaim_put_tuple(answer_with(request), 2);
	code = put_rows(request, statement, most);
	reclaim_put_bool(&request->answer, code == SQLITE_DONE);
	return answer_rows(request, statement, code);
}

int statement_columns(struct request *request, struct reclaim_reader *args)
{
	sqlite3_stmt *statement = get(request, args);

	if (!statement)
		return -1;
	values_put_names(answer_with(request), statement);
	return 0;
}

/* What it says is of its last step, and has been answered. */
int statement_reset(struct request *request, struct reclaim_reader *args)
{
	sqlite3_stmt *statement = get(request, args);

	if (!statement)
		return -1;
	sqlite3_reset(statement);
	return answer_ok(request);
}

int statement_finalize(struct request *request, struct reclaim_reader *args)
{
	struct statement **at = find(request, args), *gone;

	if (!at)
		return -1;
	gone = *at;
	*at = gone->next;
	reclaim_undefer(gone->token, 1);
	save_free(gone);
	return answer_ok(request);
}
