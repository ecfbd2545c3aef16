/*
 * The command line of tlsbroker-cli.
 */
#ifndef TLSB_TOOLS_OPTIONS_H
#define TLSB_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/target.h"
#include "wire/limits.h"

enum command {
	CONNECT = 1,
	STATUS = 2,
	SESSIONS = 4,
	KILL = 8,
	BADGES = 16,
	RELOAD = 32,
	EXPLAIN = 64,
	KEYS = 128,
};

/* All that ask the broker about itself. */
#define ASKING (STATUS | SESSIONS | KILL | BADGES | RELOAD | EXPLAIN | KEYS)

enum key_verb { KEYS_LIST, KEYS_IMPORT, KEYS_SIGN, KEYS_VERIFY, KEYS_DESTROY };

struct options {
	enum command command;
	const char *socket; /* NULL: where the library looks */

	/* connect, explain */
	struct target target;
	const char *subject; /* HOST:PORT as it was typed, for messages */
	const char *ca, *name, *alpn, *ciphers;
	const char *identity;
	const char *psk, *psk_file;
	const char *cert, *key;
	const char *pins[LIMIT_PINS];
	unsigned pin_count;
	uint32_t timeout_s; /* 0: not given */
	int eof_wait_ms;    /* -1: never */
	int family;
	int version_min, version_max;
	bool no_resumption, insecure, verbose;

	/* those that ask */
	bool json;

	/* explain: about whom; none of them: about ourselves */
	const char *user;
	uint32_t pid;

	/* keys */
	enum key_verb verb;
	const char *key_file;  /* import */
	uint32_t key_number;   /* sign, verify, destroy */
	const char *signature; /* verify: its file */
	bool pkcs1;

	/* kill: a session */
	uint32_t worker;
	uint64_t session;
};

/*
 * Parse.  -1: go on, *ret_options is filled, its strings are those of ARGV.  Else the status to
 * exit with: what there was to say (help, version, a complaint) has been said.
 */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
