/*
 * The bodies of all messages.  Fixed-width fields, no padding, no pointers, sizes a multiple of 8;
 * what is reserved is zero and is checked to be zero (the "zero" column of the tables).
 */
#ifndef TLSB_WIRE_MESSAGES_H
#define TLSB_WIRE_MESSAGES_H

#include <stdint.h>

#include "wire/limits.h"
#include "wire/roles.h"

/* The protocol between program and daemon; either side refuses another one. */
#define PROTOCOL_MAGIC   0x42534c54u /* "TLSB" */
#define PROTOCOL_VERSION 1u

/* In front of every body. */
struct msg_header {
	uint32_t type;
	uint32_t reserved; /* zero */
};

/* Nothing to say but its type. */
struct msg_empty {
	uint64_t reserved;
};

/* ---- messages.def ---- */

/* fd: the role's page of counters (base/counters.h). */
struct msg_start {
	uint32_t verbose;
	uint32_t reserved;
};

struct msg_ready {
	uint32_t system_calls; /* in the role's filter; 0 without one */
	uint32_t reserved;
};

/* tail: NUL-ended strings: the text, then one for each field: its number as a byte, its value. */
struct msg_log {
	uint32_t level; /* enum log_level */
	uint32_t reserved;
};

struct msg_drain {
	uint32_t deadline_ms;
	uint32_t reserved;
};

/* fd: the listening socket. */
#define msg_listen msg_empty

/*
 * What the configuration says of badges: so many BADGE_RULEs follow, and then take the place of all earlier
 * ones.  None: each user is a badge of its own, number 0.
 */
struct msg_badge_rules {
	uint32_t count;
	uint32_t max_connections; /* of a user, when there is no rule */
};

/*
 * One badge, in the order in which they are tried.  tail: its name, then the matches, 8 bytes each, then
 * for each match of a unit that one's name, with a NUL.
 */
struct msg_badge_rule {
	uint32_t badge;
	uint32_t max_connections; /* of a user */
	uint32_t match_count;
	uint16_t name_len;
	uint16_t more_workers; /* of a user, beside the first */
};

/* A rule asks for a client's unit, and only the supervisor can open a file. */
struct msg_peer_wanted {
	uint64_t id; /* the frontdoor's, of this question */
	uint32_t pid;
	uint32_t reserved;
};

/* fd: /proc/PID/cgroup of the process that has this pid now, which may be another by now. */
struct msg_peer {
	uint64_t id;
};

struct msg_peer_none {
	uint64_t id;
	uint32_t error; /* enum tlsb_error */
	uint32_t reserved;
};

/* A client that is handed to this worker next.  tail: its unit, for the log; empty: it was not asked for. */
struct msg_client_unit {
	uint32_t uid;
	uint32_t badge;
	uint32_t pid;
	uint32_t nth;
};

/* The user, and the number of the badge: the two that a worker is for; and which one of theirs, from 0 on. */
struct msg_worker_wanted {
	uint32_t uid;
	uint32_t badge;
	uint32_t nth;
	uint32_t reserved;
};

/* fd: a channel to that worker.  It takes the place of the one that this worker had. */
struct msg_worker_chan {
	uint32_t uid;
	uint32_t badge;
	uint32_t pid;
	uint32_t nth;
};

/* Its channel is served no more, whoever has the other end. */
struct msg_worker_gone {
	uint32_t uid;
	uint32_t badge;
	uint32_t pid;
	uint32_t reserved;
};

struct msg_worker_none {
	uint32_t uid;
	uint32_t badge;
	uint32_t error; /* enum tlsb_error */
	uint32_t nth;
};

struct msg_worker_retire {
	uint32_t uid;
	uint32_t badge;
	uint32_t nth;
	uint32_t reserved;
};

/* fd: the client's socket, nothing read from it yet. */
struct msg_client {
	uint64_t id; /* the frontdoor's, for CLIENT_GONE */
	uint32_t uid;
	uint32_t gid;
	uint32_t pid; /* for the log only: it may have been reused */
	uint32_t reserved;
};

