#!/bin/bash
# What the three proxies are told, all in one place, and as alike as they can be: verify the server by
# the same bundle and name, TLS 1.3 with the same cipher, sessions resumed as they do by themselves, as
# many connections as there may be descriptors.  bench/sockets starts this, as whoever the proxy runs
# as; it becomes the proxy.
#
#	sockets COUNT proxies.sh PROXY FOLDER BUNDLE NAME CIPHER RESUME KEY PORT...
#
# FOLDER is for its files.  RESUME: yes or no.  KEY: "-", or where KEY.pem and KEY.key are, which it
# shows.  PORT: a server's, for each of the COUNT sockets.
set -eu
proxy=$1 folder=$2 bundle=$3 name=$4 cipher=$5 resume=$6 key=$7
shift 7
read -r -a ports <<< "$BENCH_PORTS"
files=$(ulimit -n)
unset BENCH_PORTS

stunnel_conf()
{
	local port i=0

	echo "foreground = quiet
		pid =
		syslog = no
		debug = err
		output = $folder/log
		client = yes
		socket = l:TCP_NODELAY=1
		socket = r:TCP_NODELAY=1
		sslVersion = TLSv1.3
		ciphersuites = $cipher
		CAfile = $bundle
		verifyChain = yes
		checkHost = $name
		sni = $name
		sessionResume = $resume"
	[ "$key" = - ] || echo "cert = $key.pem
		key = $key.key"
	for port; do
		echo "[to-$port]
		accept = 127.0.0.1:${ports[i++]}
		connect = 127.0.0.1:$port"
	done
}

haproxy_conf()
{
	local port fd=3

	echo "global
		maxconn $((files / 2 - 100 > 20000 ? 20000 : files / 2 - 100))
	defaults
		mode tcp
		timeout connect 10s
		timeout client 1h
		timeout server 1h"
	for port; do
		printf '%s' "listen to-$port
		bind fd@$((fd++))
		server s 127.0.0.1:$port ssl verify required ca-file $bundle verifyhost $name sni str($name) ssl-min-ver TLSv1.3 ciphersuites $cipher"
		[ "$resume" = yes ] || printf ' no-ssl-reuse'
		[ "$key" = - ] || printf ' crt %s' "$key.both"
		echo
	done
}

nginx_conf()
{
	local port i=0

	echo "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
	daemon off;
	pid $folder/pid;
	error_log $folder/log error;
	worker_processes auto;
	worker_rlimit_nofile $files;
	events { worker_connections $((files > 40000 ? 40000 : files)); }
	stream {
		proxy_timeout 1h;
		proxy_ssl on;
		proxy_ssl_verify on;
		proxy_ssl_verify_depth 2;
		proxy_ssl_trusted_certificate $bundle;
		proxy_ssl_server_name on;
		proxy_ssl_name $name;
		proxy_ssl_protocols TLSv1.3;
		proxy_ssl_conf_command Ciphersuites $cipher;"
	[ "$resume" = yes ] || echo "proxy_ssl_session_reuse off;"
	[ "$key" = - ] || echo "proxy_ssl_certificate $key.pem; proxy_ssl_certificate_key $key.key;"
	for port; do
		echo "server { listen 127.0.0.1:${ports[i++]}; proxy_pass 127.0.0.1:$port; }"
	done
	echo '}'
}

mkdir -p "$folder"
"${proxy}_conf" "$@" > "$folder/conf"
echo "${ports[*]}"
exec > /dev/null
case $proxy in
stunnel) exec stunnel4 "$folder/conf" ;;
haproxy) exec haproxy -db -q -f "$folder/conf" ;;
nginx) exec nginx -e "$folder/log" -p "$folder" -c "$folder/conf" ;;
esac
