#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# preload - programs of somebody else's with all their memory in a block
#
# preload_victim.c sees from within whether malloc is as POSIX says, and where
# its memory is; each of its acts that goes with libc's malloc, too, is done
# with that first.  Then whole programs, whose results have to be the same.
# All of it as reclaim-run starts it, in the build folder.
set -eu
export LC_ALL=C

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
cc=${CC:-cc}
cxx=${CXX:-c++}
python=/usr/bin/python3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
# shellcheck disable=SC3045 # where it is none it does not matter
ulimit -c 0 || :

unset LD_PRELOAD
for name in $(env | sed -n 's/^\(RECLAIM_BLOCK_[A-Z]*\)=.*/\1/p'); do
	unset "$name"
done
library=$builddir/.libs/libreclaim-block.so

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

# ---- how things are run ----

# What hangs has failed.  What this shell says of signals is nobody's news.
patiently() ( # COMMAND...
	exec 3>&2 2>/dev/null
	(
		exec 2>&3 3>&-
		exec timeout -k 5 120 "$@"
	)
	exit $?
)

run() { # [OPTION]... PROGRAM [ARGUMENT]...
	RECLAIM_BLOCK_LIBRARY="$library" \
		patiently "$builddir/preload/reclaim-run" "$@"
}

victim() { # ACT [OPTION]...
	act=$1
	shift
	run "$@" ./victim inside "$act"
}

# Without reclaim-run, as somebody may who reads what it does.
preloaded() { # VARIABLE=VALUE... PROGRAM [ARGUMENT]...
	patiently env LD_PRELOAD="$library" "$@"
}

# ---- what is to come of it ----

# Each line on stderr is such a one, or there is none where there is no pattern.
tells() { # STATUS PATTERN COMMAND...
	wanted=$1
	pattern=$2
	shift 2
	code=0
	"$@" >out 2>err </dev/null || code=$?
	cat out err
	echo "status $code; wanted: $wanted, and lines as: $pattern"
	[ "$code" -eq "$wanted" ] || return 1
	if [ -z "$pattern" ]; then
		[ ! -s err ]
	else
		[ -s err ] && ! grep -Evxq -- "$pattern" err
	fi
}

tells_lines() { # LINES STATUS PATTERN COMMAND...
	lines=$1
	shift
	tells "$@" && [ "$(wc -l <err)" -eq "$lines" ]
}

silent() { # COMMAND...
	tells 0 '' "$@"
}

prints() { # TEXT COMMAND...
	text=$1
	shift
	tells 0 '' "$@" && [ "$(cat out)" = "$text" ]
}

# ---- the victim ----

compile() { # OUTPUT
	# shellcheck disable=SC2086 # a compiler may have options
	$cc -g -O1 -Wall -Wextra -Werror -fno-builtin -DRECLAIM_NO_ALIAS \
		-I"$srcdir/include" -o "$1" "$srcdir/tests/preload_victim.c" \
		-pthread -ldl
}

compile_cxx() {
	# shellcheck disable=SC2086
	$cxx -g -O1 -Wall -Wextra -Werror -DRECLAIM_NO_ALIAS -DLIBRARY \
		-I"$srcdir/include" -shared -fPIC -o libearly.so \
		"$srcdir/tests/preload_cxx.cc" -ldl &&
		$cxx -g -O1 -Wall -Wextra -Werror -DRECLAIM_NO_ALIAS \
			-I"$srcdir/include" -o cxx \
			"$srcdir/tests/preload_cxx.cc" \
			"$scratch/libearly.so" -ldl
}

compile_empty() { # NAME...
	for name; do
		# shellcheck disable=SC2086
		echo "extern int $name; int $name;" |
			$cc -shared -fPIC -x c -o "$name.so" - || return
	done
}

check "the victim compiles" compile victim
check "a C++ program and its library compile" compile_cxx
check "libraries of nothing compile" compile_empty one two

# ---- malloc(3), and where memory is ----

for act in malloc no-size calloc realloc realloc-to-nothing reallocarray \
	alignment posix_memalign pages malloc_usable_size free libc \
	constructor threads forks; do
	check "$act: so it is with libc" silent patiently ./victim outside $act
	check "$act: so it is in a block" silent victim $act --block 256M
