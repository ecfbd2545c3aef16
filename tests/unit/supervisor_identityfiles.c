/*
 * The files of identities: which are good, what is said of those that are not, and whose numbers stay
 * over a reload.
 */
#include "testing_x509.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "supervisor/policy.h"

struct scene {
	char folder[64];
	struct testing_identity ca, own, other;
	struct conf *conf;
	struct conf_errors errors;
	struct identity_files files;
};

static const char *path(const struct scene *scene, const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *dst = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(dst, sizeof(paths[0]), "%s/%s", scene->folder, name);
	return dst;
}

static void write_file(const struct scene *scene, const char *name, const void *data, size_t len,
		       mode_t mode)
{
	int fd = open(path(scene, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void write_key(const struct scene *scene, const char *name, const EVP_PKEY *key, mode_t mode)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct testing_text text = { 0 };

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	testing_append_bio(&text, bio);
	write_file(scene, name, text.data, text.len, mode);
	free(text.data);
}

static void write_certificate(const struct scene *scene, const char *name, X509 *own)
{
	struct testing_text text = { 0 };

	testing_append_pem(&text, own);
	write_file(scene, name, text.data, text.len, 0644);
	free(text.data);
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .folder = "/tmp/tlsb-identities.XXXXXX" };
	assert_non_null(mkdtemp(scene->folder));
	scene->ca = testing_identity_new("ca", NULL, 1);
	scene->own = testing_identity_new("own", &scene->ca, 0);
	scene->other = testing_identity_new("other", &scene->ca, 0);
	write_certificate(scene, "cert", scene->own.x509);
	write_key(scene, "key", scene->own.key, 0600);
}

static void forget(struct scene *scene)
{
	identity_files_deinit(&scene->files);
	scene->conf = conf_free(scene->conf);
	conf_errors_deinit(&scene->errors);
}

static void scene_deinit(struct scene *scene)
{
	static const char *const names[] = { "cert", "key", "bad", "tlsbroker.conf", "ca" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(path(scene, names[i]));
	assert_int_equal(rmdir(scene->folder), 0);
	testing_identity_free(&scene->ca);
	testing_identity_free(&scene->own);
	testing_identity_free(&scene->other);
}

/* One identity; KEY and CERTIFICATE as they are written.  Then forget(). */
static void load(struct scene *scene, const char *certificate, const char *key,
		 const char *credentials, bool check_only)
{
	char text[512];

	conf_errors_init(&scene->errors);
	scene->conf = conf_new();
	snprintf(text, sizeof(text), "identity x {\n certificate = \"%s\"\n key = \"%s\"\n}\n"
		 "identities = x\n", certificate, key);
	assert_int_equal(conf_add(scene->conf, "t", text, strlen(text), &scene->errors), 0);
	assert_int_equal(conf_errors_result(&scene->errors), 0);
	assert_int_equal(identity_files_load(&scene->files, scene->conf, credentials, check_only,
					     &scene->errors),
			 0);
}

static void accepts(struct scene *scene, const char *certificate, const char *key,
		    const char *credentials)
{
	load(scene, certificate, key, credentials, false);
	if (scene->errors.count > 0)
		fail_msg("%s", scene->errors.list[0].text);
	assert_int_equal(scene->files.count, 1);
	assert_true(scene->files.list[0].chain_fd >= 0 && scene->files.list[0].key.fd >= 0);
	forget(scene);
}

/* LINE: 2 is the certificate's, 3 the key's. */
static void refuses(struct scene *scene, const char *certificate, const char *key, unsigned line,
		    const char *words)
{
	char place[16];

	load(scene, certificate, key, NULL, false);
	assert_int_equal(scene->errors.count, 1);
	snprintf(place, sizeof(place), "t:%u: ", line);
	if (strncmp(scene->errors.list[0].text, place, strlen(place)) != 0 ||
	    !strstr(scene->errors.list[0].text, words))
		fail_msg("\"%s\" does not say \"%s%s\"", scene->errors.list[0].text, place, words);
	forget(scene);
}

static void a_key_that_is_everybodys_is_refused(void **state unused_)
{
	static const mode_t good[] = { 0400, 0600, 0640, 0440, 0660 };
	static const mode_t bad[] = { 0644, 0444, 0604, 0602, 0601, 0666 };
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(chmod(path(&scene, "key"), good[i]), 0);
		accepts(&scene, path(&scene, "cert"), path(&scene, "key"), NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(chmod(path(&scene, "key"), bad[i]), 0);
		refuses(&scene, path(&scene, "cert"), path(&scene, "key"), 3,
			"may be read by everybody, and so is no secret");
	}
	scene_deinit(&scene);
}

static void what_cannot_be_used_is_told(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	refuses(&scene, path(&scene, "cert"), path(&scene, "none"), 3, "No such file");
	refuses(&scene, path(&scene, "none"), path(&scene, "key"), 2, "No such file");
	refuses(&scene, path(&scene, "cert"), scene.folder, 3, "");
	refuses(&scene, scene.folder, path(&scene, "key"), 2, "is not a regular file");
	write_key(&scene, "bad", scene.other.key, 0600);
	refuses(&scene, path(&scene, "cert"), path(&scene, "bad"), 3, "does not belong to the certificate");
	write_file(&scene, "bad", "garbage\n", 8, 0600);
	refuses(&scene, path(&scene, "cert"), path(&scene, "bad"), 3, "has no private key in it");
	refuses(&scene, path(&scene, "bad"), path(&scene, "key"), 2, "has no certificate in it");
	write_file(&scene, "bad", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 59,
		   0600);
	refuses(&scene, path(&scene, "bad"), path(&scene, "key"), 2, "certificate in it");
	unlink(path(&scene, "bad"));
	assert_int_equal(mkfifo(path(&scene, "bad"), 0600), 0);
	refuses(&scene, path(&scene, "cert"), path(&scene, "bad"), 3, "is not a regular file");
	refuses(&scene, path(&scene, "bad"), path(&scene, "key"), 2, "is not a regular file");
	scene_deinit(&scene);
}

/* systemd's folder: where it is, and what is said when there is none. */
static void credentials_are_systemds(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	accepts(&scene, path(&scene, "cert"), "credential:key", scene.folder);
	refuses(&scene, path(&scene, "cert"), "credential:key", 3, "systemd has passed no credentials");
	load(&scene, path(&scene, "cert"), "credential:none", scene.folder, false);
	assert_int_equal(scene.errors.count, 1);
	assert_non_null(strstr(scene.errors.list[0].text, "No such file"));
	forget(&scene);
	/* "-n" from a shell: systemd is not there, and will be.  The certificate is looked at. */
	load(&scene, path(&scene, "cert"), "credential:key", NULL, true);
	assert_int_equal(scene.errors.count, 0);
	forget(&scene);
	load(&scene, path(&scene, "none"), "credential:key", NULL, true);
	assert_int_equal(scene.errors.count, 1);
	forget(&scene);
	/* All others are looked at. */
	load(&scene, path(&scene, "cert"), path(&scene, "none"), NULL, true);
	assert_int_equal(scene.errors.count, 1);
	forget(&scene);
	scene_deinit(&scene);
}

/* ---- numbers ---- */

/* Small letters are identities, capitals are psks. */
static int reload(struct scene *scene, const struct policy *before, struct policy *ret,
		  const char *identities)
{
	char config[128], trust[128], text[2048] = "";
	const struct options options = { .config = config, .trust = trust };
	struct conf_errors errors;
	size_t len = 0;
	int r;

	snprintf(config, sizeof(config), "%s", path(scene, "tlsbroker.conf"));
	snprintf(trust, sizeof(trust), "%s", path(scene, "ca"));
	for (; *identities; identities++) {
		if (*identities >= 'a')
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"identity %c { certificate = \"%s/cert\"\n"
						"key = \"%s/key\" }\n",
						*identities, scene->folder, scene->folder);
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"psk %c { identity = x\nkey = \"%s/bad\" }\n",
						*identities, scene->folder);
	}
	write_file(scene, "tlsbroker.conf", text, len, 0600);
	conf_errors_init(&errors);
	r = policy_load(&options, before, ret, &errors);
	if (r < 0)
		print_message("%s\n", errors.list[0].text);
	conf_errors_deinit(&errors);
	return r;
}

