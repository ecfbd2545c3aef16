#!/bin/bash
# A badge with several workers: sessions of one program and of several land on all of them; one that dies
# takes its own sessions along; limits are those of all; reload to fewer and to more.
# Tags: asan
# Limit: 120 s
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - several workers for badges of three users: needs root"
	exit 0
fi

# busy_conf WORKERS
busy_conf()
{
	write_conf <<-END
		badge "busy" {
			match           = "uid:61001"
			workers         = $1
			max-sessions    = 12
			max-connections = 7
		}
		badge "quiet" { match = "uid:61002" }
		badge "admin" {
			match = "user:root"
			admin = yes
		}
	END
}

# busy FILTER: of the busy badge's workers, in the order in which they were made.
busy()
{
	status "[.workers[] | select(.badge == \"busy\" and .state == \"running\")] | sort_by(.worker) | $1"
}

# has FILTER RESULT: soon.
has()
{
	local filter=$1 result=$2
	so() { [ "$(busy "$filter")" = "$result" ]; }
	wait_until 20 so || { busy .; return 1; }
}

# connects: a session, a line there and back.
connects()
{
	printf 'echo\nx\n' | as_uid 61001 tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 \
		"localhost:$PORT" 2>&1 | tee "$TMP/connected" | grep -qx x
}

# one NAME: a program with one session.
one()
{
	witness "$1" 61001 --sessions 1 localhost "$PORT" echo 0
}

# spread NAME SESSIONS: a program with so many, that knows of the workers before it begins.
spread()
{
	witness "$1" 61001 --greeted --sessions "$2" localhost "$PORT" echo 0
}

busy_conf 4
start_daemon --config "$conf"
start_peer peer good
witness other 61002 --sessions 3 localhost "$PORT" echo 0

quiet()
{
	for _ in 1 2 3; do
		has 'map(.clients) | add' 0
		connects
	done
	has length 1
}
prove "programs that come one after the other have one worker" quiet

several_programs()
{
	local i
	for i in 1 2 3 4; do
		one "p$i"
	done
	has 'map("\(.clients) \(.sessions)") | join(",")' '1 1,1 1,1 1,1 1'
	one p5
	has 'map(.clients) | sort | join(" ")' '1 1 1 2'
	for i in 1 2 3 4 5; do
		ends_well "p$i"
	done
	has 'map(.clients) | add' 0
}
prove "several programs: each has a worker of its own, up to four" several_programs

one_program()
{
	spread crowd 8
	has 'map("\(.clients) \(.sessions)") | join(",")' '1 2,1 2,1 2,1 2'
	equal "$(as_uid - tlsbroker-cli badges --socket "$SOCKET" --json |
		jq -r '.badges[] | select(.badge == "busy") | "\(.workers) \(.clients) \(.sessions)"')" '4 4 8'
}
prove "one program's sessions are on all four; badges counts them once" one_program

listed_and_ended()
{
	local id
	as_uid - tlsbroker-cli sessions --socket "$SOCKET" --json > "$TMP/listed"
	equal "$(jq '[.sessions[] | select(.badge == "busy") | .session] | unique | length' "$TMP/listed")" 8
	id=$(jq -r '[.sessions[] | select(.badge == "busy")][5].session' "$TMP/listed")
	as_uid - tlsbroker-cli kill --socket "$SOCKET" "$id"
	wait_until 5 says crowd '^failed'
	has 'map(.sessions) | sort | join(" ")' '1 2 2 2'
}
prove "all of them are listed, and each can be ended" listed_and_ended

one_dies()
{
	local pid
	pid=$(busy 'map(select(.sessions == 2))[0].pid')
	as_uid "$DAEMON" kill -KILL "$pid"
	has 'map("\(.clients) \(.sessions)") | sort | join(",")' '1 1,1 2,1 2'
	so_many() { [ "$(grep -c '^failed' "$TMP/crowd.out")" = "$1" ]; }
	wait_until 5 so_many 3
	equal "$(grep -c '^failed .* errno=ECONNRESET code=2 ' "$TMP/crowd.out")" 2
	lives other
	# The next ones have another worker in its place.
	one next
	has 'map("\(.clients) \(.sessions)") | sort | join(",")' '1 1,1 1,1 2,1 2'
	so_many 3
	ends_well next
	stop crowd
	says crowd '^done ok=5 failed=3 '
	has 'map(.clients) | add' 0
}
prove "one worker is killed: two sessions end, the others go on, and the next have another" one_dies

