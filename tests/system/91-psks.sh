#!/bin/bash
# Pre-shared keys, with servers that know them, and with servers that do not.  Four users: 61001 may use
# sensor and other, 61002 one, 61003 none and may bring none; 61004 comes and goes with the configuration.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - pre-shared keys of four users: needs root"
	exit 0
fi

# ---- keys ----

keys=$TMP/keys
mkdir "$keys"
DAEMON_USER=${DAEMON_USER-nogroup}

# new_psk NAME: $keys/NAME.psk, another one each time.
new_psk()
{
	openssl rand -hex 32 > "$keys/new"
	chmod 640 "$keys/new"
	chown "root:$DAEMON_USER" "$keys/new"
	mv "$keys/new" "$keys/$1.psk"
}
new_psk sensor
new_psk other
# A program's own, that it may read.
new_psk own
chown 61001 "$keys/own.psk"

key()
{
	cat "$keys/$1.psk"
}

CIPHERS='TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, ECDHE-RSA-AES128-GCM-SHA256,
	ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-PSK-CHACHA20-POLY1305'

configure()
{
	write_conf <<-END
		psk "sensor" { identity = "sensor 7 %n" key = "$keys/sensor.psk" }
		psk "other"  { identity = "other"       key = "$keys/other.psk" }
		badge "all" {
			match   = { "uid:61001" }
			psks    = { sensor, other }
			ciphers = { $CIPHERS, PSK-AES128-GCM-SHA256 }
		}
		badge "one" {
			match   = { "uid:61002" }
			psks    = { other }
		}
		badge "none" {
			match   = { "uid:61003" }
			own-psk = no
		}
		badge "fourth" {
			match   = { "uid:61004" }
			psks    = { $1 }
		}
	END
}
configure sensor
start_daemon --config "$conf"

# ---- what a program sees ----

# connects UID PORT [flags...]
connects()
{
	local uid=$1 port=$2
	shift 2
	printf 'echo\n' | as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v "$@" \
		"localhost:$port" > "$TMP/shown" 2>&1
}

# knows UID PORT PSK [flags...]: a session in which the server is known by its key, and by nothing else.
knows()
{
	local uid=$1 port=$2 psk=$3
	shift 3
	connects "$uid" "$port" --psk "$psk" "$@"
	grep -q "^ *psk *$psk$" "$TMP/shown" && grep -Eqx 'echo|ohce' "$TMP/shown" &&
		! grep -q '^ *certificate' "$TMP/shown" && grep -q '^ *resumed *no' "$TMP/shown"
}

# verifies UID PORT [flags...]: one in which it is known by its certificate.
verifies()
{
	connects "$@"
	grep -q '^ *certificate *CN=good' "$TMP/shown" && ! grep -q '^ *psk' "$TMP/shown"
}

# start_bare NAME [options...]: s_server without a certificate.
start_bare()
{
	local name=$1
	shift
	background "$name" - openssl s_server -accept 127.0.0.1:0 -nocert -rev "$@"
	wait_until 5 says "$name" '^ACCEPT'
	PORT=$(last_said "$name" '^ACCEPT' | sed 's/.*://')
}

start_openssl sensor good -psk "$(key sensor)" -psk_identity 'sensor 7 %n'
sensor=$PORT
start_bare bare -psk "$(key other)" -psk_identity other
bare=$PORT
start_openssl plain good
plain=$PORT

both_versions()
{
	local version
	for version in 1.3 1.2; do
		knows 61001 "$sensor" sensor --max-version $version --min-version $version
		knows 61001 "$bare" other --max-version $version --min-version $version
		knows 61002 "$bare" other --max-version $version --min-version $version
	done
	knows 61001 "$sensor" sensor --ciphers PSK-AES128-GCM-SHA256 --max-version 1.2
	grep -q '^ *cipher *PSK-AES128-GCM-SHA256' "$TMP/shown"
	# Without forward secrecy is for those whose administrator names it.
	is_refused 61002 "$bare" 6 'ciphers: one that the program asks for may not be used' \
		--psk other --ciphers PSK-AES128-GCM-SHA256 --max-version 1.2
	logs 'event=session .*server=localhost.*cipher=ECDHE-PSK-CHACHA20-POLY1305 resumed=0 psk=other outcome=ok'
}
prove "openssl is known by its key, in TLS 1.3 and 1.2, and the audit record says so" both_versions

