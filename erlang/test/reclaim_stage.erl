%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_stage - what the suites of the application have in common
%%
%% RECLAIM_TEST_HOST and RECLAIM_TEST_FAKE are the programs: a host, and one that
%% misbehaves.  Each test has a process of its own, with which its outlets go, and
%% has to leave nothing behind: no host, no row in a table.
-module(reclaim_stage).

-export([tests/2, real/1, real/2, fake/0, fake/1, host/0, host/1, fake_host/1, fake_host/2]).
-export([until/1, next/0, none/0, await_closed/1, in_process/1, result/1, os_pid/1, kill_os/1, gone/1]).
-export([logged/1, log/2]).

-define(PATIENCE, 20000).

%% A suite's generator: [{What, Fun}].
tests(Suite, Tests) ->
    {setup, fun() -> {ok, _} = application:ensure_all_started(reclaim) end,
        fun(_) -> application:stop(reclaim) end,
        [{Suite ++ ": " ++ What, {timeout, 120, fun() -> run(Test) end}} || {What, Test} <- Tests]}.

run(Test) ->
    {Pid, Monitor} = spawn_monitor(fun() -> Test(), exit(passed) end),
    receive
        {'DOWN', Monitor, process, Pid, passed} -> ok;
        {'DOWN', Monitor, process, Pid, Reason} -> stop_all(), error(Reason)
    after 5 * ?PATIENCE ->
        stop_all(),
        error(no_end)
    end,
    stop_all(),
    Tables = [reclaim_calls, reclaim_writes, reclaim_outlets, reclaim_names],
    until(fun() -> lists:all(fun(T) -> ets:info(T, size) =:= 0 end, Tables) end).

stop_all() ->
    [
        supervisor:terminate_child(reclaim_hosts, Sup)
     || whereis(reclaim_hosts) =/= undefined,
        {_, Sup, _, _} <- supervisor:which_children(reclaim_hosts)
    ].

fake() -> os:getenv("RECLAIM_TEST_FAKE").

fake(Args) -> #{program => fake(), args => Args, restart => temporary}.

host() -> host(#{}).

host(Options) -> maps:merge(#{program => os:getenv("RECLAIM_TEST_HOST"), restart => temporary}, Options).

%% With a host.
real(Test) -> real(#{}, Test).

real(Options, Test) ->
    {ok, Host} = reclaim:start_host(host(Options)),
    Test(Host),
    ok = reclaim:stop_host(Host).

%% With a host that is none.
fake_host(Test) -> fake_host(#{}, Test).

fake_host(Options, Test) ->
    {ok, Host} = reclaim:start_host(maps:merge(fake([]), Options)),
    Test(Host),
    _ = reclaim:stop_host(Host).

%% Until it is so; it does not fail.
until(Is) ->
    until(Is, erlang:monotonic_time(millisecond) + ?PATIENCE).

until(Is, End) ->
    case {Is(), erlang:monotonic_time(millisecond) > End} of
        {true, _} -> ok;
        {false, true} -> error({never, Is});
        {false, false} -> timer:sleep(5), until(Is, End)
    end.

%% The next message of an outlet's.
next() ->
    receive
        {reclaim, _, What} -> What
    after ?PATIENCE -> error(no_message)
    end.

none() ->
    receive
        Message -> error({unexpected, Message})
    after 100 -> ok
    end.

await_closed(Out) ->
    receive
        {reclaim, Out, {closed, Reason}} -> Reason
    after ?PATIENCE -> error(not_closed)
    end.

%% Something that waits, elsewhere: what it came to.
in_process(Do) ->
    spawn_monitor(fun() -> exit({result, Do()}) end).

result({Pid, Monitor}) ->
    receive
        {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    after ?PATIENCE -> error(no_result)
    end.

os_pid(Host) ->
    {links, Links} = process_info(Host, links),
    [Port] = [Port || Port <- Links, is_port(Port)],
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    Pid.

kill_os(Host) ->
    [] = os:cmd("kill -KILL " ++ integer_to_list(os_pid(Host))),
    ok.

%% An OS process has ended; a zombie is its parent's to take away.
gone(Pid) ->
    case file:read_file("/proc/" ++ integer_to_list(Pid) ++ "/stat") of
        {ok, Stat} -> re:run(Stat, "\\) Z ", [{capture, none}]) =:= match;
        {error, _} -> true
    end.

%% What is logged while it runs: [{Level, Text, Meta}].
logged(Do) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self(), level => all}),
    Level = maps:get(level, logger:get_primary_config()),
    logger:set_handler_config(default, level, none),
    logger:set_primary_config(level, all),
    try
        Do()
    after
        logger:set_primary_config(level, Level),
        logger:remove_handler(?MODULE),
        logger:set_handler_config(default, level, all)
    end.

log(#{level := Level, msg := {Format, Args}, meta := Meta = #{reclaim_host := _}}, #{config := Pid}) when
    is_list(Format)
->
    Pid ! {logged, Level, unicode:characters_to_binary(io_lib:format(Format, Args)), Meta};
log(_, _) ->
    ok.
