#!/bin/bash
# SIGTERM: new programs are turned away, sessions get time to end, then the daemon does.
# Tags: unprivileged
. "$(dirname "$0")/lib.sh"

DRAIN=$(limit DRAIN_MS)

at_once()
{
	local at
	start_daemon
	at=$(now)
	stop_daemon
	in_time $(($(now) - at)) 2000
}
prove "without sessions it stops at once" one_of 10 at_once

start_peer peer good

finishes()
{
	local at
	start_daemon
	load load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	at=$(now)
	kill -TERM "$(pid_of daemon)"
	turned_away() { deny as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET"; }
	wait_until 2 turned_away
	lives load
	ends_well load
	equal "$(exit_status daemon 3)" 0
	test ! -e "$SOCKET"
	in_time $(($(now) - at)) $((DRAIN - 1))
}
prove "sessions may end by themselves; then the daemon stops at once" one_of 10 finishes

deadline()
{
	local at
	start_daemon
	witness load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	at=$(now)
	kill -TERM "$(pid_of daemon)"
	equal "$(exit_status daemon $((DRAIN / 1000 + 3)))" 0
	echo "after $(($(now) - at)) ms"
	[ $(($(now) - at)) -ge $((DRAIN - 500)) ]
	exit_status load 5
	cat "$TMP/load.out"
	equal "$(grep -c '^failed .* errno=ECONNABORTED code=3 .*text=.*[a-z]' "$TMP/load.out")" 10
	test ! -e "$SOCKET"
}
prove "sessions that go on are ended at the deadline with ECONNABORTED" deadline

second_signal()
{
	local at took
	start_daemon
	load load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	at=$(now)
	kill -TERM "$(pid_of daemon)"
	turned_away() { deny as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET"; }
	wait_until 2 turned_away
	kill -TERM "$(pid_of daemon)"
	exit_status daemon 2
	took=$(($(now) - at))
	exit_status load 5
	equal "$(grep -c '^failed .* errno=ECONNABORTED code=[13] ' "$TMP/load.out")" 10
	test ! -e "$SOCKET"
	in_time $took $((DRAIN - 1000))
}
prove "a second signal stops it at once" one_of 10 second_signal

interrupt()
{
	start_daemon
	kill -INT "$(pid_of daemon)"
	equal "$(exit_status daemon 5)" 0
}
prove "SIGINT is SIGTERM" interrupt
