/* Mutants: faults put in on purpose, one a build, to prove that the checker of the tests sees each of them.
 *
 * cmake -DROOMCLAIM_MUTANT=n compiles the files that include this header with mutant n; tests/checker/mutants.py says
 * what each number is. In every other build MUTANT(n) is false, and the compiler drops what stands behind it.
 */
#ifndef ROOMCLAIM_MUTANT_H
#define ROOMCLAIM_MUTANT_H

#ifdef ROOMCLAIM_MUTANT
#define MUTANT(n) (ROOMCLAIM_MUTANT == (n))
#else
#define MUTANT(n) 0
#endif

#endif
