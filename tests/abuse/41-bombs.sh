#!/bin/bash
# Case 32: servers whose certificates cost time, over and over, while another session of the same user,
# and one of another user, measure how long a byte takes to a server and back.
# Tags: alone
# Limit: 600 s
. "$(dirname "$0")/../system/lib.sh"

ROOM=$(($(limit CHAIN_KIB) * 1024))
MOST_US=50000

make_bombs()
{
	mkdir "$TMP/bombs"
	bombs "$TMP/bombs" "$PKI/root.pem" "$PKI/root.key" "$ROOM" > "$TMP/list"
	chmod 644 "$TMP"/bombs/*
}
prove "certificates are made that cost as much as a server can make them cost" make_bombs

start_daemon
start_peer echo good
ECHO=$PORT

# outcome NAME EXPECTED: its server is refused, or taken, and says what it was.
outcome()
{
	local status=0
	PKI=$TMP/bombs start_peer bomb "$1"
	traffic_as "$CLIENT" --name bomb.example --no-resumption 127.0.0.1 "$PORT" echo 1 \
		> "$TMP/outcome" || status=$?
	cat "$TMP/outcome"
	echo >> "$TMP/tried"
	if [ "$2" = refused ]; then
		[ $status = 1 ]
		grep -Eq ' code=(40|6[0-9]) ' "$TMP/outcome"
	else
		[ $status = 0 ]
	fi
	echo >> "$TMP/survived"
}

while read -r name expected; do
	prove "$name is $expected" outcome "$name" "$expected"
done < "$TMP/list"
stop bomb KILL

# explode SECONDS: handshakes with one costly server after the other.
explode()
{
	local end=$(($(now) + $1 * 1000)) name
	for name in rsa-8192 slow-curve explicit-curves deep; do
		PKI=$TMP/bombs start_peer "bomb-$name" "$name"
		echo "$PORT"
	done > "$TMP/ports"
	while [ "$(now)" -lt "$end" ]; do
		while read -r PORT; do
			traffic_as "$CLIENT" --name bomb.example --no-resumption 127.0.0.1 "$PORT" echo 1 ||
				true # some are refused
			echo >> "$TMP/exploded"
		done < "$TMP/ports" > "$TMP/outcome"
	done
}

# p90 NAME: what nine of ten bytes took at most, in microseconds.
p90()
{
	last_said "$1" '^pulse' | sed 's/.*p90_us=\([0-9]*\).*/\1/'
}

# scheduled PID: nanoseconds that it has had a processor, and that it has waited for one.
scheduled()
{
	cut -d ' ' -f 1,2 "/proc/$1/schedstat"
}

# Nine of ten: the tenth may have met a machine that was busy with something else.
held_up()
{
	local name worker ran waited ran_before waited_before
	background same "$CLIENT" pulse --socket "$SOCKET" localhost "$ECHO"
	background other "$OTHER" pulse --socket "$SOCKET" localhost "$ECHO"
	wait_until 10 says same '^established'
	wait_until 10 says other '^established'
	worker=$(worker_pid "$CLIENT")
	read -r ran_before waited_before < <(scheduled "$worker")
	explode "$1"
	read -r ran waited < <(scheduled "$worker")
	for name in same other; do
		stop $name
		equal "$(exit_status $name 5)" 0
		last_said $name '^pulse' | sed "s/^/# $name user: /" | tee -a "$TMP/times"
	done
	# The other user's worker has nothing to do with it: it shows what the machine does by itself.
	[ "$(p90 other)" -lt $((MOST_US / 2)) ] || skip "this machine is too busy to measure it"
	# And this one's should not have to share its processor, or all that it does takes longer.
	echo "# its worker ran for $(((ran - ran_before) / 1000000)) ms, and had to wait for" \
		"$(((waited - waited_before) / 1000000)) ms" | tee -a "$TMP/times"
	[ "$(p90 same)" -lt $MOST_US ] || [ $(((waited - waited_before) * 5)) -lt $((ran - ran_before)) ] ||
		skip "this machine is too busy to measure it"
	tee -a "$TMP/tried" < "$TMP/exploded" > /dev/null
	[ "$(p90 same)" -lt $MOST_US ]
	tee -a "$TMP/survived" < "$TMP/exploded" > /dev/null
}
needs() { needs_plain_build && needs_root && held_up "$1"; }
prove "neither the same user's session nor another's waits 50 ms" \
	needs "$(if abuse_full; then echo 30; else echo 3; fi)"
cat "$TMP/times" 2> /dev/null
attacked servers "$(wc -l < "$TMP/tried")" "$(wc -l < "$TMP/survived")"

prove "it stops without leaving anything" stop_daemon
