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
    case draw(unicode:characters_to_binary([File, 0])) of
        none -> error(no_block);
        Result -> Result
    end.

draw(_Path) ->
    erlang:nif_error(not_loaded).

%% What is resident beside the block, by what it is.
-spec outside() -> outside().
outside() ->
    {ok, Text} = file:read_file("/proc/self/smaps"),
    Zero = #{literals => 0, code => 0, stacks => 0, files => 0, other => 0},
    Mapped = sum(binary:split(Text, <<"\n">>, [global]), area(), Zero),
    Literals = literals(),
    #{other := Other} = Mapped,
    Mapped#{literals := Literals, other := max(0, Other - Literals)}.

%% The emulator says itself how much of the area for them is in use.
literals() ->
    Instances = erlang:system_info({allocator_sizes, literal_alloc}),
    lists:sum([
        Size
     || {instance, _, Sizes} <- Instances,
        {_, Carriers} <- Sizes,
        is_list(Carriers),
        {carriers_size, Size, _, _} <- Carriers
    ]).

sum(Lines, Area, Sums) ->
    sum(Lines, Area, skipped, none, Sums).

%% Kind is that of the mapping whose lines these are, Guard the address where
%% one of no access ended, if that is small: behind it a thread has its stack.
sum([], _, _, _, Sums) ->
    Sums;
sum([<<"Rss:", Rest/binary>> | Lines], Area, Kind, Guard, Sums) when
    is_map_key(Kind, Sums)
->
    [Number | _] = string:lexemes(Rest, " "),
    Bytes = binary_to_integer(Number) * 1024,
    More = maps:update_with(Kind, fun(Sum) -> Sum + Bytes end, Sums),
    sum(Lines, Area, Kind, Guard, More);
sum([Line | Lines], Area, Kind, Guard, Sums) ->
    case re:run(Line, "^([0-9a-f]+)-([0-9a-f]+) (\\S+) \\S+ \\S+ \\S+ *(.*)", [
        {capture, all_but_first, binary}
    ]) of
        {match, [Begin, End, Access, Name]} ->
            From = binary_to_integer(Begin, 16),
            To = binary_to_integer(End, 16),
            Next = kind(Access, Name, From, Area, Guard),
            sum(Lines, Area, Next, guard(Access, From, To), Sums);
        nomatch ->
            sum(Lines, Area, Kind, Guard, Sums)
    end.

guard(<<"---", _/binary>>, From, To) when To - From =< 65536 -> To;
guard(_, _, _) -> none.

%% Code is mapped twice, to be written and to be run.
kind(_, _, From, {First, Last}, _) when From >= First, From < Last -> skipped;
kind(<<_, _, "x", _/binary>>, <<"/memfd:", _/binary>>, _, _, _) -> code;
kind(_, <<"/memfd:", _/binary>>, _, _, _) -> skipped;
kind(_, <<"/", _/binary>>, _, _, _) -> files;
kind(_, <<"[stack", _/binary>>, _, _, _) -> stacks;
kind(<<_, _, "x", _/binary>>, <<>>, _, _, _) -> code;
kind(_, <<>>, Guard, _, Guard) -> stacks;
kind(_, _, _, _, _) -> other.

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
