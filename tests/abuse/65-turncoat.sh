#!/bin/bash
# A worker that was taken over: cases 15 and 42, and what of the others can be tried from there.  All
# other processes are the real ones.  What it tries, and what must come of it, is in
# tests/lib/treason/attempts.def; and every message that is not a worker's, of which the short form has some.
# Each attempt has a user and a worker of its own.  Another badge's sessions go on meanwhile.
# Limit: 300 s
. "$(dirname "$0")/../system/lib.sh"

if [ -z "$ROOT" ] || [ "$SANDBOX" != enforce ]; then
	prove "case 42: a worker that was taken over" skip "needs root, for other users, and no sanitizers"
	exit 0
fi

# ---- the two badges ----

keys=$TMP/keys
mkdir "$keys"

new_identity()
{
	openssl genpkey -out "$keys/$1.key" -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2> /dev/null
	openssl req -new -key "$keys/$1.key" -subj "/CN=$1" -out "$keys/$1.csr"
	openssl x509 -req -in "$keys/$1.csr" -CA "$PKI/root.crt" -CAkey "$PKI/root.key" -days 2 \
		-out "$keys/$1.pem" 2> /dev/null
	chmod 640 "$keys/$1.key"
	chown root:nogroup "$keys/$1.key"
}
new_identity ours
new_identity theirs

new_psk()
{
	openssl rand -hex 32 > "$keys/$1.psk"
	chmod 640 "$keys/$1.psk"
	chown root:nogroup "$keys/$1.psk"
}
new_psk ours
new_psk theirs

start_openssl want good -CAfile "$PKI/root.pem" -Verify 4 -verify_return_error
want=$PORT
start_openssl ours good
ours=$PORT
start_peer theirs good
theirs=$PORT
# Whoever connects to it stands still.
start_openssl still good -CAfile "$PKI/root.pem" -Verify 4
kill -STOP "$(pid_of still)"
still=$PORT

write_conf <<-END
	identity "ours" { certificate = "$keys/ours.pem" key = "$keys/ours.key" }
	identity "theirs" { certificate = "$keys/theirs.pem" key = "$keys/theirs.key" }
	psk "ours" { identity = "ours" key = "$keys/ours.psk" }
	psk "theirs" { identity = "theirs" key = "$keys/theirs.psk" }
	badge "honest" {
		match        = { "uid:$OTHER" }
		identities   = { theirs }
		psks         = { theirs }
		destinations = { "127.0.0.1:$theirs", "127.0.0.1:$want", "127.0.0.1:$still" }
	}
	badge "hostile" {
		match        = any
		identities   = { ours }
		psks         = { ours }
		max-keys     = 3
		destinations = { "127.0.0.1:$ours", "localhost:$theirs", "allowed.test:443" }
		max-sessions-per-second = 20
	}
END

mkdir "$TMP/hostile"
cp "$(command -v turncoat)" "$TMP/hostile/tlsbrokerd"
PATH=$TMP/hostile:$PATH
# The owner's status would be a worker of the hostile badge: the other user looks whether it serves.
daemon_serves()
{
	as_uid "$OTHER" tlsbroker-cli status --socket "$SOCKET"
}
start_daemon --config "$conf"

# ---- the other badge ----

background pulse "$OTHER" pulse --socket "$SOCKET" --every 20 127.0.0.1 "$theirs"
wait_until 20 says pulse '^established'

# A handshake that stands still, so that another worker's key is lent all the time.
install -o "$OTHER" -m 600 "$keys/theirs.key" "$keys/own.key"
background lent "$OTHER" tlsbroker-cli connect --socket "$SOCKET" --timeout 600 \
	--cert "$keys/theirs.pem" --key "$keys/own.key" "127.0.0.1:$still"

# And a key that it has imported.
stolen=$(as_uid "$OTHER" tlsbroker-cli keys --socket "$SOCKET" import "$keys/own.key")

# A stream there and back, exact; a signature with its own key, and one with a key of the program's;
# and one of a hash.
others_are_well()
{
	lives pulse
	expect 0 traffic_as "$OTHER" 127.0.0.1 "$theirs" echo 300000
	printf 'echo\n' | as_uid "$OTHER" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v \
		--no-resume --identity theirs "127.0.0.1:$want" > "$TMP/shown" 2>&1
	grep -q '^ *identity *theirs$' "$TMP/shown"
	printf 'echo\n' | as_uid "$OTHER" tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 -v \
		--no-resume --cert "$keys/theirs.pem" --key "$keys/own.key" \
		"127.0.0.1:$want" > "$TMP/shown" 2>&1
	grep -q '^ *identity *(own)$' "$TMP/shown"
	lives lent
	sha256sum "$keys/theirs.pem" | as_uid "$OTHER" tlsbroker-cli keys --socket "$SOCKET" sign "$stolen" \
		> "$TMP/signature"
	openssl dgst -sha256 -verify "$keys/theirs.pub" -signature "$TMP/signature" "$keys/theirs.pem"
}
openssl pkey -in "$keys/theirs.key" -pubout -out "$keys/theirs.pub"
prove "the other badge has sessions, and its key" others_are_well

