#!/bin/bash
# The audit: each session leaves one record, whatever became of it.  Four users: 61001 to 61004.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - the audit of four users: needs root"
	exit 0
fi

write_conf <<-END
	allow-insecure = yes
	badge "one" { match = "uid:61001" }
	badge "two" {
		match          = { "uid:61002", "uid:61003" }
		allow-insecure = no
	}
	badge "four" {
		match        = "uid:61004"
		destinations = "localhost:443"
		private      = yes
	}
	badge "root" { match = "user:root" }
END
start_daemon --config "$conf"
start_peer peer good
good=$PORT

# records REGEX...: the audit records in which all of these occur.
records()
{
	local found regex
	found=$(grep -F ' event=session ' "$TMP/daemon.out")
	for regex; do
		found=$(grep -E -- "$regex" <<< "$found")
	done
	echo "$found"
}

one_record()
{
	[ "$(records "$@" | grep -c .)" = 1 ]
}

# leaves REGEX...: before long there is one such record, and no more.
leaves()
{
	wait_until 5 one_record "$@" || { records; return 1; }
}

# tls UID ARGS...
tls()
{
	local uid=$1
	shift
	as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 "$@" < /dev/null
}

whole()
{
	expect 0 traffic_as 61001 localhost "$good" down 12345
	leaves "server=localhost:$good" 'bytes_read=12345'
	leaves 'INFO worker' 'badge=one uid=61001 ' 'client=[0-9]+ session=[0-9]+\.1 ' \
		"server=localhost:$good address=(127.0.0.1|\[::1\]):$good name=localhost " \
		'version=TLSv1.3 cipher=TLS_[A-Z0-9_]+ resumed=0 outcome=ok' \
		'bytes_read=12345 bytes_written=[0-9]+ ms=[0-9]+$'
	deny grep -q 'step=' <<< "$(records)"
}
prove "a session that ends well: who, where to, what was verified and agreed, how much, how long" whole

resumed()
{
	expect 0 traffic_as 61001 localhost "$good" down 12346
	leaves 'session=[0-9]+\.2 ' 'name=localhost ' 'resumed=1' 'bytes_read=12346'
}
prove "a resumed one" resumed

shared_badge()
{
	expect 0 traffic_as 61002 localhost "$good" down 777
	expect 0 traffic_as 61003 localhost "$good" down 777
	leaves 'badge=two uid=61002 ' 'bytes_read=777'
	leaves 'badge=two uid=61003 ' 'bytes_read=777'
	# The number of a session says which worker's it is.
	equal "$(records 'bytes_read=777' | grep -Eo 'session=[0-9]+' | sort -u | wc -l)" 2
}
prove "two users of one badge" shared_badge

unverified()
{
	start_peer strange unknown-ca
	expect 0 traffic_as 61001 --insecure localhost "$PORT" down 10
	leaves "server=localhost:$PORT " 'version=' 'outcome=ok'
	deny grep -q ' name=' <<< "$(records "server=localhost:$PORT ")"
}
prove "where nothing was verified there is no verified name" unverified

other_name()
{
	expect 0 traffic_as 61001 --name localhost 127.0.0.1 "$good" down 10
	leaves "server=127.0.0.1:$good address=127.0.0.1:$good name=localhost "
}
prove "the name is the one that was verified, not the one that was dialled" other_name

failed_at()
{
	local step=$1 outcome=$2
	shift 2
	leaves 'NOTICE worker' "step=$step" "outcome=$outcome" 'uid=6100[1-4]' "$@"
}

steps()
{
	local port
	expect 6 tls 61002 --insecure "localhost:$good"
	failed_at request POLICY 'uid=61002' "server=localhost:$good"
	expect 6 tls 61004 "localhost:$good"
	failed_at request POLICY 'uid=61004' 'destinations: '
	tls 61001 "no-such-name.invalid:443" || true
	failed_at lookup 'DNS(_SERVER)?|TIMEOUT' 'server=no-such-name.invalid:443'
	port=$(free_port)
	expect 3 tls 61001 "localhost:$port"
	failed_at connect REFUSED "server=localhost:$port"
	start_peer junk good --junk
	expect 5 tls 61001 "localhost:$PORT"
	failed_at handshake NOT_TLS "server=localhost:$PORT" "address=.*:$PORT"
	start_peer expired expired
	expect 4 tls 61001 "localhost:$PORT"
	failed_at verify CERT_EXPIRED "server=localhost:$PORT"
	expect 1 traffic_as 61001 localhost "$good" raw "truncate 5000"
	failed_at data TRUNCATED "server=localhost:$good" 'name=localhost version=TLS' 'bytes_read=5000'
}
prove "what failed says at which step, and what was known by then" steps

long_session()
{
	witness long 61003 --sessions 2 localhost "$good" echo 0
	deny one_record 'uid=61003 ' 'bytes_read=[0-9]{4,}'
	as_uid "$DAEMON" kill -KILL "$(worker_pid 61003)"
	logs 'ERROR worker.*: died, and its sessions with it: worker [0-9]+ had 2 badge=two uid=61003 '
	stop long
}
prove "a worker that dies: one line for all of its sessions, and how many there were" long_session

journal()
{
	equal "$(status '.counters.audits_lost')" 0
	equal "$(records | grep -Eo 'session=[0-9.]+' | sort | uniq -d)" ""
}
prove "no number comes twice, and none is lost" journal

prove "it stops without leaving anything" stop_daemon
