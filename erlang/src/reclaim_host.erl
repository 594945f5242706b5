%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_host - the process of one host: it owns the port
%%
%% All that comes from the host's OS process comes here, and is handed on: data to
%% the owners of outlets, answers to those who asked.  What goes there is mostly
%% written by those who have something to say (reclaim_outlet); this process says
%% what has to be said in order, such as open, or on behalf of the dead.
%%
%% It has no options of its own to spawn it with: a queue off its heap, a higher
%% priority, a larger heap were measured, and made no difference, and neither did
%% other limits for the port to be busy.
%%
%% It never waits: not for the port (the writer does), nor for a process, nor for
%% the logger.  When the OS process ends so does this, and its supervisor starts
%% both anew; owners are told {closed, host_down}, and those who wait for an
%% answer notice by themselves.  Should this be killed, the keeper tells them.
%%
%% A process of its own making (proc_lib, sys) as it is shorter so than with
%% gen_server's way from a message to its handler.

-module(reclaim_host).

-export([start_link/1, defaults/0]).
-export([init/2]).
-export([
    system_continue/3,
    system_terminate/4,
    system_code_change/4,
    system_get_state/1,
    system_replace_state/2
]).

-export_type([options/0, request/0]).

-type options() :: #{
    program => atom() | unicode:chardata(),
    args => [string() | binary()],
    env => [{string(), string() | false}],
    cd => file:name_all(),
    name => atom(),
    max_frame => pos_integer(),
    atoms => reclaim_wire:atoms(),
    start_timeout => timeout(),
    restart => permanent | transient | temporary,
    intensity => non_neg_integer(),
    period => pos_integer()
}.

-type from() :: {pid(), reference()} | none.

-type request() ::
    {open, Term :: binary(), Window :: pos_integer(), auto | manual}
    | {open_no_more, reference()}
    | {close, non_neg_integer()}
    | {give, non_neg_integer(), pid()}
    | {register, non_neg_integer(), binary()}
    | {wait, non_neg_integer()}
    | {wait_no_more, non_neg_integer(), reference()}
    | {given_back, non_neg_integer()}
    | {outlet, non_neg_integer()}
    | root
    | supervisor.

-record(outlet, {
    out :: reclaim_outlet:outlet(),
    owner :: pid(),
    credit :: auto | manual,
    state = opening :: opening | open | closing,
    from = none :: from(),        % who asked for it to be opened, or closed
    waiting = [] :: [{pid(), reference()}], % for credit
    name = none :: none | binary()
}).

-record(client, {
    number :: pos_integer(),
    monitor :: reference(),
    outlets = #{} :: #{pos_integer() => []}
}).

-record(host, {
    parent :: pid(),
    port :: port(),
    writer :: pid(),
    options :: options(),
    os_pid :: non_neg_integer() | unknown,
    max_frame :: pos_integer(),
    about :: map(),
    writing = 0 :: non_neg_integer(), % frames that the writer has from here
    outlet = 0 :: non_neg_integer(),  % the last number given out
    client = 0 :: non_neg_integer(),
    outlets = #{} :: #{pos_integer() => #outlet{}},
    clients = #{} :: #{pid() => #client{}},
    monitors = #{} :: #{non_neg_integer() => reference()},
    watched = #{} :: #{reference() => {non_neg_integer(), non_neg_integer()}},
    ended = #{} :: #{pos_integer() => []} % calls may still wait for these
}).

-define(MAX_FRAME, (64 bsl 20)).
-define(START_TIMEOUT, 5000).

%% How long after its end a look is taken at who still waits for an outlet, in
%% ms: calls that crossed its end.  One look serves all that ended meanwhile.
-define(SWEEP_MS, 10).

%% Before the term of an open frame.
-define(OPEN_HEAD, 32).

%% Before the name of a register frame.
-define(REGISTER_HEAD, 17).

%% How many bytes of what is no frame are shown.
-define(SHOWN, 64).

-spec defaults() -> options().
defaults() ->
    #{
        program => "reclaim-host",
        args => [],
        env => [],
        max_frame => ?MAX_FRAME,
        atoms => existing,
        start_timeout => ?START_TIMEOUT,
        restart => permanent,
        intensity => 5,
        period => 10
    }.

