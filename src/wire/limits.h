/*
 * Every maximum, with its reason.  Nothing grows without one of these above it.
 */
#ifndef TLSB_WIRE_LIMITS_H
#define TLSB_WIRE_LIMITS_H

/* ---- per uid: what one user can hold, so that the next one is not hurt ---- */

/* Programs of one user that are connected at once.  A person's session has some dozens. */
#define LIMIT_CLIENTS_PER_UID 1024

/* Sessions of one user.  Two descriptors each in the worker: see LIMIT_WORKER_FILES. */
#define LIMIT_SESSIONS_PER_UID 16384

/*
 * Ring memory of one user, counted as if every page were touched.  1,000 sessions get full-sized
 * rings, later ones smaller rings (see quota.c) rather than a refusal.
 */
#define LIMIT_RING_BYTES_PER_UID (1024u * 1024 * 1024)

/*
 * Channels on their way to programs of one user that have not picked them up: see worker/unread.h.
 * LIMIT_WORKERS times that is below what a worker may have on the way.  A program that looks at its
 * sessions does so within a turn of its loop, and more follow.
 */
#define LIMIT_UNREAD 32

/* Bytes of CA certificates that one session brings along, as the program handed them over. */
#define LIMIT_CA_BYTES (1024u * 1024)

/* CA bytes of all of one worker's sessions that are being opened: they are parsed, then freed. */
#define LIMIT_CA_BYTES_PER_UID (16u * 1024 * 1024)

/* Dials of one badge, or of each of its workers if it has several, under way at once in the connector; more
 * wait there, oldest first. */
#define LIMIT_DIALS_PER_BADGE 128

/* Dials of one badge that wait: every session may. */
#define LIMIT_DIALS_QUEUED LIMIT_SESSIONS_PER_UID

/* ---- for the whole daemon ---- */

/* Users served at once, a process of about 4 MiB each; the longest idle one makes room. */
#define LIMIT_WORKERS 512

/*
 * Workers of one user and badge, when the configuration gives it several.  One keeps a core busy, and about
 * another one is the kernel's: more are for machines with more than 32, and a badge that is served by
 * so many leaves room for 31 others like it.
 */
#define LIMIT_BADGE_WORKERS 16

/* A worker without clients is kept for its resumption cache, then ended. */
#define LIMIT_WORKER_IDLE_MS (15 * 60 * 1000)

/* Clients that wait in the frontdoor for their worker to be started. */
#define LIMIT_CLIENTS_WAITING 1024

/* Of these, whose units the supervisor is looking at: each answer holds a descriptor. */
#define LIMIT_PEERS_ASKED 32

/* /proc/PID/cgroup: a path for each hierarchy; with more than that, the program's unit is not known. */
#define LIMIT_CGROUP_BYTES (64u * 1024)

/*
 * Clients that the kernel lets wait until the frontdoor accepts them.  Whoever floods the broker with
 * connections keeps this queue full, and everybody waits behind him: some milliseconds for so many.
 * The library waits for a place in it.
 */
#define LIMIT_CLIENTS_QUEUED 128

/* Descriptors: two for a session, one for a client, ends of sessions (worker/unread.h), two for what is
 * wanted of a key, a few of its own. */
#define LIMIT_WORKER_FILES                                                                         \
	(2 * LIMIT_SESSIONS_PER_UID + LIMIT_CLIENTS_PER_UID * 2 + LIMIT_UNREAD +                   \
	 2 * LIMIT_KEY_SOCKETS + 64)
/*
 * RLIMIT_NOFILE of the roles that pass descriptors to others, if we may have so much: above what workers
 * may have on the way, or one of those that was taken over could keep them from it (worker/unread.h).  How
 * many they have themselves is bound by what follows.
 */
