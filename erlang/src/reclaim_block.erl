%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_block - the block of memory that this emulator lives in
%%
%% In an emulator that reclaim-erl started, all that it obtains by malloc is in
%% one block.  stats/0 tells of the block, and of what the emulator maps beside
%% it by itself: literals, machine code, stacks.
%%
%% Bytes everywhere.  Where there is no block, as in an emulator that was
%% started otherwise, all but outside/0 fail with the reason no_block.

-module(reclaim_block).

-export([stats/0, outside/0, show/0, svg/1]).

-on_load(load/0).

-type block() :: #{
    policy := aoff | aobf | bf,
    total := pos_integer(),
    kept := pos_integer(),
    allocated := non_neg_integer(),
    peak := non_neg_integer(),
    free := non_neg_integer(),
    fronts := non_neg_integer(),
    longest := non_neg_integer(),
    blocks := non_neg_integer(),
    holes := non_neg_integer(),
    spilled := non_neg_integer(),
    spilled_blocks := non_neg_integer()
}.
-type outside() :: #{
    literals := non_neg_integer(),
    code := non_neg_integer(),
    stacks := non_neg_integer(),
    files := non_neg_integer(),
    other := non_neg_integer()
}.

load() ->
    Beam = code:which(?MODULE),
    Folder = filename:dirname(filename:dirname(Beam)),
    erlang:load_nif(filename:join([Folder, "priv", "reclaim_block_nif"]), 0).

%% The block, in one snapshot: total = kept + allocated + free.
-spec stats() -> #{block := block(), outside := outside()}.
stats() ->
    case block() of
        none -> error(no_block);
        Block -> #{block => Block, outside => outside()}
    end.

block() ->
    erlang:nif_error(not_loaded).

area() ->
    erlang:nif_error(not_loaded).

%% Draw the block as an SVG picture.
-spec svg(file:name_all()) -> ok | {error, file:posix()}.
svg(File) ->
    case draw(<<(name(File))/binary, 0>>) of
        none -> error(no_block);
        Result -> Result
    end.

%% What is raw stays as it is.
name(File) when is_binary(File) -> File;
name(File) when is_list(File); is_atom(File) ->
    unicode:characters_to_binary(filename:flatten(File));
name(_) -> error(badarg).

draw(_Path) ->
    erlang:nif_error(not_loaded).

%% What is resident beside the block, by what it is.
-spec outside() -> outside().
outside() ->
    {ok, Text} = file:read_file("/proc/self/smaps"),
    Mappings = mappings(binary:split(Text, <<"\n">>, [global]), []),
    Zero = #{literals => 0, code => 0, stacks => 0, files => 0, other => 0},
    sum(none, Mappings, area(), Zero).

%% {From, To, Access, Name, Resident} of each, in their order.
mappings([], Mappings) ->
    lists:reverse(Mappings);
mappings([<<"Rss:", Rest/binary>> | Lines], [{From, To, Access, Name, 0} | Mappings]) ->
    [Number | _] = string:lexemes(Rest, " "),
    Resident = binary_to_integer(Number) * 1024,
    mappings(Lines, [{From, To, Access, Name, Resident} | Mappings]);
mappings([Line | Lines], Mappings) ->
    Form = "^([0-9a-f]+)-([0-9a-f]+) (\\S+) \\S+ \\S+ \\S+ *(.*)",
    case re:run(Line, Form, [{capture, all_but_first, binary}]) of
        {match, [From, To, Access, Name]} ->
            Mapping = {binary_to_integer(From, 16), binary_to_integer(To, 16), Access, Name, 0},
            mappings(Lines, [Mapping | Mappings]);
        nomatch ->
            mappings(Lines, Mappings)
    end.

sum(_, [], _, Sums) ->
    Sums;
sum(Before, [Mapping | Rest], Area, Sums) ->
    After =
        case Rest of
            [Next | _] -> Next;
            [] -> none
        end,
    Kind = kind(Before, Mapping, After, Area),
    Resident = element(5, Mapping),
    case Sums of
        #{Kind := Sum} -> sum(Mapping, Rest, Area, Sums#{Kind := Sum + Resident});
        #{} -> sum(Mapping, Rest, Area, Sums)
    end.

%% Code is mapped twice, to be written and to be run.  A thread's stack lies
%% behind a few pages of no access; of the literals' area, which is reserved as
%% a whole, most is not in use, and has none either.
-define(GUARD, 65536).
-define(RESERVED, (1 bsl 28)).

kind(_, {From, _, _, _, _}, _, {First, Last}) when From >= First, From < Last ->
    the_block;
kind(_, {_, _, <<_, _, "x", _/binary>>, <<"/memfd:", _/binary>>, _}, _, _) ->
    code;
kind(_, {_, _, _, <<"/memfd:", _/binary>>, _}, _, _) ->
    code_again;
kind(_, {_, _, _, <<"/", _/binary>>, _}, _, _) ->
    files;
kind(_, {_, _, _, <<"[stack", _/binary>>, _}, _, _) ->
    stacks;
kind(_, {_, _, <<_, _, "x", _/binary>>, <<>>, _}, _, _) ->
    code;
kind({Guard, From, <<"---", _/binary>>, _, _}, {From, _, _, <<>>, _}, _, _) when
    From - Guard =< ?GUARD
->
    stacks;
kind(_, {_, To, _, <<>>, _}, {To, End, <<"---", _/binary>>, _, _}, _) when
    End - To >= ?RESERVED
->
    literals;
kind(_, _, _, _) ->
    other.

%% Print both.
-spec show() -> ok.
show() ->
    #{block := Block, outside := Outside} = stats(),
    #{policy := Policy, total := Total, blocks := Blocks, holes := Holes} = Block,
    io:format("block, ~s ~28s ~12s~n", [Policy, "bytes", "number"]),
    [
        io:format("  ~-18s ~20b ~12s~n", [What, Bytes, number(Number)])
     || {What, Bytes, Number} <- [
            {"total", Total, Blocks + Holes},
            {"kept of it", maps:get(kept, Block), none},
            {"allocated", maps:get(allocated, Block), Blocks},
            {"at most", maps:get(peak, Block), none},
            {"free", maps:get(free, Block), Holes},
            {"largest free", maps:get(longest, Block), none},
            {"spilled", maps:get(spilled, Block), maps:get(spilled_blocks, Block)}
        ]
    ],
    io:format("outside of it~n"),
    [
        io:format("  ~-18s ~20b~n", [What, maps:get(What, Outside)])
     || What <- [literals, code, stacks, files, other]
    ],
    ok.

number(none) -> "-";
number(N) -> integer_to_list(N).
