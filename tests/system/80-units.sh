#!/bin/bash
# Badges by systemd unit: with real control groups of the names that systemd would give them, in its own
# hierarchy.  Without systemd: tests/nspawn/checks has it.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - units: needs root"
	exit 0
fi

# The hierarchies that can hold units here: the one that systemd had, the one that it has.
mapfile -t trees < <(awk '$3 == "cgroup" && $4 ~ /name=systemd/ && !a++ { print $2 }
	$3 == "cgroup2" && !b++ { print $2 }' /proc/self/mounts)
tree=''
mine=tlsbtest$$.slice # which nobody else has
for candidate in "${trees[@]}"; do
	mkdir "$candidate/$mine" 2> /dev/null && tree=$candidate && break
done
if [ -z "$tree" ]; then
	echo "skip - units: no control groups can be made here"
	exit 0
fi

remove_groups()
{
	local folder
	for folder in "${trees[@]}"; do
		[ -d "$folder/$mine" ] || continue
		wait_until 5 find "$folder/$mine" -depth -type d -exec rmdir {} +
	done
}
trap 'remove_groups; clean_up' EXIT

# inside PATH COMMAND...: in this control group, as user 61001.
inside()
{
	local path=$tree/$mine/$1
	shift
	mkdir -p "$path"
	# shellcheck disable=SC2016  # expands in the inner shell
	sh -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' "$path" setpriv --reuid 61001 \
		--regid 61001 --clear-groups --inh-caps=-all -- "$@"
}

# badge_in PATH [COMMAND...]: what the daemon calls a program there, started by the command.
badge_in()
{
	local path=$1
	shift
	inside "$path" "$@" tlsbroker-cli status --socket "$SOCKET" --json | jq -r .badge
}

write_conf <<-END
	badge "billing" { match = "unit:billing.service" }
	badge "cpu" { match = "unit:cpu.service" }
	badge "people" { match = { "unit:user-1000.slice", "unit:x@1.service" } }
	badge "rest" { match = "any" }
END
if expect 1 tlsbrokerd --user nobody -n --config "$conf" > "$TMP/checked" 2>&1 &&
	grep 'the unit of a program cannot be known here' "$TMP/checked"; then
	echo "skip - units: not with this kernel"
	exit 0
fi
rm -f "$TMP/unexpected"
start_daemon --config "$conf"
start_peer good good

of_units()
{
	equal "$(badge_in billing.service)" billing
	equal "$(badge_in deeper.slice/deeper-still.slice/billing.service)" billing
	equal "$(badge_in billing.service/payload/other.service)" billing
	equal "$(badge_in 'x@1.service')" people
	equal "$(badge_in 'x@2.service')" rest
	equal "$(badge_in other.service)" rest
}
prove "a unit's programs have its badge, wherever in its own groups they are" of_units

recorded()
{
	inside x.slice/billing.service/own traffic --socket "$SOCKET" localhost "$PORT" down 10
	logs 'badge=billing uid=61001 unit=billing.service event=session .*outcome=ok'
	inside other.service traffic --socket "$SOCKET" localhost "$PORT" down 10
	logs 'badge=rest uid=61001 unit=other.service event=session .*outcome=ok'
}
prove "a session's record names the unit of its program" recorded

of_slices()
{
	equal "$(badge_in user.slice/user-1000.slice/session-3.scope)" people
	equal "$(badge_in user.slice/user-1000.slice/user@1000.service/app.slice/billing.service)" people
	equal "$(badge_in user.slice/user-1001.slice/user@1001.service/app.slice/billing.service)" rest
	equal "$(badge_in user.slice/user-1001.slice/user@1001.service/user-1000.slice)" rest
	equal "$(badge_in machine.slice/box.scope/system.slice/billing.service)" rest
	equal "$(badge_in docker/0123/billing.service)" rest
}
prove "slices count, and what is named below a unit does not" of_slices

escaped()
{
	equal "$(badge_in _cpu.service)" cpu
	equal "$(badge_in __cpu.service)" rest
}
prove "names are read as systemd writes them" escaped

connects()
{
	local said
	said=$(printf 'echo\nx\n' | inside billing.service tlsbroker-cli connect --socket "$SOCKET" \
		--eof-wait 0 "localhost:$PORT")
	grep -qx x <<< "$said"
}
prove "and connect" connects

contained()
{
	unshare --user --pid --cgroup --fork true 2> /dev/null || skip "no namespaces here"
	equal "$(badge_in billing.service unshare --user --map-root-user --pid --cgroup --fork)" billing
	equal "$(badge_in box.scope unshare --user --map-root-user --pid --cgroup --fork)" rest
	# Its uid is what the kernel says of it outside, and not that of the root that it is inside.
	inside box.scope unshare --user --map-root-user --pid --cgroup --fork tlsbroker-cli status \
		--socket "$SOCKET" > /dev/null
	equal "$(status '[.workers[] | select(.badge == "rest" and .uid != 0) | .uid] | unique | join(" ")')" 61001
}
prove "namespaces of its own, for users, processes and control groups, make it nobody else" contained

ended()
{
	local pids
	pids="$(pid_of daemon) $(role_pid frontdoor)"
	mkdir -p "$tree/$mine/billing.service"
	# shellcheck disable=SC2086  # words are wanted
	kill -STOP $pids
	# shellcheck disable=SC2086
	impostor --socket "$SOCKET" reused 61001 61002 "$tree/$mine/billing.service/cgroup.procs" $pids \
		> "$TMP/reused" || { status=$?; kill -CONT $pids; exit $status; }
	grep -F 'refused match: in which unit a program of user 61001 is cannot be known' "$TMP/reused"
	logs 'NOTICE frontdoor.*match: in which unit'
}
prove "case 10: who gets a process id after its program has connected is not taken for it" ended

other_hierarchy()
{
	local other
	for other in "${trees[@]}"; do
		[ "$other" = "$tree" ] || break
	done
	[ "$other" != "$tree" ] || skip "there is one hierarchy"
	mkdir -p "$other/$mine/billing.service" || skip "it takes no groups"
	tree=$other
	equal "$(badge_in billing.service)" billing
	equal "$(badge_in other.service)" rest
}
prove "the same in the other hierarchy" other_hierarchy

others_meanwhile()
{
	# Who needs no question is served although nobody answers questions.
	write_conf <<-END
		badge "first" { match = "uid:61002" }
		badge "billing" { match = "unit:billing.service" }
		badge "admin" { match = "uid:0" }
	END
	reload
	witness kept 61002 --sessions 1 localhost "$PORT" echo 0
	kill -STOP "$(pid_of daemon)"
	background asked 61001 tlsbroker-cli status --socket "$SOCKET"
	# By an address: whether the hosts file has changed is the supervisor's to say.
	traffic_as 61002 127.0.0.1 "$PORT" echo 1
	[ ! -f "$TMP/asked.status" ]
	kill -CONT "$(pid_of daemon)"
	equal "$(exit_status asked 10)" 6
	lives kept
	equal "$(badge_in billing.service)" billing
	expect 6 inside other.service tlsbroker-cli status --socket "$SOCKET" > "$TMP/told" 2>&1
	grep 'match: no badge of the configuration is for user 61001' "$TMP/told"
}
prove "while nobody answers, those are served whose unit does not matter" others_meanwhile
kill -CONT "$(pid_of daemon)"

bad_words()
{
	write_conf <<-END
		badge "a" { match = { "unit:billing", "unit:a@.service",
			"unit:a/b.service", "exe:/usr/bin/curl", "unt:a.service" } }
	END
	expect 1 tlsbrokerd --user nobody -n --config "$conf" > "$TMP/words" 2>&1
	cat "$TMP/words"
	grep -F ':2: match: "unit:billing" has no type at its end, such as .service or .slice' "$TMP/words"
	grep -F ':2: match: "unit:a@.service" is no unit that a program can be in' "$TMP/words"
	grep -F ':3: match: "unit:a/b.service" is no unit' "$TMP/words"
	grep -F ':3: match: "exe:/usr/bin/curl" would say nothing' "$TMP/words"
	grep -F 'did you mean unit:?' "$TMP/words"
}
prove "-n tells what is no unit" bad_words

prove "it stops without leaving anything" stop_daemon