#define LIMIT_PASSING_FILES 65536
#define LIMIT_FRONTDOOR_FILES (LIMIT_CLIENTS_WAITING + LIMIT_WORKERS + 64)
/* Clients are refused before the frontdoor's last ones go: they are for its workers' channels. */
#define LIMIT_FRONTDOOR_SPARE_FILES 16
/* All attempts of 32 busy badges, and a channel for each worker. */
#define LIMIT_CONNECTOR_FILES (32 * LIMIT_ATTEMPTS_PER_BADGE + LIMIT_WORKERS + 64)
/* Dials do not get the connector's last ones: they are for its workers' channels, and its files. */
#define LIMIT_CONNECTOR_SPARE_FILES 16
/* A channel for each worker, and for one that follows it; keys on their way. */
#define LIMIT_KEYHOLDER_FILES (2 * LIMIT_WORKERS + 64)
/* ... two for each identity, and one for each psk, before and while a configuration is replaced. */
#define LIMIT_SUPERVISOR_FILES (4 * LIMIT_WORKERS + 4 * LIMIT_IDENTITIES + 2 * LIMIT_PSKS + 64)

/* ---- names and dials ---- */

/* Addresses of one family that a dial takes from a name: more cannot be tried in its time. */
#define LIMIT_ADDRESSES 16

/* Attempts of one dial under way at once; then the oldest makes room.  They begin 250 ms apart, so it
 * is 1.5 s old; or less, if it began when another one failed. */
#define LIMIT_ATTEMPTS 6

/* Attempts of the same under way at once: two for each of its dials.  Then the dial that would begin
 * another one gives up its oldest. */
#define LIMIT_ATTEMPTS_PER_BADGE (2 * LIMIT_DIALS_PER_BADGE)

/* resolv.conf(5): as many as every other resolver on the machine takes. */
#define LIMIT_NAME_SERVERS   3
#define LIMIT_SEARCH_DOMAINS 6

/* Names kept, for each family, about 500 bytes each; and for how long at most, whatever the TTL. */
#define LIMIT_CACHE_ENTRIES 2048
#define LIMIT_CACHE_S       3600

/* Questions to one name server without an answer yet.  Far below 65536, the number of query ids. */
#define LIMIT_QUESTIONS 8192

/* A name that nobody waits for any more is still asked for so long, for the cache. */
#define LIMIT_LOOKUP_ALONE_MS 5000

/* Descriptors that a worker keeps free, so that it can take in, and refuse, one program or session
 * more, with the memory and the connection that sessions on their way still need. */
#define LIMIT_WORKER_SPARE_FILES 3

/* ---- time ---- */

/* Name lookup, TCP and TLS together, when the program set no timeout; and the longest it can ask. */
#define LIMIT_CONNECT_MS     30000
#define LIMIT_CONNECT_MAX_MS (10 * 60 * 1000)

/* A worker is not idle sooner: after a frontdoor's restart it has to say what clients it has. */
#define LIMIT_WORKER_SETTLE_MS 1000

/* A worker without a channel to the connector, or to the keyholder: longer than the back-off after their
 * death, which brings new ones. */
#define LIMIT_CONNECTOR_AWAY_MS 1000

/* A client that waits for its worker: longer than the back-off after a worker's death. */
#define LIMIT_WAIT_MS 10000

/* A user's refusals are logged once in so long: who is refused can be back at once. */
#define LIMIT_REFUSAL_LOG_MS 1000

/* Out of descriptors, the frontdoor lets clients wait in the kernel for so long. */
#define LIMIT_ACCEPT_PAUSE_MS 100

/* A client that has connected but not said hello. */
#define LIMIT_HELLO_MS 5000

/* After tlsb_disconnect(): what was written is still sent for so long. */
#define LIMIT_LINGER_MS 5000

/* After a program died without tlsb_disconnect(): what it wrote is still sent for so long. */
#define LIMIT_ORPHAN_MS 900

/* After SIGTERM: sessions go on for so long, then end with TLSB_E_STOPPING. */
#define LIMIT_DRAIN_MS 5000

/* The longest idle-timeout and max-lifetime: a month, so that in milliseconds 32 bits hold it. */
#define LIMIT_AGE_S (31 * 24 * 3600)

