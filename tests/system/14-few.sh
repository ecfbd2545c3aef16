#!/bin/bash
# A daemon that may have few descriptors says so, and serves; with too few it says why it does not.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

few_are_said()
{
	DAEMON_PREFIX=(prlimit --nofile=1000:1000)
	start_daemon
	logs "WARNING supervisor.*only 1000 descriptors are allowed, and not $(limit PASSING_FILES): users"
	stop_daemon
}

prove "few descriptors are a warning at the start" few_are_said

enough_are_not()
{
	[ "$(prlimit --raw --noheadings --nofile --output HARD)" -ge "$(limit PASSING_FILES)" ] ||
		skip "this machine does not allow enough"
	DAEMON_PREFIX=()
	start_daemon
	deny says daemon 'descriptors are allowed'
	stop_daemon
}
prove "enough of them are none" enough_are_not

# serves_or_says COUNT: with so many descriptors.
serves_or_says()
{
	DAEMON_PREFIX=(prlimit "--nofile=$1:$1")
	launch_daemon daemon
	wait_until 20 started_or_over
	if [ -f "$TMP/daemon.status" ]; then
		echo "$1: $(last_said daemon '^tlsbrokerd:')"
		equal "$(cat "$TMP/daemon.status")" 1
		equal "$(grep -c '^tlsbrokerd: [a-z/]*.*: ' "$TMP/daemon.out")" 1
		[ -z "$(ls -A "$TMP/run")" ]
	else
		stop_daemon
	fi
}

started_or_over()
{
	[ -f "$TMP/daemon.status" ] || says daemon 'NOTICE supervisor.* ready '
}

too_few()
{
	local count
	for count in 4 6 7 8 9 10 11 12 13 14 15 16 18 20 24; do
		serves_or_says "$count"
	done
	[ ! -f "$TMP/daemon.status" ] || [ "$(cat "$TMP/daemon.status")" = 0 ]
}
prove "too few are an end with a reason, which leaves nothing behind" too_few

# A role that is being started has yet to get them.
roles_are_silent()
{
	local pid fd
	for pid in $(pgrep -P "$(pid_of daemon)" -f -- ' -x '); do
		for fd in 0 1 2; do
			[ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ] || return 1
		done
	done
}

silent_roles()
{
	needs_root # nobody else may look at them
	local user=()
	[ -z "$ROOT" ] || user=(--user nobody)
	background daemon - tlsbrokerd "${user[@]}" --socket "$SOCKET" --trust "$PKI/root.pem" \
		--sandbox="$SANDBOX"
	wait_until 10 daemon_serves
	[ "$(pgrep -c -P "$(pid_of daemon)" -f -- ' -x ')" -ge 3 ]
	wait_until 10 roles_are_silent
	logs 'supervisor.*: ready'
	stop_daemon
}
prove "without -d only the supervisor has the standard error, and logs there" silent_roles
