/*
 * What "connect -v" says.
 */
#ifndef TLSB_TOOLS_REPORT_H
#define TLSB_TOOLS_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "tlsbroker.h"

/* The handshake's steps, what was agreed, and with whom. */
void report_established(FILE *out, const struct tlsb_info *info);

void report_ended(FILE *out, uint64_t received, uint64_t sent);

/* The name of step I of INFO, as RFC 8446 (or 5246) writes it; NULL for a type that has none. */
const char *report_step_name(const struct tlsb_info *info, uint32_t i);

#endif
