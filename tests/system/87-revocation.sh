#!/bin/bash
# Revocation lists, as openssl ca makes them: every CA in a server's chain needs one that is valid.
# Three users: 61001 has lists, 61002 others, 61003 none.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - revocation lists of three users: needs root"
	exit 0
fi

# list CA FILE [openssl-ca options...]: a list of that CA, with what revoke has put on it.
list()
{
	local ca=$1 file=$2
	shift 2
	openssl ca -config "$TMP/$ca.conf" -gencrl -cert "$PKI/$ca.crt" -keyfile "$PKI/$ca.key" \
		-out "$file" "$@" 2>> "$TMP/openssl.log"
}

revoke()
{
	openssl ca -config "$TMP/$1.conf" -revoke "$PKI/$2.crt" -cert "$PKI/$1.crt" \
		-keyfile "$PKI/$1.key" 2>> "$TMP/openssl.log"
}

for ca in root intermediate; do
	: > "$TMP/$ca.txt"
	echo "unique_subject = no" > "$TMP/$ca.txt.attr"
	printf '[ca]\ndefault_ca = x\n[x]\ndatabase = %s\ndefault_md = sha256\ndefault_crl_days = 9\n' \
		"$TMP/$ca.txt" > "$TMP/$ca.conf"
	list $ca "$TMP/$ca.crl"
done
cat "$TMP/root.crl" "$TMP/intermediate.crl" > "$TMP/both.crl"
cp "$TMP/both.crl" "$TMP/all.crl"
cp "$TMP/intermediate.crl" "$TMP/part.crl"
start_openssl peer good
good=$PORT
start_openssl peer2 good-rsa
other=$PORT
start_peer echo good
echoes=$PORT
start_peer echo2 good-rsa
other_echoes=$PORT

write_conf <<-END
	badge "lists" {
		match          = { "uid:61001" }
		crl            = "$TMP/all.crl"
		allow-insecure = yes
	}
	badge "part" {
		match = { "uid:61002" }
		crl   = "$TMP/part.crl"
	}
	badge "none" { match = { "uid:61003" } }
END
start_daemon --config "$conf"

# refused UID PORT WORDS [flags...]: because of the server's certificate.
refused()
{
	is_refused "$1" "$2" 4 "${@:3}"
}

whole()
{
	connects_as 61001 "$good"
	connects_as 61001 "$other"
	connects_as 61001 "$good" --ca "$PKI/root.pem"
	connects_as 61003 "$good"
	logs 'uid=61001 event=session .*outcome=ok crl=ok bytes_read'
	logs 'uid=61003 event=session .*outcome=ok bytes_read'
}
prove "lists of all CAs, and nothing on them: verified" whole

part()
{
	refused 61002 "$good" 'there is no revocation list of its CA'
	refused 61002 "$good" 'there is no revocation list of its CA' --ca "$PKI/root.pem"
	logs 'uid=61002 event=session .*outcome=CERT_REVOCATION step=verify crl=failed '
}
prove "one CA without a list: refused, also with a CA of the program's own" part

revoked()
{
	connects_as 61001 "$good"
	witness kept 61001 localhost "$other_echoes" echo 0
	witness lost 61001 localhost "$echoes" echo 0
	revoke intermediate good
	list intermediate "$TMP/intermediate.crl"
	cat "$TMP/root.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	reload 'trust bundle'
	refused 61001 "$good" 'was revoked'
	logs 'uid=61001 event=session .*outcome=CERT_REVOKED step=verify crl=revoked '
	connects_as 61001 "$other"
	connects_as 61001 "$good" --insecure
	connects_as 61003 "$good"
	equal "$(exit_status lost 10)" 1
	says lost "errno=EACCES .*text=crl: the server's certificate was revoked"
	lives kept
	ends_well kept
}
prove "one that is on the list: refused, not resumed, and what it has is ended; others go on" revoked

authority()
{
	revoke root intermediate
	list root "$TMP/root2.crl"
	cat "$TMP/root2.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	reload 'trust bundle'
	refused 61001 "$other" 'was revoked'
	cat "$TMP/root.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	reload 'trust bundle'
	connects_as 61001 "$other"
}
prove "a CA that is on the list of its own: refused" authority

times()
{
	list root "$TMP/old.crl" -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z
	cat "$TMP/old.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	reload 'trust bundle'
	refused 61001 "$other" "its CA's revocation list has expired"
	list root "$TMP/new.crl" -crl_lastupdate 20400101000000Z -crl_nextupdate 20400201000000Z
	cat "$TMP/new.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	reload 'trust bundle'
	refused 61001 "$other" "its CA's revocation list is not valid yet"
}
prove "a list that has expired, or is not valid yet, is none" times

forged()
{
	openssl ca -config "$TMP/root.conf" -gencrl -cert "$PKI/root.crt" -keyfile "$PKI/root.key" \
		-out "$TMP/forged.pem" 2>> "$TMP/openssl.log"
	openssl crl -in "$TMP/forged.pem" -outform DER -badsig -out "$TMP/forged.der"
	openssl crl -inform DER -in "$TMP/forged.der" -out "$TMP/forged.crl"
	cat "$TMP/forged.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	reload 'trust bundle'
	refused 61001 "$other" "its CA's revocation list has a wrong signature"
}
prove "a list with a wrong signature is none" forged

der()
{
	cat "$TMP/root.crl" "$TMP/intermediate.crl" > "$TMP/all.crl"
	openssl crl -in "$TMP/root.crl" -outform DER -out "$TMP/part.crl"
	reload 'revocation lists: 1, 0 unusable'
	refused 61002 "$good" 'there is no revocation list of its CA'
	connects_as 61001 "$other"
}
prove "one list in DER is read" der

unusable()
{
	local file
	for file in "$PKI/root.pem" /dev/null "$TMP/absent"; do
		printf 'crl = "%s"\n' "$file" > "$TMP/etc/bad"
		expect 1 tlsbrokerd --user nobody -n --config "$TMP/etc/bad" > "$TMP/checked" 2>&1
		grep -F "bad:1: crl: $file: " "$TMP/checked"
	done
	: > "$TMP/part.crl"
	reload 'old configuration is kept'
	logs 'crl: .*part.crl: there is no usable revocation list in it'
	connects_as 61001 "$other"
}
prove "a file without a list is an error, and all of the old is kept" unusable

prove "it stops without leaving anything" stop_daemon
