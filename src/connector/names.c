#include "connector/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "connector/lookup.h"

int names_prepare(struct names *names)
{
	int r = 0;

	*names = (struct names){ 0 };
	namecache_init(&names->cache);
	for (unsigned i = 0; r == 0 && i < LIMIT_NAME_SERVERS; i++)
		r = nameserver_prepare(&names->servers.server[i]);
	if (r < 0)
		names_deinit(names);
	return r;
}

/* Put the servers of a new resolv.conf in the place of the old ones. */
static int use_conf(struct names *names, const struct resolvconf *conf)
{
	int r = 0;

	names->servers.conf = *conf;
	for (unsigned i = 0; r == 0 && i < conf->server_count; i++)
		r = nameserver_set_address(&names->servers.server[i], &conf->server[i]);
	return r;
}

int names_start(struct names *names, struct child *child)
{
	char nothing[] = "";
	struct resolvconf conf;
	int r = 0;

	names->child = child;
	for (unsigned i = 0; r == 0 && i < LIMIT_NAME_SERVERS; i++)
		r = nameserver_start(&names->servers.server[i], child->base);
	resolvconf_parse(&conf, nothing);
	return r < 0 ? r : use_conf(names, &conf);
}

void names_deinit(struct names *names)
{
	for (unsigned i = 0; i < LIMIT_NAME_SERVERS; i++)
		nameserver_deinit(&names->servers.server[i]);
	hosts_deinit(&names->hosts);
	namecache_clear(&names->cache);
}

bool names_are_fresh(struct names *names)
{
	const struct msg_resolver_check body = { 0 };

	if (names->checked_ms && clock_ms() - names->checked_ms <= NAMES_FRESH_MS)
		return true;
	if (!names->asking) {
		names->asking = true;
		chan_send_body(&names->child->supervisor, MSG_RESOLVER_CHECK, &body);
	}
	return false;
}

void names_on_same(struct names *names)
{
	names->asking = false;
	names->checked_ms = clock_ms();
	lookup_go_on(names);
}

static int take_hosts(struct names *names, int fd)
{
	struct hosts hosts;
	char *text;
	size_t len;
	int r = fd_read_all(fd, LIMIT_HOSTS_BYTES, &text, &len);

	if (r == 0)
		r = hosts_init(&hosts, text, len);
	if (r < 0)
		return r;
	hosts_deinit(&names->hosts);
	names->hosts = hosts;
	return 0;
}

static int take_resolvconf(struct names *names, int fd)
{
	struct resolvconf *conf;
	char *text;
	size_t len;
	int r = fd_read_all(fd, LIMIT_RESOLV_BYTES, &text, &len);

	if (r < 0)
		return r;
	conf = malloc(sizeof(*conf));
	if (!conf)
		r = -ENOMEM;
	else
		resolvconf_parse(conf, text);
	free(text);
	if (conf && !resolvconf_same(conf, &names->servers.conf)) {
		/* Questions to servers that are not there any more have nobody to wait for. */
		lookup_start_over(names);
		r = use_conf(names, conf);
	}
	free(conf);
	return r;
}

int names_on_files(struct names *names, int hosts_fd, int resolvconf_fd)
{
	int r = take_hosts(names, hosts_fd), s = take_resolvconf(names, resolvconf_fd);

	if (r < 0 || s < 0)
		log_event(LOG_L_WARNING, "hosts file or resolv.conf could not be taken over",
			  { FIELD_ERROR, strerror(r < 0 ? -r : -s) });
	else
		log_pairs(LOG_L_DEBUG, "hosts file and resolv.conf taken over", NULL, 0);
	if (r == -ENOMEM || s == -ENOMEM)
		return -ENOMEM;
	namecache_clear(&names->cache);
	names_on_same(names);
	return 0;
}
