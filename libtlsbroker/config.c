#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/macros.h"
#include "base/text.h"
#include "libtlsbroker/internal.h"

static int invalid(int number)
{
	errno = number;
	return -1;
}

struct tlsb_config *tlsb_config_new(void)
{
	return calloc(1, sizeof(struct tlsb_config));
}

void tlsb_config_free(struct tlsb_config *config)
{
	int saved = errno;

	if (config) {
		config_forget_files(config);
		explicit_bzero(config->psk_key, sizeof(config->psk_key));
		free(config);
	}
	errno = saved;
}

void config_free_secret(char *data, size_t len)
{
	if (data)
		explicit_bzero(data, len);
	free(data);
}

void config_forget_files(struct tlsb_config *config)
{
	free(config->ca);
	free(config->cert);
	config_free_secret(config->key, config->key_len);
	config->ca = config->cert = config->key = NULL;
}

/* NULL stays NULL.  False: no memory. */
static bool copy_of(char **ret, const char *data, size_t len)
{
	*ret = data ? malloc(len) : NULL;
	if (*ret)
		memcpy(*ret, data, len);
	return *ret || !data;
}

struct tlsb_config *config_copy(const struct tlsb_config *config)
{
	struct tlsb_config *copy = tlsb_config_new();

	if (!copy || !config)
		return copy;
	*copy = *config;
	copy->ca = copy->cert = copy->key = NULL;
	if (copy_of(&copy->ca, config->ca, config->ca_len) &&
	    copy_of(&copy->cert, config->cert, config->cert_len) &&
	    copy_of(&copy->key, config->key, config->key_len))
		return copy;
	tlsb_config_free(copy);
	errno = ENOMEM;
	return NULL;
}

static bool is_pem(const char *data, size_t len)
{
	return memmem(data, len, "-----BEGIN ", 11) != NULL;
}

/* PEM says so in its text; DER begins with an ASN.1 SEQUENCE.  The broker parses it. */
static bool looks_like_certificate(const char *data, size_t len)
{
	return is_pem(data, len) || (len > 2 && data[0] == 0x30);
}

int tlsb_config_set_ca(struct tlsb_config *config, const void *pem_or_der, size_t len)
{
	const char *data = pem_or_der;
	char *copy;

	if (len > LIMIT_CA_BYTES)
		return invalid(EFBIG);
	if (!data || len == 0 || !looks_like_certificate(data, len))
		return invalid(EINVAL);
	copy = malloc(len);
	if (!copy)
		return -1;
	memcpy(copy, data, len);
	free(config->ca);
	config->ca = copy;
	config->ca_len = len;
	return 0;
}

/* The next block of a PEM text whose label ends with KIND; NULL: there is none. */
static const char *next_block(const char *data, size_t len, const char *kind, size_t *ret_len)
{
	const char *end = data + len, *at = data, *label, *dashes, *last;
	size_t kind_len = strlen(kind);

	while ((at = memmem(at, (size_t)(end - at), "-----BEGIN ", 11))) {
		label = at + 11;
		dashes = memmem(label, (size_t)(end - label), "-----", 5);
		last = dashes ? memmem(dashes, (size_t)(end - dashes), "-----END ", 9) : NULL;
		last = last ? memmem(last + 9, (size_t)(end - last - 9), "-----", 5) : NULL;
		if (!last)
			return NULL;
		if ((size_t)(dashes - label) >= kind_len &&
		    memcmp(dashes - kind_len, kind, kind_len) == 0) {
			*ret_len = (size_t)(last + 5 - at);
			return at;
		}
		at = last + 5;
	}
	return NULL;
}

int config_pick(const char *data, size_t len, const char *kind, size_t max, char **ret,
		size_t *ret_len)
{
	const char *block = data, *end = data + len;
	bool is_text = data && is_pem(data, len);
	size_t block_len = len, used = 0;
	char *copy;

	if (!data || len == 0 || !looks_like_certificate(data, len))
		return EINVAL;
	copy = malloc(len + 1);
	if (!copy)
		return ENOMEM;
	while (!is_text || (block = next_block(block, (size_t)(end - block), kind, &block_len))) {
		memcpy(copy + used, block, block_len);
		used += block_len;
		block += block_len;
		if (!is_text)
			break;
		copy[used++] = '\n'; /* there is room: a block that is not the last ends before its line */
	}
	if (used == 0 || used > max) {
		config_free_secret(copy, used);
		return used == 0 ? EINVAL : EFBIG;
	}
	*ret = copy;
	*ret_len = used;
	return 0;
}

int tlsb_config_set_client_cert_key(struct tlsb_config *config, const void *cert, size_t cert_len,
				    const void *key, size_t key_len)
{
	struct tlsb_config fresh = { .ca = NULL };
	int error = 0;

	if (cert || key) {
		error = config_pick(cert, cert_len, "CERTIFICATE", LIMIT_OWN_CERT_BYTES, &fresh.cert,
			     &fresh.cert_len);
		if (!error)
			error = config_pick(key, key_len, "PRIVATE KEY", LIMIT_KEY_BYTES, &fresh.key,
				     &fresh.key_len);
	}
	if (error) {
		free(fresh.cert);
		return invalid(error);
	}
	free(config->cert);
	config_free_secret(config->key, config->key_len);
	config->cert = fresh.cert;
	config->cert_len = fresh.cert_len;
	config->key = fresh.key;
	config->key_len = fresh.key_len;
	if (cert)
		config->identity[0] = '\0';
	return 0;
}

