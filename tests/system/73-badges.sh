#!/bin/bash
# Badges: who has which, in the order of the file; quotas of one that leave another alone; reload.  Four
# users: 61001 to 61004, the third also in group 61900.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - badges of four users: needs root"
	exit 0
fi

# in_group UID GROUPS COMMAND...: with these supplementary groups.
in_group()
{
	local uid=$1 groups=$2
	shift 2
	setpriv --reuid "$uid" --regid "$uid" --groups "$groups" --inh-caps=-all -- "$@"
}

# connects UID GROUPS: a session, a line there and back.
connects()
{
	printf 'echo\nx\n' | in_group "$1" "$2" tlsbroker-cli connect --socket "$SOCKET" \
		--eof-wait 0 "localhost:$PORT" 2>&1 | tee "$TMP/connected" | grep -qx x
}

# is_told UID GROUPS STATUS TEXT: why there is no session.
is_told()
{
	expect "$3" in_group "$1" "$2" tlsbroker-cli connect --socket "$SOCKET" "localhost:$PORT" \
		> "$TMP/told" 2>&1 < /dev/null
	grep -F "$4" "$TMP/told"
}

# badge_of COMMAND...: what the daemon calls the user that this command changes to.
badge_of()
{
	"$@" tlsbroker-cli status --socket "$SOCKET" --json | jq -r .badge
}


write_conf <<-END
	max-connections = 900
	badge "one" {
		match = { "uid:61001" }
		max-sessions = 3
		max-connections = 2
	}
	badge "team" {
		match = { "gid:61900", "uid:61002" }
		max-sessions-per-second = 4
	}
	badge "both" {
		match = { "uid:61002", "gid:61004" }
		max-memory = 64K
	}
	badge "admin" { match = "uid:0" }
END

# The first client that lib.sh looks with is 61001.
start_daemon --config "$conf"
start_peer good good

first_match()
{
	equal "$(badge_of in_group 61001 61999)" one
	equal "$(badge_of in_group 61001 61900)" one
	equal "$(badge_of in_group 61002 61999)" team
	equal "$(badge_of in_group 61003 5,61900,7)" team
	equal "$(badge_of in_group 61004 61999)" both
}
prove "the first badge that matches: by user, by group, by supplementary group" first_match

no_match()
{
	is_told 61003 61999 6 'match: no badge of the configuration is for user 61003'
	logs 'NOTICE frontdoor.*match: no badge of the configuration is for user 61003'
	is_told 65534 61999 6 'match: no badge'
}
prove "who matches none is refused, and both it and the log hear why" no_match

one_worker_each()
{
	connects 61002 61999
	connects 61003 61900
	equal "$(status '[.workers[] | select(.badge == "team") | .uid] | sort | join(" ")')" \
		'61002 61003'
	equal "$(status '[.workers[] | select(.badge == "team") | .pid] | unique | length')" 2
	equal "$(status '[.workers[] | select(.badge == "team") | .badge_number] | unique | .[]')" 2
	equal "$(status '.workers[] | select(.uid == 61001) | .badge_number')" 1
}
prove "one worker for each badge and user; names and numbers are in the status" one_worker_each

kernel_only()
{
	# A program's environment and what it says of itself change nothing.
	equal "$(badge_of env USER=root LOGNAME=root TLSBROKER_BADGE=team \
		setpriv --reuid 61001 --regid 61001 --clear-groups --inh-caps=-all --)" one
}
prove "case 10: a badge is the kernel's word, not the program's" kernel_only

inherited()
{
	# shellcheck disable=SC2016  # expands in the inner shell
	equal "$(in_group 61004 61999 bash -c '
		tlsbroker-cli status --socket "$1" --json' sh "$SOCKET" | jq -r .badge)" both
}
prove "case 10: so does a child" inherited

background other 61004 traffic --pause 10 --socket "$SOCKET" --sessions 1 localhost "$PORT" echo 0
wait_until 20 says other '^established'
prove "a user of another badge works meanwhile" lives other

sessions()
{
	background three 61001 traffic --pause 10 --socket "$SOCKET" --sessions 3 localhost "$PORT" echo 0
	wait_until 20 says three '^established'
	is_told 61001 61999 6 'max-sessions: this user has 3 sessions open; the limit is 3'
	lives three
	lives other
	stop three
	connects 61001 61999
}
prove "max-sessions: three, and not a fourth" sessions

