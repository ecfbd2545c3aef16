#!/bin/bash
# The daemon's socket in the file system: what it takes, what it leaves alone, what it cleans up.
# Tags: unprivileged
. "$(dirname "$0")/lib.sh"

# refuses_socket REGEX: a daemon on $SOCKET ends with 1 and says why.
refuses_socket()
{
	launch_daemon other
	equal "$(exit_status other 10)" 1
	says other "^tlsbrokerd: .*$1"
}

folder()
{
	mkdir -p "$1"
	[ -z "$ROOT" ] || chown "$DAEMON" "$1"
	SOCKET=$1/tlsbroker.sock
}

everybody_may_connect()
{
	start_daemon
	equal "$(stat -c %a "$SOCKET")" 666
	as_uid "$CLIENT" tlsbroker-cli status --socket "$SOCKET"
}
prove "everybody may connect to the socket" everybody_may_connect

only_one()
{
	refuses_socket 'already running'
	daemon_serves
}
prove "a second daemon says that one is running, and leaves it alone" only_one

removed_at_exit()
{
	stop_daemon
	test ! -e "$SOCKET"
}
prove "a daemon that stops takes its socket, and all its processes, with it" removed_at_exit

stale()
{
	start_daemon
	stop daemon KILL
	test -S "$SOCKET"
	start_daemon
	stop_daemon
}
prove "a socket that a killed daemon left behind is replaced" stale

killed_leaves_nothing()
{
	local children
	start_daemon
	children=$(pgrep -P "$(pid_of daemon)")
	stop daemon KILL
	for child in $children; do
		wait_until 2 test ! -d "/proc/$child"
	done
	rm "$SOCKET"
}
prove "when the supervisor is killed, so are all its processes" killed_leaves_nothing

no_socket()
{
	folder "$TMP/file"
	echo precious > "$SOCKET"
	refuses_socket "$SOCKET"
	equal "$(cat "$SOCKET")" precious
	rm "$SOCKET"
	mkdir "$SOCKET"
	refuses_socket "$SOCKET"
	test -d "$SOCKET"
}
prove "a file or folder in the socket's place is not touched" no_socket

symlink()
{
	folder "$TMP/link"
	echo precious > "$TMP/link/target"
	ln -s target "$SOCKET"
	refuses_socket "$SOCKET"
	test -L "$SOCKET"
	equal "$(cat "$TMP/link/target")" precious
	rm "$TMP/link/target"
	refuses_socket "$SOCKET"
	test -L "$SOCKET"
	test ! -e "$TMP/link/target"
}
prove "a symbolic link in the socket's place is neither followed nor removed" symlink

world_writable()
{
	folder "$TMP/open"
	chmod 777 "$TMP/open"
	refuses_socket "$TMP/open"
	test ! -e "$SOCKET"
}
prove "a folder that everybody may write to is refused" world_writable

too_long()
{
	folder "$TMP/$(printf 'x%.0s' {1..100})"
	refuses_socket 'x'
}
prove "a path that is too long for a socket is refused" too_long

missing_folder()
{
	needs_root
	# Below a folder of root's, which the daemon's user could not write to.
	mkdir -p "$TMP/root"
	SOCKET=$TMP/root/tlsbroker/tlsbroker.sock
	start_daemon
	equal "$(stat -c %u "$TMP/root/tlsbroker")" "$DAEMON"
	stop daemon
	equal "$(exit_status daemon 10)" 0
	test ! -e "$SOCKET"
}
prove "started as root it makes the socket's folder for its user" missing_folder
