%% SPDX-License-Identifier: Apache-2.0
%%
%% emulator_host - whoever dies, at each step of an outlet's life, leaves nothing
%%
%% main([Program, Scratch]) prints a line for each thing it tests: "PASS: what" or
%% "FAIL: what".  Further arguments are the names of the cells to run.
%%
%% A cell is who dies, at a step.  The driver (walk_port.c) acquires something in
%% each callback, and says by a file when a step is reached.  Actors are the
%% Erlang processes of a cell: each does one thing at a time, and remembers what
%% became of it and what came.  Afterwards there is to be no process with the
%% cell's token in its environment but the host, no file of the driver's, no task,
%% outlet, descriptor or child more than before, nothing in a table or a mailbox;
%% each call was answered, and each owner told, once.
%%
%% victim([Program, Dir, Step]) is the emulator that is killed at a step.
-module(emulator_host).
-export([main/1, victim/1, log/2]).

-define(PATIENCE, 5000).

%% What came late, or twice, has come by then: the sweep of a host's process is
%% every 10 ms.
-define(LATE_MS, 30).

main([Program, Scratch | Only]) ->
    process_flag(trap_exit, true),
    {ok, _} = application:ensure_all_started(reclaim),
    put(program, Program),
    put(scratch, Scratch),
    put(only, Only),
    Results = others() ++ walk() ++ emulators(),
    io:format("~b cells~n", [length(Results)]),
    halt(case lists:all(fun(R) -> R end, Results) of true -> 0; false -> 1 end).

run(What, Test) ->
    Only = get(only),
    case Only =:= [] orelse lists:any(fun(O) -> string:find(What, O) =/= nomatch end, Only) of
        true -> [run_it(What, Test)];
        false -> []
    end.

run_it(What, Test) ->
    try Test() of
        _ -> io:format("PASS: ~s~n", [What]), true
    catch
        Class:Reason:Stack ->
            io:format("~p~nFAIL: ~s~n", [{Class, Reason, Stack}, What]),
            start_anew(),
            false
    end.

%% What a failed cell has left is not to fail others.
start_anew() ->
    is_pid(whereis(walk)) andalso reclaim:stop_host(walk),
    [signal("KILL", Os) || Os <- processes_of(get(scratch))],
    flush().

%% ---- the walk ----

steps() ->
    [refused, open_asked, starting, open_given_up, idle, in_call, own_call, kept,
     kept_by, job_by, hard_job_by, job, hard_job, job_waiting, data, no_credit, busy, flushing, draining, giving,
     giving_from, registering, registered, watched].

who() ->
    [client_kill, client_exit, host_kill, host_term, port_close, stop_host,
     process_kill, nobody].

%% What is closed in order with somebody in the way takes five seconds.
is_walked(nobody, Step) ->
    not lists:member(Step, [busy, flushing, draining, no_credit]);
is_walked(_, _) -> true.

walk() ->
    lists:append([run(cell(Who, Step), fun() -> cell_of(Who, Step) end)
                  || Step <- steps(), Who <- who(), is_walked(Who, Step)]).

cell(Who, Step) -> lists:flatten(io_lib:format("~s: ~s", [Step, Who])).

cell_of(Who, Step) ->
    Dir = dir(cell(Who, Step)),
    Before = before(),
    Cell = step(Step, Dir),
    strike(Who, Cell),
    let_go(Dir),
    have_died(Who, Before),
    is_gone(Who) andalso Who =/= nobody andalso calls_over(Cell),
    is_gone(Who) andalso close_left(Cell),
    settled(Dir, Who, Before),
    timer:sleep(?LATE_MS),
    check_actors(Who, Cell),
    [] = stop_actors(Cell),
    eventually(fun() -> {monitors, []} = process_info(host_pid(), monitors) end),
    eventually(fun() -> quiet() end).

dir(Name) ->
    Dir = filename:join(get(scratch), re:replace(Name, "[: ]+", "_", [{return, list}])),
    ok = file:make_dir(Dir),
    Dir.

%% ---- the host ----

%% One that has been used: what is made once has been made.
before() ->
    case whereis(walk) of
        undefined -> start_host(get(program));
        _ -> ok
    end,
    Warm = filename:join(get(scratch), "warm"),
    _ = file:make_dir(Warm),
    User = actor(),
    ok = have(User, closing, fun() -> use(Warm) end),
    User ! stop,
    eventually(fun() -> {ok, []} = reclaim:outlets(walk), [] = children(os_pid()) end),
    #{pid => host_pid(), os_pid => os_pid(), fds => fds(os_pid()), root => root()}.

use(Dir) ->
    {ok, Out} = reclaim:open(walk, walk, args(Dir, plain)),
    {ok, ok} = reclaim:call(Out, hello),
    {error, timeout} = reclaim:call(Out, job, 1),
    {error, timeout} = reclaim:call(Out, hard, 1),
    [ok = reclaim:command(Out, rand:bytes(3000)) || _ <- lists:seq(1, 200)],
    ok = reclaim:close(Out),
    _ = flush(),
    ok.

