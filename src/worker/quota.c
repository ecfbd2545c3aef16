#include "worker/quota.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/macros.h"
#include "wire/limits.h"

/* Descriptors that are no session's: clients and their lifelines, channels, the event loop. */
#define OTHER_FILES (2 * LIMIT_CLIENTS_PER_UID + 64)

void quota_init(struct quota *quota, uint64_t files)
{
	uint64_t sessions = files > OTHER_FILES + 2 ? (files - OTHER_FILES) / 2 : files / 4;

	*quota = (struct quota){
		.files_max = (uint32_t)MIN(sessions, (uint64_t)LIMIT_SESSIONS_PER_UID),
	};
	quota_set(quota, LIMIT_SESSIONS_PER_UID, LIMIT_RING_BYTES_PER_UID, 0);
}

_Static_assert(2 * (uint64_t)LIMIT_RING_MIN * LIMIT_SESSIONS_PER_UID <= LIMIT_RING_BYTES_PER_UID,
	       "every session that is allowed can have the smallest rings");

void quota_set(struct quota *quota, uint32_t sessions, uint64_t ring_bytes, uint32_t rate)
{
	uint64_t smallest = ring_bytes / (2 * (uint64_t)LIMIT_RING_MIN);

	quota->ring_max = ring_bytes;
	quota->rate_max = rate;
	quota->sessions_max = (uint32_t)MIN((uint64_t)MIN(sessions, quota->files_max), smallest);
}

/* Sessions that began in this second, or in one that is over. */
static uint32_t rate_now(const struct quota *quota, uint64_t now_ms)
{
	return now_ms - quota->rate_since_ms < 1000 ? quota->rate : 0;
}

static bool is_too_fast(const struct quota *quota, uint64_t now_ms)
{
	return quota->rate_max > 0 && rate_now(quota, now_ms) >= quota->rate_max;
}

static void count_rate(struct quota *quota, uint64_t now_ms)
{
	if (now_ms - quota->rate_since_ms >= 1000) {
		quota->rate = 0;
		quota->rate_since_ms = now_ms;
	}
	quota->rate++;
}

char *quota_reason(const struct quota *quota, uint64_t now_ms, char *dst, size_t size)
{
	uint64_t smallest = quota->ring_max / (2 * (uint64_t)LIMIT_RING_MIN);

	if (quota->sessions < quota->sessions_max && is_too_fast(quota, now_ms))
		snprintf(dst, size,
			 "max-sessions-per-second: this user began %u sessions within a second; the "
			 "limit is %u", rate_now(quota, now_ms), quota->rate_max);
	else if (quota->sessions >= quota->sessions_max && quota->sessions < smallest)
		snprintf(dst, size, "max-sessions: this user has %u sessions open; the limit is %u",
			 quota->sessions, quota->sessions_max);
	else
		snprintf(dst, size,
			 "max-memory: the sessions of this user share %llu bytes; the limit is %llu",
			 (unsigned long long)quota->ring_bytes, (unsigned long long)quota->ring_max);
	return dst;
}

int quota_take_session(struct quota *quota, uint64_t now_ms, uint32_t *ret_capacity)
{
	uint32_t capacity = LIMIT_RING_MAX;
	uint64_t edge = quota->ring_max / 2, kept;

	if (quota->sessions >= quota->sessions_max || is_too_fast(quota, now_ms))
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
	count_rate(quota, now_ms);
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
