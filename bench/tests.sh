# shellcheck shell=bash
# A function for each kind of row in bench/rows: NAME_test PEER ARGUMENT..., which measures PEER once, and
# puts what bench/conduct says into $work/said.  What it lacks it notes.

# lacks WHY: the row has nothing to show for this peer.
lacks()
{
	note "$row, $peer: $*"
	return 1
}

# less AMOUNT: of bytes or counts, when there is less time.
less()
{
	local unit=${1//[0-9]/} n=${1%[KM]}

	case $unit in
	M) n=$((n * 1024)) unit=K ;;
	esac
	n=$((n / divisor))
	echo "$((n > 0 ? n : 1))$unit"
}

# few COUNT: of what cannot be done by halves, in the shortest run.
few()
{
	[ "$divisor" -lt 10 ] && echo "$1" || echo $(($1 / 10))
}

# way SERVER KEY RESUME [fresh [WORKERS]]: how the peer gets to that server: program, port, servants, settings.
# fresh: by a daemon, with so many workers, or a proxy, that has done nothing yet and that leave ends.
way()
{
	local id="$peer $*" name=${4:+$row}

	servants=() settings=(BENCH_NOTHING=) port=${server[${1/fair/ec}]} other_port=${server[busy]}
	case $peer in
	openssl | openssl-ra)
		client=$bin/client_openssl
		[ "$2" = - ] || settings+=("BENCH_IDENTITY=$work/$2")
		[ "$peer" = openssl ] || settings+=(BENCH_READ_AHEAD=yes)
		;;
	tlsbroker)
		client=$bin/client_tlsbroker name=${name:-run}
		[ "$2" = - ] || settings+=("BENCH_IDENTITY=$2")
		[ -n "${daemon[$name]-}" ] || start_daemon "$name" "${5:-1}"
		settings+=("TLSBROKER_SOCKET=$work/$name/socket")
		servants=(-p "${daemon[$name]}")
		;;
	tcp)
		client=$bin/client_plain port=${server[plain]}
		;;
	*)
		client=$bin/client_plain
		[ -n "${proxy_pid[$id]-}" ] || start_proxy "$peer" "$@" || return 1
		servants=(-p "${proxy_pid[$id]}")
		port=${proxy_ports[$id]%% *} other_port=${proxy_ports[$id]##* }
		;;
	esac
}

# leave SERVER KEY RESUME fresh [WORKERS]: the way that was taken.
leave()
{
	local id="$peer $*"

	[ -z "${proxy_pid[$id]-}" ] || end "${proxy_pid[$id]}"
	[ -z "${daemon[$row]-}" ] || end "${daemon[$row]}"
	unset "proxy_pid[$id]" "daemon[$row]"
	rm -rf "${work:?}/${id// /-}" "${work:?}/$row"
}

patience=120 # seconds; nothing that works takes half of it

# conduct OPTION... -- TEST ARGUMENT...: by the way that was found.
conduct()
{
	local -a options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	env "${settings[@]}" timeout "$patience" "$bin/conduct" "${servants[@]}" "${options[@]}" \
		"$client" "$@" "$port" "$bundle" > "$work/said.now" 2> "$work/said.err" 8>&- && return
	[ $? != 124 ] || echo "had not done it after $patience s" > "$work/said.err"
	lacks "$(head -n 1 "$work/said.err")"
}

# only PEER...: others have no such row.
only()
{
	[[ " $* " = *" $peer "* ]]
}

only_root()
{
	[ "$(id -u)" = 0 ] && return
	note "$row: only root can be several users"
	return 1
}

said()
{
	cat "$work/said.now" >> "$work/said"
}

# figure NAME VALUE
figure()
{
	echo "$1 $2" >> "$work/said"
}

# fitting SESSIONS [WORKERS]: so many, or as many as there are descriptors for; all peers do the same.  A
# worker takes three quarters of those that a process may have, keeps some 2,300 for other things than
# sessions (OTHER_FILES in src/worker/quota.c), and needs two for each of these.  Proxies need as many, and
# keep fewer.
fitting()
{
	local files sessions most
	files=$(ulimit -n) sessions=$(less "$1")
	most=$(((files * 3 / 4 - 2500) / 2 * ${2:-1}))
	[ "$most" -ge $((files / 64)) ] || most=$((files / 64))
	if [ "$sessions" -gt "$most" ]; then
		note "$row: $most sessions instead of $sessions: of $files descriptors for a process, which" \
			"this machine allows, a worker has three quarters, and needs two for each"
		sessions=$most
	fi
	echo "$sessions"
}

# bulk DIRECTION BYTES CHUNK SESSIONS PROCESSES copy|touch
bulk_test()
{
	local bytes
	bytes=$(less "$2")
	way ec - yes || return 1
	conduct -n "$5" -- bulk "$1" "$((${bytes%K} / $5))K" "$3" "$(($4 / $5))" "$6" || return 1
	said
	figure kib "${bytes%K}"
}

# ping COUNT BYTES SESSIONS
ping_test()
{
	local count
	count=$(less "$1")
	way ec - yes && conduct -- ping "$count" "$2" "$3" || return 1
	said
	figure count "$count"
}

# shake full|resumed SERVER KEY COUNT
shake_test()
{
	local count resume=no
	only openssl tlsbroker stunnel haproxy nginx || return 1
	count=$(less "$4")
	[ "$1" = full ] || resume=yes
	way "$2" "$3" "$resume" && conduct -- shake "$1" "$count" || return 1
	said
	figure count "$count"
}

