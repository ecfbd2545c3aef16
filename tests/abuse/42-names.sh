#!/bin/bash
# Cases 28 and 39, from outside: names that are none, and servers whose names are made for a terminal.
# Tags: unprivileged asan
. "$(dirname "$0")/../system/lib.sh"

start_daemon
tried=0 survived=0

# evil NAME SUBJECT: a self-signed certificate of this subject, for localhost.
evil()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -utf8 -days 1 \
		-subj "/CN=$2" -addext "subjectAltName=DNS:localhost" \
		-keyout "$TMP/$1.key" -out "$TMP/$1.pem" 2> "$TMP/openssl"
}

clean()
{
	equal "$(cat "$@" | tr -d '\n' | LC_ALL=C grep -c '[^ -~]')" 0
}

# Refused, and taken: with the program's own CA, -v shows all of it.
shown_clean()
{
	evil evil "$1"
	PKI=$TMP start_peer evil evil
	: > "$TMP/said"
	expect 4 client "localhost:$PORT" < /dev/null 2>> "$TMP/said"
	printf 'echo\nx\n' | client -v --ca "$TMP/evil.pem" "localhost:$PORT" >> "$TMP/said" 2>&1
	clean "$TMP/said" "$TMP/daemon.out"
	grep -q ' certificate ' "$TMP/said"
	deny grep -E '^(forged|2030)' "$TMP/said" "$TMP/daemon.out"
	awk 'length > 2000 { exit 1 }' "$TMP/said" "$TMP/daemon.out"
}

while read -r sentence text; do
	tried=$((tried + 1))
	prove "case 39: a certificate's name with ${sentence//_/ }" shown_clean "$(printf '%b' "$text")"
	survived=$((survived + 1 - failed))
done <<-'END'
	a_line_of_its_own x\nforged
	a_terminal's_commands \033[2J\033[31mred\033]0;title\007
	control_characters_of_eight_bits \302\233\061m\302\205forged
	text_that_runs_backwards \342\200\256gnp.exe
	a_format %s%n%x
END

no_names()
{
	local host
	for host in '' ' ' 'a b' '*' '.' $'a\nb' $'\e[31m' "$(printf 'x%.0s' {1..300})"; do
		expect 1 traffic_as "$CLIENT" "$host" 443 echo 1
		expect 1 traffic_as "$CLIENT" --name "$host" localhost 443 echo 1
	done > "$TMP/none" 2>&1
	deny grep -q 'errno=ECONNREFUSED' "$TMP/none" # nothing was dialled
	clean "$TMP/daemon.out"
}
prove "case 28: no name, an empty one or 300 bytes are refused before anything is dialled" no_names

attacked servers $tried $survived
prove "it stops without leaving anything" stop_daemon
