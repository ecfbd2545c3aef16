#!/bin/bash
# A program's whole conversation, replayed with something in it wrong each time.
# Tags: unprivileged asan
# Limit: 600 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon
start_peer peer good
VICTIM=${OTHER:-$CLIENT}
witness load "$VICTIM" --sessions 10 localhost "$PORT" echo 0

# The attackers' worker holds nothing of them any more.
nothing_is_left()
{
	[ "$(status '.counters.sessions')" = 10 ] && [ "$(status '.counters.clients')" -le 2 ]
}

replayed()
{
	local count=1000 seed=${SEED:-1}
	! abuse_full || count=50000
	echo "SEED=$seed"
	background rude "$CLIENT" rude --socket "$SOCKET" --port "$PORT" --count "$count" \
		--seed "$seed" replay
	equal "$(exit_status rude 500)" 0
	lives load
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 10000
	wait_until 10 nothing_is_left
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
	[ "$(status '.counters.violations')" -gt $((count / 10)) ]
	attacked messages "$count" "$count" >> "$TMP/attacked"
}
prove "case 4: a conversation with one thing wrong is refused or goes well, and harms nobody" replayed
cat "$TMP/attacked" 2> /dev/null

prove "the load went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
