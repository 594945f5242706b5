%% SPDX-License-Identifier: Apache-2.0
%%
%% emulator_term - terms that a port program reads and writes anew
%%
%% main([TermPort, Count]) runs every test, with so many random terms, and
%% prints a line for each: "PASS: what" or "FAIL: what".  What the program
%% answers is to be what it was sent.  RECLAIM_TEST_SEED repeats a run.  Where
%% there is PropEr, its term() is drawn from as well.
-module(emulator_term).
-export([main/1]).

-define(PATIENCE, 60000).
-define(DEPTH, 256).

main([Program, Count]) ->
    Seed = seed(),
    io:format("RECLAIM_TEST_SEED=~b~n", [Seed]),
    Port = open_port({spawn_executable, Program},
                     [{packet, 4}, binary, exit_status]),
    Results = [run(What, Seed, fun() -> Test(Port) end)
               || {What, Test} <- tests(list_to_integer(Count))],
    halt(case lists:all(fun(R) -> R end, Results) of true -> 0; false -> 1 end).

seed() ->
    case os:getenv("RECLAIM_TEST_SEED") of
        false -> erlang:system_time();
        Seed -> list_to_integer(Seed)
    end.

run(What, Seed, Test) ->
    rand:seed(exsss, Seed),
    try Test() of
        Terms -> io:format("PASS: ~s (~b terms)~n", [What, Terms]), true
    catch
        Class:Reason:Stack ->
            io:format("~P~nFAIL: ~s~n", [{Class, Reason, Stack}, 25, What]),
            false
    end.

tests(Count) ->
    [{"numbers at each power of two",
      fun(Port) -> all(Port, numbers()) end},
     {"atoms, binaries, bitstrings, strings, lists and tuples of each length",
      fun(Port) -> all(Port, lengths()) end},
     {"pids, ports, references and funs",
      fun(Port) -> all(Port, identifiers()) end},
     {"the encodings of other nodes and older releases",
      fun(Port) -> all_bytes(Port, old_identifiers()) end},
     {"256 deep, and no deeper",
      fun(Port) -> deep(Port) end},
     {"the emulator's own, local encoding",
      fun(Port) -> all_bytes(Port, local()) end},
     {"random terms, with each option of term_to_binary",
      fun(Port) -> random(Port, Count, fun any/0) end},
     {"terms of PropEr",
      fun(Port) -> proper(Port, Count) end},
     {"random terms by any tags that fit",
      fun(Port) -> by_hand(Port, Count div 4) end},
     {"what the emulator takes of changed bytes is taken, and as the same",
      fun(Port) -> changed(Port, Count) end}].

%% ---- there and back ----

all(Port, Terms) ->
    lists:sum([same(Port, Term) || Term <- Terms]).

same(Port, Term) ->
    Encodings = lists:usort([term_to_binary(Term, O) || O <- options()]),
    [same(Port, Term, Bytes) || Bytes <- Encodings],
    length(Encodings).

options() ->
    Known = [[], [{minor_version, 0}], [{minor_version, 1}],
             [{minor_version, 2}]],
    try term_to_binary(x, [deterministic]) of
        _ -> [[deterministic] | Known]
    catch
        error:badarg -> Known
    end.

%% Where an option loses something, what it made is what is to come back.
same(Port, Term, Bytes) ->
    case binary_to_term(Bytes) of
        Term -> ok;
        Other -> {true, Other} = {Other == Term, Other}
    end,
    same_bytes(Port, Bytes).

same_bytes(Port, Bytes) ->
    Term = binary_to_term(Bytes),
    case ask(Port, Bytes) of
        <<>> -> error({refused, Bytes});
        Answer ->
            case binary_to_term(Answer) of
                Term -> 1;
                Other -> error({not_the_same, Bytes, Term, Other})
            end
    end.

all_bytes(Port, Encodings) ->
    lists:sum([same_bytes(Port, Bytes) || Bytes <- Encodings]).

ask(Port, Bytes) ->
    port_command(Port, Bytes),
    receive
        {Port, {data, Answer}} -> Answer;
        {Port, {exit_status, Status}} -> error({exited, Status, Bytes})
    after ?PATIENCE -> error({no_answer, Bytes})
    end.

%% ---- terms by hand ----

numbers() ->
    Bits = lists:seq(0, 70) ++ [lists:nth(N, [2039, 2040, 2041, 2047, 2048])
                                || N <- lists:seq(1, 5)] ++ [100000],
    [Sign * ((1 bsl Bit) + Off)
     || Bit <- Bits, Off <- [-1, 0, 1], Sign <- [1, -1]] ++
    [0.0, -0.0, 1.0, -1.5, 0.1, 1.0e-300, -1.0e300, 2.2250738585072014e-308,
     5.0e-324, 1.7976931348623157e308, 3.141592653589793].

