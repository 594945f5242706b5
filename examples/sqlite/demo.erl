%% SPDX-License-Identifier: Apache-2.0
%%
%% demo - what becomes of a database whose process dies (see demo.sh)
%%
%% Says what it does and what it sees; exits with 1 where that is not what the
%% library promises, with a line for each.
%%
%% erl -noinput -run demo main -extra PROGRAM FOLDER [ARGUMENT ...]
-module(demo).
-export([main/0]).

-define(PROMPT_MS, 200).
-define(MARGIN_KIB, 2048). % that memory may grow between the 200th and the last
-define(DEATHS, 2000).

main() ->
    [Program, Folder | Arguments] = init:get_plain_arguments(),
    {ok, _} = application:ensure_all_started(reclaim),
    {ok, Host} = reclaim:start_host(#{program => Program, args => Arguments}),
    Bank = filename:join(Folder, "bank.db"),
    make_bank(Host, Bank),
    Before = held(Host),
    say("A host is running, and holds ~s.", [text(Before)]),
    Others = [spawn_link(fun() -> other(Host) end) || _ <- [1, 2]],
    wait(fun() -> count(Others) > 100 end),
    dies(Host, Bank, Others),
    is_interrupted(Host, Others),
    many_die(Host, Bank),
    [Other ! stop || Other <- Others],
    After = wait_for(fun() -> held(Host) end, Before),
    say("All have ended. The host holds ~s.", [text(After)]),
    expect("what the host held before, and nothing else", After =:= Before),
    ok = reclaim:stop_host(Host),
    halt(case get(missing) of undefined -> 0; _ -> 1 end).

make_bank(Host, Bank) ->
    {ok, Db} = sqlite:open(Host, Bank),
    ok = sqlite:exec(Db, "CREATE TABLE account (name TEXT PRIMARY KEY, amount INTEGER);"
                         "INSERT INTO account VALUES ('ann', 100), ('bob', 0)"),
    ok = sqlite:close(Db).

%% ---- a process dies in a transaction ----

dies(Host, Bank, Others) ->
    Demo = self(),
    Teller = spawn(fun() -> transfer(Host, Bank, Demo) end),
    receive {Teller, taken} -> ok end,
    say("~nA process opens bank.db, begins a transaction, and has taken ann's 100:~n", []),
    show_tasks(Host),
    say("~nIt is killed before bob gets them.", []),
    Answers = count(Others),
    exit(Teller, kill),
    {ok, Db} = sqlite:open(Host, Bank),
    ok = sqlite:begin_transaction(Db), % waits for its lock
    {ok, Rows} = sqlite:query(Db, "SELECT * FROM account ORDER BY name"),
    ok = sqlite:commit(Db),
    say("In the database: ~s.", [lists:join(", ", [[N, $\s, integer_to_list(A)] || [N, A] <- Rows])]),
    expect("ann's 100", Rows =:= [[<<"ann">>, 100], [<<"bob">>, 0]]),
    expect("no journal on the disk", not filelib:is_file(Bank ++ "-journal")),
    ok = sqlite:close(Db),
    wait(fun() -> count(Others) > Answers end).

transfer(Host, Bank, Demo) ->
    {ok, Db} = sqlite:open(Host, Bank),
    ok = sqlite:begin_transaction(Db),
    {ok, Move} = sqlite:prepare(Db, "UPDATE account SET amount = amount + ? WHERE name = ?"),
    ok = sqlite:bind(Move, [-100, <<"ann">>]),
    done = sqlite:step(Move),
    Demo ! {self(), taken},
    receive go_on -> ok end,
    ok = sqlite:bind(Move, [100, <<"bob">>]),
    done = sqlite:step(Move),
    ok = sqlite:commit(Db).

%% ---- a query that nobody waits for any more ----

is_interrupted(Host, Others) ->
    Counter = spawn(fun() ->
        {ok, Db} = sqlite:open(Host, ":memory:"),
        sqlite:query(Db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                         "SELECT count(*) FROM n", [], infinity)
    end),
    wait(fun() -> element(2, held(Host)) =:= 3 end),
    say("~nAnother one counts for ever, in SQL.", []),
    Answers = count(Others),
    _ = slowest(Others), % from now on
    timer:sleep(1000),
    {Meanwhile, Slowest} = {count(Others) - Answers, slowest(Others)},
    say("Meanwhile, in a second, others get ~b answers, the slowest after ~.1f ms.",
        [Meanwhile, Slowest / 1000]),
    expect("answers for others", Meanwhile > 0),
    {Microseconds, _} = timer:tc(fun() ->
        exit(Counter, kill),
        wait(fun() -> element(2, held(Host)) =:= 2 end)
    end),
    say("It is killed: its query has ended, and its database is closed, after ~.1f ms.",
        [Microseconds / 1000]),
    expect("its end within " ++ integer_to_list(?PROMPT_MS) ++ " ms",
        Microseconds < 1000 * ?PROMPT_MS).

%% ---- many deaths ----

many_die(Host, Bank) ->
    [die(Host, Bank) || _ <- lists:seq(1, 200)],
    Warm = memory(Host),
    [die(Host, Bank) || _ <- lists:seq(201, ?DEATHS)],
    End = memory(Host),
    say("~n~b more die so. The host's memory: ~b KiB after 200 of them, ~b KiB at the end.",
        [?DEATHS, Warm, End]),
    expect("memory that does not grow", End < Warm + ?MARGIN_KIB).

die(Host, Bank) ->
    Demo = self(),
    Teller = spawn(fun() -> transfer(Host, Bank, Demo) end),
    receive {Teller, taken} -> exit(Teller, kill) end.

%% ---- others ----

%% It asks all the time, and counts the answers.
other(Host) ->
    {ok, Db} = sqlite:open(Host, ":memory:"),
    ok = sqlite:exec(Db, "CREATE TABLE t (a)"),
    other(Db, 0, 0).

other(Db, Count, Slowest) ->
    receive
        stop -> ok;
        {how_many, From} -> From ! {self(), Count}, other(Db, Count, Slowest);
        {slowest, From} -> From ! {self(), Slowest}, other(Db, Count, 0)
    after 0 ->
        {Microseconds, {ok, [[0]]}} =
            timer:tc(fun() -> sqlite:query(Db, "SELECT count(*) FROM t") end),
        other(Db, Count + 1, max(Slowest, Microseconds))
    end.

count(Others) -> lists:sum(ask(Others, how_many)).
slowest(Others) -> lists:max(ask(Others, slowest)).

ask(Others, What) ->
    [Other ! {What, self()} || Other <- Others],
    [receive {Other, Answer} -> Answer end || Other <- Others].

%% ---- what the host holds ----

%% Descriptors, clients, handles of all tasks.
held(Host) ->
    {ok, #{pid := Pid, clients := Clients}} = reclaim:info(Host),
    {ok, Tasks} = reclaim:tasks(Host),
    {ok, Fds} = file:list_dir("/proc/" ++ integer_to_list(Pid) ++ "/fd"),
    {length(Fds), Clients, lists:sum([N || #{handles := N} <- Tasks])}.

memory(Host) ->
    {ok, #{pid := Pid}} = reclaim:info(Host),
    {ok, Status} = file:read_file("/proc/" ++ integer_to_list(Pid) ++ "/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(KiB).

text({Fds, Clients, Handles}) ->
    io_lib:format("~b descriptors, ~b clients, ~b handles", [Fds, Clients, Handles]).

show_tasks(Host) ->
    {ok, Tasks} = reclaim:tasks(Host),
    show_below(0, "    ", Tasks).

show_below(Parent, Indent, Tasks) ->
    [
        begin
            say("~s~s~s", [Indent, Name, handles(Handles)]),
            show_below(Task, "    " ++ Indent, Tasks)
        end
     || #{task := Task, parent := P, name := Name, handles := Handles} <- Tasks, P =:= Parent
    ].

handles(0) -> "";
handles(1) -> ": one handle";
handles(N) -> io_lib:format(": ~b handles", [N]).

%% ---- saying and waiting ----

say(Format, Arguments) ->
    io:format(Format ++ "~n", Arguments).

expect(_, true) ->
    ok;
expect(What, false) ->
    io:format(standard_error, "NOT SEEN: ~s~n", [What]),
    put(missing, true).

wait(Fun) ->
    case Fun() of
        true -> ok;
        false -> timer:sleep(1), wait(Fun)
    end.

wait_for(Fun, Wanted) ->
    wait_for(Fun, Wanted, 5000).

wait_for(Fun, Wanted, Tries) ->
    case Fun() of
        Wanted -> Wanted;
        Other when Tries =:= 0 -> Other;
        _ -> timer:sleep(1), wait_for(Fun, Wanted, Tries - 1)
    end.
