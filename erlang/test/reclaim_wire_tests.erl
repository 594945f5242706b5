%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_wire_tests - frames, byte for byte
%%
%% RECLAIM_TEST_FRAMES is tests/frames.golden.
-module(reclaim_wire_tests).

-include_lib("eunit/include/eunit.hrl").

golden() ->
    {ok, Text} = file:read_file(os:getenv("RECLAIM_TEST_FRAMES")),
    Lines = [Line || Line <- binary:split(Text, <<"\n">>, [global, trim_all]), hd(binary_to_list(Line)) =/= $#],
    maps:from_list([
        {binary_to_atom(Name), binary:decode_hex(Hex)}
     || [Name, Hex] <- [binary:split(Line, <<": ">>) || Line <- Lines]
    ]).

echo_term() -> <<131, 104, 3, 119, 4, "echo", 106, 109, 7:32, "<0.9.0>">>.

-define(OUTLET, 72623859790382856).

sent() ->
    #{
        hello_emulator => reclaim_wire:hello(67108864),
        open => reclaim_wire:open(1, 2, 262144, echo_term()),
        data => reclaim_wire:data(?OUTLET, ["hel", <<"lo">>]),
        credit => reclaim_wire:credit(?OUTLET - ?OUTLET + 1, 131072),
        call => reclaim_wire:call(1, 3, <<131, 119, 4, "ping">>),
        control => reclaim_wire:control(1, 3, 16#ffffffff, "abc"),
        cancel => reclaim_wire:cancel(3),
        close => reclaim_wire:close(1),
        give => reclaim_wire:give(1, 4, <<"<0.10.0>">>),
        client_down => reclaim_wire:client_down(2),
        process_down => reclaim_wire:process_down(5),
        register => reclaim_wire:register(1, 3, <<"foo">>),
        unregister => reclaim_wire:register(1, 3, <<>>),
        statistics_host => reclaim_wire:statistics(3, host, 0),
        statistics_tasks => reclaim_wire:statistics(3, tasks, 0),
        statistics_outlets => reclaim_wire:statistics(3, outlets, 0),
        statistics_outlet => reclaim_wire:statistics(3, outlet, 1)
    }.

received() ->
    #{
        opened => {opened, 1, 4096},
        data => {data, ?OUTLET, <<"hello">>},
        credit => {credit, 1, 131072},
        reply_term => {reply, 3, 0, <<131, 119, 4, "pong">>},
        reply_bytes => {reply, 3, 1, <<"abc">>},
        reply_error => {reply, 3, 2, <<131, 119, 6, "enoent">>},
        closed => {closed, 1, <<131, 119, 6, "normal">>},
        monitor => {monitor, 5, 3},
        demonitor => {demonitor, 5},
        log => {log, 4, 1, 6, <<"echo">>, <<"it is slow: µs"/utf8>>},
        error => {error, 3, 99, 8, <<"unknown frame">>},
        exit_status => {exit_status, 1, 0},
        exit_status_negative => {exit_status, 1, -1}
    }.

golden_test_() ->
    Golden = golden(),
    [
        {"reclaim_wire: sent as it is written down: " ++ atom_to_list(Name),
            ?_assertEqual(map_get(Name, Golden), iolist_to_binary(Frame))}
     || {Name, Frame} <- maps:to_list(sent())
    ] ++
        [
            {"reclaim_wire: read as it is written down: " ++ atom_to_list(Name),
                ?_assertEqual(Frame, reclaim_wire:decode(map_get(Name, Golden)))}
         || {Name, Frame} <- maps:to_list(received())
        ] ++
        [
            {"reclaim_wire: read as it is written down: hello_host", fun() ->
                #{hello_host := Hello} = Golden,
                {hello, 1, 1048576, Term} = reclaim_wire:decode(Hello),
                ?assertEqual(
                    {ok, #{drivers => [echo], pid => 7, version => <<"0.1.0">>}},
                    reclaim_wire:term(Term, existing)
                )
            end},
            {"reclaim_wire: no frame is left out", fun() ->
                Known = [hello_host | maps:keys(sent()) ++ maps:keys(received())],
                ?assertEqual([], maps:keys(maps:without(Known, Golden)))
            end}
        ].

%% Cut short, a frame is none, or has fewer bytes at its end; never more.
cut_test_() ->
    {"reclaim_wire: what is cut short, or is too long, does no harm", fun() ->
        [
            begin
                [is_frame(reclaim_wire:decode(binary:part(Frame, 0, N))) || N <- lists:seq(0, byte_size(Frame))],
                is_frame(reclaim_wire:decode(<<Frame/binary, 0>>))
            end
         || Frame <- maps:values(golden())
        ],
        [?assertEqual(malformed, reclaim_wire:decode(<<Type>>)) || Type <- lists:seq(0, 255)],
        ?assertEqual(malformed, reclaim_wire:decode(<<>>)),
        ?assertEqual(malformed, reclaim_wire:decode(<<8, 3:64, 3, 131, 106>>)),
        ?assertEqual(malformed, reclaim_wire:decode(<<19, 4, 1:64, 6:64, 5, "echo">>))
    end}.

is_frame(malformed) -> ok;
is_frame(Frame) when is_tuple(Frame) -> ok.

random_test_() ->
    {"reclaim_wire: random bytes do no harm", fun() ->
        [
            is_frame(reclaim_wire:decode(<<Type, (rand:bytes(rand:uniform(40)))/binary>>))
         || Type <- lists:seq(0, 255), _ <- lists:seq(1, 100)
        ]
    end}.

terms_test_() ->
    Unknown = iolist_to_binary(["no_such_atom_", integer_to_list(erlang:unique_integer([positive]))]),
    Size = byte_size(Unknown),
    Encoded = <<131, 119, Size, Unknown/binary>>,
    [
        {"reclaim_wire: a known atom is a reason", ?_assertEqual(enoent, reclaim_wire:reason(<<131, 119, 6, "enoent">>, existing))},
        {"reclaim_wire: an unknown atom is its name", fun() ->
            [
                ?assertEqual(Unknown, reclaim_wire:reason(iolist_to_binary([131, Tag, Unknown]), existing))
             || Tag <- [[119, Size], [115, Size], [<<118, Size:16>>], [<<100, Size:16>>]]
            ],
            ?assertError(badarg, binary_to_existing_atom(Unknown))
        end},
        {"reclaim_wire: a compressed term is none",
            ?_assertEqual(error, reclaim_wire:term(term_to_binary(lists:duplicate(1000, 0), [compressed]), any))},
        {"reclaim_wire: other terms are no reason, but told", ?_assertEqual({badterm, <<1, 2>>}, reclaim_wire:reason(<<1, 2>>, any))},
        {"reclaim_wire: a term with an unknown atom is none", ?_assertEqual(error, reclaim_wire:term(Encoded, existing))},
        {"reclaim_wire: a term with bytes behind it is none", ?_assertEqual(error, reclaim_wire:term(<<131, 106, 0>>, any))},
        {"reclaim_wire: any atom, where that is wanted",
            ?_assertMatch({ok, Atom} when is_atom(Atom), reclaim_wire:term(<<131, 119, 9, "any_atom1">>, any))}
    ].
