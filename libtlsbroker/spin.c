#include <sched.h>

#include "base/clock.h"
#include "base/macros.h"
#include "libtlsbroker/internal.h"

/* The longest that a call looks before it sleeps. */
#define SPIN_US 100

/* A wait that was no longer, with all that sleeping and waking cost, may have been better spun through. */
#define SHORT_US 200

/* Who got or gave so much since the wait before has a stream: the longer it sleeps the more is there. */
#define STREAM_BYTES (16 * 1024)

/* In vain in a row, until it is given up.  The first few times worker and program may share a processor, which
 * the kernel takes a while to change: until it has, who spins only keeps the worker from running. */
#define TRIES 32

/* How many short waits it takes at the most, after spinning was of no use time and again. */
#define DOUBT_MAX 255

/* Looks between two questions what time it is, and questions at the most: there are clocks that stand still, as
 * that of the fuzz targets. */
#define LOOKS 16
#define QUESTIONS 1000

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

bool spin_has_cpus(void)
{
	cpu_set_t set;

	/* An error is a set too small for this machine. */
	return sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) > 1;
}

void spin_begin(struct tlsb_session *session)
{
	struct spin *spin = &session->spin;

	/* Who has the descriptor polls it, and would find bells in it for what was spun through. */
	spin->is_dialogue = !session->shown && session->tlsb->has_cpus && session->seen == STATE_ESTABLISHED &&
			    (session->blocked & WANT_DATA) && spin->moved < STREAM_BYTES;
	spin->moved = 0;
	if (spin->is_dialogue)
		spin->since_us = clock_us();
}

bool spin_until(struct tlsb_session *session, uint32_t wants, spin_fn *is_there)
{
	struct spin *spin = &session->spin;

	if (!spin->is_dialogue || spin->tries == 0)
		return false;
	for (int asked = 0; asked < QUESTIONS && clock_us() - spin->since_us < SPIN_US; asked++) {
		for (int i = 0; i < LOOKS; i++) {
			if (is_there(session, wants)) {
				spin->doubt = 0;
				spin->tries = TRIES;
				return true;
			}
			pause_cpu();
		}
	}
	if (--spin->tries == 0) {
		spin->short_waits = 0;
		spin->doubt = MIN(2 * spin->doubt + 1, DOUBT_MAX);
	}
	return false;
}

void spin_slept(struct tlsb_session *session)
{
	struct spin *spin = &session->spin;

	if (!spin->is_dialogue || spin->tries > 0)
		return;
	spin->short_waits = clock_us() - spin->since_us < SHORT_US ? spin->short_waits + 1 : 0;
	if (spin->short_waits > spin->doubt)
		spin->tries = TRIES;
}
