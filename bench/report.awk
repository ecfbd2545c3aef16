# bench/run's report.  Reads the machine's description, seven lines, then records:
#
#	TEST BACKEND ROUND VALUE
#
# and compares, round by round, tlsbroker's value with openssl's.

function median(values, n,    i, j, t, sorted)
{
	for (i = 1; i <= n; i++)
		sorted[i] = values[i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
			t = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = t
		}
	return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function quote(s)
{
	gsub(/[\\"]/, "\\\\&", s)
	return "\"" s "\""
}

function number(x)
{
	return sprintf(x < 10 ? "%.2f" : x < 1000 ? "%.1f" : "%.0f", x)
}

# WHICH: "broker" compares broker/own, "own" own/broker, "none" has no ratio.
function row(test, name, unit, which, aim,    i, own, broker, ratio, n, low, high, a, b, text)
{
	n = rounds[test]
	if (n == 0)
		return
	for (i = 1; i <= n; i++) {
		own[i] = value[test, "openssl", i]
		broker[i] = value[test, "tlsbroker", i]
		a = which == "own" ? own[i] : broker[i]
		b = which == "own" ? broker[i] : own[i]
		ratio[i] = b > 0 ? a / b : 0
		if (i == 1 || ratio[i] < low)
			low = ratio[i]
		if (i == 1 || ratio[i] > high)
			high = ratio[i]
	}
	text = which == "none" ? "" : number(median(ratio, n))
	printf "%-34s %9s %9s %-7s %6s  %-16s %s\n", name, number(median(own, n)),
		number(median(broker, n)), unit, text,
		which == "none" || n == 1 ? "" : "(" number(low) " to " number(high) ")", aim
	out = out sprintf("%s\n    { \"test\": %s, \"unit\": %s, \"in_process\": %.4f, " \
		"\"tlsbroker\": %.4f, \"ratio\": %.4f, \"ratio_low\": %.4f, \"ratio_high\": %.4f, " \
		"\"ratio_of\": %s, \"aim\": %s, \"rounds\": %d }", out == "" ? "" : ",", quote(test),
		quote(unit), median(own, n), median(broker, n), median(ratio, n), low, high,
		quote(which == "own" ? "in_process/tlsbroker" : "tlsbroker/in_process"), quote(aim), n)
}

FNR == NR {
	machine[FNR] = $0
	next
}

{
	value[$1, $2, $3] = $4
	if ($3 > rounds[$1])
		rounds[$1] = $3
}

END {
	printf "%s, %d CPUs, Linux %s\n%s; %s\n", machine[1], machine[2], machine[3], machine[4],
		machine[5]
	printf "medians of %d rounds; in-process: a program that links OpenSSL itself\n", rounds["down"]
	printf "load average before: %s%s\n\n", machine[7], (machine[7] > 0.5 ? \
		"; figures of a busy machine say little about times" : "")
	printf "%-34s %9s %9s %-7s %6s  %-16s %s\n", "", "in-proc.", "tlsbroker", "", "ratio",
		"(of all rounds)", "aim"
	row("down", "bulk down, 1 session", "MiB/s", "broker", ">= 0.9")
	row("up", "bulk up, 1 session", "MiB/s", "broker", ">= 0.9")
	row("used-down", "down, each byte used, no copy", "MiB/s", "broker", "")
	row("made-up", "up, each byte made, no copy", "MiB/s", "broker", "")
	row("cpu_down", "CPU down", "s/GiB", "broker", "")
	row("cpu_up", "CPU up", "s/GiB", "broker", "")
	row("cpu_used-down", "CPU down, used, no copy", "s/GiB", "broker", "")
	row("cpu_made-up", "CPU up, made, no copy", "s/GiB", "broker", "")
	row("ping", "64 bytes there and back", "us", "broker", "<= 1.6")
	row("full", "full handshakes", "1/s", "broker", ">= 0.9")
	row("mutual", "the same, ECDSA client certificate", "1/s", "broker", ">= 0.9")
	row("mutual_rsa", "the same, RSA-2048", "1/s", "broker", ">= 0.9")
	row("resumed", "resumed handshakes", "1/s", "broker", ">= 0.9")
	row("first", "fresh process, full handshake", "us", "own", ">= 10 times faster")
	row("first_resumed", "fresh process, broker resumes", "us", "own", "")
	row("fresh_session", "memory of a session after use", "KiB", "none", "")
	row("idle_session", "memory of an idle session", "KiB", "none", "<= 40")
	row("idle_tables", "its page tables", "KiB", "none", "")
	printf "{\n  \"date\": %s,\n  \"cpu\": %s,\n  \"cpus\": %d,\n  \"kernel\": %s,\n" \
		"  \"openssl\": %s,\n  \"tlsbroker\": %s,\n  \"load\": %s,\n  \"results\": [%s\n  ]\n}\n",
		quote(machine[6]), quote(machine[1]), machine[2], quote(machine[3]), quote(machine[4]),
		quote(machine[5]), machine[7], out > json
	print ""
}
