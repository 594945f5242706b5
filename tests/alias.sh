#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# alias - compiled with -include reclaim.h, no plain name is left
#
# alias_names.c uses every name that has an alias.  It is compiled in many ways,
# free of warnings.  Among the symbols that the object wants there may be none
# but save_ names and a few that are known to be harmless, so that a name that
# glibc or the compiler make of a plain one is found, too; and every alias must
# be seen to act.  alias_strict.c and alias_cxx.cc do the same for strict C and
# for C++, alias_mixed.c looks for false warnings, and alias_run.c is run.
#
# CC and CXX are tried beside gcc and clang.  Without clang that half is left
# out, except where CI=true.
set -eu

srcdir=$(cd "${srcdir:-..}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

export srcdir NM="${NM:-nm}"
warnings="-Wall -Wextra -Wpedantic -Werror"

# ---- which compilers ----

present() { # COMPILER...
	for one; do
		# shellcheck disable=SC2086 # it may have options
		if command -v ${one%% *} >/dev/null 2>&1; then
			echo "$one"
		elif [ "${CI:-}" = true ]; then
			echo "FAIL: there is no $one" >&3
		else
			echo "SKIP: there is no $one" >&3
		fi
	done
}

: >absent
exec 3>>absent
present gcc clang >c_compilers
present g++ clang++ >cxx_compilers
[ -z "${CC:-}" ] || grep -Fxq "$CC" c_compilers || echo "$CC" >>c_compilers
[ -z "${CXX:-}" ] || grep -Fxq "$CXX" cxx_compilers ||
	echo "$CXX" >>cxx_compilers
exec 3>&-
cat absent

# ---- what each combination is tried with ----

# The names that reclaim.h aliases, and their targets.
sed -n -e 's/^#pragma redefine_extname \([^ ]*\) \(.*\)/\1 \2/p' \
	"$srcdir/include/reclaim/alias.h" | sort -u >aliases

# Of gcc and C++, the program's own, and what acquires nothing.
cat >harmless <<'EOF'
^_GLOBAL_OFFSET_TABLE_$
^(sum|keep|text|stream|fds|words|mask|plain_malloc)$
^(memset|memcpy|memmove|strlen|stdout|vprintf|vfprintf)$
^__(memset|memcpy|vprintf|vfprintf)_chk$
^__stack_chk_fail$
^(_Z|__cxa_|__gxx_personality|__dso_handle|_Unwind_)
EOF

# Of every alias either the target or its fortified sister is wanted.
awk '{ print $2 }' aliases | grep -Ev '_(chk|2)$' | sort -u >all
printf '%s\n' save_close save_fclose save_fopen save_free save_malloc \
	save_open save_realloc >strict
printf '%s\n' save_fclose save_fopen save_free save_malloc save_open \
	save_realloc save_strdup save_exit >cxx
echo save_open >some

cat >try <<'EOF'
#!/bin/sh
# EXPECTED SOURCE COMPILER FLAG...: one combination
expected=$1 source=$2
shift 2
out=$(mktemp -d ./try-XXXXXX)
title="$(basename "$source"): $*"
exec >"$out/said" 2>&1
if ! $* -I"$srcdir/include" -include reclaim.h -c "$source" \
	-o "$out/o" >"$out/log" 2>&1; then
	cat "$out/log"
	echo "FAIL: $title: does not compile"
	exit
fi
$NM -u "$out/o" | awk '{ print $2 }' >"$out/wanted"
left=$(grep -v '^save_' "$out/wanted" | grep -Evf harmless | tr '\n' ' ')
missing=$(sed 's/_\(chk\|2\)$//' "$out/wanted" | sort -u |
	comm -13 - "$expected" | tr '\n' ' ')
if [ -n "$left" ]; then
	echo "FAIL: $title: names are left: $left"
elif [ -n "$missing" ]; then
	echo "FAIL: $title: no use of $missing"
else
	echo "PASS: $title"
fi
EOF
chmod +x try
for one in strict cxx; do sort -o "$one" "$one"; done

# ---- the matrix ----

levels() {
	echo "-O0"
	echo "-O2 -U_FORTIFY_SOURCE"
	echo "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
	echo "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
}

# -Wno-unused-result: of what is looked at, the names matter.
matrix() {
	names="$srcdir/tests/alias_names.c"
	gnu=-D_GNU_SOURCE
	levels | while read -r level; do
		while read -r compiler; do
			cc="$compiler $warnings -Wno-unused-result $level"
			echo "some $names $cc"
			echo "some $names $cc -std=gnu99 -D_FILE_OFFSET_BITS=64"
			echo "some $names $cc -D_LARGEFILE64_SOURCE"
			echo "all $names $cc $gnu"
			echo "all $names $cc $gnu -D_FILE_OFFSET_BITS=64"
		done <c_compilers
		while read -r compiler; do
			cc="$compiler $warnings -Wno-unused-result $level"
			echo "all $names $cc -x c++ -std=c++11"
			echo "all $names $cc -x c++ -std=c++20" \
				"-D_FILE_OFFSET_BITS=64"
		done <cxx_compilers
	done
	while read -r compiler; do
		for std in c89 gnu89 c99 c11 gnu17 c2x; do
			echo "strict $srcdir/tests/alias_strict.c $compiler" \
				"$warnings -Wundef -Wredundant-decls" \
				"-Wstrict-prototypes -O2 -std=$std"
		done
		echo "some $srcdir/tests/alias_mixed.c $compiler $warnings -O2"
	done <c_compilers
	while read -r compiler; do
		for std in c++11 c++20; do
			echo "cxx $srcdir/tests/alias_cxx.cc $compiler" \
				"$warnings -Wundef -Wredundant-decls" \
				"-O2 -D_FORTIFY_SOURCE=2 -std=$std"
		done
		echo "some $srcdir/tests/alias_mixed.c $compiler $warnings" \
			"-O2 -x c++"
	done <cxx_compilers
	if grep -Fxq gcc c_compilers; then
		echo "some $srcdir/tests/alias_mixed.c gcc $warnings -O2" \
			"-fanalyzer"
	fi
}

matrix | xargs -P "$(getconf _NPROCESSORS_ONLN)" -L 1 ./try
cat try-*/said >results
cat results

# ---- the rest, one by one ----

check() { # WHAT COMMAND...
	what=$1
	shift
	if "$@" >log 2>&1; then
		echo "PASS: $what"
	else
		cat log
		echo "FAIL: $what"
	fi | tee -a results
}

cc=$(head -n 1 c_compilers)
cxx=$(head -n 1 cxx_compilers)

# Too late for the aliases, it says what to do.
says() { # MESSAGE COMPILER...; source on stdin
	message=$1
	shift
	# shellcheck disable=SC2048,SC2086 # a compiler may have options
	! $* -I"$srcdir/include" -fsyntax-only - >said 2>&1 || return 1
	grep -q "$message" said || { cat said && return 1; }
}
refused_after() { # HEADER COMPILER...
	header=$1
	shift
	printf '#include <%s>\n#include <reclaim.h>\n' "$header" |
		says 'compile with -include reclaim.h' "$@"
}
for header in stdio.h stdlib.h fcntl.h sys/epoll.h sys/timerfd.h; do
	check "reclaim.h after <$header> is refused, in C" \
		refused_after "$header" "$cc" -x c
	check "reclaim.h after <$header> is refused, in C++" \
		refused_after "$header" "$cxx" -x c++
done

short_long() {
	echo '#include <reclaim.h>' | says 'cannot alias' \
		"$cc" -x c -U__LP64__ -D_FILE_OFFSET_BITS=64
}
check "so are 64-bit offsets where long is shorter" short_long

plain_alone() {
	$cc -I"$srcdir/include" -include reclaim.h -DRECLAIM_NO_ALIAS -w \
		-c "$srcdir/tests/alias_names.c" -o plain.o &&
		! $NM -u plain.o | grep ' save_'
}
check "RECLAIM_NO_ALIAS leaves the plain names alone" plain_alone

# Counterparts of libc: all but these.
every_name() {
	grep -o 'save_[a-z0-9_]*(' "$srcdir/include/reclaim.h" | tr -d '(' |
		grep -Evx 'save_((malloc|calloc|realloc|free)2|fd|delete_hook)' |
		sort -u >declared
	awk '{ print $2 }' aliases | sort -u | comm -3 declared - >difference
	cat difference
	[ ! -s difference ]
}
check "each save_ name of libc has an alias, and no other" every_name

assembler() {
	echo '.globl nothing' >empty.S
	$cc -I"$srcdir/include" -include reclaim.h -c empty.S
}
check "an assembler file may be compiled so, too" assembler

# ---- run ----

library="$builddir/.libs/libreclaim.a"
runs() { # COMPILER FLAG...
	# shellcheck disable=SC2048,SC2086 # as above
	$* -Wall -Wextra -Werror -I"$srcdir/include" -include reclaim.h \
		"$srcdir/tests/alias_run.c" -x none "$library" -pthread -o run &&
		./run
}
if [ -f "$library" ]; then
	gnu=-D_GNU_SOURCE
	while read -r one; do
		check "run: $one -O0" runs "$one" -O0 $gnu
		check "run: $one -O2, fortified, 64-bit offsets" \
			runs "$one" -O2 $gnu -U_FORTIFY_SOURCE \
			-D_FORTIFY_SOURCE=3 -D_FILE_OFFSET_BITS=64
	done <c_compilers
	while read -r one; do
		check "run: $one -O2" runs "$one" -x c++ -O2
	done <cxx_compilers
	# What reclaim.h says of them.
	if grep -Fxq gcc c_compilers; then
		check "run: gcc -O2 -flto" \
			runs gcc -O2 $gnu -flto -fno-optimize-strlen
		check "run: gcc -O2 --coverage" \
			runs gcc -O2 $gnu --coverage -fno-builtin-fork
	fi
else
	echo "SKIP: there is no $library: nothing is run"
fi

grep -q '^PASS: ' results && ! grep -q '^FAIL: ' absent results
