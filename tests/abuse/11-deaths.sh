#!/bin/bash
# Programs that die at every step, or stop with everything full: their connections end, what they held
# is back, and others notice nothing.  Cases 8 and 9.
# Tags: asan
# Limit: 1200 s
. "$(dirname "$0")/../system/lib.sh"

DEATHS=24
abuse_full && DEATHS=1000
VICTIM=${OTHER:-$CLIENT}

start_daemon
start_peer bystanders good
witness load "$VICTIM" --sessions 10 localhost "$PORT" echo 0
start_peer peer good

quiet()
{
	[ "$(status '.counters.sessions')" = 10 ]
}

worker_now()
{
	worker_pid "$CLIENT"
}

deaths()
{
	as_uid "$CLIENT" mortal --socket "$SOCKET" --deaths "$1" "$PORT"
}

dies_at_every_step()
{
	local worker fds before after
	# A program that ends in order leaves nothing in its sockets for which the worker keeps them.
	expect 0 traffic_as "$CLIENT" localhost "$PORT" echo 1
	calm() { [ "$(status '[.counters.sessions, .counters.clients] | join(" ")')" = "10 2" ]; }
	wait_until 10 calm # the load, and who asks
	worker=$(worker_now)
	fds=$(count_fds "$worker")
	# The first dozen find a worker that grows to what it needs.
	deaths 12
	wait_until 10 quiet
	equal "$worker" "$(worker_now)"
	before=$(private_kb "$worker")
	deaths "$DEATHS" > "$TMP/deaths" || { cat "$TMP/deaths"; return 1; }
	cat "$TMP/deaths"
	wait_until 10 quiet
	equal "$worker" "$(worker_now)"
	fds_are_back() { [ "$(count_fds "$worker")" = "$fds" ]; }
	wait_until 10 fds_are_back
	if [ "$SANDBOX" = enforce ]; then
		# What a leaked session would leave is about 10 KiB, apart from its rings: a quarter of
		# a MiB is less than one in ten of them, and more than malloc's ups and downs.
		after=$(private_kb "$worker")
		echo "$before KiB before, $after KiB after"
		[ $((after - before)) -le $((256 + DEATHS)) ]
	fi
	lives load
}
prove "case 8: killed at each of twelve steps, $DEATHS times: TCP ends within a second, and nothing is left" \
	dies_at_every_step
if [ -s "$TMP/deaths" ]; then
	grep -h '^death' "$TMP/deaths" | sed 's/^/# /'
	attacked sockets "$DEATHS" $((DEATHS - $(last=$(grep '^done' "$TMP/deaths"); echo "${last##*=}")))
fi

# ---- a program that is stopped while its server sends a gigabyte ----

BYTES=1000000000

# Bytes that the worker has read for the stopped program.
read_for_stopped()
{
	as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET" --json |
		jq -r "[.sessions[] | select(.client_pid == $(pid_of stopped)) | .bytes_read] | add"
}

# The kernel holds the server back: its send queue is full.
held_back()
{
	[ "$(ss -Htn state established "sport = :$PORT" | awk '{ print $2 }' | sort -n | tail -n 1)" -gt 0 ]
}

stands_still()
{
	local first
	first=$(read_for_stopped)
	sleep 0.3 # a gigabyte would go on
	[ "$first" -gt 0 ] && [ "$first" = "$(read_for_stopped)" ] && held_back
}

stops()
{
	local worker before after sessions=8
	worker=$(worker_now)
	before=$(private_kb "$worker")
	background stopped "$CLIENT" traffic --socket "$SOCKET" --sessions $sessions \
		localhost "$PORT" down $BYTES
	wait_until 20 says stopped '^established'
	flows() { [ "$(read_for_stopped)" -gt 1000000 ]; }
	wait_until 20 flows
	kill -STOP "$(pid_of stopped)"
	wait_until 20 stands_still
	after=$(private_kb "$worker")
	echo "$before KiB before, $after KiB with $sessions full rings; $(read_for_stopped) bytes read"
	# A full ring of 256 KiB is shared memory; private is TLS's buffers.
	[ "$SANDBOX" = off ] || [ $((after - before)) -le $((sessions * 512)) ]
	lives load
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 100000
	expect 0 traffic_as "$VICTIM" --sessions 5 localhost "$PORT" echo 100000
}
prove "case 9: stopped with full rings, the worker holds them and no more, and others go on" stops

goes_on()
{
	local at
	at=$(read_for_stopped)
	kill -CONT "$(pid_of stopped)"
	more() { [ "$(read_for_stopped)" -gt $((at + 1000000)) ]; }
	wait_until 20 more
	lives stopped
	if abuse_full; then
		equal "$(exit_status stopped 300)" 0
		last_said stopped '^done ok=8 failed=0'
	fi
	kill -STOP "$(pid_of stopped)" || true
	stop stopped KILL
	wait_until 10 quiet
	lives load
}
prove "it goes on where it stopped; killed while it is stopped, it leaves nothing" goes_on
attacked sockets 8 $((failed ? 0 : 8))

prove "the others went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