/* A file of anonymous memory counts as one, and a program that may write none would be killed for it. */
int config_key_file(const char *key, size_t len, int *ret_fd)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur < len)
		return -EFBIG;
	return fd_sealed_copy("tlsbroker-key", key, len, ret_fd);
}

int config_is_host(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";
	unsigned char bytes[16];
	char literal[LIMIT_HOST + 1], *scope;
	size_t len = strnlen(s, LIMIT_HOST + 1);

	if (len == 0 || len > LIMIT_HOST)
		return 0;
	if (s[strspn(s, allowed)] == '\0')
		return s[0] != '.' && s[0] != '-';
	/* What is left is IPv6, in brackets or not, with a scope or not. */
	if (s[0] == '[' && s[len - 1] == ']')
		text_copy(literal, len - 1, s + 1);
	else
		text_copy(literal, sizeof(literal), s);
	scope = strchr(literal, '%');
	if (scope) {
		*scope++ = '\0';
		if (*scope == '\0' || scope[strspn(scope, allowed)] != '\0')
			return 0;
	}
	return inet_pton(AF_INET6, literal, bytes) == 1;
}

int tlsb_config_set_server_name(struct tlsb_config *config, const char *name)
{
	if (name && !config_is_host(name))
		return invalid(EINVAL);
	text_copy(config->name, sizeof(config->name), name ? name : "");
	return 0;
}

int tlsb_config_set_alpn(struct tlsb_config *config, const char *comma_separated)
{
	const char *list = comma_separated ? comma_separated : "";
	size_t len = strlen(list);

	/* Between two commas, and at both ends, there must be something. */
	if (len > LIMIT_ALPN || list[0] == ',' || (len > 0 && list[len - 1] == ',') ||
	    strstr(list, ",,"))
		return invalid(EINVAL);
	text_copy(config->alpn, sizeof(config->alpn), list);
	return 0;
}

static int is_version(int version)
{
	return version == 0 || version == TLSB_TLS_1_2 || version == TLSB_TLS_1_3;
}

int tlsb_config_set_versions(struct tlsb_config *config, int min, int max)
{
	/* SSL 3.0, TLS 1.0 and 1.1 exist, and are below every broker's floor. */
	if ((min >= 0x0300 && min < TLSB_TLS_1_2) || (max >= 0x0300 && max < TLSB_TLS_1_2))
		return invalid(EACCES);
	if (!is_version(min) || !is_version(max) || (min && max && min > max))
		return invalid(EINVAL);
	config->version_min = (uint16_t)min;
	config->version_max = (uint16_t)max;
	return 0;
}

int tlsb_config_set_ciphers(struct tlsb_config *config, const char *list)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_:";
	size_t len = list ? strlen(list) : 0;

	if (list && (len == 0 || len > LIMIT_CIPHERS || list[strspn(list, allowed)] != '\0' ||
		     list[0] == ':' || list[len - 1] == ':' || strstr(list, "::")))
		return invalid(EINVAL);
	text_copy(config->ciphers, sizeof(config->ciphers), list ? list : "");
	return 0;
}

/* What sections of the configuration may be called. */
static int is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len <= LIMIT_BADGE && name[strspn(name, allowed)] == '\0';
}

int tlsb_config_set_identity(struct tlsb_config *config, const char *name)
{
	if (name && !is_name(name))
		return invalid(EINVAL);
	text_copy(config->identity, sizeof(config->identity), name ? name : "");
	return name ? tlsb_config_set_client_cert_key(config, NULL, 0, NULL, 0) : 0;
}

static int is_psk_identity(const char *identity)
{
	size_t len = strlen(identity);

	for (const char *at = identity; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return 0;
	}
	return len > 0 && len <= LIMIT_PSK_IDENTITY;
}

int tlsb_config_set_psk(struct tlsb_config *config, const char *identity, const void *key, size_t len)
{
	if (key ? len < LIMIT_PSK_LEAST || len > LIMIT_PSK_BYTES : len > 0)
		return invalid(EINVAL);
	if (identity ? !(key ? is_psk_identity(identity) : is_name(identity)) : key != NULL)
		return invalid(EINVAL);
	text_copy(config->psk, sizeof(config->psk), identity ? identity : "");
	explicit_bzero(config->psk_key, sizeof(config->psk_key));
	if (key)
		memcpy(config->psk_key, key, len);
	config->psk_len = (uint16_t)len;
	return 0;
}

int tlsb_config_add_pin(struct tlsb_config *config, const char *sha256_base64)
{
	struct pin pin;

	if (!sha256_base64 || pin_parse(sha256_base64, &pin) < 0)
		return invalid(EINVAL);
	if (config->pin_count == LIMIT_PINS)
		return invalid(EFBIG);
	config->pins[config->pin_count++] = pin;
	return 0;
}

int tlsb_config_set_family(struct tlsb_config *config, int family)
{
	if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
		return invalid(EINVAL);
	config->family = (uint16_t)family;
	return 0;
}

int tlsb_config_set_resumption(struct tlsb_config *config, int on)
{
	config->flags &= (uint16_t)~CONNECT_NO_RESUMPTION;
	if (!on)
		config->flags |= CONNECT_NO_RESUMPTION;
	return 0;
}

int tlsb_config_insecure_no_verify(struct tlsb_config *config)
{
	config->flags |= CONNECT_NO_VERIFY;
	return 0;
}
