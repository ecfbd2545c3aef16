#!/bin/bash
# How a stream ends, and what a server may do to one.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon

# ends ERRNO CODE COMMAND [RECEIVED]: tlspeer's command ends the session so; all before was read.
ends()
{
	expect 1 traffic_as "$CLIENT" localhost "$PORT" raw "$3" > "$TMP/ended"
	cat "$TMP/ended"
	grep -q "op=read errno=$1 code=$2 .*text=.*[a-z]" "$TMP/ended"
	[ -z "${4-}" ] || grep -q " received=$4 " "$TMP/ended"
}

ends_cleanly()
{
	expect 0 traffic_as "$CLIENT" localhost "$PORT" raw "$1" > "$TMP/ended"
	cat "$TMP/ended"
	grep -q " received=$2 " "$TMP/ended"
}

for version in 1.2 1.3; do
	start_peer "peer$version" good --tls $version
	prove "TLS $version: close_notify is the clean end, after all data" \
		ends_cleanly "source 1000000 7" 1000000
	prove "TLS $version: a clean end without any data" ends_cleanly "source 0 7" 0
	prove "TLS $version: FIN without close_notify is a truncation, after all data" \
		ends ECONNRESET 26 "truncate 1000000" 1000000
	prove "TLS $version: the same without any data" ends ECONNRESET 26 "truncate 0" 0
	prove "TLS $version: a reset is one" ends ECONNRESET 25 "reset 0"
done

tool_tells_them_apart()
{
	printf 'source 100000 1\n' | client "localhost:$PORT" > "$TMP/got"
	equal "$(stat -c %s "$TMP/got")" 100000
	printf 'truncate 100000\n' | expect 1 client "localhost:$PORT" > "$TMP/got" 2> "$TMP/why"
	# expect says one line of its own.
	[ "$(stat -c %s "$TMP/got")" -ge 100000 ]
	# The tool has said all and closed its side, which the server did not read: that may be a reset.
	grep -E 'close_notify|reset' "$TMP/why"
}
prove "the tool writes all that came, and tells a truncation by its status" tool_tells_them_apart

half_closed()
{
	# The server says its end at once; what we write still arrives.
	: > "$TMP/peer1.3.out"
	{ printf 'halfclose\n'; head -c 100000 /dev/zero; } | client "localhost:$PORT"
	wait_until 5 says peer1.3 '^end command=halfclose read=100000'
}
prove "what is written after the server's end still arrives" half_closed

key_updates()
{
	{ printf 'keyupdate 20\n'; printf 'hello\n'; } | client "localhost:$PORT" | grep hello
	# OpenSSL's server takes 32 key updates on a connection: one for each answer stays below that.
	{ printf 'trickle 1\n'; head -c 300000 /dev/zero; } | client "localhost:$PORT" |
		cmp -n 300000 - /dev/zero
}
prove "key updates are answered, and the stream goes on" key_updates

key_update_flood()
{
	ends EPROTO '4[0-9]' "keyupdate 20000"
}
prove "a flood of key updates ends the session" key_update_flood

ticket_flood()
{
	{ printf 'tickets 20\n'; printf 'hello\n'; } | client "localhost:$PORT" | grep hello
	ends EPROTO '4[0-9]' "tickets 20000"
}
prove "twenty tickets are fine, a flood of them ends the session" ticket_flood

renegotiation()
{
	start_peer renegotiating good --tls 1.2
	# OpenSSL as server treats the refusal as an error of its own; either is an orderly end.
	expect 1 traffic_as "$CLIENT" localhost "$PORT" raw "renegotiate 1" > "$TMP/ended"
	cat "$TMP/ended"
	grep -Eq 'op=read errno=(EPROTO|ECONNRESET) ' "$TMP/ended"
}
prove "a renegotiation is refused" renegotiation

silent_server()
{
	# It reads nothing: a write of more than rings and sockets hold must not block the worker.
	background stuck "$CLIENT" traffic --socket "$SOCKET" localhost "$PORT" raw silent
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 1000000
	stop stuck KILL
}
prove "a server that falls silent holds up nobody else" silent_server

serves_on()
{
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 100000
	equal "$(status '[.roles[] | .restarts] | add')" 0
}
prove "after all of that every role is still the first one" serves_on

prove "it stops without leaving anything" stop_daemon
