/*
 * A name server that says what the test wants, when it wants, in the event loop of the test.  Needs
 * port 53, so a network of its own (rig_own_network()).  Header-only.
 */
#ifndef TLSB_TESTS_CONNECTOR_FAKEDNS_H
#define TLSB_TESTS_CONNECTOR_FAKEDNS_H

#include "connector_rig.h"

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };
enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5, SILENCE = 99 };

struct fake_record {
	const char *name; /* NULL ends the zone, "*" is all names */
	int type;	  /* 0: all */
	int rcode;
	const char *addresses; /* blank-separated */
	uint32_t ttl;
	const char *aliases; /* blank-separated: the chain from NAME to where the addresses are */
	uint32_t alias_ttl;
	unsigned delay_ms;
	bool truncated; /* over UDP: come again over TCP */
};

struct fake_reply {
	LIST_ENTRY(fake_reply) next;
	struct event *timer;
	int fd;
	struct sockaddr_storage to;
	socklen_t to_len;
	size_t len;
	uint8_t bytes[2048];
};

struct fakedns {
	struct event_base *base;
	const struct fake_record *zone;
	int udp, tcp, connection;
	struct event *on_udp, *on_tcp, *on_connection;
	LIST_HEAD(, fake_reply) replies;
	unsigned asked, asked_tcp;
	uint64_t mutate; /* seed of what spoils the answers; 0: nothing */
};

static inline size_t fake_put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return 2;
}

static inline size_t fake_put_name(uint8_t *at, const char *name, size_t name_len)
{
	size_t len = 0;

	while (name_len > 0) {
		const char *dot = memchr(name, '.', name_len);
		size_t label = dot ? (size_t)(dot - name) : name_len;

		at[len++] = (uint8_t)label;
		memcpy(at + len, name, label);
		len += label;
		label += dot != NULL;
		name += label;
		name_len -= label;
	}
	at[len++] = 0;
	return len;
}

static inline size_t fake_put_record(uint8_t *at, const char *owner, int type, uint32_t ttl,
				     const uint8_t *data, size_t data_len)
{
	size_t len = fake_put_name(at, owner, strcspn(owner, " "));

	len += fake_put16(at + len, (unsigned)type);
	len += fake_put16(at + len, 1);
	len += fake_put16(at + len, ttl >> 16);
	len += fake_put16(at + len, ttl & 0xffff);
	len += fake_put16(at + len, (unsigned)data_len);
	memcpy(at + len, data, data_len);
	return len + data_len;
}

static inline size_t fake_put_answers(uint8_t *at, const struct fake_record *record,
				      const char *name, int type, unsigned *count)
{
	const char *owner = name;
	size_t len = 0;
	uint8_t data[256];

	for (const char *alias = record->aliases; alias && *alias;) {
		size_t alias_len = strcspn(alias, " ");

		len += fake_put_record(at + len, owner, TYPE_CNAME, record->alias_ttl, data,
				       fake_put_name(data, alias, alias_len));
		owner = alias;
		alias += alias_len;
		alias += *alias == ' ';
		++*count;
	}
	for (const char *text = record->addresses; text && *text;) {
		size_t text_len = strcspn(text, " ");
		char one[64] = "";

		memcpy(one, text, text_len);
		if (inet_pton(type == TYPE_A ? AF_INET : AF_INET6, one, data) == 1) {
			len += fake_put_record(at + len, owner, type, record->ttl, data,
					       type == TYPE_A ? 4 : 16);
			++*count;
		}
		text += text_len;
		text += *text == ' ';
	}
	return len;
}

/* What the zone has for the question, or NULL: there is no such name. */
static inline const struct fake_record *fake_find(const struct fakedns *dns, const char *name,
						  int type)
{
	static const struct fake_record none = {.name = "none"};
	bool exists = false;

	for (const struct fake_record *it = dns->zone; it->name; it++) {
		if (strcmp(it->name, "*") != 0 && strcasecmp(it->name, name) != 0)
			continue;
		if (it->type == 0 || it->type == type)
			return it;
		exists = true;
	}
	return exists ? &none : NULL;
}

/* Returns how long the answer waits; ret->len 0: for ever. */
static inline unsigned fake_answer(struct fakedns *dns, const uint8_t *query, size_t query_len,
				   bool over_tcp, struct fake_reply *ret)
{
	const struct fake_record *record;
	size_t at = 12, end;
	char name[256] = "";
	unsigned count = 0;
	int type, rcode;

	if (query_len < 17)
		return 0;
	while (at < query_len && query[at]) {
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%.*s",
			 at > 12 ? "." : "", query[at], (const char *)query + at + 1);
		at += query[at] + 1u;
	}
	end = at + 5;
	type = query[at + 1] << 8 | query[at + 2];
	record = fake_find(dns, name, type);
	rcode = record ? record->rcode : NXDOMAIN;
	if (rcode == SILENCE)
		return 0;
	memcpy(ret->bytes, query, end);
	ret->len = end;
	ret->bytes[2] = 0x81; /* an answer, recursion desired */
	ret->bytes[3] = (uint8_t)(0x80 | rcode);
	if (record && rcode == NOERROR && !(record->truncated && !over_tcp))
		ret->len += fake_put_answers(ret->bytes + end, record, name, type, &count);
	if (record && record->truncated && !over_tcp)
		ret->bytes[2] |= 0x02;
	fake_put16(ret->bytes + 6, count);
	fake_put16(ret->bytes + 8, 0);
	fake_put16(ret->bytes + 10, 0);
	return record ? record->delay_ms : 0;
}

