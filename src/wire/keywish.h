/*
 * What may be wanted of a key: whether its numbers agree with its tail, for who passes it on and for who
 * does it.
 */
#ifndef TLSB_WIRE_KEYWISH_H
#define TLSB_WIRE_KEYWISH_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/messages.h"

bool keywish_is_good(const struct key_wish *wish, size_t tail_len);

#endif
