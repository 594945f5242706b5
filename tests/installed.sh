#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# installed - what "make install" installs serves a program of somebody else's
#
# Installs below a scratch folder, and from there on knows only pkg-config.
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
cc=${CC:-cc}
cxx=${CXX:-c++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

install_all() {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
		"${MAKE:-make}" -C "$builddir" install DESTDIR="$scratch/root"
}

# The flags are words: here and below they are to be split.
compile() { # OUTPUT PACKAGE FLAG...
	output=$1
	package=$2
	shift 2
	# shellcheck disable=SC2046,SC2086
	$cc -O2 -Wall -Werror -include reclaim.h "$@" -o "$output" \
		"$srcdir/tests/outside.c" \
		$(pkg-config --cflags --libs "$package")
}

# dlopen from a static program wants the shared libc: the linker says so.
compile_static() {
	# shellcheck disable=SC2046,SC2086
	$cc -O2 -Wall -include reclaim.h -static -o outside-static \
		"$srcdir/tests/outside.c" \
		$(pkg-config --static --cflags --libs reclaim)
}

header() { # HEADER COMPILER...
	printf '#include <%s>\n' "$1" >one.c
	shift
	# shellcheck disable=SC2046
	"$@" -Wall -Wextra -Werror -fsyntax-only one.c \
		$(pkg-config --cflags reclaim)
}

needed() { # LIBRARY NAME...: needs these at run time, and nothing else
	${READELF:-readelf} -d "$libdir/$1" |
		sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort >built
	shift
	printf '%s\n' "$@" | sort | diff - built
}

names() { # NM_OPTION... FILE
	${NM:-nm} --defined-only "$@" | awk 'NF == 3 { print $3 }' | sort
}

same_names() { # LIBRARY
	names -D "$libdir/$1.so" >shared
	names -g "$libdir/$1.a" | diff shared -
}

# The application finds its host beside itself.
from_erlang() {
	ERL_LIBS=$1 LD_LIBRARY_PATH=$libdir HOME=$scratch \
		timeout -k 5 60 erl -noinput -eval '
		{ok, _} = application:ensure_all_started(reclaim),
		{ok, Version} = application:get_key(reclaim, vsn),
		"reclaim-" ++ Version = filename:basename(code:lib_dir(reclaim)),
		{ok, Host} = reclaim:start_host(#{}),
		{ok, Out} = reclaim:open(Host, echo, []),
		{ok, {a, term}} = reclaim:call(Out, {a, term}),
		no_block = try reclaim_block:stats() catch error:E -> E end,
		halt().'
}

check "make install" install_all
pc=$(find root -name reclaim.pc)
if [ -z "$pc" ]; then
	echo "FAIL: there is no reclaim.pc"
	exit 1
fi
libdir=$scratch/${pc%/pkgconfig/reclaim.pc}
# Behind ours are those of what is wanted: libuv.
others=$(pkg-config --variable pc_path pkg-config)
export PKG_CONFIG_LIBDIR="$libdir/pkgconfig:$others"
export PKG_CONFIG_SYSROOT_DIR="$scratch/root"
# Also where the prefix is /usr.
export PKG_CONFIG_SYSTEM_INCLUDE_PATH=/none PKG_CONFIG_SYSTEM_LIBRARY_PATH=/none

for one in reclaim.h reclaim/task.h reclaim/binary.h reclaim/message.h \
	reclaim/timer.h reclaim/block.h reclaim/frame.h reclaim/port.h \
	reclaim/term.h; do
	check "<$one> alone, in C11" header "$one" "$cc" -std=c11
	check "<$one> alone, in C++17" header "$one" "$cxx" -x c++ -std=c++17
done
check "libreclaim needs libc alone" needed libreclaim.so libc.so.6
check "libreclaim-port needs libreclaim, libuv and libc" \
	needed libreclaim-port.so libreclaim.so.0 libuv.so.1 libc.so.6
for one in libreclaim libreclaim-port; do
	check "$one.a has the names of $one.so, and no others" same_names "$one"
done
check "a program compiles" compile outside reclaim
check "... and gives back what it took" \
	env LD_LIBRARY_PATH="$libdir" ./outside
check "a program links with libreclaim-port" compile outside-port reclaim-port
check "... and gives back what it took" \
	env LD_LIBRARY_PATH="$libdir" ./outside-port
check "a static program compiles" compile_static
check "... and gives back what it took" ./outside-static

application=$(find root -name reclaim.app)
if [ -n "$application" ]; then
	erl_libs=$scratch/${application%/reclaim-*}
	check "Erlang finds the application, and that its host" \
		from_erlang "$erl_libs"
fi
exit "$status"
