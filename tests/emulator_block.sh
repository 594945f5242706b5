#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# emulator_block - the Erlang emulator with all its memory in a block
#
# reclaim-erl starts the real emulator, in the build folder; emulator_block.erl
# is what is tested from within.
set -eu
export LC_ALL=C.UTF-8

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
emulator=
end() {
	[ -z "$emulator" ] || kill -KILL "$emulator" 2>/dev/null || :
	rm -rf "$scratch"
}
trap end EXIT
cd "$scratch"
# shellcheck disable=SC3045 # where it is none it does not matter
ulimit -c 0 || :

unset LD_PRELOAD RECLAIM_ERL ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS
for name in $(env | sed -n 's/^\(RECLAIM_BLOCK_[A-Z]*\)=.*/\1/p'); do
	unset "$name"
done
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

command -v erlc >/dev/null || {
	echo "FAIL: there is no Erlang/OTP: apt install erlang-base"
	exit 1
}
erlc -o "$scratch" "$srcdir/tests/emulator_block.erl"

# What hangs has failed.
run() { # [OPTION]... [ERL_ARGUMENT]...
	RECLAIM_BLOCK_LIBRARY="$builddir/.libs/libreclaim-block.so" \
		RECLAIM_BLOCK_MODULES="$builddir/erlang/ebin" \
		timeout -k 5 60 "$builddir/preload/reclaim-erl" "$@"
}

# ---- from within ----

timeout -k 5 60 erl -noinput -pa "$scratch" -pa "$builddir/erlang/ebin" \
	-run emulator_block plain "$scratch" || status=1
for policy in aoff aobf bf; do
	run --block 512M --policy $policy -noinput -pa "$scratch" \
		-run emulator_block main $policy 536870912 "$scratch" || status=1
done

# ---- its shell ----

shell_says() { # TEXT EXPRESSION
	echo "$2" | run >said 2>&1
	cat said
	grep -q -- "$1" said
}

shows() {
	shell_says 'block, aoff  *bytes  *number' 'reclaim_block:show().' || return
	grep -Eq '^  total  *1073741824  *[1-9][0-9]*$' said || return
	for line in 'kept of it' 'at most' 'largest free'; do
		grep -Eq "^  $line  *[1-9][0-9]*  *-\$" said || return
	done
	for line in allocated free; do
		grep -Eq "^  $line  *[1-9][0-9]*  *[1-9][0-9]*\$" said || return
	done
	grep -Eq '^  spilled  *0  *0$' said || return
	for line in literals code stacks files other; do
		grep -Eq "^  $line  *[0-9]+\$" said || return
	done
}

check "the shell evaluates" shell_says 6000042 'X = 6 * 7, 6000000 + X.'
check "show/0 prints the block and what is beside it" shows

# ---- how it is started ----

# Only the emulator: no script on the way, and no program of its own.
tells_at_exit() {
	run --block 256M --stats exit -noinput -eval 'halt().' 2>err
	cat err
	[ "$(wc -l <err)" -eq 2 ] &&
		! grep -Ev '^reclaim-block: beam\.smp [0-9]+: (block|\[)' err
}

starts_another() {
	RECLAIM_ERL=/bin/echo run --policy=bf -- --version "a  b" >said
	cat said
	[ "$(cat said)" = \
		"+Mea min -pa $builddir/erlang/ebin --version a  b" ]
}

spills() {
	run --block 8M --full spill -noinput -eval '
		#{block := #{total := 8388608, spilled := Bytes,
			spilled_blocks := Number}} = reclaim_block:stats(),
		true = Bytes > 1000000, true = Number > 10, halt().'
}

draws_at_exit() {
	run --svg at-exit.svg -noinput -eval 'halt().' &&
		[ "$(tail -n 1 at-exit.svg)" = '</svg>' ]
}

# By whom it is not said, but once by us, at least.
fails_small() { # SIZE KIB
	code=0
	run --block "$1" -noinput -eval 'halt().' >said 2>&1 || code=$?
	cat said
	[ "$code" -ne 0 ] && [ "$code" -ne 124 ] &&
		[ "$(grep -Ec "^reclaim-block: beam\.smp [0-9]+: the block of \
$2 KiB has no room for [0-9]+ bytes\$" said)" -eq 1 ]
}

check "its figures at exit" tells_at_exit
check "RECLAIM_ERL is started instead" starts_another
check "--full spill: it runs beside the block, too" spills
check "--svg: a picture at exit" draws_at_exit
for size in 64 128 512 2048 8192 12288; do
	check "a block of $size KiB is too small, and that is said" \
		fails_small ${size}K $size
done

# ---- what a SIGKILL leaves ----

run --block 256M -noinput -pa "$scratch" -run emulator_block wait \
	"$scratch/pids" 2>/dev/null &
emulator=$!
tries=0
while [ ! -e pids ] && [ "$tries" -lt 300 ]; do
	sleep 0.1
	tries=$((tries + 1))
done

gone() { # PID...
	tries=0
	for pid; do
		while [ -e "/proc/$pid" ] && [ "$tries" -lt 200 ]; do
			sleep 0.05
			tries=$((tries + 1))
		done
		[ ! -e "/proc/$pid" ] || return
	done
}

killed() {
	read -r beam program <pids || return
	kept=$(pgrep -P "$beam") || return
	shared=$(find /dev/shm -name '*eclaim*' | wc -l)
	kill -KILL "$beam" || return
	wait "$emulator"
	emulator=
	# shellcheck disable=SC2086 # a list
	gone "$beam" "$program" $kept &&
		[ "$(find /dev/shm -name '*eclaim*' | wc -l)" -le "$shared" ]
}

check "a SIGKILL leaves nothing" killed
exit "$status"
