#include "worker/net.h"

#include <errno.h>
#include <sys/socket.h>

#include "wire/limits.h"

static int net_write(BIO *bio, const char *data, size_t len, size_t *ret_written)
{
	struct net *net = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (net->broken) {
		*ret_written = len;
		return 1;
	}
	if (net->full) {
		BIO_set_retry_write(bio);
		return 0;
	}
	do
		n = send(net->fd, data, len,
			 MSG_DONTWAIT | MSG_NOSIGNAL | (net->more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*ret_written = (size_t)n;
		return 1;
	}
	if (errno == EWOULDBLOCK) {
		net->full = true;
		BIO_set_retry_write(bio);
		return 0;
	}
	net->broken = errno;
	*ret_written = len;
	return 1;
}

static int net_read(BIO *bio, char *data, size_t len, size_t *ret_read)
{
	struct net *net = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (net->drained || net->turn >= LIMIT_PUMP_BYTES) {
		BIO_set_retry_read(bio);
		return 0;
	}
	do
		n = recv(net->fd, data, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		net->turn += (size_t)n;
		net->partly = (size_t)n < len;
		*ret_read = (size_t)n;
		return 1;
	}
	if (n == 0) {
		net->eof = true;
	} else if (errno == EWOULDBLOCK) {
		net->drained = true;
		BIO_set_retry_read(bio);
	} else {
		net->error = errno;
	}
	return 0;
}

static long net_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct net *net = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return net->eof;
	default:
		return 0;
	}
}

BIO_METHOD *net_method_new(void)
{
	int index = BIO_get_new_index();
	BIO_METHOD *method = index < 0 ? NULL : BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "net");

	if (!method)
		return NULL;
	if (!BIO_meth_set_write_ex(method, net_write) || !BIO_meth_set_read_ex(method, net_read) ||
	    !BIO_meth_set_ctrl(method, net_ctrl)) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}

BIO *net_bio_new(const BIO_METHOD *method, struct net *net)
{
	BIO *bio = BIO_new(method);

	if (bio) {
		BIO_set_data(bio, net);
		BIO_set_init(bio, 1);
	}
	return bio;
}

void net_give_up(const struct net *net)
{
	const struct linger not_at_all = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(net->fd, SOL_SOCKET, SO_LINGER, &not_at_all, sizeof(not_at_all));
}
