/*
 * A session through the whole role: handshake, bytes both ways, bells, resumption, trust reload.
 */
#include "worker_rig.h"
#include "testing_clock.h"

/* ---- handshake ---- */

static void the_page_tells_how_far_a_session_is(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct control_page *page;
	struct peer peer;
	struct rig rig;
	uint64_t id;
	int pair[2];

	rig_init(&rig);
	rig_program(&rig, &program);
	id = rig_session(&rig, &program, &session, &anything);
	page = session.channel.page;
	assert_int_equal(session_word(&page->state), STATE_OPENING);
	tcp_pair(pair);
	peer_init(&peer, rig.server, pair[1]);
	doorbell_arm(&page->program_wants, WANT_STATE);
	rig_dialed(&rig, id, pair[0]);
	rig_turn(&rig);
	assert_int_equal(session_word(&page->state), STATE_CONNECTED);
	session_listen(&session);
	assert_int_equal(session.bells, 1);
	doorbell_arm(&page->program_wants, WANT_STATE);
	rig.peers[0] = &peer;
	RIG_UNTIL(&rig, session_word(&page->state) == STATE_ESTABLISHED);
	session_listen(&session);
	assert_int_equal(session.bells, 2);
	assert_int_equal(session_word(&page->ended), 0);
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

static void what_was_agreed_is_told(void **state unused_)
{
	static const int versions[] = {TLSB_TLS_1_2, TLSB_TLS_1_3};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = {.version_min = (uint32_t)versions[i],
					  .version_max = (uint32_t)versions[i]};
		const struct tlsb_info *info;
		struct one one;

		one_init(&one, &wish);
		info = &one.session.channel.page->info;
		assert_int_equal(info->version, versions[i]);
		assert_int_equal(info->verified, 1);
		assert_int_equal(info->resumed, 0);
		assert_int_equal(info->key_bits, 256);
		assert_true(info->not_after > time(NULL));
		assert_string_equal(info->address, "127.0.0.1:443");
		assert_string_equal(info->subject, "CN=leaf");
		assert_string_equal(info->chain, "CN=leaf < CN=root\nCN=root < CN=root");
		assert_non_null(strstr(info->cipher, "GCM"));
		assert_true(info->group[0]);
		assert_string_equal(info->alpn, "");
		assert_true(info->step_count >= 6);
		assert_int_equal(info->steps[0].sent, 1);
		assert_int_equal(info->steps[0].type, SSL3_MT_CLIENT_HELLO);
		assert_int_equal(info->steps[1].sent, 0);
		assert_int_equal(info->steps[1].type, SSL3_MT_SERVER_HELLO);
		one_deinit(&one);
	}
}

static int choose_http(SSL *ssl unused_, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg unused_)
{
	static const unsigned char wire[] = "\x02h2\x08http/1.1";

	assert_int_equal(in_len, sizeof(wire) - 1);
	assert_memory_equal(in, wire, in_len);
	*out = in + 4;
	*out_len = 8;
	return SSL_TLSEXT_ERR_OK;
}

static void the_application_protocol_is_agreed_on(void **state unused_)
{
	const struct wish wish = {.alpn = "h2,http/1.1"};
	struct one one;

	rig_init(&one.rig);
	SSL_CTX_set_alpn_select_cb(one.rig.server, choose_http, NULL);
	rig_program(&one.rig, &one.program);
	rig_establish(&one.rig, &one.program, &one.session, &wish, &one.peer);
	assert_string_equal(one.session.channel.page->info.alpn, "http/1.1");
	one_deinit(&one);
}

