/*
 * The resumption cache: tickets once, sessions again, nothing for too long, nothing without end.
 */
#include "testing.h"

#include "wire/limits.h"
#include "worker/resume.h"

static struct resume_key key_of(unsigned number)
{
	struct resume_key key = {{0}};

	memcpy(key.bytes, &number, sizeof(number));
	return key;
}

/* A session that says it is resumable: it has an id. */
static SSL_SESSION *session_new_of(int version, unsigned number)
{
	SSL_SESSION *session = SSL_SESSION_new();

	assert_int_equal(SSL_SESSION_set_protocol_version(session, version), 1);
	assert_int_equal(
		SSL_SESSION_set1_id(session, (const unsigned char *)&number, sizeof(number)), 1);
	assert_int_equal(SSL_SESSION_is_resumable(session), 1);
	return session;
}

static void put(struct resume_cache *cache, unsigned key, int version, unsigned number,
		time_t until)
{
	SSL_SESSION *session = session_new_of(version, number);
	struct resume_key of = key_of(key);

	resume_put(cache, &of, session, until);
	SSL_SESSION_free(session);
}

/* The number of the session found, or 0. */
static unsigned take(struct resume_cache *cache, unsigned key, time_t *ret_until)
{
	struct resume_key of = key_of(key);
	SSL_SESSION *session = resume_take(cache, &of, ret_until);
	unsigned number = 0, len = 0;

	if (session)
		memcpy(&number, SSL_SESSION_get_id(session, &len), sizeof(number));
	SSL_SESSION_free(session);
	return number;
}

static void a_tls_1_3_ticket_is_taken_once(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	time_t later = time(NULL) + 1000, until = 0;

	put(cache, 1, TLS1_3_VERSION, 11, later);
	assert_int_equal(take(cache, 1, &until), 11);
	assert_int_equal(until, later);
	assert_int_equal(take(cache, 1, &until), 0);
	put(cache, 1, TLS1_3_VERSION, 12, later);
	put(cache, 1, TLS1_3_VERSION, 13, later);
	assert_int_equal(take(cache, 1, &until), 13); /* the newest first */
	assert_int_equal(take(cache, 1, &until), 12);
	assert_int_equal(take(cache, 1, &until), 0);
	resume_cache_free(cache);
}

static void a_tls_1_2_session_stays(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	time_t later = time(NULL) + 1000, until = 0;

	put(cache, 1, TLS1_2_VERSION, 21, later);
	for (int i = 0; i < 5; i++)
		assert_int_equal(take(cache, 1, &until), 21);
	assert_int_equal(until, later);
	resume_cache_free(cache);
}

static void keys_do_not_mix(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	struct resume_key almost = key_of(1);
	time_t later = time(NULL) + 1000, until = 0;

	put(cache, 1, TLS1_2_VERSION, 31, later);
	assert_int_equal(take(cache, 2, &until), 0);
	almost.bytes[RESUME_KEY_BYTES - 1] ^= 1; /* the same bucket */
	assert_null(resume_take(cache, &almost, &until));
	assert_int_equal(take(cache, 1 + LIMIT_RESUME_ENTRIES / 4, &until), 0);
	assert_int_equal(take(cache, 1, &until), 31);
	resume_cache_free(cache);
}

static void what_has_expired_is_gone(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	time_t now = time(NULL), until = 7;

	put(cache, 1, TLS1_2_VERSION, 41, now);
	put(cache, 2, TLS1_3_VERSION, 42, now - 1);
	put(cache, 3, TLS1_2_VERSION, 43, 0); /* a chain whose end could not be read */
	for (unsigned key = 1; key <= 3; key++)
		assert_int_equal(take(cache, key, &until), 0);
	assert_int_equal(until, 7);
	put(cache, 1, TLS1_2_VERSION, 44, now + 1000);
	put(cache, 1, TLS1_2_VERSION, 45,
	    now); /* newer, yet over: the older one is found behind it */
	assert_int_equal(take(cache, 1, &until), 44);
	resume_cache_free(cache);
}

static void what_may_not_be_resumed_is_not(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	SSL_SESSION *session = SSL_SESSION_new(); /* neither id nor ticket */
	struct resume_key key = key_of(1);
	time_t until;

	resume_put(cache, &key, session, time(NULL) + 1000);
	SSL_SESSION_free(session);
	assert_null(resume_take(cache, &key, &until));
	resume_cache_free(cache);
}

static void the_oldest_makes_room(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	time_t later = time(NULL) + 1000, until;

	for (unsigned i = 1; i <= LIMIT_RESUME_ENTRIES + 10; i++)
		put(cache, i, TLS1_2_VERSION, i, later);
	for (unsigned i = 1; i <= LIMIT_RESUME_ENTRIES + 10; i++)
		assert_int_equal(take(cache, i, &until), i <= 10 ? 0 : i);
	resume_cache_free(cache);
}

static void one_server_does_not_fill_the_cache(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	time_t later = time(NULL) + 1000, until;

	put(cache, 9, TLS1_2_VERSION, 99, later);
	for (unsigned i = 1; i <= LIMIT_RESUME_OF_ONE + 3; i++)
		put(cache, 1, TLS1_3_VERSION, i, later);
	for (unsigned i = LIMIT_RESUME_OF_ONE + 3; i > 3; i--)
		assert_int_equal(take(cache, 1, &until), i);
	assert_int_equal(take(cache, 1, &until), 0);
	assert_int_equal(take(cache, 9, &until), 99);
	resume_cache_free(cache);
}

static void a_flush_forgets_everything(void **state unused_)
{
	struct resume_cache *cache = resume_cache_new();
	time_t later = time(NULL) + 1000, until;

	for (unsigned i = 1; i <= 100; i++)
		put(cache, i, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION, i, later);
	resume_flush(cache);
	for (unsigned i = 1; i <= 100; i++)
		assert_int_equal(take(cache, i, &until), 0);
	resume_flush(cache);
	put(cache, 1, TLS1_2_VERSION, 1, later);
	assert_int_equal(take(cache, 1, &until), 1);
	assert_null(resume_cache_free(cache));
	assert_null(resume_cache_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tls_1_3_ticket_is_taken_once),
		TEST(a_tls_1_2_session_stays),
		TEST(keys_do_not_mix),
		TEST(what_has_expired_is_gone),
		TEST(what_may_not_be_resumed_is_not),
		TEST(the_oldest_makes_room),
		TEST(one_server_does_not_fill_the_cache),
		TEST(a_flush_forgets_everything),
	};

	return testing_run(tests);
}
