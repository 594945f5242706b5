#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# models - Spin goes through every state of the models in tests/models
#
# Each is searched to the end, within the bounds that are given here, and has
# no error; and with each of its mistakes (-DBUG_...) it has one, as otherwise
# it would prove nothing.
#
# Where there is no Spin it is left out, except where CI=true.
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
cc=${CC:-cc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

command -v spin >/dev/null || {
	if [ "${CI:-}" = true ]; then
		echo "FAIL: there is no Spin: apt install spin"
		exit 1
	fi
	echo "SKIP: there is no Spin: apt install spin"
	exit 77
}

# ---- one search ----

# All states, none of them as a hash alone; compressed, within 1 GiB.
pan_flags="-O2 -w -DCOLLAPSE -DMEMLIM=1024"

search() { # SAFETY|PROGRESS MODEL DEFINE...; what it found in `found`
	kind=$1
	model=$2
	shift 2
	rm -f pan pan.* ./*.trail
	spin -a "$@" "$srcdir/tests/models/$model.pml" >said 2>&1 || {
		cat said
		return 1
	}
	# shellcheck disable=SC2086 # lists of flags
	case $kind in
	SAFETY)
		$cc $pan_flags -DSAFETY -o pan pan.c && ./pan -m10000 -w22
		;;
	PROGRESS)
		$cc $pan_flags -DNP -DNFAIR=3 -o pan pan.c &&
			./pan -l -f -m10000 -w22
		;;
	esac >found 2>&1
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' found)
	[ -n "$states" ] || {
		cat found
		return 1
	}
}

all_well() {
	grep -q '^Full statespace search' found &&
		grep -q 'errors: 0$' found &&
		! grep -Eq 'Search not completed|max search depth' found
}

error_in() {
	grep -Eq 'errors: [1-9]' found &&
		grep -Eq '^pan:1: (assertion|invalid end|non-progress)' found
}

# ---- what is wanted ----

holds() { # SAFETY|PROGRESS MODEL DEFINE...
	if search "$@" && all_well; then
		echo "PASS: $*: holds in $states states"
	else
		cat found
		echo "FAIL: $*: does not hold"
		status=1
	fi
}

noticed() { # SAFETY|PROGRESS MODEL BUG DEFINE...
	if search "$@" && error_in; then
		echo "PASS: $*: is noticed"
	else
		cat found
		echo "FAIL: $*: is not noticed"
		status=1
	fi
}

# ---- queue ----

# Who closes and opens again; who wakes; who asks; the bound.
two_tasks="-DMOST=0 -DLESS=1"
one_task="-DMOST=0 -DLESS=1 -DTASKS=1"
asked="-DMOST=0 -DSENDERS=1 -DTASKS=3 -DASKED"
asked_two="-DMOST=0 -DSENDS=1 -DTASKS=1 -DASKED"
bound_1="-DMOST=1 -DTASKS=1"
bound_2="-DMOST=2 -DTASKS=1 -DLESS=1"

for bounds in "$two_tasks" "$one_task" "$asked" "$asked_two" "$bound_1" \
	"$bound_2"; do
	# shellcheck disable=SC2086 # a list
	holds SAFETY queue $bounds
done

queue_bug() { # BUG BOUNDS
	# shellcheck disable=SC2086 # a list
	noticed SAFETY queue "-DBUG_$1" $2
}

queue_bug OWNER_FIRST "$two_tasks"
queue_bug NO_LIFE "$two_tasks"
queue_bug NO_OWNER "$two_tasks"
queue_bug CLOSE_STORE "$one_task"
queue_bug NO_TURN "$one_task"
queue_bug NO_RECHECK "$one_task"
queue_bug SLEEPS_LATE "$one_task"
queue_bug ASK_EARLY "$asked"
queue_bug COUNT_LATE "$bound_1"
queue_bug UNSIGNED "$bound_2"

# ---- queue_fd ----

holds SAFETY queue_fd -DLESS=1
holds PROGRESS queue_fd -DLESS=1 -DTASKS=1
for bug in NO_LOOK NO_RETELL NO_RECHECK TELL_UNLOCKED TOLD_KEPT; do
	noticed SAFETY queue_fd -DBUG_$bug -DLESS=1
done
noticed PROGRESS queue_fd -DBUG_NO_HUSH -DSENDS=1 -DTASKS=1

# ---- remote_free ----

holds SAFETY remote_free -DALLOCS=5
holds SAFETY remote_free -DTWICE
for bug in PUBLISH_ALWAYS PUBLISH_FIRST NEXT_LATE NO_EXCHANGE NO_OR \
	COUNT_NEVER; do
	noticed SAFETY remote_free -DBUG_$bug
done
noticed SAFETY remote_free -DBUG_FOLD_BLIND -DTWICE

exit "$status"
