/* The dead letters' way into Kafka: takes the place of common/publisher.c. */
#ifndef ROOMCLAIM_SIM_LETTERS_H
#define ROOMCLAIM_SIM_LETTERS_H

enum { LETTERS_FD = 1001 };

#endif
