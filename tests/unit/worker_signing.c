/*
 * Sessions that show an identity: with every kind of key, and with a keyholder that answers, refuses,
 * answers late, lies, or dies.  Whatever it does, other sessions go on and nothing is left behind.
 */
#include "signing_rig.h"
#include "testing_clock.h"

#include <sys/mman.h>

static const struct wish as_me = { .identity = "id1", .flags = CONNECT_NO_RESUMPTION };

static bool is_established(const struct program_session *session)
{
	return session->channel.page && session_word(&session->channel.page->state) == STATE_ESTABLISHED;
}

/* A session up to where its signature is wanted. */
static void begin(struct signing_rig *signing, struct program_session *session, struct peer *peer,
		  const struct wish *wish, struct wanted *ret_wanted)
{
	rig_connect(&signing->rig, &signing->program, session, wish, peer, signing->server);
	RIG_UNTIL(&signing->rig, keyholder_hears(signing, ret_wanted));
	assert_false(session_is_over(session));
	assert_int_equal(rig_worker(&signing->rig)->fibre_count, 1);
}

static void end(struct signing_rig *signing, struct program_session *session, struct peer *peer)
{
	session_close(session);
	rig_forget(&signing->rig, peer); /* else its end would be waited for */
	RIG_UNTIL(&signing->rig, LIST_EMPTY(&rig_worker(&signing->rig)->all_sessions));
	assert_int_equal(rig_worker(&signing->rig)->fibre_count, 0);
}

/* From the beginning to the end: the server knows who it is. */
static void expect_shown(struct signing_rig *signing, const struct wish *wish, unsigned identity)
{
	static struct wanted wanted;
	struct program_session session;
	struct peer peer;
	X509 *shown;

	begin(signing, &session, &peer, wish, &wanted);
	assert_int_equal(wanted.sign.key, identity + 1);
	keyholder_signs(signing, &wanted);
	RIG_UNTIL(&signing->rig, (session_is_over(&session) || (peer.shaken && is_established(&session))));
	assert_int_equal(session.channel.page->error, TLSB_E_NONE);
	assert_string_equal(session.channel.page->info.identity, wish->identity);
	shown = SSL_get1_peer_certificate(peer.ssl);
	assert_int_equal(X509_cmp(shown, signing->identities[identity].x509), 0);
	assert_int_equal(SSL_get_verify_result(peer.ssl), X509_V_OK);
	assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(peer.ssl)), 1);
	X509_free(shown);
	assert_false(keyholder_hears(signing, &wanted));
	end(signing, &session, &peer);
}

/* ---- it works ---- */

static void every_key_is_shown_in_both_versions(void **state unused_)
{
	static const struct {
		const char *type, *group;
		unsigned bits;
	} kinds[] = { { "EC", "P-384", 0 }, { "EC", "P-521", 0 }, { "ED25519", NULL, 0 },
		      { "RSA", NULL, 2048 }, { "RSA-PSS", NULL, 2048 } };
	struct signing_rig signing;

	signing_init(&signing);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		signing_add(&signing, signing_key(kinds[i].type, kinds[i].group, kinds[i].bits));
	signing_identities(&signing);
	for (unsigned i = 0; i < signing.count; i++) {
		for (uint32_t version = TLSB_TLS_1_2; version <= TLSB_TLS_1_3; version++) {
			const struct wish wish = { .identity = signing.names[i],
						   .version_min = version,
						   .version_max = version,
						   .flags = CONNECT_NO_RESUMPTION };

			expect_shown(&signing, &wish, i);
		}
	}
	signing_deinit(&signing);
}

