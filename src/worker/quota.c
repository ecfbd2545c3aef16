#include "worker/quota.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/macros.h"
#include "wire/limits.h"

/* Descriptors that are no session's: clients and their lifelines, ends of sessions that are over, questions
 * about keys, channels, the event loop. */
#define OTHER_FILES (2 * LIMIT_CLIENTS_PER_UID + LIMIT_UNREAD + 2 * LIMIT_KEY_SOCKETS + 64)

void quota_init(struct quota *quota, uint64_t files)
{
	uint64_t sessions = files > OTHER_FILES + 2 ? (files - OTHER_FILES) / 2 : files / 4;

	*quota = (struct quota){
		.files_max = (uint32_t)MIN(sessions, (uint64_t)LIMIT_SESSIONS_PER_UID),
	};
	quota_set(quota, LIMIT_SESSIONS_PER_UID, LIMIT_RING_BYTES_PER_UID);
}

_Static_assert(2 * (uint64_t)LIMIT_RING_MIN * LIMIT_SESSIONS_PER_UID <= LIMIT_RING_BYTES_PER_UID,
	       "every session that is allowed can have the smallest rings");

void quota_set(struct quota *quota, uint32_t sessions, uint64_t ring_bytes)
{
	uint64_t smallest = ring_bytes / (2 * (uint64_t)LIMIT_RING_MIN);

	quota->ring_max = ring_bytes;
	quota->sessions_max = (uint32_t)MIN((uint64_t)MIN(sessions, quota->files_max), smallest);
}

char *quota_reason(const struct quota *quota, char *dst, size_t size)
{
	uint64_t smallest = quota->ring_max / (2 * (uint64_t)LIMIT_RING_MIN);
	const char *of_share = quota->is_share ? " in one worker of several, each with its share" : "";

	if (quota->sessions >= quota->sessions_max && quota->sessions < smallest)
		snprintf(dst, size, "max-sessions: this user has %u sessions open%s; the limit is %u",
			 quota->sessions, of_share, quota->sessions_max);
	else
		snprintf(dst, size,
			 "max-memory: the sessions of this user share %llu bytes%s; the limit is %llu",
			 (unsigned long long)quota->ring_bytes, of_share,
			 (unsigned long long)quota->ring_max);
	return dst;
}

int quota_take_session(struct quota *quota, uint32_t *ret_capacity)
{
	uint32_t capacity = LIMIT_RING_MAX;
	uint64_t edge = quota->ring_max / 2, kept;

	if (quota->sessions >= quota->sessions_max)
		return -EMFILE;
	/* The smallest rings, for each session that may still come after this one. */
	kept = 2 * (uint64_t)LIMIT_RING_MIN * (quota->sessions_max - quota->sessions - 1);
	while (capacity > LIMIT_RING_MIN &&
	       quota->ring_bytes + 2 * (uint64_t)capacity > MIN(edge, quota->ring_max - kept)) {
		capacity = MAX(capacity / 4, LIMIT_RING_MIN);
		edge += (quota->ring_max - edge) / 2;
	}
	/* Only when the policy has become tighter than what is there. */
	if (quota->ring_bytes + 2 * (uint64_t)capacity > quota->ring_max)
		return -EMFILE;
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
