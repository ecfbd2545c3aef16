#!/bin/bash
# Case 46, the clock: it jumps by ten years, forwards and backwards, while the daemon runs.  Certificates
# follow it, deadlines do not, and sessions that are open notice nothing.
#
# The daemon has an /etc of its own, in which ld.so.preload names a library that changes the wall clock.
# Limit: 120 s
. "$(dirname "$0")/../system/lib.sh"

YEARS=315576000 # ten of them
MOST=20
abuse_full && MOST=1000

make_clock()
{
	cc -shared -fPIC -o "$TMP/clock.so" "$(dirname "$0")/clock.c" 2> "$TMP/cc" &&
		cp -r /etc "$TMP/etc" 2> /dev/null
	echo /etc/clock.so > "$TMP/etc/ld.so.preload" && cp "$TMP/clock.so" "$TMP/etc" &&
		truncate -s 32 "$TMP/etc/clock" &&
		unshare -m mount --bind "$TMP/etc" /etc
}
if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ] || ! make_clock; then
	prove "case 46: the clock" skip "needs root, a compiler, a mount namespace, and no sanitizers"
	exit 0
fi
chmod -R a+rX "$TMP/etc"

# jump SECONDS: so wrong is the daemon's clock from now on.
jump()
{
	printf '%+032d' "$1" 1<> "$TMP/etc/clock"
}

jump 0
# shellcheck disable=SC2016,SC2191  # expands in the inner shell
DAEMON_PREFIX=(unshare -m sh -c 'mount --bind "$0" /etc && exec "$@"' "$TMP/etc")
start_daemon
start_peer peer good

accepted()
{
	expect 0 traffic_as "$CLIENT" localhost "$PORT" echo 1000
}

# refused CODE
refused()
{
	expect 1 traffic_as "$CLIENT" localhost "$PORT" echo 1 > "$TMP/refused"
	cat "$TMP/refused"
	grep -q "errno=EKEYREJECTED code=$1 " "$TMP/refused"
}

# dated REGEX: the log's last line.
dated()
{
	tail -n 1 "$TMP/daemon.out" | grep -E "^$1"
}

follows()
{
	accepted
	load load "$CLIENT" --sessions 10 localhost "$PORT" echo 0
	witness other "$OTHER" --sessions 10 localhost "$PORT" echo 0
	jump $YEARS
	refused 63 # although it could be resumed
	dated "$(($(date +%Y) + 10))"
	jump -$YEARS
	refused 64
	dated "$(($(date +%Y) - 10))"
	jump 0
	accepted
	lives load
	lives other
}
prove "case 46: certificates follow the clock, open sessions do not" follows

# The server's kernel accepts, and nobody says anything.
deadlines()
{
	local began connected took step
	start_peer mute good --mute
	kill -STOP "$(pid_of mute)"
	background silent "$OTHER" rude --socket "$SOCKET" --count 5 quiet
	began=$(now) connected=$(now)
	for step in $YEARS -$YEARS; do
		background slow "$CLIENT" traffic --socket "$SOCKET" --timeout 1000 localhost "$PORT" echo 1
		sleep 0.2 # into the handshake
		jump "$step"
		exit_status slow 20
		cat "$TMP/slow.out"
		grep -q 'errno=ETIMEDOUT code=24 ' "$TMP/slow.out"
		took=$(($(now) - began))
		echo "after $took ms"
		[ "$took" -ge 950 ]
		began=$(now)
	done
	# Who says nothing is turned out no sooner either.
	[ ! -f "$TMP/silent.status" ] || [ $(($(now) - connected)) -ge "$(limit HELLO_MS)" ]
	equal "$(exit_status silent 20)" 0
	jump 0
	lives load
	lives other
}
prove "case 46: deadlines pass neither sooner nor later" deadlines
stop mute KILL
PORT=$(last_said peer '^listening' | cut -d ' ' -f 2)

jumps()
{
	local i
	for ((i = 0; i < MOST; i++)); do
		jump $(((i % 5 - 2) * YEARS / 2 + i % 3))
		traffic_as "$CLIENT" localhost "$PORT" echo 1000 || [ $((i % 5)) != 2 ]
	done
	jump 0
	accepted
	lives load
	lives other
	equal "$(status '[.roles[], .workers[] | .restarts] | add')" 0
	ends_well load
	ends_well other
}
prove "case 46: $MOST jumps under load harm nobody" jumps

starts_anywhen()
{
	local when
	stop_daemon
	for when in $YEARS -$YEARS -1700000000; do
		jump "$when"
		start_daemon
		stop_daemon
	done
}
prove "case 46: it starts and stops in any year" starts_anywhen
attacked faults $((MOST + 5)) $((failed ? 0 : MOST + 5))
