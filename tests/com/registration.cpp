// Registration: for the machine and for one user, wholly or not at all, and nothing of others.

#include "client.h"

namespace {
std::wstring class_key() {
  wchar_t text[64] = L"";
  StringFromGUID2(class_id, text, 64);
  return std::wstring(L"SOFTWARE\\Classes\\CLSID\\") + text;
}

// A text of the registration, empty where there is none. The key is one below that of the class.
std::wstring text_in(HKEY root, const wchar_t *key, const wchar_t *value) {
  wchar_t text[1024] = L"";
  DWORD bytes = sizeof text;
  RegGetValueW(root, (class_key() + key).c_str(), value, RRF_RT_REG_SZ, nullptr, text, &bytes);
  return text;
}

void put_text(HKEY root, const wchar_t *key, const wchar_t *value, const wchar_t *text) {
  DWORD bytes = static_cast<DWORD>((wcslen(text) + 1) * sizeof(wchar_t));
  LSTATUS status = RegSetKeyValueW(root, (class_key() + key).c_str(), value, REG_SZ, text, bytes);
  if (status != ERROR_SUCCESS) check_that("the client writes to the registry", 0);
}

bool has_key(HKEY root) {
  HKEY key = nullptr;
  bool found = RegOpenKeyExW(root, class_key().c_str(), 0, KEY_READ, &key) == ERROR_SUCCESS;
  if (found) RegCloseKey(key);
  return found;
}

void clear(HKEY root) { RegDeleteTreeW(root, class_key().c_str()); }

const wchar_t server[] = L"\\InprocServer32";

void is_registered(HKEY root) {
  wchar_t path[1024] = L"";
  GetModuleFileNameW(module.handle, path, 1024);
  check_that("the registry has the path of the DLL", text_in(root, server, nullptr) == path);
  check_that("and the threading model", text_in(root, server, L"ThreadingModel") == L"Both");
}

void through_the_registry() {
  void *none = nullptr;
  check_code("the class is not registered", CoCreateInstance(class_id, nullptr, CLSCTX_INPROC_SERVER, IID_IUnknown, &none),
             REGDB_E_CLASSNOTREG);
  check_code("unregistering nothing", module.unregister_server(), S_OK);
  check_code("DllRegisterServer", module.register_server(), S_OK);
  check_code("DllRegisterServer again", module.register_server(), S_OK);
  is_registered(HKEY_LOCAL_MACHINE);
  {
    Com<IClassFactory> factory;
    check_code("CoGetClassObject",
               CoGetClassObject(class_id, CLSCTX_INPROC_SERVER, nullptr, IID_IClassFactory, factory.raw()), S_OK);
    BackupRestore object;
    check_code("CoCreateInstance",
               CoCreateInstance(class_id, nullptr, CLSCTX_INPROC_SERVER, IID_IWbemBackupRestoreEx, object.raw()), S_OK);
    if (object) check_code("Backup", object->Backup(at(L"registered.cimbak").c_str(), 0), S_OK);
  }
  check_code("DllUnregisterServer", module.unregister_server(), S_OK);
  check_that("nothing of it is left", !has_key(HKEY_LOCAL_MACHINE));
  check_code("the class is gone", CoCreateInstance(class_id, nullptr, CLSCTX_INPROC_SERVER, IID_IUnknown, &none),
             REGDB_E_CLASSNOTREG);
}

void for_whom() {
  check_code("DllInstall for a user", module.install(TRUE, L"User"), S_OK);
  is_registered(HKEY_CURRENT_USER);
  check_that("the machine has nothing of it", !has_key(HKEY_LOCAL_MACHINE));
  check_code("DllUnregisterServer", module.unregister_server(), S_OK);
  is_registered(HKEY_CURRENT_USER);
  check_code("DllInstall back", module.install(FALSE, L"user"), S_OK);
  check_that("nothing of it is left", !has_key(HKEY_CURRENT_USER));
  check_code("DllInstall for the machine", module.install(TRUE, nullptr), S_OK);
  is_registered(HKEY_LOCAL_MACHINE);
  check_that("the user has nothing of it", !has_key(HKEY_CURRENT_USER));
  check_code("DllInstall back", module.install(FALSE, L"machine"), S_OK);
  check_that("nothing of it is left", !has_key(HKEY_LOCAL_MACHINE));
  check_code("DllInstall for nobody", module.install(TRUE, L"users"), E_INVALIDARG);
  check_that("nothing was registered", !has_key(HKEY_LOCAL_MACHINE) && !has_key(HKEY_CURRENT_USER));
}

void beside_others() {
  put_text(HKEY_LOCAL_MACHINE, server, nullptr, L"C:\\other\\cimrepo.dll");
  check_code("DllUnregisterServer beside another DLL", module.unregister_server(), S_OK);
  check_that("its registration stays", text_in(HKEY_LOCAL_MACHINE, server, nullptr) == L"C:\\other\\cimrepo.dll");
  clear(HKEY_LOCAL_MACHINE);

  check_code("DllRegisterServer", module.register_server(), S_OK);
  put_text(HKEY_LOCAL_MACHINE, L"\\ProgID", nullptr, L"Another.1");
  check_code("DllUnregisterServer beside another key", module.unregister_server(), S_OK);
  check_that("that key stays", text_in(HKEY_LOCAL_MACHINE, L"\\ProgID", nullptr) == L"Another.1");
  check_that("and nothing else", text_in(HKEY_LOCAL_MACHINE, server, nullptr).empty() &&
                                     text_in(HKEY_LOCAL_MACHINE, L"", nullptr).empty());
  clear(HKEY_LOCAL_MACHINE);
}

// Below a key that is gone with the next start the system makes none that stays: half of a registration fails.
void wholly_or_not_at_all(HKEY root, const wchar_t *for_whom) {
  HKEY key = nullptr;
  RegCreateKeyExW(root, class_key().c_str(), 0, nullptr, REG_OPTION_VOLATILE, KEY_ALL_ACCESS, nullptr, &key, nullptr);
  RegCloseKey(key);
  const HRESULT refusal = HRESULT_FROM_WIN32(ERROR_CHILD_MUST_BE_VOLATILE);
  check_code("a registration of which half fails", module.install(TRUE, for_whom), refusal);
  check_that("none of it is left", text_in(root, L"", nullptr).empty());
  put_text(root, L"", nullptr, L"before");
  check_code("and over something else", module.install(TRUE, for_whom), refusal);
  check_that("that is as it was", text_in(root, L"", nullptr) == L"before");
  clear(root);
}
} // namespace

void registered() {
  through_the_registry();
  for_whom();
  beside_others();
  wholly_or_not_at_all(HKEY_LOCAL_MACHINE, L"machine");
  wholly_or_not_at_all(HKEY_CURRENT_USER, L"user");
}