connections()
{
	background held 61001 traffic --pause 10 --socket "$SOCKET" --sessions 1 localhost "$PORT" echo 0
	wait_until 20 says held '^established'
	background again 61001 traffic --pause 10 --socket "$SOCKET" --sessions 1 localhost "$PORT" echo 0
	wait_until 20 says again '^established'
	is_told 61001 61999 6 'max-connections: badge one, user 61001 has 2 clients connected'
	lives other
	stop held
	stop again
	wait_until 5 connects 61001 61999
}
prove "max-connections: two programs, and not a third" connections

rate()
{
	local said
	said=$(in_group 61002 61999 traffic --socket "$SOCKET" --sessions 5 localhost "$PORT" \
		echo 100 2>&1 || true)
	lives other
	sleep 1.1 # what the rule is about
	# Five in more than a second are not too many.
	grep 'max-sessions-per-second: this user began 4 sessions within a second; the limit is 4' \
		<<< "$said" || too_late
	in_group 61002 61999 traffic --socket "$SOCKET" --sessions 4 localhost "$PORT" echo 100
}
prove "max-sessions-per-second: four, and not a fifth, until a second has passed" one_of 10 rate

memory()
{
	background bystander 61001 traffic --pause 10 --socket "$SOCKET" --sessions 1 localhost "$PORT" echo 0
	wait_until 20 says bystander '^established'
	# 64 KiB are the smallest rings of two sessions; one is there.
	background second 61004 traffic --pause 10 --socket "$SOCKET" --sessions 1 localhost "$PORT" echo 0
	wait_until 20 says second '^established'
	is_told 61004 61999 6 'max-memory: the sessions of this user share 65536 bytes; the limit is 65536'
	lives other
	lives bystander
	stop second
	stop bystander
}
prove "max-memory: the rings of two sessions, and not of a third" memory

# ---- reload ----

numbers_stay()
{
	write_conf <<-END
		badge "new" { match = "uid:61003" }
		badge "both" { match = { "uid:61002", "gid:61004" } }
		badge "one" { match = "uid:61001" }
		badge "admin" { match = { "user:root", "group:root" } } # looked up inside the sandbox
	END
	reload
	equal "$(badge_of in_group 61002 61999)" both
	equal "$(badge_of in_group 61003 61900)" new
	lives other
	equal "$(status '.workers[] | select(.badge == "one") | .badge_number')" 1
	equal "$(status '[.workers[] | select(.badge == "both") | .badge_number] | unique | .[]')" 3
	equal "$(status '.workers[] | select(.badge == "new") | .badge_number')" 5
	for _ in 1 2 3 4; do
		connects 61001 61999
	done
}
prove "after a reload: the new rules in their order; who stays keeps number, worker and sessions" numbers_stay

badge_gone()
{
	write_conf <<-END
		badge "one" { match = "uid:61001" }
	END
	reload
	is_told 61004 61999 6 'match: no badge'
	wait_until 10 test -f "$TMP/other.status"
	logs 'its badge has gone'
	connects 61001 61999
}
prove "a badge that has gone takes its sessions with it" badge_gone

frontdoor_dies()
{
	needs_plain_build
	kill -KILL "$(role_pid frontdoor)"
	wait_until 5 connects 61001 61999
	equal "$(badge_of in_group 61001 61999)" one
	is_told 61003 61999 6 'match: no badge'
}
prove "a new frontdoor has the same rules before it lets anybody in" frontdoor_dies

no_badges_again()
{
	write_conf < /dev/null
	reload
	equal "$(badge_of in_group 61003 61999)" uid:61003
	equal "$(badge_of in_group 61001 61999)" uid:61001
	connects 61004 61999
}
prove "without badges each user is one" no_badges_again

unknown_user()
{
	write_conf <<-END
		badge "one" {
			match = { "user:roott" }
		}
	END
	expect 1 tlsbrokerd --user nobody -n --config "$conf" 2>&1 |
		grep -F "$conf:3: match: there is no user \"roott\" in /etc/passwd; did you mean root?"
	write_conf <<-END
		badge "one" { match = { "user:root", "group:root", any } }
	END
	expect 0 tlsbrokerd --user nobody -n --config "$conf"
}
prove "-n looks users and groups up" unknown_user

prove "it stops without leaving anything" stop_daemon
