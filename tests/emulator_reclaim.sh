#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# emulator_reclaim - the application reclaim: its EUnit suites, and from Elixir
#
# The suites of erlang/test, with reclaim-host and with tests/fake_host.
# RECLAIM_TEST_OUTLETS is taken from the environment.
set -eu
export LC_ALL=C.UTF-8

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

command -v erlc >/dev/null || {
	echo "FAIL: there is no Erlang/OTP: apt install erlang-base"
	exit 1
}
modules=$builddir/erlang/ebin
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0
export RECLAIM_TEST_HOST="$builddir/reclaim-host"
export RECLAIM_TEST_FAKE="$builddir/tests/fake_host"
export RECLAIM_TEST_FRAMES="$srcdir/tests/frames.golden"

# What hangs has failed.
run() { # ERL_ARGUMENT...
	timeout -k 5 300 erl -noinput +pc unicode -kernel logger_level none \
		-pa "$modules" -pa "$scratch" "$@"
}

# ---- the suites ----

erlc -o "$scratch" "$srcdir"/erlang/test/*.erl
run -run reclaim_report main reclaim_wire_tests reclaim_fake_tests \
	reclaim_tests || status=1

# ---- what it is made of ----

# Each source is a module of the application, and the version is the package's.
is_described() {
	run -eval '
		{ok, [{application, reclaim, Keys}]} =
			file:consult(filename:join(hd(init:get_plain_arguments()),
				"reclaim.app")),
		{modules, Modules} = lists:keyfind(modules, 1, Keys),
		[io:format("~s~n", [M]) || M <- lists:sort(Modules)],
		halt().' -extra "$modules" >named || return
	for one in "$srcdir"/erlang/src/*.erl; do
		basename "$one" .erl
	done | sort | diff - named &&
		for one in "$modules"/*.beam; do
			basename "$one" .beam
		done | sort | diff - named &&
		grep -F "$(sed -n 's/^    {vsn.*/&/p' "$modules/reclaim.app")" \
			"$srcdir/erlang/src/reclaim.app.src"
}

check "reclaim.app names each module, and the version is configure's" \
	is_described

# ---- Elixir ----

from_elixir() {
	RECLAIM_HOST=$RECLAIM_TEST_HOST timeout -k 5 60 \
		elixir -pa "$modules" "$srcdir/examples/elixir/echo.exs" >said
	cat said
	diff - said <<'END'
data: hello
call: %{question: [1, 2, 3]}
gone with its owner: true, {:error, :closed}
stopped: {:error, :host_down}
END
}

command -v elixir >/dev/null || {
	echo "FAIL: there is no Elixir: apt install elixir"
	exit 1
}
check "from Elixir" from_elixir
exit "$status"
