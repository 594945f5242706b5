%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_keeper - sees to what a killed host's process leaves in the tables
%%
%% A host's process tells owners of its end by itself, and takes its outlets out
%% of the table while it does.  What is left when it is gone it could not tell:
%% that is done here.
%%
%% A port that is closed with output that was not taken stays, and the OS process
%% does not see the end of its input; the emulator could not even halt.  A host
%% that does not take it soon is stuck, and killed.

-module(reclaim_keeper).
-behaviour(gen_server).

-export([make_tables/0, start_link/0, watch/3, kill/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% The hosts there are.
-type hosts() :: #{pid() => {port(), os_pid()}}.
-type os_pid() :: non_neg_integer() | unknown.

%% How long a host is given to take what was sent before its end, and how often a
%% look is taken, in ms.
-define(GRACE_MS, 2000).
-define(LOOK_MS, 20).

%% Of who calls, which is to outlive the hosts.
-spec make_tables() -> ok.
make_tables() ->
    lists:foreach(
        fun({Name, Options}) -> ets:new(Name, [public, named_table | Options]) end,
        tables()
    ).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Called by a host's process when it begins.
-spec watch(pid(), port(), os_pid()) -> ok.
watch(Host, Port, OsPid) ->
    gen_server:call(?MODULE, {watch, Host, Port, OsPid}, infinity).

%% An OS process whose port is still open, so that its number is still its own.
-spec kill(os_pid()) -> ok.
kill(unknown) ->
    ok;
kill(OsPid) ->
    _ = os:cmd("kill -KILL " ++ integer_to_list(OsPid)),
    ok.

%% Outlets by {Host, Number}, in order, so that those of one host are together;
%% {Host, Name} to outlet.
tables() ->
    [
        {reclaim_outlets, [ordered_set]},
        {reclaim_names, [ordered_set, {read_concurrency, true}]}
        | reclaim_outlet:tables()
    ].

-spec init([]) -> {ok, hosts()}.
init([]) ->
    process_flag(trap_exit, true),
    {ok, #{}}.

-spec handle_call({watch, pid(), port(), os_pid()}, gen_server:from(), hosts()) ->
    {reply, ok, hosts()}.
handle_call({watch, Host, Port, OsPid}, _, Hosts) ->
    monitor(process, Host),
    {reply, ok, Hosts#{Host => {Port, OsPid}}}.

-spec handle_cast(term(), hosts()) -> {noreply, hosts()}.
handle_cast(_, Hosts) ->
    {noreply, Hosts}.

-spec handle_info(term(), hosts()) -> {noreply, hosts()}.
handle_info({'DOWN', _, process, Host, _}, Hosts) ->
    sweep(Host),
    #{Host := Ended} = Hosts,
    Keeper = self(),
    _ = spawn(fun() -> await_end([Ended]), Keeper ! {ended, Host} end),
    {noreply, Hosts};
handle_info({ended, Host}, Hosts) ->
    {noreply, maps:remove(Host, Hosts)};
handle_info(_, Hosts) ->
    {noreply, Hosts}.

%% The application's end, which is that of all its processes.  That of the hosts
%% was just before.
-spec terminate(term(), hosts()) -> ok.
terminate(_, Hosts) ->
    lists:foreach(fun sweep/1, maps:keys(Hosts)),
    await_end(maps:values(Hosts)).

sweep(Host) ->
    lists:foreach(fun tell/1, ets:match_object(reclaim_outlets, {{Host, '_'}, '_', '_'})),
    ets:match_delete(reclaim_names, {{Host, '_'}, '_'}),
    ets:match_delete(reclaim_calls, {{Host, '_'}, '_', '_', '_'}),
    ets:match_delete(reclaim_writes, {{Host, '_'}, '_', '_'}),
    ok.

await_end(Ended) ->
    await_end(Ended, ?GRACE_MS div ?LOOK_MS).

await_end(Ended, Looks) ->
    case [One || One = {Port, _} <- Ended, erlang:port_info(Port) =/= undefined] of
        [] ->
            ok;
        Left when Looks =:= 0 ->
            lists:foreach(fun({_, OsPid}) -> kill(OsPid) end, Left);
        Left ->
            timer:sleep(?LOOK_MS),
            await_end(Left, Looks - 1)
    end.

tell({Key, Owner, Out}) ->
    ets:delete(reclaim_outlets, Key),
    reclaim_outlet:end_it(Out, host_down),
    Owner ! {reclaim, Out, {closed, host_down}}.