%% Returns once both have said hello.
-spec start_link(options()) -> {ok, pid()} | {error, term()}.
start_link(Options) ->
    proc_lib:start_link(?MODULE, init, [self(), Options]).

%% ---- the start ----

-spec init(pid(), options()) -> no_return().
init(Parent, Options) ->
    process_flag(trap_exit, true),
    case start(Parent, Options) of
        {ok, S} ->
            proc_lib:init_ack(Parent, {ok, self()}),
            loop(S);
        {error, Reason} ->
            proc_lib:init_ack(Parent, {error, Reason}),
            exit(normal)
    end.

start(Parent, Options = #{max_frame := MaxFrame, start_timeout := Timeout}) ->
    maybe_name(Options, fun() ->
        case open_program(Options) of
            {ok, Port} ->
                say_hello(Port, MaxFrame),
                greeted(await_hello(Port, Timeout), Parent, Port, Options);
            Error ->
                Error
        end
    end).

maybe_name(#{name := Name}, Start) ->
    try register(Name, self()) of
        true -> Start()
    catch
        error:badarg -> {error, taken(whereis(Name), Name)}
    end;
maybe_name(_, Start) ->
    Start().

taken(undefined, Name) -> {bad_name, Name};
taken(Pid, _) -> {already_started, Pid}.

open_program(Options = #{program := Program}) ->
    case find(Program) of
        false -> {error, {program_not_found, Program}};
        Path -> open_path(Path, Options)
    end.

%% Beside this application, then where programs are.
find(Program) when is_atom(Program) ->
    find(atom_to_list(Program));
find(Program) ->
    Name = unicode:characters_to_list(Program),
    case lists:member($/, Name) of
        true -> is_file(Name);
        false -> find(Name, os:find_executable(Name, beside()))
    end.

find(Name, false) -> os:find_executable(Name);
find(_, Path) -> Path.

%% Before it is installed, too.
beside() ->
    {file, Beam} = code:is_loaded(?MODULE),
    filename:join([filename:dirname(filename:dirname(Beam)), "priv", "bin"]).

is_file(Name) ->
    case filelib:is_file(Name) of
        true -> Name;
        false -> false
    end.

open_path(Path, Options = #{args := Args, env := Env}) ->
    Always = [
        {packet, 4},
        binary,
        exit_status,
        {args, Args},
        {env, Env}
    ],
    Where = [{cd, Folder} || #{cd := Folder} <- [Options]],
    try
        {ok, open_port({spawn_executable, Path}, Where ++ Always)}
    catch
        error:Reason -> {error, {cannot_run, Path, Reason}}
    end.

%% Where it has ended by now, that is what comes next.
say_hello(Port, MaxFrame) ->
    try
        erlang:port_command(Port, reclaim_wire:hello(MaxFrame))
    catch
        error:badarg -> true
    end.

await_hello(Port, Timeout) ->
    receive
        {Port, {data, Frame}} -> reclaim_wire:decode(Frame);
        {Port, {exit_status, Status}} -> {ended, {exit_status, Status}};
        {'EXIT', Port, Reason} -> {ended, Reason}
    after Timeout -> timeout
    end.

greeted({hello, Version, MaxFrame, Term}, Parent, Port, Options) ->
    case Version =:= reclaim_wire:version() of
        true -> agreed(about(Term), MaxFrame, Parent, Port, Options);
        false -> refuse(Port, {version, Version})
    end;
greeted({ended, Reason}, _, Port, _) ->
    refuse(Port, ended(Reason));
greeted({error, 1, _, _, Text}, _, Port, _) ->
    refuse(Port, {version, Text});
greeted(timeout, _, Port, _) ->
    refuse(Port, timeout);
greeted(_, _, Port, _) ->
    refuse(Port, not_a_host).

%% What was written to it and not read closes it early, and its status comes no
%% more.
ended({exit_status, Status}) -> {exit_status, Status};
ended(Reason) -> {ended, Reason}.

about(Term) ->
    case byte_size(Term) =< reclaim_wire:max_hello() of
        true -> reclaim_wire:term(Term, any);
        false -> error
    end.

agreed({ok, About}, MaxFrame, Parent, Port, Options) when is_map(About), MaxFrame > 64 ->
    Pid = os_pid(Port),
    ok = reclaim_keeper:watch(self(), Port, Pid),
    {ok, #host{
        parent = Parent,
        port = Port,
        writer = reclaim_writer:start_link(Port),
        options = Options,
        os_pid = Pid,
        max_frame = MaxFrame,
        about = About
    }};
agreed(_, _, _, Port, _) ->
    refuse(Port, not_a_host).

%% It may have ended meanwhile; nothing of it is left, whatever it is.
refuse(Port, Reason) ->
    reclaim_keeper:kill(os_pid(Port)),
    close_port(Port),
    {error, Reason}.

os_pid(Port) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} -> Pid;
        undefined -> unknown
    end.

close_port(Port) ->
    try
        erlang:port_close(Port)
    catch
        error:badarg -> true
    end,
    receive
        {'EXIT', Port, _} -> ok
    after 0 -> ok
    end.

%% ---- the loop ----

loop(S = #host{port = Port, parent = Parent, writer = Writer}) ->
    receive
        {Port, {data, Frame}} ->
            loop(from_host(reclaim_wire:decode(Frame), Frame, S));
        {'$reclaim', From, Request} ->
            loop(request(Request, From, S));
        {'DOWN', Monitor, process, Pid, _} ->
            loop(down(Monitor, Pid, S));
        written ->
            loop(S#host{writing = S#host.writing - 1});
        sweep ->
            loop(sweep(S));
        {Port, {exit_status, Status}} ->
            terminate({exit_status, Status}, S);
        {'EXIT', Port, Reason} ->
            terminate({port, Reason}, S);
        {'EXIT', Parent, Reason} ->
            terminate(Reason, S);
        {'EXIT', Writer, Reason} ->
            terminate({writer, Reason}, S);
        {system, From, Request} ->
            sys:handle_system_msg(Request, From, Parent, ?MODULE, [], S);
        _ ->
            loop(S)
    end.

%% ---- what the host says ----

from_host({data, Number, Data}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := #outlet{state = closing, from = none}} ->
            S;
        #{Number := #outlet{owner = Owner, out = Out, credit = Credit}} ->
            tell(Owner, Out, {data, Data}),
            consumed(Credit, Out, Number, Data, S);
        #{} ->
            S
    end;
from_host({reply, Call, Status, Bytes}, _, S) ->
    case ets:take(reclaim_calls, {self(), Call}) of
        [{_, Alias, _, _}] when is_reference(Alias) ->
            Alias ! {Alias, Status, Bytes},
            S;
        [{_, {register, From}, Name, Number}] ->
            registered(Status, Bytes, From, Name, Number, S);
        [] ->
            S
    end;
from_host({credit, Number, Bytes}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := O = #outlet{out = Out, waiting = Waiting}} ->
            reclaim_outlet:add_credit(Out, Bytes),
            wake(Waiting, ok),
            update(Number, O#outlet{waiting = []}, Waiting =/= [], S);
        #{} ->
            S
    end;
from_host({opened, Number, Window}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := O = #outlet{state = opening}} -> opened(Number, Window, O, S);
        #{} -> S
    end;
from_host({closed, Number, Why}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := O} -> closed(Number, reclaim_wire:reason(Why, atoms(S)), O, S);
        #{} -> S
    end;
from_host({exit_status, Number, Status}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := #outlet{state = closing, from = none}} ->
            ok;
        #{Number := #outlet{owner = Owner, out = Out}} ->
            tell(Owner, Out, {exit_status, Status});
        #{} ->
            ok
    end,
    S;
from_host({monitor, Monitor, Call}, _, S) ->
    watch(Monitor, ets:lookup(reclaim_calls, {self(), Call}), S);
from_host({demonitor, Monitor}, _, S = #host{monitors = Monitors, watched = Watched}) ->
    case maps:take(Monitor, Monitors) of
        {Reference, Rest} ->
            demonitor(Reference, [flush]),
            S#host{monitors = Rest, watched = maps:remove(Reference, Watched)};
        error ->
            S
    end;
from_host({log, Level, Outlet, Task, Name, Text}, _, S) ->
    reclaim_log:say(Level, Text, about_log(Outlet, Task, Name, S)),
    S;
from_host({error, Code, Frame, Number, Text}, _, S) ->
    reclaim_log:format(
        error,
        "host ~ts: error ~b, frame ~b, ~b: ~ts",
        [label(S), Code, Frame, Number, Text],
        about_log(0, 0, <<>>, S)
    ),
    S;
from_host(_, Frame, S) ->
    terminate({bad_frame, binary:part(Frame, 0, min(?SHOWN, byte_size(Frame)))}, S).

consumed(manual, _, _, _, S) ->
    S;
consumed(auto, Out, Number, Data, S) ->
    case reclaim_outlet:consumed(Out, Data) of
        0 -> S;
        Bytes -> send(reclaim_wire:credit(Number, Bytes), S)
    end.

opened(Number, Window, O = #outlet{out = Out, owner = Owner, from = From}, S) ->
    reclaim_outlet:opened(Out, Window),
    ets:insert(reclaim_outlets, {{self(), Number}, Owner, Out}),
    answer(From, {ok, Out}),
    put_outlet(Number, O#outlet{state = open}, S).

closed(Number, Why, O = #outlet{out = Out, owner = Owner, state = State, from = From}, S) ->
    case State of
        opening -> answer(From, {error, Why});
        closing -> answer(From, ok);
        open -> tell(Owner, Out, {closed, Why})
    end,
    forget_client_of(Number, Owner, over(Number, O, S)).

%% Nothing refers to it any more, but calls that crossed its end.
over(Number, #outlet{out = Out, waiting = Waiting, name = Name}, S) ->
    #host{outlets = Outlets, ended = Ended} = S,
    reclaim_outlet:end_it(Out, closed),
    wake(Waiting, {error, closed}),
    ets:delete(reclaim_outlets, {self(), Number}),
    Name =:= none orelse ets:delete(reclaim_names, {self(), Name}),
    map_size(Ended) =:= 0 andalso erlang:send_after(?SWEEP_MS, self(), sweep),
    S#host{outlets = maps:remove(Number, Outlets), ended = Ended#{Number => []}}.

forget_client_of(Number, Owner, S = #host{clients = Clients}) ->
    #{Owner := Client = #client{outlets = Outlets}} = Clients,
    Rest = Client#client{outlets = maps:remove(Number, Outlets)},
    S#host{clients = Clients#{Owner := Rest}}.

%% Calls of outlets that are over: those that the host has not answered never will
%% be.
sweep(S = #host{ended = Ended}) ->
    Here = self(),
    Waiting = ets:select(reclaim_calls, [{{{Here, '_'}, '_', '_', '_'}, [], ['$_']}]),
    lists:foreach(fun drop/1, [Row || Row = {_, _, _, Number} <- Waiting, is_map_key(Number, Ended)]),
    S#host{ended = #{}}.

drop({Key, Who, _, _}) ->
    case ets:take(reclaim_calls, Key) of
        [_] when is_reference(Who) -> Who ! {Who, error, closed}, ok;
        [_] -> answer(element(2, Who), {error, closed});
        [] -> ok
    end.

%% Whether a name is the outlet's is known when the host has said so.
registered(Status, Bytes, From, Name, Number, S = #host{outlets = Outlets}) ->
    case {Status, Outlets} of
        {2, _} ->
            answer(From, {error, reclaim_wire:reason(Bytes, atoms(S))}),
            S;
        {_, #{Number := O = #outlet{out = Out}}} when Name =/= <<>> ->
            ets:insert(reclaim_names, {{self(), Name}, Out}),
            answer(From, ok),
            put_outlet(Number, O#outlet{name = Name}, S);
        {_, #{Number := O = #outlet{name = Old}}} ->
            ets:delete(reclaim_names, {self(), Old}),
            answer(From, ok),
            put_outlet(Number, O#outlet{name = none}, S);
        {_, #{}} ->
            answer(From, {error, closed}),
            S
    end.

%% Who made the call: unknown where it has given up, and so it counts as ended.
watch(Monitor, [{{_, Call}, _, Pid, _}], S) when is_pid(Pid) ->
    Reference = monitor(process, Pid),
    #host{monitors = Monitors, watched = Watched} = S,
    S#host{
        monitors = Monitors#{Monitor => Reference},
        watched = Watched#{Reference => {Monitor, Call}}
    };
watch(Monitor, _, S) ->
    send(reclaim_wire:process_down(Monitor), S).

about_log(Outlet, Task, Name, S = #host{outlets = Outlets}) ->
    Host = #{reclaim_host => named(S), reclaim_task => Name, reclaim_task_id => Task},
    case Outlets of
        #{Outlet := #outlet{out = Out}} -> Host#{reclaim_outlet => Out};
        #{} -> Host
    end.

%% ---- what processes ask ----

request({open, Term, _, _}, From, S = #host{max_frame = Max}) when
    byte_size(Term) + ?OPEN_HEAD > Max
->
    answer(From, {error, emsgsize}),
    S;
request({open, Term, Window, Credit}, From = {Owner, _}, S0) ->
    {#client{number = Client}, S} = client(Owner, S0),
    #host{port = Port, writer = Writer, max_frame = Max, outlet = Last} = S,
    Number = Last + 1,
    Out = reclaim_outlet:new(Number, Port, Writer, Window, Max, atoms(S), self()),
    O = #outlet{out = Out, owner = Owner, credit = Credit, from = From},
    Frame = reclaim_wire:open(Number, Client, Window, Term),
    send(Frame, own(Owner, Number, put_outlet(Number, O, S#host{outlet = Number})));
request({open_no_more, Alias}, {Owner, _} = From, S) ->
    case asked_by({Owner, Alias}, S) of
        {Number, O = #outlet{state = opening}} ->
            answer(From, ok),
            abandon(Number, O, S);
        {_, #outlet{state = open, out = Out}} ->
            answer(From, {ok, Out}),
            S;
        none ->
            answer(From, ok),
            S
    end;
request({close, Number}, From, S) ->
    with_own(Number, From, S, fun(O) ->
        ets:delete(reclaim_outlets, {self(), Number}),
        Closing = O#outlet{state = closing, from = From},
        send(reclaim_wire:close(Number), put_outlet(Number, Closing, S))
    end);
request({give, Number, Pid}, From = {Owner, _}, S0) ->
    with_own(Number, From, S0, fun(O = #outlet{out = Out}) ->
        {#client{number = Client}, S1} = client(Pid, S0),
        ets:insert(reclaim_outlets, {{self(), Number}, Pid, Out}),
        S2 = own(Pid, Number, forget_client_of(Number, Owner, S1)),
        Given = put_outlet(Number, O#outlet{owner = Pid}, S2),
        answer(From, ok),
        send(reclaim_wire:give(Number, Client, list_to_binary(pid_to_list(Pid))), Given)
    end);
request({register, _, Name}, From, S = #host{max_frame = Max}) when
    byte_size(Name) + ?REGISTER_HEAD > Max
->
    answer(From, {error, emsgsize}),
    S;
request({register, Number, Name}, From, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := #outlet{state = open, name = Old}} ->
            name(may_name(Old, Name), Number, Name, From, S);
        #{} ->
            answer(From, {error, closed}),
            S
    end;
request({wait, Number}, From, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := O = #outlet{out = Out, waiting = Waiting}} ->
            case reclaim_outlet:left(Out) > 0 of
                true -> answer(From, ok), S;
                false -> put_outlet(Number, O#outlet{waiting = [From | Waiting]}, S)
            end;
        #{} ->
            answer(From, {error, closed}),
            S
    end;
request({wait_no_more, Number, Alias}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := O = #outlet{waiting = Waiting}} ->
            Rest = [From || From = {_, Other} <- Waiting, Other =/= Alias],
            put_outlet(Number, O#outlet{waiting = Rest}, S);
        #{} ->
            S
    end;
request({given_back, Number}, _, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := O = #outlet{waiting = Waiting}} ->
            wake(Waiting, ok),
            put_outlet(Number, O#outlet{waiting = []}, S);
        #{} ->
            S
    end;
request({outlet, Number}, From, S = #host{outlets = Outlets}) ->
    case Outlets of
        #{Number := #outlet{owner = Owner, name = none}} ->
            answer(From, {ok, #{owner => Owner}});
        #{Number := #outlet{owner = Owner, name = Name}} ->
            answer(From, {ok, #{owner => Owner, name => Name}});
        #{} ->
            answer(From, {error, closed})
    end,
    S;
request(root, From, S = #host{port = Port, writer = Writer, max_frame = Max}) ->
    Root = reclaim_outlet:new(0, Port, Writer, 0, Max, atoms(S), self()),
    answer(From, {ok, Root, S#host.about}),
    S;
request(supervisor, From, S = #host{parent = Parent}) ->
    answer(From, {ok, Parent}),
    S;
request(_, From, S) ->
    answer(From, {error, badarg}),
    S.

%% Only its owner, and only while it is open.
with_own(Number, From = {Pid, _}, S = #host{outlets = Outlets}, Do) ->
    case Outlets of
        #{Number := O = #outlet{owner = Pid, state = open}} ->
            Do(O);
        #{Number := #outlet{state = open}} ->
            answer(From, {error, not_owner}),
            S;
        #{} ->
            answer(From, {error, closed}),
            S
    end.

%% The outlet that was asked for so, by its owner.
asked_by({Owner, _} = From, #host{clients = Clients, outlets = Outlets}) ->
    case Clients of
        #{Owner := #client{outlets = Own}} ->
            first_from(From, maps:to_list(maps:with(maps:keys(Own), Outlets)));
        #{} ->
            none
    end.

first_from(From, [Found = {_, #outlet{from = From}} | _]) -> Found;
first_from(From, [_ | Rest]) -> first_from(From, Rest);
first_from(_, []) -> none.

%% Whoever opened it waits no more: close it, and tell nobody.
abandon(Number, O, S) ->
    Closing = O#outlet{state = closing, from = none},
    send(reclaim_wire:close(Number), put_outlet(Number, Closing, S)).

may_name(none, <<>>) -> {error, enoent};
may_name(_, <<>>) -> ok;
may_name(none, Name) ->
    case ets:member(reclaim_names, {self(), Name}) of
        true -> {error, eexist};
        false -> ok
    end;
may_name(_, _) -> {error, eexist}.

name(ok, Number, Name, From, S) ->
    Call = erlang:unique_integer([positive]),
    ets:insert(reclaim_calls, {{self(), Call}, {register, From}, Name, Number}),
    send(reclaim_wire:register(Number, Call, Name), S);
name(Error, _, _, From, S) ->
    answer(From, Error),
    S.

%% ---- clients ----

client(Pid, S = #host{clients = Clients, client = Last}) ->
    case Clients of
        #{Pid := Client} ->
            {Client, S};
        #{} ->
            Client = #client{number = Last + 1, monitor = monitor(process, Pid)},
            {Client, S#host{clients = Clients#{Pid => Client}, client = Last + 1}}
    end.

own(Pid, Number, S = #host{clients = Clients}) ->
    #{Pid := Client = #client{outlets = Outlets}} = Clients,
    More = Client#client{outlets = Outlets#{Number => []}},
    S#host{clients = Clients#{Pid := More}}.

down(Reference, Pid, S = #host{clients = Clients, watched = Watched}) ->
    case Clients of
        #{Pid := #client{monitor = Reference, number = Number, outlets = Outlets}} ->
            Left = lists:foldl(
                fun(Outlet, Acc = #host{outlets = All}) -> over(Outlet, map_get(Outlet, All), Acc) end,
                S#host{clients = maps:remove(Pid, Clients)},
                maps:keys(Outlets)
            ),
            send(reclaim_wire:client_down(Number), Left);
        #{} ->
            case maps:take(Reference, Watched) of
                {{Monitor, Call}, Rest} ->
                    %% It is not answered any more.
                    ets:delete(reclaim_calls, {self(), Call}),
                    Monitors = maps:remove(Monitor, S#host.monitors),
                    Less = S#host{watched = Rest, monitors = Monitors},
                    send(reclaim_wire:process_down(Monitor), Less);
                error ->
                    S
            end
    end.

%% ---- small ones ----

%% What the writer has goes first.
send(Frame, S = #host{writing = 0, port = Port}) ->
    try erlang:port_command(Port, Frame, [nosuspend]) of
        true -> S;
        false -> hand_over(Frame, S)
    catch
        error:badarg -> S
    end;
send(Frame, S) ->
    hand_over(Frame, S).

hand_over(Frame, S = #host{writing = Writing, writer = Writer}) ->
    Writer ! {host, Frame},
    S#host{writing = Writing + 1}.

answer({_, Alias}, Answer) ->
    Alias ! {Alias, Answer},
    ok;
answer(none, _) ->
    ok.

tell(Owner, Out, What) ->
    Owner ! {reclaim, Out, What},
    ok.

wake(Waiting, Answer) ->
    lists:foreach(fun(From) -> answer(From, Answer) end, Waiting).

put_outlet(Number, O, S = #host{outlets = Outlets}) ->
    S#host{outlets = Outlets#{Number => O}}.

update(Number, O, true, S) -> put_outlet(Number, O, S);
update(_, _, false, S) -> S.

atoms(#host{options = #{atoms := Atoms}}) -> Atoms.

named(#host{options = #{name := Name}}) -> Name;
named(_) -> self().

label(S = #host{os_pid = Pid}) ->
    io_lib:format("~0tp (process ~p)", [named(S), Pid]).

%% ---- the end ----

-spec terminate(term(), #host{}) -> no_return().
terminate(Reason, S = #host{port = Port, writer = Writer, outlets = Outlets}) ->
    tell_log(Reason, S),
    maps:foreach(fun over_with_host/2, Outlets),
    reclaim_writer:stop(Writer),
    close_port(Port),
    exit(why(Reason, S)).

over_with_host(Number, #outlet{out = Out, owner = Owner, state = State}) ->
    reclaim_outlet:end_it(Out, host_down),
    ets:delete(reclaim_outlets, {self(), Number}),
    State =:= open andalso tell(Owner, Out, {closed, host_down}),
    ok.

tell_log(Reason, S) ->
    case ended_as(Reason) of
        nothing -> ok;
        How -> reclaim_log:format(error, "host ~ts ~ts", [label(S), How], about_log(0, 0, <<>>, S))
    end.

ended_as(shutdown) -> nothing;
ended_as({shutdown, _}) -> nothing;
ended_as(normal) -> nothing;
ended_as({exit_status, Status}) when Status > 128 ->
    io_lib:format("ended by signal ~b (status ~b)", [Status - 128, Status]);
ended_as({exit_status, Status}) ->
    io_lib:format("ended with status ~b", [Status]);
ended_as({port, Reason}) ->
    io_lib:format("has closed its pipe (~tp)", [Reason]);
ended_as({bad_frame, Bytes}) ->
    io_lib:format("is ended: it sent what is no frame, ~0tp", [Bytes]);
ended_as(Reason) ->
    io_lib:format("is ended: ~0tp", [Reason]).

%% It has been told: no second report is needed.  A transient host is started anew
%% unless it ended with status 0, so there the reason has to be a bad one.
why({exit_status, 0}, _) -> normal;
why({port, normal}, _) -> normal;
why(Reason, #host{options = #{restart := transient}}) -> Reason;
why({What, Reason}, _) when What =:= exit_status; What =:= port; What =:= bad_frame ->
    {shutdown, {What, Reason}};
why(Reason, _) -> Reason.

%% ---- sys ----

-spec system_continue(pid(), [sys:debug_option()], #host{}) -> no_return().
system_continue(_Parent, _Debug, S) ->
    loop(S).

-spec system_terminate(term(), pid(), [sys:debug_option()], #host{}) -> no_return().
system_terminate(Reason, _Parent, _Debug, S) ->
    terminate(Reason, S).

-spec system_code_change(#host{}, module(), term(), term()) -> {ok, #host{}}.
system_code_change(S, _Module, _Old, _Extra) ->
    {ok, S}.

-spec system_get_state(#host{}) -> {ok, #host{}}.
system_get_state(S) ->
    {ok, S}.

-spec system_replace_state(fun((#host{}) -> #host{}), #host{}) -> {ok, #host{}, #host{}}.
system_replace_state(Replace, S) ->
    New = Replace(S),
    {ok, New, New}.
