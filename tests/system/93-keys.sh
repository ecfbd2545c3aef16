#!/bin/bash
# Keys that programs import, to sign and to verify hashes.  Users: 61001 and 61002 have the same badge, with
# an identity; 61003 may have no keys, 61004 two, until a reload says otherwise.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - keys of four users: needs root"
	exit 0
fi

# ---- keys: each user can read all of them ----

keys=$TMP/keys
mkdir "$keys"

# new_key NAME [genpkey options]: NAME.key, NAME.pub.
new_key()
{
	local name=$1
	shift
	openssl genpkey -out "$keys/$name.key" "$@" 2> /dev/null
	openssl pkey -in "$keys/$name.key" -pubout -out "$keys/$name.pub"
	chmod 644 "$keys/$name.key"
}
new_key p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
new_key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
new_key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
new_key rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
new_key rsa3072 -algorithm RSA -pkeyopt rsa_keygen_bits:3072
new_key ed25519 -algorithm ED25519
new_key weak -algorithm RSA -pkeyopt rsa_keygen_bits:1024
openssl req -x509 -key "$keys/p256.key" -subj /CN=shown -days 2 -out "$keys/shown.pem"
install -o root -g nogroup -m 640 "$keys/p256.key" "$keys/shown.key"
echo "what is signed" > "$keys/data"
echo "something else" > "$keys/other"

# configure [lines for the badge of 61004]
configure()
{
	write_conf <<-END
		identity "shown" { certificate = "$keys/shown.pem" key = "$keys/shown.key" }
		badge "may" { match = { "uid:61001", "uid:61002" } identities = { shown } }
		badge "none" { match = { "uid:61003" } max-keys = 0 }
		badge "few" { match = { "uid:61004" } ${1-max-keys = 2} }
	END
}
configure
start_daemon --config "$conf"

# ---- what a user does ----

# keys_of UID [verb...]
keys_of()
{
	local uid=$1
	shift
	as_uid "$uid" tlsbroker-cli keys --socket "$SOCKET" "$@"
}

# import UID FILE: prints its number.
import()
{
	keys_of "$1" import "$keys/$2"
}

# sign UID KEY BITS [flags...]: the signature of the data to $TMP/signature.
sign()
{
	local uid=$1 key=$2 bits=$3
	shift 3
	"sha${bits}sum" "$keys/data" | keys_of "$uid" sign "$key" "$@" > "$TMP/signature"
}

# verify UID KEY BITS FILE [flags...]: of $TMP/signature.
verify()
{
	local uid=$1 key=$2 bits=$3 file=$4
	shift 4
	"sha${bits}sum" "$keys/$file" | keys_of "$uid" verify "$key" --signature "$TMP/signature" "$@"
}

# openssl_verifies NAME BITS [dgst flags...]: $TMP/signature.
openssl_verifies()
{
	local name=$1 bits=$2
	shift 2
	openssl dgst "-sha$bits" -verify "$keys/$name.pub" -signature "$TMP/signature" "$@" "$keys/data"
}

# is_refused STATUS TEXT COMMAND...
is_refused()
{
	local status=$1 text=$2
	shift 2
	expect "$status" "$@" > "$TMP/told" 2>&1 < /dev/null
	grep -F -e "$text" "$TMP/told"
}

role_pids()
{
	ps -o pid=,args= --ppid "$(pid_of daemon)" | awk -v role="$1" '$3 == "-x" && $4 == role { print $1 }'
}

# The fingerprint of NAME's public half.
pin_of()
{
	echo "sha256/$(openssl pkey -pubin -in "$keys/$1.pub" -outform DER | openssl dgst -sha256 -binary |
		base64)"
}

PSS="-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"

