#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# slow_end - outlets that take long to end are in nobody's way
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

command -v erlc >/dev/null || {
	echo "FAIL: there is no Erlang/OTP: apt install erlang-base"
	exit 1
}
erlc -Werror -o "$scratch" "$srcdir/tests/slow_end.erl"

# The build folder may be one that others can write.
mkdir -m 0700 "$scratch/drivers" "$scratch/fifos"
cp "$builddir/tests/drivers/slow.so" "$scratch/drivers/"
chmod 0600 "$scratch/drivers/slow.so"

export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0
timeout -k 5 120 erl -noinput -pa "$builddir/erlang/ebin" "$scratch" \
	-run slow_end main -extra "$builddir/reclaim-host" \
	"$scratch/drivers" "$scratch/fifos"