# first full|resumed TIMES
first_test()
{
	local how=$1
	only openssl tlsbroker stunnel haproxy nginx || return 1
	[ "$peer" != openssl ] || how=full # what is new has nothing to resume
	way ec - "$([ "$1" = full ] && echo no || echo yes)" || return 1
	conduct -s -r "$(few "$2")" -- first "$how" || return 1
	said
}

# crowd PROCESSES
crowd_test()
{
	local count
	only openssl tlsbroker stunnel haproxy nginx || return 1
	count=$(few "$1")
	way ec - yes && conduct -s -n "$count" -- first full || return 1
	said
	figure sessions "$count"
}

# idle SESSIONS SECONDS [WORKERS].  Only the broker's memory becomes less by itself; when there is little
# time, that of the others is taken to be what it was.
idle_test()
{
	local count status=0
	local -a again=(-w "$2") how=(ec - yes fresh "${3:-1}")
	only openssl tlsbroker stunnel haproxy nginx || return 1
	[ "${3:-1}" = 1 ] || only openssl tlsbroker || return 1
	count=$(fitting "$1" "${3:-1}")
	if [ "$when" = q ]; then
		again=(-w 8) # two sweeps, and a little
		[ "$divisor" -lt 10 ] && only tlsbroker || again=()
	fi
	way "${how[@]}" || return 1
	conduct "${again[@]}" -- idle "$count" || status=1
	leave "${how[@]}"
	[ "$status" = 0 ] || return 1
	said
	if [ ${#again[@]} = 0 ] && ! only tlsbroker; then
		sed -n 's/^mem /mem_later /p' "$work/said.now" >> "$work/said"
	fi
	figure count "$count"
	figure sessions "$count"
}

# grow BYTES HANDSHAKES OPEN
grow_test()
{
	local kib count open status=0
	only openssl tlsbroker stunnel haproxy nginx || return 1
	kib=$(less "$1") count=$(less "$2") open=$(fitting "$3")
	way ec - no fresh || return 1
	conduct -a 2 -- grow "$kib" "$count" "$open" || status=1
	leave ec - no fresh
	[ "$status" = 0 ] || return 1
	said
	figure kib "${kib%K}"
	figure count "$count"
	figure sessions "$open"
}

# workers BYTES HANDSHAKES SESSIONS WORKERS.  The others have as many threads as they always have: the
# program one, the proxies what they choose.
workers_test()
{
	local kib count status=0
	local -a how=(wide - no fresh "$4")
	only openssl tlsbroker stunnel haproxy nginx || return 1
	kib=$(less "$1") count=$((($(less "$2") + $3 - 1) / $3 * $3))
	way "${how[@]}" || return 1
	conduct -a 3 -- many "$kib" "$count" "$3" || status=1
	leave "${how[@]}"
	[ "$status" = 0 ] || return 1
	said
	figure kib "${kib%K}"
	figure count "$count"
}

# badges BYTES HANDSHAKES BADGES
badges_test()
{
	local kib count status=0
	only openssl tlsbroker stunnel haproxy nginx || return 1
	only_root || return 1
	kib=$(less "$1")
	kib=$((${kib%K} / 64)) count=$((($(less "$2") + 63) / 64))
	way ec - no fresh || return 1
	conduct -n 64 -u 61001 -b "$3" -a 2 -- grow "${kib}K" "$count" 0 || status=1
	leave ec - no fresh
	[ "$status" = 0 ] || return 1
	said
	figure kib $((kib * 64))
	figure count $((count * 64))
}

# begin_flood: a program, as another user, that takes what the server can send.
begin_flood()
{
	mkfifo "$work/flood.in" "$work/flood.out"
	env "${settings[@]}" setpriv --reuid 61002 --regid 61002 --clear-groups "$client" flood "$other_port" "$bundle" < "$work/flood.in" \
		> "$work/flood.out" 2> "$work/said.err" 8>&- &
	flood=$!
	exec 5> "$work/flood.in" 6< "$work/flood.out"
	read -r _ <&6 && echo >&5 && read -r _ <&6
}

end_flood()
{
	end "$flood"
	flood=''
	exec 5>&- 6<&-
	rm "$work/flood.in" "$work/flood.out"
}

# beside_flood COUNT
beside_flood()
{
	local status=0

	conduct -u 61001 -- ping "$1" 64 1 || return 1
	sed -n 's/^said/alone/p' "$work/said.now" >> "$work/said"
	begin_flood || lacks "no flood: $(head -n 1 "$work/said.err")" || status=1
	[ "$status" != 0 ] || conduct -u 61001 -- ping "$1" 64 1 || status=1
	end_flood
	return "$status"
}

# fair COUNT
fair_test()
{
	local status=0
	only openssl tlsbroker stunnel haproxy nginx || return 1
	only_root && way fair - yes fresh || return 1
	beside_flood "$(less "$1")" || status=1
	leave fair - yes fresh
	[ "$status" != 0 ] || said
	return "$status"
}

# crypt SECONDS: what one processor can do with the cipher alone.
crypt_test()
{
	only openssl || return 1
	openssl speed -elapsed -seconds "$1" -bytes 16384 -evp aes-256-gcm 2> /dev/null |
		awk '/^AES-256-GCM|^aes-256-gcm/ { print "thousands", $2 + 0 }' >> "$work/said"
}
