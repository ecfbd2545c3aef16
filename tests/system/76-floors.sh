#!/bin/bash
# What each badge demands of TLS: version, ciphers, trust, verification.  A program may raise it and
# never lower it.  Four users: 61001 to 61004.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - floors of four users: needs root"
	exit 0
fi

start_openssl old good -tls1_2
old=$PORT
start_openssl new good -tls1_3
new=$PORT
start_openssl lab unknown-ca
lab=$PORT
mkdir "$TMP/etc"
cp "$PKI/other-root.pem" "$TMP/etc/lab-ca.pem"

write_conf <<-END
	min-version = TLSv1.3
	own-ca      = no
	badge "strict" {
		match   = { "uid:61001" }
		ciphers = TLS_AES_128_GCM_SHA256
	}
	badge "old" {
		match       = { "uid:61002" }
		min-version = TLSv1.2
		ciphers     = { ECDHE-ECDSA-AES128-GCM-SHA256 }
	}
	badge "lab" {
		match       = { "uid:61003" }
		trust       = "$TMP/etc/lab-ca.pem"
		min-version = TLSv1.2
	}
	badge "loose" {
		match          = { "uid:61004" }
		min-version    = TLSv1.2
		own-ca         = yes
		allow-insecure = yes
	}
END
start_daemon --config "$conf"

# connects UID PORT [flags...]: a verified session.
connects()
{
	local uid=$1 port=$2
	shift 2
	as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v "$@" \
		"localhost:$port" > "$TMP/connected" 2>&1 < /dev/null
}

# refuses UID PORT TEXT [flags...]: with EACCES, in these words; nothing was sent.
refuses()
{
	local uid=$1 port=$2 text=$3
	shift 3
	expect 6 as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" "$@" "localhost:$port" \
		> "$TMP/told" 2>&1 < /dev/null
	grep -F "$text" "$TMP/told"
}

versions()
{
	connects 61001 "$new"
	deny connects 61001 "$old"
	refuses 61001 "$new" 'min-version: the floor is TLS 1.3; a program may ask for no less (policy for strict)' \
		--min-version 1.2
	refuses 61001 "$new" 'min-version: the floor is TLS 1.3' --max-version 1.2
	connects 61003 "$lab" --min-version 1.3
	connects 61004 "$old"
	connects 61004 "$new"
	deny connects 61004 "$old" --min-version 1.3
}
prove "min-version: raised by a program, never lowered" versions

ciphers()
{
	connects 61001 "$new"
	grep -q TLS_AES_128_GCM_SHA256 "$TMP/connected"
	refuses 61001 "$new" 'ciphers: one that the program asks for may not be used (policy for strict)' \
		--ciphers TLS_AES_256_GCM_SHA384
	connects 61002 "$old"
	deny connects 61002 "$new"
	refuses 61002 "$new" 'ciphers: there is none for TLS 1.3' --min-version 1.3
}
prove "ciphers: fewer by a program, never others" ciphers

trust()
{
	connects 61003 "$lab"
	deny connects 61003 "$old"
	connects 61004 "$old"
	deny connects 61004 "$lab"
}
prove "trust: each badge its own" trust

own_ca()
{
	refuses 61001 "$new" 'own-ca: a program may bring no CA certificates of its own' \
		--ca "$PKI/root.pem"
	refuses 61003 "$lab" 'own-ca: ' --ca "$PKI/other-root.pem"
	connects 61004 "$lab" --ca "$PKI/other-root.pem"
}
prove "own-ca: where it may, and nowhere else" own_ca

insecure()
{
	local uid
	for uid in 61001 61002 61003; do
		refuses "$uid" "$new" "allow-insecure: the server's certificate has to be verified" \
			--insecure
	done
	connects 61004 "$lab" --insecure
}
prove "allow-insecure: where it may, and nowhere else" insecure

kept()
{
	cp "$conf" "$TMP/etc/good"
	rm "$TMP/etc/lab-ca.pem"
	reload 'old configuration is kept'
	logs "tlsbroker.conf:1[0-9]: trust: $TMP/etc/lab-ca.pem"
	connects 61003 "$lab"
	cp "$PKI/root.pem" "$TMP/etc/lab-ca.pem"
	reload 'trust bundle'
	deny connects 61003 "$lab"
	connects 61003 "$new"
}
prove "case 46: one badge's bundle that is missing keeps all of the old; another one takes effect" kept

contradiction()
{
	write_conf <<-END
		badge "strict" {
			match       = { "uid:61001" }
			min-version = TLSv1.3
			ciphers     = ECDHE-ECDSA-AES128-GCM-SHA256
		}
	END
	expect 1 tlsbrokerd --user nobody -n --config "$conf" 2>&1 |
		grep -F "$conf:5: ciphers: none of them can be used with TLSv1.3 in badge strict"
}
prove "-n sees that a badge could not have a session at all" contradiction

prove "it stops without leaving anything" stop_daemon
