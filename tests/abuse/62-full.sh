#!/bin/bash
# Case 46, what the daemon writes to, and what it reads: a log whose reader sleeps, has gone, or has no
# room; a folder without room for its socket; a trust bundle that is cut anywhere, under load.
# Limit: 240 s
# File systems that it mounts are in a name space of its own.
if [ "$(id -u)" = 0 ] && [ -z "${OWN_MOUNTS-}" ] && unshare -m true 2> /dev/null; then
	OWN_MOUNTS=yes exec unshare -m -- bash "$0"
fi
. "$(dirname "$0")/../system/lib.sh"

tried=0
PIPE=$TMP/log

served()
{
	expect 0 traffic_as "$1" --no-resumption localhost "$PORT" echo 1000
}

# fills_log SESSIONS: each has two lines of 150 bytes and more.
fills_log()
{
	expect 0 traffic_as "$CLIENT" --sessions "$1" localhost "$PORT" echo 10
}

# all_work: everybody is served, a role that dies is started, and nobody spins.
all_work()
{
	local connector
	served "$CLIENT"
	[ -z "$OTHER" ] || served "$OTHER"
	connector=$(role_pid connector)
	as_uid "$DAEMON" kill -KILL "$connector"
	wait_until 10 served "$CLIENT"
	kill -HUP "$(pid_of daemon)"
	lives load
	wait_until 10 served "$CLIENT"
}

# ---- a pipe ----

mkfifo "$PIPE"
start_peer peer good

# A reader that does not read until it is woken up.
sleepy_reader()
{
	# shellcheck disable=SC2016  # expands in the inner shell
	background reader - bash -c 'exec < "$1"; echo open; kill -STOP $$; exec cat' bash "$PIPE"
}

# shellcheck disable=SC2016  # expands in the inner shell
DAEMON_PREFIX=(bash -c 'pipe=$1; shift; exec "$@" 2> "$pipe"' bash "$PIPE")
sleepy_reader
start_daemon -v
witness load "${OTHER:-$CLIENT}" --sessions 10 localhost "$PORT" echo 0

pipe_is_full()
{
	fills_log 230
	all_work
	[ "$(grep -c . "$TMP/reader.out")" -le 1 ] # nothing was read meanwhile
}
prove "case 46: a log whose reader sleeps holds up nobody" pipe_is_full
tried=$((tried + 1))

woken()
{
	kill -CONT "$(pid_of reader)"
	served "$CLIENT"
	wait_until 5 says reader 'WARNING supervisor.*log lines lost.* error=[0-9]+$'
	# Whole lines, and the newest again.
	deny grep -Ev '^open$|^20[0-9-]*T[0-9:.]*Z [A-Z]+ +[a-z]+\[[0-9]+\]: .' "$TMP/reader.out"
	newest() { served "$CLIENT" && says reader 'session closed .* bytes_read=1000 '; }
	wait_until 10 newest
}
prove "case 46: it says how many lines were lost, when somebody reads again" woken

pipe_is_broken()
{
	stop reader KILL
	fills_log 230
	all_work
}
prove "case 46: a log whose reader has gone holds up nobody" pipe_is_broken
tried=$((tried + 1))

stops_with_a_full_pipe()
{
	ends_well load
	stop_daemon
	sleepy_reader
	start_daemon -v
	fills_log 230
	stop_daemon
	stop reader KILL
}
prove "case 46: it stops in time while its log is full" stops_with_a_full_pipe
tried=$((tried + 1))

# ---- the journal ----

# As a service: without -d, and with a journal that is ours.
start_service()
{
	[ "${OWN_MOUNTS-}" ] || skip "needs root, to mount file systems"
	mount -t tmpfs tmpfs /run
	mkdir -p /run/systemd/journal "$TMP/run"
	background mailbox - mailbox /run/systemd/journal/socket
	wait_until 5 says mailbox '^open'
	background daemon - env NOTIFY_SOCKET=/run/nobody tlsbrokerd -v --user nobody \
		--socket "$SOCKET" --trust "$PKI/root.pem"
	wait_until 10 daemon_serves
}

