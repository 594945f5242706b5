%% SPDX-License-Identifier: Apache-2.0
%%
%% mixed - a load of the emulator's own, for the time of the whole
%%
%% ets tables that are filled, replaced and emptied; binaries of all sizes, some
%% of them shared; processes that are spawned, link and end; messages of small
%% and large terms, among processes of all schedulers.
%%
%% usage: mixed:main([Rounds])

-module(mixed).

-export([main/1]).

-define(WORKERS, 4).

main([Rounds]) ->
    Self = self(),
    N = list_to_integer(Rounds),
    Pids = [
        spawn_link(fun() ->
            rand:seed(exsss, Seed),
            [load(I) || I <- lists:seq(1, N)],
            Self ! {done, self()}
        end)
     || Seed <- lists:seq(1, ?WORKERS)
    ],
    [
        receive
            {done, Pid} -> ok
        end
     || Pid <- Pids
    ],
    halt(0).

load(_) ->
    tables(),
    binaries(),
    spawns(),
    messages().

tables() ->
    T = ets:new(t, [set]),
    [ets:insert(T, {I, lists:seq(1, rand:uniform(30)), <<I:64>>}) || I <- lists:seq(1, 2000)],
    [
        ets:insert(T, {rand:uniform(2000), make_ref(), binary:copy(<<"x">>, rand:uniform(200))})
     || _ <- lists:seq(1, 4000)
    ],
    [ets:delete(T, I) || I <- lists:seq(1, 2000, 3)],
    ets:delete(T).

binaries() ->
    Held = [binary:copy(<<"b">>, 64 + rand:uniform(8192)) || _ <- lists:seq(1, 500)],
    Parts = [binary:part(B, 0, 32) || B <- Held],
    Joined = iolist_to_binary([Held, Parts]),
    erlang:md5(Joined).

spawns() ->
    Pids = [
        spawn_monitor(fun() ->
            Work = [{I, integer_to_list(I)} || I <- lists:seq(1, 50 + rand:uniform(200))],
            exit({ok, maps:size(maps:from_list(Work))})
        end)
     || _ <- lists:seq(1, 300)
    ],
    [
        receive
            {'DOWN', Ref, process, Pid, _} -> ok
        end
     || {Pid, Ref} <- Pids
    ].

messages() ->
    Echo = spawn_link(fun echo/0),
    [
        begin
            Echo ! {self(), [{I, <<I:256>>, lists:seq(1, 20)}]},
            receive
                {Echo, _} -> ok
            end
        end
     || I <- lists:seq(1, 500)
    ],
    Echo ! stop.

echo() ->
    receive
        stop ->
            ok;
        {From, Term} ->
            From ! {self(), Term},
            echo()
    end.
