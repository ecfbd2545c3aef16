/*
 * Case 28: hosts and names that are none are refused before anything is dialled.
 * Case 39: names that a server chooses, in certificates and ALPN, reach neither the program's texts nor
 * the log but as one printable line.
 */
#include "tests/unit/testing_clock.h"
#include "tests/unit/worker_rig.h"

#include "tests/attacks.h"

static unsigned long tried, survived;

static void count(bool good)
{
	tried++;
	survived += good;
}

/* ---- case 28 ---- */

struct text {
	const char *data;
	size_t len;
};

#define TEXT(s) {s, sizeof(s) - 1}
#define X10	"xxxxxxxxxx"
#define X100	X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct text bad_names[] = {
	TEXT(""), TEXT(" "), TEXT("\0"), TEXT("server.example\0"), TEXT("server.example\0.evil"),
	TEXT("\0server.example"), TEXT("a b"), TEXT("a\nb"), TEXT("a\x1b[31m"), TEXT("."),
	TEXT(".."), TEXT("-"), TEXT("*"), TEXT("*.example"), TEXT("a/b"), TEXT("a:b"),
	TEXT("user@host"), TEXT("[::1"), TEXT("[]"), TEXT("::1%"), TEXT("%lo"), TEXT("b\xc3\xbc"),
	TEXT("\xff"), TEXT(X100 X100 X100),
};

/* What a program that knows the protocol can send, the library's own checks left out. */
static void ask(struct program_session *session, const struct text *host, const struct text *name)
{
	const struct msg_connect connect = {
		.host_len = (uint16_t)host->len, .name_len = (uint16_t)name->len, .port = 443};
	char tail[1024];

	memcpy(tail, host->data, host->len);
	memcpy(tail + host->len, name->data, name->len);
	assert_int_equal(program_send(session->fd, CLIENT_MSG_CONNECT, &connect, tail,
				      host->len + name->len, NULL), 0);
}

static void expect_no_dial(struct rig *rig, const struct text *host, const struct text *name)
{
	struct program_session session;
	struct program program;
	bool good;

	rig_program(rig, &program);
	program_open(&program, &session);
	ask(&session, host, name);
	RIG_UNTIL(rig, session_is_over(&session));
	good = rig_dial(rig) == 0 && (session.refused || !session.channel.page ||
				      session.channel.page->error != TLSB_E_NONE);
	count(good);
	if (!good)
		print_message("\"%s\" for \"%s\"\n", host->data, name->data);
	assert_true(good);
	session_close(&session);
	close(program.fd);
	rig_turn(rig);
}

/* An empty name is not one that was left out by mistake: it means the host, which is never empty. */
static void case_28_no_name_is_refused_before_anything_is_dialled(void **state unused_)
{
	const struct text good = TEXT("server.example"), none = TEXT("");
	struct rig rig;

	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
		expect_no_dial(&rig, &bad_names[i], &none);
		expect_no_dial(&rig, &bad_names[i], &good);
		if (bad_names[i].len > 0)
			expect_no_dial(&rig, &good, &bad_names[i]);
	}
	rig_expect_no_sessions(&rig);
	rig_deinit(&rig);
}

/* ---- case 39 ---- */

/* A server's words: a line of its own, colours, a cursor that moves, bytes that are no text. */
static const struct text evil[] = {
	TEXT("x\n2030-01-01 ERROR supervisor[1]: forged"),
	TEXT("x\r\nforged"),
	TEXT("\x1b[2J\x1b[31mred\x1b]0;title\x07"),
	TEXT("\x9b" "31m and \x80\xff\xfe"),
	TEXT("a\0b"),
	TEXT("%s%n%x \\x41 \\"),
	TEXT("\xe2\x80\xae" "gnp.exe"),
	TEXT("\x7f\x08\x08\x08"),
};

static struct text long_evil(void)
{
	static char data[6000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = "\n\x1b%\xff"[i % 4];
	return (struct text){data, sizeof(data)};
}

/* Where it stands; with flags, several at once. */
enum { SUBJECT = 1, ISSUER = 2, DNS = 4, MAIL = 8, GOOD_NAME = 16 };

/* Not as text that OpenSSL would check and shorten; what is no UTF-8 becomes a T61String. */
static void set_name(X509_NAME *name, const struct text *text)
{
	static const int types[] = {V_ASN1_UTF8STRING, V_ASN1_T61STRING};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		while (X509_NAME_entry_count(name) > 0)
			X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0));
		if (X509_NAME_add_entry_by_NID(name, NID_commonName, types[i],
					       (const unsigned char *)text->data, (int)text->len,
					       -1, 0) == 1 &&
		    i2d_X509_NAME(name, NULL) > 0)
			return;
	}
	fail_msg("%s", "no such name");
}

static void add_name(GENERAL_NAMES *names, int type, const struct text *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *string = ASN1_IA5STRING_new();

	ASN1_STRING_set(string, text->data, (int)text->len);
	GENERAL_NAME_set0_value(name, type, string);
	sk_GENERAL_NAME_push(names, name);
}

