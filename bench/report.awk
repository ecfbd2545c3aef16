# bench/run's report: the table on standard output, and json.  Reads
#
#	1. the machine's description, a fact in each line
#	2. bench/rows
#	3. notes about what could not be measured
#	4. records: ROW PEER ROUND NAME VALUE NAME VALUE ..., what bench/conduct said
#
# and compares, round by round, the broker's figures with in-process OpenSSL's, and with those of the
# proxy that does best.  No line has more than WIDTH characters.

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

function short(x)
{
	return sprintf(x < 10 ? "%.2f" : x < 1000 ? "%.1f" : "%.0f", x)
}

# 9,500
function grouped(n)
{
	return n < 1000 ? n : sprintf("%d,%03d", n / 1000, n % 1000)
}

function line(s)
{
	sub(/ +$/, "", s)
	print s
}

# Text in as many lines as it needs.
function paragraph(s,    n, i, word, text)
{
	n = split(s, word, " ")
	text = word[1]
	for (i = 2; i <= n; i++)
		if (length(text) + 1 + length(word[i]) <= WIDTH)
			text = text " " word[i]
		else {
			print text
			text = "  " word[i]
		}
	print text
}

# ---- what the figures of each kind of test are ----

# define KIND FIGURE LABEL UNIT BETTER: the first one of a kind stands for the row.
function define(kind, figure, label, unit, better)
{
	figures[kind] = figures[kind] (figures[kind] == "" ? "" : " ") figure
	label_of[kind, figure] = label
	unit_of[kind, figure] = unit
	better_of[kind, figure] = better
}

function define_all()
{
	define("bulk", "speed", "speed", "MiB/s", "more")
	define("bulk", "wall", "wall time", "s", "less")
	define("bulk", "cpu", "processor time", "s/GiB", "less")
	define("bulk", "mem", "memory", "MiB", "less")
	define("ping", "p50", "median", "us", "less")
	define("ping", "p99", "99 %", "us", "less")
	define("ping", "p999", "99.9 %", "us", "less")
	define("ping", "cpu", "processor time", "us each", "less")
	define("ping", "mem", "memory", "MiB", "less")
	define("shake", "rate", "rate", "1/s", "more")
	define("shake", "cpu", "processor time", "ms each", "less")
	define("shake", "mem", "memory", "MiB", "less")
	define("shake", "share", "of them resumed", "%", "")
	define("first", "wall", "wall time", "ms", "faster")
	define("first", "cpu", "processor time", "ms", "less")
	define("first", "mem", "memory", "MiB", "less")
	define("crowd", "wall", "wall time", "ms", "less")
	define("crowd", "cpu", "processor time", "s", "less")
	define("crowd", "mem", "memory of all", "MiB", "less")
	define("idle", "later", "memory", "KiB", "less")
	define("idle", "fresh", "just after use", "KiB", "less")
	define("idle", "tables", "page tables", "KiB", "less")
	define("idle", "kernel", "kernel, both ends", "KiB", "less")
	define("idle", "files", "descriptors", "", "less")
	define("idle", "opening", "to open them all", "s", "less")
	define("idle", "wakeups", "wake-ups, all", "1/s", "less")
	define("grow", "cpu", "processor time", "s/GiB", "less")
	define("grow", "each", "a full handshake", "ms", "less")
	define("workers", "down", "down", "MiB/s", "more")
	define("workers", "cpu", "processor, down", "s/GiB", "less")
	define("workers", "up", "up", "MiB/s", "more")
	define("workers", "cpu_up", "processor, up", "s/GiB", "less")
	define("workers", "rate", "full handshakes", "1/s", "more")
	define("workers", "each", "processor time", "ms each", "less")
	define("workers", "mem", "memory", "MiB", "less")
	define("badges", "cpu", "processor time", "s/GiB", "less")
	define("badges", "each", "a full handshake", "ms", "less")
	define("badges", "mem", "memory", "MiB", "less")
	define("fair", "times", "99 %, times alone", "", "less")
	define("fair", "alone", "99 % alone", "us", "less")
	define("fair", "p99", "99 % in the flood", "us", "less")
	define("crypt", "speed", "speed", "MiB/s", "")

	section["bulk"] = "Bytes in bulk: processor time and memory are those of program and broker, or proxy"
	section["ping"] = "There and back"
	section["shake"] = "Sessions one after the other: connect, handshake, 64 bytes there and back, close"
	section["first"] = "From exec to the first byte of a server that was verified by the system's bundle; " \
		"wall time's ratio: how many times faster"
	section["crowd"] = ""
	section["idle"] = "Idle sessions of one program: what one more costs"
	section["grow"] = "What is done beside other sessions of the same program, which are idle"
	section["workers"] = "One program with 64 sessions, in turns, then 64 handshakes at once; a server with a " \
		"thread for each processor"
	section["badges"] = "64 programs at once, of so many users"
	section["fair"] = "A quiet user beside one who takes all that there is; the aim is the broker's own"
	section["crypt"] = "The floor: one processor, and the column \"tcp\", which has no TLS at all"
}

