#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# pages - each exported name has a manual page, and what pages show compiles
#
# An example is a literal display that begins with a line of the preprocessor.
# It is compiled as its page says: with -include reclaim.h, or without where it
# says RECLAIM_NO_ALIAS.  So are those of the front page.
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
cc=${CC:-cc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

each_name_has_a_page() { # LIBRARY
	missing=0
	while read -r name; do
		case $name in
		malloc | calloc | realloc | reallocarray | free | cfree | \
			aligned_alloc | memalign | posix_memalign | valloc | \
			pvalloc | malloc_usable_size)
			continue # preloaded, in place of libc's
			;;
		*_chk | *_2)
			continue # what libc's headers make of a name
			;;
		esac
		if [ ! -f "$srcdir/man/$name.3" ]; then
			echo "$name has none"
			missing=1
		fi
	done <"$srcdir/tests/exported-names.$1"
	return "$missing"
}

links_lead_to_pages() {
	sed -n 's/^\.so //p' "$srcdir"/man/*.3 | sort -u |
		while read -r page; do
			test -f "$srcdir/man/${page#man3/}" || exit
		done
}

# Each goes to a file of its own, PAGE-N.c.
examples_of() { # PAGE
	awk -v page="$1" '
		/^\.Bd -literal/ { begins = 1; next }
		/^\.Ed/ { file = ""; next }
		begins { begins = 0; if (/^#[a-z]/) file = page "-" ++n ".c" }
		file {
			sub(/^\\&/, ""); gsub(/\\-/, "-"); gsub(/\\e/, "\\")
			print >file
		}' "$srcdir/man/$1.3"
}

examples_of_front_page() {
	awk '
		/^```c$/ { file = "README-" ++n ".c"; next }
		/^```/ { file = ""; next }
		file { print >file }' "$srcdir/README.md"
}

compiles() { # FILE
	alias="-include reclaim.h"
	! grep -q RECLAIM_NO_ALIAS "$1" || alias=
	# shellcheck disable=SC2086 # a compiler may have options
	$cc -std=gnu11 -Wall -Werror -I"$srcdir/include" $alias -c \
		-o example.o "$1"
}

for name in libreclaim libreclaim-port libreclaim-block; do
	check "each name of $name has a page" each_name_has_a_page $name
done
check "links lead to pages" links_lead_to_pages
for page in "$srcdir"/man/*.3; do
	examples_of "$(basename "$page" .3)"
done
examples_of_front_page
for example in *-*.c; do
	check "${example%.c} compiles" compiles "$example"
done
exit "$status"
