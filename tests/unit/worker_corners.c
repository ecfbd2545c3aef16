/*
 * What is rare in a session's life: a second lock behind OpenSSL's, a socket that is full or broken
 * at an odd moment, trust that changes meanwhile.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include <openssl/dsa.h>
#include <sys/wait.h>

static const char secret[] = "nothing of this may be seen by an unverified server";

static struct session *only_session(struct rig *rig)
{
	return LIST_FIRST(&rig_worker(rig)->all_sessions);
}

/* ---- second locks ---- */

/* As if OpenSSL did not refuse what it could not verify. */
static void what_openssl_lets_through_is_refused_all_the_same(void **state unused_)
{
	static const uint32_t versions[] = { TLSB_TLS_1_2, TLSB_TLS_1_3 };
	struct testing_identity other =
		cert_new((struct cert_spec){ .name = "other", .is_ca = true }, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = { .version_max = versions[i] };
		struct program_session session;
		struct program program;
		struct peer peer;
		struct rig rig;
		uint64_t id;
		int pair[2];

		rig_init(&rig);
		rig_trust(&rig, other.x509);
		rig_program(&rig, &program);
		id = rig_session(&rig, &program, &session, &wish);
		SSL_set_verify(only_session(&rig)->ssl, SSL_VERIFY_NONE, NULL);
		session_write(&session, secret, sizeof(secret));
		tcp_pair(pair);
		peer_init(&peer, rig.server, pair[1]);
		rig.peers[0] = &peer;
		rig_dialed(&rig, id, pair[0]);
		RIG_UNTIL(&rig, session_is_over(&session));
		session_expect_end(&session, TLSB_E_CERT, "not verified");
		rig_run_for(&rig, 2);
		assert_int_equal(peer.got.len, 0);
		session_close(&session);
		rig_forget(&rig, &peer);
		close(program.fd);
		rig_deinit(&rig);
	}
	testing_identity_free(&other);
}

static int choose_http(SSL *ssl unused_, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len unused_, void *arg unused_)
{
	*out = in + 4; /* h2, http/1.1 */
	*out_len = 8;
	return SSL_TLSEXT_ERR_OK;
}

/* As if OpenSSL did not look whether the server's choice was among what it offered: once it did not. */
static void a_choice_that_openssl_lets_through_is_refused_all_the_same(void **state unused_)
{
	static const char *const wanted[] = { "h2", "h2,spdy/3.1", "http/1.1,h2" };
	const struct wish wish = { .alpn = "h2,http/1.1" };

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		bool offered = strstr(wanted[i], "http") != NULL;
		struct program_session session;
		struct program program;
		struct peer peer;
		struct rig rig;
		uint64_t id;
		int pair[2];

		rig_init(&rig);
		SSL_CTX_set_alpn_select_cb(rig.server, choose_http, NULL);
		rig_program(&rig, &program);
		id = rig_session(&rig, &program, &session, &wish);
		strcpy(only_session(&rig)->request->alpn, wanted[i]);
		tcp_pair(pair);
		peer_init(&peer, rig.server, pair[1]);
		rig.peers[0] = &peer;
		rig_dialed(&rig, id, pair[0]);
		RIG_UNTIL(&rig, session_is_over(&session) ||
					session_word(&session.channel.page->state) == STATE_ESTABLISHED);
		if (offered)
			assert_false(session_is_over(&session));
		else
			session_expect_end(&session, TLSB_E_TLS_ALPN, "not offered");
		session_close(&session);
		rig_forget(&rig, &peer);
		close(program.fd);
		rig_deinit(&rig);
	}
}

/* A TLS 1.2 ticket comes before the handshake is over. */
static void what_was_not_verified_is_never_resumed(void **state unused_)
{
	static const uint32_t versions[] = { TLSB_TLS_1_2, TLSB_TLS_1_3 };

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = { .flags = CONNECT_NO_VERIFY, .version_max = versions[i] };
		struct program program;
		struct rig rig;

		rig_init_with(&rig, 1);
		rig_program(&rig, &program);
		for (int n = 0; n < 3; n++) {
			struct program_session session;
			struct peer peer;

			rig_establish(&rig, &program, &session, &wish, &peer);
			assert_false(peer.resumed);
			assert_false(only_session(&rig)->offers);
			peer_say(&peer, "x", 1); /* comes behind the tickets */
			RIG_UNTIL(&rig, session.channel.page->rx.head.value == 1);
			session_close(&session);
			rig_forget(&rig, &peer);
			RIG_UNTIL(&rig, !only_session(&rig));
		}
		close(program.fd);
		rig_deinit(&rig);
	}
}

/* ---- keys ---- */

