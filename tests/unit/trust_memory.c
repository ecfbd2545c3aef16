/*
 * Memory of private keys: nothing of a key is left when it is gone, and while it is there its numbers lie
 * in the memory that is for them alone.  And large blocks that come and go.  Each in a process of its own, since what OpenSSL allocates with is
 * chosen before its first allocation.
 */
#include "testing.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "keyholder/sign.h"
#include "keys/keyfile.h"
#include "trust/memory.h"
#include "wire/limits.h"

#define MASK 0x55 /* what is looked for must not lie in memory itself */
#define PIECE 24

/* Parts of a key as they would lie in memory, masked. */
struct secrets {
	uint8_t number[PIECE];	 /* of the private number, its most significant byte first */
	uint8_t reversed[PIECE]; /* as bignums have it */
	uint8_t text[PIECE];	 /* of the file */
};

/* In there assertions cannot be cmocka's; 1 is a failure at this line. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int elsewhere(int (*function)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(TESTING_SECONDS);
		_exit(function(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- making a key, in a process that is gone then ---- */

struct made {
	int file;
	struct secrets *secrets; /* shared */
};

static void mask(uint8_t *dst, const uint8_t *src)
{
	for (size_t i = 0; i < PIECE; i++)
		dst[i] = src[i] ^ MASK;
}

static int make_key(void *arg)
{
	const struct made *made = arg;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t number[32], reversed[32];
	BIGNUM *private = NULL;
	char *data;
	BIO *bio = BIO_new(BIO_s_mem());
	long len;

	MUST(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &private));
	MUST(BN_bn2binpad(private, number, sizeof(number)) == sizeof(number));
	MUST(BN_bn2lebinpad(private, reversed, sizeof(reversed)) == sizeof(reversed));
	MUST(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	len = BIO_get_mem_data(bio, &data);
	MUST(write(made->file, data, (size_t)len) == len);
	mask(made->secrets->number, number + 4);
	mask(made->secrets->reversed, reversed + 4);
	/* In the middle of the first line, in which the number begins. */
	mask(made->secrets->text, (const uint8_t *)strchr(data, '\n') + 1 + 40);
	return 0;
}

static struct made make(void)
{
	struct made made = { memfd_create("key", MFD_CLOEXEC), NULL };

	made.secrets = mmap(NULL, sizeof(*made.secrets), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(made.file >= 0 && made.secrets != MAP_FAILED);
	assert_int_equal(elsewhere(make_key, &made), 0);
	return made;
}

static void made_deinit(struct made *made)
{
	close(made->file);
	munmap(made->secrets, sizeof(*made->secrets));
}

/* ---- looking for it ---- */

static bool lies_at(const volatile uint8_t *at, const uint8_t *masked)
{
	for (size_t i = 0; i < PIECE; i++) {
		if ((at[i] ^ MASK) != masked[i])
			return false;
	}
	return true;
}

struct found {
	unsigned secure, elsewhere;
};

static void look(uintptr_t from, uintptr_t to, const struct secrets *secrets, struct found *found)
{
	for (uintptr_t at = from; at + PIECE <= to; at++) {
		const uint8_t *here = (const uint8_t *)at;

		if (!lies_at(here, secrets->number) && !lies_at(here, secrets->reversed) &&
		    !lies_at(here, secrets->text))
			continue;
		if (CRYPTO_secure_allocated(here))
			found->secure++;
		else
			found->elsewhere++;
	}
}

/* In all memory that this process can write, its stack as well. */
static struct found look_everywhere(const struct secrets *secrets)
{
	struct found found = { 0, 0 };
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t from[512], to[512];
	unsigned count = 0;
	char line[512], rights[8];

