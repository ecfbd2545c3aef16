#!/bin/bash
# Hundreds of users and thousands of sessions that come, work, stall, go and die, for a long time: what
# the broker holds does not grow.  "make soak SECONDS=600" runs it at length, "make abuse" for a minute,
# and without a word it takes moments.
#
# At length there are more users than workers, so that idle ones have to make room all the time.
# Tags: alone
# Limit: 90000 s
. "$(dirname "$0")/../system/lib.sh"

if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ]; then
	prove "a soak" skip "needs root, for other users, and no sanitizers"
	exit 0
fi

LENGTH=${SOAK:-$(if abuse_full; then echo 60; else echo 6; fi)} USERS=30 PROGRAMS=20
[ "$LENGTH" -lt 120 ] || { USERS=$(($(limit WORKERS) + 100)) PROGRAMS=60; }
FIRST=62000
export SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}

start_daemon
ports=()
start_peer modern good --tls 1.3
ports+=("$PORT")
start_peer older good --tls 1.2
ports+=("$PORT")
start_peer third good
ports+=("$PORT")

# ---- samples ----

# What one process alone holds, and its share of what it shares: "kilobytes descriptors".
held()
{
	echo "$(awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup") $(count_fds "$1")"
}

# All workers together: "workers kilobytes descriptors".  One may end meanwhile.
held_by_workers()
{
	local pids
	mapfile -t pids < <(pgrep -P "$(pid_of daemon)" -f -- '-x worker ')
	pids=("${pids[@]/#//proc/}")
	echo "${#pids[@]}" \
		"$(cat "${pids[@]/%//smaps_rollup}" 2> /dev/null |
			awk '/^Pss:/ { sum += $2 } END { print sum }')" \
		"$(find "${pids[@]/%//fd}" -mindepth 1 2> /dev/null | wc -l)"
}

COLUMNS_OF='second sessions supervisor_kb supervisor_fds frontdoor_kb frontdoor_fds connector_kb
	connector_fds keyholder_kb keyholder_fds busy_kb busy_fds workers workers_kb workers_fds'

# sample: a row of the table.
sample()
{
	local busy
	status_json > "$TMP/status"
	busy=$(jq -r ".workers[] | select(.uid == $FIRST) | .pid" "$TMP/status")
	echo "$((($(now) - began) / 1000)) $(jq .counters.sessions "$TMP/status") $(held "$(pid_of daemon)")" \
		"$(held "$(role_pid frontdoor)") $(held "$(role_pid connector)")" \
		"$(held "$(role_pid keyholder)") $(held "$busy") $(held_by_workers)" >> "$TMP/table"
}

# trend: for each column, from when there were all workers but 16: "name mean growth", growth by the
# line of least squares, from the first such row to the last.
trend()
{
	# shellcheck disable=SC2086  # words are wanted
	{ echo $COLUMNS_OF; cat "$TMP/table"; } | awk '
		NR == 1 { for (i = 1; i <= NF; i++) name[i] = $i; next }
		NF == 15 { rows++; for (i = 1; i <= NF; i++) v[rows, i] = $i }
		END {
			for (r = 1; r <= rows; r++) if (v[r, 13] > most) most = v[r, 13]
			for (from = 1; v[from, 13] < most - 16 || from <= rows / 3; from++);
			for (i = 2; i <= 15; i++) {
				n = sx = sy = sxx = sxy = 0
				for (r = from; r <= rows; r++) {
					x = v[r, 1]; y = v[r, i]
					n++; sx += x; sy += y; sxx += x * x; sxy += x * y
				}
				d = n * sxx - sx * sx
				slope = d ? (n * sxy - sx * sy) / d : 0
				printf "%s %d %d\n", name[i], sy / n, slope * (v[rows, 1] - v[from, 1])
			}
		}'
}

# ---- what may grow, and by how much ----

# A leak of 100 bytes for each program or dial would be megabytes at length: what these four may have
# more is noise.  A worker's memory goes up and down with its sessions; it is weighed at the end.
steady()
{
	trend > "$TMP/trend"
	cat "$TMP/trend"
	awk '
		function over(most) { if ($3 > most) { print "grows:", $0; bad = 1 } }
		/^(supervisor|frontdoor|connector|keyholder)_kb/ { over(512) }
		/^(supervisor|frontdoor|connector|keyholder)_fds/ { over(2 * 16) }
		END { exit bad }' "$TMP/trend"
}

soaks()
{
	began=$(now)
	background crowd - crowd --socket "$SOCKET" --users "$USERS" --first "$FIRST" \
		--programs "$PROGRAMS" --seed "$SEED" "${ports[@]}"
	first_user_works() { [ "$(worker_pid "$FIRST")" ]; }
	wait_until 30 first_user_works
	while [ $(($(now) - began)) -lt $((LENGTH * 1000)) ]; do
		sample
		sleep 1 # between samples
	done
	stop crowd TERM
	tail -n 20 "$TMP/crowd.out"
	equal "$(exit_status crowd 10)" 0
	last_said crowd '^crowd' | grep -Eq 'sessions=[0-9]{2,}.* wrong=0$'
}

# None refused, and nobody late, but where a machine is busy: one in a hundred.
few_fail()
{
	last_said crowd '^crowd' | sed 's/[a-z=]*//g' | {
		read -r _ _ sessions _ _ refused late _
		echo "$sessions sessions, $refused refused, $late late"
		grep '^failed' "$TMP/crowd.out" | sed 's/[0-9]*//g' | sort | uniq -c | sort -rn | head
		[ $(((refused + late) * 100)) -le "$sessions" ]
	}
}

# Each worker has the descriptors of a fresh one, and nobody holds anything; what is left of memory is
# tables that have grown and the resumption cache, which took no more than some megabytes.
all_is_gone()
{
	local pid
	[ "$(status '[.counters.sessions, .counters.ring_bytes, .counters.clients] | join(" ")')" = "0 0 1" ]
	for pid in $(status ".workers[] | select(.uid >= $FIRST) | .pid"); do
		echo "$(count_fds "$pid") $(private_kb "$pid")"
	done > "$TMP/left"
	[ "$(cut -d ' ' -f 1 "$TMP/left" | sort -u | wc -l)" = 1 ]
	[ "$(cut -d ' ' -f 2 "$TMP/left" | sort -n | tail -n 1)" -le 12288 ]
}

nobody_died()
{
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
	equal "$(grep -c 'died' "$TMP/daemon.out" || true)" 0
	equal "$(status .counters.violations)" 0
}

idle_made_room()
{
	[ "$USERS" -gt "$(limit WORKERS)" ] || skip "a short soak has fewer users than there may be workers"
	[ "$(grep -c 'serves a user' "$TMP/daemon.out")" -gt "$USERS" ]
	[ "$(status '.workers | length')" -le "$(limit WORKERS)" ]
}

prove "$USERS users, for $LENGTH s (SEED=$SEED): nothing is wrong" soaks
prove "next to nobody is refused or late" few_fail
prove "memory, descriptors and processes do not grow" steady
prove "idle workers make room for others" idle_made_room
prove "when all have gone, so has what their workers held" wait_until 30 all_is_gone
prove "nobody died, and nobody was blamed" nobody_died
last_said crowd '^crowd' | sed 's/^/# /'
awk '{ sum += $2; if ($2 > most) most = $2 }
	END { printf "# afterwards: %d workers of %d KiB, the largest %d KiB\n", NR, sum / NR, most }' "$TMP/left"
sed 's/^/# column, mean, growth: /' "$TMP/trend"
prove "it stops without leaving anything" stop_daemon