/* What is asked of OpenSSL when a key of KIND is made: a name and a value. */
static EVP_PKEY *key_new(const char *kind, const char *name, const char *value)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	if (strcmp(kind, "EC") == 0)
		assert_int_equal(EVP_PKEY_CTX_ctrl_str(ctx, "ec_paramgen_curve", "P-256"), 1);
	if (name)
		assert_int_equal(EVP_PKEY_CTX_ctrl_str(ctx, name, value), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *key_ed25519(void)
{
	return key_new("ED25519", NULL, NULL);
}

static EVP_PKEY *key_pss(void)
{
	return key_new("RSA-PSS", "rsa_keygen_bits", "2048");
}

static EVP_PKEY *key_spelt_out(void)
{
	return key_new("EC", "ec_param_enc", "explicit");
}

static EVP_PKEY *key_binary(void)
{
	return EVP_EC_gen("sect283r1");
}

static EVP_PKEY *key_dsa(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
	EVP_PKEY *parameters = NULL, *key = NULL;

	assert_int_equal(EVP_PKEY_paramgen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_dsa_paramgen_bits(ctx, 2048), 1);
	assert_int_equal(EVP_PKEY_paramgen(ctx, &parameters), 1);
	EVP_PKEY_CTX_free(ctx);
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, parameters, NULL);
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(parameters);
	return key;
}

/* OTHERWISE: what of it is not TLS's, and CODE; NULL if it is good enough. */
static void expect_of_key(EVP_PKEY *key, bool is_ca, bool verify, uint32_t code,
			  const char *otherwise)
{
	const struct wish wish = { .flags = verify ? 0 : CONNECT_NO_VERIFY };
	const struct cert_spec leaf = { .name = "leaf", .names = "DNS:server.example",
					.key = is_ca ? NULL : key };
	struct testing_identity above = { NULL, NULL }, own;
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;
	SSL_CTX *server;

	rig_init_with(&rig, 1);
	if (is_ca)
		above = cert_new((struct cert_spec){ .name = "above", .is_ca = true, .key = key },
				 &rig.root);
	own = cert_new(leaf, is_ca ? &above : &rig.root);
	server = server_new(&own, above.x509, NULL);
	rig_program(&rig, &program);
	rig_connect(&rig, &program, &session, &wish, &peer, server);
	RIG_UNTIL(&rig, session_is_over(&session) ||
				session_word(&session.channel.page->state) == STATE_ESTABLISHED);
	if (otherwise)
		session_expect_end(&session, code, otherwise);
	else
		assert_false(session_is_over(&session));
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	SSL_CTX_free(server);
	testing_identity_free(&own);
	testing_identity_free(&above);
	rig_deinit(&rig);
}

static void keys_that_tls_does_not_use_are_refused_before_they_cost_time(void **state unused_)
{
	expect_of_key(key_ed25519(), false, true, TLSB_E_NONE, NULL);
	expect_of_key(key_pss(), true, true, TLSB_E_NONE, NULL);
	expect_of_key(key_spelt_out(), true, true, TLSB_E_CERT, "explicit ECC parameters"); /* by OpenSSL */
	expect_of_key(key_binary(), true, true, TLSB_E_CERT, "a key on a curve that TLS does not use");
	/* The worker cannot even read it: OpenSSL takes it for nobody's issuer. */
	expect_of_key(key_dsa(), true, true, TLSB_E_CERT, "CN=above has a key of a kind that TLS does not use");
	/* Who does not want to know is not told. */
	expect_of_key(key_binary(), true, false, TLSB_E_NONE, NULL);
}

/* ---- the flight ---- */