struct msg_client_gone {
	uint64_t id;
};

/* How many clients a worker has already, told to a new frontdoor. */
struct msg_clients {
	uint32_t count;
	uint32_t reserved;
};

/* tail: the badge's name.  fds: channels to frontdoor, connector and keyholder. */
struct msg_badge {
	uint32_t uid;
	uint32_t badge; /* its number; 0: the user's own */
};

/* It is in the configuration no more: all sessions end with EACCES.  DRAIN follows. */
#define msg_badge_gone     msg_empty
#define msg_frontdoor_chan msg_empty
#define msg_connector_chan msg_empty
#define msg_keyholder_chan msg_empty
#define msg_connector_wanted msg_empty
#define msg_keyholder_wanted msg_empty

enum policy_flags {
	POLICY_MAY_SKIP_VERIFY = 1, /* tlsb_config_insecure_no_verify() is granted */
	POLICY_MAY_BRING_CA = 2,    /* tlsb_config_set_ca() is */
	POLICY_HAS_CRLS = 4,        /* CRLS follows, before TRUST */
	POLICY_NEEDS_STAPLE = 8,    /* no server is good without an OCSP response */
	POLICY_MAY_BRING_PSK = 16,  /* tlsb_config_set_psk() with a key is granted */
	POLICY_MAY_BRING_CERT = 32, /* tlsb_config_set_client_cert_key() is granted */
	POLICY_IS_SHARE = 64, /* of sessions and memory; other workers of the user and badge have the rest */
	POLICY_KNOWN_FLAGS = 127,
};

/* tail: the cipher suites that may be used, with colons between them; then the pins, 32 bytes each.
 * IDENTITY_COUNT IDENTITYs and PSK_COUNT PSKs follow. */
struct msg_policy {
	uint64_t max_memory; /* bytes of rings */
	uint32_t max_sessions;
	uint32_t idle_s;     /* without data, then a session is ended; 0: never */
	uint32_t lifetime_s; /* the same since it began */
	uint16_t version_min;
	uint16_t flags;
	uint16_t pin_count;
	uint16_t identity_count;
	uint16_t psk_count;
	uint16_t more_workers; /* that the badge may have beside this one, for WELCOME */
};

/*
 * A certificate that programs may ask for by name.  tail: the name.  fd: the chain, certificates in DER,
 * one behind the other, its own first; sealed.
 */
struct msg_identity {
	uint32_t key; /* its number, for SIGN */
	uint32_t reserved;
};

/* A pre-shared key that programs may ask for by name.  tail: the name, then what servers call it. */
struct msg_psk {
	uint32_t key; /* its number, for PSK_WANTED */
	uint16_t name_len;
	uint16_t reserved;
};

/* fd: the index of the revocation lists, as TRUST's.  They are in force from TRUST on. */
#define msg_crls msg_empty

/* fd: the index of the trust bundle (trust/index.h), sealed. */
struct msg_trust {
	uint32_t generation;
	uint32_t reserved;
};

#define msg_resolver_check msg_empty
#define msg_resolver_same  msg_empty
/* fds: sealed copies of the hosts file and of resolv.conf. */
#define msg_resolver       msg_empty

/* Where badges may connect to: so many DESTINATION_RULEs follow, and then replace all earlier ones. */
struct msg_destination_rules {
	uint32_t count;
	uint32_t max_session_rate; /* of a user, when there is no badge; 0: not limited */
};

enum destination_flags {
	DESTINATION_RESTRICTED = 1,     /* to these and no others; else to all */
	DESTINATION_MAY_BE_PRIVATE = 2, /* what a name leads to */
	DESTINATION_KNOWN_FLAGS = 3,
};

/* One badge.  tail: its name, then COUNT destinations as they are configured, each with a NUL. */
struct msg_destination_rule {
	uint32_t badge;
	uint32_t count;
	uint16_t flags;
	uint16_t name_len;
	uint32_t max_session_rate; /* of a user; 0: not limited */
};

