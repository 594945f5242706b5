%% SPDX-License-Identifier: Apache-2.0
%%
%% slow_end - outlets that take long to end are in nobody's way (see slow_end.sh)
%%
%% What they hold is released when this writes to a FIFO (slow_driver.c): a host
%% that waited for that would answer nothing until then, and this would fail.
%%
%% erl -noinput -run slow_end main -extra HOST DRIVERS FOLDER
-module(slow_end).
-export([main/0]).

-define(PATIENCE_MS, 20000).
-define(MANY, 12). % more than there are threads for

main() ->
    [Program, Drivers, Folder] = init:get_plain_arguments(),
    {ok, _} = application:ensure_all_started(reclaim),
    {ok, Host} = reclaim:start_host(#{
        program => Program, args => ["--jobs", "1", "--drivers", Drivers]
    }),
    {ok, Echo} = reclaim:open(Host, echo, []),
    keep_the_thread(Host, Folder),
    Fifos = [fifo(Folder, integer_to_list(N)) || N <- lists:seq(1, ?MANY)],
    Owners = [owner(Host, Fifo) || Fifo <- Fifos],
    [exit(Owner, kill) || Owner <- Owners],
    wait(fun() -> stopped(Host) =:= ?MANY end),
    say("while outlets end others are answered", is_answered(Echo, 100)),
    say("they have not ended before they can", stopped(Host) =:= ?MANY),
    [spawn(fun() -> release(Fifo) end) || Fifo <- Fifos],
    wait(fun() -> stopped(Host) =:= 0 end),
    say("then they end, though a job keeps the only thread", count(Host) =:= 2),
    Last = fifo(Folder, "last"),
    exit(owner(Host, Last), kill),
    wait(fun() -> stopped(Host) =:= 1 end),
    release(Last),
    wait(fun() -> count(Host) =:= 2 end),
    say("and so does one more", true),
    halt(case get(failed) of undefined -> 0; _ -> 1 end).

%% A call that is never answered, of an outlet that is this process's.
keep_the_thread(Host, Folder) ->
    Fifo = fifo(Folder, "kept"),
    {ok, Slow} = reclaim:open(Host, slow, Fifo),
    spawn_link(fun() -> reclaim:call(Slow, for_ever, infinity) end),
    wait(fun() -> {ok, #{jobs := Jobs}} = reclaim:info(Host), Jobs =:= 1 end).

fifo(Folder, Name) ->
    Path = filename:join(Folder, Name),
    "" = os:cmd("mkfifo " ++ Path),
    list_to_binary(Path).

%% Whoever reads it reads its end.
release(Fifo) ->
    "" = os:cmd("exec 3>" ++ binary_to_list(Fifo)).

owner(Host, Fifo) ->
    Test = self(),
    Owner = spawn(fun() ->
        {ok, _} = reclaim:open(Host, slow, Fifo),
        Test ! {self(), open},
        receive after infinity -> ok end
    end),
    receive {Owner, open} -> Owner after ?PATIENCE_MS -> give_up(open) end.

is_answered(_, 0) ->
    true;
is_answered(Echo, Times) ->
    ok = reclaim:command(Echo, <<Times>>),
    receive {reclaim, Echo, {data, <<Times>>}} -> is_answered(Echo, Times - 1)
    after ?PATIENCE_MS -> false
    end.

count(Host) ->
    {ok, Outlets} = reclaim:outlets(Host),
    length(Outlets).

stopped(Host) ->
    {ok, Outlets} = reclaim:outlets(Host),
    length([stopped || #{state := stopped} <- Outlets]).

wait(Fun) ->
    wait(Fun, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

wait(Fun, Until) ->
    case Fun() of
        true -> ok;
        false ->
            erlang:monotonic_time(millisecond) < Until orelse give_up(Fun),
            timer:sleep(10),
            wait(Fun, Until)
    end.

give_up(What) ->
    io:format("FAIL: waited too long for ~p~n", [What]),
    halt(1).

say(What, true) ->
    io:format("PASS: ~s~n", [What]);
say(What, false) ->
    io:format("FAIL: ~s~n", [What]),
    put(failed, true).