/* The socket is full of something else.  How much that is. */
static size_t fill(int fd)
{
	static const char zeros[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	return sum;
}

static void empty(struct rig *rig, int fd, size_t len)
{
	char scrap[4096];

	while (len > 0) {
		ssize_t n = recv(fd, scrap, MIN(len, sizeof(scrap)), MSG_DONTWAIT);

		assert_true(n > 0 || errno == EWOULDBLOCK);
		len -= n > 0 ? (size_t)n : 0;
		rig_turn(rig);
	}
}

static void a_flight_waits_for_room_in_the_socket(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;
	uint64_t id;
	size_t len;
	int pair[2];

	rig_init(&rig);
	rig_program(&rig, &program);
	id = rig_session(&rig, &program, &session, &anything);
	tcp_pair(pair);
	len = fill(pair[0]);
	rig_dialed(&rig, id, pair[0]);
	rig_run_for(&rig, 5);
	assert_true(only_session(&rig)->net.full);
	assert_int_equal(session_word(&session.channel.page->state), STATE_CONNECTED);
	empty(&rig, pair[1], len);
	peer_init(&peer, rig.server, pair[1]);
	rig.peers[0] = &peer;
	RIG_UNTIL(&rig, session_word(&session.channel.page->state) == STATE_ESTABLISHED);
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

/* A process that asks to begin, again and again, as fast as it can: with so many bytes. */
static pid_t ask_to_begin(int fd, size_t len)
{
	static const uint8_t record[5 + 16384] = { 22, 3, 3, 0x40, 0 }; /* HelloRequests */
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(TESTING_SECONDS);
	fcntl(fd, F_SETFL, 0);
	for (size_t sum = 0; sum < len; sum += sizeof(record)) {
		if (send(fd, record, sizeof(record), MSG_NOSIGNAL) != sizeof(record))
			_exit(1);
	}
	shutdown(fd, SHUT_WR);
	_exit(0);
}

/* Comes in between two turns of a session, as every other one may. */
struct watch {
	struct event *timer;
	struct rig *rig;
	size_t most; /* bytes in one turn */
};

static void on_watch(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	const struct timeval soon = { .tv_usec = 1000 };
	struct watch *watch = arg;
	const struct session *session = only_session(watch->rig);

	watch->most = MAX(watch->most, session ? session->net.turn : 0);
	evtimer_add(watch->timer, &soon);
}

/* Who does begin is to ignore it (RFC 5246, 7.4.1.1). */
static void a_handshake_without_end_leaves_the_others_their_turn(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct watch watch;
	struct rig rig;
	pid_t server;
	uint64_t id;
	int pair[2], status;

	rig_init(&rig);
	rig_program(&rig, &program);
	watch = (struct watch){ evtimer_new(rig.child.base, on_watch, &watch), &rig, 0 };
	on_watch(-1, 0, &watch);
	id = rig_session(&rig, &program, &session, &anything);
	tcp_pair(pair);
	server = ask_to_begin(pair[1], 8 * LIMIT_PUMP_BYTES);
	rig_dialed(&rig, id, pair[0]);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_TRUNCATED, "handshake");
	assert_in_range(watch.most, 1, LIMIT_PUMP_BYTES + 128 * 1024);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_int_equal(status, 0);
	event_free(watch.timer);
	close(pair[1]);
	session_close(&session);
	close(program.fd);
	rig_deinit(&rig);
}

static void a_flight_that_offers_nothing_outlives_new_trust(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;
	const SSL *ssl;
	uint64_t id;
	int pair[2];

	rig_init(&rig);
	rig_program(&rig, &program);
	id = rig_session(&rig, &program, &session, &anything);
	ssl = only_session(&rig)->ssl;
	rig_trust(&rig, rig.root.x509);
	assert_ptr_equal(only_session(&rig)->ssl, ssl);
	tcp_pair(pair);
	peer_init(&peer, rig.server, pair[1]);
	rig.peers[0] = &peer;
	rig_dialed(&rig, id, pair[0]);
	RIG_UNTIL(&rig, session_word(&session.channel.page->state) == STATE_ESTABLISHED);
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

/* ---- the connector ---- */

/* Only our channel to it broke, of which nobody else knows: it is asked for, and asked for again. */
static void a_connector_that_stays_away_is_asked_for(void **state unused_)
{
	struct program_session before, after;
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	assert_int_not_equal(rig_session(&rig, &program, &before, &anything), 0);
	shutdown(rig.connector, SHUT_RDWR);
	RIG_UNTIL(&rig, session_is_over(&before));
	session_expect_end(&before, TLSB_E_WORKER_DIED, "try again");
	assert_int_equal(rig_session(&rig, &program, &after, &anything), 0);
	assert_int_equal(rig.wanted, 0); /* usually it has died, and another comes */
	RIG_UNTIL(&rig, rig.wanted == 2);
	assert_false(session_is_over(&after));
	rig_replace(&rig, MSG_CONNECTOR_CHAN, &rig.connector);
	assert_int_not_equal(rig_dial(&rig), 0); /* the session that waited */
	rig_run_for(&rig, LIMIT_CONNECTOR_AWAY_MS + 200);
	assert_int_equal(rig.wanted, 2);
	session_close(&before);
	session_close(&after);
	close(program.fd);
	rig_deinit(&rig);
}

/* ---- times ---- */

static void times_are_told_in_microseconds(void **state unused_)
{
	struct msg_dialed dialed = { .address = { 127, 0, 0, 1 }, .family = AF_INET, .port = 443,
				     .name_us = 1234, .tcp_us = 5678 };
	struct program_session session;
	struct program program;
	const struct tlsb_info *info;
	uint64_t began, took;
	struct peer peer;
	struct rig rig;
	int pair[2];

	rig_init(&rig);
	rig_program(&rig, &program);
	dialed.id = rig_session(&rig, &program, &session, &anything);
	tcp_pair(pair);
	peer_init(&peer, rig.server, pair[1]);
	assert_int_equal(msg_send(rig.connector, &internal_messages, MSG_DIALED, &dialed, NULL, 0,
				  &pair[0]),
			 0);
	close(pair[0]);
	began = clock_us();
	rig_run_for(&rig, 30); /* the server lets us wait for so long */
	rig.peers[0] = &peer;
	RIG_UNTIL(&rig, session_word(&session.channel.page->state) == STATE_ESTABLISHED);
	took = clock_us() - began;
	info = &session.channel.page->info;
	assert_int_equal(info->name_us, 1234);
	assert_int_equal(info->tcp_us, 5678);
	assert_in_range(info->tls_us, 25000, took);
	assert_true(info->step_count > 1);
	assert_in_range(info->steps[info->step_count - 1].ms, 25, took / 1000); /* those are not */
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

/* ---- ends ---- */

/* As when a refusal to renegotiate could not be sent, because the server does not listen any more. */
static void break_sending_half(struct one *one)
{
	only_session(&one->rig)->net.broken = ECONNRESET;
}

static void a_server_that_said_goodbye_need_not_hear_ours(void **state unused_)
{
	struct testing_text got = { 0 };
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, "bye", 3);
	RIG_UNTIL(&one.rig, session_read(&one.session, &got, 99) == 3);
	SSL_shutdown(one.peer.ssl);
	RIG_UNTIL(&one.rig, session_word(&one.session.channel.page->rx_end) == 1);
	break_sending_half(&one);
	session_finish(&one.session);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_NONE, "");
	free(got.data);
	one_deinit(&one);
}

/* Nor has it said goodbye: it may, but behind more than the receive ring holds. */
static void a_goodbye_that_cannot_be_sent_is_a_reset(void **state unused_)
{
	/* as if others had all the memory but that for one small ring */
	const uint64_t others = LIMIT_RING_BYTES_PER_UID - 2 * LIMIT_RING_MIN;
	struct testing_text down = noise(4 * LIMIT_RING_MIN, 21), got = { 0 };
	struct worker *worker;
	struct one one;

	rig_init(&one.rig);
	rig_program(&one.rig, &one.program);
	worker = rig_worker(&one.rig);
	worker->quota.ring_bytes += others;
	rig_establish(&one.rig, &one.program, &one.session, &anything, &one.peer);
	assert_int_equal(one.session.channel.rx.capacity, LIMIT_RING_MIN);
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig, only_session(&one.rig)->bytes_read == LIMIT_RING_MIN);
	break_sending_half(&one);
	session_finish(&one.session);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_RESET, "");
	assert_int_equal(session_read(&one.session, &got, down.len), LIMIT_RING_MIN);
	assert_memory_equal(got.data, down.data, got.len);
	worker->quota.ring_bytes -= others;
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

