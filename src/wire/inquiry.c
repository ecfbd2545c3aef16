#include "wire/inquiry.h"

bool inquiry_is_good(const struct inquiry *about, uint32_t what, uint32_t tail_len)
{
	if (what == EXPLAIN_WHERE)
		return about->port != 0 && tail_len > 0 && tail_len <= LIMIT_HOST &&
		       about->uid == 0 && about->gid == 0 && about->group_count == 0;
	return about->badge == 0 && about->port == 0 &&
	       about->group_count <= LIMIT_INQUIRY_GROUPS &&
	       about->group_count * (uint32_t)sizeof(uint32_t) <= tail_len &&
	       tail_len - about->group_count * (uint32_t)sizeof(uint32_t) <= LIMIT_INQUIRY_CGROUP;
}
