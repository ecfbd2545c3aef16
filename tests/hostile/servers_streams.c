/*
 * Case 34: streams that were once a server's, mutated, played to a worker that has just said hello:
 * whatever they are, the session ends with a verdict, and is never established.
 *
 * The streams are recorded here, from OpenSSL's server in several moods.  CORPUS=DIR plays each file
 * of a folder as well: what the fuzzers of TLS libraries have collected is not ours to keep here.
 */
#include "tests/unit/worker_rig.h"

#include "tests/attacks.h"

#define STREAMS	 6
#define LONGEST	 (1024 * 1024)

static unsigned long tried, survived;

/* ---- recording ---- */

static void pass(BIO *from, BIO *to, struct testing_text *record)
{
	char data[4096];
	int n;

	while ((n = BIO_read(from, data, sizeof(data))) > 0) {
		if (record)
			testing_append(record, data, (size_t)n);
		BIO_write(to, data, n);
	}
}

/* All that SERVER says in a session with a client that asks for nothing special. */
static struct testing_text record(SSL_CTX *server_ctx)
{
	SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	struct testing_text stream = {0};
	BIO *server_in = BIO_new(BIO_s_mem()), *server_out = BIO_new(BIO_s_mem());
	BIO *client_in = BIO_new(BIO_s_mem()), *client_out = BIO_new(BIO_s_mem());
	char data[256];

	SSL_set_bio(server, server_in, server_out);
	SSL_set_bio(client, client_in, client_out);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(client);
		pass(client_out, server_in, NULL);
		if (SSL_do_handshake(server) == 1 && i == 5) {
			SSL_write(server, "some data", 9);
			SSL_shutdown(server);
		}
		pass(server_out, client_in, &stream);
		SSL_read(client, data, sizeof(data));
	}
	assert_true(stream.len > 500);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(client_ctx);
	ERR_clear_error();
	return stream;
}

static void corpus_init(struct testing_text corpus[STREAMS])
{
	struct testing_identity root = cert_new((struct cert_spec){.name = "root", .is_ca = true},
						NULL);
	struct testing_identity leaf = cert_new(
		(struct cert_spec){.name = "leaf", .names = "DNS:server.example"}, &root);
	struct testing_identity rsa = cert_new((struct cert_spec){.name = "rsa",
								  .names = "DNS:server.example",
								  .rsa_bits = 2048}, &root);

	for (int i = 0; i < STREAMS; i++) {
		SSL_CTX *ctx = server_new(i % 2 ? &rsa : &leaf, root.x509, NULL);

		SSL_CTX_set_max_proto_version(ctx, i < 3 ? TLS1_2_VERSION : TLS1_3_VERSION);
		if (i == 2 || i == 4) /* asks for a certificate */
			SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		if (i == 5) /* HelloRetryRequest */
			assert_int_equal(SSL_CTX_set1_groups_list(ctx, "P-384"), 1);
		corpus[i] = record(ctx);
		SSL_CTX_free(ctx);
	}
	testing_identity_free(&root);
	testing_identity_free(&leaf);
	testing_identity_free(&rsa);
}

/* ---- mutation ---- */

static size_t below(uint64_t *seed, size_t limit)
{
	return (size_t)(testing_random(seed) % (limit ? limit : 1));
}

static struct testing_text copy_of(const struct testing_text *from)
{
	struct testing_text text = {0};

	testing_append(&text, from->data, from->len);
	return text;
}

static void flip_bits(struct testing_text *text, uint64_t *seed)
{
	for (size_t n = 1 + below(seed, 3); n > 0; n--)
		text->data[below(seed, text->len)] ^= (char)(1 << below(seed, 8));
}

static void set_bytes(struct testing_text *text, uint64_t *seed)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};

	for (size_t n = 1 + below(seed, 4); n > 0; n--)
		text->data[below(seed, text->len)] = (char)edges[below(seed, sizeof(edges))];
}

static void cut(struct testing_text *text, uint64_t *seed)
{
	text->len = below(seed, text->len);
}

static void leave_out(struct testing_text *text, uint64_t *seed)
{
	size_t at = below(seed, text->len), n = below(seed, MIN(text->len - at, 300u));

	memmove(text->data + at, text->data + at + n, text->len - at - n);
	text->len -= n;
}

static void repeat(struct testing_text *text, uint64_t *seed)
{
	struct testing_text old = *text, out = {0};
	size_t at = below(seed, old.len), n = below(seed, MIN(old.len - at, 300u));

	testing_append(&out, old.data, at + n);
	for (size_t times = 1 + below(seed, 20); times > 0; times--)
		testing_append(&out, old.data + at, n);
	testing_append(&out, old.data + at + n, old.len - at - n);
	free(old.data);
	*text = out;
}