done
check "forks, while other threads allocate" \
	silent victim forks-beside-threads --block 256M
check "forks, while other threads use streams" \
	silent victim forks-beside-streams --block 256M
check "C++: static initialisers and exceptions" prints well run ./cxx
check "figures, of a snapshot" silent victim figures --block 256M
for policy in aoff aobf bf; do
	check "$policy: the place that it takes" \
		silent victim place-$policy --block 8M --policy $policy
	for act in realloc alignment posix_memalign calloc threads; do
		check "$policy: $act" \
			silent victim $act --block=256M --policy=$policy
	done
done
for act in realloc alignment posix_memalign calloc threads; do
	check "without fronts: $act" \
		silent victim $act --block=256M --front=0
done
for act in forks forks-beside-threads forks-beside-streams; do
	check "without fronts: $act" silent victim $act --block 256M --front 0
done

# ---- children ----

environment() { # COMMAND...
	env | grep -Ev '^(_|RECLAIM_BLOCK_LIBRARY)=' | sort >want
	silent "$@" env && grep -v '^_=' out | sort | diff want -
}


cat >child.sh <<'END'
#!/bin/sh
# shellcheck disable=SC2154
env | sed -n 's/^LD_PRELOAD=//p'
env | grep ^RECLAIM_BLOCK_
grep -c libreclaim-block /proc/self/maps
END
chmod +x child.sh

child_has() { # LD_PRELOAD WANTED
	printf '%s\n0\n' "$2" | grep . >want
	patiently env LD_PRELOAD="$1" RECLAIM_BLOCK_SIZE=1M \
		sh -c './child.sh; :' >got
	diff want got
}

with_others() {
	printf '%s\n0\n' "$scratch/one.so:$scratch/two.so" >want
	LD_PRELOAD=$scratch/one.so:$scratch/two.so \
		run sh -c './child.sh; :' >got
	diff want got
}

check "what a program sees of the environment is as without" environment run
check "a child is outside, and has nothing of ours" child_has "$library" ""
check "... keeps what is preloaded behind it" \
	child_has "$library:$scratch/one.so" "$scratch/one.so"
check "... and before it" \
	child_has "$scratch/one.so:$library" "$scratch/one.so"
check "... on both sides" \
	child_has "$scratch/one.so:$library:$scratch/two.so" \
	"$scratch/one.so:$scratch/two.so"
check "... with blanks between" \
	child_has "$scratch/one.so  $library $scratch/two.so" \
	"$scratch/one.so:$scratch/two.so"
check "... and a name that only begins so" \
	child_has "$library:$scratch/libreclaim-block.so.d/one.so" \
	"$scratch/libreclaim-block.so.d/one.so"
check "reclaim-run adds to what is preloaded" with_others
check "--inherit: a child is inside" prints 1048576 \
	run --inherit --block 1M sh -c './victim inside total; :'
check "without it a child is outside" silent \
	run --block 1M sh -c './victim outside nothing; :'

cat >starter.sh <<'END'
#!/bin/sh
/bin/true
./victim inside total
/bin/true
END
chmod +x starter.sh
figures="block of [0-9]+ KiB, (aoff|aobf|bf): [0-9]+ KiB allocated in [0-9]+ \
\([0-9]+ KiB at most\), [0-9]+ KiB free in [0-9]+ \(largest [0-9]+ KiB\), \
[0-9]+ KiB kept; outside [0-9]+ KiB in [0-9]+"
row='\[(·|░|▒|▓|█){64}\]'
head='reclaim-block: victim [0-9]+: '
stats="$head($figures|$row)"

check "--only: the program that a shell script starts" tells_lines 2 0 \
	"$stats" run --only 'vict*' --block 1M --stats exit ./starter.sh
check "... was inside" grep -qx 1048576 out
check "--only: no other program" silent \
	run --only other --stats exit sh -c 'true'

# ---- when it is full ----

no_room="${head}the block of 1024 KiB has no room for 1024 bytes"
check "--full fail: ENOMEM, told once, and it goes on" \
	tells_lines 1 0 "$no_room" victim full --block 1M --front 0 --full fail
check "... to its end" grep -qx 'goes on' out
check "... by default" tells_lines 1 0 "$no_room" \
	victim full --block 1M --front 0
