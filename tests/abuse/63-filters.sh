#!/bin/bash
# Case 41: the filters of all threads as the kernel has them while the daemon works, and forbidden calls
# that its running processes are made to make.  What no filter may let through, in any process of a test,
# is tests/sandbox's.
# Limit: 300 s
. "$(dirname "$0")/../system/lib.sh"

if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ]; then
	prove "case 41" skip "needs root, to look into others, and no sanitizers"
	exit 0
fi

start_daemon
start_peer peer good
witness load "$OTHER" --sessions 10 localhost "$PORT" echo 0

served()
{
	expect 0 traffic_as "$1" localhost "$PORT" echo 1000
}

looked_at()
{
	local pids
	served "$CLIENT"
	mapfile -t pids < <(pid_of daemon; pgrep -P "$(pid_of daemon)")
	filters look "${pids[@]}" > "$TMP/looked"
	cat "$TMP/looked"
	# Two users' workers and a spare one.
	equal "$(cut -d ' ' -f 2 "$TMP/looked" | sort | uniq -c | awk '{ print $2 $1 }' | paste -sd ' ')" \
		"connector1 frontdoor1 keyholder1 supervisor1 worker3"
	sed 's/.*/1 1/' "$TMP/looked" >> "$TMP/tried"
	served "$CLIENT"
	lives load
}
prove "case 41: each thread of each process has its role's filter, below the supervisor's" looked_at

# Each call in a full form; else for each role some.
mapfile -t calls < <(filters calls)
if ! abuse_full; then
	calls=(execve code_protect_high i386)
fi

pid_of_role()
{
	case $1 in
	supervisor) pid_of daemon ;;
	worker) served "$CLIENT" > /dev/null && worker_pid "$CLIENT" ;;
	*) role_pid "$1" ;;
	esac
}

# stricken ROLE: it is killed for each call, and nobody else is.
stricken()
{
	local call pid
	for call in "${calls[@]}"; do
		wait_until 10 served "$CLIENT"
		# A session does not need all of them: one may be on its way yet.
		there() { pid=$(pid_of_role "$1") && [ "$pid" ]; }
		wait_until 10 there "$1"
		filters strike "$pid" "$call"
		killed() { grep -Eq "$1\[$pid\]: died.*a system call that its sandbox forbids" "$TMP/daemon.out"; }
		wait_until 5 killed "$1" || { echo "$call did not kill it"; return 1; }
		echo 1 1 >> "$TMP/tried"
	done
	lives load
	wait_until 10 served "$CLIENT"
}
for role in frontdoor connector keyholder worker; do
	prove "case 41: a $role that makes a forbidden call is killed: ${calls[*]}" stricken $role
done

# It takes all with it; and its status says why.
supervisor_stricken()
{
	local call children child
	ends_well load
	for call in $(printf '%s\n' "${calls[@]}" | grep -v '^code_'); do
		children=$(pgrep -P "$(pid_of daemon)")
		filters strike "$(pid_of daemon)" "$call"
		equal "$(exit_status daemon 10)" $((128 + 31)) # SIGSYS
		for child in $children; do
			gone() { ! kill -0 "$child"; }
			wait_until 2 gone
		done
		echo 1 1 >> "$TMP/tried"
		start_daemon
	done
	served "$CLIENT"
}
prove "case 41: so is a supervisor, and all with it" supervisor_stricken

sum()
{
	awk -v column="$1" '{ n += $column } END { print n + 0 }' "$TMP/tried"
}
attacked faults "$(sum 1)" "$(sum 2)"
prove "it stops without leaving anything" stop_daemon
