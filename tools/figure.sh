#!/usr/bin/env bash
# Runs one test at full length, so that it prints its figure. The test reads
# FIGURES=full; without it, it runs short and with wide limits.
# usage: tools/figure.sh TEST_PREFIX
set -euo pipefail

mapfile -t packages < <(grep -rlE --include='*_test.go' "^func $1[A-Za-z0-9_]*\(" . | xargs -r dirname | sort -u)
if ((${#packages[@]} == 0)); then
	echo "no test is named $1..." >&2
	exit 1
fi
FIGURES=full go test -p 1 -count=1 -timeout 60m -v -run "^$1" "${packages[@]}"
