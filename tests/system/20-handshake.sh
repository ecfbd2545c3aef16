#!/bin/bash
# Verified sessions with servers that others wrote: OpenSSL's, GnuTLS's, nginx.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon

# reverses VERSION: openssl s_server -rev answers the line backwards.
reverses()
{
	local said
	said=$(printf 'stressed\n' | client -v --timeout 100 "localhost:$PORT" 2> "$TMP/client.err")
	cat "$TMP/client.err"
	equal "$said" desserts
	grep -q "$1" "$TMP/client.err"
}

start_openssl openssl12 good -tls1_2
prove "openssl s_server, TLS 1.2" reverses TLSv1.2
start_openssl openssl13 good -tls1_3
prove "openssl s_server, TLS 1.3" reverses TLSv1.3
start_openssl openssl-rsa good-rsa
prove "openssl s_server with an RSA certificate" reverses TLSv1.3
start_openssl openssl-retry good -tls1_3 -groups P-384
prove "openssl s_server that asks for another group first" reverses HelloRetryRequest

echoes()
{
	local said
	said=$(printf 'hello\n' | client -v --timeout 100 "$1:$PORT" 2> "$TMP/client.err")
	cat "$TMP/client.err"
	equal "$said" hello
	grep -q "$2" "$TMP/client.err"
}

start_gnutls gnutls12 good --priority NORMAL:-VERS-ALL:+VERS-TLS1.2
prove "gnutls-serv, TLS 1.2" echoes localhost TLSv1.2
start_gnutls gnutls13 good --priority NORMAL:-VERS-ALL:+VERS-TLS1.3
prove "gnutls-serv, TLS 1.3" echoes localhost TLSv1.3

gets()
{
	expect 0 traffic_as "$CLIENT" --info localhost "$PORT" get /page > "$TMP/got"
	cat "$TMP/got"
	grep -q "version=$1" "$TMP/got"
	grep -q "sha256=$(sha256sum < "$TMP/www/page" | cut -d ' ' -f 1)" "$TMP/got"
}

mkdir -p "$TMP/www"
head -c 100000 /dev/urandom > "$TMP/www/page"
start_nginx nginx12 good 'ssl_protocols TLSv1.2;'
prove "nginx, TLS 1.2" gets 303
start_nginx nginx13 good 'ssl_protocols TLSv1.3;'
prove "nginx, TLS 1.3" gets 304

start_peer peer good --alpn h2,http/1.1
plain=$PORT

sends_name()
{
	: > "$TMP/peer.out"
	expect 0 traffic_as "$CLIENT" localhost "$plain" echo 10
	says peer 'sni=localhost '
	# With another name to verify that name is sent.
	expect 0 traffic_as "$CLIENT" --name good.test localhost "$plain" echo 10
	says peer 'sni=good.test '
	# The host name's trailing dot is no part of the name; a wildcard covers one label.
	expect 0 traffic_as "$CLIENT" --name a.wild.test localhost "$plain" echo 10
	expect 1 traffic_as "$CLIENT" --name a.b.wild.test localhost "$plain" echo 10
	expect 1 traffic_as "$CLIENT" --name wild.test localhost "$plain" echo 10
}
prove "the server learns the name, and the certificate must be for it" sends_name

address_literal()
{
	: > "$TMP/peer.out"
	expect 0 traffic_as "$CLIENT" 127.0.0.1 "$plain" echo 10
	# RFC 6066: literals are not sent.
	says peer 'sni= '
	expect 1 traffic_as "$CLIENT" --name 127.0.0.2 127.0.0.1 "$plain" echo 10
}
prove "an IPv4 address is verified as address, and not sent as a name" address_literal

start_peer six good --listen ::1
over_six()
{
	expect 0 traffic_as "$CLIENT" --info ::1 "$PORT" echo 10
	expect 0 traffic_as "$CLIENT" --info '[::1]' "$PORT" echo 10 > "$TMP/six.said"
	grep -q "address=\[::1\]:$PORT" "$TMP/six.said"
	printf 'echo\nover six\n' | client -6 "[::1]:$PORT" | grep 'over six'
	expect 3 client -4 "localhost:$PORT" < /dev/null
}
prove "IPv6 literals, with and without brackets, and -4 and -6" over_six