for policy in aobf bf; do
	check "... with $policy" tells_lines 1 0 "$no_room" \
		victim full --block 1M --front 0 --policy $policy
done
check "--full spill: to libc, counted, and back" \
	silent victim overflowing --block 1M --front 0 --full spill
check "... and there is none without" \
	tells 3 '.*' victim overflowing --block 1M

# ---- wrong use ----

misuse() { # ACT MESSAGE TIMES
	message="$head$2: nothing is done"
	check "$1: told, and it goes on" \
		tells_lines "$3" 0 "$message" victim "$1" --misuse warn
	check "... to its end" grep -qx 'goes on' out
	check "$1: told by default" tells_lines "$3" 0 "$message" victim "$1"
	check "$1: off" prints 'goes on' victim "$1" --misuse off
	check "$1: abort" tells_lines 1 134 "$message" \
		victim "$1" --misuse abort
}
misuse free-twice "free of 0x[0-9a-f]+, which was freed before" 1
misuse free-interior "free of 0x[0-9a-f]+, which is in the middle" 2
misuse realloc-freed "realloc of 0x[0-9a-f]+, which was freed before" 1
misuse realloc-interior "realloc of 0x[0-9a-f]+, which is in the middle" 1

# ---- figures at exit and by signal, and a picture ----

is_picture() { # FILE
	"$python" - "$1" <<'END'
import sys, xml.dom.minidom
root = xml.dom.minidom.parse(sys.argv[1]).documentElement
texts = [t.firstChild.data for t in root.getElementsByTagName("text")]
assert root.tagName == "svg"
assert len(root.getElementsByTagName("rect")) > 4
assert texts[0].startswith("Memory block of "), texts
for what in ["kept of the block: ", "allocated: ", "free: "]:
    assert any(t.startswith(what) for t in texts), texts
END
}

check "--stats exit" tells_lines 2 0 "$stats" victim malloc --stats exit
check "... nothing without" silent victim malloc
check "--stats signal: of an idle program, each time" \
	tells_lines 6 0 "$stats" victim signals-while-idle --stats signal
check "--stats signal: of a busy one, whole lines" \
	tells 0 "$stats" victim signals-while-busy --stats signal
check "--stats exit,signal" \
	tells_lines 8 0 "$stats" victim signals-while-idle --stats exit,signal
check "without signal SIGUSR2 is the program's own" \
	tells 140 '' victim signals-while-idle --stats exit
check "--svg" silent victim malloc --svg malloc.svg
check "... draws a picture" is_picture malloc.svg
check "--svg where it cannot be: told" tells_lines 1 0 \
	"$head/none/of.svg: No such file or directory" \
	victim malloc --svg /none/of.svg
check "--svg of a full block" tells_lines 1 0 \
	"${head}the block of 1024 KiB has no room for [0-9]+ bytes" \
	victim exhaust --block 1M --svg full.svg
check "... draws a picture" is_picture full.svg

# ---- sizes ----

for size in 65536=65536 64K=65536 100k=102400 1M=1048576 3m=3145728 \
	1G=1073741824 2g=2147483648 1T=1099511627776; do
	check "--block ${size%=*}" \
		prints "${size#*=}" victim total --block "${size%=*}"
done
check "without --block" prints 1073741824 victim total
outside="reclaim-block: env [0-9]+: .*: the program runs outside of (a block|one)"
for size in 0 10 65535 63K 99999T 99999999999999999999T; do
	check "--block $size: told once, and outside" \
		tells_lines 1 0 "$outside" run --block $size env true
done
for policy in aobf bf; do
	check "--block 16T --policy $policy: told once, and outside" \
		tells_lines 1 0 "$outside" \
		run --block 16T --policy $policy env true
done
for size in 12x 1KB -1 64.5K 0x10000 ''; do
	check "RECLAIM_BLOCK_SIZE=$size" tells "0" \
		"${size:+$outside}" \
		preloaded RECLAIM_BLOCK_SIZE="$size" env true
done
for name in POLICY=worst FULL=never MISUSE=maybe FRONT=0x10 STATS=often; do
	check "RECLAIM_BLOCK_$name: told, and the default" tells_lines 1 0 \
		"${head}RECLAIM_BLOCK_$name .*: it is (aoff|fail|warn|256K|none)" \
		preloaded RECLAIM_BLOCK_$name ./victim inside place-aoff
