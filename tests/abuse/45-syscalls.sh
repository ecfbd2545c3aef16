#!/bin/bash
# Case 45: in the running daemon, each system call of a role's profile fails, once, with each of its
# errors, while two users have quiet sessions: strace injects it.  A new session then works or has a
# definite error, never later than its deadline; a server with a bad certificate is never accepted; the
# other user hears nothing, nor does anybody if it is not a worker that was hit; and a second later all
# works.  The short form tries some of them.
#
# A filter would see the injected call as one that is not on its list, so the sandbox only logs.
# Limit: 1100 s
. "$(dirname "$0")/../system/lib.sh"

SOON=1000 late=0
STEP=13
abuse_full && STEP=1
PROFILES=${LIMITS%/*}/syscalls.def # a copy of src/sandbox/syscalls.def
NEWCOMER=$((CLIENT + 1000)) # a user who has no worker yet

can_trace()
{
	[ "$ROOT" ] && [ "$SANDBOX" = enforce ] && command -v strace > /dev/null &&
		strace -qq -o /dev/null -e inject=getppid:error=EPERM sh -c :
}
if ! can_trace; then
	prove "case 45: system calls of the running daemon fail" \
		skip "needs root, strace, ptrace(2), and no sanitizers"
	exit 0
fi

# calls_of ROLE: what its profile lets it do, but for what only the loader and exec do.
calls_of()
{
	local who="R\\(${1^^}\\)"
	[ "$1" = supervisor ] || who="(R_CHILDREN|$who)"
	sed -nE "/^\\/\\* ---- a child between fork/q; s/^(SYSCALL|FILTERED)\\(([a-z0-9_]+), .*$who.*/\\2/p" \
		"$PROFILES" | sort -u
	[ "$1" != supervisor ] || printf '%s\n' epoll_wait epoll_ctl sendmsg recvmsg mmap memfd_create \
		ftruncate fcntl write
}

# errors_of CALL: what the kernel says in the way of "no"; nothing where it never does.
errors_of()
{
	case $1 in
	epoll_wait | epoll_pwait | wait4 | waitid) echo EINTR ;;
	epoll_ctl) echo ENOMEM ENOSPC ;;
	sendmsg) echo EINTR EAGAIN ENOMEM ENOBUFS ;;
	recvmsg) echo EINTR EAGAIN ENOMEM ECONNRESET ;;
	sendto) echo EINTR ENOMEM ENOBUFS EPIPE ECONNRESET ;;
	recvfrom) echo EINTR ENOMEM ECONNRESET ETIMEDOUT ;;
	read | write | writev) echo EINTR EAGAIN EIO ;;
	pread64 | pwrite64) echo EINTR EIO ENOMEM ;;
	accept4) echo EINTR EAGAIN ECONNABORTED EMFILE ENFILE ENOMEM ;;
	socket | socketpair | memfd_create | openat) echo EMFILE ENFILE ENOMEM ;;
	connect) echo EINTR EADDRNOTAVAIL ENETUNREACH ECONNREFUSED EACCES ;;
	ftruncate) echo EINTR ENOSPC ;;
	fcntl) echo EMFILE EINVAL ;;
	clone) echo EAGAIN ENOMEM ;;
	poll) echo EINTR ENOMEM ;;
	mmap | munmap | mremap | brk | madvise | mprotect | getsockopt | setsockopt | getsockname | \
	newfstatat | fstat | sysinfo) echo ENOMEM ;;
	getpeername | shutdown) echo ENOTCONN ;;
	prlimit64 | setitimer) echo EINVAL ;;
	esac
}

# What there is to try: lines "CALL ERROR".
faults_of()
{
	local call error
	for call in $(calls_of "$1"); do
		for error in $(errors_of "$call"); do
			echo "$call $error"
		done
	done
}

# pid_of_role ROLE: of the workers, our user's.
pid_of_role()
{
	case $1 in
	supervisor) pid_of daemon ;;
	worker) worker_pid "$CLIENT" ;;
	*) role_pid "$1" ;;
	esac
}

# session UID KIND: a new one, which ends with its deadline; 0 or 1 as traffic says.  KIND: good; bad, with a
# server that is not to be accepted; known, with one that wants a certificate, and verifies that.
session()
{
	local port=$GOOD status=0 identity=()
	case $2 in
	bad) port=$BAD ;;
	known) port=$WANTS identity=(--identity known --no-resumption) ;;
	esac
	as_uid "$1" timeout 400 traffic --socket "$SOCKET" "${identity[@]}" localhost "$port" echo 100 ||
		status=$?
	[ "$status" -le 1 ] || echo "a session hangs: status $status" >> "$TMP/unexpected"
	return "$status"
}

