#!/bin/bash
# Certificates that must be refused: each with its own code, a line a person can act on, and nothing
# of the program's data sent.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon

# Codes of enum tlsb_error, include/tlsbroker.h.
declare -A codes=([NAME]=61 [ADDRESS]=62 [EXPIRED]=63 [NOT_YET]=64 [SELF_SIGNED]=65
	[UNKNOWN_CA]=66 [INCOMPLETE]=67 [PURPOSE]=68 [WEAK]=69 [CONSTRAINT]=70 [SIGNATURE]=71)

# refused CODE HOST [traffic options]: by the server at $PORT, which is called peer.
refused()
{
	local code=$1 host=$2 line text
	: > "$TMP/peer.out"
	expect 1 traffic_as "$CLIENT" "$host" "$PORT" echo 1000 > "$TMP/refused"
	cat "$TMP/refused"
	line=$(grep '^failed' "$TMP/refused")
	grep -q " op=handshake errno=EKEYREJECTED code=$code " <<< "$line"
	text=${line##*text=}
	[ ${#text} -gt 20 ]
	expect 4 client "$host:$PORT" < /dev/null
	wait_until 2 says peer '^(refused|end)'
	# What the server saw of the program's data.
	deny says peer 'read=[1-9]'
}

# A row: CERTIFICATE CODE HOST what is wrong with it
while read -r certificate code host sentence; do
	for version in 1.2 1.3; do
		start_peer peer "$certificate" --tls $version
		prove "TLS $version: $sentence" refused "${codes[$code]}" "$host"
		stop peer KILL
	done
done <<-END
	wrong-name       NAME        localhost  the certificate is for another name
	wrong-address    ADDRESS     127.0.0.1  the certificate is for another IP address
	common-name      NAME        localhost  the name stands only in the subject
	partial-wildcard NAME        localhost  the name is matched only by bad wildcards
	expired          EXPIRED     localhost  the certificate has expired
	not-yet          NOT_YET     localhost  the certificate is not yet valid
	self-signed      SELF_SIGNED localhost  the certificate is self-signed
	unknown-ca       UNKNOWN_CA  localhost  the certificate's CA is unknown
	wrong-purpose    PURPOSE     localhost  the certificate is not one for servers
	no-authority     PURPOSE     localhost  the certificate was issued by what is no CA
	weak-key         WEAK        localhost  the certificate's key is too short
	weak-digest      WEAK        localhost  the certificate is signed with SHA-1
	incomplete       INCOMPLETE  localhost  the intermediate certificate was not sent
	constraint       CONSTRAINT  localhost  the name lies outside its CA's name constraints
	bad-signature    SIGNATURE   localhost  one bit of the certificate's signature is wrong
END

says_what_helps()
{
	start_peer peer "$1"
	expect 1 traffic_as "$CLIENT" "${4:-localhost}" "$PORT" echo 1 > "$TMP/refused"
	cat "$TMP/refused"
	grep -Eiq "text=.*$2" "$TMP/refused"
	[ -z "${3-}" ] || grep -Eiq "text=.*$3" "$TMP/refused"
	stop peer KILL
}
prove "the text for a wrong name says for which names the certificate is" \
	says_what_helps wrong-name other.test localhost
prove "the text for a wrong address says which it is" \
	says_what_helps wrong-address '192\.0\.2\.7|127\.0\.0\.1' '' 127.0.0.1
prove "the text for an expired certificate says since when" \
	says_what_helps expired "$(date -u -d '1 day ago' +%Y)" 'expired'
prove "the text for an unknown CA names it" says_what_helps unknown-ca other-root

many_refusals()
{
	needs_plain_build
	start_peer peer expired
	expect 1 traffic_as "$CLIENT" --sessions 200 localhost "$PORT" echo 1 > "$TMP/refused"
	equal "$(grep -c "code=${codes[EXPIRED]} " "$TMP/refused")" 200
	equal "$(status '.counters.sessions')" 0
}
prove "two hundred refusals at once leave no session behind" many_refusals

prove "it stops without leaving anything" stop_daemon