/* RSA and TLS 1.2: servers that know no PSS. */
static void old_servers_get_old_signatures(void **state unused_)
{
	const struct wish wish = { .identity = "id2", .version_max = TLSB_TLS_1_2,
				   .version_min = TLSB_TLS_1_2, .flags = CONNECT_NO_RESUMPTION };
	char list[] = "RSA+SHA256:RSA+SHA384";
	struct signing_rig signing;

	signing_init(&signing);
	signing_add(&signing, signing_key("RSA", NULL, 2048));
	signing_identities(&signing);
	assert_int_equal(SSL_CTX_set1_client_sigalgs_list(signing.server, list), 1);
	expect_shown(&signing, &wish, 1);
	signing_deinit(&signing);
}

static void nothing_is_shown_to_a_server_that_does_not_ask(void **state unused_)
{
	static struct wanted wanted;
	struct program_session session;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	rig_establish(&signing.rig, &signing.program, &session, &as_me, &peer);
	assert_string_equal(session.channel.page->info.identity, "");
	assert_false(keyholder_hears(&signing, &wanted));
	assert_null(SSL_get0_peer_certificate(peer.ssl));
	end(&signing, &session, &peer);
	signing_deinit(&signing);
}

/* A program that names none shows none, whatever there is. */
static void nothing_is_shown_that_was_not_asked_for(void **state unused_)
{
	static struct wanted wanted;
	struct program_session session;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	SSL_CTX_set_verify(signing.server, SSL_VERIFY_PEER, NULL);
	rig_connect(&signing.rig, &signing.program, &session, &anything, &peer, signing.server);
	RIG_UNTIL(&signing.rig, peer.shaken && is_established(&session));
	assert_string_equal(session.channel.page->info.identity, "");
	assert_null(SSL_get0_peer_certificate(peer.ssl));
	assert_false(keyholder_hears(&signing, &wanted));
	end(&signing, &session, &peer);
	signing_deinit(&signing);
}

static void an_identity_of_others_is_refused(void **state unused_)
{
	static const char *const names[] = { "id2", "id", "id1x", "ID1", "." };
	struct signing_rig signing;

	signing_init(&signing);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct wish wish = { .identity = names[i] };
		struct program_session session;

		assert_int_equal(rig_session(&signing.rig, &signing.program, &session, &wish), 0);
		assert_true(session.refused);
		assert_int_equal(session.error, TLSB_E_POLICY);
		assert_non_null(strstr(session.text, "identities: "));
		session_close(&session);
	}
	signing_deinit(&signing);
}

/* ---- the keyholder does not sign ---- */

/* The session ends with this, and the next one works. */
static void expect_failure(struct signing_rig *signing, uint32_t answer, const void *bytes, size_t len,
			   uint32_t error, const char *words)
{
	static struct wanted wanted;
	struct program_session session;
	struct peer peer;

	begin(signing, &session, &peer, &as_me, &wanted);
	keyholder_says(signing, wanted.sign.id, answer, bytes, len);
	RIG_UNTIL(&signing->rig, session_is_over(&session));
	session_expect_end(&session, error, words);
	assert_string_equal(session.channel.page->info.identity, "");
	end(signing, &session, &peer);
	expect_shown(signing, &as_me, 0);
}

static void what_the_keyholder_refuses_ends_the_session(void **state unused_)
{
	struct signing_rig signing;

	signing_init(&signing);
	expect_failure(&signing, TLSB_E_POLICY, NULL, 0, TLSB_E_POLICY, "identities: ");
	expect_failure(&signing, TLSB_E_RESOURCES, NULL, 0, TLSB_E_RESOURCES, "cannot sign");
	expect_failure(&signing, TLSB_E_NONE, NULL, 0, TLSB_E_RESOURCES, "cannot sign");
	expect_failure(&signing, UINT32_MAX, "x", 1, TLSB_E_RESOURCES, "cannot sign");
	signing_deinit(&signing);
}

