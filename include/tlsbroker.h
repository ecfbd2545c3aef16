/*
 * libtlsbroker: TLS sessions that live in another process.
 *
 * The program links libc and this library, no TLS library.  tlsbrokerd owns the socket, the TLS
 * session and the trust store; who the program is, the broker learns from the kernel.
 *
 * Manners.  0 or a count on success, -1 with errno on failure.  Calls do not block unless
 * tlsb_set_timeout() said that they may: a call that cannot finish returns -1 with EWOULDBLOCK,
 * has moved nothing, and is called again, right away or when tlsb_fd() is readable.  Only
 * tlsb_open(), tlsb_badge() and tlsb_key_*() wait, and say for how long.  The library
 * has no globals, makes no threads, touches no signals (it never raises SIGPIPE), and allocates
 * nothing on the read and write path.  Different handles may be used from different threads; one
 * session belongs to one thread at a time.  After fork() a child must not use its parent's handles,
 * nor free them.
 *
 * errno, wherever a call does not say more:
 *   EWOULDBLOCK   not finished; call again            EINVAL        a parameter is unusable
 *   ENOTCONN      not connected, or no longer         EISCONN       already connected
 *   EACCES        policy, or the daemon's own floor   EMFILE        a quota of the broker, or fds
 *   ENOENT        the name does not resolve           ECONNREFUSED  the server refused
 *   EHOSTUNREACH  no route, or no name server         ETIMEDOUT     a deadline passed
 *   EPROTO        TLS failed                          EKEYREJECTED  the certificate was refused
 *   ECONNRESET    the peer reset or cut the stream, or the session's worker died
 *   ECONNABORTED  the broker has gone, or is stopping
 * tlsb_error_code() tells apart what errno cannot, tlsb_error_text() says it to a person.
 */
#ifndef TLSBROKER_H
#define TLSBROKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TLSB_PUBLIC __attribute__((visibility("default")))
#else
#define TLSB_PUBLIC
#endif

struct tlsb;
struct tlsb_config;
struct tlsb_session;

/* TLS versions, as RFC 8446 writes them on the wire. */
#define TLSB_TLS_1_2 0x0303
#define TLSB_TLS_1_3 0x0304

/* What ended or refused a session.  The numbers never change; new ones are added at the end. */
enum tlsb_error {
	TLSB_E_NONE = 0,

	/* between program and broker */
	TLSB_E_BROKER_GONE = 1,    /* the daemon is not there any more: ECONNABORTED */
	TLSB_E_WORKER_DIED = 2,    /* the process that held this session died: ECONNRESET */
	TLSB_E_STOPPING = 3,       /* the daemon is shutting down: ECONNABORTED */
	TLSB_E_BROKER_PROTOCOL = 4, /* broker and library disagree on their protocol: EPROTO */
	TLSB_E_QUOTA = 5,          /* a limit for this user was reached: EMFILE */
	TLSB_E_RESOURCES = 6,      /* the broker has no memory or descriptors left: EMFILE */
	TLSB_E_POLICY = 7,         /* not allowed, or not any more: EACCES */
	TLSB_E_PARAMETER = 8,      /* the broker cannot use a setting: EINVAL */

	/* name lookup and TCP */
	TLSB_E_DNS = 20,         /* the name does not exist, or has no address: ENOENT */
	TLSB_E_DNS_SERVER = 21,  /* no name server gave an answer: EHOSTUNREACH */
	TLSB_E_REFUSED = 22,     /* ECONNREFUSED */
	TLSB_E_UNREACHABLE = 23, /* EHOSTUNREACH */
	TLSB_E_TIMEOUT = 24,     /* a deadline or a limit of the policy passed, or the peer vanished: ETIMEDOUT */
	TLSB_E_RESET = 25,       /* the peer reset the connection: ECONNRESET */
	TLSB_E_TRUNCATED = 26,   /* the stream ended without close_notify: ECONNRESET */

	/* TLS */
	TLSB_E_TLS = 40,         /* anything that has no code of its own: EPROTO */
	TLSB_E_TLS_ALERT = 41,   /* the peer sent a fatal alert: EPROTO */
	TLSB_E_TLS_VERSION = 42, /* no common version: EPROTO */
	TLSB_E_TLS_CIPHER = 43,  /* no common cipher suite or group: EPROTO */
	TLSB_E_TLS_ALPN = 44,    /* no common application protocol: EPROTO */
	TLSB_E_NOT_TLS = 45,     /* the peer does not speak TLS: EPROTO */
	TLSB_E_PSK = 46,         /* the peer does not know the pre-shared key, or has another: EPROTO */