	while (maps && fgets(line, sizeof(line), maps) && count < ARRAY_SIZE(from)) {
		if (sscanf(line, "%zx-%zx %7s", &from[count], &to[count], rights) == 3 &&
		    rights[0] == 'r' && rights[1] == 'w')
			count++;
	}
	if (maps)
		fclose(maps);
	for (unsigned i = 0; i < count; i++)
		look(from[i], to[i], secrets, &found);
	return found;
}

/* ---- tests ---- */

static int read_sign_and_forget(void *arg)
{
	const struct made *made = arg;
	struct signature signature;
	const char *why = NULL;
	EVP_PKEY *key = NULL;
	struct found found;

	MUST(memory_watch() == 0);
	MUST(keyfile_prepare(LIMIT_KEY_MEMORY) >= 0);
	MUST(keyfile_read(made->file, &key, &why) == 0);
	found = look_everywhere(made->secrets);
	MUST(found.secure > 0);
	MUST(found.elsewhere == 0);
	for (int i = 0; i < 20; i++)
		MUST(sign(key, scheme_of_code(0x0403), (const uint8_t *)"x", 1, &signature) == 0);
	found = look_everywhere(made->secrets);
	MUST(found.elsewhere == 0);
	EVP_PKEY_free(key);
	found = look_everywhere(made->secrets);
	MUST(found.secure == 0 && found.elsewhere == 0);
	return 0;
}

/* The search finds something at all: without the wiping, the file's text stays. */
static int search_finds(void *arg)
{
	const struct made *made = arg;
	char *text = malloc(1024);
	ssize_t n = pread(made->file, text, 1024, 0);
	struct found found = look_everywhere(made->secrets);

	MUST(n > 0);
	MUST(found.elsewhere > 0);
	free(text);
	return 0;
}

static void nothing_of_a_key_is_left(void **state unused_)
{
	struct made made;

#if defined(__SANITIZE_ADDRESS__)
	skip(); /* it keeps what was freed, and its own memory is not to be looked at */
#endif
	made = make();
	assert_int_equal(elsewhere(search_finds, &made), 0);
	assert_int_equal(elsewhere(read_sign_and_forget, &made), 0);
	made_deinit(&made);
}

/* What OpenSSL frees or moves is overwritten first: seen through the kernel, which asks no sanitizer. */
static int is_wiped(const void *at, size_t len)
{
	static uint8_t bytes[4096];
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, bytes, len, (off_t)(uintptr_t)at);

	close(fd);
	/* The allocator writes into the beginning of what is free. */
	for (ssize_t i = 64; i < n; i++) {
		if (bytes[i] == 0xa7)
			return 0;
	}
	return n == (ssize_t)len;
}

static int free_and_move(void *arg unused_)
{
	uint8_t *kept[8], *one, *moved;

	MUST(memory_watch() == 0);
	memory_wipe();
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		kept[i] = OPENSSL_malloc(1000);
		memset(kept[i], 0xa7, 1000);
	}
	one = kept[3];
	OPENSSL_free(one);
	MUST(is_wiped(one, 1000));
	one = kept[5];
	moved = OPENSSL_realloc(one, 3000);
	MUST(moved && moved != one && moved[999] == 0xa7);
	MUST(is_wiped(one, 1000));
	/* Shorter: what was behind it is gone, too. */
	one = kept[6];
	moved = OPENSSL_realloc(one, 100);
	MUST(moved && moved[99] == 0xa7);
	MUST(moved == one || is_wiped(one, 1000));
	MUST(!OPENSSL_realloc(kept[7], 0));
	MUST(is_wiped(kept[7], 1000));
	return 0;
}

static void what_is_freed_is_overwritten(void **state unused_)
{
	assert_int_equal(elsewhere(free_and_move, NULL), 0);
}

/* ---- large blocks ---- */

static int keep_large(void *arg unused_)
{
	void *block, *blocks[6];
	struct mallinfo2 before;

	MUST(memory_watch() == 0);
	memory_keep();
	block = OPENSSL_malloc(66560);
	OPENSSL_free(block);
	/* It is for who asks for as much, or little less; what is small or larger has its own. */
	blocks[0] = OPENSSL_malloc(100);
	blocks[1] = OPENSSL_malloc(20000);
	blocks[2] = OPENSSL_malloc(67000);
	MUST(blocks[0] != block && blocks[1] != block && blocks[2] != block);
	blocks[3] = OPENSSL_realloc(NULL, 66000);
	MUST(blocks[3] == block);
	for (int i = 0; i < 4; i++)
		OPENSSL_free(blocks[i]);
	/* Not more than a few. */
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = OPENSSL_malloc(30000);
	before = mallinfo2();
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		OPENSSL_free(blocks[i]);
	MUST(before.uordblks - mallinfo2().uordblks >= 4 * 30000);
	return 0;
}

static void large_blocks_are_kept_for_the_next(void **state unused_)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their malloc() does not count as mallinfo2() does */
#endif
	assert_int_equal(elsewhere(keep_large, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_freed_is_overwritten),
		TEST(nothing_of_a_key_is_left),
		TEST(large_blocks_are_kept_for_the_next),
	};

	return testing_run(tests);
}