/* Signatures that are none: the server does not believe them, and one that is too long is not sent. */
static void false_signatures_are_of_no_use(void **state unused_)
{
	static const size_t lens[] = { 1, 8, 64, 72, 73, 1000, LIMIT_SIGNATURE };
	static const uint8_t noise_[LIMIT_SIGNATURE] = { 0x30, 0x46, 0x02, 0x21 };
	static struct wanted wanted;
	struct signing_rig signing;

	signing_init(&signing);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct program_session session;
		struct peer peer;

		begin(&signing, &session, &peer, &as_me, &wanted);
		keyholder_says(&signing, wanted.sign.id, TLSB_E_NONE, noise_, lens[i]);
		RIG_UNTIL(&signing.rig, peer.end != PEER_RUNS || session_is_over(&session));
		RIG_UNTIL(&signing.rig, peer.end != PEER_RUNS);
		assert_false(peer.shaken);
		end(&signing, &session, &peer);
	}
	expect_shown(&signing, &as_me, 0);
	signing_deinit(&signing);
}

/* ---- nobody waits any more ---- */

enum why { CLOSED, GONE, DISCONNECTED, DEADLINE, RESET, CUT, DRAINED, WHYS };

static void give_up(struct signing_rig *signing, struct program_session *session, struct peer *peer,
		    enum why why)
{
	switch (why) {
	case CLOSED:
		session->fd = fd_close(session->fd);
		break;
	case GONE:
		signing->program.fd = fd_close(signing->program.fd);
		break;
	case DISCONNECTED:
		session_disconnect(session);
		break;
	case DEADLINE:
		break;
	case RESET:
		peer_reset(peer);
		break;
	case CUT:
		peer_cut(peer);
		break;
	default:
		rig_tell(&signing->rig, MSG_DRAIN, &(struct msg_drain){ .deadline_ms = 1 }, NULL, NULL);
	}
}

/* Its session is over while it waits; then comes the answer, once, twice, and for others. */
static void an_answer_for_nobody_is_dropped(void **state unused_)
{
	static struct wanted wanted;

	for (enum why why = 0; why < WHYS; why++) {
		const struct wish wish = { .identity = "id1",
					   .flags = CONNECT_NO_RESUMPTION,
					   .deadline_ms = why == DEADLINE ? 200 : 20000 };
		struct program_session session;
		struct signing_rig signing;
		struct peer peer;

		signing_init(&signing);
		begin(&signing, &session, &peer, &wish, &wanted);
		give_up(&signing, &session, &peer, why);
		/* What the server does is seen when the handshake goes on. */
		if (why != RESET && why != CUT)
			RIG_UNTIL(&signing.rig,
				  LIST_EMPTY(&rig_worker(&signing.rig)->all_sessions));
		keyholder_signs(&signing, &wanted);
		keyholder_says(&signing, wanted.sign.id, TLSB_E_POLICY, NULL, 0);
		keyholder_says(&signing, wanted.sign.id + 1, TLSB_E_NONE, "x", 1);
		keyholder_says(&signing, UINT64_MAX, TLSB_E_NONE, "x", 1);
		rig_turn(&signing.rig);
		RIG_UNTIL(&signing.rig, why == GONE || session_is_over(&session));
		session_close(&session);
		RIG_UNTIL(&signing.rig, LIST_EMPTY(&rig_worker(&signing.rig)->all_sessions));
		assert_non_null(rig_worker(&signing.rig)->keyholder.owner);
		rig_forget(&signing.rig, &peer);
		signing_deinit(&signing);
	}
}

/* The worker ends while a handshake has stopped. */
static void a_worker_ends_in_the_middle_of_a_handshake(void **state unused_)
{
	static struct wanted wanted;
	struct program_session session;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	begin(&signing, &session, &peer, &as_me, &wanted);
	rig_deinit(&signing.rig);
	session_close(&session);
	peer_deinit(&peer);
	close(signing.program.fd);
	SSL_CTX_free(signing.server);
	testing_identity_free(&signing.root);
	testing_identity_free(&signing.identities[0]);
}

