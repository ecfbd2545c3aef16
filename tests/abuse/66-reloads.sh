#!/bin/bash
# Reloads without end, each of which changes something for somebody, while sessions of four users go on:
# nothing is left behind, in any process.  A thousand with "make abuse", some dozens without a word.
# Tags: alone
# Limit: 600 s
. "$(dirname "$0")/../system/lib.sh"

if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ]; then
	prove "reloads" skip "needs root, for other users, and no sanitizers"
	exit 0
fi

COUNT=$(if abuse_full; then echo 1000; else echo 40; fi)
start_peer peer good
pin=sha256/$(openssl x509 -in "$PKI/root.crt" -noout -pubkey | openssl pkey -pubin -outform DER |
	openssl dgst -sha256 -binary | base64)

# configured N: no two in a row are the same, and all of them let the sessions go on.
configured()
{
	local i
	{
		echo "max-sessions = $((1000 + $1 % 7))"
		for i in 1 2 3 4; do
			echo "badge \"user$i\" {"
			echo "match = { \"uid:6100$i\", \"uid:$((70000 + $1))\" }"
			[ $((($1 + i) % 2)) = 0 ] || echo "pins = { \"$pin\" }"
			[ $((($1 + i) % 3)) = 0 ] || echo "destinations = { \"localhost:*\" } private = yes"
			[ $((($1 + i) % 5)) = 0 ] || echo "trust = \"$TMP/etc/ca-$((($1 + i) % 3)).pem\""
			echo '}'
		done
		# One that nobody has comes and goes.
		[ $(($1 % 4)) = 0 ] || echo "badge \"gone$1\" { match = \"uid:$((80000 + $1))\" }"
	} | write_conf
}

mkdir -p "$TMP/etc"
for i in 0 1 2; do
	cat "$PKI/root.pem" "$PKI/other-root.pem" > "$TMP/etc/ca-$i.pem"
done
configured 0
start_daemon --config "$conf"
for i in 1 2 3 4; do
	load "load$i" 6100$i --sessions 5 localhost "$PORT" echo 0
done

# held: for each process of the daemon, by its role and user, its pid and its descriptors.
held()
{
	local pid
	for pid in $(pid_of daemon) $(pgrep -P "$(pid_of daemon)"); do
		echo "$pid $(count_fds "$pid")"
	done | sort
}

# Of all of them together, in KiB.
memory()
{
	local pid sum=0
	for pid in $(pid_of daemon) $(pgrep -P "$(pid_of daemon)"); do
		sum=$((sum + $(private_kb "$pid")))
	done
	echo $sum
}

all_live()
{
	local i
	for i in 1 2 3 4; do lives "load$i"; done
}

reloads()
{
	local n before kb
	for n in {1..10}; do # what is cached once is no leak
		configured "$n"
		reload 'trust bundle 1: '
	done
	before=$(held)
	kb=$(memory)
	for ((n = 11; n <= COUNT + 10; n++)); do
		configured "$n"
		reload 'trust bundle 1: '
	done
	all_live
	nothing_more() { [ "$(held)" = "$before" ]; }
	wait_until 10 nothing_more || diff <(echo "$before") <(held)
	echo "$kb KiB before, $(memory) after"
	[ "$(memory)" -lt $((kb + 4096)) ]
}
prove "$COUNT reloads under load: the same processes with the same descriptors, and no memory more" \
	reloads
attacked faults "$COUNT" "$COUNT"

ends()
{
	local i
	for i in 1 2 3 4; do ends_well "load$i"; done
}
prove "no session has lost a byte" ends
prove "it stops without leaving anything" stop_daemon
