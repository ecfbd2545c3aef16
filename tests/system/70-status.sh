#!/bin/bash
# tlsbroker-cli status: what runs, for people and for programs, and for whom.
# Tags: unprivileged
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good
witness load "$CLIENT" --sessions 3 localhost "$PORT" echo 0

json()
{
	status_json > "$TMP/json"
	cat "$TMP/json"
	jq -e '.protocol == 1 and (.roles | length >= 3) and (.counters | length > 10)' "$TMP/json"
	jq -e '[.roles[].role] | contains(["supervisor"]) or contains(["frontdoor"])' "$TMP/json"
	jq -e '.roles[] | select(.role == "connector") | .state == "running" and .pid > 1' \
		"$TMP/json"
	jq -e ".workers[] | select(.uid == $CLIENT) | .sessions == 3 and .clients >= 1" "$TMP/json"
}
prove "as JSON: roles, workers, counters" json

text()
{
	as_uid - tlsbroker-cli status --socket "$SOCKET" > "$TMP/text"
	cat "$TMP/text"
	grep -q frontdoor "$TMP/text"
	grep -q connector "$TMP/text"
	grep -Eq "uid:$CLIENT|\\b$CLIENT\\b" "$TMP/text"
	grep -q sessions_opened "$TMP/text" || grep -qi 'sessions' "$TMP/text"
}
prove "as text" text

own_sessions()
{
	as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET" --json > "$TMP/json"
	cat "$TMP/json"
	jq -e ".uid == $CLIENT and .badge == \"uid:$CLIENT\"" "$TMP/json"
	jq -e '.sessions | length == 3' "$TMP/json"
	jq -e ".sessions[] | select(.server == \"localhost:$PORT\") | .bytes_read > 0" "$TMP/json"
	jq -e ".sessions[] | .client_pid == $(pid_of load)" "$TMP/json"
}
prove "a user sees the own sessions: server, bytes, program" own_sessions

not_others()
{
	[ "$OTHER" ] || skip "needs root for another user"
	as_uid "$OTHER" tlsbroker-cli status --socket "$SOCKET" --json > "$TMP/json"
	cat "$TMP/json"
	jq -e '.sessions | length == 0' "$TMP/json"
	jq -e "[.workers[].uid] == [$OTHER]" "$TMP/json"
	# The administrator sees every worker.
	status_json | jq -e "[.workers[].uid] | contains([$CLIENT, $OTHER])"
}
prove "a user does not see what others do" not_others

prove "the load ends" ends_well load

counts()
{
	local before after
	before=$(status '.counters.bytes_read')
	expect 0 traffic_as "$CLIENT" localhost "$PORT" down 1000000
	added() { [ $(($(status '.counters.bytes_read') - before)) = 1000000 ]; }
	wait_until 3 added
	before=$(status '.counters.handshakes_failed')
	start_peer bad expired
	expect 4 client "localhost:$PORT" < /dev/null
	after=$(status '.counters.handshakes_failed')
	equal $((after - before)) 1
	equal "$(status '.counters.sessions')" 0
}
prove "counters count" counts

totals_stay()
{
	local before
	before=$(status '.counters.sessions_opened')
	[ "$before" -gt 0 ]
	as_uid "$DAEMON" kill -KILL "$(worker_pid "$CLIENT")"
	gone() { [ "$(status ".workers[] | select(.uid == $CLIENT) | .sessions")" != 3 ]; }
	wait_until 3 gone
	[ "$(status '.counters.sessions_opened')" -ge "$before" ]
}
prove "what a worker counted stays when it dies" totals_stay

prove "it stops without leaving anything" stop_daemon