journal_is_full()
{
	start_service
	witness load "$OTHER" --sessions 10 localhost "$PORT" echo 0
	fills_log 30
	all_work
	kill -USR1 "$(pid_of mailbox)"
	wait_until 5 says mailbox '^MESSAGE=supervisor.* ready ms='
	newest() { served "$CLIENT" && says mailbox '^MESSAGE=worker.* session closed .* bytes_read=1000 '; }
	wait_until 10 newest
	says mailbox '^MESSAGE=supervisor.* log lines lost.* error=[0-9]+$'
	deny grep -Ev '^(open|entry|[A-Z_]+=.*)$' "$TMP/mailbox.out"
	ends_well load
	stop_daemon
	stop mailbox
	umount /run
}
tried=$((tried + 1))
prove "case 46: a journal that does not read holds up nobody" journal_is_full

# ---- a disk ----

# small_disk FOLDER OPTIONS
small_disk()
{
	[ "${OWN_MOUNTS-}" ] || skip "needs root, to mount file systems"
	mkdir "$1"
	mount -t tmpfs -o "$2" tmpfs "$1"
}

full_disk()
{
	small_disk "$TMP/disk" size=16k
	# shellcheck disable=SC2016  # expands in the inner shell
	DAEMON_PREFIX=(bash -c 'exec "$@" 2>> '"$TMP/disk/log" bash)
	start_daemon -v
	witness load "$OTHER" --sessions 10 localhost "$PORT" echo 0
	fills_log 60
	deny dd if=/dev/zero of="$TMP/disk/more" bs=4k count=1 # there is no room
	all_work
	: > "$TMP/disk/log"
	served "$CLIENT"
	counted() { grep -Eq 'log lines lost.* error=[0-9]+$' "$TMP/disk/log"; }
	wait_until 5 counted
	ends_well load
	stop_daemon
	umount "$TMP/disk"
}
tried=$((tried + 1))
prove "case 46: a log on a full disk holds up nobody" full_disk

no_room_for_socket()
{
	small_disk "$TMP/full" nr_inodes=1
	chown "$DAEMON" "$TMP/full"
	DAEMON_PREFIX=()
	SOCKET=$TMP/full/tlsbroker.sock launch_daemon refused
	equal "$(exit_status refused 10)" 1
	cat "$TMP/refused.out"
	equal "$(grep -c "^tlsbrokerd: .*full/tlsbroker.sock.*No space" "$TMP/refused.out")" 1
	equal "$(wc -l < "$TMP/refused.out")" 1
	umount "$TMP/full"
}
tried=$((tried + 1))
prove "case 46: without room for its socket it does not start, and says so in one line" no_room_for_socket

# ---- a bundle ----

# Its own CA in pieces: none of them is one, so the one that was whole stays.
cut_bundle()
{
	local size at lines
	cp "$PKI/root.pem" "$TMP/trust.pem"
	start_daemon --trust "$TMP/trust.pem"
	load load "${OTHER:-$CLIENT}" --sessions 10 localhost "$PORT" echo 0
	size=$(stat -c %s "$PKI/root.pem")
	lines=0
	for ((at = 0; at < size - 30; at += abuse ? 1 : size / 8)); do
		head -c "$at" "$PKI/root.pem" > "$TMP/trust.pem"
		kill -HUP "$(pid_of daemon)"
		lines=$((lines + 1))
		kept() { [ "$(grep -c 'the old configuration is kept' "$TMP/daemon.out")" = "$lines" ]; }
		wait_until 5 kept
		served "$CLIENT"
	done
	lives load
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
	echo $lines > "$TMP/cuts"
	ends_well load
	stop_daemon
}
abuse=0
! abuse_full || abuse=1
DAEMON_PREFIX=()
prove "case 46: a bundle that is cut anywhere is not taken, under load" cut_bundle
tried=$((tried + $(cat "$TMP/cuts" 2> /dev/null || echo 1)))

attacked faults $tried $((failed ? 0 : tried))
