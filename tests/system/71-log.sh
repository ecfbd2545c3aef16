#!/bin/bash
# The log: one line for each event, which says who, where and how it ended; nothing can forge a line.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good

# lines REGEX...: the log's lines in which all of these occur.
lines()
{
	local found regex
	found=$(cat "$TMP/daemon.out")
	for regex; do
		found=$(grep -E -- "$regex" <<< "$found")
	done
	echo "$found"
}

one_line()
{
	[ "$(lines "$@" | grep -c .)" = 1 ]
}

good_session()
{
	expect 0 traffic_as "$CLIENT" localhost "$PORT" down 12345
	wait_until 3 one_line "server=localhost:$PORT" 'bytes_read=12345'
	lines "server=localhost:$PORT" "uid=$CLIENT|badge=uid:$CLIENT" 'worker' 'bytes_read=12345'
	wait_until 3 one_line "server=localhost:$PORT" 'outcome=ok' 'bytes_read=12345'
}
prove "a session's end is one line: role, badge, server, outcome, bytes" good_session

failed_session()
{
	start_peer expired expired
	expect 4 client "localhost:$PORT" < /dev/null
	wait_until 3 one_line "server=localhost:$PORT" 'outcome=CERT_EXPIRED'
}
prove "a refused certificate is one line, with its code's name" failed_session

forgery()
{
	start_peer evil evil
	expect 4 client "localhost:$PORT" < /dev/null 2> "$TMP/client.err"
	wait_until 3 one_line "server=localhost:$PORT" 'outcome='
	deny grep -E '^2030' "$TMP/daemon.out" "$TMP/client.err"
	# No control character but the line's end, in either.
	equal "$(cat "$TMP/daemon.out" "$TMP/client.err" | tr -d '\n' | LC_ALL=C grep -c '[[:cntrl:]]')" 0
}
prove "a certificate's subject cannot forge a line or reach the terminal" forgery

hostile_names()
{
	expect 1 traffic_as "$CLIENT" $'a\nb' "$PORT" echo 1
	expect 1 traffic_as "$CLIENT" $'\e[31m' "$PORT" echo 1
	expect 1 traffic_as "$CLIENT" --name $'a\nERROR' localhost "$PORT" echo 1
	equal "$(tr -d '\n' < "$TMP/daemon.out" | LC_ALL=C grep -c '[[:cntrl:]]')" 0
}
prove "nor can a host's name" hostile_names

shape()
{
	# Time, level, role and process, text: on each line.
	deny grep -Ev '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+[^ ]* +[A-Z]+ +[a-z]+\[[0-9]+\]: .' \
		"$TMP/daemon.out"
}
prove "each line has time, level, role and process" shape

prove "it stops without leaving anything" stop_daemon
