# shellcheck shell=bash
# What the system tests are written in.  A test script sources this, starts what it needs, and
# states one sentence after the other with prove.  tests/system/run calls the scripts with
#
#   BIN      folder with tlsbrokerd, tlsbroker-cli, the library and the helpers of tests/lib
#   PKI      folder made by make-pki
#   LIMITS   the source's limits.h
#   SANDBOX  enforce, or off with sanitizers
#
# As root, clients are user 61001 (and 61002 ...), and the daemon drops to nobody.  Otherwise all of
# it is the user's own.  Nothing here sleeps to be right: it polls for a condition, with a deadline.
set -u

: "${BIN:?}" "${PKI:?}" "${LIMITS:?}" "${SANDBOX:=enforce}"
export PATH="$BIN:$PATH:/usr/sbin:/sbin"
umask 022
TMP=$(mktemp -d "${TMPDIR:-/tmp}/tlsb-test.XXXXXX") || exit 1
chmod 755 "$TMP"
failed=0

if [ "$(id -u)" = 0 ]; then
	ROOT=yes
	CLIENT=61001 OTHER=61002 DAEMON=$(id -u nobody)
else
	ROOT=''
	CLIENT=$(id -u) OTHER='' DAEMON=$CLIENT
fi
SOCKET=$TMP/run/tlsbroker.sock
PORT=''
export OTHER PORT
unset XDG_RUNTIME_DIR NOTIFY_SOCKET LISTEN_FDS LISTEN_PID TLSBROKER_SOCKET

# ---- attacks, as in tests/attacks.h ----

# abuse_full: is there time for all of them?
abuse_full()
{
	[ "${ABUSE-}" = full ]
}

# attacked CLASS TRIED SURVIVED
attacked()
{
	echo "# $1: $2 attacks, $3 survived"
	[ -z "${ATTACKS-}" ] || echo "$1 $2 $3" >> "$ATTACKS"
}

# ---- sentences ----

# prove "sentence" COMMAND...: it holds if the command, often a function of the script, succeeds.
# The command runs in a subshell that ends at its first failing step.
prove()
{
	local sentence=$1 status
	shift
	( set -e; exec 9> "$TMP/trace"; BASH_XTRACEFD=9; set -x; "$@" ) > "$TMP/said" 2>&1
	status=$?
	if [ -e "$TMP/unexpected" ]; then
		cat "$TMP/unexpected" >> "$TMP/said"
		rm "$TMP/unexpected"
		status=1
	fi
	if [ $status = 77 ]; then
		echo "skip - $sentence: $(tail -n 1 "$TMP/said")"
	elif [ $status = 0 ]; then
		echo "ok - $sentence"
	else
		failed=1
		echo "not ok - $sentence"
		{
			echo "status $status; the last steps:"
			tail -n 12 "$TMP/trace"
			echo "what it said:"
			tail -n 12 "$TMP/said"
			echo "what the daemon said:"
			tail -n 12 "$TMP"/daemon*.out 2> /dev/null
		} | cut -c 1-300 | sed 's/^/#   /'
	fi
	return 0
}

# skip "why": the sentence cannot be shown here.
skip()
{
	echo "$1"
	exit 77
}

# limit NAME: a number from limits.h.
limit()
{
	sed -n "s/^#define LIMIT_$1 *\([0-9]*\).*/\1/p" "$LIMITS"
}

needs_root()
{
	[ "$ROOT" ] || skip "needs root"
}

# Things that sanitizers forbid or distort: the sandbox, memory sizes, descriptors.
needs_plain_build()
{
	[ "$SANDBOX" = enforce ] || skip "not with sanitizers"
}

# ---- waiting ----

# wait_until SECONDS COMMAND...: 0 as soon as the command succeeds.  That it fails before is no news.
# An idle machine needs no more than that; a busy one has ten times as long, since it proves nothing to
# give up earlier.
wait_until()
{
	poll_for $(($1 * 10)) "${@:2}"
}

# within SECONDS COMMAND...: the same where the time is what is to be shown: see one_of.
within()
{
	poll_for "$@" || too_late
}

# in_time MS MOST: so long it took; see one_of.
in_time()
{
	echo "took $1 ms, of $2"
	[ "$1" -le "$2" ] || too_late
}

too_late()
{
	: > "$TMP/late"
	return 1
}