static void the_name_is_sent_and_an_address_is_not(void **state unused_)
{
	static const struct {
		struct wish wish;
		const char *sent;
	} rows[] = {
		{{.host = "server.example."}, "server.example"},
		{{.host = "192.0.2.9", .name = "server.example"}, "server.example"},
		{{.host = "192.0.2.1"}, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *sent;
		struct one one;

		one_init(&one, &rows[i].wish);
		sent = SSL_get_servername(one.peer.ssl, TLSEXT_NAMETYPE_host_name);
		if (rows[i].sent)
			assert_string_equal(sent, rows[i].sent);
		else
			assert_null(sent);
		one_deinit(&one);
	}
}

static void chosen_ciphers_are_used_and_others_refused(void **state unused_)
{
	static const struct {
		const char *list;
		uint32_t version;
		const char *used; /* NULL: refused */
	} rows[] = {
		{"TLS_CHACHA20_POLY1305_SHA256", TLSB_TLS_1_3, "TLS_CHACHA20_POLY1305_SHA256"},
		{"ECDHE-ECDSA-CHACHA20-POLY1305:TLS_AES_256_GCM_SHA384", TLSB_TLS_1_2,
		 "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{"ECDHE-ECDSA-CHACHA20-POLY1305", TLSB_TLS_1_3, "TLS_AES_256_GCM_SHA384"},
		{"ECDHE-ECDSA-AES128-SHA", 0, NULL},
		{"AES128-GCM-SHA256", 0, NULL},
		{"NULL", 0, NULL},
		{"ALL", 0, NULL},
		{"TLS_NO_SUCH_SUITE", 0, NULL},
		{"TLS_AES_128_GCM_SHA256:@SECLEVEL=0", 0, NULL},
		{"-ALL", 0, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct wish wish = {.ciphers = rows[i].list, .version_max = rows[i].version};
		struct one one;

		if (rows[i].used) {
			one_init(&one, &wish);
			assert_string_equal(one.session.channel.page->info.cipher, rows[i].used);
			one_deinit(&one);
			continue;
		}
		rig_init(&one.rig);
		rig_program(&one.rig, &one.program);
		/* Before anything is dialled. */
		assert_int_equal(rig_session(&one.rig, &one.program, &one.session, &wish), 0);
		assert_true(one.session.refused);
		assert_int_equal(one.session.error, TLSB_E_PARAMETER);
		assert_non_null(strstr(one.session.text, "cipher suite"));
		close(one.program.fd);
		session_close(&one.session);
		rig_deinit(&one.rig);
	}
}

static void what_is_refused_is_refused_before_dialling(void **state unused_)
{
	static const struct {
		struct wish wish;
		uint32_t error;
		const char *words;
	} rows[] = {
		{{.flags = CONNECT_NO_VERIFY}, TLSB_E_POLICY, "allow-insecure"},
		{{.version_max = 0x0302}, TLSB_E_POLICY, "TLS 1.2"},
		{{.host = "no host"}, TLSB_E_PARAMETER, "host name"},
		{{.ca = "no certificate"}, TLSB_E_PARAMETER, "certificate"},
		{{.alpn = ",h2"}, TLSB_E_PARAMETER, "application protocols"},
		{{.alpn = "h2,,h3"}, TLSB_E_PARAMETER, "application protocols"},
		{{.alpn = "h2,"}, TLSB_E_PARAMETER, "application protocols"},
	};
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program_session session;

		assert_int_equal(rig_session(&rig, &program, &session, &rows[i].wish), 0);
		RIG_UNTIL(&rig, session_is_over(&session));
		assert_true(session.refused);
		assert_int_equal(session.error, rows[i].error);
		assert_non_null(strstr(session.text, rows[i].words));
		session_close(&session);
		rig_expect_no_sessions(&rig);
	}
	assert_int_equal(rig_count(&rig, COUNTER_sessions_refused), ARRAY_SIZE(rows));
	assert_int_equal(rig_count(&rig, COUNTER_violations), 0);
	close(program.fd);
	rig_deinit(&rig);
}

static void verification_is_off_only_where_the_administrator_allows_it(void **state unused_)
{
	const struct wish wish = {.flags = CONNECT_NO_VERIFY, .host = "another.example"};
	struct one one;

	rig_init_with(&one.rig, 1);
	rig_program(&one.rig, &one.program);
	for (int i = 0; i < 2; i++) {
		rig_establish(&one.rig, &one.program, &one.session, &wish, &one.peer);
		assert_int_equal(one.session.channel.page->info.verified, 0);
		assert_false(one.peer.resumed); /* what was not verified is not resumed */
		rig_run_for(&one.rig, 2);
		if (i == 0) {
			session_disconnect(&one.session);
			session_close(&one.session);
			RIG_UNTIL(&one.rig, one.peer.end == PEER_CLOSED);
			rig_forget(&one.rig, &one.peer);
		}
	}
	one_deinit(&one);
}

/* ---- bytes ---- */

static void bytes_arrive_as_they_were_sent(void **state unused_)
{
	static const uint32_t versions[] = {TLSB_TLS_1_2, TLSB_TLS_1_3};

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		const struct wish wish = {.version_max = versions[v]};
		struct testing_text up = noise(3000000, 1), down = noise(3000000, 2), got = {0};
		uint64_t seed = 3;
		size_t written = 0;
		struct one one;

		one_init(&one, &wish);
		peer_say(&one.peer, down.data, down.len);
		while (got.len < down.len || one.peer.got.len < up.len) {
			size_t most =
				testing_random(&seed) % (testing_random(&seed) % 2 ? 100000 : 9);

			written += session_write(&one.session, up.data + written,
						 MIN(up.len - written, most));
			session_read(&one.session, &got, testing_random(&seed) % 100000);
			if (testing_random(&seed) % 2)
				rig_turn(&one.rig);
		}
		assert_true(same(&got, &down));
		assert_true(same(&one.peer.got, &up));
		assert_int_equal(rig_count(&one.rig, COUNTER_bytes_read), down.len);
		assert_int_equal(rig_count(&one.rig, COUNTER_bytes_written), up.len);
		free(up.data);
		free(down.data);
		free(got.data);
		one_deinit(&one);
	}
}

static void single_bytes_arrive_as_they_were_sent(void **state unused_)
{
	struct testing_text up = noise(2000, 4), got = {0};
	struct one one;

	one_init(&one, &anything);
	one.peer.echo = true;
	for (size_t i = 0; i < up.len; i++) {
		assert_int_equal(session_write(&one.session, up.data + i, 1), 1);
		rig_turn(&one.rig);
		while (session_read(&one.session, &got, 1) > 0)
			;
	}
	RIG_UNTIL(&one.rig, session_read(&one.session, &got, 1) == 0 && got.len == up.len);
	assert_true(same(&got, &up));
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	free(got.data);
	one_deinit(&one);
}

static void a_full_receive_ring_holds_the_server_back(void **state unused_)
{
	struct testing_text down = noise(9000000, 5), got = {0};
	uint8_t *span;
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig, ring_data(&one.session.channel.rx, &span) ==
				    (int)one.session.channel.rx.capacity);
	rig_run_for(&one.rig, 30);
	assert_true(one.peer.sent < down.len);
	/* A program that asks to be woken for what is there already is woken. */
	while (got.len < down.len) {
		session_read(&one.session, &got, 4000);
		rig_turn(&one.rig);
	}
	assert_true(same(&got, &down));
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

static void a_server_that_does_not_read_holds_the_program_back(void **state unused_)
{
	struct testing_text up = noise(12000000, 6);
	size_t written = 0, before;
	struct one one;

	one_init(&one, &anything);
	one.peer.deaf = true;
	do {
		before = written;
		for (int i = 0; i < 50; i++) {
			written += session_write(&one.session, up.data + written, up.len - written);
			rig_turn(&one.rig);
		}
	} while (written > before);
	assert_true(written < up.len);
	one.peer.deaf = false;
	while (written < up.len) {
		written += session_write(&one.session, up.data + written, up.len - written);
		rig_turn(&one.rig);
	}
	RIG_UNTIL(&one.rig, one.peer.got.len == up.len);
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	one_deinit(&one);
}

/* What the program changes after it was published is its own affair: TLS does not break. */
static void bytes_that_change_while_they_are_sent_harm_only_themselves(void **state unused_)
{
	struct testing_text up = noise(3000000, 7);
	size_t written = 0;
	uint64_t seed = 8;
	struct one one;

	one_init(&one, &anything);
	one.peer.deaf = true;
	for (int i = 0; i < 3000 && written < up.len; i++) {
		written += session_write(&one.session, up.data + written, up.len - written);
		one.session.channel.tx.bytes[testing_random(&seed) % LIMIT_RING_MAX] ^= 1;
		rig_turn(&one.rig);
		one.peer.deaf = i < 100;
	}
	one.peer.deaf = false;
	RIG_UNTIL(&one.rig, one.peer.got.len == up.len);
	assert_int_equal(one.peer.end, PEER_RUNS);
	assert_int_equal(session_word(&one.session.channel.page->ended), 0);
	free(up.data);
	one_deinit(&one);
}

/* ---- bells ---- */

static void only_a_sleeper_is_rung(void **state unused_)
{
	struct control_page *page;
	struct testing_text got = {0};
	struct one one;

	one_init(&one, &anything);
	page = one.session.channel.page;
	rig_run_for(&one.rig, 5);
	session_listen(&one.session);
	one.session.bells = 0;
	peer_say(&one.peer, "one", 3);
	RIG_UNTIL(&one.rig, session_read(&one.session, &got, 99) == 3);
	session_listen(&one.session);
	assert_int_equal(one.session.bells, 0);
	doorbell_arm(&page->program_wants, WANT_DATA);
	peer_say(&one.peer, "two", 3);
	RIG_UNTIL(&one.rig, (session_listen(&one.session), one.session.bells) == 1);
	assert_int_equal(session_read(&one.session, &got, 99), 3);
	peer_say(&one.peer, "three", 5);
	rig_run_for(&one.rig, 5);
	session_listen(&one.session);
	assert_int_equal(one.session.bells, 1); /* one want, one bell */
	free(got.data);
	one_deinit(&one);
}

static void a_program_that_waits_for_room_is_rung(void **state unused_)
{
	struct testing_text up = noise(LIMIT_RING_MAX, 9);
	struct one one;

	one_init(&one, &anything);
	rig_run_for(&one.rig, 5);
	session_listen(&one.session);
	one.session.bells = 0;
	assert_int_equal(session_write(&one.session, up.data, up.len), LIMIT_RING_MAX);
	assert_int_equal(session_write(&one.session, up.data, 1), 0);
	doorbell_arm(&one.session.channel.page->program_wants, WANT_ROOM);
	RIG_UNTIL(&one.rig, (session_listen(&one.session), one.session.bells) >= 1);
	assert_int_equal(session_write(&one.session, up.data, 1), 1);
	RIG_UNTIL(&one.rig, one.peer.got.len == up.len + 1);
	free(up.data);
	one_deinit(&one);
}

/* A poller that arms after the data came and says so is rung at once. */
static void a_late_sleeper_is_rung_for_what_is_there(void **state unused_)
{
	uint8_t *span;
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, "data", 4);
	RIG_UNTIL(&one.rig, ring_data(&one.session.channel.rx, &span) == 4);
	session_listen(&one.session);
	one.session.bells = 0;
	doorbell_arm(&one.session.channel.page->program_wants, WANT_DATA);
	session_bell_worker(&one.session);
	RIG_UNTIL(&one.rig, (session_listen(&one.session), one.session.bells) == 1);
	one_deinit(&one);
}

