#include "connector/explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Hosts can be as long as the whole text: this leaves room for what happened. */
#define HOST_SHOWN 100

static enum tlsb_error error_of(int number)
{
	switch (number) {
	case ECONNREFUSED:
		return TLSB_E_REFUSED;
	case ECONNRESET:
		return TLSB_E_RESET;
	case ETIMEDOUT:
		return TLSB_E_TIMEOUT;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
	case EAGAIN:
		return TLSB_E_RESOURCES;
	default:
		return TLSB_E_UNREACHABLE;
	}
}

static const char *words_for(int number)
{
	switch (number) {
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
		return "connection reset";
	case ENETUNREACH:
		return "no route to its network";
	case EHOSTUNREACH:
		return "no route to it, or it is down";
	case EACCES:
	case EPERM:
		return "not allowed by this machine's firewall";
	case EMFILE:
	case ENFILE:
		return "the broker has no descriptors left";
	case EADDRNOTAVAIL:
	case EAGAIN:
		return "no local address or port left";
	case EAFNOSUPPORT:
		return "this machine does not speak its protocol";
	default:
		return strerror(number);
	}
}

/* A server that answers, even "no", tells more than silence, and that more than a missing route. */
static unsigned weight(enum tlsb_error error)
{
	static const enum tlsb_error order[] = {
		TLSB_E_UNREACHABLE, TLSB_E_TIMEOUT, TLSB_E_RESOURCES, TLSB_E_RESET, TLSB_E_REFUSED,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		if (order[i] == error)
			return i;
	}
	return 0;
}

static int describe(char *dst, size_t size, const struct eyeballs_failure *failure, bool named)
{
	char address[ADDRESS_TEXT];

	if (!named)
		address[0] = '\0';
	else
		address_text(&failure->address, address);
	if (failure->error == ETIMEDOUT)
		return snprintf(dst, size, "%s%sno answer in %u.%u s", address, named ? " " : "",
				failure->ms / 1000, failure->ms % 1000 / 100);
	return snprintf(dst, size, "%s%s%s", address, named ? " " : "", words_for(failure->error));
}

/* Add ": A connection refused; B no answer in 1.5 s; and 3 more" to TEXT, as much as fits. */
static void add_failures(char text[LIMIT_TEXT + 1], const char *host,
			 const struct eyeballs *eyeballs)
{
	size_t len = strlen(text), room = LIMIT_TEXT - sizeof("; and 32 more");
	struct address literal;
	const char *why;
	bool named = address_of_host(host, &literal, &why) != HOST_ADDRESS;

	for (unsigned i = 0; i < eyeballs->failed; i++) {
		char one[128];
		int n = describe(one, sizeof(one), &eyeballs->failures[i], named);

		if (len + 2 + (size_t)n > room) {
			snprintf(text + len, LIMIT_TEXT + 1 - len, "; and %u more",
				 eyeballs->failed - i);
			return;
		}
		len += (size_t)snprintf(text + len, LIMIT_TEXT + 1 - len, "%s%s",
					i == 0 ? ": " : "; ", one);
	}
}

void explain_failures(struct explained *ret, const char *host, uint16_t port,
		      const struct eyeballs *eyeballs)
{
	ret->error = TLSB_E_UNREACHABLE;
	ret->looking_up = false;
	for (unsigned i = 0; i < eyeballs->failed; i++) {
		enum tlsb_error error = error_of(eyeballs->failures[i].error);

		if (weight(error) > weight(ret->error))
			ret->error = error;
	}
	snprintf(ret->text, sizeof(ret->text), "cannot connect to %.*s port %u", HOST_SHOWN, host,
		 port);
	add_failures(ret->text, host, eyeballs);
}

void explain_deadline(struct explained *ret, const char *host, uint16_t port, unsigned ms,
		      const struct eyeballs *eyeballs, const struct lookup *lookup)
{
	unsigned s = ms / 1000, tenth = ms % 1000 / 100;
	char servers[LIMIT_NAME_SERVERS * ADDRESS_TEXT];

	if (eyeballs && eyeballs->started) {
		explain_as(ret, TLSB_E_TIMEOUT, "no connection to %.*s port %u within %u.%u s",
			   HOST_SHOWN, host, port, s, tenth);
		add_failures(ret->text, host, eyeballs);
	} else if (lookup) {
		explain_as(ret, TLSB_E_TIMEOUT,
			   "no name server said within %u.%u s what %.*s is (asked: %s)", s, tenth,
			   HOST_SHOWN, host, lookup_servers(lookup, servers, sizeof(servers)));
		ret->looking_up = true;
	} else {
		explain_as(
			ret, TLSB_E_TIMEOUT,
			"%.*s port %u was not dialled within %u.%u s: %u others of this user are "
			"being dialled",
			HOST_SHOWN, host, port, s, tenth, LIMIT_DIALS_PER_BADGE);
	}
}

void explain_policy(struct explained *ret, const char *badge, const char *host, uint16_t port,
		    const char *what)
{
	explain_as(ret, TLSB_E_POLICY, "destinations: badge %s may not connect to %.*s port %u%s",
		   badge ? badge : "that has gone", HOST_SHOWN, host, port, what);
}

void explain_as(struct explained *ret, enum tlsb_error error, const char *format, ...)
{
	va_list ap;

	ret->error = error;
	ret->looking_up = false;
	va_start(ap, format);
	vsnprintf(ret->text, sizeof(ret->text), format, ap);
	va_end(ap);
}
