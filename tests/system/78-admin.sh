#!/bin/bash
# sessions, badges, kill and reload: who may see and end what.  Four users: 61001 and 61002 share a badge,
# 61003 has one, 61004 is an administrator.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - administration by four users: needs root"
	exit 0
fi

# ask UID COMMAND [ARGS...]
ask()
{
	local uid=$1 command=$2
	shift 2
	as_uid "$uid" tlsbroker-cli "$command" --socket "$SOCKET" "$@"
}

# listed UID JQ-FILTER: of the sessions that this user sees.
listed()
{
	ask "$1" sessions --json | jq -r "$2"
}

# first UID [USER]: the number of a session of USER's that UID sees.
first()
{
	listed "$1" "[.sessions[] | select(.uid == ${2-$1})][0].session"
}

usual_conf()
{
	write_conf <<-END
		badge "shared" { match = { "uid:61001", "uid:61002" } }
		badge "own" { match = "uid:61003" }
		badge "admin" {
			match = "uid:61004"
			admin = yes
		}
		badge "root" { match = "user:root" }
	END
}

usual_conf
start_daemon --config "$conf"
start_peer peer good
witness one 61001 --sessions 3 localhost "$PORT" echo 0
witness two 61002 --sessions 2 localhost "$PORT" echo 0
witness three 61003 --sessions 40 localhost "$PORT" echo 0

