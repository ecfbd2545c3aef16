#!/bin/bash
# Case 43: each role is killed under load, again and again.  Whose sessions end hears it, nobody else
# does; within a second a new session works; nothing stale is left, nothing grows.  The full form
# kills each role 100 times.
#
# A machine that does other things as well may be late now and then: it is late if it was three times
# in a row.
# Tags: alone
# Limit: 1100 s
. "$(dirname "$0")/../system/lib.sh"

SOON=1000 late=0
usual=0 # what a session takes on this machine just now, which comes on top some times over
KILLS=3
abuse_full && KILLS=100
PROBE=$((CLIENT + 100)) # a user for the question whether it is back in service

start_peer peer good
slowest=0

# served UID: a new session, there and back.
served()
{
	traffic_as "$1" localhost "$PORT" echo 100
}

# hears_in_time MS
hears_in_time()
{
	late=$((late + 1))
	[ "$1" -gt $((SOON + 5 * usual)) ] || late=0
	[ $late -lt 3 ]
}

# back_after SINCE UID: how long until it works again, in ms; it is no more than a second.
back_after()
{
	local took
	wait_until 10 served "$2"
	took=$(($(now) - $1))
	echo "back after $took ms"
	[ "$took" -le "$slowest" ] || slowest=$took
	hears_in_time "$took"
}

# hear NAME SINCE ERRNO CODE: each of its sessions has failed so, in time.
hear()
{
	exit_status "$1" 15
	equal "$(grep -c "^failed .* errno=$3 code=$4 " "$TMP/$1.out")" 5
	hears_in_time $(($(sed -n 's/^failed .* at=\([0-9]*\) .*/\1/p' "$TMP/$1.out" | sort -n | tail -n 1) - $2))
}

restarts()
{
	status "[.roles[] | select(.role == \"$1\") | .restarts] | add"
}

two_loads()
{
	local begin
	begin=$(now)
	served "$CLIENT"
	usual=$(($(now) - begin))
	load ours "$CLIENT" --sessions 5 localhost "$PORT" echo 0
	[ -z "$OTHER" ] || load theirs "$OTHER" --sessions 5 localhost "$PORT" echo 0
}

both_go_on()
{
	lives ours
	ends_well ours
	[ -z "$OTHER" ] || { lives theirs && ends_well theirs; }
}

kill_role()
{
	as_uid "$DAEMON" kill -KILL "$1"
}

# The loads' worker: its user hears it, the other one does not.
kill_worker()
{
	local at worker
	two_loads
	worker=$(worker_pid "$CLIENT")
	at=$(now)
	kill_role "$worker"
	back_after "$at" "$CLIENT"
	hear ours "$at" ECONNRESET 2
	[ -z "$OTHER" ] || { lives theirs && ends_well theirs; }
}

# The one that waits for the next user: status does not know it.
find_spare()
{
	local pid seated
	seated=$(status '.workers[].pid')
	for pid in $(role_pid worker); do
		grep -qx "$pid" <<< "$seated" || { echo "$pid" > "$TMP/spare"; return 0; }
	done
	return 1
}

kill_spare()
{
	local at
	two_loads
	wait_until 5 find_spare
	at=$(now)
	kill_role "$(cat "$TMP/spare")"
	back_after "$at" "$CLIENT"
	[ -z "$ROOT" ] || back_after "$at" "$PROBE"
	both_go_on
}

# Sessions need some roles less than others: such a one may be about to be started yet.
kill_station()
{
	local at
	two_loads
	wait_until 10 role_pid "$1"
	at=$(now)
	kill_role "$(role_pid "$1")"
	back_after "$at" "$CLIENT"
	[ "$(restarts "$1")" -ge 1 ]
	both_go_on
}

kill_supervisor()
{
	local at children child
	two_loads
	children=$(pgrep -P "$(pid_of daemon)")
	at=$(now)
	stop daemon KILL
	hear ours "$at" ECONNABORTED 1
	[ -z "$OTHER" ] || hear theirs "$at" ECONNABORTED 1
	for child in $children; do
		gone() { ! kill -0 "$child"; }
		wait_until 1 gone
	done
	# Its socket is still there; the next daemon takes its place.
	at=$(now)
	start_daemon
	back_after "$at" "$CLIENT"
}

# again COMMAND...: as often as is asked for; the supervisor holds no more descriptors after it.
again()
{
	local i fds
	slowest=0
	served "$CLIENT"
	fds=$(count_fds "$(pid_of daemon)")
	for ((i = 0; i < KILLS; i++)); do
		"$@"
		echo "survived" >> "$TMP/survived"
		echo "$slowest" > "$TMP/slowest"
	done
	no_more_fds() { [ "$(count_fds "$(pid_of daemon)")" -le $((fds + 2)) ]; }
	wait_until 5 no_more_fds
}

# proved SENTENCE COMMAND...: and the figures.
proved()
{
	: > "$TMP/survived"
	prove "$@"
	attacked faults "$KILLS" "$(wc -l < "$TMP/survived")"
	echo "# the slowest return to service took $(cat "$TMP/slowest") ms"
}

start_daemon
proved "case 43: a worker is killed $KILLS times under load: its user hears ECONNRESET, nobody else anything" \
	again kill_worker
proved "case 43: the spare worker is killed $KILLS times under load: nobody hears anything" \
	again kill_spare
proved "case 43: the frontdoor is killed $KILLS times under load: nobody hears anything" \
	again kill_station frontdoor
proved "case 43: the connector is killed $KILLS times under load: nobody hears anything" \
	again kill_station connector
proved "case 43: the keyholder is killed $KILLS times under load: nobody hears anything" \
	again kill_station keyholder
proved "case 43: the supervisor is killed $KILLS times under load: all hear ECONNABORTED, no process stays" \
	again kill_supervisor
prove "it stops without leaving anything" stop_daemon
