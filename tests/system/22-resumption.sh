#!/bin/bash
# Sessions are resumed by later processes of the same user, and by nobody else's.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

start_daemon

# resumed VALUE UID OPTIONS...: a new process has a session with the server at $PORT.
resumed()
{
	local wanted=$1 uid=$2
	shift 2
	expect 0 traffic_as "$uid" --info "$@" localhost "$PORT" echo 1000 > "$TMP/said.resumed"
	cat "$TMP/said.resumed"
	grep -q " resumed=$wanted " "$TMP/said.resumed"
}

again_and_again()
{
	resumed 0 "$CLIENT"
	resumed 1 "$CLIENT"
	resumed 1 "$CLIENT"
}

for version in 1.2 1.3; do
	start_peer "peer$version" good --tls $version
	prove "TLS $version: a second process resumes, and a third" again_and_again

	not_others()
	{
		[ "$OTHER" ] || skip "needs root for another user"
		resumed 0 "$OTHER"
		resumed 1 "$OTHER"
	}
	prove "TLS $version: another user's process does not" not_others

	not_wanted()
	{
		resumed 0 "$CLIENT" --no-resumption
		resumed 1 "$CLIENT"
	}
	prove "TLS $version: nor does one that does not want to" not_wanted

	not_otherwise_verified()
	{
		# A name or CA of its own: what was verified then is not what is asked for now.
		resumed 0 "$CLIENT" --name good.test
		resumed 1 "$CLIENT" --name good.test
		resumed 0 "$CLIENT" --ca "$PKI/root.pem"
		resumed 1 "$CLIENT" --ca "$PKI/root.pem"
		resumed 1 "$CLIENT"
	}
	prove "TLS $version: nor one that verifies something else" not_otherwise_verified
done

openssl_resumes()
{
	local said
	printf 'a\n' | client "localhost:$PORT" | grep a
	said=$(printf 'b\n' | client -v "localhost:$PORT" 2>&1 > /dev/null)
	grep -Eiq 'resumed +yes' <<< "$said"
}
start_openssl openssl12 good -tls1_2
prove "openssl s_server, TLS 1.2" openssl_resumes
start_openssl openssl13 good -tls1_3
prove "openssl s_server, TLS 1.3" openssl_resumes
start_gnutls gnutls13 good --priority NORMAL:-VERS-ALL:+VERS-TLS1.3
prove "gnutls-serv, TLS 1.3" openssl_resumes

server_forgets()
{
	# A new server on the same port, with other ticket keys: a full handshake, not a failure.
	start_nginx forgetful good 'ssl_session_tickets on;'
	mkdir -p "$TMP/www"
	echo page > "$TMP/www/page"
	expect 0 traffic_as "$CLIENT" --info localhost "$PORT" get /page
	expect 0 traffic_as "$CLIENT" --info localhost "$PORT" get /page | grep ' resumed=1 '
	stop forgetful
	sed -i 's/access_log off;/access_log off; ssl_session_cache off;/' \
		"$TMP/forgetful/nginx.conf"
	background forgetful - nginx -p "$TMP/forgetful" -e "$TMP/forgetful/error.log" \
		-c "$TMP/forgetful/nginx.conf"
	wait_until 10 nginx_listens "$PORT"
	expect 0 traffic_as "$CLIENT" --info localhost "$PORT" get /page | grep ' resumed=0 '
}
prove "a server that has forgotten gets a full handshake" server_forgets

counted()
{
	[ "$(status '.counters.handshakes_resumed')" -gt 5 ]
	[ "$(status '.counters.handshakes_full')" -gt 5 ]
}
prove "status counts full and resumed handshakes" counted

prove "it stops without leaving anything" stop_daemon
