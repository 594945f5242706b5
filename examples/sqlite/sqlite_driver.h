/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for SQLite: what its parts share.
 *
 *	connection.c	opening, transactions
 *	statement.c	statements and their rows
 *	values.c	terms into SQLite's values, and back
 *	driver.c	requests: jobs, and the table of them
 *	program.c	a program of its own
 *
 * An outlet is a connection.  Who may touch it: `start`, then one job at a
 *time, and `ready_async` of that job before the next one begins, as of all jobs
 *that are RECLAIM_JOB_ORDERED; then the end.  So there is no lock.  The only
 *call made meanwhile is sqlite3_interrupt, which may be.
 */
#ifndef SQLITE_DRIVER_H
#define SQLITE_DRIVER_H

#include <reclaim/driver.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One that was prepared for its client, who knows its number. */
struct statement {
	uint64_t number; /* never used again in its connection */
	sqlite3_stmt *handle;
	reclaim_token token; /* the outlet's task holds it by this */
	struct statement *next;
};

/* An outlet's state. */
struct connection {
	sqlite3 *db;
	struct statement *statements; /* newest first */
	uint64_t last_number;
	reclaim_token transaction; /* while one is open and known */
};

/* A call, and its job's argument: memory of the call's task. */
struct request {
	struct connection *connection;
	struct reclaim_writer question; /* what reclaim:call was given */
	struct reclaim_writer answer;	/* and gives; the job's memory */
	atomic_bool cancelled;
	sqlite3_stmt *prepared; /* for the outlet; until then the job's */
	reclaim_token token;
};

/* ---- answers: each is the whole of it, and the last one counts ---- */

/* What follows; `ok`; {ok, ...}, with one term to follow. */
struct reclaim_writer *answer_anew(struct request *request);
int answer_ok(struct request *request);
struct reclaim_writer *answer_with(struct request *request);

/* {error, {Code, Message}}: of the library's, and of our own.  They return -1.
 */
int answer_failed(struct request *request, int code);
int answer_refused(struct request *request, const char *code,
		   const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- connection.c ---- */

/* Opened from {Path, Mode}, a handle of the current task.  NULL, errno. */
struct connection *connection_open(struct reclaim_reader *args);

/* A transaction has begun or ended: have it be a handle, or none. */
int connection_notice(struct connection *connection);

/* ---- statement.c: requests, with what follows their name ---- */

int statement_exec(struct request *request, struct reclaim_reader *args);
int statement_query(struct request *request, struct reclaim_reader *args);
int statement_prepare(struct request *request, struct reclaim_reader *args);
int statement_bind(struct request *request, struct reclaim_reader *args);
int statement_step(struct request *request, struct reclaim_reader *args);
int statement_rows(struct request *request, struct reclaim_reader *args);
int statement_columns(struct request *request, struct reclaim_reader *args);
int statement_reset(struct request *request, struct reclaim_reader *args);
int statement_finalize(struct request *request, struct reclaim_reader *args);

/* Run a statement that is known here. */
int statement_run(struct request *request, const char *sql);

/* What a request prepared becomes the outlet's: in its task, entered. */
int statement_keep(struct request *request);

/* ---- values.c ---- */

/* Bind a list of values.  0; or -1, answered. */
int values_bind(struct request *request, sqlite3_stmt *statement,
		struct reclaim_reader *values);

/* The row that a statement is at, and its columns' names, as lists. */
void values_put_row(struct reclaim_writer *to, sqlite3_stmt *statement);
void values_put_names(struct reclaim_writer *to, sqlite3_stmt *statement);

#endif
