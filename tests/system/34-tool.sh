#!/bin/bash
# tlsbroker-cli at its own ends: input, output, files of certificates, and a broker that goes away.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon
start_peer peer good

# says_why STATUS REGEX COMMAND...: it ends with this status, and the one line that says so.
says_why()
{
	local wanted=$1 regex=$2 status=0
	shift 2
	"$@" 2> "$TMP/why" || status=$?
	{ # standard output may be what is tried
		cat "$TMP/why"
		equal "$status" "$wanted" && equal "$(wc -l < "$TMP/why")" 1 &&
			grep -Eq "^tlsbroker-cli: .*$regex" "$TMP/why"
	} >&2
}

asks()
{
	printf '%s\n' "$1" | client "${@:2}" "localhost:$PORT"
}

full()
{
	says_why 1 'standard output: No space left' asks 'source 1000000 1' > /dev/full
	says_why 1 'standard output: could not be written' \
		as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET" > /dev/full
	says_why 1 'standard output: could not be written' \
		as_uid "$CLIENT" tlsbroker-cli --help > /dev/full
}
prove "output that cannot be written is status 1, and said" full

gone_reader()
{
	{ says_why 1 'standard output: Broken pipe' asks 'source 100000000 1' && touch "$TMP/broken"; } |
		head -c 1000 > "$TMP/got"
	test -e "$TMP/broken"
}
prove "so is a reader that has gone" gone_reader

bad_input()
{
	says_why 1 'standard input: Is a directory' client "localhost:$PORT" < "$TMP"
}
prove "input that cannot be read is status 1, and said" bad_input

closed()
{
	asks 'source 10 1' <&- >&- # which are no session's socket now
	as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET" <&- >&- 2>&-
}
prove "standard descriptors may be closed" closed

socket_as_output()
{
	local port=$PORT
	start_peer mute good --mute
	exec 7<> "/dev/tcp/127.0.0.1/$PORT"
	PORT=$port
	asks 'source 1000 1' >&7
	exec 7>&-
}
prove "output may be a socket" socket_as_output

certificates()
{
	head -c 2000000 /dev/zero > "$TMP/large"
	echo "no certificate" > "$TMP/text"
	says_why 2 "$TMP/missing: No such file" asks x --ca "$TMP/missing"
	says_why 2 "$TMP: Is a directory" asks x --ca "$TMP"
	says_why 2 "$TMP/large: more than [0-9]+ bytes" asks x --ca "$TMP/large"
	says_why 2 "$TMP/text: holds no CA certificate" asks x --ca "$TMP/text"
	equal "$(asks 'source 7 1' --ca "$PKI/root.pem" | wc -c)" 7
}
prove "--ca names a file with certificates, or is status 2" certificates

server_resets()
{
	says_why 1 'reset' asks 'reset 0'
}
prove "a server that resets the connection is status 1" server_resets

no_end()
{
	equal "$(asks 'source 100000 1' --eof-wait never | wc -c)" 100000
}
prove "with --eof-wait never it is the server who ends" no_end

stopped()
{
	local worker
	worker=$(worker_pid "$CLIENT")
	as_uid "$DAEMON" kill -STOP "$worker"
	says_why 9 'timed out' asks x --timeout 1
	as_uid "$DAEMON" kill -CONT "$worker"
	equal "$(asks 'source 7 1' | wc -c)" 7
}
prove "a broker that does not answer in time is status 9" stopped

# At the end, since it is.
broker_dies()
{
	mkfifo "$TMP/in"
	chmod 666 "$TMP/in"
	exec 8<> "$TMP/in"
	# shellcheck disable=SC2016  # expands in the inner shell
	background tool "$CLIENT" bash -c 'exec tlsbroker-cli connect --socket "$1" "$2" < "$3"' bash \
		"$SOCKET" "localhost:$PORT" "$TMP/in"
	echo silent >&8
	wait_until 10 says peer '^handshake.*'
	wait_until 10 one_session
	stop daemon KILL
	equal "$(exit_status tool 10)" 7
	says tool '^tlsbroker-cli: '
	exec 8>&-
	says_why 7 'no broker: ' asks x
}
one_session() { [ "$(status .counters.sessions)" = 1 ]; }
prove "a broker that dies is status 7" broker_dies
