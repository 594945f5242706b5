#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# bootstrap - from a fresh Debian to whatever you came for; see usage below
#
# Each verb does all of its own set-up and is quick where that was done.  What
# is made goes to build/, what the tools said on the way to build/logs/.
set -eu

usage() {
	cat <<'END'
usage: ./bootstrap.sh VERB

  deps    install the Debian packages that building and testing want
  demo    build, and show a leaking port program under the Erlang emulator
  check   build, and run every test and check there is
  bench   build, and measure: a table of libreclaim and its peers
  dist    make the tarball, tested, in build/

The rest is in README.md and HACKING.md.
END
}

# With erlang-dev whatever comes first: all verbs share one configured build.
build_packages='autoconf automake check erlang-base erlang-dev gcc libc6-dev
	libdw-dev libsqlite3-dev libtool libuv1-dev make pkg-config uthash-dev'
check_packages="$build_packages binutils clang clang-format elixir
	erlang-dialyzer erlang-eunit erlang-proper g++ perl procps python3
	shellcheck spin sqlite3 valgrind"
bench_packages="$build_packages libapr1 libjemalloc2 libmimalloc2.0 libtalloc2
	libzmq5 perl python3 sqlite3"

cd "$(dirname "$0")"
logs=build/logs
plain=build/plain
jobs=-j$(nproc)
passed=0
failed=0

say() {
	printf '== %s\n' "$*"
}

die() {
	printf 'bootstrap: %s\n' "$*" >&2
	exit 1
}

# ---- steps ----

tail_of() { # LOG
	echo "-- the end of $1"
	tail -n 30 "$1"
	echo "-- all of it: $PWD/$1"
}

# Run a command quietly; where it fails, show why.
step() { # NAME COMMAND...
	local log=$logs/$1.log
	shift
	mkdir -p "$logs"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail_of "$log"
		return 1
	fi
}