/* tail: the host, a name or a literal; then the name to verify, if that is another one. */
struct msg_dial {
	uint64_t id;
	uint32_t deadline_ms; /* from now */
	uint16_t port;
	uint16_t family; /* AF_UNSPEC, AF_INET, AF_INET6 */
	uint16_t name_len; /* 0: it is the host's */
	uint16_t reserved[3];
};

struct msg_dial_cancel {
	uint64_t id;
};

/* fd: the connected TCP socket. */
struct msg_dialed {
	uint64_t id;
	uint8_t address[16]; /* of the peer; IPv4 in the first four bytes */
	uint16_t family;
	uint16_t port;
	uint32_t name_us; /* time taken by name lookup, by TCP connect */
	uint32_t tcp_us;
	uint32_t reserved;
};

/* tail: a text for a person. */
struct msg_dial_failed {
	uint64_t id;
	uint32_t error; /* enum tlsb_error */
	uint32_t looking_up; /* 1: its name was still to be found; 0: it was dialled, or refused */
};

/* The keys: so many KEYs follow, and then take the place of all earlier ones. */
struct msg_keys {
	uint32_t count;
	uint32_t reserved;
};

/* Numbers of keys from here on are of those that a worker has lent, and mean nothing on other channels. */
#define KEY_IS_LENT 0x80000000u

enum key_kind {
	KEY_PRIVATE = 0, /* it signs, and is never given away */
	KEY_PSK = 1,     /* it is given to the badges that may use it */
};

/* fd: the file that it is in.  tail: the badges that may use it, 4 bytes each; then the identity's or
 * psk's name. */
struct msg_key {
	uint32_t key; /* its number, never 0 */
	uint32_t badge_count;
	uint32_t kind; /* enum key_kind */
	uint32_t reserved;
};

/*
 * A program's own private key, for as long as the channel lives, or until KEY_BACK.  fd: an anonymous file
 * with the key, sealed, that the worker has not read.
 */
struct msg_key_lend {
	uint64_t id; /* the worker's; comes back in KEY_LENT */
};

/* tail: the public half, a SubjectPublicKeyInfo in DER; if there is an error, a text for a person. */
struct msg_key_lent {
	uint64_t id;
	uint32_t key; /* its number, for SIGN and KEY_BACK; has KEY_IS_LENT */
	uint32_t error; /* enum tlsb_error */
	uint8_t digest[32]; /* of the file, so that one key is not taken for another one */
};

/* It is needed no more. */
struct msg_key_back {
	uint32_t key;
	uint32_t reserved;
};

/* tail: the beginning of what the next SIGN has the end of. */
#define msg_sign_part msg_empty

/* tail: what is to be signed, or the end of it. */
struct msg_sign {
	uint64_t id;
	uint32_t key;
	uint16_t scheme; /* RFC 8446, 4.2.3: see keys/schemes.def */
	uint16_t reserved;
};

/* tail: the signature, if there is no error. */
struct msg_signed {
	uint64_t id;
	uint32_t error; /* enum tlsb_error */
	uint32_t reserved;
};

/*
 * Keys that programs import: how many each badge may have.  What the others have goes.  tail: a struct
 * key_limit for each.
 */
struct msg_key_limits {
	uint32_t max_keys; /* of a user, when there is no badge */
	uint32_t reserved;
};

struct key_limit {
	uint32_t badge;
	uint32_t max_keys; /* of a user */
};

enum key_action {
	KEY_IMPORT = 0,
	KEY_SIGN_HASH = 1,
	KEY_VERIFY_HASH = 2,
	KEY_DESTROY = 3,
	KEY_NEXT = 4, /* tell the one with the lowest number above KEY */
	KEY_ACTIONS,
};

