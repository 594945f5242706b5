%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_tests - the application with reclaim-host and its echo driver
%%
%% RECLAIM_TEST_OUTLETS is how many outlets are opened at once (10000).
-module(reclaim_tests).

-include_lib("eunit/include/eunit.hrl").

-import(reclaim_stage, [
    real/1,
    real/2,
    until/1,
    next/0,
    none/0,
    await_closed/1,
    in_process/1,
    result/1,
    kill_os/1,
    gone/1
]).

all_test_() ->
    reclaim_stage:tests("reclaim", tests()).

open(Host) ->
    {ok, Out} = reclaim:open(Host, echo, []),
    Out.

%% What the host has, when what was under way is over.
has(Host, What, Number) ->
    until(fun() ->
        {ok, #{What := Now}} = reclaim:info(Host),
        Now =:= Number
    end).

tests() ->
    [
        {"data there and back, of all lengths", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                [
                    begin
                        Data = rand:bytes(Length),
                        ok = reclaim:command(Out, [Data]),
                        ?assertEqual({data, Data}, next())
                    end
                 || Length <- [0, 1, 63, 64, 65, 4096, 65536, 262144, 262145, 3000000]
                ],
                none()
            end)
        end},
        {"calls and controls", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                [
                    ?assertEqual({ok, Term}, reclaim:call(Out, Term))
                 || Term <- [[], a, 1, -1.5, <<"x">>, {a, [b]}, #{k => v}, 1 bsl 200, self(), make_ref(), "string", <<1:3>>, binary:copy(<<1>>, 1000000)]
                ],
                ?assertEqual({ok, <<>>}, reclaim:control(Out, 0, [])),
                ?assertEqual({ok, <<"abc">>}, reclaim:control(Out, 5, ["a", <<"bc">>]))
            end)
        end},
        {"open: a driver that there is none of; a program", fun() ->
            real(fun(Host) ->
                ?assertEqual({error, enodriver}, reclaim:open(Host, no_such_driver, [])),
                %% There is no such driver in this host, or there is.
                case reclaim:spawn_program(Host, "no_such_program -x") of
                    {error, _} -> ok;
                    {ok, Out} -> _ = await_closed(Out)
                end,
                has(Host, outlets, 0)
            end)
        end},
        {"open: more than the host's limit", fun() ->
            real(#{args => ["--outlets", "3"]}, fun(Host) ->
                Outs = [open(Host) || _ <- [1, 2, 3]],
                ?assertEqual({error, system_limit}, reclaim:open(Host, echo, [])),
                ok = reclaim:close(hd(Outs)),
                _ = open(Host)
            end)
        end},
        {"close, and nothing comes after it", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                [ok = reclaim:command(Out, <<N:32>>) || N <- lists:seq(1, 100)],
                ok = reclaim:close(Out),
                %% All that was sent before has been served.
                [?assertEqual({data, <<N:32>>}, next()) || N <- lists:seq(1, 100)],
                none(),
                ?assertEqual({error, closed}, reclaim:close(Out)),
                ?assertEqual({error, closed}, reclaim:call(Out, x)),
                ?assertEqual({error, closed}, reclaim:command(Out, "x")),
                has(Host, outlets, 0)
            end)
        end},
        {"the owner dies: all that it had goes, and no more", fun() ->
            real(fun(Host) ->
                Mine = open(Host),
                {Owner, Monitor} = in_process(fun() ->
                    [ok = reclaim:register(open(Host), integer_to_binary(N)) || N <- lists:seq(1, 10)],
                    receive after infinity -> ok end
                end),
                until(fun() -> reclaim:whereis(Host, <<"10">>) =/= undefined end),
                Other = reclaim:whereis(Host, <<"3">>),
                ?assertEqual({ok, x}, reclaim:call(Other, x)),
                exit(Owner, kill),
                receive {'DOWN', Monitor, _, _, _} -> ok end,
                has(Host, outlets, 1),
                has(Host, clients, 1),
                ?assertEqual(undefined, reclaim:whereis(Host, <<"3">>)),
                ?assertEqual({error, closed}, reclaim:call(Other, x)),
                ?assertEqual({ok, x}, reclaim:call(Mine, x))
            end)
        end},
        {"give", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                Self = self(),
                {Pid, Monitor} = in_process(fun() -> Self ! {got, next()}, receive go -> ok end end),
                ok = reclaim:give(Out, Pid),
                {ok, #{owner := Pid}} = reclaim:info(Out),
                ok = reclaim:command(Out, "hello"),
                receive {got, What} -> ?assertEqual({data, <<"hello">>}, What) end,
                ?assertEqual({error, not_owner}, reclaim:close(Out)),
                Pid ! go,
                receive {'DOWN', Monitor, _, _, _} -> ok end,
                has(Host, outlets, 0),
                ?assertEqual({error, closed}, reclaim:call(Out, x)),
                none()
            end)
        end},
        {"register, whereis, unregister", fun() ->
            real(#{name => reclaim_test_name}, fun(Host) ->
                Out = open(reclaim_test_name),
                ok = reclaim:register(Out, the_name),
                ?assertEqual(Out, reclaim:whereis(Host, the_name)),
                ?assertEqual(Out, reclaim:whereis(reclaim_test_name, <<"the_name">>)),
                {ok, #{name := <<"the_name">>}} = reclaim:info(Out),
                Asked = in_process(fun() -> reclaim:call(reclaim:whereis(Host, the_name), x) end),
                ?assertEqual({ok, x}, result(Asked)),
                ok = reclaim:unregister(Out),
                ?assertEqual(undefined, reclaim:whereis(Host, the_name)),
                ok = reclaim:register(Out, another)
            end)
        end},
        {"info, tasks, outlets", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                Self = self(),
                Label = list_to_binary(pid_to_list(Self)),
                {ok, #{outlets := 1, clients := 1, drivers := Drivers}} = reclaim:info(Host),
                ?assert(lists:member(echo, Drivers)),
                {ok, #{owner := Self, driver := echo}} = reclaim:info(Out),
                {ok, [#{driver := echo}]} = reclaim:outlets(Host),
                {ok, Tasks} = reclaim:tasks(Host),
                ?assertMatch([_], [T || T = #{name := Name} <- Tasks, Name =:= Label])
            end)
        end},
        {"nosuspend: a driver that takes no more", fun() ->
            real(fun(Host) ->
                %% It is not read, so that it takes no more, but others go on.
                {ok, Out} = reclaim:open(Host, echo, [], #{credit => manual, window => 1000}),
                Other = open(Host),
                Data = binary:copy(<<"x">>, 10000),
                Sent = send_until_busy(Out, Data, 0),
                ?assert(Sent > 0),
                ?assertEqual({error, timeout}, reclaim:command(Out, Data, [{timeout, 10}])),
                ?assertEqual({ok, x}, reclaim:call(Out, x)),
                ?assertEqual({ok, x}, reclaim:call(Other, x)),
                ok = reclaim:command(Other, "y"),
                receive {reclaim, Other, {data, <<"y">>}} -> ok end,
                Waits = in_process(fun() -> reclaim:command(Out, Data) end),
                [
                    begin
                        {data, Data} = next(),
                        ok = reclaim:credit(Out, Data)
                    end
                 || _ <- lists:seq(1, Sent + 1)
                ],
                ok = result(Waits),
                none()
            end)
        end},
        {"many send by one outlet: it is never overdrawn", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                Self = self(),
                Senders = [
                    in_process(fun() ->
                        [
                            ok = reclaim:command(Out, <<Sender:32, N:32, 0:(8 * rand:uniform(if N rem 10 =:= 0 -> 300000; true -> 3000 end))>>)
                         || N <- lists:seq(1, 100)
                        ]
                    end)
                 || Sender <- lists:seq(1, 20)
                ],
                Last = lists:foldl(
                    fun(_, Seen) ->
                        {data, <<Sender:32, N:32, _/binary>>} = next(),
                        ?assertEqual(N, maps:get(Sender, Seen, 0) + 1),
                        Seen#{Sender => N}
                    end,
                    #{},
                    lists:seq(1, 2000)
                ),
                ?assertEqual(20, map_size(Last)),
                [result(One) || One <- Senders],
                {ok, #{owner := Self}} = reclaim:info(Out),
                none()
            end)
        end},
        {"many outlets", fun many_outlets/0},
        {"many calls at once, and many that give up", fun() ->
            real(fun(Host) ->
                Out = open(Host),
                Calls = [
                    in_process(fun() ->
                        [
                            case reclaim:call(Out, {N, M}, if M rem 7 =:= 0 -> 0; true -> 20000 end) of
                                {ok, {N, M}} -> ok;
                                {error, timeout} when M rem 7 =:= 0 -> ok
                            end
                         || M <- lists:seq(1, 50)
                        ],
                        process_info(self(), message_queue_len)
                    end)
                 || N <- lists:seq(1, 200)
                ],
                [?assertEqual({message_queue_len, 0}, result(Call)) || Call <- Calls],
                has(Host, calls, 0),
                until(fun() -> ets:info(reclaim_calls, size) =:= 0 end)
            end)
        end},
        {"clients killed at any step leave nothing", fun() ->
            real(fun(Host) ->
                Shared = open(Host),
                [
                    begin
                        Clients = [spawn(fun() -> use_all(Host, Shared) end) || _ <- lists:seq(1, 20)],
                        timer:sleep(rand:uniform(8)),
                        [exit(Client, kill) || Client <- Clients]
                    end
                 || _ <- lists:seq(1, 50)
                ],
                has(Host, outlets, 1),
                has(Host, clients, 1),
                has(Host, calls, 0),
                until(fun() -> ets:info(reclaim_calls, size) =:= 0 end),
                ?assertEqual(1, ets:info(reclaim_outlets, size)),
                ?assertEqual(0, ets:info(reclaim_names, size)),
                ?assertEqual(0, ets:info(reclaim_writes, size)),
                ?assertEqual(1, maps:size(element(12, sys:get_state(Host)))),
                ?assertEqual({ok, x}, reclaim:call(Shared, x)),
                ok = reclaim:command(Shared, binary:copy(<<1>>, 1000000))
            end)
        end},
        {"killed in the middle: each is told, and once", fun() -> killed(fun reclaim_stage:kill_os/1) end},
        {"its process is killed in the middle: each is told, and once", fun() ->
            killed(fun(Host) -> exit(Host, kill) end)
        end},
        {"the keeper is killed in the middle: each is told, and once", fun() ->
            killed(fun(_) -> exit(whereis(reclaim_keeper), kill) end)
        end},
        {"the log is killed: no host ends with it", fun() ->
            {ok, Host} = reclaim:start_host(reclaim_stage:host(#{})),
            Out = open(Host),
            Log = whereis(reclaim_log),
            exit(Log, kill),
            until(fun() -> not lists:member(whereis(reclaim_log), [undefined, Log]) end),
            ?assertEqual({ok, x}, reclaim:call(Out, x)),
            ok = reclaim:stop_host(Host),
            host_down = await_closed(Out)
        end},
        {"stopped in the middle: each is told, and once", fun() -> killed(fun reclaim:stop_host/1) end},
        {"started anew", fun() ->
            {ok, Host} = reclaim:start_host(reclaim_stage:host(#{name => reclaim_test_name, restart => permanent})),
            Out = open(Host),
            kill_os(Host),
            host_down = await_closed(Out),
            until(fun() -> not lists:member(whereis(reclaim_test_name), [undefined, Host]) end),
            ?assertEqual({ok, x}, reclaim:call(open(reclaim_test_name), x)),
            ?assertEqual({error, host_down}, reclaim:call(Out, x)),
            Again = os_pid(whereis(reclaim_test_name)),
            ok = reclaim:stop_host(reclaim_test_name),
            until(fun() -> gone(Again) end)
        end},
        {"stopped: nothing is left of the OS process", fun() ->
            {ok, Host} = reclaim:start_host(reclaim_stage:host()),
            _ = [open(Host) || _ <- lists:seq(1, 10)],
            Pid = os_pid(Host),
            ?assertNot(gone(Pid)),
            ok = reclaim:stop_host(Host),
            until(fun() -> gone(Pid) end)
        end},
        {"the application stops, with its hosts", fun() ->
            {ok, Host} = reclaim:start_host(reclaim_stage:host()),
            Out = open(Host),
            Pid = os_pid(Host),
            ok = application:stop(reclaim),
            host_down = await_closed(Out),
            until(fun() -> gone(Pid) end),
            ?assertEqual({error, host_down}, reclaim:call(Out, x)),
            ?assertEqual({error, host_down}, reclaim:command(Out, x())),
            ?assertEqual(undefined, reclaim:whereis(Host, x)),
            ok = application:start(reclaim)
        end}
    ].

x() -> "x".

os_pid(Host) -> reclaim_stage:os_pid(Host).

send_until_busy(_, _, 10000) ->
    error(never_busy);
send_until_busy(Out, Data, Sent) ->
    case reclaim:command(Out, Data, [nosuspend]) of
        ok -> send_until_busy(Out, Data, Sent + 1);
        %% What is under way may give credit yet.
        {error, busy} -> settle(Out, Data, Sent, reclaim:command(Out, Data, [{timeout, 200}]))
    end.

settle(Out, Data, Sent, ok) -> send_until_busy(Out, Data, Sent + 1);
settle(_, _, Sent, {error, timeout}) -> Sent.

%% Of several owners: each outlet is used; half are closed, the others' owners die.
many_outlets() ->
    Number = list_to_integer(os:getenv("RECLAIM_TEST_OUTLETS", "10000")),
    Owners = 20,
    Each = Number div Owners,
    real(fun(Host) ->
        Self = self(),
        Pids = [
            spawn(fun() ->
                Outs = [open(Host) || _ <- lists:seq(1, Each)],
                [ok = reclaim:command(Out, integer_to_binary(reclaim_outlet:number(Out))) || Out <- Outs],
                [
                    receive
                        {reclaim, Out, {data, Data}} ->
                            ?assertEqual(integer_to_binary(reclaim_outlet:number(Out)), Data)
                    end
                 || Out <- Outs
                ],
                [{ok, Out} = reclaim:call(Out, Out) || Out <- [hd(Outs), lists:last(Outs)]],
                Self ! {used, self()},
                receive close -> ok end,
                [ok = reclaim:close(Out) || Out <- lists:sublist(Outs, Each div 2)],
                Self ! {closed, self()},
                receive after infinity -> ok end
            end)
         || _ <- lists:seq(1, Owners)
        ],
        [receive {used, Pid} -> ok after 100000 -> error(not_used) end || Pid <- Pids],
        has(Host, outlets, Owners * Each),
        [Pid ! close || Pid <- Pids],
        [receive {closed, Pid} -> ok after 100000 -> error(not_closed) end || Pid <- Pids],
        has(Host, outlets, Owners * (Each - Each div 2)),
        [exit(Pid, kill) || Pid <- Pids],
        has(Host, outlets, 0),
        has(Host, clients, 0),
        ?assertEqual(0, ets:info(reclaim_outlets, size)),
        ?assertEqual(0, maps:size(element(12, sys:get_state(Host))))
    end).

%% Callers that go on until they fail, owners that do nothing: what each was told.
killed(Kill) ->
    {ok, Host} = reclaim:start_host(reclaim_stage:host()),
    Self = self(),
    Shared = open(Host),
    Callers = [in_process(fun() -> call_on(Shared) end) || _ <- lists:seq(1, 50)],
    Senders = [
        in_process(fun() ->
            Out = open(Host),
            Self ! ready,
            send_on(Out)
        end)
     || _ <- lists:seq(1, 20)
    ],
    Openers = [in_process(fun() -> open_on(Host) end) || _ <- lists:seq(1, 10)],
    [receive ready -> ok end || _ <- Senders],
    Kill(Host),
    [?assertEqual({host_down, 0}, result(Caller)) || Caller <- Callers],
    [?assertEqual(1, result(Sender)) || Sender <- Senders],
    [?assertEqual(ok, result(Opener)) || Opener <- Openers],
    ?assertEqual(host_down, await_closed(Shared)),
    none().

call_on(Out) ->
    case reclaim:call(Out, self(), infinity) of
        {ok, Pid} when Pid =:= self() ->
            call_on(Out);
        {error, Reason} ->
            timer:sleep(100),
            {message_queue_len, Left} = process_info(self(), message_queue_len),
            {Reason, Left}
    end.

use_all(Host, Shared) ->
    Out = open(Host),
    _ = reclaim:register(Out, pid_to_binary(self())),
    ok = reclaim:command(Out, "hello"),
    {ok, x} = reclaim:call(Out, x),
    {ok, y} = reclaim:call(Shared, y),
    ok = reclaim:command(Shared, "z"),
    {ok, _} = reclaim:info(Out),
    ok = reclaim:close(Out),
    use_all(Host, Shared).

pid_to_binary(Pid) -> list_to_binary(pid_to_list(Pid)).

%% How often it was told of the end.
send_on(Out) ->
    case reclaim:command(Out, <<"hello">>) of
        ok ->
            receive
                {reclaim, Out, {data, <<"hello">>}} -> send_on(Out);
                {reclaim, Out, {closed, host_down}} -> 1 + told(Out)
            end;
        {error, host_down} ->
            host_down = await_closed(Out),
            1 + told(Out)
    end.

told(Out) ->
    receive
        {reclaim, Out, {closed, _}} -> 1 + told(Out);
        {reclaim, Out, _} -> error(said_after_its_end)
    after 200 -> 0
    end.

open_on(Host) ->
    case reclaim:open(Host, echo, []) of
        {ok, Out} ->
            case reclaim:close(Out) of
                ok -> open_on(Host);
                %% Closed by itself before, or by this.
                {error, host_down} -> receive {reclaim, Out, {closed, host_down}} -> ok after 0 -> ok end, ok
            end;
        {error, host_down} ->
            ok
    end.
