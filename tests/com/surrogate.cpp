// Calls from another process: client.exe surrogate PLACE, where the class is registered to run in a surrogate
// process (src/docs/windows.md says how). Wine has none, so that no script runs this.

#include "client.h"

namespace {
typedef HRESULT(WINAPI *Enable)(LPVOID);
typedef HRESULT(WINAPI *Cancel)(DWORD, ULONG);

template <typename T> T of_com(const char *name) {
  return reinterpret_cast<T>(reinterpret_cast<void *>(GetProcAddress(GetModuleHandleW(L"ole32.dll"), name)));
}

DWORD WINAPI cancel_soon(void *thread) {
  Sleep(50);
  Cancel cancel = of_com<Cancel>("CoCancelCall");
  return static_cast<DWORD>(cancel ? cancel(static_cast<DWORD>(reinterpret_cast<ULONG_PTR>(thread)), 0) : E_NOTIMPL);
}

// The repository must be large enough for a backup to last longer than the canceller sleeps.
void cancelled(IWbemBackupRestoreEx *object) {
  std::wstring file = at(L"cancelled.cimbak");
  Enable enable = of_com<Enable>("CoEnableCallCancellation");
  check_that("calls can be cancelled", enable && enable(nullptr) == S_OK);
  void *here = reinterpret_cast<void *>(static_cast<ULONG_PTR>(GetCurrentThreadId()));
  HANDLE canceller = CreateThread(nullptr, 0, cancel_soon, here, 0, nullptr);
  check_code("Backup that this client cancels", object->Backup(file.c_str(), 0), RPC_E_CALL_CANCELED);
  WaitForSingleObject(canceller, INFINITE);
  CloseHandle(canceller);
  Sleep(5000);
  check_that("the other process made no file", !is_there(file));
  check_code("Pause, which a backup that still runs does not hinder", object->Pause(), S_OK);
  check_code("Resume", object->Resume(), S_OK);
}
} // namespace

int surrogate() {
  check_code("CoInitializeEx", CoInitializeEx(nullptr, COINIT_MULTITHREADED), S_OK);
  check_code("CoInitializeSecurity",
             CoInitializeSecurity(nullptr, -1, nullptr, nullptr, RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_IMP_LEVEL_IMPERSONATE,
                                  nullptr, EOAC_NONE, nullptr),
             S_OK);
  become_operator(true);
  {
    BackupRestore object;
    check_code("an object in another process",
               CoCreateInstance(class_id, nullptr, CLSCTX_LOCAL_SERVER, IID_IWbemBackupRestoreEx, object.raw()), S_OK);
    if (!object) return check_sums();
    check_code("Backup where this user alone may write", object->Backup(at(L"private\\it.cimbak").c_str(), 0), S_OK);
    check_that("the file is there", is_there(at(L"private\\it.cimbak")));
    check_reason("the number of the reason comes across", object->Resume(), WBEM_E_INVALID_OPERATION, 103);
    cancelled(object.get());
    become_operator(false);
    check_code("without the privileges of this process", object->Backup(at(L"private\\none.cimbak").c_str(), 0),
               WBEM_E_ACCESS_DENIED);
    check_that("no file was made", !is_there(at(L"private\\none.cimbak")));
  }
  CoUninitialize();
  return check_sums();
}