installed() { # PACKAGE
	[ "$(dpkg-query -Wf '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

need() { # PACKAGE...
	local package missing=() root=()
	command -v dpkg-query >/dev/null ||
		die "not a Debian; what these packages hold is wanted: $*"
	for package; do
		installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null ||
			die "as root, please: apt-get install ${missing[*]}"
		[ -t 0 ] && sudo -v
		root=(sudo -n)
	fi
	say "installing ${missing[*]}"
	step apt-update "${root[@]}" apt-get update ||
		die "apt-get update failed"
	step apt-install "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "${missing[@]}" ||
		die "these could not be installed: ${missing[*]}"
}

need_build() {
	# shellcheck disable=SC2086 # a list
	need $build_packages
}

need_check() {
	# shellcheck disable=SC2086 # a list
	need $check_packages
}

need_bench() {
	# shellcheck disable=SC2086 # a list
	need $bench_packages
}

# What has changed since is automake's own rules' to notice.
configure_plain() {
	if [ ! -x configure ] || [ ! -e Makefile.in ] ||
		[ configure.ac -nt configure ]; then
		say "autogen"
		step autogen ./autogen.sh || die "autogen.sh failed"
		touch configure
	fi
	if [ ! -e $plain/Makefile ]; then
		say "configure"
		mkdir -p $plain
		step configure env -C $plain ../../configure --enable-werror ||
			die "configure failed"
	fi
}

build_plain() {
	need_build
	configure_plain
	say "build"
	step build make -C $plain "$jobs" || die "the build failed"
}

# ---- counting ----

# One test program or script: what it printed, and what became of it.
count_test() { # LOG
	local name result good bad
	name=$(basename "$1" .log)
	result=$(sed -n 's/^:test-result: //p' "${1%.log}.trs")
	read -r good bad < <(awk -F '[ ,:%]+' '
		/^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+$/ {
			good += $3 - $5 - $7; bad += $5 + $7 }
		/^PASS: / { good++ }
		/^FAIL: / { bad++ }
		END { print good + 0, bad + 0 }' "$1")
	if [ "$bad" -gt 0 ]; then
		grep -aE '^FAIL: |:[FE]:[^:]*:[^:]*:[0-9]+: ' "$1" |
			sed "s|^|   $name: |"
	elif [ "$result" != PASS ]; then
		echo "   $name: ${result:-no result}, see $1"
		bad=1
	elif [ "$good" -eq 0 ]; then
		echo "   $name: counted no tests, see $1"
		bad=1
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
}

# Run a target that runs tests, and count them.  The logs of each are kept
# apart, since targets share them.
tests_of() { # NAME FOLDER TARGET
	local begun=$SECONDS before=$passed broken=$failed log=$logs/$1.log ok=yes
	local kept=$logs/$1 file
	say "$1"
	rm -rf "$kept" "$2"/tests/*.log "$2"/tests/*.trs
	mkdir -p "$kept"
	make -C $plain "$jobs" "$3" 2>&1 </dev/null | tee "$log" |
		sed -nu 's/^\(PASS\|FAIL\|SKIP\|ERROR\): /   &/p'
	[ "${PIPESTATUS[0]}" -eq 0 ] || ok=no
	for file in "$2"/tests/*.trs; do
		[ -e "$file" ] || continue
		mv "$file" "${file%.trs}.log" "$kept/"
		file=$kept/$(basename "$file" .trs).log
		count_test "$file"
	done
	if [ $ok = no ] && [ "$failed" -eq "$broken" ]; then
		tail_of "$log"
		failed=$((failed + 1))
	elif [ "$passed" -eq "$before" ] && [ "$failed" -eq "$broken" ]; then
		echo "   no test ran, see $log"
		failed=$((failed + 1))
	fi
	say "$1: $((passed - before)) passed, $((failed - broken)) failed" \
		"($((SECONDS - begun)) s)"
}

# A check that passes or fails as a whole.
gate() { # NAME COMMAND...
	local begun=$SECONDS result=passed
	say "$1"
	if step "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		result=FAILED
	fi
	say "$1: $result ($((SECONDS - begun)) s)"
}

shell_check() {
	shellcheck .ci/run ./*.sh examples/*.sh examples/*/*.sh tests/*.sh
}

# ---- verbs ----

deps() {
	need_check
	say "all that building and testing want is installed"
}

demo() {
	build_plain
	exec examples/demo.sh $plain
}

check() {
	need_check
	configure_plain
	tests_of plain $plain check
	tests_of nofork $plain check-nofork
	tests_of valgrind $plain check-valgrind
	tests_of valgrind-heap $plain check-valgrind-heap
	tests_of asan $plain/asan check-asan
	tests_of asan-heap $plain/asan check-asan-heap
	tests_of tsan $plain/tsan check-tsan
	tests_of clang $plain/clang check-clang
	gate dialyzer make -C $plain dialyzer
	gate format make -C $plain format-check
	gate shell shell_check
	gate bench-programs make -C $plain "$jobs" bench-programs
	gate distcheck make -C $plain "$jobs" distcheck
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

bench() {
	need_bench
	build_plain
	say "measure: eleven programs, about thirteen minutes"
	BENCH_COMMAND='./bootstrap.sh bench' \
		make --no-print-directory -C $plain bench
	cp $plain/bench/results.txt bench/results.md
	say "the table is in bench/results.md, how to read it in bench/README.md"
}

dist() {
	need_check
	configure_plain
	say "distcheck: build and test what is in the tarball"
	step distcheck make -C $plain "$jobs" distcheck ||
		die "distcheck failed"
	mv $plain/libreclaim-*.tar.gz build/
	say "made $(echo build/libreclaim-*.tar.gz)"
}

case ${1:-} in
deps | demo | check | bench | dist)
	[ $# -eq 1 ] || {
		usage >&2
		exit 2
	}
	"$1"
	;;
'' | -h | --help | help)
	usage
	;;
*)
	echo "bootstrap: there is no verb \"$1\"" >&2
	usage >&2
	exit 2
	;;
esac
