#!/bin/bash
# Names through a real name server: dnsmasq, in a network namespace of the test's own.
. "$(dirname "$0")/lib.sh"

start_dns()
{
	needs_root
	[ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] ||
		skip "needs a network namespace"
	unshare -m true 2> /dev/null || skip "needs a mount namespace"
	background dns - dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null \
		--user=root --pid-file= --listen-address=127.0.0.53 --bind-interfaces \
		--address=/good.test/127.0.0.1 --address=/good.test/::1 \
		--host-record=four.wild.test,127.0.0.1 --host-record=six.wild.test,::1 \
		--host-record=two.wild.test,127.0.0.1,::1 \
		--host-record=dead.wild.test,127.0.0.9 \
		--cname=alias.wild.test,second.wild.test,four.wild.test --local=/test/
	wait_until 5 dig_answers
}

dig_answers()
{
	[ -n "$(ss -Hlun 'sport = :53')" ]
}

# start_daemon_with RESOLV_CONF
start_daemon_with()
{
	printf '%b' "$1" > "$TMP/resolv.conf"
	printf '127.0.0.1 localhost from-hosts\n::1 localhost\n' > "$TMP/hosts"
	# shellcheck disable=SC2016  # expands in the inner shell
	DAEMON_PREFIX=(unshare -m sh -c 'mount --bind "$1" /etc/resolv.conf &&
		mount --bind "$2" /etc/hosts && shift 2 && exec "$@"' sh "$TMP/resolv.conf" "$TMP/hosts")
	start_daemon
}

prove "dnsmasq serves" start_dns
[ -f "$TMP/dns.pid" ] || exit 0
start_daemon_with 'nameserver 127.0.0.53\nsearch wild.test\noptions timeout:1 attempts:1\n'
start_peer four good
four=$PORT
start_peer six good --listen ::1
six=$PORT

works()
{
	expect 0 traffic_as "$CLIENT" --info "$@" echo 10
}

prove "a name with an A record" works four.wild.test "$four"
prove "a name with an AAAA record" works six.wild.test "$six"
prove "a name with both, where only IPv4 answers" works two.wild.test "$four"
prove "a name with both, where only IPv6 answers" works two.wild.test "$six"
prove "a chain of CNAMEs" works --name four.wild.test alias.wild.test "$four"
prove "a short name in the search domain" works --name four.wild.test four "$four"
prove "a name in upper case and with its last dot" works FOUR.Wild.TEST. "$four"
prove "a name from the hosts file" works --name good.test from-hosts "$four"

fails()
{
	local errno=$1 code=$2
	shift 2
	expect 1 traffic_as "$CLIENT" "$@" echo 1 > "$TMP/failed"
	cat "$TMP/failed"
	grep -q "errno=$errno code=$code .*text=.*$1" "$TMP/failed"
}
prove "a name that does not exist: ENOENT, naming it" fails ENOENT 20 missing.test "$four"
prove "a name whose address refuses: ECONNREFUSED" fails ECONNREFUSED 22 dead.wild.test "$four"
prove "the tool says with status 8 that there is no such name" \
	expect 8 client missing.test:443 < /dev/null

files_change()
{
	printf '127.0.0.1 localhost new-name\n' > "$TMP/hosts"
	works_now() { works --name good.test new-name "$four"; }
	wait_until 6 works_now
}
prove "a changed hosts file is noticed" files_change

server_dies()
{
	stop dns KILL
	fails EHOSTUNREACH 21 other.wild.test "$four"
	# What was looked up a moment ago may still be known; literals need nobody.
	works 127.0.0.1 "$four"
}
prove "no name server answers: EHOSTUNREACH, and literals go on" server_dies

prove "it stops without leaving anything" stop_daemon
