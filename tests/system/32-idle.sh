#!/bin/bash
# Sessions that rest, and are used again.
# Tags: unprivileged
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good

rested()
{
	expect 0 traffic_as "$CLIENT" --sessions 20 --rounds 3 --pause 2500 "$@" localhost "$PORT" \
		echo 300000 > "$TMP/rested"
	cat "$TMP/rested"
	grep -q "^done ok=20 failed=0 sent=$((20 * 3 * 300000)) received=$((20 * 3 * 300000))" \
		"$TMP/rested"
}
prove "twenty sessions that rest twice for seconds, waiting in poll()" rested
prove "the same by polling memory" rested --spin

costs_nothing()
{
	needs_root
	needs_plain_build
	local before after worker
	stop load
	load load "$CLIENT" --sessions 200 --rounds 2 --pause 5000 localhost "$PORT" echo 1000
	worker=$(worker_pid "$CLIENT")
	at_rest()
	{
		[ "$(as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET" --json |
			jq -r '[.sessions[] | .bytes_read] | "\(min) \(max)"')" = "1000 1000" ]
	}
	wait_until 5 at_rest
	before=$(turns "$worker")
	# Two seconds at rest are what is measured here.
	sleep 2
	after=$(turns "$worker")
	at_rest || too_late # they were used again before that
	echo "$((after - before)) turns in 2 s"
	[ $((after - before)) -le 20 ]
	equal "$(exit_status load 30)" 0
}
prove "a worker with two hundred resting sessions uses no processor time" one_of 10 costs_nothing

costs_no_call()
{
	needs_plain_build
	command -v strace > /dev/null || skip "needs strace"
	# The program polls for two seconds every 200 us, thousands of times, and looks at its
	# descriptor, to notice a dead worker, ten times a second.
	# Until it has its channel it has to ask the socket: what counts is what comes behind that.
	local began took polls others
	began=$(now)
	strace -f -e trace=clock_nanosleep,recvfrom,recvmsg,poll,mmap -o "$TMP/calls" \
		traffic --socket "$SOCKET" --spin --rounds 2 --pause 2000 localhost "$PORT" echo 1000
	read -r polls others < <(awk '/MAP_SHARED/ { polls = others = 0 }
		/clock_nanosleep\(/ { polls++ }
		/(recvfrom|recvmsg|poll)\(/ { others++ }
		END { print polls, others }' "$TMP/calls")
	took=$(($(now) - began))
	echo "$polls polls, $others calls in $took ms"
	# Ten looks a second, and what belongs to the beginning and the end: on a machine that is so busy that
	# there are not many more polls than that, nothing can be seen.
	may=$((100 + took / 50))
	[ "$polls" -gt $((4 * may)) ] || too_late
	[ "$others" -lt $may ]
}
prove "a program that polls makes no system call for it" one_of 20 costs_no_call

prove "it stops without leaving anything" stop_daemon
