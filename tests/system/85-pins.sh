#!/bin/bash
# Pins: a badge's and a program's, in files, by the library and by the tool.
# Three users: 61001 has none, 61002 those of the server and 61003 those of somebody else.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - pins of three users: needs root"
	exit 0
fi

# pin CERTIFICATE: as one gets it without us.
pin()
{
	printf 'sha256/'
	openssl x509 -in "$PKI/$1" -noout -pubkey | openssl pkey -pubin -outform DER |
		openssl dgst -sha256 -binary | base64
}

leaf=$(pin good.crt)
middle=$(pin intermediate.crt)
root=$(pin root.crt)
stranger=$(pin other-root.crt)
start_openssl peer good

write_conf <<-END
	badge "free" {
		match = { "uid:61001" }
	}
	badge "pinned" {
		match = { "uid:61002" }
		pins  = { "$stranger", "$middle" }
	}
	badge "wrong" {
		match          = { "uid:61003" }
		pins           = { "$stranger" }
		allow-insecure = yes
	}
END
start_daemon --config "$conf"

# connects UID [flags...]: a verified session.
connects()
{
	local uid=$1
	shift
	as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 "$@" "localhost:$PORT" \
		2> "$TMP/told" < /dev/null
}

# unpinned UID WHOSE [flags...]: refused for want of a pinned key.
unpinned()
{
	local uid=$1 whose=$2
	shift 2
	expect 4 connects "$uid" "$@"
	grep -F "the certificate of localhost has none of the keys that $whose has pinned" "$TMP/told"
}

own()
{
	local good
	connects 61001
	for good in "$leaf" "$middle" "$root"; do
		connects 61001 --pin "$good"
		connects 61001 --pin "${good#sha256/}"
		connects 61001 --pin "$stranger" --pin "$good"
	done
	unpinned 61001 'the program' --pin "$stranger"
	logs 'uid=61001 event=session .*outcome=ok pins=ok bytes_read'
	logs 'uid=61001 event=session .*outcome=CERT_PIN step=verify pins=failed bytes_read'
	connects 61001 # nothing of it stays
	logs 'uid=61001 event=session .*outcome=ok bytes_read'
}
prove "a program's pins: of the leaf, the CA between, the root; one of them suffices" own

unusable()
{
	expect 2 connects 61001 --pin sha256/xyz
	grep -F -- '--pin must be sha256/' "$TMP/told"
}
prove "a pin that is none is a mistake" unusable

both()
{
	connects 61002
	connects 61002 --pin "$leaf"
	unpinned 61002 'the program' --pin "$stranger"
	unpinned 61003 "the broker's policy"
	unpinned 61003 "the broker's policy" --pin "$leaf"
}
prove "a badge's pins hold besides the program's" both

floor()
{
	connects 61002 --ca "$PKI/root.pem"
	unpinned 61003 "the broker's policy" --ca "$PKI/root.pem"
	unpinned 61003 "the broker's policy" --insecure
	says daemon 'uid=61003 event=session .*outcome=CERT_PIN step=verify pins=failed '
	deny says daemon 'uid=61003 event=session .*pins=ok'
}
prove "they are a floor: with an own CA, and without verification" floor

insecure()
{
	write_conf <<-END
		allow-insecure = yes
		badge "free" {
			match = { "uid:61001" }
		}
		badge "pinned" {
			match = { "uid:61002" }
			pins  = { "$middle" }
		}
		badge "key" {
			match = { "uid:61003" }
			pins  = { "$leaf" }
		}
	END
	reload 'trust bundle'
	unpinned 61002 "the broker's policy" --insecure
	connects 61002
	connects 61003 --insecure
	connects 61001 --insecure --pin "$leaf"
	unpinned 61001 'the program' --insecure --pin "$middle"
}
prove "without verification it is the server's own key, and no other" insecure

resumption()
{
	connects 61002
	write_conf <<-END
		badge "pinned" {
			match = { "uid:61002" }
			pins  = { "$stranger" }
		}
	END
	reload 'trust bundle'
	unpinned 61002 "the broker's policy"
}
prove "a session that could be resumed is not, when the pins have changed" resumption

checked()
{
	printf 'badge x { match = any\npins = { "sha256/AAAA", "%s" } }\n' "$leaf" > "$TMP/etc/bad"
	expect 1 tlsbrokerd --user nobody -n --config "$TMP/etc/bad" 2>&1 |
		grep -F 'bad:2: pins: "sha256/AAAA" is not sha256/ and the base64 of a SHA-256'
	tlsbrokerd --user nobody -T --config "$conf" | grep -F "pins = { \"$stranger\" }"
}
prove "-n says which pin is none, and -T prints them" checked

prove "it stops without leaving anything" stop_daemon
