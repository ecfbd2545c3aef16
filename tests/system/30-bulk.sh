#!/bin/bash
# A gibibyte each way with equal checksums, in reads and writes of random sizes from 1 byte to 1 MiB; and
# an eighth of it (with ABUSE=full, all of it) with each version, server and way to wait: polling memory, and
# poll() on the session's descriptor.
# Limit: 400 s
. "$(dirname "$0")/lib.sh"

LARGE=$((1024 * 1024 * 1024))
[ "$SANDBOX" = enforce ] || LARGE=$((64 * 1024 * 1024))
SIZE=$((LARGE / 8))
abuse_full && SIZE=$LARGE

# sha256sum takes seven times as long: it does not use what the processor has for this.
checksum()
{
	openssl dgst -sha256 -r "$@" | cut -d ' ' -f 1
}

start_daemon
start_peer peer12 good --tls 1.2
start_peer peer13 good --tls 1.3

sum()
{
	sed -n 's/.*sha256[= ]\([0-9a-f]*\).*/\1/p' | tail -n 1
}

# The own server: both ends print the checksum of what passed.
down()
{
	local theirs ours
	: > "$TMP/$1.out.old"
	ours=$(expect 0 traffic_as "$CLIENT" "${@:2}" localhost "$PORT" down $SIZE | tee "$TMP/x" | sum)
	cat "$TMP/x"
	wait_until 5 says "$1" '^end'
	theirs=$(last_said "$1" '^end' | sum)
	equal "$ours" "$theirs"
	grep -q "received=$SIZE " "$TMP/x"
}

up()
{
	# traffic compares its own checksum with the one that the server answers.
	expect 0 traffic_as "$CLIENT" "${@:2}" localhost "$PORT" up $SIZE > "$TMP/x"
	cat "$TMP/x"
	grep -q "sent=$SIZE " "$TMP/x"
	grep -q '^sha256 ' "$TMP/x"
}

for version in 1.2 1.3; do
	name=peer${version/./}
	PORT=$(last_said "$name" '^listening' | cut -d ' ' -f 2)
	prove "TLS $version, down, by poll() on the descriptor" down "$name"
	prove "TLS $version, up, by poll() on the descriptor" up "$name"
done
SIZE=$LARGE prove "TLS 1.3, down, $((LARGE >> 20)) MiB" down peer13
SIZE=$LARGE prove "TLS 1.3, up, $((LARGE >> 20)) MiB" up peer13
prove "TLS 1.3, down, by polling memory" down peer13 --spin
prove "TLS 1.3, up, by polling memory" up peer13 --spin

mkdir -p "$TMP/www"
# Random enough, and quick: a key stream.
head -c $SIZE /dev/zero | openssl enc -aes-128-ctr -K 0123456789abcdef0123456789abcdef \
	-iv 00000000000000000000000000000000 > "$TMP/www/file"
wanted=$(checksum "$TMP/www/file")
start_nginx nginx good

nginx_down()
{
	local ours
	ours=$(expect 0 traffic_as "$CLIENT" "$@" localhost "$PORT" get /file | tee "$TMP/x" | sum)
	cat "$TMP/x"
	equal "$ours" "$wanted"
}

nginx_up()
{
	local ours theirs
	ours=$(expect 0 traffic_as "$CLIENT" "$@" localhost "$PORT" put /put/file $SIZE |
		tee "$TMP/x" | sum)
	cat "$TMP/x"
	theirs=$(checksum "$TMP/nginx/put/file")
	rm "$TMP/nginx/put/file"
	equal "$ours" "$theirs"
}

prove "nginx, down, by poll() on the descriptor" nginx_down
prove "nginx, down, by polling memory" nginx_down --spin
prove "nginx, up, by poll() on the descriptor" nginx_up
prove "nginx, up, by polling memory" nginx_up --spin

# With the tool's own --eof-wait: nginx drops the answer when its client ends its side before.
through_the_tool()
{
	local ours
	local EOF_WAIT=1
	printf 'GET /file HTTP/1.0\r\n\r\n' | client "localhost:$PORT" > "$TMP/got"
	ours=$(tail -c $SIZE "$TMP/got" | checksum)
	rm "$TMP/got"
	equal "$ours" "$wanted"
}
prove "nginx, down, through the command line tool" through_the_tool

prove "it stops without leaving anything" stop_daemon
