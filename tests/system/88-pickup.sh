#!/bin/bash
# Files that change are picked up by themselves: trust bundles, revocation lists, certificates and keys;
# written in place, renamed over, behind a link, and behind a folder's link as kubelet turns it.  Nobody
# asks for a reload here.  61001 has the trust of all, 61002 his own, 61003 revocation lists,
# 61004 a certificate.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - changed files of four users: needs root"
	exit 0
fi

# ---- what the files can be ----

new_identity()
{
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/$1.key" 2> /dev/null
	openssl req -new -key "$TMP/$1.key" -subj "/CN=client-$1" -out "$TMP/$1.csr"
	openssl x509 -req -in "$TMP/$1.csr" -CA "$PKI/root.crt" -CAkey "$PKI/root.key" -days 2 \
		-out "$TMP/$1.pem" 2> /dev/null
}
new_identity first
new_identity second

list()
{
	openssl ca -config "$TMP/$1.conf" -gencrl -cert "$PKI/$1.crt" -keyfile "$PKI/$1.key" \
		-out "$TMP/$1.crl" 2>> "$TMP/openssl.log"
}

for ca in root intermediate; do
	: > "$TMP/$ca.txt"
	echo "unique_subject = no" > "$TMP/$ca.txt.attr"
	printf '[ca]\ndefault_ca = x\n[x]\ndatabase = %s\ndefault_md = sha256\ndefault_crl_days = 9\n' \
		"$TMP/$ca.txt" > "$TMP/$ca.conf"
	list $ca
done
cat "$TMP/root.crl" "$TMP/intermediate.crl" > "$TMP/good.crl"
openssl ca -config "$TMP/intermediate.conf" -revoke "$PKI/good.crt" -cert "$PKI/intermediate.crt" \
	-keyfile "$PKI/intermediate.key" 2>> "$TMP/openssl.log"
list intermediate
cat "$TMP/root.crl" "$TMP/intermediate.crl" > "$TMP/revoked.crl"
cat "$PKI/root.pem" "$PKI/other-root.pem" > "$TMP/two.pem"

# fill FOLDER: as it was at first.
fill()
{
	mkdir -p "$1"
	put "$1" all.pem "$PKI/root.pem"
	put "$1" own.pem "$PKI/root.pem"
	put "$1" crl.pem "$TMP/good.crl"
	put "$1" cert.pem "$TMP/first.pem"
	put "$1" cert.key "$TMP/first.key"
}

# put FOLDER NAME FILE: in place, if it is there.
put()
{
	cat "$3" > "$1/$2"
	case $2 in
	*.key*) chown "root:nogroup" "$1/$2" && chmod 640 "$1/$2" ;;
	esac
}

# ---- four ways to replace them ----

plain=$TMP/plain
fill "$plain"

# change WAY NAME FILE: NAME of that way is replaced by FILE.
change()
{
	local way=$1 name=$2 file=$3 next
	case $way in
	in-place) put "$plain" "$name" "$file" ;;
	renamed)
		put "$plain" ".$name.new" "$file"
		mv "$plain/.$name.new" "$plain/$name"
		;;
	linked)
		next=$name.$RANDOM$RANDOM
		put "$TMP/store" "$next" "$file"
		ln -s "../store/$next" "$TMP/linked/.new"
		mv -T "$TMP/linked/.new" "$TMP/linked/$name"
		;;
	kubelet)
		next=..$RANDOM$RANDOM
		cp -a "$TMP/kubelet/..data/." "$TMP/kubelet/$next"
		put "$TMP/kubelet/$next" "$name" "$file"
		turn "$TMP/kubelet/..data" "$next"
		;;
	release)
		next=v$RANDOM$RANDOM
		cp -a "$TMP/release/current/." "$TMP/release/$next"
		put "$TMP/release/$next" "$name" "$file"
		turn "$TMP/release/current" "$next"
		;;
	esac
}

