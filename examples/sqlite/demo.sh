#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo - SQLite databases that end with their Erlang processes
#
# usage: examples/sqlite/demo.sh BUILD_DIR
#
# demo.erl does it all; this script compiles it and starts the emulator.  Exit
# status: 0 if everything that libreclaim promises here was seen, else 1 and a
# line for each thing that was not; 2 wrong usage.
set -eu

die() {
	echo "demo: $1" >&2
	exit "${2:-1}"
}

[ $# -eq 1 ] || die "usage: examples/sqlite/demo.sh BUILD_DIR" 2
build=$(cd "$1" 2>/dev/null && pwd) || die "there is no $1" 2
source=$(cd "$(dirname "$0")" && pwd)
driver=$build/examples/sqlite/drivers/sqlite.so
if [ ! -x "$build/reclaim-host" ] || [ ! -e "$driver" ]; then
	die "no reclaim-host, or no sqlite.so, in $1: ./bootstrap.sh check builds them"
fi
for tool in erl erlc; do
	command -v "$tool" >/dev/null ||
		die "no $tool: install Erlang/OTP (Debian: erlang-base)"
done

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The host takes drivers from where nobody else can put them.
mkdir -m 0700 "$scratch/drivers"
cp "$driver" "$scratch/drivers/"
chmod go-w "$scratch/drivers/sqlite.so"

erlc -o "$scratch" "$source/sqlite.erl" "$source/demo.erl" ||
	die "the modules do not compile"
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0
timeout -k 5 120 erl -noinput -pa "$build/erlang/ebin" "$scratch" \
	-run demo main -extra "$build/reclaim-host" "$scratch" \
	--drivers "$scratch/drivers"
