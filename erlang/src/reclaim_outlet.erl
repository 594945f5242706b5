%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_outlet - an outlet, as the processes that use it see it
%%
%% What is here runs in the calling process: it writes to the port by itself, so
%% that neither a call nor a command goes through another process on its way out.
%% Answers come from the host's process (reclaim_host), which finds who waits for
%% them in a table.
%%
%% An outlet's cells are shared by all who know the outlet, and its host's
%% process: credit, whether it is open, and what is to be given back.
%%
%% Data may be sent while there is credit left.  What was taken of it in one order
%% may be written in another: the host knows that, and takes as much as a window
%% of what comes late.  Who is killed in between takes its share along.
%%
%% A port that is busy is waited for by the host's writer alone: this asks it to
%% write, and waits for it, as long as it likes.

-module(reclaim_outlet).

-export([new/7, number/1, host/1, opened/2, add_credit/2, end_it/2]).
-export([left/1, consumed/2, window/2]).
-export([command/3, call/3, control/4, credit/2, ask_host/3, request/3]).
-export([tables/0, post/3]).

-export_type([outlet/0]).

-record(reclaim_outlet, {
    number :: non_neg_integer(),
    host :: pid(),
    port :: port(),
    writer :: pid(),
    cells :: atomics:atomics_ref(),
    max_frame :: pos_integer(),
    atoms :: reclaim_wire:atoms()
}).

-opaque outlet() :: #reclaim_outlet{}.

%% The cells.
-define(CREDIT, 1). % towards the host
-define(STATE, 2).  % see state/1
-define(USED, 3).   % of what came from the host, not given back yet
-define(HALF, 4).   % of the window for it: so much is given back at once
-define(CELLS, 4).

%% What a data frame costs beside its bytes.
-define(FRAME_COST, 64).

%% The longest that comes before the bytes of a frame.
-define(HEAD, 32).

-type wait() :: timeout() | nosuspend.
-type failure() :: busy | closed | emsgsize | host_down | timeout.

%% Who waits for an answer, and what waits to be written, of all hosts.  Both
%% are keyed by {Host, Number}, so that a host cannot answer for another.
-spec tables() -> [{atom(), list()}].
tables() ->
    [
        {reclaim_calls, [set, {write_concurrency, true}]},
        {reclaim_writes, [set, {write_concurrency, true}]}
    ].

%% ---- for the host's process ----

-spec new(Number, Port, Writer, Window, MaxFrame, Atoms, Host) -> outlet() when
    Number :: non_neg_integer(),
    Port :: port(),
    Writer :: pid(),
    Window :: non_neg_integer(),
    MaxFrame :: pos_integer(),
    Atoms :: reclaim_wire:atoms(),
    Host :: pid().
new(Number, Port, Writer, Window, MaxFrame, Atoms, Host) ->
    Cells = atomics:new(?CELLS, []),
    ok = atomics:put(Cells, ?HALF, max(1, Window div 2)),
    #reclaim_outlet{
        number = Number,
        host = Host,
        port = Port,
        writer = Writer,
        cells = Cells,
        max_frame = MaxFrame,
        atoms = Atoms
    }.

