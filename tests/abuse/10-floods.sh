#!/bin/bash
# One user floods the broker from many processes.  Another one, who makes 200 requests a second on a
# session and opens ten new ones a second, keeps 80 % of his rates and waits less than 100 ms (p99).
# Afterwards the broker has the descriptors, the processes and the memory that it had before.
#
# A machine that does other things as well hurts him, too.  So he is measured alone and flooded in
# turn, what counts is the ratio in each such pair, all medians are of all rounds so far, and more rounds
# follow as long as it does not hold.  Only who cannot work even when he is alone says nothing about
# floods.
# Tags: alone
# Limit: 900 s
. "$(dirname "$0")/../system/lib.sh"

if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ] ||
	! ip link add near type veth peer name far 2> /dev/null; then
	prove "floods" skip "needs root, a network namespace, and no sanitizers"
	exit 0
fi
# 192.0.2.7 takes every SYN and answers none: it is nobody's hardware address.
ip address add 192.0.2.1/24 dev near
ip link set near up
ip link set far up
ip neighbour add 192.0.2.7 lladdr 02:00:00:00:00:07 dev near

# The flood, as in flood.c; its processes; its count; attacks in a second, or it is none; what it is.
floods()
{
	cat <<-END
		idle      8  250  100 case 1: 2,000 idle connections of one user, again and again
		half     50    1  100 case 2: fifty peers that say less than a header, and wait
		fds       8    1  100 case 5: 250 descriptors in each message
		bells     8    1   20 case 25: bells without an end on eight sessions
		churn     8    1  500 connections that are closed at once
		sessions  4 1000  200 thousands of sessions that are dropped at once
		unread    4 1000  100 case 5: thousands of sessions that nobody looks at
		dials     4  500  500 thousands of sessions with an address that is dead
		status    4  200    5 questions what eight hundred sessions do
	END
}

# What the two meters ask for in a second.
STEADY=200 OPENER=10

# Milliseconds of each window, rounds, and how many of those there may be.
WINDOW=700 ROUNDS=1 MOST=5
abuse_full && WINDOW=2000 ROUNDS=3 MOST=9

# footprint: each process of the daemon: role and user, descriptors, kilobytes of its own.
footprint()
{
	local who pid
	for who in supervisor frontdoor connector "$CLIENT" "$OTHER"; do
		case $who in
		supervisor) pid=$(pid_of daemon) ;;
		[0-9]*) pid=$(worker_pid "$who") ;;
		*) pid=$(role_pid "$who") ;;
		esac
		echo "$who $(count_fds "$pid") $(private_kb "$pid")"
	done
	echo "processes $(pgrep -c -P "$(pid_of daemon)")"
}

start_daemon
start_peer peer good
# ---- the victim ----

# window METER: end its window, and print that.
window()
{
	local had
	had=$(grep -c '^window' "$TMP/$1.out" || true)
	kill -USR1 "$(pid_of "$1")"
	another() { [ "$(grep -c '^window' "$TMP/$1.out")" -gt "$had" ]; }
	wait_until 30 another "$1"
	last_said "$1" '^window'
}

# What the machine has been idle, and all its time.
machine()
{
	awk '/^cpu / { print $5 + $6, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat
}

# windows NAME: "NAME METER rate p99_us failed" of the next window of both meters, and "NAME machine idle",
# in percent.
windows()
{
	local meter idle all idle_before all_before
	window steady > /dev/null
	window opener > /dev/null
	read -r idle_before all_before < <(machine)
	sleep "$((WINDOW / 1000)).$((WINDOW % 1000))" # is what is measured
	read -r idle all < <(machine)
	echo "$1 machine $(((idle - idle_before) * 100 / (all - all_before)))" >> "$TMP/figures"
	for meter in steady opener; do
		window "$meter" | sed -E "s/.* failed=([0-9]*) rate=([0-9]*) .* p99_us=([0-9]*) .*/$1 $meter \2 \3 \1/"
	done >> "$TMP/figures"
}

middle()
{
	sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] + 0 }'
}

# median NAME METER COLUMN: of all rounds.
median()
{
	awk -v name="$1" -v meter="$2" -v column="$3" '$1 == name && $2 == meter { print $column }' \
		"$TMP/figures" | middle
}

# left METER: how much of the rate, in percent; alone and flooded follow each other.
left()
{
	awk -v meter="$1" '
		$2 == meter && $1 == "alone" { alone = $3 }
		$2 == meter && $1 == "flooded" && alone > 0 { print int(100 * $3 / alone) }' \
		"$TMP/figures" | middle
}

# figures_of METER FLOOD
figures_of()
{
	echo "# $2, $1: $(left "$1") % of $(median alone "$1" 3) a second;" \
		"p99 $(($(median flooded "$1" 4) / 1000)) ms, alone $(($(median alone "$1" 4) / 1000)) ms"
}

rates_hold()
{
	[ "$(left steady)" -ge 80 ] && [ "$(left opener)" -ge 80 ]
}

nobody_waits()
{
	[ "$(median flooded steady 4)" -lt 100000 ] && [ "$(median flooded opener 4)" -lt 100000 ]
}

