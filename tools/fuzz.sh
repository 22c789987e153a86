#!/usr/bin/env bash
# Runs every fuzz target of the repository, one after the other.
# usage: tools/fuzz.sh [TIME]        a Go duration for each, 20s by default
set -euo pipefail

duration=${1:-20s}
found=0
while IFS=: read -r file target; do
	found=1
	echo "== ${file%/*} $target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "${file%/*}" </dev/null
done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/func //' | sort)

((found)) || echo "no fuzz target found"
