#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# results - what the scripts that test print, and how they end
#
# Read by them (. "$srcdir/tests/results.sh"); each ends with `exit "$status"`.

# shellcheck disable=SC2034 # it is whoever reads this that ends with it
status=0
check() { # WHAT COMMAND...
	what=$1
	shift
	if "$@" >log 2>&1; then
		echo "PASS: $what"
	else
		cat log
		echo "FAIL: $what"
		status=1
	fi
}