gnutls()
{
	local version
	printf 'other:%s\n' "$(key other)" > "$TMP/passwd"
	start_gnutls gnutls good --pskpasswd "$TMP/passwd" \
		--priority NORMAL:+PSK:+ECDHE-PSK:+DHE-PSK
	for version in 1.3 1.2; do
		knows 61001 "$PORT" other --max-version $version --min-version $version
	done
	grep -q '^ *cipher *ECDHE-PSK-CHACHA20-POLY1305' "$TMP/shown"
	stop gnutls
}
prove "so is GnuTLS" gnutls

own()
{
	local version
	start_bare own -psk "$(key own)" -psk_identity 'its own'
	for version in 1.3 1.2; do
		connects 61001 "$PORT" --psk 'its own' --psk-file "$keys/own.psk" --max-version $version
		grep -q '^ *psk *its own' "$TMP/shown"
	done
	is_refused 61001 "$PORT" 2 'holds no key of 16 to 64 bytes in hexadecimal digits' \
		--psk x --psk-file /dev/null
	is_refused 61001 "$PORT" 2 '--psk-file needs --psk' --psk-file "$keys/own.psk"
	stop own
}
prove "a program brings a key of its own" own

# ---- servers that have it not ----

another_key()
{
	local version
	start_bare wrong -psk "$(openssl rand -hex 32)" -psk_identity other
	for version in 1.3 1.2; do
		is_refused 61001 "$PORT" 5 'did not take the pre-shared key other' --psk other \
			--max-version $version
	done
	start_bare wrong -tls1_3 -psk "$(key other)" -psk_identity another
	is_refused 61001 "$PORT" 5 'did not take the pre-shared key other' --psk other
	printf 'another:%s\n' "$(key other)" > "$TMP/passwd"
	start_gnutls wrong good --pskpasswd "$TMP/passwd" --priority NORMAL:+PSK:+ECDHE-PSK
	for version in 1.3 1.2; do
		is_refused 61001 "$PORT" 5 'did not take the pre-shared key other' --psk other \
			--max-version $version
	done
	stop wrong
}
prove "a server with another key, or that does not know it, is refused, and the error names it" another_key

certificates()
{
	local version
	for version in 1.3 1.2; do
		verifies 61001 "$plain" --psk other --max-version $version
		start_openssl bad wrong-name
		is_refused 61001 "$PORT" 4 'not for localhost' --psk other --max-version $version
		start_openssl bad unknown-ca
		is_refused 61001 "$PORT" 4 'not trusted here' --psk other --max-version $version
	done
	# It has the key, and chooses another suite.
	start_openssl bad unknown-ca -psk "$(key other)" -psk_identity other -tls1_2 \
		-cipher ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256
	is_refused 61001 "$PORT" 4 'not trusted here' --psk other
	stop bad
}
prove "a server that shows a certificate instead is verified by it, as ever" certificates

# ---- who may use which ----

grants()
{
	is_refused 61002 "$sensor" 6 'psks: the program has none of the name that it asks for (policy for one)' \
		--psk sensor
	is_refused 61003 "$sensor" 6 'psks: the program has none' --psk sensor
	# One that is not there, and one that is another's: the same answer.
	is_refused 61003 "$sensor" 6 'psks: the program has none' --psk no-such
	cp "$keys/own.psk" "$keys/third.psk"
	chown 61003 "$keys/third.psk"
	is_refused 61003 "$sensor" 6 'own-psk: a program may bring no pre-shared key of its own' \
		--psk x --psk-file "$keys/third.psk"
	knows 61004 "$sensor" sensor
	as_uid 61004 tlsbroker-cli explain --socket "$SOCKET" "localhost:$sensor" > "$TMP/explained"
	grep -Eq '^ *psks +sensor ' "$TMP/explained" && grep -Eq '^ *own-psk +yes ' "$TMP/explained"
}
prove "each badge has its own keys and no others" grants

# ---- resumption ----

resumption()
{
	local i
	for ((i = 0; i < 3; i++)); do
		knows 61001 "$sensor" sensor --max-version 1.2
		knows 61001 "$sensor" sensor
	done
	verifies 61001 "$plain"
	verifies 61001 "$plain"
	grep -q '^ *resumed *yes' "$TMP/shown" # that it could be seen
	verifies 61001 "$plain" --psk other
	grep -q '^ *resumed *no' "$TMP/shown"
	verifies 61001 "$plain" --psk other
	grep -q '^ *resumed *no' "$TMP/shown"
}
prove "what a key has to do with is not resumed" resumption

