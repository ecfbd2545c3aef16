#!/bin/bash
# SIGHUP: a new trust bundle for new sessions, none of the old ones dropped; a bad one changes nothing.
# Tags: unprivileged
. "$(dirname "$0")/lib.sh"

cp "$PKI/root.pem" "$TMP/trust.pem"
start_daemon --trust "$TMP/trust.pem"
start_peer good good
good=$PORT
start_peer unknown unknown-ca
unknown=$PORT

# What the lines say in part.
LOADED='trust.*(load|index|bundle)' KEPT='(kept|keep|old|previous)'

accepted()
{
	expect 0 traffic_as "$CLIENT" localhost "$1" echo 100
}

refused()
{
	expect 4 client "localhost:$1" < /dev/null
}

prove "at first the one root is trusted, the other is not" accepted "$good"
prove "the other root is not" refused "$unknown"
load load "$CLIENT" --sessions 20 localhost "$good" echo 0

more_trust()
{
	cat "$PKI/root.pem" "$PKI/other-root.pem" > "$TMP/trust.new"
	mv "$TMP/trust.new" "$TMP/trust.pem"
	reload "$LOADED"
	wait_until 3 accepted "$unknown"
	accepted "$good"
	lives load
}
prove "a bundle with one root more: it is trusted" more_trust

less_trust()
{
	cp "$PKI/root.pem" "$TMP/trust.pem"
	reload "$LOADED"
	wait_until 3 refused "$unknown"
	accepted "$good"
	lives load
}
prove "a bundle with one root less: it is not, even for a session that could be resumed" less_trust

damaged_trust()
{
	{
		cat "$PKI/root.pem"
		sed '3s/^..../AAAA/' "$PKI/other-root.pem"
	} > "$TMP/trust.pem"
	reload 'WARNING .*trust bundle [0-9]+: 1 certificates, 1 unusable'
	accepted "$good"
	refused "$unknown"
	lives load
	cp "$PKI/root.pem" "$TMP/trust.pem"
	reload 'NOTICE .*trust bundle [0-9]+: 1 certificates, 0 unusable'
}
prove "a bundle with one that is damaged: a warning, and the others are trusted" damaged_trust

bad_bundle()
{
	"$@"
	reload "$KEPT"
	accepted "$good"
	refused "$unknown"
	lives load
	cp "$PKI/root.pem" "$TMP/trust.pem"
}
prove "an empty bundle: the old one stays" bad_bundle truncate -s 0 "$TMP/trust.pem"
prove "one that is far too large: the old one stays" bad_bundle truncate -s 20M "$TMP/trust.pem"
prove "a bundle of garbage: the old one stays" bad_bundle cp "$PKI/good.key" "$TMP/trust.pem"
prove "a missing bundle: the old one stays" bad_bundle rm "$TMP/trust.pem"

often()
{
	local worker fds
	worker=$(worker_pid "$CLIENT")
	[ -z "$ROOT" ] || fds=$(count_fds "$worker")
	for _ in {1..20}; do
		reload "$LOADED"
	done
	lives load
	# Who has just gone may still have had some of those before.
	no_more_fds() { [ "$(count_fds "$worker")" -le "$fds" ]; }
	[ -z "$ROOT" ] || wait_until 5 no_more_fds
	equal "$(worker_pid "$CLIENT")" "$worker"
}
prove "twenty reloads under load leave no descriptor behind" often

prove "the load went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
