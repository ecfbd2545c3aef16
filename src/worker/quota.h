/*
 * What one worker, that is one user, may hold at once.  The kernel backs it: the worker's own
 * descriptor and file size limits are set before it meets a client (sandbox/).
 */
#ifndef TLSB_WORKER_QUOTA_H
#define TLSB_WORKER_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota {
	uint32_t sessions, sessions_max;
	uint32_t files_max; /* sessions for which there are descriptors */
	uint64_t ring_bytes, ring_max;
	uint64_t ca_bytes;
	bool is_share; /* the badge's other workers have the rest of what its user may have */
};

/* FILES: the process's limit of descriptors, two of which every session needs. */
void quota_init(struct quota *quota, uint64_t files);

/* What the policy allows: SESSIONS at once, RING_BYTES of memory.  What is there already stays. */
void quota_set(struct quota *quota, uint32_t sessions, uint64_t ring_bytes);

/* Why there is no room for one more session, for a person.  Returns DST. */
char *quota_reason(const struct quota *quota, char *dst, size_t size);

/*
 * Room for one more session: *ret_capacity is how large its rings may be.  The first half of the
 * memory goes out in full-sized rings, half of what then is left in rings of a quarter of that, and
 * so on, as long as what is left gives every session that may still come the smallest ones: many
 * sessions get slower rings rather than none.  0 or -EMFILE.
 */
int quota_take_session(struct quota *quota, uint32_t *ret_capacity);
void quota_give_session(struct quota *quota, uint32_t capacity);

/* LEN more bytes of CA certificates from a program.  0 or -EMFILE. */
int quota_take_ca(struct quota *quota, uint32_t len);
void quota_give_ca(struct quota *quota, uint32_t len);

#endif
