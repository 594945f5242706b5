%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_wire - the frames between the emulator and a host, as bytes
%%
%% The only module that knows them; ports/README.md, "The wire", is what both
%% sides keep to, and tests/frames.golden has each frame once.  What is encoded
%% is iodata, what is decoded keeps references into the frame: bytes are not
%% copied.  decode/1 never fails: a frame that is none is `malformed`.

-module(reclaim_wire).

-export([version/0, max_hello/0]).
-export([
    hello/1,
    open/4,
    data/2,
    credit/2,
    call/3,
    control/4,
    cancel/1,
    close/1,
    give/3,
    client_down/1,
    process_down/1,
    register/3,
    statistics/3
]).
-export([decode/1, term/2, reason/2, reasons/0]).

-export_type([atoms/0, frame/0]).

-type atoms() :: existing | any.
%% Which atoms a term of a host's may have.

-type number_of() :: non_neg_integer().

-type frame() ::
    {hello, Version :: non_neg_integer(), MaxFrame :: non_neg_integer(), binary()}
    | {opened, number_of(), Window :: non_neg_integer()}
    | {data, number_of(), binary()}
    | {credit, number_of(), non_neg_integer()}
    | {reply, Call :: number_of(), Status :: byte(), binary()}
    | {closed, number_of(), binary()}
    | {monitor, Monitor :: number_of(), Call :: number_of()}
    | {demonitor, Monitor :: number_of()}
    | {log, byte(), Outlet :: number_of(), Task :: number_of(), binary(), binary()}
    | {error, Code :: byte(), Frame :: byte(), number_of(), binary()}
    | {exit_status, number_of(), integer()}
    | malformed.

-define(HELLO, 1).
-define(OPEN, 2).
-define(OPENED, 3).
-define(DATA, 4).
-define(CREDIT, 5).
-define(CALL, 6).
-define(CONTROL, 7).
-define(REPLY, 8).
-define(CANCEL, 9).
-define(CLOSE, 10).
-define(CLOSED, 11).
-define(GIVE, 12).
-define(CLIENT_DOWN, 13).
-define(MONITOR, 14).
-define(DEMONITOR, 15).
-define(PROCESS_DOWN, 16).
-define(REGISTER, 17).
-define(STATISTICS, 18).
-define(LOG, 19).
-define(ERROR, 20).
-define(EXIT_STATUS, 21).

-define(VERSION, 1).

%% Its term is decoded with whatever atoms it has, so it is kept short.
-define(MAX_HELLO, 16384).

-spec version() -> pos_integer().
version() -> ?VERSION.

-spec max_hello() -> pos_integer().
max_hello() -> ?MAX_HELLO.

%% ---- to the host ----

-spec hello(pos_integer()) -> iodata().
hello(MaxFrame) ->
    <<?HELLO, "reclaim", ?VERSION:16, MaxFrame:32>>.

%% The term is {Driver, Args, Label}, encoded.
-spec open(number_of(), number_of(), non_neg_integer(), iodata()) -> iodata().
open(Outlet, Client, Window, Term) ->
    [<<?OPEN, Outlet:64, Client:64, Window:32>> | Term].

-spec data(number_of(), iodata()) -> iodata().
data(Outlet, Bytes) ->
    [<<?DATA, Outlet:64>> | Bytes].

-spec credit(number_of(), non_neg_integer()) -> iodata().
credit(Outlet, Bytes) ->
    <<?CREDIT, Outlet:64, Bytes:32>>.

-spec call(number_of(), number_of(), iodata()) -> iodata().
call(Outlet, Call, Term) ->
    [<<?CALL, Outlet:64, Call:64>> | Term].

-spec control(number_of(), number_of(), non_neg_integer(), iodata()) -> iodata().
control(Outlet, Call, Operation, Bytes) ->
    [<<?CONTROL, Outlet:64, Call:64, Operation:32>> | Bytes].

-spec cancel(number_of()) -> iodata().
cancel(Call) ->
    <<?CANCEL, Call:64>>.

-spec close(number_of()) -> iodata().
close(Outlet) ->
    <<?CLOSE, Outlet:64>>.

-spec give(number_of(), number_of(), binary()) -> iodata().
give(Outlet, Client, Label) ->
    <<?GIVE, Outlet:64, Client:64, Label/binary>>.

-spec client_down(number_of()) -> iodata().
client_down(Client) ->
    <<?CLIENT_DOWN, Client:64>>.

-spec process_down(number_of()) -> iodata().
process_down(Monitor) ->
    <<?PROCESS_DOWN, Monitor:64>>.

%% No name: unregister.
-spec register(number_of(), number_of(), binary()) -> iodata().
register(Outlet, Call, Name) ->
    <<?REGISTER, Outlet:64, Call:64, Name/binary>>.

-spec statistics(number_of(), host | tasks | outlets | outlet, number_of()) ->
    iodata().
statistics(Call, What, Outlet) ->
    <<?STATISTICS, Call:64, (what(What)), Outlet:64>>.

what(host) -> 1;
what(tasks) -> 2;
what(outlets) -> 3;
what(outlet) -> 4.

%% ---- from the host ----