# Alone he gets nearly what he asks for.
rates_are_measured()
{
	[ "$(median alone steady 3)" -ge $((STEADY * 8 / 10)) ] &&
		[ "$(median alone opener 3)" -ge $((OPENER * 8 / 10)) ]
}

# Alone he hardly waits, and leaves the machine idle: else others work on it, and wait in its queues
# together with him and the flood.
waits_are_measured()
{
	[ "$(median alone steady 4)" -lt 50000 ] && [ "$(median alone opener 4)" -lt 50000 ] &&
		[ "$(median alone machine 3)" -ge 50 ]
}

# ---- the attacker ----

# flood_once WAY PROCESSES COUNT: one round; "attacks ms wrong" of it.
flood_once()
{
	local began
	windows alone
	began=$(now)
	background flood "$CLIENT" flood --socket "$SOCKET" --processes "$2" --count "$3" \
		--port "$PORT" "$1"
	wait_until 20 says flood '^running'
	windows flooded
	stop flood TERM
	last_said flood '^flood' | sed -E \
		"s/.* attacks=([0-9]*) refused=([0-9]*) wrong=([0-9]*)/\1 $(($(now) - began)) \2 \3/" \
		>> "$TMP/attacks"
}

# total COLUMN of all rounds
total()
{
	awk -v column="$1" '{ sum += $column } END { print sum + 0 }' "$TMP/attacks"
}

nobody_is_hurt()
{
	local way=$1 least=$4 round lived
	: > "$TMP/figures"
	: > "$TMP/attacks"
	for ((round = 1; round <= MOST; round++)); do
		flood_once "$@"
		[ "$round" -ge "$ROUNDS" ] || continue
		if rates_hold && nobody_waits; then break; fi
	done
	cat "$TMP/figures" "$TMP/attacks" "$TMP/flood.out"
	{
		figures_of steady "$way"
		figures_of opener "$way"
		echo "# $way: $(total 1) attacks, $(total 3) refused, $round rounds"
	} >> "$TMP/report"
	lived=$(($(total 1) - $(total 4)))
	equal "$(total 4)" 0
	[ $(($(total 1) * 1000)) -ge $((least * $(total 2))) ]
	if [ "$round" -le "$MOST" ]; then
		echo "$(total 1) $lived" >> "$TMP/counted"
		return 0
	fi
	rates_are_measured ||
		skip "the machine is busy: $(median alone steady 3) of $STEADY requests a second without a flood"
	if rates_hold && ! waits_are_measured; then
		skip "the machine is busy: $(median alone machine 3) % of it are idle without a flood"
	fi
	echo "$(total 1) 0" >> "$TMP/counted"
	return 1
}

: > "$TMP/counted"

# ---- the broker ----

# What stays are tables that have grown to their maximum, libevent's and those of sessions and dials,
# and the flooder's resumption cache.  libevent's have an entry for each descriptor that there was at once,
# and each entry keeps the page in which it is: 4 KiB for each of four thousand sessions.
MORE_KB=20480

# back BEFORE AFTER: the descriptors and processes of before, and not much more memory.
back()
{
	paste -d ' ' "$1" "$2" | awk -v more="$MORE_KB" '
		{ print }
		$1 == "processes" && $4 != $2 { bad = 1 }
		$1 != "processes" && ($5 != $2 || $6 > $3 + more) { bad = 1 }
		END { exit bad }'
}

all_is_back()
{
	footprint > "$TMP/after"
	back "$TMP/before" "$TMP/after"
}

idle()
{
	[ "$(status '[.counters.sessions, .counters.clients] | join(" ")')" = "0 1" ]
}

comes_back()
{
	ends_well steady
	ends_well opener
	wait_until 20 idle
	# A worker gives memory back in LIMIT_SWEEP_MS.
	wait_until 20 all_is_back || { back "$TMP/before" "$TMP/after"; return 1; }
	sed 's/^/# afterwards: /' "$TMP/after" >> "$TMP/report"
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
}

# Before the meters run: only what is measured has been there yet.
for user in "$CLIENT" "$OTHER"; do
	as_uid "$user" traffic --socket "$SOCKET" localhost "$PORT" echo 1000 > /dev/null
done
wait_until 10 idle
footprint > "$TMP/before"
sed 's/^/# before: /' "$TMP/before" > "$TMP/report"
background steady "$OTHER" meter --socket "$SOCKET" --rate "$STEADY" localhost "$PORT"
background opener "$OTHER" meter --socket "$SOCKET" --rate "$OPENER" --open localhost "$PORT"
meters_run() { says steady '^running' && says opener '^running'; }
prove "a quiet user works" wait_until 20 meters_run

floods > "$TMP/floods"
while read -r way processes count least what; do
	prove "$what: nobody else is hurt" nobody_is_hurt "$way" "$processes" "$count" "$least"
done < "$TMP/floods"
prove "afterwards descriptors, processes and memory are what they were" comes_back
cat "$TMP/report"
# Those of a machine that was too busy to tell do not count.
attacked sockets "$(awk '{ n += $1 } END { print n + 0 }' "$TMP/counted")" \
	"$(awk '{ n += $2 } END { print n + 0 }' "$TMP/counted")"
prove "it stops without leaving anything" stop_daemon
