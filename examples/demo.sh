#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo - leaky_port under the Erlang emulator, with and without libreclaim
#
# usage: examples/demo.sh BUILD_DIR
#
# demo.erl makes the calls and measures; this script starts the emulator, kills
# it with SIGKILL while calls are under way, looks for what is left running,
# and says what was seen.  Exit status: 0 if everything that libreclaim promises
# here was seen, else 1 and a line for each thing that was not; 2 wrong usage.
set -u

calls=20000           # as in demo.erl
margin=2048           # KiB that "flat" may grow between warm-up and end
patience=5            # seconds until everything below the emulator is gone
limit=1024            # open files

die() {
	echo "demo: $1" >&2
	exit "${2:-1}"
}

missing=0
expect() { # what was to be seen, then a test of it
	local what=$1
	shift
	if ! test "$@"; then
		echo "NOT SEEN: $what" >&2
		missing=$((missing + 1))
	fi
}

# The fields of /proc/PID/stat behind the name, which may hold anything:
# state, parent, ..., and the start time, the 22nd of all.  Nothing if there
# is no such process.
stat_of() {
	local stat
	{ read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null
	[ -n "${stat:-}" ] && echo "${stat##*) }"
}

start_of() {
	local -a field
	read -r -a field < <(stat_of "$1")
	echo "${field[19]:-}"
}

# Whether a process that was seen with a start time still runs.  Another one
# that has got its number since is not it; a zombie has ended.
runs() {
	local -a field
	read -r -a field < <(stat_of "$1")
	[ "${field[19]:-}" = "$2" ] && [ "${field[0]}" != Z ]
}

# All processes below one, as "PID START" lines.
below() {
	local pid parent rest
	local -A children=()
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		read -r _ parent rest < <(stat_of "$pid")
		[ -n "${parent:-}" ] && children[$parent]+=" $pid"
	done
	walk() {
		local child
		for child in ${children[$1]:-}; do
			echo "$child $(start_of "$child")"
			walk "$child"
		done
	}
	walk "$1"
}

[ $# -eq 1 ] || die "usage: examples/demo.sh BUILD_DIR" 2
programs=$(cd "$1" 2>/dev/null && pwd)/examples
source=$(cd "$(dirname "$0")" && pwd)
for program in leaky_port leaky_port_plain; do
	[ -x "$programs/$program" ] ||
		die "no $program in $1/examples: build first, ./bootstrap.sh demo does"
done
for tool in erl erlc; do
	command -v "$tool" >/dev/null ||
		die "no $tool: install Erlang/OTP (Debian: erlang-base)"
done

emulator=
scratch=$(mktemp -d) || exit 1
end() {
	[ -n "$emulator" ] && kill -KILL "$emulator" 2>/dev/null
	rm -rf "$scratch"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

erlc -o "$scratch" "$source/demo.erl" || die "demo.erl does not compile"
ulimit -n "$limit" 2>/dev/null || limit=$(ulimit -n)
look=rows
[ -t 1 ] && look=live

cat <<END
$calls calls to a port program that takes up to five descriptors and 16 KiB in
each call, gives nothing back, and exits in the middle of every tenth. The same
source twice: with libreclaim, and without. At most $limit open files each.

END
HOME=$scratch ERL_CRASH_DUMP_SECONDS=0 erl -noinput -pa "$scratch" \
	-run demo main "$programs/leaky_port" "$programs/leaky_port_plain" \
	"$scratch/results" "$look" &
emulator=$!
while [ ! -e "$scratch/results" ]; do
	kill -0 "$emulator" 2>/dev/null || {
		emulator=
		die "the emulator ended before all calls were answered"
	}
	sleep 0.1
done
{
	read -r _ pid served failed exited _ fds_warm fds_end kib_warm kib_end
	read -r _ plain_pid plain_served plain_failed plain_exited plain_full \
		_ plain_fds plain_warm plain_end
} <"$scratch/results"

# Kill the emulator, and wait for everything that was below it.
left=$(below "$emulator")
count=$(wc -l <<<"$left")
ports=$(grep -c -E "^($pid|$plain_pid) " <<<"$left")
{
	kill -KILL "$emulator"
	wait "$emulator"
	killed=$?
} 2>/dev/null
emulator=
waited=0 # milliseconds
while :; do
	still=$(while read -r process start; do
		runs "$process" "$start" && echo "$process"
	done <<<"$left")
	if [ -z "$still" ] || [ "$waited" -ge $((patience * 1000)) ]; then
		break
	fi
	sleep 0.05
	waited=$((waited + 50))
done

mib() {
	local tenths=$((($1 * 10 + 512) / 1024))
	echo "$((tenths / 10)).$((tenths % 10)) MiB"
}

if [ -z "$still" ]; then
	outcome="none was left after $waited ms"
else
	outcome="after $waited ms there were still ${still//$'\n'/ }"
fi
fmt -w 79 <<END

Without libreclaim $plain_served calls were served, $plain_exited of which exited in the
middle; $plain_failed failed, $plain_full of them with "Too many open files". $plain_fds descriptors
stayed open, and memory went from $(mib "$plain_warm") after call 1000 to $(mib "$plain_end").

With libreclaim $served calls were served, $exited of which exited in the
middle; $failed failed. $fds_warm descriptors were open after call 1000 and $fds_end at the
end; memory was $(mib "$kib_warm") after call 1000 and $(mib "$kib_end") at the end.

Then the emulator was killed with SIGKILL while it went on calling. It had
$count processes below it, the two port programs among them; $outcome.
END

expect "with libreclaim: every call served" "$served" -eq "$calls"
expect "with libreclaim: every tenth call exited in the middle" \
	"$exited" -eq $((calls / 10))
expect "with libreclaim: as many open files at the end as after call 1000" \
	"$fds_end" -eq "$fds_warm"
expect "with libreclaim: at most $margin KiB more memory than after call 1000" \
	"$kib_end" -le $((kib_warm + margin))
expect "without libreclaim: calls fail with \"Too many open files\"" \
	"$plain_full" -gt 0
expect "without libreclaim: memory grows by more than $margin KiB" \
	"$plain_end" -gt $((plain_warm + margin))
expect "the emulator ended by SIGKILL" "$killed" -eq 137
expect "both port programs running below the emulator" "$ports" -eq 2
expect "nothing left running $patience s after the emulator was killed" -z "$still"

# shellcheck disable=SC2086 # a list; seen to be the same processes just now
[ -z "$still" ] || kill -KILL $still
[ "$missing" -eq 0 ]
