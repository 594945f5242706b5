%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_report - runs EUnit suites, and prints "PASS: what" or "FAIL: what"
%%
%% erl -run reclaim_report main SUITE... ends with status 0 where all passed, and
%% there were some.
-module(reclaim_report).
-behaviour(eunit_listener).

-export([main/1]).
-export([start/0, start/1, init/1, handle_begin/3, handle_end/3, handle_cancel/3, terminate/2]).

main(Suites) ->
    Modules = [list_to_atom(Suite) || Suite <- Suites],
    Options = [no_tty, {report, {?MODULE, [{tell, self()}]}}],
    eunit:test(Modules, Options),
    receive
        {?MODULE, Good, 0} when Good > 0 -> halt(0);
        {?MODULE, _, _} -> halt(1)
    after 10000 -> halt(2)
    end.

start() -> start([]).

start(Options) -> eunit_listener:start(?MODULE, Options).

init(Options) -> {proplists:get_value(tell, Options), 0, 0}.

handle_begin(_, _, S) -> S.

handle_end(test, Data, {Tell, Good, Bad}) ->
    case proplists:get_value(status, Data) of
        ok ->
            io:format("PASS: ~ts~n", [what(Data)]),
            {Tell, Good + 1, Bad};
        Status ->
            io:format("~0tp~n~ts~nFAIL: ~ts~n", [
                Status, proplists:get_value(output, Data, <<>>), what(Data)
            ]),
            {Tell, Good, Bad + 1}
    end;
handle_end(group, _, S) ->
    S.

handle_cancel(_, Data, {Tell, Good, Bad}) ->
    case proplists:get_value(reason, Data) of
        undefined ->
            {Tell, Good, Bad};
        Reason ->
            io:format("~0tp~nFAIL: ~ts~n", [Reason, what(Data)]),
            {Tell, Good, Bad + 1}
    end.

terminate(_, {Tell, Good, Bad}) ->
    Tell ! {?MODULE, Good, Bad}.

what(Data) ->
    case proplists:get_value(desc, Data) of
        Text when is_binary(Text), Text =/= <<>> -> Text;
        _ -> io_lib:format("~0tp", [proplists:get_value(source, Data)])
    end.
