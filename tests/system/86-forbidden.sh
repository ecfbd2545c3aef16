#!/bin/bash
# A reload that forbids what some sessions do ends these, with EACCES and a line in the log; all others
# go on and lose no byte.  Two users: 61001 loses one thing after the other, 61002 nothing.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - two users' sessions: needs root"
	exit 0
fi

start_peer old good --tls 1.2
old=$PORT
start_peer good good
PIN=sha256/$(openssl x509 -in "$PKI/root.crt" -noout -pubkey | openssl pkey -pubin -outform DER |
	openssl dgst -sha256 -binary | base64)
OTHER_PIN=sha256/$(openssl x509 -in "$PKI/other-root.crt" -noout -pubkey |
	openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64)
cp "$PKI/root.pem" "$TMP/ca.pem"

# configured [line]...: with these lines in the first user's badge; a line of no words is what it has
# anyway, and "gone" takes the badge away.
configured()
{
	{
		[ "$1" = gone ] || printf 'badge "first" { match = "uid:61001"\ntrust = "%s"\n%s\n}\n' \
			"$TMP/ca.pem" "$(printf '%s\n' "$@")"
		echo 'badge "second" { match = "uid:61002"'
		echo "destinations = { \"localhost:$PORT\" } private = yes }"
	} | write_conf
}

configured ''
start_daemon --config "$conf"
witness bystander 61002 --sessions 10 localhost "$PORT" echo 0

# A session of the first user's, resumed or not, that lives.
begin()
{
	local flags=("$@")
	configured ''
	reload 'trust bundle'
	before=$(wc -l < "$TMP/daemon.out")
	witness first 61001 "${flags[@]}" localhost "$PORT" echo 0
	reload 'trust bundle'
	lives first
}

# logs_since LINES REGEX: such a line stands behind so many others.
logs_since()
{
	tail -n "+$(($1 + 1))" "$TMP/daemon.out" | grep -Eq -- "$2"
}

# ended WORDS: with EACCES, and the log says so; the second user's go on.
ended()
{
	equal "$(exit_status first 10)" 1
	says first "errno=EACCES .*text=$1"
	wait_until 5 logs_since "$before" "NOTICE worker.*$1.*badge=first.*outcome=POLICY"
	lives bystander
}

# forbids WORDS LINES...: a reload with these lines.
forbids()
{
	local words=$1
	shift
	begin
	configured "$@"
	reload 'trust bundle'
	ended "$words"
}

prove "another address: its session ends" forbids \
	'destinations: badge first may not be connected to localhost' 'destinations = { "127.9.9.9:*" }'
prove "another port: it ends" forbids 'destinations: ' \
	"destinations = { \"localhost:$((PORT + 1))\" }" 'private = yes'
prove "a name that may not lead inside any more: it ends" forbids 'destinations: ' \
	"destinations = { \"localhost:$PORT\" }"
prove "other pins: it ends" forbids 'pins: ' "pins = { \"$OTHER_PIN\" }"

kept()
{
	begin
	configured "destinations = { \"127.0.0.0/8:*\", \"[::1]:*\" }" "pins = { \"$PIN\" }" \
		'min-version = TLSv1.3'
	reload 'trust bundle'
	reload 'trust bundle'
	lives first
	ends_well first
	lives bystander
}
prove "all that is still allowed goes on, whatever else has changed" kept

version()
{
	configured ''
	reload 'trust bundle'
	before=$(wc -l < "$TMP/daemon.out")
	witness first 61001 localhost "$old" echo 0
	configured 'min-version = TLSv1.3'
	reload 'trust bundle'
	ended 'min-version: '
}
prove "a version that is too low now: it ends" version

root_gone()
{
	begin
	cp "$PKI/other-root.pem" "$TMP/ca.pem"
	reload 'trust bundle'
	ended 'trust: '
	cp "$PKI/root.pem" "$TMP/ca.pem"
}
prove "a root that is not in the bundle any more: it ends, resumed or not" root_gone

own_ca()
{
	begin --ca "$PKI/root.pem"
	configured 'own-ca = no'
	reload 'trust bundle'
	ended 'own-ca: '
}
prove "a CA of the program's own, where there may be none any more: it ends" own_ca

badge_gone()
{
	begin
	configured gone
	reload 'its badge has gone'
	ended 'badge: it is not in the configuration any more'
}
prove "the badge is gone: it ends" badge_gone

back()
{
	begin
	ends_well first
}
prove "with the old configuration all is as before" back

connector_dies()
{
	needs_plain_build
	begin
	kill -STOP "$(role_pid connector)"
	configured 'destinations = { "127.9.9.9:*" }'
	reload 'trust bundle'
	lives first
	kill -KILL "$(role_pid connector)"
	ended 'destinations: '
}
prove "a connector that died before it had the rules: the next one has them" connector_dies

prove "who was not meant has lost nothing through all of that" ends_well bystander
prove "it stops without leaving anything" stop_daemon
