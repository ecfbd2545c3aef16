#!/bin/bash
# A thousand sessions at the same time: of one process, and of fifty.
# Limit: 240 s
. "$(dirname "$0")/lib.sh"

COUNT=1000 BYTES=20000 # each there and back: more than a record of TLS, or a page of a ring
[ "$SANDBOX" = enforce ] || COUNT=100

start_daemon
start_peer peer good

idle_again()
{
	[ "$(status '.counters.sessions')" = 0 ] && [ "$(status '.counters.ring_bytes')" = 0 ]
}

one_process()
{
	expect 0 traffic_as "$CLIENT" --sessions $COUNT "$@" localhost "$PORT" echo $BYTES \
		> "$TMP/many"
	cat "$TMP/many"
	grep -q "^established $COUNT$" "$TMP/many"
	grep -q "^done ok=$COUNT failed=0 " "$TMP/many"
	wait_until 8 idle_again
}
prove "of one process, waiting in poll()" one_process
prove "of one process, polling memory" one_process --spin

fifty_processes()
{
	expect 0 traffic_as "$CLIENT" --processes 50 --sessions $((COUNT / 50)) localhost "$PORT" \
		echo $BYTES > "$TMP/many"
	equal "$(grep -c "^done ok=$((COUNT / 50)) failed=0 " "$TMP/many")" 50
	wait_until 8 idle_again
}
prove "of fifty processes" fifty_processes

many_users()
{
	needs_root
	local uid
	for uid in {61001..61020}; do
		background "user$uid" "$uid" traffic --socket "$SOCKET" --sessions 10 \
			localhost "$PORT" echo $BYTES
	done
	for uid in {61001..61020}; do
		equal "$uid $(exit_status "user$uid" 60)" "$uid 0"
	done
	# The one who asks has a worker as well.
	equal "$(status '[.workers[].uid | select(. > 61000 and . <= 61020)] | length')" 20
	equal "$(status '[.workers[].uid | select(. > 61000 and . <= 61020)] | unique | length')" 20
}
prove "twenty users at once: each is served by a worker of its own" many_users

gives_back()
{
	needs_root
	needs_plain_build
	local worker fds kb
	worker=$(worker_pid "$CLIENT")
	fds=$(count_fds "$worker")
	kb=$(private_kb "$worker")
	one_process
	one_process
	no_more_fds() { [ "$(count_fds "$worker")" -le "$fds" ]; }
	wait_until 8 no_more_fds
	# What malloc keeps for the next time may vary, but not by the size of the rings; the kernel
	# gets it back with the worker's next sweep.
	memory_back() { [ $(($(private_kb "$worker") - kb)) -lt 16384 ]; }
	wait_until 8 memory_back || {
		echo "$kb KiB before, $(private_kb "$worker") KiB after"
		return 1
	}
}
prove "afterwards descriptors and memory are given back" gives_back

prove "it stops without leaving anything" stop_daemon
