%% SPDX-License-Identifier: Apache-2.0
%%
%% emulator_block - the emulator in a block of memory, seen from within
%%
%% main([Policy, Total, Folder]) runs every test in an emulator that reclaim-erl
%% started, plain([Folder]) those of one that it did not start, and writes there
%% what the compiler makes; each prints a line: "PASS: what" or "FAIL: what".
%% wait([File]) starts a program, writes its pid
%% and the emulator's own to a file, and waits to be killed.
-module(emulator_block).
-export([main/1, plain/1, wait/1]).

-define(MIB, 1048576).
-define(PATIENCE, 30000).

main([Policy, Total, Folder]) ->
    run(Policy ++ ": ", tests(list_to_atom(Policy), list_to_integer(Total),
                              Folder)).

plain([Folder]) ->
    run("outside: ", outside_tests(Folder)).

run(Where, Tests) ->
    Results = [run(Where, What, Test) || {What, Test} <- Tests],
    halt(case lists:all(fun(R) -> R end, Results) of true -> 0; false -> 1 end).

%% Each in a process of its own, with which all of it goes.
run(Where, What, Test) ->
    {Pid, Ref} = spawn_monitor(fun() -> Test(), exit(passed) end),
    receive
        {'DOWN', Ref, process, Pid, passed} ->
            io:format("PASS: ~s~s~n", [Where, What]), true;
        {'DOWN', Ref, process, Pid, Why} ->
            io:format("~p~nFAIL: ~s~s~n", [Why, Where, What]), false
    after 4 * ?PATIENCE ->
        io:format("FAIL: ~s~s: no end~n", [Where, What]), false
    end.

tests(Policy, Total, Folder) ->
    [{"the block is as was asked for", fun() ->
          #{policy := Policy, total := Total, spilled := 0,
            spilled_blocks := 0} = consistent() end},
     {"what is kept is 3 % of it at most", fun() ->
          #{kept := Kept} = consistent(),
          true = Kept * 100 =< Total * 3 end},
     {"binaries come and go", fun binaries/0},
     {"tables come and go", fun tables/0},
     {"processes come and go", fun processes/0},
     {"heaps come and go", fun heaps/0},
     {"large messages arrive whole", fun messages/0},
     {"the compiler makes OTP's modules anew", fun() -> recompile(Folder) end},
     {"modules are loaded, called and purged", fun load_and_purge/0},
     {"timers, and terms there and back", fun terms/0},
     {"children are outside", fun children/0},
     {"a port program", fun port_program/0},
     {"figures agree while others are busy", fun busy/0},
     {"what is outside is told by kind", fun outside/0},
     {"a picture", fun() -> picture(Folder) end},
     {"a picture that cannot be written", fun() -> no_picture(Folder) end}].

outside_tests(Folder) ->
    [{"the compiler makes OTP's modules", fun() ->
          ok = file:write_file(made(Folder), term_to_binary(compile_all()))
      end},
     {"stats, show and svg fail", fun() ->
          no_block(fun() -> reclaim_block:stats() end),
          no_block(fun() -> reclaim_block:show() end),
          no_block(fun() -> reclaim_block:svg("/dev/null") end) end},
     {"what is mapped is told by kind", fun outside/0}].

no_block(Fun) ->
    no_block = try Fun(), nothing catch error:Reason -> Reason end.

%% ---- figures ----

block() ->
    #{block := Block} = reclaim_block:stats(),
    Block.

consistent() ->
    Block = #{total := Total, kept := Kept, allocated := Allocated,
              free := Free, peak := Peak, longest := Longest,
              blocks := Blocks, holes := Holes} = block(),
    Total = Kept + Allocated + Free,
    true = Peak >= Allocated,
    true = Longest =< Free,
    true = Blocks > 1000,
    true = Holes > 0,
    Block.

allocated() ->
    erlang:garbage_collect(),
    maps:get(allocated, consistent()).

%% What a process makes is in the block while it lives, and not afterwards.
comes_and_goes(Least, Make) ->
    Before = allocated(),
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        Made = Make(),
        Self ! made,
        receive stop -> exit({stopped, erlang:phash2(Made)}) end
    end),
    receive
        made -> ok;
        {'DOWN', Ref, _, _, Failed} -> error(Failed)
    after ?PATIENCE -> error(timeout)
    end,
    true = allocated() >= Before + Least,
    Pid ! stop,
    receive {'DOWN', Ref, _, _, {stopped, _}} -> ok end,
    falls_to(Before + Least div 4, 200).

