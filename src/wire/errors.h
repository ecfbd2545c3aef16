/*
 * What goes with each enum tlsb_error (errors.def): errno, fatality, default text.
 */
#ifndef TLSB_WIRE_ERRORS_H
#define TLSB_WIRE_ERRORS_H

#include "tlsbroker.h"

struct error_info {
	uint32_t code;
	int number; /* the errno */
	int fatal;
	const char *name;
	const char *text;
};

/* The row of CODE.  A code from elsewhere that is none gets BROKER_PROTOCOL's row; never NULL. */
const struct error_info *error_info(uint32_t code);

#endif