	/* the peer's certificate; all EKEYREJECTED */
	TLSB_E_CERT = 60,             /* refused for a reason that has no code of its own */
	TLSB_E_CERT_NAME = 61,        /* not for this host name */
	TLSB_E_CERT_ADDRESS = 62,     /* not for this IP address */
	TLSB_E_CERT_EXPIRED = 63,
	TLSB_E_CERT_NOT_YET = 64,
	TLSB_E_CERT_SELF_SIGNED = 65,
	TLSB_E_CERT_UNKNOWN_CA = 66,
	TLSB_E_CERT_INCOMPLETE = 67,  /* only its own certificate came, and its issuer is unknown */
	TLSB_E_CERT_PURPOSE = 68,     /* not a server certificate, or issued by what is no CA */
	TLSB_E_CERT_WEAK = 69,        /* key or digest too weak */
	TLSB_E_CERT_CONSTRAINT = 70,  /* outside its CA's name constraints */
	TLSB_E_CERT_SIGNATURE = 71,
	TLSB_E_CERT_REVOKED = 72,
	TLSB_E_CERT_PIN = 73,         /* none of its keys is one that is pinned */
	TLSB_E_CERT_REVOCATION = 74,  /* whether it was revoked cannot be told */

	/* tlsb_key_*() */
	TLSB_E_KEY = 80,           /* there is no such key, or it is somebody else's: ENOENT */
	TLSB_E_KEY_USE = 81,       /* it cannot be used in this way: EOPNOTSUPP */
	TLSB_E_KEY_SIGNATURE = 82, /* the signature is not that of this key and hash: EBADMSG */
};

/* ------------------------------------------------------------------ the connection to the broker */

/*
 * Connect to the broker at SOCKET_PATH.  NULL: $TLSBROKER_SOCKET, else the user's own broker in
 * $XDG_RUNTIME_DIR/tlsbroker, else the system's, /run/tlsbroker/tlsbroker.sock.
 *
 * Does not wait for the broker to answer: what the broker refuses (EMFILE, EACCES) is reported, with
 * its text, by the first session.  Returns a handle for tlsb_close(), or NULL with errno:
 * ENOENT or ECONNREFUSED, no broker is running there; EAGAIN, its queue of new clients was full for a
 * second, in which this call waited for a place; ENAMETOOLONG, EMFILE, ENOMEM.
 *
 * One connection serves any number of sessions.  If the badge has several workers, the handle opens
 * further ones as sessions find the others in use, at most one for each worker, 16 in all, and spreads
 * its sessions over them.  It learns how many from the broker's first answer, which tlsb_badge() waits for;
 * sessions made before that share the first.  A further connection that is refused or lost costs its own sessions
 * only.  What is about the handle is about the first.
 */
TLSB_PUBLIC struct tlsb *tlsb_open(const char *socket_path);

/* Close the connection and free the handle; its sessions must have been freed before.  NULL is fine. */
TLSB_PUBLIC void tlsb_close(struct tlsb *);

/*
 * Who the broker says that this program is: the badge's name, for example "uid:1000".  Owned by the
 * handle.  One of the calls that may wait without a timeout having been set: until the broker's first
 * answer, one second at most.  NULL with errno EWOULDBLOCK if it has not come by
 * then, or with the errno of the refusal or of the broker's end.
 */
TLSB_PUBLIC const char *tlsb_badge(const struct tlsb *);

/*
 * A descriptor that becomes readable when the broker, or the worker that serves this handle, has
 * gone or refused the program.  Owned by the handle; only poll it.  -1 with EMFILE, or with
 * EWOULDBLOCK: so much is on its way to the broker that there is no room to ask for it now.
 */
TLSB_PUBLIC int tlsb_broker_fd(const struct tlsb *);

/* -------------------------------------------------------------------------------------- settings */

/*
 * Settings may be shared by any number of sessions and changed or freed once tlsb_session_new()
 * has taken its copy.  NULL with ENOMEM.
 */
