#include "worker/audit.h"

#include "base/clock.h"
#include "base/log.h"
#include "tlsbroker.h"

/* Where a session that fails with this code came to; NULL: it does not fail. */
static const char *step_of(const struct session *session, uint32_t code)
{
	if (code == TLSB_E_NONE)
		return NULL;
	switch (session->stage) {
	case STAGE_SETUP:
	case STAGE_LENDING:
	case STAGE_IN_LINE:
		return "request";
	case STAGE_DIALLING:
		if (code == TLSB_E_POLICY || code == TLSB_E_QUOTA)
			return "request"; /* it was not even begun */
		return session->looking_up ? "lookup" : "connect";
	case STAGE_HANDSHAKE:
		return code >= TLSB_E_CERT ? "verify" : "handshake"; /* the last of all codes */
	case STAGE_OPEN:
		return "data";
	default:
		return "end";
	}
}

static const char *check_text(enum check check, const char *passed)
{
	switch (check) {
	case CHECK_PASSED:
		return passed;
	case CHECK_REVOKED:
		return "revoked";
	case CHECK_FAILED:
		return "failed";
	default:
		return NULL;
	}
}

void audit_session(const struct session *session, const struct error_info *info, const char *text)
{
	const SSL *agreed = session->stage >= STAGE_OPEN ? session->ssl : NULL;

	log_event(info->code == TLSB_E_NONE ? LOG_L_INFO : LOG_L_NOTICE, text,
		  { FIELD_EVENT, LOG_AUDIT }, { FIELD_CLIENT, LOG_NUMBER(session->client_pid) },
		  { FIELD_SESSION, LOG_NUMBER(session->number) },
		  { FIELD_SERVER, session->server }, { FIELD_ADDRESS, session->address },
		  { FIELD_NAME, session->name },
		  { FIELD_VERSION, agreed ? SSL_get_version(agreed) : NULL },
		  { FIELD_CIPHER, agreed ? SSL_get_cipher_name(agreed) : NULL },
		  { FIELD_RESUMED, agreed ? (SSL_session_reused(agreed) && !session->psk ? "1" : "0") : NULL },
		  { FIELD_IDENTITY, session->identity },
		  { FIELD_PSK, session->psk },
		  { FIELD_OUTCOME, info->code == TLSB_E_NONE ? "ok" : info->name },
		  { FIELD_STEP, step_of(session, info->code) },
		  { FIELD_PINS, check_text(session->checks.pins, "ok") },
		  { FIELD_CRL, check_text(session->checks.crl, "ok") },
		  { FIELD_OCSP, check_text(session->checks.ocsp, "good") },
		  { FIELD_BYTES_READ, LOG_NUMBER(session->bytes_read) },
		  { FIELD_BYTES_WRITTEN, LOG_NUMBER(session->bytes_written) },
		  { FIELD_MS, LOG_NUMBER(clock_ms() - session->born_ms) });
}
