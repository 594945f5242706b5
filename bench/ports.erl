%% SPDX-License-Identifier: Apache-2.0
%%
%% ports - what a message to a port and back costs, as the emulator sees it
%%
%% For each line of input, "WORK CONTESTANT MILLISECONDS", the contestant is
%% started, warmed up, made to do the work for so long, and ended; what it cost
%% is printed: nanoseconds for one message, or system calls.
%%
%% A contestant is a record of functions, so that there may be others than
%% programs: see contestant/1.
%%
%% usage: ports:main()

-module(ports).

-export([main/0]).

-record(contestant, {
    open,  % fun(echo | sink | counted) -> At
    send,  % fun(At, Bytes)
    take,  % fun(At): the next answer is here
    close  % fun(At): it has ended
}).

-define(COUNTER, "bench/.libs/calls.so").

main() ->
    case io:get_line("") of
        eof ->
            halt(0);
        Line ->
            [Work, Name, Ms] = string:lexemes(Line, " \n"),
            io:format("~.3f~n", [apart(fun() ->
                work(Work, contestant(Name), list_to_integer(Ms))
            end)]),
            main()
    end.

%% In a process of its own, which has nothing to collect.
apart(Work) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({did, Work()}) end),
    receive
        {'DOWN', Monitor, process, Pid, {did, Result}} -> Result
    end.

%% ---- contestants ----

contestant("tutorial") -> program("bench/tutorial_port");
contestant("blocking") -> program("bench/blocking_port");
contestant("loop") -> program("bench/loop_port");
contestant("plain") -> program("./reclaim-host", ["--plain=echo"]);
contestant("outlet") -> outlet(fun just_one/1);
contestant("beside") -> outlet(fun beside_one_that_never_reads/1);
contestant("caller") -> caller(fun(Out, Bytes) -> reclaim:call(Out, Bytes) end);
contestant("control") -> caller(fun(Out, Bytes) -> reclaim:control(Out, 1, Bytes) end).

program(Path) ->
    program(Path, []).

program(Path, Args) ->
    #contestant{
        open = fun(How) -> open(Path, Args, How) end,
        send = fun({Port, _}, Bytes) -> port_command(Port, Bytes) end,
        take = fun({Port, _}) ->
            receive
                {Port, {data, _}} -> ok
            end
        end,
        close = fun close/1
    }.

open(Path, [], How) ->
    open(Path, [atom_to_list(How)], How);
open(Path, Args, How) ->
    Port = open_port({spawn_executable, Path}, [
        {packet, 4}, binary, {args, Args}, {env, env(How)}
    ]),
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    {Port, "/proc/" ++ integer_to_list(Pid)}.

env(counted) ->
    [{"LD_PRELOAD", ?COUNTER}, {"BENCH_CALLS", calls_file()}];
env(_) ->
    [].

calls_file() ->
    "bench/calls." ++ os:getpid().

close({Port, Proc}) ->
    port_close(Port),
    wait_until_gone(Proc).

wait_until_gone(Proc) ->
    case file:read_file(Proc ++ "/stat") of
        {error, _} ->
            ok;
        {ok, _} ->
            timer:sleep(1),
            wait_until_gone(Proc)
    end.

%% ---- contestants that are outlets of a host, which is started for each ----

outlet(Open) ->
    #contestant{
        open = fun(_) -> Open(start_host()) end,
        send = fun({_, Out}, Bytes) -> ok = reclaim:command(Out, Bytes) end,
        take = fun({_, Out}) ->
            receive
                {reclaim, Out, {data, _}} -> ok
            end
        end,
        close = fun({Host, _}) -> stop_host(Host) end
    }.

%% What is sent is answered before there is more.
caller(Call) ->
    Outlet = outlet(fun just_one/1),
    Outlet#contestant{
        send = fun({_, Out}, Bytes) -> {ok, Bytes} = Call(Out, Bytes) end,
        take = fun(_) -> ok end
    }.

