#!/bin/bash
# Every example of docs/POLICY.md is a good configuration: tlsbrokerd -n says so, and -T says it again.
. "$(dirname "$0")/lib.sh"

page=docs/POLICY.md
if [ -z "$ROOT" ] || [ ! -r "$page" ] || ! unshare -m true 2> /dev/null; then
	echo "skip - examples: needs root, a mount namespace and $page"
	exit 0
fi

touch "$TMP/none.out" # no daemon runs here

# The users that they name, on this machine for as long as an example is checked.
cp /etc/passwd "$TMP/passwd"
cp /etc/group "$TMP/group"
for name in billing mail backup-agent web collector; do
	echo "$name:x:$((62000 + ${#name})):62000::/:/bin/false" >> "$TMP/passwd"
done
getent group staff > /dev/null || echo "staff:x:62050:" >> "$TMP/group"
echo "tls:x:62051:" >> "$TMP/group"

# And the files: those of the page's /etc/tlsbroker.
mkdir "$TMP/etc"
cp "$PKI/root.pem" "$TMP/etc/bank-ca.pem"
cp "$PKI/root.pem" "$TMP/etc/lab-ca.pem"
cp "$PKI/good.pem" "$TMP/etc/billing.pem"
cp "$PKI/good.key" "$TMP/etc/billing.key"
for name in sensor7 sensor8; do
	openssl rand -hex 32 > "$TMP/etc/$name.psk"
done
chown root:nogroup "$TMP/etc/billing.key" "$TMP"/etc/*.psk
chmod 640 "$TMP/etc/billing.key" "$TMP"/etc/*.psk

# One file for each block.
awk -v folder="$TMP" '
	/^```conf$/ { out = sprintf("%s/example-%02d.conf", folder, ++count); next }
	/^```$/ { out = "" }
	out { print > out }' "$page"
sed -i "s|\"/etc/tlsbroker/|\"$TMP/etc/|; \$a trust = \"$PKI/root.pem\"" "$TMP"/example-*.conf

check()
{
	# shellcheck disable=SC2016  # expands in the inner shell
	unshare -m -- sh -ec '
		mount --make-rprivate /
		mount --bind "$1/passwd" /etc/passwd
		mount --bind "$1/group" /etc/group
		tlsbrokerd --user nobody -n --config "$2"
		tlsbrokerd --user nobody -T --config "$2" > "$1/first.conf"
		tlsbrokerd --user nobody -T --config "$1/first.conf" > "$1/second.conf"' sh "$TMP" "$1"
	cmp "$TMP/first.conf" "$TMP/second.conf"
}

heading()
{
	awk '/^### / { sub(/^### /, ""); last = $0 } /^```conf$/ && ++n == '"$1"' { print last }' "$page"
}

count=0
for file in "$TMP"/example-*.conf; do
	count=$((count + 1))
	prove "example \"$(heading $count)\" is a good configuration" check "$file"
done
prove "there are examples" [ "$count" -ge 2 ]
