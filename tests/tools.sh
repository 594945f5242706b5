#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tools - Valgrind and the address sanitizer find in a heap what they find in
# libc's memory
#
# tools_victim.c makes one mistake with one block, which either has to report:
# with its own malloc behind the tasks (system, the default under both), and
# with the heap, which tells them what is a block.  It is compiled as a program
# of somebody else's would be, and linked with the library as it was built.
#
# A tool that is missing is left out, except where CI=true.
set -eu

srcdir=$(cd "${srcdir:-..}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
cc=${CC:-cc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

library="$builddir/.libs/libreclaim.a"
unset RECLAIM_MALLOC RECLAIM_PLACES

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

missing() { # TOOL WHY
	if [ "${CI:-}" = true ]; then
		echo "FAIL: $1: $2"
		status=1
	else
		echo "SKIP: $1: $2"
	fi
}

compile() { # OUTPUT FLAG...
	output=$1
	shift
	# shellcheck disable=SC2086 # a compiler may have options
	$cc -g -O1 -Wall -Wextra -Werror -DRECLAIM_NO_ALIAS \
		-I"$srcdir/include" "$@" -o "$output" \
		"$srcdir/tests/tools_victim.c" "$library" -pthread
}

# What it asks of a block is not public.
compile_for_block() { # OUTPUT FLAG...
	output=$1
	shift
	# shellcheck disable=SC2086 # a compiler may have options
	$cc -g -O1 -Wall -Wextra -Werror -I"$srcdir" -I"$builddir" "$@" \
		-o "$output" "$srcdir/tests/tools_block_victim.c" \
		"$library" -pthread
}

# ---- how the tools are asked ----

under_valgrind() { # PROGRAM ARGUMENT...
	"$valgrind" --quiet --error-exitcode=99 --leak-check=full \
		--errors-for-leak-kinds=definite,possible --vgdb=no \
		--suppressions="$srcdir/tests/valgrind.supp" "$@"
}

under_asan() { # PROGRAM ARGUMENT...
	ASAN_OPTIONS=exitcode=99:detect_leaks=1 "$@"
}

# ---- what they are to say ----

silent() { # COMMAND...
	if ! "$@" >said 2>&1 || [ -s said ]; then
		cat said
		return 1
	fi
}

# One error, told with these words and by the status.
told() { # WORDS COMMAND...
	words=$1
	shift
	code=0
	"$@" >said 2>&1 || code=$?
	if [ "$code" -ne 99 ] || ! grep -Eq -- "$words" said; then
		cat said
		echo "status $code, and wanted: $words"
		return 1
	fi
}

# The same, and then by whom what it is about was allocated.
told_whose() { # WORDS FUNCTION COMMAND...
	words=$1
	function=$2
	shift 2
	told "$words" "$@" || return 1
	if ! sed -En "/$words/,/^==[0-9]+== *\$/p" said |
		grep -q -- "$function"; then
		cat said
		echo "wanted there: $function"
		return 1
	fi
}

# A heap's blocks of every sort, and libc's.
each() { # TOOL PROGRAM MISTAKE WORDS
	for sort in first run large "limit run"; do
		run_one "$1" "$2" "$3" "$4" heap "$sort"
	done
	run_one "$1" "$2" "$3" "$4" system large
	run_one "$1" "$2" "$3" "$4" default first
}

run_one() { # TOOL PROGRAM MISTAKE WORDS SETTING SORT
	title="${1#under_}, $5: $3, $6"
	if [ "$4" = silent ]; then
		# shellcheck disable=SC2086 # two words
		check "$title" silent with "$5" "$1" "$2" $6 "$3"
	else
		# shellcheck disable=SC2086 # two words
		check "$title" told "$4" with "$5" "$1" "$2" $6 "$3"
	fi
}

# A block in areas of every sort.
each_area() { # TOOL PROGRAM MISTAKE WORDS [FUNCTION]
	for sort in malloc system own; do
		in_area "$sort" "$@"
	done
}

in_area() { # SORT TOOL PROGRAM MISTAKE WORDS [FUNCTION]
	title="${2#under_}, block, $1: $4"
	if [ "$5" = silent ]; then
		check "$title" silent "$2" "$3" "$1" "$4"
	elif [ $# -eq 5 ]; then
		check "$title" told "$5" "$2" "$3" "$1" "$4"
	else
		check "$title, whose" told_whose "$5" "$6" "$2" "$3" "$1" "$4"
	fi
}

with() ( # SETTING COMMAND...
	[ "$1" = default ] || export RECLAIM_MALLOC="$1"
	shift
	"$@"
)

# ---- Valgrind ----

valgrind=$(command -v valgrind || true)
built_with() { # FLAG
	grep -Eq "^SANITIZER_FLAGS = .*$1" "$builddir/Makefile"
}

if [ ! -f "$library" ]; then
	echo "SKIP: there is no $library: nothing is run"
	exit 77
fi

if [ -z "$valgrind" ]; then
	missing Valgrind "it is not installed"
elif built_with sanitize; then
	missing Valgrind "it runs no program that has a sanitizer"
else
	check "a program compiles for Valgrind" compile victim
	each under_valgrind ./victim nothing silent
	each under_valgrind ./victim overrun "Invalid write of size 1"
	each under_valgrind ./victim overread "Invalid read of size 1"
	each under_valgrind ./victim underrun "Invalid write of size 1"
	each under_valgrind ./victim read-freed "Invalid read of size 1"
	each under_valgrind ./victim write-freed "Invalid write of size 1"
	each under_valgrind ./victim read-moved "Invalid read of size 1"
	each under_valgrind ./victim read-shrunk "Invalid read of size 1"
	each under_valgrind ./victim read-ended "Invalid read of size 1"
	each under_valgrind ./victim write-ended "Invalid write of size 1"
	each under_valgrind ./victim use-undefined "depends on uninitialised"
	each under_valgrind ./victim use-undefined-again "depends on uninitialised"

	check "a program with a block compiles for Valgrind" \
		compile_for_block block-victim
	for_block() { # MISTAKE WORDS [FUNCTION]
		each_area under_valgrind ./block-victim "$@"
	}
	for_block nothing silent
	for_block overrun "Invalid write of size 1"
	for_block overrun " 0 bytes after a block of size 96 " allocate_it
	for_block overread " 7 bytes after a block of size 96 " allocate_it
	for_block underrun " 1 bytes before a block of size 96 " allocate_it
	for_block write-kept " 3 bytes after a block of size 96 " allocate_it
	for_block read-shrunk " 0 bytes after a block of size 88 " allocate_it
	for_block overrun-grown " 0 bytes after a block of size 106 " allocate_it
	for_block read-freed "Invalid read of size 1"
	for_block write-freed "Invalid write of size 1"
	for_block read-merged "Invalid read of size 1"
	for_block read-hole "Invalid read of size 1"
	for_block use-undefined "depends on uninitialised"
	for_block use-undefined-again "depends on uninitialised"
	for_block use-undefined-grown "depends on uninitialised"
	# Of malloc's area it names the area: that is live.
	for sort in system own; do
		in_area $sort under_valgrind ./block-victim read-freed \
			" 48 bytes inside a block of size 96 free'd" allocate_it
	done
	# Another's memory is not closed when the block ends.
	in_area malloc under_valgrind ./block-victim read-ended \
		"Invalid read of size 1"
	in_area malloc under_valgrind ./block-victim write-ended \
		"Invalid write of size 1"
fi

# ---- the address sanitizer ----

over="(heap-buffer-overflow|use-after-poison).*"
gone="(heap-use-after-free|use-after-poison)"
if built_with sanitize=thread; then
	missing "address sanitizer" "it does not go with the thread sanitizer"
elif ! echo 'int main(void) { return 0; }' |
	$cc -fsanitize=address -x c - -o probe 2>/dev/null || ! ./probe; then
	missing "address sanitizer" "$cc has none"
else
	flags=-fsanitize=address
	! built_with undefined || flags=-fsanitize=address,undefined
	check "a program compiles for the sanitizer" compile victim-asan $flags
	each under_asan ./victim-asan nothing silent
	each under_asan ./victim-asan overrun "$over"
	each under_asan ./victim-asan overread "$over"
	each under_asan ./victim-asan underrun "$over"
	each under_asan ./victim-asan read-freed "$gone"
	each under_asan ./victim-asan write-freed "$gone"
	each under_asan ./victim-asan read-moved "$gone"
	each under_asan ./victim-asan read-shrunk "$over"
	each under_asan ./victim-asan read-ended "$gone"
	each under_asan ./victim-asan write-ended "$gone"

	check "a program with a block compiles for the sanitizer" \
		compile_for_block block-victim-asan $flags
	for_block() { # MISTAKE WORDS
		each_area under_asan ./block-victim-asan "$@"
	}
	for_block nothing silent
	for_block overrun "$over"
	for_block overread "$over"
	for_block underrun "$over"
	for_block write-kept "$over"
	for_block read-shrunk "$over"
	for_block overrun-grown "$over"
	for_block read-freed "$gone"
	for_block write-freed "$gone"
	for_block read-merged "$gone"
	for_block read-hole "$gone"
	in_area malloc under_asan ./block-victim-asan read-ended "$gone"
	in_area malloc under_asan ./block-victim-asan write-ended "$gone"
fi
exit "$status"