/* With SIGN and VERIFY the tail is the hash; with VERIFY, behind it, the signature. */
struct key_wish {
	uint32_t key;
	uint16_t action;    /* enum key_action, but not KEY_IMPORT */
	uint16_t algorithm; /* enum tlsb_signature */
	uint32_t hash_len;
	uint32_t reserved;
};

/* Numbers of keys that were imported; identities have smaller ones. */
#define KEY_IS_IMPORTED 0x40000000u

enum key_type { KEY_TYPE_RSA = 1, KEY_TYPE_RSA_PSS, KEY_TYPE_EC, KEY_TYPE_ED25519 };

/* One key; with IMPORT, DESTROY and NEXT. */
struct key_told {
	uint32_t key;
	uint32_t bits;
	uint16_t purpose;     /* enum tlsb_key_purpose */
	uint16_t type;        /* enum key_type */
	uint32_t has_private; /* 0: only its public half is there */
	uint8_t fingerprint[32]; /* SHA-256 of its SubjectPublicKeyInfo */
};

/* fd: an anonymous file with the key, sealed, that the worker has not read. */
struct msg_key_hold {
	uint64_t id; /* the worker's; comes back in KEY_ANSWER */
};

/* Whose keys these are follows from the channel. */
struct msg_key_ask {
	uint64_t id;
	struct key_wish wish;
};

/* tail: with SIGN the signature, with NEXT its name; if there is an error, a text for a person. */
struct msg_key_answer {
	uint64_t id;
	struct key_told told;
	uint32_t action; /* which that was */
	uint32_t error; /* enum tlsb_error */
};

/* A handshake begins that is to use it. */
struct msg_psk_wanted {
	uint64_t id;
	uint32_t key;
	uint32_t reserved;
};

/* tail: the key, if there is no error. */
struct msg_psk_given {
	uint64_t id;
	uint32_t error; /* enum tlsb_error */
	uint32_t reserved;
};

/* Each badge may connect to somewhere else now: the worker is to ask about what is connected. */
#define msg_destinations_new msg_empty

/* May this still be, that was dialled as in DIAL, and led to this address?  Only a no is answered.
 * tail: as DIAL's. */
struct msg_dial_still {
	uint64_t id;
	uint8_t address[16]; /* IPv4 in the first four bytes */
	uint16_t family;
	uint16_t port;
	uint16_t name_len;
	uint16_t reserved;
};

/* tail: a text for a person. */
struct msg_dial_forbidden {
	uint64_t id;
};

/* Which user asks follows from the channel; ALL is what the worker says of the client. */
struct msg_status_ask {
	uint64_t tag; /* comes back in the rows */
	uint32_t uid;
	uint32_t reserved;
};

enum row_kind {
	ROW_END = 0,
	ROW_ROLE = 1,    /* pid, state; value: age in ms, restarts; tail: role */
	ROW_WORKER = 2,  /* uid, badge, pid, state; value: age in ms, restarts, clients, sessions; tail: badge */
	ROW_COUNTER = 3, /* value[0]; tail: its name */
	ROW_SESSION = 4, /* uid, pid of the client, state; value: age in ms, bytes read, bytes
	                    written, ring bytes; tail: host:port */
	ROW_LISTED = 5,  /* of ASK_SESSIONS: worker, uid, badge, pid of the client, state; value: age in ms,
	                    bytes read, bytes written, its number; tail: badge, host:port, address */
	ROW_BADGE = 6,   /* badge, uid if it is that user's own, state: is it admin; value: workers,
	                    clients, sessions; tail: its name */
	ROW_TEXT = 7,    /* tail: an error of ASK_RELOAD */
	ROW_RULE = 8,    /* of EXPLAIN: badge; tail: a setting, where it stands ("file:line"; "-"), its word */
};

/*
 * In ROW_END, when it answers an ASK: value: enum tlsb_error, and for ASK_SESSIONS where the next part
 * begins: its worker (0: that was all) and below which number.  tail: a text for a person, or "".
 */

