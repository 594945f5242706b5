%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_fake_tests - the emulator's side with a host that misbehaves
%%
%% What tests/fake_host.c does is said in there: among others it writes to the port
%% whatever data tells it to, and repeats what it got.
-module(reclaim_fake_tests).

-include_lib("eunit/include/eunit.hrl").

-import(reclaim_stage, [
    fake/1,
    fake_host/1,
    fake_host/2,
    until/1,
    next/0,
    none/0,
    await_closed/1,
    in_process/1,
    result/1
]).

all_test_() ->
    reclaim_stage:tests(
        "reclaim_fake",
        start_tests() ++ frame_tests() ++ death_tests() ++ log_tests() ++ credit_tests() ++ busy_tests()
    ).

%% ---- the start ----

start_tests() ->
    [
        {"start_host: " ++ What, fun() ->
            ?assertEqual({error, Reason}, start(Options)),
            ?assertEqual([], supervisor:which_children(reclaim_hosts))
        end}
     || {What, Reason, Options} <- [
            {"no such path", {program_not_found, "/no/such"}, #{program => "/no/such"}},
            {"no such name", {program_not_found, <<"no-such">>}, #{program => <<"no-such">>}},
            {"not a program", {cannot_run, "/etc/passwd", eacces}, #{program => "/etc/passwd"}},
            {"it ends at once", {exit_status, 7}, fake(["exit"])},
            {"it crashes", {exit_status, 139}, fake(["crash"])},
            {"it says nothing", timeout, (fake(["silent"]))#{start_timeout => 200}},
            {"it writes text", {exit_status, 0}, fake(["text"])},
            {"it speaks something else", not_a_host, fake(["garbage"])},
            {"its hello is too long", not_a_host, fake(["long"])},
            {"its hello has no map", not_a_host, fake(["notmap"])},
            {"it has another version", {version, 2}, fake(["version"])},
            {"it wants another version", {version, <<"we differ">>}, fake(["refuse"])},
            {"it ends in the middle of hello", {exit_status, 4}, fake(["part"])},
            {"env", {exit_status, 9}, sh("exit $NUMBER", #{env => [{"NUMBER", "9"}]})},
            {"cd", {exit_status, 10}, sh("test \"$(pwd)\" = / && exit 10", #{cd => "/"})},
            {"args", {exit_status, 11}, #{program => "/bin/sh", args => ["-c", <<"exit 11">>]}}
        ]
    ] ++
        [
            {"start_host: a program is found in PATH", fun() ->
                ?assertEqual({error, {exit_status, 12}}, start(sh("exit 12", #{program => "sh"}))),
                ?assertEqual({error, {exit_status, 12}}, start(sh("exit 12", #{program => sh})))
            end},
            {"start_host: what is no host, and does not end, is killed", fun() ->
                File = "silent." ++ os:getpid(),
                ?assertEqual(
                    {error, timeout},
                    start(sh("echo $$ >" ++ File ++ "; exec sleep 1000", #{start_timeout => 300}))
                ),
                {ok, Text} = file:read_file(File),
                ok = file:delete(File),
                Pid = binary_to_integer(string:trim(Text)),
                until(fun() -> reclaim_stage:gone(Pid) end)
            end},
            {"start_host: wrong options", fun() ->
                [
                    ?assertError(badarg, reclaim:start_host(Options))
                 || Options <- [
                        #{no_such => 1},
                        #{name => undefined},
                        #{name => "text"},
                        #{max_frame => 0},
                        #{args => [atom]},
                        #{args => "text"},
                        #{restart => often},
                        #{atoms => all},
                        #{start_timeout => -1},
                        #{period => 0},
                        #{intensity => -1},
                        #{env => none},
                        #{cd => 1},
                        #{program => 1},
                        #{program => [atom]},
                        #{program => <<255>>}
                    ]
                ],
                ?assertError(_, reclaim:start_host([]))
            end},
            {"start_host: a name that is taken", fun() ->
                fake_host(#{name => reclaim_test_name}, fun(Host) ->
                    ?assertEqual({error, {already_started, Host}}, start((fake([]))#{name => reclaim_test_name})),
                    ?assertEqual(Host, whereis(reclaim_test_name))
                end)
            end},
            {"start_host: the application does not run", fun() ->
                ok = application:stop(reclaim),
                ?assertEqual({error, {not_started, reclaim}}, start(fake([]))),
                ?assertEqual({error, host_down}, reclaim:stop_host(no_such_host)),
                ok = application:start(reclaim)
            end}
        ].

sh(Script, Options) ->
    maps:merge(#{program => "/bin/sh", args => ["-c", Script]}, Options).

%% Fails and leaves no process of the system's.
start(Options) -> reclaim:start_host(Options).

%% ---- frames ----

open(Host) -> open(Host, #{}).

%% What was asked is repeated: it is taken away.
open(Host, Options) ->
    {ok, Out} = reclaim:open(Host, echo, [], Options),
    {data, <<2, _/binary>>} = next(),
    Out.

%% It is not to repeat.
quiet(Host, Options) ->
    Out = open(Host, Options),
    ok = reclaim:command(Out, "r"),
    Out.

%% As if the host had it to say.
says(Out, Body) ->
    Bytes = iolist_to_binary(Body),
    ok = reclaim:command(Out, [$+, <<(byte_size(Bytes)):32>>, Bytes]).

frame_tests() ->
    [
        {"open: outlet, client, window, driver, arguments, label", fun() ->
            fake_host(fun(Host) ->
                Args = {some, <<"args">>},
                {ok, _} = reclaim:open(Host, driver, Args, #{window => 12345}),
                {data, <<2, 1:64, 1:64, 12345:32, Term/binary>>} = next(),
                ?assertEqual({driver, Args, list_to_binary(pid_to_list(self()))}, binary_to_term(Term)),
                {ok, _} = reclaim:open(Host, driver, Args),
                {data, <<2, 2:64, 1:64, _/binary>>} = next(),
                Self = self(),
                Other = in_process(fun() -> {ok, _} = reclaim:open(Host, driver, []), Self ! next() end),
                {data, <<2, 3:64, 2:64, _/binary>>} = result(Other)
            end)
        end},
        {"close: the frame, and no message", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                ok = reclaim:close(Out),
                ?assertEqual({error, closed}, reclaim:close(Out)),
                ?assertEqual({error, closed}, reclaim:command(Out, "x")),
                ?assertEqual({error, closed}, reclaim:command(Out, "x", [nosuspend])),
                ?assertEqual({error, closed}, reclaim:call(Out, x)),
                ?assertEqual({error, closed}, reclaim:control(Out, 1, "x")),
                ?assertEqual({error, closed}, reclaim:give(Out, self())),
                ?assertEqual({error, closed}, reclaim:register(Out, name)),
                ?assertEqual({error, closed}, reclaim:unregister(Out)),
                ?assertEqual({error, closed}, reclaim:info(Out)),
                none()
            end)
        end},
        {"control: operation and bytes", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                {ok, <<"abc">>} = reclaim:control(Out, 16#fffffffe, ["a", <<"bc">>]),
                {data, <<7, 1:64, _:64, 16#fffffffe:32, "abc">>} = next(),
                ?assertError(badarg, reclaim:control(Out, 1 bsl 32, "")),
                ?assertError(badarg, reclaim:control(Out, -1, "")),
                ?assertError(badarg, reclaim:control(Out, 1, not_iodata))
            end)
        end},
        {"call: a timeout cancels it", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                ok = reclaim:command(Out, "q"),
                ?assertEqual({error, timeout}, reclaim:call(Out, x, 50)),
                {data, <<6, 1:64, Call:64, _/binary>>} = next(),
                {data, <<9, Call:64>>} = next(),
                %% The answer comes too late.
                says(Out, <<8, Call:64, 0, 131, 106>>),
                ok = reclaim:command(Out, "Q"),
                {ok, y} = reclaim:call(Out, y, 1000),
                {data, <<6, _/binary>>} = next(),
                none()
            end)
        end},
        {"call: errors, and answers that are none", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Control = open(Host),
                ok = reclaim:command(Out, "q"),
                Ask = fun(Answer) ->
                    Asked = in_process(fun() -> reclaim:call(Out, x, 10000) end),
                    {data, <<6, _:64, Call:64, _/binary>>} = next(),
                    says(Control, <<8, Call:64, Answer/binary>>),
                    result(Asked)
                end,
                ?assertEqual({error, enoent}, Ask(<<2, 131, 119, 6, "enoent">>)),
                ?assertEqual({error, <<"zzxxyy">>}, Ask(<<2, 131, 119, 6, "zzxxyy">>)),
                ?assertEqual({error, {badterm, <<131>>}}, Ask(<<0, 131>>)),
                ?assertEqual({error, {badterm, <<131, 119, 6, "zzxxyy">>}}, Ask(<<0, 131, 119, 6, "zzxxyy">>)),
                ?assertEqual({ok, <<"bytes">>}, Ask(<<1, "bytes">>))
            end)
        end},
        {"atoms => any", fun() ->
            fake_host(#{atoms => any}, fun(Host) ->
                Out = open(Host),
                says(Out, <<11, 1:64, 131, 119, 7, "zzxxyyz">>),
                Reason = await_closed(Out),
                ?assert(is_atom(Reason)),
                ?assertEqual("zzxxyyz", atom_to_list(Reason))
            end)
        end},
        {"closed: once, with what was left to say before it", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Other = open(Host),
                says(Other, <<4, 1:64, "last">>),
                says(Other, <<11, 1:64, 131, 119, 6, "enoent">>),
                says(Other, <<11, 1:64, 131, 119, 6, "enoent">>),
                says(Other, <<4, 1:64, "late">>),
                {data, <<"last">>} = next(),
                {closed, enoent} = next(),
                ?assertEqual({error, closed}, reclaim:command(Out, "x")),
                none()
            end)
        end},
        {"closed: whoever waits for an answer is told", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Other = open(Host),
                ok = reclaim:command(Out, "q"),
                Asked = in_process(fun() -> reclaim:call(Out, x, infinity) end),
                {data, <<6, _/binary>>} = next(),
                says(Other, <<11, 1:64, 131, 119, 6, "normal">>),
                ?assertEqual({error, closed}, result(Asked)),
                {closed, normal} = next()
            end)
        end},
        {"exit_status: to the owner", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                says(Out, <<21, 1:64, 3:32>>),
                says(Out, <<21, 1:64, -9:32>>),
                {exit_status, 3} = next(),
                {exit_status, -9} = next()
            end)
        end},
        {"what names nobody is dropped", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                [
                    says(Out, Body)
                 || Body <- [
                        <<3, 99:64, 1:32>>,
                        <<3, 1:64, 1:32>>,
                        <<4, 99:64, "x">>,
                        <<5, 99:64, 1:32>>,
                        <<8, 99:64, 0, 131, 106>>,
                        <<11, 99:64, 131, 106>>,
                        <<15, 99:64>>,
                        <<21, 99:64, 0:32>>
                    ]
                ],
                {ok, x} = reclaim:call(Out, x),
                {data, <<6, _/binary>>} = next(),
                none()
            end)
        end},
        {"monitor: of a call that is over; of one whose caller ends; taken back", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                ok = reclaim:command(Out, "q"),
                says(Out, <<14, 5:64, 99:64>>),
                {data, <<16, 5:64>>} = next(),
                {Caller, _} = in_process(fun() -> reclaim:call(Out, x, infinity) end),
                {data, <<6, _:64, Call:64, _/binary>>} = next(),
                says(Out, <<14, 6:64, Call:64>>),
                says(Out, <<14, 7:64, Call:64>>),
                says(Out, <<15, 7:64>>),
                ok = reclaim:command(Out, "all said"),
                {data, <<"all said">>} = next(),
                exit(Caller, kill),
                {data, <<16, 6:64>>} = next(),
                flush_downs(),
                none()
            end)
        end},
        {"client_down: once, and nobody hears of its outlets", fun() ->
            fake_host(fun(Host) ->
                {Owner, _} = in_process(fun() ->
                    {ok, _} = reclaim:open(Host, echo, []),
                    {ok, Out} = reclaim:open(Host, echo, []),
                    ok = reclaim:register(Out, dies),
                    receive after infinity -> ok end
                end),
                until(fun() -> reclaim:whereis(Host, dies) =/= undefined end),
                Dies = reclaim:whereis(Host, dies),
                Watch = open(Host),
                exit(Owner, kill),
                {data, <<13, 1:64>>} = next(),
                ?assertEqual(undefined, reclaim:whereis(Host, dies)),
                ?assertEqual({error, closed}, reclaim:call(Dies, x)),
                says(Watch, <<11, 1:64, 131, 119, 11, "client_down">>),
                says(Watch, <<4, 2:64, "late">>),
                flush_downs(),
                none()
            end)
        end},
        {"give: client and label; messages go there; by the owner alone", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Self = self(),
                {Pid, Monitor} = in_process(fun() ->
                    Self ! {other, reclaim:give(Out, self())},
                    receive go -> ok end,
                    Self ! {got, next()},
                    Self ! {got, next()},
                    Self ! {mine, reclaim:close(Out)}
                end),
                receive {other, Refused} -> ?assertEqual({error, not_owner}, Refused) end,
                ok = reclaim:give(Out, Pid),
                ?assertEqual({error, not_owner}, reclaim:give(Out, self())),
                ?assertEqual({error, not_owner}, reclaim:close(Out)),
                Pid ! go,
                Label = list_to_binary(pid_to_list(Pid)),
                receive {got, What} -> ?assertEqual({data, <<12, 1:64, 2:64, Label/binary>>}, What) end,
                ok = reclaim:command(Out, "hello"),
                receive {got, Data} -> ?assertEqual({data, <<"hello">>}, Data) end,
                receive {mine, Closed} -> ?assertEqual(ok, Closed) end,
                receive {'DOWN', Monitor, _, _, _} -> ok end,
                ?assertError(badarg, reclaim:give(Out, not_a_pid)),
                none()
            end)
        end},
        {"give: to one that has ended closes it", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Watch = open(Host),
                {Pid, Monitor} = in_process(fun() -> ok end),
                receive {'DOWN', Monitor, _, _, _} -> ok end,
                ok = reclaim:give(Out, Pid),
                {data, <<12, 1:64, 2:64, _/binary>>} = next(),
                {data, <<13, 2:64>>} = next(),
                ?assertEqual({error, closed}, reclaim:call(Out, x)),
                ok = reclaim:close(Watch)
            end)
        end},
        {"register: an atom and its text are one name, and there is one of it", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Other = open(Host),
                ?assertEqual(undefined, reclaim:whereis(Host, foo)),
                ok = reclaim:register(Out, foo),
                {data, <<17, 1:64, _:64, "foo">>} = next(),
                ?assertEqual(Out, reclaim:whereis(Host, foo)),
                ?assertEqual(Out, reclaim:whereis(Host, <<"foo">>)),
                ?assertEqual({error, eexist}, reclaim:register(Other, <<"foo">>)),
                ?assertEqual({error, eexist}, reclaim:register(Out, bar)),
                ?assertEqual({error, enoent}, reclaim:unregister(Other)),
                ok = reclaim:unregister(Out),
                {data, <<17, 1:64, _:64>>} = next(),
                ?assertEqual(undefined, reclaim:whereis(Host, foo)),
                ok = reclaim:register(Other, <<"foo">>),
                ?assertEqual(Other, reclaim:whereis(Host, foo)),
                ok = reclaim:close(Other),
                ?assertEqual(undefined, reclaim:whereis(Host, foo)),
                ?assertError(badarg, reclaim:register(Out, <<>>)),
                ?assertError(badarg, reclaim:register(Out, undefined)),
                ?assertError(badarg, reclaim:register(Out, "list"))
            end)
        end},
        {"a statistic each", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                {ok, #{}} = reclaim:info(Host),
                {data, <<18, _:64, 1, 0:64>>} = next(),
                {ok, #{}} = reclaim:tasks(Host),
                {data, <<18, _:64, 2, 0:64>>} = next(),
                {ok, #{}} = reclaim:outlets(Host),
                {data, <<18, _:64, 3, 0:64>>} = next(),
                Self = self(),
                {ok, #{owner := Self}} = reclaim:info(Out),
                {data, <<18, _:64, 4, 1:64>>} = next()
            end)
        end},
        {"open: a timeout closes what is opened late", fun() ->
            fake_host(fun(Host) ->
                Out = quiet(Host, #{}),
                ok = reclaim:command(Out, "z300"),
                ?assertEqual({error, timeout}, reclaim:open(Host, echo, [], #{timeout => 20})),
                {ok, x} = reclaim:call(Out, x),
                until(fun() -> maps:size(element(12, sys:get_state(Host))) =:= 1 end),
                none()
            end)
        end},
        {"open: what comes of one that was given up goes nowhere", fun() ->
            fake_host(fun(Host) ->
                Out = quiet(Host, #{}),
                ok = reclaim:command(Out, "z300"),
                says(Out, <<4, 2:64, "early">>),
                says(Out, <<21, 2:64, 0:32>>),
                ?assertEqual({error, timeout}, reclaim:open(Host, echo, [], #{timeout => 20})),
                {ok, x} = reclaim:call(Out, x),
                none()
            end)
        end},
        {"what is longer than the host takes", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Long = binary:copy(<<0>>, 1048576),
                ?assertEqual({error, emsgsize}, reclaim:command(Out, Long)),
                ?assertEqual({error, emsgsize}, reclaim:call(Out, Long)),
                ?assertEqual({error, emsgsize}, reclaim:control(Out, 1, Long)),
                ?assertEqual({error, emsgsize}, reclaim:open(Host, echo, Long)),
                none()
            end)
        end},
        {"wrong arguments", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                [
                    ?assertError(badarg, Wrong())
                 || Wrong <- [
                        fun() -> reclaim:open(Host, "echo", []) end,
                        fun() -> reclaim:open(Host, echo, [], #{no_such => 1}) end,
                        fun() -> reclaim:open(Host, echo, [], #{window => 0}) end,
                        fun() -> reclaim:open(Host, echo, [], #{credit => often}) end,
                        fun() -> reclaim:open(Host, echo, [], #{timeout => -1}) end,
                        fun() -> reclaim:open({Host}, echo, []) end,
                        fun() -> reclaim:open(elsewhere(), echo, []) end,
                        fun() -> reclaim:whereis({Host}, foo) end,
                        fun() -> reclaim:stop_host(elsewhere()) end,
                        fun() -> reclaim:command(Out, not_iodata) end,
                        fun() -> reclaim:command(Out, "x", [no_such]) end,
                        fun() -> reclaim:command(Out, "x", [{timeout, -1}]) end,
                        fun() -> reclaim:call(Out, x, -1) end,
                        fun() -> reclaim:credit(Out, -1) end,
                        fun() -> reclaim:spawn_program(Host, [-1]) end,
                        fun() -> reclaim:stop_host("x") end,
                        fun() -> reclaim:tasks(1.5) end
                    ]
                ],
                ?assertEqual(0, ets:info(reclaim_calls, size))
            end)
        end},
        {"a host's process that there is none of", fun() ->
            {Pid, Monitor} = in_process(fun() -> ok end),
            receive {'DOWN', Monitor, _, _, _} -> ok end,
            [
                begin
                    ?assertEqual({error, host_down}, reclaim:open(None, echo, [])),
                    ?assertEqual({error, host_down}, reclaim:info(None)),
                    ?assertEqual({error, host_down}, reclaim:tasks(None)),
                    ?assertEqual({error, host_down}, reclaim:outlets(None)),
                    ?assertEqual({error, host_down}, reclaim:stop_host(None)),
                    ?assertEqual(undefined, reclaim:whereis(None, foo))
                end
             || None <- [Pid, no_such_host]
            ]
        end}
    ].

%% A process of another node's.
elsewhere() ->
    binary_to_term(<<131, 88, 119, 9, "other@far", 1:32, 0:32, 1:32>>).

flush_downs() ->
    receive
        {'DOWN', _, _, _, _} -> flush_downs()
    after 0 -> ok
    end.

%% ---- it ends ----

death_tests() ->
    [
        {"it ends in the middle of a frame", fun() -> ends_within_frames() end},
        {"it sends what is no frame, and is ended", fun() ->
            [
                fake_host(fun(Host) ->
                    Out = open(Host),
                    Asked = asking(Out),
                    says(Out, Garbage),
                    all_down(Host, Out, Asked)
                end)
             || Garbage <- [<<>>, <<0>>, <<22, 1:64>>, <<255, "x">>, <<4, 1>>, <<8, 1:64, 9>>, <<19, 3, 0:64, 0:64, 200>>]
            ]
        end},
        {"it ends with a status", fun() -> ends_by("x3") end},
        {"it ends well", fun() -> ends_by("x0") end},
        {"it is killed", fun() -> ends_by("k") end},
        {"its process is killed: the keeper tells", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                ok = reclaim:register(Out, gone),
                {data, _} = next(),
                Asked = asking(Out),
                exit(Host, kill),
                all_down(Host, Out, Asked),
                until(fun() -> reclaim:whereis(Host, gone) =:= undefined end)
            end)
        end},
        {"it is stopped", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host),
                Asked = asking(Out),
                ok = reclaim:stop_host(Host),
                all_down(Host, Out, Asked)
            end)
        end},
        {"it ends while one opens, and one closes", fun() ->
            fake_host(fun(Host) ->
                Out = quiet(Host, #{}),
                ok = reclaim:command(Out, "z300"),
                ok = reclaim:command(Out, "k"),
                Opening = in_process(fun() -> reclaim:open(Host, echo, []) end),
                ?assertEqual({error, host_down}, reclaim:close(Out)),
                ?assertEqual({error, host_down}, result(Opening)),
                none()
            end)
        end},
        {"it is started anew, has its name again, and is stopped", fun() ->
            fake_host(#{name => reclaim_test_name, restart => permanent}, fun(Host) ->
                Out = open(reclaim_test_name),
                ok = reclaim:command(Out, "k"),
                host_down = await_closed(Out),
                until(fun() -> not lists:member(whereis(reclaim_test_name), [undefined, Host]) end),
                Again = open(reclaim_test_name),
                ?assertNotEqual(Out, Again),
                ?assertEqual({error, host_down}, reclaim:call(Out, x)),
                ?assertEqual({error, host_down}, reclaim:command(Out, "x")),
                ok = reclaim:stop_host(reclaim_test_name),
                host_down = await_closed(Again),
                ?assertEqual(undefined, whereis(reclaim_test_name)),
                none()
            end)
        end},
        {"it ends too often, and is given up, and no other", fun() ->
            {ok, Other} = reclaim:start_host(fake([])),
            Rest = open(Other),
            {ok, _} = reclaim:start_host((fake([]))#{name => reclaim_test_name, restart => permanent, intensity => 2, period => 100}),
            [
                begin
                    Out = open(reclaim_test_name),
                    Process = whereis(reclaim_test_name),
                    ok = reclaim:command(Out, "k"),
                    host_down = await_closed(Out),
                    until(fun() -> whereis(reclaim_test_name) =/= Process end),
                    N =:= 3 orelse until(fun() -> is_pid(whereis(reclaim_test_name)) end)
                end
             || N <- [1, 2, 3]
            ],
            until(fun() -> length(supervisor:which_children(reclaim_hosts)) =:= 1 end),
            ?assertEqual(undefined, whereis(reclaim_test_name)),
            ?assertEqual({error, host_down}, reclaim:stop_host(reclaim_test_name)),
            ok = reclaim:close(Rest),
            ok = reclaim:stop_host(Other)
        end},
        {"transient: again after a failure, not after a good end", fun() ->
            {ok, Host} = reclaim:start_host((fake([]))#{name => reclaim_test_name, restart => transient}),
            Out = open(Host),
            ok = reclaim:command(Out, "x1"),
            host_down = await_closed(Out),
            until(fun() -> not lists:member(whereis(reclaim_test_name), [undefined, Host]) end),
            Again = open(reclaim_test_name),
            Monitor = monitor(process, reclaim_test_name),
            ok = reclaim:command(Again, "x0"),
            host_down = await_closed(Again),
            receive {'DOWN', Monitor, _, _, Reason} -> ?assertEqual(normal, Reason) end,
            until(fun() -> supervisor:which_children(reclaim_hosts) =:= [] end),
            ?assertEqual({error, host_down}, reclaim:stop_host(reclaim_test_name))
        end},
        {"temporary: its supervisor goes with it", fun() ->
            {ok, Host} = reclaim:start_host(fake([])),
            Out = open(Host),
            ok = reclaim:command(Out, "k"),
            host_down = await_closed(Out),
            until(fun() -> supervisor:which_children(reclaim_hosts) =:= [] end)
        end},
        {"it answers to sys", fun() ->
            fake_host(fun(Host) ->
                Out = quiet(Host, #{}),
                {status, Host, {module, reclaim_host}, _} = sys:get_status(Host),
                ok = sys:suspend(Host),
                ?assertEqual({error, timeout}, reclaim:call(Out, x, 50)),
                ok = sys:resume(Host),
                {ok, y} = reclaim:call(Out, y),
                ok = sys:suspend(Host),
                ok = sys:change_code(Host, reclaim_host, old, []),
                ok = sys:resume(Host),
                _ = sys:replace_state(Host, fun(S) -> S end),
                {ok, z} = reclaim:call(Out, z),
                Host ! what_is_no_message_of_ours,
                {ok, z} = reclaim:call(Out, z),
                ok = sys:terminate(Host, shutdown),
                host_down = await_closed(Out)
            end)
        end}
    ].

asking(Out) ->
    ok = reclaim:command(Out, "q"),
    Asked = [in_process(fun() -> reclaim:call(Out, N, infinity) end) || N <- [1, 2, 3]],
    [{data, <<6, _/binary>>} = next() || _ <- Asked],
    Asked.

%% All are told, and nobody twice.
all_down(Host, Out, Asked) ->
    [?assertEqual({error, host_down}, result(One)) || One <- Asked],
    ?assertEqual(host_down, await_closed(Out)),
    until(fun() -> not is_process_alive(Host) end),
    ?assertEqual({error, host_down}, reclaim:command(Out, "x")),
    ?assertEqual({error, host_down}, reclaim:open(Host, echo, [])),
    none().

ends_by(How) ->
    fake_host(fun(Host) ->
        Out = open(Host),
        Asked = asking(Out),
        ok = reclaim:command(Out, How),
        all_down(Host, Out, Asked)
    end).

%% Each frame that a host sends, cut after its length, its first byte, in the
%% middle, and before its last byte.
ends_within_frames() ->
    {ok, Text} = file:read_file(os:getenv("RECLAIM_TEST_FRAMES")),
    Frames = [
        binary:decode_hex(Hex)
     || Line <- binary:split(Text, <<"\n">>, [global, trim_all]),
        [<<_, _/binary>> = Name, Hex] <- [binary:split(Line, <<": ">>)],
        binary:first(Name) =/= $#
    ],
    Sent = [F || F = <<Type, _/binary>> <- Frames, lists:member(Type, [1, 3, 4, 5, 8, 11, 14, 15, 19, 20, 21])],
    ?assert(length(Sent) >= 14),
    [
        fake_host(fun(Host) ->
            Out = open(Host),
            Asked = asking(Out),
            Part = binary:part(Frame, 0, Cut),
            ok = reclaim:command(Out, [$+, <<(byte_size(Frame)):32>>, Part]),
            ok = reclaim:command(Out, "k"),
            all_down(Host, Out, Asked)
        end)
     || Frame <- Sent, Cut <- lists:usort([0, 1, byte_size(Frame) div 2, byte_size(Frame) - 1])
    ].

%% ---- the log ----

log_tests() ->
    [
        {"log: level, text, task and outlet", fun() ->
            reclaim_stage:logged(fun() ->
                fake_host(#{name => reclaim_test_name}, fun(Host) ->
                    Out = open(Host),
                    [
                        begin
                            says(Out, <<19, Number, 1:64, 6:64, 4, "task", "text ", Number, " µ~p"/utf8>>),
                            Text = <<"text ", Number, " µ~p"/utf8>>,
                            receive
                                {logged, Level, Text, Meta} ->
                                    ?assertMatch(
                                        #{
                                            reclaim_host := reclaim_test_name,
                                            reclaim_task := <<"task">>,
                                            reclaim_task_id := 6,
                                            reclaim_outlet := Out,
                                            pid := Host
                                        },
                                        Meta
                                    )
                            after 10000 -> error(not_logged)
                            end
                        end
                     || {Number, Level} <- [{3, error}, {4, warning}, {5, notice}, {6, info}, {7, debug}, {0, error}]
                    ]
                end)
            end)
        end},
        {"log: what is no UTF-8; the host's own", fun() ->
            reclaim_stage:logged(fun() ->
                fake_host(fun(Host) ->
                    Out = open(Host),
                    says(Out, <<19, 6, 0:64, 6:64, 0, 255, "x">>),
                    receive
                        {logged, info, <<"ÿx"/utf8>>, Meta} -> ?assertNot(is_map_key(reclaim_outlet, Meta))
                    after 10000 -> error(not_logged)
                    end
                end)
            end)
        end},
        {"log: an error frame, and how it ended", fun() ->
            reclaim_stage:logged(fun() ->
                fake_host(fun(Host) ->
                    Out = open(Host),
                    says(Out, <<20, 3, 99, 8:64, "unknown frame">>),
                    is_logged("error 3, frame 99, 8: unknown frame"),
                    ok = reclaim:command(Out, "x3"),
                    is_logged("ended with status 3"),
                    host_down = await_closed(Out)
                end),
                fake_host(fun(Host) ->
                    Out = open(Host),
                    ok = reclaim:command(Out, "k"),
                    is_logged("ended by signal 9"),
                    host_down = await_closed(Out)
                end),
                fake_host(fun(Host) ->
                    Out = open(Host),
                    says(Out, <<222, "what">>),
                    is_logged("no frame"),
                    host_down = await_closed(Out)
                end)
            end)
        end},
        {"log: a flood is dropped, and that is told", fun() ->
            reclaim_stage:logged(fun() ->
                fake_host(fun(Host) ->
                    Watch = open(Host),
                    Out = open(Host),
                    ok = sys:suspend(reclaim_log),
                    Line = <<30:32, 19, 6, 0:64, 6:64, 0, "one of many">>,
                    ok = reclaim:command(Out, [$+, lists:duplicate(2000, Line)]),
                    ok = reclaim:command(Watch, "all said"),
                    {data, <<"all said">>} = next(),
                    {message_queue_len, Waiting} = process_info(whereis(reclaim_log), message_queue_len),
                    ?assert(Waiting =< 1001),
                    ok = sys:resume(reclaim_log),
                    _ = sys:get_state(reclaim_log)
                end)
            end)
        end}
    ].

is_logged(Part) ->
    receive
        {logged, error, Text, _} -> ?assertNotEqual(nomatch, string:find(Text, Part))
    after 10000 -> error({not_logged, Part})
    end.

%% ---- credit ----

%% The window of an outlet here is 4096, and it is never given back, but where a
%% test says so.
credit_tests() ->
    Data = binary:copy(<<"d">>, 1000),
    [
        {"command: until there is no credit left; then it waits for it", fun() ->
            fake_host(fun(Host) ->
                Control = open(Host),
                Out = quiet(Host, #{}),
                [ok = reclaim:command(Out, Data, [nosuspend]) || _ <- [1, 2, 3, 4]],
                ?assertEqual({error, busy}, reclaim:command(Out, Data, [nosuspend])),
                ?assertEqual({error, busy}, reclaim:command(Out, "", [nosuspend])),
                ?assertEqual({error, timeout}, reclaim:command(Out, Data, [{timeout, 20}])),
                ?assertEqual({error, timeout}, reclaim:command(Out, Data, [{timeout, 0}])),
                Waiting = [in_process(fun() -> reclaim:command(Out, Data) end) || _ <- [1, 2, 3]],
                %% Calls go on meanwhile.
                {ok, x} = reclaim:call(Out, x),
                says(Control, <<5, 2:64, 4096:32>>),
                [ok = result(One) || One <- Waiting],
                [{data, Data} = next() || _ <- lists:seq(1, 7)],
                none()
            end)
        end},
        {"command: those who wait are told that it is over, or that the host is", fun() ->
            fake_host(fun(Host) ->
                Control = open(Host),
                Out = quiet(Host, #{}),
                [ok = reclaim:command(Out, Data) || _ <- [1, 2, 3, 4]],
                Waiting = [in_process(fun() -> reclaim:command(Out, Data) end) || _ <- [1, 2, 3]],
                timer:sleep(20),
                says(Control, <<11, 2:64, 131, 119, 6, "normal">>),
                [{error, closed} = result(One) || One <- Waiting],
                [{data, Data} = next() || _ <- [1, 2, 3, 4]],
                normal = await_closed(Out),
                Again = quiet2(Host, Control),
                [ok = reclaim:command(Again, Data) || _ <- [1, 2, 3, 4]],
                Left = [in_process(fun() -> reclaim:command(Again, Data, [{timeout, 10000}]) end) || _ <- [1, 2, 3]],
                timer:sleep(20),
                ok = reclaim:command(Control, "k"),
                [{error, host_down} = result(One) || One <- Left]
            end)
        end},
        {"command: who was killed while it waited leaves nothing", fun() ->
            fake_host(fun(Host) ->
                Control = open(Host),
                Out = quiet(Host, #{}),
                [ok = reclaim:command(Out, Data) || _ <- [1, 2, 3, 4]],
                {Pid, Monitor} = in_process(fun() -> reclaim:command(Out, Data) end),
                timer:sleep(20),
                exit(Pid, kill),
                receive {'DOWN', Monitor, _, _, killed} -> ok end,
                says(Control, <<5, 2:64, 4096:32>>),
                ok = reclaim:command(Out, "last"),
                [{data, Data} = next() || _ <- [1, 2, 3, 4]],
                {data, <<"last">>} = next()
            end)
        end},
        {"credit: given back when half of the window came, by itself", fun() ->
            fake_host(fun(Host) ->
                Out = open(Host, #{window => 400}),
                %% 102 for its own open frame
                ok = reclaim:command(Out, "0123456789"),
                {data, _} = next(),
                ok = reclaim:command(Out, "0123456789"),
                {data, _} = next(),
                {data, <<5, 1:64, Bytes:32>>} = next(),
                ?assert(Bytes >= 200)
            end)
        end},
        {"credit: by the owner's word alone, where it is manual", fun() ->
            fake_host(fun(Host) ->
                Watch = open(Host),
                Out = open(Host, #{window => 2000, credit => manual}),
                [ok = reclaim:command(Out, Data) || _ <- [1, 2, 3]],
                [{data, Data} = next() || _ <- [1, 2, 3]],
                none(),
                ok = reclaim:credit(Out, 999),
                none(),
                ok = reclaim:credit(Out, 1),
                {data, <<5, 2:64, 1000:32>>} = next(),
                ok = reclaim:credit(Out, Data),
                {data, <<5, 2:64, 1064:32>>} = next(),
                ok = reclaim:close(Watch)
            end)
        end}
    ].

quiet2(Host, Control) ->
    ok = reclaim:command(Control, "R"),
    quiet(Host, #{}).

%% ---- a busy port ----

%% It does not read: several outlets, with frames far longer than their credit,
%% fill the pipe and the port.
busy_tests() ->
    Long = binary:copy(<<"l">>, 900000),
    [
        {"busy: nobody is stuck, and nothing is lost", fun() ->
            fake_host(fun(Host) ->
                First = quiet(Host, #{}),
                Outs = [element(2, {ok, _} = reclaim:open(Host, echo, [])) || _ <- lists:seq(1, 8)],
                ok = reclaim:command(First, "z700"),
                Results = [reclaim:command(Out, Long, [nosuspend]) || Out <- Outs],
                ?assert(lists:member({error, busy}, Results)),
                ?assertEqual({error, busy}, reclaim:command(lists:last(Outs), "x", [nosuspend])),
                %% The first that waits is the writer's at once, and so will arrive.
                ?assertEqual(ok, reclaim:command(lists:last(Outs), "first", [{timeout, 20}])),
                ?assertEqual({error, timeout}, reclaim:command(lists:last(Outs), "x", [{timeout, 20}])),
                ?assertEqual({error, timeout}, reclaim:call(First, x, 20)),
                ?assertEqual(0, ets:info(reclaim_writes, size)),
                %% The host's process goes on.
                {status, Host, _, _} = sys:get_status(Host),
                Opening = in_process(fun() -> reclaim:open(Host, echo, []) end),
                Calls = [in_process(fun() -> reclaim:call(First, N, infinity) end) || N <- lists:seq(1, 20)],
                Last = lists:last(Outs),
                Waiting = [in_process(fun() -> reclaim:command(Last, <<N>>) end) || N <- lists:seq(200, 209)],
                ?assertEqual([{ok, N} || N <- lists:seq(1, 20)], [result(Call) || Call <- Calls]),
                {ok, _} = result(Opening),
                [ok = result(One) || One <- Waiting],
                Sent = length([ok || ok <- Results]),
                ?assertEqual(Sent, length([Long || {data, D} <- [next() || _ <- lists:seq(1, Sent + 11)], D =:= Long])),
                %% What was not sent did not cost anything.
                ?assertEqual(4096, reclaim_outlet:left(Last) + 10 * 65 + 69),
                none()
            end)
        end},
        {"busy: the order of one sender is kept", fun() ->
            fake_host(fun(Host) ->
                First = quiet(Host, #{}),
                Fill = [element(2, {ok, _} = reclaim:open(Host, echo, [])) || _ <- lists:seq(1, 6)],
                Out = hd(Fill),
                ok = reclaim:command(First, "z200"),
                [in_process(fun() -> reclaim:command(Each, Long) end) || Each <- tl(Fill)],
                [ok = reclaim:command(Out, <<N:32>>) || N <- lists:seq(1, 60)],
                [
                    receive
                        {reclaim, Out, {data, D}} -> ?assertEqual(<<N:32>>, D)
                    after 20000 -> error(lost)
                    end
                 || N <- lists:seq(1, 60)
                ]
            end)
        end},
        {"busy: credit that somebody did not use wakes who waits for it", fun() ->
            fake_host(fun(Host) ->
                First = quiet(Host, #{}),
                Outs = [element(2, {ok, _} = reclaim:open(Host, echo, [])) || _ <- lists:seq(1, 8)],
                Last = lists:last(Outs),
                ok = reclaim:command(First, "z1000"),
                _ = [reclaim:command(Out, Long, [nosuspend]) || Out <- lists:droplast(Outs)],
                _ = reclaim:command(First, "first", [{timeout, 20}]),
                Asked = in_process(fun() -> reclaim:command(Last, Long, [{timeout, 300}]) end),
                until(fun() -> reclaim_outlet:left(Last) =< 0 end),
                Waiting = in_process(fun() -> reclaim:command(Last, "x", [{timeout, 10000}]) end),
                ?assertEqual({error, timeout}, result(Asked)),
                ?assertEqual(ok, result(Waiting))
            end)
        end},
        {"busy: who asks a writer that is gone leaves nothing", fun() ->
            fake_host(fun(Host) ->
                First = quiet(Host, #{}),
                Outs = [element(2, {ok, _} = reclaim:open(Host, echo, [])) || _ <- lists:seq(1, 8)],
                ok = reclaim:command(First, "s"),
                Results = [reclaim:command(Out, Long, [nosuspend]) || Out <- Outs],
                ?assert(lists:member({error, busy}, Results)),
                Writer = element(4, sys:get_state(Host)),
                %% So that it does not end with it at once.
                ok = sys:suspend(Host),
                Monitor = monitor(process, Writer),
                exit(Writer, kill),
                receive {'DOWN', Monitor, _, _, killed} -> ok end,
                ?assertEqual({error, host_down}, reclaim:command(lists:last(Outs), "x")),
                ?assertEqual(0, ets:info(reclaim_writes, size)),
                reclaim_stage:kill_os(Host),
                ok = sys:resume(Host),
                [host_down = await_closed(Out) || Out <- [First | Outs]],
                none()
            end)
        end},
        {"busy: it is stuck, and stopped, or its process killed", fun() ->
            [
                fake_host(fun(Host) ->
                    Outs = [element(2, {ok, _} = reclaim:open(Host, echo, [])) || _ <- lists:seq(1, 3)],
                    ok = reclaim:command(hd(Outs), "s"),
                    [_ = reclaim:command(Out, Long, [nosuspend]) || Out <- tl(Outs)],
                    Pid = reclaim_stage:os_pid(Host),
                    Stop(Host),
                    until(fun() -> reclaim_stage:gone(Pid) end),
                    application:start(reclaim)
                end)
             || Stop <- [
                    fun reclaim:stop_host/1,
                    fun(Host) -> exit(Host, kill) end,
                    fun(_) -> application:stop(reclaim) end
                ]
            ]
        end},
        {"busy: it ends meanwhile", fun() ->
            fake_host(fun(Host) ->
                First = quiet(Host, #{}),
                Outs = [element(2, {ok, _} = reclaim:open(Host, echo, [])) || _ <- lists:seq(1, 8)],
                ok = reclaim:command(First, "s"),
                Commands = [in_process(fun() -> reclaim:command(Out, Long) end) || Out <- Outs],
                Calls = [in_process(fun() -> reclaim:call(First, N, infinity) end) || N <- lists:seq(1, 20)],
                Opening = in_process(fun() -> reclaim:open(Host, echo, []) end),
                timer:sleep(50),
                reclaim_stage:kill_os(Host),
                [?assert(lists:member(result(One), [ok, {error, host_down}])) || One <- Commands],
                [{error, host_down} = result(One) || One <- Calls],
                {error, host_down} = result(Opening),
                [host_down = await_closed(Out) || Out <- [First | Outs]],
                none()
            end)
        end}
    ].
