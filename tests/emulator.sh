#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# emulator - the examples under the real emulator, and what a SIGKILL leaves
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
emulator=
end() {
	[ -z "$emulator" ] || kill -KILL "$emulator" 2>/dev/null || :
	rm -rf "$scratch"
}
trap end EXIT

command -v erlc >/dev/null || {
	echo "FAIL: there is no Erlang/OTP: apt install erlang-base"
	exit 1
}
erlc -o "$scratch" "$srcdir/tests/emulator.erl"
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0
programs=$builddir/examples
status=0

# What the programs report of the wrong input they are given is not news.
erl -noinput -pa "$scratch" -run emulator main "$programs/echo_port" \
	"$programs/leaky_port" 2>"$scratch/said" || {
	cat "$scratch/said"
	status=1
}

erl -noinput -pa "$scratch" -run emulator killed "$programs/leaky_port" \
	"$scratch/pid" &
emulator=$!
tries=0
while [ ! -e "$scratch/pid" ] && [ $tries -lt 200 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
program=$(cat "$scratch/pid")
sleep 0.2
if [ ! -e "/proc/$program" ]; then
	echo "FAIL: the program does not run under the emulator"
	exit 1
fi
kill -KILL "$emulator"
wait "$emulator" 2>/dev/null || :
emulator=
tries=0
while [ -e "/proc/$program" ] && [ $tries -lt 200 ]; do
	sleep 0.05
	tries=$((tries + 1))
done
if [ -e "/proc/$program" ]; then
	echo "FAIL: the program goes on after the emulator was killed"
	kill -KILL "$program"
	status=1
else
	echo "PASS: a killed emulator leaves no program behind"
fi
exit "$status"
