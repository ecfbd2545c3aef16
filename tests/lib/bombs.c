/*
 * bombs: writes the certificates of bombs.h, for a server to show.
 *
 *	bombs DIR ROOT.pem ROOT.key ROOM
 *
 * For each there will be DIR/NAME.pem and DIR/NAME.key; it prints "NAME OUTCOME", where OUTCOME is
 * "refused" or "taken" by a client that takes ROOM bytes of certificates.
 */
#include <openssl/pem.h>

#include "tests/lib/bombs.h"

static FILE *open_file(const char *folder, const char *name, const char *suffix)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.%s", folder, name, suffix);
	return bomb_need(fopen(path, "we"));
}

static void write_bomb(const char *folder, const char *name, const struct bomb_chain *chain)
{
	FILE *file = open_file(folder, name, "pem");

	for (int i = 0; i < chain->count; i++)
		bomb_must(PEM_write_X509(file, chain->certs[i]));
	fclose(file);
	file = open_file(folder, name, "key");
	bomb_must(PEM_write_PrivateKey(file, chain->key, NULL, NULL, 0, NULL, NULL));
	fclose(file);
}

int main(int argc, char **argv)
{
	struct bomb_ca root;
	FILE *file;

	if (argc != 5) {
		fprintf(stderr, "usage: bombs DIR ROOT.pem ROOT.key ROOM\n");
		return 2;
	}
	file = bomb_need(fopen(argv[2], "re"));
	root.cert = bomb_need(PEM_read_X509(file, NULL, NULL, NULL));
	fclose(file);
	file = bomb_need(fopen(argv[3], "re"));
	root.key = bomb_need(PEM_read_PrivateKey(file, NULL, NULL, NULL));
	fclose(file);
	for (size_t i = 0; i < BOMBS_COUNT; i++) {
		struct bomb_chain chain = { .room = (int)strtol(argv[4], NULL, 10) };

		bombs[i].make(&root, &chain);
		write_bomb(argv[1], bombs[i].name, &chain);
		printf("%s %s\n", bombs[i].name, bombs[i].refusal ? "refused" : "taken");
		bomb_chain_deinit(&chain);
	}
	X509_free(root.cert);
	EVP_PKEY_free(root.key);
	return 0;
}
