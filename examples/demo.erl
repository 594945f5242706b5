%% SPDX-License-Identifier: Apache-2.0
%%
%% demo - the emulator's half of the demonstration (see demo.sh)
%%
%% Opens leaky_port twice, with libreclaim and without, sends the same calls to
%% both, a batch to the one and a batch to the other, and prints a row of the
%% table now and then.  When all are answered it writes what it measured to a
%% file, and goes on calling: it is meant to be killed in the middle of that.
%%
%% erl -noinput -run demo main WITH WITHOUT RESULTS live|rows
-module(demo).
-export([main/1]).

-define(CALLS, 20000).
-define(BATCH, 100).
-define(WARM_UP, 1000).
-define(ROW, 2000).
-define(ANSWER_MS, 30000).

-record(side, {
    name,
    port,
    pid,
    served = 0,
    failed = 0,
    exited = 0,      % of those served: exited in the middle
    full = 0,        % of those failed: too many open files
    fds = 0,
    memory = 0,      % KiB
    warm = {0, 0}    % fds and memory after WARM_UP calls
}).

main([With, Without, Results, Look]) ->
    try
        heading(),
        Sides = [open("with", With), open("without", Without)],
        Done = run(0, Sides, Look),
        ok = write(Results, Done),
        call_on(?CALLS, Done)
    catch
        _:Reason ->
            io:format(standard_error, "~ndemo: ~p~n", [Reason]),
            halt(1)
    end.

open(Name, Program) ->
    Port = open_port({spawn_executable, Program},
                     [{packet, 4}, binary, exit_status]),
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    #side{name = Name, port = Port, pid = Pid}.

run(?CALLS, Sides, _Look) ->
    Sides;
run(Calls, Sides0, Look) ->
    Now = Calls + ?BATCH,
    Sides = [warm(Now, measure(batch(Calls, Side))) || Side <- Sides0],
    show(Now, Sides, Look),
    run(Now, Sides, Look).

call_on(Calls, Sides) ->
    call_on(Calls + ?BATCH, [batch(Calls, Side) || Side <- Sides]).

%% A batch is sent as a whole; the answers come in the order of the calls.
batch(Calls, Side = #side{port = Port}) ->
    Numbers = lists:seq(Calls + 1, Calls + ?BATCH),
    [port_command(Port, integer_to_binary(N)) || N <- Numbers],
    lists:foldl(fun(_, S) -> count(answer(S), S) end, Side, Numbers).

answer(#side{name = Name, port = Port}) ->
    receive
        {Port, {data, Answer}} -> Answer;
        {Port, {exit_status, Status}} -> throw({Name, exit_status, Status})
    after ?ANSWER_MS -> throw({Name, no_answer_within_ms, ?ANSWER_MS})
    end.

count(<<"ok">>, S) ->
    S#side{served = S#side.served + 1};
count(<<"exit ", _/binary>>, S) ->
    S#side{served = S#side.served + 1, exited = S#side.exited + 1};
count(<<"error: Too many open files">>, S) ->
    S#side{failed = S#side.failed + 1, full = S#side.full + 1};
count(<<"error: ", _/binary>>, S) ->
    S#side{failed = S#side.failed + 1}.

measure(S = #side{pid = Pid}) ->
    Proc = "/proc/" ++ integer_to_list(Pid),
    {ok, Fds} = file:list_dir(Proc ++ "/fd"),
    {ok, Status} = file:read_file(Proc ++ "/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s*(\\d+) kB",
                            [{capture, all_but_first, list}]),
    S#side{fds = length(Fds), memory = list_to_integer(KiB)}.

warm(?WARM_UP, S) -> S#side{warm = {S#side.fds, S#side.memory}};
warm(_, S) -> S.

%% The table.  On a terminal its last row is rewritten with every batch.
heading() ->
    io:format("         |       with libreclaim         "
              "|      without libreclaim~n"
              "   calls |  served  failed  fds   memory"
              " |  served  failed  fds   memory~n").

show(Calls, Sides, _) when Calls rem ?ROW =:= 0; Calls =:= ?WARM_UP ->
    io:format("~ts~n", [row(Calls, Sides)]);
show(Calls, Sides, "live") ->
    io:format("~ts\r", [row(Calls, Sides)]);
show(_, _, _) ->
    ok.

row(Calls, Sides) ->
    [io_lib:format("~8w", [Calls]) |
     [io_lib:format(" | ~7w ~7w ~4w ~5.1f MiB",
                    [S#side.served, S#side.failed, S#side.fds,
                     S#side.memory / 1024]) || S <- Sides]].

%% One line for each side; renamed into place, so that it is seen whole.
write(Results, Sides) ->
    Lines = [io_lib:format("~s ~w ~w ~w ~w ~w ~w ~w ~w ~w~n",
                           [S#side.name, S#side.pid, S#side.served,
                            S#side.failed, S#side.exited, S#side.full,
                            Fds, S#side.fds, Memory, S#side.memory])
             || S = #side{warm = {Fds, Memory}} <- Sides],
    ok = file:write_file(Results ++ ".new", Lines),
    file:rename(Results ++ ".new", Results).
