#!/bin/bash
# A server vanishes without a word: daemon and server in two network namespaces, and the wire is cut.
# Tags: alone
# Limit: 90 s
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ] || ! unshare -n true 2> /dev/null ||
	[ "$(readlink /proc/self/ns/net)" = "$(readlink /proc/1/ns/net)" ]; then
	prove "a server vanishes" skip "needs root and network namespaces"
	exit 0
fi

# limits.h: a peer that acknowledges nothing is given up after so long.
SILENT=$(limit PEER_SILENT_MS)

lay_wire()
{
	background far - unshare -n sleep infinity
	other_namespace() {
		[ "$(readlink "/proc/$(pid_of far)/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	}
	wait_until 5 other_namespace
	ip link add near type veth peer name far netns "$(pid_of far)"
	ip address add 192.0.2.1/24 dev near
	ip link set near up
	in_far ip address add 192.0.2.7/24 dev far
	in_far ip link set far up
}

in_far()
{
	nsenter -t "$(pid_of far)" -n "$@"
}

prove "two namespaces and a wire" lay_wire
start_daemon
background server - nsenter -t "$(pid_of far)" -n "$BIN/tlspeer" --listen 192.0.2.7 \
	--cert "$PKI/wrong-address.pem" --key "$PKI/wrong-address.key"
wait_until 5 says server '^listening'
PORT=$(last_said server '^listening' | cut -d ' ' -f 2)
start_peer peer good
near=$PORT
PORT=$(last_said server '^listening' | cut -d ' ' -f 2)

vanishes()
{
	local at last
	# More than it takes at once: at each moment some of it is not acknowledged.  Who has only to wait for
	# the server's answer waits for the keepalives as well, for a minute more.
	load gone "$CLIENT" --sessions 5 192.0.2.7 "$PORT" up 1000000000000
	witness here "$CLIENT" --sessions 5 localhost "$near" echo 0
	at=$(now)
	in_far ip link set far down
	exit_status gone $((SILENT / 1000 + 10))
	cat "$TMP/gone.out"
	equal "$(grep -Ec '^failed .* errno=ETIMEDOUT code=24 .*text=.*[a-z]' "$TMP/gone.out")" 5
	last=$(sed -n 's/^failed .* at=\([0-9]*\) .*/\1/p' "$TMP/gone.out" | sort -n | tail -n 1)
	echo "after $((last - at)) ms"
	[ $((last - at)) -le $((2 * SILENT)) ] # the kernel notices when it next retransmits
	lives here
	ends_well here
}
prove "with data under way, it is given up in time, and no other server" vanishes

no_route()
{
	local begin
	begin=$(now)
	local status=0
	client --timeout 2 "192.0.2.7:$PORT" < /dev/null || status=$?
	# The deadline, or before it the kernel's own finding that nobody has the address.
	[ "$status" = 9 ] || equal "$status" 3
	in_time $(($(now) - begin)) 4000
	expect 3 client --timeout 60 192.0.2.99:443 < /dev/null
	expect 3 client 203.0.113.1:443 < /dev/null
}
prove "new sessions with it end by their deadline, and without a route at once" one_of 10 no_route

comes_back()
{
	in_far ip link set far up
	in_far ip address replace 192.0.2.7/24 dev far
	works() { traffic_as "$CLIENT" 192.0.2.7 "$PORT" echo 1000; }
	wait_until 10 works
}
prove "when it is there again, so are its sessions" comes_back

prove "it stops without leaving anything" stop_daemon
