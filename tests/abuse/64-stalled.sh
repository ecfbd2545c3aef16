#!/bin/bash
# A connector that stands still while a user opens more sessions than wait for it: his channel to it
# breaks, his sessions are told, and nobody else's; when it goes on, he has another one.
# Limit: 240 s
. "$(dirname "$0")/../system/lib.sh"

start_daemon
start_peer peer good

one_session()
{
	expect 0 traffic_as "$1" localhost "$PORT" echo 100
}
prove "both users have a connector" one_session "$CLIENT"
[ -z "$OTHER" ] || prove "the other one, too" one_session "$OTHER"

too_many()
{
	local connector
	connector=$(role_pid connector)
	as_uid "$DAEMON" kill -STOP "$connector"
	# What the socket holds, and LIMIT_CHAN_QUEUE.
	background many "$CLIENT" traffic --socket "$SOCKET" --sessions $(($(limit CHAN_QUEUE) + 1500)) \
		localhost "$PORT" echo 100
	wait_until 120 says many 'errno=ECONNRESET code=2 .*try again'
	as_uid "$DAEMON" kill -CONT "$connector"
	stop many KILL
	equal "$(role_pid connector)" "$connector"
}
prove "more sessions than may wait for it are told to try again" too_many

prove "he can, with the same connector" wait_until 20 one_session "$CLIENT"
[ -z "$OTHER" ] || prove "and the other one noticed nothing" one_session "$OTHER"
prove "it stops without leaving anything" stop_daemon
