#!/bin/bash
# OCSP responses, as "openssl ocsp" makes them and openssl, gnutls and nginx send them along: a badge that
# demands them gets no session without a good one.  Three users: 61001 demands it, 61002 only of some
# servers, whose certificate does; 61003 begins without.
# Tags: asan
. "$(dirname "$0")/lib.sh"

if [ -z "$ROOT" ]; then
	echo "skip - OCSP responses for three users: needs root"
	exit 0
fi

# database CA: what openssl has instead of a CA's books.
database()
{
	: > "$TMP/$1.txt"
	echo "unique_subject = no" > "$TMP/$1.txt.attr"
	printf '[ca]\ndefault_ca = x\n[x]\ndatabase = %s\ndefault_md = sha256\n' "$TMP/$1.txt" \
		> "$TMP/$1.conf"
}

# book CA -valid|-revoke CERTIFICATE
book()
{
	openssl ca -config "$TMP/$1.conf" "$2" "$3" -cert "$PKI/$1.crt" -keyfile "$PKI/$1.key" \
		2>> "$TMP/openssl.log"
}

# own NAME ISSUER-PREFIX EXTENSIONS: a certificate of our own beside the tests', with the whole chain.
own()
{
	openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/$1.key"
	openssl req -new -key "$TMP/$1.key" -subj "/CN=$1" -out "$TMP/$1.csr" 2>> "$TMP/openssl.log"
	printf '%b\n' "$3" > "$TMP/$1.ext"
	openssl x509 -req -in "$TMP/$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial \
		-CAserial "$TMP/serial" -days 9 -extfile "$TMP/$1.ext" -out "$TMP/$1.crt" \
		2>> "$TMP/openssl.log"
	cat "$TMP/$1.crt" "$PKI/intermediate.crt" > "$TMP/$1.pem"
}

# respond FILE CERTIFICATE SIGNER [openssl-ocsp options...]: what its CA says of it.  SIGNER: a path
# without .crt.  The file is another one at once.
respond()
{
	local file=$1 certificate=$2 signer=$3
	shift 3
	openssl ocsp "${DIGEST:--sha1}" -issuer "$PKI/intermediate.crt" -cert "$certificate" \
		-no_nonce -reqout "$TMP/request" 2>> "$TMP/openssl.log"
	openssl ocsp -index "$TMP/intermediate.txt" -CA "$PKI/intermediate.crt" -ndays 9 \
		-rsigner "$signer.crt" -rkey "$signer.key" -reqin "$TMP/request" \
		-respout "$TMP/response" "$@" >> "$TMP/openssl.log" 2>&1
	mv "$TMP/response" "$file"
}

# at DAYS COMMAND...: with a clock that is so many days off.
at()
{
	local days=$1
	shift
	if [ ! -e "$TMP/at$days.so" ]; then
		cc -shared -fPIC -DOFF="$days * 86400L" -o "$TMP/at$days.so" -x c - <<-'END' || skip "needs a compiler"
			#include <time.h>
			time_t time(time_t *ret)
			{
				struct timespec now;
				clock_gettime(CLOCK_REALTIME, &now);
				if (ret)
					*ret = now.tv_sec + OFF;
				return now.tv_sec + OFF;
			}
		END
	fi
	preload=$TMP/at$days.so
	# Only openssl's clock: bash has one of its own.
	openssl() { LD_PRELOAD=$preload command openssl "$@"; }
	"$@"
	unset -f openssl
}

database intermediate
own delegate "$PKI/intermediate" 'extendedKeyUsage = OCSPSigning\nnoCheck = yes'
own clerk "$PKI/intermediate" 'extendedKeyUsage = clientAuth'
own abroad "$PKI/root" 'extendedKeyUsage = OCSPSigning'
own demanding "$PKI/intermediate" \
	'subjectAltName = DNS:localhost\nextendedKeyUsage = serverAuth\ntlsfeature = status_request'
for certificate in "$PKI/good.crt" "$PKI/good-rsa.crt" "$TMP/demanding.crt"; do
	book intermediate -valid "$certificate"
done
issuer=$PKI/intermediate
respond "$TMP/good.der" "$PKI/good.crt" "$issuer"
respond "$TMP/delegate.der" "$PKI/good.crt" "$TMP/delegate"
respond "$TMP/demanding.der" "$TMP/demanding.crt" "$TMP/delegate"
cp "$TMP/good.der" "$TMP/sent.der"
start_openssl peer good -status_file "$TMP/sent.der"
new=$PORT
start_openssl peer12 good -status_file "$TMP/sent.der" -tls1_2
old=$PORT
start_openssl bare good
bare=$PORT
start_peer any good --staple "$TMP/any.der"
any=$PORT
start_peer any12 good --staple "$TMP/any.der" --tls 1.2
any12=$PORT