/* Answers that were not asked for yet, or not of this keyholder: nothing comes of them. */
static void an_answer_before_the_question_is_dropped(void **state unused_)
{
	struct program_session session;
	static struct wanted wanted;
	struct signing_rig signing;
	struct peer peer;
	uint64_t id;

	signing_init(&signing);
	rig_connect(&signing.rig, &signing.program, &session, &as_me, &peer, NULL);
	id = LIST_FIRST(&rig_worker(&signing.rig)->all_sessions)->id;
	keyholder_says(&signing, id, TLSB_E_NONE, "x", 1);
	keyholder_says(&signing, id, TLSB_E_POLICY, NULL, 0);
	rig_turn(&signing.rig);
	assert_false(session_is_over(&session));
	end(&signing, &session, &peer);
	assert_false(keyholder_hears(&signing, &wanted));
	signing_deinit(&signing);
}

/* ---- the keyholder dies ---- */

static void a_keyholder_that_dies_is_followed_by_another_which_is_asked(void **state unused_)
{
	static struct wanted first, second;
	struct program_session session;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	begin(&signing, &session, &peer, &as_me, &first);
	rig_replace(&signing.rig, MSG_KEYHOLDER_CHAN, &signing.rig.keyholder);
	RIG_UNTIL(&signing.rig, keyholder_hears(&signing, &second));
	assert_memory_equal(&first.sign, &second.sign, sizeof(first.sign));
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.bytes, second.bytes, first.len);
	keyholder_signs(&signing, &second);
	RIG_UNTIL(&signing.rig, peer.shaken && is_established(&session));
	end(&signing, &session, &peer);
	signing_deinit(&signing);
}

/* It may be this signature of which it dies. */
static void the_second_keyholder_that_dies_ends_the_session(void **state unused_)
{
	struct program_session session;
	static struct wanted wanted;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	begin(&signing, &session, &peer, &as_me, &wanted);
	rig_replace(&signing.rig, MSG_KEYHOLDER_CHAN, &signing.rig.keyholder);
	RIG_UNTIL(&signing.rig, keyholder_hears(&signing, &wanted));
	signing.rig.keyholder = fd_close(signing.rig.keyholder);
	RIG_UNTIL(&signing.rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_WORKER_DIED, "keyholder died");
	end(&signing, &session, &peer);
	rig_replace(&signing.rig, MSG_KEYHOLDER_CHAN, &signing.rig.keyholder);
	assert_false(keyholder_hears(&signing, &wanted));
	expect_shown(&signing, &as_me, 0);
	signing_deinit(&signing);
}

/* Without one, the supervisor is asked for a channel, and sessions wait for it until their deadline. */
static void without_a_keyholder_sessions_wait(void **state unused_)
{
	const struct wish hasty = { .identity = "id1", .deadline_ms = 300 };
	struct program_session patient, other;
	struct peer patient_peer, other_peer;
	static struct wanted wanted;
	struct signing_rig signing;

	signing_init(&signing);
	signing.rig.keyholder = fd_close(signing.rig.keyholder);
	rig_turn(&signing.rig);
	rig_connect(&signing.rig, &signing.program, &patient, &as_me, &patient_peer, signing.server);
	rig_connect(&signing.rig, &signing.program, &other, &hasty, &other_peer, signing.server);
	RIG_UNTIL(&signing.rig, session_is_over(&other));
	session_expect_end(&other, TLSB_E_TIMEOUT, "");
	RIG_UNTIL(&signing.rig, signing.rig.keyholder_wanted >= 1);
	assert_false(session_is_over(&patient));
	assert_int_equal(rig_worker(&signing.rig)->fibre_count, 1);
	rig_replace(&signing.rig, MSG_KEYHOLDER_CHAN, &signing.rig.keyholder);
	RIG_UNTIL(&signing.rig, keyholder_hears(&signing, &wanted));
	keyholder_signs(&signing, &wanted);
	RIG_UNTIL(&signing.rig, patient_peer.shaken && is_established(&patient));
	session_close(&other);
	rig_forget(&signing.rig, &other_peer);
	end(&signing, &patient, &patient_peer);
	signing_deinit(&signing);
}

