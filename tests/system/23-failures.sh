#!/bin/bash
# Connections that fail before there is TLS: each with its own code, exit status and text.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good

# fails STATUS ERRNO CODE HOST PORT [options for both]
fails()
{
	local status=$1 errno=$2 code=$3 host=$4 port=$5
	shift 5
	expect "$status" client --timeout 60 "$@" "$host:$port" < /dev/null
	expect 1 traffic_as "$CLIENT" "$host" "$port" echo 1 > "$TMP/failed"
	cat "$TMP/failed"
	grep -q "errno=$errno code=$code .*text=.*[a-z]" "$TMP/failed"
}

refused()
{
	local port
	port=$(free_port)
	fails 3 ECONNREFUSED 22 127.0.0.1 "$port"
	grep -q "text=.*127\.0\.0\.1.*$port" "$TMP/failed"
	fails 3 ECONNREFUSED 22 localhost "$port"
}
prove "a port where nobody listens: refused, naming address and port" refused

numbers()
{
	# Old spellings of 127.0.0.1: no literals (RFC 6943), so no names either.
	local host
	for host in 0177.0.0.1 2130706433 127.1 0x7f.0.0.1 127.0.0.1.; do
		expect 1 traffic_as "$CLIENT" "$host" "$PORT" echo 1 > "$TMP/failed"
		cat "$TMP/failed"
		grep -Eq 'errno=(ENOENT|EINVAL) ' "$TMP/failed"
	done
	deny says peer 'handshake'
}
prove "numbers that only look like addresses lead nowhere" numbers

junk()
{
	start_peer junk good --junk
	fails 5 EPROTO 45 localhost "$PORT"
	stop junk KILL
}
prove "a server that does not speak TLS" junk

mute()
{
	local begin
	start_peer mute good --mute
	begin=$(now)
	expect 9 client --timeout 1 "localhost:$PORT" < /dev/null
	[ $(($(now) - begin)) -ge 900 ]
	in_time $(($(now) - begin)) 3000
	stop mute KILL
}
prove "a server that says nothing: the deadline holds" one_of 10 mute

versions()
{
	start_peer old good --tls 1.1
	fails 5 EPROTO 42 localhost "$PORT"
	stop old KILL
}
prove "a server that has only TLS 1.1: no version in common" versions

bad_hosts()
{
	local host
	for host in '' ' ' 'a b' "$(printf 'x%.0s' {1..300})" 'a..b' 'fe80::1%lo%lo' '[::1' '::1]'; do
		expect 1 traffic_as "$CLIENT" "$host" 443 echo 1 > "$TMP/failed"
		cat "$TMP/failed"
		grep -Eq 'errno=(EINVAL|ENOENT|EHOSTUNREACH) ' "$TMP/failed"
	done
	expect 1 traffic_as "$CLIENT" localhost 0 echo 1 | grep 'errno=EINVAL'
	expect 1 traffic_as "$CLIENT" localhost 65536 echo 1 | grep 'errno=EINVAL'
	expect 1 traffic_as "$CLIENT" localhost https echo 1 | grep 'errno=EINVAL'
}
prove "hosts and ports that are none are refused" bad_hosts

nothing_left()
{
	no_sessions() { [ "$(status '.counters.sessions')" = 0 ]; }
	wait_until 7 no_sessions
	expect 0 traffic_as "$CLIENT" localhost "$(last_said peer '^listening' | cut -d ' ' -f 2)" echo 10
}
prove "after all of that no session is left, and the next one works" nothing_left

prove "it stops without leaving anything" stop_daemon
