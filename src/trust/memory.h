/*
 * What OpenSSL allocates.
 *
 * Did it run out of memory?  Its functions do not always say so: some go on, and leave a key or
 * a certificate behind that is half understood, and would be so for good.
 */
#ifndef TLSB_TRUST_MEMORY_H
#define TLSB_TRUST_MEMORY_H

/* Before OpenSSL's first allocation.  0, or -EBUSY: too late, and failures would not be seen. */
int memory_watch(void);

/* From now on, overwrite what OpenSSL frees: there are private keys in this process. */
void memory_wipe(void);

/*
 * From now on, do not give back every large block that OpenSSL frees, but keep a few for who asks for as
 * many bytes next: blocks that come and go with every turn leave holes, in which what stays settles.
 */
void memory_keep(void);

/* How often an allocation of OpenSSL's has failed. */
unsigned long memory_failures(void);

#endif
