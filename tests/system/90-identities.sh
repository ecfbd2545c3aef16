#!/bin/bash
# Identities: client certificates whose keys are the keyholder's, with servers that want them.  Four
# users: 61001 may use all, 61002 one, 61003 none; 61004 comes and goes with the configuration.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - identities of four users: needs root"
	exit 0
fi

# ---- certificates ----

. "$(dirname "$0")/pairs.sh"
for_the_daemon "$keys"/*.key

# new_identity NAME ISSUER [genpkey options]: another one, of which the daemon may read the key.
new_identity()
{
	new_pair "$@"
	for_the_daemon "$keys/$1.key"
}

identities()
{
	local name
	for name in $ALL; do
		printf 'identity "%s" { certificate = "%s" key = "%s" }\n' "$name" \
			"$keys/$name.pem" "$keys/$name.key"
	done
}

configure()
{
	{
		identities
		cat <<-END
			badge "all" {
				match      = { "uid:61001" }
				identities = { p256, p384, p521, rsa, pss, ed25519, chain }
			}
			badge "one" {
				match      = { "uid:61002" }
				identities = { rsa }
			}
			badge "none" { match = { "uid:61003" } }
			badge "fourth" {
				match      = { "uid:61004" }
				identities = { $1 }
			}
		END
	} | write_conf
}
configure p256
start_daemon --config "$conf"

# ---- what a program sees ----

# shows UID PORT IDENTITY [flags...]: a session in which the server has asked for it, and got it.
shows()
{
	local uid=$1 port=$2 identity=$3
	shift 3
	printf 'echo\n' | as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 \
		--no-resume -v --identity "$identity" "$@" "localhost:$port" > "$TMP/shown" 2>&1
	grep -q "^ *identity *$identity$" "$TMP/shown" && grep -Eqx 'echo|ohce' "$TMP/shown"
}

start_openssl want good -CAfile "$PKI/root.pem" -Verify 4 -verify_return_error
want=$PORT
start_openssl may good -CAfile "$PKI/root.pem" -verify 4
may=$PORT
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

optional()
{
	shows 61001 "$may" p256
	# Nobody asked for it, so nobody saw it.
	deny shows 61001 "$never" p256
	grep -q '^ *version' "$TMP/shown"
	# A server that insists says so to those who show nothing.
	is_refused 61001 "$want" 5 'the server wants a certificate'
}
prove "optional and required by the server; not asked for, not shown" optional

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

# get PORT IDENTITY: what nginx says of who asks.
get()
{
	printf 'GET /whoami HTTP/1.0\r\n\r\n' | as_uid 61001 tlsbroker-cli connect --socket "$SOCKET" \
		--identity "$2" "localhost:$1" 2>&1
}

nginx_asks()
{
	local name
	start_nginx web good "ssl_client_certificate $PKI/root.pem; ssl_verify_client on;
		ssl_verify_depth 3;
		location /whoami { return 200 'verified \$ssl_client_verify \$ssl_client_s_dn\\n'; }"
	for name in p256 rsa ed25519 chain; do
		get "$PORT" "$name" > "$TMP/web.said"
		grep -F "verified SUCCESS CN=client-$name" "$TMP/web.said"
	done
	stop web
}
prove "nginx sees who it is, by the chain as well" nginx_asks

# ---- who may use which ----

grants()
{
	shows 61002 "$want" rsa
	is_refused 61002 "$want" 6 'identities: the program has none of the name that it asks for (policy for one)' \
		--identity p256
	is_refused 61003 "$want" 6 'identities: the program has none' --identity rsa
	# One that is not there, and one that is another's: the same answer.
	is_refused 61003 "$want" 6 'identities: the program has none' --identity no-such
	shows 61004 "$want" p256
}
prove "each badge has its own identities and no others" grants

reloaded()
{
	configure rsa
	reload
	shows 61004 "$want" rsa
	is_refused 61004 "$want" 6 'identities: the program has none' --identity p256
	# The same name with another key.
	mv "$keys/rsa.key" "$keys/rsa.key.old"
	new_identity rsa root -algorithm EC -pkeyopt ec_paramgen_curve:P-256
	reload
	shows 61004 "$want" rsa
	shows 61002 "$want" rsa
	# A bad one: nothing changes.
	cp "$keys/p384.key" "$keys/rsa.key"
	reload 'the old configuration is kept'
	logs 'key: .*/rsa.key does not belong to the certificate'
	shows 61004 "$want" rsa
}
prove "a reload gives, takes, and replaces identities; a bad one changes nothing" reloaded

resumption()
{
	configure rsa
	new_identity rsa root -algorithm RSA -pkeyopt rsa_keygen_bits:2048
	reload
	# What was resumed under one identity is not offered under another.
	for _ in 1 2; do
		printf 'echo\n' | as_uid 61001 tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v \
			--identity p256 "localhost:$want" > "$TMP/shown" 2>&1
	done
	grep -q 'resumed *yes' "$TMP/shown"
	printf 'echo\n' | as_uid 61001 tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v \
		--identity p384 "localhost:$want" > "$TMP/shown" 2>&1
	grep -q 'resumed *no' "$TMP/shown"
}
prove "a session is resumed under its own identity only" resumption

# ---- where the keys are ----

role_pids()
{
	ps -o pid=,args= --ppid "$(pid_of daemon)" | awk -v role="$1" '$3 == "-x" && $4 == role { print $1 }'
}

all_keys()
{
	local name
	for name in $ALL; do
		echo "$keys/$name.key"
	done
}

