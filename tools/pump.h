/*
 * The bytes between standard input, a session and standard output.
 */
#ifndef TLSB_TOOLS_PUMP_H
#define TLSB_TOOLS_PUMP_H

#include <stdint.h>

#include "tlsbroker.h"
#include "tools/exits.h"

struct pump_result {
	uint64_t received, sent;
	int session_error; /* errno with which the session failed; tlsb_error_*() say more */
};

/*
 * Pump until the server has ended the stream, all of it is written out and the input that was there
 * is sent, or until nothing more can be done.  The end of standard input ends our side only,
 * and that when the server was silent for EOF_WAIT_MS milliseconds since (-1: never).  SESSION's
 * handshake is done and its timeout is 0; the timeout is changed.
 *
 * EXIT_OK; or a status, after a complaint about standard input or output, or without one when
 * ret_result->session_error is set.
 */
enum exit_code pump_run(struct tlsb_session *session, int eof_wait_ms,
			struct pump_result *ret_result);

#endif