is_back()
{
	session "$CLIENT" good && session "$CLIENT" known
}

# returns_in_time MS: what the same takes just now without a fault comes on top, some times over; and a machine
# is late if it was three times in a row.
returns_in_time()
{
	local begin
	begin=$(now)
	if [ "$1" -gt "$SOON" ] && is_back && [ "$1" -gt $((SOON + 5 * ($(now) - begin))) ]; then
		late=$((late + 1))
	else
		late=0
	fi
	[ $late -lt 3 ]
}

# pulse NAME UID: a byte there and back, again and again.
pulse()
{
	background "$1" "$2" pulse --socket "$SOCKET" --every 20 localhost "$GOOD"
	wait_until 60 says "$1" '^established'
}

is_quiet()
{
	[ -f "$TMP/$1.pid" ] && lives "$1"
}

# The sessions of both users, one each.
be_quiet()
{
	is_quiet ours || pulse ours "$CLIENT"
	is_quiet theirs || pulse theirs "$OTHER"
}

# with_fault ROLE CALL ERROR COMMAND...: 0 if the call was made, and failed.
with_fault()
{
	local pid
	pid=$(pid_of_role "$1")
	background tracer - strace -qq -p "$pid" -e trace="$2" -e inject="$2:error=$3:when=1" \
		-e signal=none --status=failed
	wait_until 5 grep -q "^TracerPid:[[:space:]]*$(pid_of tracer)$" "/proc/$pid/status"
	"${@:4}"
	stop tracer INT
	grep -q INJECTED "$TMP/tracer.out"
}

# What is done meanwhile.  Who is new makes the supervisor give a worker out, and start another.
sessions()
{
	session "$CLIENT" good || true
	if session "$CLIENT" bad; then
		echo "a server was accepted that must not be" >> "$TMP/unexpected"
	fi
	if [ "$1" = keyholder ]; then
		session "$CLIENT" known || true
		session "$OTHER" known || true
	fi
	if [ "$1" = supervisor ]; then
		NEWCOMER=$((NEWCOMER + 1))
		session "$NEWCOMER" good || true
	fi
}

# fail_once ROLE CALL ERROR
fail_once()
{
	local begin hit=no
	be_quiet
	with_fault "$1" "$2" "$3" sessions "$1" && hit=yes
	begin=$(now)
	wait_until 10 is_back || { echo "not back after $2 $3"; return 1; }
	returns_in_time $(($(now) - begin)) || { echo "late after $2 $3"; return 1; }
	lives theirs || { echo "$2 $3: the other user heard it"; return 1; }
	if [ "$1" != worker ] && ! lives ours; then
		echo "$2 $3: a session heard it"
		return 1
	fi
	lives ours || grep -q '^failed .* text=.' "$TMP/ours.out"
	[ $hit = no ] || echo "$2 $3" >> "$TMP/survived"
}

# fail_all ROLE
fail_all()
{
	local fault i=0 step=$STEP
	# Of its profile it needs little to sign: two calls.
	[ "$1" != keyholder ] || step=$(((STEP + 2) / 3))
	while read -r -u 8 fault; do
		i=$((i + 1))
		[ $(((i + step / 2) % step)) = 0 ] || continue
		# shellcheck disable=SC2086  # two words
		fail_once "$1" $fault
	done 8< <(faults_of "$1")
	ends_well theirs
	[ -s "$TMP/survived" ]
}

start_peer bad unknown-ca
BAD=$PORT
start_peer good good
GOOD=$PORT
start_peer wants good --clients-from "$PKI/root.pem"
WANTS=$PORT
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/known.key" 2> /dev/null
openssl req -new -key "$TMP/known.key" -subj /CN=known -out "$TMP/known.csr"
openssl x509 -req -in "$TMP/known.csr" -CA "$PKI/root.crt" -CAkey "$PKI/root.key" -days 2 \
	-out "$TMP/known.pem" 2> /dev/null
chown root:nogroup "$TMP/known.key"
chmod 640 "$TMP/known.key"
write_conf <<-END
	identity "known" { certificate = "$TMP/known.pem" key = "$TMP/known.key" }
	identities = { known }
END
start_daemon --sandbox=log --config "$conf"
for role in frontdoor connector worker keyholder supervisor; do
	: > "$TMP/survived"
	prove "case 45: a system call of the $role fails, and each of its errors is survived" fail_all "$role"
	count=$(wc -l < "$TMP/survived")
	echo "# $role: $count of $(faults_of "$role" | wc -l) were met: $(cut -d ' ' -f 1 "$TMP/survived" | sort -u | tr '\n' ' ')"
	attacked faults "$count" "$count"
done
prove "it stops without leaving anything" stop_daemon
