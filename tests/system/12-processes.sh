#!/bin/bash
# What the kernel says of each process: who it is, what it may still do, what it holds.
# Tags: unprivileged
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good
client --ca "$PKI/root.pem" "localhost:$PORT" < /dev/null > /dev/null 2>&1

roles()
{
	pgrep -P "$(pid_of daemon)"
}

everybody()
{
	pid_of daemon
	roles
}

all_there()
{
	role_pid frontdoor
	role_pid connector
	role_pid keyholder
	# The user's and a spare one.
	equal "$(role_pid worker | wc -l)" 2
	equal "$(roles | wc -l)" 5
}
prove "frontdoor, connector, keyholder, the user's worker and a spare one are there, and nothing else" all_there

field()
{
	awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"
}

each_is()
{
	local pid
	for pid in $(everybody); do
		equal "$pid $1 $(field "$pid" "$1")" "$pid $1 $2"
	done
}

bounded()
{
	needs_plain_build
	each_is NoNewPrivs 1
	each_is Seccomp 2
}
prove "each process has NoNewPrivs 1 and Seccomp 2" bounded

nobody_in_particular()
{
	each_is Uid "$DAEMON"
	each_is CapPrm 0000000000000000
	each_is CapEff 0000000000000000
	for pid in $(everybody); do
		# Real, effective, saved and file system user are the same: no way back.
		equal "$(awk '$1 == "Uid:" { print $2 == $3 && $3 == $4 && $4 == $5 }' \
			"/proc/$pid/status")" 1
		[ -z "$ROOT" ] || equal "$(awk '$1 == "Groups:" { print NF }' "/proc/$pid/status")" 1
	done
}
prove "each process is the daemon's user, without groups, capabilities or a way back" \
	nobody_in_particular

closed_to_its_own_user()
{
	local pid
	for pid in $(everybody); do
		for file in mem environ maps; do
			if as_uid "$DAEMON" head -c 1 "/proc/$pid/$file"; then
				echo "/proc/$pid/$file can be read"
				return 1
			fi
		done
		if as_uid "$DAEMON" ls "/proc/$pid/fd/"; then return 1; fi
	done
}
prove "no process of the same user can look into one" closed_to_its_own_user

no_environment()
{
	needs_root
	local pid
	for pid in $(roles); do
		equal "$pid $(tr '\0' ' ' < "/proc/$pid/environ")" "$pid "
	done
}
prove "roles have an empty environment" no_environment

no_files()
{
	needs_root
	local pid files
	for pid in $(roles); do
		files=$(find "/proc/$pid/fd" -mindepth 1 -printf '%l\n' |
			grep -Ev '^(/dev/null|socket:|anon_inode:|/memfd:|pipe:)' |
			grep -Fvx "$TMP/daemon.out" || true)
		equal "$pid $files" "$pid "
	done
}
prove "roles hold no file but /dev/null and the log of -d" no_files

no_listening_worker()
{
	needs_root
	local pid
	for pid in $(role_pid worker) $(role_pid connector) $(role_pid keyholder) "$(pid_of daemon)"; do
		equal "$(ss -Hltnp | grep -c "pid=$pid," || true)" 0
	done
}
prove "nobody listens on the network" no_listening_worker

memory()
{
	needs_root
	local pid
	for pid in $(everybody); do
		if grep -E '^[0-9a-f-]+ .w.?x|^[0-9a-f-]+ rwx' "/proc/$pid/maps"; then return 1; fi
		grep -E '^Max core file size +0 +0 ' "/proc/$pid/limits"
	done
}
prove "no memory is writable and executable, and no core would be written" memory

layouts()
{
	needs_root
	local pid
	for pid in $(everybody); do
		grep -m 1 'tlsbrokerd' "/proc/$pid/maps" | cut -d - -f 1
	done | sort | uniq -d > "$TMP/same"
	equal "$(cat "$TMP/same")" ""
}
prove "each process has an address layout of its own" layouts

a_spare_again()
{
	[ "$OTHER" ] || skip "needs root for another user"
	as_uid "$OTHER" tlsbroker-cli status --socket "$SOCKET"
	three_workers() { [ "$(role_pid worker | wc -l)" = 3 ]; }
	wait_until 3 three_workers
}
prove "a second user gets the spare worker, and there is a new spare one" a_spare_again

prove "it stops without leaving anything" stop_daemon
