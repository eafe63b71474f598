/* Counting checks, for C and C++. Each is one line of output; the last line has the sums. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <windows.h>

#ifdef __cplusplus
#define SHARED inline /* one for all files of the program */
#else
#define SHARED static
#endif

SHARED int passed, failed;

SHARED void check_code(const char *what, HRESULT got, HRESULT want) {
  if (got == want) {
    ++passed;
    printf("ok   %s\n", what);
  } else {
    ++failed;
    printf("FAIL %s: 0x%08lx, not 0x%08lx\n", what, (unsigned long)got, (unsigned long)want);
  }
  fflush(stdout);
}

SHARED void check_that(const char *what, int is_so) {
  if (is_so) {
    ++passed;
    printf("ok   %s\n", what);
  } else {
    ++failed;
    printf("FAIL %s\n", what);
  }
  fflush(stdout);
}

/* The exit code: a crash on the way gives another one. */
SHARED int check_sums(void) {
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0 || passed == 0;
}

#endif