start_host(Program) ->
    {ok, _} = reclaim:start_host(#{
        program => Program, name => walk, intensity => 1000, period => 1,
        env => [{"RECLAIM_WALK", get(scratch)}]}).

host_pid() -> whereis(walk).

os_pid() ->
    {ok, #{pid := Pid}} = reclaim:info(walk),
    Pid.

port_of(Pid) ->
    {links, Links} = process_info(Pid, links),
    [Port] = [P || P <- Links, is_port(P)],
    Port.

root() ->
    {ok, Info} = reclaim:info(walk),
    %% What the link keeps for its queues has a bound.
    true = map_get(bytes, Info) < 4 bsl 20,
    maps:with([clients, outlets, calls, jobs, handles], Info).

%% ---- who dies ----

strike(nobody, #{stopped := true, os_pid := Os}) ->
    signal("CONT", Os);
strike(nobody, _) ->
    ok;
strike(Who, Cell) ->
    Pid = host_pid(),
    Os = case Cell of #{os_pid := Known} -> Known; _ -> os_pid_unasked(Pid) end,
    strike(Who, Cell, Pid, Os),
    is_map_key(stopped, Cell) andalso signal("CONT", Os).

strike(client_kill, #{victim := Victim}, _, _) -> exit(Victim, kill);
strike(client_exit, #{victim := Victim}, _, _) -> end_client(Victim);
strike(host_kill, _, _, Os) -> signal("KILL", Os);
strike(host_term, _, _, Os) -> signal("TERM", Os);
strike(port_close, _, Pid, _) -> port_close(port_of(Pid));
strike(stop_host, _, _, _) -> ok = reclaim:stop_host(walk);
strike(process_kill, _, Pid, _) -> exit(Pid, kill).

%% By itself where it can: one that waits for something is told to.
end_client(Victim) ->
    Victim ! stop,
    case process_info(Victim, current_function) of
        {current_function, {?MODULE, act, 1}} -> ok;
        _ -> exit(Victim, shutdown)
    end.

os_pid_unasked(Pid) ->
    {os_pid, Os} = erlang:port_info(port_of(Pid), os_pid),
    Os.

signal(Name, Os) -> os:cmd(io_lib:format("kill -~s ~b", [Name, Os])).

let_go(Dir) -> ok = file:write_file(filename:join(Dir, "go"), "").

is_gone(Who) -> lists:member(Who, [client_kill, client_exit, nobody]).

%% ---- afterwards ----

%% The host has, or else it has not.
have_died(Who, #{pid := Pid, os_pid := Os}) ->
    Who =:= stop_host andalso begin undefined = whereis(walk), start_host(get(program)) end,
    case is_gone(Who) of
        true ->
            Pid = host_pid(),
            Os = os_pid();
        false ->
            eventually(fun() -> true = is_pid(whereis(walk)) andalso Pid =/= host_pid() end),
            eventually(fun() -> {error, enoent} = file:read_file_info(proc(Os)) end)
    end.

%% Owners that have not died close what they have.
close_left(#{actors := Actors}) ->
    [close_all(Actor) || {Role, Actor} <- Actors, Role =/= caller, is_process_alive(Actor)].

same(Before, Now) ->
    [] = [{Key, Value, map_get(Key, Before)}
          || {Key, Value} <- maps:to_list(Now), Value =/= map_get(Key, Before)].

%% Nothing is left anywhere.
settled(Dir, Who, Before) ->
    Os = os_pid(),
    eventually(fun() -> {ok, []} = reclaim:outlets(walk) end),
    eventually(fun() -> {ok, [_]} = reclaim:tasks(walk) end),
    eventually(fun() -> [] = children(Os) end),
    eventually(fun() -> [Os] = processes_of(get(scratch)) end),
    %% Of who is killed the kernel alone releases.
    Who =:= host_kill orelse eventually(fun() -> [] = files(Dir) end),
    is_gone(Who) andalso
        eventually(fun() -> same(Before, #{fds => fds(Os), root => root()}) end),
    eventually(fun() -> quiet() end).

%% No table has a row, and no mailbox of the application's a message.
quiet() ->
    [{Table, 0} = {Table, ets:info(Table, size)}
     || Table <- [reclaim_outlets, reclaim_names, reclaim_calls, reclaim_writes]],
    [{Name, {message_queue_len, 0}} = {Name, process_info(whereis(Name), message_queue_len)}
     || Name <- [walk, reclaim_keeper, reclaim_log, reclaim_hosts, reclaim_sup]],
    undefined = reclaim:whereis(walk, walker),
    #{active := 1} = maps:from_list(supervisor:count_children(reclaim_hosts)).

files(Dir) -> filelib:wildcard("tmp.*", Dir).

proc(Os) -> "/proc/" ++ integer_to_list(Os).

fds(Os) ->
    {ok, Names} = file:list_dir(proc(Os) ++ "/fd"),
    length(Names).

children(Os) ->
    lists:append([string:tokens(binary_to_list(Text), " ")
                  || Name <- filelib:wildcard(proc(Os) ++ "/task/*/children"),
                     {ok, Text} <- [file:read_file(Name)]]).

processes_of(Token) ->
    [list_to_integer(Name)
     || Name = [C | _] <- element(2, file:list_dir("/proc")), C >= $1, C =< $9,
        {ok, Text} <- [file:read_file("/proc/" ++ Name ++ "/environ")],
        binary:match(Text, list_to_binary("RECLAIM_WALK=" ++ Token ++ <<0>>)) =/= nomatch].

eventually(Holds) -> eventually(Holds, ?PATIENCE div 5).

eventually(Holds, 0) -> Holds();
eventually(Holds, Left) ->
    try Holds()
    catch _:_ -> timer:sleep(5), eventually(Holds, Left - 1)
    end.

wait_for(Dir, Name) ->
    eventually(fun() -> true = filelib:is_file(filename:join(Dir, Name)) end).

%% ---- actors ----

actor() -> spawn(fun() -> act([]) end).

%% Data is counted, other messages stay.
act(Done) ->
    receive
        {do, Key, Fun} -> act([{Key, catch Fun()} | Done]);
        {reclaim, _, {data, _}} -> act(Done);
        {report, From, Ref} ->
            {messages, Messages} = process_info(self(), messages),
            {monitors, Monitors} = process_info(self(), monitors),
            From ! {Ref, lists:reverse(Done), Messages, Monitors},
            act(Done);
        stop -> ok
    end.

tell(Actor, Key, Fun) -> Actor ! {do, Key, Fun}.

%% And wait until it has done that.
have(Actor, Key, Fun) ->
    Self = self(),
    Ref = make_ref(),
    tell(Actor, Key, fun() -> R = Fun(), Self ! {Ref, R}, R end),
    receive {Ref, R} -> R after ?PATIENCE -> error({stuck, Key}) end.

report(Actor) ->
    Ref = make_ref(),
    Actor ! {report, self(), Ref},
    receive {Ref, Done, Messages, Monitors} -> {Done, Messages, Monitors}
    after ?PATIENCE -> error({stuck, Actor, process_info(Actor, current_stacktrace)})
    end.

%% It waits for an answer of the host's.
waits(Actor) ->
    eventually(fun() ->
        {monitors, [_ | _]} = process_info(Actor, monitors),
        {status, waiting} = process_info(Actor, status) end).

stop_actors(#{actors := Actors}) ->
    [begin Actor ! stop, eventually(fun() -> false = is_process_alive(Actor) end) end
     || {_, Actor} <- Actors],
    flush().

flush() ->
    receive M -> [M | flush()] after 0 -> [] end.

check_actors(Who, Cell = #{actors := Actors}) ->
    How = case is_gone(Who) of true -> gone; false -> down end,
    Alive = [{Role, Actor} || {Role, Actor} <- Actors, is_process_alive(Actor)],
    Dead = case Who of nobody -> 0; _ when How =:= gone -> 1; _ -> 0 end,
    Dead = length(Actors) - length(Alive),
    [check(Role, How, report(Actor), Cell) || {Role, Actor} <- Alive].

%% Of a dead client's, though its outlet may go on.
calls_over(#{victim := Victim}) ->
    eventually(fun() ->
        {ok, #{calls := 0, jobs := 0}} = reclaim:info(walk),
        [] = ets:match_object(reclaim_calls, {'_', '_', Victim, '_'}) end).

close_all(Actor) ->
    have(Actor, closing, fun() ->
        [ok = reclaim:close(Out)
         || {{_, _}, Owner, Out} <- ets:tab2list(reclaim_outlets), Owner =:= self()]
    end).

%% Each asked for one thing and had one answer, which has the right form; nothing
%% else has come, but that an outlet is closed where it was its own.
check(Role, How, {Done, Messages, Monitors}, Cell) ->
    [] = Monitors,
    [true = lists:member(Key, [closing | keys()]) andalso good(Key, How, Result)
     || {Key, Result} <- Done],
    Expected = owned(Role, How, Done, Cell),
    {Role, Expected, Expected} =
        {Role, Expected, length([1 || {reclaim, _, {closed, host_down}} <- Messages])},
    {Role, Expected, Messages} = {Role, length(Messages), Messages}.

keys() -> [open, call, own, command, push, close, give, register, watch].

%% How many outlets it had when the host went down.
owned(owner, down, Done, _) ->
    length([1 || {open, {ok, _}} <- Done]) - length([1 || {close, _} <- Done])
        - length([1 || {give, ok} <- Done]);
owned(heir, down, _, #{given := Owner}) ->
    {Done, _, _} = report_of(Owner),
    length([1 || {give, ok} <- Done]);
owned(_, _, _, _) -> 0.

report_of(Owner) -> report(Owner).

good(open, _, {ok, _}) -> true;
good(open, _, {error, Why}) -> lists:member(Why, [host_down, enoent, timeout]);
good(call, _, {ok, ok}) -> true;
good(call, How, {error, Why}) -> is_end(How, Why);
good(own, _, {ok, ok}) -> true;
good(own, _, {error, timeout}) -> true;
good(own, How, {error, Why}) -> is_end(How, Why);
good(command, How, {error, Why}) -> is_end(How, Why);
good(command, _, ok) -> true;
good(push, How, {error, Why}) -> Why =:= busy orelse is_end(How, Why);
good(close, down, ok) -> true;
good(close, How, {error, Why}) -> is_end(How, Why);
good(give, _, ok) -> true;
good(give, down, {error, host_down}) -> true;
good(register, _, ok) -> true;
good(register, How, {error, Why}) -> is_end(How, Why);
good(watch, _, {ok, ok}) -> true;
good(closing, _, _) -> true;
good(_, _, _) -> false.

is_end(_, closed) -> true;
is_end(down, host_down) -> true;
is_end(_, _) -> false.

%% ---- steps ----

args(Dir, Mode) -> {list_to_binary(Dir), Mode}.

open_by(Owner, Dir, Mode, Options) ->
    have(Owner, open, fun() -> reclaim:open(walk, walk, args(Dir, Mode), Options) end).

opened(Dir) -> opened(Dir, plain, #{}).

opened(Dir, Mode, Options) ->
    Owner = actor(),
    {ok, Out} = open_by(Owner, Dir, Mode, Options),
    {Owner, Out}.

asks(Out, What) ->
    Caller = actor(),
    tell(Caller, call, fun() -> reclaim:call(Out, What, infinity) end),
    Caller.

stopped(Do) ->
    Os = os_pid(),
    signal("STOP", Os),
    Cell = Do(),
    Cell#{stopped => true, os_pid => Os}.

step(refused, Dir) ->
    Owner = actor(),
    {error, enoent} = open_by(Owner, Dir, refuse, #{}),
    #{victim => Owner, actors => [{owner, Owner}]};
step(open_asked, Dir) ->
    stopped(fun() ->
        Owner = actor(),
        tell(Owner, open, fun() -> reclaim:open(walk, walk, args(Dir, plain)) end),
        waits(Owner),
        #{victim => Owner, actors => [{owner, Owner}]}
    end);
step(starting, Dir) ->
    Owner = actor(),
    Os = os_pid(),
    tell(Owner, open, fun() -> reclaim:open(walk, walk, args(Dir, slow)) end),
    wait_for(Dir, "at"),
    #{victim => Owner, actors => [{owner, Owner}], os_pid => Os};
step(open_given_up, Dir) ->
    Owner = actor(),
    Os = os_pid(),
    {error, timeout} = open_by(Owner, Dir, slow, #{timeout => 10}),
    #{victim => Owner, actors => [{owner, Owner}], os_pid => Os};
step(idle, Dir) ->
    {Owner, Out} = opened(Dir),
    ok = have(Owner, command, fun() -> reclaim:command(Out, <<"hello">>) end),
    {ok, ok} = have(Owner, own, fun() -> reclaim:call(Out, hello) end),
    {ok, <<"x">>} = reclaim:control(Out, 1, <<"x">>),
    #{victim => Owner, actors => [{owner, Owner}]};
step(in_call, Dir) ->
    {Owner, Out} = opened(Dir),
    Os = os_pid(),
    First = asks(Out, hold),
    wait_for(Dir, "at"),
    Second = asks(Out, keep),
    waits(Second),
    #{victim => Owner, os_pid => Os,
      actors => [{owner, Owner}, {caller, First}, {caller, Second}]};
step(own_call, Dir) ->
    {Owner, Out} = opened(Dir),
    tell(Owner, own, fun() -> reclaim:call(Out, keep, 1000) end),
    wait_for(Dir, "at"),
    #{victim => Owner, actors => [{owner, Owner}]};
step(kept, Dir) -> with_call(Dir, [keep]);
step(kept_by, Dir) -> by_caller(with_call(Dir, [keep]));
step(job_by, Dir) -> by_caller(with_call(Dir, [job]));
step(hard_job_by, Dir) -> by_caller(with_call(Dir, [hard]));
step(job, Dir) -> with_call(Dir, [job]);
step(hard_job, Dir) -> with_call(Dir, [hard]);
step(job_waiting, Dir) -> with_call(Dir, [ordered, ordered, ordered]);
step(data, Dir) ->
    {Owner, Out} = opened(Dir),
    Pushers = [actor(), actor()],
    [tell(Pusher, push, fun() -> push(Out, rand:bytes(3000), []) end) || Pusher <- Pushers],
    eventually(fun() -> {reductions, R} = process_info(Owner, reductions), true = R > 2000 end),
    #{victim => Owner, actors => [{owner, Owner} | [{caller, P} || P <- Pushers]]};
step(no_credit, Dir) ->
    {Owner, Out} = poured(Dir),
    #{victim => Owner, actors => [{owner, Owner}], out => Out};
step(busy, Dir) ->
    {Owner, Out} = opened(Dir),
    {ok, ok} = have(Owner, own, fun() -> reclaim:call(Out, busy) end),
    {error, busy} = have(Owner, push, fun() -> push(Out, rand:bytes(3000), [nosuspend]) end),
    Waiting = [actor(), actor()],
    [tell(W, push, fun() -> push(Out, rand:bytes(3000), []) end) || W <- Waiting],
    [waits(W) || W <- Waiting],
    #{victim => Owner, actors => [{owner, Owner} | [{caller, W} || W <- Waiting]]};
step(flushing, Dir) ->
    {Owner, Out} = opened(Dir, linger, #{}),
    closing(Owner, Out, Dir);
step(draining, Dir) ->
    {Owner, Out} = poured(Dir),
    closing(Owner, Out, Dir);
step(giving, Dir) -> giving(Dir, heir);
step(giving_from, Dir) -> giving(Dir, owner);
step(registering, Dir) ->
    {Owner, Out} = opened(Dir),
    stopped(fun() ->
        Caller = actor(),
        tell(Caller, register, fun() -> reclaim:register(Out, walker) end),
        waits(Caller),
        #{victim => Owner, actors => [{owner, Owner}, {caller, Caller}]}
    end);
step(registered, Dir) ->
    {Owner, Out} = opened(Dir),
    ok = have(Owner, register, fun() -> reclaim:register(Out, walker) end),
    Out = reclaim:whereis(walk, walker),
    #{victim => Owner, actors => [{owner, Owner}]};
step(watched, Dir) ->
    {Owner, Out} = opened(Dir),
    Caller = actor(),
    {ok, ok} = have(Caller, watch, fun() -> reclaim:call(Out, watch) end),
    #{victim => Owner, actors => [{owner, Owner}, {caller, Caller}]}.

with_call(Dir, Whats) ->
    {Owner, Out} = opened(Dir),
    Callers = [asks(Out, What) || What <- Whats],
    wait_for(Dir, "at"),
    eventually(fun() ->
        {ok, #{calls := N}} = reclaim:info(Out), N = length(Whats) end),
    #{victim => Owner, actors => [{owner, Owner} | [{caller, C} || C <- Callers]]}.

%% Who dies is no owner.
by_caller(Cell = #{actors := Actors}) ->
    {caller, Caller} = lists:keyfind(caller, 1, Actors),
    Cell#{victim => Caller}.

push(Out, Bytes, Options) ->
    case reclaim:command(Out, Bytes, Options) of
        ok -> push(Out, Bytes, Options);
        Error -> Error
    end.

poured(Dir) ->
    {Owner, Out} = opened(Dir, plain, #{window => 1000, credit => manual}),
    {ok, ok} = have(Owner, own, fun() -> reclaim:call(Out, pour) end),
    {ok, #{output := Waits}} = reclaim:info(Out),
    true = Waits > 0,
    {Owner, Out}.

closing(Owner, Out, Dir) ->
    tell(Owner, close, fun() -> reclaim:close(Out) end),
    wait_for(Dir, "flush"),
    #{victim => Owner, actors => [{owner, Owner}]}.

giving(Dir, Victim) ->
    {Owner, Out} = opened(Dir),
    stopped(fun() ->
        Heir = actor(),
        ok = have(Owner, give, fun() -> reclaim:give(Out, Heir) end),
        #{victim => case Victim of heir -> Heir; owner -> Owner end,
          given => Owner, actors => [{owner, Owner}, {heir, Heir}]}
    end).

%% ---- what one client does to others, and bad input ----

others() ->
    lists:append([run(What, fun() -> with_outlet(What, Test) end)
                  || {What, Test} <- other_tests()]).

other_tests() ->
    [{"100 clients of a busy outlet hold up nobody", fun busy_for_many/2},
     {"who is killed while it calls leaves no row", fun killed_callers/2},
     {"who is killed while it writes takes no turn with it", fun killed_writers/2},
     {"who gives up while an outlet opens has none", fun give_up_opening/2},
     {"an outlet that has opened as its owner gave up is the owner's",
      fun open_and_given_up/2},
     {"the end of a forked child is not the host's", fun forked/2},
     {"terms that are a million deep are refused", fun deep_terms/2},
     {"what is longer than a frame is refused", fun long_ones/2},
     {"100000 calls to an outlet that is over are answered", fun calls_to_the_dead/2},
     {"no driver is found outside", fun odd_drivers/2},
     {"what is no outlet is refused", fun no_outlets/2},
     {"a callback that blocks is named in the log", fun blocked_is_named/2}].

%% Each begins with an outlet of its own, and leaves nothing.
with_outlet(What, Test) ->
    Dir = dir(What),
    Before = before(),
    Owner = actor(),
    {ok, Out} = open_by(Owner, Dir, bare, #{}),
    Test(Out, Dir),
    let_go(Dir),
    close_all(Owner),
    have_died(nobody, Before),
    settled(Dir, nobody, Before),
    {_, [], []} = report(Owner),
    [] = stop_actors(#{actors => [{owner, Owner}]}),
    [] = flush().

busy_for_many(Out, Dir) ->
    {ok, ok} = reclaim:call(Out, busy),
    Bytes = rand:bytes(3000),
    {error, busy} = push(Out, Bytes, [nosuspend]),
    Clients = [{Options, actor()}
               || _ <- lists:seq(1, 34), Options <- [[], [nosuspend], [{timeout, 50}]]],
    [tell(Client, push, fun() -> reclaim:command(Out, Bytes, Options) end)
     || {Options, Client} <- Clients],
    Other = actor(),
    {ok, Mine} = open_by(Other, Dir, bare, #{}),
    [{ok, ok} = reclaim:call(Mine, hello) || _ <- lists:seq(1, 20)],
    [{ok, ok} = reclaim:call(Out, hello) || _ <- lists:seq(1, 20)],
    {ok, [_, _]} = reclaim:outlets(walk),
    {ok, [_ | _]} = reclaim:tasks(walk),
    {ok, #{busy := true, input := Input}} = reclaim:info(Out),
    true = Input > 0,
    [{[{push, {error, busy}}], [], []} = report(Client) || {[nosuspend], Client} <- Clients],
    [{[{push, {error, timeout}}], [], []} = report(Client)
     || {[{timeout, _}], Client} <- Clients],
    {ok, ok} = reclaim:call(Out, ready),
    [{[{push, ok}], [], []} = report(Client) || {[], Client} <- Clients],
    close_all(Other),
    stop_actors(#{actors => [{other, Other} | Clients]}).

%% What is longer than the window goes only where nobody is about to write.
killed_writers(Out, _) ->
    Bytes = rand:bytes(3000),
    [begin
         Writers = [actor() || _ <- lists:seq(1, 10)],
         [tell(Writer, push, fun() -> push(Out, Bytes, []) end) || Writer <- Writers],
         timer:sleep(rand:uniform(3)),
         [exit(Writer, kill) || Writer <- Writers]
     end || _ <- lists:seq(1, 200)],
    ok = reclaim:command(Out, rand:bytes(1 bsl 20), [{timeout, ?PATIENCE}]).

killed_callers(Out, _) ->
    [begin
         Callers = [actor() || _ <- lists:seq(1, 10)],
         [tell(Caller, call, fun() -> call_for_ever(Out) end) || Caller <- Callers],
         timer:sleep(rand:uniform(3)),
         [exit(Caller, kill) || Caller <- Callers]
     end || _ <- lists:seq(1, 200)],
    {ok, ok} = reclaim:call(Out, hello),
    eventually(fun() -> [] = ets:tab2list(reclaim_calls) end).

call_for_ever(Out) ->
    {ok, ok} = reclaim:call(Out, hello),
    call_for_ever(Out).

give_up_opening(_, Dir) ->
    Actors = [actor() || _ <- lists:seq(1, 8)],
    [tell(Actor, open, fun() -> [try_open(Dir, I rem 4) || I <- lists:seq(1, 200)], ok end)
     || Actor <- Actors],
    [{[{open, ok}], [], []} = report(Actor) || Actor <- Actors],
    eventually(fun() -> {ok, [_]} = reclaim:outlets(walk) end),
    stop_actors(#{actors => [{open, Actor} || Actor <- Actors]}).

%% It takes about as long as the timeout.
try_open(Dir, Timeout) ->
    case reclaim:open(walk, walk, args(Dir, plain), #{timeout => Timeout}) of
        {ok, Out} -> ok = reclaim:close(Out);
        {error, timeout} -> ok
    end.

%% What reclaim:open/4 does when the answer comes too late to be received.
open_and_given_up(_, Dir) ->
    Owner = actor(),
    {ok, Out} = have(Owner, open, fun() ->
        Alias = alias(),
        Term = term_to_binary({walk, args(Dir, bare), <<"late">>}),
        walk ! {'$reclaim', {self(), Alias}, {open, Term, 1000, auto}},
        receive {Alias, {ok, _}} -> true = unalias(Alias) end,
        reclaim_outlet:ask_host(walk, {open_no_more, Alias}, infinity) end),
    {ok, #{owner := Owner}} = reclaim:info(Out),
    close_all(Owner),
    stop_actors(#{actors => [{owner, Owner}]}).

%% The child ends with its call; that the host does not, have_died/2 sees.
forked(Out, _) ->
    {ok, ok} = reclaim:call(Out, fork),
    [] = children(os_pid()).

deep_terms(Out, _) ->
    Deep = lists:foldl(fun(_, Inner) -> [Inner] end, [], lists:seq(1, 1000000)),
    {error, badarg} = reclaim:call(Out, Deep),
    {error, badarg} = try_driver(walk, Deep),
    Tuples = lists:foldl(fun(_, Inner) -> {Inner} end, {}, lists:seq(1, 1000000)),
    {error, badarg} = reclaim:call(Out, Tuples),
    {ok, ok} = reclaim:call(Out, lists:seq(1, 1000000)),
    {ok, ok} = reclaim:call(Out, [self(), make_ref(), fun() -> ok end, <<1:3>>, 1 bsl 70000]),
    {ok, ok} = reclaim:call(Out, longest_atom()).

%% By somebody else: who has opened, or tried to, is watched as long as it lives.
try_driver(Name, Args) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({result, reclaim:open(walk, Name, Args)}) end),
    receive {'DOWN', Monitor, process, Pid, {result, Result}} -> Result end.

longest_atom() -> list_to_atom(lists:duplicate(255, 16#1F600)).

long_ones(Out, _) ->
    Long = binary:copy(<<0>>, 64 bsl 20),
    {error, emsgsize} = reclaim:command(Out, Long),
    {error, emsgsize} = reclaim:command(Out, Long, [nosuspend]),
    {error, emsgsize} = reclaim:call(Out, Long),
    {error, emsgsize} = reclaim:control(Out, 1, Long),
    {error, emsgsize} = try_driver(walk, Long),
    {error, _} = reclaim:register(Out, Long),
    {error, _} = reclaim:register(Out, binary:copy(<<"n">>, 65536)),
    {error, _} = reclaim:register(Out, <<"a", 0, "b">>),
    {error, enoent} = reclaim:unregister(Out),
    {error, badarg} = {error, catch_error(fun() -> reclaim:command(Out, [1, 256]) end)},
    {error, badarg} = {error, catch_error(fun() -> reclaim:control(Out, 1 bsl 32, <<>>) end)},
    ok = reclaim:command(Out, <<"short">>).

catch_error(Fun) ->
    try Fun() of Result -> {no_error, Result} catch error:Reason -> Reason end.

calls_to_the_dead(_, Dir) ->
    Owner = actor(),
    {ok, Dead} = open_by(Owner, Dir, bare, #{}),
    close_all(Owner),
    [begin
         {error, closed} = reclaim:call(Dead, hello),
         {error, closed} = reclaim:control(Dead, 1, <<"x">>)
     end || _ <- lists:seq(1, 50000)],
    {error, closed} = reclaim:command(Dead, <<"x">>),
    {error, closed} = reclaim:command(Dead, <<"x">>, [nosuspend]),
    {error, closed} = reclaim:close(Dead),
    {error, closed} = reclaim:give(Dead, self()),
    {error, closed} = reclaim:register(Dead, name),
    {error, closed} = reclaim:info(Dead),
    stop_actors(#{actors => [{owner, Owner}]}).

odd_drivers(_, Dir) ->
    {error, badarg} = try_driver('walk\0', args(Dir, plain)),
    [{Name, {error, enodriver}} = {Name, try_driver(Name, args(Dir, plain))}
     || Name <- ['', nothing, '../walk', '/walk', 'walk/', 'a/../walk', 'walk.so', '.',
                 'WALK', list_to_atom(lists:duplicate(255, $w)), longest_atom()]],
    [{error, enodriver} = try_driver(nothing, []) || _ <- lists:seq(1, 1000)].

no_outlets(_, _) ->
    [{Function, true} = {Function, lists:member(
        catch_error(fun() -> apply(reclaim, Function, [What | More]) end),
        [badarg, function_clause])}
     || What <- [none, 1, {reclaim_outlet, 1}, <<>>],
        {Function, More} <- [{close, []}, {command, [<<>>]}, {call, [hello]},
                             {control, [1, <<>>]}, {give, [self()]}, {register, [name]},
                             {unregister, []}, {credit, [1]}]].

blocked_is_named(_, Dir) ->
    ok = logger:set_primary_config(level, all),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    Owner = actor(),
    {ok, Dog} = reclaim:start_host(#{
        program => get(program), args => ["--watchdog", "50"],
        env => [{"RECLAIM_WALK", get(scratch)}]}),
    {ok, Out} = have(Owner, open, fun() -> reclaim:open(Dog, walk, args(Dir, bare)) end),
    hold_until_named(Out, Dir, "`call` of driver walk", 100),
    ok = logger:remove_handler(?MODULE),
    ok = logger:set_primary_config(level, critical),
    ok = reclaim:stop_host(Dog),
    stop_actors(#{actors => [{owner, Owner}]}),
    flush().

%% It is said on standard error while it blocks, in the log when it has returned.
hold_until_named(Out, Dir, What, Ms) ->
    Caller = asks(Out, hold),
    wait_for(Dir, "at"),
    timer:sleep(Ms),
    let_go(Dir),
    {[{call, {ok, ok}}], [], []} = report(Caller),
    Caller ! stop,
    [ok = file:delete(filename:join(Dir, Name)) || Name <- ["at", "go"]],
    {ok, _} = reclaim:info(Out),
    is_named(What) orelse Ms < 10000 andalso hold_until_named(Out, Dir, What, 2 * Ms)
        orelse error(not_named).

is_named(What) ->
    receive
        {logged, Text} ->
            string:find(Text, What) =/= nomatch orelse is_named(What)
    after ?LATE_MS -> false
    end.

log(#{msg := {Format, Args}}, #{config := Who}) when is_list(Format) ->
    Who ! {logged, io_lib:format(Format, Args)};
log(_, _) ->
    ok.

%% ---- the emulator killed ----

%% Several at once, as each takes a while to begin.
emulators() ->
    in_turn([fun() -> run(cell(emulator_kill, Step), fun() -> emulator(Step) end) end
             || Step <- steps()], 4).

in_turn(Tests, Most) ->
    Inherited = [{Key, get(Key)} || Key <- [program, scratch, only]],
    Spawn = fun(Test) ->
        element(2, spawn_monitor(fun() ->
            [put(Key, Value) || {Key, Value} <- Inherited],
            exit({results, Test()})
        end))
    end,
    {Now, Later} = lists:split(min(Most, length(Tests)), Tests),
    in_turn(Spawn, Later, length([Spawn(Test) || Test <- Now]), []).

in_turn(_, _, 0, Results) -> Results;
in_turn(Spawn, Later, Running, Results) ->
    receive
        {'DOWN', _, process, _, {results, More}} when Later =:= [] ->
            in_turn(Spawn, [], Running - 1, More ++ Results);
        {'DOWN', _, process, _, {results, More}} ->
            Spawn(hd(Later)),
            in_turn(Spawn, tl(Later), Running, More ++ Results)
    end.

emulator(Step) ->
    Dir = dir(cell(emulator_kill, Step)),
    Port = open_port({spawn_executable, os:find_executable("erl")},
        [{line, 1000}, exit_status, stderr_to_stdout, {args,
         ["-noinput", "-pa", filename:dirname(code:which(?MODULE)),
          "-pa", filename:dirname(code:which(reclaim)),
          "-run", "emulator_host", "victim", get(program), Dir, atom_to_list(Step)]}]),
    {os_pid, Emulator} = erlang:port_info(Port, os_pid),
    Host = ready(Port),
    [Host | _] = lists:reverse([P || P <- processes_of(Dir), P =:= Host]),
    signal("KILL", Emulator),
    signal("CONT", Host),
    Said = said(Port, []),
    eventually(fun() -> [] = processes_of(Dir) end),
    case blocks(Step) of
        none ->
            [] = files(Dir);
        %% What a callback holds that runs on is left to the kernel.
        Callback ->
            true = lists:any(fun(Line) -> string:find(Line, Callback) =/= nomatch end, Said)
    end.

blocks(starting) -> "callback `start`";
blocks(open_given_up) -> "callback `start`";
blocks(in_call) -> "callback `call`";
blocks(_) -> none.

%% Until nobody has its standard output any more.
said(Port, Lines) ->
    receive
        {Port, {data, {_, Line}}} -> said(Port, [Line | Lines]);
        {Port, {exit_status, 137}} -> Lines
    after ?PATIENCE * 4 -> error({not_ended, Lines})
    end.

ready(Port) ->
    receive
        {Port, {data, {eol, "ready " ++ Host}}} -> list_to_integer(Host);
        {Port, {data, _}} -> ready(Port);
        {Port, {exit_status, Status}} -> error({ended, Status})
    after ?PATIENCE -> error(not_ready)
    end.

victim([Program, Dir, Step]) ->
    {ok, _} = application:ensure_all_started(reclaim),
    put(program, Program),
    put(scratch, Dir),
    start_host(Program),
    Os = os_pid(),
    _ = step(list_to_atom(Step), Dir),
    io:format("ready ~b~n", [Os]),
    receive after infinity -> ok end.
