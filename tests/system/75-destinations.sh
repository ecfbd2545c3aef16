#!/bin/bash
# Where a badge may connect to: by name, which is then verified, and by address, which is judged as it is
# dialled.  What may not be reached is not even asked for.  Four users: 61001 to 61004.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ] || ! unshare -m true 2> /dev/null ||
	[ "$(readlink /proc/self/ns/net)" = "$(readlink /proc/1/ns/net)" ]; then
	echo "skip - destinations of four users: needs root, a network and a mount namespace"
	exit 0
fi

dig_answers()
{
	[ -n "$(ss -Hlun 'sport = :53')" ]
}

background dns - dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null \
	--user=root --pid-file= --listen-address=127.0.0.53 --bind-interfaces --log-queries \
	--log-facility=- --address=/good.test/127.0.0.1 --host-record=a.wild.test,127.0.0.1 \
	--host-record=b.wild.test,127.0.0.2 --host-record=other.test,127.0.0.1 --local=/test/
wait_until 5 dig_answers
start_peer good good

write_conf <<-END
	badge "api" {
		match        = { "uid:61001" }
		destinations = { "good.test:$PORT", "*.wild.test:$PORT" }
		private      = yes
	}
	badge "range" {
		match        = { "uid:61002" }
		destinations = { "127.0.0.1:1-65535", "[2001:db8::]/32:*" }
	}
	badge "closed" {
		match        = { "uid:61003" }
		destinations = { }
	}
	badge "open" { match = any }
END

printf 'nameserver 127.0.0.53\noptions timeout:1 attempts:1\n' > "$TMP/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$TMP/hosts"
# shellcheck disable=SC2016  # expands in the inner shell
DAEMON_PREFIX=(unshare -m sh -c 'mount --bind "$1" /etc/resolv.conf &&
	mount --bind "$2" /etc/hosts && shift 2 && exec "$@"' sh "$TMP/resolv.conf" "$TMP/hosts")
start_daemon --config "$conf"

# reaches UID HOST [flags...]: a verified session with the server.
reaches()
{
	local uid=$1 host=$2
	shift 2
	printf 'echo\nx\n' | as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 \
		"$@" "$host:$PORT" | grep -qx x
}

# denied UID HOST TEXT [flags...]: refused by the policy, in these words; the server sees nothing of it.
denied()
{
	local uid=$1 host=$2 text=$3
	shift 3
	expect 6 as_uid "$uid" tlsbroker-cli connect --socket "$SOCKET" "$@" "$host:$PORT" \
		> "$TMP/told" 2>&1 < /dev/null
	grep -F "$text" "$TMP/told"
	grep -F destinations "$TMP/told"
}

by_name()
{
	reaches 61001 good.test
	reaches 61001 GOOD.test
	reaches 61001 good.test.
	reaches 61001 a.wild.test
	denied 61001 other.test 'badge api may not connect to other.test'
	denied 61001 localhost 'badge api may not connect to localhost'
	denied 61001 wild.test 'badge api'
	denied 61001 127.0.0.1 'badge api may not connect to 127.0.0.1'
	denied 61001 '[::1]' 'badge api'
	denied 61001 '[::ffff:127.0.0.1]' 'badge api'
}
prove "case 14: by name: what the rules have, in any spelling, and nothing else" by_name

verified_name()
{
	denied 61001 good.test 'when another name is to be verified' --name localhost
	denied 61001 good.test 'when another name is to be verified' --name a.wild.test
	denied 61001 127.0.0.1 'badge api' --name good.test
	reaches 61001 good.test --name GOOD.test
}
prove "case 14: nobody dials an allowed name and has another one verified" verified_name

other_port()
{
	expect 6 as_uid 61001 tlsbroker-cli connect --socket "$SOCKET" "good.test:$((PORT - 1))" \
		2>&1 < /dev/null | grep -F "may not connect to good.test port $((PORT - 1))"
}
prove "nor another port" other_port

by_address()
{
	reaches 61002 127.0.0.1
	reaches 61002 localhost
	reaches 61002 good.test
	reaches 61002 a.wild.test --name good.test
	denied 61002 b.wild.test 'it leads to 127.0.0.2'
	denied 61002 127.0.0.2 'badge range'
	denied 61002 '[::1]' 'badge range'
}
prove "case 14: by address: whatever name leads there, and no other address" by_address

closed()
{
	denied 61003 good.test 'badge closed'
	denied 61003 127.0.0.1 'badge closed'
	reaches 61004 good.test
	reaches 61004 127.0.0.1
	reaches 61004 localhost
}
prove "an empty list is nowhere, no list is everywhere" closed

not_asked()
{
	local before
	before=$(grep -c 'query\[' "$TMP/dns.out" || true)
	denied 61001 secret.exfiltrated.other.test 'badge api'
	denied 61003 secret.exfiltrated.other.test 'badge closed'
	equal "$(grep -c 'query\[' "$TMP/dns.out" || true)" "$before"
	deny says dns exfiltrated
}
prove "what may not be reached is not even looked up" not_asked

says_why()
{
	logs 'NOTICE worker.*destinations: badge api may not connect to other.test.*outcome=POLICY'
}
prove "the log says so as well" says_why

witness load 61002 good.test "$PORT" echo 0
rebinding()
{
	write_conf <<-END
		badge "api" {
			match        = { "uid:61001" }
			destinations = { "good.test:$PORT" }
		}
		badge "range" {
			match        = { "uid:61002" }
			destinations = { "*:*", "127.0.0.1:$PORT" }
		}
	END
	reload
	denied 61001 good.test 'it leads to 127.0.0.1, which is private'
	reaches 61002 good.test
	denied 61002 b.wild.test 'it leads to 127.0.0.2, which is private'
	denied 61002 169.254.169.254 'badge range'
	lives load
}
prove "a name that leads into private ranges needs private = yes, or a rule for the address" rebinding

connector_dies()
{
	needs_plain_build
	kill -KILL "$(role_pid connector)"
	wait_until 5 reaches 61002 good.test
	denied 61001 good.test 'which is private'
}
prove "a new connector has the same rules before it dials" connector_dies

bad_rules()
{
	write_conf <<-END
		badge "api" {
			match        = { any }
			destinations = { "good.test", "10.0.0.1/8:443",
			                 "good.test:0" }
			privat       = yes
		}
	END
	expect 1 tlsbrokerd --user nobody -n --config "$conf" > "$TMP/checked" 2>&1
	grep -F "$conf:4: destinations: \"good.test\" has no port" "$TMP/checked"
	grep -F "$conf:4: destinations: \"10.0.0.1/8:443\" has bits set behind its prefix" "$TMP/checked"
	grep -F "$conf:5: destinations: \"good.test:0\" has no port" "$TMP/checked"
	grep -F "$conf:6: privat: there is no such setting; did you mean private?" "$TMP/checked"
}
prove "-n says which rule is none" bad_rules

prove "sessions went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
