# shellcheck shell=bash
# What bench/run needs around its measurements: certificates, servers, the daemon, the proxies.  All of
# it runs unprivileged, on 127.0.0.1, with its files in $work, and is ended by process id.

fail()
{
	echo "bench: $*" >&2
	exit 1
}

# note TEXT: for the end of the report.
note()
{
	grep -qxF "$*" "$work/notes" || echo "$*" >> "$work/notes"
}

# ---- certificates ----

EC='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
RSA='-newkey rsa:2048 -nodes'

# certificate NAME HOW SUBJECT [EXTENSION]: NAME.pem and NAME.key; and NAME.both, as HAProxy wants it.
certificate()
{
	# shellcheck disable=SC2086
	openssl req $2 -subj "/CN=$3" -keyout "$work/$1.key" -out "$work/$1.csr"
	openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 2 \
		-extfile <(echo "${4-}") -out "$work/$1.pem"
	cat "$work/$1.pem" "$work/$1.key" > "$work/$1.both"
	chmod 400 "$work/$1.key" "$work/$1.both"
}

certificates()
{
	# shellcheck disable=SC2086
	openssl req -x509 $EC -days 2 -subj "/CN=bench root" -keyout "$work/ca.key" \
		-out "$work/ca.pem" -addext keyUsage=critical,keyCertSign
	certificate server-ec "$EC" bench.test subjectAltName=DNS:bench.test
	certificate server-rsa "$RSA" bench.test subjectAltName=DNS:bench.test
	certificate ec "$EC" ec
	certificate rsa "$RSA" rsa
}

# The system's bundle, as every program loads it, and ours behind it.
make_bundle()
{
	cat /etc/ssl/certs/ca-certificates.crt "$work/ca.pem" > "$bundle" 2> /dev/null ||
		fail "/etc/ssl/certs/ca-certificates.crt: install ca-certificates"
}

# ---- servers: each is a bench/peer, at ${server[NAME]}; they end with descriptor 8 ----

declare -A server

# start_server NAME [ARGUMENT...]
start_server()
{
	local name=$1
	shift
	mkfifo "$work/$name.out"
	"$bin/peer" "$@" < "$work/server.in" > "$work/$name.out" 8>&- &
	[ "$name" != ec ] || exec 8> "$work/server.in"
	read -r "server[$name]" < "$work/$name.out" || fail "the server did not start"
}

start_servers()
{
	mkfifo "$work/server.in"
	start_server ec "$work/server-ec.pem" "$work/server-ec.key"
	start_server rsa "$work/server-rsa.pem" "$work/server-rsa.key"
	start_server mutual "$work/server-ec.pem" "$work/server-ec.key" "$work/ca.pem"
	start_server busy "$work/server-ec.pem" "$work/server-ec.key" # that of the flood
	start_server wide -n "$(nproc)" "$work/server-ec.pem" "$work/server-ec.key"
	start_server plain
}

# ---- the daemon ----

# write_conf WORKERS: of each user.
write_conf()
{
	local name

	[ "$1" = 1 ] || printf 'badge "all" {\n\tmatch = any\n\tworkers = %d\n}\n' "$1"
	echo 'identities = { ec, rsa }'
	for name in ec rsa; do
		printf 'identity "%s" { certificate = "%s.pem" key = "%s.key" }\n' "$name" \
			"$work/$name" "$work/$name"
	done
}

# Nobody, if we are root.
drop=()
become_nobody()
{
	[ "$(id -u)" = 0 ] || return 0
	drop=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all)
	# Root's programs may read them all the same.
	chown 65534 "$work"/{ec.key,rsa.key,ec.both,rsa.both}
}

# folder NAME: for whatever runs as nobody.
folder()
{
	mkdir -p "$work/$1"
	[ "$(id -u)" != 0 ] || chown 65534 "$work/$1"
}

# start_daemon NAME WORKERS: its socket is $work/NAME/socket, its process ${daemon[NAME]}.
declare -A daemon
start_daemon()
{
	local socket=$work/$1/socket

	folder "$1"
	write_conf "$2" > "$work/$1/conf"
	"${drop[@]}" "$bin/tlsbrokerd" --config "$work/$1/conf" --socket "$socket" --trust "$bundle" -d \
		2> "$work/$1/log" 8>&- &
	daemon[$1]=$!
	for _ in {1..100}; do
		[ ! -S "$socket" ] || break
		kill -0 "${daemon[$1]}" 2> /dev/null || fail "the daemon did not start: $(cat "$work/$1/log")"
		sleep 0.05
	done
	TLSBROKER_SOCKET=$socket can_visit tlsbroker "${server[ec]}" ||
		fail "the daemon does not work: $(cat "$work/said.err" "$work/$1/log")"
}

# can_visit BACKEND PORT
can_visit()
{
	timeout 20 "$bin/conduct" "$bin/client_$1" idle 1 "$2" "$bundle" > /dev/null \
		2> "$work/said.err"
}

# ---- the proxies: an instance for each way in which they are used, started when it is needed ----

declare -A proxy_pid proxy_ports proxy_lacks
# Those of Debian's packages that are there; bench/packages says what they are.
declare -A program=([stunnel]=/usr/bin/stunnel4 [haproxy]=/usr/sbin/haproxy
	[nginx]=/usr/lib/nginx/modules/ngx_stream_module.so)

# start_proxy PROXY SERVER KEY RESUME [TAG]: ${proxy_pid[...]}, at ${proxy_ports[...]}, which are more than
# one for SERVER "fair": the other one leads to the flood's server.
start_proxy()
{
	local id="$*" key=$3 name ports
	local -a to=("${server[${2/fair/ec}]}")

	[ -z "${proxy_lacks[$1]-}" ] || return 1
	[ -e "${program[$1]}" ] || proxy_does_not "$1" "is not installed" || return 1
	name=${id// /-}
	folder "$name"
	mkfifo "$work/$name/ports"
	[ "$key" = - ] || key=$work/$key
	[ "$2" != fair ] || to+=("${server[busy]}")
	"${drop[@]}" "$bin/sockets" "${#to[@]}" "$bin/proxies.sh" "$1" "$work/$name" "$bundle" bench.test \
		"$cipher" "$4" "$key" "${to[@]}" > "$work/$name/ports" 2> "$work/$name/errors" 8>&- &
	proxy_pid[$id]=$!
	read -r -t 10 ports < "$work/$name/ports" || true
	proxy_ports[$id]=$ports
	[ -n "$ports" ] && can_visit plain "${ports%% *}" || proxy_does_not "$1" "does not work: $(
		cat "$work/$name/errors" "$work/$name/log" 2> /dev/null | tail -n 1)"
}

proxy_does_not()
{
	proxy_lacks[$1]=$2
	note "$1 $2"
	return 1
}

# ---- afterwards ----

# end PID: and all that it started.
end()
{
	kill "$1" 2> /dev/null || true
	wait "$1" 2> /dev/null || true
}

clean()
{
	local pid

	exec 8>&- # the servers end with their standard input
	for pid in "${daemon[@]}" "${proxy_pid[@]}" ${flood:+"$flood"}; do
		end "$pid"
	done
	wait
	rm -rf "$work"
}