TLSB_PUBLIC struct tlsb_config *tlsb_config_new(void);
TLSB_PUBLIC void tlsb_config_free(struct tlsb_config *);

/*
 * Trust these CA certificates instead of the system's: PEM (one or more, text around them is
 * ignored) or one DER certificate.  LEN bytes, copied; for PEM a NUL at the end may be counted or
 * not.  EINVAL: empty, or neither PEM nor DER.  EFBIG: more than 1 MiB.  ENOMEM.
 */
TLSB_PUBLIC int tlsb_config_set_ca(struct tlsb_config *, const void *pem_or_der, size_t len);

/*
 * The name for SNI (RFC 6066) and for verification (RFC 9525), or an IP address to verify.  Without
 * it the host given to tlsb_connect() is used: there is no way to verify no name at all but
 * tlsb_config_insecure_no_verify().  NULL goes back to that.  EINVAL: empty, longer than 253
 * bytes, or not a host name or address.
 */
TLSB_PUBLIC int tlsb_config_set_server_name(struct tlsb_config *, const char *name);

/*
 * Application protocols to offer (RFC 7301), most wanted first, for example "h2,http/1.1".  If the
 * server knows ALPN and none of them, the handshake fails.  If it does not know ALPN there is no
 * protocol; see tlsb_info().  NULL or "": do not offer any.  EINVAL: an empty protocol, one
 * longer than 255 bytes, or 256 bytes in all.
 */
TLSB_PUBLIC int tlsb_config_set_alpn(struct tlsb_config *, const char *comma_separated);

/*
 * TLSB_TLS_1_2 or TLSB_TLS_1_3, or 0 for no bound of the program's own.  The broker's floor stays:
 * asking for less is EACCES, here or at the first session.  EINVAL: unknown, or min above max.
 */
TLSB_PUBLIC int tlsb_config_set_versions(struct tlsb_config *, int min, int max);

/*
 * Cipher suites, as OpenSSL names them, colon-separated: TLS 1.3 suites ("TLS_...") and TLS 1.2
 * ones in one list.  A version for which nothing is named keeps the broker's own list.  NULL: the
 * broker's own.  Only names, no selection strings.  EINVAL here: empty, longer than 511 bytes or
 * not such a list; at the session: a name that the broker does not have.  One that it does not allow is
 * EACCES there.
 */
TLSB_PUBLIC int tlsb_config_set_ciphers(struct tlsb_config *, const char *list);

/*
 * Show this identity to a server that asks who we are: a certificate that the administrator has
 * configured under this name and granted to the program.  Its key never comes near the program, nor
 * near the process that holds the session.  NULL: show none, which is the default.  EINVAL: no such
 * name can be.  The session is refused with EACCES when the program has no identity of this name.
 */
TLSB_PUBLIC int tlsb_config_set_identity(struct tlsb_config *, const char *name);

/*
 * The same with a certificate and a private key of the program's own: PEM, with the certificates of the
 * CAs in between behind it, or DER.  RSA, RSA-PSS, ECDSA (P-256, P-384, P-521) or Ed25519; RSA with 2048
 * to 4096 bits.  Both are copied; of PEM only the blocks that are certificates, or the key, so that one
 * file may hold both.  The key goes to a process of the broker that keeps it for each handshake, and
 * never leaves it.  The copies here are overwritten when they are needed no more, the session's once it
 * has been sent, the settings' by tlsb_config_free(); what is passed in, the program has to overwrite.
 *
 * Takes the place of an identity that was set, as that does of these.  NULL for both: none.  EINVAL: one
 * is missing, or neither PEM nor DER.  EFBIG: more than 48 KiB of certificates or 16 KiB of key.  ENOMEM.
 * The session fails with EINVAL when they cannot be used or do not belong together, with EACCES when the
 * program may bring none (own-certificate), before anything is sent to the server; and with ECONNRESET
 * when the process with the key dies in the middle of the handshake: then a new session may work.
 */
TLSB_PUBLIC int tlsb_config_set_client_cert_key(struct tlsb_config *, const void *cert,
						size_t cert_len, const void *key, size_t key_len);