enum row_state {
	ROW_STATE_STARTING = 0,
	ROW_STATE_RUNNING = 1,
	ROW_STATE_DRAINING = 2,
	ROW_STATE_BACKOFF = 3, /* it died; started again soon */
	ROW_STATE_SPARE = 4,   /* a worker that waits for a badge */
};

/* tail: a name, see enum row_kind. */
struct row {
	uint32_t kind;
	uint32_t state; /* enum row_state, or enum session_state for a session */
	uint32_t uid;
	uint32_t pid;
	uint32_t badge; /* of a worker: its number; 0: the user's own */
	uint32_t worker; /* which: a number that no other one has, as long as the daemon lives */
	uint64_t value[4];
};

struct msg_status_row {
	uint64_t tag;
	struct row row;
};

enum ask_kind {
	ASK_SESSIONS = 1, /* a part of the list: from WORKER on, its sessions with numbers below SESSION */
	ASK_KILL = 2,     /* SESSION of WORKER */
	ASK_BADGES = 3,
	ASK_RELOAD = 4,
};

/* Of EXPLAIN; none of them is an enum ask_kind. */
enum explain_kind {
	EXPLAIN_MYSELF = 17, /* who asks: why it has the badge that it has */
	EXPLAIN_WHO = 18,    /* somebody: which badge */
	EXPLAIN_WHERE = 19,  /* that badge: may it connect to there, and with what in force? */
};

/*
 * What is asked about.  With EXPLAIN_WHERE: badge, port, and tail: the host.  Else uid, gid, and tail: so
 * many groups, 4 bytes each, then the text of /proc/PID/cgroup; none of it: not known.
 */
struct inquiry {
	uint32_t uid;
	uint32_t gid;
	uint32_t badge;
	uint16_t port;
	uint16_t group_count;
};

/* In ROW_END of EXPLAIN: value[1]. */
enum ruling {
	RULING_ALLOWED = 1,
	RULING_BY_NAME = 2,    /* a name: to all of its addresses that are not private, or that a rule has */
	RULING_BY_ADDRESS = 3, /* a name: to those of its addresses that a rule has */
	RULING_REFUSED = 4,
	RULING_UNUSABLE = 5,   /* it is neither a name nor an address */
	RULING_UNDECIDED = 6,  /* its unit is not known, and a rule asks for it */
};

#define NO_RULE UINT32_MAX

struct msg_inquiry {
	uint64_t tag; /* comes back in the STATUS_ROWs that answer it */
	struct inquiry about;
	uint32_t what; /* enum explain_kind */
	uint32_t reserved;
};

/* tail: as EXPLAIN's.  BADGE is 0, or the one whose rule is to be looked at alone. */
struct msg_who {
	uint64_t id; /* comes back in DECIDED */
	struct inquiry about;
};

/* tail: the host. */
struct msg_where {
	uint64_t id;
	struct inquiry about;
};

/* tail: a text for a person. */
struct msg_decided {
	uint64_t id;
	uint32_t ruling;  /* enum ruling */
	uint32_t badge;   /* of WHO: its number */
	uint32_t rule;    /* of WHO: which badge; of WHERE: which destination; from 0 on, or NO_RULE */
	uint32_t match;   /* of WHO: which of the badge's */
};

/* Who asks is whoever has the badge of the worker's channel. */
struct msg_question {
	uint64_t tag; /* comes back in the STATUS_ROWs that answer it */
	uint32_t what; /* the rest as in ASK */
	uint32_t worker;
	uint64_t session;
};

/* LIMIT_LIST of the sessions with numbers below that one, from the highest on. */
struct msg_sessions {
	uint64_t id; /* comes back in the SESSION_ROWs */
	uint64_t below;
};

struct msg_session_kill {
	uint64_t id; /* comes back in the one SESSION_ROW that answers it */
	uint64_t number;
};

/* ROW_LISTED, without what the supervisor knows; at last ROW_END. */
struct msg_session_row {
	uint64_t id;
	struct row row;
};

