#!/bin/bash
# Certificates and private keys that programs bring along.  Users: 61001 and 61002 may, 61003 may not,
# 61004 may until a reload says otherwise.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - keys of four users' programs: needs root"
	exit 0
fi

# ---- certificates: each user can read all of them ----

. "$(dirname "$0")/pairs.sh"
chmod 644 "$keys"/*.key

# configure [lines for the badge of 61004]
configure()
{
	write_conf <<-END
		badge "may" { match = { "uid:61001", "uid:61002" } }
		badge "may-not" {
			match           = { "uid:61003" }
			own-certificate = no
		}
		badge "fourth" {
			match = { "uid:61004" }
			${1-}
		}
	END
}
configure
start_daemon --config "$conf"

# ---- what a program sees ----

# says_own UID PORT FLAGS...: a session in which the server has asked for it, and got it.
says_own()
{
	local uid=$1 port=$2
	shift 2
	printf 'echo\n' | as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 \
		--no-resume -v "$@" "localhost:$port" > "$TMP/shown" 2>&1
	grep -q '^ *identity *(own)$' "$TMP/shown" && grep -Eqx 'echo|ohce' "$TMP/shown"
}

# shows UID PORT NAME [flags...]
shows()
{
	local uid=$1 port=$2 name=$3
	shift 3
	says_own "$uid" "$port" --cert "$keys/$name.pem" --key "$keys/$name.key" "$@"
}

start_openssl want good -CAfile "$PKI/root.pem" -Verify 4 -verify_return_error
want=$PORT
start_openssl never good
never=$PORT

every_kind()
{
	local name version
	for version in 1.3 1.2; do
		for name in $ALL; do
			shows 61001 "$want" "$name" --min-version $version --max-version $version
		done
	done
}
prove "every kind of key signs, in TLS 1.3 and 1.2, for openssl" every_kind

# DER; both in one file, in any order; and not shown to who does not ask.
forms()
{
	openssl x509 -in "$keys/rsa.pem" -outform DER -out "$keys/rsa.cer"
	openssl pkey -in "$keys/rsa.key" -outform DER -out "$keys/rsa.der"
	chmod 644 "$keys/rsa.der"
	says_own 61001 "$want" --cert "$keys/rsa.cer" --key "$keys/rsa.der"
	cat "$keys/chain.key" "$keys/chain.pem" > "$keys/both.pem"
	says_own 61001 "$want" --cert "$keys/both.pem" --key "$keys/both.pem"
	cat "$keys/chain.pem" "$keys/chain.key" > "$keys/both.pem"
	says_own 61001 "$want" --cert "$keys/both.pem" --key "$keys/both.pem"
	deny shows 61001 "$never" p256
	grep -q '^ *version' "$TMP/shown"
}
prove "in PEM and DER, also both in one file" forms

gnutls_asks()
{
	local name
	start_gnutls gnutls good --require-client-cert --verify-client-cert --x509cafile "$PKI/root.pem"
	for name in p256 p384 p521 rsa ed25519 chain; do
		shows 61001 "$PORT" "$name" --min-version 1.3
		shows 61001 "$PORT" "$name" --max-version 1.2
	done
	stop gnutls
}
prove "GnuTLS accepts them" gnutls_asks

nginx_asks()
{
	local name
	start_nginx web good "ssl_client_certificate $PKI/root.pem; ssl_verify_client on;
		ssl_verify_depth 3;
		location /whoami { return 200 'verified \$ssl_client_verify \$ssl_client_s_dn\\n'; }"
	for name in p256 rsa ed25519 chain; do
		printf 'GET /whoami HTTP/1.0\r\n\r\n' | as_uid 61002 tlsbroker-cli connect \
			--socket "$SOCKET" --cert "$keys/$name.pem" --key "$keys/$name.key" \
			"localhost:$PORT" > "$TMP/web.said" 2>&1
		grep -F "verified SUCCESS CN=client-$name" "$TMP/web.said"
	done
	stop web
}
prove "nginx sees who it is, by the chain as well" nginx_asks

audited()
{
	shows 61002 "$want" ed25519
	wait_until 5 logs 'session closed badge=may uid=61002 event=session.*identity=\(own\)'
}
prove "the audit record says that it was the program's own" audited

# ---- who may not ----

policy()
{
	is_refused 61003 "$want" 6 'own-certificate: a program may bring no certificate of its own (policy for may-not)' \
		--cert "$keys/p256.pem" --key "$keys/p256.key"
	as_uid 61003 tlsbroker-cli explain --socket "$SOCKET" "localhost:$want" > "$TMP/told"
	grep -E 'own-certificate.*no' "$TMP/told"
}
prove "own-certificate = no: refused, and explained" policy

# A server that would tell: nothing is sent to it before certificate and key are known to be good.
bad_pairs()
{
	local port before
	port=$(free_port)
	is_refused 61001 "$port" 2 'the private key that the program brought does not belong to its certificate' \
		--cert "$keys/p256.pem" --key "$keys/chain.key"
	is_refused 61001 "$port" 2 'does not belong to its certificate' \
		--cert "$keys/p256.pem" --key "$keys/rsa.key"
	openssl pkey -in "$keys/p256.key" -aes256 -passout pass:secret -out "$keys/locked.key"
	chmod 644 "$keys/locked.key"
	is_refused 61001 "$port" 2 'the private key that the program brought is protected by a passphrase' \
		--cert "$keys/p256.pem" --key "$keys/locked.key"
	openssl genpkey -out "$keys/other.key" -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
	chmod 644 "$keys/other.key"
	is_refused 61001 "$port" 2 'is on a curve other than P-256, P-384 and P-521' \
		--cert "$keys/p256.pem" --key "$keys/other.key"
	head -c -60 "$keys/p256.pem" > "$keys/cut.pem"
	printf '%s\n' '-----END CERTIFICATE-----' >> "$keys/cut.pem"
	is_refused 61001 "$port" 2 'the certificate that the program brought' \
		--cert "$keys/cut.pem" --key "$keys/p256.key"
	is_refused 61001 "$port" 2 'go together' --cert "$keys/p256.pem"
	is_refused 61001 "$port" 2 'no certificate' --cert "$keys/p256.key" --key "$keys/p256.key"
	is_refused 61001 "$port" 2 'not both' --identity x --cert "$keys/p256.pem" --key "$keys/p256.key"
	# What is good gets as far as the connection.
	is_refused 61001 "$port" 3 '' --cert "$keys/p256.pem" --key "$keys/p256.key"
	# The right key, but nobody's that the server knows.
	openssl req -x509 -key "$keys/p256.key" -subj /CN=nobody -days 2 -out "$keys/self.pem"
	is_refused 61001 "$want" 5 '' --cert "$keys/self.pem" --key "$keys/p256.key"
}
prove "what cannot be used is refused with its reason, before anything is dialled" bad_pairs

reloaded()
{
	local before
	mkfifo "$TMP/stays.in"
	background stays 61004 sh -c "exec tlsbroker-cli connect --socket '$SOCKET' -v --eof-wait never \
		--cert '$keys/rsa.pem' --key '$keys/rsa.key' 'localhost:$want' < '$TMP/stays.in'"
	exec 7> "$TMP/stays.in"
	wait_until 10 says stays '^ *identity'
	configure 'own-certificate = no'
	reload
	wait_until 10 says stays 'own-certificate: a program may bring none of its own any more'
	equal "$(exit_status stays 10)" 6
	exec 7>&-
	is_refused 61004 "$want" 6 'own-certificate: ' --cert "$keys/rsa.pem" --key "$keys/rsa.key"
	configure
	reload
	shows 61004 "$want" rsa
}
prove "a reload that forbids it ends the sessions that have one" reloaded

# ---- where the keys are ----

role_pids()
{
	ps -o pid=,args= --ppid "$(pid_of daemon)" | awk -v role="$1" '$3 == "-x" && $4 == role { print $1 }'
}

others()
{
	echo "$(pid_of daemon) $(role_pids frontdoor) $(role_pids connector) $(role_pids worker)"
}

all_keys()
{
	local name
	for name in $ALL; do
		echo "$keys/$name.key"
	done
}

# Handshakes that stand still: the server's process is stopped, its kernel goes on.
stand_still()
{
	local name
	start_openssl stalls good -CAfile "$PKI/root.pem" -Verify 4
	stalls=$PORT
	kill -STOP "$(pid_of stalls)"
	for name in $ALL; do
		background "still.$name" 61001 tlsbroker-cli connect --socket "$SOCKET" --timeout 100 \
			--cert "$keys/$name.pem" --key "$keys/$name.key" "localhost:$stalls"
	done
	all_lent() { [ "$(lent_now)" = "$(all_keys | wc -l)" ]; }
	wait_until 20 all_lent
}

# How many keys the keyholder has for programs: sessions that are connected, and not established.
lent_now()
{
	as_uid 61001 tlsbroker-cli sessions --socket "$SOCKET" | grep -c "connected .*:$stalls " || true
}

while_they_last()
{
	mapfile -t files < <(all_keys)
	stand_still
	deny keysearch "${files[@]}" -- "$(role_pids keyholder)" > "$TMP/found"
	for file in "${files[@]}"; do
		grep -F " $file " "$TMP/found" || return 1
	done
	# shellcheck disable=SC2046  # numbers
	keysearch "${files[@]}" -- $(others)
}
if [ "$SANDBOX" = enforce ]; then
	prove "case 40: while handshakes last, their keys are in the keyholder and in no other process of the daemon" \
		while_they_last
	# The library and the tool have overwritten theirs: a program may keep its own, this one does not.
	not_in_programs()
	{
		local name pids=''
		for name in $ALL; do
			pids="$pids $(pid_of "still.$name")"
		done
		mapfile -t files < <(all_keys)
		# shellcheck disable=SC2086  # numbers
		keysearch "${files[@]}" -- $pids
	}
	prove "nor in the programs that have handed them over, and were careful themselves" not_in_programs
else
	stand_still
fi

# ---- deaths ----

# Those with a lent key end, and say why; those that are established go on; the next ones work.
keyholder_dies()
{
	local name before
	another() { [ -n "$(role_pids keyholder)" ] && [ "$(role_pids keyholder)" != "$before" ]; }
	start_peer echo good
	witness lives 61002 localhost "$PORT" echo 0
	before=$(role_pids keyholder)
	kill -KILL "$before"
	for name in $ALL; do
		equal "$(exit_status "still.$name" 10)" 7
		says "still.$name" "the broker's keyholder died, and with it the private key that the program brought; try again"
	done
	wait_until 5 another
	shows 61001 "$want" rsa
	lives lives
	ends_well lives
	stop echo
	kill -CONT "$(pid_of stalls)"
	stop stalls
}
prove "case 43: the keyholder is killed: handshakes with programs' keys end, all else goes on" keyholder_dies

# What was lent is given back: none of it is left anywhere.
nothing_is_left()
{
	local i name
	mapfile -t files < <(all_keys)
	for ((i = 0; i < 3; i++)); do
		for name in $ALL; do
			shows 61001 "$want" "$name"
		done
	done
	# shellcheck disable=SC2046  # numbers
	keysearch "${files[@]}" -- $(others) "$(role_pids keyholder)"
}
if [ "$SANDBOX" = enforce ]; then
	prove "case 40: after the handshakes no process of the daemon has a byte of them" nothing_is_left
fi

# More than there may be at once, of two users: each is served in the end.
many()
{
	local i pids=()
	for ((i = 0; i < 2 * $(limit LENT); i++)); do
		as_uid $((61001 + i % 2)) tlsbroker-cli connect --socket "$SOCKET" --no-resume -v \
			--eof-wait 0 --cert "$keys/rsa.pem" --key "$keys/rsa.key" "localhost:$want" \
			> "$TMP/many.$i" 2>&1 < /dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	equal "$(grep -l '^ *identity *(own)$' "$TMP"/many.* | wc -l)" $((2 * $(limit LENT)))
}
prove "more handshakes at once than keys may be lent: all of them get their turn" many

prove "the daemon ends, and leaves nothing" stop_daemon