both_families()
{
	# The name stands for ::1 and 127.0.0.1; the server listens on one of them.
	getent ahosts localhost | grep -q ::1 || skip "localhost has no IPv6 address here"
	expect 0 traffic_as "$CLIENT" --info localhost "$plain" echo 10
	expect 0 traffic_as "$CLIENT" --info localhost "$PORT" echo 10
}
prove "a name with two families finds the one that answers" both_families

agrees()
{
	local said
	said=$(printf 'echo\nx\n' | client -v --alpn "$1" "localhost:$plain" 2>&1 > /dev/null)
	grep -Eq "ALPN +$2|protocol +$2" <<< "$said"
}

protocols()
{
	agrees http/1.1 http/1.1
	agrees http/1.1,h2 'h2|http/1.1'
	expect 5 client --alpn spdy/3 "localhost:$plain" < /dev/null
}
prove "application protocols are agreed, or the handshake fails" protocols

versions()
{
	start_peer only12 good --tls 1.2
	expect 0 traffic_as "$CLIENT" --info localhost "$PORT" echo 10
	expect 5 client --min-version 1.3 "localhost:$PORT" < /dev/null
	start_peer only13 good --tls 1.3
	expect 5 client --max-version 1.2 "localhost:$PORT" < /dev/null
	start_peer only11 good --tls 1.1
	expect 5 client "localhost:$PORT" < /dev/null
}
prove "a program may raise the lowest version; TLS 1.1 is refused" versions

ciphers()
{
	local said
	said=$(printf 'echo\nx\n' | client -v --ciphers TLS_CHACHA20_POLY1305_SHA256 \
		"localhost:$plain" 2>&1 > /dev/null)
	grep -q TLS_CHACHA20_POLY1305_SHA256 <<< "$said"
	expect 2 client --ciphers NO_SUCH_CIPHER "localhost:$plain" < /dev/null
	expect 2 client --ciphers NULL-SHA256 "localhost:$plain" < /dev/null
}
prove "a program may choose cipher suites, but none that the broker would not" ciphers

own_ca()
{
	start_peer unknown unknown-ca
	expect 4 client "localhost:$PORT" < /dev/null
	printf 'echo\nx\n' | client --ca "$PKI/other-root.pem" "localhost:$PORT" | grep x
	# Instead of the system's, not besides them.
	expect 4 client --ca "$PKI/other-root.pem" "localhost:$plain" < /dev/null
	openssl x509 -in "$PKI/other-root.pem" -outform DER -out "$TMP/root.der"
	printf 'echo\nx\n' | client --ca "$TMP/root.der" "localhost:$PORT" | grep x
	cat "$PKI/root.pem" "$PKI/other-root.pem" > "$TMP/both.pem"
	printf 'echo\nx\n' | client --ca "$TMP/both.pem" "localhost:$plain" | grep x
	expect 2 client --ca /dev/null "localhost:$plain" < /dev/null
}
prove "a program may bring its own CA, which then replaces the system's" own_ca

verbose()
{
	local said step
	said=$(printf 'echo\nx\n' | client -v --no-resume "localhost:$plain" 2>&1 > /dev/null)
	for step in ClientHello ServerHello EncryptedExtensions Certificate CertificateVerify Finished; do
		grep -Eq "ms +(->|<-) +$step" <<< "$said"
	done
	grep -q 'CN=good' <<< "$said"
	grep -q 'CN=intermediate' <<< "$said"
}
prove "-v shows the steps of the handshake and the chain" verbose

refuses_insecure()
{
	start_peer selfsigned self-signed
	expect 6 client --insecure "localhost:$PORT" < /dev/null
	equal "$(grep -c handshake "$TMP/selfsigned.out" || true)" 0
}
prove "without --allow-insecure nobody gets a session without verification" refuses_insecure

prove "it stops without leaving anything" stop_daemon

allows_insecure()
{
	start_daemon --allow-insecure
	start_peer selfsigned self-signed
	printf 'echo\nx\n' | client --insecure "localhost:$PORT" | grep x
	expect 4 client "localhost:$PORT" < /dev/null
	stop_daemon
}
prove "with --allow-insecure those get one that ask" allows_insecure
