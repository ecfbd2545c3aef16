/*
 * The pre-shared keys of the configuration: their files are opened and checked here, what servers call them
 * is for the workers, and the keys are for the keyholder, as open files.
 */
#ifndef TLSB_SUPERVISOR_PSKFILES_H
#define TLSB_SUPERVISOR_PSKFILES_H

#include "supervisor/secretfile.h"
#include "wire/chan.h"

/* In the order of struct conf's. */
struct psk_files {
	struct secret_file *list;
	unsigned count;
};

/* All zero is fine. */
void psk_files_deinit(struct psk_files *psks);

/* As identity_files_load(). */
int psk_files_load(struct psk_files *ret, const struct conf *conf, const char *credentials,
		   bool check_only, struct conf_errors *errors);

/* Load one again.  As identity_file_renew(). */
int psk_file_renew(struct secret_file *file, const struct conf_identity *psk, const char *credentials,
		   struct conf_errors *errors);

/* How many the badge, or if it is NULL who has none, may use. */
unsigned psk_files_count(const struct conf *conf, const struct conf_badge *badge);

/* So many PSKs.  0 or -errno. */
int psk_files_send_worker(const struct conf *conf, const struct conf_badge *badge,
			  struct chan *worker);

#endif