/* ---- client.def ---- */

struct msg_hello {
	uint32_t magic;
	uint32_t version;
};

/* fd: a socket that the worker keeps open as long as it serves this client. */
#define msg_lifeline msg_empty

/* fd: the worker's end of a new session's own socket. */
#define msg_session msg_empty
#define msg_status  msg_empty

/* tail: the badge's name. */
struct msg_welcome {
	uint32_t magic;
	uint32_t version;
	uint32_t uid;
	uint32_t more_workers; /* that the badge may have beside the one that says so */
};

/* tail: a text for a person. */
struct msg_refused {
	uint32_t error; /* enum tlsb_error */
	uint32_t reserved;
};

struct msg_row {
	struct row row;
};

struct msg_ask {
	uint32_t what; /* enum ask_kind */
	uint32_t worker;
	uint64_t session;
};

/* tail: see struct inquiry. */
struct msg_explain {
	struct inquiry about;
	uint32_t what; /* enum explain_kind */
	uint32_t reserved;
};

/* tail: the next bytes of the program's own CA certificates. */
#define msg_ca msg_empty

/*
 * By which pre-shared key the server is known; once, before CONNECT.  tail: the name of one in the
 * configuration; or what the server calls it, and then the key itself.
 */
struct msg_preshared {
	uint32_t name_len;
	uint32_t reserved;
};
/* tail: the next bytes of the program's own certificate, and of those that go with it. */
#define msg_own_cert msg_empty

/* Its private key.  fd: an anonymous file with nothing else in it, sealed. */
#define msg_own_key msg_empty

enum connect_flags {
	CONNECT_NO_VERIFY = 1,
	CONNECT_NO_RESUMPTION = 2,
	CONNECT_KNOWN_FLAGS = 3,
};

/*
 * tail: host, name to verify ("" = host), ALPN, ciphers and identity ("" = none), one behind the other,
 * without NULs; then the pins, 32 bytes each.
 */
struct msg_connect {
	uint32_t deadline_ms;
	uint32_t ca_len; /* bytes sent before in CA messages; 0: the system's trust */
	uint16_t flags;
	uint16_t family;
	uint16_t port;
	uint16_t version_min; /* 0: no bound */
	uint16_t version_max;
	uint16_t host_len;
	uint16_t name_len;
	uint16_t alpn_len;
	uint16_t ciphers_len;
	uint16_t identity_len;
	uint16_t pin_count;
	uint16_t cert_len; /* bytes sent before in OWN_CERT messages, with an OWN_KEY; 0: none */
};

/* fd: the worker's end of a socket on which one thing is wanted of a key. */
#define msg_key_socket msg_empty

/* fd: an anonymous file with a private or a public key and nothing else in it, sealed. */
#define msg_key_import msg_empty

struct msg_key_use {
	struct key_wish wish;
};

/* tail: as KEY_ANSWER's.  What could not be done is REFUSED. */
struct msg_key_done {
	struct key_told told;
};

/* fd: the session's shared memory (ring/channel.h). */
struct msg_opened {
	uint32_t capacity; /* of each ring */
	uint32_t reserved;
};

#define msg_bell       msg_empty
#define msg_disconnect msg_empty

/* ---- the enums ---- */

enum msg_type {
#define MSG(NAME, name, from, to, phase, zero, tail, fds) MSG_##NAME,
#include "wire/messages.def"
#undef MSG
	MSG_COUNT,
};

enum client_msg_type {
#define MSG(NAME, name, from, to, phase, zero, tail, fds) CLIENT_MSG_##NAME,
#include "wire/client.def"
#undef MSG
	CLIENT_MSG_COUNT,
};

/* Phases: a channel is in exactly one; a row lists those in which it may come. */
enum msg_phase {
	FRESH = 1,
	RUN = 2,

	HELLO = 1,
	MAIN = 2,
	SETUP = 4,
	SESSION = 8,
	KEY = 16,
};

#endif
