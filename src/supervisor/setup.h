/*
 * From the command line to the sandbox: everything that can be wrong with the machine, the options
 * or the files, found before the first role is started.
 */
#ifndef TLSB_SUPERVISOR_SETUP_H
#define TLSB_SUPERVISOR_SETUP_H

struct supervisor;

/* 0, and the supervisor is in its sandbox; or -errno, and supervisor->failure says why. */
int setup_all(struct supervisor *supervisor);

#endif
