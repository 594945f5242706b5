%% SPDX-License-Identifier: Apache-2.0
%%
%% emulator - port programs under the real emulator
%%
%% main([EchoPort, LeakyPort]) runs every test and prints a line for each:
%% "PASS: what" or "FAIL: what".  killed([LeakyPort, File]) writes the pid of a
%% program that is kept busy to a file, and waits to be killed.
-module(emulator).
-export([main/1, killed/1]).

-define(PATIENCE, 20000).

main([Echo, Leaky]) ->
    process_flag(trap_exit, true),
    Results = [run(What, Test) || {What, Test} <- tests(Echo, Leaky)],
    halt(case lists:all(fun(R) -> R end, Results) of true -> 0; false -> 1 end).

run(What, Test) ->
    try Test() of
        _ -> io:format("PASS: ~s~n", [What]), true
    catch
        Class:Reason:Stack ->
            io:format("~p~nFAIL: ~s~n", [{Class, Reason, Stack}, What]), false
    end.

tests(Echo, Leaky) ->
    [{"{packet, 1} echoes 0 to 255 bytes",
      fun() -> sizes(Echo, 1, [0, 1, 2, 254, 255]) end},
     {"{packet, 2} echoes 0 to 65535 bytes",
      fun() -> sizes(Echo, 2, [0, 1, 255, 256, 65534, 65535]) end},
     {"{packet, 4} echoes 0 bytes to 8 MiB",
      fun() -> sizes(Echo, 4, [0, 1, 65535, 65536, 1 bsl 20, 8 bsl 20]) end},
     {"a stream comes back whole", fun() -> stream(Echo) end},
     {"lines come back as lines", fun() -> lines(Echo) end},
     {"nouse_stdio", fun() ->
          P = open(Echo, ["--nouse-stdio"], [{packet, 4}, nouse_stdio]),
          echo(P, <<"on 3 and 4">>), close(P) end},
     {"stderr_to_stdout", fun() ->
          P = open(Echo, [], [{packet, 4}, stderr_to_stdout]),
          echo(P, <<"one description">>), close(P) end},
     {"1000 frames sent at once come back in order",
      fun() -> burst(Echo) end},
     {"a frame above the cap ends the program with status 1", fun() ->
          P = open(Echo, ["--max-frame", "10"], [{packet, 4}]),
          echo(P, <<"0123456789">>),
          port_command(P, <<"0123456789a">>),
          1 = status(P) end},
     {"a framing mismatch ends the program with status 1", fun() ->
          P = open(Echo, ["--packet", "4"], [stream]),
          port_command(P, <<"GET / HTTP/1.0\r\n">>),
          1 = status(P) end},
     {"an unknown option ends the program with status 2", fun() ->
          2 = status(open(Echo, ["--sideways"], [{packet, 4}])) end},
     {"closing the port ends the program", fun() ->
          P = open(Echo, [], [{packet, 4}]),
          echo(P, <<"x">>), Pid = os_pid(P), close(P), gone(Pid) end},
     {"closing the port in the middle of a burst ends the program", fun() ->
          P = open(Echo, [], [{packet, 4}]),
          [port_command(P, binary:copy(<<"x">>, 10000))
           || _ <- lists:seq(1, 100)],
          Pid = os_pid(P), close(P), gone(Pid) end},
     {"a leaking program holds nothing after 2000 calls",
      fun() -> leaky(Leaky) end}].

open(Program, Args, Options) ->
    open_port({spawn_executable, Program},
              [{args, Args}, binary, exit_status | Options]).

close(P) -> true = port_close(P).

os_pid(P) -> {os_pid, Pid} = erlang:port_info(P, os_pid), Pid.

%% The next data of a port, or what else came of it.
next(P) ->
    receive {P, {data, Data}} -> Data;
            {P, Other} -> error({unexpected, Other});
            {'EXIT', P, Why} -> error({closed, Why})
    after ?PATIENCE -> error(timeout)
    end.

status(P) ->
    receive {P, {exit_status, Status}} -> Status
    after ?PATIENCE -> error(timeout)
    end.

echo(P, Bin) ->
    true = port_command(P, Bin),
    Bin = next(P).

sizes(Echo, N, Sizes) ->
    P = open(Echo, ["--packet", integer_to_list(N)], [{packet, N}]),
    [echo(P, rand:bytes(Size)) || Size <- Sizes],
    close(P).

stream(Echo) ->
    P = open(Echo, ["--packet", "stream"], [stream]),
    Bin = rand:bytes(300000),
    true = port_command(P, Bin),
    Bin = collect(P, byte_size(Bin), []),
    close(P).

collect(_, 0, Acc) -> iolist_to_binary(lists:reverse(Acc));
collect(P, Left, Acc) when Left > 0 ->
    Data = next(P),
    collect(P, Left - byte_size(Data), [Data | Acc]).

lines(Echo) ->
    P = open(Echo, ["--packet", "lines"], [{line, 1000}]),
    true = port_command(P, <<"one\n\nthree\n">>),
    {eol, <<"one">>} = next(P),
    {eol, <<>>} = next(P),
    {eol, <<"three">>} = next(P),
    close(P).

burst(Echo) ->
    P = open(Echo, [], [{packet, 4}]),
    [true = port_command(P, <<I:32>>) || I <- lists:seq(1, 1000)],
    [<<I:32>> = next(P) || I <- lists:seq(1, 1000)],
    close(P).

leaky(Leaky) ->
    P = open(Leaky, [], [{packet, 4}]),
    Pid = os_pid(P),
    call(P, 1),
    Before = fds(Pid),
    [call(P, I) || I <- lists:seq(2, 2000)],
    Before = fds(Pid),
    close(P),
    gone(Pid).

call(P, I) ->
    true = port_command(P, integer_to_binary(I)),
    case next(P) of
        <<"ok">> -> ok;
        <<"exit ", _/binary>> -> ok
    end.

fds(Pid) ->
    {ok, Names} = file:list_dir("/proc/" ++ integer_to_list(Pid) ++ "/fd"),
    length(Names).

gone(Pid) -> gone(Pid, ?PATIENCE div 10).
gone(_, 0) -> error(still_running);
gone(Pid, Left) ->
    case file:read_file_info("/proc/" ++ integer_to_list(Pid)) of
        {error, enoent} -> ok;
        _ -> timer:sleep(10), gone(Pid, Left - 1)
    end.

killed([Leaky, File]) ->
    P = open(Leaky, [], [{packet, 4}]),
    ok = file:write_file(File ++ ".new", io_lib:format("~b~n", [os_pid(P)])),
    ok = file:rename(File ++ ".new", File),
    call_for_ever(P, 1).

call_for_ever(P, I) ->
    call(P, I),
    call_for_ever(P, I + 1).
