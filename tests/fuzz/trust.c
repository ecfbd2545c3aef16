/*
 * The trust bundle: PEM from a file, an index of it, certificates looked up in the index.  First byte:
 * what the rest is.
 *
 *   TEXT     a bundle as a person edits it
 *   DER      certificates (each behind its length, two bytes), which are made into a bundle
 *   INDEX    an index as a worker gets it; a supervisor that was taken over could send any
 */
#include "tests/fuzz/stage.h"
#include "tests/fuzz/openssl.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "trust/index.h"
#include "trust/lookup.h"

enum kind { TEXT, DER, INDEX, KINDS };

/* One lookup costs as much as all before it; so many show all there is. */
#define MOST_LOOKUPS 4
#define MOST_DER     4096

static X509_STORE_CTX *ctx;

static void look_up(X509_STORE *store, const struct trust_index *index, X509 *wanted)
{
	const X509_NAME *name = X509_get_subject_name(wanted);
	X509_OBJECT *found;
	uint32_t hash;
	int ok = 0;

	hash = (uint32_t)X509_NAME_hash_ex(name, NULL, NULL, &ok);
	if (!ok)
		return;
	must(trust_index_find(index, hash) <= index->count);
	must(X509_STORE_CTX_init(ctx, store, NULL, NULL) == 1);
	found = X509_STORE_CTX_get_obj_by_subject(ctx, X509_LU_X509, name);
	if (found)
		must(X509_NAME_cmp(X509_get_subject_name(X509_OBJECT_get0_X509(found)), name) == 0);
	X509_OBJECT_free(found);
	X509_STORE_CTX_cleanup(ctx);
}

/* Every entry lies inside, in order; those that parse are found under their name. */
static void use(const struct trust_index *index)
{
	X509_STORE *store;
	uint32_t hash, last = 0;
	unsigned looked = 0;

	must(trust_store_new(index, &store) == 0);
	for (uint32_t i = 0; i < index->count; i++) {
		const uint8_t *der;
		size_t len;
		X509 *x509;

		must(trust_index_get(index, i, &hash, &der, &len) == 0);
		must(der > index->bytes && der + len <= index->bytes + index->len && hash >= last);
		last = hash;
		must(trust_index_find(index, hash) <= i);
		if (looked++ >= MOST_LOOKUPS)
			continue;
		x509 = d2i_X509_AUX(NULL, &der, (long)len);
		if (x509)
			look_up(store, index, x509);
		X509_free(x509);
	}
	must(trust_index_get(index, index->count, &hash, &(const uint8_t *){ NULL },
			     &(size_t){ 0 }) < 0);
	X509_STORE_free(store);
}

static int open_and_use(int fd)
{
	struct trust_index index;
	int r = trust_index_open(&index, fd);

	close(fd);
	if (r < 0)
		return r;
	use(&index);
	trust_index_close(&index);
	return 0;
}

static void bundle(const char *pem, size_t len)
{
	unsigned count = 0, bad = 0;
	int fd;

	if (trust_index_build(pem, len, &fd, &count, &bad) < 0)
		return;
	must(count > 0);
	must(open_and_use(fd) == 0); /* what we make, we take */
}

/* One PEM block more behind TEXT; returns its new length. */
static size_t add_block(char *text, size_t at, const uint8_t *der, size_t len)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
	static const char end[] = "-----END CERTIFICATE-----\n";

	memcpy(text + at, begin, sizeof(begin) - 1);
	at += sizeof(begin) - 1;
	while (len > 0) {
		size_t n = MIN(len, (size_t)48);

		at += (size_t)EVP_EncodeBlock((unsigned char *)text + at, der, (int)n);
		text[at++] = '\n';
		der += n;
		len -= n;
	}
	memcpy(text + at, end, sizeof(end) - 1);
	return at + sizeof(end) - 1;
}

static void certificates(struct input *input)
{
	char text[2 * MOST_DER];
	size_t at = 0, len;

	while (input->left > 0) {
		const uint8_t *der = take(input, take_u16(input), &len);

		if (at + 2 * len + 128 > sizeof(text))
			break;
		at = add_block(text, at, der, len);
	}
	bundle(text, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	enum kind kind = (enum kind)(take_u8(&input) % KINDS);

	if (!ctx) {
		use_plain_memory();
		must((ctx = X509_STORE_CTX_new()));
	}
	if (kind == TEXT)
		bundle((const char *)input.at, input.left);
	else if (kind == DER)
		certificates(&input);
	else
		open_and_use(stage_file(input.at, input.left));
	ERR_clear_error();
	must(stage_fds() == 0);
	return 0;
}