/* ---- many ---- */

#define MANY (LIMIT_SIGNS + 6)

struct many {
	struct program_session sessions[MANY];
	struct peer peers[MANY];
};

static bool all_shaken(struct many *many, unsigned count)
{
	unsigned shaken = 0;

	for (unsigned i = 0; i < count; i++) {
		peer_step(&many->peers[i]);
		shaken += many->peers[i].shaken && is_established(&many->sessions[i]);
	}
	return shaken == count;
}

/* So many stop at once; the others stand in line, and go on as those are over. */
static void handshakes_stand_in_line(void **state unused_)
{
	static struct wanted wanted[MANY];
	static struct many many;
	struct signing_rig signing;
	unsigned heard = 0;

	signing_init(&signing);
	for (unsigned i = 0; i < MANY; i++) {
		rig_connect(&signing.rig, &signing.program, &many.sessions[i], &as_me,
			    &many.peers[i], signing.server);
		for (int p = 0; p < RIG_PEERS; p++)
			signing.rig.peers[p] = NULL; /* they are driven here */
	}
	RIG_UNTIL(&signing.rig, (all_shaken(&many, MANY), heard += keyholder_hears(&signing, &wanted[heard]),
				 heard == LIMIT_SIGNS));
	for (int i = 0; i < 50; i++) {
		all_shaken(&many, MANY);
		rig_turn(&signing.rig);
	}
	assert_false(keyholder_hears(&signing, &wanted[heard]));
	assert_int_equal(rig_worker(&signing.rig)->fibre_count, LIMIT_SIGNS);
	/* One of those in line goes; it is not waited for. */
	session_close(&many.sessions[MANY - 1]);
	/* The first is done: the next one is asked for. */
	keyholder_signs(&signing, &wanted[0]);
	RIG_UNTIL(&signing.rig, (all_shaken(&many, MANY - 1), keyholder_hears(&signing, &wanted[heard])));
	for (unsigned i = 1; i <= heard; i++)
		keyholder_signs(&signing, &wanted[i]);
	heard++;
	while (heard < MANY - 1) {
		RIG_UNTIL(&signing.rig,
			  (all_shaken(&many, MANY - 1), keyholder_hears(&signing, &wanted[heard])));
		keyholder_signs(&signing, &wanted[heard++]);
	}
	RIG_UNTIL(&signing.rig, all_shaken(&many, MANY - 1));
	for (unsigned i = 0; i < MANY; i++) {
		session_close(&many.sessions[i]);
		peer_deinit(&many.peers[i]);
	}
	signing_deinit(&signing);
}

/* A place becomes free, and those who would be next leave in the same turn of the loop: the last goes on. */
static void the_line_moves_on_when_its_first_leave(void **state unused_)
{
	static struct wanted wanted[MANY];
	static struct many many;
	struct signing_rig signing;
	unsigned heard = 0;

	signing_init(&signing);
	for (unsigned i = 0; i < MANY; i++) {
		rig_connect(&signing.rig, &signing.program, &many.sessions[i], &as_me,
			    &many.peers[i], signing.server);
		for (int p = 0; p < RIG_PEERS; p++)
			signing.rig.peers[p] = NULL;
	}
	RIG_UNTIL(&signing.rig, (all_shaken(&many, MANY), heard += keyholder_hears(&signing, &wanted[heard]),
				 heard == LIMIT_SIGNS));
	for (int i = 0; i < 50; i++) {
		all_shaken(&many, MANY);
		rig_turn(&signing.rig);
	}
	keyholder_signs(&signing, &wanted[0]);
	for (unsigned i = LIMIT_SIGNS; i < MANY - 1; i++)
		session_close(&many.sessions[i]);
	RIG_UNTIL(&signing.rig, (peer_step(&many.peers[MANY - 1]),
				 keyholder_hears(&signing, &wanted[heard])));
	signing.program.fd = fd_close(signing.program.fd);
	for (unsigned i = 0; i < MANY; i++) {
		session_close(&many.sessions[i]);
		peer_deinit(&many.peers[i]);
	}
	signing_deinit(&signing);
}