# put FIGURE VALUE: of the record that is being read.
function put(figure, x)
{
	value[row, figure, peer, round] = x
	rounds[row, figure] = round > rounds[row, figure] ? round : rounds[row, figure]
}

function derive(kind,    gib, n)
{
	gib = got["kib"] / 1048576
	n = got["count"]
	if (kind != "idle" && kind != "crypt" && kind != "fair" && kind != "grow")
		put("mem", got["mem"] / 1024)
	if (kind == "bulk") {
		put("speed", gib * 1024 / got["wall"])
		put("wall", got["wall"])
		put("cpu", got["cpu"] / gib)
	} else if (kind == "ping") {
		put("p50", got["said1"])
		put("p99", got["said2"])
		put("p999", got["said3"])
		put("cpu", got["cpu"] / n * 1e6)
	} else if (kind == "shake") {
		put("rate", n / got["wall"])
		put("cpu", got["cpu"] / n * 1e3)
		put("share", got["said1"])
	} else if (kind == "first") {
		put("wall", got["wall"] * 1e3)
		put("cpu", got["cpu"] * 1e3)
	} else if (kind == "crowd") {
		put("wall", got["wall"] * 1e3)
		put("cpu", got["cpu"])
	} else if (kind == "idle") {
		if ("mem_later" in got)
			put("later", (got["mem_later"] - got["mem_before"]) / n)
		put("fresh", (got["mem"] - got["mem_before"]) / n)
		put("tables", (got["tables"] - got["tables_before"]) / n)
		put("kernel", (got["kernel"] - got["kernel_before"]) / n)
		if ("files" in got)
			put("files", (got["files"] - got["files_before"]) / n)
		put("opening", got["wall"])
		if (peer != "openssl" && "wakeups" in got)
			put("wakeups", got["wakeups"])
	} else if (kind == "workers") {
		put("down", gib * 1024 / got["wall"])
		put("cpu", got["cpu"] / gib)
		put("up", gib * 1024 / got["wall2"])
		put("cpu_up", got["cpu2"] / gib)
		put("rate", n / got["wall3"])
		put("each", got["cpu3"] / n * 1e3)
	} else if (kind == "grow" || kind == "badges") {
		put("cpu", got["cpu"] / gib)
		put("each", got["cpu2"] / n * 1e3)
	} else if (kind == "fair") {
		put("alone", got["alone2"])
		put("p99", got["said2"])
		put("times", got["said2"] / got["alone2"])
	} else if (kind == "crypt")
		put("speed", got["thousands"] * 1000 / 1048576)
}

# ---- comparing ----

# Fills m[PEER], low[] and high[] of one figure of a row.
function summarize(row, figure,    p, i, n, x, all)
{
	split("", m); split("", low); split("", high)
	for (p = 1; p <= peers; p++) {
		n = 0
		for (i = 1; i <= rounds[row, figure]; i++)
			if ((row, figure, peer_of[p], i) in value) {
				x = all[++n] = value[row, figure, peer_of[p], i]
				if (n == 1 || x < low[peer_of[p]])
					low[peer_of[p]] = x
				if (n == 1 || x > high[peer_of[p]])
					high[peer_of[p]] = x
			}
		if (n > 0)
			m[peer_of[p]] = median(all, n)
	}
}

