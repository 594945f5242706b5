%% SPDX-License-Identifier: Apache-2.0
%%
%% @doc Drivers written in C, and what they hold for Erlang processes.
%%
%% A host is an OS process with drivers in it. A process opens an outlet, and
%% talks to the driver by it; when the process ends, however it ends, all that
%% the driver acquired on its behalf is given back.
%%
%% ```
%% {ok, Host} = reclaim:start_host(#{}),
%% {ok, Out} = reclaim:open(Host, echo, []),
%% ok = reclaim:command(Out, <<"hello">>),
%% receive {reclaim, Out, {data, Data}} -> Data end,
%% ok = reclaim:close(Out),
%% ok = reclaim:stop_host(Host).
%% '''
%%
%% == Messages ==
%% The owner of an outlet, which is the process that opened it or was given it,
%% receives:
%% <dl>
%% <dt>`{reclaim, Out, {data, Data}}'</dt>
%% <dd>what the driver sent, a binary</dd>
%% <dt>`{reclaim, Out, {exit_status, Status}}'</dt>
%% <dd>a port program in the host has ended</dd>
%% <dt>`{reclaim, Out, {closed, Reason}}'</dt>
%% <dd>once, and it is the last: the driver has closed it, or the host has ended
%% (`host_down'). Not after {@link close/1}.</dd>
%% </dl>
%%
%% == Errors ==
%% Functions that talk to a host return `{error, host_down}' when it has ended, or
%% ends meanwhile; `{error, closed}' when the outlet is over; `{error, emsgsize}'
%% for what is longer than the host takes. Wrong arguments fail with `badarg', what
%% is no outlet with `function_clause'.
%%
%% == Atoms ==
%% What a host sends may only have atoms in it that exist, unless the host was
%% started with `atoms => any': otherwise a host could fill the emulator's table
%% of atoms, from which nothing is ever removed. The errno names, and what hosts
%% answer by themselves, exist; so do those that your code names and that were
%% loaded with it. An unknown one where a reason is expected comes as its name, a
%% binary; in a longer term it makes the answer `{error, {badterm, Bytes}}'.
-module(reclaim).

-export([start_host/1, stop_host/1]).
-export([open/3, open/4, spawn_program/2, spawn_program/3, close/1, give/2]).
-export([command/2, command/3, credit/2]).
-export([call/2, call/3, control/3, control/4]).
-export([register/2, unregister/1, whereis/2]).
-export([info/1, tasks/1, outlets/1]).

-export_type([host/0, outlet/0, options/0, open_options/0, error/0]).

-type host() :: pid() | atom().
%% The pid of a host's process in this node, or its name.

-opaque outlet() :: reclaim_outlet:outlet().
%% Equal for one outlet wherever it comes from; only good in this node.

-type options() :: #{
    program => atom() | unicode:chardata(),
    args => [string() | binary()],
    env => [{string(), string() | false}],
    cd => file:name_all(),
    name => atom(),
    max_frame => pos_integer(),
    atoms => existing | any,
    start_timeout => timeout(),
    restart => permanent | transient | temporary,
    intensity => non_neg_integer(),
    period => pos_integer()
}.
%% <dl>
%% <dt>`program'</dt><dd>what to start: a path, or a name that is looked for in
%% the application's `priv/bin', then in `PATH' (`reclaim-host')</dd>
%% <dt>`args', `env', `cd'</dt><dd>as `open_port/2' has them</dd>
%% <dt>`name'</dt><dd>to register the host's process by; it has it after a restart,
%% too</dd>
%% <dt>`max_frame'</dt><dd>the longest frame that is taken from the host, in bytes
%% (64 MiB)</dd>
%% <dt>`atoms'</dt><dd>which ones its terms may have (`existing')</dd>
%% <dt>`start_timeout'</dt><dd>how long it has to say hello, in ms (5000)</dd>
%% <dt>`restart'</dt><dd>as a supervisor's child (`permanent')</dd>
%% <dt>`intensity', `period'</dt><dd>more restarts than so many in so many seconds
%% (5, 10), and it is given up</dd>
%% </dl>

-type open_options() :: #{
    window => pos_integer(),
    credit => auto | manual,
    timeout => timeout()
}.
%% <dl>
%% <dt>`window'</dt><dd>how many bytes the driver may send ahead; a message counts
%% its data and 64 (262144)</dd>
%% <dt>`credit'</dt><dd>`auto': what is in the owner's queue counts as consumed.
%% `manual': what the owner says with {@link credit/2} does</dd>
%% <dt>`timeout'</dt><dd>for opening, in ms (`infinity')</dd>
%% </dl>

