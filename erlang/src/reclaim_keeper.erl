%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_keeper - has the tables, and what a killed host's process leaves in them
%%
%% A host's process tells owners of its end by itself, and takes its outlets out
%% of the table while it does.  What is left when it is gone it could not tell:
%% that is done here.

-module(reclaim_keeper).
-behaviour(gen_server).

-export([start_link/0, watch/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Called by a host's process when it begins.
-spec watch(pid()) -> ok.
watch(Host) ->
    gen_server:call(?MODULE, {watch, Host}, infinity).

%% Outlets by {Host, Number}, in order, so that those of one host are together;
%% {Host, Name} to outlet.
tables() ->
    [
        {reclaim_outlets, [ordered_set]},
        {reclaim_names, [ordered_set, {read_concurrency, true}]}
        | reclaim_outlet:tables()
    ].

-spec init([]) -> {ok, []}.
init([]) ->
    lists:foreach(
        fun({Name, Options}) -> ets:new(Name, [public, named_table | Options]) end,
        tables()
    ),
    {ok, []}.

-spec handle_call({watch, pid()}, gen_server:from(), []) -> {reply, ok, []}.
handle_call({watch, Host}, _, S) ->
    monitor(process, Host),
    {reply, ok, S}.

-spec handle_cast(term(), []) -> {noreply, []}.
handle_cast(_, S) ->
    {noreply, S}.

-spec handle_info(term(), []) -> {noreply, []}.
handle_info({'DOWN', _, process, Host, _}, S) ->
    lists:foreach(fun tell/1, ets:match_object(reclaim_outlets, {{Host, '_'}, '_', '_'})),
    ets:match_delete(reclaim_names, {{Host, '_'}, '_'}),
    ets:match_delete(reclaim_calls, {{Host, '_'}, '_', '_', '_'}),
    ets:match_delete(reclaim_writes, {{Host, '_'}, '_', '_', '_'}),
    {noreply, S};
handle_info(_, S) ->
    {noreply, S}.

tell({Key, Owner, Out}) ->
    ets:delete(reclaim_outlets, Key),
    reclaim_outlet:end_it(Out, host_down),
    Owner ! {reclaim, Out, {closed, host_down}}.