/* ---- servers that play with records ---- */

static void key_updates_do_not_disturb(void **state unused_)
{
	struct testing_text up = noise(2000000, 10), down = noise(2000000, 11), got = {0};
	size_t written = 0, asked = 0;
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, down.data, down.len);
	for (int i = 0; got.len < down.len || one.peer.got.len < up.len; i++) {
		written += session_write(&one.session, up.data + written,
					 MIN(up.len - written, (size_t)70000));
		session_read(&one.session, &got, 50000);
		/* Also while the worker's own write is stuck half-way. */
		one.peer.deaf = i % 40 < 20;
		if (i % 5 == 0 &&
		    SSL_key_update(one.peer.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
						       : SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
			asked++;
		rig_turn(&one.rig);
	}
	assert_true(asked > 5);
	assert_true(same(&got, &down));
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

/* A server sends nothing but KeyUpdates, as fast as it can. */
static void a_flood_of_key_updates_ends_the_session(void **state unused_)
{
	struct one one;

	one_init(&one, &anything);
	for (int i = 0; i < 100000 && !session_is_over(&one.session); i++) {
		if (one.peer.end == PEER_RUNS && SSL_key_update(one.peer.ssl, 0) == 1)
			SSL_do_handshake(one.peer.ssl);
		ERR_clear_error();
		if (i % 20 == 0)
			rig_turn(&one.rig);
	}
	session_expect_end(&one.session, TLSB_E_TLS, "floods");
	one_deinit(&one);
}

static void a_request_to_renegotiate_does_not_disturb(void **state unused_)
{
	const struct wish wish = {.version_max = TLSB_TLS_1_2};
	struct testing_text got = {0};
	struct one one;

	one_init(&one, &wish);
	peer_say(&one.peer, "before", 6);
	RIG_UNTIL(&one.rig, session_read(&one.session, &got, 99) == 6);
	assert_int_equal(SSL_renegotiate(one.peer.ssl), 1);
	SSL_do_handshake(one.peer.ssl); /* HelloRequest */
	ERR_clear_error();
	one.peer.deaf = true; /* what it thinks of the refusal is its own affair */
	rig_run_for(&one.rig, 5);
	assert_int_equal(session_word(&one.session.channel.page->ended), 0);
	assert_int_equal(session_write(&one.session, "after", 5), 5);
	rig_run_for(&one.rig, 5);
	assert_int_equal(session_word(&one.session.channel.page->ended), 0);
	free(got.data);
	one_deinit(&one);
}

/* ---- resumption ---- */

/* Connect, let the tickets come, end in order.  Was it resumed? */
static bool resumes(struct rig *rig, const struct wish *wish)
{
	struct program_session session;
	struct program program;
	struct peer peer;
	bool resumed;

	rig_program(rig, &program); /* a new client each time */
	rig_establish(rig, &program, &session, wish, &peer);
	resumed = peer.resumed;
	assert_int_equal(session.channel.page->info.resumed, resumed);
	assert_int_equal(session.channel.page->info.verified, 1);
	assert_string_equal(session.channel.page->info.subject, "CN=leaf");
	peer_say(&peer, "x", 1); /* comes behind the tickets */
	RIG_UNTIL(rig, session.channel.page->rx.head.value == 1);
	session_disconnect(&session);
	RIG_UNTIL(rig, peer.end == PEER_CLOSED);
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	rig_run_for(rig, 2);
	rig_expect_no_sessions(rig);
	return resumed;
}

static void another_client_resumes_the_session(void **state unused_)
{
	static const uint32_t versions[] = {TLSB_TLS_1_2, TLSB_TLS_1_3};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = {.version_max = versions[i]};
		struct rig rig;

		rig_init(&rig);
		assert_false(resumes(&rig, &wish));
		for (int n = 0; n < 5; n++)
			assert_true(resumes(&rig, &wish));
		assert_int_equal(rig_count(&rig, COUNTER_handshakes_full), 1);
		assert_int_equal(rig_count(&rig, COUNTER_handshakes_resumed), 5);
		rig_deinit(&rig);
	}
}

static void a_ticket_is_not_sent_twice(void **state unused_)
{
	struct rig rig;

	rig_init(&rig);
	assert_false(resumes(&rig, &anything));
	SSL_CTX_set_num_tickets(rig.server, 0); /* no new ones */
	assert_true(resumes(&rig, &anything));
	assert_true(resumes(&rig, &anything)); /* there were two */
	assert_false(resumes(&rig, &anything));
	rig_deinit(&rig);
}

/* The first flight is made before the dial's outcome is known. */
static void a_ticket_that_was_not_sent_is_kept(void **state unused_)
{
	struct msg_dial_failed failed = {.error = TLSB_E_REFUSED};
	struct program_session session;
	struct program program;
	struct rig rig;

	rig_init(&rig);
	assert_false(resumes(&rig, &anything));
	SSL_CTX_set_num_tickets(rig.server, 0); /* there are two, and no more */
	rig_program(&rig, &program);
	for (int i = 0; i < 5; i++) {
		failed.id = rig_session(&rig, &program, &session, &anything);
		assert_int_equal(msg_send(rig.connector, &internal_messages, MSG_DIAL_FAILED,
					  &failed, "refused", 7, NULL),
				 0);
		RIG_UNTIL(&rig, session_is_over(&session));
		session_close(&session);
	}
	close(program.fd);
	rig_run_for(&rig, 2);
	assert_true(resumes(&rig, &anything));
	assert_true(resumes(&rig, &anything));
	assert_false(resumes(&rig, &anything));
	rig_deinit(&rig);
}

/* Whatever the verification depended on keeps sessions apart. */
static void only_the_same_request_resumes(void **state unused_)
{
	struct testing_text pem = {0};
	struct rig rig;

	rig_init(&rig);
	testing_append_pem(&pem, rig.root.x509);
	assert_false(resumes(&rig, &anything));
	assert_true(resumes(&rig, &anything));
	assert_false(resumes(&rig, &(struct wish){.flags = CONNECT_NO_RESUMPTION}));
	assert_false(resumes(&rig, &(struct wish){.host = "192.0.2.1"}));
	assert_false(resumes(&rig, &(struct wish){.host = "192.0.2.1", .name = "server.example"}));
	assert_false(resumes(&rig, &(struct wish){.alpn = "h2"}));
	assert_false(resumes(&rig, &(struct wish){.ca = pem.data}));
	assert_false(resumes(&rig, &(struct wish){.version_min = TLSB_TLS_1_3}));
	assert_false(resumes(&rig, &(struct wish){.ciphers = "TLS_AES_128_GCM_SHA256"}));
	assert_true(resumes(&rig, &(struct wish){.ca = pem.data}));
	assert_true(resumes(&rig, &anything));
	free(pem.data);
	rig_deinit(&rig);
}

static void new_trust_means_new_verification(void **state unused_)
{
	struct program_session early;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	assert_false(resumes(&rig, &anything));
	assert_true(resumes(&rig, &anything));
	rig_trust(&rig, rig.root.x509);
	assert_false(resumes(&rig, &anything));
	assert_true(resumes(&rig, &anything));
	rig_trust(&rig, rig.root.x509);
	/* A ticket that comes after the reload, of a session that was verified before it. */
	rig_program(&rig, &program);
	rig_establish(&rig, &program, &early, &anything, &peer);
	rig_run_for(&rig, 2);
	rig_trust(&rig, rig.root.x509);
	assert_int_equal(SSL_new_session_ticket(peer.ssl), 1);
	peer_say(&peer, "x", 1);
	RIG_UNTIL(&rig, early.channel.page->rx.head.value == 1);
	assert_int_equal(session_word(&early.channel.page->ended), 0); /* it goes on, though */
	session_disconnect(&early);
	RIG_UNTIL(&rig, peer.end == PEER_CLOSED);
	session_close(&early);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_run_for(&rig, 2);
	assert_false(resumes(&rig, &anything));
	rig_deinit(&rig);
}

/* The CA goes while the connector dials, when a ticket of its time is in the first flight. */
static void a_flight_that_waits_offers_nothing_of_the_old_trust(void **state unused_)
{
	struct testing_identity other =
		cert_new((struct cert_spec){.name = "other", .is_ca = true}, NULL);
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;
	uint64_t id;
	int pair[2];

	rig_init(&rig);
	assert_false(resumes(&rig, &anything));
	rig_program(&rig, &program);
	id = rig_session(&rig, &program, &session, &anything);
	rig_trust(&rig, other.x509);
	tcp_pair(pair);
	peer_init(&peer, rig.server, pair[1]);
	rig.peers[0] = &peer;
	rig_dialed(&rig, id, pair[0]);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_CERT_INCOMPLETE, "not trusted");
	session_close(&session);
	rig_forget(&rig, &peer);
	testing_identity_free(&other);
	close(program.fd);
	rig_deinit(&rig);
}