-spec decode(binary()) -> frame().
decode(<<?DATA, Outlet:64, Bytes/binary>>) ->
    {data, Outlet, Bytes};
decode(<<?REPLY, Call:64, Status, Answer/binary>>) when Status =< 2 ->
    {reply, Call, Status, Answer};
decode(<<?CREDIT, Outlet:64, Bytes:32>>) ->
    {credit, Outlet, Bytes};
decode(<<?OPENED, Outlet:64, Window:32>>) ->
    {opened, Outlet, Window};
decode(<<?CLOSED, Outlet:64, Why/binary>>) ->
    {closed, Outlet, Why};
decode(<<?MONITOR, Monitor:64, Call:64>>) ->
    {monitor, Monitor, Call};
decode(<<?DEMONITOR, Monitor:64>>) ->
    {demonitor, Monitor};
decode(<<?LOG, Level, Outlet:64, Task:64, Length, Name:Length/binary, Text/binary>>) ->
    {log, Level, Outlet, Task, Name, Text};
decode(<<?ERROR, Code, Frame, Number:64, Text/binary>>) ->
    {error, Code, Frame, Number, Text};
decode(<<?EXIT_STATUS, Outlet:64, Status:32/signed>>) ->
    {exit_status, Outlet, Status};
decode(<<?HELLO, "reclaim", Version:16, MaxFrame:32, Term/binary>>) ->
    {hello, Version, MaxFrame, Term};
decode(_) ->
    malformed.

%% ---- terms of the host's ----

%% Bytes behind the term make it none; and a compressed one could be of any size.
-spec term(binary(), atoms()) -> {ok, term()} | error.
term(<<131, 80, _/binary>>, _) ->
    error;
term(Bytes, Atoms) ->
    try binary_to_term(Bytes, [used | safety(Atoms)]) of
        {Term, Used} when Used =:= byte_size(Bytes) -> {ok, Term};
        {_, _} -> error
    catch
        error:badarg -> error
    end.

safety(existing) -> [safe];
safety(any) -> [].

%% Why something failed or was closed: mostly an atom.  One that the emulator
%% does not know is its name, a binary.
-spec reason(binary(), atoms()) -> term().
reason(Bytes, Atoms) ->
    case term(Bytes, Atoms) of
        {ok, Reason} -> Reason;
        error -> unknown(Bytes)
    end.

unknown(<<131, 119, Length, Name:Length/binary>>) -> Name;
unknown(<<131, 115, Length, Name:Length/binary>>) -> Name;
unknown(<<131, 118, Length:16, Name:Length/binary>>) -> Name;
unknown(<<131, 100, Length:16, Name:Length/binary>>) -> Name;
unknown(Bytes) -> {badterm, Bytes}.

%% What a host answers on its own account, and errno's names: as this module has
%% these atoms, [safe] knows them.
-spec reasons() -> [atom()].
reasons() ->
    [
        %% the host's
        normal, client_down, credit, limit, host_down, closed, enodriver,
        no_answer, system_limit, badarg, drivers, version, pid,
        %% keys and words of statistics
        actions, blocks, busy, bytes, calls, children, client, clients, closing,
        credit, draining, driver, ended, ending, flushing, gone, handles, input,
        jobs, live, max_bytes, max_handles, messages, name, open, outlet, outlets,
        output, parent, peak_bytes, queued, state, stopped, task, tasks,
        %% errno's, as `file` and `inet` call them
        e2big, eacces, eaddrinuse, eaddrnotavail, eadv, eafnosupport, eagain,
        ealready, ebade, ebadf, ebadfd, ebadmsg, ebadr, ebadrqc, ebadslt,
        ebfont, ebusy, ecanceled, echild, echrng, ecomm, econnaborted,
        econnrefused, econnreset, edeadlk, edeadlock, edestaddrreq, edom,
        edotdot, edquot, eexist, efault, efbig, ehostdown, ehostunreach,
        ehwpoison, eidrm, eilseq, einprogress, eintr, einval, eio, eisconn,
        eisdir, eisnam, ekeyexpired, ekeyrejected, ekeyrevoked, el2hlt,
        el2nsync, el3hlt, el3rst, elibacc, elibbad, elibexec, elibmax, elibscn,
        elnrng, eloop, emediumtype, emfile, emlink, emsgsize, emultihop,
        enametoolong, enavail, enetdown, enetreset, enetunreach, enfile,
        enoano, enobufs, enocsi, enodata, enodev, enoent, enoexec, enokey,
        enolck, enolink, enomedium, enomem, enomsg, enonet, enopkg,
        enoprotoopt, enospc, enosr, enostr, enosys, enotblk, enotconn, enotdir,
        enotempty, enotnam, enotrecoverable, enotsock, enotsup, enotty,
        enotuniq, enxio, eopnotsupp, eoverflow, eownerdead, eperm,
        epfnosupport, epipe, eproto, eprotonosupport, eprototype, erange,
        eremchg, eremote, eremoteio, erestart, erfkill, erofs, eshutdown,
        esocktnosupport, espipe, esrch, esrmnt, estale, estrpipe, etime,
        etimedout, etoomanyrefs, etxtbsy, euclean, eunatch, eusers,
        ewouldblock, exdev, exfull
    ].
