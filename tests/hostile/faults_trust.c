/*
 * The trust index is built and opened while each allocation and each system call fails in turn: it is
 * the whole one or none, never one with fewer roots.
 */
#include "faults.h"

#include "base/fd.h"
#include "tests/attacks.h"
#include "tests/unit/testing_x509.h"
#include "trust/index.h"
#include "trust/lookup.h"

#define ROOTS 3

struct bench {
	struct testing_identity roots[ROOTS];
	struct testing_text pem;
	unsigned long whole, none;
};

static void bench_init(struct bench *bench)
{
	static const char *const names[ROOTS] = { "one", "two", "three" };

	*bench = (struct bench){ 0 };
	for (int i = 0; i < ROOTS; i++) {
		bench->roots[i] = testing_identity_new(names[i], NULL, 1);
		testing_append_pem(&bench->pem, bench->roots[i].x509);
	}
}

static void bench_deinit(struct bench *bench)
{
	for (int i = 0; i < ROOTS; i++)
		testing_identity_free(&bench->roots[i]);
	free(bench->pem.data);
}

static int build(const struct bench *bench, int *ret_fd)
{
	unsigned count = 0, bad = 0;
	int r;

	faults_arm();
	r = trust_index_build(bench->pem.data, bench->pem.len, ret_fd, &count, &bad);
	faults_disarm();
	if (r == 0) {
		assert_int_equal(count, ROOTS);
		assert_int_equal(bad, 0);
	}
	return r;
}

static int open_store(int fd, struct trust_index *index, X509_STORE **ret_store)
{
	int r;

	faults_arm();
	r = trust_index_open(index, fd);
	if (r == 0)
		r = trust_store_new(index, ret_store);
	faults_disarm();
	return r;
}

/* Verify each root, as a server's certificate of its own; true if all are trusted. */
static bool verify_all(const struct bench *bench, X509_STORE *store, bool armed)
{
	int good = 0;

	for (int i = 0; i < ROOTS; i++) {
		X509 *x509 = X509_dup(bench->roots[i].x509); /* nothing is remembered in it */
		X509_STORE_CTX *ctx = X509_STORE_CTX_new();

		assert_int_equal(X509_STORE_CTX_init(ctx, store, x509, NULL), 1);
		if (armed)
			faults_arm();
		good += X509_verify_cert(ctx) == 1;
		faults_disarm();
		X509_STORE_CTX_free(ctx);
		X509_free(x509);
	}
	return good == ROOTS;
}

static void run(void *arg)
{
	struct bench *bench = arg;
	struct trust_index index = { 0 };
	X509_STORE *store = NULL;
	int fd = -1, fds = testing_count_fds();

	if (build(bench, &fd) < 0) {
		bench->none++;
	} else if (open_store(fd, &index, &store) == 0) {
		(void)verify_all(bench, store, true);
		assert_true(verify_all(bench, store, false));
		bench->whole++;
	}
	X509_STORE_free(store);
	trust_index_close(&index);
	fd_close(fd);
	ERR_clear_error();
	assert_int_equal(testing_count_fds(), fds);
}

static void sweep(enum faults_kind kind, bool lasting)
{
	struct bench bench;
	unsigned long tried;

	bench_init(&bench);
	tried = faults_sweep(kind, lasting, attacks_full() ? 1 : kind == FAULTS_MEMORY ? 29 : 1, run, &bench);
	printf("# %lu faults: %lu times none, %lu times the whole\n", tried, bench.none, bench.whole);
	attacks_count("faults", tried, tried);
	bench_deinit(&bench);
}

static void case_44_the_trust_index_is_whole_or_none_when_an_allocation_fails(void **state unused_)
{
	sweep(FAULTS_MEMORY, false);
	sweep(FAULTS_MEMORY, true);
}

static void case_45_the_trust_index_is_whole_or_none_when_a_system_call_fails(void **state unused_)
{
	sweep(FAULTS_SYSCALL, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_44_the_trust_index_is_whole_or_none_when_an_allocation_fails),
		TEST(case_45_the_trust_index_is_whole_or_none_when_a_system_call_fails),
	};

	faults_init();
	return testing_run(tests);
}
