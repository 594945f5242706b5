#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# emulator_host - who may die, at each step of an outlet's life: nothing is left
#
# The real emulator, the application and a host, tests/walk_port.c.
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

command -v erlc >/dev/null || {
	echo "FAIL: there is no Erlang/OTP: apt install erlang-base"
	exit 1
}
mkdir "$scratch/ebin" "$scratch/walk"
erlc -Werror -o "$scratch/ebin" "$srcdir/tests/emulator_host.erl"
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0
timeout -k 5 "${RECLAIM_TEST_PATIENCE:-300}" erl -noinput \
	-pa "$scratch/ebin" -pa "$builddir/erlang/ebin" \
	-kernel logger_level critical \
	-run emulator_host main "$builddir/tests/walk_port" "$scratch/walk" "$@"
