/*
 * An X509_LOOKUP_METHOD over a mapped index.  OpenSSL asks it for a subject that is not in the
 * store's cache; every certificate with that subject goes into the cache, where OpenSSL tries them
 * one after the other.  The name asked for comes from a server's certificate: hostile, but it is
 * only hashed and compared.  The cache cannot outgrow the bundle.
 */
#include "trust/lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/x509v3.h>

#include "trust/memory.h"

/* One for each store; freed with it. */
struct trust_lookup {
	const struct trust_index *index;
	X509_LOOKUP_METHOD *method;
};

/*
 * Into the cache, if it has this subject: different names may share a hash.  Not one for which there
 * was too little memory: half understood, it would take the root away until the next reload.
 */
static void add_if_named(X509_STORE *store, const X509_NAME *name, const uint8_t *der, size_t len)
{
	const unsigned long failures = memory_failures();
	X509 *x509 = d2i_X509_AUX(NULL, &der, (long)len);
	bool named = x509 && X509_NAME_cmp(X509_get_subject_name(x509), name) == 0;

	if (named)
		(void)X509_check_purpose(x509, -1, 0); /* its extensions are read now, once */
	if (named && memory_failures() == failures)
		X509_STORE_add_cert(store, x509);
	X509_free(x509);
}

/*
 * Point *ret at the cache's first certificate with this subject: 1, or 0.  As OpenSSL's own methods
 * have it, *ret only borrows from the cache, and the caller takes the reference; outside OpenSSL
 * the one way to write into an X509_OBJECT takes one too, which goes back here.
 */
static int borrow_cached(X509_STORE *store, const X509_NAME *name, X509_OBJECT *ret)
{
	X509_OBJECT *cached;
	int found = 0;

	if (!X509_STORE_lock(store))
		return 0;
	cached = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), X509_LU_X509,
						 name);
	if (cached && X509_OBJECT_set1_X509(ret, X509_OBJECT_get0_X509(cached)) == 1) {
		X509_free(X509_OBJECT_get0_X509(cached));
		found = 1;
	}
	X509_STORE_unlock(store);
	return found;
}

/* 1: found; 0: not, also for lack of memory, since OpenSSL takes anything else for found. */
static int get_by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
			  X509_OBJECT *ret)
{
	const struct trust_lookup *own = X509_LOOKUP_get_method_data(lookup);
	X509_STORE *store = X509_LOOKUP_get_store(lookup);
	uint32_t wanted, hash;
	const uint8_t *der;
	size_t len;
	int ok = 0;

	if (type != X509_LU_X509)
		return 0;
	wanted = (uint32_t)X509_NAME_hash_ex(name, NULL, NULL, &ok);
	if (!ok)
		return 0;
	for (uint32_t i = trust_index_find(own->index, wanted);
	     trust_index_get(own->index, i, &hash, &der, &len) == 0 && hash == wanted; i++)
		add_if_named(store, name, der, len);
	return borrow_cached(store, name, ret);
}

static void free_own(X509_LOOKUP *lookup)
{
	struct trust_lookup *own = X509_LOOKUP_get_method_data(lookup);

	if (own)
		X509_LOOKUP_meth_free(own->method);
	free(own);
}

/* ---- revocation lists ---- */

static void add_crl_if_named(X509_STORE *store, const X509_NAME *name, const uint8_t *der, size_t len)
{
	const unsigned long failures = memory_failures();
	X509_CRL *crl = d2i_X509_CRL(NULL, &der, (long)len);

	if (crl && X509_NAME_cmp(X509_CRL_get_issuer(crl), name) == 0 &&
	    memory_failures() == failures)
		X509_STORE_add_crl(store, crl);
	X509_CRL_free(crl);
}

/* As borrow_cached(). */
static int borrow_crl(X509_STORE *store, const X509_NAME *name, X509_OBJECT *ret)
{
	X509_OBJECT *cached;
	int found = 0;

	if (!X509_STORE_lock(store))
		return 0;
	cached = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), X509_LU_CRL, name);
	if (cached && X509_OBJECT_set1_X509_CRL(ret, X509_OBJECT_get0_X509_CRL(cached)) == 1) {
		X509_CRL_free(X509_OBJECT_get0_X509_CRL(cached));
		found = 1;
	}
	X509_STORE_unlock(store);
	return found;
}

/* Of lists OpenSSL asks for more each time, also when it has some: all there are come at once. */
static int get_crl(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
		   X509_OBJECT *ret)
{
	const struct trust_lookup *own = X509_LOOKUP_get_method_data(lookup);
	X509_STORE *store = X509_LOOKUP_get_store(lookup);
	uint32_t wanted, hash;
	const uint8_t *der;
	size_t len;
	int ok = 0;

	if (type != X509_LU_CRL)
		return 0;
	if (borrow_crl(store, name, ret))
		return 1;
	wanted = (uint32_t)X509_NAME_hash_ex(name, NULL, NULL, &ok);
	if (!ok)
		return 0;
	for (uint32_t i = trust_index_find(own->index, wanted);
	     trust_index_get(own->index, i, &hash, &der, &len) == 0 && hash == wanted; i++)
		add_crl_if_named(store, name, der, len);
	return borrow_crl(store, name, ret);
}

typedef int lookup_fn(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
		      X509_OBJECT *ret);

static int add_lookup(X509_STORE *store, const struct trust_index *index, lookup_fn *get)
{
	X509_LOOKUP_METHOD *method = X509_LOOKUP_meth_new("trust index");
	struct trust_lookup *own = malloc(sizeof(*own));
	X509_LOOKUP *lookup = NULL;

	if (own && method && X509_LOOKUP_meth_set_free(method, free_own) &&
	    X509_LOOKUP_meth_set_get_by_subject(method, get))
		lookup = X509_STORE_add_lookup(store, method);
	if (!lookup) {
		X509_LOOKUP_meth_free(method);
		free(own);
		return -ENOMEM;
	}
	*own = (struct trust_lookup){ index, method };
	X509_LOOKUP_set_method_data(lookup, own);
	return 0;
}

int trust_store_new(const struct trust_index *index, X509_STORE **ret_store)
{
	X509_STORE *store = X509_STORE_new();

	if (!store)
		return -ENOMEM;
	if (add_lookup(store, index, get_by_subject) < 0) {
		X509_STORE_free(store);
		return -ENOMEM;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST);
	X509_VERIFY_PARAM_clear_flags(X509_STORE_get0_param(store), X509_V_FLAG_PARTIAL_CHAIN);
	*ret_store = store;
	return 0;
}

int trust_store_add_crls(X509_STORE *store, const struct trust_index *crls)
{
	return add_lookup(store, crls, get_crl);
}
