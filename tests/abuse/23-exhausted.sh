#!/bin/bash
# Case 36: no descriptors left, in each process that takes some from others.  Nobody dies, nobody spins,
# the log says so once a second, and as soon as there are some again everything works.
# Limit: 240 s
. "$(dirname "$0")/../system/lib.sh"

if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ]; then
	prove "case 36" skip "needs root, to take descriptors from others, and no sanitizers"
	exit 0
fi

MS=1000
abuse_full && MS=10000

DAEMON_PREFIX=(prlimit --nofile=64:64)
start_daemon
start_peer peer good

served()
{
	expect 0 traffic_as "$1" localhost "$PORT" echo 1000
}

# Hundredths of a second of processor time that all processes of the daemon have had.
ticks()
{
	local pid
	for pid in $(pid_of daemon) $(pgrep -P "$(pid_of daemon)"); do
		cat "/proc/$pid/stat"
	done | awk '{ sum += $14 + $15 } END { print sum }'
}

# rests WHO: over MS milliseconds less than 5 % of a processor, and of each kind one line a second.
rests()
{
	local spent lines began took
	lines=$(wc -l < "$TMP/daemon.out")
	spent=$(ticks)
	began=$(now)
	sleep $((MS / 1000)) # is what is measured
	spent=$(($(ticks) - spent)) took=$(($(now) - began))
	tail -n "+$((lines + 1))" "$TMP/daemon.out" | sed 's/^[^ ]* //; s/[0-9]\+/N/g' |
		sort | uniq -c | sort -rn > "$TMP/lines"
	cat "$TMP/lines"
	echo "# $1: $((spent * 1000 / took)).$((spent * 10000 / took % 10)) % of a processor," \
		"$(awk '{ n += $1 } END { print n + 0 }' "$TMP/lines") lines in $took ms" | tee -a "$TMP/figures"
	[ $((spent * 1000)) -lt $((took * 5)) ]
	[ "$(awk 'NR == 1 { print $1 } END { if (!NR) print 0 }' "$TMP/lines")" -le $((took / 1000 + 1)) ]
}

# comes_to_rest WHO: what was asked for before that may still be answered.
comes_to_rest()
{
	wait_until 25 rests "$1"
}

nobody_died()
{
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
	deny grep -E ' died, | broke ' "$TMP/daemon.out"
}

# back: as it was before.
back()
{
	local user
	for user in "$CLIENT" "$OTHER"; do
		wait_until 10 served "$user"
	done
	nobody_died
	attacked faults 1 1 >> "$TMP/attacked"
}

# More sessions than there are descriptors for; those that it has do nothing.
full_worker()
{
	background many "$CLIENT" traffic --socket "$SOCKET" --sessions 100 localhost "$PORT" raw silent
	wait_until 20 says many '^failed .* errno=EMFILE'
	comes_to_rest "a full worker"
	equal "$(grep '^failed' "$TMP/many.out" | grep -vc ' errno=EMFILE ' || true)" 0
	stop many KILL
	back
}
prove "case 36: a worker without descriptors" full_worker

# Clients that their worker does not take pile up in the frontdoor.
full_frontdoor()
{
	local worker
	served "$CLIENT"
	worker=$(worker_pid "$CLIENT")
	kill -STOP "$worker"
	background many "$CLIENT" rude --socket "$SOCKET" --count 300 quiet
	wait_until 20 says many '^connected' || { kill -CONT "$worker"; return 1; }
	comes_to_rest "a full frontdoor" || { kill -CONT "$worker"; return 1; }
	kill -CONT "$worker"
	stop many KILL
	back
}
prove "case 36: a frontdoor that is full of clients" full_frontdoor

# allow PID COUNT: as many descriptors; those that it has stay.
allow()
{
	as_uid "$DAEMON" prlimit --pid "$1" --nofile="$2":
}

# Not even the descriptor that it keeps for a refusal.
blind_frontdoor()
{
	local frontdoor
	frontdoor=$(role_pid frontdoor)
	allow "$frontdoor" 4
	background many "$CLIENT" rude --socket "$SOCKET" --count 100 quiet
	wait_until 20 says many '^connected'
	comes_to_rest "a frontdoor that cannot accept" || { allow "$frontdoor" 64; return 1; }
	allow "$frontdoor" 64
	stop many KILL
	back
}
prove "case 36: a frontdoor that cannot accept" blind_frontdoor

blind_connector()
{
	local connector
	connector=$(role_pid connector)
	allow "$connector" 4
	background many "$CLIENT" traffic --socket "$SOCKET" --sessions 20 localhost "$PORT" raw silent
	wait_until 20 says many '^failed .* errno=EMFILE'
	comes_to_rest "a connector that cannot dial" || { allow "$connector" 64; return 1; }
	allow "$connector" 64
	stop many KILL
	back
}
prove "case 36: a connector that cannot dial" blind_connector

# A new user needs a worker, which the supervisor cannot equip.
blind_supervisor()
{
	local stranger=$((OTHER + 1)) before lines
	# A worker that is idle would have to make room.
	load kept "$CLIENT" localhost "$PORT" echo 0
	allow "$(pid_of daemon)" 4
	insist() { for _ in {1..30}; do traffic_as "$1" localhost "$PORT" echo 1 || true; done; }
	before=$(now)
	lines=$(grep -c 'cannot be' "$TMP/daemon.out" || true)
	insist "$stranger" > "$TMP/insisted"
	equal "$(grep -c '^failed .* errno=EMFILE' "$TMP/insisted")" 30
	lines=$(($(grep -c 'cannot be' "$TMP/daemon.out") - lines))
	echo "$lines lines in $(($(now) - before)) ms"
	[ "$lines" -le $((2 * (($(now) - before) / 1000 + 1))) ] # that, and of the spare
	background many "$stranger" rude --socket "$SOCKET" --count 20 quiet
	wait_until 20 says many '^connected'
	comes_to_rest "a supervisor that cannot start anybody" || { allow "$(pid_of daemon)" 64; return 1; }
	served "$CLIENT"
	allow "$(pid_of daemon)" 64
	ends_well kept
	stop many KILL
	wait_until 10 served "$stranger"
	back
}
prove "case 36: a supervisor that cannot start a worker" blind_supervisor

# A connector that dies meanwhile is replaced, and gets its channels to all workers, sooner or later.
FEW=(0 2 5)
abuse_full && FEW=({0..12})
half_equipped()
{
	local daemon more highest
	daemon=$(pid_of daemon)
	for more in "${FEW[@]}"; do
		highest=$(find "/proc/$daemon/fd" -mindepth 1 -printf '%f\n' | sort -n | tail -n 1)
		allow "$daemon" $((highest + 1 + more))
		as_uid "$DAEMON" kill -KILL "$(role_pid connector)"
		sleep 0.3 # in which it is tried
		allow "$daemon" 64
		for user in "$CLIENT" "$OTHER"; do
			wait_until 10 served "$user" || { echo "with $more descriptors"; return 1; }
		done
	done
	equal "$(status '[.workers[] | .restarts] | add')" 0
	attacked faults ${#FEW[@]} ${#FEW[@]} >> "$TMP/attacked"
}
prove "case 36: a connector that dies while the supervisor has next to none" half_equipped

sort -u "$TMP/figures"
cat "$TMP/attacked" 2> /dev/null
prove "it stops without leaving anything" stop_daemon
