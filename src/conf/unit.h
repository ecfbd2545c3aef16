/*
 * Names of systemd's units: those that processes can be in.
 */
#ifndef TLSB_CONF_UNIT_H
#define TLSB_CONF_UNIT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the LEN bytes at NAME are the name of one, of an instance but not of a template. */
bool unit_is_name(const char *name, size_t len);

/* The same, and it is a slice: units lie in it. */
bool unit_is_slice(const char *name, size_t len);

#endif
