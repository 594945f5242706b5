/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite - a driver for SQLite databases
 *
 * Every request is a job of its call: the loop goes on meanwhile, a request
 * that takes long holds up nobody but its own connection, and it is interrupted
 * when its client dies, closes, or waits no longer.
 *
 * Answers: ok, {ok, Value}, or {error, {Code, Message}}: an atom, SQLite's name
 * for it such as busy or constraint_unique, and a binary.  Codes of the
 * driver's own: badarg, no_statement.
 */
#define RECLAIM_NO_ALIAS
#include "sqlite_driver.h"

#include <errno.h>
#include <reclaim.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- answers ---- */

struct reclaim_writer *answer_anew(struct request *request)
{
	reclaim_writer_end(&request->answer);
	reclaim_writer_init(&request->answer, NULL, 0);
	return &request->answer;
}

int answer_ok(struct request *request)
{
	return reclaim_put_atom(answer_anew(request), "ok");
}

struct reclaim_writer *answer_with(struct request *request)
{
	struct reclaim_writer *to = answer_anew(request);

	reclaim_put_tuple(to, 2);
	reclaim_put_atom(to, "ok");
	return to;
}

static int answer_error(struct request *request, const char *code,
			const char *message)
{
	struct reclaim_writer *to = answer_anew(request);

	reclaim_put_tuple(to, 2);
	reclaim_put_atom(to, "error");
	reclaim_put_tuple(to, 2);
	reclaim_put_atom(to, code);
	reclaim_put_binary(to, message, strlen(message));
	return -1;
}

int answer_refused(struct request *request, const char *code,
		   const char *format, ...)
{
	char message[200];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	return answer_error(request, code, message);
}

/* SQLITE_ERROR is 1. */
static const char *const names[] = {
	"ok",	    "error",	  "internal", "perm",	   "abort", "busy",
	"locked",   "nomem",	  "readonly", "interrupt", "ioerr", "corrupt",
	"notfound", "full",	  "cantopen", "protocol",  "empty", "schema",
	"toobig",   "constraint", "mismatch", "misuse",	   "nolfs", "auth",
	"format",   "range",	  "notadb",
};

static const char *name_of(int code)
{
	unsigned primary = (unsigned)code & 0xff;

	switch (code) {
	case SQLITE_CONSTRAINT_CHECK:
		return "constraint_check";
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return "constraint_foreignkey";
	case SQLITE_CONSTRAINT_NOTNULL:
		return "constraint_notnull";
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return "constraint_primarykey";
	case SQLITE_CONSTRAINT_UNIQUE:
		return "constraint_unique";
	default:
		return primary < sizeof(names) / sizeof(names[0])
			       ? names[primary]
			       : "error";
	}
}

/* What is ours, as an answer that is too long, SQLite has no message for. */
int answer_failed(struct request *request, int code)
{
	sqlite3 *db = request->connection->db;

	return answer_error(request, name_of(code),
			    sqlite3_extended_errcode(db) == code
				    ? sqlite3_errmsg(db)
				    : sqlite3_errstr(code));
}

/* ---- requests ---- */

/* At once for writing: then only this may have to be tried again. */
static int begin(struct request *request, struct reclaim_reader *args)
{
	(void)args;
	return statement_run(request, "BEGIN IMMEDIATE");
}

static int commit(struct request *request, struct reclaim_reader *args)
{
	(void)args;
	return statement_run(request, "COMMIT");
}

static int rollback(struct request *request, struct reclaim_reader *args)
{
	(void)args;
	return statement_run(request, "ROLLBACK");
}

static int changes(struct request *request, struct reclaim_reader *args)
{
	(void)args;
	return reclaim_put_int64(answer_with(request),
				 sqlite3_changes64(request->connection->db));
}

static int last_insert_rowid(struct request *request,
			     struct reclaim_reader *args)
{
	sqlite3 *db = request->connection->db;

	(void)args;
	return reclaim_put_int64(answer_with(request),
				 sqlite3_last_insert_rowid(db));
}

