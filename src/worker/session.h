/*
 * One session's life.
 *
 *   SETUP      its socket is here; certificates may come, then CONNECT   setup.c
 *   LENDING    the keyholder reads the private key that it brought   lending.c
 *   IN_LINE    for a place among the channels that programs have not picked up   unread.c
 *   DIALLING   the connector looks up and connects                   setup.c
 *   HANDSHAKE  TLS runs on the connected socket                      handshake.c
 *   OPEN       verified; bytes flow between rings and TLS            flow.c, pump.c
 *   LINGER     the program has gone; what it wrote is still sent     linger.c
 *
 * The program sees it through the control page.  A session ends exactly once, through session_end(),
 * and is freed there.
 */
#ifndef TLSB_WORKER_SESSION_H
#define TLSB_WORKER_SESSION_H

#include <openssl/ssl.h>
#include <sys/queue.h>
#include <time.h>

#include "base/macros.h"
#include "ring/channel.h"
#include "wire/chan.h"
#include "worker/net.h"
#include "worker/request.h"
#include "worker/resume.h"

struct worker;
struct client;
struct lending;
struct signing;
struct staple;
struct verdict;

/* What came of a check that policy, program or certificate demand; NONE: none of them does. */
enum check { CHECK_NONE, CHECK_PASSED, CHECK_REVOKED, CHECK_FAILED };

struct checks {
	enum check pins, crl, ocsp;
};

enum stage {
	STAGE_SETUP,
	STAGE_LENDING,
	STAGE_IN_LINE,
	STAGE_DIALLING,
	STAGE_HANDSHAKE,
	STAGE_OPEN,
	STAGE_LINGER,
};

struct session {
	LIST_ENTRY(session) in_worker;
	LIST_ENTRY(session) in_client;
	TAILQ_ENTRY(session) in_line;
	struct worker *worker;
	struct client *client; /* NULL in LINGER */
	struct chan chan;      /* the session's own socket; all zero in LINGER */
	enum stage stage;
	uint64_t id;     /* for DIAL */
	uint64_t number; /* for the log */
	uint32_t client_pid;
	uint64_t in_line_ms; /* since when */
	bool unread;         /* its channel may be on its way, see unread.h */
	uint64_t born_ms, moved_ms; /* MOVED: when data last came or went; or it was opened */
	char *server; /* "host:port", for log and status */
	char *address; /* the same as it was dialled, or NULL */
	char *name;    /* what was verified, or NULL */
	char *identity; /* that the server has seen, or NULL */
	char *psk;      /* by which it is known, or NULL */
	bool psk_is_own;
	bool has_own_cert; /* the program has brought it */
	char *asked;   /* as the connector was: the host, then the name to verify if it is another one */
	uint16_t asked_name_len;
	uint16_t peer_port, peer_family; /* where it is connected to */
	uint8_t peer_address[16];

	struct channel channel;
	uint32_t capacity; /* what the quota gave */

	struct request *request;  /* until the handshake is over */
	struct tlsb_info *facts;  /* the same */
	struct verdict *refusal;  /* of the server's certificate, or NULL */
	struct event *timer;      /* the deadline of the stage */
	bool dial_sent;
	bool looking_up; /* as far as it came */

	struct net net;
	struct event *socket_event;
	SSL *ssl;
	struct signing *signing; /* until the handshake is over, if an identity is to be shown */
	struct lending *lending; /* until the handshake is over, of a private key that the program brought */
	uint64_t connected_us;
	struct resume_key resume_key;
	bool resume;
	bool offers; /* an earlier session, in its first flight */
	unsigned trust_number; /* under which the handshake began */
	time_t resume_until;
	struct checks checks; /* of the server's certificate, when the handshake was made */
	time_t staple_until;  /* how long its OCSP response is valid; 0: there was none to look at */
	unsigned idle_records; /* without application data, in a row */
	unsigned turn_records; /* without application data, since this session's turn began */

	uint32_t retry_len; /* bytes of a write that TLS has to be given again */
	uint32_t unrung_rx, unrung_tx; /* bytes since the program's last bell */
	bool unrung_end; /* the same for rx_end, tx_end */
	bool rx_end, tx_end;
	bool clean; /* LINGER: close_notify is owed */
	bool cut;   /* LINGER: our half of the TCP connection is ended */
	uint64_t bytes_read, bytes_written;
	uint64_t released_at; /* bytes_read when the receive ring's pages were last given back */
	uint64_t swept_at;    /* bytes_read at the last sweep */
};

/*
 * A session over FD, its end of the program's socketpair, checked by the caller and taken in every
 * case.  On failure the program has been told.  0, or -errno.
 */
int session_new(struct worker *worker, struct client *client, int fd);

/* The program has gone: what it wrote before is still sent, without close_notify. */
void session_orphan(struct session *session);

/* End it: CODE and a text (for NONE: the orderly end) go to the program and the log.  Frees it. */
void session_end(struct session *session, uint32_t code, const char *format, ...) printf_(3, 4);

/* The connector's answers.  FD is taken. */
void session_on_dialed(struct session *session, const struct msg_dialed *dialed, int fd);

/* The trust bundle, or what the policy says, is another one. */
void session_on_trust(struct session *session);

/* Ask the connector, if there is one; else when it comes. */
void session_dial(struct session *session);

/* Move bytes as far as they go now.  May end the session. */
void session_pump(struct session *session);

/*
 * Give back the receive ring's pages if nothing came since the last sweep.  False when there is
 * nothing to give back any more, so that sweeping can stop.
 */
bool session_sweep(struct session *session);

/* OpenSSL's callbacks. */
void session_on_resumable(struct session *session, SSL_SESSION *resumable);
void session_on_refused_certificate(struct session *session, X509_STORE_CTX *store);
void session_on_objection(struct session *session, const char *why);
void session_on_staple(struct session *session, const struct staple *staple);
void session_on_pins(struct session *session, const char *missing);
void session_on_record(struct session *session, int sent, int type, const void *bytes, size_t len);

/* Messages on a session's socket. */
chan_handler session_on_ca, session_on_own_cert, session_on_own_key, session_on_preshared;
chan_handler session_on_connect, session_on_bell, session_on_disconnect;

/* One that came without its descriptor, for which there was no number left. */
chan_handler session_on_starved;

/* All that it needs is there: make its TLS, and dial.  May end the session. */
void session_begin(struct session *session);

/* Nothing was done for it since then: that is gone from its time. */
void session_waited(struct session *session, uint64_t since_ms);

/* What it asks for cannot be: R and TEXT as of request_parse().  Ends the session. */
void session_refuse(struct session *session, int r, const char *text);

/* ---- between the stages' files ---- */

/* Further, as far as it goes now.  May end the session; handshake_pump() is true once it is open. */
bool handshake_pump(struct session *session);
void flow_pump(struct session *session);
void linger_pump(struct session *session);

/* While the connector dials: make the first flight.  May end the session. */
void handshake_prepare(struct session *session);

/* It was not sent: what it would have resumed can be offered another time.  Frees session->ssl. */
void handshake_unprepare(struct session *session);

/* Wake the program. */
void session_ring(struct session *session);

/* The stage's deadline.  0, or -ENOMEM. */
int session_arm_timer(struct session *session, uint64_t ms);

/* The program broke the protocol, or lies in its memory.  Ends the session. */
void session_violation(struct session *session, const char *what);

/* To be filled in: what the program is told instead of OpenSSL's error.  NULL: no memory. */
struct verdict *session_refusal(struct session *session);

/* TLS or TCP broke: OpenSSL's ERROR says how.  Ends the session. */
void session_broken(struct session *session, int error);

#endif
