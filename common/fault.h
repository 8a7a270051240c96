/* Faults at named points, in test builds only: ROOMCLAIM_FAULT=<point>:<kill|stop|error>[:n] acts at the n-th arrival.
 *
 * kill ends the process as kill -9 does, stop suspends it until SIGCONT, error ends it with exit code 1 as a failed
 * allocation does. A line on the log says so before, so that a test can tell that the fault was hit. In a release it is
 * nothing.
 */
#ifndef ROOMCLAIM_FAULT_H
#define ROOMCLAIM_FAULT_H

#ifdef ROOMCLAIM_FAULTS
void fault_point(const char *name);
/* ROOMCLAIM_FAULT_LEAK=1 loses some memory, so that a test can see that the leak checker's reports are seen. */
void fault_leak(void);
#else
static inline void fault_point(const char *name)
{
    (void)name;
}
static inline void fault_leak(void)
{
}
#endif

#endif
