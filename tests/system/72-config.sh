#!/bin/bash
# The configuration: files, flags, -n and -T, floors that a program cannot lower, reload.
# Tags: unprivileged asan
. "$(dirname "$0")/lib.sh"

user=()
[ -z "$ROOT" ] || user=(--user nobody)
mkdir -p "$TMP/etc/conf.d"

# checks STATUS [flags...]: tlsbrokerd -n, what it says in $TMP/checked.
checks()
{
	local wanted=$1
	shift
	expect "$wanted" tlsbrokerd "${user[@]}" -n --config "$conf" "$@" > "$TMP/said.all" 2>&1
	grep -v "^exit status" "$TMP/said.all" > "$TMP/checked"
}

good()
{
	echo "trust = \"$PKI/root.pem\"" > "$conf"
	echo 'min-version = "TLSv1.2"' > "$TMP/etc/conf.d/10-version.conf"
	echo 'not read' > "$TMP/etc/conf.d/version.conf~"
	checks 0
	grep -q 'is good' "$TMP/checked"
	equal "$(ls "$TMP/etc")" $'conf.d\ntlsbroker.conf'
}
prove "-n says that a good configuration is good, and starts nothing" good

as_its_user()
{
	needs_root
	echo "trust = \"$PKI/root.pem\"" > "$conf"
	expect 0 tlsbrokerd -n --config "$conf"
	chmod 600 "$conf"
	expect 1 tlsbrokerd -n --config "$conf" 2>&1 | grep -F "$conf: Permission denied"
	chmod 644 "$conf"
}
prove "for root, -n reads as the daemon would, with whatever user there is" as_its_user

bad()
{
	printf 'trsut = "/x"\nmin-version = TLSv1.1\n' > "$conf"
	printf '\ntrust = "%s/none.pem"\n' "$TMP" > "$TMP/etc/conf.d/20-trust.conf"
	checks 1
	equal "$(wc -l < "$TMP/checked")" 4
	sed -n 1p "$TMP/checked" | grep -F "$conf:1: trsut: there is no such setting; did you mean trust?"
	sed -n 2p "$TMP/checked" | grep -F "$conf:2: min-version: \"TLSv1.1\""
	sed -n 3p "$TMP/checked" | grep -F "10-version.conf:1: min-version: is set already, at $conf:2"
	sed -n 4p "$TMP/checked" | grep -F "20-trust.conf:2: trust: $TMP/none.pem: No such file"
	rm "$TMP/etc/conf.d/"*.conf
}
prove "-n tells all that is wrong, in the order of the files" bad

no_start()
{
	printf 'trsut = "/x"\nmin-version = TLSv1.1\n' > "$conf"
	expect 1 timeout 10 tlsbrokerd "${user[@]}" --socket "$SOCKET" --config "$conf" \
		> "$TMP/checked" 2>&1
	equal "$(grep -c "^tlsbrokerd: $conf:[12]: " "$TMP/checked")" 2
	test ! -e "$SOCKET"
	rm "$conf"
	expect 1 timeout 10 tlsbrokerd "${user[@]}" --socket "$SOCKET" --config "$conf" 2>&1 |
		grep -F "$conf: No such file"
}
prove "with errors, or without the file that was named, the daemon does not start" no_start

prints_again()
{
	printf 'trust = "%s"\nmin-version = TLSv1.3\n' "$PKI/root.pem" > "$conf"
	tlsbrokerd "${user[@]}" -T --config "$conf" > "$TMP/first"
	grep -qx 'min-version = "TLSv1.3"' "$TMP/first"
	grep -qx 'allow-insecure = "no"' "$TMP/first"
	cp "$TMP/first" "$conf"
	tlsbrokerd "${user[@]}" -T --config "$conf" > "$TMP/second"
	cmp "$TMP/first" "$TMP/second"
	tlsbrokerd "${user[@]}" -T --config "$conf" --allow-insecure |
		grep -qx 'allow-insecure = "yes"'
}
prove "-T prints what is in force, flags included, and reads it back the same" prints_again

not_for_everybody()
{
	echo "trust = \"$PKI/root.pem\"" > "$conf"
	chmod o+w "$conf"
	checks 1
	grep -F "$conf: may be written by everybody" "$TMP/checked"
	chmod o-w "$conf"
	chmod o+w "$TMP/etc/conf.d"
	checks 1
	grep -F "$TMP/etc/conf.d: may be written by everybody" "$TMP/checked"
	chmod o-w "$TMP/etc/conf.d"
	checks 0
}
prove "case 46: a configuration that everybody may write is none" not_for_everybody

odd_files()
{
	rm -f "$conf"
	mkfifo "$conf"
	checks 1
	grep -F "$conf: is not a regular file" "$TMP/checked"
	rm "$conf"
	head -c 1100000 /dev/zero | tr '\0' '#' > "$conf"
	checks 1
	grep -F "$conf: is too large" "$TMP/checked"
	printf 'a\0b' > "$conf"
	checks 1
	grep -F "$conf: this is no text" "$TMP/checked"
}
prove "case 46: files that are no text are refused in one line each" odd_files