done

# ---- options ----

helps() { # PROGRAM
	tells 0 '' "$builddir/preload/$1" --help && grep -q "^usage: $1 " out ||
		return
	for option in block policy front full misuse stats svg inherit version; do
		grep -Eq -- "--$option( |,|\$)" out || return
	done
}

version() { # PROGRAM
	wanted=$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' \
		"$builddir/config.h")
	prints "$1 (libreclaim) $wanted" "$builddir/preload/$1" --version
}

for program in reclaim-run reclaim-erl; do
	check "$program --help" helps $program
	check "$program --version" version $program
done
check "reclaim-erl --only is refused" tells_lines 1 2 \
	"reclaim-erl: --only .* \(reclaim-erl --help\)" \
	"$builddir/preload/reclaim-erl" --only x
wrong="reclaim-run: .* \(reclaim-run --help\)"
for option in --block=12x --block=1KB --block=-1 --block=K --block= \
	--block=64.5K --front=x --policy=worst --full=maybe --misuse=yes --stats=never \
	'--stats=exit,' --nonsense=x --nonsense --block --svg --; do
	check "reclaim-run $option is refused" \
		tells_lines 1 2 "$wrong" run $option
done
check "reclaim-run --block 12x PROGRAM is refused" \
	tells_lines 1 2 "$wrong" run --block 12x true
check "reclaim-run alone is refused" tells_lines 1 2 "$wrong" run
check "no library: told" tells_lines 1 2 "reclaim-run: /none.so is not there.*" \
	env RECLAIM_BLOCK_LIBRARY=/none.so "$builddir/preload/reclaim-run" true
check "no such program: the shell's status" \
	tells 127 '.*not found' run ./none-such
check "the program's status is that of reclaim-run" \
	tells 7 '' run sh -c 'exit 7'
check "arguments are passed as they are" prints '<a b><><*><--block>' \
	run -- /usr/bin/printf '<%s>' 'a b' '' '*' --block

# ---- whole programs ----

# The same with and without, and it was inside: it told so.
same() { # OPTION... -- COMMAND...
	rm -rf made
	set -- "$@"
	options=
	while [ "$1" != -- ]; do
		options="$options $1"
		shift
	done
	shift
	mkdir made
	patiently "$@" >want 2>&1 </dev/null || return
	mv made want-made
	mkdir made
	# shellcheck disable=SC2086 # a list
	run --stats exit $options "$@" >got 2>err </dev/null
	code=$?
	tail -n 20 err
	diff want got && diff -r want-made made && [ "$code" -eq 0 ] &&
		[ -s err ] && ! grep -Evq '^reclaim-block: .*(block of|\[)' err
	code=$?
	rm -rf made want-made
	return "$code"
}

cat >load.sql <<'END'
pragma journal_mode = off; pragma synchronous = off;
pragma cache_size = -4000; pragma temp_store = memory;
create table t (id integer primary key, k integer, name text, data blob);
create index by_k on t (k);
create index by_name on t (name, k);
with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, (i * 7919) % 20011,
	'name ' || ((i * 104729) % 9973), zeroblob(i % 97) from n;
select count(*), sum(k), sum(length(data)) from t;
delete from t where k % 3 = 0;
update t set name = upper(name) || k where k % 5 = 0;
insert into t select id + 100000, k + 1, name || 'x', data from t;
create table sorted as select * from t order by name desc, length(data), id;
select rowid, id, name from sorted where rowid % 5000 = 1;
select name, count(*), group_concat(k) from t group by name
	having count(*) > 7 order by 2 desc, 1 limit 20;
