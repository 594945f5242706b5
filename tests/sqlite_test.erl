%% SPDX-License-Identifier: Apache-2.0
%%
%% sqlite_test - the SQLite driver, by real processes that die (see sqlite.sh)
%%
%% Each test runs in a process of its own.  When it is over, and with it all
%% processes that it made, the host has to hold what it held before: descriptors,
%% tasks, handles.  Prints PASS: and FAIL: lines; exits with 1 after a FAIL.
%%
%% hold/0 has 20 transactions open, and writes the number of the host's process to
%% FOLDER/host; then it is to be killed.
%%
%% erl -noinput -run sqlite_test main|hold -extra PROGRAM FOLDER [ARGUMENT ...]
-module(sqlite_test).
-export([main/0, hold/0]).

-define(PATIENCE_MS, 20000).

%% Nobody has the time to see its end.
-define(ENDLESS,
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT count(*) FROM n"
).

main() ->
    {Host, Folder} = start(),
    put(passed, true),
    warm_up(Host),
    [check(Name, Host, fun() -> Test(Host, Folder) end) || {Name, Test} <- tests()],
    check_end(Host),
    halt(case get(passed) of true -> 0; false -> 1 end).

start() ->
    [Program, Folder | Arguments] = init:get_plain_arguments(),
    {ok, _} = application:ensure_all_started(reclaim),
    {ok, Host} = reclaim:start_host(#{program => Program, args => Arguments}),
    {Host, Folder}.

hold() ->
    {Host, Folder} = start(),
    [
        client(Host, path(Folder, integer_to_list(N) ++ ".db"), fun(Db) ->
            ok = sqlite:exec(Db, "CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)"),
            {ok, S} = sqlite:prepare(Db, "SELECT a FROM t"),
            {row, [1]} = sqlite:step(S),
            {Db, S}
        end)
     || N <- lists:seq(1, 20)
    ],
    _ = busy_client(Host),
    {ok, #{pid := Pid}} = reclaim:info(Host),
    ok = file:write_file(filename:join(Folder, "new"), integer_to_list(Pid)),
    ok = file:rename(filename:join(Folder, "new"), filename:join(Folder, "host")),
    receive after infinity -> ok end.

tests() ->
    [
        {"values go in and come back", fun values/2},
        {"a database is opened as asked, or not at all", fun opening/2},
        {"statements are prepared, bound and stepped", fun statements/2},
        {"what is wrong is told", fun wrong/2},
        {"statements that are none any more are refused", fun finalised/2},
        {"many processes may step one statement", fun shared_statement/2},
        {"an answer that is too long is refused, and read in pieces", fun long_answer/2},
        {"transactions are committed or rolled back", fun transactions/2},
        {"who is locked out waits, and goes on", fun locked/2},
        {"a script that is locked out goes on where it was", fun locked_script/2},
        {"a client that dies in a transaction leaves none of it", fun dies_in_transaction/2},
        {"so does one that is killed while it commits by itself", fun dies_in_query/2},
        {"the others do not notice", fun others/2},
        {"a long query is interrupted when its client dies", fun interrupted_by_death/2},
        {"and when nobody waits for it", fun interrupted_by_timeout/2},
        {"and when its database is closed", fun interrupted_by_close/2},
        {"requests that wait behind it are never begun", fun queued/2},
        {"a database that was given away outlives its first owner", fun given/2},
        {"more statements than an outlet may hold are refused", fun too_many/2},
        {"100 clients are killed at any point", fun killed/2}
    ].

%% ---- what a test is ----

check(Name, Host, Test) ->
    Before = held(Host),
    Result = run(Test),
    After = settle(Host, Before),
    say(Name, Result =:= ok andalso After =:= Before, {Result, Before, After}).

run(Test) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({done, Test()}) end),
    receive
        {'DOWN', Monitor, process, Pid, {done, _}} -> ok;
        {'DOWN', Monitor, process, Pid, Reason} -> Reason
    after 6 * ?PATIENCE_MS ->
        exit(Pid, kill),
        timeout
    end.

say(Name, true, _) ->
    io:format("PASS: ~s~n", [Name]);
say(Name, false, Why) ->
    io:format("~p~nFAIL: ~s~n", [Why, Name]),
    put(passed, false).

%% What the host holds: descriptors of its process, tasks, and their handles.
held(Host) ->
    {ok, #{pid := Pid, outlets := Outlets, clients := Clients, jobs := Jobs}} =
        reclaim:info(Host),
    {ok, Tasks} = reclaim:tasks(Host),
    {ok, Fds} = file:list_dir("/proc/" ++ integer_to_list(Pid) ++ "/fd"),
    #{
        fds => length(Fds),
        tasks => length(Tasks),
        handles => lists:sum([N || #{handles := N} <- Tasks]),
        outlets => Outlets,
        clients => Clients,
        jobs => Jobs
    }.

settle(Host, Wanted) ->
    settle(Host, Wanted, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

settle(Host, Wanted, Until) ->
    case held(Host) of
        Wanted ->
            Wanted;
        Other ->
            case erlang:monotonic_time(millisecond) > Until of
                true -> Other;
                false -> timer:sleep(20), settle(Host, Wanted, Until)
            end
    end.

%% What is made once is made: the library is loaded, its random numbers have begun.
warm_up(Host) ->
    ok = run(fun() ->
        {ok, Db} = sqlite:open(Host, ":memory:"),
        {ok, [[_]]} = sqlite:query(Db, "SELECT random()")
    end),
    wait_for_none(Host).

wait_for_none(Host) ->
    case held(Host) of
        #{outlets := 0, clients := 0} -> ok;
        _ -> timer:sleep(5), wait_for_none(Host)
    end.

check_end(Host) ->
    {ok, #{pid := Pid}} = reclaim:info(Host),
    ok = reclaim:stop_host(Host),
    say("the host ends", is_gone(Pid, 100), still_there).

is_gone(Pid, Tries) ->
    case filelib:is_dir("/proc/" ++ integer_to_list(Pid)) of
        true when Tries > 0 -> timer:sleep(100), is_gone(Pid, Tries - 1);
        There -> not There
    end.

%% A process with a database of its own: does something, says what came of it, and
%% stays until it is killed.
client(Host, Path, Do) ->
    Test = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        {ok, Db} = sqlite:open(Host, Path),
        Test ! {self(), Do(Db)},
        receive after infinity -> ok end
    end),
    receive
        {Pid, Result} -> {Pid, Monitor, Result};
        {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
    end.

kill({Pid, Monitor, _}) ->
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, killed} -> ok end.

%% Begins something that has no end, and has begun it when this returns.
busy_client(Host) ->
    Test = self(),
    Client = {Pid, _, _} = client(Host, ":memory:", fun(Db) ->
        spawn_link(fun() -> Test ! {answer, sqlite:query(Db, ?ENDLESS, [], infinity)} end),
        Db
    end),
    wait_for_job(Host),
    true = is_process_alive(Pid),
    Client.

wait_for_job(Host) ->
    case reclaim:info(Host) of
        {ok, #{jobs := N}} when N > 0 -> ok;
        {ok, _} -> timer:sleep(5), wait_for_job(Host)
    end.

path(Folder, Name) ->
    Path = filename:join(Folder, Name),
    [file:delete(Path ++ Suffix) || Suffix <- ["", "-journal"]],
    Path.

table(Host, Path) ->
    {ok, Db} = sqlite:open(Host, Path),
    ok = sqlite:exec(Db, "CREATE TABLE t (a)"),
    Db.

count(Db) ->
    {ok, [[N]]} = sqlite:query(Db, "SELECT count(*) FROM t"),
    N.

%% Once another's lock has gone: its end may be under way.
count_when_free(Db) ->
    ok = sqlite:exec(Db, "BEGIN EXCLUSIVE"),
    N = count(Db),
    ok = sqlite:commit(Db),
    N.

%% ---- values, statements ----

values(Host, _) ->
    {ok, Db} = sqlite:open(Host, ":memory:"),
    Same = [
        0, -1, 1 bsl 63 - 1, -(1 bsl 63), 0.5, -1.0e308, <<>>, <<"text">>,
        <<"\x{e4}\x{4e00}"/utf8>>, {blob, <<>>}, {blob, <<0, 255>>}, null,
        {blob, binary:copy(<<1>>, 1000000)}
    ],
    [{ok, [[V]]} = sqlite:query(Db, "SELECT ?", [V]) || V <- Same],
    [
        {ok, [[Out]]} = sqlite:query(Db, "SELECT ?", [In])
     || {In, Out} <- [{nil, null}, {undefined, null}, {true, 1}, {false, 0}]
    ],
    {ok, [[infinity, '-infinity', 2]]} = sqlite:query(Db, "SELECT 9e999, -9e999, 1 + ?", [1]),
    {ok, [Row]} = sqlite:query(Db, "SELECT " ++ lists:join(",", ["?" || _ <- Same]), Same),
    Row = Same.

opening(Host, Folder) ->
    Path = path(Folder, "opening.db"),
    {error, enoent} = sqlite:open(Host, Path, read),
    {error, enoent} = sqlite:open(Host, Path, write),
    {error, enoent} = sqlite:open(Host, filename:join(Path, "x")),
    {error, eisdir} = sqlite:open(Host, Folder),
    _ = table(Host, Path),
    {ok, Db} = sqlite:open(Host, Path, read),
    {error, {readonly, _}} = sqlite:exec(Db, "INSERT INTO t VALUES (1)"),
    0 = count(Db),
    [
        {error, einval} = reclaim:open(Host, sqlite, Args)
     || Args <- [
            [], {}, {<<"x">>}, {<<"x">>, append}, {x, create}, {<<"x", 0>>, create},
            {<<"x">>, create, 1}, {binary:copy(<<"x">>, 5000), create}
        ]
    ],
    ok = file:write_file(Path, binary:copy(<<"no database">>, 100)),
    {ok, Other} = sqlite:open(Host, Path),
    {error, {notadb, _}} = sqlite:query(Other, "SELECT * FROM t").

statements(Host, _) ->
    Db = table(Host, ":memory:"),
    {ok, Insert} = sqlite:prepare(Db, "INSERT INTO t VALUES (?)"),
    [begin ok = sqlite:bind(Insert, [N]), done = sqlite:step(Insert) end || N <- lists:seq(1, 5)],
    {ok, 1} = sqlite:changes(Db),
    {ok, 5} = sqlite:last_insert_rowid(Db),
    {ok, Select} = sqlite:prepare(Db, "SELECT a, a * 2 AS twice FROM t WHERE a > ? -- x\n"),
    {ok, [<<"a">>, <<"twice">>]} = sqlite:columns(Select),
    ok = sqlite:bind(Select, [1]),
    {row, [2, 4]} = sqlite:step(Select),
    {rows, [[3, 6], [4, 8]]} = sqlite:step(Select, 2),
    {done, [[5, 10]]} = sqlite:step(Select, 100),
    {row, [2, 4]} = sqlite:step(Select),
    ok = sqlite:reset(Select),
    {row, [2, 4]} = sqlite:step(Select),
    ok = sqlite:bind(Select, [4]),
    {row, [5, 10]} = sqlite:step(Select),
    done = sqlite:step(Select),
    ok = sqlite:finalize(Insert),
    {row, [5, 10]} = sqlite:step(Select),
    ok = sqlite:exec(Db, " ; -- nothing\n"),
    ok = sqlite:exec(Db, "DELETE FROM t; INSERT INTO t VALUES (1); SELECT * FROM t;"),
    1 = count(Db).

wrong(Host, _) ->
    Db = table(Host, ":memory:"),
    {ok, S} = sqlite:prepare(Db, "SELECT ?, ?"),
    Deep = lists:foldl(fun(_, T) -> [T] end, [], lists:seq(1, 200)),
    Wrong = [
        {error, sqlite:exec(Db, "SELEC 1")},
        {error, sqlite:exec(Db, "SELECT * FROM nobody")},
        {toobig, sqlite:exec(Db, ["SELECT '", binary:copy(<<"x">>, 2000000), "'"])},
        {badarg, sqlite:exec(Db, <<"SELECT 1; ", 0>>)},
        {badarg, sqlite:query(Db, "SELECT 1; SELECT 2")},
        {badarg, sqlite:query(Db, "")},
        {badarg, sqlite:prepare(Db, "-- nothing")},
        {range, sqlite:query(Db, "SELECT ?")},
        {range, sqlite:query(Db, "SELECT 1", [1])},
        {range, sqlite:bind(S, [1])},
        {range, sqlite:bind(S, [1, 2, 3])},
        {badarg, sqlite:bind(S, x)},
        {badarg, sqlite:bind(S, [1, 1 bsl 63])},
        {badarg, sqlite:bind(S, [1, Deep])},
        {badarg, sqlite:bind(S, [1, #{}])},
        {badarg, sqlite:bind(S, [1, self()])},
        {badarg, sqlite:bind(S, [1, unknown])},
        {badarg, sqlite:bind(S, [1, {blob, 1}])},
        {badarg, sqlite:bind(S, [1, {blob, <<>>, 1}])},
        {badarg, sqlite:bind(S, [1, <<1:3>>])},
        {badarg, sqlite:step(S, 0)},
        {badarg, sqlite:step(S, -1)},
        {badarg, sqlite:step(S, x)},
        {error, sqlite:commit(Db)},
        {error, sqlite:rollback(Db)},
        {constraint_notnull,
            sqlite:exec(Db, "CREATE TABLE u (a NOT NULL); INSERT INTO u VALUES (NULL)")}
    ],
    [{Code, {error, {Code, Text}}} = W || {Code, _} = W <- Wrong, Text <- [text_of(W)]],
    Requests = [
        x, {}, {x}, {exec}, {exec, <<>>, <<>>}, {exec, 1}, {prepare, x}, 1, [], "begin",
        {'begin', 1}, {query, <<"SELECT 1">>, #{}}, {bind, 1}, {step, x}, {step, 1, 1, 1},
        {finalize, <<1>>}, {1, 2}, {{exec, <<>>}}, #{exec => <<>>}, Deep
    ],
    [{ok, {error, {badarg, _}}} = reclaim:call(Db, R) || R <- Requests],
    {error, enotsup} = reclaim:control(Db, 1, <<>>),
    ok = reclaim:command(Db, <<"data that nobody takes">>),
    0 = count(Db).

text_of({_, {error, {_, Text}}}) when is_binary(Text), Text =/= <<>> -> Text;
text_of(Other) -> exit(Other).

finalised(Host, _) ->
    Db = table(Host, ":memory:"),
    {ok, S} = sqlite:prepare(Db, "SELECT 1"),
    ok = sqlite:finalize(S),
    [
        {error, {no_statement, _}} = Answer
     || Answer <- [
            sqlite:step(S), sqlite:step(S, 1), sqlite:bind(S, []), sqlite:reset(S),
            sqlite:columns(S), sqlite:finalize(S)
        ]
    ],
    [
        {ok, {error, {no_statement, _}}} = reclaim:call(Db, {step, N})
     || N <- [0, 2, 1 bsl 64 - 1]
    ],
    {ok, {error, {badarg, _}}} = reclaim:call(Db, {step, 1 bsl 64}),
    {ok, T} = sqlite:prepare(Db, "SELECT 1"),
    {row, [1]} = sqlite:step(T),
    {error, {no_statement, _}} = sqlite:step(S),
    {ok, Other} = sqlite:open(Host, ":memory:"),
    {ok, {error, {no_statement, _}}} = reclaim:call(Other, {step, 2}).

%% Each row comes once, to one of them; and one of them finalises it under the rest.
shared_statement(Host, _) ->
    Db = table(Host, ":memory:"),
    ok = sqlite:exec(Db, numbers(1000)),
    {ok, S} = sqlite:prepare(Db, "SELECT a FROM t ORDER BY a"),
    Test = self(),
    Pids = [spawn_link(fun() -> Test ! {self(), rows(S, [])} end) || _ <- lists:seq(1, 10)],
    Rows = lists:append([receive {Pid, Got} -> Got end || Pid <- Pids]),
    [] = lists:seq(1, 1000) -- Rows,
    [
        spawn_link(fun() -> Test ! {self(), sqlite:step(S)} end)
     || _ <- lists:seq(1, 50)
    ],
    ok = sqlite:finalize(S),
    Last = [receive {_, Step} -> Step end || _ <- lists:seq(1, 50)],
    [] = [Step || Step <- Last, not is_row_or_refused(Step)],
    ok.

is_row_or_refused({row, [_]}) -> true;
is_row_or_refused({error, {no_statement, _}}) -> true;
is_row_or_refused(_) -> false.

rows(S, Rows) when length(Rows) < 100 ->
    case sqlite:step(S) of
        {row, [Row]} -> rows(S, [Row | Rows]);
        done -> Rows
    end;
rows(_, Rows) ->
    Rows.

numbers(N) ->
    io_lib:format(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ~b) "
        "INSERT INTO t SELECT i FROM n", [N]
    ).

long_answer(Host, _) ->
    Db = table(Host, ":memory:"),
    ok = sqlite:exec(Db, numbers(40000)),
    Sql = "SELECT a, zeroblob(1000) FROM t ORDER BY a",
    {error, {toobig, _}} = sqlite:query(Db, Sql),
    {ok, S} = sqlite:prepare(Db, Sql),
    40000 = pieces(S, 0),
    {ok, All} = sqlite:query(Db, "SELECT a FROM t"),
    40000 = length(All).

pieces(S, N) ->
    {Which, Rows} = sqlite:step(S, 5000),
    [[First, _] | _] = Rows ++ [[N + 1, none]],
    First = N + 1,
    case Which of
        rows -> pieces(S, N + length(Rows));
        done -> N + length(Rows)
    end.

%% ---- transactions ----

transactions(Host, Folder) ->
    Path = path(Folder, "transactions.db"),
    Db = table(Host, Path),
    {ok, Reader} = sqlite:open(Host, Path, read),
    #{handles := Handles} = held(Host),
    ok = sqlite:begin_transaction(Db),
    true = (maps:get(handles, held(Host))) =:= Handles + 1,
    ok = sqlite:exec(Db, "INSERT INTO t VALUES (1)"),
    0 = count(Reader),
    ok = sqlite:rollback(Db),
    true = (maps:get(handles, held(Host))) =:= Handles,
    0 = count(Db),
    {ok, done} = sqlite:transaction(Db, fun() -> insert(Db), done end),
    1 = count(Reader),
    {'EXIT', oops} = (catch sqlite:transaction(Db, fun() -> insert(Db), exit(oops) end)),
    1 = count(Reader),
    %% By SQL of the client's own, too.
    ok = sqlite:exec(Db, "BEGIN; INSERT INTO t VALUES (2); SAVEPOINT s"),
    true = (maps:get(handles, held(Host))) =:= Handles + 1,
    ok = sqlite:exec(Db, "INSERT INTO t VALUES (3); ROLLBACK TO s; COMMIT"),
    true = (maps:get(handles, held(Host))) =:= Handles,
    2 = count(Reader).

insert(Db) ->
    {ok, []} = sqlite:query(Db, "INSERT INTO t VALUES (?)", [1]),
    ok.

locked(Host, Folder) ->
    Path = path(Folder, "locked.db"),
    Db = table(Host, Path),
    ok = sqlite:begin_transaction(Db),
    insert(Db),
    {ok, Other} = sqlite:open(Host, Path),
    {error, {busy, _}} = sqlite:query(Other, "INSERT INTO t VALUES (2)", [], 50),
    Test = self(),
    %% More than there are threads: none of them is in their holder's way.
    [
        spawn_link(fun() ->
            {ok, Mine} = sqlite:open(Host, Path),
            Test ! waits,
            Test ! {done, insert(Mine)}
        end)
     || _ <- lists:seq(1, 20)
    ],
    [receive waits -> ok end || _ <- lists:seq(1, 20)],
    insert(Db),
    ok = sqlite:commit(Db),
    [receive {done, ok} -> ok end || _ <- lists:seq(1, 20)],
    22 = count(Other).

locked_script(Host, Folder) ->
    Path = path(Folder, "script.db"),
    Db = table(Host, Path),
    ok = sqlite:begin_transaction(Db),
    {ok, Other} = sqlite:open(Host, Path),
    Test = self(),
    Script = "CREATE TEMP TABLE mine (a); INSERT INTO mine VALUES (1); INSERT INTO t VALUES (1)",
    spawn_link(fun() -> Test ! {script, sqlite:exec(Other, Script)} end),
    mine(Other),
    ok = sqlite:commit(Db),
    receive {script, ok} -> ok end,
    1 = count(Db),
    {ok, [[1]]} = sqlite:query(Other, "SELECT count(*) FROM mine").

%% Until the script has come so far.
mine(Db) ->
    case sqlite:query(Db, "SELECT count(*) FROM mine") of
        {ok, [[1]]} -> ok;
        _ -> timer:sleep(5), mine(Db)
    end.

%% ---- deaths ----

dies_in_transaction(Host, Folder) ->
    Path = path(Folder, "dies.db"),
    Db = table(Host, Path),
    insert(Db),
    Client = client(Host, Path, fun(Mine) ->
        {ok, Early} = sqlite:prepare(Mine, "SELECT a FROM t"),
        {row, _} = sqlite:step(Early),
        ok = sqlite:begin_transaction(Mine),
        {ok, S} = sqlite:prepare(Mine, "INSERT INTO t VALUES (?)"),
        [begin ok = sqlite:bind(S, [N]), done = sqlite:step(S) end || N <- lists:seq(1, 100)],
        {ok, Late} = sqlite:prepare(Mine, "SELECT a FROM t"),
        {row, _} = sqlite:step(Late),
        101 = count(Mine)
    end),
    true = filelib:is_file(Path ++ "-journal"),
    1 = count(Db),
    kill(Client),
    1 = count_when_free(Db),
    false = filelib:is_file(Path ++ "-journal").

dies_in_query(Host, Folder) ->
    Path = path(Folder, "query.db"),
    Db = table(Host, Path),
    Test = self(),
    Client = client(Host, Path, fun(Mine) ->
        spawn_link(fun() -> Test ! sqlite:exec(Mine, numbers(1 bsl 60), infinity) end)
    end),
    wait_for_file(Path ++ "-journal"),
    kill(Client),
    0 = count_when_free(Db),
    false = filelib:is_file(Path ++ "-journal").

wait_for_file(Path) ->
    case filelib:is_file(Path) of
        true -> ok;
        false -> timer:sleep(5), wait_for_file(Path)
    end.

%% A statement that is between two steps, a transaction, and one that is under way.
others(Host, Folder) ->
    Path = path(Folder, "others.db"),
    Db = table(Host, Path),
    ok = sqlite:exec(Db, numbers(100)),
    {ok, S} = sqlite:prepare(Db, "SELECT a FROM t ORDER BY a"),
    {row, [1]} = sqlite:step(S),
    Memory = table(Host, ":memory:"),
    ok = sqlite:begin_transaction(Memory),
    insert(Memory),
    Clients = [client(Host, Path, fun(Mine) -> count(Mine) end) || _ <- lists:seq(1, 20)],
    [kill(Client) || Client <- Clients],
    [{row, [N]} = sqlite:step(S) || N <- lists:seq(2, 100)],
    done = sqlite:step(S),
    insert(Memory),
    ok = sqlite:commit(Memory),
    2 = count(Memory).

interrupted_by_death(Host, _) ->
    Before = held(Host),
    Db = table(Host, ":memory:"),
    Client = busy_client(Host),
    [0 = count(Db) || _ <- lists:seq(1, 100)], % meanwhile
    #{jobs := 1} = held(Host),
    kill(Client),
    ok = sqlite:close(Db),
    Before = settle(Host, Before).

interrupted_by_timeout(Host, _) ->
    Db = table(Host, ":memory:"),
    insert(Db),
    {error, timeout} = sqlite:query(Db, ?ENDLESS, [], 50),
    1 = count(Db),
    %% What was between two steps is interrupted as well, and says so.
    {ok, S} = sqlite:prepare(Db, "SELECT t.a FROM t, t AS u"),
    {row, _} = sqlite:step(S),
    {error, timeout} = sqlite:query(Db, ?ENDLESS, [], 50),
    {error, {interrupt, _}} = sqlite:step(S, 10),
    {done, [[1]]} = sqlite:step(S, 10),
    1 = count(Db),
    %% One that is nobody's, by a call that is over before it has begun.
    {error, timeout} = sqlite:exec(Db, numbers(1 bsl 60), 50),
    1 = count(Db).

interrupted_by_close(Host, _) ->
    {ok, Db} = sqlite:open(Host, ":memory:"),
    Test = self(),
    spawn_link(fun() -> Test ! {answer, sqlite:query(Db, ?ENDLESS, [], infinity)} end),
    wait_for_job(Host),
    ok = sqlite:close(Db),
    receive {answer, {error, closed}} -> ok end,
    {error, closed} = sqlite:query(Db, "SELECT 1").

queued(Host, Folder) ->
    Path = path(Folder, "queued.db"),
    Other = table(Host, Path),
    Client = {_, _, Db} = busy_client(Host, Path),
    [
        spawn(fun() -> sqlite:query(Db, "INSERT INTO t VALUES (1)", [], infinity) end)
     || _ <- lists:seq(1, 100)
    ],
    {ok, #{calls := Calls}} = reclaim:info(Db),
    true = Calls > 0,
    kill(Client),
    0 = count_when_free(Other).

busy_client(Host, Path) ->
    Client = client(Host, Path, fun(Db) ->
        spawn_link(fun() -> sqlite:query(Db, ?ENDLESS, [], infinity) end),
        Db
    end),
    wait_for_job(Host),
    Client.

given(Host, Folder) ->
    Path = path(Folder, "given.db"),
    _ = table(Host, Path),
    Test = self(),
    Client = {_, _, {Db, S}} = client(Host, Path, fun(Mine) ->
        ok = sqlite:begin_transaction(Mine),
        insert(Mine),
        {ok, Statement} = sqlite:prepare(Mine, "SELECT a FROM t"),
        ok = reclaim:give(Mine, Test),
        {Mine, Statement}
    end),
    kill(Client),
    {row, [1]} = sqlite:step(S),
    ok = sqlite:commit(Db),
    1 = count(Db).

too_many(Host, _) ->
    Db = table(Host, ":memory:"),
    All = [sqlite:prepare(Db, "SELECT 1") || _ <- lists:seq(1, 200)],
    {Good, Bad} = lists:partition(fun(Answer) -> element(1, Answer) =:= ok end, All),
    true = length(Good) > 50,
    [{error, {nomem, _}} | _] = Bad,
    {ok, First} = hd(Good),
    ok = sqlite:finalize(First),
    {ok, _} = sqlite:prepare(Db, "SELECT 1"),
    {error, {nomem, _}} = sqlite:begin_transaction(Db),
    {error, {error, _}} = sqlite:commit(Db),
    0 = count(Db).

%% ---- many deaths ----

%% Each transaction of theirs is three rows; whatever was committed is there, and
%% nothing that was not whole.
killed(Host, Folder) ->
    Path = path(Folder, "killed.db"),
    {ok, Db} = sqlite:open(Host, Path),
    ok = sqlite:exec(Db, "PRAGMA synchronous = OFF; CREATE TABLE t (id, part)"),
    rand:seed(exsss, seed()),
    Test = self(),
    Clients = [
        spawn_monitor(fun() -> work(Host, Path, Test, Id, 1) end)
     || Id <- lists:seq(1, 100)
    ],
    [
        begin
            timer:sleep(rand:uniform(20) - 1),
            exit(Pid, kill)
        end
     || {Pid, _} <- [C || {_, C} <- lists:sort([{rand:uniform(), C} || C <- Clients])]
    ],
    [receive {'DOWN', M, process, _, Reason} -> killed = Reason end || {_, M} <- Clients],
    ok = sqlite:exec(Db, "BEGIN EXCLUSIVE", infinity),
    {ok, Rows} = sqlite:query(Db, "SELECT id, count(*) FROM t GROUP BY id"),
    [] = [Row || [_, N] = Row <- Rows, N =/= 3],
    [_ | _] = Committed = committed([]),
    io:format("~b were committed~n", [length(Committed)]),
    [] = Committed -- [Id || [Id, _] <- Rows],
    {ok, [[<<"ok">>]]} = sqlite:query(Db, "PRAGMA integrity_check"),
    ok = sqlite:commit(Db).

seed() ->
    Seed =
        case os:getenv("RECLAIM_TEST_SEED") of
            false -> erlang:system_time();
            Text -> list_to_integer(Text)
        end,
    io:format("RECLAIM_TEST_SEED=~b~n", [Seed]),
    Seed.

committed(Ids) ->
    receive
        {committed, Id} -> committed([Id | Ids])
    after 0 -> Ids
    end.

work(Host, Path, Test, Id, N) ->
    {ok, Db} = sqlite:open(Host, Path),
    ok = sqlite:exec(Db, "PRAGMA synchronous = OFF"),
    {ok, S} = sqlite:prepare(Db, "INSERT INTO t VALUES (?, ?)"),
    work(Db, S, Test, Id, N, N + 5),
    case N rem 2 of
        0 -> ok = sqlite:close(Db);
        1 -> spawn(fun() -> sqlite:query(Db, ?ENDLESS, [], infinity) end)
    end,
    work(Host, Path, Test, Id, N + 5).

work(_, _, _, _, Last, Last) ->
    ok;
work(Db, S, Test, Client, N, Last) ->
    Id = Client * 1000000 + N,
    ok = sqlite:exec(Db, "BEGIN IMMEDIATE", infinity),
    [
        begin
            ok = sqlite:bind(S, [Id, Part]),
            done = sqlite:step(S)
        end
     || Part <- [1, 2, 3]
    ],
    ok = sqlite:exec(Db, "COMMIT", infinity),
    Test ! {committed, Id},
    work(Db, S, Test, Client, N + 1, Last).