/* All of them end at once, those that have stopped and those in line. */
static void all_that_wait_end_together(void **state unused_)
{
	static struct wanted wanted;
	static struct many many;
	struct signing_rig signing;
	unsigned heard = 0;

	signing_init(&signing);
	for (unsigned i = 0; i < MANY; i++) {
		rig_connect(&signing.rig, &signing.program, &many.sessions[i], &as_me,
			    &many.peers[i], signing.server);
		for (int p = 0; p < RIG_PEERS; p++)
			signing.rig.peers[p] = NULL;
	}
	RIG_UNTIL(&signing.rig, (all_shaken(&many, MANY), heard += keyholder_hears(&signing, &wanted),
				 heard == LIMIT_SIGNS));
	signing.program.fd = fd_close(signing.program.fd);
	for (unsigned i = 0; i < MANY; i++) {
		session_close(&many.sessions[i]);
		peer_deinit(&many.peers[i]);
	}
	signing_deinit(&signing);
}

/* What the keyholder has yet to answer counts, also when nobody waits for it: who comes and goes quickly
 * does not have the worker ask for more than the keyholder allows. */
static void those_that_have_gone_count_until_they_are_answered(void **state unused_)
{
	static struct wanted wanted[LIMIT_SIGNS], last;
	struct program_session session;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	for (unsigned i = 0; i < LIMIT_SIGNS; i++) {
		begin(&signing, &session, &peer, &as_me, &wanted[i]);
		end(&signing, &session, &peer);
	}
	rig_connect(&signing.rig, &signing.program, &session, &as_me, &peer, signing.server);
	RIG_UNTIL(&signing.rig, rig_worker(&signing.rig)->fibre_count == 1);
	rig_turn(&signing.rig);
	assert_false(keyholder_hears(&signing, &last));
	keyholder_signs(&signing, &wanted[0]);
	RIG_UNTIL(&signing.rig, keyholder_hears(&signing, &last));
	for (unsigned i = 1; i < LIMIT_SIGNS; i++)
		keyholder_signs(&signing, &wanted[i]);
	keyholder_signs(&signing, &last);
	RIG_UNTIL(&signing.rig, peer.shaken && is_established(&session));
	end(&signing, &session, &peer);
	assert_int_equal(rig_worker(&signing.rig)->signs_asked.count, 0);
	assert_int_equal(rig_worker(&signing.rig)->signs_asked.bytes, 0);
	signing_deinit(&signing);
}

/* While one waits, another one's bytes go through and back, and a third comes. */
static void other_sessions_go_on_meanwhile(void **state unused_)
{
	struct program_session waiting, other, third;
	struct peer waiting_peer, other_peer, third_peer;
	struct testing_text sent = noise(100000, 5), got = { 0 };
	static struct wanted wanted;
	struct signing_rig signing;
	size_t written = 0;

	signing_init(&signing);
	rig_establish(&signing.rig, &signing.program, &other, &anything, &other_peer);
	other_peer.echo = true;
	begin(&signing, &waiting, &waiting_peer, &as_me, &wanted);
	rig_establish(&signing.rig, &signing.program, &third, &as_me, &third_peer);
	RIG_UNTIL(&signing.rig,
		  (written += session_write(&other, sent.data + written, sent.len - written),
		   session_read(&other, &got, sent.len), got.len == sent.len));
	assert_true(same(&sent, &got));
	assert_false(session_is_over(&waiting));
	keyholder_signs(&signing, &wanted);
	RIG_UNTIL(&signing.rig, waiting_peer.shaken && is_established(&waiting));
	session_close(&other);
	session_close(&third);
	rig_turn(&signing.rig);
	rig_forget(&signing.rig, &other_peer);
	rig_forget(&signing.rig, &third_peer);
	end(&signing, &waiting, &waiting_peer);
	free(sent.data);
	free(got.data);
	signing_deinit(&signing);
}

