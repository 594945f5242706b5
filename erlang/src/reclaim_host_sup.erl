%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_host_sup - the supervisor of one host
%%
%% It begins without its host: that is started, and its failure told, by whoever
%% wants it, while other hosts come and go.  It ends with a host that is not to be
%% started anew.

-module(reclaim_host_sup).
-behaviour(supervisor).

-export([start_link/1, start_host/1, stop_host/1, stop_named/1]).
-export([init/1]).

-spec start_link(reclaim_host:options()) -> supervisor:startlink_ret().
start_link(Options) ->
    supervisor:start_link(?MODULE, Options).

-spec init(reclaim_host:options()) -> {ok, {supervisor:sup_flags(), []}}.
init(#{intensity := Intensity, period := Period}) ->
    Flags = #{intensity => Intensity, period => Period, auto_shutdown => any_significant},
    {ok, {Flags, []}}.

%% In a process of its own: a supervisor without its host would be left, should
%% the caller end on the way.
-spec start_host(reclaim_host:options()) -> {ok, pid()} | {error, term()}.
start_host(Options) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({started, start(Options)}) end),
    receive
        {'DOWN', Monitor, process, Pid, {started, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> {error, Reason}
    end.

start(Options) ->
    try supervisor:start_child(reclaim_hosts, [Options]) of
        {ok, Sup} -> start(Sup, Options);
        {error, Reason} -> {error, Reason}
    catch
        exit:{noproc, _} -> {error, {not_started, reclaim}}
    end.

start(Sup, Options = #{restart := Restart}) ->
    Child = #{
        id => maps:get(name, Options, none),
        start => {reclaim_host, start_link, [Options]},
        restart => Restart,
        significant => Restart =/= permanent
    },
    case supervisor:start_child(Sup, Child) of
        {ok, Host} ->
            {ok, Host};
        {error, Why} ->
            _ = supervisor:terminate_child(reclaim_hosts, Sup),
            {error, reason(Why)}
    end.

%% The supervisor adds the child's specification.
reason({Reason, Child}) when element(1, Child) =:= child -> Reason;
reason(Reason) -> Reason.

-spec stop_host(pid()) -> ok | {error, host_down}.
stop_host(Sup) ->
    try supervisor:terminate_child(reclaim_hosts, Sup) of
        ok -> ok;
        {error, _} -> {error, host_down}
    catch
        exit:{noproc, _} -> {error, host_down}
    end.

%% One that is about to be restarted has no name, but its supervisor knows it.
-spec stop_named(atom()) -> ok | {error, host_down}.
stop_named(Name) ->
    case [Sup || {_, Sup, _, _} <- hosts(), is_pid(Sup), has(Name, Sup)] of
        [] -> {error, host_down};
        Sups -> lists:foreach(fun stop_host/1, Sups)
    end.

hosts() ->
    try
        supervisor:which_children(reclaim_hosts)
    catch
        exit:{noproc, _} -> []
    end.

has(Name, Sup) ->
    try
        supervisor:get_childspec(Sup, Name)
    of
        {ok, _} -> true;
        {error, _} -> false
    catch
        exit:_ -> false
    end.