/*
 * Accept a server only if one of the certificates of its verified chain has this public key, or
 * another one that was added: the base64 of the key's SHA-256 (RFC 7469), with or without "sha256/" in
 * front.  Without verification (below) it has to be the server's own key.  Up to 32; what the
 * administrator has pinned holds besides.  EINVAL: not such a text.  EFBIG: one too many.
 */
TLSB_PUBLIC int tlsb_config_add_pin(struct tlsb_config *, const char *sha256_base64);

/*
 * Know the server by a pre-shared key, and be known to it (RFC 4279, RFC 8446).  With KEY NULL and LEN 0
 * IDENTITY is the name of one that the administrator has configured and granted to the program, which
 * never sees it.  Else it is what the server calls the key, 1 to 128 bytes without control characters, and
 * the key's LEN bytes, 16 to 64, are copied; they are overwritten with the settings.  IDENTITY NULL: none,
 * which is the default.  EINVAL: not so.
 *
 * A server that takes the key shows no certificate: whoever has the key is the server, whatever its name.
 * One that does not is verified by its certificate as ever.  Such sessions are not resumed.  The session
 * is refused with EACCES when the program has no key of this name, may bring none (own-psk), or when a
 * certificate is demanded (pins, crl); with EINVAL when the program itself has added pins.
 */
TLSB_PUBLIC int tlsb_config_set_psk(struct tlsb_config *, const char *identity, const void *key,
				    size_t len);

/* AF_INET or AF_INET6: use only such addresses of a name.  AF_UNSPEC (the default): both.  EINVAL. */
TLSB_PUBLIC int tlsb_config_set_family(struct tlsb_config *, int family);

/* Resume earlier sessions with the same server and settings, across processes.  On by default. */
TLSB_PUBLIC int tlsb_config_set_resumption(struct tlsb_config *, int on);

/*
 * Accept any certificate.  Encryption to nobody in particular: anybody in between can read and
 * change everything.  The broker refuses the session with EACCES unless its policy allows that
 * (allow-insecure).
 */
TLSB_PUBLIC int tlsb_config_insecure_no_verify(struct tlsb_config *);

/* ------------------------------------------------------------------------------------ one session */

/*
 * A new, unconnected session.  CONFIG may be NULL for the defaults; it is copied.  The broker's
 * handle must outlive the session.  May open a further connection to the broker (see tlsb_open()),
 * without waiting for it.  NULL with errno: EMFILE, ENOMEM.
 */
TLSB_PUBLIC struct tlsb_session *tlsb_session_new(struct tlsb *, const struct tlsb_config *);

/*
 * Connect to HOST (a name, or an IPv4 or IPv6 literal, with or without brackets) at PORT (decimal).
 * Called again until it returns other than EWOULDBLOCK; later calls may pass the same strings or
 * NULL.  0: TCP is connected, and the broker has begun the handshake.  A timeout that is set when
 * this is first called is also the broker's deadline for name lookup, TCP and TLS together
 * (otherwise 30 s).  EISCONN: is connected.  EINVAL: host or port unusable; nothing was sent.
 */
TLSB_PUBLIC int tlsb_connect(struct tlsb_session *, const char *host, const char *port);

/*
 * Finish the TLS handshake, the verification of the peer included.  0 when it is done, and again
 * whenever it is called later.  Nothing of the program's data leaves before.  ENOTCONN: no
 * tlsb_connect() yet.
 */
TLSB_PUBLIC int tlsb_handshake(struct tlsb_session *);

/*
 * Read up to LEN bytes.  0 is the peer's clean end (close_notify, or LEN was 0); a stream that
 * ends otherwise is ECONNRESET with TLSB_E_TRUNCATED or TLSB_E_RESET, after all that came before has
 * been read.  Finishes a handshake that is under way first.
 */
TLSB_PUBLIC ssize_t tlsb_read(struct tlsb_session *, void *buf, size_t len);

/*
 * Write up to LEN bytes; returns how many the channel took, which may be fewer.  They are on their
 * way when the broker gets to them: a connection's end reports what was lost on later calls.
 * Finishes a handshake that is under way first.  EPIPE: after tlsb_shutdown().
 */
TLSB_PUBLIC ssize_t tlsb_write(struct tlsb_session *, const void *buf, size_t len);

