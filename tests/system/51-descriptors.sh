#!/bin/bash
# Without descriptors new work is refused, what runs goes on, and nothing dies or spins.
# Limit: 120 s
. "$(dirname "$0")/lib.sh"

works()
{
	expect 0 traffic_as "$CLIENT" localhost "$PORT" echo 1000
}

no_restarts()
{
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
}

DAEMON_PREFIX=(prlimit --nofile=64:64)
start_daemon
start_peer peer good
# A client of the supervisor's user, whose worker is not the one that will be short.
few_for_all()
{
	expect 1 traffic_as "$CLIENT" --sessions 200 localhost "$PORT" echo 1000 > "$TMP/few"
	cat "$TMP/few"
	grep -q '^failed .* errno=EMFILE code=[56] .*text=.*[a-z]' "$TMP/few"
	# All others failed for no other reason, or worked.
	equal "$(grep -c '^failed ' "$TMP/few")" "$(grep -c '^failed .* errno=EMFILE' "$TMP/few")"
	wait_until 8 works
	no_restarts
}
prove "a daemon with 64 descriptors refuses what is too much, and goes on" few_for_all

prove "it stops without leaving anything" stop_daemon

DAEMON_PREFIX=()
start_daemon

# shorten PID MORE: it may have so many numbers above the highest that it uses.
shorten()
{
	needs_root
	local highest
	highest=$(find "/proc/$1/fd" -mindepth 1 -printf '%f\n' | sort -n | tail -n 1)
	as_uid "$DAEMON" prlimit --pid "$1" --nofile=$((highest + 1 + $2)):
}

worker_short()
{
	needs_root
	local worker
	witness load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	worker=$(worker_pid "$CLIENT")
	shorten "$worker" 6
	expect 1 traffic_as "$CLIENT" --sessions 20 localhost "$PORT" echo 1 > "$TMP/short"
	cat "$TMP/short"
	grep -q 'errno=EMFILE ' "$TMP/short"
	lives load
	as_uid "$DAEMON" prlimit --pid "$worker" --nofile=10000:
	wait_until 5 works
	lives load
	ends_well load
	no_restarts
}
prove "a worker without descriptors refuses sessions with EMFILE; those it has go on" worker_short

connector_short()
{
	needs_root
	local connector
	connector=$(role_pid connector)
	witness load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	shorten "$connector" 0
	expect 1 traffic_as "$CLIENT" localhost "$PORT" echo 1 > "$TMP/short"
	cat "$TMP/short"
	grep -q 'errno=EMFILE ' "$TMP/short"
	as_uid "$DAEMON" prlimit --pid "$connector" --nofile=2000:
	wait_until 5 works
	lives load
	ends_well load
	no_restarts
}
prove "so does a connector" connector_short

frontdoor_short()
{
	needs_root
	local frontdoor before after
	frontdoor=$(role_pid frontdoor)
	witness load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	as_uid "$DAEMON" prlimit --pid "$frontdoor" --nofile=4:
	background waiting "$CLIENT" rude --socket "$SOCKET" --count 50 quiet
	before=$(turns "$frontdoor")
	lines=$(wc -l < "$TMP/daemon.out")
	# What two seconds cost is what is measured here.
	sleep 2
	after=$(turns "$frontdoor")
	echo "$((after - before)) turns, $(($(wc -l < "$TMP/daemon.out") - lines)) lines"
	[ $((after - before)) -le 200 ]
	[ $(($(wc -l < "$TMP/daemon.out") - lines)) -le 10 ]
	as_uid "$DAEMON" prlimit --pid "$frontdoor" --nofile=1000:
	stop waiting KILL
	wait_until 5 works
	lives load
	ends_well load
	no_restarts
}
prove "a frontdoor without descriptors neither spins nor floods the log, and recovers" frontdoor_short

prove "it stops without leaving anything" stop_daemon
