#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# examples - those that need no emulator say what they should
set -eu

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# shellcheck source=tests/results.sh
. "$srcdir/tests/results.sh"

says_what_it_should() { # EXAMPLE
	"$builddir/examples/$1" >said && diff expected said
}

cat >expected <<END
worker a ended with status 0
worker x ended with status 2
worker t ended with status 0
found in all: 14
the mute one said: -1
notes in the queue: 2
the supervisor ended with status 0
END
check "talk: tasks that talk" says_what_it_should talk
exit "$status"