/*
 * Read without a copy: as tlsb_read(), but the bytes stay where they are, in one piece at *DATA, until
 * tlsb_consume() gives back their place.  Returns how many there are, at most what the session's
 * channel holds; asked again before that, those and what came since.  They are the session's, and
 * void after tlsb_read(), tlsb_disconnect() or tlsb_session_free().  The broker can write there, too:
 * one that was taken over may change what is being looked at, so what a decision depends on is
 * copied, and the copy is checked.
 */
TLSB_PUBLIC ssize_t tlsb_peek(struct tlsb_session *, const void **data);

/*
 * The first N bytes of what tlsb_peek() returned are done with; the rest stays, and can be consumed
 * later.  EINVAL: more than are left of it; nothing was moved.
 */
TLSB_PUBLIC int tlsb_consume(struct tlsb_session *, size_t n);

/*
 * Write without a copy: room for that many bytes, in one piece at *ROOM, which go on their way with
 * tlsb_commit().  Asked again before that, the same room and what became free since.  Void after
 * tlsb_write(), tlsb_shutdown(), tlsb_disconnect() or tlsb_session_free().  The session's broker can
 * see, and one that was taken over can change, what stands there also before it is committed.  Fails
 * as tlsb_write() does.
 */
TLSB_PUBLIC ssize_t tlsb_reserve(struct tlsb_session *, void **room);

/*
 * The first N bytes of what tlsb_reserve() returned are filled: send them, as if they had been
 * written.  The rest of the room stays reserved.  EINVAL: more than are left of it.  EPIPE: after
 * tlsb_shutdown().
 */
TLSB_PUBLIC int tlsb_commit(struct tlsb_session *, size_t n);

/* How many bytes tlsb_read() would return now; no system call. */
TLSB_PUBLIC ssize_t tlsb_pending(const struct tlsb_session *);

/*
 * Send what was written, then close_notify; reading goes on.  0 when all of it has been given to
 * TCP, EWOULDBLOCK until then.
 */
TLSB_PUBLIC int tlsb_shutdown(struct tlsb_session *);

/*
 * End the session.  What was written is still sent, then close_notify, by the broker in the
 * background for up to five seconds; what was not read is gone.  The session cannot be connected
 * again.  ENOTCONN: there is nothing to end.
 */
TLSB_PUBLIC int tlsb_disconnect(struct tlsb_session *);

/* Disconnect if need be, and free.  NULL is fine. */
TLSB_PUBLIC void tlsb_session_free(struct tlsb_session *);

/* ---------------------------------------------------------------------------------------- waiting */

/*
 * The session's descriptor, the same for its whole life: readable (POLLIN, level-triggered) when a
 * call that returned EWOULDBLOCK may get further, when there is something to read, and when the
 * session or the broker has ended.  It may be readable once too often, never once too few.  Only
 * poll it: never read, write or close it.
 */
TLSB_PUBLIC int tlsb_fd(const struct tlsb_session *);

/*
 * Wait until the session can be read (POLLIN), written (POLLOUT), or has ended; or, while it is
 * being connected, until connect or handshake gets further.  TIMEOUT_MS as poll(2).  Returns the
 * events that are there, 0 after the timeout, -1 with EINTR, EINVAL, or ENOTCONN before
 * tlsb_connect().
 */
TLSB_PUBLIC int tlsb_wait(struct tlsb_session *, int events, int timeout_ms);

/*
 * How long connect, handshake, read, write, peek, reserve and shutdown may block: 0 not at all (the default), -1
 * for ever, else milliseconds for each call, after which it fails with ETIMEDOUT and can be called
 * again.  While a session is being connected, a call whose time ends with the broker's deadline waits
 * up to a quarter of a second more for what the broker says.  EINVAL: less than -1.
 */
TLSB_PUBLIC int tlsb_set_timeout(struct tlsb_session *, int ms);

/* ------------------------------------------------------------ what went wrong, what was agreed */

/* An enum tlsb_error; TLSB_E_NONE while nothing went wrong. */
TLSB_PUBLIC int tlsb_error_code(const struct tlsb_session *);

/* One printable line that a person can act on, "" while nothing went wrong.  Owned by the session. */
TLSB_PUBLIC const char *tlsb_error_text(const struct tlsb_session *);

/* 1 when a session with this error is over, 0 when the same call may succeed later. */
TLSB_PUBLIC int tlsb_error_is_fatal(int code);