sessions_in_all()
{
	spread full 12
	has 'map(.sessions) | join(" ")' '3 3 3 3'
	is_refused 61001 "$PORT" 6 'max-sessions: this user has 3 sessions open in one worker of several, each with its share; the limit is 3'
	lives full
	lives other
	ends_well full
	has 'map(.clients) | add' 0
}
prove "max-sessions are those of all workers: twelve, and not a thirteenth" sessions_in_all

connections_in_all()
{
	local i
	spread four 4
	for i in 1 2 3; do
		one "c$i"
	done
	has 'map(.clients) | add' 7
	is_refused 61001 "$PORT" 6 'max-connections: badge busy, user 61001 has 7 clients connected'
	lives four
	for i in four c1 c2 c3; do
		ends_well "$i"
	done
	has 'map(.clients) | add' 0
}
prove "max-connections are those of all workers: seven, and not an eighth" connections_in_all

fewer()
{
	spread crowd 8
	has 'map(.sessions) | join(" ")' '2 2 2 2'
	busy_conf 1
	reload
	# Nobody is sent away; who comes now is served by one of them, which has its share yet.
	one c1
	has 'map(.clients) | sort | join(" ")' '1 1 1 2'
	is_refused 61001 "$PORT" 6 'max-sessions: this user has 3 sessions open in one worker of several'
	lives crowd
	ends_well crowd
	has 'map("\(.clients) \(.sessions)") | join(",")' '1 1'
	lives c1
	one c2
	# Its share is all now.
	witness most 61001 --sessions 10 localhost "$PORT" echo 0
	is_refused 61001 "$PORT" 6 'max-sessions: this user has 12 sessions open; the limit is 12'
	ends_well most
	ends_well c1
	ends_well c2
	spread crowd 8
	has 'map("\(.clients) \(.sessions)") | join(",")' '1 8'
	ends_well crowd
	lives other
}
prove "reload to one worker: no session ends, the others go when they have no program" fewer

more()
{
	witness before 61001 --sessions 12 localhost "$PORT" echo 0
	busy_conf 3
	reload
	has length 1
	# None of its sessions ends, though they are all that there may be, and the others have their shares.
	one c1
	one c2
	has 'map("\(.clients) \(.sessions)") | join(",")' '1 12,1 1,1 1'
	lives before
	for i in before c1 c2; do
		ends_well "$i"
	done
	has 'map(.clients) | add' 0
	spread crowd 6
	has 'map(.sessions) | join(" ")' '2 2 2'
	ends_well crowd
}
prove "reload to three: more come when there are clients for them" more

frontdoor_dies()
{
	needs_plain_build
	spread crowd 6
	has 'map(.sessions) | join(" ")' '2 2 2'
	kill -KILL "$(role_pid frontdoor)"
	wait_until 5 connects
	has 'map(.clients) | sort | join(" ")' '1 1 1'
	lives crowd
	one c1
	has 'map(.clients) | sort | join(" ")' '1 1 2'
	ends_well c1
	ends_well crowd
}
prove "a new frontdoor knows which is which" frontdoor_dies

bystander()
{
	ends_well other
	equal "$(status '[.workers[] | select(.badge == "quiet")] | length')" 1
}
prove "another badge has one worker, and noticed nothing" bystander

shown()
{
	expect 0 tlsbrokerd --user nobody -T --config "$conf" > "$TMP/printed"
	grep -E '^[[:space:]]*workers = "3"' "$TMP/printed"
	as_uid 61001 tlsbroker-cli explain --socket "$SOCKET" --json "localhost:$PORT" > "$TMP/json"
	jq -e ".settings.workers == [{word: \"3\", place: \"$conf:4\"}]" "$TMP/json"
	busy_conf $(($(limit BADGE_WORKERS) + 1))
	expect 1 tlsbrokerd --user nobody -n --config "$conf" 2>&1 | grep -F 'workers: "17" is not from 1 to 16'
	busy_conf 13
	expect 1 tlsbrokerd --user nobody -n --config "$conf" 2>&1 |
		grep -F "$conf:4: workers: with max-sessions and max-memory there can be 12 sessions, which 13 workers cannot share"
}
prove "-T and explain show it; more than there are sessions are an error" shown

prove "it stops without leaving anything" stop_daemon
