/*
 * One line for each event: a text, and fields that say who and what.
 *
 *	log_event(LOG_L_INFO, "session established",
 *		  { FIELD_UID, "1000" }, { FIELD_SERVER, "example.org:443" });
 *
 * Where lines go is the sink's business: a role sends them to the supervisor (role/common.h), the
 * supervisor writes them to standard error or the journal.  Everything is escaped (text.h) by the
 * supervisor before it is written, so callers pass hostile text as it is.
 */
#ifndef TLSB_BASE_LOG_H
#define TLSB_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* syslog's numbers, so that the journal needs no translation. */
enum log_level {
	LOG_L_ERROR = 3,
	LOG_L_WARNING = 4,
	LOG_L_NOTICE = 5,
	LOG_L_INFO = 6,
	LOG_L_DEBUG = 7,
};

/* The journal field is TLSBROKER_<NAME>; the line shows name=value. */
enum log_field {
	FIELD_ROLE,    /* set by the supervisor: who sent the line */
	FIELD_PID,     /* set by the supervisor */
	FIELD_BADGE,   /* of a worker's line, like the uid: set by the supervisor */
	FIELD_UID,
	FIELD_CLIENT,  /* the program's pid, as the kernel said at connect time */
	FIELD_SESSION, /* a number that is unique within its worker; the supervisor puts its in front */
	FIELD_SERVER,  /* host:port as asked for */
	FIELD_ADDRESS, /* address:port as connected */
	FIELD_VERSION,
	FIELD_CIPHER,
	FIELD_RESUMED,
	FIELD_IDENTITY, /* the name of the certificate and key of our own */
	FIELD_OUTCOME, /* ok, or the enum tlsb_error's name */
	FIELD_BYTES_READ,
	FIELD_BYTES_WRITTEN,
	FIELD_MS,      /* how long it took */
	FIELD_RULE,    /* the protocol rule that was broken */
	FIELD_ERROR,   /* what errno or a library said */
	FIELD_EVENT,   /* "session": this line is the audit record of one; "lost": of so many, none;
			  "key": of a key's import or end */
	FIELD_NAME,    /* that the server proved to have */
	FIELD_STEP,    /* at which it failed */
	FIELD_PINS,    /* what came of each check of a certificate that had to be made */
	FIELD_CRL,
	FIELD_OCSP,
	FIELD_PSK,     /* by which the server is known: its name, or what the server calls it */
	FIELD_UNIT,    /* of the program, set by the supervisor */
	FIELD_KEY,     /* the number of one that a program has imported */
	FIELD_ALGORITHM, /* its kind: "RSA" */
	FIELD_BITS,
	FIELD_FINGERPRINT, /* as a pin: "sha256/..." */
	FIELD_COUNT,
};

/* The FIELD_EVENT of a line that is a session's audit record: not to be lost among others. */
#define LOG_AUDIT "session"

struct log_pair {
	enum log_field field;
	const char *value; /* NULL: left out */
};

/* Lower-case name of a field: "uid". */
const char *log_field_name(enum log_field field);

typedef void log_sink(void *arg, enum log_level level, const char *text,
		      const struct log_pair *pairs, size_t count);

/* Set once by each process, with the least important level that is still passed on. */
void log_set_sink(log_sink *sink, void *arg, enum log_level most);

/* 1 when lines of this level go anywhere: to avoid making them otherwise. */
int log_wanted(enum log_level level);

/* 1 when a line that may be wanted at any rate is due: once a second.  *LAST_MS is 0 at first. */
int log_seldom(uint64_t *last_ms);

void log_pairs(enum log_level level, const char *text, const struct log_pair *pairs, size_t count);

#define log_event(level, text, ...)                                                                \
	do {                                                                                       \
		const struct log_pair log_pairs_[] = { __VA_ARGS__ };                              \
		log_pairs(level, text, log_pairs_, ARRAY_SIZE(log_pairs_));                        \
	} while (0)

/* A decimal number as a string that lives until the end of the enclosing block. */
#define LOG_NUMBER(n) log_number((char[24]){ 0 }, (uint64_t)(n))
const char *log_number(char buf[24], uint64_t n);

#endif
