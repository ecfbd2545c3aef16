#include "worker/fibre.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* A handshake takes some 20 KiB of it; what is not used takes no memory. */
#define STACK_BYTES (256 * 1024)

struct fibre {
	ucontext_t inside, outside;
	char *stack; /* the guard first */
	size_t guard;
	void (*run)(void *arg);
	void *arg;
	bool is_over;
	const void *outer_stack; /* for the sanitizer: whose stack we came from */
	size_t outer_size;
};

static struct fibre *current; /* makecontext() and OpenSSL have no argument for it */

/* ---- AddressSanitizer wants to know which stack is in use ---- */

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>

static void leaving(void **ret_fake, const void *stack, size_t size)
{
	__sanitizer_start_switch_fiber(ret_fake, stack, size);
}

static void arrived(void *fake, const void **ret_stack, size_t *ret_size)
{
	__sanitizer_finish_switch_fiber(fake, ret_stack, ret_size);
}
#else
static void leaving(void **ret_fake, const void *stack, size_t size)
{
	(void)ret_fake;
	(void)stack;
	(void)size;
}

static void arrived(void *fake, const void **ret_stack, size_t *ret_size)
{
	(void)fake;
	(void)ret_stack;
	(void)ret_size;
}
#endif

/* ---- in and out ---- */

static bool enter(struct fibre *fibre)
{
	void *fake = NULL;

	assert(!current); /* no fibre within another */
	current = fibre;
	leaving(&fake, fibre->stack + fibre->guard, STACK_BYTES);
	swapcontext(&fibre->outside, &fibre->inside);
	arrived(fake, NULL, NULL);
	current = NULL;
	return fibre->is_over;
}

static void begin(void)
{
	struct fibre *fibre = current;

	arrived(NULL, &fibre->outer_stack, &fibre->outer_size);
	fibre->run(fibre->arg);
	fibre->is_over = true;
	leaving(NULL, fibre->outer_stack, fibre->outer_size);
}

bool fibre_call(struct fibre *fibre, void (*run)(void *arg), void *arg)
{
	fibre->run = run;
	fibre->arg = arg;
	fibre->is_over = false;
	getcontext(&fibre->inside);
	fibre->inside.uc_stack.ss_sp = fibre->stack + fibre->guard;
	fibre->inside.uc_stack.ss_size = STACK_BYTES;
	fibre->inside.uc_link = &fibre->outside;
	makecontext(&fibre->inside, begin, 0);
	return enter(fibre);
}

bool fibre_resume(struct fibre *fibre)
{
	return enter(fibre);
}

void fibre_stop(void)
{
	struct fibre *fibre = current;
	void *fake = NULL;

	leaving(&fake, fibre->outer_stack, fibre->outer_size);
	swapcontext(&fibre->inside, &fibre->outside);
	arrived(fake, &fibre->outer_stack, &fibre->outer_size);
}

struct fibre *fibre_new(void)
{
	struct fibre *fibre = calloc(1, sizeof(*fibre));

	if (!fibre)
		return NULL;
	fibre->guard = (size_t)sysconf(_SC_PAGESIZE);
	fibre->stack = mmap(NULL, fibre->guard + STACK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (fibre->stack == MAP_FAILED) {
		free(fibre);
		return NULL;
	}
	if (mprotect(fibre->stack, fibre->guard, PROT_NONE) < 0)
		return fibre_free(fibre);
	return fibre;
}

struct fibre *fibre_free(struct fibre *fibre)
{
	if (fibre) {
		munmap(fibre->stack, fibre->guard + STACK_BYTES);
		free(fibre);
	}
	return NULL;
}