write_conf <<-END
	badge "demands" {
		match               = { "uid:61001" }
		require-ocsp-staple = yes
		allow-insecure      = yes
	}
	badge "free" { match = { "uid:61002" } }
	badge "later" { match = { "uid:61003" } }
END
start_daemon --config "$conf"

# refused UID PORT WORDS [flags...]: because of the server's certificate.
refused()
{
	is_refused "$1" "$2" 4 "${@:3}"
}

# recorded UID REGEX: before long there is such an audit record of this user's.
recorded()
{
	logs "uid=$1 event=session .*$2"
}

# both COMMAND UID ...: in both versions of TLS; resumption would not look.
both()
{
	"$1" "$2" "$new" "${@:3}" --no-resume
	"$1" "$2" "$old" "${@:3}" --no-resume
}

good()
{
	both connects_as 61001
	cp "$TMP/delegate.der" "$TMP/sent.der"
	both connects_as 61001
	both connects_as 61001 --ca "$PKI/root.pem"
	DIGEST=-sha256 respond "$TMP/sent.der" "$PKI/good.crt" "$issuer" -resp_key_id
	both connects_as 61001
	both connects_as 61002
	recorded 61001 'resumed=0 outcome=ok ocsp=good'
	deny says daemon 'uid=61002 .*ocsp='
}
prove "a good response, by the issuer or by whom it has authorized: accepted" good

missing()
{
	refused 61001 "$bare" 'sent no OCSP response'
	connects_as 61001 "$bare" --insecure
	connects_as 61002 "$bare"
	recorded 61001 'outcome=CERT_REVOCATION step=verify ocsp=failed'
}
prove "none: refused, unless nothing is verified, and where nobody demands it" missing

# odd WORDS: what the file has now is refused for that.
odd()
{
	refused 61001 "$any" "$1"
	refused 61001 "$any12" "$1"
}

garbage()
{
	local port
	head -c 500 /dev/urandom > "$TMP/any.der"
	odd 'OCSP response cannot be read'
	expect 0 traffic_as 61002 localhost "$any" down 10
	expect 0 traffic_as 61002 localhost "$any12" down 10
	head -c -1 "$TMP/good.der" > "$TMP/any.der"
	odd 'OCSP response cannot be read'
	(cat "$TMP/good.der"; echo) > "$TMP/any.der"
	odd 'OCSP response cannot be read'
	: > "$TMP/any.der"
	for port in "$any" "$any12"; do
		expect 5 connects_as 61001 "$port"
		grep 'is empty where it may not be' "$TMP/told"
	done
	cp "$TMP/good.der" "$TMP/any.der"
	expect 0 traffic_as 61001 localhost "$any" down 10
	expect 0 traffic_as 61001 localhost "$any12" down 10
}
prove "what is none, or is not all of it: refused" garbage

huge()
{
	head -c $((8 * 1024 + 1)) /dev/urandom > "$TMP/any.der"
	refused 61001 "$any" 'OCSP response is too long' --no-resume
	refused 61001 "$any12" 'OCSP response is too long' --no-resume
	# More than a handshake may have, whoever demands what.
	head -c 30000 /dev/urandom > "$TMP/any.der"
	expect 5 connects_as 61001 "$any" --no-resume
	expect 5 connects_as 61002 "$any12" --no-resume
	grep 'is too long' "$TMP/told"
}
prove "a huge one: refused" huge

strangers()
{
	local who='from somebody who may not speak for its CA'
	respond "$TMP/sent.der" "$PKI/good.crt" "$PKI/good-rsa"
	both refused 61001 "$who"
	respond "$TMP/sent.der" "$PKI/good.crt" "$TMP/clerk"
	both refused 61001 "$who"
	respond "$TMP/sent.der" "$PKI/good.crt" "$TMP/abroad"
	both refused 61001 "$who"
	respond "$TMP/sent.der" "$PKI/good.crt" "$PKI/root"
	both refused 61001 "$who"
	respond "$TMP/sent.der" "$PKI/good.crt" "$PKI/other-root"
	both refused 61001 "$who"
}
prove "signed by another certificate of the CA, by another CA, by another CA's delegate: refused" strangers

forged()
{
	local last
	respond "$TMP/forged" "$PKI/good.crt" "$issuer" -resp_no_certs
	last=$(tail -c 1 "$TMP/forged" | od -An -tu1 | tr -d ' ')
	head -c -1 "$TMP/forged" > "$TMP/sent.der"
	# shellcheck disable=SC2059  # the format is the byte, in octal
	printf "\\$(printf %o $((last ^ 1)))" >> "$TMP/sent.der"
	both refused 61001 'has a wrong signature'
	respond "$TMP/sent.der" "$PKI/good.crt" "$issuer" -rmd sha1
	both refused 61001 'a digest that is too weak'
}
prove "a signature that is wrong, or weak: refused" forged