function best_proxy(better,    p, best, name)
{
	best = ""
	for (p = 1; p <= peers; p++) {
		name = peer_of[p]
		if (!(name in m) || name !~ /^(stunnel|haproxy|nginx)$/)
			continue
		if (best == "" || (better == "more" ? m[name] > m[best] : m[name] < m[best]))
			best = name
	}
	return best
}

# The median ratio of the broker to OTHER, and r_low and r_high; "" when there is none.
function compare(row, figure, other, better,    i, n, a, b, r, all)
{
	n = 0
	for (i = 1; i <= rounds[row, figure]; i++) {
		if (!((row, figure, "tlsbroker", i) in value) || !((row, figure, other, i) in value))
			continue
		a = value[row, figure, "tlsbroker", i]
		b = value[row, figure, other, i]
		if (a <= 0 || b <= 0)
			continue
		r = all[++n] = better == "faster" ? b / a : a / b
		if (n == 1 || r < r_low)
			r_low = r
		if (n == 1 || r > r_high)
			r_high = r
	}
	return n == 0 ? "" : median(all, n)
}

# What the aim is, and whether X is so.
function judged(aim, x, better,    least)
{
	if (aim == "" || aim == "-")
		return ""
	least = better == "more" || better == "faster"
	return sprintf("%s%s%s", least ? ">=" : "<=", aim, x == "" ? "" : \
		((least ? x >= aim + 0 : x <= aim + 0) ? " met" : " missed"))
}

# ---- printing ----

function show_figure(row, kind, figure,    p, name, better, best, r, q, text, json_peers, own_aim, proxy_aim, self)
{
	summarize(row, figure)
	better = better_of[kind, figure]
	text = json_peers = ""
	for (p = 1; p <= peers; p++) {
		name = peer_of[p]
		text = text sprintf(" %7s", name in m ? short(m[name]) : "-")
		if (name in m)
			json_peers = json_peers sprintf("%s%s: { \"median\": %.4f, \"low\": %.4f, " \
				"\"high\": %.4f }", json_peers == "" ? "" : ", ", quote(name), m[name],
				low[name], high[name])
	}
	if (json_peers == "")
		return
	self = aim[row, figure, "self"]
	own_aim = aim[row, figure, "own"]
	proxy_aim = aim[row, figure, "proxy"]
	best = better == "" ? "" : best_proxy(better)
	q = best == "" ? "" : compare(row, figure, best, better)
	r = better == "" ? "" : compare(row, figure, "openssl", better)
	line(sprintf(" %-23s%s  %5s %-10s %-13s %5s %s",
		label_of[kind, figure] (unit_of[kind, figure] == "" ? "" : ", ") unit_of[kind, figure], text,
		r == "" ? "" : short(r), r == "" || r_low == r_high ? "" : short(r_low) "-" short(r_high),
		self != "" ? judged(self, m["tlsbroker"], better) : judged(own_aim, r, better),
		q == "" ? "" : short(q), judged(proxy_aim, q, better)))
	out = out sprintf("%s\n    { \"test\": %s, \"row\": %s, \"figure\": %s, \"title\": %s, \"unit\": %s, " \
		"\"better\": %s,\n      \"in_process\": %.4f, \"tlsbroker\": %.4f, \"ratio\": %.4f, " \
		"\"ratio_low\": %.4f, \"ratio_high\": %.4f, \"ratio_of\": %s, \"aim\": %s,\n" \
		"      \"best_proxy\": %s, \"proxy_ratio\": %.4f, \"proxy_aim\": %s, \"rounds\": %d,\n" \
		"      \"peers\": { %s } }", out == "" ? "" : ",",
		quote(index(figures[kind], figure) == 1 ? row : figure "_" row), quote(row), quote(figure),
		quote(title_of[row] ", " label_of[kind, figure]), quote(unit_of[kind, figure]),
		quote(better == "faster" ? "less" : better), m["openssl"], m["tlsbroker"], r,
		r == "" ? 0 : r_low, r == "" ? 0 : r_high,
		quote(better == "faster" ? "in_process/tlsbroker" : "tlsbroker/in_process"),
		quote(judged(own_aim self, "", better)), quote(best), q,
		quote(judged(proxy_aim, "", better)), rounds[row, figure], json_peers)
}

