#!/usr/bin/env bash
# Runs the tests that the race detector would falsify (time, allocation,
# memory): those in files marked `//go:build !race`. One package at a time, so
# that they do not disturb each other. Arguments go to `go test`.
set -euo pipefail

mapfile -t files < <(grep -rlE --include='*_test.go' '^//go:build .*!race' . | sort)
((${#files[@]})) || exit 0

names=$(grep -hoE '^func (Test|Example)[A-Za-z0-9_]*' "${files[@]}" | awk '{ print $2 }' | grep -v '^TestMain$' | sort -u | paste -sd'|')
[[ -n $names ]] || exit 0
mapfile -t packages < <(printf '%s\n' "${files[@]%/*}" | sort -u)

go test -p 1 -count=1 "$@" -run "^($names)\$" "${packages[@]}"