own_only()
{
	equal "$(listed 61001 '[.sessions[].uid] | unique | .[]')" 61001
	equal "$(listed 61001 '.sessions | length')" 3
	equal "$(listed 61002 '[.sessions[] | .uid, .badge] | unique | map(tostring) | join(" ")')" \
		"61002 shared"
	equal "$(listed 61003 '.sessions | length')" 40
	equal "$(listed 61003 '[.sessions[].session] | unique | length')" 40
	equal "$(listed 0 '.sessions | length')" 0
	listed 61001 ".sessions[] | select(.server == \"localhost:$PORT\" and .state == \"established\"
		and .client_pid == $(pid_of one) and (.address | endswith(\":$PORT\")) and .bytes_read > 0)
		| .session" | wc -l | grep -x 3
	equal "$(ask 61001 badges --json | jq -r '.badges[] | "\(.badge) \(.admin)"')" "shared false"
}
prove "who is no administrator sees the sessions of the own badge and user, and no others" own_only

all_of_them()
{
	equal "$(listed 61004 '.sessions | length')" 45
	equal "$(listed 61004 '[.sessions[].session] | unique | length')" 45
	equal "$(listed 61004 '[.sessions[] | "\(.uid) \(.badge)"] | unique | join(",")')" \
		"61001 shared,61002 shared,61003 own"
	equal "$(ask 61004 badges --json |
		jq -r '.badges[] | "\(.badge) \(.admin) \(.workers) \(.sessions)"' | tr '\n' ,)" \
		"shared false 2 5,own false 1 40,admin true 1 0,root false 1 0,"
	# The number is the one that the log has.
	logs " session=$(first 61004 61003 | sed 's/\./\\./') "
	# For people.
	ask 61004 sessions | grep -Eq "^$(first 61004 61002) +shared +61002 +$(pid_of two) +established .* localhost:$PORT "
	ask 61004 badges | grep -Eq '^own +[0-9]+ +no +1 +1 +40$'
	# The administrator sees all workers, too.
	equal "$(as_uid 61004 tlsbroker-cli status --socket "$SOCKET" --json | jq '.workers | length')" 5
	equal "$(as_uid 61003 tlsbroker-cli status --socket "$SOCKET" --json | jq '.workers | length')" 1
}
prove "an administrator sees all, however many there are" all_of_them

denied()
{
	local id
	id=$(first 61004 61002)
	# Who shares the badge is another user, and so is root, who is no exception.
	for uid in 61001 61003 0; do
		expect 6 ask "$uid" kill "$id" 2>&1 | grep -F 'admin: badge '
		expect 6 ask "$uid" reload 2>&1 | grep -F 'admin: badge '
		# What is not there is told like what is somebody else's.
		expect 6 ask "$uid" kill 4711.1 2>&1 | grep -F 'admin: badge '
	done
	lives one
	lives two
	lives three
	deny says daemon 'a session is to end|is to be read again'
}
prove "who is no administrator ends no other's session, and reloads nothing" denied

own_kill()
{
	local id
	id=$(first 61003)
	expect 0 ask 61003 kill "$id" | grep -x "session $id has ended"
	logs "a session is to end badge=own uid=61003 session=${id/./\\.}$"
	logs "NOTICE worker.*: ended by hand.* badge=own .* session=${id/./\\.} .* outcome=POLICY step=data"
	wait_until 5 says three '^failed .*errno=EACCES'
	equal "$(listed 61003 "[.sessions[] | select(.session == \"$id\")] | length")" 0
	expect 2 ask 61003 kill "$id" 2>&1 | grep -F 'that session is not there, or not any more'
	stop three
	lives one
	lives two
}
prove "everybody ends an own one; its program hears of it, and the audit" own_kill

admin_kill()
{
	local id
	id=$(first 61004 61002)
	ask 61004 kill "$id" --json | jq -e '.done'
	wait_until 5 says two '^failed .*errno=EACCES.*ended by hand'
	stop two
	lives one
	expect 2 ask 61004 kill 4711.1 2>&1 | grep -F 'there is no session 4711.1'
}
prove "an administrator ends any" admin_kill

reloads()
{
	expect 0 ask 61004 reload | grep -x 'the new configuration is in force'
	logs 'the configuration is to be read again badge=admin uid=61004$'
	write_conf <<-END
		badge "shared" { match = { "uid:61001" } }
		badge "own" { macth = "uid:61003" }
		min-version = TLSv1.4
	END
	expect 2 ask 61004 reload 2> "$TMP/err"
	cat "$TMP/err"
	grep -F "tlsbroker-cli: $conf:3: " "$TMP/err"
	grep -F "tlsbroker-cli: $conf:4: min-version" "$TMP/err"
	equal "$(tail -n 1 "$TMP/err" | sed 's/[0-9]*$//')" \
		'tlsbroker-cli: the old configuration is kept: errors: '
	ask 61004 reload --json > "$TMP/json" 2> /dev/null && exit 1
	jq -e '.done == false and (.errors | length) >= 2' "$TMP/json"
	ask 61004 badges --json | jq -e '.badges | length == 4'
	lives one
	usual_conf
	ask 61004 reload --json | jq -e '.done and (.errors | length) == 0'
	lives one
}
prove "reload says that it was done, or all that is wrong" reloads

taken_away()
{
	write_conf <<-END
		badge "shared" { match = { "uid:61001", "uid:61002" } }
		badge "admin" { match = "uid:61004" }
	END
	expect 0 ask 61004 reload
	expect 6 ask 61004 reload 2>&1 | grep -F 'admin: badge admin may not have the configuration read again'
	equal "$(listed 61004 '.sessions | length')" 0
	lives one
}
prove "who is an administrator, the configuration in force says, not the connection" taken_away

hung_worker()
{
	needs_plain_build
	usual_conf
	reload
	witness two 61002 --sessions 2 localhost "$PORT" echo 0
	as_uid "$DAEMON" kill -STOP "$(worker_pid 61001)"
	equal "$(listed 61004 '[.sessions[].uid] | unique | .[]')" 61002
	as_uid "$DAEMON" kill -CONT "$(worker_pid 61001)"
	equal "$(listed 61004 '[.sessions[].uid] | unique | join(" ")')" "61001 61002" ||
		equal "$(listed 61004 '[.sessions[].uid] | unique | map(tostring) | join(" ")')" "61001 61002"
	ends_well two
}
prove "a worker that does not answer does not hide the others" hung_worker

no_conf()
{
	ends_well one
	stop_daemon
	start_daemon
	witness one 61001 --sessions 2 localhost "$PORT" echo 0
	equal "$(listed 0 '.sessions | length')" 2
	equal "$(listed "$DAEMON" '.sessions | length')" 2
	equal "$(listed 61002 '.sessions | length')" 0
	expect 6 ask 61002 reload 2>&1 | grep -F 'admin: badge uid:61002 may not'
	expect 0 ask 0 reload
	equal "$(ask 61001 badges --json | jq -r '.badges[].badge')" uid:61001
	ask 0 badges --json | jq -e '[.badges[].badge] | contains(["uid:61001", "uid:0"])'
	ends_well one
}
prove "without a configuration root and the daemon's own user are administrators" no_conf

prove "it stops without leaving anything" stop_daemon
