/*
 * Linked into sanitizer builds, because the daemon's roles have an empty environment to read options
 * from.  No leak check in them: it would have to trace a process that lets nobody trace it.
 */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "detect_leaks=0:abort_on_error=1:handle_abort=0:detect_stack_use_after_return=1";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}
