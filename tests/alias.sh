#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# alias - compiled with -include reclaim.h, no plain name is left
#
# alias_names.c uses every name that has an alias.  It is compiled in many ways,
# each free of warnings, and among the symbols that the object wants there may
# be no name that has a save_ name.
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cp "$srcdir/tests/alias_names.c" names.c
cp names.c names.cc
sed -n 's/^#pragma redefine_extname \([^ ]*\) .*/\1/p' \
	"$srcdir/include/reclaim/alias.h" | sort -u >plain
echo calloc >>plain

status=0

# What a fortified, large-file or optimised compilation makes of a name has a
# name of its own, which the list has too.
try() { # FILE COMPILER FLAG...
	file=$1
	shift
	rm -f names.o
	if ! "$@" -Wall -Wextra -Werror -Wno-unused-result \
		-I"$srcdir/include" -include reclaim.h -c "$file" \
		-o names.o >log 2>&1; then
		cat log
		echo "FAIL: $*: does not compile"
		status=1
		return
	fi
	nm -u names.o | awk '{ print $2 }' >wanted
	if ! grep -q '^save_open$' wanted; then
		echo "FAIL: $*: does not use save_open at all"
		status=1
	elif grep -Fxf plain wanted >left; then
		echo "FAIL: $*: plain names are left: $(tr '\n' ' ' <left)"
		status=1
	else
		echo "PASS: $*"
	fi
}

for fortify in "-O0" "-O2 -D_FORTIFY_SOURCE=2" "-O2 -D_FORTIFY_SOURCE=3"; do
	for files in "" -D_FILE_OFFSET_BITS=64 \
		"-D_LARGEFILE64_SOURCE -D_FILE_OFFSET_BITS=64" -D_GNU_SOURCE \
		"-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64"; do
		for compiler in "gcc -std=gnu11" "gcc -std=gnu99" \
			"clang -std=gnu11"; do
			# shellcheck disable=SC2086 # flags are words
			try names.c $compiler $fortify $files
		done
		for compiler in "g++ -std=c++11" "clang++ -std=c++17"; do
			# shellcheck disable=SC2086
			try names.cc $compiler $fortify $files
		done
	done
done

# Where it comes too late, it says what to do.
if echo '#include <stdio.h>
#include <reclaim.h>' | gcc -I"$srcdir/include" -fsyntax-only -x c - >log 2>&1
then
	echo "FAIL: reclaim.h after a system header goes unnoticed"
	status=1
elif grep -q 'compile with -include reclaim.h' log; then
	echo "PASS: reclaim.h after a system header is refused"
else
	cat log
	echo "FAIL: reclaim.h after a system header is refused without a reason"
	status=1
fi
exit "$status"
