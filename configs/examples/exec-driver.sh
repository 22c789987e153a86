#!/bin/sh
# A cloud driver in shell, for the scaler's "exec" provider. Its cloud is a
# directory: a batch of machines is a file, made in one step by a rename, and a
# machine that was stopped or ended has a marker file. Replace what is marked
# CLOUD by calls of a real one. docs/cloud-drivers.md describes the protocol;
# this driver reads the question from SPILLWAY_* variables, not from its input.
#
#   EXEC_DRIVER_DIR=/var/lib/my-cloud  where it keeps its machines (required)
set -eu

dir=${EXEC_DRIVER_DIR:?}
mkdir -p "$dir/batches" "$dir/stopped" "$dir/ended"

# json TEXT: a JSON string. Control characters are left out.
json() {
	case $1 in
	*[\\\"[:cntrl:]]*) printf '"%s"' "$(printf %s "$1" | tr -d '\001-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')" ;;
	*) printf '"%s"' "$1" ;;
	esac
}

# refuse KIND WHAT MESSAGE: the answer of a call that did not do what it should.
refuse() {
	printf '{"error":{"kind":"%s","what":%s,"message":%s}}\n' "$1" "$(json "$2")" "$(json "$3")"
	exit 0
}

describe() {
	cat <<-END
		{"description": {"name": "shell", "max_batch": 10, "client_token": true, "stop": true, "events": false,
		  "user_data_max": 0, "list_lag_ms": 0, "limits": {"create": {"rate": 50, "burst": 100}}}}
	END
}

offerings() {
	separator='{"offerings":['
	for zone in a b; do
		for size in 2 4; do
			printf '%s{"type":"cpu-%s","zone":"%s","cpu":%s,"memory":%s,"units":%s,"arch":"amd64","price_hour":0.0%s,"available":true}' \
				"$separator" "$size" "$zone" "$size" "$((size << 31))" "$size" "$size"
			separator=,
		done
	done
	echo ']}'
}

# CLOUD. A token that was used gives the same machines; used for another request
# it is refused. Nothing exists until the rename, so that being killed at any
# moment leaves the whole batch or none of it.
create() {
	case $SPILLWAY_ZONE in a | b) ;; *) refuse invalid zone "there is no zone $SPILLWAY_ZONE" ;; esac
	case $SPILLWAY_TYPE in cpu-2 | cpu-4) ;; *) refuse invalid type "there is no type $SPILLWAY_TYPE" ;; esac
	names=$(printf %s "$SPILLWAY_NAMES" | tr '\n' ' ')
	wanted="request $SPILLWAY_TYPE $SPILLWAY_ZONE $SPILLWAY_COUNT $names"
	batch="$dir/batches/$SPILLWAY_TOKEN"
	if [ -e "$batch" ]; then
		grep -qxF -- "$wanted" "$batch" || refuse invalid token "it was used for another request"
	else
		{
			echo "$wanted"
			echo "created $(date -u +%Y-%m-%dT%H:%M:%SZ)"
			printf '%s\n' "$SPILLWAY_TAGS" | sed '/./s/^/tag /'
			n=$(cat "$dir"/batches/* 2>/dev/null | grep -c '^machine ' || true)
			for name in $names; do
				n=$((n + 1))
				echo "machine m-$(printf %06d $n) $name 10.99.$((n / 250)).$((n % 250 + 1))"
			done
		} >"$dir/new"
		mv "$dir/new" "$batch"
	fi
	show "$batch"
}

# CLOUD. Machines with all the tags that were asked for.
list() {
	set --
	for batch in "$dir"/batches/*; do
		[ -e "$batch" ] && tagged "$batch" && set -- "$@" "$batch"
	done
	show "$@"
}

tagged() {
	printf '%s\n' "$SPILLWAY_TAGS" | while IFS= read -r tag; do
		[ -z "$tag" ] || grep -qxF -- "tag $tag" "$1" || exit 1
	done
}

# show BATCH...: the machines of these batches that have not ended.
show() {
	separator=
	printf '{"machines":['
	for batch in "$@"; do
		read -r _ type zone _ <"$batch"
		created=$(sed -n 's/^created //p' "$batch")
		tags=$(sed -n 's/^tag //p' "$batch" | tags_json)
		while read -r word id name address; do
			[ "$word" = machine ] && [ ! -e "$dir/ended/$id" ] || continue
			state=running
			[ ! -e "$dir/stopped/$id" ] || state=stopped
			printf '%s{"id":"%s","name":%s,"type":"%s","zone":"%s","state":"%s","address":"%s","created":"%s","tags":{%s}}' \
				"$separator" "$id" "$(json "$name")" "$type" "$zone" "$state" "$address" "$created" "$tags"
			separator=,
		done <"$batch"
	done
	echo ']}'
}

tags_json() {
	comma=
	while IFS= read -r tag; do
		printf '%s%s:%s' "$comma" "$(json "${tag%%=*}")" "$(json "${tag#*=}")"
		comma=,
	done
}

# exists: or the answer is that there is no such machine.
exists() {
	if [ -e "$dir/ended/$SPILLWAY_ID" ] || ! cat "$dir"/batches/* 2>/dev/null | grep -q "^machine $SPILLWAY_ID "; then
		refuse not_found "$SPILLWAY_ID" "there is no such machine"
	fi
}

# One call at a time: the lock goes with the process, however that ends.
exec 9>"$dir/lock"
flock 9

case $SPILLWAY_OP in
describe) describe ;;
offerings) offerings ;;
create) create ;;
list) list ;;
delete) exists && : >"$dir/ended/$SPILLWAY_ID" && echo '{}' ;;
stop) exists && : >"$dir/stopped/$SPILLWAY_ID" && echo '{}' ;;
start) exists && rm -f "$dir/stopped/$SPILLWAY_ID" && echo '{}' ;;
*) refuse invalid "$SPILLWAY_OP" "this driver cannot do that" ;;
esac
