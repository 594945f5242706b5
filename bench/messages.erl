%% SPDX-License-Identifier: Apache-2.0
%%
%% messages - what a message of 64 bytes costs between two of the emulator's
%% processes, each on a scheduler of its own
%%
%% Prints nanoseconds, the median of so many times.
%%
%% usage: messages:main(["one_way" | "round_trip"])

-module(messages).

-export([main/1]).

-define(TIMES, 12).

main(["one_way"]) ->
    median(fun one_way/2, 100000);
main(["round_trip"]) ->
    median(fun round_trip/2, 1000).

median(Work, N) ->
    Bytes = binary:copy(<<"m">>, 64),
    Ns = lists:sort([once(Work, Bytes, N) || _ <- lists:seq(1, ?TIMES)]),
    io:format("~.2f~n", [lists:nth(?TIMES div 2, Ns) / N]),
    halt(0).

%% In processes of its own, which leave nothing to collect.
once(Work, Bytes, N) ->
    Self = self(),
    spawn_opt(fun() -> Self ! {took, Work(Bytes, N)} end, [link, {scheduler, 1}]),
    receive
        {took, Ns} -> Ns
    end.

other(Work) ->
    Pid = spawn_opt(Work, [link, {scheduler, 2}]),
    Pid ! {ready, self()},
    receive
        ready -> Pid
    end.

now_ns() ->
    erlang:monotonic_time(nanosecond).

one_way(Bytes, N) ->
    Self = self(),
    Other = other(fun() ->
        answer_ready(),
        receive_all(N),
        Self ! {received, now_ns()}
    end),
    Began = now_ns(),
    send_all(Other, Bytes, N),
    receive
        {received, Ended} -> Ended - Began
    end.

answer_ready() ->
    receive
        {ready, From} -> From ! ready
    end.

send_all(_, _, 0) ->
    ok;
send_all(To, Bytes, N) ->
    To ! Bytes,
    send_all(To, Bytes, N - 1).

receive_all(0) ->
    ok;
receive_all(N) ->
    receive
        _ -> receive_all(N - 1)
    end.

round_trip(Bytes, N) ->
    Self = self(),
    Other = other(fun() ->
        answer_ready(),
        echo(Self)
    end),
    Began = now_ns(),
    ask(Other, Bytes, N),
    now_ns() - Began.

echo(To) ->
    receive
        Bytes ->
            To ! Bytes,
            echo(To)
    end.

ask(_, _, 0) ->
    ok;
ask(To, Bytes, N) ->
    To ! Bytes,
    receive
        _ -> ask(To, Bytes, N - 1)
    end.