every_kind_signs()
{
	local name bits key
	for name in p256 p384 p521 rsa rsa3072; do
		key=$(import 61001 "$name.key")
		for bits in 256 384 512; do
			case $name in
			rsa*)
				sign 61001 "$key" $bits
				# shellcheck disable=SC2086  # words
				openssl_verifies "$name" $bits $PSS
				deny openssl_verifies "$name" $bits
				sign 61001 "$key" $bits --padding pkcs1
				openssl_verifies "$name" $bits
				;;
			*)
				sign 61001 "$key" $bits
				openssl_verifies "$name" $bits
				;;
			esac
		done
		keys_of 61001 destroy "$key"
	done
}
prove "every kind of key signs every hash, for openssl" every_kind_signs

# With a public key alone, too.
every_kind_verifies()
{
	local name half bits key flags pad
	for name in p256 p384 p521 rsa; do
		for half in key pub; do
			key=$(import 61001 "$name.$half")
			for bits in 256 384 512; do
				for pad in pss pkcs1; do
					flags=
					[ "$name.$pad" != rsa.pss ] || flags=$PSS
					# shellcheck disable=SC2086  # words
					openssl dgst -sha$bits -sign "$keys/$name.key" $flags \
						-out "$TMP/signature" "$keys/data"
					verify 61001 "$key" $bits data --padding $pad
					expect 1 verify 61001 "$key" $bits other --padding $pad
				done
			done
			keys_of 61001 destroy "$key"
		done
	done
}
prove "and verifies what openssl has signed, and nothing else; so does a public key alone" every_kind_verifies