# ---- the attempts ----

# What the other processes are, and how many descriptors each has.
role_fds()
{
	local role pid
	for role in frontdoor connector keyholder; do
		pid=$(role_pid $role)
		echo "$role $pid $(count_fds "$pid")"
	done
}
role_fds > "$TMP/before"

victim=$(pgrep -u "$DAEMON" -P "$(pid_of daemon)" -f -- '-x worker ' | head -n 1)
step=9
abuse_full && step=1
# Well above the users of other tests.
background ask - turncoat ask "$SOCKET" 70000 "$victim" "$ours" "$theirs" $step "$stolen"

# said UID PID OUTCOME: the log says it of this worker.
said()
{
	case $3 in
	"killed by its sandbox") says daemon "worker\[$2\].*made a system call that its sandbox forbids" ;;
	"killed by the supervisor") says daemon "worker\[$2\].*a role broke the protocol, and is killed" ;;
	"cut off") says daemon "a worker broke the protocol.* uid=$1( |\$)" ;;
	esac
}

# came UID PID OUTCOME WANTED
came()
{
	case $4 in
	killed*) equal "$3" "hung up" && wait_until 10 said "$1" "$2" "$4" ;;
	"cut off") equal "$3" "$4" && wait_until 10 said "$1" "$2" "$4" ;;
	*) equal "$3" "$4" ;;
	esac
}

tried=0 refused=0
: > "$TMP/refused"
while IFS=$'\t' read -r -u 8 group name uid pid outcome wanted; do
	if [ "$group" = control ]; then
		prove "what a worker may: ${name//_/ }: $wanted" came "$uid" "$pid" "$outcome" "$wanted"
		continue
	fi
	tried=$((tried + 1))
	attempt() { came "$uid" "$pid" "$outcome" "$wanted" && echo "$name" >> "$TMP/refused"; }
	prove "case 42: $group: ${name//_/ }: $wanted" attempt
done 8< <(tail -n +1 --pid="$(pid_of ask)" -s 0.1 -f "$TMP/ask.out")

prove "all of them were tried" equal "$(exit_status ask 5)" 0
prove "case 15: another badge's key is refused by the keyholder itself" \
	logs 'keyholder.*a signature was refused.*this badge has no such key'
prove "case 15: and so is another badge's pre-shared key" \
	logs 'keyholder.*a pre-shared key was refused.*this badge has no such key'

# What it says in the log is its own, in one line each, and not more than a little.
log_is_true()
{
	logs 'turncoat says whose it is badge=hostile uid=7'
	deny grep -E 'turncoat says whose it is.*(badge=honest|uid=0)' "$TMP/daemon.out"
	deny grep -E '^(ERROR|.*supervisor\[1\]: false$)' "$TMP/daemon.out"
	equal "$(tr -d '\n' < "$TMP/daemon.out" | LC_ALL=C grep -c '[^ -~]' || true)" 0
	deny grep forged "$TMP/daemon.out"
	[ "$(grep -c 'turncoat floods' "$TMP/daemon.out")" -le $((10 * $(limit LOG_LINES))) ]
	logs 'too many log lines: some were left out'
}
prove "case 42: the log has no line of anybody else, and not many of it" log_is_true
prove "the other badge noticed nothing, and goes on" others_are_well

# But for the channels of the one worker that is still there: it hears nothing any more.
nothing_is_left()
{
	role_fds > "$TMP/after"
	awk '{ $3++; print }' "$TMP/before" | cmp - "$TMP/after"
}
prove "no other process has died, or has a descriptor that it had not before" \
	wait_until 10 nothing_is_left

deaf=$(awk -F '\t' '$2 == "hearing_nothing_any_more" { print $4 }' "$TMP/ask.out")
reloaded()
{
	reload
	others_are_well
}
prove "a reload works, though a worker hears nothing any more" reloaded

kill -CONT "$(pid_of still)"
prove "the handshake that stood still all the time goes on" equal "$(exit_status lent 20)" 0
prove "the sessions of the other badge end well" ends_well pulse
refused=$(wc -l < "$TMP/refused")
echo "# attempts $tried, succeeded $((tried - refused))"
prove "case 42: at least 40 attempts, of which none succeeded" \
	test "$tried" -ge 40 -a "$refused" = "$tried"
attacked faults "$tried" "$refused"
prove "it stops without leaving anything" stop_daemon
deaf_is_gone()
{
	logs 'sessions did not end in time'
	deny kill -0 "$deaf"
}
prove "nor the worker that did not hear it" deaf_is_gone