static uint32_t number(const struct policy *policy, const char *name)
{
	return conf_identity(policy->conf, name)->number;
}

/* A worker asks by number: what is called by it must not become another key. */
static void numbers_stay_over_a_reload(void **state unused_)
{
	struct policy first = POLICY_NONE, second = POLICY_NONE, third = POLICY_NONE;
	struct scene scene;
	uint32_t a, b;

	scene_init(&scene);
	write_certificate(&scene, "ca", scene.ca.x509);
	assert_int_equal(reload(&scene, NULL, &first, "ab"), 0);
	a = number(&first, "a");
	b = number(&first, "b");
	assert_true(a != 0 && b != 0 && a != b);
	assert_int_equal(reload(&scene, &first, &second, "cb"), 0);
	assert_int_equal(number(&second, "b"), b);
	assert_true(number(&second, "c") != a && number(&second, "c") != b);
	/* One that was gone comes back as another. */
	assert_int_equal(reload(&scene, &second, &third, "abc"), 0);
	assert_int_equal(number(&third, "b"), b);
	assert_int_equal(number(&third, "c"), number(&second, "c"));
	assert_true(number(&third, "a") != a && number(&third, "a") != b &&
		    number(&third, "a") != number(&third, "c"));
	policy_deinit(&first);
	policy_deinit(&second);
	policy_deinit(&third);
	scene_deinit(&scene);
}