/* An atom where nothing follows the name, else a tuple that begins with it. */
static const struct operation {
	const char *name;
	uint32_t follow;
	int (*run)(struct request *request, struct reclaim_reader *args);
} operations[] = {
	{"begin", 0, begin},
	{"bind", 2, statement_bind},
	{"changes", 0, changes},
	{"columns", 1, statement_columns},
	{"commit", 0, commit},
	{"exec", 1, statement_exec},
	{"finalize", 1, statement_finalize},
	{"last_insert_rowid", 0, last_insert_rowid},
	{"prepare", 1, statement_prepare},
	{"query", 2, statement_query},
	{"reset", 1, statement_reset},
	{"rollback", 0, rollback},
	{"step", 1, statement_step},
	{"step", 2, statement_rows},
};

static const struct operation *find_operation(struct reclaim_reader *reader)
{
	const size_t count = sizeof(operations) / sizeof(operations[0]);
	char name[RECLAIM_ATOM_SIZE];
	uint32_t arity = 1;
	size_t i;

	if (reclaim_reader_sort(reader) == RECLAIM_TERM_TUPLE)
		reclaim_get_tuple(reader, &arity);
	if (reclaim_get_atom(reader, name) < 0)
		return NULL;
	for (i = 0; i < count; i++)
		if (operations[i].follow == arity - 1 &&
		    !strcmp(operations[i].name, name))
			return &operations[i];
	return NULL;
}

/* ---- jobs ---- */

static int run(void *arg)
{
	struct request *request = arg;
	const struct operation *operation;
	struct reclaim_reader reader;

	reclaim_writer_init(&request->answer, NULL, 0);
	reclaim_reader_init(&reader, request->question.data,
			    request->question.len);
	operation = find_operation(&reader);
	if (!operation)
		return answer_refused(request, "badarg",
				      "there is no such request");
	return operation->run(request, &reader);
}

/* The flag is for between two statements, when there is nothing to interrupt.
 */
static void cancel(void *arg)
{
	struct request *request = arg;

	atomic_store(&request->cancelled, true);
	sqlite3_interrupt(request->connection->db);
}

static const struct reclaim_job job = {
	.name = "sqlite request",
	.run = run,
	.cancel = cancel,
	.flags = RECLAIM_JOB_ORDERED,
};

/* What outlives the call is held by the outlet's task. */
static int keep(struct reclaim_outlet *outlet, struct request *request)
{
	int result;

	if (reclaim_enter(reclaim_outlet_task(outlet)) < 0)
		return -1;
	result = connection_notice(request->connection);
	if (result == 0 && request->prepared)
		result = statement_keep(request);
	reclaim_leave();
	return result;
}

static void done(struct reclaim_outlet *outlet, uint64_t call, void *arg,
		 int result)
{
	struct request *request = arg;

	(void)result;
	if (keep(outlet, request) < 0)
		answer_refused(request, "nomem",
			       "the outlet can hold no more: %m");
	if (reclaim_call_reply(call, &request->answer) < 0)
		reclaim_call_error(call, reclaim_errno_name(errno));
}

/* ---- callbacks ---- */

static int start(struct reclaim_outlet *outlet, struct reclaim_reader *args)
{
	struct connection *connection = connection_open(args);

	reclaim_outlet_set_state(outlet, connection);
	return connection ? 0 : -1;
}

/* The term is lent until this returns: the call's task keeps a copy. */
static struct request *make_request(struct connection *connection,
				    struct reclaim_reader *term)
{
	struct request *request = save_calloc(1, sizeof(*request));
	const void *data;
	size_t len;

	if (!request)
		return NULL;
	request->connection = connection;
	reclaim_writer_init(&request->question, NULL, 0);
	reclaim_get_raw(term, &data, &len);
	reclaim_put_raw(&request->question, data, len);
	return reclaim_writer_done(&request->question) < 0 ? NULL : request;
}

static void call(struct reclaim_outlet *outlet, uint64_t token,
		 struct reclaim_reader *term)
{
	struct request *request =
		make_request(reclaim_outlet_state(outlet), term);

	if (!request || reclaim_job_start(outlet, token, &job, request) < 0)
		reclaim_call_error(token, reclaim_errno_name(errno));
}

const struct reclaim_driver reclaim_driver = {
	.abi = RECLAIM_DRIVER_ABI,
	.name = "sqlite",
	.start = start,
	.call = call,
	.ready_async = done,
	.flags = RECLAIM_DRIVER_SLOW_END, /* to roll back may take long */
};
