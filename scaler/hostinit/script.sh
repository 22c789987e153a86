#!/bin/sh
{{.Marker}}{{.Line}}
# Makes this machine a Docker host of Spillway: the stages, their deadlines and
# what is told of them are those of the line above. Runs as root, at first boot.
set -u
umask 077
root=${SPILLWAY_ROOT:-} # for tests
dir=$root/var/lib/spillway
tls=$dir/tls
scaler={{quote .Scaler}}
token={{quote .Token}}
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$tls"
cat >"$dir/scaler.pem" <<'SPILLWAY'
{{.CA}}
SPILLWAY

say() { echo "spillway: $*" >&2; }
millis() { date +%s%3N; }
call() { # PATH BODY [CURL-ARGUMENTS]
	path=$1 body=$2
	shift 2
	curl -fsS --max-time 10 --cacert "$dir/scaler.pem" -H 'Content-Type: application/json' \
		--data "$body" "$@" "$scaler$path"
}
tell() { call "$1" "$2" -H "Authorization: Bearer $(cat "$dir/id"):$(cat "$tls/secret")"; }

# report NAME AT TOOK ERROR: kept until the machine has joined
report() {
	say "stage $1 after $3 ms${4:+: $4}"
	[ -n "$scaler" ] || return 0
	printf '%s %s %s %s\n' "$1" "$2" "$3" "$4" >>"$dir/unsent"
	[ -n "$4" ] || printf '%s %s %s\n' "$1" "$2" "$3" >>"$dir/stages"
	[ -s "$tls/secret" ] || return 0
	while read -r name at took error; do
		tell /v1/stage "{\"name\":\"$name\",\"at\":$at,\"now\":$(millis),\"took\":$took,\"error\":\"$error\"}" || return 0
	done <"$dir/unsent"
	rm -f "$dir/unsent"
}

# stage NAME SECONDS FUNCTION [once]: repeated until it succeeds
last=$(millis)
stage() {
	while :; do
		"$3" &
		worker=$!
		(sleep "$2" && kill "$worker") >/dev/null 2>&1 &
		watch=$!
		wait "$worker"
		status=$?
		kill "$watch" 2>/dev/null
		now=$(millis)
		if [ "$status" = 0 ]; then
			report "$1" "$now" $((now - last)) ""
			last=$now
			return
		fi
		report "$1" "$now" $((now - last)) "not done within $2 s or failed, status $status"
		[ "${4:-}" = once ] && return
		sleep 2
	done
}

nothing() { :; }

address() {
	until sh -c {{quote .ID}} >"$dir/id" && [ -s "$dir/id" ] && sh -c {{quote .Address}} >"$dir/address" && [ -s "$dir/address" ]; do
		sleep 1
	done
}

phone_home() {
	[ -n "$scaler" ] || return 0
	name=$(hostname)
	[ -s "$tls/key.pem" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$tls/key.pem" || return
	csr=$(openssl req -new -key "$tls/key.pem" -subj "/CN=$name" \
		-addext "subjectAltName=DNS:$name,IP:$(cat "$dir/address")" | awk '{ printf "%s\\n", $0 }')
	until call /v1/join "{\"token\":\"$token\",\"instance_id\":\"$(cat "$dir/id")\",\"name\":\"$name\",\"address\":\"$(cat "$dir/address")\",\"csr\":\"$csr\"}" \
		-H 'Accept: application/x-tar' -o "$dir/answer.tar" && tar -xf "$dir/answer.tar" -C "$tls"; do
		sleep 2
	done
	rm -f "$dir/answer.tar"
	mkdir -p "$root/etc/docker"
	cp "$tls/daemon.json" "$root/etc/docker/daemon.json"
}

packages() {
{{- if .Packages}}
	if command -v apt-get >/dev/null; then
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq {{words .Packages}} || return
	else
		yum install -y -q {{words .Packages}} || return
	fi
{{- end}}
{{- range .Commands}}
	sh -c {{quote .}} || return
{{- end}}
	return 0
}

docker_up() {
	packages || return
	if [ -n "$scaler" ]; then
		mkdir -p "$root/etc/systemd/system/docker.service.d"
		cat >"$root/etc/systemd/system/docker.service.d/spillway.conf" <<SPILLWAY
[Service]
ExecStart=
ExecStart=$(command -v dockerd) -H unix:///var/run/docker.sock -H tcp://$(cat "$dir/address"):2376 --tlsverify --tlscacert=$tls/ca.pem --tlscert=$tls/cert.pem --tlskey=$tls/key.pem
SPILLWAY
	fi
	systemctl daemon-reload
	systemctl restart docker || return
	until version=$(docker version --format '{{"{{"}}.Server.Version{{"}}"}}'); do sleep 1; done
	wanted={{quote .EngineVersion}}
	case $version. in
	"${wanted:+$wanted.}"*) ;;
	*) say "the engine is $version, wanted $wanted" && return 1 ;;
	esac
}