# DER, old forms, and a file with a certificate in front.
forms()
{
	local key
	openssl pkey -in "$keys/rsa.key" -outform DER -out "$keys/rsa.der"
	openssl pkey -in "$keys/rsa.key" -traditional -out "$keys/rsa.old"
	openssl pkey -in "$keys/p256.key" -pubout -outform DER -out "$keys/p256.pubder"
	cat "$keys/shown.pem" "$keys/p256.key" > "$keys/both"
	chmod 644 "$keys"/*.der "$keys"/*.old "$keys/both"
	for key in rsa.der rsa.old both; do
		key=$(import 61001 $key)
		sign 61001 "$key" 256
		keys_of 61001 destroy "$key"
	done
	openssl_verifies p256 256
	key=$(import 61001 p256.pubder)
	verify 61001 "$key" 256 data
	keys_of 61001 destroy "$key"
}
prove "keys may be PEM or DER" forms

what_is_no_key()
{
	is_refused 2 "less than 2048 bits" import 61001 weak.key
	is_refused 2 "less than 2048 bits" import 61001 weak.pub
	is_refused 2 "signs messages and no hashes" import 61001 ed25519.key
	is_refused 2 "is no key" import 61001 data
	is_refused 2 "is no key" import 61001 shown.pem
	openssl pkey -in "$keys/rsa.key" -aes128 -passout pass:x -out "$keys/locked"
	chmod 644 "$keys/locked"
	is_refused 2 "is protected by a passphrase" import 61001 locked
	head -c 20000 /dev/zero | tr '\0' 0 > "$keys/large" # the first byte of DER
	is_refused 2 "the key is too large" import 61001 large
	equal "$(keys_of 61001 --json | jq '.keys | length')" 1
}
prove "what is no key is refused, with the reason" what_is_no_key

what_does_not_fit()
{
	local ec rsa public
	ec=$(import 61001 p256.key)
	rsa=$(import 61001 rsa.key)
	public=$(import 61001 rsa.pub)
	is_refused 2 "only the public half" sign 61001 "$public" 256
	sign 61001 "$rsa" 256
	expect 1 verify 61001 "$ec" 256 data
	expect 1 verify 61001 "$public" 384 data
	expect 1 verify 61001 "$public" 256 data --padding pkcs1
	verify 61001 "$public" 256 data
	: > "$TMP/signature"
	expect 1 verify 61001 "$public" 256 data
	echo 00 | is_refused 2 "32, 48 or 64 bytes" keys_of 61001 sign "$ec"
	for key in "$ec" "$rsa" "$public"; do
		keys_of 61001 destroy "$key"
	done
	is_refused 2 "there is no such key" keys_of 61001 destroy "$ec"
	is_refused 2 "there is no such key" sign 61001 "$ec" 256
}
prove "a wrong signature, a wrong kind of key and a key that has gone are told apart" what_does_not_fit

# ---- what there is ----

listing()
{
	local private public pin
	pin=$(pin_of rsa)
	private=$(keys_of 61001 import "$keys/rsa.key" --json | jq '.keys[0].key')
	public=$(import 61001 p384.pub)
	keys_of 61001 --json > "$TMP/list"
	jq -e --argjson key "$private" --arg pin "$pin" '.keys[] | select(.key == $key) |
		. == {key: $key, purpose: "hash", private: true, type: "RSA", bits: 2048, fingerprint: $pin, name: ""}' "$TMP/list"
	jq -e --argjson key "$public" '.keys[] | select(.key == $key) |
		.purpose == "hash" and .private == false and .type == "ECDSA" and .bits == 384' "$TMP/list"
	jq -e '.keys[0] | .purpose == "tls" and .name == "shown" and .bits == 256' "$TMP/list"
	equal "$(jq '.keys | length' "$TMP/list")" 3
	keys_of 61001 list > "$TMP/list"
	grep -E "^$private +hash +both +RSA +2048 +${pin//+/\\+} +-\$" "$TMP/list"
	grep -E '^[0-9]+ +tls +both +ECDSA +256 +sha256/.{44} +shown$' "$TMP/list"
	keys_of 61001 destroy "$private"
	keys_of 61001 destroy "$public"
}
prove "the list has imported keys, and those of identities, with their public halves' fingerprints" listing

# The key of an identity is for TLS: that is refused by the keyholder.
not_for_hashes()
{
	local tls
	tls=$(keys_of 61001 --json | jq '.keys[0].key')
	is_refused 6 "signs in TLS, and nothing else" sign 61001 "$tls" 256
	: > "$TMP/signature"
	is_refused 6 "signs in TLS, and nothing else" verify 61001 "$tls" 256 data
	is_refused 6 "signs in TLS, and nothing else" keys_of 61001 destroy "$tls"
	equal "$(keys_of 61001 --json | jq '.keys | length')" 1
	is_refused 2 "there is no such key" sign 61004 "$tls" 256
}
prove "an identity's key signs no hash" not_for_hashes

# ---- whose they are ----

others_cannot()
{
	local key uid
	key=$(import 61001 rsa.key)
	sign 61001 "$key" 256
	cp "$TMP/signature" "$TMP/mine"
	for uid in 61002 61004; do
		is_refused 2 "there is no such key" sign "$uid" "$key" 256
		cp "$TMP/mine" "$TMP/signature"
		is_refused 2 "there is no such key" verify "$uid" "$key" 256 data
		is_refused 2 "there is no such key" keys_of "$uid" destroy "$key"
		equal "$(keys_of "$uid" --json | jq '[.keys[] | select(.purpose == "hash")] | length')" 0
	done
	sign 61001 "$key" 256
	keys_of 61001 destroy "$key"
}
prove "another user, with the same badge or another one, can neither use, see nor destroy it" others_cannot

# The worker that has imported it is not needed for it.
outlives_workers()
{
	local key worker
	key=$(import 61001 p256.key)
	worker=$(as_uid 61001 tlsbroker-cli status --socket "$SOCKET" --json |
		jq '.workers[] | select(.uid == 61001) | .pid')
	kill -KILL "$worker"
	wait_until 10 sign 61001 "$key" 256
	openssl_verifies p256 256
	keys_of 61001 destroy "$key"
}
prove "a key outlives the worker that has brought it" outlives_workers

few()
{
	local first
	is_refused 6 "max-keys: a program may import none" import 61003 rsa.key
	first=$(import 61004 p256.key)
	import 61004 p256.pub
	is_refused 6 "max-keys: this user has as many keys as there may be" import 61004 p384.key
	keys_of 61004 destroy "$first"
	import 61004 p384.key
	is_refused 6 "max-keys" import 61004 p384.pub
	import 61001 p384.pub > "$TMP/mine"
	keys_of 61001 destroy "$(cat "$TMP/mine")"
}
prove "max-keys says how many there may be" few

reloads()
{
	configure "max-keys = 3"
	reload
	equal "$(keys_of 61004 --json | jq '.keys | length')" 2
	import 61004 rsa.key > "$TMP/third"
	sign 61004 "$(cat "$TMP/third")" 256
	configure "max-keys = 1"
	reload
	sign 61004 "$(cat "$TMP/third")" 256
	is_refused 6 "max-keys" import 61004 rsa.pub
	configure "max-keys = 0"
	reload
	equal "$(keys_of 61004 --json | jq '.keys | length')" 0
	is_refused 2 "there is no such key" sign 61004 "$(cat "$TMP/third")" 256
	configure
	reload
	import 61004 rsa.pub > "$TMP/third"
}
prove "a reload changes that; who may have none any more has none" reloads

# ---- the log ----

audit()
{
	local key pin
	pin=$(pin_of rsa)
	key=$(import 61001 rsa.key)
	keys_of 61001 destroy "$key"
	logs "a private key was imported.* badge=may uid=61001 .*client=[0-9]+ .*key=$key algorithm=RSA bits=2048 fingerprint=\"?${pin//+/\\+}"
	logs "a key was destroyed.* uid=61001 .*key=$key "
	logs "a public key was imported.* badge=few uid=61004 "
}
prove "imports and ends are in the log, with whose they are" audit

# ---- where private halves are ----

nowhere_else()
{
	local name key pids
	for name in p256 p521 rsa; do
		key=$(import 61002 $name.key)
		sign 61002 "$key" 256
		files+=("$keys/$name.key")
	done
	pids="$(pid_of daemon) $(role_pids frontdoor) $(role_pids connector) $(role_pids worker)"
	# shellcheck disable=SC2086  # numbers
	keysearch "${files[@]}" -- $pids
	deny keysearch "${files[@]}" -- "$(role_pids keyholder)" > "$TMP/found"
	for name in "${files[@]}"; do
		grep -F " $name " "$TMP/found" || return 1
	done
}
gone_when_destroyed()
{
	for key in $(keys_of 61002 --json | jq '.keys[] | select(.purpose == "hash") | .key'); do
		keys_of 61002 destroy "$key"
	done
	# That of p256 is an identity's, too.
	keysearch "$keys/p521.key" "$keys/rsa.key" -- "$(role_pids keyholder)"
}
if [ "$SANDBOX" = enforce ]; then
	prove "case 40: no private half is in any process of the daemon but the keyholder" nowhere_else
	prove "case 40: and none is left there of a key that was destroyed" gone_when_destroyed
fi

# ---- deaths ----

keyholder_dies()
{
	local key before
	another() { [ -n "$(role_pids keyholder)" ] && [ "$(role_pids keyholder)" != "$before" ]; }
	key=$(import 61001 rsa.key)
	before=$(role_pids keyholder)
	kill -KILL "$before"
	wait_until 5 another
	serves() { import 61001 p256.key > "$TMP/next"; }
	wait_until 10 serves
	is_refused 2 "there is no such key" sign 61001 "$key" 256
	sign 61001 "$(cat "$TMP/next")" 256
	openssl_verifies p256 256
}
prove "case 43: the keyholder is killed: its keys have gone, and the next one serves" keyholder_dies

prove "the daemon ends, and leaves nothing" stop_daemon
equal_broker_gone() { is_refused 7 "no broker" keys_of 61001; }
prove "and then there is no broker to ask" equal_broker_gone
