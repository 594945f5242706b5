#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# emulator_term - terms of the real emulator, read and written anew by a port
# program
#
# RECLAIM_TEST_SEED and RECLAIM_TEST_TERMS are taken from the environment.
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

command -v erlc >/dev/null || {
	echo "FAIL: there is no Erlang/OTP: apt install erlang-base"
	exit 1
}
erlc -o "$scratch" "$srcdir/tests/emulator_term.erl"
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0
timeout -k 5 300 erl -noinput +pc unicode -pa "$scratch" \
	-run emulator_term main "$builddir/tests/term_port" \
	"${RECLAIM_TEST_TERMS:-10000}"
