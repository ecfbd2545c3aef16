/*
 * What EXPLAIN asks about, as it passes from a program over worker and supervisor to who decides.
 */
#ifndef TLSB_WIRE_INQUIRY_H
#define TLSB_WIRE_INQUIRY_H

#include <stdbool.h>

#include "wire/messages.h"

/* Whether its numbers agree with the length of its tail; what the tail says is not looked at. */
bool inquiry_is_good(const struct inquiry *about, uint32_t what, uint32_t tail_len);

#endif
