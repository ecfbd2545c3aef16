#include "supervisor/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "tlsbroker.h"

/* From asm-generic/socket.h, for headers that are older than Linux 6.5. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int open_cgroup(uint32_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* From the frontdoor: of whatever process it asks, it gets what every user can read. */
int peers_on_wanted(struct chan *chan, struct msg *msg)
{
	const struct msg_peer_wanted *wanted = msg->body;
	const struct msg_peer peer = { .id = wanted->id };
	int fd = open_cgroup(wanted->pid);
	const bool is_gone = fd == -ENOENT || fd == -ESRCH || fd == -EACCES;
	const struct msg_peer_none none = { wanted->id, is_gone ? TLSB_E_POLICY : TLSB_E_RESOURCES,
					    0 };

	if (fd >= 0)
		chan_send(chan, MSG_PEER, &peer, NULL, 0, &fd);
	else
		chan_send_body(chan, MSG_PEER_NONE, &none);
	return 0;
}

/* Of some client, and with it of any: NULL, or why not. */
static const char *why_unknown(void)
{
	cleanup_close_ int pidfd = -1, cgroup = open_cgroup(1);
	socklen_t len = sizeof(pidfd);
	int pair[2], r;

	if (cgroup < 0)
		return "/proc shows no processes of others";
	if (fd_seqpacket_pair(pair) < 0)
		return NULL;
	r = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len);
	fd_close(pair[0]);
	fd_close(pair[1]);
	return r < 0 && errno == ENOPROTOOPT ? "that takes Linux 6.5 or newer" : NULL;
}

void peers_check(const struct conf *conf, struct conf_errors *errors)
{
	for (unsigned i = 0; i < conf->badge_count; i++) {
		const struct conf_badge *badge = &conf->badges[i];

		for (unsigned j = 0; j < badge->match_count; j++) {
			const char *why = badge->matches[j].kind == MATCH_UNIT ? why_unknown() : NULL;

			if (!why)
				continue;
			conf_error(errors, badge->scope.values[SETTING_match].place,
				   "match: the unit of a program cannot be known here: %s", why);
			return;
		}
	}
}
