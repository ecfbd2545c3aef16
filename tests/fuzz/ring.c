/*
 * Rings whose other side writes what it likes: every word of the control page is set by the input,
 * between and after all steps of either side.  Whatever the words say, a span must lie in the ring's
 * memory, and only a difference that is possible may be believed.
 *
 *   steps: which (1), a number for it (4)
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <unistd.h>

#include "ring/channel.h"
#include "ring/doorbell.h"

#define CAPACITY LIMIT_RING_MIN

/* One side of a channel: which of the rings it produces and consumes, and its wants. */
struct side {
	struct channel channel;
	struct ring *produces, *consumes;
	_Atomic uint32_t *own_wants, *peer_wants;
};

enum step {
	PRODUCE,
	CONSUME,
	LOOK,
	FORGE_HEAD,
	FORGE_TAIL,
	FORGE_NEAR,
	FORGE_WANTS,
	ARM,
	ANSWER,
	STEPS,
};

static struct channel shared;

static void prepare(void)
{
	int fd;

	if (shared.page)
		return;
	must(channel_create(&shared, CAPACITY, &fd) == 0);
	close(fd);
}

static void side_init(struct side *side, bool worker)
{
	struct control_page *page = shared.page;

	side->channel = shared;
	side->produces = worker ? &side->channel.rx : &side->channel.tx;
	side->consumes = worker ? &side->channel.tx : &side->channel.rx;
	side->own_wants = worker ? &page->worker_wants : &page->program_wants;
	side->peer_wants = worker ? &page->program_wants : &page->worker_wants;
}

static void check_span(const struct ring *ring, const uint8_t *span, int n)
{
	must(span >= ring->bytes && span < ring->bytes + ring->capacity);
	must(n <= (int)ring->capacity);
}

/* What may be filled, or is ready; its first and last byte are touched. */
static uint32_t look(const struct ring *ring, bool produces)
{
	/* The far word, and the difference that counts: what is ready, or what is taken. */
	uint32_t far = produces ? ring->words->tail.value : ring->words->head.value;
	uint32_t difference = produces ? ring->own - far : far - ring->own;
	uint8_t *span = NULL;
	int n = produces ? ring_space(ring, &span) : ring_data(ring, &span);

	if (difference > ring->capacity) {
		must(n == -EPROTO);
		return 0;
	}
	must(n == (int)(produces ? ring->capacity - difference : difference));
	check_span(ring, span, n);
	if (n > 0)
		span[0] ^= span[n - 1];
	return (uint32_t)n;
}

static void forge(struct side *side, enum step step, uint32_t number)
{
	struct ring_words *tx = side->produces->words, *rx = side->consumes->words;

	switch (step) {
	case FORGE_HEAD:
		rx->head.value = number;
		break;
	case FORGE_TAIL:
		tx->tail.value = number;
		break;
	case FORGE_NEAR: /* around the edges of what is possible */
		rx->head.value = side->consumes->own + CAPACITY / 2 + (number % (2 * CAPACITY));
		tx->tail.value = side->produces->own - (number >> 16);
		break;
	default:
		*side->own_wants = number;
		*side->peer_wants = number >> 3;
	}
}

static void wants(struct side *side, enum step step, uint32_t number)
{
	const uint32_t all = WANT_DATA | WANT_ROOM | WANT_STATE;
	uint32_t before;

	number &= all;
	if (step == ARM) {
		doorbell_arm(side->own_wants, number);
		must(doorbell_armed(side->own_wants, number) == number);
		return;
	}
	/* One want makes one bell, and its answer leaves the others alone. */
	before = *side->peer_wants;
	must(doorbell_answer(side->peer_wants, number) == ((before & number) != 0));
	must(*side->peer_wants == (before & ~number));
}

static void take_step(struct side *side, enum step step, uint32_t number)
{
	uint32_t n;

	switch (step) {
	case PRODUCE:
		n = look(side->produces, true);
		ring_produce(side->produces, n ? number % (n + 1) : 0);
		break;
	case CONSUME:
		n = look(side->consumes, false);
		ring_consume(side->consumes, n ? number % (n + 1) : 0);
		break;
	case LOOK:
		look(side->produces, true);
		look(side->consumes, false);
		break;
	case ARM:
	case ANSWER:
		wants(side, step, number);
		break;
	default:
		forge(side, step, number);
	}
}

static void set_all(struct side *side, uint32_t number)
{
	side->produces->own = side->consumes->own = number;
	side->produces->words->tail.value = side->consumes->words->head.value = number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct side side;
	uint8_t first = take_u8(&input);

	prepare();
	memset((void *)shared.page, 0, sizeof(*shared.page));
	side_init(&side, first & 1);
	/* Heads and tails run on from anywhere, so also from where they wrap. */
	if (first & 2)
		set_all(&side, take_u32(&input));
	for (int i = 0; i < 64 && input.left > 0; i++) {
		enum step step = (enum step)(take_u8(&input) % STEPS);

		take_step(&side, step, take_u32(&input));
	}
	return 0;
}