# ---- where the keys are ----

role_pids()
{
	ps -o pid=,args= --ppid "$(pid_of daemon)" | awk -v role="$1" '$3 == "-x" && $4 == role { print $1 }'
}

# nowhere_else [PIDS...]: case 38.
nowhere_else()
{
	local file files=("$keys/sensor.psk" "$keys/other.psk" "$keys/own.psk")
	# shellcheck disable=SC2046  # numbers
	keysearch "${files[@]}" -- $(pid_of daemon) $(role_pids frontdoor) $(role_pids connector) \
		$(role_pids worker) "$@" > "$TMP/search"
	# That what is searched for can be found: the keyholder has them.
	deny keysearch "${files[@]}" -- "$(role_pids keyholder)" > "$TMP/found"
	for file in "$keys/sensor.psk" "$keys/other.psk"; do
		grep -F " $file " "$TMP/found" || return 1
	done
	deny grep -F own.psk "$TMP/found"
}

# Sessions that stay, by the key and by a certificate, so that their worker and programs can be searched.
never=$TMP/never
mkfifo "$never"
stays()
{
	local name=$1 port=$2
	shift 2
	background "$name" 61001 sh -c "exec tlsbroker-cli connect --socket '$SOCKET' -v $* \
		'localhost:$port' < '$never'"
}
open_sessions()
{
	local version name
	exec 8<> "$never"
	for version in 1.2 1.3; do
		start_openssl "a$version" good -psk "$(key sensor)" -psk_identity 'sensor 7 %n'
		stays "known$version" "$PORT" --psk sensor --max-version $version
		start_openssl "b$version" good
		stays "verified$version" "$PORT" --psk sensor --max-version $version
	done
	for name in known1.2 verified1.2 known1.3 verified1.3; do
		wait_until 10 says "$name" '^ *verified'
	done
	nowhere_else "$(pid_of known1.2)" "$(pid_of verified1.2)" "$(pid_of known1.3)" \
		"$(pid_of verified1.3)"
	exec 8>&-
	for name in known1.2 verified1.2 known1.3 verified1.3; do
		stop "$name" TERM
	done
	deny grep -Ff "$keys/sensor.psk" "$TMP/daemon.out"
	deny grep -Ff "$keys/own.psk" "$TMP/daemon.out"
}
if [ "$SANDBOX" = enforce ]; then
	prove "case 38: no key is in any process's memory but the keyholder's, nor in the log, whatever the server did" \
		open_sessions
fi

# Case 38: not known, and not granted, look alike; what a program calls a key is text.
odd_names()
{
	local long
	long=$(printf 'x%.0s' {1..65536})
	is_refused 61001 "$plain" 2 'must be 1 to 63 letters' --psk '%n%n%s'
	is_refused 61001 "$plain" 2 'must be 1 to 63 letters' --psk "$long"
	is_refused 61001 "$plain" 2 'must be 1 to 128 bytes' --psk "$long" --psk-file "$keys/own.psk"
	is_refused 61001 "$plain" 2 'must be 1 to 128 bytes' --psk $'a\nb' --psk-file "$keys/own.psk"
	verifies 61001 "$plain" --psk '%n%n%s' --psk-file "$keys/own.psk"
	as_uid 61002 tlsbroker-cli connect --socket "$SOCKET" --psk sensor "localhost:$plain" \
		> "$TMP/granted" 2>&1 < /dev/null || true
	as_uid 61002 tlsbroker-cli connect --socket "$SOCKET" --psk no-such "localhost:$plain" \
		> "$TMP/known" 2>&1 < /dev/null || true
	cmp "$TMP/granted" "$TMP/known"
}
prove "case 38: names that are long, or of odd bytes, and one answer for what is not there and not granted" \
	odd_names

# ---- changes ----

