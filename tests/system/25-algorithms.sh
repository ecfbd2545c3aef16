#!/bin/bash
# What a server may have of algorithms: each that OpenSSL takes in a program, the worker takes, too, though it
# leaves itself a few; and what it does not take it says.
# Tags: unprivileged
# Limit: 240 s
. "$(dirname "$0")/lib.sh"

# signs NAME OPTIONS...: NAME.key signs a certificate for localhost, of an ordinary key, by OPTIONS; both are trusted.
signs()
{
	local name=$1
	shift
	openssl req -x509 -new -key "$name.key" -subj "/CN=$name" -days 30 "$@" \
		-addext keyUsage=critical,keyCertSign -out "$name.ca"
	openssl x509 -req -in leaf.csr -CA "$name.ca" -CAkey "$name.key" -set_serial 1 -days 30 \
		-extfile leaf.ext "$@" -out "$name.pem"
	cp "$PKI/good.key" "$name.leaf"
	cat "$name.ca" >> trust.pem
}

# shows NAME: NAME.key is a server's.
shows()
{
	openssl pkey -in "$1.key" -pubout -out "$1.pub"
	openssl x509 -req -in leaf.csr -force_pubkey "$1.pub" -CA "$PKI/root.crt" -CAkey "$PKI/root.key" \
		-set_serial 1 -days 30 -extfile leaf.ext -out "$1.pem"
	cp "$1.key" "$1.leaf"
}

# makes NAME OPTIONS...: a private key.
makes()
{
	local name=$1
	shift
	openssl genpkey -out "$name.key" "$@"
}

make_all()
{
	local curve pss=(-sigopt rsa_padding_mode:pss)
	cd "$TMP" || return
	cp "$PKI/root.pem" trust.pem
	printf '%s\n' extendedKeyUsage=serverAuth subjectAltName=DNS:localhost > leaf.ext
	openssl req -new -key "$PKI/good.key" -subj /CN=localhost -out leaf.csr

	for curve in P-256 P-384 P-521; do
		makes $curve -algorithm EC -pkeyopt ec_paramgen_curve:$curve
	done
	for curve in secp256k1 brainpoolP256r1 sect283k1; do
		makes $curve -algorithm EC -pkeyopt ec_paramgen_curve:$curve
		signs $curve -sha256
	done
	makes ed25519 -algorithm ED25519
	makes ed448 -algorithm ED448
	makes rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
	makes rsa-pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048
	makes rsa-pss-512 -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha512 \
		-pkeyopt rsa_pss_keygen_mgf1_md:sha512 -pkeyopt rsa_pss_keygen_saltlen:64
	makes sm2 -algorithm SM2
	signs sm2 -sm3

	for name in P-256 P-384 P-521 ed25519 ed448 rsa rsa-pss rsa-pss-512; do
		cp $name.key by-$name.key
		shows $name
	done
	for name in P-256 P-384 P-521 rsa rsa-pss rsa-pss-512; do
		signs by-$name -sha512
	done
	signs by-ed25519
	signs by-ed448
	for digest in sha224 sha512 sha3-256; do
		cp rsa.key rsa-$digest.key
		signs rsa-$digest -$digest
	done
	for digest in sha224 sha512-256; do
		cp rsa.key pss-$digest.key
		signs pss-$digest -$digest "${pss[@]}"
	done
	chmod 644 ./*.leaf ./*.pem
}
prove "the certificates are made" make_all

start_daemon --trust "$TMP/trust.pem"

# serve NAME [options...]: an OpenSSL server with this certificate.
serve()
{
	local name=$1
	shift
	background server - openssl s_server -accept 127.0.0.1:0 -cert "$TMP/$name.pem" \
		-key "$TMP/$name.leaf" -rev "$@"
	wait_until 5 says server '^ACCEPT'
	PORT=$(last_said server '^ACCEPT' | sed 's/.*://')
}

# In a program of its own, with the same trust.
in_process()
{
	echo | openssl s_client -connect "127.0.0.1:$PORT" -servername localhost -verify_hostname localhost \
		-verify_return_error -CAfile "$TMP/trust.pem" -brief
}

accepts()
{
	serve "$@"
	in_process
	client "localhost:$PORT" < /dev/null
}

for name in P-256 P-384 P-521 ed25519 ed448 rsa rsa-pss rsa-pss-512; do
	prove "a server's key: $name" accepts $name
	prove "a CA's key: $name" accepts by-$name
done
for name in secp256k1 brainpoolP256r1; do
	prove "a CA's key: $name" accepts $name
done
for name in rsa-sha224 rsa-sha512 rsa-sha3-256 pss-sha224 pss-sha512-256; do
	prove "a CA's signature: $name" accepts $name
done
for group in X25519 X448 P-256 P-384 P-521 ffdhe2048 ffdhe3072; do
	prove "TLS 1.3: $group" accepts rsa -tls1_3 -groups $group
done
for group in X25519 X448 P-256 P-384 P-521; do
	prove "TLS 1.2: $group" accepts rsa -tls1_2 -groups $group
done
for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
	prove "TLS 1.3: $suite" accepts rsa -tls1_3 -ciphersuites $suite
done
for suite in AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305; do
	prove "TLS 1.2: $suite" accepts rsa -tls1_2 -cipher ECDHE-RSA-$suite
done

# What OpenSSL has only in newer versions.
newest()
{
	openssl list -kem-algorithms | grep -q X25519MLKEM768 || skip "OpenSSL has no ML-KEM"
	accepts rsa -groups X25519MLKEM768
	cd "$TMP" || return
	makes ml-dsa -algorithm ML-DSA-65
	shows ml-dsa
	chmod 644 ml-dsa.*
	accepts ml-dsa
}
prove "ML-KEM and ML-DSA, where OpenSSL has them" newest

# refuses NAME TEXT: in a program it would do.
refuses()
{
	serve "$1"
	in_process
	expect 4 client "localhost:$PORT" < /dev/null 2>&1 | tee "$TMP/told"
	grep -F "the certificates of localhost are not accepted: $2" "$TMP/told"
}
prove "a CA's key that TLS does not use is refused, and named: SM2" \
	refuses sm2 'CN=sm2 has a key of a kind that TLS does not use'
prove "the same: a curve that is too slow" refuses sect283k1 'a key on a curve that TLS does not use'

no_aead()
{
	serve rsa -tls1_2 -cipher ECDHE-RSA-AES128-SHA256
	in_process
	expect 5 client "localhost:$PORT" < /dev/null 2>&1 | tee "$TMP/told"
	grep -F 'no common cipher suite' "$TMP/told"
}
prove "CBC is refused, as ever" no_aead
stop server KILL

prove "it stops without leaving anything" stop_daemon
