#!/bin/bash
# Case 17: what a program has in its environment, and loads, gets nowhere near the broker.
# Limit: 60 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon
start_peer good good
good=$PORT
start_peer unknown unknown-ca
cp "$BIN/libtlsbroker.so.0" "$TMP/preloaded.so" # any library will do
chmod 755 "$TMP/preloaded.so"
printf 'openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\nVerifyMode = Request\n' \
	> "$TMP/openssl.cnf"
hostile=(env LD_PRELOAD="$TMP/preloaded.so" OPENSSL_CONF="$TMP/openssl.cnf" OPENSSL_MODULES="$TMP"
	SSL_CERT_FILE="$PKI/other-root.pem" SSL_CERT_DIR="$PKI")

loads_nothing()
{
	needs_root
	local pid
	background app "$CLIENT" "${hostile[@]}" "$BIN/traffic" --socket "$SOCKET" --sessions 3 \
		localhost "$good" echo 0
	wait_until 20 says app '^established 3'
	grep -q preloaded.so "/proc/$(pid_of app)/maps"
	grep -qz '^OPENSSL_CONF=' "/proc/$(pid_of app)/environ"
	for pid in $(pid_of daemon) $(pgrep -P "$(pid_of daemon)"); do
		deny grep preloaded.so "/proc/$pid/maps"
		deny grep -z "$TMP/openssl.cnf" "/proc/$pid/environ"
	done
	for pid in $(pgrep -P "$(pid_of daemon)"); do
		equal "$(tr -d '\0' < "/proc/$pid/environ" | wc -c)" 0
	done
	ends_well app
}
prove "case 17: a program's LD_PRELOAD and OPENSSL_CONF are in no process of the broker" loads_nothing

trust_stays()
{
	expect 1 as_uid "$CLIENT" "${hostile[@]}" "$BIN/traffic" --socket "$SOCKET" \
		localhost "$PORT" echo 1 > "$TMP/said.app"
	cat "$TMP/said.app"
	grep -q 'errno=EKEYREJECTED' "$TMP/said.app"
}
prove "case 17: nor do they change whom it trusts" trust_stays

attacked sockets 2 $((failed ? 0 : 2))
prove "it stops without leaving anything" stop_daemon