/* New identities while a handshake has stopped: it ends as it began. */
static void identities_that_are_replaced_stay_for_those_who_use_them(void **state unused_)
{
	struct program_session session;
	static struct wanted wanted;
	struct signing_rig signing;
	struct peer peer;

	signing_init(&signing);
	begin(&signing, &session, &peer, &as_me, &wanted);
	signing_policy(&signing.rig, 0);
	rig_turn(&signing.rig);
	keyholder_signs(&signing, &wanted);
	RIG_UNTIL(&signing.rig, peer.shaken && is_established(&session));
	end(&signing, &session, &peer);
	signing_deinit(&signing);
}

/* ---- what the supervisor may not say ---- */

static void expect_lost(struct signing_rig *signing, uint32_t key, const char *name, int fd)
{
	signing_say_identity(&signing->rig, key, name, fd);
	for (int i = 0; i < 4; i++)
		event_base_loop(signing->rig.child.base, EVLOOP_NONBLOCK);
	assert_true(signing->rig.lost);
	signing->rig.lost = false;
}

static void identities_that_lie_are_refused(void **state unused_)
{
	for (int lie = 0; lie < 6; lie++) {
		struct signing_rig signing;
		int fd;

		signing_init(&signing);
		if (lie != 0) /* one that was not announced */
			signing_policy(&signing.rig, 1);
		fd = chain_file(signing.identities[0].x509, NULL);
		if (lie == 2) {
			/* A certificate, and bytes behind it that are none. */
			unsigned char bytes[4096], *at = bytes;

			close(fd);
			i2d_X509(signing.identities[0].x509, &at);
			*at++ = 0x30;
			assert_int_equal(fd_sealed_copy("x", (char *)bytes, (size_t)(at - bytes), &fd),
					 0);
		} else if (lie == 3) {
			close(fd);
			fd = memfd_create("unsealed", MFD_CLOEXEC);
			assert_int_equal(write(fd, "x", 1), 1);
		} else if (lie == 4) {
			close(fd);
			assert_int_equal(fd_sealed_copy("x", "garbage", 7, &fd), 0);
		} else if (lie == 5) {
			close(fd);
			fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		}
		expect_lost(&signing, lie == 1 ? 0 : 1, "id1", fd);
		fd_close(signing.program.fd);
		rig_deinit(&signing.rig);
		SSL_CTX_free(signing.server);
		testing_identity_free(&signing.root);
		testing_identity_free(&signing.identities[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_key_is_shown_in_both_versions),
		TEST(old_servers_get_old_signatures),
		TEST(nothing_is_shown_to_a_server_that_does_not_ask),
		TEST(nothing_is_shown_that_was_not_asked_for),
		TEST(an_identity_of_others_is_refused),
		TEST(what_the_keyholder_refuses_ends_the_session),
		TEST(false_signatures_are_of_no_use),
		TEST(an_answer_for_nobody_is_dropped),
		TEST(a_worker_ends_in_the_middle_of_a_handshake),
		TEST(an_answer_before_the_question_is_dropped),
		TEST(a_keyholder_that_dies_is_followed_by_another_which_is_asked),
		TEST(the_second_keyholder_that_dies_ends_the_session),
		TEST(without_a_keyholder_sessions_wait),
		TEST(handshakes_stand_in_line),
		TEST(the_line_moves_on_when_its_first_leave),
		TEST(all_that_wait_end_together),
		TEST(those_that_have_gone_count_until_they_are_answered),
		TEST(other_sessions_go_on_meanwhile),
		TEST(identities_that_are_replaced_stay_for_those_who_use_them),
		TEST(identities_that_lie_are_refused),
	};

	return testing_run(tests);
}