/* One message of the handshake, as it passed. */
struct tlsb_step {
	uint8_t sent;       /* 1: by us, 0: by the peer */
	uint8_t type;       /* HandshakeType, RFC 8446 section 4; 254: change_cipher_spec */
	uint16_t ms;        /* since the TCP connection was there */
};

#define TLSB_INFO_STEPS 24

/*
 * What was agreed.  All text is printable ASCII: other bytes stand as \xHH, in names as \HH (RFC
 * 2253).  Later versions add members at the end only; sizeof tells the library which this program
 * knows.
 */
struct tlsb_info {
	uint32_t version;          /* TLSB_TLS_1_2 or TLSB_TLS_1_3 */
	uint32_t resumed;          /* 1: resumed, the certificate was verified when it was new */
	uint32_t verified;         /* by certificate or pre-shared key; 0 only with tlsb_config_insecure_no_verify() */
	uint32_t key_bits;         /* size of the peer certificate's key; 0 if unknown */
	int64_t not_after;         /* end of the peer certificate's validity, seconds since 1970 */
	uint32_t name_us;          /* time taken by name lookup, TCP connect and TLS handshake */
	uint32_t tcp_us;
	uint32_t tls_us;
	uint32_t step_count;
	struct tlsb_step steps[TLSB_INFO_STEPS];
	char cipher[48];
	char group[32];            /* key exchange group, or "" */
	char alpn[256];            /* agreed application protocol, or "" */
	char address[64];          /* the peer's address and port: "192.0.2.1:443", "[2001:db8::1]:443" */
	char subject[256];         /* the peer certificate's subject */
	/* Its chain as it was verified, one line "subject < issuer" each, leaf first.  Resumed: the leaf. */
	char chain[1024];
	/* Our own, if the server asked for it and has seen it, or "".  "(own)": that of the program. */
	char identity[64];
	char psk[136];             /* by which the server is known, instead of by a certificate; or "" */
};

/*
 * Fill INFO, of SIZEOF_INFO bytes, with what was agreed.  ENOTCONN before the handshake has ended.
 * EINVAL: INFO is NULL or the size is 0.
 */
TLSB_PUBLIC int tlsb_info(const struct tlsb_session *, struct tlsb_info *, size_t sizeof_info);

/* ------------------------------------------------------------------------------------------- keys */

/*
 * Keys that live in the broker, in the process that holds all private keys: imported, used, destroyed,
 * and never given back.  They sign hashes and verify signatures of hashes, and are never used in TLS; the
 * keys of identities, and those of tlsb_config_set_client_cert_key(), are used there and never here.
 *
 * A key belongs to the badge and user of the program that has imported it: all programs of these may use
 * and destroy it, nobody else can tell that it is there.  It stays, whichever program or worker ends,
 * until it is destroyed, the policy lets the badge have no keys any more, or the broker's keyholder ends
 * (with the daemon, or because it died).  It is a volatile key in the words of PSA's Crypto API.
 *
 * These calls wait for the broker's answer, ten seconds at most.  Besides what each says they fail with
 * ENOENT, no such key; ETIMEDOUT, no answer came; ECONNRESET, the worker or the keyholder died over it
 * (in the latter case all keys have gone); ECONNABORTED, the broker has gone or is stopping; EMFILE,
 * it, or this program, has no descriptors or memory left; EACCES, the broker refused the program.  Any of
 * them may have been done when it fails with ETIMEDOUT or ECONNRESET.  They may be called from
 * several threads at once.
 */

/*
 * A way to sign, with the hash that it is for.  The numbers are those of IANA's registry "TLS
 * SignatureScheme" (RFC 8446, 4.2.3), without its ties to curves: with ECDSA any of these hashes goes with
 * any key.  PKCS1 is RSASSA-PKCS1-v1_5 and PSS is RSASSA-PSS with MGF1 of the same hash and a salt as long
 * as the hash (RFC 8017).  ECDSA's signatures are in DER (RFC 3279, 2.2.3).
 */