/* Sessions that are due are ended together, so that none of them keeps its worker busy: so much later
 * than the setting says. */
#define LIMIT_AGE_STEP_MS 1000

/* A peer that acknowledges nothing, or answers no keep-alive probe, is given up (tcp(7)). */
#define LIMIT_PEER_SILENT_MS   20000
#define LIMIT_KEEPALIVE_IDLE_S 60
#define LIMIT_KEEPALIVE_STEP_S 5

/* A resumable session is offered again for so long, whatever the server allows. */
#define LIMIT_RESUME_S (24 * 3600)

/* Resumable sessions that a worker keeps: all that 64 servers may have, or fewer for each of more.
 * Every one holds its server's certificates, up to LIMIT_CHAIN_BYTES. */
#define LIMIT_RESUME_ENTRIES 1024

/* Of these, for one server and request.  A connection uses up one TLS 1.3 ticket and brings two. */
#define LIMIT_RESUME_OF_ONE 16

/* Work that is at hand goes on for so long before a loop asks the kernel what else has come. */
#define LIMIT_LOOP_MS 5

/* ---- messages ---- */

/* Largest tail: a part of a CA bundle. */
#define LIMIT_TAIL 16384
#define LIMIT_MESSAGE (LIMIT_TAIL + 1024)
#define LIMIT_MESSAGE_FDS 3

/* Messages queued for a reader that is slow, before its channel counts as broken. */
#define LIMIT_CHAN_QUEUE 4096

/* Clients accepted before the channels get a turn. */
#define LIMIT_ACCEPT_BATCH 32

/* Sessions in one part of a list of them: a list is asked for part by part, so that no queue grows. */
#define LIMIT_LIST 32

/* Of a program that is asked about: with more its rules are compared for too long, or it is no message. */
#define LIMIT_INQUIRY_GROUPS 1024
#define LIMIT_INQUIRY_CGROUP (LIMIT_TAIL - 4 * LIMIT_INQUIRY_GROUPS)

/* Questions of one worker that others have not answered yet, and how long they may take. */
#define LIMIT_QUESTIONS_OPEN 8
#define LIMIT_ANSWER_MS      1000

/* Messages handled from one channel before the others get a turn. */
#define LIMIT_CHAN_BATCH 32

#define LIMIT_HOST    253 /* RFC 1035 section 2.3.4, without the root's dot */
#define LIMIT_ALPN    255 /* in all, comma-separated */
#define LIMIT_CIPHERS 511 /* the names in ciphers.def have 342 in all */
#define LIMIT_TEXT    255 /* an error text, a log text */
#define LIMIT_BADGE   63  /* a badge's name */
#define LIMIT_ROW     1023 /* a row of an answer: some strings, each with its NUL */
#define LIMIT_SESSION_ROW 959 /* to which the supervisor adds the badge, with its NUL */
#define LIMIT_PINS    32  /* keys of a few servers or CAs, and those that they will have next */
#define LIMIT_PINS_BYTES (LIMIT_PINS * 32)
#define LIMIT_UNIT    255 /* the name of a systemd unit, as systemd has it */
#define LIMIT_WORDS   15809 /* a list of words: with a badge's name and LIMIT_MATCHES of 8 bytes a tail */

/* ---- keys ---- */

/* Identities in the configuration; and the badges that may use a key, all in one message. */
#define LIMIT_IDENTITIES 256
#define LIMIT_GRANTS (LIMIT_BADGES * 4 + LIMIT_BADGE)

/* Pre-shared keys in the configuration; with the identities' all that the keyholder has. */
#define LIMIT_PSKS 256
#define LIMIT_KEYS (LIMIT_IDENTITIES + LIMIT_PSKS)

/* What a server calls one, and how long it is: what every implementation takes (RFC 4279, 5.3). */
#define LIMIT_PSK_IDENTITY 128
#define LIMIT_PSK_BYTES	   64