-spec number(outlet()) -> non_neg_integer().
number(#reclaim_outlet{number = Number}) -> Number.

-spec host(outlet()) -> pid().
host(#reclaim_outlet{host = Host}) -> Host.

-spec opened(outlet(), non_neg_integer()) -> ok.
opened(#reclaim_outlet{cells = Cells}, Window) ->
    atomics:add(Cells, ?CREDIT, Window).

-spec add_credit(outlet(), non_neg_integer()) -> ok.
add_credit(#reclaim_outlet{cells = Cells}, Bytes) ->
    atomics:add(Cells, ?CREDIT, Bytes).

%% Whoever has something for it from now on is told why it is over.
-spec end_it(outlet(), closed | host_down) -> ok.
end_it(#reclaim_outlet{cells = Cells}, closed) ->
    atomics:put(Cells, ?STATE, 1);
end_it(#reclaim_outlet{cells = Cells}, host_down) ->
    atomics:put(Cells, ?STATE, 2).

state(Cells) ->
    case atomics:get(Cells, ?STATE) of
        0 -> open;
        1 -> {error, closed};
        2 -> {error, host_down}
    end.

%% The credit that is left.
-spec left(outlet()) -> integer().
left(#reclaim_outlet{cells = Cells}) ->
    atomics:get(Cells, ?CREDIT).

-spec window(in, outlet()) -> pos_integer().
window(in, #reclaim_outlet{cells = Cells}) ->
    2 * atomics:get(Cells, ?HALF).

%% So much has been consumed: what is to be given back now.
-spec consumed(outlet(), non_neg_integer() | binary()) -> non_neg_integer().
consumed(Outlet, Data) when is_binary(Data) ->
    consumed(Outlet, byte_size(Data) + ?FRAME_COST);
consumed(#reclaim_outlet{cells = Cells}, Bytes) ->
    Used = atomics:add_get(Cells, ?USED, Bytes),
    case Used >= atomics:get(Cells, ?HALF) of
        true -> atomics:exchange(Cells, ?USED, 0);
        false -> 0
    end.

%% ---- commands ----

%% Send bytes.
-spec command(outlet(), iodata(), wait()) -> ok | {error, failure()}.
command(Outlet = #reclaim_outlet{max_frame = Max}, IoData, Wait) ->
    case iolist_size(IoData) of
        Size when Size + ?HEAD > Max -> {error, emsgsize};
        Size -> take(Outlet, IoData, Size + ?FRAME_COST, deadline(Wait))
    end.

take(Outlet = #reclaim_outlet{cells = Cells}, IoData, Cost, Until) ->
    case atomics:get(Cells, ?CREDIT) of
        Left when Left > 0 ->
            case atomics:compare_exchange(Cells, ?CREDIT, Left, Left - Cost) of
                ok -> put_data(Outlet, IoData, Cost, Until);
                _ -> take(Outlet, IoData, Cost, Until)
            end;
        _ ->
            wait_and_take(Outlet, IoData, Cost, Until)
    end.

put_data(Outlet = #reclaim_outlet{number = Number, cells = Cells}, IoData, Cost, Until) ->
    Result =
        case state(Cells) of
            open -> write(Outlet, reclaim_wire:data(Number, IoData), Until);
            Over -> Over
        end,
    Result =:= ok orelse give_back(Outlet, Cost),
    Result.

%% Others may wait for what was taken in vain; the other end will not give it back.
give_back(#reclaim_outlet{host = Host, number = Number, cells = Cells}, Cost) ->
    case atomics:add_get(Cells, ?CREDIT, Cost) - Cost of
        Left when Left > 0 -> ok;
        _ -> Host ! {'$reclaim', none, {given_back, Number}}, ok
    end.

wait_and_take(Outlet, IoData, Cost, Until) ->
    case state(Outlet#reclaim_outlet.cells) of
        open when Until =:= nosuspend ->
            {error, busy};
        open ->
            case wait(Outlet, Until) of
                ok -> take(Outlet, IoData, Cost, Until);
                Error -> Error
            end;
        Over ->
            Over
    end.

wait(#reclaim_outlet{host = Host, number = Number}, Until) ->
    case ask_host(Host, {wait, Number}, left_of(Until)) of
        {error, {timeout, Alias}} ->
            Host ! {'$reclaim', none, {wait_no_more, Number, Alias}},
            {error, timeout};
        Answer ->
            Answer
    end.

%% ---- calls ----

-spec call(outlet(), term(), timeout()) -> {ok, term()} | {error, term()}.
call(Outlet = #reclaim_outlet{number = Number}, Term, Timeout) ->
    Bytes = term_to_iovec(Term),
    ask(Outlet, iolist_size(Bytes), Timeout, fun(Call) ->
        reclaim_wire:call(Number, Call, Bytes)
    end).

-spec control(outlet(), non_neg_integer(), iodata(), timeout()) ->
    {ok, binary() | term()} | {error, term()}.
control(Outlet = #reclaim_outlet{number = Number}, Operation, IoData, Timeout) ->
    ask(Outlet, iolist_size(IoData), Timeout, fun(Call) ->
        reclaim_wire:control(Number, Call, Operation, IoData)
    end).

%% Ask something that is answered with a reply.
-spec request(outlet(), timeout(), fun((pos_integer()) -> iodata())) ->
    {ok, term()} | {error, term()}.
request(Outlet, Timeout, Frame) ->
    ask(Outlet, 0, Timeout, Frame).

ask(#reclaim_outlet{max_frame = Max}, Size, _, _) when Size + ?HEAD > Max ->
    {error, emsgsize};
ask(Outlet = #reclaim_outlet{host = Host, number = Number}, _, Timeout, Frame) ->
    Until = deadline(Timeout),
    Call = erlang:unique_integer([positive]),
    Alias = monitor(process, Host, [{alias, reply_demonitor}]),
    case enlist({Host, Call}, Alias, Number) of
        true -> send_and_wait(Outlet, Call, Alias, Frame(Call), Until);
        false -> forget(Outlet, Call, Alias), {error, host_down}
    end.

%% There is no table where the application does not run.
enlist(Key, Alias, Number) ->
    try
        ets:insert(reclaim_calls, {Key, Alias, self(), Number})
    catch
        error:badarg -> false
    end.

%% In the table first, then a look at whether it is open: who ends an outlet does
%% it the other way round, and so finds those that did.
send_and_wait(Outlet, Call, Alias, Frame, Until) ->
    case state(Outlet#reclaim_outlet.cells) of
        open ->
            case write(Outlet, Frame, Until) of
                ok -> await(Outlet, Call, Alias, Until);
                Error -> forget(Outlet, Call, Alias), Error
            end;
        Over ->
            forget(Outlet, Call, Alias),
            Over
    end.

await(Outlet, Call, Alias, Until) ->
    receive
        {Alias, Status, Bytes} ->
            answer(Status, Bytes, Outlet);
        {'DOWN', Alias, process, _, _} ->
            unlist(Outlet, Call),
            {error, host_down}
    after left_of(Until) ->
        cancel(Outlet, Call, Alias)
    end.

answer(0, Bytes, #reclaim_outlet{atoms = Atoms}) ->
    case reclaim_wire:term(Bytes, Atoms) of
        {ok, Term} -> {ok, Term};
        error -> {error, {badterm, Bytes}}
    end;
answer(1, Bytes, _) ->
    {ok, Bytes};
answer(2, Bytes, #reclaim_outlet{atoms = Atoms}) ->
    {error, reclaim_wire:reason(Bytes, Atoms)};
answer(error, Reason, _) ->
    {error, Reason}.

%% Too late, unless the answer is here by now.
cancel(Outlet, Call, Alias) ->
    forget(Outlet, Call, Alias),
    receive
        {Alias, Status, Bytes} -> answer(Status, Bytes, Outlet)
    after 0 ->
        post(Outlet#reclaim_outlet.port, Outlet#reclaim_outlet.writer, reclaim_wire:cancel(Call)),
        {error, timeout}
    end.

forget(Outlet, Call, Alias) ->
    demonitor(Alias, [flush]),
    unlist(Outlet, Call).

unlist(#reclaim_outlet{host = Host}, Call) ->
    try
        ets:delete(reclaim_calls, {Host, Call})
    catch
        error:badarg -> true
    end.

%% ---- credit of the host's ----

-spec credit(outlet(), non_neg_integer() | binary()) -> ok.
credit(Outlet = #reclaim_outlet{port = Port, writer = Writer, number = Number}, Data) ->
    case consumed(Outlet, Data) of
        0 -> ok;
        Bytes -> post(Port, Writer, reclaim_wire:credit(Number, Bytes))
    end.

%% ---- the host's process ----

%% Ask it.  Who asks with a timeout gets the reference to take it back with.
-spec ask_host(pid() | atom(), term(), timeout()) -> term().
ask_host(Host, Request, Timeout) ->
    Alias = monitor(process, Host, [{alias, reply_demonitor}]),
    ok = ask(Host, {'$reclaim', {self(), Alias}, Request}),
    receive
        {Alias, Answer} -> Answer;
        {'DOWN', Alias, process, _, _} -> {error, host_down}
    after Timeout ->
        demonitor(Alias, [flush]),
        receive
            {Alias, Answer} -> Answer
        after 0 ->
            {error, {timeout, Alias}}
        end
    end.

%% That there is none of that name, its monitor says.
ask(Host, Message) ->
    try
        Host ! Message,
        ok
    catch
        error:badarg -> ok
    end.

%% ---- writing ----

write(#reclaim_outlet{port = Port} = Outlet, Frame, Until) ->
    try erlang:port_command(Port, Frame, [nosuspend]) of
        true -> ok;
        false when Until =:= nosuspend -> {error, busy};
        false -> have_written(Outlet, Frame, Until)
    catch
        error:badarg -> {error, host_down}
    end.

%% What the writer has taken out of the table is as good as written.
have_written(#reclaim_outlet{host = Host, writer = Writer}, Frame, Until) ->
    Alias = monitor(process, Writer, [{alias, reply_demonitor}]),
    Key = {Host, erlang:unique_integer([positive])},
    try ets:insert(reclaim_writes, {Key, Frame, Alias}) of
        true ->
            Writer ! {write, Key},
            await_written(Key, Alias, Until)
    catch
        error:badarg ->
            demonitor(Alias, [flush]),
            {error, host_down}
    end.

await_written(Key, Alias, Until) ->
    receive
        {Alias, Result} ->
            Result;
        {'DOWN', Alias, process, _, _} ->
            _ = take_write(Key),
            {error, host_down}
    after left_of(Until) ->
        demonitor(Alias, [flush]),
        case take_write(Key) of
            [] -> ok;
            [_] -> {error, timeout};
            no_table -> {error, host_down}
        end
    end.

take_write(Key) ->
    try
        ets:take(reclaim_writes, Key)
    catch
        error:badarg -> no_table
    end.

%% Write without waiting for it.
-spec post(port(), pid(), iodata()) -> ok.
post(Port, Writer, Frame) ->
    try erlang:port_command(Port, Frame, [nosuspend]) of
        true -> ok;
        false -> Writer ! {post, Frame}, ok
    catch
        error:badarg -> ok
    end.

%% ---- time ----

deadline(Timeout) when is_integer(Timeout) ->
    erlang:monotonic_time(millisecond) + Timeout;
deadline(Wait) ->
    Wait.

left_of(infinity) -> infinity;
left_of(Until) -> max(0, Until - erlang:monotonic_time(millisecond)).
