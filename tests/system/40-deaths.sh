#!/bin/bash
# Each process dies once under load: those concerned learn it within a second, with the right code;
# nobody else notices; the daemon is whole again.
# Tags: alone
# Limit: 240 s
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good

# The time limit, in ms, of "within a second".
SOON=1000
TRIES=5

# two_loads: one of each user, if there are two.
two_loads()
{
	load ours "$CLIENT" --sessions 20 localhost "$PORT" echo 0
	[ -z "$OTHER" ] || load theirs "$OTHER" --sessions 20 localhost "$PORT" echo 0
}

# all_learn NAME COUNT ERRNO CODE SINCE: each session failed so, in time.
all_learn()
{
	exit_status "$1" 15
	cat "$TMP/$1.out"
	equal "$(grep -c "^failed .* errno=$3 code=$4 .*text=.*[a-z]" "$TMP/$1.out")" "$2"
	learn_in_time "$1" "$5"
}

# learn_in_time NAME SINCE: the last of its sessions, too.
learn_in_time()
{
	in_time $(($(sed -n 's/^failed .* at=\([0-9]*\) .*/\1/p' "$TMP/$1.out" | sort -n | tail -n 1) - $2)) $SOON
}

others_go_on()
{
	[ "$OTHER" ] || return 0
	lives theirs
	ends_well theirs
}

whole_again()
{
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 10000
}

no_sessions()
{
	[ "$(status '.counters.sessions')" = 0 ]
}

worker_dies()
{
	local at worker
	two_loads
	worker=$(worker_pid "$CLIENT")
	at=$(now)
	kill_as_daemon "$worker"
	all_learn ours 20 ECONNRESET 2 "$at"
	others_go_on
	wait_until 3 whole_again
	[ "$(worker_pid "$CLIENT")" != "$worker" ]
	wait_until 3 no_sessions
}
kill_as_daemon()
{
	as_uid "$DAEMON" kill -KILL "$1"
}
prove "a worker dies: its sessions end with ECONNRESET, nobody else's" one_of $TRIES worker_dies

connector_dies()
{
	two_loads
	kill_as_daemon "$(role_pid connector)"
	restarted() { [ "$(status '.roles[] | select(.role == "connector") | .restarts')" = 1 ]; }
	wait_until 3 restarted
	lives ours
	wait_until 3 whole_again
	ends_well ours
	others_go_on
}
prove "the connector dies: sessions go on, and new ones can be made" connector_dies

connector_dies_while_dialling()
{
	local failed
	needs_root
	# A wire to nobody swallows everything: dials to 192.0.2.9 hang.
	ip link add hole type veth peer name bottom 2> /dev/null || skip "needs a network namespace"
	ip address add 192.0.2.1/24 dev hole
	ip link set hole up
	ip link set bottom up
	ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev hole
	background dialling "$CLIENT" traffic --socket "$SOCKET" --sessions 100 192.0.2.9 443 \
		raw silent
	asked() { [ "$(status '.counters.dials')" -ge 100 ]; }
	wait_until 5 asked
	kill_as_daemon "$(role_pid connector)"
	wait_until 5 whole_again
	failed=$(grep -c '^failed .*text=.*[a-z]' "$TMP/dialling.out" || true)
	echo "$failed failed at once, the others are dialled again"
	# Now the address is ours, and refuses: whoever is dialled again learns that.
	ip address add 192.0.2.9/32 dev lo
	equal "$(exit_status dialling 20)" 1
	cat "$TMP/dialling.out"
	equal "$(grep -Ec '^failed .* errno=(ECONNREFUSED|ECONNRESET|EMFILE) .*text=.*[a-z]' \
		"$TMP/dialling.out")" 100
	ip link del hole
}
prove "the connector dies while it dials: nobody hangs" connector_dies_while_dialling

frontdoor_dies()
{
	two_loads
	kill_as_daemon "$(role_pid frontdoor)"
	wait_until 3 whole_again
	equal "$(status '.roles[] | select(.role == "frontdoor") | .restarts')" 1
	lives ours
	ends_well ours
	others_go_on
}
prove "the frontdoor dies: sessions go on, and new programs are let in" frontdoor_dies

client_dies()
{
	local worker fds=''
	wait_until 5 no_sessions
	worker=$(worker_pid "$CLIENT")
	if [ "$ROOT" ]; then
		# What was before has gone.
		rests() { [ "$(status "[.workers[] | select(.uid == $CLIENT) | .clients, .sessions] | add")" = 0 ]; }
		wait_until 10 rests
		fds=$(count_fds "$worker")
	fi
	two_loads
	: > "$TMP/peer.out"
	stop ours KILL
	within 1 clients_gone
	# The server sees each of the connections end.
	twenty_ends() { [ "$(grep -c '^end command=echo' "$TMP/peer.out")" -ge 20 ]; }
	within 1 twenty_ends
	if [ "$ROOT" ]; then
		lives theirs
		equal "$(worker_pid "$CLIENT")" "$worker"
		fds_back() { [ "$(count_fds "$worker")" = "$fds" ]; }
		wait_until 2 fds_back
	fi
	others_go_on
}
clients_gone()
{
	[ "$(status "[.sessions[] | select(.uid == $CLIENT)] | length")" = 0 ]
}
prove "a program dies: its connections are closed within a second, nothing of it stays" one_of $TRIES client_dies

server_resets()
{
	local at
	load ours "$CLIENT" --sessions 20 localhost "$PORT" echo 0
	start_peer second good
	load theirs2 "$CLIENT" --sessions 5 localhost "$PORT" echo 0
	at=$(now)
	# A killed process with unread data: the kernel resets its connections, or ends them.
	stop second KILL
	exit_status theirs2 10
	cat "$TMP/theirs2.out"
	equal "$(grep -Ec '^failed .* errno=ECONNRESET code=(25|26) ' "$TMP/theirs2.out")" 5
	learn_in_time theirs2 "$at"
	lives ours
	ends_well ours
}
prove "a server dies: its sessions end with ECONNRESET, no other server's" one_of $TRIES server_resets

daemon_dies()
{
	local at
	two_loads
	at=$(now)
	stop daemon KILL
	all_learn ours 20 ECONNABORTED 1 "$at"
	[ -z "$OTHER" ] || all_learn theirs 20 ECONNABORTED 1 "$at"
	start_daemon
	whole_again
}
prove "the daemon dies: everybody learns it with ECONNABORTED; a new one serves" one_of $TRIES daemon_dies

polling_programs_learn_it()
{
	local at
	load ours "$CLIENT" --spin --sessions 20 localhost "$PORT" echo 0
	at=$(now)
	kill_as_daemon "$(worker_pid "$CLIENT")"
	all_learn ours 20 ECONNRESET 2 "$at"
	wait_until 3 whole_again
}
prove "programs that only poll memory learn it as well" one_of $TRIES polling_programs_learn_it

again_and_again()
{
	local i
	for i in {1..5}; do
		wait_until 15 whole_again
		echo "death $i"
		kill_as_daemon "$(worker_pid "$CLIENT")"
	done
	wait_until 15 whole_again
	[ -z "$OTHER" ] || expect 0 traffic_as "$OTHER" localhost "$PORT" echo 100
}
prove "a worker that dies again and again: its user waits longer, nobody else" again_and_again

shown()
{
	status_json
	[ "$(status '[.workers[], .roles[] | .restarts] | add')" -ge 1 ]
}
prove "status shows the restarts" shown

prove "it stops without leaving anything" stop_daemon
