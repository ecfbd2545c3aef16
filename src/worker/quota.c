#include "worker/quota.h"

#include <assert.h>
#include <errno.h>

#include "base/macros.h"
#include "wire/limits.h"

/* Descriptors that are no session's: clients and their lifelines, channels, the event loop. */
#define OTHER_FILES (2 * LIMIT_CLIENTS_PER_UID + 64)

void quota_init(struct quota *quota, uint64_t files)
{
	uint64_t sessions = files > OTHER_FILES + 2 ? (files - OTHER_FILES) / 2 : files / 4;

	*quota = (struct quota){
		.sessions_max = (uint32_t)MIN(sessions, (uint64_t)LIMIT_SESSIONS_PER_UID),
	};
}

_Static_assert(2 * (uint64_t)LIMIT_RING_MIN * LIMIT_SESSIONS_PER_UID <= LIMIT_RING_BYTES_PER_UID,
	       "every session that is allowed can have the smallest rings");

int quota_take_session(struct quota *quota, uint32_t *ret_capacity)
{
	uint32_t capacity = LIMIT_RING_MAX;
	uint64_t edge = LIMIT_RING_BYTES_PER_UID / 2, kept;

	if (quota->sessions >= quota->sessions_max)
		return -EMFILE;
	/* The smallest rings, for each session that may still come after this one. */
	kept = 2 * (uint64_t)LIMIT_RING_MIN * (quota->sessions_max - quota->sessions - 1);
	while (capacity > LIMIT_RING_MIN &&
	       quota->ring_bytes + 2 * (uint64_t)capacity >
		       MIN(edge, LIMIT_RING_BYTES_PER_UID - kept)) {
		capacity = MAX(capacity / 4, LIMIT_RING_MIN);
		edge += (LIMIT_RING_BYTES_PER_UID - edge) / 2;
	}
	quota->sessions++;
	quota->ring_bytes += 2 * (uint64_t)capacity;
	*ret_capacity = capacity;
	return 0;
}

void quota_give_session(struct quota *quota, uint32_t capacity)
{
	assert(quota->sessions > 0 && quota->ring_bytes >= 2 * (uint64_t)capacity);
	quota->sessions--;
	quota->ring_bytes -= 2 * (uint64_t)capacity;
}

int quota_take_ca(struct quota *quota, uint32_t len)
{
	if (len > LIMIT_CA_BYTES_PER_UID - quota->ca_bytes)
		return -EMFILE;
	quota->ca_bytes += len;
	return 0;
}

void quota_give_ca(struct quota *quota, uint32_t len)
{
	assert(quota->ca_bytes >= len);
	quota->ca_bytes -= len;
}
