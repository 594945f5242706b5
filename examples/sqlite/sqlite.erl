%% SPDX-License-Identifier: Apache-2.0
%%
%% @doc SQLite databases, each an outlet of the driver `sqlite'.
%%
%% ```
%% {ok, Host} = reclaim:start_host(#{args => ["--drivers", Directory]}),
%% {ok, Db} = sqlite:open(Host, "shop.db"),
%% ok = sqlite:exec(Db, "CREATE TABLE item (name TEXT, price INTEGER)"),
%% {ok, []} = sqlite:query(Db, "INSERT INTO item VALUES (?, ?)", [<<"pen">>, 3]),
%% {ok, [[<<"pen">>, 3]]} = sqlite:query(Db, "SELECT * FROM item"),
%% ok = sqlite:close(Db).
%% '''
%%
%% A database belongs to the process that opened it.  When that ends, however it
%% ends, its statements are finalised, its transaction is rolled back, and the
%% connection is closed.
%%
%% == Values ==
%% Integers of 64 bits, floats, binaries (text), `{blob, Binary}'; `null', which
%% may also be given as `nil' or `undefined'; `true' and `false' are 1 and 0.  A
%% REAL that Erlang has no float for comes as `infinity' or `'-infinity''.
%%
%% == Errors ==
%% `{error, {Code, Message}}': an atom, see {@link codes/0}, and a binary in words.
%% Beside them what `reclaim:call/3' returns: `{error, timeout}', when the request
%% was interrupted, `{error, closed}', `{error, host_down}'.
%%
%% Where somebody else has locked what a request wants, it is tried again and again,
%% until its time is over; then it is `{error, {busy, _}}'.  That costs no thread.
%%
%% Requests of one database are done one after the other.  One that is interrupted
%% takes with it the statements of that database that are between two steps: their
%% next step is `{error, {interrupt, _}}'.
-module(sqlite).

-export([open/2, open/3, close/1]).
-export([exec/2, exec/3, query/2, query/3, query/4]).
-export([begin_transaction/1, commit/1, rollback/1, transaction/2]).
-export([changes/1, last_insert_rowid/1]).
-export([prepare/2, bind/2, step/1, step/2, columns/1, reset/1, finalize/1]).
-export([codes/0]).

-export_type([db/0, statement/0, value/0, row/0, error/0]).

-type db() :: reclaim:outlet().
-opaque statement() :: {sqlite_statement, db(), pos_integer()}.
-type value() ::
    integer() | float() | binary() | {blob, binary()} | null | nil | undefined | boolean()
    | infinity | '-infinity'.
-type row() :: [value()].
-type error() :: {error, {atom(), binary()} | atom()}.
-type mode() :: create | write | read.
%% Whether it may be written, and is made where there is none.

-define(TIMEOUT, 15000).
-define(BUSY_MS, 10). % and what is locked is tried again

%% @equiv open(Host, Path, create)
-spec open(reclaim:host(), iodata()) -> {ok, db()} | error().
open(Host, Path) ->
    open(Host, Path, create).

%% @doc Open a database: `:memory:' for one that is nowhere else.
-spec open(reclaim:host(), iodata(), mode()) -> {ok, db()} | error().
open(Host, Path, Mode) ->
    reclaim:open(Host, sqlite, {text(Path), Mode}).

-spec close(db()) -> ok | error().
close(Db) ->
    reclaim:close(Db).

%% @equiv exec(Db, Sql, 15000)
-spec exec(db(), iodata()) -> ok | error().
exec(Db, Sql) ->
    exec(Db, Sql, ?TIMEOUT).

%% @doc Run SQL of any number of statements; their rows are dropped.
-spec exec(db(), iodata(), timeout()) -> ok | error().
exec(Db, Sql, Timeout) ->
    call(Db, {exec, text(Sql)}, Timeout).

%% @equiv query(Db, Sql, [])
-spec query(db(), iodata()) -> {ok, [row()]} | error().
query(Db, Sql) ->
    query(Db, Sql, []).

%% @equiv query(Db, Sql, Values, 15000)
-spec query(db(), iodata(), [value()]) -> {ok, [row()]} | error().
query(Db, Sql, Values) ->
    query(Db, Sql, Values, ?TIMEOUT).

%% @doc Run one statement with values for its parameters, and get all of its rows.
%% More than 16 MiB of them are `toobig': for these there is {@link step/2}.
-spec query(db(), iodata(), [value()], timeout()) -> {ok, [row()]} | error().
query(Db, Sql, Values, Timeout) ->
    call(Db, {query, text(Sql), Values}, Timeout).

-spec begin_transaction(db()) -> ok | error().
begin_transaction(Db) ->
    call(Db, 'begin').

-spec commit(db()) -> ok | error().
commit(Db) ->
    call(Db, commit).

-spec rollback(db()) -> ok | error().
rollback(Db) ->
    call(Db, rollback).

%% @doc Run a function in a transaction.  It is committed when that returns, and
%% rolled back when it fails.
-spec transaction(db(), fun(() -> Result)) -> {ok, Result} | error().
transaction(Db, Fun) ->
    case begin_transaction(Db) of
        ok -> committed(Db, Fun);
        Error -> Error
    end.

committed(Db, Fun) ->
    try Fun() of
        Result -> end_transaction(Db, commit(Db), Result)
    catch
        Class:Reason:Stack ->
            _ = rollback(Db),
            erlang:raise(Class, Reason, Stack)
    end.

end_transaction(_, ok, Result) ->
    {ok, Result};
end_transaction(Db, Error, _) ->
    _ = rollback(Db),
    Error.

%% @doc How many rows the last statement changed.
-spec changes(db()) -> {ok, non_neg_integer()} | error().
changes(Db) ->
    call(Db, changes).

-spec last_insert_rowid(db()) -> {ok, integer()} | error().
last_insert_rowid(Db) ->
    call(Db, last_insert_rowid).

%% @doc Prepare one statement, to be run any number of times.
-spec prepare(db(), iodata()) -> {ok, statement()} | error().
prepare(Db, Sql) ->
    case call(Db, {prepare, text(Sql)}) of
        {ok, Number} -> {ok, {sqlite_statement, Db, Number}};
        Error -> Error
    end.

%% @doc Give it all of its values; it begins anew.
-spec bind(statement(), [value()]) -> ok | error().
bind({sqlite_statement, Db, Number}, Values) ->
    call(Db, {bind, Number, Values}).

%% @doc The next row.  After `done' it begins anew.
-spec step(statement()) -> {row, row()} | done | error().
step({sqlite_statement, Db, Number}) ->
    case call(Db, {step, Number}) of
        {ok, Answer} -> Answer;
        Error -> Error
    end.

%% @doc So many rows at most: `{done, Rows}' where they are the last.
-spec step(statement(), pos_integer()) -> {rows | done, [row()]} | error().
step({sqlite_statement, Db, Number}, Most) ->
    case call(Db, {step, Number, Most}) of
        {ok, {Rows, true}} -> {done, Rows};
        {ok, {Rows, false}} -> {rows, Rows};
        Error -> Error
    end.

%% @doc The names of a statement's columns.
-spec columns(statement()) -> {ok, [binary()]} | error().
columns({sqlite_statement, Db, Number}) ->
    call(Db, {columns, Number}).

%% @doc Have it begin anew, with the values that it has.
-spec reset(statement()) -> ok | error().
reset({sqlite_statement, Db, Number}) ->
    call(Db, {reset, Number}).

%% @doc It is no more; what is not finalised goes with its database.
-spec finalize(statement()) -> ok | error().
finalize({sqlite_statement, Db, Number}) ->
    call(Db, {finalize, Number}).

%% @doc What may be in the place of `Code': SQLite's names, and the driver's own
%% `badarg' and `no_statement'.  All of them exist as atoms where this is loaded.
-spec codes() -> [atom()].
codes() ->
    [badarg, no_statement,
     error, internal, perm, abort, busy, locked, nomem, readonly, interrupt, ioerr,
     corrupt, notfound, full, cantopen, protocol, empty, schema, toobig,
     constraint, constraint_check, constraint_foreignkey, constraint_notnull,
     constraint_primarykey, constraint_unique,
     mismatch, misuse, nolfs, auth, format, range, notadb,
     %% and what else answers hold
     ok, row, done, blob, null, infinity, '-infinity'].

text(Sql) ->
    unicode:characters_to_binary(Sql).

call(Db, Request) ->
    call(Db, Request, ?TIMEOUT).

%% The driver's own answer is in the term: its errors have words.
call(Db, Request, Timeout) ->
    try_until(Db, Request, deadline(Timeout), Timeout).

try_until(Db, Request, Deadline, Timeout) ->
    case reclaim:call(Db, Request, Timeout) of
        {ok, {error, {busy, _}} = Answer} -> try_again(Db, Request, Deadline, Answer);
        {ok, {busy, Done}} -> try_again(Db, rest(Request, Done), Deadline, busy());
        {ok, Answer} -> Answer;
        Error -> Error
    end.

try_again(Db, Request, Deadline, Answer) ->
    case left(Deadline) of
        Left when Left > ?BUSY_MS ->
            timer:sleep(?BUSY_MS),
            try_until(Db, Request, Deadline, Left);
        _ ->
            Answer
    end.

%% So many bytes of it are done.
rest({exec, Sql}, Done) ->
    {exec, binary:part(Sql, Done, byte_size(Sql) - Done)}.

busy() ->
    {error, {busy, <<"database is locked">>}}.

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

left(infinity) -> infinity;
left(Deadline) -> Deadline - erlang:monotonic_time(millisecond).