# one_of TRIES COMMAND...: what is too_late, for within or in_time, may have been held up by a busy machine, and
# is tried again: what is too slow is so each time.  Anything else that fails has failed.
one_of()
{
	local tries=$1 status
	shift
	while :; do
		rm -f "$TMP/late"
		set +e
		(set -e; "$@")
		status=$?
		set -e
		[ $status = 77 ] && exit 77
		[ $status != 0 ] || return 0
		tries=$((tries - 1))
		if [ ! -e "$TMP/late" ] || [ "$tries" = 0 ]; then return 1; fi
	done
}

poll_for()
{
	local end=$(($(now) + $1 * 1000)) polling=yes
	shift
	until "$@" > /dev/null 2>&1; do
		[ "$(now)" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# Milliseconds of the wall clock, as traffic prints them.
now()
{
	local us=${EPOCHREALTIME/[.,]/}
	echo $((us / 1000))
}

# says NAME REGEX: what a background process printed has such a line.
says()
{
	grep -Eq -- "$2" "$TMP/$1.out"
}

# logs REGEX: the daemon's log has such a line, or gets it soon: a role's lines come through the
# supervisor, and what they tell of may be seen before them.
logs()
{
	wait_until 5 says daemon "$1"
}

# last_said NAME REGEX: the last such line.
last_said()
{
	grep -E -- "$2" "$TMP/$1.out" | tail -n 1
}

# expect STATUS COMMAND...: the command exits with exactly this status.
expect()
{
	local wanted=$1 status=0
	shift
	"$@" || status=$?
	echo "exit status $status, wanted $wanted"
	[ "$status" = "$wanted" ] && return
	[ -z "${polling-}" ] || return 1
	# The shell does not look at the status of a command in front of a pipe: prove does.
	echo "$* ended with $status, not $wanted" >> "$TMP/unexpected"
	return 1
}

# deny COMMAND...: the command fails.
deny()
{
	if "$@"; then
		echo "did not fail: $*"
		return 1
	fi
}

# equal A B
equal()
{
	echo "'$1' and '$2'"
	[ "$1" = "$2" ]
}

# ---- processes ----

# What changes to a user, for "${as[@]}" in front of a command; "-" is the user that we are.
become()
{
	as=()
	if [ "$1" != - ] && [ "$1" != "$(id -u)" ]; then
		as=(setpriv --reuid "$1" --regid "$1" --clear-groups --inh-caps=-all --)
	fi
}

as_uid()
{
	local as
	become "$1"
	shift
	"${as[@]}" "$@"
}

# background NAME UID COMMAND...: output to $TMP/NAME.out, pid to NAME.pid, at the end NAME.status.
background()
{
	local name=$1 as
	stop "$name" KILL # an earlier one of this name
	become "$2"
	shift 2
	rm -f "$TMP/$name.pid" "$TMP/$name.status"
	: > "$TMP/$name.out"
	{
		"${as[@]}" "$@" >> "$TMP/$name.out" 2>&1 < /dev/null &
		echo $! > "$TMP/$name.pid.new"
		mv "$TMP/$name.pid.new" "$TMP/$name.pid"
		wait $! && status=0 || status=$?
		echo "$status" > "$TMP/$name.status.new" # whoever sees the file can read it
		mv "$TMP/$name.status.new" "$TMP/$name.status"
	} 9>&- 2> /dev/null &
	wait_until 5 test -f "$TMP/$name.pid"
}

pid_of()
{
	cat "$TMP/$1.pid"
}

# exit_status NAME SECONDS: wait for the end, print the status.
exit_status()
{
	wait_until "$2" test -f "$TMP/$1.status" || return 1
	cat "$TMP/$1.status"
}

# stop NAME [SIGNAL]: end a background process, if it is still there.
stop()
{
	[ -f "$TMP/$1.pid" ] || return 0
	# It may end by itself just now.
	[ -f "$TMP/$1.status" ] || kill -"${2-TERM}" "$(pid_of "$1")" 2> /dev/null || true
	wait_until 10 test -f "$TMP/$1.status"
}

# End what is still there: daemons at once, others in their own way first.
clean_up()
{
	local file name
	trap - EXIT
	for file in "$TMP"/*.pid; do
		name=${file##*/}
		name=${name%.pid}
		if [ ! -f "$file" ] || [ -f "$TMP/$name.status" ]; then continue; fi
		case $name in
		daemon*) ;;
		*)
			kill -TERM "$(cat "$file")" 2> /dev/null
			kill -CONT "$(cat "$file")" 2> /dev/null
			wait_until 3 test -f "$TMP/$name.status"
			;;
		esac
		[ -f "$TMP/$name.status" ] || kill -KILL "$(cat "$file")" 2> /dev/null
		wait_until 5 test -f "$TMP/$name.status"
	done
	if grep -E 'ERROR: [A-Za-z]*Sanitizer|runtime error:|Assertion.*failed' "$TMP"/*.out; then
		echo "not ok - no sanitizer and no assertion has a complaint"
		failed=1
	fi
	if [ $failed = 1 ] && [ "${KEEP-}" ]; then
		echo "# kept: $TMP"
	else
		rm -rf "$TMP"
	fi
	exit $failed
}
trap clean_up EXIT
trap 'failed=1; exit 1' INT TERM

# ---- the daemon ----

# start_daemon [flags...]: with the tests' root as trust, ready to serve when this returns.
# DAEMON_PREFIX is an array: what to put in front, such as prlimit.
DAEMON_PREFIX=()
start_daemon()
{
	launch_daemon daemon "$@" || return 1
	if ! wait_until 10 daemon_serves; then
		echo "not ok - the daemon starts"
		sed 's/^/#   /' "$TMP/daemon.out"
		failed=1
		exit 1
	fi
}

# launch_daemon NAME [flags...]: the same without waiting for it.
launch_daemon()
{
	local name=$1 user=()
	shift
	mkdir -p "$TMP/run"
	if [ "$ROOT" ]; then
		chown "$DAEMON" "$TMP/run"
		user=(--user nobody)
	fi
	background "$name" - "${DAEMON_PREFIX[@]}" tlsbrokerd -d "${user[@]}" --socket "$SOCKET" \
		--trust "$PKI/root.pem" --sandbox="$SANDBOX" "$@"
}

daemon_serves()
{
	as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET"
}

# stop_daemon: it ends in time, with 0, and leaves neither processes nor its socket.
stop_daemon()
{
	local children child
	children=$(pgrep -P "$(pid_of daemon)")
	stop daemon TERM
	equal "$(exit_status daemon 10)" 0 || return 1
	for child in $children; do
		if kill -0 "$child" 2> /dev/null; then
			echo "child $child is still there"
			return 1
		fi
	done
	[ -z "$(ls -A "$TMP/run")" ]
}

# What runs, as JSON, with everything that the daemon's owner may see.
status_json()
{
	as_uid - tlsbroker-cli status --socket "$SOCKET" --json
}

# status JQ-FILTER
status()
{
	status_json | jq -r "$1"
}

# role_pid ROLE: a child of the daemon, by its command line.
role_pid()
{
	pgrep -P "$(pid_of daemon)" -f -- "-x $1 "
}

# worker_pid UID
worker_pid()
{
	status ".workers[] | select(.uid == $1) | .pid"
}

# How often a process has been given a processor: one that spins is so all the time.
turns()
{
	awk '/ctxt_switches/ { sum += $2 } END { print sum }' "/proc/$1/status"
}

count_fds()
{
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

# Kilobytes that belong to one process alone.
private_kb()
{
	awk '/^Private_/ { sum += $2 } END { print sum }' "/proc/$1/smaps_rollup"
}

# ---- its configuration ----

conf=$TMP/etc/tlsbroker.conf

# write_conf: standard input, behind the trust.
write_conf()
{
	mkdir -p "$TMP/etc"
	{
		echo "trust = \"$PKI/root.pem\""
		cat
	} > "$TMP/etc/new"
	mv "$TMP/etc/new" "$conf"
}

# reload [REGEX]: ask for it, and wait for the line that says what came of it.
reload()
{
	local before said=${1:-trust bundle}
	before=$(grep -Ec "$said" "$TMP/daemon.out" || true)
	kill -HUP "$(pid_of daemon)"
	one_more() { [ "$(grep -Ec "$said" "$TMP/daemon.out")" -gt "$before" ]; }
	wait_until 5 one_more
}

# ---- clients ----

# client ARGS...: the command line tool as the client's user, with our CA as system trust.
client()
{
	as_uid "$CLIENT" tlsbroker-cli connect --socket "$SOCKET" --eof-wait "${EOF_WAIT:-0}" "$@"
}

# connects_as UID PORT [flags...]: the same as any user; $TMP/told is what it says.
connects_as()
{
	local uid=$1 port=$2
	shift 2
	as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v "$@" \
		"localhost:$port" > "$TMP/told" 2>&1 < /dev/null
}

# is_refused UID PORT STATUS TEXT [flags...]: it ends like that, and says so.
is_refused()
{
	local uid=$1 port=$2 status=$3 text=$4
	shift 4
	expect "$status" connects_as "$uid" "$port" "$@"
	grep -F -e "$text" "$TMP/told"
}

# traffic_as UID ARGS...
traffic_as()
{
	local uid=$1
	shift
	as_uid "$uid" traffic --socket "$SOCKET" "$@"
}

# load NAME UID ARGS...: traffic in the background; returns when all its sessions are established.
load()
{
	local name=$1 uid=$2
	shift 2
	background "$name" "$uid" traffic --socket "$SOCKET" "$@"
	wait_until 60 says "$name" '^(established|failed)'
	says "$name" '^established'
}

# witness NAME UID ARGS...: a load to be disturbed, if anything is: its sessions have their turn a hundred times
# a second, not as often as they can, which would keep a processor from what is tested.
witness()
{
	load "$1" "$2" --pause 10 "${@:3}"
}

# lives NAME: the load goes on without a failure.
lives()
{
	[ ! -f "$TMP/$1.status" ] && ! says "$1" '^failed'
}

# ends_well NAME: an endless load stops on SIGTERM, and everything that was sent came back.
ends_well()
{
	stop "$1" TERM
	equal "$(exit_status "$1" 30)" 0 || { tail -n 3 "$TMP/$1.out"; return 1; }
}

# ---- servers; each sets PORT ----

# start_peer NAME CERTIFICATE [options...]
start_peer()
{
	local name=$1 certificate=$2
	shift 2
	background "$name" - tlspeer --weak --cert "$PKI/$certificate.pem" \
		--key "$PKI/$certificate.key" "$@"
	wait_until 5 says "$name" '^listening'
	PORT=$(last_said "$name" '^listening' | cut -d ' ' -f 2)
}

# start_openssl NAME CERTIFICATE [options...]: s_server that sends lines back reversed.
start_openssl()
{
	local name=$1 certificate=$2
	shift 2
	background "$name" - openssl s_server -accept 127.0.0.1:0 -cert "$PKI/$certificate.pem" \
		-cert_chain "$PKI/$certificate.pem" -key "$PKI/$certificate.key" -rev "$@"
	wait_until 5 says "$name" '^ACCEPT'
	PORT=$(last_said "$name" '^ACCEPT' | sed 's/.*://')
}

# The port that the process of NAME listens on.
listening_port()
{
	ss -Hltnp4 | sed -n "s/.*:\([0-9]*\) .*pid=$(pid_of "$1"),.*/\1/p" | head -n 1
}

