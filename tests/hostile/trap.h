/*
 * Every access to a control page, seen one by one.  The page is taken away (PROT_NONE); an access
 * faults, is noted, and is let through alone, by the processor's trap flag; then the page is taken
 * away again, and whoever plays the enemy may rewrite it through another mapping.  No enemy can be
 * faster: it acts between each two accesses of its victim.  Header-only; x86-64 Linux.
 *
 * What was seen is a line such as "ended state rx_end rx.head >rx.tail": words in the order in which
 * they were touched, ">" where they were written or changed in place.  The text and the info are one
 * word each, touched by as many instructions as copying takes.
 */
#ifndef TLSB_TESTS_TRAP_H
#define TLSB_TESTS_TRAP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/macros.h"
#include "ring/page.h"

#ifdef __x86_64__
#define TRAP_WORKS true

static inline bool trap_wrote(const ucontext_t *context)
{
	return context->uc_mcontext.gregs[REG_ERR] & 2;
}

static inline void trap_single_step(ucontext_t *context, bool on)
{
	context->uc_mcontext.gregs[REG_EFL] &= ~0x100;
	context->uc_mcontext.gregs[REG_EFL] |= on ? 0x100 : 0;
}
#else
#define TRAP_WORKS false

static inline bool trap_wrote(const ucontext_t *context unused_)
{
	return false;
}

static inline void trap_single_step(ucontext_t *context unused_, bool on unused_)
{
}
#endif

static struct trap {
	uint8_t *page; /* the victim's mapping, NULL when off */
	void (*between)(unsigned accesses); /* the enemy, after each access; or NULL */
	unsigned accesses;
	size_t last;   /* offset of the last one */
	bool copied[PAGE_BYTES]; /* where reads of the text or the info began */
	bool again;              /* two in the same place */
	char said[1024];
	struct sigaction before_fault, before_step;
} trap;

static inline const char *trap_name(size_t offset)
{
#define WORD(member) { offsetof(struct control_page, member), #member }
	static const struct {
		size_t offset;
		const char *name;
	} words[] = {
		WORD(state),   WORD(ended),   WORD(error),         WORD(rx_end), WORD(tx_end),
		WORD(rx.head), WORD(rx.tail), WORD(tx.head),       WORD(tx.tail),
		WORD(tx_fin),  WORD(program_wants), WORD(worker_wants),
	};
#undef WORD

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].offset == offset)
			return words[i].name;
	}
	if (offset < offsetof(struct control_page, text))
		return "between";
	return offset < offsetof(struct control_page, info) ? "text" : "info";
}

/*
 * The last bytes of a copy.  memcpy() reads them first, then all in steps of its own that end where it
 * writes to an aligned address: these may meet the last bytes once more, in the same place.
 */
static inline bool trap_is_end(size_t offset)
{
	const size_t text = offsetof(struct control_page, info);
	const size_t info = text + sizeof(struct tlsb_info);

	return offset < text ? offset >= text - 64 : offset >= info - 256;
}

static inline void trap_note(size_t offset, bool wrote)
{
	const char *name = trap_name(offset), *before = trap.accesses ? trap_name(trap.last) : "";
	size_t len = strlen(trap.said);

	if (offset >= offsetof(struct control_page, text) && !wrote && !trap_is_end(offset)) {
		trap.again |= trap.copied[offset];
		trap.copied[offset] = true;
	}
	if (offset < offsetof(struct control_page, text) || strcmp(name, before) != 0)
		snprintf(trap.said + len, sizeof(trap.said) - len, "%s%s%s", len ? " " : "",
			 wrote ? ">" : "", name);
	trap.accesses++;
	trap.last = offset;
}

static void trap_on_fault(int number unused_, siginfo_t *info, void *arg)
{
	ucontext_t *context = arg;
	uint8_t *at = info->si_addr;

	if (!trap.page || at < trap.page || at >= trap.page + PAGE_BYTES) {
		signal(SIGSEGV, SIG_DFL); /* not ours: it happens again, and kills */
		return;
	}
	trap_note((size_t)(at - trap.page), trap_wrote(context));
	mprotect(trap.page, PAGE_BYTES, PROT_READ | PROT_WRITE);
	trap_single_step(context, true);
}

static void trap_on_step(int number unused_, siginfo_t *info unused_, void *arg)
{
	trap_single_step(arg, false);
	if (trap.between)
		trap.between(trap.accesses);
	mprotect(trap.page, PAGE_BYTES, PROT_NONE);
}

/* From here on, accesses to this mapping of the page are seen.  One at a time, in one thread. */
static inline void trap_on(struct control_page *page, void (*between)(unsigned accesses))
{
	struct sigaction fault = { .sa_sigaction = trap_on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction step = { .sa_sigaction = trap_on_step, .sa_flags = SA_SIGINFO };

	trap = (struct trap){ .page = (uint8_t *)page, .between = between };
	sigaction(SIGSEGV, &fault, &trap.before_fault);
	sigaction(SIGTRAP, &step, &trap.before_step);
	mprotect(page, PAGE_BYTES, PROT_NONE);
}

/* GONE: the mapping is no more.  Returns what was seen. */
static inline const char *trap_off(bool gone)
{
	if (!gone)
		mprotect(trap.page, PAGE_BYTES, PROT_READ | PROT_WRITE);
	trap.page = NULL;
	sigaction(SIGSEGV, &trap.before_fault, NULL);
	sigaction(SIGTRAP, &trap.before_step, NULL);
	return trap.said;
}

#endif
