#include "supervisor/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

/* Nothing that the file could help. */
static int is_our_shortage(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EINTR;
}

/* A missing file is an empty one, as for every other resolver; it may come later. */
static int sealed_copy(const char *path, size_t max, struct file_mark *mark, int *ret_fd)
{
	cleanup_free_ char *data = NULL;
	size_t len = 0;
	char text[96];
	int r;

	*mark = files_mark(path); /* of an unreadable file too: complain once for each version */
	r = files_read(path, max, &data, &len, mark);
	if (is_our_shortage(r))
		return r;
	if (r < 0 && r != -ENOENT) {
		snprintf(text, sizeof(text), "%s cannot be used, and counts as empty", path);
		log_event(LOG_L_WARNING, text, { FIELD_ERROR, strerror(-r) });
	}
	return fd_sealed_copy("tlsbroker-resolver", data ? data : "", len, ret_fd);
}

int resolver_send(struct resolver *resolver, struct chan *connector)
{
	const struct msg_resolver body = { 0 };
	cleanup_close_ int hosts = -1, resolv_conf = -1;
	struct resolver fresh;
	int r = sealed_copy(RESOLVER_HOSTS_FILE, LIMIT_HOSTS_BYTES, &fresh.hosts, &hosts);

	if (r == 0)
		r = sealed_copy(RESOLVER_CONF_FILE, LIMIT_RESOLV_BYTES, &fresh.resolv_conf,
				&resolv_conf);
	if (r < 0)
		return r;
	*resolver = fresh;
	chan_send(connector, MSG_RESOLVER, &body, NULL, 0,
		  (int[]){ fd_steal(&hosts), fd_steal(&resolv_conf) });
	return 0;
}

static int unchanged(const struct resolver *resolver)
{
	struct file_mark hosts = files_mark(RESOLVER_HOSTS_FILE);
	struct file_mark resolv_conf = files_mark(RESOLVER_CONF_FILE);

	return files_same(&hosts, &resolver->hosts) &&
	       files_same(&resolv_conf, &resolver->resolv_conf);
}

int resolver_on_check(struct chan *chan, struct msg *msg unused_)
{
	const struct msg_resolver_same same = { 0 };
	struct process *process = chan->owner;
	struct resolver *resolver = &process->supervisor->resolver;

	/* Without descriptors for new copies the old ones serve; the next check tries again. */
	if (!unchanged(resolver) && resolver_send(resolver, chan) == 0)
		return 0;
	chan_send_body(chan, MSG_RESOLVER_SAME, &same);
	return 0;
}
