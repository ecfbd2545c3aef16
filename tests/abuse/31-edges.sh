#!/bin/bash
# Case 26: writes and reads of no byte, of one, of as many as there is room for, and of sizes that
# wrap around the rings in every other place.  What comes back has the checksum of what was sent.
# Tags: unprivileged asan
# Limit: 400 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon
start_peer peer13 good --tls 1.3
start_peer peer12 good --tls 1.2

# edges HOW: over both versions of TLS.
edges_both()
{
	local name
	for name in peer12 peer13; do
		PORT=$(last_said "$name" '^listening' | cut -d ' ' -f 2)
		as_uid "$CLIENT" edges --socket "$SOCKET" localhost "$PORT" "$1"
		attacked memory 1 1
	done
}

prove "case 26: nothing, between bytes" edges_both zero
prove "case 26: byte after byte, three times around" edges_both one
prove "case 26: until nothing more fits, to the last byte" edges_both full
prove "case 26: around the end of the ring in every place" edges_both wrap
prove "it stops without leaving anything" stop_daemon