# nowhere_else: case 40.
nowhere_else()
{
	local pids
	mapfile -t files < <(all_keys)
	pids="$(pid_of daemon) $(role_pids frontdoor) $(role_pids connector) $(role_pids worker)"
	# shellcheck disable=SC2086  # numbers
	keysearch "${files[@]}" -- $pids > "$TMP/search"
	# That what is searched for can be found: the keyholder has them.
	deny keysearch "${files[@]}" -- "$(role_pids keyholder)" > "$TMP/found"
	for file in "${files[@]}"; do
		grep -F " $file " "$TMP/found" || return 1
	done
}

after_handshakes()
{
	local i name
	for ((i = 0; i < 5; i++)); do
		for name in $ALL; do
			shows 61001 "$want" "$name"
		done
	done
	nowhere_else
}
if [ "$SANDBOX" = enforce ]; then
	prove "case 40: no private key is in any process's memory but the keyholder's" after_handshakes
fi

# A client that stays, so that its memory can be searched as well.
client_is_clean()
{
	mapfile -t files < <(all_keys)
	mkfifo "$TMP/never"
	background stays 61001 sh -c "exec tlsbroker-cli connect --socket '$SOCKET' -v \
		--no-resume --identity p256 'localhost:$want' < '$TMP/never'"
	exec 9> "$TMP/never"
	wait_until 10 says stays '^ *identity'
	keysearch "${files[@]}" -- "$(pid_of stays)"
	exec 9>&-
	stop stays TERM
}
if [ "$SANDBOX" = enforce ]; then
	prove "nor in the program's" client_is_clean
fi

# ---- deaths ----

# Case 43, for the keyholder.  Handshakes that wait for its signature go on with the next one; sessions
# that are open notice nothing.
keyholder_dies()
{
	local i j before pids
	another() { [ -n "$(role_pids keyholder)" ] && [ "$(role_pids keyholder)" != "$before" ]; }
	start_peer echo good
	witness lives 61003 localhost "$PORT" echo 0
	for ((i = 0; i < 5; i++)); do
		before=$(role_pids keyholder)
		pids=()
		for j in 1 2 3 4; do
			as_uid 61001 tlsbroker-cli connect --socket "$SOCKET" --no-resume -v \
				--eof-wait 0 --identity rsa "localhost:$want" \
				> "$TMP/burst.$j" 2>&1 < /dev/null &
			pids+=($!)
		done
		kill -KILL "$before"
		for j in "${pids[@]}"; do
			wait "$j"
		done
		wait_until 5 another
		shows 61001 "$want" rsa
	done
	logs 'keyholder.*died, and is started again'
	lives lives
	ends_well lives
	stop echo
}
prove "case 43: the keyholder is killed in the middle of handshakes, which go on; so does all else" keyholder_dies

# ---- files ----

# is_wrong TEXT: the configuration is not good, for this reason.
is_wrong()
{
	deny tlsbrokerd -n --config "$conf" --user nobody > "$TMP/checked" 2>&1
	grep -F "$1" "$TMP/checked"
}

# with_identity CERTIFICATE KEY
with_identity()
{
	write_conf <<-END
		identity "x" { certificate = "$1" key = "$2" }
	END
}

bad_files()
{
	with_identity "$keys/p256.pem" "$keys/p256.key"
	tlsbrokerd -n --config "$conf" --user nobody
	with_identity "$keys/p256.pem" "$keys/p384.key"
	is_wrong 'p384.key does not belong to the certificate'
	cp "$keys/p256.key" "$keys/open.key"
	chmod 644 "$keys/open.key"
	with_identity "$keys/p256.pem" "$keys/open.key"
	is_wrong 'open.key may be read by everybody, and so is no secret'
	openssl pkey -in "$keys/p256.key" -aes256 -passout pass:secret -out "$keys/locked.key"
	for_the_daemon "$keys/locked.key"
	with_identity "$keys/p256.pem" "$keys/locked.key"
	is_wrong 'locked.key is protected by a passphrase'
	with_identity "$keys/p256.key" "$keys/p256.key"
	is_wrong 'has no certificate in it'
	with_identity "$keys/p256.pem" "$keys/nothing.key"
	is_wrong 'nothing.key No such file or directory'
	head -c -40 "$keys/chain.pem" > "$keys/cut.pem"
	with_identity "$keys/cut.pem" "$keys/chain.key"
	is_wrong 'cut.pem has a damaged certificate in it'
	with_identity "$keys/p256.pem" "credential:x"
	tlsbrokerd -n --config "$conf" --user nobody
	echo 'identities = { pp256 }' >> "$conf"
	is_wrong 'identities: there is no identity "pp256"'
	openssl pkey -in "$keys/p384.key" -outform DER -out "$keys/p384.der"
	for_the_daemon "$keys/p384.der"
	with_identity "$keys/p384.pem" "$keys/p384.der"
	tlsbrokerd -n --config "$conf" --user nobody
}
prove "files of keys and certificates that cannot be used, each with its reason" bad_files

prove "the daemon ends, and leaves nothing" stop_daemon

# ---- credentials ----

credentials()
{
	mkdir "$TMP/credentials"
	cp "$keys/p256.key" "$TMP/credentials/client.key"
	chmod 400 "$TMP/credentials/client.key"
	chown -R nobody "$TMP/credentials"
	write_conf <<-END
		identities = { x }
		identity "x" { certificate = "$keys/p256.pem" key = "credential:client.key" }
	END
	DAEMON_PREFIX=(env CREDENTIALS_DIRECTORY="$TMP/credentials")
	start_daemon --config "$conf"
	DAEMON_PREFIX=()
	shows 61001 "$want" x
	stop_daemon
	launch_daemon without --config "$conf"
	equal "$(exit_status without 10)" 1
	says without 'credential:client.key is not there: systemd has passed no credentials'
}
prove "a key from systemd's credentials" credentials
