#!/bin/bash
# Descriptors that a program sends to its worker, as many as it can and in every way it can.
# Limit: 240 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon
start_peer peer good
VICTIM=${OTHER:-$CLIENT}
witness load "$VICTIM" --sessions 10 localhost "$PORT" echo 0

unharmed()
{
	lives load
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 10000
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
}

# holds PID COUNT: so many descriptors, and not more.
holds()
{
	[ "$(count_fds "$1")" -le "$2" ]
}

# files PID: how many it may have.
files()
{
	as_uid "$DAEMON" prlimit --pid "$1" --nofile --raw --noheadings --output HARD
}

# The kernel counts what waits in sockets by user, and all of them are one; whoever is allowed less than
# that cannot send any.  10-floods has the programs that leave them waiting.
may_pass()
{
	needs_root
	local role worker
	expect 0 traffic_as "$CLIENT" localhost "$PORT" echo 1
	worker=$(files "$(worker_pid "$CLIENT")")
	for role in "$(pid_of daemon)" "$(role_pid frontdoor)" "$(role_pid connector)"; do
		[ "$(files "$role")" -gt "$worker" ]
	done
}
prove "case 5: no worker can leave so many on their way that other roles cannot pass any" may_pass

flooded()
{
	needs_root
	local count=200 worker before
	! abuse_full || count=20000
	expect 0 traffic_as "$CLIENT" localhost "$PORT" echo 1
	worker=$(worker_pid "$CLIENT")
	before=$(count_fds "$worker")
	background rude "$CLIENT" rude --socket "$SOCKET" --count "$count" tenfds
	equal "$(exit_status rude 200)" 0
	wait_until 10 holds "$worker" "$before"
	unharmed
	attacked messages "$count" "$count" >> "$TMP/attacked"
}
prove "case 5: a flood of descriptors is closed at once" flooded

short()
{
	needs_root
	local count=100 worker before highest spent
	worker=$(worker_pid "$CLIENT")
	before=$(count_fds "$worker")
	highest=$(find "/proc/$worker/fd" -mindepth 1 -printf '%f\n' | sort -n | tail -n 1)
	as_uid "$DAEMON" prlimit --pid "$worker" --nofile=$((highest + 1 + 3)):
	background rude "$CLIENT" rude --socket "$SOCKET" --count "$count" tenfds
	equal "$(exit_status rude 200)" 0
	wait_until 10 holds "$worker" "$before"
	spent=$(turns "$worker")
	# What a second of nothing costs is what is measured here.
	sleep 1
	[ $(($(turns "$worker") - spent)) -le 100 ]
	as_uid "$DAEMON" prlimit --pid "$worker" --nofile=10000:
	wait_until 10 unharmed
	attacked messages "$count" "$count" >> "$TMP/attacked"
}
prove "case 6: ten descriptors for a worker that may have three more: no leak, no spin" short

pidfds()
{
	needs_root
	local count=1000 worker before
	worker=$(worker_pid "$CLIENT")
	before=$(count_fds "$worker")
	background rude "$CLIENT" rude --socket "$SOCKET" --port "$PORT" --count "$count" pidfds
	wait_until 20 says rude '^rung'
	! says rude 'no SO_PASSPIDFD' || skip "this kernel has no SO_PASSPIDFD"
	# Its connection, and its session's socket, memory and TCP connection.
	wait_until 10 holds "$worker" $((before + 5))
	stop rude KILL
	wait_until 10 holds "$worker" "$before"
	unharmed
	attacked messages "$count" "$count" >> "$TMP/attacked"
}
prove "case 7: a socket that brings a descriptor with each message leaves none" pidfds
cat "$TMP/attacked" 2> /dev/null

prove "the load went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