static inline void fake_send(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct fake_reply *reply = arg;

	sendto(reply->fd, reply->bytes, reply->len, MSG_NOSIGNAL,
	       (const struct sockaddr *)&reply->to, reply->to_len);
	LIST_REMOVE(reply, next);
	event_free(reply->timer);
	free(reply);
}

/* Spoil the answer behind its id and question, then send the good one: the asker must live. */
static inline void fake_send_spoilt(struct fakedns *dns, struct fake_reply *reply, size_t question)
{
	struct fake_reply spoilt = *reply;
	unsigned flips = 1 + (unsigned)(testing_random(&dns->mutate) % 8);

	for (unsigned i = 0; i < flips; i++) {
		size_t at = testing_random(&dns->mutate) % spoilt.len;

		if (at < 2 || (at >= 12 && at < question))
			continue;
		spoilt.bytes[at] = (uint8_t)testing_random(&dns->mutate);
	}
	if (testing_random(&dns->mutate) % 4 == 0)
		spoilt.len = testing_random(&dns->mutate) % (spoilt.len + 1);
	sendto(reply->fd, spoilt.bytes, spoilt.len, MSG_NOSIGNAL,
	       (const struct sockaddr *)&reply->to, reply->to_len);
}

static inline void fake_on_udp(evutil_socket_t fd, short what unused_, void *arg)
{
	struct fakedns *dns = arg;
	struct fake_reply *reply = calloc(1, sizeof(*reply));
	struct timeval delay = {0};
	uint8_t query[512];
	unsigned ms;
	ssize_t n;

	reply->fd = fd;
	reply->to_len = sizeof(reply->to);
	n = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&reply->to, &reply->to_len);
	assert_true(n > 0);
	dns->asked++;
	ms = fake_answer(dns, query, (size_t)n, false, reply);
	if (reply->len == 0) {
		free(reply);
		return;
	}
	if (dns->mutate)
		fake_send_spoilt(dns, reply, (size_t)n);
	delay = (struct timeval){ms / 1000, (suseconds_t)(ms % 1000) * 1000};
	reply->timer = event_new(dns->base, -1, 0, fake_send, reply);
	LIST_INSERT_HEAD(&dns->replies, reply, next);
	event_add(reply->timer, &delay);
}

static inline void fake_on_connection(evutil_socket_t fd, short what unused_, void *arg)
{
	struct fakedns *dns = arg;
	struct fake_reply reply;
	uint8_t query[512], length[2];
	ssize_t n = recv(fd, query, sizeof(query), 0);

	if (n <= 2) {
		event_free(dns->on_connection);
		dns->on_connection = NULL;
		dns->connection = fd_close(dns->connection);
		return;
	}
	for (ssize_t at = 0; at + 2 < n; at += 2 + (query[at] << 8 | query[at + 1])) {
		memset(&reply, 0, sizeof(reply));
		dns->asked_tcp++;
		fake_answer(dns, query + at + 2, (size_t)(query[at] << 8 | query[at + 1]), true,
			    &reply);
		fake_put16(length, (unsigned)reply.len);
		send(fd, length, 2, MSG_NOSIGNAL | MSG_MORE);
		send(fd, reply.bytes, reply.len, MSG_NOSIGNAL);
	}
}

static inline void fake_on_tcp(evutil_socket_t fd, short what unused_, void *arg)
{
	struct fakedns *dns = arg;

	if (dns->on_connection)
		event_free(dns->on_connection);
	fd_close(dns->connection);
	dns->connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	dns->on_connection = event_new(dns->base, dns->connection, EV_READ | EV_PERSIST,
				       fake_on_connection, dns);
	event_add(dns->on_connection, NULL);
}

static inline void fakedns_start(struct fakedns *dns, struct rig *rig, const char *literal,
				 const struct fake_record *zone)
{
	struct address address;
	union address_any any;
	uint16_t port = 53;
	socklen_t len;

	*dns = (struct fakedns){.base = rig->child.base, .zone = zone, .connection = -1};
	assert_int_equal(address_parse(literal, &address), 0);
	len = address_sockaddr(&address, port, &any);
	dns->udp = socket(any.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(dns->udp, &any.any, len), 0);
	dns->tcp = rig_listen(literal, &port, 8);
	assert_true(dns->tcp >= 0);
	dns->on_udp = event_new(dns->base, dns->udp, EV_READ | EV_PERSIST, fake_on_udp, dns);
	dns->on_tcp = event_new(dns->base, dns->tcp, EV_READ | EV_PERSIST, fake_on_tcp, dns);
	event_add(dns->on_udp, NULL);
	event_add(dns->on_tcp, NULL);
}

static inline void fakedns_stop(struct fakedns *dns)
{
	struct fake_reply *reply;

	while ((reply = LIST_FIRST(&dns->replies))) {
		LIST_REMOVE(reply, next);
		event_free(reply->timer);
		free(reply);
	}
	event_free(dns->on_udp);
	event_free(dns->on_tcp);
	if (dns->on_connection)
		event_free(dns->on_connection);
	fd_close(dns->udp);
	fd_close(dns->tcp);
	fd_close(dns->connection);
}

#endif