others()
{
	respond "$TMP/sent.der" "$PKI/good-rsa.crt" "$issuer"
	both refused 61001 'OCSP response is for another certificate'
}
prove "about another certificate: refused" others

times()
{
	at -10 respond "$TMP/sent.der" "$PKI/good.crt" "$issuer"
	both refused 61001 'OCSP response has expired'
	at 10 respond "$TMP/sent.der" "$PKI/good.crt" "$issuer"
	both refused 61001 'OCSP response is not valid yet'
}
prove "one that has expired, or is not valid yet: refused" times

status_of_it()
{
	cp "$TMP/intermediate.txt" "$TMP/kept.txt"
	: > "$TMP/intermediate.txt"
	respond "$TMP/sent.der" "$PKI/good.crt" "$issuer"
	both refused 61001 'is unknown to its CA'
	cp "$TMP/kept.txt" "$TMP/intermediate.txt"
	book intermediate -revoke "$PKI/good.crt"
	respond "$TMP/sent.der" "$PKI/good.crt" "$issuer"
	both refused 61001 'was revoked'
	recorded 61001 'outcome=CERT_REVOKED step=verify ocsp=revoked'
	cp "$TMP/kept.txt" "$TMP/intermediate.txt"
	cp "$TMP/good.der" "$TMP/sent.der"
	both connects_as 61001
}
prove "one that says that the certificate is unknown, or revoked: refused" status_of_it

demanding()
{
	PKI=$TMP start_openssl demanding demanding
	refused 61002 "$PORT" 'which the certificate itself demands'
	PKI=$TMP start_openssl demanding demanding -status_file "$TMP/demanding.der"
	connects_as 61002 "$PORT"
	connects_as 61001 "$PORT"
}
prove "a certificate that demands one itself: without, refused, whatever the badge says" demanding

gnutls()
{
	start_gnutls gnutls good --ocsp-response "$TMP/delegate.der"
	connects_as 61001 "$PORT"
	connects_as 61001 "$PORT" --no-resume
	start_gnutls gnutls good
	refused 61001 "$PORT" 'sent no OCSP response'
	start_gnutls gnutls good-rsa --ocsp-response "$TMP/good.der" --ignore-ocsp-response-errors
	refused 61001 "$PORT" 'for another certificate'
}
prove "gnutls-serv" gnutls

nginx_staples()
{
	mkdir -p "$TMP/www"
	head -c 1000 /dev/urandom > "$TMP/www/page"
	start_nginx web good "ssl_stapling on; ssl_stapling_file $TMP/delegate.der;"
	expect 0 traffic_as 61001 localhost "$PORT" get /page
	start_nginx web2 good
	refused 61001 "$PORT" 'sent no OCSP response'
	start_nginx web3 good-rsa "ssl_stapling on; ssl_stapling_file $TMP/good.der;"
	refused 61001 "$PORT" 'for another certificate'
}
prove "nginx" nginx_staples

# is_resumed yes|no: what the last session was.
is_resumed()
{
	grep -E "^ *resumed +$1\$" "$TMP/told"
}

resumed()
{
	grep -iE 'resum' "$TMP/told"
	if [ "$1" = yes ]; then
		grep -iqE 'resumed' "$TMP/told"
	else
		deny grep -iqE 'resumed' "$TMP/told"
	fi
}

resumed()
{
	local name
	for name in peer peer12; do
		respond "$TMP/sent.der" "$PKI/good.crt" "$issuer"
		[ $name = peer ] && PORT=$new || PORT=$old
		connects_as 61001 "$PORT"
		connects_as 61001 "$PORT"
		is_resumed yes
		recorded 61001 "server=localhost:$PORT .*resumed=1 outcome=ok ocsp=good"
	done
	# Nine days and some minutes ago, for nine days: within what clocks may differ, and not to be kept.
	at -9 respond "$TMP/sent.der" "$PKI/good.crt" "$issuer"
	reload
	connects_as 61001 "$new"
	connects_as 61001 "$new"
	is_resumed no
}
prove "a session is resumed without a response, but for no longer than its own was valid" resumed

ended()
{
	start_peer echo good
	witness lost 61003 localhost "$PORT" echo 0
	witness kept 61002 localhost "$PORT" echo 0
	sed -i 's/^\(.*"later" {\) /\1 require-ocsp-staple = yes; /; s/yes;/yes\n/' "$conf"
	reload
	equal "$(exit_status lost 10)" 1
	says lost 'errno=EACCES .*text=require-ocsp-staple: '
	refused 61003 "$bare" 'sent no OCSP response'
	lives kept
	ends_well kept
}
prove "when a reload demands it, sessions that had none end, and others go on" ended

prove "it stops without leaving anything" stop_daemon
