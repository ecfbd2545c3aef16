/*
 * Case 32: servers whose certificates cost time.  The worker is one thread, so what one handshake
 * takes without a pause is how long every other session of that user waits.  What counts is the time
 * that the worker computes, and of some tries the quickest: other programs of this machine compute
 * as well.
 */
#include "tests/unit/worker_rig.h"

#include <time.h>

#include "tests/attacks.h"
#include "tests/sanitized.h"
#include "tests/lib/bombs.h"

#define TRIES	  20
#define PAUSE_US  50000	 /* what one handshake may take without a pause */
#define ALL_US	  250000 /* and in all */


static unsigned long tried, survived;

static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct cost {
	uint64_t pause_us; /* longest turn of the worker's loop */
	uint64_t all_us;
};

/* As rig_turn(), with a watch. */
static void turn(struct rig *rig, struct peer *peer, struct cost *cost)
{
	uint64_t before = cpu_us(), took;

	event_base_loop(rig->child.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	took = cpu_us() - before;
	cost->pause_us = MAX(cost->pause_us, took);
	cost->all_us += took;
	peer_step(peer);
	/* What OpenSSL has to say about keys that it only passes on looks like a failure. */
	if (peer->end == PEER_FAILED && !SSL_want_nothing(peer->ssl))
		peer->end = PEER_RUNS;
}

static SSL_CTX *server_of(const struct bomb_chain *chain, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_max_proto_version(ctx, version);
	assert_int_equal(SSL_CTX_use_certificate(ctx, chain->certs[0]), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, chain->key), 1);
	for (int i = 1; i < chain->count; i++)
		assert_int_equal(SSL_CTX_add1_chain_cert(ctx, chain->certs[i]), 1);
	return ctx;
}

/* The handshake's outcome is the one of BOMB's row. */
static void expect_outcome(const struct bomb *bomb, struct program_session *session)
{
	const struct control_page *page = session->channel.page;

	if (bomb->refusal ? !strstr(page->text, bomb->refusal) : page->error != TLSB_E_NONE)
		print_message("%s: %u %s\n", bomb->name, page->error, page->text);
	if (bomb->refusal) {
		assert_true(page->error >= TLSB_E_CERT || page->error == TLSB_E_TLS);
		assert_non_null(strstr(page->text, bomb->refusal));
		assert_true(session_word(&session->channel.page->state) < STATE_ESTABLISHED);
	} else {
		assert_int_equal(page->error, TLSB_E_NONE);
	}
}

static struct cost explode(struct rig *rig, const struct bomb *bomb, SSL_CTX *server)
{
	const struct wish wish = {.host = BOMBS_NAME};
	struct program_session session;
	struct program program;
	struct cost cost = {0};
	struct peer peer;
	uint64_t id;
	int pair[2];

	rig_program(rig, &program);
	id = rig_session(rig, &program, &session, &wish);
	tcp_pair(pair);
	peer_init(&peer, server, pair[1]);
	rig_dialed(rig, id, pair[0]);
	while (!session_is_over(&session) &&
	       session_word(&session.channel.page->state) != STATE_ESTABLISHED)
		turn(rig, &peer, &cost);
	expect_outcome(bomb, &session);
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	rig_turn(rig);
	return cost;
}

static bool is_within(const struct cost *cost)
{
	return SANITIZED || (cost->pause_us < PAUSE_US && cost->all_us < ALL_US);
}

static void try(struct rig *rig, const struct bomb *bomb, SSL_CTX *server)
{
	struct cost cost;

	for (int i = 0; i < TRIES; i++) {
		cost = explode(rig, bomb, server);
		if (is_within(&cost))
			break;
	}
	tried++;
	survived += is_within(&cost);
	print_message("%-16s %6lu us at once, %6lu us in all\n", bomb->name, cost.pause_us,
		      cost.all_us);
	assert_true(is_within(&cost));
}

static void case_32_costly_certificates_hold_up_nobody(void **state unused_)
{
	struct rig rig;

	rig_init(&rig);
	for (size_t i = 0; i < BOMBS_COUNT; i++) {
		struct bomb_chain chain = {.room = LIMIT_CHAIN_BYTES};
		SSL_CTX *server;

		bombs[i].make(&(struct bomb_ca){rig.root.x509, rig.root.key}, &chain);
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			server = server_of(&chain, version);
			try(&rig, &bombs[i], server);
			SSL_CTX_free(server);
		}
		bomb_chain_deinit(&chain);
	}
	rig_deinit(&rig);
}

static int count(void **state unused_)
{
	attacks_count("servers", tried, survived);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_32_costly_certificates_hold_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, count);
}
