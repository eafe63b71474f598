/* Wine before 9 has no bcryptprimitives.dll, from which every program built by Rust takes its random numbers. This one, in
 * the system directory of the test's own prefix, takes them from where Wine has them. Not for Windows. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG len); /* RtlGenRandom of advapi32 */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T len) {
  while (len > 0) {
    ULONG part = len > 0x100000 ? 0x100000 : (ULONG)len;
    if (!SystemFunction036(bytes, part)) return FALSE;
    bytes += part;
    len -= part;
  }
  return TRUE;
}
