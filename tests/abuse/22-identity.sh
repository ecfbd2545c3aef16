#!/bin/bash
# Who a program is, the kernel said when it connected: not its socket's name, nor who has the
# connection by now.  Cases 10, 11 and 16.
# Tags: unprivileged asan
# Limit: 60 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon
start_peer peer good

# Others that a false identity could be mistaken for, or see.
[ -z "$OTHER" ] || traffic_as "$OTHER" localhost "$PORT" echo 1 > /dev/null
as_uid - tlsbroker-cli status --socket "$SOCKET" > /dev/null

# badges NAME COUNT UID: it has asked so often who it is, and was this user each time.
badges()
{
	cat "$TMP/$1"
	equal "$(grep -c '^badge ' "$TMP/$1")" "$2"
	equal "$(grep -vc "^badge uid=$3 label=uid:$3 workers=0 name=" "$TMP/$1" || true)" 0
}

names()
{
	mkdir "$TMP/names"
	[ -z "$ROOT" ] || chown "$CLIENT" "$TMP/names"
	as_uid "$CLIENT" impostor --socket "$SOCKET" names "$TMP/names" > "$TMP/named"
	badges named 10 "$CLIENT"
	attacked sockets 10 10 >> "$TMP/attacked"
}
prove "case 11: a socket's name changes nothing about who its program is" names

one_line_each()
{
	ten() { [ "$(grep -c 'rule=header' "$TMP/daemon.out")" = 10 ]; }
	wait_until 5 ten
	equal "$(grep 'rule=header' "$TMP/daemon.out" | grep -Evc "(badge=uid:|uid=)$CLIENT( |\$)" || true)" 0
	equal "$(tr -d '\n' < "$TMP/daemon.out" | LC_ALL=C grep -c '[^ -~]' || true)" 0
	deny grep -E 'forged|[;" ]uid=0;|AAAA' "$TMP/daemon.out"
}
prove "case 11: nor does it get into the log" one_line_each

# Root sees all workers, and whoever has got the connection of another user does not.
passed()
{
	needs_root
	impostor --socket "$SOCKET" passed "$CLIENT" > "$TMP/passed"
	sed -n '1,2p' "$TMP/passed" > "$TMP/given"
	badges given 2 "$CLIENT"
	sed -n '3p' "$TMP/passed" | tee "$TMP/kept"
	grep -Eq '^badge uid=0 label=uid:0 workers=[1-9]' "$TMP/kept"
	attacked sockets 3 3 >> "$TMP/attacked"
}
prove "cases 10 and 16: a connection stays its maker's, with whom and under which process id it is used" \
	passed

inherits_nothing()
{
	as_uid "$CLIENT" impostor --socket "$SOCKET" execed localhost "$PORT" > "$TMP/execed"
	cat "$TMP/execed"
	equal "$(sed -n 's/^started //p' "$TMP/execed")" "$(sed -n 's/^without //p' "$TMP/execed")"
	[ "$(sed -n 's/^here //p' "$TMP/execed")" -ge $(($(sed -n 's/^without //p' "$TMP/execed") + 2)) ]
	attacked sockets 1 1 >> "$TMP/attacked"
}
prove "case 16: a program that a program starts inherits none of its connections" inherits_nothing

cat "$TMP/attacked" 2> /dev/null
prove "it stops without leaving anything" stop_daemon