# turn LINK NEXT: the folder that it led to goes at once.
turn()
{
	local old
	old=${1%/*}/$(readlink "$1")
	ln -s "$2" "$1.new"
	mv -T "$1.new" "$1"
	rm -r "$old"
}

mkdir "$TMP/linked" "$TMP/store"
fill "$TMP/store"
fill "$TMP/kubelet/..first"
ln -s ..first "$TMP/kubelet/..data"
for name in all.pem own.pem crl.pem cert.pem cert.key; do
	ln -s "../store/$name" "$TMP/linked/$name"
	ln -s "..data/$name" "$TMP/kubelet/$name"
done
fill "$TMP/release/first"
ln -s first "$TMP/release/current"

# ---- what shows which ones are in force ----

start_peer good good
good=$PORT
start_peer unknown unknown-ca
unknown=$PORT
start_openssl revoked good
revoked=$PORT
start_nginx web good "ssl_client_certificate $PKI/root.pem; ssl_verify_client on;
	location /whoami { return 200 'I see \$ssl_client_s_dn\\n'; }"
web=$PORT

accepted()
{
	expect 0 traffic_as "$1" localhost "$2" echo 100
}

refused()
{
	expect 4 as_uid "$1" tlsbroker-cli connect --socket "$SOCKET" "localhost:$2" < /dev/null
}

is_revoked()
{
	expect 4 as_uid 61003 tlsbroker-cli connect --socket "$SOCKET" "localhost:$revoked" \
		> "$TMP/told" 2>&1 < /dev/null
	grep -F 'was revoked' "$TMP/told"
}

not_revoked()
{
	as_uid 61003 tlsbroker-cli connect --socket "$SOCKET" --eof-wait 0 "localhost:$revoked" < /dev/null
}

shows()
{
	printf 'GET /whoami HTTP/1.0\r\n\r\n' | as_uid 61004 tlsbroker-cli connect --socket "$SOCKET" \
		--no-resume --identity x "localhost:$web" 2>&1 | grep -F "I see CN=client-$1"
}

# begin FOLDER: the daemon with the files that are in it.
begin()
{
	mkdir -p "$TMP/etc"
	cat > "$conf" <<-END
		trust = "$1/all.pem"
		identity "x" { certificate = "$1/cert.pem" key = "$1/cert.key" }
		badge "all" { match = { "uid:61001" } }
		badge "own" { match = { "uid:61002" } trust = "$1/own.pem" }
		badge "crl" { match = { "uid:61003" } crl = "$1/crl.pem" }
		badge "key" { match = { "uid:61004" } identities = { x } }
	END
	launch_daemon daemon --config "$conf" --trust "$1/all.pem"
	wait_until 10 daemon_serves
	accepted 61001 "$good"
	refused 61001 "$unknown"
	refused 61002 "$unknown"
	not_revoked
	shows first
	witness load 61002 --sessions 5 localhost "$good" echo 0
	pid=$(pid_of daemon)
	workers=$(role_pid worker | sort)
}

# picks_up WAY: each kind of file, there and back, and nobody else is disturbed.
picks_up()
{
	local way=$1 folder=$2 pid workers
	begin "$folder"
	change "$way" all.pem "$TMP/two.pem"
	wait_until 5 accepted 61001 "$unknown"
	refused 61002 "$unknown"
	change "$way" own.pem "$TMP/two.pem"
	wait_until 5 accepted 61002 "$unknown"
	change "$way" own.pem "$PKI/root.pem"
	wait_until 5 refused 61002 "$unknown"
	accepted 61001 "$unknown"
	change "$way" all.pem "$PKI/root.pem"
	wait_until 5 refused 61001 "$unknown"
	change "$way" crl.pem "$TMP/revoked.crl"
	wait_until 5 is_revoked
	change "$way" crl.pem "$TMP/good.crl"
	wait_until 5 not_revoked
	change "$way" cert.key "$TMP/second.key"
	change "$way" cert.pem "$TMP/second.pem"
	wait_until 10 shows second
	change "$way" cert.pem "$TMP/first.pem"
	change "$way" cert.key "$TMP/first.key"
	wait_until 10 shows first
	lives load
	equal "$(role_pid worker | sort)" "$workers"
	deny says daemon 'cannot be watched|killed'
	stop load TERM
	stop_daemon
}
prove "written in place: trust, a badge's trust, revocation lists, certificate and key" \
	picks_up in-place "$plain"
prove "renamed over what was there" picks_up renamed "$plain"
prove "a link that is turned to another file" picks_up linked "$TMP/linked"
prove "a folder's link within the folder, as kubelet turns it" picks_up kubelet "$TMP/kubelet"
prove "a folder's link on the way" picks_up release "$TMP/release/current"

ends_what_is_forbidden()
{
	local pid workers
	begin "$plain"
	witness lost 61003 localhost "$good" echo 0
	change renamed crl.pem "$TMP/revoked.crl"
	equal "$(exit_status lost 10)" 1
	says lost "errno=EACCES .*text=crl: the server's certificate was revoked"
	lives load
	stop load TERM
	fill "$plain"
	stop_daemon
}
prove "a session that a new list forbids ends, and no other" ends_what_is_forbidden

often()
{
	local pid workers fds worker_fds worker i
	bundles() { grep -c 'trust bundle [0-9]*:' "$TMP/daemon.out"; }
	is_loaded() { [ "$(bundles)" -gt "$i" ]; }
	no_more_fds() { [ "$(count_fds "$pid")" -le "$fds" ] && [ "$(count_fds "$worker")" -le "$worker_fds" ]; }
	begin "$plain"
	load busy 61002 --sessions 5 localhost "$good" echo 0
	worker=$(worker_pid 61002)
	fds=$(count_fds "$pid")
	worker_fds=$(count_fds "$worker")
	for _ in {1..15}; do
		for file in "$TMP/two.pem" "$PKI/root.pem"; do
			i=$(bundles)
			change renamed all.pem "$file"
			wait_until 5 is_loaded
		done
	done
	wait_until 10 no_more_fds
	lives load
	ends_well busy
	stop load TERM
	stop_daemon
}
prove "thirty changes under load leave no descriptor behind" often

# ---- what cannot be used ----

complaints()
{
	grep -Ec 'ERROR .*a file that changed cannot be used' "$TMP/daemon.out" || true
}

has_complained()
{
	[ "$(complaints)" = "$1" ]
}

broken()
{
	local pid workers
	begin "$plain"
	change renamed all.pem "$PKI/good.key"
	logs 'old one is kept.*all.pem: there is no usable CA certificate in it'
	accepted 61001 "$good"
	rm "$plain/own.pem"
	logs 'old one is kept.*own.pem: No such file'
	accepted 61002 "$good"
	# One that cannot be used keeps no other from being renewed.
	change renamed crl.pem "$TMP/revoked.crl"
	wait_until 5 is_revoked
	change renamed cert.pem "$TMP/second.pem"
	logs 'old one is kept.*cert.key does not belong to the certificate'
	shows first
	# It is tried again, and not said again.
	has_complained 3
	sleep 6
	has_complained 3
	change renamed cert.key "$TMP/second.key"
	wait_until 5 shows second
	cp "$TMP/two.pem" "$plain/own.pem"
	wait_until 5 accepted 61002 "$unknown"
	refused 61001 "$unknown"
	change renamed all.pem "$TMP/two.pem"
	wait_until 5 accepted 61001 "$unknown"
	has_complained 3
	lives load
	stop load TERM
	fill "$plain"
	stop_daemon
}
prove "what cannot be used keeps the old, is told once, and is taken as soon as it is good" broken

unreadable()
{
	local pid workers
	begin "$plain"
	chmod 600 "$plain/all.pem"
	logs 'old one is kept.*all.pem: Permission denied'
	cat "$TMP/two.pem" > "$plain/all.pem"
	chmod 644 "$plain/all.pem"
	wait_until 15 accepted 61001 "$unknown"
	# Same size, same times as before: it is another one all the same.
	put "$plain" cert.key "$TMP/second.key"
	cp "$TMP/second.pem" "$plain/.new"
	touch -r "$plain/cert.pem" "$plain/.new"
	mv "$plain/.new" "$plain/cert.pem"
	wait_until 10 shows second
	stop load TERM
	fill "$plain"
	stop_daemon
}
prove "permissions that change count as a change" unreadable

elsewhere()
{
	local pid workers
	begin "$TMP/release/current"
	fill "$TMP/far"
	cat "$TMP/two.pem" > "$TMP/far/all.pem"
	ln -s "$TMP/far" "$TMP/release/current.new"
	mv -T "$TMP/release/current.new" "$TMP/release/current"
	logs 'current/all.pem is in a folder that the sandbox does not let the daemon read'
	refused 61001 "$unknown"
	accepted 61001 "$good"
	stop load TERM
	stop_daemon
	rm "$TMP/release/current"
	launch_daemon daemon --config "$conf"
}
if [ "$SANDBOX" = enforce ]; then
	prove "a folder that was not there for it at the start: it says so, and keeps the old" elsewhere
fi
fill "$plain"

reloads()
{
	local pid workers
	begin "$plain"
	# What a reload names is watched from then on.
	sed -i "s,trust = \"$plain/own.pem\",trust = \"$plain/late.pem\"," "$conf"
	cp "$PKI/root.pem" "$plain/late.pem"
	reload
	refused 61002 "$unknown"
	change renamed late.pem "$TMP/two.pem"
	wait_until 5 accepted 61002 "$unknown"
	# The configuration itself is not picked up.
	echo 'nonsense' >> "$conf"
	change renamed all.pem "$TMP/two.pem"
	wait_until 5 accepted 61001 "$unknown"
	deny says daemon 'nonsense'
	stop load TERM
	fill "$plain"
	stop_daemon
}
prove "after a reload: what it named, and the configuration only then" reloads

# ---- at rest ----

switches()
{
	awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$1/status"
}

idle()
{
	local pid workers before
	begin "$plain"
	stop load TERM
	is_still()
	{
		before=$(switches "$pid")
		sleep 3
		[ "$(switches "$pid")" = "$before" ]
	}
	# What sessions have left behind may take a moment.
	wait_until 30 is_still
	# Nor does what else happens in the folder, or what only reads.
	before=$(switches "$pid")
	touch "$plain/unrelated"
	mv "$plain/unrelated" "$plain/other"
	rm "$plain/other"
	cat "$plain"/* > /dev/null
	sleep 1
	equal "$(switches "$pid")" "$before"
	stop_daemon
}
prove "at rest the supervisor does not wake, not by what else is in the folders either" idle