start_host() ->
    {ok, _} = application:ensure_all_started(reclaim),
    {ok, Host} = reclaim:start_host(#{program => "./reclaim-host", restart => temporary}),
    Host.

stop_host(Host) ->
    Proc = proc(Host),
    ok = reclaim:stop_host(Host),
    wait_until_gone(Proc).

proc(Host) ->
    {ok, #{pid := Pid}} = reclaim:info(Host),
    "/proc/" ++ integer_to_list(Pid).

just_one(Host) ->
    {ok, Out} = reclaim:open(Host, echo, []),
    {Host, Out}.

%% Somebody sends as much as can be sent to an outlet whose owner reads nothing.
beside_one_that_never_reads(Host) ->
    {ok, Other} = reclaim:open(Host, echo, [], #{credit => manual}),
    spawn_link(fun() -> push(Other, binary:copy(<<0>>, 64 bsl 10)) end),
    just_one(Host).

push(Other, Bytes) ->
    case reclaim:command(Other, Bytes) of
        ok -> push(Other, Bytes);
        {error, _} -> ok
    end.

%% ---- work ----

work("call", By, Ms) -> echoed(By, 64, 1, Ms);
work("many", By, Ms) -> echoed(By, 64, 1000, Ms);
work("echo64k", By, Ms) -> echoed(By, 64 bsl 10, 1, Ms);
work("echo64k4", By, Ms) -> echoed(By, 64 bsl 10, 4, Ms);
work("echo1m", By, Ms) -> echoed(By, 1 bsl 20, 1, Ms);
work("sink", By, Ms) -> sunk(By, Ms);
work("calls", By, Ms) -> calls(By, Ms);
work("opened", By, Ms) -> opened(By, Ms);
work("memory", _, _) -> memory(10000);
work("idle", _, _) -> idle(10000).

%% So many of so many bytes are under way all the time.
echoed(By, Size, UnderWay, Ms) ->
    At = (By#contestant.open)(echo),
    Bytes = binary:copy(<<1>>, Size),
    keep_under_way(By, At, Bytes, UnderWay, Ms div 4),
    {Ns, Did} = keep_under_way(By, At, Bytes, UnderWay, Ms),
    (By#contestant.close)(At),
    Ns / Did.

keep_under_way(By, At, Bytes, UnderWay, Ms) ->
    Began = now_ns(),
    send(By, At, Bytes, UnderWay),
    Did = pass_on(By, At, Bytes, Began + Ms * 1000000, 0),
    take(By, At, UnderWay),
    {now_ns() - Began, Did + UnderWay}.

%% The clock is looked at now and then.
pass_on(By, At, Bytes, Until, Did) ->
    Many = many(Bytes),
    pass_on(By, At, Bytes, Many),
    case now_ns() of
        Now when Now < Until -> pass_on(By, At, Bytes, Until, Did + Many);
        _ -> Did + Many
    end.

pass_on(_, _, _, 0) ->
    ok;
pass_on(By, At, Bytes, N) ->
    (By#contestant.take)(At),
    (By#contestant.send)(At, Bytes),
    pass_on(By, At, Bytes, N - 1).

many(Bytes) when byte_size(Bytes) > 1000 -> 1;
many(_) -> 32.

%% What is sent is not answered, but for the last.
sunk(By, Ms) ->
    At = (By#contestant.open)(sink),
    Bytes = binary:copy(<<0>>, 64),
    pour(By, At, Bytes, Ms div 4),
    {Ns, Did} = pour(By, At, Bytes, Ms),
    (By#contestant.close)(At),
    Ns / Did.

pour(By, At, Bytes, Ms) ->
    Began = now_ns(),
    Did = pour_until(By, At, Bytes, Began + Ms * 1000000, 0),
    (By#contestant.send)(At, <<1>>),
    (By#contestant.take)(At),
    {now_ns() - Began, Did}.

pour_until(By, At, Bytes, Until, Did) ->
    send(By, At, Bytes, 100),
    case now_ns() of
        Now when Now < Until -> pour_until(By, At, Bytes, Until, Did + 100);
        _ -> Did + 100
    end.

%% With 1,000 under way; those of its beginning and end are counted, too.
calls(By, Ms) ->
    At = (By#contestant.open)(counted),
    {_, Did} = keep_under_way(By, At, binary:copy(<<1>>, 64), 1000, Ms),
    (By#contestant.close)(At),
    {ok, Counted} = file:read_file(calls_file()),
    file:delete(calls_file()),
    binary_to_integer(string:trim(Counted)) / Did.

%% Opened, asked once, and closed; of outlets the host is there before.
opened(By = #contestant{open = Open, send = Send, take = Take, close = Close}, Ms) ->
    Bytes = binary:copy(<<1>>, 64),
    Once =
        case By =:= contestant("tutorial") of
            true ->
                fun() ->
                    At = Open(echo),
                    Send(At, Bytes),
                    Take(At),
                    Close(At)
                end;
            false ->
                Host = start_host(),
                fun() ->
                    {_, Out} = At = just_one(Host),
                    Send(At, Bytes),
                    Take(At),
                    ok = reclaim:close(Out)
                end
        end,
    Once(),
    Began = now_ns(),
    Did = again(Once, Began + Ms * 1000000, 0),
    (now_ns() - Began) / Did.

again(Once, Until, Did) ->
    Once(),
    case now_ns() of
        Now when Now < Until -> again(Once, Until, Did + 1);
        _ -> Did + 1
    end.

%% Bytes of the host for each of so many outlets, all of one process.
memory(Outlets) ->
    Host = start_host(),
    Proc = proc(Host),
    {ok, _} = reclaim:open(Host, echo, []),
    Before = resident(Proc),
    open_all(Host, Outlets),
    Each = (resident(Proc) - Before) / Outlets,
    stop_host(Host),
    Each.

open_all(Host, Outlets) ->
    [{ok, _} = reclaim:open(Host, echo, []) || _ <- lists:seq(1, Outlets)].

resident(Proc) ->
    {ok, Status} = file:read_file(Proc ++ "/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s*(\\d+) kB", [{capture, all_but_first, list}]),
    list_to_integer(KiB) * 1024.

%% How often a host with so many outlets runs in ten seconds in which nothing
%% happens: each of its threads is asked how often it has given up the processor.
idle(Outlets) ->
    Host = start_host(),
    Proc = proc(Host),
    open_all(Host, Outlets),
    timer:sleep(3000),
    Before = switches(Proc),
    timer:sleep(10000),
    After = switches(Proc),
    stop_host(Host),
    float(After - Before).

switches(Proc) ->
    {ok, Threads} = file:list_dir(Proc ++ "/task"),
    lists:sum([switches_of(Proc ++ "/task/" ++ Thread) || Thread <- Threads]).

switches_of(Thread) ->
    {ok, Status} = file:read_file(Thread ++ "/status"),
    {match, Found} = re:run(Status, "ctxt_switches:\\s*(\\d+)", [
        global, {capture, all_but_first, list}
    ]),
    lists:sum([list_to_integer(N) || [N] <- Found]).

send(_, _, _, 0) ->
    ok;
send(By, At, Bytes, N) ->
    (By#contestant.send)(At, Bytes),
    send(By, At, Bytes, N - 1).

take(_, _, 0) ->
    ok;
take(By, At, N) ->
    (By#contestant.take)(At),
    take(By, At, N - 1).

now_ns() ->
    erlang:monotonic_time(nanosecond).
