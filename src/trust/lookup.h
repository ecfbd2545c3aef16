/*
 * OpenSSL's view of a trust index: a certificate store that finds roots in it when a chain asks for
 * them by subject, and parses only those.
 */
#ifndef TLSB_TRUST_LOOKUP_H
#define TLSB_TRUST_LOOKUP_H

#include <openssl/x509_vfy.h>

#include "trust/index.h"

/*
 * A new store over INDEX, which must stay open as long as the store is used.  It prefers trusted
 * certificates to those the peer sent, and a chain must end in a self-signed one (no partial
 * chains).  The caller owns *ret_store.  0 or -ENOMEM.
 */
int trust_store_new(const struct trust_index *index, X509_STORE **ret_store);

/* The store finds revocation lists in CRLS, which must stay as long; it may be empty, or be replaced
 * between two uses.  0 or -ENOMEM. */
int trust_store_add_crls(X509_STORE *store, const struct trust_index *crls);

#endif