/* Nor must an identity's number ever be a psk's, whatever comes and goes, and however they are called. */
static void numbers_of_keys_are_of_one_kind(void **state unused_)
{
	static const char *const steps[] = { "aA", "abAB", "bB", "abcABC", "ABCabc" };
	struct policy before = POLICY_NONE, now = POLICY_NONE;
	unsigned char kind_of[64] = { 0 };
	struct scene scene;

	scene_init(&scene);
	write_certificate(&scene, "ca", scene.ca.x509);
	write_file(&scene, "bad", "000102030405060708090a0b0c0d0e0f\n", 33, 0600);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(reload(&scene, i > 0 ? &before : NULL, &now, steps[i]), 0);
		for (unsigned j = 0; j < now.conf->identity_count + now.conf->psk_count; j++) {
			bool is_psk = j >= now.conf->identity_count;
			uint32_t number = is_psk ? now.conf->psks[j - now.conf->identity_count].number
						 : now.conf->identities[j].number;

			assert_in_range(number, 1, sizeof(kind_of) - 1);
			assert_true(kind_of[number] == 0 || kind_of[number] == 1 + is_psk);
			kind_of[number] = (unsigned char)(1 + is_psk);
		}
		policy_deinit(&before);
		before = now;
	}
	policy_deinit(&before);
	scene_deinit(&scene);
}

/* ---- psks ---- */

static void load_psk(struct scene *scene, mode_t mode, const char *text, const char *words)
{
	struct psk_files files = { 0 };
	char config[256];

	write_file(scene, "bad", text, strlen(text), mode);
	conf_errors_init(&scene->errors);
	scene->conf = conf_new();
	snprintf(config, sizeof(config), "psk x {\n identity = y\n key = \"%s\"\n}\n",
		 path(scene, "bad"));
	assert_int_equal(conf_add(scene->conf, "t", config, strlen(config), &scene->errors), 0);
	assert_int_equal(psk_files_load(&files, scene->conf, NULL, false, &scene->errors), 0);
	assert_int_equal(scene->errors.count, words ? 1 : 0);
	if (words && (strncmp(scene->errors.list[0].text, "t:3: key: ", 10) != 0 ||
		      !strstr(scene->errors.list[0].text, words)))
		fail_msg("\"%s\" does not say \"%s\"", scene->errors.list[0].text, words);
	if (!words) {
		/* What cannot be used does not take its place. */
		write_file(scene, "bad", "nonsense", 8, mode);
		assert_int_equal(psk_file_renew(&files.list[0], &scene->conf->psks[0], NULL,
						&scene->errors), -EINVAL);
		assert_true(files.list[0].fd >= 0);
		write_file(scene, "bad", text, strlen(text), mode);
		assert_int_equal(psk_file_renew(&files.list[0], &scene->conf->psks[0], NULL,
						&scene->errors), 0);
	}
	psk_files_deinit(&files);
	forget(scene);
}

static void keys_of_psks_are_looked_at(void **state unused_)
{
	static const char good[] = "000102030405060708090a0b0c0d0e0f\n";
	struct scene scene;

	scene_init(&scene);
	load_psk(&scene, 0600, good, NULL);
	load_psk(&scene, 0640, good, NULL);
	load_psk(&scene, 0644, good, "may be read by everybody");
	load_psk(&scene, 0602, good, "may be read by everybody");
	load_psk(&scene, 0600, "00", "less than 16 bytes");
	load_psk(&scene, 0600, "", "has no pre-shared key in it");
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_that_is_everybodys_is_refused),
		TEST(what_cannot_be_used_is_told),
		TEST(credentials_are_systemds),
		TEST(numbers_stay_over_a_reload),
		TEST(numbers_of_keys_are_of_one_kind),
		TEST(keys_of_psks_are_looked_at),
	};

	return testing_run(tests);
}
