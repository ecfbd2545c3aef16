#!/bin/bash
# What "tlsbroker-cli explain" says is what is done: which badge, by which rule, where that may connect to,
# and what is in force then.  Users 61001 to 61005; 61004 is an administrator.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ] || ! unshare -m true 2> /dev/null ||
	[ "$(readlink /proc/self/ns/net)" = "$(readlink /proc/1/ns/net)" ]; then
	echo "skip - explanations for five users: needs root, a network and a mount namespace"
	exit 0
fi

start_peer good good
printf '127.0.0.1 localhost good.test other.test a.wild.test\n127.0.0.2 b.wild.test\n' > "$TMP/hosts"
printf 'nameserver 127.0.0.53\noptions timeout:1 attempts:1\n' > "$TMP/resolv.conf"
# shellcheck disable=SC2016  # expands in the inner shell
DAEMON_PREFIX=(unshare -m sh -c 'mount --bind "$1" /etc/resolv.conf &&
	mount --bind "$2" /etc/hosts && shift 2 && exec "$@"' sh "$TMP/resolv.conf" "$TMP/hosts")

write_conf <<-END
	min-version = TLSv1.3
	badge "api" {
		match        = { "uid:61099",
		                 "uid:61001" }
		destinations = { "good.test:$PORT",
		                 "*.wild.test:$PORT",
		                 "127.0.0.7:7" }
		private      = yes
		max-sessions = 17
		min-version  = TLSv1.2
	}
	badge "late" { match = { "uid:61001", "user:root" } }
	badge "range" {
		match        = { "gid:61902", "uid:61002" }
		destinations = { "*.test:$PORT", "127.0.0.1:1-65535" }
	}
	badge "closed" {
		match        = { "uid:61003" }
		destinations = { }
	}
	badge "admin" {
		match = { "uid:61004" }
		admin = yes
	}
END
start_daemon --config "$conf"

# explain UID [ARGS...]
explain()
{
	local uid=$1
	shift
	as_uid "$uid" tlsbroker-cli explain --socket "$SOCKET" "$@"
}

# told UID JQ-FILTER [ARGS...]: of the answer, also when that is no.
told()
{
	local uid=$1 filter=$2
	shift 2
	explain "$uid" --json "$@" 2> /dev/null | jq -r "$filter"
}

myself()
{
	equal "$(told 61001 '"\(.badge.word) \(.badge.place)"' "good.test:$PORT")" "api $conf:3"
	equal "$(told 61001 '"\(.match.word) \(.match.place)"' "good.test:$PORT")" "uid:61001 $conf:5"
	equal "$(told 61002 '"\(.badge.word) \(.match.word)"' "x.test:$PORT")" "range uid:61002"
	equal "$(told 61003 .badge.word 127.0.0.1:1)" closed
	equal "$(told 0 '"\(.badge.word) \(.match.word) \(.match.place)"' 127.0.0.1:1)" \
		"late user:root $conf:13"
	explain 61001 "good.test:$PORT" | grep -E "^  match +uid:61001 +$conf:5\$"
	explain 61001 "good.test:$PORT" | grep -x "allowed: may connect to good.test port $PORT"
}
prove "everybody hears which badge he has, and which line says so; the first that matches" myself

of_rules()
{
	equal "$(told 61001 '"\(.destinations.word) \(.destinations.place)"' "GOOD.test.:$PORT")" \
		"good.test:$PORT $conf:6"
	equal "$(told 61001 '"\(.destinations.word) \(.destinations.place)"' "x.wild.test:$PORT")" \
		"*.wild.test:$PORT $conf:7"
	equal "$(told 61001 '"\(.destinations.word) \(.destinations.place)"' "127.0.0.7:7")" \
		"127.0.0.7:7 $conf:8"
	equal "$(told 61004 '"\(.destinations.word) \(.ruling)"' "127.0.0.1:$PORT")" "null allowed"
	equal "$(told 61002 .ruling "good.test:$PORT")" by-name
	equal "$(told 61002 .ruling "good.example:$PORT")" by-address
	equal "$(told 61002 .ruling "127.0.0.1:$PORT")" allowed
	explain 61004 127.0.0.1:1 | grep -E '^  destinations +anywhere +-$'
}
prove "and which destination, in any spelling; of a name whether its addresses are yet to be judged" of_rules

refused()
{
	expect 6 explain 61001 "other.test:$PORT" 2>&1 | tee "$TMP/told"
	grep -x "tlsbroker-cli: destinations: badge api may not connect to other.test port $PORT" "$TMP/told"
	grep -E "^  destinations +none of them +$conf:8\$" "$TMP/told"
	expect 6 explain 61003 127.0.0.1:1 2>&1 | grep -F 'badge closed may not connect to 127.0.0.1 port 1'
	told 61001 '.done, .ruling, .text' "other.test:$PORT" | tr '\n' ' ' |
		grep -x "false refused destinations: badge api may not connect to other.test port $PORT "
	expect 2 explain 61001 "0177.0.0.1:$PORT" 2>&1 | grep -F '0177.0.0.1 '
}
prove "what is refused, and why, in the words in which a connection would be" refused

in_force()
{
	explain 61001 --json "good.test:$PORT" > "$TMP/json"
	jq -e ".settings.\"max-sessions\" == [{word: \"17\", place: \"$conf:10\"}] and
		.settings.\"min-version\" == [{word: \"TLSv1.2\", place: \"$conf:11\"}] and
		.settings.private == [{word: \"yes\", place: \"$conf:9\"}] and
		(.settings.trust | length) == 1 and .settings.pins == [] and .settings.crl == [] and
		.settings.identities == [] and (.settings.ciphers | length) >= 5 and
		.settings.admin[0] == {word: \"no\", place: \"built in\"}" "$TMP/json"
	told 61003 '.settings."min-version"[0] | "\(.word) \(.place)"' "a:1" > "$TMP/min"
	equal "$(cat "$TMP/min")" "TLSv1.3 $conf:2"
}
prove "everything that is in force then, and which line says so" in_force

others()
{
	local uid
	for uid in 61001 61003 0; do
		expect 6 explain "$uid" --user 61002 127.0.0.1:1 2>&1 | grep -F 'admin: badge '
		expect 6 explain "$uid" --user "$uid" 127.0.0.1:1 2>&1 | grep -F 'may not ask about others'
		expect 6 explain "$uid" --pid $$ 127.0.0.1:1 2>&1 | grep -F 'admin: badge '
	done
	equal "$(told 61004 '"\(.about) \(.badge.word)"' --user 61001 "good.test:$PORT")" "user 61001 api"
	equal "$(told 61004 '"\(.about) \(.badge.word)"' --user root "good.test:$PORT")" "user root late"
	expect 6 explain 61004 --user 61005 127.0.0.1:1 2>&1 | grep -F 'match: no badge'
	expect 2 explain 61004 --user nobody-is-called-so 127.0.0.1:1 2>&1 | grep -F 'no such user'
	expect 2 explain 61004 --pid 4194304 127.0.0.1:1 2>&1 | grep -F 'is not there'
	expect 2 explain 61004 --user 1 --pid 1 127.0.0.1:1 2>&1 | grep -F 'not both'
}
prove "about others an administrator hears, and nobody else" others

background grouped 61002 sleep 300
background other 61005 sleep 300
background member - setpriv --reuid 61005 --regid 61005 --groups 61901,61902 --inh-caps=-all sleep 300
processes()
{
	equal "$(told 61004 '"\(.badge.word) \(.match.word)"' --pid "$(pid_of grouped)" 127.0.0.1:1)" \
		"range uid:61002"
	wait_until 5 grep -q '^Groups:.*61902' "/proc/$(pid_of member)/status"
	equal "$(told 61004 '"\(.badge.word) \(.match.word)"' --pid "$(pid_of member)" 127.0.0.1:1)" \
		"range gid:61902"
	expect 6 explain 61004 --pid "$(pid_of other)" 127.0.0.1:1 2>&1 | grep -F 'match: no badge'
}
prove "about a process: its user, and its supplementary groups" processes

# agree UID TARGET: explain and connect say the same; so does explain about UID, asked by another.
agree()
{
	local uid=$1 target=$2 said=allowed done=allowed about=allowed
	explain "$uid" "$target" > "$TMP/told" 2>&1 || said=refused
	grep -Eq '^by-(name|address): ' "$TMP/told" && said=later
	explain 61004 --user "$uid" "$target" > "$TMP/about" 2>&1 || about=refused
	grep -Eq '^by-(name|address): ' "$TMP/about" && about=later
	equal "$about" "$said"
	as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --timeout 5 --eof-wait 0 "$target" \
		> "$TMP/connected" 2>&1 < /dev/null
	[ $? = 6 ] && done=refused
	echo "$uid $target: $said, $done"
	case $said in
	later) [ "$done" = allowed ] || grep -F ': it leads to ' "$TMP/connected" ;;
	refused)
		equal "$done" refused
		# Word for word.
		equal "$(grep -o 'destinations: .*' "$TMP/told")" \
			"$(grep -o 'destinations: .*' "$TMP/connected")"
		;;
	*) equal "$done" "$said" ;;
	esac
	echo "$said" >> "$TMP/pairs"
}

matrix()
{
	local uid target
	set +e
	rm -f "$TMP/pairs"
	for uid in 61001 61002 61003 61004 0; do
		for target in good.test:"$PORT" other.test:"$PORT" b.wild.test:"$PORT" \
			localhost:"$PORT" "127.0.0.1:$PORT" "127.0.0.2:$PORT" "[::1]:$PORT" \
			"[::ffff:127.0.0.1]:$PORT" "good.test:$((PORT - 1))"; do
			agree "$uid" "$target" || exit 1
		done
	done
	sort "$TMP/pairs" | uniq -c
	# Decided before anything is looked up: most of them, and of each kind some.
	[ "$(grep -cxE 'allowed|refused' "$TMP/pairs")" -ge 20 ] && [ "$(grep -cx allowed "$TMP/pairs")" -ge 8 ] &&
		[ "$(grep -cx refused "$TMP/pairs")" -ge 8 ] && grep -qx later "$TMP/pairs"
}
prove "of 45 pairs of user and server explain says of each what comes of a connection" matrix

silent()
{
	local before after
	before=$(grep -c . "$TMP/good.out")
	explain 61001 "good.test:$PORT"
	explain 61004 "127.0.0.1:$PORT"
	after=$(grep -c . "$TMP/good.out")
	equal "$before" "$after"
	expect 0 explain 61004 no.such.name.test:1
}
prove "nothing is looked up, nobody is connected to" silent

reloaded()
{
	write_conf <<-END
		badge "other" {

			match = { "uid:61001", "unit:x.service" }
			destinations = { "127.0.0.1:$PORT" }
		}
		badge "unit" { match = { "unit:y.service", any } admin = yes }
	END
	tlsbrokerd --user nobody -n --config "$conf" || exit 0 # no units with this kernel
	reload
	equal "$(told 61001 '"\(.badge.word) \(.badge.place) \(.match.place)"' "127.0.0.1:$PORT")" \
		"other $conf:2 $conf:4"
	equal "$(told 61004 '"\(.badge.word) \(.match.word)"' "127.0.0.1:$PORT")" "unit any"
	equal "$(told 61004 '"\(.badge.word) \(.match.word)"' --pid "$(pid_of other)" "127.0.0.1:$PORT")" "unit any"
	expect 6 explain 61004 --user 61005 127.0.0.1:1 2>&1 | tee "$TMP/told"
	grep -F 'match: unit:x.service comes first: which unit is not known without --pid' "$TMP/told"
	grep -E "^  match +unit:x.service +$conf:4\$" "$TMP/told"
	equal "$(told 61004 .badge.word --user 61001 "127.0.0.1:$PORT")" other
}
prove "after a reload by the new rules; of a user alone nobody knows the unit, of a process one does" reloaded

no_conf()
{
	stop_daemon
	start_daemon
	equal "$(told 61001 '"\(.badge.word) \(.ruling) \(.match)"' "127.0.0.1:$PORT")" \
		"uid:61001 allowed null"
	equal "$(told 0 '"\(.badge.word) \(.ruling)"' --user 61001 "127.0.0.1:$PORT")" "uid:61001 allowed"
	expect 6 explain 61001 --user 61002 127.0.0.1:1 2>&1 | grep -F 'admin: badge uid:61001'
	told 61001 '.settings."max-sessions"[0].place' 127.0.0.1:1 | grep -x 'built in'
}
prove "without a configuration as well" no_conf

prove "it stops without leaving anything" stop_daemon
