#include "worker/pins.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

int pins_read(struct pins *pins, const struct msg *msg, uint32_t *at, unsigned count)
{
	const size_t len = count * sizeof(pins->list[0]);

	if (count > LIMIT_PINS || *at > msg->tail_len || len > msg->tail_len - *at)
		return -EBADMSG;
	pins->count = count;
	if (len > 0)
		memcpy(pins->list, msg->tail + *at, len);
	*at += (uint32_t)len;
	return 0;
}

static bool pin_of(X509 *cert, struct pin *ret_pin)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, ret_pin->bytes, NULL, EVP_sha256(), NULL);

	OPENSSL_free(der);
	return ok;
}

bool pins_have(const struct pins *pins, X509 *cert)
{
	struct pin pin;

	if (pins->count == 0)
		return true;
	if (!cert || !pin_of(cert, &pin))
		return false;
	for (unsigned i = 0; i < pins->count; i++) {
		if (memcmp(&pins->list[i], &pin, sizeof(pin)) == 0)
			return true;
	}
	return false;
}

bool pins_hold(const struct pins *pins, const STACK_OF(X509) *chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		if (pins_have(pins, sk_X509_value(chain, i)))
			return true;
	}
	return pins->count == 0;
}
