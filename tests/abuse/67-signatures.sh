#!/bin/bash
# Case 42, from outside: one user floods the keyholder through its worker, with handshakes for a key
# whose signatures are slow, as many at once as it can; another user gets its signatures meanwhile, each
# right, since the server verifies them.  10,000 of them at full length.  The same with hashes that it has
# signed by a key that it has imported.
# Limit: 900 s
. "$(dirname "$0")/../system/lib.sh"

AT_ONCE=50
COUNT=150
abuse_full && COUNT=10000

if [ -z "$ROOT" ]; then
	prove "case 42: signatures while another user floods" skip "needs root, for two users"
	exit 0
fi

keys=$TMP/keys
mkdir "$keys"

# new_identity NAME [genpkey options]
new_identity()
{
	local name=$1
	shift
	openssl genpkey -out "$keys/$name.key" "$@" 2> /dev/null
	openssl req -new -key "$keys/$name.key" -subj "/CN=$name" -out "$keys/$name.csr"
	openssl x509 -req -in "$keys/$name.csr" -CA "$PKI/root.crt" -CAkey "$PKI/root.key" -days 2 \
		-out "$keys/$name.pem" 2> /dev/null
	chmod 640 "$keys/$name.key"
	chown root:nogroup "$keys/$name.key"
}
new_identity slow -algorithm RSA -pkeyopt rsa_keygen_bits:4096
new_identity quick -algorithm EC -pkeyopt ec_paramgen_curve:P-256

start_peer wants good --clients-from "$PKI/root.pem"
wants=$PORT
start_peer theirs good --clients-from "$PKI/root.pem"
theirs=$PORT
write_conf <<-END
	identity "slow" { certificate = "$keys/slow.pem" key = "$keys/slow.key" }
	identity "quick" { certificate = "$keys/quick.pem" key = "$keys/quick.key" }
	badge "flood" {
		match      = { "uid:61001" }
		identities = { slow }
	}
	badge "other" {
		match      = { "uid:61002" }
		identities = { quick }
	}
	badge "root" { match = "user:root" }
END
start_daemon --config "$conf"

# handshakes COUNT: by user 61002, each with a signature, some at once.  Prints how long a thousand
# of them would take, in ms.
handshakes()
{
	local left begin
	begin=$(now)
	for ((left = $1; left > 0; left -= AT_ONCE)); do
		traffic_as 61002 --identity quick --no-resumption --sessions $AT_ONCE \
			localhost "$theirs" echo 1 > "$TMP/handshakes" || return 1
		grep -q "^done ok=$AT_ONCE failed=0 " "$TMP/handshakes" || return 1
	done
	echo $((($(now) - begin) * 1000 / $1))
}

signatures()
{
	status '.counters.signatures'
}

alone()
{
	handshakes $COUNT > "$TMP/alone"
	[ "$(signatures)" -ge $COUNT ]
}
prove "case 42: $COUNT signatures, nobody disturbs" alone

flood()
{
	local i
	# shellcheck disable=SC2016  # expands in the inner shell
	for i in 1 2 3; do
		background "flood$i" 61001 bash -c 'while traffic "$@" > /dev/null; do :; done' flood \
			--socket "$SOCKET" --identity slow --no-resumption --sessions 64 \
			localhost "$wants" echo 1
	done
	busy() { [ "$(signatures)" -gt $((COUNT + 64)) ]; }
	wait_until 30 busy
}
prove "case 42: one user floods the keyholder through its worker" flood

besides()
{
	local before floods
	before=$(signatures)
	handshakes $COUNT > "$TMP/besides"
	floods=$(($(signatures) - before - COUNT))
	echo "$floods" > "$TMP/floods"
	lives flood1
	lives flood2
	lives flood3
	[ "$floods" -gt 0 ]
	equal "$(status '.counters.signatures_refused')" 0
}
prove "case 42: another user's $COUNT signatures meanwhile, each of them right" besides
if [ -s "$TMP/besides" ]; then
	echo "# 1000 sessions with a signature: $(cat "$TMP/alone") ms alone, $(cat "$TMP/besides") ms" \
		"while $(cat "$TMP/floods") signatures were made for a flood"
	attacked messages "$(cat "$TMP/floods")" "$(cat "$TMP/floods")"
fi
for i in 1 2 3; do stop flood$i KILL; done

# The same with hashes, by a key that the program has imported.
hashes()
{
	status '.counters.hashes_signed'
}

flood_of_hashes()
{
	local i key
	install -o 61001 -m 600 "$keys/slow.key" "$keys/imported.key"
	key=$(as_uid 61001 tlsbroker-cli keys --socket "$SOCKET" import "$keys/imported.key")
	sha256sum "$keys/slow.pem" > "$TMP/hash"
	# shellcheck disable=SC2016  # expands in the inner shell
	for i in 1 2 3 4 5 6; do
		background "flood$i" 61001 bash -c 'while tlsbroker-cli keys --socket "$0" sign "$1" < "$2" \
			> /dev/null; do :; done' "$SOCKET" "$key" "$TMP/hash"
	done
	busy() { [ "$(hashes)" -gt 20 ]; }
	wait_until 30 busy
}
prove "case 42: one user has hashes signed without end" flood_of_hashes

besides_hashes()
{
	local before
	before=$(hashes)
	handshakes $COUNT > "$TMP/besides"
	echo $(($(hashes) - before)) > "$TMP/floods"
	for i in 1 2 3 4 5 6; do lives flood$i; done
	[ "$(cat "$TMP/floods")" -gt 0 ]
	equal "$(status '.counters.signatures_refused')" 0
}
prove "case 42: another user's $COUNT signatures meanwhile, each of them right" besides_hashes
if [ -s "$TMP/besides" ]; then
	echo "# 1000 sessions with a signature: $(cat "$TMP/besides") ms while $(cat "$TMP/floods") hashes were" \
		"signed for a flood"
	attacked messages "$(cat "$TMP/floods")" "$(cat "$TMP/floods")"
fi
for i in 1 2 3 4 5 6; do stop flood$i KILL; done
prove "it stops without leaving anything" stop_daemon