has_port()
{
	[ -n "$(listening_port "$1")" ]
}

# start_gnutls NAME CERTIFICATE [options...]: gnutls-serv that sends everything back.
start_gnutls()
{
	local name=$1 certificate=$2
	shift 2
	background "$name" - gnutls-serv --echo -p 0 --x509certfile "$PKI/$certificate.pem" \
		--x509keyfile "$PKI/$certificate.key" "$@"
	wait_until 5 has_port "$name"
	PORT=$(listening_port "$name")
}

# A port that was free a moment ago, for servers that cannot choose one.
free_port()
{
	local port
	for ((port = 20000 + RANDOM % 20000; ; port++)); do
		[ -n "$(ss -Hltn "sport = :$port")" ] || break
	done
	echo "$port"
}

# start_nginx NAME CERTIFICATE [directives]: GET below $TMP/www, PUT to /put/.
start_nginx()
{
	local name=$1 certificate=$2 directives=${3-} dir=$TMP/$1 port
	mkdir -p "$dir/put" "$dir/tmp" "$TMP/www"
	port=$(free_port)
	[ -z "$ROOT" ] || chown -R nobody "$dir"
	cat > "$dir/nginx.conf" <<-END
		${ROOT:+user nobody nogroup;}
		daemon off;
		worker_processes 2;
		pid $dir/nginx.pid;
		error_log $dir/error.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $dir/tmp;
			proxy_temp_path $dir/tmp;
			fastcgi_temp_path $dir/tmp;
			uwsgi_temp_path $dir/tmp;
			scgi_temp_path $dir/tmp;
			client_max_body_size 0;
			server {
				listen 127.0.0.1:$port ssl;
				ssl_certificate $PKI/$certificate.pem;
				ssl_certificate_key $PKI/$certificate.key;
				root $TMP/www;
				$directives
				location /put/ {
					root $dir;
					dav_methods PUT;
				}
			}
		}
	END
	background "$name" - nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf"
	wait_until 10 nginx_listens "$port"
	PORT=$port
}

nginx_listens()
{
	[ -n "$(ss -Hltn "sport = :$1")" ]
}
