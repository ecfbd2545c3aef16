#include "supervisor/trustfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "trust/index.h"

static const char *why(int error, bool has_crls)
{
	switch (error) {
	case -EINVAL:
		return "is not a regular file";
	case -EFBIG:
		return has_crls ? "is too large for revocation lists"
				: "is too large for a trust bundle";
	default:
		return strerror(-error);
	}
}

int trustfile_load(struct trustfile *trust, struct failure *failure)
{
	cleanup_free_ char *pem = NULL;
	cleanup_close_ int fd = -1;
	unsigned count = 0, bad = 0;
	struct file_mark mark;
	size_t len = 0;
	int r = files_read(trust->path, trust->has_crls ? LIMIT_CRL_BYTES : LIMIT_TRUST_BYTES, &pem,
			   &len, &mark);

	if (r < 0)
		return failure_set(failure, r, "%s: %s", trust->path, why(r, trust->has_crls));
	r = trust->has_crls ? trust_index_build_crls(pem, len, &fd, &count, &bad)
			    : trust_index_build(pem, len, &fd, &count, &bad);
	if (r == -EINVAL)
		return failure_set(failure, r, "%s: there is no usable %s in it", trust->path,
				   trust->has_crls ? "revocation list" : "CA certificate");
	if (r < 0)
		return failure_set(failure, r, "%s: %s", trust->path, strerror(-r));
	fd_close(trust->fd);
	trust->fd = fd_steal(&fd);
	trust->generation++;
	trust->count = count;
	trust->bad = bad;
	trust->mark = mark;
	return 0;
}

void trustfile_log(const struct trustfile *trust)
{
	char text[96];

	if (trust->has_crls)
		snprintf(text, sizeof(text), "revocation lists: %u, %u unusable", trust->count,
			 trust->bad);
	else
		snprintf(text, sizeof(text), "trust bundle %u: %u certificates, %u unusable",
			 trust->generation, trust->count, trust->bad);
	log_pairs(trust->bad ? LOG_L_WARNING : LOG_L_NOTICE, text, NULL, 0);
}

int trustfile_send(const struct trustfile *trust, struct chan *worker)
{
	static const struct msg_crls none;
	const struct msg_trust body = { .generation = trust->generation };
	int fd = fcntl(trust->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (trust->has_crls)
		chan_send(worker, MSG_CRLS, &none, NULL, 0, &fd);
	else
		chan_send(worker, MSG_TRUST, &body, NULL, 0, &fd);
	return 0;
}