/* Whoever plays the server, or has seen one handshake of TLS 1.2 without (EC)DHE, can try out keys by
 * himself for as long as he likes: 128 bits cannot be tried out (RFC 9257, 6). */
#define LIMIT_PSK_LEAST 16

/* A private key's file: RSA with 16384 bits has 13 KiB in PEM. */
#define LIMIT_KEY_BYTES (16u * 1024)

/* Memory for private keys that is never swapped out: 256 of RSA with 8192 bits and as much again, the
 * same for those that programs lend, and for those that they import.  Every process may lock 8 MiB. */
#define LIMIT_KEY_MEMORY      (4 * 1024u * 1024)
#define LIMIT_LENT_MEMORY     (LIMIT_KEY_MEMORY / 4)
#define LIMIT_IMPORTED_MEMORY (LIMIT_KEY_MEMORY / 4)

/*
 * Private keys of programs that one worker has lent at once, each for a handshake; its other handshakes
 * wait.  3 KiB for each at most: ten users who do their worst leave room for the next.
 */
#define LIMIT_LENT 32

/* The largest RSA key of a program: a signature takes some milliseconds, in which nobody else gets one. */
#define LIMIT_LENT_RSA_BITS 4096

/*
 * Keys that the programs of one user have imported, the most that max-keys can say, and those of all users.
 * Private ones take 3 KiB each of the memory above, public ones about as much of the other.
 */
#define LIMIT_KEYS_OF_ONE  64
#define LIMIT_KEYS_OF_ALL  4096

/* What one worker has asked the keyholder about such keys at once, beside its handshakes' signatures; and the
 * sockets on which its programs ask: the others wait there. */
#define LIMIT_KEY_ASKS	  16
#define LIMIT_KEY_SOCKETS 64

#define LIMIT_HASH          64  /* SHA-512 */
#define LIMIT_KEY_SIGNATURE 512 /* RSA with 4096 bits */

/* How many of them each badge may have: 8 bytes for each of LIMIT_BADGES. */
#define LIMIT_KEY_LIMITS 2048

/* The public half of it, in DER. */
#define LIMIT_PUBLIC_KEY 1024

/* A certificate that a program brings, with its chain: LIMIT_CHAIN_BYTES in PEM, with text between. */
#define LIMIT_OWN_CERT_BYTES (48u * 1024)

/* The same for the supervisor, which looks at one key after the other. */
#define LIMIT_KEY_CHECK_MEMORY (64u * 1024)

/* The certificates that go with it, in PEM, with text between them. */
#define LIMIT_CHAIN_FILE (256u * 1024)

#define LIMIT_SIGNATURE 2048 /* RSA with 16384 bits */

/* What is signed in TLS 1.2: the handshake so far, with two chains, and some KiB of everything else. */
#define LIMIT_SIGN_BYTES (2u * LIMIT_CHAIN_BYTES + 32 * 1024)

/* Signatures that one worker waits for at once, and their bytes; its other handshakes wait. */
#define LIMIT_SIGNS 64
#define LIMIT_SIGNS_BYTES (16u * LIMIT_SIGN_BYTES)

/* ---- rings ---- */

#define LIMIT_RING_MIN (16u * 1024)
#define LIMIT_RING_MAX (256u * 1024)

/* A session that was silent for so long gives the pages of its receive ring back. */
#define LIMIT_SWEEP_MS 3000

/* Sessions that are over, and whose TLS and rings a worker has not freed yet: as much as their rings had, on top
 * of what max-memory counts, until its loop is idle. */
#define LIMIT_REMAINS 8

/* Bytes pumped for one session and direction before the other sessions get a turn. */
#define LIMIT_PUMP_BYTES (256u * 1024)

/* ---- the supervisor ---- */

/* A role that died is started again at once, then after 100 ms, doubling to half a second, so that
 * even one that is killed all the time is back within a second; and one that cannot live at all costs
 * a few hundredths of a processor.  One that lived for so long starts afresh. */