-type error() :: {error, term()}.

-define(CALL_TIMEOUT, 5000).
-define(WINDOW, 262144).

-define(is_timeout(T), (T =:= infinity orelse (is_integer(T) andalso T >= 0))).
-define(is_host(H), (is_atom(H) orelse (is_pid(H) andalso node(H) =:= node()))).

%% @doc Start a host under the application's supervisor.
%%
%% Returns when host and emulator have agreed. Reasons: `{program_not_found,
%% Program}', `{cannot_run, Path, Posix}', `{exit_status, Status}' (it ended at
%% once), `{ended, Reason}' (the same, without a status), `timeout' (it says
%% nothing), `not_a_host' (it speaks something else), `{version, Which}',
%% `{already_started, Pid}' and `{bad_name, Name}', `{not_started, reclaim}': the
%% application is not running.
-spec start_host(options()) -> {ok, pid()} | error().
start_host(Options) when is_map(Options) ->
    Unknown = maps:without([name, cd | maps:keys(reclaim_host:defaults())], Options),
    All = maps:merge(reclaim_host:defaults(), Options),
    case map_size(Unknown) =:= 0 andalso lists:all(fun is_good/1, maps:to_list(All)) of
        true -> reclaim_host_sup:start_host(All);
        false -> erlang:error(badarg, [Options])
    end.

is_good({program, Program}) -> is_atom(Program) orelse is_unicode(Program);
is_good({args, Args}) -> is_list(Args) andalso lists:all(fun is_text/1, Args);
is_good({env, Env}) -> is_list(Env);
is_good({cd, Folder}) -> is_text(Folder);
is_good({name, Name}) -> is_atom(Name) andalso Name =/= undefined;
is_good({max_frame, Bytes}) -> is_integer(Bytes) andalso Bytes >= 1024 andalso Bytes < 1 bsl 31;
is_good({atoms, Atoms}) -> Atoms =:= existing orelse Atoms =:= any;
is_good({start_timeout, Timeout}) -> ?is_timeout(Timeout);
is_good({restart, How}) -> lists:member(How, [permanent, transient, temporary]);
is_good({intensity, Number}) -> is_integer(Number) andalso Number >= 0;
is_good({period, Seconds}) -> is_integer(Seconds) andalso Seconds > 0.

is_text(Text) -> is_list(Text) orelse is_binary(Text).

is_unicode(Text) ->
    try
        is_list(unicode:characters_to_list(Text))
    catch
        error:badarg -> false
    end.