enum tlsb_signature {
	TLSB_RSA_PKCS1_SHA256 = 0x0401,
	TLSB_RSA_PKCS1_SHA384 = 0x0501,
	TLSB_RSA_PKCS1_SHA512 = 0x0601,
	TLSB_ECDSA_SHA256 = 0x0403,
	TLSB_ECDSA_SHA384 = 0x0503,
	TLSB_ECDSA_SHA512 = 0x0603,
	TLSB_RSA_PSS_SHA256 = 0x0804,
	TLSB_RSA_PSS_SHA384 = 0x0805,
	TLSB_RSA_PSS_SHA512 = 0x0806,
};

/* No signature is longer: RSA with 4096 bits. */
#define TLSB_SIGNATURE_MAX 512

/*
 * Import a key: a private one in PEM or DER (PKCS #8, or the older forms of RSA and EC), or a public one
 * (SubjectPublicKeyInfo, RFC 5280), in LEN bytes at KEY; of PEM the first block that is a private key, else
 * the first that is a public one.  RSA or RSA-PSS with 2048 to 4096 bits, or ECDSA on P-256, P-384 or P-521.  Its
 * number comes at *RET_KEY.  The bytes go to the keyholder in a sealed file that nothing else reads; the
 * copy that was made of them here is overwritten, what is passed in, the program has to overwrite.
 *
 * EINVAL: it is empty, no such key, or has a passphrase.  EOPNOTSUPP: Ed25519, which signs messages, not
 * hashes.  EFBIG: more than 16 KiB, or than the program may write to a file.  EACCES: this badge may
 * import none.  EMFILE: it has as many as it may (max-keys), or there is no room for more.  ENOMEM.
 */
TLSB_PUBLIC int tlsb_key_import(struct tlsb *, const void *key, size_t len, uint32_t *ret_key);

/*
 * Sign a hash of LEN bytes, which has to be that of ALGORITHM (an enum tlsb_signature): 32, 48 or 64.
 * Returns the length of the signature, which stands in the SIZE bytes at SIGNATURE.
 *
 * EINVAL: the algorithm or the hash's length is none of these.  EOPNOTSUPP: that is another kind of key's
 * algorithm, or only the public half is there.  EACCES: it is the key of an identity.  ERANGE: SIZE is less
 * than the signature has.
 */
TLSB_PUBLIC ssize_t tlsb_key_sign_hash(struct tlsb *, uint32_t key, int algorithm, const void *hash,
				       size_t len, void *signature, size_t size);

/*
 * 0: it is this key's signature of this hash.  EBADMSG: it is not.  Else as tlsb_key_sign_hash(), but that
 * the public half is enough.
 */
TLSB_PUBLIC int tlsb_key_verify_hash(struct tlsb *, uint32_t key, int algorithm, const void *hash,
				     size_t len, const void *signature, size_t signature_len);

/* The key is forgotten, and its memory overwritten.  EACCES: it is the key of an identity. */
TLSB_PUBLIC int tlsb_key_destroy(struct tlsb *, uint32_t key);

enum tlsb_key_purpose {
	TLSB_KEY_TLS = 1,  /* of an identity that was granted to the badge: signs in TLS, nothing else */
	TLSB_KEY_HASH = 2, /* imported: signs and verifies hashes, nothing else */
};

/* Later versions add members at the end only; sizeof tells the library which this program knows. */
struct tlsb_key_info {
	uint32_t key;     /* its number */
	uint32_t purpose; /* enum tlsb_key_purpose */
	uint32_t bits;    /* of the modulus, or of the curve's order */
	uint32_t has_private; /* 0: only the public half is there */
	char type[16];    /* "RSA", "RSA-PSS", "ECDSA" or "Ed25519" */
	char name[64];    /* the identity's, or "" */
	char pin[52];     /* "sha256/" and the base64 of its SubjectPublicKeyInfo's SHA-256 (RFC 7469) */
};

/*
 * The key with the lowest number above AFTER, of those that the program may use: from 0 on all of them,
 * one after the other.  ENOENT: there is none any more.  EINVAL: INFO is NULL or the size is 0.
 */
TLSB_PUBLIC int tlsb_key_next(struct tlsb *, uint32_t after, struct tlsb_key_info *info,
			      size_t sizeof_info);

/*
 * Why the last of these calls has failed on this handle, in whichever thread: one printable line, up to
 * SIZE - 1 bytes of it at TEXT, ended with a NUL.  "" if nothing has.
 */
TLSB_PUBLIC void tlsb_key_error_text(const struct tlsb *, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