static void stuff(struct testing_text *text, uint64_t *seed)
{
	for (size_t at = below(seed, text->len), n = below(seed, 40); n > 0 && at < text->len; n--)
		text->data[at++] = (char)testing_random(seed);
}

static void (*const mutations[])(struct testing_text *, uint64_t *) = {
	flip_bits, set_bytes, cut, leave_out, repeat, stuff,
};

/* Another stream's end behind this one's beginning. */
static void graft(struct testing_text *text, const struct testing_text *other, uint64_t *seed)
{
	size_t from = below(seed, other->len);

	text->len = below(seed, text->len);
	testing_append(text, other->data + from, other->len - from);
}

/* ---- playing ---- */

struct player {
	struct rig rig;
	struct program program;
};

static bool is_printable(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return len > 10 && len <= LIMIT_TEXT;
}

/* The server says STREAM, and closes. */
static bool play(struct player *player, const void *stream, size_t len)
{
	const struct wish wish = {.flags = CONNECT_NO_RESUMPTION, .deadline_ms = 5000};
	struct program_session session;
	struct control_page *page;
	const char *at = stream;
	bool good;
	int pair[2];

	tcp_pair(pair);
	rig_dialed(&player->rig, rig_session(&player->rig, &player->program, &session, &wish),
		   pair[0]);
	page = session.channel.page;
	session_write(&session, "secret", 6);
	while (!session_is_over(&session)) {
		ssize_t n = send(pair[1], at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
		if (len == 0)
			shutdown(pair[1], SHUT_WR);
		event_base_loop(player->rig.child.base, EVLOOP_NONBLOCK);
	}
	good = session_word(&page->state) < STATE_ESTABLISHED && page->error != TLSB_E_NONE &&
	       page->error != TLSB_E_TIMEOUT && is_printable(page->text);
	if (!good)
		print_message("state %u, error %u %s\n", page->state, page->error, page->text);
	session_close(&session);
	close(pair[1]);
	rig_turn(&player->rig);
	tried++;
	survived += good;
	return good;
}

static void player_init(struct player *player)
{
	rig_init(&player->rig);
	rig_program(&player->rig, &player->program);
}

static void player_deinit(struct player *player)
{
	close(player->program.fd);
	rig_turn(&player->rig);
	rig_expect_no_sessions(&player->rig);
	rig_deinit(&player->rig);
}

static void case_34_mutated_streams_end_with_a_verdict(void **state unused_)
{
	const unsigned rounds = attacks_full() ? 50000 : 1500;
	struct testing_text corpus[STREAMS];
	struct player player;
	uint64_t seed = 34;

	corpus_init(corpus);
	player_init(&player);
	for (int i = 0; i < STREAMS; i++)
		assert_true(play(&player, corpus[i].data, corpus[i].len)); /* another session's */
	for (unsigned i = 0; i < rounds; i++) {
		struct testing_text text = copy_of(&corpus[i % STREAMS]);
		uint64_t before = seed;

		if (below(&seed, 8) == 0)
			graft(&text, &corpus[below(&seed, STREAMS)], &seed);
		for (size_t n = 1 + below(&seed, 3); n > 0 && text.len > 0; n--)
			mutations[below(&seed, ARRAY_SIZE(mutations))](&text, &seed);
		if (!play(&player, text.data, text.len))
			fail_msg("stream %u of seed %lu", i % STREAMS, before);
		free(text.data);
	}
	player_deinit(&player);
	for (int i = 0; i < STREAMS; i++)
		free(corpus[i].data);
}

static void play_file(struct player *player, int folder, const char *name)
{
	cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	char *data = malloc(LONGEST);
	ssize_t len = read(fd, data, LONGEST);

	if (len >= 0 && !play(player, data, (size_t)len))
		fail_msg("%s", name);
	free(data);
}

static void case_34_a_folder_of_streams_is_played(void **state unused_)
{
	const char *path = getenv("CORPUS");
	struct player player;
	struct dirent *entry;
	DIR *dir;

	if (!path)
		skip();
	dir = opendir(path);
	assert_non_null(dir);
	player_init(&player);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			play_file(&player, dirfd(dir), entry->d_name);
	}
	player_deinit(&player);
	closedir(dir);
}

static int sum_up(void **state unused_)
{
	attacks_count("servers", tried, survived);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_34_mutated_streams_end_with_a_verdict),
		TEST(case_34_a_folder_of_streams_is_played),
	};

	return cmocka_run_group_tests(tests, NULL, sum_up);
}