select count(*) from t a join t b on a.k = b.k + 1 where a.name < b.name;
drop index by_name; vacuum; reindex;
pragma integrity_check;
END
cat >load.pl <<'END'
use strict;
my (%h, @list, $sum); my $seed = 1;
sub draw { $seed = ($seed * 1103515245 + 12345) % 2147483648; $seed }
for my $round (1 .. 5) {
	for (1 .. 30000) {
		my $key = "key" . draw() % 20000;
		push @{$h{$key}}, "x" x (draw() % 60);
		delete $h{"key" . draw() % 20000} if $_ % 3 == 0;
	}
	@list = sort { length $a <=> length $b || $a cmp $b }
		map { join ",", $_, scalar @{$h{$_}} } keys %h;
	my $text = join "\n", @list;
	(my $other = $text) =~ s/key(\d+),(\d+)/$2:@{[reverse split m{}, $1]}/g;
	$sum += unpack "%32C*", $other;
	print scalar(keys %h), " $#list $sum $list[0] $list[-1]\n";
}
my $closure; $closure = sub { my $n = shift; $n ? [$closure->($n - 1)] : [] };
my $deep = $closure->(20000);
my $depth = 0; $depth++, $deep = $deep->[0] while @$deep;
print "$depth\n";
print `echo a child`;
END
cat >load.py <<'END'
import collections, decimal, hashlib, json, random, re, subprocess, sys
import threading, zlib, pickle, gc
random.seed(1)
words = ["".join(random.choices("abcdefgh", k=random.randint(1, 40)))
         for _ in range(10000)]
count = collections.Counter(w[:3] for w in words)
print(sorted(count.items())[:20], len(set(words)))
tree = {w: {"n": i, "list": list(range(i % 50)), "text": w * 3}
        for i, w in enumerate(words)}
text = json.dumps(tree, sort_keys=True)
assert json.loads(text) == tree
assert pickle.loads(pickle.dumps(tree)) == tree
packed = zlib.compress(text.encode(), 6)
assert zlib.decompress(packed).decode() == text
print(len(text), hashlib.sha256(text.encode()).hexdigest())
print(len(re.findall(r"(a+b+)+c", text)), len(text.split("a")))
decimal.getcontext().prec = 1000
print(str(decimal.Decimal(2).sqrt())[-30:], 3 ** 20000 % 10 ** 30)
found = [0] * 4
def work(n):
    own = {}
    for i in range(10000):
        own[i % 1000] = bytes(i % 700)
        if i % 7 == 0:
            own.pop((i * 31) % 1000, None)
    found[n] = sum(map(len, own.values()))
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(found)
class Node: pass
for _ in range(20000):
    a, b = Node(), Node()
    a.other, b.other = b, a
print(gc.collect() > 0)
big = bytearray(1)
while len(big) < 5000000:
    big += big[:100000] + b"x" * 1000
print(len(big), zlib.crc32(big))
print(subprocess.run(["sh", "-c", "echo $LD_PRELOAD a child"],
                     capture_output=True).stdout)
END
cat >load.sh <<'END'
seq 1 60000 | awk '{ print ($1 * 7919) % 60013, $1 }' >made/a
sort -n made/a >made/b
sort --parallel=2 -S 1M -k 2nr made/a | tac | cmp - made/a
sed 's/1/one/g;s/\(.*\) \(.*\)/\2 \1/' made/b | grep one | tr a-z A-Z | cksum
END

# The compiler proper is its driver's child.
compile_same() {
	# shellcheck disable=SC2086
	same --inherit -- $cc -w -g0 -O2 -DRECLAIM_NO_ALIAS -I"$srcdir/include" \
		-S -o made/victim.s "$srcdir/tests/preload_victim.c"
}

# What the library's own texts promise, by example.
self_checks() {
	lib=$("$python" -c 'import os; print(os.path.dirname(os.__file__))')
	for module in difflib statistics heapq bisect; do
		same --block=256M -- "$python" -m doctest \
			"$lib/$module.py" || return
	done
}

export PERL_HASH_SEED=0 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
for policy in aoff aobf bf; do
	check "sqlite3, $policy" same --policy=$policy --block=64M -- \
		sqlite3 made/file.db ".read load.sql"
	check "perl, $policy" same --policy=$policy --block=256M -- \
		perl load.pl
done
check "python3" same --block=512M -- "$python" load.py
export PYTHONMALLOC=malloc
for policy in aoff aobf bf; do
	check "python3, nothing but malloc, $policy" \
		same --policy=$policy --block=512M -- "$python" load.py
done
check "python3: what its modules promise by example" self_checks
check "the compiler" compile_same
check "a pipeline" same --inherit -- sh load.sh
exit "$status"
