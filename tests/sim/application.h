/* The application and LiveKit: rows that come, change, are held and go, and the webhooks of rooms. */
#ifndef ROOMCLAIM_SIM_APPLICATION_H
#define ROOMCLAIM_SIM_APPLICATION_H

#include "common/base.h"

/* Plans everything that is going to happen from outside. */
void application_begin(void);
/* All that is held is let go, all that is late comes now. */
void application_heal(void);

#endif
