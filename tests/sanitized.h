/*
 * Is this a build with sanitizers?  They take several times as long, so that what is repeated many
 * times is repeated less often; and what they take says nothing about times.
 */
#ifndef TLSB_TESTS_SANITIZED_H
#define TLSB_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define SANITIZED_SHARE(n) (SANITIZED ? (n) / 4 : (n))

#endif