%% Not all is freed at once.
falls_to(Bytes, Tries) ->
    case allocated() of
        Few when Few =< Bytes -> ok;
        Many when Tries =:= 0 -> error({still, Many, Bytes});
        _ -> timer:sleep(25), falls_to(Bytes, Tries - 1)
    end.

binaries() ->
    comes_and_goes(36 * ?MIB, fun() ->
        Made = [binary:copy(<<N>>, ?MIB) || N <- lists:seq(1, 40)],
        [true = binary:last(Binary) =:= N
         || {N, Binary} <- lists:zip(lists:seq(1, 40), Made)],
        Made
    end).

tables() ->
    comes_and_goes(10 * ?MIB, fun() ->
        [table(Type) || Type <- [set, ordered_set, duplicate_bag]]
    end).

table(Type) ->
    Table = ets:new(table, [Type, public, {write_concurrency, true}]),
    [ets:insert(Table, {N, integer_to_binary(N), [N, N]})
     || N <- lists:seq(1, 50000)],
    [ets:delete(Table, N) || N <- lists:seq(1, 50000, 3)],
    [] = ets:lookup(Table, 1),
    [{50000, <<"50000">>, [50000, 50000]}] = ets:lookup(Table, 50000),
    33333 = ets:info(Table, size),
    33333 = length(ets:match(Table, {'$1', '_', '_'})),
    Table.

processes() ->
    comes_and_goes(10 * ?MIB, fun() ->
        Last = self(),
        First = lists:foldl(fun(_, Next) ->
            spawn_link(fun() -> pass_on(Next) end)
        end, Last, lists:seq(1, 10000)),
        First ! {round, 0},
        receive {round, 10000} -> ok after ?PATIENCE -> error(timeout) end,
        First
    end).

pass_on(Next) ->
    receive {round, N} -> Next ! {round, N + 1} end,
    pass_on(Next).

heaps() ->
    comes_and_goes(20 * ?MIB, fun() ->
        List = lists:seq(1, 1000000),
        Map = maps:from_list([{N, {N, [N]}} || N <- lists:seq(1, 50000)]),
        500000500000 = lists:sum(List),
        50000 = map_size(Map),
        {List, Map}
    end).