images() {
	failed=0
{{- range .Images}}
	docker pull -q {{quote .}} || failed=1
{{- end}}
	return $failed
}

# keep PATH MODE AFTER: the file as it is on standard input
keep() {
	cat >"$dir/wanted"
	cmp -s "$dir/wanted" "$root$1" && return
	wrong="$wrong $1"
	mkdir -p "$(dirname "$root$1")"
	cp "$dir/wanted" "$root$1" && chmod "$2" "$root$1"
	[ -z "$3" ] || sh -c "$3"
}

route() { # CIDR via ADDRESS
	ip -o route show "$1" | grep -q " via $3 " && return
	wrong="$wrong route-$1"
	ip route replace "$1" via "$3"
}

settle() {
	stable=$(date +%s)
	while :; do
		wrong='' now=$(date +%s)
{{- range .Files}}
		printf %s {{quote .Text}} | { keep {{quote .Path}} {{mode .Mode}} {{quote .After}}; echo "$wrong" >"$dir/wrong"; }
		wrong=$(cat "$dir/wrong")
{{- end}}
{{- range .Routes}}
		route {{.}}
{{- end}}
		[ -z "$wrong" ] || { say "settling, written again:$wrong" && stable=$now; }
		[ $((now - stable)) -ge {{printf "%.0f" .Hold}} ] && return
		sleep 1
	done
}

# The lease: the machine ends itself after as long without any request and
# without the scaler. Packets with content that others sent us are requests.
lease() {
	idle={{printf "%.0f" .Lease.Idle}}
	[ -n "$scaler" ] && [ "$idle" -gt 0 ] || return 0
	mkdir -p "$root/usr/local/sbin" "$root/etc/systemd/system"
	part=$(($(cksum <"$dir/id" | cut -d' ' -f1) % 1000))
	cat >"$root/usr/local/sbin/spillway-lease" <<SPILLWAY
#!/bin/sh
PATH=\$PATH:/usr/sbin:/sbin
id=$(cat "$dir/id") idle=$((idle + idle / 4 * part / 1000)) every={{with .Lease.Every}}{{printf "%.0f" .}}{{else}}15{{end}}
device=\$(ip -o route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
rules() { iptables -w 5 -t mangle "\$@"; }
rules -N SPILLWAY-LEASE && {
	rules -A SPILLWAY-LEASE -p tcp --dport 2376 -j RETURN
	for checker in {{words .Lease.Checkers}}; do rules -A SPILLWAY-LEASE -s "\$checker" -j RETURN; done
	rules -A SPILLWAY-LEASE -m conntrack --ctdir ORIGINAL -m length --length 61: -m comment --comment requests
	rules -A PREROUTING -i "\$device" -j SPILLWAY-LEASE
}
traffic=\$(date +%s) contact=\$traffic before=
while :; do
	now=\$(date +%s)
	count=\$(rules -L SPILLWAY-LEASE -n -v -x | sed -n 's/^ *\([0-9]*\) .*requests.*/\1/p')
	[ -n "\$count" ] && [ "\$count" = "\$before" ] || traffic=\$now
	before=\$count
	stages=\$(awk '{ printf "%s{\"name\":\"%s\",\"at\":%s,\"took\":%s}", (NR > 1 ? "," : ""), \$1, \$2, \$3 }' $dir/stages)
	curl -fsS --max-time 10 --cacert $dir/scaler.pem -H "Authorization: Bearer \$id:\$(cat $tls/secret)" \\
		--data "{\"now\":\$(date +%s%3N),\"stages\":[\$stages]}" $scaler/v1/lease && contact=\$now
	[ \$((now - traffic)) -ge \$idle ] && [ \$((now - contact)) -ge \$idle ] && systemctl poweroff
	sleep \$every
done
SPILLWAY
	chmod 755 "$root/usr/local/sbin/spillway-lease"
	cat >"$root/etc/systemd/system/spillway-lease.service" <<SPILLWAY
[Service]
ExecStart=/usr/local/sbin/spillway-lease
Restart=always
[Install]
WantedBy=multi-user.target
SPILLWAY
	systemctl daemon-reload
	systemctl enable --now spillway-lease
}

stage running {{seconds "running"}} nothing
stage address {{seconds "address"}} address
lease
stage phone-home {{seconds "phone-home"}} phone_home
stage docker {{seconds "docker"}} docker_up
stage images {{seconds "images"}} images once
stage settled {{seconds "settled"}} settle