static void a_withdrawn_ca_is_withdrawn_at_once(void **state unused_)
{
	struct testing_identity other =
		cert_new((struct cert_spec){.name = "other", .is_ca = true}, NULL);
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	assert_false(resumes(&rig, &anything));
	rig_trust(&rig, other.x509);
	rig_program(&rig, &program);
	rig_connect(&rig, &program, &session, &anything, &peer, rig.server);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_CERT_INCOMPLETE, "not trusted");
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	testing_identity_free(&other);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_page_tells_how_far_a_session_is),
		TEST(what_was_agreed_is_told),
		TEST(the_application_protocol_is_agreed_on),
		TEST(the_name_is_sent_and_an_address_is_not),
		TEST(chosen_ciphers_are_used_and_others_refused),
		TEST(what_is_refused_is_refused_before_dialling),
		TEST(verification_is_off_only_where_the_administrator_allows_it),
		TEST(bytes_arrive_as_they_were_sent),
		TEST(single_bytes_arrive_as_they_were_sent),
		TEST(a_full_receive_ring_holds_the_server_back),
		TEST(a_server_that_does_not_read_holds_the_program_back),
		TEST(bytes_that_change_while_they_are_sent_harm_only_themselves),
		TEST(only_a_sleeper_is_rung),
		TEST(a_program_that_waits_for_room_is_rung),
		TEST(a_late_sleeper_is_rung_for_what_is_there),
		TEST(key_updates_do_not_disturb),
		TEST(a_flood_of_key_updates_ends_the_session),
		TEST(a_request_to_renegotiate_does_not_disturb),
		TEST(another_client_resumes_the_session),
		TEST(a_ticket_is_not_sent_twice),
		TEST(a_ticket_that_was_not_sent_is_kept),
		TEST(only_the_same_request_resumes),
		TEST(new_trust_means_new_verification),
		TEST(a_flight_that_waits_offers_nothing_of_the_old_trust),
		TEST(a_withdrawn_ca_is_withdrawn_at_once),
	};

	return testing_run(tests);
}