#define LIMIT_RESTART_FIRST_MS 100
#define LIMIT_RESTART_MAX_MS   500
#define LIMIT_HEALTHY_MS       10000

/* Files that changed are looked at after so long, so that a certificate and its key are seen together;
 * those that cannot be used, again and again, as not every cause of that is an event. */
#define LIMIT_WATCH_MS   100
#define LIMIT_RENEWAL_MS 5000

/* The same when the kernel has no watches for us: files are looked at so often. */
#define LIMIT_BLIND_MS 60000

/* From exec to READY: some milliseconds; far more is a role that hangs. */
#define LIMIT_ROLE_START_MS 10000

/* Log lines of one role in a second; a flood would hide the others' lines and fill the journal. */
#define LIMIT_LOG_LINES 200

/* The same for audit records: about as many sessions as a worker can begin in a second. */
#define LIMIT_AUDIT_LINES 1000

/* Retired workers that are still ending; more wait for one of them, so processes stay bounded. */
#define LIMIT_WORKERS_LEAVING 32

/* ---- hostile servers ---- */

/* Records without application data (KeyUpdate, tickets, alerts, empty) in a row. */
#define LIMIT_IDLE_RECORDS 64

/*
 * A server's certificates.  Each handshake's are parsed and verified in one go, by the one thread that
 * serves all sessions of a user: these keep that below 50 ms, whatever the server sends.  Parsing
 * costs up to 1 ms for each KiB (many small keys), verifying a signature up to 3 ms (RSA with 8192
 * bits, Brainpool with 512), a million comparisons with name constraints 10 ms.
 *
 * Usual chains have 2 to 6 KiB; one of four certificates with ML-DSA-65 would have 23.
 */
#define LIMIT_CHAIN_DEPTH       10
#define LIMIT_CHAIN_KIB         24
#define LIMIT_CHAIN_BYTES       (LIMIT_CHAIN_KIB * 1024)
#define LIMIT_RSA_BITS          8192
#define LIMIT_RSA_EXPONENT_BITS 64 /* OpenSSL's own limit for large keys */
#define LIMIT_NAME_COMPARISONS  (256 * 1024)

/* Keys and digests that vouch for a server, by OpenSSL's measure: RSA with 2048 bits, SHA-224. */
#define LIMIT_SECURITY_LEVEL 2
#define LIMIT_SECURITY_BITS  112

/* An OCSP response that comes with them: one with a certificate of its signer's has 2 or 3 KiB.  It is
 * verified in the same go, like two more signatures. */
#define LIMIT_STAPLE_BYTES (8u * 1024)

/* So much may the clock of who signed it differ from ours: certificates are made days before they are
 * used, these responses minutes. */
#define LIMIT_STAPLE_SKEW_S 300

/* ---- files of the administrator ---- */

#define LIMIT_CONF_BYTES (1024u * 1024)
#define LIMIT_CONF_FILES 256

/* Badges, each a message to the frontdoor, and what each can match, all of it in that message. */
#define LIMIT_BADGES  256
#define LIMIT_MATCHES 64

/* Where a badge may connect to: rules, which have to fit into one message as well. */
#define LIMIT_DESTINATIONS 512

/* /etc/passwd and /etc/group. */
#define LIMIT_USERS_BYTES (16u * 1024 * 1024)

/* A trust bundle: Debian's has 220 KiB.  The supervisor does nothing else while it indexes one. */
#define LIMIT_TRUST_BYTES (16u * 1024 * 1024)

/* Revocation lists: their signatures are verified with each handshake, which takes 20 ms for so much. */
#define LIMIT_CRL_BYTES (8u * 1024 * 1024)

/* /etc/hosts: some tens of thousands of lines, such as lists of names that shall not be reached. */
#define LIMIT_HOSTS_BYTES (1024u * 1024)

/* /etc/resolv.conf, of which a handful of lines count: what is larger is another file. */
#define LIMIT_RESOLV_BYTES (64u * 1024)

#endif