function show_row(row, kind,    n, i, list)
{
	n = split(figures[kind], list, " ")
	print title_of[row]
	for (i = 1; i <= n; i++)
		if ((row, list[i]) in rounds)
			show_figure(row, kind, list[i])
}

function show_section(kind,    p)
{
	print ""
	print section[kind]
	printf "%-24s", ""
	for (p = 1; p <= peers; p++)
		printf " %7s", heading_of[p]
	printf "  %5s %-10s %-13s %5s %s\n", "ratio", "all rounds", "aim", "proxy", "aim"
}

function head()
{
	paragraph(machine[1] ", " machine[2] " CPUs, " machine[11] " GiB, Linux " machine[3] "; " machine[4] "; " \
		machine[5] "; " machine[8] "; all with " machine[9])
	paragraph(machine[6] "; load average before: " machine[7] (machine[7] > 0.5 ? \
		"; figures of a busy machine say little about times" : ""))
	print ""
	paragraph("Medians of " machine[10] " rounds at the most. openssl: the program links it; -ra: with 64 KiB of " \
		"read-ahead. broker: tlsbroker. tcp: no TLS. ratio: broker to openssl, round by round: the median, " \
		"the lowest and the highest; proxy: broker to the proxy that does best. Each has its aim behind it.")
}

BEGIN {
	WIDTH = 132
	define_all()
	peers = split("openssl openssl-ra tlsbroker stunnel haproxy nginx tcp", peer_of, " ")
	split("openssl -ra broker stunnel haproxy nginx tcp", heading_of, " ")
}

FNR == 1 {
	part++
	while (FILENAME != ARGV[part])
		part++ # a file without a line
}

part == 1 {
	machine[FNR] = $0
	next
}

part == 2 {
	if ($0 ~ /^#/ || split($0, field, " *\\| *") < 5)
		next
	row_of[++rows] = field[1]
	split(field[3], word, " ")
	kind_of[field[1]] = word[1]
	title_of[field[1]] = field[5]
	n = split(field[4], each, ", *")
	for (i = 1; i <= n; i++) {
		split(each[i], word, " ")
		if (word[2] == "self")
			aim[field[1], word[1], "self"] = word[3]
		else {
			aim[field[1], word[1], "own"] = word[2]
			aim[field[1], word[1], "proxy"] = word[3]
		}
	}
	next
}

part == 3 {
	noted[++notes] = $0
	next
}

{
	split("", got)
	row = $1; peer = $2; round = $3 + 0
	for (i = 4; i < NF; i += 2)
		got[$i] = $(i + 1)
	derive(kind_of[row])
	sub(/#/, grouped(got["sessions"]), title_of[row])
	measured[row] = 1
}

END {
	head()
	for (i = 1; i <= rows; i++) {
		if (!(row_of[i] in measured))
			continue
		kind = kind_of[row_of[i]]
		if (kind != last && section[kind] != "")
			show_section(kind)
		last = kind
		show_row(row_of[i], kind)
	}
	if (notes)
		print ""
	for (i = 1; i <= notes; i++) {
		paragraph("note: " noted[i])
		all_notes = all_notes (i > 1 ? ", " : "") quote(noted[i])
	}
	printf "{\n  \"date\": %s,\n  \"cpu\": %s,\n  \"cpus\": %d,\n  \"memory_gib\": %d,\n  \"kernel\": %s,\n" \
		"  \"openssl\": %s,\n  \"tlsbroker\": %s,\n  \"proxies\": %s,\n  \"cipher\": %s,\n" \
		"  \"load\": %s,\n  \"notes\": [%s],\n  \"results\": [%s\n  ]\n}\n", quote(machine[6]),
		quote(machine[1]), machine[2], machine[11], quote(machine[3]), quote(machine[4]),
		quote(machine[5]), quote(machine[8]), quote(machine[9]), machine[7], all_notes, out > json
	print ""
}
