%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_app - the application: it begins without hosts

-module(reclaim_app).
-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    %% The atoms that a host may answer with.
    _ = reclaim_wire:reasons(),
    case reclaim_sup:start_link() of
        {ok, Pid} -> {ok, Pid};
        ignore -> {error, ignore};
        {error, Reason} -> {error, Reason}
    end.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
