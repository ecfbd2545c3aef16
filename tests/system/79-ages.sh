#!/bin/bash
# idle-timeout and max-lifetime, of one badge while another's sessions rest undisturbed.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - limits of one user and not of another: needs root"
	exit 0
fi

write_conf <<-END
	badge "idle" {
		match = "uid:61001"
		idle-timeout = 3
	}
	badge "short" {
		match = "uid:61002"
		max-lifetime = 2
	}
	badge "rest" { match = "any" }
END
start_daemon --config "$conf"
start_peer good good

load other 61003 --sessions 3 --rounds 1000 --pause 1500 localhost "$PORT" echo 100

idle()
{
	background rests 61001 traffic --socket "$SOCKET" --rounds 2 --pause 8000 localhost "$PORT" echo 100
	equal "$(exit_status rests 20)" 1
	says rests 'idle-timeout: nothing was received or sent for 3 s'
	logs 'idle-timeout: nothing was received or sent for 3 s .*badge=idle.*outcome=TIMEOUT'
	lives other
}
prove "a session that rests for longer than idle-timeout ends, and program and log hear why" idle

busy()
{
	traffic_as 61001 --rounds 12 --pause 300 localhost "$PORT" echo 100
}
prove "one that does not rest so long goes on" busy

short()
{
	background lasts 61002 traffic --socket "$SOCKET" --rounds 100 --pause 100 localhost "$PORT" echo 100
	equal "$(exit_status lasts 20)" 1
	says lasts 'max-lifetime: this session has lasted for 2 s'
	lives other
}
prove "a session that is older than max-lifetime ends, busy as it is" short

reloaded()
{
	load kept 61004 --sessions 1 --rounds 2 --pause 60000 localhost "$PORT" echo 100
	write_conf <<-END
		idle-timeout = 1
		badge "other" {
			match = "uid:61003"
			idle-timeout = 3600
		}
		badge "rest" { match = "any" }
	END
	reload
	equal "$(exit_status kept 20)" 1
	says kept 'idle-timeout'
}
prove "what a reload says holds for sessions that are there" reloaded
stop other

prove "it stops without leaving anything" stop_daemon
