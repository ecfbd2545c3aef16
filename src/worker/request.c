#include "worker/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/macros.h"
#include "tlsbroker.h"
#include "worker/identity.h"

/*
 * A name or an address, which is what stands in the first *ret_len bytes: an IPv6 address may have a
 * zone behind it ("fe80::1%eth0"), which is for the connector alone.  Of a name only the characters
 * are looked at; the connector is stricter.
 */
static bool is_host(const char *s, size_t *ret_len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				      ".-_";
	char plain[LIMIT_HOST + 1];
	unsigned char bytes[16];
	size_t len = strcspn(s, "%");
	const char *zone = s + len;

	memcpy(plain, s, len);
	plain[len] = '\0';
	*ret_len = len;
	if (strchr(plain, ':'))
		return inet_pton(AF_INET6, plain, bytes) == 1 &&
		       (*zone == '\0' || (zone[1] && !zone[1 + strspn(zone + 1, allowed)]));
	return *zone == '\0' && strpbrk(plain, letters) && !plain[strspn(plain, allowed)];
}

static bool is_address(const char *s)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, s, bytes) == 1 || inet_pton(AF_INET6, s, bytes) == 1;
}

/* "[::1]" without its brackets. */
static void strip_brackets(char *host)
{
	size_t len = strlen(host);

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		memmove(host, host + 1, len - 2);
		host[len - 2] = '\0';
	}
}

/* What is verified is a name without the root's dot, or an address without its zone. */
static int check_names(struct request *request, const char **ret_text)
{
	size_t host_len, len;

	if (request->name[0] == '\0')
		memcpy(request->name, request->host, sizeof(request->name));
	strip_brackets(request->host);
	strip_brackets(request->name);
	if (!is_host(request->host, &host_len) || !is_host(request->name, &len)) {
		*ret_text = "that is neither a host name nor an IP address";
		return -EINVAL;
	}
	request->name[len - (request->name[len - 1] == '.')] = '\0';
	request->is_address = is_address(request->name);
	return 0;
}

/* Each text begins with the name of the setting that says so. */
static int check_bounds(const struct request *request, const struct bounds *bounds,
			const char **ret_text)
{
	uint16_t min = request->version_min, max = request->version_max;

	if (!request->verify && !bounds->may_skip_verify) {
		*ret_text = "allow-insecure: the server's certificate has to be verified";
		return -EACCES;
	}
	if (request->ca_len > 0 && !bounds->may_bring_ca) {
		*ret_text = "own-ca: a program may bring no CA certificates of its own";
		return -EACCES;
	}
	if (request->cert_len > 0 && !bounds->may_bring_cert) {
		*ret_text = "own-certificate: a program may bring no certificate of its own";
		return -EACCES;
	}
	if ((min && min < bounds->version_min) || (max && max < bounds->version_min)) {
		*ret_text = bounds->version_min == TLSB_TLS_1_2
				    ? "min-version: the floor is TLS 1.2; a program may ask for no less"
				    : "min-version: the floor is TLS 1.3; a program may ask for no less";
		return -EACCES;
	}
	if (min > bounds->version_max && min <= TLSB_TLS_1_3) {
		*ret_text = "ciphers: there is none for TLS 1.3";
		return -EACCES;
	}
	return 0;
}

static int check_versions(const struct request *request, const char **ret_text)
{
	uint16_t min = request->version_min, max = request->version_max;

	if (min > TLSB_TLS_1_3 || max > TLSB_TLS_1_3 || (min && max && min > max)) {
		*ret_text = "there is no such range of TLS versions";
		return -EINVAL;
	}
	return 0;
}

int request_parse(struct request *request, const struct msg *msg, const struct bounds *bounds,
		  const char **ret_text)
{
	const struct msg_connect *connect = msg->body;
	uint32_t at = 0;
	int r;

	if (msg_tail_string(msg, &at, connect->host_len, request->host, sizeof(request->host)) < 0 ||
	    msg_tail_string(msg, &at, connect->name_len, request->name, sizeof(request->name)) < 0 ||
	    msg_tail_string(msg, &at, connect->alpn_len, request->alpn, sizeof(request->alpn)) < 0 ||
	    msg_tail_string(msg, &at, connect->ciphers_len, request->ciphers,
			    sizeof(request->ciphers)) < 0 ||
	    msg_tail_string(msg, &at, connect->identity_len, request->identity,
			    sizeof(request->identity)) < 0 ||
	    pins_read(&request->pins, msg, &at, connect->pin_count) < 0 ||
	    at != msg->tail_len || (connect->flags & ~(unsigned)CONNECT_KNOWN_FLAGS) != 0 ||
	    connect->ca_len != request->ca_len || connect->cert_len != request->cert_len ||
	    (request->cert_len > 0) != (request->key_fd >= 0) ||
	    (request->cert_len > 0 && connect->identity_len > 0) || connect->port == 0 ||
	    (connect->family != AF_UNSPEC && connect->family != AF_INET &&
	     connect->family != AF_INET6))
		return -EBADMSG;
	request->port = connect->port;
	request->family = connect->family;
	request->version_min = connect->version_min;
	request->version_max = connect->version_max;
	request->verify = (connect->flags & CONNECT_NO_VERIFY) == 0;
	request->resume = (connect->flags & CONNECT_NO_RESUMPTION) == 0;
	request->deadline_ms = MIN(connect->deadline_ms, (uint32_t)LIMIT_CONNECT_MAX_MS);
	r = check_bounds(request, bounds, ret_text);
	if (r == 0)
		r = check_versions(request, ret_text);
	return r < 0 ? r : check_names(request, ret_text);
}

struct request *request_new(void)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request)
		request->key_fd = -1;
	return request;
}

struct request *request_free(struct request *request)
{
	if (request) {
		fd_close(request->key_fd);
		identity_free(request->own);
		free(request->cert);
		free(request->ca);
		psk_free(request->psk);
		free(request);
	}
	return NULL;
}