/* It waited for room when it went; what it wrote is sent all the same. */
static void a_program_that_has_gone_is_not_rung(void **state unused_)
{
	struct testing_text up = noise(200000, 22);
	uint8_t *span;
	struct one one;

	one_init(&one, &anything);
	rig_run_for(&one.rig, 2);
	assert_true(ring_space(&one.session.channel.tx, &span) > (int)up.len);
	memcpy(span, up.data, up.len);
	ring_produce(&one.session.channel.tx, (uint32_t)up.len);
	doorbell_arm(&one.session.channel.page->program_wants, WANT_DATA | WANT_ROOM | WANT_STATE);
	session_disconnect(&one.session);
	RIG_UNTIL(&one.rig, one.peer.end == PEER_CLOSED);
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	one_deinit(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_openssl_lets_through_is_refused_all_the_same),
		TEST(a_choice_that_openssl_lets_through_is_refused_all_the_same),
		TEST(what_was_not_verified_is_never_resumed),
		TEST(keys_that_tls_does_not_use_are_refused_before_they_cost_time),
		TEST(a_flight_waits_for_room_in_the_socket),
		TEST(a_handshake_without_end_leaves_the_others_their_turn),
		TEST(a_flight_that_offers_nothing_outlives_new_trust),
		TEST(a_connector_that_stays_away_is_asked_for),
		TEST(times_are_told_in_microseconds),
		TEST(a_server_that_said_goodbye_need_not_hear_ours),
		TEST(a_goodbye_that_cannot_be_sent_is_a_reset),
		TEST(a_program_that_has_gone_is_not_rung),
	};

	return testing_run(tests);
}
