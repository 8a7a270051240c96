/* Faults at named points, in test builds only: ROOMCLAIM_FAULT=<point>:<kill|stop|error>[:n] acts at the n-th arrival.
 *
 * kill ends the process as kill -9 does, stop suspends it until SIGCONT, error ends it with exit code 1 as a failed
 * allocation does. A line on the log says so before, so that a test can tell that the fault was hit. A program names
 * all its points at its start, and prints them with --fault-points: an unknown name in ROOMCLAIM_FAULT ends it with
 * EXIT_CONFIG, a fault_point that is not named there with an abort. In a release all of it is nothing.
 */
#ifndef ROOMCLAIM_FAULT_H
#define ROOMCLAIM_FAULT_H

#include "base.h"

struct fault_name {
    const char *name, *help;
};

#ifdef ROOMCLAIM_FAULTS
/* At the start of main. Borrows names for ever. Handles --fault-points as the only argument, and ends the process. */
void fault_start(const struct fault_name *names, size_t count, int argc, char **argv);
void fault_point(const char *name);
/* ROOMCLAIM_FAULT_LEAK=1 loses some memory, so that a test can see that the leak checker's reports are seen. */
void fault_leak(void);
#else
static inline void fault_start(const struct fault_name *names, size_t count, int argc, char **argv)
{
    (void)names;
    (void)count;
    (void)argc;
    (void)argv;
}
static inline void fault_point(const char *name)
{
    (void)name;
}
static inline void fault_leak(void)
{
}
#endif

#endif
