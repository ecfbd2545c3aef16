#!/bin/bash
# One user's limits: what is too much is refused with EMFILE and a text, and nobody else notices.
# Limit: 240 s
. "$(dirname "$0")/lib.sh"

CLIENTS=$(limit CLIENTS_PER_UID)
SESSIONS=$(limit SESSIONS_PER_UID)
HELLO_MS=$(limit HELLO_MS)

# A session costs the program one descriptor and the worker two.
if [ "$ROOT" ] && prlimit --nofile=65536:65536 true 2> /dev/null; then
	prlimit --pid $$ --nofile=65536:65536
fi
start_daemon
start_peer peer good

works_for()
{
	expect 0 traffic_as "$1" --sessions 3 localhost "$PORT" echo 10000
}

too_many_clients()
{
	witness held "$CLIENT" --clients "$CLIENTS" localhost "$PORT" echo 0
	expect 1 traffic_as "$CLIENT" localhost "$PORT" echo 1 > "$TMP/refused"
	cat "$TMP/refused"
	grep -q "errno=EMFILE code=5 .*text=.*$CLIENTS" "$TMP/refused"
	expect 6 client "localhost:$PORT" < /dev/null
	[ -z "$OTHER" ] || works_for "$OTHER"
	lives held
	ends_well held
	wait_until 3 works_for "$CLIENT"
}
prove "one program more than $CLIENTS is refused, another user's is not" too_many_clients

silent_clients()
{
	# Programs that connect and never say hello.
	background quiet "$CLIENT" rude --socket "$SOCKET" --count "$CLIENTS" quiet
	wait_until 10 says quiet '^connected'
	[ -z "$OTHER" ] || works_for "$OTHER"
	# They are turned out at their deadline, and their user is served again.
	wait_until $((HELLO_MS / 1000 + 3)) works_for "$CLIENT"
	stop quiet
}
prove "programs that never say hello are turned out" silent_clients

too_many_sessions()
{
	needs_plain_build
	[ "$(ulimit -Hn)" -ge 65536 ] || skip "needs 65536 descriptors"
	# A server that never answers; it need not: sessions count from the start.
	start_peer mute good --mute
	kill -STOP "$(pid_of mute)"
	background many "$CLIENT" traffic --socket "$SOCKET" --sessions $((SESSIONS + 5)) \
		127.0.0.1 "$PORT" raw silent
	five() { [ "$(grep -c '^failed .*errno=EMFILE code=5 ' "$TMP/many.out")" = 5 ]; }
	wait_until 30 five
	grep -q "text=.*$SESSIONS" "$TMP/many.out"
	[ "$(status '.counters.ring_bytes')" -le $((1024 * 1024 * 1024)) ]
	PORT=$(last_said peer '^listening' | cut -d ' ' -f 2) works_for "$OTHER"
	stop many KILL
	stop mute KILL
	none() { [ "$(status '.counters.sessions')" = 0 ]; }
	wait_until 10 none
}
prove "one session more than $SESSIONS is refused" too_many_sessions

large_ca()
{
	local i
	for ((i = 0; i < 2000; i++)); do cat "$PKI/other-root.pem"; done > "$TMP/large.pem"
	[ "$(stat -c %s "$TMP/large.pem")" -gt 1048576 ]
	expect 2 client --ca "$TMP/large.pem" "localhost:$PORT" < /dev/null
	for ((i = 0; i < 1000; i++)); do cat "$PKI/other-root.pem"; done > "$TMP/fits.pem"
	cat "$PKI/root.pem" >> "$TMP/fits.pem"
	printf 'echo\nx\n' | client --ca "$TMP/fits.pem" "localhost:$PORT" | grep x
}
prove "a CA file of more than a mebibyte is refused, a smaller one works" large_ca

prove "it stops without leaving anything" stop_daemon
