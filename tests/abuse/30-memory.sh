#!/bin/bash
# Programs that turn against the memory which they share with the broker.  Their session ends or goes
# on; those of the same user, in the same worker, and of another one go on byte by byte.
# Tags: unprivileged asan
# Limit: 400 s
. "$(dirname "$0")/../system/lib.sh"

LENGTH=1
abuse_full && LENGTH=10

start_daemon
start_peer peer good
witness same "$CLIENT" --sessions 4 localhost "$PORT" echo 0
witness other "${OTHER:-$CLIENT}" --sessions 4 localhost "$PORT" echo 0

# vandal_as UID HOW: it finds nothing that it should not, and nobody notices it.
vandal_as()
{
	local attacks
	background vandal "$1" vandal --socket "$SOCKET" --port "$PORT" --seconds "$LENGTH" "$2"
	equal "$(exit_status vandal 90)" 0 || { cat "$TMP/vandal.out"; return 1; }
	attacks=$(last_said vandal '^done' | cut -d ' ' -f 2)
	attacked memory "$attacks" "$attacks"
	lives same
	lives other
	equal "$(status '[.roles[].restarts] | add')" 0
}

prove "cases 18, 19, 23: every word and byte rewritten at full speed" vandal_as "$CLIENT" scribble
prove "case 20: the memory cannot be cut short, nor sealed anew" vandal_as "$CLIENT" resize
prove "case 21: holes punched into it are the program's own loss" vandal_as "$CLIENT" punch
prove "case 22: opened again by its name, it is what it was" vandal_as "$CLIENT" reopen

channels()
{
	grep -c tlsbroker-channel "/proc/$(worker_pid "$CLIENT")/maps"
}

# The pattern is nowhere, for programs of the same user and of another one; and a worker that has
# neither the mapping nor the descriptor keeps no page from being given back.
stale()
{
	local before files
	[ -z "$ROOT" ] || { before=$(channels); files=$(count_fds "$(worker_pid "$CLIENT")"); }
	vandal_as "$CLIENT" fill
	vandal_as "$CLIENT" look
	vandal_as "${OTHER:-$CLIENT}" look
	[ "$ROOT" ] || return 0
	unmapped() { [ "$(channels)" -le "$before" ]; }
	closed() { [ "$(count_fds "$(worker_pid "$CLIENT")")" -le "$files" ]; }
	wait_until 10 unmapped
	wait_until 10 closed
}
prove "case 24: no session finds what another one left in memory, and memory is given back" stale

prove "case 25: bells as fast as they can be rung hold up nobody" vandal_as "$CLIENT" storm
prove "the sessions of the same user went on" ends_well same
prove "the other user's went on" ends_well other

rests()
{
	needs_plain_build
	local pid before
	pid=$(worker_pid "$CLIENT")
	quiet()
	{
		before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
		sleep 0.5 # is what is measured
		[ "$(awk '{ print $14 + $15 }' "/proc/$pid/stat")" -le $((before + 2)) ]
	}
	wait_until 10 quiet
}
prove "after all that the worker rests" rests
prove "it stops without leaving anything" stop_daemon
