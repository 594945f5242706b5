#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# exported-names - the names that the shared libraries export are those listed
#
# usage: tests/exported-names.sh [--update]
#
# The lists are tests/exported-names.LIBRARY, sorted.  --update writes them anew
# from what was built; "make update-exported-names" calls it so.
set -eu
export LC_ALL=C

srcdir=${srcdir:-.}
builddir=${builddir:-.}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Beside the functions and variables there are the linker's own: _init, _edata.
exported() {
	${NM:-nm} -D --defined-only "$1" |
		awk '$3 !~ /^_(init|fini|end|edata|_bss_start)$/ { print $3 }' |
		sort -u
}

status=0
for name in libreclaim libreclaim-block libreclaim-port; do
	list=$srcdir/tests/exported-names.$name
	exported "$builddir/.libs/$name.so" >"$scratch/$name"
	if [ "${1:-}" = --update ]; then
		cp "$scratch/$name" "$list"
	elif diff -u --label listed "$list" --label built "$scratch/$name"; then
		echo "PASS: $name exports what is listed"
	else
		echo "FAIL: $name does not export what is listed"
		status=1
	fi
done
exit "$status"
