#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make ./configure out of configure.ac.  Wants autoconf, automake and libtool.
set -eu
cd "$(dirname "$0")"
mkdir -p m4 build-aux
exec autoreconf --install --warnings=all
