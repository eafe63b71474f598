// A native program that uses the object as its documents say, and checks each answer.
//
//   client.exe DLL PLACE [HOST [CLASS]]
//   client.exe surrogate PLACE
//
// PLACE is a directory with a repository in `repository`; the client writes beside it. HOST is a DLL that
// has a repository open (the example `com_host`); with it the client looks at clients that are connected as
// well, and at a lease that runs out. With - there is none. CLASS, as text in braces, is the class of DLL
// where it is not this project's.

#include <initguid.h>

#include "client.h"

Module module;
CLSID class_id = CLSID_Cimrepo;
std::wstring place;

void create(IClassFactory *factory, BackupRestore &object) {
  check_code("CreateInstance", factory->CreateInstance(nullptr, IID_IWbemBackupRestoreEx, object.raw()), S_OK);
}

Told told() {
  Com<IErrorInfo> info;
  Told left;
  if (GetErrorInfo(0, info.out()) != S_OK) return left;
  BSTR text = nullptr;
  info->GetDescription(&text);
  if (text) left.text = text;
  SysFreeString(text);
  info->GetHelpContext(&left.number);
  return left;
}

std::wstring error_text() { return told().text; }

void check_reason(const char *what, HRESULT got, HRESULT want, DWORD number) {
  Told left = told();
  if (got != want) return check_code(what, got, want);
  if (left.number != number) printf("     the number is %lu, not %lu: %ls\n", left.number, number, left.text.c_str());
  check_that(what, left.number == number);
}

bool has(const std::wstring &text, const wchar_t *part) {
  bool found = text.find(part) != std::wstring::npos;
  if (!found) printf("     the text is: %ls\n", text.c_str());
  return found;
}

bool set_privilege(HANDLE token, const wchar_t *name, bool enabled) {
  TOKEN_PRIVILEGES change = {};
  change.PrivilegeCount = 1;
  change.Privileges[0].Attributes = enabled ? SE_PRIVILEGE_ENABLED : 0;
  if (!LookupPrivilegeValueW(nullptr, name, &change.Privileges[0].Luid)) return false;
  return AdjustTokenPrivileges(token, FALSE, &change, 0, nullptr, nullptr) && GetLastError() == ERROR_SUCCESS;
}

void become_operator(bool enabled) {
  HANDLE token = nullptr;
  OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token);
  bool done = set_privilege(token, SE_BACKUP_NAME, enabled) && set_privilege(token, SE_RESTORE_NAME, enabled);
  CloseHandle(token);
  if (!done) check_that("the user of the client holds the privileges", 0);
}

namespace {
struct Work {
  HRESULT (*work)(void *);
  void *argument;
};

DWORD WINAPI run(void *argument) {
  Work *work = static_cast<Work *>(argument);
  CoInitializeEx(nullptr, COINIT_MULTITHREADED);
  HRESULT code = work->work(work->argument);
  CoUninitialize();
  return static_cast<DWORD>(code);
}

template <typename T> void find(T &function, const char *name) {
  function = reinterpret_cast<T>(reinterpret_cast<void *>(GetProcAddress(module.handle, name)));
  check_that(name, function != nullptr);
}

bool load(const wchar_t *path) {
  module.handle = LoadLibraryW(path);
  check_that("the DLL loads", module.handle != nullptr);
  if (!module.handle) return false;
  find(module.get_class_object, "DllGetClassObject");
  find(module.can_unload_now, "DllCanUnloadNow");
  find(module.register_server, "DllRegisterServer");
  find(module.unregister_server, "DllUnregisterServer");
  find(module.install, "DllInstall");
  return failed == 0;
}
} // namespace

HRESULT on_thread(HRESULT (*function)(void *), void *argument) {
  Work work = {function, argument};
  HANDLE thread = CreateThread(nullptr, 0, run, &work, 0, nullptr);
  WaitForSingleObject(thread, INFINITE);
  DWORD code = static_cast<DWORD>(E_FAIL);
  GetExitCodeThread(thread, &code);
  CloseHandle(thread);
  return static_cast<HRESULT>(code);
}

int wmain(int count, wchar_t **arguments) {
  if (count < 3) return 2;
  place = arguments[2];
  if (count > 4 && FAILED(CLSIDFromString(arguments[4], &class_id))) return 2;
  if (std::wstring(arguments[1]) == L"surrogate") return surrogate();
  unloading(arguments[1]);
  check_code("CoInitializeEx", CoInitializeEx(nullptr, COINIT_APARTMENTTHREADED), S_OK);
  if (!load(arguments[1])) return check_sums();

  exports();
  {
    Com<IClassFactory> factory;
    check_code("DllGetClassObject", module.get_class_object(class_id, IID_IClassFactory, factory.raw()), S_OK);
    if (!factory) return check_sums();
    identity(factory.get());
    configuration(factory.get());
    privileges(factory.get());
    backing_up(factory.get());
    threads(factory.get());
    pausing(factory.get());
    names(factory.get());
    moments(factory.get());
    locked(factory.get());
    context(factory.get());
    if (IsEqualCLSID(class_id, CLSID_Cimrepo)) settings(factory.get());
    restoring(factory.get());
    check_code("the DLL stays for its factory", module.can_unload_now(), S_FALSE);
  }
  check_code("the DLL may go at the end", module.can_unload_now(), S_OK);
  if (count > 3 && std::wstring(arguments[3]) != L"-") hosted(arguments[3]);
  registered();
  process_local();
  check_code("the DLL may go at the very end", module.can_unload_now(), S_OK);
  CoUninitialize();
  return check_sums();
}
