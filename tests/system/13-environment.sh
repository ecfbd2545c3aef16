#!/bin/bash
# Environment variables, the program's or the daemon's, change nothing.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

cat > "$TMP/openssl.cnf" <<-END
	openssl_conf = init
	[init]
	ssl_conf = ssl
	[ssl]
	system_default = defaults
	[defaults]
	MinProtocol = TLSv1.3
	MaxProtocol = TLSv1.3
	VerifyMode = Request
END
export OPENSSL_CONF=$TMP/openssl.cnf SSL_CERT_FILE=$PKI/other-root.pem SSL_CERT_DIR=$PKI
export OPENSSL_MODULES=$TMP OPENSSL_ENGINES=$TMP RES_OPTIONS=debug HOSTALIASES=$TMP/aliases
export LOCALDOMAIN=invalid RESOLV_HOST_CONF=$TMP/host.conf SSLKEYLOGFILE=$TMP/keys
export EVENT_NOEPOLL=1 MALLOC_CHECK_=3
start_daemon
unset OPENSSL_CONF SSL_CERT_FILE OPENSSL_MODULES OPENSSL_ENGINES

start_peer good good --tls 1.2
good=$PORT
start_peer unknown unknown-ca
unknown=$PORT

trust_stays()
{
	expect 0 traffic_as "$CLIENT" localhost "$good" echo 100
	expect 4 client "localhost:$unknown" < /dev/null
}
prove "the daemon's environment changes neither its trust nor its versions" trust_stays

apps_environment()
{
	export OPENSSL_CONF=$TMP/openssl.cnf SSL_CERT_FILE=$PKI/other-root.pem
	export OPENSSL_MODULES=$TMP
	expect 0 traffic_as "$CLIENT" localhost "$good" echo 100
	expect 4 client "localhost:$unknown" < /dev/null
}
prove "nor does the program's" apps_environment

no_keys_logged()
{
	test ! -e "$TMP/keys"
}
prove "no session keys are logged" no_keys_logged

prove "it stops without leaving anything" stop_daemon
