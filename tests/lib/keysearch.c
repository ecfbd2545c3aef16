/*
 * keysearch KEY... -- PID...: are these keys in the memory of these processes?
 *
 * NAME.psk is a pre-shared key in hexadecimal digits, which are looked for, and its bytes.  All others are
 * private keys in PEM.  Looked for are the key's DER encoding, and each of its secret numbers as it stands in files (the
 * highest byte first) and as OpenSSL calculates with it (the lowest first).  Prints one line for each
 * find, "PID KEY WHAT WHERE", and how much was searched.  Status 0: nothing was found, 1: something was.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

/* So many bytes of a number do not come together by chance; and a page's end cuts no more off. */
#define NEEDLE 24
#define NEEDLES_MAX 256
#define CHUNK (1 << 20)

struct needle {
	const char *key, *what;
	unsigned char bytes[NEEDLE];
};

static struct needle needles[NEEDLES_MAX];
static unsigned needle_count;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void add(const char *key, const char *what, const unsigned char *bytes, size_t len)
{
	struct needle *needle = &needles[needle_count];

	if (len < NEEDLE || needle_count == NEEDLES_MAX) {
		fprintf(stderr, "%s: %s: cannot be looked for\n", key, what);
		exit(2);
	}
	*needle = (struct needle){ .key = key, .what = what };
	memcpy(needle->bytes, bytes, NEEDLE);
	needle_count++;
}

/* Both ways round: what is searched for is the end with the lowest bytes. */
static void add_number(const char *key, const char *what, const unsigned char *high_first, size_t len)
{
	unsigned char low_first[NEEDLE];

	if (len < NEEDLE)
		add(key, what, high_first, len); /* says so */
	for (size_t i = 0; i < NEEDLE; i++)
		low_first[i] = high_first[len - 1 - i];
	add(key, what, high_first + len - NEEDLE, NEEDLE);
	add(key, what, low_first, NEEDLE);
}

static void add_bignum(const char *key, const EVP_PKEY *pkey, const char *param)
{
	unsigned char bytes[2048];
	BIGNUM *number = NULL;

	if (!EVP_PKEY_get_bn_param(pkey, param, &number))
		return;
	add_number(key, param, bytes, (size_t)BN_bn2bin(number, bytes));
	BN_clear_free(number);
}

/* Of both the beginning: in digits it is as long as a needle. */
static void add_psk(const char *path)
{
	char digits[2 * NEEDLE + 1] = "";
	unsigned char bytes[NEEDLE];
	FILE *file = fopen(path, "r");

	if (!file || fread(digits, 1, sizeof(digits) - 1, file) != sizeof(digits) - 1)
		die(path);
	fclose(file);
	for (size_t i = 0; i < NEEDLE; i++) {
		if (sscanf(&digits[2 * i], "%2hhx", &bytes[i]) != 1)
			die(path);
	}
	add(path, "bytes", bytes, NEEDLE);
	add(path, "digits", (const unsigned char *)digits, NEEDLE);
}

static void add_key(const char *path)
{
	static const char *const numbers[] = {
		OSSL_PKEY_PARAM_RSA_D,	       OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
	};
	FILE *file = fopen(path, "r");
	EVP_PKEY *pkey = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
	unsigned char *der = NULL, seed[64];
	size_t seed_len = sizeof(seed);
	int len;

	if (!pkey)
		die(path);
	fclose(file);
	/* Behind the header, which says of what kind and how long it is: others have that, too. */
	len = i2d_PrivateKey(pkey, &der);
	if (len < 96)
		add(path, "DER", der + len - NEEDLE, NEEDLE);
	else
		add(path, "DER", der + len / 2, NEEDLE);
	if (EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_is_a(pkey, "RSA-PSS")) {
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
			add_bignum(path, pkey, numbers[i]);
	} else if (EVP_PKEY_is_a(pkey, "EC")) {
		needle_count--; /* an EC key's DER ends with its public half, and begins with what follows */
		add_bignum(path, pkey, OSSL_PKEY_PARAM_PRIV_KEY);
	} else if (EVP_PKEY_get_raw_private_key(pkey, seed, &seed_len)) {
		add_number(path, "seed", seed, seed_len);
	}
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
}

static unsigned search(const char *pid, const char *where, const unsigned char *bytes, size_t len)
{
	unsigned found = 0;

	for (unsigned i = 0; i < needle_count; i++) {
		if (!memmem(bytes, len, needles[i].bytes, NEEDLE))
			continue;
		printf("%s %s %s %s\n", pid, needles[i].key, needles[i].what, where);
		found++;
	}
	return found;
}

/* One mapping; a find across the border of two chunks is found, too. */
static unsigned search_range(const char *pid, const char *where, int memory, off_t at, off_t end,
			     size_t *searched)
{
	static unsigned char chunk[CHUNK];
	unsigned found = 0;

	while (at < end) {
		ssize_t n = pread(memory, chunk, (size_t)MIN((off_t)sizeof(chunk), end - at), at);

		if (n <= 0)
			break; /* a guard page, or the kernel's own */
		found += search(pid, where, chunk, (size_t)n);
		*searched += (size_t)n;
		if (at + n >= end)
			break;
		at += n > NEEDLE ? n - NEEDLE : n;
	}
	return found;
}

static unsigned search_process(const char *pid, size_t *searched)
{
	char path[64], line[512];
	unsigned found = 0;
	FILE *maps;
	int memory;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	if (!maps || memory < 0)
		die(path);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long begin, end;
		char where[256] = "anonymous";

		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255s", &begin, &end, where) >= 2 &&
		    strcmp(where, "[vsyscall]") != 0)
			found += search_range(pid, where, memory, (off_t)begin, (off_t)end, searched);
	}
	close(memory);
	fclose(maps);
	return found;
}

int main(int argc, char **argv)
{
	unsigned found = 0, processes = 0;
	size_t searched = 0;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *dot = strrchr(argv[i], '.');

		if (dot && strcmp(dot, ".psk") == 0)
			add_psk(argv[i]);
		else
			add_key(argv[i]);
	}
	for (i++; i < argc; i++, processes++)
		found += search_process(argv[i], &searched);
	printf("%u processes, %zu KiB searched for %u numbers\n", processes, searched / 1024,
	       needle_count);
	if (processes == 0 || needle_count == 0 || searched == 0)
		return 2;
	return found > 0;
}