lengths() ->
    Atoms = [list_to_atom(lists:duplicate(Length, Character))
             || Length <- [0, 1, 63, 64, 127, 128, 254, 255],
                Character <- [0, $a, 16#7f, 16#80, 16#ff, 16#7ff, 16#800,
                              16#d7ff, 16#e000, 16#ffff, 16#10000, 16#10ffff]],
    Few = [0, 1, 2, 254, 255, 256, 257],
    Many = Few ++ [65534, 65535, 65536, 65537],
    Atoms ++
    [binary:copy(<<"b">>, N) || N <- [1 bsl 20 | Many]] ++
    [<<0:N, 1:1>> || N <- lists:seq(0, 70) ++ Many] ++
    [lists:duplicate(N, C) || N <- Many, C <- [0, 255, 256, -1, x]] ++
    [lists:duplicate(N, C) ++ Tail || N <- Many -- [0], C <- [$a, b],
                                      Tail <- [c, <<"d">>, 1, {}, #{}]] ++
    [list_to_tuple(lists:seq(1, N)) || N <- Many] ++
    [maps:from_list([{K, K} || K <- lists:seq(1, N)])
     || N <- [0, 1, 31, 32, 33, 255, 256, 5000]].

identifiers() ->
    Bound = {make_ref(), self()},
    One = fun(X) -> {X, Bound} end,
    Two = fun(X, Y) -> {X, Y, One} end,
    Three = fun() -> {One, Two, Bound} end,
    [self(), spawn(fun() -> ok end), make_ref(), hd(erlang:ports()),
     fun erlang:self/0, fun lists:map/2, fun ?MODULE:main/1,
     One, Two, Three, [One, Two, Three], #{One => Two}, {Three, x}] ++
    erlang:ports() ++ processes() ++ [make_ref() || _ <- lists:seq(1, 100)].

%% Node names as atoms of each tag.
old_identifiers() ->
    [<<131, (pack(Node, Kind))/binary>>
     || Node <- nodes_by_hand(), Kind <- lists:seq(1, 10)].

nodes_by_hand() ->
    [<<100, 0, 3, "n@h">>, <<115, 3, "n@h">>, <<118, 0, 3, "n@h">>,
     <<119, 3, "n@h">>, <<100, 0, 4, "n@", 228, "h">>,
     <<119, 5, "n@ä"/utf8, "h">>].

pack(Node, 1) -> <<103, Node/binary, 7:32, 8:32, 1>>;
pack(Node, 2) -> <<88, Node/binary, 7:32, 8:32, 99:32>>;
pack(Node, 3) -> <<102, Node/binary, 7:32, 1>>;
pack(Node, 4) -> <<89, Node/binary, 7:32, 99:32>>;
pack(Node, 5) -> <<120, Node/binary, (1 bsl 40):64, 99:32>>;
pack(Node, 6) -> <<101, Node/binary, 7:32, 1>>;
pack(Node, 7) -> <<114, 1:16, Node/binary, 1, 7:32>>;
pack(Node, 8) -> <<114, 3:16, Node/binary, 1, 7:32, 8:32, 9:32>>;
pack(Node, 9) -> <<90, 3:16, Node/binary, 99:32, 7:32, 8:32, 9:32>>;
pack(Node, 10) -> <<90, 5:16, Node/binary, 99:32, 1:32, 2:32, 3:32, 4:32, 5:32>>.

local() ->
    try
        [term_to_binary(T, [local]) || T <- [x, {1, "two", self()}, make_ref()]]
    catch
        error:badarg -> []
    end.

%% ---- depth ----

deep(Port) ->
    Nests = [fun(T) -> {T} end, fun(T) -> [T] end, fun(T) -> #{T => x} end,
             fun(T) -> #{x => T} end, fun(T) -> {a, T, b} end,
             fun(T) -> [a, T | b] end],
    [begin
         same(Port, nest(Nest, Depth, Leaf)),
         same(Port, nest(Nest, ?DEPTH, Leaf)),
         <<>> = ask(Port, term_to_binary(nest(Nest, ?DEPTH + 1, Leaf))),
         <<>> = ask(Port, term_to_binary(nest(Nest, 100000, Leaf)))
     end || Nest <- Nests, Depth <- [1, 2, 255], Leaf <- [x, 1.5, <<"y">>, []]],
    same(Port, nest(hd(Nests), ?DEPTH - 1, "string")),
    <<>> = ask(Port, term_to_binary(nest(hd(Nests), ?DEPTH, "string"))),
    length(Nests) * 3 * 4.

nest(_, 0, Term) -> Term;
nest(Nest, Depth, Term) -> nest(Nest, Depth - 1, Nest(Term)).

%% ---- random terms ----

random(Port, Count, Generate) ->
    lists:sum([begin
                   Options = one_of(options()),
                   Term = Generate(),
                   Bytes = term_to_binary(Term, Options),
                   same(Port, Term, Bytes)
               end || _ <- lists:seq(1, Count)]).

one_of(List) -> lists:nth(rand:uniform(length(List)), List).

below(N) -> rand:uniform(N) - 1.

any() ->
    case below(20) of
        0 -> nest(one_of([fun(T) -> {x, T} end, fun(T) -> [T | <<"t">>] end,
                          fun(T) -> #{1 => T} end]),
                  below(200), any(2));
        _ -> any(5)
    end.

any(0) -> leaf();
any(Depth) ->
    case below(10) of
        0 -> list_to_tuple(some(Depth));
        1 -> some(Depth);
        2 -> some(Depth) ++ leaf();
        3 -> maps:from_list([{any(Depth - 1), any(Depth - 1)}
                             || _ <- lists:seq(1, below(6))]);
        4 -> maps:from_list([{leaf(), X} || X <- lists:seq(1, below(80))]);
        5 -> {Bound, Other} = {any(Depth - 1), leaf()},
             case below(2) of
                 0 -> fun() -> {Bound, Other} end;
                 1 -> fun(X) -> [X, Bound] end
             end;
        _ -> leaf()
    end.

some(Depth) -> [any(Depth - 1) || _ <- lists:seq(1, below(6))].

leaf() ->
    case below(14) of
        0 -> atom();
        1 -> below(300) - 20;
        2 -> integer();
        3 -> integer();
        4 -> float();
        5 -> rand:bytes(below(40));
        6 -> bits();
        7 -> binary_to_list(rand:bytes(below(300)));
        8 -> [below(300) || _ <- lists:seq(1, below(10))];
        9 -> self();
        10 -> make_ref();
        11 -> one_of(erlang:ports());
        12 -> one_of([fun erlang:self/0, fun lists:map/2, [], {}, #{}, <<>>]);
        13 -> binary_to_term(<<131, (pack(one_of(nodes_by_hand()),
                                          known_again()))/binary>>)
    end.

%% Not a reference of one word: as keys of large maps the emulator (OTP 25)
%% does not find them again itself.
known_again() -> one_of([1, 2, 3, 4, 5, 8, 9, 10]).

%% Few enough for the emulator's table.
atom() ->
    Character = one_of([0, $a, $~, 16#80, 16#ff, 16#100, 16#7ff, 16#800,
                        16#ffff, 16#10000, 16#10ffff]),
    list_to_atom(lists:duplicate(one_of([0, 1, 3, 60, 255]), Character)).

integer() ->
    Bits = one_of([below(70), below(70), below(3000)]),
    Size = Bits + 1,
    <<Value:Size/signed>> = <<(rand_bits(Size)):Size>>,
    Value.

rand_bits(Size) ->
    <<Value:Size, _/bits>> = rand:bytes(Size div 8 + 1),
    Value.

float() ->
    case rand:bytes(8) of
        <<Value/float>> -> Value;
        _ -> 0.5
    end.

bits() ->
    Bytes = rand:bytes(20),
    Size = below(160),
    <<Bits:Size/bits, _/bits>> = Bytes,
    Bits.

%% ---- PropEr's ----

proper(Port, Count) ->
    case code:ensure_loaded(proper_gen) of
        {module, _} -> random(Port, Count, fun proper_term/0);
        _ -> io:format("without PropEr: apt install erlang-proper~n"), 0
    end.

proper_term() ->
    Seed = {below(1 bsl 30), below(1 bsl 30), below(1 bsl 30)},
    {ok, Term} = proper_gen:pick(proper_types:term(), below(42), Seed),
    Term.

%% ---- each tag that fits ----

by_hand(Port, Count) ->
    lists:sum([begin
                   Term = any(),
                   Bytes = <<131, (pack(Term))/binary>>,
                   same(Port, Term, Bytes)
               end || _ <- lists:seq(1, Count)]).

pack(Term) when is_atom(Term) ->
    Utf8 = atom_to_binary(Term, utf8),
    Size = byte_size(Utf8),
    Latin1 = try atom_to_binary(Term, latin1) catch error:_ -> none end,
    one_of([<<118, Size:16, Utf8/binary>>] ++
           [<<119, Size, Utf8/binary>> || Size < 256] ++
           [<<100, (byte_size(Latin1)):16, Latin1/binary>>
            || Latin1 =/= none] ++
           [<<115, (byte_size(Latin1)), Latin1/binary>> || Latin1 =/= none]);
pack(Term) when is_integer(Term) ->
    Magnitude = binary:encode_unsigned(abs(Term), little),
    Padded = <<Magnitude/binary, 0:(8 * below(4))>>,
    Size = byte_size(Padded),
    Sign = case Term < 0 of true -> 1; false -> 0 end,
    one_of([<<111, Size:32, Sign, Padded/binary>>] ++
           [<<110, Size, Sign, Padded/binary>> || Size < 256] ++
           [<<97, Term>> || Term >= 0, Term < 256] ++
           [<<98, Term:32>> || Term >= -(1 bsl 31), Term < 1 bsl 31]);
pack(Term) when is_float(Term) ->
    Text = iolist_to_binary(io_lib:format("~.20e", [Term])),
    Size = byte_size(Text),
    one_of([<<70, Term/float>>] ++
           [<<99, Text/binary, 0:((31 - Size) * 8)>>
            || Size =< 31, binary_to_float(Text) =:= Term]);
pack(Term) when is_binary(Term) ->
    Size = byte_size(Term),
    one_of([<<109, Size:32, Term/binary>>] ++
           [<<77, Size:32, 8, Term/binary>> || Size > 0]);
pack(Term) when is_tuple(Term) ->
    Size = tuple_size(Term),
    Elements = << <<(pack(E))/binary>> || E <- tuple_to_list(Term) >>,
    one_of([<<105, Size:32, Elements/binary>>] ++
           [<<104, Size, Elements/binary>> || Size < 256]);
pack([]) -> one_of([<<106>>, <<107, 0:16>>, <<108, 0:32, 106>>]);
pack(Term) when is_list(Term) ->
    IsString = try length(Term) < 65536 andalso
                   lists:all(fun(C) -> is_integer(C) andalso C >= 0 andalso
                                           C < 256 end, Term)
               catch error:badarg -> false end,
    one_of([pack_list(Term)] ++
           [<<107, (length(Term)):16, (list_to_binary(Term))/binary>>
            || IsString]);
pack(Term) when is_map(Term) ->
    Pairs = << <<(pack(K))/binary, (pack(V))/binary>>
               || {K, V} <- maps:to_list(Term) >>,
    <<116, (map_size(Term)):32, Pairs/binary>>;
pack(Term) ->
    <<131, Bytes/binary>> = term_to_binary(Term),
    Bytes.

%% In two pieces, now and then.
pack_list(Term) ->
    {Elements, Tail} = pieces(Term, []),
    Size = length(Elements),
    Packed = << <<(pack(E))/binary>> || E <- Elements >>,
    <<108, Size:32, Packed/binary, (pack(Tail))/binary>>.

pieces([Element | Rest], Before) ->
    case is_list(Rest) andalso below(100) == 0 of
        true -> {lists:reverse([Element | Before]), Rest};
        false -> pieces(Rest, [Element | Before])
    end;
pieces(Tail, Before) -> {lists:reverse(Before), Tail}.

%% ---- changed bytes ----

%% The emulator does not ask how long a fun says it is, and reads compressed
%% terms and atoms by their place in its table; what it takes else has to be
%% taken.
changed(Port, Count) ->
    Taken = [change_one(Port) || _ <- lists:seq(1, Count)],
    Sum = fun(Which) -> length([x || T <- Taken, T =:= Which]) end,
    io:format("taken by both ~b, by us alone ~b, by none ~b~n",
              [Sum(both), Sum(us), Sum(none)]),
    Count.

change_one(Port) ->
    <<131, Bytes/binary>> = term_to_binary(any(2), one_of(options())),
    Changed = <<131, (change(Bytes))/binary>>,
    compare(taken(Changed), ask(Port, Changed), Changed).

change(Bytes) ->
    At = below(byte_size(Bytes)),
    <<Before:At/binary, Byte, Behind/binary>> = Bytes,
    case below(4) of
        0 -> <<Before/binary, (below(256)), Behind/binary>>;
        1 -> <<Before/binary, (Byte bxor (1 bsl below(8))), Behind/binary>>;
        2 -> <<Before/binary, Behind/binary>>;
        3 -> <<Before/binary, Byte, (below(256)), Behind/binary>>
    end.

%% All of it, that is.
taken(Bytes) ->
    try binary_to_term(Bytes, [used]) of
        {Term, Used} when Used =:= byte_size(Bytes) -> {ok, Term};
        _ -> none
    catch
        error:badarg -> none
    end.

compare({ok, Term}, <<>>, Bytes) ->
    case excused(Bytes) of
        true -> none;
        false -> error({refused, Bytes, Term})
    end;
compare({ok, Term}, Answer, Bytes) ->
    case binary_to_term(Answer) of
        Term -> both;
        Other -> error({not_the_same, Bytes, Term, Other})
    end;
compare(none, <<>>, _) -> none;
compare(none, _, _) -> us.

excused(<<131, 80, _/binary>>) -> true;
excused(Bytes) -> binary:match(Bytes, [<<112>>, <<73>>, <<75>>]) =/= nomatch.
