/* Rust's standard library draws its random numbers from bcryptprimitives.dll, which Wine 8 does not have.
 * For the test environment only: never shipped, and never seen by a Windows that has the real one. */
#include <windows.h>

/* RtlGenRandom, under the name by which advapi32 exports it. */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    while (length) {
        ULONG piece = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(data, piece))
            return FALSE;
        data += piece;
        length -= piece;
    }
    return TRUE;
}
