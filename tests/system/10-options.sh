#!/bin/bash
# The daemon's and the tool's command lines: what is wrong is said in one line, before anything runs.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

# refuses STATUS REGEX ARGUMENTS...: tlsbrokerd ends with this status and one line that says why.
refuses()
{
	local wanted=$1 regex=$2 said
	shift 2
	said=$(expect "$wanted" timeout 10 tlsbrokerd "$@" 2>&1)
	echo "$said"
	[ "$(grep -c '^tlsbrokerd: ' <<< "$said")" = 1 ]
	grep -Eq "$regex" <<< "$said"
}

user=()
[ -z "$ROOT" ] || user=(--user nobody)
mkdir -p "$TMP/run"
[ -z "$ROOT" ] || chown nobody "$TMP/run"

version_and_help()
{
	expect 0 tlsbrokerd --version | grep -E '^tlsbrokerd [0-9]+\.[0-9]+'
	expect 0 tlsbroker-cli --version | grep -E '^tlsbroker-cli [0-9]+\.[0-9]+'
	for flag in --socket --trust --user -d -v --sandbox --allow-insecure -V --version -h --help; do
		tlsbrokerd --help | grep -Eq -- "^ *(-[hV], )?$flag\b"
	done
	expect 0 tlsbroker-cli --help
	for program in tlsbrokerd tlsbroker-cli; do
		equal "$($program -h)" "$($program --help)"
		equal "$($program -V)" "$($program --version)"
		$program -h | head -n 1 | grep "^usage: $program "
	done
}
prove "--version and --help answer on standard output, and so do -V and -h" version_and_help

full_output()
{
	local option program
	for program in tlsbrokerd tlsbroker-cli; do
		for option in --help --version; do
			expect 1 "$program" "$option" 2>&1 > /dev/full | grep 'could not be written'
		done
	done
	expect 1 tlsbrokerd -T "${user[@]}" --trust "$PKI/root.pem" 2>&1 > /dev/full |
		grep 'could not be written'
}
prove "what cannot be printed is a failure" full_output

bad_usage()
{
	refuses 2 'nonsense' --nonsense
	refuses 2 'argument' surplus
	refuses 2 'value' --trust
	refuses 2 'loud' --sandbox=loud
	refuses 2 'role' -x nobody-knows
	expect 2 tlsbroker-cli --nonsense
	expect 2 tlsbroker-cli connect
	expect 2 tlsbroker-cli connect localhost:0
	expect 2 tlsbroker-cli connect localhost:65536
}
prove "wrong usage is one line and status 2" bad_usage

bad_settings()
{
	expect 2 tlsbroker-cli connect --name 'a b' localhost:1 2>&1 | grep 'a b: --name must be'
	expect 2 tlsbroker-cli connect --alpn h2, localhost:1 2>&1 | grep 'h2,: --alpn must be'
	expect 2 tlsbroker-cli connect --ciphers 'HIGH:!MD5' localhost:1 2>&1 |
		grep 'HIGH:!MD5: --ciphers must be'
}
prove "a setting that cannot be used is named, with what it should have been" bad_settings

no_abstract_socket()
{
	expect 7 tlsbroker-cli status --socket '' 2>&1 | grep 'No such file'
	expect 7 tlsbroker-cli connect --socket '' localhost:1 2>&1 | grep 'No such file'
	TLSBROKER_SOCKET='' expect 7 tlsbroker-cli status 2>&1 | grep 'No such file'
}
prove "an empty socket path is no abstract name, which anybody could listen on" no_abstract_socket

no_switch()
{
	needs_plain_build
	refuses 2 'off' --sandbox=off
}
prove "a release build has no way to switch the sandbox off" no_switch

bad_trust()
{
	: > "$TMP/empty.pem"
	echo "no certificate" > "$TMP/text.pem"
	head -c 300 "$PKI/root.pem" > "$TMP/cut.pem"
	refuses 1 "$TMP/missing.pem: " "${user[@]}" --socket "$SOCKET" --trust "$TMP/missing.pem"
	refuses 1 "$TMP/empty.pem: " "${user[@]}" --socket "$SOCKET" --trust "$TMP/empty.pem"
	refuses 1 "$TMP/text.pem: " "${user[@]}" --socket "$SOCKET" --trust "$TMP/text.pem"
	refuses 1 "$TMP/cut.pem: " "${user[@]}" --socket "$SOCKET" --trust "$TMP/cut.pem"
	refuses 1 "$TMP: " "${user[@]}" --socket "$SOCKET" --trust "$TMP"
	equal "$(ls "$TMP/run")" ""
}
prove "a trust file that is missing, empty, cut or no file stops the start" bad_trust

keeps_no_root()
{
	needs_root
	refuses 1 'root' --user root --socket "$SOCKET" --trust "$PKI/root.pem"
	refuses 1 'no-such-user' --user no-such-user --socket "$SOCKET" --trust "$PKI/root.pem"
	getent passwd tlsbroker ||
		refuses 1 'say --user' --socket "$SOCKET" --trust "$PKI/root.pem"
}
prove "started as root it wants to become somebody else who exists" keeps_no_root

own_runtime_folder()
{
	local uid=$CLIENT
	mkdir -p "$TMP/xdg"
	[ -z "$ROOT" ] || chown "$uid" "$TMP/xdg"
	export XDG_RUNTIME_DIR=$TMP/xdg
	background user "$uid" tlsbrokerd -d --trust "$PKI/root.pem" --sandbox="$SANDBOX"
	wait_until 10 as_uid "$uid" tlsbroker-cli status
	test -S "$TMP/xdg/tlsbroker/tlsbroker.sock"
	equal "$(stat -c %a "$TMP/xdg/tlsbroker")" 700
	stop user
	equal "$(exit_status user 5)" 0
	test ! -e "$TMP/xdg/tlsbroker/tlsbroker.sock"
}
prove "an ordinary user's daemon and tool meet in XDG_RUNTIME_DIR without a flag" own_runtime_folder

no_runtime_folder()
{
	local said
	said=$(expect 1 as_uid "$CLIENT" tlsbrokerd --trust "$PKI/root.pem" 2>&1)
	grep XDG_RUNTIME_DIR <<< "$said"
}
prove "without XDG_RUNTIME_DIR it says what is missing" no_runtime_folder

no_broker()
{
	expect 7 tlsbroker-cli status --socket "$TMP/run/nothing.sock"
	expect 7 tlsbroker-cli connect --socket "$TMP/run/nothing.sock" localhost:443
}
prove "the tool says with status 7 that no broker is running" no_broker
