#!/bin/bash
# Programs that break every rule of the protocol are cut off; nobody else notices.
# Tags: unprivileged asan
# Limit: 240 s
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good
VICTIM=${OTHER:-$CLIENT}
witness load "$VICTIM" --sessions 10 localhost "$PORT" echo 0

# rude HOW: all that should be hung up is, and everything else goes on.
rude_as_user()
{
	background rude "$CLIENT" rude --socket "$SOCKET" --port "$PORT" "$@"
	equal "$(exit_status rude 110)" 0 || { cat "$TMP/rude.out"; return 1; }
	lives load
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 10000
	equal "$(status '[.roles[].restarts] | add')" 0
}

prove "junk of all sizes, before and after the hello" rude_as_user junk
prove "250 descriptors in a message" rude_as_user fdflood
prove "sessions on pipes, folders, epolls and other sockets" rude_as_user oddfds
prove "each bit of a conversation wrong in turn, and each part of it missing" rude_as_user flips
prove "shared memory overwritten in every word" rude_as_user scribble
prove "bells without an end" rude_as_user storm

counted()
{
	[ "$(status '.counters.violations')" -gt 100 ]
}
prove "violations are counted" counted

dies_at_every_step()
{
	local i delay as
	become "$CLIENT"
	for ((i = 0; i < 40; i++)); do
		printf -v delay '0.%03d' $((1 + i * i / 8)) # 0 would be no limit
		timeout -s KILL "$delay" "${as[@]}" \
			traffic --socket "$SOCKET" --sessions 3 localhost "$PORT" echo 0 || true
	done
	lives load
	none_but_the_load() { [ "$(status '.counters.sessions')" = 10 ]; }
	wait_until 8 none_but_the_load
}
prove "programs killed at every step leave no session behind" dies_at_every_step

stopped_program()
{
	# A program that reads no more, while its server sends all it can.
	background stopped "$CLIENT" traffic --socket "$SOCKET" localhost "$PORT" down 1000000000
	begun() { [ "$(status '.counters.sessions')" = 11 ]; }
	wait_until 5 begun
	kill -STOP "$(pid_of stopped)"
	expect 0 traffic_as "$CLIENT" --sessions 5 localhost "$PORT" echo 100000
	lives load
	stop stopped KILL
}
prove "a program that is stopped while data comes holds up nobody" stopped_program

prove "the load went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
