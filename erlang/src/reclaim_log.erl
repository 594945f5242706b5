%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_log - what hosts say, for the logger
%%
%% The logger has whoever logs wait when its handlers are slow.  A host's process
%% must not wait, so it has this log for it.  What waits here is bounded: beyond
%% that it is dropped, and how much is told.
%%
%% The metadata has no domain: the logger's default handler would drop all that has
%% one of ours.

-module(reclaim_log).
-behaviour(gen_server).

-export([start_link/0, say/3, format/4]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% What may wait.
-define(WAITING, 1000).

%% The cells: how many wait, how many were dropped.
-define(NOW, 1).
-define(DROPPED, 2).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% A text of a host's.
-spec say(byte(), binary(), logger:metadata()) -> ok.
say(Level, Text, Meta) ->
    format(level(Level), "~ts", [text(Text)], Meta).

%% Said by us.
-spec format(logger:level(), string(), [term()], logger:metadata()) -> ok.
format(Level, Format, Args, Meta) ->
    case logger:allow(Level, ?MODULE) of
        true -> put_in(Level, Format, Args, Meta#{pid => self()});
        false -> ok
    end.

put_in(Level, Format, Args, Meta) ->
    Cells = persistent_term:get(?MODULE),
    case counters:get(Cells, ?NOW) of
        Full when Full >= ?WAITING ->
            counters:add(Cells, ?DROPPED, 1);
        _ ->
            counters:add(Cells, ?NOW, 1),
            gen_server:cast(?MODULE, {Level, Format, Args, Meta#{time => logger:timestamp()}})
    end.

%% syslog's
level(3) -> error;
level(4) -> warning;
level(5) -> notice;
level(6) -> info;
level(7) -> debug;
level(_) -> error.

%% What is no UTF-8 is shown as bytes.
text(Text) ->
    case unicode:characters_to_binary(Text) of
        Good when is_binary(Good) -> Good;
        _ -> unicode:characters_to_binary(Text, latin1)
    end.

%% The cells are put once for all of the node's time, so that nothing is swept.
-spec init([]) -> {ok, counters:counters_ref()}.
init([]) ->
    Cells =
        case persistent_term:get(?MODULE, none) of
            none -> counters:new(2, []);
            Old -> Old
        end,
    counters:put(Cells, ?NOW, 0),
    persistent_term:put(?MODULE, Cells),
    {ok, Cells}.

-spec handle_call(term(), gen_server:from(), counters:counters_ref()) ->
    {reply, ok, counters:counters_ref()}.
handle_call(_, _, Cells) ->
    {reply, ok, Cells}.

-spec handle_cast(term(), counters:counters_ref()) -> {noreply, counters:counters_ref()}.
handle_cast({Level, Format, Args, Meta}, Cells) ->
    counters:sub(Cells, ?NOW, 1),
    logger:log(Level, Format, Args, Meta),
    tell_dropped(counters:get(Cells, ?DROPPED), Cells),
    {noreply, Cells};
handle_cast(_, Cells) ->
    {noreply, Cells}.

-spec handle_info(term(), counters:counters_ref()) -> {noreply, counters:counters_ref()}.
handle_info(_, Cells) ->
    {noreply, Cells}.

tell_dropped(0, _) ->
    ok;
tell_dropped(Number, Cells) ->
    counters:sub(Cells, ?DROPPED, Number),
    logger:log(warning, "~b messages of hosts were dropped", [Number], #{}).
