/*
 * What the exit status of tlsbroker-cli means.  Scripts depend on the numbers: they never change.
 */
#ifndef TLSB_TOOLS_EXITS_H
#define TLSB_TOOLS_EXITS_H

#include <stdint.h>
#include <stdio.h>

enum exit_code {
#define EXIT_CODE(NAME, number, doc) EXIT_##NAME = number,
#include "tools/exits.def"
#undef EXIT_CODE
};

/* For an errno that came without an enum tlsb_error. */
enum exit_code exits_from_errno(int error);

/* For an enum tlsb_error. */
enum exit_code exits_from_error(uint32_t code);

/* The table, for --help. */
void exits_print(FILE *out);

#endif
