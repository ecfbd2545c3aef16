#include "worker/bounds.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "conf/settings.h"
#include "tlsbroker.h"

/* The next name of a list with colons; *AT is moved behind it.  0 bytes: there is none. */
static size_t next_name(const char **at, const char **ret_name)
{
	size_t len;

	*at += strspn(*at, ":");
	*ret_name = *at;
	len = strcspn(*at, ":");
	*at += len;
	return len;
}

static const struct cipher_info *find_cipher(const char *name, size_t len)
{
	for (unsigned i = 0; i < CONF_CIPHER_COUNT; i++) {
		if (strlen(cipher_info[i].name) == len && memcmp(cipher_info[i].name, name, len) == 0)
			return &cipher_info[i];
	}
	return NULL;
}

static void append(char dst[LIMIT_CIPHERS + 1], const char *name, size_t len)
{
	size_t at = strlen(dst);

	if (at + (at > 0) + len > LIMIT_CIPHERS)
		return; /* not with what is in ciphers.def */
	if (at > 0)
		dst[at++] = ':';
	memcpy(dst + at, name, len);
	dst[at + len] = '\0';
}

void bounds_init(struct bounds *bounds)
{
	*bounds = (struct bounds){ .version_min = TLSB_TLS_1_2, .version_max = TLSB_TLS_1_3,
				   .may_bring_ca = true, .may_bring_cert = true,
				   .may_bring_psk = true };
	for (unsigned i = 0; i < CONF_CIPHER_COUNT; i++) {
		if (cipher_info[i].secrecy == FORWARD)
			append(bounds->ciphers, cipher_info[i].name, strlen(cipher_info[i].name));
	}
}

/* The list has names that there are, and one that the floor lets through. */
static int check_ciphers(struct bounds *bounds)
{
	const char *at = bounds->ciphers, *name;
	size_t len;

	bounds->version_max = 0;
	while ((len = next_name(&at, &name)) > 0) {
		const struct cipher_info *info = find_cipher(name, len);

		if (!info)
			return -EBADMSG;
		bounds->version_max = MAX(bounds->version_max, info->version);
	}
	return bounds->version_max < bounds->version_min ? -EBADMSG : 0;
}

int bounds_parse(struct bounds *ret, const struct msg *msg)
{
	const struct msg_policy *policy = msg->body;
	struct bounds bounds = {
		.version_min = policy->version_min,
		.may_skip_verify = (policy->flags & POLICY_MAY_SKIP_VERIFY) != 0,
		.may_bring_ca = (policy->flags & POLICY_MAY_BRING_CA) != 0,
		.may_bring_psk = (policy->flags & POLICY_MAY_BRING_PSK) != 0,
		.may_bring_cert = (policy->flags & POLICY_MAY_BRING_CERT) != 0,
		.has_crls = (policy->flags & POLICY_HAS_CRLS) != 0,
		.needs_staple = (policy->flags & POLICY_NEEDS_STAPLE) != 0,
	};
	const uint32_t pins_len = (uint32_t)(policy->pin_count * sizeof(struct pin));
	uint32_t at = 0;

	if ((policy->version_min != TLSB_TLS_1_2 && policy->version_min != TLSB_TLS_1_3) ||
	    pins_len > msg->tail_len ||
	    (policy->flags & ~(unsigned)POLICY_KNOWN_FLAGS) != 0 ||
	    msg_tail_string(msg, &at, msg->tail_len - pins_len, bounds.ciphers,
			    sizeof(bounds.ciphers)) < 0 ||
	    pins_read(&bounds.pins, msg, &at, policy->pin_count) < 0 ||
	    check_ciphers(&bounds) < 0)
		return -EBADMSG;
	*ret = bounds;
	return 0;
}

int bounds_cipher(const struct bounds *bounds, const char *name, size_t len)
{
	const char *at = bounds->ciphers, *allowed;
	size_t allowed_len;

	while ((allowed_len = next_name(&at, &allowed)) > 0) {
		if (allowed_len == len && memcmp(allowed, name, len) == 0)
			return 0;
	}
	return find_cipher(name, len) ? -EACCES : -EINVAL;
}

void bounds_ciphers_of(const struct bounds *bounds, uint16_t version,
		       char dst[LIMIT_CIPHERS + 1])
{
	bounds_ciphers_in(bounds->ciphers, version, BOUNDS_ANY, dst);
}

static bool is_one(const struct cipher_info *info, enum bounds_which which)
{
	return which == BOUNDS_ANY || (info->peer != BY_CERTIFICATE) == (which == BOUNDS_WITH_PSK);
}

void bounds_ciphers_in(const char *list, uint16_t version, enum bounds_which which,
		       char dst[LIMIT_CIPHERS + 1])
{
	const char *name;
	size_t len;

	dst[0] = '\0';
	while ((len = next_name(&list, &name)) > 0) {
		const struct cipher_info *info = find_cipher(name, len);

		if (info && info->version == version && is_one(info, which))
			append(dst, name, len);
	}
}

const char *bounds_against_psk(const struct bounds *bounds)
{
	if (bounds->pins.count > 0)
		return "pins: the server's certificate is demanded, and with a pre-shared key there is none";
	if (bounds->has_crls)
		return "crl: the server's certificate is demanded, and with a pre-shared key there is none";
	if (bounds->needs_staple)
		return "require-ocsp-staple: it is about the server's certificate, and with a pre-shared key there is none";
	return NULL;
}