# ---- in force ----

# configure LINE...
configure()
{
	printf '%s\n' "$@" | write_conf
}

configure
start_daemon --config "$conf"
start_peer good good
start_openssl old good -tls1_2
old=$PORT
start_openssl new good -tls1_3
new=$PORT

by_default()
{
	client "localhost:$old" < /dev/null
	client "localhost:$new" < /dev/null
	expect 6 client --insecure "localhost:$new" < /dev/null
}
prove "without settings of its own: TLS 1.2 and 1.3, verified" by_default

# a_load NAME: sessions with all that is newest.
a_load()
{
	witness "$1" "$CLIENT" --sessions 5 localhost "$(last_said good '^listening' | cut -d ' ' -f 2)" echo 0
}
a_load first

floor()
{
	configure 'min-version = TLSv1.3'
	reload 'trust bundle'
	client "localhost:$new" < /dev/null
	deny client "localhost:$old" < /dev/null
	expect 6 client --min-version 1.2 "localhost:$new" < /dev/null 2>&1 |
		grep 'min-version: the floor is TLS 1.3'
	ends_well first
}
prove "a floor of TLS 1.3, from the next session on; a program cannot lower it" floor

ciphers()
{
	configure 'ciphers = { ECDHE-ECDSA-AES128-GCM-SHA256, TLS_AES_128_GCM_SHA256 }'
	reload 'trust bundle'
	client -v "localhost:$old" < /dev/null 2>&1 | grep -q ECDHE-ECDSA-AES128-GCM-SHA256
	client -v "localhost:$new" < /dev/null 2>&1 | grep -q TLS_AES_128_GCM_SHA256
	expect 6 client --ciphers TLS_AES_256_GCM_SHA384 "localhost:$new" < /dev/null 2>&1 |
		grep 'ciphers: one that the program asks for may not be used'
	configure 'ciphers = TLS_AES_256_GCM_SHA384'
	reload 'trust bundle'
	deny client "localhost:$old" < /dev/null
	client "localhost:$new" < /dev/null
	configure 'ciphers = ECDHE-ECDSA-AES256-GCM-SHA384'
	reload 'trust bundle'
	client "localhost:$old" < /dev/null
	deny client "localhost:$new" < /dev/null
	expect 6 client --min-version 1.3 "localhost:$new" < /dev/null 2>&1 |
		grep 'ciphers: there is none for TLS 1.3'
}
prove "only the ciphers that are listed; a program cannot add one" ciphers

insecure()
{
	configure 'allow-insecure = yes'
	reload 'trust bundle'
	client --insecure "localhost:$new" < /dev/null
	configure
	reload 'trust bundle'
	expect 6 client --insecure "localhost:$new" < /dev/null
}
prove "allow-insecure comes and goes" insecure

a_load load

# kept COMMAND...: what the command makes of the file is refused, and changes nothing.
kept()
{
	configure 'min-version = TLSv1.3'
	reload 'trust bundle'
	"$@"
	reload 'old configuration is kept'
	client "localhost:$new" < /dev/null
	deny client "localhost:$old" < /dev/null
	lives load
}
prove "case 46: SIGHUP with an error in the file: the old one is kept, under load" \
	kept configure 'min-version = TLSv1.4'
prove "case 46: the log says which line it is" logs "tlsbroker.conf:2: min-version"
prove "case 46: SIGHUP with half a file" kept truncate -s 20 "$conf"
prove "case 46: SIGHUP without the file" kept rm "$conf"

more_files()
{
	configure
	echo 'min-version = TLSv1.3' > "$TMP/etc/conf.d/50-floor.conf"
	reload 'trust bundle'
	deny client "localhost:$old" < /dev/null
	rm "$TMP/etc/conf.d/50-floor.conf"
	reload 'trust bundle'
	client "localhost:$old" < /dev/null
}
prove "a file that comes into conf.d is read, one that has gone is not missed" more_files

hundred_reloads()
{
	local fds kb
	needs_root
	needs_plain_build
	fds=$(count_fds "$(pid_of daemon)")
	kb=$(private_kb "$(pid_of daemon)")
	for _ in {1..100}; do
		reload 'trust bundle'
	done
	# What it opens for a new one is closed a moment after that is told.
	no_more_fds() { [ "$(count_fds "$(pid_of daemon)")" = "$fds" ]; }
	wait_until 10 no_more_fds
	[ "$(private_kb "$(pid_of daemon)")" -lt $((kb + 1024)) ]
	lives load
}
prove "a hundred reloads under load leave no descriptor and no memory behind" hundred_reloads

prove "the load went on through all of that" ends_well load
prove "it stops without leaving anything" stop_daemon
