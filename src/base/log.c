#include "base/log.h"

#include <stdio.h>
#include <inttypes.h>

#include "base/clock.h"

#define SELDOM_MS 1000

/* The one global besides main.c's: a process has one log. */
static struct {
	log_sink *sink;
	void *arg;
	enum log_level most;
} log_to;

const char *log_field_name(enum log_field field)
{
	static const char *const names[FIELD_COUNT] = {
		[FIELD_ROLE] = "role",
		[FIELD_PID] = "pid",
		[FIELD_BADGE] = "badge",
		[FIELD_UID] = "uid",
		[FIELD_CLIENT] = "client",
		[FIELD_SESSION] = "session",
		[FIELD_SERVER] = "server",
		[FIELD_ADDRESS] = "address",
		[FIELD_VERSION] = "version",
		[FIELD_CIPHER] = "cipher",
		[FIELD_RESUMED] = "resumed",
		[FIELD_IDENTITY] = "identity",
		[FIELD_PSK] = "psk",
		[FIELD_OUTCOME] = "outcome",
		[FIELD_BYTES_READ] = "bytes_read",
		[FIELD_BYTES_WRITTEN] = "bytes_written",
		[FIELD_MS] = "ms",
		[FIELD_RULE] = "rule",
		[FIELD_ERROR] = "error",
		[FIELD_EVENT] = "event",
		[FIELD_NAME] = "name",
		[FIELD_STEP] = "step",
		[FIELD_PINS] = "pins",
		[FIELD_CRL] = "crl",
		[FIELD_OCSP] = "ocsp",
		[FIELD_UNIT] = "unit",
		[FIELD_KEY] = "key",
		[FIELD_ALGORITHM] = "algorithm",
		[FIELD_BITS] = "bits",
		[FIELD_FINGERPRINT] = "fingerprint",
	};

	return names[field];
}

void log_set_sink(log_sink *sink, void *arg, enum log_level most)
{
	log_to.sink = sink;
	log_to.arg = arg;
	log_to.most = most;
}

int log_wanted(enum log_level level)
{
	return log_to.sink && level <= log_to.most;
}

int log_seldom(uint64_t *last_ms)
{
	uint64_t now = clock_ms();

	if (*last_ms != 0 && now - *last_ms < SELDOM_MS)
		return 0;
	*last_ms = now;
	return 1;
}

void log_pairs(enum log_level level, const char *text, const struct log_pair *pairs, size_t count)
{
	if (log_wanted(level))
		log_to.sink(log_to.arg, level, text, pairs, count);
}

const char *log_number(char buf[24], uint64_t n)
{
	snprintf(buf, 24, "%" PRIu64, n);
	return buf;
}