%% @doc Stop a host for good.
%%
%% Its pipe is closed, and so it ends with all that it holds; one that does not take
%% what was sent before is killed soon. Owners of outlets are told `{closed,
%% host_down}'.
-spec stop_host(host()) -> ok | error().
stop_host(Host) when ?is_host(Host) ->
    case reclaim_outlet:ask_host(Host, supervisor, infinity) of
        {ok, Sup} -> reclaim_host_sup:stop_host(Sup);
        {error, host_down} when is_atom(Host) -> reclaim_host_sup:stop_named(Host);
        Error -> Error
    end;
stop_host(Host) ->
    erlang:error(badarg, [Host]).

%% @equiv open(Host, Driver, Args, #{})
-spec open(host(), atom(), term()) -> {ok, outlet()} | error().
open(Host, Driver, Args) ->
    open(Host, Driver, Args, #{}).

%% @doc Open an outlet of a driver: the caller is its owner.
%%
%% Reasons: `enodriver' (the host has no such driver), what the driver's start
%% failed with (an errno's name), `system_limit', `enomem', `timeout'.
-spec open(host(), atom(), term(), open_options()) -> {ok, outlet()} | error().
open(Host, Driver, Args, Options) when ?is_host(Host), is_atom(Driver), is_map(Options) ->
    Defaults = #{window => ?WINDOW, credit => auto, timeout => infinity},
    case maps:merge(Defaults, Options) of
        #{window := Window, credit := Credit, timeout := Timeout} = All when
            map_size(All) =:= 3,
            is_integer(Window), Window > 0, Window < 1 bsl 32,
            (Credit =:= auto orelse Credit =:= manual),
            ?is_timeout(Timeout)
        ->
            Label = list_to_binary(pid_to_list(self())),
            Term = term_to_binary({Driver, Args, Label}),
            opened(Host, reclaim_outlet:ask_host(Host, {open, Term, Window, Credit}, Timeout));
        _ ->
            erlang:error(badarg, [Host, Driver, Args, Options])
    end;
open(Host, Driver, Args, Options) ->
    erlang:error(badarg, [Host, Driver, Args, Options]).

%% That it is open may be on its way: then it is.
opened(Host, {error, {timeout, Alias}}) ->
    case reclaim_outlet:ask_host(Host, {open_no_more, Alias}, infinity) of
        {ok, Out} -> {ok, Out};
        _ -> {error, timeout}
    end;
opened(_, Answer) ->
    Answer.

%% @equiv spawn_program(Host, CommandLine, #{})
-spec spawn_program(host(), unicode:chardata()) -> {ok, outlet()} | error().
spawn_program(Host, CommandLine) ->
    spawn_program(Host, CommandLine, #{}).

%% @doc Start a port program within the host.
%%
%% It is an outlet of the driver `program'. `enodriver' where the host has none.
-spec spawn_program(host(), unicode:chardata(), open_options()) -> {ok, outlet()} | error().
spawn_program(Host, CommandLine, Options) ->
    case unicode:characters_to_binary(CommandLine) of
        Bytes when is_binary(Bytes) -> open(Host, program, Bytes, Options);
        _ -> erlang:error(badarg, [Host, CommandLine, Options])
    end.

%% @doc Close an outlet that the caller owns, in order.
%%
%% Returns when the driver has let go of it. Then, without a `closed' message,
%% nothing more comes from it; messages that came before are left where they are.
%% `{error, not_owner}' for all others.
-spec close(outlet()) -> ok | error().
close(Out) ->
    ask_host_of(Out, {close, reclaim_outlet:number(Out)}).

%% @doc Hand an outlet on to another process of this node, by its owner alone.
%%
%% What the driver sends from now on goes there, and it is with that process that
%% the outlet ends. Messages that came before are left where they are.
-spec give(outlet(), pid()) -> ok | error().
give(Out, Pid) when is_pid(Pid), node(Pid) =:= node() ->
    ask_host_of(Out, {give, reclaim_outlet:number(Out), Pid});
give(Out, Pid) ->
    erlang:error(badarg, [Out, Pid]).

%% @equiv command(Out, IoData, [])
-spec command(outlet(), iodata()) -> ok | error().
command(Out, IoData) ->
    reclaim_outlet:command(Out, IoData, infinity).

%% @doc Send bytes to the driver.
%%
%% Waits while the driver takes no more, or the port is busy: only the caller does.
%% With `nosuspend' it does not, and returns `{error, busy}'; with `{timeout, Ms}' it
%% waits so long at most, and returns `{error, timeout}'. With `ok' they will
%% arrive, if the outlet and the host last.
-spec command(outlet(), iodata(), [nosuspend | {timeout, timeout()}]) -> ok | error().
command(Out, IoData, []) ->
    reclaim_outlet:command(Out, IoData, infinity);
command(Out, IoData, [nosuspend]) ->
    reclaim_outlet:command(Out, IoData, nosuspend);
command(Out, IoData, [{timeout, Timeout}]) when ?is_timeout(Timeout) ->
    reclaim_outlet:command(Out, IoData, Timeout);
command(Out, IoData, Options) ->
    erlang:error(badarg, [Out, IoData, Options]).

%% @doc Let the driver send more: of an outlet opened with `credit => manual'.
%%
%% Given the data of a message it gives back what that message cost, its size and
%% 64; given a number, so many bytes.
-spec credit(outlet(), binary() | non_neg_integer()) -> ok.
credit(Out, Data) when is_binary(Data) ->
    reclaim_outlet:credit(Out, Data);
credit(Out, Bytes) when is_integer(Bytes), Bytes >= 0, Bytes < 1 bsl 32 ->
    reclaim_outlet:credit(Out, Bytes);
credit(Out, Other) ->
    erlang:error(badarg, [Out, Other]).

%% @equiv call(Out, Request, 5000)
-spec call(outlet(), term()) -> {ok, term()} | error().
call(Out, Request) ->
    reclaim_outlet:call(Out, Request, ?CALL_TIMEOUT).

%% @doc Ask the driver, and wait for its answer; any process may.
%%
%% The reason is the driver's, or `enotsup' (it takes no calls), `no_answer',
%% `timeout' (the call is cancelled, with all that it had acquired), or one of
%% those above.
-spec call(outlet(), term(), timeout()) -> {ok, term()} | error().
call(Out, Request, Timeout) when ?is_timeout(Timeout) ->
    reclaim_outlet:call(Out, Request, Timeout);
call(Out, Request, Timeout) ->
    erlang:error(badarg, [Out, Request, Timeout]).

%% @equiv control(Out, Operation, IoData, 5000)
-spec control(outlet(), non_neg_integer(), iodata()) -> {ok, binary()} | error().
control(Out, Operation, IoData) ->
    control(Out, Operation, IoData, ?CALL_TIMEOUT).

%% @doc The same with a number and bytes, answered with bytes.
-spec control(outlet(), non_neg_integer(), iodata(), timeout()) -> {ok, binary()} | error().
control(Out, Operation, IoData, Timeout) when
    is_integer(Operation), Operation >= 0, Operation < 1 bsl 32, ?is_timeout(Timeout)
->
    reclaim_outlet:control(Out, Operation, IoData, Timeout);
control(Out, Operation, IoData, Timeout) ->
    erlang:error(badarg, [Out, Operation, IoData, Timeout]).

%% @doc Give an outlet a name, in its host: an atom, or text; `foo' and `<<"foo">>'
%% are one.
%%
%% `{error, eexist}' where the name is taken, or the outlet has one; `{error, einval}'
%% where it is longer than 255 bytes, or has a NUL in it.
-spec register(outlet(), atom() | binary()) -> ok | error().
register(Out, Name) ->
    case name(Name) of
        <<>> -> erlang:error(badarg, [Out, Name]);
        Bytes -> ask_host_of(Out, {register, reclaim_outlet:number(Out), Bytes})
    end.

%% @doc Take it away again. `{error, enoent}' where it has none.
-spec unregister(outlet()) -> ok | error().
unregister(Out) ->
    ask_host_of(Out, {register, reclaim_outlet:number(Out), <<>>}).

%% @doc The outlet of that name.
-spec whereis(host(), atom() | binary()) -> outlet() | undefined.
whereis(Host, Name) when is_atom(Host) ->
    case erlang:whereis(Host) of
        Pid when is_pid(Pid) -> whereis(Pid, Name);
        _ -> undefined
    end;
whereis(Host, Name) when is_pid(Host) ->
    try ets:lookup(reclaim_names, {Host, name(Name)}) of
        [{_, Out}] -> Out;
        [] -> undefined
    catch
        error:badarg -> undefined
    end;
whereis(Host, Name) ->
    erlang:error(badarg, [Host, Name]).

name(Name) when is_atom(Name), Name =/= undefined -> atom_to_binary(Name);
name(Name) when is_binary(Name) -> Name;
name(Name) -> erlang:error(badarg, [Name]).

%% @doc What a host, or an outlet, has and is.
-spec info(host() | outlet()) -> {ok, map()} | error().
info(Host) when ?is_host(Host) ->
    case reclaim_outlet:ask_host(Host, root, infinity) of
        {ok, Root, About} -> with(About, ask_statistics(Root, host, 0));
        Error -> Error
    end;
info(Out) ->
    Number = reclaim_outlet:number(Out),
    case ask_host_of(Out, {outlet, Number}) of
        {ok, Here} -> with(Here, ask_statistics(Out, outlet, Number));
        Error -> Error
    end.

with(Here, {ok, There}) when is_map(There) -> {ok, maps:merge(There, Here)};
with(_, Answer) -> Answer.

%% @doc The tasks of a host.
-spec tasks(host()) -> {ok, term()} | error().
tasks(Host) ->
    statistics(Host, tasks).

%% @doc The outlets of a host.
-spec outlets(host()) -> {ok, term()} | error().
outlets(Host) ->
    statistics(Host, outlets).

statistics(Host, What) when ?is_host(Host) ->
    case reclaim_outlet:ask_host(Host, root, infinity) of
        {ok, Root, _} -> ask_statistics(Root, What, 0);
        Error -> Error
    end;
statistics(Host, _) ->
    erlang:error(badarg, [Host]).

ask_statistics(Out, What, Number) ->
    reclaim_outlet:request(Out, ?CALL_TIMEOUT, fun(Call) ->
        reclaim_wire:statistics(Call, What, Number)
    end).

ask_host_of(Out, Request) ->
    reclaim_outlet:ask_host(reclaim_outlet:host(Out), Request, infinity).
