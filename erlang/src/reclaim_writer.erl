%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_writer - waits for a host's port while that is busy
%%
%% One beside each host's process, and linked to it.  Nobody else ever waits for
%% the port: who finds it busy has this write, in the order in which it is asked.
%% It is asked rarely, and does nothing in between.

-module(reclaim_writer).

-export([start_link/1, stop/1]).

-spec start_link(port()) -> pid().
start_link(Port) ->
    Host = self(),
    spawn_link(fun() -> loop(Host, Port) end).

-spec stop(pid()) -> ok.
stop(Writer) ->
    unlink(Writer),
    exit(Writer, kill),
    ok.

loop(Host, Port) ->
    receive
        {write, Key} ->
            write(Port, Key);
        {post, Frame} ->
            _ = command(Port, Frame);
        {host, Frame} ->
            _ = command(Port, Frame),
            Host ! written
    end,
    loop(Host, Port).

%% Not there: whoever asked has given up.
write(Port, Key) ->
    case ets:take(reclaim_writes, Key) of
        [{Key, Frame, Alias}] ->
            Alias ! {Alias, command(Port, Frame)};
        [] ->
            ok
    end.

command(Port, Frame) ->
    try erlang:port_command(Port, Frame) of
        true -> ok
    catch
        error:badarg -> {error, host_down}
    end.
