# shellcheck shell=bash
# Certificates of clients with their private keys, for tests that source this behind lib.sh.

# shellcheck disable=SC2034 # for them
ALL="p256 p384 p521 rsa pss ed25519 chain"
keys=$TMP/keys
mkdir "$keys"

# new_pair NAME ISSUER [genpkey options]: $keys/NAME.pem, with its chain, and NAME.key, which nobody
# else may read.
new_pair()
{
	local name=$1 issuer=$2
	shift 2
	openssl genpkey -out "$keys/$name.key" "$@" 2> /dev/null
	openssl req -new -key "$keys/$name.key" -subj "/CN=client-$name" -out "$keys/$name.csr"
	openssl x509 -req -in "$keys/$name.csr" -CA "$PKI/$issuer.crt" -CAkey "$PKI/$issuer.key" \
		-days 2 -out "$keys/$name.pem" 2> /dev/null
	[ "$issuer" = root ] || cat "$PKI/$issuer.crt" >> "$keys/$name.pem"
}

# for_the_daemon FILE...: to be read by nobody else.
for_the_daemon()
{
	chmod 640 "$@"
	chown "root:$(id -g "$DAEMON")" "$@"
}

# One of each kind that there is.
new_pair p256 root -algorithm EC -pkeyopt ec_paramgen_curve:P-256
new_pair p384 root -algorithm EC -pkeyopt ec_paramgen_curve:P-384
new_pair p521 root -algorithm EC -pkeyopt ec_paramgen_curve:P-521
new_pair rsa root -algorithm RSA -pkeyopt rsa_keygen_bits:2048
new_pair pss root -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048
new_pair ed25519 root -algorithm ED25519
new_pair chain intermediate -algorithm EC -pkeyopt ec_paramgen_curve:P-256
