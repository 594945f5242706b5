#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sqlite - the SQLite example under the real emulator: in reclaim-host, and as a
# program of its own
#
# Where there is sqlite3, it looks at what was left on disk, too.
# RECLAIM_TEST_SEED is taken from the environment.
set -eu

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
erlc +debug_info -Werror -o "$scratch" "$srcdir/examples/sqlite/sqlite.erl" \
	"$srcdir/tests/sqlite_test.erl"
export HOME="$scratch" ERL_CRASH_DUMP_SECONDS=0

# The build folder may be one that others can write.
mkdir -m 0700 drivers
cp "$builddir/examples/sqlite/drivers/sqlite.so" drivers/
chmod 0600 drivers/sqlite.so

# 100 handles: so many statements that one outlet may hold.
run() { # WHAT PROGRAM ARGUMENT...
	where=$1
	program=$2
	shift 2
	mkdir "$where"
	timeout -k 5 300 erl -noinput -pa "$builddir/erlang/ebin" "$scratch" \
		-run sqlite_test main -extra "$program" "$scratch/$where" \
		--handles 100 "$@" >said 2>&1 || status=1
	sed "s/^\(PASS\|FAIL\): /&$where: /" said
	grep -q '^PASS: the host ends' said || {
		echo "FAIL: $where: all tests are run"
		status=1
	}
}

in_time() { # COMMAND...
	tries=200
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || {
			echo "20 s were not enough"
			return 1
		}
		sleep 0.1
	done
}

is_gone() { # PROCESS
	[ ! -e "/proc/$1" ]
}

# The emulator has no time to say anything.
is_killed() {
	mkdir held
	erl -noinput -pa "$builddir/erlang/ebin" "$scratch" \
		-run sqlite_test hold -extra "$builddir/reclaim-host" \
		"$scratch/held" --drivers "$scratch/drivers" &
	emulator=$!
	in_time test -e held/host || {
		kill -KILL "$emulator"
		return 1
	}
	host=$(cat held/host)
	set -- held/*-journal
	kill -KILL "$emulator"
	[ $# -eq 20 ] && in_time is_gone "$host"
}

no_journals() { # FOLDER
	set -- "$1"/*-journal
	[ ! -e "$1" ] || {
		echo "$@"
		return 1
	}
}

are_whole() { # FOLDER
	for file in "$1"/[!o]*.db; do
		[ "$(sqlite3 "$file" 'PRAGMA integrity_check')" = ok ] || {
			echo "$file"
			return 1
		}
	done
}

run host "$builddir/reclaim-host" --drivers "$scratch/drivers"
run program "$builddir/examples/sqlite/sqlite_port"

check "the emulator is killed, and the host ends" is_killed
for where in host program held; do
	check "$where: no journal is left" no_journals "$where"
	! command -v sqlite3 >/dev/null ||
		check "$where: the files are whole to sqlite3(1)" are_whole "$where"
done
exit "$status"