messages() ->
    {Pid, Ref} = spawn_monitor(fun echo/0),
    Term = {lists:seq(1, 20000), rand:bytes(100000),
            #{key => lists:duplicate(100, "text")}},
    [Pid ! {self(), {N, Term}} || N <- lists:seq(1, 50)],
    [receive {Pid, {N, Term}} -> ok after ?PATIENCE -> error(timeout) end
     || N <- lists:seq(1, 50)],
    Pid ! stop,
    receive {'DOWN', Ref, _, _, normal} -> ok end.

echo() ->
    receive
        stop -> ok;
        {From, Term} -> From ! {self(), Term}, echo()
    end.

%% ---- code ----

made(Folder) ->
    filename:join(Folder, "made").

%% The same as outside.
recompile(Folder) ->
    {ok, Made} = file:read_file(made(Folder)),
    true = Made =:= term_to_binary(compile_all()).

compile_all() ->
    [compile(Module) || Module <- [lists, dict, gb_trees, queue]].

compile(Module) ->
    {ok, {Module, [{abstract_code, {raw_abstract_v1, Forms}}]}} =
        beam_lib:chunks(code:which(Module), [abstract_code]),
    {ok, Module, Made} = compile:forms(Forms, [deterministic]),
    Made.

load_and_purge() ->
    [load_and_purge(N) || N <- lists:seq(1, 5)],
    Before = allocated(),
    [load_and_purge(N) || N <- lists:seq(1, 40)],
    falls_to(Before + ?MIB, 200).

load_and_purge(N) ->
    Clauses = [io_lib:format("value(~b) -> {~b, \"text ~b\", <<~b:64>>};~n",
                             [I, I * N, I, I])
               || I <- lists:seq(1, 100)],
    Source = ["-module(made_here).\n-export([value/1]).\n", Clauses,
              "value(_) -> none.\n"],
    {ok, Tokens, _} = erl_scan:string(lists:flatten(Source)),
    Forms = [begin {ok, Form} = erl_parse:parse_form(T), Form end
             || T <- split(Tokens)],
    {ok, made_here, Code} = compile:forms(Forms),
    {module, made_here} = code:load_binary(made_here, "made_here", Code),
    Value = 7 * N,
    {Value, "text 7", <<7:64>>} = made_here:value(7),
    none = made_here:value(101),
    true = code:delete(made_here),
    false = code:purge(made_here),
    false = code:is_loaded(made_here).

split([]) -> [];
split(Tokens) ->
    {Form, [Dot | Rest]} =
        lists:splitwith(fun(T) -> element(1, T) =/= dot end, Tokens),
    [Form ++ [Dot] | split(Rest)].

terms() ->
    Term = [{N, N * 1.5, integer_to_list(N), <<N:32>>, #{N => self()},
             N bsl 100} || N <- lists:seq(1, 20000)],
    Term = binary_to_term(term_to_binary(Term, [{compressed, 6}])),
    Packed = zlib:gzip(term_to_binary(Term)),
    Term = binary_to_term(zlib:gunzip(Packed)),
    Refs = [erlang:send_after(10, self(), {late, N})
            || N <- lists:seq(1, 10000)],
    [receive {late, N} -> ok after ?PATIENCE -> error(timeout) end
     || N <- lists:seq(1, 10000)],
    [false = erlang:cancel_timer(Ref) || Ref <- Refs],
    {match, _} = re:run(binary:copy(<<"ab">>, 100000), "(ab)+$"),
    ok.

%% ---- what it starts ----

children() ->
    "0\n" = os:cmd("grep -c libreclaim-block /proc/self/maps"),
    "" = os:cmd("env | grep -E '^(RECLAIM_BLOCK_|LD_PRELOAD=)'"),
    false = os:getenv("LD_PRELOAD"),
    false = os:getenv("RECLAIM_BLOCK_SIZE").

port_program() ->
    Port = open_port({spawn_executable, "/bin/cat"}, [binary, stream]),
    Data = rand:bytes(300000),
    true = port_command(Port, Data),
    Data = collect(Port, byte_size(Data), []),
    true = port_close(Port).

collect(_, 0, Data) -> iolist_to_binary(lists:reverse(Data));
collect(Port, Left, Data) when Left > 0 ->
    receive
        {Port, {data, More}} ->
            collect(Port, Left - byte_size(More), [More | Data])
    after ?PATIENCE -> error(timeout)
    end.

%% ---- figures, again ----

%% They would leave little of the processor to who looks.
busy() ->
    process_flag(priority, high),
    Workers = [spawn_opt(fun work/0, [link, {priority, normal}]) || _ <- lists:seq(1, 4)],
    [consistent() || _ <- lists:seq(1, 20)],
    [begin unlink(Worker), exit(Worker, kill) end || Worker <- Workers].

work() ->
    _ = [binary:copy(<<"x">>, rand:uniform(100000)) || _ <- lists:seq(1, 20)],
    work().

outside() ->
    Outside = #{code := Code, literals := Literals, files := Files} =
        reclaim_block:outside(),
    [code, files, literals, other, stacks] = lists:sort(maps:keys(Outside)),
    true = lists:all(fun(N) -> is_integer(N) andalso N >= 0 end,
                     maps:values(Outside)),
    true = Code > ?MIB,
    true = Literals > 0,
    true = Files > ?MIB.

picture(Folder) ->
    Name = filename:join(Folder, "block.svg"),
    [begin
         ok = reclaim_block:svg(File),
         {ok, <<"<?xml version=\"1.0\"", _/binary>> = Text} =
             file:read_file(Name),
         {_, _} = binary:match(Text, <<"</svg>\n">>),
         ok = file:delete(Name)
     end || File <- [Name, list_to_binary(Name), [Folder, $/, "block.svg"]]],
    Other = filename:join(Folder, [16#fc, 16#3b1] ++ ".svg"),
    ok = reclaim_block:svg(Other),
    {ok, _} = file:read_file(unicode:characters_to_binary(Other)),
    ok = file:delete(unicode:characters_to_binary(Other)).

no_picture(Folder) ->
    {error, enoent} = reclaim_block:svg(filename:join(Folder, "none/of.svg")),
    {error, eisdir} = reclaim_block:svg(Folder),
    {error, enotdir} = reclaim_block:svg("/dev/null/of.svg"),
    {error, enospc} = reclaim_block:svg("/dev/full"),
    badarg = try reclaim_block:svg([Folder, 0, "x"]) catch error:A -> A end,
    badarg = try reclaim_block:svg(1.5) catch error:B -> B end,
    ok.

%% ---- to be killed ----

wait([File]) ->
    Port = open_port({spawn_executable, "/bin/cat"}, [binary]),
    {os_pid, Program} = erlang:port_info(Port, os_pid),
    ok = file:write_file(File ++ ".new",
                         [os:getpid(), $\s, integer_to_list(Program), $\n]),
    ok = file:rename(File ++ ".new", File),
    work().