# A session of 61004's that is known by its key, and one of 61001's beside it.
reloaded()
{
	exec 8<> "$never"
	start_openssl a good -psk "$(key sensor)" -psk_identity 'sensor 7 %n'
	background ends 61004 sh -c "exec tlsbroker-cli connect --socket '$SOCKET' -v --psk sensor \
		'localhost:$PORT' < '$never'"
	start_openssl b good -psk "$(key sensor)" -psk_identity 'sensor 7 %n'
	stays stays "$PORT" --psk sensor
	wait_until 10 says ends '^ *psk'
	wait_until 10 says stays '^ *psk'
	configure other
	reload
	equal "$(exit_status ends 10)" 6
	says ends 'psks: the one by which the server is known is not this badge'
	knows 61004 "$bare" other
	is_refused 61004 "$sensor" 6 'psks: the program has none' --psk sensor
	deny test -f "$TMP/stays.status"
	exec 8>&-
	stop stays TERM
	# A bad one: nothing changes.
	echo secret > "$keys/other.psk"
	reload 'the old configuration is kept'
	logs 'key: .*/other.psk has no pre-shared key in it'
}
prove "a reload that takes a key away ends its sessions with EACCES, and no others; a bad one changes nothing" \
	reloaded

picked_up()
{
	logs 'a file that changed cannot be used, and the old one is kept error=.*other.psk has no pre-shared key'
	knows 61001 "$bare" other
	new_psk other
	logs 'a pre-shared key is new psk=other'
	is_refused 61001 "$bare" 5 'did not take the pre-shared key other' --psk other
	start_bare bare2 -psk "$(key other)" -psk_identity other
	knows 61001 "$PORT" other
}
prove "a key's file that is replaced is picked up, once it is good" picked_up

keyholder_dies()
{
	local before
	before=$(role_pids keyholder)
	another() { [ -n "$(role_pids keyholder)" ] && [ "$(role_pids keyholder)" != "$before" ]; }
	kill -KILL "$before"
	wait_until 5 another
	knows 61001 "$sensor" sensor
	knows 61001 "$sensor" sensor --max-version 1.2
}
prove "case 43: a keyholder that was killed is followed by one that has the keys" keyholder_dies

# ---- files ----

# is_wrong TEXT: the configuration is not good, for this reason.
is_wrong()
{
	deny tlsbrokerd -n --config "$conf" --user nobody > "$TMP/checked" 2>&1
	grep -F "$1" "$TMP/checked"
}

with_key()
{
	write_conf <<-END
		psk "x" { identity = "x" key = "$1" }
	END
}

bad_files()
{
	with_key "$keys/sensor.psk"
	tlsbrokerd -n --config "$conf" --user nobody
	cp "$keys/sensor.psk" "$keys/open.psk"
	chmod 644 "$keys/open.psk"
	with_key "$keys/open.psk"
	is_wrong 'open.psk may be read by everybody, and so is no secret'
	echo 00112233 > "$keys/short.psk"
	chmod 640 "$keys/short.psk"
	chown "root:$DAEMON_USER" "$keys/short.psk"
	with_key "$keys/short.psk"
	is_wrong 'short.psk has a key of less than 16 bytes in it, which could be tried out'
	with_key "$keys/nothing.psk"
	is_wrong 'nothing.psk No such file or directory'
	with_key "credential:x"
	tlsbrokerd -n --config "$conf" --user nobody
	echo 'psks = { y }' >> "$conf"
	is_wrong 'psks: there is no psk "y"'
	with_key "$keys/sensor.psk"
	tlsbrokerd -T --config "$conf" --user nobody > "$TMP/dumped"
	grep -F 'psk "x" {' "$TMP/dumped"
	deny grep -Ff "$keys/sensor.psk" "$TMP/dumped"
}
prove "files of keys that cannot be used, each with its reason; -T prints no key" bad_files

prove "the daemon ends, and leaves nothing" stop_daemon

credentials()
{
	mkdir "$TMP/credentials"
	cp "$keys/sensor.psk" "$TMP/credentials/sensor.psk"
	chmod 400 "$TMP/credentials/sensor.psk"
	chown -R nobody "$TMP/credentials"
	write_conf <<-END
		psks = { x }
		psk "x" { identity = "sensor 7 %n" key = "credential:sensor.psk" }
	END
	DAEMON_PREFIX=(env CREDENTIALS_DIRECTORY="$TMP/credentials")
	start_daemon --config "$conf"
	DAEMON_PREFIX=()
	knows 61001 "$sensor" x
	stop_daemon
}
prove "a key from systemd's credentials" credentials