static struct testing_identity evil_leaf(const struct testing_identity *root, int where,
					 const struct text *text)
{
	struct testing_identity leaf = cert_new((struct cert_spec){.name = "leaf"}, root);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	const struct text good = TEXT("server.example");

	if (where & SUBJECT)
		set_name(X509_get_subject_name(leaf.x509), text);
	if (where & ISSUER)
		set_name(X509_get_issuer_name(leaf.x509), text);
	if (where & DNS)
		add_name(names, GEN_DNS, text);
	if (where & MAIL)
		add_name(names, GEN_EMAIL, text);
	if (where & GOOD_NAME)
		add_name(names, GEN_DNS, &good);
	assert_int_equal(X509_add1_ext_i2d(leaf.x509, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
	assert_true(X509_sign(leaf.x509, root->key, EVP_sha256()) > 0);
	return leaf;
}

static bool is_clean(const char *text, size_t size, bool lines)
{
	size_t len = strnlen(text, size);

	for (size_t i = 0; i < len; i++) {
		if ((text[i] < ' ' || text[i] > '~') && !(lines && text[i] == '\n'))
			return false;
	}
	return len < size;
}

/* The text of an event, and of its fields, as they go to the supervisor. */
static bool log_is_clean(struct rig *rig)
{
	const struct msg_context ctx = {&internal_messages, ROLE_SUPERVISOR, ROLE_WORKER, RUN};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	bool clean = true;
	struct msg msg;

	while (msg_recv(rig->supervisor, &ctx, &buf, &msg, &rule) == 1) {
		/* Between NULs, each field's number in front of it; no number is printable. */
		for (size_t i = 0; msg.type == MSG_LOG && i < msg.tail_len; i++) {
			uint8_t c = ((const uint8_t *)msg.tail)[i];
			bool number = i > 0 && ((const uint8_t *)msg.tail)[i - 1] == 0;

			clean = clean && (c == 0 || number || (c >= ' ' && c <= '~'));
		}
	}
	return clean;
}

static bool texts_are_clean(const struct control_page *page)
{
	const struct tlsb_info *info = &page->info;

	return is_clean(page->text, sizeof(page->text), false) &&
	       is_clean(info->subject, sizeof(info->subject), false) &&
	       is_clean(info->chain, sizeof(info->chain), true) &&
	       is_clean(info->alpn, sizeof(info->alpn), false);
}

static void show(struct rig *rig, const struct testing_identity *leaf, bool trusted)
{
	const struct wish wish = {.flags = CONNECT_NO_RESUMPTION, .alpn = "h2"};
	SSL_CTX *server = server_new(leaf, NULL, NULL);
	struct program_session session;
	struct program program;
	struct peer peer;
	bool good = true;
	uint64_t id;
	int pair[2];

	rig_program(rig, &program);
	id = rig_session(rig, &program, &session, &wish);
	tcp_pair(pair);
	peer_init(&peer, server, pair[1]);
	rig_dialed(rig, id, pair[0]);
	while (!session_is_over(&session) &&
	       session_word(&session.channel.page->state) < STATE_ESTABLISHED) {
		event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
		peer_step(&peer);
		good = log_is_clean(rig) && good;
	}
	event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
	good = log_is_clean(rig) && good;
	assert_int_equal(session.channel.page->error == TLSB_E_NONE, trusted);
	good = good && texts_are_clean(session.channel.page);
	if (!good)
		print_message("%s\n%s\n", session.channel.page->text,
			      session.channel.page->info.chain);
	count(good);
	assert_true(good);
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	rig_turn(rig);
	SSL_CTX_free(server);
}

static void show_everywhere(struct rig *rig, const struct text *text)
{
	static const int places[] = {DNS, DNS | SUBJECT, MAIL | SUBJECT, ISSUER, ISSUER | SUBJECT,
				     SUBJECT | GOOD_NAME, SUBJECT | DNS | MAIL | GOOD_NAME};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct testing_identity leaf = evil_leaf(&rig->root, places[i], text);

		show(rig, &leaf, (places[i] & GOOD_NAME) != 0);
		testing_identity_free(&leaf);
	}
}

static void case_39_a_certificates_names_stay_one_printable_line(void **state unused_)
{
	const struct text much = long_evil();
	struct rig rig;

	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(evil); i++)
		show_everywhere(&rig, &evil[i]);
	show_everywhere(&rig, &much);
	rig_deinit(&rig);
}

static const struct text *chosen;

static int choose(SSL *ssl unused_, const unsigned char **out, unsigned char *out_len,
		  const unsigned char *in unused_, unsigned in_len unused_, void *arg unused_)
{
	*out = (const unsigned char *)chosen->data;
	*out_len = (unsigned char)MIN(chosen->len, 255u);
	return SSL_TLSEXT_ERR_OK;
}

/* The program offers what it will be answered with: control characters are legal in ALPN. */
static void case_39_a_protocols_name_stays_one_printable_line(void **state unused_)
{
	const struct text much = long_evil();
	struct rig rig;

	rig_init(&rig);
	SSL_CTX_set_alpn_select_cb(rig.server, choose, NULL);
	for (size_t i = 0; i <= ARRAY_SIZE(evil); i++) {
		char offer[256];
		struct wish wish = {.flags = CONNECT_NO_RESUMPTION, .alpn = offer};
		struct program_session session;
		struct program program;
		struct peer peer;
		bool good;

		chosen = i < ARRAY_SIZE(evil) ? &evil[i] : &much;
		snprintf(offer, sizeof(offer), "%.*s", (int)MIN(chosen->len, 254u), chosen->data);
		rig_program(&rig, &program);
		rig_connect(&rig, &program, &session, &wish, &peer, rig.server);
		RIG_UNTIL(&rig, session_is_over(&session) ||
					session_word(&session.channel.page->state) ==
						STATE_ESTABLISHED);
		good = texts_are_clean(session.channel.page);
		count(good);
		assert_true(good);
		session_close(&session);
		rig_forget(&rig, &peer);
		close(program.fd);
		rig_turn(&rig);
	}
	rig_deinit(&rig);
}

static int sum_up(void **state unused_)
{
	attacks_count("servers", tried, survived);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_28_no_name_is_refused_before_anything_is_dialled),
		TEST(case_39_a_certificates_names_stay_one_printable_line),
		TEST(case_39_a_protocols_name_stays_one_printable_line),
	};

	return cmocka_run_group_tests(tests, NULL, sum_up);
}
