/*
 * edges: one polite session with tlspeer's echo, whose writes are as odd as writes can be.
 *
 *   edges --socket PATH HOST PORT HOW
 *
 *   zero   no byte, between others
 *   one    byte after byte, 3 rings full of them, written and read one at a time
 *   full   until nothing more fits, to the last byte, then all of it back; several times
 *   wrap   sizes around the ring's, so that each write and read wraps in another place
 *
 * What comes back has the checksum of what was sent.  Prints "done BYTES sha256=..."; exit status 0,
 * or 1 and why.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "tests/lib/pattern.h"
#include "tlsbroker.h"

#define RING    (256u * 1024) /* LIMIT_RING_MAX, which a user's first sessions get */
#define WAIT_MS 60000

struct edges {
	struct tlsb_session *tls;
	struct pattern out;
	EVP_MD_CTX *sent, *received;
	uint64_t bytes, back;
	uint8_t hold[RING + 1];
};

static void fail(const struct edges *edges, const char *what)
{
	printf("failed: %s: %s %s after %lu of %lu\n", what, strerrorname_np(errno),
	       tlsb_error_text(edges->tls), edges->back, edges->bytes);
	exit(1);
}

/* Write up to LEN bytes of the pattern.  How many went; 0: there is no room now. */
static size_t send_some(struct edges *edges, size_t len)
{
	struct pattern next = edges->out;
	ssize_t n;

	pattern_fill(&next, edges->hold, len);
	n = tlsb_write(edges->tls, edges->hold, len);
	if (n < 0 && errno != EWOULDBLOCK)
		fail(edges, "write");
	if (n <= 0)
		return 0;
	EVP_DigestUpdate(edges->sent, edges->hold, (size_t)n);
	edges->out.at += (uint64_t)n;
	edges->bytes += (uint64_t)n;
	return (size_t)n;
}

static size_t receive_some(struct edges *edges, size_t len)
{
	ssize_t n = tlsb_read(edges->tls, edges->hold, len);

	if (n == 0 || (n < 0 && errno != EWOULDBLOCK))
		fail(edges, "read");
	if (n < 0)
		return 0;
	EVP_DigestUpdate(edges->received, edges->hold, (size_t)n);
	edges->back += (uint64_t)n;
	return (size_t)n;
}

static void wait_for(struct edges *edges, int events)
{
	if (tlsb_wait(edges->tls, events, WAIT_MS) <= 0)
		fail(edges, "wait");
}

/* All LEN bytes, read back in parts of up to PART. */
static void there_and_back(struct edges *edges, uint64_t len, size_t write_part, size_t read_part)
{
	const uint64_t goal = edges->bytes + len;

	while (edges->back < goal) {
		uint64_t left = goal - edges->bytes;
		size_t moved = 0;

		if (left > 0)
			moved = send_some(edges, left < write_part ? (size_t)left : write_part);
		moved += receive_some(edges, read_part);
		if (moved == 0)
			wait_for(edges, POLLIN | (edges->bytes < goal ? POLLOUT : 0));
	}
}

static void do_zero(struct edges *edges)
{
	for (int i = 0; i < 1000; i++) {
		if (tlsb_write(edges->tls, edges->hold, 0) != 0 ||
		    tlsb_read(edges->tls, edges->hold, 0) != 0)
			fail(edges, "nothing is not nothing");
		there_and_back(edges, (uint64_t)(i % 3), 1, 1);
	}
}

static void do_one(struct edges *edges)
{
	there_and_back(edges, 3 * (uint64_t)RING, 1, 1);
}

/* Nothing is read until nothing more fits: then both rings are full to the last byte. */
static void do_full(struct edges *edges)
{
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned quiet = 0; quiet < 20; quiet++) {
			while (send_some(edges, i % 2 ? 4099 : RING) > 0)
				quiet = 0;
			usleep(10000);
		}
		if (tlsb_pending(edges->tls) != RING)
			fail(edges, "the receive ring is not full");
		while (edges->back < edges->bytes) {
			if (receive_some(edges, i < 2 ? RING : 4093) == 0)
				wait_for(edges, POLLIN);
		}
	}
}

static void do_wrap(struct edges *edges)
{
	static const size_t sizes[] = { RING - 1, RING, RING + 1, RING / 2 + 1, 16383, 16384, 16385,
					65537, 7 };

	for (size_t i = 0; i < 81; i++)
		there_and_back(edges, sizes[i % 9] + i, sizes[i % 9], sizes[i / 9]);
}

static struct tlsb *connect_to(struct edges *edges, const char *socket, char **words)
{
	struct tlsb *broker = tlsb_open(socket);

	edges->tls = broker ? tlsb_session_new(broker, NULL) : NULL;
	if (!edges->tls) {
		perror("edges");
		exit(1);
	}
	tlsb_set_timeout(edges->tls, WAIT_MS);
	if (tlsb_connect(edges->tls, words[0], words[1]) < 0 || tlsb_handshake(edges->tls) < 0 ||
	    tlsb_write(edges->tls, "echo\n", 5) != 5)
		fail(edges, "connect");
	tlsb_set_timeout(edges->tls, 0);
	return broker;
}

static int run(struct edges *edges, const char *how)
{
	static const struct {
		const char *name;
		void (*run)(struct edges *edges);
	} ways[] = { { "zero", do_zero }, { "one", do_one }, { "full", do_full }, { "wrap", do_wrap } };
	char sent[65], received[65];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(how, ways[i].name) == 0)
			ways[i].run(edges);
	}
	digest_end(edges->sent, sent);
	digest_end(edges->received, received);
	printf("done %lu sha256=%s\n", edges->bytes, received);
	return edges->bytes == 0 || strcmp(sent, received) != 0;
}

int main(int argc, char **argv)
{
	static struct edges edges;
	struct tlsb *broker;
	int status;

	if (argc != 6 || strcmp(argv[1], "--socket") != 0) {
		fprintf(stderr, "usage: edges --socket PATH HOST PORT HOW\n");
		return 2;
	}
	edges.out.seed = 26;
	edges.sent = digest_new();
	edges.received = digest_new();
	broker = connect_to(&edges, argv[2], argv + 3);
	status = run(&edges, argv[5]);
	tlsb_session_free(edges.tls);
	tlsb_close(broker);
	return status;
}
