#!/bin/bash
# Cases 29 to 31: real servers behind a proxy that does one thing wrong, and servers that are silent.
# What is tried here with some bytes is tried with each in tests/hostile/servers_wire.c.
# Tags: unprivileged asan
# Limit: 1200 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon

# Codes of enum tlsb_error, include/tlsbroker.h: TLS, certificates, TCP.
TRUNCATED=26 RESET='25|26' ANY='2[4-6]|4[0-5]|6[0-9]|7[0-2]'

# start_proxy ARGS...: in front of the server at $SERVER.
start_proxy()
{
	background proxy - faultproxy --to "$SERVER" "$@"
	wait_until 5 says proxy '^listening'
	PORT=$(last_said proxy '^listening' | cut -d ' ' -f 2)
}

# fails_with CODES: a session through the proxy fails with one of these.
fails_with()
{
	local status=0
	traffic_as "$CLIENT" --no-resumption --timeout 900 localhost "$PORT" down 2000 \
		> "$TMP/through" || status=$?
	cat "$TMP/through"
	[ $status = 1 ] || return 1
	grep -Eq "^failed .* code=($1) " "$TMP/through"
}

# fails_again CODES AT FAULT: within a second, at this very byte.  A machine that does other things as
# well may stand still for so long now and then.
fails_again()
{
	local PORT
	for _ in {1..20}; do
		background again - faultproxy --to "$SERVER" --at "$2" "$3"
		wait_until 5 says again '^listening'
		PORT=$(last_said again '^listening' | cut -d ' ' -f 2)
		if fails_with "$1"; then
			stop again KILL
			return 0
		fi
	done
	return 1
}

# sweep CODES LAST FAULT: one session for each $STEP-th byte up to LAST.
sweep()
{
	local at
	start_proxy --step "$STEP" "$3"
	for ((at = 0; at <= $2; at += STEP)); do
		echo >> "$TMP/tried"
		fails_with "$1" || fails_again "$1" "$at" "$3" || { echo "at byte $at"; return 1; }
		echo >> "$TMP/survived"
	done
	stop proxy KILL
}

# disturb FAULT: of the records with data.
disturb()
{
	start_proxy --at $((LENGTH - 1500)) "$1"
	echo >> "$TMP/tried"
	fails_with "$ANY"
	echo >> "$TMP/survived"
	stop proxy KILL
}

# The length of the server's stream, which ends with data.
survey()
{
	start_proxy none
	expect 0 traffic_as "$CLIENT" --no-resumption localhost "$PORT" down 2000
	wait_until 5 says proxy '^connection'
	last_said proxy '^connection' | sed 's/.*server=\([0-9]*\).*/\1/' > "$TMP/length"
	stop proxy KILL
	[ "$(cat "$TMP/length")" -gt 2500 ]
}

STEP=700
abuse_full && STEP=50

for version in 1.2 1.3; do
	start_peer peer good-rsa --tls $version
	SERVER=$PORT
	prove "TLS $version: nothing is wrong, and nothing fails" survey
	LENGTH=$(cat "$TMP/length")
	prove "case 29, TLS $version: a stream that is cut is truncated" \
		sweep $TRUNCATED $((LENGTH - 2)) cut
	prove "case 30, TLS $version: one that is reset is reset" sweep "$RESET" $((LENGTH - 2)) reset
	prove "case 30, TLS $version: a wrong bit is an error" sweep "$ANY" $((LENGTH - 32)) flip
	prove "case 30, TLS $version: junk is an error" sweep "$ANY" $((LENGTH - 32)) junk
	prove "case 30, TLS $version: a record that comes twice is an error" disturb duplicate
	prove "case 30, TLS $version: records in another order are an error" disturb reorder
	stop peer KILL
done

drop_by_drop()
{
	start_proxy dribble
	expect 0 traffic_as "$CLIENT" localhost "$PORT" down 2000
}
start_peer peer good
SERVER=$PORT
prove "a stream of single bytes is one like any other" drop_by_drop

stalls()
{
	local at
	for at in 0 900; do
		start_proxy --at $at stall
		expect 9 client --timeout 1 "localhost:$PORT" < /dev/null
	done
}
prove "case 31: a handshake that stalls ends at its deadline" stalls

MANY=100 DEADLINE=3
abuse_full && MANY=1000 DEADLINE=15

# The deadline has to be later than the last of them is asked for: a busy machine's next try has twice as much.
silent_servers()
{
	local deadline
	deadline=$(tail -n 1 "$TMP/deadlines")
	echo $((2 * deadline)) >> "$TMP/deadlines"
	witness load "$CLIENT" --sessions 5 localhost "$SERVER" echo 0
	start_peer mute good --mute
	background silent "$CLIENT" traffic --socket "$SOCKET" --timeout "${deadline}000" --sessions $MANY \
		localhost "$PORT" echo 1
	all_wait() { [ "$(status '.counters.sessions')" = $((MANY + 5)) ]; }
	within "$deadline" all_wait
	expect 0 traffic_as "$CLIENT" localhost "$SERVER" echo 1000
	equal "$(exit_status silent 40)" 1
	equal "$(grep -c 'errno=ETIMEDOUT code=24 ' "$TMP/silent.out")" $MANY
	lives load
	ends_well load
	for ((i = 0; i < MANY; i++)); do echo; done | tee -a "$TMP/tried" >> "$TMP/survived"
}
echo $DEADLINE > "$TMP/deadlines"
prove "case 31: $MANY silent servers cost a deadline each, and nobody else anything" one_of 5 silent_servers

attacked servers "$(wc -l < "$TMP/tried")" "$(wc -l < "$TMP/survived")"
prove "it stops without leaving anything" stop_daemon
