// The ways to an object that COM has: the registry, and what a process registers for itself.

#include "client.h"

static std::wstring registered_text(const wchar_t *key, const wchar_t *value) {
  wchar_t text[1024] = L"";
  DWORD bytes = sizeof text;
  std::wstring path = std::wstring(CIMREPO_CLASS_KEY) + key;
  RegGetValueW(HKEY_LOCAL_MACHINE, path.c_str(), value, RRF_RT_REG_SZ, nullptr, text, &bytes);
  return text;
}

void registered() {
  void *none = nullptr;
  check_code("the class is not registered", CoCreateInstance(CLSID_Cimrepo, nullptr, CLSCTX_INPROC_SERVER, IID_IUnknown, &none),
             REGDB_E_CLASSNOTREG);
  check_code("unregistering nothing", module.unregister_server(), S_OK);
  check_code("DllRegisterServer", module.register_server(), S_OK);
  check_code("DllRegisterServer again", module.register_server(), S_OK);
  wchar_t path[1024] = L"";
  GetModuleFileNameW(module.handle, path, 1024);
  check_that("the registry has the path of the DLL", registered_text(L"\\InprocServer32", nullptr) == path);
  check_that("and the threading model", registered_text(L"\\InprocServer32", L"ThreadingModel") == L"Both");
  {
    Com<IClassFactory> factory;
    check_code("CoGetClassObject",
               CoGetClassObject(CLSID_Cimrepo, CLSCTX_INPROC_SERVER, nullptr, IID_IClassFactory, factory.raw()), S_OK);
    BackupRestore object;
    check_code("CoCreateInstance",
               CoCreateInstance(CLSID_Cimrepo, nullptr, CLSCTX_INPROC_SERVER, IID_IWbemBackupRestoreEx, object.raw()), S_OK);
    if (object) check_code("Backup", object->Backup(at(L"registered.cimbak").c_str(), 0), S_OK);
  }
  check_code("DllUnregisterServer", module.unregister_server(), S_OK);
  check_that("nothing of it is left", registered_text(L"\\InprocServer32", nullptr).empty());
  check_code("the class is gone", CoCreateInstance(CLSID_Cimrepo, nullptr, CLSCTX_INPROC_SERVER, IID_IUnknown, &none),
             REGDB_E_CLASSNOTREG);
}

// A program that insists on the class of the system gets ours, in its own process alone.
void process_local() {
  Com<IClassFactory> factory;
  DWORD cookie = 0;
  check_code("DllGetClassObject", module.get_class_object(CLSID_Cimrepo, IID_IClassFactory, factory.raw()), S_OK);
  check_code("CoRegisterClassObject as the system's class",
             CoRegisterClassObject(CLSID_WbemBackupRestore, factory.get(), CLSCTX_INPROC_SERVER, REGCLS_MULTIPLEUSE, &cookie),
             S_OK);
  {
    Com<IWbemBackupRestore> object;
    check_code("CoCreateInstance of the system's class",
               CoCreateInstance(CLSID_WbemBackupRestore, nullptr, CLSCTX_INPROC_SERVER, IID_IWbemBackupRestore, object.raw()),
               S_OK);
    if (object) check_code("Backup", object->Backup(at(L"local.cimbak").c_str(), 0), S_OK);
  }
  check_code("CoRevokeClassObject", CoRevokeClassObject(cookie), S_OK);
}
