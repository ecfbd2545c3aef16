#include "supervisor/backoff.h"

#include "base/macros.h"
#include "wire/limits.h"

uint32_t backoff_next(struct backoff *backoff, uint64_t ran_ms)
{
	uint32_t wait = LIMIT_RESTART_FIRST_MS;

	if (ran_ms >= LIMIT_HEALTHY_MS)
		backoff->deaths = 0;
	if (backoff->deaths++ == 0)
		return 0;
	for (unsigned i = 2; i < backoff->deaths && wait < LIMIT_RESTART_MAX_MS; i++)
		wait *= 2;
	return MIN(wait, (uint32_t)LIMIT_RESTART_MAX_MS);
}
