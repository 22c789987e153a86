#!/usr/bin/env bash
# Installs the programs the tests and benchmarks start, if any is missing.
# Needs root (or sudo without a password) and apt-get only in that case.
set -euo pipefail

declare -A package=(
	[nginx]=nginx [haproxy]=haproxy [wrk]=wrk [taskset]=util-linux [gcc]=gcc [git]=git [curl]=curl
	[dockerd]=docker.io [iptables]=iptables [ip]=iproute2 [nsenter]=util-linux [openssl]=openssl
	[aws]=awscli
)
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps servers

missing=()
for program in "${!package[@]}"; do
	command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
# gcc alone compiles nothing that includes a C header, and cgo does.
[[ -e /usr/include/stdlib.h ]] || missing+=(libc6-dev)
((${#missing[@]})) || exit 0

echo "missing: ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "cannot install them: no apt-get here; install them by hand" >&2
	exit 1
fi
as_root=()
if ((EUID != 0)); then
	sudo -n true 2>/dev/null || {
		echo "cannot install them: run as root: apt-get install ${missing[*]}" >&2
		exit 1
	}
	as_root=(sudo -n)
fi
# A package starts the servers it brings. None is wanted: a Docker Engine, for
# one, writes rules into this machine's netfilter that slow every connection.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
